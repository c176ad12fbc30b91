//! What the door lets in, what it refuses, and which way it sends each message.

use super::*;
use crate::traffic::router::portability::tests::hook;
use crate::traffic::router::portability::{Hook, Portability};

const NOW: At = At(1_800_000_000_000_000);
const US: &str = "+14155550123";
const OWN: OrgId = OrgId(7);
const OTHER: OrgId = OrgId(8);

fn rates() -> Rates {
    Rates::from_csv(
        "prefix,price_micros,mccmnc,valid_from\n1,7900,310,\n44,40000,,\n447,30000,234,\n",
    )
    .unwrap()
}

fn carrier(id: i64, name: &str, prefixes: &[&str]) -> CarrierRoute {
    CarrierRoute {
        prefixes: prefixes.iter().map(|p| (*p).to_owned()).collect(),
        ..CarrierRoute::new(CarrierId(id), name)
    }
}

fn routes(carriers: Vec<CarrierRoute>) -> Routes {
    Routes {
        carriers,
        sandbox: Some(CarrierId(90)),
        sandbox_live: None,
        rates: rates(),
        default_sender: Some(String::from("Switch")),
    }
}

fn sms(to: &str, body: &str) -> SendRequest {
    SendRequest {
        to: to.to_owned(),
        from: None,
        pool: None,
        body: body.to_owned(),
        encoding: None,
        category: Category::Transactional,
        account: None,
        metadata: None,
        test: false,
        submitted: None,
    }
}

fn test_sms(body: &str) -> SendRequest {
    SendRequest { test: true, ..sms("+15005550002", body) }
}

fn check(routes: Routes, request: SendRequest) -> Result<NewMessage, Refusal> {
    Admission::new(routes).check(OWN, request, NOW)
}

fn refused(routes: Routes, request: SendRequest) -> (Code, Option<String>) {
    let refusal = check(routes, request).unwrap_err();
    (refusal.code, refusal.field.map(|field| field.into_owned()))
}

fn at(code: Code, field: &str) -> (Code, Option<String>) {
    (code, Some(field.to_owned()))
}

fn segments(body: &str) -> Result<(Encoding, u8), Code> {
    check(routes(Vec::new()), test_sms(body))
        .map(|m| (m.encoding, m.segments))
        .map_err(|refusal| refusal.code)
}

fn way(routes: &Routes, organization: OrgId, to: &str) -> (i64, &'static str) {
    let admission = Admission::new(routes.clone());
    let message = admission.check(organization, sms(to, "hi"), NOW).unwrap();
    (message.carrier.0, message.route.reason)
}

#[test]
fn segments_begin_where_the_book_puts_them() {
    use Encoding::{Gsm7, Ucs2};
    assert_eq!(segments(&"a".repeat(160)), Ok((Gsm7, 1)));
    assert_eq!(segments(&"a".repeat(161)), Ok((Gsm7, 2)));
    assert_eq!(segments(&"€".repeat(80)), Ok((Gsm7, 1)));
    assert_eq!(segments(&"€".repeat(81)), Ok((Gsm7, 2)));
    assert_eq!(segments(&"😀".repeat(35)), Ok((Ucs2, 1)));
    assert_eq!(segments(&"😀".repeat(36)), Ok((Ucs2, 2)));
    assert_eq!(segments(&"a".repeat(1530)), Ok((Gsm7, 10)));
    assert_eq!(segments(&"a".repeat(1531)), Err(Code::MessageTooLong));
    assert_eq!(segments(&"я".repeat(670)), Ok((Ucs2, 10)));
    assert_eq!(segments(&"я".repeat(671)), Err(Code::MessageTooLong));
    assert_eq!(segments(&"a".repeat(1601)), Err(Code::MessageTooLong));
}

#[test]
fn a_carrier_with_16_bit_references_takes_shorter_texts() {
    let wide = CarrierRoute { concat: Concat::Udh16, ..carrier(1, "wide", &[]) };
    let taken = |n| check(routes(vec![wide.clone()]), sms(US, &"a".repeat(n)));
    assert_eq!(taken(1520).unwrap().segments, 10);
    assert_eq!(taken(1521).unwrap_err().code, Code::MessageTooLong);
}

