//! `/voice/recordings` and `/voice/recording-settings`: rows and files of one's own, and what is refused.

use std::path::Path;

use actors::media::Sounds;
use actors::sip::recordings::{Taping, TapingParts};
use model::carrier::MessageKey;
use model::voice::{ConsentMode, Jurisdictions, RecordingFault};
use store::lane::{NewRecording, RecordingChange, RecordingDone, RecordingEnd};

use super::*;

/// Sounds and recordings in one folder.
pub(super) fn taping(folder: &Path) -> Taping {
    Taping::new(TapingParts {
        jurisdictions: Jurisdictions::default(),
        sounds: Sounds::new(Some(folder.to_owned()), 1_000_000),
        folder: folder.to_owned(),
        hold_music: None,
    })
}

/// A WAV file of a tenth of a second.
fn wav() -> Vec<u8> {
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    file.extend(8_000_u32.to_le_bytes());
    file.extend(16_000_u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(1_600_u32.to_le_bytes());
    file.resize(file.len() + 1_600, 1);
    file
}

impl World {
    /// Where the file of a recording or a sound lies.
    fn file(&self, name: &str) -> PathBuf {
        self._folder.0.join(name)
    }

    fn put(&self, name: &str, octets: &[u8]) {
        std::fs::write(self.file(name), octets).unwrap();
    }

    async fn tape(&self, change: RecordingChange) -> RecordingDone {
        let change = Admin::Recording(Box::new(change));
        match self.handle.administer(change).await.unwrap() {
            AdminDone::Recording(done) => done,
            other => panic!("{other:?}"),
        }
    }

    /// A recording of a call, under way.
    async fn taped(&self, call: MessageKey, file: &str) -> PublicId {
        let id = PublicId::new(At::now());
        let new = NewRecording {
            id,
            organization: self.organization,
            call,
            mode: ConsentMode::AnnounceAll,
            announced_at: Some(At::now()),
            file: file.to_owned(),
            retention_days: 7,
        };
        assert_eq!(self.tape(RecordingChange::Begin(new)).await, RecordingDone::Stored);
        id
    }
}

fn path_of(id: PublicId) -> String {
    format!("/v1/voice/recordings/{}", id.show(model::id::Kind::Recording))
}

#[tokio::test]
async fn a_recording_is_listed_served_and_deleted_with_its_file() {
    let world = World::new().await;
    let (call_id, call, _) = world.answered("+14155550123").await;
    let call_id = call_id.show(model::id::Kind::Call);
    world.put("one.wav", &wav());
    let id = world.taped(call, "one.wav").await;
    let path = path_of(id);
    let live = world.get(&path).await;
    assert_eq!((live.status, &live.data()["status"]), (200, &json!("in_progress")));
    assert_eq!(live.data()["url"], Value::Null);
    assert_eq!(live.data()["consent"]["mode"], "announce_all");
    let early = world.get(&format!("{path}/media")).await;
    assert_eq!((early.status, early.code()), (409, "CONFLICT"));
    let busy = world.ask("DELETE", &path, None).await;
    assert_eq!((busy.status, busy.code()), (409, "CONFLICT"));

    let size_bytes = wav().len() as i64;
    let end = RecordingEnd { fault: None, duration_ms: 1_900, size_bytes, lost_ms: 0 };
    assert_eq!(world.tape(RecordingChange::End { id, end }).await, RecordingDone::Stored);
    let again = RecordingEnd { fault: Some(RecordingFault::Storage), ..end };
    let again = RecordingChange::End { id, end: again };
    assert_eq!(world.tape(again).await, RecordingDone::Unknown, "it ends once");
    let done = world.get(&path).await;
    let data = done.data();
    assert_eq!((&data["status"], &data["duration_seconds"]), (&json!("available"), &json!(1)));
    assert_eq!((&data["channels"], &data["format"]), (&json!(2), &json!("wav")));
    let call = world.get(&format!("/v1/voice/calls/{call_id}")).await;
    assert_eq!(call.data()["recording_url"], data["url"]);
    assert_eq!(call.data()["recording_consent"]["mode"], "announce_all");
    for list in [
        String::from("/v1/voice/recordings"),
        String::from("/v1/voice/recordings?status=available"),
        format!("/v1/voice/recordings?call_id={call_id}"),
        format!("/v1/voice/calls/{call_id}/recordings"),
    ] {
        let listed = world.get(&list).await;
        assert_eq!(listed.data()[0]["id"], data["id"], "{list}: {}", listed.body);
    }
    for empty in ["?status=failed", "?call_id=call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00"] {
        let listed = world.get(&format!("/v1/voice/recordings{empty}")).await;
        assert_eq!(listed.data(), &json!([]), "{empty}");
    }
    let wrong = world.get("/v1/voice/recordings?status=deleted").await;
    assert_eq!(wrong.status, 400);

    let request = Request::get(format!("{path}/media")).header("x-api-key", &world.key);
    let response = world.router.clone().oneshot(request.body(Body::empty()).unwrap()).await;
    let response = response.unwrap();
    assert_eq!(response.headers()["content-type"], "audio/wav");
    let octets = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert!(octets == wav(), "{} octets", octets.len());

    let gone = world.ask("DELETE", &path, None).await;
    assert_eq!((gone.status, &gone.data()["deleted"]), (200, &json!(true)));
    assert!(!world.file("one.wav").exists());
    for path in [path.clone(), format!("{path}/media")] {
        assert_eq!(world.get(&path).await.status, 404, "{path}");
    }
    assert_eq!(world.ask("DELETE", &path, None).await.status, 404);
    assert_eq!(world.get("/v1/voice/recordings").await.data(), &json!([]));
    let spent = world.store.deleted_recordings(0, 10).await.unwrap();
    assert_eq!(spent.len(), 1, "its row goes with the next sweep");
}

#[tokio::test]
async fn events_tell_how_a_recording_began_and_ended_or_why_there_is_none() {
    let world = World::new().await;
    let (_, call, _) = world.answered("+14155550123").await;
    let id = world.taped(call, "two.wav").await;
    let fault = Some(RecordingFault::Storage);
    let end = RecordingEnd { fault, duration_ms: 2_000, size_bytes: 32_058, lost_ms: 0 };
    world.tape(RecordingChange::End { id, end }).await;
    let (organization, fault) = (world.organization, RecordingFault::Jurisdiction);
    world.tape(RecordingChange::Refuse { organization, call, fault }).await;
    let events = world.get("/v1/events?type=call.recording.*&limit=10").await;
    let mut told: Vec<&Value> = events.data().as_array().unwrap().iter().collect();
    told.sort_by_key(|event| event["sequence"].as_i64());
    let kinds: Vec<&str> = told.iter().filter_map(|event| event["type"].as_str()).collect();
    let mut sorted = kinds.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        ["call.recording.failed", "call.recording.failed", "call.recording.started"],
        "{}",
        events.body
    );
    let of = |reason: &str| {
        let mut found = told.iter().filter(|event| event["data"]["reason"] == reason);
        found.next().map(|event| &event["data"]).unwrap()
    };
    let storage = of("storage_failed");
    assert_eq!(storage["recording_id"], id.show(model::id::Kind::Recording));
    assert_eq!(
        (&storage["duration_seconds"], &storage["metadata"]["order"]),
        (&json!(2), &json!("7"))
    );
    assert_eq!(of("jurisdiction")["recording_id"], Value::Null);
}

