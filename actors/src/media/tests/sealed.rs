//! A leg that is sealed beside one in the clear.

use proto_media::Packet;
use proto_media::srtp::{Context, MasterKey, Suite};

use super::*;

const SUITE: Suite = Suite::AesCm128HmacSha1_80;

fn key(number: u8) -> MasterKey {
    MasterKey::new([number; 30])
}

fn sealed(context: &mut Context, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    Packet::new(0, sequence, u32::from(sequence) * 160, 7, payload).write(&mut octets).unwrap();
    context.protect(&mut octets).unwrap();
    octets
}

#[tokio::test]
async fn a_sealed_leg_and_one_in_the_clear_hear_each_other() {
    let mut rig = Rig::open(&config(51)).await;
    let srtp = Some(Keys { suite: SUITE, ours: key(1), theirs: key(2) });
    let remote = RemoteMedia { srtp, ..rig.remote(Side::A, &mu()) };
    rig.session().set_remote(Side::A, remote.clone()).await.unwrap();
    rig.describe(Side::B, &mu()).await;
    let (mut says, mut hears) = (Context::new(SUITE, key(2)), Context::new(SUITE, key(1)));
    let to = rig.session().local(Side::A);
    let first = sealed(&mut says, 65_535, &[1; 160]);
    rig.phones[0].socket.send_to(&first, to).unwrap();
    assert_eq!(rig.phones[1].hear().payload, [1; 160]);
    rig.session().set_remote(Side::A, remote).await.unwrap();
    rig.phones[0].socket.send_to(&sealed(&mut says, 0, &[2; 160]), to).unwrap();
    assert_eq!(rig.phones[1].hear().payload, [2; 160], "the rollover is kept");
    rig.phones[1].say(&[3; 160]);
    let (mut octets, _) = rig.phones[0].octets();
    let length = hears.unprotect(&mut octets).unwrap();
    assert_eq!(phone::heard(&octets[..length]).payload, [3; 160]);
    rig.phones[0].socket.send_to(&first, to).unwrap();
    rig.phones[0].say(&[4; 160]);
    rig.report(|report| report.legs[0].received.refused >= 2).await;
    assert!(rig.phones[1].is_quiet(), "a replay, or one in the clear");
}

#[tokio::test]
async fn who_proves_the_key_is_latched_to_wherever_it_is() {
    let mut rig = Rig::open(&config(52)).await;
    let srtp = Some(Keys { suite: SUITE, ours: key(1), theirs: key(2) });
    let remote = RemoteMedia { srtp, ..rig.remote(Side::A, &mu()) };
    rig.session().set_remote(Side::A, remote).await.unwrap();
    rig.describe(Side::B, &mu()).await;
    let nat = Phone::at(Ipv4Addr::new(127, 0, 0, 10).into(), rig.session().local(Side::A));
    let packet = sealed(&mut Context::new(SUITE, key(2)), 1, &[1; 160]);
    nat.socket.send_to(&packet, nat.to).unwrap();
    assert_eq!(rig.phones[1].hear().payload, [1; 160]);
    let latched = Event::Latched(nat.address());
    assert_eq!(rig.notice(Side::A, |event| *event == latched).await, latched);
}

#[tokio::test]
async fn what_a_sealed_leg_says_is_recorded_in_the_clear() {
    let path = std::env::temp_dir().join(format!("orbit-sealed-{}.wav", std::process::id()));
    let rig = Rig::open(&config(53)).await;
    let srtp = Some(Keys { suite: SUITE, ours: key(1), theirs: key(2) });
    let remote = RemoteMedia { srtp, ..rig.remote(Side::A, &mu()) };
    rig.session().set_remote(Side::A, remote).await.unwrap();
    rig.describe(Side::B, &mu()).await;
    let (tap, ended) = rig.session().open_tape(path.clone()).await.unwrap();
    rig.session().record(tap).await.unwrap();
    let (mut says, to) = (Context::new(SUITE, key(2)), rig.session().local(Side::A));
    for (sequence, frame) in (1..).zip(tone(440.0, Law::Mu, 10)) {
        rig.phones[0].socket.send_to(&sealed(&mut says, sequence, &frame), to).unwrap();
        rig.phones[1].hear();
    }
    rig.session().stop_record().await.unwrap();
    assert_eq!(ended.await.unwrap().error, None);
    let file = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let wav = proto_media::wav::Wav::parse(&file).unwrap();
    let left: Vec<i16> = wav.samples().step_by(2).collect();
    assert!(sounds(&left[..1_600], 440.0), "{} samples", left.len());
}
