//! What else is known of a call: the things it belongs to, and what was found out on the way.
//!
//! Kept with the call's row as JSON, in which what is not known is left out.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<String>,
    /// The organization's number that was called, or calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conference_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_call_id: Option<String>,
    /// The Call-ID that the caller's side knows it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sip_call_id: Option<String>,
    /// It is to be recorded, or looked at for an answering machine.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub record: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub amd: bool,
    /// `human`, `machine_start`, `machine_end_beep`, `fax` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amd_result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent_mode: Option<String>,
    /// When it was announced that the call is recorded, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent_announced_at: Option<i64>,
    /// What was said of the caller's number: `TN-Validation-Passed` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verstat: Option<String>,
}

impl Facts {
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| String::from("{}"))
    }

    /// What a row says; nothing is known where it is no JSON of ours.
    #[must_use]
    pub fn from_json(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The agent of a row's text.
    #[must_use]
    pub fn agent_of(text: &str) -> Option<String> {
        if !text.contains("agent_id") {
            return None;
        }
        Self::from_json(text).agent_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(Facts::default().to_json(), "{}");
        let facts = Facts {
            agent_id: Some(String::from("agt_1")),
            record: true,
            verstat: Some(String::from("No-TN-Validation")),
            ..Facts::default()
        };
        let text = facts.to_json();
        assert_eq!(Facts::from_json(&text), facts);
        assert_eq!(Facts::agent_of(&text).as_deref(), Some("agt_1"));
        assert_eq!(Facts::agent_of("{}"), None);
        assert_eq!(Facts::from_json("no"), Facts::default());
        assert_eq!(Facts::from_json("{\"later\":1}"), Facts::default());
    }
}
