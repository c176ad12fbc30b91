//! A carrier for tests: an SMSC on in-memory pipes that does as it is told, and remembers all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actors::smpp::profile::Endpoint;
use proto_smpp::{CommandId, CommandStatus, Input, Message, Output, Role, Session, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What becomes of a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    /// No answer to a bind.
    Silent,
    /// ESME_RBINDFAIL.
    Refusing,
    /// There is nobody to connect to.
    Away,
    /// Connecting panics.
    Cursed,
}

/// What is done with a message that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Ack,
    Status(u32),
    /// No answer until `release`.
    Keep,
    /// No answer, and the connection ends.
    Close,
    /// A receipt, then the answer.
    ReceiptThenAck,
    AckThenReceipt,
}

/// A message that came.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) connection: usize,
    pub(super) text: String,
    pub(super) source: String,
    pub(super) at: Instant,
}

/// Who decides: told how many came before, and the text.
type Rule = Arc<dyn Fn(usize, &str) -> Act + Send + Sync>;

enum Order {
    Send { message: Box<Message>, tag: usize },
    Release,
    Close,
}

#[derive(Clone)]
pub(super) struct Peer {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    door: Door,
    rule: Rule,
    heard: Vec<Heard>,
    ids: u64,
    connections: BTreeMap<usize, mpsc::Sender<Order>>,
    opened: usize,
    bound: usize,
    unbinds: usize,
    /// The most messages that waited for an answer on one connection.
    most_open: usize,
    /// Sent on every bind until acknowledged.
    standing: Vec<Message>,
    /// Messages of ours that were acknowledged, by number, with the status.
    acknowledged: Vec<(usize, CommandStatus)>,
}

impl Peer {
    pub(super) fn new() -> Self {
        let shared = Shared {
            door: Door::Open,
            rule: Arc::new(|_, _| Act::Ack),
            heard: Vec::new(),
            ids: 0,
            connections: BTreeMap::new(),
            opened: 0,
            bound: 0,
            unbinds: 0,
            most_open: 0,
            standing: Vec::new(),
            acknowledged: Vec::new(),
        };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        let peer = self.clone();
        Endpoint::Pipe(Arc::new(move || peer.connect()))
    }

    pub(super) fn set_door(&self, door: Door) {
        self.lock().door = door;
    }

    pub(super) fn answer(&self, rule: impl Fn(usize, &str) -> Act + Send + Sync + 'static) {
        self.lock().rule = Arc::new(rule);
    }

    /// Sends this on every bind until it is acknowledged.
    pub(super) fn insist(&self, message: Message) {
        let mut shared = self.lock();
        shared.standing.push(message.clone());
        let tag = shared.standing.len() - 1;
        for orders in shared.connections.values() {
            let _ = orders.try_send(Order::Send { message: Box::new(message.clone()), tag });
        }
    }

    /// Answers all that was kept, and keeps nothing from now on.
    pub(super) fn release(&self) {
        self.answer(|_, _| Act::Ack);
        self.order(|| Order::Release);
    }

    /// Answers all that was kept so far.
    pub(super) fn flush(&self) {
        self.order(|| Order::Release);
    }

    pub(super) fn hang_up(&self) {
        self.order(|| Order::Close);
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        self.lock().heard.clone()
    }

    /// How often each text came.
    pub(super) fn times(&self, text: &str) -> usize {
        self.lock().heard.iter().filter(|heard| heard.text == text).count()
    }

    pub(super) fn bound(&self) -> usize {
        self.lock().bound
    }

    /// Connections ever tried.
    pub(super) fn opened(&self) -> usize {
        self.lock().opened
    }

    pub(super) fn unbinds(&self) -> usize {
        self.lock().unbinds
    }

    pub(super) fn most_open(&self) -> usize {
        self.lock().most_open
    }

    pub(super) fn acknowledged(&self) -> Vec<(usize, CommandStatus)> {
        self.lock().acknowledged.clone()
    }

    fn order(&self, order: impl Fn() -> Order) {
        for orders in self.lock().connections.values() {
            let _ = orders.try_send(order());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connect(&self) -> Option<DuplexStream> {
        let mut shared = self.lock();
        shared.opened += 1;
        let number = shared.opened;
        match shared.door {
            Door::Away => return None,
            Door::Cursed => {
                drop(shared);
                panic!("connecting panics, as told");
            }
            Door::Open | Door::Silent | Door::Refusing => {}
        }
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (orders, queue) = mpsc::channel(100);
        shared.connections.insert(number, orders);
        let peer = self.clone();
        tokio::spawn(async move {
            Line::new(peer.clone(), number).serve(theirs, queue).await;
            peer.lock().connections.remove(&number);
        });
        Some(ours)
    }
}

/// One connection.
struct Line {
    peer: Peer,
    number: usize,
    session: Session<usize>,
    kept: Vec<(CommandId, u32)>,
    bound: bool,
    over: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.bound {
            self.peer.lock().bound -= 1;
        }
    }
}

impl Line {
    fn new(peer: Peer, number: usize) -> Self {
        let settings = Settings {
            window: 1_000,
            response_timeout: Duration::from_secs(600),
            enquire_link: Duration::ZERO,
            inactivity: Duration::ZERO,
            bind_timeout: Duration::from_secs(600),
            max_pdu: 64 * 1024,
        };
        let session = Session::new(Role::Smsc, settings, Instant::now().into_std());
        Self { peer, number, session, kept: Vec::new(), bound: false, over: false }
    }

