//! A queue driven by hand: order, windows, retries, expiry, health.

use model::event::EventKind;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);
const T0: At = At(1_700_000_000_000_000);
const NONE: [i64; 0] = [];
const FAILED: Verdict = Verdict::Failed { retry_after: None };

fn later(seconds: u64) -> At {
    T0.plus(Duration::from_secs(seconds))
}

fn plan() -> Plan {
    Plan { in_flight_max: 3, window: 6, pending_max: 8, ..Plan::default() }
}

fn queue() -> Queue {
    Queue::new(Arc::new(plan()), false, 0, None, Vec::new())
}

fn line(seq: i64, message: i64) -> Arc<LoggedRow> {
    Arc::new(LoggedRow {
        seq,
        organization_id: 1,
        message_key: message,
        kind: EventKind::Sent.code(),
        status: 3,
        at: T0.micros(),
        detail: None,
        sequence: 1,
        id: None,
        direction: None,
        to_addr: None,
        from_addr: None,
        body: None,
        segments: None,
        created_at: None,
        test_mode: None,
        metadata: None,
        batch_id: None,
        external_id: None,
        status_reason: None,
        error_code: None,
        carrier_error: None,
        webhook_url: None,
    })
}

fn take(queue: &mut Queue, lines: &[(i64, i64)]) {
    for (seq, message) in lines {
        queue.take(PublicId::of_row(T0, *seq), line(*seq, *message), "");
    }
}

fn sent(queue: &mut Queue, now: At) -> Vec<i64> {
    std::iter::from_fn(|| queue.next(now)).map(|item| item.seq).collect()
}

fn end(queue: &mut Queue, seq: i64, verdict: Verdict, now: At) {
    queue.ended(seq, verdict, None, now, 0.5);
}

fn states(report: &Report) -> Vec<(i64, DeliveryState)> {
    report.deliveries.iter().map(|delivery| (delivery.seq, delivery.state)).collect()
}

#[test]
fn the_next_event_of_a_message_waits_for_the_one_before() {
    let mut queue = queue();
    take(&mut queue, &[(1, 7), (2, 7), (3, 8), (4, 7)]);
    assert_eq!(sent(&mut queue, T0), [1, 3]);
    end(&mut queue, 3, Verdict::Delivered, T0);
    assert_eq!(sent(&mut queue, T0), NONE);
    end(&mut queue, 1, Verdict::Delivered, T0);
    assert_eq!(sent(&mut queue, T0), [2]);
    end(&mut queue, 2, Verdict::Delivered, T0);
    assert_eq!(sent(&mut queue, T0), [4]);
}

#[test]
fn the_cursor_passes_only_what_is_done_or_a_row() {
    let mut queue = queue();
    take(&mut queue, &[(1, 1), (2, 2), (5, 5)]);
    queue.pass(9);
    sent(&mut queue, T0);
    end(&mut queue, 2, Verdict::Delivered, T0);
    let report = queue.report();
    assert_eq!((report.cursor, states(&report)), (0, vec![(2, DeliveryState::Delivered)]));
    end(&mut queue, 1, FAILED, T0);
    let report = queue.report();
    assert_eq!((report.cursor, states(&report)), (4, vec![(1, DeliveryState::Pending)]));
    end(&mut queue, 5, Verdict::Delivered, T0);
    assert_eq!(queue.report().cursor, 9);
    assert!(!queue.has_news() && !queue.has_moved());
}

#[test]
fn a_report_that_was_not_stored_is_made_again() {
    let mut queue = queue();
    take(&mut queue, &[(1, 1)]);
    sent(&mut queue, T0);
    end(&mut queue, 1, FAILED, T0);
    let lost = queue.report();
    queue.unreport(lost);
    let again = queue.report();
    assert_eq!((again.cursor, states(&again)), (1, vec![(1, DeliveryState::Pending)]));
}

