//! One machine against hand-made PDUs. Two machines against each other: `tests/it`.

use super::*;
use crate::Address;
use crate::pdu::response;

pub(super) const S: Duration = Duration::from_secs(1);

pub(super) struct Rig {
    pub(super) session: Session<u32>,
    pub(super) now: Instant,
    wire: Vec<u8>,
}

impl Rig {
    fn esme() -> Self {
        let bind = Bind::new(BindKind::Transceiver, "orbit", "secret");
        let mut rig = Self::open(Role::Esme(bind));
        assert_eq!(rig.step(Input::Connected), []);
        rig
    }

    fn bound_esme() -> Self {
        let mut rig = Self::esme();
        let sequence = rig.sent()[0].1;
        let mut wire = Vec::new();
        let (kind, ok) = (BindKind::Transceiver, CommandStatus::OK);
        bind::encode_response(&mut wire, kind, ok, sequence, "smsc", Some(0x34));
        assert_eq!(rig.bytes(&wire), [Output::Bound]);
        rig
    }

    pub(super) fn bound_smsc(kind: BindKind) -> Self {
        let mut rig = Self::open(Role::Smsc);
        rig.step(Input::Connected);
        let mut wire = Vec::new();
        Bind::new(kind, "client", "secret").encode(&mut wire, 1);
        assert!(matches!(rig.bytes(&wire)[..], [Output::BindRequested(_)]));
        assert_eq!(rig.step(Input::Accept), [Output::Bound]);
        rig.wire.clear();
        rig
    }

    fn open(role: Role) -> Self {
        let now = Instant::now();
        let settings = Settings { window: 2, response_timeout: 10 * S, ..Settings::default() };
        Self { session: Session::new(role, settings, now), now, wire: Vec::new() }
    }

    /// Steps, keeps what is transmitted, and gives the rest back.
    pub(super) fn step(&mut self, input: Input<'_, u32>) -> Vec<Output<u32>> {
        let mut out = Vec::new();
        self.session.step(self.now, input, &mut out);
        let transmits = out.iter().filter(|o| matches!(o, Output::Transmit(_))).count();
        assert!(transmits <= 1, "one transmit per step");
        out.retain(|output| match output {
            Output::Transmit(bytes) => {
                self.wire.extend_from_slice(bytes);
                false
            }
            _ => true,
        });
        out
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Vec<Output<u32>> {
        self.step(Input::Bytes(bytes))
    }

    fn pdu(
        &mut self,
        command: CommandId,
        status: CommandStatus,
        sequence: u32,
        body: &[u8],
    ) -> Vec<Output<u32>> {
        let bytes = pdu(command, status, sequence, body);
        self.bytes(&bytes)
    }

    fn submit(&mut self, tag: u32) -> Vec<Output<u32>> {
        let message = hello(CommandId::SUBMIT_SM);
        self.step(Input::Submit { message: &message, tag })
    }

    /// Command, sequence and status of all PDUs sent since the last look.
    pub(super) fn sent(&mut self) -> Vec<(CommandId, u32, CommandStatus)> {
        let wire = std::mem::take(&mut self.wire);
        let (mut frames, mut chunk, mut sent) = (Frames::default(), &wire[..], Vec::new());
        while let Some(frame) = frames.next(&mut chunk).unwrap() {
            sent.push((frame.header.command, frame.header.sequence, frame.header.status));
        }
        sent
    }
}

pub(super) fn pdu(
    command: CommandId,
    status: CommandStatus,
    sequence: u32,
    body: &[u8],
) -> Vec<u8> {
    let mut out = Vec::new();
    let start = frame::begin(&mut out, command, status, sequence);
    out.extend_from_slice(body);
    frame::finish(&mut out, start);
    out
}

pub(super) fn hello(command: CommandId) -> Message {
    let mut message =
        Message::new(command, Address::new(5, 0, "Orbit"), Address::new(1, 1, "4477"));
    message.short_message = b"hello".to_vec();
    message
}

pub(super) fn encoded(message: &Message, sequence: u32) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out, sequence).unwrap();
    out
}

