//! Long texts into parts, and how many parts a text costs (3GPP TS 23.040 §9.2.3.24.1).
//!
//! | | alone | 8-bit UDH | 16-bit UDH |
//! |---|---|---|---|
//! | GSM-7, septets | 160 | 153 | 152 |
//! | UCS-2, units | 70 | 67 | 66 |
//!
//! SAR TLVs count as 153/67: the SMSC turns them into an 8-bit UDH. A message_payload is one
//! submit, but still billed as the segments that the SMSC will make (153/67). An extension pair
//! and a surrogate pair never come apart, so a part may end one short, and a text of exactly
//! n×153 septets can need n+1 parts.

use thiserror::Error;

use crate::{gsm7, tlv, ucs2};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    Gsm7,
    Ucs2,
}

/// How the parts of a long text find together again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Concat {
    #[default]
    Udh8,
    Udh16,
    SarTlv,
    MessagePayload,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    pub encoding: Encoding,
    /// Septets or 16-bit units, without headers.
    pub units: usize,
    /// Segments to bill; an empty text is one.
    pub parts: usize,
    /// Units that the last part has left.
    pub room: usize,
}

/// What one submit_sm or deliver_sm carries.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Part {
    /// Set bit 0x40 of esm_class: `user_data` begins with a header.
    pub esm_class_udhi: bool,
    /// The short_message field, header included; empty when `tlvs` holds the text.
    pub user_data: Vec<u8>,
    /// SAR parameters or message_payload, raw.
    pub tlvs: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SplitError {
    #[error("{0:?} is not in the gsm alphabet")]
    NotGsm(char),
    #[error("the text needs {0} parts, and 255 is the most")]
    TooManyParts(usize),
    #[error("a message_payload takes {LONGEST_PAYLOAD} octets, not {0}")]
    PayloadTooLong(usize),
}

/// What a message_payload holds with room left for the rest of a PDU of 64 KiB.
const LONGEST_PAYLOAD: usize = 64_000;

impl Encoding {
    /// The data_coding that announces it.
    pub fn data_coding(self) -> u8 {
        match self {
            Self::Gsm7 => 0,
            Self::Ucs2 => 8,
        }
    }

    /// GSM-7 when the whole text is in its alphabet.
    pub fn of(text: &str) -> Self {
        if gsm7::septets(text).is_some() { Self::Gsm7 } else { Self::Ucs2 }
    }

    /// Units that a text alone may take.
    pub fn single(self) -> usize {
        match self {
            Self::Gsm7 => 160,
            Self::Ucs2 => 70,
        }
    }

    /// Units that each part of a long text may take.
    pub fn per_part(self, concat: Concat) -> usize {
        match (self, concat) {
            (Self::Gsm7, Concat::Udh16) => 152,
            (Self::Gsm7, _) => 153,
            (Self::Ucs2, Concat::Udh16) => 66,
            (Self::Ucs2, _) => 67,
        }
    }

    fn units(self, c: char) -> Result<usize, SplitError> {
        match self {
            Self::Ucs2 => Ok(c.len_utf16()),
            Self::Gsm7 => match gsm7::code(c).ok_or(SplitError::NotGsm(c))? {
                gsm7::Code::One(_) => Ok(1),
                gsm7::Code::Two(_) => Ok(2),
            },
        }
    }

    fn put(self, out: &mut Vec<u8>, c: char) -> Result<(), SplitError> {
        match self {
            Self::Gsm7 => gsm7::put(out, gsm7::code(c).ok_or(SplitError::NotGsm(c))?),
            Self::Ucs2 => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(&unit.to_be_bytes());
                }
            }
        }
        Ok(())
    }
}

/// Measures with 8-bit UDH. Without an encoding, GSM-7 is taken if it holds the text.
pub fn measure(text: &str, encoding: Option<Encoding>) -> Result<Measured, SplitError> {
    measure_as(text, encoding, Concat::Udh8)
}

