//! Who may call what, as facts.

use bytes::Bytes;
use model::clock::At;
use model::emergency::Emergency;
use model::id::{Kind, PublicId};
use model::number::{
    Fallback, NumberStatus, RingGroup, RingStrategy, RingTarget, Routing, SipForward,
};
use model::trunk::{Encryption, Target};
use model::voice::{Bounds, VoiceRates};
use proto_sip::{StatusCode, Uri};
use store::{NumberRouteRow, ProxySessionRow, SipCredentialRow};

use super::*;
use crate::customer::webhook::guard::Networks;
use crate::sip::credentials::{self, Credentials};
use crate::sip::masks::Masks;
use crate::sip::numbers::Numbers;
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

/// `+1415555` and four digits.
fn number(last: i64, routing: Option<Routing>) -> NumberRouteRow {
    NumberRouteRow {
        id: last,
        public_id: vec![u8::try_from(last % 256).unwrap(); 16],
        organization_id: 1,
        e164: format!("+1415555{last:04}"),
        capabilities: String::from("[\"voice\"]"),
        status: NumberStatus::Active.code(),
        routing: routing.map(|routing| routing.text()),
        record: 0,
        routing_password: None,
        assigned_at: Some(last),
        updated_at: 1,
        is_sandbox: 0,
    }
}

fn numbers(rows: &[NumberRouteRow]) -> Numbers {
    let numbers = Numbers::new(Box::new(|_, _| None));
    numbers.fill(rows);
    numbers
}

fn forward(to: &str) -> Routing {
    Routing::Forward { number: to.to_owned() }
}

fn user(name: &str) -> RingTarget {
    RingTarget::User { name: name.to_owned() }
}

fn phone(number: &str) -> RingTarget {
    RingTarget::Phone { number: number.to_owned() }
}

fn group(targets: Vec<RingTarget>, strategy: RingStrategy) -> Routing {
    Routing::RingGroup(RingGroup { targets, strategy, ring_seconds: 15 })
}

