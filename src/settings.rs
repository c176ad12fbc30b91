//! The settings: one struct per section, and how their layers are laid over each other.
//!
//! `config/default.toml` (in the program) < file < `ORBIT__SECTION__KEY` < explicit overrides.
//! Unknown keys are refused, and every fault names its key. The only reader of the environment
//! is [`environment`]; everything else takes what it is given.

mod calls;
mod carrier;
mod compatibility;
mod egress;
mod keeping;
mod media;
mod protection;
mod routing;
mod serving;
mod traffic;
mod voice;
mod webhooks;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use actors::traffic::interceptors::Ready;
use config::{Config, ConfigError, File, FileFormat};
use model::interceptor::Rule;
use model::rates::{BadRate, Rates};
use model::voice::{Jurisdictions, VoiceRates};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

pub use calls::Voice;
pub use carrier::{
    BindMode, Carrier, Circuit, Concat, DefaultEncoding, DlrIdFormat, ReceiptMeaning, ReceiptState,
    Secret, SenderType,
};
pub use compatibility::Compatibility;
pub use egress::{Direction, Egress, EgressTrunk};
pub use keeping::{Events, Redact, Retention};
pub use media::Media;
pub use protection::Protection;
pub(crate) use protection::{MICROS_MAX, VELOCITY_MAX, is_prefix};
pub use routing::{Portability, Routing};
pub use serving::{Data, Database, Http, Limits, Log, LogFormat, Profile, Secrets};
pub use traffic::{Doubt, Gates, InDoubt, Inbound, RateTable, Sandbox, Schedules, Senders, Smpp};
pub use voice::{Emergency, Numbers, Sip};
pub use webhooks::Webhooks;

/// Every key with its default and what it means.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The prices in force when no file is named.
pub const DEFAULT_RATES: &str = include_str!("../config/rates.csv");

/// The same of calls.
pub const DEFAULT_VOICE_RATES: &str = include_str!("../config/voice-rates.csv");

/// Who has to be told of a recording, by place.
pub const DEFAULT_CONSENT: &str = include_str!("../config/recording-consent.csv");

const PREFIX: &str = "ORBIT__";
const SENDER: &str = "+ and a phone number, 3 to 8 digits, or 3 to 11 letters and digits";

/// All settings of one process.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub drain_grace_s: u64,
    pub http: Http,
    pub database: Database,
    pub data: Data,
    pub secrets: Secrets,
    pub log: Log,
    pub limits: Limits,
    pub events: Events,
    pub retention: Retention,
    pub smpp: Smpp,
    pub in_doubt: InDoubt,
    pub inbound: Inbound,
    pub routing: Routing,
    pub portability: Portability,
    pub gates: Gates,
    pub protection: Protection,
    pub sandbox: Sandbox,
    pub schedules: Schedules,
    pub rates: RateTable,
    pub voice: Voice,
    pub senders: Senders,
    pub webhooks: Webhooks,
    pub sip: Sip,
    pub emergency: Emergency,
    pub egress: Egress,
    pub numbers: Numbers,
    pub compatibility: Compatibility,
    pub media: Media,
    #[serde(default)]
    pub carriers: Vec<Carrier>,
    #[serde(default)]
    pub interceptors: Vec<Rule>,
}

#[derive(Debug, Error)]
pub enum SettingsError {
    #[error("settings: {0}")]
    Unreadable(#[from] ConfigError),
    #[error("settings: {0}")]
    Invalid(String),
    #[error("settings: {key} {path}: {error}")]
    RatesFile { key: &'static str, path: String, error: std::io::Error },
    #[error("settings: {key}: {error}")]
    Rates { key: &'static str, error: BadRate },
}

/// The variables that are meant for us.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    let ours = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
        let key = key.into_string().ok()?;
        let value = value.into_string().ok()?;
        key.starts_with(PREFIX).then_some((key, value))
    };
    std::env::vars_os().filter_map(ours).collect()
}

/// The API key of whoever runs a command, from `ORBIT_API_KEY`.
#[must_use]
pub fn api_key() -> Option<String> {
    std::env::var("ORBIT_API_KEY").ok().filter(|key| !key.is_empty())
}

impl Settings {
    /// Lays the layers over each other and checks the whole. `overrides` are pairs such as
    /// `("http.bind", "0.0.0.0:80")`.
    pub fn load(
        file: Option<&Path>,
        environment: Vec<(String, String)>,
        overrides: Vec<(String, String)>,
    ) -> Result<Self, SettingsError> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(file) = file {
            builder = builder.add_source(File::from(file).format(FileFormat::Toml));
        }
        let mut variables: Vec<_> = environment
            .into_iter()
            .filter_map(|(name, value)| Some((path_of(&name)?, value)))
            .collect();
        variables.sort();
        for (path, value) in variables.into_iter().chain(overrides) {
            builder = builder.set_override(path, value)?;
        }
        let settings: Self = builder.build()?.try_deserialize()?;
        settings.check()?;
        Ok(settings)
    }

