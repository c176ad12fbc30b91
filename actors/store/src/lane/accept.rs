//! The accept phase: idempotency keys, then wallets, then the rows of what survives.
//!
//! No statement here fails on an item's account: conflicts are skipped and looked at, balances are
//! decided in memory in order of arrival. Tables: idempotency, api_keys, wallets, messages, outbox.

use std::collections::{HashMap, HashSet};

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::message::{Direction, EventKind, Status};
use model::money::Micros;
use model::refusal::{Code, Refusal};
use model::submission::{Idempotency, NewMessage, Submission};

use super::{AcceptAnswer, Accepted, EventRow, Gathered, Lane, Transfer};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::ledger::TransferKind;

type Scope<'a> = (OrgId, &'a str, &'a str);
type StoredScope = (i64, String, String);

/// What stands in the way of an item, found before money is looked at.
enum Verdict<'a> {
    Go,
    Answer(AcceptAnswer),
    /// The same key as an earlier item of this batch: its fate decides.
    Twin {
        first: usize,
        same_body: bool,
    },
    Keyed(Scope<'a>),
}

impl Lane {
    pub(super) async fn accept(
        &mut self,
        items: &[Submission],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Vec<AcceptAnswer>, StoreError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let verdicts = self.keys(items, now).await?;
        let permitted = self.permitted(items).await?;
        let mut purses = self.purses(items).await?;

        let mut answers: Vec<Option<AcceptAnswer>> = Vec::with_capacity(items.len());
        let mut rows: Vec<(MessageKey, &Submission, &NewMessage)> = Vec::new();
        let mut unused: Vec<Scope<'_>> = Vec::new();
        for (item, verdict) in items.iter().zip(&verdicts) {
            let answer = match verdict {
                Verdict::Answer(answer) => answer.clone(),
                Verdict::Twin { first, same_body } => twin(items, *first, &answers, *same_body),
                Verdict::Go | Verdict::Keyed(_) => {
                    let decided = if permitted.contains(&item.api_key) {
                        pay(&mut purses, item)
                    } else {
                        Err(Refusal::invalid_api_key())
                    };
                    if let (Err(_), Verdict::Keyed(scope)) = (&decided, verdict) {
                        unused.push(*scope);
                    }
                    decided.map(|()| {
                        let first = MessageKey(self.id << 40 | (self.next + 1));
                        for message in &item.messages {
                            rows.push((MessageKey(self.number()), item, message));
                        }
                        Accepted::Fresh { at: now, first }
                    })
                }
            };
            answers.push(Some(answer));
        }
        self.forget(&unused).await?;
        self.insert(&rows, now).await?;
        for (key, item, message) in rows {
            gathered.events.push(EventRow {
                organization: item.organization,
                message: key,
                kind: EventKind::Created,
                status: Status::Queued,
                detail: Some(format!("{{\"route\":\"{}\"}}", message.route_reason)),
            });
            gathered.transfer(Transfer {
                organization: item.organization,
                message: Some(key),
                kind: TransferKind::Hold,
                amount: message.hold(),
                note: None,
            });
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Stores the new idempotency keys and finds what the known ones stand for.
    async fn keys<'a>(
        &mut self,
        items: &'a [Submission],
        now: At,
    ) -> Result<Vec<Verdict<'a>>, StoreError> {
        let mut first_with: HashMap<Scope<'a>, usize> = HashMap::new();
        let mut verdicts = Vec::with_capacity(items.len());
        let mut fresh: Vec<(usize, &Submission, &Idempotency)> = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let Some(idempotency) = &item.idempotency else {
                verdicts.push(Verdict::Go);
                continue;
            };
            let scope = (item.organization, idempotency.key.as_str(), idempotency.route);
            if let Some(first) = first_with.get(&scope) {
                let earlier = items[*first].idempotency.as_ref();
                let same_body = earlier.is_some_and(|e| e.fingerprint == idempotency.fingerprint);
                verdicts.push(Verdict::Twin { first: *first, same_body });
                continue;
            }
            first_with.insert(scope, at);
            fresh.push((at, item, idempotency));
            verdicts.push(Verdict::Keyed(scope));
        }
        if fresh.is_empty() {
            return Ok(verdicts);
        }
        let references: Vec<PublicId> = fresh.iter().map(|(_, item, _)| reference(item)).collect();
        let columns = [
            Column::Int(fresh.iter().map(|(_, item, _)| item.organization.0).collect()),
            Column::Text(fresh.iter().map(|(_, _, i)| i.key.as_str()).collect()),
            Column::Text(fresh.iter().map(|(_, _, i)| i.route).collect()),
            Column::Blob(fresh.iter().map(|(_, _, i)| i.fingerprint.as_slice()).collect()),
            Column::Blob(references.iter().map(|r| r.as_bytes().as_slice()).collect()),
            Column::Int(vec![now.micros(); fresh.len()]),
        ];
        let stored = self.conn.run(&INSERT_KEYS, &columns).await?;
        if stored == fresh.len() as u64 {
            return Ok(verdicts);
        }
        let columns = &columns[..3];
        let known = self.conn.fetch(&SELECT_KEYS, columns).await?;
        let mut by_scope: HashMap<StoredScope, (Vec<u8>, Vec<u8>)> = HashMap::new();
        for line in known {
            let scope = (line.int(0)?, line.text(1)?, line.text(2)?);
            by_scope.insert(scope, (line.blob(3)?, line.blob(4)?));
        }
        for ((at, item, idempotency), ours) in fresh.into_iter().zip(references) {
            let scope =
                (item.organization.0, idempotency.key.clone(), idempotency.route.to_owned());
            let Some((fingerprint, reference)) = by_scope.get(&scope) else {
                continue;
            };
            let reference = <[u8; 16]>::try_from(reference.as_slice())
                .map(PublicId::from_bytes)
                .map_err(|_| StoreError::Impossible("a reference that is no id"))?;
            if reference != ours {
                let same_body = *fingerprint == idempotency.fingerprint;
                verdicts[at] = Verdict::Answer(replay(reference, same_body));
            }
        }
        Ok(verdicts)
    }

    /// The API keys of the batch that may still send.
    async fn permitted(&mut self, items: &[Submission]) -> Result<HashSet<i64>, StoreError> {
        let mut keys: Vec<i64> = items.iter().map(|item| item.api_key).collect();
        keys.sort_unstable();
        keys.dedup();
        let lines = self.conn.fetch(&PERMITTED_KEYS, &[Column::Int(keys)]).await?;
        lines.iter().map(|line| line.int(0)).collect()
    }

    /// What each organization of the batch can spend; its rows stay locked until the commit.
    async fn purses(&mut self, items: &[Submission]) -> Result<HashMap<OrgId, Micros>, StoreError> {
        let mut organizations: Vec<i64> =
            items.iter().filter(|i| i.hold() > Micros::ZERO).map(|i| i.organization.0).collect();
        organizations.sort_unstable();
        organizations.dedup();
        let lines = self.conn.fetch(&SELECT_WALLETS, &[Column::Int(organizations)]).await?;
        let mut purses = HashMap::new();
        for line in lines {
            purses.insert(OrgId(line.int(0)?), Micros(line.int(1)?));
        }
        Ok(purses)
    }

    /// Takes back the keys of what was refused after all: only an effect keeps its key.
    async fn forget(&mut self, scopes: &[Scope<'_>]) -> Result<(), StoreError> {
        if scopes.is_empty() {
            return Ok(());
        }
        let columns = [
            Column::Int(scopes.iter().map(|s| s.0.0).collect()),
            Column::Text(scopes.iter().map(|s| s.1).collect()),
            Column::Text(scopes.iter().map(|s| s.2).collect()),
        ];
        self.conn.run(&DELETE_KEYS, &columns).await?;
        Ok(())
    }

    async fn insert(
        &mut self,
        rows: &[(MessageKey, &Submission, &NewMessage)],
        now: At,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let count = rows.len();
        let keys = || Column::Int(rows.iter().map(|(key, _, _)| key.0).collect());
        let organizations =
            || Column::Int(rows.iter().map(|(_, item, _)| item.organization.0).collect());
        let carriers = || Column::Int(rows.iter().map(|(_, _, m)| m.carrier.0).collect());
        let columns = [
            keys(),
            Column::Blob(rows.iter().map(|(_, _, m)| m.id.as_bytes().as_slice()).collect()),
            organizations(),
            Column::Int(vec![Direction::Outbound.code(); count]),
            Column::Int(vec![Status::Queued.code(); count]),
            Column::Int(rows.iter().map(|(_, _, m)| m.category.code()).collect()),
            Column::Int(rows.iter().map(|(_, _, m)| m.encoding.code()).collect()),
            Column::Int(rows.iter().map(|(_, _, m)| i64::from(m.segments)).collect()),
            Column::Int(rows.iter().map(|(_, _, m)| i64::from(m.test)).collect()),
            carriers(),
            Column::Int(rows.iter().map(|(_, _, m)| m.unit_price.0).collect()),
            Column::Int(rows.iter().map(|(_, _, m)| i64::from(m.from_ton)).collect()),
            Column::Int(vec![now.micros(); count]),
            Column::Text(rows.iter().map(|(_, _, m)| m.to.as_str()).collect()),
            Column::Text(rows.iter().map(|(_, _, m)| m.from.as_str()).collect()),
            Column::Text(rows.iter().map(|(_, _, m)| m.body.as_str()).collect()),
            Column::MaybeText(rows.iter().map(|(_, _, m)| m.mccmnc.as_deref()).collect()),
            Column::MaybeText(rows.iter().map(|(_, _, m)| m.metadata.as_deref()).collect()),
            Column::MaybeBlob(
                rows.iter()
                    .map(|(_, item, _)| item.batch.as_ref().map(|b| b.as_bytes().as_slice()))
                    .collect(),
            ),
        ];
        self.conn.run(&INSERT_MESSAGES, &columns).await?;
        let columns = [
            carriers(),
            Column::Int(rows.iter().map(|(_, _, m)| m.category.class()).collect()),
            organizations(),
            keys(),
            Column::Int(vec![now.micros(); count]),
        ];
        self.conn.run(&INSERT_OUTBOX, &columns).await?;
        Ok(())
    }
}

