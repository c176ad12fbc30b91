//! The rows of calls: what a transaction reads of them, and what it writes, a statement per table.

use std::collections::{HashMap, HashSet};

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::country::country_of;
use model::message::Direction;
use model::money::Micros;
use model::voice::{Attest, EndReason, Leg};

use super::super::Lane;
use super::state::State;
use super::{Books, CallChange, LOST_MAX, LostCalls};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

pub(super) struct SliceRow {
    pub(super) call: MessageKey,
    pub(super) slice: i64,
    pub(super) number: MessageKey,
    pub(super) organization: OrgId,
    pub(super) seconds: i64,
    pub(super) amount: Micros,
    pub(super) at: At,
}

pub(super) struct LegRow {
    pub(super) seq: i64,
    /// Its call, whose that is, and whether it is a test.
    pub(super) of: (MessageKey, OrgId, bool),
    pub(super) leg: Leg,
    pub(super) end: At,
}

pub(super) struct LadderRow {
    pub(super) seq: i64,
    pub(super) call: MessageKey,
    pub(super) organization: OrgId,
    pub(super) at: At,
    pub(super) messages: Vec<u8>,
}

/// Calls by key, and which of them each loss is about, by its place among the changes.
type Found = (HashMap<i64, State>, HashMap<usize, Vec<i64>>);

impl Lane {
    /// How far calls have come: the last word on each.
    pub(super) async fn checkpoint(&mut self, changes: &[CallChange]) -> Result<(), StoreError> {
        let mut last: HashMap<i64, i64> = HashMap::new();
        for change in changes {
            let CallChange::Checkpoint(calls) = change else { continue };
            for (key, at) in calls {
                let until = last.entry(key.0).or_insert(at.0);
                *until = (*until).max(at.0);
            }
        }
        let mut last: Vec<(i64, i64)> = last.into_iter().collect();
        last.sort_unstable();
        let columns = [
            Column::Int(last.iter().map(|(key, _)| *key).collect()),
            Column::Int(last.iter().map(|(_, until)| *until).collect()),
        ];
        self.conn.run(&CHECKPOINT, &columns).await?;
        Ok(())
    }

    /// The calls that are not over of which these changes tell.
    pub(super) async fn read_calls(&mut self, changes: &[CallChange]) -> Result<Found, StoreError> {
        let (mut keys, mut lost) = (Vec::new(), HashMap::new());
        let mut calls: HashMap<i64, State> = HashMap::new();
        for (at, change) in changes.iter().enumerate() {
            match change {
                CallChange::Open(_) | CallChange::Checkpoint(_) | CallChange::Ladder { .. } => {}
                CallChange::Progress(progress) => keys.push(progress.key.0),
                CallChange::Transferred(moved) => keys.push(moved.key.0),
                CallChange::Renew { key, .. } | CallChange::Held { key, .. } => keys.push(key.0),
                CallChange::Close(closing) => keys.push(closing.key.0),
                CallChange::Lost { calls: LostCalls::These(these), .. } => {
                    keys.extend(these.iter().map(|key| key.0));
                    lost.insert(at, these.iter().map(|key| key.0).collect());
                }
                CallChange::Lost { calls: LostCalls::Named(ids), .. } => {
                    let ids = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
                    let found = self.states(&BY_ID, &[Column::Blob(ids)], &mut calls).await?;
                    lost.insert(at, found);
                }
                CallChange::Lost { calls: LostCalls::Between(from, below), .. } => {
                    let one = |value: i64| Column::Int(vec![value]);
                    let columns = [one(from.0), one(below.0), one(LOST_MAX as i64)];
                    let found = self.states(&BETWEEN, &columns, &mut calls).await?;
                    lost.insert(at, found);
                }
            }
        }
        keys.sort_unstable();
        keys.dedup();
        self.states(&BY_KEY, &[Column::Int(keys)], &mut calls).await?;
        Ok((calls, lost))
    }

