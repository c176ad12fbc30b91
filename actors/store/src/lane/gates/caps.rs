//! The gate of frequency caps: at most so many messages to one address within a rolling window.
//!
//! Only organizations that have rules are looked at. Their rules are read and, on PostgreSQL,
//! locked in order of id: whoever else accepts for the same rule waits for this commit, so what is
//! counted next is all there is. Then one statement finds, for each rule and address of the batch,
//! the hits that could stand in the way; the rest is decided in memory in order of arrival. A
//! message is let in when every rule that covers it has room, and only then takes from any. The parts
//! of a text that were submitted one by one share a hit (`texts`).
//! Tables: cap_rules, cap_hits.

mod texts;

use std::collections::{HashMap, HashSet};

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::id::{Kind, PublicId};
use model::message::{Category, Status};
use model::refusal::{Code, Detail, Refusal};

use self::texts::{Piece, Texts};
use super::super::{Gathered, Lane};
use super::Candidate;
use crate::bulk::{Bulk, Column, Conn, Line};
use crate::error::StoreError;

/// The rules that may concern a batch, and what stands against them.
#[derive(Default)]
pub(crate) struct Caps {
    now: At,
    rules: HashMap<OrgId, Vec<Rule>>,
    /// By rule and test mode, then by address.
    tallies: HashMap<(i64, bool), HashMap<String, Tally>>,
    texts: Texts,
    hits: Vec<Hit>,
}

struct Rule {
    id: i64,
    public_id: PublicId,
    /// `None`: marketing and service.
    category: Option<Category>,
    limit: i64,
    window_us: i64,
}

/// How one address stands with one rule.
#[derive(Default)]
struct Tally {
    /// Messages of the batch that ask.
    offered: i64,
    /// Messages of the batch let in so far.
    taken: i64,
    /// Stored hits within the window that are known: newest first, after the first `skipped`.
    /// What lies beyond could not stand in the way.
    known: Vec<At>,
    skipped: i64,
}

struct Hit {
    rule: i64,
    organization: OrgId,
    test: bool,
    address: String,
    message: MessageKey,
}

impl Hit {
    fn place(&self) -> (i64, bool, &str) {
        (self.rule, self.test, &self.address)
    }
}

/// Where the sweep of hits goes on: the key of the last one it looked at.
#[derive(Clone, Default)]
pub(in crate::lane) struct Swept {
    rule: i64,
    test: i64,
    address: String,
    accepted_at: i64,
    message: i64,
}

impl Rule {
    fn read(line: &Line) -> Result<(OrgId, Self), StoreError> {
        let public_id = <[u8; 16]>::try_from(line.blob(2)?.as_slice())
            .map_err(|_| StoreError::Impossible("a cap rule with an id that is none"))?;
        let rule = Self {
            id: line.int(0)?,
            public_id: PublicId::from_bytes(public_id),
            category: line.maybe_int(3)?.and_then(Category::from_code),
            limit: line.int(4)?,
            window_us: line.int(5)?.saturating_mul(1_000_000),
        };
        Ok((OrgId(line.int(1)?), rule))
    }

    fn covers(&self, category: Category) -> bool {
        match self.category {
            Some(named) => named == category,
            None => matches!(category, Category::Marketing | Category::Service),
        }
    }

    /// When there is room again; `None`: there is room now.
    fn full_until(&self, tally: &Tally, now: At) -> Option<At> {
        let rank = self.limit - tally.taken;
        if rank < 1 {
            return Some(At(now.0.saturating_add(self.window_us)));
        }
        let at = usize::try_from(rank - tally.skipped - 1).ok()?;
        tally.known.get(at).map(|hit| At(hit.0.saturating_add(self.window_us)))
    }

    fn refusal(&self, retry_at: At) -> Refusal {
        let message = "a frequency cap allows no further message to this recipient for now";
        Refusal::new(Code::FrequencyCapExceeded, message)
            .field("to")
            .detail("rule_id", Detail::Text(self.public_id.show(Kind::Cap)))
            .detail("limit", Detail::Number(self.limit))
            .detail("window_seconds", Detail::Number(self.window_us / 1_000_000))
            .detail("retry_at", Detail::Text(whole_millis(retry_at).iso()))
    }
}

