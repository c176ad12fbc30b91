//! Who may bind: the accounts in memory, as the table has them, and what their binds share.
//!
//! Boot fills it from the store and the API tells it of each change; it is no truth, and a start
//! reads all of it again. A bind asks it without a query, so that a storm of binds costs the
//! database nothing. Passwords are compared as HMAC-SHA-256 under a key of the data folder: no
//! slow hash for each bind, and a stolen database alone does not help to guess them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use model::carrier::OrgId;
use model::esme::{BindType, IdFormat, ReceiptFormat};
use model::id::PublicId;
use model::message::Category;
use model::network::Network;
use proto_smpp::pacing::Sliding;
use proto_smpp::pdu::notify::{Alert, Outbind};
use proto_smpp::{BindKind, CommandStatus};
use ractor::{ActorRef, ActorStatus};
use serde::Deserialize;
use sha2::Sha256;
use store::SmppAccountRow;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::courier::CourierMsg;
use super::status;
use crate::lockout::{Lockout, Rule};

/// What an account is, until it is changed.
#[derive(Debug)]
pub struct Account {
    pub id: i64,
    pub public_id: PublicId,
    pub organization: OrgId,
    /// When it was changed last: what is older is not taken any more.
    changed_at: i64,
    pub system_id: String,
    /// The same, to be shared.
    pub name: Arc<str>,
    password_mac: [u8; 32],
    allowed_ips: Vec<Network>,
    bind_types: i64,
    max_binds: usize,
    pub window_size: usize,
    pub test: bool,
    pub category: Category,
    pub default_sender: Option<String>,
    /// The pool that chooses one for what comes without, in its place. It may be gone.
    pub default_sender_pool: Option<PublicId>,
    allowed_senders: Vec<String>,
    pub receipt_format: ReceiptFormat,
    pub id_format: IdFormat,
    inbound_numbers: Vec<String>,
    pub once_by_reference: bool,
    /// How far ahead its messages may be scheduled.
    pub ahead_max: Duration,
    /// It is told how busy the switch is, if its bind speaks SMPP 5.0.
    pub congestion_state: bool,
    /// It is told of what happens on the way, where a submit asks for it.
    pub intermediate_receipts: bool,
    /// Live inbound messages are its own.
    takes_inbound: bool,
    /// Whom to call when it is owed something and no bind takes it.
    pub called_at: Option<CalledAt>,
    enabled: bool,
    /// Of all accounts of its organization that have no pace of their own.
    common_pace: Option<Arc<Mutex<Sliding>>>,
    shared: Arc<Shared>,
}

/// Where an account's system listens, and what it is told (SMPP 3.4 §2.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalledAt {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    pub says: Outbind,
}

/// The same as it is stored: the password lies sealed beside it.
#[derive(Deserialize)]
struct StoredCall {
    host: String,
    port: u16,
    tls: bool,
    system_id: String,
}

/// Opens an account's sealed password.
pub type Opener = Box<dyn Fn(PublicId, &[u8]) -> Option<String> + Send + Sync>;

/// What all binds of an account share, over its changes.
#[derive(Debug)]
struct Shared {
    binds: AtomicUsize,
    /// Those of them that receive.
    receiving: AtomicUsize,
    pace: Mutex<Sliding>,
    /// Events up to this one were delivered, or are not owed. The store has it a little later.
    cursor: AtomicI64,
    /// Events that its courier holds in memory.
    held: AtomicUsize,
    /// Its newest courier, which may be gone.
    courier: Mutex<Option<ActorRef<CourierMsg>>>,
    /// Alerts that were passed on.
    alerts: Mutex<Sliding>,
    /// How many of its comings and goings were told in this minute.
    told: Mutex<(Option<Instant>, u32)>,
    /// Held by who looks through all that waits, as long as it goes on.
    searching: tokio::sync::Mutex<()>,
    /// Taken for each such look; one for the switch.
    searches: Arc<Semaphore>,
}

