//! The catalogue of events for the OpenAPI document: their names, the envelope, and the data of
//! each. Nothing here is ever made: `actors/src/customer/envelope.rs` writes what is sent.
#![expect(dead_code, reason = "schemas are described, not built")]

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The name of an event. Subscriptions also take groups such as `message.*`, and `*`.
#[derive(Serialize, ToSchema)]
pub(crate) enum EventType {
    #[serde(rename = "message.created")]
    MessageCreated,
    #[serde(rename = "message.sent")]
    MessageSent,
    #[serde(rename = "message.delivered")]
    MessageDelivered,
    #[serde(rename = "message.failed")]
    MessageFailed,
    #[serde(rename = "message.received")]
    MessageReceived,
    #[serde(rename = "message.replied")]
    MessageReplied,
    #[serde(rename = "message.cancelled")]
    MessageCancelled,
    #[serde(rename = "contact.opted_out")]
    ContactOptedOut,
    #[serde(rename = "contact.opted_in")]
    ContactOptedIn,
    #[serde(rename = "webhook.test")]
    WebhookTest,
    #[serde(rename = "webhook.disabled")]
    WebhookDisabled,
    #[serde(rename = "protection.spend_warning")]
    SpendWarning,
    #[serde(rename = "protection.spend_reached")]
    SpendReached,
    #[serde(rename = "protection.velocity")]
    Velocity,
    #[serde(rename = "protection.destination_refused")]
    DestinationRefused,
    #[serde(rename = "wallet.low")]
    WalletLow,
    #[serde(rename = "sender_id.updated")]
    SenderIdUpdated,
    #[serde(rename = "smpp.bind_up")]
    BindUp,
    #[serde(rename = "smpp.bind_down")]
    BindDown,
    #[serde(rename = "smpp.credential_revealed")]
    CredentialRevealed,
    #[serde(rename = "smpp.credential_rotated")]
    CredentialRotated,
    #[serde(rename = "sip.registered")]
    SipRegistered,
    #[serde(rename = "sip.unregistered")]
    SipUnregistered,
    #[serde(rename = "trunk.up")]
    TrunkUp,
    #[serde(rename = "trunk.down")]
    TrunkDown,
    #[serde(rename = "number.renewed")]
    NumberRenewed,
    #[serde(rename = "number.renewal_failed")]
    NumberRenewalFailed,
    #[serde(rename = "number.suspended")]
    NumberSuspended,
    #[serde(rename = "number.released")]
    NumberReleased,
    #[serde(rename = "call.initiated")]
    CallInitiated,
    #[serde(rename = "call.ringing")]
    CallRinging,
    #[serde(rename = "call.answered")]
    CallAnswered,
    #[serde(rename = "call.completed")]
    CallCompleted,
    #[serde(rename = "call.failed")]
    CallFailed,
    #[serde(rename = "proxy.session.created")]
    ProxyCreated,
    #[serde(rename = "proxy.session.closed")]
    ProxyClosed,
    #[serde(rename = "proxy.interaction")]
    ProxyInteraction,
    #[serde(rename = "call.transferred")]
    CallTransferred,
    #[serde(rename = "call.recording.started")]
    RecordingStarted,
    #[serde(rename = "call.recording.completed")]
    RecordingCompleted,
    #[serde(rename = "call.recording.failed")]
    RecordingFailed,
    #[serde(rename = "call.held")]
    CallHeld,
    #[serde(rename = "call.resumed")]
    CallResumed,
}

/// The body of a webhook request.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEnvelope {
    /// The same each time this event is sent: what repeats is known by it.
    #[schema(example = "evt_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[serde(rename = "type")]
    kind: EventType,
    #[schema(example = "2026-01-01T12:00:00.000Z")]
    created_at: String,
    data: EventData,
    /// Of a message's or call's events: grows from one to the next, not always by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<i64>,
    /// The data was above 256 KiB and is left out but for its ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
}

