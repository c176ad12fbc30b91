//! Which message a receipt means where its id alone does not say it.
//!
//! Ids that come back, or that are unique on one bind only, mean several messages: the recipient
//! decides. A carrier that gave no id at all is matched by recipient and sender, when one message
//! alone can be meant. Table: messages.

use std::collections::HashMap;

use model::carrier::MessageKey;
use model::message::Status;

use super::{Candidates, Lane, MESSAGE_STATES, Matched, Receipt, same_number};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

impl Receipt {
    /// True when one of its addresses is this recipient.
    fn names(&self, to: &str) -> bool {
        same_number(to, &self.source) || same_number(to, &self.destination)
    }
}

impl Lane {
    /// Puts first, of several messages with a receipt's id, the newest one to its recipient that
    /// still waits.
    pub(super) async fn prefer(
        &mut self,
        receipts: &[Receipt],
        known: &mut Candidates,
    ) -> Result<(), StoreError> {
        let mut keys: Vec<i64> = known.several.values().flatten().map(|(key, _)| key.0).collect();
        if keys.is_empty() {
            return Ok(());
        }
        keys.sort_unstable();
        keys.dedup();
        let mut states = HashMap::with_capacity(keys.len());
        for line in self.conn.fetch(&MESSAGE_STATES, &[Column::Int(keys)]).await? {
            let waits = Status::from_code(line.int(2)?).is_some_and(Status::awaits_receipt);
            states.insert(line.int(0)?, (waits, line.text(5)?));
        }
        for (at, all) in &mut known.several {
            let receipt = &receipts[*at];
            all.sort_by_key(|(key, _)| {
                let state = states.get(&key.0);
                let (waits, names) =
                    state.map_or((false, false), |(waits, to)| (*waits, receipt.names(to)));
                (!names, !waits)
            });
            known.best.insert(*at, all[0]);
        }
        Ok(())
    }

    /// Matches receipts to messages that their carrier gave no id. Returns what is still missing.
    pub(super) async fn nameless(
        &mut self,
        receipts: &[Receipt],
        missing: Vec<usize>,
        matched: &mut Vec<Matched>,
    ) -> Result<Vec<usize>, StoreError> {
        let mut tries: Vec<(usize, &str, &str)> = Vec::with_capacity(missing.len() * 2);
        for at in &missing {
            let Receipt { source, destination, .. } = &receipts[*at];
            tries.push((*at, source, destination));
            if source != destination {
                tries.push((*at, destination, source));
            }
        }
        if tries.is_empty() {
            return Ok(missing);
        }
        let columns = [
            Column::Int((0_i64..).take(tries.len()).collect()),
            Column::Int(tries.iter().map(|(at, ..)| receipts[*at].carrier.0).collect()),
            Column::Text(tries.iter().map(|(_, to, _)| *to).collect()),
        ];
        let mut found: HashMap<usize, Vec<(MessageKey, bool)>> = HashMap::new();
        for line in self.conn.fetch(&NAMELESS, &columns).await? {
            let index = usize::try_from(line.int(0)?).unwrap_or(usize::MAX);
            let Some((at, _, from)) = tries.get(index) else { continue };
            let from_agrees = same_number(&line.text(2)?, from);
            found.entry(*at).or_default().push((MessageKey(line.int(1)?), from_agrees));
        }
        let mut left = Vec::new();
        for at in missing {
            match found.get(&at).and_then(|all| only(all)) {
                Some(key) => {
                    let receipt = receipts[at].clone();
                    matched.push(Matched { at: Some(at), key, part: 0, receipt });
                }
                None => left.push(at),
            }
        }
        Ok(left)
    }
}

/// The one that is meant: there is no other, or none other with the right sender.
fn only(all: &[(MessageKey, bool)]) -> Option<MessageKey> {
    if let [(key, _)] = all {
        return Some(*key);
    }
    let mut right = all.iter().filter(|(_, from_agrees)| *from_agrees);
    match (right.next(), right.next()) {
        (Some((key, _)), None) => Some(*key),
        _ => None,
    }
}

static NAMELESS: Bulk = Bulk {
    sqlite: "select ?1, key, from_addr from messages
         where carrier_id = ?2 and to_addr = ?3 and nameless is not null limit 100",
    postgres: "select v.i, m.key, m.from_addr
         from unnest($1::bigint[], $2::bigint[], $3::text[]) v (i, c, t)
         join messages m on m.carrier_id = v.c and m.to_addr = v.t
         where m.nameless is not null",
};
