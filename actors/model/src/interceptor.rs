//! Rules that are laid on messages before they are routed: whom they concern, and what they do.
//!
//! As they are written, in the settings or by API; `actors` makes them ready to be asked. All that is
//! given of a rule must hold; of a list, one of its items.

use serde::{Deserialize, Serialize};

use crate::address::SenderKind;
use crate::country::is_country;
use crate::message::{Category, Encoding};

const NAME_CHARS_MAX: usize = 100;
const LIST_MAX: usize = 200;
const ITEM_CHARS_MAX: usize = 200;
const TAGS_MAX: usize = 10;
const TAG_CHARS_MAX: usize = 40;
/// Characters of a regular expression.
pub const PATTERN_CHARS_MAX: usize = 256;
const MINUTES: u16 = 24 * 60;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    pub name: String,
    pub enabled: bool,
    /// `org_…`, of the operator's rules alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub organizations: Vec<String>,
    /// Names of SMPP accounts.
    pub accounts: Vec<String>,
    /// Senders, or what they begin with and `*`.
    pub sources: Vec<String>,
    pub source_regex: String,
    /// What the recipient's digits begin with.
    pub destinations: Vec<String>,
    /// ISO 3166 codes.
    pub countries: Vec<String>,
    /// Parts of the text, in any case of letters.
    pub text_contains: Vec<String>,
    pub text_regex: String,
    pub categories: Vec<String>,
    pub encodings: Vec<String>,
    /// UTC, as `22:00-06:00`.
    pub hours: String,
    /// Becomes the sender.
    pub sender: String,
    /// The carrier that is to take it.
    pub route: String,
    /// Why it is refused.
    pub block: String,
    pub tags: Vec<String>,
    /// Rules after this one are not asked.
    pub stop: bool,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            name: String::new(),
            enabled: true,
            organizations: Vec::new(),
            accounts: Vec::new(),
            sources: Vec::new(),
            source_regex: String::new(),
            destinations: Vec::new(),
            countries: Vec::new(),
            text_contains: Vec::new(),
            text_regex: String::new(),
            categories: Vec::new(),
            encodings: Vec::new(),
            hours: String::new(),
            sender: String::new(),
            route: String::new(),
            block: String::new(),
            tags: Vec::new(),
            stop: false,
        }
    }
}

/// Minutes of the day, from one until before the other; over midnight when the end comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    from: u16,
    until: u16,
}

impl Hours {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (from, until) = text.split_once('-')?;
        let hours = Self { from: minute(from)?, until: minute(until)? };
        (hours.from != hours.until).then_some(hours)
    }

    #[must_use]
    pub fn holds(self, minute: u16) -> bool {
        if self.from < self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<u16>().ok()).flatten();
    let (hour, minute) = (two(hour)?, two(minute)?);
    (minute < 60 && hour * 60 + minute < MINUTES).then_some(hour * 60 + minute)
}

/// A field, and what it must be.
pub type RuleFault = (&'static str, &'static str);

