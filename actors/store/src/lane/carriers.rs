//! What we bind to carriers as, and the carriers, as they change. Tables: smpp_credentials,
//! smpp_carriers, carriers.
//!
//! Rare, so one statement a row. Without an organization a row is the platform's. A change is made
//! only to what is still as it was read: `updated_at` says so.

use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};

use super::{AdminDone, EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// A change of one credential or carrier.
#[derive(Clone, Debug)]
pub enum CarrierChange {
    CreateCredential {
        id: PublicId,
        organization: Option<OrgId>,
        name: String,
        /// JSON.
        settings: String,
        /// Sealed.
        password: Vec<u8>,
        /// An organization has no more of them than this.
        most: i64,
    },
    UpdateCredential {
        id: PublicId,
        organization: Option<OrgId>,
        seen: At,
        name: String,
        settings: String,
    },
    /// Another password, which was not shown yet.
    SetPassword {
        id: PublicId,
        organization: Option<OrgId>,
        /// Sealed.
        password: Vec<u8>,
        /// The caller knows it already.
        revealed: bool,
        /// Who asked: the id of a key.
        by: String,
    },
    /// Takes the one right to see the password, and puts down who did.
    Reveal {
        id: PublicId,
        organization: Option<OrgId>,
        /// Who asked: the id of a key.
        by: String,
        /// What would be shown: another password set meanwhile keeps its own right to be seen.
        sealed: Vec<u8>,
    },
    DeleteCredential {
        id: PublicId,
        organization: Option<OrgId>,
    },
    CreateCarrier {
        id: PublicId,
        organization: Option<OrgId>,
        credential: PublicId,
        name: String,
        /// The name of its account in the database; an account that was there goes on.
        account: String,
        settings: String,
        disabled: bool,
        /// An organization has no more of them than this, those that it deleted of late among them.
        most: i64,
    },
    UpdateCarrier {
        id: PublicId,
        organization: Option<OrgId>,
        seen: At,
        credential: PublicId,
        name: String,
        settings: String,
        disabled: bool,
    },
    DeleteCarrier {
        id: PublicId,
        organization: Option<OrgId>,
    },
    /// Nothing is said of these accounts any more, unless a carrier uses them.
    End(Vec<CarrierId>),
    /// What these had sent is searched for receipts, to its end.
    Settle(Vec<CarrierId>),
}

/// What came of it; but for the first nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarrierDone {
    Done,
    /// There is no such row, or it is not the organization's.
    Missing,
    /// It is not any more what was read.
    Stale,
    /// A carrier uses the credential.
    InUse,
    /// The credential named is not there.
    NoCredential,
    /// The name is taken.
    Taken,
    /// The organization has as many credentials as it may.
    TooMany,
    /// The same of carriers.
    TooManyCarriers,
    /// Its password was shown before.
    Revealed,
}

