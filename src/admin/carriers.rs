//! The platform's carriers at the operator's desk: made, listed, switched off and on, tried, removed.
//!
//! A carrier here has one credential, made and removed with it. Those of the settings file are
//! listed with them, and changed there.

use actors::traffic::admission::SendRequest;
use model::carrier::CarrierId;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::message::Category;
use model::refusal::{Code, Refusal};
use model::submission::{Credential, Submission};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::SmppCarrierRow;
use store::lane::Accepted;

use super::desk::{Desk, PAGE, away, invalid};
use crate::carriers::change::public;
use crate::carriers::form::Fields;
use crate::carriers::show::whole;
use crate::carriers::{Filed, Refused};
use crate::settings::Carrier;

/// What an operator can ask about carriers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum CarrierRequest {
    /// `settings`: the fields of credential and carrier, the password among them.
    Add {
        name: String,
        settings: Map<String, Value>,
    },
    Set {
        name: String,
        settings: Map<String, Value>,
    },
    List,
    Show {
        name: String,
    },
    Enable {
        name: String,
        enabled: bool,
    },
    Remove {
        name: String,
    },
    /// Sends a message through it, on an organization's account.
    Test {
        name: String,
        organization_id: String,
        to: String,
        from: Option<String>,
        body: Option<String>,
    },
}

/// Where a name leads.
enum Named {
    Filed(Box<Filed>),
    Stored(Box<SmppCarrierRow>),
}

pub(super) async fn answer(desk: &Desk, request: CarrierRequest) -> Result<Value, Refusal> {
    match request {
        CarrierRequest::Add { name, settings } => add(desk, &name, &settings).await,
        CarrierRequest::Set { name, settings } => set(desk, &name, &settings).await,
        CarrierRequest::List => list(desk).await,
        CarrierRequest::Show { name } => show(desk, &name).await,
        CarrierRequest::Enable { name, enabled } => {
            let row = stored(desk, &name).await?;
            let said = Fields::from_iter([(String::from("enabled"), json!(enabled))]);
            let id = public(&row.public_id);
            told(desk.book()?.update_carrier(None, id, None, &said).await)?;
            show(desk, &name).await
        }
        CarrierRequest::Remove { name } => {
            let row = stored(desk, &name).await?;
            told(desk.book()?.delete_carrier(None, public(&row.public_id)).await)?;
            told(desk.book()?.delete_credential(None, public(&row.credential)).await)?;
            Ok(json!({ "carrier": name, "removed": true }))
        }
        CarrierRequest::Test { name, organization_id, to, from, body } => {
            test(desk, &name, &organization_id, to, from, body).await
        }
    }
}

async fn add(desk: &Desk, name: &str, settings: &Fields) -> Result<Value, Refusal> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let ours = ["sandbox", "sandbox-live"].contains(&name.to_ascii_lowercase().as_str());
    if !(1..=64).contains(&name.len()) || !name.bytes().all(fits) || ours {
        return Err(invalid("name", "1 to 64 letters, digits, - _ . that nobody else has"));
    }
    if PublicId::parse(Kind::Carrier, name).is_some() {
        return Err(invalid("name", "one that is not the id of a carrier"));
    }
    let said = named(settings, name);
    let credential = told(desk.book()?.create_credential(None, &said).await)?;
    match desk.book()?.create_carrier(None, credential, Some(name), &said).await {
        Ok(_) => show(desk, name).await,
        Err(refused) => {
            // Nothing is left of half a carrier.
            told(desk.book()?.delete_credential(None, credential).await)?;
            Err(refused.first())
        }
    }
}

async fn set(desk: &Desk, name: &str, settings: &Fields) -> Result<Value, Refusal> {
    let row = stored(desk, name).await?;
    let credential = public(&row.credential);
    let mut said = settings.clone();
    said.remove("name");
    let password = crate::carriers::form::password(&said)?;
    told(desk.book()?.update_credential(None, credential, &said).await)?;
    told(desk.book()?.update_carrier(None, public(&row.public_id), None, &said).await)?;
    if password.is_some() {
        told(desk.book()?.rotate(None, credential, password, "operator").await)?;
    }
    show(desk, name).await
}

