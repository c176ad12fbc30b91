//! Who leaves a call and who comes, while the sides agree on something, or somebody rings.

use std::net::SocketAddr;
use std::time::Duration;

use actors::media::Side;
use actors::sip::call::{Order, Unobeyed};
use actors::sip::credentials::Credentials;
use model::number::{RingGroup, RingStrategy, RingTarget, Routing};

use super::calling::{Calling, End, PATIENCE, Setup, credential, number};
use super::world::until;

/// Telephones with the extensions 100 to 102; the first of them is who the number rings.
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

pub(super) fn telephones(setup: &mut Setup) {
    setup.credentials = Credentials::default();
    for (id, name) in (1..).zip(NAMES) {
        setup.credentials.put(&credential(setup.organization, id, name));
    }
    let targets = vec![RingTarget::User { name: String::from("alice") }];
    let group = RingGroup { targets, strategy: RingStrategy::Simultaneous, ring_seconds: 10 };
    setup.numbers =
        vec![number(setup.organization, 1, "+14155550100", Some(Routing::RingGroup(group)))];
}

/// A caller who talks to alice, and others who may.
pub(super) struct Office {
    pub calling: Calling,
    pub phones: [End; 3],
    tag: String,
}

impl Office {
    pub(super) async fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let calling = Calling::with(|setup| {
            telephones(setup);
            change(setup);
        })
        .await;
        let phones = [End::new().await, End::new().await, End::new().await];
        for (phone, name) in phones.iter().zip(NAMES) {
            phone.register(calling.at, name).await;
        }
        let invite = calling.request("INVITE", "", &calling.caller.sdp());
        calling.caller.send(calling.at, &invite).await;
        let invite = phones[0].next("INVITE ").await;
        phones[0].answer(&invite, 200, &phones[0].sdp()).await;
        let tag = calling.acknowledges().await;
        phones[0].next("ACK ").await;
        until("the store knows it", async || calling.answered_calls().len() == 1).await;
        Self { calling, phones, tag }
    }

    /// Whoever is on the called side is to leave the call to who has this extension.
    pub(super) async fn send_to(&self, extension: &str) -> Result<(), Unobeyed> {
        self.calling.order(Order::Send { side: Side::B, to: extension.into() }).await
    }

    /// The caller sends a request within the call.
    async fn says(&self, (method, number): (&str, u32), sdp: &str) {
        let to = ("+14155550100@h", self.tag.as_str());
        let request = self.calling.request_of((method, number), "+12125550000@h", to, "", sdp);
        self.calling.caller.send(self.calling.at, &request).await;
    }

    /// A telephone takes who is sent to it, and the caller agrees to it.
    pub(super) async fn takes(&self, phone: &End) -> (String, SocketAddr) {
        let invite = phone.next("INVITE ").await;
        phone.answer(&invite, 200, &phone.sdp()).await;
        phone.next("ACK ").await;
        let caller = &self.calling.caller;
        let again = caller.next("INVITE ").await;
        caller.answer(&again, 200, &caller.sdp()).await;
        caller.next("ACK ").await;
        again
    }

    async fn offers(&self, number: u32) {
        let sdp = self.calling.caller.sdp().replace("o=- 1 1", &format!("o=- 1 {number}"));
        self.says(("INVITE", number), &sdp).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_leaves_while_the_other_waits_for_an_answer() {
    let office = Office::with(|_| {}).await;
    let Office { calling, phones: [alice, ..], .. } = &office;
    office.offers(2).await;
    let asked = alice.next("INVITE ").await;
    assert_eq!(office.send_to("101").await, Err(Unobeyed::Busy));
    alice.answer(&asked, 200, &alice.sdp().replace("o=- 1 1", "o=- 1 2")).await;
    calling.caller.next("SIP/2.0 200").await;
    office.says(("ACK", 2), "").await;
    alice.next("ACK ").await;
    // By an order one is to wait, and has not answered.
    let hold = |on| Order::Hold { side: Side::A, on, music: None };
    calling.order(hold(true)).await.unwrap();
    let held = calling.caller.next("INVITE ").await;
    assert_eq!(office.send_to("101").await, Err(Unobeyed::Busy));
    calling.caller.answer(&held, 200, &calling.caller.sdp()).await;
    calling.caller.next("ACK ").await;
    let free = async || office.send_to("101").await.is_ok();
    until("it is agreed", free).await;
    office.phones[1].next("INVITE ").await;
    office.calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_who_comes_is_rung_the_sides_agree_on_nothing_new() {
    let office = Office::with(|_| {}).await;
    let Office { calling, phones: [_, bob, _], .. } = &office;
    office.send_to("101").await.unwrap();
    let invite = bob.next("INVITE ").await;
    let hold = Order::Hold { side: Side::A, on: true, music: None };
    assert_eq!(calling.order(hold).await, Err(Unobeyed::Busy));
    office.offers(2).await;
    calling.caller.next("SIP/2.0 491").await;
    office.says(("ACK", 2), "").await;
    bob.answer(&invite, 200, &bob.sdp()).await;
    bob.next("ACK ").await;
    calling.caller.next("INVITE ").await;
    office.calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_have_left_are_hung_up() {
    let office = Office::with(|_| {}).await;
    let Office { phones: [alice, bob, carol], .. } = &office;
    office.send_to("101").await.unwrap();
    office.takes(bob).await;
    until("bob may leave", async || office.send_to("102").await.is_ok()).await;
    office.takes(carol).await;
    for phone in [alice, bob] {
        let bye = phone.next("BYE ").await;
        phone.answer(&bye, 200, "").await;
    }
    office.calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_which_nothing_is_said_for_too_long_rings_nobody_any_more() {
    let calling = Calling::with(|setup| {
        setup.unanswered = Duration::from_millis(500);
        setup.limits.ring = PATIENCE * 6;
    })
    .await;
    let invite = calling.request("INVITE", "", &calling.caller.sdp());
    calling.caller.send(calling.at, &invite).await;
    let invite = calling.callee.next("INVITE ").await;
    calling.callee.answer(&invite, 180, "").await;
    calling.caller.next("SIP/2.0 500").await;
    let cancel = calling.callee.next("CANCEL ").await;
    calling.callee.answer(&cancel, 200, "").await;
    calling.callee.answer(&invite, 487, "").await;
    calling.end().await;
}
