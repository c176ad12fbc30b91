//! What is said of a SIP trunk: all of it at once, and every fault named.

use actors::sip::trunks::Password;
use model::trunk::{
    CHANNELS_MAX, CODECS, Encryption, NAME_CHARS_MAX, PING_S_MAX, SOURCES_MAX, Source, Target,
    Transport, TrunkSettings, is_username,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::TrunkListedRow;
use utoipa::ToSchema;

use super::super::body::{self, Field, Kind, wrong};
use super::super::error::{ApiError, Fault};
use crate::trunks::{AskedPassword, AskedTrunk};

const PASSWORD_MAX: usize = 128;

/// A trunk. What is left out is as usual; of a password that is left out, see there.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read field by field")]
#[schema(example = json!({"name": "Office", "outbound_uri": "sip:pbx.example.com;transport=tls",
    "inbound_uris": ["203.0.113.7"], "encryption": "tls_srtp"}))]
pub(crate) struct TrunkIn {
    /// 1 to 100 characters.
    name: String,
    /// Where calls go: `sip:` or `sips:`, a host, a port, `;transport=udp`, `tcp` or `tls`. Null: calls
    /// only come in. A public address, or one that the operator allows.
    outbound_uri: Option<String>,
    /// Who calls in: at most 20 addresses, networks (of 256 addresses at most) and host names.
    inbound_uris: Option<Vec<String>>,
    /// What we authenticate as there, and what is let in from elsewhere with the password.
    username: Option<String>,
    /// At most 128 characters; never shown. When left out of a `PUT` it stays, as long as host, port
    /// and username do; null for none.
    password: Option<String>,
    /// As they are preferred: of `PCMU`, `PCMA`, `G722`, `opus`; the first two when left out.
    codecs: Option<Vec<String>>,
    /// `none` (when left out), `tls` or `tls_srtp`.
    encryption: Option<String>,
    /// Whether we register there; needs `outbound_uri`, `username` and `password`.
    register: Option<bool>,
    /// How often it is asked whether it is there: 5 to 3600, or 0 for never; 30 when left out.
    #[schema(minimum = 0, maximum = 3600, default = 30)]
    options_ping_seconds: Option<i64>,
    /// Calls at once: 1 to 10000; 30 when left out.
    #[schema(minimum = 1, maximum = 10000, default = 30)]
    max_channels: Option<i64>,
    /// `active` (when left out) or `disabled`.
    status: Option<String>,
}

pub(crate) const FIELDS: &[Field] = &[
    Field::required("name", Kind::Text),
    Field::optional("outbound_uri", Kind::Text),
    Field::optional("inbound_uris", Kind::List),
    Field::optional("username", Kind::Text),
    Field::optional("password", Kind::Text),
    Field::optional("codecs", Kind::List),
    Field::optional("encryption", Kind::OneOf(&["none", "tls", "tls_srtp"])),
    Field::optional("register", Kind::Flag),
    Field::optional("options_ping_seconds", Kind::Whole),
    Field::optional("max_channels", Kind::Whole),
    Field::optional("status", Kind::OneOf(&["active", "disabled"])),
];

/// A stored trunk as a body would say it, without its password.
pub(crate) fn said(row: &TrunkListedRow) -> Map<String, Value> {
    let fields = serde_json::to_value(row.fields()).unwrap_or_default();
    let mut said = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    said.insert(String::from("name"), json!(row.name));
    let status = if row.disabled_at.is_some() { "disabled" } else { "active" };
    said.insert(String::from("status"), json!(status));
    said
}

