//! SRTP and SRTCP (RFC 3711): AES in counter mode with HMAC-SHA1, tags of 80 or 32 bits.
//!
//! A `Context` is one direction under one key. It keeps, for each source, how often the numbers wrapped
//! and which of the last 128 packets came, so that rollover survives a re-INVITE that keeps the key
//! (`rekey`) and no packet counts twice. Nothing of a packet is believed before its tag is; a packet
//! that is refused changes nothing. Of too many sources under one key the one that was not heard for
//! longest is forgotten, never one that we seal. Keys come from SDES lines (`sdes`) and are never shown.

pub mod sdes;
mod track;

use std::fmt;

use aes::Aes128;
use ctr::Ctr128BE;
use ctr::cipher::{InnerIvInit as _, KeyInit as _, StreamCipher as _, StreamCipherCoreWrapper};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use thiserror::Error;

use crate::rtp::{Head, RtpError};
use track::Track;

/// Octets of a master key with its salt.
pub const MASTER: usize = 30;
const KEY: usize = 16;
const SALT: usize = 14;
/// Octets of the tag of SRTCP, whatever the suite.
const RTCP_TAG: usize = 10;
/// Sources under one key.
const SOURCES_MAX: usize = 1_024;
/// The last index under one key (RFC 3711 §9.2).
const RTP_INDEX_MAX: u64 = (1 << 48) - 1;
const RTCP_INDEX_MAX: u64 = (1 << 31) - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    AesCm128HmacSha1_80,
    AesCm128HmacSha1_32,
}

impl Suite {
    pub fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    pub fn of_name(name: &str) -> Option<Self> {
        [Self::AesCm128HmacSha1_80, Self::AesCm128HmacSha1_32]
            .into_iter()
            .find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    fn tag(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 => 10,
            Self::AesCm128HmacSha1_32 => 4,
        }
    }
}

/// A master key and its salt. It has no `Debug` that shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey([u8; MASTER]);

impl MasterKey {
    /// From octets that somebody else cannot guess.
    pub fn new(octets: [u8; MASTER]) -> Self {
        Self(octets)
    }

    fn octets(&self) -> &[u8; MASTER] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("MasterKey(…)")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SrtpError {
    #[error("no RTP: {0}")]
    Rtp(#[from] RtpError),
    #[error("too short for its tag")]
    Short,
    #[error("the tag does not fit")]
    Tag,
    #[error("came before, or too late to tell")]
    Replayed,
    #[error("more than {SOURCES_MAX} sources under one key")]
    Sources,
    #[error("the key has sealed all it may")]
    Exhausted,
}

/// The keys derived for one kind of packet.
#[derive(Clone)]
struct Keys {
    cipher: Aes128,
    salt: [u8; SALT],
    /// Keyed, with nothing read.
    mac: Hmac<Sha1>,
}

impl Keys {
    /// By the labels of RFC 3711 §4.3: `first` for the cipher, the next for the tag, then the salt.
    fn derive(master: &MasterKey, first: u8) -> Self {
        let octets = master.octets();
        let (key, rest) = octets.split_first_chunk::<KEY>().unwrap_or((&[0; KEY], &[]));
        let salt = rest.first_chunk::<SALT>().unwrap_or(&[0; SALT]);
        let master = Aes128::new(&(*key).into());
        let mut key = [0; KEY];
        let mut tag_key = [0; 20];
        let mut session_salt = [0; SALT];
        derive(&master, salt, first, &mut key);
        derive(&master, salt, first + 1, &mut tag_key);
        derive(&master, salt, first + 2, &mut session_salt);
        let mac = Hmac::new_from_slice(&tag_key).expect("HMAC takes a key of any length");
        Self { cipher: Aes128::new(&key.into()), salt: session_salt, mac }
    }

    /// Seals or opens: the counter mode is its own inverse.
    fn apply(&self, ssrc: u32, index: u64, data: &mut [u8]) {
        let mut iv = [0; 16];
        iv[..SALT].copy_from_slice(&self.salt);
        xor(&mut iv[4..8], &ssrc.to_be_bytes());
        xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
        apply(&self.cipher, &iv, data);
    }

    fn mac_of(&self, authenticated: &[u8], after: &[u8]) -> Hmac<Sha1> {
        let mut mac = self.mac.clone();
        mac.update(authenticated);
        mac.update(after);
        mac
    }
}

fn xor(place: &mut [u8], with: &[u8]) {
    place.iter_mut().zip(with).for_each(|(octet, other)| *octet ^= other);
}

fn apply(cipher: &Aes128, iv: &[u8; 16], data: &mut [u8]) {
    let core = ctr::CtrCore::inner_iv_init(cipher, iv.into());
    let mut stream: Ctr128BE<&Aes128> = StreamCipherCoreWrapper::from_core(core);
    stream.apply_keystream(data);
}

/// The key derivation, with a rate of 0 (RFC 3711 §4.3.1). `out` is zeros.
fn derive(master: &Aes128, salt: &[u8; SALT], label: u8, out: &mut [u8]) {
    let mut iv = [0; 16];
    iv[..SALT].copy_from_slice(salt);
    iv[7] ^= label;
    apply(master, &iv, out);
}

/// One direction under one key.
#[derive(Clone)]
pub struct Context {
    suite: Suite,
    master: MasterKey,
    rtp: Keys,
    rtcp: Keys,
    rtp_tracks: Tracks,
    rtcp_tracks: Tracks,
}

impl fmt::Debug for Context {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = self.rtp_tracks.sources.len();
        out.debug_struct("Context").field("suite", &self.suite).field("sources", &sources).finish()
    }
}

impl Context {
    pub fn new(suite: Suite, master: MasterKey) -> Self {
        Self {
            suite,
            rtp: Keys::derive(&master, 0),
            rtcp: Keys::derive(&master, 3),
            master,
            rtp_tracks: Tracks::default(),
            rtcp_tracks: Tracks::default(),
        }
    }

