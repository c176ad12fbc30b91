//! `/sip-credentials`: made, shown once, changed at once, one's own; and where phones are registered.

use actors::sip::credentials::hashes;
use store::lane::{Binding, BindingChange, Registrant, Work};

use super::*;

const CREDENTIALS: &str = "/api/v1/sip-credentials";

async fn make(world: &World, credential: &Value) -> (String, Value) {
    let made = world.post(CREDENTIALS, credential).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.header("cache-control"), "no-store");
    let data = made.data().clone();
    (format!("{CREDENTIALS}/{}", data["id"].as_str().unwrap()), data)
}

/// The phone of a credential comes.
async fn register(world: &World, made: &Value) {
    let public_id = PublicId::parse(model::id::Kind::SipCredential, made["id"].as_str().unwrap());
    let row = world.store.sip_credential(public_id.unwrap()).await.unwrap().unwrap();
    let binding = Binding {
        of: Registrant {
            credential: row.id,
            public_id: public_id.unwrap(),
            organization: OrgId(row.organization_id),
        },
        key: String::from("k"),
        aor: String::from("sip:a@b"),
        contact: String::from("sip:a@192.0.2.7:5060"),
        instance: None,
        reg_id: None,
        path: Vec::new(),
        call_id: String::from("c"),
        cseq: 1,
        user_agent: Some(String::from("Phone/1")),
        transport: String::from("tls"),
        received_from: String::from("192.0.2.7:40000"),
        flow: String::from("1"),
        node: String::from("n"),
        q: 1_000,
        registered_at: At::now(),
        expires_at: At(At::now().0 + 60_000_000),
    };
    let bindings = vec![BindingChange::Put { binding: Box::new(binding), is_new: true }];
    world.handle.perform(Work { bindings, ..Work::default() }).await.unwrap();
}

#[tokio::test]
async fn a_credential_is_made_shown_changed_and_revoked() {
    let world = World::new().await;
    assert_eq!(world.get(CREDENTIALS).await.data(), &json!([]));
    let asked = json!({"label": "Desk", "extension": "100", "allowed_outbound": true,
        "allowed_destinations": ["+1"], "caller_id": "+14155550100", "max_contacts": 2});
    let (path, made) = make(&world, &asked).await;
    assert!(made["id"].as_str().unwrap().starts_with("sip_"));
    let (username, realm) = (made["sip_username"].as_str().unwrap(), "test.sip.localhost");
    assert!(username.starts_with("100-") && username.len() == 12, "{username}");
    assert_eq!((&made["sip_server"], &made["sip_port"]), (&json!(realm), &json!(5060)));
    let password = made["sip_password"].as_str().unwrap();
    assert_eq!(password.len(), 20);

    let known = world.app.phones.credentials().find(realm, username).unwrap();
    assert!(*known.hashes() == hashes(realm, username, password));
    assert!(known.active && known.may_call("+14155550123") && !known.may_call("+442079460000"));

    let shown = world.get(&path).await;
    for (field, value) in asked.as_object().unwrap() {
        assert_eq!(&shown.data()[field], value, "{field}");
    }
    let text = shown.body.to_string() + &world.get(CREDENTIALS).await.body.to_string();
    assert!(!text.contains(password) && !text.contains("sip_password") && !text.contains("ha1"));

    let patch = json!({"label": "Front", "extension": null, "status": "suspended"});
    let changed = world.ask("PATCH", &path, &patch).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.data()["status"], "suspended");
    assert_eq!(
        (&changed.data()["label"], &changed.data()["extension"]),
        (&json!("Front"), &Value::Null)
    );
    assert!(!world.app.phones.credentials().find(realm, username).unwrap().active);

    assert_eq!(world.ask("DELETE", &path, None).await.status, 204);
    assert!(world.app.phones.credentials().find(realm, username).is_none());
    for method in ["GET", "DELETE"] {
        assert_eq!(world.ask(method, &path, None).await.status, 404);
    }
    assert_eq!(world.get(CREDENTIALS).await.data(), &json!([]));
    let (_, again) = make(&world, &asked).await;
    assert_eq!(again["extension"], "100", "it is free again");
}

