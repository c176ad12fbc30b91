//! Webhook endpoints in the tree: started, told of changes, brought back, and not missing a thing.

use actors::customer::webhook::endpoint::WebhookEndpointMsg;
use actors::customer::webhook::sign;
use model::clock::At;
use model::id::PublicId;
use model::message::{Category, Status};
use store::lane::{Admin, AdminDone, WebhookChange, WebhookDone, WebhookFields};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::peer::Peer;
use super::world::{PATIENCE, World, profile, until};
use crate::customers::CustomersMsg;

/// Answers every request with 200; says which events it heard of.
async fn receiver() -> (String, watch::Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (heard, receiver) = watch::channel(Vec::new());
    let heard = std::sync::Arc::new(heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(hear(stream, heard.clone()));
        }
    });
    (url, receiver)
}

async fn hear(mut stream: TcpStream, heard: std::sync::Arc<watch::Sender<Vec<String>>>) {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = |line: &str| line.strip_prefix("content-length: ")?.parse().ok();
        let length: usize = head.lines().find_map(length).unwrap();
        if body.len() < length {
            continue;
        }
        let event = |line: &str| line.strip_prefix("x-devotel-event-id: ").map(str::to_owned);
        heard.send_modify(|all| all.extend(head.lines().find_map(event)));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        bytes.clear();
    }
}

async fn create(world: &World, url: &str) -> i64 {
    let create = WebhookChange::Create {
        organization: world.organization,
        id: PublicId::new(At::now()),
        fields: WebhookFields {
            url: url.to_owned(),
            events: String::from("[\"message.*\"]"),
            description: None,
        },
        secret: sign::secret([1; 32]),
        most: 50,
    };
    match world.writer.administer(Admin::Webhook(Box::new(create))).await.unwrap() {
        AdminDone::Webhook(WebhookDone::Made(number)) => number,
        other => panic!("{other:?}"),
    }
}

async fn hears_of(heard: &mut watch::Receiver<Vec<String>>, events: usize) {
    let distinct =
        |all: &Vec<String>| all.iter().collect::<std::collections::HashSet<_>>().len() >= events;
    let hearing = tokio::time::timeout(PATIENCE, heard.wait_for(distinct)).await;
    assert!(hearing.is_ok(), "{events} events were not heard of");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_dies_comes_back_and_misses_nothing() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let (url, mut heard) = receiver().await;
    until("customers run", async || world.find::<CustomersMsg>().is_some()).await;
    let webhook = create(&world, &url).await;
    world.customers.refresh(webhook);
    let keys = world.send_many(Category::Transactional, 5).await;
    world.all(&keys, Status::Sent).await;
    hears_of(&mut heard, 10).await;
    let endpoint = world.find::<WebhookEndpointMsg>().unwrap();
    endpoint.kill_and_wait(Some(PATIENCE)).await.unwrap();
    let keys = world.send_many(Category::Transactional, 5).await;
    world.all(&keys, Status::Sent).await;
    hears_of(&mut heard, 20).await;
    // The supervisor's next life finds by itself what is to run.
    let customers = world.find::<CustomersMsg>().unwrap();
    customers.kill_and_wait(Some(PATIENCE)).await.unwrap();
    let keys = world.send_many(Category::Transactional, 5).await;
    world.all(&keys, Status::Sent).await;
    hears_of(&mut heard, 30).await;
    let delete = WebhookChange::Delete { organization: world.organization, webhook };
    world.writer.administer(Admin::Webhook(Box::new(delete))).await.unwrap();
    world.customers.refresh(webhook);
    until("it is gone", async || world.find::<WebhookEndpointMsg>().is_none()).await;
    world.end().await;
}
