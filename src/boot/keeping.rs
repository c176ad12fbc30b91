//! From the settings of retention to what its actor is started with.

use std::time::Duration;

use actors::traffic::retention::{Keep, Pace, RetentionArgs};
use actors::writer::WriterHandle;
use store::Store;

use crate::settings::{Redact, Retention, Voice};

pub(super) fn retention(
    (settings, voice): (&Retention, &Voice),
    store: &Store,
    writer: &WriterHandle,
) -> RetentionArgs {
    RetentionArgs {
        store: store.clone(),
        writer: writer.clone(),
        keep: keep(settings, voice),
        pace: Pace {
            period: Duration::from_secs(settings.sweep_s),
            batch: usize::try_from(settings.batch_rows).unwrap_or(usize::MAX),
            pause: Duration::from_millis(settings.pause_ms),
        },
    }
}

fn keep(settings: &Retention, voice: &Voice) -> Keep {
    let days = |days: u64| (days > 0).then(|| Duration::from_secs(days * 86_400));
    let bodies = days(settings.bodies_days);
    let received = Duration::from_secs(settings.inbound_bodies_h * 3_600);
    let (outbound_bodies, inbound_bodies) = match settings.redact_bodies {
        Redact::Never => (bodies, bodies),
        Redact::AfterFinal => {
            (Some(Duration::ZERO), Some(bodies.map_or(received, |bodies| bodies.min(received))))
        }
    };
    Keep {
        messages: days(settings.messages_days),
        outbound_bodies,
        inbound_bodies,
        ledger: days(settings.ledger_days),
        lines: days(settings.events_days),
        calls: days(settings.messages_days),
        ladders: days(voice.ladder_days),
        ladder_pieces: Some(i64::try_from(voice.ladder_pieces_max).unwrap_or(i64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    const DAY: Duration = Duration::from_secs(86_400);

    fn kept(change: impl FnOnce(&mut Retention)) -> Keep {
        let mut settings = Settings::load(None, Vec::new(), Vec::new()).unwrap();
        change(&mut settings.retention);
        keep(&settings.retention, &settings.voice)
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let keep = kept(|_| {});
        assert_eq!((keep.messages, keep.ledger), (Some(DAY * 396), Some(DAY * 2_557)));
        assert_eq!((keep.outbound_bodies, keep.inbound_bodies), (None, None));
        assert_eq!(keep.lines, Some(DAY * 30));
        assert_eq!((keep.calls, keep.ladders), (Some(DAY * 396), Some(DAY * 7)));
        assert_eq!(keep.ladder_pieces, Some(200_000));
    }

    #[test]
    fn nought_is_for_good_and_bodies_go_by_the_shorter_rule() {
        let keep = kept(|s| {
            (s.messages_days, s.ledger_days, s.events_days, s.bodies_days) = (0, 0, 0, 7);
        });
        assert_eq!((keep.messages, keep.ledger, keep.lines), (None, None, None));
        assert_eq!((keep.outbound_bodies, keep.inbound_bodies), (Some(DAY * 7), Some(DAY * 7)));
        let keep = kept(|s| s.redact_bodies = Redact::AfterFinal);
        let hours = Some(Duration::from_secs(72 * 3_600));
        assert_eq!((keep.outbound_bodies, keep.inbound_bodies), (Some(Duration::ZERO), hours));
        let keep = kept(|s| (s.redact_bodies, s.bodies_days) = (Redact::AfterFinal, 1));
        assert_eq!(keep.inbound_bodies, Some(DAY));
    }
}