    /// Where the database is: as set, or in the data folder.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.database
            .url
            .clone()
            .unwrap_or_else(|| format!("sqlite://{}", self.data.dir.join("orbit.db").display()))
    }

    /// Reads the price table in force.
    pub fn read_rates(&self) -> Result<Rates, SettingsError> {
        read_table("rates.file", self.rates.path(), DEFAULT_RATES, Rates::from_csv)
    }

    /// The same of calls.
    pub fn read_voice_rates(&self) -> Result<VoiceRates, SettingsError> {
        let file = self.voice.rates_file.as_deref().map(PathBuf::from);
        read_table("voice.rates_file", file, DEFAULT_VOICE_RATES, VoiceRates::from_csv)
    }

    /// Who has to be told of a recording, by place.
    pub fn read_jurisdictions(&self) -> Result<Jurisdictions, SettingsError> {
        let file = self.media.consent_file.as_deref().map(PathBuf::from);
        read_table("media.consent_file", file, DEFAULT_CONSENT, Jurisdictions::from_csv)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let mut faults = Faults::default();
        faults.range(self.drain_grace_s, 0..=3_600, "", "drain_grace_s");
        self.http.check(&mut faults);
        self.database.check(&mut faults);
        self.events.check(&mut faults);
        self.retention.check(&mut faults);
        self.smpp.check(&mut faults);
        self.in_doubt.check(&mut faults);
        self.inbound.check(&mut faults);
        self.routing.check(&mut faults);
        self.portability.check(&mut faults);
        self.gates.check(&mut faults);
        self.protection.check(&mut faults);
        self.sandbox.check(&mut faults);
        self.schedules.check(&mut faults);
        self.voice.check(&mut faults);
        self.senders.check(&mut faults);
        self.webhooks.check(&mut faults);
        self.sip.check(&mut faults);
        self.emergency.check(&mut faults);
        self.egress.check(&mut faults);
        self.numbers.check(&mut faults);
        self.compatibility.check(&mut faults);
        self.media.check(&mut faults);
        let mut names = HashSet::new();
        for (at, carrier) in self.carriers.iter().enumerate() {
            let key = format!("carriers[{at}]");
            carrier.check(&key, &mut faults);
            let fresh = names.insert(carrier.name.to_ascii_lowercase());
            let expected = format!("unique; \"{}\" is there already", carrier.name);
            faults.unless(fresh, &key, "name", &expected);
        }
        check_interceptors(&self.interceptors, &mut faults);
        faults.into_result()
    }
}

/// A table of a file, or the one in the program.
fn read_table<T>(
    key: &'static str,
    file: Option<PathBuf>,
    default: &str,
    read: fn(&str) -> Result<T, BadRate>,
) -> Result<T, SettingsError> {
    let bad = |error| SettingsError::Rates { key, error };
    let Some(file) = file else {
        return read(default).map_err(bad);
    };
    let path = file.display().to_string();
    let text = std::fs::read_to_string(&file).map_err(|error| SettingsError::RatesFile {
        key,
        path,
        error,
    })?;
    read(&text).map_err(bad)
}

fn check_interceptors(rules: &[Rule], faults: &mut Faults) {
    let mut names = HashSet::new();
    for (at, rule) in rules.iter().enumerate() {
        let section = format!("interceptors[{at}]");
        for (field, expected) in rule.faults() {
            faults.unless(false, &section, field, expected);
        }
        if let Err(bad) = Ready::new(rule.clone(), Vec::new()) {
            faults.unless(false, &section, bad.field, &format!("readable: {}", bad.reason));
        }
        let expected = format!("unique; \"{}\" is there already", rule.name);
        faults.unless(names.insert(&rule.name), &section, "name", &expected);
    }
}

