//! `/numbers`: searched, bought, routed, exported, given back; and each organization's own.

use model::number::NumberType;
use store::lane::NewNumber;

use super::*;

const NUMBERS: &str = "/api/v1/numbers";

impl World {
    async fn stock(&self, numbers: &[&str]) {
        let new = |e164: &&str| NewNumber {
            id: PublicId::new(At::now()),
            e164: (*e164).to_owned(),
            country_code: String::from("US"),
            area_code: Some(e164[2..5].to_owned()),
            number_type: NumberType::Local,
            capabilities: String::from("[\"sms\",\"voice\"]"),
            sms_two_way: true,
            provider: String::from("manual"),
            monthly_cost: Micros(4_000_000),
        };
        self.app.numbers.stock(numbers.iter().map(new).collect()).await.unwrap();
    }

    /// Buys a number; its path.
    async fn buy(&self, e164: &str) -> String {
        let bought = self.post(NUMBERS, &json!({"phone_number": e164})).await;
        assert_eq!(bought.status, 201, "{}", bought.body);
        format!("{NUMBERS}/{}", bought.data()["id"].as_str().unwrap())
    }

    async fn route(&self, path: &str, routing: &Value) -> Answer {
        self.ask("PUT", &format!("{path}/routing"), routing).await
    }
}

#[tokio::test]
async fn a_number_is_searched_bought_shown_and_given_back() {
    let world = World::new().await;
    world.stock(&["+14155550100", "+12125550101", "+14155550102"]).await;
    let found = world.get(&format!("{NUMBERS}/available?country=US&area_code=415")).await;
    let numbers = found.data()["numbers"].as_array().unwrap();
    let expected = json!({"phoneNumber": "+14155550100", "number": "+14155550100",
        "country": "US", "type": "local", "capabilities": ["sms", "voice"], "sms_two_way": true,
        "monthlyRate": 4.0, "monthly_cost": "4.000000", "currency": "USD"});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&numbers[0][field], value, "{field}");
    }
    assert!(numbers[0]["id"].as_str().unwrap().starts_with("did_") && numbers.len() == 2);
    for bad in [
        "",
        "?country=us",
        "?country=US&type=fax",
        "?country=US&capabilities=fax",
        "?country=US&contains=a",
        "?country=US&limit=501",
    ] {
        let refused = world.get(&format!("{NUMBERS}/available{bad}")).await;
        assert_eq!((refused.status, refused.code()), (400, "VALIDATION_ERROR"), "{bad}");
    }
    let counts = world.get(&format!("{NUMBERS}/available/countries")).await;
    assert_eq!(counts.data(), &json!([{"country": "US", "type": "local", "numbers": 3}]));

    let asked = json!({"phone_number": "+14155550100", "country_code": "US",
        "friendly_name": "Sales", "capabilities": ["voice"]});
    let bought = world.post(&format!("{NUMBERS}/purchase"), &asked).await;
    assert_eq!(bought.status, 201, "{}", bought.body);
    let data = bought.data();
    assert!(data["id"].as_str().unwrap().starts_with("num_"));
    assert_eq!((&data["status"], &data["label"]), (&json!("active"), &json!("Sales")));
    assert_eq!((&data["monthly_cost"], &data["routing"]), (&json!("4.000000"), &Value::Null));
    assert_eq!(world.balance().await, (6_000_000, 0));
    let transactions = world.get("/api/v1/billing/transactions").await;
    assert_eq!(transactions.data()[0]["type"], "number_rental", "{}", transactions.body);
    let again = world.post(NUMBERS, &asked).await;
    assert_eq!((again.status, again.code()), (409, "NUMBER_NOT_AVAILABLE"));
    assert!(world.app.numbers.numbers().owns(world.organization, "+14155550100"));

    let fits = json!({"country_code": "US", "type": "local", "capabilities": ["sms"]});
    let fitting = world.post(NUMBERS, &fits).await;
    assert_eq!((fitting.status, &fitting.data()["e164"]), (201, &json!("+12125550101")));
    let poor = world.post(NUMBERS, &json!({"number": "+14155550102"})).await;
    assert_eq!((poor.status, poor.code()), (402, "BALANCE_TOO_LOW"), "{}", poor.body);

    let path = format!("{NUMBERS}/{}", data["id"].as_str().unwrap());
    let patch = json!({"label": "West", "tags": ["a", "b"]});
    let changed = world.ask("PATCH", &path, &patch).await;
    assert_eq!(
        (&changed.data()["label"], &changed.data()["tags"]),
        (&patch["label"], &patch["tags"])
    );
    let searched = world.get(&format!("{NUMBERS}?search=west")).await;
    assert_eq!(searched.data(), &json!([changed.data()]));
    assert_eq!(world.get(NUMBERS).await.data().as_array().unwrap().len(), 2);

    assert_eq!(world.ask("DELETE", &path, None).await.status, 204);
    assert_eq!(world.ask("DELETE", &path, None).await.status, 404);
    assert_eq!(world.get(&path).await.data()["status"], "parked");
    assert!(world.app.numbers.numbers().find("+14155550100").is_none());
    let parked = world.get(&format!("{NUMBERS}?status=parked")).await;
    assert_eq!(parked.data().as_array().unwrap().len(), 1);
    let back = world.post(NUMBERS, &asked).await;
    assert_eq!(back.code(), "NUMBER_NOT_AVAILABLE", "it is kept from others");
}

