//! The store alone: accepts, and whole lives (accept, claim, result, receipt), batch after batch.
//!
//! No switch runs. The figure is the ceiling for everything that goes through one lane.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use model::api_key::Mode;
use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::message::{Category, Encoding, Status};
use model::money::Micros;
use model::route::RouteNote;
use model::submission::{Credential, Idempotency, NewMessage, SendOptions, Submission};
use serde_json::{Value, json};
use store::lane::{
    Accepted, Admin, AdminDone, Claim, HandoffResult, NewKey, OutboxRef, Outcome, PartId, Receipt,
    Work,
};
use store::{Lane, Options, Store};

use crate::process;

/// Measures the accept lane and whole message lives, without a switch around it.
#[derive(Args)]
pub(crate) struct StoreArgs {
    /// `sqlite://PATH` or `postgres://…` of an empty database.
    #[arg(long)]
    url: String,
    /// Messages a transaction takes of each kind.
    #[arg(long, default_value_t = 500)]
    batch: usize,
    #[arg(long, default_value_t = 60_000)]
    messages: usize,
    /// With an idempotency key on each send.
    #[arg(long)]
    keys: bool,
}

/// What is known of a batch until its next phase.
struct Flight {
    first: MessageKey,
    count: usize,
}

struct Bench {
    lane: Lane,
    organization: OrgId,
    api_key: i64,
    carrier: CarrierId,
    epoch: i64,
    keys: bool,
    sent: usize,
}

pub(crate) async fn run(args: StoreArgs) -> Result<Option<Value>> {
    if args.batch == 0 || args.messages == 0 {
        bail!("--batch and --messages must be positive");
    }
    let store = Store::open(Options::new(&args.url)).await.context("opening the store")?;
    let mut bench = Bench::new(&store, args.keys).await?;
    let rounds = args.messages.div_ceil(args.batch);
    bench.accept(args.batch).await?;

    let cpu = process::cpu_micros(std::process::id());
    let started = Instant::now();
    for _ in 0..rounds {
        bench.accept(args.batch).await?;
    }
    let accepts = rate(rounds * args.batch, started);
    let accept_cpu = process::cpu_micros(std::process::id()) - cpu;

    let cpu = process::cpu_micros(std::process::id());
    let started = Instant::now();
    let mut claimed: Option<Flight> = None;
    let mut answered: Option<Flight> = None;
    let mut fresh: Option<Flight> = None;
    for _ in 0..rounds + 3 {
        let done = bench.life(args.batch, fresh.take(), claimed.take(), answered.take()).await?;
        (fresh, claimed, answered) = done;
    }
    let lives = rate(rounds * args.batch, started);
    let life_cpu = process::cpu_micros(std::process::id()) - cpu;
    let count = (rounds * args.batch) as u64;
    Ok(Some(json!({
        "scenario": "store",
        "url": args.url.split(':').next(),
        "batch": args.batch,
        "accepts_per_s": accepts,
        "accept_cpu_us": accept_cpu / count,
        "lives_per_s": lives,
        "life_cpu_us": life_cpu / count,
    })))
}

fn rate(count: usize, started: Instant) -> u64 {
    let seconds = started.elapsed().as_secs_f64();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate for people"
    )]
    let rate = (count as f64 / seconds) as u64;
    rate
}

impl Bench {
    async fn new(store: &Store, keys: bool) -> Result<Self> {
        let mut lane = store.lane(|_| Vec::new(), true).await?;
        let key = NewKey {
            id: PublicId::new(At::now()),
            hash: rand::random(),
            mode: Mode::Live,
            scopes: String::from("*"),
            name: String::from("load"),
            last4: String::from("load"),
        };
        let create = Admin::CreateOrganization {
            id: PublicId::new(At::now()),
            name: String::from("load"),
            credit: Micros::TOP_UP_MAX,
            sandbox: false,
            key: NewKey { id: PublicId::new(At::now()), hash: rand::random(), ..key.clone() },
        };
        let own = Admin::OwnCarrier { name: String::from("load") };
        let done = lane.commit(&Work { admin: vec![create, own], ..Work::default() }).await?.admin;
        let [AdminDone::Organization(organization), AdminDone::Carrier { id, epoch, .. }] =
            done[..]
        else {
            bail!("unexpected answers {done:?}");
        };
        let create = Admin::CreateKey { organization, key };
        let done = lane.commit(&Work { admin: vec![create], ..Work::default() }).await?.admin;
        let [AdminDone::Key(api_key)] = done[..] else { bail!("unexpected answers {done:?}") };
        Ok(Self { lane, organization, api_key, carrier: id, epoch, keys, sent: 0 })
    }

