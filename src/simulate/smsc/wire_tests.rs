//! Facts about the framing, with PDUs spelled out octet by octet.

use super::*;

/// A `submit_sm` body: sender Orbit (alphanumeric), one recipient, and what follows.
fn submit_body(esm_class: u8, text: &[u8], tlvs: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x05\x00Orbit\0\x01\x0114155550123\0".to_vec();
    body.extend_from_slice(&[esm_class, 0, 0, 0, 0, 1, 0, 0, 0, text.len() as u8]);
    body.extend_from_slice(text);
    body.extend_from_slice(tlvs);
    body
}

#[test]
fn a_pdu_is_framed_once_all_of_it_is_there() {
    let mut wire = Vec::new();
    put(&mut wire, ENQUIRE_LINK, OK, 7, |_| {});
    put(&mut wire, UNBIND, OK, 8, |out| out.push(0xFF));
    for size in 0..HEADER {
        assert_eq!(frame(&wire[..size]), Frame::Partial);
    }
    let Frame::Whole(first, body) = frame(&wire) else {
        panic!("not framed");
    };
    assert_eq!((first.command, first.sequence, body), (ENQUIRE_LINK, 7, &[][..]));
    let Frame::Whole(second, body) = frame(&wire[first.length..]) else {
        panic!("not framed");
    };
    assert_eq!((second.command, second.length, body), (UNBIND, 17, &[0xFF][..]));
}

#[test]
fn impossible_lengths_break_the_stream() {
    for length in [0_u32, 15, 70_001, 0x4854_5450, u32::MAX] {
        let mut wire = vec![0; HEADER];
        wire[..4].copy_from_slice(&length.to_be_bytes());
        assert!(matches!(frame(&wire), Frame::Broken(_)), "{length}");
    }
}

#[test]
fn a_submit_gives_addresses_and_text() {
    let body = submit_body(0, b"t1-5 hello", &[]);
    let submit = Submit::parse(&body).expect("well formed");
    assert_eq!(submit.source.digits, b"Orbit");
    assert_eq!(submit.destination.digits, b"14155550123");
    assert_eq!(submit.registered_delivery, 1);
    assert_eq!(submit.text, b"t1-5 hello");
    assert_eq!(submit.part, Part::WHOLE);
}

#[test]
fn parts_are_found_in_both_headers_and_in_sar_tlvs() {
    let expected = Part { reference: 0x0102, total: 3, number: 2 };
    let wide = submit_body(0x40, b"\x06\x08\x04\x01\x02\x03\x02abc", &[]);
    let submit = Submit::parse(&wide).expect("well formed");
    assert_eq!((submit.part, submit.text), (expected, &b"abc"[..]));

    let narrow = submit_body(0x40, b"\x05\x00\x03\x09\x03\x02abc", &[]);
    let submit = Submit::parse(&narrow).expect("well formed");
    assert_eq!((submit.part.reference, submit.part.number), (9, 2));

    let sar = [2, 0x0C, 0, 2, 1, 2, 2, 0x0E, 0, 1, 3, 2, 0x0F, 0, 1, 2, 0x14, 0x01, 0, 0];
    let body = submit_body(0, b"abc", &sar);
    assert_eq!(Submit::parse(&body).expect("well formed").part, expected);
}

#[test]
fn a_payload_stands_for_an_empty_text() {
    let body = submit_body(0, b"", &[0x04, 0x24, 0, 2, b'h', b'i']);
    assert_eq!(Submit::parse(&body).expect("well formed").text, b"hi");
}

#[test]
fn a_cut_submit_is_refused_wherever_it_is_cut() {
    let body = submit_body(0, b"hello", &[]);
    for size in 0..body.len() {
        assert!(Submit::parse(&body[..size]).is_none(), "{size}");
    }
    let header_longer_than_text = submit_body(0x40, b"\x09\x00", &[]);
    assert!(Submit::parse(&header_longer_than_text).is_none());
}

#[test]
fn a_delivery_has_the_layout_of_a_submit() {
    let mut wire = Vec::new();
    let address = Address { ton: 1, npi: 1, digits: b"14155550123" };
    let tlvs: &[(u16, &[u8])] = &[(TLV_MESSAGE_STATE, &[2]), (TLV_RECEIPTED_ID, b"abc\0")];
    let deliver = Deliver {
        source: address,
        destination: Address { ton: 5, npi: 0, digits: b"Orbit" },
        esm_class: 0x04,
        text: b"id:1 stat:DELIVRD",
        tlvs,
    };
    put_deliver(&mut wire, 1, &deliver);
    set_sequence(&mut wire, 42);
    let Frame::Whole(header, body) = frame(&wire) else {
        panic!("not framed");
    };
    assert_eq!((header.command, header.sequence), (DELIVER_SM, 42));
    let parsed = Submit::parse(body).expect("same layout");
    assert_eq!(parsed.source, address);
    assert_eq!(parsed.text, b"id:1 stat:DELIVRD");
    assert!(wire.ends_with(b"\x00\x1e\x00\x04abc\0"));
}

#[test]
fn bind_credentials_are_read() {
    let bind = Bind::parse(b"user\0secret\0\0\x34\0\0\0").expect("well formed");
    assert_eq!((bind.system_id, bind.password), (&b"user"[..], &b"secret"[..]));
    assert!(Bind::parse(b"user").is_none());
}
