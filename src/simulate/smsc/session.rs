//! One SMPP session of the SMSC (SMPP 3.4, section 2): octets in, octets out, no socket.
//!
//! All PDUs of one read are answered into one buffer. Requests before a bind, a second
//! bind and submits of a receiver get 0x04 and 0x05; unknown commands a `generic_nack`.
//! What quirks change of it is in `habits`.

pub(crate) mod habits;

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::center::{Center, Seat};
use super::queue::{ByteQueue, Kind};
use super::stats::{SlidingSecond, add, raise, set};
use super::wire::{self, Bind, DATA_SM, Frame, Header, RESPONSE, Submit};

const REFUSED_AGAIN_IN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Receiver,
    Transmitter,
    Transceiver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    No,
    /// When all has been written.
    Soon,
    /// At once, with an answer cut in the middle.
    Cut,
    /// When all has been written, by RST.
    Reset,
}

pub(crate) struct Session {
    seat: Rc<Seat>,
    state: State,
    /// Answers that wait for `--answer-delay-ms`.
    answers: ByteQueue,
    /// Submits without a written answer.
    unanswered: u64,
    /// Answers in the output buffer.
    answers_in_out: u64,
    second: SlidingSecond,
    id: Vec<u8>,
    /// Submits of this session.
    taken: u64,
    /// Until then nothing is read.
    deaf_until: Option<Instant>,
    /// When to ask whether the peer is there, and how often it was asked.
    enquire_at: Option<Instant>,
    enquiries: u32,
    pub(crate) ending: Ending,
}

impl Session {
    pub(crate) fn new(seat: Rc<Seat>) -> Self {
        Self {
            seat,
            state: State::Open,
            answers: ByteQueue::default(),
            unanswered: 0,
            answers_in_out: 0,
            second: SlidingSecond::new(),
            id: Vec::new(),
            taken: 0,
            deaf_until: None,
            enquire_at: None,
            enquiries: 0,
            ending: Ending::No,
        }
    }

    /// Takes whole PDUs off the front of `input` and returns how many octets they had.
    pub(crate) fn receive(
        &mut self,
        center: &mut Center,
        input: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut at = 0;
        let mut submits = 0;
        while self.ending == Ending::No && !self.is_deaf(now) {
            match wire::frame(&input[at..]) {
                Frame::Partial => break,
                Frame::Broken(header) => {
                    add(&center.counters.malformed, 1);
                    nack(out, header, wire::INVALID_LENGTH);
                    self.ending = Ending::Soon;
                }
                Frame::Whole(header, body) => {
                    at += header.length;
                    submits += u32::from([wire::SUBMIT_SM, DATA_SM].contains(&header.command));
                    self.handle(center, header, body, now, out);
                }
            }
        }
        if submits > 0 {
            self.count_submits(center, submits, now);
        }
        at
    }

    /// Appends the answers and deliveries whose time has come.
    pub(crate) fn pump(&mut self, center: &Center, now: Instant, out: &mut Vec<u8>) {
        let mut answered = 0;
        while let Some((_, pdu)) = self.answers.pop(now) {
            out.extend_from_slice(pdu);
            answered += 1;
        }
        self.answers_in_out += answered;
        add(&center.counters.answers, answered);
        self.enquire(now, out);
        self.pump_deliveries(center, now, out);
    }

    /// All of the output has been written.
    pub(crate) fn flushed(&mut self) {
        self.unanswered -= self.answers_in_out;
        self.answers_in_out = 0;
    }

