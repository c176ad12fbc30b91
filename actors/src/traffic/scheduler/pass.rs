//! One pass of the scheduler: reads what is due in pages, and has it fired.
//!
//! Run by the scheduler's task. While few messages are due they go in the order of their times. Once
//! a page is full, organizations take turns, so that one's many at noon do not delay another's one.
//! The next page is read while the writer stores the one before.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Histogram, counter, histogram};
use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::esme::Submitted;
use model::message::{Category, Encoding};
use model::refusal::{Code, Refusal};
use model::submission::NewMessage;
use store::lane::{Fire, FireFate, Work};
use store::{DueRow, Mark, StoreError};

use super::{Passed, SchedulerArgs};
use crate::traffic::admission::SendRequest;

/// Pages of one pass.
const PAGES_MAX: usize = 100;
/// Rows read of one organization in its turn, at least.
const TURN_MIN: usize = 10;
/// Organizations that take turns in one pass.
const TURNS_MAX: usize = 10_000;
/// Messages remembered that no transaction takes.
const SET_ASIDE_MAX: usize = 10_000;

const START: Mark = (i64::MIN, i64::MIN);

/// What passes share.
pub(super) struct Firing {
    args: SchedulerArgs,
    /// Messages that no transaction takes: in quarantine, and not asked for again in this life.
    set_aside: Mutex<HashSet<i64>>,
    late: Histogram,
}

/// Where the reading of one pass stands.
enum Reading {
    Begin,
    /// Whose turn it is, and up to where each has been read.
    Turns {
        queue: VecDeque<(OrgId, Mark)>,
        share: usize,
    },
    Over,
}

/// Why a pass was cut short.
#[derive(Debug)]
enum Cut {
    Store(StoreError),
    Writer(Refusal),
}

impl Firing {
    pub(super) fn new(args: SchedulerArgs) -> Self {
        let late = histogram!("orbit_fire_late_seconds");
        Self { args, set_aside: Mutex::default(), late }
    }

    pub(super) async fn run(&self) -> Passed {
        match self.pass().await {
            Ok(true) => Passed::Behind,
            Ok(false) => Passed::Done,
            Err(Cut::Store(error)) => Passed::Failed(error.to_string()),
            Err(Cut::Writer(refusal)) => Passed::Failed(refusal.message.into_owned()),
        }
    }

    /// True: there was more to fire than one pass may.
    async fn pass(&self) -> Result<bool, Cut> {
        // On the way down, or while nothing can be stored, what is due stays a row.
        if self.args.writer.refusing().is_some() {
            return Ok(false);
        }
        let mut reading = Reading::Begin;
        let mut rows = self.read(&mut reading).await?;
        for _ in 0..PAGES_MAX {
            if rows.is_empty() {
                return Ok(false);
            }
            let (fired, next) = tokio::join!(self.fire(rows), self.read(&mut reading));
            fired?;
            rows = next?;
        }
        Ok(!rows.is_empty())
    }

    /// The next page.
    async fn read(&self, reading: &mut Reading) -> Result<Vec<DueRow>, Cut> {
        let page = self.args.page;
        let limit = i64::try_from(page).unwrap_or(i64::MAX);
        match reading {
            Reading::Over => Ok(Vec::new()),
            Reading::Begin => {
                let rows = self.args.store.due(At::now(), START, limit).await;
                let rows = rows.map_err(Cut::Store)?;
                *reading = Reading::Over;
                if rows.len() >= page {
                    let queue = self.turns(&rows).await?;
                    let share = (page / queue.len().max(1)).max(TURN_MIN);
                    *reading = Reading::Turns { queue, share };
                }
                Ok(rows)
            }
            Reading::Turns { queue, share } => self.read_in_turn(queue, *share).await,
        }
    }

    /// All organizations that wait for something, each with how far the first page has read it.
    async fn turns(&self, first: &[DueRow]) -> Result<VecDeque<(OrgId, Mark)>, Cut> {
        let read: HashMap<i64, Mark> =
            first.iter().map(|row| (row.organization_id, row.mark())).collect();
        let mut queue = VecDeque::new();
        let mut after = OrgId(i64::MIN);
        while queue.len() < TURNS_MAX
            && let Some(organization) =
                self.args.store.next_scheduling(after).await.map_err(Cut::Store)?
        {
            after = organization;
            queue.push_back((organization, read.get(&organization.0).copied().unwrap_or(START)));
        }
        Ok(queue)
    }

