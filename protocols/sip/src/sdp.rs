//! Session descriptions (RFC 8866), kept line by line.
//!
//! `Sdp::parse` cuts a body into lines and the lines into the session's and each stream's; what is not
//! understood stays as it came, octet for octet and in its place, so a description can be changed in
//! one line and passed on. Octets, lines, streams and formats have limits, whatever a peer sends. What
//! lines mean is read when asked for: `media` (a stream's line, codecs), `address`, `direction`. What
//! two ends agree on is in `answer` and `exchange`, and what a relay changes in `relay`.

pub mod address;
pub mod answer;
pub mod body;
pub mod codec;
pub mod direction;
pub mod exchange;
pub mod media;
pub mod relay;
pub mod section;

use std::net::IpAddr;

use bytes::Bytes;
use thiserror::Error;

pub use address::{Host, Transport};
pub use answer::{Keying, NoAnswer, Offering, Stream};
pub use body::Body;
pub use codec::Codec;
pub use direction::Direction;
pub use exchange::{Description, Exchange};
pub use media::{Kind, Media};
pub use section::{Line, Section};

/// What a body may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub octets: usize,
    pub lines: usize,
    /// Streams: lines with `m=`.
    pub media: usize,
    /// Formats of one stream.
    pub formats: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { octets: 16_384, lines: 400, media: 16, formats: 64 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SdpError {
    #[error("the description has more octets, lines, streams or formats than are taken")]
    TooLarge,
    #[error("the description does not begin with v=0")]
    Version,
    #[error("line {0} is no letter, equals sign and value")]
    Line(usize),
    #[error("line {0} describes no stream")]
    Media(usize),
}

/// A description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sdp {
    /// The lines before the first stream.
    pub session: Section,
    pub media: Vec<Media>,
}

impl Sdp {
    /// Reads a body. Lines may end with LF alone; empty ones at the end are passed over.
    pub fn parse(body: &Bytes, limits: &Limits) -> Result<Self, SdpError> {
        if body.len() > limits.octets {
            return Err(SdpError::TooLarge);
        }
        let mut sdp = Self { session: Section::default(), media: Vec::new() };
        let mut rest: &[u8] = body;
        let mut number = 0;
        while !rest.is_empty() {
            let end = rest.iter().position(|octet| *octet == b'\n').unwrap_or(rest.len());
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            rest = rest.get(end + 1..).unwrap_or_default();
            if line.is_empty() && rest.iter().all(|octet| matches!(octet, b'\r' | b'\n')) {
                break;
            }
            number += 1;
            if number > limits.lines {
                return Err(SdpError::TooLarge);
            }
            sdp.take(body, line, number, limits)?;
        }
        if number == 0 { Err(SdpError::Version) } else { Ok(sdp) }
    }

    fn take(
        &mut self,
        body: &Bytes,
        line: &[u8],
        number: usize,
        limits: &Limits,
    ) -> Result<(), SdpError> {
        let [kind, b'=', value @ ..] = line else { return Err(SdpError::Line(number)) };
        // A lone CR or a NUL would end the line for somebody else.
        let whole = !value.iter().any(|octet| matches!(octet, b'\r' | 0));
        if !kind.is_ascii_lowercase() || !whole {
            return Err(SdpError::Line(number));
        }
        if number == 1 && (*kind, value) != (b'v', &b"0"[..]) {
            return Err(SdpError::Version);
        }
        let line = Line { kind: *kind, value: body.slice_ref(value) };
        if line.kind == b'm' {
            if self.media.len() == limits.media {
                return Err(SdpError::TooLarge);
            }
            let media = Media::parse(line).ok_or(SdpError::Media(number))?;
            if media.formats().len() > limits.formats {
                return Err(SdpError::TooLarge);
            }
            self.media.push(media);
        } else {
            let section =
                self.media.last_mut().map_or(&mut self.session, |media| &mut media.section);
            section.push(line);
        }
        Ok(())
    }

    /// The body, each line ended with CRLF.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(512);
        self.session.write(&mut out);
        for media in &self.media {
            media.section.write(&mut out);
        }
        out.into()
    }

    /// Whose description this is, and its version.
    pub fn origin(&self) -> Option<Origin<'_>> {
        Origin::parse(self.session.text(b'o')?)
    }

    /// Whether a peer says with this what it said before: then nothing is to be done anew. Not every
    /// peer counts its versions, so all of it is compared.
    pub fn repeats(&self, before: &Self) -> bool {
        self == before
    }

    /// The direction of a stream, which it has from the session if it does not say it itself.
    pub fn direction(&self, media: &Media) -> Direction {
        let own = Direction::of_section(&media.section);
        own.or_else(|| Direction::of_section(&self.session)).unwrap_or(Direction::SendRecv)
    }

    /// The host of a stream, its own or the session's.
    pub fn host(&self, media: &Media) -> Option<Host> {
        let line = media.section.text(b'c').or_else(|| self.session.text(b'c'))?;
        Host::parse(line)
    }

    /// Where a stream wants its packets.
    pub fn transport(&self, media: &Media) -> Transport {
        Transport::of(self.host(media), media)
    }

    /// Whether the sender of this wants to hear nothing of a stream, by either way of saying so.
    pub fn holds(&self, media: &Media) -> bool {
        let nowhere = matches!(self.host(media), Some(Host::Ip(ip)) if ip.is_unspecified());
        nowhere || !self.direction(media).receives()
    }

    /// What the sender of this will do with a stream: the older hold, by an address of zeros, counts
    /// as not receiving.
    pub fn meant(&self, media: &Media) -> Direction {
        let direction = self.direction(media);
        Direction::of(direction.sends(), !self.holds(media))
    }
}

/// The line `o=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    pub user: &'a str,
    pub session: &'a str,
    pub version: &'a str,
    pub host: &'a str,
}

impl<'a> Origin<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (user, session, version) = (words.next()?, words.next()?, words.next()?);
        let host = words.nth(2)?;
        Some(Self { user, session, version, host })
    }
}

/// `IN IP4 192.0.2.1`, as `c=` and `o=` have it.
fn network(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("IN IP4 {ip}"),
        IpAddr::V6(ip) => format!("IN IP6 {ip}"),
    }
}

#[cfg(test)]
mod tests;
