//! A receipt as this carrier writes it: the form of appendix B, and what quirks 11 to 30 make of it.
//!
//! `Course` is which receipts a submit gets, in order; `Form` writes one. Both are fixed when the
//! simulator starts, so that a receipt costs no look-up of switches.

use std::io::Write as _;
use std::time::Instant;

use super::options::{ReceiptStyle, SmscOptions};
use super::wire::{self, Deliver, Delivery, Submit};
use crate::simulate::quirk::Quirks;

const ESM_RECEIPT: u8 = 0x04;
const TEXT_SHOWN: usize = 20;

/// A word after `stat:` and its number in message_state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    word: String,
    code: u8,
}

/// Which receipts follow a submit.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    pub(crate) states: Vec<State>,
    part: Option<Part>,
    pub(crate) unasked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    First,
    Last,
}

/// How one is written.
pub(crate) struct Form {
    style: ReceiptStyle,
    state_told: bool,
    counts: bool,
    error: &'static str,
    dates: Dates,
    wide: bool,
    payload: bool,
    data_sm: bool,
    commas: bool,
    esm_class: u8,
    addresses_kept: bool,
    network_error: Option<&'static [u8]>,
    stray_nul: bool,
    nul_inside: bool,
    id_tail: &'static [u8],
    tail: Vec<u8>,
    text: Vec<u8>,
}

/// The minute, written as this carrier does.
struct Dates {
    until: Instant,
    format: &'static str,
    local: bool,
    text: String,
}

impl State {
    fn of(word: &str) -> Self {
        let code = match word {
            "DELIVRD" => 2,
            "EXPIRED" => 3,
            "DELETED" => 4,
            "UNDELIV" | "FAILED" => 5,
            "ACCEPTD" | "ACKED" => 6,
            "UNKNOWN" => 7,
            "REJECTD" => 8,
            _ => 1,
        };
        Self { word: word.to_owned(), code }
    }

    fn is_delivered(&self) -> bool {
        self.code == 2
    }
}

impl Course {
    pub(crate) fn new(quirks: &Quirks) -> Self {
        let words = match (quirks.get(22), quirks.get(12)) {
            (Some("steps"), _) => vec!["ACCEPTD", "ENROUTE", "DELIVRD"],
            (Some("changed"), _) => vec!["DELIVRD", "UNDELIV"],
            (Some("back"), _) => vec!["UNDELIV", "DELIVRD"],
            (Some(_), _) => vec!["DELIVRD", "DELIVRD"],
            (None, Some(word)) if [1, 6].contains(&State::of(word).code) => vec![word, "DELIVRD"],
            (None, Some(word)) => vec![word],
            (None, None) => vec!["DELIVRD"],
        };
        let part = match quirks.get(23) {
            Some("last") => Some(Part::Last),
            Some(_) => Some(Part::First),
            None => None,
        };
        let states = words.into_iter().map(State::of).collect();
        Self { states, part, unasked: quirks.has(21) }
    }

    /// Whether this part of a message is one that gets receipts.
    pub(crate) fn is_for(&self, submit: &Submit<'_>) -> bool {
        match self.part {
            None => true,
            Some(Part::First) => submit.part.number == 1,
            Some(Part::Last) => submit.part.number == submit.part.total,
        }
    }
}

impl Form {
    pub(crate) fn new(options: &SmscOptions, quirks: &Quirks, now: Instant) -> Self {
        let style = if quirks.has(16) {
            ReceiptStyle::Tlv
        } else if quirks.has(25) || quirks.has(30) {
            ReceiptStyle::Both
        } else if [11, 12, 13, 14, 15, 17, 18, 19, 20, 24].iter().any(|n| quirks.has(*n)) {
            ReceiptStyle::Text
        } else {
            options.receipt_style
        };
        let mut tail = Vec::new();
        if quirks.has(29) {
            vendor_tlvs(&mut tail);
        }
        let id_tail = match quirks.get(30) {
            Some("long") => &b"-and-much-more-than-sixty-four-characters-of-an-id-at-the-end"[..],
            _ => b"",
        };
        match quirks.get(30) {
            Some("empty") => {
                wire::put_tlv(&mut tail, wire::TLV_NETWORK_ERROR, b"");
                wire::put_tlv(&mut tail, wire::TLV_SAR_REFERENCE, b"");
            }
            Some("past-end") => tail.extend_from_slice(&[0x14, 0x01, 0x01, 0x00, 1, 2, 3]),
            _ => {}
        }
        let error = match quirks.get(13) {
            Some("two") => " err:00",
            Some("four") => " err:0000",
            Some("letters") => " err:EC0",
            Some(_) => "",
            None if quirks.is(25, "disagrees") => " err:001",
            None => " err:000",
        };
        let class = quirks.number(20).and_then(|class| u8::try_from(class).ok());
        Self {
            style,
            state_told: !quirks.is(16, "no-state"),
            counts: !quirks.has(11),
            error,
            dates: Dates::new(quirks, now),
            wide: quirks.has(15),
            payload: quirks.has(17),
            data_sm: quirks.has(18),
            commas: quirks.has(19),
            esm_class: class.unwrap_or(ESM_RECEIPT),
            addresses_kept: quirks.has(24),
            network_error: match quirks.get(25) {
                Some("empty") => Some(&[]),
                Some("one") => Some(&[27]),
                Some("two") => Some(&[0, 27]),
                Some("five") => Some(&[3, 0, 27, 0, 0]),
                Some(_) => Some(&[3, 0, 27]),
                None => None,
            },
            stray_nul: quirks.has(27),
            nul_inside: quirks.is(28, "nul-inside"),
            id_tail,
            tail,
            text: Vec::new(),
        }
    }

