//! What has been kept long enough: messages and calls with all that is theirs, bodies, lines, old money.
//!
//! Found by reads outside, dropped here a few at a time, and looked at once more: a message that
//! has not ended stays, whoever asks. Old transfers become one sum per kind, so that the books
//! agree as before. Tables: messages, events, runs, parts, quarantine, ledger, retention; calls,
//! call_slices, call_legs, sip_messages.

use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;

use super::Lane;
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// A message to be dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub key: MessageKey,
    pub carrier: CarrierId,
    /// The carrier's id of its first part, in canonical form.
    pub first_part: Option<String>,
}

/// One step of dropping: a few rows of one sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retire {
    /// Messages that have ended, or were sent before a moment and never heard of again; with their
    /// history and parts.
    Messages { gone: Vec<Gone>, sent_before: At },
    /// The bodies of messages that have ended, and how far the log was read for them.
    Bodies { cursor: &'static str, keys: Vec<MessageKey>, seq: i64 },
    /// Lines of the log that are of no message.
    Lines(Vec<i64>),
    /// An organization's runs of which nothing is left, by kind and last number. What is gone does
    /// not come back, so they are not looked at again.
    Runs { organization: OrgId, runs: Vec<(i64, i64)> },
    /// Calls that are over; with their history, records and messages.
    Calls(Vec<MessageKey>),
    /// Pieces of what was seen of calls.
    Ladders(Vec<i64>),
    /// What was set aside.
    SetAside(Vec<i64>),
    /// An organization's transfers up to this number that are older than a moment.
    Transfers { organization: OrgId, up_to: i64, before: At },
}

impl Lane {
    pub(super) async fn retire(&mut self, steps: &[Retire], now: At) -> Result<(), StoreError> {
        for step in steps {
            match step {
                Retire::Messages { gone, sent_before } => {
                    self.drop_messages(gone, *sent_before).await?;
                }
                Retire::Bodies { cursor, keys, seq } => {
                    let columns = [
                        Column::Int(keys.iter().map(|key| key.0).collect()),
                        Column::Int(vec![now.micros(); keys.len()]),
                    ];
                    self.conn.run(&REDACT, &columns).await?;
                    let columns = [Column::Text(vec![cursor]), Column::Int(vec![*seq])];
                    self.conn.run(&SAVE_CURSOR, &columns).await?;
                }
                Retire::Lines(lines) => {
                    self.conn.run(&DROP_LINES, &[Column::Int(lines.clone())]).await?;
                }
                Retire::Runs { organization, runs } => {
                    let columns = [
                        Column::Int(vec![organization.0; runs.len()]),
                        Column::Int(runs.iter().map(|(kind, _)| *kind).collect()),
                        Column::Int(runs.iter().map(|(_, high)| *high).collect()),
                    ];
                    self.conn.run(&DROP_RUNS, &columns).await?;
                }
                Retire::Calls(keys) => self.drop_calls(keys).await?,
                Retire::Ladders(pieces) => {
                    self.conn.run(&DROP_LADDERS, &[Column::Int(pieces.clone())]).await?;
                }
                Retire::SetAside(rows) => {
                    self.conn.run(&DROP_SET_ASIDE, &[Column::Int(rows.clone())]).await?;
                }
                Retire::Transfers { organization, up_to, before } => {
                    self.sum_transfers(*organization, *up_to, *before).await?;
                }
            }
        }
        Ok(())
    }