    /// When `pump` has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        let delivery = self.seat.outbox.borrow().due();
        let all = [self.answers.due(), delivery, self.deaf_until, self.enquire_at];
        all.into_iter().flatten().min()
    }

    fn pump_deliveries(&self, center: &Center, now: Instant, out: &mut Vec<u8>) {
        if matches!(self.state, State::Receiver | State::Transceiver) {
            let counters = &center.counters;
            let mut outbox = self.seat.outbox.borrow_mut();
            outbox.pump(now, out, |kind| Center::count_sent(counters, kind));
        }
    }

    fn handle(
        &mut self,
        center: &mut Center,
        header: Header,
        body: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        match header.command {
            wire::SUBMIT_SM | DATA_SM => self.submit(center, header, body, now, out),
            wire::BIND_RECEIVER | wire::BIND_TRANSMITTER | wire::BIND_TRANSCEIVER => {
                self.bind(center, header, body, now, out);
            }
            wire::ENQUIRE_LINK if center.quirks.is(42, "unanswered") => {}
            wire::ENQUIRE_LINK => answer(out, header, wire::OK),
            wire::UNBIND => {
                add(&center.counters.unbinds, 1);
                if !center.quirks.is(43, "no-answer") {
                    answer(out, header, wire::OK);
                    self.ending = Ending::Soon;
                }
            }
            command if [wire::DELIVER_SM | RESPONSE, DATA_SM | RESPONSE].contains(&command) => {
                self.delivered(center, header, now);
            }
            command if command == wire::ENQUIRE_LINK | RESPONSE => {
                add(&center.counters.enquiries_answered, 1);
            }
            command if command & RESPONSE != 0 => {}
            _ => {
                add(&center.counters.unknown_commands, 1);
                nack(out, header, wire::INVALID_COMMAND);
            }
        }
    }

    fn bind(
        &mut self,
        center: &mut Center,
        header: Header,
        body: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        let options = &center.options;
        let all = options.system_id.is_empty();
        let status = match Bind::parse(body) {
            None => wire::INVALID_LENGTH,
            Some(_) if self.state != State::Open => wire::ALREADY_BOUND,
            Some(_) if all => wire::OK,
            Some(bind) if bind.system_id != options.system_id.as_bytes() => wire::INVALID_SYSTEM_ID,
            Some(bind) if bind.password != options.password.as_bytes() => wire::INVALID_PASSWORD,
            Some(_) => wire::OK,
        };
        let status = if status == wire::OK { habits::bind_status(center) } else { status };
        if status == wire::OK && habits::nacks_bind(center) {
            add(&center.counters.binds_refused, 1);
            nack(out, header, wire::INVALID_COMMAND);
            return;
        }
        habits::put_bind_answer(center, header, status, out);
        if status != wire::OK {
            add(&center.counters.binds_refused, 1);
            return;
        }
        add(&center.counters.binds, 1);
        self.seat.bound.set(true);
        self.state = match header.command {
            wire::BIND_RECEIVER => State::Receiver,
            wire::BIND_TRANSMITTER => State::Transmitter,
            _ => State::Transceiver,
        };
        if self.state != State::Transmitter {
            center.open(&self.seat);
        }
        self.settle_in(center, now, out);
    }

    fn submit(
        &mut self,
        center: &mut Center,
        header: Header,
        body: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        if !matches!(self.state, State::Transmitter | State::Transceiver) {
            answer(out, header, wire::WRONG_BIND_STATE);
            return;
        }
        self.unanswered += 1;
        let is_data = header.command == DATA_SM;
        let parsed = if is_data { Submit::parse_data(body) } else { Submit::parse(body) };
        let Some(submit) = parsed else {
            add(&center.counters.malformed, 1);
            self.answer_submit(center, header, wire::INVALID_LENGTH, now, out);
            return;
        };
        let repeated = center.book.is_repeated(&submit);
        add(&center.counters.duplicates, u64::from(repeated));
        let status = match habits::submit_status(center, repeated, now) {
            Some(status) => status,
            None if center.hits(center.options.error_percent) => center.options.error_status,
            None => wire::OK,
        };
        let refused = status != wire::OK;
        self.id.clear();
        let number = center.next_number();
        let id_number = center.id_number(&self.seat, number);
        if !refused && !center.quirks.has(7) {
            center.ids.in_answer(id_number, submit.part, &mut self.id);
            self.id.extend_from_slice(center.form.id_tail());
        }
        if center.book.log_submit(&submit, status, &self.id, repeated).is_err() {
            eprintln!("the log cannot be written");
        }
        if center.options.never_answer || status == habits::SILENCE {
            return;
        }
        if center.cuts_at(number) {
            self.cut(center, header, now, out);
            return;
        }
        if refused {
            add(&center.counters.refused, 1);
        } else if center.is_early() {
            center.queue_receipt(&self.seat, &submit, id_number, now);
            self.pump_deliveries(center, now, out);
        }
        self.answer_submit(center, header, status, now, out);
        if !refused && !center.is_early() {
            center.queue_receipt(&self.seat, &submit, id_number, now);
        }
        if !refused {
            self.alert(center, header, &submit, out);
        }
        self.after_submit(center, header, now, out);
    }

    /// The answer, with the id in `self.id`.
    fn answer_submit(
        &mut self,
        center: &Center,
        header: Header,
        status: u32,
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        let id = &self.id;
        let write = |out: &mut Vec<u8>| {
            let (command, sequence) = (header.command | RESPONSE, header.sequence);
            if habits::nacks_submit(center, status) {
                return nack(out, header, status);
            }
            wire::put(out, command, status, sequence, |out| {
                habits::put_answer_body(center, status, id, out);
            });
        };
        let delay = center.options.answer_delay();
        if delay.is_zero() {
            write(out);
            self.answers_in_out += 1;
            add(&center.counters.answers, 1);
        } else {
            let kept = self.answers.push(now + delay, Kind::Answer, write);
            add(&center.counters.lost, u64::from(!kept));
        }
    }

    /// Half an answer, then the end of the connection.
    fn cut(&mut self, center: &Center, header: Header, now: Instant, out: &mut Vec<u8>) {
        add(&center.counters.drops, 1);
        let before = out.len();
        self.answer_submit(center, header, wire::OK, now, out);
        out.truncate(before + (out.len() - before) / 2);
        self.ending = Ending::Cut;
    }

    fn delivered(&self, center: &mut Center, header: Header, now: Instant) {
        if center.book.log_acked(header.sequence, header.status).is_err() {
            eprintln!("the log cannot be written");
        }
        let refused = header.status != wire::OK;
        let again_at = refused.then(|| now + REFUSED_AGAIN_IN);
        let mut outbox = self.seat.outbox.borrow_mut();
        match outbox.answered(header.sequence, again_at) {
            Some(_) if refused => add(&center.counters.deliveries_refused, 1),
            Some(kind) => center.count_acked(kind, now),
            None => add(&center.counters.malformed, 1),
        }
    }

    fn count_submits(&mut self, center: &mut Center, submits: u32, now: Instant) {
        let micros = center.micros(now);
        let counters = &center.counters;
        add(&counters.submits, u64::from(submits));
        raise(&counters.max_in_flight, self.unanswered);
        let one = self.second.add(micros / 1000, submits);
        raise(&counters.max_submits_per_second_one_bind, one);
        let all = center.second.add(micros / 1000, submits);
        raise(&counters.max_submits_per_second, all);
        if counters.first_submit_us.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            set(&counters.first_submit_us, micros.max(1));
        }
        set(&counters.last_submit_us, micros);
    }
}

fn answer(out: &mut Vec<u8>, header: Header, status: u32) {
    wire::put(out, header.command | RESPONSE, status, header.sequence, |_| {});
}

fn nack(out: &mut Vec<u8>, header: Header, status: u32) {
    wire::put(out, wire::GENERIC_NACK, status, header.sequence, |_| {});
}
