//! Digest authentication (RFC 7616, RFC 8760, RFC 3261 §22): challenges, credentials, and both sides.
//!
//! `server` makes nonces that need no memory and checks credentials; `counts` remembers, within a bound,
//! which nonce counts came; `client` answers challenges, of realms it was given and no other. MD5 and
//! SHA-256, `qop=auth`; sessions, `auth-int` and hashed user names are not spoken. Values of headers come
//! and go as text. Time and chance are arguments, secrets are never shown.

pub mod challenge;
pub mod client;
pub mod counts;
pub mod credentials;
mod params;
pub mod server;

use std::fmt;

use md5::Md5;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use thiserror::Error;

pub use challenge::Challenge;
pub use client::{Account, Attempt, Client, NoAnswer};
pub use counts::Counts;
pub use credentials::Credentials;
pub use server::{Nonces, Verdict};

/// Octets of a header's value that are read.
pub const VALUE_MAX: usize = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DigestError {
    #[error("the scheme is not Digest")]
    Scheme,
    #[error("the value is longer than {VALUE_MAX} octets or has too many parameters")]
    TooLong,
    #[error("the parameters are not well formed")]
    Form,
    #[error("a parameter is given twice")]
    Twice,
    #[error("the parameter {0} is missing or makes no sense")]
    Parameter(&'static str),
    #[error("an algorithm or protection that is not spoken")]
    Unsupported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    Md5,
    /// Better, and asked for first.
    Sha256,
}

impl Algorithm {
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// Nothing said is MD5.
    fn of_name(name: Option<&str>) -> Option<Self> {
        let Some(name) = name else { return Some(Self::Md5) };
        [Self::Md5, Self::Sha256].into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }

    fn hash(self, parts: &[&[u8]]) -> Hash {
        let mut hash = Hash { octets: [0; 32], length: 0 };
        match self {
            Self::Md5 => hash.keep(&fed::<Md5>(parts)),
            Self::Sha256 => hash.keep(&fed::<Sha256>(parts)),
        }
        hash
    }
}

/// Parts with colons between them.
fn fed<H: md5::Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut hasher = H::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    hasher.finalize().to_vec()
}

/// 16 or 32 octets. It has no comparison but one that takes the same time for all.
#[derive(Clone, Copy)]
struct Hash {
    octets: [u8; 32],
    length: usize,
}

impl Hash {
    fn keep(&mut self, octets: &[u8]) {
        self.length = octets.len().min(32);
        self.octets[..self.length].copy_from_slice(&octets[..self.length]);
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| char::from(DIGITS[usize::from(value & 0x0F)]);
        self.octets().iter().flat_map(|octet| [digit(octet >> 4), digit(*octet)]).collect()
    }

    /// From hexadecimal digits of either case.
    fn of_hex(text: &str) -> Option<Self> {
        let mut octets = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() || !(pairs.len() == 16 || pairs.len() == 32) {
            return None;
        }
        for (octet, pair) in octets.iter_mut().zip(pairs) {
            let digit = |sign: u8| char::from(sign).to_digit(16);
            *octet = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Some(Self { octets, length: pairs.len() })
    }

    fn is(&self, other: &Self) -> bool {
        self.octets().ct_eq(other.octets()).into()
    }
}

/// What stands for a password: the hash of user, realm and password. As good as the password in its
/// realm, so it is not shown.
#[derive(Clone, Copy)]
pub struct Ha1(Algorithm, Hash);

impl fmt::Debug for Ha1 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Ha1({}, …)", self.0.name())
    }
}

impl Ha1 {
    pub fn new(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> Self {
        let parts = [user.as_bytes(), realm.as_bytes(), password.as_bytes()];
        Self(algorithm, algorithm.hash(&parts))
    }

    /// From what was stored; `None` if it is not of the algorithm's length.
    pub fn of_hex(algorithm: Algorithm, text: &str) -> Option<Self> {
        let hash = Hash::of_hex(text)?;
        let fits = hash.length == algorithm.hash(&[]).length;
        fits.then_some(Self(algorithm, hash))
    }

    /// For storing.
    pub fn to_hex(&self) -> String {
        self.1.hex()
    }

    pub fn algorithm(&self) -> Algorithm {
        self.0
    }

    /// The response to a nonce (RFC 7616 §3.4.1); without `qop` in the form of RFC 2069.
    fn response(&self, asked: &Asked<'_>) -> Hash {
        let algorithm = self.0;
        let request = algorithm.hash(&[asked.method.as_bytes(), asked.uri.as_bytes()]).hex();
        let (own, nonce) = (self.1.hex(), asked.nonce.as_bytes());
        match &asked.counted {
            Some(counted) => {
                let count = format!("{:08x}", counted.count);
                let cnonce = counted.cnonce.as_bytes();
                let parts =
                    [own.as_bytes(), nonce, count.as_bytes(), cnonce, b"auth", request.as_bytes()];
                algorithm.hash(&parts)
            }
            None => algorithm.hash(&[own.as_bytes(), nonce, request.as_bytes()]),
        }
    }
}

/// What a response is over.
struct Asked<'a> {
    method: &'a str,
    uri: &'a str,
    nonce: &'a str,
    counted: Option<Counted<'a>>,
}

/// What `qop=auth` adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted<'a> {
    count: u32,
    cnonce: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(ha1: &Ha1, nonce: &str, counted: Option<Counted<'_>>) -> String {
        let asked = Asked { method: "GET", uri: "/dir/index.html", nonce, counted };
        ha1.response(&asked).hex()
    }

    #[test]
    fn the_examples_of_rfc_7616_come_out() {
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, expected) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let ha1 = Ha1::new(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
            assert_eq!(response(&ha1, nonce, Some(Counted { count: 1, cnonce })), expected);
        }
    }

    #[test]
    fn the_examples_of_the_older_standards_come_out() {
        let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
        let ha1 = Ha1::new(Algorithm::Md5, "Mufasa", "testrealm@host.com", "Circle Of Life");
        let counted = Some(Counted { count: 1, cnonce: "0a4f113b" });
        assert_eq!(response(&ha1, nonce, counted), "6629fae49393a05397450978507c4ef1");
        let ha1 = Ha1::new(Algorithm::Md5, "Mufasa", "testrealm@host.com", "CircleOfLife");
        assert_eq!(response(&ha1, nonce, None), "1949323746fe6a43ef61f9606e7febea");
    }

    #[test]
    fn what_is_stored_comes_back_and_is_not_shown() {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let ha1 = Ha1::new(algorithm, "a", "b", "c");
            let again = Ha1::of_hex(algorithm, &ha1.to_hex().to_uppercase()).unwrap();
            assert!(again.1.is(&ha1.1));
            assert_eq!(format!("{ha1:?}"), format!("Ha1({}, …)", algorithm.name()));
        }
        let short = Ha1::new(Algorithm::Md5, "a", "b", "c").to_hex();
        assert!(Ha1::of_hex(Algorithm::Sha256, &short).is_none());
        for bad in ["", "zz", &"g".repeat(32), &"a".repeat(31), &"é".repeat(16)] {
            assert!(Ha1::of_hex(Algorithm::Md5, bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn hashes_of_other_lengths_are_not_equal() {
        let (short, long) = (Algorithm::Md5.hash(&[]), Algorithm::Sha256.hash(&[]));
        assert!(short.is(&short) && !short.is(&long) && !long.is(&short));
    }
}
