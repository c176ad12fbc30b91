//! One pass of the sweeper: reads stretches of the log, and says who waits in vain.
//!
//! Run by the sweeper's task. What a stretch of the log means is a pure function; the rest reads,
//! gathers and hands over, a bounded number of stretches per pass. Overdue messages and the
//! cursor behind them go in one transaction, so a pass cut short is only read again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::message::Status;
use model::refusal::Refusal;
use store::lane::{Admin, CarrierChange, Overdue, Work};
use store::{StoreError, SweepRow};
use tokio::time::Instant;

use super::{SweeperArgs, Swept, Watch};

/// Events read at once.
const STRETCH: usize = 2_000;
/// Stretches read for one carrier in one pass.
const STRETCHES_MAX: usize = 50;
/// Overdue messages handed to the writer at once.
const OVERDUE_MAX: usize = 2_000;
/// After this the commits of a writer's earlier life are over, and its log has an end.
const SETTLED_AFTER: Duration = Duration::from_secs(60);
/// After this what was under way when an account ended is in the log.
const LEAVING: Duration = Duration::from_secs(60);
/// The cursor of a log that is read to its end and grows no more.
const ENDED: i64 = i64::MAX;

/// A repeated request is known this long.
const KEYS_KEPT: Duration = Duration::from_secs(24 * 3600);
/// A receipt that matches nothing is kept this long.
const PARKED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a stretch of the log says.
#[derive(Debug, Default)]
pub struct Stretch {
    pub overdue: Vec<Overdue>,
    /// The last event that was old enough; `None` when there was none.
    pub cursor: Option<i64>,
    /// An event too young was met: what follows is younger still.
    pub young: bool,
}

/// Reads events up to the first one after `until`.
#[must_use]
pub fn review(rows: &[SweepRow], carrier: CarrierId, until: At) -> Stretch {
    let mut stretch = Stretch::default();
    for row in rows {
        if row.at > until.micros() {
            stretch.young = true;
            break;
        }
        stretch.cursor = Some(row.seq);
        let waits = row.kind == EventKind::Sent.code() && row.status == Status::Sent.code();
        if waits && row.carrier_id == carrier.0 {
            stretch.overdue.push(Overdue {
                key: MessageKey(row.message_key),
                organization: OrgId(row.organization_id),
            });
        }
    }
    stretch
}

/// What passes share.
pub(super) struct Sweep {
    args: SweeperArgs,
    /// The writer's present life, and since when it is known.
    life: Mutex<Option<(i64, Instant)>>,
}

/// Why a pass was cut short.
#[derive(Debug)]
enum Cut {
    Store(StoreError),
    Writer(Refusal),
}

impl Sweep {
    pub(super) fn new(args: SweeperArgs) -> Self {
        Self { args, life: Mutex::new(None) }
    }

    pub(super) async fn run(&self) -> Swept {
        match self.pass(At::now()).await {
            Ok(true) => Swept::Behind,
            Ok(false) => Swept::Done,
            Err(Cut::Store(error)) => Swept::Failed(error.to_string()),
            Err(Cut::Writer(refusal)) => Swept::Failed(refusal.message.into_owned()),
        }
    }

    /// True: there was more to read than one pass may.
    async fn pass(&self, now: At) -> Result<bool, Cut> {
        let ended_below = self.ended_below();
        let (mut behind, mut settled) = (false, Vec::new());
        for Watch { carrier, receipt_timeout, ended } in (self.args.carriers)() {
            let until = now.minus(receipt_timeout);
            let more = self.carrier(carrier, until, ended_below).await?;
            if !more && ended.is_some_and(|ended| ended.plus(LEAVING) < until) {
                settled.push(carrier);
            }
            behind |= more;
        }
        if !settled.is_empty() {
            let admin = vec![Admin::Carrier(Box::new(CarrierChange::Settle(settled)))];
            self.perform(Work { admin, ..Work::default() }).await?;
        }
        self.perform(Work {
            forget_keys_before: Some(now.minus(KEYS_KEPT)),
            forget_parked_before: Some(now.minus(PARKED_KEPT)),
            join_before: Some(now.minus(self.args.join_parts)),
            partly_before: Some(now.minus(self.args.part_receipts)),
            ..Work::default()
        })
        .await?;
        Ok(behind)
    }