impl Caps {
    /// Takes one from every rule that covers the candidate, or from none.
    pub(super) fn pass(&mut self, candidate: &Candidate<'_>) -> Result<(), Refusal> {
        let Some(rules) = self.rules.get(&candidate.organization) else {
            return Ok(());
        };
        let covering = || rules.iter().filter(|rule| rule.covers(candidate.category));
        let piece = Piece::of(candidate);
        let needs_room = |rule: &&Rule| !self.texts.knows(rule.id, candidate, piece);
        let now = self.now;
        let full = covering().filter(needs_room).filter_map(|rule| {
            let tally = self.tallies.get(&(rule.id, candidate.test))?.get(candidate.to)?;
            Some((rule.full_until(tally, now)?, rule))
        });
        // Of several full rules the one that stays full the longest says when to come back.
        if let Some((until, rule)) = full.max_by_key(|(until, _)| *until) {
            return Err(rule.refusal(until));
        }
        for rule in covering() {
            if !self.texts.join(rule.id, candidate, piece) {
                count(&mut self.tallies, rule, candidate, 1);
            }
        }
        Ok(())
    }

    /// Gives back what a pass took.
    pub(super) fn undo(&mut self, candidate: &Candidate<'_>) {
        let rules = self.rules.get(&candidate.organization).into_iter().flatten();
        let piece = Piece::of(candidate);
        for rule in rules.filter(|rule| rule.covers(candidate.category)) {
            if !self.texts.leave(rule.id, candidate, piece) {
                count(&mut self.tallies, rule, candidate, -1);
            }
        }
    }

    /// Notes the hits of a message let in.
    pub(super) fn keep(&mut self, candidate: &Candidate<'_>, message: MessageKey) {
        let rules = self.rules.get(&candidate.organization).into_iter().flatten();
        let piece = Piece::of(candidate);
        for rule in rules.filter(|rule| rule.covers(candidate.category)) {
            if self.texts.shares(rule.id, candidate, (piece, message)) {
                continue;
            }
            self.hits.push(Hit {
                rule: rule.id,
                organization: candidate.organization,
                test: candidate.test,
                address: candidate.to.to_owned(),
                message,
            });
        }
    }
}

/// The first moment as answers show it that is not before this one.
fn whole_millis(at: At) -> At {
    At(at.0.saturating_add(999).div_euclid(1_000) * 1_000)
}

fn count(
    tallies: &mut HashMap<(i64, bool), HashMap<String, Tally>>,
    rule: &Rule,
    candidate: &Candidate<'_>,
    change: i64,
) {
    let of_rule = tallies.get_mut(&(rule.id, candidate.test));
    if let Some(tally) = of_rule.and_then(|addresses| addresses.get_mut(candidate.to)) {
        tally.taken += change;
    }
}

