//! What a call is told to do from outside of the wire: to hang up, to have a side wait, to silence one, to
//! press digits, to play something, to record.
//!
//! Orders come by the key of the call's row, through the keeper: who gives them knows no actor. Hanging up is
//! answered when the end is stored, the rest when it is done. A call that dies answers `Gone`.

use std::fmt;
use std::time::Duration;

use model::carrier::MessageKey;
use model::voice::{EndReason, HangupBy};
use proto_sip::StatusCode;
use proto_sip::leg::Cause;
use ractor::rpc::CallResult;
use ractor::{ActorRef, RpcReplyPort};
use store::lane::{CallChange, Progress};

use super::keeper::Keeper;
use super::ring::Outcome;
use super::state::{CallState, Phase};
use super::tape::{Barrier, TapeOrder};
use super::tie::{Named, Why, Word};
use super::{CallMsg, Stored, Undialled};
use crate::media::{Refused, Side, Sound};

/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// An order.
#[derive(Clone)]
pub enum Order {
    HangUp,
    /// Who calls hears that it is busy; of a call that rings.
    Decline,
    /// This side waits, and hears nothing, or is taken back.
    Hold {
        side: Side,
        on: bool,
        /// What it hears meanwhile; else what is set for all.
        music: Option<Sound>,
    },
    /// What this side says is not heard, or is again.
    Mute {
        side: Side,
        on: bool,
    },
    /// Digits that this side hears.
    Press {
        side: Side,
        digits: String,
        duration: Duration,
    },
    /// Who is on the other side talks to this one from now on.
    Send {
        side: Side,
        to: String,
    },
    /// Who is on the other side talks to who is left of another call when a side of it has gone.
    Join {
        side: Side,
        other: ActorRef<CallMsg>,
        leaves: Side,
    },
    /// A sound that these sides hear, again and again with `repeats`.
    Play {
        sides: Vec<Side>,
        sound: Sound,
        repeats: bool,
    },
    StopPlaying {
        sides: Vec<Side>,
    },
    Record(TapeOrder),
}

/// Digits may be a secret number.
impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HangUp => f.write_str("HangUp"),
            Self::Decline => f.write_str("Decline"),
            Self::Hold { side, on, .. } => write!(f, "Hold({side:?}, {on})"),
            Self::Mute { side, on } => write!(f, "Mute({side:?}, {on})"),
            Self::Press { side, digits, .. } => write!(f, "Press({side:?}, {})", digits.len()),
            Self::Send { side, .. } => write!(f, "Send({side:?})"),
            Self::Join { side, leaves, .. } => write!(f, "Join({side:?}, {leaves:?})"),
            Self::Play { sides, repeats, .. } => write!(f, "Play({sides:?}, {repeats})"),
            Self::StopPlaying { sides } => write!(f, "StopPlaying({sides:?})"),
            Self::Record(order) => write!(f, "Record({order:?})"),
        }
    }
}

impl Order {
    /// The side that it is about.
    fn side(&self) -> Option<Side> {
        match self {
            Self::HangUp
            | Self::Decline
            | Self::Play { .. }
            | Self::StopPlaying { .. }
            | Self::Record(_) => None,
            Self::Hold { side, .. }
            | Self::Mute { side, .. }
            | Self::Press { side, .. }
            | Self::Send { side, .. }
            | Self::Join { side, .. } => Some(*side),
        }
    }

    /// Whether it is for who has the sound.
    fn is_of_sound(&self) -> bool {
        matches!(self, Self::Play { .. } | Self::StopPlaying { .. } | Self::Record(_))
    }

    /// The same about another side.
    #[must_use]
    pub(super) fn about(mut self, other: Side) -> Self {
        match &mut self {
            Self::HangUp
            | Self::Decline
            | Self::Play { .. }
            | Self::StopPlaying { .. }
            | Self::Record(_) => {}
            Self::Hold { side, .. }
            | Self::Mute { side, .. }
            | Self::Press { side, .. }
            | Self::Send { side, .. }
            | Self::Join { side, .. } => *side = other,
        }
        self
    }
}

