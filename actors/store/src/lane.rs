//! A lane: the one writer. Takes a batch of work, makes it one transaction, says what became of it.
//!
//! Tables: all but the accounts' cold ones. The writer actor owns a lane and feeds it; whatever
//! arrives while a commit runs is the next batch. A batch that fails changed nothing, and is fed
//! again in halves by its owner. Inside a transaction the order is: administration, accepts,
//! fires, claims, results, calls, receipts, inbound; then the log and the ledger, once for all.

mod accept;
mod accounts;
mod admin;
mod batches;
mod bindings;
mod blocked;
mod calls;
mod caps;
mod carriers;
mod change;
mod claims;
mod compliance;
mod consent;
mod divert;
mod fire;
mod gates;
mod handoff;
mod idempotency;
pub(crate) mod inbound;
mod interceptors;
mod joining;
mod keywords;
mod masked;
mod numbers;
mod owed;
mod policies;
mod pools;
mod previews;
mod protection;
mod proxy;
mod receipts;
mod recordings;
mod renewals;
mod retire;
mod routing;
mod runs;
mod sent;
mod sip;
mod smpp;
mod sweep;
mod templates;
mod trunks;
mod webhooks;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::message::Status;
use model::money::Micros;
use model::policy::Policy;
use model::protection::{Overrides, Protection};
use model::voice::Bounds;

use crate::bulk::{Bulk, Column, Conn};
use crate::disk::Disk;
use crate::error::StoreError;

pub use admin::{Admin, AdminDone, NewKey};
pub use bindings::{Binding, BindingChange, Registrant, Unbound};
pub use calls::{
    CallChange, CallDone, Closing, LOST_MAX, LostCalls, NewCall, Opened, Progress, Renewal,
    Transferred,
};
pub use caps::{CapChange, CapDone, CapPatch, NewCap};
pub use carriers::{CarrierChange, CarrierDone};
pub use change::{CancelFate, Edit};
pub use compliance::{Compliance, Complied, ImportState, ImportStatus, Lift, NewSuppression};
pub use consent::NewConsent;
pub use fire::{Fire, FireFate};
pub use inbound::{Inbound, InboundFate, InboundPart};
pub use interceptors::InterceptorChange;
pub use numbers::{NewNumber, NumberChange, NumberDone, NumberSettings};
pub use owed::Owed;
pub use policies::{DncEntry, PolicyChange, PolicyDone, RndEntry, SenderCountry};
pub use pools::{NewPool, PoolChange, PoolDone};
pub use previews::{Foreseen, PreviewAnswer};
pub use proxy::{NewProxySession, ProxyChange, ProxyDone};
pub use receipts::{Alternatives, Dropped, Receipt, ReceiptFate};
pub use recordings::{NewRecording, RecordingChange, RecordingDone, RecordingEnd};
pub use renewals::{RenewNumbers, Renewed};
pub use retire::{Gone, Retire};
pub use sip::{SipChange, SipDone, SipHashes, SipSettings};
pub use smpp::{SmppChange, SmppCursor, SmppSettings};
pub use sweep::Overdue;
pub use templates::{TemplateChange, TemplateDone, TemplatePatch, TemplateText};
pub use trunks::{NewTrunk, TrunkChange, TrunkDone, TrunkPassword};
pub use webhooks::{
    AttemptLog, DeliveryRecord, DeliveryState, Record, ReplayEvent, Resume, WebhookChange,
    WebhookDone, WebhookFields,
};
pub use work::{
    AcceptAnswer, Accepted, Claim, Done, Fate, Grant, HandoffResult, OutboxRef, Outcome, PartId,
    Quarantined, Work,
};

/// The writer's side of a store. One per store and process life.
pub struct Lane {
    conn: Conn,
    id: i64,
    next: i64,
    alternatives: Alternatives,
    /// Parked receipts by carrier, so that a result looks for one only where there may be one.
    parked: HashMap<CarrierId, i64>,
    /// So many of one carrier; of more the oldest go.
    parked_max: i64,
    id_rules: HashMap<CarrierId, i64>,
    /// No other process writes events beside this lane.
    alone: bool,
    /// The epoch of each carrier's owner: an earlier one's grants are void.
    epochs: HashMap<CarrierId, i64>,
    /// The last line of each organization's log that is owed to an SMPP account.
    last_owed: HashMap<OrgId, i64>,
    /// Organizations with frequency caps: nobody else's sends look at any.
    capped: HashSet<OrgId>,
    /// Organizations with sender pools: nobody else's ends give places back.
    pooling: HashSet<OrgId>,
    /// Whose turn it is in each pool.
    taken: gates::Taken,
    /// The pool whose memory was swept last.
    swept_pool: i64,
    guards: protection::Guards,
    /// What bounds each organization's calls, and how many there are.
    bounds: Bounds,
    calls: calls::Tally,
    swept: gates::Swept,
    minute: gates::Minute,
    /// The hour of an organization's last alert of a kind.
    alerted: HashMap<(OrgId, i64), i64>,
    /// The policies that switch something on.
    policies: HashMap<OrgId, Arc<Policy>>,
    /// Organizations whose suppression list may hold something.
    suppressing: HashSet<OrgId>,
    /// Set for the second run of a batch in which a result had lost its row.
    checked: bool,
    /// Whose log has grown since it was last asked.
    touched: Vec<OrgId>,
}

