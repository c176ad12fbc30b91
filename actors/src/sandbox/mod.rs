//! Our own SMSC, on pipes in memory: what test messages meet, and live ones in development.
//!
//! behaviour   what the last digit of a recipient means; pure
//! schedule    what is due when; pure
//! smsc        one bind's SMSC side: answers and receipts; no pipe, no clock, no tasks
//! session     the actor that joins a pipe and a clock to it
//!
//! Ordinary carrier binds connect to it, so the way of a message does not know it is not real.
//! Sessions are started by the sandbox's supervisor, one per pipe. Nothing here is stored: a
//! receipt that waits in a session dies with it, and the sweeper gives up on it.

pub mod behaviour;
pub mod schedule;
pub mod session;
pub mod smsc;

/// The system id whose messages end as the last digit of their recipient says.
pub const TEST_SYSTEM_ID: &str = "sandbox";
/// The system id whose messages are all delivered.
pub const LIVE_SYSTEM_ID: &str = "sandbox-live";
