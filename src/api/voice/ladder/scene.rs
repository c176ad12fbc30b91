//! Who stands where in a ladder, and what is written over each arrow: pure, for the text and the picture.
//!
//! Each leg that we speak with has a line, and so have we. Who spoke to us first stands left of us, all
//! others right of us in the order in which they appear. A leg is where it is spoken to and its Call-ID: two
//! legs to one switchboard are two lines.

use model::voice::LadderMessage;

/// Lines beside our own; what more legs there are share the last.
pub(super) const PEERS_MAX: usize = 8;
const NAME_MAX: usize = 24;
const LABEL_MAX: usize = 36;

/// A silence of so many microseconds is shown as one.
const PAUSE: i64 = 2_000_000;

/// What stands over a ladder.
#[derive(Clone, Debug, Default)]
pub(super) struct Heading {
    pub(super) title: String,
    pub(super) about: String,
}

/// A whole ladder.
pub(super) struct Scene {
    pub(super) lanes: Vec<Lane>,
    /// Which of the lanes is ours.
    pub(super) us: usize,
    pub(super) steps: Vec<Step>,
}

/// A line down the page.
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) address: String,
}

/// A message.
pub(super) struct Step {
    /// Microseconds since the first.
    pub(super) since: i64,
    /// How long nothing was said before it, if that was long.
    pub(super) pause: Option<i64>,
    pub(super) inbound: bool,
    /// Whose it is.
    pub(super) peer: usize,
    pub(super) kind: Kind,
    /// The method of a request, or the status of a response and its reason.
    pub(super) title: String,
    /// What else is worth a word: of a response what it answers, a description, a cause.
    pub(super) note: String,
    /// The whole first line.
    pub(super) line: String,
}

/// What an arrow is coloured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Provisional,
    Success,
    Redirect,
    /// It asks for a password: no failure.
    Challenge,
    Failure,
}

impl Kind {
    fn of(message: &LadderMessage) -> Self {
        let line = message.first_line();
        let Some(status) = line.strip_prefix("SIP/2.0 ") else { return Self::Request };
        match status.get(..3) {
            Some("401" | "407") => Self::Challenge,
            Some(status) if status.starts_with('1') => Self::Provisional,
            Some(status) if status.starts_with('2') => Self::Success,
            Some(status) if status.starts_with('3') => Self::Redirect,
            _ => Self::Failure,
        }
    }
}

impl Scene {
    pub(super) fn of(messages: &[LadderMessage]) -> Self {
        let legs = legs(messages);
        let us = usize::from(messages.first().is_some_and(|message| message.inbound));
        let mut lanes: Vec<Lane> =
            legs.iter().map(|(_, first)| Lane::of(first)).take(PEERS_MAX).collect();
        lanes.insert(us, Lane { name: String::from("orbit"), address: String::new() });
        let first = messages.first().map_or(0, |message| message.at.0);
        let mut before = first;
        let steps = messages.iter().map(|message| {
            let leg = leg_of(message);
            let place = legs.iter().position(|(of, _)| *of == leg).unwrap_or(0).min(PEERS_MAX - 1);
            let silence = message.at.0.saturating_sub(before);
            before = message.at.0;
            let title = message.title();
            let note = note(message);
            Step {
                since: message.at.0.saturating_sub(first),
                pause: Some(silence).filter(|silence| *silence >= PAUSE),
                inbound: message.inbound,
                peer: if place < us { place } else { place + 1 },
                kind: Kind::of(message),
                note: shortened(&note, LABEL_MAX.saturating_sub(title.chars().count())),
                title: shortened(&title, LABEL_MAX),
                line: message.first_line(),
            }
        });
        let steps = steps.collect();
        Self { lanes, us, steps }
    }
}

type Leg<'a> = (&'a str, Option<String>);

fn leg_of(message: &LadderMessage) -> Leg<'_> {
    (&message.flow, message.header("Call-ID", "i"))
}

