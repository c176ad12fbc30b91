//! Messages whose time has come: before the gates once more, then into the outbox.
//!
//! Whoever asks has read the row and checked, routed and priced it anew. Here it is looked at again:
//! only a row that is still scheduled, with the text that was read, fires, so that it fires once
//! however often it is asked for. Tables: messages, organizations, outbox; transfers and events are
//! gathered.

use std::collections::HashMap;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::message::Status;
use model::pool::Pick;
use model::refusal::{Code, MessageError, Refusal};
use model::submission::NewMessage;

use super::gates::Candidate;
use super::{EventRow, Gathered, Lane, Transfer};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::ledger::TransferKind;

/// A scheduled message to send now.
#[derive(Clone, Debug)]
pub struct Fire {
    pub key: MessageKey,
    pub organization: OrgId,
    /// How often it had been edited when it was read.
    pub edits: i64,
    pub created_at: At,
    pub expires_at: At,
    /// Checked, routed and priced anew, or what is wrong with it now.
    pub message: Result<NewMessage, Refusal>,
}

impl Fire {
    /// It goes from the sender that its pool has chosen.
    #[must_use]
    pub fn settled(mut self, pick: Option<&Pick>) -> Self {
        if let (Ok(message), Some(pick)) = (&mut self.message, pick) {
            message.settle(pick);
        }
        self
    }
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FireFate {
    /// In the outbox, at this place of its line, from the sender that its pool chose.
    Queued { place: i64, pick: Option<Pick> },
    /// Blocked by a gate, or too late to be sent.
    Ended(Status),
    /// Put off by a gate.
    Later(At),
    /// Not scheduled any more, or edited since it was read: nothing was written.
    Stale,
    /// The database takes it in no way; it is in quarantine, and still scheduled.
    Failed,
}

/// What is decided of one message.
enum Verdict<'a> {
    Send {
        message: &'a NewMessage,
        place: i64,
    },
    /// From the sender that its pool chose, which is counted on a day.
    Pool {
        message: Box<NewMessage>,
        place: i64,
        pick: Pick,
        day: i64,
    },
    End(Status, &'static str),
    Later(At),
}

impl Lane {
    pub(super) async fn fire(
        &mut self,
        fires: &[Fire],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Vec<FireFate>, StoreError> {
        if fires.is_empty() {
            return Ok(Vec::new());
        }
        let mut standing = self.standing(fires).await?;
        let mut verdicts: Vec<(usize, Verdict<'_>)> = Vec::with_capacity(fires.len());
        let mut going: Vec<(usize, &NewMessage)> = Vec::with_capacity(fires.len());
        for (at, fire) in fires.iter().enumerate() {
            // Taken out, so that a twin in this batch finds nothing.
            let Some(suspended) = standing.remove(&(fire.key.0, fire.edits)) else { continue };
            match &fire.message {
                _ if fire.expires_at <= now => verdicts.push((at, expired())),
                _ if suspended => verdicts.push((at, blocked(Code::OrganizationSuspended))),
                Err(refusal) => verdicts.push((at, blocked(refusal.code))),
                Ok(message) => going.push((at, message)),
            }
        }
        self.before_the_gates(fires, &going, now, gathered, &mut verdicts).await?;
        self.write_verdicts(fires, &verdicts, now).await?;
        let mut fates = vec![FireFate::Stale; fires.len()];
        for (at, verdict) in &verdicts {
            verdict.gather(&fires[*at], gathered);
            fates[*at] = verdict.fate();
        }
        Ok(fates)
    }

    /// Those that are still scheduled as they were read, and whether their organization is
    /// suspended.
    async fn standing(&mut self, fires: &[Fire]) -> Result<HashMap<(i64, i64), bool>, StoreError> {
        let columns = [
            Column::Int(fires.iter().map(|fire| fire.key.0).collect()),
            Column::Int(fires.iter().map(|fire| fire.edits).collect()),
        ];
        let lines = self.conn.fetch(&STILL_SCHEDULED, &columns).await?;
        let mut standing = HashMap::with_capacity(lines.len());
        for line in lines {
            let suspended = line.maybe_int(2)?.is_some();
            standing.insert((line.int(0)?, line.int(1)?), suspended);
        }
        Ok(standing)
    }

    async fn before_the_gates<'a>(
        &mut self,
        fires: &[Fire],
        going: &[(usize, &'a NewMessage)],
        now: At,
        gathered: &mut Gathered,
        verdicts: &mut Vec<(usize, Verdict<'a>)>,
    ) -> Result<(), StoreError> {
        let candidate = |(at, message): &(usize, &'a NewMessage)| Candidate {
            organization: fires[*at].organization,
            to: &message.to,
            from: &message.from,
            pooled: message.options.pool.as_deref(),
            chosen: None,
            category: message.category,
            test: message.test,
            unit_price: message.unit_price,
            cost: message.hold(),
            scheduled_at: None,
            bypass_opt_out: message.options.bypass_opt_out,
            submitted: message.options.submitted.as_deref(),
        };
        let mut candidates: Vec<Candidate<'_>> = going.iter().map(candidate).collect();
        let mut gates = self.open_gates(&candidates, now).await?;
        gates.reckon(gathered);
        for ((at, message), candidate) in going.iter().zip(&mut candidates) {
            let fire = &fires[*at];
            let verdict = match gates.pass(candidate) {
                Err(refusal) => blocked(refusal.code),
                Ok(Some(time)) if time >= fire.expires_at => expired(),
                Ok(Some(time)) => Verdict::Later(time),
                Ok(None) => match gates.pay(candidate.organization, candidate.cost) {
                    Ok(()) => {
                        gates.keep(candidate, fire.key);
                        let place = self.number();
                        match gates.picked(candidate) {
                            Some((pick, day)) => {
                                let mut message = Box::new((*message).clone());
                                message.settle(&pick);
                                Verdict::Pool { message, place, pick, day }
                            }
                            None => Verdict::Send { message, place },
                        }
                    }
                    Err(refusal) => {
                        gates.undo(candidate);
                        blocked(refusal.code)
                    }
                },
            };
            verdicts.push((*at, verdict));
        }
        self.close_gates(gates, now, gathered).await
    }

    async fn write_verdicts(
        &mut self,
        fires: &[Fire],
        verdicts: &[(usize, Verdict<'_>)],
        now: At,
    ) -> Result<(), StoreError> {
        let (mut sent, mut ended, mut later) = (Vec::new(), Vec::new(), Vec::new());
        let mut picks = Vec::new();
        for (at, verdict) in verdicts {
            let fire = &fires[*at];
            match verdict {
                Verdict::Send { message, place } => sent.push((fire, *message, *place)),
                Verdict::Pool { message, place, day, .. } => {
                    picks.push((fire.key, &**message, *day));
                    sent.push((fire, &**message, *place));
                }
                Verdict::End(status, code) => ended.push((fire, *status, *code)),
                Verdict::Later(time) => later.push((fire, *time)),
            }
        }
        self.queue(&sent, now).await?;
        let columns = [
            Column::Int(picks.iter().map(|(key, ..)| key.0).collect()),
            Column::Text(picks.iter().map(|(_, message, _)| message.from.as_str()).collect()),
            Column::Int(picks.iter().map(|(_, m, _)| i64::from(m.from_ton)).collect()),
            Column::Int(picks.iter().map(|(.., day)| *day).collect()),
        ];
        self.conn.run(&SETTLE_SENDER, &columns).await?;
        let columns = [
            Column::Int(ended.iter().map(|(fire, ..)| fire.key.0).collect()),
            Column::Int(ended.iter().map(|(_, status, _)| status.code()).collect()),
            Column::Text(ended.iter().map(|(.., code)| *code).collect()),
            Column::Int(vec![now.micros(); ended.len()]),
        ];
        self.conn.run(&END, &columns).await?;
        let columns = [
            Column::Int(later.iter().map(|(fire, _)| fire.key.0).collect()),
            Column::Int(later.iter().map(|(_, time)| time.micros()).collect()),
        ];
        self.conn.run(&PUT_OFF, &columns).await?;
        Ok(())
    }

    async fn queue(
        &mut self,
        sent: &[(&Fire, &NewMessage, i64)],
        now: At,
    ) -> Result<(), StoreError> {
        let columns = [
            Column::Int(sent.iter().map(|(fire, ..)| fire.key.0).collect()),
            Column::Int(sent.iter().map(|(_, message, _)| message.carrier.0).collect()),
            Column::Int(sent.iter().map(|(_, message, _)| message.unit_price.0).collect()),
            Column::Int(sent.iter().map(|(_, m, _)| i64::from(m.segments)).collect()),
            Column::MaybeText(sent.iter().map(|(_, m, _)| m.mccmnc.as_deref()).collect()),
        ];
        self.conn.run(&QUEUE, &columns).await?;
        let columns = [
            Column::Int(sent.iter().map(|(_, message, _)| message.carrier.0).collect()),
            Column::Int(sent.iter().map(|(_, message, _)| message.category.class()).collect()),
            Column::Int(sent.iter().map(|(fire, ..)| fire.organization.0).collect()),
            Column::Int(sent.iter().map(|(fire, ..)| fire.key.0).collect()),
            Column::Int(vec![now.micros(); sent.len()]),
            Column::Int(sent.iter().map(|(.., place)| *place).collect()),
        ];
        self.conn.run(&INSERT_PLACED, &columns).await?;
        Ok(())
    }
}

impl Verdict<'_> {
    fn gather(&self, fire: &Fire, gathered: &mut Gathered) {
        let (kind, status, detail) = match self {
            Self::Send { message, .. } => hold(fire, message, gathered),
            Self::Pool { message, .. } => hold(fire, message, gathered),
            Self::End(status, code) => {
                (EventKind::Failed, *status, format!("{{\"reason\":\"{code}\"}}"))
            }
            Self::Later(time) => {
                let detail = format!("{{\"scheduled_at\":\"{}\"}}", time.iso());
                (EventKind::Deferred, Status::Scheduled, detail)
            }
        };
        gathered.events.push(EventRow {
            organization: fire.organization,
            message: fire.key,
            kind,
            status,
            detail: Some(detail),
        });
    }

    fn fate(&self) -> FireFate {
        match self {
            Self::Send { place, .. } => FireFate::Queued { place: *place, pick: None },
            Self::Pool { place, pick, .. } => {
                FireFate::Queued { place: *place, pick: Some(pick.clone()) }
            }
            Self::End(status, _) => FireFate::Ended(*status),
            Self::Later(time) => FireFate::Later(*time),
        }
    }
}

/// Holds the price; answers what the log says.
fn hold(fire: &Fire, message: &NewMessage, gathered: &mut Gathered) -> (EventKind, Status, String) {
    gathered.transfer(Transfer {
        organization: fire.organization,
        message: Some(fire.key),
        kind: TransferKind::Hold,
        amount: message.hold(),
        note: None,
    });
    (EventKind::Created, Status::Queued, message.route.detail())
}

fn blocked(code: Code) -> Verdict<'static> {
    Verdict::End(Status::Blocked, code.as_str())
}

fn expired() -> Verdict<'static> {
    Verdict::End(Status::Expired, MessageError::Expired.as_str())
}

static STILL_SCHEDULED: Bulk = Bulk {
    sqlite: "select m.key, coalesce(m.edits, 0), o.suspended_at
         from messages m join organizations o on o.id = m.organization_id
         where m.key = ?1 and m.status = 13 and coalesce(m.edits, 0) = ?2",
    postgres: "select m.key, coalesce(m.edits, 0), o.suspended_at
         from unnest($1::bigint[], $2::bigint[]) v (k, e)
         join messages m on m.key = v.k join organizations o on o.id = m.organization_id
         where m.status = 13 and coalesce(m.edits, 0) = v.e for update of m",
};

static QUEUE: Bulk = Bulk {
    sqlite: "update messages set status = 1, carrier_id = ?2, unit_price = ?3, segments = ?4,
            mccmnc = ?5, waits_until = null
         where key = ?1 and status = 13",
    postgres: "update messages set status = 1, carrier_id = v.c, unit_price = v.p, segments = v.s,
            mccmnc = v.m, waits_until = null
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
            v (k, c, p, s, m)
         where key = v.k and status = 13",
};

static SETTLE_SENDER: Bulk = Bulk {
    sqlite: "update messages set from_addr = ?2, from_ton = ?3, sender_pool_day = ?4
         where key = ?1",
    postgres: "update messages set from_addr = v.f, from_ton = v.t, sender_pool_day = v.d
         from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) v (k, f, t, d)
         where key = v.k",
};

static INSERT_PLACED: Bulk = Bulk {
    sqlite: "insert into outbox (carrier_id, class, organization_id, key, due_at, attempts, place)
         values (?1, ?2, ?3, ?4, ?5, 0, ?6)",
    postgres: "insert into outbox
            (carrier_id, class, organization_id, key, due_at, attempts, place)
         select v.c, v.l, v.o, v.k, v.d, 0, v.p
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[]) v (c, l, o, k, d, p)",
};

static END: Bulk = Bulk {
    sqlite: "update messages set status = ?2, error_code = ?3, done_at = ?4, waits_until = null
         where key = ?1 and status = 13",
    postgres: "update messages set status = v.s, error_code = v.e, done_at = v.d,
            waits_until = null
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) v (k, s, e, d)
         where key = v.k and status = 13",
};

static PUT_OFF: Bulk = Bulk {
    sqlite: "update messages set scheduled_at = ?2, waits_until = ?2
         where key = ?1 and status = 13",
    postgres: "update messages set scheduled_at = v.t, waits_until = v.t
         from unnest($1::bigint[], $2::bigint[]) v (k, t) where key = v.k and status = 13",
};
