//! What an ESME is told when its message is refused: one command_status for each of our codes.
//!
//! SMPP 3.4 §5.1.3 where the book has a status that says it, else the vendor range 0x400 to 0x4FF.
//! `docs/smpp.md` lists the same table for customers.

use model::refusal::{Code, Refusal};
use proto_smpp::CommandStatus;

/// The wallet does not cover it.
pub const NO_CREDIT: CommandStatus = CommandStatus(0x400);
/// No carrier goes there, or there is no price for it.
pub const NO_ROUTE: CommandStatus = CommandStatus(0x401);
/// The recipient does not want messages.
pub const OPTED_OUT: CommandStatus = CommandStatus(0x402);
/// A frequency cap is reached.
pub const CAPPED: CommandStatus = CommandStatus(0x403);
/// The destination or the velocity is not allowed by the switch's protection.
pub const NOT_ALLOWED: CommandStatus = CommandStatus(0x404);
/// The day's spending limit is reached.
pub const SPENT: CommandStatus = CommandStatus(0x405);
/// A gate of the law: quiet hours, consent, do-not-call, sender approval.
pub const GATED: CommandStatus = CommandStatus(0x406);
/// The account or its organization may not send now.
pub const SUSPENDED: CommandStatus = CommandStatus(0x407);
/// A rule of the operator or of the organization refuses it.
pub const BLOCKED: CommandStatus = CommandStatus(0x408);

/// The status that tells an ESME of a refusal.
#[must_use]
pub fn of(refusal: &Refusal) -> CommandStatus {
    match refusal.code {
        Code::InvalidPhoneNumber => CommandStatus::INVDSTADR,
        Code::InvalidSender | Code::SenderNotOwned | Code::SenderPoolUncovered => {
            CommandStatus::INVSRCADR
        }
        // The account's own pool is gone: no other is ever asked for.
        Code::ValidationError if refusal.field.as_deref() == Some("sender_pool_id") => {
            CommandStatus::INVSRCADR
        }
        Code::MessageTooLong => CommandStatus::INVMSGLEN,
        Code::BalanceTooLow => NO_CREDIT,
        Code::NoRoute | Code::NoPrice => NO_ROUTE,
        Code::InvalidApiKey | Code::OrganizationSuspended => SUSPENDED,
        Code::RecipientOptedOut => OPTED_OUT,
        Code::FrequencyCapExceeded | Code::SenderPoolExhausted => CAPPED,
        Code::DestinationNotAllowed | Code::VelocityExceeded => NOT_ALLOWED,
        Code::SpendLimitReached => SPENT,
        Code::QuietHoursBlocked
        | Code::ConsentRequired
        | Code::RecipientOnDnc
        | Code::SenderIdNotApproved => GATED,
        Code::BlockedByRule => BLOCKED,
        Code::RateLimited => CommandStatus::THROTTLED,
        Code::ServiceUnavailable | Code::RequestTimeout => CommandStatus::MSGQFUL,
        Code::IdempotencyInProgress => CommandStatus::THROTTLED,
        Code::IdempotencyKeyReused => CommandStatus::INVMSGID,
        Code::InternalError => CommandStatus::SYSERR,
        _ => CommandStatus::SUBMITFAIL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_refusal_is_told_as_success_and_busy_is_told_as_busy() {
        for code in Code::ALL {
            assert!(!of(&Refusal::new(*code, "no")).is_ok(), "{code:?}");
        }
        let busy = Refusal::unavailable("too many");
        assert_eq!(of(&busy), CommandStatus::MSGQFUL);
        assert_eq!(of(&Refusal::balance_too_low()), NO_CREDIT);
        assert_eq!(of(&model::pool::unknown()), CommandStatus::INVSRCADR);
    }
}
