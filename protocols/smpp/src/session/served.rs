//! What an SMSC's session serves beside messages: one text to many, questions, and goodbyes.

use super::tests::{Rig, S, encoded, hello, pdu};
use super::*;
use crate::Address;
use crate::pdu::manage::{Ask, Query, QueryResponse};
use crate::pdu::multi::{Destination, Multi, Unsuccessful, parse_response};

fn multi() -> Multi {
    let address = Address::new(1, 1, "14155550123");
    let message = hello(CommandId::SUBMIT_SM);
    let message = Message { destination: Address::default(), ..message };
    Multi { destinations: vec![Destination::Address(address)], message }
}

fn query(sequence: u32) -> Vec<u8> {
    let mut wire = Vec::new();
    Ask::Query(Query { message_id: b"7".to_vec(), ..Query::default() }).encode(&mut wire, sequence);
    wire
}

#[test]
fn one_text_to_many_is_handed_out_and_answered() {
    let mut rig = Rig::bound_smsc(BindKind::Transmitter);
    let mut wire = Vec::new();
    multi().encode(&mut wire, 9);
    let expected = Output::RequestMulti { sequence: 9, multi: Box::new(multi()) };
    assert_eq!(rig.bytes(&wire), [expected]);
    assert_eq!(rig.session.owed(), 1);
    let unsuccessful =
        [Unsuccessful { address: Address::new(1, 1, "1"), status: CommandStatus::INVDSTADR }];
    let answer = Input::AnswerMulti {
        sequence: 9,
        status: CommandStatus::OK,
        message_id: b"7",
        unsuccessful: &unsuccessful,
    };
    let mut out = Vec::new();
    rig.session.step(rig.now, answer, &mut out);
    let [Output::Transmit(octets)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(parse_response(&octets[16..]), (b"7".to_vec(), unsuccessful.to_vec()));
    assert_eq!(rig.session.owed(), 0);
}

#[test]
fn questions_are_handed_out_and_answered() {
    let mut rig = Rig::bound_smsc(BindKind::Transceiver);
    assert!(matches!(rig.bytes(&query(3))[..], [Output::Asked { sequence: 3, .. }]));
    let response = QueryResponse { message_id: b"7", message_state: 2, ..Default::default() };
    assert_eq!(rig.step(Input::AnswerQuery { sequence: 3, response }), []);
    let (command, status) = (CommandId::CANCEL_SM, CommandStatus::CANCELFAIL);
    rig.step(Input::AnswerAsked { command, sequence: 4, status });
    assert_eq!(
        rig.sent(),
        [
            (CommandId::QUERY_SM.response(), 3, CommandStatus::OK),
            (CommandId::CANCEL_SM.response(), 4, CommandStatus::CANCELFAIL),
        ]
    );
}

#[test]
fn a_receiver_may_not_ask_and_what_cannot_be_read_is_refused() {
    let mut rig = Rig::bound_smsc(BindKind::Receiver);
    assert_eq!(rig.bytes(&query(3)), []);
    let refused = (CommandId::QUERY_SM.response(), 3, CommandStatus::INVBNDSTS);
    assert_eq!(rig.sent(), [refused]);
    let mut rig = Rig::bound_smsc(BindKind::Transceiver);
    let cut = pdu(CommandId::SUBMIT_MULTI, CommandStatus::OK, 4, b"\0\x05\0Orbit\0\xff");
    assert_eq!(rig.bytes(&cut), []);
    let refused = (CommandId::SUBMIT_MULTI.response(), 4, CommandStatus::INVMSGLEN);
    assert_eq!(rig.sent(), [refused]);
    assert_eq!((rig.session.owed(), rig.session.stats().malformed), (0, 1));
}

#[test]
fn answers_that_are_owed_go_before_the_goodbye() {
    let mut rig = Rig::bound_smsc(BindKind::Transceiver);
    let mut wire = encoded(&hello(CommandId::SUBMIT_SM), 4);
    wire.extend(query(5));
    wire.extend(pdu(CommandId::UNBIND, CommandStatus::OK, 6, b""));
    wire.extend(encoded(&hello(CommandId::SUBMIT_SM), 7));
    assert_eq!(rig.bytes(&wire).len(), 2);
    let behind = (CommandId::SUBMIT_SM.response(), 7, CommandStatus::INVBNDSTS);
    assert_eq!(rig.sent(), [behind], "what comes behind an unbind is refused");
    let (command, status) = (CommandId::QUERY_SM, CommandStatus::QUERYFAIL);
    assert_eq!(rig.step(Input::AnswerAsked { command, sequence: 5, status }), []);
    let (command, status) = (CommandId::SUBMIT_SM, CommandStatus::OK);
    let out = rig.step(Input::Answer { command, sequence: 4, status, message_id: b"7" });
    assert_eq!(out, [Output::Close(CloseReason::PeerUnbound)]);
    let sent = rig.sent();
    assert_eq!(sent.last(), Some(&(CommandId::UNBIND.response(), 6, CommandStatus::OK)));
}

#[test]
fn a_goodbye_waits_for_answers_no_longer_than_for_a_response() {
    let mut rig = Rig::bound_smsc(BindKind::Transceiver);
    let mut wire = encoded(&hello(CommandId::SUBMIT_SM), 4);
    wire.extend(pdu(CommandId::UNBIND, CommandStatus::OK, 5, b""));
    rig.bytes(&wire);
    assert_eq!(rig.session.deadline(), rig.now + 10 * S);
    rig.now += 10 * S;
    assert_eq!(rig.step(Input::Tick), [Output::Close(CloseReason::PeerUnbound)]);
}

#[test]
fn our_own_goodbye_waits_for_the_answers_too_and_takes_nothing_more() {
    let mut rig = Rig::bound_smsc(BindKind::Transceiver);
    rig.bytes(&encoded(&hello(CommandId::SUBMIT_SM), 4));
    assert_eq!(rig.step(Input::Unbind), []);
    assert_eq!(rig.sent(), []);
    assert_eq!(rig.bytes(&encoded(&hello(CommandId::SUBMIT_SM), 5)), []);
    let late = (CommandId::SUBMIT_SM.response(), 5, CommandStatus::INVBNDSTS);
    assert_eq!(rig.sent(), [late]);
    let (command, status) = (CommandId::SUBMIT_SM, CommandStatus::OK);
    rig.step(Input::Answer { command, sequence: 4, status, message_id: b"7" });
    let commands: Vec<_> = rig.sent().iter().map(|(command, ..)| *command).collect();
    assert_eq!(commands, [CommandId::SUBMIT_SM.response(), CommandId::UNBIND]);

    let mut silent = Rig::bound_smsc(BindKind::Transceiver);
    silent.bytes(&encoded(&hello(CommandId::SUBMIT_SM), 4));
    silent.step(Input::Unbind);
    silent.now += 10 * S;
    silent.step(Input::Tick);
    assert_eq!(silent.sent().last().map(|(command, ..)| *command), Some(CommandId::UNBIND));
}
