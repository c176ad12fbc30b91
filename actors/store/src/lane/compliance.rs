//! Changes of who may be sent what, as the API and the switch itself ask for them.
//!
//! Tables: suppression_list, keyword_sets, keyword_replies, suppression_imports; statements of
//! people are kept by `consent.rs`.

use std::collections::HashMap;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::consent::{Origin, Scope};
use model::event::EventKind;
use model::id::PublicId;
use model::keyword::WordSet;

use super::consent::{NewConsent, of_organization};
use super::{Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::json::quoted;

/// A change.
#[derive(Clone, Debug)]
pub enum Compliance {
    /// Puts addresses on the list. What is there already stays, but is the organization's own from
    /// now on where a person had put it there.
    Suppress {
        organization: OrgId,
        origin: Origin,
        entries: Vec<NewSuppression>,
    },
    Lift {
        organization: OrgId,
        which: Lift,
    },
    Consent {
        organization: OrgId,
        said: Vec<NewConsent>,
    },
    /// Replaces all words and texts of an organization.
    SetKeywords {
        organization: OrgId,
        sets: Vec<WordSet>,
    },
    /// An answer to a keyword was sent (no note), or is left out.
    ReplySettled {
        message: MessageKey,
        note: Option<String>,
    },
    /// Where an import stands; the first time it begins.
    Import(ImportState),
}

/// An address for the suppression list.
#[derive(Clone, Debug)]
pub struct NewSuppression {
    pub id: PublicId,
    pub address: String,
    pub scope: Scope,
    pub reason: String,
    pub source: String,
}

/// Which entries to take off the list.
#[derive(Clone, Debug)]
pub enum Lift {
    Id(PublicId),
    Address { address: String, scope: Option<Scope> },
}

/// How far an import has come.
#[derive(Clone, Debug)]
pub struct ImportState {
    pub id: PublicId,
    pub organization: OrgId,
    /// The process that runs it; what another one began is interrupted.
    pub process: i64,
    pub status: ImportStatus,
    pub dry_run: bool,
    pub total: i64,
    pub processed: i64,
    pub added: i64,
    pub known: i64,
    pub rejected: i64,
    /// JSON array.
    pub errors: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportStatus {
    Running = 1,
    Completed = 2,
    Failed = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complied {
    /// So many entries are new, or changed.
    Suppressed(u64),
    /// So many entries are gone.
    Lifted(u64),
    Done,
}

impl Lane {
    pub(super) async fn comply(
        &mut self,
        change: &Compliance,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Complied, StoreError> {
        match change {
            Compliance::Suppress { organization, origin, entries } => {
                let touched = self.suppress(*organization, *origin, entries, now).await?;
                if *origin == Origin::Api && touched > 0 {
                    let told = entries.iter().map(|entry| told(*organization, entry, now));
                    gathered.events.extend(told);
                }
                return Ok(Complied::Suppressed(touched));
            }
            Compliance::Lift { organization, which } => {
                return Ok(Complied::Lifted(self.lift(*organization, which).await?));
            }
            Compliance::Consent { organization, said } => {
                self.consent(*organization, said, now, gathered).await?;
            }
            Compliance::SetKeywords { organization, sets } => {
                self.set_keywords(*organization, sets).await?;
            }
            Compliance::ReplySettled { message, note } => {
                let state = if note.is_some() { LEFT_OUT } else { SENT };
                let columns = [
                    Column::Int(vec![message.0]),
                    Column::Int(vec![state]),
                    Column::MaybeText(vec![note.as_deref()]),
                ];
                self.conn.run(&SETTLE_REPLY, &columns).await?;
            }
            Compliance::Import(state) => self.save_import(state, now).await?,
        }
        Ok(Complied::Done)
    }

    /// How many entries are new or changed hands.
    pub(super) async fn suppress(
        &mut self,
        organization: OrgId,
        origin: Origin,
        entries: &[NewSuppression],
        now: At,
    ) -> Result<u64, StoreError> {
        // One row may be written once by one statement: of several the first counts.
        let mut first: HashMap<(&str, i64), &NewSuppression> = HashMap::new();
        for entry in entries {
            first.entry((&entry.address, entry.scope.code())).or_insert(entry);
        }
        let mut entries: Vec<&NewSuppression> = first.into_values().collect();
        entries.sort_by_key(|entry| (&entry.address, entry.scope.code()));
        // Too many in this set costs a query, too few would let a message through.
        self.suppressing.insert(organization);
        let columns = [
            Column::Int(vec![organization.0; entries.len()]),
            Column::Text(entries.iter().map(|e| e.address.as_str()).collect()),
            Column::Int(entries.iter().map(|e| e.scope.code()).collect()),
            Column::Int(entries.iter().map(|_| self.number()).collect()),
            Column::Blob(entries.iter().map(|e| e.id.as_bytes().as_slice()).collect()),
            Column::Int(vec![origin.code(); entries.len()]),
            Column::Text(entries.iter().map(|e| e.reason.as_str()).collect()),
            Column::Text(entries.iter().map(|e| e.source.as_str()).collect()),
            Column::Int(vec![now.micros(); entries.len()]),
        ];
        self.conn.run(&SUPPRESS, &columns).await
    }

    async fn lift(&mut self, organization: OrgId, which: &Lift) -> Result<u64, StoreError> {
        let organization = Column::Int(vec![organization.0]);
        match which {
            Lift::Id(id) => {
                let columns = [organization, Column::Blob(vec![id.as_bytes()])];
                self.conn.run(&LIFT_ID, &columns).await
            }
            Lift::Address { address, scope } => {
                let columns = [
                    organization,
                    Column::Text(vec![address]),
                    Column::MaybeInt(vec![scope.map(Scope::code)]),
                ];
                self.conn.run(&LIFT_ADDRESS, &columns).await
            }
        }
    }

    async fn set_keywords(
        &mut self,
        organization: OrgId,
        sets: &[WordSet],
    ) -> Result<(), StoreError> {
        self.conn.run(&FORGET_KEYWORDS, &[Column::Int(vec![organization.0])]).await?;
        let words: Vec<String> =
            sets.iter().map(|set| serde_json::Value::from(set.words.clone()).to_string()).collect();
        let columns = [
            Column::Int(vec![organization.0; sets.len()]),
            Column::Text(sets.iter().map(|set| set.language.as_str()).collect()),
            Column::Int(sets.iter().map(|set| set.action.code()).collect()),
            Column::Text(words.iter().map(String::as_str).collect()),
            Column::MaybeText(sets.iter().map(|set| set.reply.as_deref()).collect()),
            Column::Int(sets.iter().map(|set| i64::from(set.default_language)).collect()),
        ];
        self.conn.run(&INSERT_KEYWORDS, &columns).await?;
        Ok(())
    }

    async fn save_import(&mut self, state: &ImportState, now: At) -> Result<(), StoreError> {
        let over = state.status != ImportStatus::Running;
        let columns = [
            Column::Blob(vec![state.id.as_bytes()]),
            Column::Int(vec![state.organization.0]),
            Column::Int(vec![state.process]),
            Column::Int(vec![state.status as i64]),
            Column::Int(vec![i64::from(state.dry_run)]),
            Column::Int(vec![state.total]),
            Column::Int(vec![state.processed]),
            Column::Int(vec![state.added]),
            Column::Int(vec![state.known]),
            Column::Int(vec![state.rejected]),
            Column::Text(vec![&state.errors]),
            Column::Int(vec![now.micros()]),
            Column::MaybeInt(vec![over.then_some(now.micros())]),
        ];
        self.conn.run(&SAVE_IMPORT, &columns).await?;
        Ok(())
    }
}

/// States of an answer to a keyword; 1 is due.
pub(super) const SENT: i64 = 2;
const LEFT_OUT: i64 = 3;

fn told(organization: OrgId, entry: &NewSuppression, now: At) -> super::EventRow {
    let detail = format!(
        "{{\"contact_id\":null,\"channel\":\"{}\",\"address\":{},\"keyword\":null,\
         \"source\":{},\"message_id\":null,\"at\":\"{}\"}}",
        entry.scope.as_str(),
        quoted(&entry.address),
        quoted(&entry.source),
        now.iso(),
    );
    of_organization(organization, EventKind::OptedOut, detail)
}

static SUPPRESS: Bulk = Bulk {
    sqlite: "insert into suppression_list
            (organization_id, address, scope, seq, id, origin, reason, source, created_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         on conflict (organization_id, address, scope) do update
         set origin = excluded.origin, reason = excluded.reason, source = excluded.source
         where excluded.origin >= 3 and suppression_list.origin < 3",
    postgres: "insert into suppression_list
            (organization_id, address, scope, seq, id, origin, reason, source, created_at)
         select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bytea[],
            $6::bigint[], $7::text[], $8::text[], $9::bigint[])
         on conflict (organization_id, address, scope) do update
         set origin = excluded.origin, reason = excluded.reason, source = excluded.source
         where excluded.origin >= 3 and suppression_list.origin < 3",
};

static LIFT_ID: Bulk = Bulk {
    sqlite: "delete from suppression_list where organization_id = ?1 and id = ?2",
    postgres: "delete from suppression_list s using unnest($1::bigint[], $2::bytea[]) v (o, i)
         where s.organization_id = v.o and s.id = v.i",
};

static LIFT_ADDRESS: Bulk = Bulk {
    sqlite: "delete from suppression_list where organization_id = ?1 and address = ?2
         and (?3 is null or scope = ?3)",
    postgres: "delete from suppression_list s
         using unnest($1::bigint[], $2::text[], $3::bigint[]) v (o, a, c)
         where s.organization_id = v.o and s.address = v.a and (v.c is null or s.scope = v.c)",
};

static FORGET_KEYWORDS: Bulk = Bulk {
    sqlite: "delete from keyword_sets where organization_id = ?1",
    postgres: "delete from keyword_sets where organization_id = any($1::bigint[])",
};

static INSERT_KEYWORDS: Bulk = Bulk {
    sqlite: "insert into keyword_sets
            (organization_id, language, action, words, reply, default_language)
         values (?1, ?2, ?3, ?4, ?5, ?6)",
    postgres: "insert into keyword_sets
            (organization_id, language, action, words, reply, default_language)
         select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[],
            $6::bigint[])",
};

static SETTLE_REPLY: Bulk = Bulk {
    sqlite: "update keyword_replies set state = ?2, note = ?3 where message_key = ?1 and state = 1",
    postgres: "update keyword_replies set state = v.s, note = v.n
         from unnest($1::bigint[], $2::bigint[], $3::text[]) v (k, s, n)
         where message_key = v.k and state = 1",
};

static SAVE_IMPORT: Bulk = Bulk {
    sqlite: "insert into suppression_imports (id, organization_id, process, status, dry_run, total,
            processed, added, known, rejected, errors, created_at, updated_at, done_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?13)
         on conflict (id) do update set status = excluded.status, processed = excluded.processed,
            added = excluded.added, known = excluded.known, rejected = excluded.rejected,
            errors = excluded.errors, updated_at = excluded.updated_at, done_at = excluded.done_at",
    postgres: "insert into suppression_imports (id, organization_id, process, status, dry_run,
            total, processed, added, known, rejected, errors, created_at, updated_at, done_at)
         select v.i, v.o, v.p, v.s, v.d, v.t, v.c, v.a, v.k, v.r, v.e, v.n, v.n, v.x
         from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[],
            $12::bigint[], $13::bigint[]) v (i, o, p, s, d, t, c, a, k, r, e, n, x)
         on conflict (id) do update set status = excluded.status, processed = excluded.processed,
            added = excluded.added, known = excluded.known, rejected = excluded.rejected,
            errors = excluded.errors, updated_at = excluded.updated_at, done_at = excluded.done_at",
};
