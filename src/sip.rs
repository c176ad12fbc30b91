//! SIP credentials as they change: in the store first, then in memory, where the registrar reads them.
//!
//! Shared by the API and the operator's desk; no actor. The rows are the truth, and a start reads all of
//! them. A password is made here, shown once, and kept nowhere.

use std::sync::Arc;

use actors::sip::credentials::{Credentials, hashes};
use actors::writer::WriterHandle;
use model::carrier::OrgId;
use model::clock::At;
use model::emergency::Emergency;
use model::id::PublicId;
use model::refusal::{Code, Detail, Refusal};
use model::sip;
use store::lane::{Admin, AdminDone, Registrant, SipChange, SipDone, SipSettings};
use store::{SipBindingRow, SipListedRow, Store, StoreError};

use crate::password;
use crate::settings::Settings;

/// Nobody types it twice a day, and whoever hears a digest can try passwords at leisure.
const PASSWORD_LENGTH: usize = 20;
/// Letters behind an extension, so that a username is not guessed.
const TAIL_LENGTH: usize = 8;

/// The credentials; a clone is the same ones.
#[derive(Clone)]
pub(crate) struct SipBook {
    store: Store,
    writer: WriterHandle,
    credentials: Credentials,
    rules: Arc<Rules>,
}

/// What the settings say.
struct Rules {
    domain: String,
    port: u16,
    most: i64,
    emergency: Emergency,
}

/// A credential to be.
#[derive(Debug)]
pub(crate) struct NewCredential {
    /// One is made when there is none.
    pub(crate) username: Option<String>,
    pub(crate) settings: SipSettings,
}

