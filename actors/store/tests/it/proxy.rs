//! Masking sessions: a number means one other person to each who calls it, whatever comes at once.

use std::time::Duration;

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::money::Micros;
use model::number::{NumberType, Routing};
use store::lane::{
    Admin, AdminDone, CallChange, Inbound, InboundFate, NewCall, NewNumber, NewProxySession,
    NumberChange, NumberDone, ProxyChange, ProxyDone, Work,
};

use crate::calls::new_call;
use crate::inbound::from_handset;
use crate::world::{World, each};

const HOUR: Duration = Duration::from_secs(3_600);

impl World {
    async fn proxied(&mut self, change: ProxyChange) -> ProxyDone {
        match self.admin(Admin::Proxy(Box::new(change))).await {
            AdminDone::Proxy(done) => done,
            other => panic!("{other:?}"),
        }
    }

    /// A number of the organization that is for masking.
    async fn masking_number(&mut self, e164: &str) -> PublicId {
        let new = NewNumber {
            id: PublicId::new(At::now()),
            e164: e164.to_owned(),
            country_code: String::from("US"),
            area_code: None,
            number_type: NumberType::Local,
            capabilities: String::from("[\"voice\"]"),
            sms_two_way: true,
            provider: String::from("manual"),
            monthly_cost: Micros(1),
        };
        let organization = self.organization;
        self.admin(Admin::Number(Box::new(NumberChange::Stock(vec![new])))).await;
        let buy = NumberChange::Buy {
            organization,
            e164: e164.to_owned(),
            label: String::new(),
            compliance_profile_id: None,
            at: At::now(),
        };
        let done = self.admin(Admin::Number(Box::new(buy))).await;
        let AdminDone::Number(NumberDone::Bought(id)) = done else { panic!("{done:?}") };
        let routing = Some(Routing::Proxy {}.text());
        let route = NumberChange::Route {
            organization,
            id,
            routing,
            trunk: None,
            password: None,
            record: false,
        };
        self.admin(Admin::Number(Box::new(route))).await;
        id
    }
}

fn open(organization: OrgId, a: &str, b: &str, life: Duration) -> (PublicId, ProxyChange) {
    let id = PublicId::new(At::now());
    let session = NewProxySession {
        id,
        organization,
        party_a: a.to_owned(),
        party_b: b.to_owned(),
        channels: 3,
        expires_at: At::now().plus(life),
        number: None,
    };
    (id, ProxyChange::Open(session))
}

#[tokio::test]
async fn a_number_means_one_other_person_to_each_who_calls_it() {
    each(async |mut world| {
        let own = world.organization;
        let (_, none) = open(own, "+1", "+2", HOUR);
        assert_eq!(world.proxied(none).await, ProxyDone::Exhausted, "there is no number yet");
        world.masking_number("+14155550100").await;
        world.masking_number("+14155550101").await;
        let (first, change) = open(own, "+1", "+2", HOUR);
        // Two at once that share a person get two numbers, and a third none.
        let admin = [change, open(own, "+2", "+3", HOUR).1, open(own, "+2", "+4", HOUR).1]
            .map(|change| Admin::Proxy(Box::new(change)))
            .into();
        let done = world.commit(Work { admin, ..Work::default() }).await.admin;
        let expected = [ProxyDone::Stored, ProxyDone::Stored, ProxyDone::Exhausted];
        assert_eq!(done, expected.map(AdminDone::Proxy));
        // People whom it does not know share a number with them.
        assert_eq!(world.proxied(open(own, "+5", "+6", HOUR).1).await, ProxyDone::Stored);

        let store = world.store.clone();
        let now = At::now().0;
        let reached = async |number: &str, caller: &str| {
            let rows = store.open_proxy_sessions(now, 0, 100).await.unwrap();
            rows.into_iter().filter(|row| row.proxy_number == number).find_map(|row| match caller {
                caller if caller == row.party_a => Some(row.party_b),
                caller if caller == row.party_b => Some(row.party_a),
                _ => None,
            })
        };
        let reaches = |text: &str| Some(text.to_owned());
        assert_eq!(reached("+14155550100", "+1").await, reaches("+2"));
        assert_eq!(reached("+14155550100", "+2").await, reaches("+1"));
        assert_eq!(reached("+14155550101", "+2").await, reaches("+3"));
        assert_eq!(reached("+14155550100", "+6").await, reaches("+5"));
        assert_eq!(reached("+14155550100", "+9").await, None);

        let close = |organization| ProxyChange::Close { organization, id: first };
        let (other, _) = world.organization_with(Micros(0)).await;
        assert_eq!(world.proxied(close(other)).await, ProxyDone::Unknown);
        assert_eq!(world.proxied(close(own)).await, ProxyDone::Stored);
        assert_eq!(world.proxied(close(own)).await, ProxyDone::Unknown);
        assert_eq!(reached("+14155550100", "+1").await, None);
        let soon = open(own, "+2", "+4", HOUR).1;
        assert_eq!(world.proxied(soon).await, ProxyDone::Exhausted, "its number rests");

        assert!(store.proxy_session(other, first).await.unwrap().is_none());
        assert!(store.proxy_sessions(other, (0, now), i64::MAX, 9).await.unwrap().is_empty());
        let count = async |status| {
            store.proxy_sessions(own, (status, now), i64::MAX, 9).await.unwrap().len()
        };
        assert_eq!((count(0).await, count(1).await, count(2).await), (3, 2, 1));
    })
    .await;
}

