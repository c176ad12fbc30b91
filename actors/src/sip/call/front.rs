//! Who calls: a carrier by where it calls from, a telephone by its digest; everybody else is challenged.
//!
//! A name that does not exist, one that may not call and a wrong password are answered alike. A carrier
//! is asked for nothing, so it may call our numbers only. What a caller says of itself in From counts for
//! nothing before that; of a telephone it says which number it would like to show.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use model::clock::At;
use proto_sip::digest::server::{Request, refers_to};
use proto_sip::digest::{Algorithm, Counts, Credentials as Said, Nonces, Verdict};
use proto_sip::{Message, Name, StatusCode, Uri};
use rand::RngExt as _;

use super::super::credentials::{Credential, Credentials};
use super::super::dialplan::{Caller, CallerId, Dialled};
use super::super::flow::Flow;
use super::super::shard::answer;
use super::super::shield::Shield;
use super::super::trunks::{Caller as By, Trunks};

/// Values of Authorization that are looked at.
const SAID_MAX: usize = 4;
/// Nonces whose counts are remembered.
const NONCES_MAX: usize = 100_000;

/// What a caller is known by.
pub struct Front {
    pub trunks: Trunks,
    pub credentials: Credentials,
    pub nonces: Nonces,
    pub algorithms: Vec<Algorithm>,
    /// What organizations' realms lie under.
    pub domain: Arc<str>,
    counts: Mutex<Counts>,
}

/// What a front is made of.
pub struct FrontParts {
    pub trunks: Trunks,
    pub credentials: Credentials,
    pub nonces: Nonces,
    pub algorithms: Vec<Algorithm>,
    pub domain: Arc<str>,
}

impl Front {
    #[must_use]
    pub fn new(parts: FrontParts) -> Self {
        let FrontParts { trunks, credentials, nonces, algorithms, domain } = parts;
        let counts = Mutex::new(Counts::new(NONCES_MAX));
        Self { trunks, credentials, nonces, algorithms, domain, counts }
    }

    /// Who calls, or what it is answered.
    pub fn ask(&self, shield: &Shield, flow: Flow, invite: &Message) -> Result<Caller, Bytes> {
        let address = flow.peer().ip().to_canonical();
        // Sources that are names are not known by their addresses yet.
        if let By::One(trunk) = self.trunks.caller(address, |_| false) {
            return Ok(Caller::Trunk(trunk));
        }
        self.authenticate(shield, flow, invite).map(Caller::Phone)
    }

    fn authenticate(
        &self,
        shield: &Shield,
        flow: Flow,
        invite: &Message,
    ) -> Result<Arc<Credential>, Bytes> {
        let realm = self.realm_of(invite);
        let scope = flow.peer().ip().to_canonical().to_string();
        let now_ms = u64::try_from(At::now().micros() / 1_000).unwrap_or_default();
        let request = Request { method: "INVITE", realm: &realm, scope: scope.as_bytes(), now_ms };
        let Some(said) = said(invite, &realm) else {
            return Err(self.challenge(invite, &request, false));
        };
        let now = tokio::time::Instant::now().into_std();
        if shield.is_shut(&said.user, flow.peer(), now) {
            return Err(refuse(invite, StatusCode::FORBIDDEN));
        }
        if !self.nonces.is_ours(&said.nonce, &request) {
            return Err(self.challenge(invite, &request, false));
        }
        let requested = invite.uri().map(|uri| uri.to_string());
        if !requested.is_ok_and(|requested| refers_to(&said.uri, &requested)) {
            return Err(refuse(invite, StatusCode::BAD_REQUEST));
        }
        let known = self.credentials.find(&realm, &said.user).filter(|known| known.active);
        let ha1 = known.as_ref().map(|known| known.ha1(said.algorithm));
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = self.nonces.check(&said, ha1, &request, &mut counts);
        drop(counts);
        match (verdict, known) {
            (Verdict::Granted, Some(known)) => {
                shield.succeeded(&said.user, flow.peer());
                Ok(known)
            }
            (Verdict::Stale | Verdict::Replayed, _) => Err(self.challenge(invite, &request, true)),
            (Verdict::Granted | Verdict::Denied, _) => {
                if shield.failed(&said.user, flow.peer(), now) {
                    tracing::warn!(peer = %flow.peer(), user = said.user, "shut out: too many wrong passwords");
                }
                Err(self.challenge(invite, &request, false))
            }
        }
    }

    /// The realm of who calls, as From says it, and else the one that there is.
    fn realm_of(&self, invite: &Message) -> Arc<str> {
        let host = |uri: &Uri| uri.host().map(ToString::to_string).unwrap_or_default();
        let from = invite.from().map(|from| host(&from.uri).to_ascii_lowercase());
        let host = from.unwrap_or_default();
        if self.credentials.knows_realm(&host) {
            return Arc::from(host);
        }
        self.credentials.only_realm().unwrap_or_else(|| self.domain.clone())
    }

    fn challenge(&self, invite: &Message, request: &Request<'_>, stale: bool) -> Bytes {
        let chance = rand::rng().random();
        let challenges = self.nonces.challenges(request, chance, &self.algorithms, stale);
        let octets = answer(invite, StatusCode::UNAUTHORIZED, None, |builder| {
            for challenge in challenges {
                if let Ok(value) = challenge.value() {
                    builder.header(Name::WwwAuthenticate, value.as_str());
                }
            }
        });
        octets.unwrap_or_default()
    }
}

/// The credentials for this realm, the first that read.
fn said(invite: &Message, realm: &str) -> Option<Said> {
    let names = [Name::Authorization, Name::ProxyAuthorization];
    let values = names.into_iter().flat_map(|name| invite.all(name).take(SAID_MAX));
    let mut read = values.filter_map(|header| {
        let text = header.text();
        Said::parse(std::str::from_utf8(&text).ok()?).ok()
    });
    read.find(|said| said.realm == realm)
}

fn refuse(invite: &Message, status: StatusCode) -> Bytes {
    answer(invite, status, None, |_| {}).unwrap_or_default()
}

/// What the caller says of itself: of a carrier what it asserts (RFC 3325), of others what From says.
#[must_use]
pub(super) fn says(caller: &Caller, invite: &Message) -> CallerId {
    let asserted = match caller {
        Caller::Trunk(_) => {
            invite.list::<proto_sip::header::NameAddr>(Name::PAssertedIdentity).find_map(Result::ok)
        }
        Caller::Phone(_) => None,
    };
    let Some(identity) = asserted.or_else(|| invite.from().ok()) else {
        return CallerId::default();
    };
    let name = String::from_utf8_lossy(&identity.display()).trim().to_owned();
    let number = match Dialled::of(&identity.uri) {
        Dialled::Number(number) => Some(number),
        Dialled::Short(text) | Dialled::Name(text) => {
            Some(text).filter(|text| !text.eq_ignore_ascii_case("anonymous"))
        }
        Dialled::Nothing => None,
    };
    CallerId { number, name: Some(name).filter(|name| !name.is_empty()) }
}
