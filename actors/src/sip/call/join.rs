//! Two calls become one: a leg leaves each of them, and those who stay talk to each other. RFC 3891,
//! RFC 5589.
//!
//! Who asks is told of a dialog by a REFER or an INVITE with Replaces, or by an order. Its call finds the
//! other one by the table and asks it; that one says whether it may be joined, offers who stays the sound of
//! the first, and is its guest once that has answered. If it comes to nothing, all stays as it was, and who
//! was offered something new is offered what it had. `tie` says what the two tell each other.

use std::time::Instant;

use model::voice::{EndReason, HangupBy};
use proto_sip::StatusCode;
use proto_sip::header::Replaces;
use proto_sip::leg::{By, Cause, Command, Told};
use proto_sip::sdp::Body;
use ractor::ActorRef;

use super::CallMsg;
use super::bridge::Branch;
use super::orders::Unobeyed;
use super::ring::Outcome;
use super::state::{CallState, End, Phase, chance, now};
use super::tie::{
    AGREE, About, Ask, Asked, Asking, FAR, Far, Guest, Joined, Joining, Named, OFFERED, Rope, Why,
    Word,
};
use crate::media::Side;

/// Whom an ask is for.
enum Meant {
    Leg(u8, Side),
    /// The call whose guest this one is.
    Other,
}

impl CallState {
    /// A side asks to leave, and that a dialog of another call takes its place; or who calls asks to take
    /// the place of a dialog.
    pub(super) fn ask_by_dialog(
        &mut self,
        (side, by): (Side, Option<u8>),
        replaces: &Replaces,
        why: Why,
    ) -> Result<(), StatusCode> {
        let found = self.seat.find(&replaces.call_id, &replaces.to_tag);
        let (other, leg) = found.ok_or(StatusCode::CALL_DOES_NOT_EXIST)?;
        let named = Named::Dialog { leg, replaces: Box::new(replaces.clone()) };
        self.ask_to_join((side, by), (other, named), why).map_err(|(status, _)| status)
    }

    pub(super) fn ask_to_join(
        &mut self,
        (side, by): (Side, Option<u8>),
        (other, named): (ActorRef<CallMsg>, Named),
        why: Why,
    ) -> Result<(), (StatusCode, Why)> {
        // Who asks to take somebody's place is not in a call yet, and agrees on nothing.
        let is_free = if by.is_some() { self.may_transfer().is_ok() } else { self.is_settled() };
        let Some(plan) = self.plan.as_ref().filter(|_| is_free) else {
            return Err((StatusCode::REQUEST_PENDING, why));
        };
        if other.get_id() == self.me.get_id() {
            return Err((StatusCode::LOOP_DETECTED, why));
        }
        let (rope, back) = Rope::between(chance(), other, self.me.clone());
        let (organization, test) = (plan.organization, plan.test);
        let ask = Ask { back, organization, test, named, about: self.about(side.other()) };
        if !rope.tell(Word::Ask(Box::new(ask))) {
            return Err((StatusCode::CALL_DOES_NOT_EXIST, why));
        }
        let (until, why) = (now() + AGREE, Some(why));
        let asking = Asking { rope, side, by, why, ready: false, left: false, until };
        self.ties.joining = Some(Joining::Asking(asking));
        Ok(())
    }

    /// Something is told of a tie.
    pub(super) async fn tied(&mut self, tie: u64, word: Word) {
        if let Word::Ask(ask) = word {
            return self.asked(*ask);
        }
        if self.ties.joining.as_ref().is_some_and(|joining| joining.is(tie)) {
            return self.joining_told(word).await;
        }
        if self.ties.far.as_ref().is_some_and(|far| far.rope.tie() == tie) {
            return self.far_told(word).await;
        }
        if self.ties.guest.as_ref().is_some_and(|guest| guest.rope.tie() == tie) {
            self.guest_told(word);
        }
        // All else is of a tie that is gone; what it carries hears of it by being dropped.
    }

