//! The jitter buffer: order, loss, repeats, pauses, jumps, and what it never exceeds.

use proptest::prelude::*;

use super::*;

fn frame(sequence: u16) -> Frame {
    Frame {
        sequence,
        timestamp: u32::from(sequence) * 160,
        payload_type: 0,
        marker: false,
        payload: vec![0; 4],
    }
}

fn filled(numbers: impl IntoIterator<Item = u16>) -> JitterBuffer {
    let mut buffer = JitterBuffer::new(Settings::default());
    for number in numbers {
        assert_eq!(buffer.put(frame(number)), Put::Kept, "{number}");
    }
    buffer
}

fn played(buffer: &mut JitterBuffer, turns: usize) -> Vec<Option<u16>> {
    let mut all = Vec::new();
    for _ in 0..turns {
        match buffer.take() {
            Playout::Frame(frame) => all.push(Some(frame.sequence)),
            Playout::Conceal => all.push(None),
            Playout::Wait => {}
        }
    }
    all
}

#[test]
fn playing_begins_when_enough_waits() {
    let mut buffer = filled([1, 2]);
    assert_eq!(buffer.take(), Playout::Wait);
    assert_eq!(buffer.put(frame(3)), Put::Kept);
    assert_eq!(played(&mut buffer, 3), [Some(1), Some(2), Some(3)]);
    assert_eq!(buffer.waiting(), 0);
}

#[test]
fn reordered_frames_are_played_in_order_over_the_wrap() {
    let mut buffer = filled([65_534, 0, 65_535, 1]);
    assert_eq!(played(&mut buffer, 4), [Some(65_534), Some(65_535), Some(0), Some(1)]);
}

#[test]
fn a_first_packet_that_was_overtaken_is_still_played() {
    let mut buffer = filled([0, 65_535, 1]);
    assert_eq!(played(&mut buffer, 3), [Some(65_535), Some(0), Some(1)]);
}

#[test]
fn a_lost_frame_is_concealed_and_late_when_it_comes() {
    let mut buffer = filled([1, 2, 4, 5]);
    assert_eq!(played(&mut buffer, 3), [Some(1), Some(2), None]);
    assert_eq!(buffer.put(frame(3)), Put::Late);
    assert_eq!(played(&mut buffer, 2), [Some(4), Some(5)]);
    let counts = buffer.counts();
    assert_eq!((counts.played, counts.concealed, counts.late), (4, 1, 1));
}

#[test]
fn a_repeat_is_counted_and_not_kept() {
    let mut buffer = filled([1, 2, 3]);
    assert_eq!(buffer.put(frame(2)), Put::Duplicate);
    assert_eq!(played(&mut buffer, 3), [Some(1), Some(2), Some(3)]);
    assert_eq!(buffer.put(frame(3)), Put::Late);
}

#[test]
fn after_a_pause_the_buffer_fills_anew() {
    let mut buffer = filled([1, 2, 3]);
    let turns = played(&mut buffer, 30);
    assert_eq!(turns.len(), 13, "three frames, ten concealed, then it waits");
    assert_eq!(buffer.put(frame(4)), Put::Kept);
    assert_eq!(buffer.take(), Playout::Wait);
    buffer.put(frame(5));
    buffer.put(frame(6));
    assert_eq!(played(&mut buffer, 3), [Some(4), Some(5), Some(6)]);
}

#[test]
fn a_source_faster_than_the_player_loses_frames_and_not_the_delay() {
    let mut buffer = filled(0..3);
    for number in 3..1_003_u16 {
        buffer.put(frame(number));
        if number % 10 != 0 {
            buffer.take();
        }
        assert!(buffer.waiting() <= 11, "{}", buffer.waiting());
    }
    assert!(buffer.counts().dropped > 80);
}

#[test]
fn a_flood_keeps_the_newest() {
    let mut buffer = filled(0..500);
    assert_eq!(buffer.waiting(), 32);
    assert_eq!(buffer.counts().dropped, 468);
    assert_eq!(buffer.put(frame(450)), Put::Late);
}

#[test]
fn a_jump_is_followed_when_it_is_confirmed() {
    let mut buffer = filled([1, 2, 3]);
    assert_eq!(buffer.put(frame(30_000)), Put::Wild);
    assert_eq!(buffer.put(frame(4)), Put::Kept);
    assert_eq!(buffer.put(frame(30_001)), Put::Wild);
    assert_eq!(buffer.put(frame(30_002)), Put::Restarted);
    buffer.put(frame(30_003));
    buffer.put(frame(30_004));
    assert_eq!(played(&mut buffer, 3), [Some(30_002), Some(30_003), Some(30_004)]);
    assert_eq!(buffer.counts().restarts, 1);
}

#[test]
fn a_jump_back_is_followed_too() {
    let mut buffer = filled(40_000..40_010);
    played(&mut buffer, 10);
    assert_eq!(buffer.put(frame(20_000)), Put::Wild);
    assert_eq!(buffer.put(frame(20_001)), Put::Restarted);
}

#[test]
fn settings_that_make_no_sense_are_brought_within_bounds() {
    for (depth, slots) in [(0, 0), (100, 4), (1, usize::MAX)] {
        let mut buffer = JitterBuffer::new(Settings { depth, slots, conceal_max: 0 });
        for number in 0..50 {
            buffer.put(frame(number));
            buffer.take();
        }
        assert!(buffer.counts().played > 40);
    }
}

proptest! {
    #[test]
    fn nothing_grows_and_the_order_is_kept(
        steps in proptest::collection::vec((0u16..80, any::<bool>(), 0u16..3_000), 1..300),
        start in any::<u16>(),
    ) {
        let mut buffer = JitterBuffer::new(Settings::default());
        let mut base = start;
        let mut last: Option<(u16, u64)> = None;
        for (offset, take, jump) in steps {
            if jump == 0 {
                base = base.wrapping_add(20_000);
            }
            base = base.wrapping_add(1);
            buffer.put(frame(base.wrapping_add(offset % 8)));
            prop_assert!(buffer.waiting() <= 32);
            prop_assert_eq!(buffer.waiting(), buffer.slots.iter().flatten().count());
            if take && let Playout::Frame(frame) = buffer.take() {
                let restarts = buffer.counts().restarts;
                if let Some((before, then)) = last && then == restarts {
                    prop_assert!(frame.sequence.wrapping_sub(before) < 0x8000);
                }
                last = Some((frame.sequence, restarts));
            }
        }
    }
}
