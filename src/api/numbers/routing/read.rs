//! A routing as it is asked for, read field by field: what is not known is refused.

use std::collections::BTreeMap;

use model::address::Recipient;
use model::emergency::{Emergency, redacted};
use model::number::{
    Fallback, HEADERS_MAX, RING_SECONDS, RingGroup, RingStrategy, RingTarget, Routing, SipForward,
    TARGETS_MAX, TIMEOUT_S,
};
use model::refusal::{Code, Detail, Refusal};
use model::trunk::{Target, is_username};
use serde_json::{Map, Value, json};

use super::super::super::body;
use super::super::super::error::{ApiError, Fault};
use crate::numbers::AskedRouting;

/// Types that are known and not built yet.
const LATER: &[&str] =
    &["webhook", "agent", "ivr", "flow", "queue", "conference", "voicemail", "fax"];
const SECONDS: std::ops::RangeInclusive<i64> = 5..=120;
const HEADER_CHARS_MAX: usize = 200;

/// Where it is read for.
pub(super) struct Place<'a> {
    /// The number itself: a call to it does not go to it.
    pub(super) own: &'a str,
    pub(super) emergency: &'a Emergency,
    pub(super) may_lead_to: &'a (dyn Fn(&Target) -> bool + Sync),
}

/// The routing that is asked for, or everything that is wrong with it.
pub(super) fn read(map: &Map<String, Value>, place: &Place<'_>) -> Result<AskedRouting, ApiError> {
    let none = AskedRouting { routing: None, password: None, record: false };
    let kind = match map.get("type") {
        Some(Value::Null) => return Ok(none),
        Some(Value::String(kind)) => kind.as_str(),
        Some(other) => return Err(body::wrong("type", other.clone()).expected("a string").into()),
        None => return Err(body::missing("type").into()),
    };
    if LATER.contains(&kind) {
        let message = format!("this switch does not route numbers to `{kind}` yet");
        let refusal = Refusal::new(Code::RoutingNotAvailable, message).field("type");
        return Err(refusal.expected("sip_forward, ring_group, forward, reject or proxy").into());
    }
    let mut config = match map.get("config") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(config)) => config.clone(),
        Some(other) => {
            return Err(body::wrong("config", other.clone()).expected("an object").into());
        }
    };
    // All types take it, and none needs it to find its way.
    let record = match config.remove("record") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(record)) => record,
        Some(other) => {
            return Err(body::wrong("config.record", other).expected("true or false").into());
        }
    };
    let mut reader = Reader::new(&config, "config", place);
    let routing = match kind {
        "sip_forward" => reader.sip_forward()?.map(Routing::SipForward),
        "ring_group" => reader.ring_group().map(Routing::RingGroup),
        "forward" => reader.forward()?,
        "reject" => reader.reject(),
        "proxy" => reader.only(&[]).then_some(Routing::Proxy {}),
        other => {
            let expected = "sip_forward, ring_group, forward, reject or proxy";
            return Err(body::wrong("type", json!(other)).expected(expected).into());
        }
    };
    reader.for_help()?;
    match routing {
        Some(routing) if reader.faults.is_empty() => {
            Ok(AskedRouting { routing: Some(routing), password: reader.password, record })
        }
        _ => Err(ApiError::faults(reader.faults)),
    }
}

/// A call to help is refused by its own name.
fn for_help(number: &str, emergency: &Emergency) -> Result<(), ApiError> {
    if !emergency.blocks(number) {
        return Ok(());
    }
    let message = "calls to emergency services are not supported";
    let refusal = Refusal::new(Code::EmergencyCallingNotSupported, message).field("config");
    Err(refusal.detail("destination", Detail::Text(redacted(number))).into())
}

struct Reader<'a> {
    config: &'a Map<String, Value>,
    /// Where that stands in the body.
    at: &'static str,
    place: &'a Place<'a>,
    faults: Vec<Fault>,
    password: Option<String>,
}

