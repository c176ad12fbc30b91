//! What a carrier sends us: receipts and messages from handsets, stored before acknowledged.

use metrics::counter;
use proto_smpp::session::Notice;
use proto_smpp::{CommandId, CommandStatus, Input, Message, MessageView, receipt};
use ractor::ActorRef;
use store::lane::{Quarantined, Work};

use super::{BindMsg, BindState, Link};
use crate::gate::Permit;
use crate::smpp::hand::Item;
use crate::smpp::{alerts, translate};
use crate::writer::Then;

/// Octets of the longest address there is, that of data_sm (SMPP 3.4 §4.7.1). A database keeps
/// addresses in its indexes, and those take no rows of any size.
const ADDRESS_MAX: usize = 64;

impl BindState {
    /// What has no answer is counted, and can be seen by who looks closely. An alert may be for a
    /// customer.
    pub(super) fn noticed(&mut self, notice: Notice) {
        let carrier = &self.args.profile.name;
        let kind = match &notice {
            Notice::Unreadable(command) => {
                if *command == CommandId::ALERT_NOTIFICATION {
                    alerts::dropped("malformed");
                }
                return;
            }
            Notice::Outbind(outbind) => {
                let system_id = &outbind.system_id;
                tracing::debug!(%carrier, ?system_id, "the carrier asks for a bind; it has one");
                "outbind"
            }
            Notice::Alert(alert) => {
                let number = alert.source.text();
                tracing::debug!(%carrier, ?number, "a subscriber can be reached again");
                "alert_notification"
            }
        };
        let carrier = carrier.to_string();
        counter!("orbit_carrier_notices_total", "carrier" => carrier, "kind" => kind).increment(1);
        if let Notice::Alert(alert) = notice {
            let owner = self.args.profile.organization;
            self.args.alerts.heard(owner, &mut self.alerts, &alert);
        }
    }

    pub(super) fn read(&mut self, me: &ActorRef<BindMsg>, octets: &[u8], permit: Permit) {
        if let Link::Up(connection) = &mut self.link {
            // The permit is the right to read on. Past the window of unstored requests it is kept.
            connection.held.push(permit);
        }
        self.step(me, vec![Input::Bytes(octets)]);
        self.read_on();
    }

    /// Lets the reader go on unless too much waits for the store.
    fn read_on(&mut self) {
        let most = self.args.profile.timers.inbound_window;
        if let Link::Up(connection) = &mut self.link
            && connection.owed <= most
        {
            connection.held.clear();
        }
    }

    pub(super) fn take_requests(
        &mut self,
        me: &ActorRef<BindMsg>,
        requests: Vec<(CommandId, u32, Message)>,
    ) {
        let mut work = Work::default();
        let mut answers = Vec::with_capacity(requests.len());
        let mut refused = Vec::new();
        for (command, sequence, message) in requests {
            if command != CommandId::DELIVER_SM && command != CommandId::DATA_SM {
                refused.push((command, sequence, CommandStatus::INVBNDSTS));
                continue;
            }
            self.take(&message, &mut work);
            answers.push((command, sequence, CommandStatus::OK));
        }
        if !refused.is_empty() {
            self.acknowledge_later(me, refused);
        }
        if answers.is_empty() {
            return;
        }
        if let Link::Up(connection) = &mut self.link {
            connection.owed += answers.len();
        }
        let (life, bind) = (self.life, me.clone());
        let stored = answers.clone();
        let then = Then::new(move |_| {
            let _ = bind.send_message(BindMsg::Stored { life, answers: stored });
        });
        if self.args.writer.ask(work, then).is_err() {
            // Not stored, so not acknowledged: the carrier will send it again.
            let later = |(command, sequence, _)| (command, sequence, CommandStatus::X_T_APPN);
            self.acknowledge_later(me, answers.into_iter().map(later).collect());
        }
    }

    fn take(&self, message: &Message, work: &mut Work) {
        let view = message.view();
        let fingerprint = translate::fingerprint(&view);
        let carrier = self.args.carrier;
        if self.args.condemned.holds(Item::Pdu(fingerprint)) {
            work.quarantine.push(Quarantined {
                carrier: Some(carrier),
                message: None,
                reason: String::from("pdu_kills_its_reader"),
                item: format!("{} octets, fingerprint {fingerprint:016x}", view.user_data().len()),
            });
            return;
        }
        self.args.in_hand.take_pdu(fingerprint);
        if receipt::is_receipt(&view) {
            let mut receipt = (self.args.profile.dialect.receipt)(carrier, &view);
            self.args.profile.quirks.read(&view, &mut receipt);
            work.receipts.push(receipt);
        } else if has_long_address(&view) {
            work.quarantine.push(Quarantined {
                carrier: Some(carrier),
                message: None,
                reason: String::from("inbound_address_too_long"),
                item: in_octets(&view),
            });
        } else {
            let owner = self.args.profile.organization;
            let mut inbound = (self.args.profile.dialect.inbound)(carrier, owner, &view);
            inbound.session = self.session;
            work.inbound.push(inbound);
        }
        self.args.in_hand.lay_down();
    }

    fn acknowledge_later(
        &self,
        me: &ActorRef<BindMsg>,
        answers: Vec<(CommandId, u32, CommandStatus)>,
    ) {
        let _ = me.send_message(BindMsg::Stored { life: self.life, answers });
    }

    pub(super) fn acknowledge(
        &mut self,
        me: &ActorRef<BindMsg>,
        answers: &[(CommandId, u32, CommandStatus)],
    ) {
        if let Link::Up(connection) = &mut self.link {
            connection.owed = connection.owed.saturating_sub(answers.len());
        }
        let inputs = answers
            .iter()
            .map(|(command, sequence, status)| Input::Answer {
                command: *command,
                sequence: *sequence,
                status: *status,
                message_id: b"",
            })
            .collect();
        self.step(me, inputs);
        self.read_on();
    }
}

fn has_long_address(view: &MessageView<'_>) -> bool {
    [view.source, view.destination].iter().any(|address| address.digits.len() > ADDRESS_MAX)
}

/// A PDU for people to look at: whom it is from and to, and what it says, in hex.
fn in_octets(view: &MessageView<'_>) -> String {
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    format!(
        "{{\"from\":\"{}\",\"to\":\"{}\",\"user_data\":\"{}\"}}",
        hex(view.source.digits),
        hex(view.destination.digits),
        hex(view.user_data())
    )
}
