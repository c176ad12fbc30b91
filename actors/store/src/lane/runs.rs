//! Numbers in a row for what a commit makes of one organization, and the runs that find it again.
//!
//! Messages and lines of the log are found by organization through `runs`: one entry for all rows of
//! a commit, where an index takes one for each row. Table: runs.

use std::collections::HashMap;

use model::carrier::{MessageKey, OrgId};

use super::{EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

const MESSAGES: i64 = 1;
const LINES: i64 = 2;

/// The numbers between which an organization's new rows are: low and high.
type Run = (OrgId, i64, i64);

impl Gathered {
    /// A message was made.
    pub(super) fn made(&mut self, organization: OrgId, key: MessageKey) {
        let (low, high) = self.made.entry(organization).or_insert((key.0, key.0));
        *low = key.0.min(*low);
        *high = key.0.max(*high);
    }
}

impl Lane {
    /// For each the first of so many fresh numbers. What one organization gets lies together, in
    /// the order in which it was asked for.
    pub(super) fn numbers_for(&mut self, wanted: &[(OrgId, usize)]) -> Vec<i64> {
        let mut order: Vec<OrgId> = Vec::new();
        let mut next: HashMap<OrgId, i64> = HashMap::new();
        for (organization, count) in wanted {
            let sum = next.entry(*organization).or_insert_with(|| {
                order.push(*organization);
                0
            });
            *sum += i64::try_from(*count).unwrap_or(i64::MAX);
        }
        for organization in order {
            if let Some(sum) = next.get_mut(&organization) {
                let first = self.id << 40 | (self.next + 1);
                self.next += *sum;
                *sum = first;
            }
        }
        let take = |(organization, count): &(OrgId, usize)| {
            let next = next.entry(*organization).or_default();
            let first = *next;
            *next += i64::try_from(*count).unwrap_or(i64::MAX);
            first
        };
        wanted.iter().map(take).collect()
    }

    /// Stores where the messages and lines of this transaction are; `lines` in order of their
    /// numbers.
    pub(super) async fn keep_runs(
        &mut self,
        gathered: &Gathered,
        lines: &[(i64, &EventRow)],
    ) -> Result<(), StoreError> {
        let mut told: Vec<Run> = Vec::new();
        for (seq, event) in lines {
            match told.last_mut() {
                Some((organization, _, high)) if *organization == event.organization => {
                    *high = *seq
                }
                _ => told.push((event.organization, *seq, *seq)),
            }
        }
        let made =
            gathered.made.iter().map(|(organization, (low, high))| (*organization, *low, *high));
        let made = made.map(|run| (MESSAGES, run));
        let all: Vec<(i64, Run)> = made.chain(told.into_iter().map(|run| (LINES, run))).collect();
        let columns = [
            Column::Int(all.iter().map(|(_, (organization, ..))| organization.0).collect()),
            Column::Int(all.iter().map(|(kind, _)| *kind).collect()),
            Column::Int(all.iter().map(|(_, (_, _, high))| *high).collect()),
            Column::Int(all.iter().map(|(_, (_, low, _))| *low).collect()),
        ];
        self.conn.run(&INSERT_RUNS, &columns).await?;
        Ok(())
    }
}

static INSERT_RUNS: Bulk = Bulk {
    sqlite: "insert into runs (organization_id, kind, high, low) values (?1, ?2, ?3, ?4)",
    postgres: "insert into runs (organization_id, kind, high, low)
         select unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]),
            unnest($4::bigint[])",
};
