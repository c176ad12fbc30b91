//! The far end, played by a test: it builds messages, and keeps what the leg orders.

use super::*;

/// A leg, a clock, and what the far end has seen.
pub(super) struct Far {
    pub(super) leg: Leg<u32>,
    pub(super) now: Instant,
    out: Vec<Output<u32>>,
    /// The last INVITE of the leg, or of the far end.
    pub(super) invite: Message,
    seq: u32,
    next_id: u32,
    contact: &'static str,
    /// Whether the far end was called.
    is_called: bool,
}

pub(super) const OFFER: u32 = 1;

fn body(sdp: Option<u32>) -> String {
    match sdp {
        None => "Content-Length: 0\r\n\r\n".to_owned(),
        Some(version) => {
            let sdp = super::sdp(version);
            let sdp = text(&sdp);
            format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len())
        }
    }
}

pub(super) fn settings() -> Settings {
    Settings { agent: "Orbit".to_owned(), session_s: 0, ..Settings::default() }
}

impl Far {
    /// The far end calls.
    pub(super) fn calls(extra: &str, sdp: Option<u32>) -> Self {
        Self::calls_with(settings(), extra, sdp)
    }

    pub(super) fn calls_with(settings: Settings, extra: &str, sdp: Option<u32>) -> Self {
        let now = Instant::now();
        let text = format!(
            "INVITE sip:us@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP far;branch=z9hG4bK0\r\n\
             From: <sip:far@far.example>;tag=ft\r\nTo: <sip:us@192.0.2.1>\r\nCall-ID: call\r\n\
             CSeq: 10 INVITE\r\nContact: <sip:far@192.0.2.9>\r\nMax-Forwards: 70\r\n{}{}",
            extra.replace('\n', "\r\n"),
            body(sdp)
        );
        let invite = parse(text.as_bytes());
        let mut out = Vec::new();
        let incoming = Incoming {
            settings: Arc::new(settings),
            id: 0,
            invite: invite.clone(),
            tag: "ut".to_owned(),
            contact: "<sip:us@192.0.2.1:5060>".to_owned(),
            seed: 7,
        };
        let leg = Leg::incoming(now, incoming, &mut out);
        let contact = "<sip:far@192.0.2.9>";
        Self { leg, now, out, invite, seq: 10, next_id: 1, contact, is_called: false }
    }

    /// The far end is called.
    pub(super) fn called(sdp: Option<u32>) -> Self {
        Self::called_with(settings(), sdp)
    }

    pub(super) fn called_with(settings: Settings, sdp: Option<u32>) -> Self {
        let now = Instant::now();
        let mut out = Vec::new();
        let outgoing = Outgoing {
            settings: Arc::new(settings),
            call_id: "call".to_owned(),
            tag: "ut".to_owned(),
            contact: "<sip:us@192.0.2.1:5060>".to_owned(),
            seed: 7,
            uri: "sip:far@far.example".to_owned(),
            from: "<sip:us@192.0.2.1>".to_owned(),
            to: "<sip:far@far.example>".to_owned(),
            routes: Vec::new(),
            max_forwards: 69,
            sdp: sdp.map(super::sdp),
            extra: Extra::default(),
        };
        let leg = Leg::outgoing(now, outgoing, &mut out);
        let Some(Output::Request { octets, .. }) = out.first() else { panic!("no INVITE") };
        let invite = with_via(octets, "u0");
        let contact = "<sip:far@192.0.2.9>";
        let mut far = Self {
            leg,
            now,
            out: Vec::new(),
            invite,
            seq: 100,
            next_id: 1,
            contact,
            is_called: true,
        };
        far.out = out;
        far
    }

    pub(super) fn step(&mut self, input: Input<u32>) -> &mut Self {
        self.leg.step(self.now, input, &mut self.out);
        self
    }

    pub(super) fn command(&mut self, command: Command) -> &mut Self {
        self.step(Input::Command(command))
    }

    pub(super) fn ring(&mut self, status: u16, sdp: Option<u32>, reliable: bool) -> &mut Self {
        let status = StatusCode::new(status).unwrap();
        let (sdp, extra) = (sdp.map(super::sdp), Extra::default());
        self.command(Command::Ring { status, sdp, reliable, extra })
    }

    pub(super) fn answer(&mut self, sdp: Option<u32>) -> &mut Self {
        self.command(Command::Answer { sdp: sdp.map(super::sdp), extra: Extra::default() })
    }

    pub(super) fn end(&mut self) -> &mut Self {
        self.command(Command::End { cause: Cause::default() })
    }

    /// A request of the far end in the dialog; its mark.
    pub(super) fn request(&mut self, method: &str, extra: &str, sdp: Option<u32>) -> u32 {
        self.seq += 1;
        self.request_as(self.seq, method, extra, sdp)
    }

    pub(super) fn request_as(
        &mut self,
        seq: u32,
        method: &str,
        extra: &str,
        sdp: Option<u32>,
    ) -> u32 {
        let message = self.in_dialog(seq, method, extra, &body(sdp));
        let id = self.next_id;
        self.next_id += 1;
        self.step(Input::Request { id, message });
        id
    }

