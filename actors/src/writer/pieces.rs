//! Work put together for a commit and taken apart again: in halves when the database refuses it,
//! and its answers errand by errand. What could not be stored at all is worded here.
//!
//! Pure: nothing here waits or writes. Whatever a batch may hold has its line in each function, so
//! that nothing is lost between two batches.

use store::StoreError;
use store::lane::{Done, Quarantined, Work};

/// How many answers of each kind an errand expects.
pub(super) struct Share {
    pub(super) fires: usize,
    pub(super) claims: usize,
    pub(super) results: usize,
    pub(super) calls: usize,
    pub(super) receipts: usize,
    pub(super) inbound: usize,
    pub(super) admin: usize,
    pub(super) previews: usize,
    pub(super) bindings: usize,
}

impl Share {
    pub(super) fn of(work: &Work) -> Self {
        Self {
            fires: work.fires.len(),
            claims: work.claims.len(),
            results: work.results.len(),
            calls: work.calls.len(),
            receipts: work.receipts.len(),
            inbound: work.inbound.len(),
            admin: work.admin.len(),
            previews: work.previews.len(),
            bindings: work.bindings.len(),
        }
    }
}

pub(super) fn append(work: &mut Work, mut more: Work) {
    work.admin.append(&mut more.admin);
    work.accepts.append(&mut more.accepts);
    work.grants.append(&mut more.grants);
    work.fires.append(&mut more.fires);
    work.claims.append(&mut more.claims);
    work.results.append(&mut more.results);
    work.calls.append(&mut more.calls);
    work.receipts.append(&mut more.receipts);
    work.inbound.append(&mut more.inbound);
    work.overdue.append(&mut more.overdue);
    work.quarantine.append(&mut more.quarantine);
    work.retire.append(&mut more.retire);
    work.previews.append(&mut more.previews);
    work.sweep_cursors.append(&mut more.sweep_cursors);
    work.smpp_cursors.append(&mut more.smpp_cursors);
    work.bindings.append(&mut more.bindings);
    work.forget_keys_before = work.forget_keys_before.max(more.forget_keys_before);
    work.forget_parked_before = work.forget_parked_before.max(more.forget_parked_before);
    work.join_before = work.join_before.max(more.join_before);
    work.partly_before = work.partly_before.max(more.partly_before);
}

/// Takes the second half of each kind away; of a single kind with one item, the other kinds.
pub(super) fn halve(work: &mut Work) -> Work {
    fn half<T>(items: &mut Vec<T>, spare_one: &mut bool) -> Vec<T> {
        let keep = if items.len() == 1 {
            // Single items go alternately to the one half and the other, so that halving ends.
            *spare_one = !*spare_one;
            usize::from(*spare_one)
        } else {
            items.len() / 2
        };
        items.split_off(keep)
    }
    let mut spare = false;
    // Room is for a batch that is stored as it came.
    work.grants.clear();
    let mut second = Work {
        admin: half(&mut work.admin, &mut spare),
        accepts: half(&mut work.accepts, &mut spare),
        grants: Vec::new(),
        fires: half(&mut work.fires, &mut spare),
        claims: half(&mut work.claims, &mut spare),
        results: half(&mut work.results, &mut spare),
        calls: half(&mut work.calls, &mut spare),
        receipts: half(&mut work.receipts, &mut spare),
        inbound: half(&mut work.inbound, &mut spare),
        overdue: half(&mut work.overdue, &mut spare),
        quarantine: half(&mut work.quarantine, &mut spare),
        retire: half(&mut work.retire, &mut spare),
        previews: half(&mut work.previews, &mut spare),
        sweep_cursors: half(&mut work.sweep_cursors, &mut spare),
        smpp_cursors: half(&mut work.smpp_cursors, &mut spare),
        bindings: half(&mut work.bindings, &mut spare),
        forget_keys_before: work.forget_keys_before.take(),
        forget_parked_before: None,
        join_before: None,
        partly_before: None,
    };
    if second.is_empty() {
        second.forget_parked_before = work.forget_parked_before.take();
    }
    if second.is_empty() {
        second.join_before = work.join_before.take();
    }
    if second.is_empty() {
        second.partly_before = work.partly_before.take();
    }
    second
}

