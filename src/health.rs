//! What `/readyz` knows: looked at once a second, not once a question.
//!
//! A task that boot owns. It also closes the door while the disk is nearly full, before the
//! database fails.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actors::smpp::owner::Views;
use actors::writer::WriterHandle;
use metrics::gauge;
use store::Store;

use crate::api::PartState;
use crate::home::Home;

const PERIOD: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(3);

/// The last look. Clones share it.
#[derive(Clone)]
pub(crate) struct Health {
    seen: Arc<Seen>,
    writer: WriterHandle,
    views: Views,
}

#[derive(Default)]
struct Seen {
    store_answers: AtomicBool,
    store_says: Mutex<String>,
    free_bytes: AtomicU64,
}

impl Health {
    pub(crate) fn new(writer: WriterHandle, views: Views) -> Self {
        let seen = Seen { free_bytes: AtomicU64::new(u64::MAX), ..Seen::default() };
        Self { seen: Arc::new(seen), writer, views }
    }

    /// Looks for as long as it runs; boot aborts it.
    pub(crate) async fn watch(self, store: Store, home: Home, low_disk_bytes: u64) {
        loop {
            let says = match tokio::time::timeout(PATIENCE, store.ping()).await {
                Ok(Ok(())) => String::new(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => String::from("no answer in time"),
            };
            self.seen.store_answers.store(says.is_empty(), Ordering::Release);
            *self.seen.store_says.lock().unwrap_or_else(PoisonError::into_inner) = says;
            if let Ok(free) = home.free_bytes() {
                self.saw_disk(free, low_disk_bytes);
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    fn saw_disk(&self, free: u64, low: u64) {
        let was_low = self.seen.free_bytes.swap(free, Ordering::AcqRel) < low;
        if (free < low) != was_low {
            tracing::warn!(free_bytes = free, low_disk_bytes = low, "disk space");
        }
        self.writer.set_low_disk(free < low);
        #[expect(clippy::cast_precision_loss, reason = "a gauge need not be exact past 2^52")]
        gauge!("orbit_disk_free_bytes").set(free as f64);
    }

    pub(crate) fn parts(&self) -> Vec<PartState> {
        let says = self.seen.store_says.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answers = self.seen.store_answers.load(Ordering::Acquire);
        let refusing = self.writer.refusing();
        let mut parts = vec![
            PartState { name: String::from("store"), ready: answers, detail: says },
            PartState {
                name: String::from("writer"),
                ready: self.writer.is_attached() && refusing.is_none(),
                detail: refusing.map(|refusal| refusal.message.into_owned()).unwrap_or_default(),
            },
        ];
        // A carrier that is away stops no accept: it is told, and does not make us unready.
        parts.extend(self.views.all().iter().map(|view| PartState {
            name: format!("carrier {}", view.name),
            ready: true,
            detail: format!("{} of {} bound", view.bound(), view.connections),
        }));
        parts
    }
}
