//! Texts whose parts were submitted one by one: all parts of a text share the hit of the first.
//!
//! A text is told by account, sender, recipient, and what its parts' headers share, for ten minutes
//! from its first part. Its hit keeps which parts came, a bit each: one that came already begins
//! another text, so that a reference used again hides nothing. What is no such part costs nothing
//! here, and no statement is made without one. Table: cap_hits (columns `part_of`, `parts`).

use std::collections::HashMap;

use model::carrier::MessageKey;
use model::clock::At;

use super::super::Candidate;
use crate::bulk::{Bulk, Column, Conn};
use crate::error::StoreError;

/// Parts of one text that share a hit; what has more counts part by part.
const PARTS_MAX: u8 = 63;

/// The part that a candidate is.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    /// Tells its text from the sender's others to this recipient.
    text: i64,
    bit: i64,
}

/// A text as one rule and recipient know it.
#[derive(PartialEq, Eq, Hash)]
struct Name {
    rule: i64,
    test: bool,
    address: String,
    text: i64,
}

/// How much of a text was let in.
struct Text {
    /// The hit it is counted by; none while its first part is being decided.
    hit: Option<(Moment, MessageKey)>,
    parts: i64,
    changed: bool,
}

/// When a hit was taken.
#[derive(Clone, Copy)]
enum Moment {
    Stored(At),
    /// With this transaction.
    Now,
}

/// The texts of a batch, and what is stored of them. Several of one name are one reference used
/// more than once.
#[derive(Default)]
pub(super) struct Texts(HashMap<Name, Vec<Text>>);

impl Piece {
    pub(super) fn of(candidate: &Candidate<'_>) -> Option<Self> {
        let submitted = candidate.submitted?;
        let part = submitted.part().filter(|part| part.number <= PARTS_MAX)?;
        let account = submitted.account.to_le_bytes();
        let sender = candidate.from.bytes().chain([0]);
        let all = account.into_iter().chain(part.text.to_le_bytes()).chain(sender);
        Some(Self { text: name_of(all), bit: 1 << (part.number - 1) })
    }
}

