//! Changes of sender pools, asked for by the API as [`super::Admin::Pool`]; places given back; and
//! what pools remember, dropped when it counts no more.
//!
//! A pool that scheduled messages name stays: they would have no sender when their time comes.
//! Tables: sender_pools, sender_pool_uses, sender_pool_sticky, messages.

use std::collections::HashSet;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::message::Status;
use model::pool::{POOLS_MAX, PoolSender, Strategy, senders_text};

use super::gates::DAY_US;
use super::{Gathered, Lane};
use crate::bulk::{Bulk, Column, Conn};
use crate::error::StoreError;

/// A change of an organization's pools.
#[derive(Clone, Debug)]
pub enum PoolChange {
    Create {
        organization: OrgId,
        id: PublicId,
        pool: NewPool,
    },
    /// Stored only if nobody has changed the pool since it was `seen`.
    Update {
        organization: OrgId,
        id: PublicId,
        seen: At,
        pool: NewPool,
    },
    Delete {
        organization: OrgId,
        id: PublicId,
    },
}

impl PoolChange {
    #[must_use]
    pub fn organization(&self) -> OrgId {
        match self {
            Self::Create { organization, .. }
            | Self::Update { organization, .. }
            | Self::Delete { organization, .. } => *organization,
        }
    }
}

/// A pool to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPool {
    pub name: String,
    pub strategy: Strategy,
    pub senders: Vec<PoolSender>,
    /// Names; none means any carrier.
    pub carriers: Vec<String>,
    pub sticky_ttl_days: i64,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolDone {
    Stored,
    /// The organization has no such pool.
    Unknown,
    /// The organization has as many as it may.
    TooMany,
    /// Another of its pools has this name.
    NameTaken,
    /// Somebody changed it meanwhile.
    Changed,
    /// Scheduled messages name it.
    InUse,
}

/// Where a message was counted: pool, test mode, day, sender.
type Counted = (i64, i64, i64, String);

/// Rows dropped at once.
const DROPPED_AT_ONCE: u64 = 5_000;

