//! Sender pools: the choice of a sender for each message that names a pool in the place of one.
//!
//! Only batches in which some message names a pool look at any. Its pools are read and, on
//! PostgreSQL, locked in order of id: whoever else accepts for the same pool waits for this commit,
//! so what was used today is all there is. Then each message is given its sender in memory, in order
//! of arrival: of those that cover its country, can go by some carrier, are approved where that is
//! asked for, and are below their cap. Whose turn it is is counted in the lane's memory, from the
//! day's uses on.
//! Tables: sender_pools, sender_pool_uses, sender_pool_sticky.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use model::carrier::OrgId;
use model::clock::At;
use model::country::country_of;
use model::id::{Kind, PublicId};
use model::pool::{self, Pick, Pool, PoolSender, PoolWay, Pooled, Strategy, senders_of};
use model::refusal::{Code, Detail, Refusal};
use model::share;

use super::super::Lane;
use super::{Candidate, DAY_US};
use crate::bulk::{Bulk, Column, Line};
use crate::error::StoreError;

/// A pool, and whether test messages ask: they are counted apart.
type Place = (i64, bool);
/// Whose turn it is, for each set of senders that a pool was asked for.
type Turns = HashMap<u64, u64>;

/// Sets of one pool, and pools, of which turns are remembered; beyond them all begin anew.
const SETS_MAX: usize = 256;
const PLACES_MAX: usize = 10_000;

/// The turns as the lane remembers them.
#[derive(Default)]
pub(in crate::lane) struct Taken {
    /// As of the last commit.
    stored: HashMap<Place, Turns>,
    /// By the transaction under way.
    under_way: HashMap<Place, Turns>,
}

impl Taken {
    pub(in crate::lane) fn begin(&mut self) {
        self.under_way.clear();
    }

    pub(in crate::lane) fn committed(&mut self) {
        if self.stored.len() > PLACES_MAX {
            self.stored.clear();
        }
        self.stored.extend(self.under_way.drain());
    }

    fn of(&self, place: &Place) -> Turns {
        self.under_way.get(place).or_else(|| self.stored.get(place)).cloned().unwrap_or_default()
    }
}

/// The sender that a candidate was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chosen {
    /// Its place in the pool.
    sender: usize,
    /// The place of its way among those of the message.
    way: usize,
    /// The set whose turn was taken.
    set: Option<u64>,
    /// Of the sticky ones: who the recipient was written to from before.
    former: Option<usize>,
}

/// The pools of one batch.
#[derive(Default)]
pub(crate) struct Pools {
    now: At,
    open: HashMap<Place, Open>,
}

struct Open {
    pool: Pool,
    /// As `pool.senders`.
    used: Vec<Used>,
    turns: Turns,
    /// Who writes to whom, by place of the sender.
    sticky: HashMap<String, usize>,
    /// Recipients to be remembered, or to be remembered longer.
    kept: HashMap<String, usize>,
}

#[derive(Clone, Copy, Default)]
struct Used {
    before: i64,
    taken: i64,
}

/// How far the best sender came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Nothing,
    Country,
    Carrier,
    Approval,
}

impl Open {
    fn new(pool: Pool, turns: Turns) -> Self {
        let used = vec![Used::default(); pool.senders.len()];
        Self { pool, used, turns, sticky: HashMap::new(), kept: HashMap::new() }
    }

    fn place_of(&self, sender: &str) -> Option<usize> {
        self.pool.senders.iter().position(|own| &*own.value == sender)
    }

    fn today(&self, at: usize) -> i64 {
        self.used[at].before + self.used[at].taken
    }