fn answered(tag: u32, status: CommandStatus, id: &[u8]) -> Output<u32> {
    Output::Answered { tag, status, message_id: id.to_vec() }
}

#[test]
fn a_message_is_answered_once() {
    let mut rig = Rig::bound_esme();
    assert_eq!(rig.submit(7), []);
    let (command, sequence, _) = rig.sent()[0];
    assert_eq!(command, CommandId::SUBMIT_SM);
    let mut wire = Vec::new();
    response::encode(&mut wire, command, CommandStatus::OK, sequence, b"id-1");
    assert_eq!(rig.bytes(&wire), [answered(7, CommandStatus::OK, b"id-1")]);
    assert_eq!(rig.bytes(&wire), []);
    assert_eq!(rig.session.stats().unknown_responses, 1);
}

#[test]
fn a_full_window_or_an_unbound_session_refuses() {
    let mut rig = Rig::esme();
    assert_eq!(rig.submit(1), [Output::Refused { tag: 1 }]);
    let mut rig = Rig::bound_esme();
    assert_eq!((rig.submit(1), rig.submit(2)), (vec![], vec![]));
    assert_eq!(rig.session.room(), 0);
    assert_eq!(rig.submit(3), [Output::Refused { tag: 3 }]);
    assert_eq!(rig.session.into_unanswered(), [1, 2]);
}

#[test]
fn a_message_that_fits_no_pdu_is_refused_and_takes_no_room() {
    let mut rig = Rig::bound_esme();
    let mut message = hello(CommandId::SUBMIT_SM);
    message.short_message = vec![0; 70_000];
    let out = rig.step(Input::Submit { message: &message, tag: 1 });
    assert_eq!((out, rig.session.room()), (vec![Output::Refused { tag: 1 }], 2));
    assert!(rig.wire.is_empty());
}

#[test]
fn a_one_way_bind_sends_one_way() {
    let mut rig = Rig::bound_smsc(BindKind::Transmitter);
    assert_eq!(rig.submit(1), [Output::Refused { tag: 1 }]);
    let mut rig = Rig::bound_smsc(BindKind::Receiver);
    assert_eq!(rig.submit(1), []);
    rig.sent();
    assert_eq!(rig.bytes(&encoded(&hello(CommandId::SUBMIT_SM), 5)), []);
    let refusal = (CommandId::SUBMIT_SM.response(), 5, CommandStatus::INVBNDSTS);
    assert_eq!(rig.sent(), [refusal]);
}

#[test]
fn an_unanswered_message_times_out_once() {
    let mut rig = Rig::bound_esme();
    rig.submit(1);
    rig.now += 5 * S;
    rig.submit(2);
    assert_eq!(rig.session.deadline(), rig.now + 5 * S);
    rig.now += 5 * S;
    assert_eq!(rig.step(Input::Tick), [Output::TimedOut { tag: 1 }]);
    rig.now += 5 * S;
    assert_eq!(rig.step(Input::Tick), [Output::TimedOut { tag: 2 }]);
    assert_eq!(rig.session.in_flight(), 0);
}

#[test]
fn a_generic_nack_answers_the_message_it_names_and_no_other() {
    let mut rig = Rig::bound_esme();
    rig.submit(1);
    let sequence = rig.sent()[0].1;
    let nack = CommandId::GENERIC_NACK;
    assert_eq!(rig.pdu(nack, CommandStatus::INVCMDID, 0, b""), []);
    let out = rig.pdu(nack, CommandStatus::INVCMDLEN, sequence, b"x");
    assert_eq!(out, [answered(1, CommandStatus::INVCMDLEN, b"")]);
    rig.submit(2);
    let sequence = rig.sent()[0].1;
    let out = rig.pdu(nack, CommandStatus::OK, sequence, b"");
    assert_eq!(out, [answered(2, CommandStatus::SYSERR, b"")], "a nack is never a success");
}

#[test]
fn a_generic_nack_to_a_bind_refuses_it() {
    for sequence in [0, 1] {
        let mut rig = Rig::esme();
        let out = rig.pdu(CommandId::GENERIC_NACK, CommandStatus::INVCMDID, sequence, b"");
        let refused = Output::BindRefused(CommandStatus::INVCMDID);
        assert_eq!(out, [refused, Output::Close(CloseReason::Refused)]);
    }
}

