//! Transfers: REFER in the dialog, and NOTIFY that tells how it goes, both ways. RFC 3515, RFC 4488,
//! RFC 3892 for Referred-By, RFC 3420 for the body.
//!
//! One transfer at a time each way. What they ask for is the user's to grant; a transfer to ourselves,
//! or one too many, goes round in circles and is refused. Reports go one after the other; one that
//! is overtaken by a later one is left out. Reports of theirs are waited for as long as they say, or
//! as we would let them wait; then the transfer counts as over.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::sent::{Final, What};
use super::{Cause, Io, Leg, Mark, Refer, Referred, State, Told};
use crate::grammar::number;
use crate::header::{NameAddr, Replaces, Token, TokenParams, Value};
use crate::{Message, Method, Name, StatusCode};

/// Transfers that one leg goes along with.
const GRANTED_MAX: u8 = 8;
/// How long reports may be expected, in seconds; the end of the call ends them too.
const REPORTS_S: u32 = 180;
/// The longest time without a report that a peer may ask for.
const SILENCE_MAX_S: u32 = 600;
/// Answers to a REFER that say the call is gone; others may speak of what it refers to.
const GONE: [u16; 3] = [408, 410, 481];

#[derive(Debug)]
pub(super) struct Refers<S> {
    /// A REFER that waits for the user.
    asked: Option<(S, Box<Message>, Instant)>,
    granted: u8,
    /// Reports that we owe.
    report: Option<Report>,
    /// Reports that they owe are waited for until then.
    watching: Option<Instant>,
}

impl<S> Default for Refers<S> {
    fn default() -> Self {
        Self { asked: None, granted: 0, report: None, watching: None }
    }
}

#[derive(Debug)]
struct Report {
    /// The number of the REFER, which tells several of them apart.
    id: u32,
    next: Option<StatusCode>,
    is_sending: bool,
}

impl<S> Refers<S> {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let asked = self.asked.as_ref().map(|(_, _, until)| *until);
        asked.into_iter().chain(self.watching).min()
    }

    fn is_asked_too_long(&self, now: Instant) -> bool {
        self.asked.as_ref().is_some_and(|(_, _, until)| *until <= now)
    }

    pub(super) fn report(&mut self, status: StatusCode) {
        if let Some(report) = &mut self.report
            && report.next.is_none_or(|next| next.is_provisional())
        {
            report.next = Some(status);
        }
    }
}

impl<S: Mark> Leg<S> {
    pub(super) fn referred(&mut self, id: S, message: Message, io: &mut Io<'_, S>) {
        match self.may_refer(&message) {
            Err(status) => self.refuse(id, &message, status, io),
            Ok(told) => {
                let until = io.now + self.settings.owed_for();
                self.refers.asked = Some((id, Box::new(message), until));
                io.tell(Told::Referred(Box::new(told)));
            }
        }
    }

    fn may_refer(&self, message: &Message) -> Result<Referred, StatusCode> {
        if self.state != State::Up || self.refers.asked.is_some() || self.refers.report.is_some() {
            return Err(StatusCode::REQUEST_PENDING);
        }
        let to: Option<NameAddr> =
            message.value(Name::ReferTo).map_err(|_| StatusCode::BAD_REQUEST)?;
        let to = to.ok_or(StatusCode::BAD_REQUEST)?.uri;
        let mut replaces = None;
        for (name, value) in to.headers() {
            if Name::of(name) == Name::Replaces {
                let read = Replaces::of_uri_header(value.unwrap_or_default());
                replaces = Some(read.map_err(|_| StatusCode::BAD_REQUEST)?);
            }
        }
        let own = NameAddr::parse(&Bytes::copy_from_slice(self.contact.as_bytes()));
        let is_own = own.is_ok_and(|own| own.uri.is_equivalent(&to));
        if (is_own && replaces.is_none()) || self.refers.granted >= GRANTED_MAX {
            return Err(StatusCode::LOOP_DETECTED);
        }
        let by = message.first(Name::ReferredBy).map(|by| Bytes::copy_from_slice(&by.text()));
        Ok(Referred { to: copied(&to), replaces, by })
    }

    pub(super) fn answer_refer(&mut self, status: StatusCode, io: &mut Io<'_, S>) {
        let Some((id, message, _)) = self.refers.asked.take() else { return };
        if !status.is_success() {
            let is_refusal = status.get() >= 300;
            let status = if is_refusal { status } else { StatusCode::DECLINE };
            self.refuse(id, &message, status, io);
            return;
        }
        self.refers.granted += 1;
        let silent: Option<Token> = message.value(Name::ReferSub).ok().flatten();
        let silent = silent.is_some_and(|token| token.is("false"));
        let contact = self.contact.clone();
        let write = |builder: &mut crate::Builder| {
            builder.header(Name::Contact, &*contact);
            if silent {
                builder.header(Name::ReferSub, "false");
            }
        };
        self.refuse_with(id, &message, StatusCode::ACCEPTED, write, io);
        if !silent {
            let id = message.cseq().map(|cseq| cseq.number).unwrap_or_default();
            let next = Some(StatusCode::TRYING);
            self.refers.report = Some(Report { id, next, is_sending: false });
        }
    }

