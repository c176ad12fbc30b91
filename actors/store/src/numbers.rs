//! Phone numbers, as read: stock for everyone, the others for whoever has them. Table: numbers.

use model::carrier::OrgId;
use model::id::PublicId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A number in stock.
    pub struct StockRow {
        pub public_id: Vec<u8>,
        pub e164: String,
        pub country_code: String,
        pub number_type: i64,
        /// JSON list.
        pub capabilities: String,
        pub sms_two_way: i64,
        pub provider: String,
        pub monthly_cost: i64,
    }
}

row! {
    /// How much of a country is in stock.
    pub struct StockCountRow {
        pub country_code: String,
        pub number_type: i64,
        pub numbers: i64,
    }
}

row! {
    /// An organization's number as it sees it.
    pub struct NumberRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: i64,
        pub e164: String,
        pub country_code: String,
        pub area_code: Option<String>,
        pub number_type: i64,
        /// JSON list.
        pub capabilities: String,
        pub sms_two_way: i64,
        pub provider: String,
        pub monthly_cost: i64,
        pub status: i64,
        pub label: String,
        /// JSON list.
        pub tags: String,
        pub compliance_profile_id: Option<String>,
        pub auto_renew: i64,
        /// JSON of type and config.
        pub routing: Option<String>,
        /// 1 or 0: calls to it are recorded.
        pub record: i64,
        pub created_at: i64,
        pub updated_at: i64,
        pub assigned_at: Option<i64>,
        pub next_billing_at: Option<i64>,
        pub parked_until: Option<i64>,
        /// When its next month could not be paid first.
        pub unpaid_since: Option<i64>,
    }
}

row! {
    /// A number that somebody has, for the switch.
    pub struct NumberRouteRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: i64,
        pub e164: String,
        /// JSON list.
        pub capabilities: String,
        pub status: i64,
        pub routing: Option<String>,
        /// 1 or 0: calls to it are recorded.
        pub record: i64,
        /// Sealed.
        pub routing_password: Option<Vec<u8>>,
        pub assigned_at: Option<i64>,
        pub updated_at: i64,
        /// 1 or 0: of a sandbox organization.
        pub is_sandbox: i64,
    }
}

/// Which numbers in stock are looked for.
#[derive(Clone, Debug, Default)]
pub struct StockFilter {
    /// ISO 3166.
    pub country: String,
    /// As stored; 0: any.
    pub number_type: i64,
    /// Each of them, at most five.
    pub capabilities: Vec<String>,
    pub area_code: Option<String>,
    /// Digits that it contains.
    pub contains: Option<String>,
}

/// Which of an organization's numbers are looked for.
#[derive(Clone, Debug, Default)]
pub struct NumberFilter {
    /// As stored; 0: any.
    pub status: i64,
    pub country: Option<String>,
    /// Text that its number or its label contains.
    pub search: Option<String>,
}

/// The columns of [`NumberRow`].
macro_rules! select_numbers {
    ($rest:literal) => {
        concat!(
            "select id, public_id, organization_id, e164, country_code, area_code, number_type,
                capabilities, sms_two_way, provider, monthly_cost, status, label, tags,
                compliance_profile_id, auto_renew, routing, record, created_at, updated_at, assigned_at,
                next_billing_at, parked_until, unpaid_since
            from numbers ",
            $rest
        )
    };
}

/// The columns of [`NumberRouteRow`].
macro_rules! select_routes {
    ($rest:literal) => {
        concat!(
            "select n.id, n.public_id, coalesce(n.organization_id, 0) as organization_id, n.e164,
                n.capabilities, n.status, n.routing, n.record, n.routing_password, n.assigned_at,
                n.updated_at, coalesce(o.is_sandbox, 0) as is_sandbox
            from numbers n left join organizations o on o.id = n.organization_id ",
            $rest
        )
    };
}

/// The columns of [`StockRow`].
macro_rules! select_stock {
    ($rest:literal) => {
        concat!(
            "select public_id, e164, country_code, number_type, capabilities, sms_two_way,
                provider, monthly_cost
            from numbers ",
            $rest
        )
    };
}

/// Text that is looked for anywhere; what stands for other signs stands for itself.
fn anywhere(text: &str) -> String {
    let plain = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{plain}%")
}

impl Store {
    /// Numbers in stock, by number.
    pub async fn stock(
        &self,
        filter: &StockFilter,
        after: &str,
        limit: i64,
    ) -> Result<Vec<StockRow>, StoreError> {
        let sql = select_stock!(
            "where organization_id is null and country_code = $1 and e164 > $2
                and ($3 = 0 or number_type = $4)
                and capabilities like $5 and capabilities like $6
                and capabilities like $7 and capabilities like $8 and capabilities like $9
                and ($10 = '' or area_code = $11) and e164 like $12 escape '\\'
            order by e164 limit $13"
        );
        let can = |at: usize| match filter.capabilities.get(at) {
            Some(capability) => format!("%\"{capability}\"%"),
            None => String::from("%"),
        };
        let area_code = filter.area_code.clone().unwrap_or_default();
        let contains = filter.contains.as_deref().map_or_else(|| String::from("%"), anywhere);
        let query = sqlx::query_as(sql)
            .bind(filter.country.clone())
            .bind(after.to_owned())
            .bind(filter.number_type)
            .bind(filter.number_type)
            .bind(can(0))
            .bind(can(1))
            .bind(can(2))
            .bind(can(3))
            .bind(can(4))
            .bind(area_code.clone())
            .bind(area_code)
            .bind(contains)
            .bind(limit);
        Ok(query.fetch_all(self.engine()).await?)
    }

    /// How many numbers are in stock, by country and type.
    pub async fn stock_counts(&self, limit: i64) -> Result<Vec<StockCountRow>, StoreError> {
        let sql = "select country_code, number_type, count(*) as numbers from numbers
            where organization_id is null group by country_code, number_type
            order by country_code, number_type limit $1";
        Ok(sqlx::query_as(sql).bind(limit).fetch_all(self.engine()).await?)
    }

    /// An organization's numbers, newest first.
    pub async fn numbers(
        &self,
        organization: OrgId,
        filter: &NumberFilter,
        before: i64,
        limit: i64,
    ) -> Result<Vec<NumberRow>, StoreError> {
        let sql = select_numbers!(
            "where organization_id = $1 and id < $2 and ($3 = 0 or status = $4)
                and ($5 = '' or country_code = $6)
                and (e164 like $7 escape '\\' or lower(label) like $8 escape '\\')
            order by id desc limit $9"
        );
        let country = filter.country.clone().unwrap_or_default();
        let search = filter.search.as_deref().map_or_else(|| String::from("%"), anywhere);
        let query = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(before)
            .bind(filter.status)
            .bind(filter.status)
            .bind(country.clone())
            .bind(country)
            .bind(search.clone())
            .bind(search.to_lowercase())
            .bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn number(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<NumberRow>, StoreError> {
        let sql = select_numbers!("where organization_id = $1 and public_id = $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// Numbers that somebody has, in pages by number of row: for the switch that starts.
    pub async fn number_routes(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<NumberRouteRow>, StoreError> {
        let sql = select_routes!("where n.id > $1 and n.status = 2 order by n.id limit $2");
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// One number for the switch, whoever has it.
    pub async fn number_route(&self, e164: &str) -> Result<Option<NumberRouteRow>, StoreError> {
        let sql = select_routes!("where n.e164 = $1");
        Ok(sqlx::query_as(sql).bind(e164.to_owned()).fetch_optional(self.engine()).await?)
    }
}
