//! What kills whoever touches it: set aside, visible, while all else flows on.

use std::collections::HashSet;

use actors::smpp::job::Job;
use actors::smpp::translate::{self, Dialect};
use model::carrier::{CarrierId, OrgId};
use model::message::{Category, Status};
use model::refusal::{Code, MessageError};
use proto_smpp::split::{Concat, SplitError};
use proto_smpp::{Address, CommandId, CommandStatus, Message, MessageView};
use store::lane::Inbound;
use store::testing::Outsider;
use store::{QuarantineRow, TransferKind};
use tokio::task::JoinSet;

use super::peer::Peer;
use super::world::{World, profile, until};

fn write(job: &Job, concat: Concat) -> Result<Vec<Message>, SplitError> {
    assert_ne!(job.body, "poison", "panics, as told");
    if job.body == "unwritable" { Ok(Vec::new()) } else { translate::messages(job, concat) }
}

fn inbound(carrier: CarrierId, owner: Option<OrgId>, view: &MessageView<'_>) -> Inbound {
    assert_ne!(view.short_message, b"poison", "panics, as told");
    translate::inbound(carrier, owner, view)
}

async fn quarantine(world: &World) -> Vec<QuarantineRow> {
    world.store.quarantined(i64::MAX, 100).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_kills_its_bind_twice_is_set_aside() {
    let peer = Peer::new();
    let mut profile = profile("one", &peer);
    profile.dialect = Dialect { write, ..Dialect::STANDARD };
    let world = World::of(profile).await;
    let mut keys = world.send_many(Category::Transactional, 10).await;
    let poison = world.send("poison").await;
    keys.extend(world.send_many(Category::Transactional, 10).await);
    world.all(&[poison], Status::Failed).await;
    world.all(&keys, Status::Sent).await;
    let error = world.row(poison).await.error_code;
    assert_eq!(error.as_deref(), Some(MessageError::Quarantined.as_str()));
    let rows = quarantine(&world).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].message_key, Some(poison.0));
    assert_eq!(rows[0].reason, "message_kills_its_bind");
    assert_eq!(peer.times("poison"), 0);
    let transfers = world.store.transfers_of(poison).await.unwrap();
    let kinds: Vec<_> = transfers.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, [TransferKind::Hold, TransferKind::Release]);
    world.assert_charged_once(&keys).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_written_is_set_aside_and_kills_nobody() {
    let peer = Peer::new();
    let mut profile = profile("one", &peer);
    profile.dialect = Dialect { write, ..Dialect::STANDARD };
    let world = World::of(profile).await;
    let key = world.send("unwritable").await;
    world.all(&[key], Status::Failed).await;
    let error = world.row(key).await.error_code;
    assert_eq!(error.as_deref(), Some(MessageError::Quarantined.as_str()));
    let rows = quarantine(&world).await;
    assert_eq!(rows[0].reason, "message_cannot_be_written");
    assert_eq!(peer.opened(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pdu_that_kills_its_reader_twice_is_set_aside_and_acknowledged() {
    let peer = Peer::new();
    let mut profile = profile("one", &peer);
    profile.dialect = Dialect { inbound, ..Dialect::STANDARD };
    let world = World::of(profile).await;
    let from_handset = |text: &[u8]| {
        let (source, destination) =
            (Address::new(1, 1, "14155550123"), Address::new(3, 0, "12345"));
        let mut message = Message::new(CommandId::DELIVER_SM, source, destination);
        message.short_message = text.to_vec();
        message
    };
    peer.insist(from_handset(b"poison"));
    let taken = |number| {
        let acknowledged = peer.acknowledged();
        acknowledged.contains(&(number, CommandStatus::OK))
    };
    until("the poison is acknowledged", async || taken(0)).await;
    assert_eq!(peer.opened(), 3, "two deaths");
    let rows = quarantine(&world).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].reason, "pdu_kills_its_reader");
    peer.insist(from_handset(b"good"));
    until("the next is acknowledged", async || taken(1)).await;
    let key = world.send("hello").await;
    world.all(&[key], Status::Sent).await;
    assert_eq!(peer.opened(), 3, "the connection goes on");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_from_an_address_longer_than_any_does_not_come_to_the_writer() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let long = "17".repeat(1_500);
    for (source, destination) in [(long.as_str(), "12345"), ("14155550123", long.as_str())] {
        let (source, destination) = (Address::new(1, 1, source), Address::new(3, 0, destination));
        let mut message = Message::new(CommandId::DELIVER_SM, source, destination);
        message.esm_class = 0x40;
        message.short_message = b"\x05\0\x03\x07\x02\x01hi".to_vec();
        peer.insist(message);
    }
    until("both are acknowledged", async || {
        let taken = peer.acknowledged();
        [0, 1].iter().all(|number| taken.contains(&(*number, CommandStatus::OK)))
    })
    .await;
    // The carrier may have sent one again before it was acknowledged.
    let rows = quarantine(&world).await;
    let items: HashSet<&str> = rows.iter().map(|row| row.item.as_str()).collect();
    assert_eq!(items.len(), 2);
    for row in &rows {
        assert_eq!(row.reason, "inbound_address_too_long");
        assert!(row.item.contains("\"user_data\":\"0500030702016869\""), "{}", row.item);
        assert!(row.item.contains(&"3137".repeat(1_500)));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_batch_that_fails_only_the_item_at_fault_is_set_aside() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let mut outsider = Outsider::connect(&world.url).await.unwrap();
    let no_poison = "create trigger no_poison before insert on messages when new.body = 'poison'
         begin select raise(abort, 'poisoned'); end";
    outsider.run(no_poison).await.unwrap();
    // While the database is locked a batch gathers behind the one under way.
    outsider.run("begin immediate").await.unwrap();
    let mut asked = JoinSet::new();
    for n in 0..40 {
        let body = if n == 23 { String::from("poison") } else { format!("text {n}") };
        let message = world.message(0, Category::Transactional, &body);
        let (writer, submission) = (world.writer.clone(), world.submission(vec![message]));
        asked.spawn(async move { (n, writer.submit(submission).await) });
    }
    until("all wait", async || world.writer.permits_in_use() == 40).await;
    outsider.run("rollback").await.unwrap();
    while let Some(answer) = asked.join_next().await {
        match answer.unwrap() {
            (23, answer) => assert_eq!(answer.unwrap_err().code, Code::InternalError),
            (_, answer) => assert!(answer.is_ok(), "{answer:?}"),
        }
    }
    until("the others are sent", async || peer.heard().len() == 39).await;
    let rows = quarantine(&world).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].reason, "store_accept");
    assert!(!rows[0].item.contains("text"), "no message's text: {}", rows[0].item);
    world.end().await;
}