/// Measures for one way of concatenation.
pub fn measure_as(
    text: &str,
    encoding: Option<Encoding>,
    concat: Concat,
) -> Result<Measured, SplitError> {
    let septets = if encoding == Some(Encoding::Ucs2) { None } else { gsm7::septets(text) };
    let (encoding, units) = match (encoding, septets) {
        (_, Some(septets)) => (Encoding::Gsm7, septets),
        (Some(Encoding::Gsm7), None) => return Err(not_gsm(text)),
        (_, None) => (Encoding::Ucs2, ucs2::units(text)),
    };
    let room = encoding.single().saturating_sub(units);
    let mut measured = Measured { encoding, units, parts: 1, room };
    if units > encoding.single() {
        let limit = encoding.per_part(concat);
        let mut filled = 0;
        for c in text.chars() {
            let width = encoding.units(c)?;
            if filled + width > limit {
                measured.parts += 1;
                filled = 0;
            }
            filled += width;
        }
        measured.room = limit - filled;
    }
    Ok(measured)
}

/// Encodes a text as the parts to submit; one part when it fits alone.
///
/// `reference` ties the parts together; an 8-bit UDH takes its low octet.
pub fn parts(
    text: &str,
    encoding: Encoding,
    concat: Concat,
    reference: u16,
) -> Result<Vec<Part>, SplitError> {
    let measured = measure_as(text, Some(encoding), concat)?;
    if measured.parts == 1 || concat == Concat::MessagePayload {
        return Ok(vec![alone(text, encoding, measured.parts > 1)?]);
    }
    let total = measured.parts;
    let total = u8::try_from(total).map_err(|_| SplitError::TooManyParts(total))?;
    let limit = encoding.per_part(concat);
    let mut parts = Vec::with_capacity(measured.parts);
    let mut part = begin(concat, reference, total, 1);
    let mut filled = 0;
    for c in text.chars() {
        let width = encoding.units(c)?;
        if filled + width > limit {
            parts.push(part);
            part = begin(concat, reference, total, parts.len() as u8 + 1);
            filled = 0;
        }
        filled += width;
        encoding.put(&mut part.user_data, c)?;
    }
    parts.push(part);
    Ok(parts)
}

fn alone(text: &str, encoding: Encoding, in_payload: bool) -> Result<Part, SplitError> {
    let octets = match encoding {
        Encoding::Gsm7 => gsm7::encode(text).ok_or_else(|| not_gsm(text))?,
        Encoding::Ucs2 => ucs2::encode(text),
    };
    if !in_payload {
        return Ok(Part { user_data: octets, ..Part::default() });
    }
    if octets.len() > LONGEST_PAYLOAD {
        return Err(SplitError::PayloadTooLong(octets.len()));
    }
    let mut part = Part::default();
    tlv::write(&mut part.tlvs, tlv::MESSAGE_PAYLOAD, &octets);
    Ok(part)
}

