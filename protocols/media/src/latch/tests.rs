//! Latches that close, hold, yield and follow.

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
    let (mut latch, now) = (Latch::new(policy, signalling), Instant::now());
    latch.describe(Some(address(SDP)), now);
    (latch, now)
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
        let mut latch = Latch::new(Policy::AnyProven, None);
        latch.describe(Some(address(nowhere)), Instant::now());
        assert_eq!(latch.target(), None);
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
fn nobody_is_heard_before_a_description() {
    let signalling = Some("192.0.2.9".parse().unwrap());
    let (mut latch, now) = (Latch::new(Policy::AnyProven, signalling), Instant::now());
    for sequence in 0..10 {
        for from in ["203.0.113.5:1024", "192.0.2.9:5555", SDP] {
            let arrival = Arrival { proven: true, ..rtp(from, sequence) };
            let verdict = latch.packet(&arrival, now);
            assert_eq!(verdict, Verdict::Refuse(Refusal::Undescribed));
        }
    }
    assert_eq!(latch.target(), None);
}

/// Locked to a stranger that sent first.
fn guessed() -> (Latch, Instant) {
    let (mut latch, now) = latch(Policy::AnyProven);
    for sequence in 0..3 {
        latch.packet(&rtp("203.0.113.5:1024", sequence), now);
    }
    assert_eq!(latch.locked(), Some(address("203.0.113.5:1024")));
    (latch, now)
}

#[test]
fn a_stranger_who_sent_first_yields_to_the_peer_at_any_time_and_does_not_come_back() {
    let key = Arrival { proven: true, ..rtp("198.51.100.7:9", 1) };
    for peer in [rtp(SDP, 1), rtp("192.0.2.1:31000", 1), rtp("192.0.2.9:5555", 1), key] {
        let (mut latch, now) = guessed();
        let later = now + Duration::from_secs(3_600);
        assert_eq!(latch.packet(&peer, later), Verdict::Latched(peer.from));
        assert_eq!(latch.target(), Some(peer.from));
        for sequence in 3..10 {
            let verdict = latch.packet(&rtp("203.0.113.5:1024", sequence), later);
            assert_eq!(verdict, Verdict::Refuse(Refusal::Locked));
        }
    }
}

#[test]
fn the_address_of_the_sdp_is_heard_even_when_its_signalling_spoke_before() {
    let (mut latch, now) = latch(Policy::AnyProven);
    assert_eq!(
        latch.packet(&rtp("192.0.2.9:5555", 1), now),
        Verdict::Latched(address("192.0.2.9:5555"))
    );
    assert_eq!(latch.packet(&rtp(SDP, 1), now), Verdict::Latched(address(SDP)));
    let verdict = latch.packet(&rtp("192.0.2.9:5555", 2), now);
    assert_eq!(verdict, Verdict::Refuse(Refusal::Locked));
}

#[test]
fn rtcp_in_a_row_proves_nothing() {
    let (mut latch, now) = latch(Policy::AnyProven);
    let rtcp = Arrival { sequence: None, ..rtp("203.0.113.5:1024", 0) };
    for _ in 0..10 {
        assert_eq!(latch.packet(&rtcp, now), Verdict::Refuse(Refusal::Unproven));
    }
}

#[test]
fn the_host_of_other_media_is_heard_until_they_come_from_elsewhere() {
    let (mut latch, now) = latch(Policy::NamedHosts);
    let rtcp = |from| Arrival { sequence: None, ..rtp(from, 0) };
    let (first, second) = ("203.0.113.5:1025", "203.0.113.6:1025");
    assert_eq!(latch.packet(&rtcp(first), now), Verdict::Refuse(Refusal::Stranger));
    latch.vouch(address(first).ip());
    assert_eq!(latch.packet(&rtcp(first), now), Verdict::Latched(address(first)));
    assert_eq!(latch.packet(&rtcp(second), now), Verdict::Refuse(Refusal::Locked));
    latch.vouch(address(second).ip());
    assert_eq!(latch.target(), Some(address(SDP)));
    assert_eq!(latch.packet(&rtcp(second), now), Verdict::Latched(address(second)));
    assert_eq!(latch.packet(&rtcp(SDP), now), Verdict::Latched(address(SDP)));
}

