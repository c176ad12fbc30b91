//! What a person may be sent: channels, scopes of the suppression list, and who put an entry there.
//!
//! The numbers are part of the database's format: they are never given a new meaning.

use crate::message::coded;

coded! {
    /// What an entry of the suppression list is about: everything, or one channel.
    Scope {
        All = 0 "all",
        Sms = 1 "sms",
        Voice = 2 "voice",
        Whatsapp = 3 "whatsapp",
        Email = 4 "email",
        Push = 5 "push",
        Telegram = 6 "telegram",
        Messenger = 7 "messenger",
        Rcs = 8 "rcs",
        Fax = 9 "fax",
        Instagram = 10 "instagram",
        Line = 11 "line",
        Viber = 12 "viber",
    }
}

impl Scope {
    /// The channels for which consent is kept.
    pub const CHANNELS: [Self; 11] = [
        Self::Email,
        Self::Fax,
        Self::Instagram,
        Self::Line,
        Self::Messenger,
        Self::Push,
        Self::Rcs,
        Self::Sms,
        Self::Viber,
        Self::Voice,
        Self::Whatsapp,
    ];

    /// The channel of that name for which consent is kept.
    #[must_use]
    pub fn channel(name: &str) -> Option<Self> {
        Self::parse(name).filter(|scope| Self::CHANNELS.contains(scope))
    }
}

coded! {
    /// Who put an address on the suppression list. What a person said goes when the person says
    /// otherwise in the same way; what the organization put there stays until it takes it away.
    Origin {
        Keyword = 1 "keyword",
        Consent = 2 "consent",
        Api = 3 "api",
        Import = 4 "import",
    }
}

coded! {
    /// Where a person stands with one channel.
    Preference {
        OptedIn = 1 "opted_in",
        OptedOut = 2 "opted_out",
    }
}

impl Preference {
    #[must_use]
    pub fn of(opt_in: bool) -> Self {
        if opt_in { Self::OptedIn } else { Self::OptedOut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consent_is_kept_for_eleven_channels() {
        let names: Vec<&str> = Scope::CHANNELS.iter().map(|channel| channel.as_str()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        assert_eq!(Scope::channel("sms"), Some(Scope::Sms));
        for none in ["all", "telegram", "SMS", ""] {
            assert_eq!(Scope::channel(none), None, "{none}");
        }
    }
}
