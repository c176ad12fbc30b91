//! Descriptions on their way through the call: what one side says, with our relay's ports in the place
//! of its own, and what the relay is told once both have agreed.
//!
//! One stream of audio is relayed; all others are refused and keep their place. Lines that nobody here
//! understands leave as they came. Keys do not: each side that seals its packets (RFC 4568) has keys with
//! us alone, and the other side may speak in the clear.

use std::net::SocketAddr;
use std::sync::Arc;

use proto_media::srtp::sdes::Crypto;
use proto_media::srtp::{MasterKey, Suite};
use proto_sip::StatusCode;
use proto_sip::sdp::relay::Anchor;
use proto_sip::sdp::{Body, Codec, Direction, Limits, Media, Sdp};

use super::codecs::{Codecs, codec};
use crate::media::{Encoding, Format, Keys, RemoteMedia, Side};

/// What leads to somebody else than us, or promises what the relay does not do.
const STRIPPED: [&str; 5] = ["fingerprint", "setup", "msid", "ssrc", "identity"];

/// Where the relay takes the packets of each side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local {
    pub a: SocketAddr,
    pub b: SocketAddr,
}

/// What both sides said, and what they were told.
#[derive(Debug)]
pub(super) struct Relay {
    local: Local,
    /// The number of our sessions in `o=`; the versions go up with each description.
    session: u64,
    versions: [u64; 2],
    codecs: Codecs,
    /// What we seal with towards each side that seals.
    keys: [MasterKey; 2],
    /// What each side that seals said of its keys.
    sealed: [Option<Crypto>; 2],
    /// Sides that are to wait: they are told that nobody listens.
    parked: [bool; 2],
    said: Both,
    heard: Both,
    /// What all were before the offer that is under way.
    before: Option<Before>,
}

/// What was said, what was heard, and the keys of it.
type Before = (Both, Both, [Option<Crypto>; 2]);

/// What the sides said, or were told.
type Both = [Option<Words>; 2];

/// A description, read once.
#[derive(Clone, Debug)]
struct Words {
    body: Body,
    /// None: it cannot be read.
    sdp: Option<Arc<Sdp>>,
}

impl Words {
    fn of(body: &Body) -> Self {
        let sdp = Sdp::parse(body.as_bytes(), &Limits::default()).ok().map(Arc::new);
        Self { body: body.clone(), sdp }
    }
}

fn index(side: Side) -> usize {
    match side {
        Side::A => 0,
        Side::B => 1,
    }
}

impl Relay {
    #[must_use]
    pub(super) fn new(local: Local, session: u64, codecs: Codecs, keys: [MasterKey; 2]) -> Self {
        Self {
            local,
            session,
            versions: [1, 1],
            codecs,
            keys,
            sealed: [None, None],
            parked: [false, false],
            said: [None, None],
            heard: [None, None],
            before: None,
        }
    }

    /// From the next description on a side is told to wait, or is not any more.
    pub(super) fn park(&mut self, side: Side, on: bool) {
        self.parked[index(side)] = on;
    }

    /// Something is offered that may come to nothing.
    pub(super) fn remember(&mut self) {
        self.before = Some((self.said.clone(), self.heard.clone(), self.sealed.clone()));
    }

    /// It came to nothing.
    pub(super) fn restore(&mut self) {
        if let Some((said, heard, sealed)) = self.before.take() {
            (self.said, self.heard, self.sealed) = (said, heard, sealed);
        }
    }

    /// What `from` offers, as the other side is to hear it; or why it cannot be relayed.
    pub(super) fn pass(&mut self, from: Side, body: &Body) -> Result<Body, StatusCode> {
        self.pass_words(from, Words::of(body), false)
    }

    /// The same, sealed if the other side has not said otherwise.
    pub(super) fn pass_sealed(
        &mut self,
        from: Side,
        body: &Body,
        seal: bool,
    ) -> Result<Body, StatusCode> {
        self.pass_words(from, Words::of(body), seal)
    }

    /// What `from` answers to the other side's last offer, as that side is to hear it.
    pub(super) fn pass_answer(&mut self, from: Side, body: &Body) -> Result<Body, StatusCode> {
        let offered = spoken(&self.heard[index(from.other())]).unwrap_or_default();
        let fit = |codecs: &Codecs, sdp: &mut Sdp, at| codecs.answer(sdp, at, &offered);
        self.passed(from, Words::of(body), false, fit)
    }