/// How far ahead messages may be scheduled, where nobody says.
const AHEAD_MAX: Duration = Duration::from_secs(35 * 86_400);
/// Comings and goings that are told in a minute.
const TOLD_MAX: u32 = 30;
const MINUTE: Duration = Duration::from_secs(60);
/// Looks through all that waits at once: each holds a reader of the store for long.
const SEARCHES_MAX: usize = 1;

/// A bind's place in its account; given back when dropped.
#[derive(Debug)]
pub struct Seat {
    shared: Arc<Shared>,
    receives: bool,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.binds.fetch_sub(1, Ordering::AcqRel);
        if self.receives {
            self.shared.receiving.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// All accounts. A clone is the same.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

struct Inner {
    key: [u8; 32],
    ahead_max: Duration,
    open: Opener,
    by_name: RwLock<HashMap<String, Arc<Account>>>,
    /// Deleted since the start: who read one of them just before does not bring it back.
    gone: Mutex<HashSet<i64>>,
    paces: Mutex<HashMap<OrgId, Arc<Mutex<Sliding>>>>,
    lockout: Mutex<Lockout>,
    searches: Arc<Semaphore>,
}

/// One who wants in.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    pub system_id: &'a str,
    pub password: &'a str,
    pub kind: BindKind,
    pub address: IpAddr,
}

impl Accounts {
    #[must_use]
    pub fn new(key: [u8; 32], rule: Rule) -> Self {
        Self::with(key, rule, AHEAD_MAX, Box::new(|_, _| None))
    }

    /// The same, whose messages may be scheduled so far ahead, and whose sealed passwords open.
    #[must_use]
    pub fn with(key: [u8; 32], rule: Rule, ahead_max: Duration, open: Opener) -> Self {
        let lockout = Mutex::new(Lockout::new(rule));
        let (by_name, gone, paces) = (RwLock::default(), Mutex::default(), Mutex::default());
        let searches = Arc::new(Semaphore::new(SEARCHES_MAX));
        Self(Arc::new(Inner { key, ahead_max, open, by_name, gone, paces, lockout, searches }))
    }

    /// Those that are called, by name.
    #[must_use]
    pub fn called(&self) -> Vec<Arc<Account>> {
        let by_name = self.0.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.values().filter(|account| account.called_at.is_some()).cloned().collect()
    }

    /// An organization's accounts that are brought what is for this number.
    pub(crate) fn taking(&self, organization: OrgId, to: &str) -> Vec<Arc<Account>> {
        let by_name = self.0.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let takes = |account: &&Arc<Account>| {
            account.organization == organization && account.enabled && account.takes_inbound(to)
        };
        by_name.values().filter(takes).cloned().collect()
    }

    /// How a password is stored.
    #[must_use]
    pub fn mac(&self, system_id: &str, password: &str) -> [u8; 32] {
        match self.0.hmac(system_id, password) {
            Some(mac) => mac.finalize().into_bytes().into(),
            None => [0; 32],
        }
    }

    /// Takes an account as the table has it now; one that was read before a later change is not
    /// taken, however late it comes. Its organization's pace is taken from the first row alone.
    pub fn put(&self, row: &SmppAccountRow) {
        let mut by_name = self.0.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let gone = self.0.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let known = by_name.values().find(|known| known.id == row.id).cloned();
        let later = known.as_ref().is_some_and(|known| known.changed_at > row.updated_at);
        if later || gone.contains(&row.id) {
            return;
        }
        let tps = usize::try_from(row.tps).unwrap_or(0);
        let shared = match &known {
            Some(known) => Arc::clone(&known.shared),
            None => Arc::new(Shared::new(tps, row.cursor, Arc::clone(&self.0.searches))),
        };
        shared.pace.lock().unwrap_or_else(PoisonError::into_inner).set_limit(tps);
        if let Some(known) = known {
            by_name.remove(&known.system_id);
        }
        let common = self.0.common_pace(OrgId(row.organization_id), row.organization_tps);
        let mut account = Account::of(row, shared, (tps == 0).then_some(common));
        account.ahead_max = self.0.ahead_max;
        account.called_at = self.0.called_at(row, account.public_id);
        by_name.insert(row.system_id.clone(), Arc::new(account));
    }