    async fn carrier(&self, carrier: CarrierId, until: At, ended_below: i64) -> Result<bool, Cut> {
        let cursors = self.args.store.sweep_cursors(carrier).await;
        let mut work = Work::default();
        let mut left = STRETCHES_MAX;
        for (lane, start) in cursors.map_err(Cut::Store)? {
            let mut cursor = start;
            loop {
                if left == 0 {
                    self.perform(work).await?;
                    return Ok(true);
                }
                left -= 1;
                let rows = self.args.store.log_after(lane, cursor, STRETCH as i64).await;
                let rows = rows.map_err(Cut::Store)?;
                let stretch = review(&rows, carrier, until);
                let read_out = !stretch.young && rows.len() < STRETCH;
                let next = if read_out && lane < ended_below {
                    ENDED
                } else {
                    stretch.cursor.unwrap_or(cursor)
                };
                move_on(&mut work, (lane, carrier, next), cursor);
                cursor = next;
                work.overdue.extend(stretch.overdue);
                if work.overdue.len() >= OVERDUE_MAX {
                    self.perform(std::mem::take(&mut work)).await?;
                }
                if stretch.young || read_out {
                    break;
                }
            }
        }
        self.perform(work).await?;
        Ok(false)
    }

    /// Lanes below this number grow no more. A life that has just begun says nothing yet of the
    /// one before it, whose last commit may still be under way.
    fn ended_below(&self) -> i64 {
        let lane = self.args.writer.lane_id();
        let now = Instant::now();
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        match *life {
            Some((known, since)) if known == lane => {
                if now.duration_since(since) >= SETTLED_AFTER {
                    return lane;
                }
            }
            _ => *life = Some((lane, now)),
        }
        0
    }

    async fn perform(&self, work: Work) -> Result<(), Cut> {
        if work.is_empty() {
            return Ok(());
        }
        let done = self.args.writer.perform(work).await;
        done.map(|_| ()).map_err(Cut::Writer)
    }
}

/// Notes where a lane's sweep stands, once per lane and only when it moved.
fn move_on(work: &mut Work, (lane, carrier, next): (i64, CarrierId, i64), from: i64) {
    if next == from {
        return;
    }
    work.sweep_cursors.retain(|(known, ..)| *known != lane);
    work.sweep_cursors.push((lane, carrier, next));
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: CarrierId = CarrierId(5);

    fn row(seq: i64, at: i64, kind: EventKind, status: Status) -> SweepRow {
        SweepRow {
            seq,
            at,
            kind: kind.code(),
            message_key: 1_000 + seq,
            organization_id: 7,
            status: status.code(),
            carrier_id: OURS.0,
        }
    }

    fn keys(stretch: &Stretch) -> Vec<i64> {
        stretch.overdue.iter().map(|o| o.key.0).collect()
    }

    #[test]
    fn only_messages_sent_and_still_waiting_are_overdue() {
        let mut foreign = row(4, 10, EventKind::Sent, Status::Sent);
        foreign.carrier_id = 6;
        let rows = [
            row(1, 10, EventKind::Created, Status::Sent),
            row(2, 10, EventKind::Sent, Status::Delivered),
            row(3, 10, EventKind::Sent, Status::Sent),
            foreign,
            row(5, 10, EventKind::Delivered, Status::Delivered),
        ];
        let stretch = review(&rows, OURS, At(10));
        assert_eq!(keys(&stretch), [1_003]);
        assert_eq!((stretch.cursor, stretch.young), (Some(5), false));
        assert_eq!(stretch.overdue[0].organization, OrgId(7));
    }

    #[test]
    fn the_cursor_stops_before_the_first_young_event() {
        let rows = [
            row(1, 10, EventKind::Sent, Status::Sent),
            row(2, 11, EventKind::Created, Status::Queued),
            row(3, 9, EventKind::Sent, Status::Sent),
        ];
        let stretch = review(&rows, OURS, At(10));
        assert_eq!(keys(&stretch), [1_001]);
        assert_eq!((stretch.cursor, stretch.young), (Some(1), true));
        let nothing = review(&rows[1..], OURS, At(10));
        assert_eq!((nothing.cursor, nothing.young), (None, true));
        assert_eq!(review(&[], OURS, At(10)).cursor, None);
    }

    #[test]
    fn a_cursor_is_noted_once_and_only_when_it_moved() {
        let mut work = Work::default();
        move_on(&mut work, (1, OURS, 9), 9);
        assert!(work.is_empty());
        move_on(&mut work, (1, OURS, 10), 9);
        move_on(&mut work, (2, OURS, 3), 0);
        move_on(&mut work, (1, OURS, ENDED), 10);
        assert_eq!(work.sweep_cursors, [(2, OURS, 3), (1, OURS, ENDED)]);
    }
}
