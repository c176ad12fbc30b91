//! What waits for its time, as the scheduler reads it; and messages as those read them who want to
//! stop, change or repeat them. Tables: messages, idempotency.

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::submission::{self, Idempotency};

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A scheduled message whose time has come.
    pub struct DueRow {
        pub key: i64,
        pub organization_id: i64,
        pub scheduled_at: i64,
        pub created_at: i64,
        pub expires_at: Option<i64>,
        pub edits: i64,
        pub category: i64,
        pub encoding: i64,
        pub test_mode: i64,
        pub to_addr: String,
        pub from_addr: String,
        pub body: String,
        pub smpp_account_id: Option<i64>,
        /// The account's name, as long as it is there.
        pub account: Option<String>,
        pub submitted: Option<Vec<u8>>,
        /// The pool that is to choose its sender.
        pub sender_pool: Option<Vec<u8>>,
    }
}

row! {
    /// A message of its organization with all that a change or a repetition of it needs.
    pub struct ChangeRow {
        pub key: i64,
        pub id: Vec<u8>,
        pub direction: i64,
        pub status: i64,
        pub category: i64,
        pub encoding: i64,
        pub test_mode: i64,
        pub created_at: i64,
        pub to_addr: String,
        pub from_addr: String,
        pub body: String,
        pub metadata: Option<String>,
        pub webhook_url: Option<String>,
        pub template_id: Option<Vec<u8>>,
        pub scheduled_at: Option<i64>,
        pub validity_s: Option<i64>,
        pub redacted_at: Option<i64>,
        pub edits: i64,
        pub smpp_account_id: Option<i64>,
        pub submitted: Option<Vec<u8>>,
        /// The pool that its sender is of, as long as it is there.
        pub sender_pool: Option<Vec<u8>>,
    }
}

row! {
    /// A message's key and how it stands.
    pub struct KeyedRow {
        pub key: i64,
        pub status: i64,
        pub test_mode: i64,
    }
}

row! {
    struct ReferenceRow {
        reference: Vec<u8>,
        fingerprint: Vec<u8>,
    }
}

row! {
    struct OrganizationRow {
        organization_id: i64,
    }
}

/// Where a reading of the schedule stands: the time and key of the last row read.
pub type Mark = (i64, i64);

/// The columns of [`DueRow`]; statements add what they select by.
macro_rules! select_due {
    ($rest:literal) => {
        concat!(
            "select key, organization_id, scheduled_at, created_at, expires_at,
                coalesce(edits, 0) as edits, category, encoding, test_mode, to_addr, from_addr, body,
                smpp_account_id,
                (select system_id from smpp_accounts a where a.id = smpp_account_id) as account,
                submitted,
                (select public_id from sender_pools p where p.id = sender_pool_id) as sender_pool
            from messages where waits_until is not null ",
            $rest
        )
    };
}

impl ChangeRow {
    /// The pool that the message's sender is of, as long as it is there.
    #[must_use]
    pub fn pool(&self) -> Option<PublicId> {
        self.sender_pool.as_deref()?.try_into().ok().map(PublicId::from_bytes)
    }
}

impl DueRow {
    /// The pool that is to choose its sender.
    #[must_use]
    pub fn pool(&self) -> Option<PublicId> {
        self.sender_pool.as_deref()?.try_into().ok().map(PublicId::from_bytes)
    }

    #[must_use]
    pub fn mark(&self) -> Mark {
        (self.scheduled_at, self.key)
    }

    #[must_use]
    pub fn expires_at(&self) -> At {
        submission::expiry(self.expires_at.map(At), At(self.created_at))
    }
}

impl Store {
    /// Scheduled messages due by `until`, in the order of their times, above `after`.
    pub async fn due(&self, until: At, after: Mark, limit: i64) -> Result<Vec<DueRow>, StoreError> {
        let sql = select_due!(
            "and waits_until <= $1 and waits_until >= $2
                and (waits_until > $3 or key > $4)
            order by waits_until, key limit $5"
        );
        let (time, key) = after;
        let query = sqlx::query_as(sql).bind(until.micros()).bind(time).bind(time).bind(key);
        Ok(query.bind(limit).fetch_all(self.engine()).await?)
    }

    /// The same, of one organization.
    pub async fn due_of(
        &self,
        organization: OrgId,
        until: At,
        after: Mark,
        limit: i64,
    ) -> Result<Vec<DueRow>, StoreError> {
        let sql = select_due!(
            "and organization_id = $1 and waits_until <= $2 and waits_until >= $3
                and (waits_until > $4 or key > $5)
            order by waits_until, key limit $6"
        );
        let (time, key) = after;
        let query = sqlx::query_as(sql).bind(organization.0).bind(until.micros());
        let query = query.bind(time).bind(time).bind(key).bind(limit);
        Ok(query.fetch_all(self.engine()).await?)
    }

    /// The first organization above `after` for which something is scheduled.
    pub async fn next_scheduling(&self, after: OrgId) -> Result<Option<OrgId>, StoreError> {
        let sql = "select organization_id from messages
            where waits_until is not null and organization_id > $1
            order by organization_id, waits_until, key limit 1";
        let row: Option<OrganizationRow> =
            sqlx::query_as(sql).bind(after.0).fetch_optional(self.engine()).await?;
        Ok(row.map(|row| OrgId(row.organization_id)))
    }

    /// What an earlier request with this key and body made, if one did since `since`.
    pub async fn repeated(
        &self,
        organization: OrgId,
        request: &Idempotency,
        since: At,
    ) -> Result<Option<PublicId>, StoreError> {
        let sql = "select reference, fingerprint from idempotency
            where organization_id = $1 and key = $2 and route = $3 and created_at >= $4";
        let query = sqlx::query_as(sql).bind(organization.0).bind(request.key.clone());
        let query = query.bind(request.route).bind(since.micros());
        let row: Option<ReferenceRow> = query.fetch_optional(self.engine()).await?;
        let same = row.filter(|row| row.fingerprint == request.fingerprint);
        Ok(same.and_then(|row| row.reference.try_into().ok()).map(PublicId::from_bytes))
    }

    /// One outbound message, to be changed or repeated.
    pub async fn changeable(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<ChangeRow>, StoreError> {
        let sql = "select key, id, direction, status, category, encoding, test_mode, created_at,
                to_addr, from_addr, body, metadata, webhook_url, template_id, scheduled_at,
                validity_s, redacted_at, coalesce(edits, 0) as edits, smpp_account_id, submitted,
                (select public_id from sender_pools p where p.id = sender_pool_id) as sender_pool
            from messages where organization_id = $1 and id = $2";
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// The messages of a batch above `after`, in the order they were given.
    pub async fn batch_keys(
        &self,
        organization: OrgId,
        batch: PublicId,
        after: MessageKey,
        limit: i64,
    ) -> Result<Vec<KeyedRow>, StoreError> {
        let sql = "select key, status, test_mode from messages
            where batch_id = $1 and organization_id = $2 and key > $3 order by key limit $4";
        let query = sqlx::query_as(sql).bind(batch.as_bytes().to_vec()).bind(organization.0);
        self.all_of(organization, query.bind(after.0).bind(limit)).await
    }
}
