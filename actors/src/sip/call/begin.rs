//! How a call begins: who calls, what is planned, ports for its sound, money, and whom it rings first.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use model::clock::At;
use model::emergency;
use model::id::{Kind as IdKind, PublicId};
use model::message::Direction;
use model::refusal::Refusal;
use model::submission::Credential as Asker;
use model::voice::{EndReason, Facts, HangupBy, LegKind, Rated, Transport};
use proto_media::latch::Policy;
use proto_media::srtp::MasterKey;
use proto_sip::header::Replaces;
use proto_sip::leg::{Cause, Command, Extra, Incoming, Leg, Outgoing};
use proto_sip::sdp::Body;
use proto_sip::{Message, Name, StatusCode, Uri};
use rand::RngExt as _;
use store::lane::{CallChange, CallDone, NewCall, Opened};

use super::bridge::Bridge;
use super::codecs::Codecs;
use super::dial::{Invite, Reach, Shown, Target, Way};
use super::front::{asks_for, forwards, says};
use super::media::{Local, Relay};
use super::money::Money;
use super::record::{self, NewLeg};
use super::ring::{Lane, Outcome, Ring, Round, SILENT, Wish};
use super::state::{CallLeg, CallState, End, Follows, Line, Phase, chance, now};
use super::table::{Invited, Opening};
use super::tie::Why;
use super::transfer::Transfer;
use super::{Stored, egress};
use crate::media::{LegArgs, SessionArgs, Side};
use crate::sip::credentials::Credential;
use crate::sip::dialplan::{Ask, Caller, Dialled, Order, Place, Plan, Refused, Step, Tables, plan};
use crate::sip::flow::{Flow, Kind};

impl CallState {
    /// What becomes of it?
    pub(super) async fn begin(&mut self) {
        let (id, flow, invite, caller) = match self.begin.take() {
            Some(Opening::Invite(invited)) => {
                let Invited { id, flow, message, caller } = *invited;
                (id, flow, message, caller)
            }
            Some(Opening::Sent(sent)) => return self.begin_sent(*sent).await,
            None => return,
        };
        self.write_will();
        self.came(flow, &invite);
        self.max_forwards = invite.max_forwards().ok().flatten().unwrap_or(70);
        self.forwards = forwards(&invite);
        let asked = asks_for(&caller, &invite);
        let uri = asked.as_ref().map(Uri::to_string).unwrap_or_default();
        let dialled = asked.as_ref().map_or(Dialled::Nothing, Dialled::of);
        let says = says(&caller, &invite);
        let planned = match takes_the_place(&caller, &invite) {
            Some(phone) => Ok(Plan::nowhere(phone, dialled)),
            None => self.plan(&caller, &uri, dialled, says.clone()),
        };
        let (rated, to) = match &planned {
            Ok(plan) => (plan.inward.clone(), plan.to.clone()),
            Err(_) => (Rated::free(), uri.clone()),
        };
        let (kind, trunk) = match &caller {
            Caller::Trunk(caller) => {
                let outside = caller.trunk.organization.is_none();
                let kind = if outside { LegKind::Pstn } else { LegKind::Sip };
                (kind, Some(&*caller.trunk.name))
            }
            Caller::Phone(_) => (record::kind_of(flow), None),
        };
        // Who withholds its number does so from others, not from its own organization.
        let from = if kind == LegKind::Pstn { says.shown() } else { says.number.as_deref() };
        let record = NewLeg {
            kind,
            direction: Direction::Inbound,
            from,
            to: &to,
            party: Some(&flow.peer().to_string()),
            trunk,
            rated: &rated,
            now: self.at(),
        };
        let mut out = Vec::new();
        let incoming = Incoming {
            settings: Arc::clone(&self.context.legs),
            id,
            invite,
            tag: format!("{:016x}", chance()),
            contact: self.contact(flow),
            seed: chance(),
        };
        let follows = match &caller {
            Caller::Trunk(caller) => Follows::of(caller.trunk.organization.is_none()),
            Caller::Phone(_) => Follows::Nobody,
        };
        let phone = match &caller {
            Caller::Phone(phone) => Some(Arc::clone(phone)),
            _ => None,
        };
        let (record, client, channel) = (record.record(), None, None);
        let leg = Leg::incoming(now(), incoming, &mut out);
        self.sides[0] = Some(0);
        let line = Line::new(&self.wire, flow, None);
        self.add_leg(
            0,
            CallLeg {
                leg,
                line,
                follows,
                record,
                client,
                channel,
                invite: None,
                asked: Bytes::new(),
                phone,
            },
            out,
        );
        self.caller = Some(caller);
        match planned {
            Ok(plan) => self.plan = Some(plan),
            Err(refused) => self.refuse(refused, &uri),
        }
        // A leg that was refused for its form tells nothing.
        if self.legs.iter().all(|(_, leg)| leg.leg.is_over()) {
            (self.phase, self.row.done) = (Phase::Over, true);
        }
    }

