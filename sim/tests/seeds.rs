//! The slice of the simulation that every test run does, and that the simulation itself can be believed: it repeats
//! exactly, reaches what it should, and notices every known-wrong variant.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use sluice::ledger::mutant::Mutant;
use sluice_sim::many::{Batch, run_many};
use sluice_sim::mutants::{Caught, catch, catch_at};
use sluice_sim::run::run;
use sluice_sim::world::plan::{EVENTS, Plan};
use sluice_sim::{crash_points, crew};

/// Seeds of the slice; more by `SLUICE_SEEDS`, from another one on by `SLUICE_SEED`.
const SEEDS: u64 = 2_000;
/// Seeds that are run twice.
const REPEATED: u64 = 50;
/// Faults that the average seed of the slice has at least.
const FAULTS: u64 = 20;
/// Seeds that a variant gets whose old catch no longer works.
const HUNT: u64 = 300;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(otherwise, |text| text.parse().unwrap())
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[test]
fn no_seed_of_the_slice_breaks_anything() {
    let batch = Batch {
        from: number("SLUICE_SEED", 1),
        seeds: number("SLUICE_SEEDS", SEEDS),
        at_most: None,
        threads: threads(),
    };
    let sum = run_many(batch, |_| {});
    assert!(sum.failure.is_none(), "{sum}");
    assert!(sum.events >= sum.seeds * EVENTS, "{sum}");
    assert!(sum.faults >= sum.seeds * FAULTS, "{sum}");
    if sum.seeds >= SEEDS {
        assert_eq!(sum.unreached(), [""; 0], "{sum}");
    }
    println!("{sum}");
}

#[test]
fn a_seed_repeats_exactly() {
    for seed in 1..=REPEATED {
        let once = run(Plan::of(seed), &[]).unwrap();
        let twice = run(Plan::of(seed), &[]).unwrap();
        assert_eq!(
            (once.trace, once.events),
            (twice.trace, twice.events),
            "seed {seed}"
        );
    }
}

#[test]
fn every_crash_point_heals() {
    let walk = crash_points::walk(2, threads());
    assert!(walk.failures.is_empty(), "{:#?}", walk.failures);
    let runs: u64 = walk.runs.values().sum();
    assert_eq!(walk.runs.len() as u64, crash_points::WORKLOADS);
    assert!(runs >= 1_000, "{:#?}", walk.runs);
}

/// `sim/mutants.txt` says what catches each variant: written by `cargo run --release -p sluice-sim -- mutants`.
#[test]
fn every_wrong_variant_is_caught() {
    let table: BTreeMap<&str, &str> = include_str!("../mutants.txt")
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect();
    let survivors = Mutex::new(Vec::new());
    crew::each(threads(), Mutant::ALL, |variant| {
        let known = table
            .get(format!("{variant:?}").as_str())
            .copied()
            .unwrap_or_default();
        if !catch_at(*variant, known) && matches!(catch(*variant, HUNT), Caught::Nothing) {
            survivors.lock().unwrap().push(*variant);
        }
    });
    let survivors = survivors.into_inner().unwrap();
    assert!(survivors.is_empty(), "survive: {survivors:?}");
}
