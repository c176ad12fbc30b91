//! A registration of ours with somebody else's registrar, RFC 3261 §10.2: one contact of one address.
//!
//! The owner sends what `request` makes when `due` has come, tells what it is answered, and sends again at
//! once when that says so. A registration is renewed when half to three quarters of its time are over, so
//! that a registrar that is away for a moment is asked again before it ends; after a failure less and less
//! often, and never all at the same moment. What a registrar asks for (Min-Expires, Retry-After) is heeded.
//! `leave` ends it with a REGISTER of no time. Challenges are answered by the client's accounts alone.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::digest::Challenge;
use crate::digest::client::{Attempt, Client, NoAnswer, Target};
use crate::header::{Contact, RetryAfter, Seconds};
use crate::{BuildError, Builder, Message, Method, Name, StatusCode, Uri};

/// The longest time that a registrar may ask for, or that it is not asked.
const LONGEST: u32 = 86_400;
/// A registrar that asks us to come later is not waited for longer.
const LATER_MAX: Duration = Duration::from_secs(3_600);
/// Octets of a realm that are shown.
const REALM_SHOWN: usize = 64;

/// How a registration is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The time that is asked for.
    pub expires_s: u32,
    /// After the first failure, and after many.
    pub retry_min: Duration,
    pub retry_max: Duration,
    pub agent: String,
}

/// Whose registration it is, and where.
#[derive(Clone, Debug)]
pub struct Parts {
    pub settings: Settings,
    /// The Request-URI.
    pub registrar: String,
    /// The address that is registered, as a URI.
    pub aor: String,
    /// Of all its requests; nobody guesses it.
    pub call_id: String,
    pub tag: String,
    pub client: Option<Client>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was not answered yet.
    Trying,
    Registered,
    /// It is not registered, and tried again later.
    Failed,
    /// It has ended, as it was to.
    Over,
}

/// What an answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another request at once.
    Again,
    /// Nothing before it is due.
    Wait,
}

/// Chance for one request: it is not to be guessed.
#[derive(Clone, Copy, Debug)]
pub struct Chance(pub u64);

/// One registration.
#[derive(Debug)]
pub struct Registration {
    parts: Parts,
    seq: u32,
    attempt: Attempt,
    /// Of the request that is sent next.
    credentials: Option<(Name, String)>,
    /// By which header the registrar takes them.
    header: Name,
    realm: Option<String>,
    expires_s: u32,
    /// The registrar has asked for a longer time already.
    lengthened: bool,
    failures: u32,
    due: Option<Instant>,
    /// Until then it is registered.
    until: Option<Instant>,
    /// The registrar may know of us.
    is_known: bool,
    leaving: bool,
    over: bool,
    error: Option<String>,
}

impl Registration {
    /// One that is due now.
    pub fn new(parts: Parts, now: Instant) -> Self {
        Self {
            expires_s: parts.settings.expires_s.clamp(1, LONGEST),
            parts,
            seq: 0,
            attempt: Attempt::default(),
            credentials: None,
            header: Name::Authorization,
            realm: None,
            lengthened: false,
            failures: 0,
            due: Some(now),
            until: None,
            is_known: false,
            leaving: false,
            over: false,
            error: None,
        }
    }

    pub fn call_id(&self) -> &str {
        &self.parts.call_id
    }

