//! Why a call ends, as Reason says it (RFC 3326): a cause of Q.850, a status of SIP, words.

use crate::header::Reason;
use crate::{Builder, Message, Name, StatusCode};

/// Octets of words that are kept.
const WORDS_MAX: usize = 128;

/// What is known of why something ended; nothing is said where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    pub q850: Option<u16>,
    pub sip: Option<u16>,
    pub words: Option<String>,
}

impl Cause {
    pub fn q850(cause: u16) -> Self {
        Self { q850: Some(cause), ..Self::default() }
    }

    pub fn sip(status: StatusCode) -> Self {
        Self { sip: Some(status.get()), ..Self::default() }
    }

    /// What the headers Reason of a message say; what does not read is passed over.
    pub fn of(message: &Message) -> Self {
        let mut cause = Self::default();
        for reason in message.list::<Reason>(Name::Reason).filter_map(Result::ok).take(8) {
            let number = reason.cause();
            if reason.is("Q.850") {
                cause.q850 = cause.q850.or(number);
            } else if reason.is("SIP") {
                cause.sip = cause.sip.or(number);
            }
            if cause.words.is_none() {
                cause.words = reason.text().map(|text| words(&text));
            }
        }
        cause
    }

    /// As values of Reason, the one that telephone networks know first.
    pub fn reasons(&self) -> Vec<Reason> {
        let words = self.words.as_deref().unwrap_or_default();
        let q850 = self.q850.map(|cause| Reason::new("Q.850", cause, words));
        let sip = self.sip.map(|cause| Reason::new("SIP", cause, words));
        q850.into_iter().chain(sip).collect()
    }

    pub(super) fn write(&self, builder: &mut Builder) {
        for reason in self.reasons() {
            builder.header(Name::Reason, &reason);
        }
    }
}

fn words(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(WORDS_MAX)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn causes_are_written_and_read() {
        let cause =
            Cause { q850: Some(17), sip: Some(486), words: Some("busy \"now\"".to_owned()) };
        let mut builder = Builder::response(StatusCode::BUSY_HERE, None);
        for line in
            ["Via: SIP/2.0/UDP a", "From: <sip:a>", "To: <sip:b>", "Call-ID: c", "CSeq: 1 A"]
        {
            builder.header(line.split_once(": ").unwrap().0, line.split_once(": ").unwrap().1);
        }
        builder.header(Name::Reason, "X;cause=1, ;;");
        cause.write(&mut builder);
        let message = Message::parse(builder.finish().unwrap(), &Limits::default()).unwrap();
        assert_eq!(Cause::of(&message), cause);
        assert_eq!(cause.reasons().len(), 2);
        assert!(Cause::default().reasons().is_empty());
    }
}
