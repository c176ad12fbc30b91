//! Packets from one leg to the other: who is heard, in which numbers, under which payload type.

use super::*;

const FRAME: [u8; 160] = [0x55; 160];

#[tokio::test]
async fn what_one_leg_says_the_other_hears_in_both_directions() {
    let mut rig = Rig::call(&config(1), [&mu(), &mu()]).await;
    for side in Side::BOTH {
        for frame in 0..5_u8 {
            rig.phone(side).say(&[frame; 160]);
            assert_eq!(rig.phone(side.other()).hear().payload, [frame; 160]);
        }
        assert_eq!(
            rig.notice(side, |event| *event == Event::FirstPacket).await,
            Event::FirstPacket
        );
    }
    let report = rig.close().await;
    for leg in report.legs {
        assert_eq!((leg.received.packets, leg.received.octets, leg.received.lost), (5, 800, 0));
        assert_eq!((leg.sent_packets, leg.sent_octets, leg.received.refused), (5, 800, 0));
    }
    assert_eq!((rig.media.sessions(), rig.media.ports_in_use()), (0, 0));
}

#[tokio::test]
async fn what_is_agreed_counts_for_the_next_packet_although_nobody_waits_for_it() {
    let mut rig = Rig::open(&config(16)).await;
    for frame in 0..20_u8 {
        let sends = frame % 2 == 0;
        // What is answered is answered between packets: the thread reads none now.
        rig.report(|_| true).await;
        let remotes =
            Side::BOTH.map(|side| (side, RemoteMedia { sends, ..rig.remote(side, &mu()) }));
        rig.session().describe(remotes.into()).unwrap();
        rig.phone(Side::A).say(&[frame; 160]);
        if sends {
            assert_eq!(rig.phone(Side::B).hear().payload, [frame; 160]);
        } else {
            rig.report(|report| report.legs[0].received.packets == u64::from(frame) + 1).await;
        }
    }
    assert!(rig.phone(Side::B).is_quiet(), "what was not to be said was heard");
}

#[tokio::test]
async fn nothing_is_relayed_to_a_leg_without_a_description() {
    let mut rig = Rig::open(&config(2)).await;
    rig.describe(Side::A, &mu()).await;
    rig.phone(Side::A).say(&FRAME);
    rig.notice(Side::A, |event| *event == Event::FirstPacket).await;
    rig.describe(Side::B, &mu()).await;
    rig.phone(Side::A).say(&[9; 160]);
    assert_eq!(rig.phone(Side::B).hear().payload, [9; 160]);
}

#[tokio::test]
async fn a_stranger_is_not_heard_and_draws_nothing_to_itself() {
    let mut rig = Rig::call(&config(3), [&mu(), &mu()]).await;
    rig.phone(Side::A).say(&FRAME);
    rig.phone(Side::B).hear();
    let mut stranger = Phone::at(Ipv4Addr::new(127, 0, 0, 9).into(), rig.session().local(Side::A));
    stranger.sequence = 101;
    for _ in 0..10 {
        stranger.say(&[1; 160]);
    }
    let told = rig.notice(Side::A, |event| matches!(event, Event::Stranger(_))).await;
    assert_eq!(told, Event::Stranger(stranger.address()));
    rig.phone(Side::A).say(&[2; 160]);
    assert_eq!(rig.phone(Side::B).hear().payload, [2; 160]);
    rig.phone(Side::B).say(&[3; 160]);
    assert_eq!(rig.phone(Side::A).hear().payload, [3; 160]);
    assert!(stranger.is_quiet());
    assert_eq!(rig.close().await.legs[0].received.refused, 10);
    while let Ok(notice) = rig.notices.try_recv() {
        assert!(!matches!(notice.event, Event::Stranger(_)), "a flood is told once");
    }
}

#[tokio::test]
async fn a_peer_behind_nat_is_found_and_another_address_only_after_a_new_description() {
    let mut rig = Rig::call(&config(4), [&mu(), &mu()]).await;
    let local = rig.session().local(Side::A);
    let mut nat = Phone::at(Ipv4Addr::new(127, 0, 0, 10).into(), local);
    let mut moved = Phone::at(Ipv4Addr::new(127, 0, 0, 11).into(), local);
    for _ in 0..3 {
        nat.say(&FRAME);
    }
    rig.phone(Side::B).hear();
    rig.phone(Side::B).say(&FRAME);
    nat.hear();
    for _ in 0..5 {
        moved.say(&FRAME);
    }
    rig.notice(Side::A, |event| *event == Event::Stranger(moved.address())).await;
    rig.describe(Side::A, &mu()).await;
    for _ in 0..3 {
        moved.say(&FRAME);
    }
    rig.notice(Side::A, |event| *event == Event::Latched(moved.address())).await;
    rig.phone(Side::B).say(&[4; 160]);
    assert_eq!(moved.hear().payload, [4; 160]);
    assert!(nat.is_quiet());
}

