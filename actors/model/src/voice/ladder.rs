//! The messages of a call as they were seen on the wire, packed for keeping, without what is secret.
//!
//! What proves a password (RFC 7616 §3.4.1), credentials that are no digest, keys of media (RFC 4568 §9.1,
//! RFC 4567), passwords of ICE and digits that are pressed in INFO become stars of the same length, so that
//! lengths inside the message stay true. It is done by [`pack`]: nothing is kept that did not pass here. A
//! pack that is damaged reads as far as it is sound.

use crate::clock::At;

/// Messages of one call that are kept; later ones are not.
pub const LADDER_MESSAGES_MAX: usize = 200;
/// Octets of one message that are kept.
pub const OCTETS_MAX: usize = 8_192;
const FLOW_MAX: usize = 128;

const INBOUND: u8 = 1;
const CUT: u8 = 2;

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LadderMessage {
    pub at: At,
    /// It came to us.
    pub inbound: bool,
    /// The other end, as `udp 192.0.2.7:5060`.
    pub flow: String,
    pub octets: Vec<u8>,
    /// There were more octets than are kept.
    pub cut: bool,
}

impl LadderMessage {
    /// Its first line; what is no text in it is shown as such.
    #[must_use]
    pub fn first_line(&self) -> String {
        let line = self.octets.split(|octet| matches!(octet, b'\r' | b'\n')).next();
        String::from_utf8_lossy(line.unwrap_or_default()).into_owned()
    }

    /// The method of a request, or the status of a response and its reason.
    #[must_use]
    pub fn title(&self) -> String {
        let line = self.first_line();
        match line.strip_prefix("SIP/2.0 ") {
            Some(status) => status.to_owned(),
            None => line.split(' ').next().unwrap_or_default().to_owned(),
        }
    }

    /// The value of a header, by its name and its compact form, as far as it stands on one line.
    #[must_use]
    pub fn header(&self, name: &str, compact: &str) -> Option<String> {
        let head = self.octets.split(|octet| *octet == b'\n');
        let lines = head.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.skip(1).take_while(|line| !line.is_empty()).find_map(|line| {
            let (found, value) = line.split_at(line.iter().position(|octet| *octet == b':')?);
            let found = std::str::from_utf8(found).ok()?.trim();
            let same = found.eq_ignore_ascii_case(name)
                || !compact.is_empty() && found.eq_ignore_ascii_case(compact);
            same.then(|| String::from_utf8_lossy(&value[1..]).trim().to_owned())
        })
    }
}

/// Many messages as one value.
#[must_use]
pub fn pack(messages: &[LadderMessage]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(messages.iter().map(|m| m.octets.len() + 64).sum());
    for LadderMessage { at, inbound, flow, octets, cut } in messages {
        pack_one((*at, *inbound, flow), octets, *cut, &mut packed);
    }
    packed
}

/// Adds one message to a pack: when it was seen, whether it came to us, and the other end.
pub fn pack_one(
    (at, inbound, flow): (At, bool, &str),
    octets: &[u8],
    cut: bool,
    packed: &mut Vec<u8>,
) {
    let mut length = flow.len().min(FLOW_MAX);
    while !flow.is_char_boundary(length) {
        length -= 1;
    }
    let kept = octets.len().min(OCTETS_MAX);
    let cut = cut || kept < octets.len();
    packed.reserve(12 + length + kept);
    packed.extend(at.0.to_be_bytes());
    packed.push(if inbound { INBOUND } else { 0 } | if cut { CUT } else { 0 });
    packed.push(u8::try_from(length).unwrap_or(0));
    packed.extend(u16::try_from(kept).unwrap_or(0).to_be_bytes());
    packed.extend_from_slice(&flow.as_bytes()[..length]);
    let start = packed.len();
    packed.extend_from_slice(&octets[..kept]);
    redact(&mut packed[start..]);
}

/// The messages of a pack, or of several one behind the other.
#[must_use]
pub fn unpack(mut packed: &[u8]) -> Vec<LadderMessage> {
    let mut messages = Vec::new();
    while let Some((message, rest)) = first(packed) {
        messages.push(message);
        packed = rest;
    }
    messages
}

fn first(packed: &[u8]) -> Option<(LadderMessage, &[u8])> {
    let (at, rest) = packed.split_first_chunk::<8>()?;
    let ([flags, flow], rest) = rest.split_first_chunk::<2>()?;
    let (octets, rest) = rest.split_first_chunk::<2>()?;
    let (flow, rest) = rest.split_at_checked(usize::from(*flow))?;
    let (octets, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*octets)))?;
    let message = LadderMessage {
        at: At(i64::from_be_bytes(*at)),
        inbound: flags & INBOUND != 0,
        flow: String::from_utf8_lossy(flow).into_owned(),
        octets: octets.to_vec(),
        cut: flags & CUT != 0,
    };
    Some((message, rest))
}

