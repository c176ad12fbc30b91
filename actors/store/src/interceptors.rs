//! Organizations' interceptors, as read. Table: interceptors.

use model::carrier::OrgId;
use model::id::PublicId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A rule of an organization.
    pub struct InterceptorRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: i64,
        pub position: i64,
        /// JSON.
        pub rule: String,
        pub created_at: i64,
        pub updated_at: i64,
    }
}

/// The columns of [`InterceptorRow`].
macro_rules! select_interceptors {
    ($rest:literal) => {
        concat!(
            "select id, public_id, organization_id, position, rule, created_at, updated_at
            from interceptors ",
            $rest
        )
    };
}

impl Store {
    /// Every organization's, in pages by number.
    pub async fn all_interceptors(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<InterceptorRow>, StoreError> {
        let sql = select_interceptors!("where id > $1 order by id limit $2");
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// An organization's, in the order in which they are asked.
    pub async fn interceptors(
        &self,
        organization: OrgId,
        limit: i64,
    ) -> Result<Vec<InterceptorRow>, StoreError> {
        let sql = select_interceptors!("where organization_id = $1 order by position, id limit $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn interceptor(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<InterceptorRow>, StoreError> {
        let sql = select_interceptors!("where organization_id = $1 and public_id = $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }
}
