//! What all connections of the SMSC share: numbers, chance, the book, and who is bound.
//!
//! A receipt goes to one bind of the account. While none can receive, it waits in the
//! backlog, and it comes back there when its bind ends before acknowledging it.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;

use super::book::Book;
use super::options::{ReceiptBind, ReceiptStyle, Receipts, SmscOptions};
use super::queue::{ByteQueue, Kind, Outbox};
use super::stats::{Counters, SlidingSecond, add};
use super::wire::{self, Address, Deliver, Submit};

const ESM_RECEIPT: u8 = 0x04;
const STATE_DELIVERED: u8 = 2;
const TEXT_SHOWN: usize = 20;

/// One connection, as the others see it.
pub(crate) struct Seat {
    pub(crate) outbox: RefCell<Outbox>,
    pub(crate) wake: Notify,
    /// The connection has to go now.
    pub(crate) kicked: Cell<bool>,
    receives: Cell<bool>,
}

pub(crate) struct Center {
    pub(crate) options: SmscOptions,
    pub(crate) counters: Arc<Counters>,
    pub(crate) book: Book,
    pub(crate) second: SlidingSecond,
    pub(crate) started: Instant,
    seats: Vec<Rc<Seat>>,
    backlog: ByteQueue,
    chance: StdRng,
    first_number: u64,
    next_number: u64,
    next_seat: usize,
    inbound: u64,
    dates: Dates,
    scratch: Scratch,
}

/// The minute, written as receipts do.
struct Dates {
    until: Instant,
    text: String,
}

#[derive(Default)]
struct Scratch {
    id: Vec<u8>,
    text: Vec<u8>,
}

impl Seat {
    pub(crate) fn new(window: u32) -> Self {
        Self {
            outbox: RefCell::new(Outbox::new(window)),
            wake: Notify::new(),
            kicked: Cell::new(false),
            receives: Cell::new(false),
        }
    }
}

impl Center {
    pub(crate) fn new(options: SmscOptions, counters: Arc<Counters>) -> Result<Self> {
        let now = Instant::now();
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
        // Another run of the SMSC does not repeat ids.
        let first_number = epoch.as_secs() * 100_000;
        Ok(Self {
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
            dates: Dates { until: now, text: String::new() },
            scratch: Scratch::default(),
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
        let lost = seat.outbox.borrow_mut().drain_into(now, &mut self.backlog);
        add(&self.counters.lost, lost);
        let heir = self.seats.iter().find(|seat| seat.receives.get()).cloned();
        if let Some(heir) = heir {
            self.open(&heir);
            heir.wake.notify_one();
        }
    }

    pub(crate) fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
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
        let asked = submit.registered_delivery & 0x03 != 0 || options.receipts_unasked;
        if options.receipts == Receipts::Off || !asked {
            return;
        }
        let twice = options.receipts == Receipts::Twice;
        let due = now + options.receipt_delay();
        let percent = options.foreign_ids_percent;
        self.queue_one(home, submit, number, Kind::Receipt, due);
        if twice {
            self.queue_one(home, submit, number, Kind::Copy, due);
        }
        if self.hits(percent) {
            let unknown = number ^ (1 << 52);
            self.queue_one(home, submit, unknown, Kind::Foreign, due);
        }
    }

    fn queue_one(
        &mut self,
        home: &Rc<Seat>,
        submit: &Submit<'_>,
        number: u64,
        kind: Kind,
        due: Instant,
    ) {
        self.dates.refresh();
        let scratch = &mut self.scratch;
        scratch.id.clear();
        scratch.text.clear();
        self.options.id_format.in_receipt(number, &mut scratch.id);
        let style = self.options.receipt_style;
        if style != ReceiptStyle::Tlv {
            receipt_text(&mut scratch.text, &scratch.id, &self.dates.text, submit.text);
        }
        scratch.id.push(0);
        let tlvs: [(u16, &[u8]); 2] =
            [(wire::TLV_RECEIPTED_ID, &scratch.id), (wire::TLV_MESSAGE_STATE, &[STATE_DELIVERED])];
        let deliver = Deliver {
            source: submit.destination,
            destination: submit.source,
            esm_class: ESM_RECEIPT,
            text: &scratch.text,
            tlvs: if style == ReceiptStyle::Text { &[] } else { &tlvs },
        };
        let other = self.options.receipt_bind == ReceiptBind::Other;
        let seat = choose(&self.seats, home, other, &mut self.next_seat);
        let write = |out: &mut Vec<u8>| wire::put_deliver(out, 0, &deliver);
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
        for _ in 0..count {
            let ready: Vec<_> = self.seats.iter().filter(|seat| seat.receives.get()).collect();
            if ready.is_empty() {
                return;
            }
            self.inbound += 1;
            let mut sender = Vec::with_capacity(12);
            let mut text = Vec::with_capacity(32);
            let written = write!(sender, "1415{:07}", 2_000_000 + self.inbound % 8_000_000)
                .and_then(|()| write!(text, "mo{} hello", self.inbound));
            debug_assert!(written.is_ok(), "a vector takes all");
            let deliver = Deliver {
                source: Address { ton: 1, npi: 1, digits: &sender },
                destination: Address { ton: 1, npi: 1, digits: self.options.mo_to.as_bytes() },
                esm_class: 0,
                text: &text,
                tlvs: &[],
            };
            let seat = ready[self.inbound as usize % ready.len()];
            let mut outbox = seat.outbox.borrow_mut();
            let kept = outbox.push(now, Kind::Inbound, |out| wire::put_deliver(out, 0, &deliver));
            add(&self.counters.lost, u64::from(!kept));
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

impl Dates {
    fn refresh(&mut self) {
        let now = Instant::now();
        if now < self.until {
            return;
        }
        self.until = now + std::time::Duration::from_secs(1);
        self.text = jiff::Timestamp::now().strftime("%y%m%d%H%M").to_string();
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

fn receipt_text(out: &mut Vec<u8>, id: &[u8], date: &str, text: &[u8]) {
    out.extend_from_slice(b"id:");
    out.extend_from_slice(id);
    let written = write!(
        out,
        " sub:001 dlvrd:001 submit date:{date} done date:{date} stat:DELIVRD err:000 text:"
    );
    debug_assert!(written.is_ok(), "a vector takes all");
    let shown = &text[..text.len().min(TEXT_SHOWN)];
    out.extend(shown.iter().map(|&octet| if octet < b' ' { b'?' } else { octet }));
}
