//! Months of numbers: each charged once whatever happens, waited for, and what becomes of the unpaid.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;
use model::money::Micros;
use model::renewal::Patience;
use store::lane::{Admin, AdminDone, NumberChange, NumberDone, RenewNumbers, Renewed, Work};
use store::{Lane, LogFilter, NumberRow, Store, TransferKind};

use crate::world::{World, each, readings};

const DAY: Duration = Duration::from_secs(86_400);
const NUMBER: &str = "+14155550100";
const PRICE: i64 = 400_000;

fn at(text: &str) -> At {
    At::parse(text).unwrap()
}

fn renew(at: At) -> Admin {
    let patience = Patience { grace: DAY * 7, suspended: DAY * 23 };
    let asked = RenewNumbers { at, patience, parked: DAY * 30 };
    Admin::Number(Box::new(NumberChange::Renew(asked)))
}

fn top_up(organization: OrgId, amount: i64) -> Admin {
    Admin::TopUp { organization, amount: Micros(amount), note: String::from("more") }
}

/// The months that the ledger knows, oldest first.
async fn months(store: &Store, organization: OrgId) -> Vec<(i64, String)> {
    let transfers = store.transfers(organization, i64::MAX, 2_000).await.unwrap();
    let rentals = transfers.into_iter().filter(|t| t.kind == TransferKind::NumberRental.code());
    let mut months: Vec<_> = rentals.map(|t| (t.amount, t.note.unwrap())).collect();
    months.reverse();
    months
}

impl World {
    async fn bought_at(&mut self, organization: OrgId, e164: &str, at: At) -> PublicId {
        let label = String::new();
        let e164 = e164.to_owned();
        let compliance_profile_id = None;
        let buy = NumberChange::Buy { organization, e164, label, compliance_profile_id, at };
        match self.numbered(buy).await {
            NumberDone::Bought(id) => id,
            other => panic!("{other:?}"),
        }
    }

    async fn renewed(&mut self, at: At) -> Renewed {
        match self.admin(renew(at)).await {
            AdminDone::Number(NumberDone::Renewed(renewed)) => renewed,
            other => panic!("{other:?}"),
        }
    }

    /// Until nothing is due; so many sweeps.
    async fn caught_up(&mut self, at: At) -> usize {
        let mut sweeps = 1;
        let mut known = months(&self.store, self.organization).await.len();
        loop {
            let more = self.renewed(at).await.more;
            let charged = months(&self.store, self.organization).await.len();
            if !more && charged == known {
                return sweeps;
            }
            (known, sweeps) = (charged, sweeps + 1);
        }
    }

    async fn bought_row(&self, id: PublicId) -> NumberRow {
        self.store.number(self.organization, id).await.unwrap().unwrap()
    }

    /// What was told of numbers, oldest first.
    async fn told_of_numbers(&self) -> Vec<(EventKind, String)> {
        let filter = LogFilter::new(&EventKind::matching("number.*"));
        let rows = self.store.log_page(self.organization, &filter, i64::MAX, 100).await.unwrap();
        let mut told: Vec<_> = rows
            .into_iter()
            .map(|row| (EventKind::from_code(row.kind).unwrap(), row.detail.unwrap()))
            .collect();
        told.reverse();
        told
    }
}

