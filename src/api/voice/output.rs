//! Calls and records as the API shows them.

use model::clock::At;
use model::id::{Kind, PublicId};
use model::message::Direction;
use model::money::Micros;
use model::voice::{
    Attest, CallStatus, EndReason, Facts, HangupBy, Leg, LegKind, Quality, Transport, read_legs,
};
use serde::Serialize;
use serde_json::{Value, json};
use store::{CallRow, CdrRow};
use utoipa::ToSchema;

use super::super::messages::id_of;
use super::recordings::RecordingOut;

/// A call.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallOut {
    #[schema(example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    /// `outbound` or `inbound`.
    direction: &'static str,
    /// `initiating`, `ringing`, `in_progress`, `completed` or `failed`.
    #[schema(example = "completed")]
    status: &'static str,
    /// Null when it is withheld.
    from: Option<String>,
    to: String,
    test_mode: bool,
    /// `sbc`, `sfu` or `ws_bridge`.
    transport: Option<&'static str>,
    agent_id: Option<String>,
    number_id: Option<String>,
    route_id: Option<String>,
    campaign_id: Option<String>,
    queue_id: Option<String>,
    conference_id: Option<String>,
    parent_call_id: Option<String>,
    /// The Call-ID that the caller's side knows it by.
    sip_call_id: Option<String>,
    record: bool,
    /// Of its newest recording; shown with one call, not in lists.
    recording_url: Option<String>,
    recording_consent: Option<RecordingConsentOut>,
    amd: Option<AmdOut>,
    stir: StirOut,
    /// From its answer to its end, or to now.
    duration_seconds: i64,
    /// What of that is paid for, rounded up.
    billable_seconds: Option<i64>,
    /// Decimal dollars.
    #[schema(example = "0.012000")]
    rate_per_minute: String,
    /// Null until it is over.
    #[schema(example = "0.024000")]
    cost: Option<String>,
    cost_micros: Option<i64>,
    /// Put aside for it now.
    held_micros: i64,
    #[schema(example = "USD")]
    currency: &'static str,
    /// Why it ended, as `normal`, `busy` or `no_answer`.
    end_reason: Option<&'static str>,
    /// The final status of its INVITE; null when it ended by BYE.
    sip_code: Option<i64>,
    q850_cause: Option<i64>,
    /// `caller`, `callee`, `api` or `system`.
    hangup_by: Option<&'static str>,
    #[schema(value_type = Object)]
    metadata: Value,
    created_at: String,
    ringing_at: Option<String>,
    answered_at: Option<String>,
    ended_at: Option<String>,
}

/// What was announced before it was recorded.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RecordingConsentOut {
    /// `none`, `announce_inbound` or `announce_all`.
    #[schema(example = "announce_all")]
    pub(super) mode: String,
    pub(super) announced_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AmdOut {
    /// `human`, `machine_start`, `machine_end_beep`, `fax` or `unknown`; null while nothing is known.
    result: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StirOut {
    /// `A`, `B` or `C`.
    attest: Option<&'static str>,
    verstat: Option<String>,
}

/// A call with its legs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallDetailOut {
    #[serde(flatten)]
    call: CallOut,
    legs: Vec<LegOut>,
    /// Of the leg that cost most, or of the first; null while nothing is known.
    quality: Option<QualityOut>,
}

/// One side of a call.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LegOut {
    #[schema(example = "leg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    /// `pstn`, `sip`, `webrtc`, `agent`, `ws` or `whatsapp`.
    kind: &'static str,
    direction: &'static str,
    party: Option<String>,
    trunk: Option<String>,
    /// `ringing`, `in_progress`, `completed` or `failed`.
    status: &'static str,
    muted: bool,
    on_hold: bool,
    codec: Option<String>,
    started_at: String,
    answered_at: Option<String>,
    ended_at: Option<String>,
    end_reason: Option<&'static str>,
    sip_code: Option<i64>,
}

/// How media was heard.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QualityOut {
    #[schema(example = 4.41)]
    mos: f64,
    jitter_ms: f64,
    loss_pct: f64,
    rtt_ms: f64,
}

