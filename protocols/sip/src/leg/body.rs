//! The description in a message: its body, or the part of its body that is one.
//!
//! Carriers that tunnel ISUP, and callers with a location, put the description beside other parts
//! (RFC 2046 §5.1, RFC 5621). The first part of application/sdp is taken, others are passed over.

use bytes::Bytes;

use crate::header::{MediaType, Value};
use crate::sdp::Body;
use crate::{Message, Name, StatusCode};

/// Octets that a description may have.
const OCTETS_MAX: usize = 16_384;
/// Parts of one body that are looked at.
const PARTS_MAX: usize = 8;

/// The description of a message, or the status that refuses its body.
pub(super) fn of(message: &Message) -> Result<Option<Body>, StatusCode> {
    let body = message.body();
    if body.is_empty() {
        return Ok(None);
    }
    let kind = message.content_type().map_err(|_| StatusCode::BAD_REQUEST)?;
    let kind = kind.ok_or(StatusCode::BAD_REQUEST)?;
    if message.has(Name::ContentEncoding) && !message.has_token(Name::ContentEncoding, "identity") {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let found = if kind.is("application", "sdp") {
        body
    } else if kind.kind.eq_ignore_ascii_case(b"multipart") {
        let boundary = kind.boundary().ok_or(StatusCode::BAD_REQUEST)?;
        match part(body, &boundary) {
            Some(part) => part,
            None => return Ok(None),
        }
    } else {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    };
    if found.len() > OCTETS_MAX {
        return Err(StatusCode::REQUEST_ENTITY_TOO_LARGE);
    }
    Ok(Some(Body::copied(found)))
}

/// The description of a response or an ACK, which cannot be refused.
pub(super) fn offered(message: &Message) -> Option<Body> {
    of(message).ok().flatten()
}

/// The first part that is a description.
fn part<'a>(body: &'a [u8], boundary: &[u8]) -> Option<&'a [u8]> {
    let mut delimiter = b"--".to_vec();
    delimiter.extend_from_slice(boundary);
    let starts = memchr::memmem::find_iter(body, &delimiter)
        .filter(|at| *at == 0 || body[at - 1] == b'\n')
        .take(PARTS_MAX + 1);
    let starts: Vec<usize> = starts.collect();
    starts.windows(2).find_map(|pair| {
        let part = body.get(pair[0] + delimiter.len()..pair[1])?;
        let head = memchr::memmem::find(part, b"\r\n\r\n")?;
        let content = &part[head + 4..];
        let is_description = part[..head].split(|octet| *octet == b'\n').any(|line| {
            let Some(colon) = memchr::memchr(b':', line) else { return false };
            let kind = MediaType::parse(&Bytes::copy_from_slice(line[colon + 1..].trim_ascii()));
            Name::of(line[..colon].trim_ascii()) == Name::ContentType
                && kind.is_ok_and(|kind| kind.is("application", "sdp"))
        });
        is_description.then(|| content.strip_suffix(b"\r\n").unwrap_or(content))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn read(kind: &str, body: &str) -> Result<Option<String>, StatusCode> {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a>\r\nTo: <sip:b>\r\nCall-ID: c\r\n\
             CSeq: 1 INVITE\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let message = Message::parse(Bytes::from(text), &Limits::default()).unwrap();
        let text = |body: Body| String::from_utf8(body.as_bytes().to_vec()).unwrap();
        of(&message).map(|body| body.map(text))
    }

    #[test]
    fn a_description_may_be_the_body_or_a_part_of_it() {
        let sdp = Ok(Some("v=0\r\n".to_owned()));
        assert_eq!(read("Content-Type: Application/SDP\r\n", "v=0\r\n"), sdp);
        assert_eq!(read("", ""), Ok(None));
        let parts = "before\r\n--b\r\nContent-Type: application/isup\r\n\r\n\x01--b\r\n\
                     --b\r\nContent-Length: 5\r\nc: application/sdp\r\n\r\nv=0\r\n\r\n--b--\r\n";
        assert_eq!(read("Content-Type: multipart/mixed;boundary=\"b\"\r\n", parts), sdp);
        let none = "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n";
        assert_eq!(read("Content-Type: multipart/mixed;boundary=b\r\n", none), Ok(None));
    }

    #[test]
    fn other_bodies_are_refused() {
        assert_eq!(read("", "x"), Err(StatusCode::BAD_REQUEST));
        assert_eq!(
            read("Content-Type: text/plain\r\n", "x"),
            Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        );
        assert_eq!(read("Content-Type: multipart/mixed\r\n", "x"), Err(StatusCode::BAD_REQUEST));
        let packed = "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n";
        assert_eq!(read(packed, "x"), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        let long = "v".repeat(OCTETS_MAX + 1);
        let kind = "Content-Type: application/sdp\r\n";
        assert_eq!(read(kind, &long), Err(StatusCode::REQUEST_ENTITY_TOO_LARGE));
    }

    #[test]
    fn a_bomb_of_parts_is_looked_at_a_little() {
        let part = "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n";
        let sdp = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--\r\n";
        let kind = "Content-Type: multipart/mixed;boundary=b\r\n";
        assert_eq!(read(kind, &(part.repeat(1_000) + sdp)), Ok(None));
    }
}
