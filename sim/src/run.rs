//! Running seeds: one, or many on all cores, and what is told of them.

use crate::check::Violation;
use crate::world::plan::Plan;
use crate::world::{Counts, World};

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Events until the violation was seen: the shortest prefix that fails.
    pub events: u64,
    /// What was violated.
    pub violation: Violation,
    /// What happened, for people.
    pub story: String,
}

/// What a run was.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Events.
    pub events: u64,
    /// Faults.
    pub faults: u64,
    /// Hash of the run.
    pub trace: u64,
    /// What was reached.
    pub counts: Counts,
}

/// Entries of the server's log in a story.
const STORY_LINES: usize = 400;

/// Runs a plan to its end.
pub fn run(plan: Plan, about: &[String]) -> Result<Outcome, Box<Failure>> {
    let mut world = World::new(plan.clone());
    match world.run() {
        Ok(()) => Ok(outcome(&mut world)),
        Err(violation) => Err(Box::new(explain(plan, &violation, about))),
    }
}

fn outcome(world: &mut World) -> Outcome {
    Outcome {
        events: world.events,
        faults: world.faults,
        trace: world.trace,
        counts: std::mem::take(&mut world.counts),
    }
}

/// Runs a failing plan once more, with a pen.
fn explain(plan: Plan, first: &Violation, about: &[String]) -> Failure {
    let seed = plan.seed;
    let mut world = World::new(plan);
    world.tale = Some(Vec::new());
    let second = world.run().err();
    let mut violation = second.unwrap_or_else(|| Violation {
        rule: "replay",
        what: format!("the second run of the seed does not fail; the first did: {first:?}"),
        about: Vec::new(),
    });
    violation.about.extend(about.iter().cloned());
    let tale = world.tale.take().unwrap_or_default();
    let skip = tale.len().saturating_sub(STORY_LINES);
    let story = format!(
        "{:?}\n{}\n{}\nfaults:\n{}\nwhat became durable:\n{}",
        world.plan,
        world.seats_told(),
        world.processes.told(world.now()),
        tale.get(skip..).unwrap_or_default().join("\n"),
        world.server.story(STORY_LINES, &violation.about)
    );
    Failure {
        seed,
        events: world.events,
        violation,
        story,
    }
}

/// Adds counts to counts.
pub fn add(sum: &mut Counts, more: &Counts) {
    for (what, count) in more {
        let total = sum.entry(what).or_default();
        *total = total.saturating_add(*count);
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "seed {} after {} events: {}: {}\n{}",
            self.seed, self.events, self.violation.rule, self.violation.what, self.story
        )
    }
}