/// How a lane is opened.
pub(crate) struct Terms {
    /// No other process writes beside it.
    pub(crate) alone: bool,
    /// Parked receipts of one carrier.
    pub(crate) parked_max: i64,
    pub(crate) protection: Protection,
    pub(crate) bounds: Bounds,
}

/// What one transaction gathers for the log and the ledger.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) events: Vec<EventRow>,
    /// The lowest and the highest key of the messages made for each organization.
    pub(crate) made: HashMap<OrgId, (i64, i64)>,
    pub(crate) transfers: Vec<Transfer>,
    /// Changes of wallets: available, held.
    pub(crate) wallets: HashMap<OrgId, (Micros, Micros)>,
    /// Changes to `Lane::parked` that hold once committed.
    pub(crate) parked: HashMap<CarrierId, i64>,
    pub(crate) dropped: Vec<Dropped>,
    pub(crate) id_rules: HashMap<CarrierId, i64>,
    pub(crate) epochs: HashMap<CarrierId, i64>,
    /// Accounts of which nothing is kept in memory, once committed.
    pub(crate) settled: Vec<CarrierId>,
    pub(crate) intended: Vec<MessageKey>,
    /// Messages that were handed over, with their carriers' ids. Their rows say so with the receipts
    /// of the same transaction, in one change.
    pub(crate) sent: HashMap<MessageKey, String>,
    /// What is known of the messages of `events`, by place: of an SMPP account's, what it is owed.
    pub(crate) owed: Vec<(usize, Option<owed::OwedMessage>)>,
    /// Whether organizations have frequency caps, once committed.
    pub(crate) capped: HashMap<OrgId, bool>,
    /// Whether organizations have sender pools, once committed.
    pub(crate) pooling: HashMap<OrgId, bool>,
    pub(crate) protected: HashMap<OrgId, Overrides>,
    pub(crate) alerted: HashMap<(OrgId, i64), i64>,
    counted: gates::Counted,
    /// How many calls more each organization has, once committed.
    calls: calls::Tally,
    pub(crate) policies: HashMap<OrgId, Arc<Policy>>,
    /// Whose messages ended before a carrier had them, each once per message.
    pub(crate) blocked: Vec<OrgId>,
    pub(crate) replies_due: bool,
}

pub(crate) struct EventRow {
    pub(crate) organization: OrgId,
    pub(crate) message: MessageKey,
    pub(crate) kind: EventKind,
    pub(crate) status: Status,
    pub(crate) detail: Option<String>,
}

/// A row of the ledger: `amount` goes from `debit` to `credit`.
pub(crate) struct Transfer {
    pub(crate) organization: OrgId,
    pub(crate) message: Option<MessageKey>,
    pub(crate) kind: crate::ledger::TransferKind,
    pub(crate) amount: Micros,
    pub(crate) note: Option<String>,
}

impl Gathered {
    pub(crate) fn transfer(&mut self, transfer: Transfer) {
        use crate::ledger::TransferKind::{Hold, NumberRental, Release, Settle, TopUp};
        if transfer.amount == Micros::ZERO {
            return;
        }
        let amount = transfer.amount;
        let (available, held) = self.wallets.entry(transfer.organization).or_default();
        match transfer.kind {
            TopUp => *available += amount,
            NumberRental => *available -= amount,
            Hold => {
                *available -= amount;
                *held += amount;
            }
            Settle => *held -= amount,
            Release => {
                *held -= amount;
                *available += amount;
            }
        }
        self.transfers.push(transfer);
    }
}

