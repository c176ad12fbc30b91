//! The first gate: nobody gets a message that is not wanted, by any path and of any category.
//!
//! Looked at when a message is let in, and once more when a carrier is about to get it. An
//! organization whose suppression list was always empty pays nothing: the lane knows in memory
//! which lists may hold something. Tables: suppression_list, messages, outbox.

use std::collections::{HashMap, HashSet};

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::money::Micros;
use model::refusal::{MessageError, Refusal};

use super::super::blocked::Blocked;
use super::super::work::{Claim, OutboxRef};
use super::super::{Gathered, Lane};
use super::Candidate;
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// The candidates of a batch who do not want messages.
#[derive(Default)]
pub(super) struct OptedOut(HashMap<OrgId, HashSet<String>>);

impl OptedOut {
    pub(super) fn check(&self, candidate: &Candidate<'_>) -> Result<(), Refusal> {
        if candidate.bypass_opt_out {
            return Ok(());
        }
        let list = self.0.get(&candidate.organization);
        if list.is_some_and(|list| list.contains(candidate.to)) {
            return Err(Refusal::recipient_opted_out());
        }
        Ok(())
    }
}

impl Lane {
    /// The organizations whose suppression list holds something.
    pub(in crate::lane) async fn read_suppressing(&mut self) -> Result<(), StoreError> {
        for line in self.conn.fetch(&SUPPRESSING, &[Column::Int(vec![0])]).await? {
            self.suppressing.insert(OrgId(line.int(0)?));
        }
        Ok(())
    }

    pub(super) async fn opted_out(
        &mut self,
        candidates: &[Candidate<'_>],
    ) -> Result<OptedOut, StoreError> {
        let mut found = OptedOut::default();
        let asked: Vec<&Candidate<'_>> = candidates
            .iter()
            .filter(|c| c.scheduled_at.is_none() && !c.bypass_opt_out)
            .filter(|c| self.suppressing.contains(&c.organization))
            .collect();
        if asked.is_empty() {
            return Ok(found);
        }
        let columns = [
            Column::Int(asked.iter().map(|c| c.organization.0).collect()),
            Column::Text(asked.iter().map(|c| c.to).collect()),
        ];
        for line in self.conn.fetch(&SUPPRESSED, &columns).await? {
            found.0.entry(OrgId(line.int(0)?)).or_default().insert(line.text(1)?);
        }
        Ok(found)
    }

    /// Ends the messages among these claims whose recipient has opted out since they were let in.
    pub(in crate::lane) async fn block_opted_out(
        &mut self,
        claims: &[Claim],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let asked: Vec<OutboxRef> = claims
            .iter()
            .map(|claim| claim.row)
            .filter(|row| self.suppressing.contains(&row.organization))
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        let keys = Column::Int(asked.iter().map(|row| row.key.0).collect());
        let mut costs = HashMap::new();
        for line in self.conn.fetch(&UNWANTED, &[keys]).await? {
            costs.insert(MessageKey(line.int(0)?), Micros(line.int(1)?).times(line.int(2)?));
        }
        let blocked: Vec<Blocked> = asked
            .iter()
            .filter_map(|row| Some(Blocked { row: *row, held: costs.remove(&row.key)? }))
            .collect();
        self.block(&blocked, "opted_out", MessageError::RecipientOptedOut, now, gathered).await
    }
}

static SUPPRESSING: Bulk = Bulk {
    sqlite: "select o.id from organizations o where ?1 is not null and
         (select s.seq from suppression_list s where s.organization_id = o.id limit 1) is not null",
    postgres: "select o.id from unnest($1::bigint[]), organizations o where
         (select s.seq from suppression_list s where s.organization_id = o.id limit 1) is not null",
};

static SUPPRESSED: Bulk = Bulk {
    sqlite: "select organization_id, address from suppression_list
         where organization_id = ?1 and address = ?2 and scope in (0, 1)",
    postgres: "select s.organization_id, s.address from unnest($1::bigint[], $2::text[]) v (o, a)
         join suppression_list s on s.organization_id = v.o and s.address = v.a
         where s.scope in (0, 1)",
};

static UNWANTED: Bulk = Bulk {
    sqlite: "select m.key, m.unit_price, m.segments from messages m
         where m.key = ?1 and m.bypass_opt_out is null and (select count(*)
            from suppression_list s where s.organization_id = m.organization_id
            and s.address = m.to_addr and s.scope in (0, 1)) > 0",
    postgres: "select m.key, m.unit_price, m.segments from unnest($1::bigint[]) v (k)
         join messages m on m.key = v.k
         where m.bypass_opt_out is null and (select count(*)
            from suppression_list s where s.organization_id = m.organization_id
            and s.address = m.to_addr and s.scope in (0, 1)) > 0",
};
