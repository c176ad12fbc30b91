//! Phone numbers that organizations have: what they are, and where calls to them go.
//!
//! A number is in stock until it is bought. Its routing is JSON, as the API has it, but for a password,
//! which is sealed beside it.

use serde::{Deserialize, Serialize};

use crate::message::coded;

coded! {
    /// What kind of line it is.
    NumberType {
        Local = 1 "local",
        TollFree = 2 "toll_free",
        Mobile = 3 "mobile",
        ShortCode = 4 "short_code",
    }
}

coded! {
    /// Where a number stands.
    NumberStatus {
        /// Nobody has it.
        Stock = 1 "available",
        Active = 2 "active",
        /// Given back; it is kept from others for a while.
        Parked = 3 "parked",
        /// Not paid for: it is kept, and neither called nor called from.
        Suspended = 4 "suspended",
    }
}

/// What numbers can do.
pub const CAPABILITIES: &[&str] = &["sms", "voice", "mms", "whatsapp", "rcs"];
/// The provider that is the operator's own list.
pub const MANUAL: &str = "manual";
pub const LABEL_CHARS_MAX: usize = 100;
pub const TAGS_MAX: usize = 20;
pub const TAG_CHARS_MAX: usize = 50;
/// Whom one call rings.
pub const TARGETS_MAX: usize = 10;
pub const RING_SECONDS: i64 = 25;
pub const TIMEOUT_S: i64 = 30;
pub const HEADERS_MAX: usize = 10;

impl NumberType {
    /// `toll-free` is an old spelling.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::parse(if text == "toll-free" { "toll_free" } else { text })
    }
}

/// Where a call to a number goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "config", rename_all = "snake_case")]
pub enum Routing {
    SipForward(SipForward),
    RingGroup(RingGroup),
    Forward {
        /// E.164.
        number: String,
    },
    Reject {
        /// Of a SIP response.
        status: u16,
    },
    /// The number stands between the two parties of masking sessions.
    Proxy {},
}

/// To a telephone system elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum SipForward {
    #[serde(rename_all = "camelCase")]
    Inline {
        sip_uri: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        sip_username: Option<String>,
        #[serde(default)]
        headers: std::collections::BTreeMap<String, String>,
        timeout: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fallback: Option<Box<Fallback>>,
    },
    #[serde(rename_all = "camelCase")]
    Trunk {
        /// `trk_…`
        trunk_id: String,
        #[serde(default)]
        headers: std::collections::BTreeMap<String, String>,
        timeout: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fallback: Option<Box<Fallback>>,
    },
}

/// Where a call goes that was not taken there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "config", rename_all = "snake_case")]
pub enum Fallback {
    RingGroup(RingGroup),
    Forward {
        /// E.164.
        number: String,
    },
}

/// Several phones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingGroup {
    pub targets: Vec<RingTarget>,
    pub strategy: RingStrategy,
    pub ring_seconds: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RingStrategy {
    Simultaneous,
    Sequential,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RingTarget {
    /// All phones of a SIP credential, by its username or extension.
    User { name: String },
    /// E.164, by way of the public network.
    Phone { number: String },
    #[serde(rename_all = "camelCase")]
    Sip { sip_uri: String },
}

impl Routing {
    /// As it was stored. What no version of this program wrote is no routing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As it is stored.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The trunk it names.
    #[must_use]
    pub fn trunk(&self) -> Option<&str> {
        match self {
            Self::SipForward(SipForward::Trunk { trunk_id, .. }) => Some(trunk_id),
            _ => None,
        }
    }
}

/// The digits of a number's area, where its country has such: three of North America's.
#[must_use]
pub fn area_code(e164: &str) -> Option<&str> {
    let national = e164.strip_prefix("+1")?;
    (national.len() == 10).then(|| &national[..3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routings_are_read_as_they_were_written() {
        let trunk = SipForward::Trunk {
            trunk_id: String::from("trk_1"),
            headers: std::collections::BTreeMap::new(),
            timeout: 30,
            fallback: Some(Box::new(Fallback::Forward { number: String::from("+14155550123") })),
        };
        let inline = SipForward::Inline {
            sip_uri: String::from("sip:a@b.example.com"),
            sip_username: None,
            headers: [(String::from("X-A"), String::from("1"))].into(),
            timeout: 20,
            fallback: None,
        };
        let group = RingGroup {
            targets: vec![
                RingTarget::User { name: String::from("100") },
                RingTarget::Phone { number: String::from("+14155550123") },
                RingTarget::Sip { sip_uri: String::from("sip:a@b") },
            ],
            strategy: RingStrategy::Sequential,
            ring_seconds: 25,
        };
        for routing in [
            Routing::SipForward(trunk.clone()),
            Routing::SipForward(inline),
            Routing::RingGroup(group),
            Routing::Forward { number: String::from("+14155550123") },
            Routing::Reject { status: 603 },
            Routing::Proxy {},
        ] {
            assert_eq!(Routing::parse(&routing.text()), Some(routing.clone()), "{routing:?}");
        }
        assert_eq!(Routing::SipForward(trunk).trunk(), Some("trk_1"));
        assert_eq!(Routing::parse("nonsense"), None);
        let text = Routing::Reject { status: 603 }.text();
        assert_eq!(text, "{\"type\":\"reject\",\"config\":{\"status\":603}}");
    }

    #[test]
    fn an_area_code_is_north_americas() {
        assert_eq!(area_code("+14155550123"), Some("415"));
        assert_eq!(area_code("+442079460000"), None);
        assert_eq!(NumberType::read("toll-free"), Some(NumberType::TollFree));
    }
}
