//! Quiet hours: when the clock on a recipient's wall allows a message, and when it does next.
//!
//! Pure: number, window and moment in, answer out. The clocks come from the IANA time zone database
//! that is compiled in (crate `jiff`), the country and the zones of a number from the table
//! `quiet/zones.txt`: telephone prefixes and where they are used, written for this program from the
//! public numbering plans; the one writer looks there, and has no time for the numbering metadata's
//! patterns. A prefix used in several zones is allowed only while all of them allow it. Limits: a
//! number taken along to another region, or a traveller, is judged by its prefix; numbers of no
//! place (satellite, international free phone) are judged in UTC.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

use crate::address::Recipient;
use crate::clock::At;

/// The longest prefix of the table.
const PREFIX_MAX: usize = 7;
/// Clocks are asked this far ahead: when no moment suits all zones by then, none ever does.
const HORIZON_DAYS: i64 = 8;
const DAY_MINUTES: u16 = 24 * 60;

/// When it is allowed by a wall clock, from a minute of the day until before another. It runs across
/// midnight when it ends before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    start: u16,
    end: u16,
}

impl Window {
    /// Hours of the day.
    #[must_use]
    pub const fn hours(start: u16, end: u16) -> Self {
        Self { start: start * 60, end: end * 60 }
    }

    /// Reads two times of day as `08:00`; `24:00` is the end of the day. Equal ones are no window.
    #[must_use]
    pub fn parse(start: &str, end: &str) -> Option<Self> {
        let window = Self { start: minutes(start)? % DAY_MINUTES, end: minutes(end)? };
        (window.start != window.end % DAY_MINUTES || window.end == DAY_MINUTES).then_some(window)
    }

    #[must_use]
    pub fn start(&self) -> String {
        clock_text(self.start)
    }

    #[must_use]
    pub fn end(&self) -> String {
        clock_text(self.end)
    }

    fn allows(&self, minute: u16) -> bool {
        if self.start < self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }
}

/// `08:00` as minutes; up to `24:00`.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !two(hour) || !two(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let all = hour * 60 + minute;
    (minute < 60 && all <= DAY_MINUTES).then_some(all)
}

fn clock_text(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// What the clocks say at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub allowed: bool,
    /// The zone that forbids it, else the first.
    pub zone: String,
    /// What the clock shows there.
    pub hour: i8,
    pub minute: i8,
    /// The first moment from now on that suits all zones: now itself when allowed.
    pub next_allowed: Option<At>,
}

/// The zones in which a number's prefix is used, as known to the database; never empty.
#[must_use]
pub fn zones_of(phone: &str) -> Vec<TimeZone> {
    let names = area_of(phone).into_iter().flat_map(|area| &area.zones);
    let zones: Vec<TimeZone> = names.filter_map(|name| zone(name)).collect();
    if zones.is_empty() { vec![TimeZone::UTC] } else { zones }
}

/// A zone by its IANA name.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// The country of a number, as two letters. Territories that share a country's numbers count as
/// that country; a number of no place has none.
#[must_use]
pub fn country_of(phone: &str) -> Option<&'static str> {
    area_of(phone).map(|area| area.country)
}

fn area_of(phone: &str) -> Option<&'static Area> {
    let digits = phone.strip_prefix('+').unwrap_or(phone);
    let longest = digits.len().min(PREFIX_MAX);
    (1..=longest).rev().find_map(|n| AREAS.get(digits.get(..n)?)).map(Arc::as_ref)
}

/// A number as it is dialled in a country (two letters), in E.164. The national prefix is taken off
/// by the country's metadata; the crate's own parser takes the `1` after a German `0` for one too.
#[must_use]
pub fn e164(phone: &str, country: &str) -> Option<String> {
    if phone.len() > 64 {
        return None;
    }
    let plain: String = phone.chars().filter(|c| !" -./()\u{a0}".contains(*c)).collect();
    if plain.starts_with('+') {
        return Recipient::parse(&plain).map(Recipient::into_string);
    }
    if !plain.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let metadata = phonenumber::metadata::DATABASE.by_id(country)?;
    let stripped = metadata.national_prefix().and_then(|prefix| plain.strip_prefix(prefix));
    let known = |national: &&str| metadata.descriptors().general().is_match(national);
    let national = [stripped, Some(plain.as_str())].into_iter().flatten().find(known)?;
    let number = format!("+{}{national}", metadata.country_code());
    Recipient::parse(&number).map(Recipient::into_string)
}

