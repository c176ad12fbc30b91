//! Phones by the thousand on one thread: packets sent by the clock, counted and timed as they come.
//!
//! A few phones share a socket, and a packet carries its number and when it was sent, so that nothing has
//! to be looked up. The thread never sleeps: it has its core for itself.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::histogram::Histogram;

/// Phones of one socket: so few that its buffer holds what they get in some 50 ms.
const SHARED: usize = 8;
const PACKET: usize = 172;
const HEADER: usize = 12;
const FRAME: Duration = Duration::from_millis(20);
/// A packet sent so long after its time makes the sender late.
const LATE: Duration = Duration::from_millis(20);
/// Packets sent before it is looked for what came.
const BURST: usize = 64;
/// How long it is waited for the last packets.
const TAIL: Duration = Duration::from_millis(300);

pub(super) struct Phones {
    /// Of callers, and of those who are called.
    sockets: [Vec<UdpSocket>; 2],
    calls: usize,
    /// Frames that each phone has sent.
    frames: u32,
    /// Names a stretch of talk, so that stragglers of another one are not counted.
    stretch: u32,
}

pub(super) struct Measured {
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Sent too long after their time.
    pub(super) late: u64,
    pub(super) delay: Histogram,
}

impl Measured {
    pub(super) fn loss(&self) -> f64 {
        1.0 - self.received.min(self.sent) as f64 / self.sent.max(1) as f64
    }

    /// The phones did not keep their rate: one in a hundred was late.
    pub(super) fn is_void(&self) -> bool {
        self.late * 100 > self.sent
    }
}

impl Phones {
    pub(super) fn new(calls: usize) -> Result<Self> {
        let bound = |_| {
            let socket = UdpSocket::bind(("127.0.0.1", 0))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let sockets = || (0..calls.div_ceil(SHARED)).map(bound).collect::<Result<Vec<_>>>();
        Ok(Self { sockets: [sockets()?, sockets()?], calls, frames: 0, stretch: 0 })
    }

    /// Where the two phones of each call are.
    pub(super) fn addresses(&self) -> Vec<[SocketAddr; 2]> {
        let of = |side: usize, call: usize| self.sockets[side][call / SHARED].local_addr();
        let pair = |call| Some([of(0, call).ok()?, of(1, call).ok()?]);
        (0..self.calls).filter_map(pair).collect()
    }

    /// All talk for so long, each to its place; their frames are spread evenly over the 20 ms.
    pub(super) fn talk(&mut self, places: &[[SocketAddr; 2]], lasts: Duration) -> Result<Measured> {
        let mut measured = Measured { sent: 0, received: 0, late: 0, delay: Histogram::new() };
        self.stretch += 1;
        let phones = self.calls * 2;
        let frames = lasts.as_millis() / FRAME.as_millis();
        let packets = phones as u64 * frames as u64;
        let step = FRAME.as_nanos() as u64 / phones as u64;
        let began = Instant::now();
        let mut number = 0;
        while number < packets {
            let due = began.elapsed().as_nanos() as u64 / step;
            let until = due.saturating_add(1).min(packets).min(number + BURST as u64);
            while number < until {
                self.say(number, phones, places, began, step, &mut measured);
                number += 1;
            }
            self.hear(began, &mut measured)?;
        }
        let over = Instant::now();
        while over.elapsed() < TAIL {
            self.hear(began, &mut measured)?;
        }
        self.frames += frames as u32;
        Ok(measured)
    }

    fn say(
        &self,
        number: u64,
        phones: usize,
        places: &[[SocketAddr; 2]],
        began: Instant,
        step: u64,
        measured: &mut Measured,
    ) {
        let phone = (number % phones as u64) as usize;
        let frame = self.frames.wrapping_add((number / phones as u64) as u32);
        let (call, side) = (phone / 2, phone % 2);
        let now = began.elapsed();
        let due = Duration::from_nanos(number * step);
        measured.late += u64::from(now.saturating_sub(due) > LATE);
        let mut packet = [0xFF; PACKET];
        packet[..2].copy_from_slice(&[0x80, 0]);
        packet[2..4].copy_from_slice(&(frame as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&frame.wrapping_mul(160).to_be_bytes());
        packet[8..12].copy_from_slice(&(phone as u32 + 1).to_be_bytes());
        packet[HEADER..HEADER + 4].copy_from_slice(&self.stretch.to_be_bytes());
        packet[HEADER + 4..HEADER + 12].copy_from_slice(&(now.as_nanos() as u64).to_be_bytes());
        measured.sent += 1;
        // One that does not leave is one that does not arrive.
        let _ = self.sockets[side][call / SHARED].send_to(&packet, places[call][side]);
    }

    /// Takes all that waits.
    fn hear(&self, began: Instant, measured: &mut Measured) -> Result<()> {
        let mut octets = [0; PACKET + 1];
        for socket in self.sockets.iter().flatten() {
            while let Ok(length) = socket.recv(&mut octets) {
                let stretch = octets[HEADER..HEADER + 4].try_into()?;
                if length != PACKET || u32::from_be_bytes(stretch) != self.stretch {
                    continue;
                }
                let sent = u64::from_be_bytes(octets[HEADER + 4..HEADER + 12].try_into()?);
                let now = began.elapsed().as_nanos() as u64;
                measured.received += 1;
                measured.delay.record(now.saturating_sub(sent) / 1_000);
            }
        }
        Ok(())
    }
}
