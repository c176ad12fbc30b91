//! The owner of a carrier account: who goes next, how fast, and what became of it.
//!
//! Started by the carrier's supervisor with a new epoch, alone for its account. It has an intent
//! stored before a message goes to a bind, and a result stored after; it keeps at most two windows
//! of intents without result, so that a crash leaves no more in doubt. All it holds can be read
//! again from its rows. It never waits: tasks of its own read the store.

mod bind_view;
mod divert;
mod expiry;
mod flight;
mod flow;
mod grant;
mod loading;
mod ready;
mod telling;
mod view;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use proto_smpp::BindKind;
use proto_smpp::pacing::Even;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use store::Store;
use store::lane::{Fate, OutboxRef};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::backlog::{Backlog, Load};
use super::bind::{Answered, BindMsg};
use super::hand::Condemned;
use super::job::Job;
use super::profile::Profile;
use crate::directory::{Directory, Listed};
use crate::traffic::router::Detours;
use crate::writer::WriterHandle;
pub use bind_view::{BindStanding, BindView};
use divert::Diverting;
use flight::Flight;
use ready::Ready;
pub use view::{CarrierView, Views};

/// Jobs of one organization and class kept in memory.
const PER_FLOW_MAX: usize = 20_000;
/// Jobs of one carrier kept in memory.
const IN_MEMORY_MAX: usize = 100_000;
/// Jobs that wait for another try; past it no new ones are begun.
const RESTING_MAX: usize = 20_000;

#[derive(Debug)]
pub enum OwnerMsg {
    /// These were just committed.
    Announced(Vec<Job>),
    /// These came from another carrier, and are stored with us.
    Diverted(Vec<Job>),
    /// (self) Of what waited here, so many were moved to others.
    Moved(usize),
    /// These were just committed with an intent of ours, in room that we granted.
    Intended(Vec<Job>),
    /// Of the room we granted this much was taken and not used.
    Unused(usize),
    /// These were stopped before we claimed them.
    Cancelled(Vec<OutboxRef>),
    /// A bind of ours can send.
    Up {
        slot: usize,
        bind: ActorRef<BindMsg>,
    },
    /// It cannot any more; these are what it never got an answer to.
    Down {
        slot: usize,
        why: String,
        answers: Vec<Answered>,
    },
    /// A bind died: what it had is in doubt.
    SlotLost {
        slot: usize,
    },
    Answers {
        slot: usize,
        answers: Vec<Answered>,
    },
    /// This message has killed its bind twice.
    Condemned(MessageKey),
    /// Take no new work until told otherwise; answers when it is stored.
    Pause {
        paused: bool,
    },
    /// Finish what is under way, then answer: nothing is left with a bind.
    Drain(RpcReplyPort<()>),
    /// (self) Intents are stored, or not ours.
    Claimed(Vec<(Arc<Job>, bool)>),
    /// (self) Results are stored.
    Settled(Vec<(OutboxRef, Fate)>),
    /// (self) Rows came from the store.
    Loaded {
        load: Load,
        jobs: Result<Vec<Job>, String>,
    },
    /// (self) What waits in the store, and what an earlier life left in doubt.
    Recovered(Result<loading::Recovered, String>),
    /// (self) Something may be due.
    Tick,
}

/// The behaviour.
pub struct Owner;

pub struct OwnerArgs {
    pub carrier: CarrierId,
    pub epoch: i64,
    pub paused: bool,
    pub profile: Arc<Profile>,
    pub store: Store,
    pub writer: WriterHandle,
    pub directory: Directory,
    pub condemned: Condemned,
    pub views: Views,
    pub detours: Detours,
}

pub struct OwnerState {
    args: OwnerArgs,
    backlog: Backlog,
    slots: Vec<Slot>,
    /// Messages with an intent and no stored result, in doubt ones aside.
    flights: HashMap<MessageKey, Flight>,
    /// PDUs of `flights`: at most two windows.
    outstanding: usize,
    /// Claimed, waiting for a bind with room.
    ready: Ready,
    /// PDUs of jobs in `ready` or on their way to be claimed: at most one window.
    ahead: usize,
    /// Parts that may be stored with an intent before we know of them: with `outstanding` two
    /// windows at most.
    granted: usize,
    /// To be tried again, by time.
    resting: BinaryHeap<Reverse<(At, i64)>>,
    rested: HashMap<i64, Arc<Job>>,
    /// In doubt, to be decided, by time.
    doubts: BinaryHeap<Reverse<(At, i64)>>,
    doubted: HashMap<i64, flight::Doubtful>,
    pacing: Even,
    /// Until when the carrier gets half of what it could take, after it throttled us.
    slow_until: Instant,
    paused: bool,
    draining: Option<RpcReplyPort<()>>,
    /// Drained: binds are told to unbind.
    leaving: bool,
    recovered: bool,
    /// Places announced before that, by class and organization.
    early: Vec<((i64, OrgId), i64)>,
    /// The highest places that were counted then; what is announced later and stands below was.
    counted: HashMap<(i64, OrgId), i64>,
    /// The store is not read before this.
    load_after: Instant,
    /// What expired is not looked for before this.
    expire_after: Instant,
    tick: Option<(Instant, AbortHandle)>,
    tasks: JoinSet<()>,
    diverting: Diverting,
    told: telling::Told,
    view: Arc<CarrierView>,
    listed: Listed,
}

