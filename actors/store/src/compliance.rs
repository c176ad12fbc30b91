//! Who may be sent what, as read. Tables: suppression_list, consent_records, channel_preferences,
//! keyword_sets, keyword_replies, suppression_imports.

use model::carrier::OrgId;
use model::consent::Scope;
use model::id::PublicId;
use model::keyword::{Action, WordSet};

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// An entry of the suppression list.
    pub struct SuppressionRow {
        pub seq: i64,
        pub id: Vec<u8>,
        pub address: String,
        pub scope: i64,
        pub origin: i64,
        pub reason: String,
        pub source: String,
        pub created_at: i64,
    }
}

row! {
    /// Where a person stands with a channel.
    pub struct PreferenceRow {
        pub channel: i64,
        pub state: i64,
        pub source: String,
        pub updated_at: i64,
    }
}

row! {
    /// One statement of a person.
    pub struct ConsentRow {
        pub seq: i64,
        pub id: Vec<u8>,
        pub address: String,
        pub channel: i64,
        pub opt_in: i64,
        pub source: String,
        pub consent_type: String,
        pub lawful_basis: Option<String>,
        pub purpose: Option<String>,
        pub text_version: Option<String>,
        pub proof_url: Option<String>,
        pub metadata: Option<String>,
        pub keyword: Option<String>,
        pub message_id: Option<Vec<u8>>,
        pub at: i64,
    }
}

row! {
    /// An answer to a keyword that waits to be sent.
    pub struct DueReplyRow {
        pub message_key: i64,
        pub organization_id: i64,
        pub message_id: Vec<u8>,
        /// The person.
        pub address: String,
        /// The number the person wrote to.
        pub number: String,
        pub body: String,
        pub created_at: i64,
        /// The masking session that a text is sent on by; none of an answer.
        pub session: Option<Vec<u8>>,
        pub suspended_at: Option<i64>,
    }
}

row! {
    /// A list that came as a file.
    pub struct ImportRow {
        pub id: Vec<u8>,
        pub process: i64,
        pub status: i64,
        pub dry_run: i64,
        pub total: i64,
        pub processed: i64,
        pub added: i64,
        pub known: i64,
        pub rejected: i64,
        pub errors: String,
        pub created_at: i64,
        pub updated_at: i64,
        pub done_at: Option<i64>,
    }
}

row! {
    struct WordsRow {
        language: String,
        action: i64,
        words: String,
        reply: Option<String>,
        default_language: i64,
    }
}

impl Store {
    /// Newest first, below `before`. A null filter takes all.
    pub async fn suppressions(
        &self,
        organization: OrgId,
        address: Option<&str>,
        scope: Option<Scope>,
        before: i64,
        limit: i64,
    ) -> Result<Vec<SuppressionRow>, StoreError> {
        let sql = "select seq, id, address, scope, origin, reason, source, created_at
            from suppression_list
            where organization_id = $1 and seq < $2 and ($3 = 0 or address = $4)
                and ($5 = 0 or scope = $6)
            order by seq desc limit $7";
        let query = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(before)
            .bind(i64::from(address.is_some()))
            .bind(address.unwrap_or_default().to_owned())
            .bind(i64::from(scope.is_some()))
            .bind(scope.map_or(0, Scope::code))
            .bind(limit);
        self.all_of(organization, query).await
    }

    /// What keeps an address from messages, in any scope: one entry each.
    pub async fn suppressions_of(
        &self,
        organization: OrgId,
        address: &str,
    ) -> Result<Vec<SuppressionRow>, StoreError> {
        let sql = "select seq, id, address, scope, origin, reason, source, created_at
            from suppression_list where organization_id = $1 and address = $2 order by scope";
        let query = sqlx::query_as(sql).bind(organization.0).bind(address.to_owned());
        self.all_of(organization, query).await
    }

    /// Where a person stands, by channel of which something was ever said.
    pub async fn preferences(
        &self,
        organization: OrgId,
        address: &str,
    ) -> Result<Vec<PreferenceRow>, StoreError> {
        let sql = "select channel, state, source, updated_at from channel_preferences
            where organization_id = $1 and address = $2 order by channel";
        let query = sqlx::query_as(sql).bind(organization.0).bind(address.to_owned());
        self.all_of(organization, query).await
    }

    /// What a person said, newest first, below `before`.
    pub async fn consent_history(
        &self,
        organization: OrgId,
        address: &str,
        channel: Option<Scope>,
        before: i64,
        limit: i64,
    ) -> Result<Vec<ConsentRow>, StoreError> {
        let sql = "select c.seq, c.id, c.address, c.channel, c.opt_in, c.source, c.consent_type,
                c.lawful_basis, c.purpose, c.text_version, c.proof_url, c.metadata, c.keyword,
                m.id as message_id, c.at
            from consent_records c left join messages m on m.key = c.message_key
            where c.organization_id = $1 and c.address = $2 and c.seq < $3
                and ($4 = 0 or c.channel = $5)
            order by c.seq desc limit $6";
        let query = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(address.to_owned())
            .bind(before)
            .bind(i64::from(channel.is_some()))
            .bind(channel.map_or(0, Scope::code))
            .bind(limit);
        self.all_of(organization, query).await
    }

    /// An organization's own words and texts.
    pub async fn word_sets(&self, organization: OrgId) -> Result<Vec<WordSet>, StoreError> {
        let sql = "select language, action, words, reply, default_language from keyword_sets
            where organization_id = $1 order by language, action";
        let query = sqlx::query_as(sql).bind(organization.0);
        let rows: Vec<WordsRow> = self.all_of(organization, query).await?;
        let set = |row: WordsRow| {
            Some(WordSet {
                language: row.language,
                action: Action::from_code(row.action)?,
                words: serde_json::from_str(&row.words).unwrap_or_default(),
                reply: row.reply,
                default_language: row.default_language != 0,
            })
        };
        Ok(rows.into_iter().filter_map(set).collect())
    }

    /// Answers to keywords, and texts to send on, that are due, of all organizations, oldest first.
    pub async fn due_replies(&self, limit: i64) -> Result<Vec<DueReplyRow>, StoreError> {
        let sql = "select r.message_key, r.organization_id, r.message_id, r.address, r.number,
                r.body, r.created_at, r.session, o.suspended_at
            from keyword_replies r join organizations o on o.id = r.organization_id
            where r.state = 1 order by r.created_at, r.message_key limit $1";
        Ok(sqlx::query_as(sql).bind(limit).fetch_all(self.engine()).await?)
    }

    pub async fn suppression_import(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<ImportRow>, StoreError> {
        let sql = "select id, process, status, dry_run, total, processed, added, known, rejected,
                errors, created_at, updated_at, done_at
            from suppression_imports where id = $1 and organization_id = $2";
        let query = sqlx::query_as(sql).bind(id.as_bytes().to_vec()).bind(organization.0);
        self.one_of(organization, query).await
    }
}
