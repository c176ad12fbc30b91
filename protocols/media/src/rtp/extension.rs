//! The header extension of an RTP packet (RFC 3550 §5.3.1) and its elements (RFC 8285).
//!
//! Both forms are read, with one octet of head per element and with two. An element that says it is
//! longer than the extension ends the walk; what was read before it stands.

use super::RtpError;

/// The profile of one-octet elements.
pub const ONE_OCTET: u16 = 0xBEDE;
/// The profile of two-octet elements; its low four bits are the application's.
pub const TWO_OCTETS: u16 = 0x1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    pub profile: u16,
    /// Whole words.
    pub data: &'a [u8],
}

impl<'a> Extension<'a> {
    pub(super) fn parse(octets: &'a [u8]) -> Result<(Self, &'a [u8]), RtpError> {
        let (head, rest) = octets.split_first_chunk::<4>().ok_or(RtpError::Cut)?;
        let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (data, rest) = rest.split_at_checked(words * 4).ok_or(RtpError::Cut)?;
        Ok((Self { profile: u16::from_be_bytes([head[0], head[1]]), data }, rest))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), RtpError> {
        let words = u16::try_from(self.data.len() / 4).map_err(|_| RtpError::TooLong)?;
        if !self.data.len().is_multiple_of(4) {
            return Err(RtpError::TooLong);
        }
        out.extend(self.profile.to_be_bytes());
        out.extend(words.to_be_bytes());
        out.extend(self.data);
        Ok(())
    }

    /// The elements, if the profile is one of RFC 8285.
    pub fn elements(&self) -> Elements<'a> {
        let head = match self.profile {
            ONE_OCTET => Head::One,
            profile if profile & 0xFFF0 == TWO_OCTETS => Head::Two,
            _ => return Elements { head: Head::One, rest: &[] },
        };
        Elements { head, rest: self.data }
    }
}

#[derive(Debug, Clone, Copy)]
enum Head {
    One,
    Two,
}

/// Walks the elements; each is an id and its data.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    head: Head,
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // Zeros between elements are padding.
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let (id, length, rest) = match (self.head, self.rest) {
            // Id 15 ends the walk.
            (Head::One, [first, ..]) if first >> 4 == 15 => (0, usize::MAX, &[][..]),
            (Head::One, [first, rest @ ..]) => (first >> 4, usize::from(first & 0x0F) + 1, rest),
            (Head::Two, [id, length, rest @ ..]) => (*id, usize::from(*length), rest),
            _ => (0, usize::MAX, &[][..]),
        };
        let Some((data, rest)) = rest.split_at_checked(length) else {
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        Some((id, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(profile: u16, data: &[u8]) -> Vec<(u8, &[u8])> {
        Extension { profile, data }.elements().collect()
    }

    #[test]
    fn elements_of_both_forms_are_read_and_padding_is_not() {
        let one = [0x10, 0xAA, 0, 0x21, 1, 2, 0, 0];
        assert_eq!(elements(ONE_OCTET, &one), [(1, &[0xAA][..]), (2, &[1, 2])]);
        let two = [5, 0, 6, 2, 9, 9, 0, 0];
        assert_eq!(elements(0x1003, &two), [(5, &[][..]), (6, &[9, 9])]);
        assert!(elements(0x4242, &one).is_empty());
    }

    #[test]
    fn an_element_past_the_end_ends_the_walk() {
        assert_eq!(elements(ONE_OCTET, &[0x10, 7, 0x2F, 1]), [(1, &[7][..])]);
        assert_eq!(elements(ONE_OCTET, &[0xF0, 7, 0x10, 1]), []);
        assert_eq!(elements(TWO_OCTETS, &[1, 200, 0, 0]), []);
        assert_eq!(elements(TWO_OCTETS, &[0, 0, 0, 1]), []);
    }

    #[test]
    fn data_that_is_not_whole_words_is_not_written() {
        let mut out = Vec::new();
        assert!(Extension { profile: ONE_OCTET, data: &[1, 2, 3] }.write(&mut out).is_err());
        assert!(out.is_empty());
    }
}
