//! Legs of a call beside others: a carrier that asks for credentials each time, a connection that is lost,
//! and nobody rung for a call that is over.

use std::time::Duration;

use actors::sip::credentials::Credentials;
use actors::sip::trunks::{Password, Trunk};
use model::number::{RingGroup, RingStrategy, RingTarget, Routing};
use model::protection::Overrides;
use model::trunk::Target;
use store::lane::Admin;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::calling::{Calling, End, PATIENCE, credential, number, reply, trunk};
use super::world::{CREDIT, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_may_ask_for_credentials_at_each_request() {
    let calling = Calling::with(|setup| {
        let out = &mut setup.trunks[0];
        (out.username, out.password) = (Some("orbit".into()), Some(Password("secret".into())));
    })
    .await;
    let Calling { caller, callee, .. } = &calling;
    caller.send(calling.at, &calling.request("INVITE", "", &caller.sdp())).await;
    let invite = callee.next("INVITE ").await;
    callee.challenge(&invite, "127.0.0.1", "n1").await;
    callee.next("ACK ").await;
    let invite = callee.next("INVITE ").await;
    assert!(invite.0.contains("nonce=\"n1\""), "{}", invite.0);
    let tag = calling.answered(&invite).await;
    let to = ("+14155550100@h", tag.as_str());
    let within = |method: &str, number: u32, sdp: &str| {
        calling.request_of((method, number), "+12125550000@h", to, "", sdp)
    };
    for (number, nonce, realm) in
        [(2, "n2", "127.0.0.1"), (3, "n3", "127.0.0.1"), (4, "n4", "else")]
    {
        let sdp = caller.sdp().replace("o=- 1 1", &format!("o=- 1 {number}"));
        caller.send(calling.at, &within("INVITE", number, &sdp)).await;
        let invite = callee.next("INVITE ").await;
        callee.challenge(&invite, realm, nonce).await;
        callee.next("ACK ").await;
        if realm == "else" {
            // It goes on without.
            caller.next("SIP/2.0 4").await;
        } else {
            let invite = callee.next("INVITE ").await;
            assert!(invite.0.contains(&format!("nonce=\"{nonce}\"")), "{}", invite.0);
            let sdp = callee.sdp().replace("o=- 1 1", &format!("o=- 1 {number}"));
            callee.answer(&invite, 200, &sdp).await;
            caller.next("SIP/2.0 200").await;
            callee.next("ACK ").await;
        }
        caller.send(calling.at, &within("ACK", number, "")).await;
    }
    caller.send(calling.at, &within("BYE", 5, "")).await;
    let bye = callee.next("BYE ").await;
    callee.challenge(&bye, "127.0.0.1", "n5").await;
    let bye = callee.next("BYE ").await;
    assert!(bye.0.contains("nonce=\"n5\""), "{}", bye.0);
    callee.answer(&bye, 200, "").await;
    until("it is gone", async || calling.table.count() == 0).await;
    calling.end().await;
}

async fn read(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 8_000];
    let length = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_keeps_its_connection_and_another_takes_its_place() {
    let idle = Duration::from_millis(200);
    let carrier = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = carrier.local_addr().unwrap();
    let calling = Calling::with(|setup| {
        setup.idle = idle;
        setup.trunks[0].target = Target::parse(&format!("sip:{at};transport=tcp"));
    })
    .await;
    let Calling { caller, callee, .. } = &calling;
    caller.send(calling.at, &calling.request("INVITE", "", &caller.sdp())).await;
    let (mut stream, _) = carrier.accept().await.unwrap();
    let invite = read(&mut stream).await;
    let ok = reply(&invite, at, 200, "", &callee.sdp());
    stream.write_all(ok.as_bytes()).await.unwrap();
    let tag = calling.acknowledges().await;
    assert!(read(&mut stream).await.starts_with("ACK "));
    let quiet = timeout(idle * 5, stream.read(&mut [0; 100])).await;
    assert!(quiet.is_err(), "it was closed: {quiet:?}");
    drop(stream);
    let to = ("+14155550100@h", tag.as_str());
    let bye = calling.request_of(("BYE", 2), "+12125550000@h", to, "", "");
    // What is sent before the loss is known goes nowhere, and is sent again by nobody over TCP.
    until("the loss is known", async || calling.sip_connections() == 0).await;
    caller.send(calling.at, &bye).await;
    let (mut stream, _) = timeout(PATIENCE, carrier.accept()).await.unwrap().unwrap();
    let bye = read(&mut stream).await;
    assert!(bye.starts_with("BYE "), "{bye}");
    stream.write_all(reply(&bye, at, 200, "", "").as_bytes()).await.unwrap();
    until("it is gone", async || calling.table.count() == 0).await;
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_rung_for_a_call_that_the_store_has_refused() {
    let calling = Calling::with(|setup| {
        let organization = setup.organization;
        setup.trunks.clear();
        let pbx = trunk("pbx", None, &["127.0.0.1"]);
        setup.own_trunks = vec![Trunk { organization: Some(organization), ..pbx }];
        setup.credentials = Credentials::default();
        for (id, name) in [(1, "alice"), (2, "bob")] {
            setup.credentials.put(&credential(organization, id, name));
        }
        let targets = ["alice", "bob"].map(|name| RingTarget::User { name: name.to_owned() });
        let (targets, strategy) = (targets.to_vec(), RingStrategy::Sequential);
        let group = Routing::RingGroup(RingGroup { targets, strategy, ring_seconds: 10 });
        setup.numbers = vec![
            number(organization, 1, "+14155550100", None),
            number(organization, 2, "+14155550101", Some(group)),
        ];
    })
    .await;
    let (alice, bob) = (End::new().await, End::new().await);
    alice.register(calling.at, "alice").await;
    bob.register(calling.at, "bob").await;
    let blocked_prefixes = Some(vec![String::from("1415")]);
    let own = Overrides { blocked_prefixes, ..Overrides::default() };
    let protect = Admin::Protect { organization: calling.world.organization, own };
    calling.world.writer.administer(protect).await.unwrap();
    let (sdp, to) = (calling.caller.sdp(), ("+14155550101@h", ""));
    let invite = calling.request_of(("INVITE", 1), "+14155550100@h", to, "", &sdp);
    calling.caller.send(calling.at, &invite).await;
    let invite = alice.next("INVITE ").await;
    alice.answer(&invite, 180, "").await;
    let cancel = alice.next("CANCEL ").await;
    alice.answer(&cancel, 200, "").await;
    alice.answer(&invite, 487, "").await;
    calling.caller.next("SIP/2.0 403").await;
    until("it is gone", async || calling.table.count() == 0).await;
    assert!(!bob.has_more());
    assert_eq!(calling.wallet().await, (CREDIT, 0));
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_end_when_who_held_them_did() {
    let calling = Calling::start().await;
    calling.talk().await;
    calling.calls.stop_and_wait(None, Some(PATIENCE)).await.unwrap();
    let (wills, died) = calling.context.keeper.take_all();
    assert_eq!(wills.len(), 1);
    let died = wills[0].clock.at(died.unwrap());
    assert!(died <= model::clock::At::now());
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_may_be_silent_and_who_talks_may_not() {
    let silence = Duration::from_millis(400);
    let calling = Calling::with(|setup| setup.silence = silence).await;
    let Calling { caller, callee, .. } = &calling;
    let invite = calling.ring().await;
    let tag = calling.answered(&invite).await;
    let to = ("+14155550100@h", tag.as_str());
    let mut ends = Vec::new();
    for (number, ours, theirs) in [(2, "sendonly", "recvonly"), (3, "sendrecv", "sendrecv")] {
        let with = |sdp: String, way: &str| {
            sdp.replace("o=- 1 1", &format!("o=- 1 {number}")) + &format!("a={way}\r\n")
        };
        let sdp = with(caller.sdp(), ours);
        let again = calling.request_of(("INVITE", number), "+12125550000@h", to, "", &sdp);
        caller.send(calling.at, &again).await;
        let invite = callee.next("INVITE ").await;
        callee.answer(&invite, 200, &with(callee.sdp(), theirs)).await;
        caller.next("SIP/2.0 200").await;
        let ack = calling.request_of(("ACK", number), "+12125550000@h", to, "", "");
        caller.send(calling.at, &ack).await;
        callee.next("ACK ").await;
        let ended = timeout(silence * 4, callee.next("BYE ")).await;
        ends.push(ended.is_ok());
    }
    assert_eq!(ends, [false, true]);
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_begins_when_the_switch_is_about_to_end() {
    let calling = Calling::start().await;
    calling.world.writer.drain();
    let invite = calling.request("INVITE", "", &calling.caller.sdp());
    calling.caller.send(calling.at, &invite).await;
    let (said, _) = calling.caller.next("SIP/2.0 503").await;
    assert!(said.contains("Retry-After"), "{said}");
    assert!(!calling.callee.has_more());
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_relayed_is_no_answer_and_costs_nothing() {
    let calling = Calling::start().await;
    let invite = calling.ring().await;
    let video = calling.callee.sdp().replace("m=audio", "m=video");
    calling.callee.answer(&invite, 200, &video).await;
    let bye = calling.callee.next("BYE ").await;
    calling.callee.answer(&bye, 200, "").await;
    calling.caller.next("SIP/2.0 488").await;
    let free = (CREDIT, 0);
    until("nothing is billed", async || calling.wallet().await == free).await;
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_withholds_its_number_is_shown_to_nobody_but_carriers() {
    let calling = Calling::start().await;
    let (sdp, from) = (calling.caller.sdp(), "+12125550000@h");
    let to = ("+14155550100@h", "");
    let invite = calling.request_of(("INVITE", 1), from, to, "Privacy: id;critical\r\n", &sdp);
    calling.caller.send(calling.at, &invite).await;
    let (invite, _) = calling.callee.next("INVITE ").await;
    let line = |name: &str| invite.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    assert!(line("From: ").contains("anonymous.invalid"), "{invite}");
    assert!(line("P-Asserted-Identity: ").contains("+12125550000"), "{invite}");
    assert_eq!(line("Privacy: "), "Privacy: id");
    let rows = calling.world.store.log_of(calling.world.organization, 0, 100).await.unwrap();
    assert!(rows.iter().all(|row| !format!("{row:?}").contains("12125550000")), "{rows:?}");
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_calls_hears_that_it_still_rings_and_not_for_ever() {
    let calling = Calling::with(|setup| {
        setup.limits.remind = Duration::from_millis(100);
        setup.limits.ring_all = Duration::from_millis(500);
    })
    .await;
    let invite = calling.ring().await;
    calling.caller.next("SIP/2.0 180").await;
    calling.caller.next("SIP/2.0 180").await;
    let cancel = calling.callee.next("CANCEL ").await;
    calling.callee.answer(&cancel, 200, "").await;
    calling.callee.answer(&invite, 487, "").await;
    calling.caller.next("SIP/2.0 480").await;
    calling.end().await;
}

fn packet(voice: u8, number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, voice]);
    packet.extend_from_slice(&[voice; 160]);
    packet
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stranger_keeps_the_sound_of_a_callee_behind_nat() {
    let calling = Calling::start().await;
    let Calling { caller, callee, .. } = &calling;
    let ear = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (voice, stranger) =
        tokio::join!(UdpSocket::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.2:0"));
    let (voice, stranger) = (voice.unwrap(), stranger.unwrap());
    let port = ear.local_addr().unwrap().port();
    let sdp = caller.sdp().replace("m=audio 4000", &format!("m=audio {port}"));
    caller.send(calling.at, &calling.request("INVITE", "", &sdp)).await;
    let invite = callee.next("INVITE ").await;
    let line = invite.0.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
    let to: u16 = line.split(' ').next().unwrap().parse().unwrap();
    let private = callee.sdp().replace("127.0.0.1", "10.0.0.7");
    callee.answer(&invite, 200, &private).await;
    caller.next("SIP/2.0 200").await;
    let mut number = 0;
    let mut heard = [0; 200];
    for (who, tone) in [(&stranger, 0x11), (&voice, 0x22)] {
        let speaks = async {
            loop {
                number += 1;
                who.send_to(&packet(tone, number), ("127.0.0.1", to)).await.unwrap();
                let next = timeout(Duration::from_millis(20), ear.recv(&mut heard)).await;
                if matches!(next, Ok(Ok(172))) && heard[100] == tone {
                    break;
                }
            }
        };
        timeout(PATIENCE, speaks).await.unwrap();
    }
    calling.end().await;
}