#[tokio::test]
async fn calls_go_where_the_routing_says_from_the_next_one_on() {
    let world = World::with_settings(Profile::Open, |settings| {
        settings.sip.domain = String::from("sip.example.com");
    })
    .await;
    world.stock(&["+14155550100"]).await;
    let path = world.buy("+14155550100").await;
    let routed = || world.app.numbers.numbers().find("+14155550100").unwrap();
    assert_eq!(routed().routing, None);
    let inline = json!({"type": "sip_forward", "config": {"mode": "inline",
        "sipUri": "sip:agent@pbx.example.net", "sipUsername": "u", "sipPassword": "hunter2"}});
    let put = world.route(&path, &inline).await;
    assert_eq!(
        (put.status, &put.data()["config"]["sipUri"]),
        (200, &json!("sip:agent@pbx.example.net")),
        "{}",
        put.body
    );
    let shown = world.get(&format!("{path}/routing")).await.body.to_string();
    assert!(!(put.body.to_string() + &shown).contains("hunter2"), "{shown}");
    assert_eq!(routed().password.as_ref().unwrap().0, "hunter2");

    let own = json!({"type": "sip_forward", "config": {"mode": "inline",
        "sipUri": "sip:a@acme.sip.example.com"}});
    assert_eq!(world.route(&path, &own).await.code(), "VALIDATION_ERROR");
    let help = json!({"type": "forward", "config": {"number": "+1911"}});
    let refused = world.route(&path, &help).await;
    assert_eq!((refused.status, refused.code()), (422, "EMERGENCY_CALLING_NOT_SUPPORTED"));
    assert_eq!(refused.body["error"]["details"]["destination"], "+1911****", "{}", refused.body);
    let later = world.route(&path, &json!({"type": "ivr", "config": {"id": "ivr_1"}})).await;
    assert_eq!((later.status, later.code()), (422, "ROUTING_NOT_AVAILABLE"));

    let group = json!({"type": "ring_group", "config": {"targets": [{"type": "user", "name": "100"}],
        "strategy": "sequential", "ring_seconds": 20}});
    assert_eq!(world.route(&path, &group).await.code(), "VALIDATION_ERROR", "nobody has it");
    let made = world.post("/api/v1/sip-credentials", &json!({"extension": "100"})).await;
    assert_eq!(made.status, 201);
    let put = world.route(&path, &group).await;
    assert_eq!((put.status, put.data()), (200, &group), "{}", put.body);

    let trunk = json!({"name": "PBX", "outbound_uri": "sip:pbx.example.net"});
    let trunk = world.post("/api/v1/voice/sip-trunks", &trunk).await;
    let id = trunk.data()["id"].as_str().unwrap().to_owned();
    let by = |id: &str| json!({"type": "sip_forward", "config": {"mode": "trunk", "trunkId": id}});
    for nobodys in ["x", "trk_0190b5a2c4e37f1a8d2e5b6c7d8e9f00"] {
        let refused = world.route(&path, &by(nobodys)).await;
        assert_eq!((refused.status, refused.code()), (422, "VALIDATION_ERROR"));
    }
    assert_eq!(world.route(&path, &by(&id)).await.status, 200);
    let trunk = format!("/api/v1/voice/sip-trunks/{id}");
    let used = world.ask("DELETE", &trunk, None).await;
    assert_eq!((used.status, used.code()), (409, "TRUNK_IN_USE"));
    let none = world.route(&path, &json!({"type": null})).await;
    assert_eq!(none.data(), &json!({"type": null, "config": null}));
    assert_eq!(routed().routing, None);
    assert_eq!(world.ask("DELETE", &trunk, None).await.status, 204);
}

