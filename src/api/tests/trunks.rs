//! `/voice/sip-trunks`: made, replaced, taken up at once, one's own; and passwords that stay hidden.

use actors::sip::trunks::{Caller, Running};

use super::*;

const TRUNKS: &str = "/api/v1/voice/sip-trunks";

async fn make(world: &World, trunk: &Value) -> String {
    let made = world.post(TRUNKS, trunk).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.data()["id"].as_str().unwrap().to_owned()
}

impl World {
    /// The trunk as the switch has it.
    fn running(&self, id: &str) -> Option<Arc<Running>> {
        let id = PublicId::parse(model::id::Kind::Trunk, id).unwrap();
        self.app.trunks.trunks().find(id)
    }

    fn password_of(&self, id: &str) -> Option<String> {
        self.running(id).unwrap().trunk.password.clone().map(|password| password.0)
    }
}

fn office() -> Value {
    json!({"name": "Office", "outbound_uri": "sip:pbx.example.com:5061;transport=tls",
        "inbound_uris": ["203.0.113.7", "198.51.100.0/24", "pbx.example.com"],
        "username": "orbit", "codecs": ["opus", "PCMA"], "encryption": "tls_srtp",
        "register": true, "options_ping_seconds": 60, "max_channels": 4, "status": "active"})
}

#[tokio::test]
async fn a_trunk_is_made_shown_replaced_and_deleted() {
    let world = World::new().await;
    let mut asked = office();
    asked["password"] = json!("hunter2");
    let id = make(&world, &asked).await;
    assert!(id.starts_with("trk_"), "{id}");
    let path = format!("{TRUNKS}/{id}");
    let shown = world.get(&path).await;
    for (field, value) in office().as_object().unwrap() {
        assert_eq!(&shown.data()[field], value, "{field}");
    }
    assert_eq!(
        (&shown.data()["health"], &shown.data()["channels_in_use"]),
        (&json!("unknown"), &json!(0))
    );
    let listed = world.get(TRUNKS).await;
    assert_eq!(listed.data(), &json!([shown.data()]));
    assert!(!(listed.body.to_string() + &shown.body.to_string()).contains("hunter2"));

    let running = world.running(&id).unwrap();
    assert_eq!(running.trunk.organization, Some(world.organization));
    assert_eq!(running.trunk.target.as_ref().unwrap().port, Some(5061));
    assert_eq!(world.password_of(&id).as_deref(), Some("hunter2"));
    let trunks = world.app.trunks.trunks();
    let calls = |address: &str| trunks.caller(address.parse().unwrap(), |_| false);
    assert!(matches!(calls("198.51.100.9"), Caller::One(_)));
    assert!(matches!(calls("198.51.101.9"), Caller::Nobody));

    let _call = running.take_channel().unwrap();
    for _ in 0..3 {
        running.live.missed("timed out");
    }
    let shown = world.get(&path).await;
    let (health, error) = (&shown.data()["health"], &shown.data()["last_error"]);
    assert_eq!((health, error), (&json!("down"), &json!("timed out")));
    assert_eq!(shown.data()["channels_in_use"], 1);

    let other = json!({"name": "Office 2", "inbound_uris": ["192.0.2.1"], "status": "disabled"});
    let replaced = world.ask("PUT", &path, &other).await;
    assert_eq!(replaced.status, 200, "{}", replaced.body);
    let data = replaced.data();
    assert_eq!((&data["outbound_uri"], &data["username"]), (&Value::Null, &Value::Null));
    assert_eq!((&data["max_channels"], &data["status"]), (&json!(30), &json!("disabled")));
    assert!(!world.running(&id).unwrap().takes_calls());

    assert_eq!(world.ask("DELETE", &path, None).await.status, 204);
    assert_eq!(world.ask("DELETE", &path, None).await.status, 404);
    assert_eq!(world.get(&path).await.status, 404);
    assert!(world.running(&id).is_none());
}