    async fn drop_messages(&mut self, gone: &[Gone], sent_before: At) -> Result<(), StoreError> {
        let columns = [
            Column::Int(gone.iter().map(|gone| gone.key.0).collect()),
            Column::Int(vec![sent_before.micros(); gone.len()]),
        ];
        let lines = self.conn.fetch(&DROP_MESSAGES, &columns).await?;
        let dropped = lines.iter().map(|line| line.int(0));
        let dropped = dropped.collect::<Result<std::collections::HashSet<i64>, _>>()?;
        let gone = || gone.iter().filter(|gone| dropped.contains(&gone.key.0));
        let keys = [Column::Int(gone().map(|gone| gone.key.0).collect())];
        self.conn.run(&DROP_HISTORY, &keys).await?;
        self.conn.run(&DROP_FURTHER_PARTS, &keys).await?;
        let first = || gone().filter_map(|gone| Some((gone, gone.first_part.as_deref()?)));
        let columns = [
            Column::Int(first().map(|(gone, _)| gone.carrier.0).collect()),
            Column::Text(first().map(|(_, id)| id).collect()),
            Column::Int(first().map(|(gone, _)| gone.key.0).collect()),
        ];
        self.conn.run(&DROP_FIRST_PARTS, &columns).await?;
        Ok(())
    }

    async fn drop_calls(&mut self, calls: &[MessageKey]) -> Result<(), StoreError> {
        let columns = [Column::Int(calls.iter().map(|key| key.0).collect())];
        let lines = self.conn.fetch(&DROP_CALLS, &columns).await?;
        let dropped = lines.iter().map(|line| line.int(0)).collect::<Result<Vec<i64>, _>>()?;
        let keys = [Column::Int(dropped)];
        for sql in [&DROP_HISTORY, &DROP_SLICES, &DROP_LEGS, &DROP_CALL_LADDERS] {
            self.conn.run(sql, &keys).await?;
        }
        Ok(())
    }

    /// One row per kind takes the place of many; it keeps the number and time of the last.
    async fn sum_transfers(
        &mut self,
        organization: OrgId,
        up_to: i64,
        before: At,
    ) -> Result<(), StoreError> {
        let range = [
            Column::Int(vec![organization.0]),
            Column::Int(vec![up_to]),
            Column::Int(vec![before.micros()]),
        ];
        let sums = self.conn.fetch(&SUM_TRANSFERS, &range).await?;
        self.conn.run(&DROP_TRANSFERS, &range).await?;
        let column = |at: usize| -> Result<Vec<i64>, StoreError> {
            sums.iter().map(|line| line.int(at)).collect()
        };
        let columns = [
            Column::Int(vec![organization.0; sums.len()]),
            Column::Int(column(0)?),
            Column::Int(column(1)?),
            Column::Int(column(2)?),
            Column::Int(column(3)?),
            Column::Int(column(4)?),
            Column::Int(column(5)?),
            Column::Text(vec!["brought forward"; sums.len()]),
        ];
        self.conn.run(&BRING_FORWARD, &columns).await?;
        Ok(())
    }
}

// Ended: 4 to 12. Sent: 3.
static DROP_MESSAGES: Bulk = Bulk {
    sqlite: "delete from messages where key = ?1
         and (status between 4 and 12 or status = 3 and sent_at < ?2) returning key",
    postgres: "delete from messages m using unnest($1::bigint[], $2::bigint[]) v (k, s)
         where m.key = v.k and (m.status between 4 and 12 or m.status = 3 and m.sent_at < v.s)
         returning m.key",
};

static DROP_HISTORY: Bulk = Bulk {
    sqlite: "delete from events where message_key = ?1",
    postgres: "delete from events e using unnest($1::bigint[]) v (k) where e.message_key = v.k",
};

static DROP_CALLS: Bulk = Bulk {
    sqlite: "delete from calls where key = ?1 and ended_at is not null returning key",
    postgres: "delete from calls c using unnest($1::bigint[]) v (k)
         where c.key = v.k and c.ended_at is not null returning c.key",
};

static DROP_SLICES: Bulk = Bulk {
    sqlite: "delete from call_slices where call_key = ?1",
    postgres: "delete from call_slices s using unnest($1::bigint[]) v (k) where s.call_key = v.k",
};

static DROP_LEGS: Bulk = Bulk {
    sqlite: "delete from call_legs where call_key = ?1",
    postgres: "delete from call_legs l using unnest($1::bigint[]) v (k) where l.call_key = v.k",
};

static DROP_CALL_LADDERS: Bulk = Bulk {
    sqlite: "delete from sip_messages where call_key = ?1",
    postgres: "delete from sip_messages m using unnest($1::bigint[]) v (k) where m.call_key = v.k",
};