/// What a line of a message is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Of a digest: what proves the password, and what a password could be tried against, is secret.
    Digest,
    /// Of anything else: all of it is.
    Token,
    Header,
    Body,
}

/// Of a digest. Who has the answer with both nonces can try passwords at home (RFC 7616 §5.10); a nonce
/// that is good still is half of a proof. Who asks is told elsewhere in the message, too.
const DIGEST: [&[u8]; 5] = [b"response", b"rspauth", b"cnonce", b"nonce", b"nextnonce"];

/// A message without its secrets.
#[must_use]
pub fn redacted(octets: &[u8]) -> Vec<u8> {
    let mut clean = octets.to_vec();
    redact(&mut clean);
    clean
}

fn redact(octets: &mut [u8]) {
    let mut part = Part::Header;
    let mut is_digit = false;
    for line in octets.split_inclusive_mut(|octet| *octet == b'\n') {
        let text = line.trim_ascii_end();
        let is_folded = matches!(line.first(), Some(b' ' | b'\t'));
        part = match part {
            Part::Body => Part::Body,
            _ if text.is_empty() => Part::Body,
            // A folded line goes on with the header before it.
            part if is_folded => part,
            _ => credentials(text),
        };
        match part {
            Part::Digest => {
                for name in DIGEST {
                    hide(line, name, |octet| matches!(octet, b',' | b';'));
                }
            }
            Part::Token => {
                let value = line.iter().position(|octet| *octet == b':' && !is_folded);
                star(&mut line[value.map_or(0, |colon| colon + 1)..]);
            }
            Part::Header => is_digit |= is_of_digits(line.trim_ascii_end()),
            Part::Body if is_digit && !line.contains(&b'=') => star(line),
            Part::Body if is_digit => hide(line, b"signal", |_| false),
            Part::Body if starts(line, b"a=crypto") => {
                hide(line, b"inline", |octet| matches!(octet, b'|' | b' ' | b';'));
            }
            Part::Body => {
                for name in [&b"a=ice-pwd"[..], b"a=key-mgmt", b"k"] {
                    if starts(line, name) {
                        hide(line, name, |_| false);
                    }
                }
            }
        }
    }
}

fn starts(line: &[u8], with: &[u8]) -> bool {
    line.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
}

/// What a header line is, by its name and how its value begins.
fn credentials(line: &[u8]) -> Part {
    if !matches!(line.first(), Some(b'a' | b'A' | b'p' | b'P' | b'w' | b'W')) {
        return Part::Header;
    }
    let mut halves = line.splitn(2, |octet| *octet == b':');
    let name = halves.next().unwrap_or_default().trim_ascii_end();
    let value = halves.next().unwrap_or_default().trim_ascii_start();
    let named = |known: &[u8]| name.eq_ignore_ascii_case(known);
    let asks = [&b"authentication-info"[..], b"proxy-authentication-info", b"www-authenticate"];
    if asks.into_iter().any(named) || named(b"proxy-authenticate") {
        return Part::Digest;
    }
    if !named(b"authorization") && !named(b"proxy-authorization") {
        return Part::Header;
    }
    if starts(value, b"digest") { Part::Digest } else { Part::Token }
}

/// The body is a digit that somebody pressed: perhaps one of a secret number.
fn is_of_digits(line: &[u8]) -> bool {
    if !matches!(line.first(), Some(b'c' | b'C')) {
        return false;
    }
    let mut halves = line.splitn(2, |octet| *octet == b':');
    let name = halves.next().unwrap_or_default().trim_ascii_end();
    let value = halves.next().unwrap_or_default().trim_ascii_start();
    (name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"c"))
        && starts(value, b"application/dtmf")
}

fn star(octets: &mut [u8]) {
    for octet in octets.iter_mut().filter(|octet| !octet.is_ascii_whitespace() && **octet != b'"') {
        *octet = b'*';
    }
}

