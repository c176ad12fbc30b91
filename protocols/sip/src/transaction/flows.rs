//! Which transactions hang on a flow: a list for each flow, linked through one array of places, so
//! that a connection that closes costs what hung on it, and not a walk over the table.

use std::collections::HashMap;
use std::hash::Hash;

const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Flows<F> {
    first: HashMap<F, u32>,
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    next: u32,
}

impl<F: Copy + Eq + Hash> Flows<F> {
    pub(super) fn new() -> Self {
        Self { first: HashMap::new(), links: Vec::new() }
    }

    /// Flows with anything on them.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.first.len()
    }

    pub(super) fn add(&mut self, flow: F, place: u32) {
        if self.links.len() <= place as usize {
            self.links.resize(place as usize + 1, Link { before: NONE, next: NONE });
        }
        let next = self.first.insert(flow, place).unwrap_or(NONE);
        self.links[place as usize] = Link { before: NONE, next };
        if let Some(next) = self.links.get_mut(next as usize) {
            next.before = place;
        }
    }

    /// Takes away what was added with that flow.
    pub(super) fn remove(&mut self, flow: F, place: u32) {
        let Some(Link { before, next }) = self.links.get(place as usize).copied() else { return };
        if let Some(after) = self.links.get_mut(next as usize) {
            after.before = before;
        }
        if let Some(ahead) = self.links.get_mut(before as usize) {
            ahead.next = next;
        } else if next == NONE {
            self.first.remove(&flow);
        } else {
            self.first.insert(flow, next);
        }
    }

    /// The places on a flow.
    pub(super) fn on(&self, flow: F) -> Vec<u32> {
        let first = self.first.get(&flow).copied();
        let next = |place: &u32| self.links.get(*place as usize).map(|link| link.next);
        std::iter::successors(first, |place| next(place).filter(|next| *next != NONE)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flow_has_its_own_and_an_empty_one_is_forgotten() {
        let mut flows = Flows::new();
        for (flow, place) in [('a', 0), ('a', 3), ('b', 1), ('a', 2)] {
            flows.add(flow, place);
        }
        assert_eq!((flows.on('a'), flows.on('b')), (vec![2, 3, 0], vec![1]));
        flows.remove('a', 3);
        assert_eq!(flows.on('a'), [2, 0]);
        flows.remove('a', 2);
        flows.remove('b', 1);
        flows.add('b', 3);
        assert_eq!((flows.on('a'), flows.on('b'), flows.on('c')), (vec![0], vec![3], vec![]));
        flows.remove('a', 0);
        flows.remove('b', 3);
        assert_eq!(flows.len(), 0);
    }
}
