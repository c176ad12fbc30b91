//! A customer's side of SMPP: binds to the switch, submits with a window, takes receipts.
//!
//! Framing is that of the SMSC beside it and shares nothing with the switch's protocol crate.
//! What was submitted, answered and receipted is put down in a [`Notes`] that all binds of a
//! scenario share, so that a receipt may come by another bind than its submit.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::histogram::Histogram;
use crate::peer::smsc::wire::{
    BIND_TRANSCEIVER, DELIVER_SM, ENQUIRE_LINK, Frame, Header, RESPONSE, SUBMIT_SM,
    TLV_RECEIPTED_ID, UNBIND, frame, put,
};

const READ_BYTES: usize = 64 * 1024;
const BIND_TIME: Duration = Duration::from_secs(60);
/// A bind looks this often whether it may send again, or has to end.
const LOOK: Duration = Duration::from_millis(2);
const LOOK_IDLE: Duration = Duration::from_millis(50);
const REST: Duration = Duration::from_millis(50);
/// Recipients are valid numbers of an area, spread so that neighbours in time are none in number.
const RECIPIENTS: u64 = 6_000_000;
/// The calling code and the area that most loads go to.
pub(crate) const AREA: u64 = 1415;
const STRIDE: u64 = 7_368_787;

/// As whom to bind, and where.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    /// The address to come from; that of the machine's choice if there is none.
    from: Option<SocketAddr>,
    system_id: String,
    password: String,
}

/// One connection that is bound.
pub(crate) struct Esme {
    stream: TcpStream,
    input: Vec<u8>,
    pub(crate) out: Vec<u8>,
    /// How often the switch asked whether we are there.
    pub(crate) asked: u64,
}

/// What the door said to a bind.
pub(crate) enum Told {
    Bound(Esme),
    Refused(u32),
}

impl Door {
    pub(crate) fn new(address: SocketAddr, system_id: &str, password: &str) -> Self {
        let (system_id, password) = (system_id.to_owned(), password.to_owned());
        Self { address, from: None, system_id, password }
    }

    /// The same, from an address of this machine.
    pub(crate) fn from(&self, address: [u8; 4]) -> Self {
        Self { from: Some((address, 0).into()), ..self.clone() }
    }

    /// The same with another password.
    pub(crate) fn with_password(&self, password: &str) -> Self {
        Self { password: password.to_owned(), ..self.clone() }
    }

    /// Connects and binds as a transceiver.
    pub(crate) async fn bind(&self) -> Result<Told> {
        tokio::time::timeout(BIND_TIME, self.try_bind()).await.context("no answer to a bind")?
    }

    async fn try_bind(&self) -> Result<Told> {
        let stream = match self.from {
            None => TcpStream::connect(self.address).await?,
            Some(from) => {
                let socket = TcpSocket::new_v4()?;
                socket.bind(from)?;
                socket.connect(self.address).await?
            }
        };
        stream.set_nodelay(true)?;
        let mut esme = Esme { stream, input: Vec::new(), out: Vec::new(), asked: 0 };
        put(&mut esme.out, BIND_TRANSCEIVER, 0, 0, |out| {
            for text in [&self.system_id, &self.password] {
                out.extend_from_slice(text.as_bytes());
                out.push(0);
            }
            out.extend_from_slice(b"\0\x34\0\0\0");
        });
        esme.flush().await?;
        loop {
            let mut told = None;
            esme.take(|header, _, _| {
                if header.command == BIND_TRANSCEIVER | RESPONSE {
                    told = Some(header.status);
                }
            })?;
            match told {
                Some(0) => return Ok(Told::Bound(esme)),
                Some(status) => return Ok(Told::Refused(status)),
                None => esme.fill().await?,
            }
        }
    }
}

impl Esme {
    pub(crate) async fn flush(&mut self) -> Result<()> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Writes what is to go out while it reads, then takes and acknowledges all that comes, for ever.
    pub(crate) async fn swallow(&mut self) -> Result<()> {
        let out = std::mem::take(&mut self.out);
        let (mut from, mut to) = self.stream.split();
        let mut written = std::pin::pin!(to.write_all(&out));
        loop {
            tokio::select! {
                done = &mut written => break done?,
                read = from.read_buf(&mut self.input) => {
                    ensure!(read? > 0, "the switch closed");
                }
            }
        }
        loop {
            self.take(|header, _, out| {
                if header.command == DELIVER_SM {
                    put(out, DELIVER_SM | RESPONSE, 0, header.sequence, |out| out.push(0));
                }
            })?;
            self.flush().await?;
            self.fill().await?;
        }
    }

