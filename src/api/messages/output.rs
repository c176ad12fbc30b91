//! How messages look from outside.

use model::clock::At;
use model::country::country_of;
use model::esme::{IdFormat, Submitted};
use model::id::{Kind, PublicId};
use model::message::{Category, Direction, Encoding, Status};
use model::money::Micros;
use serde::Serialize;
use serde_json::Value;
use store::MessageRow;
use utoipa::ToSchema;

/// A send that was taken: stored and queued.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcceptedOut {
    #[schema(example = "msg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    pub(crate) id: String,
    /// The same as `id`.
    pub(crate) message_id: String,
    pub(crate) channel: &'static str,
    pub(crate) to: String,
    /// Null while its pool has not chosen one: it does when the message is sent.
    pub(crate) from: Option<String>,
    /// The pool that chooses its sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sender_pool_id: Option<String>,
    /// `queued`, or `scheduled`.
    #[schema(example = "queued")]
    pub(crate) status: &'static str,
    /// When it will be sent; of scheduled messages only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scheduled_at: Option<String>,
    pub(crate) segments: i64,
    pub(crate) test_mode: bool,
    pub(crate) created_at: String,
}

/// What all parts of a message cost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PriceOut {
    /// Decimal dollars.
    #[schema(example = "0.007900")]
    amount: String,
    #[schema(example = "USD")]
    currency: &'static str,
}

/// What the PDU of an inbound message said beside its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PduOut {
    #[schema(example = 4)]
    data_coding: u8,
    esm_class: u8,
    protocol_id: u8,
    /// Octets that are no text, in hexadecimal; `body` is null then.
    #[schema(example = "0001feff")]
    octets: Option<String>,
    /// Optional parameters, in their order.
    tlvs: Vec<TlvOut>,
}

/// An optional parameter.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TlvOut {
    #[schema(example = "0x1401")]
    tag: String,
    /// In hexadecimal.
    value: String,
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageOut {
    #[schema(example = "msg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    /// The same as `id`.
    message_id: String,
    /// `outbound` or `inbound`.
    direction: &'static str,
    channel: &'static str,
    /// Null while its pool has not chosen one: it does when the message is sent.
    from: Option<String>,
    /// The pool that its sender is of, as long as there is that pool.
    sender_pool_id: Option<String>,
    /// The sender the carrier put in the place of `from`.
    from_delivered: Option<String>,
    to: String,
    /// Null once the retention settings have taken it out, and of inbound octets that are no text.
    body: Option<String>,
    /// Of inbound messages.
    pdu: Option<PduOut>,
    media_urls: Vec<String>,
    /// `scheduled`, `queued`, `sending`, `sent`, `delivered`, `submitted_no_receipt`, `undelivered`, `failed`,
    /// `rejected`, `expired`, `blocked`, `cancelled` or `received`.
    #[schema(example = "delivered")]
    status: &'static str,
    status_reason: Option<String>,
    error_code: Option<String>,
    error_message: Option<&'static str>,
    /// The carrier's own code.
    carrier_error: Option<String>,
    segments: i64,
    encoding: &'static str,
    category: &'static str,
    price: PriceOut,
    mccmnc: Option<String>,
    /// ISO 3166, of the recipient, or of who wrote an inbound message.
    #[schema(example = "US")]
    country: Option<&'static str>,
    /// The carrier account it goes by.
    carrier_id: Option<String>,
    /// The carrier's id of the message.
    external_id: Option<String>,
    /// The same as `external_id`.
    provider_id: Option<String>,
    /// The `message_id` of `submit_sm_resp` and of receipts, as its account writes ids; of messages
    /// that came by SMPP.
    #[schema(example = "1000017")]
    smpp_id: Option<String>,
    template_id: Option<String>,
    campaign_id: Option<String>,
    batch_id: Option<String>,
    contact_id: Option<String>,
    conversation_id: Option<String>,
    parent_message_id: Option<String>,
    attempts: i64,
    test_mode: bool,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    scheduled_at: Option<String>,
    validity_seconds: Option<i64>,
    created_at: String,
    /// Null of what was scheduled: its history says when it fired.
    queued_at: Option<String>,
    sent_at: Option<String>,
    delivered_at: Option<String>,
    read_at: Option<String>,
    failed_at: Option<String>,
}

