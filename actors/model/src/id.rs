//! Public ids: a prefix and a UUIDv7 as 32 lower-case hex digits, as in `msg_0190…`.
//!
//! Stored as 16 octets. The time inside makes neighbours in time neighbours in an index.

use std::fmt;

use uuid::Uuid;

use crate::clock::At;

/// What an id names; decides its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Message,
    Event,
    Organization,
    ApiKey,
    Batch,
    Request,
    Transaction,
    Webhook,
    SmppAccount,
    SmppCredential,
    Carrier,
    Delivery,
    Cap,
    Template,
    Consent,
    Suppression,
    SenderRegistration,
    Import,
    Interceptor,
    SenderPool,
    Call,
    Leg,
    Cdr,
    SipCredential,
    Trunk,
    Number,
    /// A number in stock.
    Did,
    ProxySession,
    Recording,
}

impl Kind {
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Message => "msg_",
            Self::Event => "evt_",
            Self::Organization => "org_",
            Self::ApiKey => "key_",
            Self::Batch => "bat_",
            Self::Request => "req_",
            Self::Transaction => "txn_",
            Self::Webhook => "wh_",
            Self::SmppAccount => "sma_",
            Self::SmppCredential => "scr_",
            Self::Carrier => "car_",
            Self::Delivery => "dlv_",
            Self::Cap => "fcr_",
            Self::Template => "tpl_",
            Self::Consent => "cr_",
            Self::Suppression => "sup_",
            Self::SenderRegistration => "sir_",
            Self::Import => "imp_",
            Self::Interceptor => "icr_",
            Self::SenderPool => "spl_",
            Self::Call => "call_",
            Self::Leg => "leg_",
            Self::Cdr => "cdr_",
            Self::SipCredential => "sip_",
            Self::Trunk => "trk_",
            Self::Number => "num_",
            Self::Did => "did_",
            Self::ProxySession => "prx_",
            Self::Recording => "rec_",
        }
    }
}

/// The 16 octets behind a public id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicId(pub Uuid);

impl PublicId {
    /// A new id whose time part is `at`.
    #[must_use]
    pub fn new(at: At) -> Self {
        Self::from_random(at, rand::random())
    }

    /// An id from a time and 80 random bits, of which 74 are kept.
    #[must_use]
    pub fn from_random(at: At, random: u128) -> Self {
        let millis = u64::try_from(at.micros() / 1000).unwrap_or(0);
        let random = random.to_be_bytes();
        let mut tail = [0; 10];
        tail.copy_from_slice(&random[6..]);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid())
    }

    /// The id of a log row: derived from its time and number, so it need not be stored.
    #[must_use]
    pub fn of_row(at: At, number: i64) -> Self {
        let bits = u128::from(number.cast_unsigned());
        Self::from_random(at, (bits & 0xfff) << 64 | (bits >> 12))
    }

    /// The number of the row this id was derived from. Ids that [`Self::of_row`] did not make give
    /// one too: look the row up and derive its id again.
    #[must_use]
    pub fn row_number(&self) -> i64 {
        let bits = self.0.as_u128();
        let low = (bits >> 64) & 0xfff;
        let high = bits & 0x000f_ffff_ffff_ffff;
        let number = u64::try_from(high << 12 | low).unwrap_or(0);
        number.cast_signed()
    }

    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The text form with the prefix of its kind.
    #[must_use]
    pub fn show(&self, kind: Kind) -> String {
        let mut hex = [0; 32];
        let hex = self.0.simple().encode_lower(&mut hex);
        let mut text = String::with_capacity(36);
        text.push_str(kind.prefix());
        text.push_str(hex);
        text
    }

    /// Reads `prefix_` + 32 hex digits. A missing or foreign prefix is no id of this kind.
    #[must_use]
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        let hex = text.strip_prefix(kind.prefix())?;
        if hex.len() != 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        Uuid::try_parse(hex).ok().map(Self)
    }
}

impl fmt::Debug for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = PublicId::new(At(1_700_000_000_000_000));
        let text = id.show(Kind::Message);
        assert_eq!(text.len(), 36);
        assert_eq!(PublicId::parse(Kind::Message, &text), Some(id));
        assert_eq!(PublicId::parse(Kind::Event, &text), None);
        assert_eq!(PublicId::parse(Kind::Message, "msg_zz"), None);
        assert_eq!(PublicId::parse(Kind::Message, "msg_é2345678901234567890123456789012"), None);
    }

    #[test]
    fn an_id_of_a_row_leads_back_to_its_number() {
        let at = At(1_700_000_000_123_456);
        let lanes = [0, 1, 7, 0x7f_ffff];
        let numbers = lanes
            .iter()
            .flat_map(|lane| [0, 1, 0xfff, 0x1000, (1 << 40) - 1].map(|n| lane << 40 | n));
        for number in numbers.chain([i64::MAX, i64::MIN, -1]) {
            let id = PublicId::of_row(at, number);
            assert_eq!(id.row_number(), number);
            let text = id.show(Kind::Event);
            let read = PublicId::parse(Kind::Event, &text).map(|id| id.row_number());
            assert_eq!(read, Some(number));
        }
    }

    #[test]
    fn ids_of_rows_differ_by_row_and_repeat_by_value() {
        let at = At(1_700_000_000_000_000);
        assert_eq!(PublicId::of_row(at, 7), PublicId::of_row(at, 7));
        let mut seen = std::collections::HashSet::new();
        for lane in 1..20_i64 {
            for n in 0..500 {
                let id = PublicId::of_row(at, lane << 40 | n);
                assert_eq!(id.row_number(), lane << 40 | n);
                assert!(seen.insert(id));
            }
        }
    }
}
