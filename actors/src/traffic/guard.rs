//! Where an organization may send: by country and prefix, looked at before the writer is asked.
//!
//! Shared by all that accept; no actor. It holds what organizations have set in place of the
//! operator's settings, read at the start and replaced when the API changes it. A refusal is told
//! in the log once an hour for each organization, so that a flood of them is one event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::protection::{Forbidden, Overrides, Protection};
use model::refusal::{Code, Detail, Refusal};
use store::lane::{Admin, Work};

use crate::writer::{Then, WriterHandle};

const HOUR_US: i64 = 3600 * 1_000_000;

/// The shared guard; a clone is the same one. The default guards nothing.
#[derive(Clone, Default)]
pub struct Guard(Arc<Inner>);

#[derive(Default)]
struct Inner {
    operators: Arc<Protection>,
    own: RwLock<HashMap<OrgId, Arc<Protection>>>,
    /// Who writes alerts down.
    writer: Option<WriterHandle>,
    /// The hour in which an organization was last told.
    told: Mutex<HashMap<OrgId, i64>>,
}

impl Guard {
    #[must_use]
    pub fn new(
        operators: Protection,
        own: Vec<(OrgId, Overrides)>,
        writer: Option<WriterHandle>,
    ) -> Self {
        let own = own.into_iter().map(|(id, own)| (id, Arc::new(operators.with(&own)))).collect();
        let told = Mutex::default();
        Self(Arc::new(Inner {
            operators: Arc::new(operators),
            own: RwLock::new(own),
            writer,
            told,
        }))
    }

    /// What an organization has set holds from now on.
    pub fn set(&self, organization: OrgId, own: &Overrides) {
        let protection = Arc::new(self.0.operators.with(own));
        let mut all = self.0.own.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(organization, protection);
    }

    /// What holds for an organization.
    #[must_use]
    pub fn protection(&self, organization: OrgId) -> Arc<Protection> {
        let own = self.0.own.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(own.get(&organization).unwrap_or(&self.0.operators))
    }

    /// Whether an organization may send to a number, as its digits without `+`.
    pub fn check(&self, organization: OrgId, digits: &str, now: At) -> Result<(), Refusal> {
        let Some(forbidden) = self.protection(organization).forbids(digits) else {
            return Ok(());
        };
        let message = "this organization does not send to this destination";
        let refusal = Refusal::new(Code::DestinationNotAllowed, message).field("to");
        let (name, value) = match forbidden {
            Forbidden::Prefix(prefix) => ("prefix", prefix),
            Forbidden::Country(country) => ("country", country.unwrap_or("none").to_owned()),
        };
        self.tell(organization, name, &value, now);
        Err(refusal.detail(name, Detail::Text(value)))
    }

    fn tell(&self, organization: OrgId, name: &str, value: &str, now: At) {
        let hour = now.0.div_euclid(HOUR_US);
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(organization, hour) == Some(hour) {
            return;
        }
        drop(told);
        let Some(writer) = &self.0.writer else { return };
        let detail = format!("{{\"{name}\":\"{value}\"}}");
        let alert = Admin::Alert { organization, kind: EventKind::DestinationRefused, detail };
        let work = Work { admin: vec![alert], ..Work::default() };
        // Without a writer nothing is accepted either: the alert is not worth a wait.
        let _ = writer.ask(work, Then::new(|_| {}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_may_set_its_own_destinations() {
        let operators =
            Protection { blocked_prefixes: vec![String::from("881")], ..Protection::default() };
        let own = Overrides { blocked_prefixes: Some(Vec::new()), ..Overrides::default() };
        let guard = Guard::new(operators, vec![(OrgId(2), own)], None);
        let check = |id, digits| guard.check(OrgId(id), digits, At(0)).map_err(|r| r.code);
        assert_eq!(check(1, "881612345678"), Err(Code::DestinationNotAllowed));
        assert_eq!(check(1, "14155550123"), Ok(()));
        assert_eq!(check(2, "881612345678"), Ok(()));
        let france = Some(vec![String::from("FR")]);
        guard.set(OrgId(1), &Overrides { allowed_countries: france, ..Overrides::default() });
        assert_eq!(check(1, "14155550123"), Err(Code::DestinationNotAllowed));
        assert_eq!(check(1, "33612345678"), Ok(()));
        assert_eq!(check(1, "881612345678"), Err(Code::DestinationNotAllowed));
        guard.set(OrgId(1), &Overrides::default());
        assert_eq!(check(1, "14155550123"), Ok(()));
    }
}
