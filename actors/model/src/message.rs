//! What a message is: its states, its category, its encoding, and the numbers they are stored as.
//!
//! The numbers are part of the database's format: they are never given a new meaning.

/// Declares an enum whose variants have a stored number and a public name.
macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The number it is stored as.
            #[must_use]
            pub fn code(self) -> i64 {
                match self { $(Self::$variant => $number,)+ }
            }

            #[must_use]
            pub fn from_code(code: i64) -> Option<Self> {
                match code { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// The name the API shows.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

pub(crate) use coded;

coded! {
    /// Where a message stands. Final states absorb; `SubmittedNoReceipt` is provisional.
    Status {
        Queued = 1 "queued",
        /// Shown while an intent is stored and no result is; never written to the message's row.
        Sending = 2 "sending",
        Sent = 3 "sent",
        Delivered = 4 "delivered",
        SubmittedNoReceipt = 5 "submitted_no_receipt",
        Undelivered = 6 "undelivered",
        Failed = 7 "failed",
        Rejected = 8 "rejected",
        Expired = 9 "expired",
        Blocked = 10 "blocked",
        Cancelled = 11 "cancelled",
        Received = 12 "received",
        /// Waits for its time.
        Scheduled = 13 "scheduled",
    }
}

impl Status {
    /// True when a receipt may still change the row.
    #[must_use]
    pub fn awaits_receipt(self) -> bool {
        matches!(self, Self::Sent | Self::SubmittedNoReceipt)
    }

    /// True when nothing but a late receipt (after `submitted_no_receipt`) changes it any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Queued | Self::Sending | Self::Sent)
    }
}

coded! {
    /// What a message is for; decides its class at hand-off and what happens when it is in doubt.
    Category {
        Transactional = 1 "transactional",
        Otp = 2 "otp",
        Service = 3 "service",
        Marketing = 4 "marketing",
    }
}

impl Category {
    /// The hand-off class: 0 goes before 1.
    #[must_use]
    pub fn class(self) -> i64 {
        i64::from(self != Self::Otp)
    }
}

coded! {
    /// How the text travels.
    Encoding {
        Gsm7 = 0 "gsm7",
        Ucs2 = 8 "ucs2",
    }
}

coded! {
    Direction {
        Outbound = 1 "outbound",
        Inbound = 2 "inbound",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_number_leads_back() {
        for status in Status::ALL {
            assert_eq!(Status::from_code(status.code()), Some(*status));
            assert_eq!(Status::parse(status.as_str()), Some(*status));
        }
        for category in Category::ALL {
            assert_eq!(Category::from_code(category.code()), Some(*category));
        }
        assert_eq!(Status::from_code(99), None);
    }

    #[test]
    fn one_time_codes_go_first() {
        assert_eq!(Category::Otp.class(), 0);
        assert_eq!(Category::Marketing.class(), 1);
    }
}
