//! Bodies that no book allows: strings, texts, TLVs, lengths, alphabets.

use proto_smpp::pdu::message::ESM_UDHI;
use proto_smpp::receipt::{Receipt, State};
use proto_smpp::segment::Segment;
use proto_smpp::{
    Bind, BindKind, CloseReason, CommandId, CommandStatus, Input, Output, Role, gsm7, text, tlv,
    ucs2,
};

use super::{SUBMIT_RESP, answer, receipt};
use crate::tools::{OK, Rig, deliver_body, encoded, hello, pdu};

#[test]
fn an_error_comes_as_a_header_alone_or_with_a_body() {
    let full = CommandStatus::MSGQFUL;
    assert_eq!(answer(full, b""), (full, Vec::new()));
    assert_eq!(answer(full, b"\0"), (full, Vec::new()));
    assert_eq!(answer(full, b"refused\0"), (full, b"refused".to_vec()));
}

#[test]
fn an_id_without_its_nul_takes_nothing_from_the_next_pdu() {
    assert_eq!(answer(OK, b"no-nul"), (OK, b"no-nul".to_vec()));
    let mut rig = Rig::bound();
    let (first, second) = (rig.submit(1), rig.submit(2));
    let mut stream = pdu(SUBMIT_RESP, OK, first, b"one");
    stream.extend(pdu(SUBMIT_RESP, OK, second, b"two\0"));
    let ids: Vec<_> = rig
        .bytes(&stream)
        .into_iter()
        .map(|out| if let Output::Answered { message_id, .. } = out { message_id } else { vec![] })
        .collect();
    assert_eq!(ids, [b"one", b"two"]);
}

#[test]
fn a_nul_after_the_text_is_not_a_tlv() {
    let mut rest = vec![0];
    tlv::write(&mut rest, tlv::RECEIPTED_MESSAGE_ID, b"77\0");
    tlv::write(&mut rest, tlv::MESSAGE_STATE, &[2]);
    let mut rig = Rig::bound();
    let message = rig.deliver(&deliver_body(4, 0, b"text", &rest));
    assert_eq!(Receipt::parse(&message.view()).state, Some(State::Delivered));
    let message = rig.deliver(&deliver_body(0, 0, b"text", b"\0"));
    assert_eq!((&message.short_message[..], &message.tlvs[..]), (&b"text"[..], &b""[..]));
}

#[test]
fn nuls_inside_a_text_stay_and_a_field_without_one_costs_only_its_pdu() {
    let mut rig = Rig::bound();
    assert_eq!(rig.deliver(&deliver_body(0, 0, b"a\0b", b"")).short_message, b"a\0b");
    assert_eq!(rig.bytes(&pdu(CommandId::DELIVER_SM, OK, 7, b"\0\x01\x01447700900123")), []);
    assert_eq!(rig.sent.pop().unwrap().1, CommandStatus::X_R_APPN);
    assert!(rig.is_in_step());
}

#[test]
fn vendor_tlvs_on_any_pdu_are_kept_in_order_and_passed_on_unchanged() {
    let mut rest = Vec::new();
    for tag in [0x1401, 0x1411, 0x2001, 0x3177, tlv::SC_INTERFACE_VERSION, 0x1401] {
        tlv::write(&mut rest, tag, &tag.to_be_bytes());
    }
    tlv::write(&mut rest, 0x1403, b"");
    let body = deliver_body(0, 0, b"text", &rest);
    let message = Rig::bound().deliver(&body);
    assert_eq!(message.tlvs, rest);
    assert_eq!(&encoded(&message, 1)[16..], body);
}

#[test]
fn a_tlv_may_be_longer_than_allowed_empty_or_past_the_end() {
    let uuid = b"d290f1ee-6c54-4b01-90e6-d701748f0851-and-then-some-more-of-it-beyond-64";
    let said = receipt(4, "", &[(tlv::MESSAGE_STATE, b""), (tlv::RECEIPTED_MESSAGE_ID, uuid)]);
    assert_eq!(said.message_id.as_deref(), Some(&uuid[..]));
    let mut rest = Vec::new();
    tlv::write(&mut rest, tlv::RECEIPTED_MESSAGE_ID, b"77\0");
    rest.extend_from_slice(b"\x04\x27\0\x09\x02");
    let mut rig = Rig::bound();
    let message = rig.deliver(&deliver_body(4, 0, b"", &rest));
    assert_eq!(Receipt::parse(&message.view()).message_id, Some(b"77".to_vec()));
    assert!(rig.is_in_step());
}

#[test]
fn a_sender_may_be_a_name_in_latin_1_or_gsm() {
    let mut body = b"\0\x05\0Caf\xe9 M\xfcnchen GmbH & Co KG\0\x01\x014477\0".to_vec();
    body.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let message = Rig::bound().deliver(&body);
    assert_eq!(message.source.text(), "Café München GmbH & Co KG");
    assert_eq!(&encoded(&message, 1)[16..], body);
    // An '@' in a GSM name is 0x00 and ends the field: what follows cannot be told apart.
    assert_eq!(gsm7::encode("a@b"), Some(vec![b'a', 0, b'b']));
}