#[test]
fn a_forced_encoding_is_kept_or_refused() {
    let forced = |encoding, body: &str| SendRequest { encoding: Some(encoding), ..test_sms(body) };
    let message = check(routes(Vec::new()), forced(Encoding::Ucs2, "abc")).unwrap();
    assert_eq!(message.encoding, Encoding::Ucs2);
    assert_eq!(
        refused(routes(Vec::new()), forced(Encoding::Gsm7, "я")),
        at(Code::ValidationError, "encoding")
    );
}

#[test]
fn the_first_fault_is_named_with_its_field() {
    let none = || routes(Vec::new());
    let mut request = sms("15005550002", "");
    request.from = Some(String::from("!"));
    assert_eq!(refused(none(), request.clone()), at(Code::InvalidPhoneNumber, "to"));
    request.to = US.to_owned();
    assert_eq!(refused(none(), request.clone()), at(Code::MissingRequiredField, "body"));
    request.body = String::from("a\0b");
    assert_eq!(refused(none(), request.clone()), at(Code::ValidationError, "body"));
    request.body = "a".repeat(1531);
    assert_eq!(refused(none(), request.clone()), at(Code::MessageTooLong, "body"));
    request.body = String::from("hi");
    assert_eq!(refused(none(), request.clone()), at(Code::InvalidSender, "from"));
    request.from = None;
    assert_eq!(refused(none(), request.clone()), at(Code::NoRoute, "to"));
    request.to = String::from("+33612345678");
    let all = routes(vec![carrier(1, "all", &[])]);
    assert_eq!(refused(all, request), at(Code::NoPrice, "to"));
}

#[test]
fn a_nul_in_metadata_is_refused() {
    let request = SendRequest { metadata: Some(String::from("{\"a\":\"\0\"}")), ..test_sms("hi") };
    assert_eq!(refused(routes(Vec::new()), request), at(Code::ValidationError, "metadata"));
}

#[test]
fn a_sender_is_the_given_one_else_the_nearest_default() {
    let named = CarrierRoute {
        default_sender: Some(String::from("+14155550100")),
        ..carrier(1, "named", &["1"])
    };
    let both = routes(vec![named, carrier(2, "plain", &["44"])]);
    let sender = |routes: &Routes, to: &str, from: Option<&str>| {
        let request = SendRequest { from: from.map(str::to_owned), ..sms(to, "hi") };
        check(routes.clone(), request).map(|m| (m.from, m.from_ton))
    };
    let is = |text: &str, ton| Ok((text.to_owned(), ton));
    assert_eq!(sender(&both, US, Some("12345")), is("12345", 3));
    assert_eq!(sender(&both, US, None), is("+14155550100", 1));
    assert_eq!(sender(&both, "+447911123456", None), is("Switch", 5));
    let bare = Routes { default_sender: None, ..both };
    let refusal = sender(&bare, "+447911123456", None).unwrap_err();
    assert_eq!(refusal.code, Code::InvalidSender);
    let message = check(bare, test_sms("hi")).unwrap();
    assert_eq!(message.from, "Orbit");
}

#[test]
fn the_longest_prefix_wins_then_priority_then_cost() {
    let strong = CarrierRoute { priority: 5, ..carrier(3, "strong", &["44"]) };
    let table = routes(vec![
        CarrierRoute { cost_rate: Micros(1), ..carrier(1, "b", &[]) },
        carrier(2, "weak", &["44"]),
        strong,
        carrier(4, "mobile", &["447", "1415"]),
        carrier(5, "a", &[]),
    ]);
    let prefix = "platform_carrier_prefix";
    assert_eq!(way(&table, OWN, "+447911123456"), (4, prefix));
    assert_eq!(way(&table, OWN, "+442071234567"), (3, prefix));
    assert_eq!(way(&table, OWN, US), (4, prefix));
    assert_eq!(way(&table, OWN, "+12125550123"), (5, "platform_carrier_default"));
}

