//! A message goes to another carrier: its outbox row moves, in the transaction of its result.
//!
//! Only what the first carrier certainly has not accepted comes here. A result counts only while the
//! row carries our intent, like every other; what just waits moves only while nobody has an intent on
//! it, so that a crash leaves nothing in doubt that no bind ever had. Hold and price stay as they are. The row gets a new
//! place, so that the other owner reads it after what it has read. Tables: outbox, messages; events
//! are gathered.

use model::event::EventKind;
use model::message::Status;

use std::collections::HashSet;

use super::handoff::{columns_of, event};
use super::work::{Fate, HandoffResult, OutboxRef, Outcome};
use super::{Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::json::quoted;
use model::clock::At;

impl Lane {
    pub(super) async fn divert(
        &mut self,
        results: &[HandoffResult],
        which: &[usize],
        now: At,
        fates: &mut [Fate],
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        if which.is_empty() {
            return Ok(());
        }
        let mut movable = self.movable(results, which).await?;
        let mut rows = Vec::new();
        let (mut carriers, mut places, mut tries) = (Vec::new(), Vec::new(), Vec::new());
        for at in which {
            let result = &results[*at];
            let Outcome::Divert { to, tried, reason, carrier_error, .. } = &result.outcome else {
                continue;
            };
            if !movable.remove(&(result.row.key.0, intent(result))) {
                fates[*at] = Fate::Stale;
                continue;
            }
            let place = self.number();
            fates[*at] = Fate::Diverted { place };
            rows.push(result.row);
            carriers.push(to.0);
            places.push(place);
            tries.push(tried.as_str());
            let (from, to) = (result.row.carrier.0, to.0);
            let error = carrier_error.as_deref().map_or(String::from("null"), quoted);
            let detail = format!(
                "{{\"from_carrier\":{from},\"to_carrier\":{to},\"reason\":{},\"carrier_error\":{error}}}",
                quoted(reason)
            );
            let (kind, status) = (EventKind::Diverted, Status::Queued);
            gathered.events.push(event(result, kind, status, Some(detail)));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let keys = Column::Int(rows.iter().map(|row| row.key.0).collect());
        let [from, classes, organizations, own_keys] = columns_of(&rows);
        let epochs = which.iter().filter(|at| matches!(fates[**at], Fate::Diverted { .. }));
        let columns = [
            from,
            classes,
            organizations,
            own_keys,
            Column::MaybeInt(epochs.map(|at| intent(&results[*at])).collect()),
            Column::Int(carriers.clone()),
            Column::Int(vec![now.micros(); rows.len()]),
            Column::Int(places),
            Column::Text(tries),
        ];
        self.conn.run(&MOVE, &columns).await?;
        self.conn.run(&MOVE_MESSAGES, &[keys, Column::Int(carriers)]).await?;
        Ok(())
    }

    /// Which of these rows still have the intent, or have none, as their result says. Each is good
    /// for one result.
    async fn movable(
        &mut self,
        results: &[HandoffResult],
        which: &[usize],
    ) -> Result<HashSet<(i64, Option<i64>)>, StoreError> {
        let rows: Vec<OutboxRef> = which.iter().map(|at| results[*at].row).collect();
        let [carriers, classes, organizations, keys] = columns_of(&rows);
        let intents = Column::MaybeInt(which.iter().map(|at| intent(&results[*at])).collect());
        let columns = [carriers, classes, organizations, keys, intents];
        let lines = self.conn.fetch(&MOVABLE, &columns).await?;
        lines.iter().map(|line| Ok((line.int(0)?, line.maybe_int(1)?))).collect()
    }

    /// What goes again after having been in doubt, or taken in part, stays with its carrier:
    /// elsewhere it might be the second one.
    pub(super) async fn keep_at_carrier(
        &mut self,
        results: &[HandoffResult],
        fates: &[Fate],
    ) -> Result<(), StoreError> {
        let again = results.iter().zip(fates).filter(|(result, fate)| {
            let stays = matches!(
                result.outcome,
                Outcome::Resolve { .. } | Outcome::Retry { stays: true, .. }
            );
            stays && **fate == Fate::Again
        });
        let rows: Vec<_> = again.map(|(result, _)| result.row).collect();
        if !rows.is_empty() {
            self.conn.run(&KEEP_AT_CARRIER, &columns_of(&rows)).await?;
        }
        Ok(())
    }
}

/// The intent that a row must have to be moved; `None`: none.
fn intent(result: &HandoffResult) -> Option<i64> {
    let waiting = matches!(result.outcome, Outcome::Divert { waiting: true, .. });
    (!waiting).then_some(result.epoch)
}

static MOVABLE: Bulk = Bulk {
    sqlite: "select key, intent from outbox where carrier_id = ?1 and class = ?2 and organization_id = ?3
         and key = ?4 and intent is ?5",
    postgres: "select o.key, o.intent
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
            v (c, l, o, k, e)
         join outbox o on o.carrier_id = v.c and o.class = v.l and o.organization_id = v.o
         and o.key = v.k where o.intent is not distinct from v.e",
};

static MOVE: Bulk = Bulk {
    sqlite: "update outbox set carrier_id = ?6, intent = null, intent_at = null, due_at = ?7,
            attempts = 0, place = ?8, tried = ?9
         where carrier_id = ?1 and class = ?2 and organization_id = ?3 and key = ?4
         and intent is ?5",
    postgres: "update outbox set carrier_id = v.t, intent = null, intent_at = null, due_at = v.d,
            attempts = 0, place = v.p, tried = v.w
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::text[]) v (c, l, o, k, e, t, d, p, w)
         where carrier_id = v.c and class = v.l and organization_id = v.o and key = v.k
         and intent is not distinct from v.e",
};

static MOVE_MESSAGES: Bulk = Bulk {
    sqlite: "update messages set carrier_id = ?2 where key = ?1",
    postgres: "update messages set carrier_id = v.c
         from unnest($1::bigint[], $2::bigint[]) v (k, c) where key = v.k",
};

static KEEP_AT_CARRIER: Bulk = Bulk {
    sqlite: "update outbox set tried = coalesce(rtrim(tried, '!'), '') || '!'
         where carrier_id = ?1 and class = ?2 and organization_id = ?3 and key = ?4",
    postgres: "update outbox set tried = coalesce(rtrim(tried, '!'), '') || '!'
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) v (c, l, o, k)
         where carrier_id = v.c and class = v.l and organization_id = v.o and key = v.k",
};
