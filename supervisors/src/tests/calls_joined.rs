//! Two calls that are joined, or about to be: whichever of them fails, at whatever moment, nobody is left in
//! a call that is not there, and both are billed as far as they came.

use std::net::SocketAddr;

use actors::media::Side;
use actors::sip::call::{Barrier, Order, TapeOrder, Unobeyed};
use actors::sip::credentials::Credentials;
use model::number::{RingGroup, RingStrategy, RingTarget, Routing};

use super::calling::{Calling, End, MINUTE, REALM, authorization, credential, number};
use super::world::{CREDIT, until};

/// A telephone of the organization that talks to both ends: to who called its number, and to whom it has
/// called.
struct Between {
    calling: Calling,
    alice: End,
    /// The caller's call as the caller has it.
    tag: String,
    /// Its two dialogs: From, To and Call-ID.
    first: [String; 3],
    second: [String; 3],
}

fn header(message: &str, name: &str) -> String {
    let line = message.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_default().to_owned()
}

fn tag(address: &str) -> &str {
    address.split_once(";tag=").map_or("", |(_, tag)| tag)
}

impl Between {
    async fn start() -> Self {
        let calling = Calling::with(|setup| {
            setup.credentials = Credentials::default();
            setup.credentials.put(&credential(setup.organization, 1, "alice"));
            let targets = vec![RingTarget::User { name: "alice".into() }];
            let strategy = RingStrategy::Simultaneous;
            let group = Routing::RingGroup(RingGroup { targets, strategy, ring_seconds: 10 });
            setup.numbers = vec![number(setup.organization, 1, "+14155550100", Some(group))];
        })
        .await;
        let alice = End::new().await;
        alice.register(calling.at, "alice").await;
        let invite = calling.request("INVITE", "", &calling.caller.sdp());
        calling.caller.send(calling.at, &invite).await;
        let invite = alice.next("INVITE ").await;
        alice.answer(&invite, 200, &alice.sdp()).await;
        let (ok, _) = calling.caller.next("SIP/2.0 200").await;
        let tag = format!(";tag={}", tag(&header(&ok, "To: ")));
        calling.caller.send(calling.at, &calling.request("ACK", &tag, "")).await;
        alice.next("ACK ").await;
        let of = |name| header(&invite.0, name);
        let first = [format!("{};tag=callee", of("To: ")), of("From: "), of("Call-ID: ")];
        let mut between = Self { calling, alice, tag, first, second: Default::default() };
        between.second = between.calls().await;
        between
    }

    /// alice calls the callee.
    async fn calls(&self) -> [String; 3] {
        let uri = format!("sip:+14155559999@{REALM}");
        let dialog = |to: &str| [format!("<sip:alice@{REALM}>;tag=a"), to.into(), "two".into()];
        let (plain, sdp) = (format!("<{uri}>"), self.alice.sdp());
        let fresh = dialog(&plain);
        self.send(("INVITE", 1, &uri), &fresh, "", &sdp).await;
        let (asked, _) = self.alice.next("SIP/2.0 401").await;
        let by = authorization(&asked, ("INVITE", &uri), "alice");
        self.send(("INVITE", 2, &uri), &fresh, &by, &sdp).await;
        let invite = self.calling.callee.next("INVITE ").await;
        self.calling.callee.answer(&invite, 200, &self.calling.callee.sdp()).await;
        let (ok, _) = self.alice.next("SIP/2.0 200").await;
        let known = dialog(&header(&ok, "To: "));
        self.send(("ACK", 2, &uri), &known, "", "").await;
        self.calling.callee.next("ACK ").await;
        known
    }

    async fn send(
        &self,
        (method, number, uri): (&str, u32, &str),
        [from, to, call_id]: &[String; 3],
        more: &str,
        sdp: &str,
    ) {
        let at = self.alice.at();
        let request = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKa{method}{number};rport\r\n\
             Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {number} {method}\r\nContact: <sip:alice@{at}>\r\n{more}\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        self.alice.send(self.calling.at, &request).await;
    }

    /// alice asks the caller to take her place with the callee: what the callee is offered then.
    async fn asks(&self) -> (String, SocketAddr) {
        self.refers(10).await;
        self.alice.next("SIP/2.0 202").await;
        self.calling.callee.next("INVITE ").await
    }

    async fn refers(&self, number: u32) {
        let [from, to, call_id] = &self.second;
        let replaces = format!("{call_id}%3Bto-tag%3D{}%3Bfrom-tag%3D{}", tag(to), tag(from));
        let more = format!("Refer-To: <sip:callee@{REALM}?Replaces={replaces}>\r\n");
        self.send(("REFER", number, "sip:orbit@h"), &self.first, &more, "").await;
    }

    /// The callee agrees, and then the caller.
    async fn agree(&self, offered: &(String, SocketAddr)) {
        let Calling { caller, callee, .. } = &self.calling;
        callee.answer(offered, 200, &callee.sdp()).await;
        callee.next("ACK ").await;
        let again = caller.next("INVITE ").await;
        caller.answer(&again, 200, &caller.sdp()).await;
        caller.next("ACK ").await;
        self.hears("200").await;
        Self::hears_bye(&self.alice).await;
    }

