//! A whole tree on a store of its own, with carriers that are test peers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actors::customer::feed::Feed;
use actors::customer::webhook::Tools;
use actors::customer::webhook::guard::{Networks, system_lookup};
use actors::customer::webhook::sender::Sender;
use actors::directory::Directory;
use actors::lockout::Rule;
use actors::series::Series;
use actors::smpp::alerts::Alerts;
use actors::smpp::bind::BindMsg;
use actors::smpp::hand::Condemned;
use actors::smpp::owner::{OwnerMsg, Views};
use actors::smpp::profile::{Doubt, Link, Profile, Retry, Timers, WhenInDoubt};
use actors::smpp::quirks::Quirks;
use actors::smpp::translate::{self, Dialect};
use actors::traffic::admission::{Admission, CarrierRoute, Routes};
use actors::traffic::replies::RepliesArgs;
use actors::traffic::retention::{Keep, Pace, RetentionArgs};
use actors::traffic::router::Detours;
use actors::traffic::scheduler::SchedulerArgs;
use actors::traffic::sweeper::SweeperArgs;
use actors::writer::{Limits, Shared, WriterHandle};
use model::api_key::{self, Mode};
use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::message::{Category, Encoding, Status};
use model::money::Micros;
use model::rates::Rates;
use model::refusal::Refusal;
use model::route::RouteNote;
use model::submission::{Credential, NewMessage, SendOptions, Submission};
use proto_smpp::split::Concat;
use ractor::{Actor, ActorCell, ActorRef, Message};
use store::lane::{Accepted, Admin, AdminDone, NewKey};
use store::{EventRow, Filter, MessageRow, Options, Store, TransferKind};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::peer::Peer;
use crate::carrier::{CarrierArgs, CarrierMsg};
use crate::carriers::Plan as Accounts;
use crate::customers::{CustomersArgs, CustomersHandle};
use crate::restart::Policy;
use crate::root::{Root, RootArgs, RootMsg, WriterPlan};
use crate::sandbox::SandboxHandle;

/// A fact that is not there by then will not come.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const PRICE: i64 = 1_000;
pub(super) const CREDIT: i64 = 1_000_000_000;

/// Restarts that cost a test no time.
pub(super) const QUICK: Policy = Policy {
    restarts_max: 10,
    within: Duration::from_secs(60),
    rest_min: Duration::from_millis(5),
    rest_max: Duration::from_millis(50),
};

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How a world differs from the usual one.
pub(super) struct Plan {
    pub(super) profiles: Vec<Profile>,
    /// Of the carriers' branches.
    pub(super) policy: Policy,
    pub(super) root_policy: Policy,
    pub(super) limits: Limits,
    /// A PostgreSQL database instead of a SQLite file.
    pub(super) postgres: Option<String>,
    /// Where its carriers' metrics are kept.
    pub(super) series: Series,
}

pub(super) struct World {
    pub(super) url: String,
    pub(super) store: Store,
    pub(super) writer: WriterHandle,
    pub(super) views: Views,
    pub(super) admission: Admission,
    pub(super) directory: Directory,
    pub(super) root: ActorRef<RootMsg>,
    pub(super) organization: OrgId,
    pub(super) customers: CustomersHandle,
    key: i64,
    carriers: Vec<CarrierId>,
    plan: Accounts,
    /// As they were at the start.
    accounts: Vec<CarrierArgs>,
    pub(super) task: JoinHandle<()>,
    folder: Folder,
}

impl World {
    /// A folder that goes with it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder.0
    }
}

/// A carrier account behind which a peer is.
pub(super) fn profile(name: &str, peer: &Peer) -> Profile {
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    Profile {
        name: Arc::from(name),
        endpoint: peer.endpoint(),
        system_id: String::from("orbit"),
        password: String::from("secret"),
        system_type: String::new(),
        connections: 1,
        window: 10,
        tps: 0,
        concat: Concat::Udh8,
        dialect: Dialect::STANDARD,
        validity_period: true,
        organization: None,
        vendor_statuses: &[],
        receipt_timeout: s(600),
        timers: Timers {
            enquire_link: s(60),
            response: s(60),
            write: s(30),
            bind: s(60),
            reconnect_min: ms(5),
            reconnect_max: ms(20),
            locked_out: ms(20),
            already_bound: ms(20),
            inbound_window: 10,
        },
        retry: Retry { attempts: 5, base: ms(5), throttled_for: s(600) },
        doubt: Doubt {
            tries: 3,
            wait: ms(50),
            otp: WhenInDoubt::Resend,
            transactional: WhenInDoubt::Resend,
            service: WhenInDoubt::Resend,
            marketing: WhenInDoubt::GiveUp,
        },
        link: Link::default(),
        quirks: Quirks::default(),
        made_of: [0; 32],
    }
}

