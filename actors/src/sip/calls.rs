//! What serves calls, seen from the shards: an interface, and who refuses them while there is nobody.
//!
//! Everything of a call comes to `Calls::take`, in the order in which its shard saw it; what it wants sent it
//! tells the shard. It must not wait: it hands over to actors of its own.

use proto_sip::transaction::{Failure, ServerId};
use proto_sip::{Message, Method, StatusCode};
use ractor::ActorRef;

use super::flow::Flow;
use super::shard::{Mark, ShardMsg, answer};

/// What happens to a call.
#[derive(Debug)]
pub enum CallEvent {
    /// A request of a call, or one that begins it.
    Request {
        id: ServerId,
        flow: Flow,
        message: Message,
    },
    /// The INVITE is not wanted any more: 487 is to be sent.
    Cancelled {
        invite: ServerId,
        flow: Flow,
        message: Message,
    },
    /// An INVITE was answered in our place, since nobody said anything of it for too long.
    Unanswered {
        invite: ServerId,
    },
    /// An ACK of a 2xx.
    Ack {
        flow: Flow,
        message: Message,
    },
    Response {
        mark: Mark,
        flow: Flow,
        message: Message,
    },
    Failed {
        mark: Mark,
        why: Failure,
    },
}

/// Who serves calls.
pub trait Calls: Send + Sync {
    fn take(&self, shard: &ActorRef<ShardMsg>, event: CallEvent);
}

/// Nobody serves calls: each is refused by name.
pub struct NoCalls;

impl Calls for NoCalls {
    fn take(&self, shard: &ActorRef<ShardMsg>, event: CallEvent) {
        let CallEvent::Request { id, message, .. } = event else { return };
        let begins = message.to().is_ok_and(|to| to.tag().is_none());
        let (status, reason) = match message.method() {
            Some(Method::Invite) if begins => {
                (StatusCode::NOT_IMPLEMENTED, Some("Calls Are Not Served Yet"))
            }
            _ => (StatusCode::CALL_DOES_NOT_EXIST, None),
        };
        if let Some(octets) = answer(&message, status, reason, |_| {}) {
            let _ = shard.send_message(ShardMsg::Respond(vec![(id, octets)]));
        }
    }
}
