//! What callers may do to credentials and carriers: an organization to its own, the operator to the
//! platform's. Checked here, stored by the writer, and running before the answer leaves.
//!
//! A change is laid over what is stored at that moment: if somebody else was faster, it is read and
//! laid over again, so that neither is lost.

use model::carrier::OrgId;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::refusal::{Code, Refusal};
use store::lane::{Admin, AdminDone, CarrierChange, CarrierDone};
use store::{SmppCarrierRow, SmppCredentialRow};

use super::form::{self, Fields, Part};
use super::{Book, Refused};
use crate::settings::Carrier;

/// Whose they are: an organization's, or the platform's.
pub(crate) type Whose = Option<OrgId>;

/// Times that a change is laid over anew when others are faster.
const TRIES: usize = 8;
/// The platform has as many credentials and carriers as the operator likes.
const PLATFORM_MAX: i64 = 10_000;

impl Book {
    /// Makes a credential.
    pub(crate) async fn create_credential(
        &self,
        whose: Whose,
        said: &Fields,
    ) -> Result<PublicId, Refused> {
        let id = PublicId::new(At::now());
        let settings = form::laid_over(Fields::new(), said, Part::Credential);
        let mut faults = Vec::new();
        for field in ["host", "system_id"] {
            if !settings.contains_key(field) {
                faults.push(form::missing(field));
            }
        }
        if let Err(Refused(more)) = self.check_credential(whose, &settings) {
            faults.extend(more);
        }
        let password = form::password(said).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        if password.is_none() && !faults.iter().any(|f| f.field.as_deref() == Some("password")) {
            faults.push(form::missing("password"));
        }
        let name = form::name(said).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let (Some(password), true) = (password, faults.is_empty()) else {
            return Err(Refused(faults));
        };
        let system_id = settings.get("system_id").and_then(|id| id.as_str()).unwrap_or_default();
        let most = match whose {
            None => PLATFORM_MAX,
            Some(_) => i64::from(self.0.settings.smpp.credentials_per_organization_max),
        };
        let change = CarrierChange::CreateCredential {
            id,
            organization: whose,
            name: name.unwrap_or_else(|| system_id.to_owned()),
            settings: text(&settings),
            password: self.seal(id, &password)?,
            most,
        };
        said_of(self.change(change).await?)?;
        Ok(id)
    }

    /// Lays what is said over a credential.
    pub(crate) async fn update_credential(
        &self,
        whose: Whose,
        id: PublicId,
        said: &Fields,
    ) -> Result<(), Refused> {
        let name = form::name(said)?;
        for _ in 0..TRIES {
            let row = self.credential(whose, id).await?;
            let was = form::stored(&row.settings);
            let settings = form::laid_over(was, said, Part::Credential);
            for field in ["host", "system_id"] {
                if !settings.contains_key(field) {
                    return Err(form::missing(field).into());
                }
            }
            self.check_credential(whose, &settings)?;
            let change = CarrierChange::UpdateCredential {
                id,
                organization: whose,
                seen: At(row.updated_at),
                name: name.clone().unwrap_or(row.name),
                settings: text(&settings),
            };
            let done = self.change(change).await?;
            if done != CarrierDone::Stale {
                said_of(done)?;
                self.changed().await;
                return Ok(());
            }
        }
        Err(said_of(CarrierDone::Stale).err().map_or_else(|| Refused(Vec::new()), Refused::one))
    }

    /// Sets another password; answers it if it was made here.
    pub(crate) async fn rotate(
        &self,
        whose: Whose,
        id: PublicId,
        given: Option<String>,
        by: &str,
    ) -> Result<Option<String>, Refused> {
        let made = given.is_none().then(crate::api::new_smpp_password);
        let password = given.or_else(|| made.clone()).unwrap_or_default();
        let change = CarrierChange::SetPassword {
            id,
            organization: whose,
            password: self.seal(id, &password)?,
            revealed: made.is_some(),
            by: by.to_owned(),
        };
        said_of(self.change(change).await?)?;
        self.changed().await;
        Ok(made)
    }