fn customers(store: &Store, writer: &WriterHandle, policy: Policy) -> CustomersArgs {
    let networks = Networks::parse(&["127.0.0.0/8"]).unwrap();
    let tools = Tools {
        store: store.clone(),
        writer: writer.clone(),
        feed: Feed::new(store.clone(), writer.wakes()),
        sender: Sender::new(networks, system_lookup(), PATIENCE).unwrap(),
        plan: Arc::default(),
    };
    CustomersArgs { tools, handle: CustomersHandle::default(), keep: PATIENCE, policy }
}

fn new_key() -> NewKey {
    let text = api_key::mint(Mode::Live, rand::random());
    NewKey {
        id: PublicId::new(At::now()),
        hash: api_key::hash(&text),
        mode: Mode::Live,
        scopes: String::from("*"),
        name: String::from("test"),
        last4: api_key::last4(&text).to_owned(),
    }
}

impl Plan {
    pub(super) fn of(profiles: Vec<Profile>) -> Self {
        let limits = Limits { accepts_max: 1_000, backlog_per_organization_max: 100_000 };
        Self {
            profiles,
            policy: QUICK,
            root_policy: QUICK,
            limits,
            postgres: None,
            series: Series::default(),
        }
    }

    pub(super) async fn start(self) -> World {
        let name = format!("orbit-tree-{:032x}", rand::random::<u128>());
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).unwrap();
        let file = format!("sqlite://{}", folder.0.join("orbit.db").display());
        let exclusive = self.postgres.is_some();
        let url = self.postgres.unwrap_or(file);
        let store = Store::open(Options::new(&url)).await.unwrap();
        let shared = Arc::new(Shared::new(self.limits));
        let writer = WriterHandle::new(shared.clone());
        let (directory, views) = (Directory::default(), Views::measured(self.series));
        let names: Vec<String> = self.profiles.iter().map(|p| p.name.to_string()).collect();
        let condemned = Condemned::default();
        let admission = Admission::new(Routes::default());
        let router = admission.router().clone();
        let detours = Detours { router, down_after: Duration::from_millis(50) };
        let second = Duration::from_secs(1);
        let rule = Rule { tries: 5, within: second, shut: second };
        let esmes = actors::smpp::server::accounts::Accounts::new([7; 32], rule);
        let alerts = Alerts::new(esmes, store.clone(), 1);
        let carrier = |profile| CarrierArgs {
            profile: Arc::new(profile),
            store: store.clone(),
            writer: writer.clone(),
            directory: directory.clone(),
            views: views.clone(),
            condemned: condemned.clone(),
            detours: detours.clone(),
            alerts: alerts.clone(),
            policy: self.policy,
        };
        let accounts: Vec<_> = self.profiles.into_iter().map(carrier).collect();
        let carriers = Accounts::new(accounts.clone());
        let mut sweeper = SweeperArgs::new(store.clone(), writer.clone(), Arc::new(Vec::new));
        sweeper.period = Duration::from_millis(20);
        let plan = WriterPlan {
            store: store.clone(),
            alternatives: translate::alternatives,
            exclusive,
            shared,
            directory: directory.clone(),
            batch_max: 500,
            batch_wait: Duration::ZERO,
        };
        let sandbox = SandboxHandle::default();
        let customers = customers(&store, &writer, self.policy);
        let handle = customers.handle.clone();
        let period = Duration::from_millis(20);
        let retention = RetentionArgs {
            store: store.clone(),
            writer: writer.clone(),
            keep: Keep::default(),
            pace: Pace { period, batch: 100, pause: period },
        };
        let replies = RepliesArgs::new(store.clone(), writer.clone(), admission.clone());
        let scheduler = SchedulerArgs {
            store: store.clone(),
            writer: writer.clone(),
            admission: admission.clone(),
            tick: Duration::from_millis(10),
            page: 100,
        };
        let args = RootArgs {
            writer: plan,
            sandbox,
            carriers: carriers.clone(),
            sweeper,
            retention,
            replies,
            scheduler,
            customers,
            esmes: None,
            calls: None,
            sip: None,
            trunks: None,
            policy: self.root_policy,
        };
        let (root, task) = Actor::spawn(None, Root, args).await.unwrap();
        let mut world = World {
            url,
            store,
            writer,
            views,
            admission,
            directory,
            root,
            organization: OrgId(0),
            customers: handle,
            key: 0,
            carriers: Vec::new(),
            plan: carriers,
            accounts,
            task,
            folder,
        };
        world.settle_in(names).await;
        world
    }
}