    /// The senders that may serve a message, each with the place of its way.
    fn eligible(
        &self,
        candidate: &Candidate<'_>,
        pooled: &Pooled,
        approved: impl Fn(&str) -> Result<(), Refusal>,
        now: At,
    ) -> Result<Vec<(usize, usize)>, Refusal> {
        let country = country_of(candidate.to);
        let (mut reached, mut unapproved) = (Reached::Nothing, None);
        let mut eligible = Vec::new();
        for (at, sender) in self.pool.senders.iter().enumerate() {
            if !sender.covers(country) {
                continue;
            }
            reached = reached.max(Reached::Country);
            let Some(way) = pooled.ways.iter().position(|way| way.kind == sender.kind) else {
                continue;
            };
            reached = reached.max(Reached::Carrier);
            if let Err(refusal) = approved(&sender.value) {
                unapproved.get_or_insert(refusal);
                continue;
            }
            reached = reached.max(Reached::Approval);
            if sender.daily_cap.is_none_or(|cap| self.today(at) < cap) {
                eligible.push((at, way));
            }
        }
        if !eligible.is_empty() {
            return Ok(eligible);
        }
        let id = pooled.public_id;
        Err(match (reached, unapproved) {
            (Reached::Nothing, _) => pool::uncovered(id, country),
            (Reached::Country, _) => {
                let text = "no carrier takes the senders that the pool has for this country";
                Refusal::new(Code::NoRoute, text).field("sender_pool_id")
            }
            (Reached::Carrier, Some(refusal)) => refusal,
            (Reached::Carrier, None) | (Reached::Approval, _) => exhausted(id, now),
        })
    }

    /// One of those, by the pool's strategy.
    fn choose(&mut self, to: &str, eligible: &[(usize, usize)]) -> (usize, usize, Option<u64>) {
        let (first, way) = eligible[0];
        match self.pool.strategy {
            Strategy::LeastUsed => {
                let fewest = eligible.iter().min_by_key(|(at, _)| self.today(*at));
                let (at, way) = fewest.copied().unwrap_or((first, way));
                (at, way, None)
            }
            Strategy::Sticky => {
                let before = self.sticky.get(to);
                let kept = eligible.iter().find(|(at, _)| before == Some(at));
                match kept {
                    Some((at, way)) => (*at, *way, None),
                    None => self.in_turn(eligible, true),
                }
            }
            Strategy::Weighted => self.in_turn(eligible, true),
            Strategy::RoundRobin => self.in_turn(eligible, false),
        }
    }

    fn in_turn(
        &mut self,
        eligible: &[(usize, usize)],
        weighted: bool,
    ) -> (usize, usize, Option<u64>) {
        let senders = &self.pool.senders;
        let weight = |sender: &PoolSender| if weighted { u64::from(sender.weight) } else { 1 };
        let mut hasher = DefaultHasher::new();
        for (at, _) in eligible {
            (&senders[*at].value, weight(&senders[*at])).hash(&mut hasher);
        }
        let set = hasher.finish();
        // A set that is new to this life goes on where the day's uses say.
        let begun = eligible.iter().map(|(at, _)| self.used[*at].before).sum::<i64>();
        if self.turns.len() >= SETS_MAX && !self.turns.contains_key(&set) {
            self.turns.clear();
        }
        let turn = self.turns.entry(set).or_insert(u64::try_from(begun).unwrap_or(0));
        let taken = *turn;
        *turn += 1;
        let nth = if weighted {
            let weights: Vec<u64> = eligible.iter().map(|(at, _)| weight(&senders[*at])).collect();
            share::nth(&weights, taken).unwrap_or(0)
        } else {
            usize::try_from(taken % eligible.len() as u64).unwrap_or(0)
        };
        let (at, way) = eligible[nth];
        (at, way, Some(set))
    }
}

impl Pools {
    /// The day whose uses are counted.
    pub(crate) fn day(&self) -> i64 {
        self.now.0.div_euclid(DAY_US)
    }

    /// The pools' senders that messages of a candidate may come to have.
    pub(super) fn senders_for(&self, candidate: &Candidate<'_>) -> impl Iterator<Item = &str> {
        let open = candidate.pooled.and_then(|pooled| self.open.get(&(pooled.id, candidate.test)));
        let country = country_of(candidate.to);
        let senders = open.map_or(&[][..], |open| &open.pool.senders);
        senders.iter().filter(move |sender| sender.covers(country)).map(|sender| &*sender.value)
    }

