//! Putting a switch together, and taking it apart again.
//!
//! lock ─ store ─ writer's handle ─ routes ─ supervisors ─ admin socket ─ HTTP
//!
//! Each part is made after those it needs. On the way down the door closes first, then carriers
//! finish what is under way, then the tree stops; all within the grace time.

mod calling;
mod calls;
pub(crate) mod carriers;
mod doors;
pub(crate) mod esmes;
pub(crate) mod interceptors;
mod keeping;
mod recordings;
pub(crate) mod sip;
mod trunks;
mod webhooks;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actors::customer::feed::Feed;
use actors::directory::Directory;
use actors::media::Media;
use actors::series::Series;
use actors::sip::call::{CallTable, Keeper};
use actors::sip::credentials::Credentials;
use actors::smpp::alerts::Alerts;
use actors::smpp::hand::Condemned;
use actors::smpp::owner::Views;
use actors::smpp::server::accounts::Accounts;
use actors::smpp::translate;
use actors::traffic::admission::{Admission, Routes};
use actors::traffic::guard::Guard;
use actors::traffic::replies::RepliesArgs;
use actors::traffic::router::portability::Portability;
use actors::traffic::router::{Detours, Router, SANDBOX, SANDBOX_LIVE};
use actors::traffic::scheduler::SchedulerArgs;
use actors::writer::{Limits, Shared, WriterHandle};
use anyhow::{Context as _, Result};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use model::carrier::OrgId;
use model::clock::At;
use model::voice::VoiceRates;
use ractor::{Actor, ActorRef};
use store::{Options, Store};
use supervisors::carriers::Plan;
use supervisors::customers::CustomersHandle;
use supervisors::restart::Policy;
use supervisors::root::{Root, RootArgs, RootMsg, WriterPlan};
use supervisors::sandbox::SandboxHandle;
use tokio::task::JoinHandle;

use crate::admin::{self, Desk, SipDesk};
use crate::api::{self, App, AppParts};
use crate::carriers::{Book, RunningParts};
use crate::health::Health;
use crate::home::{Home, Lock};
use crate::masks::MaskBook;
use crate::numbers::NumberBook;
use crate::settings::Settings;
use crate::sip::SipBook;
use crate::trunks::TrunkBook;
use crate::vault::Vault;
use sip::SipAddresses;

/// The file of the data folder that SMPP passwords are hashed under.
pub(crate) const SMPP_KEY: &str = "smpp-key";
/// How long customers may take to unbind.
const ESMES_GRACE: Duration = Duration::from_secs(5);
/// How long the other end of a call may take to answer a BYE.
const BYE_GRACE: Duration = Duration::from_secs(4);

/// Whether the sandbox is also where live messages go that fit no carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxLive {
    No,
    /// `orbit dev`.
    Default,
}

/// A switch that runs.
pub struct Switch {
    pub http: SocketAddr,
    /// Where customers bind, and where with TLS.
    pub smpp: Option<SocketAddr>,
    pub smpp_tls: Option<SocketAddr>,
    /// Where telephones register.
    pub sip: SipAddresses,
    pub accounts: Accounts,
    pub credentials: Credentials,
    pub store: Store,
    pub writer: WriterHandle,
    /// What calls cost.
    pub voice_rates: Arc<VoiceRates>,
    /// What calls take their media from.
    pub media: Media,
    root: ActorRef<RootMsg>,
    root_task: JoinHandle<()>,
    app: App,
    server: api::Handle,
    server_task: JoinHandle<std::io::Result<()>>,
    doors: doors::Doors,
    admin_task: JoinHandle<()>,
    health_task: JoinHandle<()>,
    metrics_task: JoinHandle<()>,
    book_task: JoinHandle<()>,
    recovery_task: JoinHandle<()>,
    recordings_task: JoinHandle<()>,
    renewal_task: JoinHandle<()>,
    grace: Duration,
    _lock: Lock,
}

/// This process's metrics.
pub struct Metrics {
    all: PrometheusHandle,
    /// Those of carriers, which are forgotten with them.
    series: Series,
}

impl Metrics {
    fn render(&self) -> String {
        let mut text = self.all.render();
        self.series.render(&mut text);
        text
    }
}

/// The recorder of this process's metrics. Installed once per process, by `main`.
pub fn install_metrics() -> Result<Metrics> {
    let commit = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2.0];
    let items = [1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0];
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix(String::from("_seconds")), &commit)?
        .set_buckets_for_metric(Matcher::Suffix(String::from("_items")), &items)?
        .build_recorder();
    let (all, series) = (recorder.handle(), Series::default());
    metrics::set_global_recorder(series.clone().beside(recorder)).context("metrics")?;
    Ok(Metrics { all, series })
}