    async fn joining_told(&mut self, word: Word) {
        match word {
            Word::Ready { seals, from } => self.other_is_ready(seals, from),
            Word::Joined(joined) => self.joined(*joined).await,
            Word::Offer(sdp) => self.offer_who_stays(sdp),
            Word::Begun(rope) => {
                if let Some(Joining::Asked(asked)) = &mut self.ties.joining {
                    asked.rope = Some(rope);
                }
            }
            Word::Do(command) => self.sent_tells(*command),
            Word::Refused(status) => self.not_joined(status),
            Word::Gone => {
                let status = match &self.ties.joining {
                    Some(Joining::Asking(asking)) if !asking.ready => {
                        StatusCode::CALL_DOES_NOT_EXIST
                    }
                    _ => StatusCode::TEMPORARILY_UNAVAILABLE,
                };
                self.not_joined(status);
            }
            Word::Ask(_) | Word::Told(_) | Word::Order { .. } => {}
        }
    }

    /// The other call agrees: who asked hears it, and who stays there is offered the sound of here.
    fn other_is_ready(&mut self, seals: bool, from: ActorRef<CallMsg>) {
        let Some(Joining::Asking(asking)) = &mut self.ties.joining else { return };
        if asking.rope.peer() != from.get_id() {
            // It was passed on.
            asking.rope.moves_to(from);
        }
        (asking.ready, asking.until) = (true, now() + OFFERED);
        let (side, by) = (asking.side, asking.by);
        let offer = self.bridge.as_mut().and_then(|bridge| bridge.offer_to_new(side, seals));
        let Some(offer) = offer else { return self.not_joined(StatusCode::NOT_ACCEPTABLE_HERE) };
        let Some(Joining::Asking(asking)) = &mut self.ties.joining else { return };
        asking.rope.tell(Word::Offer(offer));
        match (&mut asking.why, by) {
            (Some(Why::Referred), Some(by)) => {
                self.command(by, Command::AnswerRefer { status: StatusCode::ACCEPTED });
            }
            (why @ Some(Why::Ordered(_)), _) => {
                if let Some(Why::Ordered(answer)) = why.take() {
                    let _ = answer.send(Ok(()));
                }
            }
            _ => {}
        }
    }

    /// Who stays with the other call talks to who stays here.
    async fn joined(&mut self, joined: Joined) {
        let Some(Joining::Asking(asking)) = self.ties.joining.take() else { return };
        let Asking { rope, side, by, why, .. } = asking;
        let Joined { sdp, about, signalling, phone } = joined;
        let far = Far { rope, signalling, phone };
        let Some(by) = by else {
            self.ties.far = Some(far);
            let branch = Branch { leg: FAR, fork: 0 };
            return self.up(branch, Some(&sdp), (false, Vec::new())).await;
        };
        self.lets_go(by, matches!(why, Some(Why::Referred)));
        self.ties.far = Some(far);
        let at = usize::from(side == Side::B);
        (self.sides[at], self.last_sides[at]) = (Some(FAR), Some(FAR));
        let mut acts = Vec::new();
        if let Some(bridge) = &mut self.bridge {
            bridge.replaced(side, Some(&sdp), &mut acts);
        }
        self.unpark().await;
        self.act(acts).await;
        self.transferred(&about);
    }

    /// A leg is not of this call any more; one that asked for it hears that it went well.
    pub(super) fn lets_go(&mut self, number: u8, was_asked: bool) {
        let status = StatusCode::OK;
        if was_asked {
            self.command(number, Command::NotifyRefer { status });
        }
        self.leg_ended(number, EndReason::Normal, None, &Cause::q850(16));
        if was_asked && number != FAR {
            self.leaves_soon(number);
        } else {
            self.command(number, Command::End { cause: Cause::q850(16) });
        }
    }

