//! Cuts a byte stream into PDUs, SMPP 3.4 §3.2.
//!
//! A frame is the 16-octet header and a body slice. Whatever the body holds, the next frame begins
//! where `command_length` says, so no odd PDU puts the stream out of step. The length is checked
//! (16 ≤ length ≤ limit) as soon as its four octets are here, before a buffer grows for it.
//! Whole PDUs are lent straight from the chunk; only a PDU cut by the chunk's end is kept, so the
//! buffer never holds more than one PDU. A bad length is final: there is no way back into step.
//! Ends of lines before the first PDU are passed over: some peers greet so, and no length has them.

use thiserror::Error;

use crate::{CommandId, CommandStatus};

/// Octets of a header.
pub const HEADER: usize = 16;

/// The limit for a PDU unless the caller sets another.
pub const MAX_PDU: usize = 64 * 1024;

/// The four words before each body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub length: u32,
    pub command: CommandId,
    pub status: CommandStatus,
    pub sequence: u32,
}

/// One PDU: its header, and its body exactly as long as the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub header: Header,
    pub body: &'a [u8],
}

/// The length word is impossible: answer generic_nack INVCMDLEN with `sequence`, then close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("command_length {length} is outside 16..={limit}")]
pub struct FrameError {
    pub length: u32,
    pub limit: u32,
    /// The sequence number when the whole header had arrived, else 0.
    pub sequence: u32,
}

/// The cutter of one stream: holds at most one incomplete PDU.
#[derive(Debug)]
pub struct Frames {
    limit: usize,
    /// The start of a PDU that its chunk cut short.
    partial: Vec<u8>,
    /// The PDU in `partial` was lent by the last call, and goes with the next.
    lent: bool,
    /// Something other than ends of lines has come.
    begun: bool,
    failed: Option<FrameError>,
}

impl Default for Frames {
    fn default() -> Self {
        Self::new(MAX_PDU)
    }
}

impl Frames {
    /// A cutter that refuses PDUs longer than `limit` octets.
    pub fn new(limit: usize) -> Self {
        let limit = limit.clamp(HEADER, u32::MAX as usize);
        Self { limit, partial: Vec::new(), lent: false, begun: false, failed: None }
    }

    /// The next PDU out of what was kept and `chunk`, which moves on past what was used.
    ///
    /// `None` means that the chunk is used up. Call again with the next one.
    pub fn next<'s, 'c: 's>(
        &'s mut self,
        chunk: &mut &'c [u8],
    ) -> Result<Option<Frame<'s>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if std::mem::take(&mut self.lent) {
            self.recycle();
        }
        if !self.begun {
            while let [b'\r' | b'\n', rest @ ..] = *chunk {
                *chunk = rest;
            }
            self.begun = !chunk.is_empty();
        }
        if self.partial.is_empty() {
            let Some(length) = self.length(chunk)? else {
                self.keep(chunk, chunk.len());
                return Ok(None);
            };
            if chunk.len() < length {
                self.partial.reserve_exact(length.min(chunk.len().max(256) * 2));
                self.keep(chunk, chunk.len());
                return Ok(None);
            }
            let (pdu, rest) = chunk.split_at(length);
            *chunk = rest;
            return Ok(split_header(pdu));
        }
        if self.partial.len() < 4 {
            self.keep(chunk, 4 - self.partial.len());
        }
        let partial = std::mem::take(&mut self.partial);
        let length = self.length(&partial);
        self.partial = partial;
        let Some(length) = length? else {
            return Ok(None);
        };
        self.keep(chunk, length - self.partial.len());
        if self.partial.len() < length {
            return Ok(None);
        }
        self.lent = true;
        Ok(split_header(&self.partial))
    }

    /// Octets held back for a PDU that is not complete.
    pub fn buffered(&self) -> usize {
        if self.lent { 0 } else { self.partial.len() }
    }

    /// The checked length of the PDU that starts here; `None` while its four octets are not in.
    fn length(&mut self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(word) = word(bytes, 0) else {
            return Ok(None);
        };
        let length = word as usize;
        if (HEADER..=self.limit).contains(&length) {
            return Ok(Some(length));
        }
        let sequence = word_at_header_end(bytes);
        let error = FrameError { length: word, limit: self.limit as u32, sequence };
        self.failed = Some(error);
        Err(error)
    }

    /// Moves up to `wanted` octets from the chunk into the buffer.
    fn keep(&mut self, chunk: &mut &[u8], wanted: usize) {
        let (taken, rest) = chunk.split_at(wanted.min(chunk.len()));
        self.partial.extend_from_slice(taken);
        *chunk = rest;
    }

    /// Empties the buffer, and gives a large one back.
    fn recycle(&mut self) {
        if self.partial.capacity() > 4096 {
            self.partial = Vec::new();
        } else {
            self.partial.clear();
        }
    }
}

