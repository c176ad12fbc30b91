//! Where each carrier's owner is now. Kept by the owners themselves; read by who has news for them.
//!
//! A restarted owner has a new address, so none is held across lives. Not finding one is no
//! error: what waits for it is a row, and it reads its rows when it starts. An owner is listed
//! before it reads them, so that nothing falls between the two.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use model::carrier::CarrierId;
use ractor::{ActorId, ActorRef};

use crate::smpp::owner::OwnerMsg;

type Owners = HashMap<CarrierId, ActorRef<OwnerMsg>>;

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
}

impl Directory {
    #[must_use]
    pub fn list(&self, carrier: CarrierId, owner: ActorRef<OwnerMsg>) -> Listed {
        let id = owner.get_id();
        self.owners.write().unwrap_or_else(PoisonError::into_inner).insert(carrier, owner);
        Listed { directory: self.clone(), carrier, id }
    }

    #[must_use]
    pub fn find(&self, carrier: CarrierId) -> Option<ActorRef<OwnerMsg>> {
        self.owners.read().unwrap_or_else(PoisonError::into_inner).get(&carrier).cloned()
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut owners = self.directory.owners.write().unwrap_or_else(PoisonError::into_inner);
        if owners.get(&self.carrier).is_some_and(|owner| owner.get_id() == self.id) {
            owners.remove(&self.carrier);
        }
    }
}
