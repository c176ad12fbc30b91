//! Months of numbers over kills: each is charged once, wherever the process was when it died.

use std::time::Duration;

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::money::Micros;
use model::number::NumberType;
use store::lane::{Admin, AdminDone, NewNumber, NumberChange, NumberDone, Work};
use store::{Lane, Options, Store, TransferKind};

use crate::world::{World, wait_until};

const NUMBERS: usize = 1_500;
const MONTHS: usize = 3;
const PRICE: Micros = Micros(1_000);
const AT_ONCE: usize = 500;

async fn lane(store: &Store) -> Lane {
    store.lane(|_| Vec::new(), true).await.expect("a lane")
}

async fn administer(lane: &mut Lane, admin: Vec<Admin>) -> Vec<AdminDone> {
    lane.commit(&Work { admin, ..Work::default() }).await.expect("it is stored").admin
}

/// Numbers that were bought somewhat more than three months ago, by a switch that was away since.
async fn bought(store: &Store, organization: OrgId) {
    let mut lane = lane(store).await;
    let at = At::now().minus(Duration::from_secs(95 * 86_400));
    let numbers: Vec<String> = (0..NUMBERS).map(|n| format!("+1415{:07}", 5_000_000 + n)).collect();
    for some in numbers.chunks(AT_ONCE) {
        let new = |e164: &String| NewNumber {
            id: PublicId::new(At::now()),
            e164: e164.clone(),
            country_code: String::from("US"),
            area_code: None,
            number_type: NumberType::Local,
            capabilities: String::from("[\"voice\"]"),
            sms_two_way: true,
            provider: String::from("manual"),
            monthly_cost: PRICE,
        };
        let buy = |e164: &String| NumberChange::Buy {
            organization,
            e164: e164.clone(),
            label: String::new(),
            compliance_profile_id: None,
            at,
        };
        let stock = NumberChange::Stock(some.iter().map(new).collect());
        let changes = std::iter::once(stock).chain(some.iter().map(buy));
        let admin = changes.map(|change| Admin::Number(Box::new(change))).collect();
        let done = administer(&mut lane, admin).await;
        let all = done.iter().skip(1);
        let is_bought = |done: &AdminDone| matches!(done, AdminDone::Number(NumberDone::Bought(_)));
        assert!(all.into_iter().all(is_bought), "{done:?}");
    }
}

/// The months in the ledger; each is there once, and the books agree.
async fn charged(store: &Store, organization: OrgId) -> usize {
    assert_eq!(store.imbalances().await.expect("the books"), []);
    let most = i64::try_from(2 * NUMBERS * (MONTHS + 1)).expect("small");
    let transfers = store.transfers(organization, i64::MAX, most).await.expect("the ledger");
    let rentals = transfers.iter().filter(|t| t.kind == TransferKind::NumberRental.code());
    let notes: Vec<_> = rentals.map(|rental| rental.note.as_deref()).collect();
    let once: std::collections::HashSet<_> = notes.iter().collect();
    assert_eq!(once.len(), notes.len(), "a month was charged twice");
    notes.len()
}

#[tokio::test]
async fn months_that_are_over_are_charged_once_each_whatever_is_killed() {
    let mut world = World::new("renewals");
    world.set("numbers.renew_sweep_s", "1");
    let org = world.org("Landlord", "1000").await;
    let data = world.scratch.file("data").join("orbit.db");
    let url = format!("sqlite://{}", data.display());
    let store = Store::open(Options::new(&url)).await.expect("the database");
    let organization = store.organizations(10).await.expect("a list").remove(0).id;
    let organization = OrgId(organization);
    bought(&store, organization).await;
    assert_eq!(charged(&store, organization).await, NUMBERS);
    store.close().await;

    let left = 1_000_000_000 - PRICE.0 * i64::try_from(NUMBERS * (1 + MONTHS)).expect("small");
    let mut kills = 0;
    let mut before = NUMBERS;
    loop {
        world.serve().await;
        let mut http = world.http(&org.key);
        let known = http.balance().await;
        // In the middle of it, unless nothing is left.
        let goes_on = async || {
            let balance = http.balance().await;
            balance != known || balance.0 == left
        };
        let goes_on = wait_until(goes_on).await;
        assert!(goes_on, "nothing is charged: {}", world.last_words());
        world.kill();
        kills += 1;
        let store = Store::open(Options::new(&url)).await.expect("the database");
        let now = charged(&store, organization).await;
        store.close().await;
        assert!(now >= before);
        if now == NUMBERS * (1 + MONTHS) {
            break;
        }
        assert!(kills < 60, "{now} after {kills} kills");
        before = now;
    }
    world.serve().await;
    let mut http = world.http(&org.key);
    assert!(kills > 1, "it was over before the first");
    assert_eq!(http.balance().await, (left, 0));
}