    pub(super) fn plan(
        &self,
        caller: &Caller,
        uri: &str,
        dialled: Dialled,
        says: crate::sip::dialplan::CallerId,
    ) -> Result<Plan, Refused> {
        let context = &self.context;
        let tables = Tables {
            credentials: &context.front.credentials,
            numbers: &context.numbers,
            masks: &context.masks,
            trunks: &context.front.trunks,
            emergency: &context.emergency,
            bounds: &context.bounds,
            rates: &context.rates,
            ring: context.limits.ring,
            trusts_caller_ids: context.limits.trusts_caller_ids,
        };
        if self.max_forwards == 0 {
            return Err(Refused::TooManyHops);
        }
        let (forwards, now) = (self.forwards, At::now());
        plan(tables, &Ask { caller, uri, dialled, says, forwards, now })
    }

    /// The call is not made, and the caller told why.
    fn refuse(&mut self, refused: Refused, uri: &str) {
        metrics::counter!("orbit_calls_refused_total", "code" => refused.code()).increment(1);
        if refused == Refused::Emergency {
            let dialled = emergency::redacted(uri);
            tracing::warn!(dialled, "a call to a number of help was refused");
        }
        let cause = refused.cause();
        let extra = Extra::default();
        self.command(0, Command::Reject { status: refused.status(), cause: cause.clone(), extra });
        let (reason, status) = (refused.reason(), Some(refused.status()));
        self.finish(End { at: self.at(), reason, status, cause, by: HangupBy::System });
    }

    /// How a peer of this flow reaches us.
    pub(super) fn contact(&self, flow: Flow) -> String {
        let (host, port) = self.wire.own_address(flow);
        let transport = match flow.kind() {
            Kind::Udp => "",
            Kind::Tcp => ";transport=tcp",
            Kind::Tls => ";transport=tls",
            Kind::Ws | Kind::Wss => ";transport=ws",
        };
        format!("<sip:orbit@{host}:{port}{transport}>")
    }

    /// The caller's INVITE is in order: its sound gets ports, and the call its money.
    pub(super) async fn invited(&mut self, sdp: Option<Body>) {
        if self.end.is_some() {
            return;
        }
        if let Err(status) = self.open_sound(sdp.as_ref()) {
            return self.fail(unspoken(status), HangupBy::System);
        }
        let Some(plan) = &self.plan else { return };
        let is_free = plan.rated().tariff.is_free();
        self.open_row();
        if is_free {
            Box::pin(self.ring_plan()).await;
        } else {
            self.phase = Phase::Opening;
        }
    }

    /// The caller takes the place of somebody in another call.
    pub(super) async fn invited_in_place(&mut self, sdp: Option<Body>, replaces: &Replaces) {
        if self.end.is_some() {
            return;
        }
        let is_phone = matches!(self.caller, Some(Caller::Phone(_)));
        let asked = match self.open_sound(sdp.as_ref()) {
            Ok(()) if is_phone => {
                self.open_row();
                self.phase = Phase::Ringing;
                self.ask_by_dialog((Side::B, None), replaces, Why::Replaces)
            }
            Ok(()) => Err(StatusCode::CALL_DOES_NOT_EXIST),
            Err(status) => Err(status),
        };
        if let Err(status) = asked {
            self.fail(Outcome::of(status), HangupBy::System);
        }
    }

