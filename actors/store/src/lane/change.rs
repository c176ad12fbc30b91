//! Second thoughts: a message is stopped before it has begun to leave, or changed before its time.
//!
//! Stopping a queued message takes its outbox row, and only without an intent: against a carrier's
//! claim one of the two finds the row, never both. Tables: messages, outbox; transfers and events
//! are gathered.

use std::collections::{HashMap, HashSet};

use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::message::{Category, Status};
use model::money::Micros;
use model::submission::NewMessage;

use super::{EventRow, Gathered, Lane, OutboxRef, Transfer};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::ledger::TransferKind;

/// What became of one message that was to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelFate {
    /// It will not be sent. This was its outbox row; it had none while it waited for its time.
    Cancelled { row: Option<OutboxRef> },
    /// Too late: this is how it stands.
    Not(Status),
    /// No such message of this organization.
    Unknown,
}

/// A scheduled message as it shall be from now on.
#[derive(Clone, Debug)]
pub struct Edit {
    pub key: MessageKey,
    pub organization: OrgId,
    /// How often it had been edited when it was read.
    pub edits: i64,
    pub created_at: At,
    pub message: NewMessage,
}

/// A message as it stands when it is to be stopped.
struct Found {
    status: Status,
    carrier: CarrierId,
    class: i64,
    hold: Micros,
}

impl Lane {
    pub(super) async fn cancel(
        &mut self,
        organization: OrgId,
        messages: &[MessageKey],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Vec<CancelFate>, StoreError> {
        let found = self.found(organization, messages).await?;
        let left = self.take_back(organization, &found).await?;
        let mut stopped: HashSet<i64> = HashSet::new();
        let mut fates = Vec::with_capacity(messages.len());
        for key in messages {
            let fate = match found.get(&key.0) {
                None => CancelFate::Unknown,
                // Named twice.
                Some(_) if stopped.contains(&key.0) => CancelFate::Not(Status::Cancelled),
                Some(Found { status: Status::Scheduled, .. }) => {
                    CancelFate::Cancelled { row: None }
                }
                Some(Found { status: Status::Queued, carrier, class, .. })
                    if left.contains(&key.0) =>
                {
                    let (carrier, class, key) = (*carrier, *class, *key);
                    let row = OutboxRef { carrier, class, organization, key };
                    CancelFate::Cancelled { row: Some(row) }
                }
                Some(Found { status: Status::Queued, .. }) => CancelFate::Not(Status::Sending),
                Some(Found { status, .. }) => CancelFate::Not(*status),
            };
            if matches!(fate, CancelFate::Cancelled { .. }) {
                stopped.insert(key.0);
            }
            fates.push(fate);
        }
        let stopped: Vec<MessageKey> = stopped.into_iter().map(MessageKey).collect();
        let columns = [
            Column::Int(stopped.iter().map(|key| key.0).collect()),
            Column::Int(vec![now.micros(); stopped.len()]),
        ];
        self.conn.run(&CANCEL, &columns).await?;
        self.forget_hits(&stopped).await?;
        self.give_places_back(organization, &stopped).await?;
        for message in stopped {
            let held = left.contains(&message.0).then(|| found.get(&message.0)).flatten();
            gather(organization, message, held.map(|found| found.hold), gathered);
        }
        Ok(fates)
    }

    async fn found(
        &mut self,
        organization: OrgId,
        messages: &[MessageKey],
    ) -> Result<HashMap<i64, Found>, StoreError> {
        let columns = [
            Column::Int(messages.iter().map(|key| key.0).collect()),
            Column::Int(vec![organization.0; messages.len()]),
        ];
        let mut found = HashMap::new();
        for line in self.conn.fetch(&FIND, &columns).await? {
            let category = Category::from_code(line.int(3)?);
            let status = Status::from_code(line.int(1)?);
            let (Some(category), Some(status)) = (category, status) else { continue };
            let row = Found {
                status,
                carrier: CarrierId(line.int(2)?),
                class: category.class(),
                hold: Micros(line.int(4)?).times(line.int(5)?),
            };
            found.insert(line.int(0)?, row);
        }
        Ok(found)
    }

    /// Takes the queued ones out of the outbox; answers those that no carrier had claimed.
    async fn take_back(
        &mut self,
        organization: OrgId,
        found: &HashMap<i64, Found>,
    ) -> Result<HashSet<i64>, StoreError> {
        let queued: Vec<(i64, &Found)> = found
            .iter()
            .filter(|(_, row)| row.status == Status::Queued)
            .map(|(key, row)| (*key, row))
            .collect();
        let columns = [
            Column::Int(queued.iter().map(|(_, row)| row.carrier.0).collect()),
            Column::Int(queued.iter().map(|(_, row)| row.class).collect()),
            Column::Int(vec![organization.0; queued.len()]),
            Column::Int(queued.iter().map(|(key, _)| *key).collect()),
        ];
        let lines = self.conn.fetch(&TAKE_BACK, &columns).await?;
        lines.iter().map(|line| line.int(0)).collect()
    }

    /// True when it was still scheduled as it had been read.
    pub(super) async fn edit(
        &mut self,
        edit: &Edit,
        gathered: &mut Gathered,
    ) -> Result<bool, StoreError> {
        let message = &edit.message;
        let options = &message.options;
        let Some(scheduled_at) = options.scheduled_at else {
            return Err(StoreError::Impossible("an edited message without a time"));
        };
        let pool = options.pool.as_ref().map(|pool| pool.id);
        if let Some(pool) = pool
            && !self.has_pool(edit.organization, pool).await?
        {
            return Ok(false);
        }
        let expires_at = options.expires_at(edit.created_at);
        let submitted = options.submitted.as_ref().map(|submitted| submitted.to_octets());
        let columns = [
            Column::Int(vec![edit.key.0]),
            Column::Int(vec![edit.organization.0]),
            Column::Int(vec![edit.edits]),
            Column::Text(vec![&message.body]),
            Column::Int(vec![message.encoding.code()]),
            Column::Int(vec![message.segments.into()]),
            Column::Text(vec![&message.from]),
            Column::Int(vec![message.from_ton.into()]),
            Column::MaybeText(vec![message.metadata.as_deref()]),
            Column::Int(vec![message.carrier.0]),
            Column::Int(vec![message.unit_price.0]),
            Column::MaybeText(vec![message.mccmnc.as_deref()]),
            Column::Int(vec![scheduled_at.micros()]),
            Column::MaybeInt(vec![options.validity_s.map(i64::from)]),
            Column::MaybeInt(vec![expires_at.map(At::micros)]),
            Column::MaybeBlob(vec![submitted.as_deref()]),
            Column::MaybeInt(vec![pool]),
        ];
        if self.conn.run(&EDIT, &columns).await? == 0 {
            return Ok(false);
        }
        gathered.events.push(EventRow {
            organization: edit.organization,
            message: edit.key,
            kind: EventKind::Edited,
            status: Status::Scheduled,
            detail: Some(format!("{{\"scheduled_at\":\"{}\"}}", scheduled_at.iso())),
        });
        Ok(true)
    }
}

fn gather(organization: OrgId, message: MessageKey, held: Option<Micros>, gathered: &mut Gathered) {
    if let Some(amount) = held {
        gathered.transfer(Transfer {
            organization,
            message: Some(message),
            kind: TransferKind::Release,
            amount,
            note: None,
        });
    }
    gathered.events.push(EventRow {
        organization,
        message,
        kind: EventKind::Cancelled,
        status: Status::Cancelled,
        detail: None,
    });
}

static FIND: Bulk = Bulk {
    sqlite: "select key, status, carrier_id, category, unit_price, segments from messages
         where key = ?1 and organization_id = ?2 and direction = 1",
    postgres: "select m.key, m.status, m.carrier_id, m.category, m.unit_price, m.segments
         from unnest($1::bigint[], $2::bigint[]) v (k, o)
         join messages m on m.key = v.k and m.organization_id = v.o
         where m.direction = 1 for update of m",
};

/// Takes a waiting message out of the outbox, as long as no owner has an intent on it.
pub(super) static TAKE_BACK: Bulk = Bulk {
    sqlite: "delete from outbox where carrier_id = ?1 and class = ?2 and organization_id = ?3
         and key = ?4 and intent is null returning key",
    postgres: "delete from outbox o
         using unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) v (c, l, g, k)
         where o.carrier_id = v.c and o.class = v.l and o.organization_id = v.g and o.key = v.k
         and o.intent is null returning o.key",
};

