//! What a session does with the peer's PDUs.
//!
//! Nothing a peer sends ends the session but an impossible length, an unbind, and a refused bind.
//! A request that cannot be read is answered with an error and its own sequence number; a response
//! to nothing is counted and forgotten.

use super::{CloseReason, HELD_PDUS, Notice, Output, Role, Session, State, Step};
use crate::frame::{self, Frame, FrameError, Header};
use crate::pdu::DecodeError;
use crate::pdu::bind::{self, BindResponse};
use crate::pdu::manage::Ask;
use crate::pdu::message::MessageView;
use crate::pdu::multi::Multi;
use crate::pdu::notify::{Alert, Outbind};
use crate::pdu::response::{self, Response};
use crate::{Bind, BindKind, CommandId, CommandStatus};

impl<T> Session<T> {
    pub(super) fn bytes(&mut self, step: &mut Step<'_, T>, mut chunk: &[u8]) {
        let mut frames = std::mem::take(&mut self.frames);
        while step.close.is_none() {
            if matches!(self.state, State::Deciding { .. }) {
                self.hold(step, chunk);
                break;
            }
            match frames.next(&mut chunk) {
                Ok(Some(frame)) => self.frame(step, frame),
                Ok(None) => break,
                Err(error) => self.bad_length(step, error),
            }
        }
        self.frames = frames;
    }

    /// Keeps what follows a bind until the owner has decided on it.
    fn hold(&mut self, step: &mut Step<'_, T>, chunk: &[u8]) {
        if self.held.len() + chunk.len() > self.settings.max_pdu.saturating_mul(HELD_PDUS) {
            step.close = Some(CloseReason::Flooded);
        } else {
            self.held.extend_from_slice(chunk);
        }
    }

    fn bad_length(&mut self, step: &mut Step<'_, T>, error: FrameError) {
        let (command, status) = (CommandId::GENERIC_NACK, CommandStatus::INVCMDLEN);
        frame::header_only(step.wire, command, status, error.sequence);
        self.stats.pdus_sent += 1;
        step.close = Some(CloseReason::BadLength);
    }

    fn frame(&mut self, step: &mut Step<'_, T>, Frame { header, body }: Frame<'_>) {
        self.stats.pdus_received += 1;
        self.timers.heard(step.now);
        match header.command {
            CommandId::ENQUIRE_LINK => self.reply(step, header, CommandStatus::OK),
            command if command.carries_message() => self.message(step, header, body),
            command if command.is_response() => self.response(step, header, body),
            CommandId::UNBIND => self.peer_unbinds(step, header),
            CommandId::SUBMIT_MULTI if self.serves() => self.multi(step, header, body),
            CommandId::QUERY_SM | CommandId::CANCEL_SM | CommandId::REPLACE_SM if self.serves() => {
                self.asked(step, header, body);
            }
            command => match BindKind::of(command) {
                Some(kind) => self.bind_requested(step, header, kind, body),
                None => self.unsupported(step, header, body),
            },
        }
    }

    fn message(&mut self, step: &mut Step<'_, T>, header: Header, body: &[u8]) {
        let Header { command, sequence, .. } = header;
        if !self.may_receive(command) {
            return self.refuse_message(step, header, CommandStatus::INVBNDSTS);
        }
        match MessageView::parse(command, body) {
            Ok(view) => {
                self.owed += 1;
                let message = view.to_message();
                step.out.push(Output::Request { command, sequence, message });
            }
            Err(error) => {
                self.stats.malformed += 1;
                // For good, not for now: a carrier would send the same PDU for days.
                let status = match self.role {
                    Role::Esme(_) => CommandStatus::X_R_APPN,
                    Role::Smsc => error.status(),
                };
                self.refuse_message(step, header, status);
            }
        }
    }

    fn serves(&self) -> bool {
        self.role == Role::Smsc
    }

