//! An ESME of ours against the sandbox, octets across, time by hand.

use proto_smpp::BindKind;
use proto_smpp::message_id::canonical;
use proto_smpp::receipt::Receipt;

use super::*;

struct Link {
    esme: Session<u32>,
    smsc: Smsc,
    now: Moment,
    /// What the ESME saw, but for its own octets.
    seen: Vec<Output<u32>>,
    /// What the ESME answers a receipt with.
    status: CommandStatus,
    close: Option<CloseReason>,
}

impl Link {
    fn new(kind: BindKind, system_id: &str, limits: Limits) -> Self {
        let now = Moment::now();
        let bind = Bind::new(kind, system_id, "secret");
        let settings = Settings { window: 1_000, ..Settings::default() };
        let mut link = Self {
            esme: Session::new(Role::Esme(bind), settings, now.instant),
            smsc: Smsc::new(limits, 7, now.instant),
            now,
            seen: Vec::new(),
            status: CommandStatus::OK,
            close: None,
        };
        link.smsc.connected(now, &mut Vec::new());
        link.esme(Input::Connected);
        link
    }

    fn bound(system_id: &str) -> Self {
        Self::new(BindKind::Transceiver, system_id, Limits::default())
    }

    /// One step of the ESME and all that follows from it on both sides.
    fn esme(&mut self, input: Input<'_, u32>) {
        let (mut outputs, mut wire) = (Vec::new(), Vec::new());
        self.esme.step_into(self.now.instant, input, &mut outputs, &mut wire);
        while !outputs.is_empty() || !wire.is_empty() {
            for output in std::mem::take(&mut outputs) {
                if let Output::Request { command, sequence, .. } = &output {
                    let answer = Input::Answer {
                        command: *command,
                        sequence: *sequence,
                        status: self.status,
                        message_id: b"",
                    };
                    let now = self.now.instant;
                    self.esme.step_into(now, answer, &mut outputs, &mut wire);
                }
                self.seen.push(output);
            }
            let (sent, mut back) = (std::mem::take(&mut wire), Vec::new());
            self.close = self.close.or(self.smsc.received(self.now, &sent, &mut back));
            let bytes = Input::Bytes(&back);
            self.esme.step_into(self.now.instant, bytes, &mut outputs, &mut wire);
        }
    }

    fn submit(&mut self, to: &str, tag: u32) {
        let mut message =
            Message::new(CommandId::SUBMIT_SM, Address::new(5, 0, "Shop"), Address::new(1, 1, to));
        message.short_message = b"hi".to_vec();
        message.registered_delivery = 1;
        self.esme(Input::Submit { message: &message, tag });
    }

    /// Lets time pass to each deadline of the sandbox in turn.
    fn pass(&mut self, millis: u64) {
        let end = self.now.instant + Duration::from_millis(millis);
        while self.smsc.deadline() <= end {
            self.now.instant = self.smsc.deadline().max(self.now.instant);
            let mut wire = Vec::new();
            self.smsc.tick(self.now, &mut wire);
            self.esme(Input::Bytes(&wire));
        }
        self.now.instant = end;
    }

    fn answers(&self) -> Vec<(u32, u32, String)> {
        let answer = |output: &Output<u32>| match output {
            Output::Answered { tag, status, message_id } => {
                Some((*tag, status.0, canonical(message_id)))
            }
            _ => None,
        };
        self.seen.iter().filter_map(answer).collect()
    }

    fn receipts(&self) -> Vec<(Receipt, Message)> {
        let receipt = |output: &Output<u32>| match output {
            Output::Request { message, .. } => {
                Some((Receipt::parse(&message.view()), message.clone()))
            }
            _ => None,
        };
        self.seen.iter().filter_map(receipt).collect()
    }
}

#[test]
fn a_delivered_message_is_reported_under_the_id_of_its_answer() {
    let mut link = Link::bound(TEST_SYSTEM_ID);
    link.submit("15005550002", 1);
    let answers = link.answers();
    assert_eq!((answers[0].0, answers[0].1), (1, 0));
    link.pass(100);
    let receipts = link.receipts();
    assert_eq!(receipts.len(), 1);
    let (receipt, message) = &receipts[0];
    assert_eq!(canonical(receipt.message_id.as_deref().unwrap()), answers[0].2);
    assert_eq!(receipt.state, Some(State::Delivered));
    assert_eq!(message.source.text(), "15005550002");
    assert_eq!(message.destination.text(), "Shop");
    assert_eq!(link.smsc.waiting(), 0);
}

