//! What comes to ESMEs beside receipts at the end: what happens on the way, inbound messages of
//! test accounts; and that their comings and goings are told.

use std::time::Duration;

use actors::smpp::server::esme::{Bound, EsmeMsg};
use model::clock::At;
use model::event::EventKind;
use proto_smpp::pdu::message::ESM_INTERMEDIATE;
use proto_smpp::{BindKind, CommandStatus, Input};
use ractor::ActorRef;
use store::LogFilter;
use store::lane::{Admin, AdminDone, Inbound, SmppChange, SmppSettings, Work};
use tokio::io::AsyncReadExt as _;

use super::esmes::{Client, Server, message, now, text_of};
use super::peer::{Act, Peer};
use super::world::{PATIENCE, World, profile, until};
use crate::esmes::EsmesMsg;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_on_the_way_is_told_where_the_account_and_the_submit_ask() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::AckThenReceipt);
    let world = World::of(profile("one", &peer)).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |settings| settings.intermediate_receipts = true).await;
    let mut client = Client::bound(&server, BindKind::Transceiver, "acme").await;
    let mut asked = message("asked");
    asked.registered_delivery = 0x11;
    client.step(Input::Submit { message: &asked, tag: 1 }).await;
    client.answered().await;
    let first = client.brought().await;
    assert_eq!(first.esm_class, ESM_INTERMEDIATE);
    assert!(text_of(&first).contains("stat:ENROUTE"), "{}", text_of(&first));
    let last = client.brought().await;
    assert_eq!(last.esm_class, 0x04);
    assert!(text_of(&last).contains("stat:DELIVRD"));
    client.submit("plain", 2).await;
    client.answered().await;
    let only = client.brought().await;
    assert!(text_of(&only).contains("stat:DELIVRD") && text_of(&only).contains("text:plain"));
    server.end().await;
    world.end().await;
}

/// The comings and goings in the log, oldest first: the kind and the data of each.
async fn log(world: &World) -> Vec<(i64, String)> {
    let filter = LogFilter::new(&[EventKind::BindUp, EventKind::BindDown]);
    let rows = world.store.log_page(world.organization, &filter, i64::MAX, 1_000).await.unwrap();
    let rows = rows.into_iter().rev();
    rows.map(|row| (row.kind, row.detail.unwrap_or_default())).collect()
}

fn inbound(world: &World, to: &str, n: u8) -> Inbound {
    Inbound {
        carrier: world.carrier(0),
        carrier_organization: Some(world.organization),
        from: String::from("+14155550123"),
        to: to.to_owned(),
        body: format!("for {to}"),
        encoding: model::message::Encoding::Gsm7,
        from_ton: 1,
        raw: Vec::new(),
        said: model::esme::Submitted::default(),
        fingerprint: [n; 32],
        session: 0,
        part: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_account_is_brought_no_live_messages() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "testing", |settings| settings.test = true).await;
    server.account(&world, "live", |_| {}).await;
    let testing = Client::bound(&server, BindKind::Receiver, "testing").await;
    let mut live = Client::bound(&server, BindKind::Receiver, "live").await;
    let inbound = vec![inbound(&world, "12345", 1)];
    world.writer.perform(Work { inbound, ..Work::default() }).await.unwrap();
    assert_eq!(text_of(&live.brought().await), "for 12345");
    // Its cursor passes the message without a delivery.
    let (account, other) = (server.find("testing"), server.find("live"));
    until("both are through", async || account.cursor() == other.cursor()).await;
    let mut buffer = [0; 16];
    let octets = testing.stream.peek(&mut buffer);
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(50), octets).await;
    assert!(nothing.is_err(), "nothing came");
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_beginning_and_the_end_of_a_bind_are_told() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    let told = async || log(&world).await;
    let client = Client::bound(&server, BindKind::Receiver, "acme").await;
    until("its beginning is told", async || told().await.len() == 1).await;
    let (kind, detail) = told().await.remove(0);
    assert_eq!(kind, EventKind::BindUp.code());
    for said in ["\"system_id\":\"acme\"", "\"bind_type\":\"receiver\"", "\"127.0.0.1\""] {
        assert!(detail.contains(said), "{said} in {detail}");
    }
    drop(client);
    until("its end is told", async || told().await.len() == 2).await;
    let (kind, detail) = told().await.remove(1);
    assert_eq!(kind, EventKind::BindDown.code());
    assert!(detail.contains("\"reason\":\"") && !detail.contains("failed"), "{detail}");
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_comes_and_goes_does_not_fill_the_log() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    for _ in 0..40 {
        let client = Client::bound(&server, BindKind::Transmitter, "acme").await;
        drop(client);
        until("it is gone", async || server.find("acme").binds() == 0).await;
    }
    let told = log(&world).await;
    let ups = told.iter().filter(|(kind, _)| *kind == EventKind::BindUp.code()).count();
    // Thirty in a minute; a slow machine may take two of them.
    assert!((30..=60).contains(&ups) && (ups < 40 || told.len() == 80), "{ups}");
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bind_whose_account_was_changed_as_it_was_let_in_is_asked_to_come_again() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transmitter, "acme").await;
    // The supervisor hears of the bind only when the account is another by now.
    let before = server.find("acme");
    rename(&world, &server, "changed").await;
    let children = server.esmes.get_cell().get_children();
    let esme =
        children.into_iter().find(|child| child.is_message_type_of::<EsmeMsg>() == Some(true));
    let esme = ActorRef::from(esme.unwrap());
    let bound = Bound { account: before, esme, receives: None };
    server.esmes.send_message(EsmesMsg::Bound(bound)).unwrap();
    // It is told goodbye, answers, and is closed.
    let mut buffer = [0; 64];
    let read = tokio::time::timeout(PATIENCE, client.stream.read(&mut buffer));
    let count = read.await.expect("a goodbye").unwrap();
    assert_eq!((count, buffer[7]), (16, 6), "unbind");
    client.step(Input::Bytes(&buffer[..count])).await;
    until("it is gone", async || server.find("acme").binds() == 0).await;
    let _again = Client::bound(&server, BindKind::Transmitter, "acme").await;
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bind_that_leaves_attracts_nothing_and_the_account_is_brought_things_as_it_is_now() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::AckThenReceipt);
    let world = World::of(profile("one", &peer)).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    let mut slow = Client::bound(&server, BindKind::Transceiver, "acme").await;
    slow.submit("before", 1).await;
    let (_, _, id) = slow.answered().await;
    assert!(text_of(&slow.brought().await).starts_with(&format!("id:{id} ")));
    change(&world, &server, |settings| {
        (settings.id_format, settings.intermediate_receipts) = (2, true);
    })
    .await;
    let system_id = String::from("acme");
    server.esmes.send_message(EsmesMsg::Changed { system_id }).unwrap();
    // It is told goodbye, and does not hurry.
    let mut buffer = [0; 16];
    let read = tokio::time::timeout(PATIENCE, slow.stream.read_exact(&mut buffer));
    read.await.expect("a goodbye").unwrap();
    let mut client = Client::bound(&server, BindKind::Transceiver, "acme").await;
    let mut asked = message("after");
    asked.registered_delivery = 0x11;
    client.step(Input::Submit { message: &asked, tag: 2 }).await;
    let (_, _, id) = client.answered().await;
    assert!(i64::from_str_radix(&id, 16).unwrap() > 9, "more than one digit: {id}");
    // Both within the patience of one bind that does not go; their order is not kept.
    let soon = Duration::from_secs(10);
    let both = async { [text_of(&client.brought().await), text_of(&client.brought().await)] };
    let both = tokio::time::timeout(soon, both).await.expect("at once");
    for state in ["stat:ENROUTE", "stat:DELIVRD"] {
        let of_state = both.iter().filter(|said| said.contains(state));
        let right = of_state.filter(|said| said.starts_with(&format!("id:{id} ")));
        assert_eq!(right.count(), 1, "{state}: {both:?}");
    }
    drop(slow);
    server.end().await;
    world.end().await;
}

