//! Who may call what, as facts.

use bytes::Bytes;
use model::clock::At;
use model::emergency::Emergency;
use model::id::PublicId;
use model::trunk::{Encryption, Target};
use model::voice::{Bounds, VoiceRates};
use proto_sip::Uri;
use store::SipCredentialRow;

use super::numbers::{Number, Numbers, Routing};
use super::*;
use crate::customer::webhook::guard::Networks;
use crate::sip::credentials::{self, Credentials};
use crate::sip::trunks::{Trunk, Trunks};

const REALM: &str = "acme.sip.test";
const RATES: &str = "prefix,direction,rate_per_min_micros,initial_s,increment_s,\
    connect_fee_micros,valid_from,valid_to\n\
    1,outbound,12000,60,60,0,,\n1,inbound,4000,60,60,0,,\n";

fn row(id: i64, username: &str, extension: &str) -> SipCredentialRow {
    let hashes = credentials::hashes(REALM, username, "secret");
    SipCredentialRow {
        id,
        public_id: vec![u8::try_from(id).unwrap(); 16],
        organization_id: 1,
        realm: REALM.to_owned(),
        username: username.to_owned(),
        ha1_md5: hashes.md5,
        ha1_sha256: hashes.sha256,
        extension: Some(extension.to_owned()),
        allowed_outbound: 1,
        allowed_destinations: String::from("[\"+1\"]"),
        caller_id: None,
        max_contacts: 5,
        status: 1,
        updated_at: 10,
        suspended_at: None,
        is_sandbox: 0,
    }
}

fn number(id: i64, e164: &str, routing: Routing) -> Number {
    let (organization, voice, sandbox) = (OrgId(1), true, false);
    Number { id, organization, e164: e164.to_owned(), voice, routing, sandbox }
}

/// One carrier, which takes calls to North America and brings some.
fn trunks() -> Trunks {
    let carrier = Trunk {
        id: PublicId::new(At(0)),
        organization: None,
        name: "wholesale".into(),
        target: Target::parse("sip:192.0.2.9"),
        sources: Vec::new(),
        username: None,
        password: None,
        codecs: Vec::new(),
        encryption: Encryption::None,
        register: false,
        ping: None,
        max_channels: 0,
        max_cps: 0,
        prefixes: vec!["1".into()],
        priority: 0,
        weight: 1,
        enabled: true,
    };
    let trunks = Trunks::new(Networks::default(), false);
    trunks.replace([(None, vec![carrier])]);
    trunks
}

/// A customer's telephone system.
fn pbx() -> Trunk {
    let carrier = trunks().of(None)[0].trunk.clone();
    Trunk { organization: Some(OrgId(1)), ..carrier }
}

struct World {
    credentials: Credentials,
    numbers: Numbers,
    trunks: Trunks,
    rates: VoiceRates,
    bounds: Bounds,
    trusts: bool,
}

impl World {
    fn new() -> Self {
        let credentials = Credentials::default();
        credentials.put(&row(1, "alice", "100"));
        credentials.put(&row(2, "bob", "101"));
        credentials.put(&SipCredentialRow { allowed_outbound: 0, ..row(3, "carol", "102") });
        let group = Routing::RingGroup { credentials: vec![1, 2, 9], in_turn: true, ring_s: 15 };
        let numbers = vec![
            number(1, "+14155550100", Routing::Phone { credential: 2 }),
            number(2, "+14155550101", group),
            number(3, "+14155550102", Routing::Reject { busy: true }),
            number(4, "+14155550103", Routing::Forward { number: "+14155559999".into() }),
            number(5, "+14155550104", Routing::Forward { number: "+14155550104".into() }),
            number(6, "+14155550105", Routing::Forward { number: "1911".into() }),
            number(7, "+14155550106", Routing::SipForward { uri: "sip:911@example.com".into() }),
        ];
        Self {
            credentials,
            numbers: Numbers::new(numbers, &[]),
            trunks: trunks(),
            rates: VoiceRates::from_csv(RATES).unwrap(),
            bounds: Bounds { blocked_prefixes: vec!["1900".into()], ..Bounds::default() },
            trusts: false,
        }
    }

