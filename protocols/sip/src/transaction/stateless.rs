//! Answers that keep nothing (RFC 3261 §8.2.7): to bad requests, when there is no room, and to what
//! this layer answers for the user. The same request gets the same tag, and the ACK of such an
//! answer is known by it.

use std::hash::Hash;

use super::arrived::{self, Arrived};
use super::hop;
use super::orders::{Flow, Output};
use super::{Transactions, server};
use crate::header::{RetryAfter, Via};
use crate::{Answer, Builder, Message, Method, Name, Refused, StatusCode};

impl<F: Flow, U: Copy + Eq + Hash> Transactions<F, U> {
    /// Answers what `Message::parse` refused, if it can be answered.
    pub fn refuse(&mut self, flow: F, refused: &Refused, out: &mut Vec<Output<F, U>>) {
        if let Some((request, status)) = refused.answer() {
            self.answer_bad(flow, request, status, out);
        }
    }

    /// Whether a new request is fit to be served; if not, it is answered (§8.2, §16.3).
    pub(super) fn is_fit(
        &mut self,
        flow: F,
        request: &Message,
        inside: bool,
        out: &mut Vec<Output<F, U>>,
    ) -> bool {
        if let Err(defect) = request.check() {
            self.answer_bad(flow, request, defect.status(), out);
            return false;
        }
        let last = matches!(request.max_forwards(), Ok(Some(0)));
        if last && !inside && request.method() != Some(&Method::Options) {
            self.answer_bad(flow, request, StatusCode::TOO_MANY_HOPS, out);
            return false;
        }
        let Some(known) = &self.settings.extensions else { return true };
        let is_known =
            |tag: &[u8]| known.iter().any(|own| tag.eq_ignore_ascii_case(own.as_bytes()));
        let unknown: Vec<_> = request.tokens(Name::Require).filter(|tag| !is_known(tag)).collect();
        if unknown.is_empty() {
            return true;
        }
        self.stats.refused += 1;
        self.answer(flow, request, StatusCode::BAD_EXTENSION, out, |builder| {
            builder.header(Name::Unsupported, &unknown.join(&b", "[..])[..]);
        });
        false
    }

    /// 503: come again, not all at the same time.
    pub(super) fn answer_full(&mut self, flow: F, request: &Message, out: &mut Vec<Output<F, U>>) {
        self.stats.overload += 1;
        let least = self.settings.retry_after_s;
        let more = (self.keyed.draw() % (u64::from(least) + 1)) as u32;
        let retry = RetryAfter { seconds: least.saturating_add(more), duration: None };
        self.answer(flow, request, StatusCode::SERVICE_UNAVAILABLE, out, |builder| {
            builder.header(Name::RetryAfter, &retry);
        });
    }

    pub(super) fn answer_bad(
        &mut self,
        flow: F,
        request: &Message,
        status: StatusCode,
        out: &mut Vec<Output<F, U>>,
    ) {
        self.stats.refused += 1;
        self.answer(flow, request, status, out, |_| ());
    }

    /// An answer without a transaction, with what `add` adds to it.
    pub(super) fn answer(
        &mut self,
        flow: F,
        request: &Message,
        status: StatusCode,
        out: &mut Vec<Output<F, U>>,
        add: impl FnOnce(&mut Builder),
    ) {
        let tag = self.tag(request);
        let via: Option<Via> = request.via().ok();
        let to = via.map_or(flow, |via| server::way_back(flow, &via));
        let peer = flow.peer();
        let source = Some((peer.ip(), peer.port()));
        let answer = Answer { source, tag: Some(&tag), reason: None };
        let mut builder = Builder::answer(request, status, answer);
        add(&mut builder);
        if let Ok(octets) = builder.finish() {
            out.push(Output::Transmit { flow: to, octets });
        }
    }

    /// Whether an ACK is of an answer that was given here.
    pub(super) fn is_of_ours(&mut self, ack: &Message, arrived: &Arrived) -> bool {
        let tag = self.tag_of(arrived.call);
        arrived::tag(ack, Name::To).is_some_and(|own| own == tag.as_bytes())
    }

    fn tag(&mut self, request: &Message) -> String {
        let call = arrived::call(request, &self.keyed, &mut self.parts);
        let call = call.unwrap_or_else(|_| self.keyed.hash(request.raw()));
        self.tag_of(call)
    }

    pub(super) fn tag_of(&mut self, call: u64) -> String {
        let parts = self.parts.clear().add(b"tag").add(&call.to_le_bytes());
        let mut tag = Vec::with_capacity(16);
        hop::write_hex(self.keyed.hash(parts.bytes()), &mut tag);
        String::from_utf8_lossy(&tag).into_owned()
    }
}
