//! What is said of a credential or a carrier: which fields there are, and whether they fit.
//!
//! A carrier of the API is read into the same struct as one of the settings file, and checked by the
//! same rules: each of the two parts is stored as a JSON object of the fields that were given.

use actors::customer::webhook::guard::Networks;
use model::refusal::{Code, Refusal};
use serde_json::{Map, Value, json};

use super::Refused;
use crate::settings::Carrier;

pub(crate) type Fields = Map<String, Value>;

/// The fields of a credential; all others are a carrier's.
pub(crate) const CREDENTIAL: &[&str] = &[
    "host",
    "port",
    "system_id",
    "system_type",
    "bind_mode",
    "tls",
    "tls_verify",
    "tls_ca_file",
    "interface_version",
    "connections",
    "window_size",
    "tps",
    "enquire_link_s",
    "response_timeout_s",
    "reconnect_min_s",
    "reconnect_max_s",
];

/// Fields of the settings that have a column or a place of their own here.
const APART: &[&str] = &["name", "password", "organization", "enabled"];

const NAME_MAX: usize = 100;
const HOST_MAX: usize = 253;
const TLS_PORT: u16 = 3550;

/// Which of the two is spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Credential,
    Carrier,
}

impl Part {
    fn has(self, field: &str) -> bool {
        !APART.contains(&field) && CREDENTIAL.contains(&field) == (self == Self::Credential)
    }
}

/// An account of which nothing is said but what must be.
fn bare() -> Fields {
    let bare = json!({"name": "bare", "host": "host", "system_id": "name", "password": ""});
    match bare {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

/// All fields of this part of an account, by the names of the settings.
pub(crate) fn shown(carrier: &Carrier, part: Part) -> Fields {
    let Ok(Value::Object(fields)) = serde_json::to_value(carrier) else { return Fields::new() };
    fields.into_iter().filter(|(name, _)| part.has(name)).collect()
}

/// Lays what is said over what was: null takes a field back to its default. Fields that are none are
/// ignored, as everywhere.
pub(crate) fn laid_over(mut was: Fields, said: &Fields, part: Part) -> Fields {
    let known = read(&Fields::new(), &Fields::new(), "bare", "");
    let known = known.map(|carrier| shown(&carrier, part)).unwrap_or_default();
    for (field, value) in said {
        if !known.contains_key(field) {
            continue;
        }
        if value.is_null() {
            was.remove(field);
        } else {
            was.insert(field.clone(), value.clone());
        }
    }
    was
}

/// The account that these fields make; or all that is wrong with them.
pub(crate) fn read(
    credential: &Fields,
    carrier: &Fields,
    account: &str,
    password: &str,
) -> Result<Carrier, Refused> {
    let mut whole = bare();
    let mut faults = Vec::new();
    for (field, value) in credential.iter().chain(carrier) {
        let mut alone = bare();
        alone.insert(field.clone(), value.clone());
        match serde_json::from_value::<Carrier>(Value::Object(alone)) {
            Ok(_) => {
                whole.insert(field.clone(), value.clone());
            }
            Err(error) => faults.push(wrong(field.clone(), in_words(&error.to_string()))),
        }
    }
    if credential.get("tls") == Some(&Value::Bool(true)) && !credential.contains_key("port") {
        whole.insert(String::from("port"), json!(TLS_PORT));
    }
    whole.insert(String::from("name"), json!(account));
    whole.insert(String::from("password"), json!(password));
    let carrier: Carrier = match serde_json::from_value(Value::Object(whole)) {
        Ok(carrier) => carrier,
        Err(error) => return Err(Refused::one(wrong("settings", in_words(&error.to_string())))),
    };
    faults.extend(carrier.faults().into_iter().map(|(field, expected)| wrong(field, expected)));
    if faults.is_empty() { Ok(carrier) } else { Err(Refused(faults)) }
}

/// What is stored, as it was said. What no version of this program stores is nothing.
pub(crate) fn stored(text: &str) -> Fields {
    serde_json::from_str(text).unwrap_or_default()
}

/// A name for people.
pub(crate) fn name(said: &Fields) -> Result<Option<String>, Refusal> {
    let fits =
        |text: &str| (1..=NAME_MAX).contains(&text.trim().chars().count()) && !text.contains('\0');
    match said.get("name") {
        None => Ok(None),
        Some(Value::String(text)) if fits(text) => Ok(Some(text.trim().to_owned())),
        Some(_) => Err(wrong("name", "1 to 100 characters")),
    }
}

/// A password as it is given.
pub(crate) fn password(said: &Fields) -> Result<Option<String>, Refusal> {
    match said.get("password") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text))
            if text.len() <= 64 && text.is_ascii() && !text.contains('\0') =>
        {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(wrong("password", "at most 64 ASCII characters")),
    }
}

pub(crate) fn flag(said: &Fields, field: &'static str) -> Result<Option<bool>, Refusal> {
    match said.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(wrong(field, "true or false")),
    }
}

