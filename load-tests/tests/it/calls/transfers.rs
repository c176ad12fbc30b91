//! Transfers that join two calls, or send somebody to what costs money: who hears whom, who is let go, who
//! pays, and what is stored.

use serde_json::{Value, json};

use super::public::{CREDIT, MINUTE, caller, carrier, with_carriers};
use super::ua::{Dialog, Said, Ua};
use super::{Talk, is_quiet, told, told_of};
use crate::http::Http;
use crate::phones::Switch;
use crate::world::wait_until;

/// `from` calls `to`, whom it knows by this name: the dialogs of both, and where each sends its sound.
async fn talks(from: &mut Ua, to: &mut Ua, name: &str) -> [(Dialog, std::net::SocketAddr); 2] {
    let mut dialog = from.invite(name, &from.sdp(1, "sendrecv")).await;
    let invite = to.incoming("INVITE").await;
    to.answer(&invite, 200, &to.sdp(1, "sendrecv")).await;
    let ok = from.response(200).await;
    from.confirm(&mut dialog, &ok, "").await;
    to.incoming("ACK").await;
    [(dialog, ok.sound_at()), (to.dialog_of(&invite), invite.sound_at())]
}

/// Who stays is asked to talk to somebody else, and does.
async fn moves(ua: &mut Ua) -> Said {
    let again = ua.incoming("INVITE").await;
    ua.answer(&again, 200, &ua.sdp(2, "sendrecv")).await;
    ua.incoming("ACK").await;
    again
}

/// Who leaves hears how it went, and is let go in so many calls.
async fn leaves(ua: &mut Ua, calls: usize) {
    loop {
        let notify = ua.incoming("NOTIFY").await;
        ua.answer(&notify, 200, "").await;
        if notify.text.contains("SIP/2.0 200") {
            break;
        }
    }
    for _ in 0..calls {
        let bye = ua.incoming("BYE").await;
        ua.answer(&bye, 200, "").await;
    }
}

async fn hangs_up(ua: &mut Ua, dialog: &mut Dialog, other: &mut Ua) {
    let ended = async {
        let bye = other.incoming("BYE").await;
        other.answer(&bye, 200, "").await;
    };
    tokio::join!(ua.bye(dialog), ended);
}

/// Calls in progress, once there are so many.
async fn are_up(http: &mut Http, count: usize) -> Vec<Value> {
    let mut up = Vec::new();
    let found = wait_until(async || {
        up = http.all("/api/v1/voice/calls").await;
        up.retain(|call| call["status"] == "in_progress");
        up.len() == count
    });
    assert!(found.await, "{up:?}");
    up
}

async fn records(http: &mut Http) -> Vec<Value> {
    http.all("/api/v1/voice/cdrs").await
}

