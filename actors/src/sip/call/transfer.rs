//! A side is sent to somebody else (REFER, RFC 3515): the new one is rung like any callee, and takes the
//! place of the side that asked once it answers. If nobody does, all stays as it was.
//!
//! Who asks has to be a telephone, and is asked for nothing that it could not dial itself. To what costs
//! money who stays is sent as a call of its own (`sent`), whose organization pays for it like for any that
//! it dials: this call's slices are of its own tariff. One that names a dialog joins two calls (`join`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::voice::{EndReason, HangupBy};
use proto_sip::leg::{Cause, Command, Referred, Told};
use proto_sip::{Method, StatusCode};

use super::bridge::Bridge;
use super::orders::Unobeyed;
use super::ring::{Outcome, Ring};
use super::state::{CallState, now};
use super::tie::{About, FAR, Why};
use crate::media::Side;
use crate::sip::credentials::Credential;
use crate::sip::dialplan::{Caller, CallerId, Dialled, Plan, Refused};

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
    /// Whom they are. It is the call's when one of them answers.
    plan: Plan,
}

impl Transfer {
    pub(super) fn is_about(&self, leg: u8) -> bool {
        leg >= self.first && leg != FAR
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl CallState {
    /// A side is asked to talk to somebody else by the other one.
    pub(super) async fn transfer(&mut self, side: Side, referred: &Referred) {
        let Some(by) = self.number_of(side) else { return };
        let answer = match (&referred.replaces, self.may_refer(by, referred)) {
            (_, Err(status)) => Err(status),
            // Its call answers, once the other one has.
            (Some(replaces), Ok(_)) => {
                let asked = self.ask_by_dialog((side, Some(by)), replaces, Why::Referred);
                match asked {
                    Ok(()) => return,
                    Err(status) => Err(status),
                }
            }
            (None, Ok(phone)) => {
                let uri = referred.to.to_string();
                let planned = self.plan_transfer(phone, &uri, Dialled::of(&referred.to));
                planned.map_err(Refused::status)
            }
        };
        let status = answer.as_ref().map_or_else(|status| *status, |_| StatusCode::ACCEPTED);
        self.command(by, Command::AnswerRefer { status });
        if let Ok(plan) = answer {
            self.sends_away((side, by), plan).await;
        }
    }

    /// By an order a side is sent to what could be dialled by the telephone that leaves for it.
    pub(super) async fn send_by_order(&mut self, side: Side, to: &str) -> Result<(), Unobeyed> {
        let by = self.number_of(side).ok_or(Unobeyed::NotUp)?;
        self.may_transfer().map_err(|_| Unobeyed::Busy)?;
        let phone = self.phone_of(by).ok_or(Unobeyed::NoTelephone)?;
        let plan = self.plan_transfer(phone, to, Dialled::of_text(to));
        let plan = plan.map_err(Unobeyed::Undialled)?;
        self.sends_away((side, by), plan).await;
        Ok(())
    }

    async fn sends_away(&mut self, (side, by): (Side, u8), plan: Plan) {
        if !plan.rated().tariff.is_free() {
            return self.send_at_its_cost((side, by), plan);
        }
        let offer = self.bridge.as_mut().and_then(|bridge| bridge.offer_to_new(side, false));
        let rounds = if offer.is_some() { self.rounds(&plan).await } else { Vec::new() };
        let first = self.ring.next_leg();
        self.offer = offer;
        self.transfer = Some(Transfer { side, by, left: false, first, plan });
        self.ring = Ring::new(rounds, first);
        let mut wishes = Vec::new();
        self.ring.begin(now(), &mut wishes);
        self.wish(wishes).await;
    }

    /// Whether nobody is about to leave or to come.
    pub(super) fn is_settled(&self) -> bool {
        self.transfer.is_none() && self.ties.is_free()
    }

    /// Nobody leaves while it is announced that the call is recorded: who stays has to hear all of it. Nor
    /// while the sides agree on something: its answer would be taken for that of who comes.
    pub(super) fn may_transfer(&self) -> Result<(), StatusCode> {
        let agrees = !self.bridge.as_ref().is_some_and(Bridge::is_free);
        let may = self.is_settled() && !agrees && !self.tape.is_announcing();
        may.then_some(()).ok_or(StatusCode::REQUEST_PENDING)
    }

    fn may_refer(&self, by: u8, referred: &Referred) -> Result<Arc<Credential>, StatusCode> {
        self.may_transfer()?;
        let method = referred.to.param("method").flatten();
        if method.is_some_and(|method| method != Method::Invite.as_bytes()) {
            return Err(StatusCode::NOT_IMPLEMENTED);
        }
        self.phone_of(by).ok_or(StatusCode::FORBIDDEN)
    }

    fn plan_transfer(
        &self,
        phone: Arc<Credential>,
        uri: &str,
        dialled: Dialled,
    ) -> Result<Plan, Refused> {
        self.plan(&Caller::Phone(phone), uri, dialled, CallerId::default())
    }

    /// The telephone of a leg, also of one that another call has.
    pub(super) fn phone_of(&self, number: u8) -> Option<Arc<Credential>> {
        if number == FAR {
            return self.ties.far.as_ref().and_then(|far| far.phone.clone());
        }
        let leg = self.legs.iter().find(|(of, _)| *of == number);
        leg.and_then(|(_, leg)| leg.phone.clone())
    }

    pub(super) fn leaves_soon(&mut self, number: u8) {
        self.leaving.push((number, now() + REPORT));
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
        let Some(Transfer { side, by, plan, .. }) = self.transfer.take() else { return };
        let party = plan.to.clone();
        self.plan = Some(plan);
        let at = self.at();
        if let Some(leg) = self.leg(number) {
            leg.record.answered_at = Some(at);
        }
        self.sides[usize::from(side == Side::B)] = Some(number);
        self.last_sides[usize::from(side == Side::B)] = Some(number);
        self.lets_go(by, true);
        if by == FAR {
            self.ties.far = None;
        }
        let mut acts = Vec::new();
        if let Some(bridge) = &mut self.bridge {
            bridge.replaced(side, sdp.as_ref(), &mut acts);
        }
        self.unpark().await;
        self.act(acts).await;
        self.wish(wishes).await;
        self.transferred(&About { call: None, party });
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

    /// Those who were sent away by their own wish, and have not hung up by themselves, are hung up.
    pub(super) fn leaving_due(&mut self, moment: Instant) {
        let due: Vec<_> = self.leaving.extract_if(.., |(_, at)| *at <= moment).collect();
        for (number, _) in due {
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
