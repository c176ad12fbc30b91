//! Calls: money held in slices and settled once, whatever is repeated, lost or refused.

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;
use model::message::Direction;
use model::money::Micros;
use model::refusal::Code;
use model::submission::Credential;
use model::voice::{
    CallStatus, Charge, EndReason, Facts, HangupBy, LadderMessage, Leg, LegKind, Rated, Tariff,
    pack, unpack,
};
use store::lane::{
    CallChange, CallDone, Closing, LOST_MAX, LostCalls, NewCall, Opened, Progress, Renewal, Retire,
    Work,
};
use store::{Lane, TransferKind};

use crate::world::{World, each, readings};

const TARIFF: Tariff =
    Tariff { per_minute: 12_000, initial_s: 60, increment_s: 60, connect_fee: 0 };
const SECOND: i64 = 1_000_000;

/// The first hold: two minutes.
pub(crate) const HOLD: i64 = 24_000;

pub(crate) fn new_call(organization: OrgId) -> NewCall {
    NewCall {
        id: PublicId::new(At::now()),
        organization,
        credential: Credential::Switch,
        idempotency: None,
        direction: Direction::Outbound,
        from: Some(String::from("+14155550100")),
        to: String::from("+14155550123"),
        dials: Vec::new(),
        test: false,
        rated: Rated { prefix: String::from("1"), tariff: TARIFF },
        transport: None,
        facts: Facts::default(),
        mask: None,
        legs: Vec::new(),
        metadata: Some(String::from("{\"order\":\"7\"}")),
    }
}

fn leg(answered: Option<At>) -> Leg {
    let now = At::now();
    let id = PublicId::new(now);
    let leg = Leg::new(id, LegKind::Pstn, Direction::Outbound, "+14155550123", now);
    Leg { prefix: String::from("1"), tariff: TARIFF, answered_at: answered, ..leg }
}

fn lost(calls: LostCalls) -> CallChange {
    CallChange::Lost { calls, bare: false }
}

fn progress(key: MessageKey, status: CallStatus, at: At) -> CallChange {
    CallChange::Progress(Box::new(Progress {
        key,
        at,
        status: Some(status),
        legs: None,
        transport: None,
        facts: None,
    }))
}

fn closing(key: MessageKey, at: At, legs: Vec<Leg>) -> Closing {
    Closing {
        key,
        at,
        reason: EndReason::Normal,
        sip_code: None,
        q850: None,
        by: HangupBy::Callee,
        legs,
        facts: None,
        ladder: None,
    }
}

pub(crate) fn close(key: MessageKey, at: At, legs: Vec<Leg>) -> CallChange {
    CallChange::Close(Box::new(closing(key, at, legs)))
}

pub(crate) fn open(call: NewCall) -> CallChange {
    CallChange::Open(Box::new(call))
}

pub(crate) async fn run(lane: &mut Lane, calls: Vec<CallChange>) -> Vec<CallDone> {
    lane.commit(&Work { calls, ..Work::default() }).await.unwrap().calls
}

