//! RTP packets (RFC 3550 §5.1), as a view over their octets.
//!
//! `Packet::parse` checks every length before it looks and allocates nothing; `write` gives the same
//! octets back. A relay that changes only the header does so in place (`rewrite`). `kind` tells what
//! else may come to the same port (RFC 7983, RFC 5761). What a packet's numbers mean over time is in
//! `sequence`; header extensions are read in `extension`.

pub mod extension;
pub mod sequence;

use thiserror::Error;

pub use extension::Extension;
pub use sequence::{Source, Standing, Unroller};

/// Octets of a header without CSRCs and extensions.
pub const HEADER: usize = 12;
const VERSION: u8 = 2;
/// CSRCs that the four bits can count.
const CSRCS_MAX: usize = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RtpError {
    #[error("the packet ends inside its header")]
    Cut,
    #[error("the version is {0}")]
    Version(u8),
    #[error("the padding is longer than the packet, or nothing")]
    Padding,
    #[error("a field does not fit a packet")]
    TooLong,
}

/// What a datagram on a media port is, by its first octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Rtp,
    Rtcp,
    Stun,
    Dtls,
    Other,
}

/// Tells apart what shares a port; payload types 64 to 95 are RTCP's there (RFC 5761 §4).
pub fn kind(datagram: &[u8]) -> Kind {
    match *datagram {
        [0..=3, ..] => Kind::Stun,
        [20..=63, ..] => Kind::Dtls,
        [128..=191, second, ..] if (192..=223).contains(&second) => Kind::Rtcp,
        [128..=191, _, ..] => Kind::Rtp,
        _ => Kind::Other,
    }
}

/// A packet, read or to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    pub marker: bool,
    /// Seven bits.
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Four octets each.
    csrcs: &'a [u8],
    pub extension: Option<Extension<'a>>,
    pub payload: &'a [u8],
    /// Octets of padding, their count included; 0 for none.
    pub padding: u8,
}

impl<'a> Packet<'a> {
    /// A packet with a payload and nothing else.
    pub fn new(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32, p: &'a [u8]) -> Self {
        Self {
            marker: false,
            payload_type,
            sequence,
            timestamp,
            ssrc,
            csrcs: &[],
            extension: None,
            payload: p,
            padding: 0,
        }
    }

    pub fn parse(octets: &'a [u8]) -> Result<Self, RtpError> {
        let (fixed, rest) = octets.split_first_chunk::<HEADER>().ok_or(RtpError::Cut)?;
        let version = fixed[0] >> 6;
        if version != VERSION {
            return Err(RtpError::Version(version));
        }
        let count = usize::from(fixed[0] & 0x0F);
        let (csrcs, rest) = rest.split_at_checked(count * 4).ok_or(RtpError::Cut)?;
        let (extension, rest) = if fixed[0] & 0x10 != 0 {
            let (extension, rest) = Extension::parse(rest)?;
            (Some(extension), rest)
        } else {
            (None, rest)
        };
        let padding = if fixed[0] & 0x20 != 0 {
            let padding = *rest.last().ok_or(RtpError::Padding)?;
            if padding == 0 || usize::from(padding) > rest.len() {
                return Err(RtpError::Padding);
            }
            padding
        } else {
            0
        };
        Ok(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7F,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            csrcs,
            extension,
            payload: &rest[..rest.len() - usize::from(padding)],
            padding,
        })
    }

    /// Where the payload begins.
    pub fn header_len(&self) -> usize {
        HEADER + self.csrcs.len() + self.extension.map_or(0, |extension| 4 + extension.data.len())
    }

    /// Who was mixed into this packet.
    pub fn csrcs(&self) -> impl Iterator<Item = u32> + '_ {
        let words = self.csrcs.as_chunks::<4>().0;
        words.iter().map(|word| u32::from_be_bytes(*word))
    }

    /// Appends the packet. Padding is written as zeros with its count.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), RtpError> {
        let count = self.csrcs.len() / 4;
        if count > CSRCS_MAX || self.payload_type > 0x7F {
            return Err(RtpError::TooLong);
        }
        let first = (VERSION << 6)
            | (u8::from(self.padding > 0) << 5)
            | (u8::from(self.extension.is_some()) << 4)
            | count as u8;
        let start = out.len();
        out.extend([first, (u8::from(self.marker) << 7) | self.payload_type]);
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.timestamp.to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
        out.extend(self.csrcs);
        if let Some(extension) = &self.extension
            && let Err(error) = extension.write(out)
        {
            out.truncate(start);
            return Err(error);
        }
        out.extend(self.payload);
        if let Some(zeros) = self.padding.checked_sub(1) {
            out.resize(out.len() + usize::from(zeros), 0);
            out.push(self.padding);
        }
        Ok(())
    }
}

/// What of a header is readable though the payload is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub sequence: u16,
    pub ssrc: u32,
    /// Where the payload begins.
    pub octets: usize,
}

