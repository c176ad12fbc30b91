//! Sender and receiver reports with their blocks (RFC 3550 §6.4), and the round trip they give.
//!
//! Extensions after the blocks are not kept. The count of lost packets has 24 bits with a sign.

use std::time::Duration;

use super::{COUNT_MAX, RECEIVER_REPORT, RtcpError, SENDER_REPORT, word};

/// What one end heard of one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Block {
    pub ssrc: u32,
    /// Of 256, since the report before.
    pub fraction_lost: u8,
    /// In all; kept within 24 bits when written.
    pub lost: i32,
    pub highest: u32,
    /// In units of the media's clock.
    pub jitter: u32,
    /// The middle 32 bits of the time in the last sender report; 0 for none.
    pub last_report: u32,
    /// Since that report came, in 1/65,536 s.
    pub since_last_report: u32,
}

impl Block {
    const OCTETS: usize = 24;
    const LOST_MAX: i32 = 0x7F_FFFF;

    fn parse(octets: &mut &[u8]) -> Option<Self> {
        let ssrc = word(octets)?;
        let loss = word(octets)?;
        Some(Self {
            ssrc,
            fraction_lost: (loss >> 24) as u8,
            // The sign of the 24 bits is carried up.
            lost: ((loss << 8) as i32) >> 8,
            highest: word(octets)?,
            jitter: word(octets)?,
            last_report: word(octets)?,
            since_last_report: word(octets)?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let lost = self.lost.clamp(-Self::LOST_MAX - 1, Self::LOST_MAX) as u32 & 0xFF_FFFF;
        let loss = (u32::from(self.fraction_lost) << 24) | lost;
        let words =
            [self.ssrc, loss, self.highest, self.jitter, self.last_report, self.since_last_report];
        out.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    }
}

fn blocks(count: u8, mut octets: &[u8], kind: u8) -> Result<Vec<Block>, RtcpError> {
    let count = usize::from(count);
    if octets.len() < count * Block::OCTETS {
        return Err(RtcpError::Short(kind));
    }
    Ok((0..count).map_while(|_| Block::parse(&mut octets)).collect())
}

fn write_blocks(blocks: &[Block], out: &mut Vec<u8>) -> Result<usize, RtcpError> {
    if blocks.len() > COUNT_MAX {
        return Err(RtcpError::TooLong);
    }
    blocks.iter().for_each(|block| block.write(out));
    Ok(blocks.len())
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SenderReport {
    pub ssrc: u32,
    /// Seconds since 1900 and their fraction, 32 bits each.
    pub ntp: u64,
    /// The same moment in the media's clock.
    pub timestamp: u32,
    pub packets: u32,
    pub octets: u32,
    pub blocks: Vec<Block>,
}

impl SenderReport {
    pub(super) fn parse(count: u8, mut octets: &[u8]) -> Result<Self, RtcpError> {
        let octets = &mut octets;
        let mut next = || word(octets).ok_or(RtcpError::Short(SENDER_REPORT));
        let (ssrc, high, low) = (next()?, next()?, next()?);
        let (timestamp, packets, sent) = (next()?, next()?, next()?);
        Ok(Self {
            ssrc,
            ntp: (u64::from(high) << 32) | u64::from(low),
            timestamp,
            packets,
            octets: sent,
            blocks: blocks(count, octets, SENDER_REPORT)?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<usize, RtcpError> {
        out.extend(self.ssrc.to_be_bytes());
        out.extend(self.ntp.to_be_bytes());
        let words = [self.timestamp, self.packets, self.octets];
        out.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        write_blocks(&self.blocks, out)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceiverReport {
    pub ssrc: u32,
    pub blocks: Vec<Block>,
}

impl ReceiverReport {
    pub(super) fn parse(count: u8, mut octets: &[u8]) -> Result<Self, RtcpError> {
        let ssrc = word(&mut octets).ok_or(RtcpError::Short(RECEIVER_REPORT))?;
        Ok(Self { ssrc, blocks: blocks(count, octets, RECEIVER_REPORT)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<usize, RtcpError> {
        out.extend(self.ssrc.to_be_bytes());
        write_blocks(&self.blocks, out)
    }
}

/// The middle 32 bits of an NTP time, in 1/65,536 s.
pub fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// The round trip that a block gives at the moment it came (RFC 3550 §6.4.1). `None` without a
/// report of ours, or when the numbers would make it negative.
pub fn round_trip(now_ntp: u64, block: &Block) -> Option<Duration> {
    if block.last_report == 0 {
        return None;
    }
    let since_sent = middle(now_ntp).wrapping_sub(block.last_report);
    // Over half the range it would have been sent in the future.
    let trip = since_sent.checked_sub(block.since_last_report).filter(|_| since_sent >> 31 == 0)?;
    Some(Duration::from_nanos((u64::from(trip) * 1_000_000_000) >> 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_gives_its_round_trip() {
        // RFC 3550, figure 2: sent at b705:2000, held for 0005:4000, back at b710:8000.
        let block =
            Block { last_report: 0xB705_2000, since_last_report: 0x0005_4000, ..Block::default() };
        let trip = round_trip(0xB44D_B710_8000_0000, &block);
        assert_eq!(trip, Some(Duration::from_millis(6_125)));
    }

    #[test]
    fn no_report_of_ours_or_a_time_that_ran_back_gives_no_round_trip() {
        let ntp = 0xB44D_B710_2000_0000;
        assert_eq!(round_trip(ntp, &Block::default()), None);
        let held_longer =
            Block { last_report: middle(ntp) - 10, since_last_report: 11, ..Block::default() };
        assert_eq!(round_trip(ntp, &held_longer), None);
        let future = Block { last_report: middle(ntp) + 10, ..Block::default() };
        assert_eq!(round_trip(ntp, &future), None);
    }

    #[test]
    fn the_lost_count_keeps_its_sign_in_24_bits() {
        for (given, read) in [(-1, -1), (5, 5), (i32::MAX, 0x7F_FFFF), (i32::MIN, -0x80_0000)] {
            let mut out = Vec::new();
            Block { lost: given, ..Block::default() }.write(&mut out);
            assert_eq!(Block::parse(&mut &out[..]).unwrap().lost, read);
        }
    }

    #[test]
    fn more_blocks_than_octets_is_refused_and_an_extension_is_passed_over() {
        let one = [0; 4 + 24];
        assert_eq!(ReceiverReport::parse(2, &one), Err(RtcpError::Short(201)));
        assert_eq!(ReceiverReport::parse(1, &one).unwrap().blocks.len(), 1);
        assert!(ReceiverReport::parse(0, &one).unwrap().blocks.is_empty());
        assert_eq!(SenderReport::parse(0, &one[..20]), Err(RtcpError::Short(200)));
    }
}
