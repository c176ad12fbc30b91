//! Carriers and what we bind to them as, as read. Tables: smpp_credentials, smpp_carriers,
//! carriers, outbox, parts, messages.
//!
//! Tenants read their own rows, and never a password; the switch reads all.

use model::carrier::OrgId;
use model::id::PublicId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A credential without its password.
    pub struct SmppCredentialRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: Option<i64>,
        pub name: String,
        pub settings: String,
        pub revealed_at: Option<i64>,
        pub created_at: i64,
        pub updated_at: i64,
        /// The carrier that binds with it.
        pub carrier: Option<Vec<u8>>,
        pub account: Option<String>,
    }
}

row! {
    /// A carrier.
    pub struct SmppCarrierRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: Option<i64>,
        pub credential: Vec<u8>,
        pub carrier_id: i64,
        /// The name of its account in the database.
        pub account: String,
        pub name: String,
        pub settings: String,
        pub created_at: i64,
        pub updated_at: i64,
        pub disabled_at: Option<i64>,
    }
}

row! {
    /// What it takes to run a carrier.
    pub struct RunnableRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: Option<i64>,
        pub carrier_id: i64,
        pub account: String,
        pub name: String,
        pub settings: String,
        pub disabled_at: Option<i64>,
        pub credential: Vec<u8>,
        pub credential_settings: String,
        /// Sealed.
        pub password: Vec<u8>,
    }
}

row! {
    struct Sealed {
        password: Vec<u8>,
    }
}

row! {
    /// An account by number and name.
    pub struct AccountRow {
        pub id: i64,
        pub name: String,
        pub ended_at: Option<i64>,
    }
}

/// The columns of [`SmppCredentialRow`].
macro_rules! select_credentials {
    ($rest:literal) => {
        concat!(
            "select c.id, c.public_id, c.organization_id, c.name, c.settings, c.revealed_at,
                c.created_at, c.updated_at, u.public_id as carrier, a.name as account
            from smpp_credentials c
            left join smpp_carriers u on u.credential_id = c.id
            left join carriers a on a.id = u.carrier_id ",
            $rest
        )
    };
}

/// The columns of [`SmppCarrierRow`].
macro_rules! select_carriers {
    ($rest:literal) => {
        concat!(
            "select u.id, u.public_id, u.organization_id, c.public_id as credential, u.carrier_id,
                a.name as account, u.name, u.settings, u.created_at, u.updated_at, u.disabled_at
            from smpp_carriers u
            join smpp_credentials c on c.id = u.credential_id
            join carriers a on a.id = u.carrier_id ",
            $rest
        )
    };
}

