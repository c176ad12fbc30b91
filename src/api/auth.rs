//! Who is calling: an API key, looked up by its SHA-256 and remembered for a second.
//!
//! The only way from a request to an organization. A key revoked meanwhile is caught again inside
//! the accept transaction, so the second of memory moves no money.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use model::api_key::{self, Mode};
use model::carrier::OrgId;
use model::clock::At;
use model::refusal::{Code, Refusal};
use store::{KeyRow, Store, StoreError};

use super::App;
use super::call::Call;
use super::error::ApiError;
use super::limits::Class;

/// After this a key is read again by one request, while others still use what is known.
const REFRESH_US: i64 = 500_000;
/// After this nobody uses what is known.
const LIFE_US: i64 = 1_000_000;
const SHARDS: usize = 16;
const PER_SHARD_MAX: usize = 4_096;

/// What an endpoint asks of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Scope {
    MessagesRead = 1,
    MessagesWrite = 2,
    BillingRead = 4,
    WebhooksRead = 8,
    WebhooksWrite = 16,
    EventsRead = 32,
    ComplianceRead = 64,
    ComplianceWrite = 128,
    TemplatesRead = 256,
    TemplatesWrite = 512,
    SmppRead = 1024,
    SmppWrite = 2048,
    VoiceRead = 4096,
    VoiceWrite = 8192,
    NumbersRead = 16384,
    NumbersWrite = 32768,
}

impl Scope {
    const ALL: [Self; 16] = [
        Self::MessagesRead,
        Self::MessagesWrite,
        Self::BillingRead,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::EventsRead,
        Self::ComplianceRead,
        Self::ComplianceWrite,
        Self::TemplatesRead,
        Self::TemplatesWrite,
        Self::SmppRead,
        Self::SmppWrite,
        Self::VoiceRead,
        Self::VoiceWrite,
        Self::NumbersRead,
        Self::NumbersWrite,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::MessagesRead => "messages:read",
            Self::MessagesWrite => "messages:write",
            Self::BillingRead => "billing:read",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
            Self::EventsRead => "events:read",
            Self::ComplianceRead => "compliance:read",
            Self::ComplianceWrite => "compliance:write",
            Self::TemplatesRead => "templates:read",
            Self::TemplatesWrite => "templates:write",
            Self::SmppRead => "smpp:read",
            Self::SmppWrite => "smpp:write",
            Self::VoiceRead => "voice:read",
            Self::VoiceWrite => "voice:write",
            Self::NumbersRead => "numbers:read",
            Self::NumbersWrite => "numbers:write",
        }
    }
}

/// A permission, as a type: each handler names one in its signature.
pub(crate) trait Permit: Send + Sync + 'static {
    const SCOPE: Scope;
    const CLASS: Class;
}

/// Declares permissions: what each asks of a key, and whose allowance it takes from.
macro_rules! permits {
    ($($name:ident = $scope:ident, $class:ident;)+) => {
        $(
            pub(crate) struct $name;

            impl Permit for $name {
                const SCOPE: Scope = Scope::$scope;
                const CLASS: Class = Class::$class;
            }
        )+
    };
}

permits! {
    SendOne = MessagesWrite, Send;
    SendBatch = MessagesWrite, Batch;
    EstimateMessages = MessagesWrite, Read;
    ChangeMessages = MessagesWrite, Change;
    ReadMessages = MessagesRead, Read;
    ReadBilling = BillingRead, Billing;
    ReadWebhooks = WebhooksRead, Change;
    ChangeWebhooks = WebhooksWrite, Change;
    ReadEvents = EventsRead, Read;
    ReadCompliance = ComplianceRead, Read;
    ChangeCompliance = ComplianceWrite, Change;
    ImportSuppressions = ComplianceWrite, Import;
    ReadTemplates = TemplatesRead, Read;
    ChangeTemplates = TemplatesWrite, Change;
    ReadSmpp = SmppRead, Read;
    ChangeSmpp = SmppWrite, Change;
    ReadInterceptors = MessagesRead, Read;
    ChangeInterceptors = MessagesWrite, Change;
    ReadVoice = VoiceRead, Read;
    ChangeVoice = VoiceWrite, Change;
    ReadNumbers = NumbersRead, Read;
    ChangeNumbers = NumbersWrite, Change;
}