/// Why an order was not obeyed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unobeyed {
    #[error("nobody holds the call")]
    Gone,
    #[error("the call is not answered yet, or over")]
    NotUp,
    #[error("the sides are agreeing on something else")]
    Busy,
    #[error("the call does not answer in time")]
    Late,
    #[error("nothing of the call may be recorded")]
    Unrecorded(Barrier),
    #[error("the recording could not be stored")]
    NotStored,
    #[error(transparent)]
    Sound(Refused),
    #[error("the call does not ring")]
    NotRinging,
    #[error("the call was joined to another one, which has its sound")]
    Elsewhere,
    #[error("no telephone of the organization leaves this call")]
    NoTelephone,
    #[error("what was dialled is refused: {}", .0.code())]
    Undialled(Undialled),
    #[error("the calls are not joined: {0}")]
    NotJoined(StatusCode),
}

pub(super) type Answer = RpcReplyPort<Result<(), Unobeyed>>;

impl Keeper {
    /// Tells the call of this row to do something.
    pub async fn order(&self, call: MessageKey, order: Order) -> Result<(), Unobeyed> {
        let holder = self.holder(call).ok_or(Unobeyed::Gone)?;
        let told = holder.call(|answer| CallMsg::Order(order, answer), Some(PATIENCE)).await;
        match told {
            Ok(CallResult::Success(done)) => done,
            Ok(CallResult::Timeout) => Err(Unobeyed::Late),
            Ok(CallResult::SenderError) | Err(_) => Err(Unobeyed::Gone),
        }
    }
}

impl Keeper {
    /// The messages of a call that is not quiet yet, packed; none of one that nobody holds.
    pub async fn seen(&self, call: MessageKey) -> Option<Vec<u8>> {
        let holder = self.holder(call)?;
        match holder.call(CallMsg::Seen, Some(PATIENCE)).await {
            Ok(CallResult::Success(packed)) => Some(packed),
            _ => None,
        }
    }
}

impl CallState {
    pub(super) async fn ordered(&mut self, order: Order, answer: Answer) {
        if let (Some(guest), Some(side)) = (&self.ties.guest, order.side()) {
            // The sound is the other call's, and so is who is on the other side.
            let about_far = side == guest.side;
            guest.rope.tell(Word::Order { order, about_far, answer });
            return;
        }
        if self.ties.guest.is_some() && order.is_of_sound() {
            let _ = answer.send(Err(Unobeyed::Elsewhere));
            return;
        }
        let changes_legs = matches!(order, Order::Hold { .. } | Order::Mute { .. });
        let done = match order {
            Order::HangUp => {
                let reason = match self.answered_at {
                    Some(_) => EndReason::Normal,
                    None => EndReason::Canceled,
                };
                self.hang_up(HangupBy::Api, reason);
                return self.waiting.push(answer);
            }
            Order::Decline if self.answered_at.is_some() || self.end.is_some() => {
                Err(Unobeyed::NotRinging)
            }
            Order::Decline => {
                let mut wishes = Vec::new();
                self.ring.stop(&Cause::q850(17), &mut wishes);
                self.wish(wishes).await;
                self.fail(Outcome::of(StatusCode::BUSY_HERE), HangupBy::Api);
                return self.waiting.push(answer);
            }
            Order::Hold { side, on, music } => self.park(side, on, music).await,
            Order::Mute { side, on } => self.mute(side, on).await,
            Order::Press { side, digits, duration } => self.press(side, &digits, duration).await,
            Order::Send { .. } | Order::Join { .. } if self.phase != Phase::Up => {
                Err(Unobeyed::NotUp)
            }
            Order::Send { side, to } => self.send_by_order(side, &to).await,
            Order::Join { side, other, leaves } => {
                return self.join_by_order((side, other), leaves, answer);
            }
            Order::Play { sides, sound, repeats } => self.play(&sides, &sound, repeats).await,
            Order::StopPlaying { sides } => self.stop_playing(&sides).await,
            Order::Record(order) => return self.tape_ordered(order, answer).await,
        };
        match (done, changes_legs) {
            (Ok(()), true) => self.tell_legs(answer),
            (done, _) => {
                let _ = answer.send(done);
            }
        }
    }

