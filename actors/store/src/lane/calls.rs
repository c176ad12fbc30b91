//! Calls: their rows, their money, and what the log says of them.
//!
//! A call's actor tells what happened; here it is decided, in order of arrival and in memory, and
//! written with one statement per table. Money is held in slices, and settled once: only a call that
//! is not over can end, whoever repeats it. What a call costs is reckoned here, from its legs.
//! Tables: calls, call_slices, call_legs, sip_messages; proxy_sessions, idempotency, organizations, wallets and
//! daily_spend beside; transfers and events are gathered.

mod close;
mod open;
mod rows;
mod state;
mod tally;
mod till;

use std::collections::HashMap;
use std::time::Duration;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::message::Direction;
use model::refusal::Refusal;
use model::submission::{Credential, Idempotency};
use model::voice::{
    CallStatus, Charge, EndReason, Facts, HangupBy, Leg, Rated, Transport, write_legs,
};

use super::{Gathered, Lane};
use crate::error::StoreError;

use rows::{LadderRow, LegRow, SliceRow};
use state::State;
pub(super) use tally::Tally;
use till::Till;

/// Calls that are closed by one step of a recovery.
pub const LOST_MAX: usize = 500;

/// A call that is about to be dialled, or whose INVITE has come: checked and priced.
#[derive(Clone, Debug)]
pub struct NewCall {
    pub id: PublicId,
    pub organization: OrgId,
    pub credential: Credential,
    pub idempotency: Option<Idempotency>,
    pub direction: Direction,
    /// `None`: withheld.
    pub from: Option<String>,
    /// E.164 with `+`, or an address.
    pub to: String,
    /// Numbers that it may dial in the public network, also where `to` is a number of ours that leads
    /// on to them: E.164 with `+`.
    pub dials: Vec<String>,
    pub test: bool,
    /// What is put aside for; what is charged is said by the legs.
    pub rated: Rated,
    pub transport: Option<Transport>,
    pub facts: Facts,
    /// The masking session that it goes by.
    pub mask: Option<(i64, PublicId)>,
    pub legs: Vec<Leg>,
    /// JSON object as text.
    pub metadata: Option<String>,
}

/// What happened to a call, or is asked for it.
#[derive(Clone, Debug)]
pub enum CallChange {
    /// Stored, with its first slice of money put aside; or refused, and nothing is stored.
    Open(Box<NewCall>),
    Progress(Box<Progress>),
    Transferred(Box<Transferred>),
    /// So many seconds more, as the call's slice of this number; the first has number 1.
    Renew {
        key: MessageKey,
        slice: i64,
        seconds: i64,
    },
    /// How far calls have come.
    Checkpoint(Vec<(MessageKey, At)>),
    /// SIP messages, as [`model::voice::pack`] made them.
    /// The call may be over.
    Ladder {
        key: MessageKey,
        organization: OrgId,
        messages: Vec<u8>,
    },
    /// A side of it waits, or waits no longer.
    Held {
        key: MessageKey,
        at: At,
        on: bool,
        /// Who waits: `a` who called, `b` who was called.
        leg: &'static str,
        /// `caller`, `callee` or `api`.
        by: HangupBy,
    },
    Close(Box<Closing>),
    /// Nobody holds these any more: each ends where it was last seen. Bare: its legs are recorded
    /// without what others wrote, since the database did not take that.
    Lost {
        calls: LostCalls,
        bare: bool,
    },
}

/// A call goes on.
#[derive(Clone, Debug)]
pub struct Progress {
    pub key: MessageKey,
    /// When it happened.
    pub at: At,
    /// What it becomes; told in the log, if it was not that before.
    pub status: Option<CallStatus>,
    /// All its legs, as they are now.
    pub legs: Option<Vec<Leg>>,
    pub transport: Option<Transport>,
    pub facts: Option<Box<Facts>>,
}

/// One end has left a call, and who stays talks to somebody else.
#[derive(Clone, Debug)]
pub struct Transferred {
    pub key: MessageKey,
    pub at: At,
    /// Whom to, and by which other call where it is another one.
    pub target: String,
    pub other: Option<PublicId>,
    /// All its legs, as they are now.
    pub legs: Vec<Leg>,
}

