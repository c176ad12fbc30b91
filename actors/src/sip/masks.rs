//! Masking sessions in memory: whom a number means to whoever calls it.
//!
//! Boot fills it from the open sessions, and whoever opens or closes one tells it after the commit. A session
//! whose time is over is not found, whether the sweep has ended it yet or not; it is forgotten with the next
//! change nearby. A call asks without a query and without a lock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::masking::ProxyChannel;
use store::ProxySessionRow;

use super::snapshot::Snapshot;

/// How long news of a session may be late.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A number means this to one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Of the session's row.
    pub session: i64,
    pub id: PublicId,
    pub organization: OrgId,
    /// Who is reached.
    pub other: Arc<str>,
    /// Calls go by it.
    pub voice: bool,
    expires_at: At,
}

/// All open sessions. A clone is the same.
#[derive(Clone)]
pub struct Masks(Arc<Snapshot<Box<str>, Entry>>);

#[derive(Clone)]
enum Entry {
    Open(Arc<Mask>),
    /// That session was closed: who read it just before does not bring it back.
    Closed {
        session: i64,
        until: At,
    },
}

impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masks")
    }
}

impl Default for Masks {
    fn default() -> Self {
        Self(Arc::new(Snapshot::new()))
    }
}

impl Masks {
    /// Takes all of a start at once.
    pub fn fill(&self, rows: &[ProxySessionRow]) {
        let open = rows.iter().flat_map(parties);
        self.0.fill(open.map(|(key, mask)| (key, Entry::Open(Arc::new(mask)))));
    }

    /// Takes a session that was just opened.
    pub fn open(&self, row: &ProxySessionRow, now: At) {
        for (key, mask) in parties(row) {
            // One that was closed meanwhile stays closed: sessions of a number and a caller have rising
            // numbers.
            let make = |known: Option<&Entry>| match known {
                Some(Entry::Closed { session, .. }) if *session >= mask.session => None,
                _ => Some(Entry::Open(Arc::new(mask))),
            };
            self.0.change(key, make, |entry| entry.matters(now));
        }
    }

    /// Forgets one that was closed. A call that is there goes on.
    pub fn close(&self, row: &ProxySessionRow, now: At) {
        for (key, mask) in parties(row) {
            let make = |known: Option<&Entry>| match known {
                Some(Entry::Open(other)) if other.session > mask.session => None,
                _ => Some(Entry::Closed { session: mask.session, until: now.plus(REMEMBERED) }),
            };
            self.0.change(key, make, |entry| entry.matters(now));
        }
    }

    /// Whom a number means to who calls it, both E.164 with `+`.
    #[must_use]
    pub fn find(&self, number: &str, caller: &str, now: At) -> Option<Arc<Mask>> {
        match self.0.get(key(number, caller).as_ref())? {
            Entry::Open(mask) => Some(mask).filter(|mask| mask.expires_at > now),
            Entry::Closed { .. } => None,
        }
    }
}

impl Entry {
    fn matters(&self, now: At) -> bool {
        match self {
            Self::Open(mask) => mask.expires_at > now,
            Self::Closed { until, .. } => *until > now,
        }
    }
}

fn key(number: &str, caller: &str) -> Box<str> {
    format!("{number} {caller}").into()
}

/// What a session's number means to each of the two.
fn parties(row: &ProxySessionRow) -> [(Box<str>, Mask); 2] {
    let one = |caller: &str, other: &str| {
        let mask = Mask {
            session: row.id,
            id: PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default()),
            organization: OrgId(row.organization_id),
            other: Arc::from(other),
            voice: row.channels & ProxyChannel::Voice.code() != 0,
            expires_at: At(row.expires_at),
        };
        (key(&row.proxy_number, caller), mask)
    };
    [one(&row.party_a, &row.party_b), one(&row.party_b, &row.party_a)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "+14155550100";

    fn row(id: i64, a: &str, b: &str) -> ProxySessionRow {
        ProxySessionRow {
            id,
            public_id: vec![1; 16],
            organization_id: 1,
            proxy_number: NUMBER.to_owned(),
            party_a: a.to_owned(),
            party_b: b.to_owned(),
            channels: 1,
            status: 1,
            interactions: 0,
            expires_at: 100,
            created_at: 0,
            ended_at: None,
        }
    }

    #[test]
    fn each_of_two_reaches_the_other_until_it_is_over() {
        let masks = Masks::default();
        masks.fill(&[row(1, "+1a", "+1b")]);
        let other =
            |caller, at| masks.find(NUMBER, caller, At(at)).map(|mask| mask.other.to_string());
        assert_eq!(other("+1a", 0).as_deref(), Some("+1b"));
        assert_eq!(other("+1b", 99).as_deref(), Some("+1a"));
        assert_eq!((other("+1c", 0), other("+1a", 100)), (None, None));
        assert!(masks.find("+1415", "+1a", At(0)).is_none());
        masks.close(&row(1, "+1a", "+1b"), At(5));
        assert_eq!((other("+1a", 6), other("+1b", 6)), (None, None));
    }

    #[test]
    fn news_that_come_late_bring_no_session_back_and_end_no_later_one() {
        let masks = Masks::default();
        masks.close(&row(1, "+1a", "+1b"), At(5));
        masks.open(&row(1, "+1a", "+1b"), At(5));
        assert!(masks.find(NUMBER, "+1a", At(6)).is_none());
        masks.open(&row(2, "+1a", "+1c"), At(7));
        masks.close(&row(1, "+1a", "+1b"), At(8));
        assert_eq!(&*masks.find(NUMBER, "+1a", At(9)).unwrap().other, "+1c");
    }
}