#[test]
fn every_digit_ends_in_its_own_way() {
    let mut link = Link::bound(TEST_SYSTEM_ID);
    for digit in 0..10 {
        link.submit(&format!("1500555000{digit}"), digit);
    }
    link.pass(20_000);
    let mut answers = link.answers();
    answers.sort();
    let statuses: Vec<_> = answers.iter().map(|answer| answer.1).collect();
    assert_eq!(statuses, [0, 0, 0, 0, 0x400, 0, 0, 0x402, 0x401, 0]);
    let mut receipts: Vec<_> = link
        .receipts()
        .iter()
        .map(|(receipt, message)| {
            let digit = message.source.text().pop().unwrap();
            let word = receipt.state.unwrap().word();
            (digit, word, message.destination.text())
        })
        .collect();
    receipts.sort();
    let expected = [
        ('0', "DELIVRD", "Shop"),
        ('0', "DELIVRD", "Shop"),
        ('2', "DELIVRD", "Shop"),
        ('3', "UNDELIV", "Shop"),
        ('5', "EXPIRED", "Shop"),
        ('6', "UNKNOWN", "Shop"),
        ('9', "DELIVRD", "Carrier"),
    ];
    assert_eq!(receipts.len(), expected.len());
    for (found, (digit, word, to)) in receipts.iter().zip(expected) {
        assert_eq!((found.0, found.1, found.2.as_str()), (digit, word, to));
    }
}

#[test]
fn live_messages_are_all_delivered_soon() {
    let mut link = Link::bound(LIVE_SYSTEM_ID);
    for digit in 0..10 {
        link.submit(&format!("1415555012{digit}"), digit);
    }
    link.pass(49);
    assert_eq!((link.answers().len(), link.receipts().len()), (10, 0));
    link.pass(1);
    assert_eq!(link.receipts().len(), 10);
    assert!(link.receipts().iter().all(|(receipt, _)| receipt.state == Some(State::Delivered)));
}

#[test]
fn a_stranger_is_not_let_in() {
    let link = Link::bound("somebody");
    assert_eq!(link.close, Some(CloseReason::Refused));
    assert_eq!(link.seen[0], Output::BindRefused(CommandStatus::INVSYSID));
}

#[test]
fn receipts_keep_to_the_window_and_none_is_lost() {
    let limits = Limits { window: 3, ..Limits::default() };
    let mut link = Link::new(BindKind::Transceiver, LIVE_SYSTEM_ID, limits);
    for tag in 0..100 {
        link.submit("14155550120", tag);
    }
    link.now.instant += Duration::from_millis(60);
    let mut wire = Vec::new();
    link.smsc.tick(link.now, &mut wire);
    assert_eq!(link.smsc.session.in_flight(), 3);
    assert_eq!(link.smsc.waiting(), 100);
    link.esme(Input::Bytes(&wire));
    assert_eq!((link.receipts().len(), link.smsc.waiting()), (100, 0));
}

#[test]
fn a_receipt_that_is_refused_comes_again_but_not_forever() {
    let mut link = Link::bound(LIVE_SYSTEM_ID);
    link.status = CommandStatus::X_T_APPN;
    link.submit("14155550120", 1);
    link.pass(60);
    assert_eq!(link.receipts().len(), 1);
    link.pass(1_000);
    assert_eq!(link.receipts().len(), 2);
    link.pass(60_000);
    assert_eq!((link.receipts().len(), link.smsc.waiting()), (10, 0));
}

#[test]
fn a_full_sandbox_says_so_and_recovers() {
    let limits = Limits { waiting_max: 5, ..Limits::default() };
    let mut link = Link::new(BindKind::Transceiver, TEST_SYSTEM_ID, limits);
    for tag in 0..7 {
        link.submit("15005550005", tag);
    }
    link.submit("15005550001", 7);
    let statuses: Vec<_> = link.answers().iter().map(|answer| answer.1).collect();
    let full = CommandStatus::MSGQFUL.0;
    assert_eq!(statuses, [0, 0, 0, 0, 0, full, full, 0]);
    link.pass(3_000);
    link.submit("15005550005", 8);
    assert_eq!(link.answers().last().unwrap().1, 0);
}

#[test]
fn a_bind_that_cannot_receive_leaves_nothing_waiting() {
    let mut link = Link::new(BindKind::Transmitter, LIVE_SYSTEM_ID, Limits::default());
    link.submit("14155550120", 1);
    assert_eq!((link.answers()[0].1, link.smsc.waiting()), (0, 0));
}

#[test]
fn ids_differ_within_a_session_and_between_two() {
    let now = Moment::now().instant;
    let mut ids = std::collections::HashSet::new();
    for seed in 0..50 {
        let smsc = Smsc::new(Limits::default(), seed, now);
        for number in 1..50 {
            let id = smsc.id(number);
            assert_eq!(canonical(id.as_bytes()), id);
            assert!(ids.insert(id));
        }
    }
}
