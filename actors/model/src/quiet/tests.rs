//! Clocks around the world, on the days they are changed.

use std::collections::HashSet;

use super::*;

const DAY: Window = Window::hours(8, 21);

fn at(text: &str) -> At {
    At::parse(text).unwrap_or_else(|| panic!("{text} is no moment"))
}

fn in_zones(names: &[&str], window: Window, now: &str) -> Reading {
    let zones: Vec<TimeZone> = names.iter().map(|name| zone(name).unwrap()).collect();
    read(&zones, window, at(now))
}

/// Territories, and the countries whose numbers they share.
const SHARED: &[(&str, &str)] = &[
    ("AX", "FI"),
    ("BL", "GP"),
    ("BQ", "CW"),
    ("CC", "AU"),
    ("CX", "AU"),
    ("EH", "MA"),
    ("GG", "GB"),
    ("IM", "GB"),
    ("JE", "GB"),
    ("MF", "GP"),
    ("SJ", "NO"),
    ("TA", "SH"),
    ("VA", "IT"),
];

/// Allowed at `now` or not, and when next.
fn check(names: &[&str], window: (&str, &str), now: &str, next: &str) {
    let window = Window::parse(window.0, window.1).unwrap();
    let reading = in_zones(names, window, now);
    assert_eq!(reading.next_allowed, Some(at(next)), "{names:?} {window:?} {now}: {reading:?}");
    assert_eq!(reading.allowed, at(now) == at(next), "{names:?} {window:?} {now}");
}

#[test]
fn a_window_opens_at_its_start_and_closes_at_its_end() {
    let berlin = &["Europe/Berlin"];
    let day = ("08:00", "21:00");
    check(berlin, day, "2026-01-15T06:59:59.999Z", "2026-01-15T07:00:00Z");
    check(berlin, day, "2026-01-15T07:00:00Z", "2026-01-15T07:00:00Z");
    check(berlin, day, "2026-01-15T19:59:59Z", "2026-01-15T19:59:59Z");
    check(berlin, day, "2026-01-15T20:00:00Z", "2026-01-16T07:00:00Z");
    check(berlin, day, "2026-12-31T22:30:00Z", "2027-01-01T07:00:00Z");
}

#[test]
fn a_window_may_run_across_midnight() {
    let tokyo = &["Asia/Tokyo"];
    let night = ("22:00", "06:00");
    check(tokyo, night, "2026-05-01T13:00:00Z", "2026-05-01T13:00:00Z");
    check(tokyo, night, "2026-05-01T20:59:00Z", "2026-05-01T20:59:00Z");
    check(tokyo, night, "2026-05-01T21:00:00Z", "2026-05-02T13:00:00Z");
    check(tokyo, ("00:00", "24:00"), "2026-05-01T15:00:00Z", "2026-05-01T15:00:00Z");
    check(tokyo, ("20:00", "24:00"), "2026-05-01T15:00:00Z", "2026-05-02T11:00:00Z");
}

#[test]
fn clocks_that_are_set_between_now_and_morning_are_read_as_they_will_be() {
    let day = ("08:00", "21:00");
    // Forward in the night to 8 March 2026, back in the night to 1 November.
    let york = &["America/New_York"];
    check(york, day, "2026-03-08T02:00:00Z", "2026-03-08T12:00:00Z");
    check(york, day, "2026-03-07T02:00:00Z", "2026-03-07T13:00:00Z");
    check(york, day, "2026-11-01T02:00:00Z", "2026-11-01T13:00:00Z");
    // In the south the other way round, and by half an hour.
    check(&["Australia/Lord_Howe"], day, "2026-10-03T12:00:00Z", "2026-10-03T21:00:00Z");
    check(&["Australia/Lord_Howe"], day, "2026-10-02T12:00:00Z", "2026-10-02T21:30:00Z");
}

#[test]
fn a_start_that_the_clock_jumps_over_is_the_jump() {
    // 02:00 becomes 03:00 at 01:00 UTC.
    let early = ("02:30", "21:00");
    check(&["Europe/Berlin"], early, "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z");
    // 00:00 becomes 01:00: the day has no midnight.
    check(&["Africa/Cairo"], ("00:30", "12:00"), "2026-04-23T21:50:00Z", "2026-04-23T22:00:00Z");
}

#[test]
fn an_hour_that_comes_twice_opens_twice() {
    // 03:00 becomes 02:00 at 01:00 UTC; the first 02:30 is at 00:30 UTC.
    let narrow = ("02:00", "02:30");
    let berlin = &["Europe/Berlin"];
    check(berlin, narrow, "2026-10-25T00:29:00Z", "2026-10-25T00:29:00Z");
    check(berlin, narrow, "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z");
    check(berlin, narrow, "2026-10-25T01:30:00Z", "2026-10-26T01:00:00Z");
    check(berlin, ("02:45", "04:00"), "2026-10-25T00:40:00Z", "2026-10-25T00:45:00Z");
    check(berlin, ("02:45", "02:50"), "2026-10-25T00:55:00Z", "2026-10-25T01:45:00Z");
}

