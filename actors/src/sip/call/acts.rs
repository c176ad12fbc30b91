//! What the bridge wants, the answer, and what time brings to a call.

use std::net::IpAddr;

use model::voice::{EndReason, HangupBy};
use proto_sip::StatusCode;
use proto_sip::leg::{By, Cause, Command, Told};
use proto_sip::sdp::Body;
use store::lane::{CallChange, CallDone, Renewal};

use super::Stored;
use super::bridge::{Act, Branch, Bridge};
use super::dial::Target;
use super::money::{Due, Money};
use super::ring::{Outcome, Wish};
use super::state::{CallState, End, Phase, now};
use super::tie::FAR;
use crate::media::Side;

impl CallState {
    /// A side of the call is told something that concerns the other.
    pub(super) async fn bridged(&mut self, side: Side, told: Told) {
        let mut acts = Vec::new();
        if let Some(bridge) = &mut self.bridge {
            bridge.told(side, told, &mut acts);
        }
        self.act(acts).await;
    }

    pub(super) async fn act(&mut self, acts: Vec<Act>) {
        // What is agreed with both sides at once is one order to the relay.
        let mut agreed = Vec::new();
        for act in acts {
            if let Act::Sound { side, is_other_peer } = act {
                agreed.push((side, is_other_peer));
                continue;
            }
            self.agree(&mut agreed).await;
            match act {
                Act::Tell(side, command) => {
                    if let Some(number) = self.number_of(side) {
                        self.command(number, command);
                    }
                }
                Act::Sound { .. } => {}
                Act::Held(side) => self.holds(side, true).await,
                Act::Resumed(side) => self.holds(side, false).await,
                Act::Transfer(side, referred) => self.transfer(side, &referred).await,
                Act::Over { side, by, cause } => self.over(side, by, cause),
            }
        }
        self.agree(&mut agreed).await;
    }

    pub(super) fn number_of(&self, side: Side) -> Option<u8> {
        self.sides[usize::from(side == Side::B)]
    }

    /// The relay hears what was agreed with these sides.
    async fn agree(&mut self, agreed: &mut Vec<(Side, bool)>) {
        if agreed.is_empty() {
            return;
        }
        self.before_agreed().await;
        let (Some(bridge), Some(session)) = (&self.bridge, &self.session) else { return };
        let (mut remotes, mut told) = (Vec::new(), Vec::new());
        for (side, is_other_peer) in std::mem::take(agreed) {
            let Some(mut remote) = bridge.relay().remote(side, is_other_peer) else { continue };
            let number = self.number_of(side);
            remote.signalling = number.and_then(|number| self.signalling_of(number));
            remotes.push((side, remote));
            told.push((side, is_other_peer, bridge.relay().codec(side)));
        }
        if remotes.is_empty() {
            return;
        }
        if let Err(refused) = session.describe(remotes) {
            tracing::warn!(%refused, "a call's sound goes nowhere");
            return self.hang_up(HangupBy::System, EndReason::CarrierError);
        }
        for (side, is_other_peer, codec) in told {
            if let Some(leg) = self.number_of(side).and_then(|number| self.leg(number)) {
                leg.record.codec = codec;
            }
            self.agreed(side, is_other_peer).await;
        }
    }

    /// Where the signalling of a leg comes from, also of one that another call has.
    pub(super) fn signalling_of(&self, number: u8) -> Option<IpAddr> {
        if number == FAR {
            return self.ties.far.as_ref().and_then(|far| far.signalling);
        }
        let leg = self.legs.iter().find(|(of, _)| *of == number);
        leg.map(|(_, leg)| leg.line.flow().peer().ip())
    }

    /// Somebody new is here: an order to wait was about somebody else.
    pub(super) async fn unpark(&mut self) {
        let parked = self.bridge.as_mut().map(Bridge::unpark).unwrap_or_default();
        for side in parked {
            if let Some(session) = &self.session {
                let _ = session.hold(side, false).await;
            }
            if let Some(leg) = self.number_of(side).and_then(|number| self.leg(number)) {
                leg.record.on_hold = false;
            }
            self.goes_on(side, HangupBy::Api).await;
        }
    }

    async fn holds(&mut self, side: Side, on: bool) {
        if let Some(leg) = self.number_of(side).and_then(|number| self.leg(number)) {
            leg.record.on_hold = on;
        }
        let by = if side == Side::A { HangupBy::Caller } else { HangupBy::Callee };
        if on {
            let music = self.context.taping.hold_music();
            return self.waits(side.other(), music, by).await;
        }
        self.goes_on(side.other(), by).await;
    }

    /// Somebody answers.
    pub(super) async fn answered(&mut self, branch: Branch, sdp: Option<&Body>, is_offer: bool) {
        let mut wishes = Vec::new();
        if self.end.is_some() || !self.ring.answered(branch.leg, &mut wishes) {
            let cause = Cause::q850(16);
            return self.give_up(branch.leg, cause);
        }
        self.up(branch, sdp, (is_offer, wishes)).await;
    }

