//! How we say no: one stable code each, one page each in `docs/errors/`.
//!
//! A refusal is an answer, not a failure: nothing was changed, and the caller can act on it.

use std::borrow::Cow;

use crate::clock::At;

/// Declares the codes with their HTTP status, once.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $status:literal $text:literal,)+) => {
        /// A stable error code; its HTTP status is the default, and the envelope repeats it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)+ }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            #[must_use]
            pub fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }
        }
    };
}

codes! {
    InvalidCursor = 400 "INVALID_CURSOR",
    IdempotencyKeyInvalid = 400 "IDEMPOTENCY_KEY_INVALID",
    Unauthorized = 401 "UNAUTHORIZED",
    InvalidApiKey = 401 "INVALID_API_KEY",
    BalanceTooLow = 402 "BALANCE_TOO_LOW",
    InsufficientPermissions = 403 "INSUFFICIENT_PERMISSIONS",
    WrongKeyMode = 403 "WRONG_KEY_MODE",
    OrganizationSuspended = 403 "ORGANIZATION_SUSPENDED",
    /// A destination whose minutes cost too much.
    FraudBlocked = 403 "FRAUD_BLOCKED",
    DncSyncNotEnabled = 403 "DNC_SYNC_NOT_ENABLED",
    RndScrubNotEnabled = 403 "RND_SCRUB_NOT_ENABLED",
    NotFound = 404 "NOT_FOUND",
    TemplateNotFound = 404 "TEMPLATE_NOT_FOUND",
    WebhookNotFound = 404 "WEBHOOK_NOT_FOUND",
    MethodNotAllowed = 405 "METHOD_NOT_ALLOWED",
    RequestTimeout = 408 "REQUEST_TIMEOUT",
    Conflict = 409 "CONFLICT",
    IdempotencyInProgress = 409 "IDEMPOTENCY_IN_PROGRESS",
    MessageNotCancellable = 409 "MESSAGE_NOT_CANCELLABLE",
    MessageNotEditable = 409 "MESSAGE_NOT_EDITABLE",
    MessageNotRetryable = 409 "MESSAGE_NOT_RETRYABLE",
    /// It stands in the settings file, and is changed there.
    ManagedBySettings = 409 "MANAGED_BY_SETTINGS",
    /// Something else needs it.
    ResourceInUse = 409 "RESOURCE_IN_USE",
    /// It is not in stock, or somebody else was faster.
    NumberNotAvailable = 409 "NUMBER_NOT_AVAILABLE",
    /// Numbers are routed to it.
    TrunkInUse = 409 "TRUNK_IN_USE",
    /// Every number for masking is known to one of the two.
    ProxyPoolExhausted = 409 "PROXY_POOL_EXHAUSTED",
    /// Another phone of the organization is called by it.
    ExtensionInUse = 409 "EXTENSION_IN_USE",
    /// A password is shown once.
    AlreadyRevealed = 409 "ALREADY_REVEALED",
    PayloadTooLarge = 413 "PAYLOAD_TOO_LARGE",
    UnsupportedMedia = 415 "UNSUPPORTED_MEDIA",
    ValidationError = 422 "VALIDATION_ERROR",
    MissingRequiredField = 422 "MISSING_REQUIRED_FIELD",
    InvalidPhoneNumber = 422 "INVALID_PHONE_NUMBER",
    InvalidSender = 422 "INVALID_SENDER",
    InvalidChannel = 422 "INVALID_CHANNEL",
    InvalidTemplate = 422 "INVALID_TEMPLATE",
    InvalidWebhookUrl = 422 "INVALID_WEBHOOK_URL",
    MessageTooLong = 422 "MESSAGE_TOO_LONG",
    RecipientOptedOut = 422 "RECIPIENT_OPTED_OUT",
    InvalidSchedule = 422 "INVALID_SCHEDULE",
    IdempotencyKeyReused = 422 "IDEMPOTENCY_KEY_REUSED",
    EmergencyCallingNotSupported = 422 "EMERGENCY_CALLING_NOT_SUPPORTED",
    CallerIdNotOwned = 422 "CALLER_ID_NOT_OWNED",
    NoDefaultNumber = 422 "NO_DEFAULT_NUMBER",
    NoRoute = 422 "NO_ROUTE",
    NoPrice = 422 "NO_PRICE",
    FrequencyCapExceeded = 422 "FREQUENCY_CAP_EXCEEDED",
    DestinationNotAllowed = 422 "DESTINATION_NOT_ALLOWED",
    SpendLimitReached = 422 "SPEND_LIMIT_REACHED",
    VelocityExceeded = 422 "VELOCITY_EXCEEDED",
    ConsentRequired = 422 "CONSENT_REQUIRED",
    RecipientOnDnc = 422 "RECIPIENT_ON_DNC",
    SenderIdNotApproved = 422 "SENDER_ID_NOT_APPROVED",
    /// A number or short code that the organization does not have.
    SenderNotOwned = 422 "SENDER_NOT_OWNED",
    QuietHoursBlocked = 422 "QUIET_HOURS_BLOCKED",
    /// No sender of the pool may write to this country.
    SenderPoolUncovered = 422 "SENDER_POOL_UNCOVERED",
    /// All that may have had their messages for today.
    SenderPoolExhausted = 422 "SENDER_POOL_EXHAUSTED",
    /// No sound of that name is installed.
    SoundNotFound = 422 "SOUND_NOT_FOUND",
    /// There is no engine that speaks texts.
    TtsNotConfigured = 422 "TTS_NOT_CONFIGURED",
    /// A rule of the operator or of the organization.
    BlockedByRule = 422 "BLOCKED_BY_RULE",
    /// Numbers cannot be routed to this yet.
    RoutingNotAvailable = 422 "ROUTING_NOT_AVAILABLE",
    RateLimited = 429 "RATE_LIMITED",
    /// New calls come too fast.
    CallRateExceeded = 429 "CALL_RATE_EXCEEDED",
    ConcurrentCallLimit = 429 "CONCURRENT_CALL_LIMIT",
    HeadersTooLarge = 431 "HEADERS_TOO_LARGE",
    InternalError = 500 "INTERNAL_ERROR",
    ServiceUnavailable = 503 "SERVICE_UNAVAILABLE",
}

