//! A CSV file taken apart: which column is what, and each row as it was written.
//!
//! Pure. With a header the columns go by their names; without one they are address, scope, reason.
//! Commas or semicolons, with or without a byte order mark.

/// Rows of one file at most.
pub(super) const ROWS_MAX: usize = 100_000;

const ADDRESS: &[&str] =
    &["address", "phone", "phone_number", "number", "msisdn", "recipient", "email", "identifier"];
const SCOPE: &[&str] = &["scope", "channel"];
const REASON: &[&str] = &["reason"];

/// One row, not looked at yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileRow {
    /// Its line in the file, from 1.
    pub(super) line: u64,
    pub(super) address: String,
    pub(super) scope: String,
    pub(super) reason: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadFile {
    TooManyRows,
    Empty,
    Unreadable(String),
}

/// Where each thing stands.
struct Columns {
    address: usize,
    scope: Option<usize>,
    reason: Option<usize>,
}

pub(super) fn read(file: &[u8]) -> Result<Vec<FileRow>, BadFile> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let first_line = file.split(|octet| *octet == b'\n').next().unwrap_or_default();
    let semicolons = first_line.contains(&b';') && !first_line.contains(&b',');
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(if semicolons { b';' } else { b',' })
        .from_reader(file);
    let mut columns = None;
    let mut rows = Vec::new();
    let mut record = csv::ByteRecord::new();
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| BadFile::Unreadable(error.to_string()))?
    {
        if columns.is_none() {
            let header = header(&record);
            let is_header = header.is_some();
            columns = header.or(Some(Columns { address: 0, scope: Some(1), reason: Some(2) }));
            if is_header {
                continue;
            }
        }
        if record.iter().all(<[u8]>::is_empty) {
            continue;
        }
        if rows.len() >= ROWS_MAX {
            return Err(BadFile::TooManyRows);
        }
        let line = record.position().map_or(0, |start| line_of(file, start));
        if let Some(columns) = &columns {
            rows.push(row(&record, columns, line));
        }
    }
    if rows.is_empty() { Err(BadFile::Empty) } else { Ok(rows) }
}

/// The line on which a record begins: blank lines before it are counted to it by the reader.
fn line_of(file: &[u8], start: &csv::Position) -> u64 {
    let rest = file.get(usize::try_from(start.byte()).unwrap_or(0)..).unwrap_or_default();
    let blank = rest.iter().take_while(|octet| matches!(octet, b'\r' | b'\n'));
    start.line() + blank.filter(|octet| **octet == b'\n').count() as u64
}

fn header(record: &csv::ByteRecord) -> Option<Columns> {
    let names: Vec<String> =
        record.iter().map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
    let find = |known: &[&str]| names.iter().position(|name| known.contains(&name.as_str()));
    Some(Columns { address: find(ADDRESS)?, scope: find(SCOPE), reason: find(REASON) })
}

fn row(record: &csv::ByteRecord, columns: &Columns, line: u64) -> FileRow {
    let text = |at: Option<usize>| {
        let octets = at.and_then(|at| record.get(at)).unwrap_or_default();
        String::from_utf8_lossy(octets).into_owned()
    };
    FileRow {
        line,
        address: text(Some(columns.address)),
        scope: text(columns.scope),
        reason: text(columns.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: u64, address: &str, scope: &str, reason: &str) -> FileRow {
        let owned = str::to_owned;
        FileRow { line, address: owned(address), scope: owned(scope), reason: owned(reason) }
    }

    #[test]
    fn columns_go_by_their_names_or_by_their_order() {
        let named = read(b"reason,Phone\nbounced,+1\n\n,+2\n").unwrap();
        assert_eq!(named, [row(2, "+1", "", "bounced"), row(4, "+2", "", "")]);
        let plain = read("\u{feff}+1; sms ;\"a;b\"\r\n+2".as_bytes()).unwrap();
        assert_eq!(plain, [row(1, "+1", "sms", "a;b"), row(2, "+2", "", "")]);
    }

    #[test]
    fn a_file_without_rows_or_with_too_many_is_refused() {
        assert_eq!(read(b"").unwrap_err(), BadFile::Empty);
        assert_eq!(read(b"address\n\n").unwrap_err(), BadFile::Empty);
        let most = "+1\n".repeat(ROWS_MAX);
        assert_eq!(read(most.as_bytes()).unwrap().len(), ROWS_MAX);
        let more = most + "+1";
        assert_eq!(read(more.as_bytes()).unwrap_err(), BadFile::TooManyRows);
    }

    #[test]
    fn octets_that_are_no_text_do_not_end_the_file() {
        let rows = read(b"\xff\xfe,sms\n+2").unwrap();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].address.contains('\u{fffd}'));
    }
}
