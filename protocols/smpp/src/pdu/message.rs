//! submit_sm, deliver_sm and data_sm, SMPP 3.4 §4.4, §4.6, §4.7: one message, three commands.
//!
//! `MessageView` borrows a body and copies nothing; `Message` owns what must live on. Reading is
//! liberal: strings of any length, a missing NUL, a stray NUL before the TLVs, a TLV tail that is
//! cut (dropped). A text cut short is taken from a carrier (deliver_sm) and refused to a customer
//! (submit_sm). Unknown TLVs are kept octet for octet, in order.

use super::{DecodeError, EncodeError, Reader, put_cstring};
use crate::{CommandId, CommandStatus, frame, segment, text, tlv};

/// Type of number, numbering plan, and the digits (or the letters of a name) without the NUL.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Address {
    pub ton: u8,
    pub npi: u8,
    pub digits: Vec<u8>,
}

/// A borrowed address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AddressView<'a> {
    pub ton: u8,
    pub npi: u8,
    pub digits: &'a [u8],
}

/// A message that owns its octets. `data_sm` lacks priority, times, replace and default id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// SUBMIT_SM, DELIVER_SM or DATA_SM: how it came, and how it will be encoded.
    pub command: CommandId,
    pub service_type: Vec<u8>,
    pub source: Address,
    pub destination: Address,
    pub esm_class: u8,
    pub protocol_id: u8,
    pub priority: u8,
    pub schedule: Vec<u8>,
    pub validity: Vec<u8>,
    pub registered_delivery: u8,
    pub replace: u8,
    pub data_coding: u8,
    pub default_message_id: u8,
    /// The short_message field with its UDH. Over 255 octets it is sent as message_payload.
    pub short_message: Vec<u8>,
    /// The optional part, raw.
    pub tlvs: Vec<u8>,
}

/// A message as it lies in a PDU's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageView<'a> {
    pub command: CommandId,
    pub service_type: &'a [u8],
    pub source: AddressView<'a>,
    pub destination: AddressView<'a>,
    pub esm_class: u8,
    pub protocol_id: u8,
    pub priority: u8,
    pub schedule: &'a [u8],
    pub validity: &'a [u8],
    pub registered_delivery: u8,
    pub replace: u8,
    pub data_coding: u8,
    pub default_message_id: u8,
    pub short_message: &'a [u8],
    /// The optional part, whole TLVs only.
    pub tlvs: &'a [u8],
}

/// esm_class: the user data begins with a header (UDHI).
pub const ESM_UDHI: u8 = 0x40;
/// esm_class: the bits that tell what kind of message this is.
pub const ESM_TYPE: u8 = 0x3C;
/// esm_class type: a delivery receipt of the SMSC.
pub const ESM_RECEIPT: u8 = 0x04;
/// esm_class type: an intermediate delivery notification.
pub const ESM_INTERMEDIATE: u8 = 0x20;

/// Type of number of a name.
const TON_NAME: u8 = 5;
/// How many @ a name may hold.
const AT_SIGNS: usize = 2;

impl Address {
    pub fn new(ton: u8, npi: u8, digits: impl AsRef<[u8]>) -> Self {
        Self { ton, npi, digits: digits.as_ref().to_vec() }
    }

    /// The digits as text, octets over 0x7F as Latin-1.
    pub fn text(&self) -> String {
        self.view().text()
    }

    pub fn view(&self) -> AddressView<'_> {
        AddressView { ton: self.ton, npi: self.npi, digits: &self.digits }
    }
}

impl<'a> AddressView<'a> {
    pub(super) fn read(fields: &mut Reader<'a>, field: &'static str) -> Result<Self, DecodeError> {
        let (ton, npi) = (fields.octet(field)?, fields.octet(field)?);
        Ok(Self { ton, npi, digits: fields.cstring(field)? })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.ton, self.npi]);
        put_cstring(out, self.digits);
    }

    fn is_number(self) -> bool {
        let digits = self.digits.strip_prefix(b"+").unwrap_or(self.digits);
        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
    }

    pub fn to_owned(self) -> Address {
        Address::new(self.ton, self.npi, self.digits)
    }

    /// The digits as text, octets over 0x7F as Latin-1.
    pub fn text(self) -> String {
        text::latin1(self.digits)
    }
}