    /// It came to nothing.
    pub(super) fn not_joined(&mut self, status: StatusCode) {
        let (left, by, failed) = match self.ties.joining.take() {
            Some(Joining::Asking(asking)) => {
                if let Some(bridge) = self.bridge.as_mut().filter(|_| asking.ready) {
                    bridge.keep();
                }
                (asking.left, asking.by, self.tell_why(asking, status))
            }
            Some(Joining::Asked(asked)) => {
                if asked.offered {
                    self.as_before(asked.side.other());
                }
                if asked.sent.is_some() {
                    self.command(asked.leaves, Command::NotifyRefer { status });
                }
                (asked.left, Some(asked.leaves), true)
            }
            None => return,
        };
        if failed && left && by.is_some() {
            self.hang_up(HangupBy::System, EndReason::of_sip(status.get()));
        }
    }

    /// Who asked hears why not. False: its call is over by that.
    fn tell_why(&mut self, asking: Asking, status: StatusCode) -> bool {
        match (asking.why, asking.by) {
            (Some(Why::Referred), Some(by)) if asking.ready => {
                self.command(by, Command::NotifyRefer { status });
            }
            (Some(Why::Referred), Some(by)) => self.command(by, Command::AnswerRefer { status }),
            (Some(Why::Replaces), _) => {
                self.fail(Outcome::of(status), HangupBy::System);
                return false;
            }
            (Some(Why::Ordered(answer)), _) => {
                let _ = answer.send(Err(Unobeyed::NotJoined(status)));
            }
            _ => {}
        }
        true
    }

    /// A side is offered anew what the other one said: it had been offered something else.
    fn as_before(&mut self, side: Side) {
        let sdp = self.bridge.as_mut().and_then(|bridge| bridge.again_to(side));
        if let (Some(sdp), Some(number)) = (sdp, self.number_of(side)) {
            self.command(number, Command::Offer { sdp });
        }
    }

    /// Another call asks for one of our legs to leave.
    fn asked(&mut self, ask: Ask) {
        match self.meant(&ask) {
            Ok(Meant::Leg(leaves, side)) => {
                let Ask { back, about, .. } = ask;
                let stays = side.other();
                let seals = self.bridge.as_ref().is_some_and(|bridge| bridge.is_sealed(stays));
                back.tell(Word::Ready { seals, from: self.me.clone() });
                let until = Some(now() + AGREE);
                let (offered, left, sent, rope) = (false, false, None, Some(back));
                let asked = Asked { rope, leaves, side, about, offered, left, until, sent };
                self.ties.joining = Some(Joining::Asked(asked));
            }
            Ok(Meant::Other) => {
                let Some(guest) = &self.ties.guest else { return };
                let is_ours = !matches!(ask.named, Named::Side(side) if side != guest.side);
                let named = if is_ours { Named::Far } else { Named::Near };
                guest.rope.pass(Ask { named, ..ask });
            }
            Err(status) => {
                ask.back.tell(Word::Refused(status));
            }
        }
    }

    /// The leg that is to leave; what another organization has is not known to who asks.
    fn meant(&self, ask: &Ask) -> Result<Meant, StatusCode> {
        let unknown = StatusCode::CALL_DOES_NOT_EXIST;
        let asks = (ask.organization, ask.test);
        let is_own = self.plan.as_ref().is_some_and(|plan| (plan.organization, plan.test) == asks);
        if !is_own || self.end.is_some() || self.phase != Phase::Up {
            return Err(unknown);
        }
        let number = match &ask.named {
            Named::Dialog { leg, replaces } => {
                let found = self.legs.iter().find(|(number, _)| number == leg).ok_or(unknown)?;
                found.1.leg.replaced_by(replaces)?;
                *leg
            }
            Named::Side(side) => self.number_of(*side).unwrap_or(FAR),
            Named::Far => FAR,
            Named::Near => {
                let near = self.sides.into_iter().flatten().find(|number| *number != FAR);
                near.ok_or(unknown)?
            }
        };
        if let Some(guest) = &self.ties.guest {
            let is_there = number == guest.leg || matches!(ask.named, Named::Side(_));
            return if is_there { Ok(Meant::Other) } else { Err(unknown) };
        }
        let side = Side::BOTH.into_iter().find(|side| self.number_of(*side) == Some(number));
        let side = side.filter(|side| self.number_of(side.other()).is_some()).ok_or(unknown)?;
        self.may_transfer()?;
        Ok(Meant::Leg(number, side))
    }