#[test]
fn behind_one_that_failed_the_others_become_rows_and_spend_no_attempts() {
    let mut queue = queue();
    take(&mut queue, &[(1, 7), (2, 7)]);
    assert_eq!(sent(&mut queue, T0), [1]);
    end(&mut queue, 1, FAILED, T0);
    take(&mut queue, &[(3, 7)]);
    let report = queue.report();
    let waiting = DeliveryState::Pending;
    assert_eq!(states(&report), [(1, waiting), (2, waiting), (3, waiting)]);
    let attempts: Vec<i64> = report.deliveries.iter().map(|d| d.attempts).collect();
    assert_eq!((report.cursor, attempts), (3, vec![1, 0, 0]));
    assert_eq!(sent(&mut queue, later(59)), NONE);
    assert_eq!(queue.wake_at(), Some(later(60)));
    assert_eq!(sent(&mut queue, later(60)), [1]);
    end(&mut queue, 1, Verdict::Delivered, later(60));
    assert_eq!(sent(&mut queue, later(60)), [2]);
}

#[test]
fn after_the_last_attempt_an_event_is_dead_and_the_next_goes() {
    let mut queue = queue();
    take(&mut queue, &[(1, 7), (2, 7)]);
    let mut now = T0;
    for attempt in 1..=7 {
        assert_eq!(sent(&mut queue, now), [1], "attempt {attempt}");
        end(&mut queue, 1, FAILED, now);
        now = now.plus(24 * HOUR);
        if attempt < 7 {
            // The age limit is not the subject here.
            queue.items.get_mut(&1).unwrap().expires = At(i64::MAX);
        }
    }
    let report = queue.report();
    let dead = report.deliveries.iter().rfind(|d| d.seq == 1).unwrap();
    assert_eq!(
        (dead.state, dead.attempts, dead.reason),
        (DeliveryState::Dead, 7, Some("attempts"))
    );
    assert_eq!(sent(&mut queue, now), [2]);
    assert_eq!(queue.take_dead(), 1);
}

#[test]
fn what_is_too_old_is_dead_without_another_attempt() {
    let mut queue = queue();
    take(&mut queue, &[(1, 7), (2, 8)]);
    assert_eq!(sent(&mut queue, T0), [1, 2]);
    end(&mut queue, 1, FAILED, T0);
    let late = T0.plus(72 * HOUR);
    queue.expire(late);
    let report = queue.report();
    let dead = report.deliveries.last().unwrap();
    assert_eq!((dead.seq, dead.state, dead.reason), (1, DeliveryState::Dead, Some("expired")));
    assert!(queue.items.contains_key(&2), "what is under way may still arrive");
    take(&mut queue, &[(3, 9)]);
    queue.expire(late);
    assert_eq!(sent(&mut queue, late), NONE);
}

#[test]
fn a_target_that_keeps_failing_gets_one_request_at_a_time_with_rests() {
    let mut queue = queue();
    take(&mut queue, &[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)]);
    for round in [[1, 2, 3], [4, 5, 6]] {
        assert_eq!(sent(&mut queue, T0), round);
        round.iter().for_each(|seq| end(&mut queue, *seq, FAILED, T0));
    }
    take(&mut queue, &[(7, 7), (8, 8)]);
    assert_eq!(sent(&mut queue, later(59)), NONE, "six failures in a row");
    assert_eq!(queue.wake_at(), Some(later(60)));
    let probe = sent(&mut queue, later(61));
    assert_eq!(probe, [7], "one, and the oldest that is due");
    end(&mut queue, 7, FAILED, later(61));
    assert_eq!(sent(&mut queue, later(119)), NONE);
    let probe = sent(&mut queue, later(122));
    assert_eq!(probe.len(), 1);
    end(&mut queue, probe[0], Verdict::Delivered, later(122));
    assert_eq!(sent(&mut queue, later(122)).len(), 3, "all is well again");
}

#[test]
fn an_endpoint_that_asks_for_time_gets_it() {
    let mut queue = queue();
    take(&mut queue, &[(1, 1), (2, 2)]);
    assert_eq!(queue.next(T0).map(|item| item.seq), Some(1));
    let asked = Verdict::Failed { retry_after: Some(Duration::from_secs(600)) };
    end(&mut queue, 1, asked, T0);
    assert_eq!(sent(&mut queue, later(599)), NONE);
    assert_eq!(sent(&mut queue, later(600)), [2, 1]);
}

