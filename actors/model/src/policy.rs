//! What an organization lets its own sends through: quiet hours, consent, lists, sender approval.
//!
//! Read from the JSON that the API takes and the store keeps; written back whole. Everything is off
//! until it is switched on, key by key; keys that are not known are ignored. Each fault is told with
//! the path of its field.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::message::{Category, coded};
use crate::quiet::Window;

/// Channels that a person can consent to.
pub const CHANNELS: &[&str] = &[
    "email",
    "fax",
    "instagram",
    "line",
    "messenger",
    "push",
    "rcs",
    "sms",
    "viber",
    "voice",
    "whatsapp",
];

/// Channels with quiet hours, and the hours while nothing else is said. Others are exempt.
const WINDOWS: &[(&str, Window)] = &[
    ("instagram", Window::hours(9, 21)),
    ("messenger", Window::hours(9, 21)),
    ("sms", Window::hours(8, 21)),
    ("voice", Window::hours(8, 21)),
    ("whatsapp", Window::hours(9, 21)),
];

/// Hours that are customary in a country, whatever the channel.
const PRESETS: &[(&str, Window)] = &[("TR", Window::hours(8, 20)), ("US", Window::hours(8, 21))];

const COUNTRIES_MAX: usize = 250;

coded! {
    /// What the operator says to a sender in a country.
    Approval {
        Pending = 1 "pending",
        Approved = 2 "approved",
        Rejected = 3 "rejected",
    }
}

/// The gates of one organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub quiet_hours: QuietHours,
    /// Channels on which nobody is written to without consent.
    consent_required: Vec<&'static str>,
    pub dnc: Dnc,
    /// Numbers that were given back since are refused.
    pub rnd: bool,
    /// Alphanumeric senders need approval for the recipient's country.
    pub approved_senders: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietHours {
    pub enabled: bool,
    /// Keep the message until it is allowed, instead of refusing it.
    pub defer: bool,
    windows: BTreeMap<&'static str, Window>,
    /// Hours of a country, in the place of the channel's.
    countries: BTreeMap<String, Window>,
    presets: bool,
    exempt: Vec<Category>,
}

/// The organization's own list of those who are not to be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dnc {
    pub enabled: bool,
    categories: Vec<Category>,
}

/// One thing wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFault {
    /// As in `quiet_hours.windows.sms.start`.
    pub path: String,
    pub value: Value,
    pub expected: &'static str,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            quiet_hours: QuietHours {
                enabled: false,
                defer: false,
                windows: WINDOWS.iter().copied().collect(),
                countries: BTreeMap::new(),
                presets: true,
                exempt: vec![Category::Otp],
            },
            consent_required: Vec::new(),
            dnc: Dnc {
                enabled: false,
                categories: vec![Category::Transactional, Category::Service, Category::Marketing],
            },
            rnd: false,
            approved_senders: false,
        }
    }
}

impl Policy {
    /// Reads a policy, or says everything that is wrong with it. What is left out is as by default.
    pub fn read(value: &Value) -> Result<Self, Vec<PolicyFault>> {
        let mut reader = Reader { faults: Vec::new() };
        let mut policy = Self::default();
        let whole = reader.object("", Some(value));
        if let Some(quiet) = reader.section(whole, "quiet_hours") {
            policy.quiet_hours.read(quiet, &mut reader);
        }
        if let Some(channels) = reader.section(whole, "unknown_consent") {
            for channel in CHANNELS {
                let path = format!("unknown_consent.{channel}");
                let choice = reader.choice(&path, channels.get(*channel), &["allow", "refuse"]);
                if choice == Some("refuse") {
                    policy.consent_required.push(channel);
                }
            }
        }
        if let Some(dnc) = reader.section(whole, "dnc") {
            reader.flag("dnc.enabled", dnc.get("enabled"), &mut policy.dnc.enabled);
            let categories = dnc.get("categories");
            reader.categories("dnc.categories", categories, &mut policy.dnc.categories);
        }
        if let Some(rnd) = reader.section(whole, "rnd") {
            reader.flag("rnd.enabled", rnd.get("enabled"), &mut policy.rnd);
        }
        if let Some(senders) = reader.section(whole, "sender_ids") {
            let required = senders.get("require_approved");
            reader.flag("sender_ids.require_approved", required, &mut policy.approved_senders);
        }
        if reader.faults.is_empty() { Ok(policy) } else { Err(reader.faults) }
    }

    /// The whole policy, with what was left out when it was set.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let choice = |channel: &str| {
            if self.needs_consent(channel) { "refuse" } else { "allow" }
        };
        let consent: Map<String, Value> =
            CHANNELS.iter().map(|name| ((*name).to_owned(), json!(choice(name)))).collect();
        json!({
            "quiet_hours": self.quiet_hours.to_json(),
            "unknown_consent": consent,
            "dnc": { "enabled": self.dnc.enabled, "categories": names(&self.dnc.categories) },
            "rnd": { "enabled": self.rnd },
            "sender_ids": { "require_approved": self.approved_senders },
        })
    }

    /// False when nothing is switched on: the organization's sends meet no gate of this kind.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.quiet_hours.enabled
            || !self.consent_required.is_empty()
            || self.dnc.enabled
            || self.rnd
            || self.approved_senders
    }

    /// True when nobody is written to on this channel without consent.
    #[must_use]
    pub fn needs_consent(&self, channel: &str) -> bool {
        self.consent_required.contains(&channel)
    }
}

