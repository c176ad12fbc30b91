//! Trunks that are asked whether they are there, that we register with, and whose names nobody finds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::sip::minder::Ways;
use actors::sip::trunks::{Health, Password, Registered, Running, Trunk};
use actors::smpp::tls::{Tls, Trust};
use model::event::EventKind;
use model::trunk::Target;
use model::voice::{EndReason, HangupBy};
use proto_sip::registration::Settings;
use ractor::{Actor, ActorRef, RpcReplyPort};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::calling::{Calling, End, PATIENCE, credential, reply, trunk};
use super::tls;
use super::world::{QUICK, until};
use crate::trunks::{TrunksArgs, TrunksMsg, TrunksSupervisor};

const PING: Duration = Duration::from_millis(150);

async fn minds(calling: &Calling) -> ActorRef<TrunksMsg> {
    let (wires, shards) = (calling.handle.clone(), calling.handle.clone());
    let ways = Ways {
        wire: Box::new(move || wires.wire()),
        shard: Box::new(move |call_id| shards.shard(call_id)),
        own: calling.own.clone(),
        names: calling.context.names.clone(),
        trunks: calling.context.front.trunks.clone(),
        tls: None,
        writer: calling.world.writer.clone(),
        registration: Settings {
            expires_s: 600,
            retry_min: PING,
            retry_max: PING * 4,
            agent: String::from("Orbit"),
        },
        tell: PING,
    };
    let args = TrunksArgs { ways: Arc::new(ways), policy: QUICK };
    Actor::spawn(None, TrunksSupervisor, args).await.unwrap().0
}

fn to(peer: &End) -> Option<Target> {
    Target::parse(&format!("sip:{}", peer.at()))
}

fn find(calling: &Calling, name: &str) -> Arc<Running> {
    let all = calling.context.front.trunks.all();
    all.into_iter().find(|running| &*running.trunk.name == name).unwrap()
}

