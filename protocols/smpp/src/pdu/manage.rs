//! query_sm, cancel_sm and replace_sm with their responses, SMPP 3.4 §4.8, §4.9, §4.10.
//!
//! What a customer asks about a message that it submitted before. Reading is liberal as everywhere:
//! a string may lack its NUL and be of any length; what the session's owner makes of a field is its
//! own affair. Encoding is exact. Nothing here panics on what a peer sends.

use super::message::{Address, AddressView};
use super::{DecodeError, Reader, put_cstring, split_cstring};
use crate::{CommandId, CommandStatus, frame, tlv};

/// A request about a message that was submitted before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Query(Query),
    Cancel(Cancel),
    Replace(Replace),
}

/// query_sm: where does this message stand?
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub message_id: Vec<u8>,
    pub source: Address,
}

/// cancel_sm: this message, or with an empty id all from one address to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cancel {
    pub service_type: Vec<u8>,
    pub message_id: Vec<u8>,
    pub source: Address,
    pub destination: Address,
}

/// replace_sm: other times and another text for this message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replace {
    pub message_id: Vec<u8>,
    pub source: Address,
    pub schedule: Vec<u8>,
    pub validity: Vec<u8>,
    pub registered_delivery: u8,
    pub default_message_id: u8,
    pub short_message: Vec<u8>,
    /// Not in 3.4, but 5.0 allows message_payload here.
    pub tlvs: Vec<u8>,
}

/// The body of query_sm_resp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryResponse<'a> {
    pub message_id: &'a [u8],
    /// As §7.1.1 writes times; empty while the message has no final state.
    pub final_date: &'a [u8],
    /// §5.2.28.
    pub message_state: u8,
    pub error_code: u8,
}

impl Ask {
    pub fn command(&self) -> CommandId {
        match self {
            Self::Query(_) => CommandId::QUERY_SM,
            Self::Cancel(_) => CommandId::CANCEL_SM,
            Self::Replace(_) => CommandId::REPLACE_SM,
        }
    }

    /// Reads the body of one of the three; any other command is `WrongCommand`.
    pub fn decode(command: CommandId, body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(body);
        match command {
            CommandId::QUERY_SM => {
                let message_id = fields.cstring("message_id")?.to_vec();
                // Some clients leave the address out.
                let source = AddressView::read(&mut fields, "source_addr").unwrap_or_default();
                Ok(Self::Query(Query { message_id, source: source.to_owned() }))
            }
            CommandId::CANCEL_SM => Ok(Self::Cancel(Cancel {
                service_type: fields.cstring("service_type")?.to_vec(),
                message_id: fields.cstring("message_id")?.to_vec(),
                source: AddressView::read(&mut fields, "source_addr")?.to_owned(),
                destination: AddressView::read(&mut fields, "destination_addr")?.to_owned(),
            })),
            CommandId::REPLACE_SM => Ok(Self::Replace(Replace::read(fields)?)),
            _ => Err(DecodeError::WrongCommand),
        }
    }

    /// Appends the whole PDU.
    pub fn encode(&self, out: &mut Vec<u8>, sequence: u32) {
        let start = frame::begin(out, self.command(), CommandStatus::OK, sequence);
        match self {
            Self::Query(query) => {
                put_cstring(out, &query.message_id);
                query.source.view().write(out);
            }
            Self::Cancel(cancel) => {
                put_cstring(out, &cancel.service_type);
                put_cstring(out, &cancel.message_id);
                cancel.source.view().write(out);
                cancel.destination.view().write(out);
            }
            Self::Replace(replace) => replace.write(out),
        }
        frame::finish(out, start);
    }
}

impl Replace {
    fn read(mut fields: Reader<'_>) -> Result<Self, DecodeError> {
        let message_id = fields.cstring("message_id")?.to_vec();
        let source = AddressView::read(&mut fields, "source_addr")?.to_owned();
        let schedule = fields.cstring("schedule_delivery_time")?.to_vec();
        let validity = fields.cstring("validity_period")?.to_vec();
        let registered_delivery = fields.octet("registered_delivery")?;
        let default_message_id = fields.octet("sm_default_msg_id")?;
        let said = fields.octet("sm_length")?;
        let rest = fields.rest();
        let cut = DecodeError::TextCut { said, got: rest.len() };
        let (text, tail) = rest.split_at_checked(usize::from(said)).ok_or(cut)?;
        Ok(Self {
            message_id,
            source,
            schedule,
            validity,
            registered_delivery,
            default_message_id,
            short_message: text.to_vec(),
            tlvs: tail[..tlv::whole(tail)].to_vec(),
        })
    }

