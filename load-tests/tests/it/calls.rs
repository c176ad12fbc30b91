//! Calls through the switch: telephones that call each other, by hand, by SIPp and by baresip.

pub(crate) mod besieged;
mod codecs;
mod kamailio;
mod masking;
mod numbers;
mod others;
mod public;
mod read;
mod sipp;
mod softphone;
mod tape;
mod transfers;
mod trunks;
mod ua;

use std::net::SocketAddr;

use serde_json::Value;

use crate::http::Http;
use crate::phones::{Credential, Dev, Switch};
use crate::world::wait_until;
use ua::{Dialog, Said, Ua};

/// A call that is up, between two telephones of one organization.
struct Talk {
    alice: Ua,
    bob: Ua,
    /// As each of them sees it.
    a: Dialog,
    b: Dialog,
    /// Where each of them is told to send sound.
    from_a: SocketAddr,
    from_b: SocketAddr,
}

async fn two(switch: &Switch) -> (Ua, Ua) {
    let alice = switch.credential("alice").await;
    let bob = switch.credential("desk").await;
    (Ua::registered(switch.sip, &alice).await, Ua::registered(switch.sip, &bob).await)
}

/// A call of two telephones that the second one declines.
pub(crate) async fn declined(sip: SocketAddr, [caller, callee]: &[Credential; 2]) {
    let mut alice = Ua::registered(sip, caller).await;
    let mut bob = Ua::registered(sip, callee).await;
    let dialog = alice.invite(&callee.user, &alice.sdp(1, "sendrecv")).await;
    let invite = bob.incoming("INVITE").await;
    bob.answer(&invite, 603, "").await;
    bob.incoming("ACK").await;
    let said = alice.response(603).await;
    alice.acknowledge_refusal(&dialog, &said).await;
}

/// The INVITE as it comes to bob, while alice waits.
async fn rung(alice: &mut Ua, bob: &mut Ua) -> (Dialog, Said) {
    let sdp = alice.sdp(1, "sendrecv");
    let dialog = alice.invite("100", &sdp).await;
    let invite = bob.incoming("INVITE").await;
    bob.answer(&invite, 180, "").await;
    alice.response(180).await;
    (dialog, invite)
}

impl Talk {
    async fn start(switch: &Switch) -> Self {
        Self::between(two(switch).await).await
    }

    async fn between((mut alice, mut bob): (Ua, Ua)) -> Self {
        let (mut a, invite) = rung(&mut alice, &mut bob).await;
        let sdp = bob.sdp(1, "sendrecv");
        bob.answer(&invite, 200, &sdp).await;
        let ok = alice.response(200).await;
        alice.confirm(&mut a, &ok, "").await;
        bob.incoming("ACK").await;
        let b = bob.dialog_of(&invite);
        let (from_a, from_b) = (ok.sound_at(), invite.sound_at());
        Self { alice, bob, a, b, from_a, from_b }
    }

    async fn is_heard_both_ways(&self) -> bool {
        self.alice.speaks_to(self.from_a, &self.bob, 0x11).await
            && self.bob.speaks_to(self.from_b, &self.alice, 0x22).await
    }
}

/// The data of the last event of a kind, once there are so many.
async fn told_of(http: &mut Http, kind: &str, count: usize) -> Value {
    let mut found = Vec::new();
    let is_there = wait_until(async || {
        found = http.all("/api/v1/events").await;
        found.retain(|event| event["type"] == kind);
        found.len() >= count
    });
    assert!(is_there.await, "{kind}: {found:?}");
    let newest = found.iter().max_by_key(|event| event["data"]["at"].as_str().map(str::to_owned));
    newest.map(|event| event["data"].clone()).unwrap_or_default()
}

async fn told(http: &mut Http, kind: &str) -> Value {
    told_of(http, kind, 1).await
}

/// No call is there any more, nor anything of one.
async fn is_quiet(switch: &Switch) -> bool {
    wait_until(async || switch.world.metric("orbit_calls", "").await == 0.0).await
}