    async fn states(
        &mut self,
        sql: &'static Bulk,
        columns: &[Column<'_>],
        calls: &mut HashMap<i64, State>,
    ) -> Result<Vec<i64>, StoreError> {
        let mut keys = Vec::new();
        for line in self.conn.fetch(sql, columns).await? {
            let call = State::read(&line)?;
            keys.push(call.key.0);
            calls.entry(call.key.0).or_insert(call);
        }
        Ok(keys)
    }

    pub(super) async fn write_calls(&mut self, books: &Books) -> Result<(), StoreError> {
        let mut calls: Vec<&State> = books.calls.values().collect();
        calls.sort_unstable_by_key(|call| call.key);
        let fresh: Vec<&State> = calls.iter().copied().filter(|call| call.fresh).collect();
        self.insert_calls(&fresh).await?;
        // Made and over in one transaction: written as any other end.
        let changed = calls.into_iter().filter(|call| call.changed);
        self.update_calls(&changed.collect::<Vec<_>>()).await?;
        self.insert_slices(&books.slices).await?;
        self.insert_legs(&books.legs).await?;
        let ladders = &books.ladders;
        let columns = [
            Column::Int(ladders.iter().map(|row| row.seq).collect()),
            Column::Int(ladders.iter().map(|row| row.call.0).collect()),
            Column::Int(ladders.iter().map(|row| row.organization.0).collect()),
            Column::Int(ladders.iter().map(|row| row.at.0).collect()),
            Column::Blob(ladders.iter().map(|row| row.messages.as_slice()).collect()),
        ];
        self.conn.run(&INSERT_LADDERS, &columns).await?;
        Ok(())
    }

    async fn insert_calls(&mut self, calls: &[&State]) -> Result<(), StoreError> {
        let int = |of: fn(&State) -> i64| Column::Int(calls.iter().map(|call| of(call)).collect());
        let columns = [
            int(|call| call.key.0),
            Column::Blob(calls.iter().map(|call| call.id.as_bytes().as_slice()).collect()),
            int(|call| call.organization.0),
            int(|call| call.direction.code()),
            int(|call| call.status.code()),
            int(|call| call.test.into()),
            int(|call| call.created_at.0),
            Column::MaybeText(calls.iter().map(|call| call.from.as_deref()).collect()),
            Column::Text(calls.iter().map(|call| call.to.as_str()).collect()),
            Column::Text(calls.iter().map(|call| call.rated.prefix.as_str()).collect()),
            int(|call| call.rated.tariff.per_minute),
            int(|call| call.rated.tariff.initial_s.into()),
            int(|call| call.rated.tariff.increment_s.into()),
            int(|call| call.rated.tariff.connect_fee),
            int(|call| call.held.0),
            int(|call| call.covered_s),
            int(|call| call.slices),
            Column::MaybeInt(calls.iter().map(|call| call.transport.map(|t| t.code())).collect()),
            Column::Text(calls.iter().map(|call| call.facts.as_str()).collect()),
            Column::MaybeText(calls.iter().map(|call| call.legs.as_deref()).collect()),
            Column::MaybeText(calls.iter().map(|call| call.metadata.as_deref()).collect()),
        ];
        self.conn.run(&INSERT_CALLS, &columns).await?;
        Ok(())
    }

    async fn update_calls(&mut self, calls: &[&State]) -> Result<(), StoreError> {
        let int = |of: fn(&State) -> i64| Column::Int(calls.iter().map(|call| of(call)).collect());
        let maybe = |of: fn(&State) -> Option<i64>| {
            Column::MaybeInt(calls.iter().map(|call| of(call)).collect())
        };
        // The records of a call that is over say more than the text did.
        let legs = |call: &&&State| call.end.is_none();
        let columns = [
            int(|call| call.key.0),
            int(|call| call.status.code()),
            maybe(|call| call.ringing_at.map(At::micros)),
            maybe(|call| call.answered_at.map(At::micros)),
            maybe(|call| call.talked_until.map(At::micros)),
            maybe(|call| call.end.as_ref().map(|end| end.at.0)),
            int(|call| call.held.0),
            int(|call| call.covered_s),
            int(|call| call.slices),
            maybe(|call| call.end.as_ref().map(|end| end.charge.billable_s)),
            maybe(|call| call.end.as_ref().map(|end| end.charge.cost.0)),
            maybe(|call| call.end.as_ref().map(|end| end.uncollected.0)),
            maybe(|call| call.end.as_ref().map(|end| end.reason.code())),
            maybe(|call| call.end.as_ref().and_then(|end| end.sip_code).map(i64::from)),
            maybe(|call| call.end.as_ref().map(|end| i64::from(end.q850))),
            maybe(|call| call.end.as_ref().map(|end| end.by.code())),
            maybe(|call| call.transport.map(|transport| transport.code())),
            Column::Text(calls.iter().map(|call| call.facts.as_str()).collect()),
            Column::MaybeText(
                calls
                    .iter()
                    .map(|call| Some(call).filter(legs).and_then(|call| call.legs.as_deref()))
                    .collect(),
            ),
        ];
        self.conn.run(&UPDATE_CALLS, &columns).await?;
        Ok(())
    }

    async fn insert_slices(&mut self, slices: &[SliceRow]) -> Result<(), StoreError> {
        let int = |of: fn(&SliceRow) -> i64| Column::Int(slices.iter().map(of).collect());
        let columns = [
            int(|slice| slice.call.0),
            int(|slice| slice.slice),
            int(|slice| slice.number.0),
            int(|slice| slice.organization.0),
            int(|slice| slice.seconds),
            int(|slice| slice.amount.0),
            int(|slice| slice.at.0),
        ];
        self.conn.run(&INSERT_SLICES, &columns).await?;
        Ok(())
    }

    async fn insert_legs(&mut self, rows: &[LegRow]) -> Result<(), StoreError> {
        // A leg is recorded once, whoever names it twice.
        let mut seen = HashSet::new();
        let rows: Vec<&LegRow> =
            rows.iter().filter(|row| seen.insert((row.of.0, row.leg.id))).collect();
        let charges: Vec<_> = rows.iter().map(|row| row.leg.charge(row.end)).collect();
        let int = |of: fn(&LegRow) -> i64| Column::Int(rows.iter().map(|row| of(row)).collect());
        let maybe = |of: fn(&LegRow) -> Option<i64>| {
            Column::MaybeInt(rows.iter().map(|row| of(row)).collect())
        };
        let columns = [
            int(|row| row.seq),
            int(|row| row.of.0.0),
            Column::Blob(rows.iter().map(|row| row.leg.id.as_bytes().as_slice()).collect()),
            int(|row| row.of.1.0),
            int(|row| row.leg.kind.code()),
            int(|row| row.leg.direction.code()),
            int(|row| row.of.2.into()),
            Column::MaybeText(rows.iter().map(|row| row.leg.from.as_deref()).collect()),
            Column::Text(rows.iter().map(|row| row.leg.to.as_str()).collect()),
            Column::MaybeText(rows.iter().map(|row| row.leg.party.as_deref()).collect()),
            Column::MaybeText(rows.iter().map(|row| row.leg.trunk.as_deref()).collect()),
            Column::Text(rows.iter().map(|row| row.leg.prefix.as_str()).collect()),
            Column::MaybeText(rows.iter().map(|row| country(&row.leg)).collect()),
            int(|row| row.leg.started_at.0),
            maybe(|row| row.leg.answered_at.map(At::micros)),
            int(|row| row.leg.ended_at.unwrap_or(row.end).0),
            Column::Int(charges.iter().map(|charge| charge.duration_s).collect()),
            Column::Int(charges.iter().map(|charge| charge.billable_s).collect()),
            int(|row| row.leg.tariff.per_minute),
            int(|row| row.leg.tariff.initial_s.into()),
            int(|row| row.leg.tariff.increment_s.into()),
            int(|row| row.leg.tariff.connect_fee),
            Column::Int(charges.iter().map(|charge| charge.cost.0).collect()),
            Column::Int(charges.iter().map(|charge| charge.carrier_cost.0).collect()),
            int(|row| row.leg.end.unwrap_or(EndReason::Normal).code()),
            maybe(|row| row.leg.sip_code.map(i64::from)),
            maybe(|row| row.leg.q850.map(i64::from)),
            maybe(|row| row.leg.attest.map(Attest::code)),
            Column::MaybeText(rows.iter().map(|row| row.leg.codec.as_deref()).collect()),
            maybe(|row| row.leg.pdd_ms.map(i64::from)),
            maybe(|row| row.leg.quality.map(|quality| i64::from(quality.mos))),
            maybe(|row| row.leg.quality.map(|quality| i64::from(quality.jitter_us))),
            maybe(|row| row.leg.quality.map(|quality| i64::from(quality.loss_ppm))),
            maybe(|row| row.leg.quality.map(|quality| i64::from(quality.rtt_us))),
        ];
        self.conn.run(&INSERT_LEGS, &columns).await?;
        Ok(())
    }
}

/// Of the number at its other end.
fn country(leg: &Leg) -> Option<&'static str> {
    let number = match leg.direction {
        Direction::Outbound => Some(leg.to.as_str()),
        Direction::Inbound => leg.from.as_deref(),
    };
    country_of(number?.strip_prefix('+')?)
}

