//! The API over a real store and a real writer: one world per test, driven through its router.

mod batches;
mod caps;
mod carriers;
mod compliance;
mod edges;
mod estimate;
mod events;
mod export;
mod gates;
mod interceptors;
mod numbers;
mod pools;
mod protection;
mod proxy;
mod read;
mod recordings;
mod routing;
mod schedules;
mod send;
mod sip;
mod smpp;
mod socket;
mod templates;
mod trunks;
mod voice;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actors::customer::feed::Feed;
use actors::directory::Directory;
use actors::lockout::Rule;
use actors::sip::credentials::Credentials;
use actors::smpp::alerts::Alerts;
use actors::smpp::server::accounts::Accounts;
use actors::traffic::admission::{Admission, CarrierRoute, Routes};
use actors::traffic::guard::Guard;
use actors::traffic::router::Detours;
use actors::writer::{Limits, Shared, Writer, WriterArgs, WriterHandle};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use model::api_key::{self, Mode};
use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::money::Micros;
use model::protection::Protection;
use model::rates::Rates;
use ractor::{Actor as _, ActorRef};
use serde_json::{Value, json};
use store::lane::{Admin, AdminDone, NewKey};
use store::{Options, Store};
use supervisors::customers::CustomersHandle;
use tower::ServiceExt as _;

use super::{App, AppParts, PartState, router};
use crate::boot::carriers::Parts;
use crate::carriers::{Book, Filed, RunningParts};
use crate::masks::MaskBook;
use crate::numbers::NumberBook;
use crate::settings::{Profile, Settings, Webhooks};
use crate::sip::SipBook;
use crate::trunks::TrunkBook;
use crate::vault::Vault;

const RATES: &str = "prefix,price_micros,mccmnc,valid_from\n1,7900,310260,\n";

const NEVER_SHUT: Rule = Rule { tries: 0, within: Duration::ZERO, shut: Duration::ZERO };

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A switch without carriers: what is sent stays queued.
struct World {
    router: Router,
    app: App,
    admission: Admission,
    store: Store,
    handle: WriterHandle,
    writer: ActorRef<actors::writer::WriterMsg>,
    customers: CustomersHandle,
    organization: OrgId,
    /// A live key with every scope.
    key: String,
    _folder: Folder,
}

impl Drop for World {
    fn drop(&mut self) {
        self.writer.stop(None);
    }
}

/// What came back.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    fn data(&self) -> &Value {
        &self.body["data"]
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

fn new_key(mode: Mode, scopes: &str) -> (String, NewKey) {
    let id = PublicId::new(At::now());
    let mut random = [0; 32];
    random[..16].copy_from_slice(id.as_bytes());
    let text = api_key::mint(mode, random);
    let key = NewKey {
        id,
        hash: api_key::hash(&text),
        mode,
        scopes: scopes.to_owned(),
        name: String::from("test"),
        last4: api_key::last4(&text).to_owned(),
    };
    (text, key)
}

impl World {
    async fn new() -> Self {
        Self::with(Profile::Open).await
    }

    async fn with(limits: Profile) -> Self {
        Self::with_settings(limits, |_| {}).await
    }

    async fn with_settings(limits: Profile, change: impl FnOnce(&mut Settings)) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("orbit-api-{}-{number}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).unwrap();
        let url = format!("sqlite://{}", folder.0.join("orbit.db").display());
        let store = Store::open(Options::new(&url)).await.unwrap();
        let shared = Arc::new(Shared::new(Limits {
            accepts_max: 10_000,
            backlog_per_organization_max: 1_000_000,
        }));
        let args = WriterArgs {
            store: store.clone(),
            alternatives: |_| Vec::new(),
            exclusive: true,
            shared: Arc::clone(&shared),
            carriers: Directory::default(),
            batch_max: 1_000,
            batch_wait: Duration::ZERO,
        };
        let (writer, _) = Writer::spawn(None, Writer, args).await.unwrap();
        let handle = WriterHandle::new(shared);
        let (main, sandbox) = (own(&handle, "main").await, own(&handle, "sandbox").await);
        let admission = Admission::new(Routes {
            carriers: vec![CarrierRoute {
                prefixes: vec![String::from("1"), String::from("44")],
                default_sender: Some(String::from("Orbit")),
                ..CarrierRoute::new(main, "main")
            }],
            sandbox: Some(sandbox),
            sandbox_live: None,
            rates: Rates::from_csv(RATES).unwrap(),
            default_sender: None,
        });
        let satellites =
            Protection { blocked_prefixes: vec![String::from("881")], ..Protection::default() };
        let guard = Guard::new(satellites, Vec::new(), Some(handle.clone()));
        let admission = admission.guarded(guard);
        let mut settings = Settings::load(None, Vec::new(), Vec::new()).unwrap();
        settings.webhooks = webhook_settings();
        settings.data.dir.clone_from(&folder.0);
        change(&mut settings);
        let customers = CustomersHandle::default();
        let app = app(&store, &handle, &admission, limits, &customers, settings);
        let (text, key) = new_key(Mode::Live, "*");
        let organization = create(&handle, key, false).await;
        Self {
            router: router(app.clone()),
            app,
            admission,
            store,
            handle,
            writer,
            customers,
            organization,
            key: text,
            _folder: folder,
        }
    }

    /// One more key of the world's organization.
    async fn key(&self, mode: Mode, scopes: &str) -> String {
        let (text, key) = new_key(mode, scopes);
        let organization = self.organization;
        self.handle.administer(Admin::CreateKey { organization, key }).await.unwrap();
        text
    }

