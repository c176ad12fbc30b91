//! The one place from which a call leaves for the public network.
//!
//! Nothing else makes a `Way::Carrier`, so nothing else dials a carrier: a test reads the tree for it. The
//! number was asked for help by the dial plan, and is asked again here, right before it leaves.

use std::sync::Arc;

use model::carrier::OrgId;
use model::clock::At;
use model::emergency::Emergency;
use model::voice::Rated;

use super::dial::{Target, Way};
use crate::sip::trunks::{Channel, Running, Trunk, Trunks};

/// A number on its way to a carrier.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    carrier: Arc<Running>,
    number: String,
}

/// Ways for a number, the first to try first; `chance` draws among equals. None for a number of help.
#[must_use]
pub(super) fn ways(
    (trunks, emergency): (&Trunks, &Emergency),
    organization: OrgId,
    (number, rated): (&str, &Rated),
    chance: u64,
) -> Vec<Target> {
    if emergency.blocks(number) {
        return Vec::new();
    }
    let carriers = drawn(trunks.egress(organization, number), chance);
    let way = |carrier| Way::Carrier(Leaving { carrier, number: number.to_owned() });
    carriers.into_iter().map(|carrier| Target { way: way(carrier), rated: rated.clone() }).collect()
}

/// Those that are equal in an order drawn by weight.
fn drawn(groups: Vec<Vec<Arc<Running>>>, mut chance: u64) -> Vec<Arc<Running>> {
    let mut ordered = Vec::new();
    for mut equals in groups {
        let weight = |running: &Arc<Running>| u64::from(running.trunk.weight.max(1));
        while !equals.is_empty() {
            let mut left = chance % equals.iter().map(weight).sum::<u64>().max(1);
            let at = equals.iter().position(|running| {
                let hit = left < weight(running);
                left = left.saturating_sub(weight(running));
                hit
            });
            ordered.push(equals.remove(at.unwrap_or_default()));
            chance = chance.rotate_left(17).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }
    ordered
}

impl Leaving {
    /// Room with the carrier, for as long as the call is there.
    #[must_use]
    pub(super) fn channel(&self, now: At) -> Option<Channel> {
        self.carrier.take_call(now)
    }

    #[must_use]
    pub(super) fn carrier(&self) -> &Trunk {
        &self.carrier.trunk
    }

    /// E.164 with `+`.
    #[must_use]
    pub(super) fn number(&self) -> &str {
        &self.number
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Every file of the workspace's crates that has this text.
    fn files_with(folder: &Path, text: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files_with(&path, text, found);
            } else if path.extension().is_some_and(|ext| ext == "rs")
                && fs::read_to_string(&path).unwrap().contains(text)
            {
                found.push(path.display().to_string());
            }
        }
    }

    #[test]
    fn calls_leave_for_the_public_network_from_here_alone() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        // Split, so that this test is no hit of its own.
        for (made, files) in [
            (["Way::Car", "rier(Leaving"].concat(), 1),
            (["Leaving", " { carrier"].concat(), 1),
            ([".egress(organ", "ization, number)"].concat(), 1),
        ] {
            let mut found = Vec::new();
            for folder in ["actors", "supervisors", "src", "protocols"] {
                files_with(&workspace.join(folder), &made, &mut found);
            }
            assert_eq!(found.len(), files, "{made}: {found:?}");
            assert!(found[0].ends_with("call/egress.rs"), "{found:?}");
        }
    }
}