    fn carrier(&self) -> Caller {
        Caller::Trunk(self.trunks.of(None)[0].clone())
    }

    fn phone(&self, username: &str) -> Caller {
        Caller::Phone(self.credentials.find(REALM, username).unwrap())
    }

    fn call(&self, caller: &Caller, says: Option<&str>, uri: &str) -> Result<Plan, Refused> {
        let parsed = Uri::parse(&Bytes::copy_from_slice(uri.as_bytes())).unwrap();
        let emergency = Emergency::default();
        let tables = Tables {
            credentials: &self.credentials,
            numbers: &self.numbers,
            trunks: &self.trunks,
            emergency: &emergency,
            bounds: &self.bounds,
            rates: &self.rates,
            ring: Duration::from_secs(60),
            trusts_caller_ids: self.trusts,
        };
        let says = CallerId { number: says.map(str::to_owned), ..CallerId::default() };
        let dialled = Dialled::of(&parsed);
        plan(tables, &Ask { caller, uri, dialled, says, now: At(0) })
    }
}

fn first_phone(plan: &Plan) -> Vec<&str> {
    let name = |place: &Place| match place {
        Place::Phone(phone) => Some(phone.username.clone()),
        _ => None,
    };
    let names: Vec<_> = plan.steps[0].places.iter().filter_map(name).collect();
    names.iter().map(|name| &*Box::leak(name.to_string().into_boxed_str())).collect()
}

#[test]
fn no_call_reaches_help_whoever_calls() {
    let world = World::new();
    let carrier = world.carrier();
    for caller in [world.phone("alice"), world.phone("carol"), carrier] {
        for uri in ["sip:911@x", "sip:+1911@x", "tel:112", "urn:service:sos", "sip:0112@x"] {
            assert_eq!(world.call(&caller, None, uri).unwrap_err(), Refused::Emergency, "{uri}");
        }
    }
    let alice = world.phone("alice");
    for forwarded in ["sip:+14155550105@x", "sip:+14155550106@x"] {
        assert_eq!(world.call(&alice, None, forwarded).unwrap_err(), Refused::Emergency);
    }
}

#[test]
fn telephones_of_one_organization_reach_each_other_for_nothing() {
    let world = World::new();
    let alice = world.phone("alice");
    for uri in ["sip:101@acme.sip.test", "sip:bob@acme.sip.test"] {
        let plan = world.call(&alice, None, uri).unwrap();
        assert_eq!(first_phone(&plan), ["bob"]);
        assert!(plan.rated().tariff.is_free());
        assert_eq!(plan.from.number.as_deref(), Some("100"));
    }
    assert_eq!(world.call(&alice, None, "sip:999999@x").unwrap_err(), Refused::Unknown);
}

#[test]
fn the_public_network_is_for_who_may_call_it_from_an_own_number_at_a_price() {
    let world = World::new();
    let alice = world.phone("alice");
    let plan = world.call(&alice, None, "sip:14155559999@x").unwrap();
    assert_eq!(plan.from.number.as_deref(), Some("+14155550100"));
    assert_eq!(plan.outward.tariff.per_minute, 12_000);
    assert!(
        matches!(&plan.steps[0].places[..], [Place::Public { number }] if number == "+14155559999")
    );
    let own = world.call(&alice, Some("+14155550101"), "sip:+14155559999@x").unwrap();
    assert_eq!(own.from.number.as_deref(), Some("+14155550101"));
    for (says, uri, refused) in [
        (Some("+14155551234"), "sip:+14155559999@x", Refused::CallerId),
        (None, "sip:+4930123456@x", Refused::NotAllowed),
        (None, "sip:+19005550123@x", Refused::Fraud),
    ] {
        assert_eq!(world.call(&alice, says, uri).unwrap_err(), refused, "{uri}");
    }
    let carol = world.phone("carol");
    let refused = world.call(&carol, None, "sip:+14155559999@x").unwrap_err();
    assert_eq!(refused, Refused::NotAllowed);
    assert!(world.call(&carol, None, "sip:100@x").is_ok());
}

