//! What comes from the wire, and what the legs tell of it.

use model::message::Direction;
use model::voice::{EndReason, HangupBy};
use proto_sip::StatusCode;
use proto_sip::digest::Attempt;
use proto_sip::leg::{self, By, Cause, Challenged, Command, Extra, Failure, Input, Loss, Told};

use super::bridge::{Branch, Bridge};
use super::record;
use super::ring::Outcome;
use super::state::{CallState, End, Follows, Phase, chance, now};
use super::{Heard, Stored};
use crate::media::{Event, Side};
use proto_sip::transaction;

impl CallState {
    pub(super) fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Request { leg, id, flow, message } => {
                self.came(flow, &message);
                self.moved(leg, flow);
                self.step(leg, Input::Request { id, message });
            }
            Heard::Ack { leg, flow, message } => {
                self.came(flow, &message);
                self.step(leg, Input::Ack(message));
            }
            Heard::Cancelled { invite, flow, message } => {
                self.came(flow, &message);
                let cause = Cause::of(&message);
                self.step(0, Input::Cancelled { invite, cause });
            }
            // Who called was answered already: nobody is rung for it any longer.
            Heard::Unanswered => self.hang_up(HangupBy::System, EndReason::AppError),
            Heard::Response { leg, tag, flow, message } => {
                self.came(flow, &message);
                self.ring.heard(leg);
                self.step(leg, Input::Response { tag, message });
            }
            Heard::Failed { leg, tag, why } => {
                let why = match why {
                    transaction::Failure::TimedOut => Loss::TimedOut,
                    _ => Loss::Transport,
                };
                self.was_silent(leg);
                self.step(leg, Input::Failed { tag, why });
            }
        }
    }

    /// Nothing came from where a leg was sent: other places of its name are tried before that one.
    pub(super) fn was_silent(&mut self, number: u8) {
        let place = self.leg(number).filter(|leg| leg.phone.is_none());
        if let Some(place) = place.map(|leg| leg.line.flow().peer()) {
            self.context.names.failed(place);
        }
    }

    /// A telephone that has moved is spoken to where it speaks from.
    fn moved(&mut self, number: u8, flow: crate::sip::flow::Flow) {
        if let Some(leg) = self.leg(number).filter(|leg| leg.follows == Follows::Nobody) {
            leg.line.move_to(flow);
        }
    }

    pub(super) async fn stored(&mut self, stored: Stored) {
        match stored {
            Stored::Opened(done) => self.opened(done).await,
            Stored::Renewed(done) => self.renewed(done),
            Stored::Closed(done) => self.closed(done.as_ref()),
            Stored::Kept => self.kept(),
            Stored::Obeyed(answer) => {
                let _ = answer.send(Ok(()));
            }
        }
    }

    pub(super) async fn sound(&mut self, side: Side, event: Event) {
        match event {
            // Who waits for an answer, or holds, may say nothing; a new description begins the time anew.
            Event::Silent if self.phase != Phase::Up || self.is_held() => {}
            Event::Silent => self.hang_up(HangupBy::System, EndReason::MediaTimeout),
            Event::Broken => self.hang_up(HangupBy::System, EndReason::CarrierError),
            Event::FirstPacket
            | Event::Latched(_)
            | Event::Stranger(_)
            | Event::Pressed(_)
            | Event::Released(..)
            | Event::DigitsSent => {}
            Event::Played(sound) => self.played(side, sound).await,
        }
    }

    fn is_held(&self) -> bool {
        self.bridge.as_ref().is_some_and(Bridge::is_held)
    }

    /// One thing that a leg tells.
    pub(super) async fn take(&mut self, number: u8, told: Told) {
        if let Some(transfer) = &self.transfer
            && transfer.is_about(number)
        {
            return self.take_of_new(number, told).await;
        }
        if self.transfer.is_some() && matches!(told, Told::Offered { .. }) {
            // Somebody else may answer it.
            let status = StatusCode::REQUEST_PENDING;
            return self.command(number, Command::RefuseOffer { status });
        }
        let Some(told) = self.taken_by_tie(number, told) else { return };
        if let Told::Ended { cause, .. } = &told
            && self.left_in_transfer(number, cause)
        {
            return;
        }
        let side = match self.sides {
            [Some(caller), _] if caller == number => Some(Side::A),
            [_, Some(callee)] if callee == number => Some(Side::B),
            _ => None,
        };
        match (side, told) {
            (Some(Side::A), Told::Invited { sdp, replaces: None }) => self.invited(sdp).await,
            (Some(Side::A), Told::Invited { sdp, replaces: Some(replaces) }) => {
                self.invited_in_place(sdp, &replaces).await;
            }
            (Some(_), Told::Challenged(challenged)) => self.challenged(number, &challenged),
            (Some(side), told) if self.phase == Phase::Up => self.bridged(side, told).await,
            (Some(Side::A), Told::Ended { by, cause }) => self.gave_up(by, cause).await,
            (Some(side), told) => self.early(side, told).await,
            (None, told) => self.called(number, told).await,
        }
    }

    /// A caller who is not answered yet does something.
    async fn early(&mut self, side: Side, told: Told) {
        match told {
            Told::Offered { .. } => {
                let status = StatusCode::REQUEST_PENDING;
                if let Some(number) = self.sides[usize::from(side == Side::B)] {
                    self.command(number, Command::RefuseOffer { status });
                }
            }
            other => self.bridged(side, other).await,
        }
    }

    /// The caller does not wait any longer.
    async fn gave_up(&mut self, by: By, cause: Cause) {
        let mut wishes = Vec::new();
        self.ring.stop(&cause, &mut wishes);
        self.wish(wishes).await;
        let (reason, by) = match by {
            By::Them => (EndReason::Canceled, HangupBy::Caller),
            _ => (EndReason::CarrierError, HangupBy::System),
        };
        let status = Some(StatusCode::REQUEST_TERMINATED);
        self.finish(End { at: self.at(), reason, status, cause, by });
    }

    /// Somebody who is rung tells something.
    async fn called(&mut self, number: u8, told: Told) {
        match told {
            Told::Ringing { fork, status, sdp } => {
                self.rang(number);
                self.ring.rang(number);
                let alone = self.ring.live() == 1;
                let branch = Branch { leg: number, fork };
                let mut acts = Vec::new();
                if let Some(bridge) = &mut self.bridge {
                    bridge.ringing(branch, status, sdp.as_ref(), alone, &mut acts);
                }
                self.act(acts).await;
            }
            Told::Answered { fork, sdp, is_offer } => {
                self.answered(Branch { leg: number, fork }, sdp.as_ref(), is_offer).await;
            }
            Told::Challenged(challenged) => self.challenged(number, &challenged),
            Told::Failed(failure) => self.not_answered(number, &failure).await,
            Told::Redirected { status, .. } => {
                let outcome = Outcome { cause: Cause::q850(23), ..Outcome::of(status) };
                self.leg_ended(number, EndReason::Unallocated, Some(status), &outcome.cause);
                let gone = Outcome::of(StatusCode::TEMPORARILY_UNAVAILABLE);
                self.failed(number, gone).await;
            }
            Told::Ended { by: _, cause } => {
                self.leg_ended(number, EndReason::Canceled, None, &cause);
                self.failed(number, Outcome::of(StatusCode::TEMPORARILY_UNAVAILABLE)).await;
            }
            Told::Offered { .. } => {
                let status = StatusCode::REQUEST_PENDING;
                self.command(number, Command::RefuseOffer { status });
            }
            _ => {}
        }
    }

    fn rang(&mut self, number: u8) {
        let at = self.at();
        if let Some(leg) = self.leg(number) {
            record::rang(&mut leg.record, at);
        }
        if let Some(caller) = self.sides[0].and_then(|caller| self.leg(caller)) {
            record::rang(&mut caller.record, at);
        }
        self.rang_at.get_or_insert(at);
        let remind_at = now() + self.context.limits.remind;
        self.remind_at.get_or_insert(remind_at);
        self.tell_row();
    }

    async fn not_answered(&mut self, number: u8, failure: &Failure) {
        let status = failure.status;
        let reason = match failure.cause.q850.and_then(|cause| u8::try_from(cause).ok()) {
            // 4xx without words of its own says enough; a cause behind 5xx says more.
            Some(cause) if status.get() >= 500 && status.get() < 600 => EndReason::of_q850(cause),
            _ => EndReason::of_sip(status.get()),
        };
        self.leg_ended(number, reason, Some(status), &failure.cause);
        let (cause, retry_after_s) = (failure.cause.clone(), failure.retry_after_s);
        self.failed(number, Outcome { status, cause, retry_after_s }).await;
    }

    pub(super) async fn failed(&mut self, number: u8, outcome: Outcome) {
        let mut wishes = Vec::new();
        self.ring.failed(now(), number, outcome, &mut wishes);
        if wishes.is_empty() {
            self.write_will();
        }
        self.wish(wishes).await;
    }

    pub(super) fn leg_ended(
        &mut self,
        number: u8,
        reason: EndReason,
        status: Option<StatusCode>,
        cause: &Cause,
    ) {
        let at = self.at();
        if let Some(leg) = self.leg(number) {
            record::ended(&mut leg.record, at, reason, status, cause);
            leg.channel = None;
        }
    }

    /// A leg is not rung any longer.
    pub(super) fn give_up(&mut self, number: u8, cause: Cause) {
        self.seeking.forget(number);
        let elsewhere = cause.sip == Some(200);
        let reason = if elsewhere { EndReason::Canceled } else { EndReason::NoAnswer };
        self.leg_ended(number, reason, None, &cause);
        self.command(number, Command::End { cause });
    }

    /// Nobody answers: the caller hears why.
    pub(super) fn nobody(&mut self, outcome: Outcome) {
        if self.transfer.is_some() {
            return self.nobody_new(&outcome);
        }
        self.fail(outcome, HangupBy::Callee);
    }

    /// Somebody from outside called a number of ours.
    fn is_of_number(&self) -> bool {
        let plan = self.plan.as_ref();
        plan.is_some_and(|plan| plan.number.is_some() && plan.direction == Direction::Inbound)
    }

    pub(super) fn fail(&mut self, outcome: Outcome, by: HangupBy) {
        let reason = EndReason::of_sip(outcome.status.get());
        let mut cause = outcome.cause;
        cause.q850.get_or_insert(u16::from(reason.q850()));
        let mut extra = Extra::default();
        if let Some(retry) = outcome.retry_after_s {
            let _ = extra.add("Retry-After", retry.to_string().as_str());
        }
        // A refusal of a carrier's is about us, not about who called us.
        let status = match outcome.status.get() {
            // To a carrier a number of ours is not there: it need not look for another way to it.
            401 | 407 | 408 | 500..600 if by == HangupBy::Callee && self.is_of_number() => {
                StatusCode::TEMPORARILY_UNAVAILABLE
            }
            401 | 407 => StatusCode::SERVICE_UNAVAILABLE,
            _ => outcome.status,
        };
        let caller = self.sides[0].unwrap_or_default();
        self.command(caller, Command::Reject { status, cause: cause.clone(), extra });
        self.finish(End { at: self.at(), reason, status: Some(status), cause, by });
    }

    /// A request of ours is to prove who we are: only a carrier that gave us a password hears it. One
    /// that cannot ends alone: a call goes on without its hold or its digit.
    pub(super) fn challenged(&mut self, number: u8, challenged: &Challenged) {
        let cnonce = format!("{:016x}", chance());
        let answer = self.leg(number).and_then(|leg| {
            let (client, attempt) = leg.client.as_mut()?;
            if challenged.before == 0 {
                *attempt = Attempt::default();
            }
            leg::credentials(challenged, client, attempt, &cnonce).ok()
        });
        let tag = challenged.tag;
        let command = answer.map_or(Command::Unauthorized { tag }, |answer| {
            let (header, value) = (answer.header, answer.value);
            Command::Authorize { tag, header, value }
        });
        self.command(number, command);
    }
}