#[test]
fn an_organization_goes_by_its_own_carrier_and_no_one_elses() {
    let own = CarrierRoute { organization: Some(OWN), ..carrier(1, "own", &["1"]) };
    let any = CarrierRoute { organization: Some(OTHER), ..carrier(2, "other", &[]) };
    let table = routes(vec![own, any, carrier(3, "platform", &["1415", "44"])]);
    assert_eq!(way(&table, OWN, US), (1, "organization_carrier_prefix"));
    assert_eq!(way(&table, OTHER, US), (2, "organization_carrier_default"));
    assert_eq!(way(&table, OrgId(9), US), (3, "platform_carrier_prefix"));
    assert_eq!(way(&table, OWN, "+447911123456"), (3, "platform_carrier_prefix"));
}

#[test]
fn test_messages_meet_the_sandbox_and_cost_nothing() {
    let mut table = routes(vec![carrier(1, "all", &[]), carrier(90, "sandbox", &[])]);
    let message = check(table.clone(), test_sms("hi")).unwrap();
    assert_eq!((message.carrier, message.route.reason), (CarrierId(90), "sandbox_test"));
    assert_eq!((message.unit_price, message.mccmnc), (Micros::ZERO, None));
    assert!(message.test);
    table.carriers.remove(0);
    assert_eq!(
        refused(table.clone(), sms(US, "hi")),
        at(Code::NoRoute, "to"),
        "the sandbox takes no live message"
    );
    table.sandbox = None;
    assert_eq!(refused(table, test_sms("hi")), at(Code::NoRoute, "to"));
}

#[test]
fn live_messages_without_a_carrier_meet_the_live_sandbox_at_the_full_price() {
    let table = Routes {
        sandbox_live: Some(CarrierId(91)),
        ..routes(vec![carrier(1, "british", &["44"])])
    };
    let message = check(table.clone(), sms(US, &"a".repeat(161))).unwrap();
    assert_eq!((message.carrier, message.route.reason), (CarrierId(91), "sandbox_default"));
    assert_eq!(message.hold(), Micros(2 * 7_900));
    assert_eq!(message.mccmnc.as_deref(), Some("310"));
    assert_eq!(way(&table, OWN, "+447911123456").0, 1);
    assert_eq!(refused(table, sms("+33612345678", "hi")), at(Code::NoPrice, "to"));
}

#[test]
fn replaced_routes_are_seen_by_every_clone() {
    let admission = Admission::new(routes(Vec::new()));
    let clone = admission.clone();
    admission.replace(routes(vec![carrier(1, "new", &[])]));
    assert!(clone.check(OWN, sms(US, "hi"), NOW).is_ok());
    let listed: Vec<_> = clone.carriers().iter().map(|(id, _)| id.0).collect();
    assert_eq!(listed, [1, 90]);
}

#[test]
fn a_kind_of_sender_that_no_carrier_takes_is_a_fault_of_from() {
    let numbers = CarrierRoute {
        sender_types: vec![SenderKind::International],
        ..carrier(1, "numbers", &[])
    };
    let request = SendRequest { from: Some(String::from("Brand")), ..sms(US, "hi") };
    assert_eq!(refused(routes(vec![numbers.clone()]), request), at(Code::NoRoute, "from"));
    let request = SendRequest { from: Some(String::from("+14155550100")), ..sms(US, "hi") };
    assert!(check(routes(vec![numbers]), request).is_ok());
}

#[test]
fn a_network_of_the_numbering_plan_finds_its_carrier() {
    let network = CarrierRoute { mccmnc: vec![String::from("234")], ..carrier(1, "network", &[]) };
    let table = routes(vec![network, carrier(2, "all", &[])]);
    assert_eq!(way(&table, OWN, "+447911123456").0, 1);
    assert_eq!(way(&table, OWN, "+442071234567").0, 2, "the plan names no network");
}

