//! How long a session lasts unless it is refreshed, and who refreshes it, RFC 4028.
//!
//! Who refreshes does so when half of the time is over. Who does not hangs up a little before the end.
//! Who refreshes in vain hangs up at the end, unless a peer that wants no timer shows by its refusal
//! that it is there.

use std::time::{Duration, Instant};

use super::Settings;
use crate::header::{MinSe, Refresher, SessionExpires};
use crate::{Builder, Message, Name};

/// The shortest session there is, RFC 4028 §4.
const LEAST_S: u32 = 90;
/// The longest session that a 422 makes us ask for.
const LONGEST_S: u32 = 7_200;
/// A wait before a refresh that cannot be sent now is tried again; doubled with each refusal.
const LATER: Duration = Duration::from_secs(1);
/// Refusals of one refresh before the peer is left alone.
const REFUSALS_MAX: u8 = 6;

/// A session that ends unless it is refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) seconds: u32,
    /// It is for us to refresh it.
    pub(super) is_ours: bool,
    refresh_at: Option<Instant>,
    ends_at: Instant,
    /// The peer wants a timer, and will hang up itself.
    they_asked: bool,
    /// How often the refresh that is due was refused.
    refusals: u8,
    /// UPDATE was refused: a re-INVITE may do.
    pub(super) by_invite: bool,
}

/// What a session begun or refreshed by a request of theirs is, and what the 2xx says of it.
pub(super) struct Agreed {
    pub(super) session: Session,
    refresher: Refresher,
    they_know: bool,
}

impl Session {
    fn new(seconds: u32, is_ours: bool, they_asked: bool, now: Instant) -> Self {
        let seconds = seconds.max(LEAST_S);
        let whole = Duration::from_secs(seconds.into());
        let early = Duration::from_secs((seconds / 3).min(32).into());
        let refresh_at = is_ours.then_some(now + whole / 2);
        let ends_at = if is_ours { now + whole } else { now + whole - early };
        let (refusals, by_invite) = (0, false);
        Self { seconds, is_ours, refresh_at, ends_at, they_asked, refusals, by_invite }
    }

    /// The session that a 2xx to a request of ours says; without a header there is no end.
    pub(super) fn of_response(response: &Message, now: Instant) -> Option<Self> {
        let header: SessionExpires = response.value(Name::SessionExpires).ok().flatten()?;
        Some(Self::new(header.seconds, header.refresher != Some(Refresher::Uas), true, now))
    }

    pub(super) fn deadline(&self) -> Instant {
        self.refresh_at.map_or(self.ends_at, |refresh_at| refresh_at.min(self.ends_at))
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.refresh_at.is_some_and(|at| at <= now)
    }

    pub(super) fn has_ended(&self, now: Instant) -> bool {
        self.ends_at <= now
    }

    /// A refresh is sent: the next one only after an answer.
    pub(super) fn refreshing(&mut self) {
        self.refresh_at = None;
    }

    /// A refresh cannot be sent now: once more, in a while.
    pub(super) fn later(&mut self, now: Instant) {
        self.refresh_at = self.is_ours.then_some(now + LATER);
    }

    /// A refresh was refused. `is_alive` says that the peer itself did so: without a timer of its own
    /// it means to go on, and the end moves on. After a few refusals it is left alone, until the
    /// next refresh is due or the session ends.
    pub(super) fn refused(&mut self, now: Instant, wait: Option<Duration>, is_alive: bool) {
        let whole = Duration::from_secs(self.seconds.into());
        let goes_on = is_alive && !self.they_asked;
        if goes_on {
            self.ends_at = now + whole;
        }
        self.refusals += 1;
        let wait = if self.refusals < REFUSALS_MAX {
            let doubled = LATER * (1 << (self.refusals - 1));
            Some(wait.map_or(doubled, |wait| wait.max(doubled)))
        } else {
            (self.refusals, self.by_invite) = (0, false);
            goes_on.then_some(whole / 2)
        };
        self.refresh_at = wait.filter(|_| self.is_ours).map(|wait| now + wait);
    }

    /// The header of a refresh, which we send as the UAC of it.
    pub(super) fn write_refresh(&self, settings: &Settings, builder: &mut Builder) {
        let refresher = if self.is_ours { Refresher::Uac } else { Refresher::Uas };
        write(self.seconds, Some(refresher), builder);
        write_least(settings, builder);
    }
}

/// The headers of a first INVITE, and of an offer in a session that has no end.
pub(super) fn write_wish(seconds: u32, settings: &Settings, builder: &mut Builder) {
    if seconds > 0 {
        write(seconds, None, builder);
        write_least(settings, builder);
    }
}

fn write(seconds: u32, refresher: Option<Refresher>, builder: &mut Builder) {
    builder.header(Name::SessionExpires, &SessionExpires { seconds, refresher });
}

fn write_least(settings: &Settings, builder: &mut Builder) {
    if settings.session_min_s > LEAST_S {
        builder.header(Name::MinSe, &MinSe(settings.session_min_s));
    }
}

/// Whether a request asks for a session that is too short: then 422, with the least.
pub(super) fn too_short(settings: &Settings, request: &Message) -> Option<MinSe> {
    let least = settings.session_min_s.max(LEAST_S);
    let asked: Option<SessionExpires> = request.value(Name::SessionExpires).ok().flatten();
    let is_short = asked.is_some_and(|asked| asked.seconds < least);
    (is_short && request.has_token(Name::Supported, "timer")).then_some(MinSe(least))
}

/// The session that our 2xx to an INVITE or UPDATE begins or refreshes. A request that does not speak
/// of it leaves what there is, but for the first.
pub(super) fn agree(
    settings: &Settings,
    request: &Message,
    before: Option<&Session>,
    is_first: bool,
    now: Instant,
) -> Option<Agreed> {
    let they_know = request.has_token(Name::Supported, "timer");
    let asked: Option<SessionExpires> = request.value(Name::SessionExpires).ok().flatten();
    let they_asked = they_know || asked.is_some() || before.is_some_and(|before| before.they_asked);
    let seconds = match (&asked, before) {
        (Some(asked), _) => asked.seconds,
        (None, Some(before)) => before.seconds,
        (None, None) if is_first && settings.session_s > 0 => {
            let least: Option<MinSe> = request.value(Name::MinSe).ok().flatten();
            settings.session_s.max(least.map_or(0, |least| least.0))
        }
        (None, None) => return None,
    };
    let refresher = match asked.and_then(|asked| asked.refresher) {
        _ if !they_know => Refresher::Uas,
        Some(refresher) => refresher,
        None => Refresher::Uac,
    };
    let session = Session::new(seconds, refresher == Refresher::Uas, they_asked, now);
    Some(Agreed { session, refresher, they_know })
}

impl Agreed {
    /// The headers of the 2xx.
    pub(super) fn write(&self, builder: &mut Builder) {
        if self.they_know && self.refresher == Refresher::Uac {
            builder.header(Name::Require, "timer");
        }
        write(self.session.seconds, Some(self.refresher), builder);
    }
}

/// The session to ask for after a 422, if that is more than was asked for and not beyond measure.
pub(super) fn longer(response: &Message, asked: u32) -> Option<u32> {
    let least: MinSe = response.value(Name::MinSe).ok().flatten()?;
    (least.0 > asked && least.0 <= LONGEST_S).then_some(least.0)
}