impl Store {
    /// The credentials of an organization, newest first.
    pub async fn smpp_credentials(
        &self,
        organization: OrgId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<SmppCredentialRow>, StoreError> {
        let sql = select_credentials!(
            "where c.organization_id = $1 and c.id < $2 order by c.id desc limit $3"
        );
        let query = sqlx::query_as(sql).bind(organization.0).bind(before).bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn smpp_credential(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<SmppCredentialRow>, StoreError> {
        let sql = select_credentials!("where c.organization_id = $1 and c.public_id = $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// A credential of the platform.
    pub async fn platform_credential(
        &self,
        id: PublicId,
    ) -> Result<Option<SmppCredentialRow>, StoreError> {
        let sql = select_credentials!("where c.organization_id is null and c.public_id = $1");
        let query = sqlx::query_as(sql).bind(id.as_bytes().to_vec());
        Ok(query.fetch_optional(self.engine()).await?)
    }

    /// The sealed password of a credential: the caller has asked for the right to open it.
    pub async fn sealed_password(
        &self,
        organization: Option<OrgId>,
        id: PublicId,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "select password from smpp_credentials
            where public_id = $1 and coalesce(organization_id, 0) = $2";
        let whose = organization.map_or(0, |organization| organization.0);
        let query = sqlx::query_as(sql).bind(id.as_bytes().to_vec()).bind(whose);
        let found: Option<Sealed> = query.fetch_optional(self.engine()).await?;
        Ok(found.map(|found| found.password))
    }

    /// The carriers of an organization, newest first.
    pub async fn smpp_carriers(
        &self,
        organization: OrgId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<SmppCarrierRow>, StoreError> {
        let sql = select_carriers!(
            "where u.organization_id = $1 and u.id < $2 order by u.id desc limit $3"
        );
        let query = sqlx::query_as(sql).bind(organization.0).bind(before).bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn smpp_carrier(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<SmppCarrierRow>, StoreError> {
        let sql = select_carriers!("where u.organization_id = $1 and u.public_id = $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// A carrier of the platform.
    pub async fn platform_carrier(
        &self,
        id: PublicId,
    ) -> Result<Option<SmppCarrierRow>, StoreError> {
        let sql = select_carriers!("where u.organization_id is null and u.public_id = $1");
        let query = sqlx::query_as(sql).bind(id.as_bytes().to_vec());
        Ok(query.fetch_optional(self.engine()).await?)
    }

    /// The carriers of the platform, newest first.
    pub async fn platform_carriers(&self, limit: i64) -> Result<Vec<SmppCarrierRow>, StoreError> {
        let sql = select_carriers!("where u.organization_id is null order by u.id desc limit $1");
        Ok(sqlx::query_as(sql).bind(limit).fetch_all(self.engine()).await?)
    }

    /// A carrier by the name of its account, whosever it is.
    pub async fn carrier_of_account(
        &self,
        account: &str,
    ) -> Result<Option<SmppCarrierRow>, StoreError> {
        let sql = select_carriers!("where a.name = $1");
        Ok(sqlx::query_as(sql).bind(account).fetch_optional(self.engine()).await?)
    }

    /// Every carrier with what it takes to run it, in pages by number.
    pub async fn runnable_carriers(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<RunnableRow>, StoreError> {
        let sql = "select u.id, u.public_id, u.organization_id, u.carrier_id, a.name as account,
                u.name, u.settings, u.disabled_at, c.public_id as credential,
                c.settings as credential_settings, c.password
            from smpp_carriers u
            join smpp_credentials c on c.id = u.credential_id
            join carriers a on a.id = u.carrier_id
            where u.id > $1 order by u.id limit $2";
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// Accounts that have not ended and that no carrier of the API uses: the settings', and those
    /// of which nothing is said any more.
    pub async fn accounts_apart(&self) -> Result<Vec<AccountRow>, StoreError> {
        let sql = "select c.id, c.name, c.ended_at from carriers c where c.ended_at is null
            and not exists (select 1 from smpp_carriers s where s.carrier_id = c.id)";
        Ok(sqlx::query_as(sql).fetch_all(self.engine()).await?)
    }

    /// Accounts that have ended, and whose messages may still wait for receipts.
    pub async fn accounts_ended(&self) -> Result<Vec<AccountRow>, StoreError> {
        let sql = "select c.id, c.name, c.ended_at from carriers c
            where c.ended_at is not null and c.settled_at is null
                and (exists (select 1 from parts p where p.carrier_id = c.id)
                    or exists (select 1 from outbox o where o.carrier_id = c.id)
                    or exists (select 1 from messages m where m.carrier_id = c.id
                        and m.nameless is not null))";
        Ok(sqlx::query_as(sql).fetch_all(self.engine()).await?)
    }

    /// Accounts under which messages wait, found by as many steps as there are.
    pub async fn accounts_waiting(&self) -> Result<Vec<AccountRow>, StoreError> {
        let sql = "with recursive w (id) as (
                select min(carrier_id) from outbox
                union all
                select (select min(o.carrier_id) from outbox o where o.carrier_id > w.id)
                from w where w.id is not null)
            select c.id, c.name, c.ended_at from w join carriers c on c.id = w.id";
        Ok(sqlx::query_as(sql).fetch_all(self.engine()).await?)
    }
}