    /// A text over 255 octets goes as message_payload, which 5.0 allows here.
    fn write(&self, out: &mut Vec<u8>) {
        put_cstring(out, &self.message_id);
        self.source.view().write(out);
        put_cstring(out, &self.schedule);
        put_cstring(out, &self.validity);
        out.extend_from_slice(&[self.registered_delivery, self.default_message_id]);
        match u8::try_from(self.short_message.len()) {
            Ok(length) => {
                out.push(length);
                out.extend_from_slice(&self.short_message);
            }
            Err(_) => {
                out.push(0);
                tlv::write(out, tlv::MESSAGE_PAYLOAD, &self.short_message);
            }
        }
        out.extend_from_slice(&self.tlvs);
    }
}

impl<'a> QueryResponse<'a> {
    pub fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(body);
        let message_id = fields.cstring("message_id")?;
        let (final_date, rest) = split_cstring(fields.rest());
        let mut fields = Reader::new(rest);
        Ok(Self {
            message_id,
            final_date,
            message_state: fields.octet("message_state")?,
            error_code: fields.octet("error_code").unwrap_or_default(),
        })
    }

    /// Appends query_sm_resp with status 0.
    pub fn encode(&self, out: &mut Vec<u8>, sequence: u32) {
        let command = CommandId::QUERY_SM.response();
        let start = frame::begin(out, command, CommandStatus::OK, sequence);
        put_cstring(out, self.message_id);
        put_cstring(out, self.final_date);
        out.extend_from_slice(&[self.message_state, self.error_code]);
        frame::finish(out, start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(ask: &Ask) -> Ask {
        let mut out = Vec::new();
        ask.encode(&mut out, 7);
        Ask::decode(ask.command(), &out[16..]).unwrap()
    }

    #[test]
    fn each_question_comes_back_as_it_went() {
        let source = Address::new(5, 0, "Orbit");
        let asks = [
            Ask::Query(Query { message_id: b"abc".to_vec(), source: source.clone() }),
            Ask::Cancel(Cancel {
                service_type: b"CMT".to_vec(),
                message_id: Vec::new(),
                source: source.clone(),
                destination: Address::new(1, 1, "14155550123"),
            }),
            Ask::Replace(Replace {
                message_id: b"1".to_vec(),
                source,
                validity: b"000000010000000R".to_vec(),
                registered_delivery: 1,
                short_message: b"other words".to_vec(),
                ..Replace::default()
            }),
        ];
        for ask in asks {
            assert_eq!(back(&ask), ask);
        }
    }

    #[test]
    fn a_query_may_lack_its_address_and_its_nul() {
        let Ask::Query(query) = Ask::decode(CommandId::QUERY_SM, b"abc").unwrap() else {
            panic!("another question")
        };
        assert_eq!((query.message_id, query.source), (b"abc".to_vec(), Address::default()));
        assert_eq!(Ask::decode(CommandId::QUERY_SM, b""), Err(DecodeError::Cut("message_id")));
        assert_eq!(Ask::decode(CommandId::SUBMIT_SM, b"x\0"), Err(DecodeError::WrongCommand));
    }

    #[test]
    fn a_replacement_whose_text_is_cut_is_refused() {
        let body = b"1\0\0\0\0\0\0\x01\0\x05abc";
        let error = Ask::decode(CommandId::REPLACE_SM, body);
        assert_eq!(error, Err(DecodeError::TextCut { said: 5, got: 3 }));
    }

    #[test]
    fn a_long_replacement_goes_as_payload() {
        let long = Replace { short_message: vec![b'x'; 300], ..Replace::default() };
        let Ask::Replace(read) = back(&Ask::Replace(long)) else { panic!("another question") };
        assert!(read.short_message.is_empty());
        assert_eq!(tlv::find(&read.tlvs, tlv::MESSAGE_PAYLOAD).map(<[u8]>::len), Some(300));
    }

    #[test]
    fn a_state_comes_back_with_and_without_its_date() {
        for final_date in [&b""[..], b"261128120000000+"] {
            let response =
                QueryResponse { message_id: b"9", final_date, message_state: 2, error_code: 0 };
            let mut out = Vec::new();
            response.encode(&mut out, 3);
            assert_eq!(QueryResponse::parse(&out[16..]), Ok(response));
        }
        assert!(QueryResponse::parse(b"9\0\0").is_err(), "no state");
    }
}