/// All legs in the order in which they appear, each with its first message.
fn legs(messages: &[LadderMessage]) -> Vec<(Leg<'_>, &LadderMessage)> {
    let mut legs: Vec<(Leg<'_>, &LadderMessage)> = Vec::new();
    for message in messages {
        let leg = leg_of(message);
        if legs.iter().all(|(of, _)| *of != leg) {
            legs.push((leg, message));
        }
    }
    legs
}

impl Lane {
    /// By the first message: who sent it, or whom it was sent to.
    fn of(first: &LadderMessage) -> Self {
        let is_request = Kind::of(first) == Kind::Request;
        // From is who began, in requests and responses alike.
        let (name, compact) = if first.inbound == is_request { ("From", "f") } else { ("To", "t") };
        let value = first.header(name, compact).unwrap_or_default();
        let name = user_of(&value).unwrap_or_default();
        Self { name: shortened(name, NAME_MAX), address: first.flow.clone() }
    }
}

/// The user of an address, or its host when it has none: never the password that may stand in it.
fn user_of(value: &str) -> Option<&str> {
    let begins = ["<sips:", "<sip:", "<tel:", "sips:", "sip:", "tel:"];
    let uri = begins.iter().find_map(|begin| value.split_once(begin)).map(|(_, uri)| uri)?;
    let uri = uri.split(['>', ';', '?', ' ']).next().unwrap_or_default();
    let user = uri.split_once('@').map_or(uri, |(user, _)| user);
    user.split(':').next().filter(|user| !user.is_empty())
}

/// What else there is to say of a message.
fn note(message: &LadderMessage) -> String {
    let mut words = Vec::new();
    let is_request = Kind::of(message) == Kind::Request;
    if !is_request && let Some(cseq) = message.header("CSeq", "") {
        words.extend(cseq.split_ascii_whitespace().nth(1).map(str::to_owned));
    }
    let kind = message.header("Content-Type", "c").unwrap_or_default().to_ascii_lowercase();
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/sdp" => words.push(description(&message.octets)),
        "application/dtmf" | "application/dtmf-relay" => words.push(String::from("a digit")),
        _ => {}
    }
    if let Some(reason) = message.header("Reason", "")
        && let Some((_, cause)) = reason.split_once("cause=")
    {
        let digits: String = cause.chars().take_while(char::is_ascii_digit).collect();
        words.push(format!("cause {digits}"));
    }
    words.join(" · ")
}

