//! The media plane: threads that carry RTP between the legs of calls, and the handle to them.
//!
//! boot ─ Media ─ relay threads   each with a poll loop of its own; a session lives on one of them
//!              ├ recorder        a thread that writes recordings
//!              └ ports           pairs of ports, lent and rested
//!
//! A call's actor opens a `Session` and tells it what signalling agreed (`session`); a thread owns
//! the sockets and does the rest (`relay`). Orders reach it over a bounded queue, what it saw comes
//! back over a bounded queue of the owner's. Packets pass no mailbox, take no lock and allocate
//! nothing. A panic costs the session whose packet it was. A session whose handle is dropped is closed.

mod convert;
mod crossing;
mod leg;
mod mapping;
mod notice;
mod outgoing;
mod play;
mod ports;
mod reach;
mod record;
mod relay;
mod seal;
mod session;
mod sounds;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto_media::dtmf::TrainError;
use thiserror::Error;

use crate::customer::webhook::guard::Networks;
use convert::Load;
pub use leg::LegReport;
pub use mapping::{Encoding, Format};
pub use notice::{Event, Notice};
pub use play::{Sound, SoundError, ToneName};
use ports::Ports;
pub use proto_media::Speech;
use reach::Reach;
use record::Recorder;
pub use record::{Ended, Recorded, Tap, repair};
use relay::{Opening, Thread};
pub use seal::Keys;
use session::Place;
pub use session::{LegArgs, PlayId, RemoteMedia, Report, Session, SessionArgs, SessionId, Side};
pub use sounds::{Sounds, is_sound_name};

/// How long an order may take before its giver is told that nothing came of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the media plane is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// 0: one a core.
    pub threads: usize,
    pub bind: IpAddr,
    /// What peers are told to send to; `None`: `bind`, or what the machine sends from.
    pub public_address: Option<IpAddr>,
    /// Private networks where peers may be.
    pub networks: Networks,
    pub port_min: u16,
    pub port_max: u16,
    /// How long a port rests before another call gets it.
    pub port_rest: Duration,
    /// Without a packet for so long a leg is silent; zero: never.
    pub timeout: Duration,
    /// Between two reports of RTCP; zero: none are sent.
    pub rtcp_interval: Duration,
    /// Calls whose sound may be made anew at once, but for one law into the other.
    pub transcoded_max: usize,
    /// Orders that wait for one thread.
    pub orders_max: usize,
    /// Packets that wait for the recorder.
    pub recorder_queue: usize,
    pub recording_longest: Duration,
}

/// Why there is no session, or nothing came of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    #[error("no media ports are free")]
    PortsExhausted,
    #[error("the media plane is busy")]
    Busy,
    #[error("the session is closed")]
    Closed,
    #[error("a fault of ours ended the session")]
    Broken,
    #[error("the media plane did not answer in time")]
    Late,
    #[error("a media socket failed: {0}")]
    Socket(io::ErrorKind),
    #[error("the leg takes no G.711")]
    NoLaw,
    #[error("the leg takes no telephone-event")]
    NoEvents,
    #[error("digits: {0}")]
    Digits(TrainError),
    #[error("a file of a recording: {0}")]
    File(io::ErrorKind),
    #[error("the session is recorded already")]
    Recording,
    #[error("the session is not recorded")]
    NotRecording,
}

/// The media plane of this process; clones are the same one. When the last one and all sessions are
/// dropped, its threads end.
#[derive(Clone, Debug)]
pub struct Media {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    public: IpAddr,
    ports: Ports,
    threads: Vec<Arc<Thread>>,
    recorder: Arc<Recorder>,
    load: Load,
    opened: AtomicU64,
}

impl Media {
    /// Starts the threads.
    pub fn start(config: &Config) -> io::Result<Self> {
        let sends_from = sends_from(config.bind);
        let public = config.public_address.unwrap_or(sends_from);
        let ports = Ports::new(config.bind, config.port_min, config.port_max, config.port_rest);
        let reach = Arc::new(Reach::new(config, [public, sends_from], ports.lent()));
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let count = if config.threads == 0 { cores } else { config.threads };
        let threads = (0..count)
            .map(|number| Thread::start(number, config, &reach).map(Arc::new))
            .collect::<io::Result<Vec<_>>>()?;
        let recorder = Recorder::start(config.recorder_queue, config.recording_longest)?;
        let recorder = Arc::new(recorder);
        let inner = Inner {
            public,
            ports,
            threads,
            recorder,
            load: Load::new(config.transcoded_max),
            opened: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Takes ports for both legs of a call. Nothing is relayed before `Session::set_remote`.
    pub fn open(&self, args: SessionArgs) -> Result<Session, Refused> {
        let inner = &self.inner;
        let taken = inner.ports.take().and_then(|a| Ok([a, inner.ports.take()?]));
        let pairs =
            taken.inspect_err(|_| metrics::counter!("orbit_media_refused_total").increment(1))?;
        let local = [0, 1].map(|leg: usize| SocketAddr::new(inner.public, pairs[leg].port()));
        let thread = inner.threads.iter().min_by_key(|thread| thread.sessions());
        let thread = Arc::clone(thread.ok_or(Refused::Busy)?);
        let id = SessionId(inner.opened.fetch_add(1, Ordering::Relaxed));
        let handle = session::Life::default();
        let load = inner.load.clone();
        let opening = Opening { id, args, pairs, life: handle.watch(), load };
        thread.open(Box::new(opening))?;
        let recorder = Arc::clone(&inner.recorder);
        Ok(Session::new(id, Place { thread, recorder }, local, handle))
    }

    /// Whether a call more may be transcoded from or to another codec than G.711.
    #[must_use]
    pub fn may_transcode(&self) -> bool {
        self.inner.load.has_room()
    }

    /// Sessions that are open now.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.inner.threads.iter().map(|thread| thread.sessions()).sum()
    }

    /// Ports that are lent now.
    #[must_use]
    pub fn ports_in_use(&self) -> usize {
        self.inner.ports.in_use()
    }
}

/// The address that media bound to this one is sent from.
#[must_use]
pub fn sends_from(bind: IpAddr) -> IpAddr {
    if bind.is_unspecified() { outward(bind) } else { bind }
}

/// The address this machine sends from; nothing is sent to find it.
fn outward(bind: IpAddr) -> IpAddr {
    let (anywhere, loopback): (IpAddr, IpAddr) = match bind {
        IpAddr::V4(_) => (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(_) => {
            let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
            (documentation.into(), Ipv6Addr::LOCALHOST.into())
        }
    };
    let found = UdpSocket::bind((bind, 0)).and_then(|socket| {
        socket.connect((anywhere, 9))?;
        Ok(socket.local_addr()?.ip())
    });
    found.unwrap_or_else(|error| {
        tracing::warn!(%error, "no way out of this machine: peers are told {loopback} for media");
        loopback
    })
}
