//! One pass of retention: rounds of small steps, one of each sort, until nothing old is left.
//!
//! Run by the actor's task. A step reads a stretch of the oldest rows, keeps those that are old
//! enough and over, and asks the writer to drop them. What a stretch means is pure; what a step
//! asks is checked again where it is done.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::counter;
use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::message::Status;
use proto_smpp::message_id;
use store::lane::{Gone, Retire, Work};
use store::{AgedCall, AgedLine, AgedMessage, AgedRow, StoreError};
use tokio::time::Instant;

use super::{Ended, Keep, RetentionArgs};

/// Rows read at once where few of them may fit.
const STRETCH: usize = 2_000;
/// No carrier's receipt is waited for longer than this.
const RECEIPT_WAIT_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Old money is summed this often, and what is left of the organizations' runs is looked at.
const SLOW_PERIOD: Duration = Duration::from_secs(3_600);

const OUTBOUND: &str = "outbound";
const INBOUND: &str = "inbound";

/// What passes share.
pub(super) struct Pass {
    args: RetentionArgs,
    slow_at: Mutex<Option<Instant>>,
}

/// Where each sort stands in this pass; `None`: it is through.
struct Standing {
    messages: Option<i64>,
    outbound: Option<i64>,
    inbound: Option<i64>,
    lines: Option<i64>,
    set_aside: Option<i64>,
    calls: Option<i64>,
    ladders: Option<i64>,
    /// Pieces up to this one are too many.
    ladders_beyond: i64,
    ledger: Option<OrgId>,
    runs: Option<OrgId>,
}

/// What one step found: what to drop, and where the next one begins.
struct Step {
    retire: Option<Retire>,
    next: Option<i64>,
}

/// Why a pass was cut short, in words.
struct Cut(String);

impl From<StoreError> for Cut {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl Pass {
    pub(super) fn new(args: RetentionArgs) -> Self {
        Self { args, slow_at: Mutex::new(None) }
    }

    pub(super) async fn run(&self) -> Ended {
        match self.rounds().await {
            Ok(()) => Ended::Done,
            Err(Cut(error)) => Ended::Failed(error),
        }
    }

    async fn rounds(&self) -> Result<(), Cut> {
        let mut standing = self.begin().await?;
        while standing.is_anywhere() {
            let retire = self.round(&mut standing, At::now()).await?;
            if !retire.is_empty() {
                self.perform(retire).await?;
                tokio::time::sleep(self.args.pace.pause).await;
            }
        }
        Ok(())
    }

    async fn begin(&self) -> Result<Standing, Cut> {
        let store = &self.args.store;
        let keep = &self.args.keep;
        let body = async |kept: Option<Duration>, name| match kept {
            Some(_) => store.retention_cursor(name).await.map(Some),
            None => Ok(None),
        };
        let slow = self.slow_is_due();
        Ok(Standing {
            messages: keep.messages.map(|_| 0),
            outbound: body(keep.outbound_bodies, OUTBOUND).await?,
            inbound: body(keep.inbound_bodies, INBOUND).await?,
            lines: keep.lines.map(|_| 0),
            set_aside: keep.messages.map(|_| 0),
            calls: keep.calls.map(|_| 0),
            ladders: keep.ladders.map(|_| 0).or(keep.ladder_pieces.map(|_| 0)),
            ladders_beyond: match keep.ladder_pieces {
                Some(most) => store.ladder_beyond(most).await?,
                None => 0,
            },
            ledger: keep.ledger.filter(|_| slow).map(|_| OrgId(0)),
            runs: keep.messages.or(keep.lines).filter(|_| slow).map(|_| OrgId(0)),
        })
    }

    fn slow_is_due(&self) -> bool {
        let now = Instant::now();
        let mut slow_at = self.slow_at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = slow_at.is_none_or(|at| now.duration_since(at) >= SLOW_PERIOD);
        if due {
            *slow_at = Some(now);
        }
        due
    }