#[tokio::test]
async fn extensions_and_usernames_are_one_of_a_kind_and_none_is_dialled_for_help() {
    let world = World::with_settings(Profile::Open, |settings| {
        settings.sip.credentials_per_organization_max = 2;
        settings.emergency.extra_codes = vec![String::from("110")];
    })
    .await;
    make(&world, &json!({"extension": "100", "sip_username": "desk"})).await;
    let taken = world.post(CREDENTIALS, &json!({"extension": "100"})).await;
    assert_eq!((taken.status, taken.code()), (409, "EXTENSION_IN_USE"), "{}", taken.body);
    let taken = world.post(CREDENTIALS, &json!({"sip_username": "desk"})).await;
    assert_eq!((taken.status, taken.code()), (409, "CONFLICT"), "{}", taken.body);
    for extension in ["911", "112", "999", "000", "1112", "0999", "1911", "110", "1", "123456789"] {
        let refused = world.post(CREDENTIALS, &json!({ "extension": extension })).await;
        assert_eq!((refused.status, refused.code()), (422, "VALIDATION_ERROR"), "{extension}");
    }
    make(&world, &json!({})).await;
    let more = world.post(CREDENTIALS, &json!({})).await;
    assert_eq!((more.status, more.code()), (409, "CONFLICT"), "{}", more.body);
    assert_eq!(more.body["error"]["details"]["limit"], 2, "{}", more.body);
    let bad = json!({"label": 7, "max_contacts": 0, "allowed_destinations": ["44"]});
    let refused = world.post(CREDENTIALS, &bad).await;
    let text = refused.body.to_string();
    for field in ["label", "max_contacts", "allowed_destinations"] {
        assert!(text.contains(field), "{field}: {text}");
    }
}

#[tokio::test]
async fn registrations_are_shown_and_dropped_and_do_not_outlive_a_password() {
    let world = World::new().await;
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    world.app.phones.credentials().listen(move |of| hears.lock().unwrap().push(of.credential));
    let (path, made) = make(&world, &json!({})).await;
    make(&world, &json!({})).await;
    let bound = async || world.get(&path).await.data()["registrations"].clone();
    register(&world, &made).await;
    let shown = bound().await;
    assert_eq!(shown[0]["contact"], "sip:a@192.0.2.7:5060");
    assert_eq!(
        (&shown[0]["transport"], &shown[0]["user_agent"]),
        (&json!("tls"), &json!("Phone/1"))
    );
    let listed = world.get(CREDENTIALS).await;
    let counts = listed.data().as_array().unwrap().iter();
    let counts: Vec<_> = counts.map(|c| c["registrations"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [0, 1], "newest first");

    let dropped = world.ask("POST", &format!("{path}/unregister"), None).await;
    let dropped = (dropped.status, dropped.data()["registrations"].clone());
    assert_eq!(dropped, (200, json!([])));
    register(&world, &made).await;
    assert_eq!(bound().await.as_array().unwrap().len(), 1, "it may come again");
    let rotated = world.ask("POST", &format!("{path}/rotate"), None).await;
    assert_eq!((rotated.status, rotated.header("cache-control")), (200, "no-store"));
    assert_ne!(rotated.data()["sip_password"], made["sip_password"]);
    assert_eq!(bound().await, json!([]));
    assert_eq!(told.lock().unwrap().len(), 2);

    let events = world.get("/api/v1/events?type=sip.*").await;
    let types: Vec<_> =
        events.data().as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    let expected = ["sip.unregistered", "sip.registered"];
    assert_eq!(types, [expected, expected].concat(), "{}", events.body);
}

#[tokio::test]
async fn credentials_are_ones_own_and_changed_with_a_live_key_of_their_scope() {
    let world = World::new().await;
    let (path, made) = make(&world, &json!({"extension": "100"})).await;
    register(&world, &made).await;
    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, CREDENTIALS).await.data(), &json!([]));
    assert_eq!(world.get_as(&stranger, &path).await.status, 404);
    let ask = async |key: &str, method: &str, more: &str| {
        let request = Request::builder().method(method).uri(format!("{path}{more}"));
        let request = request.header("x-api-key", key).header("content-type", "application/json");
        world.call(request.body("{\"label\":\"mine\"}".into()).unwrap()).await
    };
    let operations = [("PATCH", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/unregister")];
    for (method, more) in operations {
        assert_eq!(ask(&stranger, method, more).await.status, 404, "{method} {more}");
        let test = world.key(Mode::Test, "*").await;
        assert_eq!(ask(&test, method, more).await.code(), "WRONG_KEY_MODE");
        let reader = world.key(Mode::Live, "voice:read").await;
        assert_eq!(ask(&reader, method, more).await.code(), "INSUFFICIENT_PERMISSIONS");
        let other = world.key(Mode::Live, "smpp:write").await;
        assert_eq!(ask(&other, method, more).await.code(), "INSUFFICIENT_PERMISSIONS");
    }
    let reader = world.key(Mode::Live, "voice:read").await;
    let shown = world.get_as(&reader, &path).await;
    assert_eq!(shown.data()["label"], "", "nothing changed");
    assert_eq!(shown.data()["registrations"].as_array().unwrap().len(), 1);
    let as_stranger = [("x-api-key", stranger.as_str())];
    let theirs = world.post_with(CREDENTIALS, "{\"extension\":\"100\"}", &as_stranger);
    assert_eq!(theirs.await.status, 201, "extensions are each organization's own");
}
