//! What carriers say of subscribers that can be reached again (alert_notification, SMPP 3.4 §4.12),
//! on its way to customers' systems.
//!
//! An alert goes where an inbound message from that person to that address would go: to the accounts
//! of a carrier's own organization, else of the one that wrote last from that address to that person,
//! of these to the accounts that take the address. It has no answer, so it is told once, to one bind
//! of each, and kept nowhere. A bind of a carrier, and an account, pass on so many in a second; what
//! is more is dropped before anything is asked for. It never waits: who owns an address is looked up
//! by a task, few at a time. Every alert is counted once: forwarded, or dropped and why.

use std::sync::Arc;

use metrics::counter;
use model::carrier::OrgId;
use model::clock::At;
use proto_smpp::pacing::Sliding;
use proto_smpp::pdu::message::Address;
use proto_smpp::pdu::notify::Alert;
use proto_smpp::tlv;
use store::Store;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::server::accounts::Accounts;
use super::server::receipts;
use super::translate;

/// Owners that are looked up at once.
const LOOKS_MAX: usize = 4;
/// Octets of the longest address (SMPP 3.4 §4.12.1).
const ADDRESS_MAX: usize = 64;

/// Where binds of carriers bring alerts. A clone is the same.
#[derive(Clone)]
pub struct Alerts(Arc<Inner>);

struct Inner {
    accounts: Accounts,
    store: Store,
    per_second: usize,
    looks: Arc<Semaphore>,
}

/// An alert in the product's words.
struct Said {
    subscriber: String,
    wanted_by: String,
    alert: Arc<Alert>,
}

impl Alerts {
    /// So many in a second of each bind of a carrier, and to each account; 0 passes none.
    #[must_use]
    pub fn new(accounts: Accounts, store: Store, per_second: usize) -> Self {
        let looks = Arc::new(Semaphore::new(LOOKS_MAX));
        Self(Arc::new(Inner { accounts, store, per_second, looks }))
    }

    pub(super) fn per_second(&self) -> usize {
        self.0.per_second
    }

    /// Takes what a bind heard; its carrier may be an organization's own.
    pub(super) fn heard(&self, owner: Option<OrgId>, pace: &mut Sliding, alert: &Alert) {
        if pace.take(Instant::now().into_std(), 1) == 0 {
            return dropped("carrier_pace");
        }
        let Some(said) = Said::of(alert) else { return dropped("malformed") };
        if let Some(owner) = owner {
            return self.0.pass_on(owner, &said);
        }
        let Ok(look) = Arc::clone(&self.0.looks).try_acquire_owned() else {
            return dropped("busy");
        };
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let _look = look;
            let addresses = (said.wanted_by.as_str(), said.subscriber.as_str());
            match inner.store.last_writer(addresses, At::now()).await {
                Ok(Some(owner)) => inner.pass_on(owner, &said),
                Ok(None) => dropped("unknown_address"),
                Err(error) => {
                    tracing::warn!(%error, "cannot read whose an alert is");
                    dropped("busy");
                }
            }
        });
    }
}

impl Inner {
    fn pass_on(&self, owner: OrgId, said: &Said) {
        let accounts = self.accounts.taking(owner, &said.wanted_by);
        if accounts.is_empty() {
            dropped("unknown_address");
        }
        let now = Instant::now().into_std();
        for account in accounts {
            if let Err(why) = account.alert(&said.alert, now, self.per_second) {
                dropped(why);
            }
        }
    }
}

impl Said {
    /// With its addresses by their kind, as those of inbound messages, and of its optional part what
    /// the book has. `None`: an address is missing, or is none.
    fn of(alert: &Alert) -> Option<Self> {
        let plausible = |address: &Address| {
            (1..=ADDRESS_MAX).contains(&address.digits.len())
                && address.digits.iter().all(u8::is_ascii_graphic)
        };
        if !plausible(&alert.source) || !plausible(&alert.esme) {
            return None;
        }
        let subscriber = translate::address(alert.source.view());
        let wanted_by = translate::address(alert.esme.view());
        let mut tlvs = Vec::new();
        if let Some(status) = alert.availability() {
            tlv::write(&mut tlvs, tlv::MS_AVAILABILITY_STATUS, &[status]);
        }
        let (source, esme) = (receipts::address(&subscriber), receipts::address(&wanted_by));
        let alert = Arc::new(Alert { source, esme, tlvs });
        Some(Self { subscriber, wanted_by, alert })
    }
}

/// Counts one that went out to an account.
pub(super) fn forwarded(account: &str) {
    counter!("orbit_alerts_forwarded_total", "account" => account.to_owned()).increment(1);
}

/// Counts one that goes no further.
pub(super) fn dropped(reason: &'static str) {
    counter!("orbit_alerts_dropped_total", "reason" => reason).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_passed_on_with_its_addresses_by_their_kind_and_its_status_alone() {
        let mut tlvs = Vec::new();
        tlv::write(&mut tlvs, 0x1401, b"vendor");
        tlv::write(&mut tlvs, tlv::MS_AVAILABILITY_STATUS, &[2, 9]);
        let (source, esme) = (Address::new(0, 1, "14155550123"), Address::new(0, 0, "12345"));
        let said = Said::of(&Alert { source, esme, tlvs }).unwrap();
        assert_eq!((said.subscriber.as_str(), said.wanted_by.as_str()), ("+14155550123", "12345"));
        let expected = Alert {
            source: Address::new(1, 1, "14155550123"),
            esme: Address::new(3, 0, "12345"),
            tlvs: vec![0x04, 0x22, 0, 1, 2],
        };
        assert_eq!(*said.alert, expected);
    }

    #[test]
    fn an_alert_about_nobody_or_for_nobody_is_none() {
        let (person, long) = (Address::new(1, 1, "14155550123"), "1".repeat(65));
        for odd in ["", "a b", "\u{e9}", long.as_str()] {
            let odd = Address::new(1, 1, odd);
            let about = Alert { source: odd.clone(), esme: person.clone(), tlvs: Vec::new() };
            let to = Alert { source: person.clone(), esme: odd, tlvs: Vec::new() };
            assert!(Said::of(&about).is_none() && Said::of(&to).is_none(), "{about:?}");
        }
    }
}
