//! UCS-2 as the networks use it: UTF-16, big-endian, surrogate pairs included (data_coding 8).
//!
//! Encoding loses nothing. Decoding never fails: a lone surrogate becomes U+FFFD, the last octet
//! of an odd count is dropped.

/// How many 16-bit units a text takes.
pub fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

pub fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 2);
    for unit in text.encode_utf16() {
        out.extend_from_slice(&unit.to_be_bytes());
    }
    out
}

pub fn decode(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogate_pairs_come_back() {
        for text in ["", "Привет", "😀 and 👩‍👩‍👧", "\u{10FFFF}\u{FFFF}\0"] {
            assert_eq!(decode(&encode(text)), text);
            assert_eq!(units(text) * 2, encode(text).len());
        }
        assert_eq!(units("😀"), 2);
    }

    #[test]
    fn an_odd_octet_is_dropped_and_half_a_pair_replaced() {
        assert_eq!(decode(&[0, b'a', 0]), "a");
        assert_eq!(decode(&[7]), "");
        assert_eq!(decode(&[0xD8, 0x3D, 0, b'a']), "\u{FFFD}a");
        assert_eq!(decode(&[0xDE, 0x00]), "\u{FFFD}");
    }
}