impl Lane {
    pub(crate) async fn open(
        mut conn: Conn,
        alternatives: Alternatives,
        terms: Terms,
    ) -> Result<Self, StoreError> {
        let Terms { alone, parked_max, protection, bounds } = terms;
        let id = conn.fetch(&NEW_LANE, &[Column::Int(vec![At::now().micros()])]).await?;
        let id = id.first().ok_or(StoreError::Impossible("a lane without a number"))?.int(0)?;
        conn.settle()?;
        let one = [Column::Int(vec![0])];
        let mut parked = HashMap::new();
        for line in conn.fetch(&receipts::PARKED_COUNTS, &one).await? {
            parked.insert(CarrierId(line.int(0)?), line.int(1)?);
        }
        let mut id_rules = HashMap::new();
        for line in conn.fetch(&ID_RULES, &one).await? {
            id_rules.insert(CarrierId(line.int(0)?), line.int(1)?);
        }
        let mut epochs = HashMap::new();
        for line in conn.fetch(&EPOCHS, &one).await? {
            epochs.insert(CarrierId(line.int(0)?), line.int(1)?);
        }
        let capped = gates::capped(&mut conn).await?;
        let pooling = pools::pooling(&mut conn).await?;
        let guards = protection::Guards::read(&mut conn, protection).await?;
        let policies = policies::load(&mut conn).await?;
        let calls = calls::Tally::read(&mut conn).await?;
        let mut lane = Self {
            conn,
            id,
            next: 0,
            alternatives,
            parked,
            parked_max,
            id_rules,
            alone,
            epochs,
            last_owed: HashMap::new(),
            capped,
            pooling,
            taken: gates::Taken::default(),
            swept_pool: 0,
            guards,
            bounds,
            calls,
            swept: gates::Swept::default(),
            minute: gates::Minute::default(),
            alerted: HashMap::new(),
            policies,
            suppressing: HashSet::new(),
            checked: false,
            touched: Vec::new(),
        };
        lane.read_suppressing().await?;
        Ok(lane)
    }

