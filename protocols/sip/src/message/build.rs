//! Messages of our own: requests, responses, and answers to a request, RFC 3261 §8.1.1 and §8.2.6.

use std::net::IpAddr;

use bytes::Bytes;

use super::text::{self, BuildError, Text};
use super::{Header, Message};
use crate::header::Value;
use crate::{Field, Method, Name, StatusCode};

/// A message that grows line by line.
#[derive(Clone)]
pub struct Builder {
    out: Vec<u8>,
    error: Option<BuildError>,
}

/// What an answer adds to the headers that it takes from its request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    /// Where the request came from: noted in the first Via.
    pub source: Option<(IpAddr, u16)>,
    /// The tag of To, if the request has none there. A 100 needs none.
    pub tag: Option<&'a str>,
    /// Other words than the usual ones.
    pub reason: Option<&'a str>,
}

impl Builder {
    /// Begins a request.
    pub fn request(method: &Method, uri: &(impl Text + ?Sized)) -> Self {
        let mut out = Vec::with_capacity(1_024);
        out.extend_from_slice(method.as_bytes());
        out.push(b' ');
        let error = text::write_uri(uri, &mut out).err();
        out.extend_from_slice(b" SIP/2.0\r\n");
        Self { out, error }
    }

    /// Begins a response, with its usual words if no others are given.
    pub fn response(status: StatusCode, reason: Option<&str>) -> Self {
        let mut out = Vec::with_capacity(1_024);
        out.extend_from_slice(b"SIP/2.0 ");
        text::write_number(u64::from(status.get()), &mut out);
        out.push(b' ');
        let error = text::write_checked(reason.unwrap_or(status.reason()), &mut out).err();
        out.extend_from_slice(b"\r\n");
        Self { out, error }
    }

    /// Begins an answer: Via, From, To, Call-ID and CSeq as the request has them, and the
    /// Timestamp in a 100. What a bad request lacks is left out.
    pub fn answer(request: &Message, status: StatusCode, answer: Answer<'_>) -> Self {
        let mut builder = Self::response(status, answer.reason);
        builder.vias(request, answer.source);
        builder.copy_all(request, Name::From);
        builder.to(request, answer.tag);
        builder.copy_all(request, Name::CallId).copy_all(request, Name::CSeq);
        if status == StatusCode::TRYING {
            builder.copy_all(request, Name::Timestamp);
        }
        builder
    }

