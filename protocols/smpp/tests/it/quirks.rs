//! What carriers and customers really send. Each test is a fact that broke some gateway once.

use std::time::Duration;

use proto_smpp::message_id::{Rule, alternatives, canonical};
use proto_smpp::pdu::message::ESM_UDHI;
use proto_smpp::receipt::{Receipt, State, is_receipt};
use proto_smpp::segment::Segment;
use proto_smpp::{
    Bind, BindKind, CloseReason, CommandId, CommandStatus, Input, Output, Role, gsm7, text, tlv,
    ucs2,
};

use crate::tools::{OK, Rig, deliver_body, encoded, hello, pdu};

const SUBMIT_RESP: CommandId = CommandId(0x8000_0004);

/// Submits, answers with this status and body, and gives what comes out of it.
fn answer(status: CommandStatus, body: &[u8]) -> (CommandStatus, Vec<u8>) {
    let mut rig = Rig::bound();
    let sequence = rig.submit(1);
    let mut out = rig.bytes(&pdu(SUBMIT_RESP, status, sequence, body));
    assert!(rig.is_in_step());
    match (out.pop(), out.len()) {
        (
            Some(Output::Answered {
                tag: 1,
                status,
                message_id,
            }),
            0,
        ) => (status, message_id),
        (other, _) => panic!("{other:?}"),
    }
}

/// Delivers a receipt's text with TLVs through a session and reads it.
fn receipt(esm_class: u8, text: &str, tlvs: &[(u16, &[u8])]) -> Receipt {
    let mut rest = Vec::new();
    for (tag, value) in tlvs {
        tlv::write(&mut rest, *tag, value);
    }
    let message = Rig::bound().deliver(&deliver_body(esm_class, 0, text.as_bytes(), &rest));
    assert!(is_receipt(&message.view()));
    Receipt::parse(&message.view())
}

fn rule(response: &str, told: &str) -> Option<Rule> {
    let (_, id) = answer(OK, format!("{response}\0").as_bytes());
    let said = receipt(
        4,
        &format!("id:{told} sub:001 dlvrd:001 stat:DELIVRD err:0 text:"),
        &[],
    );
    Rule::between(&canonical(&id), &canonical(&said.message_id.unwrap()))
}

// Message ids.

#[test]
fn a_hex_id_meets_its_decimal_receipt_and_the_reverse() {
    assert_eq!(rule("07BC614E", "129786190"), Some(Rule::HexToDec));
    assert_eq!(rule("129786190", "7bc614e"), Some(Rule::DecToHex));
}

#[test]
fn a_64_bit_hex_id_past_i64_meets_its_decimal() {
    assert_eq!(
        rule("F123456789ABCDEF", "17375808098319191535"),
        Some(Rule::HexToDec)
    );
    assert_eq!(alternatives("ffffffffffffffff"), ["18446744073709551615"]);
}

#[test]
fn zeros_and_letter_case_do_not_part_an_id_from_its_receipt() {
    assert_eq!(rule("0000000123", "123"), Some(Rule::Same));
    assert_eq!(rule("123", "0000000123"), Some(Rule::Same));
    assert_eq!(rule("0aBcDeF", "ABCDEF"), Some(Rule::Same));
}

#[test]
fn dashed_long_and_sar_ids_come_through_whole() {
    let uuid = "D290F1EE-6C54-4B01-90E6-D701748F0851";
    assert_eq!(rule(uuid, &uuid.to_lowercase()), Some(Rule::Same));
    assert_eq!(rule("SAR-99-0A-2", "SAR-99-0A-2"), Some(Rule::Same));
    let long = "7".repeat(150);
    assert_eq!(rule(&long, &long), Some(Rule::Same));
}

#[test]
fn an_ok_response_may_name_no_message() {
    assert_eq!(answer(OK, b""), (OK, Vec::new()));
    assert_eq!(answer(OK, b"\0"), (OK, Vec::new()));
}

// Receipts.

