//! Masking sessions, as they change, asked for by the API as [`super::Admin::Proxy`]. Tables:
//! proxy_sessions, proxy_parties, numbers.
//!
//! A number means one other person to each who calls it: the key of `proxy_parties` says so, whatever
//! comes at once.

use std::collections::BTreeMap;

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::masking::{QUARANTINE, SESSIONS_MAX};

use super::{EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// A session to open.
#[derive(Clone, Debug)]
pub struct NewProxySession {
    pub id: PublicId,
    pub organization: OrgId,
    pub party_a: String,
    pub party_b: String,
    pub channels: i64,
    pub expires_at: At,
    /// The number it shall have; none: one that neither of them knows.
    pub number: Option<PublicId>,
}

/// A change of sessions.
#[derive(Clone, Debug)]
pub enum ProxyChange {
    Open(NewProxySession),
    Close { organization: OrgId, id: PublicId },
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyDone {
    Stored,
    /// There is no such session that is open.
    Unknown,
    /// There is no such number of the organization that is for masking.
    NoNumber,
    /// Every number is known to one of them.
    Exhausted,
    TooMany,
}

/// Sessions and parties that a sweep ends at once.
const SWEPT_AT_ONCE: i64 = 500;

impl Lane {
    pub(super) async fn change_proxy(
        &mut self,
        change: &ProxyChange,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<ProxyDone, StoreError> {
        match change {
            ProxyChange::Open(session) => self.open_proxy(session, now, gathered).await,
            ProxyChange::Close { organization, id } => {
                let columns = [
                    Column::Int(vec![organization.0]),
                    Column::Blob(vec![id.as_bytes()]),
                    Column::Int(vec![now.micros()]),
                ];
                let closed = self.conn.fetch(&CLOSE, &columns).await?;
                let Some(line) = closed.first() else { return Ok(ProxyDone::Unknown) };
                self.free_parties(vec![line.int(0)?], now).await?;
                tell(*organization, EventKind::ProxyClosed, *id, "closed", gathered);
                Ok(ProxyDone::Stored)
            }
        }
    }

    async fn open_proxy(
        &mut self,
        new: &NewProxySession,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<ProxyDone, StoreError> {
        let has = self.conn.fetch(&COUNT, &[Column::Int(vec![new.organization.0])]).await?;
        if has.first().map_or(Ok(0), |line| line.int(0))? >= SESSIONS_MAX {
            return Ok(ProxyDone::TooMany);
        }
        let wanted = new.number.as_ref().map(|number| &number.as_bytes()[..]);
        if let Some(wanted) = wanted {
            let columns = [Column::Int(vec![new.organization.0]), Column::Blob(vec![wanted])];
            if self.conn.fetch(&FOR_MASKING, &columns).await?.is_empty() {
                return Ok(ProxyDone::NoNumber);
            }
        }
        let columns = [
            Column::Int(vec![new.organization.0]),
            Column::MaybeBlob(vec![wanted]),
            Column::Text(vec![&new.party_a]),
            Column::Text(vec![&new.party_b]),
            Column::Int(vec![now.micros()]),
        ];
        let free = self.conn.fetch(&FREE_NUMBER, &columns).await?;
        let Some(line) = free.first() else { return Ok(ProxyDone::Exhausted) };
        let (number, e164) = (line.int(0)?, line.text(1)?);
        let session = self.number();
        let columns = [
            Column::Int(vec![session]),
            Column::Blob(vec![new.id.as_bytes()]),
            Column::Int(vec![new.organization.0]),
            Column::Int(vec![number]),
            Column::Text(vec![&e164]),
            Column::Text(vec![&new.party_a]),
            Column::Text(vec![&new.party_b]),
            Column::Int(vec![new.channels]),
            Column::Int(vec![new.expires_at.micros()]),
            Column::Int(vec![now.micros()]),
        ];
        self.conn.run(&INSERT, &columns).await?;
        let columns = [
            Column::Int(vec![number; 2]),
            Column::Text(vec![&new.party_a, &new.party_b]),
            Column::Int(vec![new.organization.0; 2]),
            Column::Int(vec![session; 2]),
        ];
        self.conn.run(&INSERT_PARTY, &columns).await?;
        tell(new.organization, EventKind::ProxyCreated, new.id, "open", gathered);
        Ok(ProxyDone::Stored)
    }

    /// Calls or messages went by these sessions.
    pub(super) async fn interacted(&mut self, sessions: &[i64]) -> Result<(), StoreError> {
        let mut counts = BTreeMap::<i64, i64>::new();
        for session in sessions {
            *counts.entry(*session).or_default() += 1;
        }
        let columns = [
            Column::Int(counts.keys().copied().collect()),
            Column::Int(counts.values().copied().collect()),
        ];
        self.conn.run(&INTERACTED, &columns).await?;
        Ok(())
    }

    async fn free_parties(&mut self, sessions: Vec<i64>, now: At) -> Result<(), StoreError> {
        let free_at = now.plus(QUARANTINE).micros();
        let columns = [Column::Int(vec![free_at; sessions.len()]), Column::Int(sessions)];
        self.conn.run(&FREE_PARTIES, &columns).await?;
        Ok(())
    }

    /// Ends sessions whose time is over, and forgets parties that were remembered long enough: a
    /// bounded number each time.
    pub(super) async fn sweep_proxies(
        &mut self,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let columns = || [Column::Int(vec![now.micros()]), Column::Int(vec![SWEPT_AT_ONCE])];
        let mut ended = Vec::new();
        for line in self.conn.fetch(&EXPIRE, &columns()).await? {
            ended.push(line.int(0)?);
            let octets = line.blob(2)?;
            let id = octets.as_slice().try_into();
            let id = id.map_err(|_| StoreError::Impossible("a session without an id"))?;
            let (organization, id) = (OrgId(line.int(1)?), PublicId::from_bytes(id));
            tell(organization, EventKind::ProxyClosed, id, "expired", gathered);
        }
        self.free_parties(ended, now).await?;
        self.conn.run(&FORGET_PARTIES, &columns()).await?;
        Ok(())
    }
}

fn tell(organization: OrgId, kind: EventKind, id: PublicId, status: &str, gathered: &mut Gathered) {
    let id = id.show(Kind::ProxySession);
    let detail = format!("{{\"session_id\":\"{id}\",\"status\":\"{status}\"}}");
    gathered.events.push(EventRow::of_organization(organization, kind, detail));
}

/// Somebody reached somebody by a session.
pub(super) fn interaction(
    organization: OrgId,
    session: PublicId,
    channel: &str,
    (name, id): (&str, &str),
) -> EventRow {
    let session = session.show(Kind::ProxySession);
    let detail =
        format!("{{\"session_id\":\"{session}\",\"channel\":\"{channel}\",\"{name}\":\"{id}\"}}");
    EventRow::of_organization(organization, EventKind::ProxyInteraction, detail)
}

static INTERACTED: Bulk = Bulk {
    sqlite: "update proxy_sessions set interactions = interactions + ?2 where id = ?1",
    postgres: "update proxy_sessions s set interactions = s.interactions + v.n
         from unnest($1::bigint[], $2::bigint[]) v (i, n) where s.id = v.i",
};

static COUNT: Bulk = Bulk {
    sqlite: "select count(*) from proxy_sessions where organization_id = ?1 and status = 1",
    postgres: "select count(*) from proxy_sessions
         where organization_id = any ($1::bigint[]) and status = 1",
};

static FOR_MASKING: Bulk = Bulk {
    sqlite: "select id from numbers where organization_id = ?1 and public_id = ?2 and status = 2
            and routing like '{\"type\":\"proxy\"%'",
    postgres: "select n.id from unnest($1::bigint[], $2::bytea[]) v (o, p)
         join numbers n on n.organization_id = v.o and n.public_id = v.p
         where n.status = 2 and n.routing like '{\"type\":\"proxy\"%'",
};

static FREE_NUMBER: Bulk = Bulk {
    sqlite: "select n.id, n.e164 from numbers n
         where n.organization_id = ?1 and n.status = 2 and n.routing like '{\"type\":\"proxy\"%'
            and (?2 is null or n.public_id = ?2) and n.e164 not in (?3, ?4)
            and not exists (select 1 from proxy_parties p where p.number_id = n.id
                and p.party in (?3, ?4) and (p.free_at is null or p.free_at > ?5))
         order by n.id limit 1",
    postgres: "select n.id, n.e164
         from unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::bigint[])
            v (o, w, a, b, at)
         join numbers n on n.organization_id = v.o
         where n.status = 2 and n.routing like '{\"type\":\"proxy\"%'
            and (v.w is null or n.public_id = v.w) and n.e164 not in (v.a, v.b)
            and not exists (select 1 from proxy_parties p where p.number_id = n.id
                and p.party in (v.a, v.b) and (p.free_at is null or p.free_at > v.at))
         order by n.id limit 1",
};

static INSERT: Bulk = Bulk {
    sqlite: "insert into proxy_sessions (id, public_id, organization_id, number_id, proxy_number,
            party_a, party_b, channels, status, interactions, expires_at, created_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, 0, ?9, ?10)",
    postgres: "insert into proxy_sessions (id, public_id, organization_id, number_id, proxy_number,
            party_a, party_b, channels, status, interactions, expires_at, created_at)
         select i, p, o, n, e, a, b, c, 1, 0, x, at
         from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::text[],
            $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[])
            v (i, p, o, n, e, a, b, c, x, at)",
};

