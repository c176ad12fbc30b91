//! Delivery receipts, SMPP 3.4 §5.2.12 and appendix B, as carriers really send them.
//!
//! The appendix is advice, so everyone has a form of their own. TLVs are asked first
//! (receipted_message_id, message_state, network_error_code), then the text: keys in any case and
//! order, with or without blanks, fields missing, in octets or UCS-2, in short_message or
//! message_payload, with words the book does not know. Nothing here fails; what is not said stays
//! `None`. `write` builds the receipt that our own SMSC side sends, text and TLVs both.

mod keys;
mod stamp;

pub use stamp::Stamp;

use crate::pdu::message::{ESM_INTERMEDIATE, ESM_RECEIPT};
use crate::{Address, CommandId, Message, MessageView, text, tlv, ucs2};

/// What a receipt says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Receipt {
    /// As written by the carrier; see `message_id::canonical`.
    pub message_id: Option<Vec<u8>>,
    pub state: Option<State>,
    /// The word after `stat:`, known or not.
    pub stat: Option<String>,
    /// The text's `err:`, else the number in network_error_code.
    pub error: Option<String>,
    /// network_error_code, raw: by the book one octet of network and two of code.
    pub network_error: Option<Vec<u8>>,
    pub submitted: Option<u32>,
    pub delivered: Option<u32>,
    /// In the carrier's local time.
    pub submit_date: Option<Stamp>,
    /// In the carrier's local time.
    pub done_date: Option<Stamp>,
    /// The beginning of the message, when the carrier repeats it.
    pub text: Option<String>,
}

/// message_state, SMPP 3.4 §5.2.28; the number is the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    Enroute = 1,
    Delivered = 2,
    Expired = 3,
    Deleted = 4,
    Undeliverable = 5,
    Accepted = 6,
    Unknown = 7,
    Rejected = 8,
}

/// What to write into a receipt of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<'a> {
    pub message_id: &'a str,
    pub state: State,
    /// Three digits of `err:`, and the code of network_error_code when not 0.
    pub error: u16,
    pub submit_date: Stamp,
    pub done_date: Stamp,
    /// The message's text; its first 20 characters are repeated, non-ASCII as `?`.
    pub text: &'a str,
    /// Whether the peer may be sent TLVs (`Bind::takes_tlvs`).
    pub tlvs: bool,
}

impl State {
    /// The state of a message_state value; 0 (scheduled) and 9 (skipped) are SMPP 5.0.
    pub fn of_code(code: u8) -> Option<Self> {
        Some(match code {
            0 | 1 => Self::Enroute,
            2 => Self::Delivered,
            3 => Self::Expired,
            4 => Self::Deleted,
            5 | 9 => Self::Undeliverable,
            6 => Self::Accepted,
            7 => Self::Unknown,
            8 => Self::Rejected,
            _ => return None,
        })
    }

    /// The state of a word after `stat:`, by how it begins; or of a number there.
    pub fn of_word(word: &str) -> Option<Self> {
        const BEGINNINGS: [(&str, State); 24] = [
            ("DELIV", State::Delivered),
            ("DLVRD", State::Delivered),
            ("SUCCE", State::Delivered),
            ("READ", State::Delivered),
            ("EXPIR", State::Expired),
            ("DELET", State::Deleted),
            ("CANCEL", State::Deleted),
            ("UNDEL", State::Undeliverable),
            ("FAIL", State::Undeliverable),
            ("ERR", State::Undeliverable),
            ("SKIP", State::Undeliverable),
            ("NONDEL", State::Undeliverable),
            ("ACCEP", State::Accepted),
            ("ACK", State::Accepted),
            ("SENT", State::Accepted),
            ("UNKNO", State::Unknown),
            ("REJ", State::Rejected),
            ("ENROU", State::Enroute),
            ("BUFF", State::Enroute),
            ("QUEUE", State::Enroute),
            ("PEND", State::Enroute),
            ("SCHED", State::Enroute),
            ("RETRY", State::Enroute),
            ("TRANSI", State::Enroute),
        ];
        if let Ok(code) = word.parse::<u8>() {
            return Self::of_code(code);
        }
        let word = word.to_ascii_uppercase();
        let found = BEGINNINGS.iter().find(|(beginning, _)| word.starts_with(beginning));
        found.map(|&(_, state)| state)
    }