#[tokio::test]
async fn a_month_more_is_charged_when_one_is_over_unless_it_is_said_otherwise() {
    let world = World::new().await;
    world.stock(&["+14155550100", "+14155550101"]).await;
    let (goes_on, ends) = (world.buy("+14155550100").await, world.buy("+14155550101").await);
    assert_eq!(world.balance().await, (2_000_000, 0));
    let auto_renew = format!("{ends}/auto-renew");
    for bad in [json!({}), json!({"auto_renew": "no"}), json!({"auto_renew": null})] {
        assert_eq!(world.ask("PATCH", &auto_renew, &bad).await.status, 422, "{bad}");
    }
    let off = world.ask("PATCH", &auto_renew, &json!({"auto_renew": false})).await;
    assert_eq!((off.status, &off.data()["auto_renew"]), (200, &json!(false)), "{}", off.body);

    let after = |days: u64| At::now().plus(std::time::Duration::from_secs(days * 86_400));
    let mut untold = Vec::new();
    let numbers = world.app.numbers.numbers();
    world.app.numbers.renew(after(32), &mut untold).await.unwrap();
    assert!(numbers.find("+14155550101").is_none(), "it is given back");
    assert_eq!(world.get(&ends).await.data()["status"], "parked");
    let unpaid = world.get(&goes_on).await;
    assert_eq!(unpaid.data()["status"], "active");
    assert!(unpaid.data()["unpaid_since"].is_string(), "{}", unpaid.body);
    assert!(numbers.find("+14155550100").is_some(), "it waits");

    world.app.numbers.renew(after(45), &mut untold).await.unwrap();
    assert!(numbers.find("+14155550100").is_none(), "calls are not taken");
    let suspended = world.get(&format!("{NUMBERS}?status=suspended")).await;
    assert_eq!(suspended.data()[0]["e164"], "+14155550100", "{}", suspended.body);
    let organization = world.organization;
    let (amount, note) = (Micros(2_000_000), String::new());
    world.app.writer.administer(Admin::TopUp { organization, amount, note }).await.unwrap();
    world.app.numbers.renew(after(50), &mut untold).await.unwrap();
    assert!(numbers.owns(organization, "+14155550100"), "it is back");
    assert_eq!(world.balance().await, (0, 0));
    let back = world.get(&goes_on).await;
    assert_eq!(
        (&back.data()["status"], &back.data()["unpaid_since"]),
        (&json!("active"), &Value::Null)
    );
    let events = world.get("/api/v1/events?type=number.*").await;
    let types: Vec<_> =
        events.data().as_array().unwrap().iter().map(|e| e["type"].clone()).collect();
    let told = ["number.renewed", "number.suspended", "number.renewal_failed", "number.released"];
    assert_eq!(types.len(), told.len(), "{}", events.body);
    assert!(told.iter().all(|kind| types.contains(&json!(kind))), "{}", events.body);
    assert!(untold.is_empty());
}

#[tokio::test]
async fn numbers_are_exported_in_an_order_that_stays() {
    let world = World::new().await;
    world.stock(&["+14155550100"]).await;
    let path = world.buy("+14155550100").await;
    world.ask("PATCH", &path, &json!({"label": "=1+1", "tags": ["a", "b"]})).await;
    let csv = world.get(&format!("{NUMBERS}/export")).await;
    assert_eq!((csv.header("x-row-count"), csv.header("x-truncated")), ("1", "false"));
    assert!(csv.header("content-disposition").starts_with("attachment; filename=\"numbers-"));
    let text = csv.body.as_str().unwrap();
    let mut lines = text.lines();
    let header = "e164,country_code,area_code,status,number_type,capabilities,label,tags,\
        forwarding_number,assigned_to,compliance_profile_id,tfv_status,monthly_cost,provider,\
        created_at,assigned_at,next_billing_at";
    assert_eq!(lines.next(), Some(header));
    let row = lines.next().unwrap();
    let begins = "+14155550100,US,415,active,local,sms;voice,'=1+1,a;b,,,,,4.000000,manual,";
    assert!(row.starts_with(begins), "{row}");
    let json = world.get(&format!("{NUMBERS}/export?format=json&search=nothing")).await;
    assert_eq!((json.header("x-row-count"), &json.body), ("0", &json!([])));
    assert_eq!(world.get(&format!("{NUMBERS}/export?format=xml")).await.status, 400);
}

#[tokio::test]
async fn numbers_are_ones_own_and_changed_with_a_live_key_of_their_scope() {
    let world = World::new().await;
    world.stock(&["+14155550100", "+14155550101"]).await;
    let path = world.buy("+14155550100").await;
    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, NUMBERS).await.data(), &json!([]));
    for theirs in [path.clone(), format!("{path}/routing")] {
        assert_eq!(world.get_as(&stranger, &theirs).await.status, 404);
    }
    let exported = world.get_as(&stranger, &format!("{NUMBERS}/export")).await;
    assert_eq!(exported.header("x-row-count"), "0");
    let ask = async |key: &str, method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("x-api-key", key);
        let request = request.header("content-type", "application/json");
        let body = "{\"type\":\"reject\",\"phone_number\":\"+14155550101\"}";
        world.call(request.body(body.into()).unwrap()).await
    };
    let routing = format!("{path}/routing");
    let renewal = format!("{path}/auto-renew");
    for (method, place) in [("PATCH", &path), ("DELETE", &path), ("PUT", &routing)] {
        assert_eq!(ask(&stranger, method, place).await.status, 404, "{method} {place}");
    }
    let buying = (&String::from(NUMBERS), "POST");
    let all = [(&path, "PATCH"), (&path, "DELETE"), (&routing, "PUT"), (&renewal, "PATCH"), buying];
    for (place, method) in all {
        let test = world.key(Mode::Test, "*").await;
        assert_eq!(ask(&test, method, place).await.code(), "WRONG_KEY_MODE");
        let reader = world.key(Mode::Live, "numbers:read voice:write").await;
        assert_eq!(ask(&reader, method, place).await.code(), "INSUFFICIENT_PERMISSIONS");
    }
    assert_eq!(world.get(&path).await.data()["routing"], Value::Null);
}
