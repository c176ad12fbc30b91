//! What a call is told to do from outside of the wire: to hang up, to be quiet, to press digits.
//!
//! Orders come by the key of the call's row, through the keeper: who gives them knows no actor. Hanging up is
//! answered when the end is stored, the rest when it is done. A call that dies answers `Gone`.

use std::fmt;
use std::time::Duration;

use model::carrier::MessageKey;
use model::voice::{CallStatus, EndReason, HangupBy};
use ractor::RpcReplyPort;
use ractor::rpc::CallResult;

use super::CallMsg;
use super::keeper::Keeper;
use super::state::{CallState, Phase};
use crate::media::{Refused, Side};

/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// An order.
#[derive(Clone)]
pub enum Order {
    HangUp,
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
}

/// Digits may be a secret number.
impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HangUp => f.write_str("HangUp"),
            Self::Mute { side, on } => write!(f, "Mute({side:?}, {on})"),
            Self::Press { side, digits, .. } => write!(f, "Press({side:?}, {})", digits.len()),
        }
    }
}

/// Why an order was not obeyed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unobeyed {
    #[error("nobody holds the call")]
    Gone,
    #[error("the call is not answered yet, or over")]
    NotUp,
    #[error("the call does not answer in time")]
    Late,
    #[error(transparent)]
    Sound(Refused),
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
        let done = match order {
            Order::HangUp => {
                let reason = match self.answered_at {
                    Some(_) => EndReason::Normal,
                    None => EndReason::Canceled,
                };
                self.hang_up(HangupBy::Api, reason);
                return self.waiting.push(answer);
            }
            Order::Mute { side, on } => self.mute(side, on).await,
            Order::Press { side, digits, duration } => self.press(side, &digits, duration).await,
        };
        let _ = answer.send(done);
    }

    async fn mute(&mut self, side: Side, on: bool) -> Result<(), Unobeyed> {
        let session = self.session.as_ref().filter(|_| self.phase == Phase::Up);
        session.ok_or(Unobeyed::NotUp)?.mute(side, on).await.map_err(Unobeyed::Sound)?;
        let number = self.sides[usize::from(side == Side::B)].ok_or(Unobeyed::NotUp)?;
        let leg = self.leg(number).ok_or(Unobeyed::NotUp)?;
        leg.record.muted = on;
        if let Some(key) = self.row.key {
            self.progress(key, self.at(), CallStatus::InProgress, true);
        }
        Ok(())
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
