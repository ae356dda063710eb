//! Invariant 9: each status write names the one it was computed from.

use super::Rule;
use crate::history::checker::Report;
use crate::history::pool::Status;
use crate::history::violation::Invariant;
use crate::history::world::{Change, World};

/// Judges the chain of batches of one incarnation.
pub(super) struct BatchChain;

impl Rule for BatchChain {
    fn judge(&mut self, _: &World, change: &Change, report: &mut Report<'_>) {
        let Change::Pool(change) = change else { return };
        let (Some(old), Some(new)) = (&change.old, &change.new) else {
            return;
        };
        let (old, new) = (&old.status, &new.status);
        let name = |batch: &Option<String>| batch.clone().unwrap_or_else(|| "none".into());
        if new.batch == old.batch {
            if ledger(old) != ledger(new) {
                let message = format!(
                    "its ledger was changed without a new batch (still {})",
                    name(&old.batch)
                );
                report.add(Invariant::BatchChain, &change.place, message);
            }
        } else if old.batch.is_some() && new.previous_batch != old.batch {
            let message = format!(
                "batch {} was computed from {}, but written over {}",
                name(&new.batch),
                name(&new.previous_batch),
                name(&old.batch)
            );
            report.add(Invariant::BatchChain, &change.place, message);
        }
    }
}

/// The part of a status that decides anything.
fn ledger(status: &Status) -> impl PartialEq {
    (
        status.leases.clone(),
        status.adopted.clone(),
        status.last_token,
        status.fenced,
        status.open,
    )
}
