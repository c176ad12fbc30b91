//! Who goes next, and that nothing is forgotten or doubled between memory and store.

use model::carrier::MessageKey;
use model::clock::At;
use model::message::{Category, Encoding};
use model::money::Micros;

use super::*;

fn job(key: i64, organization: i64, category: Category) -> Job {
    Job {
        key: MessageKey(key),
        organization: OrgId(organization),
        category,
        encoding: Encoding::Gsm7,
        segments: 1,
        unit_price: Micros(0),
        from_ton: 5,
        test: false,
        pool: None,
        attempts: 0,
        throttled: None,
        tried: Default::default(),
        created_at: At(0),
        due_at: At(0),
        expires_at: At(i64::MAX),
        place: key,
        to: String::new(),
        from: String::new(),
        body: String::new(),
        submitted: None,
    }
}

fn bulk(key: i64, organization: i64) -> Job {
    job(key, organization, Category::Marketing)
}

fn keys(jobs: &[Arc<Job>]) -> Vec<i64> {
    jobs.iter().map(|job| job.key.0).collect()
}

#[test]
fn one_time_codes_go_first() {
    let mut backlog = Backlog::new(100, 1_000);
    backlog.announce(bulk(1, 1));
    backlog.announce(job(2, 1, Category::Otp));
    assert_eq!(keys(&backlog.next(10)), [2, 1]);
    assert_eq!(backlog.in_memory(), 0);
}

#[test]
fn a_crowd_of_one_tenant_does_not_delay_anothers_single_message() {
    let mut backlog = Backlog::new(10_000, 100_000);
    for key in 1..=5_000 {
        backlog.announce(bulk(key, 1));
    }
    backlog.announce(bulk(5_001, 2));
    let first = backlog.next(20);
    assert!(keys(&first).contains(&5_001), "{:?}", keys(&first));
}

#[test]
fn tenants_take_turns_by_parts_not_by_messages() {
    let mut backlog = Backlog::new(100, 1_000);
    for key in 0..10 {
        let mut long = bulk(100 + key, 1);
        long.segments = 8;
        backlog.announce(long);
        backlog.announce(bulk(200 + key, 2));
    }
    let first = backlog.next(QUANTUM + 10);
    let long = first.iter().filter(|job| job.organization == OrgId(1)).count();
    assert_eq!(long, QUANTUM / 8);
}

#[test]
fn what_does_not_fit_is_read_later_and_nothing_twice() {
    let mut backlog = Backlog::new(4, 1_000);
    for key in 1..=10 {
        backlog.announce(bulk(key, 1));
    }
    assert_eq!(backlog.in_memory(), 4);
    assert!(backlog.loads().is_empty(), "no room yet");
    assert_eq!(keys(&backlog.next(3)), [1, 2, 3]);
    let load = backlog.loads()[0];
    assert_eq!((load.after, load.limit), (4, 3));
    assert!(backlog.loads().is_empty(), "one read at a time");
    backlog.announce(bulk(11, 1));
    backlog.loaded(load, vec![bulk(5, 1), bulk(6, 1), bulk(7, 1)], At(1));
    assert_eq!(keys(&backlog.next(10)), [4, 5, 6, 7]);
    let load = backlog.loads()[0];
    let rest = (8..=11).map(|key| bulk(key, 1)).collect();
    backlog.loaded(load, rest, At(1));
    backlog.announce(bulk(11, 1));
    assert_eq!(keys(&backlog.next(10)), [8, 9, 10, 11]);
    // As many rows as asked for may mean more of them: one more read says that there are none.
    let load = backlog.loads()[0];
    backlog.loaded(load, Vec::new(), At(1));
    backlog.announce(bulk(12, 1));
    assert_eq!(keys(&backlog.next(10)), [12]);
    assert!(backlog.loads().is_empty());
}

#[test]
fn a_row_committed_after_the_read_is_read_again() {
    let mut backlog = Backlog::new(4, 1_000);
    backlog.stored(1, OrgId(1));
    let load = backlog.loads()[0];
    backlog.announce(bulk(9, 1));
    backlog.loaded(load, vec![bulk(8, 1)], At(1));
    let load = backlog.loads()[0];
    assert_eq!(load.after, 8);
    backlog.loaded(load, vec![bulk(9, 1)], At(1));
    assert_eq!(keys(&backlog.next(10)), [8, 9]);
    assert!(backlog.loads().is_empty());
}

