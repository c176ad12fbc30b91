//! Shares by weight: exact over every round, and mixed within it.
//!
//! Pure: who counts the turns holds them. A round has as many places as the weights sum to.

/// The place of a turn in a round of so many: each comes once a round, and neighbours lie far apart,
/// so that shares hold over short stretches too.
#[must_use]
pub fn place(turn: u64, round: u64) -> u64 {
    let round = round.max(1);
    (turn % round) * stride(round) % round
}

/// Which of these weights has the turn, by its place among them. `None`: there is none.
#[must_use]
pub fn nth(weights: &[u64], turn: u64) -> Option<usize> {
    // What all have in common makes rounds long and shares no different.
    let common = weights.iter().fold(0, |common, weight| gcd(*weight, common)).max(1);
    let round: u64 = weights.iter().map(|weight| weight / common).sum();
    let place = place(turn, round);
    let mut end = 0;
    weights.iter().position(|weight| {
        end += weight / common;
        place < end
    })
}

/// A step without a common divisor with the round, near its golden section.
fn stride(round: u64) -> u64 {
    let mut step = (round * 618 / 1000).max(1);
    while gcd(step, round) != 1 {
        step += 1;
    }
    step
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_comes_once_a_round() {
        for round in 1..200 {
            let mut seen: Vec<_> = (7..7 + round).map(|turn| place(turn, round)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..round).collect::<Vec<_>>());
        }
    }

    #[test]
    fn weights_are_exact_over_a_round_and_what_they_share_makes_it_no_longer() {
        let count = |weights: &[u64], turns: u64| {
            let mut counts = vec![0; weights.len()];
            (0..turns).filter_map(|turn| nth(weights, turn)).for_each(|at| counts[at] += 1);
            counts
        };
        assert_eq!(count(&[7, 2, 1], 10), [7, 2, 1]);
        assert_eq!(count(&[700, 200, 100], 10), [7, 2, 1]);
        assert_eq!(count(&[1, 1, 1], 3), [1, 1, 1]);
        assert_eq!(count(&[5], 4), [4]);
        assert_eq!(nth(&[], 3), None);
        assert_eq!(nth(&[0, 0], 3), None);
        assert_eq!(count(&[0, 3], 5), [0, 5]);
    }
}
