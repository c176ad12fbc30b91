//! Whether two URIs mean the same, RFC 3261 §19.1.4, RFC 3966 §5. This is not octet equality: an
//! escape and its character are the same, and so are parameters and headers in another order.

use super::{Scheme, Uri, unescape};

/// Parameters that must be there in both, or in neither.
const TELLING: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

type Pair<'a> = (&'a [u8], Option<&'a [u8]>);

impl Uri {
    /// Whether the other means the same. The relation is not transitive, as the RFC has it.
    pub fn is_equivalent(&self, other: &Self) -> bool {
        if self.text == other.text {
            return true;
        }
        if self.scheme != other.scheme {
            return false;
        }
        match self.scheme {
            Scheme::Sip | Scheme::Sips => self.is_same_sip(other),
            Scheme::Tel => self.is_same_tel(other),
            Scheme::Urn => self.text.eq_ignore_ascii_case(&other.text),
            Scheme::Other => {
                let colon = |uri: &Self| uri.user.map_or(0, |span| span.start as usize);
                let (one, two) =
                    (self.text.split_at(colon(self)), other.text.split_at(colon(other)));
                one.0.eq_ignore_ascii_case(two.0) && one.1 == two.1
            }
        }
    }

    fn is_same_sip(&self, other: &Self) -> bool {
        let hosts = match (&self.host, &other.host) {
            (Some(one), Some(two)) => one.is_same(two),
            _ => false,
        };
        hosts
            && self.port == other.port
            && same_text(self.user(), other.user())
            && same_text(self.password(), other.password())
            && self.has_fitting_params(other)
            && other.has_fitting_params(self)
            && self.has_headers_of(other)
            && other.has_headers_of(self)
    }

    /// Each parameter of ours fits the other's: the telling ones are there, all others equal if so.
    fn has_fitting_params(&self, other: &Self) -> bool {
        self.params().all(|(name, value)| {
            let theirs = other.params().find(|(own, _)| own.eq_ignore_ascii_case(name));
            match theirs {
                Some((_, theirs)) => match (value, theirs) {
                    (Some(one), Some(two)) => unescape(one).eq_ignore_ascii_case(&unescape(two)),
                    (one, two) => one.is_none() && two.is_none(),
                },
                None => {
                    !TELLING.iter().any(|telling| telling.as_bytes().eq_ignore_ascii_case(name))
                }
            }
        })
    }

    fn has_headers_of(&self, other: &Self) -> bool {
        let same = |(own, value): &Pair<'_>, (name, theirs): &Pair<'_>| {
            own.eq_ignore_ascii_case(name) && same_text(*value, *theirs)
        };
        other.headers().all(|theirs| self.headers().any(|own| same(&own, &theirs)))
    }

    /// Numbers without their visual separators, and all parameters, in any order.
    fn is_same_tel(&self, other: &Self) -> bool {
        let digits = |uri: &Self| {
            let number = uri.user().unwrap_or_default().iter();
            let seen = number.filter(|octet| !matches!(octet, b'-' | b'.' | b'(' | b')'));
            seen.map(u8::to_ascii_lowercase).collect::<Vec<_>>()
        };
        let has = |one: &Self, two: &Self| {
            two.params().all(|(name, value)| {
                one.params().any(|(own, ours)| {
                    own.eq_ignore_ascii_case(name)
                        && ours.unwrap_or_default().eq_ignore_ascii_case(value.unwrap_or_default())
                })
            })
        };
        digits(self) == digits(other) && has(self, other) && has(other, self)
    }
}

/// Both there and the same without escapes, or both not there.
fn same_text(one: Option<&[u8]>, two: Option<&[u8]>) -> bool {
    match (one, two) {
        (Some(one), Some(two)) => one == two || unescape(one) == unescape(two),
        (one, two) => one.is_none() && two.is_none(),
    }
}