    /// One step of each sort that has more.
    async fn round(&self, standing: &mut Standing, now: At) -> Result<Vec<Retire>, Cut> {
        let (store, batch) = (&self.args.store, self.args.pace.batch);
        let Keep { messages, outbound_bodies, inbound_bodies, lines, ledger, .. } = self.args.keep;
        let limit = i64::try_from(batch).unwrap_or(i64::MAX);
        let mut retire = Vec::new();
        if let (Some(after), Some(kept)) = (standing.messages, messages) {
            let rows = store.aged_messages(after, limit).await?;
            standing.messages = take(&mut retire, old_messages(&rows, batch, kept, now));
        }
        if let (Some(after), Some(kept)) = (standing.outbound, outbound_bodies) {
            let rows = store.aged_lines(after, STRETCH as i64).await?;
            let step = ended(&rows, OUTBOUND, batch, now.minus(kept));
            standing.outbound = take(&mut retire, step);
        }
        if let (Some(after), Some(kept)) = (standing.inbound, inbound_bodies) {
            let rows = store.aged_lines(after, STRETCH as i64).await?;
            standing.inbound = take(&mut retire, ended(&rows, INBOUND, batch, now.minus(kept)));
        }
        if let (Some(after), Some(kept)) = (standing.lines, lines) {
            let rows = store.aged_own_lines(after, limit).await?;
            let rows: Vec<_> = rows.iter().map(|row| (row.seq, row.at)).collect();
            standing.lines = take(&mut retire, old(&rows, batch, now.minus(kept), Retire::Lines));
        }
        if let (Some(after), Some(kept)) = (standing.set_aside, messages) {
            let rows = store.aged_quarantine(after, limit).await?;
            let rows: Vec<_> = rows.iter().map(|row| (row.seq, row.at)).collect();
            let step = old(&rows, batch, now.minus(kept), Retire::SetAside);
            standing.set_aside = take(&mut retire, step);
        }
        self.round_of_calls(standing, now, &mut retire).await?;
        if let (Some(after), Some(kept)) = (standing.ledger, ledger) {
            let next = self.ledger(after, now.minus(kept), &mut retire).await?;
            standing.ledger = next;
        }
        if let Some(after) = standing.runs {
            standing.runs = self.runs(after, &mut retire).await?;
        }
        Ok(retire)
    }

    async fn round_of_calls(
        &self,
        standing: &mut Standing,
        now: At,
        retire: &mut Vec<Retire>,
    ) -> Result<(), Cut> {
        let (store, batch) = (&self.args.store, self.args.pace.batch);
        let limit = i64::try_from(batch).unwrap_or(i64::MAX);
        let Keep { calls, ladders, .. } = self.args.keep;
        if let (Some(after), Some(kept)) = (standing.calls, calls) {
            let rows = store.aged_calls(after, limit).await?;
            standing.calls = take(retire, old_calls(&rows, batch, now.minus(kept)));
        }
        if let Some(after) = standing.ladders {
            let rows = store.aged_ladders(after, limit).await?;
            let before = ladders.map_or(At(i64::MIN), |kept| now.minus(kept));
            // What is beyond the number is as old as can be.
            let age =
                |row: &AgedRow| if row.seq <= standing.ladders_beyond { i64::MIN } else { row.at };
            let rows: Vec<_> = rows.iter().map(|row| (row.seq, age(row))).collect();
            let before = before.max(At(i64::MIN + 1));
            standing.ladders = take(retire, old(&rows, batch, before, Retire::Ladders));
        }
        Ok(())
    }