impl World {
    /// One carrier, named after nothing.
    pub(super) async fn of(profile: Profile) -> Self {
        Plan::of(vec![profile]).start().await
    }

    /// Has these accounts run from now on; those that were there keep what is not said anew.
    pub(super) fn replan(&self, profiles: Vec<Profile>) {
        let like = &self.accounts[0];
        let account = |profile| CarrierArgs { profile: Arc::new(profile), ..like.clone() };
        self.plan.set(profiles.into_iter().map(account).collect());
        self.root.send_message(RootMsg::CarriersChanged).unwrap();
    }

    async fn settle_in(&mut self, names: Vec<String>) {
        let create = Admin::CreateOrganization {
            id: PublicId::new(At::now()),
            name: String::from("Test"),
            credit: Micros(CREDIT),
            sandbox: false,
            key: new_key(),
        };
        let done = self.writer.administer(create).await.unwrap();
        let AdminDone::Organization(organization) = done else { panic!("{done:?}") };
        self.organization = organization;
        let create = Admin::CreateKey { organization, key: new_key() };
        let done = self.writer.administer(create).await.unwrap();
        let AdminDone::Key(key) = done else { panic!("{done:?}") };
        self.key = key;
        for name in names {
            let done = self.writer.administer(Admin::NameCarrier { name }).await.unwrap();
            let AdminDone::Carrier { id, .. } = done else { panic!("{done:?}") };
            self.carriers.push(id);
        }
        self.admission.replace(self.routes());
    }

    /// What is checked anew goes by the first carrier, and by no other.
    pub(super) fn routes(&self) -> Routes {
        let mut routes = self.open_routes();
        for other in routes.carriers.iter_mut().skip(1) {
            other.organization = Some(OrgId(0));
        }
        routes
    }

    /// Every carrier takes every message, the first before the second.
    pub(super) fn open_routes(&self) -> Routes {
        let carriers = (0..).zip(&self.carriers).map(|(at, id)| CarrierRoute {
            priority: -at,
            ..CarrierRoute::new(*id, &format!("carrier {at}"))
        });
        let table = format!("prefix,price_micros,mccmnc,valid_from\n,{PRICE},,\n");
        let rates = Rates::from_csv(&table).unwrap();
        Routes { carriers: carriers.collect(), rates, ..Routes::default() }
    }

    pub(super) fn carrier(&self, at: usize) -> CarrierId {
        self.carriers[at]
    }

    pub(super) async fn epoch(&self, at: usize) -> i64 {
        let views = self.views.all();
        let name = views.iter().find(|view| view.id == self.carriers[at]).unwrap().name.to_string();
        let done = self.writer.administer(Admin::NameCarrier { name }).await.unwrap();
        let AdminDone::Carrier { epoch, .. } = done else { panic!("{done:?}") };
        epoch
    }

    pub(super) fn message(&self, carrier: usize, category: Category, body: &str) -> NewMessage {
        NewMessage {
            id: PublicId::new(At::now()),
            to: String::from("+14155550123"),
            from: String::from("Orbit"),
            from_ton: 5,
            body: body.to_owned(),
            encoding: Encoding::Gsm7,
            segments: 1,
            category,
            unit_price: Micros(PRICE),
            mccmnc: None,
            carrier: self.carriers[carrier],
            route: RouteNote::plain("test"),
            metadata: None,
            test: false,
            options: SendOptions::default(),
        }
    }

    pub(super) fn submission(&self, messages: Vec<NewMessage>) -> Submission {
        Submission {
            organization: self.organization,
            credential: Credential::ApiKey(self.key),
            idempotency: None,
            batch: None,
            messages,
        }
    }

    /// Submits one message, and says what came of it.
    pub(super) async fn try_send(
        &self,
        carrier: usize,
        category: Category,
        body: &str,
    ) -> Result<MessageKey, Refusal> {
        let submission = self.submission(vec![self.message(carrier, category, body)]);
        match self.writer.submit(submission).await? {
            Accepted::Fresh { first, .. } => Ok(first),
            Accepted::Replayed { .. } | Accepted::Nothing { .. } => panic!("replayed"),
        }
    }

    /// Submits one transactional message to the first carrier.
    pub(super) async fn send(&self, body: &str) -> MessageKey {
        self.try_send(0, Category::Transactional, body).await.unwrap()
    }

    /// Submits numbered messages in one request.
    pub(super) async fn send_many(&self, category: Category, count: usize) -> Vec<MessageKey> {
        let messages: Vec<_> =
            (0..count).map(|n| self.message(0, category, &format!("text {n}"))).collect();
        let accepted = self.writer.submit(self.submission(messages)).await.unwrap();
        let Accepted::Fresh { first, .. } = accepted else { panic!("replayed") };
        (0..i64::try_from(count).unwrap()).map(|n| MessageKey(first.0 + n)).collect()
    }

