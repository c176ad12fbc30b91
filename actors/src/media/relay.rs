//! A relay thread: one poll over the sockets of its sessions, orders in between, and a tick.
//!
//! Started by `Media`, it ends when its last handle is gone. The poll tells of a socket once, so a socket
//! is read until it is empty, or comes again after the others when a flood keeps it full. What panics
//! costs the session it was done for, and the thread goes on with the others.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use tokio::sync::oneshot;

use super::convert::Load;
use super::crossing::{Broken, Channel, Crossing, Scratch};
use super::play::Player;
use super::ports::Pair;
use super::reach::Reach;
use super::record::Tap;
use super::session::{RemoteMedia, Report, SessionArgs, SessionId, Side, Watch};
use super::{Config, Refused};

const WAKE: Token = Token(usize::MAX);
/// Sockets that one poll tells of.
const EVENTS: usize = 256;
/// Orders between two polls.
const ORDERS: usize = 64;
/// An order that nobody waits for is taken within this time, or before the next packet.
const SOON: Duration = Duration::from_millis(10);
/// How often time is looked at.
const TICK: Duration = Duration::from_millis(100);
/// Sockets of a session.
const SOCKETS: usize = 4;
/// With so many sockets to read in a tick, which is 5,000 packets a second, a thread lets packets gather.
const BUSY: usize = 500;
/// How long; a thread that sleeps and wakes for each packet does little else.
const GATHER: Duration = Duration::from_micros(500);
/// With so many sockets to read at once it is behind, and does not.
const BEHIND: usize = 64;

/// What a session begins with.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) id: SessionId,
    pub(super) args: SessionArgs,
    pub(super) pairs: [Pair; 2],
    pub(super) life: Watch,
    pub(super) load: Load,
}

/// What a session is told.
#[derive(Debug)]
pub(super) enum Order {
    Remotes(Vec<(Side, RemoteMedia)>),
    Hold(Side, bool),
    Mute(Side, bool),
    Play(Side, Player),
    StopPlay(Side),
    Press(Side, String, Duration),
    /// `None`: it is over.
    Record(Option<Tap>),
    PauseRecord(bool),
    /// Fails.
    #[cfg(test)]
    Fail,
}

/// What a thread does by time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Without a packet a leg is silent; zero: never.
    pub(super) silence: Duration,
    /// Between two reports of RTCP; zero: none.
    pub(super) reports: Duration,
}

#[derive(Debug)]
pub(super) enum Command {
    /// Its sockets are there already. If they cannot be polled it breaks.
    Open(Box<Opening>),
    Obey {
        id: SessionId,
        order: Order,
        /// If anybody waits for it.
        reply: Option<oneshot::Sender<Result<(), Refused>>>,
    },
    Report {
        id: SessionId,
        reply: oneshot::Sender<Result<Report, Refused>>,
    },
    Close {
        id: SessionId,
        reply: oneshot::Sender<Result<Report, Refused>>,
    },
    /// The last handle is gone.
    End,
}

/// The handle of a thread.
#[derive(Debug)]
pub(super) struct Thread {
    commands: SyncSender<Command>,
    waker: Waker,
    sessions: Arc<AtomicUsize>,
}

impl Thread {
    pub(super) fn start(number: usize, config: &Config, reach: &Arc<Reach>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let (commands, orders) = sync_channel(config.orders_max.max(1));
        let sessions = Arc::new(AtomicUsize::new(0));
        let relay = Relay {
            poll,
            orders,
            reach: Arc::clone(reach),
            slots: Vec::new(),
            places: HashMap::new(),
            broken: Vec::new(),
            free: Vec::new(),
            again: VecDeque::new(),
            hurry: false,
            scratch: Scratch::default(),
            paced: BinaryHeap::new(),
            times: Times { silence: config.timeout, reports: config.rtcp_interval },
            open: Arc::clone(&sessions),
            gauge: metrics::gauge!("orbit_media_sessions"),
            ticked: now(),
            read: 0,
            read_before: 0,
        };
        let name = format!("media-{number}");
        std::thread::Builder::new().name(name).spawn(move || relay.run())?;
        Ok(Self { commands, waker, sessions })
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(super) fn send(&self, command: Command) -> Result<(), Refused> {
        self.queue(command)?;
        // A thread that cannot be woken looks again at its next tick.
        let _ = self.waker.wake();
        Ok(())
    }

    /// A session begins: there is nothing to relay yet. Only a thread that has none is woken.
    pub(super) fn open(&self, opening: Box<Opening>) -> Result<(), Refused> {
        let before = self.sessions.fetch_add(1, Ordering::SeqCst);
        if let Err(refused) = self.leave(Command::Open(opening)) {
            self.sessions.fetch_sub(1, Ordering::SeqCst);
            return Err(refused);
        }
        if before == 0 {
            let _ = self.waker.wake();
        }
        Ok(())
    }

    /// Gives an order about a session that need not be obeyed at once: to wake a thread costs more than
    /// most orders do.
    pub(super) fn leave(&self, command: Command) -> Result<(), Refused> {
        let left = self.queue(command);
        if left == Err(Refused::Busy) {
            let _ = self.waker.wake();
        }
        left
    }

    fn queue(&self, command: Command) -> Result<(), Refused> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Busy,
            TrySendError::Disconnected(_) => Refused::Closed,
        })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // When the queue is full the thread is awake, and finds it without an owner after that.
        let _ = self.send(Command::End);
    }
}