    fn submissions(&mut self, count: usize) -> Vec<Submission> {
        let now = At::now();
        (0..count)
            .map(|_| {
                self.sent += 1;
                let idempotency = self.keys.then(|| Idempotency {
                    route: "POST /messages/sms",
                    key: format!("load-key-{:012}", self.sent),
                    fingerprint: [7; 32],
                });
                Submission {
                    organization: self.organization,
                    credential: Credential::ApiKey(self.api_key),
                    idempotency,
                    batch: None,
                    messages: vec![NewMessage {
                        id: PublicId::new(now),
                        to: format!("+1415{:07}", self.sent % 10_000_000),
                        from: String::from("Orbit"),
                        from_ton: 5,
                        body: String::from("Your parcel arrives today between 10 and 12."),
                        encoding: Encoding::Gsm7,
                        segments: 1,
                        category: Category::Transactional,
                        unit_price: Micros(7_900),
                        mccmnc: None,
                        carrier: self.carrier,
                        route: RouteNote::plain("default"),
                        metadata: None,
                        test: false,
                        options: SendOptions::default(),
                    }],
                }
            })
            .collect()
    }

    async fn accept(&mut self, count: usize) -> Result<()> {
        let accepts = self.submissions(count);
        self.lane.commit(&Work { accepts, ..Work::default() }).await?;
        Ok(())
    }

    fn rows(&self, flight: &Flight) -> Vec<OutboxRef> {
        (0_i64..)
            .take(flight.count)
            .map(|n| OutboxRef {
                carrier: self.carrier,
                class: 1,
                organization: self.organization,
                key: MessageKey(flight.first.0 + n),
            })
            .collect()
    }

    /// One transaction with a batch in each of the four phases of its life.
    async fn life(
        &mut self,
        count: usize,
        fresh: Option<Flight>,
        claimed: Option<Flight>,
        answered: Option<Flight>,
    ) -> Result<(Option<Flight>, Option<Flight>, Option<Flight>)> {
        let mut work = Work { accepts: self.submissions(count), ..Work::default() };
        if let Some(flight) = &fresh {
            let epoch = self.epoch;
            work.claims = self.rows(flight).into_iter().map(|row| Claim { row, epoch }).collect();
        }
        if let Some(flight) = &claimed {
            work.results = self.rows(flight).into_iter().map(|row| self.sent(row)).collect();
        }
        if let Some(flight) = &answered {
            work.receipts = self.rows(flight).into_iter().map(|row| self.receipt(row)).collect();
        }
        let done = self.lane.commit(&work).await?;
        let Some(Ok(Accepted::Fresh { first, .. })) = done.accepts.first() else {
            bail!("an accept was refused");
        };
        Ok((Some(Flight { first: *first, count }), fresh, claimed))
    }

    fn sent(&self, row: OutboxRef) -> HandoffResult {
        let id = format!("{:x}", row.key.0);
        HandoffResult {
            row,
            epoch: self.epoch,
            category: Category::Transactional,
            segments: 1,
            unit_price: Micros(7_900),
            outcome: Outcome::Sent {
                parts: vec![PartId { part: 1, id: id.clone() }],
                external_id: id,
            },
        }
    }

    fn receipt(&self, row: OutboxRef) -> Receipt {
        let id = format!("{:x}", row.key.0);
        Receipt {
            carrier: self.carrier,
            external_id: id.clone(),
            raw_id: id,
            status: Some(Status::Delivered),
            reason: None,
            error: None,
            source: String::new(),
            destination: String::new(),
        }
    }
}
