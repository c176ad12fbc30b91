//! All streams of this process: how many there may be, in all and by key, and their end.
//!
//! Part of the app. A place is taken before a stream begins and given back when its follower ends,
//! however it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use actors::customer::feed::Feed;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use model::refusal::{Code, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::settings::Events;

pub(crate) struct Streams {
    pub(super) settings: Events,
    pub(super) feed: Feed,
    /// Streams cut off because they did not keep up.
    pub(super) dropped: Counter,
    places: Arc<Semaphore>,
    keys: Keys,
    ending: watch::Sender<bool>,
    open: Gauge,
}

type Keys = Arc<Mutex<HashMap<i64, usize>>>;

/// The right to one stream.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    key: i64,
    keys: Keys,
    open: Gauge,
}

impl Streams {
    pub(crate) fn new(settings: Events, feed: Feed) -> Self {
        describe_gauge!("orbit_event_streams", "Event streams open");
        describe_counter!("orbit_event_streams_dropped_total", "Event streams that were too slow");
        Self {
            feed,
            dropped: counter!("orbit_event_streams_dropped_total"),
            places: Arc::new(Semaphore::new(settings.streams_max)),
            settings,
            keys: Keys::default(),
            ending: watch::Sender::new(false),
            open: gauge!("orbit_event_streams"),
        }
    }

    pub(super) fn enter(&self, key: i64) -> Result<Place, Refusal> {
        if *self.ending.borrow() {
            return Err(Refusal::unavailable("the switch is shutting down"));
        }
        let most = self.settings.streams_per_key_max;
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let count = keys.get(&key).copied().unwrap_or(0);
        if count >= most {
            let message = format!("this key has {most} event streams open; close one first");
            return Err(Refusal::new(Code::RateLimited, message).retry_after(5));
        }
        let full = |_| Refusal::unavailable("too many event streams are open").retry_after(10);
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(full)?;
        keys.insert(key, count + 1);
        self.open.increment(1);
        let keys = Arc::clone(&self.keys);
        Ok(Place { _permit: permit, key, keys, open: self.open.clone() })
    }

    /// Ends all streams, and begins no new one.
    pub(crate) fn end(&self) {
        self.ending.send_replace(true);
    }

    pub(super) fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.decrement(1);
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = keys.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                keys.remove(&self.key);
            }
        }
    }
}
