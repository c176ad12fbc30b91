//! What one side of a call is told becomes what the other side is asked: ringing, sound before the answer,
//! the answer, offers and their answers, digits, transfers, the end.
//!
//! Pure. The legs keep the rules of SIP, each for itself; here is only which of them hears what of the
//! other. While one side's offer is under way to the other, an offer of the other waits its turn (491).

use proto_sip::StatusCode;
use proto_sip::leg::{By, Cause, Command, Extra, Referred, Told};
use proto_sip::sdp::Body;

use super::media::Relay;
use crate::media::Side;

/// What is to be done, in this order.
#[derive(Debug)]
pub(super) enum Act {
    Tell(Side, Command),
    /// The relay is to be told what was agreed with a side.
    Sound {
        side: Side,
        is_other_peer: bool,
    },
    Held(Side),
    Resumed(Side),
    /// A side wants the other one to talk to somebody else.
    Transfer(Side, Box<Referred>),
    /// A side has ended the call; the other was told.
    Over {
        side: Side,
        by: By,
        cause: Cause,
    },
}

/// A branch of the call that was heard before it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Branch {
    pub leg: u8,
    pub fork: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Ringing,
    /// The callee's 200 has an offer, and its answer comes with the caller's ACK.
    Delayed,
    Up,
}

/// Both sides of one call.
#[derive(Debug)]
pub(super) struct Bridge {
    relay: Relay,
    phase: Phase,
    rang: Option<StatusCode>,
    /// Whose sound the caller hears.
    early: Option<Branch>,
    /// Whose offer is under way to the other side.
    asking: Option<Side>,
    /// Sides that were offered something by nobody's wish but ours, and have not answered: what they
    /// answer is no answer to anybody else.
    ours: [bool; 2],
    /// Sides that are to be offered what the other said last, when they have nothing else to answer.
    resync: [bool; 2],
    /// A side was given an offer of ours because it asked for one; its answer is news to the other.
    gave: Option<Side>,
    /// A side was offered what somebody new on the other one says, and has not answered yet.
    fresh: Option<Side>,
    held: [bool; 2],
}

impl Bridge {
    #[must_use]
    pub(super) fn new(relay: Relay) -> Self {
        Self {
            relay,
            phase: Phase::Ringing,
            rang: None,
            early: None,
            asking: None,
            ours: [false, false],
            resync: [false, false],
            gave: None,
            fresh: None,
            held: [false, false],
        }
    }

    #[must_use]
    pub(super) fn relay(&self) -> &Relay {
        &self.relay
    }

    /// The caller hears once more that it rings, or proxies on the way would give it up (RFC 3261
    /// §13.3.1.1).
    pub(super) fn remind(&self, out: &mut Vec<Act>) {
        if let Some(status) = self.rang {
            let extra = Extra::default();
            out.push(tell(Side::A, Command::Ring { status, sdp: None, reliable: false, extra }));
        }
    }

    /// Whether a side does not want to hear, or to be heard.
    #[must_use]
    pub(super) fn is_held(&self) -> bool {
        Side::BOTH.into_iter().any(|side| self.relay.holds(side))
    }

    /// What those who are called are offered; none if the caller leaves the offer to them.
    pub(super) fn offer(&mut self, from_caller: Option<&Body>) -> Result<Option<Body>, StatusCode> {
        from_caller.map(|body| self.relay.pass(Side::A, body)).transpose()
    }

    /// Whether the caller seals its sound.
    #[must_use]
    pub(super) fn seals(&self) -> bool {
        self.relay.is_sealed(Side::A)
    }

    /// The caller's offer for a callee that speaks these codecs alone, or seals its sound.
    pub(super) fn offer_to(&mut self, seal: bool, codecs: &[String]) -> Result<Body, StatusCode> {
        self.relay.offer(seal, codecs)
    }

