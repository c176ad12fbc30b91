//! SMPP accounts over the API: made, shown, changed, whose they are, and whom their password lets in.

use std::net::IpAddr;

use actors::smpp::server::accounts::Asking;
use proto_smpp::{BindKind, CommandStatus};
use tokio::time::Instant;

use super::*;

const ACCOUNTS: &str = "/api/v1/smpp/accounts";
const ODD_IDS: [&str; 4] = ["sma_1", "sma_0190b5a2c4e37f1a8d2e5b6c7d8e9f00", "%00", "secret"];

impl World {
    /// What a bind with this password is answered.
    fn binds(&self, system_id: &str, password: &str) -> Result<(), CommandStatus> {
        let address = IpAddr::from([127, 0, 0, 1]);
        let asking = Asking { system_id, password, kind: BindKind::Transceiver, address };
        self.app.accounts.admit(&asking, Instant::now().into_std()).map(|_| ())
    }

    async fn account(&self, system_id: &str) -> Answer {
        let made = self.post(ACCOUNTS, &json!({"system_id": system_id})).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made
    }

    async fn ask_as(&self, key: &str, method: &str, path: &str) -> Answer {
        let request = Request::builder().method(method).uri(path).header("x-api-key", key);
        let request = request.header("content-type", "application/json");
        self.call(request.body(Body::from("{\"name\":\"x\"}")).unwrap()).await
    }
}

fn path_of(made: &Answer) -> String {
    format!("{ACCOUNTS}/{}", made.data()["id"].as_str().unwrap())
}

fn password_of(answer: &Answer) -> String {
    answer.data()["password"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_password_is_shown_once_and_lets_in() {
    let world = World::new().await;
    let made = world.account("acme").await;
    assert!(made.data()["id"].as_str().unwrap().starts_with("sma_"));
    assert_eq!(made.header("cache-control"), "no-store");
    let password = password_of(&made);
    assert_eq!(password.len(), 8, "SMPP 3.4 §5.2.2");
    assert_eq!(world.binds("acme", &password), Ok(()));
    assert_eq!(world.binds("acme", "wrong"), Err(CommandStatus::INVPASWD));
    assert_eq!(world.binds("nobody", &password), Err(CommandStatus::INVSYSID));
    for (name, value) in [
        ("name", json!("")),
        ("allowed_ips", json!([])),
        ("bind_types", json!(["transmitter", "receiver", "transceiver"])),
        ("max_binds", json!(5)),
        ("tps", json!(0)),
        ("window_size", json!(100)),
        ("mode", json!("live")),
        ("category", json!("transactional")),
        ("default_sender", Value::Null),
        ("receipt_format", json!("both")),
        ("id_format", json!("decimal")),
        ("once_by_reference", json!(false)),
        ("status", json!("enabled")),
        ("binds", json!(0)),
    ] {
        assert_eq!(made.data()[name], value, "{name}");
    }

    let shown = world.get(&path_of(&made)).await;
    let mut without = made.data().clone();
    without.as_object_mut().unwrap().remove("password");
    assert_eq!((shown.status, shown.data()), (200, &without));
    let list = world.get(ACCOUNTS).await;
    assert_eq!(list.data(), &json!([without]));
    for answer in [shown, list] {
        assert!(!answer.body.to_string().contains(&password), "{}", answer.body);
    }

    let own = json!({"system_id": "own", "password": "longer-than-eight"});
    assert_eq!(password_of(&world.post(ACCOUNTS, &own).await), "longer-than-eight");
    assert_eq!(world.binds("own", "longer-than-eight"), Ok(()));
}

#[tokio::test]
async fn a_list_goes_by_pages_newest_first() {
    let world = World::new().await;
    for name in ["one", "two", "three"] {
        world.account(name).await;
    }
    let names = |answer: &Answer| -> Vec<String> {
        let list = answer.data().as_array().unwrap().iter();
        list.map(|one| one["system_id"].as_str().unwrap().to_owned()).collect()
    };
    let first = world.get(&format!("{ACCOUNTS}?limit=2")).await;
    assert_eq!(names(&first), ["three", "two"]);
    assert_eq!(first.body["meta"]["pagination"]["has_more"], true);
    let cursor = first.body["meta"]["pagination"]["cursor"].as_str().unwrap();
    let next = format!("{ACCOUNTS}?limit=2&cursor={cursor}");
    let rest = world.get(&next).await;
    assert_eq!(names(&rest), ["one"]);
    assert_eq!(rest.body["meta"]["pagination"]["has_more"], false);
    assert_eq!(rest.body["meta"]["pagination"]["cursor"], Value::Null);
    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, &next).await.code(), "INVALID_CURSOR");
    for bad in ["limit=0", "limit=201", "limit=many", "cursor=x"] {
        let refused = world.get(&format!("{ACCOUNTS}?{bad}")).await;
        assert_eq!(refused.status, 400, "{bad}: {}", refused.body);
    }
}

