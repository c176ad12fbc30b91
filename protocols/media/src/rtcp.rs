//! RTCP: compound packets (RFC 3550 §6), read and written.
//!
//! Sender and receiver reports, descriptions and goodbyes are understood; all else (feedback,
//! extended reports, what an application sends) is kept as octets and can be passed on. `compound`
//! reads a whole datagram or none of it: version, lengths and padding must add up, and there is a
//! limit to the packets in one. What is reported comes from `reception`.

pub mod description;
pub mod reception;
pub mod report;

use thiserror::Error;

pub use description::{Bye, Chunk, Item};
pub use reception::Reception;
pub use report::{Block, ReceiverReport, SenderReport, round_trip};

/// Packets in one datagram.
pub const PACKETS_MAX: usize = 32;
/// Blocks, chunks and sources in one packet: what five bits count.
pub const COUNT_MAX: usize = 31;

pub const SENDER_REPORT: u8 = 200;
pub const RECEIVER_REPORT: u8 = 201;
pub const DESCRIPTION: u8 = 202;
pub const BYE: u8 = 203;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RtcpError {
    #[error("the datagram ends inside a packet")]
    Cut,
    #[error("the version is {0}")]
    Version(u8),
    #[error("padding where none may be, or too much of it")]
    Padding,
    #[error("more packets than {PACKETS_MAX}, or none")]
    Count,
    #[error("a packet of type {0} is shorter than its count says")]
    Short(u8),
    #[error("a field does not fit a packet")]
    TooLong,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rtcp {
    SenderReport(SenderReport),
    ReceiverReport(ReceiverReport),
    Description(Vec<Chunk>),
    Bye(Bye),
    /// A type that is not read here: its five bits and its octets after the head.
    Other {
        kind: u8,
        count: u8,
        body: Vec<u8>,
    },
}

/// Reads all packets of a datagram.
pub fn compound(mut octets: &[u8]) -> Result<Vec<Rtcp>, RtcpError> {
    let mut packets = Vec::new();
    while !octets.is_empty() {
        if packets.len() == PACKETS_MAX {
            return Err(RtcpError::Count);
        }
        let (head, rest) = octets.split_first_chunk::<4>().ok_or(RtcpError::Cut)?;
        let [first, kind, high, low] = *head;
        if first >> 6 != 2 {
            return Err(RtcpError::Version(first >> 6));
        }
        let length = usize::from(u16::from_be_bytes([high, low])) * 4;
        let (mut body, rest) = rest.split_at_checked(length).ok_or(RtcpError::Cut)?;
        if first & 0x20 != 0 {
            // Only the last packet is padded.
            let padding = usize::from(*body.last().ok_or(RtcpError::Padding)?);
            if !rest.is_empty()
                || padding == 0
                || !padding.is_multiple_of(4)
                || padding > body.len()
            {
                return Err(RtcpError::Padding);
            }
            body = &body[..body.len() - padding];
        }
        packets.push(Rtcp::parse(kind, first & 0x1F, body)?);
        octets = rest;
    }
    if packets.is_empty() { Err(RtcpError::Count) } else { Ok(packets) }
}

/// Whether the datagram keeps to the rule that a report comes first (RFC 3550 §6.1), and is not of
/// reduced size (RFC 5506).
pub fn is_full(packets: &[Rtcp]) -> bool {
    matches!(packets.first(), Some(Rtcp::SenderReport(_) | Rtcp::ReceiverReport(_)))
}

impl Rtcp {
    fn parse(kind: u8, count: u8, body: &[u8]) -> Result<Self, RtcpError> {
        match kind {
            SENDER_REPORT => SenderReport::parse(count, body).map(Self::SenderReport),
            RECEIVER_REPORT => ReceiverReport::parse(count, body).map(Self::ReceiverReport),
            DESCRIPTION => description::parse(count, body).map(Self::Description),
            BYE => Bye::parse(count, body).map(Self::Bye),
            _ => Ok(Self::Other { kind, count, body: body.to_vec() }),
        }
    }

    /// Appends the packet; what does not fit leaves `out` as it was.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), RtcpError> {
        let start = out.len();
        out.extend([0; 4]);
        let written = match self {
            Self::SenderReport(report) => report.write(out).map(|count| (SENDER_REPORT, count)),
            Self::ReceiverReport(report) => report.write(out).map(|count| (RECEIVER_REPORT, count)),
            Self::Description(chunks) => {
                description::write(chunks, out).map(|count| (DESCRIPTION, count))
            }
            Self::Bye(bye) => bye.write(out).map(|count| (BYE, count)),
            Self::Other { kind, count, body } => {
                out.extend(body);
                Ok((*kind, usize::from(*count)))
            }
        };
        let octets = out.len() - start - 4;
        let words = u16::try_from(octets / 4).map_err(|_| RtcpError::TooLong);
        match (written, words) {
            (Ok((kind, count)), Ok(words)) if count <= COUNT_MAX && octets.is_multiple_of(4) => {
                let [high, low] = words.to_be_bytes();
                out[start..start + 4].copy_from_slice(&[0x80 | count as u8, kind, high, low]);
                Ok(())
            }
            (written, _) => {
                out.truncate(start);
                Err(written.err().unwrap_or(RtcpError::TooLong))
            }
        }
    }
}