/// A call detail record: what became of one leg. It is never changed; a correction is another one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CdrOut {
    #[schema(example = "cdr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    cdr_id: String,
    call_id: String,
    leg_id: String,
    /// A correction of a record before it.
    is_correction: bool,
    kind: &'static str,
    direction: &'static str,
    test_mode: bool,
    from: Option<String>,
    to: String,
    /// Under which prefix its price stands.
    prefix: String,
    /// Of the number at its other end.
    #[schema(example = "US")]
    country: Option<String>,
    trunk: Option<String>,
    start: String,
    answer: Option<String>,
    end: String,
    duration_seconds: i64,
    billable_seconds: i64,
    /// Decimal dollars.
    #[schema(example = "0.012000")]
    rate_per_min: String,
    /// Seconds of the first step, and of each further one.
    #[schema(example = "60/60")]
    increments: String,
    connect_fee: String,
    #[schema(example = "0.024000")]
    cost: String,
    cost_micros: i64,
    carrier_cost: String,
    #[schema(example = "USD")]
    currency: &'static str,
    end_reason: &'static str,
    sip_code: Option<i64>,
    q850: Option<i64>,
    attest: Option<&'static str>,
    codec: Option<String>,
    mos: Option<f64>,
    /// From its INVITE to its first sign of ringing.
    pdd_ms: Option<i64>,
    campaign_id: Option<String>,
    agent_id: Option<String>,
}

fn iso(at: Option<i64>) -> Option<String> {
    at.map(|at| At(at).iso())
}

fn direction(code: i64) -> &'static str {
    Direction::from_code(code).map_or("outbound", Direction::as_str)
}

fn reason(code: i64) -> &'static str {
    EndReason::from_code(code).map_or("carrier_error", EndReason::as_str)
}

fn dollars(micros: i64) -> String {
    Micros(micros).to_string()
}

/// So many of a whole, exactly enough to be read.
#[expect(clippy::cast_precision_loss, reason = "stored as 32 bits")]
fn of(value: i64, whole: i64) -> f64 {
    value as f64 / whole as f64
}

impl CallOut {
    pub(crate) fn of(row: CallRow, attest: Option<Attest>, now: At) -> Self {
        let facts = Facts::from_json(&row.facts);
        let end = row.ended_at.map_or(now, At);
        let metadata = row.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let mode = facts.consent_mode;
        Self {
            id: id_of(Kind::Call, &row.id),
            direction: direction(row.direction),
            status: CallStatus::from_code(row.status).map_or("failed", CallStatus::as_str),
            from: row.from_addr,
            to: row.to_addr,
            test_mode: row.test_mode != 0,
            transport: row.transport.and_then(Transport::from_code).map(Transport::as_str),
            agent_id: facts.agent_id,
            number_id: facts.number_id,
            route_id: facts.route_id,
            campaign_id: facts.campaign_id,
            queue_id: facts.queue_id,
            conference_id: facts.conference_id,
            parent_call_id: facts.parent_call_id,
            sip_call_id: facts.sip_call_id,
            record: facts.record,
            recording_url: None,
            recording_consent: mode.map(|mode| RecordingConsentOut {
                mode,
                announced_at: iso(facts.consent_announced_at),
            }),
            amd: facts.amd.then_some(AmdOut { result: facts.amd_result }),
            stir: StirOut { attest: attest.map(Attest::as_str), verstat: facts.verstat },
            duration_seconds: row
                .answered_at
                .map_or(0, |answered| model::voice::whole_seconds(end.since(At(answered)))),
            billable_seconds: row.billable_s,
            rate_per_minute: dollars(row.rate_per_min),
            cost: row.cost.map(dollars),
            cost_micros: row.cost,
            held_micros: if row.ended_at.is_none() { row.held } else { 0 },
            currency: "USD",
            end_reason: row.end_reason.map(reason),
            sip_code: row.sip_code,
            q850_cause: row.q850,
            hangup_by: row.hangup_by.and_then(HangupBy::from_code).map(HangupBy::as_str),
            metadata: metadata.unwrap_or_else(|| json!({})),
            created_at: At(row.created_at).iso(),
            ringing_at: iso(row.ringing_at),
            answered_at: iso(row.answered_at),
            ended_at: iso(row.ended_at),
        }
    }
}

impl CallDetailOut {
    /// Of a call that is over the records tell of its legs, of another one its row does.
    pub(crate) fn of(row: CallRow, records: &[CdrRow], now: At) -> Self {
        let live = row.legs.as_deref().and_then(read_legs).unwrap_or_default();
        let over = row.ended_at.is_some();
        let attest = match over {
            true => records.iter().find_map(|record| record.attest).and_then(Attest::from_code),
            false => live.iter().find_map(|leg| leg.attest),
        };
        let dearest = records.iter().filter(|record| record.mos.is_some());
        let quality = match over {
            true => dearest.max_by_key(|record| record.cost).and_then(QualityOut::of_record),
            false => live.iter().find_map(|leg| leg.quality).map(QualityOut::of),
        };
        let legs = match over {
            true => records.iter().map(LegOut::of_record).collect(),
            false => live.into_iter().map(LegOut::of).collect(),
        };
        Self { call: CallOut::of(row, attest, now), legs, quality }
    }

