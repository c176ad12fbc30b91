//! The numbers in memory: whose each is, and where calls to it go.
//!
//! Boot fills it from the store, and whoever changes a row tells it; it is no truth, and a start reads
//! all of it again. A call asks it without a query: for the number that is dialled, and for the number
//! that it wants to be seen as.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use model::carrier::OrgId;
use model::id::PublicId;
use model::number::{NumberStatus, Routing};
use store::NumberRouteRow;

use super::trunks::Password;

/// A number that somebody has.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// Of its row.
    pub number: i64,
    pub id: PublicId,
    pub organization: OrgId,
    pub e164: Arc<str>,
    /// None: calls are not taken.
    pub routing: Option<Routing>,
    /// Of `sip_forward`.
    pub password: Option<Password>,
    changed_at: i64,
}

/// Opens a routing's sealed password.
pub type Opener = Box<dyn Fn(PublicId, &[u8]) -> Option<String> + Send + Sync>;

/// All numbers. A clone is the same.
#[derive(Clone)]
pub struct Numbers(Arc<Inner>);

struct Inner {
    open: Opener,
    by_e164: RwLock<HashMap<Arc<str>, Entry>>,
}

/// What is known of a number: who has it, or when it was taken from its last holder.
enum Entry {
    Held(Arc<Number>),
    Free { changed_at: i64 },
}

impl Entry {
    fn changed_at(&self) -> i64 {
        match self {
            Self::Held(number) => number.changed_at,
            Self::Free { changed_at } => *changed_at,
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
        Self(Arc::new(Inner { open, by_e164: RwLock::default() }))
    }

    /// Takes a number as the table has it now; one that was read before a later change is not taken.
    pub fn put(&self, row: &NumberRouteRow) {
        let mut by_e164 = self.0.by_e164.write().unwrap_or_else(PoisonError::into_inner);
        let known = by_e164.get(row.e164.as_str()).map(Entry::changed_at);
        if known.is_some_and(|changed_at| changed_at > row.updated_at) {
            return;
        }
        let e164: Arc<str> = Arc::from(row.e164.as_str());
        let entry = match row.status == NumberStatus::Active.code() {
            true => Entry::Held(Arc::new(self.number(row, Arc::clone(&e164)))),
            false => Entry::Free { changed_at: row.updated_at },
        };
        by_e164.insert(e164, entry);
    }

    /// Whose it is, by E.164 with its `+`.
    #[must_use]
    pub fn find(&self, e164: &str) -> Option<Arc<Number>> {
        let by_e164 = self.0.by_e164.read().unwrap_or_else(PoisonError::into_inner);
        match by_e164.get(e164)? {
            Entry::Held(number) => Some(Arc::clone(number)),
            Entry::Free { .. } => None,
        }
    }

    /// Whether an organization may be seen as this number.
    #[must_use]
    pub fn owns(&self, organization: OrgId, e164: &str) -> bool {
        self.find(e164).is_some_and(|number| number.organization == organization)
    }

    fn number(&self, row: &NumberRouteRow, e164: Arc<str>) -> Number {
        let id = PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default());
        let sealed = row.routing_password.as_deref();
        let password = sealed.and_then(|sealed| (self.0.open)(id, sealed)).map(Password);
        if password.is_some() != sealed.is_some() {
            tracing::error!(number = %e164, "its password was sealed under another key");
        }
        Number {
            number: row.id,
            id,
            organization: OrgId(row.organization_id),
            e164,
            routing: row.routing.as_deref().and_then(Routing::parse),
            password,
            changed_at: row.updated_at,
        }
    }
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
            status: NumberStatus::Active.code(),
            routing: Some(Routing::Reject { status: 603 }.text()),
            routing_password: Some(vec![7]),
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
        numbers.put(&row("+14155550100", 2, 7));
        numbers.put(&free);
        assert!(numbers.owns(OrgId(2), "+14155550100"));
    }
}