/// A big-endian word, if there is one.
fn word(octets: &mut &[u8]) -> Option<u32> {
    let (head, rest) = octets.split_first_chunk::<4>()?;
    *octets = rest;
    Some(u32::from_be_bytes(*head))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(packets: &[Rtcp]) -> Vec<u8> {
        let mut out = Vec::new();
        for packet in packets {
            packet.write(&mut out).unwrap();
        }
        out
    }

    fn report() -> Rtcp {
        let block = Block {
            ssrc: 7,
            fraction_lost: 12,
            lost: -2,
            highest: 70_000,
            jitter: 33,
            last_report: 0x1234_5678,
            since_last_report: 65_536,
        };
        Rtcp::SenderReport(SenderReport {
            ssrc: 1,
            ntp: 0x0102_0304_0506_0708,
            timestamp: 160,
            packets: 50,
            octets: 8_000,
            blocks: vec![block],
        })
    }

    fn all() -> Vec<Rtcp> {
        vec![
            report(),
            Rtcp::ReceiverReport(ReceiverReport { ssrc: 2, blocks: vec![] }),
            Rtcp::Description(vec![Chunk {
                ssrc: 1,
                items: vec![Item { kind: Item::CNAME, text: b"a1b2c3".to_vec() }],
            }]),
            Rtcp::Other { kind: 205, count: 1, body: vec![0; 12] },
            Rtcp::Bye(Bye { sources: vec![1, 2], reason: b"done".to_vec() }),
        ]
    }

    #[test]
    fn a_compound_of_every_type_comes_back() {
        let octets = written(&all());
        assert_eq!(octets.len() % 4, 0);
        assert_eq!(compound(&octets), Ok(all()));
        assert!(is_full(&all()));
        assert!(!is_full(&all()[2..]));
    }

    #[test]
    fn a_datagram_that_does_not_add_up_is_refused_whole() {
        let octets = written(&all());
        for length in (0..octets.len()).filter(|length| length % 4 != 0) {
            assert_eq!(compound(&octets[..length]), Err(RtcpError::Cut), "{length}");
        }
        assert_eq!(compound(&[]), Err(RtcpError::Count));
        let mut version = octets.clone();
        version[0] &= 0x3F;
        assert_eq!(compound(&version), Err(RtcpError::Version(0)));
        let many = written(&vec![Rtcp::Bye(Bye::default()); PACKETS_MAX + 1]);
        assert_eq!(compound(&many), Err(RtcpError::Count));
        assert!(compound(&many[4..]).is_ok());
    }

    #[test]
    fn only_the_last_packet_is_padded() {
        let mut octets = written(&[report()]);
        octets[0] |= 0x20;
        octets[3] += 1;
        octets.extend([0, 0, 0, 4]);
        assert_eq!(compound(&octets), Ok(vec![report()]));
        let followed = [&octets[..], &written(&all())].concat();
        assert_eq!(compound(&followed), Err(RtcpError::Padding));
        for count in [0, 3, 200] {
            *octets.last_mut().unwrap() = count;
            assert_eq!(compound(&octets), Err(RtcpError::Padding), "{count}");
        }
    }

    #[test]
    fn what_does_not_fit_leaves_nothing_behind() {
        let mut out = vec![1];
        let many = Rtcp::Bye(Bye { sources: vec![0; 32], reason: vec![] });
        assert_eq!(many.write(&mut out), Err(RtcpError::TooLong));
        let uneven = Rtcp::Other { kind: 204, count: 0, body: vec![0; 3] };
        assert_eq!(uneven.write(&mut out), Err(RtcpError::TooLong));
        let long = Rtcp::Other { kind: 204, count: 0, body: vec![0; 0x4_0000] };
        assert_eq!(long.write(&mut out), Err(RtcpError::TooLong));
        assert_eq!(out, [1]);
    }

    proptest! {
        #[test]
        fn what_is_read_writes_to_what_reads_the_same(
            bodies in proptest::collection::vec((198u8..208, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..60)), 1..4)
        ) {
            let mut octets = Vec::new();
            for (kind, first, mut body) in bodies {
                body.truncate(body.len() / 4 * 4);
                octets.extend([0x80 | (first & 0x1F), kind, 0, (body.len() / 4) as u8]);
                octets.extend(body);
            }
            if let Ok(packets) = compound(&octets) {
                prop_assert_eq!(compound(&written(&packets)), Ok(packets));
            }
        }
    }
}
