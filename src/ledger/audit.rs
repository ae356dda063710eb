//! An independent look at the ledger: recounts everything from what is durable and compares.
//!
//! Shares no code with the decisions (no `free`, no `recount`, no `plan_is_backed`), so that a mistake
//! there does not hide itself here. Run after every step of every ledger test, and by debug builds of
//! the controller after every batch of news.

use std::collections::{BTreeMap, BTreeSet};

use super::book::Ledger;
use super::ids::{Amount, PoolKey, PoolKind, Uid};
use super::object::Mode;
use super::request::{Item, Phase, Place};

/// Something that must never be true.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Number of the invariant in docs/design.md section 5.2; 0 for bookkeeping of our own.
    pub invariant: u8,
    /// What was found, about whom.
    pub what: String,
}

/// Everything that is wrong with a ledger. Empty is right.
pub fn audit(ledger: &Ledger) -> Vec<Finding> {
    let mut findings = Vec::new();
    room(ledger, &mut findings);
    reveals(ledger, &mut findings);
    indexes(ledger, &mut findings);
    queues(ledger, &mut findings);
    findings
}

fn found(findings: &mut Vec<Finding>, invariant: u8, what: String) {
    findings.push(Finding { invariant, what });
}

fn size(amount: Amount) -> u128 {
    match amount {
        Amount::Slots(slots) | Amount::Rate(slots) => u128::from(slots),
        Amount::Shared => 1,
        Amount::Exclusive => u128::from(super::ids::LOCK_UNITS),
    }
}

/// What is granted or about to be, plus what is held, fits whenever anything is about to be granted.
fn room(ledger: &Ledger, findings: &mut Vec<Finding>) {
    for (key, pool) in &ledger.pools {
        let Some(seen) = &pool.seen else { continue };
        let Some(status) = seen.status.read() else {
            continue;
        };
        let mut holders: BTreeMap<&Uid, u128> = BTreeMap::new();
        for lease in status.leases.iter().chain(&status.adopted) {
            if holders.insert(&lease.uid, size(lease.amount)).is_some() {
                found(findings, 2, format!("{key} names {} twice", lease.uid));
            }
        }
        let flight = pool.flight.as_ref();
        let flying = flight.into_iter().flat_map(|flight| flight.removes.keys());
        for uid in pool.removes.keys().chain(flying) {
            holders.remove(uid);
        }
        for (uid, add) in pool
            .adds
            .iter()
            .chain(flight.into_iter().flat_map(|flight| &flight.adds))
        {
            holders.entry(uid).or_insert_with(|| size(add.amount));
        }
        let total: u128 = holders.values().sum();
        if total != u128::from(pool.planned) || holders.len() != pool.planned_count {
            let planned = (pool.planned, pool.planned_count);
            found(
                findings,
                0,
                format!("{key} counts {planned:?}, is {total} by {}", holders.len()),
            );
        }
        let leaving = pool
            .removes
            .iter()
            .chain(flight.into_iter().flat_map(|flight| &flight.removes));
        let draining: u128 = leaving
            .filter(|(uid, it)| it.drains && pool.entries.get(*uid) == Some(&it.entry))
            .map(|(_, it)| size(it.entry.amount))
            .sum();
        if draining != u128::from(pool.draining) {
            let counted = pool.draining;
            found(
                findings,
                0,
                format!("{key} counts {counted} on their way into its level, is {draining}"),
            );
        }
        if let Some(flight) = flight
            && flight.adds.values().any(|add| add.adopt.is_none())
        {
            let written: u128 = flight
                .status
                .leases
                .iter()
                .chain(&flight.status.adopted)
                .map(|it| size(it.amount))
                .sum();
            let decays = seen.spec.read().is_some_and(|spec| spec.decay.is_some());
            let level = flight.status.level.filter(|_| decays);
            let used_up = level.map_or(0, |it| it.parts.div_ceil(it.parts_per_slot));
            let written = written.saturating_add(u128::from(used_up));
            let generation_same = flight.base == seen.version;
            let capacity = seen.spec.read().map_or(0, |spec| u128::from(spec.capacity));
            if generation_same && written > capacity {
                found(
                    findings,
                    1,
                    format!("{key} is being granted {written} of {capacity}"),
                );
            }
        }
    }
}

