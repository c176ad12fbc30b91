//! Why a call or a leg ended, and what that is as a SIP status (RFC 3261 §21) and as a cause of Q.850.
//!
//! Both ways follow RFC 3398 where our own words leave a choice.

use crate::message::coded;

coded! {
    EndReason {
        Normal = 1 "normal",
        Busy = 2 "busy",
        NoAnswer = 3 "no_answer",
        Declined = 4 "declined",
        /// The caller gave up before an answer.
        Canceled = 5 "canceled",
        /// No media came for too long.
        MediaTimeout = 6 "media_timeout",
        Unallocated = 7 "unallocated",
        InvalidNumber = 8 "invalid_number",
        Forbidden = 9 "forbidden",
        CarrierError = 10 "carrier_error",
        Congestion = 11 "congestion",
        BalanceExhausted = 12 "balance_exhausted",
        MaxDuration = 13 "max_duration",
        /// What an application answered could not be followed.
        AppError = 14 "app_error",
        /// The process that held the call is gone; it ends where it was last seen.
        NodeLost = 15 "node_lost",
        Emergency = 16 "emergency_not_supported",
    }
}

impl EndReason {
    /// What the final status of an INVITE says.
    #[must_use]
    pub fn of_sip(status: u16) -> Self {
        match status {
            200..=299 => Self::Normal,
            404 | 410 | 485 | 604 => Self::Unallocated,
            416 | 484 => Self::InvalidNumber,
            401 | 403 | 407 => Self::Forbidden,
            486 | 600 => Self::Busy,
            408 | 480 => Self::NoAnswer,
            603 | 607 | 608 => Self::Declined,
            487 => Self::Canceled,
            503 => Self::Congestion,
            _ => Self::CarrierError,
        }
    }

    /// What a cause says, as in `Reason: Q.850;cause=17`.
    #[must_use]
    pub fn of_q850(cause: u8) -> Self {
        match cause {
            16 | 31 => Self::Normal,
            17 => Self::Busy,
            18..=20 => Self::NoAnswer,
            21 => Self::Declined,
            1..=3 | 22 | 23 => Self::Unallocated,
            28 => Self::InvalidNumber,
            55 | 57 | 87 => Self::Forbidden,
            34 | 41 | 42 | 44 | 47 => Self::Congestion,
            102 => Self::MediaTimeout,
            _ => Self::CarrierError,
        }
    }

    /// The cause that a BYE, CANCEL or failure gives for it.
    #[must_use]
    pub fn q850(self) -> u8 {
        match self {
            Self::Normal | Self::Canceled | Self::BalanceExhausted | Self::MaxDuration => 16,
            Self::Busy => 17,
            Self::NoAnswer => 19,
            Self::Declined | Self::Forbidden | Self::Emergency => 21,
            Self::MediaTimeout => 102,
            Self::Unallocated => 1,
            Self::InvalidNumber => 28,
            Self::CarrierError | Self::AppError => 38,
            Self::Congestion => 34,
            Self::NodeLost => 41,
        }
    }

    /// The final status of an INVITE that fails for it. What ends by BYE alone has 480: a caller may
    /// try again.
    #[must_use]
    pub fn sip(self) -> u16 {
        match self {
            Self::Busy => 486,
            Self::Declined => 603,
            Self::Canceled => 487,
            Self::Unallocated => 404,
            Self::InvalidNumber => 484,
            Self::Forbidden | Self::Emergency => 403,
            Self::CarrierError | Self::AppError | Self::NodeLost => 500,
            Self::Congestion => 503,
            Self::Normal
            | Self::NoAnswer
            | Self::MediaTimeout
            | Self::BalanceExhausted
            | Self::MaxDuration => 480,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_causes_are_those_of_the_table() {
        let table: [(&str, &[u16], u8); 9] = [
            ("busy", &[486, 600], 17),
            ("no_answer", &[408, 480], 19),
            ("declined", &[603, 607], 21),
            ("canceled", &[487], 16),
            ("unallocated", &[404, 604], 1),
            ("invalid_number", &[484], 28),
            ("forbidden", &[403], 21),
            ("carrier_error", &[500, 502, 504, 580], 38),
            ("congestion", &[503], 34),
        ];
        for (name, statuses, cause) in table {
            let reason = EndReason::parse(name).unwrap();
            assert_eq!(reason.q850(), cause, "{name}");
            for status in statuses {
                assert_eq!(EndReason::of_sip(*status), reason, "{status}");
            }
        }
        for (reason, cause) in [
            (EndReason::Normal, 16),
            (EndReason::MediaTimeout, 102),
            (EndReason::BalanceExhausted, 16),
            (EndReason::MaxDuration, 16),
        ] {
            assert_eq!(reason.q850(), cause);
        }
    }

    #[test]
    fn what_fails_an_invite_reads_back_as_itself() {
        use EndReason::{AppError, Emergency, NodeLost};
        for reason in EndReason::ALL {
            let status = reason.sip();
            assert!((400..700).contains(&status), "{reason:?}");
            let by_bye = EndReason::of_sip(status) == EndReason::NoAnswer;
            let own = matches!(reason, AppError | Emergency | NodeLost);
            assert!(by_bye || own || EndReason::of_sip(status) == *reason, "{reason:?}");
        }
    }

    #[test]
    fn every_cause_and_status_means_something() {
        for cause in 0..=127 {
            let _ = EndReason::of_q850(cause);
        }
        assert_eq!(EndReason::of_q850(17), EndReason::Busy);
        assert_eq!(EndReason::of_q850(127), EndReason::CarrierError);
        assert_eq!(EndReason::of_sip(488), EndReason::CarrierError);
        assert_eq!(EndReason::of_sip(699), EndReason::CarrierError);
    }
}
