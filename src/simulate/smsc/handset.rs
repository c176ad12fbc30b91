//! What handsets write to us, and what quirks 27 to 33 and 37 make of it.
//!
//! A message is one PDU or several; each is written without a sequence number. The texts begin with
//! `mo<number>`, so that whoever receives them can tell them apart.

use super::receipt::vendor_tlvs;
use super::wire::{self, Address, Deliver, Delivery};
use crate::simulate::quirk::Quirks;

/// Octets in a part of a long message.
const PART: usize = 100;
const ESM_UDHI: u8 = 0x40;
/// Parts of a long message, but for one that exceeds every window.
const PARTS: usize = 3;

/// How inbound messages are written.
pub(crate) struct Handset {
    to: String,
    sender: Sender,
    text: Text,
    long: Option<Long>,
    stray_nul: bool,
    tail: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Number,
    Latin1,
    GsmAt,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Plain,
    /// With signs of the GSM alphabet, under this data_coding.
    Gsm(u8),
    Latin1,
    NulInside,
    Binary,
    Pairs,
    Odd,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Udh8,
    Udh16,
    Sar,
    Payload,
}

#[derive(Clone, Copy)]
struct Long {
    mark: Mark,
    order: Order,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Straight,
    Reversed,
    Missing,
    Repeated,
}

impl Handset {
    pub(crate) fn new(to: &str, quirks: &Quirks) -> Self {
        let mut tail = Vec::new();
        if quirks.has(29) {
            vendor_tlvs(&mut tail);
        }
        match quirks.get(30) {
            Some("empty") => wire::put_tlv(&mut tail, wire::TLV_SAR_TOTAL, b""),
            Some("past-end") => tail.extend_from_slice(&[0x14, 0x01, 0x01, 0x00, 1, 2, 3]),
            Some(_) => wire::put_tlv(&mut tail, 0x0381, &[b'1'; 80]),
            None => {}
        }
        let long = quirks.get(37).map(|value| {
            let mark = match value {
                "udh16" | "missing" => Mark::Udh16,
                "sar" => Mark::Sar,
                "payload" => Mark::Payload,
                _ => Mark::Udh8,
            };
            let order = match value {
                "reversed" => Order::Reversed,
                "missing" => Order::Missing,
                "repeated" => Order::Repeated,
                _ => Order::Straight,
            };
            Long { mark, order }
        });
        let text = match (quirks.get(32), quirks.get(33)) {
            (Some("latin1"), _) => Text::Latin1,
            (Some("binary"), _) => Text::Binary,
            (Some(_), _) => Text::Gsm(
                quirks.number(32).and_then(|coding| u8::try_from(coding).ok()).unwrap_or(0),
            ),
            (None, Some("odd")) => Text::Odd,
            (None, Some(_)) => Text::Pairs,
            (None, None) if quirks.is(28, "nul-inside") => Text::NulInside,
            (None, None) => Text::Plain,
        };
        let sender = match quirks.get(31) {
            Some("gsm-at") => Sender::GsmAt,
            Some(_) => Sender::Latin1,
            None => Sender::Number,
        };
        Self { to: to.to_owned(), sender, text, long, stray_nul: quirks.has(27), tail }
    }

    /// The PDUs of the message with this number, in the order in which they are sent.
    pub(crate) fn write(&self, number: u64) -> Vec<Vec<u8>> {
        let digits = format!("1415{:07}", 2_000_000 + number % 8_000_000);
        let source = match self.sender {
            Sender::Number => Address { ton: 1, npi: 1, digits: digits.as_bytes() },
            Sender::Latin1 => Address { ton: 5, npi: 0, digits: b"Caf\xe9 Z\xfcri" },
            Sender::GsmAt => Address { ton: 5, npi: 0, digits: b"me\0home" },
        };
        let (data_coding, text) = self.text(number);
        let Some(long) = self.long else {
            return vec![self.pdu(source, data_coding, 0, &text, &[], false)];
        };
        let text: Vec<u8> = text.iter().copied().cycle().take(PART * PARTS).collect();
        if long.mark == Mark::Payload {
            return vec![self.pdu(source, data_coding, 0, &text, &[], true)];
        }
        let total = PARTS as u8;
        let mut parts: Vec<Vec<u8>> = (1..=total)
            .zip(text.chunks(PART))
            .map(|(at, part)| self.part(source, data_coding, number, (total, at), part, long.mark))
            .collect();
        match long.order {
            Order::Straight => {}
            Order::Reversed => parts.reverse(),
            Order::Missing => {
                parts.remove(1);
            }
            Order::Repeated => {
                let first = parts[0].clone();
                parts.insert(1, first);
            }
        }
        parts
    }

    fn text(&self, number: u64) -> (u8, Vec<u8>) {
        let head = format!("mo{number} ").into_bytes();
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        match self.text {
            Text::Plain => (0, [&head[..], b"hello"].concat()),
            // 0x00 is @ and 0x40 an inverted exclamation mark in GSM.
            Text::Gsm(coding) => (coding, [&head[..], b"\x00 \x40 \x05"].concat()),
            Text::Latin1 => (0, [&head[..], b"@ caf\xe9"].concat()),
            Text::NulInside => (3, [&head[..], b"a\0b"].concat()),
            Text::Binary => (4, b"\x00\x01\xfe\xff".to_vec()),
            Text::Pairs => (8, wide(&format!("mo{number} 😀!"))),
            Text::Odd => {
                let mut text = wide(&format!("mo{number} né"));
                text.push(0x04);
                (8, text)
            }
        }
    }

    fn part(
        &self,
        source: Address<'_>,
        data_coding: u8,
        number: u64,
        (total, at): (u8, u8),
        text: &[u8],
        mark: Mark,
    ) -> Vec<u8> {
        let [high, low] = ((number % 0xFFFF) as u16).to_be_bytes();
        let header = match mark {
            Mark::Udh8 => vec![5, 0, 3, low, total, at],
            Mark::Udh16 => vec![6, 8, 4, high, low, total, at],
            Mark::Sar | Mark::Payload => Vec::new(),
        };
        let sar: [(u16, &[u8]); 3] = [
            (wire::TLV_SAR_REFERENCE, &[high, low]),
            (wire::TLV_SAR_TOTAL, &[total]),
            (wire::TLV_SAR_NUMBER, &[at]),
        ];
        let tlvs = if mark == Mark::Sar { &sar[..] } else { &[] };
        let class = if header.is_empty() { 0 } else { ESM_UDHI };
        let text = [&header[..], text].concat();
        self.pdu(source, data_coding, class, &text, tlvs, false)
    }

    fn pdu(
        &self,
        source: Address<'_>,
        data_coding: u8,
        esm_class: u8,
        text: &[u8],
        tlvs: &[(u16, &[u8])],
        payload: bool,
    ) -> Vec<u8> {
        let destination = Address { ton: 1, npi: 1, digits: self.to.as_bytes() };
        let plain = Deliver { source, destination, esm_class, text, tlvs };
        let (stray_nul, tail) = (self.stray_nul, &self.tail[..]);
        let mut out = Vec::new();
        let delivery = Delivery { plain, data_coding, data_sm: false, payload, stray_nul, tail };
        wire::put_delivery(&mut out, 0, &delivery);
        out
    }
}
