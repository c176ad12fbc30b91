//! Receipts that match no message: parked until a result or a doubt asks for them, and bounded.
//!
//! A receipt often overtakes the answer before it on its way to the database, and is wanted within
//! seconds. So a carrier has so many parked ones, and of more the oldest go: whoever sends receipts
//! of messages that were never his drives out his own old ones. What went is counted on the carrier's
//! account (docs/adr/0020). Tables: parked, messages, carriers.

use model::carrier::{CarrierId, MessageKey};
use model::clock::At;
use model::message::Status;

use super::{Lane, Matched, Receipt, same_number};
use crate::bulk::{Bulk, Column, Line};
use crate::error::StoreError;
use crate::lane::{Fate, Gathered, HandoffResult, Outcome};

/// A receipt parked for less than this is taken by its id alone.
const EARLY_US: i64 = 10 * 60 * 1_000_000;
/// Of what a carrier may have, this part goes at once when there is more: so that not each receipt
/// costs a search for the oldest.
const ROOM: i64 = 10;
/// Where there are far too many, as after the bound was set lower, so many go with a batch beside
/// those that it brought.
const TRIM_MAX: i64 = 5_000;

/// Parked receipts of a carrier that went before their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The account's name.
    pub carrier: String,
    pub receipts: u64,
}

impl Lane {
    pub(super) async fn park(
        &mut self,
        receipts: &[Receipt],
        which: &[usize],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        if which.is_empty() {
            return Ok(());
        }
        let rows: Vec<&Receipt> = which.iter().map(|at| &receipts[*at]).collect();
        let columns = [
            Column::Int(rows.iter().map(|_| self.number()).collect()),
            Column::Int(rows.iter().map(|r| r.carrier.0).collect()),
            Column::Text(rows.iter().map(|r| r.external_id.as_str()).collect()),
            Column::Text(rows.iter().map(|r| r.raw_id.as_str()).collect()),
            Column::Int(rows.iter().map(|r| r.status.map_or(0, Status::code)).collect()),
            Column::MaybeText(rows.iter().map(|r| r.error.as_deref()).collect()),
            Column::Text(rows.iter().map(|r| r.source.as_str()).collect()),
            Column::Text(rows.iter().map(|r| r.destination.as_str()).collect()),
            Column::Int(vec![now.micros(); rows.len()]),
        ];
        self.conn.run(&PARK, &columns).await?;
        for receipt in rows {
            *gathered.parked.entry(receipt.carrier).or_default() += 1;
        }
        Ok(())
    }

    /// Takes parked receipts that belong to parts known from now on.
    pub(in crate::lane) async fn unpark(
        &mut self,
        wanted: &[(CarrierId, String, i64, i64)],
        now: At,
    ) -> Result<Vec<Matched>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let columns = [
            Column::Int((0_i64..).take(wanted.len()).collect()),
            Column::Int(wanted.iter().map(|(carrier, ..)| carrier.0).collect()),
            Column::Text(wanted.iter().map(|(_, id, ..)| id.as_str()).collect()),
            Column::Int(wanted.iter().map(|(.., key, _)| *key).collect()),
        ];
        let lines = self.conn.fetch(&PARKED_BY_ID, &columns).await?;
        let mut matched = Vec::with_capacity(lines.len());
        let mut taken = Vec::with_capacity(lines.len());
        for line in &lines {
            let seq = line.int(1)?;
            let index = usize::try_from(line.int(0)?).unwrap_or(usize::MAX);
            let Some((carrier, _, key, part)) = wanted.get(index) else {
                continue;
            };
            let receipt = parked_receipt(*carrier, line)?;
            // Carriers use ids again: an old receipt for somebody else is not this message's.
            let to = line.text(8)?;
            let ours = line.int(9)? >= now.micros() - EARLY_US
                || same_number(&to, &receipt.source)
                || same_number(&to, &receipt.destination);
            if !ours || taken.contains(&seq) {
                continue;
            }
            taken.push(seq);
            matched.push(Matched { at: None, key: MessageKey(*key), part: *part, receipt });
        }
        if !taken.is_empty() {
            self.conn.run(&UNPARK, &[Column::Int(taken)]).await?;
        }
        Ok(matched)
    }

    /// Takes parked receipts to the recipients of messages that turn out to have no id: a receipt
    /// often overtakes the answer before it on its way to the database.
    pub(in crate::lane) async fn early_nameless(
        &mut self,
        results: &[HandoffResult],
        fates: &[Fate],
        now: At,
    ) -> Result<Vec<Matched>, StoreError> {
        let mut matched = Vec::new();
        let mut taken = Vec::new();
        for (result, fate) in results.iter().zip(fates) {
            let carrier = result.row.carrier;
            let Outcome::Sent { external_id, .. } = &result.outcome else { continue };
            let parked = self.parked.get(&carrier).copied().unwrap_or(0) > 0;
            if *fate != Fate::Closed || !external_id.is_empty() || !parked {
                continue;
            }
            let key = result.row.key;
            let since = now.micros() - EARLY_US;
            let columns = [Column::Int(vec![key.0]), Column::Int(vec![since])];
            let mut ends = 0;
            for line in self.conn.fetch(&PARKED_NAMELESS, &columns).await? {
                let receipt = parked_receipt(carrier, &line)?;
                let seq = line.int(1)?;
                if ends >= result.segments || taken.contains(&seq) {
                    continue;
                }
                ends += u8::from(receipt.status.is_some());
                taken.push(seq);
                matched.push(Matched { at: None, key, part: 0, receipt });
            }
        }
        if !taken.is_empty() {
            self.conn.run(&UNPARK, &[Column::Int(taken)]).await?;
        }
        Ok(matched)
    }

    /// Drops the oldest receipts of carriers to which this batch added too many.
    pub(super) async fn bound_parked(
        &mut self,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let mut over = Vec::new();
        for (carrier, change) in &gathered.parked {
            let had = self.parked.get(carrier).copied().unwrap_or(0);
            let has = had + change;
            if *change > 0 && has > self.parked_max {
                let keep = self.parked_max - self.parked_max / ROOM;
                over.push((*carrier, had, (has - keep).min(change + TRIM_MAX)));
            }
        }
        for (carrier, had, count) in over {
            let columns = [Column::Int(vec![carrier.0]), Column::Int(vec![count])];
            let gone = self.conn.run(&DROP_OLDEST, &columns).await?;
            let receipts = i64::try_from(gone).unwrap_or(i64::MAX);
            let change = gathered.parked.entry(carrier).or_default();
            // Fewer than were counted: then there are none any more.
            *change = if receipts < count { -had } else { *change - receipts };
            let columns = [
                Column::Int(vec![carrier.0]),
                Column::Int(vec![receipts]),
                Column::Int(vec![now.micros()]),
            ];
            for line in self.conn.fetch(&COUNT_DROPPED, &columns).await? {
                gathered.dropped.push(Dropped { carrier: line.text(0)?, receipts: gone });
            }
        }
        Ok(())
    }

    /// Counts what is parked anew; it holds once committed.
    pub(in crate::lane) async fn recount_parked(
        &mut self,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        gathered.parked = self.parked.iter().map(|(carrier, had)| (*carrier, -had)).collect();
        for line in self.conn.fetch(&PARKED_COUNTS, &[Column::Int(vec![0])]).await? {
            *gathered.parked.entry(CarrierId(line.int(0)?)).or_default() += line.int(1)?;
        }
        Ok(())
    }
}