    /// Shows a password, once. Who asked is in the log before it is shown.
    pub(crate) async fn reveal(
        &self,
        whose: Whose,
        id: PublicId,
        by: &str,
    ) -> Result<String, Refused> {
        for _ in 0..TRIES {
            // What does not open is said before the one right to see it is used up.
            let sealed = self.0.store.sealed_password(whose, id).await?;
            let Some(sealed) = sealed else { return Err(no_credential().into()) };
            let Some(password) = self.0.vault.open(id, &sealed) else {
                let message = "the password does not open under this key; set another one";
                return Err(Refusal::new(Code::Conflict, message).into());
            };
            let by = by.to_owned();
            let change = CarrierChange::Reveal { id, organization: whose, by, sealed };
            let done = self.change(change).await?;
            if done != CarrierDone::Stale {
                said_of(done)?;
                if whose.is_none() {
                    tracing::warn!(credential = %id.show(Kind::SmppCredential), "a password was shown");
                }
                return Ok(password);
            }
        }
        Err(said_of(CarrierDone::Stale).err().map_or_else(|| Refused(Vec::new()), Refused::one))
    }

    pub(crate) async fn delete_credential(
        &self,
        whose: Whose,
        id: PublicId,
    ) -> Result<(), Refused> {
        Ok(said_of(
            self.change(CarrierChange::DeleteCredential { id, organization: whose }).await?,
        )?)
    }

    /// Makes a carrier. `account` names a platform's one in the database, as the settings do.
    pub(crate) async fn create_carrier(
        &self,
        whose: Whose,
        credential: PublicId,
        account: Option<&str>,
        said: &Fields,
    ) -> Result<PublicId, Refused> {
        let id = PublicId::new(At::now());
        let settings = form::laid_over(Fields::new(), said, Part::Carrier);
        let shown = id.show(Kind::Carrier);
        let account = account.unwrap_or(&shown);
        let (name, disabled) = (form::name(said)?, form::flag(said, "enabled")? == Some(false));
        form::read(&Fields::new(), &settings, account, "")?;
        if self.0.filed.iter().any(|filed| filed.carrier.name.eq_ignore_ascii_case(account)) {
            let message = "a carrier of the settings file has this name: take it out there first";
            return Err(Refusal::new(Code::ManagedBySettings, message).field("name").into());
        }
        let change = CarrierChange::CreateCarrier {
            id,
            organization: whose,
            credential,
            name: name.unwrap_or_else(|| account.to_owned()),
            account: account.to_owned(),
            settings: text(&settings),
            disabled,
            most: match whose {
                None => PLATFORM_MAX,
                Some(_) => i64::from(self.0.settings.smpp.carriers_per_organization_max),
            },
        };
        said_of(self.change(change).await?)?;
        self.changed().await;
        Ok(id)
    }

    /// Lays what is said over a carrier.
    pub(crate) async fn update_carrier(
        &self,
        whose: Whose,
        id: PublicId,
        credential: Option<PublicId>,
        said: &Fields,
    ) -> Result<(), Refused> {
        let (name, enabled) = (form::name(said)?, form::flag(said, "enabled")?);
        for _ in 0..TRIES {
            let row = self.carrier(whose, id).await?;
            let was = form::stored(&row.settings);
            let settings = form::laid_over(was, said, Part::Carrier);
            form::read(&Fields::new(), &settings, &row.account, "")?;
            let change = CarrierChange::UpdateCarrier {
                id,
                organization: whose,
                seen: At(row.updated_at),
                credential: credential.unwrap_or_else(|| public(&row.credential)),
                name: name.clone().unwrap_or(row.name),
                settings: text(&settings),
                disabled: enabled.map_or(row.disabled_at.is_some(), |enabled| !enabled),
            };
            let done = self.change(change).await?;
            if done != CarrierDone::Stale {
                said_of(done)?;
                self.changed().await;
                return Ok(());
            }
        }
        Err(said_of(CarrierDone::Stale).err().map_or_else(|| Refused(Vec::new()), Refused::one))
    }