#[test]
fn both_sides_of_the_date_line_read_their_own_day() {
    let (samoa, pago) = ("Pacific/Apia", "Pacific/Pago_Pago");
    let now = "2026-06-10T10:30:00Z";
    assert_eq!(in_zones(&[samoa], DAY, now).hour, 23);
    assert_eq!(in_zones(&[pago], DAY, now).hour, 23);
    check(&[samoa], ("08:00", "21:00"), now, "2026-06-10T19:00:00Z");
    check(&["Pacific/Kiritimati"], ("08:00", "21:00"), now, "2026-06-10T18:00:00Z");
    // Samoa had no 30 December 2011.
    check(&[samoa], ("08:00", "21:00"), "2011-12-30T08:30:00Z", "2011-12-30T18:00:00Z");
    check(&["Asia/Kathmandu"], ("08:00", "21:00"), "2026-06-10T01:00:00Z", "2026-06-10T02:15:00Z");
}

#[test]
fn of_several_zones_all_must_allow_it() {
    let both = &["America/New_York", "America/Los_Angeles"];
    // 08:30 in New York is 05:30 in Los Angeles.
    check(both, ("08:00", "21:00"), "2026-07-01T12:30:00Z", "2026-07-01T15:00:00Z");
    let reading = in_zones(both, DAY, "2026-07-01T12:30:00Z");
    assert_eq!((reading.zone.as_str(), reading.hour, reading.minute), (both[1], 5, 30));
    // 21:00 in New York; the next moment for both is not New York's morning but the other's.
    check(both, ("08:00", "21:00"), "2026-07-02T01:00:00Z", "2026-07-02T15:00:00Z");
}

#[test]
fn zones_that_never_agree_have_no_next_moment() {
    let apart = &["Europe/Kaliningrad", "Asia/Kamchatka"];
    let reading = in_zones(apart, Window::hours(8, 12), "2026-07-01T12:00:00Z");
    assert!(!reading.allowed);
    assert_eq!(reading.next_allowed, None);
}

#[test]
fn the_longest_prefix_says_where_a_number_is() {
    let names = |phone: &str| -> Vec<String> {
        let zones = zones_of(phone);
        zones.iter().map(|zone| zone.iana_name().unwrap_or_default().to_owned()).collect()
    };
    for (phone, expected) in [
        ("+12125550123", &["America/New_York"][..]),
        ("+18085550123", &["Pacific/Honolulu"]),
        ("+15035550123", &["America/Los_Angeles"]),
        ("+17015550123", &["America/Chicago", "America/Denver"]),
        ("+12425550123", &["America/Nassau"]),
        ("+447911123456", &["Europe/London"]),
        ("+351211234567", &["Europe/Lisbon"]),
        ("+351912345678", &["Europe/Lisbon", "Atlantic/Azores"]),
        ("+77011234567", &["Asia/Almaty"]),
        ("+74951234567", &["Europe/Moscow"]),
        ("+5592987654321", &["America/Manaus"]),
        ("+6189162123", &["Indian/Cocos"]),
        ("+870773111632", &["UTC"]),
    ] {
        assert_eq!(names(phone), expected, "{phone}");
    }
    assert_eq!(names("+79161234567").len(), 11);
    assert_eq!(names("+15005550002").len(), 9);
}

#[test]
fn every_zone_of_the_table_is_known_and_every_calling_code_has_one() {
    for area in AREAS.values() {
        for name in &area.zones {
            assert!(zone(name).is_some(), "{name} is no time zone");
        }
    }
    // Numbers of no place: free phone, satellites, networks across borders.
    let nowhere: HashSet<u16> = [800, 808, 870, 878, 881, 882, 883, 888, 979].into();
    for region in phonenumber::metadata::DATABASE.iter() {
        let code = region.country_code();
        let kinds = region.descriptors();
        let mobile = kinds.mobile().or(kinds.fixed_line());
        let example = mobile.and_then(|kind| kind.example()).unwrap_or_default();
        let zones = zones_of(&format!("+{code}{example}"));
        let placed = zones[0].iana_name() != Some("UTC");
        assert_eq!(placed, !nowhere.contains(&code), "{} +{code}{example}", region.id());
        let country = country_of(&format!("+{code}{example}")).unwrap_or("001");
        let shared = SHARED.iter().any(|(one, other)| (*one, *other) == (region.id(), country));
        assert!(country == region.id() || shared, "{} is in {country}", region.id());
    }
}

