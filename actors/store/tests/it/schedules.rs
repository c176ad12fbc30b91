//! Schedules: what fires, fires once; what is stopped is not sent; and money follows.

use std::time::Duration;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::message::Status;
use model::money::Micros;
use model::refusal::{Code, Refusal};
use model::submission::{NewMessage, SendOptions};
use store::lane::{Accepted, Admin, AdminDone, CancelFate, Edit, Fire, FireFate, Work};
use store::{DueRow, TransferKind};

use crate::schema::run;
use crate::world::{World, each, readings, sent};

const START: store::Mark = (i64::MIN, i64::MIN);

fn ago(seconds: u64) -> At {
    At::now().minus(Duration::from_secs(seconds))
}

fn options(scheduled_at: At) -> SendOptions {
    SendOptions { scheduled_at: Some(scheduled_at), ..SendOptions::default() }
}

impl World {
    fn later(&self, to: &str, at: At) -> NewMessage {
        NewMessage { options: options(at), ..self.message(to) }
    }

    async fn scheduled(&mut self, message: NewMessage) -> MessageKey {
        let submission = self.submission(vec![message]);
        let answer = self.accept(vec![submission]).await.remove(0).unwrap();
        let Accepted::Fresh { first, later, .. } = answer else { panic!("replayed") };
        assert_eq!(later.len(), 1);
        first
    }

    async fn due(&self) -> Vec<DueRow> {
        self.store.due(At::now(), START, 1_000).await.unwrap()
    }

    /// As the scheduler would ask for it.
    fn aim(&self, row: &DueRow) -> Fire {
        let mut message = self.message(&row.to_addr);
        message.body.clone_from(&row.body);
        Fire {
            key: MessageKey(row.key),
            organization: OrgId(row.organization_id),
            edits: row.edits,
            created_at: At(row.created_at),
            expires_at: row.expires_at(),
            message: Ok(message),
        }
    }

    async fn fire(&mut self, fires: Vec<Fire>) -> Vec<FireFate> {
        self.commit(Work { fires, ..Work::default() }).await.fires
    }

    async fn fire_due(&mut self) -> Vec<FireFate> {
        let fires = self.due().await.iter().map(|row| self.aim(row)).collect();
        self.fire(fires).await
    }

    async fn cancel(&mut self, messages: Vec<MessageKey>) -> Vec<CancelFate> {
        let organization = self.organization;
        match self.admin(Admin::Cancel { organization, messages }).await {
            AdminDone::Cancelled(fates) => fates,
            other => panic!("{other:?}"),
        }
    }

    async fn waiting(&self, after: i64) -> Vec<store::WaitingRow> {
        self.store.waiting(self.carrier, 1, self.organization, after, 10).await.unwrap()
    }

    async fn transfers(&self, key: MessageKey) -> Vec<TransferKind> {
        let transfers = self.store.transfers_of(key).await.unwrap();
        transfers.iter().map(|(kind, ..)| *kind).collect()
    }

    async fn history(&self, key: MessageKey) -> Vec<Status> {
        let events = self.store.events(self.organization, key, 0, 100).await.unwrap();
        events.iter().map(|event| Status::from_code(event.status).unwrap()).collect()
    }
}

fn queued(fate: &FireFate) -> bool {
    matches!(fate, FireFate::Queued { .. })
}