#[test]
fn a_receipt_ahead_of_its_response_is_handed_up_at_once() {
    let mut rig = Rig::bound();
    let sequence = rig.submit(1);
    let body = deliver_body(4, 0, b"id:77 stat:DELIVRD", b"");
    let mut stream = pdu(CommandId::DELIVER_SM, OK, 9, &body);
    stream.extend(pdu(SUBMIT_RESP, OK, sequence, b"77\0"));
    let out = rig.bytes(&stream);
    assert!(matches!(
        out[..],
        [Output::Request { .. }, Output::Answered { tag: 1, .. }]
    ));
}

#[test]
fn a_receipt_without_counts_dates_or_text_is_read() {
    let said = receipt(4, "id:77 stat:UNDELIV err:045", &[]);
    assert_eq!(
        (said.state, said.error.as_deref()),
        (Some(State::Undeliverable), Some("045"))
    );
}

#[test]
fn words_the_book_lacks_have_a_meaning() {
    for (word, state) in [
        ("FAILED", State::Undeliverable),
        ("ACKED", State::Accepted),
        ("BUFFRED", State::Enroute),
        ("BUFFERD", State::Enroute),
        ("delivered", State::Delivered),
    ] {
        assert_eq!(
            receipt(4, &format!("id:7 stat:{word}"), &[]).state,
            Some(state),
            "{word}"
        );
    }
    let odd = receipt(4, "id:7 stat:WHATEVER", &[]);
    assert_eq!((odd.state, odd.stat.as_deref()), (None, Some("WHATEVER")));
}

#[test]
fn an_error_has_any_length_or_letters_or_is_missing() {
    for error in ["04", "1234", "EC01", "0"] {
        let said = receipt(4, &format!("id:7 stat:REJECTD err:{error} text:x"), &[]);
        assert_eq!(said.error.as_deref(), Some(error));
    }
    assert_eq!(receipt(4, "id:7 stat:REJECTD err: text:x", &[]).error, None);
}

#[test]
fn dates_come_with_seconds_long_years_or_zeros() {
    let done = |date: &str| {
        let said = receipt(4, &format!("id:7 done date:{date} stat:DELIVRD"), &[]);
        said.done_date.map(|d| (d.year, d.month, d.second))
    };
    assert_eq!(done("2611241305"), Some((2026, 11, 0)));
    assert_eq!(done("261124130559"), Some((2026, 11, 59)));
    assert_eq!(done("20261124130559"), Some((2026, 11, 59)));
    assert_eq!(done("0000000000"), None);
}

#[test]
fn a_receipt_may_be_in_ucs2() {
    let text = ucs2::encode("id:77 sub:001 dlvrd:001 stat:DELIVRD err:000 text:Привет");
    let message = Rig::bound().deliver(&deliver_body(4, 8, &text, b""));
    let said = Receipt::parse(&message.view());
    assert_eq!(
        (said.state, said.text.as_deref()),
        (Some(State::Delivered), Some("Привет"))
    );
}

#[test]
fn a_receipt_may_be_tlvs_alone_or_an_id_without_a_state() {
    let said = receipt(
        4,
        "",
        &[
            (tlv::RECEIPTED_MESSAGE_ID, b"77\0"),
            (tlv::MESSAGE_STATE, &[2]),
        ],
    );
    assert_eq!(
        (said.message_id, said.state),
        (Some(b"77".to_vec()), Some(State::Delivered))
    );
    let said = receipt(0, "", &[(tlv::RECEIPTED_MESSAGE_ID, b"77\0")]);
    assert_eq!((said.message_id, said.state), (Some(b"77".to_vec()), None));
}

#[test]
fn a_receipt_may_lie_in_the_payload_and_come_by_data_sm() {
    let said = receipt(4, "", &[(tlv::MESSAGE_PAYLOAD, b"id:77 stat:EXPIRED")]);
    assert_eq!(said.state, Some(State::Expired));
    let mut body = b"\0\x01\x01447700900123\0\x05\0Orbit\0\x04\0\0".to_vec();
    tlv::write(&mut body, tlv::MESSAGE_PAYLOAD, b"id:77 stat:EXPIRED");
    let mut rig = Rig::bound();
    let mut out = rig.bytes(&pdu(CommandId::DATA_SM, OK, 9, &body));
    let Some(Output::Request {
        command,
        sequence,
        message,
    }) = out.pop()
    else {
        panic!()
    };
    assert_eq!(Receipt::parse(&message.view()).state, Some(State::Expired));
    rig.step(Input::Answer {
        command,
        sequence,
        status: OK,
        message_id: b"",
    });
    assert_eq!(rig.sent.pop(), Some((CommandId::DATA_SM.response(), OK, 9)));
}

