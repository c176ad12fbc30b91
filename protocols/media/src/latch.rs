//! From whom media may come: symmetric RTP, latched once and then locked.
//!
//! A peer behind a NAT sends from an address that its SDP does not name, so the first good packet
//! tells where it is. The same habit lets strangers inject sound, or have it sent to them. So: before
//! a description nobody is heard. After it a latch closes on the host of the SDP or of its signalling, on
//! a packet that proves its key (SRTP), or on the first source that sent some packets in a row. The last
//! is a guess, and yields once, at any time, to those before it. Else a locked latch opens only for the
//! very address that the SDP names, and for a while after a new description. When that names another
//! place we send there at once, and hear the old source until the new one speaks. One latch guards one
//! socket; RTCP of its own has a latch of its own.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long after a new description a stranger may take over a latch that is locked.
const REOPEN: Duration = Duration::from_secs(10);
/// Packets in a row, from one address and source, before a stranger is believed.
const PROOF: u8 = 3;

/// Who may close the latch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Only hosts that signalling named: for trunks with fixed addresses.
    NamedHosts,
    /// Others too, after they proved to be one source: for peers behind NAT.
    AnyProven,
}

/// What is known of a datagram beside where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    pub from: SocketAddr,
    /// Of a packet that reads as RTP or RTCP; anything else never closes a latch.
    pub ssrc: Option<u32>,
    /// RTP's number; RTCP has none and shows nothing to be one source.
    pub sequence: Option<u16>,
    /// Its authentication tag was good.
    pub proven: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// Accepted, and what we send goes here from now on.
    Latched(SocketAddr),
    Refuse(Refusal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The peer is not described yet.
    Undescribed,
    /// Locked to another address.
    Locked,
    /// Not a host that signalling named.
    Stranger,
    /// Not enough packets in a row yet.
    Unproven,
    /// No media at all.
    NotMedia,
}

/// By what a lock was won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// It was one source, or came from where other media came from; anybody can be that.
    Guess,
    /// The SDP or signalling named its host.
    Named,
    /// It had the key.
    Key,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lock {
    at: SocketAddr,
    claim: Claim,
}

/// A stranger on its way to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    from: SocketAddr,
    ssrc: u32,
    sequence: u16,
    in_a_row: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latch {
    policy: Policy,
    /// There was a description.
    described: bool,
    /// Where the SDP wants media; `None` for a hold by 0.0.0.0 or before any SDP.
    named: Option<SocketAddr>,
    /// The last place that an SDP named, whatever holds came after it.
    place: Option<SocketAddr>,
    /// The SDP named another place than before, and nothing came from there yet.
    moved: bool,
    /// Where the signalling came from.
    signalling: Option<IpAddr>,
    /// Where other media of this peer come from.
    vouched: Option<IpAddr>,
    /// Where the peer before this one is, who may go on for a while.
    gone: Option<SocketAddr>,
    locked: Option<Lock>,
    /// Until then a stranger may take over.
    open_until: Option<Instant>,
    candidate: Option<Candidate>,
}

impl Latch {
    /// Nobody is heard before `describe`.
    pub fn new(policy: Policy, signalling: Option<IpAddr>) -> Self {
        Self {
            policy,
            described: false,
            named: None,
            place: None,
            moved: false,
            signalling,
            vouched: None,
            gone: None,
            locked: None,
            open_until: None,
            candidate: None,
        }
    }

    /// For another peer than one that was there before, whom nobody hears any more unless the SDP names
    /// that very address, or it has the new key.
    #[must_use]
    pub fn after(mut self, gone: Option<SocketAddr>) -> Self {
        self.gone = gone;
        self
    }

    /// Where the peer's signalling comes from now.
    pub fn signalled(&mut self, host: IpAddr) {
        self.signalling = Some(host);
    }

    /// Where to send: where the SDP says until something came, and after that to where it came from.
    pub fn target(&self) -> Option<SocketAddr> {
        let on_hold = self.named.is_none() && self.place.is_some();
        match self.locked {
            Some(lock) if !self.moved && !on_hold => Some(lock.at),
            _ => self.named,
        }
    }

    pub fn locked(&self) -> Option<SocketAddr> {
        self.locked.map(|lock| lock.at)
    }

    pub fn is_locked_to(&self, host: IpAddr) -> bool {
        self.locked.is_some_and(|lock| lock.at.ip() == host)
    }

