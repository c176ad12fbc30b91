//! The limit before a mailbox: a permit that rides inside the message.
//!
//! ractor's mailboxes are unbounded, so whoever strangers can fill is reached through a gate. A
//! full gate answers at once; the permit is released when its message is dropped, handled or lost
//! with its actor alike. Bulk leaves the last tenth to one-time codes and control.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How urgent a request for a permit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// One-time codes, call control: may take the last permit.
    Urgent,
    Bulk,
}

/// A bounded number of permits. Clones share them.
#[derive(Clone, Debug)]
pub struct Gate {
    permits: Arc<Semaphore>,
    size: usize,
    reserve: usize,
}

/// Room for one message; dropping it gives the room back.
#[derive(Debug)]
pub struct Permit {
    _held: OwnedSemaphorePermit,
}

/// No permit is free now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Gate {
    #[must_use]
    pub fn new(size: usize) -> Self {
        let size = size.clamp(1, Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(size)), size, reserve: size / 10 }
    }

    /// Takes `count` permits as one, or says at once that it is full.
    pub fn enter(&self, count: usize, urgency: Urgency) -> Result<Permit, Full> {
        let count = count.clamp(1, self.size - self.reserve);
        if urgency == Urgency::Bulk && self.permits.available_permits() < self.reserve + count {
            return Err(Full);
        }
        let count = u32::try_from(count).map_err(|_| Full)?;
        let held = self.permits.clone().try_acquire_many_owned(count).map_err(|_| Full)?;
        Ok(Permit { _held: held })
    }

    /// Waits for a permit: how a reader of a socket stops reading.
    pub async fn wait(&self) -> Option<Permit> {
        let held = self.permits.clone().acquire_owned().await.ok()?;
        Some(Permit { _held: held })
    }

    #[must_use]
    pub fn in_use(&self) -> usize {
        self.size - self.permits.available_permits()
    }

    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_leaves_the_last_tenth_to_the_urgent() {
        let gate = Gate::new(20);
        let held: Vec<_> = (0..18).map(|_| gate.enter(1, Urgency::Bulk).unwrap()).collect();
        assert_eq!(gate.enter(1, Urgency::Bulk).unwrap_err(), Full);
        let urgent = [gate.enter(1, Urgency::Urgent), gate.enter(1, Urgency::Urgent)];
        assert!(urgent.iter().all(Result::is_ok));
        assert_eq!(gate.enter(1, Urgency::Urgent).unwrap_err(), Full);
        drop(held);
        assert_eq!(gate.in_use(), 2);
    }

    #[test]
    fn a_permit_comes_back_however_its_message_ends() {
        let gate = Gate::new(1);
        let (sender, receiver) = std::sync::mpsc::channel();
        sender.send(gate.enter(1, Urgency::Urgent).unwrap()).unwrap();
        assert!(gate.enter(1, Urgency::Urgent).is_err());
        drop(receiver);
        assert!(gate.enter(1, Urgency::Urgent).is_ok());
    }

    #[test]
    fn a_message_larger_than_the_gate_can_still_pass_alone() {
        let gate = Gate::new(10);
        assert!(gate.enter(1_000, Urgency::Bulk).is_ok());
    }
}