fn inline(uri: &str, fallback: Option<Fallback>) -> Routing {
    Routing::SipForward(SipForward::Inline {
        sip_uri: uri.to_owned(),
        sip_username: None,
        headers: [("X-A".to_owned(), "1".to_owned())].into(),
        timeout: 20,
        fallback: fallback.map(Box::new),
    })
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
    masks: Masks,
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
        let in_turn =
            group(vec![user("100"), user("bob"), user("nobody")], RingStrategy::Sequential);
        let rows = [
            number(100, Some(group(vec![user("101")], RingStrategy::Simultaneous))),
            number(101, Some(in_turn)),
            number(102, Some(Routing::Reject { status: 486 })),
            number(103, Some(forward("+14155559999"))),
            number(104, Some(forward("+14155550104"))),
            number(105, Some(forward("1911"))),
            number(106, Some(inline("sip:911@example.com", None))),
            number(107, None),
            number(108, Some(Routing::Proxy {})),
            number(109, Some(forward("+14155550103"))),
        ];
        Self {
            credentials,
            numbers: numbers(&rows),
            masks: Masks::default(),
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
        let says = CallerId { number: says.map(str::to_owned), ..CallerId::default() };
        self.sent_on(caller, says, uri, 0)
    }

    fn sent_on(
        &self,
        caller: &Caller,
        says: CallerId,
        uri: &str,
        forwards: usize,
    ) -> Result<Plan, Refused> {
        let parsed = Uri::parse(&Bytes::copy_from_slice(uri.as_bytes())).unwrap();
        let emergency = Emergency::default();
        let tables = Tables {
            credentials: &self.credentials,
            numbers: &self.numbers,
            masks: &self.masks,
            trunks: &self.trunks,
            emergency: &emergency,
            bounds: &self.bounds,
            rates: &self.rates,
            ring: Duration::from_secs(60),
            trusts_caller_ids: self.trusts,
        };
        let dialled = Dialled::of(&parsed);
        plan(tables, &Ask { caller, uri, dialled, says, forwards, now: At(0) })
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
    assert_eq!(plan.rated().tariff.per_minute, 12_000);
    assert_eq!(plan.dials().collect::<Vec<_>>(), ["+14155559999"]);
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
    assert_eq!(
        (plan.inward.tariff.per_minute, plan.number),
        (4_000, Some(PublicId::from_bytes([100; 16])))
    );
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
    let busy = Refused::Rejected(StatusCode::BUSY_HERE);
    assert_eq!(call("sip:+14155550102@x").unwrap_err(), busy);
    assert_eq!(call("sip:+14155550107@x").unwrap_err(), Refused::Unknown);
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
    let tried = NumberRouteRow { is_sandbox: 1, ..number(100, None) };
    world.numbers = numbers(&[tried]);
    assert_eq!(call(&world).unwrap_err(), Refused::Sandbox);
    let inside = world.call(&caller, Some("+14155550100"), "sip:100@x").unwrap();
    assert!(inside.test);
}

fn places(plan: &Plan) -> Vec<Vec<String>> {
    let shown = |place: &Place| match place {
        Place::Phone(phone) => phone.username.to_string(),
        Place::Trunk { to, .. } => format!("trunk {to}"),
        Place::Address(address) => address.uri.clone(),
        Place::Public { number, .. } => number.clone(),
    };
    plan.steps.iter().map(|step| step.places.iter().map(shown).collect()).collect()
}

#[test]
fn a_call_is_sent_on_three_times_wherever_that_was_and_no_more() {
    let world = World::new();
    let sent_on = |uri: &str, forwards| {
        let says = CallerId { number: Some("+12125550000".into()), ..CallerId::default() };
        world.sent_on(&world.carrier(), says, uri, forwards)
    };
    let twice = sent_on("sip:+14155550109@x", 1).unwrap();
    assert_eq!(places(&twice), [["+14155559999"]]);
    let diverted = twice.diverted.unwrap();
    assert_eq!((&*diverted.by, diverted.counter), ("+14155550109", 3));
    assert_eq!(sent_on("sip:+14155550109@x", 2).unwrap_err(), Refused::TooManyHops);
    assert_eq!(sent_on("sip:+14155550103@x", 3).unwrap_err(), Refused::TooManyHops);
    assert!(sent_on("sip:+14155550100@x", 3).is_ok(), "a telephone is the end of it");
}

#[test]
fn who_calls_is_shown_and_a_caller_without_a_number_as_the_number_that_was_called() {
    let world = World::new();
    for (says, shown) in [(Some("+12125550000"), "+12125550000"), (None, "+14155550103")] {
        let plan = world.call(&world.carrier(), says, "sip:+14155550103@x").unwrap();
        assert_eq!((plan.from.number.as_deref(), plan.recorded()), (Some(shown), says));
    }
}

#[test]
fn a_group_rings_telephones_and_numbers_and_holds_for_the_dearest() {
    let mut world = World::new();
    let dear = format!("{RATES}1900,outbound,50000,60,60,0,,\n");
    world.rates = VoiceRates::from_csv(&dear).unwrap();
    world.bounds = Bounds::default();
    let targets =
        |last| vec![user("alice"), phone("+14155559999"), phone(last), phone("+14155550100")];
    let both = |last| number(110, Some(group(targets(last), RingStrategy::Simultaneous)));
    world.numbers.put(&both("+19005551234"));
    let call =
        |world: &World| world.call(&world.carrier(), Some("+12125550000"), "sip:+14155550110@x");
    let plan = call(&world).unwrap();
    let expected = ["alice", "+14155559999", "+19005551234", "bob"];
    assert_eq!(places(&plan), [expected.map(str::to_owned).to_vec()]);
    assert_eq!(plan.rated().tariff.per_minute, 54_000);
    let rates = plan.steps[0].places.iter().filter_map(|place| match place {
        Place::Public { rated, .. } => Some(rated.tariff.per_minute),
        _ => None,
    });
    assert_eq!(rates.collect::<Vec<_>>(), [12_000, 50_000]);
    // What cannot be called is left out; what is for help never is.
    world.numbers.put(&NumberRouteRow { updated_at: 2, ..both("+4930123456") });
    assert_eq!(places(&call(&world).unwrap())[0].len(), 3);
    world.numbers.put(&NumberRouteRow { updated_at: 3, ..both("+1911") });
    assert_eq!(call(&world).unwrap_err(), Refused::Emergency);
}

#[test]
fn a_call_that_is_not_taken_elsewhere_goes_to_the_fallback() {
    let world = World::new();
    let to = |last, fallback| number(last, Some(inline("sip:a@pbx.example.com", fallback)));
    let forward = Fallback::Forward { number: "+14155559999".into() };
    world.numbers.put(&to(110, Some(forward)));
    world.numbers.put(&to(111, Some(Fallback::Forward { number: "+4930123456".into() })));
    world.numbers.put(&to(112, Some(Fallback::Forward { number: "112".into() })));
    let call = |uri: &str| world.call(&world.carrier(), Some("+12125550000"), uri);
    let plan = call("sip:+14155550110@x").unwrap();
    assert_eq!(places(&plan), [["sip:a@pbx.example.com"], ["+14155559999"]]);
    assert_eq!((plan.steps[0].ring.as_secs(), plan.rated().tariff.per_minute), (20, 16_000));
    assert_eq!(places(&call("sip:+14155550111@x").unwrap()), [["sip:a@pbx.example.com"]]);
    assert_eq!(call("sip:+14155550112@x").unwrap_err(), Refused::Emergency);
}

#[test]
fn a_number_of_a_trunk_leads_to_the_trunk_while_it_is_there() {
    let mut world = World::new();
    let id = PublicId::new(At(1));
    let to = SipForward::Trunk {
        trunk_id: id.show(Kind::Trunk),
        headers: std::collections::BTreeMap::new(),
        timeout: 30,
        fallback: None,
    };
    world.numbers.put(&number(110, Some(Routing::SipForward(to))));
    let call = |world: &World| world.call(&world.carrier(), None, "sip:+14155550110@x");
    assert_eq!(call(&world).unwrap_err(), Refused::Unknown);
    let own = Trunk { id, ..pbx() };
    world.trunks.replace([(Some(OrgId(1)), vec![own.clone()])]);
    assert_eq!(places(&call(&world).unwrap()), [["trunk +14155550110"]]);
    let others = Trunk { organization: Some(OrgId(2)), ..own };
    world.trunks = trunks();
    world.trunks.replace([(Some(OrgId(2)), vec![others])]);
    assert_eq!(call(&world).unwrap_err(), Refused::Unknown);
}

fn session(a: &str, b: &str, channels: i64) -> ProxySessionRow {
    ProxySessionRow {
        id: 7,
        public_id: vec![7; 16],
        organization_id: 1,
        proxy_number: "+14155550108".into(),
        party_a: a.to_owned(),
        party_b: b.to_owned(),
        channels,
        status: 1,
        interactions: 0,
        expires_at: 100,
        created_at: 0,
        ended_at: None,
    }
}

#[test]
fn two_people_reach_each_other_by_a_number_of_neither_and_nobody_else_does() {
    let world = World::new();
    let (a, b) = ("+12125550001", "+12125550002");
    world.masks.fill(&[session(a, b, 1)]);
    let carrier = world.carrier();
    for (caller, other) in [(a, b), (b, a)] {
        let says =
            CallerId { number: Some(caller.into()), name: Some("A".into()), withheld: false };
        let plan = world.sent_on(&carrier, says, "sip:+14155550108@x", 0).unwrap();
        assert_eq!(places(&plan), [[other]]);
        let shown = CallerId { number: Some("+14155550108".into()), ..CallerId::default() };
        assert_eq!((&plan.from, plan.recorded()), (&shown, Some(caller)));
        assert_eq!((plan.diverted, plan.mask.map(|mask| mask.session)), (None, Some(7)));
    }
    let withheld = CallerId { number: Some(a.into()), name: None, withheld: true };
    let stranger = CallerId { number: Some("+12125550003".into()), ..CallerId::default() };
    for says in [withheld, stranger, CallerId::default()] {
        let refused = world.sent_on(&carrier, says, "sip:+14155550108@x", 0).unwrap_err();
        assert_eq!((refused, refused.status().get()), (Refused::Declined, 603));
    }
    world.masks.open(&ProxySessionRow { id: 8, ..session(a, b, 2) }, At(0));
    let texts = world.call(&carrier, Some(a), "sip:+14155550108@x").unwrap_err();
    assert_eq!(texts, Refused::Declined, "no calls go by that session");
    world.masks.open(&ProxySessionRow { id: 9, ..session(a, "112", 1) }, At(0));
    let help = world.call(&carrier, Some(a), "sip:+14155550108@x").unwrap_err();
    assert_eq!(help, Refused::Emergency);
}

#[test]
fn a_call_is_recorded_for_the_numbers_that_it_comes_to_and_not_for_members_of_their_groups() {
    let mut world = World::new();
    let recorded = |last, routing| NumberRouteRow { record: 1, ..number(last, Some(routing)) };
    let bob = || group(vec![user("101")], RingStrategy::Simultaneous);
    let to = |last: &str| forward(&format!("+1415555{last}"));
    let member = group(vec![user("100"), phone("+14155550110")], RingStrategy::Simultaneous);
    world.numbers = numbers(&[
        recorded(110, bob()),
        number(111, Some(bob())),
        number(112, Some(to("0110"))),
        recorded(113, to("0111")),
        number(114, Some(member)),
    ]);
    for (last, is_recorded) in [(110, true), (111, false), (112, true), (113, true), (114, false)] {
        for caller in [world.carrier(), world.phone("alice")] {
            let uri = format!("sip:+14155550{last}@x");
            let plan = world.call(&caller, None, &uri);
            assert_eq!(plan.unwrap().record, is_recorded, "{uri}");
        }
    }
}
