//! A customer's SMPP account, and what its PDUs say beside the text.
//!
//! An account is what an ESME binds as. What it submits keeps its octets, so that a message that
//! goes on by SMPP leaves as it came.

use crate::message::coded;

coded! {
    /// Where a delivery receipt says what became of a message.
    ReceiptFormat {
        Text = 1 "text",
        Tlv = 2 "tlv",
        Both = 3 "both",
    }
}

coded! {
    /// How ids of messages are written to an account.
    IdFormat {
        Decimal = 1 "decimal",
        Hex = 2 "hex",
    }
}

coded! {
    /// One way of binding; an account has a set of them.
    BindType {
        Transmitter = 1 "transmitter",
        Receiver = 2 "receiver",
        Transceiver = 4 "transceiver",
    }
}

impl IdFormat {
    /// The id of a message as the account is told it.
    #[must_use]
    pub fn write(self, key: i64) -> String {
        match self {
            Self::Decimal => key.to_string(),
            Self::Hex => format!("{key:x}"),
        }
    }

    /// The message that an id names; zeros before it and the case of its letters do not matter.
    #[must_use]
    pub fn read(self, text: &str) -> Option<i64> {
        let radix = if self == Self::Hex { 16 } else { 10 };
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric());
        i64::from_str_radix(text, radix).ok().filter(|key| plain && *key > 0)
    }
}

/// What a submit_sm or data_sm said, apart from whom it is for and how it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submitted {
    /// The stored number of the account.
    pub account: i64,
    pub registered_delivery: u8,
    /// TON and NPI as they came; [`Self::OF_ITS_KIND`] where no address came.
    pub source: (u8, u8),
    pub destination: (u8, u8),
    pub esm_class: u8,
    pub protocol_id: u8,
    pub data_coding: u8,
    pub service_type: Vec<u8>,
    /// With its header, if it has one.
    pub user_data: Vec<u8>,
    /// The optional part, raw.
    pub tlvs: Vec<u8>,
}

/// Which part of a text a submit is, when its sender has cut the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// What the parts of one text share: their reference, its kind, and how many they are.
    pub text: u64,
    /// From 1.
    pub number: u8,
}

impl Part {
    fn of(kind: u64, reference: u16, total: u8, number: u8) -> Option<Self> {
        let text = kind << 32 | u64::from(reference) << 8 | u64::from(total);
        (total > 1 && (1..=total).contains(&number)).then_some(Self { text, number })
    }

    /// By the user data header (3GPP TS 23.040 §9.2.3.24.1 and §9.2.3.24.8).
    fn of_header(user_data: &[u8]) -> Option<Self> {
        let (length, header) = user_data.split_first()?;
        let mut header = header.get(..usize::from(*length))?;
        while let [kind, length, rest @ ..] = header {
            let content = rest.get(..usize::from(*length))?;
            match (kind, content) {
                (0x00, [reference, total, number]) => {
                    return Self::of(0, u16::from(*reference), *total, *number);
                }
                (0x08, [high, low, total, number]) => {
                    return Self::of(1, u16::from_be_bytes([*high, *low]), *total, *number);
                }
                _ => header = &rest[content.len()..],
            }
        }
        None
    }

    /// By the optional parameters (SMPP 3.4 §5.3.2.22 to §5.3.2.24).
    fn of_tlvs(mut tlvs: &[u8]) -> Option<Self> {
        let (mut reference, mut total, mut number) = (None, None, None);
        while let [a, b, c, d, rest @ ..] = tlvs {
            let length = usize::from(u16::from_be_bytes([*c, *d]));
            let (value, behind) = rest.split_at_checked(length)?;
            match (u16::from_be_bytes([*a, *b]), value) {
                (0x020C, [high, low]) => reference = Some(u16::from_be_bytes([*high, *low])),
                (0x020E, [count]) => total = Some(*count),
                (0x020F, [place]) => number = Some(*place),
                _ => {}
            }
            tlvs = behind;
        }
        Self::of(2, reference?, total?, number?)
    }
}

/// The bit of `esm_class` that says that the text begins with a header (SMPP 3.4 §5.2.12).
const UDHI: u8 = 0x40;
/// Octets of a stored [`Submitted`] before its lists.
const FIXED: usize = 8;

impl Submitted {
    /// TON and NPI of a source address that was left out: by the kind of the sender that was chosen
    /// in its place. No TON of the book.
    pub const OF_ITS_KIND: (u8, u8) = (0xFF, 0xFF);

    /// As it is stored: fixed octets, then three lists with their lengths. The account has a
    /// column of its own.
    #[must_use]
    pub fn to_octets(&self) -> Vec<u8> {
        let lists = [&self.service_type, &self.user_data, &self.tlvs];
        let length = lists.iter().map(|list| 2 + list.len()).sum::<usize>();
        let mut out = Vec::with_capacity(FIXED + length);
        out.extend_from_slice(&[
            self.registered_delivery,
            self.source.0,
            self.source.1,
            self.destination.0,
            self.destination.1,
            self.esm_class,
            self.protocol_id,
            self.data_coding,
        ]);
        for list in lists {
            let length = u16::try_from(list.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&list[..usize::from(length)]);
        }
        out
    }

    /// From the two columns that keep it.
    #[must_use]
    pub fn stored(account: Option<i64>, octets: Option<&[u8]>) -> Option<Self> {
        Self::from_octets(account?, octets?)
    }

