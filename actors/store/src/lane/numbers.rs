//! Changes of phone numbers, asked for by the API and the operator's desk as [`super::Admin::Number`].
//! Tables: numbers, number_months, sip_trunks, wallets; transfers and events are gathered.
//!
//! A purchase takes the number from stock, its first month from the wallet and a line into the ledger in
//! one transaction, or nothing.

use std::time::Duration;

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::money::Micros;
use model::number::NumberType;
use model::renewal::{Why, month_after};

use super::renewals::{Month, RenewNumbers, Renewed, released};
use super::{Gathered, Lane};
use crate::bulk::{Bulk, Column, Line};
use crate::error::StoreError;

/// A number to put in stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNumber {
    pub id: PublicId,
    pub e164: String,
    pub country_code: String,
    pub area_code: Option<String>,
    pub number_type: NumberType,
    /// JSON list.
    pub capabilities: String,
    pub sms_two_way: bool,
    pub provider: String,
    pub monthly_cost: Micros,
}

/// What an organization says of its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberSettings {
    pub label: String,
    /// JSON list.
    pub tags: String,
}

/// A change of numbers.
#[derive(Clone, Debug)]
pub enum NumberChange {
    /// Those that are known already stay as they are.
    Stock(Vec<NewNumber>),
    /// Out of stock: it is forgotten, if nobody has it.
    Withdraw {
        e164: String,
    },
    Buy {
        organization: OrgId,
        e164: String,
        label: String,
        compliance_profile_id: Option<String>,
        /// Its months are counted from then.
        at: At,
    },
    Update {
        organization: OrgId,
        id: PublicId,
        seen: At,
        settings: NumberSettings,
    },
    Route {
        organization: OrgId,
        id: PublicId,
        /// JSON; none: calls are not taken.
        routing: Option<String>,
        /// The trunk that it names, which must be the organization's.
        trunk: Option<PublicId>,
        /// Sealed.
        password: Option<Vec<u8>>,
        /// Calls to it are recorded.
        record: bool,
    },
    /// Given back: calls are not taken, and nobody else has it for so long.
    Park {
        organization: OrgId,
        id: PublicId,
        grace: Duration,
    },
    /// Whether another month is paid when one is over.
    AutoRenew {
        organization: OrgId,
        id: PublicId,
        auto_renew: bool,
    },
    /// Charges the next month of those whose month is over: a bounded number each time.
    Renew(RenewNumbers),
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberDone {
    Stored,
    /// So many are new in stock.
    Stocked(u64),
    /// Bought: its id.
    Bought(PublicId),
    /// There is no such number, or it is not the organization's, or given back.
    Unknown,
    /// Nobody can buy it.
    NotAvailable,
    /// The wallet does not cover the first month.
    TooPoor {
        price: Micros,
    },
    NoTrunk,
    /// Somebody changed it meanwhile.
    Changed,
    Renewed(Renewed),
}

/// A number as a change finds it.
struct OwnNumber {
    number: i64,
    updated_at: i64,
    e164: String,
}

impl OwnNumber {
    /// Later than its last change.
    fn changes_at(&self, now: At) -> i64 {
        now.micros().max(self.updated_at + 1)
    }
}

/// Parked numbers that go back to stock at once.
const RELEASED_AT_ONCE: i64 = 500;

impl Lane {
    pub(super) async fn change_number(
        &mut self,
        change: &NumberChange,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<NumberDone, StoreError> {
        match change {
            NumberChange::Stock(numbers) => self.stock(numbers, now).await,
            NumberChange::Withdraw { e164 } => {
                let gone = self.conn.run(&WITHDRAW, &[Column::Text(vec![e164])]).await?;
                Ok(if gone > 0 { NumberDone::Stored } else { NumberDone::Unknown })
            }
            NumberChange::Buy { .. } => self.buy(change, now, gathered).await,
            NumberChange::Update { organization, id, seen, settings } => {
                let Some(own) = self.own_number(*organization, *id).await? else {
                    return Ok(NumberDone::Unknown);
                };
                if own.updated_at != seen.micros() {
                    return Ok(NumberDone::Changed);
                }
                let columns = [
                    Column::Int(vec![own.number]),
                    Column::Text(vec![&settings.label]),
                    Column::Text(vec![&settings.tags]),
                    Column::Int(vec![own.changes_at(now)]),
                ];
                self.conn.run(&UPDATE, &columns).await?;
                Ok(NumberDone::Stored)
            }
            NumberChange::Route { organization, id, routing, trunk, password, record } => {
                let Some(own) = self.own_number(*organization, *id).await? else {
                    return Ok(NumberDone::Unknown);
                };
                let trunk = match trunk {
                    None => None,
                    Some(trunk) => match self.find_trunk(*organization, *trunk).await? {
                        Some((trunk, _)) => Some(trunk),
                        None => return Ok(NumberDone::NoTrunk),
                    },
                };
                let columns = [
                    Column::Int(vec![own.number]),
                    Column::MaybeText(vec![routing.as_deref()]),
                    Column::MaybeInt(vec![trunk]),
                    Column::MaybeBlob(vec![password.as_deref()]),
                    Column::Int(vec![own.changes_at(now)]),
                    Column::Int(vec![i64::from(*record)]),
                ];
                self.conn.run(&ROUTE, &columns).await?;
                Ok(NumberDone::Stored)
            }
            NumberChange::Park { organization, id, grace } => {
                let Some(own) = self.own_number(*organization, *id).await? else {
                    return Ok(NumberDone::Unknown);
                };
                let until = now.plus(*grace);
                self.park_numbers(&[(own.number, own.changes_at(now))], until).await?;
                gathered.events.push(released(
                    *organization,
                    (*id, &own.e164),
                    Why::Requested,
                    until,
                ));
                Ok(NumberDone::Stored)
            }
            NumberChange::AutoRenew { organization, id, auto_renew } => {
                let Some(own) = self.own_number(*organization, *id).await? else {
                    return Ok(NumberDone::Unknown);
                };
                let columns = [
                    Column::Int(vec![own.number]),
                    Column::Int(vec![i64::from(*auto_renew)]),
                    Column::Int(vec![own.changes_at(now)]),
                ];
                self.conn.run(&AUTO_RENEW, &columns).await?;
                Ok(NumberDone::Stored)
            }
            NumberChange::Renew(asked) => {
                Ok(NumberDone::Renewed(self.renew_numbers(asked, now, gathered).await?))
            }
        }
    }

    async fn stock(&mut self, numbers: &[NewNumber], now: At) -> Result<NumberDone, StoreError> {
        let text = |of: fn(&NewNumber) -> &str| Column::Text(numbers.iter().map(of).collect());
        let columns = [
            Column::Int(numbers.iter().map(|_| self.number()).collect()),
            Column::Blob(numbers.iter().map(|n| &n.id.as_bytes()[..]).collect()),
            text(|n| &n.e164),
            text(|n| &n.country_code),
            Column::MaybeText(numbers.iter().map(|n| n.area_code.as_deref()).collect()),
            Column::Int(numbers.iter().map(|n| n.number_type.code()).collect()),
            text(|n| &n.capabilities),
            Column::Int(numbers.iter().map(|n| i64::from(n.sms_two_way)).collect()),
            text(|n| &n.provider),
            Column::Int(numbers.iter().map(|n| n.monthly_cost.0).collect()),
            Column::Int(vec![now.micros(); numbers.len()]),
        ];
        Ok(NumberDone::Stocked(self.conn.run(&STOCK, &columns).await?))
    }

    async fn buy(
        &mut self,
        change: &NumberChange,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<NumberDone, StoreError> {
        let NumberChange::Buy { organization, e164, label, compliance_profile_id, at } = change
        else {
            return Ok(NumberDone::Unknown);
        };
        let lines = self.conn.fetch(&IN_STOCK, &[Column::Text(vec![e164])]).await?;
        let Some(line) = lines.first() else { return Ok(NumberDone::NotAvailable) };
        let (number, id, price) = (line.int(0)?, line.blob(1)?, Micros(line.int(2)?));
        if price > self.can_spend(*organization, gathered).await? {
            return Ok(NumberDone::TooPoor { price });
        }
        let ends_at = month_after(*at, *at);
        let columns = [
            Column::Int(vec![number]),
            Column::Int(vec![organization.0]),
            Column::Text(vec![label]),
            Column::MaybeText(vec![compliance_profile_id.as_deref()]),
            Column::Int(vec![now.micros()]),
            Column::Int(vec![at.micros()]),
            Column::Int(vec![ends_at.micros()]),
        ];
        if self.conn.run(&ASSIGN, &columns).await? == 0 {
            return Ok(NumberDone::NotAvailable);
        }
        let month = Month {
            number,
            organization: *organization,
            starts_at: *at,
            ends_at,
            price,
            note: format!("first month of {e164}"),
        };
        self.charge_months(vec![month], now, gathered).await?;
        let octets = id.as_slice().try_into();
        let id = octets.map_err(|_| StoreError::Impossible("a number without an id"))?;
        Ok(NumberDone::Bought(PublicId::from_bytes(id)))
    }

    /// What an organization has left, with all that this transaction has moved; its wallet stays locked
    /// until the commit.
    async fn can_spend(
        &mut self,
        organization: OrgId,
        gathered: &Gathered,
    ) -> Result<Micros, StoreError> {
        let lines = self.conn.fetch(&WALLET, &[Column::Int(vec![organization.0])]).await?;
        let stored = lines.first().map_or(Ok(0), |line| line.int(0))?;
        let moved = gathered.wallets.get(&organization);
        Ok(Micros(stored) + moved.map_or(Micros::ZERO, |(available, _)| *available))
    }

    /// These rows, with when they were changed, are nobody's to use until then.
    pub(super) async fn park_numbers(
        &mut self,
        rows: &[(i64, i64)],
        until: At,
    ) -> Result<(), StoreError> {
        let columns = [
            Column::Int(rows.iter().map(|(number, _)| *number).collect()),
            Column::Int(rows.iter().map(|(_, changed_at)| *changed_at).collect()),
            Column::Int(vec![until.micros(); rows.len()]),
        ];
        self.conn.run(&PARK, &columns).await?;
        Ok(())
    }

    /// A number that the organization has.
    async fn own_number(
        &mut self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<OwnNumber>, StoreError> {
        let columns = [Column::Int(vec![organization.0]), Column::Blob(vec![id.as_bytes()])];
        let lines = self.conn.fetch(&FIND, &columns).await?;
        let read = |line: &Line| -> Result<OwnNumber, StoreError> {
            let (number, updated_at, e164) = (line.int(0)?, line.int(1)?, line.text(2)?);
            Ok(OwnNumber { number, updated_at, e164 })
        };
        lines.first().map(read).transpose()
    }

    /// Whether a number's routing names a trunk.
    pub(super) async fn trunk_routed(&mut self, trunk: i64) -> Result<bool, StoreError> {
        Ok(!self.conn.fetch(&BY_TRUNK, &[Column::Int(vec![trunk])]).await?.is_empty())
    }

    /// Puts numbers back in stock that were parked for long enough: a bounded number each time.
    pub(super) async fn sweep_numbers(&mut self, now: At) -> Result<(), StoreError> {
        let columns = [Column::Int(vec![now.micros()]), Column::Int(vec![RELEASED_AT_ONCE])];
        self.conn.run(&RELEASE, &columns).await?;
        Ok(())
    }
}

static STOCK: Bulk = Bulk {
    sqlite: "insert into numbers (id, public_id, e164, country_code, area_code, number_type,
            capabilities, sms_two_way, provider, monthly_cost, status, label, tags, auto_renew,
            created_at, updated_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1, '', '[]', 1, ?11, ?11)
         on conflict (e164) do nothing",
    postgres: "insert into numbers (id, public_id, e164, country_code, area_code, number_type,
            capabilities, sms_two_way, provider, monthly_cost, status, label, tags, auto_renew,
            created_at, updated_at)
         select i, p, e, c, a, t, k, s, r, m, 1, '', '[]', 1, at, at
         from unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::bigint[],
            $7::text[], $8::bigint[], $9::text[], $10::bigint[], $11::bigint[])
            v (i, p, e, c, a, t, k, s, r, m, at)
         on conflict (e164) do nothing",
};

static WITHDRAW: Bulk = Bulk {
    sqlite: "delete from numbers where e164 = ?1 and organization_id is null",
    postgres: "delete from numbers where e164 = any ($1::text[]) and organization_id is null",
};

static IN_STOCK: Bulk = Bulk {
    sqlite: "select id, public_id, monthly_cost from numbers
         where e164 = ?1 and organization_id is null and status = 1",
    postgres: "select id, public_id, monthly_cost from numbers
         where e164 = any ($1::text[]) and organization_id is null and status = 1 for update",
};

static WALLET: Bulk = Bulk {
    sqlite: "select available from wallets where organization_id = ?1",
    postgres: "select available from wallets where organization_id = any ($1::bigint[]) for update",
};

static ASSIGN: Bulk = Bulk {
    sqlite: "update numbers set organization_id = ?2, status = 2, label = ?3, tags = '[]',
            compliance_profile_id = ?4, auto_renew = 1, routing = null, trunk_id = null,
            record = 0, routing_password = null, updated_at = max(?5, updated_at + 1), assigned_at = ?6,
            next_billing_at = ?7, renew_at = ?7, unpaid_since = null, parked_until = null
         where id = ?1 and organization_id is null",
    postgres: "update numbers n set organization_id = v.o, status = 2, label = v.l, tags = '[]',
            compliance_profile_id = v.c, auto_renew = 1, routing = null, trunk_id = null,
            record = 0, routing_password = null, updated_at = greatest(v.at, n.updated_at + 1),
            assigned_at = v.f, next_billing_at = v.b, renew_at = v.b, unpaid_since = null,
            parked_until = null
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[],
            $6::bigint[], $7::bigint[]) v (i, o, l, c, at, f, b)
         where n.id = v.i and n.organization_id is null",
};

