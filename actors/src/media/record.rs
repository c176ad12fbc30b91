//! Recordings: what two legs say, as the two sides of one WAV file, written by a thread of its own.
//!
//! A relay drops what was said into a bounded queue and goes on; what finds no room is counted and is
//! silence in the file. The writer puts each side where it belongs by its time, keeps half a second
//! open for what comes late, and ends a recording when the relay's end of it (`Tap`) is dropped, for
//! whatever reason, when it is as long as it may be, and at once when the disk does not take it. A crash
//! leaves a file that is readable as far as it was written, and that `repair` makes whole.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use proto_media::g711::Law;
use proto_media::wav::{self, Format};
use tokio::sync::oneshot;

use super::Refused;
use super::session::Side;

/// Samples of one packet that is recorded: 60 ms.
const CHUNK: usize = 480;
const RATE_HZ: u64 = 8_000;
/// Frames that stay open for what comes late.
const OPEN: u64 = 4_000;
/// A side whose timestamps and arrivals differ by more frames begins anew.
const DRIFT: u64 = 1_600;
/// How often recordings that ended are looked for.
const SWEEP: Duration = Duration::from_millis(50);
const CHANNELS: u16 = 2;
/// Octets of a frame of both sides.
const FRAME: u64 = 4;

/// What became of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub path: PathBuf,
    pub lasted: Duration,
    pub octets: u64,
    /// Samples, of both sides together, for which the queue had no room, or that came too late.
    pub lost_samples: u64,
    /// Why it is not whole.
    pub error: Option<io::ErrorKind>,
}

/// A packet's sound.
struct Chunk {
    recording: u64,
    side: Side,
    /// Frames since the recording began.
    place: u64,
    law: Law,
    length: u16,
    octets: [u8; CHUNK],
}

struct Start {
    recording: u64,
    path: PathBuf,
    frames_max: u64,
    life: Weak<()>,
    lost: Arc<AtomicU64>,
    started: oneshot::Sender<Result<(), io::ErrorKind>>,
    done: oneshot::Sender<Recorded>,
}

#[expect(clippy::large_enum_variant, reason = "it lies in the queue's own memory, made once")]
enum Work {
    Start(Start),
    Chunk(Chunk),
}

/// The relay's end of a recording: dropped, it ends.
#[derive(Debug)]
pub struct Tap {
    recording: u64,
    queue: SyncSender<Work>,
    _life: Arc<()>,
    lost: Arc<AtomicU64>,
    began: Option<Instant>,
    /// Of each side: a timestamp and its place.
    anchors: [Option<(u32, u64)>; 2],
    pub(super) is_paused: bool,
}

/// What became of a recording, once it has ended, however it did.
pub type Ended = oneshot::Receiver<Recorded>;

/// The way to the writer.
#[derive(Debug)]
pub(super) struct Recorder {
    queue: SyncSender<Work>,
    recordings: AtomicU64,
    frames_max: u64,
}

impl Recorder {
    /// `queue` packets wait for the disk at most; no recording is longer than `longest`.
    pub(super) fn start(queue: usize, longest: Duration) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(queue.max(1));
        let writer = Writer { queue: receiver, room: queue, files: HashMap::new() };
        let thread = std::thread::Builder::new().name(String::from("media-recorder"));
        thread.spawn(move || writer.run())?;
        let frames_max = longest.as_secs().saturating_mul(RATE_HZ);
        Ok(Self { queue: sender, recordings: AtomicU64::new(0), frames_max })
    }

    /// Has the file made.
    pub(super) async fn begin(&self, path: PathBuf) -> Result<(Tap, Ended), Refused> {
        let recording = self.recordings.fetch_add(1, Ordering::Relaxed);
        let (life, lost) = (Arc::new(()), Arc::new(AtomicU64::new(0)));
        let (started, answer) = oneshot::channel();
        let (done, recorded) = oneshot::channel();
        let start = Start {
            recording,
            path,
            frames_max: self.frames_max,
            life: Arc::downgrade(&life),
            lost: Arc::clone(&lost),
            started,
            done,
        };
        self.queue.try_send(Work::Start(start)).map_err(|_| Refused::Busy)?;
        super::session::answered(answer).await?.map_err(Refused::File)?;
        let queue = self.queue.clone();
        let tap = Tap {
            recording,
            queue,
            _life: life,
            lost,
            began: None,
            anchors: [None; 2],
            is_paused: false,
        };
        Ok((tap, recorded))
    }
}

