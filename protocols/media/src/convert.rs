//! From one codec to another: packets in as they come, a frame out each 20 ms.
//!
//! jitter → decoder → resampler → encoder
//!
//! Packets of any length wait in a small jitter buffer; what is lost is concealed, by the codec if it
//! knows how, else by the last sound fading out. Whoever drives this asks for a frame every 20 ms while
//! there is something. What a stranger sends makes it neither grow nor run on: the buffer has its slots,
//! and a frame takes what is needed for 20 ms and no more than one packet beyond.

use crate::jitter::{Counts, Frame, Playout, Put, Settings};
use crate::resample::Resampler;
use crate::speech::{Decoder, Encoder, Speech};
use crate::{JitterBuffer, Packet};

/// Frames in a second.
const FRAMES_A_SECOND: u32 = 50;
/// Two packets wait, so that one that is late or behind another still has its turn.
const SETTINGS: Settings = Settings { depth: 2, slots: 32, conceal_max: 10 };
/// What is left of the last sound in the place of each packet that is lost, and after how many nothing is.
const FADE: f32 = 0.6;
const FADED: u32 = 5;

/// One direction of a call whose sides have no codec in common.
#[derive(Debug)]
pub struct Converter {
    from: Speech,
    to: Speech,
    buffer: JitterBuffer,
    decoder: Decoder,
    resampler: Option<Resampler>,
    encoder: Encoder,
    /// Of the packet that is decoded, and of the last one that was.
    decoded: Vec<i16>,
    last: Vec<i16>,
    lost_in_row: u32,
    /// Samples that wait to be encoded.
    waiting: Vec<i16>,
    /// Samples of a frame before the resampler, and behind it.
    frame: [usize; 2],
}

impl Converter {
    /// `None` if one of them was not built in, or both are the same.
    pub fn new(from: Speech, to: Speech) -> Option<Self> {
        if from == to {
            return None;
        }
        let rates = [from.rate_hz(to), to.rate_hz(from)];
        let [read, write] = rates;
        let resampler = if read == write { None } else { Some(Resampler::new(read, write)?) };
        Some(Self {
            from,
            to,
            buffer: JitterBuffer::new(SETTINGS),
            decoder: Decoder::new(from, read)?,
            resampler,
            encoder: Encoder::new(to, write)?,
            decoded: Vec::new(),
            last: Vec::new(),
            lost_in_row: 0,
            waiting: Vec::new(),
            frame: rates.map(|rate| (rate / FRAMES_A_SECOND) as usize),
        })
    }

    /// What it turns into what.
    pub fn between(&self) -> (Speech, Speech) {
        (self.from, self.to)
    }

    /// How much later the next frame's timestamp is.
    pub fn step(&self) -> u32 {
        self.to.clock_hz() / FRAMES_A_SECOND
    }

    pub fn counts(&self) -> Counts {
        self.buffer.counts()
    }

    /// Forgets what waits, as when the source is another one.
    pub fn clear(&mut self) {
        self.buffer.reset();
        self.waiting.clear();
        self.last.clear();
        self.lost_in_row = 0;
    }

    /// Takes a packet; one that carries no sound, as a digit, only keeps its number.
    pub fn put(&mut self, packet: &Packet<'_>, is_sound: bool) -> Put {
        self.buffer.put(Frame {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            payload_type: packet.payload_type,
            marker: packet.marker,
            payload: if is_sound { packet.payload.to_vec() } else { Vec::new() },
        })
    }

    /// Whether anything waits to be heard.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.buffer.waiting() == 0
    }

    /// Appends the payload of the next 20 ms; whether there is one.
    pub fn frame(&mut self, out: &mut Vec<u8>) -> bool {
        let size = self.frame[1];
        while self.waiting.len() < size {
            match self.buffer.take() {
                Playout::Frame(frame) => self.decode(&frame.payload),
                Playout::Conceal => self.conceal(),
                Playout::Wait => break,
            }
        }
        if self.waiting.is_empty() {
            return false;
        }
        // The end of a talk spurt is filled up.
        self.waiting.resize(self.waiting.len().max(size), 0);
        let before = out.len();
        self.encoder.encode(&self.waiting[..size], out);
        self.waiting.drain(..size);
        out.len() > before
    }

    fn decode(&mut self, payload: &[u8]) {
        self.decoded.clear();
        self.decoder.decode(payload, &mut self.decoded);
        if !self.decoded.is_empty() {
            self.lost_in_row = 0;
            self.last.clone_from(&self.decoded);
        }
        self.pass();
    }

    /// One packet is missing: as long as the last one.
    fn conceal(&mut self) {
        self.lost_in_row += 1;
        let samples = if self.last.is_empty() { self.frame[0] } else { self.last.len() };
        let made = self.decoder.conceal(samples).filter(|made| !made.is_empty());
        self.decoded = made.unwrap_or_else(|| {
            let gain = if self.lost_in_row > FADED { 0.0 } else { FADE };
            self.last.resize(samples, 0);
            self.last.iter().map(|sample| (f32::from(*sample) * gain) as i16).collect()
        });
        self.last.clone_from(&self.decoded);
        self.pass();
    }

    fn pass(&mut self) {
        match &mut self.resampler {
            Some(resampler) => resampler.run(&self.decoded, &mut self.waiting),
            None => self.waiting.extend(&self.decoded),
        }
    }
}

#[cfg(test)]
mod tests;
