//! Message ids as carriers write them: in the answer one way, in the receipt another.

use std::io::Write;

use clap::ValueEnum;

use super::wire::Part;
use crate::simulate::quirk::Quirks;

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
    /// Decimal in the answer, with leading zeros in the receipt.
    ZeroAdded,
    /// Hexadecimal, lower case in the answer and upper case in the receipt.
    HexCaseRaised,
    /// As `SAR-<number>-<parts>-<part>` in both places.
    Sar,
    /// About a hundred characters in both places.
    Long,
}

enum Shape {
    Dec,
    HexLower,
    HexUpper,
    Padded,
    Uuid,
    HighHex,
    HighDec,
    Sar,
    Long,
}

const HIGH_BIT: u64 = 1 << 63;

impl IdFormat {
    /// What quirks 1 to 6 make of it.
    pub(crate) fn with(self, quirks: &Quirks) -> Self {
        let of = |number| quirks.get(number);
        match (of(1), of(2), of(3), of(4), of(5), of(6)) {
            (Some(_), ..) => Self::HexInRespDecInReceipt,
            (_, Some(_), ..) => Self::DecInRespHexInReceipt,
            (_, _, Some(_), ..) => Self::Bits64,
            (_, _, _, Some("padded"), ..) => Self::ZeroAdded,
            (_, _, _, Some(_), ..) => Self::ZeroPadded,
            (_, _, _, _, Some("raised"), _) => Self::HexCaseRaised,
            (_, _, _, _, Some(_), _) => Self::HexCaseChange,
            (.., Some("sar")) => Self::Sar,
            (.., Some("long")) => Self::Long,
            (.., Some(_)) => Self::Uuid,
            _ => self,
        }
    }

    pub(crate) fn in_answer(self, number: u64, part: Part, out: &mut Vec<u8>) {
        let shape = match self {
            Self::Dec | Self::DecInRespHexInReceipt | Self::ZeroAdded => Shape::Dec,
            Self::Hex | Self::HexInRespDecInReceipt | Self::HexCaseRaised => Shape::HexLower,
            Self::HexUpper | Self::HexCaseChange => Shape::HexUpper,
            Self::ZeroPadded => Shape::Padded,
            Self::Uuid => Shape::Uuid,
            Self::Bits64 => Shape::HighHex,
            Self::Sar => Shape::Sar,
            Self::Long => Shape::Long,
        };
        shape.write(number, part, out);
    }

    pub(crate) fn in_receipt(self, number: u64, part: Part, out: &mut Vec<u8>) {
        let shape = match self {
            Self::Dec | Self::HexInRespDecInReceipt | Self::ZeroPadded => Shape::Dec,
            Self::Hex | Self::HexCaseChange | Self::DecInRespHexInReceipt => Shape::HexLower,
            Self::HexUpper | Self::HexCaseRaised => Shape::HexUpper,
            Self::ZeroAdded => Shape::Padded,
            Self::Uuid => Shape::Uuid,
            Self::Bits64 => Shape::HighDec,
            Self::Sar => Shape::Sar,
            Self::Long => Shape::Long,
        };
        shape.write(number, part, out);
    }
}

impl Shape {
    fn write(&self, number: u64, part: Part, out: &mut Vec<u8>) {
        let written = match self {
            Self::Dec => write!(out, "{number}"),
            Self::HexLower => write!(out, "{number:x}"),
            Self::HexUpper => write!(out, "{number:X}"),
            Self::Padded => write!(out, "{number:020}"),
            Self::HighHex => write!(out, "{:x}", number | HIGH_BIT),
            Self::HighDec => write!(out, "{}", number | HIGH_BIT),
            Self::Sar => write!(out, "SAR-{number:X}-{}-{}", part.total, part.number),
            Self::Long => write!(out, "{number:x}{:094x}", mix(number)),
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
        format.in_answer(number, Part::WHOLE, &mut answer);
        format.in_receipt(number, Part::WHOLE, &mut receipt);
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
            (IdFormat::ZeroAdded, "48879", "00000000000000048879"),
            (IdFormat::HexCaseRaised, "beef", "BEEF"),
            (IdFormat::Sar, "SAR-BEEF-1-1", "SAR-BEEF-1-1"),
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
        let (answer, receipt) = written(IdFormat::Long, 1);
        assert_eq!((answer.len(), answer), (95, receipt));
    }

    #[test]
    fn a_quirk_decides_how_ids_look() {
        let with = |text: &str| IdFormat::Dec.with(&Quirks::new(&[text.parse().unwrap()]));
        let cases = [
            ("1", IdFormat::HexInRespDecInReceipt),
            ("2", IdFormat::DecInRespHexInReceipt),
            ("3", IdFormat::Bits64),
            ("4=dropped", IdFormat::ZeroPadded),
            ("4=padded", IdFormat::ZeroAdded),
            ("5=lowered", IdFormat::HexCaseChange),
            ("5=raised", IdFormat::HexCaseRaised),
            ("6=uuid", IdFormat::Uuid),
            ("6=sar", IdFormat::Sar),
            ("6=long", IdFormat::Long),
            ("7", IdFormat::Dec),
        ];
        for (quirk, format) in cases {
            assert_eq!(with(quirk), format, "{quirk}");
        }
    }
}