impl Default for Message {
    fn default() -> Self {
        Self::new(CommandId::SUBMIT_SM, Address::default(), Address::default())
    }
}

impl Message {
    /// An empty message from one address to another.
    pub fn new(command: CommandId, source: Address, destination: Address) -> Self {
        Self {
            command,
            service_type: Vec::new(),
            source,
            destination,
            esm_class: 0,
            protocol_id: 0,
            priority: 0,
            schedule: Vec::new(),
            validity: Vec::new(),
            registered_delivery: 0,
            replace: 0,
            data_coding: 0,
            default_message_id: 0,
            short_message: Vec::new(),
            tlvs: Vec::new(),
        }
    }

    pub fn decode(command: CommandId, body: &[u8]) -> Result<Self, DecodeError> {
        MessageView::parse(command, body).map(MessageView::to_message)
    }

    /// The text's octets (with their UDH): short_message, or message_payload when that is empty.
    pub fn user_data(&self) -> &[u8] {
        self.view().user_data()
    }

    /// The value of the first TLV with this tag.
    pub fn tlv(&self, tag: u16) -> Option<&[u8]> {
        tlv::find(&self.tlvs, tag)
    }

    pub fn push_tlv(&mut self, tag: u16, value: &[u8]) {
        tlv::write(&mut self.tlvs, tag, value);
    }

    pub fn view(&self) -> MessageView<'_> {
        MessageView {
            command: self.command,
            service_type: &self.service_type,
            source: self.source.view(),
            destination: self.destination.view(),
            esm_class: self.esm_class,
            protocol_id: self.protocol_id,
            priority: self.priority,
            schedule: &self.schedule,
            validity: &self.validity,
            registered_delivery: self.registered_delivery,
            replace: self.replace,
            data_coding: self.data_coding,
            default_message_id: self.default_message_id,
            short_message: &self.short_message,
            tlvs: &self.tlvs,
        }
    }

    /// Appends the whole PDU; on an error `out` is as it was.
    pub fn encode(&self, out: &mut Vec<u8>, sequence: u32) -> Result<(), EncodeError> {
        self.view().encode(out, sequence)
    }

    /// Whether text and optional part fit one PDU: no other message fails to be encoded.
    pub fn fits(&self) -> bool {
        self.short_message.len() + self.tlvs.len() <= usize::from(u16::MAX)
    }

    /// Names the first field that is longer than SMPP 3.4 allows. `encode` does not ask this,
    /// so that what one peer sent can be passed on to another as it came.
    pub fn check(&self) -> Result<(), EncodeError> {
        let fields: [(&'static str, usize, &[u8]); 5] = [
            ("service_type", 5, &self.service_type),
            ("source_addr", 20, &self.source.digits),
            ("destination_addr", 20, &self.destination.digits),
            ("schedule_delivery_time", 16, &self.schedule),
            ("validity_period", 16, &self.validity),
        ];
        for (field, limit, text) in fields {
            let limit = if self.command == CommandId::DATA_SM && limit == 20 { 64 } else { limit };
            if text.len() > limit {
                return Err(EncodeError::FieldTooLong { field, limit, got: text.len() });
            }
        }
        Ok(())
    }
}

impl<'a> MessageView<'a> {
    pub fn parse(command: CommandId, body: &'a [u8]) -> Result<Self, DecodeError> {
        if !command.carries_message() {
            return Err(DecodeError::WrongCommand);
        }
        let plain = Self::parse_with(command, body, 0);
        // A name in the GSM alphabet writes its @ as 0x00, which ends the field too early. The body
        // tells: read so it does not come out even or goes to no number, and read on it does.
        let odd = !plain.as_ref().is_ok_and(|view| {
            view.fills(body) && (view.source.ton != TON_NAME || view.destination.is_number())
        });
        if command == CommandId::DELIVER_SM && odd {
            let named = |view: &Self| view.comes_from_a_name() && view.fills(body);
            let read_on =
                (1..=AT_SIGNS).filter_map(|ats| Self::parse_with(command, body, ats).ok());
            if let Some(view) = read_on.into_iter().find(named) {
                return Ok(view);
            }
        }
        plain
    }

