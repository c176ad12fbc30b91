//! Carriers and credentials over the API: made, shown, changed, revealed once, and whose they are.

use super::*;
use crate::admin::{CarrierRequest, Desk, Request as Asked};
use crate::carriers::Filed;
use crate::settings::Carrier;
use model::refusal::Code;

const CREDENTIALS: &str = "/api/v1/messaging/smpp/credentials";
const CARRIERS: &str = "/api/v1/messaging/smpp/carriers";
const PASSWORD: &str = "hunter2";

impl World {
    async fn credential(&self) -> Answer {
        let said = json!({
            "host": "smsc.example.com", "system_id": "acme", "password": PASSWORD, "tps": 50,
        });
        let made = self.post(CREDENTIALS, &said).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made
    }

    async fn carrier(&self, credential: &Answer, more: Value) -> Answer {
        let mut said = json!({"credential_id": id_in(credential)});
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.post(CARRIERS, &said).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made
    }

    async fn patch(&self, path: &str, said: &Value) -> Answer {
        self.ask("PATCH", path, said).await
    }

    async fn empty(&self, method: &str, path: &str) -> Answer {
        self.ask(method, path, &json!({})).await
    }

    async fn as_another(&self, key: &str, method: &str, path: &str, said: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("x-api-key", key);
        let request = request.header("content-type", "application/json");
        self.call(request.body(Body::from(said.to_string())).unwrap()).await
    }
}

fn id_in(made: &Answer) -> &str {
    made.data()["id"].as_str().unwrap()
}

fn at(collection: &str, made: &Answer) -> String {
    format!("{collection}/{}", id_in(made))
}

/// The settings' carriers as boot reads them, of no organization.
pub(super) fn filed(settings: &Settings) -> Vec<Filed> {
    let filed = |(at, carrier): (usize, &Carrier)| Filed {
        id: CarrierId(1_000 + i64::try_from(at).unwrap()),
        carrier: carrier.clone(),
        organization: None,
    };
    settings.carriers.iter().enumerate().map(filed).collect()
}

#[tokio::test]
async fn a_credential_is_made_shown_changed_and_never_tells_its_password() {
    let world = World::new().await;
    let made = world.credential().await;
    assert!(id_in(&made).starts_with("scr_"));
    for (name, value) in [
        ("name", json!("acme")),
        ("source", json!("api")),
        ("status", json!("disabled")),
        ("carrier_id", Value::Null),
        ("host", json!("smsc.example.com")),
        ("port", json!(2775)),
        ("system_id", json!("acme")),
        ("bind_mode", json!("transceiver")),
        ("tls", json!(false)),
        ("tls_verify", json!(true)),
        ("interface_version", json!("3.4")),
        ("connections", json!(1)),
        ("tps", json!(50)),
        ("enquire_link_s", Value::Null),
        ("revealed_at", Value::Null),
    ] {
        assert_eq!(made.data()[name], value, "{name}");
    }
    let path = at(CREDENTIALS, &made);
    let said =
        json!({"tls": true, "tps": null, "name": "Acme", "bind_mode": "transmitter_receiver"});
    let changed = world.patch(&path, &said).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.data()["port"], 3550);
    assert_eq!(changed.data()["tps"], 0);
    assert_eq!(changed.data()["name"], "Acme");
    assert_eq!(changed.data()["bind_mode"], "transmitter_receiver");
    assert_eq!(changed.data()["host"], "smsc.example.com");
    let (shown, list) = (world.get(&path).await, world.get(CREDENTIALS).await);
    assert_eq!(shown.data(), changed.data());
    assert_eq!(list.data(), &json!([changed.data()]));
    for answer in [&made, &changed, &shown, &list] {
        assert!(!answer.body.to_string().contains(PASSWORD), "{}", answer.body);
    }
    let status = world.get(&format!("{path}/status")).await;
    assert_eq!(status.status, 200, "{}", status.body);
    assert_eq!(status.data()["status"], "disabled");
    assert_eq!(world.ask("DELETE", &path, None).await.status, 204);
    assert_eq!(world.get(&path).await.status, 404);
}

