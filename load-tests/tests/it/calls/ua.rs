//! A telephone that calls: requests and answers as text over UDP, and packets of sound beside them.
//!
//! It does what a test tells it and nothing by itself, but for the digest and the ACK of a refusal.

use std::net::SocketAddr;
use std::time::Duration;

use proto_sip::digest::client::{Account, Attempt, Client, Target};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::phones::Credential;

const PATIENCE: Duration = Duration::from_secs(10);

/// A request or a response.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) text: String,
}

/// One call of a telephone, as it sees it.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    call_id: String,
    /// From and To of our requests.
    ours: String,
    theirs: String,
    target: String,
    cseq: u32,
    /// The branch of our INVITE.
    branch: String,
}

pub(super) struct Ua {
    socket: UdpSocket,
    pub(super) sound: UdpSocket,
    switch: SocketAddr,
    credential: Credential,
    client: Client,
    branches: u32,
    /// What the last telephone of this name said with, so that Call-IDs differ.
    nonce: u32,
    /// What came and nobody has asked for yet.
    kept: Vec<Said>,
}

impl Dialog {
    /// How others name it: as the other end sees it.
    pub(super) fn replaces(&self) -> String {
        let tag = |address: &str| {
            address.split_once(";tag=").map(|(_, tag)| tag.to_owned()).unwrap_or_default()
        };
        let (own, theirs) = (tag(&self.ours), tag(&self.theirs));
        format!("{};to-tag={theirs};from-tag={own}", self.call_id)
    }
}

impl Said {
    pub(super) fn header(&self, name: &str) -> &str {
        let prefix = format!("{name}: ");
        let mut lines = self.text.lines();
        lines.find_map(|line| line.strip_prefix(prefix.as_str())).unwrap_or_default()
    }

    pub(super) fn status(&self) -> u16 {
        self.text.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
    }

    pub(super) fn method(&self) -> &str {
        if self.status() > 0 { "" } else { self.text.split(' ').next().unwrap_or_default() }
    }

    pub(super) fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// Where the description wants sound.
    pub(super) fn sound_at(&self) -> SocketAddr {
        let line = |start: &str| self.body().lines().find_map(|line| line.strip_prefix(start));
        let host = line("c=IN IP4 ").expect("a host");
        let port = line("m=audio ").and_then(|rest| rest.split(' ').next()).expect("a port");
        format!("{host}:{port}").parse().expect("an address")
    }

    fn cseq_method(&self) -> &str {
        self.header("CSeq").split(' ').nth(1).unwrap_or_default()
    }
}

impl Ua {
    pub(super) async fn new(switch: SocketAddr, credential: &Credential) -> Self {
        let mut ua = Self::unbound(credential).await;
        ua.switch = switch;
        ua
    }

    /// One that knows no switch: it answers whoever calls.
    pub(super) async fn unbound(credential: &Credential) -> Self {
        Self::unbound_at("127.0.0.1:0", credential).await
    }

    /// The same at another address of this machine.
    pub(super) async fn unbound_at(place: &str, credential: &Credential) -> Self {
        let socket = UdpSocket::bind(place).await.expect("a socket");
        let switch = SocketAddr::from(([127, 0, 0, 1], 9));
        let sound = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let Credential { user, realm, password } = credential;
        let client = Client::new(vec![Account::new(realm, user, password)]);
        let nonce = u32::from(socket.local_addr().expect("an address").port());
        let (credential, branches, kept) = (credential.clone(), 0, Vec::new());
        Self { socket, sound, switch, credential, client, branches, nonce, kept }
    }

    /// One that registers first.
    pub(super) async fn registered(switch: SocketAddr, credential: &Credential) -> Self {
        let mut ua = Self::new(switch, credential).await;
        let uri = format!("sip:{}", ua.credential.realm);
        let to = format!("<sip:{}@{}>", ua.credential.user, ua.credential.realm);
        let mut dialog = Dialog {
            call_id: format!("r{}", ua.nonce),
            ours: format!("{to};tag=r"),
            theirs: to,
            target: uri,
            cseq: 0,
            branch: String::new(),
        };
        let said = ua.asked("REGISTER", &mut dialog, "Expires: 600\r\n", "").await;
        assert_eq!(said.status(), 200, "{}", said.text);
        ua
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }

