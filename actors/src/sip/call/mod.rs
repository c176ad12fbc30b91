//! One call: a leg to who calls, legs to who is called, the sound between them, and what it costs.
//!
//! calls ─ Call       this file: the mailbox; temporary, one per call
//!
//! front     who calls, by digest or by address
//! dial      whom a plan rings; `egress` alone leaves for the public network; `reach` finds ways, and `seek`
//!           asks for names that are not known
//! ring      pure: whom to ring when, who wins, whose refusal is passed on
//! bridge    pure: what one side is told becomes what the other is asked
//! media     pure: descriptions with our relay's ports in them
//! money     pure: when more has to be put aside, and when the call ends for want of it
//! record    what is known of each leg; `ladder` its messages
//! orders    what the API has a call do; `sounding` what is played
//! transfer  who is on the other side is sent on; `sent` at a price, as a call of its own
//! join      two calls become one; `tie` what they tell each other
//! tape      who is told that it is recorded, and the recording
//! table     which call a message is for; `keeper` what outlives a call that fails
//! state, begin, heard, acts, finish    the actor's state and what it does with each thing that happens;
//!           `asking` what it asks the store
//!
//! Legs, ring, bridge and money are machines that the actor steps; it alone knows sockets, time and the
//! store. When it dies its legs are lost without a word: the supervisor says goodbye to all ends by what
//! `keeper` has, and bills what was talked. The relay closes with its handle.

mod acts;
mod asking;
mod begin;
mod bridge;
mod codecs;
mod dial;
mod egress;
mod finish;
mod front;
mod heard;
mod join;
mod keeper;
mod ladder;
mod media;
mod money;
mod orders;
mod reach;
mod record;
mod ring;
mod seek;
mod sent;
mod sounding;
mod state;
pub mod table;
mod tape;
mod tie;
mod transfer;

use std::sync::Arc;
use std::time::Duration;

use model::emergency::Emergency;
use model::voice::{Bounds, EndReason, HangupBy, VoiceRates};
use proto_sip::leg::Settings as LegSettings;
use proto_sip::sdp::Codec;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use store::lane::CallDone;

pub use codecs::codec;
pub use front::{Front, FrontParts};
pub use keeper::{Keeper, Will};
pub use orders::{Order, Unobeyed};
pub use table::{Begin, CallTable, Door, Heard, Opening};
pub use tape::{Barrier, TapeNews, TapeOrder};

pub use super::dialplan::Refused as Undialled;
use super::masks::Masks;
use super::names::{Found, Names};
use super::numbers::Numbers;
use super::recordings::Taping;
use super::registrar::RegistrarHandle;
use super::transport::Wire;
use crate::media::{Event, Media, Notice, Report, Side};
use crate::smpp::tls::Tls;
use crate::writer::WriterHandle;
use state::CallState;

/// What a call is told.
#[derive(Debug)]
pub enum CallMsg {
    /// From its shard.
    Heard(Heard),
    /// (self) What the store said.
    Stored(Stored),
    /// From its relay.
    Sound(Side, Event),
    /// (self) The relay has let go, and says how it was.
    Quiet(Option<Box<Report>>),
    /// It has to end.
    HangUp { by: HangupBy, reason: EndReason },
    /// From another call that this one is tied to, or asks to be.
    Tied(u64, tie::Word),
    /// From the API.
    Order(Order, orders::Answer),
    /// Which messages have been seen so far, as [`model::voice::pack`] makes them?
    Seen(RpcReplyPort<Vec<u8>>),
    /// (self) What became of a recording.
    Tape(TapeNews),
    /// (self) Its end was not known to be stored.
    CloseAgain,
    /// (self) Where a leg's name was found to be.
    Found { leg: u8, found: Found },
    /// (self) Something is due.
    Tick,
}

/// What was asked of the store, with its answer; `None`: there was none.
#[derive(Debug)]
pub enum Stored {
    Opened(Option<CallDone>),
    Renewed(Option<CallDone>),
    Closed(Option<CallDone>),
    /// Its messages were, or were not.
    Kept,
    /// An order was obeyed.
    Obeyed(orders::Answer),
}

/// What calls share. Numbers, sessions, trunks and credentials may be changed while calls go on.
pub struct Context {
    /// The sockets of this life of SIP.
    pub wire: Box<dyn Fn() -> Option<Wire> + Send + Sync>,
    pub front: Front,
    pub registrar: RegistrarHandle,
    pub numbers: Numbers,
    pub masks: Masks,
    pub rates: Arc<VoiceRates>,
    pub bounds: Bounds,
    pub emergency: Emergency,
    pub names: Names,
    /// How trunks over TLS are known.
    pub tls: Option<Tls>,
    pub media: Media,
    pub notices: tokio::sync::mpsc::Sender<Notice>,
    pub writer: WriterHandle,
    pub keeper: Keeper,
    pub legs: Arc<LegSettings>,
    pub limits: Limits,
    pub taping: Taping,
}

/// How long calls may take, and what they may speak.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long one of those who are called may ring, how long all of them may, and how often the caller
    /// hears of it.
    pub ring: Duration,
    pub ring_all: Duration,
    pub remind: Duration,
    pub duration: Duration,
    /// Empty for any.
    pub codecs: Vec<Codec>,
    /// Those that are offered beside a caller's own, and turned into each other; empty: none.
    pub spoken: Vec<Codec>,
    pub ladder: bool,
    /// A credential's own number is taken at its word, whoever has it.
    pub trusts_caller_ids: bool,
}

/// The behaviour.
pub struct Call;

/// A call that begins.
pub struct CallArgs {
    pub context: Arc<Context>,
    pub begin: Begin,
}

impl Actor for Call {
    type Msg = CallMsg;
    type State = CallState;
    type Arguments = CallArgs;

    async fn pre_start(
        &self,
        me: ActorRef<CallMsg>,
        args: CallArgs,
    ) -> Result<CallState, ActorProcessingErr> {
        CallState::new(me, args)
    }

    async fn post_start(
        &self,
        _me: ActorRef<CallMsg>,
        state: &mut CallState,
    ) -> Result<(), ActorProcessingErr> {
        state.begin().await;
        state.settle().await;
        Ok(())
    }

    async fn handle(
        &self,
        _me: ActorRef<CallMsg>,
        message: CallMsg,
        state: &mut CallState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CallMsg::Heard(heard) => state.heard(heard),
            CallMsg::Stored(stored) => state.stored(stored).await,
            CallMsg::Sound(side, event) => state.sound(side, event).await,
            CallMsg::Tape(news) => state.tape_news(news).await,
            CallMsg::HangUp { by, reason } => state.hang_up(by, reason),
            CallMsg::Tied(tie, word) => state.tied(tie, word).await,
            CallMsg::Order(order, answer) => state.ordered(order, answer).await,
            CallMsg::Seen(answer) => {
                let _ = answer.send(state.ladder.packed().to_vec());
            }
            CallMsg::Quiet(report) => state.quiet(report.as_deref()),
            CallMsg::CloseAgain => state.close_row(),
            CallMsg::Found { leg, found } => state.found(leg, &found).await,
            CallMsg::Tick => state.tick().await,
        }
        state.settle().await;
        Ok(())
    }
}
