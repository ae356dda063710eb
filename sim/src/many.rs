//! Many seeds on all cores, and what they sum up to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::crew;
use crate::run::{Failure, add, run};
use crate::world::Counts;
use crate::world::plan::Plan;

/// Which seeds to run, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The first.
    pub from: u64,
    /// How many at most.
    pub seeds: u64,
    /// How long at most.
    pub at_most: Option<Duration>,
    /// On how many threads.
    pub threads: usize,
}

/// What a batch came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Seeds that ran to their end.
    pub seeds: u64,
    /// Events of all of them.
    pub events: u64,
    /// Faults of all of them.
    pub faults: u64,
    /// The fewest faults of one seed.
    pub faults_least: Option<u64>,
    /// How long it took.
    pub took: Duration,
    /// What was reached, and how often.
    pub counts: Counts,
    /// The first seed that failed.
    pub failure: Option<Box<Failure>>,
}

/// Runs a batch; `tell` hears of the seeds done so far, now and then.
pub fn run_many(batch: Batch, tell: impl Fn(u64) + Sync) -> Summary {
    let start = Instant::now();
    let over = AtomicBool::new(false);
    let sum = Mutex::new(Summary::default());
    crew::work_off(batch.threads, batch.from, |seed| {
        let late = batch.at_most.is_some_and(|most| start.elapsed() >= most);
        if over.load(Ordering::Relaxed) || late || seed >= batch.from.saturating_add(batch.seeds) {
            return false;
        }
        let outcome = run(Plan::of(seed), &[]);
        let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(outcome) => {
                sum.seeds = sum.seeds.saturating_add(1);
                sum.events = sum.events.saturating_add(outcome.events);
                sum.faults = sum.faults.saturating_add(outcome.faults);
                let least = sum
                    .faults_least
                    .map_or(outcome.faults, |it| it.min(outcome.faults));
                sum.faults_least = Some(least);
                add(&mut sum.counts, &outcome.counts);
                if sum.seeds.is_multiple_of(1_000) {
                    tell(sum.seeds);
                }
            }
            Err(failure) => {
                over.store(true, Ordering::Relaxed);
                sum.failure.get_or_insert(failure);
            }
        }
        true
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.took = start.elapsed();
    sum
}

/// Everything that a batch of some thousand seeds has to reach: each fault, and each row of the recovery table. A class of
/// faults that is no longer reached is a hole in the simulation.
pub const MUST_BE_REACHED: [&str; 93] = [
    "answer: 409",
    "answer: 422",
    "answer: 429",
    "answer: 500",
    "answer: 503",
    "claim: a late message of a process was applied",
    "claim: a process adopted one",
    "claim: a process asked",
    "claim: a process began to work",
    "claim: a process died, and another one adopts",
    "claim: a process gave up waiting",
    "claim: a process lost its lease",
    "claim: a process released",
    "claim: a process took for a rate",
    "claim: a renewal was acknowledged",
    "claim: attempt raised",
    "claim: deleted by a controller",
    "claim: denied",
    "claim: expired",
    "claim: granted",
    "claim: held for as long as it may",
    "claim: lapsed",
    "claim: released",
    "claim: revoked by an operator",
    "claim: timed out",
    "claim: vanished, and was freed",
    "clock: stands still in suspension",
    "clock: the server's jumps ahead",
    "crash",
    "fence: done",
    "freeze",
    "guard: refused a forgery",
    "guard: refused an edit",
    "healed",
    "node: PodGC ended a pod that runs",
    "node: gone",
    "node: out of service",
    "partition",
    "people: a pod came past admission",
    "people: an operator released a holder",
    "people: changed a decay",
    "people: changed a mode",
    "people: changed a worker label",
    "people: changed labels of a namespace",
    "people: changed lease and lock delay of a limit",
    "people: deleted a claim",
    "people: deleted a derived limit",
    "people: deleted a limit or lock",
    "people: deleted a pod",
    "people: deleted a running pod by force",
    "people: edited a derived limit",
    "people: ended a quarantine",
    "people: set a limit or lock aside",
    "people: edited a request",
    "people: forged",
    "people: re-created a limit or lock",
    "people: removed a foreign gate",
    "people: removed a gate by hand",
    "people: replaced a limit or lock",
    "people: resized a limit",
    "people: took the name of a derived limit",
    "people: touched a limit or lock",
    "pod: attempt raised",
    "pod: bound",
    "pod: ended",
    "pod: revealed",
    "policy: denies writes of a limit",
    "policy: denies writes of a pod",
    "pool: adopted a holder",
    "pool: dropped a lease of a pod that ended",
    "pool: dropped a lease of a pod that is gone",
    "pool: dropped a void lease",
    "pool: gave a lease",
    "pool: gave a lease to a claim",
    "process: cut off",
    "process: dies",
    "process: ended by itself",
    "process: hangs",
    "rate: taken",
    "rate: what was used has to come back",
    "recovery: revealed what another controller had begun",
    "request: a late one was applied",
    "request: applied, answer lost",
    "request: delayed",
    "request: delivered twice",
    "request: lost before the server",
    "request: unanswered, applied later",
    "server: a derived limit went with its family",
    "server: restored from a snapshot",
    "server: the Lease is deleted",
    "watch: compacted, lists anew",
    "watch: loses an event",
    "watch: silent",
];

impl Summary {
    /// What should have been reached and was not.
    pub fn unreached(&self) -> Vec<&'static str> {
        let missing = |what: &&&'static str| !self.counts.contains_key(**what);
        MUST_BE_REACHED.iter().filter(missing).copied().collect()
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (what, count) in &self.counts {
            writeln!(formatter, "{count:>10}  {what}")?;
        }
        let seconds = self.took.as_secs_f64();
        writeln!(
            formatter,
            "{} seeds, {} events, {} faults (at least {} a seed) in {seconds:.0} s: {:.0} events a second",
            self.seeds,
            self.events,
            self.faults,
            self.faults_least.unwrap_or(0),
            self.events as f64 / seconds.max(0.001),
        )?;
        match &self.failure {
            None => write!(formatter, "no violation"),
            Some(failure) => write!(formatter, "VIOLATION: {failure}"),
        }
    }
}
