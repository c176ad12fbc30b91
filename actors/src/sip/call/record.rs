//! What is known of each leg, for its record: when it began, rang, was answered and ended, why, through
//! which carrier, in which codec, and how well it was heard.

use std::time::Duration;

use model::clock::At;
use model::id::PublicId;
use model::message::Direction;
use model::voice::{EndReason, Leg, LegKind, Quality, Rated};
use proto_media::quality;
use proto_sip::StatusCode;
use proto_sip::leg::Cause;

use super::super::flow::{Flow, Kind};
use crate::media::LegReport;

/// Names of other ends are kept to this length.
const PARTY_MAX: usize = 256;

/// Begins the record of a leg.
#[derive(Debug)]
pub(super) struct NewLeg<'a> {
    pub kind: LegKind,
    pub direction: Direction,
    pub from: Option<&'a str>,
    pub to: &'a str,
    pub party: Option<&'a str>,
    pub trunk: Option<&'a str>,
    pub rated: &'a Rated,
    pub now: At,
}

impl NewLeg<'_> {
    #[must_use]
    pub(super) fn record(self) -> Leg {
        let id = PublicId::new(self.now);
        let mut leg = Leg::new(id, self.kind, self.direction, &cut(self.to), self.now);
        leg.from = self.from.map(cut);
        leg.party = self.party.map(cut);
        leg.trunk = self.trunk.map(str::to_owned);
        leg.prefix.clone_from(&self.rated.prefix);
        leg.tariff = self.rated.tariff;
        leg
    }
}

/// What a telephone's leg is.
#[must_use]
pub(super) fn kind_of(flow: Flow) -> LegKind {
    match flow.kind() {
        Kind::Ws | Kind::Wss => LegKind::Webrtc,
        Kind::Udp | Kind::Tcp | Kind::Tls => LegKind::Sip,
    }
}

/// It rings, for the first time.
pub(super) fn rang(leg: &mut Leg, now: At) {
    let waited = now.since(leg.started_at).as_millis();
    leg.pdd_ms.get_or_insert(u32::try_from(waited).unwrap_or(u32::MAX));
}

/// It is over; what is known already stays.
pub(super) fn ended(
    leg: &mut Leg,
    now: At,
    reason: EndReason,
    status: Option<StatusCode>,
    cause: &Cause,
) {
    if leg.ended_at.is_some() {
        return;
    }
    leg.ended_at = Some(now);
    leg.end = Some(reason);
    leg.sip_code = status.map(StatusCode::get).filter(|_| leg.answered_at.is_none());
    let q850 = cause.q850.and_then(|cause| u8::try_from(cause).ok());
    leg.q850 = Some(q850.unwrap_or_else(|| reason.q850()));
}

/// How its media was.
pub(super) fn heard(leg: &mut Leg, report: &LegReport) {
    let counters = &report.received;
    if counters.packets == 0 {
        return;
    }
    let expected = counters.packets.saturating_add(counters.lost).max(1);
    let loss_ppm = counters.lost.saturating_mul(1_000_000) / expected;
    let loss_ppm = u32::try_from(loss_ppm).unwrap_or(1_000_000);
    let micros = |span: Duration| u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
    let round_trip = counters.round_trip.unwrap_or_default();
    // What the listener waits for: half the way there and back, and the jitter that is smoothed out.
    let delay = round_trip / 2 + report.jitter * 2;
    let is_g729 = leg.codec.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("G729"));
    let codec = if is_g729 { quality::Codec::G729 } else { quality::Codec::G711 };
    let rated = quality::rating(codec, f64::from(loss_ppm) / 1_000_000.0, delay);
    leg.quality = Some(Quality {
        mos: quality::mos(rated),
        jitter_us: micros(report.jitter),
        loss_ppm,
        rtt_us: micros(round_trip),
    });
}

/// Signs of control are in no record: not every database takes them.
fn cut(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_control()).take(PARTY_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg() -> Leg {
        let new = NewLeg {
            kind: LegKind::Sip,
            direction: Direction::Outbound,
            from: Some("100"),
            to: "101",
            party: None,
            trunk: None,
            rated: &Rated::free(),
            now: At(1_000_000),
        };
        new.record()
    }

    #[test]
    fn no_record_has_signs_of_control_or_no_end() {
        assert_eq!(cut("a\0b\r\n"), "ab");
        assert_eq!(cut(&"x".repeat(1_000)).len(), PARTY_MAX);
    }

    #[test]
    fn the_first_ringing_and_the_first_end_are_kept() {
        let mut leg = leg();
        rang(&mut leg, At(1_250_000));
        rang(&mut leg, At(9_000_000));
        assert_eq!(leg.pdd_ms, Some(250));
        let busy = Some(StatusCode::BUSY_HERE);
        ended(&mut leg, At(2_000_000), EndReason::Busy, busy, &Cause::default());
        ended(&mut leg, At(3_000_000), EndReason::Normal, None, &Cause::q850(16));
        assert_eq!(
            (leg.ended_at, leg.sip_code, leg.q850),
            (Some(At(2_000_000)), Some(486), Some(17))
        );
    }

    #[test]
    fn an_answered_leg_ends_by_its_cause_and_not_by_a_status() {
        let mut leg = leg();
        leg.answered_at = Some(At(2_000_000));
        ended(&mut leg, At(3_000_000), EndReason::Normal, Some(StatusCode::OK), &Cause::q850(31));
        assert_eq!((leg.sip_code, leg.q850), (None, Some(31)));
    }
}