impl Lane {
    pub(super) async fn change_carrier(
        &mut self,
        change: &CarrierChange,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<AdminDone, StoreError> {
        let done = match change {
            CarrierChange::CreateCredential { .. } => self.create_credential(change, now).await,
            CarrierChange::UpdateCredential { id, organization, seen, name, settings } => {
                let later = now.micros().max(seen.micros() + 1);
                let columns = [
                    Column::Blob(vec![id.as_bytes()]),
                    whose(*organization),
                    Column::Int(vec![seen.micros()]),
                    Column::Text(vec![name]),
                    Column::Text(vec![settings]),
                    Column::Int(vec![later]),
                ];
                let touched = self.conn.run(&UPDATE_CREDENTIAL, &columns).await?;
                let known = self.credential(*id, *organization).await?.is_some();
                Ok(seen_or(touched, known))
            }
            CarrierChange::SetPassword { id, organization, password, revealed, by } => {
                let at = now.micros();
                let columns = [
                    Column::Blob(vec![id.as_bytes()]),
                    whose(*organization),
                    Column::Blob(vec![password]),
                    Column::MaybeInt(vec![revealed.then_some(at)]),
                    Column::Int(vec![at]),
                ];
                let touched = self.conn.run(&SET_PASSWORD, &columns).await?;
                if touched > 0 {
                    audit(EventKind::CredentialRotated, *organization, *id, by, gathered);
                }
                Ok(if touched > 0 { CarrierDone::Done } else { CarrierDone::Missing })
            }
            CarrierChange::Reveal { id, organization, by, sealed } => {
                let columns = [
                    Column::Blob(vec![id.as_bytes()]),
                    whose(*organization),
                    Column::Int(vec![now.micros()]),
                    Column::Blob(vec![sealed]),
                ];
                if self.conn.run(&REVEAL, &columns).await? > 0 {
                    audit(EventKind::CredentialRevealed, *organization, *id, by, gathered);
                    return Ok(AdminDone::CarrierChanged(CarrierDone::Done));
                }
                let found = self.conn.fetch(&FIND_SHOWN, &columns[..2]).await?;
                Ok(match found.first().map(|line| line.int(0)).transpose()? {
                    None => CarrierDone::Missing,
                    Some(0) => CarrierDone::Stale,
                    Some(_) => CarrierDone::Revealed,
                })
            }
            CarrierChange::DeleteCredential { id, organization } => {
                let Some(credential) = self.credential(*id, *organization).await? else {
                    return Ok(AdminDone::CarrierChanged(CarrierDone::Missing));
                };
                if self.user_of(credential).await?.is_some() {
                    return Ok(AdminDone::CarrierChanged(CarrierDone::InUse));
                }
                self.conn.run(&DELETE_CREDENTIAL, &[Column::Int(vec![credential])]).await?;
                Ok(CarrierDone::Done)
            }
            CarrierChange::CreateCarrier { .. } => self.create_carrier(change, now).await,
            CarrierChange::UpdateCarrier { .. } => self.update_carrier(change, now).await,
            CarrierChange::DeleteCarrier { id, organization } => {
                let columns = [Column::Blob(vec![id.as_bytes()]), whose(*organization)];
                let gone = self.conn.fetch(&DELETE_CARRIER, &columns).await?;
                let Some(account) = gone.first().map(|line| line.int(0)).transpose()? else {
                    return Ok(AdminDone::CarrierChanged(CarrierDone::Missing));
                };
                self.end_accounts(&[CarrierId(account)], now).await?;
                Ok(CarrierDone::Done)
            }
            CarrierChange::End(accounts) => {
                self.end_accounts(accounts, now).await?;
                Ok(CarrierDone::Done)
            }
            CarrierChange::Settle(accounts) => {
                self.settle(accounts, now, gathered).await?;
                Ok(CarrierDone::Done)
            }
        };
        done.map(AdminDone::CarrierChanged)
    }

    async fn create_credential(
        &mut self,
        change: &CarrierChange,
        now: At,
    ) -> Result<CarrierDone, StoreError> {
        let CarrierChange::CreateCredential { id, organization, name, settings, password, most } =
            change
        else {
            return Ok(CarrierDone::Missing);
        };
        let has = self.conn.fetch(&COUNT_CREDENTIALS, &[whose(*organization)]).await?;
        if has.first().map_or(Ok(0), |line| line.int(0))? >= *most {
            return Ok(CarrierDone::TooMany);
        }
        let number = self.number();
        let columns = [
            Column::Int(vec![number]),
            Column::Blob(vec![id.as_bytes()]),
            whose(*organization),
            Column::Text(vec![name]),
            Column::Text(vec![settings]),
            Column::Blob(vec![password]),
            Column::Int(vec![now.micros()]),
        ];
        self.conn.run(&INSERT_CREDENTIAL, &columns).await?;
        Ok(CarrierDone::Done)
    }

    async fn create_carrier(
        &mut self,
        change: &CarrierChange,
        now: At,
    ) -> Result<CarrierDone, StoreError> {
        let CarrierChange::CreateCarrier {
            id,
            organization,
            credential,
            name,
            account,
            settings,
            disabled,
            most,
        } = change
        else {
            return Ok(CarrierDone::Missing);
        };
        let Some(credential) = self.credential(*credential, *organization).await? else {
            return Ok(CarrierDone::NoCredential);
        };
        if self.user_of(credential).await?.is_some() {
            return Ok(CarrierDone::InUse);
        }
        if self.accounts_of(*organization, now).await? >= *most {
            return Ok(CarrierDone::TooManyCarriers);
        }
        let named = self.name_account(account, *organization).await?;
        let AdminDone::Carrier { id: carrier, .. } = named else {
            return Err(StoreError::Impossible("a carrier without a row"));
        };
        let number = self.number();
        let columns = [
            Column::Int(vec![number]),
            Column::Blob(vec![id.as_bytes()]),
            whose(*organization),
            Column::Int(vec![credential]),
            Column::Int(vec![carrier.0]),
            Column::Text(vec![name]),
            Column::Text(vec![settings]),
            Column::Int(vec![now.micros()]),
            Column::MaybeInt(vec![disabled.then_some(now.micros())]),
        ];
        let made = self.conn.run(&INSERT_CARRIER, &columns).await?;
        Ok(if made > 0 { CarrierDone::Done } else { CarrierDone::Taken })
    }

    async fn update_carrier(
        &mut self,
        change: &CarrierChange,
        now: At,
    ) -> Result<CarrierDone, StoreError> {
        let CarrierChange::UpdateCarrier {
            id,
            organization,
            seen,
            credential,
            name,
            settings,
            disabled,
        } = change
        else {
            return Ok(CarrierDone::Missing);
        };
        let key = [Column::Blob(vec![id.as_bytes()]), whose(*organization)];
        let lines = self.conn.fetch(&FIND_CARRIER, &key).await?;
        let Some(number) = lines.first().map(|line| line.int(0)).transpose()? else {
            return Ok(CarrierDone::Missing);
        };
        let Some(credential) = self.credential(*credential, *organization).await? else {
            return Ok(CarrierDone::NoCredential);
        };
        if self.user_of(credential).await?.is_some_and(|user| user != number) {
            return Ok(CarrierDone::InUse);
        }
        let later = now.micros().max(seen.micros() + 1);
        let columns = [
            Column::Int(vec![number]),
            Column::Int(vec![seen.micros()]),
            Column::Int(vec![credential]),
            Column::Text(vec![name]),
            Column::Text(vec![settings]),
            Column::Int(vec![later]),
            Column::MaybeInt(vec![disabled.then_some(later)]),
        ];
        let touched = self.conn.run(&UPDATE_CARRIER, &columns).await?;
        Ok(seen_or(touched, true))
    }

    /// The number of a credential.
    async fn credential(
        &mut self,
        id: PublicId,
        organization: Option<OrgId>,
    ) -> Result<Option<i64>, StoreError> {
        let columns = [Column::Blob(vec![id.as_bytes()]), whose(organization)];
        let lines = self.conn.fetch(&FIND_CREDENTIAL, &columns).await?;
        lines.first().map(|line| line.int(0)).transpose()
    }

    /// The carrier that binds with it.
    async fn user_of(&mut self, credential: i64) -> Result<Option<i64>, StoreError> {
        let lines = self.conn.fetch(&FIND_USER, &[Column::Int(vec![credential])]).await?;
        lines.first().map(|line| line.int(0)).transpose()
    }
}

/// The platform's rows have no organization.
pub(super) fn whose(organization: Option<OrgId>) -> Column<'static> {
    Column::MaybeInt(vec![organization.map(|organization| organization.0)])
}

