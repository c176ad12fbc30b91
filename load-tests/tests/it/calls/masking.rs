//! Masking: two people call each other by a number of neither.

use serde_json::{Value, json};

use super::numbers::{NUMBER, caller, number};
use super::public::{carrier, with_carriers};
use super::ua::{Said, Ua};
use super::{is_quiet, told_of};
use crate::http::Http;
use crate::phones::Switch;

const A: &str = "+12125550001";
const B: &str = "+12125550002";

async fn masked(switch: &Switch, http: &mut Http) -> Value {
    number(switch, http, NUMBER, &json!({"type": "proxy"})).await;
    let opened = http.post("/api/v1/proxy/sessions", &json!({"party_a": A, "party_b": B})).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    assert_eq!(opened.json["data"]["proxy_number"], NUMBER);
    opened.json["data"].clone()
}

/// Sound, with the caller's number wherever a description may have one.
fn telling(ua: &Ua, number: &str) -> String {
    let sdp = ua.sdp(1, "sendrecv");
    let sdp = sdp.replacen("o=- ", &format!("o={number} "), 1);
    sdp.replacen("s=-\r\n", &format!("s={number}\r\ni={number}\r\np={number}\r\n"), 1)
}

fn shows_the_number_alone(invite: &Said, hidden: &str) {
    let bare = hidden.trim_start_matches('+');
    assert!(!invite.text.contains(bare), "{}", invite.text);
    for name in ["From", "P-Asserted-Identity"] {
        assert!(invite.header(name).contains(NUMBER), "{name}: {}", invite.text);
    }
}

async fn stranger(switch: &Switch, from: &mut Ua, (number, more): (&str, &str)) {
    let dialog = from.bring(number, NUMBER, more, &from.sdp(1, "sendrecv")).await;
    let said = from.response(603).await;
    from.acknowledge_refusal(&dialog, &said).await;
    assert!(is_quiet(switch).await);
}

#[tokio::test]
async fn each_of_two_calls_the_other_and_neither_learns_who_that_is() {
    let mut out = carrier().await;
    let switch = with_carriers("masking-calls", &[&out], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let session = masked(&switch, &mut http).await;
    let path = format!("/api/v1/proxy/sessions/{}", session["id"].as_str().expect("an id"));
    let mut from = caller(&switch).await;
    for (count, (calls, called)) in [(A, B), (B, A)].into_iter().enumerate() {
        let asserted = format!("P-Asserted-Identity: \"Zed {calls}\" <sip:{calls}@c>\r\n");
        let sdp = telling(&from, calls);
        let mut dialog = from.bring(calls, NUMBER, &asserted, &sdp).await;
        let invite = out.incoming("INVITE").await;
        assert!(invite.text.starts_with(&format!("INVITE sip:{called}@")), "{}", invite.text);
        shows_the_number_alone(&invite, calls);
        out.answer(&invite, 200, &telling(&out, called)).await;
        let ok = from.response(200).await;
        let hidden = called.trim_start_matches('+');
        assert!(!ok.text.contains(hidden), "{}", ok.text);
        from.confirm(&mut dialog, &ok, "").await;
        out.incoming("ACK").await;
        assert!(from.speaks_to(ok.sound_at(), &out, 0x55).await);
        assert!(out.speaks_to(invite.sound_at(), &from, 0x66).await);
        if count == 1 {
            // A call that is there goes on when its session is closed.
            let closed = http.delete(&path).await;
            assert_eq!(closed.status, 204, "{}", closed.text);
            assert!(from.speaks_to(ok.sound_at(), &out, 0x77).await);
        }
        from.bye(&mut dialog).await;
        let bye = out.incoming("BYE").await;
        assert!(!bye.text.contains(calls.trim_start_matches('+')), "{}", bye.text);
        out.answer(&bye, 200, "").await;
        assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
    }
    let shown = http.get(&path).await;
    assert_eq!(shown.data()["interactions_count"], 2, "{}", shown.text);
    let told = told_of(&mut http, "proxy.interaction", 2).await;
    assert_eq!((&told["session_id"], &told["channel"]), (&session["id"], &json!("voice")));
    stranger(&switch, &mut from, (A, "")).await;
}

#[tokio::test]
async fn who_is_no_party_or_does_not_say_who_it_is_reaches_nobody() {
    let out = carrier().await;
    let switch = with_carriers("masking-strangers", &[&out], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    masked(&switch, &mut http).await;
    let mut from = caller(&switch).await;
    let asserted = format!("P-Asserted-Identity: <sip:{A}@c>\r\nPrivacy: id\r\n");
    for who in [("+12125550003", ""), ("anonymous", ""), ("anonymous", &asserted)] {
        stranger(&switch, &mut from, who).await;
    }
    for (a, b) in [("911", B), (A, "+112"), (A, A)] {
        let body = json!({"party_a": a, "party_b": b});
        let refused = http.post("/api/v1/proxy/sessions", &body).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
    }
}
