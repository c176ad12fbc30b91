//! Sound that is made anew where the sides of a session have no codec in common and are not both of G.711.
//!
//! It costs a hundred times what a relayed packet does, so the plane counts how many run at once (`Load`).
//! A conversion lives on the thread of its session, is fed by packets and emptied by the clock (`frame`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proto_media::{Converter, Packet, Speech};

/// A source that changes its codec more often is not followed.
const CHANGES: Duration = Duration::from_secs(1);

/// How many run in this process, and how many may.
#[derive(Clone, Debug)]
pub(super) struct Load {
    running: Arc<AtomicUsize>,
    max: usize,
}

/// As long as it lives, one runs.
#[derive(Debug)]
struct Share(Arc<AtomicUsize>);

impl Load {
    /// For so many calls, each of two directions.
    pub(super) fn new(calls_max: usize) -> Self {
        Self { running: Arc::default(), max: calls_max.saturating_mul(2) }
    }

    /// Whether a call more has its place.
    pub(super) fn has_room(&self) -> bool {
        self.running.load(Ordering::Relaxed) + 2 <= self.max
    }

    fn take(&self) -> Option<Share> {
        let taken = self.running.fetch_add(1, Ordering::Relaxed);
        let share = Share(Arc::clone(&self.running));
        (taken < self.max).then_some(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a packet is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) from: Speech,
    pub(super) to: Speech,
    pub(super) payload_type: u8,
}

#[derive(Debug)]
struct Running {
    converter: Converter,
    payload_type: u8,
    begun: Instant,
    ssrc: u32,
    _share: Share,
}

/// What one side says, for the other.
#[derive(Debug, Default)]
pub(super) struct Conversion {
    running: Option<Box<Running>>,
    /// Frames are due.
    pub(super) is_awake: bool,
    room: Vec<u8>,
}

impl Conversion {
    /// Takes a packet; false: it cannot be converted.
    pub(super) fn put(
        &mut self,
        turn: Turn,
        packet: &Packet<'_>,
        restarted: bool,
        load: &Load,
        now: Instant,
    ) -> bool {
        let same = |running: &Running| running.converter.between() == (turn.from, turn.to);
        if !self.running.as_deref().is_some_and(same) && !self.begin(turn, packet.ssrc, load, now) {
            return false;
        }
        let Some(running) = &mut self.running else { return false };
        running.payload_type = turn.payload_type;
        if restarted || running.ssrc != packet.ssrc {
            running.ssrc = packet.ssrc;
            running.converter.clear();
        }
        running.converter.put(packet, true);
        self.is_awake = true;
        true
    }

    fn begin(&mut self, turn: Turn, ssrc: u32, load: &Load, now: Instant) -> bool {
        let recent = |running: &Running| now.saturating_duration_since(running.begun) < CHANGES;
        if self.running.as_deref().is_some_and(recent) {
            return false;
        }
        self.running = None;
        let Some(share) = load.take() else { return false };
        let Some(converter) = Converter::new(turn.from, turn.to) else { return false };
        let payload_type = turn.payload_type;
        let running = Running { converter, payload_type, begun: now, ssrc, _share: share };
        self.running = Some(Box::new(running));
        true
    }

    /// A packet that is no sound has its number in the same row.
    pub(super) fn pass_over(&mut self, packet: &Packet<'_>) {
        if let Some(running) = &mut self.running
            && running.ssrc == packet.ssrc
        {
            running.converter.put(packet, false);
        }
    }

    /// What waits is not heard any more.
    pub(super) fn clear(&mut self) {
        if self.is_awake {
            self.is_awake = false;
            if let Some(running) = &mut self.running {
                running.converter.clear();
            }
        }
    }

    /// The sides have agreed anew: what they do not need ends.
    pub(super) fn keep_if(&mut self, needed: bool) {
        if !needed {
            *self = Self::default();
        }
    }

    /// The payload of the next 20 ms, its type, and how much later the next one is.
    pub(super) fn frame(&mut self) -> Option<(u8, u32, &[u8])> {
        let running = self.running.as_mut()?;
        self.room.clear();
        if running.converter.frame(&mut self.room) {
            return Some((running.payload_type, running.converter.step(), &self.room));
        }
        self.is_awake = !running.converter.is_empty();
        None
    }
}

#[cfg(test)]
mod tests {
    use proto_media::g711::Law;

    use super::*;

    const TURN: Turn =
        Turn { from: Speech::G711(Law::Mu), to: Speech::G711(Law::A), payload_type: 8 };

    fn packet(sequence: u16, ssrc: u32) -> Packet<'static> {
        Packet::new(0, sequence, 0, ssrc, &[0xFF; 160])
    }

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn frames_come_until_nothing_is_left() {
        let (load, now) = (Load::new(1), start());
        let mut conversion = Conversion::default();
        for sequence in 0..3 {
            assert!(conversion.put(TURN, &packet(sequence, 1), false, &load, now));
        }
        conversion.pass_over(&packet(3, 1));
        let (payload_type, step, payload) = conversion.frame().unwrap();
        assert_eq!((payload_type, step, payload.len()), (8, 160, 160));
        let mut frames = 1;
        while conversion.is_awake {
            frames += usize::from(conversion.frame().is_some());
            assert!(frames < 50);
        }
        assert!(frames >= 3 && conversion.frame().is_none());
        assert!(conversion.put(TURN, &packet(900, 2), false, &load, now), "another source");
        assert!(conversion.is_awake);
        conversion.clear();
        assert!(!conversion.is_awake);
    }

    #[test]
    fn no_more_run_than_may_and_nobody_changes_them_at_will() {
        let (load, now) = (Load::new(1), start());
        let mut all: Vec<Conversion> = (0..3).map(|_| Conversion::default()).collect();
        assert!(load.has_room());
        let taken: Vec<bool> =
            all.iter_mut().map(|one| one.put(TURN, &packet(0, 1), false, &load, now)).collect();
        assert_eq!(taken, [true, true, false]);
        assert!(!load.has_room());
        let back = Turn { from: TURN.to, to: TURN.from, payload_type: 0 };
        assert!(!all[0].put(back, &packet(1, 1), false, &load, now));
        assert!(all[0].put(back, &packet(1, 1), false, &load, now + CHANGES));
        all[0].keep_if(true);
        assert!(!load.has_room());
        all.iter_mut().for_each(|one| one.keep_if(false));
        assert!(load.has_room());
    }
}
