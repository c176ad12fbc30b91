//! What is said of a SIP credential: read field by field onto what it is, and every fault named.

use model::address::Recipient;
use model::emergency::Emergency;
use model::sip::{
    CONTACTS, CONTACTS_MAX, CredentialStatus, DESTINATIONS_MAX, LABEL_CHARS_MAX, is_destination,
    is_extension, is_username,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::SipListedRow;
use store::lane::SipSettings;
use utoipa::ToSchema;

use super::super::body::{self, Field, Kind, wrong};
use super::super::error::{ApiError, Fault};
use crate::sip::NewCredential;

/// What may be said of a new credential.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read field by field")]
#[schema(example = json!({"label": "Front desk", "extension": "100", "allowed_outbound": true}))]
pub(crate) struct SipCredentialIn {
    /// 1 to 32 lower-case letters, digits, `-`, `_`, `.`, of no other credential of yours; made when
    /// left out.
    sip_username: Option<String>,
    #[serde(flatten)]
    rest: SipCredentialPatch,
}

/// What may be changed of a credential; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read field by field")]
#[schema(example = json!({"allowed_destinations": ["+1", "+44"], "caller_id": "+14155550100"}))]
pub(crate) struct SipCredentialPatch {
    /// At most 100 characters.
    label: Option<String>,
    /// 2 to 8 digits, of no other credential of yours, and no emergency number; null for none.
    extension: Option<String>,
    /// It may call numbers; true when left out. Your other phones may always be called.
    allowed_outbound: Option<bool>,
    /// `+` and first digits of the numbers it may call, at most 100; empty for any.
    allowed_destinations: Option<Vec<String>>,
    /// The number it calls from, E.164; null for your default number.
    caller_id: Option<String>,
    /// Phones registered at once: 1 to 50; 5 when left out.
    #[schema(minimum = 1, maximum = 50, default = 5)]
    max_contacts: Option<i64>,
    /// `active` or `suspended`.
    status: Option<String>,
}

/// The fields that can be changed.
pub(crate) const FIELDS: &[Field] = &[
    Field::optional("label", Kind::Text),
    Field::optional("extension", Kind::Text),
    Field::optional("allowed_outbound", Kind::Flag),
    Field::optional("allowed_destinations", Kind::List),
    Field::optional("caller_id", Kind::Text),
    Field::optional("max_contacts", Kind::Whole),
    Field::optional("status", Kind::OneOf(&["active", "suspended"])),
];

/// A stored credential, for something to be laid over it.
pub(crate) fn stored(row: &SipListedRow) -> SipSettings {
    SipSettings {
        label: row.label.clone(),
        extension: row.extension.clone(),
        allowed_outbound: row.allowed_outbound != 0,
        allowed_destinations: row.allowed_destinations.clone(),
        caller_id: row.caller_id.clone(),
        max_contacts: row.max_contacts,
        suspended: row.status == CredentialStatus::Suspended.code(),
    }
}

/// The credential that is asked for, or everything that is wrong.
pub(crate) fn read_new(
    map: &Map<String, Value>,
    emergency: &Emergency,
) -> Result<NewCredential, ApiError> {
    let usual = SipSettings {
        label: String::new(),
        extension: None,
        allowed_outbound: true,
        allowed_destinations: String::from("[]"),
        caller_id: None,
        max_contacts: CONTACTS,
        suspended: false,
    };
    let mut faults = Vec::new();
    let username = match map.get("sip_username") {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_str().filter(|text| is_username(text)) {
            Some(text) => Some(text.to_owned()),
            None => {
                let expected = "1 to 32 lower-case letters, digits, -, _ and .";
                faults.push(wrong("sip_username", value.clone()).expected(expected));
                None
            }
        },
    };
    let settings = lay(map, usual, emergency, &mut faults);
    match faults.is_empty() {
        true => Ok(NewCredential { username, settings }),
        false => Err(ApiError::faults(faults)),
    }
}

/// What a credential is with what is said laid over it.
pub(crate) fn read(
    map: &Map<String, Value>,
    before: SipSettings,
    emergency: &Emergency,
) -> Result<SipSettings, ApiError> {
    let mut faults = Vec::new();
    let settings = lay(map, before, emergency, &mut faults);
    if faults.is_empty() { Ok(settings) } else { Err(ApiError::faults(faults)) }
}

fn lay(
    map: &Map<String, Value>,
    mut settings: SipSettings,
    emergency: &Emergency,
    faults: &mut Vec<Fault>,
) -> SipSettings {
    faults.extend(body::faults(map, FIELDS));
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    if let Some(label) = text("label") {
        body::storable("label", label, LABEL_CHARS_MAX, faults);
        label.clone_into(&mut settings.label);
    }
    match (map.get("extension"), text("extension")) {
        (Some(Value::Null), _) => settings.extension = None,
        (_, Some(extension)) => {
            if !is_extension(extension) {
                faults.push(wrong("extension", json!(extension)).expected("2 to 8 digits"));
            } else if emergency.blocks(extension) {
                let expected = "digits that are not dialled for help";
                faults.push(wrong("extension", json!(extension)).expected(expected));
            }
            settings.extension = Some(extension.to_owned());
        }
        _ => {}
    }
    match (map.get("caller_id"), text("caller_id")) {
        (Some(Value::Null), _) => settings.caller_id = None,
        (_, Some(number)) => {
            if Recipient::parse(number).is_none() {
                let expected = "a phone number, as +14155550100, or null";
                faults.push(wrong("caller_id", json!(number)).expected(expected));
            }
            settings.caller_id = Some(number.to_owned());
        }
        _ => {}
    }
    if let Some(allowed) = map.get("allowed_outbound").and_then(Value::as_bool) {
        settings.allowed_outbound = allowed;
    }
    if let Some(list) = map.get("allowed_destinations").and_then(Value::as_array) {
        settings.allowed_destinations = destinations(list, faults);
    }
    if let Some(contacts) = map.get("max_contacts").and_then(Value::as_i64) {
        if !(1..=CONTACTS_MAX).contains(&contacts) {
            let expected = format!("1 to {CONTACTS_MAX}");
            faults.push(wrong("max_contacts", json!(contacts)).expected(expected));
        }
        settings.max_contacts = contacts;
    }
    if let Some(status) = text("status") {
        settings.suspended = status == "suspended";
    }
    settings
}

fn destinations(list: &[Value], faults: &mut Vec<Fault>) -> String {
    let bad = list.iter().find(|item| !item.as_str().is_some_and(is_destination));
    if let Some(bad) = bad {
        let expected = "+ and the first digits of numbers, as +1 or +4416";
        faults.push(wrong("allowed_destinations", bad.clone()).expected(expected));
    }
    if list.len() > DESTINATIONS_MAX {
        let expected = format!("at most {DESTINATIONS_MAX}");
        faults.push(wrong("allowed_destinations", json!(list.len())).expected(expected));
    }
    json!(list).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_is_left_out_is_as_usual_and_a_patch_changes_what_it_says() {
        let emergency = Emergency::default();
        let new =
            read_new(&map(&json!({"label": "Desk", "extension": "100"})), &emergency).unwrap();
        assert_eq!(new.username, None);
        let settings = new.settings;
        assert_eq!((settings.max_contacts, settings.allowed_outbound), (5, true));
        let patch = json!({"extension": null, "status": "suspended",
            "allowed_destinations": ["+1"], "caller_id": "+14155550100"});
        let changed = read(&map(&patch), settings.clone(), &emergency).unwrap();
        let expected = SipSettings {
            extension: None,
            suspended: true,
            allowed_destinations: String::from("[\"+1\"]"),
            caller_id: Some(String::from("+14155550100")),
            ..settings.clone()
        };
        assert_eq!(changed, expected);
        assert_eq!(read(&Map::new(), settings.clone(), &emergency).unwrap(), settings);
    }

    #[test]
    fn every_fault_is_named() {
        let bad = json!({"sip_username": "A b", "label": "\u{0}", "extension": "9",
            "allowed_outbound": "yes", "allowed_destinations": ["1"], "caller_id": "100",
            "max_contacts": 51, "status": "revoked"});
        let error = read_new(&map(&bad), &Emergency::default()).unwrap_err();
        let mut fields: Vec<_> = error.faults.iter().filter_map(|f| f.field.as_deref()).collect();
        fields.sort_unstable();
        let mut expected: Vec<_> = bad.as_object().unwrap().keys().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(fields, expected);
    }

    #[test]
    fn no_phone_has_the_number_of_help() {
        let emergency = Emergency::new(&[String::from("110")]);
        for extension in ["911", "1112", "0999", "110"] {
            let said = map(&json!({ "extension": extension }));
            assert!(read_new(&said, &emergency).is_err(), "{extension}");
        }
        assert!(read_new(&map(&json!({"extension": "9110"})), &emergency).is_ok());
    }
}
