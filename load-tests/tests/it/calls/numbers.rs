//! Calls that carriers bring to organizations' numbers, and where these lead.

use std::process::Command;

use load_tests::process::{Child, Scratch, free_port};
use serde_json::{Value, json};

use super::public::{CREDIT, MINUTE, carrier, with_carriers};
use super::ua::{Dialog, Ua};
use super::{is_quiet, told};
use crate::http::Http;
use crate::phones::others::program;
use crate::phones::{Credential, Switch};
use crate::world::wait_until;

/// What a minute of a call to a number costs by the table in the program.
const INWARD: i64 = 4_000;
pub(super) const NUMBER: &str = "+14155550100";
const ELSEWHERE: &str = "+14155559999";
pub(super) const CALLER: &str = "+12125550001";

/// A number of the organization's, which costs nothing: its path.
pub(super) async fn number(
    switch: &Switch,
    http: &mut Http,
    e164: &str,
    routing: &Value,
) -> String {
    let said = switch.world.orbit(&["number", "add", "--monthly-usd", "0", e164]).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    let bought = http.post("/api/v1/numbers/purchase", &json!({"phone_number": e164})).await;
    assert_eq!(bought.status, 201, "{}", bought.text);
    let path = format!("/api/v1/numbers/{}", bought.json["data"]["id"].as_str().expect("an id"));
    route(http, &path, routing).await;
    path
}

async fn route(http: &mut Http, path: &str, routing: &Value) {
    let put = http.put(&format!("{path}/routing"), routing).await;
    assert_eq!(put.status, 200, "{}", put.text);
}

/// A carrier that calls in.
pub(super) async fn caller(switch: &Switch) -> Ua {
    let (user, realm) = ("carrier".into(), "carrier.example".into());
    Ua::new(switch.sip, &Credential { user, realm, password: String::new() }).await
}

/// It answers with a refusal, and nothing is left of it.
async fn refused(switch: &Switch, from: &mut Ua, to: &str, more: &str, status: u16) {
    let dialog = from.bring(CALLER, to, more, &from.sdp(1, "sendrecv")).await;
    let said = from.response(status).await;
    from.acknowledge_refusal(&dialog, &said).await;
    assert!(is_quiet(switch).await);
}

async fn hangs_up(ua: &mut Ua, dialog: &mut Dialog, other: &mut Ua) {
    ua.bye(dialog).await;
    let bye = other.incoming("BYE").await;
    other.answer(&bye, 200, "").await;
}