/// Stars over each value that follows a name with `=` or `:`, up to its end.
fn hide(line: &mut [u8], name: &[u8], ends: fn(u8) -> bool) {
    let mut at = 0;
    while at + name.len() <= line.len() {
        let begins = at == 0 || !line[at - 1].is_ascii_alphanumeric();
        if !begins || !starts(&line[at..], name) {
            at += 1;
            continue;
        }
        at += name.len();
        while line.get(at).is_some_and(|octet| matches!(octet, b' ' | b'\t')) {
            at += 1;
        }
        if !line.get(at).is_some_and(|octet| matches!(octet, b'=' | b':')) {
            continue;
        }
        let value = &mut line[at + 1..];
        let end = value.iter().position(|octet| ends(*octet)).unwrap_or(value.len());
        star(&mut value[..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(octets: &[u8]) -> LadderMessage {
        let flow = String::from("udp 192.0.2.7:5060");
        LadderMessage { at: At(7), inbound: true, flow, octets: octets.to_vec(), cut: false }
    }

    const INVITE: &[u8] = b"INVITE sip:a@b SIP/2.0\r\nTo: <sip:a@b>\r\ni: 1@x\r\n\
        Proxy-Authorization: Digest username=\"u\", response=\"abc123\", nonce=\"0n0\",\r\n \
        cnonce=\"0c0\", nc=00000001, opaque=\"o\",Response = \"def\"\r\nX: response=\"seen\"\r\n\r\n\
        v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^20|1:4\r\na=ice-pwd:pass\r\n";

    #[test]
    fn secrets_become_stars_and_nothing_else_changes() {
        let clean = redacted(INVITE);
        assert_eq!(clean.len(), INVITE.len());
        let text = String::from_utf8(clean).unwrap();
        for secret in ["abc123", "def", "0n0", "0c0", "c2VjcmV0", "pass"] {
            assert!(!text.contains(secret), "{text}");
        }
        for kept in ["username=\"u\"", "nc=00000001", "X: response=\"seen\"", "|2^20|1:4"] {
            assert!(text.contains(kept), "{text}");
        }
        assert!(text.contains("response=\"******\"") && text.contains("Response = \"***\""));
    }

    #[test]
    fn what_is_no_digest_is_a_secret_as_a_whole() {
        let text = |message: &str| String::from_utf8(redacted(message.as_bytes())).unwrap();
        let bearer =
            text("BYE sip:a SIP/2.0\r\nAuthorization: Bearer abc.def\r\n  ghi\r\nX: kept\r\n\r\n");
        assert!(bearer.contains("Authorization: ****** *******\r\n  ***\r\nX: kept"), "{bearer}");
        let mutual = text("SIP/2.0 200 OK\r\nAuthentication-Info: rspauth=\"ab\", nc=1\r\n\r\n");
        assert!(mutual.contains("rspauth=\"**\", nc=1"), "{mutual}");
        let asked = text(
            "SIP/2.0 401 x\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"abc\", stale=true\r\n\r\n",
        );
        assert!(asked.contains("realm=\"r\", nonce=\"***\", stale=true"), "{asked}");
    }

    #[test]
    fn keys_and_digits_of_a_body_become_stars() {
        let text = |message: &str| String::from_utf8(redacted(message.as_bytes())).unwrap();
        let keys =
            text("INVITE x\r\n\r\nv=0\r\nk=clear:abc\r\na=key-mgmt:mikey AQ==\r\na=kept:1\r\n");
        assert!(keys.contains("k=*********\r\na=key-mgmt:***** ****\r\na=kept:1"), "{keys}");
        let relay =
            "INFO x\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal= 7\r\nDuration=160\r\n";
        assert!(text(relay).ends_with("Signal= *\r\nDuration=160\r\n"), "{}", text(relay));
        assert!(text("INFO x\r\nc: application/dtmf\r\n\r\n7").ends_with("\r\n\r\n*"));
    }

    #[test]
    fn a_pack_reads_back_and_a_damaged_one_as_far_as_it_is_sound() {
        let ok = LadderMessage {
            inbound: false,
            ..message(b"SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n")
        };
        let long = message(&[b'x'; OCTETS_MAX + 1]);
        let mut packed = pack(&[message(b"BYE sip:a SIP/2.0\r\n\r\n"), ok.clone()]);
        packed.extend(pack(&[long]));
        let read = unpack(&packed);
        assert_eq!((read.len(), &read[1]), (3, &ok));
        assert_eq!((read[0].title(), read[1].title()), ("BYE".into(), "180 Ringing".into()));
        assert!(read[2].cut && read[2].octets.len() == OCTETS_MAX);
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end]).len() < 3);
        }
        assert_eq!(unpack(&[0xff; 40]), []);
    }

    #[test]
    fn headers_are_found_by_either_name() {
        let invite = message(INVITE);
        assert_eq!(invite.header("Call-ID", "i").as_deref(), Some("1@x"));
        assert_eq!(invite.header("to", "t").as_deref(), Some("<sip:a@b>"));
        assert_eq!(invite.header("v=0", ""), None);
        assert_eq!(message(b"").title(), "");
    }

    #[test]
    fn garbage_is_kept_as_long_as_it_was() {
        let mut seed = 1_u32;
        for length in 0..400 {
            let garbage: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            assert_eq!(redacted(&garbage).len(), garbage.len());
            let _ = unpack(&garbage);
        }
    }
}
