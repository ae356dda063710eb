//! Invariant 6: a holder is told once, in one write, and never told otherwise.

use std::collections::BTreeSet;

use super::Rule;
use crate::history::checker::Report;
use crate::history::violation::Invariant;
use crate::history::world::{Change, World};

/// Remembers whose gate was removed.
#[derive(Default)]
pub(super) struct Once {
    revealed: BTreeSet<String>,
}

impl Rule for Once {
    fn judge(&mut self, _: &World, change: &Change, report: &mut Report<'_>) {
        let Change::Pod(change) = change else { return };
        let (Some(old), Some(new)) = (&change.old, &change.new) else {
            return;
        };
        let opens = old.gated && !new.gated;
        if opens && !self.revealed.insert(change.uid.clone()) {
            report.add(
                Invariant::RevealOnce,
                &change.place,
                "its gate was removed a second time",
            );
        }
        if old.granted != new.granted && !opens {
            let message = match (&old.granted, &new.granted) {
                (None, _) if new.gated => "its record was written while its gate stays",
                (None, _) => "its record was written after its gate was removed",
                (_, None) => "its record was removed",
                _ => "its record was changed",
            };
            report.add(Invariant::RevealOnce, &change.place, message);
        }
    }
}