    /// Sends the report that waits, once the one before it has its answer.
    pub(super) fn next_report(&mut self, io: &mut Io<'_, S>) {
        if self.refers.is_asked_too_long(io.now) {
            self.answer_refer(StatusCode::SERVER_INTERNAL_ERROR, io);
        }
        let is_silent = self.refers.watching.take_if(|until| *until <= io.now).is_some();
        let State::Up = self.state else { return };
        if is_silent {
            io.tell(Told::ReferProgress { status: None, is_over: true });
        }
        let Some(report) = self.refers.report.as_mut().filter(|report| !report.is_sending) else {
            return;
        };
        let Some(status) = report.next.take() else { return };
        report.is_sending = true;
        let id = report.id;
        if status.is_final() {
            self.refers.report = None;
        }
        let Some((seq, mut builder, target)) = self.reporting_request(&Method::Notify) else {
            return;
        };
        builder.header(Name::Event, &format!("refer;id={id}")[..]);
        if status.is_final() {
            builder.header(Name::SubscriptionState, "terminated;reason=noresource");
        } else {
            let state = format!("active;expires={REPORTS_S}");
            builder.header(Name::SubscriptionState, &state[..]);
        }
        let body = format!("SIP/2.0 {status} {}\r\n", status.reason());
        if let Ok(octets) = builder.body("message/sipfrag;version=2.0", body.as_bytes()) {
            self.send(What::Notify, seq, octets, target, io);
        }
    }

    pub(super) fn report_answered(&mut self, end: Final<'_>) {
        if !end.status.is_success() {
            // Nobody listens.
            self.refers.report = None;
        } else if let Some(report) = &mut self.refers.report {
            report.is_sending = false;
        }
    }

    /// Asks for a transfer.
    pub(super) fn refer(&mut self, refer: &Refer, io: &mut Io<'_, S>) {
        let is_busy = self.refers.watching.is_some() || self.is_sending(|what| what == What::Refer);
        if is_busy || !self.may_send() {
            if self.state == State::Up {
                io.tell(Told::ReferAnswered { status: StatusCode::REQUEST_PENDING });
            }
            return;
        }
        let Some((seq, mut builder, target)) = self.reporting_request(&Method::Refer) else {
            return;
        };
        builder.header(Name::ReferTo, &refer.to[..]);
        if let Some(by) = &refer.by {
            builder.header(Name::ReferredBy, &by[..]);
        }
        if !refer.reports {
            builder.header(Name::ReferSub, "false").header(Name::Supported, "norefersub");
        }
        if self.send_plain(What::Refer, (seq, builder, target), io) {
            // A report may come before the 202 does.
            self.refers.watching = refer.reports.then(|| self.silent_until(REPORTS_S, io.now));
        } else {
            io.tell(Told::ReferAnswered { status: StatusCode::BAD_REQUEST });
        }
    }

    pub(super) fn refer_answered(&mut self, end: Final<'_>, io: &mut Io<'_, S>) {
        let silent = end.message.and_then(|message| message.value::<Token>(Name::ReferSub).ok()?);
        if !end.status.is_success() || silent.is_some_and(|token| token.is("false")) {
            self.refers.watching = None;
        }
        let is_lost = GONE.contains(&end.status.get()) && self.is_lost(end, io);
        if !is_lost && self.state == State::Up {
            io.tell(Told::ReferAnswered { status: end.status });
        }
    }

    pub(super) fn notified(&mut self, id: S, message: &Message, io: &mut Io<'_, S>) {
        let event: Option<TokenParams> = message.value(Name::Event).ok().flatten();
        if !event.is_some_and(|event| event.is("refer")) {
            self.refuse(id, message, StatusCode::BAD_EVENT, io);
            return;
        }
        if self.refers.watching.is_none() {
            self.refuse(id, message, StatusCode::CALL_DOES_NOT_EXIST, io);
            return;
        }
        self.refuse(id, message, StatusCode::OK, io);
        let state: Option<TokenParams> = message.value(Name::SubscriptionState).ok().flatten();
        let is_over = state.as_ref().is_some_and(|state| state.is("terminated"));
        let expires = state.as_ref().and_then(|state| number(state.params.get("expires")?));
        let seconds = expires.unwrap_or(REPORTS_S).min(SILENCE_MAX_S);
        self.refers.watching = (!is_over).then(|| self.silent_until(seconds, io.now));
        io.tell(Told::ReferProgress { status: fragment_status(message.body()), is_over });
    }

    /// When a report that is due within a time will not come any more.
    fn silent_until(&self, seconds: u32, now: Instant) -> Instant {
        now + Duration::from_secs(seconds.into()) + self.settings.patience()
    }

    /// The call ends: nobody grants a transfer any more.
    pub(super) fn release_refer(&mut self, io: &mut Io<'_, S>) {
        if let Some((id, message, _)) = self.refers.asked.take() {
            let cause = Cause::sip(StatusCode::CALL_DOES_NOT_EXIST);
            let write = |builder: &mut crate::Builder| cause.write(builder);
            self.refuse_with(id, &message, StatusCode::DECLINE, write, io);
        }
        self.refers.report = None;
        self.refers.watching = None;
    }
}

/// A URI that keeps no message alive.
fn copied(uri: &crate::Uri) -> crate::Uri {
    crate::Uri::parse(&Bytes::copy_from_slice(uri.as_bytes())).unwrap_or_else(|_| uri.clone())
}

/// The status of a piece of a response.
fn fragment_status(body: &[u8]) -> Option<StatusCode> {
    let rest = body.trim_ascii_start().strip_prefix(b"SIP/2.0 ")?;
    let code = rest.get(..3)?;
    StatusCode::new(std::str::from_utf8(code).ok()?.parse().ok()?)
}
