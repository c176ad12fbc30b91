//! What a `submit_sm_resp` status means for its message: send again, or over.

use model::message::Status;
use model::refusal::MessageError;
use proto_smpp::CommandStatus;

use super::profile::VendorStatus;

/// What follows from a negative answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The carrier is busy: slow down, try for a while.
    Throttled,
    /// Not our message's fault: a few more tries, then `failed` with this error.
    TryAgain(MessageError),
    Over(Status, Option<MessageError>),
}

/// SMPP 3.4 §5.1.3 statuses by meaning; a carrier's own ones first.
#[must_use]
pub fn verdict(status: CommandStatus, vendor: &[VendorStatus]) -> Verdict {
    if let Some((_, status, error)) = vendor.iter().find(|(code, ..)| *code == status.0) {
        return Verdict::Over(*status, *error);
    }
    match status {
        CommandStatus::THROTTLED | CommandStatus::MSGQFUL => Verdict::Throttled,
        // A generic_nack speaks of the PDU or of the link, not of the message.
        CommandStatus::SYSERR
        | CommandStatus::SUBMITFAIL
        | CommandStatus::X_T_APPN
        | CommandStatus::INVCMDID
        | CommandStatus::INVCMDLEN => Verdict::TryAgain(MessageError::NetworkError),
        CommandStatus::BINDFAIL
        | CommandStatus::INVPASWD
        | CommandStatus::INVSYSID
        | CommandStatus::INVBNDSTS => Verdict::TryAgain(MessageError::CarrierRejected),
        CommandStatus::INVDSTADR => {
            Verdict::Over(Status::Rejected, Some(MessageError::InvalidRecipient))
        }
        CommandStatus::INVSRCADR => {
            Verdict::Over(Status::Rejected, Some(MessageError::SenderNotAllowed))
        }
        _ => Verdict::Over(Status::Rejected, Some(MessageError::UnknownCarrierError)),
    }
}

/// Whether a refused message may go by another carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    Never,
    /// If this was the first that had it.
    Once,
    /// Once this one is tried no more.
    WhenGivenUp,
    AtOnce,
}

/// What each status means for failover; a carrier's own statuses are final.
#[must_use]
pub fn elsewhere(status: CommandStatus, vendor: &[VendorStatus]) -> Elsewhere {
    if vendor.iter().any(|(code, ..)| *code == status.0) {
        return Elsewhere::Never;
    }
    match status {
        CommandStatus::THROTTLED | CommandStatus::MSGQFUL => Elsewhere::WhenGivenUp,
        CommandStatus::SYSERR
        | CommandStatus::SUBMITFAIL
        | CommandStatus::X_T_APPN
        | CommandStatus::BINDFAIL
        | CommandStatus::INVPASWD
        | CommandStatus::INVSYSID
        | CommandStatus::INVBNDSTS => Elsewhere::AtOnce,
        CommandStatus::INVDSTADR => Elsewhere::Never,
        _ => Elsewhere::Once,
    }
}

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    Carrier,
    /// What we bind with: nothing else will pass either.
    Credentials,
    /// The carrier works, and does not want this message.
    Message,
    /// We were too fast.
    Nobody,
}

/// What a refusal says of the carrier.
#[must_use]
pub fn blames(status: CommandStatus) -> Blame {
    match status {
        CommandStatus::THROTTLED | CommandStatus::MSGQFUL => Blame::Nobody,
        CommandStatus::BINDFAIL | CommandStatus::INVPASWD | CommandStatus::INVSYSID => {
            Blame::Credentials
        }
        CommandStatus::SYSERR
        | CommandStatus::SUBMITFAIL
        | CommandStatus::X_T_APPN
        | CommandStatus::INVBNDSTS => Blame::Carrier,
        _ => Blame::Message,
    }
}

/// How the raw status is kept with the message.
#[must_use]
pub fn text(status: CommandStatus) -> String {
    match status.name() {
        "unknown" => format!("0x{:08X}", status.0),
        name => format!("0x{:08X} ESME_R{name}", status.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_leads_where_the_table_says() {
        let of = |code: u32| verdict(CommandStatus(code), &[]);
        assert_eq!(of(0x58), Verdict::Throttled);
        assert_eq!(of(0x14), Verdict::Throttled);
        assert_eq!(of(0x08), Verdict::TryAgain(MessageError::NetworkError));
        assert_eq!(of(0x45), Verdict::TryAgain(MessageError::NetworkError));
        assert_eq!(of(0x03), Verdict::TryAgain(MessageError::NetworkError));
        assert_eq!(of(0x0E), Verdict::TryAgain(MessageError::CarrierRejected));
        let rejected = |error| Verdict::Over(Status::Rejected, Some(error));
        assert_eq!(of(0x0B), rejected(MessageError::InvalidRecipient));
        assert_eq!(of(0x0A), rejected(MessageError::SenderNotAllowed));
        assert_eq!(of(0x400), rejected(MessageError::UnknownCarrierError));
        let own = [(0x400, Status::Failed, None)];
        assert_eq!(verdict(CommandStatus(0x400), &own), Verdict::Over(Status::Failed, None));
    }

    #[test]
    fn each_status_says_whether_another_carrier_may_have_it() {
        use Elsewhere::{AtOnce, Never, Once, WhenGivenUp};
        let table = [
            (0x58, WhenGivenUp, Blame::Nobody),
            (0x14, WhenGivenUp, Blame::Nobody),
            (0x08, AtOnce, Blame::Carrier),
            (0x45, AtOnce, Blame::Carrier),
            (0x0A, Once, Blame::Message),
            (0x0B, Never, Blame::Message),
            (0x0D, AtOnce, Blame::Credentials),
            (0x0E, AtOnce, Blame::Credentials),
            (0x0F, AtOnce, Blame::Credentials),
            (0x33, Once, Blame::Message),
            (0x400, Once, Blame::Message),
        ];
        for (code, expected, blame) in table {
            assert_eq!(elsewhere(CommandStatus(code), &[]), expected, "{code:#x}");
            assert_eq!(blames(CommandStatus(code)), blame, "{code:#x}");
        }
        let own = [(0x400, Status::Failed, None)];
        assert_eq!(elsewhere(CommandStatus(0x400), &own), Never);
    }

    #[test]
    fn a_raw_status_is_kept_with_its_name() {
        assert_eq!(text(CommandStatus(0x0B)), "0x0000000B ESME_RINVDSTADR");
        assert_eq!(text(CommandStatus(0x4FF)), "0x000004FF");
    }
}