    fn pass_words(&mut self, from: Side, words: Words, seal: bool) -> Result<Body, StatusCode> {
        self.passed(from, words, seal, |codecs, sdp, at| codecs.offer(sdp, at))
    }

    fn passed(
        &mut self,
        from: Side,
        words: Words,
        seal: bool,
        fit: impl FnOnce(&Codecs, &mut Sdp, usize) -> bool,
    ) -> Result<Body, StatusCode> {
        let refused = StatusCode::NOT_ACCEPTABLE_HERE;
        let mut sdp = Sdp::clone(words.sdp.as_ref().ok_or(StatusCode::BAD_REQUEST)?);
        let audio = audio(&sdp).ok_or(refused)?;
        if !fit(&self.codecs, &mut sdp, audio) {
            return Err(refused);
        }
        let to = from.other();
        let local = self.local(to);
        let others: Vec<usize> =
            sdp.open_streams().map(|(at, _)| at).filter(|at| *at != audio).collect();
        others.into_iter().for_each(|at| sdp.refuse(at));
        if self.parked[index(to)] {
            let speaks = sdp.meant(&sdp.media[audio]).sends();
            let way = if speaks { Direction::SendOnly } else { Direction::Inactive };
            sdp.set_direction(audio, way);
        }
        let rtcp = local.port().checked_add(1);
        sdp.anchor(audio, &Anchor { ip: local.ip(), rtp: local.port(), rtcp });
        sdp.strip(audio, &STRIPPED);
        let crypto = crypto_of(&sdp.media[audio]);
        if sdp.media[audio].is_secure() && crypto.is_none() {
            return Err(refused);
        }
        self.sealed[index(from)] = crypto;
        let lines: Vec<String> = self.own_crypto(to, seal).iter().map(Crypto::value).collect();
        sdp.seal(audio, &lines);
        sdp.make_nameless();
        let version = &mut self.versions[index(to)];
        sdp.set_origin(self.session + index(to) as u64, *version, local.ip());
        *version += 1;
        let told = Body::from(&sdp);
        self.heard[index(from)] = Some(words);
        self.said[index(to)] = Some(Words { body: told.clone(), sdp: Some(Arc::new(sdp)) });
        Ok(told)
    }

    /// What a side said last, for the other one anew: as an offer after something else has changed.
    pub(super) fn again(&mut self, from: Side) -> Option<Body> {
        let last = self.heard[index(from)].clone()?;
        self.pass_words(from, last, false).ok()
    }

    /// What a side said last, for somebody new on the other one: sealed or not, and as if nobody waited,
    /// since a hold may have been of who leaves.
    pub(super) fn anew(&mut self, from: Side, seal: bool) -> Option<Body> {
        let spoken = self.spoken(from)?;
        self.sealed[index(from.other())] = None;
        self.pass_sealed(from, &spoken, seal).ok()
    }

    /// What a side said last, in both directions.
    #[must_use]
    pub(super) fn spoken(&self, from: Side) -> Option<Body> {
        let mut sdp = Sdp::clone(read(&self.heard[index(from)])?);
        let audio = audio(&sdp)?;
        sdp.set_direction(audio, Direction::SendRecv);
        Some(Body::from(&sdp))
    }

    #[must_use]
    pub(super) fn is_parked(&self, side: Side) -> bool {
        self.parked[index(side)]
    }

    /// What the caller said, for somebody who speaks these codecs alone, or seals.
    pub(super) fn offer(&mut self, seal: bool, codecs: &[String]) -> Result<Body, StatusCode> {
        let refused = StatusCode::NOT_ACCEPTABLE_HERE;
        let last = self.heard[index(Side::A)].clone().ok_or(refused)?;
        let own: Vec<Codec> = codecs.iter().filter_map(|name| codec(name)).collect();
        let all = if own.is_empty() {
            self.codecs.allowed.clone()
        } else {
            std::mem::replace(&mut self.codecs.allowed, own)
        };
        let passed = self.pass_words(Side::A, last, seal);
        self.codecs.allowed = all;
        passed
    }

    /// What a side said, where nothing has to be passed on.
    pub(super) fn hear(&mut self, from: Side, body: &Body) {
        let words = Words::of(body);
        let crypto = words.sdp.as_ref().and_then(|sdp| crypto_of(sdp.media.get(audio(sdp)?)?));
        self.sealed[index(from)] = crypto.or_else(|| self.sealed[index(from)].take());
        self.heard[index(from)] = Some(words);
    }

