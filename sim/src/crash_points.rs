//! Crash points, exhaustively: every write of every workload times every fate it may meet; pairs of them by sample.
//!
//! A workload is a small cluster without other faults. It is run once undisturbed to count its writes, then once for each
//! write and fate, healed, and judged as every simulation is.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::check::Violation;
use crate::crew;
use crate::dice::Dice;
use crate::world::plan::Plan;
use crate::world::{Point, World};

/// How many workloads there are.
pub const WORKLOADS: u64 = 12;
/// Seeds of the workloads begin here.
const FIRST_SEED: u64 = 7_000_000;
/// Events of people and nodes in a workload.
const EVENTS: u64 = 150;
/// Every fate.
const FATES: [Point; 4] = [
    Point::Before,
    Point::After,
    Point::AppliedButError,
    Point::ErrorAppliedLate,
];

/// What a walk came to.
#[derive(Debug, Default)]
pub struct Walk {
    /// Runs by workload.
    pub runs: BTreeMap<String, u64>,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// The plan of a workload: people act, nothing else goes wrong.
fn plan(workload: u64) -> Plan {
    let mut plan = Plan::calm(FIRST_SEED + workload);
    plan.events = EVENTS;
    plan.people_every_ms = 200;
    plan.latency_max_us = 5_000;
    plan.lag_max_us = 20_000;
    plan.controllers = if workload.is_multiple_of(3) { 2 } else { 1 };
    plan
}

/// Runs a workload with these points; how many writes were sent.
fn run(workload: u64, points: BTreeMap<u64, Point>) -> Result<u64, Violation> {
    let mut world = World::new(plan(workload));
    world.set_script(points);
    world.run()?;
    Ok(world.scripted_writes())
}

/// Walks all points of all workloads, and so many pairs of points of each.
pub fn walk(pairs: u64, threads: usize) -> Walk {
    let walk = Mutex::new(Walk::default());
    let mut jobs = Vec::new();
    for workload in 0..WORKLOADS {
        match run(workload, BTreeMap::new()) {
            Ok(writes) => jobs.extend(scripts(workload, writes, pairs)),
            Err(violation) => fail(&walk, workload, &BTreeMap::new(), &violation),
        }
    }
    crew::each(threads, &jobs, |(workload, points)| {
        if let Err(violation) = run(*workload, points.clone()) {
            fail(&walk, *workload, points, &violation);
        }
        let mut walk = walk.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = walk
            .runs
            .entry(format!("workload {workload:>2}"))
            .or_default();
        *runs = runs.saturating_add(1);
    });
    walk.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn fail(walk: &Mutex<Walk>, workload: u64, points: &BTreeMap<u64, Point>, violation: &Violation) {
    let told = format!(
        "workload {workload}, points {points:?}: {}: {}",
        violation.rule, violation.what
    );
    walk.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .failures
        .push(told);
}

/// Every single point of a workload, and some pairs.
fn scripts(workload: u64, writes: u64, pairs: u64) -> Vec<(u64, BTreeMap<u64, Point>)> {
    let mut scripts = Vec::new();
    for write in 0..writes {
        for fate in FATES {
            scripts.push((workload, BTreeMap::from([(write, fate)])));
        }
    }
    let mut dice = Dice::new(FIRST_SEED ^ workload);
    for _ in 0..pairs {
        let mut fate = || {
            FATES
                .get(dice.index(FATES.len()))
                .copied()
                .unwrap_or(Point::After)
        };
        let fates = [fate(), fate()];
        let (first, second) = (dice.roll(writes), dice.roll(writes));
        let [one, two] = fates;
        scripts.push((workload, BTreeMap::from([(first, one), (second, two)])));
    }
    scripts
}
