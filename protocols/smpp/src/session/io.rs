//! What a session is made of, told, and answers with.

use std::time::Duration;

use crate::pdu::manage::{Ask, QueryResponse};
use crate::pdu::multi::{Multi, Unsuccessful};
use crate::pdu::notify::{Alert, Outbind};
use crate::window::LAST_SEQUENCE;
use crate::{Bind, CommandId, CommandStatus, Message, frame};

/// Never changes during a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Requests that may be in flight to the peer.
    pub window: usize,
    /// For answers to our messages, to enquire_link and to unbind.
    pub response_timeout: Duration,
    /// Silence after which the link is asked; zero never asks.
    pub enquire_link: Duration,
    /// Silence after which the session ends; zero never ends it.
    pub inactivity: Duration,
    /// ESME: for the answer to our bind. SMSC: from connect until a bind is accepted.
    pub bind_timeout: Duration,
    /// Octets of the longest PDU taken.
    pub max_pdu: usize,
}

/// Which side of the link we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// We connect, and bind with this.
    Esme(Bind),
    /// We listen, and are bound to.
    Smsc,
}

/// What happened, or what the owner wants.
#[derive(Debug)]
pub enum Input<'a, T> {
    /// The socket is open. An ESME binds now.
    Connected,
    /// Octets from the peer, any number.
    Bytes(&'a [u8]),
    /// Send this message (its `command` says how) and tell the outcome with the tag.
    Submit { message: &'a Message, tag: T },
    /// SMSC: let the pending bind in.
    Accept,
    /// SMSC: turn the pending bind away with this status, and close.
    Refuse(CommandStatus),
    /// Answer a `Request` with the command and sequence that it had.
    Answer { command: CommandId, sequence: u32, status: CommandStatus, message_id: &'a [u8] },
    /// Answer an `Asked` that was refused, or a cancellation or replacement that was done.
    AnswerAsked { command: CommandId, sequence: u32, status: CommandStatus },
    /// Answer an asked query.
    AnswerQuery { sequence: u32, response: QueryResponse<'a> },
    /// Answer a `RequestMulti`: the id, and the destinations that were not taken.
    AnswerMulti {
        sequence: u32,
        status: CommandStatus,
        message_id: &'a [u8],
        unsuccessful: &'a [Unsuccessful],
    },
    /// SMSC: we have called the ESME, which shall bind now. Before its bind only.
    Outbind(&'a Outbind),
    /// SMSC: a subscriber can be reached again. To a bind that receives only.
    Alert(&'a Alert),
    /// End in good order.
    Unbind,
    /// The deadline has passed.
    Tick,
}

/// What to do, or what came of it; to be obeyed in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<T> {
    /// Messages may flow.
    Bound,
    /// ESME: the SMSC does not want us. A `Close` follows.
    BindRefused(CommandStatus),
    /// SMSC: someone wants in; say `Accept` or `Refuse`. What follows on the wire waits.
    BindRequested(Bind),
    /// The peer answered a message; the id is raw and may be empty.
    Answered { tag: T, status: CommandStatus, message_id: Vec<u8> },
    /// The peer did not answer in time. It may still have taken the message.
    TimedOut { tag: T },
    /// Not sent: the window is full, we are not bound, the bind is one-way, or it does not fit.
    Refused { tag: T },
    /// The peer sent a message; say `Answer` when it is safe.
    Request { command: CommandId, sequence: u32, message: Message },
    /// SMSC: the peer sent one text to many; say `AnswerMulti` when it is safe.
    RequestMulti { sequence: u32, multi: Box<Multi> },
    /// SMSC: the peer asks about an earlier message; say `AnswerQuery` or `AnswerAsked`.
    Asked { sequence: u32, ask: Box<Ask> },
    /// ESME: the SMSC says something that has no answer.
    Noticed(Box<Notice>),
    /// Write these octets: all PDUs of the step. At most one per step, after all but `Close`.
    Transmit(Vec<u8>),
    /// Write what came before, then close the socket. Always the last; nothing follows it.
    Close(CloseReason),
}

/// What an SMSC says unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It asks us to bind, on a line where we are bound or about to be (SMPP 3.4 §4.1.7).
    Outbind(Outbind),
    /// A subscriber can be reached again (SMPP 3.4 §4.12).
    Alert(Alert),
    /// One of these, whose body cannot be read.
    Unreadable(CommandId),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// We unbound, and the peer agreed.
    Unbound,
    /// The peer unbound.
    PeerUnbound,
    /// The bind was refused, by them or by us.
    Refused,
    /// No bind, or no answer to ours, in time.
    BindTimeout,
    /// The peer did not answer our unbind.
    UnbindTimeout,
    /// The peer did not answer enquire_link.
    EnquireTimeout,
    /// Nothing was heard for the inactivity time.
    Inactive,
    /// An impossible command_length: the stream cannot be followed.
    BadLength,
    /// The peer sent too much before it was let in.
    Flooded,
}

/// What a session saw, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stats {
    pub pdus_received: u64,
    pub pdus_sent: u64,
    /// Responses to nothing we have in flight: late, repeated, or invented.
    pub unknown_responses: u64,
    /// Requests whose body could not be read.
    pub malformed: u64,
    /// Requests with a command that we do not serve.
    pub unsupported: u64,
    /// generic_nacks from the peer.
    pub nacks: u64,
    /// Times that we asked whether the peer is still there.
    pub enquiries: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: 10,
            response_timeout: Duration::from_secs(30),
            enquire_link: Duration::from_secs(30),
            inactivity: Duration::from_secs(300),
            bind_timeout: Duration::from_secs(10),
            max_pdu: frame::MAX_PDU,
        }
    }
}

impl CloseReason {
    pub fn name(self) -> &'static str {
        match self {
            Self::Unbound => "unbound",
            Self::PeerUnbound => "peer_unbound",
            Self::Refused => "refused",
            Self::BindTimeout => "bind_timeout",
            Self::UnbindTimeout => "unbind_timeout",
            Self::EnquireTimeout => "enquire_timeout",
            Self::Inactive => "inactive",
            Self::BadLength => "bad_length",
            Self::Flooded => "flooded",
        }
    }
}

/// Brings a chosen first sequence number into 1..=0x7FFFFFFF.
pub(super) fn valid_sequence(sequence: u32) -> u32 {
    sequence.clamp(1, LAST_SEQUENCE)
}