async fn list(desk: &Desk) -> Result<Value, Refusal> {
    let rows = desk.store.platform_carriers(PAGE).await.map_err(away)?;
    let book = desk.book()?;
    let filed = book.filed().iter().map(|filed| book.show_filed_carrier(filed));
    let stored = rows.iter().map(|row| book.show_carrier(row));
    Ok(filed.chain(stored).map(|shown| short(&shown)).collect())
}

/// What a line of a list shows.
fn short(shown: &Value) -> Value {
    let fields = ["name", "source", "scope", "enabled", "status", "last_error", "priority"];
    fields.iter().map(|field| ((*field).to_owned(), shown[*field].clone())).collect()
}

async fn show(desk: &Desk, name: &str) -> Result<Value, Refusal> {
    let (carrier, credential, account, id) = match find(desk, name).await? {
        Named::Filed(filed) => {
            let carrier = desk.book()?.show_filed_carrier(&filed);
            let id = filed.carrier_id();
            (carrier, desk.book()?.show_filed_credential(&filed), filed.carrier.name, id)
        }
        Named::Stored(row) => {
            let found = desk.book()?.credential(None, public(&row.credential)).await;
            let credential = desk.book()?.show_credential(&told(found)?);
            let id = public(&row.public_id);
            (desk.book()?.show_carrier(&row), credential, row.account, id)
        }
    };
    let status = desk.book()?.show_status(Some(&account), Some(id));
    Ok(json!({ "carrier": carrier, "credential": credential, "status": status }))
}

async fn test(
    desk: &Desk,
    name: &str,
    organization_id: &str,
    to: String,
    from: Option<String>,
    body: Option<String>,
) -> Result<Value, Refusal> {
    let organization = desk.organization(organization_id).await?;
    let (id, carrier, enabled): (CarrierId, Option<Carrier>, bool) = match find(desk, name).await? {
        Named::Filed(filed) => (filed.id, Some(filed.carrier), true),
        Named::Stored(row) => (CarrierId(row.carrier_id), whole(&row), row.disabled_at.is_none()),
    };
    let through = carrier.filter(|_| enabled);
    let book = desk.book()?;
    let through = through.and_then(|carrier| book.through(id, &carrier, None));
    let Some(through) = through else {
        return Err(Refusal::new(Code::Conflict, "the carrier is not running here"));
    };
    let request = SendRequest {
        to,
        from,
        pool: None,
        body: body.unwrap_or_else(|| String::from("Test message")),
        encoding: None,
        category: Category::Transactional,
        metadata: None,
        test: false,
        submitted: None,
        account: None,
    };
    let message = through.check(organization, request, At::now())?;
    let shown = json!({
        "message_id": message.id.show(Kind::Message),
        "carrier": name,
        "to": message.to,
        "from": message.from,
        "segments": message.segments,
    });
    let submission = Submission {
        organization,
        credential: Credential::Switch,
        idempotency: None,
        batch: None,
        messages: vec![message],
    };
    match desk.writer.submit(submission).await? {
        Accepted::Fresh { .. } => Ok(shown),
        _ => Err(Refusal::new(Code::InternalError, "the message was not stored")),
    }
}

/// The credential's name for people is that of its carrier.
fn named(settings: &Fields, name: &str) -> Fields {
    let mut said = settings.clone();
    said.insert(String::from("name"), json!(name));
    said
}

async fn find(desk: &Desk, name: &str) -> Result<Named, Refusal> {
    if let Some(filed) = desk.book()?.filed().iter().find(|filed| filed.carrier.name == name) {
        return Ok(Named::Filed(Box::new(filed.clone())));
    }
    let row = desk.store.carrier_of_account(name).await.map_err(away)?;
    // An organization's own carriers are its own.
    let row = row.filter(|row| row.organization_id.is_none());
    let unknown = || Refusal::new(Code::NotFound, format!("no carrier is called {name}"));
    row.map(|row| Named::Stored(Box::new(row))).ok_or_else(unknown)
}

async fn stored(desk: &Desk, name: &str) -> Result<SmppCarrierRow, Refusal> {
    match find(desk, name).await? {
        Named::Stored(row) => Ok(*row),
        Named::Filed(_) => {
            let message = "it stands in the settings file: change it there";
            Err(Refusal::new(Code::ManagedBySettings, message))
        }
    }
}

fn told<T>(done: Result<T, Refused>) -> Result<T, Refusal> {
    done.map_err(Refused::first)
}
