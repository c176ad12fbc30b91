//! `orbit dev`: the first minute. An organization with credit, its key, a line to paste, and the
//! journey of each message in the terminal.

use std::time::Duration;

use anyhow::Result;
use model::api_key::{self, Mode};
use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::money::Micros;
use serde_json::Value;
use store::Store;
use store::lane::{Admin, SmppChange};

use crate::admin::{Desk, Minted, Request, mint};
use crate::boot::Switch;
use crate::home::Home;
use crate::settings::Sip;
use crate::telephones::{Issued, Office};

const KEY_FILE: &str = "dev-key";
const ACCOUNT_FILE: &str = "dev-smpp-password";
const PHONE_FILE: &str = "dev-sip-password";
const SYSTEM_ID: &str = "dev";
/// A hundred dollars to play with.
const CREDIT: Micros = Micros(100_000_000);
const PERIOD: Duration = Duration::from_millis(150);

/// What an ESME on this machine binds with.
pub(crate) struct Account {
    password: String,
}

/// The key of the development organization: the one of the last start if it is still good.
pub(crate) async fn key(home: &Home, switch: &Switch) -> Result<String> {
    if let Some(known) = home.read(KEY_FILE)?
        && let Some(row) = switch.store.key_by_hash(&api_key::hash(&known)).await?
        && row.revoked_at.is_none()
    {
        return Ok(known);
    }
    let Minted { text, key } = mint(Mode::Live, "*", "orbit dev");
    let create = match switch.store.organizations(1).await?.first() {
        Some(row) => Admin::CreateKey { organization: OrgId(row.id), key },
        None => Admin::CreateOrganization {
            id: PublicId::new(At::now()),
            name: String::from("Development"),
            credit: CREDIT,
            sandbox: false,
            key,
        },
    };
    let made = switch.writer.administer(create).await;
    made.map_err(|refusal| anyhow::anyhow!("{}", refusal.message))?;
    home.write(KEY_FILE, &text)?;
    Ok(text)
}

/// The SMPP account of the development organization: its password of the last start, or another.
pub(crate) async fn account(home: &Home, switch: &Switch) -> Result<Account> {
    let known = home.read(ACCOUNT_FILE)?;
    if let Some(password) = &known
        && switch.accounts.find(SYSTEM_ID).is_some()
    {
        return Ok(Account { password: password.clone() });
    }
    let rows = switch.store.organizations(1).await?;
    let Some(organization) = rows.first() else { anyhow::bail!("no organization") };
    let password = crate::api::new_smpp_password();
    let password_mac = switch.accounts.mac(SYSTEM_ID, &password);
    let organization = OrgId(organization.id);
    let change = match switch.store.smpp_account_named(SYSTEM_ID).await? {
        Some(row) => SmppChange::SetPassword {
            id: PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default()),
            organization,
            password_mac,
        },
        None => SmppChange::Create {
            id: PublicId::new(At::now()),
            organization,
            system_id: SYSTEM_ID.to_owned(),
            password_mac,
            settings: crate::api::smpp_defaults(false),
        },
    };
    let made = switch.writer.administer(Admin::Smpp(Box::new(change))).await;
    made.map_err(|refusal| anyhow::anyhow!("{}", refusal.message))?;
    if let Some(row) = switch.store.smpp_account_named(SYSTEM_ID).await? {
        switch.accounts.put(&row);
    }
    home.write(ACCOUNT_FILE, &password)?;
    Ok(Account { password })
}

/// The SIP credential of the development organization: the same, for a telephone.
pub(crate) async fn phone(home: &Home, switch: &Switch, sip: &Sip) -> Result<Issued> {
    let rows = switch.store.organizations(1).await?;
    let Some(organization) = rows.first() else { anyhow::bail!("no organization") };
    let organization = OrgId(organization.id);
    let slug = switch.store.organization_slug(organization).await?.unwrap_or_default();
    let realm = model::sip::realm(&slug, &sip.domain);
    if let Some(password) = home.read(PHONE_FILE)?
        && switch.credentials.find(&realm, SYSTEM_ID).is_some()
    {
        let username = SYSTEM_ID.to_owned();
        return Ok(Issued { username, password, realm });
    }
    let office = Office {
        store: &switch.store,
        writer: &switch.writer,
        credentials: Some(&switch.credentials),
        domain: &sip.domain,
        most: sip.credentials_per_organization_max,
    };
    let issued = office.issue(organization, SYSTEM_ID, None).await?;
    home.write(PHONE_FILE, &issued.password)?;
    Ok(issued)
}

