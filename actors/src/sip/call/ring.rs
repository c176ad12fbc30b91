//! Whom a call rings, and for how long: round after round, all of a round at once, until one answers or
//! none is left.
//!
//! Pure: it is told what became of each leg and says which to dial and which to give up. The first that
//! answers wins and all others are given up. Of a lane one rings at a time. Carriers for a number are a lane
//! that hunts: one that cannot take a call (503, 408, nothing at all in four seconds, and no ringing before) gives
//! way to the next; any other answer of a carrier is the answer, and so is that nobody picks up: the next
//! carrier would ring the same telephone once more. When nobody answers, the best refusal is passed on, RFC
//! 3261 §16.7.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proto_sip::StatusCode;
use proto_sip::leg::Cause;

/// Legs that one call dials in its life.
pub(super) const LEGS_MAX: u8 = 48;
/// A carrier that has said nothing for so long is not there.
const SILENCE: Duration = Duration::from_secs(4);

/// Those that ring together.
#[derive(Clone, Debug)]
pub(super) struct Round<T> {
    pub lanes: Vec<Lane<T>>,
    /// How long each may ring.
    pub ring: Duration,
}

/// One that is rung, or several ways to it.
#[derive(Clone, Debug)]
pub(super) struct Lane<T> {
    ways: VecDeque<T>,
    /// The next way is for when one is not there, or cannot.
    hunts: bool,
}

impl<T> Lane<T> {
    #[must_use]
    pub(super) fn of(way: T) -> Self {
        Self { ways: [way].into(), hunts: false }
    }

    #[must_use]
    pub(super) fn hunting(ways: Vec<T>) -> Self {
        Self { ways: ways.into(), hunts: true }
    }
}

/// The cause of who is given up because nothing came from there: network out of order.
pub(super) const SILENT: u16 = 38;

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish<T> {
    Dial {
        leg: u8,
        target: T,
    },
    GiveUp {
        leg: u8,
        cause: Cause,
    },
    /// Nobody is left.
    Over(Outcome),
}

/// Why nobody answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub status: StatusCode,
    pub cause: Cause,
    pub retry_after_s: Option<u32>,
}

#[derive(Debug)]
struct Attempt<T> {
    leg: u8,
    /// What is left of its lane.
    rest: Lane<T>,
    /// It has said anything.
    heard: bool,
    /// It rings, or did: whoever is called knows of it.
    rang: bool,
    silence_at: Instant,
    until: Instant,
}

/// The rounds of one call.
#[derive(Debug)]
pub(super) struct Ring<T> {
    rounds: VecDeque<Round<T>>,
    ring: Duration,
    live: Vec<Attempt<T>>,
    next_leg: u8,
    best: Option<Outcome>,
    done: bool,
}

impl Outcome {
    #[must_use]
    pub(super) fn of(status: StatusCode) -> Self {
        Self { status, cause: Cause::default(), retry_after_s: None }
    }

    /// Less is better to pass on.
    fn rank(&self) -> u16 {
        match self.status.get() {
            code @ 600.. => code - 600,
            486 => 100,
            408 => 350,
            code @ 400..500 => 200 + (code - 400),
            503 => 500,
            code => code,
        }
    }
}

impl<T> Attempt<T> {
    /// A carrier that has not said anything.
    fn is_silent(&self) -> bool {
        self.rest.hunts && !self.heard
    }

    fn due(&self) -> Instant {
        if self.is_silent() { self.silence_at.min(self.until) } else { self.until }
    }
}

impl<T> Ring<T> {
    /// Rounds to go through; legs are numbered from `first_leg` on.
    #[must_use]
    pub(super) fn new(rounds: Vec<Round<T>>, first_leg: u8) -> Self {
        Self {
            rounds: rounds.into(),
            ring: Duration::ZERO,
            live: Vec::new(),
            next_leg: first_leg,
            best: None,
            done: false,
        }
    }

    /// Goes on where there is somebody to dial and nobody to wait for.
    pub(super) fn begin(&mut self, now: Instant, out: &mut Vec<Wish<T>>) {
        self.go_on(now, out);
    }

    /// A leg was heard of: it is there.
    pub(super) fn heard(&mut self, leg: u8) {
        if let Some(attempt) = self.live.iter_mut().find(|attempt| attempt.leg == leg) {
            attempt.heard = true;
        }
    }

    /// It rings there.
    pub(super) fn rang(&mut self, leg: u8) {
        if let Some(attempt) = self.live.iter_mut().find(|attempt| attempt.leg == leg) {
            (attempt.heard, attempt.rang) = (true, true);
        }
    }

    /// A leg has the call: all others are given up. `false`: it came too late.
    pub(super) fn answered(&mut self, leg: u8, out: &mut Vec<Wish<T>>) -> bool {
        if self.done || !self.live.iter().any(|attempt| attempt.leg == leg) {
            return false;
        }
        self.live.retain(|attempt| attempt.leg != leg);
        let cause = Cause {
            sip: Some(200),
            words: Some("Call completed elsewhere".to_owned()),
            ..Cause::default()
        };
        self.stop(&cause, out);
        true
    }