    pub(super) fn offer_who_stays(&mut self, sdp: Body) {
        let Some(Joining::Asked(asked)) = &mut self.ties.joining else { return };
        asked.offered = true;
        asked.until = asked.until.map(|_| now() + OFFERED);
        let side = asked.side.other();
        if let Some(bridge) = &mut self.bridge {
            bridge.offered_elsewhere(side, true);
        }
        if let Some(stays) = self.number_of_stays() {
            self.command(stays, Command::Offer { sdp });
        }
    }

    fn number_of_stays(&self) -> Option<u8> {
        match &self.ties.joining {
            Some(Joining::Asked(asked)) => self.number_of(asked.side.other()),
            _ => None,
        }
    }

    /// What a leg tells that is tied to another call, or about to be; gives back what is as ever.
    pub(super) fn taken_by_tie(&mut self, number: u8, told: Told) -> Option<Told> {
        if let Some(guest) = self.ties.guest.as_ref().filter(|guest| guest.leg == number) {
            return match told {
                Told::Challenged(_) => Some(told),
                Told::Ended { by, mut cause } => {
                    cause.q850.get_or_insert(16);
                    let side = guest.side;
                    self.over(side, by, cause);
                    None
                }
                told => {
                    guest.rope.tell(Word::Told(Box::new(told)));
                    None
                }
            };
        }
        let (leaves, may_leave, stays) = match &self.ties.joining {
            None => return Some(told),
            Some(Joining::Asking(asking)) => (asking.by, asking.ready, None),
            Some(Joining::Asked(asked)) => (Some(asked.leaves), true, self.number_of_stays()),
        };
        let was_offered =
            matches!(&self.ties.joining, Some(Joining::Asked(asked)) if asked.offered);
        match told {
            Told::Ended { cause, .. } if leaves == Some(number) && may_leave => {
                match &mut self.ties.joining {
                    Some(Joining::Asking(asking)) => asking.left = true,
                    Some(Joining::Asked(asked)) => asked.left = true,
                    None => {}
                }
                self.leg_ended(number, EndReason::Normal, None, &cause);
                None
            }
            Told::Offered { .. } => {
                let status = StatusCode::REQUEST_PENDING;
                self.command(number, Command::RefuseOffer { status });
                None
            }
            Told::OfferAnswered { sdp } if was_offered && stays == Some(number) => {
                self.becomes_guest(sdp);
                None
            }
            Told::OfferRefused { status } if was_offered && stays == Some(number) => {
                self.refuses_new(status);
                None
            }
            told => Some(told),
        }
    }

    fn refuses_new(&mut self, status: StatusCode) {
        if let Some(Joining::Asked(asked)) = &mut self.ties.joining {
            // What it had stays as it is.
            asked.offered = false;
            if let Some(bridge) = &mut self.bridge {
                bridge.offered_elsewhere(asked.side.other(), false);
            }
            let word = match asked.sent {
                Some(_) => ended(Cause::sip(status)),
                None => Word::Refused(status),
            };
            if let Some(rope) = &asked.rope {
                rope.tell(word);
            }
        }
        self.not_joined(status);
    }

    /// Who stays has answered: the other call has its leg, and the sound.
    fn becomes_guest(&mut self, sdp: Body) {
        let stays = self.number_of_stays();
        let Some(Joining::Asked(asked)) = self.ties.joining.take() else { return };
        let Asked { rope: Some(rope), leaves, side, about, sent, .. } = asked else { return };
        let Some(stays) = stays else { return };
        let is_sent = sent.is_some();
        if is_sent {
            rope.tell(Word::Told(Box::new(Told::OfferAnswered { sdp })));
        } else {
            let about = self.about(side.other());
            let (signalling, phone) = (self.signalling_of(stays), self.phone_of(stays));
            rope.tell(Word::Joined(Box::new(Joined { sdp, about, signalling, phone })));
        }
        self.lets_go(leaves, is_sent);
        self.sides[usize::from(side == Side::B)] = None;
        if leaves == FAR {
            self.ties.far = None;
        }
        self.ties.guest = Some(Guest { rope, leg: stays, side: side.other() });
        self.bridge = None;
        self.close_sound();
        self.transferred(&about);
    }