    /// What a new offer or answer says. The same key keeps its counts: a re-INVITE must not begin
    /// them anew, or all after the first wrap would be refused.
    pub fn rekey(&mut self, suite: Suite, master: MasterKey) {
        if suite != self.suite || master != self.master {
            let forgotten = self.forgotten();
            *self = Self::new(suite, master);
            self.rtp_tracks.forgotten = forgotten;
        }
    }

    /// Sources that were forgotten because there were too many.
    pub fn forgotten(&self) -> u64 {
        self.rtp_tracks.forgotten + self.rtcp_tracks.forgotten
    }

    /// Seals an RTP packet; an index that was sealed before is refused, since it would give both away.
    pub fn protect(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let head = Head::parse(packet)?;
        let (at, index) = self.rtp_tracks.place(head.ssrc, |track| track.guess(head.sequence))?;
        if at >= SOURCES_MAX {
            return Err(SrtpError::Sources);
        }
        if index > RTP_INDEX_MAX {
            return Err(SrtpError::Exhausted);
        }
        self.rtp.apply(head.ssrc, index, &mut packet[head.octets..]);
        let rollover = ((index >> 16) as u32).to_be_bytes();
        let tag = self.rtp.mac_of(packet, &rollover).finalize().into_bytes();
        packet.extend(&tag[..self.suite.tag()]);
        self.rtp_tracks.note(at, head.ssrc, index);
        Ok(())
    }

    /// Opens an SRTP packet in place and gives the length of the RTP packet it now begins with.
    pub fn unprotect(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let head = Head::parse(packet)?;
        let length = packet.len().checked_sub(self.suite.tag()).ok_or(SrtpError::Short)?;
        if length < head.octets {
            return Err(SrtpError::Short);
        }
        let (at, index) = self.rtp_tracks.place(head.ssrc, |track| track.guess(head.sequence))?;
        if index > RTP_INDEX_MAX {
            return Err(SrtpError::Exhausted);
        }
        let (sealed, tag) = packet.split_at_mut(length);
        let rollover = ((index >> 16) as u32).to_be_bytes();
        let mac = self.rtp.mac_of(sealed, &rollover);
        mac.verify_truncated_left(tag).map_err(|_| SrtpError::Tag)?;
        self.rtp.apply(head.ssrc, index, &mut sealed[head.octets..]);
        self.rtp_tracks.note(at, head.ssrc, index);
        Ok(length)
    }