#[test]
fn rows_for_later_are_given_back() {
    let mut backlog = Backlog::new(4, 1_000);
    backlog.stored(1, OrgId(1));
    let load = backlog.loads()[0];
    let mut resting = bulk(3, 1);
    resting.due_at = At(50);
    let later = backlog.loaded(load, vec![resting], At(10));
    assert_eq!(keys(&later), [3]);
    assert!(backlog.next(9).is_empty());
    backlog.again(later[0].clone());
    assert_eq!(keys(&backlog.next(9)), [3]);
}

#[test]
fn a_failed_read_is_asked_for_again() {
    let mut backlog = Backlog::new(4, 1_000);
    backlog.stored(0, OrgId(1));
    let load = backlog.loads()[0];
    backlog.load_failed(load);
    assert_eq!(backlog.loads(), [load]);
}

#[test]
fn memory_is_bounded_over_all_tenants() {
    let mut backlog = Backlog::new(100, 50);
    for organization in 1..=10 {
        for key in 1..=20 {
            backlog.announce(bulk(key, organization));
        }
    }
    assert_eq!(backlog.in_memory(), 50);
    assert_eq!(backlog.next(1_000).len(), 50);
    let asked: usize = backlog.loads().iter().map(|load| load.limit).sum();
    assert!(asked <= 50);
}

#[test]
fn what_comes_before_the_store_was_read_hides_no_older_row() {
    let mut backlog = Backlog::new(4, 1_000).unread();
    backlog.announce(bulk(7, 1));
    assert!(backlog.next(9).is_empty(), "older ones go first");
    backlog.stored(1, OrgId(1));
    backlog.read_out();
    let load = backlog.loads()[0];
    assert_eq!(load.after, 0);
    backlog.loaded(load, vec![bulk(3, 1), bulk(7, 1)], At(0));
    backlog.announce(bulk(8, 1));
    assert_eq!(keys(&backlog.next(9)), [3, 7, 8]);
}

/// A message that was accepted early and fired late.
fn fired(key: i64, place: i64) -> Job {
    Job { place, ..bulk(key, 1) }
}

#[test]
fn a_fired_message_is_taken_though_its_key_is_old() {
    let mut backlog = Backlog::new(100, 1_000);
    backlog.announce(bulk(50, 1));
    backlog.announce(fired(3, 60));
    backlog.announce(bulk(70, 1));
    assert_eq!(keys(&backlog.next(10)), [50, 3, 70]);
}

#[test]
fn a_fired_message_that_does_not_fit_is_read_at_its_place() {
    let mut backlog = Backlog::new(2, 1_000);
    for job in [bulk(50, 1), bulk(51, 1), fired(3, 60), bulk(70, 1)] {
        backlog.announce(job);
    }
    assert_eq!(keys(&backlog.next(2)), [50, 51]);
    let load = backlog.loads()[0];
    assert_eq!(load.after, 51);
    backlog.loaded(load, vec![fired(3, 60), bulk(70, 1)], At(0));
    assert_eq!(keys(&backlog.next(10)), [3, 70]);
    // Read already when its announcement comes.
    backlog.announce(fired(3, 60));
    assert!(backlog.next(10).is_empty());
}

#[test]
fn what_expired_is_taken_out_wherever_it_stands() {
    let mut backlog = Backlog::new(100, 1_000);
    for (key, expires_at) in [(1, 30), (2, 10), (3, 20)] {
        backlog.announce(Job { expires_at: At(expires_at), ..bulk(key, key) });
    }
    assert_eq!(backlog.soonest(), At(10));
    assert!(backlog.expired(At(9), 10).is_empty());
    assert_eq!(keys(&backlog.expired(At(20), 10)), [2, 3]);
    assert_eq!((backlog.in_memory(), backlog.soonest()), (1, At(30)));
    assert_eq!(keys(&backlog.next(10)), [1]);
    assert!(backlog.expired(At(40), 10).is_empty());
    assert_eq!(backlog.soonest(), At(i64::MAX));
}

