//! `sluice-models`: searches configurations of the models and prints what was found.

use std::process::ExitCode;

use clap::Parser;
use sluice_models::{Configuration, configurations, story};

/// Searches small worlds of Sluice's protocol exhaustively.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Which: the name of one, or how the names of several begin
    names: Vec<String>,
    /// Search all of them, the large ones too
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Print the names and what is expected, search nothing
    #[arg(long)]
    list: bool,
    /// Threads of the search
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
    /// Print the steps of each counterexample
    #[arg(long)]
    steps: bool,
}

impl Arguments {
    /// A name that is one means that one, any other all that begin like it.
    fn choose<'a>(&self, all: &'a [Configuration]) -> Vec<&'a Configuration> {
        let is_one = |name: &String| all.iter().any(|it| it.name == *name);
        let meant = |configuration: &Configuration| {
            self.names.iter().any(|name| match is_one(name) {
                true => configuration.name == *name,
                false => configuration.name.starts_with(name.as_str()),
            })
        };
        let every = self.all || self.list && self.names.is_empty();
        all.iter().filter(|it| every || meant(it)).collect()
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let all = configurations();
    let chosen = arguments.choose(&all);
    if chosen.is_empty() {
        eprintln!(
            "sluice-models: name a configuration that is there (--list shows them), or give --all"
        );
        return ExitCode::FAILURE;
    }
    if arguments.list {
        for configuration in chosen {
            println!("{configuration:?}");
        }
        return ExitCode::SUCCESS;
    }
    println!(
        "{:>10}  {:>5}  {:>7}  configuration: verdict",
        "states", "depth", "seconds"
    );
    let mut failures = 0_usize;
    for configuration in chosen {
        failures += usize::from(!search(configuration, &arguments));
    }
    match failures {
        0 => ExitCode::SUCCESS,
        _ => {
            eprintln!("sluice-models: {failures} failed");
            ExitCode::FAILURE
        }
    }
}

/// Whether it showed what it had to show.
fn search(configuration: &Configuration, arguments: &Arguments) -> bool {
    let report = configuration.run(usize::from(arguments.threads));
    let verdict = configuration.judge(&report);
    let text = match &verdict {
        Ok(text) => text.clone(),
        Err(why) => format!("FAILED: {why}"),
    };
    println!(
        "{:>10}  {:>5}  {:>7.1}  {}: {text}",
        report.unique_states,
        report.depth,
        report.took.as_secs_f64(),
        configuration.name,
    );
    if arguments.steps {
        for counterexample in &report.counterexamples {
            println!("{}", story(counterexample));
        }
    }
    verdict.is_ok()
}