#[tokio::test]
async fn a_call_to_a_number_rings_its_telephone_and_both_are_heard() {
    let out = carrier().await;
    let switch = with_carriers("numbers-phone", &[&out], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let desk = switch.credential("desk").await;
    let mut desk = Ua::registered(switch.sip, &desk).await;
    let routing =
        json!({"type": "ring_group", "config": {"targets": [{"type": "user", "name": "100"}]}});
    number(&switch, &mut http, NUMBER, &routing).await;
    let mut from = caller(&switch).await;
    let mut dialog = from.bring(CALLER, NUMBER, "", &from.sdp(1, "sendrecv")).await;
    let invite = desk.incoming("INVITE").await;
    assert!(invite.header("From").contains(CALLER), "{}", invite.text);
    assert_eq!(http.balance().await, (CREDIT - 2 * INWARD, 2 * INWARD), "two minutes are held");
    desk.answer(&invite, 200, &desk.sdp(1, "sendrecv")).await;
    let ok = from.response(200).await;
    from.confirm(&mut dialog, &ok, "").await;
    desk.incoming("ACK").await;
    assert!(from.speaks_to(ok.sound_at(), &desk, 0x11).await);
    assert!(desk.speaks_to(invite.sound_at(), &from, 0x22).await);
    hangs_up(&mut from, &mut dialog, &mut desk).await;
    let ended = told(&mut http, "call.completed").await;
    assert_eq!((&ended["direction"], &ended["to"]), (&json!("inbound"), &json!(NUMBER)));
    assert_eq!(http.balance().await, (CREDIT - INWARD, 0), "{ended}");
    let listed = http.get("/api/v1/voice/calls").await;
    let number_id = listed.data()[0]["number_id"].as_str().unwrap_or_default().to_owned();
    assert!(number_id.starts_with("num_"), "{}", listed.text);
}

#[tokio::test]
async fn a_call_to_a_number_is_declined_while_it_rings_and_not_after() {
    let out = carrier().await;
    let switch = with_carriers("numbers-declined", &[&out], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let desk = switch.credential("desk").await;
    let mut desk = Ua::registered(switch.sip, &desk).await;
    let routing =
        json!({"type": "ring_group", "config": {"targets": [{"type": "user", "name": "100"}]}});
    number(&switch, &mut http, NUMBER, &routing).await;
    let mut from = caller(&switch).await;
    let dialog = from.bring(CALLER, NUMBER, "", &from.sdp(1, "sendrecv")).await;
    let invite = desk.incoming("INVITE").await;
    desk.answer(&invite, 180, "").await;
    from.response(180).await;
    let ringing = told(&mut http, "call.ringing").await;
    let path = format!("/api/v1/voice/calls/{}", ringing["call_id"].as_str().expect("an id"));
    let declined = http.post(&format!("{path}/decline"), &json!({})).await;
    assert_eq!(declined.status, 200, "{}", declined.text);
    let call = &declined.json["data"];
    let said = [&call["status"], &call["end_reason"], &call["hangup_by"]];
    assert_eq!(said, ["failed", "busy", "api"], "{}", declined.text);
    let busy = from.response(486).await;
    from.acknowledge_refusal(&dialog, &busy).await;
    let cancel = desk.incoming("CANCEL").await;
    desk.answer(&cancel, 200, "").await;
    desk.answer(&invite, 487, "").await;
    assert_eq!(http.balance().await, (CREDIT, 0));
    let again = http.post(&format!("{path}/decline"), &json!({})).await;
    assert_eq!(again.status, 409, "{}", again.text);
    assert!(is_quiet(&switch).await);
}

#[tokio::test]
async fn a_number_leads_on_to_the_public_network_and_both_legs_are_settled() {
    let mut out = carrier().await;
    let switch = with_carriers("numbers-forward", &[&out], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let routing = json!({"type": "forward", "config": {"number": ELSEWHERE}});
    number(&switch, &mut http, NUMBER, &routing).await;
    let mut from = caller(&switch).await;
    let mut dialog = from.bring(CALLER, NUMBER, "", &from.sdp(1, "sendrecv")).await;
    let invite = out.incoming("INVITE").await;
    assert!(invite.text.starts_with("INVITE sip:+14155559999@"), "{}", invite.text);
    assert!(invite.header("From").contains(CALLER), "{}", invite.text);
    let diverted = invite.header("Diversion");
    assert!(diverted.contains(NUMBER) && diverted.contains("counter=1"), "{}", invite.text);
    let both = INWARD + MINUTE;
    assert_eq!(http.balance().await, (CREDIT - 2 * both, 2 * both));
    out.answer(&invite, 200, &out.sdp(1, "sendrecv")).await;
    let ok = from.response(200).await;
    from.confirm(&mut dialog, &ok, "").await;
    out.incoming("ACK").await;
    assert!(from.speaks_to(ok.sound_at(), &out, 0x33).await);
    hangs_up(&mut from, &mut dialog, &mut out).await;
    let ended = told(&mut http, "call.completed").await;
    assert_eq!(http.balance().await, (CREDIT - both, 0), "{ended}");
    let legs = http.all("/api/v1/voice/cdrs").await;
    let costs: Vec<_> = legs.iter().map(|leg| leg["cost"].as_str().unwrap_or_default()).collect();
    assert!(costs.contains(&"0.004000") && costs.contains(&"0.009000"), "{legs:?}");
    // A carrier that cannot is no reason for another carrier to look for a way to our number.
    let dialog = from.bring(CALLER, NUMBER, "", &from.sdp(1, "sendrecv")).await;
    let invite = out.incoming("INVITE").await;
    out.answer(&invite, 500, "").await;
    let said = from.response(480).await;
    from.acknowledge_refusal(&dialog, &said).await;
    assert!(is_quiet(&switch).await);
    assert_eq!(http.balance().await, (CREDIT - both, 0));
}

#[tokio::test]
async fn calls_are_refused_as_the_number_says_and_come_round_three_times_at_most() {
    let out = carrier().await;
    let switch = with_carriers("numbers-refused", &[&out], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let reject = json!({"type": "reject", "config": {"status": 486}});
    let path = number(&switch, &mut http, NUMBER, &reject).await;
    let mut from = caller(&switch).await;
    refused(&switch, &mut from, NUMBER, "", 486).await;
    refused(&switch, &mut from, ELSEWHERE, "", 404).await;
    route(&mut http, &path, &json!({"type": null})).await;
    refused(&switch, &mut from, NUMBER, "", 404).await;
    route(&mut http, &path, &json!({"type": "forward", "config": {"number": ELSEWHERE}})).await;
    let thrice = "Diversion: <sip:+19175550001@x>;reason=unconditional;counter=3\r\n";
    refused(&switch, &mut from, NUMBER, thrice, 483).await;
    refused(&switch, &mut from, "911", "", 403).await;
    for kind in ["webhook", "agent", "ivr", "flow", "queue", "conference", "voicemail", "fax"] {
        let later = http.put(&format!("{path}/routing"), &json!({ "type": kind })).await;
        assert_eq!(later.json["error"]["code"], "ROUTING_NOT_AVAILABLE", "{}", later.text);
    }
    let help = json!({"type": "forward", "config": {"number": "+1911"}});
    let help = http.put(&format!("{path}/routing"), &help).await;
    assert_eq!(help.json["error"]["code"], "EMERGENCY_CALLING_NOT_SUPPORTED", "{}", help.text);
    assert_eq!(http.balance().await, (CREDIT, 0));
}

#[tokio::test]
async fn a_number_leads_to_a_telephone_system_and_elsewhere_when_that_is_away() {
    let mut out = carrier().await;
    let set = [("sip.trunk_networks", "[\"127.0.0.0/8\"]")];
    let switch = with_carriers("numbers-trunk", &[&out], &set).await;
    let mut http = switch.world.http(&switch.org.key);
    let (user, realm) = ("pbx".into(), "pbx.example".into());
    let credential = Credential { user, realm, password: String::new() };
    let mut pbx = Ua::unbound_at("127.0.0.2:0", &credential).await;
    let trunk = json!({"name": "pbx", "outbound_uri": format!("sip:{}", pbx.local())});
    let trunk = http.post("/api/v1/voice/sip-trunks", &trunk).await;
    assert_eq!(trunk.status, 201, "{}", trunk.text);
    let forward = json!({"type": "sip_forward", "config": {"mode": "trunk",
        "trunkId": trunk.json["data"]["id"], "headers": {"X-Line": "7"},
        "fallback": {"type": "forward", "config": {"number": ELSEWHERE}}}});
    number(&switch, &mut http, NUMBER, &forward).await;
    let mut from = caller(&switch).await;
    let mut dialog = from.bring(CALLER, NUMBER, "", &from.sdp(1, "sendrecv")).await;
    let invite = pbx.incoming("INVITE").await;
    assert!(invite.text.starts_with("INVITE sip:+14155550100@127.0.0.2:"), "{}", invite.text);
    assert_eq!(invite.header("X-Line"), "7", "{}", invite.text);
    pbx.answer(&invite, 200, &pbx.sdp(1, "sendrecv")).await;
    let ok = from.response(200).await;
    from.confirm(&mut dialog, &ok, "").await;
    pbx.incoming("ACK").await;
    assert!(from.speaks_to(ok.sound_at(), &pbx, 0x44).await);
    hangs_up(&mut from, &mut dialog, &mut pbx).await;
    assert!(is_quiet(&switch).await);
    let mut dialog = from.bring(CALLER, NUMBER, "", &from.sdp(1, "sendrecv")).await;
    let invite = pbx.incoming("INVITE").await;
    pbx.answer(&invite, 500, "").await;
    let invite = out.incoming("INVITE").await;
    out.answer(&invite, 200, &out.sdp(1, "sendrecv")).await;
    let ok = from.response(200).await;
    from.confirm(&mut dialog, &ok, "").await;
    out.incoming("ACK").await;
    hangs_up(&mut from, &mut dialog, &mut out).await;
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
}

#[tokio::test]
async fn a_group_rings_a_telephone_and_then_a_number_outside() {
    let mut out = carrier().await;
    let switch = with_carriers("numbers-group", &[&out], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let desk = switch.credential("desk").await;
    let mut desk = Ua::registered(switch.sip, &desk).await;
    let group = |strategy| {
        json!({"type": "ring_group", "config": {"strategy": strategy, "targets": [
            {"type": "user", "name": "desk"}, {"type": "phone", "number": ELSEWHERE}]}})
    };
    let path = number(&switch, &mut http, NUMBER, &group("sequential")).await;
    let mut from = caller(&switch).await;
    for (strategy, in_turn) in [("sequential", true), ("simultaneous", false)] {
        route(&mut http, &path, &group(strategy)).await;
        let mut dialog = from.bring(CALLER, NUMBER, "", &from.sdp(1, "sendrecv")).await;
        let invite = desk.incoming("INVITE").await;
        if in_turn {
            desk.answer(&invite, 486, "").await;
            desk.incoming("ACK").await;
        } else {
            desk.answer(&invite, 180, "").await;
        }
        let outside = out.incoming("INVITE").await;
        out.answer(&outside, 200, &out.sdp(1, "sendrecv")).await;
        let ok = from.heard(|said| said.status() >= 200).await;
        assert_eq!(ok.status(), 200, "{}", ok.text);
        from.confirm(&mut dialog, &ok, "").await;
        out.incoming("ACK").await;
        if !in_turn {
            let cancel = desk.incoming("CANCEL").await;
            desk.answer(&cancel, 200, "").await;
            desk.answer(&invite, 487, "").await;
        }
        hangs_up(&mut from, &mut dialog, &mut out).await;
        assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
    }
    assert_eq!(http.balance().await, (CREDIT - 2 * (INWARD + MINUTE), 0));
}

#[tokio::test]
async fn a_telephone_calls_from_its_organizations_first_number() {
    let mut out = carrier().await;
    let untrusting = [("voice.trust_caller_ids", "false")];
    let switch = with_carriers("numbers-caller-id", &[&out], &untrusting).await;
    let mut http = switch.world.http(&switch.org.key);
    let body = json!({"label": "caller", "allowed_outbound": true});
    let made = http.post("/api/v1/sip-credentials", &body).await;
    let text = |name: &str| made.json["data"][name].as_str().unwrap_or_default().to_owned();
    let (user, password) = (text("sip_username"), text("sip_password"));
    let credential = Credential { user, password, realm: text("sip_server") };
    let mut alice = Ua::registered(switch.sip, &credential).await;
    let dialog = alice.invite(ELSEWHERE, &alice.sdp(1, "sendrecv")).await;
    let said = alice.response(403).await;
    assert!(said.header("Reason").contains("NO_DEFAULT_NUMBER"), "{}", said.text);
    alice.acknowledge_refusal(&dialog, &said).await;
    number(&switch, &mut http, NUMBER, &json!({"type": null})).await;
    number(&switch, &mut http, "+14155550101", &json!({"type": null})).await;
    let dialog = alice.invite(ELSEWHERE, &alice.sdp(1, "sendrecv")).await;
    let invite = out.incoming("INVITE").await;
    assert!(invite.header("From").contains(NUMBER), "{}", invite.text);
    assert!(invite.header("P-Asserted-Identity").contains(NUMBER), "{}", invite.text);
    out.answer(&invite, 486, "").await;
    let said = alice.response(486).await;
    alice.acknowledge_refusal(&dialog, &said).await;
    assert!(is_quiet(&switch).await);
}

#[tokio::test]
async fn sipp_brings_calls_to_a_number_that_leads_to_sipp_and_each_is_paid() {
    const CALLS: i64 = 40;
    let Some(sipp) = program("sipp") else { return };
    let out = carrier().await;
    let switch = with_carriers("numbers-sipp", &[&out], &[]).await;
    let port = out.local().port().to_string();
    drop(out);
    let scratch = Scratch::new("sipp-numbers", false).expect("a folder");
    let callee = ["-sn", "uas", "-i", "127.0.0.1", "-p", &port, "-nostdin"];
    let _callee = Child::start(&sipp, &callee, &scratch.file("callee.log")).expect("it starts");
    let mut http = switch.world.http(&switch.org.key);
    let routing = json!({"type": "forward", "config": {"number": ELSEWHERE}});
    number(&switch, &mut http, NUMBER, &routing).await;
    let mut caller = Command::new(&sipp);
    let calls = CALLS.to_string();
    caller.args(["-sn", "uac", "-s", NUMBER, "-m", &calls, "-r", "20", "-d", "200", "-nostdin"]);
    caller.args(["-i", "127.0.0.1", "-p", &free_port().expect("a port").to_string()]);
    caller.args(["-timeout", "30s", "-timeout_error", &switch.sip.to_string()]);
    caller.current_dir(scratch.path());
    let done = tokio::task::spawn_blocking(move || caller.output()).await.expect("it runs");
    let done = done.expect("it starts");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(0), "{said}{errors}{}", switch.world.last_words());
    assert!(is_quiet(&switch).await);
    let paid = (CREDIT - CALLS * (INWARD + MINUTE), 0);
    let settled = wait_until(async || http.balance().await == paid).await;
    assert!(settled, "{:?} {paid:?}", http.balance().await);
}
