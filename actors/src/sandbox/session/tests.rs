//! A bind by hand over a real pipe: what comes back, and how a session ends.

use std::time::Duration;

use proto_smpp::receipt::{Receipt, State};
use proto_smpp::{
    Address, Bind, BindKind, CommandId, CommandStatus, Input, Message, Output, Role, Session,
    Settings,
};
use tokio::time::{Instant, timeout};

use super::super::{LIVE_SYSTEM_ID, TEST_SYSTEM_ID};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
/// Octets that each direction of the pipe holds: few, so that writes have to wait.
const PIPE_BYTES: usize = 1024;

struct Peer {
    pipe: DuplexStream,
    session: Session<u32>,
    actor: ActorRef<SandboxSessionMsg>,
    answered: usize,
    receipts: Vec<Receipt>,
}

impl Peer {
    async fn connect(system_id: &str) -> Self {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let args = SandboxSessionArgs { pipe: theirs, limits: Limits::default() };
        let spawned = SandboxSession::spawn(None, SandboxSession, args).await;
        let bind = Bind::new(BindKind::Transceiver, system_id, "");
        let now = Instant::now().into_std();
        let mut peer = Self {
            pipe: ours,
            session: Session::new(Role::Esme(bind), Settings::default(), now),
            actor: spawned.unwrap().0,
            answered: 0,
            receipts: Vec::new(),
        };
        peer.step(Input::Connected).await;
        peer
    }

    /// Steps, writes what follows, and gives the rest back.
    async fn step(&mut self, input: Input<'_, u32>) -> Vec<Output<u32>> {
        let mut outputs = Vec::new();
        let now = Instant::now().into_std();
        self.session.step(now, input, &mut outputs);
        for output in &outputs {
            if let Output::Transmit(octets) = output {
                let written = timeout(PATIENCE, self.pipe.write_all(octets)).await;
                written.unwrap().unwrap();
            }
        }
        outputs.retain(|output| !matches!(output, Output::Transmit(_)));
        outputs
    }

    async fn submit(&mut self, to: &str) {
        let (sender, to) = (Address::new(5, 0, "Shop"), Address::new(1, 1, to));
        let mut message = Message::new(CommandId::SUBMIT_SM, sender, to);
        message.registered_delivery = 1;
        let submit = Input::Submit { message: &message, tag: 0 };
        self.step(submit).await;
    }

    /// Reads once; counts answers, keeps receipts and answers them. False at the pipe's end.
    async fn read(&mut self) -> bool {
        let mut buffer = vec![0; PIPE_BYTES];
        let read = timeout(PATIENCE, self.pipe.read(&mut buffer)).await;
        let length = read.unwrap().unwrap();
        for output in self.step(Input::Bytes(&buffer[..length])).await {
            match output {
                Output::Answered { .. } => self.answered += 1,
                Output::Request { command, sequence, message } => {
                    self.receipts.push(Receipt::parse(&message.view()));
                    let answer = Input::Answer {
                        command,
                        sequence,
                        status: CommandStatus::OK,
                        message_id: b"",
                    };
                    self.step(answer).await;
                }
                _ => {}
            }
        }
        length > 0
    }

    async fn gone(self) {
        let stopped = self.actor.get_cell().wait(Some(PATIENCE)).await;
        stopped.unwrap();
    }
}

#[tokio::test]
async fn a_message_over_a_pipe_is_answered_and_reported() {
    let mut peer = Peer::connect(TEST_SYSTEM_ID).await;
    while !peer.session.is_bound() {
        assert!(peer.read().await);
    }
    peer.submit("15005550002").await;
    while peer.receipts.is_empty() {
        assert!(peer.read().await);
    }
    assert_eq!(peer.answered, 1);
    assert_eq!(peer.receipts[0].state, Some(State::Delivered));
    drop(std::mem::replace(&mut peer.pipe, tokio::io::duplex(1).0));
    peer.gone().await;
}

#[tokio::test]
async fn a_thousand_messages_get_a_thousand_receipts() {
    let mut peer = Peer::connect(LIVE_SYSTEM_ID).await;
    while !peer.session.is_bound() {
        assert!(peer.read().await);
    }
    for _ in 0..100 {
        for _ in 0..10 {
            peer.submit("14155550120").await;
        }
        while peer.session.in_flight() > 0 {
            assert!(peer.read().await);
        }
    }
    while peer.receipts.len() < 1_000 {
        assert!(peer.read().await);
    }
    assert_eq!((peer.answered, peer.receipts.len()), (1_000, 1_000));
    peer.step(Input::Unbind).await;
    while peer.read().await {}
    peer.gone().await;
}

#[tokio::test]
async fn a_stranger_is_told_so_and_the_pipe_closes() {
    let mut peer = Peer::connect("somebody").await;
    while peer.read().await {}
    assert!(peer.session.is_closed());
    peer.gone().await;
}
