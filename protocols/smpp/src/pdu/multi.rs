//! submit_multi and its response, SMPP 3.4 §4.5: one text to many addresses.
//!
//! A destination is an SME address or the name of a distribution list. Reading stops at what the
//! count promises; a count that cannot be true is an error, never an allocation. The rest of the
//! body is a message's, so that it is read into a [`Message`] whose destination is empty.

use super::message::{Address, AddressView, Message, MessageView};
use super::{DecodeError, Reader, put_cstring};
use crate::{CommandId, CommandStatus, frame};

/// Destinations of one submit_multi at most (§5.2.24 says fewer than 255).
pub const DESTINATIONS_MAX: usize = 254;

/// dest_flag: an SME address.
const FLAG_ADDRESS: u8 = 1;
/// dest_flag: a distribution list's name.
const FLAG_LIST: u8 = 2;

/// Where one copy goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Address(Address),
    List(Vec<u8>),
}

/// A submit_multi, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multi {
    pub destinations: Vec<Destination>,
    /// All but the destinations, as a submit_sm with an empty one.
    pub message: Message,
}

/// An address that was not taken, as submit_multi_resp tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsuccessful {
    pub address: Address,
    pub status: CommandStatus,
}

impl Multi {
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(body);
        let service_type = fields.cstring("service_type")?;
        let source = AddressView::read(&mut fields, "source_addr")?;
        let count = usize::from(fields.octet("number_of_dests")?);
        let mut destinations = Vec::with_capacity(count.min(DESTINATIONS_MAX));
        for _ in 0..count {
            destinations.push(match fields.octet("dest_flag")? {
                FLAG_ADDRESS => {
                    let address = AddressView::read(&mut fields, "destination_addr")?;
                    Destination::Address(address.to_owned())
                }
                FLAG_LIST => Destination::List(fields.cstring("dl_name")?.to_vec()),
                _ => return Err(DecodeError::BadFlag),
            });
        }
        let view = MessageView::parse_after_destination(
            CommandId::SUBMIT_SM,
            service_type,
            source,
            AddressView::default(),
            fields,
        )?;
        Ok(Self { destinations, message: view.to_message() })
    }

    /// Appends the whole PDU; more destinations than fit are left out.
    pub fn encode(&self, out: &mut Vec<u8>, sequence: u32) {
        let start = frame::begin(out, CommandId::SUBMIT_MULTI, CommandStatus::OK, sequence);
        let view = self.message.view();
        put_cstring(out, view.service_type);
        view.source.write(out);
        let some = &self.destinations[..self.destinations.len().min(DESTINATIONS_MAX)];
        out.push(u8::try_from(some.len()).unwrap_or(u8::MAX));
        for destination in some {
            match destination {
                Destination::Address(address) => {
                    out.push(FLAG_ADDRESS);
                    address.view().write(out);
                }
                Destination::List(name) => {
                    out.push(FLAG_LIST);
                    put_cstring(out, name);
                }
            }
        }
        view.write_after_destination(out);
        frame::finish(out, start);
    }
}

/// Appends submit_multi_resp: the id, and who was not taken.
pub fn encode_response(
    out: &mut Vec<u8>,
    status: CommandStatus,
    sequence: u32,
    message_id: &[u8],
    unsuccessful: &[Unsuccessful],
) {
    encode_response_with(out, status, sequence, (message_id, unsuccessful), &[]);
}

/// The same with optional parameters at its end; without a body there are none.
pub fn encode_response_with(
    out: &mut Vec<u8>,
    status: CommandStatus,
    sequence: u32,
    (message_id, unsuccessful): (&[u8], &[Unsuccessful]),
    tlvs: &[u8],
) {
    let start = frame::begin(out, CommandId::SUBMIT_MULTI.response(), status, sequence);
    if status.is_ok() || !message_id.is_empty() || !unsuccessful.is_empty() {
        put_cstring(out, message_id);
        let some = &unsuccessful[..unsuccessful.len().min(DESTINATIONS_MAX)];
        out.push(u8::try_from(some.len()).unwrap_or(u8::MAX));
        for one in some {
            one.address.view().write(out);
            out.extend_from_slice(&one.status.0.to_be_bytes());
        }
        out.extend_from_slice(tlvs);
    }
    frame::finish(out, start);
}

/// Reads a submit_multi_resp: the id, and who was not taken. A body that is cut gives what it has.
pub fn parse_response(body: &[u8]) -> (Vec<u8>, Vec<Unsuccessful>) {
    let mut fields = Reader::new(body);
    let message_id = fields.cstring("message_id").unwrap_or_default().to_vec();
    let count = fields.octet("no_unsuccess").unwrap_or_default();
    let mut unsuccessful = Vec::new();
    for _ in 0..count {
        let Ok(address) = AddressView::read(&mut fields, "destination_addr") else { break };
        let mut status = [0; 4];
        let octets = status.iter_mut();
        let mut octets = octets.map(|octet| fields.octet("error_status_code").map(|o| *octet = o));
        if octets.any(|read| read.is_err()) {
            break;
        }
        let status = CommandStatus(u32::from_be_bytes(status));
        unsuccessful.push(Unsuccessful { address: address.to_owned(), status });
    }
    (message_id, unsuccessful)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(count: usize) -> Multi {
        let mut message =
            Message::new(CommandId::SUBMIT_SM, Address::new(5, 0, "Orbit"), Address::default());
        message.short_message = b"to all of you".to_vec();
        message.registered_delivery = 1;
        let one = |n: usize| match n % 3 {
            2 => Destination::List(format!("list{n}").into_bytes()),
            _ => Destination::Address(Address::new(1, 1, format!("1415555{n:04}"))),
        };
        Multi { destinations: (0..count).map(one).collect(), message }
    }

    #[test]
    fn it_comes_back_as_it_went() {
        for count in [0, 1, 2, 3, DESTINATIONS_MAX] {
            let multi = sample(count);
            let mut out = Vec::new();
            multi.encode(&mut out, 5);
            assert_eq!(Multi::decode(&out[16..]), Ok(multi));
        }
    }

    #[test]
    fn a_count_that_is_not_true_and_a_flag_that_is_none_are_errors() {
        assert_eq!(
            Multi::decode(b"\0\x05\0Orbit\0\xff"),
            Err(DecodeError::Cut("dest_flag")),
            "255 promised, none there"
        );
        assert_eq!(Multi::decode(b"\0\x05\0Orbit\0\x01\x03"), Err(DecodeError::BadFlag));
    }

    #[test]
    fn who_was_not_taken_is_told() {
        let unsuccessful = vec![
            Unsuccessful { address: Address::new(1, 1, "12"), status: CommandStatus::INVDSTADR },
            Unsuccessful { address: Address::new(1, 1, "13"), status: CommandStatus(0x402) },
        ];
        let mut out = Vec::new();
        encode_response(&mut out, CommandStatus::OK, 1, b"id", &unsuccessful);
        assert_eq!(parse_response(&out[16..]), (b"id".to_vec(), unsuccessful));
        out.clear();
        encode_response(&mut out, CommandStatus::SYSERR, 1, b"", &[]);
        assert_eq!(out.len(), 16, "an error is a header alone");
        assert_eq!(parse_response(b"id\0\x02\x01\x01"), (b"id".to_vec(), Vec::new()));
    }
}
