//! A registrar of a few lines, and what it makes of a registration.

use super::*;
use crate::digest::client::Account;

const CONTACT: &str = "sip:t0k3n@192.0.2.9:5060;transport=tcp";

struct Bench {
    registration: Registration,
    start: Instant,
    asked: Message,
}

fn parse(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &crate::Limits::default()).unwrap()
}

fn bench() -> Bench {
    let start = Instant::now();
    let parts = Parts {
        settings: Settings {
            expires_s: 600,
            retry_min: Duration::from_secs(4),
            retry_max: Duration::from_secs(300),
            agent: String::from("Orbit"),
        },
        registrar: String::from("sip:registrar.example"),
        aor: String::from("sip:office@registrar.example"),
        call_id: String::from("one"),
        tag: String::from("1"),
        client: Some(Client::new(vec![Account::new("registrar.example", "office", "secret")])),
    };
    let mut registration = Registration::new(parts, start);
    assert_eq!((registration.due(), registration.status(start)), (Some(start), Status::Trying));
    let asked = parse_request(&registration.request(CONTACT, Chance(7)).unwrap());
    Bench { registration, start, asked }
}

fn parse_request(octets: &[u8]) -> Message {
    let text = String::from_utf8(octets.to_vec()).unwrap();
    let (line, rest) = text.split_once("\r\n").unwrap();
    let message = parse(&format!("{line}\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\n{rest}"));
    message.check().unwrap();
    message
}

impl Bench {
    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn hears(&mut self, seconds: u64, status: u16, more: &str) -> Next {
        let text = format!(
            "SIP/2.0 {status} Said\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\n\
             From: <sip:office@registrar.example>;tag=1\r\nTo: <sip:office@registrar.example>;tag=2\r\n\
             Call-ID: one\r\nCSeq: 1 REGISTER\r\n{more}Content-Length: 0\r\n\r\n"
        );
        let now = self.at(seconds);
        let next = self.registration.heard(now, &parse(&text), CONTACT, Chance(u64::MAX / 2));
        if next == Next::Again {
            self.ask();
        }
        next
    }

    fn challenge(&mut self, realm: &str, nonce: &str, more: &str) -> Next {
        let header = format!(
            "WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\"{more}\r\n"
        );
        self.hears(0, 401, &header)
    }

    fn ask(&mut self) {
        self.asked = parse_request(&self.registration.request(CONTACT, Chance(9)).unwrap());
        assert_eq!(self.registration.due(), None);
    }

    fn header(&self, name: Name) -> String {
        let found = self.asked.first(name).map(|header| header.text().into_owned());
        String::from_utf8(found.unwrap_or_default()).unwrap()
    }

    /// Seconds until it is due.
    fn wait(&self, seconds: u64) -> u64 {
        (self.registration.due().unwrap() - self.at(seconds)).as_secs()
    }
}

#[test]
fn a_challenge_is_answered_and_what_is_granted_is_renewed_before_it_ends() {
    let mut bench = bench();
    assert_eq!(bench.header(Name::Authorization), "");
    assert_eq!(bench.header(Name::Expires), "600");
    assert_eq!(bench.challenge("registrar.example", "n1", ", algorithm=SHA-256"), Next::Again);
    let said = bench.header(Name::Authorization);
    assert!(said.contains("username=\"office\"") && said.contains("SHA-256"), "{said}");
    assert!(!said.contains("secret") && said.contains("nc=00000001"), "{said}");
    let contacts =
        format!("Contact: <sip:other@h>;expires=9\r\nContact: <{CONTACT}>;expires=120\r\n");
    assert_eq!(bench.hears(1, 200, &contacts), Next::Wait);
    let registration = &bench.registration;
    assert_eq!(registration.status(bench.at(120)), Status::Registered);
    assert_eq!(registration.status(bench.at(121)), Status::Trying, "it is over");
    assert!((60..=90).contains(&bench.wait(1)), "{}", bench.wait(1));
    // The next one is sent by the same nonce, which has ended meanwhile.
    bench.ask();
    assert!(bench.header(Name::Authorization).contains("nc=00000002"));
    assert_eq!(bench.header(Name::CSeq), "3 REGISTER");
    assert_eq!(bench.challenge("registrar.example", "n2", ", stale=true"), Next::Again);
    assert!(bench.header(Name::Authorization).contains("n2"));
    bench.hears(70, 200, "Expires: 40\r\n");
    assert!((20..=30).contains(&bench.wait(70)), "by the header, where the contact says nothing");
}