/// By the event's type.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum EventData {
    Created(MessageCreatedData),
    Sent(MessageSentData),
    Delivered(MessageDeliveredData),
    Failed(MessageFailedData),
    Received(MessageReceivedData),
    Cancelled(MessageCancelledData),
    Contact(ContactConsentData),
    Test(WebhookTestData),
    Disabled(WebhookDisabledData),
    Spend(SpendData),
    Velocity(VelocityData),
    Destination(DestinationData),
    Low(WalletLowData),
    Sender(SenderIdData),
    Bind(BindData),
    Credential(CredentialData),
    CustomerBind(SmppBindData),
    Registered(SipRegisteredData),
    Unregistered(SipUnregisteredData),
    Trunk(TrunkHealthData),
    Number(NumberData),
    Call(CallData),
    CallEnd(CallEndData),
    Proxy(ProxySessionData),
    ProxyInteraction(ProxyInteractionData),
    CallMoved(CallTransferredData),
    Recording(RecordingData),
    Held(CallHeldData),
}

/// Of `message.created`.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageCreatedData {
    message_id: String,
    channel: String,
    from: String,
    to: String,
    status: String,
    test_mode: bool,
    body: String,
    segments: i64,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    created_at: String,
    batch_id: Option<String>,
}

/// Of `message.sent`: the carrier has it.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageSentData {
    message_id: String,
    channel: String,
    from: String,
    to: String,
    status: String,
    test_mode: bool,
    external_id: Option<String>,
    /// The same as `external_id`.
    provider_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    sent_at: String,
    batch_id: Option<String>,
}

/// Of `message.delivered`: the handset has it.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageDeliveredData {
    message_id: String,
    channel: String,
    from: String,
    to: String,
    status: String,
    test_mode: bool,
    segments: i64,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    delivered_at: String,
    batch_id: Option<String>,
}

/// Of `message.failed`, for whatever reason: see `status`.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageFailedData {
    message_id: String,
    channel: String,
    from: String,
    to: String,
    /// `failed`, `undelivered`, `rejected`, `expired`, `blocked` or `submitted_no_receipt`.
    status: String,
    test_mode: bool,
    error_code: Option<String>,
    error_message: Option<String>,
    carrier_error: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    failed_at: String,
    batch_id: Option<String>,
}

/// Of `message.received` and `message.replied`: a person wrote.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageReceivedData {
    message_id: String,
    channel: String,
    from: String,
    to: String,
    status: String,
    test_mode: bool,
    body: String,
    /// Of what is no text: its octets in hexadecimal, and how its carrier marked them. Left out of
    /// texts, and of more than 4,096 octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    octets: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_coding: Option<u8>,
    media_urls: Vec<String>,
    conversation_id: Option<String>,
    contact_id: Option<String>,
    received_at: String,
}

/// Of `message.cancelled`.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageCancelledData {
    message_id: String,
    channel: String,
    from: String,
    to: String,
    status: String,
    test_mode: bool,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    cancelled_at: String,
    batch_id: Option<String>,
}

/// Of `contact.opted_out` and `contact.opted_in`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ContactConsentData {
    contact_id: Option<String>,
    channel: String,
    address: String,
    keyword: Option<String>,
    source: String,
    message_id: Option<String>,
    at: String,
}

/// Of `webhook.test`.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookTestData {
    webhook_id: String,
    message: String,
}

/// Of `webhook.disabled`: told to the other endpoints.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookDisabledData {
    webhook_id: String,
    url: String,
    /// `gone` (it answered 410) or `failing` (for days).
    reason: String,
}

/// Of `protection.spend_warning`, at four fifths of the day's limit, and `protection.spend_reached`.
#[derive(Serialize, ToSchema)]
pub(crate) struct SpendData {
    spent_micros: i64,
    limit_micros: i64,
    currency: String,
    /// The next midnight, UTC.
    resets_at: String,
}

/// Of `protection.velocity`: too many messages in a minute to one range of numbers. Told at most
/// once an hour.
#[derive(Serialize, ToSchema)]
pub(crate) struct VelocityData {
    prefix: String,
    one_time_codes: bool,
    limit_per_minute: i64,
}

/// Of `protection.destination_refused`: which of the two closed the destination. Told at most once
/// an hour.
#[derive(Serialize, ToSchema)]
pub(crate) struct DestinationData {
    prefix: Option<String>,
    country: Option<String>,
}

