//! Accounts at carriers as rows: named, owned, ended, and settled. Tables: carriers, smpp_carriers,
//! outbox, parts, messages, sweeps.
//!
//! What was sent refers to its account for good, so no row is dropped. An account ends with its
//! carrier. It is settled when nothing waits there and no receipt is to come: then nobody looks after
//! it any more, and it costs nothing until a carrier of its name is there again.

use std::time::Duration;

use model::carrier::{CarrierId, OrgId};
use model::clock::At;

use super::carriers::whose;
use super::{AdminDone, Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// An organization's carriers count for this long after they were deleted.
const COUNTED: Duration = Duration::from_secs(24 * 3600);
/// After this what was under way when an account ended has been finished or given up.
const LEAVING: Duration = Duration::from_secs(60);

impl Lane {
    /// The account of this name, made if there is none; one that had ended goes on.
    pub(super) async fn name_account(
        &mut self,
        name: &str,
        organization: Option<OrgId>,
    ) -> Result<AdminDone, StoreError> {
        // Of a new one nothing was sent before. Beside another process's lane that is not certain.
        let from = if self.alone { self.number() } else { 0 };
        let columns = [Column::Text(vec![name]), whose(organization), Column::Int(vec![from])];
        self.account(&NAME_ACCOUNT, &columns).await
    }

    /// The same, and a new epoch begins. One that has ended has not yet: its owner may send what
    /// was left.
    pub(super) async fn own_account(
        &mut self,
        name: &str,
        now: At,
    ) -> Result<AdminDone, StoreError> {
        let owned = self.account(&OWN_ACCOUNT, &[Column::Text(vec![name])]).await?;
        if let AdminDone::Carrier { id, .. } = owned {
            let columns = [Column::Int(vec![id.0]), Column::Int(vec![now.micros()])];
            self.conn.run(&PROLONG, &columns).await?;
        }
        Ok(owned)
    }

    async fn account(
        &mut self,
        statement: &'static Bulk,
        columns: &[Column<'_>],
    ) -> Result<AdminDone, StoreError> {
        let lines = self.conn.fetch(statement, columns).await?;
        let line = lines.first().ok_or(StoreError::Impossible("a carrier without a row"))?;
        Ok(AdminDone::Carrier {
            id: CarrierId(line.int(0)?),
            epoch: line.int(1)?,
            paused: line.maybe_int(2)?.is_some(),
        })
    }

    /// How many carriers an organization has, with those that it deleted of late.
    pub(super) async fn accounts_of(
        &mut self,
        organization: Option<OrgId>,
        now: At,
    ) -> Result<i64, StoreError> {
        let columns = [whose(organization), Column::Int(vec![now.minus(COUNTED).micros()])];
        let lines = self.conn.fetch(&COUNT_ACCOUNTS, &columns).await?;
        lines.first().map_or(Ok(0), |line| line.int(0))
    }

    /// No carrier uses these any more.
    pub(super) async fn end_accounts(
        &mut self,
        accounts: &[CarrierId],
        now: At,
    ) -> Result<(), StoreError> {
        if accounts.is_empty() {
            return Ok(());
        }
        let at = Column::Int(vec![now.micros(); accounts.len()]);
        self.conn.run(&END, &[numbers(accounts), at]).await?;
        Ok(())
    }

    /// These ended, and the log was searched for what they had sent. Where something waits all the
    /// same the end is not yet.
    pub(super) async fn settle(
        &mut self,
        accounts: &[CarrierId],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        if accounts.is_empty() {
            return Ok(());
        }
        let at = || Column::Int(vec![now.micros(); accounts.len()]);
        let from = self.number();
        let columns = [numbers(accounts), at(), Column::Int(vec![from; accounts.len()])];
        self.settled(&SETTLE, &columns, gathered).await?;
        self.conn.run(&PROLONG_UNSETTLED, &[numbers(accounts), at()]).await?;
        Ok(())
    }

    /// Settles those that ended and never sent anything, or nothing that is known still.
    pub(super) async fn settle_idle(
        &mut self,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let columns = [
            Column::Int(vec![now.minus(LEAVING).micros()]),
            Column::Int(vec![now.micros()]),
            Column::Int(vec![self.number()]),
        ];
        self.settled(&SETTLE_IDLE, &columns, gathered).await
    }

    async fn settled(
        &mut self,
        statement: &'static Bulk,
        columns: &[Column<'_>],
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let lines = self.conn.fetch(statement, columns).await?;
        let settled: Vec<i64> = lines.iter().map(|line| line.int(0)).collect::<Result<_, _>>()?;
        if settled.is_empty() {
            return Ok(());
        }
        gathered.settled.extend(settled.iter().copied().map(CarrierId));
        self.conn.run(&FORGET_CURSORS, &[Column::Int(settled)]).await?;
        Ok(())
    }
}

fn numbers(accounts: &[CarrierId]) -> Column<'static> {
    Column::Int(accounts.iter().map(|account| account.0).collect())
}

static NAME_ACCOUNT: Bulk = Bulk {
    sqlite: "insert into carriers (name, epoch, organization_id, swept_from)
         values (?1, 0, ?2, ?3)
         on conflict (name) do update set ended_at = null, settled_at = null
         returning id, epoch, paused_at",
    postgres: "insert into carriers (name, epoch, organization_id, swept_from)
         select n, 0, o, s from unnest($1::text[], $2::bigint[], $3::bigint[]) v (n, o, s)
         on conflict (name) do update set ended_at = null, settled_at = null
         returning id, epoch, paused_at",
};

static OWN_ACCOUNT: Bulk = Bulk {
    sqlite: "insert into carriers (name, epoch) values (?1, 1)
         on conflict (name) do update set epoch = carriers.epoch + 1
         returning id, epoch, paused_at",
    postgres: "insert into carriers (name, epoch) select n, 1 from unnest($1::text[]) v (n)
         on conflict (name) do update set epoch = carriers.epoch + 1
         returning id, epoch, paused_at",
};

static PROLONG: Bulk = Bulk {
    sqlite: "update carriers set ended_at = ?2, settled_at = null
         where id = ?1 and ended_at is not null",
    postgres: "update carriers c set ended_at = v.n, settled_at = null
         from unnest($1::bigint[], $2::bigint[]) v (c, n)
         where c.id = v.c and c.ended_at is not null",
};

static PROLONG_UNSETTLED: Bulk = Bulk {
    sqlite: "update carriers set ended_at = ?2
         where id = ?1 and ended_at is not null and settled_at is null",
    postgres: "update carriers c set ended_at = v.n
         from unnest($1::bigint[], $2::bigint[]) v (c, n)
         where c.id = v.c and c.ended_at is not null and c.settled_at is null",
};

static COUNT_ACCOUNTS: Bulk = Bulk {
    sqlite: "select (select count(*) from smpp_carriers where organization_id = ?1)
            + (select count(*) from carriers where organization_id = ?1 and ended_at > ?2)",
    postgres: "select (select count(*) from smpp_carriers s where s.organization_id = v.o)
            + (select count(*) from carriers c where c.organization_id = v.o and c.ended_at > v.n)
         from unnest($1::bigint[], $2::bigint[]) v (o, n)",
};

static END: Bulk = Bulk {
    sqlite: "update carriers set ended_at = ?2 where id = ?1 and ended_at is null
            and not exists (select 1 from smpp_carriers where carrier_id = ?1)",
    postgres: "update carriers c set ended_at = v.n
         from unnest($1::bigint[], $2::bigint[]) v (c, n)
         where c.id = v.c and c.ended_at is null
            and not exists (select 1 from smpp_carriers s where s.carrier_id = v.c)",
};

static SETTLE: Bulk = Bulk {
    sqlite: "update carriers set settled_at = ?2, swept_from = ?3
         where id = ?1 and ended_at is not null and settled_at is null
            and not exists (select 1 from outbox where carrier_id = ?1)
         returning id",
    postgres: "update carriers c set settled_at = v.n, swept_from = v.s
         from unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (c, n, s)
         where c.id = v.c and c.ended_at is not null and c.settled_at is null
            and not exists (select 1 from outbox o where o.carrier_id = v.c)
         returning c.id",
};

/// What was sent has its carrier's id in `parts`, or is found by the index of those without one.
static SETTLE_IDLE: Bulk = Bulk {
    sqlite: "update carriers set settled_at = ?2, swept_from = ?3
         where ended_at < ?1 and ended_at is not null and settled_at is null
            and not exists (select 1 from outbox o where o.carrier_id = carriers.id)
            and not exists (select 1 from parts p where p.carrier_id = carriers.id)
            and not exists (select 1 from messages m where m.carrier_id = carriers.id
                and m.nameless is not null)
         returning id",
    postgres: "update carriers c set settled_at = v.n, swept_from = v.s
         from unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (b, n, s)
         where c.ended_at < v.b and c.ended_at is not null and c.settled_at is null
            and not exists (select 1 from outbox o where o.carrier_id = c.id)
            and not exists (select 1 from parts p where p.carrier_id = c.id)
            and not exists (select 1 from messages m where m.carrier_id = c.id
                and m.nameless is not null)
         returning c.id",
};

static FORGET_CURSORS: Bulk = Bulk {
    sqlite: "delete from sweeps where carrier_id = ?1",
    postgres: "delete from sweeps where carrier_id = any ($1::bigint[])",
};
