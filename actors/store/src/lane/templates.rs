//! Templates, as they are changed. Rare, so one statement a row. Table: templates.
//!
//! A name that is taken is an answer and not an error: it is looked up before it is written, since
//! a statement that fails would take the whole batch with it.

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::template::TemplateStatus;

use super::Lane;
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// A template as it is to be.
#[derive(Clone, Debug)]
pub struct TemplateText {
    pub channel: String,
    pub name: String,
    pub language: String,
    pub body: String,
    /// JSON as text, kept for channels that have more than a text.
    pub components: Option<String>,
    pub status: TemplateStatus,
}

/// What is to change of a template; the rest stays.
#[derive(Clone, Debug, Default)]
pub struct TemplatePatch {
    pub name: Option<String>,
    pub language: Option<String>,
    pub body: Option<String>,
    pub components: Option<String>,
    pub status: Option<TemplateStatus>,
}

/// A change of one organization's templates.
#[derive(Clone, Debug)]
pub enum TemplateChange {
    Create { id: PublicId, text: TemplateText },
    Update { id: PublicId, patch: TemplatePatch },
    Delete { id: PublicId },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateDone {
    Stored,
    /// Another one of this channel has the name.
    NameTaken,
    /// There is no such template.
    Unknown,
}

impl Lane {
    pub(super) async fn template(
        &mut self,
        organization: OrgId,
        change: &TemplateChange,
        now: At,
    ) -> Result<TemplateDone, StoreError> {
        match change {
            TemplateChange::Create { id, text } => {
                if self.holder(organization, &text.channel, &text.name).await?.is_some() {
                    return Ok(TemplateDone::NameTaken);
                }
                self.insert_template(organization, *id, text, now).await?;
                Ok(TemplateDone::Stored)
            }
            TemplateChange::Update { id, patch } => {
                self.update_template(organization, *id, patch, now).await
            }
            TemplateChange::Delete { id } => {
                let columns =
                    [Column::Int(vec![organization.0]), Column::Blob(vec![id.as_bytes()])];
                let gone = self.conn.run(&DELETE_TEMPLATE, &columns).await?;
                Ok(if gone > 0 { TemplateDone::Stored } else { TemplateDone::Unknown })
            }
        }
    }

    /// The template that has a name.
    async fn holder(
        &mut self,
        organization: OrgId,
        channel: &str,
        name: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let columns = [
            Column::Int(vec![organization.0]),
            Column::Text(vec![channel]),
            Column::Text(vec![name]),
        ];
        let holders = self.conn.fetch(&SELECT_NAMED, &columns).await?;
        holders.first().map(|holder| holder.blob(0)).transpose()
    }

    async fn insert_template(
        &mut self,
        organization: OrgId,
        id: PublicId,
        text: &TemplateText,
        now: At,
    ) -> Result<(), StoreError> {
        let key = self.number();
        let columns = [
            Column::Int(vec![key]),
            Column::Blob(vec![id.as_bytes()]),
            Column::Int(vec![organization.0]),
            Column::Text(vec![&text.channel]),
            Column::Text(vec![&text.name]),
            Column::Text(vec![&text.language]),
            Column::Text(vec![&text.body]),
            Column::MaybeText(vec![text.components.as_deref()]),
            Column::Int(vec![text.status.code()]),
            Column::Int(vec![now.micros()]),
        ];
        self.conn.run(&INSERT_TEMPLATE, &columns).await?;
        Ok(())
    }

    async fn update_template(
        &mut self,
        organization: OrgId,
        id: PublicId,
        patch: &TemplatePatch,
        now: At,
    ) -> Result<TemplateDone, StoreError> {
        let own = [Column::Int(vec![organization.0]), Column::Blob(vec![id.as_bytes()])];
        let found = self.conn.fetch(&SELECT_CHANNEL, &own).await?;
        let Some(line) = found.first() else {
            return Ok(TemplateDone::Unknown);
        };
        if let Some(name) = &patch.name {
            let holder = self.holder(organization, &line.text(0)?, name).await?;
            if holder.is_some_and(|holder| holder != id.as_bytes()) {
                return Ok(TemplateDone::NameTaken);
            }
        }
        let columns = [
            Column::Int(vec![organization.0]),
            Column::Blob(vec![id.as_bytes()]),
            Column::MaybeText(vec![patch.name.as_deref()]),
            Column::MaybeText(vec![patch.language.as_deref()]),
            Column::MaybeText(vec![patch.body.as_deref()]),
            Column::MaybeText(vec![patch.components.as_deref()]),
            Column::MaybeInt(vec![patch.status.map(TemplateStatus::code)]),
            Column::Int(vec![now.micros()]),
        ];
        self.conn.run(&UPDATE_TEMPLATE, &columns).await?;
        Ok(TemplateDone::Stored)
    }
}

static SELECT_CHANNEL: Bulk = Bulk {
    sqlite: "select channel from templates where organization_id = ?1 and id = ?2",
    postgres: "select t.channel from unnest($1::bigint[], $2::bytea[]) v (o, i)
         join templates t on t.organization_id = v.o and t.id = v.i",
};

static SELECT_NAMED: Bulk = Bulk {
    sqlite: "select id from templates where organization_id = ?1 and channel = ?2 and name = ?3",
    postgres: "select t.id from unnest($1::bigint[], $2::text[], $3::text[]) v (o, c, n)
         join templates t on t.organization_id = v.o and t.channel = v.c and t.name = v.n",
};

static INSERT_TEMPLATE: Bulk = Bulk {
    sqlite: "insert into templates (key, id, organization_id, channel, name, language, body,
            components, status, created_at, updated_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)",
    postgres: "insert into templates (key, id, organization_id, channel, name, language, body,
            components, status, created_at, updated_at)
         select v.k, v.i, v.o, v.c, v.n, v.l, v.b, v.m, v.s, v.a, v.a
         from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[], $5::text[], $6::text[],
            $7::text[], $8::text[], $9::bigint[], $10::bigint[])
            v (k, i, o, c, n, l, b, m, s, a)",
};

static UPDATE_TEMPLATE: Bulk = Bulk {
    sqlite: "update templates set name = coalesce(?3, name), language = coalesce(?4, language),
            body = coalesce(?5, body), components = coalesce(?6, components),
            status = coalesce(?7, status), updated_at = ?8
         where organization_id = ?1 and id = ?2",
    postgres: "update templates t set name = coalesce(v.n, t.name),
            language = coalesce(v.l, t.language), body = coalesce(v.b, t.body),
            components = coalesce(v.m, t.components), status = coalesce(v.s, t.status),
            updated_at = v.a
         from unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[],
            $7::bigint[], $8::bigint[]) v (o, i, n, l, b, m, s, a)
         where t.organization_id = v.o and t.id = v.i",
};

static DELETE_TEMPLATE: Bulk = Bulk {
    sqlite: "delete from templates where organization_id = ?1 and id = ?2",
    postgres: "delete from templates where (organization_id, id) in
         (select * from unnest($1::bigint[], $2::bytea[]))",
};