    /// Answers that are owed go before the goodbye.
    fn peer_unbinds(&mut self, step: &mut Step<'_, T>, header: Header) {
        let bound = matches!(self.state, State::Bound | State::Leaving { .. });
        if bound && self.owed > 0 && self.serves() {
            let until = step.now + self.settings.response_timeout;
            self.state = State::Parting { sequence: header.sequence, until };
            return;
        }
        self.reply(step, header, CommandStatus::OK);
        step.close = Some(CloseReason::PeerUnbound);
    }

    fn multi(&mut self, step: &mut Step<'_, T>, header: Header, body: &[u8]) {
        let status = if !self.may_receive(CommandId::SUBMIT_SM) {
            CommandStatus::INVBNDSTS
        } else {
            match Multi::decode(body) {
                Ok(multi) => {
                    self.owed += 1;
                    let (sequence, multi) = (header.sequence, Box::new(multi));
                    return step.out.push(Output::RequestMulti { sequence, multi });
                }
                Err(error) => {
                    self.stats.malformed += 1;
                    error.status()
                }
            }
        };
        self.reply(step, header, status);
    }

    fn asked(&mut self, step: &mut Step<'_, T>, header: Header, body: &[u8]) {
        let status = if !self.may_receive(CommandId::SUBMIT_SM) {
            CommandStatus::INVBNDSTS
        } else {
            match Ask::decode(header.command, body) {
                Ok(ask) => {
                    self.owed += 1;
                    let (sequence, ask) = (header.sequence, Box::new(ask));
                    return step.out.push(Output::Asked { sequence, ask });
                }
                Err(error) => {
                    self.stats.malformed += 1;
                    error.status()
                }
            }
        };
        self.reply(step, header, status);
    }

    fn refuse_message(&mut self, step: &mut Step<'_, T>, header: Header, status: CommandStatus) {
        response::encode(step.wire, header.command, status, header.sequence, b"");
        self.stats.pdus_sent += 1;
    }

    /// Whether the peer may send this message now. Carriers are known to deliver before their
    /// bind response has gone out, so an ESME that binds takes messages already.
    fn may_receive(&self, command: CommandId) -> bool {
        let open = match self.state {
            State::Bound | State::Binding { .. } => true,
            // An answer might not come through any more: what a customer sends now is not taken.
            State::Unbinding { .. } => !self.serves(),
            State::Leaving { .. }
            | State::Open { .. }
            | State::Deciding { .. }
            | State::Parting { .. }
            | State::Closed => false,
        };
        open && match &self.role {
            Role::Esme(_) => command != CommandId::SUBMIT_SM,
            Role::Smsc => {
                let transmits = self.bind().is_some_and(|bind| bind.kind.transmits());
                transmits && command != CommandId::DELIVER_SM
            }
        }
    }

    fn response(&mut self, step: &mut Step<'_, T>, header: Header, body: &[u8]) {
        let Header { command, status, sequence, .. } = header;
        match (command.request(), self.state) {
            _ if command == CommandId::GENERIC_NACK => self.nacked(step, header),
            (CommandId::ENQUIRE_LINK, _) => {}
            (CommandId::UNBIND, State::Unbinding { .. }) => {
                step.close = Some(CloseReason::Unbound);
            }
            (request, State::Binding { .. }) if request.is_bind() => {
                if !status.is_ok() {
                    return Self::bind_refused(step, status);
                }
                let response = BindResponse::parse(body);
                self.peer_name = crate::text::latin1(response.system_id);
                self.peer_version = response.interface_version();
                self.become_bound(step);
            }
            (request, _) if request.carries_message() => match self.window.take(sequence) {
                Some(tag) => {
                    let message_id = Response::parse(body).message_id.to_vec();
                    step.out.push(Output::Answered { tag, status, message_id });
                }
                None => self.stats.unknown_responses += 1,
            },
            _ => self.stats.unknown_responses += 1,
        }
    }

