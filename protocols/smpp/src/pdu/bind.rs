//! bind_transmitter, bind_receiver, bind_transceiver and their responses, SMPP 3.4 §4.1.
//!
//! Texts are read as UTF-8 when they are, else as Latin-1, and may be longer than the book allows
//! (passwords over 8 and system ids over 15 octets are common). Fields after the password may be
//! missing. `Debug` never shows the password.

use std::fmt;

use super::{DecodeError, Reader, put_cstring, split_cstring};
use crate::{CommandId, CommandStatus, frame, text, tlv};

/// SMPP 3.4, as `interface_version` writes it.
pub const VERSION_34: u8 = 0x34;
/// SMPP 5.0.
pub const VERSION_50: u8 = 0x50;

/// Which ways messages may go on a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindKind {
    Transmitter,
    Receiver,
    Transceiver,
}

/// A bind request.
#[derive(Clone, PartialEq, Eq)]
pub struct Bind {
    pub kind: BindKind,
    pub system_id: String,
    pub password: String,
    pub system_type: String,
    pub interface_version: u8,
    pub addr_ton: u8,
    pub addr_npi: u8,
    pub address_range: String,
}

/// A view of a bind's response. Empty when the body was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BindResponse<'a> {
    pub system_id: &'a [u8],
    pub tlvs: &'a [u8],
}

impl BindKind {
    pub fn command(self) -> CommandId {
        match self {
            Self::Transmitter => CommandId::BIND_TRANSMITTER,
            Self::Receiver => CommandId::BIND_RECEIVER,
            Self::Transceiver => CommandId::BIND_TRANSCEIVER,
        }
    }

    pub fn of(command: CommandId) -> Option<Self> {
        match command {
            CommandId::BIND_TRANSMITTER => Some(Self::Transmitter),
            CommandId::BIND_RECEIVER => Some(Self::Receiver),
            CommandId::BIND_TRANSCEIVER => Some(Self::Transceiver),
            _ => None,
        }
    }

    /// Whether the ESME may send submit_sm.
    pub fn transmits(self) -> bool {
        self != Self::Receiver
    }

    /// Whether the SMSC may send deliver_sm.
    pub fn receives(self) -> bool {
        self != Self::Transmitter
    }
}

impl Default for Bind {
    fn default() -> Self {
        Self {
            kind: BindKind::Transceiver,
            system_id: String::new(),
            password: String::new(),
            system_type: String::new(),
            interface_version: VERSION_34,
            addr_ton: 0,
            addr_npi: 0,
            address_range: String::new(),
        }
    }
}

impl Bind {
    /// A 3.4 bind with a name and a password, all else empty.
    pub fn new(kind: BindKind, system_id: &str, password: &str) -> Self {
        Self {
            kind,
            system_id: system_id.to_owned(),
            password: password.to_owned(),
            ..Self::default()
        }
    }

    pub fn decode(command: CommandId, body: &[u8]) -> Result<Self, DecodeError> {
        let kind = BindKind::of(command).ok_or(DecodeError::WrongCommand)?;
        let mut fields = Reader::new(body);
        let system_id = to_text(fields.cstring("system_id")?);
        let password = to_text(fields.cstring("password")?);
        let system_type = to_text(fields.cstring("system_type").unwrap_or_default());
        Ok(Self {
            kind,
            system_id,
            password,
            system_type,
            interface_version: fields.octet("interface_version").unwrap_or_default(),
            addr_ton: fields.octet("addr_ton").unwrap_or_default(),
            addr_npi: fields.octet("addr_npi").unwrap_or_default(),
            address_range: to_text(fields.cstring("address_range").unwrap_or_default()),
        })
    }

    pub fn encode(&self, out: &mut Vec<u8>, sequence: u32) {
        let start = frame::begin(out, self.kind.command(), CommandStatus::OK, sequence);
        put_cstring(out, self.system_id.as_bytes());
        put_cstring(out, self.password.as_bytes());
        put_cstring(out, self.system_type.as_bytes());
        out.extend_from_slice(&[self.interface_version, self.addr_ton, self.addr_npi]);
        put_cstring(out, self.address_range.as_bytes());
        frame::finish(out, start);
    }

