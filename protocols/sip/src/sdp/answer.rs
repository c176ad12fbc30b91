//! Offer and answer for one audio stream (RFC 3264), as pure functions.
//!
//! `offer` words what we can do, also for an INVITE that came without a description; `answer` words our
//! answer to an offer: as many streams in the same order, those we do not take refused and kept, the
//! codecs both know under their payload types, a hold answered as a hold. `agreed` reads the answer to
//! an offer of ours. Each gives the `Stream` that media is then sent and received by.

use std::net::IpAddr;

use thiserror::Error;

use super::media::Kind;
use super::{Codec, Direction, Media, Sdp, Section, Transport, address, network};

/// Whose order of codecs counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Theirs,
    Ours,
}

/// How packets are sealed.
#[derive(Clone, PartialEq, Eq)]
pub enum Keying {
    Plain,
    /// Values of `crypto`, which hold keys: all of an offer, or the one of an answer.
    Sdes(Vec<String>),
}

impl std::fmt::Debug for Keying {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain => out.write_str("Plain"),
            Self::Sdes(lines) => write!(out, "Sdes({} lines)", lines.len()),
        }
    }
}

/// What we can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offering {
    /// In our order; the payload types are those of our own offers. `telephone-event` is one of them.
    pub codecs: Vec<Codec>,
    pub direction: Direction,
    pub ptime_ms: u32,
    pub ip: IpAddr,
    pub port: u16,
    pub rtcp_mux: bool,
    pub keying: Keying,
    /// Whether an answer names one codec alone, so that nobody changes it in the middle of a call.
    pub one_codec: bool,
    pub order: Order,
    /// The numbers of `o=`; the version goes up with each change.
    pub session: u64,
    pub version: u64,
}

/// Why there is nothing to agree on; a refusal with 488.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoAnswer {
    #[error("no open stream of audio over RTP")]
    Audio,
    #[error("no codec in common")]
    Codec,
    #[error("keys are asked for that we have not, or not asked for that we need")]
    Keying,
    #[error("the answer does not fit the offer")]
    Mismatch,
}

/// One stream as agreed, seen from us.
#[derive(Clone, PartialEq, Eq)]
pub struct Stream {
    /// Which `m=` line, from 0.
    pub index: usize,
    /// What we send, the preferred one first, under the payload types they want.
    pub send: Vec<Codec>,
    /// What they send, under the payload types we will see.
    pub receive: Vec<Codec>,
    pub direction: Direction,
    /// Where they want it.
    pub theirs: Transport,
    /// How much they want in one packet.
    pub ptime_ms: u32,
    /// Their values of `crypto`.
    pub crypto: Vec<String>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = out.debug_struct("Stream");
        shown.field("index", &self.index).field("send", &self.send).field("receive", &self.receive);
        shown.field("direction", &self.direction).field("theirs", &self.theirs);
        shown.field("ptime_ms", &self.ptime_ms).field("crypto", &self.crypto.len()).finish()
    }
}

impl Stream {
    /// The codec we send sound with.
    pub fn sound(&self) -> Option<&Codec> {
        self.send.iter().find(|codec| codec.is_sound())
    }

    /// How we send keys: by the clock of the sound if there is one.
    pub fn events(&self) -> Option<&Codec> {
        let clock = self.sound().map(|codec| codec.clock_hz);
        let mut all = self.send.iter().filter(|codec| codec.is_events());
        let first = all.clone().next();
        all.find(|codec| Some(codec.clock_hz) == clock).or(first)
    }
}

fn session(ours: &Offering) -> Section {
    let mut section = Section::default();
    section.set(b'v', "0".to_owned());
    section.set(b'o', format!("- {} {} {}", ours.session, ours.version, network(ours.ip)));
    section.set(b's', "-".to_owned());
    section.set(b'c', address::connection(ours.ip));
    section.set(b't', "0 0".to_owned());
    section
}

fn describe(media: &mut Media, codecs: &[Codec], ours: &Offering, direction: Direction, mux: bool) {
    codecs.iter().for_each(|codec| media.describe(codec));
    media.say(format!("ptime:{}", ours.ptime_ms.clamp(10, 120)));
    if mux {
        media.say("rtcp-mux".to_owned());
    }
    if let Keying::Sdes(lines) = &ours.keying {
        lines.iter().for_each(|line| media.say(format!("crypto:{line}")));
    }
    direction.write(&mut media.section);
}

fn formats(codecs: &[Codec]) -> Vec<String> {
    codecs.iter().map(|codec| codec.payload_type.to_string()).collect()
}

/// Our offer.
pub fn offer(ours: &Offering) -> Sdp {
    let profile = match ours.keying {
        Keying::Plain => "RTP/AVP",
        Keying::Sdes(_) => "RTP/SAVP",
    };
    let mut media = Media::new("audio", ours.port, profile, formats(&ours.codecs));
    describe(&mut media, &ours.codecs, ours, ours.direction, ours.rtcp_mux);
    Sdp { session: session(ours), media: vec![media] }
}

/// The first stream that can carry a call.
fn audio(sdp: &Sdp) -> Option<(usize, &Media)> {
    let mut streams = sdp.media.iter().enumerate();
    streams.find(|(_, media)| media.kind() == Kind::Audio && media.is_rtp() && media.is_open())
}