    pub(crate) async fn delete_carrier(&self, whose: Whose, id: PublicId) -> Result<(), Refused> {
        let change = CarrierChange::DeleteCarrier { id, organization: whose };
        said_of(self.change(change).await?)?;
        self.changed().await;
        Ok(())
    }

    pub(crate) async fn credential(
        &self,
        whose: Whose,
        id: PublicId,
    ) -> Result<SmppCredentialRow, Refused> {
        let found = match whose {
            Some(organization) => self.0.store.smpp_credential(organization, id).await?,
            None => self.0.store.platform_credential(id).await?,
        };
        found.ok_or_else(|| no_credential().into())
    }

    pub(crate) async fn carrier(
        &self,
        whose: Whose,
        id: PublicId,
    ) -> Result<SmppCarrierRow, Refused> {
        let found = match whose {
            Some(organization) => self.0.store.smpp_carrier(organization, id).await?,
            None => self.0.store.platform_carrier(id).await?,
        };
        found.ok_or_else(|| no_carrier().into())
    }

    fn check_credential(&self, whose: Whose, settings: &Fields) -> Result<Carrier, Refused> {
        let carrier = form::read(settings, &Fields::new(), "account", "")?;
        let mut faults = Vec::from_iter(form::check_host(&carrier));
        if whose.is_some() && faults.is_empty() {
            faults = form::check_of_tenant(&carrier, &self.0.settings.smpp.networks());
        }
        if faults.is_empty() { Ok(carrier) } else { Err(Refused(faults)) }
    }

    pub(crate) fn seal(&self, id: PublicId, password: &str) -> Result<Vec<u8>, Refusal> {
        self.0.vault.seal(id, password).map_err(|error| {
            tracing::error!(%error, "sealing a password");
            Refusal::new(Code::InternalError, "the password could not be sealed")
        })
    }

    async fn change(&self, change: CarrierChange) -> Result<CarrierDone, Refusal> {
        match self.0.writer.administer(Admin::Carrier(Box::new(change))).await? {
            AdminDone::CarrierChanged(done) => Ok(done),
            _ => Err(Refusal::new(Code::InternalError, "the change could not be stored")),
        }
    }
}

/// The id in a row.
pub(crate) fn public(octets: &[u8]) -> PublicId {
    PublicId::from_bytes(octets.try_into().unwrap_or_default())
}

fn text(fields: &Fields) -> String {
    serde_json::to_string(fields).unwrap_or_else(|_| String::from("{}"))
}

pub(crate) fn no_credential() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such credential")
}

pub(crate) fn no_carrier() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such carrier")
}

fn said_of(done: CarrierDone) -> Result<(), Refusal> {
    Err(match done {
        CarrierDone::Done => return Ok(()),
        CarrierDone::Missing => Refusal::new(Code::NotFound, "there is no such thing of yours"),
        CarrierDone::Stale => {
            let message = "it is being changed by others; read it and try again";
            Refusal::new(Code::Conflict, message)
        }
        CarrierDone::InUse => {
            let message = "a carrier uses this credential";
            Refusal::new(Code::ResourceInUse, message).field("credential_id")
        }
        CarrierDone::NoCredential => {
            form::wrong("credential_id", "the id of a credential of yours")
        }
        CarrierDone::Taken => {
            Refusal::new(Code::Conflict, "a carrier of this name is there").field("name")
        }
        CarrierDone::TooMany => {
            let message = "there are as many credentials as this switch allows";
            Refusal::new(Code::Conflict, message)
        }
        CarrierDone::TooManyCarriers => {
            let message = "there are as many carriers as this switch allows, those deleted within \
                the last 24 hours counted";
            Refusal::new(Code::Conflict, message)
        }
        CarrierDone::Revealed => {
            let message = "the password was shown before; set another one";
            Refusal::new(Code::AlreadyRevealed, message)
        }
    })
}