    /// Ports of the relay for both sides, and what the callee is offered.
    fn open_sound(&mut self, sdp: Option<&Body>) -> Result<(), StatusCode> {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let side = |signalling| LegArgs { policy: Policy::AnyProven, signalling };
        let caller = self.number_of(Side::A).and_then(|number| self.signalling_of(number));
        let legs = [side(caller), side(None)];
        let notices = self.context.notices.clone();
        let session = self.context.media.open(SessionArgs { legs, notices });
        let session = session.map_err(|refused| {
            tracing::warn!(%refused, "a call has no ports for its sound");
            unavailable
        })?;
        self.context.keeper.listen(session.id(), self.me.clone());
        let local: [SocketAddr; 2] = [session.local(Side::A), session.local(Side::B)];
        let local = Local { a: local[0], b: local[1] };
        let limits = &self.context.limits;
        let mut codecs = Codecs { allowed: limits.codecs.clone(), own: limits.spoken.clone() };
        if !self.context.media.may_transcode() {
            codecs.keep_laws();
        }
        let mut bridge = Bridge::new(Relay::new(local, chance() >> 2, codecs, [key(), key()]));
        let offer = bridge.offer(sdp);
        (self.session, self.bridge) = (Some(session), Some(bridge));
        self.offer = offer?;
        Ok(())
    }

    /// Asks the store for the call's row, and for the money to dial it with.
    fn open_row(&mut self) {
        let Some(plan) = &self.plan else { return };
        let caller = self.legs.first().map(|(_, leg)| leg);
        let id = PublicId::new(At::now());
        let sip_call_id =
            caller.map(|caller| String::from_utf8_lossy(caller.leg.call_id()).into_owned());
        let number_id = plan.number.map(|number| number.show(IdKind::Number));
        let facts = Facts { sip_call_id, number_id, ..self.facts.clone() };
        let call = NewCall {
            id,
            organization: plan.organization,
            credential: Asker::Switch,
            idempotency: None,
            direction: plan.direction,
            from: plan.recorded().map(str::to_owned),
            to: plan.to.clone(),
            dials: plan.dials().map(str::to_owned).collect(),
            test: plan.test,
            rated: plan.rated(),
            transport: Some(Transport::Sbc),
            facts,
            mask: plan.mask.as_ref().map(|mask| (mask.session, mask.id)),
            legs: caller.into_iter().map(|caller| caller.record.clone()).collect(),
            metadata: None,
        };
        (self.row.id, self.row.asked) = (Some(id), true);
        // Whoever dies from here on, what was asked for is taken back.
        self.write_will();
        self.ask(CallChange::Open(Box::new(call)), Stored::Opened);
    }

    /// The row is there, or it is not.
    pub(super) async fn opened(&mut self, done: Option<CallDone>) {
        let refusal = match done {
            Some(CallDone::Opened(Ok(Opened::Fresh { key, covered_s, .. }))) => {
                self.row.key = Some(key);
                self.money = Money::new(covered_s);
                if let Some((at, _)) = self.answered_at {
                    self.money.answered(at);
                }
                None
            }
            Some(CallDone::Opened(Err(refusal))) => Some(refusal),
            _ => {
                // It may be stored, by a writer that could not say it.
                if let Some(id) = self.row.id {
                    self.context.writer.take_back(id);
                }
                Some(Refusal::unavailable("nothing is known to be stored"))
            }
        };
        match refusal {
            Some(refusal) => {
                self.row.done = true;
                self.not_paid(&refusal);
            }
            // The store was slower than the whole call.
            None if self.end.is_some() => {
                self.tell_steps();
                self.close_row();
            }
            None => {
                self.write_will();
                self.tell_row();
                self.row_known();
                if self.phase == Phase::Opening {
                    Box::pin(self.ring_plan()).await;
                }
            }
        }
    }

    /// The store does not take the call.
    fn not_paid(&mut self, refusal: &Refusal) {
        let code = refusal.code.as_str();
        metrics::counter!("orbit_calls_refused_total", "code" => code).increment(1);
        let (status, reason) = match refusal.code.http_status() {
            402 => (StatusCode::PAYMENT_REQUIRED, EndReason::BalanceExhausted),
            429 | 503 => (StatusCode::SERVICE_UNAVAILABLE, EndReason::Congestion),
            500 => (StatusCode::SERVER_INTERNAL_ERROR, EndReason::CarrierError),
            _ => (StatusCode::FORBIDDEN, EndReason::Forbidden),
        };
        let words = Some(code.to_owned());
        let cause = Cause { q850: Some(u16::from(reason.q850())), words, ..Cause::default() };
        let extra = Extra::default();
        let caller = self.sides[0].unwrap_or_default();
        self.command(caller, Command::Reject { status, cause: cause.clone(), extra });
        let (at, by, status) = (self.at(), HangupBy::System, Some(status));
        self.finish(End { at, reason, status, cause, by });
    }

