//! Invariant 7: the pods that may run at once fit, counted by their own records alone.
//!
//! The statuses are not asked, but for one thing: how large the limit was while the newcomer had its lease, because a
//! lease that fitted stays good when the limit shrinks before the reveal.

use super::Rule;
use crate::history::checker::Report;
use crate::history::evidence::has_ended;
use crate::history::pool::Pool;
use crate::history::request::{Amount, RecordedLease};
use crate::history::version::{Kind, ObjectRef};
use crate::history::violation::Invariant;
use crate::history::world::{Change, PodChange, World};

/// Counts whenever a pod is revealed.
pub(super) struct Physical;

impl Rule for Physical {
    fn judge(&mut self, world: &World, change: &Change, report: &mut Report<'_>) {
        let Change::Pod(change) = change else { return };
        let Some(new) = change.new.as_ref().filter(|pod| !pod.gated) else {
            return;
        };
        if change.old.as_ref().is_some_and(|old| !old.gated) {
            return;
        }
        // Token 0: a Disabled limit let it through uncounted.
        let counted = |lease: &&RecordedLease| lease.token != 0;
        for lease in new
            .record()
            .into_iter()
            .flat_map(|record| &record.leases)
            .filter(counted)
        {
            if let Some(message) = excess(world, change, lease) {
                report.add(Invariant::Physical, &change.place, message);
            }
        }
    }
}

fn excess(world: &World, change: &PodChange, lease: &RecordedLease) -> Option<String> {
    let incarnation = world.incarnation(&lease.pool, &lease.pool_uid);
    let pool = world.pool(&lease.pool).or(incarnation.map(|it| &it.last))?;
    let running = running(world, &lease.pool, pool);
    let names = || {
        running
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    if lease.pool.kind == Kind::Lock {
        let exclusive = running
            .iter()
            .any(|(_, amount)| *amount == Amount::Exclusive);
        return (exclusive && running.len() > 1).then(|| {
            format!(
                "with it {} pods run under {} and one of them excludes the others: {}",
                running.len(),
                lease.pool,
                names()
            )
        });
    }
    let granted = incarnation
        .and_then(|it| it.held.get(&change.uid))
        .map_or(0, |held| held.capacity);
    let capacity = pool.slots.max(granted);
    let sum = running
        .iter()
        .fold(0_i64, |sum, (_, amount)| sum.saturating_add(amount.slots()));
    (sum > capacity).then(|| {
        format!(
            "with it pods with {sum} slots of {} run, and it has {capacity}: {}",
            lease.pool,
            names()
        )
    })
}

/// The pods that exist, may run, and have a record that names this place and counts there.
pub(in crate::history) fn running(
    world: &World,
    place: &ObjectRef,
    pool: &Pool,
) -> Vec<(String, Amount)> {
    let settled = world.places.get(place).map(|it| &it.settled);
    world
        .pods
        .iter()
        .filter(|(uid, holder)| {
            holder.is_revealed()
                && !holder.gone
                && !has_ended(holder, pool)
                && !settled.is_some_and(|it| it.contains(*uid))
        })
        .filter_map(|(uid, holder)| {
            let lease = holder.last.record()?.lease_on(place)?;
            // Whom a Disabled limit let through is in nobody's way until a fence has counted it.
            let counts = lease.token != 0 || pool.status.entry(uid).is_some();
            counts.then(|| (holder.last.name.clone(), lease.amount))
        })
        .collect()
}
