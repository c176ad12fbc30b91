//! The program: one command line, one exit code.
//!
//! 0 done, 1 refused or failed, 2 wrong usage, 64 unusable settings.

use std::process::ExitCode;

/// Messages are made of many small texts; glibc's allocator spends a tenth of the CPU on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    orbit::cli::main()
}
