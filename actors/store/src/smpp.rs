//! Customers' SMPP accounts as read, and the events they are owed. Tables: smpp_accounts, events,
//! messages.

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;

use crate::error::StoreError;
use crate::lane::inbound::REPLY_WINDOW_US;
use crate::open::above;
use crate::schedules::ChangeRow;
use crate::{Store, row};

row! {
    /// An account.
    pub struct SmppAccountRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: i64,
        pub system_id: String,
        pub password_mac: Vec<u8>,
        pub name: String,
        pub allowed_ips: String,
        pub bind_types: i64,
        pub max_binds: i64,
        pub tps: i64,
        pub window_size: i64,
        pub test_mode: i64,
        pub category: i64,
        pub default_sender: Option<String>,
        /// The public id of a pool, which may be gone.
        pub default_sender_pool: Option<Vec<u8>>,
        pub allowed_senders: String,
        pub receipt_format: i64,
        pub id_format: i64,
        pub inbound_numbers: String,
        pub once_by_reference: i64,
        pub congestion_state: i64,
        pub intermediate_receipts: i64,
        pub outbind: Option<String>,
        pub outbind_password: Option<Vec<u8>>,
        pub cursor: i64,
        pub created_at: i64,
        pub updated_at: i64,
        pub disabled_at: Option<i64>,
        pub suspended_at: Option<i64>,
        pub is_sandbox: i64,
        /// The organization's pace, for an account that has none of its own.
        pub organization_tps: i64,
    }
}

impl SmppAccountRow {
    /// The pool that chooses a sender for what comes without one.
    #[must_use]
    pub fn default_sender_pool(&self) -> Option<PublicId> {
        self.default_sender_pool.as_deref()?.try_into().ok().map(PublicId::from_bytes)
    }
}

row! {
    /// An event that may be owed to an account: the end of a message it submitted, or an inbound
    /// message of its organization.
    pub struct OwedRow {
        pub seq: i64,
        pub at: i64,
        pub kind: i64,
        pub status: i64,
        pub message_key: i64,
        pub created_at: i64,
        pub to_addr: String,
        pub from_addr: String,
        pub body: String,
        pub encoding: i64,
        pub error_code: Option<String>,
        pub carrier_error: Option<String>,
        pub smpp_account_id: Option<i64>,
        pub submitted: Option<Vec<u8>>,
    }
}

row! {
    /// A message of an account that no carrier was handed yet, or that one has just begun on.
    pub struct SubmittedRow {
        pub key: i64,
        pub submitted: Option<Vec<u8>>,
    }
}

row! {
    /// Where a message that an account asks about stands.
    pub struct AskedRow {
        pub key: i64,
        pub id: Vec<u8>,
        pub status: i64,
        pub done_at: Option<i64>,
        pub from_addr: String,
        pub to_addr: String,
        pub error_code: Option<String>,
    }
}

row! {
    struct Number {
        n: i64,
    }
}

/// The columns of [`SmppAccountRow`].
macro_rules! select_accounts {
    ($rest:literal) => {
        concat!(
            "select a.id, a.public_id, a.organization_id, a.system_id, a.password_mac, a.name,
                a.allowed_ips, a.bind_types, a.max_binds, a.tps, a.window_size, a.test_mode,
                a.category, a.default_sender, a.default_sender_pool, a.allowed_senders,
                a.receipt_format, a.id_format, a.inbound_numbers, a.once_by_reference, a.congestion_state,
                a.intermediate_receipts, a.outbind, a.outbind_password, a.cursor, a.created_at,
                a.updated_at, a.disabled_at, o.suspended_at, o.is_sandbox,
                o.smpp_tps as organization_tps
            from smpp_accounts a join organizations o on o.id = a.organization_id ",
            $rest
        )
    };
}

/// The columns of [`OwedRow`], with one more condition.
macro_rules! select_owed {
    ($and:literal) => {
        concat!(
            "select e.seq, e.at, e.kind, e.status, e.message_key, m.created_at, m.to_addr,
                m.from_addr, m.body, m.encoding, m.error_code, m.carrier_error,
                m.smpp_account_id, m.submitted
            from runs r cross join events e cross join messages m
            where r.organization_id = $1 and r.kind = 2 and r.high >= $2
                and e.seq >= (case when r.low > $2 then r.low else $2 end) and e.seq <= r.high
                and m.key = e.message_key and (m.smpp_account_id = $3 or e.kind = 8) ",
            $and,
            " order by r.high, e.seq limit $4"
        )
    };
}

