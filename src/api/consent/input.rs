//! What a statement may say, and what is wrong with one.

use model::clock::At;
use model::consent::{Origin, Scope};
use model::id::PublicId;
use model::refusal::Code;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::lane::NewConsent;
use utoipa::ToSchema;

use super::super::body::{Field, Kind, storable, wrong};
use super::super::error::Fault;
use super::super::messages::{check_metadata, metadata_text};
use super::super::suppressions::identity;

const BASES: &[&str] = &[
    "consent",
    "contract",
    "legal_obligation",
    "vital_interests",
    "public_task",
    "legitimate_interests",
];
const NAME_MAX: usize = 100;
const PURPOSE_MAX: usize = 500;
const URL_MAX: usize = 2_000;

/// What one person says about one or more channels.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"identifier": "+14155550123", "channels": ["sms"], "opt_in": true,
    "lawful_basis": "consent", "purpose": "Order updates"}))]
pub(crate) struct ConsentIn {
    /// Of a contact; there are none here yet, so `identifier` is needed.
    contact_id: Option<String>,
    /// E.164 with its `+`, an email address, a WhatsApp id, or a channel's own id.
    #[schema(example = "+14155550123")]
    identifier: Option<String>,
    /// Of `email fax instagram line messenger push rcs sms viber voice whatsapp`.
    channels: Vec<String>,
    /// True: messages are welcome. False: they are not.
    opt_in: bool,
    /// Where it was said; `consent_api` when left out.
    source: Option<String>,
    /// `messaging` when left out.
    consent_type: Option<String>,
    /// `consent`, `contract`, `legal_obligation`, `vital_interests`, `public_task` or
    /// `legitimate_interests`.
    lawful_basis: Option<String>,
    /// At most 500 characters.
    purpose: Option<String>,
    /// Which version of the text was agreed to.
    consent_text_version: Option<String>,
    /// Where the proof is kept.
    consent_proof_url: Option<String>,
    /// At most 50 keys of 64 characters, values of 512.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

pub(super) const FIELDS: &[Field] = &[
    Field::optional("contact_id", Kind::Text),
    Field::optional("identifier", Kind::Text),
    Field::required("channels", Kind::List),
    Field::required("opt_in", Kind::Flag),
    Field::optional("source", Kind::Text),
    Field::optional("consent_type", Kind::Text),
    Field::optional("lawful_basis", Kind::OneOf(BASES)),
    Field::optional("purpose", Kind::Text),
    Field::optional("consent_text_version", Kind::Text),
    Field::optional("consent_proof_url", Kind::Text),
    Field::optional("metadata", Kind::Object),
];

/// A statement that can be kept: one record per channel.
pub(super) struct Said {
    pub(super) identifier: String,
    pub(super) channels: Vec<Scope>,
    pub(super) opt_in: bool,
    pub(super) records: Vec<NewConsent>,
}

impl ConsentIn {
    /// All that is wrong with it, or its records.
    pub(super) fn check(self, now: At) -> Result<Said, Vec<Fault>> {
        let mut faults = self.text_faults();
        let channels = channels(&self.channels, &mut faults);
        let identifier = self.identifier(&channels, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let metadata = metadata_text(self.metadata);
        let source = self.source.unwrap_or_else(|| String::from("consent_api"));
        let consent_type = self.consent_type.unwrap_or_else(|| String::from("messaging"));
        let record = |channel: &Scope| NewConsent {
            id: PublicId::new(now),
            address: identifier.clone(),
            channel: *channel,
            opt_in: self.opt_in,
            origin: Origin::Consent,
            source: source.clone(),
            consent_type: consent_type.clone(),
            lawful_basis: self.lawful_basis.clone(),
            purpose: self.purpose.clone(),
            text_version: self.consent_text_version.clone(),
            proof_url: self.consent_proof_url.clone(),
            metadata: metadata.clone(),
            keyword: None,
            message: None,
        };
        let records = channels.iter().map(record).collect();
        Ok(Said { identifier, channels, opt_in: self.opt_in, records })
    }

    fn text_faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (name, text, most) in [
            ("source", &self.source, NAME_MAX),
            ("consent_type", &self.consent_type, NAME_MAX),
            ("purpose", &self.purpose, PURPOSE_MAX),
            ("consent_text_version", &self.consent_text_version, NAME_MAX),
            ("consent_proof_url", &self.consent_proof_url, URL_MAX),
        ] {
            storable(name, text.as_deref().unwrap_or_default(), most, &mut faults);
        }
        if let Some(basis) = &self.lawful_basis
            && !BASES.contains(&basis.as_str())
        {
            faults.push(wrong("lawful_basis", json!(basis)).expected(BASES.join(", ")));
        }
        if let Some(metadata) = &self.metadata {
            check_metadata(metadata, &mut faults);
        }
        faults
    }

