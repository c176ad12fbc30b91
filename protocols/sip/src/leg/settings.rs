//! What legs of one kind have in common, and headers that a command adds.

use std::time::Duration;

use bytes::Bytes;

use crate::message::{BuildError, Text};
use crate::{Builder, Name};

/// Methods that a leg serves in its dialog.
pub(super) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY";
/// Options that a leg knows.
pub(super) const SUPPORTED: &str = "100rel, timer, replaces, norefersub";
/// The same of an INVITE that leaves the offer to the callee: in a reliable ringing it would come before
/// whoever has to answer it has answered anything (RFC 3262 §5).
pub(super) const SUPPORTED_UNOFFERED: &str = "timer, replaces, norefersub";

/// Settings of legs: of a trunk, of an endpoint.
#[derive(Clone, Debug)]
pub struct Settings {
    /// User-Agent in requests, Server in responses; empty for none.
    pub agent: String,
    /// How long a session lasts unless it is refreshed; zero asks for no timer.
    pub session_s: u32,
    /// The shortest session that is taken, 90 at least.
    pub session_min_s: u32,
    /// The time of a round, RFC 3261 §17.1.1.1, and the longest wait between repeats.
    pub t1: Duration,
    pub t2: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            agent: String::new(),
            session_s: 1_800,
            session_min_s: 90,
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
        }
    }
}

impl Settings {
    /// How long something is repeated before it is given up.
    pub fn patience(&self) -> Duration {
        self.t1 * 64
    }

    /// How long the user has to answer what a peer's transaction waits for: a little less than that
    /// waits.
    pub(super) fn owed_for(&self) -> Duration {
        self.patience().saturating_sub(self.t2)
    }

    /// What we can do, for messages that say it.
    pub(super) fn write_abilities(&self, builder: &mut Builder) {
        builder.header(Name::Allow, ALLOW).header(Name::Supported, SUPPORTED);
    }

    pub(super) fn write_agent(&self, name: Name, builder: &mut Builder) {
        if !self.agent.is_empty() {
            builder.header(name, &self.agent[..]);
        }
    }
}

/// Headers that a leg writes itself: no command sets them.
const OWN: [Name; 26] = [
    Name::Via,
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::Contact,
    Name::MaxForwards,
    Name::Route,
    Name::RecordRoute,
    Name::ContentLength,
    Name::ContentType,
    Name::ContentEncoding,
    Name::ContentDisposition,
    Name::Allow,
    Name::Supported,
    Name::Require,
    Name::Unsupported,
    Name::RSeq,
    Name::RAck,
    Name::SessionExpires,
    Name::MinSe,
    Name::ReferTo,
    Name::ReferSub,
    Name::SubscriptionState,
    Name::UserAgent,
    Name::Server,
];

/// Lines that a command adds to a message: checked when they are added, written as they are.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    lines: Vec<u8>,
}

impl Extra {
    /// Adds a header. One that the leg writes itself, or a value with a line end, is refused.
    pub fn add(&mut self, name: &str, value: &(impl Text + ?Sized)) -> Result<(), BuildError> {
        if OWN.contains(&Name::of(name.as_bytes())) {
            return Err(BuildError::Name);
        }
        let start = self.lines.len();
        let written = crate::message::write_line(name.as_bytes(), value, &mut self.lines);
        if written.is_err() {
            self.lines.truncate(start);
        }
        written
    }

    /// The same for a command that names it at once.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self, BuildError> {
        self.add(name, value)?;
        Ok(self)
    }

    pub(super) fn write(&self, builder: &mut Builder) {
        builder.lines(&self.lines);
    }

    pub fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_writes_what_the_leg_writes_or_ends_a_line() {
        let mut extra = Extra::default();
        extra.add("P-Asserted-Identity", "<sip:+14155550100@us>").unwrap();
        for (name, value) in [
            ("v", "SIP/2.0/UDP x"),
            ("Contact", "<sip:x>"),
            ("X", "a\r\nRoute: <sip:x>"),
            ("X Y", "a"),
        ] {
            assert!(extra.add(name, value).is_err(), "{name}");
        }
        assert_eq!(extra.to_bytes(), "P-Asserted-Identity: <sip:+14155550100@us>\r\n");
    }
}
