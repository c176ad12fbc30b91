//! What is recorded, and told before: nobody is heard, leaves or is recorded before all have heard it.

use actors::media::{Event, PlayId, Side};
use actors::sip::call::{Barrier, CallMsg, Order, TapeOrder, Unobeyed};
use model::voice::{Announcement, ConsentMode, RecordingSettings};

use super::calling::{ANNOUNCEMENT, Setup};
use super::calls_moved::Office;
use super::world::until;

fn announced(setup: &mut Setup, millis: usize) {
    setup.announcement_ms = Some(millis);
    setup.recording = RecordingSettings {
        mode: ConsentMode::AnnounceAll,
        announcement: Some(Announcement { sound: ANNOUNCEMENT.into(), language: None }),
        ..RecordingSettings::default()
    };
}

const START: Order = Order::Record(TapeOrder::Start);
const UNMUTE: Order = Order::Mute { side: Side::A, on: false };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_leaves_or_is_heard_before_all_have_heard_that_it_is_recorded() {
    let office = Office::with(|setup| announced(setup, 60_000)).await;
    let calling = &office.calling;
    let mute = |on| Order::Mute { side: Side::A, on };
    for order in [mute(true), mute(false), START] {
        assert_eq!(calling.order(order).await, Err(Unobeyed::Busy));
    }
    assert_eq!(office.send_to("101").await, Err(Unobeyed::Busy));
    // The end of what was played before is not the end of the announcement.
    let call = calling.context.keeper.holder(calling.answered_calls()[0]).unwrap();
    for side in Side::BOTH {
        call.send_message(CallMsg::Sound(side, Event::Played(PlayId(99)))).unwrap();
    }
    assert_eq!(calling.order(UNMUTE).await, Err(Unobeyed::Busy));
    office.calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_announced_to_others_counts_for_nobody_who_was_told_nothing() {
    let office = Office::with(|setup| announced(setup, 40)).await;
    let calling = &office.calling;
    let told = async || calling.order(UNMUTE).await.is_ok();
    until("they were told", told).await;
    calling.order(START).await.unwrap();
    calling.order(Order::Record(TapeOrder::Stop)).await.unwrap();
    std::fs::remove_file(calling.world.folder().join(ANNOUNCEMENT)).unwrap();
    calling.context.taping.sounds().refresh();
    office.send_to("101").await.unwrap();
    office.takes(&office.phones[1]).await;
    let untold = Err(Unobeyed::Unrecorded(Barrier::Unannounced));
    assert_eq!(calling.order(START).await, untold);
    office.calling.end().await;
}
