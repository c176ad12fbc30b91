//! Who calls: a telephone by its digest, a trunk by where it calls from or by its digest; everybody else
//! is challenged.
//!
//! Anybody may name an address as the source of a trunk, and telephones may be behind it too. So who shows
//! credentials, says that it is of a realm of ours or is registered where it calls from is a telephone, and
//! proves it; addresses are looked at after that. A carrier is asked for nothing, so it may call our numbers
//! only. Who calls the contact that we registered with a trunk, from where we did, is that trunk before
//! all: nobody else knows of it. What a caller says of itself in From counts for nothing before that; of a telephone it says which
//! number it would like to show.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use model::trunk::Encryption;
use proto_sip::digest::{Algorithm, Counts, Ha1, Nonces};
use proto_sip::{Message, Name, Uri};

use super::super::credentials::Credentials;
use super::super::dialplan::{Caller, CallerId, Dialled};
use super::super::flow::{Flow, Kind};
use super::super::proof::{Proof, said};
use super::super::shield::Shield;
use super::super::trunks::{Caller as By, Running, Trunks};

/// Characters of a caller's name.
const NAME_MAX: usize = 128;
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
        if let Some(trunk) = self.registered(flow, invite) {
            return Ok(Caller::Trunk(trunk));
        }
        let own = self.own_realm(invite);
        if own.is_none() && !shield.is_registered_at(flow.peer()) {
            let address = flow.peer().ip().to_canonical();
            // Sources that are names are not known by their addresses yet.
            if let By::One(trunk) = self.trunks.caller(address, |_| false)
                && is_sealed(&trunk, flow)
            {
                return Ok(Caller::Trunk(trunk));
            }
        }
        let realm = own.or_else(|| self.credentials.only_realm());
        let realm = realm.unwrap_or_else(|| Arc::clone(&self.domain));
        let proof = Proof {
            nonces: &self.nonces,
            algorithms: &self.algorithms,
            shield,
            method: "INVITE",
            realm: &realm,
            flow,
            message: invite,
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let proven = proof.prove(&mut counts, |user, algorithm| {
            let phone = self.credentials.find(&realm, user).filter(|known| known.active);
            if let Some(phone) = phone {
                let ha1 = *phone.ha1(algorithm);
                return Some((Caller::Phone(phone), ha1));
            }
            let (trunk, password) = self.trunk_of(&realm, user)?;
            let ha1 = Ha1::new(algorithm, user, &realm, &password);
            is_sealed(&trunk, flow).then_some((Caller::Trunk(trunk), ha1))
        });
        proven.map_err(|why| proof.refuse(why))
    }

    /// The trunk whose registrar calls us by the contact that we gave it.
    fn registered(&self, flow: Flow, invite: &Message) -> Option<Arc<Running>> {
        let user = invite.uri().ok()?.user_unescaped()?;
        let found = self.trunks.registered(std::str::from_utf8(&user).ok()?, flow);
        found.filter(|trunk| is_sealed(trunk, flow))
    }

    /// The realm of ours that a caller says it is of: by the host of From, or by its credentials.
    fn own_realm(&self, invite: &Message) -> Option<Arc<str>> {
        let host = |uri: &Uri| uri.host().map(ToString::to_string).unwrap_or_default();
        let from = invite.from().map(|from| host(&from.uri).to_ascii_lowercase());
        let is_ours = |realm: &str| realm == &*self.domain || self.credentials.knows_realm(realm);
        let from = from.ok().filter(|host| self.credentials.knows_realm(host));
        let shown = || said(invite).map(|said| said.realm).find(|realm| is_ours(realm));
        from.or_else(shown).map(Arc::from)
    }

    /// A customer's trunk that is let in by a password: of the realm's organization, or of all that have
    /// one, if one only has this name.
    fn trunk_of(&self, realm: &str, user: &str) -> Option<(Arc<Running>, String)> {
        let home = |organization| self.credentials.realm_of(organization);
        let fits = |running: &Arc<Running>| {
            let organization = running.trunk.organization;
            organization.is_some_and(|own| {
                realm == &*self.domain || home(own).is_some_and(|home| *home == *realm)
            })
        };
        let mut found = self.trunks.named(user);
        found.retain(fits);
        let [trunk] = found.as_slice() else { return None };
        Some((Arc::clone(trunk), trunk.trunk.password.as_ref()?.0.clone()))
    }
}

/// Whether a trunk speaks as it has to: over TLS, if its calls are to be sealed. What comes over UDP may
/// come from anybody who writes that address.
fn is_sealed(trunk: &Running, flow: Flow) -> bool {
    trunk.trunk.encryption == Encryption::None || flow.kind() == Kind::Tls
}

/// Whom an INVITE is for. A registrar asks for our contact there, and says elsewhere what was dialled:
/// P-Called-Party-ID (RFC 7315 §4.2), or else To.
#[must_use]
pub(super) fn asks_for(caller: &Caller, invite: &Message) -> Option<Uri> {
    let asked = invite.uri().ok()?;
    let is_contact = match caller {
        Caller::Trunk(trunk) => {
            asked.user().is_some_and(|user| user == trunk.live.contact().as_bytes())
        }
        Caller::Phone(_) => false,
    };
    if !is_contact {
        return Some(asked);
    }
    let called = invite.value::<proto_sip::header::NameAddr>("P-Called-Party-ID").ok().flatten();
    Some(called.or_else(|| invite.to().ok())?.uri)
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
    let name = String::from_utf8_lossy(&identity.display()).into_owned();
    let shown = name.trim().chars().filter(|sign| !sign.is_control());
    let name: String = shown.take(NAME_MAX).collect();
    let number = match Dialled::of(&identity.uri) {
        Dialled::Number(number) => Some(number),
        Dialled::Short(text) | Dialled::Name(text) => {
            Some(text).filter(|text| !text.eq_ignore_ascii_case("anonymous"))
        }
        Dialled::Nothing => None,
    };
    let withheld = is_withheld(invite);
    CallerId { number, name: Some(name).filter(|name| !name.is_empty()), withheld }
}

/// How often a call was sent on before it came, as RFC 5806 has it counted.
#[must_use]
pub(super) fn forwards(invite: &Message) -> usize {
    let diversions = invite.list::<proto_sip::header::NameAddr>(Name::Diversion);
    let count = |diversion: proto_sip::header::NameAddr| {
        let counter = diversion.params.get("counter");
        let counter = counter.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        counter.unwrap_or(1_usize).max(1)
    };
    diversions.filter_map(Result::ok).map(count).fold(0, usize::saturating_add)
}

/// Whether the caller does not want to be shown: by Privacy (RFC 3323, RFC 3325), or an anonymous From.
fn is_withheld(invite: &Message) -> bool {
    let hides =
        |word: &str| ["id", "user", "header"].iter().any(|own| word.eq_ignore_ascii_case(own));
    let asks = invite.all(Name::Privacy).any(|header| {
        let text = header.text();
        let text = String::from_utf8_lossy(&text);
        text.split([';', ',']).any(|word| hides(word.trim()))
    });
    let hidden = |uri: &Uri| {
        let host = uri.host().map(ToString::to_string).unwrap_or_default();
        let user = uri.user_unescaped().unwrap_or_default();
        host.eq_ignore_ascii_case("anonymous.invalid") || user.eq_ignore_ascii_case(b"anonymous")
    };
    asks || invite.from().is_ok_and(|from| hidden(&from.uri))
}
