//! One side of a call, and what it costs: what a call detail record is made of.

use serde::{Deserialize, Serialize};

use super::end::EndReason;
use super::status::{Attest, LegKind};
use super::tariff::{Tariff, whole_seconds};
use crate::clock::At;
use crate::id::PublicId;
use crate::message::Direction;
use crate::money::Micros;

/// A leg as its call knows it; of one that is over, all that its record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    pub id: PublicId,
    pub kind: LegKind,
    /// Inbound: they called us.
    pub direction: Direction,
    pub from: Option<String>,
    pub to: String,
    /// What is at its other end: a number, an address, a name.
    pub party: Option<String>,
    pub trunk: Option<String>,
    /// Under which prefix its tariff stands.
    pub prefix: String,
    pub tariff: Tariff,
    /// What the carrier takes for it, if that is known.
    pub carrier_tariff: Option<Tariff>,
    pub codec: Option<String>,
    pub muted: bool,
    pub on_hold: bool,
    pub started_at: At,
    pub answered_at: Option<At>,
    pub ended_at: Option<At>,
    pub end: Option<EndReason>,
    pub sip_code: Option<u16>,
    pub q850: Option<u8>,
    pub attest: Option<Attest>,
    /// From its INVITE to its first sign of ringing.
    pub pdd_ms: Option<u32>,
    pub quality: Option<Quality>,
}

impl Leg {
    /// The same with nothing in it that others wrote: for a database that does not take it as it is.
    #[must_use]
    pub fn bare(&self) -> Self {
        let digits = |text: &String| -> String {
            text.chars().filter(|sign| matches!(sign, '+' | '0'..='9')).collect()
        };
        Self {
            from: self.from.as_ref().map(digits).filter(|from| !from.is_empty()),
            to: digits(&self.to),
            party: None,
            trunk: None,
            codec: None,
            ..self.clone()
        }
    }
}

/// How its media was, as far as it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// Mean opinion score in hundredths: 441 is 4.41.
    pub mos: u16,
    pub jitter_us: u32,
    /// Lost packets of a million.
    pub loss_ppm: u32,
    pub rtt_us: u32,
}

/// The stored form of a leg: numbers for what has them.
#[derive(Serialize, Deserialize)]
struct Stored {
    id: [u8; 16],
    kind: i64,
    direction: i64,
    from: Option<String>,
    to: String,
    party: Option<String>,
    trunk: Option<String>,
    prefix: String,
    tariff: Tariff,
    carrier_tariff: Option<Tariff>,
    codec: Option<String>,
    muted: bool,
    on_hold: bool,
    started_at: i64,
    answered_at: Option<i64>,
    ended_at: Option<i64>,
    end: Option<i64>,
    sip_code: Option<u16>,
    q850: Option<u8>,
    attest: Option<i64>,
    pdd_ms: Option<u32>,
    quality: Option<Quality>,
}

/// Legs as text for a row.
#[must_use]
pub fn write_legs(legs: &[Leg]) -> String {
    let stored: Vec<Stored> = legs.iter().map(Stored::of).collect();
    serde_json::to_string(&stored).unwrap_or_default()
}

/// Legs of a row's text; `None`: no program of ours wrote it.
#[must_use]
pub fn read_legs(text: &str) -> Option<Vec<Leg>> {
    let stored: Vec<Stored> = serde_json::from_str(text).ok()?;
    stored.into_iter().map(Stored::leg).collect()
}

impl Stored {
    fn of(leg: &Leg) -> Self {
        Self {
            id: *leg.id.as_bytes(),
            kind: leg.kind.code(),
            direction: leg.direction.code(),
            from: leg.from.clone(),
            to: leg.to.clone(),
            party: leg.party.clone(),
            trunk: leg.trunk.clone(),
            prefix: leg.prefix.clone(),
            tariff: leg.tariff,
            carrier_tariff: leg.carrier_tariff,
            codec: leg.codec.clone(),
            muted: leg.muted,
            on_hold: leg.on_hold,
            started_at: leg.started_at.0,
            answered_at: leg.answered_at.map(|at| at.0),
            ended_at: leg.ended_at.map(|at| at.0),
            end: leg.end.map(EndReason::code),
            sip_code: leg.sip_code,
            q850: leg.q850,
            attest: leg.attest.map(Attest::code),
            pdd_ms: leg.pdd_ms,
            quality: leg.quality,
        }
    }

    fn leg(self) -> Option<Leg> {
        Some(Leg {
            id: PublicId::from_bytes(self.id),
            kind: LegKind::from_code(self.kind)?,
            direction: Direction::from_code(self.direction)?,
            from: self.from,
            to: self.to,
            party: self.party,
            trunk: self.trunk,
            prefix: self.prefix,
            tariff: self.tariff,
            carrier_tariff: self.carrier_tariff,
            codec: self.codec,
            muted: self.muted,
            on_hold: self.on_hold,
            started_at: At(self.started_at),
            answered_at: self.answered_at.map(At),
            ended_at: self.ended_at.map(At),
            end: self.end.and_then(EndReason::from_code),
            sip_code: self.sip_code,
            q850: self.q850,
            attest: self.attest.and_then(Attest::from_code),
            pdd_ms: self.pdd_ms,
            quality: self.quality,
        })
    }
}

