//! `/proxy/sessions`: opened, shown, closed; and each organization's own.

use model::number::NumberType;
use store::lane::NewNumber;

use super::*;

const SESSIONS: &str = "/api/v1/proxy/sessions";
const A: &str = "+14155550111";
const B: &str = "+14155550122";

impl World {
    /// A number that is routed to masking; its id.
    async fn masking(&self, e164: &str) -> String {
        let number = NewNumber {
            id: PublicId::new(At::now()),
            e164: e164.to_owned(),
            country_code: String::from("US"),
            area_code: None,
            number_type: NumberType::Local,
            capabilities: String::from("[\"voice\"]"),
            sms_two_way: true,
            provider: String::from("manual"),
            monthly_cost: Micros(1),
        };
        self.app.numbers.stock(vec![number]).await.unwrap();
        let bought = self.post("/api/v1/numbers", &json!({"number": e164})).await;
        let id = bought.data()["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/numbers/{id}/routing");
        let routed = self.ask("PUT", &path, &json!({"type": "proxy"})).await;
        assert_eq!(routed.status, 200, "{}", routed.body);
        id
    }
}

#[tokio::test]
async fn a_session_is_opened_shown_and_closed() {
    let world = World::new().await;
    let parties = json!({"party_a": A, "party_b": B});
    let none = world.post(SESSIONS, &parties).await;
    assert_eq!((none.status, none.code()), (409, "PROXY_POOL_EXHAUSTED"), "{}", none.body);
    let number = world.masking("+14155550100").await;
    let asked = json!({"party_a": A, "party_b": B, "channels": ["voice"],
        "proxy_number_id": number});
    let opened = world.post(SESSIONS, &asked).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    let data = opened.data().clone();
    assert!(data["id"].as_str().unwrap().starts_with("prx_"));
    assert_eq!(
        (&data["proxy_number"], &data["channels"]),
        (&json!("+14155550100"), &json!(["voice"]))
    );
    assert_eq!((&data["status"], &data["interactions_count"]), (&json!("open"), &json!(0)));
    let path = format!("{SESSIONS}/{}", data["id"].as_str().unwrap());
    assert_eq!(world.get(&path).await.data(), &data);
    let again = world.post(SESSIONS, &parties).await;
    assert_eq!(again.code(), "PROXY_POOL_EXHAUSTED", "they know the number already");
    assert_eq!(world.get(&format!("{SESSIONS}?status=open")).await.data(), &json!([data]));

    assert_eq!(world.ask("DELETE", &path, None).await.status, 204);
    assert_eq!(world.ask("DELETE", &path, None).await.status, 404);
    let closed = world.get(&path).await;
    assert_eq!(closed.data()["status"], "closed");
    assert!(closed.data()["ended_at"].is_string());
    assert_eq!(world.get(&format!("{SESSIONS}?status=open")).await.data(), &json!([]));
    let events = world.get("/api/v1/events?type=proxy.*").await;
    let types = events.data().as_array().unwrap().iter().map(|event| event["type"].clone());
    let expected = ["proxy.session.closed", "proxy.session.created"];
    assert_eq!(types.collect::<Vec<_>>(), expected, "{}", events.body);
}

#[tokio::test]
async fn what_cannot_be_a_session_is_named() {
    let world = World::new().await;
    world.masking("+14155550100").await;
    for (bad, field) in [
        (json!({"party_a": A}), "party_b"),
        (json!({"party_a": A, "party_b": A}), "party_b"),
        (json!({"party_a": "415", "party_b": B}), "party_a"),
        (json!({"party_a": A, "party_b": B, "channels": []}), "channels"),
        (json!({"party_a": A, "party_b": B, "channels": ["fax"]}), "channels"),
        (json!({"party_a": A, "party_b": B, "expires_at": "yesterday"}), "expires_at"),
        (json!({"party_a": A, "party_b": B, "expires_at": "2999-01-01T00:00:00Z"}), "expires_at"),
        (json!({"party_a": A, "party_b": B, "record": true}), "record"),
        (json!({"party_a": A, "party_b": B, "proxy_number_id": "num_x"}), "proxy_number_id"),
        (
            json!({"party_a": A, "party_b": B,
                "proxy_number_id": "num_0190b5a2c4e37f1a8d2e5b6c7d8e9f00"}),
            "proxy_number_id",
        ),
    ] {
        let refused = world.post(SESSIONS, &bad).await;
        assert_eq!(refused.status, 422, "{bad}: {}", refused.body);
        assert!(refused.body.to_string().contains(field), "{bad}: {}", refused.body);
    }
    let help = world.post(SESSIONS, &json!({"party_a": A, "party_b": "911"})).await;
    assert_eq!((help.status, help.code()), (422, "EMERGENCY_CALLING_NOT_SUPPORTED"));
    let query = world.get(&format!("{SESSIONS}?status=half")).await;
    assert_eq!(query.status, 400);
}

#[tokio::test]
async fn sessions_are_ones_own_and_changed_with_a_live_key_of_their_scope() {
    let world = World::new().await;
    let number = world.masking("+14155550100").await;
    let opened = world.post(SESSIONS, &json!({"party_a": A, "party_b": B})).await;
    let path = format!("{SESSIONS}/{}", opened.data()["id"].as_str().unwrap());
    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, SESSIONS).await.data(), &json!([]));
    assert_eq!(world.get_as(&stranger, &path).await.status, 404);
    let ask = async |key: &str, method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("x-api-key", key);
        let request = request.header("content-type", "application/json");
        let body = json!({"party_a": "+14155550133", "party_b": B, "proxy_number_id": number});
        world.call(request.body(body.to_string().into()).unwrap()).await
    };
    assert_eq!(ask(&stranger, "DELETE", &path).await.status, 404);
    let theirs = ask(&stranger, "POST", SESSIONS).await;
    assert_eq!((theirs.status, theirs.code()), (422, "VALIDATION_ERROR"), "not their number");
    for (method, path) in [("DELETE", path.as_str()), ("POST", SESSIONS)] {
        let test = world.key(Mode::Test, "*").await;
        assert_eq!(ask(&test, method, path).await.code(), "WRONG_KEY_MODE");
        let reader = world.key(Mode::Live, "voice:read").await;
        assert_eq!(ask(&reader, method, path).await.code(), "INSUFFICIENT_PERMISSIONS");
    }
    assert_eq!(world.get(&path).await.data()["status"], "open");
}
