//! Names of headers: those we know, in their long and compact forms, in any case.

use std::fmt;

/// The longest name in the table.
const LONGEST: usize = 25;

macro_rules! names {
    ($($name:ident = $text:literal, $lower:literal $(| $compact:literal)?;)*) => {
        /// A header we know by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Name {
            $(#[doc = $text] $name,)*
            /// One that is not in the table: it is compared by its text.
            Other,
        }

        impl Name {
            /// The header of that name, long or compact, in any case.
            pub fn of(text: &[u8]) -> Self {
                let mut lower = [0; LONGEST];
                let Some(lower) = lower.get_mut(..text.len()) else {
                    return Self::Other;
                };
                lower.copy_from_slice(text);
                lower.make_ascii_lowercase();
                match &*lower {
                    $($lower $(| $compact)? => Self::$name,)*
                    _ => Self::Other,
                }
            }

            /// The long name as the RFCs write it; empty for `Other`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other => "",
                }
            }

            /// All of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

names! {
    Accept = "Accept", b"accept";
    AcceptContact = "Accept-Contact", b"accept-contact" | b"a";
    AcceptEncoding = "Accept-Encoding", b"accept-encoding";
    AcceptLanguage = "Accept-Language", b"accept-language";
    AlertInfo = "Alert-Info", b"alert-info";
    Allow = "Allow", b"allow";
    AllowEvents = "Allow-Events", b"allow-events" | b"u";
    AuthenticationInfo = "Authentication-Info", b"authentication-info";
    Authorization = "Authorization", b"authorization";
    CallId = "Call-ID", b"call-id" | b"i";
    CallInfo = "Call-Info", b"call-info";
    Contact = "Contact", b"contact" | b"m";
    ContentDisposition = "Content-Disposition", b"content-disposition";
    ContentEncoding = "Content-Encoding", b"content-encoding" | b"e";
    ContentLanguage = "Content-Language", b"content-language";
    ContentLength = "Content-Length", b"content-length" | b"l";
    ContentType = "Content-Type", b"content-type" | b"c";
    CSeq = "CSeq", b"cseq";
    Date = "Date", b"date";
    Diversion = "Diversion", b"diversion";
    ErrorInfo = "Error-Info", b"error-info";
    Event = "Event", b"event" | b"o";
    Expires = "Expires", b"expires";
    FlowTimer = "Flow-Timer", b"flow-timer";
    From = "From", b"from" | b"f";
    Geolocation = "Geolocation", b"geolocation";
    HistoryInfo = "History-Info", b"history-info";
    Identity = "Identity", b"identity" | b"y";
    InReplyTo = "In-Reply-To", b"in-reply-to";
    Join = "Join", b"join";
    MaxForwards = "Max-Forwards", b"max-forwards";
    MimeVersion = "MIME-Version", b"mime-version";
    MinExpires = "Min-Expires", b"min-expires";
    MinSe = "Min-SE", b"min-se";
    Organization = "Organization", b"organization";
    PAccessNetworkInfo = "P-Access-Network-Info", b"p-access-network-info";
    PAssertedIdentity = "P-Asserted-Identity", b"p-asserted-identity";
    PChargingVector = "P-Charging-Vector", b"p-charging-vector";
    PPreferredIdentity = "P-Preferred-Identity", b"p-preferred-identity";
    Path = "Path", b"path";
    Priority = "Priority", b"priority";
    Privacy = "Privacy", b"privacy";
    ProxyAuthenticate = "Proxy-Authenticate", b"proxy-authenticate";
    ProxyAuthenticationInfo = "Proxy-Authentication-Info", b"proxy-authentication-info";
    ProxyAuthorization = "Proxy-Authorization", b"proxy-authorization";
    ProxyRequire = "Proxy-Require", b"proxy-require";
    RAck = "RAck", b"rack";
    Reason = "Reason", b"reason";
    RecordRoute = "Record-Route", b"record-route";
    ReferSub = "Refer-Sub", b"refer-sub";
    ReferTo = "Refer-To", b"refer-to" | b"r";
    ReferredBy = "Referred-By", b"referred-by" | b"b";
    RejectContact = "Reject-Contact", b"reject-contact" | b"j";
    RemotePartyId = "Remote-Party-ID", b"remote-party-id";
    Replaces = "Replaces", b"replaces";
    ReplyTo = "Reply-To", b"reply-to";
    RequestDisposition = "Request-Disposition", b"request-disposition" | b"d";
    Require = "Require", b"require";
    RetryAfter = "Retry-After", b"retry-after";
    Route = "Route", b"route";
    RSeq = "RSeq", b"rseq";
    Server = "Server", b"server";
    ServiceRoute = "Service-Route", b"service-route";
    SessionExpires = "Session-Expires", b"session-expires" | b"x";
    SipEtag = "SIP-ETag", b"sip-etag";
    SipIfMatch = "SIP-If-Match", b"sip-if-match";
    Subject = "Subject", b"subject" | b"s";
    SubscriptionState = "Subscription-State", b"subscription-state";
    Supported = "Supported", b"supported" | b"k";
    Timestamp = "Timestamp", b"timestamp";
    To = "To", b"to" | b"t";
    Unsupported = "Unsupported", b"unsupported";
    UserAgent = "User-Agent", b"user-agent";
    UserToUser = "User-to-User", b"user-to-user";
    Via = "Via", b"via" | b"v";
    Warning = "Warning", b"warning";
    WwwAuthenticate = "WWW-Authenticate", b"www-authenticate";
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which header is meant: one we know, or one by its text.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    Known(Name),
    Text(&'a str),
}

impl<'a> Field<'a> {
    pub fn as_str(self) -> &'a str {
        match self {
            Self::Known(name) => name.as_str(),
            Self::Text(text) => text,
        }
    }

    pub(crate) fn is(self, name: Name, text: &[u8]) -> bool {
        match self {
            Self::Known(known) => known == name,
            Self::Text(own) => name == Name::Other && own.as_bytes().eq_ignore_ascii_case(text),
        }
    }
}

impl From<Name> for Field<'_> {
    fn from(name: Name) -> Self {
        Self::Known(name)
    }
}

