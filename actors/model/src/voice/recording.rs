//! Recordings of calls: what an organization wants, who has to be told before, and where one stands.
//!
//! The rule of a place is the least that has to be announced there. It is read from CSV
//! `region,minimum,area_codes`: a region is a country (ISO 3166), a part of one with the area codes of the
//! North American plan that lie in it (`US-CA`), or `*` for parties of whom no row speaks, those
//! without a number among them. Of all parties' rows the strictest holds. Pure.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::country::country_of;
use crate::message::{Direction, coded};
use crate::prefixes::BadRate;

const HEADER: &str = "region,minimum,area_codes";
/// Where no row speaks of a party.
const ELSEWHERE: &str = "*";

coded! {
    /// Who hears that the call is recorded; a later one is stricter.
    ConsentMode {
        /// Nobody: consent is somebody else's affair, or nothing is recorded.
        None = 1 "none",
        /// Who calls in.
        AnnounceInbound = 2 "announce_inbound",
        /// All parties.
        AnnounceAll = 3 "announce_all",
    }
}

coded! {
    RecordingStatus {
        InProgress = 1 "in_progress",
        Available = 3 "available",
        /// It is not whole, or not there.
        Failed = 4 "failed",
        /// Its file goes.
        Deleted = 5 "deleted",
    }
}

coded! {
    /// Why there is no recording, or not all of one.
    RecordingFault {
        /// No sound of that name is installed, or a side has no codec to hear it in.
        AnnouncementUnavailable = 1 "announcement_unavailable",
        /// It was begun, and not heard to its end.
        AnnouncementUnheard = 2 "announcement_not_finished",
        /// The law of a party's place asks for more than the organization's mode.
        Jurisdiction = 3 "jurisdiction",
        /// Neither PCMU nor PCMA.
        Codec = 4 "codec_not_supported",
        /// The disk did not take it.
        Storage = 5 "storage_failed",
        /// The disk was too slow for much of it.
        TooSlow = 6 "storage_too_slow",
        /// Too much waits for the disk to begin another one.
        Busy = 7 "recorder_busy",
        /// It ended before anything was said.
        Nothing = 8 "nothing_recorded",
        /// The process ended before anything was stored.
        Interrupted = 9 "interrupted",
    }
}

fn default_days() -> i64 {
    RecordingSettings::default().retention_days
}

/// What is announced: a sound that the operator installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    pub sound: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// What an organization wants of recordings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingSettings {
    /// As [`ConsentMode`] names it.
    #[serde(with = "mode_text")]
    pub mode: ConsentMode,
    #[serde(default)]
    pub announcement: Option<Announcement>,
    /// Every call is recorded.
    #[serde(default)]
    pub default_record: bool,
    #[serde(default = "default_days")]
    pub retention_days: i64,
    /// Nothing is recorded where the law asks for more than the mode.
    pub enforce_jurisdiction: bool,
}

impl Default for RecordingSettings {
    fn default() -> Self {
        Self {
            mode: ConsentMode::None,
            announcement: None,
            default_record: false,
            retention_days: 90,
            enforce_jurisdiction: true,
        }
    }
}

impl RecordingSettings {
    /// Who hears the announcement: who called, who was called.
    #[must_use]
    pub fn hearers(&self, direction: Direction) -> [bool; 2] {
        match (self.mode, direction) {
            (ConsentMode::None, _) | (ConsentMode::AnnounceInbound, Direction::Outbound) => {
                [false, false]
            }
            (ConsentMode::AnnounceInbound, Direction::Inbound) => [true, false],
            (ConsentMode::AnnounceAll, _) => [true, true],
        }
    }

    /// What a row says; what no version of this program wrote is the default, which records nothing.
    #[must_use]
    pub fn from_json(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| String::from("{}"))
    }
}

mod mode_text {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::ConsentMode;

