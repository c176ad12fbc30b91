//! What a leg is sent of our own: a sound, or digits, in the place of what the other leg says.
//!
//! One frame each 20 ms, in the numbers of the leg's one stream. Digits go before a sound, which waits
//! for them; several rows of digits wait for each other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proto_media::Packet;
use proto_media::dtmf::{Outgoing as Out, Train};
use proto_media::g711::Law;

use super::super::Refused;
use super::super::mapping::{self, Encoding};
use super::super::notice::{Event, Notices};
use super::super::play::{FRAME, Player};
use super::Leg;

/// How often a frame is due.
pub(in super::super) const STEP: Duration = Duration::from_millis(20);
/// Rows of digits that wait.
const ROWS: usize = 16;
const SHORTEST: Duration = Duration::from_millis(40);
const LONGEST: Duration = Duration::from_secs(8);

#[derive(Debug, Default)]
pub(super) struct Voice {
    player: Option<Player>,
    /// The timestamp of the next frame of sound, while one follows the other.
    next: Option<u32>,
    train: Option<Train>,
    rows: VecDeque<(String, Duration)>,
    /// Where a packet is written.
    room: Vec<u8>,
}

impl Leg {
    /// Whether it is sent something of our own, and so nothing else.
    pub(in super::super) fn is_occupied(&self) -> bool {
        self.voice.player.is_some() || self.voice.train.is_some()
    }

    pub(in super::super) fn play(&mut self, player: Player) -> Result<(), Refused> {
        self.law_out().ok_or(Refused::NoLaw)?;
        self.voice.player = Some(player);
        self.voice.next = None;
        Ok(())
    }

    /// A new description: a sound that it has no law for is over.
    pub(super) fn check_play(&mut self) {
        if self.law_out().is_none() {
            self.voice.player = None;
        }
    }

    pub(in super::super) fn stop_play(&mut self) {
        self.voice.player = None;
    }

    /// Sends a row of digits, each as long as `duration`, after those that are being sent.
    pub(in super::super) fn press(
        &mut self,
        digits: String,
        duration: Duration,
        now: Instant,
    ) -> Result<(), Refused> {
        let duration = duration.clamp(SHORTEST, LONGEST);
        // Looked at now, so that what cannot be sent is refused and not forgotten.
        let train = self.train(&digits, duration, now)?;
        if self.voice.train.is_none() {
            self.voice.train = Some(train);
        } else if self.voice.rows.len() < ROWS {
            self.voice.rows.push_back((digits, duration));
        } else {
            return Err(Refused::Busy);
        }
        Ok(())
    }

    fn train(&self, digits: &str, duration: Duration, now: Instant) -> Result<Train, Refused> {
        let (_, clock_hz) = self.events_out().ok_or(Refused::NoEvents)?;
        let timestamp = self.outgoing.next_timestamp(now);
        Train::new(digits, duration, clock_hz, STEP, timestamp).map_err(Refused::Digits)
    }

    fn law_out(&self) -> Option<(u8, Law)> {
        let formats = self.remote.iter().flat_map(|remote| &remote.send);
        let mut laws = formats.filter_map(|format| match format.encoding {
            Encoding::G711(law) => Some((format.payload_type, law)),
            _ => None,
        });
        laws.next()
    }

    fn events_out(&self) -> Option<(u8, u32)> {
        self.remote.as_ref().and_then(|remote| mapping::events(&remote.send))
    }

    /// What is due in this frame's time.
    pub(in super::super) fn frame(&mut self, now: Instant, notices: &mut Notices) {
        let Some(train) = &mut self.voice.train else { return self.sound(now, notices) };
        self.voice.next = None;
        match train.next_frame() {
            Out::Silence => {}
            Out::Packet { marker, timestamp, payload } => {
                if let Some((payload_type, _)) = self.events_out() {
                    let sequence = self.outgoing.own(None, now);
                    let ssrc = self.outgoing.ssrc;
                    let mut packet = Packet::new(payload_type, sequence, timestamp, ssrc, &payload);
                    packet.marker = marker;
                    self.send_own(&packet);
                }
            }
            Out::Done { .. } => {
                self.voice.train = None;
                notices.tell(self.side, Event::DigitsSent);
                if let Some((digits, duration)) = self.voice.rows.pop_front() {
                    self.voice.train = self.train(&digits, duration, now).ok();
                }
            }
        }
    }

    fn sound(&mut self, now: Instant, notices: &mut Notices) {
        let Some((payload_type, law)) = self.law_out() else { return };
        // What nobody would hear waits: who is told that it was played was told the truth.
        if !self.hears || self.latch.target().is_none() {
            self.voice.next = None;
            return;
        }
        let Some(player) = &mut self.voice.player else { return };
        let mut samples = [0; FRAME];
        player.fill(&mut samples);
        if player.is_over() {
            notices.tell(self.side, Event::Played(player.id));
            self.voice.player = None;
        }
        let payload = samples.map(|sample| law.encode(sample));
        self.speak(payload_type, FRAME as u32, &payload, now);
    }

    /// Sends a frame that was made here; the next one is so much later.
    pub(in super::super) fn speak(
        &mut self,
        payload_type: u8,
        step: u32,
        payload: &[u8],
        now: Instant,
    ) {
        let marker = self.voice.next.is_none();
        let timestamp = self.voice.next.unwrap_or_else(|| self.outgoing.next_timestamp(now));
        self.voice.next = Some(timestamp.wrapping_add(step));
        let sequence = self.outgoing.own(Some(timestamp), now);
        let ssrc = self.outgoing.ssrc;
        let mut packet = Packet::new(payload_type, sequence, timestamp, ssrc, payload);
        packet.marker = marker;
        self.send_own(&packet);
    }

    /// Frames were left out: the next one begins anew.
    pub(in super::super) fn resync(&mut self) {
        self.voice.next = None;
    }

    fn send_own(&mut self, packet: &Packet<'_>) {
        let Some(to) = self.latch.target() else { return };
        let mut room = std::mem::take(&mut self.voice.room);
        room.clear();
        if packet.write(&mut room).is_ok() {
            self.send(&room, packet.payload.len(), to);
        }
        self.voice.room = room;
    }
}
