//! Signatures of a webhook request, two schemes side by side.
//!
//! `X-Devotel-Signature`: `t=<unix>,v1=<hex>`, HMAC-SHA256 over `t.body`, keyed with the text of
//! the secret. Standard Webhooks 1.0: `v1,<base64>`, over `id.t.body`, keyed with the octets that
//! the secret encodes. While a secret is being replaced each scheme carries two signatures, the
//! new secret's first. Pure: time and randomness come in as arguments.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const PREFIX: &str = "whsec_";
/// Octets of a secret, as Standard Webhooks bounds them.
const OCTETS: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret made of random octets.
#[must_use]
pub fn secret(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(random))
}

/// True for `whsec_` and base64 of 24 to 64 octets.
#[must_use]
pub fn is_secret(text: &str) -> bool {
    octets(text).is_some_and(|octets| OCTETS.contains(&octets.len()))
}

fn octets(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// The value of `X-Devotel-Signature`; the newest secret comes first.
#[must_use]
pub fn devotel(secrets: &[&str], at_s: i64, body: &[u8]) -> String {
    let time = at_s.to_string();
    let mut text = format!("t={time}");
    for secret in secrets {
        text.push_str(",v1=");
        for octet in mac(secret.as_bytes(), &[time.as_bytes(), b".", body]) {
            let _ = write!(text, "{octet:02x}");
        }
    }
    text
}

/// The value of `webhook-signature`; the newest secret comes first.
#[must_use]
pub fn standard(secrets: &[&str], id: &str, at_s: i64, body: &[u8]) -> String {
    let time = at_s.to_string();
    let signed = |secret: &&str| {
        let key = octets(secret).unwrap_or_else(|| secret.as_bytes().to_vec());
        let mac = mac(&key, &[id.as_bytes(), b".", time.as_bytes(), b".", body]);
        format!("v1,{}", STANDARD.encode(mac))
    };
    secrets.iter().map(signed).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_vector_holds() {
        assert_eq!(
            devotel(&["whsec_test"], 1_700_000_000, b"{}"),
            "t=1700000000,v1=35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91"
        );
    }

    /// The example of the Standard Webhooks specification's libraries.
    #[test]
    fn the_standard_vector_holds() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let body = b"{\"test\": 2432232314}";
        assert_eq!(
            standard(&[secret], id, 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn while_a_secret_is_replaced_both_sign_and_the_new_one_comes_first() {
        let (new, old) = (secret([1; 32]), secret([2; 32]));
        let both = devotel(&[&new, &old], 5, b"x");
        let (first, second) = (devotel(&[&new], 5, b"x"), devotel(&[&old], 5, b"x"));
        assert_eq!(both, format!("{first},{}", second.split_once(',').unwrap().1));
        let both = standard(&[&new, &old], "evt_1", 5, b"x");
        let first = standard(&[&new], "evt_1", 5, b"x");
        assert_eq!(both, format!("{first} {}", standard(&[&old], "evt_1", 5, b"x")));
    }

    #[test]
    fn a_secret_is_base64_of_24_to_64_octets() {
        assert!(is_secret(&secret([7; 32])));
        let of = |length: usize| format!("whsec_{}", STANDARD.encode(vec![1; length]));
        assert!(is_secret(&of(24)) && is_secret(&of(64)));
        for bad in ["", "whsec_", "whsec_test", "secret", &of(23), &of(65), &of(32)[6..]] {
            assert!(!is_secret(bad), "{bad}");
        }
    }
}
