//! Digits from a leg, to a leg, and between legs that write them differently.

use proto_media::dtmf::{Digit, Event as Press, Heard, Listener, TrainError};

use super::*;

fn digit(sign: char) -> Digit {
    Digit::of_char(sign).unwrap()
}

/// A phone presses 5 for so many frames; `ends` of its end packets arrive.
pub(super) fn press(phone: &mut Phone, payload_type: u8, frames: u16, ends: usize) {
    let sound = std::mem::replace(&mut phone.payload_type, payload_type);
    let began = phone.timestamp;
    for frame in 1..=frames {
        let event = Press { event: 5, end: false, volume: 10, duration: frame * 160 };
        phone.timestamp = began;
        phone.say(&event.octets());
    }
    for _ in 0..ends {
        let event = Press { event: 5, end: true, volume: 10, duration: (frames + 1) * 160 };
        phone.timestamp = began;
        phone.say(&event.octets());
    }
    phone.timestamp = began + u32::from(frames + 1) * 160;
    phone.payload_type = sound;
}

/// Takes event packets until so many digits were released; the digits.
pub(super) fn listen(phone: &Phone, payload_type: u8, count: usize) -> String {
    let mut listener = Listener::new(8_000);
    let mut digits = String::new();
    while digits.len() < count {
        let heard = phone.hear();
        if heard.payload_type != payload_type {
            continue;
        }
        let now = tokio::time::Instant::now().into_std();
        for heard in listener.packet(heard.timestamp, heard.marker, &heard.payload, now) {
            if let Heard::Released(digit, _) = heard {
                digits.push(digit.as_char());
            }
        }
    }
    digits
}

#[tokio::test]
async fn a_digit_goes_on_under_the_other_legs_payload_type_and_is_told_once() {
    let other = [Format::g711(Law::Mu), Format::events(96)];
    let mut rig = Rig::call(&config(31), [&mu(), &other]).await;
    rig.phone(Side::A).say(&[1; 160]);
    let sound = rig.phone(Side::B).hear();
    press(rig.phone(Side::A), 101, 4, 3);
    for frame in 0..7 {
        let heard = rig.phone(Side::B).hear();
        assert_eq!(
            (heard.payload_type, heard.sequence),
            (96, sound.sequence.wrapping_add(frame + 1))
        );
        assert_eq!(heard.timestamp, sound.timestamp.wrapping_add(160));
    }
    let pressed = rig.notice(Side::A, |event| matches!(event, Event::Pressed(_))).await;
    assert_eq!(pressed, Event::Pressed(digit('5')));
    rig.notice(Side::A, |event| matches!(event, Event::Released(..))).await;
    rig.close().await;
    assert!(rig.notices.try_recv().is_err(), "told twice");
}

#[tokio::test]
async fn a_digit_whose_ends_are_lost_is_released_by_time() {
    let mut rig = Rig::call(&config(32), [&mu(), &mu()]).await;
    press(rig.phone(Side::A), 101, 4, 0);
    let event = rig.notice(Side::A, |event| matches!(event, Event::Released(..))).await;
    assert!(matches!(event, Event::Released(five, _) if five == digit('5')));
}

#[tokio::test]
async fn a_muted_legs_digits_are_told_and_not_passed_on() {
    let mut rig = Rig::call(&config(33), [&mu(), &mu()]).await;
    rig.session().mute(Side::A, true).await.unwrap();
    press(rig.phone(Side::A), 101, 4, 1);
    rig.notice(Side::A, |event| matches!(event, Event::Released(..))).await;
    rig.session().mute(Side::A, false).await.unwrap();
    rig.phone(Side::A).say(&[1; 160]);
    assert_eq!(rig.phone(Side::B).hear().payload_type, 0);
}

#[tokio::test]
async fn digits_are_sent_to_a_leg_one_row_after_the_other() {
    let mut rig = Rig::call(&config(34), [&mu(), &mu()]).await;
    let shortest = Duration::from_millis(40);
    rig.session().send_dtmf(Side::B, "1#", shortest).await.unwrap();
    rig.session().send_dtmf(Side::B, "9", shortest).await.unwrap();
    assert_eq!(listen(&rig.phones[1], 101, 3), "1#9");
    rig.notice(Side::B, |event| *event == Event::DigitsSent).await;
    rig.notice(Side::B, |event| *event == Event::DigitsSent).await;
    rig.phone(Side::A).say(&[1; 160]);
    while rig.phone(Side::B).hear().payload_type != 0 {}
}

#[tokio::test]
async fn digits_that_cannot_be_sent_are_refused() {
    let law = [Format::g711(Law::Mu)];
    let rig = Rig::call(&config(35), [&law, &mu()]).await;
    let long = Duration::from_millis(100);
    assert_eq!(rig.session().send_dtmf(Side::A, "1", long).await, Err(Refused::NoEvents));
    let refused = rig.session().send_dtmf(Side::B, "1x", long).await;
    assert_eq!(refused, Err(Refused::Digits(TrainError::Sign('x'))));
}

#[tokio::test]
async fn a_digit_of_another_clock_is_pressed_anew() {
    let wide = [
        Format::g711(Law::Mu),
        Format { payload_type: 97, encoding: Encoding::Events { clock_hz: 16_000 } },
    ];
    let mut rig = Rig::call(&config(36), [&wide, &mu()]).await;
    press(rig.phone(Side::A), 97, 4, 2);
    assert_eq!(listen(&rig.phones[1], 101, 1), "5");
}
