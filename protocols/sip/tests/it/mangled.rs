//! The fuzz targets of the wire and of calls over the corpus that is kept, and over changes to it by a
//! seeded hand: no law breaks.

#[path = "../../fuzz/src/calls.rs"]
#[expect(unreachable_pub, reason = "it is the library of another workspace")]
mod calls;
#[path = "../../fuzz/src/wire.rs"]
#[expect(unreachable_pub, reason = "it is the library of another workspace")]
mod wire;

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Octets that mean something somewhere.
const TELLING: &[u8] = b"\r\n\t \"\\<>;,:=%@[]?&*/\0\xFF\x1E09azSIP";

fn inputs(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn all() -> impl Iterator<Item = calls::Target> {
    wire::ALL.into_iter().chain(calls::ALL)
}

/// Changes some octets: others in their place, taken out, put in, copied from elsewhere, cut off.
fn mangle(rng: &mut StdRng, octets: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=octets.len());
        let telling = TELLING[rng.random_range(0..TELLING.len())];
        match rng.random_range(0..6) {
            0 if at < octets.len() => octets[at] = rng.random(),
            1 if at < octets.len() => octets[at] = telling,
            2 if at < octets.len() => {
                octets.remove(at);
            }
            3 => octets.insert(at, telling),
            4 => {
                let end = (at + rng.random_range(0..40)).min(octets.len());
                let piece = octets[at..end].to_vec();
                let place = rng.random_range(0..=octets.len());
                octets.splice(place..place, piece);
            }
            _ if rng.random_range(0..8) == 0 => octets.truncate(at),
            _ => {}
        }
    }
}

#[test]
fn what_is_kept_breaks_no_law() {
    for (name, target) in all() {
        let inputs = inputs(name);
        assert!(inputs.len() >= 10, "{name} has {} inputs", inputs.len());
        for input in inputs {
            target(&input);
        }
    }
}

#[test]
fn what_a_seeded_hand_changes_breaks_no_law() {
    let rounds = std::env::var("ORBIT_SIP_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let mut rng = StdRng::seed_from_u64(1);
    for (name, target) in all() {
        let inputs = inputs(name);
        for _ in 0..rounds.unwrap_or(4_000) {
            let mut octets = inputs[rng.random_range(0..inputs.len())].clone();
            mangle(&mut rng, &mut octets);
            target(&octets);
        }
    }
}