/// The public id of a stored one; a broken one shows as zeros, never as a failure.
pub(crate) fn id_of(kind: Kind, bytes: &[u8]) -> String {
    let bytes = <[u8; 16]>::try_from(bytes).unwrap_or_default();
    PublicId::from_bytes(bytes).show(kind)
}

/// The status as shown: a queued row with an intent is on its way.
pub(crate) fn status_of(row: &MessageRow) -> Status {
    match Status::from_code(row.status) {
        Some(Status::Queued) if row.intent.is_some() => Status::Sending,
        Some(status) => status,
        None => Status::Queued,
    }
}

fn sender_of(row: &MessageRow) -> Option<String> {
    let waits = row.from_addr.is_empty() && row.sender_pool_id.is_some();
    (!waits).then(|| row.from_addr.clone())
}

fn pool_of(row: &MessageRow) -> Option<String> {
    row.sender_pool.as_deref().map(|id| id_of(Kind::SenderPool, id))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl PduOut {
    fn of(said: Submitted) -> Self {
        let mut tlvs = Vec::new();
        let mut rest = &said.tlvs[..];
        while let [a, b, c, d, behind @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*c, *d]));
            let Some((value, behind)) = behind.split_at_checked(length) else { break };
            tlvs.push(TlvOut { tag: format!("0x{a:02x}{b:02x}"), value: hex(value) });
            rest = behind;
        }
        Self {
            data_coding: said.data_coding,
            esm_class: said.esm_class,
            protocol_id: said.protocol_id,
            octets: (!said.user_data.is_empty()).then(|| hex(&said.user_data)),
            tlvs,
        }
    }
}

fn explained(code: &str) -> &'static str {
    match code {
        "INVALID_RECIPIENT" => "the carrier does not know the recipient's number",
        "UNREACHABLE_HANDSET" => "the handset could not be reached",
        "CARRIER_REJECTED" => "the carrier refused the message",
        "SENDER_NOT_ALLOWED" => "the carrier does not allow this sender",
        "EXPIRED" => "the message was not delivered in its time",
        "NETWORK_ERROR" => "the connection to the carrier failed",
        "THROTTLED" => "the carrier took no more messages",
        "NO_ROUTE" => "no carrier takes messages to this destination",
        "BALANCE_TOO_LOW" => "the balance did not cover the message when its time came",
        "NO_PRICE" => "the rates had no price for this destination when its time came",
        "ORGANIZATION_SUSPENDED" => "the organization was suspended when its time came",
        "BLOCKED" => "the message was stopped before it was sent",
        "RECIPIENT_OPTED_OUT" => "the recipient had opted out when the message was to leave",
        "SENDER_POOL_UNCOVERED" => "the pool had no sender for this country when its time came",
        "SENDER_POOL_EXHAUSTED" => "the pool's senders had sent all that they may that day",
        "QUARANTINED" => "the message was set aside for its operator",
        _ => "the carrier gave a reason that is not known here",
    }
}

impl From<&MessageRow> for AcceptedOut {
    /// As it was first answered, whatever became of it since.
    fn from(row: &MessageRow) -> Self {
        let id = id_of(Kind::Message, &row.id);
        // What was put off had no sender yet.
        let awaits = row.scheduled_at.is_some() && row.sender_pool_id.is_some();
        let mut out = Self {
            message_id: id.clone(),
            id,
            channel: "sms",
            to: row.to_addr.clone(),
            from: sender_of(row).filter(|_| !awaits),
            sender_pool_id: pool_of(row),
            status: if row.scheduled_at.is_some() { Status::Scheduled } else { Status::Queued }
                .as_str(),
            scheduled_at: row.scheduled_at.map(|at| At(at).iso()),
            segments: row.segments,
            test_mode: row.test_mode != 0,
            created_at: At(row.created_at).iso(),
        };
        if let Some(time) = row.scheduled_at {
            out.wait_until(At(time));
        }
        out
    }
}