    /// The number of this life of the writer: the high bits of its keys.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.id
    }

    /// The organizations whose log has grown since this was last asked.
    pub fn take_touched(&mut self) -> Vec<OrgId> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable_by_key(|organization| organization.0);
        touched.dedup();
        touched
    }

    /// One transaction for all of it, on the disk when this returns. An error means that nothing was
    /// stored, except [`StoreError::Unknown`], where nobody can say.
    pub async fn commit(&mut self, work: &Work) -> Result<Done, StoreError> {
        let done = self.commit_ahead(work).await?;
        self.disk().reach()?;
        Ok(done)
    }

    /// How what this lane has committed gets to the disk.
    #[must_use]
    pub fn disk(&self) -> Disk {
        self.conn.disk()
    }

    /// The same, but nobody is to be told of it before [`Disk::reach`], asked for after this, says that
    /// it is on the disk. The next transaction need not wait for that.
    pub async fn commit_ahead(&mut self, work: &Work) -> Result<Done, StoreError> {
        let previews = self.previews(&work.previews).await?;
        self.checked = false;
        let mut answer = self.transact(work).await;
        if let Err(StoreError::Stale) = answer {
            self.checked = true;
            answer = self.transact(work).await;
        }
        answer.map(|done| Done { previews, ..done })
    }

    async fn transact(&mut self, work: &Work) -> Result<Done, StoreError> {
        let now = At::now();
        self.conn.begin().await?;
        self.taken.begin();
        let mut gathered = Gathered::default();
        let done = match self.write(work, now, &mut gathered).await {
            Ok(done) => done,
            Err(error) => {
                // A server that has fallen silent would be waited for once more.
                if !matches!(error, StoreError::Unknown(_)) {
                    self.conn.abandon().await;
                }
                return Err(error);
            }
        };
        if let Err(error) = self.conn.commit().await {
            return Err(self.failed_commit(error).await);
        }
        for (carrier, change) in gathered.parked {
            *self.parked.entry(carrier).or_default() += change;
        }
        self.parked.retain(|_, count| *count > 0);
        self.id_rules.extend(gathered.id_rules);
        self.epochs.extend(gathered.epochs);
        for carrier in &gathered.settled {
            self.id_rules.remove(carrier);
            self.epochs.remove(carrier);
        }
        self.last_owed.extend(done.owed.iter().map(|owed| (owed.organization, owed.to)));
        self.guards.own.extend(gathered.protected);
        self.alerted.extend(gathered.alerted);
        self.minute.add(gathered.counted);
        self.calls.take_over(gathered.calls, now);
        take_over(&mut self.capped, gathered.capped);
        take_over(&mut self.pooling, gathered.pooling);
        self.taken.committed();
        for event in &gathered.events {
            if self.touched.last() != Some(&event.organization) {
                self.touched.push(event.organization);
            }
        }
        self.remember_policies(gathered.policies);
        Ok(done)
    }

    async fn failed_commit(&mut self, error: StoreError) -> StoreError {
        match (&self.conn, &error) {
            // SQLite keeps the transaction open when COMMIT fails; undoing it makes that certain.
            (Conn::Sqlite(..), _) | (_, StoreError::Database(sqlx::Error::Database(_))) => {
                self.conn.abandon().await;
                error
            }
            (_, StoreError::Unknown(_)) => error,
            _ => StoreError::Unknown(Box::new(error)),
        }
    }

    async fn write(
        &mut self,
        work: &Work,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Done, StoreError> {
        let admin = self.administer(&work.admin, now, gathered).await?;
        let accepts = self.accept(&work.accepts, &work.grants, now, gathered).await?;
        let fires = self.fire(&work.fires, now, gathered).await?;
        let claims = self.claim(&work.claims, now, gathered).await?;
        let (results, early) = self.results(&work.results, now, gathered).await?;
        let calls = self.book_calls(&work.calls, now, gathered).await?;
        let receipts = self.receipts(&work.receipts, early, now, gathered).await?;
        self.write_sent(now, gathered).await?;
        let inbound = self.inbound(&work.inbound, now, gathered).await?;
        if let Some(before) = work.join_before {
            self.give_up_joining(before, now, gathered).await?;
        }
        if let Some(before) = work.partly_before {
            self.settle_partly(before, now, gathered).await?;
        }
        self.overdue(&work.overdue, now, gathered).await?;
        self.quarantine(&work.quarantine, now).await?;
        self.move_cursors(&work.smpp_cursors).await?;
        self.bind(&work.bindings, gathered).await?;
        self.housekeeping(work, now, gathered).await?;
        self.forget_hits_of(gathered).await?;
        self.give_places_back_of(gathered).await?;
        self.retire(&work.retire, now).await?;
        let seqs = self.log(gathered, now).await?;
        let owed = self.owed(gathered, &seqs, now);
        let blocked = std::mem::take(&mut gathered.blocked);
        let intended = std::mem::take(&mut gathered.intended);
        let dropped = std::mem::take(&mut gathered.dropped);
        let replies_due = gathered.replies_due;
        Ok(Done {
            at: now,
            admin,
            accepts,
            intended,
            fires,
            claims,
            results,
            calls,
            receipts,
            inbound,
            owed,
            blocked,
            dropped,
            replies_due,
            previews: Vec::new(),
            bindings: vec![true; work.bindings.len()],
        })
    }

    /// A fresh number in this lane.
    pub(crate) fn number(&mut self) -> i64 {
        self.next += 1;
        self.id << 40 | self.next
    }

    /// Writes the gathered events, transfers and wallets; gives the numbers of the events.
    async fn log(&mut self, gathered: &Gathered, now: At) -> Result<Vec<i64>, StoreError> {
        let wallets: Vec<_> =
            gathered.wallets.iter().filter(|(_, change)| **change != Default::default()).collect();
        if !wallets.is_empty() {
            let columns = [
                Column::Int(wallets.iter().map(|(org, _)| org.0).collect()),
                Column::Int(wallets.iter().map(|(_, change)| change.0.0).collect()),
                Column::Int(wallets.iter().map(|(_, change)| change.1.0).collect()),
            ];
            let touched = self.conn.run(&UPDATE_WALLETS, &columns).await?;
            if touched != wallets.len() as u64 {
                return Err(StoreError::Impossible("an organization without a wallet"));
            }
        }
        let transfers = &gathered.transfers;
        if !transfers.is_empty() {
            let columns = [
                Column::Int(transfers.iter().map(|t| t.organization.0).collect()),
                Column::Int(transfers.iter().map(|_| self.number()).collect()),
                Column::MaybeInt(transfers.iter().map(|t| t.message.map(|m| m.0)).collect()),
                Column::Int(transfers.iter().map(|t| t.kind.code()).collect()),
                Column::Int(transfers.iter().map(|t| t.kind.accounts().0.code()).collect()),
                Column::Int(transfers.iter().map(|t| t.kind.accounts().1.code()).collect()),
                Column::Int(transfers.iter().map(|t| t.amount.0).collect()),
                Column::Same(now.micros(), transfers.len()),
                Column::MaybeText(transfers.iter().map(|t| t.note.as_deref()).collect()),
            ];
            self.conn.run(&INSERT_LEDGER, &columns).await?;
        }
        let events = &gathered.events;
        let wanted: Vec<(OrgId, usize)> = events.iter().map(|e| (e.organization, 1)).collect();
        let seqs = self.numbers_for(&wanted);
        let mut lines: Vec<(i64, &EventRow)> = seqs.iter().copied().zip(events).collect();
        lines.sort_unstable_by_key(|(seq, _)| *seq);
        if !lines.is_empty() {
            let columns = [
                Column::Int(lines.iter().map(|(seq, _)| *seq).collect()),
                Column::Int(lines.iter().map(|(_, e)| e.organization.0).collect()),
                Column::Int(lines.iter().map(|(_, e)| e.message.0).collect()),
                Column::Int(lines.iter().map(|(_, e)| e.kind.code()).collect()),
                Column::Int(lines.iter().map(|(_, e)| e.status.code()).collect()),
                Column::Same(now.micros(), lines.len()),
                Column::MaybeText(lines.iter().map(|(_, e)| e.detail.as_deref()).collect()),
            ];
            self.conn.run(&INSERT_EVENTS, &columns).await?;
        }
        self.keep_runs(gathered, &lines).await?;
        Ok(seqs)
    }

    async fn quarantine(&mut self, items: &[Quarantined], now: At) -> Result<(), StoreError> {
        if items.is_empty() {
            return Ok(());
        }
        let columns = [
            Column::Int(items.iter().map(|_| self.number()).collect()),
            Column::MaybeInt(items.iter().map(|q| q.carrier.map(|c| c.0)).collect()),
            Column::MaybeInt(items.iter().map(|q| q.message.map(|m| m.0)).collect()),
            Column::Text(items.iter().map(|q| q.reason.as_str()).collect()),
            Column::Text(items.iter().map(|q| q.item.as_str()).collect()),
            Column::Int(vec![now.micros(); items.len()]),
        ];
        self.conn.run(&INSERT_QUARANTINE, &columns).await?;
        Ok(())
    }
}

