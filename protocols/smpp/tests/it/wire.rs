//! The examples in `tests/vectors`: read, understood, and written again octet for octet.

use std::fs;
use std::path::Path;

use proto_smpp::message_id::{Rule, canonical};
use proto_smpp::pdu::bind::{self, BindResponse};
use proto_smpp::pdu::manage::{Ask, QueryResponse};
use proto_smpp::pdu::multi::{self, Multi};
use proto_smpp::pdu::notify::{Alert, Outbind};
use proto_smpp::pdu::response::{self, Response};
use proto_smpp::receipt::{Receipt, State, is_receipt};
use proto_smpp::segment::Segment;
use proto_smpp::{Bind, BindKind, CommandId, CommandStatus, Message, frame, text};

use crate::tools::{for_each_frame, pdu};

fn load(path: &Path) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let octet = |hex: &str| u8::from_str_radix(hex, 16).unwrap();
    lines.flat_map(str::split_whitespace).map(octet).collect()
}

fn example(name: &str) -> (frame::Header, Vec<u8>) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(format!("{name}.hex"));
    let mut found = Vec::new();
    for_each_frame(&load(&path), |header, body| found.push((header, body.to_vec())));
    assert_eq!(found.len(), 1, "{name} is one pdu");
    found.remove(0)
}

/// Optional parameters that a bind's response of ours never has.
fn with_rest(ours: &mut Vec<u8>, theirs: &[u8]) {
    ours.extend_from_slice(&theirs[ours.len()..]);
    ours[..4].copy_from_slice(&theirs[..4]);
}

fn message(name: &str) -> Message {
    let (header, body) = example(name);
    Message::decode(header.command, &body).unwrap()
}

#[test]
fn every_example_is_written_again_octet_for_octet() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let wire = load(&path);
        for_each_frame(&wire, |header, body| {
            let mut again = Vec::new();
            let frame::Header { command, status, sequence, .. } = header;
            if command.carries_message() {
                Message::decode(command, body).unwrap().encode(&mut again, sequence).unwrap();
            } else if command.is_bind() {
                Bind::decode(command, body).unwrap().encode(&mut again, sequence);
            } else if let Some(kind) = BindKind::of(command.request()) {
                let view = BindResponse::parse(body);
                let (name, version) = (text::latin1(view.system_id), view.interface_version());
                bind::encode_response(&mut again, kind, status, sequence, &name, version);
                with_rest(&mut again, &wire);
            } else if command.request().carries_message() {
                let Response { message_id, tlvs } = Response::parse(body);
                response::encode_with(&mut again, command, status, sequence, message_id, tlvs);
            } else if let Ok(ask) = Ask::decode(command, body) {
                ask.encode(&mut again, sequence);
            } else if command == CommandId::SUBMIT_MULTI {
                Multi::decode(body).unwrap().encode(&mut again, sequence);
            } else if command == CommandId::SUBMIT_MULTI.response() {
                let (id, bad) = multi::parse_response(body);
                multi::encode_response(&mut again, status, sequence, &id, &bad);
            } else if command == CommandId::QUERY_SM.response() {
                QueryResponse::parse(body).unwrap().encode(&mut again, sequence);
            } else if command == CommandId::ALERT_NOTIFICATION {
                Alert::decode(body).unwrap().encode(&mut again, sequence);
            } else if command == CommandId::OUTBIND {
                Outbind::decode(body).unwrap().encode(&mut again, sequence);
            } else {
                again = pdu(command, status, sequence, body);
            }
            assert_eq!(again, wire, "{}", path.display());
            seen += 1;
        });
    }
    assert!(seen >= 43, "{seen}");
}

