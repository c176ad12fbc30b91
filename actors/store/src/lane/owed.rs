//! What customers' SMPP accounts are owed by a transaction, told after its commit, so that their
//! couriers need not read the log while they keep pace with it.
//!
//! The log stays the truth: whoever is not told, or was told after a gap, reads it.
//! Tables: none; rows are those of `Store::owed`.

use std::sync::Arc;

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;

use super::{EventRow, Gathered, Lane};
use crate::smpp::OwedRow;

/// What the accounts of an organization may be owed in one stretch of its log.
#[derive(Clone, Debug)]
pub struct Owed {
    pub organization: OrgId,
    /// What was owed before, up to this line, was told by this writer; `None`: it told nothing yet.
    pub after: Option<i64>,
    /// The last line that is owed to anybody.
    pub to: i64,
    /// `None`: the lines have to be read from the log.
    pub rows: Option<Vec<Arc<OwedRow>>>,
}

/// What a receipt's PDU says of its message.
pub(crate) struct OwedMessage {
    pub(crate) created_at: i64,
    pub(crate) to: String,
    pub(crate) from: String,
    pub(crate) body: String,
    pub(crate) encoding: i64,
    pub(crate) error_code: Option<String>,
    pub(crate) carrier_error: Option<String>,
    pub(crate) account: i64,
    pub(crate) submitted: Option<Vec<u8>>,
}

impl OwedMessage {
    fn row(&self, event: &EventRow, seq: i64, now: At) -> OwedRow {
        OwedRow {
            seq,
            at: now.micros(),
            kind: event.kind.code(),
            status: event.status.code(),
            message_key: event.message.0,
            created_at: self.created_at,
            to_addr: self.to.clone(),
            from_addr: self.from.clone(),
            body: self.body.clone(),
            encoding: self.encoding,
            error_code: self.error_code.clone(),
            carrier_error: self.carrier_error.clone(),
            smpp_account_id: Some(self.account),
            submitted: self.submitted.clone(),
        }
    }
}

/// The kinds that `Store::owed` reads.
fn is_owed(kind: EventKind) -> bool {
    use EventKind::{Cancelled, Delivered, Failed, Received};
    matches!(kind, Delivered | Failed | Received | Cancelled)
}

impl Lane {
    /// What the events of a transaction owe, by organization; `seqs` are their numbers.
    pub(super) fn owed(&self, gathered: &Gathered, seqs: &[i64], now: At) -> Vec<Owed> {
        let mut all: Vec<Owed> = Vec::new();
        let mut known = gathered.owed.iter().peekable();
        for (at, (event, seq)) in gathered.events.iter().zip(seqs).enumerate() {
            if !is_owed(event.kind) {
                continue;
            }
            let organization = event.organization;
            let place = match all.iter().rposition(|owed| owed.organization == organization) {
                Some(place) => place,
                None => {
                    let after = self.last_owed.get(&organization).copied();
                    all.push(Owed { organization, after, to: *seq, rows: Some(Vec::new()) });
                    all.len() - 1
                }
            };
            let owed = &mut all[place];
            owed.to = *seq;
            while known.next_if(|(index, _)| *index < at).is_some() {}
            match (known.next_if(|(index, _)| *index == at), &mut owed.rows) {
                (Some((_, Some(message))), Some(rows)) => {
                    rows.push(Arc::new(message.row(event, *seq, now)));
                }
                (None, rows) => *rows = None,
                (Some(_), _) => {}
            }
        }
        all
    }
}
