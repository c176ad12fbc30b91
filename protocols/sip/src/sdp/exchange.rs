//! Whose turn it is to offer and to answer (RFC 3264 §4, RFC 6337), and what holds meanwhile.
//!
//! One offer at a time: an offer that meets another is refused, and the caller answers 491. Until an
//! answer came, what was agreed before holds; an offer that is refused or lost is forgotten and leaves
//! it as it was. A value: a fork of a call is a copy. It knows of a description only what `Description`
//! says, so that a leg can keep bodies that it does not read.

use thiserror::Error;

use super::{Sdp, answer};

/// What must be known of a description to keep track of offers and answers.
pub trait Description {
    /// Whether a peer says with this what it said before.
    fn says_again(&self, before: &Self) -> bool;

    /// Whether this can be the answer to an offer.
    fn answers(&self, offer: &Self) -> bool;
}

impl Description for Sdp {
    fn says_again(&self, before: &Self) -> bool {
        self.repeats(before)
    }

    fn answers(&self, offer: &Self) -> bool {
        answer::fits(offer, self)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Misplaced {
    #[error("another offer is under way")]
    Pending,
    #[error("there is no offer to answer")]
    NoOffer,
    #[error("the answer does not fit the offer")]
    Mismatch,
}

/// What an offer is against what is agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    First,
    /// It says what was said before: a refresh, to be answered with what was answered.
    Same,
    Changed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pending<D> {
    Ours(D),
    Theirs(D),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Agreed<D> {
    ours: D,
    theirs: D,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange<D = Sdp> {
    agreed: Option<Agreed<D>>,
    pending: Option<Pending<D>>,
}

impl<D> Default for Exchange<D> {
    fn default() -> Self {
        Self { agreed: None, pending: None }
    }
}

impl<D: Description> Exchange<D> {
    /// What we said last, of what is agreed.
    pub fn ours(&self) -> Option<&D> {
        self.agreed.as_ref().map(|agreed| &agreed.ours)
    }

    pub fn theirs(&self) -> Option<&D> {
        self.agreed.as_ref().map(|agreed| &agreed.theirs)
    }

    /// The offer that waits for its answer.
    pub fn offered(&self) -> Option<&D> {
        match self.pending.as_ref()? {
            Pending::Ours(sdp) | Pending::Theirs(sdp) => Some(sdp),
        }
    }

    /// Whether it is for us to answer.
    pub fn owes_answer(&self) -> bool {
        matches!(self.pending, Some(Pending::Theirs(_)))
    }

    /// Whether they owe us an answer.
    pub fn awaits_answer(&self) -> bool {
        matches!(self.pending, Some(Pending::Ours(_)))
    }

    pub fn offer_sent(&mut self, sdp: D) -> Result<(), Misplaced> {
        if self.pending.is_some() {
            return Err(Misplaced::Pending);
        }
        self.pending = Some(Pending::Ours(sdp));
        Ok(())
    }

    pub fn offer_received(&mut self, sdp: D) -> Result<Change, Misplaced> {
        if self.pending.is_some() {
            return Err(Misplaced::Pending);
        }
        let change = match &self.agreed {
            None => Change::First,
            Some(agreed) if sdp.says_again(&agreed.theirs) => Change::Same,
            Some(_) => Change::Changed,
        };
        self.pending = Some(Pending::Theirs(sdp));
        Ok(change)
    }

    pub fn answer_sent(&mut self, sdp: D) -> Result<(), Misplaced> {
        match self.pending.take() {
            Some(Pending::Theirs(theirs)) => {
                self.agreed = Some(Agreed { ours: sdp, theirs });
                Ok(())
            }
            other => {
                self.pending = other;
                Err(Misplaced::NoOffer)
            }
        }
    }

    /// An answer that does not fit ends the offer, and leaves what was agreed before. The same answer
    /// again, as a 200 repeats that of a 183, finds no offer and changes nothing.
    pub fn answer_received(&mut self, sdp: D) -> Result<(), Misplaced> {
        match self.pending.take() {
            Some(Pending::Ours(ours)) if sdp.answers(&ours) => {
                self.agreed = Some(Agreed { ours, theirs: sdp });
                Ok(())
            }
            Some(Pending::Ours(_)) => Err(Misplaced::Mismatch),
            other => {
                self.pending = other;
                Err(Misplaced::NoOffer)
            }
        }
    }

    /// The offer was refused, by either side, or lost.
    pub fn abandon(&mut self) {
        self.pending = None;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::Limits;
    use super::*;

    fn sdp(version: u32, streams: &str) -> Sdp {
        let text = format!("v=0\r\no=- 1 {version} IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n{streams}");
        Sdp::parse(&Bytes::from(text), &Limits::default()).unwrap()
    }

    const AUDIO: &str = "m=audio 4000 RTP/AVP 0\r\n";

    #[test]
    fn an_offer_and_its_answer_are_agreed_in_both_directions() {
        let mut exchange = Exchange::default();
        assert_eq!(exchange.offer_received(sdp(1, AUDIO)), Ok(Change::First));
        assert!(exchange.owes_answer() && !exchange.awaits_answer());
        exchange.answer_sent(sdp(7, AUDIO)).unwrap();
        assert_eq!(
            (exchange.ours(), exchange.theirs()),
            (Some(&sdp(7, AUDIO)), Some(&sdp(1, AUDIO)))
        );
        exchange.offer_sent(sdp(8, AUDIO)).unwrap();
        assert!(exchange.awaits_answer());
        exchange.answer_received(sdp(2, AUDIO)).unwrap();
        assert_eq!(
            (exchange.ours(), exchange.theirs()),
            (Some(&sdp(8, AUDIO)), Some(&sdp(2, AUDIO)))
        );
        assert_eq!(exchange.offered(), None);
    }

    #[test]
    fn two_offers_at_once_are_refused() {
        let mut exchange = Exchange::default();
        exchange.offer_sent(sdp(1, AUDIO)).unwrap();
        assert_eq!(exchange.offer_received(sdp(2, AUDIO)), Err(Misplaced::Pending));
        assert_eq!(exchange.offer_sent(sdp(2, AUDIO)), Err(Misplaced::Pending));
        assert_eq!(exchange.answer_sent(sdp(2, AUDIO)), Err(Misplaced::NoOffer));
        assert_eq!(exchange.offered(), Some(&sdp(1, AUDIO)));
    }

    #[test]
    fn an_offer_that_was_refused_leaves_what_was_agreed() {
        let mut exchange = Exchange::default();
        exchange.offer_received(sdp(1, AUDIO)).unwrap();
        exchange.answer_sent(sdp(1, AUDIO)).unwrap();
        let before = exchange.clone();
        exchange.offer_sent(sdp(2, AUDIO)).unwrap();
        exchange.abandon();
        assert_eq!(exchange, before);
        exchange.offer_sent(sdp(2, AUDIO)).unwrap();
        let two = sdp(1, &AUDIO.repeat(2));
        assert_eq!(exchange.answer_received(two), Err(Misplaced::Mismatch));
        assert_eq!(exchange, before);
    }

    #[test]
    fn a_refresh_is_told_from_a_change() {
        let mut exchange = Exchange::default();
        exchange.offer_received(sdp(1, AUDIO)).unwrap();
        exchange.answer_sent(sdp(1, AUDIO)).unwrap();
        assert_eq!(exchange.offer_received(sdp(1, AUDIO)), Ok(Change::Same));
        exchange.abandon();
        assert_eq!(exchange.offer_received(sdp(2, AUDIO)), Ok(Change::Changed));
    }

    #[test]
    fn an_answer_that_comes_again_changes_nothing() {
        let mut exchange = Exchange::default();
        exchange.offer_sent(sdp(1, AUDIO)).unwrap();
        exchange.answer_received(sdp(1, AUDIO)).unwrap();
        let before = exchange.clone();
        assert_eq!(exchange.answer_received(sdp(9, AUDIO)), Err(Misplaced::NoOffer));
        assert_eq!(exchange, before);
    }
}
