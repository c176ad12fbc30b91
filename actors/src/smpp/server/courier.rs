//! Brings an account what it is owed: receipts of its messages, and inbound messages.
//!
//! Started by the server's supervisor when a bind that receives is there, one per account, and
//! stopped with the last such bind. What is owed lies in the log; the courier reads on from the
//! account's cursor, and takes what the writer tells it of once it has caught up. It hands PDUs to
//! whichever bind has room, and moves the cursor past what was acknowledged. Nothing is forgotten before that. When it dies, or the process does, what was
//! acknowledged since the cursor was last stored comes again. It never waits for the store or a
//! peer inside `handle`.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};
use proto_smpp::pdu::notify::Alert;
use proto_smpp::{CommandStatus, Message};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef};
use store::lane::{Owed, SmppCursor, Work};
use store::{OwedRow, Store, StoreError};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::accounts::{Account, Accounts};
use super::esme::EsmeMsg;
use super::receipts;
use crate::customer::feed::{Listener, Told, Wakes};
use crate::smpp::alerts;
use crate::writer::{Then, WriterHandle};

/// Events in memory: those that binds have, and those that wait for room. Four times what the
/// binds may have unanswered, within these: one commit ends thousands of messages at once, and who
/// cannot hold what it is told reads it from the log.
const HELD_MIN: usize = 2_000;
const HELD_MAX: usize = 16_000;
/// Commits that may wait for a read of the log to end; with more the log is read once more.
const TOLD_MAX: usize = 64;
/// Events read at once.
const PAGE: i64 = 500;
/// The cursor is stored at least this often while it moves.
const STORE_EVERY: Duration = Duration::from_millis(200);
const STORE_PATIENCE: Duration = Duration::from_secs(30);
/// Rests between tries of what an ESME cannot take for now.
const REST_MIN: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(60);
/// Before the next look when the store does not answer.
const AWAY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub enum CourierMsg {
    /// A bind that receives: it may have so many PDUs unanswered.
    Attach { esme: ActorRef<EsmeMsg>, window: usize, takes_tlvs: bool },
    /// A bind is gone, and with it the answers to what it had.
    Detach { esme: ActorId },
    /// A bind's answers: `None` where none came in time.
    Answered { esme: ActorId, answers: Vec<(Ticket, Option<CommandStatus>)> },
    /// A bind is leaving: it did not take these, and takes nothing more.
    Leaving { esme: ActorId, back: Vec<Ticket> },
    /// A subscriber can be reached again: tell a bind that receives, if there is one.
    Alert(Arc<Alert>),
    /// (self) The log may have grown.
    Woken,
    /// (self) The writer says by what.
    Told(Owed),
    /// (self) What was read: rows, and up to where the log was looked through.
    Loaded(Result<(Vec<OwedRow>, i64), StoreError>),
    /// (self) A rest is over, or the cursor is due to be stored.
    Tick,
    /// (self) The cursor is stored up to here.
    Stored(i64),
}

/// One PDU of one event: the event's number and the PDU's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    pub seq: i64,
    pub pdu: u8,
}

/// The behaviour.
pub struct Courier;

pub struct CourierArgs {
    pub account: Arc<Account>,
    pub accounts: Accounts,
    pub store: Store,
    pub writer: WriterHandle,
    pub wakes: Arc<Wakes>,
}

pub struct CourierState {
    args: CourierArgs,
    binds: Vec<Bind>,
    /// Events above the cursor, oldest first.
    held: VecDeque<Event>,
    /// PDUs that a bind should be given, oldest first.
    ready: VecDeque<Ticket>,
    /// What was refused for now: when it may be tried again, `None` while it is tried, and how
    /// often it was refused.
    resting: HashMap<Ticket, (Option<Instant>, u32)>,
    /// The log was looked through up to here.
    read_to: i64,
    /// All up to here was delivered, or was not owed.
    cursor: i64,
    stored: i64,
    /// Since when the cursor is being stored; long ago means that its writer died with it.
    storing: Option<Instant>,
    loading: bool,
    /// The log has grown since the last read began.
    more: bool,
    /// Told of while the log is read.
    told: VecDeque<Owed>,
    tick: Option<(Instant, AbortHandle)>,
    /// Says that the log has grown, for an account that is told of steps on the way.
    wake: Option<AbortHandle>,
    _told: Told,
    delivered: Counter,
    dropped: Counter,
    holds: Gauge,
}