    /// Waits for octets.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        self.input.reserve(READ_BYTES.min(self.input.capacity().max(512) * 2));
        ensure!(self.stream.read_buf(&mut self.input).await? > 0, "the switch closed");
        Ok(())
    }

    /// Gives every whole PDU that is here, with where answers go; `enquire_link` is answered.
    pub(crate) fn take(&mut self, mut each: impl FnMut(Header, &[u8], &mut Vec<u8>)) -> Result<()> {
        let mut at = 0;
        loop {
            match frame(&self.input[at..]) {
                Frame::Whole(header, body) => {
                    if header.command == ENQUIRE_LINK {
                        self.asked += 1;
                        put(&mut self.out, ENQUIRE_LINK | RESPONSE, 0, header.sequence, |_| {});
                    } else {
                        ensure!(header.command != UNBIND, "the switch says goodbye");
                        each(header, body, &mut self.out);
                    }
                    at += header.length;
                }
                Frame::Partial => break,
                Frame::Broken(header) => bail!("a PDU of {} octets", header.length),
            }
        }
        self.input.drain(..at);
        Ok(())
    }
}

/// How much to send, and how fast.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) messages: u32,
    /// Submits of one bind that may be unanswered.
    pub(crate) window: u32,
    /// Submits a second over all binds; 0: as fast as the window lets.
    pub(crate) rate: u32,
    /// The calling code and area of all recipients, as in 1415.
    pub(crate) area: u64,
}

/// What all binds of a load have sent and been told.
pub(crate) struct Notes {
    load: Load,
    started: Instant,
    next: u32,
    sent_at: Vec<u64>,
    by_id: HashMap<u64, u32>,
    receipted: Vec<bool>,
    /// Receipts that came before the answer to their submit: by id, the recipient and when.
    early: HashMap<u64, (u64, u64)>,
    pub(crate) answered: u64,
    pub(crate) receipts: u64,
    pub(crate) refused: HashMap<u32, u64>,
    pub(crate) unanswered: u64,
    /// The same id for two submits.
    pub(crate) ids_twice: u64,
    pub(crate) receipts_twice: u64,
    /// A receipt that names another recipient than the message of its id had.
    pub(crate) receipts_wrong: u64,
    pub(crate) answer_latency: Histogram,
    pub(crate) receipt_latency: Histogram,
    /// No more is sent, and binds end.
    pub(crate) over: bool,
}

impl Notes {
    pub(crate) fn new(load: Load) -> Self {
        Self {
            load,
            started: Instant::now(),
            next: 0,
            sent_at: vec![0; load.messages as usize],
            by_id: HashMap::new(),
            receipted: vec![false; load.messages as usize],
            early: HashMap::new(),
            answered: 0,
            receipts: 0,
            refused: HashMap::new(),
            unanswered: 0,
            ids_twice: 0,
            receipts_twice: 0,
            receipts_wrong: 0,
            answer_latency: Histogram::new(),
            receipt_latency: Histogram::new(),
            over: false,
        }
    }

    fn micros(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    /// Submits that have their end: an answer of any kind, or a lost connection.
    pub(crate) fn settled(&self) -> u64 {
        self.answered + self.refused.values().sum::<u64>() + self.unanswered
    }

    /// Everything sent has its answer, and what was accepted its receipt.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled() == u64::from(self.load.messages) && self.without_receipt() == 0
    }

    fn all_sent(&self) -> bool {
        self.next == self.load.messages
    }

    /// Sends no more than was sent until now.
    pub(crate) fn cut(&mut self) {
        self.load.messages = self.next;
    }

    /// The latencies since this was last asked: to the answer, and to the receipt.
    pub(crate) fn take_latencies(&mut self) -> (Histogram, Histogram) {
        let answer = std::mem::take(&mut self.answer_latency);
        (answer, std::mem::take(&mut self.receipt_latency))
    }

    /// Accepted messages whose receipt has not come.
    pub(crate) fn without_receipt(&self) -> u64 {
        self.answered - self.receipts
    }

    /// Receipts for ids that were never told: those of submits whose answer was lost.
    pub(crate) fn receipts_unknown(&self) -> u64 {
        self.early.len() as u64
    }

