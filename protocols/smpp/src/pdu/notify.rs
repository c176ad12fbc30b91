//! outbind and alert_notification, SMPP 3.4 §4.1.7 and §4.12: what an SMSC says unasked, and what
//! has no response.
//!
//! Reading is liberal as everywhere; `Debug` never shows a password.

use std::fmt;

use super::message::{Address, AddressView};
use super::{DecodeError, Reader, put_cstring};
use crate::{CommandId, CommandStatus, frame, text, tlv};

/// outbind: the SMSC has called, and asks the ESME to bind as a receiver.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Outbind {
    pub system_id: String,
    pub password: String,
}

/// alert_notification: a subscriber can be reached again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alert {
    /// Who can be reached.
    pub source: Address,
    /// The ESME that wanted to know.
    pub esme: Address,
    /// The optional part, raw: ms_availability_status.
    pub tlvs: Vec<u8>,
}

impl Outbind {
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(body);
        let system_id = text::latin1(fields.cstring("system_id")?);
        let password = text::latin1(fields.cstring("password").unwrap_or_default());
        Ok(Self { system_id, password })
    }

    /// Appends the whole PDU.
    pub fn encode(&self, out: &mut Vec<u8>, sequence: u32) {
        let start = frame::begin(out, CommandId::OUTBIND, CommandStatus::OK, sequence);
        for field in [&self.system_id, &self.password] {
            put_cstring(out, &octets(field));
        }
        frame::finish(out, start);
    }
}

/// Latin-1 back to octets; what is outside of it was never read, and is sent as `?`.
fn octets(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

impl fmt::Debug for Outbind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbind")
            .field("system_id", &self.system_id)
            .field("password", &format_args!("(redacted)"))
            .finish()
    }
}

impl Alert {
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(body);
        let source = AddressView::read(&mut fields, "source_addr")?.to_owned();
        let esme = AddressView::read(&mut fields, "esme_addr")?.to_owned();
        let rest = fields.rest();
        Ok(Self { source, esme, tlvs: rest[..tlv::whole(rest)].to_vec() })
    }

    /// Appends the whole PDU.
    pub fn encode(&self, out: &mut Vec<u8>, sequence: u32) {
        let command = CommandId::ALERT_NOTIFICATION;
        let start = frame::begin(out, command, CommandStatus::OK, sequence);
        self.source.view().write(out);
        self.esme.view().write(out);
        out.extend_from_slice(&self.tlvs);
        frame::finish(out, start);
    }

    /// ms_availability_status (§5.3.2.30): 0 available, 1 denied, 2 unavailable.
    pub fn availability(&self) -> Option<u8> {
        tlv::find(&self.tlvs, tlv::MS_AVAILABILITY_STATUS)?.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_comes_back_as_it_went_and_hides_its_password() {
        let outbind =
            Outbind { system_id: String::from("orbit"), password: String::from("s\u{e9}cret") };
        let mut out = Vec::new();
        outbind.encode(&mut out, 1);
        assert_eq!(Outbind::decode(&out[16..]), Ok(outbind.clone()));
        assert!(!format!("{outbind:?}").contains("cret"));
        assert_eq!(Outbind::decode(b"orbit").map(|o| o.password), Ok(String::new()));
        assert_eq!(Outbind::decode(b""), Err(DecodeError::Cut("system_id")));
    }

    #[test]
    fn who_can_be_reached_is_told() {
        let mut alert = Alert {
            source: Address::new(1, 1, "14155550123"),
            esme: Address::new(5, 0, "Orbit"),
            tlvs: Vec::new(),
        };
        tlv::write(&mut alert.tlvs, tlv::MS_AVAILABILITY_STATUS, &[0]);
        let mut out = Vec::new();
        alert.encode(&mut out, 1);
        assert_eq!(Alert::decode(&out[16..]), Ok(alert.clone()));
        assert_eq!(alert.availability(), Some(0));
        assert_eq!(Alert::decode(b"\x01\x01123"), Err(DecodeError::Cut("esme_addr")));
    }
}
