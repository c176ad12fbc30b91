//! Idempotency keys: the first request with one has the effect, later ones are told of it.
//!
//! Only a committed effect keeps its key. A key is of an organization and a route, and is held for a
//! day. Table: idempotency.

use std::collections::HashMap;

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::refusal::{Code, Refusal};
use model::submission::Idempotency;

use super::Lane;
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

pub(super) type Scope<'a> = (OrgId, &'a str, &'a str);
type StoredScope = (i64, String, String);

/// Who asks for an effect, and what later requests are answered with.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) organization: OrgId,
    pub(super) idempotency: Option<&'a Idempotency>,
    pub(super) reference: PublicId,
}

/// What is known of a request by its key.
pub(super) enum Verdict<'a> {
    /// It has none.
    Go,
    /// It is the first with its key.
    Keyed(Scope<'a>),
    /// An earlier request had the effect.
    Known { reference: PublicId, same_body: bool },
    /// The same key as an earlier one of this batch: its fate decides.
    Twin { first: usize, same_body: bool },
}

impl Lane {
    /// Stores the new keys and finds what the known ones stand for; a verdict for each request.
    pub(super) async fn keys<'a>(
        &mut self,
        requests: &[Asking<'a>],
        now: At,
    ) -> Result<Vec<Verdict<'a>>, StoreError> {
        let mut first_with: HashMap<Scope<'a>, usize> = HashMap::new();
        let mut verdicts = Vec::with_capacity(requests.len());
        let mut fresh: Vec<(usize, Scope<'a>, &'a Idempotency)> = Vec::new();
        for (at, asking) in requests.iter().enumerate() {
            let Some(idempotency) = asking.idempotency else {
                verdicts.push(Verdict::Go);
                continue;
            };
            let scope = (asking.organization, idempotency.key.as_str(), idempotency.route);
            if let Some(first) = first_with.get(&scope) {
                let earlier = requests[*first].idempotency;
                let same_body = earlier.is_some_and(|e| e.fingerprint == idempotency.fingerprint);
                verdicts.push(Verdict::Twin { first: *first, same_body });
                continue;
            }
            first_with.insert(scope, at);
            fresh.push((at, scope, idempotency));
            verdicts.push(Verdict::Keyed(scope));
        }
        if fresh.is_empty() {
            return Ok(verdicts);
        }
        let references: Vec<PublicId> =
            fresh.iter().map(|(at, ..)| requests[*at].reference).collect();
        let columns = [
            Column::Int(fresh.iter().map(|(_, scope, _)| scope.0.0).collect()),
            Column::Text(fresh.iter().map(|(_, scope, _)| scope.1).collect()),
            Column::Text(fresh.iter().map(|(_, scope, _)| scope.2).collect()),
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
        for ((at, scope, idempotency), ours) in fresh.into_iter().zip(references) {
            let scope = (scope.0.0, scope.1.to_owned(), scope.2.to_owned());
            let Some((fingerprint, reference)) = by_scope.get(&scope) else {
                continue;
            };
            let reference = <[u8; 16]>::try_from(reference.as_slice())
                .map(PublicId::from_bytes)
                .map_err(|_| StoreError::Impossible("a reference that is no id"))?;
            if reference != ours {
                let same_body = *fingerprint == idempotency.fingerprint;
                verdicts[at] = Verdict::Known { reference, same_body };
            }
        }
        Ok(verdicts)
    }

    /// Takes back the keys of what was refused after all: only an effect keeps its key.
    pub(super) async fn forget(&mut self, scopes: &[Scope<'_>]) -> Result<(), StoreError> {
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
}

/// What a key's later holder is told: of the effect, if it asked for the same.
pub(super) fn replayed(same_body: bool) -> Result<(), Refusal> {
    if same_body {
        return Ok(());
    }
    Err(Refusal::new(
        Code::IdempotencyKeyReused,
        "this Idempotency-Key was used with another request body",
    )
    .field("Idempotency-Key"))
}

/// What it is told while the first is being decided.
pub(super) fn twin_runs() -> Refusal {
    Refusal::new(
        Code::IdempotencyInProgress,
        "another request with this Idempotency-Key is being decided",
    )
    .retry_after(1)
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
