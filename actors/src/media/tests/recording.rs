//! Recordings: what is on which side of the file.

use std::path::PathBuf;

use proto_media::wav::Wav;

use super::*;

/// A file of this test, removed when dropped.
struct Path(PathBuf);

impl Path {
    fn new(name: &str) -> Self {
        let name = format!("orbit-{}-{name}.wav", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// Left and right.
    fn sides(&self) -> [Vec<i16>; 2] {
        let file = std::fs::read(&self.0).unwrap();
        let wav = Wav::parse(&file).unwrap();
        assert_eq!((wav.channels, wav.rate_hz), (2, 8_000));
        let samples: Vec<i16> = wav.samples().collect();
        [0, 1].map(|side| samples.iter().skip(side).step_by(2).copied().collect())
    }
}

impl Path {
    /// Another one.
    fn beside(&self) -> PathBuf {
        self.0.with_extension("other")
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // They are not there when their test failed before.
        let _ = std::fs::remove_file(self.beside());
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Rig {
    async fn record(&self, path: &Path) -> Ended {
        let (tap, ended) = self.session().open_tape(path.0.clone()).await.unwrap();
        self.session().record(tap).await.unwrap();
        ended
    }
}

/// Both say a tone of their own, frame by frame.
fn talk(rig: &mut Rig, frames: usize) {
    let [low, high] = [tone(440.0, Law::Mu, frames), tone(1_500.0, Law::Mu, frames)];
    for (low, high) in low.iter().zip(&high) {
        rig.phone(Side::A).say(low);
        rig.phone(Side::B).say(high);
        rig.phone(Side::A).hear();
        rig.phone(Side::B).hear();
    }
}

/// Both talk until the recording has ended.
async fn talk_until(rig: &mut Rig, mut ended: Ended) -> Recorded {
    let talking = async {
        loop {
            talk(rig, 5);
            if let Ok(recorded) = ended.try_recv() {
                return recorded;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), talking).await.expect("it does not end")
}

#[tokio::test]
async fn each_leg_is_on_its_side_of_the_file() {
    let path = Path::new("sides");
    let mut rig = Rig::call(&config(61), [&mu(), &mu()]).await;
    let ended = rig.record(&path).await;
    let (tap, _) = rig.session().open_tape(path.beside()).await.unwrap();
    assert_eq!(rig.session().record(tap).await, Err(Refused::Recording));
    talk(&mut rig, 10);
    rig.session().stop_record().await.unwrap();
    let recorded = ended.await.unwrap();
    assert_eq!((recorded.lost_samples, recorded.error), (0, None));
    let [left, right] = path.sides();
    assert!(left.len() >= 1_600 && recorded.octets == 58 + left.len() as u64 * 4);
    let [left, right] = [left, right].map(|side| side[160..1_440].to_vec());
    assert!(sounds(&left, 440.0) && !sounds(&left, 1_500.0));
    assert!(sounds(&right, 1_500.0) && !sounds(&right, 440.0));
}

#[tokio::test]
async fn what_is_said_while_it_is_paused_is_not_in_the_file_and_a_close_ends_it() {
    let path = Path::new("paused");
    let mut rig = Rig::call(&config(62), [&mu(), &mu()]).await;
    let ended = rig.record(&path).await;
    talk(&mut rig, 5);
    rig.session().pause_record(true).await.unwrap();
    talk(&mut rig, 5);
    rig.close().await;
    assert_eq!(ended.await.unwrap().error, None);
    let [left, _] = path.sides();
    assert!((800..1_600).contains(&left.len()), "{}", left.len());
}

#[tokio::test]
async fn a_recording_whose_session_is_dropped_is_whole() {
    let path = Path::new("dropped");
    let mut rig = Rig::call(&config(63), [&mu(), &mu()]).await;
    let ended = rig.record(&path).await;
    talk(&mut rig, 5);
    drop(rig.session.take());
    tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap().unwrap();
    assert!(path.sides()[0].len() >= 800);
}

#[tokio::test]
async fn a_file_that_cannot_be_made_is_refused() {
    let rig = Rig::call(&config(64), [&mu(), &mu()]).await;
    let nowhere = PathBuf::from("/dev/null/at/all.wav");
    let refused = rig.session().open_tape(nowhere).await;
    assert_eq!(refused.err(), Some(Refused::File(std::io::ErrorKind::NotADirectory)));
    assert_eq!(rig.session().stop_record().await, Err(Refused::NotRecording));
    assert_eq!(rig.session().pause_record(true).await, Err(Refused::NotRecording));
}

#[tokio::test]
async fn a_full_disk_ends_the_recording_at_once_and_the_call_goes_on() {
    let mut rig = Rig::call(&config(65), [&mu(), &mu()]).await;
    let full = PathBuf::from("/dev/full");
    let (tap, ended) = rig.session().open_tape(full).await.unwrap();
    rig.session().record(tap).await.unwrap();
    // What is said is heard all the time: `talk` waits for it.
    let recorded = talk_until(&mut rig, ended).await;
    assert_eq!(recorded.error, Some(std::io::ErrorKind::StorageFull));
    talk(&mut rig, 5);
    let report = rig.report(|_| true).await;
    assert!(report.legs.iter().all(|leg| leg.sent_failed == 0), "{report:?}");
}

#[tokio::test]
async fn a_recording_is_no_longer_than_it_may_be_and_whole() {
    let path = Path::new("longest");
    let longest = Config { recording_longest: Duration::from_secs(1), ..config(66) };
    let mut rig = Rig::call(&longest, [&mu(), &mu()]).await;
    let ended = rig.record(&path).await;
    let recorded = talk_until(&mut rig, ended).await;
    assert_eq!(recorded.error, None);
    assert!((7_500..=8_000).contains(&path.sides()[0].len()), "{}", path.sides()[0].len());
}

#[tokio::test]
async fn what_a_crash_leaves_is_made_whole() {
    let path = Path::new("crash");
    let mut rig = Rig::call(&config(67), [&mu(), &mu()]).await;
    let ended = rig.record(&path).await;
    talk(&mut rig, 10);
    rig.session().stop_record().await.unwrap();
    let whole = ended.await.unwrap();
    let mut file = std::fs::read(&path.0).unwrap();
    // Its lengths were not written yet, and a frame was cut in half.
    file[4..8].fill(0);
    file[54..58].fill(0);
    file.extend([1, 2, 3]);
    std::fs::write(&path.0, &file).unwrap();
    assert_eq!(repair(&path.0).unwrap(), (whole.lasted, whole.octets));
    let sound = std::fs::read(&path.0).unwrap();
    assert_eq!(Wav::parse(&sound).unwrap().data.len() as u64, whole.octets - 58);
    assert_eq!(u32::from_le_bytes(sound[54..58].try_into().unwrap()) as u64, whole.octets - 58);
    std::fs::write(&path.0, b"RI").unwrap();
    assert_eq!(repair(&path.0).unwrap(), (Duration::ZERO, 58));
    assert!(repair(&path.beside()).is_err());
}
