//! Challenges: the values of `WWW-Authenticate` and `Proxy-Authenticate`.

use super::params::{Params, quoted};
use super::{Algorithm, DigestError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub algorithm: Algorithm,
    /// To be given back as it is.
    pub opaque: Option<String>,
    /// The password was right, and only the nonce was not fresh.
    pub stale: bool,
    /// Whether `qop=auth` may be used; without any `qop` the form is that of RFC 2069.
    pub qop_auth: bool,
}

impl Challenge {
    /// Reads a value; one that asks for what is not spoken is `Unsupported`, and another may follow.
    pub fn parse(value: &str) -> Result<Self, DigestError> {
        let params = Params::parse(value)?;
        let algorithm =
            Algorithm::of_name(params.get("algorithm")).ok_or(DigestError::Unsupported)?;
        let qop_auth = match params.get("qop") {
            None => false,
            Some(qop) if qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return Err(DigestError::Unsupported),
        };
        let nonce = params.need("nonce")?;
        if nonce.is_empty() {
            return Err(DigestError::Parameter("nonce"));
        }
        Ok(Self {
            realm: params.need("realm")?.to_owned(),
            nonce: nonce.to_owned(),
            algorithm,
            opaque: params.get("opaque").map(str::to_owned),
            stale: params.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            qop_auth,
        })
    }

    /// The value of the header.
    pub fn value(&self) -> Result<String, DigestError> {
        let (realm, nonce) = (quoted("realm", &self.realm)?, quoted("nonce", &self.nonce)?);
        let mut value = format!("Digest {realm}, {nonce}, algorithm={}", self.algorithm.name());
        if self.qop_auth {
            value.push_str(", qop=\"auth\"");
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(", ");
            value.push_str(&quoted("opaque", opaque)?);
        }
        if self.stale {
            value.push_str(", stale=true");
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn challenges_of_others_are_read() {
        let value = "Digest realm=\"biloxi.com\",qop=\"auth,auth-int\",nonce=\"dcd98b\",opaque=\"5ccc\",stale=TRUE";
        let challenge = Challenge::parse(value).unwrap();
        assert_eq!((challenge.realm.as_str(), challenge.nonce.as_str()), ("biloxi.com", "dcd98b"));
        assert_eq!(challenge.opaque.as_deref(), Some("5ccc"));
        assert!(challenge.stale && challenge.qop_auth);
        assert_eq!(challenge.algorithm, Algorithm::Md5);
        let old = Challenge::parse("Digest realm=\"a\", nonce=\"b\", algorithm=\"md5\"").unwrap();
        assert!(!old.stale && !old.qop_auth);
    }

    #[test]
    fn what_is_not_spoken_is_told_from_what_makes_no_sense() {
        for (value, error) in [
            ("Digest realm=a, nonce=b, algorithm=SHA-512-256", DigestError::Unsupported),
            ("Digest realm=a, nonce=b, algorithm=MD5-sess", DigestError::Unsupported),
            ("Digest realm=a, nonce=b, qop=\"auth-int\"", DigestError::Unsupported),
            ("Digest nonce=b", DigestError::Parameter("realm")),
            ("Digest realm=a", DigestError::Parameter("nonce")),
            ("Digest realm=a, nonce=\"\"", DigestError::Parameter("nonce")),
            ("Bearer realm=a", DigestError::Scheme),
        ] {
            assert_eq!(Challenge::parse(value), Err(error), "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            realm in "\\PC{0,20}", nonce in "\\PC{1,20}", opaque in proptest::option::of("\\PC{0,20}"),
            better in any::<bool>(), stale in any::<bool>(), qop_auth in any::<bool>(),
        ) {
            let algorithm = if better { Algorithm::Sha256 } else { Algorithm::Md5 };
            let challenge = Challenge { realm, nonce, algorithm, opaque, stale, qop_auth };
            prop_assert_eq!(Challenge::parse(&challenge.value().unwrap()), Ok(challenge));
        }
    }
}
