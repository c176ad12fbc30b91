//! Encoded PDUs that wait: for their time, for room in the window, for an answer.
//!
//! `ByteQueue` is first in, first out over one buffer, so a waiting PDU costs no
//! allocation. `Outbox` is what one bind has yet to deliver and what it has delivered
//! without an answer; both go back to the SMSC when the bind ends, as a real one keeps
//! receipts until they are acknowledged.

use std::collections::VecDeque;
use std::time::Instant;

use super::wire;

const COMPACT_BYTES: usize = 64 * 1024;
/// Beyond this many waiting PDUs new ones are dropped, and counted.
const ITEMS_MAX: usize = 4_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Answer,
    Receipt,
    /// The second copy of a receipt.
    Copy,
    /// A receipt for a message that we never saw.
    Foreign,
    Inbound,
}

struct Item {
    due: Instant,
    length: usize,
    kind: Kind,
}

#[derive(Default)]
pub(crate) struct ByteQueue {
    bytes: Vec<u8>,
    head: usize,
    items: VecDeque<Item>,
}

struct Slot {
    sequence: u32,
    kind: Kind,
    pdu: Vec<u8>,
}

/// How PDUs are numbered on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// From the number behind this one, past every limit.
    From(u32),
    /// All are 0, so that answers are known by their order alone.
    Zero,
}

pub(crate) struct Outbox {
    numbering: Numbering,
    /// Under `Zero`: the numbers in flight, the oldest first.
    in_order: VecDeque<u32>,
    waiting: ByteQueue,
    slots: Vec<Slot>,
    free: Vec<usize>,
    window: usize,
    round: u32,
}

impl ByteQueue {
    #[cfg(test)]
    fn len(&self) -> usize {
        self.items.len()
    }

    /// False when the queue is full and nothing was added.
    #[must_use]
    pub(crate) fn push(
        &mut self,
        due: Instant,
        kind: Kind,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        if self.items.len() >= ITEMS_MAX {
            return false;
        }
        if self.head > COMPACT_BYTES && self.head * 2 > self.bytes.len() {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        let start = self.bytes.len();
        write(&mut self.bytes);
        let length = self.bytes.len() - start;
        self.items.push_back(Item { due, length, kind });
        true
    }

    /// When the first PDU is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.items.front().map(|item| item.due)
    }

    /// The first PDU, if its time has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Kind, &mut [u8])> {
        if self.due()? > now {
            return None;
        }
        self.pop_any().map(|(_, kind, pdu)| (kind, pdu))
    }

    fn pop_any(&mut self) -> Option<(Instant, Kind, &mut [u8])> {
        let item = self.items.pop_front()?;
        let start = self.head;
        self.head += item.length;
        Some((item.due, item.kind, &mut self.bytes[start..start + item.length]))
    }
}

impl Outbox {
    pub(crate) fn new(window: u32, numbering: Numbering) -> Self {
        Self {
            numbering,
            in_order: VecDeque::new(),
            waiting: ByteQueue::default(),
            slots: Vec::new(),
            free: Vec::new(),
            window: window as usize,
            round: 0,
        }
    }

    #[must_use]
    pub(crate) fn push(
        &mut self,
        due: Instant,
        kind: Kind,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        self.waiting.push(due, kind, write)
    }

    #[cfg(test)]
    fn unanswered(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn has_room(&self) -> bool {
        !self.free.is_empty() || self.slots.len() < self.window
    }

    /// When to look again: the first due time, if the window has room for it.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.has_room() { self.waiting.due() } else { None }
    }

    /// Appends what is due and fits the window; calls `sent` for each.
    pub(crate) fn pump(&mut self, now: Instant, out: &mut Vec<u8>, mut sent: impl FnMut(Kind)) {
        while self.has_room() {
            let Some((kind, pdu)) = self.waiting.pop(now) else {
                return;
            };
            let index = match self.free.pop() {
                Some(index) => index,
                None => {
                    let pdu = Vec::with_capacity(pdu.len());
                    self.slots.push(Slot { sequence: 0, kind, pdu });
                    self.slots.len() - 1
                }
            };
            // The slot can be found from the sequence number, which repeats late.
            let rounds = 0x7FFF_FFFF / self.window as u32;
            self.round = (self.round + 1) % rounds;
            let sequence = self.round * self.window as u32 + index as u32 + 1;
            match self.numbering {
                Numbering::From(before) => wire::set_sequence(pdu, sequence.wrapping_add(before)),
                Numbering::Zero => {
                    wire::set_sequence(pdu, 0);
                    self.in_order.push_back(sequence);
                }
            }
            out.extend_from_slice(pdu);
            let slot = &mut self.slots[index];
            slot.sequence = sequence;
            slot.kind = kind;
            slot.pdu.clear();
            slot.pdu.extend_from_slice(pdu);
            sent(kind);
        }
    }

    /// Frees the slot of an answered PDU; `None` for a number that is not in flight. With
    /// `again_at` the PDU was refused and waits for that time.
    pub(crate) fn answered(&mut self, sequence: u32, again_at: Option<Instant>) -> Option<Kind> {
        let sequence = match self.numbering {
            Numbering::From(before) => sequence.wrapping_sub(before),
            Numbering::Zero => self.in_order.pop_front()?,
        };
        let index = (sequence.checked_sub(1)? as usize) % self.window;
        let slot = self.slots.get_mut(index)?;
        if slot.sequence != sequence {
            return None;
        }
        slot.sequence = 0;
        self.free.push(index);
        if let Some(due) = again_at {
            let pdu = &slot.pdu;
            let kept = self.waiting.push(due, slot.kind, |out| out.extend_from_slice(pdu));
            debug_assert!(kept, "there was room a moment ago");
        }
        Some(slot.kind)
    }