#[test]
fn no_more_expired_jobs_are_taken_than_asked_for() {
    let mut backlog = Backlog::new(100, 1_000);
    for key in 1..=5 {
        backlog.announce(Job { expires_at: At(1), ..bulk(key, 1) });
    }
    assert_eq!(backlog.expired(At(1), 3).len(), 3);
    assert_eq!(backlog.expired(At(1), 3).len(), 2);
}

#[test]
fn rows_that_are_gone_are_forgotten() {
    let mut backlog = Backlog::new(100, 1_000);
    for key in 1..=3 {
        backlog.announce(bulk(key, 1));
        backlog.announce(bulk(10 + key, 2));
    }
    let rows = [2, 13, 99].map(|key| bulk(key, if key == 2 { 1 } else { 2 }));
    let carrier = model::carrier::CarrierId(1);
    backlog.remove(&rows.map(|job| job.row(carrier)));
    assert_eq!(backlog.in_memory(), 4);
    let mut left = keys(&backlog.next(10));
    left.sort_unstable();
    assert_eq!(left, [1, 3, 11, 12]);
}

#[test]
fn each_look_begins_where_the_last_one_ended() {
    let mut backlog = Backlog::new(100, 1_000);
    for key in 1..=10 {
        backlog.announce(bulk(key, 1));
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        let taken = backlog.take_if(4, |job| {
            seen.push(job.key.0);
            job.key.0 == 9
        });
        assert_eq!(taken.len(), usize::from(seen.contains(&9)));
    }
    assert_eq!(seen, (1..=10).collect::<Vec<_>>(), "each was looked at once");
    seen.clear();
    backlog.take_if(4, |job| {
        seen.push(job.key.0);
        false
    });
    assert_eq!(seen, [1, 2, 3, 4], "and then again from the front");
    assert_eq!(backlog.in_memory(), 9);
    assert_eq!(keys(&backlog.next(20)), [1, 2, 3, 4, 5, 6, 7, 8, 10], "in their order");
}

#[test]
fn an_organization_with_nothing_here_is_forgotten_and_comes_back() {
    let mut backlog = Backlog::new(4, 1_000);
    for organization in 1..=50 {
        backlog.announce(bulk(organization, organization));
    }
    assert_eq!(backlog.next(100).len(), 50);
    backlog.passed(&bulk(60, 1));
    assert!(backlog.is_empty() && backlog.classes.iter().all(|class| class.flows.is_empty()));
    for key in 61..=66 {
        backlog.announce(bulk(key, 1));
    }
    assert_eq!(keys(&backlog.next(10)), [61, 62, 63, 64]);
    assert!(!backlog.is_empty(), "two wait in the store");
    let load = backlog.loads()[0];
    assert!(!backlog.is_empty(), "and are being read");
    assert_eq!(load.after, 64);
    backlog.loaded(load, vec![bulk(65, 1), bulk(66, 1)], At(1));
    assert_eq!(keys(&backlog.next(10)), [65, 66]);
    assert!(backlog.is_empty() && backlog.classes.iter().all(|class| class.flows.is_empty()));
}

#[test]
fn a_row_read_ahead_of_its_announcement_is_not_forgotten() {
    let mut backlog = Backlog::new(4, 1_000);
    backlog.stored(1, OrgId(1));
    let load = backlog.loads()[0];
    backlog.loaded(load, vec![bulk(8, 1), bulk(9, 1)], At(1));
    assert_eq!(keys(&backlog.next(10)), [8, 9]);
    backlog.announce(bulk(8, 1));
    backlog.announce(bulk(9, 1));
    assert!(backlog.next(10).is_empty() && backlog.is_empty(), "neither goes twice");
}

#[test]
fn who_was_forgotten_is_read_from_where_it_came_back() {
    let mut backlog = Backlog::new(4, 4);
    backlog.announce(bulk(1, 1));
    assert_eq!(keys(&backlog.next(10)), [1]);
    for key in 2..=5 {
        backlog.announce(bulk(key, 2));
    }
    // One that was put back goes first, and says nothing of what waits in the store.
    backlog.again(Arc::new(bulk(1, 1)));
    backlog.announce(bulk(10, 1));
    assert_eq!(backlog.next(10).len(), 5);
    let load = backlog.loads()[0];
    assert_eq!((load.organization, load.after), (OrgId(1), 9));
}