/// A caller who may do what `P` says.
pub(crate) struct Caller<P> {
    pub(crate) organization: OrgId,
    /// The stored number of the key.
    pub(crate) key: i64,
    /// The key plays in the sandbox.
    pub(crate) test: bool,
    pub(crate) call: Call,
    hash: [u8; 32],
    permit: PhantomData<P>,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug)]
struct Holder {
    organization: OrgId,
    key: i64,
    mode: Mode,
    scopes: u16,
    revoked: bool,
    sandbox: bool,
    suspended: bool,
}

struct Entry {
    holder: Holder,
    read_at: At,
    refreshing: AtomicBool,
}

/// Keys read within the last second, by hash.
pub(crate) struct Keys {
    shards: [RwLock<HashMap<[u8; 32], Entry>>; SHARDS],
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()) }
    }

    async fn find(
        &self,
        store: &Store,
        hash: &[u8; 32],
        now: At,
    ) -> Result<Option<Holder>, StoreError> {
        let shard = &self.shards[usize::from(hash[0]) % SHARDS];
        if let Some(holder) = known(shard, hash, now) {
            return Ok(Some(holder));
        }
        let row = store.key_by_hash(hash).await?;
        let mut entries = shard.write().unwrap_or_else(PoisonError::into_inner);
        let Some(row) = row else {
            entries.remove(hash);
            return Ok(None);
        };
        let holder = Holder::from(&row);
        if entries.len() >= PER_SHARD_MAX {
            entries.retain(|_, entry| age(entry, now) < LIFE_US);
            if entries.len() >= PER_SHARD_MAX {
                entries.clear();
            }
        }
        let entry = Entry { holder, read_at: now, refreshing: AtomicBool::new(false) };
        entries.insert(*hash, entry);
        Ok(Some(holder))
    }
}

/// A clock set back makes an entry old, never young.
fn age(entry: &Entry, now: At) -> i64 {
    let age = now.micros() - entry.read_at.micros();
    if age < 0 { LIFE_US } else { age }
}

fn known(shard: &RwLock<HashMap<[u8; 32], Entry>>, hash: &[u8; 32], now: At) -> Option<Holder> {
    let entries = shard.read().unwrap_or_else(PoisonError::into_inner);
    let entry = entries.get(hash)?;
    let age = age(entry, now);
    let usable =
        age < REFRESH_US || (age < LIFE_US && entry.refreshing.swap(true, Ordering::Relaxed));
    usable.then_some(entry.holder)
}

impl From<&KeyRow> for Holder {
    fn from(row: &KeyRow) -> Self {
        let granted = |scope: &Scope| api_key::allows(&row.scopes, scope.as_str());
        let scopes = Scope::ALL.into_iter().filter(granted);
        Self {
            organization: row.organization(),
            key: row.id,
            mode: Mode::parse(&row.mode).unwrap_or(Mode::Test),
            scopes: scopes.fold(0, |bits, scope| bits | scope as u16),
            revoked: row.revoked_at.is_some(),
            sandbox: row.is_sandbox != 0,
            suspended: row.suspended_at.is_some(),
        }
    }
}

impl Holder {
    fn may(&self, scope: Scope) -> Result<(), Refusal> {
        if self.revoked {
            return Err(Refusal::invalid_api_key());
        }
        if self.sandbox && self.mode == Mode::Live {
            let message = "a sandbox organization is used with test keys only";
            return Err(Refusal::new(Code::WrongKeyMode, message));
        }
        if self.suspended {
            let message = "the organization is suspended; ask its operator";
            return Err(Refusal::new(Code::OrganizationSuspended, message));
        }
        if self.scopes & scope as u16 == 0 {
            let message = format!("the API key lacks the scope {}", scope.as_str());
            let refusal = Refusal::new(Code::InsufficientPermissions, message);
            return Err(refusal.expected(scope.as_str()));
        }
        Ok(())
    }
}

/// The key's text: `X-API-Key`, else a Bearer token.
fn credential(headers: &HeaderMap) -> Result<&str, ApiError> {
    let invalid = || ApiError::from(Refusal::invalid_api_key());
    if let Some(value) = headers.get("x-api-key") {
        return value.to_str().map_err(|_| invalid());
    }
    let missing = || {
        let message = "no API key: send it as X-API-Key, or as Authorization: Bearer";
        ApiError::new(Code::Unauthorized, message)
    };
    let value = headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
    let value = value.to_str().map_err(|_| invalid())?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(missing()),
    }
}

