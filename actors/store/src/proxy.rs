//! Masking sessions, as read. Table: proxy_sessions.

use model::carrier::OrgId;
use model::id::PublicId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A session.
    pub struct ProxySessionRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: i64,
        pub proxy_number: String,
        pub party_a: String,
        pub party_b: String,
        pub channels: i64,
        pub status: i64,
        pub interactions: i64,
        pub expires_at: i64,
        pub created_at: i64,
        pub ended_at: Option<i64>,
    }
}

/// The columns of [`ProxySessionRow`].
macro_rules! select_sessions {
    ($rest:literal) => {
        concat!(
            "select s.id, s.public_id, s.organization_id, s.proxy_number, s.party_a, s.party_b,
                s.channels, s.status, s.interactions, s.expires_at, s.created_at, s.ended_at
            from proxy_sessions s ",
            $rest
        )
    };
}

impl Store {
    /// An organization's, newest first; of one status, or of any where it is 0. Those whose time is
    /// over at `now` count as expired, whether they were ended yet or not.
    pub async fn proxy_sessions(
        &self,
        organization: OrgId,
        (status, now): (i64, i64),
        before: i64,
        limit: i64,
    ) -> Result<Vec<ProxySessionRow>, StoreError> {
        let sql = select_sessions!(
            "where s.organization_id = $1 and s.id < $2 and ($3 = 0 or $4 =
                case when s.status = 1 and s.expires_at <= $5 then 3 else s.status end)
            order by s.id desc limit $6"
        );
        let query = sqlx::query_as(sql).bind(organization.0).bind(before).bind(status);
        self.all_of(organization, query.bind(status).bind(now).bind(limit)).await
    }

    pub async fn proxy_session(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<ProxySessionRow>, StoreError> {
        let sql = select_sessions!("where s.organization_id = $1 and s.public_id = $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// Sessions that are open at `now`, in pages by number of row: for the switch that starts.
    pub async fn open_proxy_sessions(
        &self,
        now: i64,
        after: i64,
        limit: i64,
    ) -> Result<Vec<ProxySessionRow>, StoreError> {
        let sql = select_sessions!(
            "where s.id > $1 and s.status = 1 and s.expires_at > $2 order by s.id limit $3"
        );
        let query = sqlx::query_as(sql).bind(after).bind(now).bind(limit);
        Ok(query.fetch_all(self.engine()).await?)
    }
}
