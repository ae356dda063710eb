//! What all benchmarks end with: figures beside the goals they are held to, and on what they were measured.
//!
//! A goal that is missed is said and nothing more: on a busy machine a figure is no verdict.

use std::fmt;
use std::time::Duration;

/// What a figure is held to.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// For information.
    None,
}

/// Figures, in the order in which they were found.
#[derive(Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
}

struct Line {
    what: String,
    value: f64,
    unit: &'static str,
    goal: Goal,
}

impl Report {
    /// Adds a figure, and says it at once on stderr: a benchmark takes minutes.
    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        goal: Goal,
    ) {
        let line = Line {
            what: what.into(),
            value,
            unit,
            goal,
        };
        eprintln!("{line}");
        self.lines.push(line);
    }

    /// Prints all figures below each other, and the machine.
    pub(crate) fn print(&self) {
        println!("\n{:72} {:>10} {:8} {:>9}", "", "measured", "", "goal");
        for line in &self.lines {
            println!("{line}");
        }
        println!("{}", machine());
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what, value, unit, ..
        } = self;
        let decimals = match *value {
            value if value < 10.0 => 2,
            value if value < 100.0 => 1,
            _ => 0,
        };
        write!(formatter, "{what:72} {value:>10.decimals$} {unit:8}")?;
        match self.goal {
            Goal::AtLeast(goal) => write!(formatter, " >= {goal:<6} {}", verdict(*value >= goal)),
            Goal::AtMost(goal) => write!(formatter, " <= {goal:<6} {}", verdict(*value <= goal)),
            Goal::None => Ok(()),
        }
    }
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "MISSED" }
}

/// The middle value; of an even number the upper one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(values, 0.5)
}

/// The value that a part of all values does not exceed, NaN of none.
pub(crate) fn percentile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * part) as usize;
    let last = values.len().saturating_sub(1);
    values.get(place.min(last)).copied().unwrap_or(f64::NAN)
}

/// So many in so long, for each second.
pub(crate) fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// What this ran on, as far as Linux says.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let models: Vec<&str> = cpus
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .collect();
    let model = models.first().copied().unwrap_or("unknown processor");
    let load = read("/proc/loadavg");
    format!(
        "{} cores ({model}), load average at the end {}",
        models.len(),
        load.split_whitespace()
            .take(3)
            .collect::<Vec<_>>()
            .join(" ")
    )
}
