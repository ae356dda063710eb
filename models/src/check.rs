//! Runs one configuration of a model and judges it.
//!
//! The protocol must hold in every reachable state, and reach whatever it says that it reaches: a
//! `sometimes` property that no state fulfils fails, for what was not reached was not checked. A wrong
//! variant must break the very property that is written down for it, in exactly that many steps.
//!
//! Stateright's search reports some path to a violation, not always the shortest (it stops at the end
//! of a block, and a later find replaces an earlier one). So the search is repeated below the depth of
//! what it found until nothing is left there.

use std::fmt;
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, CheckerBuilder, Expectation, HasDiscoveries, Model};

/// States that a configuration may have when `cargo test` runs it.
pub const SMALL_STATES_MAX: usize = 500_000;
/// States that a configuration may have at all.
pub const LARGE_STATES_MAX: usize = 20_000_000;

/// A model that grew out of its bounds is stopped after so many steps, before it fills the memory.
const STEPS_MAX: usize = 10 * LARGE_STATES_MAX;

/// Who runs a configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// `cargo test`, and the command.
    Small,
    /// The command alone.
    Large,
}

/// What a configuration has to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// No state breaks a property, and everything is reached.
    Holds,
    /// This property breaks, and its shortest counterexample has so many steps.
    Breaks {
        /// Name of the property.
        property: &'static str,
        /// Steps of the shortest counterexample.
        steps: usize,
    },
}

/// A property that broke.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counterexample {
    /// Name of the property.
    pub property: &'static str,
    /// What was done, step for step.
    pub steps: Vec<String>,
}

/// What a search found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Different states that were looked at.
    pub unique_states: usize,
    /// Steps to the farthest state, and one; with several threads more than by the shortest way.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Every property that broke on the way, with a way there; a shortest one for the expected property.
    pub counterexamples: Vec<Counterexample>,
    /// `sometimes` properties that no state fulfilled.
    pub unreached: Vec<&'static str>,
    /// It was not stopped before it had seen every state.
    pub complete: bool,
}

impl Report {
    fn steps_to(&self, property: &str) -> Option<usize> {
        let mut found = self.counterexamples.iter();
        found
            .find(|it| it.property == property)
            .map(|it| it.steps.len())
    }
}

/// A model with its bounds, and what is expected of it.
pub struct Configuration {
    /// `model/what`, for the command line.
    pub name: &'static str,
    /// Who runs it.
    pub size: Size,
    /// What it has to show.
    pub expected: Expected,
    search: Box<dyn Fn(usize) -> Report + Send + Sync>,
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}, {:?})", self.name, self.size, self.expected)
    }
}