/// FNV-1a: the same in each version of the program, as it is stored.
fn name_of(octets: impl Iterator<Item = u8>) -> i64 {
    let mut name: u64 = 0xcbf2_9ce4_8422_2325;
    for octet in octets {
        name = (name ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
    }
    i64::from_ne_bytes(name.to_ne_bytes())
}

fn named(rule: i64, candidate: &Candidate<'_>, piece: Piece) -> Name {
    let address = candidate.to.to_owned();
    Name { rule, test: candidate.test, address, text: piece.text }
}

impl Texts {
    /// A part of this text will ask.
    pub(super) fn expect(&mut self, rule: i64, candidate: &Candidate<'_>, piece: Option<Piece>) {
        if let Some(piece) = piece {
            self.0.entry(named(rule, candidate, piece)).or_default();
        }
    }

    /// Whether it is a further part of a text that was let in, and so needs no room.
    pub(super) fn knows(&self, rule: i64, candidate: &Candidate<'_>, piece: Option<Piece>) -> bool {
        let Some(piece) = piece else { return false };
        let texts = self.0.get(&named(rule, candidate, piece)).into_iter().flatten();
        texts.into_iter().any(|text| text.parts & piece.bit == 0)
    }

    /// Notes a part that passes. False: it begins a text, and takes the room of a message.
    pub(super) fn join(
        &mut self,
        rule: i64,
        candidate: &Candidate<'_>,
        piece: Option<Piece>,
    ) -> bool {
        let Some(piece) = piece else { return false };
        let texts = self.0.entry(named(rule, candidate, piece)).or_default();
        match texts.iter_mut().find(|text| text.parts & piece.bit == 0) {
            Some(text) => {
                text.parts |= piece.bit;
                text.changed = true;
                true
            }
            None => {
                texts.push(Text { hit: None, parts: piece.bit, changed: true });
                false
            }
        }
    }

    /// Takes a part back that has just passed. False: with it goes the room that it took.
    pub(super) fn leave(
        &mut self,
        rule: i64,
        candidate: &Candidate<'_>,
        piece: Option<Piece>,
    ) -> bool {
        let Some(piece) = piece else { return false };
        let Some(texts) = self.0.get_mut(&named(rule, candidate, piece)) else { return false };
        if let Some(begun) = texts.iter().position(|text| text.hit.is_none()) {
            texts.remove(begun);
            return false;
        }
        let joined = texts.iter_mut().rev().find(|text| text.parts & piece.bit != 0);
        if let Some(text) = joined {
            text.parts &= !piece.bit;
        }
        true
    }

    /// Whether a part that was let in shares a hit; if not, its message has one from now on.
    pub(super) fn shares(
        &mut self,
        rule: i64,
        candidate: &Candidate<'_>,
        (piece, message): (Option<Piece>, MessageKey),
    ) -> bool {
        let Some(piece) = piece else { return false };
        let texts = self.0.get_mut(&named(rule, candidate, piece)).into_iter().flatten();
        let mut begun = texts.into_iter().filter(|text| text.hit.is_none());
        match begun.next() {
            Some(text) => {
                text.hit = Some((Moment::Now, message));
                false
            }
            None => true,
        }
    }

    /// What is stored of the texts that will ask.
    pub(super) async fn read(&mut self, conn: &mut Conn, now: At) -> Result<(), StoreError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut asked: Vec<(&Name, &mut Vec<Text>)> = self.0.iter_mut().collect();
        let columns = [
            Column::Int((0_i64..).take(asked.len()).collect()),
            Column::Int(asked.iter().map(|(name, _)| name.rule).collect()),
            Column::Int(asked.iter().map(|(name, _)| i64::from(name.test)).collect()),
            Column::Text(asked.iter().map(|(name, _)| name.address.as_str()).collect()),
            Column::Int(asked.iter().map(|(name, _)| name.text).collect()),
            Column::Int(vec![now.0; asked.len()]),
        ];
        for line in conn.fetch(&TEXTS, &columns).await? {
            let at = usize::try_from(line.int(0)?).unwrap_or(usize::MAX);
            if let Some((_, texts)) = asked.get_mut(at) {
                let hit = Some((Moment::Stored(At(line.int(1)?)), MessageKey(line.int(2)?)));
                texts.push(Text { hit, parts: line.int(3)?, changed: false });
            }
        }
        Ok(())
    }

    /// Writes which parts came, beside the hits.
    pub(super) async fn write(self, conn: &mut Conn, now: At) -> Result<(), StoreError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let changed = self.0.iter().flat_map(|(name, texts)| {
            let changed = texts.iter().filter(|text| text.changed);
            changed.filter_map(move |text| Some((name, text.hit?, text.parts)))
        });
        let mut changed: Vec<_> = changed.collect();
        // Always in the same order, so that two who write do not wait for each other.
        changed.sort_unstable_by_key(|(name, (_, message), _)| (name.rule, message.0));
        let taken = |moment| match moment {
            Moment::Stored(at) => at,
            Moment::Now => now,
        };
        let columns = [
            Column::Int(changed.iter().map(|(name, ..)| name.rule).collect()),
            Column::Int(changed.iter().map(|(name, ..)| i64::from(name.test)).collect()),
            Column::Text(changed.iter().map(|(name, ..)| name.address.as_str()).collect()),
            Column::Int(changed.iter().map(|(_, (moment, _), _)| taken(*moment).0).collect()),
            Column::Int(changed.iter().map(|(_, (_, message), _)| message.0).collect()),
            Column::Int(changed.iter().map(|(name, ..)| name.text).collect()),
            Column::Int(changed.iter().map(|(.., parts)| *parts).collect()),
        ];
        conn.run(&MARK, &columns).await?;
        Ok(())
    }
}

// Of one recipient and rule these are few: the table's key finds those of the last ten minutes.
static TEXTS: Bulk = Bulk {
    sqlite: "select ?1, accepted_at, message_key, parts from cap_hits
         where rule_id = ?2 and test_mode = ?3 and address = ?4
            and accepted_at > ?6 - 600000000 and part_of = ?5
         order by accepted_at, message_key",
    postgres: "select v.i, h.accepted_at, h.message_key, h.parts
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[],
            $6::bigint[]) v (i, r, t, a, x, p)
         cross join lateral (select c.accepted_at, c.message_key, c.parts from cap_hits c
            where c.rule_id = v.r and c.test_mode = v.t and c.address = v.a
               and c.accepted_at > v.p - 600000000 and c.part_of = v.x
            order by c.accepted_at, c.message_key) h",
};

static MARK: Bulk = Bulk {
    sqlite: "update cap_hits set part_of = ?6, parts = ?7
         where rule_id = ?1 and test_mode = ?2 and address = ?3 and accepted_at = ?4
            and message_key = ?5",
    postgres: "update cap_hits h set part_of = v.x, parts = v.b
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[]) v (r, t, a, n, k, x, b)
         where h.rule_id = v.r and h.test_mode = v.t and h.address = v.a
            and h.accepted_at = v.n and h.message_key = v.k",
};