#[test]
fn a_private_comma_form_is_read() {
    let said = receipt(4, "77,447700900123,2611241305,DELIVRD", &[]);
    assert_eq!(
        (said.message_id, said.state),
        (Some(b"77".to_vec()), Some(State::Delivered))
    );
}

#[test]
fn the_class_of_a_receipt_may_have_other_bits_or_none() {
    let text = "id:77 sub:001 dlvrd:001 stat:DELIVRD err:000 text:x";
    for esm_class in [0x04, 0x44, 0x24, 0x20, 0x00, 0xC4, 0x07] {
        assert_eq!(
            receipt(esm_class, text, &[]).state,
            Some(State::Delivered),
            "{esm_class:#x}"
        );
    }
}

#[test]
fn a_network_error_of_any_length_may_disagree_with_the_text() {
    let code: (u16, &[u8]) = (tlv::NETWORK_ERROR_CODE, &[3, 0, 27]);
    let said = receipt(4, "id:7 stat:UNDELIV err:001", &[code]);
    assert_eq!(
        (said.error.as_deref(), said.network_error),
        (Some("001"), Some(vec![3, 0, 27]))
    );
    for odd in [&b""[..], b"\x01", b"\x01\x02", b"\x01\x02\x03\x04\x05"] {
        let said = receipt(4, "id:7 stat:UNDELIV", &[(tlv::NETWORK_ERROR_CODE, odd)]);
        assert_eq!(said.error.is_some(), !odd.is_empty());
    }
}

// Parsing.

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
        .map(|out| {
            if let Output::Answered { message_id, .. } = out {
                message_id
            } else {
                vec![]
            }
        })
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
    assert_eq!(
        Receipt::parse(&message.view()).state,
        Some(State::Delivered)
    );
    let message = rig.deliver(&deliver_body(0, 0, b"text", b"\0"));
    assert_eq!(
        (&message.short_message[..], &message.tlvs[..]),
        (&b"text"[..], &b""[..])
    );
}

#[test]
fn nuls_inside_a_text_stay_and_a_field_without_one_costs_only_its_pdu() {
    let mut rig = Rig::bound();
    assert_eq!(
        rig.deliver(&deliver_body(0, 0, b"a\0b", b"")).short_message,
        b"a\0b"
    );
    assert_eq!(
        rig.bytes(&pdu(
            CommandId::DELIVER_SM,
            OK,
            7,
            b"\0\x01\x01447700900123"
        )),
        []
    );
    assert_eq!(rig.sent.pop().unwrap().1, CommandStatus::X_R_APPN);
    assert!(rig.is_in_step());
}