impl Lane {
    pub(super) async fn pool(
        &mut self,
        change: &PoolChange,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<PoolDone, StoreError> {
        let organization = change.organization();
        let own = self.own_pools(organization).await?;
        let taken = |name: &str, id: &PublicId| {
            own.iter().any(|(known, other)| known == name && other != id.as_bytes())
        };
        match change {
            PoolChange::Create { pool, id, .. } if taken(&pool.name, id) => Ok(PoolDone::NameTaken),
            PoolChange::Create { .. } if own.len() >= POOLS_MAX => Ok(PoolDone::TooMany),
            PoolChange::Create { id, pool, .. } => {
                let number = self.number();
                self.put(&INSERT, (organization, *id), pool, [number, now.0, now.0]).await?;
                gathered.pooling.insert(organization, true);
                Ok(PoolDone::Stored)
            }
            PoolChange::Update { id, .. } | PoolChange::Delete { id, .. }
                if own.iter().all(|(_, known)| known != id.as_bytes()) =>
            {
                Ok(PoolDone::Unknown)
            }
            PoolChange::Update { pool, id, .. } if taken(&pool.name, id) => Ok(PoolDone::NameTaken),
            PoolChange::Update { id, seen, pool, .. } => {
                let numbers = [0, seen.0, now.0];
                let stored = self.put(&UPDATE, (organization, *id), pool, numbers).await?;
                Ok(if stored > 0 { PoolDone::Stored } else { PoolDone::Changed })
            }
            PoolChange::Delete { id, .. } => {
                let columns =
                    || [Column::Int(vec![organization.0]), Column::Blob(vec![id.as_bytes()])];
                if !self.conn.fetch(&AWAITED, &columns()).await?.is_empty() {
                    return Ok(PoolDone::InUse);
                }
                self.conn.run(&DELETE, &columns()).await?;
                gathered.pooling.insert(organization, own.len() > 1);
                Ok(PoolDone::Stored)
            }
        }
    }

    /// The names and ids of an organization's pools.
    async fn own_pools(
        &mut self,
        organization: OrgId,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let lines = self.conn.fetch(&OWN, &[Column::Int(vec![organization.0])]).await?;
        lines.iter().map(|line| Ok((line.text(0)?, line.blob(1)?))).collect()
    }

    /// Writes a pool; the numbers are its own, the moment it was seen or made, and the present.
    async fn put(
        &mut self,
        sql: &'static Bulk,
        (organization, id): (OrgId, PublicId),
        pool: &NewPool,
        [number, seen, now]: [i64; 3],
    ) -> Result<u64, StoreError> {
        let senders = senders_text(&pool.senders);
        let carriers = serde_json::json!(pool.carriers).to_string();
        let columns = [
            Column::Int(vec![number]),
            Column::Blob(vec![id.as_bytes()]),
            Column::Int(vec![organization.0]),
            Column::Text(vec![&pool.name]),
            Column::Int(vec![pool.strategy.code()]),
            Column::Text(vec![&senders]),
            Column::MaybeText(vec![(!pool.carriers.is_empty()).then_some(&*carriers)]),
            Column::Int(vec![pool.sticky_ttl_days]),
            Column::Int(vec![seen]),
            Column::Int(vec![now]),
        ];
        self.conn.run(sql, &columns).await
    }

    /// True while the pool is there; asked only of messages that name one.
    pub(super) async fn has_pool(
        &mut self,
        organization: OrgId,
        pool: i64,
    ) -> Result<bool, StoreError> {
        let columns = [Column::Int(vec![organization.0]), Column::Int(vec![pool])];
        Ok(!self.conn.fetch(&IS_THERE, &columns).await?.is_empty())
    }

    /// Gives places back of messages that end without having been sent, each once. Whatever ends a
    /// message as `cancelled` or `blocked` with an event in the log need not call it: the log does.
    pub(super) async fn give_places_back(
        &mut self,
        organization: OrgId,
        keys: &[MessageKey],
    ) -> Result<(), StoreError> {
        if !self.pooling.contains(&organization) {
            return Ok(());
        }
        self.take_places_from(keys.iter().map(|key| key.0).collect()).await
    }

    /// The same for all that a transaction ends so.
    pub(super) async fn give_places_back_of(
        &mut self,
        gathered: &Gathered,
    ) -> Result<(), StoreError> {
        if self.pooling.is_empty() {
            return Ok(());
        }
        let unsent = |status| matches!(status, Status::Cancelled | Status::Blocked);
        let ended = gathered.events.iter().filter(|e| unsent(e.status));
        let ended = ended.filter(|event| self.pooling.contains(&event.organization));
        let keys = ended.map(|event| event.message.0).collect();
        self.take_places_from(keys).await
    }

    async fn take_places_from(&mut self, keys: Vec<i64>) -> Result<(), StoreError> {
        let counted = self.conn.fetch(&COUNTED, &[Column::Int(keys)]).await?;
        let (mut keys, mut uses) = (Vec::new(), Vec::<Counted>::new());
        for line in &counted {
            keys.push(line.int(0)?);
            uses.push((line.int(1)?, line.int(2)?, line.int(3)?, line.text(4)?));
        }
        self.conn.run(&UNCOUNT, &[Column::Int(keys)]).await?;
        uses.sort_unstable();
        let mut places: Vec<(&Counted, i64)> = Vec::new();
        for one in &uses {
            match places.last_mut() {
                Some((same, count)) if *same == one => *count += 1,
                _ => places.push((one, 1)),
            }
        }
        let columns = [
            Column::Int(places.iter().map(|(place, _)| place.0).collect()),
            Column::Int(places.iter().map(|(place, _)| place.1).collect()),
            Column::Int(places.iter().map(|(place, _)| place.2).collect()),
            Column::Text(places.iter().map(|(place, _)| place.3.as_str()).collect()),
            Column::Int(places.iter().map(|(_, count)| *count).collect()),
        ];
        self.conn.run(&GIVE_BACK, &columns).await?;
        Ok(())
    }

    /// Drops the counts of days gone by, senders remembered long enough, and what is remembered for
    /// one pool that is gone: a bounded number of rows each time.
    pub(super) async fn sweep_pools(&mut self, now: At) -> Result<(), StoreError> {
        let most = || Column::Int(vec![DROPPED_AT_ONCE.cast_signed()]);
        let yesterday = now.0.div_euclid(DAY_US) - 1;
        self.conn.run(&DROP_USES, &[Column::Int(vec![yesterday]), most()]).await?;
        self.conn.run(&DROP_STICKY, &[Column::Int(vec![now.micros()]), most()]).await?;
        let next = self.conn.fetch(&NEXT_POOL, &[Column::Int(vec![self.swept_pool])]).await?;
        let Some(line) = next.first() else {
            self.swept_pool = 0;
            return Ok(());
        };
        let pool = line.int(0)?;
        let gone = self.conn.run(&DROP_ORPHANS, &[Column::Int(vec![pool]), most()]).await?;
        if gone < DROPPED_AT_ONCE {
            self.swept_pool = pool;
        }
        Ok(())
    }
}

/// The organizations that have pools.
pub(super) async fn pooling(conn: &mut Conn) -> Result<HashSet<OrgId>, StoreError> {
    let lines = conn.fetch(&POOLING, &[Column::Int(vec![0])]).await?;
    lines.iter().map(|line| line.int(0).map(OrgId)).collect()
}

static POOLING: Bulk = Bulk {
    sqlite: "select distinct organization_id from sender_pools where ?1 is not null",
    postgres: "select distinct p.organization_id from sender_pools p, unnest($1::bigint[])",
};

static OWN: Bulk = Bulk {
    sqlite: "select name, public_id from sender_pools where organization_id = ?1",
    postgres: "select name, public_id from sender_pools where organization_id = any($1::bigint[])
         order by id for update",
};

static INSERT: Bulk = Bulk {
    sqlite: "insert into sender_pools (id, public_id, organization_id, name, strategy, senders,
            carrier_ids, sticky_ttl_days, created_at, updated_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    postgres: "insert into sender_pools (id, public_id, organization_id, name, strategy, senders,
            carrier_ids, sticky_ttl_days, created_at, updated_at)
         select * from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[], $5::bigint[],
            $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[])",
};