#[test]
fn an_endpoint_is_disabled_by_410_and_by_days_of_failures_only() {
    let mut queue = queue();
    take(&mut queue, &[(1, 1), (2, 2)]);
    sent(&mut queue, T0);
    end(&mut queue, 1, Verdict::Gone, T0);
    assert_eq!(queue.take_disable(), Some(GONE));
    assert_eq!(states(&queue.report()), [(1, DeliveryState::Pending)]);

    let since = Some(T0);
    let mut queue = Queue::new(Arc::new(plan()), false, 0, since, Vec::new());
    take(&mut queue, &[(1, 1), (2, 2), (3, 3)]);
    sent(&mut queue, T0);
    end(&mut queue, 1, FAILED, later(5 * 24 * 3_600 - 1));
    assert_eq!(queue.take_disable(), None);
    end(&mut queue, 2, Verdict::Delivered, later(5 * 24 * 3_600));
    end(&mut queue, 3, FAILED, later(5 * 24 * 3_600 + 1));
    assert_eq!(queue.take_disable(), None, "one success begins the count anew");
    let mut queue = Queue::new(Arc::new(plan()), false, 0, since, Vec::new());
    take(&mut queue, &[(1, 1)]);
    sent(&mut queue, T0);
    end(&mut queue, 1, FAILED, later(5 * 24 * 3_600));
    assert_eq!(queue.take_disable(), Some(FAILING));
}

#[test]
fn reading_stops_where_the_window_or_the_rows_are_full() {
    let mut queue = queue();
    take(&mut queue, &[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
    assert!(queue.has_room());
    take(&mut queue, &[(6, 6)]);
    assert!(!queue.has_room());
    sent(&mut queue, T0);
    end(&mut queue, 1, FAILED, T0);
    assert!(queue.has_room());
    let pending = (10..18).map(|seq| PendingRow {
        seq,
        public_id: vec![1; 16],
        message_key: seq,
        kind: 4,
        attempts: 1,
        due_at: later(9).micros(),
        expires_at: later(999).micros(),
        webhook_url: None,
    });
    queue.restore(pending.collect(), |_| Arc::from(""));
    assert!(!queue.has_room());
}

#[test]
fn a_new_life_sends_again_what_waits_and_skips_what_was_done() {
    let mut queue = Queue::new(Arc::new(plan()), false, 1, None, vec![3]);
    let row = |seq| PendingRow {
        seq,
        public_id: vec![1; 16],
        message_key: 7,
        kind: 4,
        attempts: 2,
        due_at: T0.micros(),
        expires_at: later(999).micros(),
        webhook_url: None,
    };
    queue.restore(vec![row(1), row(4)], |_| Arc::from(""));
    take(&mut queue, &[(1, 7), (2, 8), (3, 9), (4, 7), (5, 7)]);
    assert_eq!(sent(&mut queue, T0), [1, 2]);
    end(&mut queue, 1, Verdict::Delivered, T0);
    assert_eq!(sent(&mut queue, T0), [4]);
    queue.restore(vec![row(1)], |_| Arc::from(""));
    assert!(!queue.items.contains_key(&1), "an old row of what is done and not stored yet");
}

#[test]
fn a_dead_host_of_one_callback_holds_no_other_up() {
    let mut queue = Queue::new(Arc::new(plan()), true, 0, None, Vec::new());
    for seq in 1..=4 {
        queue.take(PublicId::of_row(T0, seq), line(seq, seq), "https://dead");
    }
    queue.take(PublicId::of_row(T0, 5), line(5, 5), "https://well");
    let mut going = sent(&mut queue, T0);
    going.sort_unstable();
    assert_eq!(going, [1, 2, 3, 5]);
    end(&mut queue, 1, Verdict::Gone, T0);
    assert_eq!(queue.take_disable(), None);
    let report = queue.report();
    assert_eq!(states(&report), [(1, DeliveryState::Dead)]);
}
