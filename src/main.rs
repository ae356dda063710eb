//! The `sluice` binary: parses its arguments and calls the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(sluice::cli::main())
}
