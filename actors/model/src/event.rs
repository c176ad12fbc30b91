//! The event log's kinds: the number each is stored as, and the name subscribers know it by.
//!
//! A kind below 100 is of a message, one from 100 on of an organization: its row names no message,
//! and its detail is the event's data; so it is of one from 200 on, but for the call that its row
//! names. Kinds without a public type are history only.

use crate::message::{Status, coded};

coded! {
    /// One kind of row in the event log.
    EventKind {
        Created = 1 "created",
        /// The carrier refused for now; it will be tried again.
        Retried = 2 "retried",
        /// Bytes may have left and no answer came.
        InDoubt = 3 "in_doubt",
        Sent = 4 "sent",
        /// A receipt that changes nothing: a part of several, or an intermediate state.
        Receipt = 5 "receipt",
        Delivered = 6 "delivered",
        Failed = 7 "failed",
        Received = 8 "received",
        /// An inbound message to which an outbound one had gone before.
        Replied = 9 "replied",
        Cancelled = 10 "cancelled",
        /// A scheduled message was changed.
        Edited = 20 "edited",
        /// Its time had come, and a gate put it off to a later one.
        Deferred = 21 "deferred",
        /// It went to another carrier, the first having certainly not accepted it.
        Diverted = 24 "diverted",
        /// A person wrote STOP, or was put on the suppression list.
        OptedOut = 100 "opted_out",
        OptedIn = 101 "opted_in",
        WebhookTest = 110 "webhook_test",
        WebhookDisabled = 111 "webhook_disabled",
        /// Four fifths of the day's spend are used.
        SpendWarning = 120 "spend_warning",
        /// A send was refused, because the day's spend is used up.
        SpendReached = 121 "spend_reached",
        /// Too many messages to one range of numbers.
        Velocity = 122 "velocity",
        DestinationRefused = 123 "destination_refused",
        WalletLow = 124 "wallet_low",
        /// A sender was approved or rejected for a country.
        SenderIdUpdated = 130 "sender_id_updated",
        /// A carrier of the organization can take messages, or a customer's system has bound.
        BindUp = 140 "bind_up",
        /// None of its binds is up; or that bind has ended.
        BindDown = 141 "bind_down",
        /// The password of a credential was shown.
        CredentialRevealed = 142 "credential_revealed",
        CredentialRotated = 143 "credential_rotated",
        /// A phone has registered by a SIP credential, at a contact that was not bound before.
        SipRegistered = 150 "sip_registered",
        /// That contact is not bound any more.
        SipUnregistered = 151 "sip_unregistered",
        /// A trunk of the organization answers again.
        TrunkUp = 160 "trunk_up",
        /// It has not answered three times.
        TrunkDown = 161 "trunk_down",
        /// A month more of a number is paid.
        NumberRenewed = 170 "number_renewed",
        /// The balance did not cover it.
        NumberRenewalFailed = 171 "number_renewal_failed",
        /// A number that is not paid for is out of service.
        NumberSuspended = 172 "number_suspended",
        /// An organization has a number no longer.
        NumberReleased = 173 "number_released",
        /// A call was stored: it is dialled, or its INVITE has come.
        CallInitiated = 200 "call_initiated",
        CallRinging = 201 "call_ringing",
        CallAnswered = 202 "call_answered",
        /// It was answered, and is over.
        CallCompleted = 203 "call_completed",
        /// It is over, and was never answered.
        CallFailed = 204 "call_failed",
        /// A masking session was opened.
        ProxyCreated = 240 "proxy_created",
        /// It was closed, or its time was over.
        ProxyClosed = 241 "proxy_closed",
        /// A call or a message went by it.
        ProxyInteraction = 242 "proxy_interaction",
        /// One end has left it for somebody else.
        CallTransferred = 205 "call_transferred",
        RecordingStarted = 220 "recording_started",
        RecordingCompleted = 221 "recording_completed",
        /// There is no recording, or not all of it.
        RecordingFailed = 222 "recording_failed",
        /// A side of a call waits, or waits no longer.
        CallHeld = 230 "call_held",
        CallResumed = 231 "call_resumed",
    }
}

impl EventKind {
    /// The event that tells of a message's new status.
    #[must_use]
    pub fn of(status: Status) -> Self {
        match status {
            Status::Scheduled | Status::Queued | Status::Sending => Self::Created,
            Status::Sent => Self::Sent,
            Status::Delivered => Self::Delivered,
            Status::Received => Self::Received,
            Status::Cancelled => Self::Cancelled,
            Status::SubmittedNoReceipt
            | Status::Undelivered
            | Status::Failed
            | Status::Rejected
            | Status::Expired
            | Status::Blocked => Self::Failed,
        }
    }

