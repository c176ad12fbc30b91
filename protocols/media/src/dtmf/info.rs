//! Digits in the body of a SIP INFO: `application/dtmf-relay` and `application/dtmf`.
//!
//! Neither has a standard. Readers take what peers send: any case, spaces around the equals sign,
//! `Signal=10` and `11` for star and pound, `hf` for the flash, a duration that is missing. Writers
//! keep to the commonest form.

use std::time::Duration;

use super::Digit;

/// What `Content-Type` says, without parameters.
pub const RELAY: &str = "application/dtmf-relay";
pub const PLAIN: &str = "application/dtmf";
/// Octets of a body that are read.
const BODY_MAX: usize = 256;
/// What a press lasts when nothing is said.
const DURATION: Duration = Duration::from_millis(160);
const DURATION_MAX_MS: u64 = 8_000;

/// A press as an INFO tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Press {
    pub digit: Digit,
    pub duration: Duration,
}

/// Reads a body by its type; `None` for another type, too long a body, or what is no digit.
pub fn parse(content_type: &str, body: &[u8]) -> Option<Press> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let text = std::str::from_utf8(body).ok().filter(|text| text.len() <= BODY_MAX)?;
    if essence.eq_ignore_ascii_case(RELAY) {
        parse_relay(text)
    } else if essence.eq_ignore_ascii_case(PLAIN) {
        // Some put the relay's lines under the plain type.
        digit(text.trim())
            .map(|digit| Press { digit, duration: DURATION })
            .or_else(|| parse_relay(text))
    } else {
        None
    }
}

fn parse_relay(text: &str) -> Option<Press> {
    let mut found = None;
    let mut duration = DURATION;
    for line in text.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        if key.eq_ignore_ascii_case("signal") && found.is_none() {
            found = Some(digit(value)?);
        } else if key.eq_ignore_ascii_case("duration")
            && let Ok(millis) = value.parse::<u64>()
        {
            duration = Duration::from_millis(millis.min(DURATION_MAX_MS));
        }
    }
    found.map(|digit| Press { digit, duration })
}

fn digit(text: &str) -> Option<Digit> {
    let mut signs = text.chars();
    match (signs.next(), signs.next()) {
        (Some(sign), None) => Digit::of_char(sign),
        _ if ["hf", "flash"].iter().any(|name| text.eq_ignore_ascii_case(name)) => {
            Some(Digit::FLASH)
        }
        // A code of two digits, and nothing like `+5`.
        _ if text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_digit()) => {
            text.parse().ok().filter(|event| *event >= 10).and_then(Digit::of_event)
        }
        _ => None,
    }
}

/// The body of `application/dtmf-relay`.
pub fn relay_body(press: Press) -> String {
    let millis = press.duration.as_millis().min(u128::from(DURATION_MAX_MS));
    match press.digit {
        Digit::FLASH => format!("Signal=hf\r\nDuration={millis}\r\n"),
        digit => format!("Signal={}\r\nDuration={millis}\r\n", digit.as_char()),
    }
}

/// The body of `application/dtmf`.
pub fn plain_body(digit: Digit) -> String {
    match digit {
        Digit::FLASH => "16".to_owned(),
        digit => digit.as_char().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(content_type: &str, body: &str) -> Option<(char, u128)> {
        let press = parse(content_type, body.as_bytes())?;
        Some((press.digit.as_char(), press.duration.as_millis()))
    }

    #[test]
    fn the_bodies_that_peers_send_are_read() {
        for (body, expected) in [
            ("Signal=5\r\nDuration=160\r\n", ('5', 160)),
            ("Signal= 1\nDuration= 250", ('1', 250)),
            ("signal=*", ('*', 160)),
            ("Duration=100\r\nSignal = #\r\n", ('#', 100)),
            ("Signal=11\r\nDuration=x", ('#', 160)),
            ("Signal=d\r\nDuration=999999999", ('D', 8_000)),
            ("Signal=hf", ('!', 160)),
            ("Signal=16", ('!', 160)),
        ] {
            assert_eq!(read(RELAY, body), Some(expected), "{body:?}");
            assert_eq!(read(PLAIN, body), Some(expected), "{body:?}");
        }
        assert_eq!(read("Application/DTMF; charset=utf-8", "7\r\n"), Some(('7', 160)));
        assert_eq!(read(PLAIN, "10"), Some(('*', 160)));
    }

    #[test]
    fn what_is_no_digit_is_not_read() {
        for body in
            ["", "Signal=", "Signal=x", "Signal=+5", "Signal=05", "Signal=17", "Duration=5", "123"]
        {
            assert_eq!(read(RELAY, body), None, "{body:?}");
        }
        assert_eq!(read("text/plain", "5"), None);
        assert_eq!(read(PLAIN, &format!("5{}", " ".repeat(300))), None);
        assert_eq!(parse(PLAIN, &[0xFF]), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(event in 0u8..17, millis in 0u64..8_000) {
            let digit = Digit::of_event(event).unwrap();
            let press = Press { digit, duration: Duration::from_millis(millis) };
            prop_assert_eq!(parse(RELAY, relay_body(press).as_bytes()), Some(press));
            prop_assert_eq!(parse(PLAIN, plain_body(digit).as_bytes()).unwrap().digit, digit);
        }

        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (parse(RELAY, &body), parse(PLAIN, &body));
        }
    }
}
