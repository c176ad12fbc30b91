//! Which carrier each message gets: coverage, filters, order, shares, and what is kept together.

use std::collections::HashMap;

use model::route::{By, Passed};

use super::*;

pub(super) const NOW: At = At(1_800_000_000_000_000);
pub(super) const US: &str = "14155550123";
pub(super) const OWN: OrgId = OrgId(7);

pub(super) fn carrier(id: i64) -> CarrierRoute {
    CarrierRoute::new(CarrierId(id), &format!("c{id}"))
}

pub(super) fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// A router of these carriers, all of them bound.
pub(super) fn router(carriers: Vec<CarrierRoute>) -> Router {
    let ids: Vec<_> = carriers.iter().map(|carrier| carrier.id).collect();
    let router = Router::new(Routes { carriers, ..Routes::default() });
    for id in ids {
        router.pulse(id).set_bound(1);
    }
    router
}

pub(super) fn wish(digits: &str) -> Wish<'_> {
    Wish {
        organization: OWN,
        digits,
        sender: Some(("Orbit", SenderKind::Alphanumeric)),
        category: Category::Transactional,
        mccmnc: None,
        network: NetworkSource::Plan,
        text: None,
        only: None,
        tried: &[],
        dry: false,
        now: NOW,
    }
}

/// The carrier's number, the reason and what decided; or why not.
pub(super) fn way(router: &Router, wish: &Wish<'_>) -> Result<(i64, By), Vec<Passed>> {
    let table = router.table();
    match table.way(wish, router.memory()) {
        Ok(choice) => Ok((choice.id.0, choice.note.by)),
        Err(passed) => Err(Passed::ALL.into_iter().filter(|why| passed.holds(*why)).collect()),
    }
}

#[test]
fn each_list_must_hold_the_destination() {
    let table = vec![
        CarrierRoute { countries: texts(&["US"]), mccmnc: texts(&["310260"]), ..carrier(1) },
        CarrierRoute { countries: texts(&["GB"]), prefixes: texts(&["4", "447"]), ..carrier(2) },
        CarrierRoute { mccmnc: texts(&["262", "26201"]), ..carrier(3) },
        CarrierRoute { countries: texts(&["CA"]), ..carrier(4) },
    ];
    let router = router(table);
    let network = |digits, mccmnc| way(&router, &Wish { mccmnc, ..wish(digits) });
    assert_eq!(network(US, Some("310260")), Ok((1, By::Only)));
    assert_eq!(network(US, Some("310410")), Err(vec![]));
    assert_eq!(network(US, None), Err(vec![]));
    assert_eq!(network("447400123456", None), Ok((2, By::Only)));
    assert_eq!(network("4915112345678", None), Err(vec![]));
    assert_eq!(network("4915112345678", Some("26203")), Ok((3, By::Only)));
    assert_eq!(network("4915112345678", Some("26201")), Ok((3, By::Only)));
    assert_eq!(network("16135550123", None), Ok((4, By::Only)), "a number of Canada");
}

#[test]
fn the_order_is_network_prefix_priority_cost_quality() {
    let strong = CarrierRoute { priority: 9, ..carrier(1) };
    let us = CarrierRoute { prefixes: texts(&["1"]), ..carrier(2) };
    let city = CarrierRoute { prefixes: texts(&["1", "1415"]), cost_rate: Micros(5), ..carrier(3) };
    let cheap =
        CarrierRoute { cost_rate: Micros(4), ..CarrierRoute { id: CarrierId(4), ..city.clone() } };
    let first = CarrierRoute { priority: 1, ..CarrierRoute { id: CarrierId(5), ..city.clone() } };
    let good = CarrierRoute { quality: 51, ..CarrierRoute { id: CarrierId(6), ..cheap.clone() } };
    let network = CarrierRoute { mccmnc: texts(&["310"]), cost_rate: Micros(99), ..carrier(7) };
    let mut carriers = Vec::new();
    let steps = [
        (strong, (1, By::Only)),
        (us, (2, By::Prefix)),
        (city, (3, By::Prefix)),
        (cheap, (4, By::Cost)),
        (good, (6, By::Quality)),
        (first, (5, By::Priority)),
        (network, (7, By::Prefix)),
    ];
    for (more, expected) in steps {
        carriers.push(more);
        let known = Wish { mccmnc: Some("310260"), ..wish(US) };
        assert_eq!(way(&router(carriers.clone()), &known), Ok(expected));
        carriers.reverse();
        assert_eq!(way(&router(carriers.clone()), &known), Ok(expected), "in whatever order");
    }
}

