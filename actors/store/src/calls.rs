//! Calls, their records and their messages, as read. Tables: calls, call_legs, sip_messages.

use model::carrier::{MessageKey, OrgId};
use model::id::PublicId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A call as its organization sees it.
    pub struct CallRow {
        pub key: i64,
        pub id: Vec<u8>,
        pub direction: i64,
        pub status: i64,
        pub test_mode: i64,
        pub created_at: i64,
        pub ringing_at: Option<i64>,
        pub answered_at: Option<i64>,
        pub ended_at: Option<i64>,
        pub from_addr: Option<String>,
        pub to_addr: String,
        pub prefix: String,
        pub rate_per_min: i64,
        pub initial_s: i64,
        pub increment_s: i64,
        pub connect_fee: i64,
        pub held: i64,
        pub covered_s: i64,
        pub billable_s: Option<i64>,
        pub cost: Option<i64>,
        pub uncollected: Option<i64>,
        pub end_reason: Option<i64>,
        pub sip_code: Option<i64>,
        pub q850: Option<i64>,
        pub hangup_by: Option<i64>,
        pub transport: Option<i64>,
        /// JSON: see `model::voice::Facts`.
        pub facts: String,
        /// The legs of a call that is not over: see `model::voice::read_legs`.
        pub legs: Option<String>,
        pub metadata: Option<String>,
    }
}

row! {
    /// What became of a leg: a call detail record.
    pub struct CdrRow {
        pub seq: i64,
        pub call_id: Vec<u8>,
        pub leg_id: Vec<u8>,
        pub corrects: Option<i64>,
        pub kind: i64,
        pub direction: i64,
        pub test_mode: i64,
        pub from_addr: Option<String>,
        pub to_addr: String,
        pub party: Option<String>,
        pub trunk: Option<String>,
        pub prefix: String,
        pub country: Option<String>,
        pub started_at: i64,
        pub answered_at: Option<i64>,
        pub ended_at: i64,
        pub duration_s: i64,
        pub billable_s: i64,
        pub rate_per_min: i64,
        pub initial_s: i64,
        pub increment_s: i64,
        pub connect_fee: i64,
        pub cost: i64,
        pub carrier_cost: i64,
        pub end_reason: i64,
        pub sip_code: Option<i64>,
        pub q850: Option<i64>,
        pub attest: Option<i64>,
        pub codec: Option<String>,
        pub pdd_ms: Option<i64>,
        pub mos: Option<i64>,
        pub jitter_us: Option<i64>,
        pub loss_ppm: Option<i64>,
        pub rtt_us: Option<i64>,
        /// Of its call.
        pub facts: String,
    }
}

row! {
    /// Some SIP messages of a call: see `model::voice::unpack`.
    pub struct LadderRow {
        pub seq: i64,
        pub at: i64,
        pub messages: Vec<u8>,
    }
}

row! {
    struct Range {
        newest: Option<i64>,
        oldest: Option<i64>,
        n: i64,
    }
}

/// Where records are that a filter lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CdrRange {
    pub newest: i64,
    pub oldest: i64,
    pub rows: i64,
    /// There are older ones.
    pub more: bool,
}

/// What a list of calls or records is narrowed to. Each is optional.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Of calls alone.
    pub status: Option<i64>,
    pub direction: Option<i64>,
    pub from: Option<String>,
    pub to: Option<String>,
    /// Of records alone: those of one call.
    pub call: Option<MessageKey>,
    /// When a call was made, or a leg ended.
    pub after: Option<i64>,
    pub before: Option<i64>,
}

/// The columns of [`CallRow`]; statements add what they select by.
macro_rules! select_calls {
    ($rest:literal) => {
        concat!(
            "select c.key, c.id, c.direction, c.status, c.test_mode, c.created_at, c.ringing_at,
                c.answered_at, c.ended_at, c.from_addr, c.to_addr, c.prefix, c.rate_per_min,
                c.initial_s, c.increment_s, c.connect_fee, c.held, c.covered_s, c.billable_s,
                c.cost, c.uncollected, c.end_reason, c.sip_code, c.q850, c.hangup_by,
                c.transport, c.facts, c.legs, c.metadata
            from calls c ",
            $rest
        )
    };
}

/// The columns of [`CdrRow`].
macro_rules! select_legs {
    ($rest:literal) => {
        concat!(
            "select l.seq, c.id as call_id, l.leg_id, l.corrects, l.kind, l.direction, l.test_mode,
                l.from_addr, l.to_addr, l.party, l.trunk, l.prefix, l.country, l.started_at,
                l.answered_at, l.ended_at, l.duration_s, l.billable_s, l.rate_per_min, l.initial_s,
                l.increment_s, l.connect_fee, l.cost, l.carrier_cost, l.end_reason, l.sip_code,
                l.q850, l.attest, l.codec, l.pdd_ms, l.mos, l.jitter_us, l.loss_ppm, l.rtt_us,
                c.facts
            from call_legs l join calls c on c.key = l.call_key ",
            $rest
        )
    };
}

