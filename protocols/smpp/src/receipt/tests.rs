//! Receipts as carriers send them.

use super::*;

const BOOK: &str = "id:0123abcdef sub:001 dlvrd:001 submit date:2611241305 done date:2611241306 \
                    stat:DELIVRD err:000 text:Hello stat:REJECTD";

fn deliver(esm_class: u8, data: &[u8]) -> Message {
    Message {
        command: CommandId::DELIVER_SM,
        esm_class,
        short_message: data.to_vec(),
        ..Message::default()
    }
}

fn parse(text: &str) -> Receipt {
    Receipt::parse(&deliver(4, text.as_bytes()).view())
}

fn id(receipt: &Receipt) -> Option<&str> {
    receipt.message_id.as_deref().map(|id| std::str::from_utf8(id).unwrap())
}

#[test]
fn the_form_of_the_book_is_read_whole() {
    let receipt = parse(BOOK);
    assert_eq!(id(&receipt), Some("0123abcdef"));
    assert_eq!((receipt.state, receipt.stat.as_deref()), (Some(State::Delivered), Some("DELIVRD")));
    assert_eq!((receipt.submitted, receipt.delivered), (Some(1), Some(1)));
    assert_eq!(receipt.submit_date, Stamp::parse("2611241305"));
    assert_eq!(receipt.done_date, Stamp::parse("2611241306"));
    assert_eq!(receipt.error.as_deref(), Some("000"));
    assert_eq!(receipt.text.as_deref(), Some("Hello stat:REJECTD"));
}

#[test]
fn fields_may_be_missing() {
    let receipt = parse("id:7 stat:EXPIRED");
    assert_eq!((id(&receipt), receipt.state), (Some("7"), Some(State::Expired)));
    assert_eq!((receipt.submitted, receipt.error, receipt.text), (None, None, None));
}

#[test]
fn an_empty_field_does_not_swallow_the_next() {
    let receipt = parse("id:7 sub: dlvrd: submit date: done date: stat:UNDELIV err: text:");
    assert_eq!((receipt.state, receipt.error), (Some(State::Undeliverable), None));
    assert_eq!((receipt.submitted, receipt.text.as_deref()), (None, Some("")));
    let receipt = parse("id:sub:001 stat:DELIVRD err:text:x");
    assert_eq!((receipt.message_id, receipt.submitted), (None, Some(1)));
    assert_eq!((receipt.error, receipt.text.as_deref()), (None, Some("x")));
}

#[test]
fn keys_come_in_any_case_order_and_spacing() {
    for text in [
        "ID:7 SUB:001 DLVRD:000 STAT:REJECTD ERR:12",
        "stat: Rejected, id: 7, err: 12",
        "id:7;sub:1;err:12;stat:rejectd;",
        "id:7 submit_date:2611241305 donedate:2611241305 state:REJECTED error:12\0",
        "id:7\r\nstat:REJECTD\r\nerr:12",
    ] {
        let receipt = parse(text);
        assert_eq!((id(&receipt), receipt.state), (Some("7"), Some(State::Rejected)), "{text}");
        assert_eq!(receipt.error.as_deref(), Some("12"), "{text}");
    }
}

#[test]
fn a_key_counts_only_at_the_start_of_a_word_and_the_first_time() {
    let receipt = parse("xid:9 id:7 substat:EXPIRED stat:DELIVRD id:8 stat:REJECTD");
    assert_eq!((id(&receipt), receipt.state), (Some("7"), Some(State::Delivered)));
}

#[test]
fn odd_words_have_a_state_and_unknown_words_are_kept() {
    for (word, state) in [
        ("DELIVRD", Some(State::Delivered)),
        ("Delivered", Some(State::Delivered)),
        ("ACCEPTD", Some(State::Accepted)),
        ("ACKED", Some(State::Accepted)),
        ("BUFFRED", Some(State::Enroute)),
        ("BUFFERD", Some(State::Enroute)),
        ("ENROUTE", Some(State::Enroute)),
        ("FAILED", Some(State::Undeliverable)),
        ("UNDELIVERABLE", Some(State::Undeliverable)),
        ("DELETED", Some(State::Deleted)),
        ("UNKNOWN", Some(State::Unknown)),
        ("REJECTD", Some(State::Rejected)),
        ("2", Some(State::Delivered)),
        ("QUUX", None),
        ("99", None),
    ] {
        let receipt = parse(&format!("id:7 stat:{word} err:0"));
        assert_eq!(receipt.state, state, "{word}");
        assert_eq!(receipt.stat.as_deref(), Some(word));
    }
}

