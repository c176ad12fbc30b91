//! What the program stands on: `[http] [database] [data] [log] [limits] [secrets]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Faults, some_text};

/// What passwords in the database are sealed under.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// None: a file of the data folder, made at the first start.
    #[serde(deserialize_with = "some_text")]
    pub key_file: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub bind: SocketAddr,
    #[serde(deserialize_with = "some_text")]
    pub tls_cert: Option<String>,
    #[serde(deserialize_with = "some_text")]
    pub tls_key: Option<String>,
    /// Scheme and host by which clients reach this server; no slash at its end.
    #[serde(deserialize_with = "some_text")]
    pub public_url: Option<String>,
    pub body_limit_bytes: usize,
    pub header_limit_bytes: usize,
    pub connections_max: usize,
    pub header_timeout_s: u64,
    pub request_timeout_s: u64,
    pub idempotency_wait_s: u64,
    pub exports_max: usize,
}

impl Http {
    pub(super) fn check(&self, faults: &mut Faults) {
        let both = self.tls_cert.is_some() == self.tls_key.is_some();
        faults.unless(both, "http", "tls_key", "set together with http.tls_cert");
        let url = self.public_url.as_deref();
        let fits = url.is_none_or(|url| {
            (url.starts_with("https://") || url.starts_with("http://")) && !url.ends_with('/')
        });
        let expected = "http:// or https:// and a host, without a slash at the end";
        faults.unless(fits, "http", "public_url", expected);
        let long = |n: usize| n as u64;
        let body = 1_024..=64 * 1024 * 1024;
        faults.range(long(self.body_limit_bytes), body, "http", "body_limit_bytes");
        let head = 4_096..=1024 * 1024;
        faults.range(long(self.header_limit_bytes), head, "http", "header_limit_bytes");
        let connections = 1..=1_000_000;
        faults.range(long(self.connections_max), connections, "http", "connections_max");
        faults.range(self.header_timeout_s, 1..=600, "http", "header_timeout_s");
        faults.range(self.request_timeout_s, 1..=600, "http", "request_timeout_s");
        faults.range(self.idempotency_wait_s, 1..=60, "http", "idempotency_wait_s");
        faults.range(self.exports_max as u64, 0..=1_000, "http", "exports_max");
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite://PATH` or `postgres://…`; none: `orbit.db` in the data folder.
    #[serde(deserialize_with = "some_text", serialize_with = "hidden_password")]
    pub url: Option<String>,
    pub readers_max: u32,
    pub accept_batch_max: usize,
    pub batch_wait_ms: u64,
    pub sqlite_checkpoint_pages: u32,
}

impl Database {
    pub(super) fn check(&self, faults: &mut Faults) {
        let schemes = ["sqlite://", "postgres://", "postgresql://"];
        let url = self.url.as_deref();
        let fits = url.is_none_or(|url| schemes.iter().any(|s| url.starts_with(s)));
        faults.unless(fits, "database", "url", "sqlite://PATH or postgres://…");
        let key = "database";
        faults.range(u64::from(self.readers_max), 1..=1_000, key, "readers_max");
        faults.range(self.accept_batch_max as u64, 1..=100_000, key, "accept_batch_max");
        faults.range(self.batch_wait_ms, 0..=1_000, key, "batch_wait_ms");
        let pages = u64::from(self.sqlite_checkpoint_pages);
        faults.range(pages, 100..=1_000_000, key, "sqlite_checkpoint_pages");
    }
}

/// Shows a database's address without what stands between `:` and `@`.
fn hidden_password<S: serde::Serializer>(
    url: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match url {
        Some(url) => serializer.serialize_str(&without_password(url)),
        None => serializer.serialize_none(),
    }
}

pub(super) fn without_password(url: &str) -> String {
    let hidden = || {
        let (scheme, rest) = url.split_once("://")?;
        let (user, host) = rest.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:***@{host}"))
    };
    hidden().unwrap_or_else(|| url.to_owned())
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    pub dir: PathBuf,
    pub low_disk_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

/// Which limits an organization has that nobody set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    Open,
    Documented,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub profile: Profile,
}
