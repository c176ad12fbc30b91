//! Legs whose way is being asked for: a name has to be found before its INVITE leaves.
//!
//! The actor waits for no resolver. A task asks, and what it found comes as a message; meanwhile the leg is
//! one that rings like any other: whoever gives it up drops what is kept here, and its task with it.

use std::net::IpAddr;

use proto_sip::StatusCode;
use tokio::task::AbortHandle;

use super::CallMsg;
use super::dial::{Invite, Reach, Target};
use super::reach::{self, Closed, Guide, Way};
use super::ring::Outcome;
use super::state::CallState;
use crate::customer::webhook::guard::is_public;
use crate::sip::names::Found;

/// One leg that has no way yet.
struct Sought {
    leg: u8,
    target: Target,
    invite: Invite,
    _task: Task,
}

/// A task that ends with this.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// All of a call. It has at most as many as it has legs.
#[derive(Default)]
pub(super) struct Seeking(Vec<Sought>);

impl Seeking {
    /// That leg is not wanted any more.
    pub(super) fn forget(&mut self, leg: u8) {
        self.0.retain(|sought| sought.leg != leg);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn take(&mut self, leg: u8) -> Option<Sought> {
        let at = self.0.iter().position(|sought| sought.leg == leg)?;
        Some(self.0.remove(at))
    }
}

impl CallState {
    /// Where an INVITE goes, as far as it is known; `asked` is what was found of its name.
    fn way(&self, reach: &Reach, asked: Option<&Found>) -> Way {
        let context = &self.context;
        let closed = Closed { wire: &self.wire, front: &context.front };
        let guide = |closed| Guide {
            wire: &self.wire,
            names: &context.names,
            tls: context.tls.as_ref(),
            closed,
        };
        match reach {
            Reach::Flow(flow) => Way::Is(*flow),
            Reach::Uri(uri) => reach::resolve(&guide(Some(closed)), uri, is_public, asked),
            Reach::Target(target, is_ours) => {
                let uri = target.to_string().into_bytes().into();
                let may = |address: IpAddr| *is_ours || context.front.trunks.allows(address);
                let closed = Some(closed).filter(|_| !*is_ours);
                reach::resolve(&guide(closed), &uri, may, asked)
            }
        }
    }

    /// Dials, or asks for the way first.
    pub(super) fn dial_or_seek(
        &mut self,
        leg: u8,
        target: &Target,
        invite: Invite,
    ) -> Result<(), StatusCode> {
        match self.way(&invite.reach, None) {
            Way::Is(flow) => self.dial_by(leg, target, invite, flow),
            Way::Nowhere => Err(StatusCode::SERVICE_UNAVAILABLE),
            Way::Unknown(name) => {
                self.seek(leg, target.clone(), invite, name);
                Ok(())
            }
        }
    }

    fn seek(&mut self, leg: u8, target: Target, invite: Invite, name: Option<String>) {
        let (me, names) = (self.me.clone(), self.context.names.clone());
        let trunks = self.context.front.trunks.clone();
        let is_carrier = matches!(invite.reach, Reach::Target(_, true));
        let asker = self.plan.as_ref().map(|plan| plan.organization).filter(|_| !is_carrier);
        let task = tokio::spawn(async move {
            // Where carriers are has to be known before a customer's way is taken.
            let carriers = async {
                if !is_carrier {
                    names.learn(&trunks).await;
                }
            };
            let own = async {
                match &name {
                    Some(name) => names.find(name, asker).await,
                    None => Found::default(),
                }
            };
            let ((), found) = tokio::join!(carriers, own);
            let _ = me.send_message(CallMsg::Found { leg, found });
        });
        self.seeking.0.push(Sought { leg, target, invite, _task: Task(task.abort_handle()) });
    }

    /// What was asked for a leg was found, or nothing was.
    pub(super) async fn found(&mut self, leg: u8, found: &Found) {
        let Some(Sought { target, invite, .. }) = self.seeking.take(leg) else { return };
        let dialled = match self.way(&invite.reach, Some(found)) {
            Way::Is(flow) => self.dial_by(leg, &target, invite, flow),
            Way::Nowhere | Way::Unknown(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
        };
        match dialled {
            Ok(()) => self.write_will(),
            Err(status) => self.failed(leg, Outcome::of(status)).await,
        }
    }
}