    /// A description of ours: sound on our port, in one direction or both.
    pub(super) fn sdp(&self, version: u32, direction: &str) -> String {
        let port = self.sound.local_addr().expect("an address").port();
        format!(
            "v=0\r\no=- 7 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        )
    }

    async fn send(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.switch).await.expect("it is sent");
    }

    fn request(&mut self, method: &str, dialog: &Dialog, more: &str, body: &str) -> String {
        self.branches += 1;
        let (local, user) = (self.local(), &self.credential.user);
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let branch = match method {
            "CANCEL" => dialog.branch.clone(),
            _ => format!("z9hG4bK{}.{}", self.nonce, self.branches),
        };
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch={branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\n\
             Contact: <sip:{user}@{local}>\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
            dialog.target,
            dialog.ours,
            dialog.theirs,
            dialog.call_id,
            dialog.cseq,
            body.len()
        )
    }

    /// A request with its final answer; a challenge is answered once.
    async fn asked(&mut self, method: &str, dialog: &mut Dialog, more: &str, body: &str) -> Said {
        dialog.cseq += 1;
        let request = self.request(method, dialog, more, body);
        self.send(&request).await;
        let said = self.final_answer(method).await;
        match self.authorization(method, dialog, &said) {
            None => said,
            Some(by) => {
                dialog.cseq += 1;
                let request = self.request(method, dialog, &format!("{more}{by}"), body);
                self.send(&request).await;
                self.final_answer(method).await
            }
        }
    }

    fn authorization(&mut self, method: &str, dialog: &Dialog, said: &Said) -> Option<String> {
        if said.status() != 401 {
            return None;
        }
        let target = Target { method, uri: &dialog.target, cnonce: "0a4f113b" };
        let challenge = said.header("WWW-Authenticate");
        let value = self.client.answer(&[challenge], &target, &mut Attempt::default()).ok()?;
        Some(format!("Authorization: {value}\r\n"))
    }

    async fn final_answer(&mut self, method: &str) -> Said {
        self.heard(|said| said.status() >= 200 && said.cseq_method() == method).await
    }

