//! Receipts: matched to the part they speak of, folded into the message's state, or parked.
//!
//! The exact id is looked up first; other readings of it (hex against decimal) only for what is
//! left, and only where the recipient agrees. The reading that won is remembered per carrier. Last,
//! a carrier that names no message in its answers is matched by the addresses, if they mean one
//! message alone. Tables: parts, messages, parked, carriers.

mod choose;
mod parked;
mod partly;

use std::collections::HashMap;

use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::message::Status;
use model::refusal::MessageError;

pub use parked::Dropped;
pub(super) use parked::PARKED_COUNTS;

use super::owed::OwedMessage;
use super::{EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column, Line};
use crate::error::StoreError;
use crate::json::quoted;

/// Other ways to read a canonical id, each with the number of its rule.
pub type Alternatives = fn(&str) -> Vec<(i64, String)>;

/// A delivery receipt as a carrier sent it.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub carrier: CarrierId,
    /// In canonical form.
    pub external_id: String,
    pub raw_id: String,
    /// What it says: a status, or nothing when it is only on its way.
    pub status: Option<Status>,
    pub reason: Option<&'static str>,
    /// The network's error code, as text.
    pub error: Option<String>,
    /// Addresses of the receipt's PDU, as the API writes them.
    pub source: String,
    pub destination: String,
}

/// What became of a receipt. Each is stored before its PDU is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptFate {
    /// It changed its message's status.
    Applied(Status),
    /// It is in the message's history and changed nothing.
    Noted,
    /// No message is known for it yet.
    Parked,
}

/// A receipt and the message part it belongs to.
pub(crate) struct Matched {
    /// Which of the batch's receipts it is; none for one that had been parked.
    at: Option<usize>,
    key: MessageKey,
    part: i64,
    receipt: Receipt,
}

/// The parts that the receipts of a batch may speak of.
#[derive(Default)]
struct Candidates {
    best: HashMap<usize, (MessageKey, i64)>,
    /// Of receipts whose id means several messages: all of them, the newest first.
    several: HashMap<usize, Vec<(MessageKey, i64)>>,
}

impl Candidates {
    fn add(&mut self, at: usize, one: (MessageKey, i64)) {
        let Some(best) = self.best.get_mut(&at) else {
            self.best.insert(at, one);
            return;
        };
        let all = self.several.entry(at).or_insert_with(|| vec![*best]);
        let place = all.partition_point(|known| known.0 > one.0);
        all.insert(place, one);
        *best = all[0];
    }
}

/// What a message is before and after its receipts.
struct Folded {
    organization: OrgId,
    status: Status,
    segments: i64,
    delivered_parts: i64,
    to: String,
    from: String,
    from_delivered: Option<String>,
    reason: Option<&'static str>,
    error: Option<MessageError>,
    carrier_error: Option<String>,
    changed: bool,
    /// What an SMPP account that submitted it is told.
    submitted: Option<SubmittedBy>,
}

struct SubmittedBy {
    account: i64,
    created_at: i64,
    body: String,
    encoding: i64,
    submitted: Option<Vec<u8>>,
}

