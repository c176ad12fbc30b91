//! A table by prefix of a number's digits: the longest prefix wins, then the latest start.
//!
//! Read from CSV whose first column is the prefix, an empty one for all numbers; the first bad line
//! refuses the whole table.

use std::collections::HashMap;

use csv::StringRecord;
use thiserror::Error;

use crate::clock::At;

/// When a row of the table holds: from its first moment on, and before its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: At,
    pub(crate) to: Option<At>,
}

/// Values by prefix.
#[derive(Clone, Debug)]
pub(crate) struct Prefixes<T> {
    by_prefix: HashMap<String, Vec<(Span, T)>>,
    longest: usize,
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self { by_prefix: HashMap::new(), longest: 0 }
    }
}

/// A line of the table that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line}: {fault}")]
pub struct BadRate {
    pub line: u64,
    pub fault: &'static str,
}

impl<T> Prefixes<T> {
    /// Reads a table; `row` makes a value of a record, or says what is wrong with it.
    pub(crate) fn read(
        text: &str,
        header: &'static str,
        mut row: impl FnMut(&StringRecord) -> Result<(Span, T), &'static str>,
    ) -> Result<Self, BadRate> {
        let mut table = Self::default();
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(text.as_bytes());
        let found = reader.headers().map_err(|_| BadRate { line: 1, fault: "no header" })?;
        if !found.iter().eq(header.split(',')) {
            return Err(BadRate { line: 1, fault: "the header is not that of this table" });
        }
        let mut record = StringRecord::new();
        loop {
            let line = reader.position().line();
            let bad = |fault| BadRate { line, fault };
            let more = reader.read_record(&mut record);
            if !more.map_err(|_| bad("not as many fields as the header has"))? {
                return Ok(table);
            }
            let prefix = &record[0];
            if prefix.len() > 15 || !prefix.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad("the prefix is not digits"));
            }
            let (span, value) = row(&record).map_err(bad)?;
            table.add(prefix, span, value);
        }
    }

    fn add(&mut self, prefix: &str, span: Span, value: T) {
        self.longest = self.longest.max(prefix.len());
        let rows = self.by_prefix.entry(prefix.to_owned()).or_default();
        rows.push((span, value));
        rows.sort_by_key(|(span, _)| std::cmp::Reverse(span.from));
    }

    /// What holds for a number's digits (no `+`) at a moment, and how many of them decided it.
    pub(crate) fn find(
        &self,
        digits: &str,
        now: At,
        fits: impl Fn(&T) -> bool,
    ) -> Option<(usize, &T)> {
        let longest = self.longest.min(digits.len());
        (0..=longest).rev().find_map(|length| {
            let rows = self.by_prefix.get(digits.get(..length)?)?;
            let holds = |(span, value): &&(Span, T)| {
                span.from <= now && span.to.is_none_or(|to| now < to) && fits(value)
            };
            rows.iter().find(holds).map(|(_, value)| (length, value))
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }
}

/// A day or a moment; an empty field is none.
pub(crate) fn moment(text: &str) -> Result<Option<At>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = || At::parse(&format!("{text}T00:00:00Z"));
    At::parse(text).or_else(day).map(Some).ok_or("a time is not an ISO 8601 date or time")
}

/// A whole number within bounds.
pub(crate) fn number(text: &str, most: i64, fault: &'static str) -> Result<i64, &'static str> {
    text.parse::<i64>().ok().filter(|number| (0..=most).contains(number)).ok_or(fault)
}