fn seen_or(touched: u64, known: bool) -> CarrierDone {
    match (touched, known) {
        (1.., _) => CarrierDone::Done,
        (0, true) => CarrierDone::Stale,
        (0, false) => CarrierDone::Missing,
    }
}

/// A line in the organization's log: who saw or changed a password. The platform has no such log.
fn audit(
    kind: EventKind,
    organization: Option<OrgId>,
    id: PublicId,
    by: &str,
    gathered: &mut Gathered,
) {
    let Some(organization) = organization else { return };
    let credential = id.show(Kind::SmppCredential);
    let by = serde_json::Value::from(by);
    let detail = format!("{{\"credential_id\":\"{credential}\",\"by\":{by}}}");
    gathered.events.push(EventRow::of_organization(organization, kind, detail));
}

static COUNT_CREDENTIALS: Bulk = Bulk {
    sqlite: "select count(*) from smpp_credentials where organization_id is ?1",
    postgres: "select count(*) from smpp_credentials
         where organization_id is not distinct from ($1::bigint[])[1]",
};

static INSERT_CREDENTIAL: Bulk = Bulk {
    sqlite: "insert into smpp_credentials (id, public_id, organization_id, name, settings,
            password, created_at, updated_at) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
    postgres: "insert into smpp_credentials (id, public_id, organization_id, name, settings,
            password, created_at, updated_at)
         select i, p, o, n, s, w, at, at from unnest($1::bigint[], $2::bytea[], $3::bigint[],
            $4::text[], $5::text[], $6::bytea[], $7::bigint[]) v (i, p, o, n, s, w, at)",
};

