//! A customer's system by hand: its connection, its PDUs octet by octet, what it is answered.
//!
//! The wire is that of the independent SMSC, not the switch's own.

use std::net::SocketAddr;
use std::time::Duration;

use load_tests::peer::smsc::wire::{
    self, BIND_TRANSCEIVER, DELIVER_SM, ENQUIRE_LINK, Frame, Header, RESPONSE, SUBMIT_SM,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Esme {
    stream: TcpStream,
    input: Vec<u8>,
}

/// What a `submit_sm` says; by default a text of no account, from Orbit to a person.
pub(crate) struct Submit<'a> {
    pub(crate) service_type: &'a str,
    /// TON and digits.
    pub(crate) source: (u8, &'a str),
    pub(crate) destination: (u8, &'a str),
    pub(crate) esm_class: u8,
    pub(crate) schedule: &'a str,
    pub(crate) validity: &'a str,
    pub(crate) registered: u8,
    pub(crate) replace: u8,
    pub(crate) data_coding: u8,
    pub(crate) default_id: u8,
    pub(crate) text: &'a [u8],
    pub(crate) tlvs: &'a [(u16, &'a [u8])],
}

impl Default for Submit<'_> {
    fn default() -> Self {
        Self {
            service_type: "",
            source: (5, "Orbit"),
            destination: (1, "14155550123"),
            esm_class: 0,
            schedule: "",
            validity: "",
            registered: 0,
            replace: 0,
            data_coding: 0,
            default_id: 0,
            text: b"hello",
            tlvs: &[],
        }
    }
}

impl Submit<'_> {
    pub(crate) fn octets(&self, sequence: u32) -> Vec<u8> {
        let mut out = Vec::new();
        wire::put(&mut out, SUBMIT_SM, wire::OK, sequence, |out| {
            let text = |out: &mut Vec<u8>, text: &str| {
                out.extend_from_slice(text.as_bytes());
                out.push(0);
            };
            text(out, self.service_type);
            for (ton, digits) in [self.source, self.destination] {
                out.extend_from_slice(&[ton, u8::from(ton == 1)]);
                text(out, digits);
            }
            out.extend_from_slice(&[self.esm_class, 0, 0]);
            text(out, self.schedule);
            text(out, self.validity);
            out.extend_from_slice(&[self.registered, self.replace, self.data_coding]);
            out.push(self.default_id);
            out.push(u8::try_from(self.text.len()).expect("one octet"));
            out.extend_from_slice(self.text);
            for (tag, value) in self.tlvs {
                wire::put_tlv(out, *tag, value);
            }
        });
        out
    }
}

pub(crate) fn bind(command: u32, name: &str, password: &str, version: u8) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put(&mut out, command, wire::OK, 1, |out| {
        out.extend_from_slice(format!("{name}\0{password}\0\0").as_bytes());
        out.extend_from_slice(&[version, 0, 0, 0]);
    });
    out
}

impl Esme {
    pub(crate) async fn connect(door: SocketAddr) -> Self {
        let stream = TcpStream::connect(door).await.expect("it listens");
        Self::over(stream)
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket");
        Self { stream, input: Vec::new() }
    }

    /// Binds as 3.4 in this way; the status that it is answered.
    pub(crate) async fn binds(&mut self, command: u32, name: &str, password: &str) -> u32 {
        self.write(&bind(command, name, password, 0x34)).await;
        let (header, _) = self.next().await.expect("an answer");
        assert_eq!(header.command, command | RESPONSE);
        header.status
    }

    /// A transceiver that was let in.
    pub(crate) async fn bound(door: SocketAddr, name: &str, password: &str) -> Self {
        let mut esme = Self::connect(door).await;
        assert_eq!(esme.binds(BIND_TRANSCEIVER, name, password).await, wire::OK);
        esme
    }

    pub(crate) async fn write(&mut self, octets: &[u8]) {
        // A door that was shut is seen by what is read.
        let _ = self.stream.write_all(octets).await;
    }

    /// The next PDU; `None` when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<(Header, Vec<u8>)> {
        loop {
            if let Frame::Whole(header, body) = wire::frame(&self.input) {
                let body = body.to_vec();
                self.input.drain(..header.length);
                return Some((header, body));
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await;
            if read.expect("in time").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Submits, and the status and id that it is answered.
    pub(crate) async fn submits(&mut self, sequence: u32, submit: &Submit<'_>) -> (u32, String) {
        self.write(&submit.octets(sequence)).await;
        loop {
            let (header, body) = self.next().await.expect("an answer");
            if (header.command, header.sequence) == (SUBMIT_SM | RESPONSE, sequence) {
                let id = String::from_utf8_lossy(&body);
                return (header.status, id.trim_end_matches('\0').to_owned());
            }
        }
    }

    /// The next delivery, acknowledged.
    pub(crate) async fn brought(&mut self) -> (Header, Vec<u8>) {
        loop {
            let (header, body) = self.next().await.expect("a delivery");
            if header.command == DELIVER_SM {
                let mut out = Vec::new();
                wire::put(&mut out, DELIVER_SM | RESPONSE, wire::OK, header.sequence, |out| {
                    out.push(0);
                });
                self.write(&out).await;
                return (header, body);
            }
        }
    }

    pub(crate) async fn answers_enquire_link(&mut self) {
        let mut out = Vec::new();
        wire::put(&mut out, ENQUIRE_LINK, wire::OK, 4711, |_| {});
        self.write(&out).await;
        let (header, _) = self.next().await.expect("it lives");
        assert_eq!((header.command, header.sequence), (ENQUIRE_LINK | RESPONSE, 4711));
    }
}