impl<'a> Reader<'a> {
    fn new(config: &'a Map<String, Value>, at: &'static str, place: &'a Place<'a>) -> Self {
        Self { config, at, place, faults: Vec::new(), password: None }
    }

    fn fault(&mut self, field: &str, value: Value, expected: impl Into<String>) {
        let fault = Fault::new(Code::ValidationError, "the routing is not valid");
        let expected: String = expected.into();
        self.faults
            .push(fault.field(format!("{}.{field}", self.at)).value(value).expected(expected));
    }

    /// Nothing else may be said.
    fn only(&mut self, known: &[&str]) -> bool {
        let unknown = self
            .config
            .iter()
            .find(|(name, value)| !known.contains(&name.as_str()) && !value.is_null());
        if let Some((name, _)) = unknown {
            let expected = match known {
                [] => String::from("left out"),
                known => format!("left out: there are {}", known.join(", ")),
            };
            self.fault(&name.clone(), Value::Null, expected);
            return false;
        }
        true
    }

    fn text(&self, name: &str) -> Option<String> {
        self.config.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    fn given(&self, name: &str) -> Value {
        self.config.get(name).cloned().unwrap_or_default()
    }

    fn seconds(&mut self, name: &str, usual: i64) -> i64 {
        match self.config.get(name) {
            None | Some(Value::Null) => usual,
            Some(value) => match value.as_i64().filter(|seconds| SECONDS.contains(seconds)) {
                Some(seconds) => seconds,
                None => {
                    self.fault(name, value.clone(), "5 to 120");
                    usual
                }
            },
        }
    }

    fn sip_forward(&mut self) -> Result<Option<SipForward>, ApiError> {
        let fallback = self.fallback()?.map(Box::new);
        let timeout = self.seconds("timeout", TIMEOUT_S);
        let headers = self.headers();
        match self.text("mode").as_deref() {
            Some("inline") => {
                self.only(&[
                    "mode",
                    "sipUri",
                    "sipUsername",
                    "sipPassword",
                    "headers",
                    "timeout",
                    "fallback",
                ]);
                let sip_uri = self.text("sipUri").unwrap_or_default();
                self.check_uri("sipUri", &sip_uri);
                let sip_username = self.text("sipUsername");
                let odd = sip_username.as_deref().is_some_and(|name| !is_username(name));
                if odd || sip_username.is_none() != self.given("sipUsername").is_null() {
                    let value = self.given("sipUsername");
                    self.fault("sipUsername", value, "1 to 64 visible characters");
                }
                match self.given("sipPassword") {
                    Value::Null => {}
                    Value::String(text) if (1..=128).contains(&text.len()) => {
                        self.password = Some(text);
                    }
                    _ => self.fault("sipPassword", Value::Null, "1 to 128 octets"),
                }
                Ok(Some(SipForward::Inline { sip_uri, sip_username, headers, timeout, fallback }))
            }
            Some("trunk") => {
                self.only(&["mode", "trunkId", "headers", "timeout", "fallback"]);
                let Some(trunk_id) = self.text("trunkId") else {
                    self.fault("trunkId", self.given("trunkId"), "trk_…, a SIP trunk of yours");
                    return Ok(None);
                };
                Ok(Some(SipForward::Trunk { trunk_id, headers, timeout, fallback }))
            }
            _ => {
                self.fault("mode", self.given("mode"), "inline or trunk");
                Ok(None)
            }
        }
    }

    /// Where a call goes that is not taken there.
    fn fallback(&mut self) -> Result<Option<Fallback>, ApiError> {
        let value = self.given("fallback");
        if value.is_null() {
            return Ok(None);
        }
        let expected = "a type of forward or ring_group, and its config";
        let kind = value.get("type").and_then(Value::as_str).map(str::to_owned);
        let config = value.get("config").and_then(Value::as_object).cloned();
        let (Some(kind), Some(config)) = (kind, config) else {
            self.fault("fallback", value, expected);
            return Ok(None);
        };
        let mut reader = Reader::new(&config, "config.fallback.config", self.place);
        let fallback = match kind.as_str() {
            "forward" => reader.number()?.map(|number| Fallback::Forward { number }),
            "ring_group" => reader.ring_group().map(Fallback::RingGroup),
            _ => {
                self.fault("fallback.type", json!(kind), "forward or ring_group");
                None
            }
        };
        reader.for_help()?;
        self.faults.extend(reader.faults);
        Ok(fallback)
    }

    fn check_uri(&mut self, field: &str, uri: &str) {
        let bare = uri.split_once('@').map_or(uri.to_owned(), |(user, place)| {
            let scheme = user.split_once(':').map_or("", |(scheme, _)| scheme);
            format!("{scheme}:{place}")
        });
        let user = uri.split_once('@').and_then(|(user, _)| user.split_once(':'));
        let plain = |user: &str| {
            (1..=100).contains(&user.len())
                && user
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/%#".contains(&b))
        };
        let target = Target::parse(&bare).filter(|_| user.is_none_or(|(_, user)| plain(user)));
        match target {
            None => {
                let expected = "sip:user@host, perhaps with a port and ;transport=udp, tcp or tls";
                self.fault(field, json!(uri), expected);
            }
            Some(target) if !(self.place.may_lead_to)(&target) => {
                self.fault(field, json!(uri), "an address elsewhere, and a public one");
            }
            Some(_) => {}
        }
    }

    fn headers(&mut self) -> BTreeMap<String, String> {
        let value = self.given("headers");
        let Value::Object(map) = &value else {
            if !value.is_null() {
                self.fault("headers", value, "an object of X- headers");
            }
            return BTreeMap::new();
        };
        let name = |name: &str| {
            name.len() <= 64
                && name.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("x-"))
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let text = |value: &Value| {
            let text = value.as_str().filter(|text| text.len() <= HEADER_CHARS_MAX);
            text.filter(|text| text.chars().all(|c| !c.is_control())).map(str::to_owned)
        };
        let read = |(key, value): (&String, &Value)| {
            Some((key.clone(), text(value)?)).filter(|(key, _)| name(key))
        };
        let headers: Option<BTreeMap<_, _>> = map.iter().map(read).collect();
        match headers.filter(|headers| headers.len() <= HEADERS_MAX) {
            Some(headers) => headers,
            None => {
                let expected = "at most 10 headers X-…, of at most 200 characters each";
                self.fault("headers", value, expected);
                BTreeMap::new()
            }
        }
    }

    fn ring_group(&mut self) -> Option<RingGroup> {
        self.only(&["targets", "strategy", "ring_seconds"]);
        let ring_seconds = self.seconds("ring_seconds", RING_SECONDS);
        let strategy = match self.given("strategy") {
            Value::Null => RingStrategy::Simultaneous,
            value => match serde_json::from_value(value.clone()) {
                Ok(strategy) => strategy,
                Err(_) => {
                    self.fault("strategy", value, "simultaneous or sequential");
                    return None;
                }
            },
        };
        let value = self.given("targets");
        let list = value.as_array().filter(|list| (1..=TARGETS_MAX).contains(&list.len()));
        let Some(list) = list else {
            self.fault("targets", value, "a list of 1 to 10");
            return None;
        };
        let mut targets = Vec::new();
        for (at, item) in list.iter().enumerate() {
            let field = format!("targets[{at}]");
            match serde_json::from_value::<RingTarget>(item.clone()) {
                Ok(target) => {
                    match &target {
                        RingTarget::User { .. } => {}
                        RingTarget::Phone { number } => self.check_number(&field, number),
                        RingTarget::Sip { sip_uri } => {
                            self.check_uri(&format!("{field}.sipUri"), sip_uri);
                        }
                    }
                    targets.push(target);
                }
                Err(_) => {
                    let expected =
                        "{type: user, name}, {type: phone, number} or {type: sip, sipUri}";
                    self.fault(&field, item.clone(), expected);
                }
            }
        }
        Some(RingGroup { targets, strategy, ring_seconds })
    }

    fn check_number(&mut self, field: &str, number: &str) {
        if number == self.place.own {
            self.fault(&format!("{field}.number"), json!(number), "another number than this one");
        } else if Recipient::parse(number).is_none() && !self.place.emergency.blocks(number) {
            let expected = "a phone number, as +14155550123";
            self.fault(&format!("{field}.number"), json!(number), expected);
        }
    }

    fn forward(&mut self) -> Result<Option<Routing>, ApiError> {
        Ok(self.number()?.map(|number| Routing::Forward { number }))
    }

    /// The one number that calls go on to.
    fn number(&mut self) -> Result<Option<String>, ApiError> {
        self.only(&["number"]);
        let Some(number) = self.text("number") else {
            self.fault("number", self.given("number"), "a phone number, as +14155550123");
            return Ok(None);
        };
        for_help(&number, self.place.emergency)?;
        if number == self.place.own {
            self.fault("number", json!(number), "another number than this one");
        } else if Recipient::parse(&number).is_none() {
            self.fault("number", json!(number), "a phone number, as +14155550123");
        }
        Ok(Some(number))
    }

    fn reject(&mut self) -> Option<Routing> {
        self.only(&["status"]);
        let status = match self.given("status") {
            Value::Null => Some(603),
            value => value.as_u64().and_then(|status| u16::try_from(status).ok()),
        };
        match status.filter(|status| (400..=699).contains(status)) {
            Some(status) => Some(Routing::Reject { status }),
            None => {
                self.fault("status", self.given("status"), "400 to 699");
                None
            }
        }
    }

    /// None of the numbers and addresses that calls would go to is one of help.
    fn for_help(&self) -> Result<(), ApiError> {
        let uri = self.config.get("sipUri").and_then(Value::as_str);
        let targets = self.config.get("targets").and_then(Value::as_array);
        let targets = targets.into_iter().flatten().flat_map(|target| {
            ["number", "sipUri", "name"].map(|name| target.get(name).and_then(Value::as_str))
        });
        let mut dialled = targets.chain([uri]).flatten();
        dialled.try_for_each(|dialled| for_help(dialled, self.place.emergency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &Value) -> Result<AskedRouting, ApiError> {
        let emergency = Emergency::default();
        let place = Place {
            own: "+14155550100",
            emergency: &emergency,
            may_lead_to: &|target| target.host.ends_with(".com"),
        };
        read(value.as_object().unwrap(), &place)
    }

    fn code(value: &Value) -> Code {
        asked(value).unwrap_err().code
    }

    #[test]
    fn each_type_is_read_as_it_is_shown() {
        let full = json!({"mode": "inline", "sipUri": "sip:a@pbx.example.com:5061;transport=tls",
            "sipUsername": "u", "headers": {"X-A": "1"}, "timeout": 20});
        let group = json!({"targets": [{"type": "user", "name": "100"},
            {"type": "phone", "number": "+14155550123"},
            {"type": "sip", "sipUri": "sip:b@pbx.example.com"}],
            "strategy": "sequential", "ring_seconds": 10});
        let trunk = json!({"mode": "trunk", "trunkId": "trk_1", "headers": {}, "timeout": 30});
        let after = json!({"mode": "trunk", "trunkId": "trk_1", "headers": {}, "timeout": 9,
            "fallback": {"type": "forward", "config": {"number": "+14155550123"}}});
        for (kind, config) in [
            ("sip_forward", full),
            ("sip_forward", after),
            ("sip_forward", trunk),
            ("ring_group", group),
            ("forward", json!({"number": "+14155550123"})),
            ("reject", json!({"status": 486})),
            ("proxy", json!({})),
        ] {
            let value = json!({"type": kind, "config": config});
            let routing = asked(&value).unwrap().routing.unwrap();
            assert_eq!(serde_json::to_value(&routing).unwrap(), value);
        }
        let usual = asked(&json!({"type": "reject"})).unwrap();
        assert_eq!(usual.routing, Some(Routing::Reject { status: 603 }));
        assert!(!usual.record);
        for kind in [json!({"type": "proxy"}), json!({"type": "reject"})] {
            let mut recorded = kind.clone();
            recorded["config"] = json!({"record": true});
            let recorded = asked(&recorded).unwrap();
            assert_eq!((recorded.routing, recorded.record), (asked(&kind).unwrap().routing, true));
        }
        assert_eq!(asked(&json!({"type": null})).unwrap().routing, None);
        let with = json!({"type": "sip_forward", "config": {"mode": "inline",
            "sipUri": "sip:pbx.example.com", "sipPassword": "hunter2"}});
        let with = asked(&with).unwrap();
        assert_eq!(with.password.as_deref(), Some("hunter2"));
        assert!(!with.routing.unwrap().text().contains("hunter2"));
    }

    #[test]
    fn what_is_not_built_or_not_known_is_refused() {
        for kind in LATER {
            assert_eq!(code(&json!({ "type": kind })), Code::RoutingNotAvailable, "{kind}");
        }
        for bad in [
            json!({"type": "teleport"}),
            json!({"type": 5}),
            json!({"type": "forward"}),
            json!({"type": "forward", "config": []}),
            json!({"type": "forward", "config": {"number": "+14155550100"}}),
            json!({"type": "forward", "config": {"number": "415"}}),
            json!({"type": "forward", "config": {"number": "+14155550123", "record": "yes"}}),
            json!({"type": "forward", "config": {"number": "+14155550123", "schedule_id": "x"}}),
            json!({"type": "reject", "config": {"status": 200}}),
            json!({"type": "proxy", "config": {"x": 1}}),
            json!({"type": "ring_group", "config": {"targets": []}}),
            json!({"type": "ring_group", "config": {"targets": [{"type": "queue"}]}}),
            json!({"type": "ring_group", "config": {"targets": [{"type": "user", "name": "1"}],
                "ring_seconds": 4}}),
            json!({"type": "sip_forward", "config": {"sipUri": "sip:a@b.com"}}),
            json!({"type": "sip_forward", "config": {"mode": "inline", "sipUri": "a@b.com"}}),
            json!({"type": "sip_forward", "config": {"mode": "inline", "sipUri": "sip:a@10.0.0.1"}}),
            json!({"type": "sip_forward", "config": {"mode": "inline",
                "sipUri": "sip:a@b.com", "headers": {"Via": "x"}}}),
            json!({"type": "sip_forward", "config": {"mode": "trunk"}}),
            json!({"type": "sip_forward", "config": {"mode": "trunk", "trunkId": "trk_1",
                "fallback": {"type": "reject", "config": {}}}}),
            json!({"type": "sip_forward", "config": {"mode": "trunk", "trunkId": "trk_1",
                "fallback": {"type": "forward", "config": {"number": "+14155550100"}}}}),
        ] {
            assert_eq!(code(&bad), Code::ValidationError, "{bad}");
        }
        assert_eq!(code(&json!({})), Code::MissingRequiredField);
    }

    #[test]
    fn no_routing_leads_to_help() {
        for config in [
            json!({"type": "forward", "config": {"number": "911"}}),
            json!({"type": "forward", "config": {"number": "+1911"}}),
            json!({"type": "ring_group", "config": {"targets": [{"type": "phone", "number": "112"}]}}),
            json!({"type": "ring_group",
                "config": {"targets": [{"type": "sip", "sipUri": "sip:911@pbx.example.com"}]}}),
            json!({"type": "sip_forward",
                "config": {"mode": "inline", "sipUri": "sip:+1911@pbx.example.com"}}),
            json!({"type": "sip_forward", "config": {"mode": "trunk", "trunkId": "trk_1",
                "fallback": {"type": "forward", "config": {"number": "112"}}}}),
            json!({"type": "sip_forward", "config": {"mode": "trunk", "trunkId": "trk_1",
                "fallback": {"type": "ring_group",
                    "config": {"targets": [{"type": "phone", "number": "999"}]}}}}),
        ] {
            assert_eq!(code(&config), Code::EmergencyCallingNotSupported, "{config}");
        }
    }
}
