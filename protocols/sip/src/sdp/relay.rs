//! What a relay changes in a description that it passes on: addresses, ports, codecs, and no more.
//!
//! All other lines leave as they came. An address of zeros, which says hold in the older way, becomes
//! a direction, since the relay's own address takes its place. Candidates of ICE would lead around the
//! relay and go; so does the bundling of streams, whose ports are apart here.

use std::net::IpAddr;

use super::{Codec, Direction, Media, Sdp, address, network};

/// Where the relay takes the packets of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    pub ip: IpAddr,
    pub rtp: u16,
    /// `None` where both share the port; it is kept only if the description asked for that.
    pub rtcp: Option<u16>,
}

/// Attributes that lead to somebody else than the relay.
const ICE: [&str; 9] = [
    "candidate",
    "remote-candidates",
    "end-of-candidates",
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "ice-lite",
    "ice-mismatch",
    "ice-pacing",
];

impl Sdp {
    /// Takes out what says who speaks: the session's name, its words, addresses and numbers, RFC 8866 §5.3
    /// to §5.6.
    pub fn make_nameless(&mut self) {
        self.session.set(b's', "-".to_owned());
        self.session.remove(b"iuep");
        self.media.iter_mut().for_each(|media| media.section.remove(b"i"));
    }

    /// Says who passes this on, in the place of who made it.
    pub fn set_origin(&mut self, session: u64, version: u64, ip: IpAddr) {
        self.session.set(b'o', format!("- {session} {version} {}", network(ip)));
    }

    /// Leads a stream through the relay. A refused stream, or none of that number, stays as it is and
    /// gives `false`.
    pub fn anchor(&mut self, index: usize, anchor: &Anchor) -> bool {
        let Some(media) = self.media.get(index).filter(|media| media.is_open()) else {
            return false;
        };
        let meant = self.meant(media);
        let said = self.direction(media);
        let media = &mut self.media[index];
        if meant != said {
            meant.write(&mut media.section);
        }
        media.set_port(anchor.rtp);
        media.section.set(b'c', address::connection(anchor.ip));
        let keeps_mux = anchor.rtcp.is_none();
        media.section.remove_attributes(|name, _| {
            name == "rtcp"
                || name == "bundle-only"
                || ICE.contains(&name)
                || (name == "rtcp-mux" && !keeps_mux)
        });
        if let Some(rtcp) = anchor.rtcp
            && Some(rtcp) != anchor.rtp.checked_add(1)
        {
            media.say(format!("rtcp:{rtcp}"));
        }
        self.lead_session(index, anchor.ip);
        self.session.remove_attributes(|name, value| {
            ICE.contains(&name) || (name == "group" && value.starts_with("BUNDLE"))
        });
        true
    }

    /// Changes the session's host; other streams that had it from there get it as their own first.
    fn lead_session(&mut self, index: usize, ip: IpAddr) {
        let Some(before) = self.session.text(b'c').map(str::to_owned) else { return };
        let others = self.media.iter_mut().enumerate().filter(|(other, _)| *other != index);
        for (_, media) in others.filter(|(_, media)| media.is_open()) {
            if media.section.text(b'c').is_none() {
                media.section.set(b'c', before.clone());
            }
        }
        self.session.set(b'c', address::connection(ip));
    }

    /// Refuses a stream and keeps its place.
    pub fn refuse(&mut self, index: usize) {
        if let Some(media) = self.media.get_mut(index) {
            *media = media.refused();
        }
    }

    /// Says which codecs a stream carries, in this order. What is said of those that it had stays, what is
    /// said of others goes.
    pub fn set_codecs(&mut self, index: usize, codecs: &[Codec]) {
        if let Some(media) = self.media.get_mut(index) {
            media.set_codecs(codecs);
        }
    }

    /// Says how long a packet of a stream lasts, in the place of what it said.
    pub fn set_ptime(&mut self, index: usize, millis: u32) {
        if let Some(media) = self.media.get_mut(index) {
            media.section.remove_attributes(|name, _| matches!(name, "ptime" | "maxptime"));
            media.say(format!("ptime:{millis}"));
        }
    }

    /// Removes attributes of a stream and of the session by their names, as keys that end here.
    pub fn strip(&mut self, index: usize, names: &[&str]) {
        if let Some(media) = self.media.get_mut(index) {
            media.section.remove_attributes(|name, _| names.contains(&name));
        }
        self.session.remove_attributes(|name, _| names.contains(&name));
    }

    /// Says how a stream is sealed: with these values of `crypto`, or without any in the clear.
    pub fn seal(&mut self, index: usize, crypto: &[String]) {
        let Some(media) = self.media.get_mut(index) else { return };
        media.section.remove_attributes(|name, _| name == "crypto");
        media.set_secure(!crypto.is_empty());
        crypto.iter().for_each(|line| media.say(format!("crypto:{line}")));
    }

    /// Says what a stream will do, in the place of what it said.
    pub fn set_direction(&mut self, index: usize, direction: Direction) {
        if let Some(media) = self.media.get_mut(index) {
            direction.write(&mut media.section);
        }
    }

    /// The streams that a relay leads, with their places.
    pub fn open_streams(&self) -> impl Iterator<Item = (usize, &Media)> {
        self.media.iter().enumerate().filter(|(_, media)| media.is_open())
    }
}
