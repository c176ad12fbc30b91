//! SMPP accounts at the operator's desk: made, listed, shown, changed, taken away; and the pace of
//! an organization's accounts together. A change holds at once: the account's binds come again.

use model::api_key::Mode;
use model::carrier::OrgId;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::refusal::{Code, Refusal};
use serde_json::{Map, Value, json};
use store::lane::{Admin, AdminDone, SmppChange};
use store::{SmppAccountRow, Store};
use supervisors::root::RootMsg;

use super::desk::{Desk, away, id_text, invalid};
use crate::api::{ApiError, SmppAccountIn, SmppAccountOut, SmppAccountPatch};

/// Accounts read at once.
const PAGE: i64 = 200;
const TPS_MAX: i64 = 100_000;

/// An account as an operator asks for it.
pub(super) struct Asked {
    pub(super) organization_id: String,
    pub(super) system_id: String,
    pub(super) password: Option<String>,
    pub(super) mode: String,
    pub(super) fields: Map<String, Value>,
}

pub(super) async fn add(desk: &Desk, asked: Asked) -> Result<Value, Refusal> {
    let Asked { organization_id, system_id, password, mode, mut fields } = asked;
    let organization = desk.organization(&organization_id).await?;
    let mode = Mode::parse(&mode).ok_or_else(|| invalid("mode", "live or test"))?;
    fields.insert(String::from("system_id"), json!(system_id));
    fields.insert(String::from("password"), json!(password));
    let input = SmppAccountIn::read(&fields, mode == Mode::Test).map_err(told)?;
    let password = input.password.unwrap_or_else(crate::api::new_smpp_password);
    let id = PublicId::new(At::now());
    let settled = input.said.settled((organization, id), &desk.store, desk.book.as_ref());
    let settings = settled.await.map_err(told)?;
    let is_called = settings.outbind.is_some();
    let create = SmppChange::Create {
        id,
        organization,
        password_mac: desk.accounts.mac(&input.system_id, &password),
        system_id: input.system_id.clone(),
        settings,
    };
    if !changed(desk, create).await? {
        return Err(Refusal::new(Code::Conflict, "this system_id is taken").field("system_id"));
    }
    taken_up(desk, &input.system_id).await?;
    if is_called {
        leave(desk, &input.system_id);
    }
    Ok(json!({
        "organization_id": organization_id,
        "account_id": id.show(Kind::SmppAccount),
        "system_id": system_id,
        "password": password,
        "mode": mode.as_str(),
    }))
}

pub(super) async fn list(store: &Store) -> Result<Value, Refusal> {
    let rows = store.all_smpp_accounts(0, PAGE).await.map_err(away)?;
    let shown = rows.into_iter().map(|row| {
        json!({
            "account_id": id_text(&row.public_id, Kind::SmppAccount),
            "system_id": row.system_id,
            "name": row.name,
            "mode": if row.test_mode != 0 { "test" } else { "live" },
            "tps": row.tps,
            "status": if row.disabled_at.is_some() { "disabled" } else { "enabled" },
            "created_at": At(row.created_at).iso(),
        })
    });
    Ok(shown.collect())
}

pub(super) async fn show(desk: &Desk, system_id: &str) -> Result<Value, Refusal> {
    shown(desk, &find(desk, system_id).await?)
}

pub(super) async fn set(
    desk: &Desk,
    system_id: &str,
    fields: &Map<String, Value>,
) -> Result<Value, Refusal> {
    let known = SmppAccountPatch::FIELDS;
    if let Some(unknown) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        let message = format!("an account has no field {unknown}; it has {}", known.join(", "));
        return Err(Refusal::new(Code::ValidationError, message));
    }
    let row = find(desk, system_id).await?;
    let said = SmppAccountPatch::lay(fields, &row).map_err(told)?;
    let (id, organization) = (id_of(&row), OrgId(row.organization_id));
    let settled = said.settled((organization, id), &desk.store, desk.book.as_ref());
    let settings = settled.await.map_err(told)?;
    let seen = At(row.updated_at);
    if !changed(desk, SmppChange::Update { id, organization, seen, settings }).await? {
        return Err(Refusal::new(Code::Conflict, "somebody changed it meanwhile; try again"));
    }
    let row = taken_up(desk, system_id).await?;
    leave(desk, system_id);
    shown(desk, &row)
}

