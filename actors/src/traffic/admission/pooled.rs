//! A message whose sender a pool chooses: the way it would go from each kind of sender that the pool
//! has for its country, so that whichever is chosen in the transaction needs no router any more.
//!
//! Kinds, not senders, tell carriers apart, so there are three ways at most. The first of them stands
//! in the message until then.

use std::sync::Arc;

use model::country::country_of;
use model::id::PublicId;
use model::message::Encoding;
use model::pool::{self, PoolSender, PoolWay, Pooled};
use model::refusal::Refusal;

use super::{SendRequest, Table, Way, With};
use crate::traffic::router::Wish;

/// What a check asks the table.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) request: &'a SendRequest,
    pub(super) wish: Wish<'a>,
    pub(super) with: With<'a>,
}

/// A way, what the text takes there, and all ways there are.
type Ways<'t> = (Way<'t>, (Encoding, u8), Option<Box<Pooled>>);

impl Table {
    pub(super) fn pooled(&self, asked: &Asked<'_>, id: PublicId) -> Result<Ways<'_>, Refusal> {
        let Some(known) = self.pool(asked.wish.organization, id) else {
            return Err(pool::unknown());
        };
        let country = country_of(asked.wish.digits);
        let only = (!known.pool.carriers.is_empty()).then_some(&known.carriers[..]);
        let mut pooled =
            Pooled { id: known.pool.id, public_id: id, ways: Vec::new(), foreign: Vec::new() };
        let (mut first, mut kinds, mut watched) = (None, Vec::new(), Vec::new());
        let (organization, owners) = (asked.wish.organization, asked.with.owners);
        // Its recipients keep their carrier, whichever sender they are written to from.
        let name = id.show(model::id::Kind::SenderPool);
        for sender in known.pool.senders.iter().filter(|sender| sender.covers(country)) {
            if kinds.contains(&sender.kind) {
                continue;
            }
            kinds.push(sender.kind);
            let wish = Wish { sender: Some((&name, sender.kind)), only, ..asked.wish };
            let (way, measured) = self.one_way(&Asked { wish, ..*asked });
            let measured = measured?;
            if let Ok(choice) = &way {
                if owners.watch(organization, asked.request.test, choice) {
                    watched.push(sender.kind);
                }
                pooled.ways.push(PoolWay {
                    kind: sender.kind,
                    carrier: choice.id,
                    segments: measured.1,
                    route: choice.note,
                });
            }
            if first.as_ref().is_none_or(|(former, _): &(Way<'_>, _)| former.is_err()) {
                first = Some((way, measured));
            }
        }
        let theirs = |sender: &&PoolSender| {
            watched.contains(&sender.kind)
                && !owners.let_pass(organization, &sender.value, sender.kind)
        };
        let covering = known.pool.senders.iter().filter(|sender| sender.covers(country));
        pooled.foreign.extend(covering.filter(theirs).map(|sender| Arc::clone(&sender.value)));
        let (way, measured) = first.ok_or_else(|| pool::uncovered(id, country))?;
        Ok((way, measured, Some(Box::new(pooled))))
    }
}

#[cfg(test)]
mod tests;
