//! The `sluice` binary: parses its arguments and calls the library.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match sluice::cli::main().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice: {error}");
            ExitCode::FAILURE
        }
    }
}
