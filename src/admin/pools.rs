//! Sender pools of an organization at the operator's desk: made, listed, shown, changed, taken away.
//! A change holds for the next message.

use model::carrier::OrgId;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::refusal::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::PoolRow;
use store::lane::{NewPool, PoolChange};

use super::desk::{Desk, away};
use super::smpp::told;
use crate::api::{POOL_FIELDS, PoolOut, read_pool, stored_pool};
use crate::pools::unknown;

/// What is asked of an organization's pools. They are named by `spl_…` or by their name.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum PoolRequest {
    /// Fields as the API takes them.
    Add {
        name: String,
        fields: Map<String, Value>,
    },
    List,
    Show {
        pool: String,
    },
    Set {
        pool: String,
        fields: Map<String, Value>,
    },
    Remove {
        pool: String,
    },
}

pub(super) async fn answer(
    desk: &Desk,
    organization_id: &str,
    request: PoolRequest,
) -> Result<Value, Refusal> {
    let organization = desk.organization(organization_id).await?;
    match request {
        PoolRequest::Add { name, mut fields } => {
            fields.insert(String::from("name"), json!(name));
            let pool = read(desk, organization, &fields, None)?;
            let id = PublicId::new(At::now());
            desk.pools.change(PoolChange::Create { organization, id, pool }).await?;
            show(desk, organization, &id.show(Kind::SenderPool)).await
        }
        PoolRequest::List => {
            let rows = desk.pools.rows(organization).await.map_err(away)?;
            let uses = desk.pools.uses(organization, At::now()).await.map_err(away)?;
            rows.iter().map(|row| shown(&PoolOut::of(row, &uses))).collect()
        }
        PoolRequest::Show { pool } => show(desk, organization, &pool).await,
        PoolRequest::Set { pool, fields } => {
            let row = find(desk, organization, &pool).await?;
            let changed = read(desk, organization, &fields, Some(stored_pool(&row)))?;
            let (id, seen) = (id_of(&row), At(row.updated_at));
            let change = PoolChange::Update { organization, id, seen, pool: changed };
            desk.pools.change(change).await?;
            show(desk, organization, &id.show(Kind::SenderPool)).await
        }
        PoolRequest::Remove { pool } => {
            let id = id_of(&find(desk, organization, &pool).await?);
            desk.pools.change(PoolChange::Delete { organization, id }).await?;
            Ok(json!({ "id": id.show(Kind::SenderPool), "removed": true }))
        }
    }
}

fn read(
    desk: &Desk,
    organization: OrgId,
    fields: &Map<String, Value>,
    before: Option<NewPool>,
) -> Result<NewPool, Refusal> {
    let known = |name: &String| POOL_FIELDS.iter().any(|field| field.name == *name);
    if let Some(unknown) = fields.keys().find(|name| !known(name)) {
        let names: Vec<_> = POOL_FIELDS.iter().map(|field| field.name).collect();
        let message = format!("a pool has no field {unknown}; it has {}", names.join(", "));
        return Err(Refusal::new(Code::ValidationError, message));
    }
    let names = fields.get("carrier_ids").and_then(Value::as_array);
    if desk.router.is_none() && names.is_some_and(|names| !names.is_empty()) {
        let text = "only a running switch knows its carriers; start it, and ask again";
        return Err(Refusal::new(Code::ServiceUnavailable, text));
    }
    read_pool(fields, before, |name| desk.pools.knows(organization, name)).map_err(told)
}

async fn find(desk: &Desk, organization: OrgId, pool: &str) -> Result<PoolRow, Refusal> {
    let id = PublicId::parse(Kind::SenderPool, pool);
    let rows = desk.pools.rows(organization).await.map_err(away)?;
    let mut rows = rows.into_iter();
    let found = match id {
        Some(id) => rows.find(|row| row.public_id == id.as_bytes()),
        None => rows.find(|row| row.name == pool),
    };
    found.ok_or_else(unknown)
}

async fn show(desk: &Desk, organization: OrgId, pool: &str) -> Result<Value, Refusal> {
    let row = find(desk, organization, pool).await?;
    let uses = desk.pools.uses(organization, At::now()).await.map_err(away)?;
    shown(&PoolOut::of(&row, &uses))
}

fn shown(pool: &PoolOut) -> Result<Value, Refusal> {
    let shown = serde_json::to_value(pool);
    shown.map_err(|_| Refusal::new(Code::InternalError, "the pool cannot be shown"))
}

fn id_of(row: &PoolRow) -> PublicId {
    PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default())
}
