//! Who is registered where: bindings in memory, as the store has them.
//!
//! registrar    this file: the actor
//! ├ decide     one REGISTER: who asks, may it, and what is then bound
//! ├ table      the bindings, by credential, by connection and by the second in which they are over
//! └ rows       the same as rows
//!
//! Started by the supervisor of SIP, behind a gate. A change is stored before the 200 that tells of it; what
//! comes while a commit runs is stored together after it. When it dies nothing is lost but what nobody was
//! told: it reads the rows again, and keeps those whose flow is still there.

mod decide;
mod rows;
mod table;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use metrics::{Counter, counter};
use model::clock::At;
use proto_sip::binding::Policy;
use proto_sip::digest::{Algorithm, Counts, Nonces};
use proto_sip::transaction::ServerId;
use proto_sip::{Message, StatusCode};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use store::Store;
use store::lane::{BindingChange, Done, Registrant, Unbound, Work};

use self::decide::Decision;
pub use self::table::Reached;
use self::table::Table;
use super::credentials::Credentials;
use super::flow::Flow;
use super::shard::{ShardMsg, answer};
use super::transport::Wire;
use crate::gate::{Gate, Permit, Urgency};
use crate::writer::{Then, WriterHandle};

/// How often bindings that are over are looked for.
const TICK: Duration = Duration::from_secs(1);
/// Nonces whose counts are remembered.
const NONCES_MAX: usize = 200_000;
/// Changes that one transaction takes at the start, or when many bindings are over at once.
const CHANGES: usize = 1_000;

pub enum RegistrarMsg {
    Register(Vec<Asked>),
    /// A connection is gone, and what was reached over it.
    Lost(Flow),
    /// The bindings of a credential are void; the store knows.
    Void(Registrant),
    /// Where a credential is reached, the best first.
    Find {
        credential: i64,
        reply: RpcReplyPort<Vec<Reached>>,
    },
    /// (self) The database does not take these.
    NotStored(Vec<Unstored>),
    /// (self) A second has passed.
    Tick,
}

/// A binding as a REGISTER has made it, which is no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unstored {
    credential: i64,
    slot: u16,
    cseq: u32,
    /// There was none before it.
    is_new: bool,
}

/// A REGISTER, and whom to tell of it.
#[derive(Debug)]
pub struct Asked {
    pub shard: ActorRef<ShardMsg>,
    pub id: ServerId,
    pub flow: Flow,
    pub message: Message,
    pub permit: Permit,
}

/// How a registrar is asked, whichever life it is in. A clone is the same.
#[derive(Clone)]
pub struct RegistrarHandle(Arc<Handle>);

struct Handle {
    gate: Gate,
    current: RwLock<Option<ActorRef<RegistrarMsg>>>,
}

impl RegistrarHandle {
    /// So many REGISTERs may wait, for it or for the store.
    #[must_use]
    pub fn new(waiting_max: usize) -> Self {
        Self(Arc::new(Handle { gate: Gate::new(waiting_max), current: RwLock::new(None) }))
    }

    /// Room for one REGISTER.
    #[must_use]
    pub fn enter(&self) -> Option<Permit> {
        self.0.gate.enter(1, Urgency::Urgent).ok()
    }

    /// Asks; without a registrar nobody is answered, and telephones ask again.
    pub fn ask(&self, asked: Vec<Asked>) {
        self.tell(RegistrarMsg::Register(asked));
    }

    pub fn tell(&self, message: RegistrarMsg) {
        let current = self.0.current.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(registrar) = current.as_ref() {
            let _ = registrar.send_message(message);
        }
    }

    /// Where a credential is reached now, the best first; nothing while there is no registrar.
    pub async fn find(&self, credential: i64) -> Vec<Reached> {
        let Some(registrar) = self.current() else { return Vec::new() };
        let ask = |reply| RegistrarMsg::Find { credential, reply };
        match registrar.call(ask, Some(Duration::from_secs(2))).await {
            Ok(ractor::rpc::CallResult::Success(reached)) => reached,
            _ => Vec::new(),
        }
    }

    /// The one that lives.
    #[must_use]
    pub fn current(&self) -> Option<ActorRef<RegistrarMsg>> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn attach(&self, registrar: Option<ActorRef<RegistrarMsg>>) {
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = registrar;
    }
}

/// The behaviour.
pub struct Registrar;