    /// The name in webhooks, streams and `/events`; `None` for what is history only.
    #[must_use]
    pub fn public_type(self) -> Option<&'static str> {
        Some(match self {
            Self::Retried | Self::InDoubt | Self::Receipt => return None,
            Self::Edited | Self::Deferred | Self::Diverted => return None,
            Self::Created => "message.created",
            Self::Sent => "message.sent",
            Self::Delivered => "message.delivered",
            Self::Failed => "message.failed",
            Self::Received => "message.received",
            Self::Replied => "message.replied",
            Self::Cancelled => "message.cancelled",
            Self::OptedOut => "contact.opted_out",
            Self::OptedIn => "contact.opted_in",
            Self::WebhookTest => "webhook.test",
            Self::WebhookDisabled => "webhook.disabled",
            Self::SpendWarning => "protection.spend_warning",
            Self::SpendReached => "protection.spend_reached",
            Self::Velocity => "protection.velocity",
            Self::DestinationRefused => "protection.destination_refused",
            Self::WalletLow => "wallet.low",
            Self::SenderIdUpdated => "sender_id.updated",
            Self::BindUp => "smpp.bind_up",
            Self::BindDown => "smpp.bind_down",
            Self::CredentialRevealed => "smpp.credential_revealed",
            Self::CredentialRotated => "smpp.credential_rotated",
            Self::SipRegistered => "sip.registered",
            Self::SipUnregistered => "sip.unregistered",
            Self::TrunkUp => "trunk.up",
            Self::TrunkDown => "trunk.down",
            Self::NumberRenewed => "number.renewed",
            Self::NumberRenewalFailed => "number.renewal_failed",
            Self::NumberSuspended => "number.suspended",
            Self::NumberReleased => "number.released",
            Self::CallInitiated => "call.initiated",
            Self::CallRinging => "call.ringing",
            Self::CallAnswered => "call.answered",
            Self::CallCompleted => "call.completed",
            Self::CallFailed => "call.failed",
            Self::ProxyCreated => "proxy.session.created",
            Self::ProxyClosed => "proxy.session.closed",
            Self::ProxyInteraction => "proxy.interaction",
            Self::CallTransferred => "call.transferred",
            Self::RecordingStarted => "call.recording.started",
            Self::RecordingCompleted => "call.recording.completed",
            Self::RecordingFailed => "call.recording.failed",
            Self::CallHeld => "call.held",
            Self::CallResumed => "call.resumed",
        })
    }

    /// True for kinds whose row belongs to a message.
    #[must_use]
    pub fn is_of_message(self) -> bool {
        self.code() < 100
    }

    /// True for kinds whose row belongs to a call.
    #[must_use]
    pub fn is_of_call(self) -> bool {
        self.code() >= 200
    }

    /// The kinds a pattern names: a type, `*`, or a group as in `message.*`. Empty: it names none.
    #[must_use]
    pub fn matching(pattern: &str) -> Vec<Self> {
        let group = pattern.strip_suffix('*');
        let names = |kind: &&Self| match (kind.public_type(), group) {
            (Some(name), Some(group)) => {
                (group.is_empty() || group.ends_with('.')) && name.starts_with(group)
            }
            (Some(name), None) => name == pattern,
            (None, _) => false,
        };
        Self::ALL.iter().filter(names).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_types_groups_or_all() {
        assert_eq!(EventKind::matching("message.sent"), [EventKind::Sent]);
        assert_eq!(EventKind::matching("contact.*"), [EventKind::OptedOut, EventKind::OptedIn]);
        let all = EventKind::matching("*");
        assert!(all.contains(&EventKind::WebhookTest) && !all.contains(&EventKind::InDoubt));
        for none in ["", "message", "message.", "mess*", "message.in_doubt", "**", "nothing.*"] {
            assert_eq!(EventKind::matching(none), [], "{none}");
        }
    }

    #[test]
    fn public_types_are_distinct() {
        let mut seen = std::collections::HashSet::new();
        for name in EventKind::ALL.iter().filter_map(|kind| kind.public_type()) {
            assert!(seen.insert(name), "{name} twice");
        }
    }
}
