//! Where each carrier's owner is now. Kept by its supervisor; read by who has news for it.
//!
//! A restarted owner has a new address, so none is held across lives. Not finding one is no
//! error: what waits for it is a row, and it reads its rows when it starts.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use model::carrier::CarrierId;
use ractor::ActorRef;

use crate::smpp::owner::OwnerMsg;

type Owners = HashMap<CarrierId, ActorRef<OwnerMsg>>;

#[derive(Clone, Debug, Default)]
pub struct Directory {
    owners: Arc<RwLock<Owners>>,
}

impl Directory {
    pub fn set(&self, carrier: CarrierId, owner: ActorRef<OwnerMsg>) {
        self.owners.write().unwrap_or_else(PoisonError::into_inner).insert(carrier, owner);
    }

    pub fn remove(&self, carrier: CarrierId) {
        self.owners.write().unwrap_or_else(PoisonError::into_inner).remove(&carrier);
    }

    #[must_use]
    pub fn find(&self, carrier: CarrierId) -> Option<ActorRef<OwnerMsg>> {
        self.owners.read().unwrap_or_else(PoisonError::into_inner).get(&carrier).cloned()
    }
}