impl<P> Caller<P> {
    /// For what a test key may not touch; `why` is told to who tries.
    pub(crate) fn live(&self, why: &'static str) -> Result<(), Refusal> {
        if self.test {
            return Err(Refusal::new(Code::WrongKeyMode, why));
        }
        Ok(())
    }
}

impl<P: Permit> Caller<P> {
    /// For what lasts longer than a request: whether the key still may. A store that does not
    /// answer changes nothing.
    pub(crate) async fn check_again(&self, app: &App) -> Result<(), Refusal> {
        match app.keys.find(&app.store, &self.hash, At::now()).await {
            Ok(Some(holder)) => holder.may(P::SCOPE),
            Ok(None) => Err(Refusal::invalid_api_key()),
            Err(_) => Ok(()),
        }
    }
}

impl<P: Permit> FromRequestParts<App> for Caller<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let call = Call::from_request_parts(parts, app).await?;
        let text = credential(&parts.headers)?;
        let shaped = text.len() <= 128 && api_key::claimed_mode(text).is_some();
        if !shaped {
            return Err(Refusal::invalid_api_key().into());
        }
        let hash = api_key::hash(text);
        let found = app.keys.find(&app.store, &hash, call.at()).await?;
        let holder = found.ok_or_else(Refusal::invalid_api_key)?;
        let test = holder.mode == Mode::Test;
        if test {
            call.mark_test();
        }
        holder.may(P::SCOPE)?;
        let (standing, taken) = app.limits.take(holder.organization, P::CLASS);
        if let Some(standing) = standing {
            call.mark_standing(standing);
        }
        taken?;
        Ok(Self {
            organization: holder.organization,
            key: holder.key,
            test,
            call,
            hash,
            permit: PhantomData,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(*name, value);
            }
        }
        headers
    }

    #[test]
    fn a_key_comes_in_its_own_header_or_as_bearer() {
        let both = headers(&[("x-api-key", "a"), ("authorization", "Bearer b")]);
        assert_eq!(credential(&both).ok(), Some("a"));
        let bearer = headers(&[("authorization", "bearer  b")]);
        assert_eq!(credential(&bearer).ok(), Some("b"));
        for missing in [headers(&[]), headers(&[("authorization", "Basic eDp5")])] {
            let code = credential(&missing).err().map(|error| error.code);
            assert_eq!(code, Some(Code::Unauthorized));
        }
    }

    #[test]
    fn what_a_key_may_not_is_named() {
        let holder = Holder {
            organization: OrgId(1),
            key: 1,
            mode: Mode::Live,
            scopes: Scope::MessagesRead as u16,
            revoked: false,
            sandbox: false,
            suspended: false,
        };
        let code = |holder: Holder, scope| holder.may(scope).err().map(|refusal| refusal.code);
        assert_eq!(code(holder, Scope::MessagesRead), None);
        let lacking = Some(Code::InsufficientPermissions);
        assert_eq!(code(holder, Scope::MessagesWrite), lacking);
        let revoked = Holder { revoked: true, ..holder };
        assert_eq!(code(revoked, Scope::MessagesRead), Some(Code::InvalidApiKey));
        let sandbox = Holder { sandbox: true, ..holder };
        assert_eq!(code(sandbox, Scope::MessagesRead), Some(Code::WrongKeyMode));
        let test = Holder { mode: Mode::Test, ..sandbox };
        assert_eq!(code(test, Scope::MessagesRead), None);
        let suspended = Holder { suspended: true, ..holder };
        let expected = Some(Code::OrganizationSuspended);
        assert_eq!(code(suspended, Scope::MessagesRead), expected);
    }

    #[test]
    fn a_key_is_known_for_a_second_and_read_again_by_one_at_half_time() {
        let shard = RwLock::new(HashMap::new());
        let holder = Holder {
            organization: OrgId(1),
            key: 1,
            mode: Mode::Live,
            scopes: 7,
            revoked: false,
            sandbox: false,
            suspended: false,
        };
        let entry = Entry { holder, read_at: At(10_000_000), refreshing: AtomicBool::new(false) };
        shard.write().unwrap_or_else(PoisonError::into_inner).insert([0; 32], entry);
        let at = |micros| known(&shard, &[0; 32], At(micros)).is_some();
        assert!(at(10_000_000) && at(10_499_999));
        assert!(!at(10_500_000), "one reads again");
        assert!(at(10_500_001), "others go on");
        assert!(!at(11_000_000), "nobody after a second");
        assert!(!at(9_000_000), "nor when the clock was set back");
    }
}
