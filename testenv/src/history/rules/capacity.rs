//! Invariants 1 and 2: what a status holds fits, or nothing was granted; and it names each holder once.

use std::collections::BTreeSet;

use super::Rule;
use crate::history::checker::Report;
use crate::history::pool::{Pool, Status};
use crate::history::request::Amount;
use crate::history::version::{Kind, ObjectRef};
use crate::history::violation::Invariant;
use crate::history::world::{Change, World};

/// Judges each version by itself and by the one before.
pub(super) struct Capacity;

impl Rule for Capacity {
    fn judge(&mut self, _: &World, change: &Change, report: &mut Report<'_>) {
        let Change::Pool(change) = change else { return };
        let Some(new) = &change.new else { return };
        each_holder_once(&change.place, &new.status, report);
        if new.status.unreadable > 0 {
            let message = format!(
                "{} of its entries cannot be read, so nobody can count them",
                new.status.unreadable
            );
            report.add(Invariant::Capacity, &change.place, message);
        }
        let granted_nothing = new.status.leases.is_empty()
            || change
                .old
                .as_ref()
                .is_some_and(|old| grants_nothing(&old.status, &new.status));
        if let (Some(excess), false) = (excess(new), granted_nothing) {
            report.add(Invariant::Capacity, &change.place, excess);
        }
    }
}

/// What does not fit, in words.
fn excess(pool: &Pool) -> Option<String> {
    let (leased, held) = (pool.status.leased(), pool.status.held());
    if pool.kind == Kind::Lock {
        return pool.status.excludes_itself().then(|| {
            format!("an exclusive holder is one of {held}, and this write was no mere release")
        });
    }
    (held > pool.slots).then(|| {
        format!(
            "{leased} slots in leases and {} in adopted are more than {}, and this write was no mere release",
            held.saturating_sub(leased),
            pool.slots
        )
    })
}

/// The write gave out no token, and the leases did not grow.
fn grants_nothing(old: &Status, new: &Status) -> bool {
    let exclusive = |status: &Status| {
        status
            .leases
            .iter()
            .filter(|lease| lease.amount == Amount::Exclusive)
            .count()
    };
    new.last_token == old.last_token
        && new.leased() <= old.leased()
        && exclusive(new) <= exclusive(old)
}

fn each_holder_once(place: &ObjectRef, status: &Status, report: &mut Report<'_>) {
    let mut seen = BTreeSet::new();
    for entry in status.entries() {
        if !seen.insert(entry.uid.as_str()) {
            let message = format!("holder {} stands in it twice", entry.holder());
            report.add(Invariant::OneLease, place, message);
        }
    }
}