#[test]
fn a_prefix_stands_once_in_the_table() {
    let mut seen = HashSet::new();
    let lines = include_str!("zones.txt").lines().filter(|line| !line.starts_with('#'));
    for prefix in lines.filter_map(|line| line.split_once(": ")).flat_map(|(_, p)| p.split(' ')) {
        assert!(seen.insert(prefix), "{prefix} twice");
        assert!((1..=PREFIX_MAX).contains(&prefix.len()), "{prefix}");
        assert!(prefix.bytes().all(|b| b.is_ascii_digit()), "{prefix}");
    }
    assert!(seen.len() > 500);
}

#[test]
fn countries_are_told_by_number() {
    for (phone, country) in [
        ("+12125550123", "US"),
        ("+16045550123", "CA"),
        ("+15005550002", "US"),
        ("+447400123456", "GB"),
        // Guernsey shares the United Kingdom's numbers.
        ("+447911123456", "GB"),
        ("+77011234567", "KZ"),
        ("+79161234567", "RU"),
        ("+905321234567", "TR"),
        ("+4915112345678", "DE"),
    ] {
        assert_eq!(country_of(phone), Some(country), "{phone}");
    }
    assert_eq!(country_of("+870773111632"), None);
    assert_eq!(country_of("nonsense"), None);
}

#[test]
fn a_number_is_read_as_it_is_dialled_in_its_country() {
    assert_eq!(e164("0151 12345678", "DE").as_deref(), Some("+4915112345678"));
    assert_eq!(e164("(415) 555-0123", "US").as_deref(), Some("+14155550123"));
    assert_eq!(e164("1 415 555 0123", "US").as_deref(), Some("+14155550123"));
    assert_eq!(e164("06 12 34 56 78", "FR").as_deref(), Some("+33612345678"));
    assert_eq!(e164("07400 123456", "GB").as_deref(), Some("+447400123456"));
    assert_eq!(e164("02 1234 5678", "IT").as_deref(), Some("+390212345678"));
    assert_eq!(e164("8 (916) 123-45-67", "RU").as_deref(), Some("+79161234567"));
    assert_eq!(e164("+4915112345678", "US").as_deref(), Some("+4915112345678"));
    for (phone, country) in [("12", "US"), ("4155550123", "ZZ"), ("", "US"), ("x", "")] {
        assert_eq!(e164(phone, country), None, "{phone} {country}");
    }
}

#[test]
fn times_of_day_are_read_strictly() {
    assert_eq!(Window::parse("08:00", "21:00"), Some(DAY));
    assert_eq!(DAY.start(), "08:00");
    assert_eq!(Window::parse("00:00", "24:00").map(|w| w.end()).as_deref(), Some("24:00"));
    for (start, end) in [
        ("8:00", "21:00"),
        ("08:60", "21:00"),
        ("25:00", "21:00"),
        ("08:00", "24:01"),
        ("08:00", "08:00"),
        ("00:00", "00:00"),
        ("", ""),
        ("+8:00", "21:00"),
        ("08:00:00", "21:00"),
    ] {
        assert_eq!(Window::parse(start, end), None, "{start} {end}");
    }
}

/// A small generator, so that a failure can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn no_minute_is_overlooked_and_none_is_allowed_that_is_not() {
    const NAMES: &[&str] = &[
        "America/New_York",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Europe/Berlin",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "Pacific/Kiritimati",
    ];
    // The weeks in which clocks are set, each given by a day before it.
    let weeks = ["2026-03-06T00:00:00Z", "2026-03-27T00:00:00Z", "2026-10-02T00:00:00Z"];
    let mut dice = Dice(7);
    for _ in 0..60 {
        let start = at(weeks[dice.roll(3) as usize]).micros() / 60_000_000;
        let mut minute = start + dice.roll(4 * 1440) as i64;
        let count = 1 + dice.roll(2) as usize;
        let zones: Vec<TimeZone> =
            (0..count).map(|_| zone(NAMES[dice.roll(7) as usize]).unwrap()).collect();
        let opens = dice.roll(1440) as u16;
        let window = Window { start: opens, end: (opens + 30 + dice.roll(900) as u16) % 1440 };
        let now = At(minute * 60_000_000);
        let found = read(&zones, window, now).next_allowed;
        let last = minute + HORIZON_DAYS * 1440;
        let suits = |minute: i64| {
            let moment = Timestamp::from_second(minute * 60).unwrap();
            zones.iter().all(|zone| allows(zone, window, moment))
        };
        while minute <= last && !suits(minute) {
            minute += 1;
        }
        let expected = (minute <= last).then_some(At(minute * 60_000_000));
        assert_eq!(found, expected, "{zones:?} {window:?} {now:?}");
    }
}