    fn in_dialog(&self, seq: u32, method: &str, extra: &str, body: &str) -> Message {
        let (far, us) = ("<sip:far@far.example>;tag=ft", "<sip:us@192.0.2.1>;tag=ut");
        let contact = self.contact;
        let text = format!(
            "{method} sip:us@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP far;branch=z9hG4bK{seq}\r\n\
             From: {far}\r\nTo: {us}\r\nCall-ID: call\r\nCSeq: {seq} {method}\r\n\
             Contact: {contact}\r\nMax-Forwards: 70\r\n{}{body}",
            extra.replace('\n', "\r\n"),
        );
        parse(text.as_bytes())
    }

    /// A request with a body of another type.
    pub(super) fn request_with(&mut self, method: &str, extra: &str, content: &str) -> u32 {
        self.seq += 1;
        let body = format!("Content-Length: {}\r\n\r\n{content}", content.len());
        let message = self.in_dialog(self.seq, method, extra, &body);
        let id = self.next_id;
        self.next_id += 1;
        self.step(Input::Request { id, message });
        id
    }

    /// The ACK of a 2xx to the far end's last INVITE.
    pub(super) fn ack(&mut self, seq: u32, sdp: Option<u32>) -> &mut Self {
        let message = self.in_dialog(seq, "ACK", "", &body(sdp));
        self.step(Input::Ack(message))
    }

    /// A response of the far end to a request of the leg.
    pub(super) fn respond(
        &mut self,
        request: &(Tag, Message),
        status: u16,
        extra: &str,
        sdp: Option<u32>,
    ) -> &mut Self {
        self.respond_as("ft", request, status, extra, sdp)
    }

    pub(super) fn respond_as(
        &mut self,
        tag: &str,
        request: &(Tag, Message),
        status: u16,
        extra: &str,
        sdp: Option<u32>,
    ) -> &mut Self {
        let (mark, request) = request;
        let answer = Answer { tag: Some(tag), ..Answer::default() };
        let status = StatusCode::new(status).unwrap();
        let mut builder = Builder::answer(request, status, answer);
        builder.lines(extra.replace('\n', "\r\n").as_bytes());
        if !extra.contains("Contact:") {
            let contact = format!("<sip:{tag}@192.0.2.9>");
            builder.header(Name::Contact, &contact[..]);
        }
        let octets = write(builder, sdp.map(super::sdp).as_ref()).unwrap();
        self.step(Input::Response { tag: *mark, message: parse(&octets) })
    }

    /// The time goes on; each deadline on the way is kept.
    pub(super) fn wait(&mut self, wait: Duration) -> &mut Self {
        let until = self.now + wait;
        let mut steps = 0;
        while let Some(at) = self.leg.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.step(Input::Tick);
            steps += 1;
            assert!(steps < 10_000, "a deadline stays in the past");
        }
        self.now = until;
        self
    }

    pub(super) fn wait_s(&mut self, seconds: u64) -> &mut Self {
        self.wait(Duration::from_secs(seconds))
    }

    fn take<T>(&mut self, pick: impl Fn(&Output<u32>) -> Option<T>) -> Vec<T> {
        let mut taken = Vec::new();
        self.out.retain(|output| match pick(output) {
            Some(found) => {
                taken.push(found);
                false
            }
            None => true,
        });
        taken
    }

    /// What the user was told since.
    pub(super) fn told(&mut self) -> Vec<String> {
        self.take(|output| match output {
            Output::Told(told) => Some(short(told)),
            _ => None,
        })
    }

    pub(super) fn told_all(&mut self) -> Vec<Told> {
        self.take(|output| match output {
            Output::Told(told) => Some(told.clone()),
            _ => None,
        })
    }

    /// The responses that the leg gave since, with their marks.
    pub(super) fn responses(&mut self) -> Vec<(u32, Message)> {
        self.take(|output| match output {
            Output::Respond { id, octets } => Some((*id, parse(octets))),
            _ => None,
        })
    }

    pub(super) fn statuses(&mut self) -> Vec<(u32, u16)> {
        let status = |message: &Message| message.status().unwrap().get();
        self.responses().iter().map(|(id, message)| (*id, status(message))).collect()
    }

    /// The requests that the leg sent since.
    pub(super) fn requests(&mut self) -> Vec<(Tag, Message)> {
        self.take(|output| match output {
            Output::Request { tag, octets, .. } => {
                Some((*tag, with_via(octets, &format!("u{}", tag.0))))
            }
            _ => None,
        })
    }

    /// The one request of that method.
    pub(super) fn one_request(&mut self, method: &Method) -> (Tag, Message) {
        let mut all = self.requests();
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(all[0].1.method(), Some(method));
        all.remove(0)
    }

    pub(super) fn acks(&mut self) -> Vec<Message> {
        self.take(|output| match output {
            Output::Ack { octets, .. } => Some(with_via(octets, "ack")),
            _ => None,
        })
    }

    pub(super) fn cancels(&mut self) -> usize {
        self.take(|output| matches!(output, Output::Cancel { .. }).then_some(())).len()
    }

    /// The call is answered by us, and confirmed; nothing of that is left to see.
    pub(super) fn up(mut self) -> Self {
        if self.is_called {
            let invite = self.one_request(&Method::Invite);
            self.respond(&invite, 200, "Allow: INVITE, UPDATE\n", Some(50));
        } else {
            self.answer(Some(50)).ack(10, None);
        }
        self.out.clear();
        assert!(self.leg.agreed().is_some());
        self
    }

    /// The leg is over and wants nothing more.
    pub(super) fn is_quiet(&mut self) -> bool {
        let left = self.out.iter().filter(|output| !matches!(output, Output::Told(_))).count();
        self.leg.is_over() && left == 0
    }
}
