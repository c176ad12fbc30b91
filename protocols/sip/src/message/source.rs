//! Where a request came from, noted in its first Via: RFC 3261 §18.2.1 and RFC 3581 §4.
//!
//! Done in place of an edit and a second parse: one copy of the octets, and the index moves with it.

use std::net::IpAddr;

use bytes::Bytes;

use super::{Line, Message, Start, text};
use crate::grammar::{self, Cuts, Span};
use crate::header::{Rport, Via};
use crate::{Method, Name};

impl Message {
    /// Notes the source of a request in its first Via, if it is news or asked for. All other octets
    /// stay. A Via that does not read is left alone.
    pub fn note_source(&mut self, address: IpAddr, port: u16) {
        if let Ok(via) = self.via() {
            self.note_source_in(&via, address, port);
        }
    }

    /// The same, when the first Via was read already: that of this message.
    pub(crate) fn note_source_in(&mut self, via: &Via, address: IpAddr, port: u16) {
        let asked = via.rport() != Rport::Absent;
        if !asked && via.host.ip() == Some(address) && !via.params.has("received") {
            return;
        }
        let Some(at) = self.lines.iter().position(|line| line.name == Name::Via) else { return };
        let Some(text) = self.headers().nth(at).map(super::Header::text) else { return };
        let mut value = Vec::with_capacity(text.len() + 64);
        let mut cuts = Cuts::default();
        let first = cuts.next(&text).unwrap_or_default().of(&text);
        let sender = first.len().saturating_sub(via.params.as_bytes().len());
        value.extend_from_slice(first[..sender].trim_ascii_end());
        for (name, own) in via.params.iter() {
            if name.eq_ignore_ascii_case(b"received") {
                continue;
            }
            value.push(b';');
            value.extend_from_slice(name);
            if name.eq_ignore_ascii_case(b"rport") {
                value.push(b'=');
                text::write_number(u64::from(port), &mut value);
            } else if let Some(own) = own {
                value.push(b'=');
                value.extend_from_slice(own);
            }
        }
        if asked || via.host.ip() != Some(address) {
            value.extend_from_slice(b";received=");
            value.extend_from_slice(address.to_string().as_bytes());
        }
        if let Some(rest) = cuts.next(&text) {
            value.extend_from_slice(b", ");
            value.extend_from_slice(&text[rest.start as usize..]);
        }
        drop(text);
        self.replace_value(at, &value);
    }

    /// Another value for one line; all that stands behind it moves.
    fn replace_value(&mut self, at: usize, value: &[u8]) {
        let Some(old) = self.lines.get(at).map(|line| line.value) else { return };
        let (start, end) = (old.start as usize, old.end as usize);
        let length = self.raw.len() - (end - start) + value.len();
        if u32::try_from(length).is_err() {
            return;
        }
        let mut raw = Vec::with_capacity(length);
        raw.extend_from_slice(&self.raw[..start]);
        raw.extend_from_slice(value);
        raw.extend_from_slice(&self.raw[end..]);
        self.raw = Bytes::from(raw);
        let moved =
            |at: u32| if at < old.end { at } else { at - old.end + old.start + value.len() as u32 };
        for line in &mut self.lines[at..] {
            *line = Line {
                start: moved(line.start),
                name_end: moved(line.name_end),
                value: Span { start: moved(line.value.start), end: moved(line.value.end) },
                end: moved(line.end),
                ..*line
            };
        }
        self.lines[at].value = Span::new(start, start + value.len());
        self.lines[at].folded = false;
        self.head_end = moved(self.head_end);
        self.body = Span { start: moved(self.body.start), end: moved(self.body.end) };
        self.let_go();
    }

    /// The start line holds slices of the octets as they are now, and not as they were.
    fn let_go(&mut self) {
        let Start::Request { method, uri } = &self.start else { return };
        let length = method.as_bytes().len();
        let spaces = self.raw[length..].iter().take_while(|octet| grammar::is_space(**octet));
        let from = length + spaces.count();
        let uri = self.raw.slice(from..from + uri.len());
        let method = match method {
            Method::Other(_) => Method::Other(self.raw.slice(..length)),
            known => known.clone(),
        };
        self.start = Start::Request { method, uri };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn noted(text: &str) -> (Message, Message) {
        let plain = Message::parse(Bytes::from(text.to_owned()), &Limits::default()).unwrap();
        let mut noted = plain.clone();
        noted.note_source("192.0.2.7".parse().unwrap(), 40_000);
        (plain, noted)
    }

    fn request(vias: &str) -> String {
        format!(
            "FANCY  sip:b@example.org SIP/2.0\r\nX: 1\r\n{vias}\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:b@example.org>,\r\n i: folded\r\nCall-ID: c\r\nCSeq: 1 FANCY\r\nl: 2\r\n\r\nhi"
        )
    }

    #[test]
    fn the_first_via_changes_and_the_index_moves() {
        for (vias, expected) in [
            (
                "v: SIP/2.0/UDP a;rport;branch=z9hG4bK1",
                "v: SIP/2.0/UDP a;rport=40000;branch=z9hG4bK1;received=192.0.2.7",
            ),
            (
                "Via:SIP/2.0/UDP 10.0.0.1 ,\r\n SIP/2.0/TCP b\r\nVia: SIP/2.0/UDP c",
                "Via:SIP/2.0/UDP 10.0.0.1;received=192.0.2.7, SIP/2.0/TCP b\r\nVia: SIP/2.0/UDP c",
            ),
            ("Via: SIP/2.0/UDP 192.0.2.7;received=192.0.2.99999", "Via: SIP/2.0/UDP 192.0.2.7"),
        ] {
            let (_, noted) = noted(&request(vias));
            assert_eq!(*noted.raw(), request(expected));
            let again = Message::parse(noted.raw().clone(), &Limits::default()).unwrap();
            assert_eq!(format!("{again:?}"), format!("{noted:?}"));
            assert_eq!(again.header_block(), noted.header_block());
            assert_eq!(
                (noted.body(), noted.edit().finish()),
                (&b"hi"[..], Ok(again.raw().clone()))
            );
        }
    }

    #[test]
    fn what_says_it_already_or_does_not_read_stays() {
        for vias in ["Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1", "Via: nonsense"] {
            let (plain, noted) = noted(&request(vias));
            assert_eq!(noted.raw().as_ptr(), plain.raw().as_ptr());
        }
    }
}