#[tokio::test]
async fn months_are_the_calendars_and_each_is_charged_once_after_a_long_pause() {
    each(async |mut world| {
        let own = world.organization;
        world.admin(top_up(own, 9_000_000)).await;
        world.stocked_at(Micros(PRICE), &[NUMBER]).await;
        let id = world.bought_at(own, NUMBER, at("2026-01-31T10:00:00Z")).await;
        assert_eq!(world.bought_row(id).await.next_billing_at, Some(at("2026-02-28T10:00:00Z").0));
        world.caught_up(at("2026-02-28T09:59:59Z")).await;
        assert_eq!(world.wallet().await, (10_000_000 - PRICE, 0), "the month is not over");
        assert_eq!(world.told_of_numbers().await, []);

        // Three months later.
        let late = at("2026-05-30T00:00:00Z");
        world.caught_up(late).await;
        let charged = months(&world.store, own).await;
        let notes: Vec<_> = charged.iter().map(|(_, note)| &note[..21]).collect();
        let expected = ["first month of +14155", "month from 2026-02-28", "month from 2026-03-31"];
        assert_eq!(notes[..3], expected);
        assert_eq!((notes.len(), notes[3]), (4, "month from 2026-04-30"));
        assert_eq!(world.bought_row(id).await.next_billing_at, Some(at("2026-05-31T10:00:00Z").0));
        assert_eq!(world.wallet().await, (10_000_000 - 4 * PRICE, 0));
        let told = world.told_of_numbers().await;
        assert!(told.iter().all(|(kind, _)| *kind == EventKind::NumberRenewed), "{told:?}");
        assert_eq!(told.len(), 3);
        assert!(told[2].1.contains("\"next_billing_at\":\"2026-05-31T10:00:00.000Z\""), "{told:?}");
        assert_eq!(world.renewed(late).await, Renewed::default());

        // A row that was put back: its months are known, and none is charged again.
        world.run("update numbers set next_billing_at = assigned_at, renew_at = assigned_at").await;
        for _ in 0..5 {
            world.renewed(late).await;
        }
        assert_eq!(world.bought_row(id).await.next_billing_at, Some(at("2026-05-31T10:00:00Z").0));
        assert_eq!(world.wallet().await, (10_000_000 - 4 * PRICE, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_not_paid_is_suspended_comes_back_by_a_top_up_or_is_taken_back() {
    each(async |mut world| {
        let own = world.organization;
        world.stocked_at(Micros(PRICE), &[NUMBER]).await;
        let id = world.bought_at(own, NUMBER, at("2026-01-01T00:00:00Z")).await;
        world.renewed(at("2026-02-01T00:00:00Z")).await;
        let left = 1_000_000 - 2 * PRICE;
        assert_eq!(world.wallet().await, (left, 0));

        let due = at("2026-03-01T00:00:00Z");
        assert_eq!(world.renewed(due).await, Renewed::default(), "calls do not notice");
        world.renewed(due.plus(Duration::from_secs(7_200))).await;
        let row = world.bought_row(id).await;
        assert_eq!((row.status, row.unpaid_since), (2, Some(due.0)));
        assert_eq!(row.next_billing_at, Some(due.0));
        let changed = vec![NUMBER.to_owned()];
        let suspended = world.renewed(at("2026-03-08T00:00:00Z")).await;
        assert_eq!(suspended, Renewed { more: false, changed: changed.clone() });
        assert_eq!(world.store.number_route(NUMBER).await.unwrap().unwrap().status, 4);
        assert_eq!(world.store.number_routes(0, 9).await.unwrap().len(), 0, "a start knows");
        assert_eq!(world.renewed(at("2026-03-20T00:00:00Z")).await, Renewed::default());
        assert_eq!(world.wallet().await, (left, 0), "nothing is taken in part");

        world.admin(top_up(own, PRICE - left)).await;
        let back = world.renewed(at("2026-03-20T00:00:01Z")).await;
        assert_eq!(back, Renewed { more: false, changed: changed.clone() });
        let row = world.bought_row(id).await;
        assert_eq!((row.status, row.unpaid_since), (2, None));
        assert_eq!(row.next_billing_at, Some(at("2026-04-01T00:00:00Z").0));
        assert_eq!(world.wallet().await, (0, 0));

        for day in ["2026-04-01", "2026-04-08", "2026-04-30"] {
            world.renewed(at(&format!("{day}T12:00:00Z"))).await;
        }
        assert_eq!(world.bought_row(id).await.status, 4);
        assert_eq!(world.renewed(at("2026-05-01T12:00:00Z")).await, Renewed::default());
        let row = world.bought_row(id).await;
        assert_eq!((row.status, row.next_billing_at, row.unpaid_since), (3, None, None));
        assert_eq!(row.parked_until, Some(at("2026-05-31T12:00:00Z").0));
        let told = world.told_of_numbers().await;
        let kinds: Vec<_> = told.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds,
            [
                EventKind::NumberRenewed,
                EventKind::NumberRenewalFailed,
                EventKind::NumberSuspended,
                EventKind::NumberRenewed,
                EventKind::NumberRenewalFailed,
                EventKind::NumberSuspended,
                EventKind::NumberReleased,
            ]
        );
        assert!(told[1].1.contains("\"suspends_at\":\"2026-03-08T00:00:00.000Z\""), "{told:?}");
        assert!(told[2].1.contains("\"releases_at\":\"2026-03-31T00:00:00.000Z\""), "{told:?}");
        assert!(told[6].1.contains("\"reason\":\"unpaid\""), "{told:?}");
        for (_, detail) in &told {
            assert!(serde_json::from_str::<serde_json::Value>(detail).is_ok(), "{detail}");
        }
        assert_eq!(months(&world.store, own).await.len(), 3);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_balance_for_one_pays_for_one() {
    each(async |mut world| {
        let own = world.organization;
        world.stocked_at(Micros(PRICE), &[NUMBER, "+14155550101"]).await;
        let first = world.bought_at(own, NUMBER, at("2026-01-01T00:00:00Z")).await;
        let second = world.bought_at(own, "+14155550101", at("2026-01-02T00:00:00Z")).await;
        world.admin(top_up(own, 2 * PRICE - 1 - 200_000)).await;
        world.renewed(at("2026-02-03T00:00:00Z")).await;
        assert_eq!(world.wallet().await, (PRICE - 1, 0));
        assert_eq!(world.bought_row(first).await.unpaid_since, None);
        assert!(world.bought_row(second).await.unpaid_since.is_some());

        // What is released of a message is there an hour later.
        world.run("update wallets set available = available + 1").await;
        world.run("update ledger set amount = amount + 1 where note = 'more'").await;
        world.renewed(at("2026-02-03T00:30:00Z")).await;
        assert!(world.bought_row(second).await.unpaid_since.is_some());
        world.renewed(at("2026-02-03T01:00:00Z")).await;
        assert_eq!(world.bought_row(second).await.unpaid_since, None);
        assert_eq!(world.wallet().await, (0, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn what_costs_nothing_is_renewed_and_leaves_no_line_in_the_ledger() {
    each(async |mut world| {
        let (poor, _) = world.organization_with(Micros(0)).await;
        world.organization = poor;
        world.stocked_at(Micros(0), &[NUMBER]).await;
        let id = world.bought_at(poor, NUMBER, at("2026-01-31T00:00:00Z")).await;
        world.renewed(at("2026-02-28T00:00:00Z")).await;
        world.renewed(at("2026-03-31T00:00:00Z")).await;
        let row = world.bought_row(id).await;
        assert_eq!((row.status, row.unpaid_since), (2, None));
        assert_eq!(row.next_billing_at, Some(at("2026-04-30T00:00:00Z").0));
        assert_eq!(months(&world.store, poor).await, []);
        assert_eq!(world.told_of_numbers().await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_is_given_back_or_not_to_be_renewed_is_not_charged() {
    each(async |mut world| {
        let own = world.organization;
        world.stocked_at(Micros(PRICE), &[NUMBER, "+14155550101"]).await;
        let bought = at("2026-01-01T00:00:00Z");
        let given_back = world.bought_at(own, NUMBER, bought).await;
        let ends = world.bought_at(own, "+14155550101", bought).await;
        let left = world.wallet().await;
        let park = NumberChange::Park { organization: own, id: given_back, grace: DAY };
        assert_eq!(world.numbered(park).await, NumberDone::Stored);
        let end = |auto_renew| NumberChange::AutoRenew { organization: own, id: ends, auto_renew };
        assert_eq!(world.numbered(end(true)).await, NumberDone::Stored);
        assert_eq!(world.numbered(end(false)).await, NumberDone::Stored);
        assert_eq!(world.renewed(at("2026-01-31T00:00:00Z")).await, Renewed::default());
        let renewed = world.renewed(at("2026-02-01T00:00:00Z")).await;
        assert_eq!(renewed.changed, ["+14155550101"]);
        assert_eq!(world.wallet().await, left);
        assert_eq!(
            (world.bought_row(given_back).await.status, world.bought_row(ends).await.status),
            (3, 3)
        );
        assert_eq!(world.numbered(end(true)).await, NumberDone::Unknown);
        let told = world.told_of_numbers().await;
        let reasons: Vec<bool> = ["requested", "not_renewed"]
            .iter()
            .zip(&told)
            .map(|(reason, (_, detail))| detail.contains(&format!("\"reason\":\"{reason}\"")))
            .collect();
        assert_eq!(reasons, [true, true], "{told:?}");
    })
    .await;
}

/// Whether a transaction was over before it was given up, which it is after so many waits.
async fn cut_short(lane: &mut Lane, work: &Work, waits: usize) -> bool {
    let mut commit = Box::pin(lane.commit(work));
    let mut left = waits;
    poll_fn(|cx| match commit.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done.is_ok()),
        Poll::Pending if left == 0 => Poll::Ready(false),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn a_sweep_that_is_cut_short_anywhere_charges_all_or_nothing_and_never_twice() {
    each(async |mut world| {
        let own = world.organization;
        let numbers: Vec<_> = (100..105).map(|n| format!("+14155550{n}")).collect();
        let all: Vec<&str> = numbers.iter().map(String::as_str).collect();
        world.stocked_at(Micros(PRICE), &all).await;
        world.admin(top_up(own, 1_000_000_000)).await;
        for number in &all {
            world.bought_at(own, number, at("2026-01-01T00:00:00Z")).await;
        }
        let mut paid = months(&world.store, own).await.len();
        let (mut waits, mut whole, mut due) = (0, 0, at("2026-02-01T00:00:00Z"));
        while whole < 3 {
            let work = Work { admin: vec![renew(due)], ..Work::default() };
            let over = cut_short(&mut world.lane, &work, waits).await;
            world.lane = world.store.lane(readings, false).await.unwrap();
            // Whoever comes after it does what is left, if anything is.
            world.renewed(due).await;
            assert_eq!(months(&world.store, own).await.len(), paid + all.len(), "{waits}");
            world.assert_books().await;
            (waits, whole, paid) = (waits + 1, whole + usize::from(over), paid + all.len());
            due = due.plus(DAY * 31);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sweeps_at_once_charge_each_month_once() {
    each(async |mut world| {
        let own = world.organization;
        world.admin(top_up(own, 1_000_000_000)).await;
        let numbers: Vec<_> = (100..350).map(|n| format!("+14155550{n}")).collect();
        let all: Vec<&str> = numbers.iter().map(String::as_str).collect();
        world.stocked_at(Micros(PRICE), &all).await;
        for number in &all {
            world.bought_at(own, number, at("2026-01-31T00:00:00Z")).await;
        }
        let late = at("2026-04-01T00:00:00Z");
        let mut lanes = Vec::new();
        for _ in 0..2 {
            let mut lane = world.store.lane(readings, false).await.unwrap();
            lanes.push(tokio::spawn(async move {
                let work = Work { admin: vec![renew(late)], ..Work::default() };
                for _ in 0..6 {
                    lane.commit(&work).await.unwrap();
                }
            }));
        }
        for lane in lanes {
            lane.await.unwrap();
        }
        world.caught_up(late).await;
        let charged = months(&world.store, own).await;
        assert_eq!(charged.len(), 3 * all.len());
        let notes: std::collections::HashSet<_> = charged.iter().map(|(_, note)| note).collect();
        assert_eq!(notes.len(), charged.len(), "each once");
        world.assert_books().await;
    })
    .await;
}
