//! What each fuzz target does with its octets: anything may come in, no law may break.
//!
//! The fuzzer calls these, and so does an ordinary test on the corpus that is kept. A broken law
//! is a panic.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proto_media::dtmf::{Heard, Listener, info};
use proto_media::g711::Law;
use proto_media::jitter::{Frame, Playout, Settings};
use proto_media::latch::{Arrival, Latch, Policy, Verdict};
use proto_media::rtcp::{self, Reception};
use proto_media::rtp::{self, Head, Packet, Rewrite};
use proto_media::srtp::sdes::Crypto;
use proto_media::srtp::{Context, MasterKey, Suite};
use proto_media::wav::{self, Wav};
use proto_media::{Converter, Digit, JitterBuffer, Speech};

fn context() -> Context {
    Context::new(Suite::AesCm128HmacSha1_80, MasterKey::new([7; 30]))
}

/// One datagram on a media port.
pub fn rtp(data: &[u8]) {
    let _ = rtp::kind(data);
    let mut out = data.to_vec();
    assert!(context().unprotect(&mut out).is_err(), "nobody guesses a tag");
    assert_eq!(out, data, "what is refused is not changed");
    let Ok(first) = Packet::parse(data) else { return };
    let head = Head::parse(data).expect("a packet has a head");
    assert_eq!((head.ssrc, head.octets), (first.ssrc, first.header_len()));
    if let Some(extension) = &first.extension {
        assert!(extension.elements().count() <= extension.data.len());
    }
    let mut again = Vec::new();
    first.write(&mut again).expect("what was read fits");
    assert_eq!(Packet::parse(&again), Ok(first));
    let (mut sender, mut receiver) = (context(), context());
    let mut sealed = again.clone();
    sender.protect(&mut sealed).expect("a first packet is sealed");
    let length = receiver.unprotect(&mut sealed).expect("what was sealed opens");
    assert_eq!(sealed[..length], again);
    let with = Rewrite { payload_type: 8, sequence: 1, timestamp: 2, ssrc: 3 };
    assert!(rtp::rewrite(&mut again, &with));
    let changed = Packet::parse(&again).expect("it is a packet still");
    assert_eq!((changed.ssrc, changed.payload), (3, first.payload));
}

/// One datagram on an RTCP port.
pub fn rtcp(data: &[u8]) {
    let mut sealed = data.to_vec();
    assert!(context().unprotect_rtcp(&mut sealed).is_err(), "nobody guesses a tag");
    let Ok(packets) = rtcp::compound(data) else { return };
    assert!(packets.len() <= rtcp::PACKETS_MAX);
    let mut out = Vec::new();
    for packet in &packets {
        packet.write(&mut out).expect("what was read fits");
    }
    assert_eq!(rtcp::compound(&out), Ok(packets));
}

/// A leg in time: each order is eight octets, what comes and when.
pub fn stream(data: &[u8]) {
    let mut now = epoch();
    let named = SocketAddr::from(([192, 0, 2, 1], 4_000));
    let mut latch = Latch::new(Policy::AnyProven, None);
    latch.describe(Some(named), now);
    let mut buffer = JitterBuffer::new(Settings::default());
    let mut listener = Listener::new(8_000);
    let mut reception: Option<Reception> = None;
    let (mut opened, mut latched, mut open) = (1, 0, false);
    for order in data.as_chunks::<8>().0 {
        let [what, from, high, low, stamp, millis, event, flags] = *order;
        now += Duration::from_millis(u64::from(millis));
        let mut packet = Packet::new(0, u16::from_be_bytes([high, low]), 0, 0, &[]);
        packet.ssrc = u32::from(flags & 3);
        packet.timestamp = u32::from(stamp) * 80;
        let payload = [event % 20, flags & 0x80, high, low];
        match what % 6 {
            0 => {
                latch.describe(Some(named), now);
                opened += 1;
            }
            1 => {
                let arrival = Arrival {
                    from: SocketAddr::from(([192, 0, 2, from % 4], 4_000)),
                    ssrc: (flags & 4 == 0).then_some(packet.ssrc),
                    sequence: Some(packet.sequence),
                    proven: flags & 8 != 0,
                };
                if let Verdict::Latched(to) = latch.packet(&arrival, now) {
                    latched += 1;
                    assert_eq!(latch.target(), Some(to));
                }
                assert!(latched <= 3 * opened, "a guess, a key, and what the SDP names");
            }
            2 => {
                let heard = listener.packet(packet.timestamp, flags & 0x40 != 0, &payload, now);
                open = presses(open, &heard);
            }
            3 => open = presses(open, listener.tick(now).as_slice()),
            4 => {
                buffer.put(Frame {
                    sequence: packet.sequence,
                    timestamp: packet.timestamp,
                    payload_type: 0,
                    marker: false,
                    payload: Vec::new(),
                });
                assert!(buffer.waiting() <= Settings::default().slots);
                let reception = reception.get_or_insert(Reception::new(&packet, 8_000, now));
                reception.packet(&packet, now);
                if flags & 0x20 != 0 {
                    let _ = (reception.block(now), reception.jitter());
                }
            }
            _ => {
                let waiting = buffer.waiting();
                match buffer.take() {
                    Playout::Frame(_) => assert!(buffer.waiting() < waiting),
                    Playout::Conceal | Playout::Wait => assert!(buffer.waiting() <= waiting),
                }
            }
        }
    }
}

