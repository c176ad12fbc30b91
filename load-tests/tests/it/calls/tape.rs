//! Recordings, announcements and music: what is in the files, what is heard, and when there is nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto_media::tone::{Generator, Tone, strength};
use proto_media::wav::{Format, Wav, header};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::numbers::{CALLER, NUMBER, caller, number};
use super::others::Baresip;
use super::public::{carrier, with_carriers};
use super::ua::Ua;
use super::{Talk, is_quiet, told, two};
use crate::http::Http;
use crate::phones::Switch;
use crate::phones::others::program;
use crate::world::wait_until;

const SETTINGS: &str = "/api/v1/voice/recording-settings";
/// What is announced, what waits with who is on hold.
const ANNOUNCED_HZ: f64 = 600.0;
const MUSIC_HZ: f64 = 1_500.0;
const RATE_HZ: u32 = 8_000;

/// A folder with sounds, that goes with the test.
struct Sounds(PathBuf);

impl Sounds {
    fn new(name: &str, announcement_ms: u32) -> Self {
        let folder = std::env::temp_dir().join(format!("orbit-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let sounds = Self(folder);
        sounds.put("consent.wav", ANNOUNCED_HZ, announcement_ms);
        sounds.put("hold.wav", MUSIC_HZ, 1_000);
        sounds
    }

    fn put(&self, name: &str, hz: f64, millis: u32) {
        let mut samples = vec![0; (RATE_HZ / 1_000 * millis) as usize];
        let tone = Tone { frequencies: [hz, 0.0], ..Tone::BEEP };
        Generator::new(&tone, RATE_HZ).fill(&mut samples);
        let octets = samples.len() as u64 * 2;
        let mut file = header(Format::Pcm16, 1, RATE_HZ, octets).expect("a header").to_vec();
        samples.iter().for_each(|sample| file.extend(sample.to_le_bytes()));
        fs::write(self.0.join(name), file).expect("it is written");
    }

    fn setting(&self) -> String {
        format!("{:?}", self.0.display().to_string())
    }
}

impl Drop for Sounds {
    fn drop(&mut self) {
        // One that stays is small.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn announced(default_record: bool) -> Value {
    let announcement = json!({"type": "url", "url": "consent.wav"});
    json!({
        "mode": "announce_all", "announcement": announcement, "default_record": default_record,
    })
}

async fn set(http: &mut Http, settings: &Value) {
    let reply = http.put(SETTINGS, settings).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

async fn recordings(http: &mut Http) -> Vec<Value> {
    http.all("/api/v1/voice/recordings").await
}

/// The newest recording, once it stands so.
async fn recording(http: &mut Http, status: &str) -> Value {
    let mut found = Vec::new();
    let is_so = wait_until(async || {
        found = recordings(http).await;
        found.first().is_some_and(|one| one["status"] == status)
    });
    assert!(is_so.await, "{found:?}");
    found.swap_remove(0)
}

/// The path of the one call that goes on.
async fn call(http: &mut Http) -> String {
    let mut calls = Vec::new();
    let is_there = wait_until(async || {
        calls = http.all("/api/v1/voice/calls").await;
        calls.retain(|call| call["status"] == "in_progress");
        calls.len() == 1
    });
    assert!(is_there.await, "{calls:?}");
    format!("/api/v1/voice/calls/{}", calls[0]["id"].as_str().unwrap_or_default())
}

async fn ordered(http: &mut Http, action: &str) -> (u16, String) {
    let path = call(http).await;
    let reply = http.post(&format!("{path}/recording"), &json!({"action": action})).await;
    (reply.status, reply.code().to_owned())
}

/// All recordings' files of a switch.
fn files(folder: &Path) -> Vec<PathBuf> {
    let days = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = days.flat_map(|day| fs::read_dir(day.path()).into_iter().flatten().flatten());
    files.map(|file| file.path()).collect()
}

fn folder(switch: &Switch) -> PathBuf {
    switch.world.scratch.file("data").join("recordings")
}

fn length(switch: &Switch) -> u64 {
    let file = files(&folder(switch)).pop();
    file.and_then(|path| fs::metadata(path).ok()).map_or(0, |file| file.len())
}

/// Waits until the file has grown by so many seconds.
async fn grows(switch: &Switch, seconds: u64) -> bool {
    let until = length(switch) + seconds * u64::from(RATE_HZ) * 4;
    wait_until(async || length(switch) >= until).await
}

/// Left and right of the one file.
fn sides(switch: &Switch) -> [Vec<i16>; 2] {
    let all = files(&folder(switch));
    let [path] = &all[..] else { panic!("{all:?}") };
    let file = fs::read(path).expect("it can be read");
    let wav = Wav::parse(&file).expect("a WAV file");
    assert_eq!((wav.format, wav.channels, wav.rate_hz), (Format::Pcm16, 2, RATE_HZ));
    let samples: Vec<i16> = wav.samples().collect();
    [0, 1].map(|side| samples.iter().skip(side).step_by(2).copied().collect())
}

/// In which tenths of a second a frequency is heard.
fn heard(samples: &[i16], hz: f64) -> Vec<bool> {
    samples.chunks_exact(800).map(|tenth| strength(tenth, hz, RATE_HZ) > 0.02).collect()
}

fn count(samples: &[i16], hz: f64) -> usize {
    heard(samples, hz).into_iter().filter(|is_heard| *is_heard).count()
}

#[tokio::test]
async fn two_baresips_are_told_and_each_is_on_its_side_but_for_what_was_paused() {
    let Some(baresip) = program("baresip") else { return };
    let sounds = Sounds::new("tape-baresip", 1_000);
    let switch = Switch::start(
        "tape-baresip",
        &[("media.networks", "[\"0.0.0.0/0\"]"), ("media.sounds_dir", &sounds.setting())],
    )
    .await;
    let mut http = switch.world.http(&switch.org.key);
    set(&mut http, &announced(true)).await;
    let (alice, bob) = (switch.credential("alice").await, switch.credential("desk").await);
    let bob = Baresip::start(&baresip, switch.sip, &bob, (880, ";answermode=auto"), &[]);
    assert!(switch.has_bindings(1.0).await, "{}", bob.log());
    let dial = format!("/dial sip:100@{}", alice.realm);
    let alice = Baresip::start(&baresip, switch.sip, &alice, (440, ""), &[&dial]);
    recording(&mut http, "in_progress").await;
    assert!(grows(&switch, 1).await, "{}", switch.world.last_words());
    assert_eq!(ordered(&mut http, "start").await, (409, String::from("CONFLICT")));
    assert_eq!(ordered(&mut http, "pause").await.0, 200);
    let paused = Instant::now();
    // Both talk on meanwhile.
    assert!(wait_until(async || paused.elapsed() > Duration::from_millis(1_500)).await);
    assert_eq!(ordered(&mut http, "resume").await.0, 200);
    assert!(grows(&switch, 2).await, "{}", switch.world.last_words());
    let path = call(&mut http).await;
    let before = http.get(&path).await.data().clone();
    assert_eq!(http.post(&format!("{path}/hangup"), &json!({})).await.status, 200);
    let done = recording(&mut http, "available").await;
    assert_eq!((&done["lost_ms"], &done["reason"]), (&json!(0), &Value::Null), "{done}");
    let moment = |of: &Value| of.as_str().expect("a moment").to_owned();
    let (answered, told_at) =
        (moment(&before["answered_at"]), moment(&done["consent"]["announced_at"]));
    assert!(answered < told_at && told_at <= moment(&done["started_at"]), "{done} {before}");
    let completed = told(&mut http, "call.recording.completed").await;
    assert_eq!(completed["recording_id"], done["id"]);
    let media = http.get(done["url"].as_str().expect("a url")).await;
    assert_eq!(media.header("content-type"), Some("audio/wav"), "{}", media.head);
    let size = done["size_bytes"].as_u64().expect("a size");
    assert_eq!(media.header("content-length"), Some(size.to_string().as_str()));
    assert_eq!(fs::metadata(&files(&folder(&switch))[0]).expect("a file").len(), size);

    let [left, right] = sides(&switch);
    let (low, high) = (heard(&left, 440.0), heard(&right, 880.0));
    let is_on = |side: &[bool]| side.iter().filter(|on| **on).count();
    assert!(is_on(&low) >= 20 && is_on(&high) >= 20, "{low:?} {high:?}");
    assert_eq!((count(&left, 880.0), count(&right, 440.0)), (0, 0), "the sides are apart");
    assert_eq!((count(&left, ANNOUNCED_HZ), count(&right, ANNOUNCED_HZ)), (0, 0));
    // The pause is one stretch of silence on both sides.
    let silence = |side: &[bool]| {
        let loud = side.iter().position(|on| *on).unwrap_or_default();
        side[loud..].split(|on| *on).map(<[bool]>::len).max().unwrap_or_default()
    };
    for side in [&low, &high] {
        assert!((12..=22).contains(&silence(side)), "{side:?}");
    }
    // Both were told before they heard each other.
    for (phone, other) in [(&alice, 880.0), (&bob, 440.0)] {
        let samples = phone.heard();
        let (told, talk) = (heard(&samples, ANNOUNCED_HZ), heard(&samples, other));
        let begins = talk.iter().position(|on| *on).expect("it hears the other");
        let tells = told.iter().filter(|on| **on).count();
        assert!((7..=12).contains(&tells), "{told:?}");
        let ends = told.iter().rposition(|on| *on).unwrap_or_default();
        assert!(begins >= ends, "{told:?} {talk:?}");
    }
}

#[tokio::test]
async fn calls_to_a_number_that_wants_it_are_announced_and_recorded_and_others_are_not() {
    let sounds = Sounds::new("tape-number", 300);
    let out = carrier().await;
    let set_to = [("media.sounds_dir", sounds.setting())];
    let set_to = set_to.each_ref().map(|(key, value)| (*key, value.as_str()));
    let switch = with_carriers("tape-number", &[&out], &set_to).await;
    let mut http = switch.world.http(&switch.org.key);
    set(&mut http, &announced(false)).await;
    let desk = switch.credential("desk").await;
    let mut desk = Ua::registered(switch.sip, &desk).await;
    let mut from = caller(&switch).await;
    for (dialled, record) in [("+14155550101", false), (NUMBER, true)] {
        let config = json!({"targets": [{"type": "user", "name": "100"}], "record": record});
        let routing = json!({"type": "ring_group", "config": config});
        let path = number(&switch, &mut http, dialled, &routing).await;
        let shown = http.get(&format!("{path}/routing")).await;
        assert_eq!(shown.data()["config"]["record"] == true, record, "{}", shown.text);
        let mut dialog = from.bring(CALLER, dialled, "", &from.sdp(1, "sendrecv")).await;
        let invite = desk.incoming("INVITE").await;
        desk.answer(&invite, 200, &desk.sdp(1, "sendrecv")).await;
        let ok = from.response(200).await;
        from.confirm(&mut dialog, &ok, "").await;
        desk.incoming("ACK").await;
        if record {
            recording(&mut http, "in_progress").await;
        }
        // Of one packet too little may be recorded to be heard of.
        let heard = async || {
            let is_heard = from.speaks_to(ok.sound_at(), &desk, 0x11).await;
            is_heard && (!record || length(&switch) > 4_000)
        };
        assert!(wait_until(heard).await, "{}", switch.world.last_words());
        from.bye(&mut dialog).await;
        let bye = desk.incoming("BYE").await;
        desk.answer(&bye, 200, "").await;
        assert!(is_quiet(&switch).await);
        assert_eq!(recordings(&mut http).await.len(), usize::from(record));
    }
    let done = recording(&mut http, "available").await;
    assert!(done["consent"]["announced_at"].is_string(), "{done}");
}

#[tokio::test]
async fn who_hangs_up_while_it_is_announced_is_not_recorded() {
    let sounds = Sounds::new("tape-early", 3_000);
    let switch = Switch::start("tape-early", &[("media.sounds_dir", &sounds.setting())]).await;
    let mut http = switch.world.http(&switch.org.key);
    set(&mut http, &announced(true)).await;
    let mut talk = Talk::start(&switch).await;
    assert!(talk.alice.hears(talk.from_a).await, "the announcement");
    assert_eq!(ordered(&mut http, "start").await, (409, String::from("CONFLICT")), "not yet");
    talk.alice.bye(&mut talk.a).await;
    let bye = talk.bob.incoming("BYE").await;
    talk.bob.answer(&bye, 200, "").await;
    told(&mut http, "call.completed").await;
    assert!(is_quiet(&switch).await);
    assert!(recordings(&mut http).await.is_empty() && files(&folder(&switch)).is_empty());
    let events = http.all("/api/v1/events").await;
    let of_tapes = |event: &&Value| {
        event["type"].as_str().is_some_and(|kind| kind.starts_with("call.recording."))
    };
    assert_eq!(events.iter().find(of_tapes), None);
}

#[tokio::test]
async fn without_its_announcement_a_call_goes_on_and_nothing_of_it_is_recorded() {
    let sounds = Sounds::new("tape-unheard", 1_000);
    let keys =
        [("media.sounds_dir", sounds.setting()), ("media.recordings_sweep_s", String::from("1"))];
    let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let switch = Switch::start("tape-unheard", &keys).await;
    let mut http = switch.world.http(&switch.org.key);
    set(&mut http, &announced(true)).await;
    fs::remove_file(sounds.0.join("consent.wav")).expect("it was there");
    // Once the switch has seen that, the sound is refused by name.
    let forgotten = async || http.put(SETTINGS, &announced(true)).await.code() == "SOUND_NOT_FOUND";
    assert!(wait_until(forgotten).await);
    let mut http = switch.world.http(&switch.org.key);
    let mut talk = Talk::start(&switch).await;
    assert!(talk.is_heard_both_ways().await, "{}", switch.world.last_words());
    let failed = told(&mut http, "call.recording.failed").await;
    assert_eq!(failed["reason"], "announcement_unavailable", "{failed}");
    let refused = ordered(&mut http, "start").await;
    assert_eq!(refused, (409, String::from("CONSENT_REQUIRED")));
    assert!(recordings(&mut http).await.is_empty());
    talk.alice.bye(&mut talk.a).await;
    let bye = talk.bob.incoming("BYE").await;
    talk.bob.answer(&bye, 200, "").await;
    assert!(is_quiet(&switch).await);
}

#[tokio::test]
async fn the_law_of_a_partys_place_closes_what_the_mode_would_not() {
    let mut world = Switch::start("tape-law", &[]).await;
    let table = world.world.scratch.file("consent.csv");
    fs::write(&table, "region,minimum,area_codes\n*,announce_all,\n").expect("it is written");
    world.world.terminate().await;
    world.world.set("media.consent_file", &format!("{:?}", table.display().to_string()));
    world.world.serve().await;
    let mut http = world.world.http(&world.org.key);
    let none = |enforce: bool| json!({"mode": "none", "enforce_jurisdiction": enforce});
    set(&mut http, &none(true)).await;
    let ends = two(&world).await;
    let mut talk = Talk::between(ends).await;
    let path = call(&mut http).await;
    let refused = http.post(&format!("{path}/recording"), &json!({"action": "start"})).await;
    assert_eq!((refused.status, refused.code()), (409, "CONSENT_REQUIRED"), "{}", refused.text);
    assert_eq!(refused.json["error"]["details"]["required_mode"], "announce_all");
    talk.alice.bye(&mut talk.a).await;
    let bye = talk.bob.incoming("BYE").await;
    talk.bob.answer(&bye, 200, "").await;
    assert!(is_quiet(&world).await);
    set(&mut http, &none(false)).await;
    let mut talk = Talk::between((talk.alice, talk.bob)).await;
    assert_eq!(ordered(&mut http, "start").await.0, 200);
    talk.alice.bye(&mut talk.a).await;
    let bye = talk.bob.incoming("BYE").await;
    talk.bob.answer(&bye, 200, "").await;
    // Nobody said a word.
    assert_eq!(recording(&mut http, "failed").await["reason"], "nothing_recorded");
}

#[tokio::test]
async fn a_recording_that_a_crash_cut_off_is_whole_after_the_next_start() {
    let mut switch = Switch::start("tape-crash", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let talk = Talk::start(&switch).await;
    assert_eq!(ordered(&mut http, "start").await.0, 200);
    let speaking = async || {
        assert!(talk.is_heard_both_ways().await);
        length(&switch) > 32_000
    };
    assert!(wait_until(speaking).await, "{}", switch.world.last_words());
    assert_eq!(recordings(&mut http).await[0]["status"], "in_progress");
    switch.world.kill();
    switch.world.serve().await;
    let mut http = switch.world.http(&switch.org.key);
    let done = recording(&mut http, "available").await;
    assert!(done["size_bytes"].as_u64().expect("a size") > 32_000, "{done}");
    let [left, right] = sides(&switch);
    assert!(left.iter().any(|sample| *sample != 0) && right.iter().any(|sample| *sample != 0));
    let completed = told(&mut http, "call.recording.completed").await;
    assert_eq!(completed["recording_id"], done["id"]);
    let path = format!("/api/v1/voice/recordings/{}", done["id"].as_str().expect("an id"));
    let gone = http.request("DELETE", &path, &[], b"");
    assert!(http.raw(&gone).await.expect("an answer").status == 200);
    assert!(files(&folder(&switch)).is_empty() && recordings(&mut http).await.is_empty());
}

#[tokio::test]
async fn a_folder_that_takes_no_file_fails_the_recording_and_not_the_call() {
    let sounds = Sounds::new("tape-nowhere", 1_000);
    // A file stands where the folder should be.
    let nowhere = format!("{:?}", sounds.0.join("hold.wav").display().to_string());
    let switch = Switch::start("tape-nowhere", &[("media.recordings_dir", &nowhere)]).await;
    let mut http = switch.world.http(&switch.org.key);
    set(&mut http, &json!({"mode": "none", "default_record": true})).await;
    let mut talk = Talk::start(&switch).await;
    let failed = told(&mut http, "call.recording.failed").await;
    assert_eq!((&failed["reason"], &failed["url"]), (&json!("storage_failed"), &Value::Null));
    assert_eq!(recording(&mut http, "failed").await["id"], failed["recording_id"]);
    assert_eq!(ordered(&mut http, "start").await.0, 503);
    assert!(talk.is_heard_both_ways().await, "{}", switch.world.last_words());
    talk.alice.bye(&mut talk.a).await;
    let bye = talk.bob.incoming("BYE").await;
    talk.bob.answer(&bye, 200, "").await;
    assert!(is_quiet(&switch).await);
}

#[tokio::test]
async fn who_waits_hears_music_and_who_is_played_to_hears_that() {
    let sounds = Sounds::new("tape-hold", 1_000);
    let setting = sounds.setting();
    let keys = [("media.sounds_dir", setting.as_str()), ("media.hold_music", "\"hold.wav\"")];
    let switch = Switch::start("tape-hold", &keys).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut talk = Talk::start(&switch).await;
    assert!(talk.is_heard_both_ways().await, "{}", switch.world.last_words());
    let path = call(&mut http).await;
    // By the API: bob is asked to listen only.
    for (end, direction, kind) in
        [("hold", "recvonly", "call.held"), ("unhold", "sendrecv", "call.resumed")]
    {
        let Talk { bob, .. } = &mut talk;
        let answering = async {
            let invite = bob.incoming("INVITE").await;
            let sdp = bob.sdp(2, direction);
            bob.answer(&invite, 200, &sdp).await;
            bob.incoming("ACK").await;
        };
        let (asked, leg) = (format!("{path}/{end}"), json!({"leg": "b"}));
        let asking = http.post(&asked, &leg);
        let (reply, ()) = tokio::join!(asking, answering);
        assert_eq!(reply.status, 200, "{}", reply.text);
        let said = told(&mut http, kind).await;
        assert_eq!((&said["leg"], &said["by"]), (&json!("b"), &json!("api")));
        if end == "hold" {
            assert!(talk.bob.hears(talk.from_b).await, "music");
        }
    }
    assert!(talk.is_heard_both_ways().await, "{}", switch.world.last_words());
    // By alice: bob hears music in her place.
    let sdp = talk.alice.sdp(2, "sendonly");
    let Talk { alice, bob, a, .. } = &mut talk;
    let answering = async {
        let invite = bob.incoming("INVITE").await;
        let sdp = bob.sdp(3, "recvonly");
        bob.answer(&invite, 200, &sdp).await;
        bob.incoming("ACK").await;
    };
    let (said, ()) = tokio::join!(alice.reinvite(a, &sdp), answering);
    assert_eq!(said.status(), 200, "{}", said.text);
    let held = super::told_of(&mut http, "call.held", 2).await;
    assert_eq!((&held["leg"], &held["by"]), (&json!("b"), &json!("caller")));
    assert!(talk.bob.hears(talk.from_b).await, "music");
    let sdp = talk.alice.sdp(3, "sendrecv");
    let Talk { alice, bob, a, .. } = &mut talk;
    let answering = async {
        let invite = bob.incoming("INVITE").await;
        let sdp = bob.sdp(4, "sendrecv");
        bob.answer(&invite, 200, &sdp).await;
        bob.incoming("ACK").await;
    };
    let _ = tokio::join!(alice.reinvite(a, &sdp), answering);
    super::told_of(&mut http, "call.resumed", 2).await;
    assert!(talk.is_heard_both_ways().await, "{}", switch.world.last_words());
    // A sound, to one side, until it is stopped.
    let play = format!("{path}/play");
    let body = json!({"tone": "busy", "loop": true, "leg": "a"});
    assert_eq!(http.post(&play, &body).await.status, 200);
    assert!(talk.alice.hears(talk.from_a).await, "a busy tone");
    let stop = http.request("DELETE", &play, &[], b"");
    let stopped = http.raw(&stop).await.expect("an answer");
    assert_eq!(stopped.status, 200, "{}", stopped.text);
    assert!(talk.is_heard_both_ways().await, "{}", switch.world.last_words());
    talk.alice.bye(&mut talk.a).await;
    let bye = talk.bob.incoming("BYE").await;
    talk.bob.answer(&bye, 200, "").await;
    assert!(is_quiet(&switch).await);
}

#[tokio::test]
async fn who_comes_by_a_transfer_is_told_too_and_the_recording_goes_on() {
    let sounds = Sounds::new("tape-refer", 1_000);
    let switch = Switch::start("tape-refer", &[("media.sounds_dir", &sounds.setting())]).await;
    let mut http = switch.world.http(&switch.org.key);
    set(&mut http, &announced(true)).await;
    let carol = switch.credential("carol").await;
    let mut carol = Ua::registered(switch.sip, &carol).await;
    let mut talk = Talk::start(&switch).await;
    // Both have to be told before anything is heard of the other.
    assert!(talk.bob.hears(talk.from_b).await, "the announcement");
    let speaking = async || talk.is_heard_both_ways().await;
    assert!(wait_until(speaking).await, "{}", switch.world.last_words());
    let tape = recording(&mut http, "in_progress").await;
    // What is recorded of the rest may be too little to be heard of.
    let recorded = async || talk.is_heard_both_ways().await && length(&switch) > 4_000;
    assert!(wait_until(recorded).await, "{}", switch.world.last_words());
    let Talk { alice, bob, a, b, from_a, .. } = &mut talk;
    assert_eq!(bob.refer(b, "carol").await.status(), 202);
    let invite = carol.incoming("INVITE").await;
    carol.answer(&invite, 200, &carol.sdp(1, "sendrecv")).await;
    carol.incoming("ACK").await;
    let again = alice.incoming("INVITE").await;
    alice.answer(&again, 200, &alice.sdp(2, "sendrecv")).await;
    alice.incoming("ACK").await;
    assert!(carol.hears(invite.sound_at()).await, "she is told");
    let speaking = async || {
        alice.speaks_to(*from_a, &carol, 0x44).await
            && carol.speaks_to(invite.sound_at(), alice, 0x55).await
    };
    assert!(wait_until(speaking).await, "{}", switch.world.last_words());
    alice.bye(a).await;
    let bye = carol.incoming("BYE").await;
    carol.answer(&bye, 200, "").await;
    let done = recording(&mut http, "available").await;
    assert_eq!(done["id"], tape["id"], "one recording");
    let [left, right] = sides(&switch);
    assert_eq!((count(&left, ANNOUNCED_HZ), count(&right, ANNOUNCED_HZ)), (0, 0));
}
