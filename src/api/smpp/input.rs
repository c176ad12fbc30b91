//! What is said of an account: read field by field onto what it is, and every fault named.

use model::address::SenderKind;
use model::esme::{BindType, IdFormat, ReceiptFormat};
use model::id::{Kind, PublicId};
use model::message::Category;
use model::network::Network;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::SmppAccountRow;
use store::lane::SmppSettings;
use utoipa::ToSchema;

use super::super::body::{self, missing, wrong};
use super::super::error::{ApiError, Fault};
use super::outbind::{self, OutbindIn, Said};

const LIST_MAX: usize = 50;
const NUMBERS_MAX: usize = 1_000;

/// What may be said of a new account.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read field by field")]
pub(crate) struct AccountDoc {
    /// 1 to 15 visible characters, unique on this switch.
    #[schema(example = "acme")]
    system_id: String,
    /// 4 to 64 visible characters (SMPP 3.4 says at most 8); made when left out.
    password: Option<String>,
    #[serde(flatten)]
    rest: AccountPatch,
}

/// What may be changed of an account; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read field by field")]
pub(crate) struct AccountPatch {
    /// At most 100 characters.
    name: Option<String>,
    /// At most 50 addresses or networks, as `203.0.113.0/24`; empty for any.
    allowed_ips: Option<Vec<String>>,
    /// Of `transmitter`, `receiver`, `transceiver`.
    bind_types: Option<Vec<String>>,
    /// 1 to 1000.
    max_binds: Option<i64>,
    /// 0 to 100000; 0: the organization's limit, if it has one.
    tps: Option<i64>,
    /// 1 to 10000.
    window_size: Option<i64>,
    /// `transactional`, `otp`, `service` or `marketing`: of all that it submits.
    category: Option<String>,
    /// For what comes without a sender; null for none.
    default_sender: Option<String>,
    /// A pool that chooses the sender of what comes without one; not beside `default_sender`. Null
    /// for none.
    #[schema(example = "spl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    default_sender_pool_id: Option<String>,
    /// At most 50; empty for any.
    allowed_senders: Option<Vec<String>>,
    /// `text`, `tlv` or `both`.
    receipt_format: Option<String>,
    /// `decimal` or `hex`.
    id_format: Option<String>,
    /// At most 1000 numbers, or prefixes that end with `*`; empty for all.
    inbound_numbers: Option<Vec<String>>,
    /// A repeated user_message_reference to the same number is the same message for a day.
    once_by_reference: Option<bool>,
    /// To binds that speak SMPP 5.0, each answer says how busy the switch is.
    congestion_state: Option<bool>,
    /// Receipts of what happens on the way, to submits that ask for them (registered_delivery 0x10).
    intermediate_receipts: Option<bool>,
    /// Where the account's system is called when something is owed to it and it is not bound; null
    /// for nowhere.
    outbind: Option<OutbindIn>,
    /// `enabled` or `disabled`.
    status: Option<String>,
}

/// A new account, as it was asked for.
pub(crate) struct AccountIn {
    pub(crate) system_id: String,
    pub(crate) password: Option<String>,
    pub(crate) said: Said,
}

impl AccountIn {
    pub(crate) fn parse(raw: &[u8], test: bool) -> Result<Self, ApiError> {
        Self::read(&body::parse(raw, &[])?, test)
    }

    pub(crate) fn read(map: &Map<String, Value>, test: bool) -> Result<Self, ApiError> {
        let mut settings = super::defaults(test);
        let mut reader = Reader { map, faults: Vec::new() };
        reader.read(&mut settings);
        let call = outbind::read(map, &mut settings, &mut reader.faults);
        let system_id = reader.text("system_id", 15);
        if system_id.is_none()
            && reader.faults.iter().all(|f| f.field.as_deref() != Some("system_id"))
        {
            reader.faults.push(missing("system_id"));
        }
        let visible = |text: &String| text.bytes().all(|b| b.is_ascii_graphic());
        if let Some(name) = &system_id
            && (name.is_empty() || !visible(name))
        {
            reader.fault("system_id", json!(name), "1 to 15 visible ASCII characters");
        }
        let password = reader.text("password", 64);
        if let Some(password) = &password
            && (password.len() < 4 || !visible(password))
        {
            reader.fault("password", Value::Null, "4 to 64 visible ASCII characters");
        }
        let faults = reader.faults;
        match system_id {
            Some(system_id) if faults.is_empty() => {
                let pool = settings.default_sender_pool;
                Ok(Self { system_id, password, said: Said { settings, call, pool } })
            }
            _ => Err(ApiError::faults(faults)),
        }
    }
}