#[tokio::test]
async fn a_password_stays_where_it_was_given_for() {
    let world = World::new().await;
    let at = |place: &str| json!({"name": "a", "outbound_uri": place, "username": "u"});
    let with = |place: &str, password: Value| {
        let mut trunk = at(place);
        trunk["password"] = password;
        trunk
    };
    let id = make(&world, &with("sip:pbx.example.com", json!("one"))).await;
    let path = format!("{TRUNKS}/{id}");
    let puts = [
        (at("sip:pbx.example.com;transport=tcp"), Some("one")),
        (with("sip:pbx.example.com", json!("two")), Some("two")),
        (at("sip:other.example.com"), None),
        (with("sip:other.example.com", json!("three")), Some("three")),
        (with("sip:other.example.com", Value::Null), None),
    ];
    for (body, expected) in puts {
        let put = world.ask("PUT", &path, &body).await;
        assert_eq!(put.status, 200, "{}", put.body);
        assert_eq!(world.password_of(&id).as_deref(), expected, "{body}");
    }
    // What memory has is what a start reads.
    make(&world, &with("sip:pbx.example.com", json!("four"))).await;
    let mut before = world.app.trunks.trunks().all();
    world.app.trunks.load().await.unwrap();
    let mut after = world.app.trunks.trunks().all();
    for list in [&mut before, &mut after] {
        list.sort_by_key(|running| running.trunk.id);
    }
    let trunks = |list: &[Arc<Running>]| list.iter().map(|r| r.trunk.clone()).collect::<Vec<_>>();
    assert_eq!(trunks(&before), trunks(&after));
}

#[tokio::test]
async fn a_trunk_leads_outside_and_its_faults_are_named() {
    let refuses = async |world: &World, inside: &str| {
        let refused = world.post(TRUNKS, &json!({"name": "a", "outbound_uri": inside})).await;
        assert_eq!((refused.status, refused.code()), (422, "VALIDATION_ERROR"), "{inside}");
    };
    let world = World::new().await;
    for inside in ["sip:10.1.0.1", "sip:localhost", "sip:db.internal"] {
        refuses(&world, inside).await;
    }
    let world = World::with_settings(Profile::Open, |settings| {
        settings.sip.trunk_networks = vec![String::from("10.1.0.0/16")];
    })
    .await;
    for inside in ["sip:127.0.0.1", "sip:10.0.0.1", "sip:[::1]"] {
        refuses(&world, inside).await;
    }
    make(&world, &json!({"name": "a", "outbound_uri": "sip:10.1.0.1"})).await;
    let bad = json!({"name": 5, "codecs": ["G729"], "inbound_uris": ["0.0.0.0/0"]});
    let refused = world.post(TRUNKS, &bad).await;
    let text = refused.body.to_string();
    for field in ["name", "codecs", "inbound_uris"] {
        assert!(text.contains(field), "{field}: {text}");
    }
}

#[tokio::test]
async fn trunks_are_ones_own_and_changed_with_a_live_key_of_their_scope() {
    let world = World::new().await;
    let id = make(&world, &office()).await;
    let path = format!("{TRUNKS}/{id}");
    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, TRUNKS).await.data(), &json!([]));
    assert_eq!(world.get_as(&stranger, &path).await.status, 404);
    let ask = async |key: &str, method: &str| {
        let request = Request::builder().method(method).uri(&path).header("x-api-key", key);
        let request = request.header("content-type", "application/json");
        world.call(request.body(office().to_string().into()).unwrap()).await
    };
    for method in ["PUT", "DELETE"] {
        assert_eq!(ask(&stranger, method).await.status, 404);
        let test = world.key(Mode::Test, "*").await;
        assert_eq!(ask(&test, method).await.code(), "WRONG_KEY_MODE");
        let reader = world.key(Mode::Live, "voice:read").await;
        assert_eq!(ask(&reader, method).await.code(), "INSUFFICIENT_PERMISSIONS");
    }
    assert_eq!(world.get(&path).await.data()["name"], "Office");
}

#[tokio::test]
async fn an_address_where_the_operators_carrier_calls_from_is_no_customers() {
    let world = World::new().await;
    make(&world, &json!({"name": "a", "inbound_uris": ["203.0.113.7"]})).await;
    let mut carrier = world.app.trunks.trunks().all()[0].trunk.clone();
    carrier.id = PublicId::new(At::now());
    carrier.organization = None;
    carrier.sources = vec![model::trunk::Source::parse("198.51.100.0/24").unwrap()];
    world.app.trunks.trunks().replace([(None, vec![carrier])]);
    let body = json!({"name": "b", "inbound_uris": ["198.51.100.7"]});
    let refused = world.post(TRUNKS, &body).await;
    assert_eq!((refused.status, refused.code()), (409, "CONFLICT"), "{}", refused.body);
    make(&world, &json!({"name": "b", "inbound_uris": ["203.0.113.7"]})).await;
    let there = json!({"name": "c", "outbound_uri": "sip:198.51.100.9:5070"});
    assert_eq!(world.post(TRUNKS, &there).await.status, 422);
}