    /// Which part of a longer text it is. What does not go on as it came is a text of its own.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        if self.user_data.is_empty() {
            return None;
        }
        if self.esm_class & UDHI == 0 {
            return Part::of_tlvs(&self.tlvs);
        }
        Part::of_header(&self.user_data)
    }

    /// The same of a text that was changed since: it leaves as text, not as it came.
    #[must_use]
    pub fn reworded(self) -> Self {
        Self { user_data: Vec::new(), esm_class: 0, ..self }
    }

    /// `None`: octets that no version of this program writes.
    #[must_use]
    pub fn from_octets(account: i64, octets: &[u8]) -> Option<Self> {
        let (fixed, mut rest) = octets.split_at_checked(FIXED)?;
        let mut list = || {
            let (length, behind) = rest.split_first_chunk::<2>()?;
            let (list, behind) =
                behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            rest = behind;
            Some(list.to_vec())
        };
        Some(Self {
            account,
            registered_delivery: fixed[0],
            source: (fixed[1], fixed[2]),
            destination: (fixed[3], fixed[4]),
            esm_class: fixed[5],
            protocol_id: fixed[6],
            data_coding: fixed[7],
            service_type: list()?,
            user_data: list()?,
            tlvs: list()?,
        })
    }

    /// True when it asks for what happens on the way (SMPP 3.4 §5.2.17, intermediate notification).
    #[must_use]
    pub fn wants_steps(&self) -> bool {
        self.registered_delivery & 0b1_0000 != 0
    }

    /// True when a receipt of this outcome was asked for (SMPP 3.4 §5.2.17).
    #[must_use]
    pub fn wants_receipt(&self, delivered: bool) -> bool {
        match self.registered_delivery & 0b11 {
            1 => true,
            2 => !delivered,
            3 => delivered,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_submitted_survives_its_octets() {
        let whole = Submitted {
            account: 7,
            registered_delivery: 1,
            source: (5, 0),
            destination: (1, 1),
            esm_class: 0x40,
            protocol_id: 0,
            data_coding: 8,
            service_type: b"CMT".to_vec(),
            user_data: vec![0, 255, 3],
            tlvs: vec![2, 4, 0, 2, 0, 9],
        };
        let octets = whole.to_octets();
        assert_eq!(Submitted::from_octets(7, &octets), Some(whole));
        for cut in 0..octets.len() {
            assert_eq!(Submitted::from_octets(7, &octets[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn a_part_is_known_by_its_header_or_its_parameters() {
        let of = |esm_class, user_data: &[u8], tlvs: &[u8]| {
            let (user_data, tlvs) = (user_data.to_vec(), tlvs.to_vec());
            Submitted { esm_class, user_data, tlvs, ..Submitted::default() }.part()
        };
        let header = |octets: &[u8]| of(0x40, octets, &[]);
        let first = header(&[5, 0, 3, 9, 2, 1, b'a']).unwrap();
        let second = header(&[5, 0, 3, 9, 2, 2, b'b']).unwrap();
        assert_eq!((first.text, first.number, second.number), (second.text, 1, 2));
        assert_ne!(header(&[5, 0, 3, 8, 2, 1, b'a']).unwrap().text, first.text);
        let wide = header(&[9, 5, 1, 0, 8, 4, 0, 9, 2, 1, b'a']).unwrap();
        let sar = [2, 4, 0, 1, 9, 2, 0x0C, 0, 2, 0, 9, 2, 0x0E, 0, 1, 2, 2, 0x0F, 0, 1, 2];
        let by_parameters = of(0, b"a", &sar).unwrap();
        let texts = [first.text, wide.text, by_parameters.text];
        assert!(texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2]);
        assert_eq!(by_parameters.number, 2);
        assert_eq!(of(0, &[5, 0, 3, 9, 2, 1, b'a'], &[]), None, "no header");
        assert_eq!(of(0, b"", &sar), None, "it is split again");
        for cut in 0..sar.len() {
            assert_eq!(of(0, b"a", &sar[..cut]), None, "{cut}");
        }
        let alone = [[5, 0, 3, 9, 1, 1], [5, 0, 3, 9, 2, 0], [5, 0, 3, 9, 2, 3]];
        let broken = [&[][..], &[9, 0, 3, 9, 2, 1], &[5, 0, 9, 9, 2, 1], &[2, 0, 0], &[1, 0]];
        for none in alone.iter().map(|octets| &octets[..]).chain(broken) {
            assert_eq!(header(none), None, "{none:?}");
        }
    }

    #[test]
    fn ids_are_read_as_they_are_written_and_with_zeros_before_them() {
        for format in IdFormat::ALL {
            for key in [1, 255, i64::MAX] {
                let text = format.write(key);
                assert_eq!(format.read(&text), Some(key));
                assert_eq!(format.read(&format!("00{}", text.to_uppercase())), Some(key));
            }
        }
        for bad in ["", "-1", "+1", "x", "0", "99999999999999999999"] {
            assert_eq!(IdFormat::Decimal.read(bad), None, "{bad}");
        }
    }

    #[test]
    fn receipts_are_sent_where_they_were_asked_for() {
        let asked = |registered_delivery| Submitted { registered_delivery, ..Default::default() };
        let table = [(0, false, false), (1, true, true), (2, false, true), (3, true, false)];
        for (octet, good, bad) in table {
            let submitted = asked(octet | 0x10);
            assert_eq!(
                (submitted.wants_receipt(true), submitted.wants_receipt(false)),
                (good, bad)
            );
        }
    }
}
