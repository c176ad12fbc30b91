//! The octets of SMPP 3.4 as this SMSC needs them: framing, field views and encoders.
//!
//! Written apart from the switch's own protocol crate on purpose: a mistake that both ends
//! share would hide. Views borrow from the read buffer and nothing is allocated. A PDU is
//! always stepped over to its `command_length` (section 3.2), whatever its body holds.

pub const GENERIC_NACK: u32 = 0x8000_0000;
pub const BIND_RECEIVER: u32 = 0x01;
pub const BIND_TRANSMITTER: u32 = 0x02;
pub const SUBMIT_SM: u32 = 0x04;
pub const DATA_SM: u32 = 0x103;
pub const DELIVER_SM: u32 = 0x05;
pub const UNBIND: u32 = 0x06;
pub const BIND_TRANSCEIVER: u32 = 0x09;
pub const ENQUIRE_LINK: u32 = 0x15;
pub const ALERT_NOTIFICATION: u32 = 0x102;
pub const RESPONSE: u32 = 0x8000_0000;

pub const OK: u32 = 0x00;
pub const INVALID_LENGTH: u32 = 0x02;
pub const INVALID_COMMAND: u32 = 0x03;
pub const WRONG_BIND_STATE: u32 = 0x04;
pub const ALREADY_BOUND: u32 = 0x05;
pub const SYSTEM_ERROR: u32 = 0x08;
pub const BIND_FAILED: u32 = 0x0D;
pub const INVALID_PASSWORD: u32 = 0x0E;
pub const INVALID_SYSTEM_ID: u32 = 0x0F;
pub const THROTTLED: u32 = 0x58;

pub const HEADER: usize = 16;
pub const PDU_MAX: usize = 70_000;

pub const TLV_PAYLOAD: u16 = 0x0424;
pub const TLV_SAR_REFERENCE: u16 = 0x020C;
pub const TLV_SAR_TOTAL: u16 = 0x020E;
pub const TLV_SAR_NUMBER: u16 = 0x020F;
pub const TLV_NETWORK_ERROR: u16 = 0x0423;
pub const TLV_RECEIPTED_ID: u16 = 0x001E;
pub const TLV_MESSAGE_STATE: u16 = 0x0427;
pub const TLV_MS_AVAILABILITY: u16 = 0x0422;
pub const TLV_VERSION: u16 = 0x0210;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub length: usize,
    pub command: u32,
    pub status: u32,
    pub sequence: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// More octets are needed.
    Partial,
    Whole(Header, &'a [u8]),
    /// A length that no PDU can have: the stream is lost.
    Broken(Header),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    pub system_id: &'a [u8],
    pub password: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    pub ton: u8,
    pub npi: u8,
    pub digits: &'a [u8],
}

/// Which part of a long message a submit is; `1/1` for a short one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub reference: u16,
    pub total: u8,
    pub number: u8,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Submit<'a> {
    pub source: Address<'a>,
    pub destination: Address<'a>,
    pub registered_delivery: u8,
    pub data_coding: u8,
    pub text: &'a [u8],
    pub part: Part,
}

/// What a `deliver_sm` carries.
#[derive(Clone, Copy)]
pub struct Deliver<'a> {
    pub source: Address<'a>,
    pub destination: Address<'a>,
    pub esm_class: u8,
    pub text: &'a [u8],
    pub tlvs: &'a [(u16, &'a [u8])],
}

/// A `deliver_sm` or `data_sm` with all that quirks change.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    pub plain: Deliver<'a>,
    pub data_coding: u8,
    /// By `data_sm`, with the text in message_payload.
    pub data_sm: bool,
    /// The text in message_payload.
    pub payload: bool,
    /// A NUL behind the text that its length does not count.
    pub stray_nul: bool,
    /// Behind the TLVs, as it is.
    pub tail: &'a [u8],
}

impl<'a> From<Deliver<'a>> for Delivery<'a> {
    fn from(plain: Deliver<'a>) -> Self {
        let (data_coding, tail) = (0, &[][..]);
        Self { plain, data_coding, data_sm: false, payload: false, stray_nul: false, tail }
    }
}

/// Reads fields from the front of a body; `None` when it ends too early.
struct Fields<'a>(&'a [u8]);