impl Head {
    /// Reads no further than the payload: padding is told by its last octet, which may be sealed.
    pub fn parse(octets: &[u8]) -> Result<Self, RtpError> {
        let fixed = octets.first_chunk::<HEADER>().ok_or(RtpError::Cut)?;
        if fixed[0] >> 6 != VERSION {
            return Err(RtpError::Version(fixed[0] >> 6));
        }
        let mut length = HEADER + usize::from(fixed[0] & 0x0F) * 4;
        if fixed[0] & 0x10 != 0 {
            let (extension, _) = Extension::parse(octets.get(length..).ok_or(RtpError::Cut)?)?;
            length += 4 + extension.data.len();
        }
        if length > octets.len() {
            return Err(RtpError::Cut);
        }
        Ok(Self {
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            octets: length,
        })
    }
}

/// What a relay puts in place of the sender's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewrite {
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

/// Changes the header in place and keeps marker, extension and payload. `false` if it is no packet.
pub fn rewrite(octets: &mut [u8], with: &Rewrite) -> bool {
    let Some(fixed) = octets.first_chunk_mut::<HEADER>() else { return false };
    if fixed[0] >> 6 != VERSION || with.payload_type > 0x7F {
        return false;
    }
    fixed[1] = (fixed[1] & 0x80) | with.payload_type;
    fixed[2..4].copy_from_slice(&with.sequence.to_be_bytes());
    fixed[4..8].copy_from_slice(&with.timestamp.to_be_bytes());
    fixed[8..12].copy_from_slice(&with.ssrc.to_be_bytes());
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// PCMU, marker, one CSRC, one word of extension, two octets of padding.
    const FULL: [u8; 28] = [
        0xB1, 0x80, 0x12, 0x34, 0, 0, 0, 160, 0xDE, 0xAD, 0xBE, 0xEF, 1, 2, 3, 4, 0xBE, 0xDE, 0, 1,
        0x10, 0x7F, 0, 0, 0xAA, 0xBB, 0, 2,
    ];

    #[test]
    fn every_field_of_a_packet_is_read_and_written_back() {
        let packet = Packet::parse(&FULL).unwrap();
        assert!(packet.marker);
        assert_eq!((packet.payload_type, packet.sequence, packet.timestamp), (0, 0x1234, 160));
        assert_eq!(packet.ssrc, 0xDEAD_BEEF);
        assert_eq!(packet.csrcs().collect::<Vec<_>>(), [0x0102_0304]);
        assert_eq!(packet.payload, [0xAA, 0xBB]);
        assert_eq!((packet.padding, packet.header_len()), (2, 24));
        let mut out = Vec::new();
        packet.write(&mut out).unwrap();
        assert_eq!(out, FULL);
    }

    #[test]
    fn a_cut_packet_is_refused_at_every_length() {
        for length in 0..24 {
            assert!(Packet::parse(&FULL[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn padding_that_counts_more_than_there_is_or_nothing_is_refused() {
        for count in [0, 5, 255] {
            let mut octets = FULL;
            octets[27] = count;
            assert_eq!(Packet::parse(&octets), Err(RtpError::Padding), "{count}");
        }
        let mut all = FULL;
        all[27] = 4;
        assert_eq!(Packet::parse(&all).unwrap().payload, b"");
    }

    #[test]
    fn what_shares_a_port_is_told_apart() {
        assert_eq!(kind(&FULL), Kind::Rtp);
        assert_eq!(kind(&[0x80, 0xFF]), Kind::Rtp, "payload type 127 with a marker");
        assert_eq!(kind(&[0x81, 200, 0, 6]), Kind::Rtcp);
        assert_eq!(kind(&[0, 1, 0, 0]), Kind::Stun);
        assert_eq!(kind(&[22, 254, 253]), Kind::Dtls);
        assert_eq!(
            (kind(&[]), kind(&[0x80]), kind(b"\r\n")),
            (Kind::Other, Kind::Other, Kind::Other)
        );
    }

    #[test]
    fn a_rewrite_keeps_all_but_what_it_was_told() {
        let with = Rewrite { payload_type: 8, sequence: 9, timestamp: 10, ssrc: 11 };
        let mut octets = FULL;
        assert!(rewrite(&mut octets, &with));
        let (before, after) = (Packet::parse(&FULL).unwrap(), Packet::parse(&octets).unwrap());
        let expected = Packet { payload_type: 8, sequence: 9, timestamp: 10, ssrc: 11, ..before };
        assert_eq!(after, expected);
        assert!(!rewrite(&mut octets[..11], &with));
        assert!(!rewrite(&mut [0; 12], &with));
    }

    proptest! {
        #[test]
        fn what_is_read_writes_to_what_reads_the_same(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut octets = octets;
            if let Some(first) = octets.first_mut() {
                *first = (*first & 0x3F) | 0x80;
            }
            if let Ok(packet) = Packet::parse(&octets) {
                let head = Head { sequence: packet.sequence, ssrc: packet.ssrc, octets: packet.header_len() };
                prop_assert_eq!(Head::parse(&octets), Ok(head));
                let mut out = Vec::new();
                packet.write(&mut out).unwrap();
                prop_assert_eq!(out.len(), octets.len());
                prop_assert_eq!(Packet::parse(&out), Ok(packet));
            }
        }
    }
}
