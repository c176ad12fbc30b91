//! Branches of our INVITE, RFC 3261 §12.1 and §13.2.2.4: one early dialog for each tag, the winner,
//! and those whose 2xx comes too late.

use bytes::Bytes;

use super::sent::What;
use super::{Io, Leg, Mark, Output, Told, Usage};
use crate::dialog::Dialog;
use crate::sdp::Exchange;
use crate::{Message, Method, Name};

/// Branches that are told apart; what others say before they answer is passed over.
const FORKS_MAX: usize = 16;

/// What a 2xx gets that no leg wants any more: the ACK and the BYE.
#[derive(Clone, Debug)]
pub struct Stray {
    pub ack: Bytes,
    /// To be sent once; the ACK goes out for each repeat.
    pub bye: Bytes,
    /// The URI of where both go first.
    pub target: Bytes,
}

/// Answers a 2xx to an INVITE by what stands in it alone.
pub fn stray(response: &Message) -> Option<Stray> {
    let cseq = response.cseq().ok()?;
    let is_success = response.status().is_some_and(crate::StatusCode::is_success);
    if cseq.method != Method::Invite || !is_success {
        return None;
    }
    let from = response.first(Name::From)?.value();
    let uri = Bytes::copy_from_slice(response.to().ok()?.uri.as_bytes());
    let mut dialog = Dialog::of_response(response, &from, &uri).ok()?;
    let ack = dialog.ack(cseq.number).finish().ok()?;
    let (_, bye) = dialog.request(&Method::Bye);
    Some(Stray { ack, bye: bye.finish().ok()?, target: dialog.next_hop() })
}

impl<S: Mark> Leg<S> {
    /// Makes the branch that a message speaks for the current one. `false` if there is none.
    fn switch_branch(&mut self, tag: &[u8]) -> bool {
        if self.usage.as_ref().is_some_and(|usage| usage.dialog.remote_tag() == tag) {
            return true;
        }
        let (Some(placed), Some(usage)) = (&mut self.placed, &mut self.usage) else {
            return false;
        };
        let other = placed.others.iter_mut().find(|other| other.dialog.remote_tag() == tag);
        other.map(|other| std::mem::swap(other, usage)).is_some()
    }

    /// The same for a response to our INVITE, which may begin a branch.
    pub(super) fn enter_branch(&mut self, response: &Message) -> bool {
        let Ok(to) = response.to() else { return false };
        let is_success = response.status().is_some_and(crate::StatusCode::is_success);
        if self.switch_branch(to.tag().unwrap_or_default()) {
            return true;
        }
        let Some(placed) = &mut self.placed else { return false };
        if placed.others.len() >= FORKS_MAX && !is_success {
            return false;
        }
        let Ok(dialog) = Dialog::of_response(response, &placed.from, &placed.uri) else {
            return false;
        };
        let mut exchange = Exchange::default();
        if let Some(offer) = &placed.offer {
            exchange.offer_sent(offer.clone()).ok();
        }
        let (fork, owed, rseq, preview) = (placed.forks, None, None, None);
        placed.forks = placed.forks.saturating_add(1);
        let before = self.usage.replace(Usage { fork, dialog, exchange, owed, rseq, preview });
        placed.others.extend(before);
        true
    }

    /// Whether a request is of a dialog of ours; its branch is then the current one.
    pub(super) fn is_from_peer(&mut self, request: &Message) -> bool {
        let (Ok(from), Ok(to)) = (request.from(), request.to()) else { return false };
        to.tag() == Some(self.tag.as_bytes()) && self.switch_branch(from.tag().unwrap_or_default())
    }

    /// A branch says that it has ended, RFC 6228.
    pub(super) fn branch_ended(&mut self, response: &Message, io: &mut Io<'_, S>) {
        let Ok(to) = response.to() else { return };
        if !self.switch_branch(to.tag().unwrap_or_default()) {
            return;
        }
        let last = self.placed.as_mut().and_then(|placed| placed.others.pop());
        if let Some(ended) = std::mem::replace(&mut self.usage, last) {
            io.tell(Told::ForkEnded { fork: ended.fork });
        }
    }

    /// A 2xx that no request waits for: the one we have again, or another branch's.
    pub(super) fn late_success(&mut self, response: &Message, io: &mut Io<'_, S>) {
        let (Ok(cseq), Ok(to)) = (response.cseq(), response.to()) else { return };
        if cseq.method != Method::Invite {
            return;
        }
        let tag = to.tag().unwrap_or_default();
        let is_peer = self.usage.as_ref().is_some_and(|usage| usage.dialog.remote_tag() == tag);
        match &self.acked {
            Some(acked) if is_peer => {
                if acked.seq == cseq.number && !acked.waits {
                    self.acknowledge(io);
                }
            }
            _ => self.dismiss(response, io),
        }
    }

    /// Acknowledges a 2xx that nobody wants, and hangs up on who sent it.
    pub(super) fn dismiss(&mut self, response: &Message, io: &mut Io<'_, S>) {
        let Some(stray) = stray(response) else { return };
        let (Some(placed), Ok(to)) = (&mut self.placed, response.to()) else { return };
        io.out.push(Output::Ack { octets: stray.ack, target: stray.target.clone() });
        let tag = to.tag().unwrap_or_default();
        let is_known = placed.dismissed.iter().any(|known| known == tag);
        if !is_known && placed.dismissed.len() < FORKS_MAX {
            placed.dismissed.push(Bytes::copy_from_slice(tag));
            self.send(What::Dismissal, 0, stray.bye, stray.target, io);
        }
    }
}
