//! Requests of ours until their final answer; answers of 401 and 407.
//!
//! A challenged request waits for the user's credentials and is then sent again with the next number,
//! RFC 3261 §22. It waits no longer than a transaction would, and is challenged only a few times.

use std::time::Instant;

use bytes::Bytes;

use super::{By, Cause, Challenged, Io, Leg, Loss, Mark, Output, State, Tag, Told, timer};
use crate::digest::client::Target;
use crate::digest::{Attempt, Client, NoAnswer};
use crate::{Message, Method, Name, StatusCode, dialog};

/// Challenges to one request that are passed on.
const CHALLENGES_MAX: u8 = 4;
/// Answers of 422 to one request that make it go again.
const TOO_SHORT_MAX: u8 = 2;
/// Requests without a final answer that a user may have beside the call's own.
const SENT_MAX: usize = 16;

/// A request of ours without a final answer.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) tag: Tag,
    pub(super) what: What,
    pub(super) seq: u32,
    pub(super) octets: Bytes,
    target: Bytes,
    /// It waits for credentials until then.
    pub(super) challenged_until: Option<Instant>,
    challenges: u8,
    /// How often it went again with a longer session.
    too_short: u8,
    pub(super) credentials: Option<Credentials>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Invite,
    /// A re-INVITE; a refresh is for the session alone.
    Reinvite {
        is_refresh: bool,
    },
    Update {
        is_refresh: bool,
    },
    Bye,
    /// A BYE to a branch that lost.
    Dismissal,
    Prack,
    Info,
    Refer,
    Notify,
}

impl What {
    const fn is_invite(self) -> bool {
        matches!(self, Self::Invite | Self::Reinvite { .. })
    }

    /// Whether the wire is not quiet before it is answered, though the call has ended.
    const fn outlives_call(self) -> bool {
        self.is_invite() || matches!(self, Self::Bye | Self::Dismissal)
    }

    const fn method(self) -> Method {
        match self {
            Self::Invite | Self::Reinvite { .. } => Method::Invite,
            Self::Update { .. } => Method::Update,
            Self::Bye | Self::Dismissal => Method::Bye,
            Self::Prack => Method::Prack,
            Self::Info => Method::Info,
            Self::Refer => Method::Refer,
            Self::Notify => Method::Notify,
        }
    }
}

/// A final answer, or that there was none.
#[derive(Clone, Copy)]
pub(super) struct Final<'m> {
    pub(super) status: StatusCode,
    pub(super) message: Option<&'m Message>,
}

impl Final<'_> {
    /// Whether it says that the other end has no such call any more, RFC 5057 §5.1.
    pub(super) fn is_end(self) -> bool {
        let gone = [404, 408, 410, 416, 481, 482, 484, 485, 502, 604];
        gone.contains(&self.status.get())
    }

    /// Whether it shows that the other end is there: not what came from nobody, or is said by servers
    /// on the way.
    pub(super) fn is_sign_of_life(self) -> bool {
        self.message.is_some() && ![407, 503, 504].contains(&self.status.get())
    }
}

impl Sent {
    /// The session to ask for once more after a 422, when it was `asked` for in vain.
    pub(super) fn longer(&mut self, end: Final<'_>, asked: u32) -> Option<u32> {
        if end.status != StatusCode::SESSION_INTERVAL_TOO_SMALL || self.too_short >= TOO_SHORT_MAX {
            return None;
        }
        self.too_short += 1;
        timer::longer(end.message?, asked)
    }
}

/// A header that answers a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub header: Name,
    pub value: String,
}