/// What is printed at the start.
pub(crate) struct Welcome<'a> {
    pub(crate) data: &'a str,
    /// There are no carriers but the sandbox.
    pub(crate) alone: bool,
    pub(crate) key: &'a str,
    pub(crate) account: &'a Account,
    pub(crate) phone: &'a Issued,
}

/// Says where everything is.
pub(crate) fn welcome(switch: &Switch, said: &Welcome<'_>) {
    let Welcome { data, alone, key, account, phone } = *said;
    let offline = if alone {
        "Orbit is running, offline. Nothing leaves this machine."
    } else {
        "Orbit is running, with the carriers of the settings."
    };
    let at = switch.http;
    let smpp = switch.smpp.map_or(String::from("off"), |at| at.to_string());
    let password = &account.password;
    let sip = switch.sip.plain.map_or(String::from("off"), |at| at.to_string());
    let Issued { username, password: secret, realm, .. } = phone;
    println!(
        "\n{offline}\n\n  \
         REST   http://{at}/api/v1\n  \
         SMPP   {smpp}, system_id {SYSTEM_ID}, password {password}\n  \
         SIP    {sip}, user {username}, password {secret}, domain {realm}\n  \
         docs   http://{at}/docs\n  \
         data   {data}\n  \
         key    {key}\n\n\
         Paste this into another terminal:\n\n\
         curl -s http://{at}/api/v1/messages/sms \\\n  \
         -H 'X-API-Key: {key}' -H 'Content-Type: application/json' \\\n  \
         -d '{{\"to\":\"+15005550002\",\"from\":\"Orbit\",\"body\":\"Hello from Orbit\"}}'\n\n\
         Messages show here on their way (Ctrl-C ends):\n"
    );
}

/// Prints each step of each message as it happens.
pub(crate) async fn follow(store: Store) {
    let desk = Desk::reader(store);
    let mut after = None;
    loop {
        if let Ok(answer) = desk.answer(Request::Tail { after }).await {
            after = answer["after"].as_i64();
            let lines = answer["lines"].as_array().cloned().unwrap_or_default();
            for line in &lines {
                println!("{}", in_words(line));
            }
            if !lines.is_empty() {
                continue;
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// A line of the log for people: when, which, what, to whom.
pub(crate) fn in_words(line: &Value) -> String {
    let text = |name: &str| line[name].as_str().unwrap_or_default();
    let time = text("at").get(11..23).unwrap_or_default();
    let id = text("message_id");
    let what = match (text("event"), text("status")) {
        ("created", _) => "accepted",
        ("retried", _) => "to be tried again",
        ("in_doubt", _) => "in doubt",
        ("receipt", _) => "receipt",
        (_, status) => status,
    };
    let mut words = format!("{time}  {id}  {what:<20} {} → {}", text("from"), text("to"));
    if let Some(parts) = line["segments"].as_i64().filter(|parts| *parts > 1) {
        words.push_str(&format!("  {parts} parts"));
    }
    if !text("carrier").is_empty() {
        words.push_str(&format!("  via {}", text("carrier")));
    }
    if !text("error_code").is_empty() {
        words.push_str(&format!("  {}", text("error_code")));
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_when_which_what_and_to_whom() {
        let line = json!({
            "at": "2026-01-02T03:04:05.678Z", "message_id": "msg_1", "event": "failed",
            "status": "rejected", "from": "Orbit", "to": "+15005550007", "segments": 2,
            "carrier": "main", "error_code": "CARRIER_REJECTED",
        });
        let words = in_words(&line);
        assert!(words.starts_with("03:04:05.678  msg_1  rejected "), "{words}");
        assert!(words.contains("Orbit → +15005550007  2 parts  via main  CARRIER_REJECTED"));
    }
}