async fn told(calling: &Calling) -> Vec<EventKind> {
    let rows = calling.world.store.log_of(calling.world.organization, 0, 100).await.unwrap();
    let kinds = rows.iter().filter_map(|row| EventKind::from_code(row.kind));
    kinds.filter(|kind| [EventKind::TrunkUp, EventKind::TrunkDown].contains(kind)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_at_all_is_up_and_who_does_not_is_down_and_tried_last() {
    let second = End::new().await;
    let calling = Calling::with(|setup| {
        setup.own_trunks = vec![Trunk {
            organization: Some(setup.organization),
            ..trunk("office", to(&second), &[])
        }];
        setup.trunks.clear();
    })
    .await;
    let trunks = minds(&calling).await;
    let asked = Trunk { ping: Some(PING), ..find(&calling, "office").trunk.clone() };
    let owner = asked.organization;
    let list = &calling.context.front.trunks;
    list.replace([(owner, vec![asked.clone()])]);
    let live = Arc::clone(&find(&calling, "office").live);
    let ping = second.next("OPTIONS ").await;
    assert!(ping.0.starts_with(&format!("OPTIONS sip:{} ", second.at())), "{}", ping.0);
    assert_eq!(live.health(), Health::Unknown);
    second.answer(&ping, 404, "").await;
    until("any answer will do", async || live.health() == Health::Up).await;
    until("three are missed", async || live.health() == Health::Down).await;
    assert_eq!(live.last_error(), "it did not answer in time");
    until("it is told", async || told(&calling).await == [EventKind::TrunkDown]).await;
    let answers = async || {
        let ping = second.next("OPTIONS ").await;
        second.answer(&ping, 200, "").await;
        live.health() == Health::Up
    };
    until("one answer is enough", answers).await;
    until("it is told", async || told(&calling).await.ends_with(&[EventKind::TrunkUp])).await;
    list.replace([(owner, vec![Trunk { ping: None, ..asked.clone() }])]);
    until("nobody asks", async || live.health() == Health::Unknown).await;
    list.replace([(owner, vec![Trunk { ping: Some(PING), enabled: false, ..asked }])]);
    until("nor one that is off", async || trunks.get_cell().get_children().is_empty()).await;
    trunks.stop(None);
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minder_that_dies_comes_back_and_asks() {
    let peer = End::new().await;
    let calling = Calling::with(|setup| {
        setup.trunks = vec![Trunk { ping: Some(PING), ..trunk("carrier", to(&peer), &[]) }];
    })
    .await;
    let trunks = minds(&calling).await;
    let live = Arc::clone(&find(&calling, "carrier").live);
    for _ in 0..2 {
        let answers = async || {
            let ping = peer.next("OPTIONS ").await;
            peer.answer(&ping, 405, "").await;
            live.health() == Health::Up
        };
        until("it is up", answers).await;
        let minder = trunks.get_cell().get_children().pop().unwrap();
        minder.kill();
        let another = async || {
            let now = trunks.get_cell().get_children();
            now.first().is_some_and(|now| now.get_id() != minder.get_id())
        };
        until("another one minds it", another).await;
    }
    assert!(told(&calling).await.is_empty(), "it is no organization's");
    trunks.stop(None);
    calling.end().await;
}

/// A registrar's answer to the next REGISTER that has credentials; those without are challenged.
async fn grants(registrar: &End, status: u16, more: &str) -> String {
    loop {
        let asked = registrar.next("REGISTER ").await;
        if asked.0.contains("Authorization: Digest ") {
            let answer = reply(&asked.0, registrar.at(), status, more, "");
            registrar.send(asked.1, &answer).await;
            return asked.0;
        }
        registrar.challenge(&asked, "127.0.0.1", "n1").await;
    }
}

fn contact_of(register: &str) -> String {
    let line = register.lines().find_map(|line| line.strip_prefix("Contact: <")).unwrap();
    line.split('>').next().unwrap().to_owned()
}

fn registering(calling: &Calling, registrar: &End) -> Trunk {
    Trunk {
        organization: Some(calling.world.organization),
        register: true,
        username: Some("office".into()),
        password: Some(Password("hunter2".into())),
        ..trunk("office", to(registrar), &[])
    }
}

async fn registers() -> (Calling, End, ActorRef<TrunksMsg>) {
    let registrar = End::new().await;
    let calling = Calling::with(|setup| {
        setup.trunks.clear();
        setup.credentials.put(&credential(setup.organization, 1, "alice"));
    })
    .await;
    let own = registering(&calling, &registrar);
    calling.context.front.trunks.replace([(own.organization, vec![own])]);
    let trunks = minds(&calling).await;
    (calling, registrar, trunks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_register_and_who_calls_our_contact_is_that_trunk() {
    let (calling, registrar, trunks) = registers().await;
    let asked = grants(&registrar, 200, "Expires: 2\r\n").await;
    assert!(asked.contains("username=\"office\"") && !asked.contains("hunter2"), "{asked}");
    assert!(asked.contains("To: <sip:office@127.0.0.1>"), "{asked}");
    let live = Arc::clone(&find(&calling, "office").live);
    until("it stands", async || live.standing().registered == Registered::Yes).await;
    assert!(live.standing().expires_at.is_some() && live.standing().error.is_none());
    // Renewed before two seconds are over, by the nonce of before.
    let again = grants(&registrar, 200, "Expires: 600\r\n").await;
    assert!(again.contains("nc=00000002") && contact_of(&again) == contact_of(&asked), "{again}");

    calling.caller.register(calling.at, "alice").await;
    let contact = contact_of(&asked);
    let invite = |from: SocketAddr, call: &str| {
        let sdp = calling.caller.sdp();
        format!(
            "INVITE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{call};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+15550001@h>;tag=1\r\nTo: <sip:100@h>\r\nCall-ID: {call}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:end@{from}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    };
    registrar.send(calling.at, &invite(registrar.at(), "one")).await;
    let rung = calling.caller.next("INVITE ").await;
    calling.caller.answer(&rung, 486, "").await;
    registrar.next("SIP/2.0 486").await;
    // The list changes in what does not concern it: it stays. Then it goes.
    let own = registering(&calling, &registrar);
    let same = Trunk { id: find(&calling, "office").trunk.id, max_channels: 7, ..own };
    calling.context.front.trunks.replace([(same.organization, vec![same.clone()])]);
    calling.context.front.trunks.replace([(same.organization, Vec::new())]);
    let last = grants(&registrar, 200, "").await;
    assert!(last.contains("Expires: 0\r\n") && last.contains(";expires=0"), "{last}");
    until("it is gone", async || trunks.get_cell().get_children().is_empty()).await;
    assert_eq!(live.standing().registered, Registered::Over);
    registrar.send(calling.at, &invite(registrar.at(), "two")).await;
    registrar.next("SIP/2.0 401").await;
    trunks.stop(None);
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registrar_that_refuses_is_asked_again_and_another_password_takes_effect_at_once() {
    let (calling, registrar, trunks) = registers().await;
    let live = Arc::clone(&find(&calling, "office").live);
    grants(&registrar, 503, "Retry-After: 1\r\n").await;
    until("it shows", async || live.standing().registered == Registered::Failed).await;
    let error = live.standing().error.unwrap();
    assert_eq!(error, "the registrar says 503 Service Unavailable");
    grants(&registrar, 200, "Expires: 600\r\n").await;
    until("it is asked again", async || live.standing().registered == Registered::Yes).await;

    let id = find(&calling, "office").trunk.id;
    let other = Trunk {
        id,
        password: Some(Password("changed".into())),
        ..registering(&calling, &registrar)
    };
    calling.context.front.trunks.replace([(other.organization, vec![other])]);
    let last = grants(&registrar, 200, "").await;
    assert!(last.contains("Expires: 0\r\n"), "the old one leaves first: {last}");
    let first = grants(&registrar, 200, "Expires: 600\r\n").await;
    assert!(first.contains("Expires: 600\r\n") && first.contains("nc=00000001"), "{first}");

    // The process ends: answered when nobody is registered any more.
    let ends = async {
        let reply = |reply: RpcReplyPort<()>| TrunksMsg::Drain { reply };
        trunks.call(reply, Some(Duration::from_secs(10))).await.unwrap()
    };
    let (ended, last) = tokio::join!(ends, grants(&registrar, 200, ""));
    assert!(ended.is_success() && last.contains("Expires: 0\r\n"), "{last}");
    until("nobody is left", async || trunks.get_cell().get_children().is_empty()).await;
    trunks.stop(None);
    calling.end().await;
}

/// A call to a carrier by a name whose resolver never answers; it has been asked.
async fn sought() -> Calling {
    let calling = Calling::with(|setup| {
        let target = Target::parse(&format!("sip:carrier.example:{}", setup.callee.port()));
        setup.trunks[0].target = target;
        setup.lookup = Arc::new(|_| Box::pin(std::future::pending()));
    })
    .await;
    let invite = calling.request("INVITE", "", &calling.caller.sdp());
    calling.caller.send(calling.at, &invite).await;
    calling.caller.next("SIP/2.0 100").await;
    until("money is held", async || calling.wallet().await.1 > 0).await;
    calling
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_carrier_has_a_name_that_nobody_finds_is_given_up_at_once() {
    let calling = sought().await;
    let cancel = calling.request("CANCEL", "", "").replace("z9hG4bKCANCEL1", "z9hG4bKINVITE1");
    calling.caller.send(calling.at, &cancel).await;
    let said = calling.caller.next("SIP/2.0 487");
    tokio::time::timeout(Duration::from_secs(2), said).await.expect("it waits for no resolver");
    until("it is paid back", async || calling.wallet().await.1 == 0).await;
    calling.end().await;

    let calling = sought().await;
    for actor in calling.calls.get_cell().get_children() {
        let (by, reason) = (HangupBy::System, EndReason::Normal);
        let call: ActorRef<actors::sip::call::CallMsg> = actor.into();
        call.send_message(actors::sip::call::CallMsg::HangUp { by, reason }).unwrap();
    }
    let said = calling.caller.next("SIP/2.0 4");
    tokio::time::timeout(Duration::from_secs(2), said).await.expect("nor who hangs up");
    until("it is paid back", async || calling.wallet().await.1 == 0).await;
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_asked_for_once_and_one_that_leads_nowhere_gives_way() {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let calling = Calling::with(|setup| {
        let port = setup.callee.port();
        let at = |name: &str| Target::parse(&format!("sip:{name}:{port}"));
        let first = Trunk { priority: 9, ..trunk("gone", at("gone.example"), &[]) };
        setup.trunks[0].target = at("carrier.example");
        setup.trunks.push(first);
        setup.lookup = Arc::new(move |name| {
            seen.lock().unwrap().push(name.clone());
            let found =
                if name == "carrier.example" { vec!["127.0.0.1".parse().unwrap()] } else { vec![] };
            Box::pin(std::future::ready(Ok(found)))
        });
    })
    .await;
    for number in 1..=2 {
        let to = ("+14155550100@h", "");
        let sdp = calling.caller.sdp();
        let invite = calling.request_of(("INVITE", number), "+12125550000@h", to, "", &sdp);
        calling.caller.send(calling.at, &invite).await;
        let invite = calling.callee.next("INVITE sip:+14155559999@carrier.example").await;
        calling.callee.answer(&invite, 486, "").await;
        calling.caller.next("SIP/2.0 486").await;
    }
    assert_eq!(*asked.lock().unwrap(), ["gone.example", "carrier.example"]);
    calling.end().await;
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut buffer = vec![0; 8_000];
    let length = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_over_tls_is_known_by_its_name_and_called_anew_when_its_connection_is_gone() {
    let carrier = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = carrier.local_addr().unwrap();
    let target = |name: &str| Target::parse(&format!("sip:{name}:{};transport=tls", at.port()));
    let calling = Calling::with(|setup| {
        setup.tls = Some(Tls::new(Trust::File(&tls::file("ca.pem"))).unwrap());
        setup.trunks[0].target = target("localhost");
        setup.lookup =
            Arc::new(|_| Box::pin(std::future::ready(Ok(vec!["127.0.0.1".parse().unwrap()]))));
    })
    .await;
    let Calling { caller, callee, .. } = &calling;
    caller.send(calling.at, &calling.request("INVITE", "", &caller.sdp())).await;
    let accept = async || {
        let (stream, _) = timeout(PATIENCE, carrier.accept()).await.unwrap().unwrap();
        tls::acceptor().accept(stream).await
    };
    let mut stream = accept().await.unwrap();
    let invite = read(&mut stream).await;
    assert!(invite.contains("SIP/2.0/TLS"), "{invite}");
    let ok = reply(&invite, at, 200, "", &callee.sdp()).replace(";transport=tcp", "");
    stream.write_all(ok.as_bytes()).await.unwrap();
    let tag = calling.acknowledges().await;
    assert!(read(&mut stream).await.starts_with("ACK "));

    // Another name at the same address: the connection that is there proves nothing of it.
    let list = &calling.context.front.trunks;
    let before: Vec<Trunk> = list.of(None).iter().map(|one| one.trunk.clone()).collect();
    let mut other = before.clone();
    other[0].target = target("other.example");
    list.replace([(None, other)]);
    let sdp = caller.sdp();
    let to = ("+14155550100@h", "");
    let second = calling.request_of(("INVITE", 2), "+12125550000@h", to, "", &sdp);
    caller.send(calling.at, &second).await;
    assert!(accept().await.is_err(), "the certificate is of another name");
    caller.next("SIP/2.0 480").await;
    list.replace([(None, before)]);

    drop(stream);
    until("the loss is known", async || calling.sip_connections() == 0).await;
    let to = ("+14155550100@h", tag.as_str());
    caller.send(calling.at, &calling.request_of(("BYE", 3), "+12125550000@h", to, "", "")).await;
    let mut stream = accept().await.unwrap();
    let bye = read(&mut stream).await;
    assert!(bye.starts_with("BYE "), "{bye}");
    stream.write_all(reply(&bye, at, 200, "", "").as_bytes()).await.unwrap();
    until("it is gone", async || calling.table.count() == 0).await;
    calling.end().await;
}