impl Lane {
    pub(super) async fn receipts(
        &mut self,
        receipts: &[Receipt],
        early: Vec<Matched>,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Vec<ReceiptFate>, StoreError> {
        let mut fates = vec![ReceiptFate::Parked; receipts.len()];
        let mut matched = early;
        for found in &matched {
            *gathered.parked.entry(found.receipt.carrier).or_default() -= 1;
        }
        let mut known = self.exact(receipts).await?;
        if !known.several.is_empty() {
            // Which of them is meant is asked of their rows.
            self.write_sent(now, gathered).await?;
            self.prefer(receipts, &mut known).await?;
        }
        let mut missing = Vec::new();
        for (at, receipt) in receipts.iter().enumerate() {
            match known.best.get(&at) {
                Some((key, part)) => {
                    let (key, part, receipt) = (*key, *part, receipt.clone());
                    matched.push(Matched { at: Some(at), key, part, receipt });
                }
                None => missing.push(at),
            }
        }
        if !missing.is_empty() {
            let missing = self.other_readings(receipts, missing, &mut matched, gathered).await?;
            let missing = self.nameless(receipts, missing, &mut matched).await?;
            self.park(receipts, &missing, now, gathered).await?;
        }
        let strangers = self.apply(matched, &mut fates, now, gathered).await?;
        self.park(receipts, &strangers, now, gathered).await?;
        self.bound_parked(now, gathered).await?;
        Ok(fates)
    }

    /// Looks receipts up by their id, read as this carrier's ids have been read so far. Ids come
    /// back after days: the newest message is the first.
    async fn exact(&mut self, receipts: &[Receipt]) -> Result<Candidates, StoreError> {
        let mut found = Candidates::default();
        if receipts.is_empty() {
            return Ok(found);
        }
        let ids: Vec<String> = receipts
            .iter()
            .map(|r| match self.id_rules.get(&r.carrier) {
                None => r.external_id.clone(),
                Some(rule) => (self.alternatives)(&r.external_id)
                    .into_iter()
                    .find(|(number, _)| number == rule)
                    .map_or_else(|| r.external_id.clone(), |(_, id)| id),
            })
            .collect();
        let columns = [
            Column::Int((0_i64..).take(receipts.len()).collect()),
            Column::Int(receipts.iter().map(|r| r.carrier.0).collect()),
            Column::Text(ids.iter().map(String::as_str).collect()),
        ];
        for line in self.conn.fetch(&PARTS_BY_ID, &columns).await? {
            let at = usize::try_from(line.int(0)?).unwrap_or(usize::MAX);
            found.add(at, (MessageKey(line.int(1)?), line.int(2)?));
        }
        Ok(found)
    }

    /// Tries each other reading of an id; the recipient must agree. Returns what is still missing.
    async fn other_readings(
        &mut self,
        receipts: &[Receipt],
        missing: Vec<usize>,
        matched: &mut Vec<Matched>,
        gathered: &mut Gathered,
    ) -> Result<Vec<usize>, StoreError> {
        let mut tries: Vec<(usize, i64, String)> = Vec::new();
        for at in &missing {
            let receipt = &receipts[*at];
            if self.id_rules.contains_key(&receipt.carrier) {
                tries.push((*at, 0, receipt.external_id.clone()));
            }
            for (rule, id) in (self.alternatives)(&receipt.external_id) {
                tries.push((*at, rule, id));
            }
        }
        let columns = [
            Column::Int((0_i64..).take(tries.len()).collect()),
            Column::Int(tries.iter().map(|(at, ..)| receipts[*at].carrier.0).collect()),
            Column::Text(tries.iter().map(|(_, _, id)| id.as_str()).collect()),
        ];
        let mut found: HashMap<usize, (i64, MessageKey, i64)> = HashMap::new();
        for line in self.conn.fetch(&PARTS_AND_ADDRESSES, &columns).await? {
            let index = usize::try_from(line.int(0)?).unwrap_or(usize::MAX);
            let Some((at, rule, _)) = tries.get(index) else {
                continue;
            };
            let to = line.text(3)?;
            let receipt = &receipts[*at];
            if same_number(&to, &receipt.source) || same_number(&to, &receipt.destination) {
                found.insert(*at, (*rule, MessageKey(line.int(1)?), line.int(2)?));
            }
        }
        let mut left = Vec::new();
        for at in missing {
            let Some((rule, key, part)) = found.get(&at).copied() else {
                left.push(at);
                continue;
            };
            let receipt = receipts[at].clone();
            if rule != 0 && !self.id_rules.contains_key(&receipt.carrier) {
                gathered.id_rules.insert(receipt.carrier, rule);
            }
            matched.push(Matched { at: Some(at), key, part, receipt });
        }
        if !gathered.id_rules.is_empty() {
            let columns = [
                Column::Int(gathered.id_rules.keys().map(|c| c.0).collect()),
                Column::Int(gathered.id_rules.values().copied().collect()),
            ];
            self.conn.run(&LEARN_RULE, &columns).await?;
        }
        Ok(left)
    }

    /// Folds all receipts of a message into its state and writes each message once. Returns those
    /// that are for somebody else: their message has ended, and another will have its id.
    async fn apply(
        &mut self,
        matched: Vec<Matched>,
        fates: &mut [ReceiptFate],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Vec<usize>, StoreError> {
        let mut strangers = Vec::new();
        if matched.is_empty() {
            return Ok(strangers);
        }
        let mut keys: Vec<i64> = matched.iter().map(|m| m.key.0).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut states: HashMap<MessageKey, Folded> = HashMap::with_capacity(keys.len());
        for line in self.conn.fetch(&MESSAGE_STATES, &[Column::Int(keys)]).await? {
            let (key, mut state) = (MessageKey(line.int(0)?), folded(&line)?);
            if gathered.sent.contains_key(&key) {
                state.status = Status::Sent;
            }
            states.insert(key, state);
        }
        for Matched { at, key, part, receipt } in matched {
            let Some(state) = states.get_mut(&key) else {
                return Err(StoreError::Impossible("a part without a message"));
            };
            let before = state.status;
            if let Some(at) = at
                && !before.awaits_receipt()
                && receipt.is_for_another(&state.to)
            {
                strangers.push(at);
                continue;
            }
            let fate = state.fold(part, &receipt);
            if let Some(at) = at {
                fates[at] = fate;
            }
            let (kind, status) = match fate {
                ReceiptFate::Applied(status) => (EventKind::of(status), status),
                ReceiptFate::Noted | ReceiptFate::Parked => (EventKind::Receipt, before),
            };
            let detail = detail(part, state.segments, &receipt);
            let organization = state.organization;
            gathered.owed.push((gathered.events.len(), state.owed()));
            gathered.events.push(EventRow { organization, message: key, kind, status, detail });
        }
        let mut changed: Vec<(&MessageKey, &Folded)> =
            states.iter().filter(|(_, s)| s.changed).collect();
        changed.sort_unstable_by_key(|(key, _)| key.0);
        if changed.is_empty() {
            return Ok(strangers);
        }
        let sent: Vec<Option<String>> =
            changed.iter().map(|(key, _)| gathered.sent.remove(key)).collect();
        let columns = [
            Column::Int(changed.iter().map(|(key, _)| key.0).collect()),
            Column::Int(changed.iter().map(|(_, s)| s.status.code()).collect()),
            Column::Int(changed.iter().map(|(_, s)| s.delivered_parts).collect()),
            Column::MaybeInt(
                changed.iter().map(|(_, s)| s.status.is_final().then_some(now.micros())).collect(),
            ),
            Column::MaybeText(changed.iter().map(|(_, s)| s.from_delivered.as_deref()).collect()),
            Column::MaybeText(changed.iter().map(|(_, s)| s.reason).collect()),
            Column::MaybeText(
                changed.iter().map(|(_, s)| s.error.map(MessageError::as_str)).collect(),
            ),
            Column::MaybeText(changed.iter().map(|(_, s)| s.carrier_error.as_deref()).collect()),
            Column::MaybeInt(
                changed.iter().map(|(_, s)| s.is_partly_there().then_some(now.micros())).collect(),
            ),
            Column::MaybeInt(sent.iter().map(|s| s.as_ref().map(|_| now.micros())).collect()),
            Column::MaybeText(sent.iter().map(Option::as_deref).collect()),
        ];
        self.conn.run(&UPDATE_BY_RECEIPT, &columns).await?;
        Ok(strangers)
    }
}

impl Receipt {
    /// True when both of its addresses are another's than the recipient's.
    fn is_for_another(&self, to: &str) -> bool {
        !self.source.is_empty()
            && !self.destination.is_empty()
            && !same_number(to, &self.source)
            && !same_number(to, &self.destination)
    }
}

impl Folded {
    fn owed(&self) -> Option<OwedMessage> {
        let by = self.submitted.as_ref()?;
        Some(OwedMessage {
            created_at: by.created_at,
            to: self.to.clone(),
            from: self.from.clone(),
            body: by.body.clone(),
            encoding: by.encoding,
            error_code: self.error.map(|error| error.as_str().to_owned()),
            carrier_error: self.carrier_error.clone(),
            account: by.account,
            submitted: by.submitted.clone(),
        })
    }

    /// Some of its parts are delivered, and the others have said nothing.
    fn is_partly_there(&self) -> bool {
        self.status == Status::Sent && self.delivered_parts != 0
    }

    /// The first part that is not delivered yet.
    fn next_part(&self) -> i64 {
        i64::from(self.delivered_parts.trailing_ones()) + 1
    }

    /// All parts delivered is delivered; the first bad news wins; final states absorb. Part 0 is
    /// any: the carrier did not say which.
    fn fold(&mut self, part: i64, receipt: &Receipt) -> ReceiptFate {
        let Some(status) = receipt.status else {
            return ReceiptFate::Noted;
        };
        if !self.status.awaits_receipt() {
            return ReceiptFate::Noted;
        }
        if status == Status::Delivered {
            let part = if part == 0 { self.next_part() } else { part };
            self.delivered_parts |= 1 << (part - 1).clamp(0, 62);
            self.changed = true;
            let rewritten = !receipt.destination.is_empty()
                && same_number(&receipt.source, &self.to)
                && !same_number(&receipt.destination, &self.from);
            if rewritten {
                self.from_delivered = Some(receipt.destination.clone());
            }
            if self.delivered_parts.count_ones() < u32::try_from(self.segments).unwrap_or(1) {
                return ReceiptFate::Noted;
            }
            self.reason = None;
        } else {
            if status == self.status && self.reason == receipt.reason {
                return ReceiptFate::Noted;
            }
            self.changed = true;
            self.reason = receipt.reason;
            self.error = match status {
                Status::Expired => Some(MessageError::Expired),
                Status::Undelivered => Some(MessageError::UnreachableHandset),
                Status::Rejected => Some(MessageError::CarrierRejected),
                Status::SubmittedNoReceipt => None,
                _ => Some(MessageError::UnknownCarrierError),
            };
            self.carrier_error.clone_from(&receipt.error);
        }
        self.status = status;
        ReceiptFate::Applied(status)
    }
}

/// True when two addresses are the same number, `+` and leading zeros aside, or one is the other
/// without its country.
fn same_number(a: &str, b: &str) -> bool {
    const NATIONAL: usize = 7;
    let bare = |text: &str| -> usize { text.len() - text.trim_start_matches(['+', '0']).len() };
    let (a, b) = (&a[bare(a)..], &b[bare(b)..]);
    let national = |short: &str, long: &str| {
        short.len() >= NATIONAL
            && short.bytes().all(|b| b.is_ascii_digit())
            && long.ends_with(short)
    };
    a == b || national(a, b) || national(b, a)
}

fn detail(part: i64, segments: i64, receipt: &Receipt) -> Option<String> {
    let mut fields = Vec::new();
    if segments > 1 {
        fields.push(format!("\"segment_no\":{part}"));
    }
    fields.push(format!(
        "\"carrier_state\":\"{}\"",
        receipt.status.map_or("en_route", Status::as_str)
    ));
    if let Some(error) = &receipt.error {
        fields.push(format!("\"carrier_error\":{}", quoted(error)));
    }
    Some(format!("{{{}}}", fields.join(",")))
}

fn folded(line: &Line) -> Result<Folded, StoreError> {
    let status = Status::from_code(line.int(2)?)
        .ok_or(StoreError::Impossible("a message of no known status"))?;
    Ok(Folded {
        organization: OrgId(line.int(1)?),
        status,
        segments: line.int(3)?,
        delivered_parts: line.int(4)?,
        to: line.text(5)?,
        from: line.text(6)?,
        from_delivered: line.maybe_text(7)?,
        reason: None,
        error: None,
        carrier_error: None,
        changed: false,
        submitted: match line.maybe_int(8)? {
            None => None,
            Some(account) => Some(SubmittedBy {
                account,
                created_at: line.int(9)?,
                body: line.text(10)?,
                encoding: line.int(11)?,
                submitted: line.maybe_blob(12)?,
            }),
        },
    })
}

static PARTS_BY_ID: Bulk = Bulk {
    sqlite: "select ?1, message_key, part from parts where carrier_id = ?2 and external_id = ?3",
    postgres: "select v.i, p.message_key, p.part
         from unnest($1::bigint[], $2::bigint[], $3::text[]) v (i, c, x)
         join parts p on p.carrier_id = v.c and p.external_id = v.x",
};

static PARTS_AND_ADDRESSES: Bulk = Bulk {
    sqlite: "select ?1, p.message_key, p.part, m.to_addr from parts p
         join messages m on m.key = p.message_key
         where p.carrier_id = ?2 and p.external_id = ?3",
    postgres: "select v.i, p.message_key, p.part, m.to_addr
         from unnest($1::bigint[], $2::bigint[], $3::text[]) v (i, c, x)
         join parts p on p.carrier_id = v.c and p.external_id = v.x
         join messages m on m.key = p.message_key",
};

static LEARN_RULE: Bulk = Bulk {
    sqlite: "update carriers set id_rule = ?2 where id = ?1",
    postgres: "update carriers set id_rule = v.r
         from unnest($1::bigint[], $2::bigint[]) v (c, r) where id = v.c",
};

static MESSAGE_STATES: Bulk = Bulk {
    sqlite: "select key, organization_id, status, segments, delivered_parts, to_addr, from_addr,
            from_delivered, smpp_account_id, created_at,
            case when smpp_account_id is not null then body end, encoding, submitted
         from messages where key = ?1",
    postgres: "select m.key, m.organization_id, m.status, m.segments, m.delivered_parts,
            m.to_addr, m.from_addr, m.from_delivered, m.smpp_account_id, m.created_at,
            case when m.smpp_account_id is not null then m.body end, m.encoding, m.submitted
         from unnest($1::bigint[]) v (k) join messages m on m.key = v.k",
};

static UPDATE_BY_RECEIPT: Bulk = Bulk {
    sqlite: "update messages set status = ?2, delivered_parts = ?3, done_at = ?4,
         from_delivered = ?5, status_reason = ?6, error_code = ?7, carrier_error = ?8,
         partly_at = ?9, nameless = case when ?2 = 3 then nameless end,
         sent_at = coalesce(?10, sent_at), external_id = coalesce(?11, external_id)
         where key = ?1",
    postgres: "update messages set status = v.s, delivered_parts = v.p, done_at = v.d,
         from_delivered = v.f, status_reason = v.r, error_code = v.e, carrier_error = v.c,
         partly_at = v.a, nameless = case when v.s = 3 then nameless end,
         sent_at = coalesce(v.t, sent_at), external_id = coalesce(v.x, external_id)
         from (select unnest($1::bigint[]) as k, unnest($2::bigint[]) as s,
            unnest($3::bigint[]) as p, unnest($4::bigint[]) as d, unnest($5::text[]) as f,
            unnest($6::text[]) as r, unnest($7::text[]) as e, unnest($8::text[]) as c,
            unnest($9::bigint[]) as a, unnest($10::bigint[]) as t, unnest($11::text[]) as x) v
         where key = v.k",
};
