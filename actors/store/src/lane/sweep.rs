//! What the sweeper asks of the writer: messages whose receipt never came, and what may be dropped.
//!
//! Tables: messages, sweeps, lanes, idempotency, parked, inbound_seen, keyword_replies.

use std::collections::BTreeMap;

use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::message::Status;

use super::work::Work;
use super::{EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// A message still `sent` after its carrier's receipt time-out.
#[derive(Clone, Copy, Debug)]
pub struct Overdue {
    pub key: MessageKey,
    pub organization: OrgId,
}

impl Lane {
    pub(super) async fn overdue(
        &mut self,
        items: &[Overdue],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        if items.is_empty() {
            return Ok(());
        }
        // A receipt of this same transaction may have come first: ask again which still wait.
        let keys = || Column::Int(items.iter().map(|o| o.key.0).collect());
        let lines = self.conn.fetch(&STILL_SENT, &[keys()]).await?;
        let mut waiting = lines
            .iter()
            .map(|line| line.int(0))
            .collect::<Result<std::collections::HashSet<i64>, _>>()?;
        let columns = [keys(), Column::Int(vec![now.micros(); items.len()])];
        self.conn.run(&GIVE_UP, &columns).await?;
        // An item may be there twice: a sweep that got no answer in time begins again.
        for item in items.iter().filter(|item| waiting.remove(&item.key.0)) {
            gathered.events.push(EventRow {
                organization: item.organization,
                message: item.key,
                kind: EventKind::Failed,
                status: Status::SubmittedNoReceipt,
                detail: Some(String::from("{\"reason\":\"dlr_timeout\"}")),
            });
        }
        Ok(())
    }

    pub(super) async fn housekeeping(
        &mut self,
        work: &Work,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let mut cursors: BTreeMap<(i64, CarrierId), i64> = BTreeMap::new();
        for (lane, carrier, seq) in &work.sweep_cursors {
            let highest = cursors.entry((*lane, *carrier)).or_insert(*seq);
            *highest = (*highest).max(*seq);
        }
        if !cursors.is_empty() {
            let columns = [
                Column::Int(cursors.keys().map(|(lane, _)| *lane).collect()),
                Column::Int(cursors.keys().map(|(_, carrier)| carrier.0).collect()),
                Column::Int(cursors.values().copied().collect()),
            ];
            self.conn.run(&SAVE_CURSORS, &columns).await?;
        }
        if let Some(before) = work.forget_keys_before {
            self.conn.run(&FORGET_KEYS, &[Column::Int(vec![before.micros()])]).await?;
        }
        if let Some(before) = work.forget_parked_before {
            let column = || [Column::Int(vec![before.micros()])];
            self.conn.run(&FORGET_SEEN, &column()).await?;
            self.sweep_hits(now).await?;
            self.settle_idle(now, gathered).await?;
            self.sweep_pools(now).await?;
            self.sweep_numbers(now).await?;
            self.sweep_proxies(now, gathered).await?;
            self.conn.run(&FORGET_REPLIES, &column()).await?;
            if self.conn.run(&FORGET_PARKED, &column()).await? > 0 {
                tracing::info!(before = %before.iso(), now = %now.iso(), "old orphans dropped");
                self.recount_parked(gathered).await?;
            }
        }
        Ok(())
    }
}

static STILL_SENT: Bulk = Bulk {
    sqlite: "select key from messages where key = ?1 and status = 3",
    postgres: "select m.key from unnest($1::bigint[]) v (k) join messages m on m.key = v.k
         where m.status = 3",
};

static GIVE_UP: Bulk = Bulk {
    sqlite: "update messages set status = 5, status_reason = 'dlr_timeout', done_at = ?2,
            partly_at = null, nameless = null
         where key = ?1 and status = 3",
    postgres: "update messages set status = 5, status_reason = 'dlr_timeout', done_at = v.n,
            partly_at = null, nameless = null
         from unnest($1::bigint[], $2::bigint[]) v (k, n) where key = v.k and status = 3",
};

static SAVE_CURSORS: Bulk = Bulk {
    sqlite: "insert into sweeps (lane_id, carrier_id, seq) values (?1, ?2, ?3)
         on conflict (lane_id, carrier_id) do update set seq = excluded.seq",
    postgres: "insert into sweeps (lane_id, carrier_id, seq)
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])
         on conflict (lane_id, carrier_id) do update set seq = excluded.seq",
};

static FORGET_KEYS: Bulk = Bulk {
    sqlite: "delete from idempotency where (organization_id, key, route) in (
            select organization_id, key, route from idempotency
            where created_at < ?1 limit 5000)",
    postgres: "delete from idempotency where (organization_id, key, route) in (
            select i.organization_id, i.key, i.route from unnest($1::bigint[]) v (b)
            join idempotency i on i.created_at < v.b limit 5000)",
};

static FORGET_SEEN: Bulk = Bulk {
    sqlite: "delete from inbound_seen where (carrier_id, fingerprint) in (
            select carrier_id, fingerprint from inbound_seen where at < ?1 limit 5000)",
    postgres: "delete from inbound_seen where (carrier_id, fingerprint) in (
            select i.carrier_id, i.fingerprint from unnest($1::bigint[]) v (b)
            join inbound_seen i on i.at < v.b limit 5000)",
};

static FORGET_REPLIES: Bulk = Bulk {
    sqlite: "delete from keyword_replies where message_key in (
            select message_key from keyword_replies where created_at < ?1 limit 5000)",
    postgres: "delete from keyword_replies where message_key in (
            select r.message_key from unnest($1::bigint[]) v (b)
            join keyword_replies r on r.created_at < v.b limit 5000)",
};

static FORGET_PARKED: Bulk = Bulk {
    sqlite: "delete from parked where seq in (select seq from parked where at < ?1 limit 5000)",
    postgres: "delete from parked where seq in (
            select p.seq from unnest($1::bigint[]) v (b) join parked p on p.at < v.b limit 5000)",
};
