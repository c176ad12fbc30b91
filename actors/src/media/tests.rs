//! The media plane on loopback sockets: phones that send, and what the other one hears.
//!
//! Each test has an address of its own, so that no two share ports. Phones block with a deadline.

mod control;
mod converting;
mod digits;
mod faults;
mod phone;
mod recording;
mod relaying;
mod sealed;
mod sound;
mod strangers;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proto_media::g711::Law;
use proto_media::latch::Policy;
use proto_media::tone::{Generator, Tone, strength};
use tokio::sync::{mpsc, oneshot};

use super::relay::Command;
use super::*;
use phone::Phone;

/// A media plane on an address of its own, a call on it, and a phone at each end.
struct Rig {
    media: Media,
    session: Option<Session>,
    notices: mpsc::Receiver<Notice>,
    phones: [Phone; 2],
}

pub(super) fn config(host: u8) -> Config {
    Config {
        threads: 1,
        bind: IpAddr::V4(Ipv4Addr::new(127, 0, 8, host)),
        public_address: None,
        networks: Networks::parse(&["127.0.0.0/8"]).unwrap(),
        port_min: 20_000,
        port_max: 20_063,
        port_rest: Duration::ZERO,
        timeout: Duration::from_secs(60),
        rtcp_interval: Duration::ZERO,
        transcoded_max: 100,
        orders_max: 64,
        recorder_queue: 1_024,
        recording_longest: Duration::from_secs(60),
    }
}

fn args(notices: mpsc::Sender<Notice>) -> SessionArgs {
    let leg = LegArgs { policy: Policy::AnyProven, signalling: None };
    SessionArgs { legs: [leg; 2], notices }
}

/// µ-law and digits under 101.
fn mu() -> [Format; 2] {
    [Format::g711(Law::Mu), Format::events(101)]
}

/// A tone in frames of 20 ms.
fn tone(frequency: f64, law: Law, frames: usize) -> Vec<Vec<u8>> {
    let tone = Tone { frequencies: [frequency, 0.0], ..Tone::BEEP };
    let mut generator = Generator::new(&tone, 8_000);
    let frame = |_| {
        let mut samples = [0; 160];
        generator.fill(&mut samples);
        samples.map(|sample| law.encode(sample)).to_vec()
    };
    (0..frames).map(frame).collect()
}

/// Whether a frequency is in the samples at -13 dBm0, 0.155 of full scale.
fn sounds(samples: &[i16], frequency: f64) -> bool {
    let strength = strength(samples, frequency, 8_000);
    assert!(strength < 0.01 || (0.13..0.17).contains(&strength), "{frequency} Hz: {strength}");
    strength > 0.1
}

impl Rig {
    /// A call whose ends are not described yet.
    async fn open(config: &Config) -> Self {
        Self::telling(config, 64).await
    }

    /// The same, with room for so many notices.
    async fn telling(config: &Config, room: usize) -> Self {
        let media = Media::start(config).unwrap();
        let (sender, notices) = mpsc::channel(room);
        let session = media.open(args(sender)).unwrap();
        let phones = Side::BOTH.map(|side| Phone::new(session.local(side)));
        Self { media, session: Some(session), notices, phones }
    }

    /// A call between two phones that take these formats.
    async fn call(config: &Config, formats: [&[Format]; 2]) -> Self {
        let rig = Self::open(config).await;
        for (side, formats) in Side::BOTH.into_iter().zip(formats) {
            rig.describe(side, formats).await;
        }
        rig
    }

    fn session(&self) -> &Session {
        self.session.as_ref().unwrap()
    }

    fn remote(&self, side: Side, formats: &[Format]) -> RemoteMedia {
        RemoteMedia {
            rtp: Some(self.phones[side.index()].address()),
            rtcp: None,
            rtcp_mux: false,
            receive: formats.to_vec(),
            send: formats.to_vec(),
            sends: true,
            receives: true,
            srtp: None,
            signalling: None,
            is_other_peer: false,
        }
    }

    async fn describe(&self, side: Side, formats: &[Format]) {
        self.session().set_remote(side, self.remote(side, formats)).await.unwrap();
    }

    fn phone(&mut self, side: Side) -> &mut Phone {
        &mut self.phones[side.index()]
    }

    /// The next notice of a leg that `wanted` picks out.
    async fn notice(&mut self, side: Side, wanted: impl Fn(&Event) -> bool) -> Event {
        let next = async {
            loop {
                let notice = self.notices.recv().await.expect("the session told of its end");
                if notice.leg == side && wanted(&notice.event) {
                    return notice.event;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), next).await.expect("no such notice")
    }

    /// The first report that `wanted` picks out.
    async fn report(&self, wanted: impl Fn(&Report) -> bool) -> Report {
        let first = async {
            loop {
                let report = self.session().report().await.unwrap();
                if wanted(&report) {
                    return report;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), first).await.expect("no such report")
    }

    async fn close(&mut self) -> Report {
        self.session.take().unwrap().close().await.unwrap()
    }
}