pub(super) async fn rotate(desk: &Desk, system_id: &str) -> Result<Value, Refusal> {
    let row = find(desk, system_id).await?;
    let password = crate::api::new_smpp_password();
    let password_mac = desk.accounts.mac(system_id, &password);
    let (id, organization) = (id_of(&row), OrgId(row.organization_id));
    changed(desk, SmppChange::SetPassword { id, organization, password_mac }).await?;
    taken_up(desk, system_id).await?;
    leave(desk, system_id);
    Ok(json!({ "system_id": system_id, "password": password }))
}

pub(super) async fn remove(desk: &Desk, system_id: &str) -> Result<Value, Refusal> {
    let row = find(desk, system_id).await?;
    let (id, organization) = (id_of(&row), OrgId(row.organization_id));
    if !changed(desk, SmppChange::Delete { id, organization }).await? {
        return Err(unknown());
    }
    desk.accounts.remove(row.id);
    leave(desk, system_id);
    Ok(json!({ "system_id": system_id, "removed": true }))
}

/// Sets the pace of all accounts of an organization that have none of their own.
pub(super) async fn limit(desk: &Desk, organization_id: &str, tps: i64) -> Result<Value, Refusal> {
    if !(0..=TPS_MAX).contains(&tps) {
        return Err(invalid("smpp_tps", "0 to 100000"));
    }
    let organization = desk.organization(organization_id).await?;
    changed(desk, SmppChange::SetPace { organization, tps }).await?;
    desk.accounts.set_common_pace(organization, tps);
    Ok(json!({ "organization_id": organization_id, "smpp_tps": tps }))
}

async fn find(desk: &Desk, system_id: &str) -> Result<SmppAccountRow, Refusal> {
    let row = desk.store.smpp_account_named(system_id).await.map_err(away)?;
    row.ok_or_else(unknown)
}

fn unknown() -> Refusal {
    Refusal::new(Code::NotFound, "no SMPP account has this system_id")
}

async fn changed(desk: &Desk, change: SmppChange) -> Result<bool, Refusal> {
    let done = desk.writer.administer(Admin::Smpp(Box::new(change))).await?;
    Ok(done == AdminDone::Smpp(true))
}

async fn taken_up(desk: &Desk, system_id: &str) -> Result<SmppAccountRow, Refusal> {
    let row = find(desk, system_id).await?;
    desk.accounts.put(&row);
    Ok(row)
}

/// Its binds come again, under what the account is now.
fn leave(desk: &Desk, system_id: &str) {
    if let Some(root) = &desk.root {
        let _ = root.send_message(RootMsg::AccountChanged { system_id: system_id.to_owned() });
    }
}

fn shown(desk: &Desk, row: &SmppAccountRow) -> Result<Value, Refusal> {
    let shown = serde_json::to_value(SmppAccountOut::of(&desk.accounts, row));
    shown.map_err(|_| Refusal::new(Code::InternalError, "the account cannot be shown"))
}

fn id_of(row: &SmppAccountRow) -> PublicId {
    PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default())
}

/// What the API says of a field, as the desk says it.
pub(super) fn told(error: ApiError) -> Refusal {
    let said = error.faults.first().map(|fault| {
        let field = fault.field.as_deref().unwrap_or("it");
        let expected = fault.expected.as_deref().unwrap_or("something else");
        format!("{field} must be {expected}")
    });
    Refusal::new(error.code, said.unwrap_or_else(|| error.message.into_owned()))
}
