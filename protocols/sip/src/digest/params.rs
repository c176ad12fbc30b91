//! The parameters of a digest header: `Digest name=value, name="value"`.
//!
//! Values may be quoted or not, whatever the standard says of each; white space, also of folded lines,
//! may stand around commas and equals signs. A name that comes twice is refused: two readers could take
//! different ones.

use std::borrow::Cow;

use super::{DigestError, VALUE_MAX};

const PARAMS_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct Params<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Params<'a> {
    pub(super) fn parse(value: &'a str) -> Result<Self, DigestError> {
        if value.len() > VALUE_MAX {
            return Err(DigestError::TooLong);
        }
        let value = value.trim_matches(is_space);
        let (scheme, mut rest) = value.split_once(is_space).ok_or(DigestError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return Err(DigestError::Scheme);
        }
        let mut params: Vec<(&str, Cow<'_, str>)> = Vec::new();
        loop {
            let (name, after) = rest.split_once('=').ok_or(DigestError::Form)?;
            let name = name.trim_matches(is_space);
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(DigestError::Form);
            }
            if params.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                return Err(DigestError::Twice);
            }
            if params.len() == PARAMS_MAX {
                return Err(DigestError::TooLong);
            }
            let (value, after) = text(after.trim_start_matches(is_space))?;
            params.push((name, value));
            let after = after.trim_start_matches(is_space);
            match after.strip_prefix(',') {
                // A comma at the end is passed over.
                Some(more) if !more.trim_matches(is_space).is_empty() => rest = more,
                Some(_) => return Ok(Self(params)),
                None if after.is_empty() => return Ok(Self(params)),
                None => return Err(DigestError::Form),
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter();
        all.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    pub(super) fn need(&self, name: &'static str) -> Result<&str, DigestError> {
        self.get(name).ok_or(DigestError::Parameter(name))
    }
}

fn is_space(sign: char) -> bool {
    matches!(sign, ' ' | '\t' | '\r' | '\n')
}

/// What no quoted value holds.
fn is_unfit(sign: char) -> bool {
    sign.is_control() && sign != '\t'
}

fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&octet)
}

/// A value, and what follows it.
fn text(rest: &str) -> Result<(Cow<'_, str>, &str), DigestError> {
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(|sign| sign == ',' || is_space(sign)).unwrap_or(rest.len());
        let (value, rest) = rest.split_at(end);
        let plain = value.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'"');
        return if plain && !value.is_empty() {
            Ok((value.into(), rest))
        } else {
            Err(DigestError::Form)
        };
    };
    let mut unescaped = String::new();
    let mut escaped = false;
    for (at, sign) in quoted.char_indices() {
        match sign {
            _ if is_unfit(sign) => return Err(DigestError::Form),
            _ if escaped => {
                unescaped.push(sign);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => {
                let raw = &quoted[..at];
                let value = if raw.contains('\\') { unescaped.into() } else { raw.into() };
                return Ok((value, &quoted[at + 1..]));
            }
            _ => unescaped.push(sign),
        }
    }
    Err(DigestError::Form)
}

/// A quoted value. A control sign would begin a line of its own: it is refused.
pub(super) fn quoted(name: &'static str, value: &str) -> Result<String, DigestError> {
    if value.chars().any(is_unfit) {
        return Err(DigestError::Parameter(name));
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!("{name}=\"{escaped}\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_quoted_or_not_with_space_around() {
        let params = Params::parse("digest  a=b ,\r\n C = \"d, \\\"e\\\\\" , f=\"\",").unwrap();
        assert_eq!((params.get("A"), params.get("c")), (Some("b"), Some("d, \"e\\")));
        assert_eq!((params.get("f"), params.get("g")), (Some(""), None));
        assert_eq!(params.need("g").err(), Some(DigestError::Parameter("g")));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for (value, error) in [
            ("", DigestError::Scheme),
            ("Digest", DigestError::Scheme),
            ("Basic YTpi", DigestError::Scheme),
            ("Digest a", DigestError::Form),
            ("Digest a=", DigestError::Form),
            ("Digest =a", DigestError::Form),
            ("Digest a=\"b", DigestError::Form),
            ("Digest a=\"b\\", DigestError::Form),
            ("Digest a=\"b\"c=d", DigestError::Form),
            ("Digest a=\"b\0\"", DigestError::Form),
            ("Digest a=\"b\r\nc\"", DigestError::Form),
            ("Digest a=b\"c", DigestError::Form),
            ("Digest a=b,,c=d", DigestError::Form),
            ("Digest a=b, Digest a=c", DigestError::Form),
            ("Digest a=b, A=c", DigestError::Twice),
        ] {
            assert_eq!(Params::parse(value).err(), Some(error), "{value:?}");
        }
        let long = format!("Digest a={}", "x".repeat(VALUE_MAX));
        assert_eq!(Params::parse(&long).err(), Some(DigestError::TooLong));
        let many: Vec<String> = (0..40).map(|number| format!("a{number}=b")).collect();
        let many = format!("Digest {}", many.join(","));
        assert_eq!(Params::parse(&many).err(), Some(DigestError::TooLong));
    }

    #[test]
    fn nothing_is_injected_by_a_value() {
        assert_eq!(quoted("a", "b\"c\\"), Ok("a=\"b\\\"c\\\\\"".to_owned()));
        assert_eq!(quoted("a", "b\r\nEvil: x"), Err(DigestError::Parameter("a")));
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read(value in "\\PC{0,40}") {
            let line = format!("Digest {}, b=1", quoted("a", &value).unwrap());
            let params = Params::parse(&line).unwrap();
            prop_assert_eq!(params.get("a"), Some(value.as_str()));
            prop_assert_eq!(params.get("b"), Some("1"));
        }

        #[test]
        fn no_value_panics(value in "(Digest )?[a-c=\",\\\\ \\PC]{0,60}") {
            let _ = Params::parse(&value);
        }
    }
}
