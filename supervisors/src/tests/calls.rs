//! Calls as a tree: one that fails ends alone, both ends hear it, and it is billed.

use std::time::Duration;

use super::calling::{Calling, MINUTE, PATIENCE};
use super::world::{CREDIT, until};
use crate::calls::CallsMsg;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_killed_ends_alone_and_both_ends_hear_it_and_it_is_billed() {
    let calling = Calling::start().await;
    calling.talk().await;
    let held = (CREDIT - 2 * MINUTE, 2 * MINUTE);
    until("two minutes are held", async || calling.wallet().await == held).await;
    let calls = calling.calls.get_cell().get_children();
    assert_eq!(calls.len(), 1);
    calls.iter().for_each(ractor::ActorCell::kill);
    for end in [&calling.callee, &calling.caller] {
        let bye = end.next("BYE ").await;
        end.answer(&bye, 200, "").await;
    }
    let billed = (CREDIT - MINUTE, 0);
    until("one minute is billed", async || calling.wallet().await == billed).await;
    until("it is gone", async || calling.table.count() == 0).await;
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_hung_up_when_patience_is_over() {
    let calling = Calling::start().await;
    calling.talk().await;
    let drain = |reply| CallsMsg::Drain { patience: Duration::from_millis(50), reply };
    let drained = calling.calls.call(drain, Some(PATIENCE));
    let ends = async {
        for end in [&calling.callee, &calling.caller] {
            let bye = end.next("BYE ").await;
            end.answer(&bye, 200, "").await;
        }
    };
    let (drained, ()) = tokio::join!(drained, ends);
    assert!(matches!(drained, Ok(ractor::rpc::CallResult::Success(()))));
    assert_eq!(calling.wallet().await, (CREDIT - MINUTE, 0));
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_killed_while_it_rings_is_given_up_and_costs_nothing() {
    let calling = Calling::start().await;
    let invite = calling.ring().await;
    let held = (CREDIT - 2 * MINUTE, 2 * MINUTE);
    until("two minutes are held", async || calling.wallet().await == held).await;
    calling.calls.get_cell().get_children().iter().for_each(ractor::ActorCell::kill);
    let cancel = calling.callee.next("CANCEL ").await;
    calling.callee.answer(&cancel, 200, "").await;
    calling.callee.answer(&invite, 487, "").await;
    calling.caller.next("SIP/2.0 500").await;
    until("nothing is billed", async || calling.wallet().await == (CREDIT, 0)).await;
    until("it is gone", async || calling.table.count() == 0).await;
    calling.end().await;
}