/// Opens the store of these settings.
pub(crate) async fn open_store(settings: &Settings) -> Result<Store> {
    let database = &settings.database;
    let options = Options {
        readers_max: database.readers_max,
        sqlite_checkpoint_pages: database.sqlite_checkpoint_pages,
        protection: settings.protection.rules(),
        bounds: settings.voice.bounds(settings.limits.profile),
        parked_receipts_max: i64::from(settings.smpp.parked_receipts_max),
        ..Options::new(&settings.database_url())
    };
    Store::open(options).await.context("opening the store")
}

/// Starts everything these settings ask for.
pub async fn boot(mut settings: Settings, live: SandboxLive, metrics: Metrics) -> Result<Switch> {
    let home = Home::open(&settings.data.dir)?;
    let lock = home.lock()?;
    let listener = TcpListener::bind(settings.http.bind).with_context(|| {
        format!("http.bind {}: choose another with --bind or in the settings", settings.http.bind)
    })?;
    listener.set_nonblocking(true)?;
    let http = listener.local_addr()?;
    // Whoever says where we are says the port that was found free.
    settings.http.bind = http;
    let doors = doors::Opened::new(&settings.compatibility)?;
    let store = open_store(&settings).await?;

    let shared = Arc::new(Shared::new(Limits {
        accepts_max: settings.gates.accepts_max,
        backlog_per_organization_max: i64::try_from(settings.gates.backlog_per_organization_max)
            .unwrap_or(i64::MAX),
    }));
    for (organization, waiting) in store.backlog_by_organization().await? {
        shared.add_backlog(organization, waiting);
    }
    let writer = WriterHandle::new(shared.clone());
    let directory = Directory::default();
    let views = Views::measured(metrics.series.clone());
    let sandbox = SandboxHandle::default();
    let router = Router::default();
    let names = carriers::names(&settings);
    let ids = carriers::identify(&store, &names).await?;
    let vault = Vault::open_with(&settings.secrets, &home)?;
    let esme_accounts =
        esmes::accounts(&settings, home.secret(SMPP_KEY)?, vault.clone(), &store).await?;
    let parts = carriers::Parts {
        store: store.clone(),
        writer: writer.clone(),
        directory: directory.clone(),
        views: views.clone(),
        condemned: Condemned::default(),
        sandbox: sandbox.clone(),
        detours: Detours {
            router: router.clone(),
            down_after: Duration::from_secs(settings.routing.down_after_s),
        },
        alerts: Alerts::new(
            esme_accounts.clone(),
            store.clone(),
            settings.smpp.alerts_per_second as usize,
        ),
    };
    let filed = carriers::filed(&settings, &ids, &store).await?;
    let sandboxes = carriers::sandboxes(&settings, &parts);
    let test = settings.sandbox.enabled;
    if let Some(hook) = settings.portability.hook() {
        router.ask_portability(Portability::new(hook)?);
    }
    for row in store.routings().await? {
        router.set_rules(OrgId(row.organization_id), row.parsed());
    }
    crate::pools::load(&store, &router).await?;
    let voice_rates = Arc::new(settings.read_voice_rates()?);
    let routes = Routes {
        carriers: Vec::new(),
        sandbox: test.then(|| ids.get(SANDBOX).copied()).flatten(),
        sandbox_live: (test && live == SandboxLive::Default)
            .then(|| ids.get(SANDBOX_LIVE).copied())
            .flatten(),
        rates: settings.read_rates()?,
        default_sender: settings.senders.default_sender.clone(),
    };
    let own = store.protections().await?;
    let guard = Guard::new(settings.protection.rules(), own, Some(writer.clone()));
    let rules = interceptors::load(&settings, &store).await?;
    let numbers = NumberBook::new(&settings, store.clone(), writer.clone(), vault.clone());
    let admission = Admission::by(router.clone()).guarded(guard).intercepted(rules.clone());
    let admission = match settings.senders.require_owned {
        true => admission.owned(numbers.numbers().clone()),
        false => admission,
    };
    let plan = Plan::default();
    let running = RunningParts {
        parts: parts.clone(),
        sandboxes,
        admission: admission.clone(),
        routes,
        plan: plan.clone(),
    };
    let book = Book::new(
        settings.clone(),
        store.clone(),
        writer.clone(),
        vault.clone(),
        filed,
        Some(running),
    );
    book.refresh().await?;
    let mut sweeper = carriers::sweeper(&book, &parts);
    sweeper.join_parts = Duration::from_secs(settings.inbound.join_parts_s);
    sweeper.part_receipts = Duration::from_secs(settings.smpp.part_receipts_wait_s);
    let replies = RepliesArgs::new(store.clone(), writer.clone(), admission.clone());
    let scheduler = SchedulerArgs {
        store: store.clone(),
        writer: writer.clone(),
        admission: admission.clone(),
        tick: Duration::from_millis(settings.schedules.tick_ms),
        page: settings.schedules.page,
    };
    let feed = Feed::new(store.clone(), writer.wakes());
    let customers = CustomersHandle::default();
    let endpoints = webhooks::customers(&settings.webhooks, &store, &writer, &feed, &customers)?;
    let trunk_book = TrunkBook::new(&settings, store.clone(), writer.clone(), vault);
    trunk_book.load().await?;
    numbers.load().await?;
    let masks = MaskBook::new(store.clone(), writer.clone());
    masks.load().await?;
    let esmes = esmes::server(
        &settings,
        esme_accounts.clone(),
        admission.clone(),
        store.clone(),
        writer.clone(),
    )?;
    let (smpp, smpp_tls) = (esmes.plain, esmes.tls);
    let media = Media::start(&settings.media.plane()).context("media")?;
    let credentials = sip::credentials(&store).await?;
    let phones = SipBook::new(&settings, store.clone(), writer.clone(), credentials);
    let credentials = phones.credentials().clone();
    let nonce_key = home.secret(sip::NONCE_KEY)?;
    let table = CallTable::new(settings.sip.calls_max, u64::from(settings.sip.retry_after_s));
    let served = Arc::new(table.clone());
    let telephones = sip::server(&settings, &nonce_key, &credentials, &store, &writer, served)?;
    let taping = recordings::taping(&settings, &home, &store).await?;
    let plane = (Arc::clone(&voice_rates), media.clone(), taping.clone());
    let calls = telephones.args.as_ref();
    let keeper = Keeper::default();
    let tables = calling::Tables {
        calls: table,
        trunks: trunk_book.trunks().clone(),
        numbers: numbers.numbers().clone(),
        masks: masks.masks().clone(),
        keeper: keeper.clone(),
    };
    let outside = trunks::Outside::new(&settings)?;
    let calls = calls.map(|sip| calling::calls(&settings, sip, tables, &writer, plane, &outside));
    let minded = telephones.args.as_ref();
    let list = trunk_book.trunks().clone();
    let minded = minded.map(|sip| trunks::minded(&settings, sip, &list, &outside, &writer));
    let sip_handle = telephones.handle();
    let sip_gauges = sip::Gauges::new(sip_handle.clone());
    let root = RootArgs {
        esmes: Some(esmes.args),
        calls,
        trunks: minded,
        sip: telephones.args,
        writer: WriterPlan {
            store: store.clone(),
            alternatives: translate::alternatives,
            exclusive: true,
            shared,
            directory,
            batch_max: settings.database.accept_batch_max,
            batch_wait: Duration::from_millis(settings.database.batch_wait_ms),
        },
        sandbox,
        carriers: plan,
        sweeper,
        retention: keeping::retention((&settings.retention, &settings.voice), &store, &writer),
        replies,
        scheduler,
        customers: endpoints,
        policy: Policy::BRANCH,
    };
    let (root, root_task) = Actor::spawn(None, Root, root).await.context("starting")?;
    let tree = root.clone();
    book.tell(move || {
        let _ = tree.send_message(RootMsg::CarriersChanged);
    });
    let book_task = tokio::spawn(book.clone().watch());
    let renewal_task = tokio::spawn(numbers.clone().renewing());
    let recovery_task = tokio::spawn(calls::recover(writer.clone()));
    let recordings_task = recordings::keeping(&settings, &taping, &store, &writer);

    let health = Health::new(writer.clone(), views.clone());
    let watching = health.clone().watch(store.clone(), home.clone(), settings.data.low_disk_bytes);
    let health_task = tokio::spawn(watching);
    let upkeep = metrics.all.clone();
    let metrics_task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    let shown = views.clone();
    let tree = root.clone();
    let app = App::new(AppParts {
        store: store.clone(),
        writer: writer.clone(),
        admission,
        http: settings.http.clone(),
        compatibility: settings.compatibility.clone(),
        limits: settings.limits.profile,
        events: settings.events.clone(),
        retention: settings.retention.clone(),
        feed,
        schedules: settings.schedules.clone(),
        webhooks: settings.webhooks.clone(),
        customers,
        cursor_key: home.secret("cursor-key")?,
        accounts: esme_accounts.clone(),
        carriers: book.clone(),
        phones: phones.clone(),
        trunks: trunk_book.clone(),
        calls: keeper,
        numbers: numbers.clone(),
        masks,
        taping,
        smpp_changed: Arc::new(move |system_id| {
            let system_id = system_id.to_owned();
            let _ = tree.send_message(RootMsg::AccountChanged { system_id });
        }),
        sip: api::SipDoor {
            handle: sip_handle.clone(),
            origins: settings.sip.allowed_origins.clone(),
        },
        readiness: Arc::new(move || health.parts()),
        metrics: Arc::new(move || {
            sip_gauges.publish();
            trunks::publish(&list);
            shown.all().iter().for_each(|view| view.publish(At::now().micros()));
            metrics.render()
        }),
    });
    let desk =
        Desk::new(store.clone(), writer.clone(), Some(root.clone()), views, esme_accounts.clone());
    let desk = desk
        .registering(phones)
        .trunking(trunk_book)
        .numbering(numbers)
        .hearing(SipDesk { handle: sip_handle });
    let desk = desk.intercepted(rules).routed_by(router).keeping(book).pooling(app.pools());
    let admin_task = admin::listen(&home, desk)?;
    let server = api::Handle::new();
    let serving = {
        let router = api::router(app.clone());
        let (handle, router, http) = (server.clone(), router, settings.http.clone());
        async move { api::serve(listener, router, &http, handle).await }
    };
    let server_task = tokio::spawn(serving);
    let doors = doors.serve(&app, &settings.http);
    let grace = Duration::from_secs(settings.drain_grace_s);
    Ok(Switch {
        http,
        smpp,
        smpp_tls,
        sip: telephones.places,
        accounts: esme_accounts,
        credentials,
        store,
        writer,
        voice_rates,
        media,
        root,
        root_task,
        app,
        server,
        server_task,
        doors,
        admin_task,
        health_task,
        metrics_task,
        book_task,
        recovery_task,
        recordings_task,
        renewal_task,
        grace,
        _lock: lock,
    })
}

