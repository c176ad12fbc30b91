//! The text of a receipt: `id:… sub:… dlvrd:… submit date:… done date:… stat:… err:… text:…`.
//!
//! A key counts at the start or after a separator, in any case; its value runs to the next key, and
//! of that the first word is taken. So an empty `err:` does not swallow `text:`, and what stands
//! after `text:` is never read as a key: it is the customer's.

use super::{Receipt, Stamp, State};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Id,
    Sub,
    Dlvrd,
    SubmitDate,
    DoneDate,
    Stat,
    Err,
    Text,
}

/// The longer before the shorter where one begins the other.
const KEYS: [(&str, Key); 19] = [
    ("id:", Key::Id),
    ("msgid:", Key::Id),
    ("message id:", Key::Id),
    ("sub:", Key::Sub),
    ("dlvrd:", Key::Dlvrd),
    ("dlvd:", Key::Dlvrd),
    ("submit date:", Key::SubmitDate),
    ("submit_date:", Key::SubmitDate),
    ("submitdate:", Key::SubmitDate),
    ("done date:", Key::DoneDate),
    ("done_date:", Key::DoneDate),
    ("donedate:", Key::DoneDate),
    ("stat:", Key::Stat),
    ("state:", Key::Stat),
    ("status:", Key::Stat),
    ("err:", Key::Err),
    ("error:", Key::Err),
    ("text:", Key::Text),
    ("txt:", Key::Text),
];

/// Longer texts are no receipts; this bounds the work on a payload of 64 KiB.
const LONGEST: usize = 2048;

/// Reads the keys; `None` when there is neither an id nor a state.
pub(super) fn read(text: &str) -> Option<Receipt> {
    let found = find(text);
    let mut receipt = Receipt::default();
    for (at, &(key, start, _)) in found.iter().enumerate() {
        let end = found.get(at + 1).map_or(text.len(), |&(_, _, next)| next);
        let value = text.get(start..end).unwrap_or_default();
        let first = value.trim_matches(separator).split(separator).next().unwrap_or_default();
        let word = (!first.is_empty()).then_some(first);
        match key {
            Key::Id => keep(&mut receipt.message_id, word.map(octets)),
            Key::Sub => keep(&mut receipt.submitted, word.and_then(|w| w.parse().ok())),
            Key::Dlvrd => keep(&mut receipt.delivered, word.and_then(|w| w.parse().ok())),
            Key::SubmitDate => keep(&mut receipt.submit_date, Stamp::parse(value)),
            Key::DoneDate => keep(&mut receipt.done_date, Stamp::parse(value)),
            Key::Stat => keep(&mut receipt.stat, word.map(str::to_owned)),
            Key::Err => keep(&mut receipt.error, word.map(str::to_owned)),
            Key::Text => keep(&mut receipt.text, Some(value.trim_end_matches('\0').to_owned())),
        }
    }
    receipt.state = receipt.stat.as_deref().and_then(State::of_word);
    (receipt.message_id.is_some() || receipt.stat.is_some()).then_some(receipt)
}

/// Reads a private form without keys, such as `1234,DELIVRD,000,…`: of the comma-separated fields
/// the first state word is the state, and the first field with a digit before any other is the id.
pub(super) fn read_positions(text: &str) -> Receipt {
    let text = text.get(..LONGEST).unwrap_or(text);
    let fields: Vec<&str> =
        text.split([',', ';', '|']).map(|f| f.trim_matches(separator)).collect();
    let is_word = |f: &&&str| f.starts_with(|c: char| c.is_ascii_alphabetic());
    let stat = fields.iter().filter(is_word).find(|f| State::of_word(f).is_some());
    let (Some(stat), true) = (stat, fields.len() >= 2) else {
        return Receipt::default();
    };
    let id = fields.iter().find(|f| *f != stat && f.bytes().any(|b| b.is_ascii_digit()));
    Receipt {
        message_id: id.map(|id| octets(id)),
        state: State::of_word(stat),
        stat: Some((*stat).to_owned()),
        ..Receipt::default()
    }
}

/// Whether a text without any other sign reads like a receipt: it begins with the id, and tells a
/// state and one field more.
pub(super) fn looks_like_one(text: &str) -> bool {
    let found = find(text);
    let has = |wanted: Key| found.iter().any(|&(key, _, _)| key == wanted);
    let first = found.first().is_some_and(|&(key, _, at)| key == Key::Id && at <= 2);
    let more = [Key::Sub, Key::Dlvrd, Key::SubmitDate, Key::DoneDate, Key::Err];
    first && has(Key::Stat) && more.into_iter().any(has)
}

/// The keys before the customer's text: which, where the value starts, where the key starts.
fn find(text: &str) -> Vec<(Key, usize, usize)> {
    let bytes = text.as_bytes();
    let mut found = Vec::with_capacity(8);
    let mut at = 0;
    // At the start, after a separator, and right after a key: `id:sub:1`.
    let mut may_begin = true;
    while at < bytes.len().min(LONGEST) {
        let here = if may_begin { key_at(&bytes[at..]) } else { None };
        let Some((name, key)) = here else {
            may_begin = separator(char::from(bytes[at]));
            at += 1;
            continue;
        };
        found.push((key, at + name.len(), at));
        at += name.len();
        may_begin = true;
        if key == Key::Text {
            break;
        }
    }
    found
}

fn key_at(bytes: &[u8]) -> Option<(&'static str, Key)> {
    let first = bytes.first()?.to_ascii_lowercase();
    if !matches!(first, b'i' | b'm' | b's' | b'd' | b'e' | b't') {
        return None;
    }
    let begins = |name: &str| {
        name.as_bytes()[0] == first
            && bytes.get(..name.len()).is_some_and(|b| b.eq_ignore_ascii_case(name.as_bytes()))
    };
    KEYS.iter().find(|(name, _)| begins(name)).copied()
}

fn separator(c: char) -> bool {
    c.is_ascii_whitespace() || matches!(c, '\0' | ',' | ';' | '|' | '"')
}

/// The first value of a key counts.
fn keep<T>(place: &mut Option<T>, value: Option<T>) {
    if place.is_none() {
        *place = value;
    }
}

/// Text read as Latin-1 back to its octets; other characters as UTF-8.
fn octets(text: &str) -> Vec<u8> {
    let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    latin.unwrap_or_else(|| text.as_bytes().to_vec())
}
