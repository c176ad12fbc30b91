//! What every message meets whatever way it came in: the checks at the door, the wait for its
//! time, and the sweep behind.
//!
//! admission   pure checks, route and price; plain values, shared by the API and the binds
//! router      which carrier takes a message, and which one when that does not
//! interceptors rules on messages, the operator's and organizations'
//! guard       where each organization may send
//! scheduler   sends what was scheduled, when its time has come
//! sweeper     gives up on receipts that never come
//! retention   drops what has been kept long enough
//! replies     sends the answers to keywords
//! text        what a text takes, and what makes it dear
//!
//! Nothing here keeps what must survive: that is the writer's. The actors' supervisor is root.

pub mod admission;
pub mod guard;
pub mod interceptors;
pub mod replies;
pub mod retention;
pub mod router;
pub mod scheduler;
pub mod sweeper;
pub mod text;