#[test]
fn a_refused_bind_tells_why() {
    let mut rig = Rig::esme();
    let response = CommandId::BIND_TRANSCEIVER.response();
    let out = rig.pdu(response, CommandStatus::ALYBND, 1, b"smsc\0");
    let refused = Output::BindRefused(CommandStatus::ALYBND);
    assert_eq!(out, [refused, Output::Close(CloseReason::Refused)]);
    assert_eq!(rig.submit(1), [Output::Refused { tag: 1 }]);
}

#[test]
fn a_bind_without_an_answer_runs_out_on_both_sides() {
    for role in [Role::Esme(Bind::default()), Role::Smsc] {
        let mut rig = Rig::open(role);
        rig.step(Input::Connected);
        let deadline = rig.session.deadline();
        assert_eq!(deadline, rig.now + Settings::default().bind_timeout);
        rig.now = deadline;
        assert_eq!(rig.step(Input::Tick), [Output::Close(CloseReason::BindTimeout)]);
    }
}

#[test]
fn enquire_link_is_answered_in_every_state() {
    let mut open = Rig::open(Role::Smsc);
    open.step(Input::Connected);
    let mut unbinding = Rig::bound_esme();
    unbinding.step(Input::Unbind);
    for mut rig in [open, Rig::esme(), Rig::bound_esme(), unbinding] {
        rig.sent();
        assert_eq!(rig.pdu(CommandId::ENQUIRE_LINK, CommandStatus::OK, 99, b"odd body"), []);
        assert_eq!(rig.sent(), [(CommandId::ENQUIRE_LINK.response(), 99, CommandStatus::OK)]);
    }
}

#[test]
fn a_dead_link_is_asked_and_then_closed() {
    let mut rig = Rig::bound_esme();
    rig.sent();
    rig.now = rig.session.deadline();
    assert_eq!(rig.step(Input::Tick), []);
    assert_eq!(rig.sent()[0].0, CommandId::ENQUIRE_LINK);
    rig.now = rig.session.deadline();
    assert_eq!(rig.step(Input::Tick), [Output::Close(CloseReason::EnquireTimeout)]);
}

#[test]
fn traffic_counts_as_an_answer_to_enquire_link() {
    let mut rig = Rig::bound_esme();
    rig.now = rig.session.deadline();
    rig.step(Input::Tick);
    rig.now += 9 * S;
    rig.bytes(&encoded(&hello(CommandId::DELIVER_SM), 5));
    rig.now += 2 * S;
    assert_eq!(rig.step(Input::Tick), []);
    assert!(rig.session.is_bound());
}

#[test]
fn unbind_ends_with_or_without_an_answer() {
    let mut rig = Rig::bound_esme();
    assert_eq!(rig.step(Input::Unbind), []);
    assert!(!rig.session.is_bound());
    let out = rig.pdu(CommandId::UNBIND.response(), CommandStatus::OK, 2, b"");
    assert_eq!(out, [Output::Close(CloseReason::Unbound)]);
    let mut rig = Rig::bound_esme();
    rig.step(Input::Unbind);
    rig.now = rig.session.deadline();
    assert_eq!(rig.step(Input::Tick), [Output::Close(CloseReason::UnbindTimeout)]);
}

#[test]
fn an_answer_that_comes_while_we_unbind_still_counts() {
    let mut rig = Rig::bound_esme();
    rig.submit(1);
    let sequence = rig.sent()[0].1;
    rig.step(Input::Unbind);
    let response = CommandId::SUBMIT_SM.response();
    let out = rig.pdu(response, CommandStatus::OK, sequence, b"id\0");
    assert_eq!(out, [answered(1, CommandStatus::OK, b"id")]);
}