#[tokio::test]
async fn a_scheduled_message_costs_nothing_until_it_fires_and_fires_once() {
    each(async |mut world| {
        let key = world.scheduled(world.later("+14155550123", ago(1))).await;
        assert_eq!(world.wallet().await, (1_000_000, 0));
        assert_eq!(world.status(key).await, Status::Scheduled);
        let fire = world.aim(&world.due().await[0]);
        let fates = world.fire(vec![fire.clone(), fire.clone()]).await;
        assert!(queued(&fates[0]), "{fates:?}");
        assert_eq!(fates[1], FireFate::Stale, "a twin of the same batch");
        world.lane = world.store.lane(readings, false).await.unwrap();
        assert_eq!(world.fire(vec![fire]).await, [FireFate::Stale], "a later life");
        assert!(world.due().await.is_empty());
        assert_eq!(world.wallet().await, (999_000, 1_000));
        assert_eq!(world.history(key).await, [Status::Scheduled, Status::Queued]);

        let (carrier, organization) = (world.carrier, world.organization);
        let row = store::lane::OutboxRef { carrier, class: 1, organization, key };
        assert_eq!(world.claim(&[row]).await, [true]);
        let result = world.result(row, 1, sent(&["a"]));
        world.commit(Work { results: vec![result], ..Work::default() }).await;
        assert_eq!(world.transfers(key).await, [TransferKind::Hold, TransferKind::Settle]);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_not_due_is_not_read_and_pages_end_where_the_next_begin() {
    each(async |mut world| {
        let time = ago(5);
        for n in 0..5 {
            world.scheduled(world.later(&format!("+1415555010{n}"), time)).await;
        }
        world.scheduled(world.later("+14155550199", At::now().plus(Duration::from_secs(60)))).await;
        let first = world.store.due(At::now(), START, 3).await.unwrap();
        let rest = world.store.due(At::now(), first[2].mark(), 3).await.unwrap();
        assert_eq!((first.len(), rest.len()), (3, 2));
        let of = |organization, after| world.store.due_of(organization, At::now(), after, 3);
        assert_eq!(of(world.organization, first[2].mark()).await.unwrap().len(), 2);
        let (other, _) = (OrgId(world.organization.0 + 1), ());
        assert!(of(other, START).await.unwrap().is_empty());
        let next = world.store.next_scheduling(OrgId(0)).await.unwrap();
        assert_eq!(next, Some(world.organization));
        assert_eq!(world.store.next_scheduling(world.organization).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_fired_message_stands_behind_those_that_came_before_it_fired() {
    each(async |mut world| {
        let early = world.scheduled(world.later("+14155550123", ago(1))).await;
        let middle = world.accepted(world.message("+14155550124")).await.key;
        let FireFate::Queued { place, .. } = world.fire_due().await[0] else {
            panic!("not queued")
        };
        let late = world.accepted(world.message("+14155550125")).await.key;
        let rows = world.waiting(0).await;
        let keys: Vec<i64> = rows.iter().map(|row| row.key).collect();
        assert_eq!(keys, [middle.0, early.0, late.0]);
        assert!(rows.is_sorted_by_key(|row| row.place));
        assert_eq!(rows[1].place, place);
        let after: Vec<i64> = world.waiting(middle.0).await.iter().map(|row| row.key).collect();
        assert_eq!(after, [early.0, late.0]);
        assert_eq!(world.waiting(place).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_no_gate_lets_through_is_blocked_and_costs_nothing() {
    each(async |mut world| {
        (world.organization, world.key) = world.organization_with(Micros(1_500)).await;
        for n in 0..3 {
            world.scheduled(world.later(&format!("+1415555010{n}"), ago(1))).await;
        }
        let rows = world.due().await;
        let mut fires: Vec<Fire> = rows.iter().map(|row| world.aim(row)).collect();
        fires[0].message = Err(Refusal::new(Code::NoRoute, "no carrier"));
        let fates = world.fire(fires).await;
        assert_eq!(fates[0], FireFate::Ended(Status::Blocked));
        assert!(queued(&fates[1]));
        assert_eq!(fates[2], FireFate::Ended(Status::Blocked), "the balance covers one");
        let row = |at: usize| {
            let filter = store::Filter::default();
            let (store, organization) = (world.store.clone(), world.organization);
            let key = rows[at].key;
            async move { store.messages(organization, &filter, key + 1, 1).await.unwrap().remove(0) }
        };
        assert_eq!(row(0).await.error_code.as_deref(), Some("NO_ROUTE"));
        assert_eq!(row(2).await.error_code.as_deref(), Some("BALANCE_TOO_LOW"));
        assert!(row(2).await.done_at.is_some());
        assert_eq!(world.wallet().await, (500, 1_000));
        assert!(world.transfers(MessageKey(rows[2].key)).await.is_empty());
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn accepts_and_fires_of_one_batch_share_a_wallet() {
    each(async |mut world| {
        (world.organization, world.key) = world.organization_with(Micros(1_500)).await;
        let key = world.scheduled(world.later("+14155550123", ago(1))).await;
        let work = Work {
            accepts: vec![world.submission(vec![world.message("+14155550124")])],
            fires: vec![world.aim(&world.due().await[0])],
            ..Work::default()
        };
        let done = world.commit(work).await;
        assert!(done.accepts[0].is_ok());
        assert_eq!(done.fires, [FireFate::Ended(Status::Blocked)]);
        assert_eq!(world.status(key).await, Status::Blocked);
        assert_eq!(world.wallet().await, (500, 1_000));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_overdue_past_its_validity_expires() {
    each(async |mut world| {
        let mut message = world.later("+14155550123", ago(100));
        message.options.validity_s = Some(60);
        let late = world.scheduled(message).await;
        let mut message = world.later("+14155550124", ago(30));
        message.options.validity_s = Some(60);
        world.scheduled(message).await;
        let fates = world.fire_due().await;
        assert_eq!(fates[0], FireFate::Ended(Status::Expired));
        assert!(queued(&fates[1]));
        assert_eq!(world.status(late).await, Status::Expired);
        let waiting = world.waiting(0).await;
        let expires_at = At(waiting[0].expires_at.unwrap());
        assert!(expires_at > At::now() && expires_at < At::now().plus(Duration::from_secs(40)));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_suspended_organization_sends_nothing_that_it_scheduled() {
    each(async |mut world| {
        world.scheduled(world.later("+14155550123", ago(1))).await;
        run(&world.url, "update organizations set suspended_at = 1").await;
        assert_eq!(world.fire_due().await, [FireFate::Ended(Status::Blocked)]);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_message_does_not_fire_whichever_comes_first() {
    each(async |mut world| {
        // In one transaction.
        let together = world.scheduled(world.later("+14155550123", ago(1))).await;
        let organization = world.organization;
        let fire = world.aim(&world.due().await[0]);
        let cancel = Admin::Cancel { organization, messages: vec![together] };
        let work = Work { admin: vec![cancel], fires: vec![fire.clone()], ..Work::default() };
        let done = world.commit(work).await;
        assert_eq!(done.fires, [FireFate::Stale]);
        let stopped = AdminDone::Cancelled(vec![CancelFate::Cancelled { row: None }]);
        assert_eq!(done.admin, [stopped]);
        // Later still.
        assert_eq!(world.fire(vec![fire]).await, [FireFate::Stale]);
        assert_eq!(world.status(together).await, Status::Cancelled);
        assert!(world.transfers(together).await.is_empty());
        assert_eq!(world.history(together).await, [Status::Scheduled, Status::Cancelled]);
        // Fired first: it is taken back out of the outbox, and its price released.
        let fired = world.scheduled(world.later("+14155550124", ago(1))).await;
        assert!(queued(&world.fire_due().await[0]));
        let fates = world.cancel(vec![fired]).await;
        assert!(matches!(fates[0], CancelFate::Cancelled { row: Some(row) } if row.key == fired));
        assert_eq!(world.transfers(fired).await, [TransferKind::Hold, TransferKind::Release]);
        assert!(world.waiting(0).await.is_empty());
        assert_eq!(world.wallet().await, (1_000_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn cancel_and_claim_end_in_exactly_one_of_the_two() {
    each(async |mut world| {
        let claimed = world.accepted(world.message("+14155550123")).await;
        let waits = world.accepted(world.message("+14155550124")).await;
        assert_eq!(world.claim(&[claimed]).await, [true]);
        let fates = world.cancel(vec![claimed.key, waits.key, waits.key]).await;
        assert_eq!(fates[0], CancelFate::Not(Status::Sending));
        assert_eq!(fates[1], CancelFate::Cancelled { row: Some(waits) });
        assert_eq!(fates[2], CancelFate::Not(Status::Cancelled));
        assert_eq!(world.claim(&[waits]).await, [false]);
        assert_eq!(world.cancel(vec![waits.key]).await, [CancelFate::Not(Status::Cancelled)]);
        // Of one transaction the cancel comes first.
        let both = world.accepted(world.message("+14155550125")).await;
        let organization = world.organization;
        let work = Work {
            admin: vec![Admin::Cancel { organization, messages: vec![both.key] }],
            claims: vec![store::lane::Claim { row: both, epoch: world.epoch }],
            ..Work::default()
        };
        assert_eq!(world.commit(work).await.claims, [false]);
        let result = world.result(claimed, 1, sent(&["a"]));
        world.commit(Work { results: vec![result], ..Work::default() }).await;
        assert_eq!(world.cancel(vec![claimed.key]).await, [CancelFate::Not(Status::Sent)]);
        assert_eq!(world.wallet().await, (999_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn nobody_cancels_anothers_message() {
    each(async |mut world| {
        let row = world.accepted(world.message("+14155550123")).await;
        let (other, _) = world.organization_with(Micros(0)).await;
        let change = Admin::Cancel { organization: other, messages: vec![row.key] };
        let done = world.admin(change).await;
        assert_eq!(done, AdminDone::Cancelled(vec![CancelFate::Unknown]));
        assert_eq!(world.claim(&[row]).await, [true]);
    })
    .await;
}

#[tokio::test]
async fn an_edited_message_fires_with_its_new_text_and_never_with_the_old() {
    each(async |mut world| {
        let key = world.scheduled(world.later("+14155550123", ago(1))).await;
        let old = world.due().await.remove(0);
        let mut message = world.later("+14155550123", At::now().minus(Duration::from_millis(1)));
        message.body = String::from("changed");
        (message.segments, message.unit_price) = (2, Micros(3_000));
        let edit = |edits, organization| {
            let (created_at, message) = (At(old.created_at), message.clone());
            Admin::Edit(Box::new(Edit { key, organization, edits, created_at, message }))
        };
        let own = world.organization;
        assert_eq!(world.admin(edit(0, OrgId(own.0 + 1))).await, AdminDone::Edited(false));
        assert_eq!(world.admin(edit(0, own)).await, AdminDone::Edited(true));
        assert_eq!(world.admin(edit(0, own)).await, AdminDone::Edited(false), "read before");
        let stale = world.aim(&old);
        assert_eq!(world.fire(vec![stale]).await, [FireFate::Stale]);
        let new = world.due().await.remove(0);
        assert_eq!((new.body.as_str(), new.edits), ("changed", 1));
        let fire = world.aim(&new);
        assert!(queued(&world.fire(vec![fire]).await[0]));
        assert_eq!(world.admin(edit(1, own)).await, AdminDone::Edited(false), "fired");
        assert_eq!(world.wallet().await, (999_000, 1_000), "priced when it fires");
        world.assert_books().await;
    })
    .await;
}
