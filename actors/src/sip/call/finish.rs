//! How a call ends: its last word to the store, once, and what stays until the wire is quiet.

use std::time::Duration;

use model::carrier::MessageKey;
use model::clock::At;
use model::voice::CallStatus;
use proto_sip::StatusCode;
use proto_sip::dialog::Dialog;
use proto_sip::leg::Command;
use store::lane::{CallChange, CallDone, Closing, Progress, Transferred};

use super::keeper::{Kept, Will};
use super::record;
use super::state::{CallState, End, Phase};
use super::tie::About;
use super::{CallMsg, Stored};
use crate::media::Side;

/// How long a call waits before it tells its end once more.
const AGAIN: Duration = Duration::from_secs(1);

impl CallState {
    /// The call is over, for this reason. Everybody else who is still there is told.
    pub(super) fn finish(&mut self, end: End) {
        if self.end.is_some() {
            return;
        }
        self.phase = Phase::Over;
        // All legs hear of the end below: nobody else is rung, and nobody takes a side any more.
        self.ring.stop(&end.cause, &mut Vec::new());
        self.seeking.clear();
        self.untie(&end.cause);
        self.transfer = None;
        let numbers: Vec<u8> = self.legs.iter().map(|(number, _)| *number).collect();
        for number in numbers {
            self.leg_ended(number, end.reason, end.status, &end.cause);
            self.command(number, Command::End { cause: end.cause.clone() });
        }
        let answered = self.answered_at.is_some();
        let outcome = if answered { "completed" } else { "failed" };
        metrics::counter!(
            "orbit_calls_ended_total", "outcome" => outcome, "reason" => end.reason.as_str()
        )
        .increment(1);
        self.end = Some(end);
        self.close_sound();
    }

    /// The relay says how it was; its ports are free. What it says comes before the row is closed.
    pub(super) fn close_sound(&mut self) {
        let Some(session) = self.session.take() else { return self.close_row() };
        self.context.keeper.unlisten(session.id());
        let me = self.me.clone();
        // A thread answers in microseconds; a call that ends must not wait for one that does not.
        tokio::spawn(async move {
            let report = session.close().await.ok().map(Box::new);
            let _ = me.send_message(CallMsg::Quiet(report));
        });
    }

    pub(super) fn quiet(&mut self, report: Option<&crate::media::Report>) {
        for side in Side::BOTH {
            let heard = report.map(|report| &report.legs[usize::from(side == Side::B)]);
            let number = self.last_sides[usize::from(side == Side::B)];
            let (Some(heard), Some(number)) = (heard, number) else { continue };
            let live = self.legs.iter_mut().map(|(of, leg)| (*of, &mut leg.record));
            let mut all = live.chain(self.records.iter_mut().map(|(of, record)| (*of, record)));
            if let Some((_, record)) = all.find(|(of, _)| *of == number) {
                record::heard(record, heard);
            }
        }
        self.close_row();
    }

    /// The last word to the store, as soon as the call is known there.
    pub(super) fn close_row(&mut self) {
        if !self.row.asked {
            self.row.done = true;
        }
        let (Some(key), Some(end), false) = (self.row.key, &self.end, self.row.closed) else {
            return;
        };
        if self.session.is_some() {
            return;
        }
        let legs = self.legs.iter().map(|(_, leg)| leg.record.clone());
        let legs = self.records.iter().map(|(_, record)| record.clone()).chain(legs);
        let bare = self.row.bare;
        let legs = legs.map(|leg| if bare { leg.bare() } else { leg }).collect();
        let closing = Closing {
            key,
            at: end.at,
            reason: end.reason,
            sip_code: end.status.map(StatusCode::get).filter(|_| self.answered_at.is_none()),
            q850: end.cause.q850.and_then(|cause| u8::try_from(cause).ok()),
            by: end.by,
            legs,
            facts: None,
            // Where more may be said the messages are stored when the wire is quiet.
            ladder: match self.legs.is_empty() && !self.row.keeping {
                true => self.ladder.take(),
                false => None,
            },
        };
        self.row.closed = true;
        self.ask(CallChange::Close(Box::new(closing)), Stored::Closed);
    }