    /// Whether the pool that a candidate names is there, and its organization's.
    pub(super) fn check(&self, candidate: &Candidate<'_>, pooled: &Pooled) -> Result<(), Refusal> {
        let open = self.open.get(&(pooled.id, candidate.test));
        if open.is_some_and(|open| open.pool.organization == candidate.organization) {
            return Ok(());
        }
        Err(pool::unknown())
    }

    /// Gives a candidate its sender, and counts it.
    pub(super) fn pick(
        &mut self,
        candidate: &Candidate<'_>,
        pooled: &Pooled,
        approved: impl Fn(&str) -> Result<(), Refusal>,
    ) -> Result<Chosen, Refusal> {
        let open = self.open.get_mut(&(pooled.id, candidate.test));
        let open = open.ok_or_else(pool::unknown)?;
        let eligible = open.eligible(candidate, pooled, approved, self.now)?;
        let (sender, way, set) = open.choose(candidate.to, &eligible);
        open.used[sender].taken += 1;
        let former = open.sticky.get(candidate.to).copied();
        if open.pool.strategy == Strategy::Sticky {
            open.sticky.insert(candidate.to.to_owned(), sender);
        }
        Ok(Chosen { sender, way, set, former })
    }

    /// Gives back what a pick took.
    pub(super) fn undo(&mut self, candidate: &Candidate<'_>, chosen: &Chosen) {
        let place = candidate.pooled.map(|pooled| (pooled.id, candidate.test));
        let Some(open) = place.and_then(|place| self.open.get_mut(&place)) else { return };
        open.used[chosen.sender].taken -= 1;
        if let Some(turn) = chosen.set.and_then(|set| open.turns.get_mut(&set)) {
            *turn = turn.saturating_sub(1);
        }
        if open.pool.strategy == Strategy::Sticky {
            match chosen.former {
                Some(former) => open.sticky.insert(candidate.to.to_owned(), former),
                None => open.sticky.remove(candidate.to),
            };
        }
    }

    /// A candidate became a message: its recipient is remembered, if the pool does that.
    pub(super) fn keep(&mut self, candidate: &Candidate<'_>, chosen: &Chosen) {
        let place = candidate.pooled.map(|pooled| (pooled.id, candidate.test));
        if let Some(open) = place.and_then(|place| self.open.get_mut(&place))
            && open.pool.strategy == Strategy::Sticky
        {
            open.kept.insert(candidate.to.to_owned(), chosen.sender);
        }
    }

    /// The name of a chosen sender, and the way that goes with it.
    pub(super) fn named(
        &self,
        candidate: &Candidate<'_>,
        chosen: &Chosen,
    ) -> Option<(&PoolSender, PoolWay)> {
        let pooled = candidate.pooled?;
        let open = self.open.get(&(pooled.id, candidate.test))?;
        Some((open.pool.senders.get(chosen.sender)?, *pooled.ways.get(chosen.way)?))
    }

    /// The same, to be taken along.
    pub(super) fn pick_of(&self, candidate: &Candidate<'_>) -> Option<Pick> {
        let (sender, way) = self.named(candidate, candidate.chosen.as_ref()?)?;
        Some(Pick { from: sender.value.clone(), way })
    }
}

fn exhausted(id: PublicId, now: At) -> Refusal {
    let message = "the pool's senders for this country have sent all that they may today";
    let midnight = At((now.0.div_euclid(DAY_US) + 1) * DAY_US);
    Refusal::new(Code::SenderPoolExhausted, message)
        .field("sender_pool_id")
        .detail("sender_pool_id", Detail::Text(id.show(Kind::SenderPool)))
        .detail("resets_at", Detail::Text(midnight.iso()))
}