#[test]
fn the_specifications_bind_is_read() {
    let (header, body) = example("bind_transmitter");
    let bind = Bind::decode(header.command, &body).unwrap();
    assert_eq!((bind.kind, header.sequence), (BindKind::Transmitter, 1));
    assert_eq!((bind.system_id.as_str(), bind.password.as_str()), ("SMPP3TEST", "secret08"));
    assert_eq!((bind.system_type.as_str(), bind.interface_version), ("SUBMIT1", 0));
    assert_eq!((bind.addr_ton, bind.addr_npi, bind.address_range.as_str()), (1, 1, ""));
    assert!(!bind.takes_tlvs());
}

#[test]
fn a_bind_response_tells_the_version() {
    let (_, body) = example("bind_transceiver_resp");
    assert_eq!(BindResponse::parse(&body).interface_version(), Some(0x34));
}

#[test]
fn texts_are_read_in_their_alphabets() {
    let gsm = message("submit_sm_gsm");
    assert_eq!(text::decode(gsm.data_coding, gsm.user_data()), "Hello € 5");
    assert_eq!(
        (gsm.source.text(), gsm.destination.text()),
        ("Orbit".into(), "447700900123".into())
    );
    let part = message("submit_sm_udh");
    let (_, body) = part.view().split_udh();
    assert_eq!(text::decode(part.data_coding, body), "Привет 😀");
    let payload = message("deliver_sm_mo_payload");
    assert_eq!(text::decode(payload.data_coding, payload.user_data()), "Да");
}

#[test]
fn parts_know_their_place() {
    let place = |name| Segment::of(&message(name).view());
    assert_eq!(place("submit_sm_udh"), Some(Segment { reference: 0xAB, total: 3, number: 2 }));
    assert_eq!(place("submit_sm_sar"), Some(Segment { reference: 0x1AB, total: 2, number: 1 }));
    assert_eq!(place("submit_sm_gsm"), None);
}

#[test]
fn a_receipt_meets_its_response_by_text_and_by_tlv() {
    let (_, body) = example("submit_sm_resp");
    let sent = canonical(Response::parse(&body).message_id);
    let receipt = Receipt::parse(&message("deliver_sm_receipt").view());
    let told = canonical(&receipt.message_id.unwrap());
    assert_eq!(Rule::between(&sent, &told), Some(Rule::Same));
    // The same carrier's text says it in decimal, with other zeros before it.
    assert_eq!(Rule::between(&sent, &canonical(b"0010597059")), Some(Rule::HexToDec));
}

#[test]
fn receipts_tell_their_state() {
    for (name, state) in [
        ("deliver_sm_receipt", State::Delivered),
        ("deliver_sm_receipt_tlvs_only", State::Undeliverable),
        ("data_sm_receipt", State::Expired),
    ] {
        let message = message(name);
        assert!(is_receipt(&message.view()), "{name}");
        assert_eq!(Receipt::parse(&message.view()).state, Some(state), "{name}");
    }
    assert!(!is_receipt(&message("deliver_sm_mo_payload").view()));
}

#[test]
fn a_throttled_response_is_a_header_alone() {
    let (header, body) = example("submit_sm_resp_throttled");
    assert_eq!((header.status, body.len()), (CommandStatus::THROTTLED, 0));
    assert_eq!(header.command, CommandId::SUBMIT_SM.response());
}

#[test]
fn each_example_says_where_it_is_from() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")).unwrap()
    {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# ") && text.lines().next().unwrap().len() > 10, "{path:?}");
    }
}

#[test]
fn what_a_bind_of_five_is_told_is_read() {
    let (_, body) = example("bind_transceiver_resp_50");
    let told = BindResponse::parse(&body);
    assert_eq!(told.interface_version(), Some(0x50));
    assert_eq!(proto_smpp::tlv::find(told.tlvs, proto_smpp::tlv::CONGESTION_STATE), Some(&[0][..]));
    let (_, body) = example("submit_sm_resp_congested");
    let told = Response::parse(&body);
    assert_eq!(told.message_id, b"1000019");
    let congestion = proto_smpp::tlv::find(told.tlvs, proto_smpp::tlv::CONGESTION_STATE);
    assert_eq!(congestion, Some(&[90][..]));
}
