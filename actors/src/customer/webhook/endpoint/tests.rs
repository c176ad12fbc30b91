//! Endpoints with a real store, a real writer, and a server on this machine.

use std::collections::HashMap;

use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;
use store::lane::{DeliveryState, ReplayEvent, Resume, WebhookDone, WebhookFields};
use store::{DeliveryRow, WebhookRow};

use super::*;
use crate::customer::feed::Feed;
use crate::customer::testing::{Act, Heard, PATIENCE, Server, World};
use crate::customer::webhook::guard::{Networks, system_lookup};
use crate::customer::webhook::sender::Sender;
use crate::customer::webhook::sign;

const SECRET: &str = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
const QUICK: Duration = Duration::from_millis(30);

fn plan(delays: &[Duration]) -> Plan {
    Plan { delays: delays.to_vec(), ..Plan::default() }
}

fn tools(world: &World, plan: Plan) -> Tools {
    let networks = Networks::parse(&["127.0.0.0/8"]).unwrap();
    let timeout = Duration::from_millis(400);
    Tools {
        store: world.store.clone(),
        writer: world.writer.clone(),
        feed: Feed::new(world.store.clone(), world.writer.wakes()),
        sender: Sender::new(networks, system_lookup(), timeout).unwrap(),
        plan: Arc::new(plan),
    }
}

async fn change(world: &World, change: WebhookChange) -> WebhookDone {
    match world.writer.administer(Admin::Webhook(Box::new(change))).await.unwrap() {
        AdminDone::Webhook(done) => done,
        other => panic!("{other:?}"),
    }
}

fn fields(url: &str, events: &str) -> WebhookFields {
    WebhookFields { url: url.to_owned(), events: events.to_owned(), description: None }
}

async fn create(world: &World, url: &str, events: &str) -> i64 {
    let create = WebhookChange::Create {
        organization: world.organization,
        id: PublicId::new(At::now()),
        fields: fields(url, events),
        secret: SECRET.to_owned(),
        most: 50,
    };
    match change(world, create).await {
        WebhookDone::Made(number) => number,
        other => panic!("{other:?}"),
    }
}

async fn start(tools: &Tools, webhook: i64) -> ActorRef<WebhookEndpointMsg> {
    let args = WebhookEndpointArgs { webhook, tools: tools.clone() };
    WebhookEndpoint::spawn(None, WebhookEndpoint, args).await.unwrap().0
}

async fn end(endpoint: ActorRef<WebhookEndpointMsg>) {
    endpoint.stop_and_wait(None, Some(PATIENCE)).await.unwrap();
}

async fn row(world: &World, webhook: i64) -> WebhookRow {
    world.store.webhook_by_number(webhook).await.unwrap().unwrap()
}

/// Waits for a fact of the store.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(found) => found,
        Err(_) => panic!("{what}: not in time"),
    }
}

/// Waits until so many deliveries are in this state.
async fn stored(
    world: &World,
    webhook: i64,
    state: DeliveryState,
    count: usize,
) -> Vec<DeliveryRow> {
    until("deliveries are stored", async || {
        let state = Some(state.code());
        let rows = world.store.deliveries(world.organization, webhook, state, i64::MAX, 1_000);
        Some(rows.await.unwrap()).filter(|rows| rows.len() >= count)
    })
    .await
}

fn kind(heard: &Heard) -> &str {
    heard.body["type"].as_str().unwrap_or_default()
}

fn message(heard: &Heard) -> &str {
    heard.body["data"]["message_id"].as_str().unwrap_or_default()
}

