//! Why a call is not made: the status and the cause that say so, and the code that the API has for it.

use model::voice::EndReason;
use proto_sip::StatusCode;
use proto_sip::leg::Cause;

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No call of ours reaches help: whoever dials for it must dial otherwise, and at once.
    Emergency,
    /// Nobody has that number, extension or name.
    Unknown,
    /// No telephone dials that.
    Unreadable,
    /// The credential may not call there.
    NotAllowed,
    /// A prefix that is dear and closed, by default.
    Fraud,
    /// The number to call from is not the caller's own.
    CallerId,
    /// There is no number to call from.
    NoCallerId,
    NoPrice,
    /// No carrier takes calls to there.
    NoRoute,
    /// A test organization's calls do not leave the switch.
    Sandbox,
    /// The number's owner has it refuse calls.
    Rejected(StatusCode),
    /// The number masks others, and the caller is nobody's party.
    Declined,
    /// It went through too many hands, or came round.
    TooManyHops,
}

impl Refused {
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Unreadable => StatusCode::ADDRESS_INCOMPLETE,
            Self::NoRoute | Self::NoPrice => StatusCode::SERVICE_UNAVAILABLE,
            Self::Declined => StatusCode::DECLINE,
            Self::Rejected(status) => status,
            Self::TooManyHops => StatusCode::TOO_MANY_HOPS,
            Self::Emergency
            | Self::NotAllowed
            | Self::Fraud
            | Self::CallerId
            | Self::NoCallerId
            | Self::Sandbox => StatusCode::FORBIDDEN,
        }
    }

    /// The stable word for it, in Reason and in counts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Emergency => "EMERGENCY_CALLING_NOT_SUPPORTED",
            Self::Unknown => "NOT_FOUND",
            Self::Unreadable => "INVALID_PHONE_NUMBER",
            Self::NotAllowed => "DESTINATION_NOT_ALLOWED",
            Self::Fraud => "FRAUD_BLOCKED",
            Self::CallerId => "CALLER_ID_NOT_OWNED",
            Self::NoCallerId => "NO_DEFAULT_NUMBER",
            Self::NoPrice => "NO_PRICE",
            Self::NoRoute => "NO_ROUTE",
            Self::Sandbox => "WRONG_KEY_MODE",
            Self::Declined => "DECLINED",
            Self::Rejected(_) => "REJECTED",
            Self::TooManyHops => "TOO_MANY_HOPS",
        }
    }

    #[must_use]
    pub fn reason(self) -> EndReason {
        match self {
            Self::Emergency => EndReason::Emergency,
            Self::TooManyHops => EndReason::CarrierError,
            other => EndReason::of_sip(other.status().get()),
        }
    }

    /// As Reason says it, RFC 3326: the cause of Q.850 with the code as its words.
    #[must_use]
    pub fn cause(self) -> Cause {
        let q850 = Some(u16::from(self.reason().q850()));
        Cause { q850, words: Some(self.code().to_owned()), ..Cause::default() }
    }
}