#[test]
fn vendor_tlvs_on_any_pdu_are_kept_in_order_and_passed_on_unchanged() {
    let mut rest = Vec::new();
    for tag in [
        0x1401,
        0x1411,
        0x2001,
        0x3177,
        tlv::SC_INTERFACE_VERSION,
        0x1401,
    ] {
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
    let said = receipt(
        4,
        "",
        &[(tlv::MESSAGE_STATE, b""), (tlv::RECEIPTED_MESSAGE_ID, uuid)],
    );
    assert_eq!(said.message_id.as_deref(), Some(&uuid[..]));
    let mut rest = Vec::new();
    tlv::write(&mut rest, tlv::RECEIPTED_MESSAGE_ID, b"77\0");
    rest.extend_from_slice(b"\x04\x27\0\x09\x02");
    let mut rig = Rig::bound();
    let message = rig.deliver(&deliver_body(4, 0, b"", &rest));
    assert_eq!(
        Receipt::parse(&message.view()).message_id,
        Some(b"77".to_vec())
    );
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
    assert_eq!(
        text::decode_as(text::DefaultAlphabet::Latin1, 0, octets),
        "\0@é"
    );
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
    for garbage in [
        &b"\r\n"[..],
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    ] {
        let mut rig = Rig::new(Role::Smsc);
        let mut out = rig.bytes(garbage);
        if garbage.len() < 4 {
            // Two octets are no length yet. With the bind behind them they are a bad one.
            let mut bind = Vec::new();
            Bind::default().encode(&mut bind, 1);
            out = rig.bytes(&bind);
        }
        assert_eq!(out, [Output::Close(CloseReason::BadLength)]);
        let nack = (CommandId::GENERIC_NACK, CommandStatus::INVCMDLEN);
        assert_eq!((rig.sent[0].0, rig.sent[0].1), nack);
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
        (
            Segment::of(&message.view()).map(|s| (s.reference, s.total, s.number)),
            message,
        )
    };
    let (eight, _) = place(&deliver_body(
        ESM_UDHI,
        0,
        b"\x05\0\x03\x2a\x02\x01text",
        b"",
    ));
    assert_eq!(eight, Some((42, 2, 1)));
    let (sixteen, _) = place(&deliver_body(
        ESM_UDHI,
        0,
        b"\x06\x08\x04\x01\x2a\x02\x02text",
        b"",
    ));
    assert_eq!(sixteen, Some((298, 2, 2)));
    let mut rest = Vec::new();
    tlv::write(&mut rest, tlv::SAR_TOTAL_SEGMENTS, &[3]);
    tlv::write(&mut rest, tlv::SAR_SEGMENT_SEQNUM, &[3]);
    tlv::write(&mut rest, tlv::SAR_MSG_REF_NUM, &[0, 42]);
    assert_eq!(
        place(&deliver_body(0, 0, b"text", &rest)).0,
        Some((42, 3, 3))
    );
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

// Session.

#[test]
fn throttles_and_vendor_statuses_are_told_as_they_came() {
    for status in [0x58, 0x14, 0x45, 0x08, 0x400, 0x4FF, 0xFFFF_FFFF] {
        assert_eq!(answer(CommandStatus(status), b"").0.0, status);
    }
}

#[test]
fn a_fast_reconnect_is_told_that_it_is_bound_already() {
    let mut rig = Rig::binding();
    let response = CommandId::BIND_TRANSCEIVER.response();
    let out = rig.bytes(&pdu(response, CommandStatus::ALYBND, 1, b""));
    assert_eq!(out[0], Output::BindRefused(CommandStatus::ALYBND));
}

#[test]
fn a_generic_nack_may_answer_a_bind_or_carry_no_number() {
    let nack = |sequence| {
        pdu(
            CommandId::GENERIC_NACK,
            CommandStatus::INVCMDID,
            sequence,
            b"",
        )
    };
    for sequence in [0, 1] {
        let out = Rig::binding().bytes(&nack(sequence));
        assert_eq!(out[0], Output::BindRefused(CommandStatus::INVCMDID));
    }
    let mut rig = Rig::bound();
    rig.submit(1);
    assert_eq!(
        rig.bytes(&nack(0)),
        [],
        "it may mean anything, so it means nothing"
    );
    assert_eq!((rig.session.in_flight(), rig.session.stats().nacks), (1, 1));
}

#[test]
fn enquire_link_may_come_before_the_bind_and_from_one_side_only() {
    assert!(Rig::new(Role::Smsc).is_in_step());
    assert!(Rig::binding().is_in_step());
    let mut rig = Rig::bound();
    for sequence in 1..100 {
        rig.now += Duration::from_secs(20);
        rig.bytes(&pdu(CommandId::ENQUIRE_LINK, OK, sequence, b""));
        assert_eq!(rig.step(Input::Tick), []);
    }
    assert!(
        rig.sent
            .iter()
            .all(|sent| sent.0 == CommandId::ENQUIRE_LINK.response())
    );
}

#[test]
fn a_peer_that_never_answers_enquire_link_but_sends_traffic_lives() {
    let mut rig = Rig::bound();
    for _ in 0..20 {
        rig.now = rig.session.deadline();
        assert_eq!(rig.step(Input::Tick), []);
        rig.now += Duration::from_secs(5);
        rig.deliver(&deliver_body(0, 0, b"hi", b""));
    }
    assert!(rig.session.is_bound());
    rig.now = rig.session.deadline();
    rig.step(Input::Tick);
    rig.now = rig.session.deadline();
    assert_eq!(
        rig.step(Input::Tick),
        [Output::Close(CloseReason::EnquireTimeout)]
    );
}

#[test]
fn a_link_that_goes_away_without_a_word_gives_the_unanswered_back() {
    let mut rig = Rig::bound();
    rig.submit(1);
    rig.submit(2);
    assert_eq!(rig.session.into_unanswered(), [1, 2]);
}

#[test]
fn a_response_with_an_unknown_or_repeated_number_changes_nothing() {
    let mut rig = Rig::bound();
    let sequence = rig.submit(1);
    for number in [0, sequence + 1, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
        assert_eq!(rig.bytes(&pdu(SUBMIT_RESP, OK, number, b"x\0")), []);
    }
    assert_eq!(rig.bytes(&pdu(SUBMIT_RESP, OK, sequence, b"x\0")).len(), 1);
    assert_eq!(rig.bytes(&pdu(SUBMIT_RESP, OK, sequence, b"x\0")), []);
    assert_eq!(rig.session.stats().unknown_responses, 6);
}

#[test]
fn a_peer_counts_from_wherever_it_likes() {
    let mut rig = Rig::server();
    for sequence in [0, 0x7FFF_FFFF, 0x8000_0000, u32::MAX, 5, 5] {
        let mut out = rig.bytes(&encoded(&hello(), sequence));
        let Some(Output::Request {
            command,
            sequence: came,
            ..
        }) = out.pop()
        else {
            panic!()
        };
        assert_eq!(came, sequence);
        let (status, message_id) = (OK, &b"id"[..]);
        rig.step(Input::Answer {
            command,
            sequence,
            status,
            message_id,
        });
        assert_eq!(rig.sent.pop(), Some((SUBMIT_RESP, OK, sequence)));
    }
}

#[test]
fn names_and_passwords_may_be_too_long_and_the_smscs_empty() {
    let mut rig = Rig::new(Role::Smsc);
    let (name, password) = ("a-system-id-of-more-than-15", "a-password-of-more-than-8");
    let mut wire = Vec::new();
    Bind::new(BindKind::Receiver, name, password).encode(&mut wire, 1);
    let out = rig.bytes(&wire);
    let [Output::BindRequested(bind)] = &out[..] else {
        panic!("{out:?}")
    };
    assert_eq!(
        (bind.system_id.as_str(), bind.password.as_str()),
        (name, password)
    );
    for body in [&b""[..], b"\0", b"no-nul", b"a-very-long-name-of-an-smsc\0"] {
        let response = pdu(CommandId::BIND_TRANSCEIVER.response(), OK, 1, body);
        assert_eq!(Rig::binding().bytes(&response), [Output::Bound]);
    }
}

#[test]
fn versions_of_all_kinds_bind_and_old_ones_are_sent_no_tlv() {
    for (version, octets) in [(0x00, 0), (0x33, 0), (0x34, 5), (0x50, 5)] {
        let mut rig = Rig::new(Role::Smsc);
        let mut wire = Vec::new();
        let bind = Bind {
            interface_version: version,
            ..Bind::new(BindKind::Transceiver, "me", "")
        };
        bind.encode(&mut wire, 1);
        rig.bytes(&wire);
        let mut out = Vec::new();
        rig.session.step(rig.now, Input::Accept, &mut out);
        let Some(Output::Transmit(response)) = out.pop() else {
            panic!()
        };
        assert_eq!(response.len(), 16 + 3 + octets, "{version:#x}");
        assert_eq!(rig.session.peer_version(), Some(version));
    }
}

#[test]
fn an_unbind_that_nobody_answers_ends_by_itself() {
    let mut rig = Rig::bound();
    rig.step(Input::Unbind);
    rig.now = rig.session.deadline();
    assert_eq!(
        rig.step(Input::Tick),
        [Output::Close(CloseReason::UnbindTimeout)]
    );
}
