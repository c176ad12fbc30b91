//! The handle of a call's media, for the actor of the call.
//!
//! Every order is a message to the thread that owns the session, and its answer comes back in
//! microseconds; nothing here waits for a network. A thread that is behind answers `Busy` or `Late`, and
//! the order may still be obeyed. Dropping the handle closes the session, only without a report.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use proto_media::latch::Policy;
use tokio::sync::{mpsc, oneshot};

use super::leg::LegReport;
use super::mapping::Format;
use super::notice::Notice;
use super::play::{Player, Sound};
use super::record::{Ended, Recorder, Tap};
use super::relay::{Command, Order, Thread};
use super::seal::Keys;
use super::{PATIENCE, Refused};

/// One of the two ends of a call. By custom A is the one who called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    A,
    B,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

/// Names a session in notices and logs; never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// Names a sound that a session plays; never used twice in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayId(pub u64);

#[derive(Debug)]
pub struct SessionArgs {
    /// A and B.
    pub legs: [LegArgs; 2],
    /// Where notices go; may be shared by sessions.
    pub notices: mpsc::Sender<Notice>,
}

/// What is known of a leg before its description.
#[derive(Clone, Copy, Debug)]
pub struct LegArgs {
    /// Who may be latched to.
    pub policy: Policy,
    /// Where its signalling comes from.
    pub signalling: Option<IpAddr>,
}

/// What a description, the peer's with ours, says of a leg.
#[derive(Clone, Debug)]
pub struct RemoteMedia {
    /// Where the peer wants media; `None` or an address of zeros: nowhere.
    pub rtp: Option<SocketAddr>,
    /// `a=rtcp`; `None`: the port after RTP's.
    pub rtcp: Option<SocketAddr>,
    pub rtcp_mux: bool,
    /// What the peer may send: the formats of our description.
    pub receive: Vec<Format>,
    /// What the peer takes, the preferred one first.
    pub send: Vec<Format>,
    /// Whether the peer sends: not with `recvonly` or `inactive`.
    pub sends: bool,
    /// Whether the peer wants to hear: not with `sendonly` or `inactive`.
    pub receives: bool,
    /// SDES keys; `None`: in the clear.
    pub srtp: Option<Keys>,
    /// Where its signalling comes from now; `None`: as before.
    pub signalling: Option<IpAddr>,
    /// Another peer than before, as after a fork: the latch and the counts begin anew.
    pub is_other_peer: bool,
}

#[cfg(test)]
impl RemoteMedia {
    /// A peer that is nowhere, sends and hears, and speaks these formats.
    pub(crate) fn speaking(receive: &[Format], send: &[Format]) -> Self {
        Self {
            rtp: None,
            rtcp: None,
            rtcp_mux: false,
            receive: receive.to_vec(),
            send: send.to_vec(),
            sends: true,
            receives: true,
            srtp: None,
            signalling: None,
            is_other_peer: false,
        }
    }
}

/// What was carried, and how well.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub session: SessionId,
    pub lasted: Duration,
    /// A and B.
    pub legs: [LegReport; 2],
    /// That the owner's queue had no room for.
    pub notices_dropped: u64,
}

/// As long as it lives, so does the session.
#[derive(Debug, Default)]
pub(super) struct Life(Arc<()>);

/// How a thread sees that nobody holds the session any more.
#[derive(Clone, Debug)]
pub(super) struct Watch(Weak<()>);

impl Life {
    pub(super) fn watch(&self) -> Watch {
        Watch(Arc::downgrade(&self.0))
    }
}

impl Watch {
    pub(super) fn is_abandoned(&self) -> bool {
        self.0.strong_count() == 0
    }
}

/// Where a session is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) thread: Arc<Thread>,
    pub(super) recorder: Arc<Recorder>,
}

/// Media of one call.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    place: Place,
    local: [SocketAddr; 2],
    /// Sounds so far.
    played: AtomicU64,
    _life: Life,
}

impl Session {
    pub(super) fn new(id: SessionId, place: Place, local: [SocketAddr; 2], life: Life) -> Self {
        Self { id, place, local, played: AtomicU64::new(0), _life: life }
    }

    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Where a leg's peer is to send RTP; RTCP goes to the next port.
    #[must_use]
    pub fn local(&self, side: Side) -> SocketAddr {
        self.local[side.index()]
    }