fn parked_receipt(carrier: CarrierId, line: &Line) -> Result<Receipt, StoreError> {
    let status = Status::from_code(line.int(4)?);
    let unknown = status == Some(Status::SubmittedNoReceipt);
    Ok(Receipt {
        carrier,
        external_id: line.text(2)?,
        raw_id: line.text(3)?,
        status,
        reason: unknown.then_some("unknown"),
        error: line.maybe_text(5)?,
        source: line.text(6)?,
        destination: line.text(7)?,
    })
}

pub(in crate::lane) static PARKED_COUNTS: Bulk = Bulk {
    sqlite: "select carrier_id, count(*) from parked where ?1 is not null group by carrier_id",
    postgres: "select carrier_id, count(*) from parked, unnest($1::bigint[]) group by carrier_id",
};

static PARK: Bulk = Bulk {
    sqlite: "insert into parked (seq, carrier_id, external_id, raw_id, state, error, source,
            destination, at) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    postgres: "insert into parked (seq, carrier_id, external_id, raw_id, state, error, source,
            destination, at)
         select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[],
            $6::text[], $7::text[], $8::text[], $9::bigint[])",
};

static PARKED_BY_ID: Bulk = Bulk {
    sqlite: "select ?1, p.seq, p.external_id, p.raw_id, p.state, p.error, p.source, p.destination,
            m.to_addr, p.at
         from parked p join messages m on m.key = ?4
         where p.carrier_id = ?2 and p.external_id = ?3 order by p.seq",
    postgres: "select v.i, p.seq, p.external_id, p.raw_id, p.state, p.error, p.source,
            p.destination, m.to_addr, p.at
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) v (i, c, x, k)
         join parked p on p.carrier_id = v.c and p.external_id = v.x
         join messages m on m.key = v.k order by p.seq",
};

static UNPARK: Bulk = Bulk {
    sqlite: "delete from parked where seq = ?1",
    postgres: "delete from parked where seq = any($1::bigint[])",
};

/// By the two addresses apart, so that each has its index.
static PARKED_NAMELESS: Bulk = Bulk {
    sqlite: "select 0, p.seq, p.external_id, p.raw_id, p.state, p.error, p.source, p.destination
         from (select s.seq from messages m join parked s
                on s.carrier_id = m.carrier_id and s.source = m.to_addr where m.key = ?1
            union select d.seq from messages m join parked d
                on d.carrier_id = m.carrier_id and d.destination = m.to_addr where m.key = ?1) f
         join parked p on p.seq = f.seq where p.at >= ?2 order by p.seq limit 300",
    postgres: "select 0::bigint, p.seq, p.external_id, p.raw_id, p.state, p.error, p.source,
            p.destination
         from unnest($1::bigint[], $2::bigint[]) v (k, a) join messages m on m.key = v.k
         join parked p on p.carrier_id = m.carrier_id and p.at >= v.a
         and (p.source = m.to_addr or p.destination = m.to_addr) order by p.seq limit 300",
};

static DROP_OLDEST: Bulk = Bulk {
    sqlite: "delete from parked where seq in (
            select seq from parked where carrier_id = ?1 order by seq limit ?2)",
    postgres: "delete from parked where seq in (
            select o.seq from unnest($1::bigint[], $2::bigint[]) v (c, n)
            cross join lateral (select p.seq from parked p where p.carrier_id = v.c
                order by p.seq limit v.n) o)",
};

static COUNT_DROPPED: Bulk = Bulk {
    sqlite: "update carriers set dropped_receipts = dropped_receipts + ?2, dropped_at = ?3
         where id = ?1 returning name",
    postgres: "update carriers c set dropped_receipts = c.dropped_receipts + v.n, dropped_at = v.t
         from unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (c, n, t)
         where c.id = v.c returning c.name",
};