/// A call is over.
#[derive(Clone, Debug)]
pub struct Closing {
    pub key: MessageKey,
    pub at: At,
    pub reason: EndReason,
    /// The final status of its INVITE, or none when it ended by BYE.
    pub sip_code: Option<u16>,
    /// As the other side gave it; else that of the reason.
    pub q850: Option<u8>,
    pub by: HangupBy,
    /// All legs it ever had; those that have not ended end with it. Empty: as last told.
    pub legs: Vec<Leg>,
    pub facts: Option<Box<Facts>>,
    /// SIP messages, as [`model::voice::pack`] made them.
    pub ladder: Option<Vec<u8>>,
}

/// Which calls were lost.
#[derive(Clone, Debug)]
pub enum LostCalls {
    /// The oldest from the first key on that are below the second, [`LOST_MAX`] of them.
    Between(MessageKey, MessageKey),
    These(Vec<MessageKey>),
    /// Those whose opening was asked for and never answered.
    Named(Vec<PublicId>),
}

/// What became of a change, in its order.
#[derive(Clone, Debug, PartialEq)]
pub enum CallDone {
    Opened(Result<Opened, Refusal>),
    /// False: there is no such call that is not over.
    Noted(bool),
    Renewed(Renewal),
    /// What it came to; `None`: it was over, or there is no such call.
    Closed(Option<Charge>),
    /// So many were closed.
    Lost(usize),
    /// The database takes it in no way.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    Fresh {
        key: MessageKey,
        at: At,
        /// Seconds of talk that are paid for; `None`: they cost nothing.
        covered_s: Option<i64>,
    },
    /// An earlier request with this key did it.
    Replayed { reference: PublicId },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Seconds of talk that are paid for from its answer on; `None`: they cost nothing.
    Until {
        covered_s: Option<i64>,
    },
    /// There is no money for more: the call has to end.
    Exhausted(Refusal),
    Over,
}

/// What one transaction knows and does of calls.
struct Books {
    calls: HashMap<i64, State>,
    till: Till,
    slices: Vec<SliceRow>,
    legs: Vec<LegRow>,
    ladders: Vec<LadderRow>,
    /// Masking sessions, as often as calls went by them.
    masks: Vec<i64>,
}

impl Lane {
    pub(super) async fn book_calls(
        &mut self,
        changes: &[CallChange],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Vec<CallDone>, StoreError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        self.checkpoint(changes).await?;
        let (states, lost) = self.read_calls(changes).await?;
        let mut desk = self.open_desk(changes, now).await?;
        let till = self.open_till(changes, &states, now, gathered).await?;
        let mut books = Books {
            calls: states,
            till,
            slices: Vec::new(),
            legs: Vec::new(),
            ladders: Vec::new(),
            masks: Vec::new(),
        };
        let mut done = Vec::with_capacity(changes.len());
        for (at, change) in changes.iter().enumerate() {
            let answer = match change {
                CallChange::Open(call) => {
                    let opened = self.open_call(call, &mut desk, now, &mut books, gathered);
                    CallDone::Opened(opened)
                }
                CallChange::Progress(progress) => {
                    CallDone::Noted(self.progress(progress, &mut books, gathered))
                }
                CallChange::Transferred(moved) => {
                    CallDone::Noted(books.transferred(moved, gathered))
                }
                CallChange::Renew { key, slice, seconds } => {
                    let asked = (*key, *slice, *seconds);
                    CallDone::Renewed(self.renew(asked, now, &mut books, gathered))
                }
                CallChange::Checkpoint(_) => CallDone::Noted(true),
                CallChange::Ladder { key, organization, messages } => {
                    self.keep_ladder((*key, *organization), messages, now, &mut books);
                    CallDone::Noted(true)
                }
                CallChange::Held { key, at, on, leg, by } => {
                    CallDone::Noted(books.held((*key, *at), *on, (leg, *by), gathered))
                }
                CallChange::Close(closing) => {
                    CallDone::Closed(self.close_call(closing, now, &mut books, gathered))
                }
                CallChange::Lost { calls, bare } => {
                    let keys = lost.get(&at).map_or(&[][..], Vec::as_slice);
                    CallDone::Lost(self.lose((calls, *bare), keys, now, &mut books, gathered))
                }
            };
            done.push(answer);
        }
        self.forget(&desk.unused).await?;
        self.write_calls(&books).await?;
        self.interacted(&books.masks).await?;
        self.close_till(books.till, now, gathered).await?;
        Ok(done)
    }

