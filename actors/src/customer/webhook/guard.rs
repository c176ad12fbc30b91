//! Where requests on a customer's behalf may go: public addresses, and private ones by name.
//!
//! A URL is checked when it is stored and before each request; a name's addresses are checked as
//! they come from the resolver, and only those that pass are connected to. So neither an address
//! in disguise nor a name that changes its mind reaches what is behind our own walls.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

const URL_LENGTH_MAX: usize = 2_048;

/// Special ranges of IPv4: address and prefix length (the registry of RFC 6890 and its updates).
const SPECIAL_V4: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Special ranges inside 2000::/3, which alone is public.
const SPECIAL_V6: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

const PUBLIC_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// IPv4 behind a translator (RFC 6052).
const TRANSLATED: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Names that lead inside, whatever a resolver says.
const INSIDE: &[&str] = &["localhost", "local", "internal", "localdomain", "home.arpa", "intranet"];

/// Private networks that may be reached all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<(IpAddr, u8)>);

/// Why a URL is not called.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Forbidden {
    #[error("it is not a URL")]
    Unreadable,
    #[error("it is longer than 2048 characters")]
    TooLong,
    #[error("its scheme is not https")]
    Scheme,
    #[error("it holds a user or a password")]
    Credentials,
    #[error("it leads to an address that is not public")]
    Address,
}

fn within_v4(address: Ipv4Addr, (network, length): (Ipv4Addr, u8)) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
    address.to_bits() & mask == network.to_bits() & mask
}

fn within_v6(address: Ipv6Addr, (network, length): (Ipv6Addr, u8)) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    address.to_bits() & mask == network.to_bits() & mask
}

/// The IPv4 address inside an IPv6 one that stands for it.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if within_v6(v6, TRANSLATED) {
        let [.., high, low] = v6.segments();
        return Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into();
    }
    v6.to_canonical()
}

/// True for an address that anybody on the internet may reach.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(v4) => !SPECIAL_V4.iter().any(|range| within_v4(v4, *range)),
        IpAddr::V6(v6) => {
            within_v6(v6, PUBLIC_V6) && !SPECIAL_V6.iter().any(|range| within_v6(v6, *range))
        }
    }
}

impl Networks {
    /// Reads `10.0.0.0/8` and the like; a lone address is a network of one. An error is the text
    /// at fault.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, String> {
        let network = |text: &S| {
            let text = text.as_ref();
            let (address, length) =
                text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
            let address: IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let length = length.map_or(Some(most), |length| length.parse().ok())?;
            (length <= most).then_some((address, length))
        };
        let read = |text: &S| network(text).ok_or_else(|| text.as_ref().to_owned());
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = plain(address);
        self.0.iter().any(|(network, length)| match (address, network) {
            (IpAddr::V4(address), IpAddr::V4(network)) => within_v4(address, (*network, *length)),
            (IpAddr::V6(address), IpAddr::V6(network)) => within_v6(address, (*network, *length)),
            _ => false,
        })
    }

    /// Whether this address may be connected to: in plain HTTP only inside the networks.
    #[must_use]
    pub fn allow(&self, address: IpAddr, encrypted: bool) -> bool {
        self.contains(address) || (encrypted && is_public(address))
    }

    /// Reads a URL and checks all that can be checked without a resolver.
    pub fn check(&self, text: &str) -> Result<Url, Forbidden> {
        if text.len() > URL_LENGTH_MAX {
            return Err(Forbidden::TooLong);
        }
        // A parser drops some of these, and then the text is not what is called.
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(Forbidden::Unreadable);
        }
        let url = Url::parse(text).map_err(|_| Forbidden::Unreadable)?;
        let encrypted = url.scheme() == "https";
        if !encrypted && (url.scheme() != "http" || self.0.is_empty()) {
            return Err(Forbidden::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Forbidden::Credentials);
        }
        let host = url.host_str().ok_or(Forbidden::Unreadable)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return if self.allow(address, encrypted) { Ok(url) } else { Err(Forbidden::Address) };
        }
        let name = host.trim_end_matches('.');
        let inside = |last: &&str| {
            name.strip_suffix(*last).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if self.0.is_empty() && (name.is_empty() || INSIDE.iter().any(inside)) {
            return Err(Forbidden::Address);
        }
        Ok(url)
    }
}

/// A name's addresses, asked of the machine's resolver, or of a test.
pub type Lookup = Arc<
    dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> + Send + Sync,
>;

/// The machine's own resolver.
#[must_use]
pub fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// A resolver that answers only with addresses that may be connected to.
pub struct Resolver {
    pub networks: Networks,
    pub encrypted: bool,
    pub lookup: Lookup,
}

/// A name led nowhere we go.
#[derive(Debug)]
pub struct Blocked;

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name leads to an address that is not allowed")
    }
}

