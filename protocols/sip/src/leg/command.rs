//! What a leg is given and what it gives: inputs, commands, orders, and what its user is told.

use bytes::Bytes;

use super::{Cause, Extra};
use crate::header::Replaces;
use crate::sdp::Body;
use crate::{Message, Name, StatusCode, transaction};

/// Our own mark of a request that we sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u32);

/// What happens to a leg. `S` marks a request that came, for its answer.
#[derive(Debug)]
pub enum Input<S> {
    /// A request, but for ACK and CANCEL.
    Request {
        id: S,
        message: Message,
    },
    /// The ACK of a 2xx.
    Ack(Message),
    /// An INVITE was cancelled, and the CANCEL has its answer; or its transaction waits no longer.
    Cancelled {
        invite: S,
        cause: Cause,
    },
    Response {
        tag: Tag,
        message: Message,
    },
    /// There is no response, and there will be none.
    Failed {
        tag: Tag,
        why: Loss,
    },
    Command(Command),
    /// The deadline has come.
    Tick,
}

/// Why no response came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    TimedOut,
    Transport,
}

impl Loss {
    /// The status that it is as good as, RFC 3261 §8.1.3.1.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::Transport => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<transaction::Failure> for Loss {
    fn from(failure: transaction::Failure) -> Self {
        match failure {
            transaction::Failure::TimedOut => Self::TimedOut,
            transaction::Failure::Transport
            | transaction::Failure::Full
            | transaction::Failure::NotARequest => Self::Transport,
        }
    }
}

/// What a leg wants done.
#[derive(Clone, Debug)]
pub enum Output<S> {
    /// To send, with a Via of the transaction. `target` is the URI of where it goes first.
    Request {
        tag: Tag,
        octets: Bytes,
        target: Bytes,
    },
    /// The ACK of a 2xx: no transaction, no answer.
    Ack {
        octets: Bytes,
        target: Bytes,
    },
    Cancel {
        tag: Tag,
        cause: Cause,
    },
    Respond {
        id: S,
        octets: Bytes,
    },
    Told(Told),
}

/// What the user of a leg may want.
#[derive(Clone, Debug)]
pub enum Command {
    /// A provisional answer to the INVITE. It is sent reliably if the peer asks for that, or takes it
    /// and `reliable` is set.
    Ring {
        status: StatusCode,
        sdp: Option<Body>,
        reliable: bool,
        extra: Extra,
    },
    /// A 200. The description is the answer, or the offer if the INVITE had none; what an earlier
    /// provisional answer said need not be said again.
    Answer {
        sdp: Option<Body>,
        extra: Extra,
    },
    /// Any other final answer to the INVITE.
    Reject {
        status: StatusCode,
        cause: Cause,
        extra: Extra,
    },
    /// The end of the call, by whatever ends it now: CANCEL, BYE, or a final answer.
    End {
        cause: Cause,
    },
    /// A new offer. It waits while another is under way; of several that wait the last one is sent.
    Offer {
        sdp: Body,
    },
    /// The answer to `Told::Offered`, or the offer that it asks for.
    AnswerOffer {
        sdp: Body,
    },
    /// No to `Told::Offered`: what was agreed stays.
    RefuseOffer {
        status: StatusCode,
    },
    /// Credentials for `Told::Challenged`: the request is sent again with them.
    Authorize {
        tag: Tag,
        header: Name,
        value: String,
    },
    /// There are none: the request ends as if the challenge were its answer.
    Unauthorized {
        tag: Tag,
    },
    Refer(Box<Refer>),
    /// The answer to `Told::Referred`: 202 or no.
    AnswerRefer {
        status: StatusCode,
    },
    /// How it goes with what they referred us to; a final status ends the reports.
    NotifyRefer {
        status: StatusCode,
    },
    Info {
        content_type: String,
        body: Bytes,
    },
}

/// A transfer that we ask for.
#[derive(Clone, Debug)]
pub struct Refer {
    /// The value of Refer-To.
    pub to: String,
    /// The value of Referred-By, if any.
    pub by: Option<String>,
    /// Whether we want to know how it goes.
    pub reports: bool,
}

/// What the user of a leg is told. `Redirected`, `Failed` and `Ended` come once and last.
#[derive(Clone, Debug)]
pub enum Told {
    /// An INVITE that is ours to answer.
    Invited {
        sdp: Option<Body>,
        replaces: Option<Replaces>,
    },
    /// Our 200 has its ACK.
    Acknowledged,
    /// A provisional answer of one branch of the call, with the sound it wants heard.
    Ringing {
        fork: u16,
        status: StatusCode,
        sdp: Option<Body>,
    },
    /// A branch of the call is given up; others may go on.
    ForkEnded {
        fork: u16,
    },
    /// The call is answered. The description is what is agreed, or an offer to answer.
    Answered {
        fork: u16,
        sdp: Option<Body>,
        is_offer: bool,
    },
    /// The call is to be placed to these URIs, the best first.
    Redirected {
        status: StatusCode,
        contacts: Vec<Bytes>,
    },
    /// A request of ours needs credentials: `Authorize` it, or say that it is `Unauthorized`.
    Challenged(Box<Challenged>),
    Failed(Box<Failure>),
    /// An offer of theirs; without a description, an offer of ours is wanted.
    Offered {
        sdp: Option<Body>,
    },
    OfferAnswered {
        sdp: Body,
    },
    OfferRefused {
        status: StatusCode,
    },
    /// They took their offer back.
    OfferWithdrawn,
    Referred(Box<Referred>),
    ReferAnswered {
        status: StatusCode,
    },
    /// How it goes with our transfer.
    ReferProgress {
        status: Option<StatusCode>,
        is_over: bool,
    },
    Info {
        content_type: Bytes,
        body: Bytes,
    },
    InfoAnswered {
        status: StatusCode,
    },
    Ended {
        by: By,
        cause: Cause,
    },
}

impl Told {
    /// Whether it is the last that is told.
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Redirected { .. } | Self::Failed(_) | Self::Ended { .. })
    }
}

/// Who or what ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Us,
    Them,
    /// No ACK came for our 200.
    AckMissing,
    /// No PRACK came for a provisional answer.
    PrackMissing,
    /// The session was not refreshed in time.
    SessionTimer,
    /// A request in the dialog got 408, 481 or no answer: the other end has lost the call.
    Lost,
    /// The other end broke the rules, or answered with what cannot be.
    Protocol,
}

/// A request of ours that was answered 401 or 407.
#[derive(Clone, Debug)]
pub struct Challenged {
    pub tag: Tag,
    pub status: StatusCode,
    pub method: String,
    /// The Request-URI.
    pub uri: String,
    /// Values of WWW-Authenticate or Proxy-Authenticate.
    pub challenges: Vec<String>,
    /// How often the same request was challenged before.
    pub before: u8,
}

/// Why a call was not answered.
#[derive(Clone, Debug)]
pub struct Failure {
    pub status: StatusCode,
    /// The words of the status line.
    pub words: Bytes,
    pub cause: Cause,
    pub retry_after_s: Option<u32>,
}

/// A transfer that they ask for.
#[derive(Clone, Debug)]
pub struct Referred {
    /// The URI of Refer-To, with its headers as they came.
    pub to: crate::Uri,
    /// The call that the new one is to take the place of.
    pub replaces: Option<Replaces>,
    /// The value of Referred-By.
    pub by: Option<Bytes>,
}
