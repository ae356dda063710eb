//! Invariant 14: of a limit with `decay` nobody takes more in a time than may, and what was used comes back once.
//!
//! What was used falls into a bucket when its entry leaves the status, and drains by the server's time. Moments are whole
//! seconds, so every stretch of time may have been a second longer than it looks: the bucket never holds more than a right
//! controller counts. The level of a status rises by what left the entries of that very write, and by nothing else.

use std::collections::BTreeMap;

use super::Rule;
use crate::history::checker::Report;
use crate::history::pool::{Decay, Level, Pool};
use crate::history::request::Entry;
use crate::history::version::ObjectRef;
use crate::history::violation::Invariant;
use crate::history::who::Who;
use crate::history::world::{Change, PoolChange, World};

/// A slot in the smallest parts that are counted here.
const SLOT: i128 = 1_000_000;

/// Judges each status of a limit by the one before, and by the time since.
#[derive(Default)]
pub(super) struct Rate {
    buckets: BTreeMap<ObjectRef, Bucket>,
}

/// What was used of one incarnation and has not come back, at least.
struct Bucket {
    of: String,
    parts: i128,
    at: i64,
    /// The fastest decay since a controller wrote last: until then it may count by an older one.
    fastest: Option<Decay>,
    /// When a controller wrote last.
    written: i64,
}

impl Bucket {
    fn new(pool: &Pool, now: i64) -> Self {
        Self {
            of: pool.uid.clone(),
            parts: 0,
            at: now,
            fastest: pool.decay,
            written: now,
        }
    }

    /// What comes back from a second on, at most.
    fn back(&self, since: i64) -> i128 {
        let Some(decay) = self.fastest else { return 0 };
        let seconds = i128::from(self.at.saturating_sub(since)).saturating_add(1);
        let slots = i128::from(decay.slots).saturating_mul(SLOT);
        slots.saturating_mul(seconds) / i128::from(decay.seconds.max(1)) + 1
    }

    fn drain(&mut self, now: i64) {
        let since = self.at;
        self.at = now.max(since);
        self.parts = self.parts.saturating_sub(self.back(since)).max(0);
    }

    /// What was computed at the earliest when the last status was written says that so many slots more were used.
    fn pour(&mut self, slots: i64) {
        let more = i128::from(slots).saturating_mul(SLOT);
        let gone = if self.parts == 0 {
            self.back(self.written)
        } else {
            0
        };
        self.parts = self.parts.saturating_add(more.saturating_sub(gone).max(0));
    }

    fn slots(&self) -> i128 {
        (self.parts.saturating_add(SLOT - 1)) / SLOT
    }
}

impl Rule for Rate {
    fn judge(&mut self, world: &World, change: &Change, report: &mut Report<'_>) {
        let Change::Pool(change) = change else { return };
        let Some(new) = &change.new else {
            self.buckets.remove(&change.place);
            return;
        };
        let fresh = || Bucket::new(new, world.now);
        let bucket = self.buckets.entry(change.place.clone());
        let bucket = bucket.or_insert_with(fresh);
        if bucket.of != new.uid {
            *bucket = fresh();
        }
        bucket.drain(world.now);
        let old = change.old.as_deref().filter(|old| old.uid == new.uid);
        if let Some(old) = old.filter(|old| old.status != new.status) {
            let mut faults = Vec::new();
            faults.extend(risen(world, old, new));
            faults.extend(misplaced(world, change, old, new));
            faults.extend(bucket.judge(world, old, new));
            for fault in faults {
                report.add(Invariant::Rate, &change.place, fault);
            }
        }
        bucket.fastest = faster(bucket.fastest, new.decay);
    }
}

