//! What the fuzz targets do, apart from libFuzzer.

pub mod calls;
pub mod targets;
pub mod wire;