#[tokio::test]
async fn what_does_not_fit_is_named_and_nothing_is_made() {
    let world = World::new().await;
    let good = json!({"host": "smsc.example.com", "system_id": "acme", "password": "x"});
    for (field, value) in [
        ("host", json!("127.0.0.1")),
        ("host", json!("localhost")),
        ("host", json!("10.1.2.3")),
        ("host", json!("a b")),
        ("host", json!(5)),
        ("host", json!("")),
        ("port", json!(0)),
        ("port", json!(65_536)),
        ("system_id", json!("s".repeat(65))),
        ("password", json!("é")),
        ("password", json!("x".repeat(65))),
        ("password", Value::Null),
        ("system_type", json!("thirteen-----")),
        ("bind_mode", json!("both")),
        ("tls_ca_file", json!("/etc/passwd")),
        ("interface_version", json!("3.5")),
        ("connections", json!(0)),
        ("connections", json!(11)),
        ("window_size", json!(0)),
        ("tps", json!(-1)),
        ("enquire_link_s", json!(0)),
        ("reconnect_max_s", json!(1_000_000)),
        ("name", json!("")),
    ] {
        let mut said = good.clone();
        said[field] = value.clone();
        let refused = world.post(CREDENTIALS, &said).await;
        assert_eq!(refused.status, 422, "{field} {value}: {}", refused.body);
        let details = &refused.body["error"]["details"];
        assert_eq!(details["field"], field, "{value}: {details}");
        assert!(!refused.body.to_string().contains("/etc/passwd"), "{}", refused.body);
    }
    let two = world.post(CREDENTIALS, &json!({"port": "x"})).await;
    assert_eq!(two.status, 422);
    assert!(two.body["error"]["details"]["errors"].as_array().unwrap().len() >= 3, "{}", two.body);
    assert_eq!(world.get(CREDENTIALS).await.data(), &json!([]));

    let credential = world.credential().await;
    for (field, value) in [
        ("prefixes", json!(["+1"])),
        ("priority", json!("high")),
        ("concat", json!("none")),
        ("source_ton", json!(7)),
        ("dlr_timeout_h", json!(0)),
        ("dlr_id_format", json!("hex")),
        ("state_map", json!({"accepted": "fine"})),
        ("state_map", json!({"sent": "delivered"})),
        ("enabled", json!("yes")),
        ("default_sender", json!("!")),
    ] {
        let mut said = json!({"credential_id": id_in(&credential)});
        said[field] = value.clone();
        let refused = world.post(CARRIERS, &said).await;
        assert_eq!(refused.status, 422, "{field} {value}: {}", refused.body);
        assert_eq!(refused.body["error"]["details"]["field"], field, "{}", refused.body);
    }
    assert_eq!(world.post(CARRIERS, &json!({})).await.code(), "MISSING_REQUIRED_FIELD");
    assert_eq!(world.get(CARRIERS).await.data(), &json!([]));
}

#[tokio::test]
async fn a_carrier_takes_messages_when_made_and_no_more_when_disabled() {
    let world = World::new().await;
    let credential = world.credential().await;
    let more = json!({"prefixes": ["1415"], "default_sender": "Acme", "state_map":
        {"accepted": "delivered"}, "name": "To California"});
    let made = world.carrier(&credential, more).await;
    assert!(id_in(&made).starts_with("car_"));
    assert_eq!(made.data()["enabled"], true);
    assert_eq!(made.data()["scope"], "org");
    assert_eq!(made.data()["name"], "To California");
    assert_eq!(made.data()["prefixes"], json!(["1415"]));
    assert_eq!(made.data()["state_map"], json!({"accepted": "delivered"}));
    assert_eq!(made.data()["credential_id"], id_in(&credential));
    let sent = world.post("/api/v1/messages/sms", &sms()).await;
    assert_eq!((sent.status, &sent.data()["from"]), (202, &json!("Acme")), "{}", sent.body);

    let path = at(CARRIERS, &made);
    let changed = world.patch(&path, &json!({"prefixes": ["44"], "priority": 7})).await;
    assert_eq!(changed.data()["priority"], 7);
    assert_eq!(changed.data()["default_sender"], "Acme");
    assert_eq!(world.post("/api/v1/messages/sms", &sms()).await.code(), "NO_ROUTE");
    let test = json!({"to": "+14155550123"});
    let tested = world.post(&format!("{path}/test"), &test).await;
    assert_eq!(tested.status, 202, "whatever it is chosen for: {}", tested.body);
    assert_eq!(tested.data()["from"], "Acme");
    let everywhere = world.patch(&path, &json!({"prefixes": null})).await;
    assert_eq!(everywhere.data()["prefixes"], json!([]));
    assert_eq!(world.post("/api/v1/messages/sms", &sms()).await.status, 202);

    let off = world.patch(&path, &json!({"enabled": false})).await;
    assert_eq!((off.data()["enabled"].clone(), off.status), (json!(false), 200));
    assert_eq!(world.post("/api/v1/messages/sms", &sms()).await.code(), "NO_ROUTE");
    let tested = world.post(&format!("{path}/test"), &test).await;
    assert_eq!((tested.status, tested.code()), (409, "CONFLICT"));
    assert_eq!(world.ask("DELETE", &path, None).await.status, 204);
    assert_eq!(world.get(&path).await.code(), "NOT_FOUND");
}

