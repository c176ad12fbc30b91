//! What every message meets whatever way it came in: the checks at the door, the wait for its
//! time, and the sweep behind.
//!
//! admission   pure checks, route and price; plain values, shared by the API and the binds
//! scheduler   sends what was scheduled, when its time has come
//! sweeper     gives up on receipts that never come
//!
//! Nothing here keeps what must survive: that is the writer's. The supervisor of both actors is root.

pub mod admission;
pub mod scheduler;
pub mod sweeper;
