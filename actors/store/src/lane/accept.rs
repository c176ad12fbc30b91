//! The accept phase: idempotency keys, then the gates, then the rows of what survives.
//!
//! No statement here fails on an item's account: conflicts are skipped and looked at, balances are
//! decided in memory in order of arrival. Tables: api_keys, messages, outbox; idempotency and batches
//! beside.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use model::carrier::{CarrierId, MessageKey};
use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;
use model::message::{Category, Direction, Status};
use model::money::Micros;
use model::refusal::Refusal;
use model::submission::{Credential, NewMessage, Submission};

use super::gates::{Candidate, Gates};
use super::idempotency::{Asking, Scope, Verdict, replayed, twin_runs};
use super::{AcceptAnswer, Accepted, EventRow, Gathered, Grant, Lane, Transfer};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::ledger::TransferKind;

/// What the gates say to one message: in, in but not before a time, or refused.
type Decision = Result<Option<At>, Refusal>;

/// A message let in.
struct NewRow<'a> {
    key: MessageKey,
    item: &'a Submission,
    /// As it is stored: with the sender that its pool chose.
    message: Cow<'a, NewMessage>,
    /// The day that sender is counted on.
    pool_day: Option<i64>,
    /// Stored as `scheduled` for this time: no hold, and no carrier hears of it.
    not_before: Option<At>,
    /// The epoch of the carrier's owner, who has granted it room.
    intent: Option<i64>,
}

impl NewRow<'_> {
    fn status(&self) -> Status {
        if self.not_before.is_some() { Status::Scheduled } else { Status::Queued }
    }
}

