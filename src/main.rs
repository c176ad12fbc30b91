//! The program: one command line, one exit code.
//!
//! 0 done, 1 refused or failed, 2 wrong usage, 64 unusable settings.

use std::process::ExitCode;

fn main() -> ExitCode {
    orbit::cli::main()
}