    /// What was last said to a side.
    #[must_use]
    pub(super) fn said(&self, to: Side) -> Option<&Body> {
        self.said[index(to)].as_ref().map(|words| &words.body)
    }

    /// What a side said last.
    #[must_use]
    pub(super) fn heard(&self, from: Side) -> Option<&Body> {
        self.heard[index(from)].as_ref().map(|words| &words.body)
    }

    /// What has come of the exchange with a side, for the relay; `None` while it is not complete.
    #[must_use]
    pub(super) fn remote(&self, side: Side, is_other_peer: bool) -> Option<RemoteMedia> {
        let (ours, theirs) = (read(&self.said[index(side)])?, read(&self.heard[index(side)])?);
        let at = audio(ours)?;
        let (mine, media) = (ours.media.get(at)?, theirs.media.get(at)?);
        let transport = theirs.transport(media);
        let open = media.is_open();
        // An older hold says where by an address of nowhere: that is what `meant` reads.
        let direction = if open { theirs.meant(media) } else { Direction::Inactive };
        Some(RemoteMedia {
            rtp: transport.rtp.filter(|_| open),
            rtcp: transport.rtcp.filter(|_| open),
            rtcp_mux: transport.mux && ours.transport(mine).mux,
            receive: formats(mine),
            send: formats(media),
            sends: direction.sends(),
            receives: direction.receives(),
            srtp: self.sealed[index(side)].as_ref().filter(|_| mine.is_secure()).map(|theirs| {
                Keys {
                    suite: theirs.suite,
                    ours: self.keys[index(side)].clone(),
                    theirs: theirs.key.clone(),
                }
            }),
            signalling: None,
            is_other_peer,
        })
    }

    /// The codec that is spoken to a side.
    #[must_use]
    pub(super) fn codec(&self, side: Side) -> Option<String> {
        let theirs = spoken(&self.heard[index(side)])?;
        let ours = spoken(&self.said[index(side)]);
        let agreed = |codec: &&Codec| {
            let is_told = |ours: &Vec<Codec>| ours.iter().any(|other| other.is_like(codec));
            codec.is_sound() && ours.as_ref().is_none_or(is_told)
        };
        theirs.iter().find(agreed).map(|codec| codec.name.clone())
    }

    /// Whether a side does not want to hear, or to be heard.
    #[must_use]
    pub(super) fn holds(&self, side: Side) -> bool {
        let Some(sdp) = read(&self.heard[index(side)]) else { return false };
        let media = audio(sdp).and_then(|at| sdp.media.get(at));
        let direction = media.map(|media| sdp.meant(media));
        direction.is_some_and(|way| !(way.sends() && way.receives()))
    }

    /// Whether a side seals its packets.
    #[must_use]
    pub(super) fn is_sealed(&self, side: Side) -> bool {
        self.sealed[index(side)].is_some()
    }

    /// Our line for a side that seals, under the tag and the suite that it chose.
    fn own_crypto(&self, to: Side, seal: bool) -> Option<Crypto> {
        let (tag, suite) = match &self.sealed[index(to)] {
            Some(theirs) => (theirs.tag, theirs.suite),
            None if seal => (1, Suite::AesCm128HmacSha1_80),
            None => return None,
        };
        Some(Crypto { tag, suite, key: self.keys[index(to)].clone(), lifetime: None })
    }

    fn local(&self, side: Side) -> SocketAddr {
        match side {
            Side::A => self.local.a,
            Side::B => self.local.b,
        }
    }
}

fn read(words: &Option<Words>) -> Option<&Sdp> {
    words.as_ref()?.sdp.as_deref()
}

/// The codecs of what was said, in its order.
fn spoken(words: &Option<Words>) -> Option<Vec<Codec>> {
    let sdp = read(words)?;
    Some(sdp.media.get(audio(sdp)?)?.codecs())
}

/// The keys of a stream that is sealed: the first line that we can do.
fn crypto_of(media: &Media) -> Option<Crypto> {
    let mut lines = media.crypto().filter(|_| media.is_secure());
    lines.find_map(|line| Crypto::parse(line).ok())
}

/// The stream that is relayed: the first of audio.
fn audio(sdp: &Sdp) -> Option<usize> {
    let fits = |media: &Media| media.kind() == proto_sip::sdp::Kind::Audio && media.is_rtp();
    sdp.open_streams().find(|(_, media)| fits(media)).map(|(at, _)| at)
}

fn formats(media: &Media) -> Vec<Format> {
    media.codecs().iter().map(format).collect()
}