impl Bind<'_> {
    pub fn parse(body: &[u8]) -> Option<Bind<'_>> {
        let mut fields = Fields(body);
        Some(Bind { system_id: fields.text()?, password: fields.text()? })
    }
}

impl Part {
    pub(crate) const WHOLE: Self = Self { reference: 0, total: 1, number: 1 };
}

impl<'a> Submit<'a> {
    /// The same of a `data_sm`, which lacks times and text.
    pub fn parse_data(body: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(body);
        fields.text()?; // service_type
        let source = fields.address()?;
        let destination = fields.address()?;
        let esm_class = fields.octet()?;
        let registered_delivery = fields.octet()?;
        let data_coding = fields.octet()?;
        let text = &[][..];
        let part = Part::WHOLE;
        let said = Self { source, destination, registered_delivery, data_coding, text, part };
        said.with_rest(fields, esm_class)
    }

    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(body);
        fields.text()?; // service_type
        let source = fields.address()?;
        let destination = fields.address()?;
        let esm_class = fields.octet()?;
        fields.take(2)?; // protocol_id, priority_flag
        fields.text()?; // schedule_delivery_time
        fields.text()?; // validity_period
        let registered_delivery = fields.octet()?;
        fields.octet()?; // replace_if_present_flag
        let data_coding = fields.octet()?;
        fields.octet()?; // sm_default_msg_id
        let length = fields.octet()?;
        let text = fields.take(usize::from(length))?;
        let part = Part::WHOLE;
        let said = Self { source, destination, registered_delivery, data_coding, text, part };
        said.with_rest(fields, esm_class)
    }

    /// With what the TLVs and the user data header say.
    fn with_rest(mut self, mut fields: Fields<'a>, esm_class: u8) -> Option<Self> {
        while let Some((tag, value)) = fields.tlv() {
            match (tag, value) {
                (TLV_PAYLOAD, value) if self.text.is_empty() => self.text = value,
                (TLV_SAR_REFERENCE, &[high, low]) => {
                    self.part.reference = u16::from_be_bytes([high, low]);
                }
                (TLV_SAR_TOTAL, &[total]) => self.part.total = total,
                (TLV_SAR_NUMBER, &[number]) => self.part.number = number,
                _ => {}
            }
        }
        if esm_class & 0x40 != 0 {
            let (size, rest) = self.text.split_first()?;
            let header = rest.get(..usize::from(*size))?;
            self.text = &rest[usize::from(*size)..];
            self.part = concatenation(header).unwrap_or(self.part);
        }
        Some(self)
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn octet(&mut self) -> Option<u8> {
        self.take(1).map(|octets| octets[0])
    }

    /// A C-octet string without its NUL.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&octet| octet == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }

    fn address(&mut self) -> Option<Address<'a>> {
        Some(Address { ton: self.octet()?, npi: self.octet()?, digits: self.text()? })
    }

    fn tlv(&mut self) -> Option<(u16, &'a [u8])> {
        let head = self.take(4)?;
        let tag = u16::from_be_bytes([head[0], head[1]]);
        let length = u16::from_be_bytes([head[2], head[3]]);
        Some((tag, self.take(usize::from(length))?))
    }
}

/// The concatenation element of a user data header, 8-bit or 16-bit (3GPP 23.040).
fn concatenation(mut header: &[u8]) -> Option<Part> {
    while let [kind, length, rest @ ..] = header {
        let (value, tail) = rest.split_at_checked(usize::from(*length))?;
        match (kind, value) {
            (0x00, &[reference, total, number]) => {
                let reference = u16::from(reference);
                return Some(Part { reference, total, number });
            }
            (0x08, &[high, low, total, number]) => {
                let reference = u16::from_be_bytes([high, low]);
                return Some(Part { reference, total, number });
            }
            _ => header = tail,
        }
    }
    None
}

/// The first PDU in `input`.
pub fn frame(input: &[u8]) -> Frame<'_> {
    let Some(octets) = input.get(..HEADER) else {
        return Frame::Partial;
    };
    let word = |at: usize| {
        u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
    };
    let header =
        Header { length: word(0) as usize, command: word(4), status: word(8), sequence: word(12) };
    if !(HEADER..=PDU_MAX).contains(&header.length) {
        return Frame::Broken(header);
    }
    match input.get(HEADER..header.length) {
        Some(body) => Frame::Whole(header, body),
        None => Frame::Partial,
    }
}

