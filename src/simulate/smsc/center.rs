//! What all connections of the SMSC share: numbers, chance, the book, and who is bound.
//!
//! A receipt goes to one bind of the account. While none can receive, it waits in the
//! backlog, and it comes back there when its bind ends before acknowledging it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;

use super::book::Book;
use super::handset::Handset;
use super::ids::IdFormat;
use super::options::{ReceiptBind, Receipts, SmscOptions};
use super::queue::{ByteQueue, Kind, Numbering, Outbox};
use super::receipt::{Course, Form, State};
use super::stats::{Counters, SlidingSecond, add};
use super::wire::Submit;
use crate::simulate::quirk::Quirks;

/// How many ids there are under quirk 8.
const FEW_IDS: u64 = 5;

/// One connection, as the others see it.
pub(crate) struct Seat {
    pub(crate) outbox: RefCell<Outbox>,
    pub(crate) wake: Notify,
    /// The connection has to go now.
    pub(crate) kicked: Cell<bool>,
    pub(crate) bound: Cell<bool>,
    receives: Cell<bool>,
    /// Messages of this bind, for ids that are unique on it alone.
    own_number: Cell<u64>,
}

pub(crate) struct Center {
    pub(crate) options: SmscOptions,
    pub(crate) quirks: Quirks,
    pub(crate) ids: IdFormat,
    pub(crate) form: Form,
    pub(crate) counters: Arc<Counters>,
    pub(crate) book: Book,
    pub(crate) second: SlidingSecond,
    pub(crate) started: Instant,
    /// What quirks do once, or so many times, for all connections.
    pub(crate) turns: Turns,
    seats: Vec<Rc<Seat>>,
    backlog: ByteQueue,
    chance: StdRng,
    /// Submits that were within the pace.
    paced: SlidingSecond,
    course: Course,
    handset: Handset,
    early: bool,
    other_bind: bool,
    first_number: u64,
    next_number: u64,
    next_seat: usize,
    inbound: u64,
    scratch: Vec<u8>,
}

/// What was done already.
#[derive(Default)]
pub(crate) struct Turns {
    pub(crate) connections: u64,
    /// Binds that quirk 40 still refuses.
    pub(crate) refusals: u64,
    pub(crate) bad_length: bool,
    pub(crate) nack: bool,
    pub(crate) slow: bool,
    /// Submits refused for now, for the turn of their statuses.
    pub(crate) throttled: usize,
}

impl Seat {
    pub(crate) fn new(window: u32, numbering: Numbering) -> Self {
        Self {
            outbox: RefCell::new(Outbox::new(window, numbering)),
            wake: Notify::new(),
            kicked: Cell::new(false),
            bound: Cell::new(false),
            receives: Cell::new(false),
            own_number: Cell::new(0),
        }
    }
}

impl Center {
    pub(crate) fn new(options: SmscOptions, counters: Arc<Counters>) -> Result<Self> {
        let now = Instant::now();
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
        // Another run of the SMSC does not repeat ids.
        let first_number = epoch.as_secs() * 100_000;
        let quirks = Quirks::new(&options.quirks);
        Ok(Self {
            ids: options.id_format.with(&quirks),
            form: Form::new(&options, &quirks, now),
            course: Course::new(&quirks),
            handset: Handset::new(&options.mo_to, &quirks),
            early: options.receipts == Receipts::Early || quirks.has(9),
            other_bind: options.receipt_bind == ReceiptBind::Other || quirks.has(10),
            quirks,
            turns: Turns::default(),
            paced: SlidingSecond::new(),
            book: Book::new(options.log.as_deref())?,
            chance: StdRng::seed_from_u64(options.smsc_seed),
            first_number,
            next_number: first_number,
            options,
            counters,
            second: SlidingSecond::new(),
            started: now,
            seats: Vec::new(),
            backlog: ByteQueue::default(),
            next_seat: 0,
            inbound: 0,
            scratch: Vec::new(),
        })
    }

