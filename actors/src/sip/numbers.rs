//! The numbers in memory: whose each is, what it can, and where calls to it go.
//!
//! Boot fills it from the store, and whoever changes a row tells it after the commit; it is no truth, and a
//! start reads all of it again. A call asks it without a query and without a lock: for the number that is
//! dialled, and for the number that it wants to be seen as.

use std::fmt;
use std::sync::Arc;

use model::carrier::OrgId;
use model::id::PublicId;
use model::number::{NumberStatus, Routing};
use store::NumberRouteRow;

use super::snapshot::Snapshot;
use super::trunks::Password;

/// A number that somebody has.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// Of its row.
    pub number: i64,
    pub id: PublicId,
    pub organization: OrgId,
    /// With its `+`.
    pub e164: Arc<str>,
    /// It may be called, and called from.
    pub voice: bool,
    /// Texts may be sent from it.
    pub sms: bool,
    /// Of a sandbox organization: nothing leaves the switch.
    pub sandbox: bool,
    /// None: calls are not taken.
    pub routing: Option<Routing>,
    /// Calls to it are recorded.
    pub record: bool,
    /// Of `sip_forward`.
    pub password: Option<Password>,
    assigned_at: i64,
    changed_at: i64,
}

impl Number {
    /// It stands between the parties of masking sessions.
    #[must_use]
    pub fn masks(&self) -> bool {
        matches!(self.routing, Some(Routing::Proxy {}))
    }
}

/// Opens a routing's sealed password.
pub type Opener = Box<dyn Fn(PublicId, &[u8]) -> Option<String> + Send + Sync>;

/// All numbers. A clone is the same.
#[derive(Clone)]
pub struct Numbers(Arc<Inner>);

struct Inner {
    open: Opener,
    by_e164: Snapshot<Arc<str>, Entry>,
    /// Those an organization may call from, the first it got first.
    of: Snapshot<OrgId, Arc<Vec<Own>>>,
}

/// What is known of a number: who has it, or when it was taken from its last holder.
#[derive(Clone)]
enum Entry {
    Held(Arc<Number>),
    Free { changed_at: i64 },
}

/// When a number came, its row, and how it is written.
type Own = (i64, i64, Arc<str>);

impl Entry {
    fn changed_at(&self) -> i64 {
        match self {
            Self::Held(number) => number.changed_at,
            Self::Free { changed_at } => *changed_at,
        }
    }

    fn held(&self) -> Option<&Arc<Number>> {
        match self {
            Self::Held(number) => Some(number),
            Self::Free { .. } => None,
        }
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Numbers")
    }
}

impl Numbers {
    #[must_use]
    pub fn new(open: Opener) -> Self {
        Self(Arc::new(Inner { open, by_e164: Snapshot::new(), of: Snapshot::new() }))
    }

    /// Takes all of a start at once.
    pub fn fill(&self, rows: &[NumberRouteRow]) {
        let entries = rows.iter().map(|row| self.entry(row));
        let mut own = std::collections::HashMap::<OrgId, Vec<Own>>::new();
        let entries: Vec<_> = entries.collect();
        for number in entries.iter().filter_map(|(_, entry)| entry.held()) {
            if let Some(calls) = calls_from(number) {
                own.entry(number.organization).or_default().push(calls);
            }
        }
        self.0.by_e164.fill(entries);
        self.0.of.fill(own.into_iter().map(|(organization, mut numbers)| {
            numbers.sort_unstable();
            (organization, Arc::new(numbers))
        }));
    }

    /// Takes a number as the table has it now; one that was read before a later change is not taken.
    pub fn put(&self, row: &NumberRouteRow) {
        let (e164, fresh) = self.entry(row);
        let mut before = None;
        let mut taken = false;
        let next = fresh.clone();
        let make = |known: Option<&Entry>| {
            if known.is_some_and(|known| known.changed_at() > row.updated_at) {
                return None;
            }
            before = known.and_then(Entry::held).cloned();
            taken = true;
            Some(next)
        };
        self.0.by_e164.change(e164, make, |_| true);
        if !taken {
            return;
        }
        let holders = [before.as_ref(), fresh.held()].into_iter().flatten();
        for organization in holders.map(|number| number.organization) {
            self.owns_now(organization, &row.e164);
        }
    }

    /// Two changes of one number may come here in any order: what stands under it by now counts.
    fn owns_now(&self, organization: OrgId, e164: &str) {
        let make = |known: Option<&Arc<Vec<Own>>>| {
            let mut next: Vec<Own> = known.map(|known| known.to_vec()).unwrap_or_default();
            next.retain(|(_, _, known)| &**known != e164);
            let own = self.find(e164).filter(|number| number.organization == organization);
            next.extend(own.and_then(|number| calls_from(&number)));
            next.sort_unstable();
            Some(Arc::new(next))
        };
        self.0.of.change(organization, make, |numbers| !numbers.is_empty());
    }

    /// Whose it is, by E.164 with its `+`.
    #[must_use]
    pub fn find(&self, e164: &str) -> Option<Arc<Number>> {
        self.0.by_e164.get(e164).and_then(|entry| entry.held().cloned())
    }

    /// Whether an organization may be seen as this number.
    #[must_use]
    pub fn owns(&self, organization: OrgId, e164: &str) -> bool {
        self.find(e164).is_some_and(|number| number.organization == organization && number.voice)
    }

