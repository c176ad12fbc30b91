//! What the fuzz targets do, apart from libFuzzer.

pub mod targets;
pub mod wire;