/// Appends a header with room for the length, and gives back the place where the PDU begins.
pub fn begin(out: &mut Vec<u8>, command: CommandId, status: CommandStatus, sequence: u32) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&command.0.to_be_bytes());
    out.extend_from_slice(&status.0.to_be_bytes());
    out.extend_from_slice(&sequence.to_be_bytes());
    start
}

/// Writes the length of the PDU that began at `start` and ends here.
pub fn finish(out: &mut [u8], start: usize) {
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a PDU that is nothing but a header.
pub fn header_only(out: &mut Vec<u8>, command: CommandId, status: CommandStatus, sequence: u32) {
    let start = begin(out, command, status, sequence);
    finish(out, start);
}

fn split_header(pdu: &[u8]) -> Option<Frame<'_>> {
    let header = Header {
        length: word(pdu, 0)?,
        command: CommandId(word(pdu, 4)?),
        status: CommandStatus(word(pdu, 8)?),
        sequence: word(pdu, 12)?,
    };
    Some(Frame { header, body: &pdu[HEADER..] })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(octets))
}

fn word_at_header_end(bytes: &[u8]) -> u32 {
    word(bytes, 12).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pdu(sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let start = begin(&mut out, CommandId::ENQUIRE_LINK, CommandStatus::OK, sequence);
        out.extend_from_slice(body);
        finish(&mut out, start);
        out
    }

    fn cut(frames: &mut Frames, mut chunk: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let mut found = Vec::new();
        while let Some(frame) = frames.next(&mut chunk).unwrap() {
            found.push((frame.header.sequence, frame.body.to_vec()));
        }
        found
    }

    #[test]
    fn every_chunk_size_gives_the_same_frames() {
        let mut stream = Vec::new();
        for sequence in 1..20u32 {
            stream.extend(pdu(sequence, &vec![sequence as u8; sequence as usize * 7]));
        }
        let whole = cut(&mut Frames::default(), &stream);
        assert_eq!(whole.len(), 19);
        for size in 1..=stream.len() {
            let mut frames = Frames::default();
            let found: Vec<_> = stream.chunks(size).flat_map(|c| cut(&mut frames, c)).collect();
            assert_eq!(found, whole, "chunks of {size}");
            assert_eq!(frames.buffered(), 0);
        }
    }

    #[test]
    fn a_body_of_any_kind_never_moves_the_next_frame() {
        let mut stream = pdu(1, b"\0\0\0\0nonsense");
        stream.extend(pdu(2, b""));
        assert_eq!(cut(&mut Frames::default(), &stream)[1], (2, Vec::new()));
    }

    #[test]
    fn an_impossible_length_fails_before_anything_is_kept() {
        for length in [0u32, 15, 65_537, 0x4854_5450, 0x8000_0000, u32::MAX] {
            let mut frames = Frames::default();
            let octets = length.to_be_bytes();
            let error = frames.next(&mut &octets[..]).unwrap_err();
            assert_eq!((error.length, error.sequence), (length, 0));
            assert!(frames.partial.capacity() <= 4);
            assert_eq!(frames.next(&mut &pdu(1, b"")[..]), Err(error), "there is no way back");
        }
    }

    #[test]
    fn a_bad_length_in_a_whole_header_tells_the_sequence() {
        let mut bytes = pdu(77, b"");
        bytes[3] = 15;
        assert_eq!(Frames::default().next(&mut &bytes[..]).unwrap_err().sequence, 77);
    }

    #[test]
    fn the_buffer_grows_with_what_came_not_with_what_was_promised() {
        let mut frames = Frames::default();
        let mut head = pdu(1, b"");
        head[..4].copy_from_slice(&65_536u32.to_be_bytes());
        assert_eq!(frames.next(&mut &head[..]), Ok(None));
        assert!(frames.partial.capacity() <= 1024);
    }

    #[test]
    fn the_limits_themselves_are_allowed() {
        let mut frames = Frames::new(100);
        assert_eq!(cut(&mut frames, &pdu(1, &[0; 84])).len(), 1);
        assert!(frames.next(&mut &pdu(1, &[0; 85])[..]).is_err());
    }

    #[test]
    fn ends_of_lines_before_the_first_pdu_are_passed_over_and_later_ones_are_not() {
        let mut frames = Frames::default();
        assert_eq!(cut(&mut frames, b"\r"), []);
        let greeted = [&b"\n\r\n"[..], &pdu(1, b"x")].concat();
        assert_eq!(cut(&mut frames, &greeted), [(1, b"x".to_vec())]);
        assert!(frames.next(&mut &b"\r\n\r\n"[..]).is_err());
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        let mut frames = Frames::default();
        let large = pdu(1, &[0; 60_000]);
        let (first, second) = large.split_at(30_000);
        assert_eq!((cut(&mut frames, first).len(), cut(&mut frames, second).len()), (0, 1));
        assert_eq!((frames.partial.capacity(), frames.buffered()), (0, 0));
    }
}
