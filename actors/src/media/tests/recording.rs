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

impl Drop for Path {
    fn drop(&mut self) {
        // It is not there when its test failed before.
        let _ = std::fs::remove_file(&self.0);
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

#[tokio::test]
async fn each_leg_is_on_its_side_of_the_file() {
    let path = Path::new("sides");
    let mut rig = Rig::call(&config(61), [&mu(), &mu()]).await;
    rig.session_mut().record(path.0.clone()).await.unwrap();
    assert_eq!(rig.session_mut().record(path.0.clone()).await, Err(Refused::Recording));
    talk(&mut rig, 10);
    let recorded = rig.session_mut().stop_record().await.unwrap();
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
    rig.session_mut().record(path.0.clone()).await.unwrap();
    talk(&mut rig, 5);
    rig.session().pause_record(true).await.unwrap();
    talk(&mut rig, 5);
    let report = rig.close().await;
    assert!(report.recorded.is_some_and(|recorded| recorded.error.is_none()));
    let [left, _] = path.sides();
    assert!((800..1_600).contains(&left.len()), "{}", left.len());
}

#[tokio::test]
async fn a_recording_whose_session_is_dropped_is_whole() {
    let path = Path::new("dropped");
    let mut rig = Rig::call(&config(63), [&mu(), &mu()]).await;
    rig.session_mut().record(path.0.clone()).await.unwrap();
    talk(&mut rig, 5);
    drop(rig.session.take());
    let header =
        || std::fs::read(&path.0).ok().and_then(|file| file.get(54..58).map(<[u8]>::to_vec));
    let whole = async {
        while header().is_none_or(|length| length == [0; 4]) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), whole).await.unwrap();
    assert!(path.sides()[0].len() >= 800);
}

#[tokio::test]
async fn a_file_that_cannot_be_made_is_refused() {
    let mut rig = Rig::call(&config(64), [&mu(), &mu()]).await;
    let nowhere = PathBuf::from("/nowhere/at/all.wav");
    let refused = rig.session_mut().record(nowhere).await;
    assert_eq!(refused, Err(Refused::File(std::io::ErrorKind::NotFound)));
    assert_eq!(rig.session_mut().stop_record().await, Err(Refused::NotRecording));
    assert_eq!(rig.session().pause_record(true).await, Err(Refused::NotRecording));
}