impl<'a> From<&'a str> for Field<'a> {
    fn from(text: &'a str) -> Self {
        match Name::of(text.as_bytes()) {
            Name::Other => Self::Text(text),
            name => Self::Known(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_compact_names_are_known_in_any_case() {
        for name in Name::ALL {
            assert_eq!(Name::of(name.as_str().as_bytes()), *name);
            assert_eq!(Name::of(name.as_str().to_ascii_uppercase().as_bytes()), *name);
            assert!(name.as_str().len() <= LONGEST);
        }
        let longest = Name::ALL.iter().map(|name| name.as_str().len()).max();
        assert_eq!(longest, Some(LONGEST));
        let compact: &[(&[u8], Name)] = &[
            (b"v", Name::Via),
            (b"F", Name::From),
            (b"t", Name::To),
            (b"I", Name::CallId),
            (b"m", Name::Contact),
            (b"l", Name::ContentLength),
            (b"c", Name::ContentType),
            (b"e", Name::ContentEncoding),
            (b"s", Name::Subject),
            (b"k", Name::Supported),
            (b"r", Name::ReferTo),
            (b"b", Name::ReferredBy),
            (b"x", Name::SessionExpires),
            (b"o", Name::Event),
            (b"u", Name::AllowEvents),
            (b"a", Name::AcceptContact),
            (b"j", Name::RejectContact),
            (b"d", Name::RequestDisposition),
            (b"y", Name::Identity),
        ];
        for (text, name) in compact {
            assert_eq!(Name::of(text), *name);
        }
    }

    #[test]
    fn other_names_are_other() {
        for text in ["", "z", "X-Custom", "Vía", "Viaa", "Unknown-LongLongLongLongLongLongLong"] {
            assert_eq!(Name::of(text.as_bytes()), Name::Other, "{text}");
        }
        assert!(Field::from("x-CUSTOM").is(Name::Other, b"X-Custom"));
        assert!(Field::from("v").is(Name::Via, b"Via"));
    }
}
