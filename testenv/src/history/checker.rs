//! Walks a history revision by revision and lets every rule judge what each write changed.

use super::assumptions::Assumptions;
use super::rules::{self, Rule};
use super::version::{History, ObjectRef};
use super::violation::{Invariant, Violation};
use super::world::World;

/// Most violations that are told: the first ones matter.
const VIOLATIONS_MAX: usize = 200;

/// Re-proves invariants 1 to 9 at every revision of a history; gives what is wrong, in etcd's order.
#[must_use]
pub fn check(history: &History, assumptions: &Assumptions) -> Vec<Violation> {
    let mut world = World::default();
    let mut rules: Vec<Box<dyn Rule>> = rules::all(history.scope(), assumptions);
    let mut report = Report::new(assumptions);
    for version in history.versions() {
        report.revision = version.revision;
        let change = world.take(version);
        for rule in &mut rules {
            rule.judge(&world, &change, &mut report);
        }
    }
    report.violations
}

/// Collects what is wrong, less what a test answers for.
pub(super) struct Report<'a> {
    assumptions: &'a Assumptions,
    pub(super) revision: i64,
    pub(super) violations: Vec<Violation>,
}

impl<'a> Report<'a> {
    pub(super) fn new(assumptions: &'a Assumptions) -> Self {
        Self {
            assumptions,
            revision: 0,
            violations: Vec::new(),
        }
    }

    /// Says that the write of the present revision broke an invariant.
    pub(super) fn add(
        &mut self,
        invariant: Invariant,
        object: &ObjectRef,
        message: impl Into<String>,
    ) {
        let violation = Violation {
            invariant,
            object: object.clone(),
            revision: self.revision,
            message: message.into(),
        };
        if self.violations.len() < VIOLATIONS_MAX && !self.assumptions.excuse(&violation) {
            self.violations.push(violation);
        }
    }
}
