//! RTCP: what each peer is told of us, and what its reports tell of it.

use std::net::UdpSocket;

use proto_media::rtcp::{Block, ReceiverReport, Rtcp, SenderReport, compound};

use super::*;

fn often(host: u8) -> Config {
    Config { rtcp_interval: Duration::from_millis(200), ..config(host) }
}

/// The next sender report with a block, from a socket.
fn report(socket: &UdpSocket) -> SenderReport {
    loop {
        let mut octets = [0; 2_048];
        let (length, _) = socket.recv_from(&mut octets).expect("no report");
        let read = compound(&octets[..length]).unwrap_or_default();
        if let Some(Rtcp::SenderReport(report)) = read.into_iter().next()
            && !report.blocks.is_empty()
        {
            return report;
        }
    }
}

fn send(socket: &UdpSocket, to: SocketAddr, packet: &Rtcp) {
    let mut octets = Vec::new();
    packet.write(&mut octets).unwrap();
    socket.send_to(&octets, to).unwrap();
}

/// A socket for RTCP that knows patience.
fn socket(host: u8) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn next_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port() + 1)
}

fn ours(report: &SenderReport) -> Rtcp {
    let block = Block {
        ssrc: report.ssrc,
        fraction_lost: 64,
        lost: 3,
        last_report: (report.ntp >> 16) as u32,
        since_last_report: 0,
        ..Block::default()
    };
    Rtcp::ReceiverReport(ReceiverReport { ssrc: 7, blocks: vec![block] })
}

#[tokio::test]
async fn a_peer_is_reported_to_and_its_reports_are_measured() {
    let mut rig = Rig::open(&often(41)).await;
    let control = socket(1);
    let remote =
        RemoteMedia { rtcp: Some(control.local_addr().unwrap()), ..rig.remote(Side::A, &mu()) };
    rig.session().set_remote(Side::A, remote).await.unwrap();
    rig.describe(Side::B, &mu()).await;
    for _ in 0..5 {
        rig.phone(Side::B).say(&[1; 160]);
        rig.phone(Side::A).say(&[1; 160]);
        rig.phone(Side::A).hear();
    }
    let report = report(&control);
    let heard = rig.report(|_| true).await.legs[0].clone();
    assert_eq!((report.packets, report.octets), (5, 800));
    assert_eq!((report.blocks[0].ssrc, report.blocks[0].lost), (7, 0));
    assert!(heard.received.mos().is_some_and(|mos| mos > 400));
    let to = next_port(rig.session().local(Side::A));
    let stranger = socket(9);
    send(&stranger, to, &ours(&report));
    send(&control, to, &ours(&report));
    let measured = rig.report(|report| report.legs[0].heard_by_peer.mos().is_some()).await;
    let measured = &measured.legs[0];
    assert!(measured.heard_by_peer.mos().is_some_and(|mos| mos < 350), "a quarter is lost");
    assert_eq!((measured.heard_by_peer.lost, measured.received.refused), (3, 1));
    assert!(measured.heard_by_peer.round_trip.is_some_and(|trip| trip < Duration::from_secs(5)));
}

#[tokio::test]
async fn on_one_port_for_both_reports_come_and_go_there() {
    let mut rig = Rig::open(&often(42)).await;
    let remote = RemoteMedia { rtcp_mux: true, ..rig.remote(Side::A, &mu()) };
    rig.session().set_remote(Side::A, remote).await.unwrap();
    rig.describe(Side::B, &mu()).await;
    for _ in 0..3 {
        rig.phone(Side::A).say(&[1; 160]);
        rig.phone(Side::B).say(&[1; 160]);
        rig.phone(Side::B).hear();
    }
    let report = report(&rig.phones[0].socket);
    send(&rig.phones[0].socket, rig.session().local(Side::A), &ours(&report));
    rig.report(|report| report.legs[0].heard_by_peer.mos().is_some()).await;
    rig.phone(Side::A).say(&[9; 160]);
    assert_eq!(rig.phone(Side::B).hear().payload, [9; 160], "nothing of it went on");
}

#[tokio::test]
async fn a_short_call_is_measured_at_its_end() {
    let mut rig = Rig::call(&config(43), [&mu(), &mu()]).await;
    for _ in 0..5 {
        rig.phone(Side::A).say(&[1; 160]);
    }
    rig.phone(Side::A).sequence += 5;
    rig.phone(Side::A).say(&[1; 160]);
    for _ in 0..6 {
        rig.phone(Side::B).hear();
    }
    let [a, b] = rig.close().await.legs;
    assert!(a.received.mos().is_some_and(|mos| (100..400).contains(&mos)), "{:?}", a.received);
    assert_eq!((a.received.lost, b.received.mos()), (5, None));
}
