//! What endpoints' actors report, stored for all of them together.
//!
//! Of an endpoint that was deleted meanwhile nothing is stored. Tables: webhooks,
//! webhook_deliveries, webhook_attempts.

use std::collections::HashMap;

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;

use super::{DISABLE_WEBHOOK, told};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::lane::{Gathered, Lane};

/// How far an endpoint is, and what became of events since it last said so.
#[derive(Clone, Debug)]
pub struct Record {
    pub webhook: i64,
    pub organization: OrgId,
    /// All up to this line is delivered, or a row.
    pub cursor: i64,
    pub failing_since: Option<At>,
    pub deliveries: Vec<DeliveryRecord>,
    /// Why the endpoint is to run no more, and the event that tells of it.
    pub disable: Option<(&'static str, String)>,
}

/// What became of one event.
#[derive(Clone, Debug)]
pub struct DeliveryRecord {
    pub id: PublicId,
    pub seq: i64,
    pub message_key: i64,
    pub kind: i64,
    pub state: DeliveryState,
    pub attempts: i64,
    pub due_at: At,
    pub expires_at: At,
    /// Of a dead letter.
    pub reason: Option<&'static str>,
    pub attempt: Option<AttemptLog>,
}

/// One request to an endpoint, and its answer.
#[derive(Clone, Debug, Default)]
pub struct AttemptLog {
    pub attempt: i64,
    pub at: At,
    pub elapsed_us: i64,
    pub status: Option<i64>,
    pub error: Option<String>,
    /// JSON objects.
    pub request_headers: String,
    pub response_headers: Option<String>,
    pub response_body: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    Pending,
    Delivered,
    Dead,
}

impl DeliveryState {
    #[must_use]
    pub fn code(self) -> i64 {
        match self {
            Self::Pending => 1,
            Self::Delivered => 2,
            Self::Dead => 3,
        }
    }

    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        [Self::Pending, Self::Delivered, Self::Dead].into_iter().find(|state| state.code() == code)
    }
}

impl Lane {
    pub(in crate::lane) async fn record(
        &mut self,
        records: &[&Record],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        // An actor that failed may have left a report behind: the later one counts.
        let latest: HashMap<i64, &Record> = records.iter().map(|r| (r.webhook, *r)).collect();
        let columns = [
            Column::Int(latest.values().map(|r| r.webhook).collect()),
            Column::Int(latest.values().map(|r| r.cursor).collect()),
            Column::MaybeInt(latest.values().map(|r| r.failing_since.map(At::micros)).collect()),
        ];
        self.conn.run(&MOVE_CURSORS, &columns).await?;
        self.save_deliveries(records, now).await?;
        self.save_attempts(records).await?;
        for record in records {
            let Some((reason, detail)) = &record.disable else { continue };
            let columns = [
                Column::Int(vec![record.webhook]),
                Column::Int(vec![now.micros()]),
                Column::Text(vec![reason]),
            ];
            if self.conn.run(&DISABLE_WEBHOOK, &columns).await? > 0 {
                let kind = EventKind::WebhookDisabled;
                gathered.events.push(told(record.organization, kind, detail.clone()));
            }
        }
        Ok(())
    }

    async fn save_deliveries(&mut self, records: &[&Record], now: At) -> Result<(), StoreError> {
        let mut rows: HashMap<(i64, i64), (&Record, &DeliveryRecord)> = HashMap::new();
        for record in records {
            for delivery in &record.deliveries {
                rows.insert((record.webhook, delivery.seq), (record, delivery));
            }
        }
        let mut rows: Vec<_> = rows.into_values().collect();
        rows.sort_unstable_by_key(|(record, delivery)| (record.webhook, delivery.seq));
        let columns = [
            Column::Int(rows.iter().map(|_| self.number()).collect()),
            Column::Blob(rows.iter().map(|(_, d)| d.id.as_bytes().as_slice()).collect()),
            Column::Int(rows.iter().map(|(r, _)| r.organization.0).collect()),
            Column::Int(rows.iter().map(|(r, _)| r.webhook).collect()),
            Column::Int(rows.iter().map(|(_, d)| d.seq).collect()),
            Column::Int(rows.iter().map(|(_, d)| d.message_key).collect()),
            Column::Int(rows.iter().map(|(_, d)| d.kind).collect()),
            Column::Int(rows.iter().map(|(_, d)| d.state.code()).collect()),
            Column::Int(rows.iter().map(|(_, d)| d.attempts).collect()),
            Column::Int(rows.iter().map(|(_, d)| d.due_at.micros()).collect()),
            Column::Int(rows.iter().map(|(_, d)| d.expires_at.micros()).collect()),
            Column::MaybeText(rows.iter().map(|(_, d)| d.reason).collect()),
            Column::Int(vec![now.micros(); rows.len()]),
        ];
        self.conn.run(&SAVE_DELIVERIES, &columns).await?;
        Ok(())
    }