/// One refusal: what is wrong, where, and when to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    pub message: Cow<'static, str>,
    /// The field of the request at fault.
    pub field: Option<Cow<'static, str>>,
    /// What would have been right.
    pub expected: Option<Cow<'static, str>>,
    pub retry_after_s: Option<u32>,
    /// Further facts, by name, for `details`.
    pub details: Vec<(&'static str, Detail)>,
}

/// One fact of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    Text(String),
    Number(i64),
}

impl Refusal {
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            expected: None,
            retry_after_s: None,
            details: Vec::new(),
        }
    }

    #[must_use]
    pub fn field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    #[must_use]
    pub fn expected(mut self, expected: impl Into<Cow<'static, str>>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    #[must_use]
    pub fn detail(mut self, name: &'static str, detail: Detail) -> Self {
        self.details.push((name, detail));
        self
    }

    /// The sender is somebody else's number, or nobody's.
    #[must_use]
    pub fn sender_not_owned() -> Self {
        let message = "the sender is a number that the organization does not have";
        Self::new(Code::SenderNotOwned, message)
            .field("from")
            .expected("a number of the organization's with the capability sms")
    }

    #[must_use]
    pub fn balance_too_low() -> Self {
        Self::new(Code::BalanceTooLow, "the balance does not cover this send; top up the wallet")
    }

    #[must_use]
    pub fn recipient_opted_out() -> Self {
        Self::new(Code::RecipientOptedOut, "the recipient does not want messages from you")
            .field("to")
    }

    #[must_use]
    pub fn invalid_api_key() -> Self {
        Self::new(Code::InvalidApiKey, "the API key is malformed, unknown or revoked")
    }

    /// The service cannot take the request now, and says when to try again.
    #[must_use]
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::ServiceUnavailable, message).retry_after(1)
    }
}

/// Why a stored message did not go as hoped: the `error_code` on the message itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageError {
    InvalidRecipient,
    UnreachableHandset,
    CarrierRejected,
    SenderNotAllowed,
    Expired,
    NetworkError,
    Throttled,
    UnknownCarrierError,
    NoRoute,
    Blocked,
    Quarantined,
    RecipientOptedOut,
}

impl MessageError {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRecipient => "INVALID_RECIPIENT",
            Self::UnreachableHandset => "UNREACHABLE_HANDSET",
            Self::CarrierRejected => "CARRIER_REJECTED",
            Self::SenderNotAllowed => "SENDER_NOT_ALLOWED",
            Self::Expired => "EXPIRED",
            Self::NetworkError => "NETWORK_ERROR",
            Self::Throttled => "THROTTLED",
            Self::UnknownCarrierError => "UNKNOWN_CARRIER_ERROR",
            Self::NoRoute => "NO_ROUTE",
            Self::Blocked => "BLOCKED",
            Self::Quarantined => "QUARANTINED",
            Self::RecipientOptedOut => "RECIPIENT_OPTED_OUT",
        }
    }
}

/// When a thing was refused for good, and until when a caller should wait.
#[must_use]
pub fn seconds_until(now: At, then: At) -> u32 {
    let wait = then.since(now);
    u32::try_from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_upper_snake_and_distinct() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            let text = code.as_str();
            assert!(text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{text}");
            assert!(seen.insert(text), "{text} twice");
            assert!((400..=599).contains(&code.http_status()));
        }
    }

    #[test]
    fn a_wait_is_rounded_up() {
        assert_eq!(seconds_until(At(0), At(1)), 1);
        assert_eq!(seconds_until(At(0), At(1_000_000)), 1);
        assert_eq!(seconds_until(At(5), At(0)), 0);
    }
}