impl QuietHours {
    fn read(&mut self, quiet: &Map<String, Value>, reader: &mut Reader) {
        reader.flag("quiet_hours.enabled", quiet.get("enabled"), &mut self.enabled);
        reader.flag("quiet_hours.presets", quiet.get("presets"), &mut self.presets);
        let choices = &["reject", "defer"];
        let chosen = reader.choice("quiet_hours.policy", quiet.get("policy"), choices);
        self.defer = chosen == Some("defer");
        let exempt = quiet.get("exempt_categories");
        reader.categories("quiet_hours.exempt_categories", exempt, &mut self.exempt);
        let path = "quiet_hours.windows";
        if let Some(windows) = reader.object(path, quiet.get("windows")) {
            for (channel, window) in &mut self.windows {
                let read = reader.window(&format!("{path}.{channel}"), windows.get(*channel));
                *window = read.unwrap_or(*window);
            }
        }
        let path = "quiet_hours.countries";
        if let Some(countries) = reader.object(path, quiet.get("countries")) {
            if countries.len() > COUNTRIES_MAX {
                reader.wrong(path, &json!(countries.len()), "at most 250 countries");
                return;
            }
            for (country, window) in countries {
                let path = format!("{path}.{country}");
                if !is_country(country) {
                    reader.wrong(&path, &json!(country), "two capital letters, as in GB");
                } else if let Some(window) = reader.window(&path, Some(window)) {
                    self.countries.insert(country.clone(), window);
                }
            }
        }
    }

    fn to_json(&self) -> Value {
        let shown = |window: &Window| json!({ "start": window.start(), "end": window.end() });
        let windows: Map<String, Value> =
            self.windows.iter().map(|(name, window)| ((*name).to_owned(), shown(window))).collect();
        let countries: Map<String, Value> =
            self.countries.iter().map(|(name, window)| (name.clone(), shown(window))).collect();
        json!({
            "enabled": self.enabled,
            "policy": if self.defer { "defer" } else { "reject" },
            "windows": windows,
            "countries": countries,
            "presets": self.presets,
            "exempt_categories": names(&self.exempt),
        })
    }

    /// The hours for a channel in a country: the organization's for the country, the country's
    /// custom, the channel's. `None`: the channel has no quiet hours.
    #[must_use]
    pub fn window(&self, channel: &str, country: Option<&str>) -> Option<Window> {
        let of_channel = self.windows.get(channel)?;
        let own = country.and_then(|country| self.countries.get(country).copied());
        let custom = || {
            let known = PRESETS.iter().find(|(name, _)| Some(*name) == country);
            known.filter(|_| self.presets).map(|(_, window)| *window)
        };
        Some(own.or_else(custom).unwrap_or(*of_channel))
    }

    #[must_use]
    pub fn exempts(&self, category: Category) -> bool {
        self.exempt.contains(&category)
    }
}

impl Dnc {
    /// True when messages of this category are held against the list.
    #[must_use]
    pub fn covers(&self, category: Category) -> bool {
        self.enabled && self.categories.contains(&category)
    }
}

/// True for two capital letters.
#[must_use]
pub fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// True for a day as in `2026-01-31`.
#[must_use]
pub fn is_day(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

fn names(categories: &[Category]) -> Vec<&'static str> {
    categories.iter().map(|category| category.as_str()).collect()
}

/// Reads fields and notes what is wrong with them. Absent and null are the same.
struct Reader {
    faults: Vec<PolicyFault>,
}

impl Reader {
    fn wrong(&mut self, path: &str, value: &Value, expected: &'static str) {
        self.faults.push(PolicyFault { path: path.to_owned(), value: value.clone(), expected });
    }