/// What a leg comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// From its answer to its end, rounded up.
    pub duration_s: i64,
    pub billable_s: i64,
    pub cost: Micros,
    pub carrier_cost: Micros,
}

impl Leg {
    /// A leg that begins now and costs nothing.
    #[must_use]
    pub fn new(id: PublicId, kind: LegKind, direction: Direction, to: &str, now: At) -> Self {
        Self {
            id,
            kind,
            direction,
            from: None,
            to: to.to_owned(),
            party: None,
            trunk: None,
            prefix: String::new(),
            tariff: Tariff::FREE,
            carrier_tariff: None,
            codec: None,
            muted: false,
            on_hold: false,
            started_at: now,
            answered_at: None,
            ended_at: None,
            end: None,
            sip_code: None,
            q850: None,
            attest: None,
            pdd_ms: None,
            quality: None,
        }
    }

    /// What it comes to when it has ended, or ends at `end`.
    #[must_use]
    pub fn charge(&self, end: At) -> Charge {
        let Some(answered) = self.answered_at else { return Charge::default() };
        let talked = self.ended_at.unwrap_or(end).since(answered);
        let billable_s = self.tariff.billable_s(talked);
        let carrier = self.carrier_tariff.map(|tariff| tariff.cost(tariff.billable_s(talked)));
        Charge {
            duration_s: whole_seconds(talked),
            billable_s,
            cost: self.tariff.cost(billable_s),
            carrier_cost: carrier.unwrap_or_default(),
        }
    }
}

/// What all legs of a call come to, with the seconds of those that cost something; where none does,
/// those of the longest.
#[must_use]
pub fn charge(legs: &[Leg], end: At) -> Charge {
    let mut all = Charge::default();
    let mut longest = 0;
    for leg in legs {
        let charge = leg.charge(end);
        all.duration_s = all.duration_s.max(charge.duration_s);
        all.cost += charge.cost;
        all.carrier_cost += charge.carrier_cost;
        longest = longest.max(charge.billable_s);
        if !leg.tariff.is_free() {
            all.billable_s += charge.billable_s;
        }
    }
    if legs.iter().all(|leg| leg.tariff.is_free()) {
        all.billable_s = longest;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn leg(kind: LegKind, tariff: Tariff, answered: Option<i64>) -> Leg {
        let id = PublicId::from_bytes([1; 16]);
        let new = Leg::new(id, kind, Direction::Outbound, "+14155550123", At(0));
        Leg { tariff, answered_at: answered.map(|s| At(s * SECOND)), ..new }
    }

    const PSTN: Tariff =
        Tariff { per_minute: 12_000, initial_s: 60, increment_s: 60, connect_fee: 0 };

    #[test]
    fn a_leg_is_paid_from_its_answer_to_its_end() {
        let carrier = Tariff { per_minute: 6_000, increment_s: 1, ..PSTN };
        let mut pstn = leg(LegKind::Pstn, PSTN, Some(10));
        pstn.carrier_tariff = Some(carrier);
        let charge = pstn.charge(At(71 * SECOND));
        let (cost, carrier_cost) = (Micros(24_000), Micros(6_100));
        assert_eq!(charge, Charge { duration_s: 61, billable_s: 120, cost, carrier_cost });
        pstn.ended_at = Some(At(20 * SECOND));
        assert_eq!(pstn.charge(At(71 * SECOND)).billable_s, 60);
        assert_eq!(leg(LegKind::Pstn, PSTN, None).charge(At(99)), Charge::default());
        let backwards = leg(LegKind::Pstn, PSTN, Some(10)).charge(At(0));
        assert_eq!((backwards.duration_s, backwards.billable_s), (0, 60));
    }

    #[test]
    fn legs_survive_their_text() {
        let mut full = leg(LegKind::Pstn, PSTN, Some(10));
        full.end = Some(EndReason::Busy);
        full.attest = Some(Attest::Partial);
        full.quality = Some(Quality { mos: 441, jitter_us: 2_000, loss_ppm: 10, rtt_us: 40_000 });
        let legs = vec![full, leg(LegKind::Sip, Tariff::FREE, None)];
        assert_eq!(read_legs(&write_legs(&legs)), Some(legs));
        assert_eq!(read_legs("[]"), Some(Vec::new()));
        assert_eq!(read_legs("{"), None);
    }

    #[test]
    fn a_call_is_paid_by_the_legs_that_cost_something() {
        let sip = leg(LegKind::Sip, Tariff::FREE, Some(0));
        let legs = [sip.clone(), leg(LegKind::Pstn, PSTN, Some(1))];
        let all = charge(&legs, At(62 * SECOND));
        assert_eq!((all.duration_s, all.billable_s, all.cost), (62, 120, Micros(24_000)));
        let free = charge(&[sip], At(62 * SECOND));
        assert_eq!((free.billable_s, free.cost), (62, Micros::ZERO));
        assert_eq!(charge(&[], At(9)), Charge::default());
    }
}
