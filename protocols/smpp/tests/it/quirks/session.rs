//! Peers that bind, count, answer, ask and leave in their own way.

use std::time::Duration;

use proto_smpp::{Bind, BindKind, CloseReason, CommandId, CommandStatus, Input, Output, Role};

use super::{SUBMIT_RESP, answer};
use crate::tools::{OK, Rig, deliver_body, encoded, hello, pdu};

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
    let nack = |sequence| pdu(CommandId::GENERIC_NACK, CommandStatus::INVCMDID, sequence, b"");
    for sequence in [0, 1] {
        let out = Rig::binding().bytes(&nack(sequence));
        assert_eq!(out[0], Output::BindRefused(CommandStatus::INVCMDID));
    }
    let mut rig = Rig::bound();
    rig.submit(1);
    assert_eq!(rig.bytes(&nack(0)), [], "it may mean anything, so it means nothing");
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
    assert!(rig.sent.iter().all(|sent| sent.0 == CommandId::ENQUIRE_LINK.response()));
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
    assert_eq!(rig.step(Input::Tick), [Output::Close(CloseReason::EnquireTimeout)]);
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
        let Some(Output::Request { command, sequence: came, .. }) = out.pop() else { panic!() };
        assert_eq!(came, sequence);
        let (status, message_id) = (OK, &b"id"[..]);
        rig.step(Input::Answer { command, sequence, status, message_id });
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
    let [Output::BindRequested(bind)] = &out[..] else { panic!("{out:?}") };
    assert_eq!((bind.system_id.as_str(), bind.password.as_str()), (name, password));
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
        let bind =
            Bind { interface_version: version, ..Bind::new(BindKind::Transceiver, "me", "") };
        bind.encode(&mut wire, 1);
        rig.bytes(&wire);
        let mut out = Vec::new();
        rig.session.step(rig.now, Input::Accept, &mut out);
        let Some(Output::Transmit(response)) = out.pop() else { panic!() };
        assert_eq!(response.len(), 16 + 3 + octets, "{version:#x}");
        assert_eq!(rig.session.peer_version(), Some(version));
    }
}

#[test]
fn an_unbind_that_nobody_answers_ends_by_itself() {
    let mut rig = Rig::bound();
    rig.step(Input::Unbind);
    rig.now = rig.session.deadline();
    assert_eq!(rig.step(Input::Tick), [Output::Close(CloseReason::UnbindTimeout)]);
}
