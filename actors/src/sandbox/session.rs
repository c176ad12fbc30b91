//! One connection to the sandbox: joins a pipe and a clock to an `Smsc` (SMPP 3.4 §2).
//!
//! Started by the sandbox's supervisor with its end of a pipe; temporary. A reader task hands over
//! what it reads under a permit. A writer task writes one batch at a time; while more than a limit
//! waits for it, permits are kept, so that a peer who does not read is not read either. (The limit
//! is far over what a window of submits makes, else two sides that both write could wait for each
//! other.) It never waits for its peer inside `handle`. It stops when the peer goes, or when the protocol ends the session;
//! the receipts that wait in it are then lost.

use std::time::Instant;

use proto_smpp::CloseReason;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::smsc::{Limits, Moment, Smsc};
use crate::gate::{Gate, Permit};

/// Chunks read and not handled yet.
const CHUNKS_MAX: usize = 4;
/// Octets waiting to be written, past which reading stops.
const UNWRITTEN_MAX: usize = 1024 * 1024;
/// Octets of one read.
const CHUNK_BYTES: usize = 16 * 1024;

/// What a session is told; all by its own tasks.
#[derive(Debug)]
pub enum SandboxSessionMsg {
    /// (self) Octets came.
    Received { bytes: Vec<u8>, permit: Permit },
    /// (self) The batch is written; here is room for the next.
    Written,
    /// (self) The deadline has passed.
    Woken,
    /// (self) The pipe is closed or broken.
    PeerGone(String),
}

/// The behaviour.
pub struct SandboxSession;

/// How a session is started.
#[derive(Debug)]
pub struct SandboxSessionArgs {
    pub pipe: DuplexStream,
    pub limits: Limits,
}

#[derive(Debug)]
pub struct SandboxSessionState {
    smsc: Smsc,
    /// Until the tasks are started.
    pipe: Option<DuplexStream>,
    wire: Vec<u8>,
    /// Kept from the reader while `wire` is over its limit.
    permits: Vec<Permit>,
    writer: Option<mpsc::Sender<Vec<u8>>>,
    writing: bool,
    closing: Option<CloseReason>,
    timer: Option<(Instant, AbortHandle)>,
    tasks: Vec<AbortHandle>,
}

impl Actor for SandboxSession {
    type Msg = SandboxSessionMsg;
    type State = SandboxSessionState;
    type Arguments = SandboxSessionArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<SandboxSessionMsg>,
        args: SandboxSessionArgs,
    ) -> Result<SandboxSessionState, ActorProcessingErr> {
        let now = Moment::now();
        let mut smsc = Smsc::new(args.limits, rand::random(), now.instant);
        let mut wire = Vec::new();
        let closing = smsc.connected(now, &mut wire);
        Ok(SandboxSessionState {
            smsc,
            pipe: Some(args.pipe),
            wire,
            permits: Vec::new(),
            writer: None,
            writing: false,
            closing,
            timer: None,
            tasks: Vec::new(),
        })
    }

    async fn post_start(
        &self,
        me: ActorRef<SandboxSessionMsg>,
        state: &mut SandboxSessionState,
    ) -> Result<(), ActorProcessingErr> {
        let pipe = state.pipe.take().ok_or("a session is started once")?;
        let (from_peer, to_peer) = tokio::io::split(pipe);
        let (writer, batches) = mpsc::channel(1);
        let reading = tokio::spawn(read(from_peer, me.clone()));
        let writing = tokio::spawn(write(to_peer, batches, me.clone()));
        state.tasks = vec![reading.abort_handle(), writing.abort_handle()];
        state.writer = Some(writer);
        state.settle(&me);
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<SandboxSessionMsg>,
        message: SandboxSessionMsg,
        state: &mut SandboxSessionState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SandboxSessionMsg::Received { bytes, permit } => state.received(&bytes, permit),
            SandboxSessionMsg::Written => state.writing = false,
            SandboxSessionMsg::Woken => state.woken(),
            SandboxSessionMsg::PeerGone(reason) => me.stop(Some(reason)),
        }
        state.settle(&me);
        Ok(())
    }
}

impl SandboxSessionState {
    fn received(&mut self, bytes: &[u8], permit: Permit) {
        if self.closing.is_none() {
            self.closing = self.smsc.received(Moment::now(), bytes, &mut self.wire);
            if self.wire.len() > UNWRITTEN_MAX {
                self.permits.push(permit);
            }
        }
    }

    fn woken(&mut self) {
        self.timer = None;
        if self.closing.is_none() {
            self.closing = self.smsc.tick(Moment::now(), &mut self.wire);
        }
    }

    /// After every message: writes what there is to write, then ends, or sleeps to the deadline.
    fn settle(&mut self, me: &ActorRef<SandboxSessionMsg>) {
        self.flush();
        match self.closing {
            Some(reason) if !self.writing => me.stop(Some(reason.name().to_owned())),
            Some(_) => {}
            None => self.arm(me),
        }
    }

    fn flush(&mut self) {
        if self.writing {
            return;
        }
        self.permits.clear();
        if self.wire.is_empty() {
            return;
        }
        let Some(writer) = &self.writer else { return };
        let batch = std::mem::take(&mut self.wire);
        // It fails only when the writer is gone, and the news of that is on its way.
        self.writing = writer.try_send(batch).is_ok();
    }

    /// Keeps the one timer at or before the deadline.
    fn arm(&mut self, me: &ActorRef<SandboxSessionMsg>) {
        let deadline = self.smsc.deadline();
        if let Some((at, timer)) = &self.timer {
            if *at <= deadline {
                return;
            }
            timer.abort();
        }
        let now = tokio::time::Instant::now().into_std();
        let after = deadline.saturating_duration_since(now);
        let timer = me.send_after(after, || SandboxSessionMsg::Woken);
        self.timer = Some((deadline, timer.abort_handle()));
    }
}

impl Drop for SandboxSessionState {
    fn drop(&mut self) {
        let timer = self.timer.iter().map(|(_, timer)| timer);
        for task in self.tasks.iter().chain(timer) {
            task.abort();
        }
    }
}

/// Reads while there are permits; ends with the pipe or with the actor.
async fn read(mut pipe: ReadHalf<DuplexStream>, me: ActorRef<SandboxSessionMsg>) {
    let gate = Gate::new(CHUNKS_MAX);
    let reason = loop {
        let Some(permit) = gate.wait().await else {
            break String::from("the gate is closed");
        };
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        match pipe.read_buf(&mut bytes).await {
            Ok(0) => break String::from("the peer closed the pipe"),
            Ok(_) => {
                let chunk = SandboxSessionMsg::Received { bytes, permit };
                if me.send_message(chunk).is_err() {
                    return;
                }
            }
            Err(error) => break error.to_string(),
        }
    };
    // An actor that is gone needs no news.
    let _ = me.send_message(SandboxSessionMsg::PeerGone(reason));
}

/// Writes batch after batch; ends with the pipe or with the actor.
async fn write(
    mut pipe: WriteHalf<DuplexStream>,
    mut batches: mpsc::Receiver<Vec<u8>>,
    me: ActorRef<SandboxSessionMsg>,
) {
    while let Some(batch) = batches.recv().await {
        let news = match pipe.write_all(&batch).await {
            Ok(()) => SandboxSessionMsg::Written,
            Err(error) => SandboxSessionMsg::PeerGone(error.to_string()),
        };
        if me.send_message(news).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