    /// The next organizations' oldest transfers, up to the first that has some to be summed.
    async fn ledger(
        &self,
        mut after: OrgId,
        before: At,
        retire: &mut Vec<Retire>,
    ) -> Result<Option<OrgId>, Cut> {
        let limit = i64::try_from(self.args.pace.batch).unwrap_or(i64::MAX).max(100);
        let organizations = self.args.store.organizations_after(after, 100).await?;
        for organization in &organizations {
            let rows = self.args.store.aged_transfers(*organization, limit).await?;
            if let Some(up_to) = to_be_summed(&rows, before) {
                let organization = *organization;
                retire.push(Retire::Transfers { organization, up_to, before });
                // It may have more: the next round looks at it again.
                return Ok(Some(after));
            }
            after = *organization;
        }
        Ok((!organizations.is_empty()).then_some(after))
    }

    /// The next organizations' oldest runs, up to the first with some of which nothing is left.
    async fn runs(&self, mut after: OrgId, retire: &mut Vec<Retire>) -> Result<Option<OrgId>, Cut> {
        let limit = i64::try_from(self.args.pace.batch).unwrap_or(i64::MAX);
        let organizations = self.args.store.organizations_after(after, 100).await?;
        for organization in &organizations {
            let spent = self.args.store.spent_runs(*organization, limit).await?;
            if !spent.is_empty() {
                let runs = spent.iter().map(|run| (run.kind, run.high)).collect();
                retire.push(Retire::Runs { organization: *organization, runs });
                return Ok(Some(after));
            }
            after = *organization;
        }
        Ok((!organizations.is_empty()).then_some(after))
    }