    /// Whether an organization may send texts from it.
    #[must_use]
    pub fn may_send(&self, organization: OrgId, e164: &str) -> bool {
        self.find(e164).is_some_and(|number| number.organization == organization && number.sms)
    }

    /// The number that an organization calls from when it does not say: the first it got. One that masks
    /// others is called from by nobody unless it is named.
    #[must_use]
    pub fn default_of(&self, organization: OrgId) -> Option<Arc<str>> {
        let numbers = self.0.of.get(&organization)?;
        numbers.first().map(|(_, _, e164)| Arc::clone(e164))
    }

    fn entry(&self, row: &NumberRouteRow) -> (Arc<str>, Entry) {
        let e164: Arc<str> = Arc::from(row.e164.as_str());
        let entry = match row.status == NumberStatus::Active.code() {
            true => Entry::Held(Arc::new(self.number(row, Arc::clone(&e164)))),
            false => Entry::Free { changed_at: row.updated_at },
        };
        (e164, entry)
    }

    fn number(&self, row: &NumberRouteRow, e164: Arc<str>) -> Number {
        let id = PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default());
        let sealed = row.routing_password.as_deref();
        let password = sealed.and_then(|sealed| (self.0.open)(id, sealed)).map(Password);
        if password.is_some() != sealed.is_some() {
            tracing::error!(number = %e164, "its password was sealed under another key");
        }
        let can: Vec<String> = serde_json::from_str(&row.capabilities).unwrap_or_default();
        Number {
            number: row.id,
            id,
            organization: OrgId(row.organization_id),
            e164,
            voice: can.iter().any(|can| can == "voice"),
            sms: can.iter().any(|can| can == "sms"),
            sandbox: row.is_sandbox != 0,
            routing: row.routing.as_deref().and_then(Routing::parse),
            record: row.record != 0,
            password,
            assigned_at: row.assigned_at.unwrap_or_default(),
            changed_at: row.updated_at,
        }
    }
}

fn calls_from(number: &Number) -> Option<Own> {
    let own = (number.assigned_at, number.number, Arc::clone(&number.e164));
    (number.voice && !number.masks()).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(e164: &str, organization: i64, updated_at: i64) -> NumberRouteRow {
        NumberRouteRow {
            id: 1,
            public_id: vec![1; 16],
            organization_id: organization,
            e164: e164.to_owned(),
            capabilities: String::from("[\"sms\",\"voice\"]"),
            is_sandbox: 0,
            status: NumberStatus::Active.code(),
            routing: Some(Routing::Reject { status: 603 }.text()),
            record: 0,
            routing_password: Some(vec![7]),
            assigned_at: Some(1),
            updated_at,
        }
    }

    fn numbers() -> Numbers {
        Numbers::new(Box::new(|_, sealed| (sealed == [7]).then(|| String::from("secret"))))
    }

    #[test]
    fn a_number_is_found_with_its_holder_and_its_routing() {
        let numbers = numbers();
        numbers.put(&row("+14155550100", 1, 5));
        let found = numbers.find("+14155550100").unwrap();
        assert_eq!(found.routing, Some(Routing::Reject { status: 603 }));
        assert_eq!(found.password, Some(Password(String::from("secret"))));
        assert!(numbers.owns(OrgId(1), "+14155550100"));
        assert!(!numbers.owns(OrgId(2), "+14155550100") && numbers.find("+1").is_none());
    }

    #[test]
    fn a_number_changes_hands_and_an_older_row_that_comes_late_does_not_count() {
        let numbers = numbers();
        numbers.put(&row("+14155550100", 1, 5));
        let free = NumberRouteRow { status: 3, ..row("+14155550100", 1, 6) };
        numbers.put(&free);
        numbers.put(&row("+14155550100", 1, 5));
        assert!(numbers.find("+14155550100").is_none());
        assert_eq!(numbers.default_of(OrgId(1)), None);
        numbers.put(&row("+14155550100", 2, 7));
        numbers.put(&free);
        assert!(numbers.owns(OrgId(2), "+14155550100"));
        assert_eq!(numbers.default_of(OrgId(2)).as_deref(), Some("+14155550100"));
    }

    #[test]
    fn an_organization_calls_from_the_first_number_it_got_that_is_its_own() {
        let numbers = numbers();
        let got = |e164: &str, assigned_at| NumberRouteRow {
            assigned_at: Some(assigned_at),
            ..row(e164, 1, 5)
        };
        let mute = NumberRouteRow { capabilities: "[\"sms\"]".into(), ..got("+14155550100", 1) };
        let masks =
            NumberRouteRow { routing: Some(Routing::Proxy {}.text()), ..got("+14155550101", 2) };
        numbers.fill(&[got("+14155550103", 9), mute, masks, got("+14155550102", 4)]);
        let default = || numbers.default_of(OrgId(1));
        assert_eq!(default().as_deref(), Some("+14155550102"));
        assert!(numbers.owns(OrgId(1), "+14155550101") && !numbers.owns(OrgId(1), "+14155550100"));
        numbers.put(&NumberRouteRow { status: 3, ..row("+14155550102", 1, 6) });
        assert_eq!(default().as_deref(), Some("+14155550103"));
        numbers.put(&NumberRouteRow { updated_at: 6, routing: None, ..got("+14155550101", 2) });
        assert_eq!(default().as_deref(), Some("+14155550101"));
        assert_eq!(numbers.default_of(OrgId(2)), None);
    }
}