#[test]
fn a_peers_unbind_is_answered_and_closes() {
    let mut rig = Rig::bound_smsc(BindKind::Transceiver);
    let out = rig.pdu(CommandId::UNBIND, CommandStatus::OK, 8, b"");
    assert_eq!(out, [Output::Close(CloseReason::PeerUnbound)]);
    assert_eq!(rig.sent(), [(CommandId::UNBIND.response(), 8, CommandStatus::OK)]);
}

#[test]
fn close_comes_last_and_right_after_transmit() {
    let mut rig = Rig::bound_smsc(BindKind::Transceiver);
    let mut out = Vec::new();
    let mut bytes = encoded(&hello(CommandId::SUBMIT_SM), 4);
    bytes.extend(pdu(CommandId::UNBIND, CommandStatus::OK, 5, b""));
    rig.session.step(rig.now, Input::Bytes(&bytes), &mut out);
    assert!(matches!(out[..], [Output::Request { .. }]), "{out:?}");
    out.clear();
    let (command, status) = (CommandId::SUBMIT_SM, CommandStatus::OK);
    let answer = Input::Answer { command, sequence: 4, status, message_id: b"7" };
    rig.session.step(rig.now, answer, &mut out);
    let expected =
        matches!(out[..], [Output::Transmit(_), Output::Close(CloseReason::PeerUnbound)]);
    assert!(expected, "{out:?}");
}

#[test]
fn an_unknown_command_gets_a_generic_nack() {
    let mut rig = Rig::bound_esme();
    rig.sent();
    rig.pdu(CommandId(0x0001_0200), CommandStatus::OK, 5, b"vendor");
    rig.pdu(CommandId(0x8001_0200), CommandStatus::OK, 6, b"an unknown response gets nothing");
    rig.pdu(CommandId::ALERT_NOTIFICATION, CommandStatus::OK, 7, b"");
    rig.pdu(CommandId::QUERY_SM, CommandStatus::OK, 8, b"id\0");
    let expected = [
        (CommandId::GENERIC_NACK, 5, CommandStatus::INVCMDID),
        (CommandId::QUERY_SM.response(), 8, CommandStatus::QUERYFAIL),
    ];
    assert_eq!(rig.sent(), expected);
    assert!(rig.session.is_bound());
}

#[test]
fn what_an_smsc_says_unasked_is_told_and_has_no_answer() {
    let (mut outbind, mut alert) = (Vec::new(), Vec::new());
    let called = Outbind { system_id: "smsc".into(), password: "secret".into() };
    called.encode(&mut outbind, 7);
    let reachable = Alert { source: Address::new(1, 1, "14155550123"), ..Alert::default() };
    reachable.encode(&mut alert, 8);
    let mut rig = Rig::bound_esme();
    rig.sent();
    assert_eq!(rig.bytes(&outbind), [Output::Noticed(Box::new(Notice::Outbind(called)))]);
    assert_eq!(rig.bytes(&alert), [Output::Noticed(Box::new(Notice::Alert(reachable)))]);
    let unreadable = Notice::Unreadable(CommandId::ALERT_NOTIFICATION);
    assert_eq!(
        rig.pdu(CommandId::ALERT_NOTIFICATION, CommandStatus::OK, 9, b"\x01"),
        [Output::Noticed(Box::new(unreadable))]
    );
    assert_eq!((rig.sent(), rig.session.stats().malformed), (vec![], 1));
    let mut rig = Rig::bound_smsc(BindKind::Transceiver);
    assert_eq!((rig.bytes(&outbind), rig.bytes(&alert)), (vec![], vec![]), "not an ESME's");
    assert!(rig.sent().is_empty() && rig.session.is_bound());
}

#[test]
fn a_request_that_cannot_be_read_is_refused_and_the_session_goes_on() {
    let mut rig = Rig::bound_smsc(BindKind::Transceiver);
    let mut bytes = pdu(CommandId::SUBMIT_SM, CommandStatus::OK, 3, b"\0\x01\x01");
    bytes.extend(encoded(&hello(CommandId::SUBMIT_SM), 4));
    assert!(matches!(rig.bytes(&bytes)[..], [Output::Request { sequence: 4, .. }]));
    let refusal = (CommandId::SUBMIT_SM.response(), 3, CommandStatus::INVMSGLEN);
    assert_eq!(rig.sent(), [refusal]);
    assert_eq!((rig.session.stats().malformed, rig.session.owed()), (1, 1));
    let mut rig = Rig::bound_esme();
    rig.sent();
    rig.pdu(CommandId::DELIVER_SM, CommandStatus::OK, 3, b"");
    let refusal = (CommandId::DELIVER_SM.response(), 3, CommandStatus::X_R_APPN);
    assert_eq!(rig.sent(), [refusal], "for good, or the carrier sends it for days");
}

