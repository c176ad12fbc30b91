//! A tiny raw client against the SMSC on a real loopback socket.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::options::{ReceiptBind, Receipts};
use super::wire::{
    BIND_RECEIVER, BIND_TRANSCEIVER, BIND_TRANSMITTER, DELIVER_SM, ENQUIRE_LINK, Frame,
    GENERIC_NACK, Header, RESPONSE, SUBMIT_SM, UNBIND, frame, put,
};
use super::*;

struct Esme {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Esme {
    async fn connect(smsc: &Smsc) -> Self {
        let stream = TcpStream::connect(smsc.address).await.expect("listening");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, input: Vec::new() }
    }

    async fn bound(smsc: &Smsc, command: u32) -> Self {
        let mut esme = Self::connect(smsc).await;
        let status = esme.bind(command, "u", "p").await;
        assert_eq!(status, wire::OK);
        esme
    }

    async fn bind(&mut self, command: u32, name: &str, password: &str) -> u32 {
        let body = format!("{name}\0{password}\0\0\x34\0\0\0");
        self.send(command, 1, body.as_bytes()).await;
        let (header, _) = self.next().await.expect("an answer");
        assert_eq!(header.command, command | RESPONSE);
        header.status
    }

    async fn send(&mut self, command: u32, sequence: u32, body: &[u8]) {
        let mut pdu = Vec::new();
        put(&mut pdu, command, 0, sequence, |out| out.extend_from_slice(body));
        self.stream.write_all(&pdu).await.expect("written");
    }

    async fn submit(&mut self, sequence: u32, to: &str, text: &str) {
        let mut body = format!("\0\x05\0Orbit\0\x01\x01{to}\0").into_bytes();
        body.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, 0, 0, text.len() as u8]);
        body.extend_from_slice(text.as_bytes());
        self.send(SUBMIT_SM, sequence, &body).await;
    }

    async fn next(&mut self) -> Option<(Header, Vec<u8>)> {
        loop {
            if let Frame::Whole(header, body) = frame(&self.input) {
                let body = body.to_vec();
                self.input.drain(..header.length);
                return Some((header, body));
            }
            let read = self.stream.read_buf(&mut self.input);
            let count = tokio::time::timeout(Duration::from_secs(5), read).await;
            if count.expect("in time").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn expect(&mut self, command: u32) -> (Header, Vec<u8>) {
        let (header, body) = self.next().await.expect("a PDU");
        assert_eq!(header.command, command, "{header:?}");
        (header, body)
    }
}

fn smsc(options: SmscOptions) -> Smsc {
    Smsc::start(([127, 0, 0, 1], 0).into(), options).expect("starts")
}

async fn until(smsc: &Smsc, condition: impl Fn(&Stats) -> bool) -> Stats {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let stats = smsc.stats();
        if condition(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "{stats:?}");
        tokio::time::sleep(Duration::from_millis(1)).await; // between two looks
    }
}

#[tokio::test]
async fn a_submit_is_answered_and_its_receipt_has_the_same_id() {
    let smsc = smsc(SmscOptions::default());
    let mut esme = Esme::bound(&smsc, BIND_TRANSCEIVER).await;
    esme.submit(2, "14155550123", "t1 hello").await;
    let (answer, id) = esme.expect(SUBMIT_SM | RESPONSE).await;
    assert_eq!((answer.status, answer.sequence), (0, 2));
    let (receipt, body) = esme.expect(DELIVER_SM).await;
    let receipt_view = wire::Submit::parse(&body).expect("same layout");
    let id = String::from_utf8_lossy(&id[..id.len() - 1]).into_owned();
    let text = String::from_utf8_lossy(receipt_view.text);
    assert!(text.starts_with(&format!("id:{id} sub:001")), "{text}");
    assert!(text.contains("stat:DELIVRD"));
    esme.send(DELIVER_SM | RESPONSE, receipt.sequence, b"\0").await;
    let stats = until(&smsc, |stats| stats.receipts_acked == 1).await;
    assert_eq!((stats.submits, stats.max_in_flight, stats.duplicates), (1, 1, 0));
}

#[tokio::test]
async fn wrong_names_passwords_and_states_are_told_apart() {
    let smsc = smsc(SmscOptions::default());
    let mut esme = Esme::connect(&smsc).await;
    esme.submit(1, "1", "early").await;
    let (answer, _) = esme.expect(SUBMIT_SM | RESPONSE).await;
    assert_eq!(answer.status, wire::WRONG_BIND_STATE);
    assert_eq!(esme.bind(BIND_TRANSCEIVER, "x", "p").await, wire::INVALID_SYSTEM_ID);
    assert_eq!(esme.bind(BIND_TRANSCEIVER, "u", "x").await, wire::INVALID_PASSWORD);
    assert_eq!(esme.bind(BIND_TRANSCEIVER, "u", "p").await, wire::OK);
    assert_eq!(esme.bind(BIND_TRANSCEIVER, "u", "p").await, wire::ALREADY_BOUND);
    esme.send(ENQUIRE_LINK, 9, b"").await;
    esme.expect(ENQUIRE_LINK | RESPONSE).await;
    esme.send(0x77, 10, b"abc").await;
    let (nack, _) = esme.expect(GENERIC_NACK).await;
    assert_eq!((nack.status, nack.sequence), (wire::INVALID_COMMAND, 10));
    esme.send(UNBIND, 11, b"").await;
    esme.expect(UNBIND | RESPONSE).await;
    assert!(esme.next().await.is_none(), "closed");
}

