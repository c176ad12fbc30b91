//! One stream's follower: a cursor over the log, moved on as the log grows.
//!
//! Started by the handler of a stream, as a task. It ends when the client is gone or does not keep
//! up, when the key may no longer read, and when the switch ends. Its place in the log is its own:
//! whatever wakes it late or twice, it reads on from where it was.

use std::time::Duration;

use actors::customer::envelope::Envelope;
use actors::customer::feed;
use axum::body::Bytes;
use model::carrier::MessageKey;
use model::event::EventKind;
use model::id::PublicId;
use store::LoggedRow;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::super::App;
use super::super::auth::{Caller, ReadEvents};
use super::super::chunks::Chunk;
use super::streams::Place;

/// Between two looks at the key.
const KEY_PERIOD: Duration = Duration::from_secs(1);
/// After a read that failed.
const FAULT_REST: Duration = Duration::from_secs(1);
/// A client that catches up may take this long for one event.
const STALL_MAX: Duration = Duration::from_secs(30);

/// What a stream lets through.
pub(super) struct Wanted {
    pub(super) kinds: Vec<EventKind>,
    pub(super) of: Option<Of>,
}

/// Whose lines.
pub(super) enum Of {
    Message(PublicId),
    /// What this key is of; of nothing without one.
    Key(Option<MessageKey>),
}

impl Wanted {
    /// A line as it is sent; `None` when it is not wanted, or history only.
    fn frame_of(&self, line: &LoggedRow) -> Option<Bytes> {
        let kind = EventKind::from_code(line.kind)?;
        let of_it = |of: &Of| match of {
            Of::Message(id) => line.id.as_deref() == Some(&id.as_bytes()[..]),
            Of::Key(key) => *key == Some(MessageKey(line.message_key)),
        };
        if !self.kinds.contains(&kind) || !self.of.as_ref().is_none_or(of_it) {
            return None;
        }
        let event = Envelope::of(line)?;
        let json = event.to_json();
        Some(Bytes::from(format!("id: {}\nevent: {}\ndata: {json}\n\n", event.id, event.kind)))
    }
}

pub(super) struct Follower {
    pub(super) app: App,
    pub(super) caller: Caller<ReadEvents>,
    pub(super) wanted: Wanted,
    pub(super) cursor: i64,
    pub(super) frames: mpsc::Sender<Chunk>,
    pub(super) place: Place,
}

impl Follower {
    /// Until there is a reason to end.
    pub(super) async fn run(self) {
        let Self { app, caller, wanted, cursor, frames, place } = self;
        let mut ending = app.streams.ending();
        let lines = app.streams.feed.follow(caller.organization, cursor);
        tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => {}
            () = frames.closed() => {}
            () = refused(&app, &caller) => {}
            () = follow(&app, &wanted, lines, &frames) => {}
        }
        drop(place);
    }
}

/// Until the key may not read events any more. A store that does not answer is no reason.
async fn refused(app: &App, caller: &Caller<ReadEvents>) {
    loop {
        sleep(KEY_PERIOD).await;
        if caller.check_again(app).await.is_err() {
            return;
        }
    }
}

/// Until the client does not keep up.
async fn follow(
    app: &App,
    wanted: &Wanted,
    mut lines: feed::Follower,
    frames: &mpsc::Sender<Chunk>,
) {
    // Until the end of the log was reached once, the client has asked for the past and may take
    // its time. From then on it must take what comes, within its buffer.
    let mut live = false;
    loop {
        let batch = match lines.next().await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(%error, "an event stream waits for the store");
                sleep(FAULT_REST).await;
                continue;
            }
        };
        for line in batch {
            let Some(frame) = wanted.frame_of(&line) else { continue };
            let kept_up = if live {
                frames.try_send(Ok(frame)).is_ok()
            } else {
                matches!(timeout(STALL_MAX, frames.send(Ok(frame))).await, Ok(Ok(())))
            };
            if !kept_up {
                app.streams.dropped.increment(1);
                return;
            }
        }
        live |= !lines.is_behind();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: EventKind, message: u8) -> LoggedRow {
        LoggedRow {
            seq: 7,
            organization_id: 1,
            message_key: 3,
            kind: kind.code(),
            status: 1,
            at: 1_700_000_000_000_000,
            detail: None,
            sequence: 1,
            id: Some(vec![message; 16]),
            direction: Some(1),
            to_addr: None,
            from_addr: None,
            body: Some(String::from("two\nlines")),
            segments: None,
            created_at: None,
            test_mode: None,
            metadata: None,
            batch_id: None,
            external_id: None,
            status_reason: None,
            error_code: None,
            carrier_error: None,
            webhook_url: None,
        }
    }

    #[test]
    fn a_frame_is_three_lines_and_an_empty_one() {
        let wanted = Wanted { kinds: EventKind::matching("*"), of: None };
        let frame = wanted.frame_of(&line(EventKind::Created, 1)).unwrap();
        let text = std::str::from_utf8(&frame).unwrap();
        let lines: Vec<&str> = text.split('\n').collect();
        assert!(lines[0].starts_with("id: evt_"), "{text}");
        assert_eq!(lines[1], "event: message.created");
        assert!(lines[2].starts_with("data: {\"id\":\"evt_"), "{text}");
        assert_eq!(lines[3..], ["", ""]);
    }

    #[test]
    fn only_what_is_wanted_is_told() {
        let of = Some(Of::Message(PublicId::from_bytes([1; 16])));
        let wanted = Wanted { kinds: EventKind::matching("message.created"), of };
        assert!(wanted.frame_of(&line(EventKind::Created, 1)).is_some());
        assert!(wanted.frame_of(&line(EventKind::Created, 2)).is_none());
        assert!(wanted.frame_of(&line(EventKind::Sent, 1)).is_none());
        let all = Wanted { kinds: EventKind::matching("*"), of: None };
        assert!(all.frame_of(&line(EventKind::Receipt, 1)).is_none());
        let of = |key| Wanted { kinds: EventKind::matching("call.*"), of: Some(Of::Key(key)) };
        let call = line(EventKind::CallRinging, 1);
        assert!(of(Some(MessageKey(3))).frame_of(&call).is_some());
        assert!(of(Some(MessageKey(4))).frame_of(&call).is_none());
        assert!(of(None).frame_of(&call).is_none());
    }
}