    /// The word of appendix B.
    pub fn word(self) -> &'static str {
        match self {
            Self::Enroute => "ENROUTE",
            Self::Delivered => "DELIVRD",
            Self::Expired => "EXPIRED",
            Self::Deleted => "DELETED",
            Self::Undeliverable => "UNDELIV",
            Self::Accepted => "ACCEPTD",
            Self::Unknown => "UNKNOWN",
            Self::Rejected => "REJECTD",
        }
    }

    /// The value of message_state.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Whether no other state follows (by the book; carriers sometimes think again).
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Enroute | Self::Accepted)
    }
}

impl Receipt {
    /// Reads all that a message says as a receipt. Ask `is_receipt` first.
    pub fn parse(view: &MessageView<'_>) -> Self {
        let said = receipt_text(view);
        let mut receipt = keys::read(&said).unwrap_or_else(|| keys::read_positions(&said));
        if let Some(id) = view.tlv(tlv::RECEIPTED_MESSAGE_ID).map(before_nul)
            && !id.is_empty()
        {
            receipt.message_id = Some(id.to_vec());
        }
        let state = view.tlv(tlv::MESSAGE_STATE).and_then(|value| value.last());
        if let Some(state) = state.copied().and_then(State::of_code) {
            receipt.state = Some(state);
        }
        let network_error = view.tlv(tlv::NETWORK_ERROR_CODE).filter(|value| !value.is_empty());
        receipt.network_error = network_error.map(<[u8]>::to_vec);
        if receipt.error.is_none() {
            receipt.error = network_error.map(network_code);
        }
        receipt
    }
}

/// Whether a message from a carrier is a receipt: by its esm_class type (a receipt or an
/// intermediate notification), by the id it names, or, whatever the type says, by its text.
pub fn is_receipt(view: &MessageView<'_>) -> bool {
    if view.esm_class & (ESM_RECEIPT | ESM_INTERMEDIATE) != 0 {
        return true;
    }
    if view.tlv(tlv::RECEIPTED_MESSAGE_ID).is_some() {
        return true;
    }
    keys::looks_like_one(&receipt_text(view))
}

/// A receipt as our own SMSC side sends it. The addresses are those of the message it reports on,
/// from its sender to its recipient; a receipt travels the other way round.
pub fn write(said: &Written<'_>, sender: &Address, recipient: &Address) -> Message {
    let mut message = Message::new(CommandId::DELIVER_SM, recipient.clone(), sender.clone());
    message.esm_class = ESM_RECEIPT;
    let ascii = |c: char| {
        if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }
    };
    let repeated: String = said.text.chars().take(20).map(ascii).collect();
    message.short_message = format!(
        "id:{} sub:001 dlvrd:{:03} submit date:{} done date:{} stat:{} err:{:03} text:{}",
        said.message_id,
        u8::from(said.state == State::Delivered),
        said.submit_date,
        said.done_date,
        said.state.word(),
        said.error.min(999),
        repeated,
    )
    .into_bytes();
    if said.tlvs {
        let mut id = said.message_id.as_bytes().to_vec();
        id.push(0);
        message.push_tlv(tlv::RECEIPTED_MESSAGE_ID, &id);
        message.push_tlv(tlv::MESSAGE_STATE, &[said.state.code()]);
        if said.error != 0 {
            let [high, low] = said.error.to_be_bytes();
            message.push_tlv(tlv::NETWORK_ERROR_CODE, &[NETWORK_GSM, high, low]);
        }
    }
    message
}

/// network_error_code: the network is GSM.
const NETWORK_GSM: u8 = 3;

/// The text in which keys are looked for. Keys are ASCII in every alphabet that carriers use, but
/// for UCS-2, which is known by data_coding or by its NULs.
fn receipt_text(view: &MessageView<'_>) -> String {
    let data = view.user_data();
    let plain = data.len() >= 3 && data[..3].eq_ignore_ascii_case(b"id:");
    // Some set the UDH bit on a receipt without a header.
    let body = if plain { data } else { view.split_udh().1 };
    let wide = view.data_coding == 8 || matches!(body, [0, c, 0, d, ..] if *c != 0 && *d != 0);
    if wide && !plain { ucs2::decode(body) } else { text::latin1(body) }
}

fn before_nul(value: &[u8]) -> &[u8] {
    value.split(|&b| b == 0).next().unwrap_or_default()
}

/// The code in network_error_code: after the network octet when it has three, else all of it.
fn network_code(value: &[u8]) -> String {
    match *value {
        [_, high, low] => u16::from_be_bytes([high, low]).to_string(),
        [high, low] => u16::from_be_bytes([high, low]).to_string(),
        [code] => code.to_string(),
        _ => value.iter().map(|b| format!("{b:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests;
