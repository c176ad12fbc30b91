//! Recordings: they begin as rows, end once, are seen by their organization alone, and go after their files.

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::money::Micros;
use model::voice::{ConsentMode, RecordingFault};
use store::lane::{Admin, AdminDone, NewRecording, RecordingChange, RecordingDone, RecordingEnd};

use crate::world::{World, each};

impl World {
    async fn tape(&mut self, change: RecordingChange) -> RecordingDone {
        match self.admin(Admin::Recording(Box::new(change))).await {
            AdminDone::Recording(done) => done,
            other => panic!("{other:?}"),
        }
    }
}

fn new(organization: OrgId, call: MessageKey, retention_days: i64) -> (PublicId, RecordingChange) {
    let id = PublicId::new(At::now());
    let new = NewRecording {
        id,
        organization,
        call,
        mode: ConsentMode::AnnounceInbound,
        announced_at: None,
        file: String::from("day/one.wav"),
        retention_days,
    };
    (id, RecordingChange::Begin(new))
}

fn end(fault: Option<RecordingFault>) -> RecordingEnd {
    RecordingEnd { fault, duration_ms: 1_000, size_bytes: 32_058, lost_ms: 0 }
}

#[tokio::test]
async fn a_recording_is_of_a_call_of_its_organization_and_ends_once() {
    each(async |mut world| {
        let own = world.organization;
        let call = world.opened().await;
        let (other, _) = world.organization_with(Micros(0)).await;
        assert_eq!(world.tape(new(other, call, 90).1).await, RecordingDone::Unknown);
        assert_eq!(world.tape(new(own, MessageKey(7), 90).1).await, RecordingDone::Unknown);
        let (id, begin) = new(own, call, 90);
        assert_eq!(world.tape(begin).await, RecordingDone::Stored);
        let store = world.store.clone();
        let open = store.open_recordings(i64::MAX, 10).await.unwrap();
        assert_eq!((open.len(), open[0].file.as_str()), (1, "day/one.wav"));
        assert!(store.open_recordings(open[0].seq, 10).await.unwrap().is_empty());

        let row = store.recording(own, id).await.unwrap().unwrap();
        assert_eq!((row.status, row.consent_mode.as_str()), (1, "announce_inbound"));
        let call_id = store.recordings(own, (Some(call), None), i64::MAX, 10).await.unwrap();
        assert_eq!(call_id.len(), 1);
        assert!(store.recording(other, id).await.unwrap().is_none(), "another's");
        assert!(store.recording_file(other, id).await.unwrap().is_none());
        let theirs = store.recordings(other, (Some(call), None), i64::MAX, 10).await.unwrap();
        assert!(theirs.is_empty());

        let delete = |organization| RecordingChange::Delete { organization, id };
        assert_eq!(world.tape(delete(own)).await, RecordingDone::Busy);
        let ended = |fault| RecordingChange::End { id, end: end(fault) };
        assert_eq!(world.tape(ended(None)).await, RecordingDone::Stored);
        let again = world.tape(ended(Some(RecordingFault::Storage))).await;
        assert_eq!(again, RecordingDone::Unknown);
        let row = store.recording(own, id).await.unwrap().unwrap();
        assert_eq!((row.status, row.size_bytes, row.fault), (3, Some(32_058), None));
        assert_eq!(store.recordings(own, (None, Some(3)), i64::MAX, 10).await.unwrap().len(), 1);
        assert!(store.recordings(own, (None, Some(4)), i64::MAX, 10).await.unwrap().is_empty());
        assert!(store.open_recordings(i64::MAX, 10).await.unwrap().is_empty());

        assert_eq!(world.tape(delete(other)).await, RecordingDone::Unknown);
        assert_eq!(world.tape(delete(own)).await, RecordingDone::Stored);
        assert_eq!(world.tape(delete(own)).await, RecordingDone::Unknown);
        assert!(store.recording(own, id).await.unwrap().is_none());
        let spent = store.deleted_recordings(0, 10).await.unwrap();
        assert_eq!(spent.len(), 1);
        assert!(store.deleted_recordings(spent[0].seq, 10).await.unwrap().is_empty());
        world.tape(RecordingChange::Drop(vec![spent[0].seq])).await;
        assert!(store.deleted_recordings(0, 10).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_was_kept_long_enough_may_go_but_for_what_is_under_way() {
    each(async |mut world| {
        let call = world.opened().await;
        let (old, begin) = new(world.organization, call, 0);
        world.tape(begin).await;
        let store = world.store.clone();
        let later = At::now().plus(std::time::Duration::from_secs(1));
        let first = (i64::MIN, 0);
        assert!(store.expired_recordings(later, first, 10).await.unwrap().is_empty());
        let seq = store.open_recordings(i64::MAX, 10).await.unwrap()[0].seq;
        world.tape(RecordingChange::Drop(vec![seq])).await;
        assert_eq!(store.open_recordings(i64::MAX, 10).await.unwrap().len(), 1, "it stays");
        world.tape(RecordingChange::End { id: old, end: end(None) }).await;
        let (young, begin) = new(world.organization, call, 1);
        world.tape(begin).await;
        world.tape(RecordingChange::End { id: young, end: end(None) }).await;
        let spent = store.expired_recordings(later, first, 10).await.unwrap();
        assert_eq!(spent.len(), 1);
        assert_eq!(spent[0].public_id, old.as_bytes());
        let after = At::now().plus(std::time::Duration::from_secs(86_401));
        assert_eq!(store.expired_recordings(after, first, 10).await.unwrap().len(), 2);
        let first = (spent[0].expires_at, spent[0].seq);
        let rest = store.expired_recordings(after, first, 10).await.unwrap();
        assert_eq!(rest.len(), 1, "behind the first one");
        assert_eq!(rest[0].public_id, young.as_bytes());
    })
    .await;
}

#[tokio::test]
async fn what_an_organization_wants_is_replaced() {
    each(async |mut world| {
        let organization = world.organization;
        for text in ["{\"mode\":\"none\"}", "{}"] {
            let settings = text.to_owned();
            world.tape(RecordingChange::Settings { organization, settings }).await;
            let rows = world.store.recording_settings().await.unwrap();
            let rows: Vec<_> =
                rows.iter().map(|row| (row.organization_id, &*row.settings)).collect();
            assert_eq!(rows, [(organization.0, text)]);
        }
    })
    .await;
}