    /// The call is answered, and has this leg on its other side.
    pub(super) async fn up(
        &mut self,
        branch: Branch,
        sdp: Option<&Body>,
        (is_offer, wishes): (bool, Vec<Wish<Target>>),
    ) {
        let mut acts = Vec::new();
        if let Some(bridge) = &mut self.bridge {
            bridge.answered(branch, sdp, is_offer, &mut acts);
        }
        self.sides[1] = Some(branch.leg);
        self.last_sides = self.sides;
        // What cannot be relayed is no answer, and costs nothing.
        if acts.iter().any(|act| matches!(act, Act::Over { .. })) {
            self.act(acts).await;
            return self.wish(wishes).await;
        }
        self.phase = Phase::Up;
        let (moment, at) = (now(), self.at());
        self.answered_at = Some((moment, at));
        let waited = moment.saturating_duration_since(self.clock.began());
        metrics::histogram!("orbit_call_answer_seconds").record(waited);
        self.money.answered(moment);
        for number in self.sides.into_iter().flatten() {
            if let Some(leg) = self.leg(number) {
                leg.record.answered_at = Some(at);
            }
        }
        // The store hears of the answer, and the will is of a call that is up, before anything can end it.
        self.write_will();
        self.tell_row();
        self.act(acts).await;
        self.wish(wishes).await;
        self.write_will();
    }

    /// A side has ended the call.
    pub(super) fn over(&mut self, side: Side, by: By, cause: Cause) {
        let hangup = match (by, side) {
            (By::Them, Side::A) => HangupBy::Caller,
            (By::Them, Side::B) => HangupBy::Callee,
            _ => HangupBy::System,
        };
        let q850 = cause.q850.and_then(|cause| u8::try_from(cause).ok());
        let reason = match by {
            By::Them | By::Us => q850.map_or(EndReason::Normal, EndReason::of_q850),
            By::AckMissing | By::PrackMissing | By::SessionTimer | By::Lost | By::Protocol => {
                EndReason::CarrierError
            }
        };
        self.finish(End { at: self.at(), reason, status: None, cause, by: hangup });
    }

    /// The call has to end, whoever wants it.
    pub(super) fn hang_up(&mut self, by: HangupBy, reason: EndReason) {
        if self.end.is_some() {
            return;
        }
        let words = Some(reason.as_str().to_owned());
        let cause = Cause { q850: Some(u16::from(reason.q850())), sip: None, words };
        let mut wishes = Vec::new();
        self.ring.stop(&cause, &mut wishes);
        let numbers: Vec<u8> = self.legs.iter().map(|(number, _)| *number).collect();
        for number in numbers {
            self.command(number, Command::End { cause: cause.clone() });
        }
        self.finish(End { at: self.at(), reason, status: None, cause, by });
    }

    /// Whom time takes out of the ring is given up, and the next rung: by the queue of what is told, so
    /// that a tick stays short.
    pub(super) async fn ring_due(&mut self, moment: std::time::Instant) {
        let mut wishes = Vec::new();
        self.ring.tick(moment, &mut wishes);
        self.wish(wishes).await;
        if self.phase != Phase::Ringing {
            return;
        }
        if self.ring_until.is_some_and(|at| at <= moment) {
            let mut wishes = Vec::new();
            self.ring.stop(&Cause::q850(19), &mut wishes);
            self.wish(wishes).await;
            let gone = Outcome::of(StatusCode::TEMPORARILY_UNAVAILABLE);
            return self.fail(Outcome { cause: Cause::q850(19), ..gone }, HangupBy::System);
        }
        if self.remind_at.is_some_and(|at| at <= moment) {
            self.remind_at = Some(moment + self.context.limits.remind);
            let mut acts = Vec::new();
            if let Some(bridge) = &self.bridge {
                bridge.remind(&mut acts);
            }
            self.act(acts).await;
        }
    }

    pub(super) fn money_due(&mut self, moment: std::time::Instant) {
        if self.phase != Phase::Up {
            return;
        }
        let longest = self.context.limits.duration;
        if self.answered_at.is_some_and(|(at, _)| at + longest <= moment) {
            return self.hang_up(HangupBy::System, EndReason::MaxDuration);
        }
        match (Money::due(&mut self.money, moment), self.row.key) {
            (Some(Due::Renew { slice, seconds }), Some(key)) => {
                self.ask(CallChange::Renew { key, slice, seconds }, Stored::Renewed);
            }
            (Some(Due::End), _) => self.hang_up(HangupBy::System, EndReason::BalanceExhausted),
            _ => {}
        }
    }

    pub(super) fn renewed(&mut self, done: Option<CallDone>) {
        match done {
            Some(CallDone::Renewed(Renewal::Until { covered_s })) => self.money.renewed(covered_s),
            Some(CallDone::Renewed(Renewal::Exhausted(_) | Renewal::Over)) => {
                self.money.exhausted();
            }
            _ => self.money.unknown(now()),
        }
    }
}