static UPDATE: Bulk = Bulk {
    sqlite: "update sender_pools set name = ?4, strategy = ?5, senders = ?6, carrier_ids = ?7,
            sticky_ttl_days = ?8, updated_at = ?10
         where ?1 = 0 and public_id = ?2 and organization_id = ?3 and updated_at = ?9",
    postgres: "update sender_pools p set name = v.n, strategy = v.s, senders = v.l,
            carrier_ids = v.c, sticky_ttl_days = v.d, updated_at = v.at
         from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[], $5::bigint[],
            $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[])
            v (i, p, o, n, s, l, c, d, seen, at)
         where v.i = 0 and p.public_id = v.p and p.organization_id = v.o and p.updated_at = v.seen",
};

static AWAITED: Bulk = Bulk {
    sqlite: "select m.key from sender_pools p join messages m on m.sender_pool_id = p.id
         where p.organization_id = ?1 and p.public_id = ?2 and m.waits_until is not null
         limit 1",
    postgres: "select m.key from unnest($1::bigint[], $2::bytea[]) v (o, i)
         join sender_pools p on p.organization_id = v.o and p.public_id = v.i
         join messages m on m.sender_pool_id = p.id where m.waits_until is not null limit 1",
};

static DELETE: Bulk = Bulk {
    sqlite: "delete from sender_pools where organization_id = ?1 and public_id = ?2",
    postgres: "delete from sender_pools where (organization_id, public_id) in
         (select * from unnest($1::bigint[], $2::bytea[]))",
};