#[tokio::test]
async fn a_carrier_that_cannot_run_sends_no_test_message() {
    let mut world = World::new().await;
    let test = json!({"to": "+14155550123", "from": "Acme"});
    let tested = async |world: &World, path: &str| {
        let answer = world.post(&format!("{path}/test"), &test).await;
        (answer.status, answer.code().to_owned())
    };
    let refused = (409, String::from("CONFLICT"));

    let credential = world.credential().await;
    let path = at(CARRIERS, &world.carrier(&credential, json!({})).await);
    assert_eq!(world.post(&format!("{path}/test"), &test).await.status, 202);
    let id = model::id::PublicId::parse(model::id::Kind::SmppCredential, id_in(&credential));
    let change = store::lane::CarrierChange::SetPassword {
        id: id.unwrap(),
        organization: Some(world.organization),
        password: b"sealed under another key".to_vec(),
        revealed: false,
        by: String::from("key_1"),
    };
    world.handle.administer(Admin::Carrier(Box::new(change))).await.unwrap();
    world.app.carriers.changed().await;
    assert_eq!(world.get(&path).await.data()["status"], "failed");
    assert_eq!(tested(&world, &path).await, refused, "its password does not open");

    let off = "name = \"off\"\nhost = \"h\"\nsystem_id = \"s\"\npassword = \"p\"\nenabled = false";
    let filed = Filed {
        id: CarrierId(77),
        carrier: config_of(off),
        organization: Some(world.organization),
    };
    let path = format!("{CARRIERS}/{}", filed.carrier_id().show(model::id::Kind::Carrier));
    world.app = world.app_with(vec![filed]);
    world.router = router(world.app.clone());
    assert_eq!(world.get(&path).await.data()["enabled"], false);
    assert_eq!(tested(&world, &path).await, refused, "the settings file disables it");
}

#[tokio::test]
async fn what_is_in_use_is_not_deleted_nor_taken_twice() {
    let world = World::new().await;
    let (first, second) = (world.credential().await, world.credential().await);
    let carrier = world.carrier(&first, json!({})).await;
    let other = world.carrier(&second, json!({})).await;
    let refused = world.ask("DELETE", &at(CREDENTIALS, &first), None).await;
    assert_eq!((refused.status, refused.code()), (409, "RESOURCE_IN_USE"));
    let again = world.post(CARRIERS, &json!({"credential_id": id_in(&first)})).await;
    assert_eq!((again.status, again.code()), (409, "RESOURCE_IN_USE"));
    let taken = json!({"credential_id": id_in(&first)});
    let refused = world.patch(&at(CARRIERS, &other), &taken).await;
    assert_eq!((refused.status, refused.code()), (409, "RESOURCE_IN_USE"));
    let same = world.patch(&at(CARRIERS, &carrier), &taken).await;
    assert_eq!(same.status, 200, "its own is its own: {}", same.body);
    assert_eq!(world.ask("DELETE", &at(CARRIERS, &carrier), None).await.status, 204);
    let moved = world.patch(&at(CARRIERS, &other), &taken).await;
    assert_eq!(moved.data()["credential_id"], id_in(&first));
    assert_eq!(world.ask("DELETE", &at(CREDENTIALS, &second), None).await.status, 204);
}