pub(crate) fn key_of(done: &CallDone) -> MessageKey {
    match done {
        CallDone::Opened(Ok(Opened::Fresh { key, .. })) => *key,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn refused(done: &CallDone) -> Code {
    match done {
        CallDone::Opened(Err(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    }
}

impl World {
    pub(crate) async fn calls(&mut self, calls: Vec<CallChange>) -> Vec<CallDone> {
        run(&mut self.lane, calls).await
    }

    pub(crate) async fn opened(&mut self) -> MessageKey {
        let call = new_call(self.organization);
        key_of(&self.calls(vec![open(call)]).await[0])
    }

    /// A call that is answered now, with its legs told.
    async fn answered(&mut self) -> (MessageKey, At, Leg) {
        let key = self.opened().await;
        let at = At::now();
        let leg = leg(Some(at));
        let CallChange::Progress(mut told) = progress(key, CallStatus::InProgress, at) else {
            unreachable!()
        };
        told.legs = Some(vec![leg.clone()]);
        assert_eq!(self.calls(vec![CallChange::Progress(told)]).await, [CallDone::Noted(true)]);
        (key, at, leg)
    }

    async fn kinds_of(&self, key: MessageKey) -> Vec<EventKind> {
        let rows = self.store.log_of(self.organization, 0, 1_000).await.unwrap();
        let own = rows.iter().filter(|row| row.message_key == key.0);
        own.map(|row| EventKind::from_code(row.kind).unwrap()).collect()
    }

    async fn ladder_of(&self, key: MessageKey) -> Vec<LadderMessage> {
        let rows = self.store.ladder(self.organization, key, 100).await.unwrap();
        rows.iter().flat_map(|row| unpack(&row.messages)).collect()
    }

    async fn moved(&self, key: MessageKey) -> Vec<(TransferKind, i64)> {
        let rows = self.store.transfers_of(key).await.unwrap();
        rows.into_iter().map(|(kind, amount, _)| (kind, amount.0)).collect()
    }
}

fn after(at: At, seconds: i64) -> At {
    At(at.0 + seconds * SECOND)
}

#[tokio::test]
async fn a_call_is_held_told_settled_and_recorded() {
    each(async |mut world| {
        let key = world.opened().await;
        assert_eq!(world.wallet().await, (1_000_000 - HOLD, HOLD));
        let at = At::now();
        let ringing = progress(key, CallStatus::Ringing, at);
        let answered = progress(key, CallStatus::InProgress, after(at, 1));
        let done = world.calls(vec![ringing.clone(), ringing, answered]).await;
        assert_eq!(done, [CallDone::Noted(true), CallDone::Noted(true), CallDone::Noted(true)]);
        let end = after(at, 62);
        let done = world.calls(vec![close(key, end, vec![leg(Some(after(at, 1)))])]).await;
        let came_to = Charge {
            duration_s: 61,
            billable_s: 120,
            cost: Micros(24_000),
            carrier_cost: Micros(0),
        };
        assert_eq!(done, [CallDone::Closed(Some(came_to))]);
        assert_eq!(world.wallet().await, (1_000_000 - 24_000, 0));
        let moved = world.moved(key).await;
        assert_eq!(moved, [(TransferKind::Hold, HOLD), (TransferKind::Settle, 24_000)]);
        use EventKind::{CallAnswered, CallCompleted, CallInitiated, CallRinging};
        let told = [CallInitiated, CallRinging, CallAnswered, CallCompleted];
        assert_eq!(world.kinds_of(key).await, told);
        let log = world.store.log_of(world.organization, 0, 100).await.unwrap();
        let last = log.last().unwrap();
        assert_eq!(last.sequence, 4);
        let detail = last.detail.as_deref().unwrap();
        for part in [
            "\"cost\":\"0.024000\"",
            "\"order\":\"7\"",
            "\"end_reason\":\"normal\"",
            "\"duration_seconds\":61",
        ] {
            assert!(detail.contains(part), "{detail}");
        }
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_nobody_answers_costs_nothing() {
    each(async |mut world| {
        let key = world.opened().await;
        let mut end = closing(key, At::now(), vec![leg(None)]);
        (end.reason, end.sip_code) = (EndReason::Busy, Some(486));
        let done = world.calls(vec![CallChange::Close(Box::new(end))]).await;
        assert_eq!(done, [CallDone::Closed(Some(Charge::default()))]);
        assert_eq!(world.wallet().await, (1_000_000, 0));
        let moved = world.moved(key).await;
        assert_eq!(moved, [(TransferKind::Hold, HOLD), (TransferKind::Release, HOLD)]);
        assert_eq!(world.kinds_of(key).await.last(), Some(&EventKind::CallFailed));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_is_settled_once_however_often_it_ends() {
    each(async |mut world| {
        let (key, at, leg) = world.answered().await;
        let end = close(key, after(at, 5), vec![leg]);
        let done = world
            .calls(vec![end.clone(), end.clone(), progress(key, CallStatus::Ringing, at)])
            .await;
        assert!(matches!(done[0], CallDone::Closed(Some(_))));
        assert_eq!(done[1..], [CallDone::Closed(None), CallDone::Noted(false)]);
        let renew = CallChange::Renew { key, slice: 2, seconds: 60 };
        let lost = lost(LostCalls::These(vec![key]));
        let done = world.calls(vec![end, renew, lost]).await;
        assert_eq!(
            done,
            [CallDone::Closed(None), CallDone::Renewed(Renewal::Over), CallDone::Lost(0)]
        );
        let moved = world.moved(key).await;
        let once = [
            (TransferKind::Hold, HOLD),
            (TransferKind::Settle, 12_000),
            (TransferKind::Release, 12_000),
        ];
        assert_eq!(moved, once);
        assert_eq!(world.wallet().await, (988_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_renewal_takes_one_slice_however_often_it_is_asked_for() {
    each(async |mut world| {
        let (key, at, leg) = world.answered().await;
        let renew = |slice| CallChange::Renew { key, slice, seconds: 60 };
        let until = |s| CallDone::Renewed(Renewal::Until { covered_s: Some(s) });
        let done = world.calls(vec![renew(1), renew(2), renew(2)]).await;
        assert_eq!(done, [until(120), until(180), until(180)]);
        assert_eq!(world.calls(vec![renew(2), renew(3)]).await, [until(180), until(240)]);
        assert_eq!(world.wallet().await, (1_000_000 - 48_000, 48_000));
        world.assert_books().await;
        world.calls(vec![close(key, after(at, 200), vec![leg])]).await;
        assert_eq!(world.wallet().await, (1_000_000 - 48_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn an_empty_wallet_refuses_calls_and_renewals_by_name() {
    each(async |mut world| {
        let (poor, _) = world.organization_with(Micros(HOLD + 13_000)).await;
        let opened = world.calls(vec![open(new_call(poor)), open(new_call(poor))]).await;
        let key = key_of(&opened[0]);
        assert_eq!(refused(&opened[1]), Code::BalanceTooLow);
        let renew = |slice| CallChange::Renew { key, slice, seconds: 60 };
        let done = world.calls(vec![renew(2), renew(3)]).await;
        assert_eq!(done[0], CallDone::Renewed(Renewal::Until { covered_s: Some(180) }));
        let CallDone::Renewed(Renewal::Exhausted(refusal)) = &done[1] else { panic!("{done:?}") };
        assert_eq!(refusal.code, Code::BalanceTooLow);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_talked_beyond_the_slices_is_taken_as_far_as_there_is_money() {
    each(async |mut world| {
        let (poor, _) = world.organization_with(Micros(HOLD + 5_000)).await;
        let key = key_of(&world.calls(vec![open(new_call(poor))]).await[0]);
        let at = At::now();
        world.calls(vec![progress(key, CallStatus::InProgress, at)]).await;
        let done = world.calls(vec![close(key, after(at, 150), vec![leg(Some(at))])]).await;
        let CallDone::Closed(Some(came_to)) = &done[0] else { panic!("{done:?}") };
        assert_eq!((came_to.billable_s, came_to.cost), (180, Micros(HOLD + 5_000)));
        let wallet = world.store.wallet(poor).await.unwrap().unwrap();
        assert_eq!((wallet.available, wallet.held), (0, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn calls_of_a_lost_process_end_at_their_last_checkpoint() {
    each(async |mut world| {
        let (talking, at, _) = world.answered().await;
        let dialling = world.opened().await;
        let checkpoint = CallChange::Checkpoint(vec![
            (talking, after(at, 70)),
            (talking, after(at, 65)),
            (dialling, after(at, 70)),
        ]);
        world.calls(vec![checkpoint]).await;
        // Another life of the writer.
        drop(std::mem::replace(&mut world.lane, world.store.lane(readings, false).await.unwrap()));
        let own = world.opened().await;
        let before = MessageKey(world.lane.id() << 40);
        let lost = || vec![lost(LostCalls::Between(MessageKey(0), before))];
        assert_eq!(world.calls(lost()).await, [CallDone::Lost(2)]);
        assert_eq!(world.calls(lost()).await, [CallDone::Lost(0)]);
        // 70 seconds are two minutes.
        assert_eq!(world.wallet().await, (1_000_000 - 24_000 - HOLD, HOLD));
        assert_eq!(world.moved(talking).await[1], (TransferKind::Settle, 24_000));
        assert_eq!(world.moved(dialling).await[1], (TransferKind::Release, HOLD));
        assert_eq!(world.kinds_of(dialling).await.last(), Some(&EventKind::CallFailed));
        assert_eq!(world.kinds_of(talking).await.last(), Some(&EventKind::CallCompleted));
        world.calls(vec![close(own, At::now(), Vec::new())]).await;
        assert_eq!(world.wallet().await, (1_000_000 - 24_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn many_lost_calls_are_closed_step_by_step() {
    each(async |mut world| {
        let (rich, _) = world.organization_with(Micros(1_000_000_000)).await;
        let count = LOST_MAX + 20;
        let done = world.calls((0..count).map(|_| open(new_call(rich))).collect()).await;
        let last = key_of(&done[count - 1]);
        let below = MessageKey(last.0 + 1);
        let lost = || vec![lost(LostCalls::Between(MessageKey(0), below))];
        assert_eq!(world.calls(lost()).await, [CallDone::Lost(LOST_MAX)]);
        assert_eq!(world.calls(lost()).await, [CallDone::Lost(20)]);
        let wallet = world.store.wallet(rich).await.unwrap().unwrap();
        assert_eq!((wallet.available, wallet.held), (1_000_000_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn an_opening_that_was_never_answered_is_taken_back_by_its_id() {
    each(async |mut world| {
        let (earlier, call) = (new_call(world.organization), new_call(world.organization));
        world.calls(vec![open(earlier.clone())]).await;
        let ids = vec![earlier.id, call.id, PublicId::new(At::now())];
        let lost = lost(LostCalls::Named(ids));
        let done = world.calls(vec![open(call), lost]).await;
        assert_eq!(done[1], CallDone::Lost(2));
        assert_eq!(world.wallet().await, (1_000_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn an_end_that_the_database_does_not_take_is_taken_without_what_others_wrote() {
    each(async |mut world| {
        let (key, at, leg) = world.answered().await;
        let CallChange::Progress(mut told) = progress(key, CallStatus::InProgress, at) else {
            unreachable!()
        };
        told.legs = Some(vec![Leg { party: Some(String::from("a\0b")), ..leg }]);
        world.calls(vec![CallChange::Progress(told)]).await;
        let calls = || LostCalls::These(vec![key]);
        // PostgreSQL has no text with such a sign.
        let work = Work { calls: vec![lost(calls())], ..Work::default() };
        if world.lane.commit(&work).await.is_err() {
            let bare = CallChange::Lost { calls: calls(), bare: true };
            assert_eq!(world.calls(vec![bare]).await, [CallDone::Lost(1)]);
        }
        assert_eq!(world.wallet().await, (1_000_000 - 12_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn no_clock_takes_more_than_a_step_beyond_what_was_put_aside() {
    each(async |mut world| {
        let (key, at, leg) = world.answered().await;
        let done = world.calls(vec![close(key, after(at, 3_600), vec![leg])]).await;
        let CallDone::Closed(Some(came_to)) = &done[0] else { panic!("{done:?}") };
        assert_eq!(came_to.cost, Micros(HOLD + 12_000));
        assert_eq!(world.wallet().await, (1_000_000 - HOLD - 12_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn slices_end_where_a_step_does() {
    each(async |mut world| {
        let mut call = new_call(world.organization);
        call.rated.tariff = Tariff { increment_s: 300, ..TARIFF };
        let key = key_of(&world.calls(vec![open(call)]).await[0]);
        let renew = CallChange::Renew { key, slice: 2, seconds: 60 };
        let until = Renewal::Until { covered_s: Some(660) };
        assert_eq!(world.calls(vec![renew]).await, [CallDone::Renewed(until)]);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_decided_in_its_order_and_each_organization_pays_for_itself() {
    each(async |mut world| {
        let (other, _) = world.organization_with(Micros(HOLD)).await;
        let own = world.organization;
        let calls = vec![new_call(own), new_call(other), new_call(other), new_call(own)];
        let done = world.calls(calls.into_iter().map(open).collect()).await;
        assert_eq!(refused(&done[2]), Code::BalanceTooLow);
        let keys = [0, 1, 3].map(|at| key_of(&done[at]));
        // What one gives back another one may take, in the same transaction.
        let at = At::now();
        let changes = vec![
            close(keys[1], at, Vec::new()),
            open(new_call(other)),
            progress(keys[0], CallStatus::InProgress, at),
            close(keys[0], after(at, 1), vec![leg(Some(at))]),
        ];
        let done = world.calls(changes).await;
        key_of(&done[1]);
        assert_eq!(world.wallet().await, (1_000_000 - 12_000 - HOLD, HOLD));
        let wallet = world.store.wallet(other).await.unwrap().unwrap();
        assert_eq!((wallet.available, wallet.held), (0, HOLD));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn messages_and_calls_of_one_transaction_share_one_wallet() {
    each(async |mut world| {
        let (poor, _) = world.organization_with(Micros(HOLD + 500)).await;
        let mut submission = world.submission(vec![world.message("+14155550123")]);
        submission.organization = poor;
        submission.credential = Credential::Switch;
        let calls = vec![open(new_call(poor))];
        let work = Work { accepts: vec![submission], calls, ..Work::default() };
        let done = world.commit(work).await;
        assert!(done.accepts[0].is_ok());
        assert_eq!(refused(&done.calls[0]), Code::BalanceTooLow);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_free_call_holds_nothing_and_is_recorded() {
    each(async |mut world| {
        let mut call = new_call(world.organization);
        call.rated = Rated::free();
        call.to = String::from("sip:100@acme.example.com");
        let done = world.calls(vec![open(call)]).await;
        let CallDone::Opened(Ok(Opened::Fresh { key, covered_s: None, .. })) = done[0] else {
            panic!("{done:?}")
        };
        let renewed = world.calls(vec![CallChange::Renew { key, slice: 2, seconds: 60 }]).await;
        assert_eq!(renewed, [CallDone::Renewed(Renewal::Until { covered_s: None })]);
        let at = At::now();
        world.calls(vec![progress(key, CallStatus::InProgress, at)]).await;
        let sip = Leg { kind: LegKind::Sip, tariff: Tariff::FREE, ..leg(Some(at)) };
        let done = world.calls(vec![close(key, after(at, 7), vec![sip])]).await;
        let CallDone::Closed(Some(came_to)) = &done[0] else { panic!("{done:?}") };
        assert_eq!((came_to.billable_s, came_to.cost), (7, Micros::ZERO));
        assert_eq!(world.moved(key).await, []);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn the_messages_of_a_call_are_kept_in_order() {
    each(async |mut world| {
        let message = |line: &str, at| LadderMessage {
            at: At(at),
            inbound: true,
            flow: String::from("udp 192.0.2.7:5060"),
            octets: line.as_bytes().to_vec(),
            cut: false,
        };
        let (invite, bye) = (message("INVITE sip:a SIP/2.0", 1), message("BYE sip:a SIP/2.0", 2));
        let key = world.opened().await;
        let ok = message("SIP/2.0 200 OK", 3);
        let organization = world.organization;
        let ladder = |messages: &LadderMessage| {
            let messages = pack(std::slice::from_ref(messages));
            vec![CallChange::Ladder { key, organization, messages }]
        };
        assert_eq!(world.calls(ladder(&invite)).await, [CallDone::Noted(true)]);
        let mut end = closing(key, At::now(), Vec::new());
        end.ladder = Some(pack(std::slice::from_ref(&bye)));
        world.calls(vec![CallChange::Close(Box::new(end))]).await;
        // What is said after the end belongs to it too.
        assert_eq!(world.calls(ladder(&ok)).await, [CallDone::Noted(true)]);
        assert_eq!(world.ladder_of(key).await, [invite, bye, ok]);
        let (other, _) = world.organization_with(Micros(1)).await;
        assert!(world.store.ladder(other, key, 100).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_over_goes_with_all_that_is_its_own_and_another_stays() {
    each(async |mut world| {
        let (old, at, leg) = world.answered().await;
        world.calls(vec![CallChange::Renew { key: old, slice: 2, seconds: 60 }]).await;
        let mut end = closing(old, after(at, 5), vec![leg]);
        end.ladder = Some(pack(&[]));
        world.calls(vec![CallChange::Close(Box::new(end))]).await;
        let live = world.opened().await;
        let organization = world.organization;
        let ladder = CallChange::Ladder { key: live, organization, messages: vec![0] };
        world.calls(vec![ladder]).await;
        let retire = vec![Retire::Calls(vec![old, live])];
        world.commit(Work { retire, ..Work::default() }).await;
        let rows = world.store.aged_calls(0, 10).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.key).collect::<Vec<_>>(), [live.0]);
        assert_eq!(world.kinds_of(old).await, []);
        assert!(world.store.legs_of(world.organization, old, 9).await.unwrap().is_empty());
        let pieces = world.store.aged_ladders(0, 10).await.unwrap();
        assert_eq!(pieces.len(), 1);
        assert_eq!(world.store.ladder_beyond(0).await.unwrap(), pieces[0].seq);
        assert_eq!(world.store.ladder_beyond(1).await.unwrap(), 0);
        let retire = vec![Retire::Ladders(vec![pieces[0].seq])];
        world.commit(Work { retire, ..Work::default() }).await;
        assert!(world.store.aged_ladders(0, 10).await.unwrap().is_empty());
        world.assert_books().await;
    })
    .await;
}
