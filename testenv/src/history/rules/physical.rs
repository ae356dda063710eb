//! Invariant 7: the pods that may run and the claims that hold at once fit, counted by their own records alone.
//!
//! The statuses are not asked, but for one thing: how large the limit was while the newcomer had its lease, because a
//! lease that fitted stays good when the limit shrinks before the reveal.

use super::Rule;
use crate::history::checker::Report;
use crate::history::claim::{Claim, Phase};
use crate::history::pool::Pool;
use crate::history::request::{Amount, RecordedLease};
use crate::history::version::{Kind, ObjectRef};
use crate::history::violation::Invariant;
use crate::history::who::Who;
use crate::history::world::{Change, World};

/// Counts whenever somebody is told.
pub(super) struct Physical;

impl Rule for Physical {
    fn judge(&mut self, world: &World, change: &Change, report: &mut Report<'_>) {
        let (place, uid, told) = match change {
            Change::Pod(change) => {
                let before = change.old.as_ref().is_some_and(|old| !old.gated);
                let now = change.new.as_ref().is_some_and(|new| !new.gated);
                (&change.place, &change.uid, now && !before)
            }
            Change::Claim(change) => {
                let granted = |claim: &Claim| claim.phase == Phase::Granted;
                let before = change.old.as_deref().is_some_and(granted);
                let now = change.new.as_deref().is_some_and(granted);
                (&change.place, &change.uid, now && !before)
            }
            Change::Pool(_) | Change::Node => return,
        };
        let record = world.who(uid).filter(|_| told).and_then(Who::record);
        // Token 0: a Disabled limit let it through uncounted. Whoever takes a rate holds nothing.
        let counted = |lease: &&RecordedLease| lease.token != 0 && !lease.rate;
        let leases = record.into_iter().flat_map(|record| &record.leases);
        for lease in leases.filter(counted) {
            if let Some(message) = excess(world, uid, lease) {
                report.add(Invariant::Physical, place, message);
            }
        }
    }
}

fn excess(world: &World, uid: &str, lease: &RecordedLease) -> Option<String> {
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
        .and_then(|it| it.held.get(uid))
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

/// The pods that exist and may run, and the claims that hold, with a record that names this place and counts there.
pub(in crate::history) fn running(
    world: &World,
    place: &ObjectRef,
    pool: &Pool,
) -> Vec<(String, Amount)> {
    let settled = world.places.get(place).map(|it| &it.settled);
    world
        .everybody()
        .filter(|(uid, holder)| {
            holder.may_work(pool) && !settled.is_some_and(|it| it.contains(*uid))
        })
        .filter_map(|(uid, holder)| {
            let lease = holder.record()?.lease_on(place).filter(|it| !it.rate)?;
            // Whom a Disabled limit let through is in nobody's way until a fence has counted it.
            let counts = lease.token != 0 || pool.status.entry(uid).is_some();
            counts.then(|| (holder.name().to_owned(), lease.amount))
        })
        .collect()
}