    /// With its newest recording, if it has one.
    pub(super) fn recorded(mut self, recording: Option<&RecordingOut>) -> Self {
        if let Some(recording) = recording {
            self.call.record = true;
            self.call.recording_url = recording.url().map(str::to_owned);
            self.call.recording_consent = Some(recording.consent());
        }
        self
    }
}

impl LegOut {
    fn of(leg: Leg) -> Self {
        let status = match (leg.answered_at, leg.ended_at) {
            (None, None) => CallStatus::Ringing,
            (Some(_), None) => CallStatus::InProgress,
            (answered, Some(_)) if answered.is_some() => CallStatus::Completed,
            (_, Some(_)) => CallStatus::Failed,
        };
        Self {
            id: leg.id.show(Kind::Leg),
            kind: leg.kind.as_str(),
            direction: leg.direction.as_str(),
            party: leg.party.or(Some(leg.to)),
            trunk: leg.trunk,
            status: status.as_str(),
            muted: leg.muted,
            on_hold: leg.on_hold,
            codec: leg.codec,
            started_at: leg.started_at.iso(),
            answered_at: leg.answered_at.map(At::iso),
            ended_at: leg.ended_at.map(At::iso),
            end_reason: leg.end.map(EndReason::as_str),
            sip_code: leg.sip_code.map(i64::from),
        }
    }

    fn of_record(row: &CdrRow) -> Self {
        let answered = row.answered_at.is_some();
        let status = if answered { CallStatus::Completed } else { CallStatus::Failed };
        Self {
            id: id_of(Kind::Leg, &row.leg_id),
            kind: LegKind::from_code(row.kind).map_or("sip", LegKind::as_str),
            direction: direction(row.direction),
            party: row.party.clone().or_else(|| Some(row.to_addr.clone())),
            trunk: row.trunk.clone(),
            status: status.as_str(),
            muted: false,
            on_hold: false,
            codec: row.codec.clone(),
            started_at: At(row.started_at).iso(),
            answered_at: iso(row.answered_at),
            ended_at: Some(At(row.ended_at).iso()),
            end_reason: Some(reason(row.end_reason)),
            sip_code: row.sip_code,
        }
    }
}

impl QualityOut {
    fn of(quality: Quality) -> Self {
        Self {
            mos: of(quality.mos.into(), 100),
            jitter_ms: of(quality.jitter_us.into(), 1_000),
            loss_pct: of(quality.loss_ppm.into(), 10_000),
            rtt_ms: of(quality.rtt_us.into(), 1_000),
        }
    }

    fn of_record(row: &CdrRow) -> Option<Self> {
        Some(Self {
            mos: of(row.mos?, 100),
            jitter_ms: of(row.jitter_us?, 1_000),
            loss_pct: of(row.loss_ppm?, 10_000),
            rtt_ms: of(row.rtt_us?, 1_000),
        })
    }
}

impl From<CdrRow> for CdrOut {
    fn from(row: CdrRow) -> Self {
        let facts = Facts::from_json(&row.facts);
        Self {
            cdr_id: PublicId::of_row(At(row.ended_at), row.seq).show(Kind::Cdr),
            call_id: id_of(Kind::Call, &row.call_id),
            leg_id: id_of(Kind::Leg, &row.leg_id),
            is_correction: row.corrects.is_some(),
            kind: LegKind::from_code(row.kind).map_or("sip", LegKind::as_str),
            direction: direction(row.direction),
            test_mode: row.test_mode != 0,
            from: row.from_addr,
            to: row.to_addr,
            prefix: row.prefix,
            country: row.country,
            trunk: row.trunk,
            start: At(row.started_at).iso(),
            answer: iso(row.answered_at),
            end: At(row.ended_at).iso(),
            duration_seconds: row.duration_s,
            billable_seconds: row.billable_s,
            rate_per_min: dollars(row.rate_per_min),
            increments: format!("{}/{}", row.initial_s, row.increment_s),
            connect_fee: dollars(row.connect_fee),
            cost: dollars(row.cost),
            cost_micros: row.cost,
            carrier_cost: dollars(row.carrier_cost),
            currency: "USD",
            end_reason: reason(row.end_reason),
            sip_code: row.sip_code,
            q850: row.q850,
            attest: row.attest.and_then(Attest::from_code).map(Attest::as_str),
            codec: row.codec,
            mos: row.mos.map(|mos| of(mos, 100)),
            pdd_ms: row.pdd_ms,
            campaign_id: facts.campaign_id,
            agent_id: facts.agent_id,
        }
    }
}