#[test]
fn a_bad_length_is_nacked_and_closes() {
    for garbage in
        [&b"\r\nHELO you\r\n"[..], b"GET / HTTP/1.1", b"\x16\x03\x01\x02\0\x01", &[0; 16]]
    {
        let mut rig = Rig::open(Role::Smsc);
        rig.step(Input::Connected);
        assert_eq!(rig.bytes(garbage), [Output::Close(CloseReason::BadLength)]);
        assert_eq!(rig.sent(), [(CommandId::GENERIC_NACK, 0, CommandStatus::INVCMDLEN)]);
        assert_eq!(rig.bytes(b"more"), []);
    }
}

#[test]
fn a_second_bind_is_told_that_it_is_bound() {
    let mut rig = Rig::bound_smsc(BindKind::Receiver);
    let mut wire = Vec::new();
    Bind::new(BindKind::Transmitter, "client", "secret").encode(&mut wire, 2);
    assert_eq!(rig.bytes(&wire), []);
    let refusal = (CommandId::BIND_TRANSMITTER.response(), 2, CommandStatus::ALYBND);
    assert_eq!(rig.sent(), [refusal]);
    assert!(rig.session.is_bound());
}

#[test]
fn traffic_before_a_bind_is_refused() {
    let mut rig = Rig::open(Role::Smsc);
    rig.step(Input::Connected);
    assert_eq!(rig.bytes(&encoded(&hello(CommandId::SUBMIT_SM), 1)), []);
    let refusal = (CommandId::SUBMIT_SM.response(), 1, CommandStatus::INVBNDSTS);
    assert_eq!(rig.sent(), [refusal]);
}

#[test]
fn traffic_behind_a_bind_waits_for_the_owner() {
    let mut rig = Rig::open(Role::Smsc);
    rig.step(Input::Connected);
    let mut wire = Vec::new();
    Bind::new(BindKind::Transceiver, "client", "secret").encode(&mut wire, 1);
    wire.extend(encoded(&hello(CommandId::SUBMIT_SM), 2));
    wire.extend(encoded(&hello(CommandId::SUBMIT_SM), 3));
    let (first, second) = wire.split_at(wire.len() - 9);
    assert!(matches!(rig.bytes(first)[..], [Output::BindRequested(_)]));
    assert_eq!(rig.bytes(second), []);
    let out = rig.step(Input::Accept);
    let sequences: Vec<_> =
        out.iter()
            .filter_map(|o| {
                if let Output::Request { sequence, .. } = o { Some(*sequence) } else { None }
            })
            .collect();
    assert_eq!((out.first(), sequences), (Some(&Output::Bound), vec![2, 3]));
    assert_eq!(rig.session.peer_name(), "client");
}

#[test]
fn a_flood_behind_a_bind_is_cut_off() {
    let mut rig = Rig::open(Role::Smsc);
    let mut wire = Vec::new();
    Bind::default().encode(&mut wire, 1);
    rig.bytes(&wire);
    let mut closed = false;
    for _ in 0..5 {
        closed |= rig.bytes(&[0; 64 * 1024]).contains(&Output::Close(CloseReason::Flooded));
    }
    assert!(closed && rig.session.held.len() <= 4 * 64 * 1024);
}

#[test]
fn a_refused_peer_is_answered_and_closed() {
    let mut rig = Rig::open(Role::Smsc);
    let mut wire = Vec::new();
    Bind::new(BindKind::Receiver, "who", "guess").encode(&mut wire, 41);
    rig.bytes(&wire);
    let out = rig.step(Input::Refuse(CommandStatus::INVPASWD));
    assert_eq!(out, [Output::Close(CloseReason::Refused)]);
    let refusal = (CommandId::BIND_RECEIVER.response(), 41, CommandStatus::INVPASWD);
    assert_eq!(rig.sent(), [refusal]);
}

