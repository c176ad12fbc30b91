//! Requests of ours: the client machines, INVITE (RFC 3261 §17.1.1, RFC 6026 §8.4) and others
//! (§17.1.2), their CANCEL (§9.1), and ACKs of a 2xx, which are nobody's transaction.
//!
//! INVITE   fresh ─1xx─▶ proceeding ─2xx─▶ accepted (M) ─▶ gone
//!                                  ─3xx…─▶ completed (D): ACK, and again for each that comes again
//! others   fresh ─1xx─▶ proceeding ─final─▶ completed (K) ─▶ gone

use std::hash::Hash;
use std::time::Instant;

use bytes::Bytes;

use super::hop::{self, Branch};
use super::orders::{Failure, Flow, Output, SentBy};
use super::slab::Id;
use super::{Entry, LONG, Share, Side, State, T2, T4, TIMER_C, TIMER_D, Transactions};
use super::{again, doubled, end, transmit};
use crate::header::{Reason, Transport, Via};
use crate::uri::Host;
use crate::{Message, Method, Name, StatusCode};

/// What a client transaction has beside what all have.
#[derive(Debug)]
pub(super) struct Client<U> {
    /// `None` for CANCEL: nobody waits for its answer.
    mark: Option<U>,
    secret: u64,
    /// Hashes of our own word in Via and of the method: both are in each response.
    sent_by: u32,
    method: u32,
    invite: bool,
    cancel: Cancel,
}

/// Whether an INVITE is to be given up.
#[derive(Debug, PartialEq, Eq)]
enum Cancel {
    No,
    /// It waits for the first provisional response.
    Held(Box<[u8]>),
    Sent,
}

impl<F: Flow, U: Copy + Eq + Hash> Transactions<F, U> {
    /// Sends a request, which has no Via of ours yet. `mark` comes back with each response; an
    /// INVITE is cancelled by it, so no two INVITEs have the same at one time.
    pub fn request(
        &mut self,
        now: Instant,
        flow: F,
        sent_by: &SentBy,
        mark: U,
        request: &[u8],
        out: &mut Vec<Output<F, U>>,
    ) {
        self.timers.advance(now);
        let Some((method, head)) = hop::start_of(request) else {
            return out.push(Output::Failed { mark, why: Failure::NotARequest });
        };
        if !self.has_room(Share::Ours) {
            self.stats.overload += 1;
            return out.push(Output::Failed { mark, why: Failure::Full });
        }
        self.stats.sent += 1;
        let invite = method == Method::Invite.as_bytes();
        let client = Client {
            mark: Some(mark),
            secret: self.keyed.draw(),
            sent_by: self.hash_sent_by(&sent_by.host, sent_by.port),
            method: self.keyed.hash(method) as u32,
            invite,
            cancel: Cancel::No,
        };
        let secret = client.secret;
        let id = self.begin(flow, Bytes::new(), client);
        if invite {
            self.marks.insert(mark, id);
        }
        let branch = Branch { id, secret };
        let octets = hop::with_via(request, head, &flow.transport(), sent_by, branch);
        if let Some(entry) = self.table.get(id) {
            entry.octets = octets.clone();
        }
        out.push(Output::Transmit { flow, octets });
    }

    /// Sends the ACK of a 2xx, which has no Via of ours yet. It has no transaction.
    pub fn ack(&mut self, flow: F, sent_by: &SentBy, request: &[u8], out: &mut Vec<Output<F, U>>) {
        let Some((_, head)) = hop::start_of(request) else {
            self.stats.unwanted += 1;
            return;
        };
        // No place has this id, so no response to it finds anything.
        let id = Id { place: u32::MAX, generation: u32::MAX };
        let branch = Branch { id, secret: self.keyed.draw() };
        let octets = hop::with_via(request, head, &flow.transport(), sent_by, branch);
        out.push(Output::Transmit { flow, octets });
    }

    /// Gives up the INVITE of that mark, if it has no final response: CANCEL goes with the first
    /// provisional response. A 2xx may still cross it. What comes in the end is a response, or
    /// `Failed` after 64 times T1.
    pub fn cancel(
        &mut self,
        now: Instant,
        mark: U,
        reasons: &[Reason],
        out: &mut Vec<Output<F, U>>,
    ) {
        self.timers.advance(now);
        let Some(id) = self.marks.get(&mark).copied() else { return };
        let Some(entry) = self.table.get(id) else { return };
        let Side::Client(client) = &mut entry.side else { return };
        if client.cancel != Cancel::No {
            return;
        }
        let Some(octets) = hop::cancel(&entry.octets, reasons) else { return };
        if entry.state == State::Fresh {
            client.cancel = Cancel::Held(octets[..].into());
        } else {
            self.send_cancel(id.place, octets, out);
        }
    }