/// The trunk that is asked for, or everything that is wrong.
pub(crate) fn read(
    map: &Map<String, Value>,
    may_lead_to: impl Fn(&Target) -> bool,
) -> Result<AskedTrunk, ApiError> {
    let mut faults = body::faults(map, FIELDS);
    for fault in &mut faults {
        if fault.field.as_deref() == Some("password") {
            fault.value = None;
        }
    }
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    let number = |name: &str| map.get(name).and_then(Value::as_i64);
    let mut fields = TrunkSettings::default();
    let name = text("name").unwrap_or_default().trim();
    let fits = (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && !name.contains('\0');
    if text("name").is_some() && !fits {
        faults.push(wrong("name", json!(name)).expected("1 to 100 characters"));
    }
    fields.encryption = text("encryption").unwrap_or("none").to_owned();
    fields.outbound_uri =
        target(text("outbound_uri"), &fields.encryption, may_lead_to, &mut faults);
    if let Some(list) = map.get("inbound_uris").and_then(Value::as_array) {
        fields.inbound_uris = sources(list, &mut faults);
    }
    if let Some(username) = text("username") {
        if !is_username(username) {
            let expected = "1 to 64 visible characters without \", \\ and :";
            faults.push(wrong("username", json!(username)).expected(expected));
        }
        fields.username = Some(username.to_owned());
    }
    let password = password(map, &mut faults);
    if let Some(list) = map.get("codecs").and_then(Value::as_array) {
        fields.codecs = codecs(list, &mut faults);
    }
    fields.register = map.get("register").and_then(Value::as_bool).unwrap_or(false);
    if fields.register && (text("outbound_uri").is_none() || fields.username.is_none()) {
        let expected = "false, unless there are an outbound_uri and a username";
        faults.push(wrong("register", json!(true)).expected(expected));
    }
    if let Some(seconds) = number("options_ping_seconds") {
        if seconds != 0 && !(5..=PING_S_MAX).contains(&seconds) {
            let expected = format!("0, or 5 to {PING_S_MAX}");
            faults.push(wrong("options_ping_seconds", json!(seconds)).expected(expected));
        }
        fields.options_ping_seconds = seconds;
    }
    if let Some(channels) = number("max_channels") {
        if !(1..=CHANNELS_MAX).contains(&channels) {
            let expected = format!("1 to {CHANNELS_MAX}");
            faults.push(wrong("max_channels", json!(channels)).expected(expected));
        }
        fields.max_channels = channels;
    }
    let leads = text("outbound_uri").is_some() || !fields.inbound_uris.is_empty();
    if faults.is_empty() && !leads && fields.username.is_none() {
        let expected = "an address, unless calls come in by inbound_uris or a username";
        faults.push(wrong("outbound_uri", Value::Null).expected(expected));
    }
    let disabled = text("status") == Some("disabled");
    match faults.is_empty() {
        true => Ok(AskedTrunk { name: name.to_owned(), fields, password, disabled }),
        false => Err(ApiError::faults(faults)),
    }
}

fn target(
    text: Option<&str>,
    encryption: &str,
    may_lead_to: impl Fn(&Target) -> bool,
    faults: &mut Vec<Fault>,
) -> Option<String> {
    let text = text?;
    let mut fault = |expected: &'static str| {
        faults.push(wrong("outbound_uri", json!(text)).expected(expected));
        None
    };
    let Some(target) = Target::parse(text) else {
        return fault("sip: or sips:, a host, perhaps a port and ;transport=udp, tcp or tls");
    };
    if !may_lead_to(&target) {
        return fault("a public address");
    }
    let open = Encryption::parse(encryption) != Some(Encryption::None);
    if open && target.transport != Transport::Tls {
        return fault("an address with ;transport=tls, as the encryption asks for");
    }
    Some(target.to_string())
}

fn sources(list: &[Value], faults: &mut Vec<Fault>) -> Vec<String> {
    if list.len() > SOURCES_MAX {
        faults.push(wrong("inbound_uris", json!(list.len())).expected("at most 20"));
    }
    let mut sources = Vec::new();
    for item in list.iter().take(SOURCES_MAX) {
        let text = item.as_str().map(|text| text.strip_prefix("sip:").unwrap_or(text));
        match text.filter(|text| Source::parse(text).is_some_and(|source| source.is_narrow())) {
            Some(text) => sources.push(text.to_owned()),
            None => {
                let expected = "an address, a network from /24 (IPv4) or /48 (IPv6) on, or a name";
                faults.push(wrong("inbound_uris", item.clone()).expected(expected));
            }
        }
    }
    sources
}

