//! Octets to an index, in one pass and with one allocation.
//!
//! What is wrong is noted, and reading goes on where that has a meaning: an answer to a bad
//! request needs the headers that are good. A line end is CR LF; either of them alone, and a null
//! octet that no quote escapes, is refused: another program would see other headers there.

use bytes::Bytes;

use super::{Defect, Line, Message, Refused, Start};
use crate::grammar::{self, Span};
use crate::header::{CSeq, Value};
use crate::{Limits, Method, Name, StatusCode};

/// Headers that stand at most once, RFC 3261 §7.3.1 and §20.
const ONCE: [Name; 12] = [
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::MaxForwards,
    Name::ContentLength,
    Name::ContentType,
    Name::Expires,
    Name::SessionExpires,
    Name::ReferTo,
    Name::Replaces,
    Name::RAck,
];

/// Headers that no message is without.
const NEEDED: [Name; 5] = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq];

impl Message {
    /// Reads one whole message: a datagram, or what a stream's `frame` cut.
    ///
    /// Octets behind what Content-Length says are dropped; without one the body goes to the end.
    pub fn parse(raw: Bytes, limits: &Limits) -> Result<Self, Box<Refused>> {
        if u32::try_from(raw.len()).is_err() {
            return Err(Box::new(Refused { defect: Defect::TooLong, request: None }));
        }
        let mut indexer = Indexer { text: &raw, limits, at: 0, line: 1, torn: false, defect: None };
        let start = match indexer.start_line(&raw) {
            Ok(start) => start,
            Err(defect) => return Err(Box::new(Refused { defect, request: None })),
        };
        let head = indexer.at;
        let lines = indexer.lines();
        let head_end = indexer.at;
        let body = indexer.body(&lines, head_end);
        let defect = indexer.defect;
        let mut message =
            Self { start, lines, head: head as u32, head_end: head_end as u32, body, raw };
        let Some(defect) = defect.or_else(|| message.completeness().err()) else {
            return Ok(message);
        };
        let request = message.is_request().then(|| {
            message.body = Span::default();
            message
        });
        Err(Box::new(Refused { defect, request }))
    }

    /// Each needed header is there, none twice that stands once, and CSeq fits.
    fn completeness(&self) -> Result<(), Defect> {
        let mut seen = [0u8; Name::ALL.len() + 1];
        for line in &self.lines {
            let count = &mut seen[line.name as usize];
            *count = count.saturating_add(1);
        }
        let count = |name: Name| seen[name as usize];
        if let Some(name) = NEEDED.into_iter().find(|name| count(*name) == 0) {
            return Err(Defect::Missing(name));
        }
        if let Some(name) = ONCE.into_iter().find(|name| count(*name) > 1) {
            return Err(Defect::Repeated(name));
        }
        let cseq = self.first(Name::CSeq).map(|header| CSeq::parse(&header.value()));
        let cseq = cseq.ok_or(Defect::Missing(Name::CSeq))??;
        match self.method() {
            Some(method) if *method != cseq.method => Err(Defect::MethodMismatch),
            _ => Ok(()),
        }
    }
}

/// The length of the body on a stream, as a head says that ends with its empty line.
///
/// No Content-Length is no body, unless a Content-Type promises one. Line ends that another
/// program could see elsewhere are as bad as a bad length.
pub(crate) fn body_length(head: &[u8], limits: &Limits) -> Result<usize, Defect> {
    let mut indexer = Indexer { text: head, limits, at: 0, line: 1, torn: false, defect: None };
    indexer.line_end();
    let lines = indexer.lines();
    let stops = |defect: &Defect| !matches!(defect, Defect::Line(_) | Defect::TooManyVias);
    if let Some(defect) = indexer.defect.filter(stops) {
        return Err(defect);
    }
    let mut lengths = lines.iter().filter(|line| line.name == Name::ContentLength);
    let Some(line) = lengths.next() else {
        let promised = lines.iter().any(|line| line.name == Name::ContentType);
        return if promised { Err(Defect::NoContentLength) } else { Ok(0) };
    };
    if lengths.next().is_some() {
        return Err(Defect::Repeated(Name::ContentLength));
    }
    let length = grammar::digits(line.value.of(head)).ok_or(Defect::ContentLength)?;
    usize::try_from(length).ok().filter(|body| *body <= limits.body).ok_or(Defect::BodyTooLong)
}

