//! A fresh store with one organization, on each database in turn.

use std::sync::atomic::{AtomicU32, Ordering};

use model::api_key::{self, Mode};
use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::message::{Category, Encoding, Status};
use model::money::Micros;
use model::route::RouteNote;
use model::submission::{Credential, Idempotency, NewBatch, NewMessage, SendOptions, Submission};
use sqlx::{Connection as _, Executor as _};
use store::lane::{
    AcceptAnswer, Accepted, Admin, AdminDone, Claim, Done, HandoffResult, NewKey, OutboxRef,
    Outcome, PartId, Receipt, Work,
};
use store::{Flush, Lane, Options, Store};

pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) store: Store,
    pub(crate) lane: Lane,
    pub(crate) organization: OrgId,
    pub(crate) key: i64,
    pub(crate) carrier: CarrierId,
    pub(crate) epoch: i64,
    _folder: Option<Folder>,
}

struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Runs a test on every database there is.
pub(crate) async fn each(test: impl AsyncFn(World)) {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    test(World::on_sqlite(number, Flush::default()).await).await;

    if let Ok(server) = std::env::var("TEST_POSTGRES_URL") {
        let name = format!("orbit_test_{}_{number}", std::process::id());
        let mut admin = sqlx::PgConnection::connect(&server).await.unwrap();
        let create = format!("create database {name}");
        admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(create))).await.unwrap();
        let (base, _) = server.rsplit_once('/').unwrap();
        let world = World::open(Options::new(&format!("{base}/{name}")), None).await;
        let store = world.store.clone();
        test(world).await;
        store.close().await;
        let drop = format!("drop database {name} with (force)");
        admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(drop))).await.unwrap();
    }
}

/// Hex against decimal, as ids are read two ways.
pub(crate) fn readings(id: &str) -> Vec<(i64, String)> {
    let mut other = Vec::new();
    if let Ok(number) = u128::from_str_radix(id, 16) {
        other.push((1, number.to_string()));
    }
    if let Ok(number) = id.parse::<u128>() {
        other.push((2, format!("{number:x}")));
    }
    other
}

pub(crate) fn new_key(mode: Mode) -> NewKey {
    let text = api_key::mint(mode, rand::random());
    NewKey {
        id: PublicId::new(At::now()),
        hash: api_key::hash(&text),
        mode,
        scopes: String::from("*"),
        name: String::from("test"),
        last4: api_key::last4(&text).to_owned(),
    }
}

/// On SQLite alone, whose log gets to the disk like that.
pub(crate) async fn flushed_by(flush: Flush) -> World {
    World::on_sqlite(COUNT.fetch_add(1, Ordering::Relaxed), flush).await
}