    pub(super) fn response_came(&mut self, flow: F, message: Message, out: &mut Vec<Output<F, U>>) {
        let found = message.status().zip(self.sender(&message));
        let Some((status, place)) = found else {
            self.stats.stray += 1;
            return;
        };
        let Some(entry) = self.table.at(place) else { return };
        match &entry.side {
            Side::Client(client) if client.invite => {
                self.invite_answered(place, status, flow, message, out);
            }
            _ => self.other_answered(place, status, flow, message, out),
        }
    }

    pub(super) fn client_flow_lost(&mut self, place: u32, out: &mut Vec<Output<F, U>>) {
        let Some(entry) = self.table.at(place) else { return };
        let no_way_back = matches!(entry.flow.transport(), Transport::Ws | Transport::Wss);
        match entry.state {
            State::Fresh => self.fail(place, Failure::Transport, out),
            State::Proceeding if no_way_back => self.fail(place, Failure::Transport, out),
            _ => {}
        }
    }

    /// Timers A and E.
    pub(super) fn client_again(&mut self, place: u32, out: &mut Vec<Output<F, U>>) {
        let Some(entry) = self.table.at(place) else { return };
        let Side::Client(client) = &entry.side else { return };
        entry.repeats = entry.repeats.saturating_add(1);
        let (invite, state, repeats) = (client.invite, entry.state, entry.repeats);
        transmit(entry, out);
        self.stats.retransmitted += 1;
        let wait = match state {
            State::Fresh if invite => doubled(repeats),
            State::Fresh => self.capped(repeats),
            _ => T2,
        };
        self.timers.set(again(place), wait);
    }

    /// Timers B, C, D, F, K and M.
    pub(super) fn client_end(&mut self, place: u32, out: &mut Vec<Output<F, U>>) {
        let Some(entry) = self.table.at(place) else { return };
        let Side::Client(client) = &entry.side else { return };
        let waits = matches!(entry.state, State::Fresh | State::Proceeding);
        if entry.state == State::Proceeding && client.invite && client.cancel == Cancel::No {
            // Timer C (§16.8): whoever rang too long is told so, and has its time to answer.
            match hop::cancel(&entry.octets, &[]) {
                Some(octets) => self.send_cancel(place, octets, out),
                None => self.fail(place, Failure::TimedOut, out),
            }
        } else if waits {
            self.fail(place, Failure::TimedOut, out);
        } else {
            self.remove(place);
        }
    }

    pub(super) fn forget_client(&mut self, id: Id, client: &Client<U>) {
        if let Some(mark) = client.mark {
            self.unmark(mark, id);
        } else if self.cancels.get(&client.secret) == Some(&id.place) {
            self.cancels.remove(&client.secret);
        }
    }

    fn begin(&mut self, flow: F, octets: Bytes, client: Client<U>) -> Id {
        let side = Side::Client(client);
        let id = self.insert(Entry { flow, octets, state: State::Fresh, repeats: 0, side });
        if !flow.transport().is_reliable() {
            self.timers.set(again(id.place), doubled(0));
        }
        self.timers.set(end(id.place), LONG);
        id
    }

    fn unmark(&mut self, mark: U, id: Id) {
        if self.marks.get(&mark) == Some(&id) {
            self.marks.remove(&mark);
        }
    }

    fn fail(&mut self, place: u32, why: Failure, out: &mut Vec<Output<F, U>>) {
        let Some(entry) = self.table.at(place) else { return };
        if let Side::Client(Client { mark: Some(mark), .. }) = entry.side {
            self.stats.timed_out += u64::from(why == Failure::TimedOut);
            out.push(Output::Failed { mark, why });
        }
        self.remove(place);
    }

    fn send_cancel(&mut self, place: u32, octets: Bytes, out: &mut Vec<Output<F, U>>) {
        let method = self.keyed.hash(Method::Cancel.as_bytes()) as u32;
        let Some(entry) = self.table.at(place) else { return };
        let flow = entry.flow;
        let Side::Client(client) = &mut entry.side else { return };
        client.cancel = Cancel::Sent;
        let (secret, sent_by) = (client.secret, client.sent_by);
        self.timers.set(end(place), LONG);
        let cancel =
            Client { mark: None, secret, sent_by, method, invite: false, cancel: Cancel::No };
        let id = self.begin(flow, octets.clone(), cancel);
        self.cancels.insert(secret, id.place);
        out.push(Output::Transmit { flow, octets });
    }