/// What a registrar works with. A clone is the same.
#[derive(Clone)]
pub struct RegistrarArgs {
    pub wire: Wire,
    pub store: Store,
    pub writer: WriterHandle,
    pub credentials: Credentials,
    pub policy: Policy,
    pub nonces: Nonces,
    /// Offered in this order.
    pub algorithms: Vec<Algorithm>,
    /// What organizations' realms lie under.
    pub domain: Arc<str>,
    /// This life of the process: what its connections are called in rows.
    pub node: Arc<str>,
}

pub struct RegistrarState {
    me: ActorRef<RegistrarMsg>,
    args: RegistrarArgs,
    table: Table,
    counts: Counts,
    /// What is to be stored, and said once it is.
    changes: Vec<BindingChange>,
    answers: Answers,
    meters: Meters,
}

/// Answers, by shard.
#[derive(Default)]
struct Answers(Vec<Owed>);

/// What one shard is to say, and the places of what it answers.
struct Owed {
    shard: ActorRef<ShardMsg>,
    answers: Vec<Reply>,
    permits: Vec<Permit>,
}

/// An answer, and of which changes it tells.
struct Reply {
    id: ServerId,
    octets: Bytes,
    asked: Message,
    changes: Range<usize>,
}

impl Reply {
    /// What is said when this much of it is stored.
    fn said(self, stored: &[bool]) -> (ServerId, Bytes) {
        let is_stored = stored.get(self.changes).is_some_and(|all| !all.contains(&false));
        let octets = if is_stored {
            self.octets
        } else {
            let status = StatusCode::SERVER_INTERNAL_ERROR;
            answer(&self.asked, status, None, |_| {}).unwrap_or_default()
        };
        (self.id, octets)
    }
}

struct Meters {
    granted: Counter,
    challenged: Counter,
    denied: Counter,
    refused: Counter,
    failed: Counter,
}

impl Answers {
    fn add(&mut self, shard: ActorRef<ShardMsg>, reply: Reply, permit: Permit) {
        let own = self.0.iter_mut().find(|owed| owed.shard.get_id() == shard.get_id());
        match own {
            Some(owed) => {
                owed.answers.push(reply);
                owed.permits.push(permit);
            }
            None => {
                let (answers, permits) = (vec![reply], vec![permit]);
                self.0.push(Owed { shard, answers, permits });
            }
        }
    }

    fn send(self, stored: &[bool]) {
        for Owed { shard, answers, permits } in self.0 {
            let answers = answers.into_iter().map(|reply| reply.said(stored)).collect();
            let _ = shard.send_message(ShardMsg::Respond(answers));
            drop(permits);
        }
    }
}

impl Actor for Registrar {
    type Msg = RegistrarMsg;
    type State = RegistrarState;
    type Arguments = RegistrarArgs;

    async fn pre_start(
        &self,
        me: ActorRef<RegistrarMsg>,
        args: RegistrarArgs,
    ) -> Result<RegistrarState, ActorProcessingErr> {
        let table = Table::new(args.wire.clone());
        let meter = |what: &'static str| counter!("orbit_sip_registers_total", "outcome" => what);
        let meters = Meters {
            granted: meter("granted"),
            challenged: meter("challenged"),
            denied: meter("denied"),
            refused: meter("refused"),
            failed: meter("failed"),
        };
        let (changes, answers) = (Vec::new(), Answers::default());
        let counts = Counts::new(NONCES_MAX);
        Ok(RegistrarState { me, args, table, counts, changes, answers, meters })
    }

    async fn post_start(
        &self,
        me: ActorRef<RegistrarMsg>,
        state: &mut RegistrarState,
    ) -> Result<(), ActorProcessingErr> {
        state.load().await?;
        state.store();
        me.send_interval(TICK, || RegistrarMsg::Tick);
        Ok(())
    }

    async fn handle(
        &self,
        _me: ActorRef<RegistrarMsg>,
        message: RegistrarMsg,
        state: &mut RegistrarState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RegistrarMsg::Register(asked) => {
                asked.into_iter().for_each(|asked| state.register(asked));
            }
            RegistrarMsg::Lost(flow) => {
                let lost = state.table.lost(flow);
                state.removed(lost, Unbound::Lost);
            }
            RegistrarMsg::Void(of) => state.table.drop_all(of.credential),
            RegistrarMsg::Find { credential, reply } => {
                let _ = reply.send(state.table.find(credential, now_s()));
            }
            RegistrarMsg::NotStored(all) => state.not_stored(&all),
            RegistrarMsg::Tick => {
                let over = state.table.expire(now_s());
                state.removed(over, Unbound::Expired);
            }
        }
        state.store();
        Ok(())
    }
}