impl Lane {
    pub(super) async fn open_caps(
        &mut self,
        candidates: &[Candidate<'_>],
        now: At,
    ) -> Result<Caps, StoreError> {
        let mut caps = Caps { now, ..Caps::default() };
        if self.capped.is_empty() {
            return Ok(caps);
        }
        let asking = || {
            let asks = |c: &&Candidate<'_>| c.scheduled_at.is_none();
            candidates.iter().filter(asks).filter(|c| self.capped.contains(&c.organization))
        };
        let mut organizations: Vec<i64> = asking().map(|c| c.organization.0).collect();
        organizations.sort_unstable();
        organizations.dedup();
        let asking: Vec<&Candidate<'_>> = asking().collect();
        for line in self.conn.fetch(&RULES, &[Column::Int(organizations)]).await? {
            let (organization, rule) = Rule::read(&line)?;
            caps.rules.entry(organization).or_default().push(rule);
        }
        for candidate in asking {
            let rules = caps.rules.get(&candidate.organization).into_iter().flatten();
            let piece = Piece::of(candidate);
            for rule in rules.filter(|rule| rule.covers(candidate.category)) {
                caps.texts.expect(rule.id, candidate, piece);
                let addresses = caps.tallies.entry((rule.id, candidate.test)).or_default();
                match addresses.get_mut(candidate.to) {
                    Some(tally) => tally.offered += 1,
                    None => {
                        let tally = Tally { offered: 1, ..Tally::default() };
                        addresses.insert(candidate.to.to_owned(), tally);
                    }
                }
            }
        }
        self.read_hits(&mut caps).await?;
        caps.texts.read(&mut self.conn, caps.now).await?;
        Ok(caps)
    }

    /// For `n` messages that ask, a rule of limit `m` needs the hits from the `m-n+1`th newest to
    /// the `m`th: if there are none of these, all fit.
    async fn read_hits(&mut self, caps: &mut Caps) -> Result<(), StoreError> {
        let rules: HashMap<i64, &Rule> = caps.rules.values().flatten().map(|r| (r.id, r)).collect();
        let mut asked = Vec::new();
        let (mut windows, mut skips, mut takes) = (Vec::new(), Vec::new(), Vec::new());
        for ((id, test), addresses) in &mut caps.tallies {
            let Some(rule) = rules.get(id) else { continue };
            for (address, tally) in addresses {
                tally.skipped = (rule.limit - tally.offered).max(0);
                windows.push(rule.window_us);
                skips.push(tally.skipped);
                takes.push(rule.limit - tally.skipped);
                asked.push((*id, *test, address.as_str(), &mut tally.known));
            }
        }
        let columns = [
            Column::Int((0_i64..).take(asked.len()).collect()),
            Column::Int(asked.iter().map(|(rule, ..)| *rule).collect()),
            Column::Int(asked.iter().map(|(_, test, ..)| i64::from(*test)).collect()),
            Column::Text(asked.iter().map(|(_, _, address, _)| *address).collect()),
            Column::Int(windows),
            Column::Int(skips),
            Column::Int(takes),
            Column::Int(vec![caps.now.0; asked.len()]),
        ];
        for line in self.conn.fetch(&HITS, &columns).await? {
            caps.now = At(line.int(2)?);
            let at = usize::try_from(line.int(0)?).unwrap_or(usize::MAX);
            if let (Some((.., known)), Some(hit)) = (asked.get_mut(at), line.maybe_int(1)?) {
                known.push(At(hit));
            }
        }
        Ok(())
    }

    pub(super) async fn close_caps(&mut self, caps: Caps) -> Result<(), StoreError> {
        let mut hits = caps.hits;
        // In the order of the table, so that neighbours share a page.
        hits.sort_unstable_by(|a, b| a.place().cmp(&b.place()));
        let columns = [
            Column::Int(hits.iter().map(|hit| hit.rule).collect()),
            Column::Int(hits.iter().map(|hit| i64::from(hit.test)).collect()),
            Column::Text(hits.iter().map(|hit| hit.address.as_str()).collect()),
            Column::Int(vec![caps.now.0; hits.len()]),
            Column::Int(hits.iter().map(|hit| hit.message.0).collect()),
            Column::Int(hits.iter().map(|hit| hit.organization.0).collect()),
        ];
        self.conn.run(&INSERT_HITS, &columns).await?;
        caps.texts.write(&mut self.conn, caps.now).await
    }

    /// Gives the hits back of messages that end without having been sent. Whatever ends a message
    /// as `cancelled` or `blocked` with an event in the log need not call it: the log does.
    pub(in crate::lane) async fn forget_hits(
        &mut self,
        keys: &[MessageKey],
    ) -> Result<(), StoreError> {
        if self.capped.is_empty() {
            return Ok(());
        }
        let columns = [Column::Int(keys.iter().map(|key| key.0).collect())];
        self.conn.run(&DELETE_HITS, &columns).await?;
        Ok(())
    }

    /// The same for all that a transaction ends so.
    pub(in crate::lane) async fn forget_hits_of(
        &mut self,
        gathered: &Gathered,
    ) -> Result<(), StoreError> {
        if self.capped.is_empty() {
            return Ok(());
        }
        let unsent = |status| matches!(status, Status::Cancelled | Status::Blocked);
        let ended = gathered.events.iter().filter(|e| unsent(e.status));
        let keys: Vec<MessageKey> = ended.map(|event| event.message).collect();
        self.forget_hits(&keys).await
    }

    /// Drops hits that count no more, and rules that have none left. Each time a bounded stretch of
    /// the table is looked at; after its end the walk begins anew.
    pub(in crate::lane) async fn sweep_hits(&mut self, now: At) -> Result<(), StoreError> {
        let from = &self.swept;
        let columns = [
            Column::Int(vec![from.rule]),
            Column::Int(vec![from.test]),
            Column::Text(vec![&from.address]),
            Column::Int(vec![from.accepted_at]),
            Column::Int(vec![from.message]),
            Column::Int(vec![now.micros()]),
        ];
        let lines = self.conn.fetch(&AGED_HITS, &columns).await?;
        let mut gone = Vec::new();
        let mut last = Swept::default();
        for line in &lines {
            let hit = Swept {
                rule: line.int(0)?,
                test: line.int(1)?,
                address: line.text(2)?,
                accepted_at: line.int(3)?,
                message: line.int(4)?,
            };
            if line.int(5)? != 0 {
                gone.push(hit.clone());
            }
            last = hit;
        }
        self.swept = if lines.len() < SWEPT_AT_ONCE { Swept::default() } else { last };
        let columns = [
            Column::Int(gone.iter().map(|hit| hit.rule).collect()),
            Column::Int(gone.iter().map(|hit| hit.test).collect()),
            Column::Text(gone.iter().map(|hit| hit.address.as_str()).collect()),
            Column::Int(gone.iter().map(|hit| hit.accepted_at).collect()),
            Column::Int(gone.iter().map(|hit| hit.message).collect()),
        ];
        self.conn.run(&DROP_HITS, &columns).await?;
        self.conn.run(&SWEEP_RULES, &[Column::Int(vec![now.micros()])]).await?;
        Ok(())
    }
}

/// Hits looked at by one step of the sweep, as its statement says.
const SWEPT_AT_ONCE: usize = 5_000;

/// The organizations that have rules.
pub(in crate::lane) async fn capped(conn: &mut Conn) -> Result<HashSet<OrgId>, StoreError> {
    let lines = conn.fetch(&CAPPED, &[Column::Int(vec![0])]).await?;
    lines.iter().map(|line| line.int(0).map(OrgId)).collect()
}

static CAPPED: Bulk = Bulk {
    sqlite: "select distinct organization_id from cap_rules
         where deleted_at is null and ?1 is not null",
    postgres: "select distinct r.organization_id from cap_rules r, unnest($1::bigint[])
         where r.deleted_at is null",
};

static RULES: Bulk = Bulk {
    sqlite: "select id, organization_id, public_id, category, max_count, window_s from cap_rules
         where organization_id = ?1 and disabled_at is null and deleted_at is null
            and (channel is null or channel = 'sms') order by id",
    postgres: "select id, organization_id, public_id, category, max_count, window_s from cap_rules
         where organization_id = any($1::bigint[]) and disabled_at is null and deleted_at is null
            and (channel is null or channel = 'sms') order by id for update",
};

// The moment is read once for the batch: after the lock, and on PostgreSQL from the database, whose
// clock all nodes share. Hits from beyond it, left by a clock set back, count too.
static HITS: Bulk = Bulk {
    sqlite: "select ?1, accepted_at, ?8 from cap_hits
         where rule_id = ?2 and test_mode = ?3 and address = ?4 and accepted_at > ?8 - ?5
         order by accepted_at desc limit ?7 offset ?6",
    postgres: "with clock as materialized
            (select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint) as now)
         select v.i, h.accepted_at, clock.now
         from clock cross join unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[],
            $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[]) v (i, r, t, a, w, s, n, p)
         left join lateral (select c.accepted_at from cap_hits c
            where c.rule_id = v.r and c.test_mode = v.t and c.address = v.a
               and c.accepted_at > clock.now - v.w
            order by c.accepted_at desc limit v.n offset v.s) h on true",
};