    /// What the id is followed by in answers and receipts alike.
    pub(crate) fn id_tail(&self) -> &'static [u8] {
        self.id_tail
    }

    /// Appends the receipt of a submit, without a sequence number.
    pub(crate) fn write(
        &mut self,
        out: &mut Vec<u8>,
        submit: &Submit<'_>,
        id: &[u8],
        state: &State,
    ) {
        self.text.clear();
        if self.style != ReceiptStyle::Tlv {
            self.write_text(submit, id, state);
        }
        let id_with_nul = [id, b"\0"].concat();
        let code = [state.code];
        let mut tlvs: Vec<(u16, &[u8])> = Vec::with_capacity(3);
        if self.style != ReceiptStyle::Text {
            tlvs.push((wire::TLV_RECEIPTED_ID, &id_with_nul));
            if self.state_told {
                tlvs.push((wire::TLV_MESSAGE_STATE, &code));
            }
        }
        if let Some(value) = self.network_error {
            tlvs.push((wire::TLV_NETWORK_ERROR, value));
        }
        let (source, destination) = if self.addresses_kept {
            (submit.source, submit.destination)
        } else {
            (submit.destination, submit.source)
        };
        let esm_class = self.esm_class;
        let plain = Deliver { source, destination, esm_class, text: &self.text, tlvs: &tlvs };
        let delivery = Delivery {
            plain,
            data_coding: if self.wide { 8 } else { 0 },
            data_sm: self.data_sm,
            payload: self.payload || self.text.len() > 254,
            stray_nul: self.stray_nul,
            tail: &self.tail,
        };
        wire::put_delivery(out, 0, &delivery);
    }

    fn write_text(&mut self, submit: &Submit<'_>, id: &[u8], state: &State) {
        let date = self.dates.now();
        let mut head = Vec::with_capacity(160);
        if self.commas {
            head.extend_from_slice(id);
            head.push(b',');
            head.extend_from_slice(submit.destination.digits);
            let written = write!(head, ",{date},{}", state.word);
            debug_assert!(written.is_ok(), "a vector takes all");
        } else {
            let delivered = u8::from(state.is_delivered());
            let counts = match (self.counts, delivered) {
                (true, 1) => " sub:001 dlvrd:001",
                (true, _) => " sub:001 dlvrd:000",
                (false, _) => "",
            };
            head.extend_from_slice(b"id:");
            head.extend_from_slice(id);
            let written = write!(
                head,
                "{counts} submit date:{date} done date:{date} stat:{}{} text:",
                state.word, self.error
            );
            debug_assert!(written.is_ok(), "a vector takes all");
            if self.nul_inside {
                head.extend_from_slice(b"a\0b");
            } else {
                let shown = &submit.text[..submit.text.len().min(TEXT_SHOWN)];
                let shown = shown.iter().map(|&octet| if octet < b' ' { b'?' } else { octet });
                head.extend(shown);
            }
        }
        if self.wide {
            self.text.extend(head.iter().flat_map(|octet| [0, *octet]));
        } else {
            self.text.extend_from_slice(&head);
        }
    }
}

impl Dates {
    fn new(quirks: &Quirks, now: Instant) -> Self {
        let format = match quirks.get(14) {
            Some("seconds") => "%y%m%d%H%M%S",
            Some("long-year") => "%Y%m%d%H%M%S",
            Some("zeros") => "0000000000",
            _ => "%y%m%d%H%M",
        };
        Self { until: now, format, local: quirks.is(14, "local"), text: String::new() }
    }

    fn now(&mut self) -> &str {
        let now = Instant::now();
        if now >= self.until || self.text.is_empty() {
            self.until = now + std::time::Duration::from_secs(1);
            let mut at = jiff::Timestamp::now();
            if self.local {
                // Half a day ahead: a time that no clock of ours shows.
                at = at.saturating_add(jiff::SignedDuration::from_hours(12)).unwrap_or(at);
            }
            self.text = at.strftime(self.format).to_string();
        }
        &self.text
    }
}

/// TLVs that no book lists, and one that belongs to a bind's answer.
pub(crate) fn vendor_tlvs(out: &mut Vec<u8>) {
    for tag in (0x1401..=0x1411).chain([0x2001, 0x3177]) {
        wire::put_tlv(out, tag, &tag.to_be_bytes());
    }
    wire::put_tlv(out, wire::TLV_VERSION, &[0x34]);
}