    async fn read_in_turn(
        &self,
        queue: &mut VecDeque<(OrgId, Mark)>,
        share: usize,
    ) -> Result<Vec<DueRow>, Cut> {
        let mut rows: Vec<DueRow> = Vec::new();
        while rows.len() < self.args.page
            && let Some((organization, after)) = queue.pop_front()
        {
            let wanted = share.min(self.args.page - rows.len());
            let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
            let own = self.args.store.due_of(organization, At::now(), after, limit).await;
            let own = own.map_err(Cut::Store)?;
            if let Some(last) = own.last()
                && own.len() >= wanted
            {
                queue.push_back((organization, last.mark()));
            }
            rows.extend(own);
        }
        Ok(rows)
    }

    async fn fire(&self, rows: Vec<DueRow>) -> Result<(), Cut> {
        let now = At::now();
        let fires: Vec<Fire> = rows
            .iter()
            .filter(|row| !self.is_set_aside(row))
            .map(|row| self.aim(row, now))
            .collect();
        if fires.is_empty() {
            return Ok(());
        }
        let keys: Vec<i64> = fires.iter().map(|fire| fire.key.0).collect();
        let due: HashMap<i64, i64> = rows.iter().map(|row| (row.key, row.scheduled_at)).collect();
        let work = Work { fires, ..Work::default() };
        let done = self.args.writer.perform(work).await.map_err(Cut::Writer)?;
        for (key, fate) in keys.into_iter().zip(&done.fires) {
            counter!("orbit_fires_total", "fate" => name(fate)).increment(1);
            match fate {
                FireFate::Queued { .. } => {
                    let due = due.get(&key).copied().unwrap_or_default();
                    self.late.record(done.at.since(At(due)).as_secs_f64());
                }
                FireFate::Failed => self.set_aside(key),
                FireFate::Ended(_) | FireFate::Later(_) | FireFate::Stale => {}
            }
        }
        Ok(())
    }

    /// Checks, routes and prices a message anew.
    fn aim(&self, row: &DueRow, now: At) -> Fire {
        let organization = OrgId(row.organization_id);
        Fire {
            key: MessageKey(row.key),
            organization,
            edits: row.edits,
            created_at: At(row.created_at),
            expires_at: row.expires_at(),
            message: self.check(row, organization, now),
        }
    }

    fn check(&self, row: &DueRow, organization: OrgId, now: At) -> Result<NewMessage, Refusal> {
        let unknown = || Refusal::new(Code::InternalError, "a row that no version writes");
        let pool = row.pool();
        let request = SendRequest {
            to: row.to_addr.clone(),
            from: pool.is_none().then(|| row.from_addr.clone()),
            pool,
            body: row.body.clone(),
            encoding: Some(Encoding::from_code(row.encoding).ok_or_else(unknown)?),
            category: Category::from_code(row.category).ok_or_else(unknown)?,
            account: row.account.as_deref().map(Arc::from),
            metadata: None,
            test: row.test_mode != 0,
            submitted: Submitted::stored(row.smpp_account_id, row.submitted.as_deref())
                .map(Arc::new),
        };
        self.args.admission.check_again(organization, request, now)
    }

    fn is_set_aside(&self, row: &DueRow) -> bool {
        self.set_aside.lock().unwrap_or_else(PoisonError::into_inner).contains(&row.key)
    }

    fn set_aside(&self, key: i64) {
        let mut set_aside = self.set_aside.lock().unwrap_or_else(PoisonError::into_inner);
        if set_aside.len() >= SET_ASIDE_MAX {
            set_aside.clear();
        }
        set_aside.insert(key);
    }
}

fn name(fate: &FireFate) -> &'static str {
    match fate {
        FireFate::Queued { .. } => "queued",
        FireFate::Ended(status) => status.as_str(),
        FireFate::Later(_) => "later",
        FireFate::Stale => "stale",
        FireFate::Failed => "failed",
    }
}