static CANCEL: Bulk = Bulk {
    sqlite: "update messages set status = 11, done_at = ?2, waits_until = null
         where key = ?1 and status in (1, 13)",
    postgres: "update messages set status = 11, done_at = v.n, waits_until = null
         from unnest($1::bigint[], $2::bigint[]) v (k, n) where key = v.k and status in (1, 13)",
};

static EDIT: Bulk = Bulk {
    sqlite: "update messages set body = ?4, encoding = ?5, segments = ?6, from_addr = ?7,
            from_ton = ?8, metadata = ?9, carrier_id = ?10, unit_price = ?11, mccmnc = ?12,
            scheduled_at = ?13, waits_until = ?13, validity_s = ?14, expires_at = ?15, submitted = ?16,
            sender_pool_id = ?17,
            edits = coalesce(edits, 0) + 1
         where key = ?1 and organization_id = ?2 and status = 13 and coalesce(edits, 0) = ?3",
    postgres: "update messages set body = v.b, encoding = v.e, segments = v.s, from_addr = v.f,
            from_ton = v.t, metadata = v.m, carrier_id = v.c, unit_price = v.p, mccmnc = v.n,
            scheduled_at = v.w, waits_until = v.w, validity_s = v.v, expires_at = v.x,
            submitted = v.u, sender_pool_id = v.l, edits = coalesce(edits, 0) + 1
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[],
            $6::bigint[], $7::text[], $8::bigint[], $9::text[], $10::bigint[], $11::bigint[],
            $12::text[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bytea[],
            $17::bigint[])
            v (k, o, r, b, e, s, f, t, m, c, p, n, w, v, x, u, l)
         where key = v.k and organization_id = v.o and status = 13 and coalesce(edits, 0) = v.r",
};
