//! The gate of the day's spend: an organization with a limit spends no more than that a day, in
//! UTC, however many wallets' worth it has.
//!
//! What is accepted counts, at the price held; what is released later is not given back. One row
//! per organization and day is read after its wallet is locked, and written once per batch. At
//! four fifths, and at the first refusal, the log says so, once a day each.
//! Table: daily_spend.

use std::collections::HashMap;

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::money::Micros;
use model::refusal::{Code, Detail, Refusal};

use super::super::{EventRow, Gathered, Lane};
use super::{Candidate, DAY_US};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// The organizations of a batch that have a limit.
#[derive(Default)]
pub(crate) struct Spend {
    day: i64,
    accounts: HashMap<OrgId, Account>,
}

/// One organization's day.
struct Account {
    limit: Micros,
    /// As stored.
    before: Micros,
    spent: Micros,
    warned: bool,
    reached: bool,
    refused: bool,
}

impl Account {
    fn should_warn(&self) -> bool {
        !self.warned && self.spent.0 >= self.limit.0 - self.limit.0 / 5
    }

    fn should_tell(&self) -> bool {
        !self.reached && self.refused
    }
}

impl Spend {
    fn resets_at(&self) -> String {
        At((self.day + 1) * DAY_US).iso()
    }

    pub(super) fn pass(&mut self, candidate: &Candidate<'_>) -> Result<(), Refusal> {
        self.take(candidate.organization, candidate.cost)
    }

    pub(crate) fn take(&mut self, organization: OrgId, amount: Micros) -> Result<(), Refusal> {
        let resets_at = self.resets_at();
        let Some(account) = self.accounts.get_mut(&organization) else {
            return Ok(());
        };
        let after = account.spent + amount;
        if amount > Micros::ZERO && after > account.limit {
            account.refused = true;
            let message = "the organization's limit of spend for today does not allow this";
            return Err(Refusal::new(Code::SpendLimitReached, message)
                .detail("limit_micros", Detail::Number(account.limit.0))
                .detail("spent_micros", Detail::Number(account.spent.0))
                .detail("resets_at", Detail::Text(resets_at)));
        }
        account.spent = after;
        Ok(())
    }

    pub(super) fn undo(&mut self, candidate: &Candidate<'_>) {
        self.give_back(candidate.organization, candidate.cost);
    }

    pub(crate) fn is_today(&self, at: At) -> bool {
        at.0.div_euclid(DAY_US) == self.day
    }

    /// What was not used after all of this day's.
    pub(crate) fn give_back(&mut self, organization: OrgId, amount: Micros) {
        if let Some(account) = self.accounts.get_mut(&organization) {
            account.spent = (account.spent - amount).max(Micros::ZERO);
        }
    }

    /// What is owed counts, whatever the limit.
    pub(crate) fn owe(&mut self, organization: OrgId, amount: Micros) {
        if let Some(account) = self.accounts.get_mut(&organization) {
            account.spent += amount;
        }
    }

    fn event(&self, organization: OrgId, account: &Account, kind: EventKind) -> EventRow {
        let detail = format!(
            "{{\"limit_micros\":{},\"spent_micros\":{},\"currency\":\"USD\",\"resets_at\":\"{}\"}}",
            account.limit.0,
            account.spent.0,
            self.resets_at()
        );
        EventRow::of_organization(organization, kind, detail)
    }
}

impl Lane {
    /// The day of these organizations.
    pub(crate) async fn open_spend(
        &mut self,
        organizations: impl Iterator<Item = OrgId>,
        now: At,
    ) -> Result<Spend, StoreError> {
        let mut spend = Spend { day: now.0.div_euclid(DAY_US), accounts: HashMap::new() };
        if self.guards.unlimited() {
            return Ok(spend);
        }
        for organization in organizations {
            let limit = self.guards.daily_spend(organization);
            if limit > Micros::ZERO {
                spend.accounts.entry(organization).or_insert(Account {
                    limit,
                    before: Micros::ZERO,
                    spent: Micros::ZERO,
                    warned: false,
                    reached: false,
                    refused: false,
                });
            }
        }
        let mut organizations: Vec<i64> = spend.accounts.keys().map(|o| o.0).collect();
        organizations.sort_unstable();
        let days = Column::Int(vec![spend.day; organizations.len()]);
        for line in self.conn.fetch(&TODAY, &[days, Column::Int(organizations)]).await? {
            if let Some(account) = spend.accounts.get_mut(&OrgId(line.int(0)?)) {
                account.before = Micros(line.int(1)?);
                account.spent = account.before;
                account.warned = line.maybe_int(2)?.is_some();
                account.reached = line.maybe_int(3)?.is_some();
            }
        }
        Ok(spend)
    }

    pub(crate) async fn close_spend(
        &mut self,
        spend: Spend,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let changed = |a: &Account| a.spent != a.before || a.should_tell();
        let mut rows: Vec<(&OrgId, &Account)> =
            spend.accounts.iter().filter(|(_, account)| changed(account)).collect();
        rows.sort_unstable_by_key(|(organization, _)| organization.0);
        let told = |wanted: bool| wanted.then_some(now.micros());
        let columns = [
            Column::Int(vec![spend.day; rows.len()]),
            Column::Int(rows.iter().map(|(organization, _)| organization.0).collect()),
            Column::Int(rows.iter().map(|(_, a)| (a.spent - a.before).0).collect()),
            Column::MaybeInt(rows.iter().map(|(_, a)| told(a.should_warn())).collect()),
            Column::MaybeInt(rows.iter().map(|(_, a)| told(a.should_tell())).collect()),
        ];
        self.conn.run(&ADD, &columns).await?;
        for (organization, account) in rows {
            if account.should_warn() {
                let kind = EventKind::SpendWarning;
                gathered.events.push(spend.event(*organization, account, kind));
            }
            if account.should_tell() {
                let kind = EventKind::SpendReached;
                gathered.events.push(spend.event(*organization, account, kind));
            }
        }
        Ok(())
    }
}

static TODAY: Bulk = Bulk {
    sqlite: "select organization_id, spent, warned_at, reached_at from daily_spend
         where day = ?1 and organization_id = ?2",
    postgres: "select s.organization_id, s.spent, s.warned_at, s.reached_at
         from unnest($1::bigint[], $2::bigint[]) v (d, o)
         join daily_spend s on s.day = v.d and s.organization_id = v.o",
};

static ADD: Bulk = Bulk {
    sqlite: "insert into daily_spend (day, organization_id, spent, warned_at, reached_at)
         values (?1, ?2, ?3, ?4, ?5)
         on conflict (day, organization_id) do update
         set spent = daily_spend.spent + excluded.spent,
             warned_at = coalesce(daily_spend.warned_at, excluded.warned_at),
             reached_at = coalesce(daily_spend.reached_at, excluded.reached_at)",
    postgres: "insert into daily_spend (day, organization_id, spent, warned_at, reached_at)
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
         on conflict (day, organization_id) do update
         set spent = daily_spend.spent + excluded.spent,
             warned_at = coalesce(daily_spend.warned_at, excluded.warned_at),
             reached_at = coalesce(daily_spend.reached_at, excluded.reached_at)",
};