/// Of `wallet.low`: told once until the next top-up.
#[derive(Serialize, ToSchema)]
pub(crate) struct WalletLowData {
    balance_micros: i64,
    threshold_micros: i64,
    currency: String,
}

/// Of `sender_id.updated`: the operator decided on a sender in a country.
#[derive(Serialize, ToSchema)]
pub(crate) struct SenderIdData {
    id: String,
    sender_id: String,
    country: String,
    status: String,
    reason: Option<String>,
}

/// Of `smpp.bind_up` and `smpp.bind_down`: a carrier of the organization can take messages, or cannot.
#[derive(Serialize, ToSchema)]
pub(crate) struct BindData {
    carrier_id: String,
    /// Binds that are up, and how many there are.
    bound: i64,
    binds: i64,
    /// Of `smpp.bind_down`: why the last one ended.
    last_error: Option<String>,
}

/// Of `smpp.credential_revealed` and `smpp.credential_rotated`: its password was shown, or another
/// one was set.
#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialData {
    credential_id: String,
    /// The API key that was used.
    by: String,
}

/// Of `smpp.bind_up` and `smpp.bind_down` too: a customer's system has bound, or left. At most 30 a minute are told of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct SmppBindData {
    #[schema(example = "sma_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    account_id: String,
    system_id: String,
    /// `transmitter`, `receiver` or `transceiver`.
    bind_type: String,
    /// Where it came from.
    address: String,
    /// Why it ended; of `smpp.bind_down` only.
    reason: Option<String>,
}

/// Of `sip.registered`: a phone is bound where it was not before.
#[derive(Serialize, ToSchema)]
pub(crate) struct SipRegisteredData {
    #[schema(example = "sip_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    credential_id: String,
    /// Its address of record.
    aor: String,
    contact: String,
    /// `udp`, `tcp`, `tls`, `ws` or `wss`.
    transport: String,
    user_agent: Option<String>,
    expires_at: String,
}

/// Of `sip.unregistered`.
#[derive(Serialize, ToSchema)]
pub(crate) struct SipUnregisteredData {
    #[schema(example = "sip_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    credential_id: String,
    contact: String,
    /// `unregistered`, `expired`, `connection_lost`, `replaced` or `dropped`.
    reason: String,
}

/// Of `trunk.down`: a SIP trunk did not answer three times; and of `trunk.up`: it answers again.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrunkHealthData {
    #[schema(example = "trk_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    trunk_id: String,
    name: String,
    /// `up` or `down`.
    health: String,
    /// Why it did not answer; of `trunk.down` only.
    last_error: Option<String>,
}

/// Of `number.renewed`, `number.renewal_failed`, `number.suspended` and `number.released`.
#[derive(Serialize, ToSchema)]
pub(crate) struct NumberData {
    #[schema(example = "num_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    number_id: String,
    #[schema(example = "+14155550100")]
    number: String,
    /// `active`, `suspended` or `parked`.
    status: String,
    /// Decimal dollars; not of `.released`, as what follows.
    monthly_cost: Option<String>,
    currency: Option<String>,
    /// Until then it is paid; of `.renewed` and `.renewal_failed`.
    next_billing_at: Option<String>,
    /// Of `.renewal_failed`: if it is not paid by then.
    suspends_at: Option<String>,
    /// Of `.suspended`: if it is not paid by then.
    releases_at: Option<String>,
    /// Of `.released`: `requested`, `not_renewed` or `unpaid`.
    reason: Option<String>,
    /// Of `.released`: until then nobody else has it.
    parked_until: Option<String>,
}

/// Of `call.initiated`, `call.ringing` and `call.answered`.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallData {
    #[schema(example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    call_id: String,
    /// `outbound` or `inbound`.
    direction: String,
    /// Null when it is withheld.
    from: Option<String>,
    to: String,
    /// `initiating`, `ringing` or `in_progress`.
    status: String,
    /// When it happened.
    at: String,
    test_mode: bool,
    agent_id: Option<String>,
    #[schema(value_type = Object)]
    metadata: Value,
}