/// Of each message its events came in order, whatever was repeated.
fn assert_in_order(heard: &[Heard]) {
    let mut highest: HashMap<&str, i64> = HashMap::new();
    for request in heard {
        let sequence = request.body["sequence"].as_i64().unwrap();
        let known = highest.entry(message(request)).or_default();
        assert!(sequence >= *known, "{} went back from {known} to {sequence}", message(request));
        *known = (*known).max(sequence);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_posted_signed_and_stored_as_delivered() {
    let (world, server) = (World::new().await, Server::new().await);
    world.accepted(1, None).await;
    let webhook = create(&world, &server.url, "[\"message.*\"]").await;
    let endpoint = start(&tools(&world, Plan::default()), webhook).await;
    let keys = world.accepted(3, None).await;
    world.sent(&keys).await;
    let heard = server.until(|heard| heard.len() == 6).await;
    assert_in_order(&heard);
    assert_eq!(heard.iter().filter(|request| kind(request) == "message.sent").count(), 3);
    let request = &heard[0];
    let header = |name: &str| request.headers[name].as_str();
    assert_eq!(header("content-type"), "application/json; charset=utf-8");
    assert_eq!(header("user-agent"), "Devotel-Webhooks/1.0");
    assert_eq!(header("x-devotel-event-id"), request.body["id"].as_str().unwrap());
    assert_eq!(header("webhook-id"), header("x-devotel-event-id"));
    assert_eq!(header("x-devotel-event-type"), kind(request));
    assert_eq!(header("x-devotel-attempt"), "1");
    let at: i64 = header("webhook-timestamp").parse().unwrap();
    let signature = sign::devotel(&[SECRET], at, request.text.as_bytes());
    assert_eq!(header("x-devotel-signature"), signature);
    let standard = sign::standard(&[SECRET], header("webhook-id"), at, request.text.as_bytes());
    assert_eq!(header("webhook-signature"), standard);
    let rows = stored(&world, webhook, DeliveryState::Delivered, 6).await;
    let lines = (rows.last().unwrap().seq, rows[0].seq);
    let attempts = world.store.delivery_attempts(world.organization, webhook, lines, 99).await;
    let attempts = attempts.unwrap();
    assert_eq!(attempts.len(), 6);
    assert_eq!((attempts[0].status, attempts[0].response_body.as_deref()), (Some(200), Some("ok")));
    assert!(attempts[0].request_headers.contains("x-devotel-signature"));
    let newest = world.store.newest_of(world.organization).await.unwrap();
    until("the cursor is at the end", async || {
        (row(&world, webhook).await.cursor >= newest).then_some(())
    })
    .await;
    end(endpoint).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_asked_for_is_sent_and_a_test_goes_to_its_endpoint_alone() {
    let (world, server) = (World::new().await, Server::new().await);
    let webhook = create(&world, &server.url, "[\"message.sent\"]").await;
    let tools = tools(&world, Plan::default());
    let endpoint = start(&tools, webhook).await;
    for number in [webhook, webhook + 1] {
        let id = row(&world, webhook).await.public_id;
        let id = PublicId::from_bytes(id.try_into().unwrap()).show(model::id::Kind::Webhook);
        let id = if number == webhook { id } else { id.replace("wh_", "wh_0") };
        let tell = WebhookChange::Tell {
            organization: world.organization,
            kind: EventKind::WebhookTest,
            detail: format!("{{\"webhook_id\":\"{id}\"}}"),
        };
        change(&world, tell).await;
    }
    let keys = world.accepted(1, None).await;
    world.sent(&keys).await;
    let heard = server.until(|heard| heard.len() == 2).await;
    let mut kinds: Vec<_> = heard.iter().map(kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["message.sent", "webhook.test"]);
    end(endpoint).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_is_tried_again_in_order_and_others_go_on_meanwhile() {
    let (world, server) = (World::new().await, Server::new().await);
    let webhook = create(&world, &server.url, "[\"*\"]").await;
    let trouble = [
        Act::Answer(500, ""),
        Act::Answer(302, "Location: http://127.0.0.1:1/elsewhere\r\n"),
        Act::Hang,
        Act::Reset,
        Act::Answer(429, "Retry-After: 0\r\n"),
    ];
    let poor = std::sync::Arc::new(std::sync::Mutex::new((String::new(), trouble.to_vec())));
    let seen = poor.clone();
    server.does(move |heard| {
        let (victim, trouble) = &mut *seen.lock().unwrap();
        if victim.is_empty() {
            *victim = message(heard).to_owned();
        }
        if message(heard) == victim && !trouble.is_empty() {
            return trouble.remove(0);
        }
        Act::Answer(204, "")
    });
    let plan = Plan { probe_after: 100, ..plan(&[QUICK; 6]) };
    let endpoint = start(&tools(&world, plan), webhook).await;
    let keys = world.accepted(5, None).await;
    world.sent(&keys).await;
    stored(&world, webhook, DeliveryState::Delivered, 10).await;
    let heard = server.heard();
    assert_in_order(&heard);
    let victim = poor.lock().unwrap().0.clone();
    let own: Vec<_> = heard.iter().filter(|request| message(request) == victim).collect();
    let attempts: Vec<_> = own.iter().map(|r| r.headers["x-devotel-attempt"].as_str()).collect();
    assert_eq!(attempts, ["1", "2", "3", "4", "5", "6", "1"]);
    let ids: std::collections::HashSet<_> =
        own[..6].iter().map(|request| &request.headers["x-devotel-delivery-id"]).collect();
    assert_eq!(ids.len(), 1, "one delivery, however often it is tried");
    assert_eq!(row(&world, webhook).await.failing_since, None);
    end(endpoint).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_endpoint_holds_nobody_else_up() {
    let (world, slow, well) = (World::new().await, Server::new().await, Server::new().await);
    slow.does(|_| Act::Hang);
    let tools = tools(&world, Plan::default());
    let hanging = start(&tools, create(&world, &slow.url, "[\"*\"]").await).await;
    let webhook = create(&world, &well.url, "[\"*\"]").await;
    let healthy = start(&tools, webhook).await;
    world.accepted(100, None).await;
    well.until(|heard| heard.len() == 100).await;
    stored(&world, webhook, DeliveryState::Delivered, 100).await;
    assert!(slow.heard().len() <= 30, "{} requests to an endpoint that hangs", slow.heard().len());
    end(hanging).await;
    end(healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_all_attempts_an_event_is_a_dead_letter_and_can_be_sent_again() {
    let (world, server) = (World::new().await, Server::new().await);
    server.does(|_| Act::Answer(500, ""));
    let webhook = create(&world, &server.url, "[\"message.created\"]").await;
    let endpoint = start(&tools(&world, plan(&[QUICK; 2])), webhook).await;
    world.accepted(1, None).await;
    let dead = stored(&world, webhook, DeliveryState::Dead, 1).await.remove(0);
    assert_eq!((dead.attempts, dead.reason.as_deref()), (3, Some("attempts")));
    let letters = world.store.dead_letters(world.organization, i64::MAX, 9).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(server.heard().len(), 3);
    assert!(row(&world, webhook).await.failing_since.is_some());
    server.does(|_| Act::Answer(200, ""));
    let id = PublicId::from_bytes(dead.public_id.clone().try_into().unwrap());
    let event = ReplayEvent { id, seq: dead.seq, message_key: dead.message_key, kind: dead.kind };
    let replay = WebhookChange::Replay {
        organization: world.organization,
        webhook,
        events: vec![event],
        expires_at: At::now().plus(Duration::from_secs(3_600)),
    };
    change(&world, replay).await;
    endpoint.send_message(WebhookEndpointMsg::Refresh).unwrap();
    let heard = server.until(|heard| heard.len() == 4).await;
    assert_eq!(heard[3].text, heard[0].text, "the same event, to the octet");
    stored(&world, webhook, DeliveryState::Delivered, 1).await;
    end(endpoint).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_says_gone_is_disabled_told_of_and_can_be_started_again() {
    let (world, server, other) = (World::new().await, Server::new().await, Server::new().await);
    server.does(|_| Act::Answer(410, ""));
    let tools = tools(&world, plan(&[QUICK; 6]));
    let watching = create(&world, &other.url, "[\"webhook.disabled\"]").await;
    let watching = start(&tools, watching).await;
    let webhook = create(&world, &server.url, "[\"message.*\"]").await;
    let endpoint = start(&tools, webhook).await;
    world.accepted(1, None).await;
    let told = other.until(|heard| heard.len() == 1).await;
    assert_eq!(told[0].body["data"]["reason"], "gone");
    assert_eq!(told[0].body["data"]["url"], server.url.as_str());
    let disabled = row(&world, webhook).await;
    assert_eq!(disabled.disabled_reason.as_deref(), Some("gone"));
    world.accepted(2, None).await;
    server.does(|_| Act::Answer(200, ""));
    assert_eq!(server.heard().len(), 1, "nothing more goes there");
    let update = WebhookChange::Update {
        organization: world.organization,
        webhook,
        fields: fields(&server.url, "[\"message.*\"]"),
        resume: Resume::From(0),
    };
    change(&world, update).await;
    endpoint.send_message(WebhookEndpointMsg::Refresh).unwrap();
    server.until(|heard| heard.len() == 4).await;
    stored(&world, webhook, DeliveryState::Delivered, 3).await;
    end(endpoint).await;
    end(watching).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_actor_and_the_writer_die_in_the_middle() {
    let (mut world, server) = (World::new().await, Server::new().await);
    let webhook = create(&world, &server.url, "[\"*\"]").await;
    let count = std::sync::atomic::AtomicUsize::new(0);
    server.does(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 7 {
        3 => Act::Answer(503, ""),
        5 => Act::Reset,
        _ => Act::Answer(200, ""),
    });
    let plan = Plan { probe_after: 100, ..plan(&[QUICK; 20]) };
    let tools = tools(&world, plan);
    let mut keys = Vec::new();
    for round in 1..=4 {
        let endpoint = start(&tools, webhook).await;
        let fresh = world.accepted(40, None).await;
        world.sent(&fresh[..20]).await;
        keys.extend(fresh);
        server.until(|heard| heard.len() >= 20 * round).await;
        endpoint.kill_and_wait(Some(PATIENCE)).await.unwrap();
        world.another_writer().await;
    }
    let endpoint = start(&tools, webhook).await;
    stored(&world, webhook, DeliveryState::Delivered, 240).await;
    let heard = server.heard();
    let ids: std::collections::HashSet<_> =
        heard.iter().map(|request| request.body["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 240);
    assert_eq!(keys.len(), 160);
    end(endpoint).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_messages_own_url_is_called_by_the_organizations_callbacks() {
    let (world, server) = (World::new().await, Server::new().await);
    let callbacks = WebhookChange::Callbacks {
        organization: world.organization,
        id: PublicId::new(At::now()),
        secret: SECRET.to_owned(),
    };
    let WebhookDone::Made(webhook) = change(&world, callbacks.clone()).await else { panic!() };
    assert_eq!(change(&world, callbacks).await, WebhookDone::Made(webhook), "made once");
    let endpoint = start(&tools(&world, plan(&[QUICK; 2])), webhook).await;
    world.accepted(2, None).await;
    let url = server.url.replace("/hook", "/mine?x=1");
    let keys = world.accepted(1, Some(&url)).await;
    world.sent(&keys).await;
    let heard = server.until(|heard| heard.len() == 2).await;
    assert_eq!(heard.iter().map(kind).collect::<Vec<_>>(), ["message.created", "message.sent"]);
    assert_eq!(heard[0].path, "/mine?x=1");
    let forbidden = world.accepted(1, Some("http://10.0.0.1/")).await;
    let dead = stored(&world, webhook, DeliveryState::Dead, 1).await;
    assert_eq!(dead[0].message_key, forbidden[0].0);
    end(endpoint).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_endpoint_ends_and_leaves_nothing_waiting() {
    let (world, server) = (World::new().await, Server::new().await);
    server.does(|_| Act::Answer(500, ""));
    let webhook = create(&world, &server.url, "[\"*\"]").await;
    let endpoint = start(&tools(&world, Plan::default()), webhook).await;
    world.accepted(2, None).await;
    stored(&world, webhook, DeliveryState::Pending, 2).await;
    let delete = WebhookChange::Delete { organization: world.organization, webhook };
    assert_eq!(change(&world, delete).await, WebhookDone::Changed(true));
    endpoint.send_message(WebhookEndpointMsg::Refresh).unwrap();
    until("the actor ends", async || {
        (endpoint.get_status() == ractor::ActorStatus::Stopped).then_some(())
    })
    .await;
    assert!(world.store.pending_deliveries(webhook, 0, 9).await.unwrap().is_empty());
}
