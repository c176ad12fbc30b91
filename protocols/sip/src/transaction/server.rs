//! Requests of peers: the server machines, INVITE (RFC 3261 §17.2.1, RFC 6026 §8.5) and others
//! (§17.2.2), and the ACKs and CANCELs that belong to an INVITE.
//!
//! INVITE   fresh ─100, 1xx─▶ proceeding ─2xx─▶ accepted (L) ─▶ gone
//!                                       ─3xx…─▶ completed (G, H) ─ACK─▶ confirmed (I) ─▶ gone
//! others   fresh ─1xx─▶ proceeding ─final─▶ completed (J) ─▶ gone

use std::hash::Hash;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::arrived::Arrived;
use super::hop;
use super::orders::{Flow, Output, ServerId};
use super::{Entry, LONG, Share, Side, State, T4, TRYING, Transactions, UNANSWERED};
use super::{again, doubled, end};
use crate::header::{Rport, Transport, Via};
use crate::{Answer, Builder, Message, Method, StatusCode};

/// What a server transaction has beside what all have.
#[derive(Debug)]
pub(super) struct Server {
    key: u64,
    call: u64,
    merge: Option<u64>,
    invite: bool,
    /// Where a new connection would go, if the flow is lost.
    port: u16,
    /// The flow is gone.
    pub(super) lost: bool,
    /// A CANCEL came.
    cancelled: bool,
}

impl<F: Flow, U: Copy + Eq + Hash> Transactions<F, U> {
    /// Answers a request, provisionally or finally. A 2xx to INVITE may be given again: that is how
    /// the user retransmits it, for as long as 64 times T1.
    pub fn respond(
        &mut self,
        now: Instant,
        id: ServerId,
        response: Bytes,
        out: &mut Vec<Output<F, U>>,
    ) {
        self.timers.advance(now);
        let place = id.id().place;
        let (Some(status), Some(entry)) = (hop::status_of(&response), self.table.get(id.id()))
        else {
            self.stats.unwanted += 1;
            return;
        };
        match entry.state {
            State::Accepted if status.is_success() => answer(entry, response, out),
            State::Fresh | State::Proceeding => {
                // Kept is a copy without the room in which the response was built.
                entry.octets = Bytes::copy_from_slice(&response);
                answer(entry, response, out);
                if status.is_provisional() { self.goes_on(place) } else { self.done(place, status) }
            }
            _ => self.stats.unwanted += 1,
        }
    }

    /// Refuses a request and forgets it. Who is not known yet may have written another's address:
    /// nothing is sent there again. The same request is a new one from now on, and an ACK of the
    /// answer is handed over as one that fits no dialog. After a provisional answer, which ends the
    /// peer's repeats, it is an answer like any.
    pub fn refuse_once(
        &mut self,
        now: Instant,
        id: ServerId,
        response: Bytes,
        out: &mut Vec<Output<F, U>>,
    ) {
        match self.table.get(id.id()) {
            Some(entry) if entry.state == State::Fresh => {
                answer(entry, response, out);
                self.remove(id.id().place);
            }
            _ => self.respond(now, id, response, out),
        }
    }

    pub(super) fn request_came(&mut self, flow: F, message: Message, out: &mut Vec<Output<F, U>>) {
        let is_ack = message.method() == Some(&Method::Ack);
        let arrived = match Arrived::read(&message, &self.keyed, &mut self.parts) {
            Ok(arrived) => arrived,
            Err(_) if is_ack => {
                self.stats.stray += 1;
                return;
            }
            Err(_) => return self.answer_bad(flow, &message, StatusCode::BAD_REQUEST, out),
        };
        let place = self.served.get(&arrived.key).copied();
        match message.method() {
            Some(Method::Ack) => self.ack_came(flow, place, message, &arrived, out),
            Some(Method::Cancel) => self.cancel_came(flow, place, message, &arrived, out),
            _ => match place {
                Some(place) => self.came_again(flow, place, &arrived, out),
                None => self.new_request(flow, message, arrived, out),
            },
        }
    }

    /// The 100 that the user did not send, and timer G.
    pub(super) fn server_again(&mut self, place: u32, out: &mut Vec<Output<F, U>>) {
        let Some(entry) = self.table.at(place) else { return };
        match entry.state {
            State::Fresh => self.trying(place, out),
            State::Completed => {
                entry.repeats = entry.repeats.saturating_add(1);
                let repeats = entry.repeats;
                answer(entry, entry.octets.clone(), out);
                self.stats.retransmitted += 1;
                let wait = self.capped(repeats);
                self.timers.set(again(place), wait);
            }
            _ => {}
        }
    }

    /// Timers H, I, J and L, and the end of our patience with the user.
    pub(super) fn server_end(&mut self, place: u32, out: &mut Vec<Output<F, U>>) {
        let Some(id) = self.table.id(place) else { return };
        let Some(entry) = self.table.at(place) else { return };
        let Side::Server(server) = &entry.side else { return };
        let (id, invite) = (ServerId::of(id), server.invite);
        match entry.state {
            State::Fresh | State::Proceeding => {
                self.stats.unanswered += 1;
                out.push(Output::Unanswered { id });
                if !invite || !self.answer_for_the_user(place, out) {
                    self.remove(place);
                }
            }
            State::Completed if invite => {
                self.stats.ack_missing += 1;
                out.push(Output::AckMissing { id });
                self.remove(place);
            }
            _ => self.remove(place),
        }
    }

