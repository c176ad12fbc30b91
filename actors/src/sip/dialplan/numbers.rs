//! The organizations' own numbers in memory, and what each is routed to.
//!
//! Boot fills it from the rows, and whoever changes one gives a new table; a call asks the table that
//! was there when it came.

use std::collections::HashMap;
use std::sync::Arc;

use model::carrier::OrgId;
use model::id::PublicId;

/// A number of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    pub id: i64,
    pub organization: OrgId,
    /// With `+`.
    pub e164: String,
    /// It may be called from and to.
    pub voice: bool,
    pub routing: Routing,
    pub sandbox: bool,
}

/// Where calls to a number go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Routing {
    /// Nobody has said it yet.
    #[default]
    Nowhere,
    /// A telephone, by its credential.
    Phone { credential: i64 },
    /// Telephones, at once or one after the other.
    RingGroup { credentials: Vec<i64>, in_turn: bool, ring_s: u32 },
    /// An address of the customer's.
    SipForward { uri: String },
    /// The customer's telephone system.
    Trunk { trunk: PublicId },
    /// Another number, at the owner's expense.
    Forward { number: String },
    /// No calls.
    Reject { busy: bool },
}

/// All numbers. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Numbers(Arc<Tables>);

#[derive(Debug, Default)]
struct Tables {
    by_e164: HashMap<String, Number>,
    /// The number that an organization calls from when it does not say.
    defaults: HashMap<OrgId, String>,
}

impl Numbers {
    /// Of all rows; the first voice number of an organization is the one it calls from, unless it
    /// names another in `defaults`.
    #[must_use]
    pub fn new(rows: Vec<Number>, named: &[(OrgId, String)]) -> Self {
        let mut tables = Tables::default();
        for row in &rows {
            if row.voice {
                tables.defaults.entry(row.organization).or_insert_with(|| row.e164.clone());
            }
        }
        tables.by_e164 = rows.into_iter().map(|row| (row.e164.clone(), row)).collect();
        for (organization, number) in named {
            if tables.by_e164.get(number).is_some_and(|row| row.organization == *organization) {
                tables.defaults.insert(*organization, number.clone());
            }
        }
        Self(Arc::new(tables))
    }

    /// By E.164 with `+`.
    #[must_use]
    pub fn find(&self, e164: &str) -> Option<&Number> {
        self.0.by_e164.get(e164)
    }

    /// Whether an organization may call from a number.
    #[must_use]
    pub fn owns(&self, organization: OrgId, e164: &str) -> bool {
        let own = |row: &Number| row.organization == organization && row.voice;
        self.find(e164).is_some_and(own)
    }

    #[must_use]
    pub fn default_of(&self, organization: OrgId) -> Option<&str> {
        self.0.defaults.get(&organization).map(String::as_str)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.by_e164.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_calls_from_its_own_numbers() {
        let row = |id, organization, e164: &str| Number {
            id,
            organization: OrgId(organization),
            e164: e164.into(),
            voice: true,
            routing: Routing::Nowhere,
            sandbox: false,
        };
        let rows = vec![row(1, 1, "+1415"), row(2, 1, "+1416"), row(3, 2, "+44")];
        let named = [(OrgId(1), "+1416".to_owned()), (OrgId(2), "+1415".to_owned())];
        let numbers = Numbers::new(rows, &named);
        assert!(numbers.owns(OrgId(1), "+1415") && !numbers.owns(OrgId(2), "+1415"));
        assert_eq!(numbers.default_of(OrgId(1)), Some("+1416"));
        assert_eq!(numbers.default_of(OrgId(2)), Some("+44"));
        assert_eq!(numbers.default_of(OrgId(3)), None);
    }
}
