//! What every message meets whatever way it came in: the checks at the door, and the sweep behind.
//!
//! admission   pure checks, route and price; plain values, shared by the API and the binds
//! sweeper     gives up on receipts that never come
//! replies     sends the answers to keywords
//!
//! Nothing here keeps what must survive: that is the writer's. Root supervises sweeper and replies.

pub mod admission;
pub mod replies;
pub mod sweeper;
