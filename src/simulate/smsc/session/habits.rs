//! What quirks 26 and 34 to 50 make of a session.
//!
//! Those that refuse something refuse each submit once, so that whoever tries again gets through.

use std::time::{Duration, Instant};

use super::{Ending, Session, State, answer, nack};
use crate::simulate::smsc::center::Center;
use crate::simulate::smsc::receipt::vendor_tlvs;
use crate::simulate::smsc::stats::add;
use crate::simulate::smsc::wire::{self, BindAnswer, Header, RESPONSE, Submit};

/// Not a status: the submit is not answered.
pub(super) const SILENCE: u32 = u32::MAX;
/// A connection that is lost on purpose is lost after so many submits.
const LOST_AFTER: u64 = 10;
const ENQUIRE_EACH: Duration = Duration::from_secs(1);
/// Of enquire_links; far from the numbers of deliveries.
const ENQUIRY: u32 = 0x6000_0000;
/// Of responses to nothing.
const GHOST: u32 = 0x5000_0000;
/// Of alerts.
const ALERT: u32 = 0x4000_0000;
const BUSY: [u32; 4] = [0x58, 0x14, 0x45, 0x08];

/// What a bind with the right name and password is told.
pub(super) fn bind_status(center: &mut Center) -> u32 {
    if center.turns.refusals > 0 {
        center.turns.refusals -= 1;
        return wire::ALREADY_BOUND;
    }
    let most = center.quirks.get(48).and_then(|limit| limit.strip_prefix("binds:"));
    let full = most.is_some_and(|most| most.parse().is_ok_and(|most: u64| center.bound() >= most));
    if full { wire::BIND_FAILED } else { wire::OK }
}

/// Whether this bind, the first, is answered with a generic_nack.
pub(super) fn nacks_bind(center: &mut Center) -> bool {
    center.quirks.is(41, "to-bind") && !std::mem::replace(&mut center.turns.nack, true)
}

pub(super) fn put_bind_answer(center: &Center, request: Header, status: u32, out: &mut Vec<u8>) {
    let quirks = &center.quirks;
    let name = match quirks.get(46) {
        Some("long") => &b"a-name-of-more-than-fifteen"[..],
        Some(_) => b"",
        None => b"orbit-simulator",
    };
    let version = match quirks.get(47) {
        Some("none") => None,
        Some(_) => quirks.number(47).and_then(|version| u8::try_from(version).ok()),
        None => Some(0x34),
    };
    let mut tail = Vec::new();
    if quirks.has(29) {
        vendor_tlvs(&mut tail);
    }
    let whole = !quirks.is(46, "no-body") && !quirks.is(28, "unterminated");
    wire::put_bind_answer_of(
        out,
        request,
        status,
        &BindAnswer { name, whole, version, tail: &tail },
    );
}

/// Why a submit is refused, if it is.
pub(super) fn submit_status(center: &mut Center, repeated: bool, now: Instant) -> Option<u32> {
    let quirks = &center.quirks;
    if quirks.has(39) {
        return quirks.number(39).and_then(|status| u32::try_from(status).ok());
    }
    if !repeated {
        if let Some(way) = quirks.get(38) {
            center.turns.throttled += 1;
            return Some(match way {
                "silence" => SILENCE,
                "mixed" => BUSY[center.turns.throttled % BUSY.len()],
                _ => quirks.number(38).and_then(|n| u32::try_from(n).ok()).unwrap_or(BUSY[0]),
            });
        }
        if quirks.has(26) {
            return Some(wire::SYSTEM_ERROR);
        }
        if quirks.is(41, "to-submit") {
            return Some(wire::INVALID_COMMAND);
        }
    }
    let pace = u64::from(center.options.pace);
    (pace > 0 && center.over_pace(pace, now)).then_some(wire::THROTTLED)
}

/// Whether a refused submit is answered with a generic_nack.
pub(super) fn nacks_submit(center: &Center, status: u32) -> bool {
    status == wire::INVALID_COMMAND && center.quirks.is(41, "to-submit")
}

pub(super) fn put_answer_body(center: &Center, status: u32, id: &[u8], out: &mut Vec<u8>) {
    let quirks = &center.quirks;
    if status != wire::OK {
        if quirks.is(26, "present") {
            out.extend_from_slice(b"refused\0");
        }
        return;
    }
    if quirks.is(7, "no-body") {
        return;
    }
    out.extend_from_slice(id);
    if quirks.is(28, "unterminated") {
        return;
    }
    out.push(0);
    if quirks.has(29) {
        vendor_tlvs(out);
    }
}