struct Bind {
    esme: ActorRef<EsmeMsg>,
    window: usize,
    takes_tlvs: bool,
    has: HashSet<Ticket>,
}

struct Event {
    seq: i64,
    row: Arc<OwedRow>,
    /// PDUs that are not acknowledged yet.
    open: Vec<u8>,
}

impl Actor for Courier {
    type Msg = CourierMsg;
    type State = CourierState;
    type Arguments = CourierArgs;

    async fn pre_start(
        &self,
        me: ActorRef<CourierMsg>,
        args: CourierArgs,
    ) -> Result<CourierState, ActorProcessingErr> {
        let to = me.clone();
        let told = move |owed: Option<&Owed>| {
            let told = owed.map_or(CourierMsg::Woken, |owed| CourierMsg::Told(owed.clone()));
            to.send_message(told).is_ok()
        };
        let told = args.wakes.tell(args.account.organization, Box::new(told));
        args.account.set_courier(me.clone());
        let name = args.account.system_id.clone();
        let count = |outcome: &'static str| counter!("orbit_esme_deliveries_total", "account" => name.clone(), "outcome" => outcome);
        let mut state = CourierState {
            binds: Vec::new(),
            held: VecDeque::new(),
            ready: VecDeque::new(),
            resting: HashMap::new(),
            read_to: args.account.cursor(),
            cursor: args.account.cursor(),
            stored: args.account.cursor(),
            storing: None,
            loading: false,
            more: true,
            told: VecDeque::new(),
            tick: None,
            wake: None,
            _told: told,
            delivered: count("delivered"),
            dropped: count("refused"),
            holds: gauge!("orbit_esme_held", "account" => args.account.system_id.clone()),
            args,
        };
        state.listen(&me);
        Ok(state)
    }

    async fn handle(
        &self,
        me: ActorRef<CourierMsg>,
        message: CourierMsg,
        state: &mut CourierState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CourierMsg::Attach { esme, window, takes_tlvs } => {
                state.renew(&me);
                state.detach(esme.get_id());
                state.binds.push(Bind { esme, window, takes_tlvs, has: HashSet::new() });
            }
            CourierMsg::Detach { esme } => state.detach(esme),
            CourierMsg::Answered { esme, answers } => state.answered(esme, answers),
            CourierMsg::Leaving { esme, back } => state.leaving(esme, back),
            CourierMsg::Alert(alert) => {
                state.alert(alert);
                return Ok(());
            }
            CourierMsg::Woken => state.more = true,
            CourierMsg::Told(owed) => state.told(owed),
            CourierMsg::Loaded(loaded) => state.loaded(&me, loaded),
            CourierMsg::Tick => state.ticked(),
            CourierMsg::Stored(cursor) => {
                state.storing = None;
                state.stored = state.stored.max(cursor);
            }
        }
        state.go_on(&me);
        Ok(())
    }

    async fn post_stop(
        &self,
        _me: ActorRef<CourierMsg>,
        state: &mut CourierState,
    ) -> Result<(), ActorProcessingErr> {
        // In good order the next courier begins where this one ends.
        if state.cursor > state.stored {
            let _ = state.args.writer.ask(state.moved(), Then::new(|_| {}));
        }
        Ok(())
    }
}

impl Drop for CourierState {
    fn drop(&mut self) {
        self.show_held(0);
        if let Some(wake) = &self.wake {
            wake.abort();
        }
        if let Some((_, timer)) = &self.tick {
            timer.abort();
        }
    }
}

