//! Methods of requests: those we know by name, all others kept as they came.

use std::fmt;

use bytes::Bytes;

use crate::grammar;

macro_rules! methods {
    ($($name:ident = $text:literal,)*) => {
        /// What a request asks for.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $($name,)*
            /// A token that is none of the others: 405 or 501, unless it is passed on.
            Other(Bytes),
        }

        impl Method {
            /// Reads a token; the case matters. `None` if it is none.
            pub fn parse(text: &Bytes) -> Option<Self> {
                Self::known(text).or_else(|| {
                    grammar::is_token(text).then(|| Self::Other(text.clone()))
                })
            }

            pub(crate) fn known(text: &[u8]) -> Option<Self> {
                $(if text == $text.as_bytes() {
                    return Some(Self::$name);
                })*
                None
            }

            pub fn as_bytes(&self) -> &[u8] {
                match self {
                    $(Self::$name => $text.as_bytes(),)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

methods! {
    Invite = "INVITE",
    Ack = "ACK",
    Bye = "BYE",
    Cancel = "CANCEL",
    Register = "REGISTER",
    Options = "OPTIONS",
    Prack = "PRACK",
    Update = "UPDATE",
    Info = "INFO",
    Refer = "REFER",
    Notify = "NOTIFY",
    Subscribe = "SUBSCRIBE",
    Message = "MESSAGE",
    Publish = "PUBLISH",
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_methods_are_kept_and_the_case_matters() {
        let parse = |text: &'static str| Method::parse(&Bytes::from_static(text.as_bytes()));
        assert_eq!(parse("INVITE"), Some(Method::Invite));
        assert_eq!(parse("invite"), Some(Method::Other(Bytes::from_static(b"invite"))));
        assert_eq!(parse("!odd-Method`.%'~").unwrap().to_string(), "!odd-Method`.%'~");
        assert_eq!(parse(""), None);
        assert_eq!(parse("A(B"), None);
    }
}