impl Store {
    /// Every account, in pages by number.
    pub async fn all_smpp_accounts(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<SmppAccountRow>, StoreError> {
        let sql = select_accounts!("where a.id > $1 order by a.id limit $2");
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// The accounts of an organization, newest first.
    pub async fn smpp_accounts(
        &self,
        organization: OrgId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<SmppAccountRow>, StoreError> {
        let sql = select_accounts!(
            "where a.organization_id = $1 and a.id < $2 order by a.id desc limit $3"
        );
        let query = sqlx::query_as(sql).bind(organization.0).bind(before).bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn smpp_account(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<SmppAccountRow>, StoreError> {
        let sql = select_accounts!("where a.organization_id = $1 and a.public_id = $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// Whether a name is taken, by whomever.
    pub async fn smpp_account_named(
        &self,
        system_id: &str,
    ) -> Result<Option<SmppAccountRow>, StoreError> {
        let sql = select_accounts!("where a.system_id = $1");
        Ok(sqlx::query_as(sql).bind(system_id).fetch_optional(self.engine()).await?)
    }

    /// What an account may be owed above `after`, oldest first: kinds 6, 7 and 10 are ends of its
    /// messages, 8 is an inbound message; with `steps` also 2 and 4, what happens on the way to
    /// those whose registered_delivery asks for it (bit 0x10).
    pub async fn owed(
        &self,
        account: i64,
        organization: OrgId,
        after: i64,
        steps: bool,
        limit: i64,
    ) -> Result<Vec<OwedRow>, StoreError> {
        let sql = if steps {
            select_owed!(
                "and (e.kind in (6, 7, 8, 10) or e.kind in (2, 4)
                        and substr(m.submitted, 1, 1) >= $5 and substr(m.submitted, 1, 1) < $6)"
            )
        } else {
            select_owed!("and e.kind in (6, 7, 8, 10)")
        };
        let query =
            sqlx::query_as(sql).bind(organization.0).bind(above(after)).bind(account).bind(limit);
        let query = if steps { query.bind(vec![0x10_u8]).bind(vec![0x20_u8]) } else { query };
        self.all_by_runs(organization, query).await
    }

    /// A message that an account submitted, by its number.
    pub async fn asked(&self, account: i64, key: i64) -> Result<Option<AskedRow>, StoreError> {
        let sql = "select key, id, status, done_at, from_addr, to_addr, error_code from messages
            where key = $1 and smpp_account_id = $2";
        Ok(sqlx::query_as(sql).bind(key).bind(account).fetch_optional(self.engine()).await?)
    }

    /// The same with all that a change of it needs.
    pub async fn asked_to_change(
        &self,
        account: i64,
        key: i64,
    ) -> Result<Option<ChangeRow>, StoreError> {
        let sql = "select key, id, direction, status, category, encoding, test_mode, created_at,
                to_addr, from_addr, body, metadata, webhook_url, template_id, scheduled_at,
                validity_s, redacted_at, coalesce(edits, 0) as edits, smpp_account_id, submitted,
                (select public_id from sender_pools p where p.id = sender_pool_id) as sender_pool
            from messages where key = $1 and smpp_account_id = $2";
        Ok(sqlx::query_as(sql).bind(key).bind(account).fetch_optional(self.engine()).await?)
    }

    /// What an account has waiting from one address to another, scheduled or for its carrier:
    /// looks at no more than `looked` of either kind, and gives at most `limit`, with keys above
    /// `after`.
    pub async fn waiting_between(
        &self,
        (account, organization): (i64, OrgId),
        (from, to): (&str, &str),
        after: i64,
        looked: i64,
        limit: i64,
    ) -> Result<Vec<SubmittedRow>, StoreError> {
        // The keys of the outbox lead, each found by its index; so does the schedule.
        let sql = "select m.key, m.submitted from messages m join (
                select key from (select o.key from carriers c
                    cross join (select 0 as l union all select 1 as l) x
                    join outbox o on o.carrier_id = c.id and o.class = x.l
                        and o.organization_id = $1 and o.intent is null limit $2) q
                union all
                select key from (select s.key from messages s
                    where s.waits_until is not null and s.organization_id = $3 limit $4) t) w on w.key = m.key
            where m.smpp_account_id = $5 and m.from_addr = $6 and m.to_addr = $7
                and m.status in (1, 13) and m.key > $8
            order by m.key limit $9";
        Ok(sqlx::query_as(sql)
            .bind(organization.0)
            .bind(looked)
            .bind(organization.0)
            .bind(looked)
            .bind(account)
            .bind(from)
            .bind(to)
            .bind(after)
            .bind(limit)
            .fetch_all(self.engine())
            .await?)
    }

    /// Who wrote last from one number to a person, within the time of a reply: whose an alert about
    /// that person is, as an inbound message would be.
    pub async fn last_writer(
        &self,
        (from, to): (&str, &str),
        now: At,
    ) -> Result<Option<OrgId>, StoreError> {
        let sql = "select organization_id as n from messages
            where to_addr = $1 and from_addr = $2 and direction = 1 and from_ton <> 5
                and created_at > $3 order by key desc limit 1";
        let query = sqlx::query_as(sql).bind(to.to_owned()).bind(from.to_owned());
        let found: Option<Number> =
            query.bind(now.micros() - REPLY_WINDOW_US).fetch_optional(self.engine()).await?;
        Ok(found.map(|found| OrgId(found.n)))
    }

    /// The number of a message by its id.
    pub async fn message_number(&self, id: PublicId) -> Result<Option<i64>, StoreError> {
        let sql = "select key as n from messages where id = $1";
        let id = id.as_bytes().to_vec();
        let found: Option<Number> =
            sqlx::query_as(sql).bind(id).fetch_optional(self.engine()).await?;
        Ok(found.map(|found| found.n))
    }
}