    fn progress(
        &mut self,
        progress: &Progress,
        books: &mut Books,
        gathered: &mut Gathered,
    ) -> bool {
        let Some(call) = books.calls.get_mut(&progress.key.0).filter(|call| !call.is_over()) else {
            return false;
        };
        call.changed = true;
        // A call that costs nothing rings before its row is there.
        let at = At(progress.at.0.max(call.created_at.0));
        if let Some(legs) = &progress.legs {
            call.legs = Some(write_legs(legs));
        }
        call.transport = progress.transport.or(call.transport);
        if let Some(facts) = &progress.facts {
            call.facts = facts.to_json();
        }
        if let Some(status) = progress.status
            && call.status.may_become(status)
            && !status.is_over()
        {
            call.becomes(status, at);
            gathered.events.push(call.event(call.told_as(), at));
        }
        true
    }

    fn renew(
        &mut self,
        (key, slice, seconds): (MessageKey, i64, i64),
        now: At,
        books: &mut Books,
        gathered: &mut Gathered,
    ) -> Renewal {
        let Some(call) = books.calls.get_mut(&key.0).filter(|call| !call.is_over()) else {
            return Renewal::Over;
        };
        // Asked for again: it was taken already.
        if call.rated.tariff.is_free() || slice <= call.slices {
            return Renewal::Until { covered_s: call.covered() };
        }
        let tariff = call.rated.tariff;
        // Whole steps: what is talked beyond one would be charged to the end of the next.
        let until = call.covered_s.saturating_add(seconds.max(1));
        let covered_s = tariff.billable_s(Duration::from_secs(until.unsigned_abs()));
        let amount = tariff.cost(covered_s) - tariff.cost(call.covered_s);
        if let Err(refusal) = books.till.take(call.organization, amount) {
            return Renewal::Exhausted(refusal);
        }
        let number = MessageKey(self.number());
        books.slices.push(call.add_slice((amount, covered_s), number, now, gathered));
        Renewal::Until { covered_s: call.covered() }
    }

    fn keep_ladder(
        &mut self,
        (call, organization): (MessageKey, OrgId),
        messages: &[u8],
        now: At,
        books: &mut Books,
    ) {
        if self.bounds.no_ladders {
            return;
        }
        books.ladders.push(LadderRow {
            seq: self.number(),
            call,
            organization,
            at: now,
            messages: messages.to_vec(),
        });
    }
}

impl Books {
    fn transferred(&mut self, moved: &Transferred, gathered: &mut Gathered) -> bool {
        let known = self.calls.get_mut(&moved.key.0);
        let Some(call) = known.filter(|call| !call.is_over()) else { return false };
        (call.changed, call.legs) = (true, Some(write_legs(&moved.legs)));
        gathered.events.push(call.transferred(moved));
        true
    }

    /// The log is told that a side waits, or waits no longer.
    fn held(
        &self,
        (key, at): (MessageKey, At),
        on: bool,
        who: (&str, HangupBy),
        gathered: &mut Gathered,
    ) -> bool {
        let Some(call) = self.calls.get(&key.0).filter(|call| !call.is_over()) else {
            return false;
        };
        gathered.events.push(call.held(on, at, who));
        true
    }
}

impl CallChange {
    /// The call that it is of, where it is of one that is stored.
    #[must_use]
    pub fn key(&self) -> Option<MessageKey> {
        match self {
            Self::Progress(progress) => Some(progress.key),
            Self::Transferred(moved) => Some(moved.key),
            Self::Renew { key, .. } | Self::Ladder { key, .. } | Self::Held { key, .. } => {
                Some(*key)
            }
            Self::Close(closing) => Some(closing.key),
            Self::Open(_) | Self::Checkpoint(_) | Self::Lost { .. } => None,
        }
    }

    /// It says what has happened; nobody waits for it to be stored.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        match self {
            Self::Progress(_)
            | Self::Transferred(_)
            | Self::Held { .. }
            | Self::Checkpoint(_)
            | Self::Ladder { .. }
            | Self::Close(_) => true,
            Self::Open(_) | Self::Renew { .. } | Self::Lost { .. } => false,
        }
    }

    /// It promises something to who asks: done later than that, it would be done for nobody.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}