/// A description in a few words: whether its sound is sealed, and which way it goes if not both.
fn description(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let mut words = vec!["SDP"];
    if text.lines().any(|line| line.starts_with("m=audio") && line.contains("/SAVP")) {
        words.push("SRTP");
    }
    let ways = ["a=sendonly", "a=recvonly", "a=inactive"];
    let way = text.lines().find_map(|line| ways.into_iter().find(|way| line.trim_end() == *way));
    words.extend(way.map(|way| &way[2..]));
    words.join(" ")
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Microseconds as seconds, to a thousandth.
pub(super) fn seconds(micros: i64) -> String {
    let millis = micros.max(0) / 1_000;
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

/// A silence, as people say it.
pub(super) fn spoken(micros: i64) -> String {
    let seconds = (micros + 500_000) / 1_000_000;
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use model::clock::At;

    use super::*;

    pub(in super::super) fn message(
        at: i64,
        inbound: bool,
        flow: &str,
        text: &str,
    ) -> LadderMessage {
        let octets = text.replace('\n', "\r\n").into_bytes();
        LadderMessage { at: At(at), inbound, flow: flow.to_owned(), octets, cut: false }
    }

    /// A call that finds its callee busy.
    pub(in super::super) fn call() -> Vec<LadderMessage> {
        let (a, b) = ("udp 192.0.2.1:5060", "tcp 192.0.2.2:5060");
        let invite = "INVITE sip:1@orbit SIP/2.0\nFrom: \"A\" <sip:alice:secret@x>;tag=1\n\
            To: <sip:bob@x>\nCall-ID: a\nCSeq: 1 INVITE\nContent-Type: application/sdp\n\n\
            v=0\nm=audio 1 RTP/SAVP 0\na=sendonly\n";
        let onward = "INVITE sip:1@carrier SIP/2.0\nf: <sip:alice@x>\nt: sip:bob@x\ni: b\n\n";
        let busy = "SIP/2.0 486 Busy <Here>\nCall-ID: b\nCSeq: 7 INVITE\n\n";
        let passed = "SIP/2.0 486 Busy\nCall-ID: a\nCSeq: 1 INVITE\nReason: Q.850;cause=17\n\n";
        vec![
            message(1_000_000, true, a, invite),
            message(1_004_000, false, b, onward),
            message(4_090_000, true, b, busy),
            message(4_091_000, false, a, passed),
        ]
    }

    #[test]
    fn the_first_to_speak_stands_left_of_us_and_others_right() {
        let scene = Scene::of(&call());
        let names: Vec<&str> = scene.lanes.iter().map(|lane| lane.name.as_str()).collect();
        assert_eq!((names, scene.us), (vec!["alice", "orbit", "bob"], 1));
        let peers: Vec<usize> = scene.steps.iter().map(|step| step.peer).collect();
        assert_eq!(peers, [0, 2, 2, 0]);
        let ours = Scene::of(&call()[1..2]);
        assert_eq!((ours.us, ours.lanes[1].name.as_str(), ours.steps[0].peer), (0, "bob", 1));
        assert_eq!(Scene::of(&[]).lanes.len(), 1);
    }

    #[test]
    fn an_arrow_says_what_matters() {
        let scene = Scene::of(&call());
        let [invite, onward, busy, passed] = scene.steps.as_slice() else { panic!() };
        assert_eq!((invite.title.as_str(), invite.note.as_str()), ("INVITE", "SDP SRTP sendonly"));
        assert_eq!((onward.note.as_str(), onward.since, onward.pause), ("", 4_000, None));
        assert_eq!((busy.kind, busy.pause), (Kind::Failure, Some(3_086_000)));
        assert_eq!(passed.note, "INVITE · cause 17");
        let kind = |line: &str| Kind::of(&message(0, true, "x", line));
        assert_eq!(kind("SIP/2.0 401 Unauthorized\n\n"), Kind::Challenge);
        assert_eq!(
            (kind("SIP/2.0 180 Ringing"), kind("BYE x")),
            (Kind::Provisional, Kind::Request)
        );
        assert_eq!(
            (kind("SIP/2.0 200 OK"), kind("SIP/2.0 302 X")),
            (Kind::Success, Kind::Redirect)
        );
    }

    #[test]
    fn an_address_shows_its_user_and_no_password() {
        for (value, user) in [
            ("\"B\" <sip:bob:pw@h;x=1>;tag=2", Some("bob")),
            ("<tel:+4155>", Some("+4155")),
            ("sips:h.example;lr", Some("h.example")),
            ("nonsense", None),
            ("<sip:@h>", None),
        ] {
            assert_eq!(user_of(value), user, "{value}");
        }
    }

    #[test]
    fn legs_to_one_address_have_a_line_each_and_too_many_share_one() {
        let text = |n: usize| format!("INVITE sip:x SIP/2.0\nCall-ID: {n}\n\n");
        let messages: Vec<_> = (0..50).map(|n| message(0, false, "udp x", &text(n))).collect();
        let scene = Scene::of(&messages);
        assert_eq!(scene.lanes.len(), PEERS_MAX + 1);
        assert!(scene.steps.iter().all(|step| step.peer <= PEERS_MAX && step.peer != scene.us));
        assert_eq!(scene.steps[49].peer, PEERS_MAX);
    }

    #[test]
    fn times_are_short() {
        assert_eq!((seconds(61_234_567), seconds(-1)), (String::from("61.234"), "0.000".into()));
        assert_eq!((spoken(2_400_000), spoken(2_900_000)), ("2 s".into(), String::from("3 s")));
        assert_eq!(
            (spoken(61_000_000), spoken(7_260_000_000)),
            ("1 min 1 s".into(), "2 h 1 min".into())
        );
        assert_eq!(shortened(&"é".repeat(100), 10).chars().count(), 10);
    }
}
