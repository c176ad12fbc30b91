//! What a lane is given and what it answers: plain values, no columns.

use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::message::{Category, Status};
use model::money::Micros;
use model::pool::Pick;
use model::refusal::{MessageError, Refusal};
use model::submission::Submission;

use super::{
    Admin, AdminDone, BindingChange, CallChange, CallDone, Dropped, Fire, FireFate, Inbound,
    InboundFate, Overdue, Owed, PreviewAnswer, Receipt, ReceiptFate, Retire, SmppCursor,
};

/// One batch.
#[derive(Debug, Default)]
pub struct Work {
    pub admin: Vec<Admin>,
    pub accepts: Vec<Submission>,
    /// Room at carriers for what is accepted: it is stored with its intent at once.
    pub grants: Vec<Grant>,
    pub fires: Vec<Fire>,
    pub claims: Vec<Claim>,
    pub results: Vec<HandoffResult>,
    pub calls: Vec<CallChange>,
    pub receipts: Vec<Receipt>,
    pub inbound: Vec<Inbound>,
    pub overdue: Vec<Overdue>,
    pub quarantine: Vec<Quarantined>,
    /// What has been kept long enough.
    pub retire: Vec<Retire>,
    /// What would become of these; nothing of them is stored.
    pub previews: Vec<Submission>,
    /// Idempotency keys older than this are dropped, a few at a time.
    pub forget_keys_before: Option<At>,
    /// Parked receipts and inbound fingerprints older than this are dropped, a few at a time.
    pub forget_parked_before: Option<At>,
    /// How far accounts have been given their events.
    pub smpp_cursors: Vec<SmppCursor>,
    /// Where phones are registered, and where not any more.
    pub bindings: Vec<BindingChange>,
    /// Parts of inbound messages older than this wait no longer for their siblings.
    pub join_before: Option<At>,
    /// Long messages whose last receipt of a part is older than this wait no longer for the others.
    pub partly_before: Option<At>,
    /// Where the search for missing receipts stands now: lane, carrier, event number.
    pub sweep_cursors: Vec<(i64, CarrierId, i64)>,
}

impl Work {
    #[must_use]
    pub fn len(&self) -> usize {
        self.admin.len()
            + self.accepts.len()
            + self.fires.len()
            + self.claims.len()
            + self.results.len()
            + self.calls.len()
            + self.receipts.len()
            + self.inbound.len()
            + self.overdue.len()
            + self.quarantine.len()
            + self.retire.len()
            + self.previews.len()
            + self.sweep_cursors.len()
            + self.smpp_cursors.len()
            + self.bindings.len()
            + usize::from(self.forget_keys_before.is_some())
            + usize::from(self.forget_parked_before.is_some())
            + usize::from(self.join_before.is_some())
            + usize::from(self.partly_before.is_some())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it tells of calls, and nobody waits for it.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        self.calls.len() == self.len() && self.calls.iter().all(CallChange::may_wait)
    }
}

/// Answers in the order of the work.
#[derive(Debug)]
pub struct Done {
    /// The moment written on all rows of this transaction.
    pub at: At,
    pub admin: Vec<AdminDone>,
    pub accepts: Vec<AcceptAnswer>,
    /// Accepted messages that were stored with an intent, in rising order.
    pub intended: Vec<MessageKey>,
    pub fires: Vec<FireFate>,
    /// False: the row is gone or somebody else's; do not send.
    pub claims: Vec<bool>,
    pub results: Vec<Fate>,
    pub calls: Vec<CallDone>,
    pub receipts: Vec<ReceiptFate>,
    pub inbound: Vec<InboundFate>,
    /// What SMPP accounts are owed.
    pub owed: Vec<Owed>,
    /// Whose claimed messages ended as blocked instead, each once per message.
    pub blocked: Vec<OrgId>,
    /// Parked receipts that went because there were too many.
    pub dropped: Vec<Dropped>,
    /// Answers to keywords wait to be sent.
    pub replies_due: bool,
    pub previews: Vec<PreviewAnswer>,
    /// False: the database does not take it.
    pub bindings: Vec<bool>,
}

pub type AcceptAnswer = Result<Accepted, Refusal>;

/// What an accepted submission became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Stored now, but for the messages refused, which are named by their place in the submission.
    /// The keys of the others count up from the first. Those named in `later` are scheduled.
    /// Those in `picked` go from the sender, and so the way, that their pool chose.
    Fresh {
        at: At,
        first: MessageKey,
        refused: Vec<(usize, Refusal)>,
        later: Vec<(usize, At)>,
        picked: Vec<(usize, Pick)>,
    },
    /// A batch of which the gates let nothing in: nothing is stored.
    Nothing { refused: Vec<(usize, Refusal)> },
    /// An earlier request with this key did it: the id of its message or batch.
    Replayed { reference: PublicId },
}

/// Where a waiting message's outbox row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutboxRef {
    pub carrier: CarrierId,
    pub class: i64,
    pub organization: OrgId,
    pub key: MessageKey,
}

/// The intent to send, stored before any byte leaves.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub row: OutboxRef,
    pub epoch: i64,
}

/// Leave of a carrier's owner to store intents with messages as they are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub carrier: CarrierId,
    pub epoch: i64,
    /// Of messages, in all.
    pub parts: usize,
}

/// What a carrier made of one message.
#[derive(Clone, Debug)]
pub struct HandoffResult {
    pub row: OutboxRef,
    pub epoch: i64,
    pub category: Category,
    pub segments: u8,
    /// Price of one part, as held.
    pub unit_price: Micros,
    pub outcome: Outcome,
}

/// A part and the id the carrier gave it, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartId {
    pub part: u8,
    pub id: String,
}

#[derive(Clone, Debug)]
pub enum Outcome {
    /// Every part was acknowledged.
    Sent { parts: Vec<PartId>, external_id: String },
    /// Over, without a receipt to come; `submitted` parts left and are charged.
    Ended {
        status: Status,
        reason: Option<&'static str>,
        error: Option<MessageError>,
        carrier_error: Option<String>,
        submitted: u8,
        parts: Vec<PartId>,
    },
    /// Refused for now, certainly not sent; to be tried again at `due_at`. `stays`: some of its parts
    /// were taken, so that no other carrier may get it.
    Retry { due_at: At, attempts: i64, carrier_error: Option<String>, stays: bool },
    /// Certainly not accepted, and another carrier takes it; `tried` is what its row keeps of those
    /// it has left. `waiting`: it has no intent, and moves only while it has none.
    Divert {
        to: CarrierId,
        tried: String,
        reason: &'static str,
        carrier_error: Option<String>,
        waiting: bool,
    },
    /// Bytes may have left and no answer came: keep the intent, decide at `due_at`.
    InDoubt { due_at: At },
    /// Decide now: a parked receipt settles it; else send again, or give up waiting.
    Resolve { to: String, from: String, since: At, resend: bool, attempts: i64, submitted: u8 },
}

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Closed,
    /// Back in the outbox without an intent: claim it again when due.
    Again,
    /// Still in doubt, intent kept.
    Waiting,
    /// It waits for the other carrier, at this place.
    Diverted {
        place: i64,
    },
    /// The row was not ours any more: nothing was written.
    Stale,
}

/// An item set aside, for a person to look at.
#[derive(Clone, Debug)]
pub struct Quarantined {
    pub carrier: Option<CarrierId>,
    pub message: Option<MessageKey>,
    pub reason: String,
    pub item: String,
}
