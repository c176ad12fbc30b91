//! A bind's presence: counted in the metrics, told in its organization's log, taken back by drop.
//!
//! An account that comes and goes all the time tells so many of its comings and goings in a minute
//! and no more, so that it cannot fill the log.

use std::net::IpAddr;
use std::sync::Arc;

use metrics::{Counter, Gauge, counter, gauge};
use model::event::EventKind;
use model::id::Kind;
use store::lane::{Admin, Work};

use super::super::accounts::Account;
use crate::writer::{Then, WriterHandle};

/// One bind, from its beginning to its end.
pub(super) struct Presence {
    pub(super) accepted: Counter,
    pub(super) refused: Counter,
    pub(super) throttled: Counter,
    binds: Gauge,
    account: Arc<Account>,
    kind: &'static str,
    address: IpAddr,
    reason: String,
    /// Its beginning was told, so its end is.
    told: bool,
    writer: WriterHandle,
}

impl Presence {
    pub(super) fn begin(
        account: &Arc<Account>,
        kind: &'static str,
        address: IpAddr,
        writer: WriterHandle,
    ) -> Self {
        let submits = |outcome: &'static str| {
            let account = account.system_id.clone();
            counter!("orbit_esme_submits_total", "account" => account, "outcome" => outcome)
        };
        let binds = gauge!("orbit_esme_binds", "account" => account.system_id.clone());
        binds.increment(1.0);
        let presence = Self {
            accepted: submits("accepted"),
            refused: submits("refused"),
            throttled: submits("throttled"),
            binds,
            account: Arc::clone(account),
            kind,
            address,
            reason: String::from("failed"),
            told: account.may_tell(tokio::time::Instant::now().into_std()),
            writer,
        };
        presence.tell(EventKind::BindUp, None);
        presence
    }

    /// It ends in order, for this reason.
    pub(super) fn ends(&mut self, reason: &str) {
        reason.clone_into(&mut self.reason);
    }

    fn tell(&self, kind: EventKind, reason: Option<&str>) {
        if !self.told {
            return;
        }
        let account = &self.account;
        let detail = serde_json::json!({
            "account_id": account.public_id.show(Kind::SmppAccount),
            "system_id": account.system_id,
            "bind_type": self.kind,
            "address": self.address.to_string(),
            "reason": reason,
        });
        let organization = account.organization;
        let tell = Admin::Tell { organization, kind, detail: detail.to_string() };
        let work = Work { admin: vec![tell], ..Work::default() };
        // Without a writer nobody could read it either.
        let _ = self.writer.ask(work, Then::new(|_| {}));
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.binds.decrement(1.0);
        self.tell(EventKind::BindDown, Some(&self.reason));
    }
}