#[tokio::test]
async fn two_calls_are_joined_and_who_joined_them_is_let_go() {
    let switch = Switch::start("transfers-attended", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let carol = switch.credential("carol").await;
    let mut carol = Ua::registered(switch.sip, &carol).await;
    let mut talk = Talk::start(&switch).await;
    let Talk { alice, bob, a, b, from_a, .. } = &mut talk;
    // alice waits while bob asks carol.
    let sdp = bob.sdp(2, "sendonly");
    let held = async {
        let again = alice.incoming("INVITE").await;
        alice.answer(&again, 200, &alice.sdp(2, "recvonly")).await;
        alice.incoming("ACK").await;
    };
    let (said, ()) = tokio::join!(bob.reinvite(b, &sdp), held);
    assert_eq!(said.status(), 200, "{}", said.text);
    let [(second, _), _] = talks(bob, &mut carol, "carol").await;
    let said = bob.refer_instead(b, ("carol", &second.replaces())).await;
    assert_eq!(said.status(), 202, "{}", said.text);
    let (to_carol, to_alice, ()) = tokio::join!(moves(&mut carol), moves(alice), leaves(bob, 2));
    for offer in [&to_carol, &to_alice] {
        assert!(offer.body().contains("a=sendrecv"), "nobody waits any more: {}", offer.text);
    }
    assert!(alice.speaks_to(*from_a, &carol, 0x44).await, "{}", switch.world.last_words());
    assert!(carol.speaks_to(to_carol.sound_at(), alice, 0x55).await);
    told_of(&mut http, "call.transferred", 2).await;
    let mut moved = http.all("/api/v1/events").await;
    moved.retain(|event| event["type"] == "call.transferred");
    let data = |target: &str| moved.iter().find(|event| event["data"]["target"] == target);
    let (first, other) = (data("carol").expect("of alice"), data("alice").expect("of carol"));
    assert_eq!(first["data"]["other_call_id"], other["data"]["call_id"], "{moved:?}");
    assert_eq!(other["data"]["other_call_id"], first["data"]["call_id"], "{moved:?}");
    hangs_up(alice, a, &mut carol).await;
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
    let ended = told_of(&mut http, "call.completed", 2).await;
    assert_eq!(ended["end_reason"], "normal", "{ended}");
    assert!(wait_until(async || records(&mut http).await.len() == 4).await, "a record per leg");
    // The other way round: who stays with the guest of the two hangs up.
    let [_, (mut b, _)] = talks(alice, bob, "100").await;
    let [(second, _), (mut c, _)] = talks(bob, &mut carol, "carol").await;
    assert_eq!(bob.refer_instead(&mut b, ("carol", &second.replaces())).await.status(), 202);
    tokio::join!(moves(&mut carol), moves(alice), leaves(bob, 2));
    hangs_up(&mut carol, &mut c, alice).await;
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
}

#[tokio::test]
async fn calls_are_transferred_by_the_api_and_by_command() {
    let mut carrier = carrier().await;
    let switch = with_carriers("transfers-api", &[&carrier], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut bob = caller(&switch).await;
    let desk = switch.credential("desk").await;
    let mut desk = Ua::registered(switch.sip, &desk).await;
    let carol = switch.credential("carol").await;
    let mut carol = Ua::registered(switch.sip, &carol).await;
    talks(&mut bob, &mut desk, "100").await;
    let mut up = are_up(&mut http, 1).await;
    let id = up.remove(0)["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/voice/calls/{id}/transfer");
    for (body, status, code) in [
        (json!({"queue_id": "que_1"}), 422, "VALIDATION_ERROR"),
        (json!({"agent_id": "agt_1"}), 422, "VALIDATION_ERROR"),
        (json!({}), 422, "MISSING_REQUIRED_FIELD"),
        (json!({"type": "attended"}), 422, "MISSING_REQUIRED_FIELD"),
        (json!({"to": "100", "call_id": "x"}), 422, "VALIDATION_ERROR"),
        (json!({"to": "\u{7}"}), 422, "VALIDATION_ERROR"),
        (json!({"to": "999999"}), 422, "VALIDATION_ERROR"),
        (json!({"to": "911"}), 422, "EMERGENCY_CALLING_NOT_SUPPORTED"),
        (json!({"to": "+9999999999"}), 422, "NO_PRICE"),
        // The desk has no number to show.
        (json!({"to": "+14155559999", "leg": "a"}), 422, "NO_DEFAULT_NUMBER"),
        (json!({"type": "attended", "call_id": "call_x"}), 404, "NOT_FOUND"),
        (json!({"type": "attended", "call_id": id}), 409, "CONFLICT"),
    ] {
        let refused = http.post(&path, &body).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{body}: {}", refused.text);
    }
    // By command, to what costs money.
    let words =
        ["calls", "transfer", &id, "--to", "+14155559999", "--key", &switch.org.key, "--json"];
    let done = switch.world.orbit(&words).await.json();
    assert_eq!(done["id"], json!(id), "{done}");
    let invite = carrier.incoming("INVITE").await;
    carrier.answer(&invite, 200, &carrier.sdp(1, "sendrecv")).await;
    carrier.incoming("ACK").await;
    let let_go = async {
        let bye = bob.incoming("BYE").await;
        bob.answer(&bye, 200, "").await;
    };
    tokio::join!(moves(&mut desk), let_go);
    told(&mut http, "call.transferred").await;
    // The two calls that are one now are told apart, and either can be steered: the carrier is sent on.
    let sent = json!({"to": "carol", "leg": "a"});
    are_up(&mut http, 2).await;
    let done = http.post(&path, &sent).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let invite = carol.incoming("INVITE").await;
    carol.answer(&invite, 200, &carol.sdp(1, "sendrecv")).await;
    carol.incoming("ACK").await;
    let let_go = async {
        let bye = desk.incoming("BYE").await;
        desk.answer(&bye, 200, "").await;
    };
    let (to_carrier, ()) = tokio::join!(moves(&mut carrier), let_go);
    assert!(carrier.speaks_to(to_carrier.sound_at(), &carol, 0x33).await);
    assert!(carol.speaks_to(invite.sound_at(), &carrier, 0x34).await);
    let mut carol_dialog = carol.dialog_of(&invite);
    hangs_up(&mut carol, &mut carol_dialog, &mut carrier).await;
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
    assert_eq!(http.balance().await, (CREDIT - MINUTE, 0));
    // Attended: bob talks to both, and leaves.
    let [_, (mut d, _)] = talks(&mut bob, &mut desk, "100").await;
    talks(&mut bob, &mut carol, "carol").await;
    let up = are_up(&mut http, 2).await;
    let path = format!("/api/v1/voice/calls/{}/transfer", up[0]["id"].as_str().expect("an id"));
    let body = json!({"type": "attended", "call_id": up[1]["id"]});
    let done = http.post(&path, &body).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let let_go = async {
        for _ in 0..2 {
            let bye = bob.incoming("BYE").await;
            bob.answer(&bye, 200, "").await;
        }
    };
    let (to_carol, to_desk, ()) = tokio::join!(moves(&mut carol), moves(&mut desk), let_go);
    assert!(desk.speaks_to(to_desk.sound_at(), &carol, 0x31).await);
    assert!(carol.speaks_to(to_carol.sound_at(), &desk, 0x32).await);
    hangs_up(&mut desk, &mut d, &mut carol).await;
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
}

#[tokio::test]
async fn what_cannot_be_joined_is_refused_and_stays_as_it_was() {
    let switch = Switch::start("transfers-refused", &[]).await;
    let carol = switch.credential("carol").await;
    let mut carol = Ua::registered(switch.sip, &carol).await;
    let mut talk = Talk::start(&switch).await;
    let Talk { bob, b, .. } = &mut talk;
    let unknown = "nobody@nowhere;to-tag=1;from-tag=2";
    let said = bob.refer_instead(b, ("carol", unknown)).await;
    assert_eq!(said.status(), 481, "{}", said.text);
    let own = b.replaces();
    assert_eq!(bob.refer_instead(b, ("alice", &own)).await.status(), 482);
    let [(second, _), _] = talks(bob, &mut carol, "carol").await;
    let guessed = second.replaces().replace("from-tag=", "from-tag=x");
    assert_eq!(bob.refer_instead(b, ("carol", &guessed)).await.status(), 481);
    let early = format!("{};early-only", second.replaces());
    assert_eq!(bob.refer_instead(b, ("carol", &early)).await.status(), 486);
    // carol does not take what alice speaks.
    let said = bob.refer_instead(b, ("carol", &second.replaces())).await;
    assert_eq!(said.status(), 202, "{}", said.text);
    let again = carol.incoming("INVITE").await;
    carol.answer(&again, 488, "").await;
    loop {
        let notify = bob.incoming("NOTIFY").await;
        bob.answer(&notify, 200, "").await;
        if notify.text.contains("SIP/2.0 488") {
            break;
        }
        assert!(notify.text.contains("SIP/2.0 100"), "{}", notify.text);
    }
    assert!(talk.is_heard_both_ways().await, "{}", switch.world.last_words());
}

#[tokio::test]
async fn who_calls_with_replaces_takes_the_place_of_somebody() {
    let switch = Switch::start("transfers-replaces", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let dave = switch.credential("dave").await;
    let mut dave = Ua::registered(switch.sip, &dave).await;
    let mut talk = Talk::start(&switch).await;
    let Talk { alice, bob, a, b, from_a, .. } = &mut talk;
    for (replaces, status) in [
        ("nobody@nowhere;to-tag=1;from-tag=2".to_owned(), 481),
        (format!("{};early-only", b.replaces()), 486),
    ] {
        let header = format!("Replaces: {replaces}\r\n");
        let dialog = dave.invite_with("100", &header, &dave.sdp(1, "sendrecv")).await;
        let said = dave.response(status).await;
        dave.acknowledge_refusal(&dialog, &said).await;
    }
    let header = format!("Require: replaces\r\nReplaces: {}\r\n", b.replaces());
    let mut d = dave.invite_with("100", &header, &dave.sdp(1, "sendrecv")).await;
    let let_go = async {
        let bye = bob.incoming("BYE").await;
        bob.answer(&bye, 200, "").await;
    };
    let (_, ok, ()) = tokio::join!(moves(alice), dave.response(200), let_go);
    dave.confirm(&mut d, &ok, "").await;
    assert!(dave.speaks_to(ok.sound_at(), alice, 0x66).await, "{}", switch.world.last_words());
    let _ = from_a;
    told(&mut http, "call.transferred").await;
    hangs_up(alice, a, &mut dave).await;
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
    assert!(
        wait_until(async || records(&mut http).await.len() == 5).await,
        "two, one and two refused"
    );
    let ended = told_of(&mut http, "call.completed", 2).await;
    assert_eq!(ended["end_reason"], "normal", "{ended}");
}

#[tokio::test]
async fn each_of_two_joined_calls_pays_for_its_own_leg() {
    let (mut first, mut second) = (carrier().await, carrier().await);
    let switch = with_carriers("transfers-paid", &[&first, &second], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut alice = caller(&switch).await;
    let [(mut one, _), (mut at_first, _)] = talks(&mut alice, &mut first, "+14155559999").await;
    // The first carrier takes no more.
    let mut two = alice.invite("+14155558888", &alice.sdp(1, "sendrecv")).await;
    let refused = first.incoming("INVITE").await;
    first.answer(&refused, 503, "").await;
    first.incoming("ACK").await;
    let invite = second.incoming("INVITE").await;
    second.answer(&invite, 200, &second.sdp(1, "sendrecv")).await;
    let ok = alice.response(200).await;
    alice.confirm(&mut two, &ok, "").await;
    second.incoming("ACK").await;
    assert_eq!(http.balance().await, (CREDIT - 4 * MINUTE, 4 * MINUTE), "each holds two minutes");
    let said = alice.refer_instead(&mut one, ("+14155558888", &two.replaces())).await;
    assert_eq!(said.status(), 202, "{}", said.text);
    let (to_second, to_first, ()) =
        tokio::join!(moves(&mut second), moves(&mut first), leaves(&mut alice, 2));
    assert!(first.speaks_to(to_first.sound_at(), &second, 0x77).await);
    assert!(second.speaks_to(to_second.sound_at(), &first, 0x78).await);
    assert_eq!(http.balance().await, (CREDIT - 4 * MINUTE, 4 * MINUTE), "nothing is settled yet");
    hangs_up(&mut first, &mut at_first, &mut second).await;
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
    told_of(&mut http, "call.completed", 2).await;
    assert_eq!(http.balance().await, (CREDIT - 2 * MINUTE, 0), "each has paid its minute");
    let all = records(&mut http).await;
    let paid = all.iter().filter(|record| record["cost_micros"] == json!(MINUTE));
    let paid: Vec<&Value> = paid.map(|record| &record["to"]).collect();
    assert_eq!((all.len(), paid.len()), (5, 2), "{all:?}");
    assert_ne!(paid[0], paid[1], "{all:?}");
}

#[tokio::test]
async fn who_is_sent_to_what_costs_money_is_paid_for_by_a_call_of_its_own() {
    let mut carrier = carrier().await;
    let switch = with_carriers("transfers-sent", &[&carrier], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut bob = caller(&switch).await;
    let desk = switch.credential("desk").await;
    let mut desk = Ua::registered(switch.sip, &desk).await;
    let [(mut b, _), (mut d, from_desk)] = talks(&mut bob, &mut desk, "100").await;
    // Nobody answers there: all stays as it was, and costs nothing.
    assert_eq!(bob.refer(&mut b, "+14155559999").await.status(), 202);
    let invite = carrier.incoming("INVITE").await;
    assert_eq!(http.balance().await, (CREDIT - 2 * MINUTE, 2 * MINUTE), "two minutes are held");
    carrier.answer(&invite, 486, "").await;
    carrier.incoming("ACK").await;
    loop {
        let notify = bob.incoming("NOTIFY").await;
        bob.answer(&notify, 200, "").await;
        if notify.text.contains("SIP/2.0 486") {
            break;
        }
    }
    let free = wait_until(async || http.balance().await == (CREDIT, 0)).await;
    assert!(free, "{:?}", http.balance().await);
    assert_eq!(bob.refer(&mut b, "911").await.status(), 403, "no help by a transfer");
    // Somebody does.
    assert_eq!(bob.refer(&mut b, "+14155559999").await.status(), 202);
    let invite = carrier.incoming("INVITE").await;
    assert!(invite.header("P-Asserted-Identity").contains("+14155550100"), "{}", invite.text);
    carrier.answer(&invite, 200, &carrier.sdp(1, "sendrecv")).await;
    carrier.incoming("ACK").await;
    let (_, ()) = tokio::join!(moves(&mut desk), leaves(&mut bob, 1));
    assert!(carrier.speaks_to(invite.sound_at(), &desk, 0x79).await);
    let _ = from_desk;
    told(&mut http, "call.transferred").await;
    hangs_up(&mut desk, &mut d, &mut carrier).await;
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
    told_of(&mut http, "call.completed", 2).await;
    assert_eq!(http.balance().await, (CREDIT - MINUTE, 0));
    let calls = http.all("/api/v1/voice/calls").await;
    let sent = calls.iter().find(|call| call["cost_micros"] == json!(MINUTE));
    assert!(sent.is_some_and(|call| call["parent_call_id"].is_string()), "{calls:?}");
}