#[tokio::test]
async fn of_changes_at_once_none_is_lost() {
    let world = World::new().await;
    let credential = world.credential().await;
    let made = world.carrier(&credential, json!({})).await;
    let path = at(CARRIERS, &made);
    let said = [
        json!({"priority": 7}),
        json!({"prefixes": ["1"]}),
        json!({"default_sender": "Acme"}),
        json!({"validity_period": false}),
        json!({"dest_npi": 0}),
    ];
    let [a, b, c, d, e] = &said;
    let answers = tokio::join!(
        world.patch(&path, a),
        world.patch(&path, b),
        world.patch(&path, c),
        world.patch(&path, d),
        world.patch(&path, e),
    );
    for answer in [answers.0, answers.1, answers.2, answers.3, answers.4] {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let shown = world.get(&path).await;
    for change in &said {
        for (field, value) in change.as_object().unwrap() {
            assert_eq!(&shown.data()[field], value, "{field}");
        }
    }
}

#[tokio::test]
async fn a_password_is_revealed_once_and_another_one_again() {
    let world = World::new().await;
    let made = world.credential().await;
    let path = at(CREDENTIALS, &made);
    let shown = world.empty("POST", &format!("{path}/reveal")).await;
    assert_eq!(shown.data()["password"], PASSWORD, "{}", shown.body);
    assert_eq!(shown.header("cache-control"), "no-store");
    let again = world.empty("POST", &format!("{path}/reveal")).await;
    assert_eq!((again.status, again.code()), (409, "ALREADY_REVEALED"));
    assert!(world.get(&path).await.data()["revealed_at"].is_string());

    let given = world.post(&format!("{path}/rotate"), &json!({"password": "other"})).await;
    assert_eq!((given.status, &given.data()["password"]), (200, &Value::Null), "{}", given.body);
    let shown = world.empty("POST", &format!("{path}/reveal")).await;
    assert_eq!(shown.data()["password"], "other");
    let made = world.empty("POST", &format!("{path}/rotate")).await;
    let password = made.data()["password"].as_str().unwrap().to_owned();
    assert_eq!(password.len(), 8);
    let again = world.empty("POST", &format!("{path}/reveal")).await;
    assert_eq!(again.code(), "ALREADY_REVEALED", "it was shown when it was made");

    let log = world.get("/api/v1/events?type=smpp.*").await;
    let types: Vec<&str> =
        log.data().as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    let revealed = types.iter().filter(|t| **t == "smpp.credential_revealed").count();
    let rotated = types.iter().filter(|t| **t == "smpp.credential_rotated").count();
    assert_eq!((revealed, rotated), (2, 2), "{}", log.body);
    assert!(log.body.to_string().contains("key_"), "{}", log.body);
    for secret in [PASSWORD, password.as_str()] {
        assert!(!log.body.to_string().contains(secret), "{}", log.body);
    }
}

#[tokio::test]
async fn tenants_and_test_keys_touch_nothing_of_it() {
    let world = World::new().await;
    let credential = world.credential().await;
    let carrier = world.carrier(&credential, json!({})).await;
    let stranger = world.stranger(false).await;
    let (scr, car) = (at(CREDENTIALS, &credential), at(CARRIERS, &carrier));
    let reads = [scr.clone(), car.clone(), format!("{scr}/status")];
    for path in &reads {
        assert_eq!(world.get_as(&stranger, path).await.status, 404, "{path}");
    }
    let writes = [
        ("PATCH", scr.clone()),
        ("DELETE", scr.clone()),
        ("POST", format!("{scr}/reveal")),
        ("POST", format!("{scr}/rotate")),
        ("PATCH", car.clone()),
        ("DELETE", car.clone()),
        ("POST", format!("{car}/test")),
    ];
    let said = json!({"to": "+14155550123", "tps": 1});
    for (method, path) in &writes {
        let answer = world.as_another(&stranger, method, path, &said).await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.body);
    }
    for collection in [CREDENTIALS, CARRIERS] {
        assert_eq!(world.get_as(&stranger, collection).await.data(), &json!([]));
    }
    let theirs = json!({"credential_id": id_in(&credential)});
    let answer = world.as_another(&stranger, "POST", CARRIERS, &theirs).await;
    assert_eq!((answer.status, answer.code()), (422, "VALIDATION_ERROR"));

    let test = world.key(Mode::Test, "*").await;
    for (method, path) in &writes {
        let answer = world.as_another(&test, method, path, &said).await;
        assert_eq!((answer.status, answer.code()), (403, "WRONG_KEY_MODE"), "{method} {path}");
    }
    let reader = world.key(Mode::Live, "smpp:read").await;
    assert_eq!(world.get_as(&reader, &scr).await.status, 200);
    for (method, path) in &writes {
        let answer = world.as_another(&reader, method, path, &said).await;
        assert_eq!(answer.code(), "INSUFFICIENT_PERMISSIONS", "{method} {path}");
    }
    // Nothing was touched, the one right to see the password among it.
    assert_eq!(world.get(&scr).await.data()["tps"], 50);
    let shown = world.empty("POST", &format!("{scr}/reveal")).await;
    assert_eq!(shown.data()["password"], PASSWORD);
}