/// `ORBIT__CARRIERS__0__PASSWORD` is `carriers[0].password`.
fn path_of(variable: &str) -> Option<String> {
    let mut path = String::new();
    for part in variable.strip_prefix(PREFIX)?.split("__") {
        if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part.to_ascii_lowercase());
        }
    }
    Some(path)
}

/// Empty text is no value: TOML has no other way to list a key that is not set.
fn some_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}

/// An address and port, or empty for none.
fn some_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = some_text(deserializer)?;
    let read = |text: String| {
        let expected = format!("\"{text}\" is no address and port, as 127.0.0.1:2775");
        text.parse().map_err(|_| serde::de::Error::custom(expected))
    };
    text.map(read).transpose()
}

/// What is wrong, all of it, each with its key.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn unless(&mut self, holds: bool, section: &str, key: &str, expected: &str) {
        if !holds {
            let dot = if section.is_empty() { "" } else { "." };
            self.0.push(format!("{section}{dot}{key} must be {expected}"));
        }
    }

    fn range(&mut self, value: u64, allowed: RangeInclusive<u64>, section: &str, key: &str) {
        let expected = format!("{} to {}, not {value}", allowed.start(), allowed.end());
        self.unless(allowed.contains(&value), section, key, &expected);
    }

    fn into_result(self) -> Result<(), SettingsError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(SettingsError::Invalid(self.0.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        list.iter().map(owned).collect()
    }

    fn with_file(text: &str, environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let name = format!("orbit-settings-{}-{:p}.toml", std::process::id(), text);
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let settings = Settings::load(Some(&path), pairs(environment), Vec::new());
        std::fs::remove_file(&path).unwrap();
        settings
    }

    const CARRIER: &str = "[[carriers]]\nname = \"a\"\nhost = \"h\"\nsystem_id = \"s\"\n";

    /// The leaves of a document, as `section.key`.
    fn keys(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, inner) in fields {
                    keys(inner, &format!("{path}.{name}"), found);
                }
            }
            _ => found.push(path.to_owned()),
        }
    }

    #[test]
    fn default_toml_lists_every_key() {
        let listed: serde_json::Value = Config::builder()
            .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
            .build()
            .unwrap()
            .try_deserialize()
            .unwrap();
        let settings = Settings::load(None, Vec::new(), Vec::new()).unwrap();
        let mut known = serde_json::to_value(settings).unwrap();
        known.as_object_mut().unwrap().remove("carriers");
        known.as_object_mut().unwrap().remove("interceptors");
        let (mut left, mut right) = (Vec::new(), Vec::new());
        keys(&listed, "", &mut left);
        keys(&known, "", &mut right);
        left.sort();
        right.sort();
        assert_eq!(left, right);
    }

    #[test]
    fn default_toml_shows_every_key_of_a_carrier() {
        let shown: Vec<&str> = DEFAULTS
            .lines()
            .skip_while(|line| *line != "# [[carriers]]")
            .filter_map(|line| line.strip_prefix("# ")?.split_once(" = ").map(|(key, _)| key))
            .collect();
        let text = format!("{CARRIER}password = \"p\"");
        let carrier = with_file(&text, &[]).unwrap().carriers.remove(0);
        let known = serde_json::to_value(carrier).unwrap();
        for key in known.as_object().unwrap().keys() {
            assert!(shown.contains(&key.as_str()), "{key}");
        }
        assert_eq!(shown.len(), known.as_object().unwrap().len());
    }

    #[test]
    fn the_files_we_ship_are_valid() {
        with_file(include_str!("../config/production.toml"), &[]).unwrap();
        let settings = Settings::load(None, Vec::new(), Vec::new()).unwrap();
        assert!(!settings.read_rates().unwrap().is_empty());
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        for text in ["[http]\nbynd = \"x\"", "[htp]\nbind = \"x\"", "colour = 1"] {
            let error = with_file(text, &[]).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
        let error = with_file("[http]\nbynd = 1", &[]).unwrap_err().to_string();
        assert!(error.contains("bynd"), "{error}");
        let stray = pairs(&[("ORBIT__HTTP__BYND", "1")]);
        assert!(Settings::load(None, stray, Vec::new()).is_err());
    }

    #[test]
    fn the_environment_goes_over_the_file_and_overrides_over_both() {
        let file = "[http]\nbind = \"127.0.0.1:1\"\nconnections_max = 7";
        let environment = [
            ("ORBIT__HTTP__BIND", "127.0.0.1:2"),
            ("ORBIT__SANDBOX__ENABLED", "false"),
            ("ORBIT__DRAIN_GRACE_S", "3"),
            ("PATH", "/bin"),
        ];
        let settings = with_file(file, &environment).unwrap();
        assert_eq!(settings.http.bind.port(), 2);
        assert_eq!(settings.http.connections_max, 7);
        assert!(!settings.sandbox.enabled);
        assert_eq!(settings.drain_grace_s, 3);
        let overrides = pairs(&[("http.bind", "127.0.0.1:3")]);
        let settings = Settings::load(None, pairs(&environment), overrides).unwrap();
        assert_eq!(settings.http.bind.port(), 3);
    }

    #[test]
    fn a_carriers_password_can_come_from_the_environment_and_is_never_shown() {
        let secret = [("ORBIT__CARRIERS__0__PASSWORD", "hunter2")];
        let settings = with_file(CARRIER, &secret).unwrap();
        assert_eq!(settings.carriers[0].password.reveal(), "hunter2");
        assert_eq!(settings.carriers[0].window_size, 100);
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&settings).unwrap().contains("hunter2"));
    }

    #[test]
    fn a_database_password_is_not_listed() {
        let url = "postgres://orbit:hunter2@db/orbit";
        assert_eq!(serving::without_password(url), "postgres://orbit:***@db/orbit");
        assert_eq!(serving::without_password("sqlite://a@b"), "sqlite://a@b");
    }

    #[test]
    fn default_toml_shows_every_key_of_a_trunk() {
        let shown = DEFAULTS.lines().skip_while(|line| *line != "# [[egress.trunks]]");
        let shown: Vec<&str> = shown.map_while(|line| line.strip_prefix("# ")).collect();
        let settings = with_file(&shown.join("\n"), &[]).unwrap();
        let known = serde_json::to_value(&settings.egress.trunks[0]).unwrap();
        for key in known.as_object().unwrap().keys() {
            assert!(shown.iter().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
        }
        let faults = "[[egress.trunks]]\nname = \"a\"\nhost = \"h!\"\nencryption = \"tls\"
            codecs = []\nweight = 0\n[[egress.trunks]]\nname = \"A\"";
        let error = with_file(faults, &[]).unwrap_err().to_string();
        for key in ["[0].host", "[0].transport", "[0].codecs", "[0].weight", "[1].host", "[1].name"]
        {
            assert!(error.contains(&format!("egress.trunks{key}")), "{key}: {error}");
        }
        let secret = [("ORBIT__EGRESS__TRUNKS__0__PASSWORD", "hunter2")];
        let settings = with_file("[[egress.trunks]]\nname = \"a\"\nhost = \"h\"", &secret).unwrap();
        assert_eq!(settings.egress.trunks[0].password.reveal(), "hunter2");
        assert!(!serde_json::to_string(&settings).unwrap().contains("hunter2"));
    }

    #[test]
    fn two_carriers_of_one_name_are_refused() {
        let one = format!("{CARRIER}password = \"p\"\n");
        let error = with_file(&format!("{one}{one}"), &[]).unwrap_err().to_string();
        assert!(error.contains("carriers[1].name"), "{error}");
    }

    #[test]
    fn every_fault_names_its_key() {
        let bad = [
            ("ORBIT__HTTP__BODY_LIMIT_BYTES", "1"),
            ("ORBIT__SMPP__RECONNECT_MAX_S", "0"),
            ("ORBIT__DATABASE__URL", "mysql://x"),
            ("ORBIT__HTTP__TLS_CERT", "cert.pem"),
        ];
        let error = Settings::load(None, pairs(&bad), Vec::new()).unwrap_err().to_string();
        for key in ["http.body_limit_bytes", "smpp.reconnect_max_s", "database.url", "http.tls_key"]
        {
            assert!(error.contains(key), "{key}: {error}");
        }
        let typed = pairs(&[("ORBIT__HTTP__CONNECTIONS_MAX", "many")]);
        let error = Settings::load(None, typed, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("http.connections_max"), "{error}");
    }
}
