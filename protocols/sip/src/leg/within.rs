//! Requests of theirs in the dialog, RFC 3261 §12.2.2: which of them is for whom, BYE, and all that
//! need no machine of their own.

use bytes::Bytes;

use super::sent::What;
use super::settings::{ALLOW, SUPPORTED};
use super::{By, Cause, Io, Leg, Mark, State, Told, write};
use crate::dialog::Order;
use crate::{Message, Method, Name, StatusCode};

/// Octets of the body of an INFO.
const INFO_MAX: usize = 4_096;

impl<S: Mark> Leg<S> {
    pub(super) fn requested(&mut self, id: S, message: Message, io: &mut Io<'_, S>) {
        let Some(method) = message.method().cloned() else { return };
        let has_tag = message.to().is_ok_and(|to| to.tag().is_some());
        if method == Method::Invite && !has_tag {
            // The INVITE that began this leg, by another way, RFC 3261 §8.2.2.2.
            self.refuse(id, &message, StatusCode::LOOP_DETECTED, io);
            return;
        }
        let is_over = self.state == State::Ended && method != Method::Bye;
        if is_over || !self.is_from_peer(&message) {
            self.refuse(id, &message, StatusCode::CALL_DOES_NOT_EXIST, io);
            return;
        }
        let number = message.cseq().map(|cseq| cseq.number).unwrap_or_default();
        let order = self.usage.as_mut().map(|usage| usage.dialog.take(number));
        if order == Some(Order::Late) {
            self.refuse(id, &message, StatusCode::SERVER_INTERNAL_ERROR, io);
            return;
        }
        if let Err(refusal) = self.check_options(&message) {
            self.refuse_with(id, &message, refusal.status, |builder| refusal.write(builder), io);
            return;
        }
        match method {
            Method::Invite => self.reinvited(id, message, io),
            Method::Update => self.updated(id, message, io),
            Method::Prack => self.pracked(id, &message, io),
            Method::Bye => self.hung_up(id, &message, io),
            Method::Info => self.informed(id, &message, io),
            Method::Options => self.asked_options(id, &message, io),
            Method::Refer => self.referred(id, message, io),
            Method::Notify => self.notified(id, &message, io),
            Method::Ack | Method::Cancel => {}
            Method::Register | Method::Subscribe | Method::Message | Method::Publish => {
                self.refuse_unserved(id, &message, StatusCode::METHOD_NOT_ALLOWED, io);
            }
            Method::Other(_) => {
                self.refuse_unserved(id, &message, StatusCode::NOT_IMPLEMENTED, io);
            }
        }
    }

    fn refuse_unserved(&self, id: S, message: &Message, status: StatusCode, io: &mut Io<'_, S>) {
        let allow = |builder: &mut crate::Builder| {
            builder.header(Name::Allow, ALLOW);
        };
        self.refuse_with(id, message, status, allow, io);
    }

    fn hung_up(&mut self, id: S, message: &Message, io: &mut Io<'_, S>) {
        if self.state == State::Calling {
            // A branch that is not answered has nothing to hang up.
            self.refuse(id, message, StatusCode::CALL_DOES_NOT_EXIST, io);
            return;
        }
        self.refuse(id, message, StatusCode::OK, io);
        self.release(io);
        self.confirming = None;
        self.drop_sent();
        if self.bye.take().is_some() {
            return;
        }
        self.told_last(Told::Ended { by: By::Them, cause: Cause::of(message) }, io);
    }

    fn informed(&mut self, id: S, message: &Message, io: &mut Io<'_, S>) {
        if message.body().len() > INFO_MAX {
            self.refuse(id, message, StatusCode::REQUEST_ENTITY_TOO_LARGE, io);
            return;
        }
        self.refuse(id, message, StatusCode::OK, io);
        if let Some(kind) = message.first(Name::ContentType) {
            let content_type = Bytes::copy_from_slice(&kind.text());
            let body = Bytes::copy_from_slice(message.body());
            io.tell(Told::Info { content_type, body });
        }
    }

    fn asked_options(&self, id: S, message: &Message, io: &mut Io<'_, S>) {
        let abilities = |builder: &mut crate::Builder| {
            builder.header(Name::Allow, ALLOW).header(Name::Supported, SUPPORTED);
            builder.header(Name::Accept, "application/sdp, message/sipfrag");
        };
        self.refuse_with(id, message, StatusCode::OK, abilities, io);
    }

    /// Sends an INFO.
    pub(super) fn info(&mut self, content_type: &str, body: &[u8], io: &mut Io<'_, S>) {
        if !self.may_send() {
            return;
        }
        let Some(usage) = &mut self.usage else { return };
        let (seq, mut builder) = usage.dialog.request(&Method::Info);
        self.settings.write_agent(Name::UserAgent, &mut builder);
        let target = usage.dialog.next_hop();
        match builder.body(content_type, body) {
            Ok(octets) => self.send(What::Info, seq, octets, target, io),
            Err(_) => io.tell(Told::InfoAnswered { status: StatusCode::BAD_REQUEST }),
        }
    }

    /// Begins a request that makes a subscription or reports to one.
    pub(super) fn reporting_request(
        &mut self,
        method: &Method,
    ) -> Option<(u32, crate::Builder, Bytes)> {
        let usage = self.usage.as_mut()?;
        let (seq, mut builder) = usage.dialog.request(method);
        builder.header(Name::Contact, &*self.contact);
        self.settings.write_agent(Name::UserAgent, &mut builder);
        Some((seq, builder, usage.dialog.next_hop()))
    }

    pub(super) fn send_plain(
        &mut self,
        what: What,
        (seq, builder, target): (u32, crate::Builder, Bytes),
        io: &mut Io<'_, S>,
    ) -> bool {
        let Some(octets) = write(builder, None) else { return false };
        self.send(what, seq, octets, target, io);
        true
    }
}
