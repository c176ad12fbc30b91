//! What a source's sequence numbers say over time (RFC 3550 appendix A.1).
//!
//! `Unroller` makes 64 bits of the 16 on the wire. `Source` is on probation until two packets in a
//! row came, follows losses and late packets, and takes a jump for a new start only when the next
//! packet confirms it: one wild packet changes nothing.

/// Packets in a row before a source is believed.
const SEQUENTIAL_MIN: u8 = 2;
/// A gap up to this is loss.
const DROPOUT_MAX: u16 = 3_000;
/// So far behind, a packet is late and no new start.
const MISORDER_MAX: u16 = 100;

/// Follows wrapping numbers: the one nearest to the highest seen is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unroller {
    highest: Option<u64>,
}

impl Unroller {
    /// The long number, without taking note of it. Before the first wrap nothing is below zero: the
    /// count begins one round up.
    pub fn peek(&self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else { return 0x1_0000 + u64::from(sequence) };
        let ahead = sequence.wrapping_sub(highest as u16) as i16;
        highest.saturating_add_signed(i64::from(ahead))
    }

    pub fn unroll(&mut self, sequence: u16) -> u64 {
        let long = self.peek(sequence);
        self.highest = Some(self.highest.map_or(long, |highest| highest.max(long)));
        long
    }

    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// What a packet's number makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The source is not believed yet.
    Probation,
    /// In order, or after a loss.
    Next,
    /// Behind the highest: late, reordered or a repeat.
    Behind,
    /// The numbers begin anew here; what was counted before is over.
    Restarted,
    /// A jump that nothing has confirmed.
    Wild,
}

impl Standing {
    /// Whether the packet belongs to a believed source.
    pub fn is_valid(self) -> bool {
        matches!(self, Self::Next | Self::Behind | Self::Restarted)
    }
}

/// One synchronization source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub ssrc: u32,
    highest: u16,
    /// Wraps, times 65,536.
    cycles: u64,
    base: u16,
    /// The number that would confirm a jump.
    expected_after_jump: Option<u16>,
    probation: u8,
    received: u64,
}

impl Source {
    /// A source whose first packet has this number.
    pub fn new(ssrc: u32, sequence: u16) -> Self {
        Self {
            ssrc,
            highest: sequence.wrapping_sub(1),
            cycles: 0,
            base: sequence,
            expected_after_jump: None,
            probation: SEQUENTIAL_MIN,
            received: 0,
        }
    }

    fn restart(&mut self, sequence: u16) {
        self.base = sequence;
        self.highest = sequence;
        self.cycles = 0;
        self.expected_after_jump = None;
        self.received = 0;
    }

    /// Takes note of a packet.
    pub fn update(&mut self, sequence: u16) -> Standing {
        let ahead = sequence.wrapping_sub(self.highest);
        if self.probation > 0 {
            if ahead == 1 {
                self.probation -= 1;
                self.highest = sequence;
                if self.probation == 0 {
                    self.restart(sequence);
                    self.received = 1;
                    return Standing::Next;
                }
            } else {
                self.probation = SEQUENTIAL_MIN - 1;
                self.highest = sequence;
            }
            return Standing::Probation;
        }
        let standing = if ahead == 0 {
            Standing::Behind
        } else if ahead < DROPOUT_MAX {
            if sequence < self.highest {
                self.cycles += 0x1_0000;
            }
            self.highest = sequence;
            Standing::Next
        } else if ahead <= u16::MAX - MISORDER_MAX {
            if self.expected_after_jump != Some(sequence) {
                self.expected_after_jump = Some(sequence.wrapping_add(1));
                return Standing::Wild;
            }
            self.restart(sequence);
            Standing::Restarted
        } else {
            Standing::Behind
        };
        if standing == Standing::Next {
            self.expected_after_jump = None;
        }
        self.received += 1;
        standing
    }

    pub fn is_believed(&self) -> bool {
        self.probation == 0
    }