/// Who is among these from now on, and who is not any more.
fn take_over(those: &mut HashSet<OrgId>, changes: HashMap<OrgId, bool>) {
    for (organization, belongs) in changes {
        if belongs {
            those.insert(organization);
        } else {
            those.remove(&organization);
        }
    }
}

static NEW_LANE: Bulk = Bulk {
    sqlite: "insert into lanes (started_at) values (?1) returning id",
    postgres: "insert into lanes (started_at) select * from unnest($1::bigint[]) returning id",
};

static ID_RULES: Bulk = Bulk {
    sqlite: "select id, id_rule from carriers
         where id_rule is not null and settled_at is null and ?1 is not null",
    postgres: "select id, id_rule from carriers, unnest($1::bigint[])
         where id_rule is not null and settled_at is null",
};

static EPOCHS: Bulk = Bulk {
    sqlite: "select id, epoch from carriers where settled_at is null and ?1 is not null",
    postgres: "select id, epoch from carriers, unnest($1::bigint[]) where settled_at is null",
};

static UPDATE_WALLETS: Bulk = Bulk {
    sqlite: "update wallets set available = available + ?2, held = held + ?3
         where organization_id = ?1",
    postgres: "update wallets set available = available + v.a, held = held + v.h
         from unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (o, a, h)
         where organization_id = v.o",
};

static INSERT_LEDGER: Bulk = Bulk {
    sqlite: "insert into ledger
            (organization_id, seq, message_key, kind, debit, credit, amount, at, note)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    postgres: "insert into ledger
            (organization_id, seq, message_key, kind, debit, credit, amount, at, note)
         select unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]),
            unnest($4::bigint[]), unnest($5::bigint[]), unnest($6::bigint[]), unnest($7::bigint[]),
            $8::bigint, unnest($9::text[])",
};

static INSERT_EVENTS: Bulk = Bulk {
    sqlite: "insert into events (seq, organization_id, message_key, kind, status, at, detail)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    postgres: "insert into events (seq, organization_id, message_key, kind, status, at, detail)
         select unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]),
            unnest($4::bigint[]), unnest($5::bigint[]), $6::bigint, unnest($7::text[])",
};

static INSERT_QUARANTINE: Bulk = Bulk {
    sqlite: "insert into quarantine (seq, carrier_id, message_key, reason, item, at)
         values (?1, ?2, ?3, ?4, ?5, ?6)",
    postgres: "insert into quarantine (seq, carrier_id, message_key, reason, item, at)
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[],
            $6::bigint[])",
};
