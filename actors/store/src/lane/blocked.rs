//! Messages that end before any carrier had them, because a gate says no after they were let in.
//!
//! The outbox row goes, the hold is released, the message is `blocked` and says why; what the
//! gates had counted for it does not count any more. Tables: outbox, messages.

use std::collections::HashSet;

use model::clock::At;
use model::event::EventKind;
use model::message::Status;
use model::money::Micros;
use model::refusal::MessageError;

use super::change::TAKE_BACK;
use super::work::OutboxRef;
use super::{EventRow, Gathered, Lane, Transfer};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::ledger::TransferKind;

/// A message to be ended, and what is held for it.
pub(super) struct Blocked {
    pub(super) row: OutboxRef,
    pub(super) held: Micros,
}

impl Lane {
    /// Ends those of the messages that no carrier's owner has claimed.
    pub(super) async fn block(
        &mut self,
        messages: &[Blocked],
        reason: &'static str,
        error: MessageError,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        if messages.is_empty() {
            return Ok(());
        }
        let columns = [
            Column::Int(messages.iter().map(|m| m.row.carrier.0).collect()),
            Column::Int(messages.iter().map(|m| m.row.class).collect()),
            Column::Int(messages.iter().map(|m| m.row.organization.0).collect()),
            Column::Int(messages.iter().map(|m| m.row.key.0).collect()),
        ];
        let lines = self.conn.fetch(&TAKE_BACK, &columns).await?;
        let mut taken =
            lines.iter().map(|line| line.int(0)).collect::<Result<HashSet<i64>, _>>()?;
        let keys: Vec<i64> = taken.iter().copied().collect();
        let columns = [
            Column::Text(vec![reason; keys.len()]),
            Column::Text(vec![error.as_str(); keys.len()]),
            Column::Int(vec![now.micros(); keys.len()]),
            Column::Int(keys),
        ];
        self.conn.run(&END_BLOCKED, &columns).await?;
        // One at a time: the same message may be named twice.
        for message in messages.iter().filter(|message| taken.remove(&message.row.key.0)) {
            let organization = message.row.organization;
            gathered.transfer(Transfer {
                organization,
                message: Some(message.row.key),
                kind: TransferKind::Release,
                amount: message.held,
                note: None,
            });
            gathered.events.push(EventRow {
                organization,
                message: message.row.key,
                kind: EventKind::Failed,
                status: Status::Blocked,
                detail: Some(format!("{{\"reason\":\"{reason}\"}}")),
            });
            gathered.blocked.push(organization);
        }
        Ok(())
    }
}

static END_BLOCKED: Bulk = Bulk {
    sqlite: "update messages set status = 10, status_reason = ?1, error_code = ?2, done_at = ?3
         where key = ?4",
    postgres: "update messages set status = 10, status_reason = v.r, error_code = v.e,
         done_at = v.n
         from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) v (r, e, n, k)
         where key = v.k",
};
