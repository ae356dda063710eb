//! Invariant 10: what must be true at the end of a run whose faults are over and whose controller has had time.
//!
//! Safety holds at every revision; this is liveness, and only the end can show it. Says of a waiting pod that it could
//! be granted only when nothing at all stands in its way: it fits, and no waiting pod that shares a limit with it is
//! ahead of it, so that neither order nor reservation explains its waiting. Namespaces chosen by labels are not
//! judged, because a history does not hold labels of namespaces.

use std::collections::BTreeMap;

use super::assumptions::Assumptions;
use super::checker::Report;
use super::evidence::{End, has_ended, was_released};
use super::pod::Pod;
use super::pool::{Allows, Mode, Pool};
use super::request::{Amount, Attempt};
use super::resolve::{Want, wants};
use super::version::{History, Kind, ObjectRef};
use super::violation::{Invariant, Violation};
use super::world::World;

/// Most leases of one status: a full one keeps further holders waiting.
const LEASES_MAX: usize = 1000;

/// Judges the end of a history: nobody holds what has ended, nobody live is forgotten, nobody waits for what is free.
#[must_use]
pub fn check_quiescent(history: &History, assumptions: &Assumptions) -> Vec<Violation> {
    let mut world = World::default();
    for version in history.versions() {
        world.take(version);
    }
    let mut report = Report::new(assumptions);
    report.revision = history.revision();
    for (place, at) in &world.places {
        let Some(pool) = at.current.as_deref().filter(|pool| counts(pool)) else {
            continue;
        };
        let mut add = |message| report.add(Invariant::Quiescence, place, message);
        leftovers(&world, place, pool)
            .into_iter()
            .for_each(&mut add);
        forgotten(&world, place, pool)
            .into_iter()
            .for_each(&mut add);
        if !pool.status.fenced && pool.status.adopted.len() < LEASES_MAX {
            add("it has not ended its fence".into());
        }
    }
    for (place, message) in grantable(&world) {
        report.add(Invariant::Quiescence, &place, message);
    }
    report.violations
}

/// It has holders of its own, and they are to be counted.
fn counts(pool: &Pool) -> bool {
    pool.family_label.is_none() && pool.mode != Mode::Disabled
}

/// Entries of holders that have ended, or of attempts that were given up.
fn leftovers(world: &World, place: &ObjectRef, pool: &Pool) -> Vec<String> {
    let told = |entry: &super::request::Entry| {
        let holder = match world.pods.get(&entry.uid) {
            None => return Some("which never existed"),
            Some(holder) => holder,
        };
        if has_ended(holder, pool) {
            Some("which has ended")
        } else if was_released(world, place, pool, &entry.uid) {
            Some("which an operator released")
        } else if holder.last.gated && holder.last.attempt.is_some_and(|it| it > entry.attempt) {
            Some("whose request gave that attempt up")
        } else {
            None
        }
    };
    let entries = pool.status.entries();
    entries
        .filter_map(|entry| {
            Some(format!(
                "it still has a lease of {}, {}",
                entry.holder(),
                told(entry)?
            ))
        })
        .collect()
}

/// Live holders by their own record that it does not count.
fn forgotten(world: &World, place: &ObjectRef, pool: &Pool) -> Vec<String> {
    let runs = |uid: &str| {
        world.pods.get(uid).is_some_and(|holder| {
            holder.is_revealed()
                && !holder.gone
                && !holder.last.is_terminal()
                && holder.end == End::Live
                && holder
                    .last
                    .record()
                    .is_some_and(|record| record.lease_on(place).is_some())
        })
    };
    let uncounted = world.pods.keys().filter(|uid| {
        runs(uid) && pool.status.entry(uid).is_none() && !was_released(world, place, pool, uid)
    });
    uncounted
        .map(|uid| format!("it does not count {uid}, which runs with a record of a lease here"))
        .collect()
}

/// A pod that waits for room, or for nothing at all.
struct Waiter<'a> {
    pod: &'a Pod,
    wants: BTreeMap<ObjectRef, Want>,
    fits: bool,
}

