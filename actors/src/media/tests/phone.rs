//! A phone of few features: one socket, one source, packets of 20 ms of µ-law or whatever it is told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use proto_media::Packet;

/// How long it waits for what should be there at once.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Phone {
    pub(super) socket: UdpSocket,
    /// Where it sends to.
    pub(super) to: SocketAddr,
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) payload_type: u8,
}

/// A packet as it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    pub(super) payload: Vec<u8>,
}

impl Phone {
    pub(super) fn new(to: SocketAddr) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), to)
    }

    pub(super) fn at(host: IpAddr, to: SocketAddr) -> Self {
        let socket = UdpSocket::bind((host, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, to, ssrc: 7, sequence: 100, timestamp: 5_000, payload_type: 0 }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Says one frame.
    pub(super) fn say(&mut self, payload: &[u8]) {
        let packet =
            Packet::new(self.payload_type, self.sequence, self.timestamp, self.ssrc, payload);
        let mut octets = Vec::new();
        packet.write(&mut octets).unwrap();
        self.socket.send_to(&octets, self.to).unwrap();
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
    }

    pub(super) fn octets(&self) -> (Vec<u8>, SocketAddr) {
        let mut octets = [0; 2_048];
        let (length, from) = self.socket.recv_from(&mut octets).expect("nothing is heard");
        (octets[..length].to_vec(), from)
    }

    pub(super) fn hear(&self) -> Heard {
        let (octets, from) = self.octets();
        assert_eq!(from, self.to, "media from elsewhere");
        heard(&octets)
    }

    /// Whether something waits that was not heard yet; to be asked when what is sent later came.
    pub(super) fn is_quiet(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let nothing = self.socket.recv_from(&mut [0; 2_048]).is_err();
        self.socket.set_nonblocking(false).unwrap();
        nothing
    }
}

pub(super) fn heard(octets: &[u8]) -> Heard {
    let packet = Packet::parse(octets).unwrap();
    Heard {
        marker: packet.marker,
        payload_type: packet.payload_type,
        sequence: packet.sequence,
        timestamp: packet.timestamp,
        ssrc: packet.ssrc,
        payload: packet.payload.to_vec(),
    }
}
