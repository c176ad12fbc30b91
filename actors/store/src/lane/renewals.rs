//! Numbers whose paid month is over, asked for by boot's numbers as [`super::Admin::Number`]. Tables:
//! numbers, number_months, wallets; transfers and events are gathered.
//!
//! A month is a row, unique by number and start, and its key is what the ledger knows it by: the number
//! moves on, the month is written and the money taken in one transaction, or nothing of it. So whoever
//! sweeps again, or beside another, finds either nothing due or the next month.

use std::collections::HashSet;
use std::time::Duration;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::money::Micros;
use model::number::NumberStatus;
use model::renewal::{Patience, Renewal, Standing, Why};

use super::{EventRow, Gathered, Lane, Transfer};
use crate::bulk::{Bulk, Column, Line};
use crate::error::StoreError;
use crate::ledger::TransferKind;

/// Numbers that one transaction looks at.
const AT_ONCE: i64 = 200;
/// A month is remembered until one that begins so long after it.
const KEPT: Duration = Duration::from_secs(400 * 86_400);

/// Leave to charge what is due.
#[derive(Clone, Copy, Debug)]
pub struct RenewNumbers {
    /// What is due by then.
    pub at: At,
    pub patience: Patience,
    /// What is taken back is kept from others for so long.
    pub parked: Duration,
}

/// What became of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// There may be more that is due.
    pub more: bool,
    /// The numbers that came into or went out of service.
    pub changed: Vec<String>,
}

/// A month to charge.
pub(super) struct Month {
    pub(super) number: i64,
    pub(super) organization: OrgId,
    pub(super) starts_at: At,
    pub(super) ends_at: At,
    pub(super) price: Micros,
    /// For the ledger.
    pub(super) note: String,
}

/// A number whose time has come.
struct Due {
    number: i64,
    id: PublicId,
    organization: OrgId,
    e164: String,
    price: Micros,
    suspended: bool,
    updated_at: i64,
    standing: Standing,
}

impl Due {
    fn read(line: &Line) -> Result<Self, StoreError> {
        let id = line.blob(1)?.as_slice().try_into();
        let id = id.map_err(|_| StoreError::Impossible("a number without an id"))?;
        Ok(Self {
            number: line.int(0)?,
            id: PublicId::from_bytes(id),
            organization: OrgId(line.int(2)?),
            e164: line.text(3)?,
            price: Micros(line.int(4)?),
            suspended: line.int(5)? == NumberStatus::Suspended.code(),
            updated_at: line.int(6)?,
            standing: Standing {
                auto_renew: line.int(7)? != 0,
                assigned_at: At(line.int(8)?),
                paid_until: At(line.int(9)?),
                unpaid_since: line.maybe_int(10)?.map(At),
            },
        })
    }

    /// When its row is changed now: later than before.
    fn changed_at(&self, now: At) -> i64 {
        now.micros().max(self.updated_at + 1)
    }

    fn event(&self, kind: EventKind, status: NumberStatus, more: &str) -> EventRow {
        let (id, e164) = (self.id.show(Kind::Number), &self.e164);
        let (status, price) = (status.as_str(), self.price);
        let detail = format!(
            "{{\"number_id\":\"{id}\",\"number\":\"{e164}\",\"status\":\"{status}\",\
             \"monthly_cost\":\"{price}\",\"currency\":\"USD\",{more}}}"
        );
        EventRow::of_organization(self.organization, kind, detail)
    }
}

/// What a transaction makes of the numbers it looked at.
#[derive(Default)]
struct Decided {
    months: Vec<Month>,
    /// Row, until when it is paid, when it changed.
    paid: Vec<(i64, i64, i64)>,
    /// Row, status, unpaid since when, when it is looked at again, when it changed.
    unpaid: Vec<[i64; 5]>,
    taken_back: Vec<(i64, i64)>,
}