impl Rule {
    /// What is wrong with it, but for its regular expressions.
    #[must_use]
    pub fn faults(&self) -> Vec<RuleFault> {
        let mut faults = Vec::new();
        let mut unless = |holds: bool, field: &'static str, expected: &'static str| {
            if !holds {
                faults.push((field, expected));
            }
        };
        let chars = |text: &str, most: usize| (1..=most).contains(&text.chars().count());
        let plain = |text: &str| !text.contains(char::is_control);
        let named = chars(&self.name, NAME_CHARS_MAX) && plain(&self.name);
        unless(named, "name", "1 to 100 characters");
        for (field, list) in [
            ("organizations", &self.organizations),
            ("accounts", &self.accounts),
            ("sources", &self.sources),
            ("text_contains", &self.text_contains),
        ] {
            let fits =
                list.len() <= LIST_MAX && list.iter().all(|item| chars(item, ITEM_CHARS_MAX));
            unless(fits, field, "at most 200 items of 1 to 200 characters");
        }
        let digits = |text: &String| {
            (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        };
        let fits = self.destinations.len() <= LIST_MAX && self.destinations.iter().all(digits);
        unless(fits, "destinations", "at most 200 items of 1 to 15 digits, without +");
        let fits = self.countries.len() <= LIST_MAX && self.countries.iter().all(|c| is_country(c));
        unless(fits, "countries", "ISO 3166 codes such as US");
        let fits = self.categories.iter().all(|text| Category::parse(text).is_some());
        unless(fits, "categories", "of transactional, otp, service, marketing");
        let fits = self.encodings.iter().all(|text| Encoding::parse(text).is_some());
        unless(fits, "encodings", "of gsm7, ucs2");
        let fits = self.hours.is_empty() || Hours::parse(&self.hours).is_some();
        unless(fits, "hours", "two times of the day in UTC, as 22:00-06:00");
        for (field, pattern) in
            [("source_regex", &self.source_regex), ("text_regex", &self.text_regex)]
        {
            let fits = pattern.chars().count() <= PATTERN_CHARS_MAX;
            unless(fits, field, "a regular expression of at most 256 characters");
        }
        let fits = self.sender.is_empty() || SenderKind::of(&self.sender).is_some();
        let sender = "+ and a phone number, 3 to 8 digits, or 3 to 11 letters and digits";
        unless(fits, "sender", sender);
        let fits = self.route.len() <= ITEM_CHARS_MAX && plain(&self.route);
        unless(fits, "route", "the name of a carrier");
        let fits = self.block.chars().count() <= ITEM_CHARS_MAX && plain(&self.block);
        unless(fits, "block", "a reason of at most 200 characters");
        let tag = |tag: &String| {
            chars(tag, TAG_CHARS_MAX)
                && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let fits = self.tags.len() <= TAGS_MAX && self.tags.iter().all(tag);
        unless(fits, "tags", "at most 10 of 1 to 40 letters, digits, - and _");
        let does = !self.sender.is_empty()
            || !self.route.is_empty()
            || !self.block.is_empty()
            || !self.tags.is_empty()
            || self.stop;
        unless(does, "block", "given, or one of sender, route, tags and stop");
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_go_over_midnight() {
        let day = Hours::parse("09:00-17:30").unwrap();
        assert!(day.holds(540) && day.holds(1_049) && !day.holds(1_050) && !day.holds(0));
        let night = Hours::parse("22:00-06:00").unwrap();
        assert!(night.holds(1_320) && night.holds(0) && !night.holds(360) && !night.holds(720));
        for bad in ["", "9:00-17:00", "09:00", "25:00-06:00", "09:60-10:00", "09:00-09:00"] {
            assert_eq!(Hours::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_rule_is_looked_at_field_by_field() {
        let good = Rule {
            name: String::from("night"),
            countries: vec![String::from("US")],
            hours: String::from("22:00-06:00"),
            tags: vec![String::from("night")],
            ..Rule::default()
        };
        assert_eq!(good.faults(), []);
        let bad = Rule {
            name: String::new(),
            destinations: vec![String::from("+44")],
            countries: vec![String::from("Narnia")],
            categories: vec![String::from("spam")],
            encodings: vec![String::from("ebcdic")],
            hours: String::from("night"),
            text_regex: "x".repeat(257),
            sender: String::from("!"),
            tags: vec![String::from("a b")],
            ..Rule::default()
        };
        let fields: Vec<&str> = bad.faults().into_iter().map(|(field, _)| field).collect();
        let wanted = [
            "name",
            "destinations",
            "countries",
            "categories",
            "encodings",
            "hours",
            "text_regex",
            "sender",
            "tags",
        ];
        assert_eq!(fields, wanted);
        let idle = Rule { name: String::from("idle"), ..Rule::default() };
        assert_eq!(idle.faults().len(), 1, "a rule does something");
    }
}
