//! Changes of what an organization lets its own sends through. Rare, so one statement a row or list.
//!
//! Tables: policies, dnc_entries, rnd_entries, sender_registrations, sender_countries. The lane
//! remembers the active policies; it reads them as it opens, and again with each change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::message::Status;
use model::policy::{Approval, Policy};
use serde_json::json;

use super::{EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column, Conn};
use crate::error::StoreError;

/// One change.
#[derive(Clone, Debug)]
pub enum PolicyChange {
    Set {
        organization: OrgId,
        policy: Box<Policy>,
    },
    AddDnc {
        organization: OrgId,
        entries: Vec<DncEntry>,
    },
    RemoveDnc {
        organization: OrgId,
        phones: Vec<String>,
    },
    /// Numbers given back; one without a day is taken off the list.
    ImportRnd {
        organization: OrgId,
        entries: Vec<RndEntry>,
    },
    RegisterSender {
        organization: OrgId,
        id: PublicId,
        sender: String,
        use_case: Option<String>,
        countries: Vec<SenderCountry>,
    },
    RemoveSender {
        organization: OrgId,
        id: PublicId,
    },
    /// The operator's word on a sender in a country.
    DecideSender {
        id: PublicId,
        country: String,
        approval: Approval,
        reason: Option<String>,
    },
}

#[derive(Clone, Debug)]
pub struct DncEntry {
    pub phone: String,
    pub reason: String,
}

#[derive(Clone, Debug)]
pub struct RndEntry {
    pub phone: String,
    /// As in `2026-01-31`.
    pub disconnected_on: Option<String>,
}