pub(super) fn join(mut first: Done, second: Done) -> Done {
    first.at = second.at;
    first.admin.extend(second.admin);
    first.accepts.extend(second.accepts);
    first.intended.extend(second.intended);
    first.owed.extend(second.owed);
    first.fires.extend(second.fires);
    first.claims.extend(second.claims);
    first.results.extend(second.results);
    first.calls.extend(second.calls);
    first.receipts.extend(second.receipts);
    first.inbound.extend(second.inbound);
    first.blocked.extend(second.blocked);
    first.dropped.extend(second.dropped);
    first.replies_due |= second.replies_due;
    first.previews.extend(second.previews);
    first.bindings.extend(second.bindings);
    first
}

pub(super) fn take(done: &mut Done, share: &Share) -> Done {
    Done {
        at: done.at,
        admin: done.admin.drain(..share.admin).collect(),
        accepts: Vec::new(),
        fires: done.fires.drain(..share.fires).collect(),
        claims: done.claims.drain(..share.claims).collect(),
        results: done.results.drain(..share.results).collect(),
        calls: done.calls.drain(..share.calls).collect(),
        receipts: done.receipts.drain(..share.receipts).collect(),
        inbound: done.inbound.drain(..share.inbound).collect(),
        intended: Vec::new(),
        owed: Vec::new(),
        blocked: Vec::new(),
        dropped: Vec::new(),
        replies_due: false,
        previews: done.previews.drain(..share.previews).collect(),
        bindings: done.bindings.drain(..share.bindings).collect(),
    }
}

/// What an operator needs to know of an item; never a message's text.
pub(super) fn describe(work: &Work, error: &StoreError) -> Quarantined {
    let (kind, carrier, message) = if let Some(submission) = work.accepts.first() {
        ("accept", submission.messages.first().map(|m| m.carrier), None)
    } else if let Some(fire) = work.fires.first() {
        let carrier = fire.message.as_ref().ok().map(|message| message.carrier);
        ("fire", carrier, Some(fire.key))
    } else if let Some(claim) = work.claims.first() {
        ("claim", Some(claim.row.carrier), Some(claim.row.key))
    } else if let Some(result) = work.results.first() {
        ("result", Some(result.row.carrier), Some(result.row.key))
    } else if let Some(change) = work.calls.first() {
        ("call", None, change.key())
    } else if let Some(receipt) = work.receipts.first() {
        ("receipt", Some(receipt.carrier), None)
    } else if let Some(inbound) = work.inbound.first() {
        ("inbound", Some(inbound.carrier), None)
    } else if !work.bindings.is_empty() {
        ("binding", None, None)
    } else if !work.previews.is_empty() {
        ("preview", None, None)
    } else {
        ("other", None, None)
    };
    Quarantined { carrier, message, reason: format!("store_{kind}"), item: error.to_string() }
}

#[cfg(test)]
mod tests {
    use model::carrier::CarrierId;
    use model::clock::At;

    use super::*;

    fn cursors(count: i64) -> Work {
        let sweep_cursors = (0..count).map(|n| (n, CarrierId(1), n)).collect();
        Work { sweep_cursors, ..Work::default() }
    }

    #[test]
    fn halving_ends_at_single_items_and_keeps_their_order() {
        let mut work = cursors(5);
        let second = halve(&mut work);
        assert_eq!((work.len(), second.len()), (2, 3));
        append(&mut work, second);
        assert_eq!(work.sweep_cursors.iter().map(|c| c.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn one_item_and_a_sweep_are_parted() {
        let mut work = cursors(1);
        (work.forget_keys_before, work.forget_parked_before) = (Some(At(1)), Some(At(1)));
        let mut second = halve(&mut work);
        assert_eq!((work.len(), second.len()), (2, 1));
        second = halve(&mut work);
        assert_eq!((work.len(), second.len()), (1, 1));
    }

    #[test]
    fn two_single_items_of_different_kinds_are_parted() {
        let mut work = cursors(1);
        work.quarantine.push(Quarantined {
            carrier: None,
            message: None,
            reason: String::new(),
            item: String::new(),
        });
        let second = halve(&mut work);
        assert_eq!((work.len(), second.len()), (1, 1));
    }
}
