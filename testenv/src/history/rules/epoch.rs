//! Invariant 11: terms of leadership follow each other, and each has one leader.

use super::Rule;
use crate::history::checker::Report;
use crate::history::violation::Invariant;
use crate::history::world::{Change, World};

/// Judges the epochs of one incarnation.
pub(super) struct Epoch;

impl Rule for Epoch {
    fn judge(&mut self, _: &World, change: &Change, report: &mut Report<'_>) {
        let Change::Pool(change) = change else { return };
        let (Some(old), Some(new)) = (&change.old, &change.new) else {
            return;
        };
        let (old, new) = (&old.status, &new.status);
        let name = |leader: &Option<String>| leader.clone().unwrap_or_else(|| "nobody".into());
        if new.epoch < old.epoch {
            let message = format!(
                "epoch {} of {} was written over epoch {} of {}",
                new.epoch,
                name(&new.leader),
                old.epoch,
                name(&old.leader)
            );
            report.add(Invariant::Epoch, &change.place, message);
        } else if new.epoch == old.epoch && new.leader != old.leader {
            let message = format!(
                "epoch {} has two leaders, {} and {}",
                new.epoch,
                name(&old.leader),
                name(&new.leader)
            );
            report.add(Invariant::Epoch, &change.place, message);
        }
    }
}
