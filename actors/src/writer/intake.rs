//! How much of what waits to be accepted goes into one transaction.
//!
//! What is accepted faster than carriers take it has to be claimed later, by a commit and an update
//! of its own. So while carriers take messages at a rate that fills commits, a commit accepts what
//! they have room for, and the rest waits for the next one: milliseconds. While they take little,
//! nothing waits for them. One-time codes never wait.

use std::collections::VecDeque;

use model::message::Category;

use super::Asked;

/// Below so many hand-offs a commit, carriers are not what commits are full of.
const BUSY: usize = 64;
/// A commit accepts so many at least.
const ACCEPTS_MIN: usize = 256;

/// What passed through a commit, in messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    /// Handed to carriers, or given up.
    pub(crate) closed: usize,
    /// Accepted without a carrier's room for them.
    pub(crate) queued: usize,
}

/// What passed through the last commits.
#[derive(Clone, Copy, Debug, Default)]
struct Passing {
    /// Hand-offs a commit, in sixteenths. They come in waves: a carrier answers what it was given.
    closed: usize,
    queued: usize,
}

impl Passing {
    fn note(&mut self, flow: Flow) {
        self.closed = self.closed / 8 * 7 + flow.closed * 2;
        self.queued = flow.queued;
    }

    /// How many messages the next commit accepts; `room`: what carriers have room for.
    fn accepts(self, room: usize, most: usize) -> usize {
        let closed = self.closed / 16;
        if closed < BUSY {
            return most;
        }
        let wanted = match self.queued {
            0 => room.max(closed),
            // A line has formed, and has to get shorter.
            _ => closed / 4 * 3,
        };
        wanted.max(ACCEPTS_MIN).min(most)
    }
}

/// What waits to be accepted, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Intake {
    urgent: VecDeque<Asked>,
    others: VecDeque<Asked>,
    passing: Passing,
}

impl Intake {
    pub(super) fn push(&mut self, asked: Asked) {
        let mut messages = asked.submissions.iter().flat_map(|s| &s.messages);
        let urgent = messages.all(|message| message.category == Category::Otp);
        if urgent { &mut self.urgent } else { &mut self.others }.push_back(asked);
    }

    /// A commit is done.
    pub(super) fn note(&mut self, flow: Flow) {
        self.passing.note(flow);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.others.is_empty()
    }

    /// Takes the next transaction's share: at least one, whatever its size.
    pub(super) fn share(&mut self, room: usize, most: usize) -> (Vec<Asked>, usize) {
        let (mut share, mut count) = (Vec::new(), 0);
        let mut take = |queue: &mut VecDeque<Asked>, most: usize| {
            while let Some(asked) =
                queue.pop_front_if(|next| count == 0 || count + next.count() <= most)
            {
                count += asked.count();
                share.push(asked);
            }
        };
        take(&mut self.urgent, most);
        take(&mut self.others, self.passing.accepts(room, most));
        (share, count)
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Asked> {
        self.urgent.drain(..).chain(self.others.drain(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(flows: &[Flow]) -> Passing {
        let mut passing = Passing::default();
        for flow in flows.iter().cycle().take(48) {
            passing.note(*flow);
        }
        passing
    }

    #[test]
    fn nothing_waits_for_carriers_that_take_little() {
        assert_eq!(after(&[Flow { closed: 50, queued: 5_000 }]).accepts(0, 2_000), 2_000);
        assert_eq!(Passing::default().accepts(0, 2_000), 2_000);
    }

    #[test]
    fn busy_carriers_are_given_what_they_have_room_for() {
        let passing = after(&[Flow { closed: 800, queued: 0 }]);
        assert_eq!(passing.accepts(900, 2_000), 900);
        let as_many_as_leave = passing.accepts(10, 2_000);
        assert!((780..=800).contains(&as_many_as_leave), "{as_many_as_leave}");
        assert_eq!(passing.accepts(9_000, 2_000), 2_000);
    }

    #[test]
    fn a_line_before_busy_carriers_gets_shorter() {
        let line = [Flow { closed: 0, queued: 1 }, Flow { closed: 2_000, queued: 1 }];
        let less_than_leave = after(&line).accepts(0, 2_000);
        assert!((600..900).contains(&less_than_leave), "{less_than_leave}");
        let few = after(&[Flow { closed: 130, queued: 1 }]);
        assert_eq!(few.accepts(0, 2_000), ACCEPTS_MIN);
        assert_eq!(few.accepts(0, 100), 100);
    }
}