impl Switch {
    /// Resolves when a part without which nothing works has ended by itself.
    pub async fn failed(&mut self) -> String {
        tokio::select! {
            _ = &mut self.root_task => String::from("the supervision tree gave up"),
            ended = &mut self.server_task => match ended {
                Ok(Ok(())) => String::from("the HTTP server ended"),
                Ok(Err(error)) => format!("http: {error}"),
                Err(error) => format!("http: {error}"),
            },
        }
    }

    /// Takes no more, finishes what is under way, stops. True when all of it fit the grace time.
    pub async fn shut_down(self) -> bool {
        self.writer.drain();
        self.app.end_streams();
        self.server.graceful_shutdown(Some(self.grace));
        self.doors.end(self.grace);
        let messages = async {
            // Customers first: what they are owed waits in the log.
            let reply = |reply| RootMsg::DrainEsmes { reply };
            let _ = self.root.call(reply, Some(self.grace.min(ESMES_GRACE))).await;
            let reply = |reply| RootMsg::Drain { name: None, reply };
            self.root.call(reply, Some(self.grace)).await
        };
        // Beside them, within the same time. A peer that answers no BYE is not waited for: what its call
        // came to is stored.
        let patience = self.grace / 2;
        let calls = async {
            let reply = |reply| RootMsg::DrainCalls { patience, reply };
            self.root.call(reply, Some(self.grace.min(patience + BYE_GRACE))).await
        };
        // Who is asked not to call us any more calls no more.
        let (drained, _, ()) = tokio::join!(messages, calls, trunks::leave(&self.root));
        let drained = matches!(drained, Ok(ractor::rpc::CallResult::Success(())));
        self.root.stop(None);
        let stopped = tokio::time::timeout(Duration::from_secs(5), self.root_task).await.is_ok();
        for task in [&self.admin_task, &self.health_task, &self.metrics_task, &self.book_task] {
            task.abort();
        }
        self.recovery_task.abort();
        self.recordings_task.abort();
        self.renewal_task.abort();
        self.server_task.abort();
        self.doors.close();
        self.store.close().await;
        drained && stopped
    }
}
