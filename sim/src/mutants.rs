//! Seeded bugs: every known-wrong variant of Sluice must be caught by a seed or a directed run.

use std::sync::{Mutex, PoisonError};

use sluice::ledger::mutant::{self, Mutant};

use crate::run::run;
use crate::server::Rules;
use crate::world::plan::Plan;
use crate::{crew, orders};

/// Seeds that a variant may survive at most.
pub const SEEDS_MAX: u64 = 5_000;

/// What caught a variant.
#[derive(Clone, Debug)]
pub enum Caught {
    /// A seed, the so-manieth.
    Seed {
        /// Seeds that were run, this one included.
        after: u64,
        /// Which rules the server had in it.
        rules: Rules,
        /// What was violated there.
        rule: &'static str,
    },
    /// A directed run.
    Order(&'static str),
    /// It did something that cannot be done: the code itself noticed.
    Broke(u64),
    /// Nothing: a hole in the checks.
    Nothing,
}

/// Runs a variant until something catches it.
pub fn catch(variant: Mutant, seeds: u64) -> Caught {
    mutant::set(Some(variant));
    let caught = hunt(seeds);
    mutant::set(None);
    caught
}

/// Whether what once caught a variant still does: a line that [`Caught`] printed.
pub fn catch_at(variant: Mutant, told: &str) -> bool {
    mutant::set(Some(variant));
    let caught = again(told);
    mutant::set(None);
    caught
}

fn again(told: &str) -> bool {
    if let Some(name) = told.strip_prefix("directed run: ") {
        let found = orders::ALL.iter().find(|(it, _)| *it == name);
        return found.is_some_and(|(_, which)| orders::run(*which).is_err());
    }
    let number: String = told
        .strip_prefix("seed ")
        .unwrap_or_default()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let Ok(seed) = number.parse() else {
        return false;
    };
    !matches!(
        std::panic::catch_unwind(|| run(Plan::of(seed), &[])),
        Ok(Ok(_))
    )
}

fn hunt(seeds: u64) -> Caught {
    for (name, which) in orders::ALL {
        if orders::run(which).is_err() {
            return Caught::Order(name);
        }
    }
    for seed in 1..=seeds {
        let plan = Plan::of(seed);
        let rules = plan.setup.rules;
        let outcome = std::panic::catch_unwind(|| run(plan, &[]));
        match outcome {
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => {
                let rule = failure.violation.rule;
                return Caught::Seed {
                    after: seed,
                    rules,
                    rule,
                };
            }
            Err(_) => return Caught::Broke(seed),
        }
    }
    Caught::Nothing
}

/// Runs these variants, on so many threads; `tell` hears of each as it is caught.
pub fn catch_all(
    variants: &[Mutant],
    seeds: u64,
    threads: usize,
    tell: impl Fn(Mutant, &Caught) + Sync,
) -> Vec<(Mutant, Caught)> {
    let all = Mutex::new(Vec::new());
    crew::each(threads, variants, |variant| {
        let caught = catch(*variant, seeds);
        tell(*variant, &caught);
        all.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((*variant, caught));
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_by_key(|(variant, _)| *variant);
    all
}

impl std::fmt::Display for Caught {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Seed { after, rules, rule } => {
                write!(formatter, "seed {after} (rules: {rules:?}): {rule}")
            }
            Self::Order(name) => write!(formatter, "directed run: {name}"),
            Self::Broke(seed) => write!(formatter, "seed {seed}: the code itself gave up"),
            Self::Nothing => write!(formatter, "NOTHING"),
        }
    }
}