    async fn save_attempts(&mut self, records: &[&Record]) -> Result<(), StoreError> {
        let rows: Vec<(&Record, i64, &AttemptLog)> = records
            .iter()
            .flat_map(|r| r.deliveries.iter().map(move |d| (*r, d)))
            .filter_map(|(r, d)| Some((r, d.seq, d.attempt.as_ref()?)))
            .collect();
        let columns = [
            Column::Int(rows.iter().map(|_| self.number()).collect()),
            Column::Int(rows.iter().map(|(r, ..)| r.organization.0).collect()),
            Column::Int(rows.iter().map(|(r, ..)| r.webhook).collect()),
            Column::Int(rows.iter().map(|(_, seq, _)| *seq).collect()),
            Column::Int(rows.iter().map(|(.., a)| a.attempt).collect()),
            Column::Int(rows.iter().map(|(.., a)| a.at.micros()).collect()),
            Column::Int(rows.iter().map(|(.., a)| a.elapsed_us).collect()),
            Column::MaybeInt(rows.iter().map(|(.., a)| a.status).collect()),
            Column::MaybeText(rows.iter().map(|(.., a)| a.error.as_deref()).collect()),
            Column::Text(rows.iter().map(|(.., a)| a.request_headers.as_str()).collect()),
            Column::MaybeText(rows.iter().map(|(.., a)| a.response_headers.as_deref()).collect()),
            Column::MaybeText(rows.iter().map(|(.., a)| a.response_body.as_deref()).collect()),
        ];
        self.conn.run(&SAVE_ATTEMPTS, &columns).await?;
        Ok(())
    }
}

static MOVE_CURSORS: Bulk = Bulk {
    sqlite: "update webhooks set cursor = max(cursor, ?2), failing_since = ?3 where id = ?1",
    postgres: "update webhooks set cursor = greatest(cursor, v.c), failing_since = v.f
         from unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (i, c, f) where id = v.i",
};

pub(super) static SAVE_DELIVERIES: Bulk = Bulk {
    sqlite: "insert into webhook_deliveries (id, public_id, organization_id, webhook_id, seq,
            message_key, kind, state, attempts, due_at, expires_at, reason, at)
         select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
         from webhooks w where w.id = ?4
         on conflict (webhook_id, seq) do update set state = excluded.state,
            attempts = excluded.attempts, due_at = excluded.due_at,
            expires_at = excluded.expires_at, reason = excluded.reason, at = excluded.at",
    postgres: "insert into webhook_deliveries (id, public_id, organization_id, webhook_id, seq,
            message_key, kind, state, attempts, due_at, expires_at, reason, at)
         select v.i, v.p, v.o, v.w, v.s, v.m, v.k, v.t, v.n, v.d, v.e, v.r, v.a
         from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],
            $11::bigint[], $12::text[], $13::bigint[]) v (i, p, o, w, s, m, k, t, n, d, e, r, a)
         join webhooks x on x.id = v.w
         on conflict (webhook_id, seq) do update set state = excluded.state,
            attempts = excluded.attempts, due_at = excluded.due_at,
            expires_at = excluded.expires_at, reason = excluded.reason, at = excluded.at",
};

static SAVE_ATTEMPTS: Bulk = Bulk {
    sqlite: "insert into webhook_attempts (id, organization_id, webhook_id, seq, attempt, at,
            elapsed_us, status, error, request_headers, response_headers, response_body)
         select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
         from webhooks w where w.id = ?3",
    postgres: "insert into webhook_attempts (id, organization_id, webhook_id, seq, attempt, at,
            elapsed_us, status, error, request_headers, response_headers, response_body)
         select v.i, v.o, v.w, v.s, v.n, v.a, v.l, v.t, v.e, v.q, v.h, v.b
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[],
            $12::text[]) v (i, o, w, s, n, a, l, t, e, q, h, b)
         join webhooks x on x.id = v.w",
};
