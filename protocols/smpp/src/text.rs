//! Octets to text by data_coding, SMPP 3.4 §5.2.19 and 3GPP TS 23.038 §4.
//!
//! Never fails. Data_coding 0 is "the SMSC's default alphabet": GSM for most, ASCII or Latin-1 for
//! some, so the caller may name it (`decode_as`). Binary codings are shown as Latin-1, octet by
//! octet, which loses nothing.

use crate::{gsm7, ucs2};

/// What a carrier means by data_coding 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DefaultAlphabet {
    #[default]
    Gsm7,
    /// ASCII and Latin-1 alike.
    Latin1,
}

/// The alphabet that a data_coding stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    Gsm7,
    Latin1,
    Cyrillic,
    Hebrew,
    Ucs2,
    /// Octets, not text.
    Binary,
}

/// The alphabet of a data_coding where 0 means GSM.
pub fn alphabet(data_coding: u8) -> Alphabet {
    match data_coding {
        0x00 => Alphabet::Gsm7,
        0x01 | 0x03 => Alphabet::Latin1,
        0x06 => Alphabet::Cyrillic,
        0x07 => Alphabet::Hebrew,
        0x08 => Alphabet::Ucs2,
        0x02 | 0x04 | 0x05 | 0x09..=0x0F => Alphabet::Binary,
        // General data coding with a message class; bit 5 says compressed, which nobody reads.
        0x10..=0x1F => general(data_coding),
        0x20..=0x3F => Alphabet::Binary,
        // Message waiting: discard or store in GSM, store in UCS-2.
        0xC0..=0xDF => Alphabet::Gsm7,
        0xE0..=0xEF => Alphabet::Ucs2,
        0xF0..=0xFF if data_coding & 0x04 == 0 => Alphabet::Gsm7,
        _ => Alphabet::Binary,
    }
}

pub fn decode(data_coding: u8, bytes: &[u8]) -> String {
    decode_as(DefaultAlphabet::Gsm7, data_coding, bytes)
}

/// Decodes for a carrier whose data_coding 0 means `default`.
pub fn decode_as(default: DefaultAlphabet, data_coding: u8, bytes: &[u8]) -> String {
    match alphabet(data_coding) {
        Alphabet::Gsm7 if data_coding == 0 && default == DefaultAlphabet::Latin1 => latin1(bytes),
        Alphabet::Gsm7 => gsm7::decode(bytes),
        Alphabet::Latin1 | Alphabet::Binary => latin1(bytes),
        Alphabet::Cyrillic => bytes.iter().map(|&b| cyrillic(b)).collect(),
        Alphabet::Hebrew => bytes.iter().map(|&b| hebrew(b)).collect(),
        Alphabet::Ucs2 => ucs2::decode(bytes),
    }
}

/// Each octet as the character of the same number.
pub fn latin1(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.to_owned(),
        _ => bytes.iter().map(|&b| char::from(b)).collect(),
    }
}

fn general(data_coding: u8) -> Alphabet {
    match data_coding & 0x0C {
        0x00 => Alphabet::Gsm7,
        0x08 => Alphabet::Ucs2,
        _ => Alphabet::Binary,
    }
}

/// ISO 8859-5: the upper half lies in one block, but for four signs.
fn cyrillic(octet: u8) -> char {
    match octet {
        0xF0 => '№',
        0xFD => '§',
        0xA1..=0xAC | 0xAE..=0xFF => {
            char::from_u32(0x0360 + u32::from(octet)).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        _ => char::from(octet),
    }
}

/// ISO 8859-8: the letters; the signs are those of Latin-1 but for two.
fn hebrew(octet: u8) -> char {
    match octet {
        0xAA => '×',
        0xBA => '÷',
        0xE0..=0xFA => {
            char::from_u32(0x04F0 + u32::from(octet)).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        _ => char::from(octet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_data_coding_reads_its_alphabet() {
        assert_eq!(decode(0, &[0x00, 0x1B, 0x65]), "@€");
        assert_eq!(decode(1, b"a@b"), "a@b");
        assert_eq!(decode(3, b"caf\xe9"), "café");
        assert_eq!(decode(6, &[0xBF, 0xE0, 0xD8]), "При");
        assert_eq!(decode(7, &[0xE9, 0xE5, 0xED]), "יום");
        assert_eq!(decode(8, &[0x04, 0x1F]), "П");
        assert_eq!(decode(4, &[0, 0xFF]), "\0ÿ");
    }

    #[test]
    fn classes_and_waiting_groups_name_an_alphabet_too() {
        assert_eq!(decode(0xF0, &[0x00]), "@");
        assert_eq!(decode(0xF5, &[0x40]), "@");
        assert_eq!(decode(0x10, &[0x00]), "@");
        assert_eq!(decode(0x18, &[0x00, b'a']), "a");
        assert_eq!(decode(0xC8, &[0x00]), "@");
        assert_eq!(decode(0xE0, &[0x00, b'a']), "a");
    }

    #[test]
    fn a_carrier_may_mean_latin_1_by_default() {
        assert_eq!(decode_as(DefaultAlphabet::Latin1, 0, b"a@\xe9"), "a@é");
        assert_eq!(decode_as(DefaultAlphabet::Latin1, 0xF0, &[0]), "@");
    }

    #[test]
    fn every_coding_takes_every_octet() {
        let all: Vec<u8> = (0..=255).collect();
        for data_coding in 0..=255 {
            assert!(!decode(data_coding, &all).is_empty());
        }
    }
}