#[test]
fn what_cannot_take_it_is_passed_over_and_named() {
    let off = CarrierRoute { enabled: false, ..carrier(1) };
    let short = CarrierRoute { sender_types: vec![SenderKind::ShortCode], ..carrier(2) };
    let router = router(vec![off, short]);
    assert_eq!(way(&router, &wish(US)), Err(vec![Passed::Disabled, Passed::SenderType]));
    let code = Wish { sender: Some(("12345", SenderKind::ShortCode)), ..wish(US) };
    assert_eq!(way(&router, &code), Ok((2, By::Only)));
    let tried = Wish { tried: &[CarrierId(2)], ..code };
    assert_eq!(way(&router, &tried), Err(vec![Passed::Disabled, Passed::Tried]));
}

#[test]
fn a_sender_that_is_not_given_is_of_the_kind_of_the_default() {
    let numbers = CarrierRoute { sender_types: vec![SenderKind::International], ..carrier(1) };
    let own =
        CarrierRoute { default_sender: Some(String::from("+14155550100")), ..numbers.clone() };
    let none = Wish { sender: None, ..wish(US) };
    assert_eq!(way(&router(vec![own]), &none), Ok((1, By::Only)));
    let routes = |sender: &str| Routes {
        carriers: vec![numbers.clone()],
        default_sender: Some(sender.to_owned()),
        ..Routes::default()
    };
    assert_eq!(way(&Router::new(routes("Orbit")), &none), Err(vec![Passed::SenderType]));
    assert_eq!(way(&Router::new(routes("+14155550100")), &none), Ok((1, By::Only)));
}

#[test]
fn those_that_can_send_go_before_those_that_cannot() {
    let router = router(vec![CarrierRoute { priority: 9, ..carrier(1) }, carrier(2)]);
    let first = router.pulse(CarrierId(1));
    assert_eq!(way(&router, &wish(US)), Ok((1, By::Priority)));
    first.set_bound(0);
    assert_eq!(way(&router, &wish(US)), Ok((2, By::Health)));
    first.set_bound(1);
    first.set_paused(true);
    assert_eq!(way(&router, &wish(US)), Ok((2, By::Health)));
    first.set_paused(false);
    first.set_open_until(Some(NOW.plus(std::time::Duration::from_secs(30))));
    assert_eq!(way(&router, &wish(US)), Ok((2, By::Health)));
    router.pulse(CarrierId(2)).set_bound(0);
    assert_eq!(way(&router, &wish(US)), Ok((1, By::Health)), "an open circuit before no bind");
    first.set_bound(0);
    assert_eq!(way(&router, &wish(US)), Ok((1, By::Priority)), "none can send: the order holds");
}

#[test]
fn an_open_circuit_is_tried_by_one_message_a_second() {
    let router = router(vec![CarrierRoute { priority: 9, ..carrier(1) }, carrier(2)]);
    router.pulse(CarrierId(1)).set_open_until(Some(NOW));
    let at = |ms: i64| way(&router, &Wish { now: At(NOW.0 + ms * 1_000), ..wish(US) }).map(|w| w.0);
    assert_eq!([at(0), at(1), at(999), at(1_000), at(1_001)], [Ok(1), Ok(2), Ok(2), Ok(1), Ok(2)]);
    router.pulse(CarrierId(1)).set_open_until(None);
    assert_eq!([at(1_002), at(1_003)], [Ok(1), Ok(1)]);
}

#[test]
fn an_organizations_own_carriers_go_first_if_they_cover_it() {
    let own = CarrierRoute { organization: Some(OWN), prefixes: texts(&["1"]), ..carrier(1) };
    let others = CarrierRoute { organization: Some(OrgId(8)), ..carrier(2) };
    let router = router(vec![own, others, CarrierRoute { priority: 99, ..carrier(3) }]);
    assert_eq!(way(&router, &wish(US)).map(|w| w.0), Ok(1));
    router.pulse(CarrierId(1)).set_bound(0);
    assert_eq!(way(&router, &wish(US)).map(|w| w.0), Ok(1), "away, it is still theirs");
    assert_eq!(way(&router, &wish("447911123456")).map(|w| w.0), Ok(3));
    let tried = Wish { tried: &[CarrierId(1)], ..wish(US) };
    assert_eq!(way(&router, &tried), Err(vec![Passed::Tried]), "nor when theirs had it");
    assert_eq!(way(&router, &Wish { organization: OrgId(9), ..wish(US) }).map(|w| w.0), Ok(3));
}

