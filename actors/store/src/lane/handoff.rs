//! Hand-off to a carrier, what follows the intent (`claims.rs`): the result after the answer.
//!
//! A result counts only while its outbox row carries our intent, so it is settled exactly once.
//! Tables: outbox, messages, parts, parked; transfers and events are gathered.

use std::collections::{HashMap, HashSet};

use model::carrier::CarrierId;
use model::clock::At;
use model::event::EventKind;
use model::message::Status;
use model::refusal::MessageError;

use super::receipts::Matched;
use super::work::{Fate, HandoffResult, OutboxRef, Outcome, PartId};
use super::{EventRow, Gathered, Lane, Transfer};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::json::quoted;
use crate::ledger::TransferKind;

/// A message's key, and the epoch whose intent is on its row.
type Intent = (i64, i64);

/// How a message stands once its outbox row is gone.
struct Closing<'a> {
    at: usize,
    status: Status,
    reason: Option<&'static str>,
    error: Option<MessageError>,
    carrier_error: Option<&'a str>,
    external_id: Option<&'a str>,
    submitted: u8,
    parts: &'a [PartId],
}

impl Lane {
    /// Settles results. Also answers the parked receipts that turn out to belong to them.
    pub(super) async fn results(
        &mut self,
        results: &[HandoffResult],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(Vec<Fate>, Vec<Matched>), StoreError> {
        if results.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut fates = vec![Fate::Closed; results.len()];
        let resolved = self.resolve(results).await?;
        let mut again: Vec<(usize, At, i64)> = Vec::new();
        let mut doubts: Vec<(usize, At)> = Vec::new();
        let mut diverted: Vec<usize> = Vec::new();
        let mut closings: Vec<Closing<'_>> = Vec::new();
        for (at, result) in results.iter().enumerate() {
            match &result.outcome {
                Outcome::Sent { parts, external_id } => {
                    let submitted = result.segments;
                    closings.push(Closing::sent(at, parts, external_id, submitted));
                }
                Outcome::Ended { status, reason, error, carrier_error, submitted, parts } => {
                    closings.push(Closing {
                        at,
                        status: *status,
                        reason: *reason,
                        error: *error,
                        carrier_error: carrier_error.as_deref(),
                        external_id: None,
                        submitted: *submitted,
                        parts,
                    });
                }
                Outcome::Retry { due_at, attempts, .. } => again.push((at, *due_at, *attempts)),
                Outcome::InDoubt { due_at } => doubts.push((at, *due_at)),
                Outcome::Divert { .. } => diverted.push(at),
                Outcome::Resolve { resend, attempts, submitted, .. } => {
                    if let Some(found) = resolved.get(&at) {
                        let submitted = result.segments;
                        closings.push(Closing::sent(at, &found.parts, &found.raw_id, submitted));
                    } else if *resend {
                        again.push((at, now, *attempts));
                    } else {
                        closings.push(Closing::unanswered(at, *submitted));
                    }
                }
            }
        }
        self.put_back(results, &again, &mut fates, gathered).await?;
        self.keep_at_carrier(results, &fates).await?;
        self.divert(results, &diverted, now, &mut fates, gathered).await?;
        self.keep_in_doubt(results, &doubts, &mut fates, gathered).await?;
        self.close(results, closings, now, &mut fates, gathered).await?;
        let mut early = self.early_receipts(results, &fates, &resolved, now).await?;
        early.extend(self.early_nameless(results, &fates, now).await?);
        Ok((fates, early))
    }

    /// Looks for a parked receipt that shows a part in doubt did arrive.
    async fn resolve(
        &mut self,
        results: &[HandoffResult],
    ) -> Result<HashMap<usize, Witness>, StoreError> {
        let mut found = HashMap::new();
        let mut taken = HashSet::new();
        for (at, result) in results.iter().enumerate() {
            let Outcome::Resolve { to, from, since, submitted, .. } = &result.outcome else {
                continue;
            };
            if *submitted < result.segments {
                // A receipt of one part cannot prove others that never left.
                continue;
            }
            let carrier = result.row.carrier;
            if self.parked.get(&carrier).copied().unwrap_or(0) <= 0 {
                continue;
            }
            let columns = [
                Column::Int(vec![carrier.0]),
                Column::Text(vec![to]),
                Column::Text(vec![from]),
                Column::Int(vec![since.micros()]),
            ];
            let mut seen: Option<Witness> = None;
            for line in self.conn.fetch(&WITNESSES, &columns).await? {
                // Of a long message each part may have a receipt of its own.
                let known = seen.as_ref().map_or(0, |witness| witness.parts.len());
                if known >= usize::from(result.segments.max(1)) || !taken.insert(line.int(0)?) {
                    continue;
                }
                let part = u8::try_from(known + 1).unwrap_or(u8::MAX);
                let part = PartId { part, id: line.text(1)? };
                match &mut seen {
                    Some(witness) => witness.parts.push(part),
                    None => seen = Some(Witness { parts: vec![part], raw_id: line.text(2)? }),
                }
            }
            found.extend(seen.map(|witness| (at, witness)));
        }
        Ok(found)
    }

    async fn put_back(
        &mut self,
        results: &[HandoffResult],
        again: &[(usize, At, i64)],
        fates: &mut [Fate],
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        if again.is_empty() {
            return Ok(());
        }
        let rows: Vec<OutboxRef> = again.iter().map(|(at, ..)| results[*at].row).collect();
        let [carriers, classes, organizations, keys] = columns_of(&rows);
        let columns = [
            carriers,
            classes,
            organizations,
            keys,
            Column::Int(again.iter().map(|(at, ..)| results[*at].epoch).collect()),
            Column::Int(again.iter().map(|(_, due, _)| due.micros()).collect()),
            Column::Int(again.iter().map(|(.., attempts)| *attempts).collect()),
        ];
        let mut ours = self.ours(results, again.iter().map(|(at, ..)| *at)).await?;
        self.conn.run(&PUT_BACK, &columns).await?;
        for (at, _, attempts) in again {
            if !ours.remove(&intent_of(&results[*at])) {
                fates[*at] = Fate::Stale;
                continue;
            }
            fates[*at] = Fate::Again;
            let error = match &results[*at].outcome {
                Outcome::Retry { carrier_error, .. } => carrier_error.as_deref(),
                _ => None,
            };
            let error = error.map_or(String::from("null"), quoted);
            let detail = format!("{{\"attempt\":{attempts},\"carrier_error\":{error}}}");
            let (kind, status) = (EventKind::Retried, Status::Queued);
            gathered.events.push(event(&results[*at], kind, status, Some(detail)));
        }
        Ok(())
    }

    async fn keep_in_doubt(
        &mut self,
        results: &[HandoffResult],
        doubts: &[(usize, At)],
        fates: &mut [Fate],
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        if doubts.is_empty() {
            return Ok(());
        }
        let rows: Vec<OutboxRef> = doubts.iter().map(|(at, _)| results[*at].row).collect();
        let [carriers, classes, organizations, keys] = columns_of(&rows);
        let columns = [
            carriers,
            classes,
            organizations,
            keys,
            Column::Int(doubts.iter().map(|(at, _)| results[*at].epoch).collect()),
            Column::Int(doubts.iter().map(|(_, due)| due.micros()).collect()),
        ];
        let mut ours = self.ours(results, doubts.iter().map(|(at, _)| *at)).await?;
        self.conn.run(&KEEP_IN_DOUBT, &columns).await?;
        for (at, _) in doubts {
            if !ours.remove(&intent_of(&results[*at])) {
                fates[*at] = Fate::Stale;
                continue;
            }
            fates[*at] = Fate::Waiting;
            let (kind, status) = (EventKind::InDoubt, Status::Sending);
            gathered.events.push(event(&results[*at], kind, status, None));
        }
        Ok(())
    }

    /// Which intents of these results are still on their outbox rows. Each is good for one result:
    /// whoever uses one takes it out.
    async fn ours(
        &mut self,
        results: &[HandoffResult],
        which: impl Iterator<Item = usize>,
    ) -> Result<HashSet<Intent>, StoreError> {
        let which: Vec<usize> = which.collect();
        let rows: Vec<OutboxRef> = which.iter().map(|at| results[*at].row).collect();
        let [carriers, classes, organizations, keys] = columns_of(&rows);
        let epochs = Column::Int(which.iter().map(|at| results[*at].epoch).collect());
        let columns = [carriers, classes, organizations, keys, epochs];
        let lines = self.conn.fetch(&STILL_OURS, &columns).await?;
        lines.iter().map(|line| Ok((line.int(0)?, line.int(1)?))).collect()
    }

    async fn close(
        &mut self,
        results: &[HandoffResult],
        mut closings: Vec<Closing<'_>>,
        now: At,
        fates: &mut [Fate],
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        if closings.is_empty() {
            return Ok(());
        }
        let held = self.delete_rows(results, &closings).await?;
        if let Some(mut held) = held {
            closings.retain(|closing| {
                let ours = held.remove(&intent_of(&results[closing.at]));
                if !ours {
                    fates[closing.at] = Fate::Stale;
                }
                ours
            });
        }
        let (plain, others): (Vec<_>, Vec<_>) =
            closings.iter().partition(|closing| closing.is_plain(&results[closing.at]));
        gathered.sent.extend(plain.iter().filter_map(|closing| {
            Some((results[closing.at].row.key, closing.external_id?.to_owned()))
        }));
        self.update_messages(results, &others, now).await?;
        self.imply_parts(results, &closings).await?;
        self.insert_parts(results, &closings).await?;
        for closing in &closings {
            closing.gather(&results[closing.at], gathered);
        }
        Ok(())
    }

    /// Removes the outbox rows that carry our intent. `None`: all of them did.
    async fn delete_rows(
        &mut self,
        results: &[HandoffResult],
        closings: &[Closing<'_>],
    ) -> Result<Option<HashSet<Intent>>, StoreError> {
        let rows: Vec<OutboxRef> = closings.iter().map(|c| results[c.at].row).collect();
        let [carriers, classes, organizations, keys] = columns_of(&rows);
        let epochs = Column::Int(closings.iter().map(|c| results[c.at].epoch).collect());
        let columns = [carriers, classes, organizations, keys, epochs];
        if self.checked {
            let ours = self.ours(results, closings.iter().map(|c| c.at)).await?;
            self.conn.run(&DELETE_OUTBOX, &columns).await?;
            return Ok(Some(ours));
        }
        // Deleting and counting is cheaper than asking each row back.
        let deleted = self.conn.run(&DELETE_OUTBOX, &columns).await?;
        if deleted == closings.len() as u64 {
            return Ok(None);
        }
        Err(StoreError::Stale)
    }

    async fn update_messages(
        &mut self,
        results: &[HandoffResult],
        closings: &[&Closing<'_>],
        now: At,
    ) -> Result<(), StoreError> {
        let time = |wanted: fn(&Closing<'_>) -> bool| {
            Column::MaybeInt(closings.iter().map(|c| wanted(c).then_some(now.micros())).collect())
        };
        let columns = [
            Column::Int(closings.iter().map(|c| results[c.at].row.key.0).collect()),
            Column::Int(closings.iter().map(|c| c.status.code()).collect()),
            time(|c| c.submitted > 0),
            time(|c| c.status.is_final()),
            Column::MaybeText(closings.iter().map(|c| c.external_id).collect()),
            Column::MaybeText(closings.iter().map(|c| c.reason).collect()),
            Column::MaybeText(closings.iter().map(|c| c.error.map(MessageError::as_str)).collect()),
            Column::MaybeText(closings.iter().map(|c| c.carrier_error).collect()),
        ];
        self.conn.run(&UPDATE_MESSAGES, &columns).await?;
        Ok(())
    }

    /// Parts that went out in another part's PDU, or were in doubt and are known by another's
    /// receipt, have no receipt to wait for: they count as delivered with the others.
    async fn imply_parts(
        &mut self,
        results: &[HandoffResult],
        closings: &[Closing<'_>],
    ) -> Result<(), StoreError> {
        let implied: Vec<(i64, i64)> = closings
            .iter()
            .filter_map(|closing| {
                let result = &results[closing.at];
                let sent = closing.status == Status::Sent;
                let mask = implied_parts(result.segments, closing.parts);
                (sent && mask != 0).then_some((result.row.key.0, mask))
            })
            .collect();
        if implied.is_empty() {
            return Ok(());
        }
        let columns = [
            Column::Int(implied.iter().map(|(key, _)| *key).collect()),
            Column::Int(implied.iter().map(|(_, mask)| *mask).collect()),
        ];
        self.conn.run(&IMPLY_PARTS, &columns).await?;
        Ok(())
    }

    async fn insert_parts(
        &mut self,
        results: &[HandoffResult],
        closings: &[Closing<'_>],
    ) -> Result<(), StoreError> {
        let parts: Vec<(OutboxRef, &PartId)> = closings
            .iter()
            .flat_map(|c| c.parts.iter().map(|part| (results[c.at].row, part)))
            // No receipt can name a part that has no id.
            .filter(|(_, part)| !part.id.is_empty())
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        let columns = [
            Column::Int(parts.iter().map(|(row, _)| row.carrier.0).collect()),
            Column::Text(parts.iter().map(|(_, part)| part.id.as_str()).collect()),
            Column::Int(parts.iter().map(|(row, _)| row.key.0).collect()),
            Column::Int(parts.iter().map(|(_, part)| i64::from(part.part)).collect()),
        ];
        self.conn.run(&INSERT_PARTS, &columns).await?;
        Ok(())
    }

    /// Parked receipts whose part is known from now on.
    async fn early_receipts(
        &mut self,
        results: &[HandoffResult],
        fates: &[Fate],
        resolved: &HashMap<usize, Witness>,
        now: At,
    ) -> Result<Vec<Matched>, StoreError> {
        let mut wanted: Vec<(CarrierId, String, i64, i64)> = Vec::new();
        for (at, (result, fate)) in results.iter().zip(fates).enumerate() {
            let carrier = result.row.carrier;
            if *fate != Fate::Closed || self.parked.get(&carrier).copied().unwrap_or(0) <= 0 {
                continue;
            }
            let parts = match &result.outcome {
                Outcome::Sent { parts, .. } | Outcome::Ended { parts, .. } => parts.as_slice(),
                _ => resolved.get(&at).map_or(&[][..], |witness| &witness.parts),
            };
            for part in parts.iter().filter(|part| !part.id.is_empty()) {
                let key = result.row.key.0;
                wanted.push((carrier, part.id.clone(), key, i64::from(part.part)));
                for (_, id) in (self.alternatives)(&part.id) {
                    wanted.push((carrier, id, key, i64::from(part.part)));
                }
            }
        }
        self.unpark(&wanted, now).await
    }
}

/// A parked receipt that shows a part in doubt did arrive.
struct Witness {
    parts: Vec<PartId>,
    raw_id: String,
}

impl<'a> Closing<'a> {
    fn sent(at: usize, parts: &'a [PartId], external_id: &'a str, submitted: u8) -> Self {
        Self {
            at,
            status: Status::Sent,
            reason: None,
            error: None,
            carrier_error: None,
            // A carrier that names no message is matched by the addresses.
            external_id: (!external_id.is_empty()).then_some(external_id),
            submitted,
            parts,
        }
    }

    /// Handed over whole, with an id for each part: nothing else of its message changes.
    fn is_plain(&self, result: &HandoffResult) -> bool {
        self.status == Status::Sent
            && self.submitted > 0
            && self.external_id.is_some()
            && implied_parts(result.segments, self.parts) == 0
    }

    fn unanswered(at: usize, submitted: u8) -> Self {
        Self {
            at,
            status: Status::SubmittedNoReceipt,
            reason: Some("ack_timeout"),
            error: None,
            carrier_error: None,
            external_id: None,
            submitted,
            parts: &[],
        }
    }

    /// The hold is closed here, once: what was submitted is settled, the rest released.
    fn gather(&self, result: &HandoffResult, gathered: &mut Gathered) {
        let submitted = i64::from(self.submitted.min(result.segments));
        let rest = i64::from(result.segments) - submitted;
        for (kind, parts) in [(TransferKind::Settle, submitted), (TransferKind::Release, rest)] {
            gathered.transfer(Transfer {
                organization: result.row.organization,
                message: Some(result.row.key),
                kind,
                amount: result.unit_price.times(parts),
                note: None,
            });
        }
        let detail = match (self.carrier_error, self.reason) {
            (Some(error), _) => Some(format!("{{\"carrier_error\":{}}}", quoted(error))),
            (None, Some(reason)) => Some(format!("{{\"reason\":{}}}", quoted(reason))),
            (None, None) => None,
        };
        let kind = EventKind::of(self.status);
        gathered.events.push(event(result, kind, self.status, detail));
    }
}

fn intent_of(result: &HandoffResult) -> Intent {
    (result.row.key.0, result.epoch)
}

/// The parts of a message that have no id of their own, a bit each.
fn implied_parts(segments: u8, parts: &[PartId]) -> i64 {
    let bit = |part: u8| 1_i64 << part.saturating_sub(1).min(62);
    let all = (1..=segments).fold(0, |mask, part| mask | bit(part));
    parts.iter().fold(all, |mask, part| mask & !bit(part.part))
}

pub(super) fn event(
    result: &HandoffResult,
    kind: EventKind,
    status: Status,
    detail: Option<String>,
) -> EventRow {
    EventRow {
        organization: result.row.organization,
        message: result.row.key,
        kind,
        status,
        detail,
    }
}

pub(super) fn columns_of(rows: &[OutboxRef]) -> [Column<'static>; 4] {
    [
        Column::Int(rows.iter().map(|r| r.carrier.0).collect()),
        Column::Int(rows.iter().map(|r| r.class).collect()),
        Column::Int(rows.iter().map(|r| r.organization.0).collect()),
        Column::Int(rows.iter().map(|r| r.key.0).collect()),
    ]
}

static STILL_OURS: Bulk = Bulk {
    sqlite: "select key, intent from outbox where carrier_id = ?1 and class = ?2 and organization_id = ?3
         and key = ?4 and intent = ?5",
    postgres: "select o.key, o.intent
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
            v (c, l, o, k, e)
         join outbox o on o.carrier_id = v.c and o.class = v.l and o.organization_id = v.o
         and o.key = v.k where o.intent = v.e",
};

static PUT_BACK: Bulk = Bulk {
    sqlite: "update outbox set intent = null, intent_at = null, due_at = ?6, attempts = ?7
         where carrier_id = ?1 and class = ?2 and organization_id = ?3 and key = ?4
         and intent = ?5",
    postgres: "update outbox set intent = null, intent_at = null, due_at = v.d, attempts = v.a
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[]) v (c, l, o, k, e, d, a)
         where carrier_id = v.c and class = v.l and organization_id = v.o and key = v.k
         and intent = v.e",
};

static KEEP_IN_DOUBT: Bulk = Bulk {
    sqlite: "update outbox set due_at = ?6 where carrier_id = ?1 and class = ?2
         and organization_id = ?3 and key = ?4 and intent = ?5",
    postgres: "update outbox set due_at = v.d
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[]) v (c, l, o, k, e, d)
         where carrier_id = v.c and class = v.l and organization_id = v.o and key = v.k
         and intent = v.e",
};

static DELETE_OUTBOX: Bulk = Bulk {
    sqlite: "delete from outbox where carrier_id = ?1 and class = ?2 and organization_id = ?3
         and key = ?4 and intent = ?5",
    postgres: "delete from outbox o
         using (select unnest($1::bigint[]) as c, unnest($2::bigint[]) as l,
            unnest($3::bigint[]) as g, unnest($4::bigint[]) as k, unnest($5::bigint[]) as e) v
         where o.carrier_id = v.c and o.class = v.l and o.organization_id = v.g and o.key = v.k
         and o.intent = v.e",
};

static UPDATE_MESSAGES: Bulk = Bulk {
    sqlite: "update messages set status = ?2, sent_at = ?3, done_at = ?4, external_id = ?5,
         status_reason = ?6, error_code = ?7, carrier_error = ?8,
         nameless = case when ?2 = 3 and ?5 is null then 1 end where key = ?1",
    postgres: "update messages set status = v.s, sent_at = v.t, done_at = v.d, external_id = v.x,
         status_reason = v.r, error_code = v.e, carrier_error = v.c,
         nameless = case when v.s = 3 and v.x is null then 1 end
         from (select unnest($1::bigint[]) as k, unnest($2::bigint[]) as s,
            unnest($3::bigint[]) as t, unnest($4::bigint[]) as d, unnest($5::text[]) as x,
            unnest($6::text[]) as r, unnest($7::text[]) as e, unnest($8::text[]) as c) v
         where key = v.k",
};

static IMPLY_PARTS: Bulk = Bulk {
    sqlite: "update messages set delivered_parts = ?2 where key = ?1",
    postgres: "update messages set delivered_parts = v.p
         from unnest($1::bigint[], $2::bigint[]) v (k, p) where key = v.k",
};

static INSERT_PARTS: Bulk = Bulk {
    sqlite: "insert into parts (carrier_id, external_id, message_key, part)
         values (?1, ?2, ?3, ?4) on conflict do nothing",
    postgres: "insert into parts (carrier_id, external_id, message_key, part)
         select unnest($1::bigint[]), unnest($2::text[]), unnest($3::bigint[]),
            unnest($4::bigint[])
         on conflict do nothing",
};

/// By the two addresses apart, so that each has its index.
static WITNESSES: Bulk = Bulk {
    sqlite: "select seq, external_id, raw_id from parked
            where carrier_id = ?1 and source = ?2 and destination = ?3 and at >= ?4
         union select seq, external_id, raw_id from parked
            where carrier_id = ?1 and source = ?3 and destination = ?2 and at >= ?4
         order by seq limit 20",
    postgres: "select p.seq, p.external_id, p.raw_id
         from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) v (c, t, f, s)
         join parked p on p.carrier_id = v.c and p.at >= v.s
         and (p.source = v.t and p.destination = v.f or p.source = v.f and p.destination = v.t)
         order by p.seq limit 20",
};