#[test]
fn a_password_that_is_refused_is_not_said_again_soon() {
    let mut bench = bench();
    bench.challenge("registrar.example", "n1", "");
    assert_eq!(bench.challenge("registrar.example", "n2", ""), Next::Wait);
    assert_eq!(bench.registration.status(bench.start), Status::Failed);
    assert_eq!(bench.registration.error(), Some("the registrar refuses the password"));
    assert!(bench.wait(0) >= 300, "{}", bench.wait(0));
    bench.ask();
    assert_eq!(bench.header(Name::Authorization), "");
    assert_eq!(bench.challenge("asterisk", "n3", ""), Next::Wait);
    let error = bench.registration.error().unwrap();
    assert!(error.ends_with("as user@asterisk"), "{error}");
}

#[test]
fn who_wants_longer_times_gets_them_once() {
    let mut bench = bench();
    assert_eq!(bench.hears(0, 423, "Min-Expires: 1800\r\n"), Next::Again);
    assert_eq!(bench.header(Name::Expires), "1800");
    assert_eq!(bench.hears(0, 423, "Min-Expires: 3600\r\n"), Next::Wait);
    assert_eq!(bench.registration.error(), Some("the registrar says 423 Interval Too Brief"));
    for bad in ["", "Min-Expires: 100000000\r\n", "Min-Expires: 5\r\n"] {
        assert_eq!(bench.hears(0, 423, bad), Next::Wait, "{bad}");
    }
}

#[test]
fn failures_come_less_often_and_who_says_when_is_heeded() {
    let mut bench = bench();
    let mut waits = Vec::new();
    for _ in 0..9 {
        bench.registration.lost(bench.start, "timed out", Chance(u64::MAX / 2));
        waits.push(bench.wait(0));
    }
    assert!(waits[0] <= 4 && waits.windows(2).all(|two| two[0] <= two[1]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 300) && waits[8] >= 150, "{waits:?}");
    bench.hears(0, 503, "Retry-After: 700\r\n");
    assert!(bench.wait(0) >= 700, "{}", bench.wait(0));
    bench.hears(0, 503, "Retry-After: 99999999\r\n");
    assert!((3_600..5_500).contains(&bench.wait(0)), "{}", bench.wait(0));
    bench.hears(0, 200, "Expires: 60\r\n");
    bench.registration.lost(bench.at(1), "timed out", Chance(0));
    assert!(bench.wait(1) <= 4, "it begins anew");
    assert_eq!(bench.registration.status(bench.at(2)), Status::Registered, "it still lasts");
    bench.hears(0, 200, "Expires: 0\r\n");
    assert_eq!(bench.registration.status(bench.at(2)), Status::Failed);
}

#[test]
fn it_leaves_with_a_register_of_no_time_if_it_was_ever_there() {
    let mut bench = bench();
    bench.challenge("registrar.example", "n1", "");
    bench.hears(0, 200, "Expires: 600\r\n");
    bench.registration.leave(bench.at(5));
    assert_eq!(bench.registration.due(), Some(bench.at(5)));
    bench.ask();
    assert_eq!(bench.header(Name::Expires), "0");
    assert!(bench.header(Name::Contact).ends_with(";expires=0"));
    assert_eq!(bench.challenge("registrar.example", "n2", ", stale=true"), Next::Again);
    assert_eq!(bench.header(Name::Expires), "0");
    assert_eq!(bench.hears(6, 200, ""), Next::Wait);
    assert_eq!(
        (bench.registration.status(bench.at(6)), bench.registration.due()),
        (Status::Over, None)
    );
    let parts = bench.registration.parts.clone();
    let mut fresh = Registration::new(parts, bench.start);
    fresh.leave(bench.start);
    assert_eq!(fresh.status(bench.start), Status::Over);
}