impl AccountPatch {
    /// What can be changed.
    pub(crate) const FIELDS: &[&str] = &[
        "name",
        "allowed_ips",
        "bind_types",
        "max_binds",
        "tps",
        "window_size",
        "category",
        "default_sender",
        "default_sender_pool_id",
        "allowed_senders",
        "receipt_format",
        "id_format",
        "inbound_numbers",
        "once_by_reference",
        "congestion_state",
        "intermediate_receipts",
        "outbind",
        "status",
    ];

    /// What the account is with what is said laid over it.
    pub(crate) fn apply(raw: &[u8], row: &SmppAccountRow) -> Result<Said, ApiError> {
        Self::lay(&body::parse(raw, &[])?, row)
    }

    pub(crate) fn lay(map: &Map<String, Value>, row: &SmppAccountRow) -> Result<Said, ApiError> {
        let mut settings = settings_of(row);
        let mut reader = Reader { map, faults: Vec::new() };
        reader.read(&mut settings);
        let call = outbind::read(map, &mut settings, &mut reader.faults);
        match reader.faults.is_empty() {
            true => {
                // One that stays as it is may be gone by now.
                let named = map.contains_key("default_sender_pool_id");
                let pool = settings.default_sender_pool.filter(|_| named);
                Ok(Said { settings, call, pool })
            }
            false => Err(ApiError::faults(reader.faults)),
        }
    }
}

fn settings_of(row: &SmppAccountRow) -> SmppSettings {
    SmppSettings {
        name: row.name.clone(),
        allowed_ips: row.allowed_ips.clone(),
        bind_types: row.bind_types,
        max_binds: row.max_binds,
        tps: row.tps,
        window_size: row.window_size,
        test: row.test_mode != 0,
        category: row.category,
        default_sender: row.default_sender.clone(),
        default_sender_pool: row.default_sender_pool(),
        allowed_senders: row.allowed_senders.clone(),
        receipt_format: row.receipt_format,
        id_format: row.id_format,
        inbound_numbers: row.inbound_numbers.clone(),
        once_by_reference: row.once_by_reference != 0,
        congestion_state: row.congestion_state != 0,
        intermediate_receipts: row.intermediate_receipts != 0,
        disabled: row.disabled_at.is_some(),
        outbind: row.outbind.clone(),
        outbind_password: row.outbind_password.clone(),
    }
}

