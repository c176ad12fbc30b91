//! What organizations have set to protect themselves, and what they have spent today, as read.
//! Tables: protection, daily_spend.

use model::carrier::OrgId;
use model::clock::At;
use model::money::Micros;
use model::protection::Overrides;

use crate::error::StoreError;
use crate::{Store, row};

const DAY_US: i64 = 24 * 3600 * 1_000_000;

row! {
    struct ProtectionRow {
        organization_id: i64,
        allowed_countries: Option<String>,
        blocked_prefixes: Option<String>,
        daily_spend: Option<i64>,
        velocity: Option<i64>,
        otp_velocity: Option<i64>,
        balance_low: Option<i64>,
    }
}

row! {
    struct SpentRow {
        spent: i64,
    }
}

/// A list as its column holds it.
pub(crate) fn joined(list: &[String]) -> String {
    list.join(",")
}

pub(crate) fn split(text: &str) -> Vec<String> {
    text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

impl From<ProtectionRow> for Overrides {
    fn from(row: ProtectionRow) -> Self {
        Self {
            allowed_countries: row.allowed_countries.as_deref().map(split),
            blocked_prefixes: row.blocked_prefixes.as_deref().map(split),
            daily_spend: row.daily_spend.map(Micros),
            velocity: row.velocity,
            otp_velocity: row.otp_velocity,
            balance_low: row.balance_low.map(Micros),
        }
    }
}

impl Store {
    /// What an organization has set; nothing of it when it never did.
    pub async fn protection(&self, organization: OrgId) -> Result<Overrides, StoreError> {
        let sql = "select organization_id, allowed_countries, blocked_prefixes, daily_spend,
                velocity, otp_velocity, balance_low
            from protection where organization_id = $1";
        let query = sqlx::query_as(sql).bind(organization.0);
        let row: Option<ProtectionRow> = self.one_of(organization, query).await?;
        Ok(row.map(Overrides::from).unwrap_or_default())
    }

    /// What all organizations have set, for those who decide before the writer does.
    pub async fn protections(&self) -> Result<Vec<(OrgId, Overrides)>, StoreError> {
        let sql = "select organization_id, allowed_countries, blocked_prefixes, daily_spend,
                velocity, otp_velocity, balance_low
            from protection order by organization_id";
        let rows: Vec<ProtectionRow> = sqlx::query_as(sql).fetch_all(self.engine()).await?;
        Ok(rows.into_iter().map(|row| (OrgId(row.organization_id), row.into())).collect())
    }

    /// What an organization has spent on the day of a moment, in UTC; known only while it has a
    /// limit.
    pub async fn spent_on(&self, organization: OrgId, at: At) -> Result<Micros, StoreError> {
        let sql = "select spent from daily_spend where day = $1 and organization_id = $2";
        let query = sqlx::query_as(sql).bind(at.0.div_euclid(DAY_US)).bind(organization.0);
        let row: Option<SpentRow> = self.one_of(organization, query).await?;
        Ok(row.map_or(Micros::ZERO, |row| Micros(row.spent)))
    }
}