    /// Seals a compound RTCP packet.
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let ssrc = rtcp_source(packet)?;
        let (at, index) = self.rtcp_tracks.place(ssrc, |track| Some(track.after()))?;
        if at >= SOURCES_MAX {
            return Err(SrtpError::Sources);
        }
        if index > RTCP_INDEX_MAX {
            return Err(SrtpError::Exhausted);
        }
        self.rtcp.apply(ssrc, index, &mut packet[8..]);
        packet.extend((0x8000_0000 | index as u32).to_be_bytes());
        let tag = self.rtcp.mac_of(packet, &[]).finalize().into_bytes();
        packet.extend(&tag[..RTCP_TAG]);
        self.rtcp_tracks.note(at, ssrc, index);
        Ok(())
    }

    /// Opens an SRTCP packet in place and gives the length of what it now begins with.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = rtcp_source(packet)?;
        let length = packet.len().checked_sub(RTCP_TAG + 4).filter(|length| *length >= 8);
        let length = length.ok_or(SrtpError::Short)?;
        let (authenticated, tag) = packet.split_at_mut(length + 4);
        let (_, word) = authenticated.split_at(length);
        let word = u32::from_be_bytes(*word.first_chunk().ok_or(SrtpError::Short)?);
        let index = u64::from(word & 0x7FFF_FFFF);
        let (at, index) = self.rtcp_tracks.place(ssrc, |track| track.unless_seen(index))?;
        let mac = self.rtcp.mac_of(authenticated, &[]);
        mac.verify_truncated_left(tag).map_err(|_| SrtpError::Tag)?;
        if word & 0x8000_0000 != 0 {
            self.rtcp.apply(ssrc, index, &mut authenticated[8..length]);
        }
        self.rtcp_tracks.note(at, ssrc, index);
        Ok(length)
    }
}

/// The source of a compound's first packet.
fn rtcp_source(packet: &[u8]) -> Result<u32, SrtpError> {
    let [first, _, _, _, ssrc @ ..] = *packet.first_chunk::<8>().ok_or(SrtpError::Short)?;
    if first >> 6 != 2 {
        return Err(RtpError::Version(first >> 6).into());
    }
    Ok(u32::from_be_bytes(ssrc))
}

#[derive(Clone)]
struct Source {
    ssrc: u32,
    track: Track,
    /// Which of all packets under the key was its last.
    last: u64,
}

/// All sources under one key.
#[derive(Clone, Default)]
struct Tracks {
    sources: Vec<Source>,
    /// Packets so far.
    packets: u64,
    forgotten: u64,
}

impl Tracks {
    /// Where a source's track is, or would be, and the index that `choose` gives it.
    fn place(
        &self,
        ssrc: u32,
        choose: impl FnOnce(&Track) -> Option<u64>,
    ) -> Result<(usize, u64), SrtpError> {
        let found = self.sources.iter().position(|source| source.ssrc == ssrc);
        let at = found.unwrap_or(self.sources.len());
        let fresh = Track::default();
        let track = self.sources.get(at).map_or(&fresh, |source| &source.track);
        Ok((at, choose(track).ok_or(SrtpError::Replayed)?))
    }

    fn note(&mut self, at: usize, ssrc: u32, index: u64) {
        self.packets += 1;
        let last = self.packets;
        if let Some(source) = self.sources.get_mut(at) {
            source.last = last;
            return source.track.note(index);
        }
        let mut source = Source { ssrc, track: Track::default(), last };
        source.track.note(index);
        if self.sources.len() < SOURCES_MAX {
            self.sources.push(source);
        } else if let Some(oldest) = self.sources.iter_mut().min_by_key(|source| source.last) {
            *oldest = source;
            self.forgotten += 1;
        }
    }
}

#[cfg(test)]
mod tests;
