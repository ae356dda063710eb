//! Invariant 8: attempts never go back, and a new incarnation grants nothing before its fence.

use super::Rule;
use crate::history::checker::Report;
use crate::history::violation::Invariant;
use crate::history::world::{Change, PodChange, PoolChange, World};

/// Judges each version by the one before.
pub(super) struct Fence;

impl Rule for Fence {
    fn judge(&mut self, _: &World, change: &Change, report: &mut Report<'_>) {
        match change {
            Change::Pod(change) => attempt_never_goes_back(change, report),
            Change::Pool(change) => no_grant_before_the_fence(change, report),
            // Attempts of claims are judged with the rest of their life.
            Change::Claim(_) | Change::Node => {}
        }
    }
}

fn attempt_never_goes_back(change: &PodChange, report: &mut Report<'_>) {
    let (Some(old), Some(new)) = (&change.old, &change.new) else {
        return;
    };
    let message = match (old.attempt, new.attempt) {
        (Some(before), Some(after)) if after < before => format!("{before} went back to {after}"),
        (Some(before), None) => {
            format!("{before} was overwritten with something that is no attempt")
        }
        _ => return,
    };
    report.add(Invariant::Fence, &change.place, message);
}

fn no_grant_before_the_fence(change: &PoolChange, report: &mut Report<'_>) {
    let fenced = change.old.as_ref().is_some_and(|old| old.status.fenced);
    let Some(granted) = change.fresh.first().filter(|_| !fenced) else {
        return;
    };
    let message = format!(
        "{} was given token {} while this incarnation had not yet fenced and adopted",
        granted.holder(),
        granted.token
    );
    report.add(Invariant::Fence, &change.place, message);
}