/// Of `call.transferred`: one end has left it, and the other talks to somebody else.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallTransferredData {
    #[schema(example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    call_id: String,
    direction: String,
    from: Option<String>,
    to: String,
    /// `in_progress`.
    status: String,
    at: String,
    test_mode: bool,
    agent_id: Option<String>,
    #[schema(value_type = Object)]
    metadata: Value,
    /// Whom it goes on with.
    #[schema(example = "+14155550123")]
    target: String,
    /// The call that it is joined to, where there are two.
    #[schema(example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f01")]
    other_call_id: Option<String>,
}

/// Of `call.completed`, which was answered, and `call.failed`, which was not.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallEndData {
    #[schema(example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    call_id: String,
    direction: String,
    from: Option<String>,
    to: String,
    /// `completed` or `failed`.
    status: String,
    at: String,
    test_mode: bool,
    agent_id: Option<String>,
    #[schema(value_type = Object)]
    metadata: Value,
    /// From its answer to its end.
    duration_seconds: i64,
    /// What of that is paid for, rounded up.
    billable_seconds: i64,
    /// Decimal dollars.
    #[schema(example = "0.024000")]
    cost: String,
    cost_micros: i64,
    currency: String,
    #[schema(example = "busy")]
    end_reason: String,
    /// The final status of its INVITE; null when it ended by BYE.
    sip_code: Option<i64>,
    q850_cause: i64,
    /// `caller`, `callee`, `api` or `system`.
    hangup_by: String,
}

/// Of `proxy.interaction`: a call or a message went by a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProxyInteractionData {
    #[schema(example = "prx_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    session_id: String,
    /// `voice` or `sms`.
    channel: String,
    /// Of a call.
    call_id: Option<String>,
    /// Of a message, as it came.
    message_id: Option<String>,
}

/// Of `proxy.session.created` and `proxy.session.closed`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProxySessionData {
    #[schema(example = "prx_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    session_id: String,
    /// `open`, `closed` or `expired`.
    status: String,
}

/// Of `call.recording.started`, `.completed` and `.failed`. Of a call that was to be recorded and is not
/// `.failed` alone is told, and names no recording.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordingData {
    #[schema(example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    call_id: String,
    direction: String,
    from: Option<String>,
    to: String,
    at: String,
    test_mode: bool,
    #[schema(value_type = Object)]
    metadata: Value,
    #[schema(example = "rec_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    recording_id: Option<String>,
    /// Where its file is; null while there is none.
    url: Option<String>,
    /// Null of `.started`.
    duration_seconds: Option<i64>,
    channels: i64,
    format: String,
    /// Of `.failed`: `announcement_unavailable`, `announcement_not_finished`, `jurisdiction`,
    /// `codec_not_supported`, `storage_failed`, `storage_too_slow`, `recorder_busy`,
    /// `nothing_recorded` or `interrupted`.
    reason: Option<String>,
}

/// Of `call.held` and `call.resumed`: a side waits, or waits no longer.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallHeldData {
    #[schema(example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    call_id: String,
    direction: String,
    from: Option<String>,
    to: String,
    status: String,
    at: String,
    test_mode: bool,
    agent_id: Option<String>,
    #[schema(value_type = Object)]
    metadata: Value,
    /// Who waits: `a` who called, `b` who was called.
    leg: String,
    /// By whose wish: `caller`, `callee` or `api`.
    by: String,
}

#[cfg(test)]
mod tests {
    use model::event::EventKind;
    use serde_json::Value;

    #[test]
    fn the_catalogue_names_every_event_that_is_told() {
        let document: Value = serde_json::from_str(&crate::api::document()).unwrap();
        let listed = &document["components"]["schemas"]["EventType"]["enum"];
        let mut listed: Vec<_> =
            listed.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let mut told: Vec<_> =
            EventKind::ALL.iter().filter_map(|kind| kind.public_type()).collect();
        listed.sort_unstable();
        told.sort_unstable();
        assert_eq!(listed, told);
        assert!(document["components"]["schemas"]["WebhookEnvelope"].is_object());
    }
}
