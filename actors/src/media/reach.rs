//! Where media may go, and where it may come from.
//!
//! An SDP can name any address, and anybody can send from one that is not theirs. So media goes
//! only to public addresses and into the private networks that the operator named; never to all of a
//! network, and never to a port that a call of ours has, which would send it in a circle. Other ports of
//! this machine are other programs', those in our range among them: a telephone or a PBX may be here.

use std::net::{IpAddr, SocketAddr};

use super::Config;
use super::ports::Lent;
use crate::customer::webhook::guard::{Networks, is_public};

#[derive(Debug)]
pub(super) struct Reach {
    networks: Networks,
    /// This machine, as it sends and as peers know it.
    own: [IpAddr; 2],
    /// Bound to all its addresses, loopback too.
    bound_anywhere: bool,
    lent: Lent,
}

impl Reach {
    /// For a machine that is known as the one address and sends from the other.
    pub(super) fn new(config: &Config, own: [IpAddr; 2], lent: Lent) -> Self {
        Self {
            networks: config.networks.clone(),
            own,
            bound_anywhere: config.bind.is_unspecified(),
            lent,
        }
    }

    pub(super) fn allows(&self, place: SocketAddr) -> bool {
        let host = place.ip().to_canonical();
        let is_allowed = is_public(host) || self.networks.contains(host);
        is_allowed && is_one_host(host) && !self.is_ours(host, place.port())
    }

    fn is_ours(&self, host: IpAddr, port: u16) -> bool {
        let is_own = self.own.contains(&host) || (self.bound_anywhere && host.is_loopback());
        is_own && self.lent.contains(port)
    }
}

/// Whether it names one machine, and not only beside us.
fn is_one_host(host: IpAddr) -> bool {
    let is_special = match host {
        IpAddr::V4(host) => host.is_broadcast() || host.is_link_local(),
        IpAddr::V6(host) => host.is_unicast_link_local(),
    };
    !is_special && !host.is_multicast() && !host.is_unspecified()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::ports::Ports;
    use super::*;

    fn reach(bind: &str, networks: &[&str]) -> Reach {
        reach_with(bind, networks, Lent::default())
    }

    fn reach_with(bind: &str, networks: &[&str], lent: Lent) -> Reach {
        let networks = Networks::parse(networks).unwrap();
        let bind = bind.parse().unwrap();
        let config = Config { bind, networks, ..super::super::tests::config(1) };
        Reach::new(&config, ["93.184.216.34", "10.1.0.5"].map(|at| at.parse().unwrap()), lent)
    }

    fn allows(reach: &Reach, place: &str) -> bool {
        reach.allows(place.parse().unwrap())
    }

    #[test]
    fn media_goes_to_public_addresses_and_into_named_networks() {
        let public = reach("0.0.0.0", &[]);
        assert!(allows(&public, "1.1.1.1:4000") && allows(&public, "[2606:4700::1111]:4000"));
        let inner = ["10.1.0.9:4000", "127.0.0.1:5060", "192.168.1.1:4000", "[::1]:80"];
        let hidden = ["[::ffff:10.1.0.9]:4000", "[64:ff9b::a01:9]:4000", "[fd00::1]:4000"];
        for place in inner.into_iter().chain(hidden) {
            assert!(!allows(&public, place), "{place}");
        }
        let named = reach("0.0.0.0", &["10.1.0.0/16", "127.0.0.0/8"]);
        for place in ["10.1.0.9:4000", "127.0.0.1:5060", "[::ffff:10.1.0.9]:4000", "1.1.1.1:1"] {
            assert!(allows(&named, place), "{place}");
        }
        assert!(!allows(&named, "10.2.0.9:4000"));
    }

    #[test]
    fn media_never_goes_to_all_of_a_network_whatever_is_named() {
        let all = reach("0.0.0.0", &["0.0.0.0/0", "::/0"]);
        assert!(allows(&all, "192.168.1.1:4000") && allows(&all, "[fd00::1]:4000"));
        let groups = ["255.255.255.255:4000", "224.0.0.1:4000", "[ff02::1]:4000"];
        let near = ["169.254.169.254:80", "[fe80::1]:4000", "0.0.0.0:4000", "[::]:4000"];
        for place in groups.into_iter().chain(near) {
            assert!(!allows(&all, place), "{place}");
        }
    }

    #[test]
    fn media_never_goes_to_a_port_of_ours() {
        let ports = Ports::new([127, 0, 7, 1].into(), 20_000, 20_063, Duration::ZERO);
        let pair = ports.take().unwrap();
        let (rtp, rtcp) = (pair.port(), pair.port() + 1);
        let all = reach_with("0.0.0.0", &["0.0.0.0/0"], ports.lent());
        for host in ["93.184.216.34", "10.1.0.5", "127.0.0.1"] {
            for (port, is_ours) in [(rtp - 1, false), (rtp, true), (rtcp, true), (rtcp + 1, false)]
            {
                assert_eq!(allows(&all, &format!("{host}:{port}")), !is_ours, "{host}:{port}");
            }
        }
        let bound = reach_with("10.1.0.5", &["0.0.0.0/0"], ports.lent());
        assert!(allows(&bound, &format!("127.0.0.1:{rtp}")), "another program's");
        drop(pair);
        assert!(allows(&all, &format!("10.1.0.5:{rtp}")), "free for other programs");
    }
}