    /// Whether its source can be a name with an @, and its destination is a number.
    fn comes_from_a_name(&self) -> bool {
        let letter = |octet: &u8| *octet == 0 || *octet >= b' ';
        self.source.ton == TON_NAME
            && self.source.digits.iter().all(letter)
            && self.destination.is_number()
    }

    /// Whether its fields are this body, octet for octet, with a text as long as it says.
    fn fills(&self, body: &[u8]) -> bool {
        const FIXED: usize = 17;
        let texts = [self.service_type, self.source.digits, self.destination.digits, self.schedule];
        let rest = [self.validity, self.short_message, self.tlvs];
        let sum: usize = texts.iter().chain(&rest).map(|field| field.len()).sum();
        let before_text = body.len().checked_sub(self.tlvs.len() + self.short_message.len() + 1);
        let said = before_text.and_then(|at| body.get(at)).copied().map(usize::from);
        sum + FIXED == body.len() && said == Some(self.short_message.len())
    }

    /// `ats` NULs of the source are no ends.
    fn parse_with(command: CommandId, body: &'a [u8], ats: usize) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(body);
        let service_type = fields.cstring("service_type")?;
        let mut source = AddressView::read(&mut fields, "source_addr")?;
        if ats > 0 {
            let start = service_type.len() + 3;
            let name = body.get(start..).unwrap_or_default();
            let nuls = name.iter().enumerate().filter(|(_, octet)| **octet == 0);
            let end = nuls.map(|(at, _)| at).nth(ats).unwrap_or(name.len());
            source.digits = &name[..end];
            fields = Reader::new(name.get(end + 1..).unwrap_or_default());
        }
        let destination = AddressView::read(&mut fields, "destination_addr")?;
        Self::parse_after_destination(command, service_type, source, destination, fields)
    }

    /// What follows the destination in submit_sm, deliver_sm, data_sm, and in submit_multi.
    pub(super) fn parse_after_destination(
        command: CommandId,
        service_type: &'a [u8],
        source: AddressView<'a>,
        destination: AddressView<'a>,
        mut fields: Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let esm_class = fields.octet("esm_class")?;
        let mut view = Self {
            command,
            service_type,
            source,
            destination,
            esm_class,
            protocol_id: 0,
            priority: 0,
            schedule: &[],
            validity: &[],
            registered_delivery: 0,
            replace: 0,
            data_coding: 0,
            default_message_id: 0,
            short_message: &[],
            tlvs: &[],
        };
        if command == CommandId::DATA_SM {
            view.registered_delivery = fields.octet("registered_delivery")?;
            view.data_coding = fields.octet("data_coding")?;
        } else {
            view.protocol_id = fields.octet("protocol_id")?;
            view.priority = fields.octet("priority_flag")?;
            view.schedule = fields.cstring("schedule_delivery_time")?;
            view.validity = fields.cstring("validity_period")?;
            view.registered_delivery = fields.octet("registered_delivery")?;
            view.replace = fields.octet("replace_if_present_flag")?;
            view.data_coding = fields.octet("data_coding")?;
            view.default_message_id = fields.octet("sm_default_msg_id")?;
            let said = fields.octet("sm_length")?;
            let (text, rest) = take_text(command, fields.rest(), said)?;
            view.short_message = text;
            fields = Reader::new(rest);
        }
        view.tlvs = optional_part(fields.rest());
        Ok(view)
    }