/// Changes an account's name in the store, and tells the server.
async fn rename(world: &World, server: &Server, name: &str) -> store::SmppAccountRow {
    change(world, server, |settings| name.clone_into(&mut settings.name)).await
}

/// Changes an account in the store, and tells the server.
pub(super) async fn change(
    world: &World,
    server: &Server,
    how: impl FnOnce(&mut SmppSettings),
) -> store::SmppAccountRow {
    let row = world.store.smpp_account_named("acme").await.unwrap().unwrap();
    let mut settings = SmppSettings {
        name: row.name,
        allowed_ips: row.allowed_ips,
        bind_types: row.bind_types,
        max_binds: row.max_binds,
        window_size: row.window_size,
        category: row.category,
        allowed_senders: row.allowed_senders,
        receipt_format: row.receipt_format,
        id_format: row.id_format,
        inbound_numbers: row.inbound_numbers,
        ..SmppSettings::default()
    };
    how(&mut settings);
    let change = SmppChange::Update {
        id: server.find("acme").public_id,
        organization: world.organization,
        seen: At(row.updated_at),
        settings,
    };
    let done = world.writer.administer(Admin::Smpp(Box::new(change))).await.unwrap();
    assert_eq!(done, AdminDone::Smpp(true));
    let row = world.store.smpp_account_named("acme").await.unwrap().unwrap();
    server.accounts.put(&row);
    row
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_read_before_a_change_or_its_deletion_does_not_come_back() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    let before = world.store.smpp_account_named("acme").await.unwrap().unwrap();
    let after = rename(&world, &server, "changed").await;
    let current = server.find("acme");
    server.accounts.put(&before);
    assert!(std::sync::Arc::ptr_eq(&current, &server.find("acme")), "the older one came late");
    server.accounts.remove(after.id);
    server.accounts.put(&after);
    assert!(server.accounts.find("acme").is_none(), "it was deleted");
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_without_a_pace_share_that_of_their_organization() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "one", |_| {}).await;
    server.account(&world, "two", |_| {}).await;
    server.account(&world, "own", |settings| settings.tps = 100).await;
    let pace = SmppChange::SetPace { organization: world.organization, tps: 3 };
    world.writer.administer(Admin::Smpp(Box::new(pace))).await.unwrap();
    let at = now();
    assert_eq!(server.find("one").pace(at, 10), 10, "nobody has told the server");
    server.accounts.set_common_pace(world.organization, 3);
    let later = at + std::time::Duration::from_secs(5);
    assert_eq!(server.find("one").pace(later, 2), 2);
    assert_eq!(server.find("two").pace(later, 2), 1, "one is left of three");
    assert_eq!(server.find("own").pace(later, 10), 10);
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_bound_since_a_change_is_not_sent_away_by_the_news_of_it() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::AckThenReceipt);
    let world = World::of(profile("one", &peer)).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transceiver, "acme").await;
    let system_id = String::from("acme");
    server.esmes.send_message(EsmesMsg::Changed { system_id }).unwrap();
    client.submit("still here", 1).await;
    assert_eq!(client.answered().await.1, CommandStatus::OK);
    assert!(text_of(&client.brought().await).contains("text:still here"));
    assert_eq!(server.find("acme").binds(), 1);
    server.end().await;
    world.end().await;
}