/// Whoever is being revealed has everything it asked for, durably, for its current attempt.
fn reveals(ledger: &Ledger, findings: &mut Vec<Finding>) {
    for (uid, request) in &ledger.requests {
        let Phase::Revealing(plan, _) = &request.phase else {
            continue;
        };
        if ledger.dirty_requests.contains(uid) {
            continue;
        }
        for (key, item) in &plan.items {
            let pool = ledger
                .pools
                .get(key)
                .and_then(|pool| Some((pool, pool.seen.as_ref()?)));
            let backed = match (item, pool) {
                (Item::Absent { confirmed }, None) => *confirmed,
                (
                    Item::Open {
                        confirmed: false, ..
                    },
                    _,
                ) => false,
                (
                    Item::Open {
                        confirmed: true, ..
                    },
                    Some((_, seen)),
                ) => {
                    seen.status
                        .read()
                        .is_some_and(|status| status.open && !status.fenced)
                        && seen
                            .spec
                            .read()
                            .is_some_and(|spec| spec.mode == Mode::Disabled)
                }
                (Item::Lease { amount, .. }, Some((_, seen))) => {
                    // An adopted entry counts as much: a fence may have moved all of them there.
                    let status = seen.status.read();
                    let entries = status
                        .into_iter()
                        .flat_map(|status| status.leases.iter().chain(&status.adopted));
                    entries
                        .filter(|lease| lease.uid == *uid)
                        .any(|lease| lease.attempt == plan.attempt && lease.amount == *amount)
                }
                (Item::Absent { .. }, Some(_)) | (Item::Open { .. } | Item::Lease { .. }, None) => {
                    false
                }
            };
            if !backed {
                found(
                    findings,
                    3,
                    format!("{uid} is being revealed without {key}: {item:?}"),
                );
            }
        }
    }
}

/// The indexes agree with the statuses they index.
fn indexes(ledger: &Ledger, findings: &mut Vec<Finding>) {
    let mut holders: BTreeMap<&Uid, BTreeSet<&PoolKey>> = BTreeMap::new();
    for (key, pool) in &ledger.pools {
        for uid in pool.entries.keys() {
            holders.entry(uid).or_default().insert(key);
        }
        let Some(status) = pool.seen.as_ref().and_then(|seen| seen.status.read()) else {
            continue;
        };
        let named: BTreeSet<&Uid> = status
            .leases
            .iter()
            .chain(&status.adopted)
            .map(|lease| &lease.uid)
            .collect();
        if !named.iter().copied().eq(pool.entries.keys()) {
            found(
                findings,
                0,
                format!("{key} has entries that are not its status's"),
            );
        }
    }
    for (uid, request) in &ledger.requests {
        let held = holders.remove(uid).unwrap_or_default();
        if !held.iter().copied().eq(&request.held) {
            found(
                findings,
                0,
                format!("{uid} holds {held:?}, is indexed with {:?}", request.held),
            );
        }
        if ledger.strangers.contains_key(uid) {
            found(findings, 0, format!("{uid} is both known and a stranger"));
        }
    }
    for (uid, held) in holders {
        let stranger = ledger.strangers.get(uid).map(|stranger| &stranger.pools);
        if !stranger.is_some_and(|pools| pools.iter().eq(held.iter().copied())) {
            found(
                findings,
                0,
                format!("{uid} holds {held:?} and nobody follows it"),
            );
        }
    }
}

/// Everybody stands in exactly the place they think they stand in.
fn queues(ledger: &Ledger, findings: &mut Vec<Finding>) {
    for (uid, request) in &ledger.requests {
        let granting = matches!(request.place, Place::Granting(_));
        let planning = matches!(request.phase, Phase::Taking(_) | Phase::Revealing(..));
        if planning != granting && !ledger.dirty_requests.contains(uid) {
            found(
                findings,
                0,
                format!("{uid} is in {:?} while {:?}", request.place, request.phase),
            );
        }
        let Place::Queued(id, rank) = &request.place else {
            continue;
        };
        let queued = ledger
            .queues
            .line(*id)
            .is_some_and(|line| line.queue.contains(rank));
        if !queued {
            found(findings, 0, format!("{uid} thinks it is queued and is not"));
        }
        if request.view.is_revealed() && !ledger.dirty_requests.contains(uid) {
            found(
                findings,
                6,
                format!("{uid} is queued after its gate was removed"),
            );
        }
    }
    for (key, pool) in &ledger.pools {
        let locks = pool
            .entries
            .values()
            .filter(|entry| entry.amount == Amount::Exclusive)
            .count();
        if key.kind == PoolKind::Limit && locks > 0 {
            found(findings, 0, format!("{key} is a limit with lock leases"));
        }
    }
}
