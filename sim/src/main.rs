//! `sluice-sim`: runs seeds for as long as one likes, replays one, hunts the seeded bugs, walks all crash points.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use sluice::ledger::mutant::Mutant;
use sluice_sim::crash_points;
use sluice_sim::many::{Batch, run_many};
use sluice_sim::mutants::{Caught, SEEDS_MAX, catch_all};
use sluice_sim::run::run;
use sluice_sim::world::plan::Plan;

/// Simulates clusters with Sluice, one for each seed.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<What>,
    /// How many seeds at most.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// How many minutes at most.
    #[arg(long)]
    minutes: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Threads; all cores without it.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Subcommand)]
enum What {
    /// Runs one seed, and tells its story if it fails.
    Replay {
        /// The seed.
        seed: u64,
        /// Names whose story is told too.
        #[arg(long)]
        about: Vec<String>,
    },
    /// Shows what catches each known-wrong variant.
    Mutants {
        /// Seeds that a variant may survive.
        #[arg(long, default_value_t = SEEDS_MAX)]
        seeds: u64,
        /// Only those whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Lets every write of every workload meet every fate.
    CrashPoints {
        /// Pairs of points beside the single ones, for each workload.
        #[arg(long, default_value_t = 0)]
        pairs: u64,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Ok(filter) = std::env::var("SLUICE_LOG") {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .without_time()
            .init();
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = arguments.threads.unwrap_or(cores);
    match arguments.command {
        None => seeds(&arguments, threads),
        Some(What::Replay { seed, about }) => replay(seed, &about),
        Some(What::Mutants { seeds, only }) => mutants(&only, seeds, threads),
        Some(What::CrashPoints { pairs }) => points(pairs, threads),
    }
}

fn verdict(is_well: bool) -> ExitCode {
    if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn seeds(arguments: &Arguments, threads: usize) -> ExitCode {
    let batch = Batch {
        from: arguments.from,
        seeds: arguments.seeds,
        at_most: arguments
            .minutes
            .map(|minutes| Duration::from_secs(minutes * 60)),
        threads,
    };
    let sum = run_many(batch, |done| eprintln!("{done} seeds"));
    println!("{sum}");
    let unreached = sum.unreached();
    if sum.seeds >= 2_000 && !unreached.is_empty() {
        println!("never reached: {unreached:?}");
        return ExitCode::FAILURE;
    }
    verdict(sum.failure.is_none())
}

fn replay(seed: u64, about: &[String]) -> ExitCode {
    match run(Plan::of(seed), about) {
        Ok(outcome) => {
            println!(
                "seed {seed}: {} events, {} faults, trace {:016x}, no violation",
                outcome.events, outcome.faults, outcome.trace
            );
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn mutants(only: &str, seeds: u64, threads: usize) -> ExitCode {
    // A variant may well make the code give up; that is its end, not ours.
    std::panic::set_hook(Box::new(|_| {}));
    let named = |variant: &&Mutant| format!("{variant:?}").contains(only);
    let variants: Vec<Mutant> = Mutant::ALL.iter().filter(named).copied().collect();
    let all = catch_all(&variants, seeds, threads, |variant, caught| {
        println!("{variant:?}: {caught}\n    {}", variant.what());
    });
    let survivors = all
        .iter()
        .filter(|(_, caught)| matches!(caught, Caught::Nothing))
        .count();
    println!("{} variants, {survivors} survived {seeds} seeds", all.len());
    verdict(survivors == 0)
}

fn points(pairs: u64, threads: usize) -> ExitCode {
    let sum = crash_points::walk(pairs, threads);
    for (workload, runs) in &sum.runs {
        println!("{runs:>7} runs of {workload}");
    }
    for failure in &sum.failures {
        println!("VIOLATION: {failure}");
    }
    println!(
        "{} runs, {} violations",
        sum.runs.values().sum::<u64>(),
        sum.failures.len()
    );
    verdict(sum.failures.is_empty())
}