/// Answers a challenge for `Command::Authorize`, by the accounts of `client` alone. `attempt` is kept
/// for the whole of one request (a new one where none was challenged `before`), and `cnonce` is not to be guessed.
pub fn credentials(
    challenged: &Challenged,
    client: &mut Client,
    attempt: &mut Attempt,
    cnonce: &str,
) -> Result<Credentials, NoAnswer> {
    let challenges: Vec<&str> = challenged.challenges.iter().map(String::as_str).collect();
    let target = Target { method: &challenged.method, uri: &challenged.uri, cnonce };
    let value = client.answer(&challenges, &target, attempt)?;
    let header = match challenged.status {
        StatusCode::UNAUTHORIZED => Name::Authorization,
        _ => Name::ProxyAuthorization,
    };
    Ok(Credentials { header, value })
}

impl<S: Mark> Leg<S> {
    pub(super) fn send(
        &mut self,
        what: What,
        seq: u32,
        octets: Bytes,
        target: Bytes,
        io: &mut Io<'_, S>,
    ) {
        let sent = Sent {
            tag: Tag(0),
            what,
            seq,
            octets,
            target,
            challenged_until: None,
            challenges: 0,
            too_short: 0,
            credentials: None,
        };
        self.send_as(sent, io);
    }

    fn send_as(&mut self, mut sent: Sent, io: &mut Io<'_, S>) {
        sent.tag = Tag(self.next_tag);
        self.next_tag = self.next_tag.wrapping_add(1);
        let (octets, target) = (sent.octets.clone(), sent.target.clone());
        io.out.push(Output::Request { tag: sent.tag, octets, target });
        self.sent.push(sent);
    }

    /// Sends a request once more with the next number and some headers set.
    pub(super) fn send_again(&mut self, mut sent: Sent, set: &[(Name, &[u8])], io: &mut Io<'_, S>) {
        sent.seq = match (&mut self.usage, &mut self.placed) {
            (_, Some(placed)) if sent.what == What::Invite => placed.next_seq(),
            (Some(usage), _) => usage.dialog.next_seq(),
            _ => return,
        };
        sent.octets = dialog::again(&sent.octets, sent.seq, set);
        sent.challenged_until = None;
        self.send_as(sent, io);
    }

    pub(super) fn count_sent(&self, what: What) -> usize {
        self.sent.iter().filter(|sent| sent.what == what).count()
    }

    pub(super) fn is_sending(&self, is_it: impl Fn(What) -> bool) -> bool {
        self.sent.iter().any(|sent| is_it(sent.what))
    }

    /// Whether the user may send more.
    pub(super) fn may_send(&self) -> bool {
        self.state == State::Up && self.sent.len() < SENT_MAX
    }

    /// Nobody waits for the answers to requests that the call alone was for.
    pub(super) fn drop_sent(&mut self) {
        self.sent.retain(|sent| sent.what.outlives_call());
    }

    pub(super) fn responded(&mut self, tag: Tag, message: &Message, io: &mut Io<'_, S>) {
        let Some(status) = message.status() else { return };
        let Some(at) = self.sent.iter().position(|sent| sent.tag == tag) else {
            if status.is_success() {
                self.late_success(message, io);
            }
            return;
        };
        if self.sent[at].challenged_until.is_some() {
            return;
        }
        if status.is_provisional() {
            if self.sent[at].what == What::Invite {
                self.provisional(status, message, io);
            }
            return;
        }
        let sent = self.sent.swap_remove(at);
        let is_challenge = [401, 407].contains(&status.get());
        match is_challenge.then(|| self.challenge(&sent, status, message)).flatten() {
            Some(told) => {
                let challenged_until = Some(io.now + self.settings.patience());
                let challenges = sent.challenges + 1;
                self.sent.push(Sent { challenged_until, challenges, ..sent });
                io.tell(Told::Challenged(Box::new(told)));
            }
            None => {
                self.answered(sent, Final { status, message: Some(message) }, io);
            }
        }
    }

    pub(super) fn unanswered(&mut self, tag: Tag, why: Loss, io: &mut Io<'_, S>) {
        let found = self.sent.iter().position(|sent| sent.tag == tag);
        if let Some(at) = found.filter(|at| self.sent[*at].challenged_until.is_none()) {
            let sent = self.sent.swap_remove(at);
            self.answered(sent, Final { status: why.status(), message: None }, io);
        }
    }

