//! `storm`: thousands of binds within seconds, half of them with a wrong password, while one bind
//! that was there before goes on submitting.
//!
//! Each right one must be let in and no wrong one; the bind that was there must see less than twice
//! the p99 of its calm time. A machine that makes five hundred connections a second is not calm,
//! whoever they are for: so the same storm first goes to a second switch, and what the bind feels of
//! that is its calm. The time without any storm is printed too. Right and wrong binds come from
//! different loopback addresses, as the lock-out goes by address.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::bench::Bench;
use crate::esme::{self, AREA, Door, Esme, Load, Notes, Told};
use crate::peer::smsc::SmscOptions;
use crate::switch::SwitchArgs;

/// An account has at most a thousand binds.
const PER_ACCOUNT: u32 = 1_000;
/// Addresses that binds come from, right ones and wrong ones each.
const ADDRESSES: u32 = 200;
const WARM_UP: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub(crate) struct StormArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(2..=9_000))]
    binds: u32,
    /// Over how long they are spread; the time alone is as long.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Submits a second of the bind that was there.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    #[command(flatten)]
    smsc: SmscOptions,
}

#[derive(Default)]
struct Fates {
    let_in: u32,
    wrong_let_in: u32,
    right_refused: u32,
    wrong_refused: u32,
    /// No answer to the bind.
    failed: u32,
    /// Kept until all is measured.
    bound: Vec<Esme>,
}

pub(crate) async fn run(args: StormArgs) -> Result<Option<Value>> {
    let mut bench = Bench::start("storm", &args.switch, &args.smsc, ("", "")).await?;
    let mut elsewhere =
        Bench::start("elsewhere", &args.switch.beside(), &args.smsc, ("", "")).await?;
    let steady = bench.account(&bench.switch.key, "steady", &json!({"window_size": 500})).await?;
    let doors = storm_doors(&bench, &args).await?;
    let doors_elsewhere = storm_doors(&elsewhere, &args).await?;
    let length = Duration::from_secs(args.seconds.into());
    let messages = args.rate * (4 * args.seconds + PATIENCE.as_secs() as u32);
    let load = Load { messages, window: 500, rate: args.rate, area: AREA };
    let notes = Rc::new(RefCell::new(Notes::new(load)));
    let driven = tokio::task::spawn_local(esme::drive(steady, Rc::clone(&notes)));
    tokio::time::sleep(WARM_UP).await;
    let answers = || notes.borrow_mut().take_latencies().0.summary();
    answers();
    tokio::time::sleep(length).await;
    let alone = answers();
    let fates_elsewhere = storm(&args, &doors_elsewhere).await?;
    let calm = answers();
    drop(fates_elsewhere.bound);
    elsewhere.switch.stop();
    tokio::time::sleep(WARM_UP).await;
    answers();
    let started = Instant::now();
    let fates = storm(&args, &doors).await?;
    let took = started.elapsed();
    let storm = answers();
    notes.borrow_mut().cut();
    let settled = settle(&notes).await;
    notes.borrow_mut().over = true;
    driven.await??;
    drop(fates.bound);
    bench.switch.stop();
    let notes = notes.borrow();
    let passed = settled
        && notes.refused.is_empty()
        && notes.unanswered == 0
        && fates.let_in == args.binds.div_ceil(2)
        && fates.wrong_refused == args.binds / 2
        && storm.p99_ms < 2.0 * calm.p99_ms;
    Ok(Some(json!({
        "scenario": "storm",
        "passed": passed,
        "store": args.switch.store_name(),
        "binds": args.binds,
        "seconds": took.as_secs_f64(),
        "let_in": fates.let_in,
        "wrong_let_in": fates.wrong_let_in,
        "right_refused": fates.right_refused,
        "wrong_refused": fates.wrong_refused,
        "without_answer": fates.failed,
        "submit_to_answer_alone": alone,
        "submit_to_answer_storm_elsewhere": calm,
        "submit_to_answer_storm": storm,
        "lost_answers": notes.unanswered,
        "receipts_missing": notes.without_receipt(),
    })))
}

/// The accounts that the storm binds as.
async fn storm_doors(bench: &Bench, args: &StormArgs) -> Result<Vec<Door>> {
    let mut doors = Vec::new();
    for number in 0..args.binds.div_ceil(2).div_ceil(PER_ACCOUNT) {
        let settings = json!({"max_binds": PER_ACCOUNT});
        doors.push(bench.account(&bench.switch.key, &format!("storm{number}"), &settings).await?);
    }
    Ok(doors)
}

/// One bind after the other, without waiting for the one before.
async fn storm(args: &StormArgs, doors: &[Door]) -> Result<Fates> {
    let step = Duration::from_secs(args.seconds.into()) / args.binds;
    let started = Instant::now();
    let mut binding = JoinSet::new();
    let mut fates = Fates::default();
    for number in 0..args.binds {
        tokio::time::sleep_until(started + step * number).await;
        let right = number % 2 == 0;
        let place = number / 2;
        let door = &doors[(place / PER_ACCOUNT) as usize];
        let host = (1 + place % ADDRESSES) as u8;
        let door = match right {
            true => door.from([127, 0, 1, host]),
            false => door.with_password("wrong").from([127, 0, 2, host]),
        };
        binding.spawn_local(async move { (right, door.bind().await) });
        while let Some(ended) = binding.try_join_next() {
            let (right, told) = ended?;
            fates.note(right, told);
        }
    }
    while let Some(ended) = binding.join_next().await {
        let (right, told) = ended?;
        fates.note(right, told);
        ensure!(started.elapsed() < PATIENCE, "binds without an end");
    }
    Ok(fates)
}

impl Fates {
    fn note(&mut self, right: bool, told: Result<Told>) {
        match (right, told) {
            (true, Ok(Told::Bound(esme))) => {
                self.let_in += 1;
                self.bound.push(esme);
            }
            (false, Ok(Told::Bound(_))) => self.wrong_let_in += 1,
            (true, Ok(Told::Refused(_))) => self.right_refused += 1,
            (false, Ok(Told::Refused(_))) => self.wrong_refused += 1,
            (_, Err(_)) => self.failed += 1,
        }
    }
}

/// Waits for the last answer and receipt.
pub(super) async fn settle(notes: &RefCell<Notes>) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if notes.borrow().is_settled() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}