fn grantable(world: &World) -> Vec<(ObjectRef, String)> {
    let waiters: Vec<Waiter<'_>> = world
        .pods
        .values()
        .filter(|it| !it.gone)
        .filter_map(|it| waiter(world, &it.last))
        .collect();
    let told = |waiter: &&Waiter<'_>| {
        waiter.fits
            && !waiters.iter().any(|other| {
                rank(other.pod) < rank(waiter.pod)
                    && other
                        .wants
                        .keys()
                        .any(|place| waiter.wants.contains_key(place))
            })
    };
    waiters
        .iter()
        .filter(told)
        .map(|waiter| {
            let pod = ObjectRef::new(
                Kind::Pod,
                waiter.pod.namespace.clone(),
                waiter.pod.name.clone(),
            );
            let places: Vec<_> = waiter.wants.keys().map(ToString::to_string).collect();
            (
                pod,
                format!(
                    "it waits, is next, and there is room in {}",
                    places.join(", ")
                ),
            )
        })
        .collect()
}

/// Its place in the queue; the smallest is first.
fn rank(pod: &Pod) -> (std::cmp::Reverse<i64>, &str, &str) {
    (std::cmp::Reverse(pod.priority), &pod.created, &pod.uid)
}

/// The pod, if nothing but room can keep it waiting.
fn waiter<'a>(world: &World, pod: &'a Pod) -> Option<Waiter<'a>> {
    let waits = pod.gated
        && pod.asks()
        && !pod.other_gates
        && !pod.deleting
        && !pod.is_terminal()
        && pod
            .attempt
            .is_some_and(|attempt| attempt != Attempt::TimedOut);
    let wants = waits.then(|| wants(world, pod).ok())??;
    let mut fits = true;
    for (place, want) in &wants {
        match standing(world, pod, place, want) {
            Standing::Aside => return None,
            Standing::Waits => fits = false,
            Standing::Fits => {}
        }
    }
    Some(Waiter { pod, wants, fits })
}

/// What one limit or lock says to a request.
enum Standing {
    Fits,
    Waits,
    /// It waits for something else than room, and so in no queue.
    Aside,
}

fn standing(world: &World, pod: &Pod, place: &ObjectRef, want: &Want) -> Standing {
    let family = want.family.as_ref().and_then(|family| world.pool(family));
    let Some(pool) = world.pool(place).or(family) else {
        return if pod.ignores_missing {
            Standing::Fits
        } else {
            Standing::Aside
        };
    };
    let allowed = pod.namespace == place.namespace || pool.allows == Allows::All;
    let too_small = pool.kind == Kind::Limit && want.amount.slots() > pool.slots;
    match pool.mode {
        Mode::Paused => Standing::Aside,
        _ if !allowed || pool.status.unreadable > 0 => Standing::Aside,
        Mode::Disabled => Standing::Fits,
        // The worker's own limit is not there: nobody holds it, unless there may be no more of them.
        Mode::Active if pool.family_label.is_some() => {
            let full = workers(world, want.family.as_ref()) >= pool.workers_max;
            if full || too_small {
                Standing::Aside
            } else {
                Standing::Fits
            }
        }
        Mode::Active if too_small => Standing::Aside,
        Mode::Active if has_room(pool, pod, want.amount) => Standing::Fits,
        Mode::Active => Standing::Waits,
    }
}

/// How many workers of a family have limits.
fn workers(world: &World, family: Option<&ObjectRef>) -> usize {
    let Some(family) = family else { return 0 };
    let prefix = format!("{}--", family.name);
    let is_worker = |place: &ObjectRef| {
        place.kind == family.kind
            && place.namespace == family.namespace
            && place.name.starts_with(&prefix)
            && world.pool(place).is_some()
    };
    world.places.keys().filter(|place| is_worker(place)).count()
}

/// Whether a pod fits beside all others; leases of its own that a grant left behind are no obstacle to it.
fn has_room(pool: &Pool, pod: &Pod, amount: Amount) -> bool {
    let mut others = pool.status.entries().filter(|entry| entry.uid != pod.uid);
    let fits = match amount {
        Amount::Slots(slots) => {
            let held = others.fold(slots, |sum, entry| sum.saturating_add(entry.amount.slots()));
            held <= pool.slots
        }
        Amount::Exclusive => others.next().is_none(),
        Amount::Shared => others.all(|entry| entry.amount == Amount::Shared),
    };
    fits && pool.status.leases.len() < LEASES_MAX
}
