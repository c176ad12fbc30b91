//! The fuzz targets over the corpus that is kept: no law breaks.

#[path = "../../fuzz/src/targets.rs"]
#[expect(unreachable_pub, reason = "it is the library of another workspace")]
mod targets;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[test]
fn what_was_found_before_breaks_no_law() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in targets::ALL {
        let entries = fs::read_dir(corpus.join(name)).unwrap();
        let inputs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert!(inputs.len() >= 10, "{name} has {} inputs", inputs.len());
        for input in inputs {
            target(&fs::read(&input).unwrap());
        }
    }
}

proptest! {
    #[test]
    fn octets_at_random_break_no_law(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (_, target) in targets::ALL {
            target(&octets);
        }
    }
}
