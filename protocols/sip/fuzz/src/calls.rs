//! What the fuzz target of call legs does with its octets: a script of what a peer says, what the user
//! wants and what time brings, in any order; no law may break.
//!
//! The fuzzer calls it, and so do ordinary tests on the corpus that is kept. A broken law is a panic.
//!
//! Records end with the octet 1E. The first octet of a record is what happens, the second chooses among
//! such, and the rest are lines of headers, an empty line and a body, with plain line feeds:
//!
//! `i` their INVITE, or `o` ours, begins the leg    `q` a request of theirs    `k` their ACK
//! `a` their answer to a request of ours            `x` their CANCEL           `f` no answer to one
//! `c` a command of the user                        `t` time passes

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use proto_sip::leg::{
    Cause, Command, Extra, Incoming, Input, Leg, Loss, Outgoing, Output, Refer, Settings, Tag, Told,
};
use proto_sip::sdp::Body;
use proto_sip::{Limits, Message, Name, StatusCode};

const METHODS: [&str; 11] = [
    "INVITE",
    "BYE",
    "UPDATE",
    "PRACK",
    "INFO",
    "REFER",
    "NOTIFY",
    "OPTIONS",
    "MESSAGE",
    "SUBSCRIBE",
    "FANCY",
];
const STATUSES: [u16; 16] =
    [100, 180, 183, 200, 202, 302, 400, 401, 407, 408, 422, 481, 486, 491, 500, 603];
/// Records of one script that are obeyed.
const RECORDS_MAX: usize = 200;
/// Ticks within which a call that has ended is over.
const TICKS_MAX: usize = 2_000;

/// A leg, and what was said.
struct Run {
    leg: Leg<u32>,
    now: Instant,
    out: Vec<Output<u32>>,
    /// Requests of ours without a final answer, with a Via.
    sent: Vec<(Tag, Message)>,
    /// Requests of theirs, and the final answer that each has.
    asked: Vec<(Message, Option<u16>)>,
    /// The number of their last request.
    seq: u32,
    /// Challenges that were told and not dealt with.
    challenged: Vec<Tag>,
    /// Whether the user was told the end.
    is_told: bool,
}

/// Lines and a body as they stand in a message.
fn rest(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let (lines, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut out = String::new();
    for line in lines.lines().filter(|line| !line.is_empty()) {
        let _ = write!(out, "{line}\r\n");
    }
    let body = body.replace('\n', "\r\n");
    let _ = write!(out, "Content-Length: {}\r\n\r\n{body}", body.len());
    out.into_bytes()
}

fn read(octets: Vec<u8>) -> Option<Message> {
    Message::accept(Bytes::from(octets), &Limits::default()).ok()
}

/// A request of theirs, if its lines make one.
fn theirs(method: &str, seq: u32, to_tag: Option<&str>, text: &[u8]) -> Option<Message> {
    let tag = to_tag.map_or(String::new(), |tag| format!(";tag={tag}"));
    let mut head = format!(
        "{method} sip:us@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP far;branch=z9hG4bK{seq}\r\n\
         From: <sip:far@far.example>;tag=ft\r\nTo: <sip:us@192.0.2.1>{tag}\r\nCall-ID: call\r\n\
         CSeq: {seq} {method}\r\nMax-Forwards: 70\r\nContact: <sip:far@192.0.2.9>\r\n"
    )
    .into_bytes();
    head.extend(rest(text));
    read(head)
}

/// Their answer to a request of ours, of one of three branches.
fn answer(request: &Message, status: u16, branch: u8, text: &[u8]) -> Option<Message> {
    let mut head = format!("SIP/2.0 {status} word\r\n").into_bytes();
    for header in request.headers() {
        let copied = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq];
        if copied.contains(&header.name()) {
            head.extend_from_slice(header.name_text());
            head.extend_from_slice(b": ");
            head.extend_from_slice(header.raw());
            let is_bare = header.name() == Name::To
                && request.to().is_ok_and(|to| to.params.slice("tag").is_none());
            if is_bare && status > 100 {
                let tag = ["ft", "gt", "ht"][usize::from(branch % 3)];
                head.extend_from_slice(format!(";tag={tag}").as_bytes());
            }
            head.extend_from_slice(b"\r\n");
        }
    }
    head.extend_from_slice(b"Contact: <sip:far@192.0.2.9>\r\n");
    head.extend(rest(text));
    read(head)
}