#[tokio::test]
async fn a_ported_number_goes_by_its_network_and_says_who_knew() {
    let (hook, _) = hook().await;
    let hook = Hook { timeout: std::time::Duration::from_secs(20), ..hook };
    let network =
        CarrierRoute { mccmnc: vec![String::from("310260")], ..carrier(1, "network", &[]) };
    let router = Router::new(routes(vec![network, carrier(2, "all", &[])]));
    router.ask_portability(Portability::new(hook).unwrap());
    let admission = Admission::by(router.clone());
    // The hook's answers go by the last digit: a network, not ported, a failure.
    let numbers = ["+14155550121", "+14155550122", "+14155550123"];
    router.learn_all(numbers, NOW).await;
    let way = |to: &str| {
        let message = admission.check(OWN, sms(to, "hi"), NOW).unwrap();
        let mccmnc = message.mccmnc.as_deref().map(str::to_owned).unwrap_or_default();
        (message.carrier.0, mccmnc, message.route.network)
    };
    let plan = String::from("310");
    assert_eq!(way(numbers[0]), (1, String::from("310260"), NetworkSource::Portability));
    assert_eq!(way(numbers[1]), (2, plan.clone(), NetworkSource::Plan));
    assert_eq!(way(numbers[2]), (2, plan.clone(), NetworkSource::PlanInstead));
    assert_eq!(way("+14155550131"), (2, plan, NetworkSource::PlanInstead), "never asked before");
}

/// A number that somebody has, with these capabilities.
fn held(e164: &str, organization: OrgId, capabilities: &str) -> store::NumberRouteRow {
    store::NumberRouteRow {
        id: 1,
        public_id: vec![1; 16],
        organization_id: organization.0,
        e164: e164.to_owned(),
        capabilities: capabilities.to_owned(),
        status: model::number::NumberStatus::Active.code(),
        routing: None,
        record: 0,
        routing_password: None,
        assigned_at: Some(1),
        updated_at: 1,
        is_sandbox: 0,
    }
}

#[test]
fn a_number_is_sent_from_by_who_has_it_where_that_is_asked_for() {
    let numbers = crate::sip::numbers::Numbers::new(Box::new(|_, _| None));
    numbers.fill(&[
        held("+14155550100", OWN, "[\"sms\",\"voice\"]"),
        held("+14155550101", OWN, "[\"voice\"]"),
        held("+14155550102", OrgId(OWN.0 + 1), "[\"sms\"]"),
        held("12345", OWN, "[\"sms\"]"),
    ]);
    let sandbox = Routes { sandbox: Some(CarrierId(90)), ..routes(vec![carrier(1, "all", &[])]) };
    let open = Admission::new(sandbox.clone());
    let asked = Admission::new(sandbox).owned(numbers.clone());
    let from = |admission: &Admission, from: &str, test| {
        let request = SendRequest { from: Some(from.to_owned()), test, ..sms(US, "hi") };
        admission.check(OWN, request, NOW).map(|_| ()).map_err(|refusal| refusal.code)
    };
    for own in ["+14155550100", "12345", "Acme"] {
        assert_eq!(from(&asked, own, false), Ok(()), "{own}");
    }
    for other in ["+14155550101", "+14155550102", "+14155550103", "54321"] {
        assert_eq!(from(&asked, other, false), Err(Code::SenderNotOwned), "{other}");
        assert_eq!(from(&open, other, false), Ok(()), "{other}");
        assert_eq!(from(&asked, other, true), Ok(()), "nothing leaves of a test: {other}");
    }
    let own = CarrierRoute { organization: Some(OWN), ..carrier(2, "own", &[]) };
    let own = Admission::new(routes(vec![own])).owned(numbers.clone());
    assert_eq!(from(&own, "+14155550103", false), Ok(()), "its carrier knows what it may");
    let suspended = model::number::NumberStatus::Suspended.code();
    let row = held("+14155550100", OWN, "[\"sms\"]");
    numbers.put(&store::NumberRouteRow { status: suspended, updated_at: 2, ..row });
    assert_eq!(from(&asked, "+14155550100", false), Err(Code::SenderNotOwned));
}
