//! The ways of messages whose sender a pool chooses, on the way in and when they go elsewhere.

use std::sync::Arc;

use model::address::SenderKind;
use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::message::Category;
use model::pool::{Pool, PoolSender, Strategy};
use model::rates::Rates;
use model::refusal::Code;
use proto_smpp::split::Concat;

use crate::traffic::admission::{Admission, Routes, SendRequest};
use crate::traffic::interceptors::{Interceptors, Ready};
use crate::traffic::router::{Asked, CarrierRoute};

const NOW: At = At(1_800_000_000_000_000);
const OWN: OrgId = OrgId(7);
const US: &str = "+14155550123";

fn id() -> PublicId {
    PublicId::from_bytes([9; 16])
}

fn carrier(id: i64, kinds: &[SenderKind]) -> CarrierRoute {
    let sender_types = kinds.to_vec();
    CarrierRoute { sender_types, ..CarrierRoute::new(CarrierId(id), &format!("c{id}")) }
}

fn admission(carriers: Vec<CarrierRoute>) -> Admission {
    let rates = Rates::from_csv("prefix,price_micros,mccmnc,valid_from\n1,7900,,\n33,9000,,\n");
    let (sandbox, sandbox_live) = (Some(CarrierId(90)), Some(CarrierId(91)));
    let rates = rates.unwrap();
    Admission::new(Routes { carriers, rates, sandbox, sandbox_live, default_sender: None })
}

/// Gives the organization a pool of these senders, each with its country if it has one.
fn give(admission: &Admission, senders: &[(&str, &str)], carriers: &[&str]) {
    let senders = senders.iter().map(|(value, country)| PoolSender {
        value: Arc::from(*value),
        kind: SenderKind::of(value).unwrap(),
        weight: 1,
        countries: (!country.is_empty()).then(|| (*country).to_owned()).into_iter().collect(),
        daily_cap: None,
    });
    let pool = Pool {
        id: 5,
        public_id: id(),
        organization: OWN,
        strategy: Strategy::RoundRobin,
        senders: senders.collect(),
        carriers: carriers.iter().map(|name| (*name).to_owned()).collect(),
        sticky_ttl_days: 30,
    };
    admission.router().set_pools([(OWN, vec![Arc::new(pool)])]);
}

fn request(to: &str, body: &str) -> SendRequest {
    SendRequest {
        to: to.to_owned(),
        from: None,
        pool: Some(id()),
        body: body.to_owned(),
        encoding: None,
        category: Category::Transactional,
        account: None,
        metadata: None,
        test: false,
        submitted: None,
    }
}

/// Kind, carrier and parts of each way.
fn ways(admission: &Admission, to: &str, body: &str) -> Result<Vec<(SenderKind, i64, u8)>, Code> {
    let message = admission.check(OWN, request(to, body), NOW).map_err(|refusal| refusal.code)?;
    let pooled = message.options.pool.unwrap();
    assert_eq!((message.from.as_str(), pooled.id), ("", 5));
    let first = pooled.ways[0];
    assert_eq!((message.carrier, message.segments), (first.carrier, first.segments));
    Ok(pooled.ways.iter().map(|way| (way.kind, way.carrier.0, way.segments)).collect())
}