impl Error for Blocked {}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = (self.lookup)(name.as_str().to_owned());
        let (networks, encrypted) = (self.networks.clone(), self.encrypted);
        Box::pin(async move {
            let found = looking.await?;
            let allowed = found.into_iter().filter(|ip| networks.allow(*ip, encrypted));
            let allowed: Vec<_> = allowed.map(|ip| SocketAddr::new(ip, 0)).collect();
            if allowed.is_empty() {
                return Err(Blocked.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_public_internet_is_public() {
        for public in [
            "1.1.1.1",
            "93.184.216.34",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2400::",
        ] {
            assert!(is_public(ip(public)), "{public}");
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.7",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(!is_public(ip(special)), "{special}");
        }
    }

    #[test]
    fn urls_are_checked_in_whatever_form_they_come() {
        let nothing = Networks::default();
        for good in
            ["https://example.com/hook", "https://example.com:8443/a?b=c", "https://1.1.1.1/"]
        {
            assert!(nothing.check(good).is_ok(), "{good}");
        }
        let bad = [
            ("", Forbidden::Unreadable),
            ("example.com/hook", Forbidden::Unreadable),
            ("https://", Forbidden::Unreadable),
            ("https://example.com\0", Forbidden::Unreadable),
            ("https://exam\tple.com/", Forbidden::Unreadable),
            (" https://example.com/", Forbidden::Unreadable),
            ("http://example.com/", Forbidden::Scheme),
            ("ftp://example.com/", Forbidden::Scheme),
            ("file:///etc/passwd", Forbidden::Scheme),
            ("https://user@example.com/", Forbidden::Credentials),
            ("https://user:pw@example.com/", Forbidden::Credentials),
            ("https://127.0.0.1/", Forbidden::Address),
            ("https://2130706433/", Forbidden::Address),
            ("https://0x7f.1/", Forbidden::Address),
            ("https://0177.0.0.1/", Forbidden::Address),
            ("https://127.1/", Forbidden::Address),
            ("https://169.254.169.254/latest/meta-data", Forbidden::Address),
            ("https://[::1]/", Forbidden::Address),
            ("https://[::ffff:127.0.0.1]/", Forbidden::Address),
            ("https://[::ffff:7f00:1]/", Forbidden::Address),
            ("https://[fe80::1]/", Forbidden::Address),
            ("https://localhost/", Forbidden::Address),
            ("https://LOCALHOST./", Forbidden::Address),
            ("https://a.localhost/", Forbidden::Address),
            ("https://db.internal/", Forbidden::Address),
            ("https://printer.local/", Forbidden::Address),
        ];
        for (url, reason) in bad {
            assert_eq!(nothing.check(url).err(), Some(reason), "{url}");
        }
        let long = format!("https://example.com/{}", "x".repeat(URL_LENGTH_MAX));
        assert_eq!(nothing.check(&long).err(), Some(Forbidden::TooLong));
        assert!(nothing.check("https://mylocalhost.com/").is_ok());
    }

    #[test]
    fn named_networks_are_reached_in_plain_http_too_and_nothing_else_is() {
        let own =
            Networks::parse(&["127.0.0.0/8", "10.1.0.0/16", "fd00::/8", "192.168.7.7"]).unwrap();
        for good in [
            "http://127.0.0.1:3000/hook",
            "https://127.0.0.1/",
            "http://10.1.2.3/",
            "http://[fd00::1]/",
            "http://192.168.7.7/",
            "http://localhost:3000/",
            "http://[::ffff:127.0.0.1]/",
            "https://example.com/",
        ] {
            assert!(own.check(good).is_ok(), "{good}");
        }
        for bad in ["http://10.2.0.1/", "http://1.1.1.1/", "https://192.168.7.8/", "http://[::1]/"]
        {
            assert_eq!(own.check(bad).err(), Some(Forbidden::Address), "{bad}");
        }
        for bad in ["10.0.0.0/33", "::/129", "ten", "10.0.0.0/", "10.0.0.0/-1", "10.0.0/8"] {
            assert_eq!(Networks::parse(&[bad]), Err(bad.to_owned()));
        }
        assert!(Networks::parse(&["0.0.0.0/0"]).unwrap().contains(ip("9.9.9.9")));
    }

    async fn resolved(
        networks: &Networks,
        encrypted: bool,
        answer: &[&str],
    ) -> Option<Vec<String>> {
        let answer: Vec<IpAddr> = answer.iter().map(|text| ip(text)).collect();
        let lookup: Lookup = Arc::new(move |_| {
            let answer = answer.clone();
            Box::pin(async move { Ok(answer) })
        });
        let resolver = Resolver { networks: networks.clone(), encrypted, lookup };
        let found = resolver.resolve("hooks.example.com".parse().unwrap()).await.ok()?;
        Some(found.map(|address| address.ip().to_string()).collect())
    }

    #[tokio::test]
    async fn of_a_names_addresses_only_allowed_ones_are_left() {
        let nothing = Networks::default();
        let mixed = ["10.0.0.1", "93.184.216.34", "::1", "169.254.169.254"];
        let public = Some(vec![String::from("93.184.216.34")]);
        assert_eq!(resolved(&nothing, true, &mixed).await, public);
        assert_eq!(resolved(&nothing, true, &["127.0.0.1"]).await, None);
        assert_eq!(resolved(&nothing, true, &["::ffff:127.0.0.1"]).await, None);
        assert_eq!(resolved(&nothing, true, &[]).await, None);
        let own = Networks::parse(&["10.0.0.0/8"]).unwrap();
        let private = Some(vec![String::from("10.0.0.1")]);
        assert_eq!(resolved(&own, false, &mixed).await, private);
        assert_eq!(resolved(&own, false, &["93.184.216.34"]).await, None);
    }
}
