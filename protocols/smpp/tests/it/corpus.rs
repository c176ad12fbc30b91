//! The fuzz targets over the corpus that is kept, and over the examples: no law breaks.

#[path = "../../fuzz/src/targets.rs"]
#[expect(unreachable_pub, reason = "it is the library of another workspace")]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_was_found_before_breaks_no_law() {
    for (name, target) in targets::ALL {
        let inputs = files(&folder("fuzz/corpus").join(name));
        assert!(inputs.len() >= 10, "{name} has {} inputs", inputs.len());
        for input in inputs {
            target(&fs::read(&input).unwrap());
        }
    }
}

#[test]
fn the_examples_break_no_law_in_either_direction() {
    for path in files(&folder("tests/vectors")) {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let octets = lines.flat_map(str::split_whitespace);
        let wire: Vec<u8> = octets.map(|hex| u8::from_str_radix(hex, 16).unwrap()).collect();
        targets::from_smsc(&wire);
        targets::from_esme(&wire);
        // As one order of a session: it is fed.
        let mut orders = Vec::new();
        for chunk in wire.chunks(255) {
            orders.extend([0, u8::try_from(chunk.len()).unwrap()]);
            orders.extend(chunk);
        }
        targets::session_client(&orders);
        targets::session_server(&orders);
    }
}