    /// The call at whose place this side is tells what its leg tells, or that it is gone.
    async fn far_told(&mut self, word: Word) {
        match word {
            Word::Told(told) => self.told.push_back((FAR, *told)),
            Word::Order { order, about_far, answer } => {
                let far = self.sides[0] == Some(FAR);
                let far = if far { Side::A } else { Side::B };
                let side = if about_far { far } else { far.other() };
                self.ordered(order.about(side), answer).await;
            }
            Word::Gone => self.other_is_gone(),
            _ => {}
        }
    }

    fn guest_told(&mut self, word: Word) {
        match word {
            Word::Do(command) => match *command {
                Command::End { cause } => self.other_ends(cause),
                command => {
                    if let Some(guest) = &self.ties.guest {
                        let leg = guest.leg;
                        self.command(leg, command);
                    }
                }
            },
            Word::Gone => self.other_is_gone(),
            _ => {}
        }
    }

    /// The other call is over: whoever is at its other end has hung up.
    fn other_ends(&mut self, cause: Cause) {
        let far = self.ties.guest.as_ref().map(|guest| guest.side.other());
        let by = if far == Some(Side::A) { HangupBy::Caller } else { HangupBy::Callee };
        let q850 = cause.q850.and_then(|cause| u8::try_from(cause).ok());
        let reason = q850.map_or(EndReason::Normal, EndReason::of_q850);
        self.finish(End { at: self.at(), reason, status: None, cause, by });
    }

    /// The actor of the other call is gone without a word.
    fn other_is_gone(&mut self) {
        let reason = match self.phase {
            Phase::Up => EndReason::NodeLost,
            _ => EndReason::Canceled,
        };
        self.hang_up(HangupBy::System, reason);
    }

    /// This call is over: whoever it is tied to hears why.
    pub(super) fn untie(&mut self, cause: &Cause) {
        if let Some(far) = self.ties.far.take() {
            far.rope.tell(Word::Do(Box::new(Command::End { cause: cause.clone() })));
        }
        if let Some(guest) = self.ties.guest.take() {
            guest.rope.tell(ended(cause.clone()));
        }
        match self.ties.joining.take() {
            Some(Joining::Asking(Asking { why: Some(Why::Ordered(answer)), .. })) => {
                let _ = answer.send(Err(Unobeyed::NotUp));
            }
            Some(Joining::Asked(Asked { rope: Some(rope), sent: Some(_), .. })) => {
                rope.tell(ended(cause.clone()));
            }
            _ => {}
        }
    }

    pub(super) fn tie_due(&mut self, moment: Instant) {
        let is_late = |joining: &Joining| joining.deadline().is_some_and(|at| at <= moment);
        if self.ties.joining.as_ref().is_some_and(is_late) {
            self.not_joined(StatusCode::REQUEST_TIMEOUT);
        }
    }

    /// Who is on a side, for the log of the other call.
    pub(super) fn about(&self, side: Side) -> About {
        let leg = self.number_of(side).and_then(|number| {
            self.legs.iter().find(|(of, _)| *of == number).map(|(_, leg)| &leg.record)
        });
        let party = match (side, leg) {
            (Side::A, Some(record)) => record.from.clone().unwrap_or_default(),
            (Side::B, Some(record)) => record.to.clone(),
            (_, None) => String::new(),
        };
        About { call: self.row.id, party }
    }
}

/// Whoever was on our side has hung up.
fn ended(cause: Cause) -> Word {
    Word::Told(Box::new(Told::Ended { by: By::Them, cause }))
}
