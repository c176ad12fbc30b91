//! SRTP against the vectors of RFC 3711 and of libsrtp, and against itself over wraps and replays.

use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

fn master() -> MasterKey {
    let octets = hex("e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6");
    MasterKey::new(octets.try_into().unwrap())
}

fn context(suite: Suite) -> Context {
    Context::new(suite, master())
}

fn pair() -> (Context, Context) {
    (context(Suite::AesCm128HmacSha1_80), context(Suite::AesCm128HmacSha1_80))
}

fn packet(sequence: u16) -> Vec<u8> {
    let mut out = Vec::new();
    crate::Packet::new(0, sequence, 160, 7, b"some sound").write(&mut out).unwrap();
    out
}

fn sealed(context: &mut Context, sequence: u16) -> Vec<u8> {
    let mut octets = packet(sequence);
    context.protect(&mut octets).unwrap();
    octets
}

fn opened(context: &mut Context, sealed: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut octets = sealed.to_vec();
    let length = context.unprotect(&mut octets)?;
    octets.truncate(length);
    Ok(octets)
}

#[test]
fn the_key_stream_is_that_of_rfc_3711_b2() {
    let key: [u8; 16] = hex("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
    let iv: [u8; 16] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
    let mut stream = vec![0; 0xFF02 * 16];
    apply(&Aes128::new(&key.into()), &iv, &mut stream);
    for (block, expected) in [
        (0, "E03EAD0935C95E80E166B16DD92B4EB4"),
        (1, "D23513162B02D0F72A43A2FE4A5F97AB"),
        (2, "41E95B3BB0A2E8DD477901E4FCA894C0"),
        (0xFEFF, "EC8CDF7398607CB0F2D21675EA9EA1E4"),
        (0xFF00, "362B7C3C6773516318A077D7FC5073AE"),
        (0xFF01, "6A2CC3787889374FBEB4C81B17BA6C44"),
    ] {
        assert_eq!(stream[block * 16..][..16], hex(expected), "{block:x}");
    }
}

#[test]
fn the_keys_are_derived_as_in_rfc_3711_b3() {
    let octets = master().0;
    let cipher = Aes128::new(octets.first_chunk::<16>().unwrap().into());
    let salt = octets.last_chunk::<14>().unwrap();
    let derived = |label, length| {
        let mut out = vec![0; length];
        derive(&cipher, salt, label, &mut out);
        out
    };
    assert_eq!(derived(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(derived(1, 20), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

#[test]
fn a_packet_is_sealed_as_libsrtp_does() {
    let plain = format!("800f1234decafbadcafebabe{}", "ab".repeat(16));
    let mut octets = hex(&plain);
    let mut context = context(Suite::AesCm128HmacSha1_80);
    context.protect(&mut octets).unwrap();
    let expected =
        hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb");
    assert_eq!(octets, expected);
}

#[test]
fn a_report_is_sealed_as_libsrtp_does() {
    let plain = format!("81c8000bcafebabe{}", "ab".repeat(16));
    let mut octets = hex(&plain);
    let mut sender = context(Suite::AesCm128HmacSha1_80);
    sender.protect_rtcp(&mut octets).unwrap();
    let expected =
        hex("81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798");
    assert_eq!(octets, expected);
    let mut receiver = context(Suite::AesCm128HmacSha1_80);
    assert_eq!(receiver.unprotect_rtcp(&mut octets), Ok(24));
    assert_eq!(octets[..24], hex(&plain));
}

#[test]
fn what_was_sealed_opens_once() {
    for suite in [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32] {
        let (mut sender, mut receiver) = (context(suite), context(suite));
        let octets = sealed(&mut sender, 5);
        assert_eq!(octets.len(), packet(5).len() + suite.tag());
        assert_eq!(opened(&mut receiver, &octets), Ok(packet(5)));
        assert_eq!(opened(&mut receiver, &octets), Err(SrtpError::Replayed));
    }
}

#[test]
fn a_report_opens_once_and_in_any_order() {
    let (mut sender, mut receiver) = pair();
    let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
    let mut reports = Vec::new();
    for _ in 0..3 {
        let mut octets = report.to_vec();
        sender.protect_rtcp(&mut octets).unwrap();
        reports.push(octets);
    }
    for at in [2, 0, 1] {
        assert_eq!(receiver.unprotect_rtcp(&mut reports[at].clone()), Ok(8));
        assert_eq!(receiver.unprotect_rtcp(&mut reports[at].clone()), Err(SrtpError::Replayed));
    }
}

#[test]
fn a_packet_changed_anywhere_is_refused_and_changes_nothing() {
    let (mut sender, mut receiver) = pair();
    let octets = sealed(&mut sender, 1);
    for at in 0..octets.len() {
        let mut changed = octets.clone();
        changed[at] ^= 0x10;
        assert!(opened(&mut receiver, &changed).is_err(), "{at}");
    }
    assert!(receiver.rtp_tracks.sources.is_empty());
    assert_eq!(opened(&mut receiver, &octets), Ok(packet(1)));
}

#[test]
fn packets_too_short_are_refused() {
    let (mut sender, mut receiver) = pair();
    let octets = sealed(&mut sender, 1);
    for length in 0..22 {
        assert!(receiver.unprotect(&mut octets.clone()[..length]).is_err(), "{length}");
        assert!(receiver.unprotect_rtcp(&mut octets.clone()[..length]).is_err(), "{length}");
    }
    assert_eq!(sender.protect_rtcp(&mut vec![0x80; 7]), Err(SrtpError::Short));
    assert!(sender.protect_rtcp(&mut vec![0; 8]).is_err());
}

#[test]
fn the_rollover_is_kept_over_a_new_offer_with_the_same_key() {
    let (mut sender, mut receiver) = pair();
    for sequence in [65_533, 65_534, 65_535, 0, 1] {
        let octets = sealed(&mut sender, sequence);
        assert_eq!(opened(&mut receiver, &octets), Ok(packet(sequence)));
    }
    receiver.rekey(Suite::AesCm128HmacSha1_80, master());
    let octets = sealed(&mut sender, 2);
    assert_eq!(opened(&mut receiver, &octets), Ok(packet(2)));
    let mut fresh = context(Suite::AesCm128HmacSha1_80);
    let octets = sealed(&mut sender, 3);
    assert_eq!(opened(&mut fresh, &octets), Err(SrtpError::Tag), "it does not know of the wrap");
    receiver.rekey(Suite::AesCm128HmacSha1_80, MasterKey::new([1; MASTER]));
    let octets = sealed(&mut sender, 4);
    assert_eq!(opened(&mut receiver, &octets), Err(SrtpError::Tag));
}

#[test]
fn an_index_that_jumps_is_followed_and_a_forged_jump_is_not() {
    let (mut sender, mut receiver) = pair();
    let first = sealed(&mut sender, 10);
    opened(&mut receiver, &first).unwrap();
    let mut forged = packet(30_000);
    forged.extend([0; 10]);
    assert_eq!(opened(&mut receiver, &forged), Err(SrtpError::Tag));
    for sequence in [20_000, 40_000, 60_000, 5_000] {
        let octets = sealed(&mut sender, sequence);
        assert_eq!(opened(&mut receiver, &octets), Ok(packet(sequence)));
    }
    assert_eq!(receiver.rtp_tracks.sources[0].track.guess(5_001), Some(0x1_0000 + 5_001));
}

#[test]
fn nothing_is_sealed_twice_under_one_index() {
    let (mut sender, _) = pair();
    sealed(&mut sender, 10);
    let mut again = packet(10);
    assert_eq!(sender.protect(&mut again), Err(SrtpError::Replayed));
    assert_eq!(again, packet(10), "it is as it was");
}

#[test]
fn sources_that_are_sealed_under_one_key_have_a_limit_and_strangers_use_none_up() {
    let (mut sender, mut receiver) = pair();
    let of = |ssrc: u32| {
        let mut out = Vec::new();
        crate::Packet::new(0, 1, 0, ssrc, &[]).write(&mut out).unwrap();
        out
    };
    for ssrc in 0..1_000 {
        let mut forged = [of(ssrc), vec![0; 10]].concat();
        assert_eq!(receiver.unprotect(&mut forged), Err(SrtpError::Tag));
    }
    for ssrc in 0..1_024 {
        let mut octets = of(ssrc);
        sender.protect(&mut octets).unwrap();
        receiver.unprotect(&mut octets).unwrap();
    }
    assert_eq!(sender.protect(&mut of(1_024)), Err(SrtpError::Sources));
    assert_eq!(receiver.forgotten(), 0);
}

#[test]
fn one_source_too_many_is_heard_and_the_one_least_recently_heard_is_forgotten() {
    let mut receiver = context(Suite::AesCm128HmacSha1_80);
    let sealed = |ssrc: u32, sequence: u16| {
        let mut out = Vec::new();
        crate::Packet::new(0, sequence, 0, ssrc, &[]).write(&mut out).unwrap();
        context(Suite::AesCm128HmacSha1_80).protect(&mut out).unwrap();
        out
    };
    for ssrc in 0..1_024 {
        receiver.unprotect(&mut sealed(ssrc, 1)).unwrap();
    }
    receiver.unprotect(&mut sealed(0, 2)).unwrap();
    assert!(receiver.unprotect(&mut sealed(1_024, 1)).is_ok());
    assert_eq!(receiver.forgotten(), 1);
    assert_eq!(receiver.unprotect(&mut sealed(0, 2)), Err(SrtpError::Replayed), "0 is kept");
    assert!(receiver.unprotect(&mut sealed(1, 2)).is_ok(), "1 begins anew");
    assert_eq!(receiver.forgotten(), 2);
}

#[test]
fn a_context_is_shown_without_its_keys() {
    let shown = format!("{:?}", context(Suite::AesCm128HmacSha1_32));
    assert_eq!(shown, "Context { suite: AesCm128HmacSha1_32, sources: 0 }");
}

proptest! {
    #[test]
    fn packets_lost_and_reordered_open_as_they_were(
        start in any::<u16>(),
        steps in proptest::collection::vec((1u16..2_000, any::<bool>(), any::<bool>()), 1..60),
    ) {
        let (mut sender, mut receiver) = pair();
        // RFC 3711 asks for a first number in the lower half; so do we of ourselves.
        let mut sequence = start % 0x8000;
        let mut held: Option<(u16, Vec<u8>)> = None;
        for (step, lost, hold) in steps {
            let octets = sealed(&mut sender, sequence);
            if !lost {
                let one = (sequence, octets);
                if hold && held.is_none() && step < 100 {
                    held = Some(one);
                } else {
                    prop_assert_eq!(opened(&mut receiver, &one.1), Ok(packet(one.0)));
                    if let Some((number, octets)) = held.take() && !receiver.rtp_tracks.sources.is_empty()
                        && one.0.wrapping_sub(number) < 128 && number < one.0 {
                        prop_assert_eq!(opened(&mut receiver, &octets), Ok(packet(number)));
                    }
                }
            }
            sequence = sequence.wrapping_add(step);
        }
    }

    #[test]
    fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
        let (mut one, mut two) = pair();
        let mut octets = octets;
        let _ = (one.unprotect(&mut octets.clone()), one.unprotect_rtcp(&mut octets.clone()));
        let _ = (two.protect_rtcp(&mut octets.clone()), two.protect(&mut octets));
    }
}