struct Indexer<'a> {
    text: &'a [u8],
    limits: &'a Limits,
    at: usize,
    /// The number of the line at hand, from 1.
    line: usize,
    /// It holds an octet that another program could take for its end.
    torn: bool,
    defect: Option<Defect>,
}

impl Indexer<'_> {
    fn note(&mut self, defect: Defect) {
        self.defect.get_or_insert(defect);
    }

    /// Steps behind the line at hand and gives where its text ends. `None` when the text ends first.
    fn line_end(&mut self) -> Option<usize> {
        loop {
            let found = memchr::memchr3(b'\r', b'\n', 0, self.text.get(self.at..)?);
            let end = self.at + found?;
            self.at = end + 1;
            match self.text[end] {
                b'\r' if self.text.get(end + 1) == Some(&b'\n') => {
                    self.at = end + 2;
                    return Some(end);
                }
                0 if end > 0 && self.text[end - 1] == b'\\' => {}
                octet => {
                    self.torn = true;
                    let defect = if octet == 0 { Defect::Null } else { Defect::BareLineEnd };
                    self.note(defect(self.line));
                }
            }
        }
    }

    fn start_line(&mut self, raw: &Bytes) -> Result<Start, Defect> {
        if self.text.len() > self.limits.message {
            self.note(Defect::TooLong);
        }
        let end = self.line_end().unwrap_or_else(|| {
            self.note(Defect::Unfinished);
            self.at = self.text.len();
            self.at
        });
        let line = &self.text[..end];
        if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/")) {
            return self.status_line(raw, end);
        }
        let method_end = line.iter().take_while(|octet| grammar::is_token_octet(**octet)).count();
        if method_end == 0 || line.get(method_end) != Some(&b' ') {
            return Err(Defect::NotSip);
        }
        let method = Method::parse(&raw.slice(..method_end)).ok_or(Defect::NotSip)?;
        let rest = &line[method_end..];
        let uri_end = match memchr::memrchr(b' ', rest) {
            Some(space) if rest[space + 1..].eq_ignore_ascii_case(b"SIP/2.0") => space,
            Some(space) if is_version(&rest[space + 1..]) => {
                self.note(Defect::Version);
                space
            }
            _ if is_http(rest) => return Err(Defect::NotSip),
            _ => {
                self.note(Defect::StartLine("no version ends it"));
                rest.len()
            }
        };
        let uri = grammar::trim(&rest[..uri_end]);
        let at = method_end + rest[..uri_end].iter().take_while(|o| grammar::is_space(**o)).count();
        if uri.is_empty() {
            self.note(Defect::StartLine("no URI"));
            return Ok(Start::Request { method, uri: Bytes::new() });
        }
        if memchr::memchr2(b' ', b'\t', uri).is_some() {
            self.note(Defect::StartLine("white space in the URI"));
        }
        Ok(Start::Request { method, uri: raw.slice(at..at + uri.len()) })
    }

    fn status_line(&mut self, raw: &Bytes, end: usize) -> Result<Start, Defect> {
        let line = &self.text[..end];
        let (version, rest) = line.split_at(line.len().min(7));
        if !version.eq_ignore_ascii_case(b"SIP/2.0") {
            return Err(Defect::Version);
        }
        let bad = Defect::StartLine("no status");
        let [b' ', a, b, c, rest @ ..] = rest else {
            return Err(bad);
        };
        let code = grammar::number::<u16>(&[*a, *b, *c]).and_then(StatusCode::new);
        let (Some(status), [] | [b' ', ..]) = (code, rest) else {
            return Err(bad);
        };
        let reason = raw.slice((end - rest.len() + 1).min(end)..end);
        Ok(Start::Response { status, reason })
    }

    /// All headers, up to the empty line, where it stops.
    fn lines(&mut self) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::with_capacity(24);
        let mut vias = 0;
        // The line before is no header that could go on.
        let mut lost = false;
        loop {
            let start = self.at;
            self.line += 1;
            self.torn = false;
            if start > self.limits.head {
                self.note(Defect::HeadTooLong);
                return lines;
            }
            let Some(end) = self.line_end() else {
                self.note(Defect::Unfinished);
                self.at = self.text.len();
                return lines;
            };
            if end == start {
                self.at = start;
                return lines;
            }
            let goes_on = grammar::is_space(self.text[start]);
            if self.torn {
                // Nobody shall see it, nor a part of it.
                if goes_on && !lost {
                    lines.pop();
                }
                lost = true;
                continue;
            }
            if goes_on {
                match lines.last_mut().filter(|_| !lost) {
                    Some(line) => {
                        self.fold(line, start, end);
                        self.count_vias(line.name, start, end, &mut vias);
                    }
                    None => self.note(Defect::Line(self.line)),
                }
                continue;
            }
            let Some(line) = self.header(start, end) else {
                self.note(Defect::Line(self.line));
                lost = true;
                continue;
            };
            lost = false;
            if lines.len() >= self.limits.headers {
                self.note(Defect::TooManyHeaders);
                return lines;
            }
            vias += usize::from(line.name == Name::Via);
            self.count_vias(line.name, start, end, &mut vias);
            lines.push(line);
        }
    }

    /// Each comma in a line of Via, or in one that continues it, is a Via more.
    fn count_vias(&mut self, name: Name, start: usize, end: usize, vias: &mut usize) {
        if name == Name::Via {
            *vias += memchr::memchr_iter(b',', &self.text[start..end]).count();
            if *vias > self.limits.vias {
                self.note(Defect::TooManyVias);
            }
        }
    }

    fn header(&self, start: usize, end: usize) -> Option<Line> {
        let text = &self.text[start..end];
        let name_len = text.iter().take_while(|octet| grammar::is_token_octet(**octet)).count();
        let name = &text[..name_len];
        let rest = &text[name_len..];
        let colon = rest.iter().take_while(|octet| grammar::is_space(**octet)).count();
        if name_len == 0 || rest.get(colon) != Some(&b':') {
            return None;
        }
        let value = self.trimmed(start + name_len + colon + 1, end);
        Some(Line {
            name: Name::of(name),
            start: start as u32,
            name_end: (start + name_len) as u32,
            value,
            end: self.at as u32,
            folded: false,
        })
    }

    /// Adds a continuation line to the header before it.
    fn fold(&self, line: &mut Line, start: usize, end: usize) {
        let more = self.trimmed(start, end);
        line.end = self.at as u32;
        if more.start == more.end {
            return;
        }
        if line.value.start == line.value.end {
            line.value = more;
        } else {
            line.value.end = more.end;
            line.folded = true;
        }
    }

    fn trimmed(&self, mut start: usize, mut end: usize) -> Span {
        while start < end && grammar::is_space(self.text[start]) {
            start += 1;
        }
        while end > start && grammar::is_space(self.text[end - 1]) {
            end -= 1;
        }
        Span::new(start, end)
    }

    /// Where the body stands, behind the empty line at `head_end`.
    fn body(&mut self, lines: &[Line], head_end: usize) -> Span {
        let start = (head_end + 2).min(self.text.len());
        let there = self.text.len() - start;
        let mut lengths = lines.iter().filter(|line| line.name == Name::ContentLength);
        let length = match lengths.next() {
            None => there,
            Some(line) => match grammar::digits(line.value.of(self.text)) {
                Some(length) => usize::try_from(length).unwrap_or(usize::MAX),
                None => {
                    self.note(Defect::ContentLength);
                    return Span::default();
                }
            },
        };
        if length > self.limits.body {
            self.note(Defect::BodyTooLong);
        } else if length > there {
            self.note(Defect::BodyCut);
        } else {
            return Span::new(start, start + length);
        }
        Span::default()
    }
}

/// `SIP/` and two numbers.
fn is_version(text: &[u8]) -> bool {
    let (Some(b"SIP/" | b"sip/"), Some(rest)) = (text.get(..4), text.get(4..)) else {
        return false;
    };
    let mut parts = rest.split(|octet| *octet == b'.');
    let (major, minor) = (parts.next(), parts.next());
    let is_number = |part: Option<&[u8]>| part.and_then(grammar::digits).is_some();
    is_number(major) && is_number(minor) && parts.next().is_none()
}

fn is_http(rest: &[u8]) -> bool {
    memchr::memmem::find(rest, b" HTTP/").is_some()
}
