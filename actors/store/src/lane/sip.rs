//! Changes of SIP credentials, asked for by the API as [`super::Admin::Sip`]. Tables: sip_credentials,
//! sip_bindings.
//!
//! Whoever holds a password that is not good any more is bound no longer: what ends a password ends the
//! credential's bindings in the same transaction.

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::sip::CredentialStatus;

use super::{Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// All that can be set of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipSettings {
    pub label: String,
    pub extension: Option<String>,
    pub allowed_outbound: bool,
    /// JSON list.
    pub allowed_destinations: String,
    pub caller_id: Option<String>,
    pub max_contacts: i64,
    pub suspended: bool,
}

/// What stands for a password, as hexadecimal digits; not to be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SipHashes {
    pub md5: String,
    pub sha256: String,
}

impl std::fmt::Debug for SipHashes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SipHashes")
    }
}

/// A change of one credential.
#[derive(Clone, Debug)]
pub enum SipChange {
    Create {
        organization: OrgId,
        id: PublicId,
        realm: String,
        username: String,
        hashes: SipHashes,
        settings: SipSettings,
        /// So many that are not revoked may an organization have.
        most: i64,
    },
    /// Stored only if nobody has changed the credential since it was `seen`.
    Update {
        organization: OrgId,
        id: PublicId,
        seen: At,
        settings: SipSettings,
    },
    /// Another password, for the realm as it is now.
    Rotate {
        organization: OrgId,
        id: PublicId,
        realm: String,
        hashes: SipHashes,
    },
    Revoke {
        organization: OrgId,
        id: PublicId,
    },
    /// Its phones are bound no longer; they may come again.
    Unregister {
        organization: OrgId,
        id: PublicId,
    },
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipDone {
    Stored,
    /// The organization has no such credential, or it is revoked.
    Unknown,
    TooMany,
    /// Another credential of the organization has this extension.
    ExtensionTaken,
    /// Another credential of the realm has this username.
    UsernameTaken,
    /// Somebody changed it meanwhile.
    Changed,
}

/// A credential as a change finds it.
struct Found {
    number: i64,
    updated_at: i64,
    username: String,
}

impl Lane {
    pub(super) async fn change_sip(
        &mut self,
        change: &SipChange,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<SipDone, StoreError> {
        let (organization, id) = match change {
            SipChange::Create { .. } => return self.create_sip(change, now).await,
            SipChange::Update { organization, id, .. }
            | SipChange::Rotate { organization, id, .. }
            | SipChange::Revoke { organization, id }
            | SipChange::Unregister { organization, id } => (*organization, *id),
        };
        let Some(found) = self.find_sip(organization, id).await? else {
            return Ok(SipDone::Unknown);
        };
        // A later moment than was seen, so that a second change of one moment is noticed.
        let later = now.micros().max(found.updated_at + 1);
        let number = Column::Int(vec![found.number]);
        let unbinds = match change {
            SipChange::Create { .. } => false,
            SipChange::Update { seen, .. } if seen.micros() != found.updated_at => {
                return Ok(SipDone::Changed);
            }
            SipChange::Update { settings, .. } => {
                if self.extension_taken(organization, settings, found.number).await? {
                    return Ok(SipDone::ExtensionTaken);
                }
                let mut columns = vec![number];
                columns.extend(settings.columns());
                columns.push(Column::Int(vec![later]));
                self.conn.run(&UPDATE, &columns).await?;
                settings.suspended
            }
            SipChange::Rotate { realm, hashes, .. } => {
                if self.username_taken(realm, &found.username, found.number).await? {
                    return Ok(SipDone::UsernameTaken);
                }
                let columns = [
                    number,
                    Column::Text(vec![realm]),
                    Column::Text(vec![&hashes.md5]),
                    Column::Text(vec![&hashes.sha256]),
                    Column::Int(vec![later]),
                ];
                self.conn.run(&ROTATE, &columns).await?;
                true
            }
            SipChange::Revoke { .. } => {
                self.conn.run(&REVOKE, &[number, Column::Int(vec![later])]).await?;
                true
            }
            SipChange::Unregister { .. } => true,
        };
        if unbinds {
            self.unbind(organization, (found.number, id), gathered).await?;
        }
        Ok(SipDone::Stored)
    }

    async fn create_sip(&mut self, change: &SipChange, now: At) -> Result<SipDone, StoreError> {
        let SipChange::Create { organization, id, realm, username, hashes, settings, most } =
            change
        else {
            return Ok(SipDone::Unknown);
        };
        let has = self.conn.fetch(&COUNT, &[Column::Int(vec![organization.0])]).await?;
        if has.first().map_or(Ok(0), |line| line.int(0))? >= *most {
            return Ok(SipDone::TooMany);
        }
        if self.username_taken(realm, username, 0).await? {
            return Ok(SipDone::UsernameTaken);
        }
        if self.extension_taken(*organization, settings, 0).await? {
            return Ok(SipDone::ExtensionTaken);
        }
        let mut columns = vec![Column::Int(vec![self.number()])];
        columns.extend(settings.columns());
        columns.extend([
            Column::Int(vec![now.micros()]),
            Column::Blob(vec![id.as_bytes()]),
            Column::Int(vec![organization.0]),
            Column::Text(vec![realm]),
            Column::Text(vec![username]),
            Column::Text(vec![&hashes.md5]),
            Column::Text(vec![&hashes.sha256]),
        ]);
        self.conn.run(&INSERT, &columns).await?;
        Ok(SipDone::Stored)
    }

    async fn find_sip(
        &mut self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<Found>, StoreError> {
        let columns = [Column::Int(vec![organization.0]), Column::Blob(vec![id.as_bytes()])];
        let lines = self.conn.fetch(&FIND, &columns).await?;
        let Some(line) = lines.first() else { return Ok(None) };
        Ok(Some(Found { number: line.int(0)?, updated_at: line.int(1)?, username: line.text(2)? }))
    }

    async fn username_taken(
        &mut self,
        realm: &str,
        username: &str,
        but: i64,
    ) -> Result<bool, StoreError> {
        let columns =
            [Column::Text(vec![realm]), Column::Text(vec![username]), Column::Int(vec![but])];
        Ok(!self.conn.fetch(&BY_USERNAME, &columns).await?.is_empty())
    }

    async fn extension_taken(
        &mut self,
        organization: OrgId,
        settings: &SipSettings,
        but: i64,
    ) -> Result<bool, StoreError> {
        let Some(extension) = settings.extension.as_deref() else { return Ok(false) };
        let columns = [
            Column::Int(vec![organization.0]),
            Column::Text(vec![extension]),
            Column::Int(vec![but]),
        ];
        Ok(!self.conn.fetch(&BY_EXTENSION, &columns).await?.is_empty())
    }
}

impl SipSettings {
    /// Columns 2 to 8 of the statements that store them.
    fn columns(&self) -> Vec<Column<'_>> {
        let status = match self.suspended {
            true => CredentialStatus::Suspended,
            false => CredentialStatus::Active,
        };
        vec![
            Column::Text(vec![&self.label]),
            Column::MaybeText(vec![self.extension.as_deref()]),
            Column::Int(vec![i64::from(self.allowed_outbound)]),
            Column::Text(vec![&self.allowed_destinations]),
            Column::MaybeText(vec![self.caller_id.as_deref()]),
            Column::Int(vec![self.max_contacts]),
            Column::Int(vec![status.code()]),
        ]
    }
}

static COUNT: Bulk = Bulk {
    sqlite: "select count(*) from sip_credentials where organization_id = ?1 and status < 3",
    postgres: "select count(*) from sip_credentials
         where organization_id = any ($1::bigint[]) and status < 3",
};

static FIND: Bulk = Bulk {
    sqlite: "select id, updated_at, username from sip_credentials
         where organization_id = ?1 and public_id = ?2 and status < 3",
    postgres: "select c.id, c.updated_at, c.username
         from unnest($1::bigint[], $2::bytea[]) v (o, p)
         join sip_credentials c on c.organization_id = v.o and c.public_id = v.p
         where c.status < 3",
};

static BY_USERNAME: Bulk = Bulk {
    sqlite: "select id from sip_credentials
         where realm = ?1 and username = ?2 and status < 3 and id <> ?3",
    postgres: "select c.id from unnest($1::text[], $2::text[], $3::bigint[]) v (r, u, i)
         join sip_credentials c on c.realm = v.r and c.username = v.u
         where c.status < 3 and c.id <> v.i",
};

static BY_EXTENSION: Bulk = Bulk {
    sqlite: "select id from sip_credentials
         where organization_id = ?1 and extension = ?2 and status < 3 and id <> ?3",
    postgres: "select c.id from unnest($1::bigint[], $2::text[], $3::bigint[]) v (o, e, i)
         join sip_credentials c on c.organization_id = v.o and c.extension = v.e
         where c.status < 3 and c.id <> v.i",
};

static INSERT: Bulk = Bulk {
    sqlite: "insert into sip_credentials (id, label, extension, allowed_outbound,
            allowed_destinations, caller_id, max_contacts, status, created_at, updated_at,
            public_id, organization_id, realm, username, ha1_md5, ha1_sha256)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    postgres: "insert into sip_credentials (id, label, extension, allowed_outbound,
            allowed_destinations, caller_id, max_contacts, status, created_at, updated_at,
            public_id, organization_id, realm, username, ha1_md5, ha1_sha256)
         select i, l, e, a, d, c, m, s, at, at, p, o, r, u, h, j
         from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
            $7::bigint[], $8::bigint[], $9::bigint[], $10::bytea[], $11::bigint[], $12::text[],
            $13::text[], $14::text[], $15::text[])
            v (i, l, e, a, d, c, m, s, at, p, o, r, u, h, j)",
};