/// The columns that [`State::read`] reads, in its order.
macro_rules! select_calls {
    ($rest:literal) => {
        concat!(
            "select c.key, c.id, c.organization_id, c.direction, c.status, c.test_mode,
            c.created_at, c.ringing_at, c.answered_at, c.talked_until, c.from_addr, c.to_addr,
            c.prefix, c.rate_per_min, c.initial_s, c.increment_s, c.connect_fee, c.held,
            c.covered_s, c.slices, c.transport, c.facts, c.legs, c.metadata ",
            $rest
        )
    };
}

static BY_KEY: Bulk = Bulk {
    sqlite: select_calls!("from calls c where c.key = ?1 and c.ended_at is null"),
    postgres: select_calls!(
        "from unnest($1::bigint[]) v (k) join calls c on c.key = v.k
         where c.ended_at is null for update of c"
    ),
};

static BY_ID: Bulk = Bulk {
    sqlite: select_calls!("from calls c where c.id = ?1 and c.ended_at is null"),
    postgres: select_calls!(
        "from unnest($1::bytea[]) v (i) join calls c on c.id = v.i
         where c.ended_at is null for update of c"
    ),
};

static BETWEEN: Bulk = Bulk {
    sqlite: select_calls!(
        "from calls c where c.key >= ?1 and c.key < ?2 and c.ended_at is null
         order by c.key limit ?3"
    ),
    postgres: select_calls!(
        "from unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (f, k, n) cross join lateral (
            select * from calls o where o.key >= v.f and o.key < v.k and o.ended_at is null
            order by o.key limit v.n) c"
    ),
};

