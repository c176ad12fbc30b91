//! Starts one sandbox session per pipe, and lets it go when it ends.
//!
//! root
//! └─ sandbox             this file
//!    └─ session          temporary; its carrier bind connects again, so none is restarted
//!
//! Started by root before the carriers. It never reads a pipe itself. When it dies its sessions
//! die with it and the receipts that wait in them are lost; its next life is found through the
//! same handle.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use actors::sandbox::session::{SandboxSession, SandboxSessionArgs};
use actors::sandbox::smsc::Limits;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::io::DuplexStream;

/// Octets that each direction of a pipe holds.
const PIPE_BYTES: usize = 64 * 1024;
/// Sessions at once; one more is closed at once.
const SESSIONS_MAX: usize = 256;

/// What the sandbox is told.
#[derive(Debug)]
pub enum SandboxMsg {
    /// Serve this end of a pipe.
    Connect(DuplexStream),
}

/// How binds reach the sandbox, whichever life it is in. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SandboxHandle {
    current: Arc<RwLock<Option<ActorRef<SandboxMsg>>>>,
}

/// The behaviour.
pub struct SandboxSupervisor;

/// How the sandbox is started.
#[derive(Debug, Default)]
pub struct SandboxArgs {
    pub handle: SandboxHandle,
    pub limits: Limits,
}

#[derive(Debug)]
pub struct SandboxState {
    limits: Limits,
    sessions: HashSet<ActorId>,
    /// Gone with this life.
    _attached: Attached,
}

/// Takes the supervisor out of the handle, unless a later life is in it already.
#[derive(Debug)]
struct Attached {
    handle: SandboxHandle,
    id: ActorId,
}

impl SandboxHandle {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a connection; `None` while no sandbox runs.
    #[must_use]
    pub fn connect(&self) -> Option<DuplexStream> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let sandbox = current.as_ref()?;
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        sandbox.send_message(SandboxMsg::Connect(theirs)).ok()?;
        Some(ours)
    }

    fn attach(&self, sandbox: ActorRef<SandboxMsg>) -> Attached {
        let id = sandbox.get_id();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(sandbox);
        Attached { handle: self.clone(), id }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let current = &self.handle.current;
        let mut current = current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|c| c.get_id() == self.id) {
            *current = None;
        }
    }
}

impl Actor for SandboxSupervisor {
    type Msg = SandboxMsg;
    type State = SandboxState;
    type Arguments = SandboxArgs;

    async fn pre_start(
        &self,
        me: ActorRef<SandboxMsg>,
        args: SandboxArgs,
    ) -> Result<SandboxState, ActorProcessingErr> {
        Ok(SandboxState {
            limits: args.limits,
            sessions: HashSet::new(),
            _attached: args.handle.attach(me),
        })
    }

    async fn handle(
        &self,
        me: ActorRef<SandboxMsg>,
        message: SandboxMsg,
        state: &mut SandboxState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SandboxMsg::Connect(pipe) => state.connect(&me, pipe).await,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<SandboxMsg>,
        event: SupervisionEvent,
        state: &mut SandboxState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(session, error) => {
                state.sessions.remove(&session.get_id());
                tracing::warn!(session = %session.get_id(), %error, "sandbox session failed");
            }
            SupervisionEvent::ActorTerminated(session, _, reason) => {
                state.sessions.remove(&session.get_id());
                let reason = reason.unwrap_or_default();
                tracing::debug!(session = %session.get_id(), reason, "sandbox session over");
            }
            _ => {}
        }
        Ok(())
    }
}

impl SandboxState {
    /// A session that cannot start is a pipe that closes: its bind tries again.
    async fn connect(&mut self, me: &ActorRef<SandboxMsg>, pipe: DuplexStream) {
        if self.sessions.len() >= SESSIONS_MAX {
            tracing::warn!("the sandbox has {SESSIONS_MAX} sessions and takes no more");
            return;
        }
        let args = SandboxSessionArgs { pipe, limits: self.limits };
        match SandboxSession::spawn_linked(None, SandboxSession, args, me.get_cell()).await {
            Ok((session, _)) => {
                self.sessions.insert(session.get_id());
            }
            Err(error) => tracing::warn!(%error, "a sandbox session did not start"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    /// enquire_link with sequence number 7; it is answered before a bind too.
    const ENQUIRE: [u8; 16] = [0, 0, 0, 16, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 7];

    async fn start(handle: &SandboxHandle) -> ActorRef<SandboxMsg> {
        let args = SandboxArgs { handle: handle.clone(), limits: Limits::default() };
        let spawned = SandboxSupervisor::spawn(None, SandboxSupervisor, args).await;
        spawned.unwrap().0
    }

    async fn connected(handle: &SandboxHandle) -> DuplexStream {
        let mut pipe = handle.connect().unwrap();
        pipe.write_all(&ENQUIRE).await.unwrap();
        let mut answer = [0; 16];
        let read = timeout(PATIENCE, pipe.read_exact(&mut answer)).await;
        read.unwrap().unwrap();
        assert_eq!((answer[4], answer[7], answer[15]), (0x80, 0x15, 7));
        pipe
    }

    async fn ends(mut pipe: DuplexStream) {
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, pipe.read_to_end(&mut rest)).await;
        ended.unwrap().unwrap();
    }

    #[tokio::test]
    async fn each_pipe_has_a_session_of_its_own() {
        let handle = SandboxHandle::new();
        assert!(handle.connect().is_none(), "there is no sandbox yet");
        let sandbox = start(&handle).await;
        let one = connected(&handle).await;
        let two = connected(&handle).await;
        assert_eq!(sandbox.get_children().len(), 2);
        drop(one);
        timeout(PATIENCE, async {
            while sandbox.get_children().len() > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        sandbox.stop_and_wait(None, Some(PATIENCE)).await.unwrap();
        ends(two).await;
        assert!(handle.connect().is_none(), "the sandbox is gone");
    }

    #[tokio::test]
    async fn a_sandbox_that_comes_back_is_found_through_the_same_handle() {
        let handle = SandboxHandle::new();
        let first = start(&handle).await;
        let pipe = connected(&handle).await;
        first.kill_and_wait(Some(PATIENCE)).await.unwrap();
        ends(pipe).await;
        let second = start(&handle).await;
        connected(&handle).await;
        second.stop_and_wait(None, Some(PATIENCE)).await.unwrap();
    }
}
