//! The GSM 7-bit default alphabet and its extension table, 3GPP TS 23.038 §6.2.1.
//!
//! Septets travel one per octet, unpacked, as SMPP sends data_coding 0. An extended character is
//! two septets: ESC and a code. Decoding never fails: an octet over 0x7F is read as Latin-1 (some
//! carriers mean that), an unknown extension falls back to the basic table, a last ESC is dropped.

/// Leads to the extension table.
pub const ESC: u8 = 0x1B;

/// The basic table; ESC stands at its own place and is never encoded.
const BASIC: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// No code: not in the alphabet.
const NONE: u16 = 0xFFFF;

/// Codes of U+0000–U+00FF: below 0x80 a septet, 0x1B00 and up an extended pair.
const LATIN: [u16; 256] = latin_table();

/// The septets of one character, or `None` outside the alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    One(u8),
    Two(u8),
}

/// How many septets a text takes; `None` when a character is outside the alphabet.
pub fn septets(text: &str) -> Option<usize> {
    let mut count = 0;
    for c in text.chars() {
        count += match code(c)? {
            Code::One(_) => 1,
            Code::Two(_) => 2,
        };
    }
    Some(count)
}

/// One septet per octet; `None` when a character is outside the alphabet.
pub fn encode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        put(&mut out, code(c)?);
    }
    Some(out)
}

/// Reads unpacked septets.
pub fn decode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut octets = bytes.iter().copied();
    while let Some(octet) = octets.next() {
        match octet {
            ESC => text.extend(octets.next().map(extended)),
            _ => text.push(basic(octet)),
        }
    }
    text
}

pub(crate) fn code(c: char) -> Option<Code> {
    let point = u32::from(c);
    let code = match LATIN.get(point as usize) {
        Some(&code) => code,
        None => match c {
            'Δ' => 0x10,
            'Φ' => 0x12,
            'Γ' => 0x13,
            'Λ' => 0x14,
            'Ω' => 0x15,
            'Π' => 0x16,
            'Ψ' => 0x17,
            'Σ' => 0x18,
            'Θ' => 0x19,
            'Ξ' => 0x1A,
            '€' => 0x1B65,
            _ => NONE,
        },
    };
    match code.to_be_bytes() {
        _ if code == NONE => None,
        [0, septet] => Some(Code::One(septet)),
        [_, septet] => Some(Code::Two(septet)),
    }
}

pub(crate) fn put(out: &mut Vec<u8>, code: Code) {
    match code {
        Code::One(septet) => out.push(septet),
        Code::Two(septet) => out.extend_from_slice(&[ESC, septet]),
    }
}

fn basic(octet: u8) -> char {
    BASIC.get(usize::from(octet)).copied().unwrap_or(char::from(octet))
}

fn extended(octet: u8) -> char {
    if octet == ESC {
        return ' ';
    }
    let found = EXTENSION.iter().find(|(code, _)| *code == octet);
    found.map_or_else(|| basic(octet), |&(_, c)| c)
}

const fn latin_table() -> [u16; 256] {
    let mut table = [NONE; 256];
    let mut septet = 0;
    while septet < BASIC.len() {
        let point = BASIC[septet] as usize;
        if point < 256 && septet != ESC as usize {
            table[point] = septet as u16;
        }
        septet += 1;
    }
    let mut i = 0;
    while i < EXTENSION.len() {
        let point = EXTENSION[i].1 as usize;
        if point < 256 {
            table[point] = (ESC as u16) << 8 | EXTENSION[i].0 as u16;
        }
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_of_both_tables_comes_back() {
        for (septet, &c) in BASIC.iter().enumerate() {
            let text = c.to_string();
            if septet == usize::from(ESC) {
                assert_eq!(encode(&text), None);
                continue;
            }
            assert_eq!(encode(&text), Some(vec![septet as u8]), "{c:?}");
            assert_eq!(decode(&[septet as u8]), text);
        }
        for (septet, c) in EXTENSION {
            let text = c.to_string();
            assert_eq!(encode(&text), Some(vec![ESC, septet]), "{c:?}");
            assert_eq!(decode(&[ESC, septet]), text);
            assert_eq!(septets(&text), Some(2));
        }
    }

    #[test]
    fn only_the_alphabet_is_encoded() {
        assert_eq!(septets("Hello {€}"), Some(12));
        for outside in ["ç", "`", "\t", "’", "Ж", "😀", "\u{1b}", "á"] {
            assert_eq!(encode(outside), None, "{outside:?}");
            assert_eq!(septets(outside), None);
        }
        assert_eq!(encode(""), Some(Vec::new()));
    }

    #[test]
    fn odd_octets_decode_to_something() {
        assert_eq!(decode(&[ESC]), "");
        assert_eq!(decode(&[ESC, ESC, b'a']), " a");
        assert_eq!(decode(&[ESC, b'a']), "a");
        assert_eq!(decode(&[0x00, 0xE9, 0xFF]), "@éÿ");
    }
}