    /// Forgets a deleted account, by its number: another may have its name by now.
    pub fn remove(&self, id: i64) {
        let mut by_name = self.0.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.retain(|_, account| account.id != id);
        self.0.gone.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// Sets the pace of all accounts of an organization that have none of their own; 0 is none.
    pub fn set_common_pace(&self, organization: OrgId, tps: i64) {
        let pace = self.0.common_pace(organization, tps);
        let limit = usize::try_from(tps).unwrap_or(0);
        pace.lock().unwrap_or_else(PoisonError::into_inner).set_limit(limit);
    }

    /// The same account as it is now.
    pub(super) fn renewed(&self, known: &Account) -> Option<Arc<Account>> {
        self.find(&known.system_id).filter(|found| found.id == known.id)
    }

    #[must_use]
    pub fn find(&self, system_id: &str) -> Option<Arc<Account>> {
        let by_name = self.0.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.get(system_id).cloned()
    }

    /// Lets a bind in, or says with which status not (SMPP 3.4 §4.1). A wrong name and a wrong
    /// password differ in nothing but that status, which the book asks for.
    pub fn admit(
        &self,
        asking: &Asking<'_>,
        now: Instant,
    ) -> Result<(Arc<Account>, Seat), CommandStatus> {
        let account = self.known(asking.system_id, asking.password, asking.address, now)?;
        let seat = account.seat(asking)?;
        Ok((account, seat))
    }

    /// Lets in one who sends without a bind, with the same password, lockout and addresses.
    pub fn verify(
        &self,
        system_id: &str,
        password: &str,
        address: IpAddr,
        now: Instant,
    ) -> Result<Arc<Account>, CommandStatus> {
        let account = self.known(system_id, password, address, now)?;
        account.lets_in(address)?;
        let sends = BindType::Transmitter.code() | BindType::Transceiver.code();
        if account.bind_types & sends == 0 {
            return Err(CommandStatus::BINDFAIL);
        }
        Ok(account)
    }

    /// The account of a name, if the password is its own.
    fn known(
        &self,
        system_id: &str,
        password: &str,
        address: IpAddr,
        now: Instant,
    ) -> Result<Arc<Account>, CommandStatus> {
        let shut = {
            let lockout = self.0.lockout.lock().unwrap_or_else(PoisonError::into_inner);
            lockout.is_shut(system_id, address, now)
        };
        if shut {
            return Err(CommandStatus::BINDFAIL);
        }
        let account = self.find(system_id);
        let stored = account.as_ref().map_or([0; 32], |account| account.password_mac);
        let mac = self.0.hmac(system_id, password);
        let right = mac.is_some_and(|mac| mac.verify_slice(&stored).is_ok());
        let mut lockout = self.0.lockout.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(account) = account.filter(|_| right) else {
            if lockout.failed(system_id, address, now) {
                tracing::warn!(%address, "too many wrong passwords: its sender is turned away");
            }
            let known = self.find(system_id).is_some();
            let wrong = if known { CommandStatus::INVPASWD } else { CommandStatus::INVSYSID };
            return Err(wrong);
        };
        lockout.succeeded(system_id, address);
        Ok(account)
    }
}

impl Shared {
    fn new(tps: usize, cursor: i64, searches: Arc<Semaphore>) -> Self {
        Self {
            binds: AtomicUsize::new(0),
            receiving: AtomicUsize::new(0),
            pace: Mutex::new(Sliding::new(tps)),
            cursor: AtomicI64::new(cursor),
            held: AtomicUsize::new(0),
            courier: Mutex::default(),
            alerts: Mutex::new(Sliding::new(0)),
            told: Mutex::default(),
            searching: tokio::sync::Mutex::default(),
            searches,
        }
    }
}

impl Inner {
    /// The pace of an organization's accounts together; this one, where none is known yet.
    fn common_pace(&self, organization: OrgId, tps: i64) -> Arc<Mutex<Sliding>> {
        let fresh = || Arc::new(Mutex::new(Sliding::new(usize::try_from(tps).unwrap_or(0))));
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(paces.entry(organization).or_insert_with(fresh))
    }

