//! A tone on its way from codec to codec: what is heard of it, whatever is lost.

use super::*;
use crate::g711::Law;
use crate::tone::{Generator, Tone, strength};

const MU: Speech = Speech::G711(Law::Mu);
const A: Speech = Speech::G711(Law::A);
const HZ: f64 = 1_000.0;

/// Payloads of a tone, each so many milliseconds long.
fn said(speech: Speech, other: Speech, millis: usize, count: usize) -> Vec<Vec<u8>> {
    let rate = speech.rate_hz(other);
    let tone = Tone { frequencies: [HZ, 0.0], level_dbm0: -10.0, on_ms: 1_000, off_ms: 0 };
    let (mut generator, mut encoder) = (Generator::new(&tone, rate), Encoder::new(speech, rate));
    let mut payload = || {
        let mut samples = vec![0; rate as usize * millis / 1_000];
        generator.fill(&mut samples);
        let mut out = Vec::new();
        encoder.as_mut().unwrap().encode(&samples, &mut out);
        out
    };
    (0..count).map(|_| payload()).collect()
}

fn packet(sequence: usize, payload: &[u8]) -> Packet<'_> {
    Packet::new(0, sequence as u16, 0, 1, payload)
}

/// Drives a converter as time does: packets of so many milliseconds, but for those that are lost; gives
/// the frames of each 20 ms.
fn driven(
    converter: &mut Converter,
    payloads: &[Vec<u8>],
    millis: usize,
    lost: &[usize],
) -> Vec<Option<Vec<u8>>> {
    let mut frames = Vec::new();
    let mut sent = 0;
    for turn in 0..payloads.len() * millis / 20 {
        while sent < payloads.len() && sent * millis <= turn * 20 {
            if !lost.contains(&sent) {
                converter.put(&packet(sent, &payloads[sent]), true);
            }
            sent += 1;
        }
        let mut out = Vec::new();
        frames.push(converter.frame(&mut out).then_some(out));
    }
    frames
}

/// The samples of frames, as who hears them decodes them.
fn heard(speech: Speech, other: Speech, frames: &[Option<Vec<u8>>]) -> (Vec<i16>, u32) {
    let rate = speech.rate_hz(other);
    let mut decoder = Decoder::new(speech, rate).unwrap();
    let mut samples = Vec::new();
    frames.iter().flatten().for_each(|frame| decoder.decode(frame, &mut samples));
    (samples, rate)
}

/// How much of the tone is in the middle of what was heard.
fn tone_in((samples, rate): &(Vec<i16>, u32)) -> f64 {
    let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
    strength(middle, HZ, *rate)
}

/// All that this program can do.
fn pairs() -> Vec<(Speech, Speech)> {
    let all = [MU, A, Speech::G722, Speech::Opus];
    let pairs = all.into_iter().flat_map(|from| all.map(|to| (from, to)));
    pairs.filter(|(from, to)| from != to && from.is_built() && to.is_built()).collect()
}

#[test]
fn a_tone_is_the_same_tone_in_every_other_codec() {
    // A full-scale sine is +3.17 dBm0.
    let expected = 10_f64.powf((-10.0 - 3.17) / 20.0);
    for (from, to) in pairs() {
        let mut converter = Converter::new(from, to).unwrap();
        let frames = driven(&mut converter, &said(from, to, 20, 50), 20, &[]);
        let strength = tone_in(&heard(to, from, &frames));
        assert!((strength / expected - 1.0).abs() < 0.2, "{from:?} {to:?} {strength} {expected}");
        assert_eq!(converter.counts().concealed, 0);
    }
}

#[test]
fn packets_of_30_and_10_ms_become_frames_of_20() {
    for millis in [10, 30, 60] {
        let payloads = said(MU, A, millis, 600 / millis);
        let mut converter = Converter::new(MU, A).unwrap();
        let frames = driven(&mut converter, &payloads, millis, &[]);
        let sound: Vec<&Vec<u8>> = frames.iter().flatten().collect();
        assert!(sound.len() >= 25, "{millis} ms: {} of {}", sound.len(), frames.len());
        assert!(sound.iter().all(|frame| frame.len() == 160), "{millis} ms");
        let first = frames.iter().position(Option::is_some).unwrap();
        assert!(frames[first..].iter().all(Option::is_some), "{millis} ms: no gap");
        assert_eq!(converter.counts().concealed, 0, "{millis} ms");
    }
}

#[test]
fn what_is_lost_is_concealed_and_what_changed_places_is_put_right() {
    for (from, to) in pairs() {
        let payloads = said(from, to, 20, 50);
        let mut converter = Converter::new(from, to).unwrap();
        let frames = driven(&mut converter, &payloads, 20, &[15, 25, 26, 35]);
        // Two in a row may be a pause, so they are waited for once.
        assert_eq!(converter.counts().concealed, 5, "{from:?} {to:?}");
        let first = frames.iter().position(Option::is_some).unwrap();
        assert!(frames[first..].iter().all(Option::is_some), "{from:?} {to:?}: no gap");
        let strength = tone_in(&heard(to, from, &frames));
        assert!(strength > 0.15, "{from:?} {to:?} {strength}");
    }
    let payloads = said(MU, A, 20, 4);
    let mut converter = Converter::new(MU, A).unwrap();
    for at in [0, 2, 1, 3] {
        converter.put(&packet(at, &payloads[at]), true);
    }
    for payload in &payloads {
        let mut out = Vec::new();
        assert!(converter.frame(&mut out));
        let mut expected = payload.clone();
        Law::Mu.transcode(&mut expected);
        assert_eq!(out, expected);
    }
}

#[test]
fn a_source_that_falls_silent_fades_and_begins_anew() {
    let payloads = said(MU, A, 20, 5);
    let mut converter = Converter::new(MU, A).unwrap();
    let mut out = Vec::new();
    assert!(!converter.frame(&mut out) && converter.is_empty());
    for (at, payload) in payloads.iter().enumerate() {
        converter.put(&packet(at, payload), true);
    }
    let mut frames = 0;
    while converter.frame(&mut out) {
        frames += 1;
        assert!(frames < 100);
    }
    assert!(frames >= 5 && converter.is_empty());
    let silence = Law::A.silence();
    assert!(out[out.len() - 160..].iter().all(|octet| *octet == silence), "it faded");
    out.clear();
    for at in 900..903 {
        converter.put(&packet(at, &payloads[0]), true);
    }
    assert!(converter.frame(&mut out), "it speaks again");
}

#[test]
fn digits_between_sound_leave_no_gap() {
    let payloads = said(MU, A, 20, 10);
    let mut converter = Converter::new(MU, A).unwrap();
    let mut out = Vec::new();
    for (at, payload) in payloads.iter().enumerate() {
        converter.put(&packet(at, payload), !(3..6).contains(&at));
        assert_eq!(converter.frame(&mut out), at > 0, "{at}");
    }
    assert_eq!(out.len(), 9 * 160);
    assert!(converter.counts().concealed <= 3);
}

#[test]
fn a_codec_is_not_turned_into_itself_or_into_one_that_is_not_there() {
    assert!(Converter::new(MU, MU).is_none());
    for speech in [Speech::G722, Speech::Opus] {
        let converter = Converter::new(MU, speech);
        assert_eq!(converter.is_some(), speech.is_built());
        if let Some(converter) = converter {
            let step = if speech == Speech::Opus { 960 } else { 160 };
            assert_eq!((converter.step(), converter.between()), (step, (MU, speech)));
        }
    }
}
