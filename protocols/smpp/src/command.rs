//! Command ids, SMPP 3.4 §5.1.2.1.
//!
//! A newtype over the wire's number, not an enum: a peer may send any value and it must survive
//! the way through. Bit 31 marks a response.

use std::fmt;

/// What a PDU is: the second word of its header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u32);

const RESPONSE: u32 = 0x8000_0000;

impl CommandId {
    pub const BIND_RECEIVER: Self = Self(0x0000_0001);
    pub const BIND_TRANSMITTER: Self = Self(0x0000_0002);
    pub const QUERY_SM: Self = Self(0x0000_0003);
    pub const SUBMIT_SM: Self = Self(0x0000_0004);
    pub const DELIVER_SM: Self = Self(0x0000_0005);
    pub const UNBIND: Self = Self(0x0000_0006);
    pub const REPLACE_SM: Self = Self(0x0000_0007);
    pub const CANCEL_SM: Self = Self(0x0000_0008);
    pub const BIND_TRANSCEIVER: Self = Self(0x0000_0009);
    pub const OUTBIND: Self = Self(0x0000_000B);
    pub const ENQUIRE_LINK: Self = Self(0x0000_0015);
    pub const SUBMIT_MULTI: Self = Self(0x0000_0021);
    pub const ALERT_NOTIFICATION: Self = Self(0x0000_0102);
    pub const DATA_SM: Self = Self(0x0000_0103);
    pub const GENERIC_NACK: Self = Self(0x8000_0000);

    /// The id of the response to this request; a response stays what it is.
    pub const fn response(self) -> Self {
        Self(self.0 | RESPONSE)
    }

    /// The id of the request that this response answers; a request stays what it is.
    pub const fn request(self) -> Self {
        Self(self.0 & !RESPONSE)
    }

    pub const fn is_response(self) -> bool {
        self.0 & RESPONSE != 0
    }

    /// Whether this is one of the three binds (requests).
    pub fn is_bind(self) -> bool {
        matches!(self, Self::BIND_RECEIVER | Self::BIND_TRANSMITTER | Self::BIND_TRANSCEIVER)
    }

    /// Whether this request carries a message that is answered with a message id.
    pub fn carries_message(self) -> bool {
        matches!(self, Self::SUBMIT_SM | Self::DELIVER_SM | Self::DATA_SM)
    }

    /// The name in the specification, or `unknown`.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0x0000_0001 => "bind_receiver",
            0x0000_0002 => "bind_transmitter",
            0x0000_0003 => "query_sm",
            0x0000_0004 => "submit_sm",
            0x0000_0005 => "deliver_sm",
            0x0000_0006 => "unbind",
            0x0000_0007 => "replace_sm",
            0x0000_0008 => "cancel_sm",
            0x0000_0009 => "bind_transceiver",
            0x0000_000B => "outbind",
            0x0000_0015 => "enquire_link",
            0x0000_0021 => "submit_multi",
            0x0000_0102 => "alert_notification",
            0x0000_0103 => "data_sm",
            0x8000_0000 => "generic_nack",
            0x8000_0001 => "bind_receiver_resp",
            0x8000_0002 => "bind_transmitter_resp",
            0x8000_0003 => "query_sm_resp",
            0x8000_0004 => "submit_sm_resp",
            0x8000_0005 => "deliver_sm_resp",
            0x8000_0006 => "unbind_resp",
            0x8000_0007 => "replace_sm_resp",
            0x8000_0008 => "cancel_sm_resp",
            0x8000_0009 => "bind_transceiver_resp",
            0x8000_0015 => "enquire_link_resp",
            0x8000_0021 => "submit_multi_resp",
            0x8000_0103 => "data_sm_resp",
            _ => "unknown",
        }
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "unknown" => write!(f, "command 0x{:08x}", self.0),
            name => f.write_str(name),
        }
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_its_request_with_the_top_bit() {
        assert_eq!(CommandId::SUBMIT_SM.response().0, 0x8000_0004);
        assert_eq!(CommandId::SUBMIT_SM.response().response(), CommandId::SUBMIT_SM.response());
        assert_eq!(CommandId::SUBMIT_SM.response().request(), CommandId::SUBMIT_SM);
        assert!(CommandId::GENERIC_NACK.is_response());
        assert!(!CommandId::DATA_SM.is_response());
    }

    #[test]
    fn an_unknown_command_prints_as_its_number() {
        assert_eq!(CommandId(0x0001_0200).to_string(), "command 0x00010200");
        assert_eq!(CommandId::DELIVER_SM.response().to_string(), "deliver_sm_resp");
    }
}