static IS_THERE: Bulk = Bulk {
    sqlite: "select id from sender_pools where organization_id = ?1 and id = ?2",
    postgres: "select p.id from unnest($1::bigint[], $2::bigint[]) v (o, i)
         join sender_pools p on p.organization_id = v.o and p.id = v.i",
};

static COUNTED: Bulk = Bulk {
    sqlite: "select key, sender_pool_id, test_mode, sender_pool_day, from_addr from messages
         where key = ?1 and sender_pool_id is not null and sender_pool_day is not null",
    postgres: "select m.key, m.sender_pool_id, m.test_mode, m.sender_pool_day, m.from_addr
         from unnest($1::bigint[]) v (k) join messages m on m.key = v.k
         where m.sender_pool_id is not null and m.sender_pool_day is not null",
};

static UNCOUNT: Bulk = Bulk {
    sqlite: "update messages set sender_pool_day = null where key = ?1",
    postgres: "update messages set sender_pool_day = null where key = any($1::bigint[])",
};

static GIVE_BACK: Bulk = Bulk {
    sqlite: "update sender_pool_uses set used = max(used - ?5, 0)
         where pool_id = ?1 and test_mode = ?2 and day = ?3 and sender = ?4",
    postgres: "update sender_pool_uses u set used = greatest(u.used - v.n, 0)
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
            v (p, t, d, s, n)
         where u.pool_id = v.p and u.test_mode = v.t and u.day = v.d and u.sender = v.s",
};

static DROP_USES: Bulk = Bulk {
    sqlite: "delete from sender_pool_uses where (pool_id, test_mode, day, sender) in
         (select pool_id, test_mode, day, sender from sender_pool_uses where day < ?1 limit ?2)",
    postgres: "delete from sender_pool_uses u using (select x.pool_id, x.test_mode, x.day, x.sender
            from unnest($1::bigint[], $2::bigint[]) v (d, n),
            lateral (select * from sender_pool_uses y where y.day < v.d limit v.n) x) o
         where u.pool_id = o.pool_id and u.test_mode = o.test_mode and u.day = o.day
            and u.sender = o.sender",
};

static DROP_STICKY: Bulk = Bulk {
    sqlite: "delete from sender_pool_sticky where (pool_id, test_mode, recipient) in
         (select pool_id, test_mode, recipient from sender_pool_sticky
            where expires_at < ?1 limit ?2)",
    postgres: "delete from sender_pool_sticky s using (select x.pool_id, x.test_mode, x.recipient
            from unnest($1::bigint[], $2::bigint[]) v (e, n),
            lateral (select * from sender_pool_sticky y where y.expires_at < v.e limit v.n) x) o
         where s.pool_id = o.pool_id and s.test_mode = o.test_mode and s.recipient = o.recipient",
};

static NEXT_POOL: Bulk = Bulk {
    sqlite: "select pool_id from sender_pool_sticky where pool_id > ?1 order by pool_id limit 1",
    postgres: "select x.pool_id from unnest($1::bigint[]) v (p), lateral (select y.pool_id
            from sender_pool_sticky y where y.pool_id > v.p order by y.pool_id limit 1) x",
};

static DROP_ORPHANS: Bulk = Bulk {
    sqlite: "delete from sender_pool_sticky where (pool_id, test_mode, recipient) in
         (select s.pool_id, s.test_mode, s.recipient from sender_pool_sticky s
            where s.pool_id = ?1 and not exists (select 1 from sender_pools p where p.id = ?1)
            limit ?2)",
    postgres: "delete from sender_pool_sticky s using (select x.pool_id, x.test_mode, x.recipient
            from unnest($1::bigint[], $2::bigint[]) v (p, n),
            lateral (select * from sender_pool_sticky y where y.pool_id = v.p
                and not exists (select 1 from sender_pools p where p.id = v.p) limit v.n) x) o
         where s.pool_id = o.pool_id and s.test_mode = o.test_mode and s.recipient = o.recipient",
};