#[test]
fn every_state_comes_back_from_its_word_and_its_code() {
    for code in 1..=8 {
        let state = State::of_code(code).unwrap();
        assert_eq!(state.code(), code);
        assert_eq!(State::of_word(state.word()), Some(state));
    }
    assert_eq!(State::of_code(10), None);
    assert!(State::Delivered.is_final() && !State::Accepted.is_final());
}

#[test]
fn an_error_may_be_short_long_letters_or_missing() {
    for error in ["1", "04", "000", "1050", "EC_0x1"] {
        let text = format!("id:7 stat:UNDELIV err:{error} text:x");
        assert_eq!(parse(&text).error.as_deref(), Some(error));
    }
    assert_eq!(parse("id:7 stat:UNDELIV text:x").error, None);
}

#[test]
fn a_receipt_in_ucs2_is_read() {
    let mut message = deliver(4, &ucs2::encode(BOOK));
    message.data_coding = 8;
    assert_eq!(Receipt::parse(&message.view()), parse(BOOK));
    message.data_coding = 0;
    assert_eq!(Receipt::parse(&message.view()), parse(BOOK), "even when it does not say so");
    let wrong = Message { data_coding: 8, ..deliver(4, BOOK.as_bytes()) };
    assert_eq!(Receipt::parse(&wrong.view()), parse(BOOK), "or says so and is not");
}

#[test]
fn a_receipt_in_the_payload_is_read() {
    let mut message = deliver(4, b"");
    message.push_tlv(tlv::MESSAGE_PAYLOAD, BOOK.as_bytes());
    assert_eq!(Receipt::parse(&message.view()), parse(BOOK));
}

#[test]
fn a_receipt_by_data_sm_is_read() {
    let mut message = deliver(4, b"");
    message.command = CommandId::DATA_SM;
    message.push_tlv(tlv::MESSAGE_PAYLOAD, BOOK.as_bytes());
    assert!(is_receipt(&message.view()));
    assert_eq!(Receipt::parse(&message.view()), parse(BOOK));
}

#[test]
fn tlvs_alone_are_a_receipt() {
    let mut message = deliver(0, b"");
    message.push_tlv(tlv::RECEIPTED_MESSAGE_ID, b"d290f1ee-6c54-4b01-90e6-d701748f0851\0");
    assert!(is_receipt(&message.view()));
    let receipt = Receipt::parse(&message.view());
    assert_eq!(id(&receipt), Some("d290f1ee-6c54-4b01-90e6-d701748f0851"));
    assert_eq!(receipt.state, None, "an id without a state says no state");
    message.push_tlv(tlv::MESSAGE_STATE, &[3]);
    assert_eq!(Receipt::parse(&message.view()).state, Some(State::Expired));
}

#[test]
fn the_tlvs_outweigh_the_text() {
    let mut message = deliver(4, b"id:7 stat:DELIVRD err:001");
    message.push_tlv(tlv::RECEIPTED_MESSAGE_ID, b"abc");
    message.push_tlv(tlv::MESSAGE_STATE, &[5]);
    message.push_tlv(tlv::NETWORK_ERROR_CODE, &[3, 0, 27]);
    let receipt = Receipt::parse(&message.view());
    assert_eq!((id(&receipt), receipt.state), (Some("abc"), Some(State::Undeliverable)));
    assert_eq!(receipt.error.as_deref(), Some("001"), "what both say is kept apart");
    assert_eq!(receipt.network_error, Some(vec![3, 0, 27]));
}