static INSERT_PARTY: Bulk = Bulk {
    sqlite: "insert into proxy_parties (number_id, party, organization_id, session_id)
         values (?1, ?2, ?3, ?4)
         on conflict (number_id, party) do update set organization_id = excluded.organization_id,
            session_id = excluded.session_id, free_at = null",
    postgres: "insert into proxy_parties (number_id, party, organization_id, session_id)
         select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[])
         on conflict (number_id, party) do update set organization_id = excluded.organization_id,
            session_id = excluded.session_id, free_at = null",
};

static CLOSE: Bulk = Bulk {
    sqlite: "update proxy_sessions set status = 2, ended_at = ?3
         where organization_id = ?1 and public_id = ?2 and status = 1 returning id",
    postgres: "update proxy_sessions s set status = 2, ended_at = v.at
         from unnest($1::bigint[], $2::bytea[], $3::bigint[]) v (o, p, at)
         where s.organization_id = v.o and s.public_id = v.p and s.status = 1 returning s.id",
};

static FREE_PARTIES: Bulk = Bulk {
    sqlite: "update proxy_parties set free_at = ?1 where session_id = ?2",
    postgres: "update proxy_parties p set free_at = v.f
         from unnest($1::bigint[], $2::bigint[]) v (f, s) where p.session_id = v.s",
};

static EXPIRE: Bulk = Bulk {
    sqlite: "update proxy_sessions set status = 3, ended_at = ?1
         where id in (select id from proxy_sessions where status = 1 and expires_at <= ?1 limit ?2)
         returning id, organization_id, public_id",
    postgres: "update proxy_sessions s set status = 3, ended_at = v.at
         from unnest($1::bigint[], $2::bigint[]) v (at, m)
         where s.id in (select o.id from proxy_sessions o
            where o.status = 1 and o.expires_at <= v.at limit 500)
         returning s.id, s.organization_id, s.public_id",
};

static FORGET_PARTIES: Bulk = Bulk {
    sqlite: "delete from proxy_parties where (number_id, party) in
            (select number_id, party from proxy_parties where free_at <= ?1 limit ?2)",
    postgres: "delete from proxy_parties p using unnest($1::bigint[], $2::bigint[]) v (at, m)
         where (p.number_id, p.party) in (select o.number_id, o.party from proxy_parties o
            where o.free_at <= v.at limit 500)",
};