/// What a key's later holder is answered with: the batch, or the only message.
fn reference(item: &Submission) -> PublicId {
    let first = item.messages.first().map(|m| m.id);
    item.batch.or(first).unwrap_or(PublicId::from_bytes([0; 16]))
}

fn pay(purses: &mut HashMap<OrgId, Micros>, item: &Submission) -> Result<(), Refusal> {
    let cost = item.hold();
    if cost == Micros::ZERO {
        return Ok(());
    }
    let purse = purses.entry(item.organization).or_default();
    if *purse < cost {
        return Err(Refusal::balance_too_low());
    }
    *purse -= cost;
    Ok(())
}

fn replay(reference: PublicId, same_body: bool) -> AcceptAnswer {
    if same_body {
        return Ok(Accepted::Replayed { reference });
    }
    Err(Refusal::new(
        Code::IdempotencyKeyReused,
        "this Idempotency-Key was used with another request body",
    )
    .field("Idempotency-Key"))
}

fn twin(
    items: &[Submission],
    first: usize,
    answers: &[Option<AcceptAnswer>],
    same_body: bool,
) -> AcceptAnswer {
    match answers.get(first).and_then(Option::as_ref) {
        Some(Ok(Accepted::Replayed { reference })) => replay(*reference, same_body),
        Some(Ok(Accepted::Fresh { .. })) => replay(reference(&items[first]), same_body),
        Some(Err(refusal)) if same_body => Err(refusal.clone()),
        _ => Err(Refusal::new(
            Code::IdempotencyInProgress,
            "another request with this Idempotency-Key is being decided",
        )
        .retry_after(1)),
    }
}