    /// The messages are stored with those of the end, behind it; false: there is nothing to wait for.
    pub(super) fn keeps_ladder(&mut self) -> bool {
        if self.row.keeping {
            return true;
        }
        let (Some(key), Some(plan)) = (self.row.key, &self.plan) else { return false };
        if self.ladder.packed().is_empty() {
            return false;
        }
        let (organization, messages) = (plan.organization, self.ladder.packed().to_vec());
        self.row.keeping = true;
        self.ask(CallChange::Ladder { key, organization, messages }, |_| Stored::Kept);
        true
    }

    /// They are stored, or will not be: they are not worth asking twice.
    pub(super) fn kept(&mut self) {
        self.row.keeping = false;
        self.ladder.take();
    }

    pub(super) fn closed(&mut self, done: Option<&CallDone>) {
        if done.is_none() {
            tracing::warn!(call = ?self.row.key, "a call's end is not known to be stored; again");
            self.row.closed = false;
            self.me.send_after(AGAIN, || CallMsg::CloseAgain);
            return;
        }
        if let Some(CallDone::Failed) = done {
            if !self.row.bare {
                (self.row.bare, self.row.closed) = (true, false);
                return self.close_row();
            }
            metrics::counter!("orbit_calls_not_closed_total").increment(1);
            tracing::error!(call = ?self.row.key, "the database takes a call's end in no way");
        }
        self.row.done = true;
    }

    /// The store is told how far the call has come.
    pub(super) fn tell_row(&mut self) {
        if self.end.is_none() {
            self.tell_steps();
        }
    }

    /// What the row has not been told of yet.
    pub(super) fn tell_steps(&mut self) {
        let Some(key) = self.row.key else { return };
        if let Some(at) = self.rang_at
            && !self.row.told_ringing
            && !self.row.told_answered
        {
            self.row.told_ringing = true;
            self.progress(key, at, CallStatus::Ringing, false);
        }
        if let Some((_, at)) = self.answered_at
            && !self.row.told_answered
        {
            self.row.told_answered = true;
            self.progress(key, at, CallStatus::InProgress, true);
        }
        for moved in std::mem::take(&mut self.row.moved) {
            self.tell_moved(key, moved);
        }
    }

    fn progress(&self, key: MessageKey, at: At, status: CallStatus, with_legs: bool) {
        let legs = || self.legs.iter().map(|(_, leg)| leg.record.clone()).collect();
        let legs = with_legs.then(legs);
        let (status, transport, facts) = (Some(status), None, None);
        let progress = Progress { key, at, status, legs, transport, facts };
        self.tell(CallChange::Progress(Box::new(progress)));
    }

    /// Somebody has left, and who stays talks to somebody else.
    pub(super) fn transferred(&mut self, about: &About) {
        self.write_will();
        self.row.moved.push((self.at(), about.clone()));
        self.tell_steps();
    }

    fn tell_moved(&self, key: MessageKey, (at, about): (At, About)) {
        let live = self.legs.iter().map(|(_, leg)| leg.record.clone());
        let legs = self.records.iter().map(|(_, record)| record.clone()).chain(live).collect();
        let (target, other) = (about.party, about.call);
        let moved = Transferred { key, at, target, other, legs };
        self.tell(CallChange::Transferred(Box::new(moved)));
    }

    /// What the supervisor does if this actor fails.
    pub(super) fn write_will(&mut self) {
        if self.end.is_some() {
            return;
        }
        let row = match (self.row.key, self.row.id) {
            (Some(key), _) => Kept::Row(key),
            (None, Some(id)) => Kept::Asked(id),
            (None, None) => Kept::Nothing,
        };
        let answered = self.answered_at.is_some();
        let live = self.legs.iter().map(|(_, leg)| &leg.record);
        let legs = self.records.iter().map(|(_, record)| record).chain(live).cloned().collect();
        let numbers = self.sides.into_iter().flatten().filter(|_| answered);
        let byes = numbers.filter_map(|number| self.last_bye(number)).collect();
        let ringing = self.legs.iter().filter(|(_, leg)| leg.record.answered_at.is_none());
        let rings = ringing.filter_map(|(_, leg)| leg.invite).collect();
        let (shard, refusal) = (self.shard.clone(), self.refusal.clone());
        let clock = self.clock;
        let will = Will { row, clock, bare: false, answered, legs, shard, rings, refusal, byes };
        self.context.keeper.write(&self.me, will);
    }

    fn last_bye(&self, number: u8) -> Option<(crate::sip::flow::Flow, Dialog)> {
        let (_, leg) = self.legs.iter().find(|(of, _)| *of == number)?;
        Some((leg.line.flow(), leg.leg.dialog()?.clone()))
    }
}