#[tokio::test]
async fn a_source_that_begins_anew_is_one_stream_for_who_hears_it() {
    let mut rig = Rig::call(&config(5), [&mu(), &mu()]).await;
    let mut before: Option<phone::Heard> = None;
    for (ssrc, sequence, timestamp) in [(1, 10, 0), (2, 50_000, 3_000_000_000), (1, 7, 99)] {
        let phone = rig.phone(Side::A);
        (phone.ssrc, phone.sequence, phone.timestamp) = (ssrc, sequence, timestamp);
        for packet in 0..4 {
            rig.phone(Side::A).say(&FRAME);
            let heard = rig.phone(Side::B).hear();
            if let Some(before) = &before {
                assert_eq!(heard.ssrc, before.ssrc);
                assert_eq!(heard.sequence, before.sequence.wrapping_add(1));
                let step = heard.timestamp.wrapping_sub(before.timestamp);
                assert!((160..16_000).contains(&step), "{step}");
                assert_eq!(heard.marker, packet == 0);
            }
            before = Some(heard);
        }
    }
}

#[tokio::test]
async fn numbers_that_jump_are_followed_when_the_next_one_confirms_it() {
    let mut rig = Rig::call(&config(6), [&mu(), &mu()]).await;
    for _ in 0..3 {
        rig.phone(Side::A).say(&FRAME);
    }
    let before = [(); 3].map(|()| rig.phone(Side::B).hear())[2].sequence;
    rig.phone(Side::A).sequence = 40_000;
    rig.phone(Side::A).say(&[1; 160]);
    rig.phone(Side::A).say(&[2; 160]);
    let heard = rig.phone(Side::B).hear();
    assert_eq!((heard.sequence, &heard.payload[..1]), (before.wrapping_add(1), &[2][..]));
}

#[tokio::test]
async fn one_law_is_heard_as_the_other() {
    let (mu, a) = (mu(), [Format::g711(Law::A), Format::events(96)]);
    let mut rig = Rig::call(&config(7), [&mu, &a]).await;
    rig.phone(Side::B).payload_type = 8;
    for (side, from, to) in [(Side::A, Law::Mu, Law::A), (Side::B, Law::A, Law::Mu)] {
        let mut samples = Vec::new();
        for frame in tone(1_000.0, from, 10) {
            rig.phone(side).say(&frame);
            let heard = rig.phone(side.other()).hear();
            assert_eq!(heard.payload_type, to.payload_type());
            to.decode_all(&heard.payload, &mut samples);
        }
        assert!(sounds(&samples, 1_000.0) && !sounds(&samples, 1_700.0));
    }
}

#[tokio::test]
async fn a_payload_type_that_nobody_described_goes_nowhere() {
    let mut rig = Rig::call(&config(8), [&mu(), &mu()]).await;
    rig.phone(Side::A).payload_type = 34;
    rig.phone(Side::A).say(&FRAME);
    rig.phone(Side::A).payload_type = 0;
    rig.phone(Side::A).say(&[5; 160]);
    assert_eq!(rig.phone(Side::B).hear().payload, [5; 160]);
    assert_eq!(rig.close().await.legs[0].not_forwarded, 1);
}

#[tokio::test]
async fn a_leg_that_is_muted_or_on_hold_is_not_heard_and_on_hold_hears_nothing() {
    let mut rig = Rig::call(&config(9), [&mu(), &mu()]).await;
    rig.session().mute(Side::A, true).await.unwrap();
    rig.phone(Side::A).say(&FRAME);
    rig.notice(Side::A, |event| *event == Event::FirstPacket).await;
    rig.phone(Side::B).say(&[1; 160]);
    assert_eq!(rig.phone(Side::A).hear().payload, [1; 160], "who is muted still hears");
    rig.session().mute(Side::A, false).await.unwrap();
    rig.session().hold(Side::B, true).await.unwrap();
    rig.phone(Side::A).say(&FRAME);
    rig.phone(Side::B).say(&FRAME);
    rig.report(|report| report.legs.iter().all(|leg| leg.received.packets >= 2)).await;
    rig.session().hold(Side::B, false).await.unwrap();
    rig.phone(Side::A).say(&[2; 160]);
    assert_eq!(rig.phone(Side::B).hear().payload, [2; 160]);
    rig.phone(Side::B).say(&[3; 160]);
    assert_eq!(rig.phone(Side::A).hear().payload, [3; 160]);
}

