//! What a message survives on the wire.

use super::*;

fn sample(command: CommandId) -> Message {
    let mut message =
        Message::new(command, Address::new(5, 0, "Orbit"), Address::new(1, 1, "447700900123"));
    message.registered_delivery = 1;
    message.data_coding = 8;
    if command == CommandId::DATA_SM {
        message.push_tlv(tlv::MESSAGE_PAYLOAD, b"\0H\0i");
    } else {
        message.validity = b"000001000000000R".to_vec();
        message.short_message = b"\0H\0i".to_vec();
    }
    message.push_tlv(0x1401, b"vendor");
    message
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out, 9).unwrap();
    out
}

#[test]
fn each_command_comes_back_as_it_went() {
    for command in [CommandId::SUBMIT_SM, CommandId::DELIVER_SM, CommandId::DATA_SM] {
        let message = sample(command);
        let pdu = encoded(&message);
        let back = Message::decode(command, &pdu[16..]).unwrap();
        assert_eq!(back, message);
        assert_eq!(back.user_data(), b"\0H\0i");
        assert_eq!(back.tlv(0x1401), Some(&b"vendor"[..]));
        assert_eq!(encoded(&back), pdu);
    }
}

#[test]
fn a_nul_after_the_text_is_stepped_over() {
    let message = sample(CommandId::DELIVER_SM);
    let pdu = encoded(&message);
    let at = pdu.len() - message.tlvs.len();
    let mut body = pdu[16..at].to_vec();
    body.push(0);
    assert_eq!(MessageView::parse(CommandId::DELIVER_SM, &body).unwrap().tlvs, b"");
    body.extend_from_slice(&message.tlvs);
    assert_eq!(Message::decode(CommandId::DELIVER_SM, &body), Ok(message));
}

#[test]
fn an_at_sign_in_a_gsm_name_does_not_shift_what_follows() {
    let with_ats = |command: CommandId, name: &str| {
        let mut message = sample(command);
        message.source = Address::new(5, 0, name);
        let mut body = encoded(&message)[16..].to_vec();
        body[3..3 + name.len()].iter_mut().filter(|b| **b == b'@').for_each(|b| *b = 0);
        message.source.digits.iter_mut().filter(|b| **b == b'@').for_each(|b| *b = 0);
        (message, body)
    };
    // Without times and TLVs the misread fields come out even, but lead to no number.
    let mut short = Message::new(CommandId::DELIVER_SM, Address::default(), Address::default());
    short.destination = Address::new(1, 1, "14155550100");
    short.source = Address::new(5, 0, "me@home");
    short.short_message = b"mo1 hello".to_vec();
    let mut body = encoded(&short)[16..].to_vec();
    body[5] = 0;
    short.source.digits[2] = 0;
    assert_eq!(Message::decode(CommandId::DELIVER_SM, &body), Ok(short));
    for name in ["me@home", "@home", "a@b@c"] {
        let (message, body) = with_ats(CommandId::DELIVER_SM, name);
        assert_eq!(Message::decode(CommandId::DELIVER_SM, &body), Ok(message), "{name}");
    }
    // A customer's is not guessed at: its fields are what it says.
    let (message, body) = with_ats(CommandId::SUBMIT_SM, "me@home");
    assert_ne!(Message::decode(CommandId::SUBMIT_SM, &body), Ok(message));
}

#[test]
fn a_text_cut_short_is_taken_from_a_carrier_and_refused_to_a_customer() {
    let mut message = sample(CommandId::DELIVER_SM);
    message.tlvs.clear();
    let pdu = encoded(&message);
    let body = &pdu[16..pdu.len() - 1];
    let view = MessageView::parse(CommandId::DELIVER_SM, body).unwrap();
    assert_eq!(view.short_message, b"\0H\0");
    let error = MessageView::parse(CommandId::SUBMIT_SM, body).unwrap_err();
    assert_eq!(error, DecodeError::TextCut { said: 4, got: 3 });
    assert_eq!(error.status(), CommandStatus::INVMSGLEN);
}

#[test]
fn every_cut_before_the_text_is_an_error_that_names_the_field() {
    let pdu = encoded(&sample(CommandId::SUBMIT_SM));
    let mandatory = pdu.len() - 4 - sample(CommandId::SUBMIT_SM).tlvs.len();
    let mut named = Vec::new();
    for end in 16..mandatory {
        match MessageView::parse(CommandId::SUBMIT_SM, &pdu[16..end]).unwrap_err() {
            DecodeError::Cut(field) => named.push(field),
            other => panic!("{other}"),
        }
    }
    named.dedup();
    assert_eq!(named.first(), Some(&"service_type"));
    assert_eq!(named.last(), Some(&"sm_length"));
}

#[test]
fn a_long_sender_in_latin_1_passes_unchanged() {
    let mut message = sample(CommandId::SUBMIT_SM);
    message.source.digits = b"Caf\xe9 of the long long names".to_vec();
    let back = Message::decode(CommandId::SUBMIT_SM, &encoded(&message)[16..]).unwrap();
    assert_eq!(back, message);
    assert_eq!(back.source.text(), "Café of the long long names");
    let error = back.check().unwrap_err();
    assert_eq!(error, EncodeError::FieldTooLong { field: "source_addr", limit: 20, got: 27 });
}

#[test]
fn a_nul_inside_a_field_cannot_forge_the_next_one() {
    let mut message = sample(CommandId::SUBMIT_SM);
    message.destination.digits = b"4477\0\x7f\x7f".to_vec();
    let back = Message::decode(CommandId::SUBMIT_SM, &encoded(&message)[16..]).unwrap();
    assert_eq!(back.destination.digits, b"4477");
    assert_eq!(back.short_message, message.short_message);
}

#[test]
fn a_nul_inside_the_text_stays() {
    let mut message = sample(CommandId::DELIVER_SM);
    message.short_message = b"a\0b\0".to_vec();
    let back = Message::decode(CommandId::DELIVER_SM, &encoded(&message)[16..]).unwrap();
    assert_eq!(back.short_message, b"a\0b\0");
}

#[test]
fn a_text_over_255_octets_travels_as_payload() {
    let mut message = sample(CommandId::SUBMIT_SM);
    message.short_message = vec![b'x'; 256];
    let back = Message::decode(CommandId::SUBMIT_SM, &encoded(&message)[16..]).unwrap();
    assert!(back.short_message.is_empty());
    assert_eq!(back.user_data(), message.short_message);
    message.short_message = vec![b'x'; 70_000];
    let mut out = vec![1, 2, 3];
    assert!(message.encode(&mut out, 1).is_err());
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn a_udh_with_an_impossible_length_is_text() {
    let mut message = sample(CommandId::DELIVER_SM);
    message.esm_class = ESM_UDHI;
    message.short_message = b"\x05\0\x03\x07\x02\x01Hello".to_vec();
    assert_eq!(message.view().split_udh(), (&b"\0\x03\x07\x02\x01"[..], &b"Hello"[..]));
    message.short_message = b"Hello".to_vec();
    assert_eq!(message.view().split_udh(), (&b""[..], &b"Hello"[..]));
}

#[test]
fn a_cut_tlv_tail_is_dropped_and_what_stood_before_it_kept() {
    let message = sample(CommandId::DELIVER_SM);
    let mut pdu = encoded(&message);
    pdu.extend_from_slice(&[0x00, 0x1E, 0x00, 0x41, b'a']);
    assert_eq!(Message::decode(CommandId::DELIVER_SM, &pdu[16..]), Ok(message));
}
