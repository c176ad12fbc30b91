//! What the owner of a session learns although its queue was full, or the session failed.

use super::*;

#[tokio::test]
async fn a_silent_leg_is_told_of_as_soon_as_there_is_room() {
    let config = Config { timeout: Duration::from_millis(100), ..config(61) };
    let mut rig = Rig::telling(&config, 1).await;
    rig.session().hold(Side::B, true).await.unwrap();
    rig.describe(Side::A, &mu()).await;
    rig.phone(Side::A).say(&[1; 160]);
    // The notice of the latch takes the only place; two ticks and more pass before it is taken out.
    rig.report(|report| report.lasted > Duration::from_millis(500)).await;
    assert_eq!(rig.notice(Side::A, |event| *event == Event::Silent).await, Event::Silent);
}

#[tokio::test]
async fn the_first_packet_is_told_of_when_the_next_one_finds_room() {
    let mut rig = Rig::telling(&config(62), 1).await;
    rig.describe(Side::A, &mu()).await;
    rig.phone(Side::A).say(&[1; 160]);
    rig.report(|report| report.legs[0].received.packets == 1).await;
    rig.notice(Side::A, |event| matches!(event, Event::Latched(_))).await;
    rig.phone(Side::A).say(&[1; 160]);
    rig.notice(Side::A, |event| *event == Event::FirstPacket).await;
}

/// An order that fails.
async fn fail(rig: &Rig) -> Result<(), Refused> {
    let (id, thread) = (rig.session().id(), rig.session().thread());
    let (reply, answer) = oneshot::channel();
    thread.send(Command::Obey { id, order: relay::Order::Fail, reply: Some(reply) }).unwrap();
    answer.await.unwrap()
}

#[tokio::test]
async fn a_session_that_failed_says_so_to_every_order_and_its_notice_waits_for_room() {
    let mut rig = Rig::telling(&config(63), 1).await;
    rig.describe(Side::A, &mu()).await;
    rig.phone(Side::A).say(&[1; 160]);
    rig.report(|report| report.legs[0].received.packets == 1).await;
    assert_eq!(fail(&rig).await, Err(Refused::Broken));
    assert_eq!(rig.session().mute(Side::A, true).await, Err(Refused::Broken));
    assert_eq!(rig.session().report().await, Err(Refused::Broken));
    assert_eq!(rig.media.sessions(), 0);
    assert_eq!(rig.notice(Side::A, |event| *event == Event::Broken).await, Event::Broken);
    let next = rig.media.open(args(mpsc::channel(1).0)).unwrap();
    assert!(next.report().await.is_ok(), "the thread goes on");
    assert_eq!(rig.session().report().await, Err(Refused::Broken));
}