    /// A generic_nack answers the request with its sequence number; while we bind, any one answers
    /// the bind. A status of 0 in it is still no success.
    fn nacked(&mut self, step: &mut Step<'_, T>, header: Header) {
        self.stats.nacks += 1;
        let status = if header.status.is_ok() { CommandStatus::SYSERR } else { header.status };
        match self.state {
            State::Binding { sequence, .. } if [0, sequence].contains(&header.sequence) => {
                Self::bind_refused(step, status);
            }
            _ => match self.window.take(header.sequence) {
                Some(tag) => {
                    step.out.push(Output::Answered { tag, status, message_id: Vec::new() });
                }
                None => self.stats.unknown_responses += 1,
            },
        }
    }

    fn bind_refused(step: &mut Step<'_, T>, status: CommandStatus) {
        step.out.push(Output::BindRefused(status));
        step.close = Some(CloseReason::Refused);
    }

    fn bind_requested(
        &mut self,
        step: &mut Step<'_, T>,
        header: Header,
        kind: BindKind,
        body: &[u8],
    ) {
        let refusal = match (&self.role, self.state) {
            (Role::Esme(_), _) => Some(CommandStatus::INVBNDSTS),
            (Role::Smsc, State::Open { .. }) => None,
            (Role::Smsc, _) => Some(CommandStatus::ALYBND),
        };
        let decoded = match refusal {
            Some(status) => Err(status),
            None => Bind::decode(header.command, body).map_err(|error| {
                self.stats.malformed += 1;
                error.status()
            }),
        };
        match decoded {
            Ok(bind) => {
                let State::Open { until } = self.state else {
                    return;
                };
                self.peer_name.clone_from(&bind.system_id);
                self.peer_version = Some(bind.interface_version);
                self.peer = Some(bind.clone());
                self.state = State::Deciding { sequence: header.sequence, until };
                step.out.push(Output::BindRequested(bind));
            }
            Err(status) => {
                bind::encode_response(step.wire, kind, status, header.sequence, "", None);
                self.stats.pdus_sent += 1;
            }
        }
    }

    /// Requests that we do not serve: those with a response of their own get it, with a refusal;
    /// outbind and alert_notification have none; the rest is unknown.
    fn unsupported(&mut self, step: &mut Step<'_, T>, header: Header, body: &[u8]) {
        self.stats.unsupported += 1;
        match header.command {
            CommandId::OUTBIND => {
                self.noticed(step, header, Outbind::decode(body).map(Notice::Outbind));
            }
            CommandId::ALERT_NOTIFICATION => {
                self.noticed(step, header, Alert::decode(body).map(Notice::Alert));
            }
            CommandId::QUERY_SM => self.reply(step, header, CommandStatus::QUERYFAIL),
            CommandId::CANCEL_SM => self.reply(step, header, CommandStatus::CANCELFAIL),
            CommandId::REPLACE_SM => self.reply(step, header, CommandStatus::REPLACEFAIL),
            CommandId::SUBMIT_MULTI => self.reply(step, header, CommandStatus::INVCMDID),
            _ => {
                let nack = Header { command: CommandId::GENERIC_NACK, ..header };
                self.reply(step, nack, CommandStatus::INVCMDID);
            }
        }
    }

    /// Nothing is answered: an SMSC is heard, and an ESME has no business to say such things.
    fn noticed(
        &mut self,
        step: &mut Step<'_, T>,
        header: Header,
        notice: Result<Notice, DecodeError>,
    ) {
        self.stats.malformed += u64::from(notice.is_err());
        if !self.serves() {
            let notice = notice.unwrap_or(Notice::Unreadable(header.command));
            step.out.push(Output::Noticed(Box::new(notice)));
        }
    }

    /// Answers with a header alone.
    fn reply(&mut self, step: &mut Step<'_, T>, header: Header, status: CommandStatus) {
        frame::header_only(step.wire, header.command.response(), status, header.sequence);
        self.stats.pdus_sent += 1;
    }
}