/// Our answer to an offer, and what is agreed with it.
pub fn answer(offer: &Sdp, ours: &Offering) -> Result<(Sdp, Stream), NoAnswer> {
    let (index, offered) = audio(offer).ok_or(NoAnswer::Audio)?;
    let codecs = common(&offered.codecs(), ours).ok_or(NoAnswer::Codec)?;
    check_keys(offered, &ours.keying)?;
    let mux = ours.rtcp_mux && offered.section.attribute("rtcp-mux").is_some();
    let direction = offer.meant(offered).reversed().both(ours.direction);
    let mut media = Media::new(offered.name(), ours.port, offered.profile(), formats(&codecs));
    describe(&mut media, &codecs, ours, direction, mux);
    let mut theirs = offer.transport(offered);
    if theirs.mux && !mux {
        theirs = apart(offer, offered);
    }
    let stream = Stream {
        index,
        send: codecs.clone(),
        receive: codecs,
        direction,
        theirs,
        ptime_ms: ptime(offered, ours),
        crypto: offered.crypto().map(str::to_owned).collect(),
    };
    let mut streams: Vec<Media> = offer.media.iter().map(Media::refused).collect();
    streams[index] = media;
    Ok((Sdp { session: session(ours), media: streams }, stream))
}

/// Where RTCP goes when the answer takes no multiplexing.
fn apart(sdp: &Sdp, media: &Media) -> Transport {
    let mut without = media.clone();
    without.section.remove_attributes(|name, _| name == "rtcp-mux");
    sdp.transport(&without)
}

fn ptime(media: &Media, ours: &Offering) -> u32 {
    let most = media.section.attribute("maxptime").and_then(|most| most.parse().ok());
    let most = most.filter(|most| (10..=120).contains(most)).unwrap_or(120);
    media.ptime_ms().unwrap_or(ours.ptime_ms).min(most)
}

/// The codecs of an offer that we know too, and events of their clocks. `None` if there is no sound
/// among them.
fn common(offered: &[Codec], ours: &Offering) -> Option<Vec<Codec>> {
    let known = |codec: &&Codec| ours.codecs.iter().any(|own| own.is_like(codec));
    let mut sound: Vec<Codec> =
        offered.iter().filter(|codec| codec.is_sound()).filter(known).cloned().collect();
    if ours.order == Order::Ours {
        let place = |codec: &Codec| ours.codecs.iter().position(|own| own.is_like(codec));
        sound.sort_by_key(place);
    }
    if ours.one_codec {
        sound.truncate(1);
    }
    let first = sound.first()?.clock_hz;
    // Parameters are each side's own; where we have none, theirs say what the codec is.
    for codec in &mut sound {
        let own = ours.codecs.iter().find(|own| own.is_like(codec));
        codec.fmtp = own.and_then(|own| own.fmtp.clone()).or(codec.fmtp.take());
    }
    let events = |codec: &&Codec| codec.is_events() && codec.clock_hz == first;
    let any = |codec: &&Codec| codec.is_events();
    let known_events = offered.iter().filter(known);
    let chosen = known_events.clone().find(events).or_else(|| known_events.clone().find(any));
    if let Some(chosen) = chosen {
        sound.push(Codec::events(chosen.payload_type, chosen.clock_hz));
    }
    Some(sound)
}

/// A secure profile needs keys, and the key of our answer one of the offer's tags.
fn check_keys(offered: &Media, keying: &Keying) -> Result<(), NoAnswer> {
    match keying {
        Keying::Plain if offered.is_secure() => Err(NoAnswer::Keying),
        Keying::Plain => Ok(()),
        Keying::Sdes(lines) => {
            let [line] = &lines[..] else { return Err(NoAnswer::Keying) };
            let named =
                offered.crypto().any(|offered| tag_and_suite(offered) == tag_and_suite(line));
            if named { Ok(()) } else { Err(NoAnswer::Keying) }
        }
    }
}

fn tag_and_suite(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_ascii_whitespace();
    Some((words.next()?, words.next()?))
}

/// Whether an answer may follow an offer: no more streams, each of its kind and profile; what the
/// answer leaves out counts as refused.
pub fn fits(offer: &Sdp, answer: &Sdp) -> bool {
    let alike = |(offered, answered): (&Media, &Media)| {
        !answered.is_open()
            || (offered.is_open()
                && offered.name() == answered.name()
                && offered.is_secure() == answered.is_secure())
    };
    answer.media.len() <= offer.media.len() && offer.media.iter().zip(&answer.media).all(alike)
}

/// What an answer to our offer agreed on.
pub fn agreed(offer: &Sdp, answer: &Sdp, ours: &Offering) -> Result<Stream, NoAnswer> {
    if !fits(offer, answer) {
        return Err(NoAnswer::Mismatch);
    }
    let (index, answered) = audio(answer).ok_or(NoAnswer::Audio)?;
    let offered = offer.media.get(index).ok_or(NoAnswer::Mismatch)?;
    let ours_then = offered.codecs();
    let mut send = answered.codecs();
    send.retain(|codec| ours_then.iter().any(|own| own.is_like(codec)));
    if !send.iter().any(Codec::is_sound) {
        return Err(NoAnswer::Codec);
    }
    let in_answer = |own: &&Codec| send.iter().any(|codec| codec.is_like(own));
    let receive = ours_then.iter().filter(in_answer).cloned().collect();
    let crypto: Vec<String> = answered.crypto().map(str::to_owned).collect();
    if offered.is_secure() {
        let [line] = &crypto[..] else { return Err(NoAnswer::Keying) };
        if !offered.crypto().any(|own| tag_and_suite(own) == tag_and_suite(line)) {
            return Err(NoAnswer::Keying);
        }
    }
    let mux_was_offered = offered.section.attribute("rtcp-mux").is_some();
    let theirs = if mux_was_offered { answer.transport(answered) } else { apart(answer, answered) };
    Ok(Stream {
        index,
        send,
        receive,
        direction: offer.meant(offered).both(answer.meant(answered).reversed()),
        theirs,
        ptime_ms: ptime(answered, ours),
        crypto,
    })
}