impl SipBook {
    pub(crate) fn new(
        settings: &Settings,
        store: Store,
        writer: WriterHandle,
        credentials: Credentials,
    ) -> Self {
        let rules = Rules {
            domain: settings.sip.domain.clone(),
            port: settings.sip.public_port,
            most: i64::from(settings.sip.credentials_per_organization_max),
            emergency: settings.emergency.matcher(),
        };
        Self { store, writer, credentials, rules: Arc::new(rules) }
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(crate) fn emergency(&self) -> &Emergency {
        &self.rules.emergency
    }

    /// Whether a host is of this switch: calls are not sent to itself.
    pub(crate) fn is_own(&self, host: &str) -> bool {
        let domain = self.rules.domain.as_str();
        host == domain || host.strip_suffix(domain).is_some_and(|name| name.ends_with('.'))
    }

    /// What phones are told to reach.
    pub(crate) fn port(&self) -> u16 {
        self.rules.port
    }

    /// Makes a credential; its password is to be shown once.
    pub(crate) async fn create(
        &self,
        organization: OrgId,
        new: NewCredential,
    ) -> Result<(SipListedRow, String), Refusal> {
        let realm = self.realm(organization).await?;
        let NewCredential { username, settings } = new;
        let username = username.unwrap_or_else(|| made_up(settings.extension.as_deref()));
        let password = password::new(PASSWORD_LENGTH);
        let id = PublicId::new(At::now());
        let hashes = hashes(&realm, &username, &password);
        let most = self.rules.most;
        let create =
            SipChange::Create { organization, id, realm, username, hashes, settings, most };
        Ok((self.change(organization, id, create).await?, password))
    }

    /// As long as it is still the one that was seen.
    pub(crate) async fn update(
        &self,
        row: &SipListedRow,
        settings: SipSettings,
    ) -> Result<SipListedRow, Refusal> {
        let (organization, id) = key_of(row);
        let seen = At(row.updated_at);
        self.change(organization, id, SipChange::Update { organization, id, seen, settings }).await
    }

    /// Gives it another password, to be shown once, for the domain as it is now.
    pub(crate) async fn rotate(
        &self,
        row: &SipListedRow,
    ) -> Result<(SipListedRow, String), Refusal> {
        let (organization, id) = key_of(row);
        let realm = self.realm(organization).await?;
        let password = password::new(PASSWORD_LENGTH);
        let hashes = hashes(&realm, &row.username, &password);
        let rotate = SipChange::Rotate { organization, id, realm, hashes };
        Ok((self.change(organization, id, rotate).await?, password))
    }

    pub(crate) async fn revoke(&self, row: &SipListedRow) -> Result<(), Refusal> {
        let (organization, id) = key_of(row);
        self.store_change(id, SipChange::Revoke { organization, id }).await
    }

    /// Drops its bindings.
    pub(crate) async fn unregister(&self, row: &SipListedRow) -> Result<(), Refusal> {
        let (organization, public_id) = key_of(row);
        let change = SipChange::Unregister { organization, id: public_id };
        self.store_change(public_id, change).await?;
        self.credentials.unregister(Registrant { credential: row.id, public_id, organization });
        Ok(())
    }

    /// Where the phones of these credentials, newest first, are registered now.
    pub(crate) async fn registrations(
        &self,
        organization: OrgId,
        rows: &[SipListedRow],
    ) -> Result<Vec<SipBindingRow>, StoreError> {
        let (Some(last), Some(first)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
        let most = rows.len().saturating_mul(usize::try_from(sip::CONTACTS_MAX).unwrap_or(0));
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.store.own_sip_bindings(organization, (first.id, last.id), At::now().0, most).await
    }

    async fn realm(&self, organization: OrgId) -> Result<String, Refusal> {
        let slug =
            self.store.organization_slug(organization).await.map_err(|error| away(&error))?;
        let missing = || Refusal::new(Code::InternalError, "the organization has no slug");
        Ok(sip::realm(&slug.ok_or_else(missing)?, &self.rules.domain))
    }

    async fn change(
        &self,
        organization: OrgId,
        id: PublicId,
        change: SipChange,
    ) -> Result<SipListedRow, Refusal> {
        self.store_change(id, change).await?;
        let row = self.store.own_sip_credential(organization, id).await;
        row.map_err(|error| away(&error))?.ok_or_else(unknown)
    }

    /// Stores a change and takes it up; also when the caller leaves.
    async fn store_change(&self, id: PublicId, change: SipChange) -> Result<(), Refusal> {
        let book = self.clone();
        let change = async move {
            let done = book.writer.administer(Admin::Sip(Box::new(change))).await?;
            told(&done, book.rules.most)?;
            if let Some(row) = book.store.sip_credential(id).await.map_err(|error| away(&error))? {
                book.credentials.put(&row);
            }
            Ok(())
        };
        let broken = |_| Err(Refusal::new(Code::InternalError, "the change broke off"));
        tokio::spawn(change).await.unwrap_or_else(broken)
    }
}

fn made_up(extension: Option<&str>) -> String {
    let tail = password::new(TAIL_LENGTH).to_ascii_lowercase();
    format!("{}-{tail}", extension.unwrap_or("sip"))
}

fn key_of(row: &SipListedRow) -> (OrgId, PublicId) {
    let id = PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default());
    (OrgId(row.organization_id), id)
}

fn told(done: &AdminDone, most: i64) -> Result<(), Refusal> {
    match done {
        AdminDone::Sip(SipDone::Stored) => Ok(()),
        AdminDone::Sip(SipDone::Unknown) => Err(unknown()),
        AdminDone::Sip(SipDone::TooMany) => {
            let refusal =
                Refusal::new(Code::Conflict, "there are as many SIP credentials as may be");
            Err(refusal.detail("limit", Detail::Number(most)))
        }
        AdminDone::Sip(SipDone::ExtensionTaken) => {
            let message = "another SIP credential has this extension";
            Err(Refusal::new(Code::ExtensionInUse, message).field("extension"))
        }
        AdminDone::Sip(SipDone::UsernameTaken) => {
            let message = "another SIP credential has this username";
            Err(Refusal::new(Code::Conflict, message).field("sip_username"))
        }
        AdminDone::Sip(SipDone::Changed) => {
            let message =
                "the credential was changed by somebody else meanwhile; read it and try again";
            Err(Refusal::new(Code::Conflict, message))
        }
        _ => Err(Refusal::new(Code::InternalError, "the change could not be stored")),
    }
}

pub(crate) fn unknown() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such SIP credential")
}

fn away(error: &StoreError) -> Refusal {
    tracing::error!(%error, "SIP credentials cannot be read");
    Refusal::unavailable("the store does not answer")
}
