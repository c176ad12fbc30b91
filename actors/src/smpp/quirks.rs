//! A carrier's habits, as its account says them: laid over what is written to it and read from it.
//!
//! The standard way of `translate` comes first; this changes fields of what that made. Nothing here
//! knows a carrier's name.

use model::message::Status;
use proto_smpp::message_id::Rule;
use proto_smpp::receipt::{self, State};
use proto_smpp::{Message, MessageView, gsm7};
use store::lane::Receipt;

/// No receipt is asked for.
const NO_RECEIPT: u8 = 0;
/// The data_coding of ISO 8859-1.
const LATIN1: u8 = 3;

/// What is otherwise at this carrier. The default changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    pub source_ton: Option<u8>,
    pub source_npi: Option<u8>,
    pub dest_ton: Option<u8>,
    pub dest_npi: Option<u8>,
    /// Texts in the GSM alphabet leave as ISO 8859-1, if that has all their characters.
    pub latin1: bool,
    /// The data_coding of texts in the GSM alphabet, where it is not 0.
    pub gsm7_data_coding: Option<u8>,
    pub no_receipts: bool,
    /// How the id of an answer becomes the id of the receipt.
    pub id_rule: Rule,
    /// What a receipt's state makes of a message, where it is not the usual; `None`: nothing.
    pub states: Vec<(State, Option<Status>)>,
}

impl Quirks {
    /// Changes a PDU that is about to leave.
    pub fn write(&self, message: &mut Message) {
        for (octet, wanted) in [
            (&mut message.source.ton, self.source_ton),
            (&mut message.source.npi, self.source_npi),
            (&mut message.destination.ton, self.dest_ton),
            (&mut message.destination.npi, self.dest_npi),
        ] {
            *octet = wanted.unwrap_or(*octet);
        }
        if self.no_receipts {
            message.registered_delivery = NO_RECEIPT;
        }
        if message.data_coding == 0 {
            if self.latin1 {
                as_latin1(message);
            }
            if message.data_coding == 0 {
                message.data_coding = self.gsm7_data_coding.unwrap_or(0);
            }
        }
    }

    /// Changes a receipt that was read from this PDU.
    pub fn read(&self, view: &MessageView<'_>, receipt: &mut Receipt) {
        if self.id_rule != Rule::Same
            && let Some(id) = self.id_rule.undo(&receipt.external_id)
        {
            receipt.external_id = id;
        }
        if self.states.is_empty() {
            return;
        }
        let state = receipt::Receipt::parse(view).state;
        if let Some((_, status)) = self.states.iter().find(|(known, _)| Some(*known) == state) {
            receipt.status = *status;
            receipt.reason = None;
        }
    }
}

/// Writes a text of the GSM alphabet in ISO 8859-1. One that does not fit, or is not in the
/// short_message, stays as it is.
fn as_latin1(message: &mut Message) {
    let view = message.view();
    let (_, body) = view.split_udh();
    if message.short_message.is_empty() || body.is_empty() {
        return;
    }
    let text = gsm7::decode(body);
    let octets: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    let Some(octets) = octets else { return };
    let kept = message.short_message.len() - body.len();
    message.short_message.truncate(kept);
    message.short_message.extend_from_slice(&octets);
    message.data_coding = LATIN1;
}

#[cfg(test)]
mod tests {
    use model::carrier::CarrierId;
    use proto_smpp::receipt::{Stamp, Written};
    use proto_smpp::{Address, CommandId};

    use super::*;
    use crate::smpp::translate;

    fn pdu(text: &[u8]) -> Message {
        let (from, to) = (Address::new(5, 0, "Orbit"), Address::new(1, 1, "14155550123"));
        let mut message = Message::new(CommandId::SUBMIT_SM, from, to);
        message.registered_delivery = 1;
        message.short_message = text.to_vec();
        message
    }

    #[test]
    fn nothing_said_changes_nothing() {
        let before = pdu(b"hello");
        let mut after = before.clone();
        Quirks::default().write(&mut after);
        assert_eq!(after, before);
    }

    #[test]
    fn numbering_and_receipts_are_as_the_carrier_wants_them() {
        let quirks = Quirks {
            source_ton: Some(0),
            dest_ton: Some(2),
            dest_npi: Some(0),
            no_receipts: true,
            gsm7_data_coding: Some(0xF1),
            ..Quirks::default()
        };
        let mut message = pdu(b"hello");
        quirks.write(&mut message);
        assert_eq!((message.source.ton, message.source.npi), (0, 0));
        assert_eq!((message.destination.ton, message.destination.npi), (2, 0));
        assert_eq!((message.registered_delivery, message.data_coding), (0, 0xF1));
        let mut wide = pdu(b"\0h");
        wide.data_coding = 8;
        quirks.write(&mut wide);
        assert_eq!(wide.data_coding, 8);
    }

    #[test]
    fn a_text_leaves_as_latin1_when_that_has_all_of_it() {
        let quirks = Quirks { latin1: true, ..Quirks::default() };
        let mut message = pdu(b"\x00 a\x1b\x3c"); // "@ a["
        quirks.write(&mut message);
        assert_eq!((message.data_coding, message.short_message.as_slice()), (3, &b"@ a["[..]));
        let mut euro = pdu(b"\x1b\x65");
        quirks.write(&mut euro);
        assert_eq!((euro.data_coding, euro.short_message.as_slice()), (0, &b"\x1b\x65"[..]));
        let mut part = pdu(b"\x05\0\x03\x07\x02\x01\x00");
        part.esm_class = 0x40;
        quirks.write(&mut part);
        assert_eq!(part.short_message, b"\x05\0\x03\x07\x02\x01@");
    }

    fn receipt(state: State, id: &str) -> Message {
        let stamp = Stamp::parse("2601011200").unwrap();
        let written = Written {
            message_id: id,
            state,
            error: 0,
            submit_date: stamp,
            done_date: stamp,
            text: "hi",
            tlvs: true,
        };
        receipt::write(&written, &Address::new(5, 0, "Orbit"), &Address::new(1, 1, "14155550123"))
    }

    fn read(quirks: &Quirks, pdu: &Message) -> Receipt {
        let view = pdu.view();
        let mut receipt = translate::receipt(CarrierId(1), &view);
        quirks.read(&view, &mut receipt);
        receipt
    }

    #[test]
    fn a_state_means_what_the_carrier_means_by_it() {
        let states = vec![(State::Accepted, Some(Status::Delivered)), (State::Unknown, None)];
        let quirks = Quirks { states, ..Quirks::default() };
        let status = |state| read(&quirks, &receipt(state, "7")).status;
        assert_eq!(status(State::Accepted), Some(Status::Delivered));
        assert_eq!(status(State::Unknown), None);
        assert_eq!(status(State::Rejected), Some(Status::Rejected));
        assert_eq!(read(&Quirks::default(), &receipt(State::Accepted, "7")).status, None);
    }

    #[test]
    fn an_id_in_another_form_is_brought_back_to_that_of_the_answer() {
        let id = |id_rule, id: &str| {
            let quirks = Quirks { id_rule, ..Quirks::default() };
            read(&quirks, &receipt(State::Delivered, id)).external_id
        };
        assert_eq!(id(Rule::Same, "255"), "255");
        assert_eq!(id(Rule::HexToDec, "255"), "ff");
        assert_eq!(id(Rule::DecToHex, "ff"), "255");
        assert_eq!(id(Rule::DecToHex, "no-number"), "no-number");
    }
}
