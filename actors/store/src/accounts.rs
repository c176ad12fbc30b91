//! Organizations and API keys, as read. Tables: organizations, api_keys.

use model::carrier::OrgId;
use model::id::PublicId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A usable or revoked key with what its holder is.
    pub struct KeyRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: i64,
        pub organization_public_id: Vec<u8>,
        pub mode: String,
        pub scopes: String,
        pub revoked_at: Option<i64>,
        pub is_sandbox: i64,
        pub suspended_at: Option<i64>,
    }
}

row! {
    pub struct OrganizationRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub name: String,
        /// What it is called in a domain.
        pub slug: Option<String>,
        pub is_sandbox: i64,
        /// Of its SMPP accounts that have no pace of their own; 0 is no limit.
        pub smpp_tps: i64,
        pub created_at: i64,
    }
}

row! {
    struct PublicKey {
        public_id: Vec<u8>,
    }
}

row! {
    struct Name {
        name: String,
    }
}

impl Store {
    /// What an organization is called.
    pub async fn organization_name(
        &self,
        organization: OrgId,
    ) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_as("select name from organizations where id = $1");
        let row: Option<Name> = self.one_of(organization, query.bind(organization.0)).await?;
        Ok(row.map(|row| row.name))
    }

    /// Finds a key by the hash of its text: the only way from a credential to an organization.
    pub async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>, StoreError> {
        let sql = "select k.id, k.public_id, k.organization_id,
                o.public_id as organization_public_id, k.mode, k.scopes, k.revoked_at,
                o.is_sandbox, o.suspended_at
            from api_keys k join organizations o on o.id = k.organization_id where k.hash = $1";
        Ok(sqlx::query_as(sql).bind(&hash[..]).fetch_optional(self.engine()).await?)
    }

    /// The public id of a key.
    pub async fn key_id(&self, key: i64) -> Result<Option<PublicId>, StoreError> {
        let query = sqlx::query_as("select public_id from api_keys where id = $1").bind(key);
        let row: Option<PublicKey> = query.fetch_optional(self.engine()).await?;
        Ok(row.and_then(|row| row.public_id.try_into().ok()).map(PublicId::from_bytes))
    }

    pub async fn organization(&self, id: PublicId) -> Result<Option<OrganizationRow>, StoreError> {
        let sql = "select id, public_id, name, slug, is_sandbox, smpp_tps, created_at
            from organizations where public_id = $1";
        Ok(sqlx::query_as(sql).bind(&id.as_bytes()[..]).fetch_optional(self.engine()).await?)
    }

    pub async fn organizations(&self, limit: i64) -> Result<Vec<OrganizationRow>, StoreError> {
        let sql = "select id, public_id, name, slug, is_sandbox, smpp_tps, created_at
            from organizations order by id limit $1";
        Ok(sqlx::query_as(sql).bind(limit).fetch_all(self.engine()).await?)
    }
}

impl KeyRow {
    #[must_use]
    pub fn organization(&self) -> OrgId {
        OrgId(self.organization_id)
    }
}