    pub(crate) fn micros(&self, now: Instant) -> u64 {
        now.duration_since(self.started).as_micros() as u64
    }

    pub(crate) fn seats(&self) -> &[Rc<Seat>] {
        &self.seats
    }

    pub(crate) fn enter(&mut self, seat: &Rc<Seat>) {
        self.seats.push(Rc::clone(seat));
    }

    /// The seat may now receive: it gets what waited for someone.
    pub(crate) fn open(&mut self, seat: &Rc<Seat>) {
        seat.receives.set(true);
        let lost = seat.outbox.borrow_mut().fill_from(&mut self.backlog);
        add(&self.counters.lost, lost);
    }

    /// The connection has ended; what it did not acknowledge goes to another bind.
    pub(crate) fn leave(&mut self, seat: &Rc<Seat>, now: Instant) {
        self.seats.retain(|other| !Rc::ptr_eq(other, seat));
        seat.receives.set(false);
        if seat.bound.take() {
            self.turns.refusals = self.quirks.number(40).unwrap_or(0);
        }
        let lost = seat.outbox.borrow_mut().drain_into(now, &mut self.backlog);
        add(&self.counters.lost, lost);
        let heir = self.seats.iter().find(|seat| seat.receives.get()).cloned();
        if let Some(heir) = heir {
            self.open(&heir);
            heir.wake.notify_one();
        }
    }

    /// Whether a submit now is more than so many in a second; one that is not counts.
    pub(crate) fn over_pace(&mut self, pace: u64, now: Instant) -> bool {
        let now_ms = self.micros(now) / 1000;
        let over = self.paced.add(now_ms, 0) >= pace;
        if !over {
            self.paced.add(now_ms, 1);
        }
        over
    }

    /// How deliveries are numbered.
    pub(crate) fn numbering(&self) -> Numbering {
        match self.quirks.get(45) {
            None => Numbering::From(0),
            Some("zero") => Numbering::Zero,
            Some(_) => Numbering::From(0x7FFF_FFFD),
        }
    }

    /// Connections that are bound.
    pub(crate) fn bound(&self) -> u64 {
        self.seats.iter().filter(|seat| seat.bound.get()).count() as u64
    }

    pub(crate) fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// The number that a message's id is made of.
    pub(crate) fn id_number(&self, home: &Seat, number: u64) -> u64 {
        match self.quirks.get(8) {
            None => number,
            Some("per-bind") => {
                home.own_number.set(home.own_number.get() + 1);
                home.own_number.get()
            }
            Some(_) => self.first_number + number % FEW_IDS,
        }
    }

    /// Whether receipts go before the answer.
    pub(crate) fn is_early(&self) -> bool {
        self.early
    }

    /// Whether `--drop-every` ends the connection at this submit.
    pub(crate) fn cuts_at(&self, number: u64) -> bool {
        let every = self.options.drop_every;
        every > 0 && (number - self.first_number).is_multiple_of(every)
    }

    pub(crate) fn hits(&mut self, percent: u32) -> bool {
        percent > 0 && self.chance.random_range(0..100) < percent
    }

    /// Queues the receipt of an accepted submit, with its copies and foreign companions.
    pub(crate) fn queue_receipt(
        &mut self,
        home: &Rc<Seat>,
        submit: &Submit<'_>,
        number: u64,
        now: Instant,
    ) {
        let options = &self.options;
        let unasked = options.receipts_unasked || self.course.unasked;
        let asked = submit.registered_delivery & 0x03 != 0 || unasked;
        if options.receipts == Receipts::Off || !asked || !self.course.is_for(submit) {
            return;
        }
        let percent = options.receipts_percent;
        if percent < 100 && !self.hits(percent) {
            return;
        }
        let options = &self.options;
        let twice = options.receipts == Receipts::Twice;
        let due = now + options.receipt_delay();
        let percent = options.foreign_ids_percent;
        let states = std::mem::take(&mut self.course.states);
        for state in &states {
            self.queue_one(home, submit, (number, Kind::Receipt), state, due);
            if twice {
                self.queue_one(home, submit, (number, Kind::Copy), state, due);
            }
        }
        if self.hits(percent)
            && let Some(state) = states.last()
        {
            let unknown = number ^ (1 << 52);
            self.queue_one(home, submit, (unknown, Kind::Foreign), state, due);
        }
        self.course.states = states;
    }

