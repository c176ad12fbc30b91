//! The bindings in memory: by credential, by connection, and by the second in which they are over.
//!
//! Each binding stands once in each of the three. What needs a connection holds it open; where a telephone is
//! registered the shield hears it. Dropped, the table lets all of it go.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use metrics::{Gauge, gauge};
use model::clock::At;
use proto_sip::binding::{Binding, Outcome};
use store::lane::{BindingChange, Registrant, Unbound};

use super::{Unstored, now_s, rows};
use crate::sip::flow::Flow;
use crate::sip::transport::Wire;

/// Where a telephone is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    pub flow: Flow,
    /// The Request-URI of what is sent to it.
    pub contact: Bytes,
    /// Routes to it, as values of a list; empty for none.
    pub path: Bytes,
    /// Preference in thousandths.
    pub q: u16,
    /// Which device; empty when it does not say.
    pub instance: Bytes,
}

/// What is known of a binding beside what REGISTER says.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    pub(super) flow: Flow,
    pub(super) agent: Option<Box<str>>,
    pub(super) registered_at: At,
}

/// A REGISTER that was granted.
pub(super) struct Bound {
    pub(super) of: Registrant,
    pub(super) aor: Arc<str>,
    pub(super) outcome: Outcome,
    pub(super) agent: Option<Box<str>>,
    /// Over UDP it may want to be reached at another port than it sent from.
    pub(super) reached_at: Flow,
}

/// A binding that is no more.
pub(super) struct Gone {
    of: Registrant,
    slot: u16,
    contact: Bytes,
}

impl Gone {
    pub(super) fn change(self, why: Unbound) -> BindingChange {
        let contact = String::from_utf8_lossy(&self.contact).into_owned();
        BindingChange::Remove { of: self.of, key: rows::key(self.slot), contact, why }
    }
}

struct Aor {
    of: Registrant,
    bindings: Vec<Binding>,
    /// In the same order.
    reaches: Vec<Reach>,
}

pub(super) struct Table {
    aors: HashMap<i64, Aor>,
    /// What is reached over a connection.
    by_flow: HashMap<Flow, Vec<(i64, u16)>>,
    by_end: BTreeSet<(u64, i64, u16)>,
    gauge: Gauge,
    wire: Wire,
}

impl Drop for Table {
    fn drop(&mut self) {
        // Another registrar holds anew what it keeps.
        let all = self.aors.values().flat_map(|aor| &aor.reaches);
        all.filter(|reach| !reach.flow.is_udp()).for_each(|reach| self.wire.release(reach.flow));
    }
}

impl Table {
    pub(super) fn new(wire: Wire) -> Self {
        let gauge = gauge!("orbit_sip_bindings");
        gauge.set(0.0);
        let (aors, by_flow, by_end) = (HashMap::new(), HashMap::new(), BTreeSet::new());
        Self { aors, by_flow, by_end, gauge, wire }
    }

    /// What is bound of a credential, those among it that are over.
    pub(super) fn bound(&self, credential: i64) -> &[Binding] {
        self.aors.get(&credential).map_or(&[], |aor| &aor.bindings)
    }

    pub(super) fn find(&self, credential: i64, now_s: u64) -> Vec<Reached> {
        let Some(aor) = self.aors.get(&credential) else { return Vec::new() };
        let live = aor.bindings.iter().zip(&aor.reaches).filter(|(one, _)| !one.is_over(now_s));
        let mut reached: Vec<Reached> = live
            .map(|(binding, reach)| Reached {
                flow: reach.flow,
                contact: binding.contact.clone(),
                path: binding.path.clone(),
                q: binding.q,
                instance: binding.instance.clone(),
            })
            .collect();
        reached.sort_by_key(|one| std::cmp::Reverse(one.q));
        reached
    }

    /// A binding that was stored before.
    pub(super) fn load(&mut self, of: Registrant, binding: Binding, reach: Reach) {
        self.insert(of, binding, reach);
        self.gauge.set(self.by_end.len() as f64);
    }