/// What is asked for one country.
#[derive(Clone, Debug)]
pub struct SenderCountry {
    pub country: String,
    /// JSON array of strings, as text.
    pub document_refs: String,
    pub notes: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyDone {
    Set,
    /// So many rows were written or taken away.
    Rows(u64),
    Registered,
    /// The sender is registered for these countries already; nothing was stored.
    Taken(Vec<String>),
    /// There is no such registration, or not for that country.
    Unknown,
}

/// The active policies, by organization.
pub(super) async fn load(conn: &mut Conn) -> Result<HashMap<OrgId, Arc<Policy>>, StoreError> {
    let mut policies = HashMap::new();
    for line in conn.fetch(&ALL_POLICIES, &[Column::Int(vec![0])]).await? {
        let policy = serde_json::from_str(&line.text(1)?).ok();
        let policy = policy.and_then(|value| Policy::read(&value).ok());
        let policy = policy.ok_or(StoreError::Impossible("a policy that cannot be read"))?;
        if policy.is_active() {
            policies.insert(OrgId(line.int(0)?), Arc::new(policy));
        }
    }
    Ok(policies)
}

impl Lane {
    pub(super) async fn change_policy(
        &mut self,
        change: &PolicyChange,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<PolicyDone, StoreError> {
        match change {
            PolicyChange::Set { organization, policy } => {
                let body = policy.to_json().to_string();
                let columns = [
                    Column::Int(vec![organization.0]),
                    Column::Text(vec![&body]),
                    Column::Int(vec![now.micros()]),
                ];
                self.conn.run(&SET_POLICY, &columns).await?;
                gathered.policies.insert(*organization, Arc::new((**policy).clone()));
                Ok(PolicyDone::Set)
            }
            PolicyChange::AddDnc { organization, entries } => {
                self.add_dnc(*organization, entries, now).await
            }
            PolicyChange::RemoveDnc { organization, phones } => {
                let mut phones: Vec<&str> = phones.iter().map(String::as_str).collect();
                phones.sort_unstable();
                phones.dedup();
                let columns =
                    [Column::Int(vec![organization.0; phones.len()]), Column::Text(phones)];
                Ok(PolicyDone::Rows(self.conn.run(&REMOVE_DNC, &columns).await?))
            }
            PolicyChange::ImportRnd { organization, entries } => {
                self.import_rnd(*organization, entries).await
            }
            PolicyChange::RegisterSender { .. } => self.register(change, now).await,
            PolicyChange::RemoveSender { organization, id } => {
                self.remove_sender(*organization, *id).await
            }
            PolicyChange::DecideSender { .. } => self.decide_sender(change, now, gathered).await,
        }
    }

    /// Once a change is committed.
    pub(super) fn remember_policies(&mut self, changed: HashMap<OrgId, Arc<Policy>>) {
        for (organization, policy) in changed {
            if policy.is_active() {
                self.policies.insert(organization, policy);
            } else {
                self.policies.remove(&organization);
            }
        }
    }

    async fn add_dnc(
        &mut self,
        organization: OrgId,
        entries: &[DncEntry],
        now: At,
    ) -> Result<PolicyDone, StoreError> {
        // PostgreSQL changes no row twice in one statement: the last of equal ones counts.
        let entries: BTreeMap<&str, &str> =
            entries.iter().map(|entry| (entry.phone.as_str(), entry.reason.as_str())).collect();
        let columns = [
            Column::Int(vec![organization.0; entries.len()]),
            Column::Text(entries.keys().copied().collect()),
            Column::Int(entries.iter().map(|_| self.number()).collect()),
            Column::Text(entries.values().copied().collect()),
            Column::Int(vec![now.micros(); entries.len()]),
        ];
        Ok(PolicyDone::Rows(self.conn.run(&ADD_DNC, &columns).await?))
    }

    async fn import_rnd(
        &mut self,
        organization: OrgId,
        entries: &[RndEntry],
    ) -> Result<PolicyDone, StoreError> {
        let entries: BTreeMap<&str, Option<&str>> =
            entries.iter().map(|e| (e.phone.as_str(), e.disconnected_on.as_deref())).collect();
        let (mut kept, mut days, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
        for (phone, day) in entries {
            match day {
                Some(day) => {
                    kept.push(phone);
                    days.push(day);
                }
                None => dropped.push(phone),
            }
        }
        let columns = [Column::Int(vec![organization.0; dropped.len()]), Column::Text(dropped)];
        let dropped = self.conn.run(&REMOVE_RND, &columns).await?;
        let columns =
            [Column::Int(vec![organization.0; kept.len()]), Column::Text(kept), Column::Text(days)];
        Ok(PolicyDone::Rows(dropped + self.conn.run(&ADD_RND, &columns).await?))
    }

    async fn register(&mut self, change: &PolicyChange, now: At) -> Result<PolicyDone, StoreError> {
        let PolicyChange::RegisterSender { organization, id, sender, use_case, countries } = change
        else {
            return Ok(PolicyDone::Unknown);
        };
        let count = countries.len();
        let scope = || {
            [
                Column::Int(vec![organization.0; count]),
                Column::Text(vec![sender.as_str(); count]),
                Column::Text(countries.iter().map(|c| c.country.as_str()).collect()),
            ]
        };
        let taken = self.conn.fetch(&TAKEN_COUNTRIES, &scope()).await?;
        if !taken.is_empty() {
            let names: Result<Vec<String>, _> = taken.iter().map(|line| line.text(0)).collect();
            return Ok(PolicyDone::Taken(names?));
        }
        let number = self.number();
        let columns = [
            Column::Int(vec![number]),
            Column::Int(vec![organization.0]),
            Column::Blob(vec![id.as_bytes()]),
            Column::Text(vec![sender]),
            Column::MaybeText(vec![use_case.as_deref()]),
            Column::Int(vec![now.micros()]),
        ];
        self.conn.run(&INSERT_REGISTRATION, &columns).await?;
        let [organizations, senders, names] = scope();
        let columns = [
            organizations,
            senders,
            names,
            Column::Int(vec![number; count]),
            Column::Int(vec![Approval::Pending.code(); count]),
            Column::Text(countries.iter().map(|c| c.document_refs.as_str()).collect()),
            Column::MaybeText(countries.iter().map(|c| c.notes.as_deref()).collect()),
        ];
        self.conn.run(&INSERT_COUNTRIES, &columns).await?;
        Ok(PolicyDone::Registered)
    }

    async fn remove_sender(
        &mut self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<PolicyDone, StoreError> {
        let columns = [Column::Int(vec![organization.0]), Column::Blob(vec![id.as_bytes()])];
        self.conn.run(&REMOVE_COUNTRIES, &columns).await?;
        match self.conn.run(&REMOVE_REGISTRATION, &columns).await? {
            0 => Ok(PolicyDone::Unknown),
            rows => Ok(PolicyDone::Rows(rows)),
        }
    }

    async fn decide_sender(
        &mut self,
        change: &PolicyChange,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<PolicyDone, StoreError> {
        let PolicyChange::DecideSender { id, country, approval, reason } = change else {
            return Ok(PolicyDone::Unknown);
        };
        let columns = [
            Column::Blob(vec![id.as_bytes()]),
            Column::Text(vec![country]),
            Column::Int(vec![approval.code()]),
            Column::MaybeText(vec![reason.as_deref()]),
            Column::Int(vec![now.micros()]),
        ];
        let lines = self.conn.fetch(&DECIDE_COUNTRY, &columns).await?;
        let Some(line) = lines.first() else {
            return Ok(PolicyDone::Unknown);
        };
        let detail = json!({
            "id": id.show(Kind::SenderRegistration),
            "sender_id": line.text(1)?,
            "country": country,
            "status": approval.as_str(),
            "reason": reason,
        });
        gathered.events.push(EventRow {
            organization: OrgId(line.int(0)?),
            message: MessageKey(0),
            kind: EventKind::SenderIdUpdated,
            status: Status::Queued,
            detail: Some(detail.to_string()),
        });
        Ok(PolicyDone::Rows(1))
    }
}

static ALL_POLICIES: Bulk = Bulk {
    sqlite: "select organization_id, body from policies where ?1 is not null",
    postgres: "select organization_id, body from policies, unnest($1::bigint[])",
};

static SET_POLICY: Bulk = Bulk {
    sqlite: "insert into policies (organization_id, body, updated_at) values (?1, ?2, ?3)
         on conflict (organization_id) do update
         set body = excluded.body, updated_at = excluded.updated_at",
    postgres: "insert into policies (organization_id, body, updated_at)
         select * from unnest($1::bigint[], $2::text[], $3::bigint[])
         on conflict (organization_id) do update
         set body = excluded.body, updated_at = excluded.updated_at",
};

static ADD_DNC: Bulk = Bulk {
    sqlite: "insert into dnc_entries (organization_id, phone, seq, reason, created_at)
         values (?1, ?2, ?3, ?4, ?5)
         on conflict (organization_id, phone) do update set reason = excluded.reason",
    postgres: "insert into dnc_entries (organization_id, phone, seq, reason, created_at)
         select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bigint[])
         on conflict (organization_id, phone) do update set reason = excluded.reason",
};

static REMOVE_DNC: Bulk = Bulk {
    sqlite: "delete from dnc_entries where organization_id = ?1 and phone = ?2",
    postgres: "delete from dnc_entries where (organization_id, phone) in
         (select * from unnest($1::bigint[], $2::text[]))",
};

static ADD_RND: Bulk = Bulk {
    sqlite: "insert into rnd_entries (organization_id, phone, disconnected_on) values (?1, ?2, ?3)
         on conflict (organization_id, phone) do update
         set disconnected_on = excluded.disconnected_on",
    postgres: "insert into rnd_entries (organization_id, phone, disconnected_on)
         select * from unnest($1::bigint[], $2::text[], $3::text[])
         on conflict (organization_id, phone) do update
         set disconnected_on = excluded.disconnected_on",
};

static REMOVE_RND: Bulk = Bulk {
    sqlite: "delete from rnd_entries where organization_id = ?1 and phone = ?2",
    postgres: "delete from rnd_entries where (organization_id, phone) in
         (select * from unnest($1::bigint[], $2::text[]))",
};

static TAKEN_COUNTRIES: Bulk = Bulk {
    sqlite: "select country from sender_countries
         where organization_id = ?1 and sender_id = ?2 and country = ?3",
    postgres: "select c.country from unnest($1::bigint[], $2::text[], $3::text[]) v (o, s, l)
         join sender_countries c on c.organization_id = v.o and c.sender_id = v.s
            and c.country = v.l",
};

static INSERT_REGISTRATION: Bulk = Bulk {
    sqlite: "insert into sender_registrations
            (number, organization_id, id, sender_id, use_case, created_at)
         values (?1, ?2, ?3, ?4, ?5, ?6)",
    postgres: "insert into sender_registrations
            (number, organization_id, id, sender_id, use_case, created_at)
         select * from unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::text[],
            $6::bigint[])",
};

static INSERT_COUNTRIES: Bulk = Bulk {
    sqlite:
        "insert into sender_countries (organization_id, sender_id, country, registration, state,
            document_refs, notes)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7) on conflict do nothing",
    postgres: "insert into sender_countries (organization_id, sender_id, country, registration,
            state, document_refs, notes)
         select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
            $6::text[], $7::text[]) on conflict do nothing",
};

