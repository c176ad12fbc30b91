//! API keys: made of 32 random octets, stored as their SHA-256 alone, shown once.

use sha2::{Digest, Sha256};

/// Whether a key moves money and real traffic, or plays in the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Live,
    Test,
}

impl Mode {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "live" => Some(Self::Live),
            "test" => Some(Self::Test),
            _ => None,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Live => "dv_live_sk_",
            Self::Test => "dv_test_sk_",
        }
    }
}

/// A scope such as `messages:write`, or `*` for all.
pub const SCOPES: &[&str] = &[
    "*",
    "messages:read",
    "messages:write",
    "billing:read",
    "billing:write",
    "webhooks:read",
    "webhooks:write",
    "events:read",
    "compliance:read",
    "compliance:write",
    "templates:read",
    "templates:write",
    "smpp:read",
    "smpp:write",
    "voice:read",
    "voice:write",
    "numbers:read",
    "numbers:write",
];

/// True when `granted` (space-separated) holds `needed`; write includes read.
#[must_use]
pub fn allows(granted: &str, needed: &str) -> bool {
    let (area, action) = needed.split_once(':').unwrap_or((needed, ""));
    granted.split(' ').any(|scope| {
        scope == "*"
            || scope == needed
            || (action == "read" && scope.strip_suffix(":write") == Some(area))
    })
}

/// A new key's text, from 256 bits of chance given by the caller.
#[must_use]
pub fn mint(mode: Mode, random: [u8; 32]) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = random;
    let mut text = String::from(mode.prefix());
    for _ in 0..43 {
        let mut rest = 0_u32;
        for octet in &mut number {
            let here = rest << 8 | u32::from(*octet);
            *octet = u8::try_from(here / 62).unwrap_or(0);
            rest = here % 62;
        }
        text.push(char::from(ALPHABET[rest as usize]));
    }
    text
}

/// The mode a key's text claims. `sk_live_` and `sk_test_` are old spellings of the same.
#[must_use]
pub fn claimed_mode(text: &str) -> Option<Mode> {
    if text.starts_with("dv_live_sk_") || text.starts_with("sk_live_") {
        Some(Mode::Live)
    } else if text.starts_with("dv_test_sk_") || text.starts_with("sk_test_") {
        Some(Mode::Test)
    } else {
        None
    }
}

/// What is stored and compared: SHA-256 of the key, old spellings folded into the new.
#[must_use]
pub fn hash(text: &str) -> [u8; 32] {
    let mut sha = Sha256::new();
    if let Some(rest) = text.strip_prefix("sk_live_") {
        sha.update(b"dv_live_sk_");
        sha.update(rest.as_bytes());
    } else if let Some(rest) = text.strip_prefix("sk_test_") {
        sha.update(b"dv_test_sk_");
        sha.update(rest.as_bytes());
    } else {
        sha.update(text.as_bytes());
    }
    sha.finalize().into()
}

/// The last four characters, which a list may show.
#[must_use]
pub fn last4(text: &str) -> &str {
    text.char_indices().rev().nth(3).map_or(text, |(at, _)| &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_its_mode_and_hides_in_its_hash() {
        let key = mint(Mode::Test, [7; 32]);
        assert_eq!(key.len(), "dv_test_sk_".len() + 43);
        assert_eq!(claimed_mode(&key), Some(Mode::Test));
        assert_ne!(hash(&key), hash(&mint(Mode::Test, [8; 32])));
        assert_eq!(hash(&key), hash(&key.replace("dv_test_sk_", "sk_test_")));
        assert_eq!(last4(&key).len(), 4);
        assert_eq!(last4("ab"), "ab");
    }

    #[test]
    fn write_includes_read_and_not_the_reverse() {
        assert!(allows("messages:write", "messages:read"));
        assert!(!allows("messages:read", "messages:write"));
        assert!(!allows("messages:write", "billing:read"));
        assert!(allows("*", "billing:write"));
        assert!(!allows("", "messages:read"));
    }
}
