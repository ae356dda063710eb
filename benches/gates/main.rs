//! How fast gates open on a real control plane, against bare loops that open the same gates with no logic:
//! `cargo bench --bench gates`, or `cargo bench --bench gates -- b d` for parts of it.
//!
//! | part | what |
//! |---|---|
//! | `a` | the floor: the same patch over 1, 4, 16 and 64 connections |
//! | `b` | 1,000 pods wait and 1,000 slots open, against that floor; writes for each grant; the same with 10,000 waiting |
//! | `c` | from the end of a holder to the next gate open, against the bare requests that it takes |
//! | `d` | restart and memory with 10,000 gated pods |
//! | `g` | another controller takes over, with 10,000 waiting and 990 holding pods |
//! | `f` | creation of pods that have nothing to do with Sluice, with its policies and without |
//!
//! Everything is a ratio of medians of interleaved runs, so that a busy machine hits both sides. The scheduler and the
//! controller manager are not started: nobody else writes, and every write to a pod, limit, lock or event that is not the
//! benchmark's own is the controller's.

mod controller;
mod creation;
mod floor;
mod handoff;
mod observer;
mod opening;
#[path = "../report/mod.rs"]
mod report;
mod restart;
mod stage;
mod takeover;
mod writes;

use std::process::ExitCode;

use report::Report;
use stage::Stage;

/// What may go wrong here only ends the run, with a sentence.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

/// Parts of this benchmark; (e) is `cargo bench --bench ledger`.
const PARTS: [&str; 6] = ["a", "b", "c", "d", "f", "g"];

#[tokio::main]
async fn main() -> ExitCode {
    // cargo adds flags of its own.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    if let Some(unknown) = arguments.iter().find(|it| !PARTS.contains(&it.as_str())) {
        eprintln!(
            "gates: there is no part {unknown}; the parts are {}",
            PARTS.join(", ")
        );
        return ExitCode::FAILURE;
    }
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gates: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<()> {
    let wanted = |part: &str| arguments.is_empty() || arguments.iter().any(|it| it == part);
    let stage = Stage::set().await?;
    println!("logs: {}", stage.directory().display());
    let mut report = Report::default();
    if wanted("b") {
        opening::run(&stage, &mut report).await?;
        writes::run(&stage, &mut report).await?;
    } else if wanted("a") {
        opening::floors_alone(&stage, &mut report).await?;
    }
    if wanted("c") {
        handoff::run(&stage, &mut report).await?;
    }
    if wanted("d") {
        restart::run(&stage, &mut report).await?;
    }
    if wanted("f") {
        creation::run(&stage, &mut report).await?;
    }
    if wanted("g") {
        takeover::run(&stage, &mut report).await?;
    }
    report.print();
    Ok(())
}
