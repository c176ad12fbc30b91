//! A call as one transaction knows it, and how the log tells of it.

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::message::Direction;
use model::money::Micros;
use model::voice::{
    CallStatus, Charge, EndReason, Facts, HangupBy, Rated, Tariff, Transport, write_legs,
};

use super::super::{EventRow, Gathered, Transfer};
use super::rows::SliceRow;
use super::{NewCall, Transferred};
use crate::bulk::Line;
use crate::error::StoreError;
use crate::json::Object;
use crate::ledger::TransferKind;

pub(super) struct State {
    pub(super) key: MessageKey,
    pub(super) id: PublicId,
    pub(super) organization: OrgId,
    pub(super) direction: Direction,
    pub(super) status: CallStatus,
    pub(super) test: bool,
    pub(super) created_at: At,
    pub(super) ringing_at: Option<At>,
    pub(super) answered_at: Option<At>,
    pub(super) talked_until: Option<At>,
    pub(super) from: Option<String>,
    pub(super) to: String,
    pub(super) rated: Rated,
    pub(super) held: Micros,
    pub(super) covered_s: i64,
    pub(super) slices: i64,
    pub(super) transport: Option<Transport>,
    /// JSON.
    pub(super) facts: String,
    pub(super) legs: Option<String>,
    pub(super) metadata: Option<String>,
    pub(super) end: Option<End>,
    /// This transaction makes its row.
    pub(super) fresh: bool,
    pub(super) changed: bool,
}

/// How it ended.
pub(super) struct End {
    pub(super) at: At,
    pub(super) reason: EndReason,
    pub(super) sip_code: Option<u16>,
    pub(super) q850: u8,
    pub(super) by: HangupBy,
    pub(super) charge: Charge,
    pub(super) uncollected: Micros,
}

impl State {
    pub(super) fn opened(
        call: &NewCall,
        key: MessageKey,
        now: At,
        (held, covered_s): (Micros, i64),
    ) -> Self {
        Self {
            key,
            id: call.id,
            organization: call.organization,
            direction: call.direction,
            status: CallStatus::Initiating,
            test: call.test,
            created_at: now,
            ringing_at: None,
            answered_at: None,
            talked_until: None,
            from: call.from.clone(),
            to: call.to.clone(),
            rated: call.rated.clone(),
            held,
            covered_s,
            slices: 1,
            transport: call.transport,
            facts: call.facts.to_json(),
            legs: (!call.legs.is_empty()).then(|| write_legs(&call.legs)),
            metadata: call.metadata.clone(),
            end: None,
            fresh: true,
            changed: false,
        }
    }

