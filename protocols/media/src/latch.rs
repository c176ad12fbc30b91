//! From whom media may come: symmetric RTP, latched once and then locked.
//!
//! A peer behind a NAT sends from an address that its SDP does not name, so the first good packet
//! tells where it is. The same habit lets strangers inject sound, or have it sent to them. So: a
//! latch closes once, on the host of the SDP or of its signalling, on a packet that proves its key
//! (SRTP), or on the first source that sent some packets in a row; then it is locked, and opens again
//! only after a new offer. While it is open again what was locked before still counts, so that a
//! re-INVITE leaves no gap. One latch guards one socket; RTCP of its own has a latch of its own.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long a latch that was locked once stays open for another address.
const REOPEN: Duration = Duration::from_secs(10);
/// Packets in a row, from one address and source, before a stranger is believed.
const PROOF: u8 = 3;

/// Who may close the latch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Only hosts that signalling named: for trunks with fixed addresses.
    NamedHosts,
    /// Others too, after they proved to be one source: for peers behind NAT.
    AnyProven,
}

/// What is known of a datagram beside where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    pub from: SocketAddr,
    /// Of a packet that reads as RTP or RTCP; anything else never closes a latch.
    pub ssrc: Option<u32>,
    /// RTP's number; RTCP has none and counts as in a row.
    pub sequence: Option<u16>,
    /// Its authentication tag was good.
    pub proven: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// Accepted, and what we send goes here from now on.
    Latched(SocketAddr),
    Refuse(Refusal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Locked to another address.
    Locked,
    /// Not a host that signalling named.
    Stranger,
    /// Not enough packets in a row yet.
    Unproven,
    /// No media at all.
    NotMedia,
}

/// A stranger on its way to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    from: SocketAddr,
    ssrc: u32,
    sequence: Option<u16>,
    in_a_row: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latch {
    policy: Policy,
    /// Where the SDP wants media; `None` for a hold by 0.0.0.0 or before any SDP.
    named: Option<SocketAddr>,
    /// Where the signalling came from.
    signalling: Option<IpAddr>,
    locked: Option<SocketAddr>,
    /// Until then another address may take over.
    open_until: Option<Instant>,
    candidate: Option<Candidate>,
}

impl Latch {
    pub fn new(policy: Policy, named: Option<SocketAddr>, signalling: Option<IpAddr>) -> Self {
        Self {
            policy,
            named: named.filter(is_usable),
            signalling,
            locked: None,
            open_until: None,
            candidate: None,
        }
    }

    /// Where to send: what is locked, before that what the SDP names.
    pub fn target(&self) -> Option<SocketAddr> {
        self.locked.or(self.named)
    }

    pub fn locked(&self) -> Option<SocketAddr> {
        self.locked
    }

    /// A new offer or answer was agreed. The same address opens the latch as well: behind a NAT the
    /// SDP stays what it was while the mapping changes.
    pub fn reopen(&mut self, named: Option<SocketAddr>, now: Instant) {
        self.named = named.filter(is_usable);
        self.open_until = self.locked.map(|_| now + REOPEN);
        self.candidate = None;
    }

    pub fn packet(&mut self, arrival: &Arrival, now: Instant) -> Verdict {
        if self.open_until.is_some_and(|until| now >= until) {
            self.open_until = None;
            self.candidate = None;
        }
        if self.locked == Some(arrival.from) {
            return Verdict::Accept;
        }
        if self.locked.is_some() && self.open_until.is_none() {
            return Verdict::Refuse(Refusal::Locked);
        }
        let Some(ssrc) = arrival.ssrc else { return Verdict::Refuse(Refusal::NotMedia) };
        // Once locked, a named host has to be the new one by its port as well, or prove itself.
        let exact = self.named == Some(arrival.from);
        let by_name = exact || (self.locked.is_none() && self.is_named(arrival.from.ip()));
        if arrival.proven || by_name {
            return self.lock(arrival.from);
        }
        if self.policy == Policy::NamedHosts && !self.is_named(arrival.from.ip()) {
            return Verdict::Refuse(Refusal::Stranger);
        }
        if self.prove(arrival, ssrc) {
            self.lock(arrival.from)
        } else {
            Verdict::Refuse(Refusal::Unproven)
        }
    }

    fn is_named(&self, host: IpAddr) -> bool {
        self.named.map(|named| named.ip()) == Some(host) || self.signalling == Some(host)
    }