/// This moment; tests that pause tokio's time do not pause packets.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[derive(Debug)]
struct Slot {
    generation: u64,
    crossing: Option<Crossing>,
    /// The last of its sessions that a fault of ours ended.
    broken: Option<SessionId>,
    /// It has its entry among the paced.
    is_paced: bool,
}

struct Relay {
    poll: Poll,
    orders: Receiver<Command>,
    reach: Arc<Reach>,
    slots: Vec<Slot>,
    places: HashMap<SessionId, usize>,
    /// Sessions whose owners do not know of their end yet.
    broken: Vec<Broken>,
    free: Vec<usize>,
    /// Sockets that were not read to their end.
    again: VecDeque<usize>,
    /// More orders wait than were taken.
    hurry: bool,
    scratch: Scratch,
    /// When a session's next frame is due; one entry a session at most.
    paced: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    times: Times,
    /// With those whose opening waits among the orders: while there are any, the thread looks for some.
    open: Arc<AtomicUsize>,
    gauge: metrics::Gauge,
    ticked: Instant,
    /// Sockets read since the last tick, and in the tick before it.
    read: usize,
    read_before: usize,
}

impl Relay {
    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            if let Err(error) = self.poll.poll(&mut events, self.patience())
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "a media thread cannot poll and ends");
                return;
            }
            // Before packets: of two that come one after the other the order counts for the second.
            if self.take_orders().is_none() {
                return;
            }
            for _ in 0..self.again.len() {
                if let Some(token) = self.again.pop_front() {
                    self.ready(token);
                }
            }
            let mut read = 0;
            for event in &events {
                if event.token() != WAKE {
                    self.ready(event.token().0);
                    read += 1;
                }
            }
            self.read += read;
            self.frames();
            self.tick();
            if self.read_before >= BUSY && read < BEHIND && self.again.is_empty() {
                std::thread::sleep(GATHER);
            }
        }
    }

    /// How long a poll may wait.
    fn patience(&self) -> Option<Duration> {
        if self.hurry || !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        if self.open.load(Ordering::SeqCst) == 0 && self.broken.is_empty() {
            return None;
        }
        let next = self
            .paced
            .peek()
            .map_or(SOON, |Reverse((due, ..))| due.saturating_duration_since(now()).min(SOON));
        Some(next)
    }

    /// Does something for a session; if that panics it was the session's last.
    fn guarded<T>(
        &mut self,
        index: usize,
        work: impl FnOnce(&mut Crossing, &mut Scratch) -> T,
    ) -> Option<T> {
        let crossing = self.slots.get_mut(index)?.crossing.as_mut()?;
        let scratch = &mut self.scratch;
        match catch_unwind(AssertUnwindSafe(|| work(crossing, scratch))) {
            Ok(done) => {
                self.pace(index);
                Some(done)
            }
            Err(_) => {
                tracing::error!("a media session failed and is closed");
                self.fail(index);
                None
            }
        }
    }

    /// A session failed: its owner is told, now or when there is room.
    fn fail(&mut self, index: usize) {
        let Some(crossing) = self.remove(index) else { return };
        if let Some(slot) = self.slots.get_mut(index) {
            slot.broken = Some(crossing.id());
        }
        let broken = crossing.broken();
        if !broken.is_told() {
            self.broken.push(broken);
        }
    }

    /// Sees to it that a session with frames of our own has its turn.
    fn pace(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let due = slot.crossing.as_ref().and_then(Crossing::due);
        if let Some(due) = due
            && !slot.is_paced
        {
            slot.is_paced = true;
            self.paced.push(Reverse((due, index, slot.generation)));
        }
    }

    /// Frames of our own that are due.
    fn frames(&mut self) {
        let now = now();
        while let Some(Reverse((due, index, generation))) = self.paced.peek().copied()
            && due <= now
        {
            self.paced.pop();
            // An entry of a session that is over says nothing of the one in its place.
            if let Some(slot) = self.slots.get_mut(index)
                && slot.generation == generation
            {
                slot.is_paced = false;
                self.guarded(index, |crossing, _| crossing.frame(now));
            }
        }
    }

    fn ready(&mut self, token: usize) {
        let side = if token % SOCKETS < 2 { Side::A } else { Side::B };
        let channel = if token.is_multiple_of(2) { Channel::Rtp } else { Channel::Rtcp };
        let more = self.guarded(token / SOCKETS, |crossing, scratch| {
            crossing.readable(side, channel, scratch, now)
        });
        if more == Some(true) {
            self.again.push_back(token);
        }
    }

    /// `None`: there is nobody left to give any.
    fn take_orders(&mut self) -> Option<()> {
        self.hurry = false;
        for _ in 0..ORDERS {
            match self.orders.try_recv() {
                Ok(Command::End) | Err(TryRecvError::Disconnected) => return None,
                Ok(command) => self.obey(command),
                Err(TryRecvError::Empty) => return Some(()),
            }
        }
        self.hurry = true;
        Some(())
    }

    fn obey(&mut self, command: Command) {
        // Who does not wait for the answer any more does not need it.
        match command {
            Command::Open(opening) => self.insert(*opening),
            Command::Obey { id, order, reply } => {
                let done = self.find(id).and_then(|index| {
                    let done = self.guarded(index, |crossing, _| crossing.obey(order, now()));
                    done.unwrap_or(Err(Refused::Broken))
                });
                if let Some(reply) = reply {
                    let _ = reply.send(done);
                }
            }
            Command::Report { id, reply } => {
                let report = self.find(id).and_then(|index| {
                    let report = self.guarded(index, |crossing, _| crossing.report(now()));
                    report.ok_or(Refused::Broken)
                });
                let _ = reply.send(report);
            }
            Command::Close { id, reply } => {
                let crossing =
                    self.find(id).and_then(|index| self.remove(index).ok_or(Refused::Closed));
                let _ = reply.send(crossing.map(|crossing| crossing.close(now())));
            }
            Command::End => {}
        }
    }

    fn find(&self, id: SessionId) -> Result<usize, Refused> {
        self.places.get(&id).copied().ok_or_else(|| {
            let is_broken = self.slots.iter().any(|slot| slot.broken == Some(id));
            if is_broken { Refused::Broken } else { Refused::Closed }
        })
    }

    fn insert(&mut self, opening: Opening) {
        let (id, broken) = (opening.id, Broken::of(&opening));
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, crossing: None, broken: None, is_paced: false });
            self.slots.len() - 1
        });
        match Crossing::open(opening, &self.reach, self.poll.registry(), index * SOCKETS, now()) {
            Ok(crossing) => {
                self.slots[index].crossing = Some(crossing);
                self.places.insert(id, index);
                self.gauge.increment(1.0);
            }
            Err(error) => {
                tracing::warn!(%error, "a session's sockets cannot be polled");
                self.free.push(index);
                self.slots[index].broken = Some(id);
                // Told by the next tick: until then its owner listens.
                self.broken.push(broken);
                self.open.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// Takes a session out; its sockets close, and with them what the poll knows of them.
    fn remove(&mut self, index: usize) -> Option<Crossing> {
        let slot = self.slots.get_mut(index)?;
        let crossing = slot.crossing.take()?;
        slot.generation += 1;
        slot.is_paced = false;
        self.free.push(index);
        self.places.remove(&crossing.id());
        self.open.fetch_sub(1, Ordering::SeqCst);
        self.gauge.decrement(1.0);
        Some(crossing)
    }

    fn tick(&mut self) {
        let now = now();
        if now.saturating_duration_since(self.ticked) < TICK {
            return;
        }
        self.ticked = now;
        self.read_before = std::mem::take(&mut self.read);
        metrics::counter!("orbit_media_reads_total").increment(self.read_before as u64);
        self.broken.retain(|broken| !broken.is_told());
        let times = self.times;
        for index in 0..self.slots.len() {
            let abandoned = self.guarded(index, |crossing, _| {
                crossing.tick(&times, now);
                crossing.is_abandoned()
            });
            if abandoned == Some(true) {
                self.remove(index);
            }
        }
    }
}
