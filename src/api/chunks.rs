//! A body that is written while it is read: chunks by a bounded channel, and a sign of life between.
//!
//! Whoever makes the chunks waits while the client is slow, and learns by the closed channel that
//! the client is gone. An error cuts the body off, so that a client cannot take it for whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};

pub(crate) type Chunk = io::Result<Bytes>;

/// The reading side.
struct Chunks {
    chunks: mpsc::Receiver<Chunk>,
    beat: Option<Beat>,
}

/// What is said when there has been nothing to say for a while.
struct Beat {
    text: Bytes,
    period: Duration,
    next: Pin<Box<Sleep>>,
}

/// A body of chunks, `ahead` of which may be ready before the client takes them.
pub(crate) fn chunked(ahead: usize) -> (mpsc::Sender<Chunk>, Body) {
    let (sender, chunks) = mpsc::channel(ahead.max(1));
    (sender, Body::new(Chunks { chunks, beat: None }))
}

/// The same, saying `text` whenever there was nothing for a `period`.
pub(crate) fn alive(ahead: usize, text: Bytes, period: Duration) -> (mpsc::Sender<Chunk>, Body) {
    let (sender, chunks) = mpsc::channel(ahead.max(1));
    let beat = Beat { text, period, next: Box::pin(sleep(period)) };
    (sender, Body::new(Chunks { chunks, beat: Some(beat) }))
}

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let next = this.chunks.poll_recv(cx);
        let Some(beat) = &mut this.beat else {
            return next.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)));
        };
        let said = match next {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(chunk)) => chunk,
            Poll::Pending => {
                if beat.next.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                Ok(beat.text.clone())
            }
        };
        beat.next.as_mut().reset(Instant::now() + beat.period);
        Poll::Ready(Some(said.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn next(body: &mut Body) -> Option<Bytes> {
        let frame = body.frame().await?;
        frame.ok()?.into_data().ok()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_once_per_period_and_words_put_it_off() {
        let (sender, mut body) = alive(4, Bytes::from_static(b":\n"), Duration::from_secs(15));
        let begun = Instant::now();
        assert_eq!(next(&mut body).await.unwrap(), ":\n");
        assert_eq!(begun.elapsed().as_secs(), 15);
        sender.send(Ok(Bytes::from_static(b"word"))).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "word");
        assert_eq!(next(&mut body).await.unwrap(), ":\n");
        assert_eq!(begun.elapsed().as_secs(), 30);
        drop(sender);
        assert!(next(&mut body).await.is_none());
    }

    #[tokio::test]
    async fn an_error_cuts_the_body_off_and_a_reader_gone_is_noticed() {
        let (sender, mut body) = chunked(2);
        sender.send(Err(io::Error::other("gone"))).await.unwrap();
        assert!(body.frame().await.unwrap().is_err());
        drop(body);
        assert!(sender.send(Ok(Bytes::new())).await.is_err());
    }
}