    fn lock(&mut self, from: SocketAddr) -> Verdict {
        self.locked = Some(from);
        self.open_until = None;
        self.candidate = None;
        Verdict::Latched(from)
    }

    /// Counts packets in a row; any other address, source or number begins anew.
    fn prove(&mut self, arrival: &Arrival, ssrc: u32) -> bool {
        let in_a_row = match self.candidate {
            Some(before) if before.from == arrival.from && before.ssrc == ssrc => {
                match (before.sequence, arrival.sequence) {
                    (Some(last), Some(next)) if next != last.wrapping_add(1) => 1,
                    _ => before.in_a_row + 1,
                }
            }
            _ => 1,
        };
        let sequence = arrival.sequence;
        self.candidate = Some(Candidate { from: arrival.from, ssrc, sequence, in_a_row });
        in_a_row >= PROOF
    }
}

/// An address that something can be sent to.
fn is_usable(address: &SocketAddr) -> bool {
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SDP: &str = "192.0.2.1:4000";

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn rtp(from: &str, sequence: u16) -> Arrival {
        let from = address(from);
        Arrival { from, ssrc: Some(7), sequence: Some(sequence), proven: false }
    }

    fn latch(policy: Policy) -> (Latch, Instant) {
        let signalling = Some("192.0.2.9".parse().unwrap());
        (Latch::new(policy, Some(address(SDP)), signalling), Instant::now())
    }

    fn locked_to_sdp() -> (Latch, Instant) {
        let (mut latch, now) = latch(Policy::AnyProven);
        assert_eq!(latch.packet(&rtp(SDP, 1), now), Verdict::Latched(address(SDP)));
        (latch, now)
    }

    #[test]
    fn before_anything_came_media_goes_where_the_sdp_says() {
        let (latch, _) = latch(Policy::AnyProven);
        assert_eq!((latch.target(), latch.locked()), (Some(address(SDP)), None));
        for nowhere in ["0.0.0.0:4000", "192.0.2.1:0", "224.0.0.1:4000", "[::]:4000"] {
            assert_eq!(Latch::new(Policy::AnyProven, Some(address(nowhere)), None).target(), None);
        }
    }

    #[test]
    fn the_host_of_the_sdp_or_of_signalling_latches_at_once_from_any_port() {
        for from in [SDP, "192.0.2.1:31000", "192.0.2.9:5555"] {
            let (mut latch, now) = latch(Policy::NamedHosts);
            assert_eq!(latch.packet(&rtp(from, 1), now), Verdict::Latched(address(from)));
            assert_eq!(latch.packet(&rtp(from, 2), now), Verdict::Accept);
            assert_eq!(latch.target(), Some(address(from)));
        }
    }

    #[test]
    fn a_stranger_is_believed_after_packets_in_a_row_and_never_by_a_trunk() {
        let nat = "203.0.113.5:1024";
        let (mut open, now) = latch(Policy::AnyProven);
        assert_eq!(open.packet(&rtp(nat, 8), now), Verdict::Refuse(Refusal::Unproven));
        assert_eq!(open.packet(&rtp(nat, 20), now), Verdict::Refuse(Refusal::Unproven));
        assert_eq!(open.packet(&rtp(nat, 21), now), Verdict::Refuse(Refusal::Unproven));
        assert_eq!(open.packet(&rtp(nat, 22), now), Verdict::Latched(address(nat)));
        let (mut trunk, now) = latch(Policy::NamedHosts);
        for sequence in 0..10 {
            let verdict = trunk.packet(&rtp(nat, sequence), now);
            assert_eq!(verdict, Verdict::Refuse(Refusal::Stranger));
        }
    }

    #[test]
    fn two_strangers_at_once_hinder_each_other_and_the_named_host_wins() {
        let (mut latch, now) = latch(Policy::AnyProven);
        for sequence in 0..10 {
            for from in ["203.0.113.5:1", "198.51.100.7:1"] {
                let verdict = latch.packet(&rtp(from, sequence), now);
                assert_eq!(verdict, Verdict::Refuse(Refusal::Unproven));
            }
        }
        assert_eq!(latch.packet(&rtp(SDP, 900), now), Verdict::Latched(address(SDP)));
    }

    #[test]
    fn injection_into_a_locked_leg_is_refused_whatever_it_knows() {
        let (mut latch, now) = locked_to_sdp();
        for from in ["203.0.113.5:1024", "192.0.2.1:4001", "192.0.2.9:4000"] {
            for sequence in 2..20 {
                let verdict = latch.packet(&rtp(from, sequence), now);
                assert_eq!(verdict, Verdict::Refuse(Refusal::Locked), "{from}");
            }
        }
        let later = now + Duration::from_secs(3_600);
        let verdict = latch.packet(&rtp("203.0.113.5:1024", 21), later);
        assert_eq!(verdict, Verdict::Refuse(Refusal::Locked), "silence opens nothing");
        assert_eq!(latch.packet(&rtp(SDP, 3), later), Verdict::Accept);
    }

    #[test]
    fn a_new_source_from_the_locked_address_is_accepted() {
        let (mut latch, now) = locked_to_sdp();
        let other = Arrival { ssrc: Some(99), ..rtp(SDP, 40_000) };
        assert_eq!(latch.packet(&other, now), Verdict::Accept);
        let stun = Arrival { ssrc: None, ..other };
        assert_eq!(latch.packet(&stun, now), Verdict::Accept);
    }

    #[test]
    fn after_a_new_offer_another_address_takes_over_once_and_the_old_one_sounds_until_then() {
        let (mut latch, now) = locked_to_sdp();
        let new = "192.0.2.77:6000";
        latch.reopen(Some(address(new)), now);
        assert_eq!(latch.target(), Some(address(SDP)));
        assert_eq!(latch.packet(&rtp(SDP, 2), now), Verdict::Accept);
        assert_eq!(latch.packet(&rtp(new, 1), now), Verdict::Latched(address(new)));
        assert_eq!(latch.packet(&rtp(SDP, 3), now), Verdict::Refuse(Refusal::Locked));
    }

    #[test]
    fn a_latch_that_was_opened_again_closes_by_itself() {
        let (mut latch, now) = locked_to_sdp();
        latch.reopen(Some(address(SDP)), now);
        let from = "203.0.113.5:1024";
        assert_eq!(latch.packet(&rtp(from, 1), now), Verdict::Refuse(Refusal::Unproven));
        let after = now + REOPEN;
        assert_eq!(latch.packet(&rtp(from, 2), after), Verdict::Refuse(Refusal::Locked));
        latch.reopen(Some(address(SDP)), after);
        for sequence in [3, 4] {
            let verdict = latch.packet(&rtp(from, sequence), after);
            assert_eq!(verdict, Verdict::Refuse(Refusal::Unproven), "it began anew");
        }
        assert_eq!(latch.packet(&rtp(from, 5), after), Verdict::Latched(address(from)));
    }

    #[test]
    fn a_packet_that_proves_its_key_latches_at_once() {
        let (mut latch, now) = latch(Policy::NamedHosts);
        let proven = Arrival { proven: true, ..rtp("203.0.113.5:1024", 1) };
        assert_eq!(latch.packet(&proven, now), Verdict::Latched(proven.from));
    }

    #[test]
    fn what_is_no_media_latches_nothing() {
        let (mut latch, now) = latch(Policy::AnyProven);
        let stun = Arrival { ssrc: None, ..rtp(SDP, 1) };
        assert_eq!(latch.packet(&stun, now), Verdict::Refuse(Refusal::NotMedia));
        assert_eq!(latch.locked(), None);
    }

    proptest! {
        #[test]
        fn between_two_offers_the_target_changes_once(
            packets in proptest::collection::vec((0u8..4, 0u16..4, 0u32..2, any::<bool>()), 1..200)
        ) {
            let (mut latch, now) = latch(Policy::AnyProven);
            let mut latched = 0;
            for (host, sequence, ssrc, proven) in packets {
                let from = SocketAddr::from(([203, 0, 113, host], 4_000));
                let arrival = Arrival { from, ssrc: Some(ssrc), sequence: Some(sequence), proven };
                match latch.packet(&arrival, now) {
                    Verdict::Latched(to) => { latched += 1; prop_assert_eq!(latch.target(), Some(to)); }
                    Verdict::Accept => prop_assert_eq!(latch.locked(), Some(from)),
                    Verdict::Refuse(_) => prop_assert_ne!(latch.locked(), Some(from)),
                }
            }
            prop_assert!(latched <= 1);
        }
    }
}
