//! Cuts a byte stream into messages, RFC 3261 §18.3, and tells keep-alives, RFC 5626 §3.5.
//!
//! The head is searched for its empty line as it comes, each octet once; then Content-Length says
//! how much follows, read by the same code as `Message::parse` uses, so that both always agree.
//! What is kept grows with what came and never beyond the limits. A length that is missing where
//! it matters, doubled, or not a number is final: there is no way back into step. A message that
//! is bad in other ways is still one message, and the stream goes on behind it.
//! The time a peer may take for a message is the caller's: `buffered` says that one has begun.

use bytes::Bytes;

use crate::Limits;
use crate::grammar;
use crate::message::{Defect, Message, Refused, body_length};

/// What a stream brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// One whole message, to be parsed.
    Message(Bytes),
    /// Two line ends: the peer wants to know whether we live. The answer is `PONG`.
    Ping,
    /// The line end that was awaited.
    Pong,
}

/// What asks a peer on a stream whether it lives.
pub const PING: &[u8] = b"\r\n\r\n";

/// The answer to it.
pub const PONG: &[u8] = b"\r\n";

/// The cutter of one stream: holds at most one incomplete message.
#[derive(Debug)]
pub struct Frames {
    limits: Limits,
    /// The start of a message that its chunk cut short.
    partial: Vec<u8>,
    /// The length of that message, once its head is there.
    total: Option<usize>,
    /// Between messages: a carriage return without its line feed.
    cr: bool,
    /// Between messages: one line end, perhaps half of a ping.
    half: bool,
    /// A ping of ours is out.
    awaiting: bool,
    failed: Option<Box<Refused>>,
}

