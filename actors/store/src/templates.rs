//! Templates, as read. Table: templates.

use model::carrier::OrgId;
use model::id::PublicId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A text with variables, kept by name.
    pub struct TemplateRow {
        pub key: i64,
        pub id: Vec<u8>,
        pub channel: String,
        pub name: String,
        pub language: String,
        pub body: String,
        pub components: Option<String>,
        pub status: i64,
        pub created_at: i64,
        pub updated_at: i64,
    }
}

/// What a list of templates is narrowed to. Each is optional.
#[derive(Clone, Debug, Default)]
pub struct TemplateFilter {
    pub channel: Option<String>,
    pub name: Option<String>,
    pub status: Option<i64>,
}

impl Store {
    pub async fn template(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<TemplateRow>, StoreError> {
        let sql = "select key, id, channel, name, language, body, components, status, created_at,
                updated_at
            from templates where organization_id = $1 and id = $2";
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// Newest first, below `before`. A null filter takes all.
    pub async fn templates(
        &self,
        organization: OrgId,
        filter: &TemplateFilter,
        before: i64,
        limit: i64,
    ) -> Result<Vec<TemplateRow>, StoreError> {
        let sql = "select key, id, channel, name, language, body, components, status, created_at,
                updated_at
            from templates
            where organization_id = $1 and key < $2
                and ($3 is null or channel = $4)
                and ($5 is null or name = $6)
                and ($7 is null or status = $8)
            order by key desc limit $9";
        let flag = |given: bool| given.then_some(1_i64);
        let query = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(before)
            .bind(flag(filter.channel.is_some()))
            .bind(filter.channel.clone().unwrap_or_default())
            .bind(flag(filter.name.is_some()))
            .bind(filter.name.clone().unwrap_or_default())
            .bind(flag(filter.status.is_some()))
            .bind(filter.status.unwrap_or(0))
            .bind(limit);
        self.all_of(organization, query).await
    }
}
