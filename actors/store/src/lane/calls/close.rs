//! A call ends: what it came to is settled, the rest of what was put aside is released, and each leg
//! becomes a record. Once, since only a call that is not over can end.

use model::carrier::MessageKey;
use model::clock::At;
use model::event::EventKind;
use model::id::Kind;
use model::message::Direction;
use model::money::Micros;
use model::voice::{CallStatus, Charge, EndReason, HangupBy, Leg, LegKind, charge, read_legs};

use super::super::{Gathered, Lane, Transfer};
use super::rows::LegRow;
use super::state::{End, State};
use super::{Books, Closing, LostCalls};
use crate::ledger::TransferKind;

impl Lane {
    pub(super) fn close_call(
        &mut self,
        closing: &Closing,
        now: At,
        books: &mut Books,
        gathered: &mut Gathered,
    ) -> Option<Charge> {
        let call = books.calls.get_mut(&closing.key.0).filter(|call| !call.is_over())?;
        let mut legs =
            if closing.legs.is_empty() { call.known_legs() } else { closing.legs.clone() };
        for leg in &mut legs {
            leg.ended_at.get_or_insert(closing.at);
            leg.end.get_or_insert(closing.reason);
        }
        let mut came_to = charge(&legs, closing.at);
        came_to.duration_s = call.duration_s(closing.at);
        let missing = call.missing(came_to.cost);
        let more = books.till.take_what_is_there(call.organization, missing);
        if more > Micros::ZERO {
            let number = MessageKey(self.number());
            let covered_s = call.covered_s;
            books.slices.push(call.add_slice((more, covered_s), number, now, gathered));
        }
        let settled = came_to.cost.min(call.held);
        let released = call.held - settled;
        for (kind, amount) in [(TransferKind::Settle, settled), (TransferKind::Release, released)] {
            gathered.transfer(Transfer {
                organization: call.organization,
                message: Some(call.key),
                kind,
                amount,
                note: None,
            });
        }
        books.till.give_back(call.organization, released, call.created_at);
        let uncollected = came_to.cost - settled;
        came_to.cost = settled;
        if let Some(facts) = &closing.facts {
            call.facts = facts.to_json();
        }
        let status = call.status.ended();
        call.becomes(status, closing.at);
        call.end = Some(End {
            at: closing.at,
            reason: closing.reason,
            sip_code: closing.sip_code,
            q850: closing.q850.unwrap_or(closing.reason.q850()),
            by: closing.by,
            charge: came_to,
            uncollected,
        });
        call.changed = true;
        gathered.calls.add(call.organization, -1);
        let kind = match status {
            CallStatus::Completed => EventKind::CallCompleted,
            _ => EventKind::CallFailed,
        };
        gathered.events.push(call.event(kind, closing.at));
        let of = (call.key, call.organization, call.test);
        for leg in legs {
            books.legs.push(LegRow { seq: self.number(), of, leg, end: closing.at });
        }
        if let Some(messages) = &closing.ladder {
            self.keep_ladder((call.key, call.organization), messages, now, books);
        }
        Some(came_to)
    }

    /// Closes calls where they were last seen; how many there were.
    pub(super) fn lose(
        &mut self,
        (which, bare): (&LostCalls, bool),
        found: &[i64],
        now: At,
        books: &mut Books,
        gathered: &mut Gathered,
    ) -> usize {
        let mut keys = found.to_vec();
        if let LostCalls::Named(ids) = which {
            // Opened by this same transaction.
            let fresh = books.calls.values().filter(|call| call.fresh && ids.contains(&call.id));
            keys.extend(fresh.map(|call| call.key.0));
        }
        let mut lost = 0;
        for key in keys {
            let Some(call) = books.calls.get(&key) else { continue };
            let legs = if bare { call.known_legs() } else { Vec::new() };
            let closing = Closing {
                key: MessageKey(key),
                at: call.last_seen(),
                reason: EndReason::NodeLost,
                sip_code: None,
                q850: None,
                by: HangupBy::System,
                legs: legs.iter().map(Leg::bare).collect(),
                facts: None,
                ladder: None,
            };
            lost += usize::from(self.close_call(&closing, now, books, gathered).is_some());
        }
        lost
    }
}

impl State {
    /// What is to be taken beyond what was put aside: one step of what it was priced for at most, since
    /// a call ends before what is paid for does. More is a fault of ours, or of a clock's.
    fn missing(&self, cost: Micros) -> Micros {
        let tariff = self.rated.tariff;
        let step = self.covered_s.saturating_add(i64::from(tariff.increment_s));
        let most = (tariff.cost(step) - self.held).max(Micros::ZERO);
        let missing = (cost - self.held).max(Micros::ZERO);
        if missing > most {
            tracing::error!(
                call = %self.id.show(Kind::Call),
                missing = missing.0,
                most = most.0,
                "a call came to more than was put aside for it"
            );
        }
        missing.min(most)
    }

    /// Its legs as last told. One that was answered and told of none is taken to have had the leg
    /// that it was priced for.
    fn known_legs(&self) -> Vec<Leg> {
        let legs = self.legs.as_deref().and_then(read_legs).unwrap_or_default();
        if !legs.is_empty() || self.answered_at.is_none() {
            return legs;
        }
        let kind = if self.to.starts_with('+') { LegKind::Pstn } else { LegKind::Sip };
        let direction = Direction::Outbound;
        let leg = Leg::new(self.id, kind, direction, &self.to, self.created_at);
        vec![Leg {
            from: self.from.clone(),
            prefix: self.rated.prefix.clone(),
            tariff: self.rated.tariff,
            answered_at: self.answered_at,
            ..leg
        }]
    }

    /// The last moment of which anything is stored.
    fn last_seen(&self) -> At {
        let answered =
            self.answered_at.map(|at| self.talked_until.map_or(at, |until| until.max(at)));
        answered.or(self.ringing_at).unwrap_or(self.created_at)
    }

    fn duration_s(&self, end: At) -> i64 {
        let talked = self.answered_at.map(|answered| end.since(answered));
        talked.map_or(0, model::voice::whole_seconds)
    }
}
