//! One stream: its `m=` line and what is said under it.

use super::{Codec, Line, Section};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Audio,
    Video,
    /// T.38.
    Image,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The `m=` line is the first.
    pub section: Section,
    kind: Kind,
    port: u16,
    /// As it was written, with how many ports if that was said.
    name: String,
    ports: Option<String>,
    profile: String,
    formats: Vec<String>,
}

impl Media {
    pub(super) fn parse(line: Line) -> Option<Self> {
        let text = std::str::from_utf8(&line.value).ok()?;
        let mut words = text.split_ascii_whitespace();
        let (name, port, profile) = (words.next()?, words.next()?, words.next()?);
        let (port, ports) = match port.split_once('/') {
            Some((port, ports)) => (port, Some(ports.to_owned())),
            None => (port, None),
        };
        let is_number = port.bytes().all(|octet| octet.is_ascii_digit());
        let media = Self {
            kind: kind(name),
            port: port.parse().ok().filter(|_| is_number)?,
            name: name.to_owned(),
            ports,
            profile: profile.to_owned(),
            formats: words.map(str::to_owned).collect(),
            section: Section::default(),
        };
        if media.formats.is_empty() {
            return None;
        }
        Some(media.with(line))
    }

    fn with(mut self, line: Line) -> Self {
        self.section.push(line);
        self
    }

    /// A stream with nothing said under it.
    pub(super) fn new(name: &str, port: u16, profile: &str, formats: Vec<String>) -> Self {
        let mut media = Self {
            section: Section::default(),
            kind: kind(name),
            port,
            name: name.to_owned(),
            ports: None,
            profile: profile.to_owned(),
            formats,
        };
        media.write_line();
        media
    }

    /// The same stream, refused: port 0, and nothing else is said (RFC 3264 §6).
    pub(super) fn refused(&self) -> Self {
        Self::new(&self.name, 0, &self.profile, self.formats.clone())
    }