    /// When the next request is to be sent; `None` while one is under way, and when it is over.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    pub fn status(&self, now: Instant) -> Status {
        match self.until {
            _ if self.over => Status::Over,
            Some(until) if until > now => Status::Registered,
            _ if self.error.is_some() => Status::Failed,
            _ => Status::Trying,
        }
    }

    /// Until when it lasts, as far as it is known.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Why the last request was in vain.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The next request, for this contact: a URI without parameters of Contact.
    pub fn request(&mut self, contact: &str, chance: Chance) -> Result<Bytes, BuildError> {
        self.due = None;
        self.seq = self.seq.wrapping_add(1).max(1);
        if self.credentials.is_none() {
            self.credentials = self.ahead(chance);
        }
        let Parts { settings, registrar, aor, call_id, tag, .. } = &self.parts;
        let expires = if self.leaving { 0 } else { self.expires_s };
        let mut builder = Builder::request(&Method::Register, registrar.as_str());
        builder.header(Name::MaxForwards, "70");
        builder.header(Name::From, format!("<{aor}>;tag={tag}").as_str());
        builder.header(Name::To, format!("<{aor}>").as_str());
        builder.header(Name::CallId, call_id.as_str());
        builder.header(Name::CSeq, format!("{} REGISTER", self.seq).as_str());
        builder.header(Name::Contact, format!("<{contact}>;expires={expires}").as_str());
        builder.header(Name::Expires, expires.to_string().as_str());
        builder
            .header(Name::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER");
        builder.header(Name::UserAgent, settings.agent.as_str());
        if let Some((header, value)) = self.credentials.take() {
            builder.header(header, value.as_str());
        }
        self.is_known = true;
        builder.finish()
    }

    /// By the nonce of before: it saves a round.
    fn ahead(&mut self, chance: Chance) -> Option<(Name, String)> {
        let (realm, uri) = (self.realm.as_deref()?, self.parts.registrar.as_str());
        let cnonce = format!("{:016x}", chance.0);
        let target = Target { method: "REGISTER", uri, cnonce: &cnonce };
        let value = self.parts.client.as_mut()?.again(realm, &target)?;
        Some((self.header, value))
    }

    /// A final answer to the last request.
    pub fn heard(&mut self, now: Instant, answer: &Message, contact: &str, chance: Chance) -> Next {
        let Some(status) = answer.status() else { return Next::Wait };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                return self.challenged(now, (status, answer), chance);
            }
            _ if self.leaving => self.end(),
            status if status.is_success() => self.granted(now, answer, contact, chance),
            StatusCode::INTERVAL_TOO_BRIEF if self.lengthen(answer) => return Next::Again,
            status => {
                let wait = answer.value::<RetryAfter>(Name::RetryAfter).ok().flatten();
                let wait = wait.map(|wait| Duration::from_secs(wait.seconds.into()));
                // Who refuses us by name will not have changed its mind in a moment.
                let refused = matches!(status.get(), 400 | 403 | 404 | 405 | 416 | 420 | 604);
                let least = if refused { self.parts.settings.retry_max } else { Duration::ZERO };
                let why = format!("the registrar says {} {}", status.get(), status.reason());
                self.failed(now, why, least.max(wait.unwrap_or_default()), chance);
            }
        }
        self.attempt = Attempt::default();
        Next::Wait
    }

    /// There was no answer, or no way to ask.
    pub fn lost(&mut self, now: Instant, why: &str, chance: Chance) {
        self.attempt = Attempt::default();
        if self.leaving {
            return self.end();
        }
        self.failed(now, why.to_owned(), Duration::ZERO, chance);
    }

    /// What it was reached over is gone: it is asked for anew.
    pub fn renew(&mut self, now: Instant) {
        if !self.over {
            self.due = Some(now);
        }
    }

    /// It is to end.
    pub fn leave(&mut self, now: Instant) {
        self.leaving = true;
        self.attempt = Attempt::default();
        self.credentials = None;
        if self.is_known {
            self.due = Some(now);
        } else {
            self.end();
        }
    }

    fn end(&mut self) {
        (self.over, self.due, self.until, self.is_known) = (true, None, None, false);
    }

    fn challenged(
        &mut self,
        now: Instant,
        (status, answer): (StatusCode, &Message),
        chance: Chance,
    ) -> Next {
        let (from, header) = match status {
            StatusCode::UNAUTHORIZED => (Name::WwwAuthenticate, Name::Authorization),
            _ => (Name::ProxyAuthenticate, Name::ProxyAuthorization),
        };
        let challenges: Vec<String> = answer
            .all(from)
            .map(|line| String::from_utf8_lossy(&line.text()).into_owned())
            .collect();
        let challenges: Vec<&str> = challenges.iter().map(String::as_str).collect();
        let cnonce = format!("{:016x}", chance.0);
        let target = Target { method: "REGISTER", uri: &self.parts.registrar, cnonce: &cnonce };
        let answered = match &mut self.parts.client {
            Some(client) => client.answer(&challenges, &target, &mut self.attempt),
            None => Err(NoAnswer::Form),
        };
        match answered {
            Ok(value) => {
                self.realm = realm_of(&value);
                (self.header, self.credentials) = (header, Some((header, value)));
                return Next::Again;
            }
            Err(_) if self.leaving => self.end(),
            Err(why) => {
                let why = match why {
                    NoAnswer::Refused => String::from("the registrar refuses the password"),
                    NoAnswer::Realm => strange_realm(&challenges),
                    _ if self.parts.client.is_none() => {
                        String::from("the registrar asks for a password, and there is none")
                    }
                    other => other.to_string(),
                };
                self.failed(now, why, self.parts.settings.retry_max, chance);
            }
        }
        self.realm = None;
        self.attempt = Attempt::default();
        Next::Wait
    }

    fn granted(&mut self, now: Instant, answer: &Message, contact: &str, chance: Chance) {
        let granted = granted(answer, contact).unwrap_or(self.expires_s).min(LONGEST);
        if granted == 0 {
            let why = String::from("the registrar keeps us for no time");
            self.until = None;
            return self.failed(now, why, Duration::ZERO, chance);
        }
        let lasts = Duration::from_secs(granted.into());
        (self.failures, self.lengthened, self.error) = (0, false, None);
        self.until = Some(now + lasts);
        self.due =
            Some(now + part(lasts / 2, lasts * 3 / 4, chance).max(Duration::from_millis(500)));
    }

    /// A registrar that keeps nobody so briefly is asked for as long as it wants, once.
    fn lengthen(&mut self, answer: &Message) -> bool {
        let least = answer.value::<Seconds>(Name::MinExpires).ok().flatten();
        let Some(Seconds(least)) = least else { return false };
        if self.lengthened || least <= self.expires_s || least > LONGEST {
            return false;
        }
        (self.lengthened, self.expires_s) = (true, least);
        true
    }

    fn failed(&mut self, now: Instant, why: String, least: Duration, chance: Chance) {
        let Settings { retry_min, retry_max, .. } = self.parts.settings;
        let doubled = retry_min.saturating_mul(1 << self.failures.min(16)).min(retry_max);
        let wait = doubled.max(least.min(LATER_MAX));
        self.failures = self.failures.saturating_add(1);
        (self.lengthened, self.error) = (false, Some(why));
        // Who was asked to come later comes no sooner.
        let from = if least.is_zero() { wait / 2 } else { wait };
        self.due = Some(now + part(from, from + wait / 2, chance));
    }
}

