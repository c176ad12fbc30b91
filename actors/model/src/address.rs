//! Phone numbers and senders: what may stand in `to` and `from`, and how SMPP types them.
//!
//! Recipients are E.164. Calling codes and lengths come from Google's numbering metadata
//! (crate `phonenumber`), read once into a table, because a full parse with its regular
//! expressions costs more than storing the message. A number counts as possible when its calling
//! code exists and a number of that length exists there: new ranges are not refused for being new.

use std::sync::LazyLock;

use phonenumber::metadata::DATABASE;

/// A recipient in E.164, with its `+`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recipient(String);

impl Recipient {
    /// Accepts `+` and 7 to 15 digits that can be a number of that country.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        is_possible(digits).then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits without `+`, as they go over SMPP and into rate prefixes.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// How a sender is written, and so its SMPP type of number and numbering plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderKind {
    /// 3 to 11 letters, digits, spaces, `-`, `_`, with at least one letter.
    Alphanumeric,
    /// E.164 with its `+`.
    International,
    /// 3 to 8 digits.
    ShortCode,
}

impl SenderKind {
    /// The kind of a sender, or nothing when it is none.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix('+') {
            return is_possible(digits).then_some(Self::International);
        }
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if digits {
            return (3..=8).contains(&text.len()).then_some(Self::ShortCode);
        }
        let letters = text.bytes().any(|b| b.is_ascii_alphabetic());
        let allowed =
            text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-' | b'_'));
        let trimmed = text.trim() == text;
        (letters && allowed && trimmed && (3..=11).contains(&text.len()))
            .then_some(Self::Alphanumeric)
    }

    /// The name of the kind.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alphanumeric => "alphanumeric",
            Self::International => "international",
            Self::ShortCode => "short_code",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Alphanumeric, Self::International, Self::ShortCode]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// SMPP type of number and numbering plan indicator.
    #[must_use]
    pub fn ton_npi(self) -> (u8, u8) {
        match self {
            Self::Alphanumeric => (5, 0),
            Self::International => (1, 1),
            Self::ShortCode => (3, 0),
        }
    }
}

/// Bit `n` set: national numbers of `n` digits exist. One word per calling code 1 to 999.
static LENGTHS: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let mut table = vec![0_u32; 1000];
    for (code, lengths) in table.iter_mut().enumerate() {
        let Ok(code) = u16::try_from(code) else {
            continue;
        };
        for region in DATABASE.by_code(&code).unwrap_or_default() {
            let kinds = region.descriptors();
            let described = [
                Some(kinds.general()),
                kinds.fixed_line(),
                kinds.mobile(),
                kinds.toll_free(),
                kinds.premium_rate(),
                kinds.shared_cost(),
                kinds.personal_number(),
                kinds.voip(),
                kinds.pager(),
                kinds.uan(),
            ];
            for length in described.into_iter().flatten().flat_map(|d| d.possible_length()) {
                *lengths |= 1_u32.checked_shl(u32::from(*length)).unwrap_or(0);
            }
        }
    }
    table
});

/// The calling code a number begins with, if there is one. No code begins another.
pub(crate) fn calling_code(digits: &str) -> Option<&str> {
    (1..=3).filter_map(|length| digits.get(..length)).find(|code| {
        code.parse::<usize>().is_ok_and(|code| LENGTHS.get(code).is_some_and(|bits| *bits != 0))
    })
}

/// The range of numbers an E.164 number lies in: its calling code and so many digits more, as a
/// number.
#[must_use]
pub fn range_of(number: &str, more: usize) -> Option<u64> {
    let digits = number.strip_prefix('+')?;
    let length = calling_code(digits)?.len() + more;
    digits.get(..length)?.parse().ok()
}

fn is_possible(digits: &str) -> bool {
    let shaped = (7..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    shaped
        && (1..=3).any(|code_digits| {
            let code: usize = digits[..code_digits].parse().unwrap_or(0);
            LENGTHS[code] & (1 << (digits.len() - code_digits)) != 0
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_can_exist_are_recipients() {
        for good in
            ["+15005550002", "+14155550123", "+447911123456", "+4915112345678", "+33612345678"]
        {
            assert!(Recipient::parse(good).is_some(), "{good}");
        }
        assert!(Recipient::parse("+919812345678").is_some());
        assert!(Recipient::parse("+8613812345678").is_some());
        assert!(Recipient::parse("+5511987654321").is_some());
    }

    #[test]
    fn what_cannot_be_a_number_is_refused() {
        for bad in [
            "",
            "+",
            "15005550002",
            "+1500555",
            "+150055500021",
            "+1 500 555 0002",
            "+0123456789",
            "+999123456789",
            "+1500555000a",
            "+٣٣٦١٢٣٤٥٦٧٨",
            "++15005550002",
            "+1234567890123456",
        ] {
            assert_eq!(Recipient::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_range_is_the_calling_code_and_some_digits() {
        assert_eq!(range_of("+14155550123", 3), Some(1_415));
        assert_eq!(range_of("+3725123456", 3), Some(372_512));
        assert_eq!(range_of("+447911123456", 3), Some(44_791));
        for bad in ["14155550123", "+", "+999123", "+1é5"] {
            assert_eq!(range_of(bad, 3), None, "{bad}");
        }
    }

    #[test]
    fn senders_are_typed_by_their_looks() {
        use SenderKind::{Alphanumeric, International, ShortCode};
        assert_eq!(SenderKind::of("Orbit"), Some(Alphanumeric));
        assert_eq!(SenderKind::of("My-Shop_1"), Some(Alphanumeric));
        assert_eq!(SenderKind::of("+14155550123"), Some(International));
        assert_eq!(SenderKind::of("12345"), Some(ShortCode));
        for bad in ["", "ab", "TwelveChars1", "12", "123456789", "Ünïcode", "a!b", " abc", "+12"]
        {
            assert_eq!(SenderKind::of(bad), None, "{bad}");
        }
        assert_eq!(Alphanumeric.ton_npi(), (5, 0));
        assert_eq!(International.ton_npi(), (1, 1));
        assert_eq!(ShortCode.ton_npi(), (3, 0));
    }
}
