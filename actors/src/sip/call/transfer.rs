//! A side is sent to somebody else (REFER, RFC 3515): the new one is rung like any callee, and takes the
//! place of the side that asked once it answers. If nobody does, all stays as it was.
//!
//! Who asks has to be a telephone, and is asked for nothing that it could not dial itself. A transfer to
//! what costs money is refused: the call's slices are of its own tariff, and nobody talks on credit.

use std::time::{Duration, Instant};

use model::voice::{EndReason, HangupBy};
use proto_sip::leg::{Cause, Command, Referred, Told};
use proto_sip::{Method, StatusCode};

use super::ring::{Outcome, Ring};
use super::state::{CallState, now};
use crate::media::Side;
use crate::sip::dialplan::{Caller, CallerId, Dialled, Plan};

/// How long who asked may take to hear how it went, before it is hung up.
const REPORT: Duration = Duration::from_secs(1);

/// A transfer under way.
#[derive(Debug)]
pub(super) struct Transfer {
    /// Where the new one goes.
    side: Side,
    /// The leg that asked.
    pub(super) by: u8,
    /// It has hung up already.
    left: bool,
    /// Legs from this number on are new.
    first: u8,
}

impl Transfer {
    pub(super) fn is_about(&self, leg: u8) -> bool {
        leg >= self.first
    }
}

impl CallState {
    pub(super) async fn transfer(&mut self, side: Side, referred: &Referred) {
        let Some(by) = self.number_of(side) else { return };
        let planned = self.plan_transfer(by, referred);
        let status = match &planned {
            Ok(_) => StatusCode::ACCEPTED,
            Err(status) => *status,
        };
        self.command(by, Command::AnswerRefer { status });
        let Ok(plan) = planned else { return };
        let offer = self.bridge.as_mut().and_then(|bridge| bridge.offer_to_new(side));
        let rounds = if offer.is_some() { self.rounds(&plan).await } else { Vec::new() };
        let first = self.ring.next_leg();
        (self.offer, self.plan) = (offer, Some(plan));
        self.transfer = Some(Transfer { side, by, left: false, first });
        self.ring = Ring::new(rounds, first);
        let mut wishes = Vec::new();
        self.ring.begin(now(), &mut wishes);
        self.wish(wishes).await;
    }

    fn plan_transfer(&self, by: u8, referred: &Referred) -> Result<Plan, StatusCode> {
        if self.transfer.is_some() {
            return Err(StatusCode::REQUEST_PENDING);
        }
        if referred.replaces.is_some() {
            return Err(StatusCode::NOT_IMPLEMENTED);
        }
        let method = referred.to.param("method").flatten();
        if method.is_some_and(|method| method != Method::Invite.as_bytes()) {
            return Err(StatusCode::NOT_IMPLEMENTED);
        }
        let phone = self.legs.iter().find(|(number, _)| *number == by);
        let phone = phone.and_then(|(_, leg)| leg.phone.clone()).ok_or(StatusCode::FORBIDDEN)?;
        let uri = referred.to.to_string();
        let says = CallerId::default();
        let dialled = Dialled::of(&referred.to);
        let plan = self.plan(&Caller::Phone(phone), &uri, dialled, says);
        let plan = plan.map_err(|refused| refused.status())?;
        if plan.rated().tariff.is_free() { Ok(plan) } else { Err(StatusCode::FORBIDDEN) }
    }

    /// Somebody who is rung for a transfer tells something.
    pub(super) async fn take_of_new(&mut self, number: u8, told: Told) {
        let Some(by) = self.transfer.as_ref().map(|transfer| transfer.by) else { return };
        match told {
            Told::Ringing { status, .. } => self.command(by, Command::NotifyRefer { status }),
            Told::Answered { sdp, is_offer: false, .. } => self.new_answered(number, sdp).await,
            Told::Challenged(challenged) => self.challenged(number, &challenged),
            Told::Failed(failure) => {
                let reason = EndReason::of_sip(failure.status.get());
                self.leg_ended(number, reason, Some(failure.status), &failure.cause);
                self.new_failed(number, Outcome::of(failure.status)).await;
            }
            Told::Redirected { .. } | Told::Ended { .. } | Told::Answered { .. } => {
                let cause = Cause::q850(16);
                self.give_up(number, cause);
                let gone = Outcome::of(StatusCode::TEMPORARILY_UNAVAILABLE);
                self.new_failed(number, gone).await;
            }
            Told::Offered { .. } => {
                let status = StatusCode::REQUEST_PENDING;
                self.command(number, Command::RefuseOffer { status });
            }
            _ => {}
        }
    }

    async fn new_failed(&mut self, number: u8, outcome: Outcome) {
        let mut wishes = Vec::new();
        self.ring.failed(now(), number, outcome, &mut wishes);
        self.wish(wishes).await;
    }

    async fn new_answered(&mut self, number: u8, sdp: Option<proto_sip::sdp::Body>) {
        let mut wishes = Vec::new();
        if self.end.is_some() || !self.ring.answered(number, &mut wishes) {
            return self.give_up(number, Cause::q850(16));
        }
        let Some(Transfer { side, by, .. }) = self.transfer.take() else { return };
        let at = self.at();
        if let Some(leg) = self.leg(number) {
            leg.record.answered_at = Some(at);
        }
        self.sides[usize::from(side == Side::B)] = Some(number);
        self.last_sides[usize::from(side == Side::B)] = Some(number);
        let status = StatusCode::OK;
        self.command(by, Command::NotifyRefer { status });
        self.leg_ended(by, EndReason::Normal, None, &Cause::q850(16));
        self.leaving = Some((by, now() + REPORT));
        let mut acts = Vec::new();
        if let Some(bridge) = &mut self.bridge {
            bridge.replaced(side, sdp.as_ref(), &mut acts);
        }
        self.act(acts).await;
        self.wish(wishes).await;
        self.write_will();
    }

    /// Nobody takes the transferred side.
    pub(super) fn nobody_new(&mut self, outcome: &Outcome) {
        let Some(transfer) = self.transfer.take() else { return };
        self.command(transfer.by, Command::NotifyRefer { status: outcome.status });
        if let Some(bridge) = &mut self.bridge {
            bridge.keep();
        }
        if transfer.left {
            self.hang_up(HangupBy::System, EndReason::of_sip(outcome.status.get()));
        }
    }

    /// Who was sent away by its own wish, and has not hung up by itself, is hung up.
    pub(super) fn leaving_due(&mut self, moment: Instant) {
        if let Some((number, _)) = self.leaving.take_if(|(_, at)| *at <= moment) {
            self.command(number, Command::End { cause: Cause::q850(16) });
        }
    }

    /// Who asked for the transfer hangs up before the new one has answered; the other side stays.
    /// `false`: that is not who this is.
    pub(super) fn left_in_transfer(&mut self, number: u8, cause: &Cause) -> bool {
        let is_asker = self.transfer.as_ref().is_some_and(|transfer| transfer.by == number);
        if let Some(transfer) = self.transfer.as_mut().filter(|_| is_asker) {
            transfer.left = true;
            self.leg_ended(number, EndReason::Normal, None, cause);
        }
        is_asker
    }
}
