//! Who sends first, or from where it may not, and what it gets by that: nothing.

use std::net::UdpSocket;

use proto_media::rtcp::{ReceiverReport, Rtcp};

use super::*;

fn stranger(to: SocketAddr) -> Phone {
    Phone::at(Ipv4Addr::new(127, 0, 0, 9).into(), to)
}

#[tokio::test]
async fn who_sends_before_the_description_is_not_heard_and_the_peer_is() {
    let mut rig = Rig::open(&config(71)).await;
    let mut stranger = stranger(rig.session().local(Side::A));
    for _ in 0..5 {
        stranger.say(&[1; 160]);
    }
    rig.report(|report| report.legs[0].received.refused == 5).await;
    rig.describe(Side::A, &mu()).await;
    rig.describe(Side::B, &mu()).await;
    rig.phone(Side::B).say(&[2; 160]);
    assert_eq!(rig.phone(Side::A).hear().payload, [2; 160]);
    rig.phone(Side::A).say(&[3; 160]);
    assert_eq!(rig.phone(Side::B).hear().payload, [3; 160]);
    assert!(stranger.is_quiet());
}

#[tokio::test]
async fn a_stranger_who_sent_first_loses_the_leg_to_the_peer() {
    let mut rig = Rig::call(&config(72), [&mu(), &mu()]).await;
    let mut stranger = stranger(rig.session().local(Side::A));
    for _ in 0..5 {
        stranger.say(&[1; 160]);
    }
    rig.notice(Side::A, |event| *event == Event::Latched(stranger.address())).await;
    rig.phone(Side::A).say(&[2; 160]);
    while rig.phone(Side::B).hear().payload != [2; 160] {}
    stranger.say(&[4; 160]);
    rig.phone(Side::B).say(&[3; 160]);
    assert_eq!(rig.phone(Side::A).hear().payload, [3; 160]);
    rig.report(|report| report.legs[0].received.refused == 3).await;
    assert!(stranger.is_quiet());
}

#[tokio::test]
async fn a_strangers_rtcp_keeps_no_leg_alive_and_draws_no_reports() {
    let config = Config {
        timeout: Duration::from_millis(300),
        rtcp_interval: Duration::from_millis(100),
        ..config(73)
    };
    let mut rig = Rig::call(&config, [&mu(), &mu()]).await;
    rig.phone(Side::A).say(&[1; 160]);
    rig.phone(Side::B).hear();
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 9), 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut octets = Vec::new();
    Rtcp::ReceiverReport(ReceiverReport { ssrc: 7, blocks: Vec::new() })
        .write(&mut octets)
        .unwrap();
    let local = rig.session().local(Side::A);
    let silent = async {
        loop {
            for port in [local.port(), local.port() + 1] {
                socket.send_to(&octets, (local.ip(), port)).unwrap();
            }
            rig.session.as_ref().unwrap().report().await.unwrap();
            if let Ok(Notice { leg: Side::A, event: Event::Silent, .. }) = rig.notices.try_recv() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), silent).await.expect("it is kept alive");
    assert!(socket.recv_from(&mut [0; 2_048]).is_err(), "it is sent a report");
}

#[tokio::test]
async fn media_is_not_sent_to_where_an_sdp_may_not_send_it() {
    let mut rig = Rig::call(&config(74), [&mu(), &mu()]).await;
    let in_a_circle = rig.session().local(Side::B);
    for place in [in_a_circle, "10.0.0.1:4000".parse().unwrap()] {
        let remote = RemoteMedia { rtp: Some(place), ..rig.remote(Side::A, &mu()) };
        rig.session().set_remote(Side::A, remote).await.unwrap();
        rig.phone(Side::B).say(&[1; 160]);
    }
    let report = rig.report(|report| report.legs[0].not_forwarded == 2).await;
    assert_eq!((report.legs[0].sent_packets, report.legs[1].received.packets), (0, 2));
}

#[tokio::test]
async fn who_is_in_no_named_network_is_refused() {
    let config = Config { networks: Networks::parse(&["127.0.0.1"]).unwrap(), ..config(75) };
    let mut rig = Rig::call(&config, [&mu(), &mu()]).await;
    let mut outside = stranger(rig.session().local(Side::A));
    for _ in 0..5 {
        outside.say(&[1; 160]);
    }
    rig.report(|report| report.legs[0].received.refused == 5).await;
    rig.phone(Side::A).say(&[2; 160]);
    assert_eq!(rig.phone(Side::B).hear().payload, [2; 160]);
}

#[tokio::test]
async fn a_peer_that_moves_is_sent_to_at_its_new_address_before_it_speaks() {
    let mut rig = Rig::call(&config(76), [&mu(), &mu()]).await;
    rig.phone(Side::A).say(&[1; 160]);
    rig.phone(Side::B).hear();
    let mut moved = stranger(rig.session().local(Side::A));
    let remote = RemoteMedia { rtp: Some(moved.address()), ..rig.remote(Side::A, &mu()) };
    rig.session().set_remote(Side::A, remote).await.unwrap();
    rig.phone(Side::B).say(&[2; 160]);
    assert_eq!(moved.hear().payload, [2; 160]);
    rig.phone(Side::A).say(&[3; 160]);
    assert_eq!(rig.phone(Side::B).hear().payload, [3; 160], "it still sounds from there");
    moved.say(&[4; 160]);
    assert_eq!(rig.phone(Side::B).hear().payload, [4; 160]);
    rig.phone(Side::A).say(&[5; 160]);
    rig.report(|report| report.legs[0].received.refused == 1).await;
}