    async fn serve(mut self, mut pipe: DuplexStream, mut orders: mpsc::Receiver<Order>) {
        let mut buffer = vec![0; 16 * 1024];
        let mut octets = self.step(Input::Connected);
        while !self.over {
            if !octets.is_empty() && pipe.write_all(&octets).await.is_err() {
                return;
            }
            octets = tokio::select! {
                read = pipe.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(count) => self.step(Input::Bytes(&buffer[..count])),
                },
                order = orders.recv() => match order {
                    Some(Order::Send { message, tag }) => {
                        self.step(Input::Submit { message: &message, tag })
                    }
                    Some(Order::Release) => self.release(),
                    Some(Order::Close) | None => return,
                },
            };
        }
        let _ = pipe.write_all(&octets).await;
    }

    /// Feeds the session and does what follows; answers the octets to send.
    fn step(&mut self, input: Input<'_, usize>) -> Vec<u8> {
        let (mut octets, mut outputs) = (Vec::new(), Vec::new());
        let now = Instant::now().into_std();
        let closed = self.session.step_into(now, input, &mut outputs, &mut octets);
        if closed.is_some() {
            self.over = true;
            self.peer.lock().unbinds += usize::from(self.bound);
        }
        for output in outputs {
            octets.append(&mut self.obey(output));
        }
        octets
    }

    fn obey(&mut self, output: Output<usize>) -> Vec<u8> {
        match output {
            Output::BindRequested(_) => {
                let door = self.peer.lock().door;
                match door {
                    Door::Open => self.step(Input::Accept),
                    Door::Silent => Vec::new(),
                    Door::Refusing | Door::Away | Door::Cursed => {
                        self.step(Input::Refuse(CommandStatus::BINDFAIL))
                    }
                }
            }
            Output::Bound => {
                self.bound = true;
                self.peer.lock().bound += 1;
                self.send_standing()
            }
            Output::Answered { tag, status, .. } => {
                self.peer.lock().acknowledged.push((tag, status));
                Vec::new()
            }
            Output::Request { command, sequence, message } => {
                self.hear(command, sequence, &message)
            }
            _ => Vec::new(),
        }
    }

    fn send_standing(&mut self) -> Vec<u8> {
        let (standing, done) = {
            let shared = self.peer.lock();
            (shared.standing.clone(), shared.acknowledged.clone())
        };
        let mut octets = Vec::new();
        for (tag, message) in standing.iter().enumerate() {
            if !done.iter().any(|(number, status)| *number == tag && status.is_ok()) {
                octets.append(&mut self.step(Input::Submit { message, tag }));
            }
        }
        octets
    }

    fn hear(&mut self, command: CommandId, sequence: u32, message: &Message) -> Vec<u8> {
        let text = String::from_utf8_lossy(&message.short_message).into_owned();
        let act = {
            let mut shared = self.peer.lock();
            let act = (shared.rule)(shared.heard.len(), &text);
            let (connection, at) = (self.number, Instant::now());
            let source = String::from_utf8_lossy(&message.source.digits).into_owned();
            shared.heard.push(Heard { connection, text, source, at });
            shared.most_open = shared.most_open.max(self.session.owed());
            act
        };
        match act {
            Act::Ack => self.ack(command, sequence, CommandStatus::OK).0,
            Act::Status(status) => self.ack(command, sequence, CommandStatus(status)).0,
            Act::Keep => {
                self.kept.push((command, sequence));
                Vec::new()
            }
            Act::Close => {
                self.over = true;
                Vec::new()
            }
            Act::AckThenReceipt => {
                let (mut octets, id) = self.ack(command, sequence, CommandStatus::OK);
                octets.append(&mut self.receipt(&id, message));
                octets
            }
            Act::ReceiptThenAck => {
                let next = self.peer.lock().ids + 1;
                let mut octets = self.receipt(&id_of(next), message);
                octets.append(&mut self.ack(command, sequence, CommandStatus::OK).0);
                octets
            }
        }
    }

    fn ack(
        &mut self,
        command: CommandId,
        sequence: u32,
        status: CommandStatus,
    ) -> (Vec<u8>, String) {
        let id = {
            let mut shared = self.peer.lock();
            shared.ids += 1;
            id_of(shared.ids)
        };
        let message_id = id.as_bytes();
        let octets = self.step(Input::Answer { command, sequence, status, message_id });
        (octets, id)
    }

    fn receipt(&mut self, id: &str, message: &Message) -> Vec<u8> {
        let tag = usize::MAX;
        let message = &delivered(id, message);
        self.step(Input::Submit { message, tag })
    }

    fn release(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        for (command, sequence) in std::mem::take(&mut self.kept) {
            octets.append(&mut self.ack(command, sequence, CommandStatus::OK).0);
        }
        octets
    }
}

fn id_of(number: u64) -> String {
    format!("id-{number}")
}

/// The receipt of a delivered message.
pub(super) fn delivered(id: &str, message: &Message) -> Message {
    use proto_smpp::receipt::{Stamp, State, Written, write};
    let stamp = Stamp::parse("2601011200").unwrap();
    let written = Written {
        message_id: id,
        state: State::Delivered,
        error: 0,
        submit_date: stamp,
        done_date: stamp,
        text: "",
        tlvs: true,
    };
    write(&written, &message.source, &message.destination)
}
