//! Estimates: what they say is what a send takes, and they take nothing themselves.

use super::*;

const ESTIMATE: &str = "/api/v1/messages/estimate";
const SMS: &str = "/api/v1/messages/sms";

fn codes(answer: &Answer) -> Vec<&str> {
    let warnings = answer.data()["warnings"].as_array().unwrap();
    warnings.iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_estimate_is_what_the_send_takes() {
    let world = World::new().await;
    let mut held = 0;
    for body in [
        json!({"body": "hello"}),
        json!({"body": "a".repeat(160)}),
        json!({"body": "a".repeat(161)}),
        json!({"body": format!("{}€", "a".repeat(152)).repeat(3)}),
        json!({"body": "я".repeat(71)}),
        json!({"body": format!("{}😀", "я".repeat(66)).repeat(2)}),
        json!({"body": "x", "encoding": "ucs2"}),
        json!({"body": format!("it\u{2019}s {}", "a".repeat(100)), "smart_encoding": true}),
        json!({"body": "Hi {{n}}", "variables": {"n": "a".repeat(300)}}),
    ] {
        let mut send = body.clone();
        send["to"] = json!("+14155550123");
        let told = world.post(ESTIMATE, &send).await;
        assert_eq!(told.status, 200, "{}", told.body);
        assert_eq!(world.balance().await.1, held, "an estimate holds nothing");
        let sent = world.post(SMS, &send).await;
        assert_eq!(told.data()["segments"], sent.data()["segments"], "{body}");
        let path = format!("/v1/messages/{}", sent.data()["id"].as_str().unwrap());
        let message = world.get(&path).await;
        assert_eq!(told.data()["total_price"], message.data()["price"]["amount"]);
        for name in ["encoding", "body", "from", "mccmnc"] {
            assert_eq!(told.data()[name], message.data()[name], "{name} of {body}");
        }
        held = world.balance().await.1;
    }
}

#[tokio::test]
async fn an_estimate_tells_where_it_goes_and_what_is_left() {
    let world = World::new().await;
    let told = world.post(ESTIMATE, &json!({"to": "+14165550123", "body": "a€"})).await;
    let data = told.data();
    let numbers = ["characters", "units", "remaining_units", "segments"];
    assert_eq!(numbers.map(|name| data[name].as_i64().unwrap()), [2, 3, 157, 1]);
    assert_eq!((&data["country"], &data["mccmnc"]), (&json!("CA"), &json!("310260")));
    assert_eq!((&data["unit_price"], &data["currency"]), (&json!("0.007900"), &json!("USD")));
    assert_eq!(data["billing_class"], "resold_at_submit");
    assert_eq!(data["ucs2_characters"], json!([]));
    assert_eq!(codes(&told), ["NO_REPLIES"]);
}

#[tokio::test]
async fn a_few_dear_characters_are_named_with_what_they_cost() {
    let world = World::new().await;
    let body = format!("it\u{2019}s {}\u{2026}", "a".repeat(100));
    let told =
        world.post(ESTIMATE, &json!({"to": "+14155550123", "from": "12345", "body": body})).await;
    assert_eq!(codes(&told), ["UCS2_FORCED"]);
    let warning = &told.data()["warnings"][0];
    assert_eq!(warning["segments_saved"], 1);
    let text = warning["message"].as_str().unwrap();
    assert!(text.contains('\u{2019}') && text.contains("smart_encoding"), "{text}");
    let expected = json!([
        {"character": "\u{2019}", "position": 2, "replacement": "'"},
        {"character": "\u{2026}", "position": 105, "replacement": "..."},
    ]);
    assert_eq!(told.data()["ucs2_characters"], expected);
    let russian = json!({"to": "+14155550123", "from": "12345", "body": "я".repeat(100)});
    let told = world.post(ESTIMATE, &russian).await;
    assert_eq!(codes(&told), [""; 0]);
    assert_eq!(told.data()["ucs2_characters"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn what_is_near_a_border_is_told() {
    let world = World::new().await;
    for (length, expected) in [
        (154, None),
        (155, Some("NEAR_PART_LIMIT")),
        (160, Some("NEAR_PART_LIMIT")),
        (161, Some("JUST_OVER_PART_LIMIT")),
        (165, Some("JUST_OVER_PART_LIMIT")),
        (166, None),
        (306, Some("NEAR_PART_LIMIT")),
        (307, Some("JUST_OVER_PART_LIMIT")),
    ] {
        let body = json!({"to": "+14155550123", "from": "12345", "body": "a".repeat(length)});
        let told = world.post(ESTIMATE, &body).await;
        assert_eq!(codes(&told), expected.into_iter().collect::<Vec<_>>(), "{length}");
    }
}

#[tokio::test]
async fn marketing_is_read_for_what_a_first_message_should_say() {
    let world = World::new().await;
    let with = |body: &str, from: &str, category: &str| json!({"to": "+14155550123", "from": from, "body": body, "category": category});
    let bare = world.post(ESTIMATE, &with("20% off", "12345", "marketing")).await;
    let all = ["NO_OPT_OUT_WORDS", "NO_BUSINESS_NAME", "NO_FREQUENCY", "NO_RATE_NOTICE"];
    assert_eq!(codes(&bare), all);
    // The world's organization is called Test.
    let whole = "TEST: 20% off, 4 msgs/month. Msg & data rates may apply. STOP to opt out";
    let whole = world.post(ESTIMATE, &with(whole, "12345", "marketing")).await;
    assert_eq!(codes(&whole), [""; 0]);
    let other = world.post(ESTIMATE, &with("20% off", "12345", "service")).await;
    assert_eq!(codes(&other), [""; 0]);
    let left = world.post(ESTIMATE, &with("Hi {{name}}", "Shop", "otp")).await;
    assert_eq!(codes(&left), ["NO_REPLIES", "PLACEHOLDER_LEFT"]);
}

#[tokio::test]
async fn an_estimate_for_many_adds_up() {
    let world = World::new().await;
    let body = json!({"body": "Hi {{n}}", "variables": {"n": "you"}, "recipients": [
        {"to": "+14155550121"}, {"to": "+14165550122", "variables": {"n": "a".repeat(200)}},
        {"to": "bad"}, {"to": "+14155550123"},
    ]});
    let told = world.post(ESTIMATE, &body).await;
    assert_eq!(told.status, 200, "{}", told.body);
    let data = told.data();
    let numbers = ["recipients", "rejected", "segments"];
    assert_eq!(numbers.map(|name| data[name].as_i64().unwrap()), [4, 1, 4]);
    assert_eq!(data["total_price"], "0.031600");
    assert_eq!(data["by_country"][1]["messages"], 2);
    assert_eq!(data["errors"][0]["index"], 2);
    assert_eq!(
        (&data["warnings"][0]["code"], &data["warnings"][0]["recipients"]),
        (&json!("NO_REPLIES"), &json!(3))
    );
    let sent = world.post("/v1/messages/batch", &body).await;
    assert_eq!(sent.status, 202);
    assert_eq!(world.balance().await.1, 31_600);
}

#[tokio::test]
async fn what_a_send_refuses_an_estimate_refuses() {
    let world = World::new().await;
    for (body, code) in [
        (json!({"to": "123", "body": "x"}), "INVALID_PHONE_NUMBER"),
        (json!({"to": "+14155550123"}), "MISSING_REQUIRED_FIELD"),
        (json!({"body": "x"}), "MISSING_REQUIRED_FIELD"),
        (json!({"to": "+14155550123", "recipients": [], "body": "x"}), "VALIDATION_ERROR"),
        (json!({"to": "+14155550123", "body": "a".repeat(1531)}), "MESSAGE_TOO_LONG"),
        (json!({"to": "+33612345678", "body": "x"}), "NO_ROUTE"),
        (json!({"to": "+14155550123", "template_id": "tpl_x"}), "INVALID_TEMPLATE"),
        (json!({"to": "+14155550123", "body": "x", "channel": "fax"}), "INVALID_CHANNEL"),
        (json!({"recipients": [], "body": "x"}), "VALIDATION_ERROR"),
    ] {
        let answer = world.post(ESTIMATE, &body).await;
        assert_eq!((answer.status, answer.code()), (422, code), "{body}: {}", answer.body);
    }
    let key = world.key(Mode::Test, "messages:write").await;
    let body = json!({"to": "+15005550002", "body": "x"}).to_string();
    let test = world.post_with(ESTIMATE, body, &[("x-api-key", &key)]).await;
    assert_eq!((test.status, &test.data()["total_price"]), (200, &json!("0.000000")));
}