    /// The next message to send, if its time has come.
    fn next(&mut self, now: u64) -> Option<u32> {
        if self.over || self.all_sent() {
            return None;
        }
        let due = u64::from(self.next) * 1_000_000;
        if self.load.rate > 0 && due > now * u64::from(self.load.rate) {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.sent_at[number as usize] = now;
        Some(number)
    }

    fn answer(&mut self, header: Header, body: &[u8], now: u64) {
        let number = header.sequence - 1;
        self.answer_latency.record(now - self.sent_at[number as usize]);
        if header.status != 0 {
            *self.refused.entry(header.status).or_default() += 1;
            return;
        }
        self.answered += 1;
        let Some(id) = number_in(body.strip_suffix(&[0]).unwrap_or(body)) else {
            self.ids_twice += 1;
            return;
        };
        if self.by_id.insert(id, number).is_some() {
            self.ids_twice += 1;
        }
        if let Some((recipient, at)) = self.early.remove(&id) {
            self.settle(number, recipient, at);
        }
    }

    fn receipt(&mut self, body: &[u8], now: u64) {
        let Some((id, recipient)) = read_receipt(body) else {
            self.receipts_wrong += 1;
            return;
        };
        match self.by_id.get(&id) {
            Some(number) => self.settle(*number, recipient, now),
            None if self.early.insert(id, (recipient, now)).is_some() => self.receipts_twice += 1,
            None => {}
        }
    }

    fn settle(&mut self, number: u32, recipient: u64, now: u64) {
        if recipient != recipient_of(self.load.area, number) {
            self.receipts_wrong += 1;
        }
        if std::mem::replace(&mut self.receipted[number as usize], true) {
            self.receipts_twice += 1;
            return;
        }
        self.receipts += 1;
        self.receipt_latency.record(now.saturating_sub(self.sent_at[number as usize]));
    }
}

/// Submits and takes receipts on one bind, and binds again when it is lost, until all is over.
pub(crate) async fn drive(door: Door, notes: Rc<RefCell<Notes>>) -> Result<()> {
    loop {
        let mut waiting = 0;
        let why = match door.bind().await {
            Ok(Told::Bound(esme)) => serve(esme, &notes, &mut waiting).await,
            Ok(Told::Refused(status)) => bail!("the bind was refused with {status:#x}"),
            Err(error) => Err(error),
        };
        notes.borrow_mut().unanswered += u64::from(waiting);
        if why.is_ok() || notes.borrow().over {
            return Ok(());
        }
        tokio::time::sleep(REST).await;
    }
}

async fn serve(mut esme: Esme, notes: &RefCell<Notes>, waiting: &mut u32) -> Result<()> {
    loop {
        let more = {
            let mut notes = notes.borrow_mut();
            let now = notes.micros();
            while *waiting < notes.load.window
                && let Some(number) = notes.next(now)
            {
                let area = notes.load.area;
                put(&mut esme.out, SUBMIT_SM, 0, number + 1, |out| submit(area, number, out));
                *waiting += 1;
            }
            if notes.over {
                return Ok(());
            }
            !notes.all_sent()
        };
        esme.flush().await?;
        let look = if more { LOOK } else { LOOK_IDLE };
        if let Ok(filled) = tokio::time::timeout(look, esme.fill()).await {
            filled?;
        }
        let mut notes = notes.borrow_mut();
        let now = notes.micros();
        esme.take(|header, body, out| match header.command {
            command if command == SUBMIT_SM | RESPONSE => {
                *waiting -= 1;
                notes.answer(header, body, now);
            }
            DELIVER_SM => {
                notes.receipt(body, now);
                put(out, DELIVER_SM | RESPONSE, 0, header.sequence, |out| out.push(0));
            }
            _ => {}
        })?;
    }
}

fn recipient_of(area: u64, number: u32) -> u64 {
    area * 10_000_000 + 4_000_000 + u64::from(number) * STRIDE % RECIPIENTS
}

/// The body of a `submit_sm` of about 120 octets of text, whose first word is its number's.
pub(crate) fn submit(area: u64, number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\0\x05\0Orbit\0\x01\x01");
    let written = write!(out, "{}", recipient_of(area, number));
    debug_assert!(written.is_ok(), "a vector takes all");
    // esm_class to sm_default_msg_id: receipts are asked for, the alphabet is the default one.
    out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    let length = out.len();
    out.push(0);
    let written = write!(
        out,
        "n{number:08} hello from the load test, which fills this text up to the length that \
         others measured with, near 120"
    );
    debug_assert!(written.is_ok(), "a vector takes all");
    out[length] = (out.len() - length - 1) as u8;
}

/// The id and the recipient of a delivered message, where the TLV, the text and the state agree.
fn read_receipt(body: &[u8]) -> Option<(u64, u64)> {
    let mut rest = body;
    c_string(&mut rest)?;
    rest = rest.get(2..)?;
    let recipient = number_in(c_string(&mut rest)?)?;
    rest = rest.get(2..)?;
    c_string(&mut rest)?;
    let (esm_class, after) = rest.split_first()?;
    rest = after.get(2..)?;
    c_string(&mut rest)?;
    c_string(&mut rest)?;
    let (length, after) = rest.get(4..)?.split_first()?;
    let (text, mut tlvs) = after.split_at_checked(usize::from(*length))?;
    let text = std::str::from_utf8(text).ok()?;
    let id = number_in(text.strip_prefix("id:")?.split(' ').next()?.as_bytes())?;
    while let Some((head, tail)) = tlvs.split_at_checked(4) {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (value, tail) = tail.split_at_checked(length)?;
        if u16::from_be_bytes([head[0], head[1]]) == TLV_RECEIPTED_ID
            && number_in(value.strip_suffix(&[0]).unwrap_or(value)) != Some(id)
        {
            return None;
        }
        tlvs = tail;
    }
    let delivered = text.contains("stat:DELIVRD") && esm_class & 0x3C == 0x04;
    delivered.then_some((id, recipient))
}

fn c_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|&octet| octet == 0)?;
    let (text, tail) = rest.split_at(end);
    *rest = &tail[1..];
    Some(text)
}