fn codecs(list: &[Value], faults: &mut Vec<Fault>) -> Vec<String> {
    let mut codecs: Vec<String> = Vec::new();
    for item in list.iter().take(100) {
        let named =
            |codec: &&&str| item.as_str().is_some_and(|text| text.eq_ignore_ascii_case(codec));
        match CODECS.iter().find(named) {
            Some(codec) if codecs.iter().any(|known| known == codec) => {}
            Some(codec) => codecs.push((*codec).to_owned()),
            None => faults.push(wrong("codecs", item.clone()).expected(CODECS.join(", "))),
        }
    }
    if list.is_empty() {
        faults.push(wrong("codecs", json!([])).expected("one at least"));
    }
    codecs
}

fn password(map: &Map<String, Value>, faults: &mut Vec<Fault>) -> AskedPassword {
    match map.get("password") {
        None => AskedPassword::Unsaid,
        Some(Value::String(text)) => {
            let fits = |b: u8| b.is_ascii_graphic() || b == b' ';
            if !(1..=PASSWORD_MAX).contains(&text.len()) || !text.bytes().all(fits) {
                let expected = "1 to 128 visible ASCII characters";
                faults.push(wrong("password", Value::Null).expected(expected));
            }
            AskedPassword::Is(Password(text.clone()))
        }
        Some(_) => AskedPassword::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_is_left_out_is_as_usual() {
        let least = json!({"name": " Office ", "outbound_uri": "sip:PBX.example.com"});
        let asked = read(&map(&least), |_| true).unwrap();
        assert_eq!((&*asked.name, asked.disabled), ("Office", false));
        assert_eq!(asked.password, AskedPassword::Unsaid);
        let expected = TrunkSettings {
            outbound_uri: Some(String::from("sip:pbx.example.com;transport=udp")),
            ..TrunkSettings::default()
        };
        assert_eq!(asked.fields, expected);
    }

    #[test]
    fn every_fault_is_named_and_no_password_is_repeated() {
        let bad = json!({"name": "", "outbound_uri": "sip:pbx.example.com", "encryption": "tls",
            "inbound_uris": ["0.0.0.0/0"], "username": "a b", "password": "\u{1}hunter2",
            "codecs": ["G729"], "register": "yes", "options_ping_seconds": 1,
            "max_channels": 0, "status": "up"});
        let error = read(&map(&bad), |_| true).unwrap_err();
        let mut fields: Vec<_> = error.faults.iter().filter_map(|f| f.field.as_deref()).collect();
        fields.sort_unstable();
        let mut expected: Vec<_> = bad.as_object().unwrap().keys().map(String::as_str).collect();
        expected.retain(|name| *name != "encryption");
        expected.sort_unstable();
        assert_eq!(fields, expected);
        assert!(!format!("{:?}", error.faults).contains("hunter2"));
        let typed = read(&map(&json!({"name": "a", "password": 12345})), |_| true).unwrap_err();
        assert!(!format!("{:?}", typed.faults).contains("12345"));
    }

    #[test]
    fn a_trunk_leads_somewhere_and_not_inside() {
        assert!(read(&map(&json!({"name": "a"})), |_| true).is_err());
        let inside = json!({"name": "a", "outbound_uri": "sip:10.0.0.1"});
        assert!(read(&map(&inside), |_| false).is_err());
        let registers = json!({"name": "a", "inbound_uris": ["192.0.2.1"], "register": true});
        assert!(read(&map(&registers), |_| true).is_err());
        let by_password = json!({"name": "a", "username": "pbx", "password": "x"});
        assert!(read(&map(&by_password), |_| true).is_ok());
    }
}
