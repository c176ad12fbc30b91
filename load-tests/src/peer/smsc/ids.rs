//! Message ids as carriers write them: in the answer one way, in the receipt another.

use std::io::Write;

use clap::ValueEnum;

/// How the number of a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IdFormat {
    /// Decimal in both places.
    Dec,
    /// Lower-case hexadecimal in both places.
    Hex,
    /// Upper-case hexadecimal in both places.
    HexUpper,
    /// Hexadecimal, upper case in the answer and lower case in the receipt.
    HexCaseChange,
    HexInRespDecInReceipt,
    DecInRespHexInReceipt,
    /// Decimal of twenty digits in the answer, without the zeros in the receipt.
    ZeroPadded,
    /// A UUID with dashes in both places.
    Uuid,
    /// Hexadecimal in the answer, decimal beyond the signed range in the receipt.
    #[value(name = "64bit")]
    Bits64,
}

enum Shape {
    Dec,
    HexLower,
    HexUpper,
    Padded,
    Uuid,
    HighHex,
    HighDec,
}

const HIGH_BIT: u64 = 1 << 63;

impl IdFormat {
    pub(crate) fn in_answer(self, number: u64, out: &mut Vec<u8>) {
        let shape = match self {
            Self::Dec | Self::DecInRespHexInReceipt => Shape::Dec,
            Self::Hex | Self::HexInRespDecInReceipt => Shape::HexLower,
            Self::HexUpper | Self::HexCaseChange => Shape::HexUpper,
            Self::ZeroPadded => Shape::Padded,
            Self::Uuid => Shape::Uuid,
            Self::Bits64 => Shape::HighHex,
        };
        shape.write(number, out);
    }

    pub(crate) fn in_receipt(self, number: u64, out: &mut Vec<u8>) {
        let shape = match self {
            Self::Dec | Self::HexInRespDecInReceipt | Self::ZeroPadded => Shape::Dec,
            Self::Hex | Self::HexCaseChange | Self::DecInRespHexInReceipt => Shape::HexLower,
            Self::HexUpper => Shape::HexUpper,
            Self::Uuid => Shape::Uuid,
            Self::Bits64 => Shape::HighDec,
        };
        shape.write(number, out);
    }
}

impl Shape {
    fn write(&self, number: u64, out: &mut Vec<u8>) {
        let written = match self {
            Self::Dec => write!(out, "{number}"),
            Self::HexLower => write!(out, "{number:x}"),
            Self::HexUpper => write!(out, "{number:X}"),
            Self::Padded => write!(out, "{number:020}"),
            Self::HighHex => write!(out, "{:x}", number | HIGH_BIT),
            Self::HighDec => write!(out, "{}", number | HIGH_BIT),
            Self::Uuid => {
                let (high, low) = (mix(number), mix(!number));
                write!(
                    out,
                    "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                    high >> 32,
                    high >> 16 & 0xFFFF,
                    high & 0xFFFF,
                    low >> 48,
                    low & 0xFFFF_FFFF_FFFF
                )
            }
        };
        // Writing to a vector cannot fail.
        debug_assert!(written.is_ok());
    }
}

/// Spreads a number over 64 bits, one to one.
pub(crate) fn mix(number: u64) -> u64 {
    let mut value = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: IdFormat, number: u64) -> (String, String) {
        let (mut answer, mut receipt) = (Vec::new(), Vec::new());
        format.in_answer(number, &mut answer);
        format.in_receipt(number, &mut receipt);
        let text = |octets| String::from_utf8(octets).expect("ids are ASCII");
        (text(answer), text(receipt))
    }

    #[test]
    fn each_format_writes_what_its_name_says() {
        let cases = [
            (IdFormat::Dec, "48879", "48879"),
            (IdFormat::Hex, "beef", "beef"),
            (IdFormat::HexUpper, "BEEF", "BEEF"),
            (IdFormat::HexCaseChange, "BEEF", "beef"),
            (IdFormat::HexInRespDecInReceipt, "beef", "48879"),
            (IdFormat::DecInRespHexInReceipt, "48879", "beef"),
            (IdFormat::ZeroPadded, "00000000000000048879", "48879"),
            (IdFormat::Bits64, "800000000000beef", "9223372036854824687"),
        ];
        for (format, answer, receipt) in cases {
            let expected = (answer.to_owned(), receipt.to_owned());
            assert_eq!(written(format, 0xBEEF), expected, "{format:?}");
        }
    }

    #[test]
    fn a_uuid_is_the_same_in_both_places_and_differs_by_number() {
        let (answer, receipt) = written(IdFormat::Uuid, 1);
        assert_eq!(answer, receipt);
        assert_eq!(answer.len(), 36);
        assert_ne!(answer, written(IdFormat::Uuid, 2).0);
    }
}