    pub(super) fn serialize<S: Serializer>(
        mode: &ConsentMode,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(mode.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ConsentMode, D::Error> {
        let text = String::deserialize(deserializer)?;
        ConsentMode::parse(&text).ok_or_else(|| D::Error::custom("no mode"))
    }
}

/// The least that has to be announced, by place.
#[derive(Clone, Debug, Default)]
pub struct Jurisdictions {
    by_region: HashMap<String, ConsentMode>,
    /// By area code of the North American plan: the region.
    by_area: HashMap<String, String>,
}

/// What a place asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    pub mode: ConsentMode,
    /// Whose row it is.
    pub region: String,
}

impl Jurisdictions {
    /// Reads a whole table; the first bad line refuses all of it.
    pub fn from_csv(text: &str) -> Result<Self, BadRate> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(text.as_bytes());
        let found = reader.headers().map_err(|_| BadRate { line: 1, fault: "no header" })?;
        if !found.iter().eq(HEADER.split(',')) {
            return Err(BadRate { line: 1, fault: "the header is not that of this table" });
        }
        let mut table = Self::default();
        let mut record = csv::StringRecord::new();
        loop {
            let line = reader.position().line();
            let bad = |fault| BadRate { line, fault };
            match reader.read_record(&mut record) {
                Ok(true) => table.add(&record).map_err(bad)?,
                Ok(false) => return Ok(table),
                Err(_) => return Err(bad("not three columns")),
            }
        }
    }

    fn add(&mut self, record: &csv::StringRecord) -> Result<(), &'static str> {
        let region = &record[0];
        if !is_region(region) {
            return Err("the region is neither a country, nor a part of one, nor *");
        }
        let mode = ConsentMode::parse(&record[1])
            .ok_or("the minimum is not none, announce_inbound or announce_all")?;
        if self.by_region.insert(region.to_owned(), mode).is_some() {
            return Err("the region is there twice");
        }
        for area in record[2].split_whitespace() {
            if area.len() != 3 || !area.bytes().all(|octet| octet.is_ascii_digit()) {
                return Err("an area code is not three digits");
            }
            if self.by_area.insert(area.to_owned(), region.to_owned()).is_some() {
                return Err("an area code is there twice");
            }
        }
        Ok(())
    }

    /// What the places of all parties ask for; a party without a number is an empty one.
    #[must_use]
    pub fn demand<'a>(&self, parties: impl IntoIterator<Item = &'a str>) -> Option<Demand> {
        let demands = parties.into_iter().filter_map(|party| self.of(party));
        demands.max_by_key(|demand| demand.mode)
    }

    /// What the place of one party asks for: its country, or the part of it where that is stricter.
    fn of(&self, party: &str) -> Option<Demand> {
        let country = party.strip_prefix('+').and_then(country_of);
        let area = party.strip_prefix("+1").and_then(|national| national.get(..3));
        let part = area.and_then(|area| self.by_area.get(area)).map(String::as_str);
        let rows = [part, country].into_iter().flatten();
        let rows = rows.filter_map(|region| self.row(region));
        rows.max_by_key(|demand| demand.mode).or_else(|| self.row(ELSEWHERE))
    }

    fn row(&self, region: &str) -> Option<Demand> {
        let mode = *self.by_region.get(region)?;
        Some(Demand { mode, region: region.to_owned() })
    }
}

