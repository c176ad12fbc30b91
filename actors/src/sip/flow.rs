//! Where octets go and come from: a UDP socket of ours and a peer, or one connection.
//!
//! A small value that is copied everywhere and names nothing that has to live: a flow whose connection is
//! gone is a flow to nowhere. What the address of a peer says is true for connections, and a claim over UDP.

use std::fmt;
use std::net::SocketAddr;

use proto_sip::header::Transport;

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// As Via calls it.
    #[must_use]
    pub fn transport(self) -> Transport {
        match self {
            Self::Udp => Transport::Udp,
            Self::Tcp => Transport::Tcp,
            Self::Tls => Transport::Tls,
            Self::Ws => Transport::Ws,
            Self::Wss => Transport::Wss,
        }
    }
}

/// Where octets go.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    peer: SocketAddr,
    kind: Kind,
    /// The number of our socket, or of the connection.
    link: u64,
}

impl Flow {
    pub(super) const fn new(kind: Kind, link: u64, peer: SocketAddr) -> Self {
        Self { peer, kind, link }
    }

    /// From this socket of ours, counted as they were opened, to a peer.
    #[must_use]
    pub const fn udp(socket: u64, peer: SocketAddr) -> Self {
        Self::new(Kind::Udp, socket, peer)
    }

    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The number of our UDP socket, or of the connection.
    #[must_use]
    pub const fn link(&self) -> u64 {
        self.link
    }

    #[must_use]
    pub fn is_udp(&self) -> bool {
        self.kind == Kind::Udp
    }

    /// Over UDP: from the same socket to another port of the peer.
    #[must_use]
    pub fn to_port(mut self, port: u16) -> Self {
        if self.is_udp() {
            self.peer.set_port(port);
        }
        self
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{} {}", self.kind.as_str(), self.link, self.peer)
    }
}