#[tokio::test]
async fn a_change_touches_what_is_said_and_holds_at_once() {
    let world = World::new().await;
    let made = world.account("acme").await;
    let (path, password) = (path_of(&made), password_of(&made));
    let changes = json!({
        "name": "Acme in Berlin", "tps": 50, "max_binds": 2, "window_size": 10,
        "bind_types": ["transceiver"], "category": "otp", "default_sender": "Acme",
        "allowed_senders": ["Acme", "+14155550100"], "receipt_format": "text",
        "id_format": "hex", "inbound_numbers": ["+1415*"], "once_by_reference": true,
    });
    let changed = world.ask("PATCH", &path, &changes).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    for (name, value) in changes.as_object().unwrap() {
        assert_eq!(changed.data()[name], *value, "{name}");
    }
    assert!(changed.data().get("password").is_none());
    let again = world.ask("PATCH", &path, &json!({"name": "Acme"})).await;
    assert_eq!((&again.data()["name"], &again.data()["tps"]), (&json!("Acme"), &json!(50)));
    assert_eq!(world.get(&path).await.data(), again.data());
    assert_eq!(world.binds("acme", &password), Ok(()), "a change leaves the password");

    world.ask("PATCH", &path, &json!({"allowed_ips": ["203.0.113.0/24"]})).await;
    assert_eq!(world.binds("acme", &password), Err(CommandStatus::BINDFAIL));
    world.ask("PATCH", &path, &json!({"allowed_ips": ["127.0.0.1"]})).await;
    assert_eq!(world.binds("acme", &password), Ok(()));
    let off = world.ask("PATCH", &path, &json!({"status": "disabled"})).await;
    assert_eq!(off.data()["status"], "disabled");
    assert_eq!(world.binds("acme", &password), Err(CommandStatus(0x407)));
    world.ask("PATCH", &path, &json!({"status": "enabled"})).await;
    assert_eq!(world.binds("acme", &password), Ok(()));
}

#[tokio::test]
async fn a_new_password_ends_the_old_one_and_a_deleted_account_is_gone() {
    let world = World::new().await;
    let made = world.account("acme").await;
    let (path, old) = (path_of(&made), password_of(&made));
    let rotated = world.ask("POST", &format!("{path}/rotate-password"), None).await;
    assert_eq!((rotated.status, rotated.header("cache-control")), (200, "no-store"));
    let new = password_of(&rotated);
    assert_ne!(new, old);
    assert_eq!(world.binds("acme", &old), Err(CommandStatus::INVPASWD));
    assert_eq!(world.binds("acme", &new), Ok(()));
    assert!(!world.get(&path).await.body.to_string().contains(&new));

    let taken = world.post(ACCOUNTS, &json!({"system_id": "acme"})).await;
    assert_eq!((taken.status, taken.code()), (409, "CONFLICT"));
    assert_eq!(taken.body["error"]["details"]["field"], "system_id");
    let gone = world.ask("DELETE", &path, None).await;
    assert_eq!((gone.status, &gone.body), (204, &json!("")));
    assert_eq!(world.binds("acme", &new), Err(CommandStatus::INVSYSID));
    assert_eq!(world.get(ACCOUNTS).await.data(), &json!([]));
    let paths = [
        ("GET", path.clone()),
        ("PATCH", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/rotate-password")),
    ];
    for (method, path) in paths {
        let answer = world.ask(method, &path, &json!({})).await;
        assert_eq!((answer.status, answer.code()), (404, "NOT_FOUND"), "{method}");
    }
    let again = world.account("acme").await;
    assert_ne!(again.data()["id"], made.data()["id"], "its name is free again");
}

#[tokio::test]
async fn accounts_are_nobody_elses_and_need_their_scopes() {
    let world = World::new().await;
    let made = world.account("acme").await;
    let (path, password) = (path_of(&made), password_of(&made));
    let rotate = format!("{path}/rotate-password");
    let changes = [("PATCH", &path), ("POST", &rotate), ("DELETE", &path)];
    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, ACCOUNTS).await.data(), &json!([]));
    assert_eq!(world.get_as(&stranger, &path).await.code(), "NOT_FOUND");
    for (method, path) in changes {
        assert_eq!(world.ask_as(&stranger, method, path).await.status, 404, "{method}");
    }

    let reader = world.key(Mode::Live, "smpp:read").await;
    assert_eq!(world.get_as(&reader, &path).await.status, 200);
    assert_eq!(world.get_as(&reader, ACCOUNTS).await.status, 200);
    let other = world.key(Mode::Live, "messages:write,webhooks:write").await;
    for (method, path) in changes {
        for key in [&reader, &other] {
            let refused = world.ask_as(key, method, path).await;
            assert_eq!(refused.code(), "INSUFFICIENT_PERMISSIONS", "{method}");
        }
    }
    assert_eq!(world.get_as(&other, &path).await.status, 403);
    assert_eq!(world.get_as(&other, ACCOUNTS).await.status, 403);
    for odd in ODD_IDS {
        assert_eq!(world.get(&format!("{ACCOUNTS}/{odd}")).await.status, 404, "{odd}");
    }
    assert_eq!(world.get(&path).await.data()["name"], "");
    assert_eq!(world.binds("acme", &password), Ok(()), "nobody changed it");
}

