//! SIP at the operator's desk: credentials of an organization, made, listed, shown, changed, given another
//! password, taken away; and who is shut out, and let in again. A change holds at once.

use std::net::IpAddr;

use model::carrier::OrgId;
use model::id::{Kind, PublicId};
use model::refusal::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::SipListedRow;
use supervisors::sip::SipHandle;

use super::desk::{Desk, PAGE, away, invalid};
use super::smpp::told;
use crate::api::{SIP_FIELDS, SipCredentialOut, read_new_sip, read_sip, stored_sip};
use crate::sip::{SipBook, unknown};

/// Bans that one answer lists.
const BANS_MAX: usize = 1_000;

/// What the desk knows of who is shut out.
#[derive(Clone, Default)]
pub struct SipDesk {
    pub handle: SipHandle,
}

/// What is asked of an organization's credentials. They are named by `sip_…` or by their username.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum SipRequest {
    /// Fields as the API takes them.
    Add {
        fields: Map<String, Value>,
    },
    List,
    Show {
        credential: String,
    },
    Set {
        credential: String,
        fields: Map<String, Value>,
    },
    /// Another password, shown once.
    Rotate {
        credential: String,
    },
    /// Its phones are registered no longer.
    Unregister {
        credential: String,
    },
    /// Revokes it for good.
    Remove {
        credential: String,
    },
}

pub(super) async fn answer(
    desk: &Desk,
    organization_id: &str,
    request: SipRequest,
) -> Result<Value, Refusal> {
    let organization = desk.organization(organization_id).await?;
    let book = desk.phones()?;
    match request {
        SipRequest::Add { fields } => {
            known(&fields, &["sip_username"])?;
            let new = read_new_sip(&fields, book.emergency()).map_err(told)?;
            let (row, password) = book.create(organization, new).await?;
            with_password(book, row, &password).await
        }
        SipRequest::List => {
            let rows = desk.store.own_sip_credentials(organization, i64::MAX, PAGE).await;
            let rows = rows.map_err(away)?;
            let bound = book.registrations(organization, &rows).await.map_err(away)?;
            rows.iter().map(|row| value(&SipCredentialOut::of(book, row, &bound))).collect()
        }
        SipRequest::Show { credential } => {
            shown(book, find(desk, organization, &credential).await?).await
        }
        SipRequest::Set { credential, fields } => {
            known(&fields, &[])?;
            let row = find(desk, organization, &credential).await?;
            let settings = read_sip(&fields, stored_sip(&row), book.emergency()).map_err(told)?;
            shown(book, book.update(&row, settings).await?).await
        }
        SipRequest::Rotate { credential } => {
            let row = find(desk, organization, &credential).await?;
            let (row, password) = book.rotate(&row).await?;
            with_password(book, row, &password).await
        }
        SipRequest::Unregister { credential } => {
            let row = find(desk, organization, &credential).await?;
            book.unregister(&row).await?;
            shown(book, row).await
        }
        SipRequest::Remove { credential } => {
            let row = find(desk, organization, &credential).await?;
            book.revoke(&row).await?;
            Ok(json!({ "sip_username": row.username, "revoked": true }))
        }
    }
}

fn known(fields: &Map<String, Value>, more: &[&str]) -> Result<(), Refusal> {
    let names = || SIP_FIELDS.iter().map(|field| field.name).chain(more.iter().copied());
    let Some(unknown) = fields.keys().find(|name| names().all(|known| known != name.as_str()))
    else {
        return Ok(());
    };
    let names: Vec<_> = names().collect();
    let message = format!("a credential has no field {unknown}; it has {}", names.join(", "));
    Err(Refusal::new(Code::ValidationError, message))
}

async fn find(desk: &Desk, organization: OrgId, credential: &str) -> Result<SipListedRow, Refusal> {
    let found = match PublicId::parse(Kind::SipCredential, credential) {
        Some(id) => desk.store.own_sip_credential(organization, id).await,
        None => desk.store.own_sip_credential_named(organization, credential).await,
    };
    found.map_err(away)?.ok_or_else(unknown)
}

async fn shown(book: &SipBook, row: SipListedRow) -> Result<Value, Refusal> {
    let rows = [row];
    let organization = OrgId(rows[0].organization_id);
    let bound = book.registrations(organization, &rows).await.map_err(away)?;
    value(&SipCredentialOut::of(book, &rows[0], &bound))
}

async fn with_password(
    book: &SipBook,
    row: SipListedRow,
    password: &str,
) -> Result<Value, Refusal> {
    let mut shown = shown(book, row).await?;
    shown["sip_password"] = json!(password);
    Ok(shown)
}

fn value(credential: &SipCredentialOut) -> Result<Value, Refusal> {
    let shown = serde_json::to_value(credential);
    shown.map_err(|_| Refusal::new(Code::InternalError, "the credential cannot be shown"))
}

pub(super) fn bans(desk: &Desk) -> Result<Value, Refusal> {
    let now = tokio::time::Instant::now().into_std();
    let mut bans = wire(desk)?.shield().bans(now);
    bans.sort_by_key(|ban| std::cmp::Reverse(ban.left));
    let shown = bans.into_iter().take(BANS_MAX).map(|ban| {
        json!({
            "address": ban.address.to_string(),
            "user": ban.name,
            "seconds_left": ban.left.as_secs() + 1,
        })
    });
    Ok(shown.collect())
}

pub(super) fn pardon(desk: &Desk, address: &str) -> Result<Value, Refusal> {
    let ip: IpAddr = address.parse().map_err(|_| invalid("address", "an IP address"))?;
    let lifted = wire(desk)?.shield().pardon(ip);
    Ok(json!({ "address": address, "lifted": lifted }))
}

fn wire(desk: &Desk) -> Result<actors::sip::transport::Wire, Refusal> {
    desk.sip
        .handle
        .wire()
        .ok_or_else(|| Refusal::new(Code::ServiceUnavailable, "no switch serves SIP here"))
}
