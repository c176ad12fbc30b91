//! The tree as a whole: real actors, a real store on a file, and carriers played by test peers.
//!
//! Each test grows a tree of its own, kills or starves a part of it, and waits for facts.

mod calling;
mod calls;
mod calls_front;
mod calls_joined;
mod calls_legs;
mod calls_moved;
mod calls_taped;
mod changes;
mod customers;
mod deaths;
mod diverts;
mod doubt;
mod drain;
mod esmes;
mod esmes_asking;
mod esmes_called;
mod esmes_coming;
mod esmes_limits;
mod outage;
mod pace;
mod parts;
mod peer;
mod poison;
mod room;
mod schedules;
mod sip;
mod tls;
mod trunks;
mod world;
mod writer;
