//! SIP credentials: what a phone registers and calls as, and in which realm.
//!
//! An organization's realm is its slug before the switch's SIP domain. A password is never kept: only
//! its HA1 for MD5 and SHA-256 (RFC 7616 §3.4.2), which is worth nothing in another realm.

use crate::id::PublicId;
use crate::message::coded;

coded! {
    /// Whether a credential may be used.
    CredentialStatus {
        Active = 1 "active",
        /// It may not register or call until it is active again.
        Suspended = 2 "suspended",
        /// For good; its extension and username are free again.
        Revoked = 3 "revoked",
    }
}

/// Contacts of one credential at once, unless it says otherwise, and at most.
pub const CONTACTS: i64 = 5;
pub const CONTACTS_MAX: i64 = 50;
/// Destinations of one credential: each is looked at for each call.
pub const DESTINATIONS_MAX: usize = 100;
pub const LABEL_CHARS_MAX: usize = 100;
pub const USERNAME_MAX: usize = 32;
/// A label of a domain has 63 octets at most (RFC 1035 §2.3.4).
const SLUG_MAX: usize = 40;

/// 2 to 8 digits. Whether it is an emergency number is another question.
#[must_use]
pub fn is_extension(text: &str) -> bool {
    (2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Letters, digits, `-`, `_` and `.`, in lower case: it is written into many phones by hand, and needs
/// no escape in an address.
#[must_use]
pub fn is_username(text: &str) -> bool {
    let fits =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    (1..=USERNAME_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// `+` and the first digits of the numbers that may be called.
#[must_use]
pub fn is_destination(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a number begins as one of these says; none of them: every number may be called.
#[must_use]
pub fn may_call<T: AsRef<str>>(destinations: &[T], number: &str) -> bool {
    destinations.is_empty() || destinations.iter().any(|prefix| number.starts_with(prefix.as_ref()))
}

/// What an organization's name is in a domain: lower-case letters, digits and single dashes. Nothing
/// that is left of its name makes `org`.
#[must_use]
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for sign in name.chars().flat_map(char::to_lowercase) {
        if slug.len() >= SLUG_MAX {
            break;
        }
        if sign.is_ascii_alphanumeric() {
            slug.push(sign);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    String::from(if slug.is_empty() { "org" } else { slug })
}

/// The same for one whose slug is taken: the end of its id goes behind it.
#[must_use]
pub fn slug_of(name: &str, id: PublicId) -> String {
    let tail = &id.as_bytes()[10..];
    tail.iter().fold(slug(name) + "-", |slug, octet| format!("{slug}{octet:02x}"))
}

/// Where an organization's phones register.
#[must_use]
pub fn realm(slug: &str, domain: &str) -> String {
    format!("{slug}.{domain}")
}

/// A domain as it stands in addresses: labels of letters, digits and dashes, in lower case.
#[must_use]
pub fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= 200 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::At;

    #[test]
    fn a_slug_is_a_label_of_a_domain() {
        for (name, expected) in [
            ("Acme", "acme"),
            ("  Acme & Sons, Ltd. ", "acme-sons-ltd"),
            ("Ünïcode", "n-code"),
            ("日本", "org"),
            ("--", "org"),
            ("", "org"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
        let long = slug(&"ab ".repeat(100));
        assert!(long.len() <= SLUG_MAX && is_domain(&realm(&long, "sip.example.com")), "{long}");
        let id = PublicId::new(At(1_700_000_000_000_000));
        let other = slug_of("Acme", id);
        assert!(other.starts_with("acme-") && other.len() == 17 && is_domain(&other), "{other}");
    }

    #[test]
    fn usernames_extensions_and_destinations_have_their_forms() {
        for good in ["10", "100", "12345678"] {
            assert!(is_extension(good), "{good}");
        }
        for bad in ["", "1", "123456789", "1a", "+10", "١٠"] {
            assert!(!is_extension(bad), "{bad}");
        }
        for good in ["a", "100-k7f3q9x2", "front.desk_1"] {
            assert!(is_username(good), "{good}");
        }
        for bad in ["", "A", "a@b", "a b", "a:b", "é", &"a".repeat(33)] {
            assert!(!is_username(bad), "{bad}");
        }
        for bad in ["", "+", "1", "+1234567890123456", "+1a"] {
            assert!(!is_destination(bad), "{bad}");
        }
        assert!(is_destination("+1") && is_destination("+441632"));
        for bad in ["", ".", "a..b", "-a", "a-", "A.b", "a_b", &"a".repeat(64)] {
            assert!(!is_domain(bad), "{bad}");
        }
        assert!(is_domain("localhost") && is_domain("sip.example.com"));
    }

    #[test]
    fn destinations_are_prefixes_and_none_of_them_is_no_limit() {
        assert!(may_call::<&str>(&[], "+4912345"));
        assert!(may_call(&["+1", "+44"], "+442079460000"));
        assert!(!may_call(&["+1", "+44"], "+4912345"));
    }
}