fn not_gsm(text: &str) -> SplitError {
    let outside = text.chars().find(|&c| gsm7::code(c).is_none());
    SplitError::NotGsm(outside.unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// A part with its header or its TLVs, and no text yet.
fn begin(concat: Concat, reference: u16, total: u8, number: u8) -> Part {
    let [high, low] = reference.to_be_bytes();
    let mut part = Part { user_data: Vec::with_capacity(160), ..Part::default() };
    match concat {
        Concat::Udh8 => part.user_data.extend_from_slice(&[5, 0x00, 3, low, total, number]),
        Concat::Udh16 => part.user_data.extend_from_slice(&[6, 0x08, 4, high, low, total, number]),
        Concat::SarTlv => {
            tlv::write(&mut part.tlvs, tlv::SAR_MSG_REF_NUM, &[high, low]);
            tlv::write(&mut part.tlvs, tlv::SAR_TOTAL_SEGMENTS, &[total]);
            tlv::write(&mut part.tlvs, tlv::SAR_SEGMENT_SEQNUM, &[number]);
        }
        Concat::MessagePayload => {}
    }
    part.esm_class_udhi = !part.user_data.is_empty();
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> (usize, usize) {
        let measured = measure(text, None).unwrap();
        (measured.units, measured.parts)
    }

    #[test]
    fn the_borders_of_gsm_and_ucs2_are_where_the_book_puts_them() {
        for (length, expected) in
            [(0, 1), (160, 1), (161, 2), (306, 2), (307, 3), (1530, 10), (1531, 11)]
        {
            assert_eq!(count(&"a".repeat(length)), (length, expected));
        }
        for (length, expected) in [(70, 1), (71, 2), (134, 2), (135, 3), (670, 10), (671, 11)] {
            assert_eq!(count(&"я".repeat(length)), (length, expected));
        }
    }

    #[test]
    fn the_room_left_is_that_of_the_last_part() {
        let room = |text: &str| measure(text, None).unwrap().room;
        assert_eq!((room(""), room("a"), room(&"a".repeat(160))), (160, 159, 0));
        assert_eq!((room(&"a".repeat(161)), room(&"a".repeat(306))), (145, 0));
        assert_eq!(room(&format!("{}€", "a".repeat(305))), 151);
        assert_eq!(room(&"я".repeat(71)), 63);
    }

    #[test]
    fn a_16_bit_reference_costs_room() {
        let parts = |c, n| measure_as(&"a".repeat(n), None, c).unwrap().parts;
        assert_eq!((parts(Concat::Udh16, 304), parts(Concat::Udh16, 305)), (2, 3));
        assert_eq!((parts(Concat::SarTlv, 306), parts(Concat::SarTlv, 307)), (2, 3));
        let wide = |n| measure_as(&"я".repeat(n), None, Concat::Udh16).unwrap().parts;
        assert_eq!((wide(132), wide(133)), (2, 3));
    }

    #[test]
    fn a_pair_on_the_border_moves_whole_to_the_next_part() {
        let text = format!("{}€{}", "a".repeat(152), "b".repeat(152));
        assert_eq!(count(&text), (306, 3));
        let cut = parts(&text, Encoding::Gsm7, Concat::Udh8, 7).unwrap();
        let lengths: Vec<_> = cut.iter().map(|p| p.user_data.len() - 6).collect();
        assert_eq!(lengths, [152, 153, 1]);
        assert_eq!(&cut[1].user_data[6..8], &[0x1B, 0x65]);
        let text = format!("{}😀{}", "я".repeat(66), "b".repeat(66));
        let cut = parts(&text, Encoding::Ucs2, Concat::Udh8, 7).unwrap();
        let lengths: Vec<_> = cut.iter().map(|p| (p.user_data.len() - 6) / 2).collect();
        assert_eq!(lengths, [66, 67, 1]);
    }

    #[test]
    fn a_forced_encoding_is_kept_or_refused() {
        assert_eq!(measure("abc", Some(Encoding::Ucs2)).unwrap().encoding, Encoding::Ucs2);
        assert_eq!(measure("aя", Some(Encoding::Gsm7)), Err(SplitError::NotGsm('я')));
        assert_eq!(parts("я", Encoding::Gsm7, Concat::Udh8, 1), Err(SplitError::NotGsm('я')));
    }

    #[test]
    fn a_payload_is_one_submit_and_billed_by_segment() {
        let text = "a".repeat(400);
        let cut = parts(&text, Encoding::Gsm7, Concat::MessagePayload, 1).unwrap();
        assert_eq!(measure_as(&text, None, Concat::MessagePayload).unwrap().parts, 3);
        assert_eq!(cut.len(), 1);
        assert!(cut[0].user_data.is_empty() && !cut[0].esm_class_udhi);
        assert_eq!(tlv::find(&cut[0].tlvs, tlv::MESSAGE_PAYLOAD), Some(text.as_bytes()));
        let short = parts("hi", Encoding::Gsm7, Concat::MessagePayload, 1).unwrap();
        assert_eq!(short, [Part { user_data: b"hi".to_vec(), ..Part::default() }]);
    }

    #[test]
    fn a_payload_longer_than_a_pdu_is_refused() {
        let payload = |n| parts(&"a".repeat(n), Encoding::Gsm7, Concat::MessagePayload, 1);
        assert!(payload(64_000).is_ok());
        assert_eq!(payload(64_001), Err(SplitError::PayloadTooLong(64_001)));
    }

    #[test]
    fn over_255_parts_is_refused() {
        let text = "a".repeat(153 * 255 + 1);
        let error = parts(&text, Encoding::Gsm7, Concat::Udh8, 1);
        assert_eq!(error, Err(SplitError::TooManyParts(256)));
        assert_eq!(parts(&text[1..], Encoding::Gsm7, Concat::Udh8, 1).unwrap().len(), 255);
    }
}
