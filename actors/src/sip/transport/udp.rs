//! One UDP socket: reads until it is empty, hands over what came at once.
//!
//! A task; it ends with its wire. Keep-alives open firewalls and want no answer (RFC 5626 §3.5.1 has STUN
//! answered; who asks by STUN gets that answer, and no more than it sent).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_sip::Datagram;
use tokio::net::UdpSocket;

use super::Wire;
use crate::sip::flow::Flow;
use crate::sip::inbox::Received;

/// Datagrams that are handed over together.
const BATCH: usize = 64;
/// The largest datagram there is.
const DATAGRAM: usize = 65_535;
/// After the system refuses to read.
const REST: Duration = Duration::from_millis(20);

const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

pub(super) async fn read(wire: Wire, socket: Arc<UdpSocket>, number: u64) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        if let Err(error) = socket.readable().await {
            tracing::warn!(%error, "cannot wait for a SIP socket");
            tokio::time::sleep(REST).await;
            continue;
        }
        let mut batch = Vec::new();
        let now = tokio::time::Instant::now().into_std();
        let mut taken = 0;
        while taken < BATCH {
            let (length, peer) = match socket.try_recv_from(&mut buffer) {
                Ok(datagram) => datagram,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What came back for something that we sent: that port is closed.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => {
                    tracing::warn!(%error, "cannot read a SIP socket");
                    tokio::time::sleep(REST).await;
                    break;
                }
            };
            taken += 1;
            // A port of zero cannot be answered.
            if peer.port() == 0 || wire.shield().is_deaf_to(peer, now) {
                continue;
            }
            let flow = Flow::udp(number, peer);
            batch.extend(one(&wire, flow, &buffer[..length]));
        }
        wire.deliver(batch);
        if taken == BATCH {
            // More waits; others may have their turn first.
            tokio::task::yield_now().await;
        }
    }
}

fn one(wire: &Wire, flow: Flow, octets: &[u8]) -> Option<Received> {
    match Datagram::of(&Bytes::copy_from_slice(octets)) {
        Datagram::Message(octets) => wire.read(flow, octets),
        Datagram::Stun => {
            if let Some(answer) = stun(octets, flow.peer()) {
                let _ = wire.send_datagram(flow, &answer);
            }
            None
        }
        Datagram::KeepAlive | Datagram::Noise => None,
    }
}

/// The answer to a Binding request without attributes that must be understood: where it came from, RFC 5389
/// §7.3.1. It is 12 octets longer than the shortest request, 24 for IPv6.
fn stun(request: &[u8], peer: SocketAddr) -> Option<Vec<u8>> {
    let (head, attributes) = request.split_first_chunk::<20>()?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if head[..2] != [0, 1] || length != attributes.len() || length % 4 != 0 {
        return None;
    }
    let mut out = vec![1, 1, 0, 0];
    out.extend_from_slice(&head[4..]);
    let port = peer.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
    let key: [u8; 16] = head[4..].try_into().ok()?;
    let mask = |octets: &[u8]| -> Vec<u8> {
        octets.iter().zip(key).map(|(octet, key)| octet ^ key).collect()
    };
    let (family, address) = match peer.ip().to_canonical() {
        IpAddr::V4(ip) => (1, mask(&ip.octets())),
        IpAddr::V6(ip) => (2, mask(&ip.octets())),
    };
    let size = 4 + address.len() as u16;
    out.extend_from_slice(&[0x00, 0x20]);
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(&[0, family]);
    out.extend_from_slice(&port.to_be_bytes());
    out.extend_from_slice(&address);
    let total = (out.len() - 20) as u16;
    out[2..4].copy_from_slice(&total.to_be_bytes());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_request_is_told_where_it_came_from() {
        let mut request = vec![0, 1, 0, 0];
        request.extend_from_slice(&COOKIE);
        request.extend_from_slice(&[7; 12]);
        let answer = stun(&request, ([192, 0, 2, 1], 32_853).into()).unwrap();
        assert_eq!(answer[..4], [1, 1, 0, 12]);
        assert_eq!(answer[4..20], request[4..20]);
        // RFC 5769 §2.2 has this address and port, masked by the cookie.
        assert_eq!(answer[20..], [0x00, 0x20, 0, 8, 0, 1, 0xA1, 0x47, 0xE1, 0x12, 0xA6, 0x43]);
        request[3] = 4;
        assert_eq!(stun(&request, ([192, 0, 2, 1], 1).into()), None, "a length that lies");
        request[..4].copy_from_slice(&[1, 1, 0, 0]);
        assert_eq!(stun(&request, ([192, 0, 2, 1], 1).into()), None, "answers are not answered");
    }
}
