//! A leg's SRTP: one context for each direction, by the keys that signalling agreed (SDES).

use proto_media::srtp::{Context, MasterKey, Suite};

/// Keys of both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    pub suite: Suite,
    /// What we seal with: of our description.
    pub ours: MasterKey,
    /// What the peer seals with: of its description.
    pub theirs: MasterKey,
}

#[derive(Debug)]
pub(super) struct Seal {
    incoming: Context,
    outgoing: Context,
    /// What is sent, with room for its tag.
    room: Vec<u8>,
}

impl Seal {
    pub(super) fn new(keys: &Keys) -> Self {
        Self {
            incoming: Context::new(keys.suite, keys.theirs.clone()),
            outgoing: Context::new(keys.suite, keys.ours.clone()),
            room: Vec::new(),
        }
    }

    /// A new description: a key that stays keeps its counts.
    pub(super) fn rekey(&mut self, keys: &Keys) {
        self.incoming.rekey(keys.suite, keys.theirs.clone());
        self.outgoing.rekey(keys.suite, keys.ours.clone());
    }

    /// Sources of the peer that were forgotten because there were too many.
    pub(super) fn forgotten(&self) -> u64 {
        self.incoming.forgotten()
    }

    /// How long the RTP packet is that the octets now begin with.
    pub(super) fn open(&mut self, octets: &mut [u8]) -> Option<usize> {
        self.incoming.unprotect(octets).ok()
    }

    pub(super) fn open_rtcp(&mut self, octets: &mut [u8]) -> Option<usize> {
        self.incoming.unprotect_rtcp(octets).ok()
    }

    /// The packet as it may travel.
    pub(super) fn close(&mut self, octets: &[u8]) -> Option<&[u8]> {
        self.fill(octets);
        self.outgoing.protect(&mut self.room).ok()?;
        Some(&self.room)
    }

    pub(super) fn close_rtcp(&mut self, octets: &[u8]) -> Option<&[u8]> {
        self.fill(octets);
        self.outgoing.protect_rtcp(&mut self.room).ok()?;
        Some(&self.room)
    }

    fn fill(&mut self, octets: &[u8]) {
        self.room.clear();
        self.room.extend_from_slice(octets);
    }
}
