//! A description as octets, not read but for the number of streams.
//!
//! That is all a leg needs to tell a refresh from a change and an answer from a mistake. Who uses the
//! description reads it with `Sdp::parse`.

use std::fmt;

use bytes::Bytes;

use super::exchange::Description;

/// The octets of a description. They are its own: they keep no message alive.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Bytes);

impl Body {
    pub fn new(octets: Bytes) -> Self {
        Self(octets)
    }

    pub fn copied(octets: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(octets))
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii_end)
    }

    fn streams(&self) -> usize {
        self.lines().filter(|line| line.starts_with(b"m=")).count()
    }
}

impl Description for Body {
    fn says_again(&self, before: &Self) -> bool {
        self == before
    }

    fn answers(&self, offer: &Self) -> bool {
        self.streams() == offer.streams()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} octets)", self.0.len())
    }
}

impl From<&super::Sdp> for Body {
    fn from(sdp: &super::Sdp) -> Self {
        Self(sdp.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_a_repeat_if_it_is_the_same_to_the_octet() {
        let body = |version: u32, streams: usize| {
            let text = format!("v=0\r\no=- 1 {version} IN IP4 192.0.2.1\r\ns=-\r\n");
            Body::new(Bytes::from(text + &"m=audio 4000 RTP/AVP 0\r\n".repeat(streams)))
        };
        assert!(body(1, 1).says_again(&body(1, 1)) && !body(2, 1).says_again(&body(1, 1)));
        assert!(!body(1, 1).says_again(&body(1, 2)), "who says it and its version are not enough");
        assert!(body(1, 2).answers(&body(9, 2)) && !body(1, 1).answers(&body(1, 2)));
    }
}
