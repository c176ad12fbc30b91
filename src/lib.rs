//! (scaffold)

pub mod api;
pub mod settings;
