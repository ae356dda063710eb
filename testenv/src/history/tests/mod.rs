//! Right histories that must pass, and wrong ones, at least one for each invariant, that must be caught under its
//! number.

mod claim_ends;
mod claim_lives;
mod claims;
mod disabled;
mod ends;
mod rates;
mod releases;
mod reveals;
mod right;
mod statuses;
mod telling;
mod tokens;

use std::collections::BTreeSet;

use super::assumptions::Assumptions;
use super::builder::Script;
use super::checker::check;
use super::violation::{Invariant, Violation};

fn violations(script: &Script) -> Vec<Violation> {
    check(&script.history(), &Assumptions::none())
}

/// Nothing is wrong with this history.
#[track_caller]
fn right(script: &Script) {
    let found = violations(script);
    assert!(found.is_empty(), "{}", told(&found));
}

/// Exactly this invariant is broken, by the last write, for this reason.
#[track_caller]
fn wrong(script: &Script, invariant: Invariant, reason: &str) {
    let found = violations(script);
    let broken: BTreeSet<_> = found.iter().map(|it| it.invariant).collect();
    assert_eq!(broken, BTreeSet::from([invariant]), "{}", told(&found));
    assert!(
        found.iter().all(|it| it.revision == script.revision),
        "{}",
        told(&found)
    );
    assert!(
        found.iter().any(|it| it.message.contains(reason)),
        "{}",
        told(&found)
    );
}

/// This invariant is broken among others.
#[track_caller]
fn wrong_too(script: &Script, invariant: Invariant, reason: &str) {
    let found = violations(script);
    let hit = |it: &Violation| it.invariant == invariant && it.message.contains(reason);
    assert!(found.iter().any(hit), "{}", told(&found));
}

fn told(found: &[Violation]) -> String {
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    format!("found:\n{}", lines.join("\n"))
}