impl Lane {
    /// Reads the pools that candidates name, and what was used of those that choose now.
    pub(super) async fn open_pools(
        &mut self,
        candidates: &[Candidate<'_>],
        now: At,
    ) -> Result<Pools, StoreError> {
        let mut pools = Pools { now, open: HashMap::new() };
        let named = || candidates.iter().filter_map(|c| Some((c, c.pooled?)));
        let mut ids: Vec<i64> = named().map(|(_, pooled)| pooled.id).collect();
        if ids.is_empty() {
            return Ok(pools);
        }
        ids.sort_unstable();
        ids.dedup();
        for line in self.conn.fetch(&POOLS, &[Column::Int(ids)]).await? {
            let pool = read(&line)?;
            for test in [false, true] {
                let place = (pool.id, test);
                let asked = named().any(|(c, pooled)| (pooled.id, c.test) == place);
                if asked {
                    let open = Open::new(pool.clone(), self.taken.of(&place));
                    pools.open.insert(place, open);
                }
            }
        }
        self.read_uses(&mut pools).await?;
        self.read_sticky(candidates, &mut pools).await?;
        Ok(pools)
    }

    async fn read_uses(&mut self, pools: &mut Pools) -> Result<(), StoreError> {
        let mut places: Vec<Place> = pools.open.keys().copied().collect();
        places.sort_unstable();
        let columns = [
            Column::Int(places.iter().map(|(pool, _)| *pool).collect()),
            Column::Int(places.iter().map(|(_, test)| i64::from(*test)).collect()),
            Column::Int(vec![pools.day(); places.len()]),
        ];
        for line in self.conn.fetch(&USES, &columns).await? {
            let place = (line.int(0)?, line.int(1)? != 0);
            let Some(open) = pools.open.get_mut(&place) else { continue };
            // One that was taken out of the pool since has no place.
            if let Some(at) = open.place_of(&line.text(2)?) {
                open.used[at].before = line.int(3)?;
            }
        }
        Ok(())
    }

    async fn read_sticky(
        &mut self,
        candidates: &[Candidate<'_>],
        pools: &mut Pools,
    ) -> Result<(), StoreError> {
        let mut asked: Vec<(i64, bool, &str)> = Vec::new();
        for candidate in candidates.iter().filter(|c| c.scheduled_at.is_none()) {
            let Some(pooled) = candidate.pooled else { continue };
            let open = pools.open.get(&(pooled.id, candidate.test));
            if open.is_some_and(|open| open.pool.strategy == Strategy::Sticky) {
                asked.push((pooled.id, candidate.test, candidate.to));
            }
        }
        asked.sort_unstable();
        asked.dedup();
        let columns = [
            Column::Int(asked.iter().map(|(pool, ..)| *pool).collect()),
            Column::Int(asked.iter().map(|(_, test, _)| i64::from(*test)).collect()),
            Column::Text(asked.iter().map(|(.., to)| *to).collect()),
            Column::Int(vec![pools.now.micros(); asked.len()]),
        ];
        for line in self.conn.fetch(&STICKY, &columns).await? {
            let place = (line.int(0)?, line.int(1)? != 0);
            let Some(open) = pools.open.get_mut(&place) else { continue };
            if let Some(at) = open.place_of(&line.text(3)?) {
                open.sticky.insert(line.text(2)?, at);
            }
        }
        Ok(())
    }

    pub(super) async fn close_pools(&mut self, pools: Pools) -> Result<(), StoreError> {
        if pools.open.is_empty() {
            return Ok(());
        }
        let day = pools.day();
        let mut open: Vec<(Place, Open)> = pools.open.into_iter().collect();
        open.sort_unstable_by_key(|(place, _)| *place);
        let (mut uses, mut kept) = (Vec::new(), Vec::new());
        for ((id, test), open) in &open {
            let taken = open.used.iter().zip(&open.pool.senders).filter(|(used, _)| used.taken > 0);
            uses.extend(taken.map(|(used, sender)| {
                (*id, *test, &*sender.value, open.pool.organization.0, used.taken)
            }));
            let until = pools.now.0.saturating_add(open.pool.sticky_ttl_days * DAY_US);
            kept.extend(open.kept.iter().map(|(to, at)| {
                let sender = &*open.pool.senders[*at].value;
                (*id, *test, to.as_str(), open.pool.organization.0, sender, until)
            }));
        }
        uses.sort_unstable();
        kept.sort_unstable();
        let columns = [
            Column::Int(uses.iter().map(|u| u.0).collect()),
            Column::Int(uses.iter().map(|u| i64::from(u.1)).collect()),
            Column::Int(vec![day; uses.len()]),
            Column::Text(uses.iter().map(|u| u.2).collect()),
            Column::Int(uses.iter().map(|u| u.3).collect()),
            Column::Int(uses.iter().map(|u| u.4).collect()),
        ];
        self.conn.run(&ADD_USES, &columns).await?;
        let columns = [
            Column::Int(kept.iter().map(|k| k.0).collect()),
            Column::Int(kept.iter().map(|k| i64::from(k.1)).collect()),
            Column::Text(kept.iter().map(|k| k.2).collect()),
            Column::Int(kept.iter().map(|k| k.3).collect()),
            Column::Text(kept.iter().map(|k| k.4).collect()),
            Column::Int(kept.iter().map(|k| k.5).collect()),
        ];
        self.conn.run(&KEEP_STICKY, &columns).await?;
        self.taken.under_way.extend(open.into_iter().map(|(place, open)| (place, open.turns)));
        Ok(())
    }
}

fn read(line: &Line) -> Result<Pool, StoreError> {
    let public_id = <[u8; 16]>::try_from(line.blob(1)?.as_slice())
        .map_err(|_| StoreError::Impossible("a sender pool with an id that is none"))?;
    Ok(Pool {
        id: line.int(0)?,
        public_id: PublicId::from_bytes(public_id),
        organization: OrgId(line.int(2)?),
        strategy: Strategy::from_code(line.int(3)?).unwrap_or_default(),
        senders: senders_of(&line.text(4)?),
        // Routes are chosen before.
        carriers: Vec::new(),
        sticky_ttl_days: line.int(5)?,
    })
}

static POOLS: Bulk = Bulk {
    sqlite: "select id, public_id, organization_id, strategy, senders, sticky_ttl_days
         from sender_pools where id = ?1",
    postgres: "select id, public_id, organization_id, strategy, senders, sticky_ttl_days
         from sender_pools where id = any($1::bigint[]) order by id for update",
};

static USES: Bulk = Bulk {
    sqlite: "select pool_id, test_mode, sender, used from sender_pool_uses
         where pool_id = ?1 and test_mode = ?2 and day = ?3",
    postgres: "select u.pool_id, u.test_mode, u.sender, u.used
         from unnest($1::bigint[], $2::bigint[], $3::bigint[]) v (p, t, d)
         join sender_pool_uses u on u.pool_id = v.p and u.test_mode = v.t and u.day = v.d",
};

static STICKY: Bulk = Bulk {
    sqlite: "select pool_id, test_mode, recipient, sender from sender_pool_sticky
         where pool_id = ?1 and test_mode = ?2 and recipient = ?3 and expires_at > ?4",
    postgres: "select s.pool_id, s.test_mode, s.recipient, s.sender
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) v (p, t, r, n)
         join sender_pool_sticky s on s.pool_id = v.p and s.test_mode = v.t and s.recipient = v.r
            and s.expires_at > v.n",
};

static ADD_USES: Bulk = Bulk {
    sqlite: "insert into sender_pool_uses
            (pool_id, test_mode, day, sender, organization_id, used)
         values (?1, ?2, ?3, ?4, ?5, ?6)
         on conflict (pool_id, test_mode, day, sender) do update
         set used = sender_pool_uses.used + excluded.used",
    postgres: "insert into sender_pool_uses
            (pool_id, test_mode, day, sender, organization_id, used)
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[],
            $6::bigint[])
         on conflict (pool_id, test_mode, day, sender) do update
         set used = sender_pool_uses.used + excluded.used",
};

static KEEP_STICKY: Bulk = Bulk {
    sqlite: "insert into sender_pool_sticky
            (pool_id, test_mode, recipient, organization_id, sender, expires_at)
         values (?1, ?2, ?3, ?4, ?5, ?6)
         on conflict (pool_id, test_mode, recipient) do update
         set sender = excluded.sender, expires_at = excluded.expires_at",
    postgres: "insert into sender_pool_sticky
            (pool_id, test_mode, recipient, organization_id, sender, expires_at)
         select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[],
            $6::bigint[])
         on conflict (pool_id, test_mode, recipient) do update
         set sender = excluded.sender, expires_at = excluded.expires_at",
};