static FIND: Bulk = Bulk {
    sqlite: "select id, updated_at, e164 from numbers
         where organization_id = ?1 and public_id = ?2 and status in (2, 4)",
    postgres: "select n.id, n.updated_at, n.e164 from unnest($1::bigint[], $2::bytea[]) v (o, p)
         join numbers n on n.organization_id = v.o and n.public_id = v.p and n.status in (2, 4)",
};

static UPDATE: Bulk = Bulk {
    sqlite: "update numbers set label = ?2, tags = ?3, updated_at = ?4 where id = ?1",
    postgres: "update numbers n set label = v.l, tags = v.t, updated_at = v.at
         from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) v (i, l, t, at)
         where n.id = v.i",
};

static ROUTE: Bulk = Bulk {
    sqlite: "update numbers set routing = ?2, trunk_id = ?3, routing_password = ?4,
            updated_at = ?5, record = ?6
         where id = ?1",
    postgres: "update numbers n set routing = v.r, trunk_id = v.t, routing_password = v.w,
            updated_at = v.at, record = v.k
         from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[], $5::bigint[],
            $6::bigint[]) v (i, r, t, w, at, k)
         where n.id = v.i",
};

static PARK: Bulk = Bulk {
    sqlite: "update numbers set status = 3, routing = null, trunk_id = null,
            routing_password = null, updated_at = ?2, next_billing_at = null, renew_at = null,
            unpaid_since = null, parked_until = ?3
         where id = ?1",
    postgres: "update numbers n set status = 3, routing = null, trunk_id = null,
            routing_password = null, updated_at = v.at, next_billing_at = null, renew_at = null,
            unpaid_since = null, parked_until = v.u
         from unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (i, at, u) where n.id = v.i",
};

static AUTO_RENEW: Bulk = Bulk {
    sqlite: "update numbers set auto_renew = ?2, updated_at = ?3 where id = ?1",
    postgres: "update numbers n set auto_renew = v.r, updated_at = v.at
         from unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (i, r, at) where n.id = v.i",
};

static BY_TRUNK: Bulk = Bulk {
    sqlite: "select id from numbers where trunk_id = ?1 limit 1",
    postgres: "select id from numbers where trunk_id = any ($1::bigint[]) limit 1",
};

static RELEASE: Bulk = Bulk {
    sqlite: "update numbers set organization_id = null, status = 1, label = '', tags = '[]',
            compliance_profile_id = null, assigned_at = null, parked_until = null,
            updated_at = max(?1, updated_at + 1)
         where id in (select id from numbers where parked_until <= ?1 limit ?2)",
    postgres: "update numbers n set organization_id = null, status = 1, label = '', tags = '[]',
            compliance_profile_id = null, assigned_at = null, parked_until = null,
            updated_at = greatest(v.at, n.updated_at + 1)
         from unnest($1::bigint[], $2::bigint[]) v (at, m)
         where n.id in (select o.id from numbers o where o.parked_until <= v.at limit 500)",
};