static INSERT_HITS: Bulk = Bulk {
    sqlite: "insert into cap_hits
            (rule_id, test_mode, address, accepted_at, message_key, organization_id)
         values (?1, ?2, ?3, ?4, ?5, ?6)",
    postgres: "insert into cap_hits
            (rule_id, test_mode, address, accepted_at, message_key, organization_id)
         select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[],
            $6::bigint[])",
};

// By the table's key as far as the message tells it: the hits of one rule and recipient are few. A
// text of which more than one part came stays counted.
static DELETE_HITS: Bulk = Bulk {
    sqlite: "delete from cap_hits where message_key = ?1
            and rule_id in (select r.id from messages m
               join cap_rules r on r.organization_id = m.organization_id where m.key = ?1)
            and test_mode = (select m.test_mode from messages m where m.key = ?1)
            and address = (select m.to_addr from messages m where m.key = ?1)
            and (parts is null or parts & (parts - 1) = 0)",
    postgres: "delete from cap_hits h using unnest($1::bigint[]) v (k)
         join messages m on m.key = v.k
         join cap_rules r on r.organization_id = m.organization_id
         where h.rule_id = r.id and h.test_mode = m.test_mode and h.address = m.to_addr
            and h.message_key = m.key
            and (h.parts is null or h.parts & (h.parts - 1) = 0)",
};