/// Reads fields one by one, and keeps what is wrong.
struct Reader<'a> {
    map: &'a Map<String, Value>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn read(&mut self, settings: &mut SmppSettings) {
        if let Some(name) = self.text("name", 100) {
            settings.name = name;
        }
        self.number("max_binds", 1..=1_000, &mut settings.max_binds);
        self.number("tps", 0..=100_000, &mut settings.tps);
        self.number("window_size", 1..=10_000, &mut settings.window_size);
        let network = |text: &str| Network::parse(text).is_some();
        let expected = "addresses or networks, as 203.0.113.0/24";
        self.list("allowed_ips", LIST_MAX, network, expected, &mut settings.allowed_ips);
        let sender = |text: &str| SenderKind::of(text).is_some();
        let expected = "senders: +E.164, 3 to 8 digits, or 3 to 11 letters and digits";
        self.list("allowed_senders", LIST_MAX, sender, expected, &mut settings.allowed_senders);
        let expected = "numbers, or prefixes that end with *";
        let numbers = &mut settings.inbound_numbers;
        self.list("inbound_numbers", NUMBERS_MAX, is_number_or_prefix, expected, numbers);
        self.bind_types(&mut settings.bind_types);
        self.one_of("category", Category::ALL, Category::as_str, |category| {
            settings.category = category.code();
        });
        self.one_of("receipt_format", ReceiptFormat::ALL, ReceiptFormat::as_str, |format| {
            settings.receipt_format = format.code();
        });
        self.one_of("id_format", IdFormat::ALL, IdFormat::as_str, |format| {
            settings.id_format = format.code();
        });
        self.one_of(
            "status",
            &["enabled", "disabled"],
            |name| name,
            |name| {
                settings.disabled = name == "disabled";
            },
        );
        match self.map.get("default_sender") {
            None => {}
            Some(Value::Null) => settings.default_sender = None,
            Some(Value::String(text)) if sender(text) => {
                settings.default_sender = Some(text.clone());
            }
            Some(other) => self.fault("default_sender", other.clone(), "a sender, or null"),
        }
        self.pool(settings);
        self.flag("once_by_reference", &mut settings.once_by_reference);
        self.flag("congestion_state", &mut settings.congestion_state);
        self.flag("intermediate_receipts", &mut settings.intermediate_receipts);
    }

    /// Whether there is such a pool is asked of the store.
    fn pool(&mut self, settings: &mut SmppSettings) {
        const FIELD: &str = "default_sender_pool_id";
        match self.map.get(FIELD) {
            None => {}
            Some(Value::Null) => settings.default_sender_pool = None,
            Some(given) => {
                let id = given.as_str().and_then(|text| PublicId::parse(Kind::SenderPool, text));
                match id {
                    Some(id) => settings.default_sender_pool = Some(id),
                    None => self.fault(FIELD, given.clone(), "the id of a sender pool, or null"),
                }
            }
        }
        if settings.default_sender.is_some() && settings.default_sender_pool.is_some() {
            let given = self.map.get(FIELD).cloned().unwrap_or_default();
            self.fault(FIELD, given, "null beside a default_sender, or that null");
        }
    }

    fn flag(&mut self, field: &'static str, into: &mut bool) {
        match self.map.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::Bool(value)) => *into = *value,
            Some(other) => self.fault(field, other.clone(), "true or false"),
        }
    }

    fn fault(&mut self, field: &'static str, value: Value, expected: &'static str) {
        self.faults.push(wrong(field, value).expected(expected));
    }

    fn text(&mut self, field: &'static str, longest: usize) -> Option<String> {
        match self.map.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text))
                if text.chars().count() <= longest && !text.contains('\0') =>
            {
                Some(text.clone())
            }
            Some(other) => {
                let shown = if field == "password" { Value::Null } else { other.clone() };
                let message = format!("a string of at most {longest} characters");
                self.faults.push(wrong(field, shown).expected(message));
                None
            }
        }
    }

    fn number(
        &mut self,
        field: &'static str,
        allowed: std::ops::RangeInclusive<i64>,
        into: &mut i64,
    ) {
        match self.map.get(field) {
            None | Some(Value::Null) => {}
            Some(value) => match value.as_i64().filter(|number| allowed.contains(number)) {
                Some(number) => *into = number,
                None => {
                    let expected = format!("{} to {}", allowed.start(), allowed.end());
                    self.faults.push(wrong(field, value.clone()).expected(expected));
                }
            },
        }
    }

    fn one_of<T: Copy>(
        &mut self,
        field: &'static str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
        take: impl FnOnce(T),
    ) {
        match self.map.get(field) {
            None | Some(Value::Null) => {}
            Some(value) => {
                let found = all.iter().find(|one| value.as_str() == Some(name(**one)));
                match found {
                    Some(one) => take(*one),
                    None => {
                        let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
                        self.faults.push(wrong(field, value.clone()).expected(names.join(", ")));
                    }
                }
            }
        }
    }

    fn list(
        &mut self,
        field: &'static str,
        most: usize,
        fits: impl Fn(&str) -> bool,
        expected: &'static str,
        into: &mut String,
    ) {
        match self.map.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) if items.len() <= most => {
                let bad = items.iter().find(|item| !item.as_str().is_some_and(&fits));
                match bad {
                    Some(bad) => self.fault(field, bad.clone(), expected),
                    None => *into = Value::Array(items.clone()).to_string(),
                }
            }
            Some(other) => {
                let expected = format!("at most {most} {expected}");
                self.faults.push(wrong(field, other.clone()).expected(expected));
            }
        }
    }

    fn bind_types(&mut self, into: &mut i64) {
        let expected = "a list of transmitter, receiver, transceiver, not empty";
        match self.map.get("bind_types") {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) if !items.is_empty() => {
                let mut sum = 0;
                for item in items {
                    match item.as_str().and_then(BindType::parse) {
                        Some(kind) => sum |= kind.code(),
                        None => return self.fault("bind_types", item.clone(), expected),
                    }
                }
                *into = sum;
            }
            Some(other) => self.fault("bind_types", other.clone(), expected),
        }
    }
}

fn is_number_or_prefix(text: &str) -> bool {
    let number = text.strip_suffix('*').unwrap_or(text);
    let digits = number.strip_prefix('+').unwrap_or(number);
    digits.len() <= 20
        && digits.bytes().all(|b| b.is_ascii_alphanumeric())
        && (!digits.is_empty() || text == "*")
}