#[tokio::test]
async fn a_session_whose_time_is_over_is_ended_by_the_sweep() {
    each(async |mut world| {
        let own = world.organization;
        let number = world.masking_number("+14155550100").await;
        let (id, change) = open(own, "+1", "+2", Duration::ZERO);
        assert_eq!(world.proxied(change).await, ProxyDone::Stored);
        let later = At::now().plus(Duration::from_millis(1)).0;
        assert!(world.store.open_proxy_sessions(later, 0, 9).await.unwrap().is_empty());
        let expired = world.store.proxy_sessions(own, (3, later), i64::MAX, 9).await.unwrap();
        assert_eq!((expired.len(), expired[0].status), (1, 1), "before it was swept");
        world.commit(Work { forget_parked_before: Some(At(1)), ..Work::default() }).await;
        let row = world.store.proxy_session(own, id).await.unwrap().unwrap();
        assert_eq!((row.status, row.ended_at.is_some()), (3, true));

        let (_, change) = open(own, "+3", "+4", HOUR);
        let ProxyChange::Open(session) = change else { panic!("not opened") };
        let nobodys = NewProxySession {
            number: Some(PublicId::new(At::now())),
            id: PublicId::new(At::now()),
            ..session.clone()
        };
        assert_eq!(world.proxied(ProxyChange::Open(nobodys)).await, ProxyDone::NoNumber);
        let named = NewProxySession { number: Some(number), ..session };
        assert_eq!(world.proxied(ProxyChange::Open(named)).await, ProxyDone::Stored);
    })
    .await;
}

#[tokio::test]
async fn calls_that_go_by_a_session_are_counted_with_their_rows() {
    each(async |mut world| {
        let own = world.organization;
        world.masking_number("+14155550100").await;
        let (id, change) = open(own, "+1", "+2", HOUR);
        assert_eq!(world.proxied(change).await, ProxyDone::Stored);
        let row = world.store.proxy_session(own, id).await.unwrap().unwrap();
        let call = || {
            let mask = Some((row.id, id));
            let call = NewCall { id: PublicId::new(At::now()), mask, ..new_call(own) };
            CallChange::Open(Box::new(call))
        };
        let refused = NewCall { rated: new_call(own).rated, ..new_call(OrgId(own.0 + 77)) };
        let refused = NewCall { mask: Some((row.id, id)), ..refused };
        let calls = vec![call(), call(), CallChange::Open(Box::new(refused))];
        world.commit(Work { calls, ..Work::default() }).await;
        world.commit(Work { calls: vec![call()], ..Work::default() }).await;
        let row = world.store.proxy_session(own, id).await.unwrap().unwrap();
        assert_eq!(row.interactions, 3);
    })
    .await;
}

#[tokio::test]
async fn a_text_to_a_masking_number_is_due_to_the_other_party_and_to_nobody_else() {
    each(async |mut world| {
        let own = world.organization;
        world.masking_number("+14155550100").await;
        let (a, b) = ("+14155550111", "+14155550122");
        let (id, change) = open(own, a, b, HOUR);
        assert_eq!(world.proxied(change).await, ProxyDone::Stored);
        let (other, _) = world.organization_with(Micros(0)).await;
        let mut count = 0;
        let mut text = |world: &World, from: &str, body: &str| {
            count += 1;
            let from = from.to_owned();
            Inbound { from, body: body.to_owned(), ..from_handset(world, count) }
        };
        let octets = {
            let mut octets = text(&world, a, "");
            octets.said.user_data = vec![1, 2, 3];
            octets
        };
        let foreign = text(&world, a, "by another's carrier");
        let foreign = Inbound { carrier_organization: Some(other), ..foreign };
        let inbound = vec![
            text(&world, a, "at the door"),
            text(&world, b, "coming"),
            text(&world, "+14155550999", "who?"),
            text(&world, b, "STOP"),
            octets,
            foreign,
        ];
        let done = world.commit(Work { inbound, ..Work::default() }).await;
        let mut fates = vec![InboundFate::Stored(own); 5];
        fates.push(InboundFate::Stored(other));
        assert_eq!(done.inbound, fates);
        assert!(done.replies_due);
        let due = world.store.due_replies(10).await.unwrap();
        let masked =
            due.iter().filter(|row| row.session.as_deref() == Some(id.as_bytes().as_slice()));
        let masked: Vec<_> = masked.map(|row| (row.address.as_str(), row.body.as_str())).collect();
        assert_eq!(masked, [(b, "at the door"), (a, "coming")]);
        assert_eq!(due.len(), 3, "and the answer to STOP");
        assert!(due.iter().all(|row| row.number == "+14155550100"));
        let row = world.store.proxy_session(own, id).await.unwrap().unwrap();
        assert_eq!(row.interactions, 2);

        let close = ProxyChange::Close { organization: own, id };
        assert_eq!(world.proxied(close).await, ProxyDone::Stored);
        let late = text(&world, a, "are you there?");
        world.commit(Work { inbound: vec![late], ..Work::default() }).await;
        assert_eq!(world.store.due_replies(10).await.unwrap().len(), 3);
    })
    .await;
}