static AGED_HITS: Bulk = Bulk {
    sqlite: "select h.rule_id, h.test_mode, h.address, h.accepted_at, h.message_key,
            h.accepted_at <= ?6
               - case when r.deleted_at is null then r.window_s * 1000000 else 0 end
         from cap_hits h join cap_rules r on r.id = h.rule_id
         where (h.rule_id, h.test_mode, h.address, h.accepted_at, h.message_key)
            > (?1, ?2, ?3, ?4, ?5)
         order by h.rule_id, h.test_mode, h.address, h.accepted_at, h.message_key limit 5000",
    postgres: "select h.rule_id, h.test_mode, h.address, h.accepted_at, h.message_key,
            cast(case when h.accepted_at <= cast(extract(epoch from now()) * 1000000 as bigint)
               - case when r.deleted_at is null then r.window_s * 1000000 else 0 end
               then 1 else 0 end as bigint)
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[],
            $6::bigint[]) v (r, t, a, n, k, p)
         cross join lateral (select * from cap_hits c
            where (c.rule_id, c.test_mode, c.address, c.accepted_at, c.message_key)
               > (v.r, v.t, v.a, v.n, v.k)
            order by c.rule_id, c.test_mode, c.address, c.accepted_at, c.message_key
            limit 5000) h
         join cap_rules r on r.id = h.rule_id
         order by h.rule_id, h.test_mode, h.address, h.accepted_at, h.message_key",
};

static DROP_HITS: Bulk = Bulk {
    sqlite: "delete from cap_hits where rule_id = ?1 and test_mode = ?2 and address = ?3
         and accepted_at = ?4 and message_key = ?5",
    postgres: "delete from cap_hits h
         using unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[])
            v (r, t, a, n, k)
         where h.rule_id = v.r and h.test_mode = v.t and h.address = v.a
            and h.accepted_at = v.n and h.message_key = v.k",
};

static SWEEP_RULES: Bulk = Bulk {
    sqlite: "delete from cap_rules where deleted_at <= ?1
         and not exists (select 1 from cap_hits h where h.rule_id = cap_rules.id)",
    postgres: "delete from cap_rules using unnest($1::bigint[]) v (n) where deleted_at is not null
         and not exists (select 1 from cap_hits h where h.rule_id = cap_rules.id)",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(limit: i64) -> Rule {
        let public_id = PublicId::from_bytes([1; 16]);
        Rule { id: 1, public_id, category: None, limit, window_us: 100 }
    }

    fn tally(taken: i64, skipped: i64, known: &[i64]) -> Tally {
        let known = known.iter().map(|at| At(*at)).collect();
        Tally { offered: 1, taken, known, skipped }
    }

    #[test]
    fn a_rule_is_full_until_the_hit_in_the_way_leaves_the_window() {
        let now = At(1_000);
        assert_eq!(rule(3).full_until(&tally(0, 2, &[]), now), None);
        assert_eq!(rule(3).full_until(&tally(0, 2, &[950]), now), Some(At(1_050)));
        // Two ask, one is in: the second newest of the stored is in the way.
        let two = tally(1, 1, &[980, 950]);
        assert_eq!(rule(3).full_until(&two, now), Some(At(1_080)));
        assert_eq!(rule(3).full_until(&tally(3, 0, &[]), now), Some(At(1_100)));
    }

    #[test]
    fn a_rule_without_a_category_leaves_what_is_awaited_alone() {
        let covers = |rule: &Rule| -> Vec<Category> {
            Category::ALL.iter().copied().filter(|category| rule.covers(*category)).collect()
        };
        assert_eq!(covers(&rule(1)), [Category::Service, Category::Marketing]);
        let otp = Rule { category: Some(Category::Otp), ..rule(1) };
        assert_eq!(covers(&otp), [Category::Otp]);
    }
}