impl Lane {
    pub(super) async fn accept(
        &mut self,
        items: &[Submission],
        grants: &[Grant],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Vec<AcceptAnswer>, StoreError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let asking: Vec<Asking<'_>> = items.iter().map(asking).collect();
        let verdicts = self.keys(&asking, now).await?;
        let permitted = self.permitted(items.iter().map(|item| item.credential)).await?;
        let mut candidates: Vec<Candidate<'_>> = items
            .iter()
            .flat_map(|item| item.messages.iter().map(|message| Candidate::of(item, message)))
            .collect();
        let mut gates = self.open_gates(&candidates, now).await?;

        let mut answers: Vec<Option<AcceptAnswer>> = Vec::with_capacity(items.len());
        let mut rows: Vec<NewRow<'_>> = Vec::new();
        let mut unused: Vec<Scope<'_>> = Vec::new();
        let mut rest = candidates.as_mut_slice();
        let firsts = self.first_keys(items, &verdicts);
        for ((item, verdict), first) in items.iter().zip(&verdicts).zip(firsts) {
            let (own, others) = rest.split_at_mut(item.messages.len());
            rest = others;
            let answer = match verdict {
                Verdict::Known { reference, same_body } => replay(*reference, *same_body),
                Verdict::Twin { first, same_body } => twin(items, *first, &answers, *same_body),
                Verdict::Go | Verdict::Keyed(_) => {
                    let decided = if permitted.contains(&item.credential) {
                        decide(&mut gates, item, own)
                    } else {
                        Err(Refusal::invalid_api_key())
                    };
                    let answer = decided.map(|decisions| {
                        let_in(item, own, decisions, (now, first), &mut gates, &mut rows)
                    });
                    if let (Err(_) | Ok(Accepted::Nothing { .. }), Verdict::Keyed(scope)) =
                        (&answer, verdict)
                    {
                        unused.push(*scope);
                    }
                    answer
                }
            };
            answers.push(Some(answer));
        }
        self.forget(&unused).await?;
        self.intend(&mut rows, grants, gathered);
        rows.sort_unstable_by_key(|row| row.key.0);
        self.insert(&rows, now).await?;
        self.keep_batches(items, &answers, now).await?;
        self.close_gates(gates, now, gathered).await?;
        for row in &rows {
            let NewRow { key, item, message, .. } = row;
            gathered.made(item.organization, *key);
            gathered.events.push(EventRow {
                organization: item.organization,
                message: *key,
                kind: EventKind::Created,
                status: row.status(),
                detail: Some(message.route.detail()),
            });
            if row.not_before.is_none() {
                gathered.transfer(Transfer {
                    organization: item.organization,
                    message: Some(*key),
                    kind: TransferKind::Hold,
                    amount: message.hold(),
                    note: None,
                });
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// The key of each item's first message, as far as one may be let in.
    fn first_keys(&mut self, items: &[Submission], verdicts: &[Verdict<'_>]) -> Vec<MessageKey> {
        let count = |(item, verdict): (&Submission, &Verdict<'_>)| match verdict {
            Verdict::Go | Verdict::Keyed(_) => (item.organization, item.messages.len()),
            Verdict::Known { .. } | Verdict::Twin { .. } => (item.organization, 0),
        };
        let wanted: Vec<_> = items.iter().zip(verdicts).map(count).collect();
        self.numbers_for(&wanted).into_iter().map(MessageKey).collect()
    }

    /// Gives the carriers' room to what goes to them at once: one-time codes first.
    fn intend(&self, rows: &mut [NewRow<'_>], grants: &[Grant], gathered: &mut Gathered) {
        let epoch = |grant: &Grant| self.epoch_of(grant.carrier, gathered);
        let valid = grants.iter().filter(|grant| epoch(grant) == Some(grant.epoch));
        let mut left: HashMap<CarrierId, Grant> =
            valid.map(|grant| (grant.carrier, *grant)).collect();
        if left.is_empty() {
            return;
        }
        for urgent in [true, false] {
            for row in rows.iter_mut() {
                let first = row.message.category == Category::Otp;
                if first != urgent || row.not_before.is_some() {
                    continue;
                }
                let parts = usize::from(row.message.segments);
                if let Some(grant) = left.get_mut(&row.message.carrier)
                    && grant.parts >= parts
                {
                    grant.parts -= parts;
                    row.intent = Some(grant.epoch);
                }
            }
        }
        let intended = rows.iter().filter(|row| row.intent.is_some());
        gathered.intended = intended.map(|row| row.key).collect();
        gathered.intended.sort_unstable_by_key(|key| key.0);
    }

    /// The credentials of the batch that may still send.
    pub(super) async fn permitted(
        &mut self,
        credentials: impl Iterator<Item = Credential>,
    ) -> Result<HashSet<Credential>, StoreError> {
        let (mut keys, mut accounts) = (Vec::new(), Vec::new());
        for credential in credentials {
            match credential {
                Credential::ApiKey(key) => keys.push(key),
                Credential::SmppAccount(account) => accounts.push(account),
                Credential::Switch => {}
            }
        }
        let mut permitted = HashSet::from([Credential::Switch]);
        for (mut numbers, sql, of) in [
            (keys, &PERMITTED_KEYS, Credential::ApiKey as fn(i64) -> Credential),
            (accounts, &PERMITTED_ACCOUNTS, Credential::SmppAccount),
        ] {
            if numbers.is_empty() {
                continue;
            }
            numbers.sort_unstable();
            numbers.dedup();
            for line in self.conn.fetch(sql, &[Column::Int(numbers)]).await? {
                permitted.insert(of(line.int(0)?));
            }
        }
        Ok(permitted)
    }

    async fn insert(&mut self, rows: &[NewRow<'_>], now: At) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let count = rows.len();
        let blob = |of: fn(&NewRow<'_>) -> Option<PublicId>| -> Vec<Option<[u8; 16]>> {
            rows.iter().map(|row| of(row).map(|id| *id.as_bytes())).collect()
        };
        let batches = blob(|row| row.item.batch.as_ref().map(|batch| batch.id));
        let templates = blob(|row| row.message.options.template);
        let octets = |row: &NewRow<'_>| {
            row.message.options.submitted.as_ref().map(|submitted| submitted.to_octets())
        };
        let submitted: Vec<Option<Vec<u8>>> = rows.iter().map(octets).collect();
        let columns = [
            Column::Int(rows.iter().map(|row| row.key.0).collect()),
            Column::Blob(rows.iter().map(|row| row.message.id.as_bytes().as_slice()).collect()),
            Column::Int(rows.iter().map(|row| row.item.organization.0).collect()),
            Column::Same(Direction::Outbound.code(), count),
            Column::Int(rows.iter().map(|row| row.status().code()).collect()),
            Column::Int(rows.iter().map(|row| row.message.category.code()).collect()),
            Column::Int(rows.iter().map(|row| row.message.encoding.code()).collect()),
            Column::Int(rows.iter().map(|row| i64::from(row.message.segments)).collect()),
            Column::Int(rows.iter().map(|row| i64::from(row.message.test)).collect()),
            Column::Int(rows.iter().map(|row| row.message.carrier.0).collect()),
            Column::Int(rows.iter().map(|row| row.message.unit_price.0).collect()),
            Column::Int(rows.iter().map(|row| i64::from(row.message.from_ton)).collect()),
            Column::Same(now.micros(), count),
            Column::Text(rows.iter().map(|row| row.message.to.as_str()).collect()),
            Column::Text(rows.iter().map(|row| row.message.from.as_str()).collect()),
            Column::Text(rows.iter().map(|row| row.message.body.as_str()).collect()),
            Column::MaybeText(rows.iter().map(|row| row.message.mccmnc.as_deref()).collect()),
            Column::MaybeText(rows.iter().map(|row| row.message.metadata.as_deref()).collect()),
            Column::MaybeBlob(
                batches.iter().map(|id| id.as_ref().map(<[u8; 16]>::as_slice)).collect(),
            ),
            Column::MaybeInt(rows.iter().map(|row| row.not_before.map(|at| at.0)).collect()),
            Column::MaybeInt(
                rows.iter().map(|row| row.message.options.validity_s.map(i64::from)).collect(),
            ),
            Column::MaybeText(
                rows.iter().map(|row| row.message.options.webhook_url.as_deref()).collect(),
            ),
            Column::MaybeInt(
                rows.iter().map(|row| row.message.options.parent.map(|key| key.0)).collect(),
            ),
            Column::MaybeBlob(
                templates.iter().map(|id| id.as_ref().map(<[u8; 16]>::as_slice)).collect(),
            ),
            Column::MaybeInt(
                rows.iter().map(|row| row.message.options.bypass_opt_out.then_some(1)).collect(),
            ),
            Column::MaybeInt(
                rows.iter().map(|row| row.message.options.expires_at(now).map(|at| at.0)).collect(),
            ),
            Column::MaybeInt(
                rows.iter()
                    .map(|row| row.message.options.submitted.as_ref().map(|s| s.account))
                    .collect(),
            ),
            Column::MaybeBlob(submitted.iter().map(Option::as_deref).collect()),
            Column::MaybeInt(
                rows.iter().map(|row| row.message.options.pool.as_ref().map(|p| p.id)).collect(),
            ),
            Column::MaybeInt(rows.iter().map(|row| row.pool_day).collect()),
        ];
        self.conn.run(&INSERT_MESSAGES, &columns).await?;
        let queued: Vec<&NewRow<'_>> = rows.iter().filter(|row| row.not_before.is_none()).collect();
        let columns = [
            Column::Int(queued.iter().map(|row| row.message.carrier.0).collect()),
            Column::Int(queued.iter().map(|row| row.message.category.class()).collect()),
            Column::Int(queued.iter().map(|row| row.item.organization.0).collect()),
            Column::Int(queued.iter().map(|row| row.key.0).collect()),
            Column::Same(now.micros(), queued.len()),
            Column::MaybeInt(queued.iter().map(|row| row.intent).collect()),
            Column::MaybeInt(queued.iter().map(|row| row.intent.map(|_| now.micros())).collect()),
        ];
        self.conn.run(&INSERT_OUTBOX, &columns).await?;
        Ok(())
    }
}

/// Numbers what the gates let in of one item, from its first key on.
fn let_in<'a>(
    item: &'a Submission,
    own: &[Candidate<'_>],
    decisions: Vec<Decision>,
    (now, first): (At, MessageKey),
    gates: &mut Gates,
    rows: &mut Vec<NewRow<'a>>,
) -> Accepted {
    let (mut refused, mut later, mut picked) = (Vec::new(), Vec::new(), Vec::new());
    let mut next = first.0;
    let all = item.messages.iter().zip(own).zip(decisions).enumerate();
    for (at, ((message, candidate), decision)) in all {
        let not_before = match decision {
            Ok(not_before) => not_before,
            Err(refusal) => {
                refused.push((at, refusal));
                continue;
            }
        };
        let key = MessageKey(next);
        next += 1;
        match not_before {
            Some(time) => later.push((at, time)),
            None => gates.keep(candidate, key),
        }
        let mut message = Cow::Borrowed(message);
        let mut pool_day = None;
        if let Some((pick, day)) = gates.picked(candidate) {
            message.to_mut().settle(&pick);
            pool_day = Some(day);
            picked.push((at, pick));
        }
        rows.push(NewRow { key, item, message, pool_day, not_before, intent: None });
    }
    if refused.len() == item.messages.len() {
        return Accepted::Nothing { refused };
    }
    Accepted::Fresh { at: now, first, refused, later, picked }
}

fn asking(item: &Submission) -> Asking<'_> {
    Asking {
        organization: item.organization,
        idempotency: item.idempotency.as_ref(),
        reference: reference(item),
    }
}

/// What a key's later holder is answered with: the batch, or the only message.
fn reference(item: &Submission) -> PublicId {
    let first = item.messages.first().map(|m| m.id);
    item.batch.as_ref().map(|batch| batch.id).or(first).unwrap_or(PublicId::from_bytes([0; 16]))
}

/// What the gates say to each message of an item; an error refuses the whole. A single message's
/// refusal is its item's.
fn decide(
    gates: &mut Gates,
    item: &Submission,
    own: &mut [Candidate<'_>],
) -> Result<Vec<Decision>, Refusal> {
    let decisions: Vec<Decision> = own.iter_mut().map(|candidate| gates.pass(candidate)).collect();
    if item.batch.is_none()
        && let Some(Err(refusal)) = decisions.iter().find(|decision| decision.is_err())
    {
        return Err(refusal.clone());
    }
    let now =
        |(candidate, decision): (_, &Decision)| matches!(decision, Ok(None)).then_some(candidate);
    let passed: Vec<&Candidate<'_>> = own.iter().zip(&decisions).filter_map(now).collect();
    let cost = passed.iter().fold(Micros::ZERO, |sum, candidate| sum + candidate.cost);
    if let Err(refusal) = gates.pay(item.organization, cost) {
        passed.into_iter().for_each(|candidate| gates.undo(candidate));
        return Err(refusal);
    }
    Ok(decisions)
}

fn replay(reference: PublicId, same_body: bool) -> AcceptAnswer {
    replayed(same_body).map(|()| Accepted::Replayed { reference })
}

fn twin(
    items: &[Submission],
    first: usize,
    answers: &[Option<AcceptAnswer>],
    same_body: bool,
) -> AcceptAnswer {
    match answers.get(first).and_then(Option::as_ref) {
        Some(Ok(Accepted::Replayed { reference })) => replay(*reference, same_body),
        Some(Ok(Accepted::Fresh { .. })) => replay(reference(&items[first]), same_body),
        Some(Ok(nothing @ Accepted::Nothing { .. })) if same_body => Ok(nothing.clone()),
        Some(Err(refusal)) if same_body => Err(refusal.clone()),
        _ => Err(twin_runs()),
    }
}

static PERMITTED_KEYS: Bulk = Bulk {
    sqlite: "select k.id from api_keys k join organizations o on o.id = k.organization_id
         where k.id = ?1 and k.revoked_at is null and o.suspended_at is null",
    postgres: "select k.id from unnest($1::bigint[]) v (id)
         join api_keys k on k.id = v.id join organizations o on o.id = k.organization_id
         where k.revoked_at is null and o.suspended_at is null",
};

static PERMITTED_ACCOUNTS: Bulk = Bulk {
    sqlite: "select a.id from smpp_accounts a join organizations o on o.id = a.organization_id
         where a.id = ?1 and a.disabled_at is null and o.suspended_at is null",
    postgres: "select a.id from unnest($1::bigint[]) v (id)
         join smpp_accounts a on a.id = v.id join organizations o on o.id = a.organization_id
         where a.disabled_at is null and o.suspended_at is null",
};

static INSERT_MESSAGES: Bulk = Bulk {
    sqlite: "insert into messages (key, id, organization_id, direction, status, category, encoding,
            segments, test_mode, carrier_id, unit_price, from_ton, created_at, to_addr, from_addr,
            body, mccmnc, metadata, batch_id, scheduled_at, waits_until, validity_s, webhook_url,
            parent_key, template_id, bypass_opt_out, expires_at, smpp_account_id,
            submitted, sender_pool_id, sender_pool_day)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
            ?18, ?19, ?20, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)",
    postgres: "insert into messages (key, id, organization_id, direction, status, category,
            encoding, segments, test_mode, carrier_id, unit_price, from_ton, created_at, to_addr,
            from_addr, body, mccmnc, metadata, batch_id, scheduled_at, waits_until, validity_s,
            webhook_url, parent_key, template_id, bypass_opt_out, expires_at, smpp_account_id,
            submitted, sender_pool_id, sender_pool_day)
         select unnest($1::bigint[]), unnest($2::bytea[]), unnest($3::bigint[]),
            $4::bigint, unnest($5::bigint[]), unnest($6::bigint[]), unnest($7::bigint[]),
            unnest($8::bigint[]), unnest($9::bigint[]), unnest($10::bigint[]),
            unnest($11::bigint[]), unnest($12::bigint[]), $13::bigint,
            unnest($14::text[]), unnest($15::text[]), unnest($16::text[]), unnest($17::text[]),
            unnest($18::text[]), unnest($19::bytea[]), unnest($20::bigint[]),
            unnest($20::bigint[]), unnest($21::bigint[]), unnest($22::text[]),
            unnest($23::bigint[]), unnest($24::bytea[]), unnest($25::bigint[]),
            unnest($26::bigint[]), unnest($27::bigint[]), unnest($28::bytea[]),
            unnest($29::bigint[]), unnest($30::bigint[])",
};

static INSERT_OUTBOX: Bulk = Bulk {
    sqlite: "insert into outbox
            (carrier_id, class, organization_id, key, due_at, attempts, intent, intent_at)
         values (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7)",
    postgres: "insert into outbox
            (carrier_id, class, organization_id, key, due_at, attempts, intent, intent_at)
         select unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]),
            unnest($4::bigint[]), $5::bigint, 0, unnest($6::bigint[]),
            unnest($7::bigint[])",
};
