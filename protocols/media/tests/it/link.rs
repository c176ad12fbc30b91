//! Two legs over a network that loses, repeats and reorders: what one sends the other plays.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proto_media::g711::Law;
use proto_media::jitter::{Frame, Playout, Put, Settings};
use proto_media::latch::{Arrival, Latch, Policy, Refusal, Verdict};
use proto_media::quality::{Codec, Counters, Stretch};
use proto_media::rtcp::{self, Rtcp, SenderReport, round_trip};
use proto_media::srtp::{Context, MasterKey, SrtpError, Suite};
use proto_media::tone::{Generator, Tone};
use proto_media::{JitterBuffer, Packet, rtcp::Reception};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const FRAME: Duration = Duration::from_millis(20);

struct Listening {
    keys: Context,
    latch: Latch,
    reception: Option<Reception>,
    buffer: JitterBuffer,
    counters: Counters,
}

impl Listening {
    fn new(keys: Context, now: Instant) -> Self {
        let named = Some(SocketAddr::from(([10, 0, 0, 5], 4_000)));
        let mut latch = Latch::new(Policy::AnyProven, None);
        latch.describe(named, now);
        Self {
            keys,
            latch,
            reception: None,
            buffer: JitterBuffer::new(Settings::default()),
            counters: Counters::default(),
        }
    }

    /// As a relay does: open, ask the latch, count, keep.
    fn datagram(&mut self, from: SocketAddr, mut octets: Vec<u8>, now: Instant) -> Verdict {
        let opened = self.keys.unprotect(&mut octets);
        let packet = opened.ok().and_then(|length| Packet::parse(&octets[..length]).ok());
        let arrival = Arrival {
            from,
            ssrc: packet.map(|packet| packet.ssrc),
            sequence: packet.map(|packet| packet.sequence),
            proven: packet.is_some(),
        };
        let verdict = self.latch.packet(&arrival, now);
        let (Some(packet), Verdict::Accept | Verdict::Latched(_)) = (packet, verdict) else {
            if opened == Err(SrtpError::Replayed) {
                self.counters.duplicates += 1;
            } else {
                self.counters.refused += 1;
            }
            return verdict;
        };
        self.counters.packets += 1;
        self.reception
            .get_or_insert_with(|| Reception::new(&packet, 8_000, now))
            .packet(&packet, now);
        let put = self.buffer.put(Frame {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            payload_type: packet.payload_type,
            marker: packet.marker,
            payload: packet.payload.to_vec(),
        });
        self.counters.late += u64::from(put == Put::Late);
        verdict
    }
}

fn keys() -> Context {
    Context::new(Suite::AesCm128HmacSha1_80, MasterKey::new([9; 30]))
}

#[test]
fn a_leg_over_a_bad_network_is_heard_measured_and_not_to_be_joined() {
    let mut rng = StdRng::seed_from_u64(20);
    let mut now = Instant::now();
    let (mut sender, mut listening) = (keys(), Listening::new(keys(), Instant::now()));
    let behind_nat = SocketAddr::from(([203, 0, 113, 9], 31_337));
    let attacker = SocketAddr::from(([198, 51, 100, 66], 5_000));
    let mut tone = Generator::new(&Tone::DIAL_EU, 8_000);
    let (mut samples, mut on_the_way) = ([0; 160], Vec::new());
    let (mut lost, mut played, mut concealed) = (0, 0, 0);
    for number in 0..3_000_u32 {
        tone.fill(&mut samples);
        let mut payload = Vec::new();
        Law::A.encode_all(&samples, &mut payload);
        let sequence = (30_000 + number) as u16;
        let mut octets = Vec::new();
        Packet::new(8, sequence, number * 160, 77, &payload).write(&mut octets).unwrap();
        sender.protect(&mut octets).unwrap();
        if rng.random_ratio(3, 100) {
            lost += 1;
        } else {
            let delay = Duration::from_millis(rng.random_range(30..60));
            on_the_way.push((now + delay, octets.clone()));
            if rng.random_ratio(2, 100) {
                on_the_way.push((now + delay * 2, octets));
            }
        }
        now += FRAME;
        on_the_way.sort_by_key(|(at, _)| *at);
        while on_the_way.first().is_some_and(|(at, _)| *at <= now) {
            let (at, octets) = on_the_way.remove(0);
            listening.datagram(behind_nat, octets, at);
        }
        let mut injected = Vec::new();
        Packet::new(8, sequence, number * 160, 77, &[0; 160]).write(&mut injected).unwrap();
        injected.extend([0; 10]);
        let verdict = listening.datagram(attacker, injected, now);
        assert!(matches!(verdict, Verdict::Refuse(Refusal::Locked | Refusal::NotMedia)));
        match listening.buffer.take() {
            Playout::Frame(frame) => {
                assert_eq!(frame.payload.len(), 160);
                played += 1;
            }
            Playout::Conceal => concealed += 1,
            Playout::Wait => {}
        }
    }
    assert_eq!(listening.latch.locked(), Some(behind_nat));
    assert!(played > 2_850 && concealed < 140, "{played} {concealed} of {lost}");
    assert_eq!(listening.counters.refused, 3_000);
    assert!(listening.counters.duplicates > 30);
    let block = listening.reception.as_mut().unwrap().block(now).unwrap();
    // What is still on the way, and the packet that only began the count, are the difference.
    assert!((block.lost - lost).abs() <= 4, "{} {lost}", block.lost);
    let stretch = Stretch::of_block(&block, 8_000, Some(Duration::from_millis(90)));
    assert!((5..15).contains(&stretch.jitter.as_millis()), "{:?}", stretch.jitter);
    let mos = listening.counters.stretch(&stretch, Codec::G711_CONCEALED);
    assert!((350..430).contains(&mos), "{mos}");
}

#[test]
fn reports_of_both_ends_give_the_round_trip() {
    let start = Instant::now();
    // One second is 2^32 here.
    let ntp = |millis: u64| 0xE000_0000_0000_0000 + (millis << 32) / 1_000;
    let report = SenderReport { ssrc: 77, ntp: ntp(1_000), ..SenderReport::default() };
    let mut octets = Vec::new();
    Rtcp::SenderReport(report).write(&mut octets).unwrap();
    let first = |sequence| Packet::new(0, sequence, 0, 77, &[]);
    let mut reception = Reception::new(&first(1), 8_000, start);
    reception.packet(&first(1), start);
    reception.packet(&first(2), start);
    let Rtcp::SenderReport(heard) = &rtcp::compound(&octets).unwrap()[0] else { panic!() };
    reception.sender_report(heard.ssrc, heard.ntp, start);
    let block = reception.block(start + Duration::from_millis(700)).unwrap();
    let trip = round_trip(ntp(1_000 + 40 + 700 + 35), &block).unwrap();
    assert_eq!(trip.as_millis(), 74, "75 but for what 1/65536 s cannot tell");
}