    /// A description was agreed, the first one or a new one: formats, directions and where the peer
    /// is. The latch opens again.
    pub async fn set_remote(&self, side: Side, remote: RemoteMedia) -> Result<(), Refused> {
        self.order(Order::Remotes(vec![(side, remote)])).await
    }

    /// The same of several at once, without waiting: it counts for the next packet that wakes the thread. If
    /// it cannot be done, the session is broken.
    pub fn describe(&self, remotes: Vec<(Side, RemoteMedia)>) -> Result<(), Refused> {
        let (id, order) = (self.id, Order::Remotes(remotes));
        self.place.thread.leave(Command::Obey { id, order, reply: None })
    }

    /// Stops, or resumes, what this leg says and what it hears.
    pub async fn hold(&self, side: Side, on: bool) -> Result<(), Refused> {
        self.order(Order::Hold(side, on)).await
    }

    /// Stops, or resumes, what this leg says; its digits are still heard.
    pub async fn mute(&self, side: Side, on: bool) -> Result<(), Refused> {
        self.order(Order::Mute(side, on)).await
    }

    /// How it goes.
    pub async fn report(&self) -> Result<Report, Refused> {
        let (reply, answer) = oneshot::channel();
        self.place.thread.send(Command::Report { id: self.id, reply })?;
        answered(answer).await?
    }

    /// Plays a sound to a leg, again and again with `repeats`, in the place of what it hears else and
    /// of what was played before. `Event::Played` tells that it is over, by its name.
    pub async fn play(&self, side: Side, sound: &Sound, repeats: bool) -> Result<PlayId, Refused> {
        let id = PlayId(self.played.fetch_add(1, Ordering::Relaxed));
        self.order(Order::Play(side, Player::new(id, sound, repeats))).await?;
        Ok(id)
    }

    pub async fn stop_play(&self, side: Side) -> Result<(), Refused> {
        self.order(Order::StopPlay(side)).await
    }

    /// Sends digits, and `w` for half a second, to a leg; `Event::DigitsSent` tells that they are.
    pub async fn send_dtmf(
        &self,
        side: Side,
        digits: &str,
        duration: Duration,
    ) -> Result<(), Refused> {
        self.order(Order::Press(side, digits.to_owned(), duration)).await
    }

    /// Has the file of a recording made, with the folder it is in; nothing is recorded yet. It may have
    /// to wait for the disk, and needs no session meanwhile.
    pub fn open_tape(
        &self,
        path: PathBuf,
    ) -> impl Future<Output = Result<(Tap, Ended), Refused>> + Send + 'static {
        let recorder = Arc::clone(&self.place.recorder);
        async move { recorder.begin(path).await }
    }

    /// Begins to write what both legs say, A on the left. The recording ends with `stop_record` or with
    /// the session.
    pub async fn record(&self, tap: Tap) -> Result<(), Refused> {
        self.order(Order::Record(Some(tap))).await
    }

    /// What is said meanwhile is silence in the file.
    pub async fn pause_record(&self, on: bool) -> Result<(), Refused> {
        self.order(Order::PauseRecord(on)).await
    }

    /// Ends the recording; `Ended` tells when the file is whole.
    pub async fn stop_record(&self) -> Result<(), Refused> {
        self.order(Order::Record(None)).await
    }

    /// Ends it, and its recording; its ports are free after their rest.
    pub async fn close(self) -> Result<Report, Refused> {
        let (reply, answer) = oneshot::channel();
        // Nothing is relayed while it waits for its turn: a packet comes behind it.
        self.place.thread.leave(Command::Close { id: self.id, reply })?;
        answered(answer).await?
    }

    #[cfg(test)]
    pub(super) fn thread(&self) -> Arc<Thread> {
        Arc::clone(&self.place.thread)
    }

    async fn order(&self, order: Order) -> Result<(), Refused> {
        let (reply, answer) = oneshot::channel();
        self.place.thread.send(Command::Obey { id: self.id, order, reply: Some(reply) })?;
        answered(answer).await?
    }
}

/// What a thread answers, within reason.
pub(super) async fn answered<T>(answer: oneshot::Receiver<T>) -> Result<T, Refused> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Refused::Closed),
        Err(_) => Err(Refused::Late),
    }
}
