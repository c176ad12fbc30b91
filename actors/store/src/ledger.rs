//! Money as rows: transfers between accounts, and what a wallet holds. Tables: ledger, wallets.

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::money::Micros;

use crate::error::StoreError;
use crate::{Store, row};

/// Where money can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// Outside the switch: what customers paid in.
    External,
    Available,
    Held,
    Revenue,
}

impl Account {
    #[must_use]
    pub fn code(self) -> i64 {
        match self {
            Self::External => 0,
            Self::Available => 1,
            Self::Held => 2,
            Self::Revenue => 3,
        }
    }
}

/// Why money moved. Stored by number; at most once each per message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferKind {
    TopUp,
    Hold,
    Settle,
    Release,
    /// A month of a phone number.
    NumberRental,
}

impl TransferKind {
    pub const ALL: [Self; 5] =
        [Self::TopUp, Self::Hold, Self::Settle, Self::Release, Self::NumberRental];

    #[must_use]
    pub fn code(self) -> i64 {
        match self {
            Self::TopUp => 1,
            Self::Hold => 2,
            Self::Settle => 3,
            Self::Release => 4,
            Self::NumberRental => 5,
        }
    }

    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TopUp => "top_up",
            Self::Hold => "hold",
            Self::Settle => "settle",
            Self::Release => "release",
            Self::NumberRental => "number_rental",
        }
    }

    /// From which account to which.
    #[must_use]
    pub fn accounts(self) -> (Account, Account) {
        match self {
            Self::TopUp => (Account::External, Account::Available),
            Self::Hold => (Account::Available, Account::Held),
            Self::Settle => (Account::Held, Account::Revenue),
            Self::Release => (Account::Held, Account::Available),
            Self::NumberRental => (Account::Available, Account::Revenue),
        }
    }
}

row! {
    /// What an organization can spend, and what waits to be settled.
    pub struct Wallet {
        pub available: i64,
        pub held: i64,
    }
}

row! {
    /// One transfer, with the public id of its message or call.
    pub struct TransferRow {
        pub seq: i64,
        pub kind: i64,
        pub amount: i64,
        pub at: i64,
        pub note: Option<String>,
        pub message_id: Option<Vec<u8>>,
        pub call_id: Option<Vec<u8>>,
    }
}

/// One organization's books that do not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imbalance {
    pub organization: OrgId,
    pub wallet: (Micros, Micros),
    pub ledger: (Micros, Micros),
}

impl Store {
    pub async fn wallet(&self, organization: OrgId) -> Result<Option<Wallet>, StoreError> {
        let mut tenant = self.tenant(organization).await?;
        let sql = "select available, held from wallets where organization_id = $1";
        let found = sqlx::query_as(sql).bind(organization.0).fetch_optional(tenant.conn()).await?;
        tenant.close().await?;
        self.settled().await?;
        Ok(found)
    }

    /// Newest first, below `before`.
    pub async fn transfers(
        &self,
        organization: OrgId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<TransferRow>, StoreError> {
        let mut tenant = self.tenant(organization).await?;
        let sql = "select l.seq, l.kind, l.amount, l.at, l.note, m.id as message_id,
                c.id as call_id
            from ledger l left join messages m on m.key = l.message_key
            left join call_slices s on s.key = l.message_key
            left join calls c on c.key = coalesce(s.call_key, l.message_key)
            where l.organization_id = $1 and l.seq < $2 order by l.seq desc limit $3";
        let rows = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(before)
            .bind(limit)
            .fetch_all(tenant.conn())
            .await?;
        tenant.close().await?;
        self.settled().await?;
        Ok(rows)
    }

    /// Wallets that differ from the sum of their transfers. Empty on a sound store.
    pub async fn imbalances(&self) -> Result<Vec<Imbalance>, StoreError> {
        let sql = "select w.organization_id, w.available, w.held,
            cast(coalesce(sum(case when l.credit = 1 then l.amount when l.debit = 1 then -l.amount
                else 0 end), 0) as bigint) as sum_available,
            cast(coalesce(sum(case when l.credit = 2 then l.amount when l.debit = 2 then -l.amount
                else 0 end), 0) as bigint) as sum_held
            from wallets w left join ledger l on l.organization_id = w.organization_id
            group by w.organization_id, w.available, w.held";
        let rows: Vec<Books> = sqlx::query_as(sql).fetch_all(self.engine()).await?;
        let off =
            rows.into_iter().filter(|b| (b.available, b.held) != (b.sum_available, b.sum_held));
        Ok(off
            .map(|b| Imbalance {
                organization: OrgId(b.organization_id),
                wallet: (Micros(b.available), Micros(b.held)),
                ledger: (Micros(b.sum_available), Micros(b.sum_held)),
            })
            .collect())
    }

    /// The transfers of one message, oldest first: kind and amount.
    pub async fn transfers_of(
        &self,
        message: MessageKey,
    ) -> Result<Vec<(TransferKind, Micros, At)>, StoreError> {
        let sql = "select seq, kind, amount, at, note, cast(null as blob) as message_id,
                cast(null as blob) as call_id
            from ledger where message_key = $1 order by seq";
        let postgres = "select seq, kind, amount, at, note, cast(null as bytea) as message_id,
                cast(null as bytea) as call_id
            from ledger where message_key = $1 order by seq";
        let sql = if self.is_postgres() { postgres } else { sql };
        let rows: Vec<TransferRow> =
            sqlx::query_as(sql).bind(message.0).fetch_all(self.engine()).await?;
        rows.into_iter()
            .map(|row| {
                let kind = TransferKind::from_code(row.kind)
                    .ok_or(StoreError::Impossible("a transfer of no known kind"))?;
                Ok((kind, Micros(row.amount), At(row.at)))
            })
            .collect()
    }
}

row! {
    struct Books {
        organization_id: i64,
        available: i64,
        held: i64,
        sum_available: i64,
        sum_held: i64,
    }
}
