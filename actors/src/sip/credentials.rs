//! Who may register: the SIP credentials in memory, as the table has them.
//!
//! Boot fills it from the store, and whoever changes a row tells it; it is no truth, and a start reads
//! all of it again. A REGISTER or INVITE asks it without a query. One who keeps bindings listens, and
//! is told whose are void.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use model::carrier::OrgId;
use model::id::PublicId;
use model::sip::{self, CredentialStatus};
use proto_sip::digest::{Algorithm, Ha1};
use store::SipCredentialRow;
use store::lane::{Registrant, SipHashes};

/// What a credential is, until it is changed.
#[derive(Debug)]
pub struct Credential {
    pub of: Registrant,
    pub realm: Arc<str>,
    pub username: Arc<str>,
    /// What the organization's other phones call it by.
    pub extension: Option<Arc<str>>,
    md5: Ha1,
    sha256: Ha1,
    hashes: SipHashes,
    /// It may call numbers at all.
    pub allowed_outbound: bool,
    allowed_destinations: Vec<String>,
    /// The number it calls from.
    pub caller_id: Option<String>,
    pub max_contacts: usize,
    /// Of a sandbox organization: nothing leaves the switch.
    pub sandbox: bool,
    /// Neither it nor its organization is suspended.
    pub active: bool,
    changed_at: i64,
}

impl Credential {
    #[must_use]
    pub fn ha1(&self, algorithm: Algorithm) -> &Ha1 {
        match algorithm {
            Algorithm::Md5 => &self.md5,
            Algorithm::Sha256 => &self.sha256,
        }
    }

    /// What stands for its password; not to be shown.
    #[must_use]
    pub fn hashes(&self) -> &SipHashes {
        &self.hashes
    }

    /// Whether it may call this number, E.164 with its `+`. Emergency numbers are asked for elsewhere.
    #[must_use]
    pub fn may_call(&self, number: &str) -> bool {
        self.allowed_outbound && sip::may_call(&self.allowed_destinations, number)
    }

    /// `None`: a row that no version of this program writes.
    fn of(row: &SipCredentialRow) -> Option<Self> {
        let public_id = PublicId::from_bytes(row.public_id.as_slice().try_into().ok()?);
        let of =
            Registrant { credential: row.id, public_id, organization: OrgId(row.organization_id) };
        let active = row.status == CredentialStatus::Active.code() && row.suspended_at.is_none();
        Some(Self {
            of,
            realm: Arc::from(row.realm.as_str()),
            username: Arc::from(row.username.as_str()),
            extension: row.extension.as_deref().map(Arc::from),
            md5: Ha1::of_hex(Algorithm::Md5, &row.ha1_md5)?,
            sha256: Ha1::of_hex(Algorithm::Sha256, &row.ha1_sha256)?,
            hashes: SipHashes { md5: row.ha1_md5.clone(), sha256: row.ha1_sha256.clone() },
            allowed_outbound: row.allowed_outbound != 0,
            allowed_destinations: serde_json::from_str(&row.allowed_destinations).ok()?,
            caller_id: row.caller_id.clone(),
            max_contacts: usize::try_from(row.max_contacts).unwrap_or(0),
            sandbox: row.is_sandbox != 0,
            active,
            changed_at: row.updated_at,
        })
    }
}

/// What stands for a password in a realm, for storing.
#[must_use]
pub fn hashes(realm: &str, username: &str, password: &str) -> SipHashes {
    let hex = |algorithm| Ha1::new(algorithm, username, realm, password).to_hex();
    SipHashes { md5: hex(Algorithm::Md5), sha256: hex(Algorithm::Sha256) }
}

type Listener = Box<dyn Fn(Registrant) + Send + Sync>;

/// All credentials. A clone is the same.
#[derive(Clone, Default)]
pub struct Credentials(Arc<Inner>);

#[derive(Default)]
struct Inner {
    all: RwLock<All>,
    listener: OnceLock<Listener>,
}

#[derive(Default)]
struct All {
    by_number: HashMap<i64, Arc<Credential>>,
    /// Where each organization's phones are, or were last.
    homes: HashMap<OrgId, Arc<str>>,
    realms: HashMap<Arc<str>, Realm>,
    /// Revoked since the start: who read one of them just before does not bring it back.
    gone: HashSet<i64>,
}

#[derive(Default)]
struct Realm {
    by_username: HashMap<Arc<str>, Arc<Credential>>,
    by_extension: HashMap<Arc<str>, Arc<Credential>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// Hears from now on of credentials whose bindings are void; one listener in a life.
    pub fn listen(&self, listener: impl Fn(Registrant) + Send + Sync + 'static) {
        let _ = self.0.listener.set(Box::new(listener));
    }

