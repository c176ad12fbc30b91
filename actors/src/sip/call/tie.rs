//! Two calls that are joined: what they tell each other, and what each of them keeps of it.
//!
//! One holds the sound of both and the bridge, and has on one of its sides a leg that is not its own (`FAR`).
//! The other, its guest, has that leg, and does with it what it is told; it keeps its row, its money, its
//! records and its will, so each call pays for its own legs to the end. They speak by messages alone and
//! never wait for each other. Each holds one end of a rope: when a call dies, however that is, its end is
//! dropped, and the other one hears of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::carrier::OrgId;
use model::id::PublicId;
use proto_sip::StatusCode;
use proto_sip::header::Replaces;
use proto_sip::leg::{Command, Told};
use proto_sip::sdp::Body;
use ractor::{ActorId, ActorRef};

use super::CallMsg;
use super::orders::{Answer, Order};
use crate::media::Side;
use crate::sip::credentials::Credential;

/// The number of the leg that another call has; own legs never come that far.
pub(super) const FAR: u8 = 63;
/// How long the other call may take to say whether it can be joined.
pub(super) const AGREE: Duration = Duration::from_secs(5);
/// How long who stays may take to answer the new offer: a little longer than its transaction.
pub(super) const OFFERED: Duration = Duration::from_secs(40);

/// One end of a tie. The other end hears when it is dropped.
#[derive(Debug)]
pub struct Rope {
    tie: u64,
    to: ActorRef<CallMsg>,
}

/// What a call tells another one.
#[derive(Debug)]
pub enum Word {
    /// May your leg be taken over?
    Ask(Box<Ask>),
    /// It may. `seals`: who stays seals its sound.
    Ready {
        seals: bool,
        from: ActorRef<CallMsg>,
    },
    Refused(StatusCode),
    /// Whoever stays is to be offered this.
    Offer(Body),
    /// It has answered, and its leg is the other call's now.
    Joined(Box<Joined>),
    /// A call that was sent somewhere has begun.
    Begun(Rope),
    /// To a guest: for its leg.
    Do(Box<Command>),
    /// From a guest: what its leg tells.
    Told(Box<Told>),
    /// From a guest: an order, and whether it is about the guest's leg.
    Order {
        order: Order,
        about_far: bool,
        answer: Answer,
    },
    /// The end of the rope was dropped.
    Gone,
}

/// Which leg is to leave.
#[derive(Debug)]
pub enum Named {
    Dialog {
        leg: u8,
        replaces: Box<Replaces>,
    },
    Side(Side),
    /// The one that another call has, or the other one.
    Far,
    Near,
}

/// Who is on the other side of a call that asks or is asked, for the log.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub call: Option<PublicId>,
    pub party: String,
}

#[derive(Debug)]
pub struct Ask {
    pub back: Rope,
    pub organization: OrgId,
    /// Of a call that leaves the switch nowhere.
    pub test: bool,
    pub named: Named,
    pub about: About,
}

#[derive(Debug)]
pub struct Joined {
    pub sdp: Body,
    pub about: About,
    pub signalling: Option<IpAddr>,
    pub phone: Option<Arc<Credential>>,
}

/// A leg that another call has.
#[derive(Debug)]
pub(super) struct Far {
    pub rope: Rope,
    pub signalling: Option<IpAddr>,
    pub phone: Option<Arc<Credential>>,
}

/// This call is another one's guest.
#[derive(Debug)]
pub(super) struct Guest {
    pub rope: Rope,
    /// The leg that it does the other one's will with, and the side that it is on.
    pub leg: u8,
    pub side: Side,
}

/// Why a call asks to be joined.
pub(super) enum Why {
    /// A REFER with Replaces.
    Referred,
    /// An INVITE with Replaces.
    Replaces,
    Ordered(Answer),
}

/// A call that asked another one.
pub(super) struct Asking {
    pub rope: Rope,
    /// Where the other call's leg goes, and who leaves for it.
    pub side: Side,
    pub by: Option<u8>,
    pub why: Option<Why>,
    /// The other call may be joined.
    pub ready: bool,
    /// Who leaves has hung up.
    pub left: bool,
    pub until: Instant,
}

/// A call that was asked, or that sends who stays to a call of its own.
pub(super) struct Asked {
    /// A call that was sent has none before it has begun.
    pub rope: Option<Rope>,
    pub leaves: u8,
    pub side: Side,
    pub about: About,
    /// Who stays was offered something new.
    pub offered: bool,
    pub left: bool,
    pub until: Option<Instant>,
    pub sent: Option<Sending>,
}

/// A call that is sent somewhere.
#[derive(Debug, Default)]
pub(super) struct Sending {
    pub tie: u64,
    /// What it said before its answer.
    pub said: Option<Body>,
}

pub(super) enum Joining {
    Asking(Asking),
    Asked(Asked),
}

/// What a call is tied to.
#[derive(Default)]
pub(super) struct Ties {
    pub joining: Option<Joining>,
    pub far: Option<Far>,
    pub guest: Option<Guest>,
}

impl Rope {
    /// Both ends of a new tie: ours, and the one that the other is given.
    pub(super) fn between(
        tie: u64,
        other: ActorRef<CallMsg>,
        own: ActorRef<CallMsg>,
    ) -> (Self, Self) {
        (Self { tie, to: other }, Self { tie, to: own })
    }

    /// One end alone, for a call that has no actor yet.
    pub(super) fn to(tie: u64, own: ActorRef<CallMsg>) -> Self {
        Self { tie, to: own }
    }

    pub(super) fn tie(&self) -> u64 {
        self.tie
    }

    pub(super) fn peer(&self) -> ActorId {
        self.to.get_id()
    }

    /// False: nobody is there.
    pub(super) fn tell(&self, word: Word) -> bool {
        self.to.send_message(CallMsg::Tied(self.tie, word)).is_ok()
    }

    /// The other end is held by another call from now on.
    pub(super) fn moves_to(&mut self, other: ActorRef<CallMsg>) {
        self.to = other;
    }

    /// The same tie, from the call at the other end.
    pub(super) fn pass(&self, ask: Ask) {
        let tie = ask.back.tie;
        let _ = self.to.send_message(CallMsg::Tied(tie, Word::Ask(Box::new(ask))));
    }

    pub(super) fn back_to(&self, own: ActorRef<CallMsg>) -> Self {
        Self { tie: self.tie, to: own }
    }
}

impl Drop for Rope {
    fn drop(&mut self) {
        self.tell(Word::Gone);
    }
}

impl Joining {
    pub(super) fn is(&self, tie: u64) -> bool {
        match self {
            Self::Asking(asking) => asking.rope.tie == tie,
            Self::Asked(asked) => {
                let sent = asked.sent.as_ref().map(|sent| sent.tie);
                sent.or(asked.rope.as_ref().map(Rope::tie)) == Some(tie)
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Asking(asking) => Some(asking.until),
            Self::Asked(asked) => asked.until,
        }
    }
}

impl Ties {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.joining.as_ref().and_then(Joining::deadline)
    }

    /// Nothing is being joined.
    pub(super) fn is_free(&self) -> bool {
        self.joining.is_none()
    }
}
