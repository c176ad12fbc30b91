//! An event made the PDUs that an account is owed for it: a receipt, or an inbound message.
//!
//! Pure. Receipts follow SMPP 3.4 appendix B, in the account's form and with its form of ids. All
//! PDUs made here can be encoded: one that could not would be tried for ever.

use model::clock::At;
use model::esme::{ReceiptFormat, Submitted};
use model::event::EventKind;
use model::message::{Encoding, Status};
use proto_smpp::pdu::message::{ESM_INTERMEDIATE, ESM_UDHI};
use proto_smpp::receipt::{self, Stamp, State, Written};
use proto_smpp::split::{self, Concat};
use proto_smpp::{Address, CommandId, Message, tlv};
use store::OwedRow;

use super::accounts::Account;

/// What an account is owed for one event; nothing, if it did not ask.
pub(super) fn pdus(account: &Account, row: &OwedRow, takes_tlvs: bool) -> Vec<Message> {
    match EventKind::from_code(row.kind) {
        Some(EventKind::Received) if account.takes_inbound(&row.to_addr) => {
            inbound(row, takes_tlvs)
        }
        Some(kind) if is_reported(kind) => receipt(account, row, takes_tlvs).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// How many PDUs that are.
pub(super) fn count(account: &Account, row: &OwedRow) -> usize {
    match EventKind::from_code(row.kind) {
        Some(EventKind::Received) => pdus(account, row, false).len(),
        Some(kind) if is_reported(kind) => usize::from(asked_for(account, row).is_some()),
        _ => 0,
    }
}

/// Ends of messages, and steps on the way to them.
fn is_reported(kind: EventKind) -> bool {
    use EventKind::{Cancelled, Delivered, Failed, Retried, Sent};
    matches!(kind, Delivered | Failed | Cancelled | Sent | Retried)
}

/// The state to report, if its receipt was asked for by this account.
fn asked_for(account: &Account, row: &OwedRow) -> Option<(Submitted, State)> {
    if row.smpp_account_id != Some(account.id) {
        return None;
    }
    let submitted = Submitted::from_octets(account.id, row.submitted.as_deref()?)?;
    let state = state_of(Status::from_code(row.status)?)?;
    let wanted = match state {
        State::Enroute => account.intermediate_receipts && submitted.wants_steps(),
        state => submitted.wants_receipt(state == State::Delivered),
    };
    wanted.then_some((submitted, state))
}

fn receipt(account: &Account, row: &OwedRow, takes_tlvs: bool) -> Option<Message> {
    let (submitted, state) = asked_for(account, row)?;
    let id = account.id_format.write(row.message_key);
    let said = Written {
        message_id: &id,
        state,
        error: error_of(row),
        submit_date: stamp(At(row.created_at)),
        done_date: stamp(At(row.at)),
        text: &row.body,
        tlvs: takes_tlvs && account.receipt_format != ReceiptFormat::Text,
    };
    let plain = |text: &str| text.trim_start_matches('+').to_owned();
    let (source, destination) = (submitted.source, submitted.destination);
    let sender = match source {
        Submitted::OF_ITS_KIND => address(&row.from_addr),
        (ton, npi) => Address::new(ton, npi, plain(&row.from_addr)),
    };
    let recipient = Address::new(destination.0, destination.1, plain(&row.to_addr));
    let mut message = receipt::write(&said, &sender, &recipient);
    if state == State::Enroute {
        message.esm_class = ESM_INTERMEDIATE;
    }
    if said.tlvs && account.receipt_format == ReceiptFormat::Tlv {
        message.short_message.clear();
    }
    Some(message)
}

/// SMPP 3.4 §5.2.28.
pub(super) fn state_of(status: Status) -> Option<State> {
    Some(match status {
        Status::Scheduled | Status::Queued | Status::Sending | Status::Sent => State::Enroute,
        Status::Delivered => State::Delivered,
        Status::Undelivered | Status::Failed => State::Undeliverable,
        Status::Expired => State::Expired,
        Status::Rejected | Status::Blocked => State::Rejected,
        Status::Cancelled => State::Deleted,
        Status::SubmittedNoReceipt => State::Unknown,
        Status::Received => return None,
    })
}

/// The carrier's number, where it gave one that fits three digits.
fn error_of(row: &OwedRow) -> u16 {
    let text = row.carrier_error.as_deref().unwrap_or_default();
    let number = match text.strip_prefix("0x") {
        Some(hex) => {
            let digits = hex.split(' ').next().unwrap_or_default();
            u16::from_str_radix(digits.trim_start_matches('0'), 16).ok()
        }
        None => text.parse().ok(),
    };
    number.filter(|number| *number <= 999).unwrap_or(0)
}

/// In UTC, to the second.
fn stamp(at: At) -> Stamp {
    let text = at.iso();
    let none = Stamp { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
    text.get(..19).and_then(Stamp::parse).unwrap_or(none)
}

/// An address as ESMEs are told it, with the TON and NPI of its kind.
pub(crate) fn address(text: &str) -> Address {
    match text.strip_prefix('+') {
        Some(digits) => Address::new(1, 1, digits),
        None if text.bytes().all(|b| b.is_ascii_digit()) => Address::new(3, 0, text),
        None => Address::new(5, 0, text),
    }
}

/// A message from a handset, in as many parts as it takes. What is no text goes on as it came, and
/// so do its optional parameters.
fn inbound(row: &OwedRow, takes_tlvs: bool) -> Vec<Message> {
    let (source, destination) = (address(&row.from_addr), address(&row.to_addr));
    let said = row.submitted.as_deref().and_then(|octets| Submitted::from_octets(0, octets));
    let said = said.unwrap_or_default();
    let tlvs = if takes_tlvs { &said.tlvs[..] } else { &[] };
    if !said.user_data.is_empty() {
        let mut message = Message::new(CommandId::DELIVER_SM, source, destination);
        message.service_type = said.service_type.clone();
        message.esm_class = said.esm_class & ESM_UDHI;
        message.protocol_id = said.protocol_id;
        message.data_coding = said.data_coding;
        message.short_message = said.user_data;
        extend(&mut message, tlvs);
        return vec![message];
    }
    let wide = row.encoding == Encoding::Ucs2.code();
    let asked = if wide { split::Encoding::Ucs2 } else { split::Encoding::of(&row.body) };
    let reference = u16::try_from(row.message_key & 0xffff).unwrap_or(0);
    // What takes more than 255 parts goes in pieces as large as can be.
    let parts = split::parts(&row.body, asked, Concat::Udh8, reference);
    let parts = parts.unwrap_or_else(|_| pieces(&row.body, asked, reference));
    let pdu = |part: split::Part| {
        let mut message = Message::new(CommandId::DELIVER_SM, source.clone(), destination.clone());
        message.data_coding = asked.data_coding();
        if part.esm_class_udhi {
            message.esm_class = ESM_UDHI;
        }
        message.short_message = part.user_data;
        message.tlvs = part.tlvs;
        message
    };
    let mut pdus: Vec<Message> = parts.into_iter().map(pdu).collect();
    if let Some(first) = pdus.first_mut() {
        extend(first, tlvs);
    }
    pdus
}

/// Adds optional parameters, if the message has room for them.
fn extend(message: &mut Message, tlvs: &[u8]) {
    let own = message.tlvs.len();
    message.tlvs.extend_from_slice(tlvs);
    if !message.fits() {
        message.tlvs.truncate(own);
    }
}

/// Characters of a piece: two units of 16 bits each at the most, so a message_payload holds them.
const PIECE: usize = 16_000;

/// A text as message_payload: in one, or in several that say their order.
fn pieces(text: &str, encoding: split::Encoding, reference: u16) -> Vec<split::Part> {
    let letters: Vec<char> = text.chars().collect();
    let total = letters.len().div_ceil(PIECE);
    let piece = |(place, letters): (usize, &[char])| {
        let text: String = letters.iter().collect();
        let mut part =
            split::parts(&text, encoding, Concat::MessagePayload, reference).ok()?.pop()?;
        if let (Ok(total), Ok(number), true) =
            (u8::try_from(total), u8::try_from(place + 1), total > 1)
        {
            tlv::write(&mut part.tlvs, tlv::SAR_MSG_REF_NUM, &reference.to_be_bytes());
            tlv::write(&mut part.tlvs, tlv::SAR_TOTAL_SEGMENTS, &[total]);
            tlv::write(&mut part.tlvs, tlv::SAR_SEGMENT_SEQNUM, &[number]);
        }
        Some(part)
    };
    letters.chunks(PIECE).enumerate().filter_map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(body: &str, said: &Submitted) -> OwedRow {
        OwedRow {
            seq: 1,
            at: 1,
            kind: EventKind::Received.code(),
            status: Status::Received.code(),
            message_key: 7,
            created_at: 1,
            to_addr: String::from("12345"),
            from_addr: String::from("+14155550123"),
            body: body.to_owned(),
            encoding: split_code(body),
            error_code: None,
            carrier_error: None,
            smpp_account_id: None,
            submitted: Some(said.to_octets()),
        }
    }

    fn split_code(body: &str) -> i64 {
        let wide = split::Encoding::of(body) == split::Encoding::Ucs2;
        if wide { Encoding::Ucs2.code() } else { Encoding::Gsm7.code() }
    }

    fn encodes(message: &Message) -> bool {
        message.view().encode(&mut Vec::new(), 1).is_ok()
    }

    #[test]
    fn a_text_of_any_length_is_brought_whole_in_pdus_that_can_be_written() {
        let none = Submitted::default();
        for (letter, length, count) in [
            ("a", 10, 1),
            ("a", 39_000, 255),
            ("a", 60_000, 4),
            ("я", 40_000, 3),
            ("😀", 32_000, 2),
        ] {
            let body = letter.repeat(length);
            let pdus = inbound(&row(&body, &none), true);
            assert_eq!(pdus.len(), count, "{length} {letter}");
            assert!(pdus.iter().all(encodes));
            let text = |pdu: &Message| {
                let (_, octets) = pdu.view().split_udh();
                proto_smpp::text::decode(pdu.data_coding, octets)
            };
            assert_eq!(pdus.iter().map(text).collect::<String>(), body);
        }
        let long = inbound(&row(&"a".repeat(60_000), &none), true);
        let place = |pdu: &Message| {
            let one = |tag| tlv::find(&pdu.tlvs, tag).map(|value| value[0]);
            (one(tlv::SAR_SEGMENT_SEQNUM), one(tlv::SAR_TOTAL_SEGMENTS))
        };
        assert_eq!(place(&long[3]), (Some(4), Some(4)));
    }

    #[test]
    fn optional_parameters_that_do_not_fit_behind_the_octets_are_left_out() {
        let mut tlvs = Vec::new();
        tlv::write(&mut tlvs, tlv::CALLBACK_NUM, &[1; 30_000]);
        let said = |length: usize| Submitted {
            user_data: vec![0xA5; length],
            data_coding: 4,
            tlvs: tlvs.clone(),
            ..Submitted::default()
        };
        let small = inbound(&row("", &said(100)), true).remove(0);
        assert!(encodes(&small) && small.tlvs == tlvs);
        let large = inbound(&row("", &said(40_000)), true).remove(0);
        assert!(encodes(&large) && large.tlvs.is_empty());
        let text = Submitted { user_data: Vec::new(), ..said(0) };
        let large = inbound(&row(&"a".repeat(62_000), &text), true);
        assert!(large.iter().all(encodes));
    }
}