    /// Whether TLVs may be sent to this peer (SMPP 3.4 §3.3: not below 0x34).
    pub fn takes_tlvs(&self) -> bool {
        self.interface_version >= VERSION_34
    }

    /// Whether this peer knows what 5.0 adds.
    pub fn speaks_50(&self) -> bool {
        self.interface_version >= VERSION_50
    }
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bind")
            .field("kind", &self.kind)
            .field("system_id", &self.system_id)
            .field("password", &format_args!("(redacted)"))
            .field("system_type", &self.system_type)
            .field("interface_version", &self.interface_version)
            .field("addr_ton", &self.addr_ton)
            .field("addr_npi", &self.addr_npi)
            .field("address_range", &self.address_range)
            .finish()
    }
}

impl<'a> BindResponse<'a> {
    pub fn parse(body: &'a [u8]) -> Self {
        let (system_id, tlvs) = split_cstring(body);
        Self { system_id, tlvs: &tlvs[..tlv::whole(tlvs)] }
    }

    /// The version the SMSC speaks, when it says so.
    pub fn interface_version(&self) -> Option<u8> {
        tlv::find(self.tlvs, tlv::SC_INTERFACE_VERSION)?.last().copied()
    }
}

/// Appends a bind's response. A refusal is a header alone; `version` adds sc_interface_version.
pub fn encode_response(
    out: &mut Vec<u8>,
    kind: BindKind,
    status: CommandStatus,
    sequence: u32,
    system_id: &str,
    version: Option<u8>,
) {
    let start = frame::begin(out, kind.command().response(), status, sequence);
    if status.is_ok() {
        put_cstring(out, system_id.as_bytes());
        if let Some(version) = version {
            tlv::write(out, tlv::SC_INTERFACE_VERSION, &[version]);
        }
    }
    frame::finish(out, start);
}

fn to_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => text::latin1(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Bind {
        Bind {
            system_type: "VMA".into(),
            addr_ton: 1,
            addr_npi: 1,
            address_range: "^4477".into(),
            ..Bind::new(BindKind::Receiver, "orbit", "secret08")
        }
    }

    #[test]
    fn a_bind_comes_back_as_it_went() {
        let mut out = Vec::new();
        sample().encode(&mut out, 1);
        assert_eq!(Bind::decode(CommandId::BIND_RECEIVER, &out[16..]), Ok(sample()));
        assert_eq!(Bind::decode(CommandId::UNBIND, &out[16..]), Err(DecodeError::WrongCommand));
    }

    #[test]
    fn debug_never_shows_the_password() {
        let shown = format!("{:?}", sample());
        assert!(shown.contains("orbit") && !shown.contains("secret08"));
    }

    #[test]
    fn long_names_and_a_cut_tail_are_taken() {
        let body = b"a-system-id-of-more-than-fifteen\0a-long-password\0";
        let bind = Bind::decode(CommandId::BIND_TRANSCEIVER, body).unwrap();
        assert_eq!(bind.password, "a-long-password");
        assert_eq!((bind.interface_version, bind.address_range.as_str()), (0, ""));
        assert!(!bind.takes_tlvs());
        let error = Bind::decode(CommandId::BIND_TRANSCEIVER, b"only-a-name\0");
        assert_eq!(error, Err(DecodeError::Cut("password")));
    }

    #[test]
    fn a_response_may_lack_body_name_or_version() {
        assert_eq!(BindResponse::parse(b""), BindResponse::default());
        assert_eq!(BindResponse::parse(b"\0").system_id, b"");
        let full = BindResponse::parse(b"smsc\0\x02\x10\0\x01\x50");
        assert_eq!((full.system_id, full.interface_version()), (&b"smsc"[..], Some(0x50)));
        assert_eq!(BindResponse::parse(b"no-nul").system_id, b"no-nul");
    }

    #[test]
    fn a_name_in_latin_1_is_read() {
        let bind = Bind::decode(CommandId::BIND_TRANSMITTER, b"caf\xe9\0pw\0").unwrap();
        assert_eq!(bind.system_id, "café");
    }
}
