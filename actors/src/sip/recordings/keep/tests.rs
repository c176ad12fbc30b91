//! What is kept of recordings, over a real store and real files.

use std::sync::Arc;

use model::carrier::{MessageKey, OrgId};
use model::message::Direction;
use model::money::Micros;
use model::submission::Credential;
use model::voice::{ConsentMode, Facts, Jurisdictions, Rated};
use proto_media::wav::{HEADER, Wav};
use store::Options;
use store::lane::{NewCall, NewRecording, Opened};

use super::super::TapingParts;
use super::*;
use crate::media::Sounds;
use crate::testing::{Folder, start_writer, tenant};
use crate::writer::{Limits, Shared};

struct World {
    folder: Folder,
    keep: KeepArgs,
    organization: OrgId,
    call: MessageKey,
}

impl World {
    async fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let store = Store::open(Options::new(&folder.database())).await.unwrap();
        let limits = Limits { accepts_max: 10, backlog_per_organization_max: 10 };
        let shared = Arc::new(Shared::new(limits));
        start_writer(&store, &shared).await;
        let writer = WriterHandle::new(shared);
        let (organization, _) = tenant(&writer, Micros(1_000_000)).await;
        let call = NewCall {
            id: PublicId::new(At::now()),
            organization,
            credential: Credential::Switch,
            idempotency: None,
            direction: Direction::Outbound,
            from: None,
            to: String::from("100"),
            dials: Vec::new(),
            test: false,
            rated: Rated::free(),
            transport: None,
            facts: Facts::default(),
            mask: None,
            legs: Vec::new(),
            metadata: None,
        };
        let Opened::Fresh { key, .. } = writer.open_call(call).await.unwrap() else {
            panic!("no call")
        };
        let taping = Taping::new(TapingParts {
            jurisdictions: Jurisdictions::default(),
            sounds: Sounds::new(None, 0),
            folder: folder.path().to_owned(),
            hold_music: None,
        });
        let keep = KeepArgs { taping, store, writer, period: Duration::from_secs(60) };
        Self { folder, keep, organization, call: key }
    }

    async fn begun(&self, file: &str, retention_days: i64) -> PublicId {
        let id = PublicId::new(At::now());
        let new = NewRecording {
            id,
            organization: self.organization,
            call: self.call,
            mode: ConsentMode::None,
            announced_at: None,
            file: file.to_owned(),
            retention_days,
        };
        let begin = Admin::Recording(Box::new(RecordingChange::Begin(new)));
        self.keep.writer.administer(begin).await.unwrap();
        id
    }

    fn put(&self, file: &str, octets: usize) {
        std::fs::write(self.keep.taping.path(file), vec![1; octets]).unwrap();
    }

    async fn row(&self, id: PublicId) -> Option<store::RecordingRow> {
        self.keep.store.recording(self.organization, id).await.unwrap()
    }
}

#[tokio::test]
async fn what_a_crash_left_is_whole_or_failed_and_never_under_way() {
    let world = World::new("orbit-keep-crash").await;
    let half = world.begun("half.wav", 90).await;
    world.put("half.wav", HEADER + 8_000 * 4 + 3);
    let empty = world.begun("empty.wav", 90).await;
    world.put("empty.wav", 10);
    let missing = world.begun("missing.wav", 90).await;
    assert!(world.keep.repair_all(i64::MAX).await);
    let of = |row: store::RecordingRow| (row.status, row.duration_ms, row.fault);
    assert_eq!(world.row(half).await.map(of), Some((3, Some(1_000), None)));
    let file = std::fs::read(world.folder.path().join("half.wav")).unwrap();
    assert_eq!(Wav::parse(&file).unwrap().data.len(), 32_000);
    for id in [empty, missing] {
        let failed = Some((4, Some(0), Some(String::from("interrupted"))));
        assert_eq!(world.row(id).await.map(of), failed);
    }
    assert!(!world.folder.path().join("empty.wav").exists());
}

#[tokio::test]
async fn what_was_kept_long_enough_goes_with_its_file() {
    let world = World::new("orbit-keep-old").await;
    for (file, days) in [("old.wav", 0), ("young.wav", 1), ("gone.wav", 0)] {
        let id = world.begun(file, days).await;
        world.put(file, 100);
        let end = RecordingEnd { fault: None, duration_ms: 1, size_bytes: 100, lost_ms: 0 };
        let end = Admin::Recording(Box::new(RecordingChange::End { id, end }));
        world.keep.writer.administer(end).await.unwrap();
    }
    let open = world.begun("open.wav", 0).await;
    world.put("open.wav", 100);
    std::fs::remove_file(world.folder.path().join("gone.wav")).unwrap();
    world.keep.drop_what_is_spent().await;
    let is_there = |file: &str| world.folder.path().join(file).exists();
    assert!(!is_there("old.wav") && is_there("young.wav") && is_there("open.wav"));
    let wanted = (None, None);
    let rows = world.keep.store.recordings(world.organization, wanted, i64::MAX, 10).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(world.row(open).await.map(|row| row.status), Some(1));
}

#[tokio::test]
async fn what_cannot_be_removed_keeps_nothing_else() {
    let world = World::new("orbit-keep-stuck").await;
    let rows = usize::try_from(PAGE).unwrap() + 1;
    let files: Vec<String> = (0..rows).map(|at| format!("{at}.wav")).collect();
    for file in &files {
        let id = world.begun(file, 0).await;
        let end = RecordingEnd { fault: None, duration_ms: 1, size_bytes: 100, lost_ms: 0 };
        let end = Admin::Recording(Box::new(RecordingChange::End { id, end }));
        world.keep.writer.administer(end).await.unwrap();
    }
    let (last, stuck) = files.split_last().unwrap();
    // A folder is no file that goes.
    stuck.iter().for_each(|file| std::fs::create_dir(world.keep.taping.path(file)).unwrap());
    world.put(last, 100);
    world.keep.drop_what_is_spent().await;
    assert!(!world.keep.taping.path(last).exists());
    let all = world.keep.store.recordings(world.organization, (None, None), i64::MAX, 1_000).await;
    assert_eq!(all.unwrap().len(), stuck.len(), "they wait for the next round");
}
