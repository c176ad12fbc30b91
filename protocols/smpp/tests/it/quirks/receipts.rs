//! Ids that differ between response and receipt, and receipts in every form.

use proto_smpp::message_id::{Rule, alternatives, canonical};
use proto_smpp::receipt::{Receipt, State};
use proto_smpp::{CommandId, Input, Output, tlv, ucs2};

use super::{SUBMIT_RESP, answer, receipt};
use crate::tools::{OK, Rig, deliver_body, pdu};

/// The rule by which the id of a response meets the one told in a receipt, both over the wire.
fn rule(response: &str, told: &str) -> Option<Rule> {
    let (_, id) = answer(OK, format!("{response}\0").as_bytes());
    let said = receipt(4, &format!("id:{told} sub:001 dlvrd:001 stat:DELIVRD err:0 text:"), &[]);
    Rule::between(&canonical(&id), &canonical(&said.message_id.unwrap()))
}

#[test]
fn a_hex_id_meets_its_decimal_receipt_and_the_reverse() {
    assert_eq!(rule("07BC614E", "129786190"), Some(Rule::HexToDec));
    assert_eq!(rule("129786190", "7bc614e"), Some(Rule::DecToHex));
}

#[test]
fn a_64_bit_hex_id_past_i64_meets_its_decimal() {
    assert_eq!(rule("F123456789ABCDEF", "17375808098319191535"), Some(Rule::HexToDec));
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

#[test]
fn a_receipt_ahead_of_its_response_is_handed_up_at_once() {
    let mut rig = Rig::bound();
    let sequence = rig.submit(1);
    let body = deliver_body(4, 0, b"id:77 stat:DELIVRD", b"");
    let mut stream = pdu(CommandId::DELIVER_SM, OK, 9, &body);
    stream.extend(pdu(SUBMIT_RESP, OK, sequence, b"77\0"));
    let out = rig.bytes(&stream);
    assert!(matches!(out[..], [Output::Request { .. }, Output::Answered { tag: 1, .. }]));
}

#[test]
fn a_receipt_without_counts_dates_or_text_is_read() {
    let said = receipt(4, "id:77 stat:UNDELIV err:045", &[]);
    assert_eq!((said.state, said.error.as_deref()), (Some(State::Undeliverable), Some("045")));
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
        assert_eq!(receipt(4, &format!("id:7 stat:{word}"), &[]).state, Some(state), "{word}");
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
    assert_eq!((said.state, said.text.as_deref()), (Some(State::Delivered), Some("Привет")));
}

#[test]
fn a_receipt_may_be_tlvs_alone_or_an_id_without_a_state() {
    let said = receipt(4, "", &[(tlv::RECEIPTED_MESSAGE_ID, b"77\0"), (tlv::MESSAGE_STATE, &[2])]);
    assert_eq!((said.message_id, said.state), (Some(b"77".to_vec()), Some(State::Delivered)));
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
    let Some(Output::Request { command, sequence, message }) = out.pop() else { panic!() };
    assert_eq!(Receipt::parse(&message.view()).state, Some(State::Expired));
    rig.step(Input::Answer { command, sequence, status: OK, message_id: b"" });
    assert_eq!(rig.sent.pop(), Some((CommandId::DATA_SM.response(), OK, 9)));
}

#[test]
fn a_private_comma_form_is_read() {
    let said = receipt(4, "77,447700900123,2611241305,DELIVRD", &[]);
    assert_eq!((said.message_id, said.state), (Some(b"77".to_vec()), Some(State::Delivered)));
}

#[test]
fn the_class_of_a_receipt_may_have_other_bits_or_none() {
    let text = "id:77 sub:001 dlvrd:001 stat:DELIVRD err:000 text:x";
    for esm_class in [0x04, 0x44, 0x24, 0x20, 0x00, 0xC4, 0x07] {
        assert_eq!(receipt(esm_class, text, &[]).state, Some(State::Delivered), "{esm_class:#x}");
    }
}

#[test]
fn a_network_error_of_any_length_may_disagree_with_the_text() {
    let code: (u16, &[u8]) = (tlv::NETWORK_ERROR_CODE, &[3, 0, 27]);
    let said = receipt(4, "id:7 stat:UNDELIV err:001", &[code]);
    assert_eq!((said.error.as_deref(), said.network_error), (Some("001"), Some(vec![3, 0, 27])));
    for odd in [&b""[..], b"\x01", b"\x01\x02", b"\x01\x02\x03\x04\x05"] {
        let said = receipt(4, "id:7 stat:UNDELIV", &[(tlv::NETWORK_ERROR_CODE, odd)]);
        assert_eq!(said.error.is_some(), !odd.is_empty());
    }
}