fn is_region(text: &str) -> bool {
    let (country, part) = text.split_once('-').map_or((text, None), |(of, part)| (of, Some(part)));
    let upper = |text: &str| text.bytes().all(|octet| octet.is_ascii_uppercase());
    let fits = part.is_none_or(|part| (1..=3).contains(&part.len()) && upper(part));
    text == ELSEWHERE || (country.len() == 2 && upper(country) && fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = include_str!("../../../../config/recording-consent.csv");

    fn demand(parties: &[&str]) -> Option<(&'static str, String)> {
        let table = Jurisdictions::from_csv(TABLE).unwrap();
        let demand = table.demand(parties.iter().copied())?;
        Some((demand.mode.as_str(), demand.region))
    }

    fn all(region: &str) -> Option<(&'static str, String)> {
        Some(("announce_all", region.to_owned()))
    }

    #[test]
    fn one_party_states_are_federal_and_all_party_states_by_area_code() {
        let (texas, california, florida) = ("+15125550100", "+14155550100", "+13055550100");
        assert_eq!(demand(&[texas]), Some(("announce_inbound", String::from("US"))));
        assert_eq!(demand(&[california]), all("US-CA"));
        assert_eq!(demand(&[florida]), all("US-FL"));
        let others = [
            ("203", "CT"),
            ("302", "DE"),
            ("312", "IL"),
            ("410", "MD"),
            ("617", "MA"),
            ("313", "MI"),
            ("406", "MT"),
            ("702", "NV"),
            ("603", "NH"),
            ("503", "OR"),
            ("215", "PA"),
            ("206", "WA"),
        ];
        for (area, state) in others {
            let number = format!("+1{area}5550100");
            assert_eq!(demand(&[&number]), all(&format!("US-{state}")), "{number}");
        }
        // New York, toll-free.
        for one_party in ["+12125550100", "+18005550100"] {
            assert_eq!(demand(&[one_party]).unwrap().0, "announce_inbound", "{one_party}");
        }
    }

    #[test]
    fn countries_of_the_table_ask_for_all_parties() {
        let numbers = [
            ("+14165550100", "CA"),
            ("+4930123456", "DE"),
            ("+33140000000", "FR"),
            ("+442079460000", "GB"),
            ("+41443000000", "CH"),
            ("+61291234567", "AU"),
            ("+551130000000", "BR"),
            ("+902120000000", "TR"),
            ("+911123456789", "IN"),
            ("+97141234567", "AE"),
            ("+6561234567", "SG"),
            ("+3545551234", "IS"),
            ("+4722000000", "NO"),
        ];
        for (number, country) in numbers {
            assert_eq!(demand(&[number]), all(country), "{number}");
        }
    }

    #[test]
    fn the_strictest_of_all_parties_holds_whoever_of_them_it_is() {
        let (texas, california, japan) = ("+15125550100", "+14155550100", "+81312345678");
        assert_eq!(demand(&[texas, california]), all("US-CA"));
        assert_eq!(demand(&[california, texas]), all("US-CA"));
        assert_eq!(demand(&[japan, texas]).unwrap().0, "announce_inbound");
        assert_eq!(demand(&["100", ""]), None, "telephones without numbers are nowhere");
        assert_eq!(demand(&[japan]), None);
    }

    #[test]
    fn a_row_for_everywhere_else_is_for_parties_without_one() {
        let table = "region,minimum,area_codes\nUS,none,\n*,announce_all,\n";
        let table = Jurisdictions::from_csv(table).unwrap();
        let mode = |party| table.demand([party]).map(|demand| demand.mode);
        assert_eq!(mode("100"), Some(ConsentMode::AnnounceAll));
        assert_eq!(mode("+81312345678"), Some(ConsentMode::AnnounceAll));
        assert_eq!(mode("+15125550100"), Some(ConsentMode::None));
    }

    #[test]
    fn a_bad_line_is_named() {
        let bad = |line: &str| {
            let text = format!("region,minimum,area_codes\nUS,none,\n{line}\n");
            Jurisdictions::from_csv(&text).unwrap_err()
        };
        assert_eq!(bad("US,none,").fault, "the region is there twice");
        assert_eq!(bad("us,none,").line, 3);
        for line in ["USA,none,", "US-calif,none,", "DE,loud,", "US-CA,none,41", "DE,none"] {
            assert_eq!(bad(line).line, 3, "{line}");
        }
        assert!(Jurisdictions::from_csv("prefix,price\n").is_err());
    }

    #[test]
    fn who_hears_it_is_a_matter_of_mode_and_direction() {
        let hearers = |mode, direction| {
            let settings = RecordingSettings { mode, ..RecordingSettings::default() };
            settings.hearers(direction)
        };
        let (inbound, outbound) = (Direction::Inbound, Direction::Outbound);
        assert_eq!(hearers(ConsentMode::None, inbound), [false, false]);
        assert_eq!(hearers(ConsentMode::AnnounceInbound, inbound), [true, false]);
        assert_eq!(hearers(ConsentMode::AnnounceInbound, outbound), [false, false]);
        assert_eq!(hearers(ConsentMode::AnnounceAll, outbound), [true, true]);
    }

    #[test]
    fn settings_come_back_from_their_row_and_nonsense_records_nothing() {
        let settings = RecordingSettings {
            mode: ConsentMode::AnnounceAll,
            announcement: Some(Announcement { sound: String::from("a.wav"), language: None }),
            default_record: true,
            retention_days: 7,
            enforce_jurisdiction: false,
        };
        assert_eq!(RecordingSettings::from_json(&settings.to_json()), settings);
        for text in ["", "{}", "{\"mode\":\"loud\",\"enforce_jurisdiction\":false}"] {
            assert_eq!(RecordingSettings::from_json(text), RecordingSettings::default());
        }
    }
}