/// A time between these.
fn part(from: Duration, to: Duration, Chance(chance): Chance) -> Duration {
    let range = u64::try_from(to.saturating_sub(from).as_millis()).unwrap_or(u64::MAX);
    from + Duration::from_millis(chance % range.saturating_add(1).max(1))
}

/// The realm that credentials are for.
fn realm_of(credentials: &str) -> Option<String> {
    crate::digest::Credentials::parse(credentials).ok().map(|said| said.realm)
}

fn strange_realm(challenges: &[&str]) -> String {
    let realm = challenges.iter().find_map(|value| Challenge::parse(value).ok());
    let Some(challenge) = realm else {
        return String::from("the registrar asks for a password in no way that is spoken here");
    };
    let shown = challenge.realm.chars().filter(|sign| !sign.is_control());
    let shown: String = shown.take(REALM_SHOWN).collect();
    format!("the registrar's realm is {shown}: it belongs behind the username, as user@{shown}")
}

/// How long a registrar keeps this contact.
fn granted(answer: &Message, contact: &str) -> Option<u32> {
    let own = Uri::parse(&Bytes::copy_from_slice(contact.as_bytes())).ok();
    let user = own.as_ref().and_then(Uri::user_unescaped);
    let addresses = answer.contacts().filter_map(|contact| match contact {
        Ok(Contact::Address(address)) => Some(address),
        _ => None,
    });
    // The user of our contacts is nobody else's; the rest of it a registrar may write otherwise.
    let mut ours =
        addresses.filter(|address| user.is_some() && address.uri.user_unescaped() == user);
    let said = ours.next().and_then(|address| address.expires());
    said.or_else(|| answer.expires().ok().flatten())
}

#[cfg(test)]
mod tests;
