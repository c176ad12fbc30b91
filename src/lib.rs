//! (scaffold)

pub mod settings;
