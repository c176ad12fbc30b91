//! Claims: the intent that is stored before bytes leave. A row is claimed once, by the latest owner.
//!
//! An owner that was followed by another may still have claims on their way: what it took it would
//! hand to a bind of its own, beside the next owner's. Tables: outbox.

use std::collections::HashSet;

use model::carrier::CarrierId;
use model::clock::At;

use super::handoff::columns_of;
use super::work::{Claim, OutboxRef};
use super::{Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

impl Lane {
    /// The epoch of a carrier's latest owner, if it ever had one.
    pub(super) fn epoch_of(&self, carrier: CarrierId, gathered: &Gathered) -> Option<i64> {
        gathered.epochs.get(&carrier).or_else(|| self.epochs.get(&carrier)).copied()
    }

    /// Stores intents. Claims of owners that were followed by another get nothing.
    pub(super) async fn claim(
        &mut self,
        claims: &[Claim],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Vec<bool>, StoreError> {
        let latest = |claim: &Claim| {
            let epoch = self.epoch_of(claim.row.carrier, gathered);
            epoch.is_none_or(|epoch| epoch == claim.epoch)
        };
        let valid: Vec<bool> = claims.iter().map(latest).collect();
        if !valid.contains(&false) {
            return self.claim_rows(claims, now, gathered).await;
        }
        let kept = claims.iter().zip(&valid).filter(|(_, valid)| **valid);
        let kept: Vec<Claim> = kept.map(|(claim, _)| *claim).collect();
        let mut claimed = self.claim_rows(&kept, now, gathered).await?.into_iter();
        Ok(valid.into_iter().map(|valid| valid && claimed.next() == Some(true)).collect())
    }

    async fn claim_rows(
        &mut self,
        claims: &[Claim],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Vec<bool>, StoreError> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        self.block_opted_out(claims, now, gathered).await?;
        let rows: Vec<OutboxRef> = claims.iter().map(|c| c.row).collect();
        let [carriers, classes, organizations, keys] = columns_of(&rows);
        let epochs = Column::Int(claims.iter().map(|c| c.epoch).collect());
        let columns = [
            carriers,
            classes,
            organizations,
            keys,
            epochs,
            Column::Int(vec![now.micros(); claims.len()]),
        ];
        let claimed = self.conn.run(&CLAIM, &columns).await?;
        if claimed == claims.len() as u64 {
            return Ok(vec![true; claims.len()]);
        }
        let lines = self.conn.fetch(&CLAIMED, &columns).await?;
        let ours = lines.iter().map(|l| l.int(0)).collect::<Result<HashSet<i64>, _>>()?;
        Ok(claims.iter().map(|c| ours.contains(&c.row.key.0)).collect())
    }
}

static CLAIM: Bulk = Bulk {
    sqlite: "update outbox set intent = ?5, intent_at = ?6 where carrier_id = ?1 and class = ?2
         and organization_id = ?3 and key = ?4 and intent is null",
    postgres: "update outbox set intent = v.e, intent_at = v.n
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[]) v (c, l, o, k, e, n)
         where carrier_id = v.c and class = v.l and organization_id = v.o and key = v.k
         and intent is null",
};

static CLAIMED: Bulk = Bulk {
    sqlite: "select key from outbox where carrier_id = ?1 and class = ?2 and organization_id = ?3
         and key = ?4 and intent = ?5 and intent_at = ?6",
    postgres: "select o.key
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[]) v (c, l, o, k, e, n)
         join outbox o on o.carrier_id = v.c and o.class = v.l and o.organization_id = v.o
         and o.key = v.k where o.intent = v.e and o.intent_at = v.n",
};
