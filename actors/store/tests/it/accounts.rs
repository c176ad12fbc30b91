//! Accounts at carriers that end: what they leave, and until when anybody looks after it.

use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::message::Status;
use model::money::Micros;
use store::lane::{Admin, CarrierChange, CarrierDone, Work};

use crate::schema::run;
use crate::world::{World, each};

impl World {
    /// A carrier with a credential of its own.
    async fn make(
        &mut self,
        organization: Option<OrgId>,
        name: &str,
    ) -> Result<PublicId, CarrierDone> {
        let (credential, id) = (PublicId::new(At::now()), PublicId::new(At::now()));
        let made = self.alter(CarrierChange::CreateCredential {
            id: credential,
            organization,
            name: name.to_owned(),
            settings: String::from("{}"),
            password: b"sealed".to_vec(),
            most: 1_000,
        });
        assert_eq!(made.await, CarrierDone::Done);
        let made = self.alter(CarrierChange::CreateCarrier {
            id,
            organization,
            credential,
            name: name.to_owned(),
            account: name.to_owned(),
            settings: String::from("{}"),
            disabled: false,
            most: 3,
        });
        match made.await {
            CarrierDone::Done => Ok(id),
            refused => Err(refused),
        }
    }

    async fn delete(&mut self, organization: Option<OrgId>, id: PublicId) {
        let gone = CarrierChange::DeleteCarrier { id, organization };
        assert_eq!(self.alter(gone).await, CarrierDone::Done);
    }

    async fn ended(&self) -> Vec<String> {
        let ended = self.store.accounts_ended().await.unwrap();
        ended.into_iter().map(|account| account.name).collect()
    }

    /// What the sweeper asks for each time.
    async fn housekeeping(&mut self) {
        self.commit(Work { forget_parked_before: Some(At(1)), ..Work::default() }).await;
    }

    /// Where the search of the log for an account goes on, in this lane.
    async fn swept_from(&self, carrier: CarrierId) -> Option<i64> {
        self.store.sweep_cursors(carrier).await.unwrap().last().map(|(_, seq)| *seq)
    }
}

#[tokio::test]
async fn an_account_that_sent_nothing_is_settled_once_it_has_ended() {
    each(async |mut world| {
        let own = Some(world.organization);
        let id = world.make(own, "mine").await.unwrap();
        let (carrier, _) = world.own("mine").await;
        let born = world.swept_from(carrier).await;
        assert!(born > Some(0), "nothing older is searched");
        world.delete(own, id).await;
        assert!(world.ended().await.is_empty(), "nothing of it is to come");
        let apart = world.store.accounts_apart().await.unwrap();
        assert!(apart.iter().all(|account| account.name != "mine"));
        world.housekeeping().await;
        assert_eq!(world.swept_from(carrier).await, born, "what was under way has its time");
        run(&world.url, "update carriers set ended_at = 1 where name = 'mine'").await;
        world.housekeeping().await;
        assert_eq!(world.swept_from(carrier).await, None, "it is settled");

        // A carrier of its name goes on with it, and what it sends is searched.
        world.make(own, "mine").await.unwrap();
        let again = world.own("mine").await;
        assert_eq!(again.0, carrier);
        let reborn = world.swept_from(carrier).await;
        assert!(reborn > born);
        world.housekeeping().await;
        assert_eq!(world.swept_from(carrier).await, reborn, "it has not ended");
    })
    .await;
}

#[tokio::test]
async fn an_account_is_looked_after_until_all_that_it_sent_was_searched() {
    each(async |mut world| {
        let main = world.carrier;
        world.sent("+14155550123", "a1").await;
        let waits = world.accepted(world.message("+14155550124")).await;
        let lane = world.lane.id();
        let cursors = vec![(lane, main, lane << 40 | 7)];
        world.commit(Work { sweep_cursors: cursors, ..Work::default() }).await;
        assert_eq!(world.alter(CarrierChange::End(vec![main])).await, CarrierDone::Done);
        assert_eq!(world.ended().await, ["main"]);
        run(&world.url, "update carriers set ended_at = 1").await;
        world.housekeeping().await;
        let settle = || CarrierChange::Settle(vec![main]);
        world.alter(settle()).await;
        let ended = world.store.accounts_ended().await.unwrap();
        assert!(ended[0].ended_at > Some(1), "what waits may be sent: the end is not yet");
        assert_eq!(world.swept_from(main).await, Some(lane << 40 | 7));

        let gone = Admin::Cancel { organization: world.organization, messages: vec![waits.key] };
        world.admin(gone).await;
        assert!(world.store.accounts_waiting().await.unwrap().is_empty());
        world.alter(settle()).await;
        assert!(world.ended().await.is_empty());
        assert_eq!(world.swept_from(main).await, None);
        // A receipt that comes very late still finds its message.
        let receipts = vec![world.receipt("a1", Some(Status::Delivered))];
        world.commit(Work { receipts, ..Work::default() }).await;

        // An owner that starts may send what is left: the end is not yet again.
        world.own("main").await;
        assert_eq!(world.ended().await, ["main"]);
        assert!(world.swept_from(main).await > Some(lane << 40 | 7));
        let name = String::from("main");
        world.admin(Admin::NameCarrier { name }).await;
        assert!(world.ended().await.is_empty(), "it goes on");
        let apart = world.store.accounts_apart().await.unwrap();
        assert_eq!(apart.iter().map(|account| account.id).collect::<Vec<_>>(), [main.0]);
    })
    .await;
}

#[tokio::test]
async fn an_account_that_a_carrier_uses_does_not_end() {
    each(async |mut world| {
        let own = Some(world.organization);
        world.make(own, "mine").await.unwrap();
        let (carrier, _) = world.own("mine").await;
        world.alter(CarrierChange::End(vec![carrier])).await;
        run(&world.url, "update carriers set ended_at = 1 where ended_at is not null").await;
        let born = world.swept_from(carrier).await;
        world.housekeeping().await;
        assert_eq!(world.swept_from(carrier).await, born);
    })
    .await;
}

#[tokio::test]
async fn carriers_deleted_today_count_among_those_an_organization_may_have() {
    each(async |mut world| {
        let own = Some(world.organization);
        let first = world.make(own, "one").await.unwrap();
        world.make(own, "two").await.unwrap();
        world.make(own, "three").await.unwrap();
        let refused = Err(CarrierDone::TooManyCarriers);
        assert_eq!(world.make(own, "four").await, refused);
        world.delete(own, first).await;
        assert_eq!(world.make(own, "four").await, refused, "it was deleted a moment ago");
        let (other, _) = world.organization_with(Micros(1)).await;
        world.make(Some(other), "theirs").await.unwrap();
        for name in ["a", "b", "c", "d"] {
            world.make(None, name).await.unwrap();
        }
        run(&world.url, "update carriers set ended_at = 1 where name = 'one'").await;
        world.make(own, "four").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn where_messages_wait_is_one_question() {
    each(async |mut world| {
        let waiting = async |world: &World| {
            let waiting = world.store.accounts_waiting().await.unwrap();
            waiting.into_iter().map(|account| account.name).collect::<Vec<_>>()
        };
        assert!(waiting(&world).await.is_empty());
        let (other, _) = world.own("other").await;
        world.own("idle").await;
        for carrier in [world.carrier, other, world.carrier] {
            let mut message = world.message("+14155550123");
            message.carrier = carrier;
            world.accepted(message).await;
        }
        assert_eq!(waiting(&world).await, ["main", "other"]);
    })
    .await;
}