#[test]
fn data_coding_0_is_what_the_carrier_means_by_it() {
    let octets = b"\x00\x40\xe9";
    assert_eq!(text::decode(0, octets), "@¡é");
    assert_eq!(text::decode_as(text::DefaultAlphabet::Latin1, 0, octets), "\0@é");
    for class in [0xF0, 0xF1, 0xF3] {
        assert_eq!(text::decode(class, &octets[..2]), "@¡");
    }
}

#[test]
fn ucs2_may_carry_surrogates_or_an_odd_octet() {
    let mut octets = ucs2::encode("a😀");
    octets.push(0x04);
    let message = Rig::bound().deliver(&deliver_body(0, 8, &octets, b""));
    assert_eq!(text::decode(8, message.user_data()), "a😀");
}

#[test]
fn garbage_before_a_bind_is_nacked_and_closed() {
    for garbage in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"] {
        let mut rig = Rig::new(Role::Smsc);
        assert_eq!(rig.bytes(garbage), [Output::Close(CloseReason::BadLength)]);
        let nack = (CommandId::GENERIC_NACK, CommandStatus::INVCMDLEN);
        assert_eq!((rig.sent[0].0, rig.sent[0].1), nack);
    }
}

#[test]
fn the_end_of_a_line_before_a_bind_is_passed_over() {
    let mut bind = Vec::new();
    Bind::new(BindKind::Transceiver, "client", "secret").encode(&mut bind, 1);
    for octets in [[&b"\r\n"[..], &bind].concat(), [b"\n", &bind[..]].concat()] {
        let mut rig = Rig::new(Role::Smsc);
        let out = rig.bytes(&octets);
        assert!(matches!(out[..], [Output::BindRequested(_)]), "{out:?}");
    }
}

#[test]
fn impossible_lengths_close_the_session_and_possible_ones_never_do() {
    for length in [0u32, 15, 1 << 31, u32::MAX, 65_537] {
        let mut rig = Rig::bound();
        let out = rig.bytes(&length.to_be_bytes());
        assert_eq!(out, [Output::Close(CloseReason::BadLength)], "{length}");
    }
    let mut rig = Rig::bound();
    let wire = pdu(CommandId::ENQUIRE_LINK, OK, 1, &vec![0; 65_520]);
    assert_eq!(rig.bytes(&wire), []);
    assert!(rig.is_in_step());
}

#[test]
fn a_bind_and_traffic_may_share_a_segment_or_come_octet_by_octet() {
    let mut stream = Vec::new();
    Bind::new(BindKind::Transceiver, "client", "secret").encode(&mut stream, 1);
    for sequence in 2..5 {
        stream.extend(encoded(&hello(), sequence));
    }
    for size in [1, 7, stream.len()] {
        let mut rig = Rig::new(Role::Smsc);
        let mut requests = Vec::new();
        for chunk in stream.chunks(size) {
            let mut out = rig.bytes(chunk);
            if matches!(out.last(), Some(Output::BindRequested(_))) {
                out = rig.step(Input::Accept);
            }
            for output in out {
                if let Output::Request { sequence, .. } = output {
                    requests.push(sequence);
                }
            }
        }
        assert_eq!(requests, [2, 3, 4], "chunks of {size}");
    }
}

#[test]
fn long_messages_from_phones_come_in_four_forms() {
    let place = |body: &[u8]| {
        let message = Rig::bound().deliver(body);
        (Segment::of(&message.view()).map(|s| (s.reference, s.total, s.number)), message)
    };
    let (eight, _) = place(&deliver_body(ESM_UDHI, 0, b"\x05\0\x03\x2a\x02\x01text", b""));
    assert_eq!(eight, Some((42, 2, 1)));
    let (sixteen, _) = place(&deliver_body(ESM_UDHI, 0, b"\x06\x08\x04\x01\x2a\x02\x02text", b""));
    assert_eq!(sixteen, Some((298, 2, 2)));
    let mut rest = Vec::new();
    tlv::write(&mut rest, tlv::SAR_TOTAL_SEGMENTS, &[3]);
    tlv::write(&mut rest, tlv::SAR_SEGMENT_SEQNUM, &[3]);
    tlv::write(&mut rest, tlv::SAR_MSG_REF_NUM, &[0, 42]);
    assert_eq!(place(&deliver_body(0, 0, b"text", &rest)).0, Some((42, 3, 3)));
    let mut rest = Vec::new();
    tlv::write(&mut rest, tlv::MESSAGE_PAYLOAD, &[b'x'; 1000]);
    let (alone, message) = place(&deliver_body(0, 0, b"", &rest));
    assert_eq!((alone, message.user_data().len()), (None, 1000));
}

#[test]
fn a_text_shorter_than_it_says_is_taken_from_a_carrier_and_refused_to_a_customer() {
    let mut body = deliver_body(0, 0, b"hello", b"");
    let length = body.len() - 6;
    body[length] = 200;
    assert_eq!(Rig::bound().deliver(&body).short_message, b"hello");
    let mut rig = Rig::server();
    assert_eq!(rig.bytes(&pdu(CommandId::SUBMIT_SM, OK, 7, &body)), []);
    assert_eq!(rig.sent, [(SUBMIT_RESP, CommandStatus::INVMSGLEN, 7)]);
    assert!(rig.is_in_step());
}