    pub(super) fn forget_server(&mut self, place: u32, server: &Server) {
        if self.served.get(&server.key) == Some(&place) {
            self.served.remove(&server.key);
        }
        self.unmerge(server.merge, place);
    }

    fn unmerge(&mut self, merge: Option<u64>, place: u32) {
        if let Some(merge) = merge
            && self.merges.get(&merge) == Some(&place)
        {
            self.merges.remove(&merge);
        }
    }

    fn new_request(
        &mut self,
        flow: F,
        mut message: Message,
        arrived: Arrived,
        out: &mut Vec<Output<F, U>>,
    ) {
        let inside = arrived.merge.is_none();
        if !self.has_room(if inside { Share::Inside } else { Share::Begins }) {
            return self.answer_full(flow, &message, out);
        }
        if !self.is_fit(flow, &message, inside, out) {
            return;
        }
        if arrived.merge.is_some_and(|merge| self.merges.contains_key(&merge)) {
            self.stats.merged += 1;
            return self.answer(flow, &message, StatusCode::LOOP_DETECTED, out, |_| ());
        }
        let Arrived { via, key, call, merge } = arrived;
        let invite = message.method() == Some(&Method::Invite);
        let port = via.port.unwrap_or(via.transport.default_port());
        let server = Server { key, call, merge, invite, port, lost: false, cancelled: false };
        let (flow_back, side) = (way_back(flow, &via), Side::Server(server));
        let peer = flow.peer();
        message.note_source_in(&via, peer.ip(), peer.port());
        let octets = if invite { message.raw().clone() } else { Bytes::new() };
        let state = State::Fresh;
        let id = self.insert(Entry { flow: flow_back, octets, state, repeats: 0, side });
        let place = id.place;
        self.stats.requests += 1;
        self.served.insert(key, place);
        if let Some(merge) = merge {
            self.merges.insert(merge, place);
        }
        if !invite {
            self.timers.set(end(place), LONG);
        } else {
            self.timers.set(end(place), UNANSWERED);
            if self.settings.trying_after.is_zero() {
                self.say_trying(place, &message, out);
            } else {
                self.timers.set(again(place), TRYING);
            }
        }
        out.push(Output::Request { id: ServerId::of(id), flow, message });
    }

    /// The same request once more: it gets the last answer again.
    fn came_again(&mut self, flow: F, place: u32, arrived: &Arrived, out: &mut Vec<Output<F, U>>) {
        self.stats.absorbed += 1;
        self.follow(place, flow, &arrived.via);
        let Some(entry) = self.table.at(place) else { return };
        let Side::Server(server) = &entry.side else { return };
        match entry.state {
            State::Fresh if server.invite => self.trying(place, out),
            State::Proceeding | State::Completed => {
                answer(entry, entry.octets.clone(), out);
                self.stats.retransmitted += 1;
            }
            State::Fresh | State::Confirmed | State::Accepted => {}
        }
    }

    fn ack_came(
        &mut self,
        flow: F,
        place: Option<u32>,
        message: Message,
        arrived: &Arrived,
        out: &mut Vec<Output<F, U>>,
    ) {
        match place.and_then(|place| Some((place, self.table.at(place)?.state))) {
            Some((place, State::Completed)) => self.confirmed(place),
            Some((_, State::Fresh | State::Proceeding | State::Confirmed)) => {
                self.stats.absorbed += 1;
            }
            Some((_, State::Accepted)) | None => {
                if self.is_of_ours(&message, arrived) {
                    self.stats.absorbed += 1;
                } else if message.check().is_err() {
                    self.stats.stray += 1;
                } else {
                    out.push(Output::Ack { flow, message });
                }
            }
        }
    }

    /// The final answer, other than 2xx, was acknowledged.
    fn confirmed(&mut self, place: u32) {
        let Some(entry) = self.table.at(place) else { return };
        self.stats.absorbed += 1;
        entry.state = State::Confirmed;
        entry.octets = Bytes::new();
        self.timers.clear(again(place));
        if entry.flow.transport().is_reliable() {
            self.remove(place);
        } else {
            self.timers.set(end(place), T4);
        }
    }

    /// CANCEL keeps nothing: that it comes again is seen by its INVITE.
    fn cancel_came(
        &mut self,
        flow: F,
        place: Option<u32>,
        message: Message,
        arrived: &Arrived,
        out: &mut Vec<Output<F, U>>,
    ) {
        if let Err(defect) = message.check() {
            return self.answer_bad(flow, &message, defect.status(), out);
        }
        let id = place.and_then(|place| self.table.id(place));
        let entry = id.and_then(|id| self.table.get(id));
        let found = entry.and_then(|entry| match &mut entry.side {
            Side::Server(server) if server.call == arrived.call => {
                let open = matches!(entry.state, State::Fresh | State::Proceeding);
                Some(open && !std::mem::replace(&mut server.cancelled, true))
            }
            _ => None,
        });
        let (Some(id), Some(is_new)) = (id, found) else {
            self.stats.unknown_cancel += 1;
            return self.answer(flow, &message, StatusCode::CALL_DOES_NOT_EXIST, out, |_| ());
        };
        self.answer(flow, &message, StatusCode::OK, out, |_| ());
        if is_new {
            out.push(Output::Cancelled { invite: ServerId::of(id), flow, message });
        } else {
            self.stats.absorbed += 1;
        }
    }