    fn answered(&mut self, sent: Sent, end: Final<'_>, io: &mut Io<'_, S>) {
        match sent.what {
            What::Invite => self.invite_answered(sent, end, io),
            What::Reinvite { .. } | What::Update { .. } => self.offer_ended(sent, end, io),
            What::Bye => self.drop_sent(),
            What::Dismissal | What::Prack => {}
            What::Info => {
                if !self.is_lost(end, io) && self.state == State::Up {
                    io.tell(Told::InfoAnswered { status: end.status });
                }
            }
            What::Refer => self.refer_answered(end, io),
            What::Notify => self.report_answered(end),
        }
    }

    /// Ends the call if the answer to a request in its dialog says that it is gone.
    pub(super) fn is_lost(&mut self, end: Final<'_>, io: &mut Io<'_, S>) -> bool {
        if self.state != State::Up || !end.is_end() {
            return false;
        }
        let cause = Cause::sip(end.status);
        if end.status == StatusCode::CALL_DOES_NOT_EXIST {
            self.release(io);
            self.drop_sent();
            self.confirming = None;
            self.told_last(Told::Ended { by: By::Lost, cause }, io);
        } else {
            self.bye(By::Lost, cause, io);
        }
        true
    }

    /// What the user is told of a challenge that it may answer.
    fn challenge(&self, sent: &Sent, status: StatusCode, message: &Message) -> Option<Challenged> {
        let may = match sent.what {
            What::Prack | What::Dismissal => false,
            What::Bye => true,
            _ => self.state != State::Ended,
        };
        let header = match status {
            StatusCode::UNAUTHORIZED => Name::WwwAuthenticate,
            _ => Name::ProxyAuthenticate,
        };
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).ok();
        let challenges: Vec<String> =
            message.all(header).take(8).filter_map(|header| text(&header.text())).collect();
        if !may || sent.challenges >= CHALLENGES_MAX || challenges.is_empty() {
            return None;
        }
        let mut words = sent.octets.split(|octet| *octet == b' ');
        let uri = text(words.nth(1)?)?;
        let method = sent.what.method().to_string();
        let before = sent.challenges;
        Some(Challenged { tag: sent.tag, status, method, uri, challenges, before })
    }

    pub(super) fn authorize(&mut self, tag: Tag, header: Name, value: &str, io: &mut Io<'_, S>) {
        let is_ours = |sent: &Sent| sent.tag == tag && sent.challenged_until.is_some();
        let is_header = matches!(header, Name::Authorization | Name::ProxyAuthorization);
        let is_line = !value.bytes().any(|octet| matches!(octet, b'\r' | b'\n' | 0));
        let found = self.sent.iter().position(is_ours).filter(|_| is_header && is_line);
        if let Some(at) = found {
            let mut sent = self.sent.swap_remove(at);
            sent.credentials = Some(Credentials { header, value: value.to_owned() });
            self.send_again(sent, &[(header, value.as_bytes())], io);
        }
    }

    pub(super) fn unauthorized(&mut self, tag: Tag, io: &mut Io<'_, S>) {
        let is_it = |sent: &Sent| sent.tag == tag && sent.challenged_until.is_some();
        if let Some(at) = self.sent.iter().position(is_it) {
            let sent = self.sent.swap_remove(at);
            let status = StatusCode::UNAUTHORIZED;
            self.answered(sent, Final { status, message: None }, io);
        }
    }

    pub(super) fn challenged_too_long(&mut self, io: &mut Io<'_, S>) {
        let now = io.now;
        let is_late = |sent: &Sent| sent.challenged_until.is_some_and(|until| until <= now);
        while let Some(at) = self.sent.iter().position(is_late) {
            let sent = self.sent.swap_remove(at);
            let status = StatusCode::UNAUTHORIZED;
            self.answered(sent, Final { status, message: None }, io);
        }
    }
}