/// Reads the clocks of all zones.
#[must_use]
pub fn read(zones: &[TimeZone], window: Window, now: At) -> Reading {
    let moment = Timestamp::from_microsecond(now.micros()).unwrap_or(Timestamp::UNIX_EPOCH);
    let closed = zones.iter().find(|zone| !allows(zone, window, moment));
    let shown = closed.or(zones.first()).cloned().unwrap_or(TimeZone::UTC);
    let clock = shown.to_datetime(moment);
    Reading {
        allowed: closed.is_none(),
        zone: shown.iana_name().unwrap_or("UTC").to_owned(),
        hour: clock.hour(),
        minute: clock.minute(),
        next_allowed: next_allowed(zones, window, moment).map(|at| At(at.as_microsecond())),
    }
}

fn allows(zone: &TimeZone, window: Window, at: Timestamp) -> bool {
    let clock = zone.to_datetime(at);
    let minute = i16::from(clock.hour()) * 60 + i16::from(clock.minute());
    window.allows(u16::try_from(minute).unwrap_or(0))
}

/// Goes from opening to opening until every zone agrees. No step leaves a moment out that would
/// have suited, because the zone that asks for the step forbids all that lies between.
fn next_allowed(zones: &[TimeZone], window: Window, now: Timestamp) -> Option<Timestamp> {
    let horizon = now.checked_add((HORIZON_DAYS * 24).hours()).ok()?;
    let mut at = now;
    while at <= horizon {
        match zones.iter().find(|zone| !allows(zone, window, at)) {
            Some(closed) => at = opening(closed, window, at)?,
            None => return Some(at),
        }
    }
    None
}

/// When a zone that forbids `at` allows it next: as its clock reaches the start of the window, or
/// jumps into it.
fn opening(zone: &TimeZone, window: Window, at: Timestamp) -> Option<Timestamp> {
    let today = zone.to_datetime(at).date();
    let (hour, minute) = (window.start / 60, window.start % 60);
    let (hour, minute) = (i8::try_from(hour).ok()?, i8::try_from(minute).ok()?);
    let starts = (0..=2).filter_map(|days| today.checked_add(i64::from(days).days()).ok());
    let starts = starts.flat_map(|day| moments(zone, day.at(hour, minute, 0, 0)));
    let last = at.checked_add(72.hours()).ok()?;
    let jumps = zone.following(at).map(|change| change.timestamp());
    let jumps = jumps.take_while(|change| *change <= last);
    let opens = |moment: &Timestamp| *moment > at && allows(zone, window, *moment);
    starts.chain(jumps).filter(opens).min()
}

/// The moments at which a clock shows this: two when it is set back over it, none when it is set
/// forward over it.
fn moments(zone: &TimeZone, clock: DateTime) -> Vec<Timestamp> {
    let offsets = match zone.to_ambiguous_timestamp(clock).offset() {
        AmbiguousOffset::Unambiguous { offset } => vec![offset],
        AmbiguousOffset::Gap { .. } => Vec::new(),
        AmbiguousOffset::Fold { before, after } => vec![before, after],
    };
    offsets.into_iter().filter_map(|offset| offset.to_timestamp(clock).ok()).collect()
}

/// Where a prefix is used.
struct Area {
    country: &'static str,
    zones: Vec<&'static str>,
}

static AREAS: LazyLock<HashMap<&'static str, Arc<Area>>> = LazyLock::new(|| {
    let mut areas = HashMap::new();
    for line in include_str!("quiet/zones.txt").lines().filter(|line| !line.starts_with('#')) {
        let Some((place, prefixes)) = line.split_once(": ") else {
            continue;
        };
        let Some((country, zones)) = place.split_once(' ') else {
            continue;
        };
        let area = Arc::new(Area { country, zones: zones.split(',').collect() });
        areas.extend(prefixes.split(' ').map(|prefix| (prefix, Arc::clone(&area))));
    }
    areas
});

#[cfg(test)]
mod tests;