/// One connection's place.
struct Slot {
    /// False for the half of a pair by which nothing is submitted.
    transmits: bool,
    bind: Option<ActorRef<BindMsg>>,
    up: bool,
    /// PDUs it may still take.
    room: usize,
}

impl Slot {
    fn new(kind: BindKind) -> Self {
        Self { transmits: kind.transmits(), bind: None, up: false, room: 0 }
    }
}

impl Actor for Owner {
    type Msg = OwnerMsg;
    type State = OwnerState;
    type Arguments = OwnerArgs;

    async fn pre_start(
        &self,
        me: ActorRef<OwnerMsg>,
        args: OwnerArgs,
    ) -> Result<OwnerState, ActorProcessingErr> {
        let view = args.views.enter(&args.profile, args.carrier);
        view.set_paused(args.paused);
        Ok(OwnerState {
            backlog: Backlog::new(PER_FLOW_MAX, IN_MEMORY_MAX).unread(),
            slots: args.profile.binds().into_iter().map(Slot::new).collect(),
            flights: HashMap::new(),
            outstanding: 0,
            ready: Ready::default(),
            ahead: 0,
            granted: 0,
            resting: BinaryHeap::new(),
            rested: HashMap::new(),
            doubts: BinaryHeap::new(),
            doubted: HashMap::new(),
            // An earlier life may have used the second.
            pacing: Even::spent(args.profile.tps, Instant::now().into_std()),
            slow_until: Instant::now(),
            paused: args.paused,
            draining: None,
            leaving: false,
            recovered: false,
            early: Vec::new(),
            counted: HashMap::new(),
            load_after: Instant::now(),
            expire_after: Instant::now(),
            tick: None,
            tasks: JoinSet::new(),
            diverting: Diverting::new(&args),
            told: telling::Told::default(),
            view,
            listed: args.directory.list((args.carrier, args.epoch, args.paused), me),
            args,
        })
    }

    async fn post_start(
        &self,
        me: ActorRef<OwnerMsg>,
        state: &mut OwnerState,
    ) -> Result<(), ActorProcessingErr> {
        state.recover(&me);
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<OwnerMsg>,
        message: OwnerMsg,
        state: &mut OwnerState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            OwnerMsg::Announced(jobs) => state.announced(jobs),
            OwnerMsg::Diverted(jobs) => state.diverted(jobs),
            OwnerMsg::Moved(moved) => state.moved(moved),
            OwnerMsg::Intended(jobs) => state.intended(&me, jobs),
            OwnerMsg::Unused(parts) => state.granted = state.granted.saturating_sub(parts),
            OwnerMsg::Cancelled(rows) => state.cancelled(&rows),
            OwnerMsg::Up { slot, bind } => state.up(slot, bind),
            OwnerMsg::Down { slot, why, answers } => state.down(&me, slot, &why, answers),
            OwnerMsg::SlotLost { slot } => state.slot_lost(&me, slot),
            OwnerMsg::Answers { slot, answers } => state.answered(&me, slot, answers),
            OwnerMsg::Condemned(key) => state.condemned(&me, key),
            OwnerMsg::Pause { paused } => state.pause(paused),
            OwnerMsg::Drain(reply) => state.drain(reply),
            OwnerMsg::Claimed(claimed) => state.claimed(&me, claimed),
            OwnerMsg::Settled(fates) => state.settled(fates),
            OwnerMsg::Loaded { load, jobs } => state.loaded(load, jobs),
            OwnerMsg::Recovered(found) => state.recovered(found)?,
            OwnerMsg::Tick => state.tick = None,
        }
        state.go_on(&me);
        Ok(())
    }
}

impl Drop for OwnerState {
    fn drop(&mut self) {
        if let Some((_, timer)) = &self.tick {
            timer.abort();
        }
    }
}