    /// Whether the SDP names this host.
    pub fn names(&self, host: IpAddr) -> bool {
        self.named.is_some_and(|named| named.ip() == host)
    }

    /// An offer or answer was agreed. The same address opens the latch as well: behind a NAT the
    /// SDP stays what it was while the mapping changes.
    pub fn describe(&mut self, named: Option<SocketAddr>, now: Instant) {
        self.described = true;
        self.named = named.filter(is_usable);
        if let Some(named) = self.named
            && self.place.replace(named) != Some(named)
        {
            self.moved = self.locked.is_some_and(|lock| lock.at != named);
        }
        if let Some(lock) = &mut self.locked
            && self.named == Some(lock.at)
        {
            lock.claim = Claim::Named;
        }
        self.open_until = self.locked.map(|_| now + REOPEN);
        self.candidate = None;
    }

    /// Other media of this peer come from this host; a lock that rested on another one is void.
    pub fn vouch(&mut self, host: IpAddr) {
        self.vouched = Some(host);
        self.locked = self.locked.filter(|lock| lock.claim != Claim::Guess || lock.at.ip() == host);
    }

    pub fn packet(&mut self, arrival: &Arrival, now: Instant) -> Verdict {
        if !self.described {
            return Verdict::Refuse(Refusal::Undescribed);
        }
        if self.open_until.is_some_and(|until| now >= until) {
            self.open_until = None;
            self.candidate = None;
        }
        if let Some(lock) = &mut self.locked
            && lock.at == arrival.from
        {
            if arrival.proven {
                lock.claim = Claim::Key;
            }
            return Verdict::Accept;
        }
        if self.gone == Some(arrival.from) && self.named != self.gone && !arrival.proven {
            return Verdict::Refuse(Refusal::Locked);
        }
        let Some(ssrc) = arrival.ssrc else { return Verdict::Refuse(Refusal::NotMedia) };
        if let Some(claim) = self.claim(arrival) {
            return self.lock(arrival.from, claim);
        }
        let is_named = self.is_named(arrival.from.ip());
        let is_open = self.locked.is_none() || self.open_until.is_some();
        let may_take = is_open || (self.moved && is_named);
        if !may_take {
            return Verdict::Refuse(Refusal::Locked);
        }
        if self.policy == Policy::NamedHosts && !is_named {
            return Verdict::Refuse(Refusal::Stranger);
        }
        if self.prove(arrival, ssrc) {
            self.lock(arrival.from, if is_named { Claim::Named } else { Claim::Guess })
        } else {
            Verdict::Refuse(Refusal::Unproven)
        }
    }

    /// By what a packet from elsewhere has the latch at once.
    fn claim(&self, arrival: &Arrival) -> Option<Claim> {
        let host = arrival.from.ip();
        let is_weak = self.locked.is_none_or(|lock| lock.claim == Claim::Guess);
        if arrival.proven && (is_weak || self.open_until.is_some()) {
            return Some(Claim::Key);
        }
        if self.named == Some(arrival.from) || (is_weak && self.is_named(host)) {
            return Some(Claim::Named);
        }
        // Of a new place the host is enough; on the old host another port has to be the one named.
        if self.moved && self.names(host) && !self.is_locked_to(host) {
            return Some(Claim::Named);
        }
        (self.locked.is_none() && self.vouched == Some(host)).then_some(Claim::Guess)
    }

    fn is_named(&self, host: IpAddr) -> bool {
        self.names(host) || self.signalling == Some(host)
    }

    fn lock(&mut self, from: SocketAddr, claim: Claim) -> Verdict {
        self.locked = Some(Lock { at: from, claim });
        self.moved = false;
        self.open_until = None;
        self.candidate = None;
        Verdict::Latched(from)
    }

    /// Counts packets in a row; any other address, source or number begins anew.
    fn prove(&mut self, arrival: &Arrival, ssrc: u32) -> bool {
        let Some(sequence) = arrival.sequence else { return false };
        let from = arrival.from;
        let follows = |before: &Candidate| {
            let next = before.sequence.wrapping_add(1);
            (before.from, before.ssrc, next) == (from, ssrc, sequence)
        };
        let before = self.candidate.filter(follows).map_or(0, |before| before.in_a_row);
        let in_a_row = before + 1;
        self.candidate = Some(Candidate { from, ssrc, sequence, in_a_row });
        in_a_row >= PROOF
    }
}

/// An address that something can be sent to.
fn is_usable(address: &SocketAddr) -> bool {
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()
}

#[cfg(test)]
mod tests;
