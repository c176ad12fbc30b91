//! SMPP accounts at the operator's desk: made with what is usual, and listed.

use model::api_key::Mode;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::refusal::{Code, Refusal};
use serde_json::{Value, json};
use store::Store;
use store::lane::{Admin, AdminDone, SmppChange};

use super::desk::{Desk, away, id_text, invalid};
use crate::api::smpp_defaults;

/// Accounts of a list.
const PAGE: i64 = 200;

/// An account as an operator asks for it.
pub(super) struct Asked {
    pub(super) organization_id: String,
    pub(super) system_id: String,
    pub(super) password: Option<String>,
    pub(super) mode: String,
}

pub(super) async fn add(desk: &Desk, asked: Asked) -> Result<Value, Refusal> {
    let Asked { organization_id, system_id, password, mode } = asked;
    let organization = desk.organization(&organization_id).await?;
    let mode = Mode::parse(&mode).ok_or_else(|| invalid("mode", "live or test"))?;
    let visible = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    if !(1..=15).contains(&system_id.len()) || !visible(&system_id) {
        return Err(invalid("system_id", "1 to 15 visible characters"));
    }
    let password = password.unwrap_or_else(crate::api::new_smpp_password);
    if !(4..=64).contains(&password.len()) || !visible(&password) {
        return Err(invalid("password", "4 to 64 visible characters"));
    }
    let id = PublicId::new(At::now());
    let create = SmppChange::Create {
        id,
        organization,
        password_mac: desk.accounts.mac(&system_id, &password),
        system_id: system_id.clone(),
        settings: smpp_defaults(mode == Mode::Test),
    };
    let done = desk.writer.administer(Admin::Smpp(Box::new(create))).await?;
    if done != AdminDone::Smpp(true) {
        return Err(Refusal::new(Code::Conflict, "this system_id is taken").field("system_id"));
    }
    if let Some(row) = desk.store.smpp_account_named(&system_id).await.map_err(away)? {
        desk.accounts.put(&row);
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