static REMOVE_COUNTRIES: Bulk = Bulk {
    sqlite: "delete from sender_countries where registration =
            (select number from sender_registrations where organization_id = ?1 and id = ?2)",
    postgres: "delete from sender_countries where registration in
            (select r.number from unnest($1::bigint[], $2::bytea[]) v (o, i)
             join sender_registrations r on r.organization_id = v.o and r.id = v.i)",
};

static REMOVE_REGISTRATION: Bulk = Bulk {
    sqlite: "delete from sender_registrations where organization_id = ?1 and id = ?2",
    postgres: "delete from sender_registrations where (organization_id, id) in
         (select * from unnest($1::bigint[], $2::bytea[]))",
};

static DECIDE_COUNTRY: Bulk = Bulk {
    sqlite: "update sender_countries set state = ?3, reason = ?4, decided_at = ?5
         where registration = (select number from sender_registrations where id = ?1)
            and country = ?2
         returning organization_id, sender_id",
    postgres: "update sender_countries c set state = v.s, reason = v.r, decided_at = v.t
         from unnest($1::bytea[], $2::text[], $3::bigint[], $4::text[], $5::bigint[])
            v (i, l, s, r, t)
         join sender_registrations g on g.id = v.i
         where c.registration = g.number and c.country = v.l
         returning c.organization_id, c.sender_id",
};
