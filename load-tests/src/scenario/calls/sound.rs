//! The sound of one call: both ends speak every twenty milliseconds and count what they hear.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

const FRAME: Duration = Duration::from_millis(20);
/// What our packets hold; who is not one of the ends knows nothing of it.
const OURS: u8 = 0x6f;
/// It is waited for the last packets.
const TAIL: Duration = Duration::from_millis(300);

/// Where a call's two ends take sound.
pub(super) struct Ends([UdpSocket; 2]);

pub(super) struct Sound {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    heard: AtomicU64,
    foreign: AtomicU64,
}

/// Packets of both ends.
#[derive(Clone, Copy)]
pub(super) struct Heard {
    pub(super) sent: u64,
    pub(super) heard: u64,
    pub(super) foreign: u64,
}

impl Heard {
    pub(super) fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.heard)
    }
}

impl Ends {
    pub(super) fn bind() -> Result<Self> {
        let one = || -> Result<UdpSocket> {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        Ok(Self([one()?, one()?]))
    }

    pub(super) fn addresses(&self) -> Result<[SocketAddr; 2]> {
        Ok([self.0[0].local_addr()?, self.0[1].local_addr()?])
    }
}

impl Sound {
    /// Each end sends where it was told.
    pub(super) fn start(ends: Ends, told: [SocketAddr; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::<Counts>::default();
        let (halt, count) = (Arc::clone(&stop), Arc::clone(&counts));
        let thread = std::thread::spawn(move || talk(&ends, told, (&halt, &count)));
        Self { stop, counts, thread }
    }

    pub(super) fn heard(&self) -> Heard {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { sent, heard, foreign } = &*self.counts;
        Heard { sent: of(sent), heard: of(heard), foreign: of(foreign) }
    }

    pub(super) fn stop(self) -> Heard {
        self.stop.store(true, Ordering::Relaxed);
        let last = self.heard();
        // A thread that panicked leaves the counts as they were.
        let _ = self.thread.join();
        let Counts { sent, heard, foreign } = &*self.counts;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Heard { sent: of(sent).max(last.sent), heard: of(heard), foreign: of(foreign) }
    }
}

fn talk(ends: &Ends, told: [SocketAddr; 2], (stop, counts): (&AtomicBool, &Counts)) {
    let begun = Instant::now();
    let mut frame = 0_u32;
    let mut until = None;
    loop {
        if until.is_none() && stop.load(Ordering::Relaxed) {
            until = Some(Instant::now() + TAIL);
        }
        if until.is_some_and(|until| Instant::now() > until) {
            return;
        }
        if until.is_none() && begun.elapsed() >= FRAME * frame {
            frame += 1;
            for (end, to) in told.iter().enumerate() {
                if ends.0[end].send_to(&packet(frame, end as u8), to).is_ok() {
                    counts.sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        for (end, socket) in ends.0.iter().enumerate() {
            let mut octets = [0; 1_500];
            while let Ok((length, _)) = socket.recv_from(&mut octets) {
                // Reports of the relay come to the next port; what is here is sound.
                let own = length == 172
                    && octets[12..172].iter().all(|octet| *octet == OURS + 1 - end as u8);
                let count = if own { &counts.heard } else { &counts.foreign };
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// G.711, twenty milliseconds.
fn packet(frame: u32, end: u8) -> [u8; 172] {
    let mut packet = [OURS + end; 172];
    packet[..2].copy_from_slice(&[0x80, 0]);
    packet[2..4].copy_from_slice(&(frame as u16).to_be_bytes());
    packet[4..8].copy_from_slice(&(frame * 160).to_be_bytes());
    packet[8..12].copy_from_slice(&[0, 0, 0, end + 1]);
    packet
}