    /// A key of another organization, with a credit of ten dollars.
    async fn stranger(&self, sandbox: bool) -> String {
        let (text, key) = new_key(Mode::Live, "*");
        create(&self.handle, key, sandbox).await;
        text
    }

    async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 10_000_000).await.unwrap();
        let text = || Value::from(String::from_utf8_lossy(&bytes));
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()),
        }
    }

    async fn ask<'a>(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Option<&'a Value>>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path).header("x-api-key", &self.key);
        let request = request.header("content-type", "application/json");
        let body = body.into().map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.call(request.body(body).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.get_as(&self.key, path).await
    }

    async fn get_as(&self, key: &str, path: &str) -> Answer {
        let request = Request::get(path).header("x-api-key", key);
        self.call(request.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body.to_string(), &[]).await
    }

    /// `headers` go over the usual ones.
    async fn post_with(
        &self,
        path: &str,
        body: impl Into<Body>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::post(path)
            .header("x-api-key", &self.key)
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap();
        for (name, value) in headers {
            let name = axum::http::HeaderName::try_from(*name).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        self.call(request).await
    }

    async fn balance(&self) -> (i64, i64) {
        let answer = self.get("/api/v1/billing/balance").await;
        let data = answer.data();
        let number = |name: &str| data[name].as_i64().unwrap();
        (number("balance_micros"), number("held_micros"))
    }
}

/// Endpoints on this machine are allowed, and few.
fn webhook_settings() -> Webhooks {
    let mut webhooks = Settings::load(None, Vec::new(), Vec::new()).unwrap().webhooks;
    webhooks.allowed_networks = vec![String::from("127.0.0.0/8")];
    webhooks.endpoints_max = 4;
    webhooks
}

/// An API over these parts.
fn app(
    store: &Store,
    handle: &WriterHandle,
    admission: &Admission,
    limits: Profile,
    customers: &CustomersHandle,
    settings: Settings,
) -> App {
    let filed = carriers::filed(&settings);
    let book = book_of(store, handle, admission, &settings, filed);
    app_of(store, handle, admission, limits, customers, settings, book)
}

fn app_of(
    store: &Store,
    handle: &WriterHandle,
    admission: &Admission,
    limits: Profile,
    customers: &CustomersHandle,
    settings: Settings,
    carriers: Book,
) -> App {
    let part = |ready| PartState { name: String::from("writer"), ready, detail: String::new() };
    let watched = handle.clone();
    let credentials = Credentials::default();
    let phones = SipBook::new(&settings, store.clone(), handle.clone(), credentials);
    let vault = Vault::new(&[7; 32]).unwrap();
    let taping = recordings::taping(&settings.data.dir);
    let trunks = TrunkBook::new(&settings, store.clone(), handle.clone(), vault.clone());
    let numbers = NumberBook::new(&settings, store.clone(), handle.clone(), vault);
    App::new(AppParts {
        store: store.clone(),
        writer: handle.clone(),
        admission: admission.clone(),
        http: settings.http,
        compatibility: settings.compatibility,
        limits,
        schedules: settings.schedules,
        webhooks: settings.webhooks,
        customers: customers.clone(),
        events: settings.events,
        retention: settings.retention,
        feed: Feed::new(store.clone(), handle.wakes()),
        cursor_key: [7; 32],
        accounts: Accounts::new([7; 32], NEVER_SHUT),
        carriers,
        phones,
        trunks,
        calls: actors::sip::call::Keeper::default(),
        numbers,
        masks: MaskBook::new(store.clone(), handle.clone()),
        taping,
        smpp_changed: Arc::new(|_| {}),
        sip: super::SipDoor::default(),
        readiness: Arc::new(move || vec![part(watched.refusing().is_none())]),
        metrics: Arc::new(|| String::from("orbit_up 1\n")),
    })
}

/// The carriers: those of the settings, and nothing binds.
fn book_of(
    store: &Store,
    writer: &WriterHandle,
    admission: &Admission,
    settings: &Settings,
    filed: Vec<Filed>,
) -> Book {
    let router = admission.router().clone();
    let detours = Detours { router, down_after: Duration::from_secs(60) };
    let parts = Parts {
        store: store.clone(),
        writer: writer.clone(),
        directory: Directory::default(),
        views: Default::default(),
        condemned: Default::default(),
        sandbox: Default::default(),
        detours,
        alerts: Alerts::new(Accounts::new([7; 32], NEVER_SHUT), store.clone(), 0),
    };
    let rates = Rates::from_csv(RATES).unwrap();
    let running = RunningParts {
        parts,
        sandboxes: Vec::new(),
        admission: admission.clone(),
        routes: Routes { rates, ..Routes::default() },
        plan: Default::default(),
    };
    let vault = Vault::new(&[7; 32]).unwrap();
    Book::new(settings.clone(), store.clone(), writer.clone(), vault, filed, Some(running))
}

async fn own(handle: &WriterHandle, name: &str) -> CarrierId {
    let name = name.to_owned();
    match handle.administer(Admin::OwnCarrier { name }).await.unwrap() {
        AdminDone::Carrier { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

async fn create(handle: &WriterHandle, key: NewKey, sandbox: bool) -> OrgId {
    let change = Admin::CreateOrganization {
        id: PublicId::new(At::now()),
        name: String::from("Test"),
        credit: Micros(10_000_000),
        sandbox,
        key,
    };
    match handle.administer(change).await.unwrap() {
        AdminDone::Organization(organization) => organization,
        other => panic!("{other:?}"),
    }
}

fn sms() -> Value {
    json!({"to": "+14155550123", "body": "hello"})
}
