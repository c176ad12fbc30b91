//! Numbers: bought once, paid in the same transaction, kept from others for a while, one's own.

use std::time::Duration;

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::money::Micros;
use model::number::{NumberType, Routing};
use store::lane::{
    Admin, AdminDone, NewNumber, NewTrunk, NumberChange, NumberDone, NumberSettings, TrunkChange,
    TrunkDone, Work,
};
use store::{NumberFilter, StockFilter, TransferKind};

use crate::world::{World, each};

const DAY: Duration = Duration::from_secs(86_400);

impl World {
    pub(crate) async fn numbered(&mut self, change: NumberChange) -> NumberDone {
        match self.admin(Admin::Number(Box::new(change))).await {
            AdminDone::Number(done) => done,
            other => panic!("{other:?}"),
        }
    }

    async fn stocked(&mut self, numbers: &[&str]) -> NumberDone {
        self.stocked_at(Micros(400_000), numbers).await
    }

    pub(crate) async fn stocked_at(
        &mut self,
        monthly_cost: Micros,
        numbers: &[&str],
    ) -> NumberDone {
        let new = |e164: &&str| NewNumber {
            id: PublicId::new(At::now()),
            e164: (*e164).to_owned(),
            country_code: String::from("US"),
            area_code: Some(e164[2..5].to_owned()),
            number_type: NumberType::Local,
            capabilities: String::from("[\"sms\",\"voice\"]"),
            sms_two_way: true,
            provider: String::from("manual"),
            monthly_cost,
        };
        self.numbered(NumberChange::Stock(numbers.iter().map(new).collect())).await
    }

    async fn bought(&mut self, organization: OrgId, e164: &str) -> NumberDone {
        self.numbered(buy(organization, e164)).await
    }
}

fn buy(organization: OrgId, e164: &str) -> NumberChange {
    NumberChange::Buy {
        organization,
        e164: e164.to_owned(),
        label: String::from("Sales"),
        compliance_profile_id: None,
        at: At::now(),
    }
}

fn us() -> StockFilter {
    StockFilter { country: String::from("US"), ..StockFilter::default() }
}

#[tokio::test]
async fn a_number_is_bought_once_and_its_first_month_is_paid_with_it() {
    each(async |mut world| {
        let own = world.organization;
        assert_eq!(world.stocked(&["+14155550100", "+12125550101"]).await, NumberDone::Stocked(2));
        assert_eq!(world.stocked(&["+14155550100", "+14155550102"]).await, NumberDone::Stocked(1));
        let (other, _) = world.organization_with(Micros(399_999)).await;
        let price = Micros(400_000);
        assert_eq!(world.bought(other, "+14155550100").await, NumberDone::TooPoor { price });
        let NumberDone::Bought(id) = world.bought(own, "+14155550100").await else {
            panic!("not bought")
        };
        assert_eq!(world.bought(own, "+14155550100").await, NumberDone::NotAvailable);
        assert_eq!(world.bought(own, "+14155550199").await, NumberDone::NotAvailable);
        assert_eq!(world.wallet().await, (600_000, 0));
        let transfers = world.store.transfers(own, i64::MAX, 10).await.unwrap();
        assert_eq!(transfers[0].kind, TransferKind::NumberRental.code());
        assert_eq!(transfers[0].amount, 400_000);
        assert!(transfers[0].note.as_deref().unwrap().contains("+14155550100"));
        let row = world.store.number(own, id).await.unwrap().unwrap();
        assert_eq!((&*row.e164, row.status, &*row.label), ("+14155550100", 2, "Sales"));
        assert!(row.next_billing_at > row.assigned_at);

        // Two of one transaction: the second finds what the first has left.
        let both = vec![buy(own, "+12125550101"), buy(own, "+14155550102")];
        let admin = both.into_iter().map(|change| Admin::Number(Box::new(change))).collect();
        let done = world.commit(Work { admin, ..Work::default() }).await.admin;
        assert!(matches!(done[0], AdminDone::Number(NumberDone::Bought(_))), "{done:?}");
        assert_eq!(done[1], AdminDone::Number(NumberDone::TooPoor { price }));
        assert_eq!(world.wallet().await, (200_000, 0));
        world.assert_books().await;
        let left = world.store.stock(&us(), "", 10).await.unwrap();
        assert_eq!(left.iter().map(|row| &*row.e164).collect::<Vec<_>>(), ["+14155550102"]);
    })
    .await;
}

#[tokio::test]
async fn stock_is_searched_by_what_numbers_are() {
    each(async |mut world| {
        world.stocked(&["+14155550100", "+12125550101", "+14155550177"]).await;
        let found = async |filter: StockFilter, after: &str, limit| -> Vec<String> {
            let rows = world.store.stock(&filter, after, limit).await.unwrap();
            rows.into_iter().map(|row| row.e164).collect()
        };
        assert_eq!(found(us(), "", 2).await, ["+12125550101", "+14155550100"]);
        assert_eq!(found(us(), "+14155550100", 2).await, ["+14155550177"]);
        let area = StockFilter { area_code: Some(String::from("415")), ..us() };
        assert_eq!(found(area, "", 9).await.len(), 2);
        let contains = StockFilter { contains: Some(String::from("0177")), ..us() };
        assert_eq!(found(contains, "", 9).await, ["+14155550177"]);
        let percent = StockFilter { contains: Some(String::from("%")), ..us() };
        assert!(found(percent, "", 9).await.is_empty());
        let can = |list: &[&str]| StockFilter {
            capabilities: list.iter().map(|text| (*text).to_owned()).collect(),
            ..us()
        };
        assert_eq!(found(can(&["sms", "voice"]), "", 9).await.len(), 3);
        assert!(found(can(&["sms", "mms"]), "", 9).await.is_empty());
        let toll_free = StockFilter { number_type: NumberType::TollFree.code(), ..us() };
        assert!(found(toll_free, "", 9).await.is_empty());
        let counts = world.store.stock_counts(9).await.unwrap();
        assert_eq!((counts.len(), counts[0].numbers), (1, 3));
        let withdraw = NumberChange::Withdraw { e164: String::from("+14155550100") };
        assert_eq!(world.numbered(withdraw.clone()).await, NumberDone::Stored);
        assert_eq!(world.numbered(withdraw).await, NumberDone::Unknown);
    })
    .await;
}