#[tokio::test]
async fn lists_go_by_pages_and_have_their_limit() {
    let world = World::with_settings(Profile::Open, |settings| {
        settings.smpp.credentials_per_organization_max = 3;
    })
    .await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let credential = world.credential().await;
        ids.push(id_in(&world.carrier(&credential, json!({})).await).to_owned());
    }
    let said = json!({"host": "h.example.com", "system_id": "a", "password": "p"});
    assert_eq!(world.post(CREDENTIALS, &said).await.code(), "CONFLICT");
    ids.reverse();
    let first = world.get(&format!("{CARRIERS}?limit=2")).await;
    let cursor = first.body["meta"]["pagination"]["cursor"].as_str().unwrap();
    let rest = world.get(&format!("{CARRIERS}?limit=2&cursor={cursor}")).await;
    let listed = first.data().as_array().unwrap().iter().chain(rest.data().as_array().unwrap());
    let listed: Vec<&str> = listed.map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids);
    assert_eq!(rest.body["meta"]["pagination"]["has_more"], false);
    let other = format!("{CREDENTIALS}?cursor={cursor}");
    assert_eq!(world.get(&other).await.code(), "INVALID_CURSOR");
}

#[tokio::test]
async fn a_thousand_carriers_made_and_deleted_leave_nothing_to_look_after() {
    let world = World::with_settings(Profile::Open, |settings| {
        settings.smpp.carriers_per_organization_max = 1_000;
    })
    .await;
    let credential = world.credential().await;
    let (book, router) = (&world.app.carriers, world.admission.router());
    book.changed().await;
    let before = (book.watched().len(), book.planned());
    for _ in 0..1_000 {
        let made = world.carrier(&credential, json!({})).await;
        assert_eq!(world.ask("DELETE", &at(CARRIERS, &made), None).await.status, 204);
    }
    assert_eq!((book.watched().len(), book.planned()), before);
    assert!(router.remembers() <= 3, "{}", router.remembers());
    let said = json!({"credential_id": id_in(&credential)});
    let refused = world.post(CARRIERS, &said).await;
    assert_eq!((refused.status, refused.code()), (409, "CONFLICT"), "those of today count");
}

#[tokio::test]
async fn what_waits_at_a_deleted_carrier_keeps_its_owner() {
    let world = World::new().await;
    let credential = world.credential().await;
    let made = world.carrier(&credential, json!({"default_sender": "Orbit"})).await;
    assert_eq!(world.post("/api/v1/messages/sms", &sms()).await.status, 202);
    let (book, planned) = (&world.app.carriers, world.app.carriers.planned());
    let watched = book.watched().len();
    assert_eq!(world.ask("DELETE", &at(CARRIERS, &made), None).await.status, 204);
    assert_eq!((book.watched().len(), book.planned()), (watched, planned));
}

#[tokio::test]
async fn the_operator_keeps_the_platforms_carriers_and_not_those_of_the_file() {
    let file = "name = \"filed\"\nhost = \"10.0.0.1\"\nsystem_id = \"s\"\npassword = \"p\"";
    let world = World::with_settings(Profile::Open, |settings| {
        settings.carriers.push(config_of(file));
    })
    .await;
    let accounts = Accounts::new([7; 32], NEVER_SHUT);
    let (store, handle, book) = (&world.store, &world.handle, &world.app.carriers);
    let desk = Desk::new(store.clone(), handle.clone(), None, Default::default(), accounts);
    let desk = desk.keeping(book.clone());
    let ask = async |request| desk.answer(Asked::Carrier { request }).await;
    let name = || String::from("upstream");
    let add = |name: &str, said: Value| CarrierRequest::Add {
        name: name.to_owned(),
        settings: said.as_object().unwrap().clone(),
    };
    let said = json!({"host": "10.0.0.2", "system_id": "s", "password": PASSWORD,
        "prefixes": ["1"], "default_sender": "Orbit"});
    let made = ask(add("upstream", said.clone())).await.unwrap();
    assert_eq!(made["carrier"]["scope"], "platform");
    assert_eq!(made["credential"]["host"], "10.0.0.2", "the operator knows his networks");
    assert!(!made.to_string().contains(PASSWORD));
    for taken in ["upstream", "filed", "sandbox", "no name"] {
        assert!(ask(add(taken, said.clone())).await.is_err(), "{taken}");
    }
    assert_eq!(world.post("/api/v1/messages/sms", &sms()).await.status, 202);
    assert_eq!(world.get(CARRIERS).await.data(), &json!([]), "the platform's are not a tenant's");

    let disable = |enabled| CarrierRequest::Enable { name: name(), enabled };
    assert_eq!(ask(disable(false)).await.unwrap()["carrier"]["enabled"], false);
    let set = |said: Value| CarrierRequest::Set {
        name: name(),
        settings: said.as_object().unwrap().clone(),
    };
    let changed = ask(set(json!({"tps": 9, "priority": 3}))).await.unwrap();
    assert_eq!(changed["credential"]["tps"], 9);
    assert_eq!(changed["carrier"]["priority"], 3);
    assert_eq!(changed["carrier"]["enabled"], false);
    let list = ask(CarrierRequest::List).await.unwrap();
    let names: Vec<&str> =
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["filed", "upstream"]);
    let filed = CarrierRequest::Enable { name: String::from("filed"), enabled: false };
    assert_eq!(ask(filed).await.unwrap_err().code, Code::ManagedBySettings);
    assert!(ask(CarrierRequest::Show { name: String::from("filed") }).await.is_ok());
    let remove = || CarrierRequest::Remove { name: name() };
    assert!(ask(remove()).await.is_ok());
    assert_eq!(ask(remove()).await.unwrap_err().code, Code::NotFound);
    assert!(ask(add("upstream", said)).await.is_ok(), "a name that is free again");
}

