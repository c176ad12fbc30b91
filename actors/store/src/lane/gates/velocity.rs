//! The gate against pumping: an organization sends only so many messages a minute to one range of
//! numbers, which is a calling code and three digits.
//!
//! Whoever earns from the messages a range receives asks for many of them, most of all one-time
//! codes, which have a limit of their own. The counts are in memory, of the running minute alone,
//! and begin anew with the process. What a failed transaction counted is not kept.
//! No tables.

use std::collections::HashMap;

use model::address::range_of;
use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::message::Category;
use model::protection::RANGE_DIGITS;
use model::refusal::{Code, Detail, Refusal};

use super::super::{Gathered, Lane};
use super::Candidate;

const MINUTE_US: i64 = 60 * 1_000_000;
/// Ranges counted in one minute; beyond it further ones are not.
const RANGES_MAX: usize = 200_000;

/// Organization, range, and whether one-time codes are counted.
type Key = (OrgId, u64, bool);

/// What the running minute has seen.
#[derive(Default)]
pub(in crate::lane) struct Minute {
    number: i64,
    counts: HashMap<Key, i64>,
}

/// The ranges of one batch.
#[derive(Default)]
pub(crate) struct Velocity {
    minute: i64,
    ranges: HashMap<Key, Range>,
}

struct Range {
    limit: i64,
    before: i64,
    taken: i64,
    refused: bool,
}

/// What a committed batch adds.
#[derive(Default)]
pub(in crate::lane) struct Counted {
    minute: i64,
    taken: Vec<(Key, i64)>,
}

impl Minute {
    pub(in crate::lane) fn add(&mut self, counted: Counted) {
        if counted.taken.is_empty() {
            return;
        }
        if self.number != counted.minute {
            self.number = counted.minute;
            self.counts.clear();
        }
        for (key, taken) in counted.taken {
            if let Some(count) = self.counts.get_mut(&key) {
                *count += taken;
            } else if self.counts.len() < RANGES_MAX {
                self.counts.insert(key, taken);
            }
        }
    }

    fn count(&self, minute: i64, key: &Key) -> i64 {
        if self.number == minute { self.counts.get(key).copied().unwrap_or(0) } else { 0 }
    }
}

fn key_of(candidate: &Candidate<'_>) -> Option<Key> {
    let range = range_of(candidate.to, RANGE_DIGITS)?;
    Some((candidate.organization, range, candidate.category == Category::Otp))
}

impl Velocity {
    fn range(&mut self, candidate: &Candidate<'_>) -> Option<&mut Range> {
        if self.ranges.is_empty() || candidate.test {
            return None;
        }
        self.ranges.get_mut(&key_of(candidate)?)
    }

    pub(super) fn pass(&mut self, candidate: &Candidate<'_>) -> Result<(), Refusal> {
        let retry_at = At((self.minute + 1) * MINUTE_US);
        let Some(range) = self.range(candidate) else {
            return Ok(());
        };
        if range.before + range.taken >= range.limit {
            range.refused = true;
            let message = "too many messages to this range of numbers within a minute";
            return Err(Refusal::new(Code::VelocityExceeded, message)
                .field("to")
                .detail("limit", Detail::Number(range.limit))
                .detail("window_seconds", Detail::Number(60))
                .detail("retry_at", Detail::Text(retry_at.iso())));
        }
        range.taken += 1;
        Ok(())
    }

    pub(super) fn undo(&mut self, candidate: &Candidate<'_>) {
        if let Some(range) = self.range(candidate) {
            range.taken -= 1;
        }
    }
}

impl Lane {
    pub(super) fn open_velocity(&self, candidates: &[Candidate<'_>], now: At) -> Velocity {
        let minute = now.0.div_euclid(MINUTE_US);
        let mut velocity = Velocity { minute, ranges: HashMap::new() };
        for candidate in candidates.iter().filter(|c| !c.test && c.scheduled_at.is_none()) {
            let otp = candidate.category == Category::Otp;
            let limit = self.guards.velocity(candidate.organization, otp);
            if limit > 0
                && let Some(key) = key_of(candidate)
            {
                let before = self.minute.count(minute, &key);
                let range = Range { limit, before, taken: 0, refused: false };
                velocity.ranges.entry(key).or_insert(range);
            }
        }
        velocity
    }

    pub(super) fn close_velocity(&self, velocity: Velocity, now: At, gathered: &mut Gathered) {
        let counted = &mut gathered.counted;
        counted.minute = velocity.minute;
        let taken = velocity.ranges.iter().filter(|(_, range)| range.taken > 0);
        counted.taken.extend(taken.map(|(key, range)| (*key, range.taken)));
        for ((organization, prefix, otp), range) in velocity.ranges {
            if range.refused {
                let detail = format!(
                    "{{\"prefix\":\"{prefix}\",\"one_time_codes\":{otp},\
                     \"limit_per_minute\":{}}}",
                    range.limit
                );
                self.alert(organization, EventKind::Velocity, detail, now, gathered);
            }
        }
    }
}