    /// The highest number with its wraps, as a receiver report carries it.
    pub fn extended_highest(&self) -> u32 {
        (self.cycles + u64::from(self.highest)) as u32
    }

    /// Packets that should have come since the count began.
    pub fn expected(&self) -> u64 {
        if !self.is_believed() {
            return 0;
        }
        (self.cycles + u64::from(self.highest) + 1).saturating_sub(u64::from(self.base))
    }

    /// Packets that came, repeats included.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Below zero when repeats outnumber the losses.
    pub fn lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn believed(first: u16) -> Source {
        let mut source = Source::new(1, first.wrapping_sub(1));
        assert_eq!(source.update(first.wrapping_sub(1)), Standing::Probation);
        assert_eq!(source.update(first), Standing::Next);
        source
    }

    #[test]
    fn a_source_is_believed_after_two_packets_in_a_row() {
        let mut source = Source::new(1, 10);
        assert_eq!(source.update(10), Standing::Probation);
        assert_eq!(source.update(40), Standing::Probation, "not in a row");
        assert_eq!(source.expected(), 0);
        assert_eq!(source.update(41), Standing::Next);
        assert_eq!((source.expected(), source.received(), source.lost()), (1, 1, 0));
    }

    #[test]
    fn wraps_are_counted_and_losses_over_them_too() {
        let mut source = believed(65_530);
        for sequence in [65_531, 65_535, 2, 3] {
            assert_eq!(source.update(sequence), Standing::Next);
        }
        assert_eq!(source.extended_highest(), 0x1_0003);
        assert_eq!((source.expected(), source.received(), source.lost()), (10, 5, 5));
        assert_eq!(source.update(65_534), Standing::Behind);
        assert_eq!(source.lost(), 4);
        assert_eq!(source.extended_highest(), 0x1_0003);
    }

    #[test]
    fn a_jump_is_a_new_start_only_when_the_next_packet_confirms_it() {
        let mut source = believed(100);
        assert_eq!(source.update(30_000), Standing::Wild);
        assert_eq!(source.update(101), Standing::Next);
        assert_eq!(source.update(30_001), Standing::Wild, "it was answered in between");
        assert_eq!(source.update(30_002), Standing::Restarted);
        assert_eq!((source.expected(), source.received()), (1, 1));
        assert_eq!(source.update(30_003), Standing::Next);
    }

    #[test]
    fn repeats_make_the_loss_negative_and_break_nothing() {
        let mut source = believed(7);
        for _ in 0..3 {
            assert_eq!(source.update(7), Standing::Behind);
        }
        assert_eq!(source.lost(), -3);
    }

    #[test]
    fn numbers_are_unrolled_in_both_directions() {
        let mut unroller = Unroller::default();
        let first = unroller.unroll(65_534);
        assert_eq!(unroller.unroll(1), first + 3);
        assert_eq!(unroller.unroll(65_535), first + 1);
        assert_eq!(unroller.highest(), Some(first + 3));
        let mut low = Unroller::default();
        assert_eq!(low.unroll(0) - 1, low.unroll(65_535), "nothing is below zero");
    }

    proptest! {
        #[test]
        fn unrolled_numbers_end_in_the_number_on_the_wire(numbers in proptest::collection::vec(any::<u16>(), 1..50)) {
            let mut unroller = Unroller::default();
            for number in numbers {
                prop_assert_eq!(unroller.unroll(number) as u16, number);
            }
        }

        #[test]
        fn no_row_of_numbers_breaks_a_source(numbers in proptest::collection::vec(any::<u16>(), 1..200)) {
            let mut source = Source::new(1, numbers[0]);
            for number in numbers {
                let standing = source.update(number);
                prop_assert!(source.is_believed() || standing == Standing::Probation);
                prop_assert_eq!(source.expected() as i64 - source.lost(), source.received() as i64);
            }
        }
    }
}