    /// Takes a credential as the table has it now; one that was read before a later change is not
    /// taken, however late it comes. One that may not register any more, or has another password,
    /// loses its bindings.
    pub fn put(&self, row: &SipCredentialRow) {
        let fresh = (row.status != CredentialStatus::Revoked.code()).then(|| Credential::of(row));
        if let Some(None) = fresh {
            tracing::error!(credential = row.id, "a SIP credential that cannot be read");
            return;
        }
        let void = self.write().put(row, fresh.flatten().map(Arc::new));
        if let Some(of) = void {
            self.unregister(of);
        }
    }

    /// Tells the listener that the bindings of a credential are void.
    pub fn unregister(&self, of: Registrant) {
        if let Some(listener) = self.0.listener.get() {
            listener(of);
        }
    }

    /// By what a phone says in its digest, or by whom a request is for. Realms are compared in any
    /// case, names exactly.
    #[must_use]
    pub fn find(&self, realm: &str, username: &str) -> Option<Arc<Credential>> {
        self.in_realm(realm, |realm| realm.by_username.get(username).cloned())
    }

    /// Whom a phone of this realm means by an extension.
    #[must_use]
    pub fn by_extension(&self, realm: &str, extension: &str) -> Option<Arc<Credential>> {
        self.in_realm(realm, |realm| realm.by_extension.get(extension).cloned())
    }

    /// By its stored number.
    #[must_use]
    pub fn by_number(&self, number: i64) -> Option<Arc<Credential>> {
        self.read().by_number.get(&number).cloned()
    }

    /// Where an organization's phones register, if it has any.
    #[must_use]
    pub fn realm_of(&self, organization: OrgId) -> Option<Arc<str>> {
        self.read().homes.get(&organization).cloned()
    }

    /// Whether anybody registers there.
    #[must_use]
    pub fn knows_realm(&self, realm: &str) -> bool {
        self.in_realm(realm, |_| Some(())).is_some()
    }

    /// The realm of all, if there is one only.
    #[must_use]
    pub fn only_realm(&self) -> Option<Arc<str>> {
        let all = self.read();
        let mut realms = all.realms.keys();
        realms.next().filter(|_| all.realms.len() == 1).cloned()
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.read().by_number.len()
    }

    fn in_realm<T>(&self, realm: &str, find: impl FnOnce(&Realm) -> Option<T>) -> Option<T> {
        let all = self.read();
        if realm.bytes().any(|b| b.is_ascii_uppercase()) {
            return all.realms.get(realm.to_ascii_lowercase().as_str()).and_then(find);
        }
        all.realms.get(realm).and_then(find)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, All> {
        self.0.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, All> {
        self.0.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    /// Answers whose bindings are void by it.
    fn put(
        &mut self,
        row: &SipCredentialRow,
        fresh: Option<Arc<Credential>>,
    ) -> Option<Registrant> {
        let known = self.by_number.get(&row.id).cloned();
        let later = known.as_ref().is_some_and(|known| known.changed_at > row.updated_at);
        if later || self.gone.contains(&row.id) {
            return None;
        }
        if let Some(known) = &known {
            self.forget(known);
        }
        match &fresh {
            Some(fresh) => self.add(fresh),
            None => {
                self.gone.insert(row.id);
            }
        }
        let known = known?;
        let stays = fresh.is_some_and(|fresh| {
            fresh.active && fresh.hashes == known.hashes && fresh.realm == known.realm
        });
        (!stays).then_some(known.of)
    }

    fn add(&mut self, fresh: &Arc<Credential>) {
        self.by_number.insert(fresh.of.credential, Arc::clone(fresh));
        self.homes.insert(fresh.of.organization, Arc::clone(&fresh.realm));
        let realm = self.realms.entry(Arc::clone(&fresh.realm)).or_default();
        realm.by_username.insert(Arc::clone(&fresh.username), Arc::clone(fresh));
        if let Some(extension) = &fresh.extension {
            realm.by_extension.insert(Arc::clone(extension), Arc::clone(fresh));
        }
    }

    /// Another may have its name or extension by now: those stay.
    fn forget(&mut self, known: &Credential) {
        self.by_number.remove(&known.of.credential);
        let Some(realm) = self.realms.get_mut(&known.realm) else { return };
        let own = |found: &&Arc<Credential>| found.of.credential == known.of.credential;
        if realm.by_username.get(&known.username).filter(own).is_some() {
            realm.by_username.remove(&known.username);
        }
        if let Some(extension) = &known.extension
            && realm.by_extension.get(extension).filter(own).is_some()
        {
            realm.by_extension.remove(extension);
        }
        if realm.by_username.is_empty() {
            self.realms.remove(&known.realm);
        }
    }
}

#[cfg(test)]
mod tests;