impl Tap {
    /// Takes a packet that a side said.
    pub(super) fn take(
        &mut self,
        side: Side,
        timestamp: u32,
        law: Law,
        payload: &[u8],
        now: Instant,
    ) {
        let began = *self.began.get_or_insert(now);
        if self.is_paused {
            return;
        }
        let micros = now.saturating_duration_since(began).as_micros() as u64;
        let place = self.place(side, timestamp, micros * RATE_HZ / 1_000_000);
        for (at, part) in payload.chunks(CHUNK).enumerate() {
            let mut octets = [0; CHUNK];
            octets[..part.len()].copy_from_slice(part);
            let chunk = Chunk {
                recording: self.recording,
                side,
                place: place + (at * CHUNK) as u64,
                law,
                length: part.len() as u16,
                octets,
            };
            if self.queue.try_send(Work::Chunk(chunk)).is_err() {
                self.lost.fetch_add(part.len() as u64, Ordering::Relaxed);
            }
        }
    }

    /// By its timestamps a side is without gaps and seams; by its arrivals it is in time.
    fn place(&mut self, side: Side, timestamp: u32, arrived: u64) -> u64 {
        let anchor = &mut self.anchors[side.index()];
        if let Some((first, place)) = *anchor {
            let moved = timestamp.wrapping_sub(first) as i32;
            let place = place.saturating_add_signed(i64::from(moved));
            if place.abs_diff(arrived) <= DRIFT {
                return place;
            }
        }
        *anchor = Some((timestamp, arrived));
        arrived
    }
}

/// A file that grows.
struct Recording {
    path: PathBuf,
    file: BufWriter<File>,
    life: Weak<()>,
    lost: Arc<AtomicU64>,
    done: oneshot::Sender<Recorded>,
    frames_max: u64,
    /// Frames in the file.
    written: u64,
    /// Frames behind them that are open: left and right.
    open: VecDeque<[i16; 2]>,
    error: Option<io::ErrorKind>,
    /// It is as long as it may be.
    is_full: bool,
}

struct Writer {
    queue: Receiver<Work>,
    /// What it holds at most.
    room: usize,
    files: HashMap<u64, Recording>,
}

impl Writer {
    fn run(mut self) {
        let mut looked = moment();
        loop {
            match self.queue.recv_timeout(SWEEP) {
                Ok(work) => self.take(work),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if moment().saturating_duration_since(looked) >= SWEEP {
                self.end_what_is_over();
                looked = moment();
            }
        }
        for (_, recording) in self.files.drain() {
            recording.end();
        }
    }

    fn end_what_is_over(&mut self) {
        let is_over = |recording: &Recording| recording.life.strong_count() == 0;
        let over = self.files.iter().filter(|(_, recording)| is_over(recording));
        let over: Vec<u64> = over.map(|(number, _)| *number).collect();
        if over.is_empty() {
            return;
        }
        // What its relay said before it let go is in the queue by now.
        for _ in 0..=self.room {
            let Ok(work) = self.queue.try_recv() else { break };
            self.take(work);
        }
        for number in over {
            if let Some(recording) = self.files.remove(&number) {
                recording.end();
            }
        }
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Start(start) => self.start(start),
            Work::Chunk(chunk) => {
                let Some(recording) = self.files.get_mut(&chunk.recording) else { return };
                recording.put(&chunk);
                if recording.is_over()
                    && let Some(recording) = self.files.remove(&chunk.recording)
                {
                    recording.end();
                }
            }
        }
    }