fn format(codec: &Codec) -> Format {
    use proto_media::g711::Law;
    let is = |name: &str| codec.name.eq_ignore_ascii_case(name);
    let encoding = if is("PCMU") && codec.clock_hz == 8_000 {
        Encoding::G711(Law::Mu)
    } else if is("PCMA") && codec.clock_hz == 8_000 {
        Encoding::G711(Law::A)
    } else if codec.is_events() {
        Encoding::Events { clock_hz: codec.clock_hz }
    } else if is("CN") {
        Encoding::ComfortNoise
    } else {
        Encoding::Other { name: codec.name.as_str().into(), clock_hz: codec.clock_hz }
    };
    Format { payload_type: codec.payload_type, encoding }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const OFFER: &str = "v=0\r\no=alice 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
        a=group:BUNDLE 0 1\r\nm=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=rtcp:4001\r\na=x-own:kept\r\nm=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n";

    fn keys() -> [MasterKey; 2] {
        [MasterKey::new([1; 30]), MasterKey::new([2; 30])]
    }

    fn relay() -> Relay {
        let local = |port| SocketAddr::from(([198, 51, 100, 1], port));
        let codecs = Codecs::default();
        Relay::new(Local { a: local(20_000), b: local(30_000) }, 7, codecs, keys())
    }

    fn body(text: &str) -> Body {
        Body::new(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn text(body: &Body) -> String {
        String::from_utf8(body.as_bytes().to_vec()).unwrap()
    }

    fn answer(direction: &str) -> Body {
        body(&format!(
            "v=0\r\no=bob 1 1 IN IP4 203.0.113.9\r\ns=-\r\nc=IN IP4 203.0.113.9\r\nt=0 0\r\n\
             m=audio 5000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n{direction}\
             m=video 0 RTP/AVP 96\r\n"
        ))
    }

    #[test]
    fn what_is_passed_on_leads_to_us_and_nowhere_else() {
        let mut relay = relay();
        let told = text(&relay.pass(Side::A, &body(OFFER)).unwrap());
        assert!(told.contains("m=audio 30000 RTP/AVP 0 8 101") && told.contains("a=x-own:kept"));
        assert!(told.contains("m=video 0 "), "{told}");
        let kept = relay.said[1].as_ref().and_then(|words| words.sdp.as_deref());
        let again = Sdp::parse(relay.said(Side::B).unwrap().as_bytes(), &Limits::default());
        assert_eq!(kept, again.ok().as_ref(), "what is kept is what was said");
        for gone in ["192.0.2.7", "4001", "BUNDLE", "alice"] {
            assert!(!told.contains(gone), "{gone} in {told}");
        }
        let back = text(&relay.pass_answer(Side::B, &answer("")).unwrap());
        assert!(back.contains("m=audio 20000 RTP/AVP 8 101") && !back.contains("203.0.113.9"));
    }

    #[test]
    fn the_relay_is_told_what_both_sides_said() {
        let mut relay = relay();
        relay.pass(Side::A, &body(OFFER)).unwrap();
        assert!(relay.remote(Side::A, false).is_none() && relay.remote(Side::B, false).is_none());
        relay.pass_answer(Side::B, &answer("a=sendonly\r\n")).unwrap();
        let (a, b) = (relay.remote(Side::A, false).unwrap(), relay.remote(Side::B, true).unwrap());
        assert_eq!(a.rtp, Some(SocketAddr::from(([192, 0, 2, 7], 4_000))));
        assert_eq!(a.rtcp, Some(SocketAddr::from(([192, 0, 2, 7], 4_001))));
        assert_eq!(a.receive.len(), 2);
        assert_eq!(a.send.len(), 3);
        assert!(a.sends && a.receives);
        assert_eq!(b.rtp, Some(SocketAddr::from(([203, 0, 113, 9], 5_000))));
        assert!(b.sends && !b.receives && b.is_other_peer);
        assert_eq!(relay.codec(Side::B).as_deref(), Some("PCMA"));
        assert!(relay.holds(Side::B) && !relay.holds(Side::A));
    }

    #[test]
    fn each_side_keeps_its_own_law_where_they_have_none_in_common() {
        let mut relay = relay();
        relay.codecs.own = vec![codec("PCMU").unwrap(), codec("PCMA").unwrap()];
        let only = OFFER.replace("RTP/AVP 0 8 101", "RTP/AVP 0 101");
        let told = text(&relay.pass(Side::A, &body(&only)).unwrap());
        assert!(told.contains("m=audio 30000 RTP/AVP 0 8 101"), "{told}");
        let back = text(&relay.pass_answer(Side::B, &answer("")).unwrap());
        assert!(back.contains("m=audio 20000 RTP/AVP 0 101"), "{back}");
        let codecs = Side::BOTH.map(|side| relay.codec(side).unwrap());
        assert_eq!(codecs, ["PCMU", "PCMA"]);
        let again = text(&relay.again(Side::B).unwrap());
        assert!(again.contains("RTP/AVP 8 0 101"), "{again}");
        let hold = text(&relay.pass_answer(Side::A, &body(&only)).unwrap());
        assert!(hold.contains("RTP/AVP 8 101"), "{hold}");
        let a = relay.remote(Side::A, false).unwrap();
        assert!(a.receive.contains(&Format::g711(proto_media::g711::Law::Mu)), "{a:?}");
    }

    #[test]
    fn who_waits_is_told_that_nobody_listens() {
        let mut relay = relay();
        relay.pass(Side::A, &body(OFFER)).unwrap();
        relay.park(Side::B, true);
        let told = text(&relay.again(Side::A).unwrap());
        assert!(told.contains("a=sendonly") && told.contains("m=audio 30000"), "{told}");
        let quiet = text(&relay.pass(Side::A, &answer("a=recvonly\r\n")).unwrap());
        assert!(quiet.contains("a=inactive"), "{quiet}");
        relay.park(Side::B, false);
        let back = text(&relay.pass(Side::A, &body(OFFER)).unwrap());
        assert!(!back.contains("a=sendonly") && !back.contains("a=inactive"), "{back}");
    }

    #[test]
    fn each_description_is_a_new_version() {
        let mut relay = relay();
        let first = relay.pass(Side::A, &body(OFFER)).unwrap();
        let second = relay.again(Side::A).unwrap();
        assert_ne!(first, second);
        assert!(text(&second).contains("o=- 8 2 IN IP4 198.51.100.1"), "{}", text(&second));
    }

    #[test]
    fn each_side_that_seals_has_keys_with_us_alone() {
        let mut relay = relay();
        let theirs = Crypto {
            tag: 3,
            suite: Suite::AesCm128HmacSha1_32,
            key: MasterKey::new([9; 30]),
            lifetime: None,
        };
        let sealed = OFFER.replace("m=audio 4000 RTP/AVP", "m=audio 4000 RTP/SAVP").replace(
            "a=rtcp:4001",
            &format!("a=crypto:1 UNKNOWN inline:x\r\na=crypto:{}", theirs.value()),
        );
        let told = text(&relay.pass(Side::A, &body(&sealed)).unwrap());
        assert!(told.contains("RTP/AVP 0") && !told.contains("crypto"), "{told}");
        assert!(relay.is_sealed(Side::A) && !relay.is_sealed(Side::B));
        let back = text(&relay.pass_answer(Side::B, &answer("")).unwrap());
        assert!(back.contains("RTP/SAVP 8"), "{back}");
        assert!(back.contains("a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:"), "{back}");
        let a = relay.remote(Side::A, false).unwrap().srtp.unwrap();
        assert_eq!((a.ours, a.theirs), (MasterKey::new([1; 30]), MasterKey::new([9; 30])));
        assert_eq!(relay.remote(Side::B, false).unwrap().srtp, None);
        let both = text(&relay.pass_sealed(Side::A, &body(&sealed), true).unwrap());
        assert!(both.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"), "{both}");
    }

    #[test]
    fn what_cannot_be_relayed_is_refused() {
        let mut relay = relay();
        let sealed = OFFER.replace("m=audio 4000 RTP/AVP", "m=audio 4000 RTP/SAVP");
        assert_eq!(relay.pass(Side::A, &body(&sealed)), Err(StatusCode::NOT_ACCEPTABLE_HERE));
        assert_eq!(relay.pass(Side::A, &body("x")), Err(StatusCode::BAD_REQUEST));
        let only = Codecs { allowed: vec![Codec::new(9, "G722", 8_000)], own: Vec::new() };
        let local = |port| SocketAddr::from(([198, 51, 100, 1], port));
        let mut strict = Relay::new(Local { a: local(2), b: local(4) }, 7, only, keys());
        assert_eq!(strict.pass(Side::A, &body(OFFER)), Err(StatusCode::NOT_ACCEPTABLE_HERE));
    }
}