impl World {
    async fn on_sqlite(number: u32, flush: Flush) -> Self {
        let name = format!("orbit-store-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let url = format!("sqlite://{}", folder.join("orbit.db").display());
        Self::open(Options { flush, ..Options::new(&url) }, Some(Folder(folder))).await
    }

    async fn open(options: Options, folder: Option<Folder>) -> Self {
        let url = options.url.clone();
        let store = Store::open(options).await.unwrap();
        let lane = store.lane(readings, true).await.unwrap();
        let mut world = Self {
            url,
            store,
            lane,
            organization: OrgId(0),
            key: 0,
            carrier: CarrierId(0),
            epoch: 0,
            _folder: folder,
        };
        (world.organization, world.key) = world.organization_with(Micros(1_000_000)).await;
        (world.carrier, world.epoch) = world.own("main").await;
        world
    }

    pub(crate) async fn organization_with(&mut self, credit: Micros) -> (OrgId, i64) {
        let done = self
            .admin(Admin::CreateOrganization {
                id: PublicId::new(At::now()),
                name: String::from("Test"),
                credit,
                sandbox: false,
                key: new_key(Mode::Live),
            })
            .await;
        let AdminDone::Organization(organization) = done else { panic!("{done:?}") };
        let key = new_key(Mode::Live);
        let AdminDone::Key(key) = self.admin(Admin::CreateKey { organization, key }).await else {
            panic!("no key")
        };
        (organization, key)
    }

    pub(crate) async fn own(&mut self, name: &str) -> (CarrierId, i64) {
        let name = String::from(name);
        let AdminDone::Carrier { id, epoch, .. } = self.admin(Admin::OwnCarrier { name }).await
        else {
            panic!("no carrier")
        };
        (id, epoch)
    }

    pub(crate) async fn admin(&mut self, change: Admin) -> AdminDone {
        let work = Work { admin: vec![change], ..Work::default() };
        self.lane.commit(&work).await.unwrap().admin.remove(0)
    }

    /// Runs statements as the database's owner.
    pub(crate) async fn run(&self, sql: &str) {
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
        if self.store.is_postgres() {
            sqlx::PgConnection::connect(&self.url).await.unwrap().execute(sql).await.unwrap();
        } else {
            sqlx::SqliteConnection::connect(&self.url).await.unwrap().execute(sql).await.unwrap();
        }
    }

    pub(crate) fn message(&self, to: &str) -> NewMessage {
        NewMessage {
            id: PublicId::new(At::now()),
            to: to.to_owned(),
            from: String::from("Orbit"),
            from_ton: 5,
            body: String::from("hello"),
            encoding: Encoding::Gsm7,
            segments: 1,
            category: Category::Transactional,
            unit_price: Micros(1_000),
            mccmnc: None,
            carrier: self.carrier,
            route: RouteNote::plain("test"),
            metadata: None,
            test: false,
            options: SendOptions::default(),
        }
    }

    pub(crate) fn submission(&self, messages: Vec<NewMessage>) -> Submission {
        Submission {
            organization: self.organization,
            credential: Credential::ApiKey(self.key),
            idempotency: None,
            batch: None,
            messages,
        }
    }

    pub(crate) fn keyed(&self, key: &str, body: u8) -> Submission {
        let mut submission = self.submission(vec![self.message("+14155550123")]);
        submission.idempotency = Some(Idempotency {
            route: "POST /messages/sms",
            key: key.to_owned(),
            fingerprint: [body; 32],
        });
        submission
    }

    pub(crate) async fn commit(&mut self, work: Work) -> Done {
        self.lane.commit(&work).await.unwrap()
    }

    pub(crate) async fn accept(&mut self, accepts: Vec<Submission>) -> Vec<AcceptAnswer> {
        self.commit(Work { accepts, ..Work::default() }).await.accepts
    }

    /// Accepts one message and answers its outbox row.
    pub(crate) async fn accepted(&mut self, message: NewMessage) -> OutboxRef {
        let class = message.category.class();
        let carrier = message.carrier;
        let submission = self.submission(vec![message]);
        let answer = self.accept(vec![submission]).await.remove(0).unwrap();
        let Accepted::Fresh { first, .. } = answer else { panic!("replayed") };
        OutboxRef { carrier, class, organization: self.organization, key: first }
    }

    pub(crate) async fn claim(&mut self, rows: &[OutboxRef]) -> Vec<bool> {
        let epoch = self.epoch;
        let claims = rows.iter().map(|row| Claim { row: *row, epoch }).collect();
        self.commit(Work { claims, ..Work::default() }).await.claims
    }

    pub(crate) fn result(&self, row: OutboxRef, segments: u8, outcome: Outcome) -> HandoffResult {
        HandoffResult {
            row,
            epoch: self.epoch,
            category: Category::Transactional,
            segments,
            unit_price: Micros(1_000),
            outcome,
        }
    }

    /// Accepts, claims and settles one message of one part.
    pub(crate) async fn sent(&mut self, to: &str, external_id: &str) -> OutboxRef {
        let row = self.accepted(self.message(to)).await;
        assert_eq!(self.claim(&[row]).await, [true]);
        let result = self.result(row, 1, sent(&[external_id]));
        self.commit(Work { results: vec![result], ..Work::default() }).await;
        row
    }

    pub(crate) fn receipt(&self, id: &str, status: Option<Status>) -> Receipt {
        Receipt {
            carrier: self.carrier,
            external_id: id.to_owned(),
            raw_id: id.to_owned(),
            status,
            reason: None,
            error: None,
            source: String::from("+14155550123"),
            destination: String::from("Orbit"),
        }
    }

    pub(crate) async fn status(&self, key: MessageKey) -> Status {
        let filter = store::Filter::default();
        let rows = self.store.messages(self.organization, &filter, key.0 + 1, 1).await.unwrap();
        assert_eq!(rows[0].key, key.0);
        Status::from_code(rows[0].status).unwrap()
    }

    pub(crate) async fn wallet(&self) -> (i64, i64) {
        let wallet = self.store.wallet(self.organization).await.unwrap().unwrap();
        (wallet.available, wallet.held)
    }

    pub(crate) async fn assert_books(&self) {
        assert_eq!(self.store.imbalances().await.unwrap(), []);
    }
}

pub(crate) fn sent(ids: &[&str]) -> Outcome {
    let parts =
        ids.iter().zip(1_u8..).map(|(id, part)| PartId { part, id: (*id).to_owned() }).collect();
    Outcome::Sent { parts, external_id: ids[0].to_owned() }
}

/// A batch of so many recipients, none of whom was refused before.
pub(crate) fn batch_of(count: usize) -> NewBatch {
    let places = (0..u32::try_from(count).unwrap()).collect();
    NewBatch { id: PublicId::new(At::now()), places, refused: Vec::new(), template: None }
}