    /// Adds a line.
    pub fn header<'f>(
        &mut self,
        field: impl Into<Field<'f>>,
        value: &(impl Text + ?Sized),
    ) -> &mut Self {
        let name = field.into().as_str();
        if let Err(error) = text::write_line(name.as_bytes(), value, &mut self.out) {
            self.error.get_or_insert(error);
        }
        self
    }

    /// Adds a header of another message as it stands there.
    pub fn copy(&mut self, header: Header<'_>) -> &mut Self {
        self.out.extend_from_slice(header.name_text());
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(header.raw());
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Adds all headers of one name of another message as they stand there.
    pub fn copy_all<'f>(&mut self, from: &Message, field: impl Into<Field<'f>>) -> &mut Self {
        let field = field.into();
        for header in from.headers() {
            if field.is(header.name(), header.name_text()) {
                self.copy(header);
            }
        }
        self
    }

    /// Adds whole lines that were checked when they were made.
    pub(crate) fn lines(&mut self, lines: &[u8]) -> &mut Self {
        self.out.extend_from_slice(lines);
        self
    }

    /// Ends the headers, without a body.
    pub fn finish(self) -> Result<Bytes, BuildError> {
        self.with_length(&[])
    }

    /// Ends the headers with the body's type and length, and adds the body.
    pub fn body(mut self, content_type: &str, octets: &[u8]) -> Result<Bytes, BuildError> {
        self.header(Name::ContentType, content_type);
        self.with_length(octets)
    }

    fn with_length(mut self, octets: &[u8]) -> Result<Bytes, BuildError> {
        self.header(Name::ContentLength, &(octets.len() as u64));
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(octets);
        match self.error {
            Some(error) => Err(error),
            None => Ok(Bytes::from(self.out)),
        }
    }

    fn vias(&mut self, request: &Message, source: Option<(IpAddr, u16)>) {
        let noted = source.and_then(|(address, port)| {
            let mut via = request.via().ok()?;
            via.note_source(address, port);
            Some(via)
        });
        let Some(via) = noted else {
            self.copy_all(request, Name::Via);
            return;
        };
        self.header(Name::Via, &via);
        let mut first = true;
        for header in request.all(Name::Via) {
            if !std::mem::replace(&mut first, false) {
                self.copy(header);
                continue;
            }
            let text = header.value();
            let mut cuts = crate::grammar::Cuts::default();
            cuts.next(&text);
            if let Some(rest) = cuts.next(&text) {
                self.header(Name::Via, &text.slice(rest.start as usize..));
            }
        }
    }

    fn to(&mut self, request: &Message, tag: Option<&str>) {
        if let (Some(tag), Ok(to)) = (tag, request.to())
            && to.tag().is_none()
        {
            self.header(Name::To, &to.with_tag(tag).to_bytes());
        } else {
            self.copy_all(request, Name::To);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn parse(out: Result<Bytes, BuildError>) -> Message {
        Message::parse(out.unwrap(), &Limits::default()).unwrap()
    }

    fn request() -> Message {
        let mut builder = Builder::request(&Method::Invite, "sip:b@example.org");
        builder
            .header(Name::Via, "SIP/2.0/UDP a;branch=z9hG4bK1;rport, SIP/2.0/UDP b")
            .header(Name::Via, "SIP/2.0/UDP c")
            .header(Name::From, "<sip:a@b>;tag=1")
            .header(Name::To, "Bob <sip:b@example.org>")
            .header(Name::CallId, "c")
            .header(Name::CSeq, "1 INVITE")
            .header(Name::Timestamp, "54");
        parse(builder.body("text/plain", b"Hello"))
    }

    fn lines(message: &Message) -> Vec<String> {
        message.headers().map(|header| format!("{header:?}")).collect()
    }

    #[test]
    fn what_is_built_is_read() {
        let request = request();
        assert_eq!((request.check(), request.body()), (Ok(()), &b"Hello"[..]));
        assert_eq!(request.list::<crate::header::Via>(Name::Via).count(), 3);
    }

    #[test]
    fn an_answer_notes_the_source_and_adds_a_tag() {
        let source = Some(("192.0.2.1".parse().unwrap(), 40_000));
        let answer = Answer { source, tag: Some("t"), reason: None };
        let built = parse(Builder::answer(&request(), StatusCode::BUSY_HERE, answer).finish());
        let expected = [
            "Via: SIP/2.0/UDP a;branch=z9hG4bK1;rport=40000;received=192.0.2.1",
            "Via: SIP/2.0/UDP b",
            "Via: SIP/2.0/UDP c",
            "From: <sip:a@b>;tag=1",
            "To: Bob <sip:b@example.org>;tag=t",
            "Call-ID: c",
            "CSeq: 1 INVITE",
            "Content-Length: 0",
        ];
        assert_eq!(lines(&built), expected);
        assert!(built.raw().starts_with(b"SIP/2.0 486 Busy Here\r\n"));
    }

    #[test]
    fn a_100_has_the_timestamp_and_no_tag() {
        let built = Builder::answer(&request(), StatusCode::TRYING, Answer::default()).finish();
        let built = parse(built);
        assert_eq!(built.first(Name::Timestamp).map(Header::raw), Some(&b"54"[..]));
        assert_eq!(built.to().unwrap().tag(), None);
        assert_eq!(lines(&built)[0], "Via: SIP/2.0/UDP a;branch=z9hG4bK1;rport, SIP/2.0/UDP b");
    }

    #[test]
    fn a_bad_request_is_answered_with_what_it_has() {
        let raw = request().raw().to_vec();
        let bad = String::from_utf8(raw).unwrap().replace("CSeq: 1 INVITE\r\n", "CSeq: x\r\n");
        let refused = Message::parse(Bytes::from(bad), &Limits::default()).unwrap_err();
        let (request, status) = refused.answer().unwrap();
        let out = Builder::answer(request, status, Answer::default()).finish().unwrap();
        let text = std::str::from_utf8(&out).unwrap();
        assert!(text.starts_with("SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP a;"), "{text}");
        assert!(text.contains("Call-ID: c\r\nCSeq: x\r\nContent-Length: 0\r\n\r\n"), "{text}");
    }

    #[test]
    fn nothing_that_ends_a_line_is_built() {
        let evil = "x\r\nRoute: <sip:evil>";
        assert!(Builder::response(StatusCode::OK, Some(evil)).finish().is_err());
        assert!(Builder::request(&Method::Bye, evil).finish().is_err());
        let mut builder = Builder::response(StatusCode::OK, None);
        builder.header(Name::Subject, evil).header(Name::To, "fine");
        assert_eq!(builder.finish(), Err(BuildError::LineEnd));
    }
}