    fn invite_answered(
        &mut self,
        place: u32,
        status: StatusCode,
        flow: F,
        message: Message,
        out: &mut Vec<Output<F, U>>,
    ) {
        let Some(id) = self.table.id(place) else { return };
        let Some(entry) = self.table.at(place) else { return };
        let Side::Client(client) = &mut entry.side else { return };
        let Some(mark) = client.mark else { return };
        match entry.state {
            State::Fresh | State::Proceeding if status.is_provisional() => {
                let first = std::mem::replace(&mut entry.state, State::Proceeding) == State::Fresh;
                let held = std::mem::replace(&mut client.cancel, Cancel::Sent);
                self.timers.clear(again(place));
                out.push(Output::Response { mark, flow, message });
                match held {
                    Cancel::Held(octets) => self.send_cancel(place, octets.into(), out),
                    Cancel::Sent => {}
                    Cancel::No => {
                        client.cancel = Cancel::No;
                        if first || status != StatusCode::TRYING {
                            self.timers.set(end(place), TIMER_C);
                        }
                    }
                }
            }
            State::Fresh | State::Proceeding => {
                self.timers.clear(again(place));
                if status.is_success() {
                    entry.state = State::Accepted;
                    entry.octets = Bytes::new();
                    self.timers.set(end(place), LONG);
                } else {
                    self.refused(place, &message, out);
                }
                self.unmark(mark, id);
                out.push(Output::Response { mark, flow, message });
            }
            // A proxy passes each 2xx on, also behind another final response (§16.7).
            State::Accepted | State::Completed if status.is_success() => {
                out.push(Output::Response { mark, flow, message });
            }
            State::Completed if status.is_final() => {
                transmit(entry, out);
                self.stats.retransmitted += 1;
            }
            _ => self.stats.stray += 1,
        }
    }

    /// A final response to INVITE that is no 2xx is acknowledged here.
    fn refused(&mut self, place: u32, response: &Message, out: &mut Vec<Output<F, U>>) {
        let Some(entry) = self.table.at(place) else { return };
        entry.state = State::Completed;
        entry.octets = hop::ack(&entry.octets, response).unwrap_or_default();
        if !entry.octets.is_empty() {
            transmit(entry, out);
        }
        if entry.flow.transport().is_reliable() {
            self.remove(place);
        } else {
            self.timers.set(end(place), TIMER_D);
        }
    }

    fn other_answered(
        &mut self,
        place: u32,
        status: StatusCode,
        flow: F,
        message: Message,
        out: &mut Vec<Output<F, U>>,
    ) {
        let Some(entry) = self.table.at(place) else { return };
        let Side::Client(client) = &entry.side else { return };
        if !matches!(entry.state, State::Fresh | State::Proceeding) {
            self.stats.stray += 1;
            return;
        }
        if let Some(mark) = client.mark {
            out.push(Output::Response { mark, flow, message });
        }
        let reliable = entry.flow.transport().is_reliable();
        if status.is_provisional() {
            if std::mem::replace(&mut entry.state, State::Proceeding) == State::Fresh && !reliable {
                self.timers.set(again(place), T2);
            }
        } else if reliable {
            self.remove(place);
        } else {
            entry.state = State::Completed;
            entry.octets = Bytes::new();
            self.timers.clear(again(place));
            self.timers.set(end(place), T4);
        }
    }

    /// The transaction of ours that a response belongs to: by branch, sent-by and method (§17.1.3,
    /// §18.1.2). It has one Via, which is ours.
    fn sender(&mut self, message: &Message) -> Option<u32> {
        let mut vias = message.list::<Via>(Name::Via);
        let (via, None) = (vias.next()?.ok()?, vias.next()) else { return None };
        let branch = Branch::of(&via)?;
        let method = message.cseq().ok()?.method;
        let place = match method {
            Method::Cancel => self.cancels.get(&branch.secret).copied()?,
            _ => branch.id.place,
        };
        let sent_by = self.hash_sent_by(&via.host, via.port);
        let method = self.keyed.hash(method.as_bytes()) as u32;
        let entry = self.table.at(place)?;
        let Side::Client(client) = &entry.side else { return None };
        let ours = client.secret == branch.secret && client.sent_by == sent_by;
        (ours && client.method == method).then_some(place)
    }

    fn hash_sent_by(&mut self, host: &Host, port: Option<u16>) -> u32 {
        let parts = self.parts.clear().add_sent_by(host, port);
        self.keyed.hash(parts.bytes()) as u32
    }
}