#[tokio::test]
async fn directions_of_the_description_are_kept() {
    let mut rig = Rig::call(&config(10), [&mu(), &mu()]).await;
    let held = RemoteMedia { receives: false, ..rig.remote(Side::A, &mu()) };
    rig.session().set_remote(Side::A, held).await.unwrap();
    rig.phone(Side::B).say(&FRAME);
    rig.notice(Side::B, |event| *event == Event::FirstPacket).await;
    rig.phone(Side::A).say(&[1; 160]);
    assert_eq!(rig.phone(Side::B).hear().payload, [1; 160], "sendonly is heard");
    rig.describe(Side::A, &mu()).await;
    rig.phone(Side::B).say(&[2; 160]);
    assert_eq!(rig.phone(Side::A).hear().payload, [2; 160]);
}

#[tokio::test]
async fn a_leg_that_falls_silent_is_told_of_once_and_not_on_hold() {
    let config = Config { timeout: Duration::from_millis(200), ..config(11) };
    let mut rig = Rig::open(&config).await;
    rig.describe(Side::B, &mu()).await;
    rig.session().hold(Side::B, true).await.unwrap();
    rig.describe(Side::A, &mu()).await;
    rig.phone(Side::A).say(&FRAME);
    assert_eq!(rig.notice(Side::A, |event| *event == Event::Silent).await, Event::Silent);
    rig.phone(Side::A).say(&FRAME);
    assert_eq!(rig.notice(Side::A, |event| *event == Event::Silent).await, Event::Silent);
    while let Ok(notice) = rig.notices.try_recv() {
        assert_ne!(notice.event, Event::Silent, "told twice, or of the leg on hold");
    }
}

#[tokio::test]
async fn ports_that_are_all_lent_are_refused_by_name_and_lent_again_after_a_call() {
    let config = Config { port_max: 20_003, ..config(12) };
    let mut rig = Rig::open(&config).await;
    let (sender, _notices) = mpsc::channel(1);
    let refused = rig.media.open(args(sender.clone())).unwrap_err();
    assert_eq!(refused, Refused::PortsExhausted);
    rig.close().await;
    let again = rig.media.open(args(sender)).unwrap();
    assert!((20_000..20_004).contains(&again.local(Side::A).port()));
}

#[tokio::test]
async fn a_session_whose_handle_is_dropped_gives_its_ports_back() {
    let mut rig = Rig::call(&config(13), [&mu(), &mu()]).await;
    drop(rig.session.take());
    let gone = async {
        while rig.media.ports_in_use() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap();
    assert_eq!(rig.media.sessions(), 0);
}

#[tokio::test]
async fn an_order_to_a_session_that_is_over_is_answered() {
    let mut rig = Rig::call(&config(14), [&mu(), &mu()]).await;
    let (id, thread) = (rig.session().id(), rig.session().thread());
    rig.close().await;
    let (reply, answer) = oneshot::channel();
    thread.send(Command::Report { id, reply }).unwrap();
    assert_eq!(answer.await.unwrap(), Err(Refused::Closed));
    let (sender, _notices) = mpsc::channel(1);
    let next = rig.media.open(args(sender)).unwrap();
    let (reply, answer) = oneshot::channel();
    let order = relay::Order::Mute(Side::A, true);
    thread.send(Command::Obey { id, order, reply: Some(reply) }).unwrap();
    assert_eq!(answer.await.unwrap(), Err(Refused::Closed), "the place is another call's");
    drop(next);
}

#[tokio::test]
async fn garbage_and_what_else_shares_a_port_is_refused() {
    let mut rig = Rig::call(&config(15), [&mu(), &mu()]).await;
    let to = rig.session().local(Side::A);
    for garbage in [&b""[..], b"\r\n\r\n", &[0, 1, 0, 0], &[0x80], &[0xB1; 13], &[22, 254, 253]] {
        rig.phone(Side::A).socket.send_to(garbage, to).unwrap();
    }
    rig.phone(Side::A).say(&[7; 160]);
    assert_eq!(rig.phone(Side::B).hear().payload, [7; 160]);
    let report = rig.close().await;
    assert_eq!((report.legs[0].received.packets, report.legs[0].received.refused), (1, 6));
}
