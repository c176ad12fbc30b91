//! SIP credentials and where their phones are registered, as read. Tables: sip_credentials,
//! sip_bindings, organizations.

use model::carrier::OrgId;
use model::id::PublicId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A credential with all that a registrar needs of it.
    pub struct SipCredentialRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: i64,
        pub realm: String,
        pub username: String,
        /// HA1 as hexadecimal digits: not to be shown.
        pub ha1_md5: String,
        pub ha1_sha256: String,
        pub extension: Option<String>,
        pub allowed_outbound: i64,
        pub allowed_destinations: String,
        pub caller_id: Option<String>,
        pub max_contacts: i64,
        pub status: i64,
        pub updated_at: i64,
        pub suspended_at: Option<i64>,
        pub is_sandbox: i64,
    }
}

row! {
    /// A credential as its organization sees it.
    pub struct SipListedRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: i64,
        pub realm: String,
        pub username: String,
        pub label: String,
        pub extension: Option<String>,
        pub allowed_outbound: i64,
        pub allowed_destinations: String,
        pub caller_id: Option<String>,
        pub max_contacts: i64,
        pub status: i64,
        pub created_at: i64,
        pub updated_at: i64,
    }
}

row! {
    /// A contact where a phone is registered.
    pub struct SipBindingRow {
        pub credential_id: i64,
        pub binding: String,
        pub organization_id: i64,
        /// The credential's.
        pub public_id: Vec<u8>,
        pub aor: String,
        pub contact: String,
        pub instance: Option<String>,
        pub reg_id: Option<i64>,
        /// JSON list.
        pub path: String,
        pub call_id: String,
        pub cseq: i64,
        pub user_agent: Option<String>,
        pub transport: String,
        pub received_from: String,
        pub flow: String,
        pub node: String,
        pub q: i64,
        pub registered_at: i64,
        pub expires_at: i64,
    }
}

row! {
    struct Slug {
        slug: Option<String>,
    }
}

/// The columns of [`SipCredentialRow`].
macro_rules! select_credentials {
    ($rest:literal) => {
        concat!(
            "select c.id, c.public_id, c.organization_id, c.realm, c.username, c.ha1_md5,
                c.ha1_sha256, c.extension, c.allowed_outbound, c.allowed_destinations,
                c.caller_id, c.max_contacts, c.status, c.updated_at, o.suspended_at, o.is_sandbox
            from sip_credentials c join organizations o on o.id = c.organization_id ",
            $rest
        )
    };
}

/// The columns of [`SipListedRow`].
macro_rules! select_listed {
    ($rest:literal) => {
        concat!(
            "select id, public_id, organization_id, realm, username, label, extension,
                allowed_outbound, allowed_destinations, caller_id, max_contacts, status,
                created_at, updated_at
            from sip_credentials ",
            $rest
        )
    };
}

/// The columns of [`SipBindingRow`].
macro_rules! select_bindings {
    ($rest:literal) => {
        concat!(
            "select b.credential_id, b.binding, b.organization_id, c.public_id, b.aor, b.contact,
                b.instance, b.reg_id, b.path, b.call_id, b.cseq, b.user_agent, b.transport,
                b.received_from, b.flow, b.node, b.q, b.registered_at, b.expires_at
            from sip_bindings b join sip_credentials c on c.id = b.credential_id ",
            $rest
        )
    };
}

