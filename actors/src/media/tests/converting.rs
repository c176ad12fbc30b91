//! Sides that have no codec in common: what is made anew, and the digits beside it.

#[cfg(any(feature = "g722", feature = "opus"))]
use proto_media::speech::{Decoder, Encoder};

use super::digits::{listen, press};
use super::*;

#[tokio::test]
async fn digits_and_sound_go_from_one_law_to_the_other_in_one_row() {
    let a_law = [Format::g711(Law::A), Format::events(96)];
    let mut rig = Rig::call(&config(81), [&mu(), &a_law]).await;
    let payloads = tone(1_000.0, Law::Mu, 50);
    let mut samples = Vec::new();
    let mut before = None;
    for payload in &payloads {
        rig.phone(Side::A).say(payload);
        let heard = rig.phone(Side::B).hear();
        assert_eq!((heard.payload_type, heard.payload.len()), (8, 160));
        if let Some(before) = before {
            assert_eq!(heard.sequence.wrapping_sub(before), 1);
        }
        before = Some(heard.sequence);
        Law::A.decode_all(&heard.payload, &mut samples);
    }
    assert!(sounds(&samples, 1_000.0));
    press(rig.phone(Side::A), 101, 4, 3);
    assert_eq!(listen(rig.phone(Side::B), 96, 1), "5");
    let long: Vec<u8> = payloads.concat()[..240].to_vec();
    rig.phone(Side::A).say(&long);
    loop {
        let heard = rig.phone(Side::B).hear();
        if heard.payload_type == 8 {
            assert_eq!(heard.payload.len(), 240, "30 ms stay 30 ms");
            break;
        }
    }
    assert_eq!(rig.close().await.legs[0].not_forwarded, 0);
}

#[cfg(any(feature = "g722", feature = "opus"))]
fn format(speech: Speech, payload_type: u8) -> Format {
    let (name, clock_hz) = (speech.name().into(), speech.clock_hz());
    Format { payload_type, encoding: Encoding::Other { name, clock_hz } }
}

/// A call of µ-law with another codec: a tone goes each way, and a digit.
#[cfg(any(feature = "g722", feature = "opus"))]
async fn converses(host: u8, other: Speech, payload_type: u8) {
    let law = Speech::G711(Law::Mu);
    let formats = [format(other, payload_type), Format::events(101)];
    let mut rig = Rig::call(&config(host), [&mu(), &formats]).await;
    rig.phone(Side::B).payload_type = payload_type;
    let rate = other.rate_hz(law);
    let size = rate as usize / 50;
    let mut encoder = Encoder::new(other, rate).unwrap();
    let mut decoder = Decoder::new(other, rate).unwrap();
    let tone_of = Tone { frequencies: [700.0, 0.0], ..Tone::BEEP };
    let mut generator = Generator::new(&tone_of, rate);
    let (mut at_a, mut at_b) = (Vec::new(), Vec::new());
    let mut last = None;
    for (turn, payload) in tone(1_000.0, Law::Mu, 60).iter().enumerate() {
        rig.phone(Side::A).say(payload);
        let mut frame = vec![0; size];
        generator.fill(&mut frame);
        let mut said = Vec::new();
        encoder.encode(&frame, &mut said);
        rig.phone(Side::B).say(&said);
        // Two packets wait before the first one is heard.
        if turn < 2 {
            continue;
        }
        let heard = rig.phone(Side::B).hear();
        assert_eq!(heard.payload_type, payload_type);
        if let Some((sequence, timestamp)) = last {
            assert_eq!(heard.sequence.wrapping_sub(sequence), 1);
            assert_eq!(heard.timestamp.wrapping_sub(timestamp), other.clock_hz() / 50);
        }
        last = Some((heard.sequence, heard.timestamp));
        decoder.decode(&heard.payload, &mut at_b);
        let heard = rig.phone(Side::A).hear();
        assert_eq!((heard.payload_type, heard.payload.len()), (0, 160));
        Law::Mu.decode_all(&heard.payload, &mut at_a);
    }
    let strong =
        |samples: &[i16], hz: f64, rate: u32| strength(&samples[samples.len() / 2..], hz, rate);
    let (at_a, at_b) = (strong(&at_a, 700.0, 8_000), strong(&at_b, 1_000.0, rate));
    assert!((0.12..0.18).contains(&at_a) && (0.12..0.18).contains(&at_b), "{at_a} {at_b}");
    press(rig.phone(Side::A), 101, 4, 3);
    assert_eq!(listen(rig.phone(Side::B), 101, 1), "5", "pressed anew");
    assert_eq!(rig.close().await.legs[0].not_forwarded, 0);
}

#[cfg(feature = "g722")]
#[tokio::test]
async fn g722_is_made_of_g711_and_back() {
    converses(82, Speech::G722, 9).await;
}

#[cfg(feature = "opus")]
#[tokio::test]
async fn opus_is_made_of_g711_and_back() {
    converses(83, Speech::Opus, 111).await;
}

#[cfg(feature = "g722")]
#[tokio::test]
async fn no_more_calls_are_transcoded_than_may_be() {
    let none = Config { transcoded_max: 0, ..config(84) };
    let mut rig = Rig::call(&none, [&mu(), &[format(Speech::G722, 9)]]).await;
    assert!(!rig.media.may_transcode());
    rig.phone(Side::A).say(&[1; 160]);
    let report = rig.report(|report| report.legs[0].not_forwarded > 0).await;
    assert_eq!(report.legs[1].sent_packets, 0);
    rig.close().await;
}