/// Tells the courier that its organization's log has grown, as often as it does.
async fn wake(me: ActorRef<CourierMsg>, mut listener: Listener) {
    while listener.changed().await && me.send_message(CourierMsg::Woken).is_ok() {}
}

impl CourierState {
    fn go_on(&mut self, me: &ActorRef<CourierMsg>) {
        self.advance();
        self.show_held(self.held.len());
        self.hand_out();
        self.load(me);
        self.store_cursor(me);
        self.set_tick(me);
    }

    /// Whether more events may be held.
    fn has_room(&self) -> bool {
        let windows: usize = self.binds.iter().map(|bind| bind.window).sum();
        !self.binds.is_empty() && self.held.len() < (windows * 4).clamp(HELD_MIN, HELD_MAX)
    }

    /// Reads on when there is room and something to read.
    fn load(&mut self, me: &ActorRef<CourierMsg>) {
        if self.loading || !self.more || !self.has_room() {
            return;
        }
        (self.loading, self.more) = (true, false);
        let (store, account) = (self.args.store.clone(), self.args.account.clone());
        let (after, me) = (self.read_to, me.clone());
        tokio::spawn(async move {
            let loaded = read(&store, &account, after).await;
            let _ = me.send_message(CourierMsg::Loaded(loaded));
        });
    }