    fn identifier(&self, channels: &[Scope], faults: &mut Vec<Fault>) -> String {
        let Some(text) = &self.identifier else {
            let message = "there are no contacts here: name the person by `identifier`";
            let field = if self.contact_id.is_some() { "contact_id" } else { "identifier" };
            faults.push(Fault::new(Code::MissingRequiredField, message).field(field));
            return String::new();
        };
        if let Some(identity) = identity(text, channels, None) {
            return identity.as_str().to_owned();
        }
        let expected = "an address by which all these channels reach a person, as +14155550123";
        faults.push(wrong("identifier", json!(text)).expected(expected));
        String::new()
    }
}

fn channels(names: &[String], faults: &mut Vec<Fault>) -> Vec<Scope> {
    let mut channels = Vec::new();
    for name in names {
        match Scope::channel(name) {
            Some(channel) if channels.contains(&channel) => {}
            Some(channel) => channels.push(channel),
            None => {
                faults.push(no_channel(name));
                return Vec::new();
            }
        }
    }
    if names.is_empty() {
        faults.push(wrong("channels", json!(names)).expected("at least one channel"));
    }
    channels
}

pub(super) fn no_channel(name: &str) -> Fault {
    let known: Vec<&str> = Scope::CHANNELS.iter().map(|channel| channel.as_str()).collect();
    Fault::new(Code::InvalidChannel, "consent is not kept for this channel")
        .field("channels")
        .value(json!(name))
        .expected(known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: Value) -> Result<Said, Vec<Fault>> {
        serde_json::from_value::<ConsentIn>(body).unwrap().check(At(0))
    }

    #[test]
    fn a_statement_is_one_record_per_channel() {
        let said = check(json!({"identifier": "+1 415 555 0123", "opt_in": false,
            "channels": ["sms", "voice", "sms"]}))
        .unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_eq!(said.identifier, "+14155550123");
        assert_eq!(said.channels, [Scope::Sms, Scope::Voice]);
        assert_eq!(said.records.len(), 2);
        assert_eq!(said.records[0].source, "consent_api");
        let whatsapp = json!({"identifier": "14155550123", "opt_in": true,
            "channels": ["whatsapp"]});
        assert!(check(whatsapp).is_ok_and(|said| said.identifier == "+14155550123"));
    }

    #[test]
    fn what_is_wrong_is_told_by_field() {
        let cases = [
            (json!({"identifier": "a@b.co", "channels": ["sms"], "opt_in": true}), "identifier"),
            (json!({"channels": ["sms"], "opt_in": true}), "identifier"),
            (
                json!({"identifier": "+14155550123", "channels": ["all"], "opt_in": true}),
                "channels",
            ),
            (json!({"identifier": "+14155550123", "channels": [], "opt_in": true}), "channels"),
            (
                json!({"identifier": "+14155550123", "channels": ["sms"], "opt_in": true,
                "purpose": "x".repeat(501)}),
                "purpose",
            ),
            (
                json!({"identifier": "+14155550123", "channels": ["sms"], "opt_in": true,
                "lawful_basis": "whim"}),
                "lawful_basis",
            ),
        ];
        for (body, field) in cases {
            let Err(faults) = check(body) else { panic!("{field}") };
            assert!(faults.iter().any(|fault| fault.field.as_deref() == Some(field)), "{field}");
        }
    }
}