impl Lane {
    pub(super) async fn renew_numbers(
        &mut self,
        asked: &RenewNumbers,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Renewed, StoreError> {
        let columns = [Column::Int(vec![asked.at.micros()]), Column::Int(vec![AT_ONCE])];
        let lines = self.conn.fetch(&DUE, &columns).await?;
        let due = lines.iter().map(Due::read).collect::<Result<Vec<_>, _>>()?;
        let mut organizations: Vec<OrgId> = due.iter().map(|due| due.organization).collect();
        organizations.sort_unstable();
        organizations.dedup();
        let mut purses = self.purses(&organizations).await?;
        purses.reckon(gathered);
        let (mut decided, mut changed) = (Decided::default(), Vec::new());
        for number in &due {
            let pay = || purses.take(number.organization, number.price);
            let renewal = number.standing.decide(asked.at, &asked.patience, pay);
            if decided.take(number, renewal, asked, now, gathered) {
                changed.push(number.e164.clone());
            }
        }
        self.tell_purses(&purses, now, gathered).await?;
        self.write_renewals(decided, asked, now, gathered).await?;
        Ok(Renewed { more: i64::try_from(due.len()).unwrap_or(AT_ONCE) >= AT_ONCE, changed })
    }

    async fn write_renewals(
        &mut self,
        decided: Decided,
        asked: &RenewNumbers,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let Decided { months, paid, unpaid, taken_back } = decided;
        self.charge_months(months, now, gathered).await?;
        let columns = [
            Column::Int(paid.iter().map(|(number, ..)| *number).collect()),
            Column::Int(paid.iter().map(|(_, until, _)| *until).collect()),
            Column::Int(paid.iter().map(|(.., changed_at)| *changed_at).collect()),
        ];
        self.conn.run(&PAID, &columns).await?;
        let of = |place: usize| Column::Int(unpaid.iter().map(|row| row[place]).collect());
        self.conn.run(&UNPAID, &[of(0), of(1), of(2), of(3), of(4)]).await?;
        self.park_numbers(&taken_back, asked.at.plus(asked.parked)).await
    }

    /// Writes months and takes their money. One that was charged before is not charged again.
    pub(super) async fn charge_months(
        &mut self,
        months: Vec<Month>,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let keys: Vec<i64> = months.iter().map(|_| self.number()).collect();
        let int = |of: fn(&Month) -> i64| Column::Int(months.iter().map(of).collect());
        let columns = [
            Column::Int(keys.clone()),
            int(|month| month.number),
            int(|month| month.organization.0),
            int(|month| month.starts_at.micros()),
            int(|month| month.ends_at.micros()),
            int(|month| month.price.0),
            Column::Int(vec![now.micros(); months.len()]),
        ];
        let lines = self.conn.fetch(&INSERT_MONTHS, &columns).await?;
        let fresh = lines.iter().map(|line| line.int(0));
        let fresh = fresh.collect::<Result<HashSet<i64>, _>>()?;
        let old = Column::Int(months.iter().map(|m| m.starts_at.minus(KEPT).micros()).collect());
        self.conn.run(&FORGET_MONTHS, &[int(|month| month.number), old]).await?;
        for (key, month) in keys.into_iter().zip(months) {
            if !fresh.contains(&key) {
                tracing::error!(month = %month.note, "it was charged before");
                continue;
            }
            gathered.transfer(Transfer {
                organization: month.organization,
                message: Some(MessageKey(key)),
                kind: TransferKind::NumberRental,
                amount: month.price,
                note: Some(month.note),
            });
        }
        Ok(())
    }

    /// Money has come: what could not be paid is asked for at once.
    pub(super) async fn renew_soon(&mut self, organization: OrgId) -> Result<(), StoreError> {
        self.conn.run(&SOON, &[Column::Int(vec![organization.0])]).await?;
        Ok(())
    }
}

impl Decided {
    /// True: the number came into service, or went out of it.
    fn take(
        &mut self,
        due: &Due,
        renewal: Renewal,
        asked: &RenewNumbers,
        now: At,
        gathered: &mut Gathered,
    ) -> bool {
        let changed_at = due.changed_at(now);
        let mut unpaid = |status: NumberStatus, since: At, again_at: At| {
            let (since, again_at) = (since.micros(), again_at.micros());
            self.unpaid.push([due.number, status.code(), since, again_at, changed_at]);
        };
        let starts_at = due.standing.paid_until;
        match renewal {
            Renewal::Paid { until } => {
                self.months.push(Month {
                    number: due.number,
                    organization: due.organization,
                    starts_at,
                    ends_at: until,
                    price: due.price,
                    note: format!("month from {} of {}", &starts_at.iso()[..10], due.e164),
                });
                self.paid.push((due.number, until.micros(), changed_at));
                let more = format!("\"next_billing_at\":\"{}\"", until.iso());
                let (kind, status) = (EventKind::NumberRenewed, NumberStatus::Active);
                gathered.events.push(due.event(kind, status, &more));
                due.suspended
            }
            Renewal::Waits { since, again_at } => {
                // What was suspended stays so: the operator may have become more patient meanwhile.
                let status =
                    if due.suspended { NumberStatus::Suspended } else { NumberStatus::Active };
                unpaid(status, since, again_at);
                if due.standing.unpaid_since.is_none() {
                    let suspends_at = asked.patience.suspends_at(since).iso();
                    let more = format!(
                        "\"next_billing_at\":\"{}\",\"suspends_at\":\"{suspends_at}\"",
                        starts_at.iso()
                    );
                    let kind = EventKind::NumberRenewalFailed;
                    gathered.events.push(due.event(kind, status, &more));
                }
                false
            }
            Renewal::Suspended { since, again_at } => {
                unpaid(NumberStatus::Suspended, since, again_at);
                if !due.suspended {
                    let releases_at = asked.patience.takes_back_at(since).iso();
                    let more = format!("\"releases_at\":\"{releases_at}\"");
                    let (kind, status) = (EventKind::NumberSuspended, NumberStatus::Suspended);
                    gathered.events.push(due.event(kind, status, &more));
                }
                !due.suspended
            }
            Renewal::TakenBack(why) => {
                self.taken_back.push((due.number, changed_at));
                let until = asked.at.plus(asked.parked);
                gathered.events.push(released(due.organization, (due.id, &due.e164), why, until));
                !due.suspended
            }
        }
    }
}

/// An organization has a number no longer.
pub(super) fn released(
    organization: OrgId,
    (id, e164): (PublicId, &str),
    why: Why,
    until: At,
) -> EventRow {
    let (id, why, until) = (id.show(Kind::Number), why.as_str(), until.iso());
    let detail = format!(
        "{{\"number_id\":\"{id}\",\"number\":\"{e164}\",\"status\":\"parked\",\"reason\":\"{why}\",\
         \"parked_until\":\"{until}\"}}"
    );
    EventRow::of_organization(organization, EventKind::NumberReleased, detail)
}

static DUE: Bulk = Bulk {
    sqlite: "select id, public_id, organization_id, e164, monthly_cost, status, updated_at,
            auto_renew, assigned_at, next_billing_at, unpaid_since
         from numbers where renew_at <= ?1 order by renew_at, id limit ?2",
    postgres: "select n.id, n.public_id, n.organization_id, n.e164, n.monthly_cost, n.status,
            n.updated_at, n.auto_renew, n.assigned_at, n.next_billing_at, n.unpaid_since
         from unnest($1::bigint[], $2::bigint[]) v (at, m) join numbers n on n.renew_at <= v.at
         order by n.renew_at, n.id limit 200 for update of n",
};

static INSERT_MONTHS: Bulk = Bulk {
    sqlite: "insert into number_months
            (key, number_id, organization_id, starts_at, ends_at, price, charged_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         on conflict (number_id, starts_at) do nothing returning key",
    postgres: "insert into number_months
            (key, number_id, organization_id, starts_at, ends_at, price, charged_at)
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],
            $5::bigint[], $6::bigint[], $7::bigint[])
         on conflict (number_id, starts_at) do nothing returning key",
};

