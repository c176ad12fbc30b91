//! What answers add up to.

use model::carrier::{MessageKey, OrgId};
use model::message::{Category, Encoding};
use model::money::Micros;
use proto_smpp::split::Concat;

use super::*;
use crate::smpp::profile::{Doubt, Endpoint, Link, Retry, Timers};
use crate::smpp::quirks::Quirks;
use crate::smpp::translate::Dialect;

fn profile() -> Profile {
    let second = Duration::from_secs(1);
    Profile {
        name: Arc::from("test"),
        endpoint: Endpoint::Tcp { host: String::new(), port: 0, tls: None, only: None },
        system_id: String::new(),
        password: String::new(),
        system_type: String::new(),
        connections: 1,
        window: 10,
        tps: 0,
        concat: Concat::Udh8,
        dialect: Dialect::STANDARD,
        validity_period: true,
        organization: None,
        vendor_statuses: &[],
        receipt_timeout: second,
        timers: Timers {
            enquire_link: second,
            response: second,
            write: second,
            bind: second,
            reconnect_min: second,
            reconnect_max: second,
            locked_out: second,
            already_bound: second,
            inbound_window: 1,
        },
        retry: Retry { attempts: 3, base: second, throttled_for: Duration::from_secs(600) },
        doubt: Doubt {
            wait: Duration::from_secs(60),
            tries: 3,
            otp: WhenInDoubt::Resend,
            transactional: WhenInDoubt::Resend,
            service: WhenInDoubt::Resend,
            marketing: WhenInDoubt::GiveUp,
        },
        link: Link::default(),
        quirks: Quirks::default(),
        made_of: [0; 32],
    }
}

fn flight(segments: u8, attempts: i64, category: Category) -> Flight {
    let job = Job {
        key: MessageKey(1),
        organization: OrgId(1),
        category,
        encoding: Encoding::Gsm7,
        segments,
        unit_price: Micros(1),
        from_ton: 5,
        test: false,
        pool: None,
        attempts,
        throttled: None,
        tried: Default::default(),
        created_at: At(0),
        due_at: At(0),
        expires_at: At(i64::MAX),
        place: 1,
        to: String::new(),
        from: String::new(),
        body: String::new(),
        submitted: None,
    };
    let mut flight = Flight::new(Arc::new(job), usize::from(segments), At(0));
    flight.waiting = std::mem::take(&mut flight.unsent);
    flight
}

fn acked(id: &str) -> Answer {
    Answer::Acked { id: id.to_owned(), raw: id.to_owned() }
}

fn refused(status: u32) -> Answer {
    Answer::Refused(CommandStatus(status))
}

#[test]
fn all_parts_acked_is_sent() {
    let mut flight = flight(2, 0, Category::Transactional);
    assert!(flight.note(1, acked("b")));
    assert!(flight.is_open());
    assert!(flight.note(0, acked("a")));
    assert!(!flight.is_open());
    let Outcome::Sent { parts, external_id } = flight.conclude(&profile(), At(9)).outcome else {
        panic!("not sent")
    };
    assert_eq!(external_id, "a");
    assert_eq!(parts.len(), 2);
}

#[test]
fn a_repeated_answer_changes_nothing() {
    let mut flight = flight(1, 0, Category::Transactional);
    assert!(flight.note(0, acked("a")));
    assert!(!flight.note(0, refused(0x0B)));
    assert!(!flight.note(31, acked("z")));
    assert!(matches!(flight.conclude(&profile(), At(9)).outcome, Outcome::Sent { .. }));
}

#[test]
fn three_tries_and_then_it_failed() {
    for (attempts, rest) in [(0, 1), (1, 2)] {
        let mut flight = flight(1, attempts, Category::Transactional);
        flight.note(0, refused(0x08));
        let Outcome::Retry { due_at, attempts: next, .. } =
            flight.conclude(&profile(), At(0)).outcome
        else {
            panic!("no retry")
        };
        assert_eq!((due_at, next), (At(rest * 1_000_000), attempts + 1));
    }
    let mut flight = flight(1, 2, Category::Transactional);
    flight.note(0, refused(0x08));
    let Outcome::Ended { status, error, submitted, .. } =
        flight.conclude(&profile(), At(0)).outcome
    else {
        panic!("not ended")
    };
    assert_eq!((status, error), (Status::Failed, Some(MessageError::NetworkError)));
    assert_eq!(submitted, 0);
}

