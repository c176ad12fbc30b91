//! By what a person is known: a phone number, an email address, or a channel's own id.
//!
//! One person is one text: phone numbers are E.164 with `+`, email addresses are lower case. A
//! national number means something only together with a country.

use phonenumber::country;

use crate::address::Recipient;

/// The longest text that names a person.
const LENGTH_MAX: usize = 254;

/// A country whose national numbers can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Country(country::Id);

impl Country {
    /// Reads an ISO 3166 code of two letters, as in `US`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 2 {
            return None;
        }
        text.to_ascii_uppercase().parse().ok().map(Self)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// E.164 with `+`.
    Phone(String),
    Email(String),
    /// An id that only its channel knows.
    Other(String),
}

impl Identity {
    /// Reads a text that says by itself what it is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(email) = email(text) {
            return Some(Self::Email(email));
        }
        if text.starts_with('+') {
            return international(text).map(Self::Phone);
        }
        let fits = !text.is_empty()
            && text.len() <= LENGTH_MAX
            && text.chars().all(|c| !c.is_control() && !c.is_whitespace())
            && !text.contains('@');
        fits.then(|| Self::Other(text.to_owned()))
    }

    /// Reads a phone number, a national one with the country it is of.
    #[must_use]
    pub fn phone(text: &str, country: Option<Country>) -> Option<Self> {
        let text = text.trim();
        if text.starts_with('+') {
            return international(text).map(Self::Phone);
        }
        let Country(id) = country?;
        let plain = text.len() <= 32 && text.chars().all(|c| c.is_ascii_digit() || is_separator(c));
        if !plain {
            return None;
        }
        let number = phonenumber::parse(Some(id), text).ok()?;
        let number = number.format().mode(phonenumber::Mode::E164).to_string();
        Recipient::parse(&number).map(|number| Self::Phone(number.into_string()))
    }

    /// Reads a WhatsApp id: a number whose `+` is left out.
    #[must_use]
    pub fn whatsapp(text: &str) -> Option<Self> {
        international(&format!("+{}", text.trim().trim_start_matches('+'))).map(Self::Phone)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(text) | Self::Email(text) | Self::Other(text) => text,
        }
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}')
}

fn international(text: &str) -> Option<String> {
    if text.len() > 64 {
        return None;
    }
    let plain: String = text.chars().filter(|c| !is_separator(*c)).collect();
    Recipient::parse(&plain).map(Recipient::into_string)
}

/// An address with one `@`, a name before it and a domain behind it.
fn email(text: &str) -> Option<String> {
    let (name, domain) = text.split_once('@')?;
    let dotted = domain.contains('.') && domain.split('.').all(|label| !label.is_empty());
    let fits = text.len() <= LENGTH_MAX
        && !name.is_empty()
        && name.len() <= 64
        && dotted
        && !domain.contains('@')
        && text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    fits.then(|| text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(text: &str) -> Option<Identity> {
        Some(Identity::Phone(text.to_owned()))
    }

    #[test]
    fn a_text_says_what_it_is() {
        assert_eq!(Identity::parse("+1 (415) 555-0123"), phone("+14155550123"));
        let email = Identity::parse(" Ada@Example.ORG ");
        assert_eq!(email, Some(Identity::Email(String::from("ada@example.org"))));
        assert_eq!(Identity::parse("u_17"), Some(Identity::Other(String::from("u_17"))));
        for bad in ["", " ", "+1415", "a@", "@b.c", "a@b", "a@b@c.d", "a@b..c", "a b", "+12ab"] {
            assert_eq!(Identity::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_national_number_needs_its_country() {
        assert_eq!(Identity::phone("(415) 555-0123", None), None);
        assert_eq!(Identity::phone("(415) 555-0123", Country::parse("us")), phone("+14155550123"));
        assert_eq!(Identity::phone("07911 123456", Country::parse("GB")), phone("+447911123456"));
        assert_eq!(Identity::phone("+447911123456", Country::parse("US")), phone("+447911123456"));
        for bad in ["123", "abc", "", "415-555-012x", "0"] {
            assert_eq!(Identity::phone(bad, Country::parse("US")), None, "{bad:?}");
        }
        assert_eq!((Country::parse("XX"), Country::parse("USA")), (None, None));
    }

    #[test]
    fn a_whatsapp_id_is_a_number_without_its_plus() {
        assert_eq!(Identity::whatsapp("14155550123"), phone("+14155550123"));
        assert_eq!(Identity::whatsapp("12"), None);
    }
}
