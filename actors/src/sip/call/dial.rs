//! Whom a plan rings, by name and way: a telephone's contacts, a customer's system, an address, a carrier.
//!
//! Each becomes the INVITE of a leg. What the callee is told of the caller is decided here: a telephone
//! hears an extension or a number in its own realm, a carrier a number, which we vouch for.

use std::sync::Arc;

use bytes::Bytes;
use model::clock::At;
use model::trunk::{Encryption, Target as TrunkTarget};
use model::voice::{LegKind, Rated};
use proto_sip::digest::{Account, Client};
use proto_sip::header::NameAddr;
use proto_sip::leg::Extra;
use proto_sip::uri::Host;
use proto_sip::{Name, Uri};

use super::super::credentials::Credential;
use super::super::dialplan::{Address, CallerId, Diverted, Headers};
use super::super::flow::Flow;
use super::super::registrar::Reached;
use super::egress::Leaving;
use super::record;
use crate::sip::trunks::{Channel, Running, Trunk};

/// Somebody to ring, and what that costs.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub way: Way,
    pub rated: Rated,
}

#[derive(Clone, Debug)]
pub(super) enum Way {
    /// One contact of a telephone.
    Contact {
        phone: Arc<Credential>,
        reached: Reached,
    },
    Trunk {
        trunk: Arc<Running>,
        to: String,
        headers: Headers,
    },
    Address(Arc<Address>),
    Carrier(Leaving),
}

/// Where an INVITE goes first.
#[derive(Clone, Debug)]
pub(super) enum Reach {
    Flow(Flow),
    /// A trunk's; the operator's may be in a private network.
    Target(TrunkTarget, bool),
    /// An address outside.
    Uri(Bytes),
}

/// An INVITE, as the way has it.
pub(super) struct Invite {
    pub uri: String,
    pub from: String,
    pub to: String,
    pub routes: Vec<String>,
    pub extra: Extra,
    pub reach: Reach,
    /// What is answered to challenges.
    pub client: Option<Client>,
    pub channel: Option<Channel>,
    /// Its sound has to be sealed.
    pub seals: bool,
    /// What may be spoken, by name; empty for any.
    pub codecs: Vec<String>,
    pub facts: Facts,
}

/// What its record says of it.
pub(super) struct Facts {
    pub kind: LegKind,
    pub to: String,
    pub party: String,
    pub trunk: Option<String>,
}

/// What who is called learns of the call.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub from: &'a CallerId,
    pub diverted: Option<&'a Diverted>,
}

impl Target {
    /// The INVITE, or none where there is no room.
    #[must_use]
    pub(super) fn invite(&self, shown: Shown<'_>, dialled: &str, now: At) -> Option<Invite> {
        let from = shown.from;
        match &self.way {
            Way::Contact { phone, reached } => Some(to_contact(phone, reached, from, dialled)),
            Way::Trunk { trunk, to, headers } => to_trunk(trunk, (to, headers), from, now),
            Way::Address(address) => Some(to_address(address, shown, dialled)),
            Way::Carrier(leaving) => to_carrier(leaving, shown, now),
        }
    }
}

fn to_contact(phone: &Credential, reached: &Reached, from: &CallerId, dialled: &str) -> Invite {
    let paths = String::from_utf8_lossy(&reached.path).into_owned();
    let routes = paths.split(',').map(|route| route.trim().trim_matches(['<', '>']).to_owned());
    let to = phone.extension.as_deref().unwrap_or(&phone.username);
    Invite {
        uri: String::from_utf8_lossy(&reached.contact).into_owned(),
        from: name_addr(from, &phone.realm),
        to: address(Some(to), &phone.realm),
        routes: routes.filter(|route| !route.is_empty()).collect(),
        extra: Extra::default(),
        reach: Reach::Flow(reached.flow),
        client: None,
        channel: None,
        seals: false,
        codecs: Vec::new(),
        facts: Facts {
            kind: record::kind_of(reached.flow),
            to: dialled.to_owned(),
            party: format!("{}@{}", phone.username, phone.realm),
            trunk: None,
        },
    }
}

/// A customer's telephone system.
fn to_trunk(
    running: &Arc<Running>,
    (to, headers): (&str, &Headers),
    from: &CallerId,
    now: At,
) -> Option<Invite> {
    let channel = running.take_call(now)?;
    let host = host_of(running.trunk.target.as_ref()?);
    let from = name_addr(from, &host);
    by_trunk(&running.trunk, (to, from), added(headers), (LegKind::Sip, channel))
}

fn by_trunk(
    trunk: &Trunk,
    (to, from): (&str, String),
    extra: Extra,
    (kind, channel): (LegKind, Channel),
) -> Option<Invite> {
    let target = trunk.target.as_ref()?;
    Some(Invite {
        uri: uri_at(target, to),
        to: address(Some(to), &host_of(target)),
        from,
        routes: Vec::new(),
        extra,
        reach: Reach::Target(target.clone(), trunk.organization.is_none()),
        client: client(trunk),
        channel: Some(channel),
        seals: trunk.encryption == Encryption::TlsSrtp,
        codecs: trunk.codecs.clone(),
        facts: Facts {
            kind,
            to: to.to_owned(),
            party: to.to_owned(),
            trunk: Some(trunk.name.to_string()),
        },
    })
}

