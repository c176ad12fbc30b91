//! URIs: `sip:` and `sips:` in parts, `tel:` and `urn:` known, all others kept as they are.
//! RFC 3261 §19.1, RFC 3966, RFC 5954 for addresses of IPv6.

mod compare;
mod host;

use std::fmt;

use bytes::Bytes;

pub use host::Host;
pub(crate) use host::host_port;

use crate::grammar::{self, Cursor, Span, ValueError};
use crate::header::Transport;

/// What a URI begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    Urn,
    Other,
}

/// A URI: its text, and where its parts stand in it.
#[derive(Clone)]
pub struct Uri {
    text: Bytes,
    scheme: Scheme,
    /// For `sip:` what is before the `@`; for others all behind the scheme, up to parameters.
    user: Option<Span>,
    password: Option<Span>,
    host: Option<Host>,
    port: Option<u16>,
    /// From the first semicolon on.
    params: Span,
    /// Behind the question mark.
    headers: Span,
}

impl Uri {
    /// Reads a text that is nothing but a URI.
    pub fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new("URI", text);
        let scheme = cursor.while_(|o| o.is_ascii_alphanumeric() || b"+-.".contains(&o));
        let name = scheme.of(text);
        let lettered = name.first().is_some_and(u8::is_ascii_alphabetic);
        if !lettered || !cursor.eat(b':') {
            return Err(cursor.error("no scheme"));
        }
        if let Some(at) = text.iter().position(|octet| !ANYWHERE[*octet as usize]) {
            cursor.jump(at);
            return Err(cursor.error("an octet that no URI has"));
        }
        let scheme = scheme_of(name);
        match scheme {
            Scheme::Sip | Scheme::Sips => Self::sip(cursor, text, scheme),
            Scheme::Tel => Self::tel(cursor, text),
            Scheme::Urn | Scheme::Other => Ok(Self::opaque(cursor.at(), text, scheme)),
        }
    }

    /// `sip:user@host:port` of parts that are our own; the user is escaped as needed.
    pub fn sip_of(user: Option<&str>, host: &Host, port: Option<u16>) -> Self {
        let mut out = b"sip:".to_vec();
        if let Some(user) = user {
            escape(user.as_bytes(), &mut out);
            out.push(b'@');
        }
        host.write(&mut out);
        if let Some(port) = port {
            out.extend_from_slice(format!(":{port}").as_bytes());
        }
        let text = Bytes::from(out);
        let opaque = Self::opaque(4, &text, Scheme::Sip);
        Self::parse(&text).unwrap_or(opaque)
    }

    fn opaque(at: usize, text: &Bytes, scheme: Scheme) -> Self {
        let user = Some(Span::new(at, text.len()));
        let (params, headers) = (Span::default(), Span::default());
        let text = text.clone();
        Self { text, scheme, user, password: None, host: None, port: None, params, headers }
    }

    fn tel(mut cursor: Cursor<'_>, text: &Bytes) -> Result<Self, ValueError> {
        let number = cursor.while_(|octet| {
            octet.is_ascii_hexdigit()
                || matches!(octet, b'+' | b'-' | b'.' | b'(' | b')' | b'*' | b'#')
        });
        if !number.of(text).iter().any(u8::is_ascii_alphanumeric) {
            return Err(cursor.error("no number"));
        }
        let params = Span::new(cursor.at(), text.len());
        params_read(&mut cursor)?;
        cursor.end("more than a number and parameters")?;
        Ok(Self { user: Some(number), params, ..Self::opaque(0, text, Scheme::Tel) })
    }

    fn sip(mut cursor: Cursor<'_>, text: &Bytes, scheme: Scheme) -> Result<Self, ValueError> {
        let start = cursor.at();
        let (mut user, mut password) = (None, None);
        if let Some(at) = memchr::memchr(b'@', cursor.rest()) {
            let info = &text[start..start + at];
            let colon = memchr::memchr(b':', info).unwrap_or(info.len());
            if colon == 0 || !info.iter().all(|octet| USER[*octet as usize]) || !escapes_read(info)
            {
                return Err(cursor.error("what stands before the @ is no user"));
            }
            user = Some(Span::new(start, start + colon));
            password = (colon < info.len()).then(|| Span::new(start + colon + 1, start + at));
            cursor.jump(start + at + 1);
        }
        let (host, port) = host_port(&mut cursor, text, false)?;
        let params = cursor.at();
        params_read(&mut cursor)?;
        let params = Span::new(params, cursor.at());
        let mut headers = Span::default();
        if cursor.eat(b'?') {
            headers = Span::new(cursor.at(), text.len());
            headers_read(headers.of(text), &cursor)?;
            cursor.jump(text.len());
        }
        cursor.end("more than a host")?;
        let (text, host) = (text.clone(), Some(host));
        Ok(Self { text, scheme, user, password, host, port, params, headers })
    }

    /// The whole text, as it came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    pub fn bytes(&self) -> &Bytes {
        &self.text
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The user of a SIP URI with its escapes, the number of a `tel:`, what others hold.
    pub fn user(&self) -> Option<&[u8]> {
        self.user.map(|span| span.of(&self.text))
    }

    /// The same without escapes.
    pub fn user_unescaped(&self) -> Option<Vec<u8>> {
        self.user().map(unescape)
    }

    pub fn password(&self) -> Option<&[u8]> {
        self.password.map(|span| span.of(&self.text))
    }

    /// The host of a SIP URI; others have none.
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Names and values of the parameters, with their escapes.
    pub fn params(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        pairs(self.params.of(&self.text), b';')
    }

    /// The first parameter of that name, in any case: `Some(None)` when it has no value.
    pub fn param(&self, name: &str) -> Option<Option<&[u8]>> {
        let mut all = self.params();
        all.find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The route means this hop loosely, RFC 3261 §16.12.
    pub fn is_loose(&self) -> bool {
        self.param("lr").is_some()
    }

    /// The transport that the URI asks for.
    pub fn transport(&self) -> Option<Transport> {
        let value = self.param("transport").flatten()?;
        Some(Transport::parse(&self.text.slice_ref(value)))
    }

    /// Names and values of the headers that the URI would add, with their escapes.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        pairs(self.headers.of(&self.text), b'&')
    }
}