#[tokio::test]
async fn a_test_key_makes_test_accounts_and_leaves_live_ones_alone() {
    let world = World::new().await;
    let live = world.account("live").await;
    let (path, password) = (path_of(&live), password_of(&live));
    let test = world.key(Mode::Test, "*").await;
    let rotate = format!("{path}/rotate-password");
    for (method, path) in [("PATCH", &path), ("POST", &rotate), ("DELETE", &path)] {
        let refused = world.ask_as(&test, method, path).await;
        assert_eq!((refused.status, refused.code()), (403, "WRONG_KEY_MODE"), "{method}");
    }
    assert_eq!(world.binds("live", &password), Ok(()));

    let key = [("x-api-key", test.as_str())];
    let made = world.post_with(ACCOUNTS, "{\"system_id\":\"test\"}", &key).await;
    assert_eq!((made.status, &made.data()["mode"]), (201, &json!("test")), "{}", made.body);
    let path = path_of(&made);
    assert_eq!(world.ask_as(&test, "PATCH", &path).await.data()["name"], "x");
    assert_eq!(world.ask_as(&test, "DELETE", &path).await.status, 204);
}

#[tokio::test]
async fn each_bad_field_is_named_and_no_password_is_repeated() {
    let world = World::new().await;
    let missing = world.post(ACCOUNTS, &json!({})).await;
    assert_eq!((missing.status, missing.code()), (422, "MISSING_REQUIRED_FIELD"));
    assert_eq!(missing.body["error"]["details"]["field"], "system_id");
    let path = path_of(&world.account("acme").await);
    let before = world.get(&path).await.data().clone();
    for (field, value) in [
        ("name", json!("n".repeat(101))),
        ("name", json!("a\0")),
        ("allowed_ips", json!(["203.0.113.0/33"])),
        ("allowed_ips", json!("127.0.0.1")),
        ("allowed_ips", json!(vec!["127.0.0.1"; 51])),
        ("bind_types", json!([])),
        ("bind_types", json!(["sender"])),
        ("max_binds", json!(0)),
        ("max_binds", json!(1_001)),
        ("tps", json!(-1)),
        ("tps", json!("fast")),
        ("window_size", json!(0)),
        ("window_size", json!(1.5)),
        ("category", json!("spam")),
        ("default_sender", json!("no sender at all")),
        ("allowed_senders", json!([5])),
        ("receipt_format", json!("xml")),
        ("id_format", json!("octal")),
        ("inbound_numbers", json!(["+1*5"])),
        ("once_by_reference", json!("yes")),
        ("status", json!("asleep")),
    ] {
        let mut new = json!({"system_id": "fresh"});
        new[field] = value.clone();
        let made = world.post(ACCOUNTS, &new).await;
        let changed = world.ask("PATCH", &path, &json!({ field: value })).await;
        for refused in [made, changed] {
            let code = (refused.status, refused.code());
            assert_eq!(code, (422, "VALIDATION_ERROR"), "{field}: {}", refused.body);
            assert_eq!(refused.body["error"]["details"]["field"], field, "{}", refused.body);
        }
    }
    for name in [json!(""), json!("sixteen-letters-"), json!("a b"), json!("ü"), json!(5)] {
        let refused = world.post(ACCOUNTS, &json!({ "system_id": name })).await;
        assert_eq!((refused.status, refused.code()), (422, "VALIDATION_ERROR"), "{name}");
        assert_eq!(refused.body["error"]["details"]["field"], "system_id", "{name}");
    }
    for password in [json!("abc"), json!("has blank"), json!("p".repeat(65)), json!(["hidden"])] {
        let body = json!({"system_id": "fresh", "password": password});
        let refused = world.post(ACCOUNTS, &body).await;
        assert_eq!((refused.status, refused.code()), (422, "VALIDATION_ERROR"), "{password}");
        assert_eq!(refused.body["error"]["details"]["field"], "password");
        assert_eq!(refused.body["error"]["details"]["value"], Value::Null, "{}", refused.body);
    }
    let many = world.post(ACCOUNTS, &json!({"tps": -1, "status": 5})).await;
    let errors = many.body["error"]["details"]["errors"].as_array().unwrap();
    let fields: Vec<&str> = errors.iter().filter_map(|error| error["field"].as_str()).collect();
    assert_eq!(fields, ["tps", "status", "system_id"]);
    assert_eq!(world.get(&path).await.data(), &before);
    assert_eq!(world.get(ACCOUNTS).await.data().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn of_two_changes_at_once_one_is_told_to_read_again() {
    let world = World::new().await;
    let made = world.account("acme").await;
    let path = path_of(&made);
    let change = |field: &str, value: Value| {
        let body = Body::from(json!({ field: value }).to_string());
        let request = Request::builder().method("PATCH").uri(&path).header("x-api-key", &world.key);
        world.call(request.header("content-type", "application/json").body(body).unwrap())
    };
    let (one, two) = tokio::join!(change("name", json!("one")), change("tps", json!(7)));
    let shown = world.get(&path).await;
    for (answer, field, value) in [(&one, "name", json!("one")), (&two, "tps", json!(7))] {
        match answer.status {
            200 => assert_eq!(shown.data()[field], value, "what was answered is kept"),
            409 => assert_eq!(answer.code(), "CONFLICT"),
            other => panic!("{other}: {}", answer.body),
        }
    }
    assert!(one.status == 200 || two.status == 200);
}

#[tokio::test]
async fn the_operator_makes_changes_shows_and_removes_accounts() {
    let world = World::new().await;
    let accounts = world.app.accounts.clone();
    let desk = crate::admin::Desk::new(
        world.store.clone(),
        world.handle.clone(),
        None,
        Default::default(),
        accounts,
    );
    let ask = async |request: Value| {
        let request = serde_json::from_value(request).unwrap();
        desk.answer(request).await.map_err(|refusal| refusal.message.into_owned())
    };
    let organization = ask(json!({"do": "list_organizations"})).await.unwrap();
    let organization = organization[0]["organization_id"].as_str().unwrap().to_owned();
    let add = |fields: Value| {
        json!({"do": "add_smpp_account", "organization_id": organization, "system_id": "acme",
            "password": null, "mode": "live", "fields": fields})
    };
    let wrong = ask(add(json!({"tps": -1}))).await.unwrap_err();
    assert!(wrong.contains("tps must be 0 to 100000"), "{wrong}");
    let made = ask(add(json!({"tps": 9, "id_format": "hex"}))).await.unwrap();
    let password = made["password"].as_str().unwrap().to_owned();
    assert_eq!(world.binds("acme", &password), Ok(()));
    let named = |what: &str| json!({"do": what, "system_id": "acme"});
    let shown = ask(named("show_smpp_account")).await.unwrap();
    assert_eq!((&shown["tps"], &shown["id_format"]), (&json!(9), &json!("hex")));
    let set =
        |fields: Value| json!({"do": "set_smpp_account", "system_id": "acme", "fields": fields});
    let wrong = ask(set(json!({"speed": 1}))).await.unwrap_err();
    assert!(wrong.contains("no field speed"), "{wrong}");
    let set = ask(set(json!({"status": "disabled", "congestion_state": true}))).await.unwrap();
    assert_eq!((&set["status"], &set["congestion_state"]), (&json!("disabled"), &json!(true)));
    assert!(world.binds("acme", &password).is_err());
    let rotated = ask(named("rotate_smpp_password")).await.unwrap();
    assert_ne!(rotated["password"].as_str().unwrap(), password);
    let limit = |tps: i64| json!({"do": "limit_organization", "organization_id": organization, "smpp_tps": tps});
    assert_eq!(ask(limit(50)).await.unwrap()["smpp_tps"], 50);
    assert!(ask(limit(-1)).await.is_err());
    let listed = ask(json!({"do": "list_organizations"})).await.unwrap();
    assert_eq!(listed[0]["smpp_tps"], 50);
    assert_eq!(ask(named("remove_smpp_account")).await.unwrap()["removed"], true);
    assert!(ask(named("show_smpp_account")).await.is_err());
    assert_eq!(world.get(ACCOUNTS).await.data(), &json!([]));
}

#[tokio::test]
async fn a_stored_outbind_password_goes_to_its_own_place_alone() {
    let world = World::new().await;
    let made = world.account("acme").await;
    assert_eq!(made.data()["outbind"], Value::Null);
    let path = path_of(&made);
    let to = |host: &str| json!({"host": host, "port": 2_775, "system_id": "orbit"});
    let patch = async |outbind: Value| {
        let answer = world.ask("PATCH", &path, &json!({"outbind": outbind})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let row = world.store.smpp_account_named("acme").await.unwrap().unwrap();
        (answer.data()["outbind"].clone(), row.outbind_password)
    };
    let mut given = to("esme.example.com");
    given["password"] = json!("knock");
    let (shown, first) = patch(given).await;
    let mut expected = to("esme.example.com");
    expected["tls"] = json!(false);
    assert_eq!(shown, expected);
    let first = first.unwrap();
    assert!(!first.windows(5).any(|part| part == b"knock"));
    assert_eq!(patch(to("esme.example.com")).await.1.as_ref(), Some(&first));
    let named = world.ask("PATCH", &path, &json!({"name": "x"})).await;
    assert_eq!(named.data()["outbind"], expected);
    let (shown, none) = patch(to("other.example.com")).await;
    assert_eq!((&shown["host"], none), (&json!("other.example.com"), None));
    assert_eq!(patch(Value::Null).await, (Value::Null, None));
}

#[tokio::test]
async fn a_pool_stands_in_the_place_of_a_default_sender() {
    let world = World::new().await;
    let pool = |name: &str| json!({"name": name, "senders": [{"value": "One"}, {"value": "Two"}]});
    let make = async |name: &str| {
        let made = world.post("/api/v1/messaging/sender-pools", &pool(name)).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.data()["id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (make("first").await, make("second").await);
    let body = json!({"system_id": "pooled", "default_sender_pool_id": first});
    let made = world.post(ACCOUNTS, &body).await;
    assert_eq!((made.status, &made.data()["default_sender_pool_id"]), (201, &json!(first)));
    assert_eq!(made.data()["default_sender"], Value::Null);
    let path = path_of(&made);
    let patch = async |body: Value| world.ask("PATCH", &path, &body).await;
    let both = json!({"default_sender": "Acme", "default_sender_pool_id": first});
    let none = "spl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00";
    for refused in [
        patch(both.clone()).await,
        patch(json!({"default_sender": "Acme"})).await,
        patch(json!({ "default_sender_pool_id": none })).await,
        patch(json!({"default_sender_pool_id": "first"})).await,
        patch(json!({"default_sender_pool_id": 5})).await,
        world.post(ACCOUNTS, &json!({"system_id": "x", "default_sender_pool_id": none})).await,
    ] {
        assert_eq!((refused.status, refused.code()), (422, "VALIDATION_ERROR"), "{}", refused.body);
        assert_eq!(refused.body["error"]["details"]["field"], "default_sender_pool_id");
    }
    assert_eq!(world.get(&path).await.data()["default_sender_pool_id"], first, "nothing changed");
    let stranger = world.stranger(false).await;
    let theirs = json!({"system_id": "theirs", "default_sender_pool_id": first}).to_string();
    let key = [("x-api-key", stranger.as_str())];
    assert_eq!(world.post_with(ACCOUNTS, theirs, &key).await.status, 422, "a pool of others");

    let changed = patch(json!({ "default_sender_pool_id": second })).await;
    assert_eq!(changed.data()["default_sender_pool_id"], second);
    let gone = format!("/api/v1/messaging/sender-pools/{second}");
    assert_eq!(world.ask("DELETE", &gone, None).await.status, 204);
    let kept = patch(json!({"tps": 5})).await;
    assert_eq!((kept.status, &kept.data()["default_sender_pool_id"]), (200, &json!(second)));
    let turned = patch(json!({"default_sender": "Acme", "default_sender_pool_id": null})).await;
    assert_eq!(turned.data()["default_sender"], "Acme", "{}", turned.body);
    assert_eq!(turned.data()["default_sender_pool_id"], Value::Null);
    let back = patch(json!({"default_sender": null, "default_sender_pool_id": first})).await;
    assert_eq!(back.data()["default_sender_pool_id"], first, "{}", back.body);
}
