//! The machines in virtual time: what is said at which millisecond.
//!
//! client, server, cancel, quirks    one machine against a script
//! link                              two tables over a network that loses, doubles and reorders
//! chance                            any inputs in any order, and garbage

mod cancel;
mod chance;
mod client;
mod link;
mod quirks;
mod server;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::header::Transport;
use crate::{Answer, Builder, Limits, Name, StatusCode};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Link {
    peer: SocketAddr,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Udp,
    Tcp,
    Ws,
}

impl Flow for Link {
    fn transport(&self) -> Transport {
        match self.kind {
            Kind::Udp => Transport::Udp,
            Kind::Tcp => Transport::Tcp,
            Kind::Ws => Transport::Ws,
        }
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn to_port(self, port: u16) -> Self {
        Self { peer: SocketAddr::new(self.peer.ip(), port), ..self }
    }
}

pub(super) const fn link(kind: Kind) -> Link {
    let peer = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 5060);
    Link { peer, kind }
}

pub(super) const UDP: Link = link(Kind::Udp);
pub(super) const TCP: Link = link(Kind::Tcp);
pub(super) const WS: Link = link(Kind::Ws);

pub(super) type Out = Output<Link, u32>;

/// One table, its clock, and all that it said.
pub(super) struct Stage {
    pub(super) table: Transactions<Link, u32>,
    start: Instant,
    pub(super) now: Instant,
    pub(super) out: Vec<Out>,
    /// What was said, each with its millisecond.
    diary: Vec<String>,
    /// The ids of requests that were handed over.
    pub(super) ids: Vec<ServerId>,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        let start = Instant::now();
        let table = Transactions::new(settings, start, [9; 16]);
        Self { table, start, now: start, out: vec![], diary: vec![], ids: vec![] }
    }

    /// Lets the time pass up to that millisecond, with a tick at each deadline.
    pub(super) fn until(&mut self, millis: u64) -> &mut Self {
        let goal = self.start + Duration::from_millis(millis);
        while let Some(deadline) = self.table.deadline().filter(|deadline| *deadline <= goal) {
            self.now = deadline;
            self.step(|table, now, out| table.tick(now, out));
        }
        self.now = goal;
        self
    }

    pub(super) fn step(
        &mut self,
        call: impl FnOnce(&mut Transactions<Link, u32>, Instant, &mut Vec<Out>),
    ) -> &mut Self {
        let before = self.out.len();
        call(&mut self.table, self.now, &mut self.out);
        let millis = (self.now - self.start).as_millis();
        for output in &self.out[before..] {
            self.diary.push(format!("{millis} {}", said(output)));
            if let Output::Request { id, .. } = output {
                self.ids.push(*id);
            }
        }
        self
    }

    pub(super) fn request(&mut self, flow: Link, mark: u32, text: &str) -> &mut Self {
        self.step(|table, now, out| {
            table.request(now, flow, &us(), mark, text.as_bytes(), out);
        })
    }

    pub(super) fn receive(&mut self, flow: Link, text: &str) -> &mut Self {
        let message = parse(text.as_bytes());
        self.step(|table, now, out| table.receive(now, flow, message, out))
    }

    /// Receives a response to the last octets that were sent and begin with `method`.
    pub(super) fn answered(&mut self, flow: Link, method: &str, status: u16) -> &mut Self {
        let request = parse(self.sent(method));
        self.receive(flow, &answer(&request, status))
    }

    /// Answers the last request that came.
    pub(super) fn respond(&mut self, status: u16) -> &mut Self {
        let request = self.out.iter().rev().find_map(|output| match output {
            Output::Request { message, .. } => Some(message.clone()),
            _ => None,
        });
        let octets = Bytes::from(answer(&request.unwrap(), status));
        let id = *self.ids.last().unwrap();
        self.step(|table, now, out| table.respond(now, id, octets, out))
    }

    /// The last octets sent that begin with that word.
    pub(super) fn sent(&self, word: &str) -> &[u8] {
        let octets = self.out.iter().rev().find_map(|output| match output {
            Output::Transmit { octets, .. } | Output::TransmitAnew { octets, .. } => {
                octets.starts_with(word.as_bytes()).then_some(octets)
            }
            _ => None,
        });
        octets.unwrap()
    }

    /// What was said since the last time.
    pub(super) fn heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.diary)
    }

    /// Nothing is left, in no structure.
    pub(super) fn is_clean(&self) -> bool {
        is_clean(&self.table)
    }
}

pub(super) fn is_clean<U>(table: &Transactions<Link, U>) -> bool {
    table.table.len() == 0
        && table.flows.len() == 0
        && table.served.is_empty()
        && table.merges.is_empty()
        && table.marks.is_empty()
        && table.cancels.is_empty()
        && table.timers.deadline().is_none()
}

pub(super) fn us() -> SentBy {
    SentBy::new(&crate::uri::Host::Ip("198.51.100.1".parse().unwrap()), Some(5060))
}

pub(super) fn parse(octets: &[u8]) -> Message {
    Message::parse(Bytes::copy_from_slice(octets), &Limits::default()).unwrap()
}

/// A request of ours, without a Via.
pub(super) fn ours(method: &str) -> String {
    format!(
        "{method} sip:bob@192.0.2.7 SIP/2.0\r\nMax-Forwards: 70\r\nRoute: <sip:p;lr>\r\n\
         From: <sip:a@us>;tag=1\r\nTo: <sip:bob@b>\r\nCall-ID: c1\r\nCSeq: 7 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// A request of a peer.
pub(super) fn theirs(method: &str, branch: &str) -> String {
    format!(
        "{method} sip:us@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7{branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:bob@b>;tag=b1\r\nTo: <sip:us@u>\r\nCall-ID: c2\r\n\
         CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

pub(super) fn invite() -> String {
    theirs("INVITE", ";branch=z9hG4bKb1")
}

pub(super) fn answer(request: &Message, status: u16) -> String {
    let tag = (status > 100).then_some("their-tag");
    let built = Builder::answer(
        request,
        StatusCode::new(status).unwrap(),
        Answer { tag, ..Answer::default() },
    );
    String::from_utf8(built.finish().unwrap().to_vec()).unwrap()
}

fn word(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let text = text.strip_prefix("SIP/2.0 ").unwrap_or(&text);
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn said(output: &Out) -> String {
    match output {
        Output::Transmit { octets, .. } => format!("> {}", word(octets)),
        Output::TransmitAnew { to, octets, .. } => format!("> {} anew to {to}", word(octets)),
        Output::Request { message, .. } => format!("{} came", word(message.raw())),
        Output::Cancelled { .. } => "cancelled".to_owned(),
        Output::Ack { .. } => "ACK came".to_owned(),
        Output::Response { mark, message, .. } => format!("{mark}: {}", word(message.raw())),
        Output::Failed { mark, why } => format!("{mark}: {why:?}"),
        Output::AckMissing { .. } => "no ACK".to_owned(),
        Output::Unanswered { .. } => "unanswered".to_owned(),
    }
}
