//! Source descriptions and goodbyes (RFC 3550 §6.5, §6.6).
//!
//! Texts are octets: what a peer calls itself need not be UTF-8. A chunk ends with a zero and is
//! filled up to whole words; one that lacks its end is refused.

use super::{BYE, COUNT_MAX, DESCRIPTION, RtcpError, word};

/// Items in one chunk.
const ITEMS_MAX: usize = 32;

/// One thing a source says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Not 0.
    pub kind: u8,
    /// Up to 255 octets.
    pub text: Vec<u8>,
}

impl Item {
    pub const CNAME: u8 = 1;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub ssrc: u32,
    pub items: Vec<Item>,
}

impl Chunk {
    fn parse(octets: &mut &[u8]) -> Option<Self> {
        let ssrc = word(octets)?;
        let mut items = Vec::new();
        loop {
            match **octets {
                [0, ..] => break,
                [kind, length, ref rest @ ..] if items.len() < ITEMS_MAX => {
                    let (text, rest) = rest.split_at_checked(usize::from(length))?;
                    items.push(Item { kind, text: text.to_vec() });
                    *octets = rest;
                }
                _ => return None,
            }
        }
        // The packet is whole words and chunks begin on them, so what is left says where we are.
        let filled = match octets.len() % 4 {
            0 => 4,
            left => left,
        };
        *octets = octets.get(filled..)?;
        Some(Self { ssrc, items })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), RtcpError> {
        let start = out.len();
        out.extend(self.ssrc.to_be_bytes());
        if self.items.len() > ITEMS_MAX {
            return Err(RtcpError::TooLong);
        }
        for item in &self.items {
            let length = u8::try_from(item.text.len()).map_err(|_| RtcpError::TooLong)?;
            if item.kind == 0 {
                return Err(RtcpError::TooLong);
            }
            out.extend([item.kind, length]);
            out.extend(&item.text);
        }
        let octets = (out.len() - start) / 4 * 4 + 4;
        out.resize(start + octets, 0);
        Ok(())
    }
}

pub(super) fn parse(count: u8, mut octets: &[u8]) -> Result<Vec<Chunk>, RtcpError> {
    let chunk = |_| Chunk::parse(&mut octets).ok_or(RtcpError::Short(DESCRIPTION));
    (0..count).map(chunk).collect()
}

pub(super) fn write(chunks: &[Chunk], out: &mut Vec<u8>) -> Result<usize, RtcpError> {
    if chunks.len() > COUNT_MAX {
        return Err(RtcpError::TooLong);
    }
    chunks.iter().try_for_each(|chunk| chunk.write(out))?;
    Ok(chunks.len())
}

/// Sources that leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bye {
    pub sources: Vec<u32>,
    /// Up to 255 octets; empty for none.
    pub reason: Vec<u8>,
}

impl Bye {
    pub(super) fn parse(count: u8, mut octets: &[u8]) -> Result<Self, RtcpError> {
        let source = |_| word(&mut octets).ok_or(RtcpError::Short(BYE));
        let sources = (0..count).map(source).collect::<Result<_, _>>()?;
        let reason = match octets {
            [length, rest @ ..] => {
                rest.get(..usize::from(*length)).ok_or(RtcpError::Short(BYE))?.to_vec()
            }
            [] => Vec::new(),
        };
        Ok(Self { sources, reason })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<usize, RtcpError> {
        if self.sources.len() > COUNT_MAX {
            return Err(RtcpError::TooLong);
        }
        let length = u8::try_from(self.reason.len()).map_err(|_| RtcpError::TooLong)?;
        out.extend(self.sources.iter().flat_map(|ssrc| ssrc.to_be_bytes()));
        if length > 0 {
            out.push(length);
            out.extend(&self.reason);
            let filled = (1 + self.reason.len()).next_multiple_of(4) - 1 - self.reason.len();
            out.resize(out.len() + filled, 0);
        }
        Ok(self.sources.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(ssrc: u32, text: &[u8]) -> Chunk {
        Chunk { ssrc, items: vec![Item { kind: Item::CNAME, text: text.to_vec() }] }
    }

    #[test]
    fn chunks_of_every_length_are_filled_up_and_read_back() {
        for length in 0..9 {
            let chunks = vec![chunk(1, &b"abcdefgh"[..length]), chunk(2, b"x")];
            let mut out = Vec::new();
            assert_eq!(write(&chunks, &mut out), Ok(2));
            assert_eq!(out.len() % 4, 0);
            assert_eq!(parse(2, &out), Ok(chunks), "{length}");
        }
    }

    #[test]
    fn a_chunk_without_its_end_is_refused() {
        assert_eq!(parse(1, &[0, 0, 0, 1, 1, 2, b'a', b'b']), Err(RtcpError::Short(202)));
        assert_eq!(parse(1, &[0, 0, 0, 1, 1, 200, b'a', 0]), Err(RtcpError::Short(202)));
        assert_eq!(parse(1, &[0, 0, 0, 1]), Err(RtcpError::Short(202)));
        let empty = Chunk { ssrc: 1, items: vec![] };
        assert_eq!(parse(1, &[0, 0, 0, 1, 0, 0, 0, 0]), Ok(vec![empty]));
    }

    #[test]
    fn texts_that_do_not_fit_are_not_written() {
        let mut out = Vec::new();
        assert!(write(&[chunk(1, &[0; 256])], &mut out).is_err());
        assert!(Bye { sources: vec![], reason: vec![0; 256] }.write(&mut out).is_err());
        let nothing = Chunk { ssrc: 1, items: vec![Item { kind: 0, text: vec![] }] };
        assert!(write(&[nothing], &mut out).is_err());
    }

    #[test]
    fn a_goodbye_with_a_reason_longer_than_itself_is_refused() {
        assert_eq!(Bye::parse(0, &[9, b'x', 0, 0]), Err(RtcpError::Short(203)));
        assert_eq!(Bye::parse(2, &[0; 4]), Err(RtcpError::Short(203)));
        assert_eq!(Bye::parse(0, &[2, b'n', b'o', 0]).unwrap().reason, b"no");
    }
}
