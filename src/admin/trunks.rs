//! SIP trunks at the operator's desk: an organization's made, listed, shown, changed, taken away; and
//! those of the settings file, which are shown alone.

use actors::sip::trunks::Running;
use model::carrier::OrgId;
use model::id::{Kind, PublicId};
use model::refusal::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::TrunkListedRow;

use super::desk::{Desk, PAGE, away};
use super::smpp::told;
use crate::api::{TRUNK_FIELDS, TrunkOut, TrunkRegistrationOut, read_trunk, said_of_trunk};
use crate::trunks::{TrunkBook, unknown};

/// What is asked of an organization's trunks. They are named by `trk_…` or by their name.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum TrunkRequest {
    /// Fields as the API takes them.
    Add {
        name: String,
        fields: Map<String, Value>,
    },
    List,
    Show {
        trunk: String,
    },
    /// Changes what is given.
    Set {
        trunk: String,
        fields: Map<String, Value>,
    },
    Remove {
        trunk: String,
    },
}

pub(super) async fn answer(
    desk: &Desk,
    organization_id: Option<&str>,
    request: TrunkRequest,
) -> Result<Value, Refusal> {
    let book = desk.trunks()?;
    let Some(organization_id) = organization_id else { return of_settings(book, &request) };
    let organization = desk.organization(organization_id).await?;
    match request {
        TrunkRequest::Add { name, mut fields } => {
            fields.insert(String::from("name"), json!(name));
            let asked = read(book, &fields)?;
            value(book, &book.create(organization, asked).await?)
        }
        TrunkRequest::List => {
            let rows = desk.store.own_trunks(organization, i64::MAX, PAGE).await;
            rows.map_err(away)?.iter().map(|row| value(book, row)).collect()
        }
        TrunkRequest::Show { trunk } => value(book, &find(desk, organization, &trunk).await?),
        TrunkRequest::Set { trunk, fields } => {
            let row = find(desk, organization, &trunk).await?;
            let mut all = said_of_trunk(&row);
            all.extend(fields);
            value(book, &book.replace(&row, read(book, &all)?).await?)
        }
        TrunkRequest::Remove { trunk } => {
            let row = find(desk, organization, &trunk).await?;
            book.delete(&row).await?;
            Ok(json!({ "name": row.name, "removed": true }))
        }
    }
}

/// The operator's own.
fn of_settings(book: &TrunkBook, request: &TrunkRequest) -> Result<Value, Refusal> {
    let shown = |running: &Running| {
        let (trunk, live) = (&running.trunk, &running.live);
        json!({
            "name": &*trunk.name,
            "target": trunk.target.as_ref().map(ToString::to_string),
            "prefixes": trunk.prefixes,
            "priority": trunk.priority,
            "weight": trunk.weight,
            "channels_in_use": live.calls(),
            "max_channels": trunk.max_channels,
            "health": live.health().as_str(),
            "last_error": Some(live.last_error()).filter(|error| !error.is_empty()),
            "registration": TrunkRegistrationOut::of(running),
        })
    };
    let all = book.trunks().of(None);
    match request {
        TrunkRequest::List => Ok(all.iter().map(|running| shown(running)).collect()),
        TrunkRequest::Show { trunk } => {
            let found = all.iter().find(|running| *running.trunk.name == **trunk);
            found.map(|running| shown(running)).ok_or_else(unknown)
        }
        TrunkRequest::Add { .. } | TrunkRequest::Set { .. } | TrunkRequest::Remove { .. } => {
            let message = "the operator's trunks stand in the settings file, [[egress.trunks]]";
            Err(Refusal::new(Code::ManagedBySettings, message))
        }
    }
}

fn read(
    book: &TrunkBook,
    fields: &Map<String, Value>,
) -> Result<crate::trunks::AskedTrunk, Refusal> {
    let known = |name: &String| TRUNK_FIELDS.iter().any(|field| field.name == *name);
    if let Some(unknown) = fields.keys().find(|name| !known(name)) {
        let names: Vec<_> = TRUNK_FIELDS.iter().map(|field| field.name).collect();
        let message = format!("a trunk has no field {unknown}; it has {}", names.join(", "));
        return Err(Refusal::new(Code::ValidationError, message));
    }
    read_trunk(fields, |target| book.may_lead_to(target)).map_err(told)
}

async fn find(desk: &Desk, organization: OrgId, trunk: &str) -> Result<TrunkListedRow, Refusal> {
    if let Some(id) = PublicId::parse(Kind::Trunk, trunk) {
        return desk.store.own_trunk(organization, id).await.map_err(away)?.ok_or_else(unknown);
    }
    let rows = desk.store.own_trunks(organization, i64::MAX, PAGE).await.map_err(away)?;
    rows.into_iter().find(|row| row.name == trunk).ok_or_else(unknown)
}

fn value(book: &TrunkBook, row: &TrunkListedRow) -> Result<Value, Refusal> {
    let shown = serde_json::to_value(TrunkOut::of(book.trunks(), row));
    shown.map_err(|_| Refusal::new(Code::InternalError, "the trunk cannot be shown"))
}