    fn queue_one(
        &mut self,
        home: &Rc<Seat>,
        submit: &Submit<'_>,
        (number, kind): (u64, Kind),
        state: &State,
        due: Instant,
    ) {
        self.scratch.clear();
        self.ids.in_receipt(number, submit.part, &mut self.scratch);
        self.scratch.extend_from_slice(self.form.id_tail());
        let (id, form) = (&self.scratch, &mut self.form);
        let seat = choose(&self.seats, home, self.other_bind, &mut self.next_seat);
        let write = |out: &mut Vec<u8>| form.write(out, submit, id, state);
        let kept = match seat {
            None => self.backlog.push(due, kind, write),
            Some(seat) => {
                let kept = seat.outbox.borrow_mut().push(due, kind, write);
                if !Rc::ptr_eq(seat, home) {
                    seat.wake.notify_one();
                }
                kept
            }
        };
        add(&self.counters.lost, u64::from(!kept));
    }

    /// Queues inbound messages, spread over the binds that receive.
    pub(crate) fn queue_inbound(&mut self, count: u64, now: Instant) {
        let most = self.options.mo_count;
        for _ in 0..count {
            let ready: Vec<_> = self.seats.iter().filter(|seat| seat.receives.get()).collect();
            if ready.is_empty() || most > 0 && self.inbound >= most {
                return;
            }
            self.inbound += 1;
            let seat = ready[self.inbound as usize % ready.len()];
            let mut outbox = seat.outbox.borrow_mut();
            for pdu in self.handset.write(self.inbound) {
                let kept = outbox.push(now, Kind::Inbound, |out| out.extend_from_slice(&pdu));
                add(&self.counters.lost, u64::from(!kept));
            }
            seat.wake.notify_one();
        }
    }

    pub(crate) fn count_sent(counters: &Counters, kind: Kind) {
        add(sent_counter(counters, kind), 1);
    }

    pub(crate) fn count_acked(&self, kind: Kind, now: Instant) {
        let counters = &self.counters;
        match kind {
            Kind::Receipt => {
                add(&counters.receipts_acked, 1);
                super::stats::set(&counters.last_receipt_ack_us, self.micros(now));
            }
            Kind::Inbound => add(&counters.mo_acked, 1),
            Kind::Copy | Kind::Foreign | Kind::Answer => add(&counters.extras_acked, 1),
        }
    }
}

fn sent_counter(counters: &Counters, kind: Kind) -> &AtomicU64 {
    match kind {
        Kind::Receipt => &counters.receipts_sent,
        Kind::Copy => &counters.copies_sent,
        Kind::Foreign => &counters.foreign_sent,
        Kind::Inbound => &counters.mo_sent,
        Kind::Answer => &counters.answers,
    }
}

/// The bind that gets a receipt: the submitter's own or, if so wished or if that one only
/// transmits, another in turn.
fn choose<'a>(
    seats: &'a [Rc<Seat>],
    home: &'a Rc<Seat>,
    other: bool,
    turn: &mut usize,
) -> Option<&'a Rc<Seat>> {
    if !other && home.receives.get() {
        return Some(home);
    }
    for _ in 0..seats.len() {
        *turn = (*turn + 1) % seats.len();
        let seat = &seats[*turn];
        if seat.receives.get() && !Rc::ptr_eq(seat, home) {
            return Some(seat);
        }
    }
    home.receives.get().then_some(home)
}
