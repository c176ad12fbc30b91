//! What each fuzz target does with its octets: anything may come in, no law may break.
//!
//! The fuzzer calls these, and so does an ordinary test on the corpus that is kept. A broken law
//! is a panic.

use std::time::{Duration, Instant};

use proto_smpp::message_id;
use proto_smpp::pdu::bind::BindResponse;
use proto_smpp::pdu::manage::{Ask, QueryResponse};
use proto_smpp::pdu::multi::{self, DESTINATIONS_MAX, Multi, Unsuccessful};
use proto_smpp::pdu::notify::{Alert, Outbind};
use proto_smpp::pdu::response::Response;
use proto_smpp::receipt::{self, Receipt};
use proto_smpp::segment::Segment;
use proto_smpp::split::{self, Concat, Encoding};
use proto_smpp::{
    Bind, BindKind, CommandId, CommandStatus, Frames, Input, Message, MessageView, Output, Role,
    Session, Settings, Time, gsm7, text,
};

/// The longest PDU taken here: small, so that the limit is met.
const PDU_MAX: usize = 2_048;

/// Cuts a stream in chunks of odd sizes, and gives the whole PDUs.
fn frames(data: &[u8], mut see: impl FnMut(CommandId, &[u8])) {
    let mut frames = Frames::new(PDU_MAX);
    for chunk in data.chunks(61) {
        let mut chunk = chunk;
        loop {
            match frames.next(&mut chunk) {
                Ok(Some(frame)) => {
                    assert_eq!(frame.header.length as usize, 16 + frame.body.len());
                    see(frame.header.command, frame.body);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(frames.buffered() <= PDU_MAX, "no more is kept than one PDU");
    }
}

fn a_message(command: CommandId, body: &[u8]) {
    let Ok(view) = MessageView::parse(command, body) else { return };
    let first = view.to_message();
    assert_eq!(first.view(), view);
    let mut out = Vec::new();
    first.encode(&mut out, 1).expect("what was read fits a PDU");
    let again = Message::decode(command, &out[16..]);
    // A name may hold the octet that ends it, and a destination that is no number may be the rest of
    // one: which of the two the whole body tells, and a torn one was read without that.
    let digits = &first.destination.digits;
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let certain = number && !first.source.digits.contains(&0);
    if command != CommandId::DELIVER_SM || first.source.ton != 5 || certain {
        assert_eq!(again.as_ref(), Ok(&first), "what is read writes to what reads the same");
    }
    let _ = (receipt::is_receipt(&view), Receipt::parse(&view), first.check());
    if let Some(segment) = Segment::of(&view) {
        assert!((1..=segment.total).contains(&segment.number));
    }
    let _ = text::decode(view.data_coding, view.split_udh().1);
    let _ = (Time::parse(view.schedule), Time::parse(view.validity));
}

/// Frames and decodes what an SMSC sends.
pub fn from_smsc(data: &[u8]) {
    frames(data, |command, body| match command {
        CommandId::DELIVER_SM | CommandId::DATA_SM => a_message(command, body),
        CommandId::ALERT_NOTIFICATION => {
            if let Ok(first) = Alert::decode(body) {
                let mut out = Vec::new();
                first.encode(&mut out, 1);
                assert_eq!(Alert::decode(&out[16..]), Ok(first));
            }
        }
        CommandId::OUTBIND => {
            if let Ok(first) = Outbind::decode(body) {
                let mut out = Vec::new();
                first.encode(&mut out, 1);
                assert_eq!(Outbind::decode(&out[16..]), Ok(first));
            }
        }
        _ => {
            let response = Response::parse(body);
            let id = message_id::canonical(response.message_id);
            assert!(id.chars().count() <= message_id::LONGEST);
            if id.is_ascii() {
                assert_eq!(message_id::canonical(id.as_bytes()), id, "canonical already");
            }
            let _ = (message_id::alternatives(&id), BindResponse::parse(body).interface_version());
            let (id, all) = multi::parse_response(body);
            if all.len() <= DESTINATIONS_MAX {
                let mut out = Vec::new();
                multi::encode_response(&mut out, CommandStatus::OK, 1, &id, &all);
                assert_eq!(multi::parse_response(&out[16..]), (id, all));
            }
            if let Ok(first) = QueryResponse::parse(body) {
                let mut out = Vec::new();
                first.encode(&mut out, 1);
                assert_eq!(QueryResponse::parse(&out[16..]), Ok(first));
            }
        }
    });
}

/// Frames and decodes what an ESME sends.
pub fn from_esme(data: &[u8]) {
    frames(data, |command, body| match command {
        CommandId::SUBMIT_SM | CommandId::DATA_SM => a_message(command, body),
        CommandId::SUBMIT_MULTI => {
            let Ok(first) = Multi::decode(body) else { return };
            let mut out = Vec::new();
            first.encode(&mut out, 1);
            if first.destinations.len() <= DESTINATIONS_MAX {
                assert_eq!(Multi::decode(&out[16..]), Ok(first));
            }
        }
        CommandId::QUERY_SM | CommandId::CANCEL_SM | CommandId::REPLACE_SM => {
            let Ok(first) = Ask::decode(command, body) else { return };
            let mut out = Vec::new();
            first.encode(&mut out, 1);
            assert_eq!(Ask::decode(command, &out[16..]), Ok(first));
        }
        command if command.is_bind() => {
            let Ok(first) = Bind::decode(command, body) else { return };
            let mut out = Vec::new();
            first.encode(&mut out, 1);
            assert_eq!(Bind::decode(command, &out[16..]), Ok(first));
        }
        _ => {}
    });
}

/// A session, driven by the fuzzer: each order is one octet and what it needs.
struct Driver<'a> {
    session: Session<u32>,
    now: Instant,
    rest: &'a [u8],
    next_tag: u32,
    /// Tags that have not come back.
    open: std::collections::BTreeSet<u32>,
    closed: bool,
}

impl<'a> Driver<'a> {
    fn new(role: Role, data: &'a [u8]) -> Self {
        let now = epoch();
        let settings = Settings { window: 4, max_pdu: PDU_MAX, ..Settings::default() };
        let session = Session::new(role, settings, now);
        let open = std::collections::BTreeSet::new();
        let mut driver = Self { session, now, rest: data, next_tag: 0, open, closed: false };
        driver.step(Input::Connected);
        driver
    }

    fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn step(&mut self, input: Input<'_, u32>) {
        let mut outputs = Vec::new();
        self.session.step(self.now, input, &mut outputs);
        let mut answers = Vec::new();
        for output in outputs {
            let refused = matches!(output, Output::Refused { .. });
            assert!(refused || !self.closed, "nothing follows a close: {output:?}");
            match output {
                Output::Answered { tag, .. }
                | Output::TimedOut { tag }
                | Output::Refused { tag } => {
                    assert!(self.open.remove(&tag), "a tag comes back once");
                }
                Output::Transmit(octets) => {
                    let mut whole = 0;
                    let mut frames = Frames::default();
                    let mut chunk = &octets[..];
                    while let Some(frame) = frames.next(&mut chunk).expect("we send sound lengths")
                    {
                        whole += frame.header.length as usize;
                    }
                    assert_eq!(whole, octets.len(), "we send whole PDUs");
                }
                Output::Close(_) => self.closed = true,
                other => answers.push(other),
            }
        }
        assert_eq!(self.closed, self.session.is_closed());
        for output in answers {
            self.answer(output);
        }
    }

    fn answer(&mut self, output: Output<u32>) {
        let choice = self.octet().unwrap_or(0);
        let status = CommandStatus(u32::from(choice & 0x0F));
        if self.closed {
            return;
        }
        match output {
            Output::BindRequested(_) if choice & 1 == 0 => self.step(Input::Accept),
            Output::BindRequested(_) => self.step(Input::Refuse(status)),
            // Some are never answered.
            Output::Request { command, sequence, .. } if choice & 0x80 == 0 => {
                self.step(Input::Answer { command, sequence, status, message_id: b"id" });
            }
            Output::RequestMulti { sequence, .. } if choice & 0x80 == 0 => {
                let unsuccessful: &[Unsuccessful] = &[];
                let message_id = b"id";
                self.step(Input::AnswerMulti { sequence, status, message_id, unsuccessful });
            }
            Output::Asked { sequence, ask } if choice & 0x80 == 0 => {
                let command = ask.command();
                self.step(Input::AnswerAsked { command, sequence, status });
            }
            _ => {}
        }
    }

    fn run(mut self) {
        while let Some(order) = self.octet() {
            match order % 8 {
                0..=3 => {
                    let count = usize::from(self.octet().unwrap_or(0));
                    let octets = self.take(count);
                    self.step(Input::Bytes(octets));
                }
                4 => {
                    let tag = self.next_tag;
                    self.next_tag += 1;
                    self.open.insert(tag);
                    let message = Message {
                        command: if order & 8 == 0 {
                            CommandId::SUBMIT_SM
                        } else {
                            CommandId::DELIVER_SM
                        },
                        ..Message::default()
                    };
                    self.step(Input::Submit { message: &message, tag });
                }
                5 => {
                    let seconds = self.octet().unwrap_or(0);
                    self.now += Duration::from_secs(u64::from(seconds));
                    self.step(Input::Tick);
                }
                6 => {
                    self.now = self.session.deadline().max(self.now);
                    self.step(Input::Tick);
                }
                _ => self.step(Input::Unbind),
            }
            assert!(self.session.in_flight() <= 4, "the window holds");
            if !self.closed {
                assert!(self.session.deadline() >= epoch());
            }
        }
        // Time alone brings every tag back or ends the session.
        for tag in self.session.into_unanswered() {
            assert!(self.open.remove(&tag), "a tag comes back once");
        }
        assert!(self.open.is_empty(), "every tag comes back: {:?}", self.open);
    }
}

/// The moment at which every run begins.
fn epoch() -> Instant {
    static EPOCH: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// Our side of a bind to a carrier, whatever the carrier says.
pub fn session_client(data: &[u8]) {
    let bind = Bind::new(BindKind::Transceiver, "orbit", "secret");
    Driver::new(Role::Esme(bind), data).run();
}

/// Our side of a customer's bind, whatever the customer says.
pub fn session_server(data: &[u8]) {
    Driver::new(Role::Smsc, data).run();
}

/// A receipt's text: two octets choose how it comes, the rest is what it says.
pub fn receipt_text(data: &[u8]) {
    let Some((&[esm_class, data_coding], text)) = data.split_first_chunk::<2>() else { return };
    let mut message =
        Message { command: CommandId::DELIVER_SM, esm_class, data_coding, ..Message::default() };
    // Behind an octet 0xFF stand TLVs.
    match text.iter().position(|octet| *octet == 0xFF) {
        Some(at) => {
            message.short_message = text[..at].to_vec();
            let tlvs = &text[at + 1..];
            message.tlvs = tlvs[..proto_smpp::tlv::whole(tlvs)].to_vec();
        }
        None => message.short_message = text.to_vec(),
    }
    let view = message.view();
    let first = Receipt::parse(&view);
    assert_eq!(Receipt::parse(&view), first);
    if let Some(stamp) = first.submit_date {
        assert!((1..=12).contains(&stamp.month) && (1..=31).contains(&stamp.day));
        assert!(stamp.hour < 24 && stamp.minute < 60);
    }
    let id = message_id::canonical(first.message_id.as_deref().unwrap_or_default());
    let _ = (receipt::is_receipt(&view), message_id::alternatives(&id));
}

/// A text is split, and joined again to what it was: the first octet chooses how.
pub fn split_join(data: &[u8]) {
    let Some((how, octets)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(octets);
    let concat = match how % 4 {
        0 => Concat::Udh8,
        1 => Concat::Udh16,
        2 => Concat::SarTlv,
        _ => Concat::MessagePayload,
    };
    let encoding = if how & 4 != 0 || gsm7::septets(&text).is_none() {
        Encoding::Ucs2
    } else {
        Encoding::Gsm7
    };
    let measured = split::measure_as(&text, Some(encoding), concat);
    let measured = measured.expect("it can be written in this encoding");
    let parts = split::parts(&text, encoding, concat, 0xABCD).ok();
    let Some(parts) = parts else { return };
    if concat != Concat::MessagePayload {
        assert_eq!(parts.len(), measured.parts, "what is measured is what is sent");
    }
    let mut joined = String::new();
    for (at, part) in parts.iter().enumerate() {
        let message = Message {
            esm_class: if part.esm_class_udhi { 0x40 } else { 0 },
            data_coding: if encoding == Encoding::Ucs2 { 8 } else { 0 },
            short_message: part.user_data.clone(),
            tlvs: part.tlvs.clone(),
            ..Message::default()
        };
        let mut wire = Vec::new();
        message.encode(&mut wire, 1).expect("a part fits a PDU");
        let back = Message::decode(CommandId::SUBMIT_SM, &wire[16..]).expect("it is read");
        let view = back.view();
        match Segment::of(&view) {
            Some(place) => {
                assert_eq!(
                    (usize::from(place.total), usize::from(place.number)),
                    (parts.len(), at + 1)
                );
            }
            None => assert!(parts.len() == 1, "each of several knows its place"),
        }
        joined.push_str(&text::decode(back.data_coding, view.split_udh().1));
    }
    assert_eq!(joined, text, "nothing is lost");
}

/// What a target is: it takes any octets.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const ALL: [(&str, Target); 6] = [
    ("from_smsc", from_smsc),
    ("from_esme", from_esme),
    ("session_client", session_client),
    ("session_server", session_server),
    ("receipt_text", receipt_text),
    ("split_join", split_join),
];
