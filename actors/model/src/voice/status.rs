//! Where a call stands, and the closed sets of words about it. The numbers are those of the database.

use crate::message::coded;

coded! {
    /// What the API shows. It only goes forward.
    CallStatus {
        /// Accepted, or its INVITE has come.
        Initiating = 1 "initiating",
        Ringing = 2 "ringing",
        /// Answered.
        InProgress = 3 "in_progress",
        /// It was answered, and is over.
        Completed = 4 "completed",
        /// It is over, and was never answered.
        Failed = 5 "failed",
    }
}

impl CallStatus {
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Initiating => matches!(next, Self::Ringing | Self::InProgress | Self::Failed),
            Self::Ringing => matches!(next, Self::InProgress | Self::Failed),
            Self::InProgress => next == Self::Completed,
            Self::Completed | Self::Failed => false,
        }
    }

    /// How a call ends that stands so now.
    #[must_use]
    pub fn ended(self) -> Self {
        match self {
            Self::InProgress | Self::Completed => Self::Completed,
            Self::Initiating | Self::Ringing | Self::Failed => Self::Failed,
        }
    }
}

coded! {
    HangupBy {
        Caller = 1 "caller",
        Callee = 2 "callee",
        Api = 3 "api",
        System = 4 "system",
    }
}

coded! {
    /// What is at the other end of a leg.
    LegKind {
        Pstn = 1 "pstn",
        Sip = 2 "sip",
        Webrtc = 3 "webrtc",
        Agent = 4 "agent",
        Ws = 5 "ws",
        Whatsapp = 6 "whatsapp",
    }
}

coded! {
    /// What carries the media.
    Transport {
        Sbc = 1 "sbc",
        Sfu = 2 "sfu",
        WsBridge = 3 "ws_bridge",
    }
}

coded! {
    /// What we sign for in a PASSporT (RFC 8588 §4).
    Attest {
        Full = 1 "A",
        Partial = 2 "B",
        Gateway = 3 "C",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_only_goes_forward_and_its_end_absorbs() {
        use CallStatus::{Completed, Failed, InProgress, Initiating, Ringing};
        let allowed = [
            (Initiating, Ringing),
            (Initiating, InProgress),
            (Initiating, Failed),
            (Ringing, InProgress),
            (Ringing, Failed),
            (InProgress, Completed),
        ];
        for from in CallStatus::ALL {
            for to in CallStatus::ALL {
                assert_eq!(
                    from.may_become(*to),
                    allowed.contains(&(*from, *to)),
                    "{from:?} {to:?}"
                );
            }
            assert!(from.is_over() || from.may_become(from.ended()));
        }
    }

    #[test]
    fn an_answered_call_completes_and_another_fails() {
        assert_eq!(CallStatus::InProgress.ended(), CallStatus::Completed);
        assert_eq!(CallStatus::Ringing.ended(), CallStatus::Failed);
        assert_eq!(CallStatus::Initiating.ended(), CallStatus::Failed);
    }
}