#[test]
fn a_carrier_brings_calls_to_our_numbers_and_nowhere_else() {
    let world = World::new();
    let carrier = world.carrier();
    let plan = world.call(&carrier, Some("+12125550000"), "sip:14155550100@x").unwrap();
    assert_eq!((first_phone(&plan), plan.direction), (vec!["bob"], Direction::Inbound));
    assert_eq!((plan.inward.tariff.per_minute, plan.number), (4_000, Some(1)));
    for uri in ["sip:+14155559999@x", "sip:100@acme.sip.test", "sip:bob@acme.sip.test"] {
        assert_eq!(world.call(&carrier, None, uri).unwrap_err(), Refused::Unknown, "{uri}");
    }
}

#[test]
fn numbers_lead_where_their_owner_says() {
    let world = World::new();
    let carrier = world.carrier();
    let call = |uri: &str| world.call(&carrier, Some("+12125550000"), uri);
    let group = call("sip:+14155550101@x").unwrap();
    assert_eq!(first_phone(&group), ["alice", "bob"]);
    assert_eq!((group.steps[0].order, group.steps[0].ring.as_secs()), (Order::InTurn, 15));
    assert_eq!(call("sip:+14155550102@x").unwrap_err(), Refused::Busy);
    let forwarded = call("sip:+14155550103@x").unwrap();
    assert_eq!(forwarded.rated().tariff.per_minute, 16_000);
    assert_eq!(forwarded.from.number.as_deref(), Some("+12125550000"));
    assert_eq!(call("sip:+14155550104@x").unwrap_err(), Refused::TooManyHops);
}

#[test]
fn a_credential_shows_a_number_of_its_organizations_and_no_other() {
    let mut world = World::new();
    let with = |number: &str| SipCredentialRow {
        caller_id: Some(number.to_owned()),
        ..row(1, "alice", "100")
    };
    world.credentials.put(&SipCredentialRow { updated_at: 11, ..with("+14155551234") });
    let call = |world: &World| world.call(&world.phone("alice"), None, "sip:+14155559999@x");
    assert_eq!(call(&world).unwrap_err(), Refused::CallerId);
    world.trusts = true;
    assert_eq!(call(&world).unwrap().from.number.as_deref(), Some("+14155551234"));
    world.trusts = false;
    world.credentials.put(&SipCredentialRow { updated_at: 12, ..with("+14155550101") });
    assert_eq!(call(&world).unwrap().from.number.as_deref(), Some("+14155550101"));
}

#[test]
fn what_is_forwarded_is_asked_for_where_it_goes() {
    let world = World::new();
    let carrier = world.call(&world.carrier(), None, "sip:+14155550103@x").unwrap();
    assert_eq!(carrier.dials().collect::<Vec<_>>(), ["+14155559999"]);
    // By dialling its own number a telephone gets nowhere where it may not call.
    let narrow = SipCredentialRow {
        allowed_destinations: String::from("[\"+1415555010\"]"),
        updated_at: 11,
        ..row(1, "alice", "100")
    };
    world.credentials.put(&narrow);
    let alice = world.phone("alice");
    let refused = world.call(&alice, None, "sip:+14155550103@x").unwrap_err();
    assert_eq!(refused, Refused::NotAllowed);
    assert!(world.call(&alice, None, "sip:+14155550100@x").is_ok());
}

#[test]
fn a_sandbox_organizations_telephone_system_reaches_nothing_outside() {
    let mut world = World::new();
    let trunks = trunks();
    trunks.replace([(Some(OrgId(1)), vec![Trunk { id: PublicId::new(At(1)), ..pbx() }])]);
    let caller = Caller::Trunk(trunks.of(Some(OrgId(1)))[0].clone());
    world.trunks = trunks;
    let call = |world: &World| world.call(&caller, Some("+14155550100"), "sip:+14155559999@x");
    assert!(call(&world).is_ok());
    let tried = Number { sandbox: true, ..number(1, "+14155550100", Routing::Nowhere) };
    world.numbers = Numbers::new(vec![tried], &[]);
    assert_eq!(call(&world).unwrap_err(), Refused::Sandbox);
    let inside = world.call(&caller, Some("+14155550100"), "sip:100@x").unwrap();
    assert!(inside.test);
}
