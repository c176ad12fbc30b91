//! A session on its thread: two legs, and what of one goes to the other.
//!
//! Everything here happens on one thread, for one packet, one order or one tick at a time. Nothing
//! waits, nothing is allocated for a packet.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Registry;

use proto_media::dtmf::Heard;
use proto_media::rtp::{self, Packet};

use super::Refused;
use super::convert::{Conversion, Load, Turn};
use super::leg::{Admitted, DATAGRAM_MAX, Leg, STEP};
use super::mapping::{Mapping, Passage};
use super::notice::{Event, Notices};
use super::outgoing::Incoming;
use super::reach::Reach;
use super::record::Tap;
use super::relay::{Opening, Order, Times};
use super::session::{RemoteMedia, Report, SessionId, Side, Watch};

/// Datagrams of one socket before others have their turn.
const TURN: usize = 32;
/// Frames of our own that are later than this are left out.
const BEHIND: Duration = Duration::from_millis(200);

/// Which of a leg's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Rtp,
    Rtcp,
}

/// Where a thread reads to; one for all its sessions.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) octets: Box<[u8; DATAGRAM_MAX]>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { octets: Box::new([0; DATAGRAM_MAX]) }
    }
}

#[derive(Debug)]
pub(super) struct Crossing {
    id: SessionId,
    legs: [Leg; 2],
    /// From A to B, and from B to A.
    mappings: [Mapping; 2],
    /// What A says and what B says, where it has to be made anew.
    conversions: [Conversion; 2],
    load: Load,
    notices: Notices,
    tap: Option<Tap>,
    /// When the next frame of our own is due, while there are any.
    due: Option<Instant>,
    watch: Watch,
    opened: Instant,
}

/// A session that a fault of ours ended, until its owner knows.
#[derive(Debug)]
pub(super) struct Broken {
    notices: Notices,
    watch: Watch,
}

impl Broken {
    /// What is left of a session that could not be opened.
    pub(super) fn of(opening: &Opening) -> Self {
        let notices = Notices::new(opening.id, opening.args.notices.clone());
        Self { notices, watch: opening.life.clone() }
    }

    /// Whether nothing is left to tell, or nobody to tell it to.
    pub(super) fn is_told(&self) -> bool {
        self.watch.is_abandoned() || self.notices.try_tell(Side::A, Event::Broken)
    }
}