#[tokio::test]
async fn settings_are_replaced_whole_and_what_cannot_be_announced_is_refused() {
    let world = World::new().await;
    let path = "/v1/voice/recording-settings";
    let first = world.get(path).await;
    assert_eq!(first.data()["mode"], "none");
    assert_eq!(first.data()["retention_days"], 90);
    assert_eq!(first.data()["enforce_jurisdiction"], true);
    world.put("consent.wav", &wav());
    let url = |name: &str| json!({"type": "url", "url": name, "language": "de-DE"});
    let all = json!({
        "mode": "announce_all", "announcement": url("consent.wav"), "default_record": true,
        "channels": 2, "format": "wav", "retention_days": 7, "enforce_jurisdiction": false,
    });
    let stored = world.ask("PUT", path, &all).await;
    assert_eq!((stored.status, stored.data()), (200, &all), "{}", stored.body);
    assert_eq!(world.get(path).await.data(), &all);
    let rows = world.store.recording_settings().await.unwrap();
    assert_eq!(rows.len(), 1);

    let tts = json!({"type": "tts", "text": "This call is recorded"});
    for (body, code) in [
        (json!({"mode": "announce_all", "announcement": tts}), "TTS_NOT_CONFIGURED"),
        (json!({"mode": "announce_all", "announcement": url("no.wav")}), "SOUND_NOT_FOUND"),
        (json!({"mode": "none", "announcement": url("../one.wav")}), "SOUND_NOT_FOUND"),
        (json!({"mode": "none", "announcement": url("https://e.test/a.wav")}), "SOUND_NOT_FOUND"),
        (json!({"mode": "announce_inbound"}), "MISSING_REQUIRED_FIELD"),
        (json!({"mode": "none", "announcement": {"type": "beep"}}), "VALIDATION_ERROR"),
        (json!({"mode": "none", "announcement": {"type": "url"}}), "MISSING_REQUIRED_FIELD"),
        (json!({"mode": "loud"}), "VALIDATION_ERROR"),
        (json!({"mode": "none", "retention_days": 0}), "VALIDATION_ERROR"),
        (json!({"mode": "none", "channels": 1}), "VALIDATION_ERROR"),
        (json!({"mode": "none", "format": "mp3"}), "VALIDATION_ERROR"),
        (json!({}), "MISSING_REQUIRED_FIELD"),
    ] {
        let refused = world.ask("PUT", path, &body).await;
        assert_eq!((refused.status, refused.code()), (422, code), "{body}: {}", refused.body);
    }
    assert_eq!(world.get(path).await.data(), &all, "what is refused changes nothing");
    let plain = world.ask("PUT", path, &json!({"mode": "none"})).await;
    assert_eq!((plain.status, &plain.data()["announcement"]), (200, &Value::Null));
}

