//! Which dialled addresses are emergency numbers: they are refused, since no call of ours reaches help.
//!
//! Pure, and asked wherever an address can be dialled: API, SIP, dial plan, routing of numbers. It reads
//! what a person would mean, whatever the form: digits with signs between them, `tel:`, `sip:`, `urn:`.
//! One leading `011`, `00`, `0` or `1` is taken off, again and again; what is then *equal* to a code is
//! an emergency number, so that `+19115551234` is none.

/// Emergency numbers of most of the world.
pub const CODES: &[&str] = &["911", "112", "999", "000"];
/// What may stand before one: an international or national prefix, or North America's calling code.
const PREFIXES: &[&str] = &["011", "00", "0", "1"];
/// Digits of a code that an operator adds.
pub const EXTRA_DIGITS: std::ops::RangeInclusive<usize> = 2..=8;
/// Where the digits of scripts begin that telephones are written in beside ASCII.
const ZEROS: &[u32] = &[0x30, 0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0xFF10];
/// Signs of an address that its redacted form keeps.
const SHOWN: usize = 5;

/// The codes that are blocked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emergency {
    extra: Vec<String>,
}

impl Emergency {
    /// The usual codes and these; what is no code ([`is_code`]) is left out.
    #[must_use]
    pub fn new(extra: &[String]) -> Self {
        Self { extra: extra.iter().filter(|code| is_code(code)).cloned().collect() }
    }

    /// Whether a call to this address must not be made.
    #[must_use]
    pub fn blocks(&self, dialled: &str) -> bool {
        match read(dialled) {
            Dialled::Service => true,
            Dialled::Number(digits) => self.means(&digits),
            Dialled::Name => false,
        }
    }

    fn means(&self, digits: &str) -> bool {
        let mut reached = vec![false; digits.len() + 1];
        reached[0] = true;
        for at in 0..digits.len() {
            if !reached[at] {
                continue;
            }
            let rest = &digits[at..];
            if CODES.contains(&rest) || self.extra.iter().any(|code| code == rest) {
                return true;
            }
            for prefix in PREFIXES.iter().filter(|prefix| rest.starts_with(**prefix)) {
                reached[at + prefix.len()] = true;
            }
        }
        false
    }
}

/// Whether an operator may add it.
#[must_use]
pub fn is_code(text: &str) -> bool {
    EXTRA_DIGITS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// The address as an audit may keep it: `+1911****`.
#[must_use]
pub fn redacted(dialled: &str) -> String {
    let kept = match read(dialled) {
        Dialled::Number(digits) if user_of(dialled).trim_start().starts_with('+') => {
            format!("+{digits}")
        }
        Dialled::Number(digits) => digits,
        Dialled::Service | Dialled::Name => dialled.trim().to_owned(),
    };
    let mut shown: String = kept.chars().take(SHOWN).collect();
    shown.push_str("****");
    shown
}

enum Dialled {
    /// Its digits.
    Number(String),
    /// `urn:service:sos` and those below it (RFC 5031 §4.2).
    Service,
    /// Nothing that a telephone dials.
    Name,
}

fn read(dialled: &str) -> Dialled {
    let address = bare(dialled);
    if let Some(service) = after_scheme(address, "urn:service:") {
        let name = service.split(['@', ';', '?']).next().unwrap_or_default();
        let sos = name.eq_ignore_ascii_case("sos")
            || name.get(..4).is_some_and(|begins| begins.eq_ignore_ascii_case("sos."));
        return if sos { Dialled::Service } else { Dialled::Name };
    }
    let mut digits = String::new();
    for sign in unescaped(user_of(dialled)).chars() {
        match digit(sign) {
            Some(digit) => digits.push(digit),
            None if is_dialled_with(sign) => {}
            None => return Dialled::Name,
        }
    }
    if digits.is_empty() { Dialled::Name } else { Dialled::Number(digits) }
}

/// Without what stands around it: a display name, angle brackets.
fn bare(dialled: &str) -> &str {
    let inner = dialled.rsplit_once('<').map_or(dialled, |(_, inner)| inner);
    inner.split('>').next().unwrap_or_default().trim()
}

/// The part that says who is called: before `@`, without a password and parameters. A `sip:` address
/// without `@` is a host, and a host can be three digits too.
fn user_of(dialled: &str) -> &str {
    let address = bare(dialled);
    let schemes = ["sips:", "sip:", "tel:"];
    let address = schemes.iter().find_map(|s| after_scheme(address, s)).unwrap_or(address);
    let user = address.split('@').next().unwrap_or_default();
    user.split([';', ':', '?', ',']).next().unwrap_or_default()
}

fn after_scheme<'a>(address: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = address.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// `%39` is `9` (RFC 3261 §25.1); what is no escape stays.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('%') {
        out.push_str(plain);
        let octet = escaped.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match octet.filter(u8::is_ascii) {
            Some(octet) => {
                out.push(char::from(octet));
                rest = &escaped[2..];
            }
            None => {
                out.push('%');
                rest = escaped;
            }
        }
    }
    out.push_str(rest);
    out
}

fn digit(sign: char) -> Option<char> {
    let value =
        ZEROS.iter().find_map(|zero| u32::from(sign).checked_sub(*zero).filter(|d| *d < 10));
    value.and_then(|value| char::from_digit(value, 10))
}

/// Signs that people write between digits, and keys that stand around them.
fn is_dialled_with(sign: char) -> bool {
    matches!(sign, '+' | '-' | '.' | '(' | ')' | '[' | ']' | '/' | '*' | '#' | '_')
        || sign.is_whitespace()
        // Dashes, hyphens, and signs without a width.
        || matches!(sign, '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0b}' | '\u{ff0d}')
        || matches!(sign, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests;
