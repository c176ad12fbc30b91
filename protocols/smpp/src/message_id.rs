//! Making a carrier's id in its response meet the one in its receipt.
//!
//! Carriers pad with zeros, change case, answer in hex and report in decimal or the reverse, up to
//! and past 64 bit. `canonical` takes away what never matters; `Rule` names what a carrier does
//! beyond that, so that it can be learned once per carrier and then looked up at once.

/// Ids are cut here; nothing is hashed. Two ids alike in 255 octets count as one.
pub const LONGEST: usize = 255;

/// How the id of a response becomes the id of the receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Rule {
    #[default]
    Same,
    /// The response was hex, the receipt is decimal.
    HexToDec,
    /// The response was decimal, the receipt is hex.
    DecToHex,
}

impl Rule {
    /// The id to expect in the receipt for a response's canonical id; `None` when it is no number
    /// of that kind.
    pub fn apply(self, id: &str) -> Option<String> {
        match self {
            Self::Same => Some(id.to_owned()),
            Self::HexToDec => number(id, 16).map(|n| n.to_string()),
            Self::DecToHex => number(id, 10).map(|n| format!("{n:x}")),
        }
    }

    /// The id of the response for a receipt's canonical id.
    pub fn undo(self, id: &str) -> Option<String> {
        match self {
            Self::Same => Self::Same.apply(id),
            Self::HexToDec => Self::DecToHex.apply(id),
            Self::DecToHex => Self::HexToDec.apply(id),
        }
    }

    /// The rule by which a response's canonical id meets a receipt's, the simplest first.
    pub fn between(response: &str, receipt: &str) -> Option<Self> {
        [Self::Same, Self::HexToDec, Self::DecToHex]
            .into_iter()
            .find(|rule| rule.apply(response).as_deref() == Some(receipt))
    }
}

/// Without NULs and spaces around, in ASCII lower case, without leading zeros (the last digit
/// stays), at most `LONGEST` characters. Octets over 0x7F are read as Latin-1.
pub fn canonical(raw: &[u8]) -> String {
    let blank = |b: &u8| *b == 0 || b.is_ascii_whitespace();
    let start = raw.iter().position(|b| !blank(b)).unwrap_or(raw.len());
    let end = raw.iter().rposition(|b| !blank(b)).map_or(start, |last| last + 1);
    let mut id = &raw[start..end];
    while let [b'0', rest @ ..] = id
        && rest.first().is_some_and(u8::is_ascii_alphanumeric)
    {
        id = rest;
    }
    let id = &id[..id.len().min(LONGEST)];
    // A NUL in the middle is no part of an id, and no database takes it in a text.
    id.iter().filter(|b| **b != 0).map(|b| char::from(b.to_ascii_lowercase())).collect()
}

/// The other forms in which a carrier may name the same message, itself not among them: as hex
/// read to decimal, as decimal written in hex. Numbers go up to 128 bit.
pub fn alternatives(canonical: &str) -> Vec<String> {
    let mut found = Vec::with_capacity(2);
    for rule in [Rule::HexToDec, Rule::DecToHex] {
        if let Some(other) = rule.apply(canonical)
            && other != canonical
            && !found.contains(&other)
        {
            found.push(other);
        }
    }
    found
}

fn number(id: &str, radix: u32) -> Option<u128> {
    // The parser would take a sign; an id has none.
    let digits = id.bytes().all(|b| char::from(b).is_digit(radix));
    digits.then(|| u128::from_str_radix(id, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_case_and_blanks_do_not_matter() {
        for raw in [&b"00001A2b"[..], b"1a2B", b" 1a2b\0", b"1A2B\0\0", b"\r\n1a2b "] {
            assert_eq!(canonical(raw), "1a2b");
        }
        assert_eq!(canonical(b"0000"), "0");
        assert_eq!(canonical(b"0"), "0");
        assert_eq!(canonical(b""), "");
        assert_eq!(canonical(b"\0 \0"), "");
        assert_eq!(canonical(b"0-1"), "0-1");
    }

    #[test]
    fn long_and_dashed_ids_stay_themselves() {
        let uuid = "d290f1ee-6c54-4b01-90e6-d701748f0851";
        assert_eq!(canonical(uuid.to_uppercase().as_bytes()), uuid);
        assert!(alternatives(uuid).is_empty());
        assert_eq!(canonical(&[b'z'; 400]).len(), LONGEST);
        assert_eq!(canonical(b"SAR-12-3"), "sar-12-3");
    }

    #[test]
    fn hex_and_decimal_meet_both_ways() {
        assert_eq!(Rule::between("1a2b", "6699"), Some(Rule::HexToDec));
        assert_eq!(Rule::between("6699", "1a2b"), Some(Rule::DecToHex));
        assert_eq!(Rule::between("6699", "6699"), Some(Rule::Same));
        assert_eq!(Rule::between("1a2b", "6698"), None);
        assert_eq!(alternatives("1a2b"), ["6699"]);
        assert_eq!(alternatives("12345678"), ["305419896", "bc614e"]);
        assert_eq!(alternatives("7"), [""; 0]);
        assert_eq!(alternatives("+7"), [""; 0]);
    }

    #[test]
    fn numbers_beyond_64_bit_meet_too() {
        let (hex, decimal) = ("ffffffffffffffffff", "4722366482869645213695");
        assert_eq!(Rule::between(hex, decimal), Some(Rule::HexToDec));
        assert_eq!(Rule::DecToHex.undo(hex).as_deref(), Some(decimal));
        assert_eq!(alternatives("e6a4f3ad1a0d9a5c"), ["16619676449695963740"]);
        assert!(alternatives(&"f".repeat(33)).is_empty(), "past 128 bit nothing is guessed");
    }

    #[test]
    fn a_rule_undone_gives_the_response_back() {
        for rule in [Rule::Same, Rule::HexToDec, Rule::DecToHex] {
            let receipt = rule.apply("1234").unwrap();
            assert_eq!(rule.undo(&receipt).as_deref(), Some("1234"));
        }
    }
}
