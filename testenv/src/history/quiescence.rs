//! Invariant 10: what must be true at the end of a run whose faults are over and whose controller has had time.
//!
//! Safety holds at every revision; this is liveness, and only the end can show it. Says of whoever waits that it could
//! be granted only when nothing at all stands in its way: it fits, and nobody who waits and shares a limit with it is
//! ahead of it, so that neither order nor reservation explains its waiting. Namespaces chosen by labels are not
//! judged, because a history does not hold labels of namespaces.

use super::assumptions::Assumptions;
use super::checker::Report;
use super::claim::Phase;
use super::evidence::{End, has_ended, was_released};
use super::pool::{Mode, Pool};
use super::request::Entry;
use super::version::{History, Kind, ObjectRef};
use super::violation::{Invariant, Violation};
use super::waiters::{LEASES_MAX, grantable};
use super::who::{Claimant, Who};
use super::world::World;

/// How much later than it may a controller sees to a claim, in seconds.
const OVERDUE_SECONDS: i64 = 10;

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
    let now = history.read_seconds().unwrap_or(world.now);
    for claimant in world.claims.values() {
        if let Some(message) = overdue(claimant, now, assumptions) {
            let claim = &claimant.last;
            let place = ObjectRef::new(Kind::Claim, claim.namespace.clone(), claim.name.clone());
            report.add(Invariant::Quiescence, &place, message);
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
    let told = |entry: &Entry| match world.who(&entry.uid) {
        None => Some("which never existed"),
        Some(holder) if is_over(holder, pool) => Some("which has ended"),
        Some(Who::Claim(claim)) if claim.gone || claim.last.phase.is_final() => {
            Some("which is gone or was revoked")
        }
        Some(_) if was_released(world, place, pool, &entry.uid) => {
            Some("which an operator released")
        }
        Some(holder) if gave_up(holder, entry) => Some("whose request gave that attempt up"),
        Some(_) => None,
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

/// Nothing can come of it any more, and nobody need be waited for.
fn is_over(holder: Who<'_>, pool: &Pool) -> bool {
    match holder {
        Who::Pod(pod) => has_ended(pod, pool),
        Who::Claim(claim) => {
            claim.last.release
                || matches!(
                    claim.last.phase,
                    Phase::Denied | Phase::TimedOut | Phase::Released
                )
        }
    }
}

/// It waits, and for a later attempt.
fn gave_up(holder: Who<'_>, entry: &Entry) -> bool {
    let (waits, attempt) = match holder {
        Who::Pod(pod) => (pod.last.gated, pod.last.attempt),
        Who::Claim(claim) => (claim.last.phase == Phase::Pending, claim.last.attempt),
    };
    waits && attempt.is_some_and(|it| it > entry.attempt)
}

/// Live holders by their own record that it does not count.
fn forgotten(world: &World, place: &ObjectRef, pool: &Pool) -> Vec<String> {
    let lives = |holder: Who<'_>| match holder {
        Who::Pod(pod) => {
            !pod.last.gated && !pod.gone && !pod.last.is_terminal() && pod.end == End::Live
        }
        Who::Claim(claim) => claim.holds(),
    };
    let uncounted = world.everybody().filter(|(uid, holder)| {
        let lease = holder.record().and_then(|it| it.lease_on(place));
        lives(*holder)
            && lease.is_some_and(|it| !it.rate)
            && pool.status.entry(uid).is_none()
            && !was_released(world, place, pool, uid)
    });
    uncounted
        .map(|(uid, _)| {
            format!("it does not count {uid}, which runs with a record of a lease here")
        })
        .collect()
}

/// What is wrong with a claim that is there, so long after what happened to it.
fn overdue(claimant: &Claimant, now: i64, assumptions: &Assumptions) -> Option<String> {
    let claim = &claimant.last;
    if claimant.gone {
        return None;
    }
    if claim.release && !claim.phase.is_final() {
        return Some("its holder released it, and it is neither gone nor Released".into());
    }
    let since = |moment: i64| now.saturating_sub(moment);
    let silent = since(claimant.renewed_at);
    if claimant.holds() && !claim.follows_pod && claimant.renewed_at > 0 {
        let most = claim.expiry_ms() / 1000 + OVERDUE_SECONDS;
        return (silent > most)
            .then(|| format!("it was not renewed for {silent} s, and is Granted still"));
    }
    let ended = since(claimant.ended_at.filter(|it| *it > 0)?);
    let most = assumptions.ended_claims_seconds() + OVERDUE_SECONDS;
    (claim.phase.is_final() && ended > most)
        .then(|| format!("it ended {ended} s ago, and is kept still"))
}