static FORGET_MONTHS: Bulk = Bulk {
    sqlite: "delete from number_months where number_id = ?1 and starts_at < ?2",
    postgres: "delete from number_months m using unnest($1::bigint[], $2::bigint[]) v (n, b)
         where m.number_id = v.n and m.starts_at < v.b",
};

static PAID: Bulk = Bulk {
    sqlite: "update numbers set status = 2, next_billing_at = ?2, renew_at = ?2,
            unpaid_since = null, updated_at = ?3
         where id = ?1",
    postgres: "update numbers n set status = 2, next_billing_at = v.u, renew_at = v.u,
            unpaid_since = null, updated_at = v.at
         from unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (i, u, at) where n.id = v.i",
};

static UNPAID: Bulk = Bulk {
    sqlite: "update numbers set status = ?2, unpaid_since = ?3, renew_at = ?4, updated_at = ?5
         where id = ?1",
    postgres: "update numbers n set status = v.s, unpaid_since = v.u, renew_at = v.r,
            updated_at = v.at
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
            v (i, s, u, r, at)
         where n.id = v.i",
};

static SOON: Bulk = Bulk {
    sqlite: "update numbers set renew_at = unpaid_since
         where organization_id = ?1 and unpaid_since is not null",
    postgres: "update numbers set renew_at = unpaid_since
         where organization_id = any ($1::bigint[]) and unpaid_since is not null",
};