/// Presses and releases take turns; gives whether a key is down.
fn presses(mut down: bool, heard: &[Heard]) -> bool {
    for one in heard {
        match one {
            Heard::Pressed(_) => assert!(!std::mem::replace(&mut down, true), "one key at a time"),
            Heard::Released(..) => assert!(std::mem::replace(&mut down, false), "it was down"),
        }
    }
    down
}

#[expect(clippy::disallowed_methods, reason = "some moment has to be the first")]
fn epoch() -> Instant {
    Instant::now()
}

/// A file as somebody uploads it.
pub fn wav(data: &[u8]) {
    let Ok(first) = Wav::parse(data) else { return };
    assert_eq!(first.mono().count(), first.frames());
    let length = first.data.len() as u64;
    let head = wav::header(first.format, first.channels, first.rate_hz, length);
    let again = [&head.expect("what was read fits")[..], first.data].concat();
    assert_eq!(Wav::parse(&again), Ok(first));
}

/// What comes in bodies and attributes: the first octet says as what.
pub fn texts(data: &[u8]) {
    let [first, rest @ ..] = data else { return };
    match first % 3 {
        0 => {
            let Ok(crypto) = Crypto::parse(&String::from_utf8_lossy(rest)) else { return };
            let again = Crypto::parse(&crypto.value()).expect("what is written is read");
            assert_eq!((again.tag, again.suite, again.key), (crypto.tag, crypto.suite, crypto.key));
        }
        kind => {
            let kind = if kind == 1 { info::RELAY } else { info::PLAIN };
            let Some(press) = info::parse(kind, rest) else { return };
            assert_eq!(Digit::of_event(press.digit.event()), Some(press.digit));
            assert_eq!(info::parse(info::RELAY, info::relay_body(press).as_bytes()), Some(press));
        }
    }
}

/// A leg that is transcoded: the first octet says from what to what, then each order is four octets, and of
/// a packet its payload behind them.
pub fn convert(data: &[u8]) {
    const ALL: [Speech; 4] =
        [Speech::G711(Law::Mu), Speech::G711(Law::A), Speech::G722, Speech::Opus];
    let Some((pair, mut rest)) = data.split_first() else { return };
    let (from, to) = (ALL[usize::from(pair & 3)], ALL[usize::from(pair >> 2 & 3)]);
    let Some(mut converter) = Converter::new(from, to) else { return };
    let mut out = Vec::new();
    while let Some((order, after)) = rest.split_first_chunk::<4>() {
        let [what, high, low, length] = *order;
        rest = after;
        match what % 8 {
            0..4 => {
                let (payload, after) = after.split_at(after.len().min(usize::from(length)));
                rest = after;
                let packet = Packet::new(0, u16::from_be_bytes([high, low]), 0, 0, payload);
                converter.put(&packet, what % 8 > 0);
            }
            7 => converter.clear(),
            _ => {
                out.clear();
                let speaks = converter.frame(&mut out);
                assert_eq!(speaks, !out.is_empty(), "a frame is some octets");
                assert!(out.len() <= 400, "of 20 ms");
            }
        }
    }
    let mut frames = 0;
    while converter.frame(&mut out) {
        frames += 1;
        assert!(frames < 2_000, "what waits comes to an end");
    }
}

pub type Target = fn(&[u8]);

/// Each target by its name.
pub const ALL: [(&str, Target); 6] = [
    ("rtp", rtp),
    ("rtcp", rtcp),
    ("stream", stream),
    ("convert", convert),
    ("wav", wav),
    ("texts", texts),
];
