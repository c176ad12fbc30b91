//! Which part of a long message this is: by 8-bit or 16-bit UDH (3GPP TS 23.040 §9.2.3.24), or by
//! the SAR TLVs (SMPP 3.4 §5.3.2.22–24).
//!
//! Pure reading; putting the parts together, with their time-out, is the caller's.

use crate::pdu::message::MessageView;
use crate::tlv;

/// A message's place among its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// The same for all parts of one text (per source and destination).
    pub reference: u16,
    pub total: u8,
    /// From 1 to `total`.
    pub number: u8,
}

impl Segment {
    /// `None` when the message stands alone or its numbers are impossible.
    pub fn of(view: &MessageView<'_>) -> Option<Self> {
        Self::in_udh(view.split_udh().0).or_else(|| Self::in_tlvs(view))
    }

    fn in_udh(header: &[u8]) -> Option<Self> {
        let found = elements(header).find_map(|(id, data)| match (id, data) {
            (0x00, &[reference, total, number]) => Some((u16::from(reference), total, number)),
            (0x08, &[high, low, total, number]) => {
                Some((u16::from_be_bytes([high, low]), total, number))
            }
            _ => None,
        });
        found.and_then(|(reference, total, number)| Self::checked(reference, total, number))
    }

    fn in_tlvs(view: &MessageView<'_>) -> Option<Self> {
        let total = *view.tlv(tlv::SAR_TOTAL_SEGMENTS)?.last()?;
        let number = *view.tlv(tlv::SAR_SEGMENT_SEQNUM)?.last()?;
        let reference = match *view.tlv(tlv::SAR_MSG_REF_NUM)? {
            [.., high, low] => u16::from_be_bytes([high, low]),
            [low] => u16::from(low),
            [] => return None,
        };
        Self::checked(reference, total, number)
    }

    fn checked(reference: u16, total: u8, number: u8) -> Option<Self> {
        let possible = total > 1 && (1..=total).contains(&number);
        possible.then_some(Self { reference, total, number })
    }
}

/// Splits user data into its header (without the length octet) and the text after it.
pub fn split_udh(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// The information elements of a user data header: id and data, until one does not fit.
pub fn elements(header: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = header;
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_at_checked(2)?;
        let (data, tail) = tail.split_at_checked(usize::from(head[1]))?;
        rest = tail;
        Some((head[0], data))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommandId, Message};

    fn with_udh(data: &[u8]) -> Message {
        Message {
            command: CommandId::DELIVER_SM,
            esm_class: 0x40,
            short_message: data.to_vec(),
            ..Message::default()
        }
    }

    #[test]
    fn both_header_forms_and_sar_tell_the_same() {
        let eight = with_udh(b"\x05\0\x03\xAB\x03\x02text");
        let sixteen = with_udh(b"\x06\x08\x04\x01\xAB\x03\x02text");
        let mut sar = Message::default();
        sar.push_tlv(tlv::SAR_MSG_REF_NUM, &[1, 0xAB]);
        sar.push_tlv(tlv::SAR_TOTAL_SEGMENTS, &[3]);
        sar.push_tlv(tlv::SAR_SEGMENT_SEQNUM, &[2]);
        let segment = |m: &Message| Segment::of(&m.view());
        assert_eq!(segment(&eight), Some(Segment { reference: 0xAB, total: 3, number: 2 }));
        assert_eq!(segment(&sixteen), Some(Segment { reference: 0x1AB, total: 3, number: 2 }));
        assert_eq!(segment(&sar), segment(&sixteen));
    }

    #[test]
    fn a_header_with_other_elements_first_is_walked() {
        let ports = with_udh(b"\x0b\x05\x04\x0b\x84\x23\xf0\0\x03\x07\x02\x01text");
        assert_eq!(Segment::of(&ports.view()).map(|s| s.number), Some(1));
    }

    #[test]
    fn impossible_numbers_are_no_segment() {
        assert_eq!(Segment::of(&with_udh(b"\x05\0\x03\x01\x01\x01").view()), None, "alone");
        for data in
            [&b"\x05\0\x03\x01\x00\x01"[..], b"\x05\0\x03\x01\x02\x03", b"\x05\0\x03\x01\x02\0"]
        {
            assert_eq!(Segment::of(&with_udh(data).view()), None);
        }
        assert_eq!(Segment::of(&with_udh(b"\x05\0\x09\x01\x02\x03").view()), None);
        assert_eq!(Segment::of(&with_udh(b"").view()), None);
    }
}