static DROP_LADDERS: Bulk = Bulk {
    sqlite: "delete from sip_messages where seq = ?1",
    postgres: "delete from sip_messages m using unnest($1::bigint[]) v (s) where m.seq = v.s",
};

static DROP_FIRST_PARTS: Bulk = Bulk {
    sqlite: "delete from parts where carrier_id = ?1 and external_id = ?2 and message_key = ?3",
    postgres: "delete from parts p using unnest($1::bigint[], $2::text[], $3::bigint[]) v (c, x, k)
         where p.carrier_id = v.c and p.external_id = v.x and p.message_key = v.k",
};

static DROP_FURTHER_PARTS: Bulk = Bulk {
    sqlite: "delete from parts where message_key = ?1 and part > 1",
    postgres: "delete from parts p using unnest($1::bigint[]) v (k)
         where p.message_key = v.k and p.part > 1",
};

// Of what a customer submitted by SMPP the eight fixed octets stay, which tell of receipts, and
// three empty lists.
static REDACT: Bulk = Bulk {
    sqlite: "update messages set body = '', raw = null, redacted_at = ?2,
            submitted = cast(substr(submitted, 1, 8) || x'000000000000' as blob)
         where key = ?1 and redacted_at is null and status between 4 and 12",
    postgres: "update messages set body = '', raw = null, redacted_at = v.n,
            submitted = substring(submitted from 1 for 8) || '\\x000000000000'::bytea
         from unnest($1::bigint[], $2::bigint[]) v (k, n)
         where key = v.k and redacted_at is null and status between 4 and 12",
};

static SAVE_CURSOR: Bulk = Bulk {
    sqlite: "insert into retention (name, seq) values (?1, ?2)
         on conflict (name) do update set seq = excluded.seq",
    postgres: "insert into retention (name, seq) select * from unnest($1::text[], $2::bigint[])
         on conflict (name) do update set seq = excluded.seq",
};

static DROP_LINES: Bulk = Bulk {
    sqlite: "delete from events where seq = ?1 and message_key = 0",
    postgres: "delete from events e using unnest($1::bigint[]) v (s)
         where e.seq = v.s and e.message_key = 0",
};

static DROP_RUNS: Bulk = Bulk {
    sqlite: "delete from runs where organization_id = ?1 and kind = ?2 and high = ?3",
    postgres:
        "delete from runs r using unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (o, k, h)
         where r.organization_id = v.o and r.kind = v.k and r.high = v.h",
};

static DROP_SET_ASIDE: Bulk = Bulk {
    sqlite: "delete from quarantine where seq = ?1",
    postgres: "delete from quarantine q using unnest($1::bigint[]) v (s) where q.seq = v.s",
};

static SUM_TRANSFERS: Bulk = Bulk {
    sqlite: "select max(seq), kind, debit, credit, sum(amount), max(at) from ledger
         where organization_id = ?1 and seq <= ?2 and at < ?3 group by kind, debit, credit",
    postgres: "select max(l.seq), l.kind, l.debit, l.credit, cast(sum(l.amount) as bigint),
            max(l.at)
         from unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (o, s, b)
         join ledger l on l.organization_id = v.o and l.seq <= v.s and l.at < v.b
         group by l.kind, l.debit, l.credit",
};

static DROP_TRANSFERS: Bulk = Bulk {
    sqlite: "delete from ledger where organization_id = ?1 and seq <= ?2 and at < ?3",
    postgres: "delete from ledger l
         using unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (o, s, b)
         where l.organization_id = v.o and l.seq <= v.s and l.at < v.b",
};

static BRING_FORWARD: Bulk = Bulk {
    sqlite: "insert into ledger (organization_id, seq, kind, debit, credit, amount, at, note)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    postgres: "insert into ledger (organization_id, seq, kind, debit, credit, amount, at, note)
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],
            $5::bigint[], $6::bigint[], $7::bigint[], $8::text[])",
};