impl Bucket {
    /// What is wrong with what this write gives, by what was used.
    fn judge(&mut self, world: &World, old: &Pool, new: &Pool) -> Option<String> {
        let told = |entry: &&Entry| {
            let who = world.who(&entry.uid).filter(|who| who.is_told());
            who.and_then(Who::record)
                .is_some_and(|record| record.attempt == entry.attempt)
        };
        let used = gone(old, new).filter(told);
        let used = used.fold(0_i64, |sum, it| sum.saturating_add(it.amount.slots()));
        if used > 0 {
            self.pour(used);
        }
        self.written = world.now;
        self.fastest = new.decay;
        let untold = |entry: &Entry| {
            let who = world.who(&entry.uid);
            old.status.entry(&entry.uid).is_none() && who.is_some_and(|who| !who.is_told())
        };
        let grants = new.status.entries().any(untold);
        let (held, used) = (i128::from(new.status.held()), self.slots());
        let over = held.saturating_add(used) > i128::from(new.slots);
        (new.decay.is_some() && grants && over).then(|| {
            format!(
                "{held} of {} slots are held or taken, and {used} of those used before have not come back",
                new.slots
            )
        })
    }
}

/// Entries that a write took out and that have to come back, if they were used.
fn gone<'a>(old: &'a Pool, new: &'a Pool) -> impl Iterator<Item = &'a Entry> {
    let decays = new.decay.is_some();
    old.status
        .entries()
        .filter(|entry| new.status.entry(&entry.uid).is_none())
        .filter(move |entry| decays || entry.rate)
}

/// A level that rises by more than what was used.
fn risen(world: &World, old: &Pool, new: &Pool) -> Option<String> {
    let never_told = |entry: &&Entry| {
        let who = world.who(&entry.uid);
        // Of who is gone a controller that never saw it has to believe that it was told.
        let who = who.filter(|who| !who.is_gone());
        who.is_some_and(|who| !who.is_told() && who.attempt() > Some(entry.attempt))
    };
    let used = gone(old, new).filter(|entry| !never_told(entry));
    let used = used.fold(0_i64, |sum, it| sum.saturating_add(it.amount.slots()));
    let of = |pool: &Pool| pool.status.level.unwrap_or(Level::EMPTY);
    let (was, is) = (of(old), of(new));
    let (was_slot, is_slot) = (
        i128::from(was.units_per_slot.max(1)),
        i128::from(is.units_per_slot.max(1)),
    );
    let most = i128::from(was.units)
        .saturating_mul(is_slot)
        .saturating_add(
            i128::from(used)
                .saturating_mul(was_slot)
                .saturating_mul(is_slot),
        )
        // What does not divide when a slot gets another number of parts is rounded up.
        .saturating_add(was_slot.saturating_mul(is_slot) / 100);
    (i128::from(is.units).saturating_mul(was_slot) > most).then(|| {
        format!(
            "its level rises from {}/{was_slot} to {}/{is_slot}, and {used} slots were used",
            was.units, is.units
        )
    })
}

/// What is taken for a rate where nothing comes back, or again by who was told.
fn misplaced(world: &World, change: &PoolChange, old: &Pool, new: &Pool) -> Option<String> {
    let come = |entry: &&Entry| entry.rate && old.status.entry(&entry.uid).is_none();
    let taken = new.status.entries().find(come)?;
    if new.decay.is_none() {
        let holder = taken.holder();
        return Some(format!(
            "{holder} takes for a rate, and nothing of it comes back"
        ));
    }
    let record = world.who(&taken.uid).and_then(Who::record)?;
    let again = record
        .lease_on(&change.place)
        .is_some_and(|lease| lease.rate && lease.token == taken.token);
    again.then(|| {
        let holder = taken.holder();
        format!("what {holder} took for a rate is written down again as if it were held")
    })
}

fn faster(one: Option<Decay>, other: Option<Decay>) -> Option<Decay> {
    let (Some(first), Some(second)) = (one, other) else {
        return one.or(other);
    };
    let left = first.slots.saturating_mul(second.seconds);
    let right = second.slots.saturating_mul(first.seconds);
    Some(if left >= right { first } else { second })
}