impl PartialEq for Uri {
    /// Octet for octet.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Uri {}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

fn scheme_of(name: &[u8]) -> Scheme {
    match name.len() {
        3 if name.eq_ignore_ascii_case(b"sip") => Scheme::Sip,
        4 if name.eq_ignore_ascii_case(b"sips") => Scheme::Sips,
        3 if name.eq_ignore_ascii_case(b"tel") => Scheme::Tel,
        3 if name.eq_ignore_ascii_case(b"urn") => Scheme::Urn,
        _ => Scheme::Other,
    }
}

/// Printable, and none that would end a URI where it stands.
static ANYWHERE: [bool; 256] = grammar::table(b"-_.!~*'()%&=+$,;?/:#@[]\\^`{|}");

/// What stands before the `@`: unreserved, escapes, and what users and passwords may have besides.
static USER: [bool; 256] = grammar::table(b"-_.!~*'()%&=+$,;?/:#");

static PARAM: [bool; 256] = grammar::table(b"-_.!~*'()%[]/:&+$`@");

fn is_param_octet(octet: u8) -> bool {
    PARAM[octet as usize]
}

/// Each percent sign has two hexadecimal digits behind it.
fn escapes_read(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text)
        .all(|at| text.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)))
}

fn params_read(cursor: &mut Cursor<'_>) -> Result<(), ValueError> {
    while cursor.eat(b';') {
        let rest = cursor.rest();
        let name = cursor.while_(is_param_octet);
        let named = name.start < name.end;
        let mut length = (name.end - name.start) as usize;
        if cursor.eat(b'=') {
            let value = cursor.while_(is_param_octet);
            length += 1 + (value.end - value.start) as usize;
        }
        if !named || !escapes_read(&rest[..length]) {
            return Err(cursor.error("a parameter that is none"));
        }
    }
    Ok(())
}

fn headers_read(text: &[u8], cursor: &Cursor<'_>) -> Result<(), ValueError> {
    let named = text.split(|octet| *octet == b'&').all(|pair| {
        let name = pair.split(|octet| *octet == b'=').next().unwrap_or_default();
        !name.is_empty() && pair.contains(&b'=')
    });
    if named && escapes_read(text) { Ok(()) } else { Err(cursor.error("a header that is none")) }
}

fn pairs(text: &[u8], separator: u8) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    text.split(move |octet| *octet == separator).filter(|pair| !pair.is_empty()).map(|pair| {
        match memchr::memchr(b'=', pair) {
            None => (pair, None),
            Some(at) => (&pair[..at], Some(&pair[at + 1..])),
        }
    })
}

/// Takes the escapes away; what is none stays.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(octet) = text.get(at) {
        let hex = text.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| *octet == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(*octet);
                at += 1;
            }
        }
    }
    out
}

/// Writes a text as a user: what a user may not have is escaped.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for octet in text {
        if octet.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(octet) {
            out.push(*octet);
        } else {
            out.extend_from_slice(format!("%{octet:02X}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
