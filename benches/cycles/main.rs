//! How fast processes take slots and give them back, on a real control plane, against bare loops that make the same
//! requests with no logic: `cargo bench --bench cycles`, or `cargo bench --bench cycles -- a w h` for parts of it.
//!
//! | part | what |
//! |---|---|
//! | `a` | acquire and release by the SDK at 1, 4, 16 and 64 clients, against the floor at as many |
//! | `w` | API writes for each cycle, alone and with 16 clients on 16 slots |
//! | `h` | handoff: from the release of a holder to the next one's `acquire` returning, at 10 and 100 slots |
//!
//! The floor of a cycle is what any design with an object for each acquisition has to send: create, a status PUT of the
//! limit at the size it has, a patch, a release patch, a delete. Everything is a ratio of medians of interleaved runs.

mod floor;
mod handoff;
#[path = "../report/mod.rs"]
mod report;
mod sdk;
mod writes;

#[path = "../gates/controller.rs"]
#[allow(dead_code)]
mod controller;
#[path = "../gates/stage.rs"]
#[allow(dead_code)]
mod stage;

use std::process::ExitCode;

use report::Report;
use stage::Stage;

/// What may go wrong here only ends the run, with a sentence.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

const PARTS: [&str; 3] = ["a", "w", "h"];

#[tokio::main]
async fn main() -> ExitCode {
    // cargo adds flags of its own.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    if let Some(unknown) = arguments.iter().find(|it| !PARTS.contains(&it.as_str())) {
        let parts = PARTS.join(", ");
        eprintln!("cycles: there is no part {unknown}; the parts are {parts}");
        return ExitCode::FAILURE;
    }
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cycles: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<()> {
    let wanted = |part: &str| arguments.is_empty() || arguments.iter().any(|it| it == part);
    let stage = Stage::set().await?;
    println!("logs: {}", stage.directory().display());
    let mut report = Report::default();
    if wanted("a") {
        sdk::run(&stage, &mut report).await?;
    }
    if wanted("w") {
        writes::run(&stage, &mut report).await?;
    }
    if wanted("h") {
        handoff::run(&stage, &mut report).await?;
    }
    report.print();
    Ok(())
}
