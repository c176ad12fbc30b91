//! The media plane on loopback sockets: phones that send, and what the other one hears.
//!
//! Each test has an address of its own, so that no two share ports. Phones block with a deadline.

mod phone;
mod relaying;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proto_media::latch::Policy;
use tokio::sync::mpsc;

use super::*;
use phone::Phone;

/// A media plane on an address of its own, a call on it, and a phone at each end.
struct Rig {
    media: Media,
    session: Option<Session>,
    notices: mpsc::Receiver<Notice>,
    phones: [Phone; 2],
}

fn config(host: u8) -> Config {
    Config {
        threads: 1,
        bind: IpAddr::V4(Ipv4Addr::new(127, 0, 8, host)),
        public_address: None,
        port_min: 20_000,
        port_max: 20_063,
        port_rest: Duration::ZERO,
        timeout: Duration::from_secs(60),
        orders_max: 64,
    }
}

fn args(notices: mpsc::Sender<Notice>) -> SessionArgs {
    let leg = LegArgs { policy: Policy::AnyProven, signalling: None };
    SessionArgs { legs: [leg; 2], notices }
}

impl Rig {
    /// A call whose ends are not described yet.
    async fn open(config: &Config) -> Self {
        let media = Media::start(config).unwrap();
        let (sender, notices) = mpsc::channel(64);
        let session = media.open(args(sender)).await.unwrap();
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

    async fn report(&self) -> Report {
        self.session().report().await.unwrap()
    }

    async fn close(&mut self) -> Report {
        self.session.take().unwrap().close().await.unwrap()
    }
}
