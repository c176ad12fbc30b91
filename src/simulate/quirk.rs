//! What carriers do on the wire, numbered and named: each is a switch of the simulator.
//!
//! `CATALOG` is what `orbit simulate list` prints. `Chosen` is one switch of a command line,
//! `Quirks` all of them as the simulator asks for them: by number, without a search.

mod catalog;

use std::str::FromStr;

use serde::Serialize;

pub use catalog::CATALOG;

/// How many there are.
pub const COUNT: usize = 50;

/// One switch.
#[derive(Debug, Serialize)]
pub struct Quirk {
    pub number: usize,
    pub name: &'static str,
    /// The values that it takes, the default first; empty: it is on or off.
    pub values: &'static [&'static str],
    /// What else may stand for a value; empty: nothing.
    pub others: &'static str,
    pub what: &'static str,
    /// Where it was seen.
    pub seen: &'static str,
}

/// `NAME`, `NAME=VALUE`, or the number in the name's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub number: usize,
    pub value: String,
}

/// The switches that are on.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    values: Vec<Option<String>>,
}

impl Quirk {
    /// By its name or number.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        let number = name.parse::<usize>().ok();
        CATALOG.iter().find(|quirk| quirk.name == name || Some(quirk.number) == number)
    }

    fn takes(&self, value: &str) -> bool {
        let status = || number(value).is_some_and(|n| (0x400..=0x4FF).contains(&n));
        match self.others {
            "" => false,
            "a number" | "an octet" | "a count" | "seconds" => number(value).is_some(),
            "messages:N or binds:N" => value
                .strip_prefix("messages:")
                .or_else(|| value.strip_prefix("binds:"))
                .is_some_and(|count| number(count).is_some_and(|n| n > 0)),
            "a status" => status(),
            _ => (1..=12).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic()),
        }
    }
}

impl FromStr for Chosen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let quirk = Quirk::find(name)
            .ok_or_else(|| format!("no quirk is called {name}: see `orbit simulate list`"))?;
        let value = value.or(quirk.values.first().copied()).unwrap_or_default();
        let known = quirk.values.contains(&value) || quirk.values.is_empty() && value.is_empty();
        if known || quirk.takes(value) {
            return Ok(Self { number: quirk.number, value: value.to_owned() });
        }
        let mut allowed = quirk.values.join(", ");
        if !quirk.others.is_empty() {
            allowed = format!("{allowed}, or {}", quirk.others);
        }
        let allowed = if allowed.is_empty() { String::from("no value") } else { allowed };
        Err(format!("{} takes {allowed}", quirk.name))
    }
}

impl Quirks {
    #[must_use]
    pub fn new(chosen: &[Chosen]) -> Self {
        let mut values = vec![None; COUNT + 1];
        for one in chosen {
            if let Some(place) = values.get_mut(one.number) {
                *place = Some(one.value.clone());
            }
        }
        Self { values }
    }

    /// The value of a switch that is on.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&str> {
        self.values.get(number)?.as_deref()
    }

    #[must_use]
    pub fn has(&self, number: usize) -> bool {
        self.get(number).is_some()
    }

    /// Whether a switch is on with this value.
    #[must_use]
    pub fn is(&self, number: usize, value: &str) -> bool {
        self.get(number) == Some(value)
    }

    /// A switch's value as a number.
    #[must_use]
    pub fn number(&self, number: usize) -> Option<u64> {
        self::number(self.get(number)?)
    }
}

/// Decimal, or hexadecimal after `0x`.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_is_numbered_without_gaps_and_names_are_distinct() {
        assert_eq!(CATALOG.len(), COUNT);
        for (at, quirk) in CATALOG.iter().enumerate() {
            assert_eq!(quirk.number, at + 1, "{}", quirk.name);
            let same = CATALOG.iter().filter(|other| other.name == quirk.name).count();
            assert_eq!(same, 1, "{}", quirk.name);
            assert!(!quirk.what.is_empty() && !quirk.seen.is_empty(), "{}", quirk.name);
        }
    }

    #[test]
    fn every_quirk_has_its_line_in_the_documentation() {
        let page = include_str!("../../docs/simulator.md");
        for quirk in &CATALOG {
            let mut line = format!("| {} | `{}` | ", quirk.number, quirk.name);
            let values: Vec<String> = quirk.values.iter().map(|v| format!("`{v}`")).collect();
            line.push_str(&values.join(", "));
            assert!(page.contains(&line), "{line}");
        }
    }

    #[test]
    fn a_switch_is_read_by_name_or_number_with_its_values_alone() {
        let read = |text: &str| text.parse::<Chosen>();
        let chosen = |number, value: &str| Ok(Chosen { number, value: value.to_owned() });
        assert_eq!(read("hex-then-decimal"), chosen(1, ""));
        assert_eq!(read("id-zeros"), chosen(4, "dropped"));
        assert_eq!(read("4=padded"), chosen(4, "padded"));
        assert_eq!(read("vendor-status=0x4A1"), chosen(39, "0x4A1"));
        assert_eq!(read("session-limit=binds:2"), chosen(48, "binds:2"));
        for wrong in ["", "0", "51", "nonsense", "id-zeros=x", "1=x", "vendor-status=0x58"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_on_is_found_by_number() {
        let quirks = Quirks::new(&["6=sar".parse().unwrap(), "slow-reader=7".parse().unwrap()]);
        assert!(quirks.is(6, "sar") && !quirks.is(6, "uuid") && !quirks.has(7));
        assert_eq!(quirks.number(49), Some(7));
        assert!(!Quirks::default().has(1));
    }
}