    /// Rings whom the plan names.
    async fn ring_plan(&mut self) {
        let Some(plan) = self.plan.clone() else { return };
        self.phase = Phase::Ringing;
        self.ring_until = Some(now() + self.context.limits.ring_all);
        let rounds = self.rounds(&plan).await;
        self.ring = Ring::new(rounds, 1);
        let mut wishes = Vec::new();
        self.ring.begin(now(), &mut wishes);
        self.wish(wishes).await;
    }

    /// A plan's places as those who can be rung.
    pub(super) async fn rounds(&self, plan: &Plan) -> Vec<Round<Target>> {
        let mut rounds = Vec::new();
        for Step { places, order, ring } in &plan.steps {
            let mut together = Vec::new();
            for place in places {
                let mut lanes = self.lanes(place, plan).await;
                match order {
                    Order::InTurn => rounds.push(Round { lanes, ring: *ring }),
                    Order::Together => together.append(&mut lanes),
                }
            }
            rounds.push(Round { lanes: together, ring: *ring });
        }
        rounds.retain(|round| !round.lanes.is_empty());
        rounds
    }

    async fn lanes(&self, place: &Place, plan: &Plan) -> Vec<Lane<Target>> {
        let free = |way| Lane::of(Target { way, rated: Rated::free() });
        match place {
            Place::Phone(phone) => {
                let reached = self.context.registrar.find(phone.of.credential).await;
                let way = |reached| Way::Contact { phone: Arc::clone(phone), reached };
                reached.into_iter().map(|one| free(way(one))).collect()
            }
            Place::Trunk { trunk, to, headers } => {
                let (trunk, to, headers) = (Arc::clone(trunk), to.clone(), headers.clone());
                vec![free(Way::Trunk { trunk, to, headers })]
            }
            Place::Address(address) => vec![free(Way::Address(Arc::clone(address)))],
            Place::Public { number, rated } => {
                let tables = (&self.context.front.trunks, &self.context.emergency);
                let asked = (number.as_str(), rated);
                let ways = egress::ways(tables, plan.organization, asked, chance());
                Vec::from_iter((!ways.is_empty()).then(|| Lane::hunting(ways)))
            }
        }
    }

    /// Does what the ring wants.
    pub(super) async fn wish(&mut self, wishes: Vec<Wish<Target>>) {
        if wishes.is_empty() {
            return;
        }
        let mut wishes: std::collections::VecDeque<_> = wishes.into();
        while let Some(wish) = wishes.pop_front() {
            match wish {
                Wish::Dial { .. } | Wish::Over(_) if self.end.is_some() => {}
                Wish::Dial { leg, target } => {
                    if let Err(status) = self.dial(leg, &target) {
                        let mut more = Vec::new();
                        self.ring.failed(now(), leg, Outcome::of(status), &mut more);
                        wishes.extend(more);
                    }
                }
                Wish::GiveUp { leg, cause } => {
                    if cause.q850 == Some(SILENT) {
                        self.was_silent(leg);
                    }
                    self.give_up(leg, cause);
                }
                Wish::Over(outcome) => self.nobody(outcome),
            }
        }
        self.write_will();
    }

    /// Who is rung: who comes by a transfer, or who is called.
    fn rung(&self) -> Option<&Plan> {
        self.transfer.as_ref().map(Transfer::plan).or(self.plan.as_ref())
    }

    fn dial(&mut self, number: u8, target: &Target) -> Result<(), StatusCode> {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let Some(plan) = self.rung() else { return Err(unavailable) };
        let shown = Shown { from: &plan.from, diverted: plan.diverted.as_ref() };
        let dialled = target.invite(shown, &plan.to, At::now()).ok_or(unavailable)?;
        self.dial_or_seek(number, target, dialled)
    }