    /// Takes what a REGISTER has bound; what is to be stored of it.
    pub(super) fn bind(&mut self, bound: &Bound, flow: Flow, node: &str) -> Vec<BindingChange> {
        let Bound { of, outcome, .. } = bound;
        let mut changes = Vec::new();
        for gone in &outcome.removed {
            self.remove(of.credential, gone.slot);
            let moved = outcome.bindings.iter().any(|own| own.call_id == gone.call_id);
            let why = match moved {
                _ if gone.is_over(now_s()) => Unbound::Expired,
                true => Unbound::Replaced,
                false => Unbound::Asked,
            };
            let gone = Gone { of: *of, slot: gone.slot, contact: gone.contact.clone() };
            changes.push(gone.change(why));
        }
        let touched = |slots: &[u16], binding: &&Binding| slots.contains(&binding.slot);
        for (slots, is_new) in [(&outcome.added, true), (&outcome.refreshed, false)] {
            for binding in outcome.bindings.iter().filter(|one| touched(slots, one)) {
                let before = self.remove(of.credential, binding.slot);
                let registered_at = before.map_or_else(At::now, |before| before.registered_at);
                let reach =
                    Reach { flow: bound.reached_at, agent: bound.agent.clone(), registered_at };
                let row = rows::write(*of, &bound.aor, binding, (&reach, flow), node);
                changes.push(BindingChange::Put { binding: Box::new(row), is_new });
                self.insert(*of, binding.clone(), reach);
            }
        }
        self.gauge.set(self.by_end.len() as f64);
        changes
    }

    fn insert(&mut self, of: Registrant, binding: Binding, reach: Reach) {
        let own = (of.credential, binding.slot);
        self.wire.shield().registered_at(reach.flow.peer());
        if !reach.flow.is_udp() {
            self.wire.hold(reach.flow);
            self.by_flow.entry(reach.flow).or_default().push(own);
        }
        self.by_end.insert((binding.expires_at_s, of.credential, binding.slot));
        let empty = || Aor { of, bindings: vec![], reaches: vec![] };
        let aor = self.aors.entry(of.credential).or_insert_with(empty);
        aor.bindings.push(binding);
        aor.reaches.push(reach);
    }

    fn remove(&mut self, credential: i64, slot: u16) -> Option<Reach> {
        let aor = self.aors.get_mut(&credential)?;
        let at = aor.bindings.iter().position(|binding| binding.slot == slot)?;
        let end = aor.bindings.remove(at).expires_at_s;
        let reach = aor.reaches.remove(at);
        if aor.bindings.is_empty() {
            self.aors.remove(&credential);
        }
        let own = (credential, slot);
        self.by_end.remove(&(end, credential, slot));
        self.wire.shield().unregistered_at(reach.flow.peer());
        if !reach.flow.is_udp() {
            self.wire.release(reach.flow);
            if let Some(others) = self.by_flow.get_mut(&reach.flow) {
                others.retain(|other| *other != own);
                if others.is_empty() {
                    self.by_flow.remove(&reach.flow);
                }
            }
        }
        Some(reach)
    }

    fn take(&mut self, (credential, slot): (i64, u16)) -> Option<Gone> {
        let aor = self.aors.get(&credential)?;
        let of = aor.of;
        let contact = aor.bindings.iter().find(|one| one.slot == slot)?.contact.clone();
        self.remove(credential, slot);
        Some(Gone { of, slot, contact })
    }

    /// A binding that is no row, unless another REGISTER has made it anew.
    pub(super) fn take_back(&mut self, one: &Unstored) -> Option<Gone> {
        let bound = self.bound(one.credential).iter().find(|binding| binding.slot == one.slot);
        bound.filter(|binding| binding.cseq == one.cseq)?;
        let gone = self.take((one.credential, one.slot));
        self.gauge.set(self.by_end.len() as f64);
        gone
    }

    /// All of a credential, without a word.
    pub(super) fn drop_all(&mut self, credential: i64) {
        let slots: Vec<u16> = self.bound(credential).iter().map(|binding| binding.slot).collect();
        for slot in slots {
            self.remove(credential, slot);
        }
        self.gauge.set(self.by_end.len() as f64);
    }

    /// What was reached over a connection.
    pub(super) fn lost(&mut self, flow: Flow) -> Vec<Gone> {
        let owners = self.by_flow.get(&flow).cloned().unwrap_or_default();
        let gone = owners.into_iter().filter_map(|own| self.take(own)).collect();
        self.gauge.set(self.by_end.len() as f64);
        gone
    }

    /// What is over by now.
    pub(super) fn expire(&mut self, now_s: u64) -> Vec<Gone> {
        let mut gone = Vec::new();
        while let Some((end, credential, slot)) = self.by_end.first().copied()
            && end <= now_s
        {
            gone.extend(self.take((credential, slot)));
        }
        self.gauge.set(self.by_end.len() as f64);
        gone
    }
}