impl Store {
    /// Every organization's credentials that are not revoked, in pages by number.
    pub async fn sip_credentials(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<SipCredentialRow>, StoreError> {
        let sql = select_credentials!("where c.id > $1 and c.status < 3 order by c.id limit $2");
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// What has changed since, revoked ones too, in pages by moment and number. A change is stored a
    /// little after its moment: who asks again and again begins some seconds before where it ended.
    pub async fn sip_credentials_changed(
        &self,
        (moment, number): (i64, i64),
        limit: i64,
    ) -> Result<Vec<SipCredentialRow>, StoreError> {
        let sql = select_credentials!(
            "where c.updated_at > $1 or c.updated_at = $2 and c.id > $3
            order by c.updated_at, c.id limit $4"
        );
        let query = sqlx::query_as(sql).bind(moment).bind(moment).bind(number).bind(limit);
        Ok(query.fetch_all(self.engine()).await?)
    }

    /// A credential as a registrar needs it, revoked or not.
    pub async fn sip_credential(
        &self,
        id: PublicId,
    ) -> Result<Option<SipCredentialRow>, StoreError> {
        let sql = select_credentials!("where c.public_id = $1");
        let id = id.as_bytes().to_vec();
        Ok(sqlx::query_as(sql).bind(id).fetch_optional(self.engine()).await?)
    }

    /// An organization's credentials that are not revoked, newest first.
    pub async fn own_sip_credentials(
        &self,
        organization: OrgId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<SipListedRow>, StoreError> {
        let sql = select_listed!(
            "where organization_id = $1 and id < $2 and status < 3 order by id desc limit $3"
        );
        let query = sqlx::query_as(sql).bind(organization.0).bind(before).bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn own_sip_credential(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<SipListedRow>, StoreError> {
        let sql = select_listed!("where organization_id = $1 and public_id = $2 and status < 3");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// By its username, in whatever realm of the organization.
    pub async fn own_sip_credential_named(
        &self,
        organization: OrgId,
        username: &str,
    ) -> Result<Option<SipListedRow>, StoreError> {
        let sql = select_listed!(
            "where organization_id = $1 and username = $2 and status < 3 order by id desc limit 1"
        );
        let query = sqlx::query_as(sql).bind(organization.0).bind(username.to_owned());
        self.one_of(organization, query).await
    }

    /// A phone of the organization, by its extension or its username.
    pub async fn own_sip_user(
        &self,
        organization: OrgId,
        name: &str,
    ) -> Result<Option<SipListedRow>, StoreError> {
        let sql = select_listed!(
            "where organization_id = $1 and (extension = $2 or username = $3) and status < 3
            order by id desc limit 1"
        );
        let query = sqlx::query_as(sql).bind(organization.0).bind(name.to_owned());
        self.one_of(organization, query.bind(name.to_owned())).await
    }

    /// Every binding, in pages by credential and key: for a registrar that starts.
    pub async fn sip_bindings(
        &self,
        (credential, key): (i64, &str),
        limit: i64,
    ) -> Result<Vec<SipBindingRow>, StoreError> {
        let sql = select_bindings!(
            "where b.credential_id > $1 or b.credential_id = $2 and b.binding > $3
            order by b.credential_id, b.binding limit $4"
        );
        let query = sqlx::query_as(sql).bind(credential).bind(credential).bind(key.to_owned());
        Ok(query.bind(limit).fetch_all(self.engine()).await?)
    }

    /// Where the phones of an organization's credentials, of those from one number to another, are
    /// registered at this moment.
    pub async fn own_sip_bindings(
        &self,
        organization: OrgId,
        (first, last): (i64, i64),
        now: i64,
        limit: i64,
    ) -> Result<Vec<SipBindingRow>, StoreError> {
        let sql = select_bindings!(
            "where b.organization_id = $1 and b.credential_id >= $2 and b.credential_id <= $3
                and b.expires_at > $4
            order by b.credential_id, b.binding limit $5"
        );
        let query = sqlx::query_as(sql).bind(organization.0).bind(first).bind(last);
        self.all_of(organization, query.bind(now).bind(limit)).await
    }

    /// What an organization is called in a domain.
    pub async fn organization_slug(
        &self,
        organization: OrgId,
    ) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_as("select slug from organizations where id = $1");
        let row: Option<Slug> = self.one_of(organization, query.bind(organization.0)).await?;
        Ok(row.and_then(|row| row.slug))
    }
}