#[test]
fn who_moves_is_sent_to_at_once_and_the_old_source_is_heard_until_the_new_one_speaks() {
    let (mut latch, now) = locked_to_sdp();
    let new = "192.0.2.77:6000";
    latch.describe(Some(address(new)), now);
    assert_eq!(latch.target(), Some(address(new)));
    assert_eq!(latch.packet(&rtp(SDP, 2), now), Verdict::Accept);
    assert_eq!(latch.target(), Some(address(new)), "what was under way changes nothing");
    let late = now + REOPEN * 6;
    assert_eq!(latch.packet(&rtp(SDP, 3), late), Verdict::Accept);
    assert_eq!(latch.packet(&rtp(new, 1), late), Verdict::Latched(address(new)));
    assert_eq!(latch.packet(&rtp(SDP, 4), late), Verdict::Refuse(Refusal::Locked));
}

#[test]
fn a_new_host_is_heard_from_any_port_however_late_and_a_stranger_is_not() {
    let (mut latch, now) = locked_to_sdp();
    latch.describe(Some(address("192.0.2.77:6000")), now);
    let late = now + REOPEN;
    for sequence in 0..10 {
        let verdict = latch.packet(&rtp("203.0.113.5:1024", sequence), late);
        assert_eq!(verdict, Verdict::Refuse(Refusal::Locked));
    }
    let new = "192.0.2.77:31000";
    assert_eq!(latch.packet(&rtp(new, 1), late), Verdict::Latched(address(new)));
}

#[test]
fn a_description_that_stays_leaves_the_target_and_a_hold_sends_nowhere() {
    let nat = "192.0.2.1:31000";
    let (mut latch, now) = latch(Policy::AnyProven);
    latch.packet(&rtp(nat, 1), now);
    latch.describe(Some(address(SDP)), now);
    assert_eq!(latch.target(), Some(address(nat)));
    latch.describe(Some(address("0.0.0.0:4000")), now);
    assert_eq!((latch.target(), latch.locked()), (None, Some(address(nat))));
    latch.describe(Some(address(SDP)), now);
    assert_eq!(latch.target(), Some(address(nat)), "it is where it was");
}

#[test]
fn a_latch_that_was_opened_again_closes_by_itself() {
    let (mut latch, now) = locked_to_sdp();
    latch.describe(Some(address(SDP)), now);
    let from = "203.0.113.5:1024";
    assert_eq!(latch.packet(&rtp(from, 1), now), Verdict::Refuse(Refusal::Unproven));
    let after = now + REOPEN;
    assert_eq!(latch.packet(&rtp(from, 2), after), Verdict::Refuse(Refusal::Locked));
    latch.describe(Some(address(SDP)), after);
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
    fn between_two_offers_a_guess_yields_once_and_nothing_else_does(
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
        prop_assert!(latched <= 2);
    }
}

#[test]
fn who_was_there_before_is_not_taken_for_who_comes_after() {
    let (old, nat) = ("192.0.2.9:4000", "203.0.113.5:1024");
    let fresh = |named: &str| {
        let signalling = Some(address(nat).ip());
        let mut latch = Latch::new(Policy::AnyProven, signalling).after(Some(address(old)));
        let now = Instant::now();
        latch.describe(Some(address(named)), now);
        (latch, now)
    };
    let (mut latch, now) = fresh("10.0.0.7:4000");
    for sequence in 1..9 {
        let heard = latch.packet(&rtp(old, sequence), now);
        assert_eq!(heard, Verdict::Refuse(Refusal::Locked));
    }
    assert_eq!(latch.packet(&rtp(nat, 1), now), Verdict::Latched(address(nat)));
    let (mut same, now) = fresh(old);
    assert_eq!(same.packet(&rtp(old, 1), now), Verdict::Latched(address(old)));
}

#[test]
fn a_host_that_signals_later_has_the_latch_of_one_who_guessed() {
    let (stranger, nat) = ("198.51.100.7:9", "203.0.113.5:1024");
    let (mut latch, now) = latch(Policy::AnyProven);
    for sequence in 1..=3 {
        latch.packet(&rtp(stranger, sequence), now);
    }
    assert_eq!(latch.locked(), Some(address(stranger)));
    latch.signalled(address(nat).ip());
    assert_eq!(latch.packet(&rtp(nat, 1), now), Verdict::Latched(address(nat)));
}
