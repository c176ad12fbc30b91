//! Seeded garbage: no panic anywhere, and what is well formed comes back octet for octet.

use proto_smpp::frame::Frames;
use proto_smpp::receipt::{self, Receipt};
use proto_smpp::segment::Segment;
use proto_smpp::{Bind, CommandId, Input, Message, MessageView, Output, message_id, text};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::tools::{Rig, encoded, octets, pdu, rng, well_formed};

const ROUNDS: u64 = 3_000;

#[test]
fn a_well_formed_message_comes_back_octet_for_octet() {
    let mut rng = rng(1);
    for _ in 0..ROUNDS {
        let message = well_formed(&mut rng);
        let wire = encoded(&message, rng.random());
        let view = MessageView::parse(message.command, &wire[16..]).unwrap();
        assert_eq!(view.to_message(), message);
        assert_eq!(view, message.view());
        let mut again = Vec::new();
        let sequence = u32::from_be_bytes(wire[12..16].try_into().unwrap());
        view.encode(&mut again, sequence).unwrap();
        assert_eq!(again, wire);
        assert_eq!(message.check(), Ok(()));
    }
}

#[test]
fn what_can_be_read_at_all_can_be_written_and_read_the_same() {
    let mut rng = rng(2);
    let mut read = 0;
    for _ in 0..ROUNDS * 2 {
        let command = well_formed(&mut rng).command;
        let body = mangled_body(&mut rng);
        let Ok(message) = Message::decode(command, &body) else {
            continue;
        };
        read += 1;
        let again = encoded(&message, 1);
        assert_eq!(Message::decode(command, &again[16..]), Ok(message));
    }
    assert!(read > ROUNDS / 3, "only {read} were read");
}

#[test]
fn no_body_makes_a_reader_panic() {
    let mut rng = rng(3);
    for _ in 0..ROUNDS {
        let body = if rng.random() { octets(&mut rng, 300) } else { mangled_body(&mut rng) };
        for command in [CommandId::SUBMIT_SM, CommandId::DELIVER_SM, CommandId::DATA_SM] {
            let Ok(view) = MessageView::parse(command, &body) else {
                continue;
            };
            let _ = receipt::is_receipt(&view);
            let _ = Receipt::parse(&view);
            let _ = Segment::of(&view);
            let _ = text::decode(view.data_coding, view.split_udh().1);
        }
        let _ = Bind::decode(CommandId::BIND_RECEIVER, &body);
        let id = message_id::canonical(&body);
        assert!(id.chars().count() <= message_id::LONGEST);
        let _ = message_id::alternatives(&id);
    }
}

#[test]
fn a_receipt_mangled_anywhere_is_still_read_without_a_panic() {
    let whole = "id:0123456789 sub:001 dlvrd:001 submit date:2611241305 done date:2611241306 \
                 stat:DELIVRD err:000 text:Hello";
    let mut rng = rng(4);
    for _ in 0..ROUNDS {
        let mut data = whole.as_bytes().to_vec();
        mangle(&mut rng, &mut data);
        let mut message =
            Message::new(CommandId::DELIVER_SM, Default::default(), Default::default());
        message.esm_class = rng.random();
        message.data_coding = [0, 3, 8, 0xF0][rng.random_range(0..4)];
        message.short_message = data;
        let _ = Receipt::parse(&message.view());
        let _ = receipt::is_receipt(&message.view());
    }
}

#[test]
fn bytes_at_random_close_the_session_or_leave_it_in_step() {
    let mut rng = rng(5);
    for _ in 0..300 {
        let mut rig = if rng.random() { Rig::bound() } else { Rig::server() };
        let mut closed = false;
        for _ in 0..20 {
            let bytes = octets(&mut rng, 200);
            let out = rig.bytes(&bytes);
            closed |= out.iter().any(|output| matches!(output, Output::Close(_)));
        }
        assert_eq!(closed, rig.session.is_closed());
    }
}

#[test]
fn framed_garbage_never_costs_the_session() {
    let mut rng = rng(6);
    for round in 0..300 {
        let mut rig = if round % 2 == 0 { Rig::bound() } else { Rig::server() };
        for tag in 0..5 {
            rig.submit(tag);
        }
        let mut stream = Vec::new();
        for _ in 0..20 {
            let command = any_command_but_unbind(&mut rng);
            let status = proto_smpp::CommandStatus(rng.random_range(0..0x70));
            let body = if rng.random() { octets(&mut rng, 200) } else { mangled_body(&mut rng) };
            stream.extend(pdu(command, status, rng.random_range(0..50), &body));
        }
        let size = rng.random_range(1..100);
        for chunk in stream.chunks(size) {
            let out = rig.bytes(chunk);
            for output in &out {
                assert!(!matches!(output, Output::Close(_)), "{output:?}");
            }
        }
        assert!(rig.session.is_bound() && rig.is_in_step());
        let left = rig.session.in_flight();
        assert_eq!(rig.session.into_unanswered().len(), left);
    }
}

#[test]
fn a_framer_cuts_the_same_whatever_the_chunks() {
    let mut rng = rng(7);
    for _ in 0..200 {
        let mut stream = Vec::new();
        for _ in 0..rng.random_range(1..8) {
            stream.extend(encoded(&well_formed(&mut rng), rng.random()));
        }
        let (mut frames, mut rest, mut cut) = (Frames::default(), &stream[..], Vec::new());
        while !rest.is_empty() {
            let size = rng.random_range(1..=rest.len().min(64));
            let (mut chunk, after) = rest.split_at(size);
            rest = after;
            while let Some(frame) = frames.next(&mut chunk).unwrap() {
                let header = frame.header;
                cut.extend(pdu(header.command, header.status, header.sequence, frame.body));
            }
        }
        assert_eq!(cut, stream);
    }
}

#[test]
fn a_thousand_answers_to_nothing_are_counted_and_forgotten() {
    let mut rig = Rig::bound();
    for sequence in 100..1100 {
        let response = pdu(CommandId::SUBMIT_SM.response(), crate::tools::OK, sequence, b"id\0");
        assert_eq!(rig.bytes(&response), []);
    }
    assert_eq!(rig.session.stats().unknown_responses, 1000);
    assert_eq!(rig.step(Input::Tick), []);
}

fn mangled_body(rng: &mut StdRng) -> Vec<u8> {
    let mut body = encoded(&well_formed(rng), 1).split_off(16);
    mangle(rng, &mut body);
    body
}

/// A few octets changed, put in, taken out, or the end cut off.
fn mangle(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(0..4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..5) {
            0 => bytes[at] = rng.random(),
            1 => bytes.insert(at, rng.random()),
            2 => drop(bytes.remove(at)),
            3 => bytes[at] = 0,
            _ => bytes.truncate(at),
        }
    }
}

fn any_command_but_unbind(rng: &mut StdRng) -> CommandId {
    loop {
        let number = if rng.random() { rng.random_range(0..0x20) } else { rng.random() };
        let response = if rng.random() { 0x8000_0000 } else { 0 };
        let command = CommandId(number | response);
        if command != CommandId::UNBIND {
            return command;
        }
    }
}
