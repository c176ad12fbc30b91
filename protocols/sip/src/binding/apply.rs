//! What a REGISTER makes of the bindings of its address-of-record, RFC 3261 §10.3 steps 6 to 8.
//!
//! A device that comes with the Call-ID or the instance it had, and another Contact, has moved: when
//! there is no room its old bindings make way. Otherwise who is behind a NAT that changes ports would
//! lock itself out until the first of them is over.

use bytes::Bytes;

use super::wish::{Wanted, Wish};
use super::{Binding, Policy, Refused};
use crate::{Message, Uri};

/// What is bound after a REGISTER, and what it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub bindings: Vec<Binding>,
    /// Slots that are new.
    pub added: Vec<u16>,
    /// Slots that were there and last longer, or are reached otherwise.
    pub refreshed: Vec<u16>,
    /// What is gone: taken away, moved, or over.
    pub removed: Vec<Binding>,
    /// A flow of Outbound was registered: the answer says so.
    pub outbound: bool,
}

impl Outcome {
    pub fn changes(&self) -> bool {
        !self.added.is_empty() || !self.refreshed.is_empty() || !self.removed.is_empty()
    }

    fn take(&mut self, at: usize) {
        let gone = self.bindings.remove(at);
        self.added.retain(|slot| *slot != gone.slot);
        self.refreshed.retain(|slot| *slot != gone.slot);
        self.removed.push(gone);
    }

    fn free_slot(&self, bound: &[Binding]) -> u16 {
        let taken = |slot: &u16| {
            let mut all = self.bindings.iter().chain(bound);
            all.any(|binding| binding.slot == *slot)
        };
        (0..=u16::MAX).find(|slot| !taken(slot)).unwrap_or(u16::MAX)
    }
}

/// What `request`, a REGISTER, makes of `bound`.
pub fn register(
    request: &Message,
    bound: &[Binding],
    policy: &Policy,
    now_s: u64,
) -> Result<Outcome, Refused> {
    let most = policy.contacts_max.saturating_add(bound.len());
    let wish = Wish::read(request, policy, most)?;
    let (over, live): (Vec<_>, Vec<_>) =
        bound.iter().cloned().partition(|binding| binding.is_over(now_s));
    let mut outcome = Outcome { bindings: live, removed: over, ..Outcome::default() };
    if wish.none {
        for binding in &outcome.bindings {
            in_order(binding, &wish)?;
        }
        outcome.removed.append(&mut outcome.bindings);
        return Ok(outcome);
    }
    for wanted in &wish.contacts {
        let expires_s = granted(wanted, policy)?;
        one(&mut outcome, &wish, wanted, (expires_s, now_s), bound)?;
    }
    make_room(&mut outcome, &wish, policy)?;
    outcome.outbound = wish.outbound && !outcome.bindings.is_empty();
    Ok(outcome)
}

/// How long a contact is bound; zero ends it.
fn granted(wanted: &Wanted, policy: &Policy) -> Result<u32, Refused> {
    match wanted.expires_s {
        Some(0) => Ok(0),
        Some(asked) if asked < policy.expires_min_s => {
            Err(Refused::TooBrief { min_s: policy.expires_min_s })
        }
        asked => Ok(asked.unwrap_or(policy.expires_default_s).min(policy.expires_max_s)),
    }
}

fn one(
    outcome: &mut Outcome,
    wish: &Wish,
    wanted: &Wanted,
    (expires_s, now_s): (u32, u64),
    bound: &[Binding],
) -> Result<(), Refused> {
    let found = outcome.bindings.iter().position(|binding| is_same(binding, wanted));
    if let Some(at) = found {
        // What this very request has bound is no earlier request.
        if !outcome.added.contains(&outcome.bindings[at].slot) {
            let before = bound.iter().find(|old| old.slot == outcome.bindings[at].slot);
            before.map_or(Ok(()), |before| in_order(before, wish))?;
        }
        if expires_s == 0 {
            outcome.take(at);
            return Ok(());
        }
    } else if expires_s == 0 {
        return Ok(());
    }
    let slot = match found {
        Some(at) => outcome.bindings[at].slot,
        None => outcome.free_slot(bound),
    };
    let binding = Binding {
        slot,
        contact: Bytes::copy_from_slice(wanted.uri.as_bytes()),
        q: wanted.q,
        instance: wanted.instance.clone(),
        reg_id: wanted.reg_id,
        call_id: wish.call_id.clone(),
        cseq: wish.cseq,
        path: wish.path.clone(),
        expires_at_s: now_s.saturating_add(u64::from(expires_s)),
    };
    match found {
        Some(at) => {
            outcome.bindings[at] = binding;
            if !outcome.added.contains(&slot) && !outcome.refreshed.contains(&slot) {
                outcome.refreshed.push(slot);
            }
        }
        None => {
            outcome.bindings.push(binding);
            outcome.added.push(slot);
        }
    }
    Ok(())
}

/// RFC 3261 §10.3: of one Call-ID only a higher CSeq changes anything.
fn in_order(binding: &Binding, wish: &Wish) -> Result<(), Refused> {
    let older = binding.call_id == wish.call_id && wish.cseq <= binding.cseq;
    if older { Err(Refused::OutOfOrder) } else { Ok(()) }
}

/// Flows of Outbound are told apart by device and flow, all others by their URI.
fn is_same(binding: &Binding, wanted: &Wanted) -> bool {
    if binding.reg_id > 0 || wanted.reg_id > 0 {
        return binding.reg_id == wanted.reg_id && binding.instance == wanted.instance;
    }
    if binding.contact == *wanted.uri.bytes() {
        return true;
    }
    Uri::parse(&binding.contact).is_ok_and(|uri| uri.is_equivalent(&wanted.uri))
}

fn make_room(outcome: &mut Outcome, wish: &Wish, policy: &Policy) -> Result<(), Refused> {
    if outcome.added.is_empty() {
        return Ok(());
    }
    while outcome.bindings.len() > policy.contacts_max {
        let moved = outcome.bindings.iter().position(|binding| {
            let touched =
                outcome.added.contains(&binding.slot) || outcome.refreshed.contains(&binding.slot);
            let device = |wanted: &Wanted| {
                !wanted.instance.is_empty()
                    && wanted.instance == binding.instance
                    && wanted.reg_id == binding.reg_id
            };
            let own = binding.call_id == wish.call_id || wish.contacts.iter().any(device);
            !touched && own
        });
        let at = moved.ok_or(Refused::TooMany { most: policy.contacts_max })?;
        outcome.take(at);
    }
    Ok(())
}