impl RegistrarState {
    fn register(&mut self, asked: Asked) {
        let Asked { shard, id, flow, message, permit } = asked;
        let meters = &self.meters;
        let decision = decide::decide(&self.args, &mut self.counts, &self.table, flow, &message);
        match decision {
            Decision::Answer { octets, what } => {
                match what {
                    decide::What::Challenged => meters.challenged.increment(1),
                    decide::What::Denied => meters.denied.increment(1),
                    decide::What::Refused => meters.refused.increment(1),
                    decide::What::Told => meters.granted.increment(1),
                }
                let _ = shard.send_message(ShardMsg::Respond(vec![(id, octets)]));
                drop(permit);
            }
            Decision::Bind { octets, bound } => {
                meters.granted.increment(1);
                let first = self.changes.len();
                self.changes.extend(self.table.bind(&bound, flow, &self.args.node));
                let changes = first..self.changes.len();
                self.answers.add(shard, Reply { id, octets, asked: message, changes }, permit);
            }
        }
    }

    fn removed(&mut self, gone: Vec<table::Gone>, why: Unbound) {
        let removed = |gone: table::Gone| gone.change(why);
        self.changes.extend(gone.into_iter().map(removed));
    }

    /// What no row says is not bound: who asked for it hears 500.
    fn not_stored(&mut self, all: &[Unstored]) {
        self.meters.failed.increment(all.len() as u64);
        for one in all {
            let Some(gone) = self.table.take_back(one) else { continue };
            // Its row says what was before, which does not count any more either.
            if !one.is_new {
                self.removed(vec![gone], Unbound::Dropped);
            }
        }
    }

    /// Gives what has changed to the writer; who asked hears of it after the commit.
    fn store(&mut self) {
        if self.changes.is_empty() {
            return std::mem::take(&mut self.answers).send(&[]);
        }
        let answers = std::mem::take(&mut self.answers);
        let mut rest = std::mem::take(&mut self.changes);
        let made: Vec<Option<Unstored>> = rest.iter().map(rows::made).collect();
        // Of the pieces that go before the last one, which has the answers.
        let stored: Arc<Mutex<Vec<bool>>> = Arc::default();
        while rest.len() > CHANGES {
            let bindings: Vec<BindingChange> = rest.drain(..CHANGES).collect();
            let work = Work { bindings, ..Work::default() };
            let all = Arc::clone(&stored);
            // The writer stores in the order in which it is asked.
            let asked = self.args.writer.ask(
                work,
                Then::new(move |mut done| {
                    all.lock().unwrap_or_else(PoisonError::into_inner).append(&mut done.bindings);
                }),
            );
            if asked.is_err() {
                // Without a writer nobody is answered, and telephones ask again.
                return;
            }
        }
        let (me, work) = (self.me.clone(), Work { bindings: rest, ..Work::default() });
        let then = move |mut done: Done| {
            let mut all =
                std::mem::take(&mut *stored.lock().unwrap_or_else(PoisonError::into_inner));
            all.append(&mut done.bindings);
            let lost = all.iter().zip(made).filter(|(stored, _)| !**stored);
            let lost: Vec<Unstored> = lost.filter_map(|(_, made)| made).collect();
            if !lost.is_empty() {
                let _ = me.send_message(RegistrarMsg::NotStored(lost));
            }
            answers.send(&all);
        };
        let _ = self.args.writer.ask(work, Then::new(then));
    }

    async fn load(&mut self) -> Result<(), ActorProcessingErr> {
        self.args.wire.shield().forget_registered();
        let (mut credential, mut key) = (0, String::new());
        loop {
            let page = self.args.store.sip_bindings((credential, &key), CHANGES as i64).await?;
            let Some(last) = page.last() else { return Ok(()) };
            (credential, key) = (last.credential_id, last.binding.clone());
            for row in &page {
                match rows::read(row, &self.args, now_s()) {
                    Ok((binding, reach, of)) => self.table.load(of, binding, reach),
                    Err(change) => self.changes.extend(change),
                }
            }
        }
    }
}

/// Seconds of the wall clock, as bindings are counted in.
fn now_s() -> u64 {
    u64::try_from(At::now().micros() / 1_000_000).unwrap_or_default()
}