#[tokio::test]
async fn a_transmitters_receipts_wait_for_a_receiver() {
    let smsc = smsc(SmscOptions::default());
    let mut sender = Esme::bound(&smsc, BIND_TRANSMITTER).await;
    sender.submit(2, "14155550123", "t1 hello").await;
    sender.expect(SUBMIT_SM | RESPONSE).await;
    let mut receiver = Esme::bound(&smsc, BIND_RECEIVER).await;
    receiver.expect(DELIVER_SM).await;
    drop(receiver);
    let mut again = Esme::bound(&smsc, BIND_RECEIVER).await;
    again.expect(DELIVER_SM).await;
}

#[tokio::test]
async fn an_early_receipt_comes_before_the_answer() {
    let options = SmscOptions { receipts: Receipts::Early, ..SmscOptions::default() };
    let smsc = smsc(options);
    let mut esme = Esme::bound(&smsc, BIND_TRANSCEIVER).await;
    esme.submit(2, "14155550123", "t1 hello").await;
    esme.expect(DELIVER_SM).await;
    esme.expect(SUBMIT_SM | RESPONSE).await;
}

#[tokio::test]
async fn receipts_can_come_twice_and_on_another_bind() {
    let options = SmscOptions {
        receipts: Receipts::Twice,
        receipt_bind: ReceiptBind::Other,
        foreign_ids_percent: 100,
        ..SmscOptions::default()
    };
    let smsc = smsc(options);
    let mut sender = Esme::bound(&smsc, BIND_TRANSCEIVER).await;
    let mut other = Esme::bound(&smsc, BIND_TRANSCEIVER).await;
    sender.submit(2, "14155550123", "t1 hello").await;
    sender.expect(SUBMIT_SM | RESPONSE).await;
    for _ in 0..3 {
        let (header, _) = other.expect(DELIVER_SM).await;
        other.send(DELIVER_SM | RESPONSE, header.sequence, b"\0").await;
    }
    let stats = until(&smsc, |stats| stats.extras_acked == 2).await;
    assert_eq!((stats.receipts_acked, stats.foreign_sent, stats.copies_sent), (1, 1, 1));
}

#[tokio::test]
async fn delayed_answers_show_the_window_and_repeats_are_seen() {
    let options =
        SmscOptions { answer_delay_ms: 200, receipts: Receipts::Off, ..SmscOptions::default() };
    let smsc = smsc(options);
    let mut esme = Esme::bound(&smsc, BIND_TRANSCEIVER).await;
    for sequence in 2..7 {
        esme.submit(sequence, "14155550123", "the same").await;
    }
    for sequence in 2..7 {
        let (answer, _) = esme.expect(SUBMIT_SM | RESPONSE).await;
        assert_eq!(answer.sequence, sequence);
    }
    let stats = smsc.stats();
    assert_eq!((stats.max_in_flight, stats.duplicates), (5, 4));
    assert_eq!(stats.max_submits_per_second, 5);
}

#[tokio::test]
async fn submits_can_be_refused_or_left_alone_or_cut_off() {
    let refusing = smsc(SmscOptions { error_percent: 100, ..SmscOptions::default() });
    let mut esme = Esme::bound(&refusing, BIND_TRANSCEIVER).await;
    esme.submit(2, "1", "a").await;
    let (answer, body) = esme.expect(SUBMIT_SM | RESPONSE).await;
    assert_eq!((answer.status, body.len()), (0x58, 0));

    let silent = smsc(SmscOptions { never_answer: true, ..SmscOptions::default() });
    let mut esme = Esme::bound(&silent, BIND_TRANSCEIVER).await;
    esme.submit(2, "1", "a").await;
    esme.send(ENQUIRE_LINK, 3, b"").await;
    esme.expect(ENQUIRE_LINK | RESPONSE).await;

    let cutting = smsc(SmscOptions { drop_every: 1, ..SmscOptions::default() });
    let mut esme = Esme::bound(&cutting, BIND_TRANSCEIVER).await;
    esme.submit(2, "1", "a").await;
    assert!(esme.next().await.is_none(), "cut in the middle of the answer");
    assert!(!esme.input.is_empty(), "half an answer was there");
}

#[tokio::test]
async fn inbound_messages_come_at_their_rate() {
    let options = SmscOptions { mo_rate: 200, unacked_window: 3, ..SmscOptions::default() };
    let smsc = smsc(options);
    let mut esme = Esme::bound(&smsc, BIND_TRANSCEIVER).await;
    for _ in 0..10 {
        let (header, body) = esme.expect(DELIVER_SM).await;
        let message = wire::Submit::parse(&body).expect("same layout");
        assert_eq!(message.destination.digits, b"14155550100");
        esme.send(DELIVER_SM | RESPONSE, header.sequence, b"\0").await;
    }
    until(&smsc, |stats| stats.mo_acked >= 10).await;
}

#[tokio::test]
async fn a_broken_length_ends_the_connection() {
    let smsc = smsc(SmscOptions::default());
    let mut esme = Esme::connect(&smsc).await;
    esme.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("written");
    esme.expect(GENERIC_NACK).await;
    assert!(esme.next().await.is_none());
}
