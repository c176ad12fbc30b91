//! Calls as the settings want them: who may call, where calls leave, what they cost and how long they take.

use std::sync::Arc;
use std::time::Duration;

use actors::media::Media;
use actors::sip::call::{CallTable, Context as Calling, Front, FrontParts, Keeper, Limits};
use actors::sip::masks::Masks;
use actors::sip::numbers::Numbers;
use actors::sip::recordings::Taping;
use actors::sip::trunks::Trunks;
use proto_sip::leg::Settings as Legs;
use supervisors::calls::CallsArgs;
use supervisors::sip::SipArgs;
use tokio::sync::{Mutex, mpsc};

use super::trunks::Outside;
use super::{Settings, VoiceRates, WriterHandle};

/// How long telephones ring in turn, whatever group they are of.
const RING_ALL: Duration = Duration::from_secs(600);
/// How often who calls hears that it still rings, RFC 3261 §13.3.1.1.
const REMIND: Duration = Duration::from_secs(60);
/// What relays may say before it is heard.
const NOTICES_MAX: usize = 4_096;

/// What calls are looked up in.
pub(super) struct Tables {
    pub(super) calls: CallTable,
    pub(super) trunks: Trunks,
    pub(super) numbers: Numbers,
    pub(super) masks: Masks,
    pub(super) keeper: Keeper,
}

/// The calls of a switch whose SIP is made of these.
pub(super) fn calls(
    settings: &Settings,
    sip: &SipArgs,
    tables: Tables,
    writer: &WriterHandle,
    (rates, media, taping): (Arc<VoiceRates>, Media, Taping),
    outside: &Outside,
) -> CallsArgs {
    let Tables { calls: table, trunks, numbers, masks, keeper } = tables;
    let (said, notices) = mpsc::channel(NOTICES_MAX);
    let handle = sip.handle.clone();
    let voice = &settings.voice;
    let context = Calling {
        wire: Box::new(move || handle.wire()),
        front: Front::new(FrontParts {
            trunks,
            credentials: sip.credentials.clone(),
            nonces: sip.nonces.clone(),
            algorithms: sip.algorithms.clone(),
            domain: Arc::clone(&sip.domain),
        }),
        registrar: sip.registrar.clone(),
        numbers,
        masks,
        rates,
        bounds: voice.bounds(settings.limits.profile),
        emergency: settings.emergency.matcher(),
        names: outside.names.clone(),
        tls: outside.tls.clone(),
        media,
        notices: said,
        writer: writer.clone(),
        keeper,
        legs: Arc::new(Legs {
            agent: String::from("Orbit"),
            session_s: settings.sip.session_timer_s,
            ..Legs::default()
        }),
        limits: Limits {
            ring: Duration::from_secs(voice.ring_timeout_s),
            ring_all: RING_ALL.max(Duration::from_secs(voice.ring_timeout_s)),
            remind: REMIND,
            duration: Duration::from_secs(voice.max_duration_s),
            codecs: Vec::new(),
            spoken: settings.media.spoken(),
            ladder: voice.ladder_days > 0,
            trusts_caller_ids: voice.trust_caller_ids,
        },
        taping,
    };
    CallsArgs {
        context: Arc::new(context),
        table,
        checkpoint: voice.checkpoint(),
        notices: Arc::new(Mutex::new(notices)),
    }
}
