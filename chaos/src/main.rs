//! `cargo run -p sluice-chaos -- --minutes 10`: rounds of chaos, and what came of them.
//!
//! With `controller` as its first argument it is a `sluice`: so the controllers are always those of this tree.

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use sluice_chaos::{CONTROLLER, Counts, Election, Error, Report, Settings, play};

/// How long one round's faults last at most, in seconds: its history must fit into memory.
const ROUND_SECONDS: f64 = 240.0;

/// Chaos around the controllers, on a real control plane.
#[derive(Parser)]
struct Arguments {
    /// How long faults last, in minutes; start, recovery and judgement of each round come on top.
    #[arg(long, default_value_t = 4.0)]
    minutes: f64,
    /// What every fault is drawn from; random without it. Round n has this plus n.
    #[arg(long)]
    seed: Option<u64>,
    /// Whether the controllers elect a leader; with `alternate` in every other round.
    #[arg(long, value_enum, default_value_t = Elections::Off)]
    election: Elections,
}

#[derive(Clone, Copy, ValueEnum)]
enum Elections {
    Off,
    On,
    Alternate,
}

fn main() -> ExitCode {
    if std::env::args()
        .nth(1)
        .is_some_and(|first| first == CONTROLLER)
    {
        return ExitCode::from(sluice::cli::main());
    }
    play_all(&Arguments::parse())
}

#[tokio::main]
async fn play_all(arguments: &Arguments) -> ExitCode {
    match run(arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sluice-chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays all rounds; whether nothing was wrong.
async fn run(arguments: &Arguments) -> Result<bool, Error> {
    let program = std::env::current_exe().map_err(|source| Error::Io {
        what: "find this program".into(),
        source,
    })?;
    let seconds = arguments.minutes * 60.0;
    let rounds = (seconds / ROUND_SECONDS).ceil().max(1.0);
    let first = arguments
        .seed
        .unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    let begun = Instant::now();
    let mut total = Total::default();
    let mut round: u64 = 0;
    while (round as f64) < rounds {
        let seed = first.wrapping_add(round);
        let election = match arguments.election {
            Elections::On => Election::On,
            Elections::Alternate if round % 2 == 1 => Election::On,
            _ => Election::Off,
        };
        eprintln!(
            "round {} of {rounds}, --seed {seed}, election {election:?}",
            round + 1
        );
        let settings = Settings {
            election,
            ..Settings::new(&program, seed, seconds / rounds)
        };
        total.add(play(&settings).await?);
        round += 1;
        let minutes = settings.seconds * round as f64 / 60.0;
        println!(
            "{round} of {rounds} rounds: {minutes:.1} minutes of faults, in {:.1} minutes",
            begun.elapsed().as_secs_f64() / 60.0
        );
        println!("{total}");
    }
    Ok(total.findings == 0)
}

#[derive(Default)]
struct Total {
    counts: Counts,
    grants: usize,
    claims: usize,
    takes: usize,
    beliefs: usize,
    versions: usize,
    segments: usize,
    recovery_seconds: f64,
    vouched: usize,
    findings: usize,
}

impl std::fmt::Display for Total {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{}", self.counts)?;
        writeln!(
            formatter,
            "{} pods and {} claims granted, {} takes for a rate, {} versions of objects in {} segments judged, and {} beliefs of holders",
            self.grants, self.claims, self.takes, self.versions, self.segments, self.beliefs
        )?;
        writeln!(
            formatter,
            "longest recovery {:.0} s after the last fault",
            self.recovery_seconds
        )?;
        writeln!(
            formatter,
            "{} holders without proof of their end, released by an operator's word",
            self.vouched
        )?;
        write!(formatter, "{} findings", self.findings)
    }
}

impl Total {
    fn add(&mut self, report: Report) {
        for finding in &report.findings {
            println!("FOUND: {finding}\n");
        }
        eprintln!(
            "  {} pods and {} claims granted, {} request faults, recovered in {:.0} s, {} findings",
            report.grants,
            report.claims,
            report.counts.request_faults(),
            report.recovery_seconds,
            report.findings.len()
        );
        self.counts.add(&report.counts);
        self.grants += report.grants;
        self.claims += report.claims;
        self.takes += report.takes;
        self.beliefs += report.beliefs;
        self.versions += report.versions;
        self.vouched += report.vouched;
        self.segments += report.segments;
        self.recovery_seconds = self.recovery_seconds.max(report.recovery_seconds);
        self.findings += report.findings.len();
    }
}