fn number_in(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::smsc::wire::{Address, Deliver, HEADER, Submit, put_deliver};

    fn receipt_for(id: &str, number: u32, tlv: &str) -> Vec<u8> {
        let recipient = recipient_of(AREA, number).to_string();
        let text = format!("id:{id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:n");
        let address = |digits| Address { ton: 1, npi: 1, digits };
        let tlvs: [(u16, &[u8]); 1] = [(TLV_RECEIPTED_ID, tlv.as_bytes())];
        let mut out = Vec::new();
        let deliver = Deliver {
            source: address(recipient.as_bytes()),
            destination: address(b"Orbit"),
            esm_class: 0x04,
            text: text.as_bytes(),
            tlvs: &tlvs,
        };
        put_deliver(&mut out, 1, &deliver);
        out.split_off(HEADER)
    }

    fn answer(notes: &mut Notes, number: u32, id: &str) {
        let sequence = number + 1;
        let header = Header { length: 0, command: SUBMIT_SM | RESPONSE, status: 0, sequence };
        notes.answer(header, &[id.as_bytes(), &[0]].concat(), 10);
    }

    fn notes() -> Notes {
        let mut notes = Notes::new(Load { messages: 3, window: 3, rate: 0, area: AREA });
        while notes.next(0).is_some() {}
        notes
    }

    #[test]
    fn a_receipt_settles_its_message_before_or_after_the_answer_and_once() {
        let mut notes = notes();
        answer(&mut notes, 0, "70");
        notes.receipt(&receipt_for("70", 0, "70\0"), 20);
        notes.receipt(&receipt_for("71", 1, "71\0"), 20);
        assert_eq!((notes.receipts, notes.receipts_unknown()), (1, 1));
        answer(&mut notes, 1, "71");
        assert_eq!((notes.receipts, notes.receipts_unknown(), notes.without_receipt()), (2, 0, 0));
        notes.receipt(&receipt_for("70", 0, "70\0"), 20);
        assert_eq!((notes.receipts, notes.receipts_twice, notes.receipts_wrong), (2, 1, 0));
    }

    #[test]
    fn a_receipt_of_another_recipient_or_with_two_ids_is_wrong() {
        let mut notes = notes();
        answer(&mut notes, 0, "70");
        notes.receipt(&receipt_for("70", 2, "70\0"), 20);
        notes.receipt(&receipt_for("70", 0, "71\0"), 20);
        assert_eq!(notes.receipts_wrong, 2);
    }

    #[test]
    fn an_id_told_twice_is_seen() {
        let mut notes = notes();
        answer(&mut notes, 0, "70");
        answer(&mut notes, 1, "70");
        assert_eq!(notes.ids_twice, 1);
    }

    #[test]
    fn a_rate_holds_messages_back() {
        let mut notes = Notes::new(Load { messages: 9, window: 9, rate: 1_000, area: AREA });
        assert_eq!(notes.next(0), Some(0));
        assert_eq!(notes.next(999), None);
        assert_eq!(notes.next(1_000), Some(1));
    }

    #[test]
    fn a_submit_is_read_by_the_carrier_as_it_was_meant() {
        let mut body = Vec::new();
        submit(AREA, 7, &mut body);
        let read = Submit::parse(&body).expect("well formed");
        assert_eq!(read.destination.digits, recipient_of(AREA, 7).to_string().as_bytes());
        assert_eq!((read.registered_delivery, read.data_coding), (1, 0));
        assert!(read.text.starts_with(b"n00000007 hello") && read.text.len() < 150);
    }
}