    async fn mute(&mut self, side: Side, on: bool) -> Result<(), Unobeyed> {
        if self.tape.is_announcing() {
            // Until all have heard that they are recorded nobody hears the other.
            return Err(Unobeyed::Busy);
        }
        let session = self.session.as_ref().filter(|_| self.phase == Phase::Up);
        session.ok_or(Unobeyed::NotUp)?.mute(side, on).await.map_err(Unobeyed::Sound)?;
        let number = self.number_of(side).ok_or(Unobeyed::NotUp)?;
        if let Some(leg) = self.leg(number) {
            leg.record.muted = on;
        }
        Ok(())
    }

    async fn park(&mut self, side: Side, on: bool, music: Option<Sound>) -> Result<(), Unobeyed> {
        if self.phase != Phase::Up {
            return Err(Unobeyed::NotUp);
        }
        if !self.is_settled() {
            return Err(Unobeyed::Busy);
        }
        let (mut acts, bridge) = (Vec::new(), self.bridge.as_mut().ok_or(Unobeyed::NotUp)?);
        if !bridge.park(side, on, &mut acts) {
            return Err(Unobeyed::Busy);
        }
        let session = self.session.as_ref().ok_or(Unobeyed::NotUp)?;
        session.hold(side, on).await.map_err(Unobeyed::Sound)?;
        self.act(acts).await;
        let number = self.number_of(side).ok_or(Unobeyed::NotUp)?;
        if let Some(leg) = self.leg(number) {
            leg.record.on_hold = on;
        }
        if on {
            let music = music.or_else(|| self.context.taping.hold_music());
            self.waits(side, music, HangupBy::Api).await;
        } else {
            self.goes_on(side, HangupBy::Api).await;
        }
        Ok(())
    }

    fn join_by_order(
        &mut self,
        (side, other): (Side, ActorRef<CallMsg>),
        leaves: Side,
        answer: Answer,
    ) {
        let by = self.number_of(side);
        if by.is_none() {
            let _ = answer.send(Err(Unobeyed::NotUp));
            return;
        }
        let asked =
            self.ask_to_join((side, by), (other, Named::Side(leaves)), Why::Ordered(answer));
        if let Err((status, Why::Ordered(answer))) = asked {
            let _ = answer.send(Err(Unobeyed::NotJoined(status)));
        }
    }

    /// The store is told how the legs are now, and who ordered it once it is.
    fn tell_legs(&self, answer: Answer) {
        let Some(key) = self.row.key else {
            let _ = answer.send(Ok(()));
            return;
        };
        let legs = self.legs.iter().map(|(_, leg)| leg.record.clone()).collect();
        let (at, legs) = (self.at(), Some(legs));
        let progress = Progress { key, at, status: None, legs, transport: None, facts: None };
        let told = CallChange::Progress(Box::new(progress));
        self.ask(told, move |_| Stored::Obeyed(answer));
    }

    async fn press(&self, side: Side, digits: &str, duration: Duration) -> Result<(), Unobeyed> {
        let session = self.session.as_ref().filter(|_| self.phase == Phase::Up);
        let pressed = session.ok_or(Unobeyed::NotUp)?.send_dtmf(side, digits, duration).await;
        pressed.map_err(Unobeyed::Sound)
    }

    /// Who hung up hears that the end is stored.
    pub(super) fn answer_waiting(&mut self) {
        if self.row.done {
            self.waiting.drain(..).for_each(|answer| {
                let _ = answer.send(Ok(()));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_in_no_log() {
        let digits = String::from("4711");
        let order = Order::Press { side: Side::B, digits, duration: Duration::from_millis(160) };
        assert_eq!(format!("{order:?}"), "Press(B, 4)");
    }

    #[tokio::test]
    async fn a_call_that_nobody_holds_is_gone() {
        let keeper = Keeper::default();
        assert_eq!(keeper.order(MessageKey(1), Order::HangUp).await, Err(Unobeyed::Gone));
    }
}