impl AcceptedOut {
    /// Taken, but not to go before a time.
    pub(crate) fn wait_until(&mut self, time: At) {
        self.status = Status::Scheduled.as_str();
        self.scheduled_at = Some(time.iso());
    }
}

impl From<MessageRow> for MessageOut {
    fn from(row: MessageRow) -> Self {
        let id = id_of(Kind::Message, &row.id);
        let status = status_of(&row);
        let outbound = row.direction == Direction::Outbound.code();
        let country = country_of(if outbound { &row.to_addr } else { &row.from_addr });
        let done_at = row.done_at.map(|at| At(at).iso());
        let delivered = status == Status::Delivered;
        let failed = matches!(
            status,
            Status::Undelivered
                | Status::Failed
                | Status::Rejected
                | Status::Expired
                | Status::Blocked
        );
        let said = row.said.as_deref().filter(|_| row.redacted_at.is_none());
        let pdu = said.and_then(|octets| Submitted::from_octets(0, octets)).map(PduOut::of);
        let is_text = pdu.as_ref().is_none_or(|pdu| pdu.octets.is_none());
        Self {
            message_id: id.clone(),
            id,
            direction: Direction::from_code(row.direction).map_or("outbound", Direction::as_str),
            channel: "sms",
            from: sender_of(&row),
            sender_pool_id: pool_of(&row),
            from_delivered: row.from_delivered,
            to: row.to_addr,
            body: (is_text && row.redacted_at.is_none()).then_some(row.body),
            pdu,
            media_urls: Vec::new(),
            status: status.as_str(),
            status_reason: row.status_reason,
            error_message: row.error_code.as_deref().map(explained),
            error_code: row.error_code,
            carrier_error: row.carrier_error,
            segments: row.segments,
            encoding: match Encoding::from_code(row.encoding) {
                _ if !is_text => "binary",
                Some(encoding) => encoding.as_str(),
                None => "gsm7",
            },
            category: Category::from_code(row.category).map_or("transactional", Category::as_str),
            price: PriceOut {
                amount: Micros(row.unit_price).times(row.segments).to_string(),
                currency: "USD",
            },
            mccmnc: row.mccmnc,
            country,
            carrier_id: row.carrier,
            provider_id: row.external_id.clone(),
            external_id: row.external_id,
            smpp_id: row
                .smpp_id_format
                .map(|code| IdFormat::from_code(code).unwrap_or(IdFormat::Decimal).write(row.key)),
            template_id: row.template_id.map(|id| id_of(Kind::Template, &id)),
            campaign_id: None,
            batch_id: row.batch_id.map(|batch| id_of(Kind::Batch, &batch)),
            contact_id: None,
            conversation_id: None,
            parent_message_id: row.parent_id.map(|id| id_of(Kind::Message, &id)),
            attempts: row.attempts.unwrap_or(0),
            test_mode: row.test_mode != 0,
            metadata: row.metadata.and_then(|text| serde_json::from_str(&text).ok()),
            scheduled_at: row.scheduled_at.map(|at| At(at).iso()),
            validity_seconds: row.validity_s,
            created_at: At(row.created_at).iso(),
            queued_at: (outbound && row.scheduled_at.is_none()).then(|| At(row.created_at).iso()),
            sent_at: row.sent_at.map(|at| At(at).iso()),
            delivered_at: done_at.clone().filter(|_| delivered),
            read_at: None,
            failed_at: done_at.filter(|_| failed),
        }
    }
}
