//! Calls an account's system when it is owed something and no bind takes it (SMPP 3.4 §2.2.1).
//!
//! A task of the server's supervisor, one per account that has an address: it waits for the network.
//! It looks at the log as the courier does; when something is owed it connects, through the guard
//! for tenants' addresses, and hands the connection over to be an ESME's, which begins with
//! `outbind`. One call at a time: the next one comes when the connection of the last is closed, and
//! after a rest that doubles while nobody binds. It keeps nothing: what is owed lies in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::counter;
use proto_smpp::pdu::notify::Outbind;
use store::{Store, StoreError};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::accounts::{Account, Accounts, CalledAt};
use super::courier;
use super::listener::Accepted;
use super::receipts;
use crate::customer::feed::Wakes;
use crate::customer::webhook::guard::Networks;
use crate::places::Places;
use crate::smpp::tls::Tls;
use crate::smpp::wire;

/// Between two looks at the log, and at whether somebody is bound.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A bind that lasts so long was a good call: the next one need not wait.
const LASTS: Duration = Duration::from_secs(60);

/// How calls are made. A clone is the same.
#[derive(Clone)]
pub struct Calls {
    /// Where tenants may have us connect to, beside public addresses.
    pub networks: Networks,
    /// None: this machine's authorities cannot be read, and TLS is not to be had.
    pub tls: Option<Tls>,
    /// For the connection to be there.
    pub patience: Duration,
    pub rest_min: Duration,
    pub rest_max: Duration,
}

/// What a caller works with.
pub struct Caller {
    pub account: Arc<Account>,
    pub accounts: Accounts,
    pub places: Places,
    pub store: Store,
    pub wakes: Arc<Wakes>,
    pub calls: Calls,
}

/// Whom a connection was opened to, until its socket is closed.
pub struct Called {
    /// The account that is to bind on it.
    pub system_id: String,
    pub says: Outbind,
    /// It did.
    pub bound: Arc<AtomicBool>,
    /// Dropped with the connection.
    pub over: oneshot::Sender<()>,
}

/// Calls whenever there is reason to, until `on_call` wants no more.
pub async fn call(caller: Caller, on_call: impl Fn(Accepted) -> bool + Send + Sync) {
    let Some(at) = caller.account.called_at.clone() else { return };
    let mut listener = caller.wakes.listen(caller.account.organization);
    let (mut read_to, mut failures, mut grown) = (caller.account.cursor(), 0_u32, true);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !caller.account.waits_for_a_call() {
            grown = true;
            continue;
        }
        if !grown {
            grown = listener.changed().await;
            if !grown {
                return;
            }
        }
        let owed = match owed(&caller, &mut read_to).await {
            Ok(owed) => owed,
            Err(error) => {
                let account = &caller.account.system_id;
                tracing::warn!(%error, %account, "cannot read whether it is owed anything");
                continue;
            }
        };
        // What is owed stays so until somebody takes it.
        grown = owed;
        if !owed || !caller.account.waits_for_a_call() {
            continue;
        }
        let begun = Instant::now();
        let outcome = match attempt(&caller, &at, &on_call).await {
            Some(true) => "bound",
            Some(false) => "failed",
            None => return,
        };
        let account = caller.account.system_id.clone();
        counter!("orbit_esme_calls_total", "account" => account, "outcome" => outcome).increment(1);
        failures = match outcome {
            "bound" if begun.elapsed() >= LASTS => 0,
            _ => failures.saturating_add(1),
        };
        tokio::time::sleep(rest(&caller.calls, failures)).await;
    }
}

/// Doubles with each failure, to a limit.
fn rest(calls: &Calls, failures: u32) -> Duration {
    let doubled = calls.rest_min.saturating_mul(1 << failures.saturating_sub(1).min(20));
    doubled.min(calls.rest_max)
}

/// Whether the account is owed anything behind its cursor. What is not owed is looked at once.
async fn owed(caller: &Caller, read_to: &mut i64) -> Result<bool, StoreError> {
    // As it is now: its cursor is where a courier left it.
    let account = caller.accounts.find(&caller.account.system_id);
    let account = account.as_ref().unwrap_or(&caller.account);
    *read_to = (*read_to).max(account.cursor());
    loop {
        let (rows, to) = courier::read(&caller.store, account, *read_to).await?;
        let last = rows.last().map_or(to, |row| row.seq);
        for row in &rows {
            if receipts::count(account, row) > 0 {
                return Ok(true);
            }
            *read_to = (*read_to).max(row.seq);
        }
        if rows.is_empty() || to > last {
            *read_to = (*read_to).max(to);
            return Ok(false);
        }
    }
}

/// One call, from its beginning until its socket is closed: whether somebody bound on it. `None`:
/// nobody takes connections any more.
async fn attempt(
    caller: &Caller,
    at: &CalledAt,
    on_call: &(impl Fn(Accepted) -> bool + Send + Sync),
) -> Option<bool> {
    let account = &caller.account.system_id;
    let failed = |why: &str| {
        tracing::info!(%account, why, "an ESME could not be called");
        Some(false)
    };
    let tls = match (at.tls, &caller.calls.tls) {
        (false, _) => None,
        (true, Some(tls)) => Some(tls),
        (true, None) => return failed("no authorities to check its certificate against"),
    };
    let networks = Some(&caller.calls.networks);
    let dialling = wire::dial(&at.host, at.port, tls, networks);
    let (halves, address) = match tokio::time::timeout(caller.calls.patience, dialling).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(why)) => return failed(&why),
        Err(_) => return failed("no answer in time"),
    };
    let address = address.ip().to_canonical();
    let Some((place, unbound)) = caller.places.take(address) else {
        return failed("there are too many connections");
    };
    let (bound, (over, is_over)) = (Arc::new(AtomicBool::new(false)), oneshot::channel());
    let called = Called {
        system_id: account.clone(),
        says: at.says.clone(),
        bound: Arc::clone(&bound),
        over,
    };
    tracing::info!(%account, %address, "an ESME is called");
    if !on_call(Accepted { halves, address, place, unbound, called: Some(called) }) {
        return None;
    }
    let _ = is_over.await;
    Some(bound.load(Ordering::Acquire))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_while_nobody_binds() {
        let seconds = Duration::from_secs;
        let calls = Calls {
            networks: Networks::default(),
            tls: None,
            patience: seconds(1),
            rest_min: seconds(1),
            rest_max: seconds(60),
        };
        let rests: Vec<u64> = (0..9).map(|failures| rest(&calls, failures).as_secs()).collect();
        assert_eq!(rests, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(rest(&calls, u32::MAX), seconds(60));
    }
}