#[tokio::test]
async fn a_carrier_of_the_settings_file_is_listed_to_its_organization_and_read_only() {
    let mut world = World::new().await;
    let filed = Filed {
        id: CarrierId(77),
        carrier: config_of("name = \"f\"\nhost = \"h\"\nsystem_id = \"s\"\npassword = \"hush\""),
        organization: Some(world.organization),
    };
    let (credential, carrier) = (
        format!("{CREDENTIALS}/{}", filed.credential_id().show(model::id::Kind::SmppCredential)),
        format!("{CARRIERS}/{}", filed.carrier_id().show(model::id::Kind::Carrier)),
    );
    world.app = world.app_with(vec![filed]);
    world.router = router(world.app.clone());
    let own = world.credential().await;
    let list = world.get(CREDENTIALS).await;
    let sources: Vec<&str> =
        list.data().as_array().unwrap().iter().map(|one| one["source"].as_str().unwrap()).collect();
    assert_eq!(sources, ["api", "settings"]);
    assert!(!list.body.to_string().contains("hush"));
    assert_eq!(world.get(&carrier).await.data()["source"], "settings");
    assert_eq!(world.get(&credential).await.data()["host"], "h");
    for (method, path) in [
        ("PATCH", credential.clone()),
        ("DELETE", credential.clone()),
        ("POST", format!("{credential}/reveal")),
        ("POST", format!("{credential}/rotate")),
        ("PATCH", carrier.clone()),
        ("DELETE", carrier.clone()),
    ] {
        let refused = world.empty(method, &path).await;
        assert_eq!(
            (refused.status, refused.code()),
            (409, "MANAGED_BY_SETTINGS"),
            "{method} {path}"
        );
    }
    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, &carrier).await.status, 404);
    let path = format!("{CREDENTIALS}?limit=1");
    let first = world.get(&path).await;
    let cursor = first.body["meta"]["pagination"]["cursor"].as_str().unwrap();
    let second = world.get(&format!("{path}&cursor={cursor}")).await;
    assert_eq!(
        (id_in_list(&first), second.data()[0]["source"].as_str()),
        (id_in(&own), Some("settings"))
    );
    assert_eq!(second.body["meta"]["pagination"]["has_more"], false);
}

fn id_in_list(list: &Answer) -> &str {
    list.data()[0]["id"].as_str().unwrap()
}

fn config_of(text: &str) -> Carrier {
    let file = format!("[[carriers]]\n{text}\n");
    let path =
        std::env::temp_dir().join(format!("orbit-carrier-{}-{:p}", std::process::id(), text));
    std::fs::write(&path, file).unwrap();
    let settings = Settings::load(Some(&path), Vec::new(), Vec::new());
    std::fs::remove_file(&path).unwrap();
    settings.unwrap().carriers.remove(0)
}

impl World {
    /// The same world with these carriers in its settings file.
    fn app_with(&self, filed: Vec<Filed>) -> App {
        let settings = Settings::load(None, Vec::new(), Vec::new()).unwrap();
        let carriers = book_of(&self.store, &self.handle, &self.admission, &settings, filed);
        let limits = Profile::Open;
        let (store, handle) = (&self.store, &self.handle);
        app_of(store, handle, &self.admission, limits, &self.customers, settings, carriers)
    }
}
