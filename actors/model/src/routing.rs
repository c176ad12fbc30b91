//! An organization's own rules of routing: which carriers may take which messages, in which order.
//!
//! Kept as JSON. The first rule that matches a message decides; a message that matches none goes by
//! the switch's order.

use serde::{Deserialize, Serialize};

use crate::address::SenderKind;
use crate::country::is_country;
use crate::message::Category;
use crate::route::is_network;

/// Rules of one organization.
pub const RULES_MAX: usize = 100;
/// Entries of one list of a rule.
pub const ENTRIES_MAX: usize = 200;
/// Carriers of one rule.
pub const CARRIERS_MAX: usize = 20;

/// What puts the carriers of a rule in order. Those that can send now go first, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// As the rule lists them.
    #[default]
    Priority,
    /// The cheapest first.
    Cost,
    /// The best first.
    Quality,
    /// Shares by weight.
    Weighted,
}

/// One rule. A list that is empty holds every message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Rule {
    pub countries: Vec<String>,
    pub mccmnc: Vec<String>,
    pub prefixes: Vec<String>,
    pub sender_types: Vec<String>,
    pub categories: Vec<String>,
    /// Names: the only carriers for what matches.
    pub carriers: Vec<String>,
    pub strategy: Strategy,
}

/// A list of a rule: its name, its entries, which of these can be, and what they should be.
type List<'l> = (&'static str, &'l [String], &'l dyn Fn(&str) -> bool, &'static str);

/// Something in a rule that cannot be: which rule, which list, which entry, what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRule {
    pub rule: usize,
    pub list: &'static str,
    /// `None`: the list as a whole.
    pub entry: Option<usize>,
    pub expected: &'static str,
}

impl Rule {
    /// What is wrong with it, carriers' existence aside.
    #[must_use]
    pub fn faults(&self, rule: usize) -> Vec<BadRule> {
        let digits = |text: &str| {
            (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let lists: [List<'_>; 5] = [
            ("countries", &self.countries, &is_country, "an ISO 3166 code of two capital letters"),
            ("mccmnc", &self.mccmnc, &is_network, "3, 5 or 6 digits"),
            ("prefixes", &self.prefixes, &digits, "1 to 15 digits, without +"),
            (
                "sender_types",
                &self.sender_types,
                &|text| SenderKind::parse(text).is_some(),
                "alphanumeric, international or short_code",
            ),
            (
                "categories",
                &self.categories,
                &|text| Category::parse(text).is_some(),
                "transactional, otp, service or marketing",
            ),
        ];
        let mut faults = Vec::new();
        for (list, entries, fits, expected) in lists {
            if entries.len() > ENTRIES_MAX {
                faults.push(BadRule { rule, list, entry: None, expected: "at most 200 entries" });
            }
            let bad = entries.iter().enumerate().filter(|(_, text)| !fits(text));
            faults.extend(bad.map(|(at, _)| BadRule { rule, list, entry: Some(at), expected }));
        }
        if !(1..=CARRIERS_MAX).contains(&self.carriers.len()) {
            let (list, expected) = ("carriers", "1 to 20 names of carriers");
            faults.push(BadRule { rule, list, entry: None, expected });
        }
        faults
    }

    /// Whether it decides for a message.
    #[must_use]
    pub fn matches(
        &self,
        digits: &str,
        country: Option<&str>,
        mccmnc: Option<&str>,
        sender: Option<SenderKind>,
        category: Category,
    ) -> bool {
        let holds = |list: &[String], has: &dyn Fn(&String) -> bool| {
            list.is_empty() || list.iter().any(has)
        };
        holds(&self.prefixes, &|prefix| digits.starts_with(prefix.as_str()))
            && holds(&self.countries, &|own| country == Some(own.as_str()))
            && holds(&self.mccmnc, &|own| {
                mccmnc.is_some_and(|known| known.starts_with(own.as_str()))
            })
            && holds(&self.sender_types, &|own| sender.is_some_and(|kind| kind.as_str() == own))
            && holds(&self.categories, &|own| category.as_str() == own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_rule_holds_what_all_its_lists_hold() {
        let rule = Rule {
            countries: texts(&["US"]),
            prefixes: texts(&["1415", "1212"]),
            sender_types: texts(&["short_code"]),
            categories: texts(&["otp"]),
            mccmnc: texts(&["310"]),
            ..Rule::default()
        };
        let short = Some(SenderKind::ShortCode);
        let matches = |digits, country, network, sender, category| {
            rule.matches(digits, country, network, sender, category)
        };
        let us = "12125550123";
        assert!(matches(us, Some("US"), Some("310260"), short, Category::Otp));
        assert!(!matches("13105550123", Some("US"), Some("310260"), short, Category::Otp));
        assert!(!matches(us, Some("CA"), Some("310260"), short, Category::Otp));
        assert!(!matches(us, None, Some("310260"), short, Category::Otp));
        assert!(!matches(us, Some("US"), None, short, Category::Otp));
        assert!(!matches(us, Some("US"), Some("310260"), None, Category::Otp));
        assert!(!matches(us, Some("US"), Some("310260"), short, Category::Service));
        assert!(Rule::default().matches(us, None, None, None, Category::Marketing));
    }

    #[test]
    fn every_fault_is_named() {
        let rule = Rule {
            countries: texts(&["US", "us"]),
            mccmnc: texts(&["31"]),
            prefixes: texts(&["+1"]),
            sender_types: texts(&["long"]),
            categories: texts(&["bulk"]),
            ..Rule::default()
        };
        let faults = rule.faults(3);
        let told: Vec<_> = faults.iter().map(|fault| (fault.list, fault.entry)).collect();
        let expected = [
            ("countries", Some(1)),
            ("mccmnc", Some(0)),
            ("prefixes", Some(0)),
            ("sender_types", Some(0)),
            ("categories", Some(0)),
            ("carriers", None),
        ];
        assert_eq!(told, expected);
        assert!(faults.iter().all(|fault| fault.rule == 3));
        let fine = Rule { carriers: texts(&["a"]), ..Rule::default() };
        assert_eq!(fine.faults(0), []);
    }

    #[test]
    fn a_rule_is_read_as_it_was_written_and_what_is_left_out_is_empty() {
        let rule: Rule = serde_json::from_str("{\"carriers\":[\"a\"]}").unwrap();
        assert_eq!(rule, Rule { carriers: texts(&["a"]), ..Rule::default() });
        let text = serde_json::to_string(&rule).unwrap();
        assert_eq!(serde_json::from_str::<Rule>(&text).unwrap(), rule);
    }
}