/// What is answered to a trunk's challenges: of the realm that stands behind the user's name, and else
/// of the trunk's host.
fn client(trunk: &Trunk) -> Option<Client> {
    let (user, password) = (trunk.username.as_deref()?, trunk.password.as_ref()?);
    Some(proves(user, &password.0, &trunk.target.as_ref()?.host))
}

fn proves(user: &str, password: &str, host: &str) -> Client {
    let (user, realm) = user.split_once('@').unwrap_or((user, host));
    Client::new(vec![Account::new(realm, user, password)])
}

/// What a customer adds; what may not be written is left out.
fn added(headers: &Headers) -> Extra {
    let mut extra = Extra::default();
    for (name, value) in headers {
        let _ = extra.add(name, value.as_str());
    }
    extra
}

/// Which number sent the call on, RFC 5806.
fn divert(extra: &mut Extra, diverted: Option<&Diverted>, host: &str) {
    if let Some(Diverted { by, counter }) = diverted {
        let by = address(Some(by), host);
        let value = format!("{by};reason=unconditional;counter={counter}");
        let _ = extra.add(Name::Diversion.as_str(), value.as_str());
    }
}

fn to_address(address: &Address, shown: Shown<'_>, dialled: &str) -> Invite {
    let uri = address.uri.as_str();
    let parsed = Uri::parse(&Bytes::copy_from_slice(uri.as_bytes()));
    let host = parsed.ok().and_then(|uri| uri.host().map(ToString::to_string)).unwrap_or_default();
    let mut extra = added(&address.headers);
    divert(&mut extra, shown.diverted, &host);
    let user = address.username.as_deref().zip(address.password.as_ref());
    Invite {
        uri: uri.to_owned(),
        from: name_addr(shown.from, &host),
        to: format!("<{uri}>"),
        routes: Vec::new(),
        extra,
        reach: Reach::Uri(Bytes::copy_from_slice(uri.as_bytes())),
        client: user.map(|(user, password)| proves(user, &password.0, &host)),
        channel: None,
        seals: false,
        codecs: Vec::new(),
        facts: Facts {
            kind: LegKind::Sip,
            to: dialled.to_owned(),
            party: uri.to_owned(),
            trunk: None,
        },
    }
}

fn to_carrier(leaving: &Leaving, shown: Shown<'_>, now: At) -> Option<Invite> {
    let from = shown.from;
    let carrier = leaving.carrier();
    let host = host_of(carrier.target.as_ref()?);
    let known = name_addr(&CallerId { withheld: false, ..from.clone() }, &host);
    let mut extra = Extra::default();
    // What cannot be written is left out; From says the same.
    let _ = extra.add(Name::PAssertedIdentity.as_str(), known.as_str());
    if from.withheld {
        // RFC 3325 §9.3: between us and the carrier, and no further.
        let _ = extra.add(Name::Privacy.as_str(), "id");
    }
    divert(&mut extra, shown.diverted, &host);
    let from = name_addr(from, &host);
    let channel = leaving.channel(now)?;
    by_trunk(carrier, (leaving.number(), from), extra, (LegKind::Pstn, channel))
}

/// `"name" <sip:number@host>`; who is withheld has neither.
fn name_addr(from: &CallerId, host: &str) -> String {
    let Some(number) = from.shown() else {
        return "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned();
    };
    let uri = uri_of(Some(number), host);
    let mut value = NameAddr::new(uri);
    if let Some(name) = &from.name {
        value.set_display(name);
    }
    let mut out = Vec::new();
    proto_sip::header::Value::write(&value, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn address(user: Option<&str>, host: &str) -> String {
    format!("<{}>", uri_of(user, host))
}

fn uri_of(user: Option<&str>, host: &str) -> Uri {
    let text = Bytes::copy_from_slice(host.as_bytes());
    let host = Host::parse(&text).unwrap_or(Host::Name(Bytes::from_static(b"invalid")));
    Uri::sip_of(user, &host, None)
}

/// A trunk's host as it stands in an address.
fn host_of(target: &TrunkTarget) -> String {
    if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() }
}

/// `sip:user@host:port;transport=tcp`.
fn uri_at(target: &TrunkTarget, user: &str) -> String {
    let text = target.to_string();
    let uri = text.replacen("sip:", &format!("sip:{user}@"), 1);
    uri.replace(";transport=udp", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_named_as_the_callee_may_know_them() {
        let full = CallerId {
            number: Some("+1415".into()),
            name: Some("A \"B\"".into()),
            withheld: false,
        };
        assert_eq!(name_addr(&full, "x.example"), "\"A \\\"B\\\"\" <sip:+1415@x.example>");
        let bare = CallerId { number: Some("100".into()), ..CallerId::default() };
        assert_eq!(name_addr(&bare, "x.example"), "<sip:100@x.example>");
        for hidden in [CallerId::default(), CallerId { withheld: true, ..full }] {
            let shown = name_addr(&hidden, "x.example");
            assert_eq!(shown, "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
        }
        let target = TrunkTarget::parse("sip:[2001:db8::1]:5070;transport=tcp").unwrap();
        assert_eq!(uri_at(&target, "+1"), "sip:+1@[2001:db8::1]:5070;transport=tcp");
        assert_eq!(host_of(&target), "[2001:db8::1]");
    }
}