    /// The next thing that fits; what comes meanwhile is kept.
    pub(super) async fn heard(&mut self, fits: impl Fn(&Said) -> bool) -> Said {
        if let Some(at) = self.kept.iter().position(&fits) {
            return self.kept.remove(at);
        }
        let mut buffer = vec![0; 65_536];
        let waiting = async {
            loop {
                let (length, from) = self.socket.recv_from(&mut buffer).await.expect("something");
                self.switch = from;
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let said = Said { text };
                if fits(&said) {
                    return said;
                }
                self.kept.push(said);
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(said) => said,
            Err(_) => panic!("nothing of the kind came, but {:#?}", self.kept),
        }
    }

    pub(super) async fn response(&mut self, status: u16) -> Said {
        let said = self.heard(|said| said.status() >= 180).await;
        assert_eq!(said.status(), status, "{}", said.text);
        said
    }

    pub(super) async fn incoming(&mut self, method: &str) -> Said {
        self.heard(|said| said.method() == method).await
    }

    /// Places a call and proves who we are; provisional answers are to be heard by the caller.
    pub(super) async fn invite(&mut self, to: &str, sdp: &str) -> Dialog {
        self.invite_with(to, "", sdp).await
    }

    /// The same with headers more.
    pub(super) async fn invite_with(&mut self, to: &str, more: &str, sdp: &str) -> Dialog {
        let realm = self.credential.realm.clone();
        self.branches += 1;
        let mut dialog = Dialog {
            call_id: format!("c{}.{}", self.nonce, self.branches),
            ours: format!("<sip:{}@{realm}>;tag=c{}", self.credential.user, self.branches),
            theirs: format!("<sip:{to}@{realm}>"),
            target: format!("sip:{to}@{realm}"),
            cseq: 1,
            branch: String::new(),
        };
        let first = self.request("INVITE", &dialog, more, sdp);
        self.send(&first).await;
        let said = self.heard(|said| said.status() >= 200).await;
        assert_eq!(said.status(), 401, "{}", said.text);
        self.ack_refusal(&first, &said).await;
        let by = self.authorization("INVITE", &dialog, &said).expect("a challenge of our realm");
        dialog.cseq += 1;
        let again = self.request("INVITE", &dialog, &format!("{more}{by}"), sdp);
        dialog.branch = format!("z9hG4bK{}.{}", self.nonce, self.branches);
        self.send(&again).await;
        dialog
    }

    /// A carrier brings a call of this number; it is asked for nothing.
    pub(super) async fn bring(&mut self, from: &str, to: &str, more: &str, sdp: &str) -> Dialog {
        self.branches += 1;
        let mut dialog = Dialog {
            call_id: format!("b{}.{}", self.nonce, self.branches),
            ours: format!("<sip:{from}@carrier.example>;tag=b{}", self.branches),
            theirs: format!("<sip:{to}@{}>", self.switch),
            target: format!("sip:{to}@{}", self.switch),
            cseq: 1,
            branch: String::new(),
        };
        let invite = self.request("INVITE", &dialog, more, sdp);
        dialog.branch = format!("z9hG4bK{}.{}", self.nonce, self.branches);
        self.send(&invite).await;
        dialog
    }

    /// The ACK of a final answer that is no success, on the branch of its INVITE.
    async fn ack_refusal(&self, invite: &str, said: &Said) {
        let via = invite.lines().find(|line| line.starts_with("Via: ")).unwrap_or_default();
        let uri = invite.split(' ').nth(1).unwrap_or_default();
        let number = said.header("CSeq").split(' ').next().unwrap_or_default();
        let ack = format!(
            "ACK {uri} SIP/2.0\r\n{via}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {number} ACK\r\nContent-Length: 0\r\n\r\n",
            said.header("From"),
            said.header("To"),
            said.header("Call-ID"),
        );
        self.send(&ack).await;
    }

    /// The call was not answered: the ACK of that.
    pub(super) async fn acknowledge_refusal(&self, dialog: &Dialog, said: &Said) {
        let invite = format!(
            "INVITE {} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch={};rport\r\n",
            dialog.target,
            self.local(),
            dialog.branch
        );
        self.ack_refusal(&invite, said).await;
    }

    pub(super) async fn cancel(&mut self, dialog: &Dialog) {
        let cancel = self.request("CANCEL", dialog, "", "");
        self.send(&cancel).await;
        let said = self.final_answer("CANCEL").await;
        assert_eq!(said.status(), 200, "{}", said.text);
    }

    /// The answer to our INVITE makes the dialog; the ACK goes out.
    pub(super) async fn confirm(&mut self, dialog: &mut Dialog, ok: &Said, sdp: &str) {
        ok.header("To").clone_into(&mut dialog.theirs);
        let contact = ok.header("Contact");
        contact.trim_matches(['<', '>']).clone_into(&mut dialog.target);
        let ack = self.request("ACK", dialog, "", sdp);
        self.send(&ack).await;
    }

    /// An answer to a request; a provisional or a final one.
    pub(super) async fn answer(&mut self, request: &Said, status: u16, sdp: &str) {
        let copied = |name: &str| format!("{name}: {}\r\n", request.header(name));
        let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let to = match request.header("To") {
            to if to.contains(";tag=") || status == 100 => to.to_owned(),
            to => format!("{to};tag=u{}", self.nonce),
        };
        let text = format!(
            "SIP/2.0 {status} Said\r\n{}{}To: {to}\r\n{}{}Contact: <sip:{}@{}>\r\n{kind}\
             Content-Length: {}\r\n\r\n{sdp}",
            copied("Via"),
            copied("From"),
            copied("Call-ID"),
            copied("CSeq"),
            self.credential.user,
            self.local(),
            sdp.len()
        );
        self.send(&text).await;
    }

    /// The dialog of an INVITE that we have answered.
    pub(super) fn dialog_of(&self, invite: &Said) -> Dialog {
        Dialog {
            call_id: invite.header("Call-ID").to_owned(),
            ours: format!("{};tag=u{}", invite.header("To"), self.nonce),
            theirs: invite.header("From").to_owned(),
            target: invite.header("Contact").trim_matches(['<', '>']).to_owned(),
            cseq: 100,
            branch: String::new(),
        }
    }

    /// Hangs up.
    pub(super) async fn bye(&mut self, dialog: &mut Dialog) {
        let said = self.asked("BYE", dialog, "", "").await;
        assert_eq!(said.status(), 200, "{}", said.text);
    }

    /// Asks for another description within the call: the final answer, acknowledged.
    pub(super) async fn reinvite(&mut self, dialog: &mut Dialog, sdp: &str) -> Said {
        let said = self.asked("INVITE", dialog, "", sdp).await;
        if said.status() == 200 {
            let ack = self.request("ACK", dialog, "", "");
            self.send(&ack).await;
        }
        said
    }

    pub(super) async fn refer(&mut self, dialog: &mut Dialog, to: &str) -> Said {
        let more = format!("Refer-To: <sip:{to}@{}>\r\n", self.credential.realm);
        self.asked("REFER", dialog, &more, "").await
    }

    /// Asks who is on the other side to take our place in another call of ours.
    pub(super) async fn refer_instead(
        &mut self,
        dialog: &mut Dialog,
        (to, replaces): (&str, &str),
    ) -> Said {
        let escaped = replaces.replace(';', "%3B").replace('=', "%3D").replace('@', "%40");
        let to = format!("<sip:{to}@{}?Replaces={escaped}>", self.credential.realm);
        self.asked("REFER", dialog, &format!("Refer-To: {to}\r\n"), "").await
    }

    /// Packets of sound until the other one hears them: what it heard.
    pub(super) async fn speaks_to(&self, at: SocketAddr, other: &Self, voice: u8) -> bool {
        let mut heard = [0; 2_048];
        for number in 0..250_u16 {
            let packet = packet(number, voice);
            self.sound.send_to(&packet, at).await.expect("it is sent");
            let next = timeout(Duration::from_millis(20), other.sound.recv(&mut heard)).await;
            if let Ok(Ok(length)) = next
                && length == 172
                && heard[12..172].iter().all(|octet| *octet == voice)
            {
                return true;
            }
        }
        false
    }

    /// Whether a sound comes that is no silence, while packets of ours show where we are.
    pub(super) async fn hears(&self, at: SocketAddr) -> bool {
        let mut heard = [0; 2_048];
        for number in 0..250_u16 {
            let packet = packet(number, 0xff);
            self.sound.send_to(&packet, at).await.expect("it is sent");
            let next = timeout(Duration::from_millis(20), self.sound.recv(&mut heard)).await;
            if let Ok(Ok(172)) = next
                && heard[12..172].iter().any(|octet| *octet != heard[12])
            {
                return true;
            }
        }
        false
    }

    /// Whether a digit is pressed in what comes (RFC 4733, payload type 101).
    pub(super) async fn hears_digit(&self, digit: u8) -> bool {
        let mut heard = [0; 2_048];
        let hearing = async {
            loop {
                let length = self.sound.recv(&mut heard).await.expect("a packet");
                if length == 16 && heard[1] & 0x7f == 101 && heard[12] == digit {
                    return;
                }
            }
        };
        timeout(PATIENCE, hearing).await.is_ok()
    }

    /// Whether nobody has called; it may have been asked whether it is there.
    pub(super) fn was_not_called(&self) -> bool {
        let mut buffer = [0; 2_048];
        let mut came = std::iter::from_fn(|| {
            let (length, _) = self.socket.try_recv_from(&mut buffer).ok()?;
            Some(buffer[..length].starts_with(b"INVITE "))
        });
        !self.kept.iter().any(|said| said.text.starts_with("INVITE ")) && came.all(|called| !called)
    }

    pub(super) fn switch(&self) -> SocketAddr {
        self.switch
    }
}

/// 20 ms of G.711 µ-law that says one thing.
fn packet(number: u16, voice: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(&(u32::from(number) * 160).to_be_bytes());
    packet.extend_from_slice(&u32::from(voice).to_be_bytes());
    packet.extend_from_slice(&[voice; 160]);
    packet
}