    fn write_line(&mut self) {
        let ports = self.ports.as_ref().map(|ports| format!("/{ports}")).unwrap_or_default();
        let Self { name, port, profile, .. } = &*self;
        let formats = self.formats.join(" ");
        self.section.set(b'm', format!("{name} {port}{ports} {profile} {formats}"));
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the port; several ports become one.
    pub(super) fn set_port(&mut self, port: u16) {
        self.port = port;
        self.ports = None;
        self.write_line();
    }

    /// `RTP/AVP` and its like.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// Whether packets of this stream are RTP, in the clear or sealed with keys of SDES or DTLS.
    pub fn is_rtp(&self) -> bool {
        let (_, last) = self.profile.rsplit_once('/').unwrap_or_default();
        ["AVP", "AVPF", "SAVP", "SAVPF"].iter().any(|one| last.eq_ignore_ascii_case(one))
    }

    pub fn is_secure(&self) -> bool {
        let (_, last) = self.profile.rsplit_once('/').unwrap_or_default();
        ["SAVP", "SAVPF"].iter().any(|one| last.eq_ignore_ascii_case(one))
    }

    /// `RTP/AVP` becomes `RTP/SAVP`, or the other way; whether there is feedback stays.
    pub(super) fn set_secure(&mut self, secure: bool) {
        let feedback = if self.profile.to_ascii_uppercase().ends_with('F') { "F" } else { "" };
        let seal = if secure { "S" } else { "" };
        self.profile = format!("RTP/{seal}AVP{feedback}");
        self.write_line();
    }

    /// Neither refused nor without packets to send; `bundle-only` is not known here.
    pub fn is_open(&self) -> bool {
        self.port != 0
    }

    pub fn formats(&self) -> &[String] {
        &self.formats
    }

    /// The codecs in their order; formats that are no payload type are passed over.
    pub fn codecs(&self) -> Vec<Codec> {
        let types = self.formats.iter().filter_map(|format| format.parse().ok());
        types.filter_map(|payload_type| Codec::of(payload_type, &self.section)).collect()
    }

    /// Keeps these formats, in this order, and what is said of them; what is said of others goes.
    pub(super) fn keep_formats(&mut self, kept: &[u8]) {
        let kept: Vec<String> = kept.iter().map(u8::to_string).collect();
        self.section.remove_attributes(|name, value| {
            let of_format = matches!(name, "rtpmap" | "fmtp" | "rtcp-fb");
            let format = value.split_ascii_whitespace().next().unwrap_or_default();
            of_format && format != "*" && !kept.iter().any(|other| other == format)
        });
        self.formats = kept;
        self.write_line();
    }

    /// Says these codecs, in this order; what is said of those that were there stays.
    pub(super) fn set_codecs(&mut self, codecs: &[Codec]) {
        let before = self.codecs();
        let has = |codec: &Codec| {
            let mut same = before.iter().filter(|old| old.payload_type == codec.payload_type);
            same.any(|old| old.is_like(codec))
        };
        let (kept, new): (Vec<&Codec>, Vec<&Codec>) = codecs.iter().partition(|codec| has(codec));
        self.keep_formats(&kept.iter().map(|codec| codec.payload_type).collect::<Vec<_>>());
        for codec in new {
            self.describe(codec);
        }
        self.formats = codecs.iter().map(|codec| codec.payload_type.to_string()).collect();
        self.write_line();
    }

    /// Says what a payload type stands for.
    pub(super) fn describe(&mut self, codec: &Codec) {
        self.say(codec.map());
        if let Some(fmtp) = &codec.fmtp {
            self.say(format!("fmtp:{} {fmtp}", codec.payload_type));
        }
    }

    /// The time of one packet, if what is said makes sense: 10 to 120 ms.
    pub fn ptime_ms(&self) -> Option<u32> {
        let said = self.section.attribute("ptime")?;
        // Some say 20.0.
        let whole = said.split('.').next().unwrap_or_default();
        whole.parse().ok().filter(|millis| (10..=120).contains(millis))
    }

    /// Values of `crypto`, in their order.
    pub fn crypto(&self) -> impl Iterator<Item = &str> {
        self.section.attributes("crypto")
    }

    /// Adds an attribute.
    pub(super) fn say(&mut self, value: String) {
        self.section.add_attribute(value);
    }
}

fn kind(name: &str) -> Kind {
    match name {
        "audio" => Kind::Audio,
        "video" => Kind::Video,
        "image" => Kind::Image,
        _ => Kind::Other,
    }
}

/// A line, for tests.
#[cfg(test)]
pub(super) fn line(text: &'static str) -> Line {
    let value = bytes::Bytes::from_static(&text.as_bytes()[2..]);
    Line { kind: text.as_bytes()[0], value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(text: &'static str) -> Option<Media> {
        Media::parse(line(text))
    }

    #[test]
    fn a_stream_is_read_from_its_line() {
        let stream = media("m=audio 49170/2 RTP/AVP 0 8 101").unwrap();
        assert_eq!(
            (stream.kind(), stream.port(), stream.profile()),
            (Kind::Audio, 49_170, "RTP/AVP")
        );
        assert_eq!(stream.formats(), ["0", "8", "101"]);
        assert!(stream.is_rtp() && !stream.is_secure() && stream.is_open());
        let dtls = media("m=video 0 UDP/TLS/RTP/SAVPF 96").unwrap();
        assert!(dtls.is_rtp() && dtls.is_secure() && !dtls.is_open());
        let fax = media("m=image 5000 udptl t38").unwrap();
        assert!(!fax.is_rtp() && fax.codecs().is_empty());
    }

    #[test]
    fn a_line_that_lacks_something_is_no_stream() {
        for bad in [
            "m=",
            "m=audio",
            "m=audio 1",
            "m=audio 1 RTP/AVP",
            "m=audio 70000 RTP/AVP 0",
            "m=audio -1 RTP/AVP 0",
            "m=audio +5 RTP/AVP 0",
            "m=audio x RTP/AVP 0",
        ] {
            assert_eq!(media(bad), None, "{bad}");
        }
    }

    #[test]
    fn packet_times_without_sense_are_not_believed() {
        for (said, expected) in [
            ("20", Some(20)),
            ("0", None),
            ("20.0", Some(20)),
            ("5000", None),
            ("-20", None),
            ("99999999999", None),
            ("30", Some(30)),
            ("", None),
        ] {
            let mut stream = media("m=audio 1 RTP/AVP 0").unwrap();
            stream.say(format!("ptime:{said}"));
            assert_eq!(stream.ptime_ms(), expected, "{said}");
        }
    }

    #[test]
    fn other_codecs_are_described_and_those_that_stay_keep_what_is_said_of_them() {
        let mut stream = media("m=audio 1 RTP/AVP 0 97 101").unwrap();
        for said in ["rtpmap:97 iLBC/8000", "rtpmap:101 telephone-event/8000", "fmtp:101 0-16"] {
            stream.say(said.to_owned());
        }
        let opus = Codec { channels: 2, ..Codec::new(97, "opus", 48_000) };
        let events = stream.codecs().pop().unwrap();
        stream.set_codecs(&[opus.clone(), Codec::new(8, "PCMA", 8_000), events.clone()]);
        let mut out = Vec::new();
        stream.section.write(&mut out);
        let expected = "m=audio 1 RTP/AVP 97 8 101\r\na=rtpmap:101 telephone-event/8000\r\n\
                        a=fmtp:101 0-16\r\na=rtpmap:97 opus/48000/2\r\na=rtpmap:8 PCMA/8000\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(stream.codecs(), [opus, Codec::new(8, "PCMA", 8_000), events]);
    }

    #[test]
    fn what_is_said_of_formats_goes_with_them() {
        let mut stream = media("m=audio 1 RTP/AVP 0 8 101 97").unwrap();
        for said in [
            "rtpmap:101 telephone-event/8000",
            "fmtp:101 0-16",
            "rtpmap:97 iLBC/8000",
            "fmtp:97 mode=30",
            "rtcp-fb:97 nack",
            "rtcp-fb:* nack",
            "sendrecv",
        ] {
            stream.say(said.to_owned());
        }
        stream.keep_formats(&[8, 101]);
        let mut out = Vec::new();
        stream.section.write(&mut out);
        let expected = "m=audio 1 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n\
                        a=fmtp:101 0-16\r\na=rtcp-fb:* nack\r\na=sendrecv\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
