//! Who stays after a transfer is sent to what costs money: by a call of its own, which its organization pays
//! for like for any that it dials.
//!
//! The new call has whoever is sent on its caller's side, as a leg that another call has (`tie`), and rings
//! its plan like any other. When somebody answers, who is sent is offered that, and the call it was in is
//! the guest of the new one. If nobody does, all stays as it was.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use model::id::PublicId;
use model::voice::Facts;
use proto_sip::StatusCode;
use proto_sip::leg::Command;
use proto_sip::sdp::Body;

use super::state::{CallState, chance};
use super::table::{Begin, Opening};
use super::tie::{About, Asked, FAR, Far, Joining, Rope, Sending, Word};
use crate::media::Side;
use crate::sip::credentials::Credential;
use crate::sip::dialplan::Plan;

/// A call that no INVITE begins.
#[derive(Debug)]
pub struct Sent {
    /// To the call that who is sent is in.
    back: Rope,
    plan: Plan,
    /// What who is sent said last.
    sdp: Body,
    signalling: Option<IpAddr>,
    phone: Option<Arc<Credential>>,
    /// A Call-ID of the shard that this call is on.
    kin: Bytes,
    hops: u8,
    parent: Option<PublicId>,
}

impl CallState {
    /// Who stays here is sent to what a plan says.
    pub(super) fn send_at_its_cost(&mut self, (side, leaves): (Side, u8), plan: Plan) {
        let stays = side.other();
        let number = self.number_of(stays);
        let sdp = self.bridge.as_ref().and_then(|bridge| bridge.spoken(stays));
        let (Some(number), Some(sdp)) = (number, sdp) else {
            let status = StatusCode::NOT_ACCEPTABLE_HERE;
            return self.command(leaves, Command::NotifyRefer { status });
        };
        let tie = chance();
        let about = About { call: None, party: plan.to.clone() };
        let sent = Sent {
            back: Rope::to(tie, self.me.clone()),
            plan,
            sdp,
            signalling: self.signalling_of(number),
            phone: self.phone_of(number),
            kin: self.kin(),
            hops: self.max_forwards.saturating_sub(1),
            parent: self.row.id,
        };
        let sending = Some(Sending { tie, said: None });
        self.ties.joining = Some(Joining::Asked(Asked {
            rope: None,
            leaves,
            side,
            about,
            offered: false,
            left: false,
            until: None,
            sent: sending,
        }));
        // What cannot begin is dropped, and we hear of that.
        if let Some(seat) = self.seat.another() {
            let (shard, opening) = (self.shard.clone(), Opening::Sent(Box::new(sent)));
            self.seat.start(Begin { shard, seat, opening });
        }
    }

    /// This call begins with somebody who is in another one.
    pub(super) async fn begin_sent(&mut self, sent: Sent) {
        let Sent { back, plan, sdp, signalling, phone, kin, hops, parent } = sent;
        let own = back.back_to(self.me.clone());
        back.tell(Word::Begun(own));
        (self.max_forwards, self.kin) = (hops, Some(kin));
        let parent = parent.map(|id| id.show(model::id::Kind::Call));
        self.facts = Facts { parent_call_id: parent, ..Facts::default() };
        self.plan = Some(plan);
        self.ties.far = Some(Far { rope: back, signalling, phone });
        (self.sides[0], self.last_sides[0]) = (Some(FAR), Some(FAR));
        self.invited(Some(sdp)).await;
    }

    /// The call that who stays was sent by says how it goes.
    pub(super) fn sent_tells(&mut self, command: Command) {
        let Some(Joining::Asked(asked)) = &mut self.ties.joining else { return };
        let (leaves, Some(sending)) = (asked.leaves, &mut asked.sent) else { return };
        match command {
            Command::Ring { status, sdp, .. } => {
                sending.said = sdp.or(sending.said.take());
                self.command(leaves, Command::NotifyRefer { status });
            }
            Command::Answer { sdp, .. } => match sdp.or(sending.said.take()) {
                Some(sdp) => self.offer_who_stays(sdp),
                None => self.not_joined(StatusCode::NOT_ACCEPTABLE_HERE),
            },
            Command::Reject { status, .. } => self.not_joined(status),
            Command::End { .. } => self.not_joined(StatusCode::TEMPORARILY_UNAVAILABLE),
            _ => {}
        }
    }

    /// A Call-ID of this call's shard.
    fn kin(&self) -> Bytes {
        let own = self.legs.first().map(|(_, leg)| leg.leg.call_id().clone());
        own.or_else(|| self.kin.clone()).unwrap_or_default()
    }
}