static UPDATE_CREDENTIAL: Bulk = Bulk {
    sqlite: "update smpp_credentials set name = ?4, settings = ?5, updated_at = ?6
         where public_id = ?1 and organization_id is ?2 and updated_at = ?3",
    postgres: "update smpp_credentials c set name = v.n, settings = v.s, updated_at = v.at
         from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::text[], $5::text[],
            $6::bigint[]) v (p, o, seen, n, s, at)
         where c.public_id = v.p and c.organization_id is not distinct from v.o
            and c.updated_at = v.seen",
};

static SET_PASSWORD: Bulk = Bulk {
    sqlite: "update smpp_credentials set password = ?3, revealed_at = ?4,
            updated_at = max(?5, updated_at + 1)
         where public_id = ?1 and organization_id is ?2",
    postgres: "update smpp_credentials c set password = v.w, revealed_at = v.r,
            updated_at = greatest(v.at, c.updated_at + 1)
         from unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[])
            v (p, o, w, r, at)
         where c.public_id = v.p and c.organization_id is not distinct from v.o",
};

static REVEAL: Bulk = Bulk {
    sqlite: "update smpp_credentials set revealed_at = ?3
         where public_id = ?1 and organization_id is ?2 and revealed_at is null
            and password = ?4",
    postgres: "update smpp_credentials c set revealed_at = v.at
         from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[]) v (p, o, at, s)
         where c.public_id = v.p and c.organization_id is not distinct from v.o
            and c.revealed_at is null and c.password = v.s",
};

static FIND_SHOWN: Bulk = Bulk {
    sqlite: "select coalesce(revealed_at, 0) from smpp_credentials
         where public_id = ?1 and organization_id is ?2",
    postgres: "select coalesce(c.revealed_at, 0) from unnest($1::bytea[], $2::bigint[]) v (p, o)
         join smpp_credentials c
            on c.public_id = v.p and c.organization_id is not distinct from v.o",
};

static FIND_CREDENTIAL: Bulk = Bulk {
    sqlite: "select id from smpp_credentials where public_id = ?1 and organization_id is ?2",
    postgres: "select c.id from unnest($1::bytea[], $2::bigint[]) v (p, o)
         join smpp_credentials c
            on c.public_id = v.p and c.organization_id is not distinct from v.o",
};

static FIND_USER: Bulk = Bulk {
    sqlite: "select id from smpp_carriers where credential_id = ?1",
    postgres: "select id from smpp_carriers where credential_id = any ($1::bigint[])",
};

static FIND_CARRIER: Bulk = Bulk {
    sqlite: "select id from smpp_carriers where public_id = ?1 and organization_id is ?2",
    postgres: "select c.id from unnest($1::bytea[], $2::bigint[]) v (p, o)
         join smpp_carriers c
            on c.public_id = v.p and c.organization_id is not distinct from v.o",
};

static DELETE_CREDENTIAL: Bulk = Bulk {
    sqlite: "delete from smpp_credentials where id = ?1",
    postgres: "delete from smpp_credentials where id = any ($1::bigint[])",
};

static INSERT_CARRIER: Bulk = Bulk {
    sqlite: "insert into smpp_carriers (id, public_id, organization_id, credential_id, carrier_id,
            name, settings, created_at, updated_at, disabled_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9)
         on conflict (carrier_id) do nothing",
    postgres: "insert into smpp_carriers (id, public_id, organization_id, credential_id,
            carrier_id, name, settings, created_at, updated_at, disabled_at)
         select i, p, o, c, a, n, s, at, at, d from unnest($1::bigint[], $2::bytea[],
            $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[],
            $9::bigint[]) v (i, p, o, c, a, n, s, at, d)
         on conflict (carrier_id) do nothing",
};

static UPDATE_CARRIER: Bulk = Bulk {
    sqlite: "update smpp_carriers set credential_id = ?3, name = ?4, settings = ?5,
            updated_at = ?6, disabled_at = ?7 where id = ?1 and updated_at = ?2",
    postgres: "update smpp_carriers c set credential_id = v.c, name = v.n, settings = v.s,
            updated_at = v.at, disabled_at = v.d
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[],
            $6::bigint[], $7::bigint[]) v (i, seen, c, n, s, at, d)
         where c.id = v.i and c.updated_at = v.seen",
};

static DELETE_CARRIER: Bulk = Bulk {
    sqlite: "delete from smpp_carriers where public_id = ?1 and organization_id is ?2
         returning carrier_id",
    postgres: "delete from smpp_carriers c using unnest($1::bytea[], $2::bigint[]) v (p, o)
         where c.public_id = v.p and c.organization_id is not distinct from v.o
         returning c.carrier_id",
};