    /// Sends an INVITE on its way.
    pub(super) fn dial_by(
        &mut self,
        number: u8,
        target: &Target,
        dialled: Invite,
        flow: Flow,
    ) -> Result<(), StatusCode> {
        let Some(plan) = self.rung() else { return Err(StatusCode::SERVICE_UNAVAILABLE) };
        let (name, follows) = match &dialled.reach {
            Reach::Flow(_) => (None, Follows::Nobody),
            Reach::Uri(uri) => {
                let host = Uri::parse(uri).ok().and_then(|uri| Some(uri.host()?.to_string()));
                (host, Follows::Open)
            }
            Reach::Target(target, is_ours) => (Some(target.host.clone()), Follows::of(*is_ours)),
        };
        let record = NewLeg {
            kind: dialled.facts.kind,
            direction: Direction::Outbound,
            from: plan.recorded_as(),
            to: &dialled.facts.to,
            party: Some(&dialled.facts.party),
            trunk: dialled.facts.trunk.as_deref(),
            rated: &target.rated,
            now: self.at(),
        };
        let record = record.record();
        let mut out = Vec::new();
        let seals = dialled.seals || flow.kind() == Kind::Tls;
        let sdp = self.offer_for(seals, dialled.seals, &dialled.codecs)?;
        let outgoing = Outgoing {
            settings: Arc::clone(&self.context.legs),
            call_id: self.call_id(),
            tag: format!("{:016x}", chance()),
            contact: self.contact(flow),
            seed: chance(),
            uri: dialled.uri,
            from: dialled.from,
            to: dialled.to,
            routes: dialled.routes,
            max_forwards: self.max_forwards.saturating_sub(1),
            sdp,
            extra: dialled.extra,
        };
        let leg = Leg::outgoing(now(), outgoing, &mut out);
        let client = dialled.client.map(|client| (client, proto_sip::digest::Attempt::default()));
        let phone = match &target.way {
            Way::Contact { phone, .. } => Some(Arc::clone(phone)),
            _ => None,
        };
        let channel = dialled.channel;
        let line = Line::new(&self.wire, flow, name);
        self.add_leg(
            number,
            CallLeg {
                leg,
                line,
                follows,
                record,
                client,
                channel,
                invite: None,
                asked: Bytes::new(),
                phone,
            },
            out,
        );
        Ok(())
    }

    /// What this callee is offered: its own codecs, sealed where it has to be or can be.
    fn offer_for(
        &mut self,
        seals: bool,
        must_seal: bool,
        codecs: &[String],
    ) -> Result<Option<Body>, StatusCode> {
        let plain = self.offer.clone();
        if self.transfer.is_some() || (!seals && codecs.is_empty()) {
            return Ok(plain);
        }
        match (self.bridge.as_mut(), plain) {
            (Some(bridge), Some(_)) => {
                bridge.offer_to(seals && (must_seal || bridge.seals()), codecs).map(Some)
            }
            (_, plain) => Ok(plain),
        }
    }

    /// A Call-ID of ours that falls on the shard of this call.
    fn call_id(&self) -> String {
        let inbox = self.wire.inbox();
        let own = self.legs.first().map(|(_, leg)| leg.leg.call_id()).or(self.kin.as_ref());
        let own = own.map(|call_id| inbox.shard_of(call_id));
        loop {
            let call_id = format!("{:016x}{:016x}", chance(), chance());
            if own.is_none_or(|own| inbox.shard_of(call_id.as_bytes()) == own) {
                return call_id;
            }
        }
    }
}

/// Why there is no sound: what was offered is not spoken here, or there is no room.
fn unspoken(status: StatusCode) -> Outcome {
    let outcome = Outcome::of(status);
    if status != StatusCode::NOT_ACCEPTABLE_HERE {
        return outcome;
    }
    let words = Some("MEDIA_NOT_SUPPORTED".to_owned());
    Outcome { cause: Cause { q850: Some(88), words, ..Cause::default() }, ..outcome }
}

/// The telephone that calls to take the place of somebody in another call (RFC 3891).
fn takes_the_place<'a>(caller: &'a Caller, invite: &Message) -> Option<&'a Credential> {
    let Caller::Phone(phone) = caller else { return None };
    invite.has(Name::Replaces).then_some(phone)
}

/// A key for sound that is sealed.
fn key() -> MasterKey {
    MasterKey::new(rand::rng().random())
}