impl Frames {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            partial: Vec::new(),
            total: None,
            cr: false,
            half: false,
            awaiting: false,
            failed: None,
        }
    }

    /// A ping is being sent: the next single line end is its answer.
    pub fn expect_pong(&mut self) {
        self.awaiting = true;
        self.half = false;
    }

    /// Octets held back for a message that is not complete.
    pub fn buffered(&self) -> usize {
        self.partial.len()
    }

    /// The next event out of what was kept and `chunk`, which moves on past what was used.
    ///
    /// `None` means that the chunk is used up. An error may carry a request to answer; after it
    /// the connection is to be closed.
    pub fn next(&mut self, chunk: &mut &[u8]) -> Result<Option<Event>, Box<Refused>> {
        if let Some(refused) = &self.failed {
            return Err(refused.clone());
        }
        if self.partial.is_empty()
            && let Some(event) = self.between(chunk)?
        {
            return Ok(Some(event));
        }
        if chunk.is_empty() {
            return Ok(None);
        }
        if self.total.is_none() && !self.head(chunk)? {
            return Ok(None);
        }
        let total = self.total.unwrap_or_default();
        if self.partial.is_empty() && chunk.len() >= total {
            let (message, rest) = chunk.split_at(total);
            *chunk = rest;
            self.total = None;
            return Ok(Some(Event::Message(Bytes::copy_from_slice(message))));
        }
        self.keep(chunk, total.saturating_sub(self.partial.len()));
        if self.partial.len() < total {
            return Ok(None);
        }
        let message = Bytes::copy_from_slice(&self.partial);
        self.recycle();
        Ok(Some(Event::Message(message)))
    }

    /// Takes the line ends between messages.
    fn between(&mut self, chunk: &mut &[u8]) -> Result<Option<Event>, Box<Refused>> {
        while let [first, rest @ ..] = *chunk {
            match (*first, self.cr) {
                (b'\r', false) => self.cr = true,
                (b'\n', true) => {
                    *chunk = rest;
                    self.cr = false;
                    if let Some(event) = self.line_end() {
                        return Ok(Some(event));
                    }
                    continue;
                }
                (octet, false) if grammar::is_token_octet(octet) => {
                    self.half = false;
                    break;
                }
                _ => return self.fail(Defect::NotSip, &[]),
            }
            *chunk = rest;
        }
        Ok(None)
    }

    fn line_end(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.awaiting) {
            return Some(Event::Pong);
        }
        self.half = !self.half;
        (!self.half).then_some(Event::Ping)
    }

    /// Looks for the end of the head, and learns the message's length from it. False when the
    /// chunk is used up before.
    fn head(&mut self, chunk: &mut &[u8]) -> Result<bool, Box<Refused>> {
        let most = self.limits.head.saturating_add(4);
        if self.partial.is_empty() {
            let text = &chunk[..chunk.len().min(most)];
            if let Some(at) = memchr::memmem::find(text, b"\r\n\r\n") {
                let head = &text[..at + 4];
                self.total = Some(self.length(head)?);
                return Ok(true);
            }
            if text.len() == most {
                return self.fail(Defect::HeadTooLong, text);
            }
            self.keep(chunk, chunk.len());
            return Ok(false);
        }
        let before = self.partial.len();
        let whole = *chunk;
        self.keep(chunk, most.saturating_sub(before));
        let from = before.saturating_sub(3);
        let found = memchr::memmem::find(&self.partial[from..], b"\r\n\r\n");
        let partial = std::mem::take(&mut self.partial);
        let Some(at) = found else {
            if partial.len() >= most {
                return self.fail(Defect::HeadTooLong, &partial);
            }
            self.partial = partial;
            return Ok(false);
        };
        let end = from + at + 4;
        self.total = Some(self.length(&partial[..end])?);
        self.partial = partial;
        self.partial.truncate(end);
        *chunk = &whole[end - before..];
        Ok(true)
    }

    /// The length of the message with this head.
    fn length(&mut self, head: &[u8]) -> Result<usize, Box<Refused>> {
        match body_length(head, &self.limits) {
            Ok(body) if head.len() + body <= self.limits.message => Ok(head.len() + body),
            Ok(_) => self.fail(Defect::TooLong, head),
            Err(defect) => self.fail(defect, head),
        }
    }

    /// Moves up to `wanted` octets from the chunk to what is kept.
    fn keep(&mut self, chunk: &mut &[u8], wanted: usize) {
        let (taken, rest) = chunk.split_at(wanted.min(chunk.len()));
        self.partial.extend_from_slice(taken);
        *chunk = rest;
    }

    /// Empties what is kept, and gives a large buffer back.
    fn recycle(&mut self) {
        self.total = None;
        if self.partial.capacity() > 4_096 {
            self.partial = Vec::new();
        } else {
            self.partial.clear();
        }
    }

    fn fail<T>(&mut self, defect: Defect, head: &[u8]) -> Result<T, Box<Refused>> {
        self.partial = Vec::new();
        let read = Message::parse(Bytes::copy_from_slice(head), &self.limits);
        let request = match read {
            Ok(message) => message.is_request().then_some(message),
            Err(refused) => refused.request,
        };
        let refused = Box::new(Refused { defect, request });
        self.failed = Some(refused.clone());
        Err(refused)
    }
}

/// What one datagram is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// A message, to be parsed: the line ends before it are gone.
    Message(Bytes),
    /// Nothing but line ends or nulls: it held a hole in some firewall open.
    KeepAlive,
    /// A request or answer of STUN, RFC 5389: two zero bits and the cookie.
    Stun,
    /// Octets that begin like nothing we know: no answer.
    Noise,
}

impl Datagram {
    pub fn of(octets: &Bytes) -> Self {
        let text = octets.iter().position(|octet| !matches!(octet, b'\r' | b'\n' | 0));
        let Some(start) = text else {
            return Self::KeepAlive;
        };
        if octets.len() >= 20 && octets[0] < 4 && octets[4..8] == [0x21, 0x12, 0xA4, 0x42] {
            return Self::Stun;
        }
        let line_ends = octets[..start].iter().all(|octet| *octet != 0);
        let begins = line_ends && grammar::is_token_octet(octets[start]);
        if begins { Self::Message(octets.slice(start..)) } else { Self::Noise }
    }
}

#[cfg(test)]
mod tests;