/// Whether a connection from an address that has one already is not taken.
pub(crate) fn turns_away(center: &Center) -> bool {
    center.quirks.is(48, "address") && !center.seats().is_empty()
}

impl Session {
    /// What the peer gets before it said anything.
    pub(crate) fn greet(&mut self, center: &mut Center, out: &mut Vec<u8>) {
        center.turns.connections += 1;
        let first = center.turns.connections == 1;
        match center.quirks.get(34) {
            Some("http") if first => {
                out.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            }
            Some("tls") if first => {
                out.extend_from_slice(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no hello");
            }
            Some("crlf") => out.extend_from_slice(b"\r\n"),
            _ => {}
        }
        if center.quirks.is(42, "before-bind") {
            wire::put(out, wire::ENQUIRE_LINK, wire::OK, 1, |_| {});
        }
    }

    /// What a fresh bind is met with.
    pub(super) fn settle_in(&mut self, center: &mut Center, now: Instant, out: &mut Vec<u8>) {
        if center.quirks.is(42, "own") {
            self.enquire_at = Some(now + ENQUIRE_EACH);
        }
        if center.quirks.is(36, "together") {
            center.queue_inbound(1, now);
            self.pump_deliveries(center, now, out);
        }
    }

    /// Asks whether the peer is there, when it is time.
    pub(super) fn enquire(&mut self, now: Instant, out: &mut Vec<u8>) {
        if self.enquire_at.is_some_and(|at| at <= now) {
            self.enquire_at = Some(now + ENQUIRE_EACH);
            self.enquiries += 1;
            wire::put(out, wire::ENQUIRE_LINK, wire::OK, ENQUIRY + self.enquiries, |_| {});
        }
        if self.deaf_until.is_some_and(|until| until <= now) {
            self.deaf_until = None;
        }
    }

    pub(crate) fn is_deaf(&self, now: Instant) -> bool {
        self.deaf_until.is_some_and(|until| now < until)
    }

    /// Says that who was written to can be reached, on a bind that receives.
    pub(super) fn alert(
        &self,
        center: &Center,
        header: Header,
        submit: &Submit<'_>,
        out: &mut Vec<u8>,
    ) {
        let Some(way) = center.quirks.get(50) else { return };
        if self.state == State::Transmitter {
            return;
        }
        let count = center.quirks.number(50).unwrap_or(1);
        let status = match way {
            "denied" => Some(1),
            "unavailable" => Some(2),
            "bare" => None,
            _ => Some(0),
        };
        let sequence = ALERT + header.sequence % ALERT;
        for _ in 0..count {
            let start = out.len();
            wire::put_alert(out, sequence, (submit.destination, submit.source), status);
            if way == "cut" {
                out.truncate(start + wire::HEADER + 4);
                let length = (out.len() - start) as u32;
                out[start..start + 4].copy_from_slice(&length.to_be_bytes());
            }
            add(&center.counters.alerts_sent, 1);
        }
    }

    /// What follows an answered submit.
    pub(super) fn after_submit(
        &mut self,
        center: &mut Center,
        header: Header,
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        self.taken += 1;
        let quirks = &center.quirks;
        if let Some(way) = quirks.get(44) {
            let unknown = way == "unknown";
            let sequence = if unknown { GHOST + header.sequence } else { header.sequence };
            let id = if unknown { &b"ghost"[..] } else { &self.id };
            wire::put(out, header.command | RESPONSE, wire::OK, sequence, |out| {
                out.extend_from_slice(id);
                out.push(0);
            });
        }
        if quirks.is(41, "sequence-0") {
            nack(out, Header { sequence: 0, ..header }, wire::INVALID_COMMAND);
        }
        if let Some(length) = quirks.number(35)
            && !center.turns.bad_length
        {
            center.turns.bad_length = true;
            let start = out.len();
            answer(
                out,
                Header { command: wire::ENQUIRE_LINK, sequence: GHOST, ..header },
                wire::OK,
            );
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
        if let Some(seconds) = quirks.number(49)
            && !center.turns.slow
        {
            center.turns.slow = true;
            self.deaf_until = Some(now + Duration::from_secs(seconds));
        }
        let most = quirks.get(48).and_then(|limit| limit.strip_prefix("messages:"));
        let spent = most.is_some_and(|most| most.parse().is_ok_and(|most: u64| self.taken >= most));
        let lost = self.taken >= LOST_AFTER;
        self.ending = match quirks.get(43) {
            Some("rst") if lost => Ending::Reset,
            Some("fin") if lost => Ending::Soon,
            _ if spent || lost && quirks.has(40) => Ending::Soon,
            _ => return,
        };
        add(&center.counters.drops, 1);
    }
}
