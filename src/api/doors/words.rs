//! Texts in the alphabets that requests name, made the octets of a short message.

use proto_smpp::{gsm7, ucs2};

/// What stands for a character that the default alphabet lacks.
const UNKNOWN: u8 = b'?';

/// Windows-1252 from 0x80 on, where it differs from Latin-1.
const WINDOWS: [char; 32] = [
    '\u{20AC}', '\u{81}', '\u{201A}', '\u{192}', '\u{201E}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2C6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8D}', '\u{17D}', '\u{8F}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201C}', '\u{201D}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2DC}', '\u{2122}', '\u{161}', '\u{203A}', '\u{153}', '\u{9D}', '\u{17E}', '\u{178}',
];

/// The default alphabet's octets of a text, one per septet; what it lacks becomes `?`.
pub(super) fn to_gsm(text: &str) -> Vec<u8> {
    if let Some(octets) = gsm7::encode(text) {
        return octets;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut buffer = [0; 4];
    for character in text.chars() {
        match gsm7::encode(character.encode_utf8(&mut buffer)) {
            Some(octets) => out.extend_from_slice(&octets),
            None => out.push(UNKNOWN),
        }
    }
    out
}

/// A text in a charset; `None`: the charset is not known here, or the octets are none of its.
pub(super) fn decode(charset: &str, octets: &[u8]) -> Option<String> {
    let name: String = charset.chars().filter(char::is_ascii_alphanumeric).collect();
    let wide = |wanted: fn([u8; 2]) -> u16| {
        let units = octets.chunks_exact(2).map(|pair| wanted([pair[0], pair[1]]));
        let units: Vec<u16> = units.collect();
        String::from_utf16(&units).ok().filter(|_| octets.len().is_multiple_of(2))
    };
    match name.to_ascii_lowercase().as_str() {
        "utf8" => String::from_utf8(octets.to_vec()).ok(),
        "usascii" | "ascii" => {
            octets.is_ascii().then(|| octets.iter().map(|b| char::from(*b)).collect())
        }
        "iso88591" | "latin1" => Some(octets.iter().map(|b| char::from(*b)).collect()),
        "iso885915" | "latin9" => Some(octets.iter().map(|b| latin9(*b)).collect()),
        "windows1252" | "cp1252" => Some(octets.iter().map(|b| windows(*b)).collect()),
        "utf16be" | "utf16" | "ucs2" | "ucs2be" | "iso10646ucs2" => wide(u16::from_be_bytes),
        "utf16le" | "ucs2le" => wide(u16::from_le_bytes),
        _ => None,
    }
}

/// UCS-2, big-endian.
pub(super) fn to_ucs2(text: &str) -> Vec<u8> {
    ucs2::encode(text)
}

fn windows(octet: u8) -> char {
    match octet {
        0x80..=0x9F => WINDOWS[usize::from(octet - 0x80)],
        other => char::from(other),
    }
}

fn latin9(octet: u8) -> char {
    match octet {
        0xA4 => '\u{20AC}',
        0xA6 => '\u{160}',
        0xA8 => '\u{161}',
        0xB4 => '\u{17D}',
        0xB8 => '\u{17E}',
        0xBC => '\u{152}',
        0xBD => '\u{153}',
        0xBE => '\u{178}',
        other => char::from(other),
    }
}

/// Octets from hex digits.
pub(super) fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let pairs = text.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_in_their_charset() {
        let cases: [(&str, &[u8], Option<&str>); 11] = [
            ("UTF-8", "h\u{e9}".as_bytes(), Some("h\u{e9}")),
            ("utf8", &[0xFF], None),
            ("ISO-8859-1", &[0xE9], Some("\u{e9}")),
            ("iso-8859-15", &[0xA4], Some("\u{20AC}")),
            ("WINDOWS-1252", &[0x80, 0x93], Some("\u{20AC}\u{201C}")),
            ("US-ASCII", b"a", Some("a")),
            ("ASCII", &[0x80], None),
            ("UTF-16BE", &[0x04, 0x1F], Some("\u{41F}")),
            ("UTF-16LE", &[0x1F, 0x04], Some("\u{41F}")),
            ("UTF-16BE", &[0x04], None),
            ("EBCDIC", b"a", None),
        ];
        for (charset, octets, text) in cases {
            assert_eq!(decode(charset, octets).as_deref(), text, "{charset} {octets:?}");
        }
    }

    #[test]
    fn what_the_default_alphabet_lacks_becomes_a_question_mark() {
        assert_eq!(to_gsm("a@\u{20AC}"), [b'a', 0, 0x1B, 0x65]);
        assert_eq!(to_gsm("a\u{41F}\u{1F44B}b"), *b"a??b");
    }

    #[test]
    fn hex_is_read_in_pairs() {
        assert_eq!(unhex(b"00fF"), Some(vec![0, 255]));
        assert_eq!(unhex(b"0"), None);
        assert_eq!(unhex(b"0g"), None);
    }
}
