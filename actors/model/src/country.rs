//! Which country a phone number is of, as two capital letters (ISO 3166).
//!
//! From the same metadata as `address.rs`. The patterns that tell countries of one calling code
//! apart are slow: this is for what is asked rarely, never for each message.

use phonenumber::metadata::DATABASE;

/// The mark of calling codes that belong to no country.
const NOWHERE: &str = "001";

/// The country of an E.164 number. `None`: of none, as satellite phones.
#[must_use]
pub fn country_of(number: &str) -> Option<&'static str> {
    let number = phonenumber::parse(None, number).ok()?;
    let id = number.metadata(&DATABASE)?.id();
    (id != NOWHERE).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_countries_even_where_they_share_a_calling_code() {
        for (number, country) in [
            ("+14155550123", Some("US")),
            ("+14165550123", Some("CA")),
            ("+447400123456", Some("GB")),
            ("+33612345678", Some("FR")),
            ("+881612345678", None),
            ("x", None),
        ] {
            assert_eq!(country_of(number), country, "{number}");
        }
    }
}