#[tokio::test]
async fn two_telephones_call_and_hear_each_other_and_either_hangs_up() {
    let switch = Switch::start("calls", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut ends = two(&switch).await;
    for alice_ends in [true, false] {
        let mut talk = Talk::between(ends).await;
        assert!(talk.is_heard_both_ways().await, "{}", switch.world.last_words());
        if alice_ends {
            talk.alice.bye(&mut talk.a).await;
            let bye = talk.bob.incoming("BYE").await;
            talk.bob.answer(&bye, 200, "").await;
        } else {
            talk.bob.bye(&mut talk.b).await;
            let bye = talk.alice.incoming("BYE").await;
            assert!(bye.header("Reason").contains("cause=16"), "{}", bye.text);
            talk.alice.answer(&bye, 200, "").await;
        }
        assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
        ends = (talk.alice, talk.bob);
    }
    let ended = told(&mut http, "call.completed").await;
    assert_eq!((&ended["end_reason"], &ended["direction"]), (&"normal".into(), &"outbound".into()));
    assert_eq!(http.balance().await.0, 1_000_000, "a call inside costs nothing");
}

#[tokio::test]
async fn in_dev_telephones_of_this_machine_hear_each_other() {
    let dev = Dev::start().await;
    let mut alice = Ua::registered(dev.sip, &dev.credential).await;
    let mut bob = Ua::registered(dev.sip, &dev.credential).await;
    let mut dialog = alice.invite(&dev.credential.user, &alice.sdp(1, "sendrecv")).await;
    let invite = bob.incoming("INVITE").await;
    bob.answer(&invite, 200, &bob.sdp(1, "sendrecv")).await;
    let ok = alice.response(200).await;
    alice.confirm(&mut dialog, &ok, "").await;
    assert!(alice.speaks_to(ok.sound_at(), &bob, 0x11).await);
    assert!(bob.speaks_to(invite.sound_at(), &alice, 0x22).await);
}

#[tokio::test]
async fn a_call_that_is_not_answered_says_why() {
    let switch = Switch::start("calls-why", &[("voice.ring_timeout_s", "2")]).await;
    let mut http = switch.world.http(&switch.org.key);
    let (mut alice, mut bob) = two(&switch).await;
    let answers = [(486, "busy"), (603, "declined"), (480, "no_answer")];
    for (count, (status, reason)) in answers.into_iter().enumerate() {
        let (dialog, invite) = rung(&mut alice, &mut bob).await;
        bob.answer(&invite, status, "").await;
        bob.incoming("ACK").await;
        let said = alice.response(status).await;
        alice.acknowledge_refusal(&dialog, &said).await;
        let told = told_of(&mut http, "call.failed", count + 1).await;
        assert!(is_quiet(&switch).await);
        assert_eq!(told["end_reason"], reason, "{told}");
    }
    // Nobody picks up.
    let (dialog, invite) = rung(&mut alice, &mut bob).await;
    let cancel = bob.incoming("CANCEL").await;
    bob.answer(&cancel, 200, "").await;
    bob.answer(&invite, 487, "").await;
    let said = alice.response(480).await;
    assert!(said.header("Reason").contains("cause=19"), "{}", said.text);
    alice.acknowledge_refusal(&dialog, &said).await;
    // Nobody is there.
    let nobody = alice.invite("999999", &alice.sdp(1, "sendrecv")).await;
    let said = alice.response(404).await;
    alice.acknowledge_refusal(&nobody, &said).await;
    assert!(is_quiet(&switch).await);
}

#[tokio::test]
async fn a_caller_who_gives_up_is_gone_even_when_the_answer_crosses() {
    let switch = Switch::start("calls-cancel", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let (mut alice, mut bob) = two(&switch).await;
    let (dialog, invite) = rung(&mut alice, &mut bob).await;
    alice.cancel(&dialog).await;
    let said = alice.response(487).await;
    alice.acknowledge_refusal(&dialog, &said).await;
    let cancel = bob.incoming("CANCEL").await;
    bob.answer(&cancel, 200, "").await;
    bob.answer(&invite, 487, "").await;
    bob.incoming("ACK").await;
    assert_eq!(told(&mut http, "call.failed").await["end_reason"], "canceled");
    assert!(is_quiet(&switch).await);
    // bob answers before the CANCEL comes to him: he is acknowledged, and hung up.
    let (dialog, invite) = rung(&mut alice, &mut bob).await;
    alice.cancel(&dialog).await;
    bob.incoming("CANCEL").await;
    let sdp = bob.sdp(1, "sendrecv");
    bob.answer(&invite, 200, &sdp).await;
    bob.incoming("ACK").await;
    let bye = bob.incoming("BYE").await;
    bob.answer(&bye, 200, "").await;
    let said = alice.response(487).await;
    alice.acknowledge_refusal(&dialog, &said).await;
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
}

#[tokio::test]
async fn a_hold_is_passed_on_and_sound_comes_back_after_it() {
    let switch = Switch::start("calls-hold", &[]).await;
    let mut talk = Talk::start(&switch).await;
    for (direction, answered) in [("sendonly", "recvonly"), ("sendrecv", "sendrecv")] {
        let sdp = talk.alice.sdp(if direction == "sendonly" { 2 } else { 3 }, direction);
        let Talk { alice, bob, a, .. } = &mut talk;
        let answering = async {
            let invite = bob.incoming("INVITE").await;
            assert!(invite.body().contains(&format!("a={direction}")), "{}", invite.text);
            let sdp = bob.sdp(2, answered);
            bob.answer(&invite, 200, &sdp).await;
            bob.incoming("ACK").await;
        };
        let (said, ()) = tokio::join!(alice.reinvite(a, &sdp), answering);
        assert_eq!(said.status(), 200, "{}", said.text);
        assert!(said.body().contains(&format!("a={answered}")), "{}", said.text);
    }
    assert!(talk.is_heard_both_ways().await, "{}", switch.world.last_words());
    talk.alice.bye(&mut talk.a).await;
    let bye = talk.bob.incoming("BYE").await;
    talk.bob.answer(&bye, 200, "").await;
    assert!(is_quiet(&switch).await);
}

#[tokio::test]
async fn all_telephones_of_a_name_ring_and_one_has_the_call() {
    let switch = Switch::start("calls-forks", &[]).await;
    let alice = switch.credential("alice").await;
    let bob = switch.credential("desk").await;
    let mut alice = Ua::registered(switch.sip, &alice).await;
    let mut first = Ua::registered(switch.sip, &bob).await;
    let mut second = Ua::registered(switch.sip, &bob).await;
    let sdp = alice.sdp(1, "sendrecv");
    let mut dialog = alice.invite("100", &sdp).await;
    let invites = [first.incoming("INVITE").await, second.incoming("INVITE").await];
    first.answer(&invites[0], 180, "").await;
    second.answer(&invites[1], 180, "").await;
    alice.response(180).await;
    let sdp = second.sdp(1, "sendrecv");
    second.answer(&invites[1], 200, &sdp).await;
    let cancel = first.incoming("CANCEL").await;
    assert!(cancel.header("Reason").contains("cause=200"), "{}", cancel.text);
    first.answer(&cancel, 200, "").await;
    first.answer(&invites[0], 487, "").await;
    let ok = alice.response(200).await;
    alice.confirm(&mut dialog, &ok, "").await;
    second.incoming("ACK").await;
    assert!(alice.speaks_to(ok.sound_at(), &second, 0x33).await);
    alice.bye(&mut dialog).await;
    let bye = second.incoming("BYE").await;
    second.answer(&bye, 200, "").await;
    assert!(is_quiet(&switch).await);
}

#[tokio::test]
async fn a_call_is_transferred_to_a_third_and_sound_follows() {
    let switch = Switch::start("calls-refer", &[]).await;
    let carol = switch.credential("carol").await;
    let mut carol = Ua::registered(switch.sip, &carol).await;
    let mut talk = Talk::start(&switch).await;
    let Talk { alice, bob, b, .. } = &mut talk;
    let said = bob.refer(b, "carol").await;
    assert_eq!(said.status(), 202, "{}", said.text);
    let invite = carol.incoming("INVITE").await;
    let sdp = carol.sdp(1, "sendrecv");
    carol.answer(&invite, 200, &sdp).await;
    carol.incoming("ACK").await;
    // bob hears how it went, and is let go; alice is asked to go on.
    let reported = async {
        loop {
            let notify = bob.incoming("NOTIFY").await;
            bob.answer(&notify, 200, "").await;
            if notify.text.contains("SIP/2.0 200") {
                break;
            }
        }
        let bye = bob.incoming("BYE").await;
        bob.answer(&bye, 200, "").await;
    };
    let moved = async {
        let again = alice.incoming("INVITE").await;
        let sdp = alice.sdp(2, "sendrecv");
        alice.answer(&again, 200, &sdp).await;
        alice.incoming("ACK").await;
    };
    tokio::join!(reported, moved);
    assert!(talk.alice.speaks_to(talk.from_a, &carol, 0x44).await, "{}", switch.world.last_words());
    assert!(carol.speaks_to(invite.sound_at(), &talk.alice, 0x55).await);
    talk.alice.bye(&mut talk.a).await;
    let bye = carol.incoming("BYE").await;
    carol.answer(&bye, 200, "").await;
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
}

#[tokio::test]
async fn strangers_are_challenged_and_help_is_refused_by_name() {
    let switch = Switch::start("calls-refused", &[]).await;
    let (mut alice, _bob) = two(&switch).await;
    let sdp = alice.sdp(1, "sendrecv");
    let dialog = alice.invite("911", &sdp).await;
    let said = alice.response(403).await;
    let reason = said.header("Reason");
    assert!(reason.contains("EMERGENCY_CALLING_NOT_SUPPORTED"), "{}", said.text);
    alice.acknowledge_refusal(&dialog, &said).await;
    let wrong = Credential {
        user: "alice".into(),
        password: "guess".into(),
        realm: switch.credential("eve").await.realm,
    };
    let mut stranger = Ua::new(alice.switch(), &wrong).await;
    let dialog = stranger.invite("100", &sdp).await;
    let said = stranger.response(401).await;
    stranger.acknowledge_refusal(&dialog, &said).await;
    assert!(is_quiet(&switch).await);
}