    /// A request that comes again by another flow of the same peer is answered there: its
    /// connection was lost, or its NAT has another port.
    fn follow(&mut self, place: u32, flow: F, via: &Via) {
        let back = way_back(flow, via);
        let Some(entry) = self.table.at(place) else { return };
        let Side::Server(server) = &mut entry.side else { return };
        if entry.flow.peer().ip() != flow.peer().ip() {
            return;
        }
        server.lost = false;
        let old = std::mem::replace(&mut entry.flow, back);
        if old != back {
            self.flows.remove(old, place);
            self.flows.add(back, place);
        }
    }

    /// Sends the 100 of an INVITE that is kept.
    fn trying(&mut self, place: u32, out: &mut Vec<Output<F, U>>) {
        let Some(entry) = self.table.at(place) else { return };
        if let Some(octets) = hop::answer_to(&entry.octets, StatusCode::TRYING, None) {
            self.proceed(place, octets, out);
        }
    }

    fn say_trying(&mut self, place: u32, invite: &Message, out: &mut Vec<Output<F, U>>) {
        let built = Builder::answer(invite, StatusCode::TRYING, Answer::default()).finish();
        if let Ok(octets) = built {
            self.proceed(place, octets, out);
        }
    }

    fn proceed(&mut self, place: u32, octets: Bytes, out: &mut Vec<Output<F, U>>) {
        let Some(entry) = self.table.at(place) else { return };
        entry.state = State::Proceeding;
        entry.octets = octets;
        self.timers.clear(again(place));
        answer(entry, entry.octets.clone(), out);
    }

    /// 500 for an INVITE of which the user said nothing.
    fn answer_for_the_user(&mut self, place: u32, out: &mut Vec<Output<F, U>>) -> bool {
        let Some(Entry { side: Side::Server(Server { call, .. }), .. }) = self.table.at(place)
        else {
            return false;
        };
        let call = *call;
        let tag = self.tag_of(call);
        let Some(entry) = self.table.at(place) else { return false };
        let status = StatusCode::SERVER_INTERNAL_ERROR;
        let Some(octets) = hop::answer_to(&entry.octets, status, Some(&tag)) else { return false };
        entry.octets = octets;
        answer(entry, entry.octets.clone(), out);
        self.done(place, status);
        true
    }

    /// The user said something that is not final.
    fn goes_on(&mut self, place: u32) {
        let Some(entry) = self.table.at(place) else { return };
        entry.state = State::Proceeding;
        if matches!(&entry.side, Side::Server(server) if server.invite) {
            self.timers.clear(again(place));
            self.timers.set(end(place), UNANSWERED);
        }
    }

    /// A request has its final answer.
    fn done(&mut self, place: u32, status: StatusCode) {
        let Some(entry) = self.table.at(place) else { return };
        let Side::Server(server) = &entry.side else { return };
        let (invite, merge) = (server.invite, server.merge);
        let reliable = entry.flow.transport().is_reliable();
        entry.state = State::Completed;
        self.timers.clear(again(place));
        self.timers.set(end(place), LONG);
        if invite && status.is_success() {
            entry.state = State::Accepted;
            entry.octets = Bytes::new();
        } else if invite && !reliable {
            self.timers.set(again(place), doubled(0));
        } else if !invite && reliable {
            self.remove(place);
        }
        if !status.is_success() {
            self.unmerge(merge, place);
        }
    }
}

/// Where a response goes (RFC 3261 §18.2.2, RFC 3581 §4): the way its request came. A peer on UDP
/// that does not ask for that hears it at the port it names; but one whose address was changed
/// under way cannot know a port.
pub(super) fn way_back<F: Flow>(flow: F, via: &Via) -> F {
    let peer = flow.peer();
    let translated = via.host.ip().is_some_and(|ip| ip != peer.ip());
    if flow.transport() != Transport::Udp || via.rport() != Rport::Absent || translated {
        return flow;
    }
    match via.port.unwrap_or(via.transport.default_port()) {
        port if port == peer.port() => flow,
        port => flow.to_port(port),
    }
}

/// Sends a response.
fn answer<F: Flow, U>(entry: &Entry<F, U>, octets: Bytes, out: &mut Vec<Output<F, U>>) {
    let Side::Server(server) = &entry.side else { return };
    let flow = entry.flow;
    if !server.lost {
        out.push(Output::Transmit { flow, octets });
    } else if !matches!(flow.transport(), Transport::Ws | Transport::Wss) {
        let to = SocketAddr::new(flow.peer().ip(), server.port);
        out.push(Output::TransmitAnew { flow, to, octets });
    }
}
