//! What can be written as the value of a header, and why it may not.

use bytes::Bytes;
use thiserror::Error;

use crate::Uri;
use crate::header::Value;

/// A message that cannot be written: one of its values would be something else on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BuildError {
    /// A carriage return, line feed or null in a value.
    #[error("a value holds a line end or a null")]
    LineEnd,
    #[error("a header's name is no token")]
    Name,
    #[error("the Request-URI holds white space or is empty")]
    Uri,
}

/// A text for a header: a value that was read, a string, octets or a number.
pub trait Text {
    fn write_to(&self, out: &mut Vec<u8>);
}

impl<V: Value> Text for V {
    fn write_to(&self, out: &mut Vec<u8>) {
        self.write(out);
    }
}

impl Text for str {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Text for [u8] {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Text for Bytes {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Text for Uri {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Text for u64 {
    fn write_to(&self, out: &mut Vec<u8>) {
        write_number(*self, out);
    }
}

impl Text for u32 {
    fn write_to(&self, out: &mut Vec<u8>) {
        write_number(u64::from(*self), out);
    }
}

impl Text for u8 {
    fn write_to(&self, out: &mut Vec<u8>) {
        write_number(u64::from(*self), out);
    }
}

pub(crate) fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[start..].reverse();
}

/// Appends the text; it must hold nothing that ends a line.
pub(super) fn write_checked(
    value: &(impl Text + ?Sized),
    out: &mut Vec<u8>,
) -> Result<(), BuildError> {
    let start = out.len();
    value.write_to(out);
    match memchr::memchr3(b'\r', b'\n', 0, &out[start..]) {
        None => Ok(()),
        Some(_) => Err(BuildError::LineEnd),
    }
}

/// Appends `Name: value` and a line end.
pub(crate) fn write_line(
    name: &[u8],
    value: &(impl Text + ?Sized),
    out: &mut Vec<u8>,
) -> Result<(), BuildError> {
    if !crate::grammar::is_token(name) {
        return Err(BuildError::Name);
    }
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    write_checked(value, out)?;
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends a Request-URI; it must end where the version begins.
pub(super) fn write_uri(uri: &(impl Text + ?Sized), out: &mut Vec<u8>) -> Result<(), BuildError> {
    let start = out.len();
    write_checked(uri, out)?;
    let written = &out[start..];
    if written.is_empty() || memchr::memchr2(b' ', b'\t', written).is_some() {
        return Err(BuildError::Uri);
    }
    Ok(())
}