impl Store {
    pub async fn call(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<CallRow>, StoreError> {
        let sql = select_calls!("where c.organization_id = $1 and c.id = $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// Newest first, below `before`.
    pub async fn calls(
        &self,
        organization: OrgId,
        filter: &CallFilter,
        before: i64,
        limit: i64,
    ) -> Result<Vec<CallRow>, StoreError> {
        let sql = select_calls!(
            "where c.organization_id = $1 and c.key < $2
                and ($3 is null or c.status = $4)
                and ($5 is null or c.direction = $6)
                and ($7 is null or c.to_addr = $8)
                and ($9 is null or c.from_addr = $10)
                and c.created_at >= $11 and c.created_at < $12
            order by c.key desc limit $13"
        );
        // Each optional bind comes twice: once as a flag, since PostgreSQL cannot type a lone null.
        let flag = |given: bool| given.then_some(1_i64);
        let query = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(before)
            .bind(flag(filter.status.is_some()))
            .bind(filter.status.unwrap_or(0))
            .bind(flag(filter.direction.is_some()))
            .bind(filter.direction.unwrap_or(0))
            .bind(flag(filter.to.is_some()))
            .bind(filter.to.clone().unwrap_or_default())
            .bind(flag(filter.from.is_some()))
            .bind(filter.from.clone().unwrap_or_default())
            .bind(filter.after.unwrap_or(i64::MIN))
            .bind(filter.before.unwrap_or(i64::MAX))
            .bind(limit);
        self.all_of(organization, query).await
    }

    /// Records of legs, newest first, below `before`.
    pub async fn cdrs(
        &self,
        organization: OrgId,
        filter: &CallFilter,
        before: i64,
        limit: i64,
    ) -> Result<Vec<CdrRow>, StoreError> {
        // Those of one call are found by it, not among all of the organization's: the plus says so.
        let of_all = select_legs!(
            "where l.organization_id = $1 and l.seq < $2
                and ($3 is null or l.call_key = $4)
                and ($5 is null or l.direction = $6)
                and ($7 is null or l.to_addr = $8)
                and ($9 is null or l.from_addr = $10)
                and l.ended_at >= $11 and l.ended_at < $12
            order by l.seq desc limit $13"
        );
        let of_one = select_legs!(
            "where +l.organization_id = $1 and l.seq < $2
                and $3 is not null and l.call_key = $4
                and ($5 is null or l.direction = $6)
                and ($7 is null or l.to_addr = $8)
                and ($9 is null or l.from_addr = $10)
                and l.ended_at >= $11 and l.ended_at < $12
            order by l.seq desc limit $13"
        );
        let sql = if filter.call.is_some() { of_one } else { of_all };
        let flag = |given: bool| given.then_some(1_i64);
        let query = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(before)
            .bind(flag(filter.call.is_some()))
            .bind(filter.call.map_or(0, |key| key.0))
            .bind(flag(filter.direction.is_some()))
            .bind(filter.direction.unwrap_or(0))
            .bind(flag(filter.to.is_some()))
            .bind(filter.to.clone().unwrap_or_default())
            .bind(flag(filter.from.is_some()))
            .bind(filter.from.clone().unwrap_or_default())
            .bind(filter.after.unwrap_or(i64::MIN))
            .bind(filter.before.unwrap_or(i64::MAX))
            .bind(limit);
        self.all_of(organization, query).await
    }

    /// The newest records that a filter lets through, `most` of them, as a range; `None`: there are
    /// none.
    pub async fn cdr_range(
        &self,
        organization: OrgId,
        filter: &CallFilter,
        most: i64,
    ) -> Result<Option<CdrRange>, StoreError> {
        let sql =
            "select max(t.seq) as newest, min(case when t.place <= $1 then t.seq end) as oldest,
                count(*) as n
            from (select l.seq, row_number() over (order by l.seq desc) as place from call_legs l
                where l.organization_id = $2
                    and ($3 is null or l.call_key = $4)
                    and ($5 is null or l.direction = $6)
                    and ($7 is null or l.to_addr = $8)
                    and ($9 is null or l.from_addr = $10)
                    and l.ended_at >= $11 and l.ended_at < $12
                order by l.seq desc limit $13) t";
        let flag = |given: bool| given.then_some(1_i64);
        let query = sqlx::query_as(sql)
            .bind(most)
            .bind(organization.0)
            .bind(flag(filter.call.is_some()))
            .bind(filter.call.map_or(0, |key| key.0))
            .bind(flag(filter.direction.is_some()))
            .bind(filter.direction.unwrap_or(0))
            .bind(flag(filter.to.is_some()))
            .bind(filter.to.clone().unwrap_or_default())
            .bind(flag(filter.from.is_some()))
            .bind(filter.from.clone().unwrap_or_default())
            .bind(filter.after.unwrap_or(i64::MIN))
            .bind(filter.before.unwrap_or(i64::MAX))
            .bind(most + 1);
        let range: Option<Range> = self.one_of(organization, query).await?;
        Ok(range.and_then(|range| {
            let (newest, oldest) = (range.newest?, range.oldest?);
            Some(CdrRange { newest, oldest, rows: range.n.min(most), more: range.n > most })
        }))
    }

    /// The records of one call, oldest first.
    pub async fn legs_of(
        &self,
        organization: OrgId,
        call: MessageKey,
        limit: i64,
    ) -> Result<Vec<CdrRow>, StoreError> {
        let sql = select_legs!(
            "where l.call_key = $1 and +l.organization_id = $2 order by l.seq limit $3"
        );
        let query = sqlx::query_as(sql).bind(call.0).bind(organization.0).bind(limit);
        self.all_of(organization, query).await
    }

    /// The messages of a call, oldest first.
    pub async fn ladder(
        &self,
        organization: OrgId,
        call: MessageKey,
        limit: i64,
    ) -> Result<Vec<LadderRow>, StoreError> {
        let sql = "select seq, at, messages from sip_messages
            where call_key = $1 and organization_id = $2 order by seq limit $3";
        let query = sqlx::query_as(sql).bind(call.0).bind(organization.0).bind(limit);
        self.all_of(organization, query).await
    }
}
