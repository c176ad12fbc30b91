//! Protection of organizations: their own settings, the numbers the gates go by, and alerts, of
//! which a flood makes no more than one an hour.
//!
//! Tables: protection, wallets; events are gathered.

use std::collections::HashMap;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::message::Status;
use model::money::Micros;
use model::protection::{Overrides, Protection};

use super::{EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column, Conn};
use crate::error::StoreError;
use crate::protection::{joined, split};

const HOUR_US: i64 = 3600 * 1_000_000;

/// What holds for each organization, as far as gates inside the transaction ask.
#[derive(Default)]
pub(crate) struct Guards {
    pub(super) defaults: Protection,
    pub(super) own: HashMap<OrgId, Overrides>,
}

impl Guards {
    pub(super) async fn read(conn: &mut Conn, defaults: Protection) -> Result<Self, StoreError> {
        let mut own = HashMap::new();
        for line in conn.fetch(&ALL, &[Column::Int(vec![0])]).await? {
            let overrides = Overrides {
                allowed_countries: line.maybe_text(1)?.as_deref().map(split),
                blocked_prefixes: line.maybe_text(2)?.as_deref().map(split),
                daily_spend: line.maybe_int(3)?.map(Micros),
                velocity: line.maybe_int(4)?,
                otp_velocity: line.maybe_int(5)?,
                balance_low: line.maybe_int(6)?.map(Micros),
            };
            own.insert(OrgId(line.int(0)?), overrides);
        }
        Ok(Self { defaults, own })
    }

    /// True when nobody has a limit of spend by the operator, and nobody has one of its own.
    pub(super) fn unlimited(&self) -> bool {
        self.defaults.daily_spend == Micros::ZERO && self.own.is_empty()
    }

    pub(super) fn daily_spend(&self, organization: OrgId) -> Micros {
        let own = self.own.get(&organization).and_then(|own| own.daily_spend);
        own.unwrap_or(self.defaults.daily_spend)
    }

    /// Whether an organization is kept from a number, as its digits without `+`.
    pub(super) fn forbids(&self, organization: OrgId, digits: &str) -> bool {
        let forbidden = match self.own.get(&organization) {
            Some(own) => self.defaults.with(own).forbids(digits),
            None => self.defaults.forbids(digits),
        };
        forbidden.is_some()
    }

    pub(super) fn velocity(&self, organization: OrgId, otp: bool) -> i64 {
        let own = self.own.get(&organization);
        if otp {
            own.and_then(|own| own.otp_velocity).unwrap_or(self.defaults.otp_velocity)
        } else {
            own.and_then(|own| own.velocity).unwrap_or(self.defaults.velocity)
        }
    }

    pub(super) fn balance_low(&self, organization: OrgId) -> Micros {
        let own = self.own.get(&organization).and_then(|own| own.balance_low);
        own.unwrap_or(self.defaults.balance_low)
    }
}

impl EventRow {
    /// Of an organization and of no message; `detail` is the event's data, as JSON.
    pub(crate) fn of_organization(organization: OrgId, kind: EventKind, detail: String) -> Self {
        Self::of_call(organization, MessageKey(0), kind, detail)
    }

    /// Of a call, in the same form.
    pub(crate) fn of_call(
        organization: OrgId,
        call: MessageKey,
        kind: EventKind,
        detail: String,
    ) -> Self {
        let status = Status::Queued;
        Self { organization, message: call, kind, status, detail: Some(detail) }
    }
}

impl Lane {
    pub(super) async fn protect(
        &mut self,
        organization: OrgId,
        own: &Overrides,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let countries = own.allowed_countries.as_deref().map(joined);
        let prefixes = own.blocked_prefixes.as_deref().map(joined);
        let columns = [
            Column::Int(vec![organization.0]),
            Column::MaybeText(vec![countries.as_deref()]),
            Column::MaybeText(vec![prefixes.as_deref()]),
            Column::MaybeInt(vec![own.daily_spend.map(|micros| micros.0)]),
            Column::MaybeInt(vec![own.velocity]),
            Column::MaybeInt(vec![own.otp_velocity]),
            Column::MaybeInt(vec![own.balance_low.map(|micros| micros.0)]),
            Column::Int(vec![now.micros()]),
        ];
        self.conn.run(&PUT, &columns).await?;
        gathered.protected.insert(organization, own.clone());
        Ok(())
    }

    /// Puts an alert in the log, unless the organization had one of its kind within this hour.
    pub(super) fn alert(
        &self,
        organization: OrgId,
        kind: EventKind,
        detail: String,
        now: At,
        gathered: &mut Gathered,
    ) {
        let (key, hour) = ((organization, kind.code()), now.0.div_euclid(HOUR_US));
        let told = self.alerted.get(&key) == Some(&hour);
        if !told && gathered.alerted.insert(key, hour).is_none() {
            gathered.events.push(EventRow::of_organization(organization, kind, detail));
        }
    }

    /// Says once that little is left, until the next top-up.
    pub(super) async fn tell_low(
        &mut self,
        low: &[(OrgId, Micros)],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        for (organization, left) in low {
            let threshold = self.guards.balance_low(*organization).0;
            let detail = format!(
                "{{\"balance_micros\":{},\"threshold_micros\":{threshold},\"currency\":\"USD\"}}",
                left.0
            );
            let kind = EventKind::WalletLow;
            gathered.events.push(EventRow::of_organization(*organization, kind, detail));
        }
        let columns = [
            Column::Int(low.iter().map(|(organization, _)| organization.0).collect()),
            Column::MaybeInt(vec![Some(now.micros()); low.len()]),
        ];
        self.conn.run(&SET_LOW, &columns).await?;
        Ok(())
    }

    pub(super) async fn topped_up(&mut self, organization: OrgId) -> Result<(), StoreError> {
        let columns = [Column::Int(vec![organization.0]), Column::MaybeInt(vec![None])];
        self.conn.run(&SET_LOW, &columns).await?;
        Ok(())
    }
}

static ALL: Bulk = Bulk {
    sqlite: "select organization_id, allowed_countries, blocked_prefixes, daily_spend, velocity,
            otp_velocity, balance_low from protection where ?1 is not null",
    postgres: "select organization_id, allowed_countries, blocked_prefixes, daily_spend, velocity,
            otp_velocity, balance_low from protection, unnest($1::bigint[])",
};

static PUT: Bulk = Bulk {
    sqlite: "insert into protection (organization_id, allowed_countries, blocked_prefixes,
            daily_spend, velocity, otp_velocity, balance_low, updated_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         on conflict (organization_id) do update set
            allowed_countries = excluded.allowed_countries,
            blocked_prefixes = excluded.blocked_prefixes, daily_spend = excluded.daily_spend,
            velocity = excluded.velocity, otp_velocity = excluded.otp_velocity,
            balance_low = excluded.balance_low, updated_at = excluded.updated_at",
    postgres: "insert into protection (organization_id, allowed_countries, blocked_prefixes,
            daily_spend, velocity, otp_velocity, balance_low, updated_at)
         select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[])
         on conflict (organization_id) do update set
            allowed_countries = excluded.allowed_countries,
            blocked_prefixes = excluded.blocked_prefixes, daily_spend = excluded.daily_spend,
            velocity = excluded.velocity, otp_velocity = excluded.otp_velocity,
            balance_low = excluded.balance_low, updated_at = excluded.updated_at",
};

static SET_LOW: Bulk = Bulk {
    sqlite: "update wallets set low_at = ?2 where organization_id = ?1",
    postgres: "update wallets set low_at = v.t from unnest($1::bigint[], $2::bigint[]) v (o, t)
         where organization_id = v.o",
};