    /// Somebody who is called says how it goes. `alone`: nobody else is called.
    pub(super) fn ringing(
        &mut self,
        branch: Branch,
        status: StatusCode,
        sdp: Option<&Body>,
        alone: bool,
        out: &mut Vec<Act>,
    ) {
        let is_first = self.early.is_none();
        let may_speak = alone && self.relay.said(Side::B).is_some() && is_first;
        let passed = sdp.filter(|_| may_speak).map(|sdp| self.relay.pass_answer(Side::B, sdp));
        if let Some(Ok(told)) = passed {
            self.early = Some(branch);
            self.rang = Some(StatusCode::SESSION_PROGRESS);
            let status = StatusCode::SESSION_PROGRESS;
            let (sdp, extra) = (Some(told), Extra::default());
            out.push(tell(Side::A, Command::Ring { status, sdp, reliable: true, extra }));
            self.sound(false, out);
            return;
        }
        // An answer that is heard already is not rung over.
        let status =
            if status == StatusCode::SESSION_PROGRESS { StatusCode::RINGING } else { status };
        if self.rang != Some(status) && is_first {
            self.rang = Some(status);
            let extra = Extra::default();
            out.push(tell(Side::A, Command::Ring { status, sdp: None, reliable: false, extra }));
        }
    }

    /// Somebody answers, and is the callee from now on.
    pub(super) fn answered(
        &mut self,
        branch: Branch,
        sdp: Option<&Body>,
        is_offer: bool,
        out: &mut Vec<Act>,
    ) {
        let extra = Extra::default();
        if self.early == Some(branch) && !is_offer {
            self.phase = Phase::Up;
            out.push(tell(Side::A, Command::Answer { sdp: None, extra }));
            let is_other_peer = sdp.is_some_and(|sdp| self.answers_otherwise(sdp));
            return self.sound(is_other_peer, out);
        }
        let told = sdp.ok_or(StatusCode::NOT_ACCEPTABLE_HERE);
        let passed = told.and_then(|sdp| match is_offer {
            true => self.relay.pass(Side::B, sdp),
            false => self.relay.pass_answer(Side::B, sdp),
        });
        let told = match passed {
            Ok(told) => told,
            Err(status) => return Self::unfit(status, out),
        };
        if is_offer {
            self.phase = Phase::Delayed;
            out.push(tell(Side::A, Command::Answer { sdp: Some(told), extra }));
            return;
        }
        self.phase = Phase::Up;
        if self.early.is_some() {
            // The caller has another branch's answer, and may have acknowledged it.
            self.resync[index(Side::A)] = true;
            out.push(tell(Side::A, Command::Answer { sdp: None, extra }));
        } else {
            out.push(tell(Side::A, Command::Answer { sdp: Some(told), extra }));
        }
        self.sound(self.early.is_some(), out);
    }

    /// The answer of a callee that was heard before it: what it said while it rang was a preview, and
    /// another machine may speak now. Whether it speaks from elsewhere; the caller hears of it if it has
    /// to speak otherwise.
    fn answers_otherwise(&mut self, sdp: &Body) -> bool {
        if self.relay.heard(Side::B) == Some(sdp) {
            return false;
        }
        let before = self.relay.remote(Side::B, false);
        self.relay.remember();
        if self.relay.pass_answer(Side::B, sdp).is_err() {
            self.relay.restore();
            return false;
        }
        let (Some(before), Some(after)) = (before, self.relay.remote(Side::B, false)) else {
            return true;
        };
        let same = (before.sends, before.receives) == (after.sends, after.receives)
            && before.send == after.send;
        if !same {
            self.resync[index(Side::A)] = true;
        }
        before.rtp != after.rtp
    }

    /// What was agreed cannot be relayed: nobody would hear anything.
    fn unfit(status: StatusCode, out: &mut Vec<Act>) {
        let cause = Cause { q850: Some(88), sip: Some(status.get()), words: None };
        out.push(tell(Side::B, Command::End { cause: cause.clone() }));
        let extra = Extra::default();
        out.push(tell(Side::A, Command::Reject { status, cause: cause.clone(), extra }));
        out.push(Act::Over { side: Side::B, by: By::Us, cause });
    }

