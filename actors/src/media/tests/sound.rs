//! What is played to a leg, and how it joins with what the other leg says.

use proto_media::tone::Tone;

use super::*;

/// Frames from a phone, which must be one stream, and what they sound like.
fn hear(rig: &Rig, side: Side, frames: usize) -> Vec<i16> {
    let mut samples = Vec::new();
    let mut before: Option<phone::Heard> = None;
    for _ in 0..frames {
        let heard = rig.phones[side.index()].hear();
        if let Some(before) = &before {
            assert_eq!(heard.sequence, before.sequence.wrapping_add(1));
            assert_eq!(heard.timestamp, before.timestamp.wrapping_add(160));
        }
        assert_eq!(heard.marker, before.is_none());
        Law::Mu.decode_all(&heard.payload, &mut samples);
        before = Some(heard);
    }
    samples
}

#[tokio::test]
async fn a_sound_is_played_in_the_place_of_the_other_leg_and_ends() {
    let mut rig = Rig::call(&config(21), [&mu(), &mu()]).await;
    rig.phone(Side::B).say(&[1; 160]);
    let first = rig.phone(Side::A).hear();
    let tone = Tone { on_ms: 100, ..Tone::BEEP };
    let played = rig.session().play(Side::A, &Sound::Tone(tone), false).await.unwrap();
    rig.phone(Side::B).say(&[2; 160]);
    let samples = hear(&rig, Side::A, 5);
    assert!(sounds(&samples, 1_000.0));
    let over = Event::Played(played);
    assert_eq!(rig.notice(Side::A, |event| matches!(event, Event::Played(_))).await, over);
    rig.phone(Side::B).say(&[3; 160]);
    let after = rig.phone(Side::A).hear();
    assert_eq!((after.payload[0], after.ssrc), (3, first.ssrc));
    assert_eq!(after.sequence, first.sequence.wrapping_add(6), "one stream");
    let passed = after.timestamp.wrapping_sub(first.timestamp);
    assert!((960..8_000).contains(&passed), "{passed}");
}

#[tokio::test]
async fn a_sound_repeats_until_it_is_stopped_also_to_a_leg_on_hold() {
    let mut rig = Rig::call(&config(22), [&mu(), &mu()]).await;
    rig.session().hold(Side::B, true).await.unwrap();
    let period: Vec<i16> = (0..80).map(|at| if at < 40 { 8_000 } else { -8_000 }).collect();
    let sound = Sound::Samples(period.into());
    rig.session().play(Side::B, &sound, true).await.unwrap();
    let samples = hear(&rig, Side::B, 5);
    assert!(samples.chunks(80).all(|round| round[..40].iter().all(|sample| *sample > 7_000)));
    rig.session().stop_play(Side::B).await.unwrap();
    rig.session().hold(Side::B, false).await.unwrap();
    rig.phone(Side::A).say(&[9; 160]);
    while rig.phone(Side::B).hear().payload != [9; 160] {}
}

#[tokio::test]
async fn a_sound_waits_until_there_is_somebody_to_hear_it() {
    let mut rig = Rig::open(&config(24)).await;
    rig.describe(Side::A, &mu()).await;
    let nowhere = RemoteMedia { rtp: None, ..rig.remote(Side::B, &mu()) };
    rig.session().set_remote(Side::B, nowhere.clone()).await.unwrap();
    let tone = Tone { on_ms: 40, ..Tone::BEEP };
    // A is played to five times as long, and so is done later.
    let longer = Tone { on_ms: 200, ..Tone::BEEP };
    rig.session().play(Side::B, &Sound::Tone(tone), false).await.unwrap();
    rig.session().play(Side::A, &Sound::Tone(longer), false).await.unwrap();
    rig.notice(Side::A, |event| matches!(event, Event::Played(_))).await;
    let deaf = RemoteMedia { receives: false, ..rig.remote(Side::B, &mu()) };
    rig.session().set_remote(Side::B, deaf).await.unwrap();
    rig.session().play(Side::A, &Sound::Tone(longer), false).await.unwrap();
    rig.notice(Side::A, |event| matches!(event, Event::Played(_))).await;
    assert!(rig.notices.try_recv().is_err(), "B has heard nothing");
    rig.describe(Side::B, &mu()).await;
    assert!(sounds(&hear(&rig, Side::B, 2), 1_000.0));
    rig.notice(Side::B, |event| matches!(event, Event::Played(_))).await;
}

#[tokio::test]
async fn a_leg_without_g711_is_played_nothing() {
    let opus = Encoding::Other { name: "opus/2".into(), clock_hz: 48_000 };
    let formats = [Format { payload_type: 111, encoding: opus }];
    let rig = Rig::call(&config(23), [&formats, &mu()]).await;
    let sound = Sound::Tone(Tone::BEEP);
    let refused = rig.session().play(Side::A, &sound, false).await;
    assert_eq!(refused, Err(Refused::NoLaw));
}