    fn called_at(&self, row: &SmppAccountRow, id: PublicId) -> Option<CalledAt> {
        let stored: StoredCall = serde_json::from_str(row.outbind.as_deref()?).ok()?;
        let sealed = row.outbind_password.as_deref();
        let password = match sealed.map(|sealed| (self.open)(id, sealed)) {
            None => String::new(),
            Some(Some(password)) => password,
            Some(None) => {
                let account = &row.system_id;
                tracing::error!(%account, "its outbind password was sealed under another key");
                return None;
            }
        };
        let StoredCall { host, port, tls, system_id } = stored;
        Some(CalledAt { host, port, tls, says: Outbind { system_id, password } })
    }

    fn hmac(&self, system_id: &str, password: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        // Lengths keep "ab"+"c" and "a"+"bc" apart.
        mac.update(&(system_id.len() as u64).to_be_bytes());
        mac.update(system_id.as_bytes());
        mac.update(password.as_bytes());
        Some(mac)
    }
}

impl Account {
    fn of(
        row: &SmppAccountRow,
        shared: Arc<Shared>,
        common_pace: Option<Arc<Mutex<Sliding>>>,
    ) -> Self {
        let list = |text: &str| -> Vec<String> { serde_json::from_str(text).unwrap_or_default() };
        let networks = list(&row.allowed_ips);
        Self {
            id: row.id,
            public_id: PublicId::from_bytes(
                row.public_id.as_slice().try_into().unwrap_or_default(),
            ),
            changed_at: row.updated_at,
            organization: OrgId(row.organization_id),
            system_id: row.system_id.clone(),
            name: Arc::from(row.system_id.as_str()),
            password_mac: row.password_mac.as_slice().try_into().unwrap_or([0; 32]),
            allowed_ips: networks.iter().filter_map(|text| Network::parse(text)).collect(),
            bind_types: row.bind_types,
            max_binds: usize::try_from(row.max_binds).unwrap_or(1),
            window_size: usize::try_from(row.window_size).unwrap_or(1).max(1),
            test: row.test_mode != 0 || row.is_sandbox != 0,
            category: Category::from_code(row.category).unwrap_or(Category::Transactional),
            default_sender: row.default_sender.clone(),
            default_sender_pool: row.default_sender_pool(),
            allowed_senders: list(&row.allowed_senders),
            receipt_format: ReceiptFormat::from_code(row.receipt_format)
                .unwrap_or(ReceiptFormat::Both),
            id_format: IdFormat::from_code(row.id_format).unwrap_or(IdFormat::Decimal),
            inbound_numbers: list(&row.inbound_numbers),
            once_by_reference: row.once_by_reference != 0,
            ahead_max: AHEAD_MAX,
            congestion_state: row.congestion_state != 0,
            intermediate_receipts: row.intermediate_receipts != 0,
            takes_inbound: row.test_mode == 0 || row.is_sandbox != 0,
            called_at: None,
            enabled: row.disabled_at.is_none() && row.suspended_at.is_none(),
            common_pace,
            shared,
        }
    }

    /// Whether it may come in at all, and from there.
    fn lets_in(&self, address: IpAddr) -> Result<(), CommandStatus> {
        if !self.enabled {
            return Err(status::SUSPENDED);
        }
        let allowed = &self.allowed_ips;
        if !allowed.is_empty() && !allowed.iter().any(|n| n.contains(address)) {
            return Err(CommandStatus::BINDFAIL);
        }
        Ok(())
    }

    fn seat(&self, asking: &Asking<'_>) -> Result<Seat, CommandStatus> {
        self.lets_in(asking.address)?;
        let wanted = match asking.kind {
            BindKind::Transmitter => BindType::Transmitter,
            BindKind::Receiver => BindType::Receiver,
            BindKind::Transceiver => BindType::Transceiver,
        };
        if self.bind_types & wanted.code() == 0 {
            return Err(CommandStatus::BINDFAIL);
        }
        let taken = self.shared.binds.fetch_add(1, Ordering::AcqRel);
        let receives = asking.kind.receives();
        if receives {
            self.shared.receiving.fetch_add(1, Ordering::AcqRel);
        }
        let seat = Seat { shared: Arc::clone(&self.shared), receives };
        if taken >= self.max_binds { Err(CommandStatus::ALYBND) } else { Ok(seat) }
    }