    pub(super) async fn row(&self, key: MessageKey) -> MessageRow {
        let filter = Filter::default();
        let mut rows = self.store.messages(self.organization, &filter, key.0 + 1, 1).await.unwrap();
        assert_eq!(rows[0].key, key.0);
        rows.remove(0)
    }

    pub(super) async fn status(&self, key: MessageKey) -> Status {
        Status::from_code(self.row(key).await.status).unwrap()
    }

    /// Waits until all of these have this status.
    pub(super) async fn all(&self, keys: &[MessageKey], status: Status) {
        for key in keys {
            until(&format!("{key:?} is {}", status.as_str()), async || {
                self.status(*key).await == status
            })
            .await;
        }
    }

    pub(super) async fn events(&self, key: MessageKey) -> Vec<EventRow> {
        self.store.events(self.organization, key, 0, 100).await.unwrap()
    }

    /// Each message was held once and settled or released once; all books add up.
    pub(super) async fn assert_charged_once(&self, keys: &[MessageKey]) {
        for key in keys {
            let transfers = self.store.transfers_of(*key).await.unwrap();
            let kinds: Vec<_> =
                transfers.iter().map(|(kind, amount, _)| (*kind, amount.0)).collect();
            let settled = [(TransferKind::Hold, PRICE), (TransferKind::Settle, PRICE)];
            assert_eq!(kinds, settled, "{key:?}");
        }
        self.assert_books().await;
    }

    pub(super) async fn assert_books(&self) {
        assert_eq!(self.store.imbalances().await.unwrap(), []);
    }

    /// The living actor that takes these messages, anywhere below root.
    pub(super) fn find<M: Message>(&self) -> Option<ActorRef<M>> {
        self.find_all().into_iter().next()
    }

    pub(super) fn find_all<M: Message>(&self) -> Vec<ActorRef<M>> {
        fn walk<M: Message>(cell: &ActorCell, found: &mut Vec<ActorRef<M>>) {
            for child in cell.get_children() {
                if child.is_message_type_of::<M>() == Some(true) {
                    found.push(child.clone().into());
                }
                walk(&child, found);
            }
        }
        let mut found = Vec::new();
        walk(&self.root.get_cell(), &mut found);
        found.sort_by_key(|actor: &ActorRef<M>| actor.get_id().pid());
        found
    }

    /// The living owner of a carrier.
    pub(super) async fn owner(&self, carrier: usize) -> ActorRef<OwnerMsg> {
        let found = || self.directory.find(self.carriers[carrier]);
        until("there is an owner", async || found().is_some()).await;
        found().unwrap()
    }

    /// The supervisor of a carrier.
    pub(super) async fn branch(&self, carrier: usize) -> ActorRef<CarrierMsg> {
        self.owner(carrier).await.get_cell().try_get_supervisor().unwrap().into()
    }

    /// The binds of a carrier, oldest first.
    pub(super) async fn binds(&self, carrier: usize) -> Vec<ActorRef<BindMsg>> {
        let children = self.branch(carrier).await.get_cell().get_children();
        let ours = children.into_iter().filter(|c| c.is_message_type_of::<BindMsg>() == Some(true));
        let mut binds: Vec<ActorRef<BindMsg>> = ours.map(ActorRef::from).collect();
        binds.sort_by_key(|bind| bind.get_id().pid());
        binds
    }

    /// Tells root to pause a carrier, or to go on.
    pub(super) async fn pause(&self, name: &str, paused: bool) {
        let ask = |reply| RootMsg::Pause { name: name.to_owned(), paused, reply };
        assert!(self.root.call(ask, Some(PATIENCE)).await.unwrap().unwrap());
    }

    /// Waits until another actor than this one takes these messages.
    pub(super) async fn successor<M: Message>(&self, of: &ActorRef<M>) -> ActorRef<M> {
        let other = || self.find_all::<M>().into_iter().find(|now| now.get_id() != of.get_id());
        until("there is a successor", async || other().is_some()).await;
        other().unwrap()
    }

    /// Ends the tree; it must still be alive, or a part of it gave up.
    pub(super) async fn end(self) {
        assert!(!self.task.is_finished(), "the root is gone");
        self.root.stop_and_wait(None, Some(PATIENCE)).await.unwrap();
        self.assert_books().await;
        self.store.close().await;
    }
}

/// Waits for a fact.
pub(super) async fn until(fact: &str, is: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is().await {
        assert!(Instant::now() < deadline, "in vain: {fact}");
        tokio::time::sleep(Duration::from_millis(2)).await; // between two looks
    }
}