impl Configuration {
    /// The protocol, which must hold.
    pub(crate) fn holds<M>(name: &'static str, size: Size, model: M) -> Configuration
    where
        M: Model + Clone + Send + Sync + 'static,
        M::State: Send + Sync + Hash + Clone + PartialEq + fmt::Debug + 'static,
        M::Action: Clone + PartialEq + fmt::Debug + Send + Sync,
    {
        Configuration {
            name,
            size,
            expected: Expected::Holds,
            search: Box::new(move |threads| search_all(&model, threads)),
        }
    }

    /// A wrong variant, which must break this property in so many steps. Always small.
    pub(crate) fn breaks<M>(
        name: &'static str,
        property: &'static str,
        steps: usize,
        model: M,
    ) -> Configuration
    where
        M: Model + Clone + Send + Sync + 'static,
        M::State: Send + Sync + Hash + Clone + PartialEq + fmt::Debug + 'static,
        M::Action: Clone + PartialEq + fmt::Debug + Send + Sync,
    {
        Configuration {
            name,
            size: Size::Small,
            expected: Expected::Breaks { property, steps },
            search: Box::new(move |_threads| search_shortest(&model, property)),
        }
    }

    /// Searches it with so many threads.
    pub fn run(&self, threads: usize) -> Report {
        (self.search)(threads)
    }

    /// Judges what a search found; the error says what is wrong.
    pub fn judge(&self, report: &Report) -> Result<String, String> {
        let states_max = match self.size {
            Size::Small => SMALL_STATES_MAX,
            Size::Large => LARGE_STATES_MAX,
        };
        if report.unique_states > states_max {
            let states = report.unique_states;
            return Err(format!("has {states} states, more than {states_max}"));
        }
        match self.expected {
            Expected::Holds => judge_protocol(report),
            Expected::Breaks { property, steps } => judge_wrong(report, property, steps),
        }
    }
}

fn judge_protocol(report: &Report) -> Result<String, String> {
    if let Some(first) = report.counterexamples.first() {
        return Err(format!("breaks \"{}\"\n{}", first.property, story(first)));
    }
    if !report.complete {
        return Err(format!("was stopped after {STEPS_MAX} steps"));
    }
    if !report.unreached.is_empty() {
        return Err(format!("never reaches {:?}", report.unreached));
    }
    Ok("holds".to_owned())
}

fn judge_wrong(report: &Report, property: &str, steps: usize) -> Result<String, String> {
    let Some(found) = report
        .counterexamples
        .iter()
        .find(|it| it.property == property)
    else {
        let others: Vec<&str> = report
            .counterexamples
            .iter()
            .map(|it| it.property)
            .collect();
        return Err(format!("does not break \"{property}\", but {others:?}"));
    };
    let shortest = found.steps.len();
    if shortest != steps {
        return Err(format!(
            "breaks \"{property}\" in {shortest} steps, not in {steps}\n{}",
            story(found)
        ));
    }
    Ok(format!("breaks \"{property}\" in {steps} steps"))
}

/// A counterexample, to be read.
pub fn story(counterexample: &Counterexample) -> String {
    let numbered = counterexample.steps.iter().enumerate();
    let lines: Vec<String> = numbered
        .map(|(at, step)| format!("    {:>2}  {step}", at + 1))
        .collect();
    lines.join("\n")
}

/// Every state, or the first violation.
fn search_all<M>(model: &M, threads: usize) -> Report
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Send + Sync + Hash + Clone + PartialEq + fmt::Debug + 'static,
    M::Action: Clone + PartialEq + fmt::Debug + Send + Sync,
{
    search(model, threads, HasDiscoveries::AnyFailures, None)
}

/// The shortest way to break this property, whatever else breaks before. By one thread: several meet a
/// state by a longer way first, and a search below a depth then misses what lies behind it.
fn search_shortest<M>(model: &M, property: &'static str) -> Report
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Send + Sync + Hash + Clone + PartialEq + fmt::Debug + 'static,
    M::Action: Clone + PartialEq + fmt::Debug + Send + Sync,
{
    let started = Instant::now();
    let until = || HasDiscoveries::AnyOf([property].into());
    let mut report = search(model, 1, until(), None);
    while let Some(steps) = report.steps_to(property) {
        let below = search(model, 1, until(), Some(steps));
        if below.steps_to(property).is_none() {
            break;
        }
        report = below;
    }
    report.took = started.elapsed();
    report
}

/// One search, of paths with fewer steps than `below`.
fn search<M>(model: &M, threads: usize, until: HasDiscoveries, below: Option<usize>) -> Report
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Send + Sync + Hash + Clone + PartialEq + fmt::Debug + 'static,
    M::Action: Clone + PartialEq + fmt::Debug + Send + Sync,
{
    let started = Instant::now();
    let mut builder: CheckerBuilder<M> = model
        .clone()
        .checker()
        .threads(threads)
        .finish_when(until)
        .target_state_count(STEPS_MAX);
    if let Some(steps) = below {
        // Stateright counts states on a path, and skips from this number on.
        builder = builder.target_max_depth(steps + 1);
    }
    let checker = builder.spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let mut counterexamples = Vec::new();
    let mut unreached = Vec::new();
    for property in model.properties() {
        match (property.expectation, discoveries.remove(property.name)) {
            (Expectation::Always, Some(path)) => counterexamples.push(Counterexample {
                property: property.name,
                steps: path
                    .into_actions()
                    .iter()
                    .map(|it| format!("{it:?}"))
                    .collect(),
            }),
            (Expectation::Sometimes, None) => unreached.push(property.name),
            _ => {}
        }
    }
    counterexamples.sort_by_key(|it| it.steps.len());
    Report {
        unique_states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: started.elapsed(),
        counterexamples,
        unreached,
        complete: checker.state_count() < STEPS_MAX,
    }
}