static INSERT_KEYS: Bulk = Bulk {
    sqlite: "insert into idempotency
            (organization_id, key, route, fingerprint, reference, created_at)
         values (?1, ?2, ?3, ?4, ?5, ?6)
         on conflict (organization_id, key, route) do update
         set fingerprint = excluded.fingerprint, reference = excluded.reference,
             created_at = excluded.created_at
         where idempotency.created_at < excluded.created_at - 86400000000",
    postgres: "insert into idempotency
            (organization_id, key, route, fingerprint, reference, created_at)
         select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::bytea[],
            $6::bigint[])
         on conflict (organization_id, key, route) do update
         set fingerprint = excluded.fingerprint, reference = excluded.reference,
             created_at = excluded.created_at
         where idempotency.created_at < excluded.created_at - 86400000000",
};

static SELECT_KEYS: Bulk = Bulk {
    sqlite: "select organization_id, key, route, fingerprint, reference from idempotency
         where organization_id = ?1 and key = ?2 and route = ?3",
    postgres: "select i.organization_id, i.key, i.route, i.fingerprint, i.reference
         from unnest($1::bigint[], $2::text[], $3::text[]) v (o, k, r)
         join idempotency i on i.organization_id = v.o and i.key = v.k and i.route = v.r",
};

static DELETE_KEYS: Bulk = Bulk {
    sqlite: "delete from idempotency where organization_id = ?1 and key = ?2 and route = ?3",
    postgres: "delete from idempotency where (organization_id, key, route) in
         (select * from unnest($1::bigint[], $2::text[], $3::text[]))",
};

static PERMITTED_KEYS: Bulk = Bulk {
    sqlite: "select k.id from api_keys k join organizations o on o.id = k.organization_id
         where k.id = ?1 and k.revoked_at is null and o.suspended_at is null",
    postgres: "select k.id from unnest($1::bigint[]) v (id)
         join api_keys k on k.id = v.id join organizations o on o.id = k.organization_id
         where k.revoked_at is null and o.suspended_at is null",
};

static SELECT_WALLETS: Bulk = Bulk {
    sqlite: "select organization_id, available from wallets where organization_id = ?1",
    postgres: "select organization_id, available from wallets
         where organization_id = any($1::bigint[]) order by organization_id for update",
};

static INSERT_MESSAGES: Bulk = Bulk {
    sqlite: "insert into messages (key, id, organization_id, direction, status, category, encoding,
            segments, test_mode, carrier_id, unit_price, from_ton, created_at, to_addr, from_addr,
            body, mccmnc, metadata, batch_id)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
            ?18, ?19)",
    postgres: "insert into messages (key, id, organization_id, direction, status, category,
            encoding, segments, test_mode, carrier_id, unit_price, from_ton, created_at, to_addr,
            from_addr, body, mccmnc, metadata, batch_id)
         select * from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
            $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::text[], $17::text[],
            $18::text[], $19::bytea[])",
};

static INSERT_OUTBOX: Bulk = Bulk {
    sqlite: "insert into outbox (carrier_id, class, organization_id, key, due_at, attempts)
         values (?1, ?2, ?3, ?4, ?5, 0)",
    postgres: "insert into outbox (carrier_id, class, organization_id, key, due_at, attempts)
         select v.c, v.l, v.o, v.k, v.d, 0
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
            v (c, l, o, k, d)",
};