#[test]
fn what_leaves_another_carrier_is_the_probe_or_waits() {
    let router = router(vec![carrier(1), carrier(2)]);
    router.pulse(CarrierId(2)).set_open_until(Some(NOW));
    let asked = |ms: i64, at_present| {
        let asked = Asked {
            organization: OWN,
            to: "+14155550123",
            from: "Orbit",
            kind: Some(SenderKind::Alphanumeric),
            category: Category::Transactional,
            submitted: None,
            pool: None,
            tried: &[CarrierId(1)],
            now: At(NOW.0 + ms * 1_000),
        };
        router.elsewhere(&asked, at_present).map(|found| found.id.0)
    };
    let turns = [asked(0, true), asked(1, true), asked(999, true), asked(1_000, true)];
    assert_eq!(turns, [Some(2), None, None, Some(2)]);
    assert_eq!(asked(1_001, false), Some(2), "rather than the end");
    router.pulse(CarrierId(2)).set_open_until(None);
    assert_eq!([asked(1_002, true), asked(1_002, true)], [Some(2), Some(2)]);
}

/// How many of so many recipients went by each carrier.
pub(super) fn shares(router: &Router, recipients: std::ops::Range<u32>) -> HashMap<i64, u32> {
    let mut shares = HashMap::new();
    for n in recipients {
        let digits = format!("1415{:07}", 2_000_000 + n);
        let (id, by) = way(router, &wish(&digits)).unwrap();
        assert_eq!(by, By::Weight);
        *shares.entry(id).or_default() += 1;
    }
    shares
}

#[test]
fn shares_by_weight_hold_exactly_over_every_round() {
    for weights in [vec![1, 1], vec![7, 2, 1], vec![1, 50, 49], vec![3, 3, 3, 10], vec![100, 1]] {
        let ids = (1..).zip(&weights);
        let carriers = ids.map(|(id, weight)| CarrierRoute { weight: *weight, ..carrier(id) });
        let router = router(carriers.collect());
        let total: u32 = weights.iter().sum();
        for round in 0..3 {
            let got = shares(&router, round * total..(round + 1) * total);
            let expected: HashMap<i64, u32> = (1..).zip(weights.clone()).collect();
            assert_eq!(got, expected);
        }
    }
}

#[test]
fn a_recipient_keeps_its_carrier_while_that_can_send() {
    let router = router(vec![carrier(1), carrier(2), carrier(3)]);
    let (first, by) = way(&router, &wish(US)).unwrap();
    assert_eq!(by, By::Weight);
    for _ in 0..10 {
        assert_eq!(way(&router, &wish(US)), Ok((first, By::Sticky)));
    }
    let other = Wish { sender: Some(("Other", SenderKind::Alphanumeric)), ..wish(US) };
    assert_eq!(way(&router, &other).unwrap().1, By::Weight, "of another sender's");
    router.pulse(CarrierId(first)).set_bound(0);
    let (second, by) = way(&router, &wish(US)).unwrap();
    assert_ne!((second, by), (first, By::Sticky));
    router.pulse(CarrierId(first)).set_bound(1);
    assert_eq!(way(&router, &wish(US)), Ok((second, By::Sticky)));
}

#[test]
fn the_parts_of_a_long_message_go_one_way_though_a_better_carrier_comes_back() {
    let router = router(vec![CarrierRoute { priority: 9, ..carrier(1) }, carrier(2)]);
    router.pulse(CarrierId(1)).set_bound(0);
    let part = |text| way(&router, &Wish { text: Some(text), ..wish(US) }).map(|w| w.0);
    assert_eq!(part(1), Ok(2));
    router.pulse(CarrierId(1)).set_bound(1);
    assert_eq!([part(1), part(2)], [Ok(2), Ok(1)]);
    router.pulse(CarrierId(2)).set_bound(0);
    assert_eq!(part(1), Ok(1), "nobody has any of it");
    router.0.memory.texts.handed(1, CarrierId(2), NOW);
    assert_eq!(part(1), Ok(2), "it waits for who has some of it");
    let off = CarrierRoute { enabled: false, ..carrier(2) };
    router.replace(Routes { carriers: vec![carrier(1), off], ..Routes::default() });
    assert_eq!(part(1), Ok(1), "rather apart than not at all");
}
