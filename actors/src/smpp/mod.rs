//! SMPP towards carriers: one owner per account, one bind per connection.

pub mod alerts;
pub mod backlog;
pub mod bind;
pub mod hand;
pub mod job;
pub mod owner;
pub mod profile;
pub mod quirks;
pub mod server;
pub mod status;
pub mod tls;
pub mod translate;
pub mod tried;
pub mod wire;