    fn object<'a>(
        &mut self,
        path: &str,
        value: Option<&'a Value>,
    ) -> Option<&'a Map<String, Value>> {
        let value = value.filter(|value| !value.is_null())?;
        if value.as_object().is_none() {
            self.wrong(path, value, "an object");
        }
        value.as_object()
    }

    fn section<'a>(
        &mut self,
        whole: Option<&'a Map<String, Value>>,
        name: &str,
    ) -> Option<&'a Map<String, Value>> {
        self.object(name, whole?.get(name))
    }

    fn flag(&mut self, path: &str, value: Option<&Value>, into: &mut bool) {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return;
        };
        match value.as_bool() {
            Some(flag) => *into = flag,
            None => self.wrong(path, value, "true or false"),
        }
    }

    fn choice(
        &mut self,
        path: &str,
        value: Option<&Value>,
        choices: &[&'static str; 2],
    ) -> Option<&'static str> {
        let value = value.filter(|value| !value.is_null())?;
        let chosen = choices.iter().find(|choice| value.as_str() == Some(choice));
        if chosen.is_none() {
            let expected =
                if choices[0] == "allow" { "allow or refuse" } else { "reject or defer" };
            self.wrong(path, value, expected);
        }
        chosen.copied()
    }

    fn categories(&mut self, path: &str, value: Option<&Value>, into: &mut Vec<Category>) {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return;
        };
        let read: Option<Vec<Category>> = value.as_array().and_then(|list| {
            list.iter().map(|name| name.as_str().and_then(Category::parse)).collect()
        });
        match read {
            Some(mut list) => {
                list.sort_unstable_by_key(|category| category.code());
                list.dedup();
                *into = list;
            }
            None => self.wrong(path, value, "a list of transactional, otp, service, marketing"),
        }
    }

    fn window(&mut self, path: &str, value: Option<&Value>) -> Option<Window> {
        let window = self.object(path, value)?;
        let text = |name: &str| window.get(name).and_then(Value::as_str).unwrap_or_default();
        let read = Window::parse(text("start"), text("end"));
        if read.is_none() {
            let value = json!(window);
            self.wrong(path, &value, "start and end, two times of day as in 08:00 and 21:00");
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_on_by_default_and_what_is_written_is_read_again() {
        let policy = Policy::read(&json!({})).unwrap();
        assert_eq!(policy, Policy::default());
        assert!(!policy.is_active());
        let given = json!({
            "quiet_hours": {
                "enabled": true, "policy": "defer", "windows": {"sms": {"start": "22:00", "end": "06:30"}},
                "countries": {"DE": {"start": "09:00", "end": "24:00"}}, "presets": false,
                "exempt_categories": ["service", "otp", "otp"], "later": 1,
            },
            "unknown_consent": {"sms": "refuse", "voice": "allow", "pigeon": 5},
            "dnc": {"enabled": true, "categories": ["marketing"]},
            "rnd": {"enabled": true}, "sender_ids": {"require_approved": true}, "retention": {},
        });
        let policy = Policy::read(&given).unwrap();
        assert_eq!(Policy::read(&policy.to_json()).unwrap(), policy);
        assert!(policy.is_active() && policy.quiet_hours.defer);
        assert!(policy.needs_consent("sms") && !policy.needs_consent("voice"));
        assert!(policy.dnc.covers(Category::Marketing) && !policy.dnc.covers(Category::Service));
        assert!(policy.quiet_hours.exempts(Category::Service));
    }

    #[test]
    fn each_gate_alone_makes_a_policy_active() {
        for on in [
            json!({"quiet_hours": {"enabled": true}}),
            json!({"unknown_consent": {"sms": "refuse"}}),
            json!({"dnc": {"enabled": true}}),
            json!({"rnd": {"enabled": true}}),
            json!({"sender_ids": {"require_approved": true}}),
        ] {
            assert!(Policy::read(&on).unwrap().is_active(), "{on}");
        }
    }

    #[test]
    fn the_hours_are_the_countrys_before_the_channels() {
        let quiet = Policy::default().quiet_hours;
        let hours = |channel, country| quiet.window(channel, country).map(|w| (w.start(), w.end()));
        let text = |start: &str, end: &str| Some((start.to_owned(), end.to_owned()));
        assert_eq!(hours("sms", Some("GB")), text("08:00", "21:00"));
        assert_eq!(hours("sms", Some("TR")), text("08:00", "20:00"));
        assert_eq!(hours("whatsapp", None), text("09:00", "21:00"));
        assert_eq!(hours("email", Some("GB")), None);
        let own = json!({"quiet_hours": {"countries": {"TR": {"start": "10:00", "end": "12:00"}}}});
        let quiet = Policy::read(&own).unwrap().quiet_hours;
        assert_eq!(quiet.window("sms", Some("TR")), Window::parse("10:00", "12:00"));
        let bare = Policy::read(&json!({"quiet_hours": {"presets": false}})).unwrap().quiet_hours;
        assert_eq!(bare.window("sms", Some("TR")), Window::parse("08:00", "21:00"));
    }

    #[test]
    fn faults_are_told_by_path_and_all_at_once() {
        let bad = json!({
            "quiet_hours": {
                "enabled": "yes", "policy": "later", "exempt_categories": ["news"],
                "windows": {"sms": {"start": "8:00", "end": "21:00"}, "voice": 5},
                "countries": {"de": {}, "GB": {"start": "08:00", "end": "08:00"}},
            },
            "unknown_consent": {"sms": true},
            "dnc": [],
        });
        let faults = Policy::read(&bad).unwrap_err();
        let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
        for path in [
            "quiet_hours.enabled",
            "quiet_hours.policy",
            "quiet_hours.exempt_categories",
            "quiet_hours.windows.sms",
            "quiet_hours.windows.voice",
            "quiet_hours.countries.de",
            "quiet_hours.countries.GB",
            "unknown_consent.sms",
            "dnc",
        ] {
            assert!(paths.contains(&path), "{path}: {paths:?}");
        }
        assert_eq!(faults.len(), 9);
        assert!(Policy::read(&json!([])).is_err());
    }
}