#[tokio::test]
async fn a_number_given_back_is_kept_from_others_for_a_while() {
    each(async |mut world| {
        let own = world.organization;
        world.stocked(&["+14155550100"]).await;
        let NumberDone::Bought(id) = world.bought(own, "+14155550100").await else {
            panic!("not bought")
        };
        let park = |grace| NumberChange::Park { organization: own, id, grace };
        assert_eq!(world.numbered(park(Duration::ZERO)).await, NumberDone::Stored);
        assert_eq!(world.numbered(park(DAY)).await, NumberDone::Unknown, "it is not active");
        let row = world.store.number_route("+14155550100").await.unwrap().unwrap();
        assert_eq!((row.status, row.organization_id), (3, own.0));
        let (other, _) = world.organization_with(Micros(1_000_000)).await;
        assert_eq!(world.bought(other, "+14155550100").await, NumberDone::NotAvailable);
        world.commit(Work { forget_parked_before: Some(At(1)), ..Work::default() }).await;
        assert!(world.store.number(own, id).await.unwrap().is_none());
        assert!(matches!(world.bought(other, "+14155550100").await, NumberDone::Bought(_)));
        let row = world.store.number_route("+14155550100").await.unwrap().unwrap();
        assert_eq!((row.status, row.organization_id), (2, other.0));

        assert_eq!(world.stocked(&["+14155550101"]).await, NumberDone::Stocked(1));
        let NumberDone::Bought(id) = world.bought(own, "+14155550101").await else {
            panic!("not bought")
        };
        let park = NumberChange::Park { organization: own, id, grace: DAY };
        assert_eq!(world.numbered(park).await, NumberDone::Stored);
        world.commit(Work { forget_parked_before: Some(At(1)), ..Work::default() }).await;
        assert!(world.store.number(own, id).await.unwrap().is_some(), "its time is not over");
    })
    .await;
}

#[tokio::test]
async fn a_number_is_routed_and_a_trunk_that_it_names_stays() {
    each(async |mut world| {
        let own = world.organization;
        let (other, _) = world.organization_with(Micros(0)).await;
        world.stocked(&["+14155550100"]).await;
        let NumberDone::Bought(id) = world.bought(own, "+14155550100").await else {
            panic!("not bought")
        };
        let trunk_of = |organization| {
            let id = PublicId::new(At::now());
            let trunk =
                NewTrunk { name: String::from("t"), settings: String::from("{}"), disabled: false };
            (id, TrunkChange::Create { organization, id, trunk, password: None, most: 9 })
        };
        let ((trunk, create), (theirs, create_theirs)) = (trunk_of(own), trunk_of(other));
        for create in [create, create_theirs] {
            world.admin(Admin::Trunk(Box::new(create))).await;
        }
        let route = |organization, trunk, routing: Option<&Routing>| NumberChange::Route {
            organization,
            id,
            routing: routing.map(Routing::text),
            trunk,
            password: Some(vec![5]),
            record: true,
        };
        let reject = Routing::Reject { status: 603 };
        assert_eq!(world.numbered(route(other, None, None)).await, NumberDone::Unknown);
        let to_theirs = route(own, Some(theirs), Some(&reject));
        assert_eq!(world.numbered(to_theirs).await, NumberDone::NoTrunk);
        let to_ours = route(own, Some(trunk), Some(&reject));
        assert_eq!(world.numbered(to_ours).await, NumberDone::Stored);
        let row = world.store.number_routes(0, 9).await.unwrap().remove(0);
        assert_eq!((row.routing, row.routing_password), (Some(reject.text()), Some(vec![5])));
        assert_eq!(row.record, 1);
        let delete =
            || Admin::Trunk(Box::new(TrunkChange::Delete { organization: own, id: trunk }));
        assert_eq!(world.admin(delete()).await, AdminDone::Trunk(TrunkDone::InUse));
        assert_eq!(world.numbered(route(own, None, None)).await, NumberDone::Stored);
        assert_eq!(world.admin(delete()).await, AdminDone::Trunk(TrunkDone::Stored));

        let row = world.store.number(own, id).await.unwrap().unwrap();
        let settings = NumberSettings { label: String::from("x"), tags: String::from("[\"a\"]") };
        let update = |organization, seen| NumberChange::Update {
            organization,
            id,
            seen,
            settings: settings.clone(),
        };
        let seen = At(row.updated_at);
        assert_eq!(world.numbered(update(other, seen)).await, NumberDone::Unknown);
        assert_eq!(world.numbered(update(own, seen)).await, NumberDone::Stored);
        assert_eq!(world.numbered(update(own, seen)).await, NumberDone::Changed);
        let of = async |organization, search: &str| {
            let search = Some(search.to_owned());
            let filter = NumberFilter { search, ..NumberFilter::default() };
            world.store.numbers(organization, &filter, i64::MAX, 9).await.unwrap().len()
        };
        assert_eq!((of(own, "X").await, of(own, "0100").await, of(own, "y").await), (1, 1, 0));
        assert_eq!(of(other, "").await, 0);
        assert!(world.store.number(other, id).await.unwrap().is_none());
    })
    .await;
}
