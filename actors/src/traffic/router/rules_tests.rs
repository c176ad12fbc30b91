//! Organizations' own rules, and routes tried out without an effect.

use std::collections::HashMap;

use model::route::{By, Passed};
use model::routing::{Rule, Strategy};

use super::simulate::Verdict;
use super::tests::{NOW, OWN, US, carrier, router, shares, texts, way, wish};
use super::*;

fn rule(carriers: &[&str], strategy: Strategy) -> Rule {
    Rule { carriers: texts(carriers), strategy, ..Rule::default() }
}

#[test]
fn an_organizations_first_rule_that_matches_decides() {
    let own = CarrierRoute { organization: Some(OWN), ..carrier(1) };
    let other = CarrierRoute { organization: Some(OrgId(8)), ..carrier(4) };
    let router = router(vec![own, carrier(2), carrier(3), other]);
    let otp = Rule { categories: texts(&["otp"]), ..rule(&["c3", "c1", "c4"], Strategy::Priority) };
    let uk = Rule { prefixes: texts(&["44"]), ..rule(&["c4", "gone"], Strategy::Priority) };
    router.set_rules(OWN, vec![otp, uk]);
    let code = Wish { category: Category::Otp, ..wish(US) };
    assert_eq!(way(&router, &code), Ok((3, By::Order)), "a platform carrier before one's own");
    assert_eq!(way(&router, &wish(US)), Ok((1, By::Only)), "no rule: as usual");
    assert_eq!(way(&router, &wish("447400123456")), Err(vec![]), "the rule's carriers, or none");
    let others = Wish { organization: OrgId(9), ..code };
    assert_ne!(way(&router, &others).map(|w| w.0), Ok(1));
    router.pulse(CarrierId(3)).set_bound(0);
    assert_eq!(way(&router, &code), Ok((1, By::Health)));
    let carriers = router.table().routes.carriers.clone();
    router.replace(Routes { carriers, ..Routes::default() });
    router.pulse(CarrierId(3)).set_bound(1);
    assert_eq!(way(&router, &code), Ok((3, By::Order)), "rules outlive a table");
    router.set_rules(OWN, Vec::new());
    assert_eq!(way(&router, &code), Ok((1, By::Only)));
}

#[test]
fn each_strategy_has_its_order() {
    let cheap = CarrierRoute { cost_rate: Micros(1), quality: 10, weight: 3, ..carrier(1) };
    let good = CarrierRoute { cost_rate: Micros(9), quality: 90, priority: 9, ..carrier(2) };
    let router = router(vec![cheap, good]);
    let under = |strategy| {
        router.set_rules(OWN, vec![rule(&["c2", "c1"], strategy)]);
        way(&router, &wish(US)).unwrap()
    };
    assert_eq!(under(Strategy::Priority), (2, By::Order));
    assert_eq!(under(Strategy::Cost), (1, By::Cost));
    assert_eq!(under(Strategy::Quality), (2, By::Quality));
    router.set_rules(OWN, vec![rule(&["c2", "c1"], Strategy::Weighted)]);
    assert_eq!(shares(&router, 0..8), HashMap::from([(1, 6), (2, 2)]));
}

#[test]
fn a_rule_names_carriers_of_ones_own_or_the_platforms() {
    let own = CarrierRoute { organization: Some(OWN), ..carrier(1) };
    let other = CarrierRoute { organization: Some(OrgId(8)), ..carrier(3) };
    let router = router(vec![own, carrier(2), other]);
    let knows = |name| router.knows(OWN, name);
    assert_eq!(["c1", "c2", "c3", "c4"].map(knows), [true, true, false, false]);
}

#[test]
fn a_simulation_tells_of_every_carrier_and_changes_nothing() {
    let router = router(vec![
        CarrierRoute { priority: 9, ..carrier(1) },
        carrier(2),
        carrier(3),
        CarrierRoute { priority: -1, ..carrier(4) },
        CarrierRoute { enabled: false, ..carrier(5) },
        CarrierRoute { prefixes: texts(&["44"]), ..carrier(6) },
        CarrierRoute { sender_types: vec![SenderKind::ShortCode], ..carrier(7) },
        CarrierRoute { organization: Some(OrgId(8)), ..carrier(8) },
    ]);
    router.pulse(CarrierId(1)).set_open_until(Some(NOW));
    let asked = Asked {
        organization: OWN,
        to: "+14155550123",
        from: "Orbit",
        kind: Some(SenderKind::Alphanumeric),
        category: Category::Transactional,
        submitted: None,
        pool: None,
        tried: &[],
        now: NOW,
    };
    for _ in 0..3 {
        let told = router.simulate(&asked);
        let by = told.note.map(|note| note.by);
        assert_eq!((by, told.country), (Some(By::Priority), Some("US")));
        assert_eq!(told.ways.iter().map(|id| id.0).collect::<Vec<_>>(), [1, 2, 3]);
        let verdicts: Vec<_> = told.candidates.iter().map(|c| (c.id.0, c.verdict)).collect();
        let expected = [
            (1, Verdict::Chosen),
            (2, Verdict::Alternate),
            (3, Verdict::Alternate),
            (4, Verdict::Behind),
            (5, Verdict::Passed(Passed::Disabled)),
            (6, Verdict::Passed(Passed::NotCovered)),
            (7, Verdict::Passed(Passed::SenderType)),
        ];
        assert_eq!(verdicts, expected);
    }
    assert_eq!(way(&router, &wish(US)).map(|w| w.0), Ok(1), "its one try is still to be had");
    let none = Asked { kind: None, to: "+447400123456", ..asked };
    router.set_rules(OWN, vec![rule(&["c5"], Strategy::Priority)]);
    let told = router.simulate(&none);
    assert!(told.note.is_none() && told.ways.is_empty());
    assert_eq!(told.rule, Some(0));
    assert_eq!(told.candidates[0].verdict, Verdict::NotInRule);
}