#[test]
fn empty_or_impossible_tlvs_leave_the_text_standing() {
    let mut message = deliver(4, b"id:7 stat:DELIVRD");
    message.push_tlv(tlv::RECEIPTED_MESSAGE_ID, b"\0");
    message.push_tlv(tlv::MESSAGE_STATE, &[77]);
    message.push_tlv(tlv::NETWORK_ERROR_CODE, b"");
    let receipt = Receipt::parse(&message.view());
    assert_eq!((id(&receipt), receipt.state), (Some("7"), Some(State::Delivered)));
    assert_eq!(receipt.network_error, None);
}

#[test]
fn network_errors_of_any_length_are_told() {
    for (value, told) in
        [(&[3u8, 1, 2][..], "258"), (&[1, 2], "258"), (&[9], "9"), (&[3, 0, 0, 1], "03000001")]
    {
        let mut message = deliver(4, b"id:7 stat:UNDELIV");
        message.push_tlv(tlv::NETWORK_ERROR_CODE, value);
        assert_eq!(Receipt::parse(&message.view()).error.as_deref(), Some(told));
    }
}

#[test]
fn a_private_comma_form_gives_id_and_state() {
    let receipt = parse("1290341,447700900123,DELIVRD,2611241305,000");
    assert_eq!((id(&receipt), receipt.state), (Some("1290341"), Some(State::Delivered)));
    assert_eq!(parse("nothing,known,here"), Receipt::default());
}

#[test]
fn every_esm_class_of_a_receipt_is_known() {
    for esm_class in [0x04, 0x44, 0x20, 0x84, 0x00, 0x40, 0x01, 0x08, 0x10] {
        assert!(is_receipt(&deliver(esm_class, BOOK.as_bytes()).view()), "{esm_class:#x}");
    }
    assert_eq!(Receipt::parse(&deliver(0x44, BOOK.as_bytes()).view()), parse(BOOK));
    let with_header = [b"\x05\0\x03\x01\x02\x01", BOOK.as_bytes()].concat();
    assert_eq!(Receipt::parse(&deliver(0x44, &with_header).view()), parse(BOOK));
}

#[test]
fn an_ordinary_message_is_no_receipt() {
    for text in ["", "id: please", "my id:7 has stat:DELIVRD sub:1", "id:7 stat:DELIVRD", "Hi"] {
        assert!(!is_receipt(&deliver(0, text.as_bytes()).view()), "{text}");
    }
    // An SME's own acknowledgement is not the SMSC's receipt.
    assert!(!is_receipt(&deliver(0x08, b"thanks, got it").view()));
}

#[test]
fn a_text_in_latin_1_or_garbage_is_read_as_far_as_it_goes() {
    let receipt = Receipt::parse(&deliver(4, b"id:caf\xe9 stat:DELIVRD text:\xff\0").view());
    assert_eq!(receipt.message_id.as_deref(), Some(&b"caf\xe9"[..]));
    assert_eq!(receipt.text.as_deref(), Some("ÿ"));
    assert_eq!(Receipt::parse(&deliver(4, b"\xff\xfe\x00").view()), Receipt::default());
}

#[test]
fn a_written_receipt_reads_back_by_text_and_by_tlvs() {
    let written = Written {
        message_id: "0019f2",
        state: State::Undeliverable,
        error: 27,
        submit_date: Stamp::parse("2611241305").unwrap(),
        done_date: Stamp::parse("2611241307").unwrap(),
        text: "Zażółć gęślą jaźń, and more of it",
        tlvs: true,
    };
    let (sender, recipient) = (Address::new(5, 0, "Orbit"), Address::new(1, 1, "447700900123"));
    let mut message = write(&written, &sender, &recipient);
    assert_eq!((&message.source, &message.destination), (&recipient, &sender));
    for with_tlvs in [true, false] {
        if !with_tlvs {
            message.tlvs.clear();
        }
        let receipt = Receipt::parse(&message.view());
        assert!(is_receipt(&message.view()));
        assert_eq!((id(&receipt), receipt.state), (Some("0019f2"), Some(State::Undeliverable)));
        assert_eq!(receipt.error.as_deref(), Some("027"));
        assert_eq!(receipt.done_date, Some(written.done_date));
        assert_eq!(receipt.text.as_deref(), Some("Za???? g??l? ja??, a"));
    }
    let bare = write(&Written { tlvs: false, ..written }, &sender, &recipient);
    assert!(bare.tlvs.is_empty());
}