    /// alice is told how it went.
    async fn hears(&self, status: &str) {
        let wanted = format!("SIP/2.0 {status}");
        loop {
            let notify = self.alice.next("NOTIFY ").await;
            self.alice.answer(&notify, 200, "").await;
            if notify.0.contains(&wanted) {
                break;
            }
        }
    }

    /// Kills the first call, or the second.
    fn kill(&self, which: usize) {
        let mut calls = self.calling.calls.get_cell().get_children();
        calls.sort_by_key(|call| call.get_id().pid());
        assert_eq!(calls.len(), 2);
        calls[which].kill();
    }

    async fn hears_bye(end: &End) {
        let bye = end.next("BYE ").await;
        end.answer(&bye, 200, "").await;
    }

    /// Both calls are gone, and each has paid a minute of what it is.
    async fn end_billed(self) {
        let billed = (CREDIT - MINUTE, 0);
        until("each has paid its minute", async || self.calling.wallet().await == billed).await;
        until("they are gone", async || self.calling.table.count() == 0).await;
        self.calling.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_of_two_joined_calls_fails_both_ends_hear_it_and_each_is_billed() {
    for which in [0, 1] {
        let between = Between::start().await;
        let offered = between.asks().await;
        between.agree(&offered).await;
        between.kill(which);
        Between::hears_bye(&between.calling.callee).await;
        Between::hears_bye(&between.calling.caller).await;
        if which == 1 {
            // The first call has let her go, and not died.
            Between::hears_bye(&between.alice).await;
        }
        between.end_billed().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_while_it_asks_leaves_the_other_as_it_was() {
    let between = Between::start().await;
    let offered = between.asks().await;
    between.kill(0);
    Between::hears_bye(&between.calling.caller).await;
    Between::hears_bye(&between.alice).await;
    let callee = &between.calling.callee;
    callee.answer(&offered, 200, &callee.sdp()).await;
    callee.next("ACK ").await;
    let again = callee.next("INVITE ").await;
    let port = |text: &str| header(text, "m=audio ");
    assert_ne!(port(&again.0), port(&offered.0), "the sound of before");
    callee.answer(&again, 200, &callee.sdp()).await;
    callee.next("ACK ").await;
    between.send(("BYE", 20, "sip:orbit@h"), &between.second, "", "").await;
    Between::hears_bye(callee).await;
    between.end_billed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_while_it_is_asked_leaves_the_other_as_it_was() {
    let between = Between::start().await;
    between.asks().await;
    between.kill(1);
    Between::hears_bye(&between.calling.callee).await;
    Between::hears_bye(&between.alice).await;
    between.hears("480").await;
    let bye = between.calling.request_of(
        ("BYE", 20),
        "+12125550000@h",
        ("+14155550100@h", &between.tag),
        "",
        "",
    );
    between.calling.caller.send(between.calling.at, &bye).await;
    Between::hears_bye(&between.alice).await;
    between.end_billed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_answers_a_hold_is_not_taken_for_what_answers_a_join() {
    let between = Between::start().await;
    let Calling { caller, callee, context, .. } = &between.calling;
    let known = async || between.calling.answered_calls().len() == 2;
    until("the store knows both", known).await;
    // Whoever is asked to wait in either call has not answered yet.
    for (number, which, end) in [(10, 0, caller), (11, 1, callee)] {
        let side = if which == 0 { Side::A } else { Side::B };
        let hold = |on| Order::Hold { side, on, music: None };
        let call = between.calling.answered_calls()[which];
        context.keeper.order(call, hold(true)).await.unwrap();
        let held = end.next("INVITE ").await;
        between.refers(number).await;
        between.alice.next("SIP/2.0 491").await;
        end.answer(&held, 200, &format!("{}a=recvonly\r\n", end.sdp())).await;
        end.next("ACK ").await;
    }
    between.refers(12).await;
    between.alice.next("SIP/2.0 202").await;
    let offered = callee.next("INVITE ").await;
    // Nor does an order come between.
    let call = between.calling.answered_calls()[1];
    let hold = Order::Hold { side: Side::B, on: false, music: None };
    assert_eq!(context.keeper.order(call, hold).await, Err(Unobeyed::Busy));
    between.agree(&offered).await;
    between.calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_recording_goes_on_past_a_join_that_nobody_was_told_of() {
    let between = Between::start().await;
    let start = Order::Record(TapeOrder::Start);
    until("it is recorded", async || between.calling.order(start.clone()).await.is_ok()).await;
    let offered = between.asks().await;
    between.agree(&offered).await;
    let world = &between.calling.world;
    let open = async || world.store.open_recordings(i64::MAX, 10).await.unwrap();
    until("it has ended", async || open().await.is_empty()).await;
    let refused = between.calling.order(start).await;
    assert_eq!(refused, Err(Unobeyed::Unrecorded(Barrier::Unannounced)));
    between.calling.end().await;
}