    /// Moves all that is not acknowledged, the oldest first.
    pub(crate) fn drain_into(&mut self, now: Instant, other: &mut ByteQueue) -> u64 {
        let mut lost = 0;
        let mut open: Vec<&Slot> = self.slots.iter().filter(|slot| slot.sequence != 0).collect();
        open.sort_unstable_by_key(|slot| slot.sequence);
        for slot in open {
            let kept = other.push(now, slot.kind, |out| out.extend_from_slice(&slot.pdu));
            lost += u64::from(!kept);
        }
        self.slots.clear();
        self.free.clear();
        self.in_order.clear();
        lost + move_all(&mut self.waiting, other)
    }

    /// Takes over what waited for a bind.
    pub(crate) fn fill_from(&mut self, other: &mut ByteQueue) -> u64 {
        move_all(other, &mut self.waiting)
    }
}

/// The number of PDUs that found no room.
fn move_all(from: &mut ByteQueue, to: &mut ByteQueue) -> u64 {
    let mut lost = 0;
    while let Some((due, kind, pdu)) = from.pop_any() {
        lost += u64::from(!to.push(due, kind, |out| out.extend_from_slice(pdu)));
    }
    *from = ByteQueue::default();
    lost
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pdu(sequence: u32) -> Vec<u8> {
        let mut out = Vec::new();
        wire::put(&mut out, wire::DELIVER_SM, 0, sequence, |_| {});
        out
    }

    fn sequences(out: &[u8]) -> Vec<u32> {
        let words = out.chunks(16).map(|pdu| [pdu[12], pdu[13], pdu[14], pdu[15]]);
        words.map(u32::from_be_bytes).collect()
    }

    #[test]
    fn nothing_leaves_before_its_time() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut queue = ByteQueue::default();
        assert!(queue.push(later, Kind::Receipt, |out| out.push(7)));
        assert!(queue.pop(now).is_none());
        let (kind, octets) = queue.pop(later).expect("due");
        assert_eq!((kind, &*octets), (Kind::Receipt, &[7][..]));
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn the_window_is_never_exceeded_and_answers_make_room() {
        let now = Instant::now();
        let mut outbox = Outbox::new(2, Numbering::From(0));
        for _ in 0..3 {
            assert!(outbox.push(now, Kind::Receipt, |out| out.extend_from_slice(&pdu(0))));
        }
        let mut out = Vec::new();
        outbox.pump(now, &mut out, |_| {});
        let first = sequences(&out);
        assert_eq!((first.len(), outbox.unanswered()), (2, 2));
        assert_eq!(outbox.answered(first[0], None), Some(Kind::Receipt));
        assert_eq!(outbox.answered(first[0], None), None, "answered once only");
        out.clear();
        outbox.pump(now, &mut out, |_| {});
        assert_eq!(sequences(&out).len(), 1);
        assert_ne!(sequences(&out)[0], first[0]);
    }

    #[test]
    fn a_refused_delivery_is_sent_again() {
        let now = Instant::now();
        let mut outbox = Outbox::new(5, Numbering::From(0));
        assert!(outbox.push(now, Kind::Inbound, |out| out.extend_from_slice(&pdu(0))));
        let mut out = Vec::new();
        outbox.pump(now, &mut out, |_| {});
        let sequence = sequences(&out)[0];
        assert_eq!(outbox.answered(sequence, Some(now)), Some(Kind::Inbound));
        out.clear();
        outbox.pump(now, &mut out, |_| {});
        assert_eq!(sequences(&out).len(), 1);
    }

    #[test]
    fn an_ended_bind_gives_back_what_was_not_acknowledged() {
        let now = Instant::now();
        let mut outbox = Outbox::new(2, Numbering::From(0));
        for _ in 0..5 {
            assert!(outbox.push(now, Kind::Receipt, |out| out.extend_from_slice(&pdu(0))));
        }
        let mut out = Vec::new();
        outbox.pump(now, &mut out, |_| {});
        outbox.answered(sequences(&out)[1], None);
        let mut backlog = ByteQueue::default();
        assert_eq!(outbox.drain_into(now, &mut backlog), 0);
        assert_eq!((backlog.len(), outbox.unanswered()), (4, 0));
        let mut next = Outbox::new(10, Numbering::From(0));
        assert_eq!(next.fill_from(&mut backlog), 0);
        out.clear();
        next.pump(now, &mut out, |_| {});
        assert_eq!(sequences(&out).len(), 4);
    }

    #[test]
    fn numbers_may_pass_the_limit_or_be_none() {
        let now = Instant::now();
        for (numbering, on_wire) in
            [(Numbering::From(0x7FFF_FFFE), [0x8000_0000, 0x8000_0001]), (Numbering::Zero, [0, 0])]
        {
            let mut outbox = Outbox::new(1, numbering);
            for at in 0..2 {
                let kind = [Kind::Receipt, Kind::Inbound][at];
                assert!(outbox.push(now, kind, |out| out.extend_from_slice(&pdu(0))));
            }
            let mut out = Vec::new();
            outbox.pump(now, &mut out, |_| {});
            assert_eq!(outbox.answered(sequences(&out)[0], None), Some(Kind::Receipt));
            outbox.pump(now, &mut out, |_| {});
            assert_eq!(sequences(&out), on_wire, "{numbering:?}");
            assert_eq!(outbox.answered(on_wire[1], None), Some(Kind::Inbound));
        }
    }
}
