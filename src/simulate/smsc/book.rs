//! What the SMSC remembers of submits: who came twice, and the log of all.
//!
//! A submit is known by its destination, text and part; the reference of a long message is
//! left out, because a switch that sends it again after a crash may choose another. The log
//! is buffered and holds, separated by tabs, either
//! `S ms source destination reference/total.number prefix hash status id duplicate` or
//! `A ms sequence status`.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::ids::mix;
use super::wire::Submit;

/// Beyond this many submits duplicates are no longer looked for.
const SEEN_MAX: usize = 30_000_000;
const PREFIX_MAX: usize = 64;
const UCS2: u8 = 8;

/// The keys are hashes already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        self.0 = hash(self.0, octets);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

pub(crate) struct Book {
    seen: HashSet<u64, BuildHasherDefault<Identity>>,
    log: Option<BufWriter<File>>,
}

impl Book {
    pub(crate) fn new(log: Option<&Path>) -> std::io::Result<Self> {
        let open = |path: &Path| File::options().create(true).append(true).open(path);
        let file = log.map(open).transpose()?;
        Ok(Self {
            seen: HashSet::default(),
            log: file.map(|file| BufWriter::with_capacity(64 * 1024, file)),
        })
    }

    /// True when the same part of the same message has been here.
    pub(crate) fn is_repeated(&mut self, submit: &Submit<'_>) -> bool {
        let key = fingerprint(submit);
        self.seen.len() < SEEN_MAX && !self.seen.insert(key)
    }

    pub(crate) fn log_submit(
        &mut self,
        submit: &Submit<'_>,
        status: u32,
        id: &[u8],
        repeated: bool,
    ) -> std::io::Result<()> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        write!(log, "S\t{}\t", now_ms())?;
        write_visible(log, submit.source.digits, submit.source.digits.len())?;
        log.write_all(b"\t")?;
        write_visible(log, submit.destination.digits, submit.destination.digits.len())?;
        let part = submit.part;
        write!(log, "\t{}/{}.{}\t", part.reference, part.total, part.number)?;
        write_prefix(log, submit)?;
        write!(log, "\t{:016x}\t{status:#x}\t", fingerprint(submit))?;
        log.write_all(id)?;
        writeln!(log, "\t{}", u8::from(repeated))
    }

    pub(crate) fn log_acked(&mut self, sequence: u32, status: u32) -> std::io::Result<()> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        writeln!(log, "A\t{}\t{sequence}\t{status:#x}", now_ms())
    }

    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        self.log.as_mut().map_or(Ok(()), Write::flush)
    }
}

fn fingerprint(submit: &Submit<'_>) -> u64 {
    let part = [submit.part.total, submit.part.number];
    let seed = hash(u64::from_be_bytes([0, 0, 0, 0, 0, 0, part[0], part[1]]), submit.text);
    hash(seed, submit.destination.digits)
}

/// Eight octets a step; the length goes in, so that paddings differ.
fn hash(seed: u64, octets: &[u8]) -> u64 {
    let mut state = mix(seed ^ octets.len() as u64);
    for chunk in octets.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = mix(state ^ u64::from_le_bytes(word));
    }
    state
}

/// The first word of the text: the load generator puts its token there.
fn write_prefix(log: &mut impl Write, submit: &Submit<'_>) -> std::io::Result<()> {
    if submit.data_coding != UCS2 {
        let end = submit.text.iter().position(|&octet| octet <= b' ');
        let end = end.unwrap_or(submit.text.len());
        return write_visible(log, submit.text, end);
    }
    let mut narrow = [0; PREFIX_MAX];
    let mut length = 0;
    for unit in submit.text.chunks_exact(2).take(PREFIX_MAX) {
        if unit[0] == 0 && unit[1] <= b' ' {
            break;
        }
        narrow[length] = if unit[0] == 0 { unit[1] } else { b'?' };
        length += 1;
    }
    write_visible(log, &narrow, length)
}

fn write_visible(log: &mut impl Write, octets: &[u8], end: usize) -> std::io::Result<()> {
    let octets = &octets[..end.min(PREFIX_MAX)];
    if octets.iter().all(u8::is_ascii_graphic) {
        return log.write_all(octets);
    }
    for &octet in octets {
        let shown = if octet.is_ascii_graphic() { octet } else { b'?' };
        log.write_all(&[shown])?;
    }
    Ok(())
}

fn now_ms() -> u128 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |time| time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Address, Part};
    use super::*;

    fn submit(destination: &'static [u8], text: &'static [u8], number: u8) -> Submit<'static> {
        let address = |digits| Address { ton: 1, npi: 1, digits };
        Submit {
            source: address(b"Orbit"),
            destination: address(destination),
            registered_delivery: 1,
            data_coding: 0,
            text,
            part: Part { reference: 1, total: 2, number },
        }
    }

    #[test]
    fn a_submit_repeats_by_destination_text_and_part() {
        let mut book = Book::new(None).expect("no file");
        assert!(!book.is_repeated(&submit(b"1", b"a", 1)));
        assert!(!book.is_repeated(&submit(b"1", b"a", 2)));
        assert!(!book.is_repeated(&submit(b"2", b"a", 1)));
        assert!(!book.is_repeated(&submit(b"1", b"b", 1)));
        let mut again = submit(b"1", b"a", 1);
        again.part.reference = 77;
        assert!(book.is_repeated(&again));
    }

    #[test]
    fn the_prefix_ends_at_the_first_blank_in_both_alphabets() {
        let mut out = Vec::new();
        write_prefix(&mut out, &submit(b"1", b"t1-2 hello", 1)).expect("vector");
        let mut wide = submit(b"1", b"\0t\x001\0-\x003\0 \0x", 1);
        wide.data_coding = UCS2;
        out.push(b'|');
        write_prefix(&mut out, &wide).expect("vector");
        assert_eq!(out, b"t1-2|t1-3");
    }
}