#[tokio::test]
async fn what_a_call_that_nobody_holds_is_told_is_refused() {
    let world = World::new().await;
    let (id, _, _) = world.answered("+14155550123").await;
    let path = format!("/v1/voice/calls/{}", id.show(model::id::Kind::Call));
    world.put("played.wav", &wav());
    for (end, body, status, code) in [
        ("recording", json!({"action": "start"}), 409, "CONFLICT"),
        ("recording", json!({"action": "erase"}), 422, "VALIDATION_ERROR"),
        ("recording", json!({}), 422, "MISSING_REQUIRED_FIELD"),
        ("play", json!({"url": "played.wav", "loop": true}), 409, "CONFLICT"),
        ("play", json!({"tone": "busy", "country": "US", "leg": "a"}), 409, "CONFLICT"),
        ("play", json!({"tone": "busy", "country": "Oz"}), 422, "VALIDATION_ERROR"),
        ("play", json!({"tone": "siren"}), 422, "VALIDATION_ERROR"),
        ("play", json!({"tone": "busy", "url": "played.wav"}), 422, "VALIDATION_ERROR"),
        ("play", json!({"text": "Hello"}), 422, "TTS_NOT_CONFIGURED"),
        ("play", json!({"url": "/etc/passwd"}), 422, "SOUND_NOT_FOUND"),
        ("play", json!({}), 422, "VALIDATION_ERROR"),
        ("hold", json!({"music_url": "no.wav"}), 422, "SOUND_NOT_FOUND"),
    ] {
        let refused = world.post(&format!("{path}/{end}"), &body).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{body}: {}", refused.body);
    }
}