    /// A leg is over without an answer.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        leg: u8,
        outcome: Outcome,
        out: &mut Vec<Wish<T>>,
    ) {
        let gives_way = matches!(outcome.status.get(), 408 | 503);
        self.over(now, leg, (outcome, gives_way), out);
    }

    fn over(
        &mut self,
        now: Instant,
        leg: u8,
        (outcome, gives_way): (Outcome, bool),
        out: &mut Vec<Wish<T>>,
    ) {
        let Some(at) = self.live.iter().position(|attempt| attempt.leg == leg) else { return };
        let attempt = self.live.remove(at);
        if self.done {
            return;
        }
        self.note(outcome);
        if attempt.rest.hunts && gives_way && !attempt.rang {
            self.dial(now, attempt.rest, out);
        }
        self.go_on(now, out);
    }

    /// The call is not wanted any more.
    pub(super) fn stop(&mut self, cause: &Cause, out: &mut Vec<Wish<T>>) {
        self.done = true;
        self.rounds.clear();
        let live = self.live.drain(..);
        out.extend(live.map(|attempt| Wish::GiveUp { leg: attempt.leg, cause: cause.clone() }));
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Wish<T>>) {
        let late = self.live.iter().filter(|attempt| attempt.due() <= now);
        let late: Vec<(u8, bool)> = late.map(|late| (late.leg, late.is_silent())).collect();
        for (leg, silent) in late {
            let status =
                if silent { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::REQUEST_TIMEOUT };
            out.push(Wish::GiveUp { leg, cause: Cause::q850(if silent { SILENT } else { 19 }) });
            self.over(now, leg, (Outcome::of(status), silent), out);
        }
    }

    #[must_use]
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.live.iter().map(Attempt::due).min()
    }

    /// The number of the next leg.
    #[must_use]
    pub(super) fn next_leg(&self) -> u8 {
        self.next_leg
    }

    /// Legs that ring.
    #[must_use]
    pub(super) fn live(&self) -> usize {
        self.live.len()
    }

    fn note(&mut self, outcome: Outcome) {
        if self.best.as_ref().is_none_or(|best| outcome.rank() < best.rank()) {
            self.best = Some(outcome);
        }
    }

    fn go_on(&mut self, now: Instant, out: &mut Vec<Wish<T>>) {
        while self.live.is_empty() && !self.done {
            let Some(round) = self.rounds.pop_front() else { return self.give_up(out) };
            self.ring = round.ring;
            for lane in round.lanes {
                self.dial(now, lane, out);
            }
        }
    }

    /// The next way of a lane, if there is one.
    fn dial(&mut self, now: Instant, mut lane: Lane<T>, out: &mut Vec<Wish<T>>) {
        let leg = self.next_leg;
        let Some(target) = lane.ways.pop_front().filter(|_| leg < LEGS_MAX) else { return };
        self.next_leg += 1;
        self.live.push(Attempt {
            leg,
            rest: lane,
            heard: false,
            rang: false,
            silence_at: now + SILENCE,
            until: now + self.ring,
        });
        out.push(Wish::Dial { leg, target });
    }

    fn give_up(&mut self, out: &mut Vec<Wish<T>>) {
        self.done = true;
        let none = || Outcome::of(StatusCode::TEMPORARILY_UNAVAILABLE);
        let mut outcome = self.best.take().unwrap_or_else(none);
        // Who rang and was not answered is not there; to the caller that is no timeout of its request.
        if outcome.status == StatusCode::REQUEST_TIMEOUT {
            outcome = Outcome { cause: Cause::q850(19), ..none() };
        }
        out.push(Wish::Over(outcome));
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::*;

    struct Bench {
        ring: Ring<char>,
        start: Instant,
        out: Vec<Wish<char>>,
    }

    /// Rounds by the letters of their targets; a lane that hunts is written `a>b`, after those that do not.
    fn bench(rounds: &[&str]) -> Bench {
        let round = |targets: &&str| {
            let hunts = targets.contains('>');
            let (alone, ways) = if hunts {
                targets.split_once(' ').unwrap_or(("", targets))
            } else {
                (*targets, "")
            };
            let mut lanes: Vec<_> = alone.chars().map(Lane::of).collect();
            if hunts {
                lanes.push(Lane::hunting(ways.chars().filter(|way| *way != '>').collect()));
            }
            Round { lanes, ring: Duration::from_secs(60) }
        };
        let start = Instant::now();
        let mut ring = Ring::new(rounds.iter().map(round).collect(), 1);
        let mut out = Vec::new();
        ring.begin(start, &mut out);
        Bench { ring, start, out }
    }

    impl Bench {
        fn dialled(&mut self) -> String {
            let dialled = self.out.drain(..).filter_map(|wish| match wish {
                Wish::Dial { target, .. } => Some(target),
                _ => None,
            });
            dialled.collect()
        }

        fn fail(&mut self, leg: u8, status: u16) {
            let outcome = Outcome::of(StatusCode::new(status).unwrap());
            self.ring.failed(self.start, leg, outcome, &mut self.out);
        }

        fn at(&mut self, seconds: u64) {
            self.ring.tick(self.start + Duration::from_secs(seconds), &mut self.out);
        }

        fn over(&mut self) -> Option<u16> {
            self.out.drain(..).find_map(|wish| match wish {
                Wish::Over(outcome) => Some(outcome.status.get()),
                _ => None,
            })
        }
    }

    #[test]
    fn the_first_that_answers_has_the_call_and_the_others_are_given_up() {
        let mut bench = bench(&["abc"]);
        assert_eq!(bench.dialled(), "abc");
        assert!(bench.ring.answered(2, &mut bench.out));
        let given_up: Vec<u8> = bench
            .out
            .drain(..)
            .map(|wish| match wish {
                Wish::GiveUp { leg, .. } => leg,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(given_up, [1, 3]);
        assert!(!bench.ring.answered(3, &mut bench.out));
        bench.fail(3, 487);
        assert!(bench.out.is_empty() && bench.ring.deadline().is_none());
    }

    #[test]
    fn the_best_refusal_is_passed_on() {
        let mut together = bench(&["abc"]);
        for (leg, status) in [(1, 503), (2, 486)] {
            together.fail(leg, status);
            assert_ne!(together.over(), Some(status));
        }
        together.fail(3, 480);
        assert_eq!(together.over(), Some(486));
        let mut declined = bench(&["ab"]);
        declined.fail(1, 486);
        declined.fail(2, 603);
        assert_eq!(declined.over(), Some(603));
        assert_eq!(bench(&[]).over(), Some(480));
    }

    #[test]
    fn those_in_turn_ring_one_after_the_other() {
        let mut bench = bench(&["a", "b", "c"]);
        assert_eq!(bench.dialled(), "a");
        bench.at(60);
        assert!(matches!(bench.out[0], Wish::GiveUp { leg: 1, .. }));
        assert_eq!(bench.dialled(), "b");
        bench.fail(2, 603);
        assert_eq!(bench.dialled(), "c");
        bench.fail(3, 408);
        assert_eq!(bench.over(), Some(603));
    }

    #[test]
    fn a_carrier_that_cannot_gives_way_and_one_that_will_not_does_not() {
        let mut hunt = bench(&["a>b>c>d"]);
        assert_eq!(hunt.dialled(), "a");
        hunt.fail(1, 503);
        assert_eq!(hunt.dialled(), "b");
        hunt.at(3);
        assert!(hunt.out.is_empty());
        hunt.at(4);
        assert_eq!(hunt.dialled(), "c");
        hunt.ring.heard(3);
        hunt.at(30);
        assert!(hunt.out.is_empty());
        hunt.fail(3, 486);
        assert_eq!(hunt.over(), Some(486));
    }

    #[test]
    fn no_carrier_rings_whom_another_has_rung() {
        let mut nobody = bench(&["a>b>c"]);
        assert_eq!(nobody.dialled(), "a");
        nobody.ring.rang(1);
        nobody.at(60);
        assert!(matches!(nobody.out[0], Wish::GiveUp { leg: 1, .. }));
        assert_eq!(nobody.over(), Some(480));
        // The carrier's own word for it; or it was heard and rang nobody.
        let mut said = bench(&["a>b>c"]);
        said.ring.rang(1);
        said.fail(1, 408);
        assert_eq!(said.over(), Some(480));
        let mut tried = bench(&["a>b"]);
        tried.ring.heard(1);
        tried.at(60);
        assert_eq!(tried.over(), Some(480));
    }

    #[test]
    fn a_carrier_gives_way_while_others_ring_and_its_answer_ends_its_lane_alone() {
        let mut group = bench(&["a b>c", "d"]);
        assert_eq!(group.dialled(), "ab");
        group.at(4);
        assert!(matches!(group.out[0], Wish::GiveUp { leg: 2, .. }));
        assert_eq!(group.dialled(), "c");
        group.fail(3, 486);
        assert!(group.out.is_empty(), "a rings on");
        group.at(60);
        assert_eq!(group.dialled(), "d");
        group.fail(4, 480);
        assert_eq!(group.over(), Some(486));
    }

    #[test]
    fn a_call_dials_so_many_legs_and_no_more() {
        let mut bench = bench(&["x"; 100]);
        for leg in 1..200 {
            bench.fail(leg, 486);
        }
        let dialled = bench.out.iter().filter(|w| matches!(w, Wish::Dial { .. })).count();
        assert_eq!(dialled, usize::from(LEGS_MAX) - 1);
        assert_eq!(bench.over(), Some(486));
    }
}
