//! Whether a request proves who it is from: its digest, held against who may be known by it.
//!
//! A name that does not exist, one that may not ask and a wrong password are told the same, in the same
//! time. Credentials over a nonce that this address was not given are not even looked at: they are worth a
//! fresh challenge, no ban and no hint.

use bytes::Bytes;
use model::clock::At;
use proto_sip::digest::server::{Request, refers_to};
use proto_sip::digest::{Algorithm, Counts, Credentials as Said, Ha1, Nonces, Verdict};
use proto_sip::{Message, Name, StatusCode};
use rand::RngExt as _;

use super::flow::Flow;
use super::shard::answer;
use super::shield::Shield;

/// Values of Authorization that are looked at.
const SAID_MAX: usize = 4;

/// A request that has to prove who it is from.
#[derive(Clone, Copy)]
pub(super) struct Proof<'a> {
    pub nonces: &'a Nonces,
    pub algorithms: &'a [Algorithm],
    pub shield: &'a Shield,
    pub method: &'a str,
    pub realm: &'a str,
    pub flow: Flow,
    pub message: &'a Message,
}

/// Why it is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unproven {
    /// It says nothing, or nothing that was asked of it.
    Unsaid,
    /// What it says was right once.
    Stale,
    Wrong,
    /// There were too many wrong passwords.
    Shut,
    /// It was said of another request.
    OtherUri,
}

impl Proof<'_> {
    /// Who it is, of those who are known by a name and the hash of a password.
    pub(super) fn prove<T>(
        &self,
        counts: &mut Counts,
        known: impl FnOnce(&str, Algorithm) -> Option<(T, Ha1)>,
    ) -> Result<T, Unproven> {
        let said = self.said().ok_or(Unproven::Unsaid)?;
        let (peer, now) = (self.flow.peer(), tokio::time::Instant::now().into_std());
        if self.shield.is_shut(&said.user, peer, now) {
            return Err(Unproven::Shut);
        }
        let scope = self.scope();
        let request = self.request(&scope);
        if !self.nonces.is_ours(&said.nonce, &request) {
            return Err(Unproven::Unsaid);
        }
        if !self.is_for_this(&said) {
            return Err(Unproven::OtherUri);
        }
        let (who, ha1) = known(&said.user, said.algorithm).unzip();
        match (self.nonces.check(&said, ha1.as_ref(), &request, counts), who) {
            (Verdict::Granted, Some(who)) => {
                self.shield.succeeded(&said.user, peer);
                Ok(who)
            }
            (Verdict::Stale | Verdict::Replayed, _) => Err(Unproven::Stale),
            (Verdict::Granted | Verdict::Denied, _) => {
                if self.shield.failed(&said.user, peer, now) {
                    tracing::warn!(%peer, user = said.user, "shut out: too many wrong passwords");
                }
                Err(Unproven::Wrong)
            }
        }
    }

    /// What it is answered.
    pub(super) fn refuse(&self, why: Unproven) -> Bytes {
        let plain = |status, reason| answer(self.message, status, Some(reason), |_| {});
        let octets = match why {
            Unproven::Shut => plain(StatusCode::FORBIDDEN, "Too Many Failures"),
            Unproven::OtherUri => plain(StatusCode::BAD_REQUEST, "Digest Of Another URI"),
            Unproven::Unsaid | Unproven::Wrong => return self.challenge(false),
            Unproven::Stale => return self.challenge(true),
        };
        octets.unwrap_or_default()
    }

    fn challenge(&self, stale: bool) -> Bytes {
        let (scope, chance) = (self.scope(), rand::rng().random());
        let request = self.request(&scope);
        let challenges = self.nonces.challenges(&request, chance, self.algorithms, stale);
        let octets = answer(self.message, StatusCode::UNAUTHORIZED, None, |builder| {
            for challenge in challenges {
                if let Ok(value) = challenge.value() {
                    builder.header(Name::WwwAuthenticate, value.as_str());
                }
            }
        });
        octets.unwrap_or_default()
    }

    /// The credentials for this realm, the first that read.
    fn said(&self) -> Option<Said> {
        said(self.message).find(|said| said.realm == self.realm)
    }

    /// Some name the proxy that they send to. The nonce says that we are meant; such a URI names nobody.
    fn is_for_this(&self, said: &Said) -> bool {
        let scheme = said.uri.split_once(':').map(|(scheme, _)| scheme);
        let sip =
            scheme.is_some_and(|s| s.eq_ignore_ascii_case("sip") || s.eq_ignore_ascii_case("sips"));
        let requested = self.message.uri().map(|uri| uri.to_string());
        sip && !said.uri.contains('@')
            || requested.is_ok_and(|requested| refers_to(&said.uri, &requested))
    }

    /// What a nonce is bound to: the address, not its port, which a NAT may change.
    fn scope(&self) -> Vec<u8> {
        self.flow.peer().ip().to_canonical().to_string().into_bytes()
    }

    fn request<'b>(&'b self, scope: &'b [u8]) -> Request<'b> {
        let now_ms = u64::try_from(At::now().micros() / 1_000).unwrap_or_default();
        Request { method: self.method, realm: self.realm, scope, now_ms }
    }
}

/// What a request says of who sent it, as far as it can be read.
pub(super) fn said(message: &Message) -> impl Iterator<Item = Said> {
    let names = [Name::Authorization, Name::ProxyAuthorization];
    let values = names.into_iter().flat_map(|name| message.all(name).take(SAID_MAX));
    values.filter_map(|header| {
        let text = header.text();
        Said::parse(std::str::from_utf8(&text).ok()?).ok()
    })
}
