//! What matches, in what order, and what becomes of a message.

use model::carrier::CarrierId;
use model::rates::Rates;

use super::*;
use crate::traffic::admission::{Admission, Routes};
use crate::traffic::router::CarrierRoute;

const OURS: OrgId = OrgId(1);
const THEIRS: OrgId = OrgId(2);
/// 1970-01-02, 12:00 in UTC.
const NOON: At = At((24 + 12) * 3_600 * 1_000_000);
const MIDNIGHT: At = At(24 * 3_600 * 1_000_000);

fn ready(rule: Rule) -> Ready {
    assert_eq!(rule.faults(), [], "{rule:?}");
    Ready::new(rule, Vec::new()).unwrap()
}

fn rule(name: &str) -> Rule {
    Rule { name: name.to_owned(), tags: vec![name.to_owned()], ..Rule::default() }
}

fn list(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn request() -> SendRequest {
    SendRequest {
        to: String::from("+14155550123"),
        from: Some(String::from("Orbit")),
        pool: None,
        body: String::from("Your code is 123456"),
        encoding: None,
        category: Category::Otp,
        account: Some(Arc::from("acme")),
        metadata: None,
        test: false,
        submitted: None,
    }
}

/// Whether a lone rule matches.
fn matches(rule: Rule, request: &SendRequest, now: At) -> bool {
    let rules = Interceptors::default();
    let name = rule.name.clone();
    rules.set_operators(vec![ready(rule)]);
    let outcome = rules.outcome(OURS, request.to.trim_start_matches('+'), request, now);
    assert!(outcome.matched.is_empty() || outcome.matched == [name]);
    !outcome.matched.is_empty()
}

#[test]
fn each_condition_holds_or_does_not() {
    let by_api = SendRequest { account: None, ..request() };
    let wide = SendRequest { body: String::from("Ваш КОД"), ..request() };
    let nobody = SendRequest { from: None, ..request() };
    let base = || rule("r");
    let cases: Vec<(Rule, SendRequest, bool)> = vec![
        (base(), request(), true),
        (Rule { enabled: false, ..base() }, request(), false),
        (Rule { accounts: list(&["other", "acme"]), ..base() }, request(), true),
        (Rule { accounts: list(&["acme"]), ..base() }, by_api.clone(), false),
        (Rule { sources: list(&["Orbit"]), ..base() }, request(), true),
        (Rule { sources: list(&["Orb"]), ..base() }, request(), false),
        (Rule { sources: list(&["Orb*"]), ..base() }, request(), true),
        (Rule { sources: list(&["Orb*"]), ..base() }, nobody.clone(), false),
        (Rule { source_regex: String::from("^$"), ..base() }, nobody, true),
        (Rule { source_regex: String::from("^[A-Z]rb"), ..base() }, request(), true),
        (Rule { destinations: list(&["44", "1415"]), ..base() }, request(), true),
        (Rule { destinations: list(&["44"]), ..base() }, request(), false),
        (Rule { countries: list(&["US"]), ..base() }, request(), true),
        (Rule { countries: list(&["DE"]), ..base() }, request(), false),
        (Rule { text_contains: list(&["CODE", "x"]), ..base() }, request(), true),
        (Rule { text_contains: list(&["code."]), ..base() }, request(), false),
        (Rule { text_contains: list(&["код"]), ..base() }, wide.clone(), true),
        (Rule { text_regex: String::from(r"\b\d{6}$"), ..base() }, request(), true),
        (Rule { text_regex: String::from(r"\b\d{6}$"), ..base() }, wide.clone(), false),
        (Rule { categories: list(&["otp"]), ..base() }, request(), true),
        (Rule { categories: list(&["marketing"]), ..base() }, request(), false),
        (Rule { encodings: list(&["ucs2"]), ..base() }, wide, true),
        (Rule { encodings: list(&["ucs2"]), ..base() }, request(), false),
        (
            Rule { destinations: list(&["1"]), categories: list(&["marketing"]), ..base() },
            request(),
            false,
        ),
    ];
    for (rule, request, wanted) in cases {
        assert_eq!(matches(rule.clone(), &request, NOON), wanted, "{rule:?} {request:?}");
    }
    let night = || Rule { hours: String::from("22:00-06:00"), ..rule("night") };
    assert!(matches(night(), &request(), MIDNIGHT) && !matches(night(), &request(), NOON));
}

#[test]
fn rules_are_asked_in_order_and_see_what_was_done_before_them() {
    let rules = Interceptors::default();
    let first = Rule { sender: String::from("Acme"), ..rule("first") };
    let second = Rule {
        sources: list(&["Acme"]),
        route: String::from("main"),
        sender: String::from("Acme2"),
        tags: list(&["second", "first"]),
        ..rule("second")
    };
    let never = Rule { sources: list(&["Orbit"]), ..rule("never") };
    let last = Rule { route: String::from("backup"), stop: true, ..rule("last") };
    rules.set_operators([first, second, never].map(ready).into());
    rules.set_own(OURS, [last, rule("behind")].map(ready).into());
    let outcome = rules.outcome(OURS, "14155550123", &request(), NOON);
    assert_eq!(outcome.matched, ["first", "second", "last"]);
    assert_eq!(
        (outcome.sender.as_deref(), outcome.route.as_deref()),
        (Some("Acme2"), Some("backup"))
    );
    assert_eq!(outcome.tags, ["first", "second", "last"]);
    let theirs = rules.outcome(THEIRS, "14155550123", &request(), NOON);
    assert_eq!(theirs.matched, ["first", "second"], "what is one's own concerns nobody else");
    rules.set_own(OURS, Vec::new());
    assert_eq!(rules.outcome(OURS, "14155550123", &request(), NOON), theirs);
}

#[test]
fn a_block_ends_it_and_says_why() {
    let rules = Interceptors::default();
    let block = Rule { block: String::from("not here"), ..rule("block") };
    rules.set_operators([rule("before"), block, rule("behind")].map(ready).into());
    let mut message = request();
    let refusal = rules.apply(OURS, "14155550123", &mut message, NOON).unwrap_err();
    assert_eq!((refusal.code, &*refusal.message), (Code::BlockedByRule, "not here"));
    assert_eq!(refusal.details, [("rule", Detail::Text(String::from("block")))]);
    assert_eq!(message.metadata, None);
    let outcome = rules.outcome(OURS, "14155550123", &request(), NOON);
    assert_eq!(outcome.matched, ["before", "block"]);
}

#[test]
fn a_message_becomes_what_rules_make_of_it_and_no_other_is_touched() {
    let rules = Interceptors::default();
    let acme = Rule {
        sources: list(&["info"]),
        sender: String::from("Acme"),
        route: String::from("main"),
        ..rule("acme")
    };
    rules.set_operators(vec![ready(acme)]);
    let mut message = SendRequest {
        from: Some(String::from("info")),
        pool: None,
        metadata: Some(String::from("{\"order\":7,\"tags\":[\"mine\",\"acme\"]}")),
        ..request()
    };
    let route = rules.apply(OURS, "14155550123", &mut message, NOON).unwrap();
    assert_eq!((route.as_deref(), message.from.as_deref()), (Some("main"), Some("Acme")));
    let metadata: Value = serde_json::from_str(message.metadata.as_deref().unwrap()).unwrap();
    assert_eq!(metadata, json!({"order": 7, "tags": ["mine", "acme"]}));
    let mut other = request();
    assert_eq!(rules.apply(OURS, "14155550123", &mut other, NOON).unwrap(), None);
    assert_eq!((other.from.as_deref(), other.metadata), (Some("Orbit"), None));
}

#[test]
fn the_operator_names_whom_a_rule_concerns() {
    let rules = Interceptors::default();
    rules.set_operators(vec![Ready::new(rule("theirs"), vec![THEIRS]).unwrap()]);
    assert!(rules.outcome(OURS, "1", &request(), NOON).matched.is_empty());
    assert_eq!(rules.outcome(THEIRS, "1", &request(), NOON).matched, ["theirs"]);
}

#[test]
fn expressions_are_bounded_and_take_no_time_that_grows_out_of_hand() {
    let built = |text: &str| {
        let rule = Rule { text_regex: text.to_owned(), ..rule("r") };
        Ready::new(rule, Vec::new())
    };
    for bad in ["(", "a{1000}{1000}{1000}", r"(?<x>a)\1"] {
        assert_eq!(built(bad).unwrap_err().field, "text_regex", "{bad}");
    }
    // The classic of exponential time: here it is linear.
    let rules = Interceptors::default();
    rules.set_operators(vec![built("^(a+)+$").unwrap()]);
    let body = format!("{}!", "a".repeat(1_599));
    let message = SendRequest { body, ..request() };
    assert!(rules.outcome(OURS, "1", &message, NOON).matched.is_empty());
}

#[test]
fn an_organizations_expressions_are_smaller_and_weigh_what_they_take() {
    let of = |text: &str| Rule { text_regex: text.to_owned(), ..rule("r") };
    let weight = |rule| Ready::own(rule).unwrap().weight();
    let large = r"\w{1,20}";
    assert!(Ready::new(of(large), Vec::new()).is_ok());
    assert_eq!(Ready::own(of(large)).unwrap_err().field, "text_regex");
    assert_eq!(weight(rule("plain")), 0);
    let (small, word) = (weight(of("(?i)casino|free spins")), weight(of(r"\bwin\s+\w+\b")));
    assert!(0 < small && small < word && word <= 64 * 1024, "{small} {word}");
    let both = Rule { source_regex: String::from("(?i)casino|free spins"), ..of("[0-9]{4}") };
    assert!(weight(both) > small);
    // A full list of words is for everybody.
    let words = (0..200).map(|n| format!("word number {n}")).collect();
    let words = Rule { text_contains: words, ..rule("words") };
    assert!(weight(words.clone()) <= WEIGHT_MAX);
    let said = SendRequest { body: String::from("a Word Number 117"), ..request() };
    assert!(matches(words, &said, NOON));
}

#[test]
fn a_message_checked_again_keeps_its_sender_whatever_the_rules_say_now() {
    let carriers = vec![CarrierRoute::new(CarrierId(1), "main")];
    let rates = Rates::from_csv("prefix,price_micros,mccmnc,valid_from\n1,7900,310260,\n").unwrap();
    let routes = Routes { carriers, rates, ..Routes::default() };
    let rules = Interceptors::default();
    let admission = Admission::new(routes).intercepted(rules.clone());
    let named = Rule { sender: String::from("+14155550100"), ..rule("named") };
    rules.set_own(OURS, vec![ready(named)]);
    let first = admission.check(OURS, request(), NOON).unwrap();
    assert_eq!((first.from.as_str(), first.from_ton), ("+14155550100", 1));
    let again = admission.check_again(OURS, request(), NOON).unwrap();
    assert_eq!((again.from.as_str(), again.from_ton), ("Orbit", 5));
    let block = Rule { block: String::from("not today"), ..rule("block") };
    rules.set_own(OURS, vec![ready(block)]);
    let refused = admission.check_again(OURS, request(), NOON).unwrap_err();
    assert_eq!(refused.code, Code::BlockedByRule);
}

#[test]
fn a_rule_names_a_carrier_that_its_organization_may_use() {
    let route = |name: &str| Rule { route: name.to_owned(), tags: Vec::new(), ..rule(name) };
    let carriers = vec![
        CarrierRoute::new(CarrierId(1), "main"),
        CarrierRoute { priority: -1, ..CarrierRoute::new(CarrierId(2), "second") },
        CarrierRoute { organization: Some(THEIRS), ..CarrierRoute::new(CarrierId(3), "theirs") },
        CarrierRoute { enabled: false, ..CarrierRoute::new(CarrierId(4), "off") },
    ];
    let rates = Rates::from_csv("prefix,price_micros,mccmnc,valid_from\n1,7900,310260,\n").unwrap();
    let routes = Routes { carriers, rates, sandbox: Some(CarrierId(9)), ..Routes::default() };
    let rules = Interceptors::default();
    let admission = Admission::new(routes).intercepted(rules.clone());
    let goes = |organization| {
        let checked = admission.check(organization, request(), NOON);
        checked.map(|message| (message.carrier.0, message.route.reason)).map_err(|no| no.code)
    };
    assert_eq!(goes(OURS).unwrap().0, 1);
    rules.set_own(OURS, vec![ready(route("second"))]);
    assert_eq!(goes(OURS), Ok((2, "interceptor")));
    for closed in ["theirs", "off", "nowhere"] {
        rules.set_own(OURS, vec![ready(route(closed))]);
        assert_eq!(goes(OURS), Err(Code::NoRoute), "{closed}");
    }
    rules.set_own(THEIRS, vec![ready(route("theirs"))]);
    assert_eq!(goes(THEIRS), Ok((3, "interceptor")));
    let test = SendRequest { test: true, ..request() };
    assert_eq!(admission.check(OURS, test, NOON).unwrap().carrier, CarrierId(9));
}
