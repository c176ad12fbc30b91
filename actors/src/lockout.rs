//! Wrong passwords, counted: after some, a name from an address is turned away for a while.
//!
//! A plain value with time as an argument. Memory is bounded: past the most that is kept, the
//! longest quiet are forgotten first. Addresses are counted apart from names too, so that one
//! address cannot try name after name. A /64 of IPv6 counts as one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use model::network::neighbourhood;

/// Entries kept.
const KEPT_MAX: usize = 20_000;
/// Wrong names and passwords that an address has, for each that a name from it has.
const ADDRESS_FACTOR: u32 = 4;

/// How many wrong tries, within what time, and how long the door stays shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub tries: u32,
    pub within: Duration,
    pub shut: Duration,
}

#[derive(Debug)]
pub struct Lockout {
    rule: Rule,
    seen: HashMap<Who, Tries>,
    /// When the last address that is shut out is let in again.
    addresses_shut_until: Option<Instant>,
}

/// Who is shut out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shut {
    pub address: IpAddr,
    /// None: whatever name it says.
    pub name: Option<String>,
    pub left: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Name(String, IpAddr),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    count: u32,
    first: Instant,
    shut_until: Option<Instant>,
}

impl Lockout {
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self { rule, seen: HashMap::new(), addresses_shut_until: None }
    }

    /// Whether this name from this address is turned away now, whatever it says.
    #[must_use]
    pub fn is_shut(&self, name: &str, address: IpAddr, now: Instant) -> bool {
        let address = neighbourhood(address);
        self.is_who_shut(&Who::Name(name.to_owned(), address), now)
            || self.is_who_shut(&Who::Address(address), now)
    }

    /// The same for this name from this address alone.
    #[must_use]
    pub fn is_name_shut(&self, name: &str, address: IpAddr, now: Instant) -> bool {
        self.is_who_shut(&Who::Name(name.to_owned(), neighbourhood(address)), now)
    }

    /// The same for all names from this address.
    #[must_use]
    pub fn is_address_shut(&self, address: IpAddr, now: Instant) -> bool {
        self.is_who_shut(&Who::Address(neighbourhood(address)), now)
    }

    /// Whether any address is shut out with all names.
    #[must_use]
    pub fn is_any_address_shut(&mut self, now: Instant) -> bool {
        if self.addresses_shut_until.is_some_and(|until| now >= until) {
            self.addresses_shut_until = None;
        }
        self.addresses_shut_until.is_some()
    }

    fn is_who_shut(&self, who: &Who, now: Instant) -> bool {
        let until = self.seen.get(who).and_then(|tries| tries.shut_until);
        until.is_some_and(|until| now < until)
    }

    /// All that is shut out now.
    #[must_use]
    pub fn shut(&self, now: Instant) -> Vec<Shut> {
        let left = |tries: &Tries| tries.shut_until?.checked_duration_since(now);
        let shut = self.seen.iter().filter_map(|(who, tries)| {
            let left = left(tries).filter(|left| !left.is_zero())?;
            Some(match who {
                Who::Name(name, address) => {
                    Shut { address: *address, name: Some(name.clone()), left }
                }
                Who::Address(address) => Shut { address: *address, name: None, left },
            })
        });
        shut.collect()
    }

    /// Forgets what this address and its names have tried. How many doors were shut.
    pub fn pardon(&mut self, address: IpAddr) -> usize {
        let address = neighbourhood(address);
        let mut shut = 0;
        self.seen.retain(|who, tries| {
            let own = matches!(who, Who::Name(_, own) | Who::Address(own) if *own == address);
            shut += usize::from(own && tries.shut_until.is_some());
            !own
        });
        shut
    }

    /// Counts a wrong try. True: the door is shut from now on.
    pub fn failed(&mut self, name: &str, address: IpAddr, now: Instant) -> bool {
        let address = neighbourhood(address);
        let by_name = self.count(Who::Name(name.to_owned(), address), self.rule.tries, now);
        let most = self.rule.tries.saturating_mul(ADDRESS_FACTOR);
        let by_address = self.count(Who::Address(address), most, now);
        if by_address {
            self.addresses_shut_until = Some(now + self.rule.shut);
        }
        by_name || by_address
    }

    /// The right password: what was tried before is forgiven.
    pub fn succeeded(&mut self, name: &str, address: IpAddr) {
        self.seen.remove(&Who::Name(name.to_owned(), neighbourhood(address)));
    }

    fn count(&mut self, who: Who, most: u32, now: Instant) -> bool {
        if self.rule.tries == 0 {
            return false;
        }
        if self.seen.len() >= KEPT_MAX && !self.seen.contains_key(&who) {
            self.make_room(now);
        }
        let fresh = Tries { count: 0, first: now, shut_until: None };
        let tries = self.seen.entry(who).or_insert(fresh);
        if now.saturating_duration_since(tries.first) > self.rule.within {
            *tries = fresh;
        }
        tries.count += 1;
        if tries.count < most {
            return false;
        }
        *tries = Tries { count: 0, first: now, shut_until: Some(now + self.rule.shut) };
        true
    }

    fn make_room(&mut self, now: Instant) {
        let (within, shut) = (self.rule.within, self.rule.shut);
        self.seen.retain(|_, tries| {
            let counts = now.saturating_duration_since(tries.first) <= within.max(shut);
            counts || tries.shut_until.is_some_and(|until| now < until)
        });
        if self.seen.len() >= KEPT_MAX {
            let mut moments: Vec<Instant> = self.seen.values().map(|tries| tries.first).collect();
            moments.sort_unstable();
            let middle = moments[moments.len() / 2];
            self.seen.retain(|_, tries| tries.first > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn rule() -> Rule {
        Rule { tries: 3, within: Duration::from_secs(60), shut: Duration::from_secs(300) }
    }

    #[test]
    fn three_wrong_tries_shut_the_door_for_a_while() {
        let (mut lockout, start) = (Lockout::new(rule()), tokio::time::Instant::now().into_std());
        assert!(!lockout.failed("a", HERE, start));
        assert!(!lockout.failed("a", HERE, start));
        assert!(!lockout.is_shut("a", HERE, start));
        assert!(lockout.failed("a", HERE, start));
        assert!(lockout.is_shut("a", HERE, start + Duration::from_secs(299)));
        assert!(!lockout.is_shut("a", HERE, start + Duration::from_secs(300)));
        let other: IpAddr = [10, 0, 0, 1].into();
        assert!(!lockout.is_shut("a", other, start), "an attacker elsewhere locks nobody out");
    }

    #[test]
    fn tries_long_ago_and_tries_before_the_right_password_do_not_count() {
        let (mut lockout, start) = (Lockout::new(rule()), tokio::time::Instant::now().into_std());
        lockout.failed("a", HERE, start);
        lockout.failed("a", HERE, start);
        assert!(!lockout.failed("a", HERE, start + Duration::from_secs(61)));
        lockout.succeeded("a", HERE);
        assert!(!lockout.failed("a", HERE, start + Duration::from_secs(62)));
        assert!(!lockout.failed("a", HERE, start + Duration::from_secs(62)));
    }

    #[test]
    fn an_address_that_tries_name_after_name_is_shut_out() {
        let (mut lockout, start) = (Lockout::new(rule()), tokio::time::Instant::now().into_std());
        for n in 0..11 {
            assert!(!lockout.failed(&format!("name{n}"), HERE, start), "{n}");
        }
        assert!(lockout.failed("name11", HERE, start));
        assert!(lockout.is_shut("anyone", HERE, start));
    }

    #[test]
    fn addresses_of_one_64_of_ipv6_are_shut_out_together() {
        let (mut lockout, start) = (Lockout::new(rule()), tokio::time::Instant::now().into_std());
        let at = |text: &str| -> IpAddr { text.parse().unwrap() };
        assert!(!lockout.failed("a", at("2001:db8::1"), start));
        assert!(!lockout.failed("a", at("2001:db8::2"), start));
        assert!(lockout.failed("a", at("2001:db8::3"), start));
        assert!(lockout.is_shut("a", at("2001:db8::4"), start));
        assert!(!lockout.is_shut("a", at("2001:db8:0:1::1"), start));
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let (mut lockout, start) = (Lockout::new(rule()), tokio::time::Instant::now().into_std());
        for n in 0..(2 * KEPT_MAX as u32) {
            let address = IpAddr::from(n.to_be_bytes());
            let now = start + Duration::from_micros(u64::from(n));
            lockout.failed("a", address, now);
        }
        assert!(lockout.seen.len() <= KEPT_MAX + 1);
    }
}
