//! A Request-URI as a telephone means it: a number, an extension, or a name.
//!
//! `+`, `00` and `011` begin a number of E.164; so does any row of nine digits or more, as carriers and
//! telephone systems write them. Signs between digits count for nothing. What is shorter is an extension.
//! What no telephone shows (signs of control, names without end) is nothing: it would go into records.

use proto_sip::Uri;
use proto_sip::uri::Scheme;

/// Digits of E.164, RFC 3966 §5.1.4 and ITU-T E.164 §6.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Fewer digits without a sign of E.164 are an extension.
const EXTENSION_MAX: usize = 8;
const PREFIXES: [&str; 2] = ["011", "00"];
/// Octets of a name.
const NAME_MAX: usize = 128;

/// What was dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// E.164 with its `+`.
    Number(String),
    /// Digits that only the caller's organization knows.
    Short(String),
    Name(String),
    /// No telephone dials it.
    Nothing,
}

impl Dialled {
    #[must_use]
    pub fn of(uri: &Uri) -> Self {
        let is_dialled = uri.is_sip() || uri.scheme() == Scheme::Tel;
        let user = uri.user_unescaped().filter(|_| is_dialled);
        let user = user.and_then(|user| String::from_utf8(user).ok());
        user.map_or(Self::Nothing, |user| Self::of_text(&user))
    }

    /// The same of a user part, or of a number alone.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let text = text.split(';').next().unwrap_or_default().trim();
        let plus = text.starts_with('+');
        let is_sign = |sign: &char| matches!(sign, '-' | '.' | '(' | ')' | ' ');
        let kept: String = text.chars().skip(usize::from(plus)).filter(|c| !is_sign(c)).collect();
        if kept.is_empty() || text.len() > NAME_MAX || text.chars().any(char::is_control) {
            return Self::Nothing;
        }
        if !kept.bytes().all(|octet| octet.is_ascii_digit()) {
            return if plus { Self::Nothing } else { Self::Name(text.to_owned()) };
        }
        if plus {
            return Self::number(&kept).unwrap_or(Self::Nothing);
        }
        let abroad = PREFIXES.iter().find_map(|prefix| kept.strip_prefix(prefix));
        if let Some(number) = abroad.and_then(Self::number) {
            return number;
        }
        match kept.len() {
            ..=EXTENSION_MAX => Self::Short(kept),
            _ => Self::number(&kept).unwrap_or(Self::Nothing),
        }
    }

    /// No number of E.164 begins with 0.
    fn number(digits: &str) -> Option<Self> {
        let fits = DIGITS.contains(&digits.len()) && !digits.starts_with('0');
        fits.then(|| Self::Number(format!("+{digits}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn of(uri: &'static str) -> Dialled {
        Dialled::of(&Uri::parse(&Bytes::from_static(uri.as_bytes())).unwrap())
    }

    #[test]
    fn numbers_have_many_forms() {
        let number = Dialled::Number("+14155550123".into());
        for uri in [
            "sip:+14155550123@sip.example.com",
            "sip:14155550123@sip.example.com;user=phone",
            "sip:0014155550123@x",
            "sip:01114155550123@x",
            "sip:%2B1-415-555.0123@x",
            "tel:+1-415-555-0123;phone-context=x",
        ] {
            assert_eq!(of(uri), number, "{uri}");
        }
    }

    #[test]
    fn what_no_record_takes_is_nothing() {
        for nothing in ["sip:a%00@x", "sip:100%00@x", "sip:a%0d%0ab@x"] {
            assert_eq!(of(nothing), Dialled::Nothing, "{nothing}");
        }
        assert_eq!(Dialled::of_text(&"a".repeat(129)), Dialled::Nothing);
    }

    #[test]
    fn what_is_short_is_an_extension_and_what_is_no_digit_a_name() {
        assert_eq!(of("sip:100@acme.sip.local"), Dialled::Short("100".into()));
        assert_eq!(of("sip:911@x"), Dialled::Short("911".into()));
        assert_eq!(of("sip:front.desk@x"), Dialled::Name("front.desk".into()));
        for nothing in ["sip:x.example", "sip:+0@x", "sip:+a@x", "sip:+12345678901234567@x"] {
            assert_eq!(of(nothing), Dialled::Nothing, "{nothing}");
        }
    }
}
