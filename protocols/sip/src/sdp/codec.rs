//! Codecs: payload types with their names, from `a=rtpmap` or the table of RFC 3551.

use super::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    pub payload_type: u8,
    pub name: String,
    pub clock_hz: u32,
    pub channels: u8,
    /// The parameters, as they were written.
    pub fmtp: Option<String>,
}

/// Payload types that need no `rtpmap`, with names and clocks.
const FIXED: [(u8, &str, u32); 8] = [
    (0, "PCMU", 8_000),
    (3, "GSM", 8_000),
    (4, "G723", 8_000),
    (8, "PCMA", 8_000),
    (9, "G722", 8_000),
    (13, "CN", 8_000),
    (15, "G728", 8_000),
    (18, "G729", 8_000),
];

impl Codec {
    /// One with a single channel and no parameters.
    pub fn new(payload_type: u8, name: &str, clock_hz: u32) -> Self {
        Self { payload_type, name: name.to_owned(), clock_hz, channels: 1, fmtp: None }
    }

    /// `telephone-event` with all sixteen keys.
    pub fn events(payload_type: u8, clock_hz: u32) -> Self {
        let fmtp = Some("0-15".to_owned());
        Self { fmtp, ..Self::new(payload_type, "telephone-event", clock_hz) }
    }

    /// What a stream says of a payload type; `None` if that is nothing, or no sense.
    pub(super) fn of(payload_type: u8, said: &Section) -> Option<Self> {
        if payload_type > 127 {
            return None;
        }
        let about = |name: &'static str| {
            said.attributes(name).find_map(|value| {
                let (format, rest) = value.split_once(char::is_whitespace)?;
                (format.parse() == Ok(payload_type)).then_some(rest.trim())
            })
        };
        let mut codec = match about("rtpmap") {
            Some(map) => Self::of_map(payload_type, map)?,
            None => {
                let mut fixed = FIXED.iter().filter(|(fixed, ..)| *fixed == payload_type);
                let (_, name, clock_hz) = fixed.next()?;
                Self::new(payload_type, name, *clock_hz)
            }
        };
        codec.fmtp = about("fmtp").map(str::to_owned);
        Some(codec)
    }

    /// `PCMU/8000` or `opus/48000/2`.
    fn of_map(payload_type: u8, map: &str) -> Option<Self> {
        let mut parts = map.split('/');
        let (name, clock) = (parts.next()?.trim(), parts.next()?.trim());
        let channels = match parts.next() {
            Some(channels) => channels.trim().parse().ok().filter(|channels| *channels > 0)?,
            None => 1,
        };
        let clock_hz = clock.parse().ok().filter(|clock| (1_000..=192_000).contains(clock))?;
        let is_name = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic());
        is_name.then(|| Self { channels, ..Self::new(payload_type, name, clock_hz) })
    }

    /// Whether two mean the same, under whatever payload types.
    pub fn is_like(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
            && self.clock_hz == other.clock_hz
            && self.channels == other.channels
    }

    pub fn is_events(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event")
    }

    /// Whether this carries sound by itself: neither keys nor noise nor what repeats others.
    pub fn is_sound(&self) -> bool {
        !self.is_events()
            && !["CN", "red", "ulpfec"].iter().any(|name| self.name.eq_ignore_ascii_case(name))
    }

    /// The value of `rtpmap`.
    pub(super) fn map(&self) -> String {
        let Self { payload_type, name, clock_hz, channels, .. } = self;
        match channels {
            1 => format!("rtpmap:{payload_type} {name}/{clock_hz}"),
            _ => format!("rtpmap:{payload_type} {name}/{clock_hz}/{channels}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::media::line;
    use super::*;

    fn said(lines: &[&'static str]) -> Section {
        let mut section = Section::default();
        lines.iter().for_each(|text| section.push(line(text)));
        section
    }

    #[test]
    fn codecs_are_known_by_their_map_or_by_their_number() {
        let section = said(&[
            "a=rtpmap:111 opus/48000/2",
            "a=fmtp:111 useinbandfec=1",
            "a=rtpmap:0 PCMU/8000/1",
        ]);
        let opus = Codec::of(111, &section).unwrap();
        assert_eq!((opus.name.as_str(), opus.clock_hz, opus.channels), ("opus", 48_000, 2));
        assert_eq!(opus.fmtp.as_deref(), Some("useinbandfec=1"));
        assert_eq!(opus.map(), "rtpmap:111 opus/48000/2");
        assert!(Codec::of(0, &section).unwrap().is_like(&Codec::new(7, "pcmu", 8_000)));
        assert_eq!(Codec::of(8, &section), Some(Codec::new(8, "PCMA", 8_000)));
        assert_eq!(Codec::of(96, &section), None);
    }

    #[test]
    fn maps_without_sense_are_no_codecs() {
        for map in [
            "a=rtpmap:96",
            "a=rtpmap:96 x",
            "a=rtpmap:96 x/0",
            "a=rtpmap:96 x/8000/0",
            "a=rtpmap:96 /8000",
            "a=rtpmap:96 x/99999999999",
            "a=rtpmap:96 x/8000/900",
        ] {
            assert_eq!(Codec::of(96, &said(&[map])), None, "{map}");
        }
        assert_eq!(Codec::of(200, &said(&["a=rtpmap:200 x/8000"])), None);
    }

    #[test]
    fn keys_and_noise_are_no_sound() {
        assert!(Codec::events(101, 8_000).is_events());
        for name in ["telephone-event", "CN", "RED"] {
            assert!(!Codec::new(96, name, 8_000).is_sound(), "{name}");
        }
        assert!(Codec::new(0, "PCMU", 8_000).is_sound());
    }
}
