//! Where long texts are cut, and that every part, put together again, is the text.

use proto_smpp::pdu::message::ESM_UDHI;
use proto_smpp::segment::Segment;
use proto_smpp::split::{Concat, Encoding, Part, measure, measure_as, parts};
use proto_smpp::{CommandId, Message, text};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::tools::{encoded, rng};

const EVERY_CONCAT: [Concat; 4] =
    [Concat::Udh8, Concat::Udh16, Concat::SarTlv, Concat::MessagePayload];

/// The message that carries a part, over the wire and back.
fn carried(part: &Part, encoding: Encoding) -> Message {
    let mut message = Message { data_coding: encoding.data_coding(), ..Message::default() };
    message.short_message.clone_from(&part.user_data);
    message.tlvs.clone_from(&part.tlvs);
    if part.esm_class_udhi {
        message.esm_class |= ESM_UDHI;
    }
    assert_eq!(message.check(), Ok(()));
    Message::decode(CommandId::SUBMIT_SM, &encoded(&message, 1)[16..]).unwrap()
}

/// Checks every part, and gives the text that a phone would show.
fn reassembled(parts: &[Part], encoding: Encoding, reference: u16, concat: Concat) -> String {
    let mut whole = String::new();
    for (at, part) in parts.iter().enumerate() {
        let message = carried(part, encoding);
        let view = message.view();
        let (header, body) = view.split_udh();
        let piece = text::decode(view.data_coding, body);
        assert!(!piece.contains('\u{FFFD}'), "a pair was cut");
        assert_ne!(body.last(), Some(&0x1B), "an escape was cut");
        let segment = Segment::of(&view);
        if parts.len() == 1 {
            assert_eq!(segment, None);
        } else {
            let units = body.len() / if encoding == Encoding::Gsm7 { 1 } else { 2 };
            assert!(units <= encoding.per_part(concat), "{units} units");
            let low = if concat == Concat::Udh8 { reference & 0xFF } else { reference };
            let (total, number) = (parts.len() as u8, at as u8 + 1);
            assert_eq!(segment, Some(Segment { reference: low, total, number }));
            assert_eq!(header.is_empty(), concat == Concat::SarTlv);
        }
        whole.push_str(&piece);
    }
    whole
}

fn count(text: &str) -> usize {
    measure(text, None).unwrap().parts
}

#[test]
fn septets_160_and_161() {
    assert_eq!((count(&"a".repeat(160)), count(&"a".repeat(161))), (1, 2));
    let euro = format!("{}€", "a".repeat(158));
    assert_eq!((count(&euro), count(&format!("{euro}a"))), (1, 2));
}

#[test]
fn units_70_and_71() {
    assert_eq!((count(&"ж".repeat(70)), count(&"ж".repeat(71))), (1, 2));
    assert_eq!((count(&"😀".repeat(35)), count(&"😀".repeat(36))), (1, 2));
}

#[test]
fn ten_segments_end_at_1530_septets_and_670_units() {
    assert_eq!((count(&"a".repeat(1530)), count(&"a".repeat(1531))), (10, 11));
    assert_eq!((count(&"ж".repeat(670)), count(&"ж".repeat(671))), (10, 11));
}

#[test]
fn pairs_that_meet_every_border_cost_a_part() {
    // 76 pairs fill 152 of 153: ten parts hold 760 pairs, though 765 pairs are 1530 septets.
    assert_eq!((count(&"€".repeat(760)), count(&"€".repeat(761))), (10, 11));
    // 33 pairs fill 66 of 67.
    assert_eq!((count(&"😀".repeat(330)), count(&"😀".repeat(331))), (10, 11));
}

#[test]
fn one_character_outside_the_alphabet_makes_the_whole_text_ucs2() {
    let text = format!("{}ç", "a".repeat(70));
    let measured = measure(&text, None).unwrap();
    assert_eq!((measured.encoding, measured.units, measured.parts), (Encoding::Ucs2, 71, 2));
}

#[test]
fn a_pair_is_never_cut_wherever_it_stands() {
    for (pair, filler, encoding) in [("€", "a", Encoding::Gsm7), ("😀", "ж", Encoding::Ucs2)] {
        for before in 0..160 {
            let text = format!("{}{pair}{}", filler.repeat(before), filler.repeat(320 - before));
            for concat in EVERY_CONCAT {
                let cut = parts(&text, encoding, concat, 0x1234).unwrap();
                assert_eq!(reassembled(&cut, encoding, 0x1234, concat), text);
            }
        }
    }
}

#[test]
fn any_text_comes_back_from_its_parts() {
    let mut rng = rng(11);
    for _ in 0..400 {
        let text = random_text(&mut rng);
        let encoding = Encoding::of(&text);
        let reference = rng.random();
        for concat in EVERY_CONCAT {
            let cut = parts(&text, encoding, concat, reference).unwrap();
            let measured = measure_as(&text, None, concat).unwrap();
            if concat == Concat::MessagePayload {
                assert_eq!(cut.len(), 1);
            } else {
                assert_eq!(cut.len(), measured.parts);
            }
            assert_eq!(reassembled(&cut, encoding, reference, concat), text);
        }
    }
}

fn random_text(rng: &mut StdRng) -> String {
    let gsm = ['a', 'Z', '€', '{', '@', 'é', 'Ω', '\n', ' '];
    let wide = ['a', '€', 'ж', '😀', '漢', '\u{200d}', '👩'];
    let alphabet = if rng.random() { &gsm[..] } else { &wide[..] };
    let length = rng.random_range(0..900);
    (0..length).map(|_| alphabet[rng.random_range(0..alphabet.len())]).collect()
}