    /// Both sides are there, and this one is told something.
    pub(super) fn told(&mut self, side: Side, told: Told, out: &mut Vec<Act>) {
        let other = side.other();
        match told {
            Told::Acknowledged => self.settle(side, out),
            Told::Offered { sdp: Some(sdp) } => self.offered(side, &sdp, out),
            Told::Offered { sdp: None } => self.wants_offer(side, out),
            Told::OfferAnswered { sdp } => self.offer_answered(side, &sdp, out),
            Told::OfferRefused { status } => {
                self.ours[index(side)] = false;
                self.gave.take_if(|gave| *gave == side);
                if self.asking == Some(other) {
                    self.asking = None;
                    self.relay.restore();
                    out.push(tell(other, Command::RefuseOffer { status }));
                }
                self.settle_both(out);
            }
            Told::OfferWithdrawn if self.asking == Some(side) => {
                self.asking = None;
                self.relay.restore();
                (self.ours[index(other)], self.resync[index(other)]) = (true, true);
            }
            Told::Info { content_type, body } => {
                let content_type = String::from_utf8_lossy(&content_type).into_owned();
                out.push(tell(other, Command::Info { content_type, body }));
            }
            Told::Referred(referred) => out.push(Act::Transfer(side, referred)),
            Told::Ended { by, mut cause } => {
                if by == By::Them {
                    // Who hangs up without a word has cleared the call as usual.
                    cause.q850.get_or_insert(16);
                }
                out.push(tell(other, Command::End { cause: cause.clone() }));
                out.push(Act::Over { side, by, cause });
            }
            _ => {}
        }
    }

    fn offered(&mut self, side: Side, sdp: &Body, out: &mut Vec<Act>) {
        if !self.may_ask() {
            let status = StatusCode::REQUEST_PENDING;
            return out.push(tell(side, Command::RefuseOffer { status }));
        }
        self.relay.remember();
        match self.relay.pass(side, sdp) {
            Ok(sdp) => {
                self.asking = Some(side);
                out.push(tell(side.other(), Command::Offer { sdp }));
            }
            Err(status) => {
                self.relay.restore();
                out.push(tell(side, Command::RefuseOffer { status }));
            }
        }
    }

    /// A side asks what there is to talk over: what the other one said last.
    fn wants_offer(&mut self, side: Side, out: &mut Vec<Act>) {
        match self.may_ask().then(|| self.relay.again(side.other())).flatten() {
            Some(sdp) => {
                self.gave = Some(side);
                out.push(tell(side, Command::AnswerOffer { sdp }));
            }
            None => {
                let status = StatusCode::REQUEST_PENDING;
                out.push(tell(side, Command::RefuseOffer { status }));
            }
        }
    }

    fn offer_answered(&mut self, side: Side, sdp: &Body, out: &mut Vec<Act>) {
        let other = side.other();
        self.ours[index(side)] = false;
        let is_delayed = self.phase == Phase::Delayed && side == Side::A;
        if is_delayed || self.asking == Some(other) {
            match self.relay.pass_answer(side, sdp) {
                Ok(sdp) => {
                    self.resync[index(other)] = false;
                    out.push(tell(other, Command::AnswerOffer { sdp }));
                }
                Err(status) if is_delayed => {
                    let cause = Cause::sip(status);
                    out.push(tell(Side::A, Command::End { cause: cause.clone() }));
                    out.push(tell(Side::B, Command::End { cause: cause.clone() }));
                    return out.push(Act::Over { side: Side::A, by: By::Us, cause });
                }
                Err(status) => out.push(tell(other, Command::RefuseOffer { status })),
            }
            (self.asking, self.phase) = (None, Phase::Up);
            self.sound(false, out);
            self.note_hold(other, out);
        } else if self.gave == Some(side) {
            self.gave = None;
            self.offered_by_us(side, sdp, out);
        } else {
            self.relay.hear(side, sdp);
            out.push(Act::Sound { side, is_other_peer: false });
            let is_fresh = self.fresh.take_if(|fresh| *fresh == side).is_some();
            if is_fresh && self.relay.holds(side) {
                // Who is new was told otherwise.
                self.resync[index(other)] = true;
                self.note_hold(side, out);
            }
        }
        self.settle_both(out);
    }

    /// A side answered an offer of ours with something new, which the other has to hear.
    fn offered_by_us(&mut self, side: Side, sdp: &Body, out: &mut Vec<Act>) {
        if let Ok(sdp) = self.relay.pass(side, sdp) {
            self.propose(side.other(), sdp, out);
        }
        out.push(Act::Sound { side, is_other_peer: false });
        self.note_hold(side, out);
    }

    /// A side is offered something by us, or what counts then when it has answered what it has.
    fn propose(&mut self, side: Side, sdp: Body, out: &mut Vec<Act>) {
        if self.ours[index(side)] {
            self.resync[index(side)] = true;
        } else {
            self.ours[index(side)] = true;
            out.push(tell(side, Command::Offer { sdp }));
        }
    }