    async fn perform(&self, retire: Vec<Retire>) -> Result<(), Cut> {
        for step in &retire {
            let (what, count) = match step {
                Retire::Messages { gone, .. } => ("messages", gone.len()),
                Retire::Bodies { keys, .. } => ("bodies", keys.len()),
                Retire::Lines(lines) => ("events", lines.len()),
                Retire::Runs { runs, .. } => ("runs", runs.len()),
                Retire::Calls(keys) => ("calls", keys.len()),
                Retire::Ladders(pieces) => ("ladders", pieces.len()),
                Retire::SetAside(rows) => ("quarantine", rows.len()),
                Retire::Transfers { .. } => ("ledger", 1),
            };
            counter!("orbit_retired_total", "what" => what).increment(count as u64);
        }
        let done = self.args.writer.perform(Work { retire, ..Work::default() }).await;
        done.map(|_| ()).map_err(|refusal| Cut(refusal.message.into_owned()))
    }
}

impl Standing {
    fn is_anywhere(&self) -> bool {
        let places = [self.messages, self.outbound, self.inbound, self.lines, self.set_aside];
        let of_calls = [self.calls, self.ladders];
        let mut all = places.iter().chain(&of_calls);
        let slow = [self.ledger, self.runs];
        all.any(Option::is_some) || slow.iter().any(Option::is_some)
    }
}

fn take(retire: &mut Vec<Retire>, step: Step) -> Option<i64> {
    retire.extend(step.retire);
    step.next
}

/// Messages that were made before the time that is kept, and are over.
fn old_messages(rows: &[AgedMessage], limit: usize, kept: Duration, now: At) -> Step {
    let before = now.minus(kept).micros();
    let sent_before = now.minus(RECEIPT_WAIT_MAX);
    let over = |row: &&AgedMessage| {
        let status = Status::from_code(row.status);
        let silent = row.sent_at.is_some_and(|at| at < sent_before.micros());
        row.created_at < before
            && status.is_some_and(|s| s.is_final() || s == Status::Sent && silent)
    };
    let gone: Vec<Gone> = rows
        .iter()
        .filter(over)
        .map(|row| Gone {
            key: MessageKey(row.key),
            carrier: CarrierId(row.carrier_id),
            first_part: row.external_id.as_deref().map(|id| message_id::canonical(id.as_bytes())),
        })
        .collect();
    // Keys grow with time: once a stretch ends young, so does the table.
    let next = rows.last().filter(|last| rows.len() >= limit && last.created_at < before);
    Step {
        retire: (!gone.is_empty()).then_some(Retire::Messages { gone, sent_before }),
        next: next.map(|last| last.key),
    }
}

/// Calls that were made before the time that is kept, and are over.
fn old_calls(rows: &[AgedCall], limit: usize, before: At) -> Step {
    let aged = |row: &&AgedCall| row.created_at < before.micros();
    let over = rows.iter().filter(|row| aged(row) && row.ended_at.is_some());
    let gone: Vec<MessageKey> = over.map(|row| MessageKey(row.key)).collect();
    let next = rows.last().filter(|last| rows.len() >= limit && aged(last));
    Step {
        retire: (!gone.is_empty()).then_some(Retire::Calls(gone)),
        next: next.map(|last| last.key),
    }
}

/// Messages whose end the log tells, up to the first line that is too young.
fn ended(rows: &[AgedLine], cursor: &'static str, limit: usize, before: At) -> Step {
    let mut keys = Vec::new();
    let mut seq = None;
    for row in rows.iter().take_while(|row| row.at < before.micros()) {
        let ends = match EventKind::from_code(row.kind) {
            Some(EventKind::Delivered | EventKind::Failed | EventKind::Cancelled) => OUTBOUND,
            Some(EventKind::Received | EventKind::Replied) => INBOUND,
            _ => "",
        };
        seq = Some(row.seq);
        if ends == cursor {
            keys.push(MessageKey(row.message_key));
        }
        if keys.len() >= limit {
            break;
        }
    }
    let more = seq.is_some() && (rows.len() == STRETCH || rows.last().map(|row| row.seq) != seq);
    let young = seq.is_none_or(|seq| {
        let next = rows.iter().find(|row| row.seq > seq);
        next.is_some_and(|row| row.at >= before.micros())
    });
    Step {
        retire: seq.map(|seq| Retire::Bodies { cursor, keys, seq }),
        next: seq.filter(|_| more && !young),
    }
}

/// Rows before a moment, whatever they are.
fn old(rows: &[(i64, i64)], limit: usize, before: At, step: fn(Vec<i64>) -> Retire) -> Step {
    let old = rows.iter().take_while(|(_, at)| *at < before.micros());
    let old: Vec<i64> = old.map(|(seq, _)| *seq).collect();
    let next = old.last().copied().filter(|_| old.len() >= limit);
    Step { retire: (!old.is_empty()).then(|| step(old)), next }
}

/// Up to which transfer there is something to sum. What is one sum per kind already is not.
fn to_be_summed(rows: &[AgedRow], before: At) -> Option<i64> {
    let old = || rows.iter().take_while(|row| row.at < before.micros());
    let kinds: std::collections::HashSet<i64> = old().map(|row| row.kind).collect();
    old().last().filter(|_| old().count() > kinds.len()).map(|row| row.seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: At = At(1_700_000_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn message(key: i64, status: Status, days: u32) -> AgedMessage {
        let at = NOW.minus(DAY * days).micros();
        let external_id = Some(format!("00{key:X}"));
        let (status, sent_at) = (status.code(), Some(at));
        AgedMessage { key, status, created_at: at, sent_at, carrier_id: 1, external_id }
    }

    #[test]
    fn only_old_messages_that_are_over_go() {
        let rows = [
            message(1, Status::Delivered, 40),
            message(2, Status::Queued, 40),
            message(3, Status::Scheduled, 40),
            message(4, Status::Sent, 40),
            message(5, Status::Sent, 20),
            message(6, Status::Received, 20),
            message(171, Status::Failed, 11),
            message(172, Status::Failed, 9),
        ];
        let step = old_messages(&rows, rows.len(), DAY * 10, NOW);
        let Some(Retire::Messages { gone, sent_before }) = step.retire else { panic!() };
        assert_eq!(gone.iter().map(|g| g.key.0).collect::<Vec<_>>(), [1, 4, 6, 171]);
        assert_eq!(gone[3].first_part.as_deref(), Some("ab"));
        assert_eq!(sent_before, NOW.minus(RECEIPT_WAIT_MAX));
        assert_eq!(step.next, None, "it ended young");
        let all_old = old_messages(&rows[..7], 7, DAY * 10, NOW);
        assert_eq!(all_old.next, Some(171));
        assert_eq!(old_messages(&rows[..7], 8, DAY * 10, NOW).next, None, "no more rows");
        assert_eq!(old_messages(&rows[1..3], 2, DAY * 10, NOW).retire, None);
    }

    #[test]
    fn only_old_calls_that_are_over_go() {
        let call = |key, created_at, ended_at| AgedCall { key, created_at, ended_at };
        let rows =
            [call(1, 1, Some(2)), call(2, 2, None), call(3, 3, Some(9)), call(4, 5, Some(6))];
        let step = old_calls(&rows, 4, At(5));
        let keys = vec![MessageKey(1), MessageKey(3)];
        assert_eq!((step.retire, step.next), (Some(Retire::Calls(keys)), None));
        assert_eq!(old_calls(&rows[..3], 3, At(5)).next, Some(3));
        assert_eq!(old_calls(&rows[1..2], 1, At(5)).retire, None);
    }

    fn line(seq: i64, kind: EventKind, at: i64) -> AgedLine {
        AgedLine { seq, at, kind: kind.code(), message_key: seq * 10 }
    }

    fn keys(step: &Step) -> Vec<i64> {
        match &step.retire {
            Some(Retire::Bodies { keys, .. }) => keys.iter().map(|key| key.0).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn bodies_go_with_the_end_of_their_direction_and_no_line_is_skipped() {
        let rows = [
            line(1, EventKind::Created, 1),
            line(2, EventKind::Delivered, 2),
            line(3, EventKind::Received, 3),
            line(4, EventKind::Failed, 4),
            line(5, EventKind::Cancelled, 9),
        ];
        let step = ended(&rows, OUTBOUND, 10, At(5));
        assert_eq!((keys(&step), step.next), (vec![20, 40], None));
        assert!(matches!(step.retire, Some(Retire::Bodies { seq: 4, .. })));
        assert_eq!(keys(&ended(&rows, INBOUND, 10, At(5))), [30]);
        let limited = ended(&rows, OUTBOUND, 1, At(5));
        assert_eq!((keys(&limited), limited.next), (vec![20], Some(2)));
        let young = ended(&rows, OUTBOUND, 10, At(1));
        assert!(young.retire.is_none() && young.next.is_none());
        assert!(ended(&[], OUTBOUND, 10, At(5)).next.is_none());
        let many: Vec<_> = (0..STRETCH as i64).map(|n| line(n, EventKind::Sent, 1)).collect();
        assert_eq!(ended(&many, OUTBOUND, 10, At(5)).next, Some(STRETCH as i64 - 1));
    }

    #[test]
    fn sums_are_not_summed_again() {
        let row = |seq, kind| AgedRow { seq, at: seq, kind };
        let rows = [row(1, 1), row(2, 2), row(3, 3), row(4, 2)];
        assert_eq!(to_be_summed(&rows, At(5)), Some(4));
        assert_eq!(to_be_summed(&rows, At(4)), None, "one of each kind");
        assert_eq!(to_be_summed(&[], At(4)), None);
    }

    #[test]
    fn rows_go_while_they_are_old() {
        let rows = [(1, 1), (2, 2), (3, 3)];
        let step = old(&rows, 3, At(3), Retire::Lines);
        assert_eq!((step.retire, step.next), (Some(Retire::Lines(vec![1, 2])), None));
        assert_eq!(old(&rows, 3, At(9), Retire::Lines).next, Some(3));
        assert!(old(&rows, 3, At(1), Retire::Lines).retire.is_none());
    }
}