    fn start(&mut self, start: Start) {
        let created = create(&start.path);
        let file = match created {
            Ok(file) => file,
            Err(error) => {
                // Who does not wait any more has no use for the reason.
                let _ = start.started.send(Err(error.kind()));
                return;
            }
        };
        if start.started.send(Ok(())).is_err() {
            return;
        }
        let recording = Recording {
            path: start.path,
            file,
            life: start.life,
            lost: start.lost,
            done: start.done,
            frames_max: start.frames_max,
            written: 0,
            open: VecDeque::new(),
            error: None,
            is_full: false,
        };
        self.files.insert(start.recording, recording);
    }
}

impl Recording {
    fn put(&mut self, chunk: &Chunk) {
        let octets = &chunk.octets[..usize::from(chunk.length)];
        let end = chunk.place + octets.len() as u64;
        if end > self.frames_max {
            self.is_full = true;
            return;
        }
        self.write_until(end.saturating_sub(OPEN));
        let needed = end.saturating_sub(self.written) as usize;
        if self.open.len() < needed {
            self.open.resize(needed, [0; 2]);
        }
        for (place, octet) in (chunk.place..).zip(octets) {
            let Some(at) = place.checked_sub(self.written) else {
                self.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            if let Some(frame) = self.open.get_mut(at as usize) {
                frame[chunk.side.index()] = chunk.law.decode(*octet);
            }
        }
    }

    /// Nothing of it is written any more.
    fn is_over(&self) -> bool {
        self.is_full || self.error.is_some()
    }

    /// Puts frames into the file; where nobody said anything it is silent.
    fn write_until(&mut self, end: u64) {
        while self.written < end && self.error.is_none() {
            let [left, right] = self.open.pop_front().unwrap_or_default();
            let [[a, b], [c, d]] = [left.to_le_bytes(), right.to_le_bytes()];
            match self.file.write_all(&[a, b, c, d]) {
                Ok(()) => self.written += 1,
                Err(error) => self.error = Some(error.kind()),
            }
        }
    }

    fn end(mut self) {
        self.write_until(self.written + self.open.len() as u64);
        let octets = self.written * FRAME;
        let finish = |file: &mut BufWriter<File>| {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&header(octets)?)?;
            file.flush()
        };
        if let Err(error) = finish(&mut self.file) {
            self.error.get_or_insert(error.kind());
        }
        let recorded = Recorded {
            path: self.path,
            lasted: lasts(self.written),
            octets: wav::HEADER as u64 + octets,
            lost_samples: self.lost.load(Ordering::Relaxed),
            error: self.error,
        };
        // An owner that is gone leaves the file behind, whole.
        let _ = self.done.send(recorded);
    }
}

/// A file for its owner's eyes alone, and the folder that it is in.
fn create(path: &Path) -> io::Result<BufWriter<File>> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut file = BufWriter::new(file);
    file.write_all(&header(0)?)?;
    Ok(file)
}

/// Makes a file whole that a crash cut off: how long it is, and how many octets it has. It waits for the
/// disk.
pub fn repair(path: &Path) -> io::Result<(Duration, u64)> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let data = file.metadata()?.len().saturating_sub(wav::HEADER as u64);
    let frames = data / FRAME;
    let octets = wav::HEADER as u64 + frames * FRAME;
    file.set_len(octets)?;
    file.write_all(&header(frames * FRAME)?)?;
    file.sync_all()?;
    Ok((lasts(frames), octets))
}

fn lasts(frames: u64) -> Duration {
    Duration::from_micros(frames * 1_000_000 / RATE_HZ)
}

fn header(octets: u64) -> io::Result<[u8; wav::HEADER]> {
    wav::header(Format::Pcm16, CHANNELS, RATE_HZ as u32, octets)
        .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
}

fn moment() -> Instant {
    tokio::time::Instant::now().into_std()
}
