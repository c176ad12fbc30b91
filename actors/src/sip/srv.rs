//! Where the SIP service of a name is: SRV records (RFC 2782), as RFC 3263 §4.2 asks for them.
//!
//! A name without a port is asked for its service over the transport that is spoken: `_sip._udp`,
//! `_sip._tcp`, `_sips._tcp`. What the records name is where it is, each with its port; a name that has none
//! is asked for its addresses, as one with a port is. In which order places are tried is a pure function:
//! the lowest priority first, and by weight among equals; chance comes in as an argument. NAPTR records are
//! not asked for: the transport is the trunk's setting.
//!
//! The resolver is `hickory-resolver`, since the machine's own tells no SRV records. It reads
//! `/etc/resolv.conf` once, at the start.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;
use model::trunk::{Target, Transport};

use super::flow::Kind;

/// How long one question may take, of which there are two.
const PATIENCE: Duration = Duration::from_secs(2);
/// Records of one name; those behind them are not asked for their addresses.
pub const RECORDS_MAX: usize = 8;

/// A record: the lower priority is tried first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    /// Without its last dot; empty: there is no such service.
    pub target: String,
}

/// The records of a service, asked of a resolver or of a test; none: it has none.
pub type Services = Arc<
    dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<Record>>> + Send>> + Send + Sync,
>;

/// An address of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    pub ip: IpAddr,
    /// None: what the URI says, or the default.
    pub port: Option<u16>,
    priority: u16,
    weight: u16,
    /// The place of its record among those of the name.
    record: u8,
}

impl Spot {
    /// An address without a record.
    #[must_use]
    pub fn at(ip: IpAddr) -> Self {
        Self { ip: ip.to_canonical(), port: None, priority: 0, weight: 0, record: 0 }
    }

    /// The address of what a record names.
    #[must_use]
    pub fn of(ip: IpAddr, record: &Record, place: u8) -> Self {
        let Record { priority, weight, port, .. } = *record;
        Self { ip: ip.to_canonical(), port: Some(port), priority, weight, record: place }
    }

    /// With the port that counts where no record says one.
    #[must_use]
    pub fn place(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(port))
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

/// What is asked for: a name, or its service over a transport where no port is said. No name has a slash.
#[must_use]
pub fn wanted(name: &str, kind: Kind, port: Option<u16>) -> String {
    let name = name.trim_end_matches('.');
    let service = match kind {
        _ if port.is_some() => return name.to_owned(),
        Kind::Udp => "_sip._udp",
        Kind::Tcp => "_sip._tcp",
        Kind::Tls => "_sips._tcp",
        Kind::Ws | Kind::Wss => return name.to_owned(),
    };
    format!("{service}/{name}")
}

/// The same of a trunk's target.
#[must_use]
pub fn wanted_of(target: &Target) -> String {
    let kind = match target.transport {
        Transport::Udp => Kind::Udp,
        Transport::Tcp => Kind::Tcp,
        Transport::Tls => Kind::Tls,
    };
    wanted(&target.host, kind, target.port)
}

/// The service and the name that are asked for.
#[must_use]
pub fn parts(wanted: &str) -> (Option<&str>, &str) {
    match wanted.split_once('/') {
        Some((service, name)) => (Some(service), name),
        None => (None, wanted),
    }
}

/// Records as their addresses are asked for: no more than so many, the first that would be tried.
#[must_use]
pub fn first(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(|record| (record.priority, std::cmp::Reverse(record.weight)));
    records.retain(|record| !record.target.is_empty());
    records.truncate(RECORDS_MAX);
    records
}

/// In which order places are tried, by RFC 2782: `chance(n)` is any of 0 to n.
#[must_use]
pub fn in_order(spots: &[Spot], mut chance: impl FnMut(u32) -> u32) -> Vec<Spot> {
    let mut groups = BTreeMap::<u16, Vec<(u8, u32)>>::new();
    for spot in spots {
        let group = groups.entry(spot.priority).or_default();
        if group.iter().all(|(record, _)| *record != spot.record) {
            group.push((spot.record, spot.weight.into()));
        }
    }
    let mut ordered = Vec::with_capacity(spots.len());
    for mut group in groups.into_values() {
        // Those of no weight come first in the sum, so that they have a small chance.
        group.sort_by_key(|(_, weight)| *weight > 0);
        while !group.is_empty() {
            let all: u32 = group.iter().map(|(_, weight)| weight).sum();
            let (picked, mut sum) = (chance(all), 0);
            let reaches = |(_, weight): &(u8, u32)| {
                sum += weight;
                sum >= picked
            };
            let (record, _) = group.remove(group.iter().position(reaches).unwrap_or_default());
            ordered.extend(spots.iter().filter(|spot| spot.record == record));
        }
    }
    ordered
}

/// The name servers of the machine; none where it names none.
#[must_use]
pub fn system_services() -> Option<Services> {
    let built = TokioResolver::builder_tokio().and_then(|mut builder| {
        let options = builder.options_mut();
        // What is found is remembered elsewhere.
        options.cache_size = 0;
        (options.timeout, options.attempts) = (PATIENCE, 2);
        builder.build()
    });
    match built {
        Ok(resolver) => Some(services(resolver)),
        Err(error) => {
            tracing::warn!(%error, "no SRV records are asked for");
            None
        }
    }
}

/// What a resolver says.
#[must_use]
pub fn services(resolver: TokioResolver) -> Services {
    Arc::new(move |name| {
        let resolver = resolver.clone();
        Box::pin(async move {
            // A whole name: no domain is tried behind it.
            match resolver.srv_lookup(format!("{name}.")).await {
                Ok(found) => Ok(found.answers().iter().filter_map(|one| read(&one.data)).collect()),
                Err(error) if error.is_no_records_found() => Ok(Vec::new()),
                Err(error) => Err(io::Error::other(error)),
            }
        })
    })
}

fn read(data: &RData) -> Option<Record> {
    let RData::SRV(srv) = data else { return None };
    let target = srv.target.to_ascii().trim_end_matches('.').to_owned();
    Some(Record { priority: srv.priority, weight: srv.weight, port: srv.port, target })
}

#[cfg(test)]
mod tests;