impl Crossing {
    /// Its sockets are polled under four tokens from this one on.
    pub(super) fn open(
        opening: Opening,
        reach: &Arc<Reach>,
        registry: &Registry,
        token: usize,
        now: Instant,
    ) -> std::io::Result<Self> {
        let Opening { id, args, pairs, life, load } = opening;
        let [a, b] = pairs;
        let [of_a, of_b] = args.legs;
        Ok(Self {
            id,
            legs: [
                Leg::open(Side::A, a, of_a, reach, registry, token, now)?,
                Leg::open(Side::B, b, of_b, reach, registry, token + 2, now)?,
            ],
            mappings: [Mapping::new(&[], &[]), Mapping::new(&[], &[])],
            conversions: Default::default(),
            load,
            notices: Notices::new(id, args.notices),
            tap: None,
            due: None,
            watch: life,
            opened: now,
        })
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// Nobody holds its handle.
    pub(super) fn is_abandoned(&self) -> bool {
        self.watch.is_abandoned()
    }

    fn pair(&mut self, from: Side) -> (&mut Leg, &mut Leg) {
        let [a, b] = &mut self.legs;
        match from {
            Side::A => (a, b),
            Side::B => (b, a),
        }
    }

    /// Takes what waits at a socket; whether there may be more.
    pub(super) fn readable(
        &mut self,
        side: Side,
        channel: Channel,
        scratch: &mut Scratch,
        clock: impl Fn() -> Instant,
    ) -> bool {
        for _ in 0..TURN {
            let leg = &mut self.legs[side.index()];
            let octets = &mut scratch.octets[..];
            let received = match channel {
                Channel::Rtp => leg.receive(octets),
                Channel::Rtcp => leg.receive_rtcp(octets),
            };
            match received {
                Ok((length, from)) => {
                    let now = clock();
                    let alone = channel == Channel::Rtp && leg.comes_alone(now);
                    self.datagram(side, channel, &mut octets[..length], from, now);
                    if alone {
                        return false;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // An ICMP message of a packet that was sent; the next datagram is not less good.
                Err(_) => {}
            }
        }
        true
    }

    fn datagram(
        &mut self,
        side: Side,
        channel: Channel,
        octets: &mut [u8],
        from: SocketAddr,
        now: Instant,
    ) {
        let leg = &mut self.legs[side.index()];
        let muxed = channel == Channel::Rtp;
        if !muxed || rtp::kind(octets) == rtp::Kind::Rtcp {
            return leg.control(octets, from, muxed, now, &mut self.notices);
        }
        if let Some(packet) = leg.admit(octets, from, now, &mut self.notices) {
            self.packet(side, &packet, &mut octets[..packet.length], now);
        }
    }

    fn packet(&mut self, side: Side, packet: &Admitted, octets: &mut [u8], now: Instant) {
        let passage = self.mappings[side.index()].of(packet.payload_type);
        let payload = octets.get(packet.payload.clone()).unwrap_or_default();
        if packet.incoming.is_event {
            for heard in self.legs[side.index()].listen(packet, payload, now) {
                self.heard(side, heard, now);
            }
        } else if self.tap.is_some() {
            self.record(side, packet, payload, now);
        }
        if let Passage::Convert(turn) = passage {
            return self.convert(side, turn, packet, octets, now);
        }
        if self.conversions[side.index()].is_awake {
            self.conversions[side.index()].pass_over(&said(packet, &[]));
        }
        let (from, to) = self.pair(side);
        if !from.may_speak() || !to.may_hear() || to.is_occupied() {
            return;
        }
        let payload_type = match passage {
            Passage::Drop => return from.not_forwarded(),
            Passage::Press | Passage::Convert(_) => return,
            Passage::Pass { payload_type } | Passage::Events { payload_type } => payload_type,
            Passage::Transcode { from, payload_type } => {
                if let Some(payload) = octets.get_mut(packet.payload.clone()) {
                    from.transcode(payload);
                }
                payload_type
            }
        };
        to.forward(octets, packet, payload_type, now);
    }

    /// Gives a packet to be made anew; it is heard when its frame is due.
    fn convert(&mut self, side: Side, turn: Turn, packet: &Admitted, octets: &[u8], now: Instant) {
        let (from, to) = self.pair(side);
        if !from.may_speak() || !to.may_hear() || to.is_occupied() {
            return self.conversions[side.index()].clear();
        }
        let payload = octets.get(packet.payload.clone()).unwrap_or_default();
        let conversion = &mut self.conversions[side.index()];
        let restarted = packet.incoming.restarted;
        if conversion.put(turn, &said(packet, payload), restarted, &self.load, now) {
            self.pace(now);
        } else {
            self.legs[side.index()].not_forwarded();
        }
    }

    /// The next 20 ms of what a side says, made anew.
    fn made_anew(&mut self, side: Side, now: Instant) {
        let to = &mut self.legs[side.other().index()];
        let conversion = &mut self.conversions[side.index()];
        if !conversion.is_awake {
            return;
        }
        if to.is_occupied() || !to.may_hear() {
            return conversion.clear();
        }
        match conversion.frame() {
            Some((payload_type, step, payload)) => to.speak(payload_type, step, payload, now),
            None => to.resync(),
        }
    }

    fn record(&mut self, side: Side, packet: &Admitted, payload: &[u8], now: Instant) {
        let leg = &self.legs[side.index()];
        if let (Some(tap), Some(law), true) =
            (&mut self.tap, leg.law(packet.payload_type), leg.may_speak())
        {
            tap.take(side, packet.incoming.timestamp, law, payload, now);
        }
    }

    /// Tells of a digit, and presses it again where its packets cannot be passed on.
    fn heard(&mut self, side: Side, heard: Heard, now: Instant) {
        let presses = &mut self.legs[side.index()].presses;
        let (digit, lasted) = match heard {
            Heard::Pressed(digit) if presses.begin(now) => {
                return self.notices.tell(side, Event::Pressed(digit));
            }
            Heard::Pressed(_) => return self.notices.dropped += 1,
            Heard::Released(..) if !presses.is_told => return,
            Heard::Released(digit, lasted) => (digit, lasted),
        };
        self.notices.tell(side, Event::Released(digit, lasted));
        let presses = self.mappings[side.index()].presses();
        let (from, to) = self.pair(side);
        if presses && from.may_speak() && to.may_hear() {
            // One that finds no room is lost, as a packet would be.
            let _ = to.press(String::from(digit.as_char()), lasted, now);
            self.pace(now);
        }
    }

    pub(super) fn obey(&mut self, order: Order, now: Instant) -> Result<(), Refused> {
        match order {
            Order::Remotes(remotes) => self.describe(remotes, now),
            Order::Hold(side, on) => self.legs[side.index()].hold(on, now),
            Order::Mute(side, on) => self.legs[side.index()].is_muted = on,
            Order::Play(side, player) => self.legs[side.index()].play(player)?,
            Order::StopPlay(side) => self.legs[side.index()].stop_play(),
            Order::Press(side, digits, duration) => {
                self.legs[side.index()].press(digits, duration, now)?;
            }
            Order::Record(Some(_)) if self.tap.is_some() => return Err(Refused::Recording),
            Order::Record(None) if self.tap.is_none() => return Err(Refused::NotRecording),
            Order::Record(tap) => self.tap = tap,
            #[cfg(test)]
            Order::Fail => panic!("a fault of ours, for a test"),
            Order::PauseRecord(on) => {
                self.tap.as_mut().ok_or(Refused::NotRecording)?.is_paused = on;
            }
        }
        self.pace(now);
        Ok(())
    }

    /// Frames of our own begin now, if there are any and none is due yet.
    fn pace(&mut self, now: Instant) {
        if self.due.is_none() && self.is_busy() {
            self.due = Some(now);
        }
    }

    /// Whether there are frames of our own.
    fn is_busy(&self) -> bool {
        self.legs.iter().any(Leg::is_occupied) || self.conversions.iter().any(|one| one.is_awake)
    }

    /// When `frame` is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Sends what is due of our own.
    pub(super) fn frame(&mut self, now: Instant) {
        let Some(due) = self.due.take() else { return };
        for leg in &mut self.legs {
            leg.frame(now, &mut self.notices);
        }
        Side::BOTH.into_iter().for_each(|side| self.made_anew(side, now));
        if self.is_busy() {
            let next = due + STEP;
            if next + BEHIND < now {
                self.legs.iter_mut().for_each(Leg::resync);
                self.due = Some(now + STEP);
            } else {
                self.due = Some(next);
            }
        }
    }

    fn describe(&mut self, remotes: Vec<(Side, RemoteMedia)>, now: Instant) {
        for (side, remote) in remotes {
            self.legs[side.index()].describe(remote, now);
        }
        let [a, b] = &self.legs;
        if let (Some(a), Some(b)) = (a.remote(), b.remote()) {
            self.mappings = [Mapping::between(a, b), Mapping::between(b, a)];
            for (conversion, mapping) in self.conversions.iter_mut().zip(&self.mappings) {
                conversion.keep_if(mapping.converts());
            }
        }
    }

    /// What time brings; to be called several times a second.
    pub(super) fn tick(&mut self, times: &Times, now: Instant) {
        for side in Side::BOTH {
            let leg = &mut self.legs[side.index()];
            leg.check_silence(times.silence, now, &mut self.notices);
            leg.report_on(times.reports, now);
            if let Some(heard) = leg.listen_on(now) {
                self.heard(side, heard, now);
            }
        }
    }

    /// A fault of ours ends it; what is left is to be told.
    pub(super) fn broken(self) -> Broken {
        Broken { notices: self.notices, watch: self.watch }
    }

    /// It is over: its recording too, and the last of its measurements are taken.
    pub(super) fn close(mut self, now: Instant) -> Report {
        self.legs.iter_mut().for_each(|leg| leg.settle(now));
        self.report(now)
    }

    pub(super) fn report(&self, now: Instant) -> Report {
        let [a, b] = &self.legs;
        Report {
            session: self.id,
            lasted: now.saturating_duration_since(self.opened),
            legs: [a.report(), b.report()],
            notices_dropped: self.notices.dropped,
        }
    }
}

/// A packet as it was said.
fn said<'a>(packet: &Admitted, payload: &'a [u8]) -> Packet<'a> {
    let Incoming { ssrc, sequence, timestamp, .. } = packet.incoming;
    Packet::new(packet.payload_type, sequence, timestamp, ssrc, payload)
}
