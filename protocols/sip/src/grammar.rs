//! The rules of the text that all values share, RFC 3261 §25.1: tokens, quoted strings, lists.
//!
//! Every text here is one header's value without its folds, so white space is a space or a tab,
//! and a line end is nowhere. Nothing here allocates but for a quoted string that has escapes.

use std::borrow::Cow;

use thiserror::Error;

/// A value that does not read: which, what is wrong with it, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{what}: {why} at octet {at}")]
pub struct ValueError {
    pub what: &'static str,
    pub why: &'static str,
    pub at: usize,
}

/// A piece of a text, by its octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(crate) fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.range()).unwrap_or_default()
    }
}

/// Letters, digits and some more.
pub(crate) const fn table(extra: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 256 {
        table[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    let mut at = 0;
    while at < extra.len() {
        table[extra[at] as usize] = true;
        at += 1;
    }
    table
}

static TOKEN: [bool; 256] = table(b"-.!%*_+`'~");
static WORD: [bool; 256] = table(b"-.!%*_+`'~()<>:\\\"/[]?{}");

pub(crate) fn is_token_octet(octet: u8) -> bool {
    TOKEN[octet as usize]
}

pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|octet| is_token_octet(*octet))
}

/// A Call-ID: words with an `@` between them, if any.
pub(crate) fn is_call_id(text: &[u8]) -> bool {
    let is_word = |text: &[u8]| !text.is_empty() && text.iter().all(|o| WORD[*o as usize]);
    match memchr::memchr(b'@', text) {
        None => is_word(text),
        Some(at) => is_word(&text[..at]) && is_word(&text[at + 1..]),
    }
}

pub(crate) fn is_space(octet: u8) -> bool {
    octet == b' ' || octet == b'\t'
}

pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

/// Decimal digits and nothing else, saturating: a number too large is a large number.
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, octet| {
        octet
            .is_ascii_digit()
            .then(|| sum.saturating_mul(10).saturating_add(u64::from(octet - b'0')))
    })
}

/// A number that must fit.
pub(crate) fn number<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    digits(text).and_then(|number| T::try_from(number).ok())
}

/// What stands between quotes, without the escapes.
pub(crate) fn unquoted(text: &[u8]) -> Cow<'_, [u8]> {
    let [b'"', inner @ .., b'"'] = text else {
        return Cow::Borrowed(text);
    };
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut octets = inner.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'\\' => out.extend(octets.next()),
            octet => out.push(*octet),
        }
    }
    Cow::Owned(out)
}

/// Writes a text between quotes. Control characters, line ends among them, become spaces.
pub(crate) fn write_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for octet in text {
        match octet {
            b'"' | b'\\' => out.extend([b'\\', *octet]),
            0..=8 | 10..=31 | 127 => out.push(b' '),
            octet => out.push(*octet),
        }
    }
    out.push(b'"');
}

/// How far a list has been cut: at commas outside quotes and angle brackets, the white space
/// around an element left out. Empty elements are given too: who reads the list says whether they
/// are allowed.
#[derive(Default)]
pub(crate) struct Cuts {
    at: usize,
    done: bool,
}

impl Cuts {
    /// The next element of the same text.
    pub(crate) fn next(&mut self, text: &[u8]) -> Option<Span> {
        if self.done {
            return None;
        }
        let mut start = self.at;
        let mut at = start;
        let (mut quoted, mut angled) = (false, false);
        while let Some(octet) = text.get(at) {
            match octet {
                b'\\' if quoted => at += 1,
                b'"' if !angled => quoted = !quoted,
                b'<' if !quoted => angled = true,
                b'>' if !quoted => angled = false,
                b',' if !quoted && !angled => break,
                _ => {}
            }
            at += 1;
        }
        let mut end = at.min(text.len());
        self.done = end == text.len();
        self.at = end + usize::from(!self.done);
        while start < end && is_space(text[start]) {
            start += 1;
        }
        while end > start && is_space(text[end - 1]) {
            end -= 1;
        }
        Some(Span::new(start, end))
    }
}

/// Reads a text from left to right.
pub(crate) struct Cursor<'a> {
    what: &'static str,
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(what: &'static str, text: &'a [u8]) -> Self {
        Self { what, text, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn jump(&mut self, at: usize) {
        self.at = at;
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(crate) fn spaces(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// Takes the octet if it is next.
    pub(crate) fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    /// Takes octets while they are of a kind.
    pub(crate) fn while_(&mut self, kind: impl Fn(u8) -> bool) -> Span {
        let start = self.at;
        while self.peek().is_some_and(&kind) {
            self.at += 1;
        }
        Span::new(start, self.at)
    }

    pub(crate) fn token(&mut self, why: &'static str) -> Result<Span, ValueError> {
        let span = self.while_(is_token_octet);
        if span.start == span.end { Err(self.error(why)) } else { Ok(span) }
    }

    /// A quoted string with its quotes; the cursor stands on the first of them.
    pub(crate) fn quoted(&mut self) -> Result<Span, ValueError> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(self.error("a quote is not closed")),
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(0..=8 | 10..=31 | 127) => return Err(self.error("a control character")),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(Span::new(start, self.at))
    }

    /// Nothing but white space may be left.
    pub(crate) fn end(&mut self, why: &'static str) -> Result<(), ValueError> {
        self.spaces();
        if self.is_done() { Ok(()) } else { Err(self.error(why)) }
    }

    pub(crate) fn error(&self, why: &'static str) -> ValueError {
        ValueError { what: self.what, why, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<&str> {
        let mut cuts = Cuts::default();
        std::iter::from_fn(|| cuts.next(text.as_bytes()))
            .map(|span| std::str::from_utf8(span.of(text.as_bytes())).unwrap())
            .collect()
    }

    #[test]
    fn commas_in_quotes_and_brackets_do_not_cut() {
        assert_eq!(list(r#""a, \"b" <sip:a,b@c>;x=1 ,d"#), [r#""a, \"b" <sip:a,b@c>;x=1"#, "d"]);
        assert_eq!(list("a,, b,"), ["a", "", "b", ""]);
        assert_eq!(list(""), [""]);
        assert_eq!(list("\"open, never closed\\"), ["\"open, never closed\\"]);
    }

    #[test]
    fn quotes_come_off_and_go_on_again() {
        assert_eq!(&*unquoted(br#""say \"hi\" \\""#), br#"say "hi" \"#);
        let mut out = Vec::new();
        write_quoted(b"say \"hi\" \\\r\nVia: x", &mut out);
        assert_eq!(out, br#""say \"hi\" \\  Via: x""#);
    }

    #[test]
    fn numbers_are_digits_alone() {
        assert_eq!(digits(b"0068"), Some(68));
        assert_eq!(digits(b"99999999999999999999999"), Some(u64::MAX));
        for bad in [&b""[..], b"-1", b"+1", b" 1", b"1 ", b"0x1"] {
            assert_eq!(digits(bad), None);
        }
        assert_eq!(number::<u8>(b"256"), None);
    }

    #[test]
    fn a_call_id_is_words_around_one_at() {
        assert!(is_call_id(br#"intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{"#));
        for bad in [&b""[..], b"a@", b"@b", b"a@b@c", b"a b", b"a,b"] {
            assert!(!is_call_id(bad));
        }
    }
}
