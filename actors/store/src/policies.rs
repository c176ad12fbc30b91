//! Policies, lists and registered senders, as read. Tables: policies, dnc_entries, rnd_entries,
//! suppression_list, channel_preferences, sender_registrations, sender_countries.

use model::carrier::OrgId;
use model::id::PublicId;
use model::policy::Approval;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// The policy an organization has set.
    pub struct PolicyRow {
        /// JSON.
        pub body: String,
        pub updated_at: i64,
    }
}

row! {
    /// Why a number is not to be contacted.
    pub struct ListedRow {
        /// `org_list`, `suppression` or `consent`.
        pub source: String,
    }
}

row! {
    pub struct DncRow {
        pub seq: i64,
        pub phone: String,
        pub reason: String,
        pub created_at: i64,
    }
}

row! {
    struct ReturnedRow {
        disconnected_on: String,
    }
}

row! {
    /// A registered sender, without its countries.
    pub struct SenderRow {
        pub number: i64,
        pub id: Vec<u8>,
        pub sender_id: String,
        pub use_case: Option<String>,
        pub created_at: i64,
    }
}

row! {
    /// What is said of a sender in one country.
    pub struct SenderCountryRow {
        pub registration: i64,
        pub country: String,
        pub state: i64,
        pub document_refs: String,
        pub notes: Option<String>,
        pub reason: Option<String>,
        pub decided_at: Option<i64>,
    }
}

row! {
    /// A sender that waits for the operator.
    pub struct PendingSenderRow {
        pub number: i64,
        pub id: Vec<u8>,
        pub organization: Vec<u8>,
        pub organization_name: String,
        pub sender_id: String,
        pub use_case: Option<String>,
        pub country: String,
        pub document_refs: String,
        pub notes: Option<String>,
        pub created_at: i64,
    }
}

impl Store {
    pub async fn policy(&self, organization: OrgId) -> Result<Option<PolicyRow>, StoreError> {
        let sql = "select body, updated_at from policies where organization_id = $1";
        self.one_of(organization, sqlx::query_as(sql).bind(organization.0)).await
    }

    /// The first list that names a number: the organization's own, the suppression list, the
    /// consent taken back. Scopes 0 to 2 are all channels, SMS and voice; state 2 is opted out.
    pub async fn dnc_source(
        &self,
        organization: OrgId,
        phone: &str,
    ) -> Result<Option<ListedRow>, StoreError> {
        let sql = "select source from (
                select 1 as place, 'org_list' as source from dnc_entries
                    where organization_id = $1 and phone = $2
                union all
                select 2, 'suppression' from suppression_list
                    where organization_id = $3 and address = $4 and scope in (0, 1, 2)
                union all
                select 3, 'consent' from channel_preferences
                    where organization_id = $5 and address = $6 and channel in (1, 2) and state = 2
            ) lists order by place limit 1";
        let mut query = sqlx::query_as(sql);
        for _ in 0..3 {
            query = query.bind(organization.0).bind(phone.to_owned());
        }
        self.one_of(organization, query).await
    }

    /// The organization's own list below `before`, newest first.
    pub async fn dnc_entries(
        &self,
        organization: OrgId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<DncRow>, StoreError> {
        let sql = "select seq, phone, reason, created_at from dnc_entries
            where organization_id = $1 and seq < $2 order by seq desc limit $3";
        let query = sqlx::query_as(sql).bind(organization.0).bind(before).bind(limit);
        self.all_of(organization, query).await
    }

    /// The day a number was given back, if the imported list knows it.
    pub async fn disconnected_on(
        &self,
        organization: OrgId,
        phone: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql =
            "select disconnected_on from rnd_entries where organization_id = $1 and phone = $2";
        let query = sqlx::query_as(sql).bind(organization.0).bind(phone.to_owned());
        let row: Option<ReturnedRow> = self.one_of(organization, query).await?;
        Ok(row.map(|row| row.disconnected_on))
    }

    /// Registered senders below `before`, newest first.
    pub async fn senders(
        &self,
        organization: OrgId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<SenderRow>, StoreError> {
        let sql = "select number, id, sender_id, use_case, created_at from sender_registrations
            where organization_id = $1 and number < $2 order by number desc limit $3";
        let query = sqlx::query_as(sql).bind(organization.0).bind(before).bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn sender(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<SenderRow>, StoreError> {
        let sql = "select number, id, sender_id, use_case, created_at from sender_registrations
            where organization_id = $1 and id = $2";
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// The countries of the organization's registrations from one number to another: at most 20
    /// each.
    pub async fn sender_countries(
        &self,
        organization: OrgId,
        first: i64,
        last: i64,
    ) -> Result<Vec<SenderCountryRow>, StoreError> {
        let sql = "select registration, country, state, document_refs, notes, reason, decided_at
            from sender_countries
            where organization_id = $1 and registration >= $2 and registration <= $3
            order by registration, country limit 10000";
        let query = sqlx::query_as(sql).bind(organization.0).bind(first).bind(last);
        self.all_of(organization, query).await
    }

    /// What waits for the operator's word, oldest first, of all organizations.
    pub async fn pending_senders(&self, limit: i64) -> Result<Vec<PendingSenderRow>, StoreError> {
        let sql = "select g.number, g.id, o.public_id as organization,
                o.name as organization_name, g.sender_id, g.use_case, c.country, c.document_refs,
                c.notes, g.created_at
            from sender_countries c
            join sender_registrations g on g.number = c.registration
            join organizations o on o.id = g.organization_id
            where c.state = $1 order by c.registration, c.country limit $2";
        let query = sqlx::query_as(sql).bind(Approval::Pending.code()).bind(limit);
        Ok(query.fetch_all(self.engine()).await?)
    }
}
