//! A telephone of a few lines: requests as text, answers as text, over UDP, TCP or a WebSocket.

use std::net::SocketAddr;
use std::time::Duration;

use proto_sip::digest::client::{Account, Attempt, Client, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::Credential;

const PATIENCE: Duration = Duration::from_secs(10);

/// What octets go over.
pub(super) enum Line {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
    /// Frames, of which the telephone's are masked.
    Web(TcpStream, Vec<u8>),
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) text: String,
}

pub(super) struct Phone {
    line: Line,
    local: SocketAddr,
    user: String,
    realm: String,
    /// What it takes for the domain.
    host: String,
    client: Client,
    call_id: String,
    cseq: u32,
}

impl Line {
    pub(super) async fn udp(at: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        socket.connect(at).await.expect("a peer");
        Self::Udp(socket)
    }

    pub(super) async fn tcp(at: SocketAddr) -> Self {
        Self::Tcp(TcpStream::connect(at).await.expect("it listens"), Vec::new())
    }

    fn local(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Tcp(stream, _) | Self::Web(stream, _) => stream.local_addr(),
        }
        .expect("an address")
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Udp(_) => "UDP",
            Self::Tcp(..) => "TCP",
            Self::Web(..) => "WS",
        }
    }

    async fn send(&mut self, text: &str) {
        let sent = match self {
            Self::Udp(socket) => socket.send(text.as_bytes()).await.map(|_| ()),
            Self::Tcp(stream, _) => stream.write_all(text.as_bytes()).await,
            Self::Web(stream, _) => stream.write_all(&masked(text.as_bytes())).await,
        };
        sent.expect("it is sent");
    }

    async fn receive(&mut self) -> String {
        let mut buffer = vec![0; 65_536];
        match self {
            Self::Udp(socket) => {
                let length = socket.recv(&mut buffer).await.expect("an answer");
                String::from_utf8_lossy(&buffer[..length]).into_owned()
            }
            Self::Tcp(stream, kept) => loop {
                if let Some(at) = kept.windows(4).position(|part| part == b"\r\n\r\n") {
                    let message: Vec<u8> = kept.drain(..at + 4).collect();
                    return String::from_utf8_lossy(&message).into_owned();
                }
                let length = stream.read(&mut buffer).await.expect("it reads");
                assert!(length > 0, "the connection is closed");
                kept.extend_from_slice(&buffer[..length]);
            },
            Self::Web(stream, kept) => loop {
                if let Some(text) = unframed(kept) {
                    return text;
                }
                let length = stream.read(&mut buffer).await.expect("it reads");
                assert!(length > 0, "the connection is closed");
                kept.extend_from_slice(&buffer[..length]);
            },
        }
    }
}

/// One frame of text from a client, RFC 6455 §5.2.
fn masked(octets: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend_from_slice(&(octets.len() as u16).to_be_bytes());
    frame.extend_from_slice(&mask);
    frame.extend(octets.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask));
    frame
}

/// The payload of the first frame, if it is whole.
fn unframed(kept: &mut Vec<u8>) -> Option<String> {
    let short = usize::from(*kept.get(1)?);
    let (start, length) = match short {
        126 => (4, usize::from(u16::from_be_bytes([*kept.get(2)?, *kept.get(3)?]))),
        short => (2, short),
    };
    if kept.len() < start + length {
        return None;
    }
    let payload: Vec<u8> = kept.drain(..start + length).skip(start).collect();
    Some(String::from_utf8_lossy(&payload).into_owned())
}

/// Asks for a WebSocket; the line and the HTTP status.
pub(super) async fn upgrade(at: SocketAddr, origin: &str, protocol: &str) -> (Line, u16) {
    let mut stream = TcpStream::connect(at).await.expect("it listens");
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {at}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.expect("in time").expect("an answer"));
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
    (Line::Web(stream, Vec::new()), status)
}

impl Said {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(super) fn contacts(&self) -> Vec<&str> {
        self.text.lines().filter_map(|line| line.strip_prefix("Contact: ")).collect()
    }