#[test]
fn sequence_numbers_wrap_in_flight() {
    let mut rig = Rig::open(Role::Esme(Bind::default()));
    rig.session = rig.session.with_sequence(0x7FFF_FFFE);
    rig.step(Input::Connected);
    rig.pdu(CommandId::BIND_TRANSCEIVER.response(), CommandStatus::OK, 0x7FFF_FFFE, b"");
    assert_eq!((rig.submit(1), rig.submit(2)), (vec![], vec![]));
    let sequences: Vec<_> = rig.sent().iter().map(|sent| sent.1).collect();
    assert_eq!(sequences, [0x7FFF_FFFE, 0x7FFF_FFFF, 1]);
    let response = CommandId::SUBMIT_SM.response();
    for (sequence, tag) in [(1, 2), (0x7FFF_FFFF, 1)] {
        let out = rig.pdu(response, CommandStatus::OK, sequence, b"");
        assert_eq!(out, [answered(tag, CommandStatus::OK, b"")]);
    }
}

#[test]
fn a_closed_session_says_nothing_but_refused() {
    let mut rig = Rig::bound_esme();
    rig.submit(1);
    rig.pdu(CommandId::UNBIND, CommandStatus::OK, 8, b"");
    rig.sent();
    assert_eq!(rig.step(Input::Tick), []);
    assert_eq!(rig.step(Input::Connected), []);
    assert_eq!(rig.submit(2), [Output::Refused { tag: 2 }]);
    assert!(rig.wire.is_empty() && rig.session.deadline() > rig.now + 60 * S);
    assert_eq!(rig.session.into_unanswered(), [1]);
}

#[test]
fn the_owner_may_gather_many_steps_into_one_write() {
    let mut rig = Rig::bound_esme();
    let (message, mut out, mut wire) = (hello(CommandId::SUBMIT_SM), Vec::new(), Vec::new());
    for tag in 0..2 {
        let input = Input::Submit { message: &message, tag };
        assert_eq!(rig.session.step_into(rig.now, input, &mut out, &mut wire), None);
    }
    assert!(out.is_empty());
    assert_eq!(wire.len(), 2 * encoded(&message, 1).len());
}

#[test]
fn a_carrier_may_deliver_before_its_bind_response() {
    let mut rig = Rig::esme();
    let out = rig.bytes(&encoded(&hello(CommandId::DELIVER_SM), 5));
    assert!(matches!(out[..], [Output::Request { sequence: 5, .. }]));
}

#[test]
fn messages_that_go_the_wrong_way_are_refused() {
    let cases = [
        (Rig::bound_esme(), CommandId::SUBMIT_SM),
        (Rig::bound_smsc(BindKind::Transceiver), CommandId::DELIVER_SM),
    ];
    for (mut rig, command) in cases {
        rig.sent();
        assert_eq!(rig.bytes(&encoded(&hello(command), 5)), []);
        assert_eq!(rig.sent(), [(command.response(), 5, CommandStatus::INVBNDSTS)]);
    }
}

#[test]
fn a_refusal_is_never_told_as_ok() {
    let mut rig = Rig::open(Role::Smsc);
    let mut wire = Vec::new();
    Bind::default().encode(&mut wire, 1);
    rig.bytes(&wire);
    rig.step(Input::Refuse(CommandStatus::OK));
    assert_eq!(rig.sent()[0].2, CommandStatus::BINDFAIL);
}

#[test]
fn a_chosen_first_number_is_brought_into_range() {
    for (chosen, used) in [(0, 1), (9, 9), (u32::MAX, 0x7FFF_FFFF)] {
        let mut rig = Rig::open(Role::Esme(Bind::default()));
        rig.session = rig.session.with_sequence(chosen);
        rig.step(Input::Connected);
        assert_eq!(rig.sent()[0].1, used);
    }
}
