//! SIP as text, as far as callers and callees of our own need it: requests and answers built whole, and the
//! lines of what comes looked up.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// A message, by its lines.
#[derive(Clone, Copy)]
pub(super) struct Heard<'a>(&'a str);

impl<'a> Heard<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Option<Self> {
        std::str::from_utf8(octets).ok().map(Self)
    }

    pub(super) fn status(self) -> Option<u16> {
        self.0.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    pub(super) fn method(self) -> &'a str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// The first header of this name.
    pub(super) fn header(self, name: &'a str) -> Option<&'a str> {
        self.headers(name).next()
    }

    pub(super) fn headers(self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.0.split("\r\n").skip(1).take_while(|line| !line.is_empty());
        lines.filter_map(move |line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(super) fn cseq(self) -> Option<(u32, &'a str)> {
        let (number, method) = self.header("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method))
    }

    /// What is between the angle brackets of Contact.
    pub(super) fn contact(self) -> Option<&'a str> {
        self.header("Contact")?.split_once('<')?.1.split_once('>').map(|(uri, _)| uri)
    }

    /// Where the other side takes sound.
    pub(super) fn sound(self) -> Option<SocketAddr> {
        let of = |start: &str| self.0.split("\r\n").find_map(|line| line.strip_prefix(start));
        let port = of("m=audio ")?.split(' ').next()?.parse().ok()?;
        let ip = of("c=IN IP4 ")?.trim().parse().ok()?;
        Some(SocketAddr::new(ip, port))
    }
}

/// A request of a caller's.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    pub(super) local: SocketAddr,
    pub(super) branch: &'a str,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) call: u64,
    pub(super) cseq: u32,
    pub(super) routes: &'a [String],
    /// Whole lines.
    pub(super) more: &'a str,
    /// Where sound is taken.
    pub(super) sound: Option<SocketAddr>,
}

impl Request<'_> {
    pub(super) fn write(&self) -> Vec<u8> {
        let Self { method, uri, local, branch, from, to, call, cseq, routes, more, sound } = self;
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: {from};tag={call}\r\nTo: {to}\r\nCall-ID: {call}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:load@{local}>\r\n"
        );
        for route in *routes {
            // Writing to a string cannot fail.
            let _ = write!(text, "Route: {route}\r\n");
        }
        text.push_str(more);
        finish(text, *sound)
    }
}

/// The answer to a request of ours, as a callee gives it.
pub(super) fn answer(
    request: Heard<'_>,
    status: &str,
    local: SocketAddr,
    sound: Option<SocketAddr>,
) -> Vec<u8> {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in ["Via", "Record-Route", "From", "Call-ID", "CSeq"] {
        for value in request.headers(name) {
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    let to = request.header("To").unwrap_or_default();
    let tag = if to.contains(";tag=") { "" } else { ";tag=callee" };
    let _ = write!(text, "To: {to}{tag}\r\nContact: <sip:callee@{local}>\r\n");
    finish(text, sound)
}

fn finish(mut text: String, sound: Option<SocketAddr>) -> Vec<u8> {
    match sound {
        Some(sound) => {
            let (ip, port) = (sound.ip(), sound.port());
            let body = format!(
                "v=0\r\no=load 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
                 m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n\
                 a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
            );
            let length = body.len();
            let _ = write!(
                text,
                "Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
        None => text.push_str("Content-Length: 0\r\n\r\n"),
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_carries_what_the_request_had() {
        let local = SocketAddr::from(([127, 0, 0, 1], 5060));
        let request = Request {
            method: "INVITE",
            uri: "sip:b@example.com",
            local,
            branch: "7",
            from: "<sip:a@example.com>",
            to: "<sip:b@example.com>",
            call: 9,
            cseq: 3,
            routes: &["<sip:proxy;lr>".to_owned()],
            more: "X-More: 1\r\n",
            sound: Some(local),
        };
        let request = request.write();
        let request = Heard::new(&request).expect("text");
        assert_eq!((request.method(), request.cseq()), ("INVITE", Some((3, "INVITE"))));
        assert_eq!(request.header("Route"), Some("<sip:proxy;lr>"));
        let answered = answer(request, "200 OK", local, Some(local));
        let answered = Heard::new(&answered).expect("text");
        assert_eq!((answered.status(), answered.header("Call-ID")), (Some(200), Some("9")));
        assert_eq!(answered.header("To"), Some("<sip:b@example.com>;tag=callee"));
        assert_eq!((request.sound(), answered.sound()), (Some(local), Some(local)));
        assert_eq!(answered.contact(), Some("sip:callee@127.0.0.1:5060"));
    }
}