    fn loaded(
        &mut self,
        me: &ActorRef<CourierMsg>,
        loaded: Result<(Vec<OwedRow>, i64), StoreError>,
    ) {
        self.loading = false;
        let (rows, to) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::warn!(%error, account = %self.args.account.system_id, "cannot read what is owed");
                drop(me.send_after(AWAY, || CourierMsg::Woken));
                return;
            }
        };
        self.more |= rows.len() as i64 >= PAGE;
        self.read_to = self.read_to.max(to);
        self.renew(me);
        for row in rows {
            self.take(Arc::new(row));
        }
        for owed in std::mem::take(&mut self.told) {
            self.told(owed);
        }
    }

    /// Takes what a commit owes, if nothing owed lies between that and what is known.
    fn told(&mut self, owed: Owed) {
        if self.wake.is_some() {
            self.more = true;
            return;
        }
        if self.loading && self.told.len() < TOLD_MAX {
            return self.told.push_back(owed);
        }
        let Owed { after, to, rows, .. } = owed;
        if to <= self.read_to {
            return;
        }
        let follows = after.is_some_and(|after| after <= self.read_to);
        let room = !self.loading && self.has_room();
        let Some(rows) = rows.filter(|_| follows && room) else {
            self.more = true;
            return;
        };
        for row in rows {
            if row.seq > self.read_to {
                self.take(row);
            }
        }
        self.read_to = to;
    }

    /// Takes the account as it is now: it may have been changed since. One that was deleted is not
    /// the other that has its name.
    fn renew(&mut self, me: &ActorRef<CourierMsg>) {
        if let Some(account) = self.args.accounts.renewed(&self.args.account) {
            self.args.account = account;
        }
        self.listen(me);
    }

    /// Steps on the way are not told: who wants them looks at the log whenever it grows.
    fn listen(&mut self, me: &ActorRef<CourierMsg>) {
        let wanted = self.args.account.intermediate_receipts;
        match self.wake.take() {
            Some(wake) if wanted => self.wake = Some(wake),
            Some(wake) => wake.abort(),
            None if wanted => {
                let listener = self.args.wakes.listen(self.args.account.organization);
                self.wake = Some(tokio::spawn(wake(me.clone(), listener)).abort_handle());
                self.more = true;
            }
            None => {}
        }
    }

    fn take(&mut self, row: Arc<OwedRow>) {
        let count = receipts::count(&self.args.account, &row);
        if count == 0 {
            return;
        }
        let seq = row.seq;
        let open: Vec<u8> = (0..u8::MAX).take(count).collect();
        self.ready.extend(open.iter().map(|pdu| Ticket { seq, pdu: *pdu }));
        self.held.push_back(Event { seq, row, open });
    }

    /// Gives what is ready to binds with room.
    fn hand_out(&mut self) {
        if self.ready.is_empty() {
            return;
        }
        let mut given: Vec<Vec<(Ticket, Message)>> = vec![Vec::new(); self.binds.len()];
        while let Some(ticket) = self.ready.front().copied() {
            let with_room = self.binds.iter().enumerate().filter(|(_, b)| b.has.len() < b.window);
            let Some((at, _)) = with_room.min_by_key(|(_, bind)| bind.has.len()) else { break };
            self.ready.pop_front();
            let takes_tlvs = self.binds[at].takes_tlvs;
            match self.pdu(ticket, takes_tlvs) {
                Some(message) => {
                    self.binds[at].has.insert(ticket);
                    given[at].push((ticket, message));
                }
                None => {
                    self.resting.remove(&ticket);
                    self.close(ticket);
                }
            }
        }
        for (bind, deliveries) in self.binds.iter().zip(given) {
            if !deliveries.is_empty() {
                // A bind that is gone says so by its end.
                let _ = bind.esme.send_message(EsmeMsg::Deliver(deliveries));
            }
        }
    }

    /// One bind hears of it, and no answer comes: SMPP 3.4 has alerts, older versions do not.
    fn alert(&self, alert: Arc<Alert>) {
        let hear = self.binds.iter().filter(|bind| bind.takes_tlvs && bind.window > 0);
        let told = hear
            .min_by_key(|bind| bind.has.len())
            .is_some_and(|bind| bind.esme.send_message(EsmeMsg::Alert(alert)).is_ok());
        if !told {
            alerts::dropped("no_receiver");
        }
    }

    fn pdu(&self, ticket: Ticket, takes_tlvs: bool) -> Option<Message> {
        let at = self.held.binary_search_by_key(&ticket.seq, |event| event.seq).ok()?;
        let pdus = receipts::pdus(&self.args.account, &self.held[at].row, takes_tlvs);
        pdus.into_iter().nth(usize::from(ticket.pdu))
    }

    /// A bind that is leaving has room for nothing: what it did not take goes to another at once.
    fn leaving(&mut self, esme: ActorId, mut back: Vec<Ticket>) {
        let Some(bind) = self.binds.iter_mut().find(|bind| bind.esme.get_id() == esme) else {
            return;
        };
        bind.window = 0;
        back.retain(|ticket| bind.has.remove(ticket));
        self.put_back(back);
    }

    fn answered(&mut self, esme: ActorId, answers: Vec<(Ticket, Option<CommandStatus>)>) {
        let Some(bind) = self.binds.iter_mut().find(|bind| bind.esme.get_id() == esme) else {
            return;
        };
        let mut over = Vec::new();
        let mut again = Vec::new();
        for (ticket, status) in answers {
            if !bind.has.remove(&ticket) {
                continue;
            }
            match status {
                Some(status) if status.is_ok() => over.push((ticket, true)),
                Some(status) if !is_temporary(status) => over.push((ticket, false)),
                _ => again.push(ticket),
            }
        }
        for (ticket, taken) in over {
            if taken { &self.delivered } else { &self.dropped }.increment(1);
            self.resting.remove(&ticket);
            self.close(ticket);
        }
        let now = Instant::now();
        for ticket in again {
            let tries = self.resting.get(&ticket).map_or(0, |(_, tries)| *tries);
            let rest = REST_MIN.saturating_mul(1 << tries.min(6)).min(REST_MAX);
            self.resting.insert(ticket, (Some(now + rest), tries + 1));
        }
    }

    /// What a bind had and did not acknowledge goes to another, or waits.
    fn detach(&mut self, esme: ActorId) {
        let Some(at) = self.binds.iter().position(|bind| bind.esme.get_id() == esme) else {
            return;
        };
        let back = self.binds.swap_remove(at).has;
        self.put_back(back);
    }

    /// What was handed out and did not arrive is ready again, in its old place.
    fn put_back(&mut self, tickets: impl IntoIterator<Item = Ticket>) {
        let known = self.ready.len();
        self.ready.extend(tickets);
        if self.ready.len() > known {
            self.ready.make_contiguous().sort_unstable();
        }
    }

    fn close(&mut self, ticket: Ticket) {
        if let Ok(at) = self.held.binary_search_by_key(&ticket.seq, |event| event.seq) {
            self.held[at].open.retain(|pdu| *pdu != ticket.pdu);
        }
    }

    /// Moves the cursor past all that is done.
    fn advance(&mut self) {
        while let Some(first) = self.held.front() {
            if !first.open.is_empty() {
                break;
            }
            self.cursor = first.seq;
            self.held.pop_front();
        }
        if self.held.is_empty() {
            self.cursor = self.cursor.max(self.read_to);
        }
        self.args.account.move_cursor(self.cursor);
    }

    fn show_held(&self, events: usize) {
        self.args.account.set_held(events);
        self.holds.set(events as f64);
    }

    fn ticked(&mut self) {
        self.tick = None;
        let now = Instant::now();
        let mut rested = Vec::new();
        for (ticket, (at, _)) in &mut self.resting {
            if at.is_some_and(|at| at <= now) {
                *at = None;
                rested.push(*ticket);
            }
        }
        self.put_back(rested);
    }

    fn moved(&self) -> Work {
        let cursor = SmppCursor { account: self.args.account.id, seq: self.cursor };
        Work { smpp_cursors: vec![cursor], ..Work::default() }
    }

    fn store_cursor(&mut self, me: &ActorRef<CourierMsg>) {
        let under_way = self.storing.is_some_and(|since| since.elapsed() < STORE_PATIENCE);
        if under_way || self.cursor <= self.stored {
            return;
        }
        let (me, cursor) = (me.clone(), self.cursor);
        let then = Then::new(move |_| {
            me.send_after(STORE_EVERY, move || CourierMsg::Stored(cursor));
        });
        let asked = self.args.writer.ask(self.moved(), then).is_ok();
        self.storing = asked.then(Instant::now);
    }

    fn set_tick(&mut self, me: &ActorRef<CourierMsg>) {
        let Some(due) = self.resting.values().filter_map(|(at, _)| *at).min() else { return };
        if self.tick.as_ref().is_some_and(|(at, _)| *at <= due) {
            return;
        }
        if let Some((_, timer)) = self.tick.take() {
            timer.abort();
        }
        let rest = due.saturating_duration_since(Instant::now());
        let timer = me.send_after(rest, || CourierMsg::Tick);
        self.tick = Some((due, timer.abort_handle()));
    }
}

/// A page of what is owed, and up to where the log was looked through.
pub(super) async fn read(
    store: &Store,
    account: &Account,
    after: i64,
) -> Result<(Vec<OwedRow>, i64), StoreError> {
    let steps = account.intermediate_receipts;
    // First, so that nothing between the two reads is passed over.
    let newest = store.newest_of(account.organization).await?;
    let rows = store.owed(account.id, account.organization, after, steps, PAGE).await?;
    let last = rows.last().map_or(after, |row| row.seq);
    let whole = (rows.len() as i64) < PAGE;
    Ok((rows, if whole { last.max(newest) } else { last }))
}

/// Whether an ESME may take the same PDU later.
fn is_temporary(status: CommandStatus) -> bool {
    matches!(
        status,
        CommandStatus::X_T_APPN
            | CommandStatus::MSGQFUL
            | CommandStatus::THROTTLED
            | CommandStatus::SYSERR
    )
}