static UPDATE: Bulk = Bulk {
    sqlite: "update sip_credentials set label = ?2, extension = ?3, allowed_outbound = ?4,
            allowed_destinations = ?5, caller_id = ?6, max_contacts = ?7, status = ?8,
            updated_at = ?9
         where id = ?1",
    postgres: "update sip_credentials k set label = v.l, extension = v.e, allowed_outbound = v.a,
            allowed_destinations = v.d, caller_id = v.c, max_contacts = v.m, status = v.s,
            updated_at = v.at
         from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
            $7::bigint[], $8::bigint[], $9::bigint[]) v (i, l, e, a, d, c, m, s, at)
         where k.id = v.i",
};

static ROTATE: Bulk = Bulk {
    sqlite: "update sip_credentials set realm = ?2, ha1_md5 = ?3, ha1_sha256 = ?4, updated_at = ?5
         where id = ?1",
    postgres: "update sip_credentials k set realm = v.r, ha1_md5 = v.h, ha1_sha256 = v.j,
            updated_at = v.at
         from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[])
            v (i, r, h, j, at)
         where k.id = v.i",
};

static REVOKE: Bulk = Bulk {
    sqlite: "update sip_credentials set status = 3, updated_at = ?2 where id = ?1",
    postgres: "update sip_credentials k set status = 3, updated_at = v.at
         from unnest($1::bigint[], $2::bigint[]) v (i, at) where k.id = v.i",
};