    /// A row of the columns that `rows.rs` reads.
    pub(super) fn read(line: &Line) -> Result<Self, StoreError> {
        let bad = || StoreError::Impossible("a call of no known direction or status");
        let id = <[u8; 16]>::try_from(line.blob(1)?.as_slice())
            .map_err(|_| StoreError::Impossible("a call whose id is none"))?;
        let step = |at: usize| u32::try_from(line.int(at)?).map_err(|_| StoreError::Column(at));
        let tariff = Tariff {
            per_minute: line.int(13)?,
            initial_s: step(14)?,
            increment_s: step(15)?,
            connect_fee: line.int(16)?,
        };
        let moment = |at: usize| Ok::<_, StoreError>(line.maybe_int(at)?.map(At));
        Ok(Self {
            key: MessageKey(line.int(0)?),
            id: PublicId::from_bytes(id),
            organization: OrgId(line.int(2)?),
            direction: Direction::from_code(line.int(3)?).ok_or_else(bad)?,
            status: CallStatus::from_code(line.int(4)?).ok_or_else(bad)?,
            test: line.int(5)? != 0,
            created_at: At(line.int(6)?),
            ringing_at: moment(7)?,
            answered_at: moment(8)?,
            talked_until: moment(9)?,
            from: line.maybe_text(10)?,
            to: line.text(11)?,
            rated: Rated { prefix: line.text(12)?, tariff },
            held: Micros(line.int(17)?),
            covered_s: line.int(18)?,
            slices: line.int(19)?,
            transport: line.maybe_int(20)?.and_then(Transport::from_code),
            facts: line.text(21)?,
            legs: line.maybe_text(22)?,
            metadata: line.maybe_text(23)?,
            end: None,
            fresh: false,
            changed: false,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Seconds of talk that are paid for; `None`: they cost nothing.
    pub(super) fn covered(&self) -> Option<i64> {
        (!self.rated.tariff.is_free()).then_some(self.covered_s)
    }

    pub(super) fn becomes(&mut self, status: CallStatus, at: At) {
        self.status = status;
        match status {
            CallStatus::Ringing => self.ringing_at = Some(at),
            CallStatus::InProgress => (self.answered_at, self.talked_until) = (Some(at), Some(at)),
            CallStatus::Initiating | CallStatus::Completed | CallStatus::Failed => {}
        }
    }

    pub(super) fn hold(&self, number: MessageKey, amount: Micros, gathered: &mut Gathered) {
        gathered.transfer(Transfer {
            organization: self.organization,
            message: Some(number),
            kind: TransferKind::Hold,
            amount,
            note: None,
        });
    }

    /// One slice more, already taken from the wallet, under a number of its own.
    pub(super) fn add_slice(
        &mut self,
        (amount, covered_s): (Micros, i64),
        number: MessageKey,
        now: At,
        gathered: &mut Gathered,
    ) -> SliceRow {
        let seconds = covered_s - self.covered_s;
        (self.changed, self.covered_s) = (true, covered_s);
        self.held += amount;
        self.slices += 1;
        self.hold(number, amount, gathered);
        SliceRow {
            call: self.key,
            slice: self.slices,
            number,
            organization: self.organization,
            seconds,
            amount,
            at: now,
        }
    }

    /// The event that tells of its status.
    pub(super) fn told_as(&self) -> EventKind {
        match self.status {
            CallStatus::Initiating => EventKind::CallInitiated,
            CallStatus::Ringing => EventKind::CallRinging,
            CallStatus::InProgress => EventKind::CallAnswered,
            CallStatus::Completed => EventKind::CallCompleted,
            CallStatus::Failed => EventKind::CallFailed,
        }
    }

    /// A line of the log, whose detail is the event's data.
    pub(super) fn event(&self, kind: EventKind, at: At) -> EventRow {
        EventRow::of_call(self.organization, self.key, kind, self.data(at).end())
    }

    /// The line that tells with whom it goes on.
    pub(super) fn transferred(&self, moved: &Transferred) -> EventRow {
        let mut data = self.data(moved.at);
        let other = moved.other.map(|id| id.show(Kind::Call));
        data.text("target", &moved.target).maybe_text("other_call_id", other.as_deref());
        let kind = EventKind::CallTransferred;
        EventRow::of_call(self.organization, self.key, kind, data.end())
    }

    /// The line that tells of a side that waits, and by whose wish.
    pub(super) fn held(&self, on: bool, at: At, (leg, by): (&str, HangupBy)) -> EventRow {
        let kind = if on { EventKind::CallHeld } else { EventKind::CallResumed };
        let mut data = self.data(at);
        data.text("leg", leg).text("by", by.as_str());
        EventRow::of_call(self.organization, self.key, kind, data.end())
    }

    fn data(&self, at: At) -> Object {
        let mut data = Object::new();
        data.text("call_id", &self.id.show(Kind::Call))
            .text("direction", self.direction.as_str())
            .maybe_text("from", self.from.as_deref())
            .text("to", &self.to)
            .text("status", self.status.as_str())
            .text("at", &at.iso())
            .flag("test_mode", self.test)
            .maybe_text("agent_id", Facts::agent_of(&self.facts).as_deref())
            .raw("metadata", self.metadata.as_deref().unwrap_or("{}"));
        if let Some(end) = &self.end {
            data.int("duration_seconds", end.charge.duration_s)
                .int("billable_seconds", end.charge.billable_s)
                .text("cost", &end.charge.cost.to_string())
                .int("cost_micros", end.charge.cost.0)
                .text("currency", "USD")
                .text("end_reason", end.reason.as_str())
                .maybe_int("sip_code", end.sip_code.map(i64::from))
                .int("q850_cause", i64::from(end.q850))
                .text("hangup_by", end.by.as_str());
        }
        data
    }
}
