//! What the tests share: raw PDUs, random well-formed messages, a bound session to talk to.

use std::time::{Duration, Instant};

use proto_smpp::frame::{self, Frames};
use proto_smpp::pdu::bind;
use proto_smpp::{
    Address, Bind, BindKind, CommandId, CommandStatus, Input, Message, Output, Role, Session,
    Settings,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub(crate) const OK: CommandStatus = CommandStatus::OK;

/// A session and a clock; what it sends is kept as headers.
pub(crate) struct Rig {
    pub(crate) session: Session<u32>,
    pub(crate) now: Instant,
    pub(crate) sent: Vec<(CommandId, CommandStatus, u32)>,
}

impl Rig {
    pub(crate) fn new(role: Role) -> Self {
        let now = Instant::now();
        let settings =
            Settings { response_timeout: Duration::from_secs(10), ..Settings::default() };
        let mut rig = Self { session: Session::new(role, settings, now), now, sent: Vec::new() };
        rig.step(Input::Connected);
        rig
    }

    /// An ESME whose bind is under way with sequence 1.
    pub(crate) fn binding() -> Self {
        Self::new(Role::Esme(Bind::new(BindKind::Transceiver, "orbit", "secret")))
    }

    pub(crate) fn bound() -> Self {
        let mut rig = Self::binding();
        let mut response = Vec::new();
        bind::encode_response(&mut response, BindKind::Transceiver, OK, 1, "smsc", None);
        assert_eq!(rig.bytes(&response), [Output::Bound]);
        rig.sent.clear();
        rig
    }

    pub(crate) fn server() -> Self {
        let mut rig = Self::new(Role::Smsc);
        let mut wire = Vec::new();
        Bind::new(BindKind::Transceiver, "client", "secret").encode(&mut wire, 1);
        rig.bytes(&wire);
        rig.step(Input::Accept);
        rig.sent.clear();
        rig
    }

    pub(crate) fn step(&mut self, input: Input<'_, u32>) -> Vec<Output<u32>> {
        let (mut out, mut wire) = (Vec::new(), Vec::new());
        let close = self.session.step_into(self.now, input, &mut out, &mut wire);
        for_each_frame(&wire, |header, _| {
            self.sent.push((header.command, header.status, header.sequence));
        });
        out.extend(close.map(Output::Close));
        out
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Vec<Output<u32>> {
        self.step(Input::Bytes(bytes))
    }

    /// Submits a message with a tag and gives its sequence number.
    pub(crate) fn submit(&mut self, tag: u32) -> u32 {
        let message = hello();
        assert_eq!(self.step(Input::Submit { message: &message, tag }), []);
        self.sent.pop().unwrap().2
    }

    /// Feeds a body as deliver_sm and gives the message that comes out.
    pub(crate) fn deliver(&mut self, body: &[u8]) -> Message {
        let mut out = self.bytes(&pdu(CommandId::DELIVER_SM, OK, 50, body));
        match out.pop() {
            Some(Output::Request { message, .. }) => message,
            other => panic!("no message but {other:?}, and sent {:?}", self.sent),
        }
    }

    /// Whether the session is in step: it answers an enquire_link.
    pub(crate) fn is_in_step(&mut self) -> bool {
        self.sent.clear();
        self.bytes(&pdu(CommandId::ENQUIRE_LINK, OK, 4242, b""));
        self.sent == [(CommandId::ENQUIRE_LINK.response(), OK, 4242)]
    }
}

pub(crate) fn pdu(
    command: CommandId,
    status: CommandStatus,
    sequence: u32,
    body: &[u8],
) -> Vec<u8> {
    let mut out = Vec::new();
    let start = frame::begin(&mut out, command, status, sequence);
    out.extend_from_slice(body);
    frame::finish(&mut out, start);
    out
}

pub(crate) fn for_each_frame(wire: &[u8], mut see: impl FnMut(frame::Header, &[u8])) {
    let (mut frames, mut chunk) = (Frames::default(), wire);
    while let Some(frame) = frames.next(&mut chunk).unwrap() {
        see(frame.header, frame.body);
    }
    assert_eq!(frames.buffered(), 0, "we send whole pdus");
}

pub(crate) fn encoded(message: &Message, sequence: u32) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out, sequence).unwrap();
    out
}

pub(crate) fn hello() -> Message {
    let (source, destination) = (Address::new(5, 0, "Orbit"), Address::new(1, 1, "447700900123"));
    let mut message = Message::new(CommandId::SUBMIT_SM, source, destination);
    message.short_message = b"hello".to_vec();
    message
}

/// The body of a deliver_sm: fixed addresses, the rest given.
pub(crate) fn deliver_body(esm_class: u8, data_coding: u8, text: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x01\x01447700900123\0\x05\0Orbit\0".to_vec();
    body.extend_from_slice(&[esm_class, 0, 0, 0, 0, 0, 0, data_coding, 0, text.len() as u8]);
    body.extend_from_slice(text);
    body.extend_from_slice(rest);
    body
}

pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

pub(crate) fn octets(rng: &mut StdRng, most: usize) -> Vec<u8> {
    let length = rng.random_range(0..=most);
    (0..length).map(|_| rng.random()).collect()
}

/// A message that keeps to every limit of SMPP 3.4, in any of the three commands.
pub(crate) fn well_formed(rng: &mut StdRng) -> Message {
    let commands = [CommandId::SUBMIT_SM, CommandId::DELIVER_SM, CommandId::DATA_SM];
    let command = commands[rng.random_range(0..3)];
    let mut ascii = |most: usize| {
        let length = rng.random_range(0..=most);
        (0..length).map(|_| rng.random_range(0x20..0x7F)).collect::<Vec<u8>>()
    };
    let (service_type, source, destination) = (ascii(5), ascii(20), ascii(20));
    let mut message = Message::new(
        command,
        Address::new(rng.random(), rng.random(), source),
        Address::new(rng.random(), rng.random(), destination),
    );
    message.service_type = service_type;
    message.esm_class = rng.random();
    message.registered_delivery = rng.random();
    message.data_coding = rng.random();
    if command != CommandId::DATA_SM {
        message.protocol_id = rng.random();
        message.priority = rng.random();
        message.replace = rng.random();
        message.default_message_id = rng.random();
        if rng.random() {
            message.schedule = b"261124130500004+".to_vec();
        }
        if rng.random() {
            message.validity = b"000002000000000R".to_vec();
        }
        message.short_message = octets(rng, 255);
    }
    for _ in 0..rng.random_range(0..4) {
        // Vendors' tags: they mean the same to everyone, which is nothing.
        let tag = rng.random_range(0x1400..0x3FFF);
        message.push_tlv(tag, &octets(rng, 40));
    }
    message
}
