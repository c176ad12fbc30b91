//! Legs against a far end that the test plays, and against each other.

mod far;
mod offers;
mod placed;
mod taken;
mod transfers;
mod wired;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::Limits;

#[test]
fn a_leg_is_small() {
    assert!(size_of::<Leg<u64>>() <= 1_024);
}

fn parse(octets: &[u8]) -> Message {
    let limits = Limits::default();
    match Message::accept(Bytes::copy_from_slice(octets), &limits) {
        Ok(message) => message,
        Err(refused) => panic!("{}\n{}", refused.defect, String::from_utf8_lossy(octets)),
    }
}

/// A request of a leg as it looks with the Via of its transaction.
fn with_via(octets: &[u8], branch: &str) -> Message {
    let end = memchr::memchr(b'\n', octets).unwrap() + 1;
    let via = format!("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch}\r\n");
    parse(&[&octets[..end], via.as_bytes(), &octets[end..]].concat())
}

fn sdp(version: u32) -> Body {
    let text = format!(
        "v=0\r\no=- 1 {version} IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    );
    Body::new(Bytes::from(text))
}

fn text(sdp: &Body) -> &str {
    std::str::from_utf8(sdp.as_bytes()).unwrap()
}

/// What a user is told, in short words.
fn short(told: &Told) -> String {
    let version = |sdp: &Option<Body>| {
        let found = sdp.as_ref().map(|sdp| text(sdp).split(' ').nth(2).unwrap().to_owned());
        found.unwrap_or("-".to_owned())
    };
    match told {
        Told::Invited { sdp, replaces } => {
            format!("invited {}{}", version(sdp), if replaces.is_some() { " replaces" } else { "" })
        }
        Told::Acknowledged => "acknowledged".to_owned(),
        Told::Ringing { fork, status, sdp } => format!("ringing {fork} {status} {}", version(sdp)),
        Told::ForkEnded { fork } => format!("fork ended {fork}"),
        Told::Answered { fork, sdp, is_offer } => {
            format!("answered {fork} {}{}", version(sdp), if *is_offer { " offer" } else { "" })
        }
        Told::Redirected { status, contacts } => format!("redirected {status} {contacts:?}"),
        Told::Challenged(challenged) => {
            format!("challenged {} {}", challenged.method, challenged.status)
        }
        Told::Failed(failure) => format!("failed {}", failure.status),
        Told::Offered { sdp } => format!("offered {}", version(sdp)),
        Told::OfferAnswered { sdp } => format!("offer answered {}", version(&Some(sdp.clone()))),
        Told::OfferRefused { status } => format!("offer refused {status}"),
        Told::OfferWithdrawn => "offer withdrawn".to_owned(),
        Told::Referred(referred) => format!("referred {}", referred.to),
        Told::ReferAnswered { status } => format!("refer answered {status}"),
        Told::ReferProgress { status, is_over } => {
            let status = status.map_or("-".to_owned(), |status| status.to_string());
            format!("refer progress {status}{}", if *is_over { " over" } else { "" })
        }
        Told::Info { content_type, body } => {
            format!("info {} {}", String::from_utf8_lossy(content_type), body.len())
        }
        Told::InfoAnswered { status } => format!("info answered {status}"),
        Told::Ended { by, cause } => {
            let q850 = cause.q850.map_or(String::new(), |cause| format!(" q850={cause}"));
            format!("ended {by:?}{q850}")
        }
    }
}
