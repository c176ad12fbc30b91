//! `scheduled_at`, `timezone` and `validity_seconds`: when a message goes, and for how long it is
//! tried.

use std::time::Duration;

use model::clock::At;
use model::refusal::Code;
use model::zone::Zone;
use serde_json::json;

use super::super::body::wrong;
use super::super::error::Fault;
use crate::settings::Schedules;

/// What `validity_seconds` may be.
pub(crate) const VALIDITY: std::ops::RangeInclusive<i64> = 60..=172_800;

/// A text that is in each recipient's own time.
const RECIPIENT: &str = "recipient";

/// What a request says about its time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct When<'a> {
    pub(crate) scheduled_at: Option<&'a str>,
    pub(crate) timezone: Option<&'a str>,
}

impl When<'_> {
    /// The moment meant, for one recipient; `None`: at once.
    pub(crate) fn moment(&self, to: &str, rules: &Schedules, now: At) -> Result<Option<At>, Fault> {
        let Some(text) = self.scheduled_at else { return Ok(None) };
        let moment = self.read(text, to)?;
        let earliest = now.plus(Duration::from_secs(rules.lead_min_s));
        let latest = now.plus(Duration::from_secs(rules.ahead_max_days * 86_400));
        if moment < earliest || moment > latest {
            let (least, most) = (rules.lead_min_s, rules.ahead_max_days);
            let expected = format!("{least} seconds to {most} days from now");
            return Err(
                fault("scheduled_at", text, "the time is too near or too far").expected(expected)
            );
        }
        Ok(Some(moment))
    }

    /// The same of a request for many, as far as it is the same for all.
    pub(crate) fn check_for_all(&self, rules: &Schedules, now: At) -> Result<(), Fault> {
        if self.timezone == Some(RECIPIENT) {
            return Ok(());
        }
        self.moment("", rules, now).map(|_| ())
    }

    fn read(&self, text: &str, to: &str) -> Result<At, Fault> {
        // A text with an offset says it all.
        if let Some(moment) = At::parse(text) {
            return Ok(moment);
        }
        let name = self.timezone.ok_or_else(|| {
            let message = "the time has no offset, and no timezone is given";
            fault("scheduled_at", text, message).expected("ISO 8601 with Z or an offset")
        })?;
        let zone = match name {
            RECIPIENT => Zone::of_number(to).ok_or_else(|| {
                let message = "the recipient's number does not tell its time zone";
                fault("timezone", name, message).expected("the name of a zone for this recipient")
            })?,
            _ => Zone::named(name).ok_or_else(|| {
                let message = "there is no such time zone";
                fault("timezone", name, message).expected("an IANA name, as in Europe/Paris")
            })?,
        };
        zone.moment(text).ok_or_else(|| {
            fault("scheduled_at", text, "the time cannot be read").expected("ISO 8601")
        })
    }
}

fn fault(field: &'static str, value: &str, message: &'static str) -> Fault {
    Fault::new(Code::InvalidSchedule, message).field(field).value(json!(value))
}

/// The validity asked for, in bounds.
pub(crate) fn validity(seconds: Option<i64>) -> Result<Option<u32>, Fault> {
    let Some(seconds) = seconds else { return Ok(None) };
    match u32::try_from(seconds).ok().filter(|_| VALIDITY.contains(&seconds)) {
        Some(seconds) => Ok(Some(seconds)),
        None => {
            let expected = format!("{} to {}", VALIDITY.start(), VALIDITY.end());
            Err(wrong("validity_seconds", json!(seconds)).expected(expected))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Schedules =
        Schedules { lead_min_s: 60, ahead_max_days: 35, tick_ms: 200, page: 1_000 };

    fn moment(scheduled_at: &str, timezone: Option<&str>) -> Result<String, Fault> {
        let now = At::parse("2026-03-01T12:00:00Z").unwrap();
        let when = When { scheduled_at: Some(scheduled_at), timezone };
        when.moment("+33612345678", &RULES, now).map(|at| at.unwrap().iso())
    }

    #[test]
    fn an_offset_says_the_moment_and_a_zone_helps_a_text_without_one() {
        let utc = "2026-03-02T10:00:00.000Z";
        assert_eq!(moment("2026-03-02T10:00:00Z", None).unwrap(), utc);
        assert_eq!(moment("2026-03-02T12:00:00+02:00", Some("Asia/Tokyo")).unwrap(), utc);
        assert_eq!(moment("2026-03-02T19:00:00", Some("Asia/Tokyo")).unwrap(), utc);
        assert_eq!(moment("2026-03-02T11:00", Some("recipient")).unwrap(), utc);
        for (text, zone) in [
            ("2026-03-02T10:00:00", None),
            ("tomorrow", Some("Asia/Tokyo")),
            ("2026-03-02T10:00:00", Some("Mars/Olympus")),
            ("2026-02-30T10:00:00", Some("Asia/Tokyo")),
        ] {
            assert_eq!(moment(text, zone).unwrap_err().code, Code::InvalidSchedule, "{text}");
        }
    }

    #[test]
    fn a_moment_lies_a_minute_to_35_days_ahead() {
        for good in ["2026-03-01T12:01:00Z", "2026-04-05T12:00:00Z"] {
            assert!(moment(good, None).is_ok(), "{good}");
        }
        for bad in ["2026-03-01T12:00:59Z", "2026-04-05T12:00:01Z", "2020-01-01T00:00:00Z"] {
            let fault = moment(bad, None).unwrap_err();
            assert_eq!(fault.field.as_deref(), Some("scheduled_at"), "{bad}");
        }
        assert!(When::default().moment("+1", &RULES, At(0)).unwrap().is_none());
    }

    #[test]
    fn a_validity_is_a_minute_to_two_days() {
        assert_eq!(validity(Some(60)).unwrap(), Some(60));
        assert_eq!(validity(Some(172_800)).unwrap(), Some(172_800));
        for bad in [59, 172_801, -1, i64::MAX] {
            assert_eq!(validity(Some(bad)).unwrap_err().code, Code::ValidationError);
        }
    }
}
