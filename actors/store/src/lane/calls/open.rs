//! A call is opened, or refused by name. The order: key, credential, destination, the day's spend,
//! wallet, pace, calls at once; what an earlier one took is given back when a later one refuses.

use std::collections::HashSet;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::message::Direction;
use model::refusal::{Code, Detail, Refusal, seconds_until};
use model::submission::Credential;
use model::voice::Turn;

use super::super::idempotency::{Asking, Scope, Verdict, replayed, twin_runs};
use super::super::proxy::interaction;
use super::super::{Gathered, Lane};
use super::state::State;
use super::{Books, CallChange, NewCall, Opened};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// What is known of the openings of a batch before money is looked at.
pub(super) struct Desk<'a> {
    verdicts: std::vec::IntoIter<Verdict<'a>>,
    permitted: HashSet<Credential>,
    active: HashSet<OrgId>,
    /// What became of the openings so far.
    opened: Vec<(PublicId, Result<(), Refusal>)>,
    /// Keys whose requests had no effect.
    pub(super) unused: Vec<Scope<'a>>,
}

impl Lane {
    pub(super) async fn open_desk<'a>(
        &mut self,
        changes: &'a [CallChange],
        now: At,
    ) -> Result<Desk<'a>, StoreError> {
        let opens = || {
            changes.iter().filter_map(|change| match change {
                CallChange::Open(call) => Some(&**call),
                _ => None,
            })
        };
        let asking: Vec<Asking<'a>> = opens()
            .map(|call| Asking {
                organization: call.organization,
                idempotency: call.idempotency.as_ref(),
                reference: call.id,
            })
            .collect();
        let verdicts = self.keys(&asking, now).await?.into_iter();
        let permitted = self.permitted(opens().map(|call| call.credential)).await?;
        let mut organizations: Vec<i64> = opens().map(|call| call.organization.0).collect();
        organizations.sort_unstable();
        organizations.dedup();
        let lines = self.conn.fetch(&ACTIVE, &[Column::Int(organizations)]).await?;
        let active = lines.iter().map(|line| line.int(0).map(OrgId));
        let active = active.collect::<Result<HashSet<OrgId>, _>>()?;
        Ok(Desk { verdicts, permitted, active, opened: Vec::new(), unused: Vec::new() })
    }

    pub(super) fn open_call<'a>(
        &mut self,
        call: &'a NewCall,
        desk: &mut Desk<'a>,
        now: At,
        books: &mut Books,
        gathered: &mut Gathered,
    ) -> Result<Opened, Refusal> {
        let verdict = desk.verdicts.next().unwrap_or(Verdict::Go);
        let answer = match &verdict {
            Verdict::Known { reference, same_body } => {
                replayed(*same_body).map(|()| Opened::Replayed { reference: *reference })
            }
            Verdict::Twin { first, same_body } => match desk.opened.get(*first) {
                Some((reference, Ok(()))) => {
                    replayed(*same_body).map(|()| Opened::Replayed { reference: *reference })
                }
                Some((_, Err(refusal))) if *same_body => Err(refusal.clone()),
                _ => Err(twin_runs()),
            },
            Verdict::Go | Verdict::Keyed(_) => {
                let may = desk.permitted.contains(&call.credential);
                match (desk.active.contains(&call.organization), may) {
                    (false, _) => Err(Refusal::new(
                        Code::OrganizationSuspended,
                        "the organization is suspended",
                    )),
                    (true, false) => Err(Refusal::invalid_api_key()),
                    (true, true) => self.admit(call, now, books, gathered),
                }
            }
        };
        if let (Err(_), Verdict::Keyed(scope)) = (&answer, verdict) {
            desk.unused.push(scope);
        }
        let reference = match &answer {
            Ok(Opened::Replayed { reference }) => *reference,
            _ => call.id,
        };
        desk.opened.push((reference, answer.as_ref().map(|_| ()).map_err(Clone::clone)));
        answer
    }

    fn admit(
        &mut self,
        call: &NewCall,
        now: At,
        books: &mut Books,
        gathered: &mut Gathered,
    ) -> Result<Opened, Refusal> {
        self.may_be_called(call)?;
        let tariff = call.rated.tariff;
        let covered_s = tariff.first_hold_s();
        let held = tariff.cost(if tariff.is_free() { 0 } else { covered_s });
        books.till.take(call.organization, held)?;
        let due = match self.may_dial(call.organization, now, gathered) {
            Ok(due) => due,
            Err(refusal) => {
                books.till.give_back(call.organization, held, now);
                return Err(refusal);
            }
        };
        gathered.calls.add(call.organization, 1);
        gathered.calls.due.extend(due.map(|due| (call.organization, due)));
        let key = MessageKey(self.number());
        let state = State::opened(call, key, now, (held, covered_s));
        gathered.events.push(state.event(EventKind::CallInitiated, now));
        state.hold(key, held, gathered);
        if let Some((session, id)) = call.mask {
            books.masks.push(session);
            let call_id = call.id.show(Kind::Call);
            gathered.events.push(interaction(
                call.organization,
                id,
                "voice",
                ("call_id", &call_id),
            ));
        }
        let covered_s = state.covered();
        books.calls.insert(key.0, state);
        Ok(Opened::Fresh { key, at: now, covered_s })
    }

    /// Where nobody may call: what the organization is kept from, and what costs too much. Asked of each
    /// number that is dialled, whoever calls and whatever led to it.
    fn may_be_called(&self, call: &NewCall) -> Result<(), Refusal> {
        let own = Some(&call.to).filter(|_| call.direction == Direction::Outbound);
        let numbers = own.into_iter().chain(&call.dials);
        for digits in numbers.filter_map(|number| number.strip_prefix('+')) {
            if self.guards.forbids(call.organization, digits) {
                let message = "this organization does not call this destination";
                return Err(Refusal::new(Code::DestinationNotAllowed, message).field("to"));
            }
            if let Some(prefix) = self.bounds.blocks(digits) {
                let message = "numbers with this prefix are not called: they cost too much";
                let detail = Detail::Text(prefix.to_owned());
                return Err(Refusal::new(Code::FraudBlocked, message)
                    .field("to")
                    .detail("prefix", detail));
            }
        }
        Ok(())
    }

    /// Whether one call more is within the organization's pace and number; when the next is due.
    fn may_dial(
        &self,
        organization: OrgId,
        now: At,
        gathered: &Gathered,
    ) -> Result<Option<At>, Refusal> {
        let bounds = &self.bounds;
        let due = gathered.calls.due.get(&organization).or(self.calls.due.get(&organization));
        let next = match bounds.pace.turn(due.copied(), now) {
            Turn::Now(next) => next,
            Turn::At(then) => {
                let message = "the organization dials faster than it may";
                let limit = Detail::Number(bounds.pace.per_second.into());
                return Err(Refusal::new(Code::CallRateExceeded, message)
                    .detail("limit_per_second", limit)
                    .retry_after(seconds_until(now, then)));
            }
        };
        let open = self.calls.open_of(organization) + gathered.calls.open_of(organization);
        if bounds.concurrent_max > 0 && open >= bounds.concurrent_max {
            let message = "the organization has as many calls as it may";
            return Err(Refusal::new(Code::ConcurrentCallLimit, message)
                .detail("limit", Detail::Number(bounds.concurrent_max))
                .retry_after(1));
        }
        Ok((bounds.pace.per_second > 0).then_some(next))
    }
}

static ACTIVE: Bulk = Bulk {
    sqlite: "select id from organizations where id = ?1 and suspended_at is null",
    postgres: "select o.id from unnest($1::bigint[]) v (id) join organizations o on o.id = v.id
         where o.suspended_at is null",
};
