//! Credentials: the values of `Authorization` and `Proxy-Authorization`.

use std::fmt;

use super::params::{Params, quoted};
use super::{Algorithm, DigestError, Hash};

#[derive(Clone)]
pub struct Credentials {
    pub user: String,
    pub realm: String,
    pub nonce: String,
    /// As it was hashed; whether it is that of the request is for the reader to say.
    pub uri: String,
    pub algorithm: Algorithm,
    pub opaque: Option<String>,
    /// With `qop=auth`: the count and the client's nonce.
    pub counted: Option<(u32, String)>,
    pub(super) response: Hash,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = out.debug_struct("Credentials");
        shown.field("user", &self.user).field("realm", &self.realm).field("uri", &self.uri);
        shown.field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Credentials {
    pub fn parse(value: &str) -> Result<Self, DigestError> {
        let params = Params::parse(value)?;
        let hashed = params.get("userhash").is_some_and(|said| said.eq_ignore_ascii_case("true"));
        if hashed || params.get("username*").is_some() {
            return Err(DigestError::Unsupported);
        }
        let algorithm =
            Algorithm::of_name(params.get("algorithm")).ok_or(DigestError::Unsupported)?;
        let counted = match params.get("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let cnonce = params.need("cnonce")?.to_owned();
                Some((count(params.need("nc")?)?, cnonce))
            }
            Some(_) => return Err(DigestError::Unsupported),
        };
        let response = Hash::of_hex(params.need("response")?);
        let fits = |hash: &Hash| hash.length == algorithm.hash(&[]).length;
        Ok(Self {
            user: params.need("username")?.to_owned(),
            realm: params.need("realm")?.to_owned(),
            nonce: params.need("nonce")?.to_owned(),
            uri: params.need("uri")?.to_owned(),
            algorithm,
            opaque: params.get("opaque").map(str::to_owned),
            counted,
            response: response.filter(fits).ok_or(DigestError::Parameter("response"))?,
        })
    }

    /// The value of the header.
    pub fn value(&self) -> Result<String, DigestError> {
        let mut parts = vec![
            quoted("username", &self.user)?,
            quoted("realm", &self.realm)?,
            quoted("nonce", &self.nonce)?,
            quoted("uri", &self.uri)?,
            format!("response=\"{}\"", self.response.hex()),
            format!("algorithm={}", self.algorithm.name()),
        ];
        if let Some((count, cnonce)) = &self.counted {
            parts.extend([quoted("cnonce", cnonce)?, "qop=auth".into(), format!("nc={count:08x}")]);
        }
        if let Some(opaque) = &self.opaque {
            parts.push(quoted("opaque", opaque)?);
        }
        Ok(format!("Digest {}", parts.join(", ")))
    }
}

/// Eight hexadecimal digits, and not zero.
fn count(text: &str) -> Result<u32, DigestError> {
    let is_hex = text.len() == 8 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
    let count = u32::from_str_radix(text, 16).ok().filter(|count| is_hex && *count > 0);
    count.ok_or(DigestError::Parameter("nc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Digest username=\"bob\", realm=\"biloxi.com\", nonce=\"dcd98b\", \
        uri=\"sip:bob@biloxi.com\", qop=auth, nc=00000001, cnonce=\"0a4f113b\", \
        response=\"6629fae49393a05397450978507c4ef1\", opaque=\"5ccc\"";

    #[test]
    fn credentials_are_read_and_written_back() {
        let read = Credentials::parse(GOOD).unwrap();
        assert_eq!((read.user.as_str(), read.realm.as_str()), ("bob", "biloxi.com"));
        assert_eq!(read.counted, Some((1, "0a4f113b".to_owned())));
        let again = Credentials::parse(&read.value().unwrap()).unwrap();
        assert_eq!(again.value(), read.value());
        assert!(!format!("{read:?}").contains("6629"));
    }

    #[test]
    fn what_lacks_something_or_asks_for_too_much_is_refused() {
        for (from, to, error) in [
            ("nc=00000001", "nc=1", DigestError::Parameter("nc")),
            ("nc=00000001", "nc=00000000", DigestError::Parameter("nc")),
            ("nc=00000001", "nc=+0000001", DigestError::Parameter("nc")),
            ("nc=00000001, ", "", DigestError::Parameter("nc")),
            ("cnonce=\"0a4f113b\", ", "", DigestError::Parameter("cnonce")),
            ("qop=auth", "qop=auth-int", DigestError::Unsupported),
            ("username=\"bob\"", "username=\"bob\", userhash=true", DigestError::Unsupported),
            ("username=", "username*=", DigestError::Unsupported),
            ("4ef1", "4ef", DigestError::Parameter("response")),
            ("4ef1", "4efx", DigestError::Parameter("response")),
            ("opaque", "algorithm=SHA-256, opaque", DigestError::Parameter("response")),
            ("uri=", "url=", DigestError::Parameter("uri")),
            ("opaque", "nonce", DigestError::Twice),
        ] {
            let value = GOOD.replacen(from, to, 1);
            assert_eq!(Credentials::parse(&value).err(), Some(error), "{value}");
        }
    }

    #[test]
    fn the_form_without_qop_is_read() {
        let value = GOOD.replace("qop=auth, nc=00000001, cnonce=\"0a4f113b\", ", "");
        assert_eq!(Credentials::parse(&value).unwrap().counted, None);
    }
}