/// Appends one PDU; `body` appends its body.
pub fn put(
    out: &mut Vec<u8>,
    command: u32,
    status: u32,
    sequence: u32,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    for word in [command, status, sequence] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    body(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Changes the sequence number of a PDU that was encoded earlier.
pub fn set_sequence(pdu: &mut [u8], sequence: u32) {
    if let Some(field) = pdu.get_mut(12..16) {
        field.copy_from_slice(&sequence.to_be_bytes());
    }
}

/// What a bind's answer says.
pub struct BindAnswer<'a> {
    pub name: &'a [u8],
    /// False: the name's NUL is missing, or the body with the name.
    pub whole: bool,
    pub version: Option<u8>,
    pub tail: &'a [u8],
}

pub fn put_bind_answer(out: &mut Vec<u8>, request: Header, status: u32, name: &str) {
    let version = Some(0x34);
    let said = BindAnswer { name: name.as_bytes(), whole: true, version, tail: &[] };
    put_bind_answer_of(out, request, status, &said);
}

pub fn put_bind_answer_of(out: &mut Vec<u8>, request: Header, status: u32, said: &BindAnswer<'_>) {
    put(out, request.command | RESPONSE, status, request.sequence, |out| {
        if status != OK {
            return;
        }
        out.extend_from_slice(said.name);
        if !said.whole {
            return;
        }
        out.push(0);
        if let Some(version) = said.version {
            put_tlv(out, TLV_VERSION, &[version]);
        }
        out.extend_from_slice(said.tail);
    });
}

pub fn put_deliver(out: &mut Vec<u8>, sequence: u32, deliver: &Deliver<'_>) {
    put_delivery(out, sequence, &Delivery::from(*deliver));
}

pub fn put_delivery(out: &mut Vec<u8>, sequence: u32, delivery: &Delivery<'_>) {
    let Delivery { plain, data_coding, .. } = *delivery;
    let command = if delivery.data_sm { DATA_SM } else { DELIVER_SM };
    put(out, command, OK, sequence, |out| {
        out.push(0); // service_type
        put_address(out, plain.source);
        put_address(out, plain.destination);
        out.push(plain.esm_class);
        if delivery.data_sm {
            out.extend_from_slice(&[0, data_coding]);
        } else {
            // protocol_id to replace_if_present_flag: zero, and two empty times.
            out.extend_from_slice(&[0; 6]);
            out.extend_from_slice(&[data_coding, 0]);
            let apart = delivery.payload || plain.text.is_empty();
            let text = if apart { &[][..] } else { &plain.text[..plain.text.len().min(254)] };
            out.push(text.len() as u8);
            out.extend_from_slice(text);
            if delivery.stray_nul {
                out.push(0);
            }
        }
        if delivery.data_sm || delivery.payload {
            put_tlv(out, TLV_PAYLOAD, plain.text);
        }
        for (tag, value) in plain.tlvs {
            put_tlv(out, *tag, value);
        }
        out.extend_from_slice(delivery.tail);
    });
}

/// That `source` can be reached, as `esme` wanted to know (section 4.12).
pub fn put_alert(
    out: &mut Vec<u8>,
    sequence: u32,
    (source, esme): (Address<'_>, Address<'_>),
    status: Option<u8>,
) {
    put(out, ALERT_NOTIFICATION, OK, sequence, |out| {
        put_address(out, source);
        put_address(out, esme);
        if let Some(status) = status {
            put_tlv(out, TLV_MS_AVAILABILITY, &[status]);
        }
    });
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(0);
}

fn put_address(out: &mut Vec<u8>, address: Address<'_>) {
    out.extend_from_slice(&[address.ton, address.npi]);
    put_text(out, address.digits);
}

pub fn put_tlv(out: &mut Vec<u8>, tag: u16, value: &[u8]) {
    out.extend_from_slice(&tag.to_be_bytes());
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&value[..usize::from(length)]);
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