static CHECKPOINT: Bulk = Bulk {
    sqlite: "update calls set talked_until = ?2
         where key = ?1 and ended_at is null and talked_until < ?2",
    postgres: "update calls set talked_until = v.t
         from unnest($1::bigint[], $2::bigint[]) v (k, t)
         where key = v.k and ended_at is null and talked_until < v.t",
};

static INSERT_CALLS: Bulk = Bulk {
    sqlite: "insert into calls (key, id, organization_id, direction, status, test_mode, created_at,
            from_addr, to_addr, prefix, rate_per_min, initial_s, increment_s, connect_fee, held,
            covered_s, slices, transport, facts, legs, metadata)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
            ?19, ?20, ?21)",
    postgres: "insert into calls (key, id, organization_id, direction, status, test_mode,
            created_at, from_addr, to_addr, prefix, rate_per_min, initial_s, increment_s,
            connect_fee, held, covered_s, slices, transport, facts, legs, metadata)
         select * from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::bigint[],
            $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[],
            $17::bigint[], $18::bigint[], $19::text[], $20::text[], $21::text[])",
};

static UPDATE_CALLS: Bulk = Bulk {
    sqlite: "update calls set status = ?2, ringing_at = ?3, answered_at = ?4, talked_until = ?5,
            ended_at = ?6, held = ?7, covered_s = ?8, slices = ?9, billable_s = ?10, cost = ?11,
            uncollected = ?12, end_reason = ?13, sip_code = ?14, q850 = ?15, hangup_by = ?16,
            transport = ?17, facts = ?18, legs = ?19
         where key = ?1",
    postgres: "update calls set status = v.s, ringing_at = v.r, answered_at = v.a,
            talked_until = v.t, ended_at = v.e, held = v.h, covered_s = v.c, slices = v.l,
            billable_s = v.b, cost = v.m, uncollected = v.u, end_reason = v.n, sip_code = v.p,
            q850 = v.q, hangup_by = v.y, transport = v.z, facts = v.f, legs = v.g
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
            $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[],
            $17::bigint[], $18::text[], $19::text[])
            v (k, s, r, a, t, e, h, c, l, b, m, u, n, p, q, y, z, f, g)
         where key = v.k",
};

static INSERT_SLICES: Bulk = Bulk {
    sqlite: "insert into call_slices (call_key, slice, key, organization_id, seconds, amount, at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    postgres: "insert into call_slices (call_key, slice, key, organization_id, seconds, amount, at)
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],
            $5::bigint[], $6::bigint[], $7::bigint[])",
};

static INSERT_LEGS: Bulk = Bulk {
    sqlite: "insert into call_legs (seq, call_key, leg_id, organization_id, kind, direction,
            test_mode, from_addr, to_addr, party, trunk, prefix, country, started_at, answered_at,
            ended_at, duration_s, billable_s, rate_per_min, initial_s, increment_s, connect_fee,
            cost, carrier_cost, end_reason, sip_code, q850, attest, codec, pdd_ms, mos, jitter_us,
            loss_ppm, rtt_us)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
            ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34)",
    postgres: "insert into call_legs (seq, call_key, leg_id, organization_id, kind, direction,
            test_mode, from_addr, to_addr, party, trunk, prefix, country, started_at, answered_at,
            ended_at, duration_s, billable_s, rate_per_min, initial_s, increment_s, connect_fee,
            cost, carrier_cost, end_reason, sip_code, q850, attest, codec, pdd_ms, mos, jitter_us,
            loss_ppm, rtt_us)
         select * from unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[],
            $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[],
            $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[],
            $23::bigint[], $24::bigint[], $25::bigint[], $26::bigint[], $27::bigint[],
            $28::bigint[], $29::text[], $30::bigint[], $31::bigint[], $32::bigint[],
            $33::bigint[], $34::bigint[])",
};

static INSERT_LADDERS: Bulk = Bulk {
    sqlite: "insert into sip_messages (seq, call_key, organization_id, at, messages)
         values (?1, ?2, ?3, ?4, ?5)",
    postgres: "insert into sip_messages (seq, call_key, organization_id, at, messages)
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],
            $5::bytea[])",
};
