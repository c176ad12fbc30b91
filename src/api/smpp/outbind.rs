//! Where an account's system is called: the `outbind` of an account, read, guarded and shown.
//!
//! The password is sealed for its account's row (ADR 0011) and never shown. Hosts are guarded as
//! those of organizations' own carriers: here as far as the name tells, and again when it is called.

use model::carrier::OrgId;
use model::id::{Kind, PublicId};
use model::refusal::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::lane::SmppSettings;
use store::{SmppAccountRow, Store};
use utoipa::ToSchema;

use super::super::body::wrong;
use super::super::error::{ApiError, Fault};
use crate::carriers::{Book, form};

/// SMPP 3.4 §4.1.7.1: 16 octets with their end.
const SYSTEM_ID_MAX: usize = 15;
const PASSWORD_MAX: usize = 64;

/// Where the account's system is called.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read field by field")]
pub(crate) struct OutbindIn {
    /// A name or address: public, or in `smpp.carrier_networks` of the switch.
    #[schema(example = "esme.example.com")]
    host: String,
    #[schema(example = 2775)]
    port: u16,
    /// False when left out.
    tls: Option<bool>,
    /// Whom the switch says to be: 1 to 15 visible characters.
    #[schema(example = "orbit")]
    system_id: String,
    /// At most 64 visible characters. Left out, the stored one stays while host and port do.
    password: Option<String>,
}

/// The same as it is shown, and stored beside the sealed password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub(crate) struct OutbindOut {
    host: String,
    port: u16,
    tls: bool,
    system_id: String,
}

/// What an account is to be, and the password to be sealed for it.
pub(crate) struct Said {
    pub(super) settings: SmppSettings,
    pub(super) call: Option<Call>,
    /// A pool that was named now: it has to be there.
    pub(super) pool: Option<PublicId>,
}

/// An `outbind` that was given.
pub(super) struct Call {
    to: OutbindOut,
    password: Option<String>,
}

impl OutbindOut {
    pub(super) fn of(row: &SmppAccountRow) -> Option<Self> {
        serde_json::from_str(row.outbind.as_deref()?).ok()
    }
}

impl Said {
    /// As it is stored, where its pool is there and the guard lets it be.
    pub(crate) async fn settled(
        self,
        (organization, id): (OrgId, PublicId),
        store: &Store,
        book: Option<&Book>,
    ) -> Result<SmppSettings, ApiError> {
        if let Some(pool) = self.pool
            && store.sender_pool(organization, pool).await?.is_none()
        {
            let fault = wrong("default_sender_pool_id", json!(pool.show(Kind::SenderPool)));
            return Err(ApiError::faults(vec![fault.expected("a sender pool that is there")]));
        }
        self.sealed(id, book)
    }

    fn sealed(mut self, id: PublicId, book: Option<&Book>) -> Result<SmppSettings, ApiError> {
        let Some(Call { to, password }) = self.call else { return Ok(self.settings) };
        let book = book.ok_or_else(|| Refusal::new(Code::InternalError, "nothing seals here"))?;
        if !book.may_lead_to(&to.host, to.port) {
            let fault = wrong("outbind", json!(to.host));
            let fault = fault.expected("host: a host name, or an address that is public");
            return Err(ApiError::faults(vec![fault]));
        }
        if let Some(password) = password {
            self.settings.outbind_password = Some(book.seal(id, &password)?);
        }
        Ok(self.settings)
    }
}

/// Lays what is said of `outbind` over the settings.
pub(super) fn read(
    map: &Map<String, Value>,
    settings: &mut SmppSettings,
    faults: &mut Vec<Fault>,
) -> Option<Call> {
    let given = match map.get("outbind")? {
        Value::Null => {
            (settings.outbind, settings.outbind_password) = (None, None);
            return None;
        }
        Value::Object(given) => given,
        _ => {
            faults.push(wrong("outbind", Value::Null).expected("an object, or null"));
            return None;
        }
    };
    let mut fault = |expected: &'static str| {
        faults.push(wrong("outbind", Value::Null).expected(expected));
        None
    };
    let known = ["host", "port", "tls", "system_id", "password"];
    if given.keys().any(|name| !known.contains(&name.as_str())) {
        return fault("host, port, tls, system_id and password, and nothing else");
    }
    let visible = |text: &&str, most: usize| {
        !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_graphic())
    };
    let text = |name: &str| given.get(name).and_then(Value::as_str);
    let Some(host) = text("host").filter(|host| !host.is_empty() && form::is_host(host)) else {
        return fault("host: a host name or address, of at most 253 characters");
    };
    let port = given.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    let Some(port) = port.filter(|port| *port > 0) else {
        return fault("port: 1 to 65535");
    };
    let tls = match given.get("tls") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(tls)) => *tls,
        Some(_) => return fault("tls: true or false"),
    };
    let Some(system_id) = text("system_id").filter(|id| visible(id, SYSTEM_ID_MAX)) else {
        return fault("system_id: 1 to 15 visible ASCII characters");
    };
    let password = match given.get("password") {
        None | Some(Value::Null) => None,
        Some(_) => match text("password").filter(|text| visible(text, PASSWORD_MAX)) {
            Some(password) => Some(password.to_owned()),
            None => return fault("password: 1 to 64 visible ASCII characters"),
        },
    };
    let to = OutbindOut { host: host.to_owned(), port, tls, system_id: system_id.to_owned() };
    let was = settings.outbind.as_deref();
    let was = was.and_then(|was| serde_json::from_str::<OutbindOut>(was).ok());
    // A password that somebody else gave does not go to another place.
    let stays = was.is_some_and(|was| (&was.host, was.port) == (&to.host, to.port));
    if !stays {
        settings.outbind_password = None;
    }
    settings.outbind = serde_json::to_string(&to).ok();
    Some(Call { to, password })
}
