//! Number masking: two people who reach each other by a number of neither, for a while.

use std::time::Duration;

use crate::message::coded;

coded! {
    /// Where a session stands.
    ProxyStatus {
        Open = 1 "open",
        Closed = 2 "closed",
        /// Its time was over.
        Expired = 3 "expired",
    }
}

coded! {
    /// What goes by a session; a session has a set of them.
    ProxyChannel {
        Voice = 1 "voice",
        Sms = 2 "sms",
    }
}

/// How long a session is open, unless it says otherwise, and at most.
pub const LIFE: Duration = Duration::from_secs(24 * 3_600);
pub const LIFE_MAX: Duration = Duration::from_secs(90 * 24 * 3_600);
/// For so long after it, its number means nobody else to its parties.
pub const QUARANTINE: Duration = Duration::from_secs(3_600);
/// Sessions of one organization that are open at once.
pub const SESSIONS_MAX: i64 = 100_000;

/// The channels of a set.
pub fn channels(set: i64) -> impl Iterator<Item = ProxyChannel> {
    ProxyChannel::ALL.iter().copied().filter(move |channel| set & channel.code() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_names_its_channels() {
        let names = |set| channels(set).map(ProxyChannel::as_str).collect::<Vec<_>>();
        assert_eq!(
            (names(1), names(2), names(3)),
            (vec!["voice"], vec!["sms"], vec!["voice", "sms"])
        );
    }
}