    pub(super) fn reason(&self) -> &str {
        self.text.lines().next().and_then(|line| line.get(12..)).unwrap_or_default()
    }
}

impl Phone {
    pub(super) fn new(line: Line, credential: &Credential) -> Self {
        let Credential { user, realm, password, .. } = credential.clone();
        let client = Client::new(vec![Account::new(&realm, &user, &password)]);
        let local = line.local();
        let call_id = format!("{}-{}", local.port(), line.name());
        let host = realm.clone();
        Self { line, local, user, realm, host, client, call_id, cseq: 0 }
    }

    /// The same, which takes another host for the domain.
    pub(super) fn at(self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self }
    }

    /// Registers with this Contact, answering one challenge; what the switch said in the end.
    pub(super) async fn register(&mut self, contact: &str, more: &str) -> Said {
        let user = self.user.clone();
        self.register_to(&user, contact, more).await
    }

    pub(super) async fn register_as(&mut self, user: &str, contact: &str) -> Said {
        self.register_to(user, contact, "").await
    }

    async fn register_to(&mut self, to: &str, contact: &str, more: &str) -> Said {
        let uri = format!("sip:{}", self.host);
        let target = Target { method: "REGISTER", uri: &uri, cnonce: "0a4f113b" };
        let contact = match contact {
            "" => String::new(),
            contact => format!("Contact: {contact}\r\n"),
        };
        let realm = self.realm.clone();
        let known = self.client.again(&realm, &target);
        let mut attempt = Attempt::default();
        let mut said = self.once(to, &contact, more, known).await;
        if said.status == 401 {
            let values =
                said.text.lines().filter_map(|line| line.strip_prefix("WWW-Authenticate: "));
            let values: Vec<&str> = values.collect();
            if let Ok(value) = self.client.answer(&values, &target, &mut attempt) {
                said = self.once(to, &contact, more, Some(value)).await;
            }
        }
        said
    }

    async fn once(&mut self, to: &str, contact: &str, more: &str, by: Option<String>) -> Said {
        let by = by.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
        let request = self.request("REGISTER", to, &format!("{contact}{more}{by}"));
        self.line.send(&request).await;
        timeout(PATIENCE, self.answer()).await.expect("an answer in time")
    }

    fn request(&mut self, method: &str, to: &str, more: &str) -> String {
        self.cseq += 1;
        let (cseq, local, realm) = (self.cseq, self.local, &self.host);
        let uri = if method == "REGISTER" { String::new() } else { format!("{to}@") };
        format!(
            "{method} sip:{uri}{realm} SIP/2.0\r\nVia: SIP/2.0/{} {local};branch=z9hG4bK{}.{cseq};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{}@{realm}>;tag=1\r\nTo: <sip:{to}@{realm}>\r\n\
             Call-ID: {}\r\nCSeq: {cseq} {method}\r\n{more}Content-Length: 0\r\n\r\n",
            self.line.name(),
            self.call_id,
            self.user,
            self.call_id,
        )
    }

    /// The final answer to the last request.
    async fn answer(&mut self) -> Said {
        let cseq = format!("\r\nCSeq: {} ", self.cseq);
        loop {
            let text = self.line.receive().await;
            let status = text.get(8..11).and_then(|status| status.parse().ok()).expect("a status");
            if status >= 200 && text.contains(&cseq) {
                return Said { status, text };
            }
        }
    }

    /// A request outside of any call, with a Contact where it needs one.
    pub(super) async fn ask(&mut self, method: &str) -> Said {
        let user = self.user.clone();
        let contact = format!("Contact: <sip:{user}@{}>\r\n", self.local);
        let request = self.request(method, &user, &contact);
        self.line.send(&request).await;
        timeout(PATIENCE, self.answer()).await.expect("an answer in time")
    }

    /// Whether a REGISTER gets no answer for so long.
    pub(super) async fn is_silent(&mut self, contact: &str, wait: Duration) -> bool {
        let user = self.user.clone();
        let request = self.request("REGISTER", &user, &format!("Contact: {contact}\r\n"));
        self.line.send(&request).await;
        timeout(wait, self.answer()).await.is_err()
    }
}
