//! What every message meets whatever way it came in: the checks at the door, and the sweep behind.
//!
//! admission   pure checks, route and price; plain values, shared by the API and the binds
//! sweeper     gives up on receipts that never come
//! text        what a text takes, and what makes it dear
//!
//! Nothing here keeps what must survive: that is the writer's. The sweeper's supervisor is root.

pub mod admission;
pub mod sweeper;
pub mod text;