#[test]
fn there_is_a_way_for_each_kind_that_some_carrier_takes() {
    use SenderKind::{Alphanumeric, International, ShortCode};
    let wide = CarrierRoute { concat: Concat::Udh16, ..carrier(2, &[International]) };
    let admission = admission(vec![carrier(1, &[Alphanumeric]), wide]);
    let senders = [("+14155550100", ""), ("+14155550101", ""), ("One", "US"), ("777777", "")];
    give(&admission, &senders, &[]);
    assert_eq!(
        ways(&admission, US, "hi"),
        Ok(vec![(International, 2, 1), (Alphanumeric, 1, 1), (ShortCode, 91, 1)])
    );
    let long = "x".repeat(153 * 2);
    let parts: Vec<_> = ways(&admission, US, &long).unwrap().iter().map(|way| way.2).collect();
    assert_eq!(parts, [3, 2, 2], "each as its carrier counts");
    assert_eq!(
        ways(&admission, "+33612345678", "hi"),
        Ok(vec![(International, 2, 1), (ShortCode, 91, 1)])
    );
    give(&admission, &[("One", "US")], &[]);
    assert_eq!(ways(&admission, "+33612345678", "hi"), Err(Code::SenderPoolUncovered));
    assert_eq!(ways(&admission, US, &"x".repeat(1_601)), Err(Code::MessageTooLong));
    let other = admission.check(OrgId(8), request(US, "hi"), NOW).unwrap_err();
    assert_eq!(other.code, Code::ValidationError, "it is nobody else's");
    let named = SendRequest { from: Some(String::from("Named")), ..request(US, "hi") };
    let message = admission.check(OWN, named, NOW).unwrap();
    assert!(message.options.pool.is_none(), "who has a sender needs none");
    let test = SendRequest { test: true, ..request(US, "hi") };
    assert_eq!(admission.check(OWN, test, NOW).unwrap().carrier, CarrierId(90));
}

#[test]
fn only_the_pools_carriers_take_its_messages_now_and_later() {
    let admission = admission(vec![carrier(1, &[]), carrier(2, &[]), carrier(3, &[])]);
    let router = admission.router();
    (1..4).for_each(|id| router.pulse(CarrierId(id)).set_bound(1));
    give(&admission, &[("One", "")], &["c3", "c2", "gone"]);
    let asked = |pool, tried| {
        let asked = Asked {
            organization: OWN,
            to: US,
            from: "One",
            kind: Some(SenderKind::Alphanumeric),
            category: Category::Transactional,
            submitted: None,
            pool,
            tried,
            now: NOW,
        };
        router.elsewhere(&asked, true).map(|found| found.id.0)
    };
    for _ in 0..6 {
        let ways = ways(&admission, US, "hi").unwrap();
        assert!([2, 3].contains(&ways[0].1), "{ways:?}");
    }
    assert_eq!(asked(Some(5), &[CarrierId(2)]), Some(3));
    assert_eq!(asked(Some(5), &[CarrierId(2), CarrierId(3)]), None);
    assert_eq!(asked(None, &[CarrierId(2), CarrierId(3)]), Some(1));
    // A carrier that is gone is passed over; without any the sandbox does not stand in.
    give(&admission, &[("One", "")], &["gone"]);
    assert_eq!(ways(&admission, US, "hi"), Err(Code::NoRoute));
    give(&admission, &[("One", "")], &["c1"]);
    let rule = r#"{"name": "elsewhere", "route": "c2", "enabled": true}"#;
    let rules = Interceptors::default();
    rules.set_own(OWN, vec![Ready::own(serde_json::from_str(rule).unwrap()).unwrap()]);
    let ruled = admission.clone().intercepted(rules);
    assert_eq!(ways(&ruled, US, "hi"), Err(Code::NoRoute), "a rule names another carrier");
    give(&admission, &[("One", "")], &["c2"]);
    assert_eq!(ways(&ruled, US, "hi").unwrap()[0].1, 2);
}

#[test]
fn senders_of_a_pool_that_the_organization_does_not_have_are_named() {
    let carriers = vec![carrier(1, &[])];
    let numbers = crate::sip::numbers::Numbers::new(Box::new(|_, _| None));
    let (open, asked) = (admission(carriers.clone()), admission(carriers).owned(numbers));
    for (admission, foreign) in [(open, vec![]), (asked, vec!["+14155550100", "12345"])] {
        give(
            &admission,
            &[("+14155550100", ""), ("Acme", ""), ("12345", "US"), ("54321", "FR")],
            &[],
        );
        let message = admission.check(OWN, request(US, "hi"), NOW).unwrap();
        let pooled = message.options.pool.unwrap();
        let named: Vec<&str> = pooled.foreign.iter().map(|sender| &**sender).collect();
        assert_eq!(named, foreign);
        assert_eq!(pooled.ways.len(), 3);
    }
}
