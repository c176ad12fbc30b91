//! A keyed hash of 64 bits (SipHash-2-4, Aumasson and Bernstein): a stranger who does not know the
//! key can neither build two requests that look like one, nor guess what we call ours.
//!
//! The key is chance, and chance is an argument: whoever makes the table draws 16 octets once.

use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;

use crate::uri::Host;

/// The key, and how many names were drawn with it.
#[derive(Clone, Debug)]
pub(super) struct Keyed {
    key: [u64; 2],
    drawn: u64,
}

impl Keyed {
    pub(super) fn new(chance: [u8; 16]) -> Self {
        let whole = u128::from_le_bytes(chance);
        Self { key: [whole as u64, (whole >> 64) as u64], drawn: 0 }
    }

    /// A number that nobody guesses, another one each time.
    pub(super) fn draw(&mut self) -> u64 {
        self.drawn += 1;
        // Nine octets are never the length of what `hash` is given for a request: it has words in it.
        let mut text = [0xff; 9];
        text[..8].copy_from_slice(&self.drawn.to_le_bytes());
        self.hash(&text)
    }

    pub(super) fn hash(&self, text: &[u8]) -> u64 {
        let [k0, k1] = self.key;
        let mut v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        let (words, rest) = text.as_chunks::<8>();
        for word in words {
            absorb(&mut v, u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[7] = text.len() as u8;
        absorb(&mut v, u64::from_le_bytes(last));
        v[2] ^= 0xff;
        for _ in 0..4 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

/// Texts one after the other, each with its length, so that no two lists look alike.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts(Vec<u8>);

impl Parts {
    pub(super) fn clear(&mut self) -> &mut Self {
        self.0.clear();
        self
    }

    pub(super) fn add(&mut self, text: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.0.extend_from_slice(text);
        self
    }

    /// A host in any case, and the port that is named with it.
    pub(super) fn add_sent_by(&mut self, host: &Host, port: Option<u16>) -> &mut Self {
        let start = self.0.len() + 4;
        match host {
            Host::Ip(IpAddr::V4(ip)) => self.add(&ip.octets()),
            Host::Ip(IpAddr::V6(ip)) => self.add(&ip.octets()),
            Host::Name(name) => {
                self.add(name);
                self.0[start..].make_ascii_lowercase();
                self.add(b"name")
            }
        };
        self.add(&port.unwrap_or_default().to_le_bytes())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A map by what is a keyed hash already.
pub(super) type ByHash<T> = std::collections::HashMap<u64, T, BuildHasherDefault<Same>>;

/// Takes a number for its own hash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, text: &[u8]) {
        for octet in text {
            self.0 = self.0.rotate_left(8) ^ u64::from(*octet);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_its_authors() {
        let keyed = Keyed::new(std::array::from_fn(|at| at as u8));
        let text: Vec<u8> = (0..15).collect();
        assert_eq!(keyed.hash(&text), 0xa129_ca61_49be_45e5);
        assert_eq!(keyed.hash(&[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(keyed.hash(&text[..8]), 0x93f5_f579_9a93_2462);
    }

    #[test]
    fn names_differ_and_lists_do_not_run_together() {
        let mut keyed = Keyed::new([7; 16]);
        assert_ne!(keyed.draw(), keyed.draw());
        let (mut one, mut two) = (Parts::default(), Parts::default());
        one.add(b"ab").add(b"c");
        two.add(b"a").add(b"bc");
        assert_ne!(keyed.hash(one.bytes()), keyed.hash(two.bytes()));
        let host = |name: &'static str| Host::Name(name.as_bytes().into());
        one.clear().add_sent_by(&host("A.example"), None);
        two.clear().add_sent_by(&host("a.EXAMPLE"), None);
        assert_eq!(one.bytes(), two.bytes());
        two.clear().add_sent_by(&host("a.EXAMPLE"), Some(5060));
        assert_ne!(one.bytes(), two.bytes());
        one.clear().add_sent_by(&host("abcd"), None);
        two.clear().add_sent_by(&Host::Ip([97, 98, 99, 100].into()), None);
        assert_ne!(one.bytes(), two.bytes());
    }
}
