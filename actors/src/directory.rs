//! Where each carrier's owner is now. Kept by the owners themselves; read by who has news for them.
//!
//! A restarted owner has a new address, so none is held across lives. Not finding one is no
//! error: what waits for it is a row, and it reads its rows when it starts. An owner is listed
//! before it reads them, so that nothing falls between the two. Beside its address stands the room
//! that it grants to what is being accepted, so that an intent need not be asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use model::carrier::CarrierId;
use model::submission::Submission;
use ractor::{ActorId, ActorRef};
use store::lane::Grant;

use crate::smpp::owner::OwnerMsg;

type Owners = HashMap<CarrierId, Entry>;

#[derive(Clone, Debug)]
struct Entry {
    owner: ActorRef<OwnerMsg>,
    epoch: i64,
    room: Arc<Room>,
}

/// Parts that may be stored with an intent as they are accepted. Only the owner adds; whoever takes
/// says what became of it.
#[derive(Debug, Default)]
pub struct Room {
    parts: AtomicUsize,
    /// Set while the carrier is paused: who pauses must not wait for the owner to hear of it.
    closed: AtomicBool,
}

impl Room {
    pub fn add(&self, parts: usize) {
        self.parts.fetch_add(parts, Ordering::AcqRel);
    }

    /// Granted, and not taken.
    #[must_use]
    pub fn free(&self) -> usize {
        self.parts.load(Ordering::Acquire)
    }

    /// Takes at most so many; how many it were.
    pub fn take(&self, most: usize) -> usize {
        let mut taken = 0;
        let _ = self.parts.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
            taken = free.min(most);
            (taken > 0).then(|| free - taken)
        });
        taken
    }
}

/// Room taken for one batch. Its owner is told what was used; dropped, that nothing was.
#[derive(Debug)]
pub struct Taken {
    owner: ActorRef<OwnerMsg>,
    pub grant: Grant,
}

impl Taken {
    /// The owner's own address: of a later one's the room was not taken.
    #[must_use]
    pub fn owner(&self) -> &ActorRef<OwnerMsg> {
        &self.owner
    }

    /// So many parts were stored with an intent, and the owner is told of them by other news.
    pub fn use_up(&mut self, parts: usize) {
        self.grant.parts = self.grant.parts.saturating_sub(parts);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.grant.parts > 0 {
            // An owner that is gone has granted nothing.
            let _ = self.owner.send_message(OwnerMsg::Unused(self.grant.parts));
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Directory {
    owners: Arc<RwLock<Owners>>,
}

/// An owner's entry. Dropping it takes the entry out, unless a later life has it already.
#[derive(Debug)]
pub struct Listed {
    directory: Directory,
    carrier: CarrierId,
    id: ActorId,
    room: Arc<Room>,
}

impl Directory {
    #[must_use]
    pub fn list(
        &self,
        (carrier, epoch, paused): (CarrierId, i64, bool),
        owner: ActorRef<OwnerMsg>,
    ) -> Listed {
        let (id, room) = (owner.get_id(), Arc::<Room>::default());
        room.closed.store(paused, Ordering::Release);
        let entry = Entry { owner, epoch, room: room.clone() };
        self.owners.write().unwrap_or_else(PoisonError::into_inner).insert(carrier, entry);
        Listed { directory: self.clone(), carrier, id, room }
    }

    #[must_use]
    pub fn find(&self, carrier: CarrierId) -> Option<ActorRef<OwnerMsg>> {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        owners.get(&carrier).map(|entry| entry.owner.clone())
    }

    /// Room at a carrier for at most so many parts; `None` where there is none.
    #[must_use]
    pub fn take_room(&self, carrier: CarrierId, most: usize) -> Option<Taken> {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        let entry = owners.get(&carrier).filter(|e| !e.room.closed.load(Ordering::Acquire))?;
        let parts = entry.room.take(most);
        let grant = Grant { carrier, epoch: entry.epoch, parts };
        (parts > 0).then(|| Taken { owner: entry.owner.clone(), grant })
    }

    /// What all carriers have room for.
    #[must_use]
    pub fn free_room(&self) -> usize {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        owners.values().map(|entry| entry.room.free()).sum()
    }

    /// The room of carriers for what a batch would have them send at once.
    #[must_use]
    pub fn take_room_for(&self, accepts: &[Submission]) -> Vec<Taken> {
        let mut wanted: HashMap<CarrierId, usize> = HashMap::new();
        for message in accepts.iter().flat_map(|submission| &submission.messages) {
            if message.options.scheduled_at.is_none() {
                *wanted.entry(message.carrier).or_default() += usize::from(message.segments);
            }
        }
        let room = |(carrier, parts)| self.take_room(carrier, parts);
        wanted.into_iter().filter_map(room).collect()
    }

    /// From now on nobody takes room at a carrier, or may again.
    pub fn close_room(&self, carrier: CarrierId, closed: bool) {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = owners.get(&carrier) {
            entry.room.closed.store(closed, Ordering::Release);
        }
    }
}

impl Listed {
    #[must_use]
    pub fn room(&self) -> &Room {
        &self.room
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut owners = self.directory.owners.write().unwrap_or_else(PoisonError::into_inner);
        if owners.get(&self.carrier).is_some_and(|entry| entry.owner.get_id() == self.id) {
            owners.remove(&self.carrier);
        }
    }
}
