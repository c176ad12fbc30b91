//! A small jitter buffer: packets in as they come, frames out in order and in time.
//!
//! The player asks once per frame time. Playing begins when `depth` frames wait. A frame that is not
//! there when its turn comes is concealed by the player, and counted as late if it comes after; when
//! nothing has come for `conceal_max` turns the buffer fills anew. More than `slots` frames are never
//! kept: a source that is ahead of the player's clock has its oldest frame dropped. A jump of the
//! numbers is followed when the next packet confirms it.

use crate::rtp::Unroller;

/// What the buffer keeps of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub sequence: u16,
    pub timestamp: u32,
    pub payload_type: u8,
    pub marker: bool,
    pub payload: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Frames that wait before playing begins; also what is aimed at later.
    pub depth: usize,
    /// Frames that are kept at most.
    pub slots: usize,
    /// Turns without a frame until the buffer fills anew.
    pub conceal_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { depth: 3, slots: 32, conceal_max: 10 }
    }
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Kept,
    /// Its turn is over.
    Late,
    Duplicate,
    /// Far from all others, and nothing has confirmed it.
    Wild,
    /// The numbers begin anew here; what waited is dropped.
    Restarted,
}

/// What is to be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Playout {
    Frame(Frame),
    /// One frame is missing: fill the gap.
    Conceal,
    /// Nothing is there to be played yet.
    Wait,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub played: u64,
    pub concealed: u64,
    pub late: u64,
    pub duplicates: u64,
    /// Dropped because the source is faster than the player.
    pub dropped: u64,
    pub restarts: u64,
}

#[derive(Debug, Clone)]
pub struct JitterBuffer {
    depth: usize,
    conceal_max: u32,
    /// By number modulo the length.
    slots: Vec<Option<(u64, Frame)>>,
    waiting: usize,
    unroller: Unroller,
    /// The number whose turn is next, while playing.
    turn: Option<u64>,
    /// The lowest number that may still come, while filling anew.
    floor: u64,
    /// The number that would confirm a jump.
    confirms: Option<u16>,
    concealed_in_a_row: u32,
    counts: Counts,
}

impl JitterBuffer {
    pub fn new(settings: Settings) -> Self {
        let slots = settings.slots.clamp(2, 1_024);
        Self {
            depth: settings.depth.clamp(1, slots / 2),
            conceal_max: settings.conceal_max.max(1),
            slots: vec![None; slots],
            waiting: 0,
            unroller: Unroller::default(),
            turn: None,
            floor: 0,
            confirms: None,
            concealed_in_a_row: 0,
            counts: Counts::default(),
        }
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Frames that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Forgets what waits and where the numbers were, as for a new source.
    pub fn reset(&mut self) {
        self.slots.fill(None);
        self.waiting = 0;
        self.unroller = Unroller::default();
        self.turn = None;
        self.floor = 0;
        self.confirms = None;
        self.concealed_in_a_row = 0;
    }

    pub fn put(&mut self, frame: Frame) -> Put {
        let number = self.unroller.peek(frame.sequence);
        let from = self.turn.unwrap_or(self.floor);
        let near = self.slots.len() as u64;
        let highest = self.unroller.highest().unwrap_or(number);
        if number > highest + near || number + near < from {
            if self.confirms != Some(frame.sequence) {
                self.confirms = Some(frame.sequence.wrapping_add(1));
                return Put::Wild;
            }
            self.reset();
            self.counts.restarts += 1;
            self.keep(self.unroller.peek(frame.sequence), frame);
            return Put::Restarted;
        }
        self.confirms = None;
        if number < from {
            self.counts.late += 1;
            return Put::Late;
        }
        if matches!(&self.slots[self.slot(number)], Some((other, _)) if *other == number) {
            self.counts.duplicates += 1;
            return Put::Duplicate;
        }
        self.keep(number, frame);
        Put::Kept
    }

    fn slot(&self, number: u64) -> usize {
        (number % self.slots.len() as u64) as usize
    }

    fn keep(&mut self, number: u64, frame: Frame) {
        self.unroller.unroll(frame.sequence);
        // The window moves up so that the newest fits.
        let lowest = (number + 1).saturating_sub(self.slots.len() as u64);
        if self.turn.unwrap_or(self.floor) < lowest {
            self.drop_below(lowest);
        }
        let slot = self.slot(number);
        self.slots[slot] = Some((number, frame));
        self.waiting += 1;
    }

    fn drop_below(&mut self, lowest: u64) {
        for slot in &mut self.slots {
            if matches!(slot, Some((number, _)) if *number < lowest) {
                *slot = None;
                self.waiting -= 1;
                self.counts.dropped += 1;
            }
        }
        match &mut self.turn {
            Some(turn) => *turn = lowest,
            None => self.floor = lowest,
        }
    }

    fn lowest_waiting(&self) -> Option<u64> {
        self.slots.iter().flatten().map(|(number, _)| *number).min()
    }

    /// The frame whose turn it is; to be asked once per frame time.
    pub fn take(&mut self) -> Playout {
        let turn = match self.turn {
            Some(turn) => turn,
            None if self.waiting >= self.depth => match self.lowest_waiting() {
                Some(lowest) => lowest,
                None => return Playout::Wait,
            },
            None => return Playout::Wait,
        };
        let turn = self.catch_up(turn);
        let slot = self.slot(turn);
        let frame = self.slots[slot].take_if(|(number, _)| *number == turn);
        let Some((_, frame)) = frame else { return self.conceal(turn) };
        self.turn = Some(turn + 1);
        self.waiting -= 1;
        self.concealed_in_a_row = 0;
        self.counts.played += 1;
        Playout::Frame(frame)
    }

    /// Passes over the oldest frame while too many wait: the source's clock is faster than ours.
    fn catch_up(&mut self, turn: u64) -> u64 {
        let too_many = (self.depth * 3).min(self.slots.len() - 1);
        if self.waiting <= too_many {
            return turn;
        }
        let slot = self.slot(turn);
        if self.slots[slot].take_if(|(number, _)| *number == turn).is_some() {
            self.waiting -= 1;
            self.counts.dropped += 1;
        }
        turn + 1
    }

    fn conceal(&mut self, turn: u64) -> Playout {
        self.concealed_in_a_row += 1;
        if self.concealed_in_a_row > self.conceal_max {
            // What was concealed is over; what comes next fills the buffer anew.
            self.turn = None;
            self.floor = turn;
            self.concealed_in_a_row = 0;
            return Playout::Wait;
        }
        // Without a newer frame this may be a pause, whose next frame has this very number.
        self.turn = Some(if self.waiting > 0 { turn + 1 } else { turn });
        self.counts.concealed += 1;
        Playout::Conceal
    }
}

#[cfg(test)]
mod tests;
