//! `sluice-sim`: runs seeds for as long as one likes.
use clap::Parser;

/// Simulates clusters with Sluice, one for each seed.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Of a failure, tell the story of these names too.
    #[arg(long)]
    about: Vec<String>,
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    if let Ok(filter) = std::env::var("SLUICE_LOG") {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .without_time()
            .init();
    }
    let start = std::time::Instant::now();
    let mut sum = sluice_sim::world::Counts::new();
    let (mut events, mut faults, mut failures) = (0, 0, 0);
    for seed in arguments.from..arguments.from + arguments.seeds {
        match sluice_sim::run::run(sluice_sim::world::plan::Plan::of(seed), &arguments.about) {
            Ok(outcome) => {
                events += outcome.events;
                faults += outcome.faults;
                sluice_sim::run::add(&mut sum, &outcome.counts);
            }
            Err(failure) => {
                failures += 1;
                println!("{failure}");
                break;
            }
        }
    }
    for (what, count) in &sum {
        println!("{count:>9} {what}");
    }
    println!(
        "{events} events, {faults} faults, {failures} failures, {:?}",
        start.elapsed()
    );
    std::process::ExitCode::from(u8::from(failures > 0))
}