    /// A side has nothing under way: what it has missed is offered now.
    fn settle(&mut self, side: Side, out: &mut Vec<Act>) {
        if !self.resync[index(side)] || !self.may_ask() {
            return;
        }
        self.resync[index(side)] = false;
        out.extend(self.again_to(side).map(|sdp| tell(side, Command::Offer { sdp })));
    }

    fn settle_both(&mut self, out: &mut Vec<Act>) {
        Side::BOTH.into_iter().for_each(|side| self.settle(side, out));
    }

    /// By an order of ours a side is to wait, or not any more: it is offered that. False: an offer is under
    /// way already.
    pub(super) fn park(&mut self, side: Side, on: bool, out: &mut Vec<Act>) -> bool {
        if !self.is_free() {
            return false;
        }
        self.relay.park(side, on);
        match self.again_to(side) {
            Some(sdp) => out.push(tell(side, Command::Offer { sdp })),
            None => self.relay.park(side, !on),
        }
        true
    }

    /// What somebody new on this side is offered: what the other side said last, as if nobody waited.
    pub(super) fn offer_to_new(&mut self, side: Side, seal: bool) -> Option<Body> {
        self.relay.remember();
        self.relay.anew(side.other(), seal)
    }

    /// What a side said last, for another call, as if nobody waited.
    pub(super) fn spoken(&self, side: Side) -> Option<Body> {
        self.relay.spoken(side)
    }

    /// A side is to be offered once more what the other one said: now, or when it has answered what it
    /// was offered before.
    pub(super) fn again_to(&mut self, side: Side) -> Option<Body> {
        if self.ours[index(side)] {
            self.resync[index(side)] = true;
            return None;
        }
        let sdp = self.relay.again(side.other());
        self.ours[index(side)] = sdp.is_some();
        sdp
    }

    /// A side was offered something by another call, or has answered that there.
    pub(super) fn offered_elsewhere(&mut self, side: Side, is_open: bool) {
        self.ours[index(side)] = is_open;
    }

    /// Whether an answer that comes now can be taken for no other one's.
    fn may_ask(&self) -> bool {
        let is_agreed = self.asking.is_none() && self.gave.is_none();
        self.phase == Phase::Up && is_agreed && self.ours == [false; 2]
    }

    /// Whether nothing is being agreed on, nor is about to be.
    #[must_use]
    pub(super) fn is_free(&self) -> bool {
        self.may_ask() && self.resync == [false; 2]
    }

    #[must_use]
    pub(super) fn is_sealed(&self, side: Side) -> bool {
        self.relay.is_sealed(side)
    }

    /// Nobody waits by an order any more; who did.
    pub(super) fn unpark(&mut self) -> Vec<Side> {
        let parked = Side::BOTH.into_iter().filter(|side| self.relay.is_parked(*side));
        let parked: Vec<Side> = parked.collect();
        parked.iter().for_each(|side| self.relay.park(*side, false));
        parked
    }

    /// Nobody new came.
    pub(super) fn keep(&mut self) {
        self.relay.restore();
    }

    /// Somebody new is on this side, and the other one hears of it.
    pub(super) fn replaced(&mut self, side: Side, sdp: Option<&Body>, out: &mut Vec<Act>) {
        (self.asking, self.gave, self.resync) = (None, None, [false; 2]);
        self.ours[index(side)] = false;
        self.held = [false, false];
        self.fresh = Some(side.other());
        if let Some(Ok(sdp)) = sdp.map(|sdp| self.relay.pass(side, sdp)) {
            self.propose(side.other(), sdp, out);
        }
        out.push(Act::Sound { side, is_other_peer: true });
    }

    fn sound(&self, is_other_peer: bool, out: &mut Vec<Act>) {
        out.push(Act::Sound { side: Side::A, is_other_peer: false });
        out.push(Act::Sound { side: Side::B, is_other_peer });
    }

    fn note_hold(&mut self, side: Side, out: &mut Vec<Act>) {
        let holds = self.relay.holds(side);
        let held = &mut self.held[index(side)];
        if *held != holds {
            *held = holds;
            out.push(if holds { Act::Held(side) } else { Act::Resumed(side) });
        }
    }
}

fn index(side: Side) -> usize {
    usize::from(side == Side::B)
}

fn tell(side: Side, command: Command) -> Act {
    Act::Tell(side, command)
}

#[cfg(test)]
mod tests;