    /// The text's octets (with their UDH): short_message, or message_payload when that is empty.
    pub fn user_data(&self) -> &'a [u8] {
        if self.short_message.is_empty() {
            return self.tlv(tlv::MESSAGE_PAYLOAD).unwrap_or(self.short_message);
        }
        self.short_message
    }

    /// The user data header without its length octet, and the text after it.
    ///
    /// The header is empty when esm_class names none, or when its length cannot be true.
    pub fn split_udh(&self) -> (&'a [u8], &'a [u8]) {
        let data = self.user_data();
        if self.esm_class & ESM_UDHI == 0 {
            return (&[], data);
        }
        segment::split_udh(data).unwrap_or((&[], data))
    }

    /// The value of the first TLV with this tag.
    pub fn tlv(&self, tag: u16) -> Option<&'a [u8]> {
        tlv::find(self.tlvs, tag)
    }

    /// The one copy that outlives the buffer.
    pub fn to_message(self) -> Message {
        Message {
            command: self.command,
            service_type: self.service_type.to_vec(),
            source: self.source.to_owned(),
            destination: self.destination.to_owned(),
            esm_class: self.esm_class,
            protocol_id: self.protocol_id,
            priority: self.priority,
            schedule: self.schedule.to_vec(),
            validity: self.validity.to_vec(),
            registered_delivery: self.registered_delivery,
            replace: self.replace,
            data_coding: self.data_coding,
            default_message_id: self.default_message_id,
            short_message: self.short_message.to_vec(),
            tlvs: self.tlvs.to_vec(),
        }
    }

    /// Appends the whole PDU; on an error `out` is as it was.
    pub fn encode(&self, out: &mut Vec<u8>, sequence: u32) -> Result<(), EncodeError> {
        let text = self.short_message;
        if text.len() + self.tlvs.len() > usize::from(u16::MAX) {
            return Err(EncodeError::TooLong(text.len() + self.tlvs.len()));
        }
        out.reserve(128 + text.len() + self.tlvs.len());
        let start = frame::begin(out, self.command, CommandStatus::OK, sequence);
        put_cstring(out, self.service_type);
        self.source.write(out);
        self.destination.write(out);
        self.write_after_destination(out);
        frame::finish(out, start);
        Ok(())
    }

    /// A text over 255 octets goes as message_payload.
    pub(super) fn write_after_destination(&self, out: &mut Vec<u8>) {
        let text = self.short_message;
        out.push(self.esm_class);
        let short = if self.command == CommandId::DATA_SM {
            out.extend_from_slice(&[self.registered_delivery, self.data_coding]);
            &[]
        } else {
            out.extend_from_slice(&[self.protocol_id, self.priority]);
            put_cstring(out, self.schedule);
            put_cstring(out, self.validity);
            out.extend_from_slice(&[self.registered_delivery, self.replace]);
            out.extend_from_slice(&[self.data_coding, self.default_message_id]);
            let short = if u8::try_from(text.len()).is_ok() { text } else { &[] };
            out.push(short.len() as u8);
            short
        };
        out.extend_from_slice(short);
        if short.len() < text.len() {
            tlv::write(out, tlv::MESSAGE_PAYLOAD, text);
        }
        out.extend_from_slice(self.tlvs);
    }
}

/// The short_message and what follows. A carrier's sm_length may promise more than there is.
fn take_text(command: CommandId, rest: &[u8], said: u8) -> Result<(&[u8], &[u8]), DecodeError> {
    match rest.split_at_checked(usize::from(said)) {
        Some(split) => Ok(split),
        None if command == CommandId::DELIVER_SM => Ok((rest, &[])),
        None => Err(DecodeError::TextCut { said, got: rest.len() }),
    }
}

/// The whole TLVs. Some peers end short_message with a NUL that sm_length does not count: it is
/// stepped over when the TLVs fit better without it.
fn optional_part(rest: &[u8]) -> &[u8] {
    let whole = tlv::whole(rest);
    if whole < rest.len() && rest.first() == Some(&0) {
        let after = &rest[1..];
        let whole_after = tlv::whole(after);
        if whole_after > whole {
            return &after[..whole_after];
        }
    }
    &rest[..whole]
}

#[cfg(test)]
mod tests;
