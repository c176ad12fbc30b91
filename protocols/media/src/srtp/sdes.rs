//! The `crypto` attribute of SDP (RFC 4568): keys that travel in the signalling.
//!
//! A line that asks for what is not done here, a key identifier, several keys, or a session parameter
//! that changes the packets, is refused by name, so that the next line of the offer can be taken.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use thiserror::Error;

use super::{MASTER, MasterKey, Suite};

/// Octets of an attribute's value that are read.
const LENGTH_MAX: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SdesError {
    #[error("no tag, suite and key")]
    Form,
    #[error("an unknown suite")]
    Suite,
    #[error("the key is not 30 octets of base64")]
    Key,
    #[error("key identifiers and several keys are not supported")]
    Mki,
    #[error("the lifetime is out of bounds")]
    Lifetime,
    #[error("a session parameter is not supported")]
    Parameter,
}

/// One line, without `a=crypto:`.
#[derive(Clone, PartialEq, Eq)]
pub struct Crypto {
    pub tag: u32,
    pub suite: Suite,
    pub key: MasterKey,
    /// Packets under this key, if it was said.
    pub lifetime: Option<u64>,
}

impl fmt::Debug for Crypto {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Crypto").field("tag", &self.tag).field("suite", &self.suite).finish()
    }
}

impl Crypto {
    pub fn parse(value: &str) -> Result<Self, SdesError> {
        if value.len() > LENGTH_MAX {
            return Err(SdesError::Form);
        }
        let mut words = value.split_ascii_whitespace();
        let (Some(tag), Some(suite), Some(keys)) = (words.next(), words.next(), words.next())
        else {
            return Err(SdesError::Form);
        };
        let is_tag = tag.len() <= 9 && tag.bytes().all(|octet| octet.is_ascii_digit());
        let tag = tag.parse().ok().filter(|_| is_tag).ok_or(SdesError::Form)?;
        let suite = Suite::of_name(suite).ok_or(SdesError::Suite)?;
        // The order of lost packets that the far end bears is its own affair; all else matters.
        if words.any(|word| !word.starts_with("WSH=") && !word.starts_with('-')) {
            return Err(SdesError::Parameter);
        }
        if keys.contains(';') {
            return Err(SdesError::Mki);
        }
        let (method, inline) = keys.split_once(':').ok_or(SdesError::Form)?;
        if !method.eq_ignore_ascii_case("inline") {
            return Err(SdesError::Form);
        }
        let mut parts = inline.split('|');
        let key = parts.next().and_then(key).ok_or(SdesError::Key)?;
        let mut lifetime = None;
        for part in parts {
            if part.contains(':') {
                return Err(SdesError::Mki);
            }
            lifetime = Some(packets(part).ok_or(SdesError::Lifetime)?);
        }
        Ok(Self { tag, suite, key, lifetime })
    }

    /// The value of the attribute. It holds the key: it belongs into an SDP and nowhere else.
    pub fn value(&self) -> String {
        let key = STANDARD.encode(self.key.octets());
        format!("{} {} inline:{key}", self.tag, self.suite.name())
    }
}

fn key(text: &str) -> Option<MasterKey> {
    // 30 octets need no padding; some peers put it nevertheless.
    let octets = STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    <[u8; MASTER]>::try_from(octets).ok().map(MasterKey::new)
}

/// `2^20` or a number, up to 2^48.
fn packets(text: &str) -> Option<u64> {
    let count = match text.strip_prefix("2^") {
        Some(power) => 1_u64.checked_shl(power.parse().ok()?)?,
        None => text.parse().ok()?,
    };
    (1..=1 << 48).contains(&count).then_some(count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    #[test]
    fn the_lines_of_the_standard_are_read() {
        let line = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20");
        let crypto = Crypto::parse(&line).unwrap();
        assert_eq!((crypto.tag, crypto.suite), (1, Suite::AesCm128HmacSha1_80));
        assert_eq!(crypto.lifetime, Some(1 << 20));
        assert_eq!(crypto.value(), format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"));
        let other = format!("22 aes_cm_128_hmac_sha1_32 inline:{KEY}|4096 WSH=64 -x=1");
        let crypto = Crypto::parse(&other).unwrap();
        assert_eq!((crypto.tag, crypto.lifetime), (22, Some(4_096)));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let line = |suite: &str, key: &str, more: &str| format!("1 {suite} inline:{key}{more}");
        let good = "AES_CM_128_HMAC_SHA1_80";
        for (value, error) in [
            (String::new(), SdesError::Form),
            (format!("1 {good}"), SdesError::Form),
            (format!("+1 {good} inline:{KEY}"), SdesError::Form),
            (format!("1 {good} uri:{KEY}"), SdesError::Form),
            (line("F8_128_HMAC_SHA1_80", KEY, ""), SdesError::Suite),
            (line(good, "c2hvcnQ=", ""), SdesError::Key),
            (line(good, "@@@", ""), SdesError::Key),
            (line(good, KEY, "|2^20|1:4"), SdesError::Mki),
            (line(good, KEY, ";inline:abc"), SdesError::Mki),
            (line(good, KEY, "|2^49"), SdesError::Lifetime),
            (line(good, KEY, "|2^200"), SdesError::Lifetime),
            (line(good, KEY, "|0"), SdesError::Lifetime),
            (line(good, KEY, " UNENCRYPTED_SRTP"), SdesError::Parameter),
            (line(good, KEY, " KDR=1"), SdesError::Parameter),
            ("1 ".repeat(300), SdesError::Form),
        ] {
            assert_eq!(Crypto::parse(&value), Err(error), "{value}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let crypto = Crypto::parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")).unwrap();
        let shown = format!("{crypto:?} {:?}", crypto.key);
        assert_eq!(shown, "Crypto { tag: 1, suite: AesCm128HmacSha1_80 } MasterKey(…)");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tag in 0u32..999_999_999, octets in any::<[u8; 30]>(), short in any::<bool>()) {
            let suite = if short { Suite::AesCm128HmacSha1_32 } else { Suite::AesCm128HmacSha1_80 };
            let crypto = Crypto { tag, suite, key: MasterKey::new(octets), lifetime: None };
            prop_assert_eq!(Crypto::parse(&crypto.value()), Ok(crypto));
        }

        #[test]
        fn no_value_panics(value in "\\PC{0,80}") {
            let _ = Crypto::parse(&value);
        }
    }
}