    /// How many of `wanted` submits the account may make now; the rest is throttled.
    pub fn pace(&self, now: Instant, wanted: usize) -> usize {
        let pace = self.common_pace.as_ref().map_or(&self.shared.pace, |common| common);
        let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.limit() == 0 { wanted } else { pace.take(now, wanted) }
    }

    /// Where a courier begins.
    #[must_use]
    pub fn cursor(&self) -> i64 {
        self.shared.cursor.load(Ordering::Acquire)
    }

    /// How many events its courier holds in memory; what else is owed waits in the store.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.held.load(Ordering::Relaxed)
    }

    pub(super) fn set_held(&self, events: usize) {
        self.shared.held.store(events, Ordering::Relaxed);
    }

    pub(super) fn set_courier(&self, courier: ActorRef<CourierMsg>) {
        *self.shared.courier.lock().unwrap_or_else(PoisonError::into_inner) = Some(courier);
    }

    /// Has its courier pass an alert on, unless there were so many in the last second; else why not.
    pub(crate) fn alert(
        &self,
        alert: &Arc<Alert>,
        now: Instant,
        most: usize,
    ) -> Result<(), &'static str> {
        let courier = self.shared.courier.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // One that is gone takes nothing.
        let there = courier.filter(|courier| courier.get_status() == ActorStatus::Running);
        let courier = there.ok_or("no_receiver")?;
        let mut pace = self.shared.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        pace.set_limit(most);
        if pace.take(now, 1) == 0 {
            return Err("account_pace");
        }
        let told = courier.send_message(CourierMsg::Alert(Arc::clone(alert)));
        told.map_err(|_| "no_receiver")
    }

    pub(super) fn move_cursor(&self, to: i64) {
        self.shared.cursor.fetch_max(to, Ordering::AcqRel);
    }

    #[must_use]
    pub fn binds(&self) -> usize {
        self.shared.binds.load(Ordering::Acquire)
    }

    /// Whether it may be called now: it may come in, and no bind of it receives.
    #[must_use]
    pub(super) fn waits_for_a_call(&self) -> bool {
        self.enabled && self.shared.receiving.load(Ordering::Acquire) == 0
    }

    /// Whether one more of its comings and goings may be told.
    pub(super) fn may_tell(&self, now: Instant) -> bool {
        let mut told = self.shared.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0.is_none_or(|since| now.saturating_duration_since(since) >= MINUTE) {
            *told = (Some(now), 0);
        }
        told.1 += 1;
        told.1 <= TOLD_MAX
    }

    /// The right to look through all that waits; `None` while the account does so already.
    pub(super) fn searching(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        self.shared.searching.try_lock().ok()
    }

    /// The turn for one look, among all accounts. It is always given: nobody closes the queue.
    pub(super) async fn turn_to_search(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.shared.searches).acquire_owned().await.ok()
    }

    /// `None` is the switch's default, which is none of those that an account lists.
    #[must_use]
    pub fn may_send_from(&self, sender: Option<&str>) -> bool {
        let allowed = &self.allowed_senders;
        allowed.is_empty() || sender.is_some_and(|sender| allowed.iter().any(|one| one == sender))
    }

    /// Whether inbound messages to this number are this account's; a test account of an
    /// organization that is live gets none.
    #[must_use]
    pub fn takes_inbound(&self, to: &str) -> bool {
        let names = |one: &String| match one.strip_suffix('*') {
            Some(prefix) => to.starts_with(prefix),
            None => to == one,
        };
        self.takes_inbound
            && (self.inbound_numbers.is_empty() || self.inbound_numbers.iter().any(names))
    }
}

#[cfg(test)]
mod tests;