/// Where an organization may not lead us: inside, or to files of this machine.
pub(crate) fn check_of_tenant(carrier: &Carrier, networks: &Networks) -> Vec<Refusal> {
    let mut faults = Vec::new();
    if !may_lead_to(&carrier.host, carrier.port, networks) {
        faults.push(wrong("host", "a host name, or an address that is public"));
    }
    if carrier.tls_ca_file.is_some() {
        faults.push(wrong("tls_ca_file", "left to the operator: it is a file of the switch"));
    }
    faults
}

/// A public address, one in these networks, or a name, which is looked at when it is connected to.
pub(crate) fn may_lead_to(host: &str, port: u16, networks: &Networks) -> bool {
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    networks.check(&format!("https://{host}:{port}/")).is_ok()
}

/// Names and addresses look so.
pub(crate) fn check_host(carrier: &Carrier) -> Option<Refusal> {
    let fits = is_host(&carrier.host);
    (!fits).then(|| wrong("host", "a host name or address, of at most 253 characters"))
}

pub(crate) fn is_host(host: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'_');
    host.len() <= HOST_MAX && host.bytes().all(fits)
}

pub(crate) fn wrong(field: impl Into<String>, expected: impl Into<String>) -> Refusal {
    let (field, expected): (String, String) = (field.into(), expected.into());
    let message = format!("the field `{field}` must be {expected}");
    Refusal::new(Code::ValidationError, message).field(field).expected(expected)
}

pub(crate) fn missing(field: &'static str) -> Refusal {
    let message = format!("the field `{field}` is required");
    Refusal::new(Code::MissingRequiredField, message).field(field)
}

/// The part of a parser's message that says what was expected.
fn in_words(error: &str) -> String {
    let expected = error.rsplit_once("expected ").map_or(error, |(_, expected)| expected);
    expected.replace('`', "").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Value) -> Fields {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn every_field_of_the_settings_belongs_to_one_part() {
        let carrier = read(&Fields::new(), &Fields::new(), "a", "p").unwrap();
        let all = serde_json::to_value(&carrier).unwrap();
        let (credential, rest) =
            (shown(&carrier, Part::Credential), shown(&carrier, Part::Carrier));
        assert_eq!(credential.len(), CREDENTIAL.len());
        for name in all.as_object().unwrap().keys() {
            let parts = [credential.contains_key(name), rest.contains_key(name)];
            let apart = APART.contains(&name.as_str());
            assert_eq!(parts.iter().filter(|has| **has).count(), usize::from(!apart), "{name}");
        }
    }

    #[test]
    fn each_fault_names_its_field_and_what_fits() {
        let said = fields(json!({"port": "x", "tls": 1, "bind_mode": "both", "connections": 11}));
        let carrier = fields(json!({"prefixes": ["+1"], "source_ton": 900}));
        let Refused(faults) = read(&said, &carrier, "a", "p").unwrap_err();
        let mut named: Vec<_> = faults.iter().map(|f| f.field.as_deref().unwrap()).collect();
        named.sort_unstable();
        let all = ["bind_mode", "connections", "port", "prefixes", "source_ton", "tls"];
        assert_eq!(named, all);
        let mode = faults.iter().find(|f| f.field.as_deref() == Some("bind_mode")).unwrap();
        assert!(mode.expected.as_deref().unwrap().contains("transmitter_receiver"), "{mode:?}");
    }

    #[test]
    fn null_takes_a_field_back_and_the_other_parts_fields_are_ignored() {
        let was = fields(json!({"host": "a", "tps": 5}));
        let said = fields(json!({"tps": null, "prefixes": ["1"], "window_size": 7, "x": 1}));
        let is = laid_over(was, &said, Part::Credential);
        assert_eq!(Value::Object(is), json!({"host": "a", "window_size": 7}));
    }

    #[test]
    fn tls_has_a_port_of_its_own() {
        let port = |said: Value| read(&fields(said), &Fields::new(), "a", "p").unwrap().port;
        assert_eq!(port(json!({})), 2775);
        assert_eq!(port(json!({"tls": true})), 3550);
        assert_eq!(port(json!({"tls": true, "port": 9})), 9);
    }

    #[test]
    fn an_organization_leads_us_to_public_addresses_alone() {
        let networks = Networks::default();
        let faults = |host: &str| {
            let carrier = read(&fields(json!({"host": host})), &Fields::new(), "a", "p").unwrap();
            check_of_tenant(&carrier, &networks).len() + usize::from(check_host(&carrier).is_some())
        };
        for good in ["smsc.example.com", "93.184.216.34", "2606:4700::1111"] {
            assert_eq!(faults(good), 0, "{good}");
        }
        for bad in ["localhost", "127.0.0.1", "10.0.0.1", "::1", "a b", "a/b", "u@h", "x.internal"]
        {
            assert!(faults(bad) > 0, "{bad}");
        }
    }
}