fn sdp(version: u8) -> Body {
    Body::new(Bytes::from(format!(
        "v=0\r\no=- 1 {version} IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    )))
}

impl Run {
    #[expect(
        clippy::disallowed_methods,
        reason = "the leg knows this moment and those it is given"
    )]
    fn begin(what: u8, choice: u8, text: &[u8]) -> Option<Self> {
        let now = Instant::now();
        let mut out = Vec::new();
        let session_s = if choice & 2 == 0 { 0 } else { 1_800 };
        let settings = Arc::new(Settings { session_s, ..Settings::default() });
        let (tag, contact) = ("ut".to_owned(), "<sip:us@192.0.2.1:5060>".to_owned());
        let mut asked = Vec::new();
        let leg = if what == b'i' {
            let invite = theirs("INVITE", 10, None, text)?;
            asked.push((invite.clone(), None));
            Leg::incoming(
                now,
                Incoming { settings, id: 0, invite, tag, contact, seed: 7 },
                &mut out,
            )
        } else {
            let outgoing = Outgoing {
                settings,
                call_id: "call".to_owned(),
                tag,
                contact,
                seed: 7,
                uri: "sip:far@far.example".to_owned(),
                from: "<sip:us@192.0.2.1>".to_owned(),
                to: "<sip:far@far.example>".to_owned(),
                routes: Vec::new(),
                max_forwards: 69,
                sdp: (choice & 1 == 0).then(|| sdp(1)),
                extra: Extra::default(),
            };
            Leg::outgoing(now, outgoing, &mut out)
        };
        let (sent, challenged) = (Vec::new(), Vec::new());
        let mut run = Self { leg, now, out, sent, asked, seq: 10, challenged, is_told: false };
        run.heed();
        Some(run)
    }

    fn step(&mut self, input: Input<u32>) {
        self.leg.step(self.now, input, &mut self.out);
        self.heed();
    }

    /// Looks at what the leg orders.
    fn heed(&mut self) {
        for output in std::mem::take(&mut self.out) {
            match output {
                Output::Request { tag, octets, .. } => {
                    let message = with_via(&octets, self.sent.len());
                    self.sent.push((tag, message));
                }
                Output::Ack { octets, .. } => {
                    let _ = with_via(&octets, 0);
                }
                Output::Cancel { .. } => {}
                Output::Respond { id, octets } => self.responded(id, octets),
                Output::Told(told) => self.told(told),
            }
        }
    }

    fn responded(&mut self, id: u32, octets: Bytes) {
        let answer = Message::accept(octets, &Limits::default()).expect("an answer of ours reads");
        let status = answer.status().expect("an answer has a status");
        let (request, before) = &mut self.asked[id as usize];
        assert_eq!(answer.cseq(), request.cseq(), "an answer is to its request");
        let is_invite = request.method() == Some(&proto_sip::Method::Invite);
        match before {
            Some(before) => {
                let is_repeat = *before == status.get() && is_invite && status.is_success();
                assert!(is_repeat, "{status} after {before}");
            }
            None if status.is_final() => *before = Some(status.get()),
            None => assert!(is_invite, "nothing but an INVITE rings"),
        }
    }

    fn told(&mut self, told: Told) {
        assert!(
            !self.is_told || matches!(told, Told::Challenged(_)),
            "told after the end: {told:?}"
        );
        self.is_told |= told.is_last();
        if let Told::Challenged(challenged) = told {
            self.challenged.push(challenged.tag);
        }
    }

    fn obey(&mut self, what: u8, choice: u8, text: &[u8]) {
        match what {
            b'q' => {
                let method = METHODS[usize::from(choice) % METHODS.len()];
                // Most come in their order, some out of it.
                self.seq = if choice & 0x80 == 0 { self.seq + 1 } else { self.seq - 1 };
                let request = theirs(method, self.seq, Some("ut"), text);
                if let Some(message) = request {
                    let id = self.asked.len() as u32;
                    self.asked.push((message.clone(), None));
                    self.step(Input::Request { id, message });
                }
            }
            b'k' => {
                let seq = self.seq - u32::from(choice % 4);
                if let Some(message) = theirs("ACK", seq, Some("ut"), text) {
                    self.step(Input::Ack(message));
                }
            }
            b'a' => self.answered(choice, text),
            b'x' => {
                // The transaction tells it of an INVITE alone that has no final answer.
                let waits = |(request, end): &(Message, Option<u16>)| {
                    end.is_none() && request.method() == Some(&proto_sip::Method::Invite)
                };
                if let Some(at) = self.asked.iter().rposition(waits) {
                    self.step(Input::Cancelled { invite: at as u32, cause: Cause::default() });
                }
            }
            b'f' => {
                let why = if choice & 1 == 0 { Loss::TimedOut } else { Loss::Transport };
                if let Some(tag) = self.take(usize::from(choice >> 1)) {
                    self.step(Input::Failed { tag, why });
                }
            }
            b'c' => self.command(choice, text),
            b't' if choice == 0 => {
                if let Some(deadline) = self.leg.deadline() {
                    self.now = self.now.max(deadline);
                    self.step(Input::Tick);
                }
            }
            b't' => {
                self.now += Duration::from_millis(100) * u32::from(choice);
                self.step(Input::Tick);
            }
            _ => {}
        }
    }

    fn take(&mut self, back: usize) -> Option<Tag> {
        let at = self.sent.len().checked_sub(1 + back)?;
        Some(self.sent.remove(at).0)
    }

    fn answered(&mut self, choice: u8, text: &[u8]) {
        let status = STATUSES[usize::from(choice & 0xF)];
        let Some(at) = self.sent.len().checked_sub(1 + usize::from(choice >> 4 & 3)) else {
            return;
        };
        let (tag, request) = &self.sent[at];
        let (tag, is_invite) = (*tag, request.method() == Some(&proto_sip::Method::Invite));
        let Some(message) = answer(request, status, choice >> 6, text) else { return };
        // A 2xx to an INVITE may come again, and of other branches.
        if status >= 300 || (status >= 200 && !is_invite) {
            self.sent.remove(at);
        }
        self.step(Input::Response { tag, message });
    }

    fn command(&mut self, choice: u8, text: &[u8]) {
        let status = StatusCode::new(STATUSES[usize::from(choice & 0xF)]).expect("a status");
        let (sdp, extra) = ((choice & 1 == 0).then(|| sdp(choice)), Extra::default());
        let cause = Cause::default();
        let first = text.first().copied().unwrap_or_default();
        let tag = self.challenged.last().copied();
        let command = match first {
            b'r' => Command::Ring { status, sdp, reliable: choice & 0x10 != 0, extra },
            b'a' => Command::Answer { sdp, extra },
            b'j' if status.get() >= 300 => Command::Reject { status, cause, extra },
            b'e' => Command::End { cause },
            b'o' => Command::Offer { sdp: self::sdp(choice) },
            b'n' => Command::AnswerOffer { sdp: self::sdp(choice) },
            b'u' => Command::RefuseOffer { status },
            b'z' => {
                let Some(tag) = tag else { return };
                self.challenged.pop();
                Command::Authorize {
                    tag,
                    header: Name::Authorization,
                    value: "Digest x".to_owned(),
                }
            }
            b'y' => {
                let Some(tag) = tag else { return };
                self.challenged.pop();
                Command::Unauthorized { tag }
            }
            b'f' => {
                let to = "<sip:third@far.example>".to_owned();
                Command::Refer(Box::new(Refer { to, by: None, reports: choice & 1 == 0 }))
            }
            b'w' => Command::AnswerRefer { status },
            b'v' => Command::NotifyRefer { status },
            _ => Command::Info {
                content_type: "application/dtmf-relay".to_owned(),
                body: Bytes::copy_from_slice(text),
            },
        };
        self.step(Input::Command(command));
    }

    /// The call ends, and nobody says anything any more: all is answered, and the leg is over.
    fn drain(mut self) {
        self.step(Input::Command(Command::End { cause: Cause::default() }));
        for _ in 0..TICKS_MAX {
            while let Some(tag) = self.take(0) {
                self.step(Input::Failed { tag, why: Loss::TimedOut });
            }
            let Some(deadline) = self.leg.deadline() else { break };
            self.now = self.now.max(deadline);
            self.step(Input::Tick);
        }
        assert!(self.leg.is_over(), "it ends: {:?}", self.leg);
        let mut open = HashMap::new();
        for (at, (request, end)) in self.asked.iter().enumerate() {
            if end.is_none() {
                open.insert(at, String::from_utf8_lossy(request.raw()).into_owned());
            }
        }
        assert!(open.is_empty(), "each request has its answer: {open:?}");
    }
}

/// A request of the leg with the Via of its transaction.
fn with_via(octets: &[u8], branch: usize) -> Message {
    let end = octets.iter().position(|octet| *octet == b'\n').expect("a first line") + 1;
    let via = format!("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch}\r\n");
    let whole = [&octets[..end], via.as_bytes(), &octets[end..]].concat();
    let read = Message::accept(Bytes::from(whole), &Limits::default());
    read.unwrap_or_else(|refused| {
        panic!("what we send reads: {}: {}", refused.defect, String::from_utf8_lossy(octets))
    })
}

/// One call.
pub fn leg(data: &[u8]) {
    let mut records = data.split(|octet| *octet == 0x1E).take(RECORDS_MAX).filter_map(|record| {
        let [what, choice, text @ ..] = record else { return None };
        Some((*what, *choice, text))
    });
    let Some((what, choice, text)) = records.next() else { return };
    let Some(mut run) = Run::begin(what, choice, text) else { return };
    for (what, choice, text) in records {
        run.obey(what, choice, text);
    }
    run.drain();
}

/// A target and its name.
pub type Target = (&'static str, fn(&[u8]));

/// The target by its name.
pub const ALL: [Target; 1] = [("leg", leg)];