#[test]
fn a_throttling_carrier_is_tried_for_ten_minutes() {
    let throttled = |since: i64, times: i64| {
        let mut flight = flight(1, 1, Category::Transactional);
        let mut job = Job::clone(&flight.job);
        job.throttled = Some((At(since), times));
        flight.job = Arc::new(job);
        flight
    };
    let mut first = flight(1, 1, Category::Transactional);
    first.note(0, refused(0x58));
    let outcome = first.conclude(&profile(), At(3_600_000_000)).outcome;
    let Outcome::Retry { due_at, attempts, .. } = outcome else { panic!("no retry") };
    assert_eq!((due_at, attempts), (At(3_601_000_000), 1), "a long queue is no throttling");
    let mut busy = throttled(0, 30);
    busy.note(0, refused(0x58));
    let conclusion = busy.conclude(&profile(), At(599_000_000));
    assert!(conclusion.throttled);
    let Outcome::Retry { due_at, .. } = conclusion.outcome else { panic!("no retry") };
    assert_eq!(due_at, At(659_000_000));
    let mut late = throttled(0, 30);
    late.note(0, refused(0x58));
    let outcome = late.conclude(&profile(), At(600_000_000)).outcome;
    assert!(matches!(outcome, Outcome::Ended { error: Some(MessageError::Throttled), .. }));
}

#[test]
fn what_was_sent_before_a_refusal_is_charged() {
    let mut flight = flight(3, 0, Category::Transactional);
    flight.note(0, acked("a"));
    flight.note(1, refused(0x0B));
    flight.note(2, acked("c"));
    let Outcome::Ended { status, submitted, parts, .. } =
        flight.conclude(&profile(), At(0)).outcome
    else {
        panic!("not ended")
    };
    assert_eq!((status, submitted, parts.len()), (Status::Rejected, 2, 2));
}

#[test]
fn no_answer_is_doubt_and_a_code_does_not_wait() {
    for (category, wait) in [(Category::Otp, 0), (Category::Marketing, 60)] {
        let mut flight = flight(1, 0, category);
        assert_eq!(flight.lose(), 1);
        assert!(!flight.is_open());
        let outcome = flight.conclude(&profile(), At(0)).outcome;
        let Outcome::InDoubt { due_at } = outcome else { panic!("no doubt: {outcome:?}") };
        assert_eq!(due_at, At(wait * 1_000_000));
    }
}

#[test]
fn what_was_never_sent_goes_back_without_a_try_counted() {
    let mut flight = flight(1, 1, Category::Transactional);
    flight.note(0, Answer::NotSent);
    assert!(flight.is_open(), "it could go to another bind");
    let outcome = flight.conclude(&profile(), At(7)).outcome;
    assert!(matches!(outcome, Outcome::Retry { due_at: At(7), attempts: 1, .. }));
}

#[test]
fn a_message_of_32_parts_fits_its_mask() {
    assert_eq!(mask(1), 1);
    assert_eq!(mask(10), 0x3ff);
    assert_eq!(mask(32), u32::MAX);
    assert_eq!(mask(99), u32::MAX);
}

#[test]
fn what_no_bind_had_expires_and_costs_nothing() {
    let mut flight = flight(2, 0, Category::Transactional);
    let mut job = Job::clone(&flight.job);
    job.expires_at = At(10);
    flight.job = Arc::new(job);
    assert!(!flight.expire(At(10)), "a bind has it");
    flight.unsent = std::mem::take(&mut flight.waiting);
    assert!(!flight.expire(At(9)), "it is valid");
    assert!(flight.expire(At(10)));
    assert!(!flight.expire(At(11)), "it ends already");
    let outcome = flight.conclude(&profile(), At(10)).outcome;
    let Outcome::Ended { status, error, submitted, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((status, error, submitted), (Status::Expired, Some(MessageError::Expired), 0));
}

#[test]
fn what_is_in_doubt_is_not_sent_again_after_its_validity() {
    let mut job = Job::clone(&flight(1, 0, Category::Otp).job);
    job.expires_at = At(10);
    let doubtful = Doubtful { job: Arc::new(job), epoch: 1, since: At(0), left: 1 };
    let resends = |now| {
        let outcome = doubtful.resolve(&profile(), now);
        matches!(outcome, Outcome::Resolve { resend: true, .. })
    };
    assert!(resends(At(9)) && !resends(At(10)));
}

#[test]
fn what_was_taken_in_part_and_refused_is_for_this_carrier_alone() {
    for (status, takes, expected) in
        [(0x58, true, true), (0x08, true, true), (0x58, false, false), (0x08, false, false)]
    {
        let mut flight = flight(2, 0, Category::Transactional);
        flight.note(0, if takes { acked("a") } else { refused(status) });
        flight.note(1, refused(status));
        let outcome = flight.conclude(&profile(), At(0)).outcome;
        let Outcome::Retry { stays, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(stays, expected, "{status}");
    }
}

#[test]
fn the_lowest_bits_go_first() {
    assert_eq!(lowest(0b1011_0100, 2), 0b0001_0100);
    assert_eq!(lowest(0b1, 5), 0b1);
    assert_eq!(lowest(u32::MAX, 32), u32::MAX);
    assert_eq!(lowest(0, 1), 0);
}
