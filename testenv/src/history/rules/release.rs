//! Invariant 4: the lease of a live holder stays, on every incarnation of its limit.
//!
//! Three ways to lose one: it is taken out of a status, it is made into something else, or a new incarnation ends its
//! fence without it. And one that only may lead there: the lease of a request that is still to be revealed is taken
//! out before its attempt was raised, so that a reveal in flight would come true without it.

use super::Rule;
use super::claim_end::claim_loss;
use crate::history::checker::Report;
use crate::history::evidence::{has_ended, was_released};
use crate::history::pool::{Mode, Pool};
use crate::history::recorder::Scope;
use crate::history::request::Entry;
use crate::history::violation::Invariant;
use crate::history::who::Who;
use crate::history::world::{Change, PoolChange, World};

/// Judges each status by the one before.
pub(super) struct Release {
    scope: Scope,
}

impl Release {
    pub(super) fn new(scope: &Scope) -> Self {
        Self {
            scope: scope.clone(),
        }
    }

    /// What is wrong with an entry's being gone.
    fn loss(
        &self,
        world: &World,
        change: &PoolChange,
        new: &Pool,
        entry: &Entry,
    ) -> Option<String> {
        if let Some(claimant) = world.claims.get(&entry.uid) {
            return claim_loss(world, change, new, entry, claimant);
        }
        let is_known = matches!(entry.kind.as_str(), "Pod" | "Claim");
        if !is_known || was_released(world, &change.place, new, &entry.uid) {
            return None;
        }
        let namespace = entry
            .namespace
            .as_deref()
            .unwrap_or(&change.place.namespace);
        let Some(holder) = world.pods.get(&entry.uid) else {
            return (!self.scope.covers(namespace)).then(|| {
                format!(
                    "the lease of {} went, and this history does not cover namespace {namespace}: record it as well",
                    entry.holder()
                )
            });
        };
        if has_ended(holder, new) || entry.rate && !holder.last.gated {
            // What was taken for a rate is no holder's once it was told.
            None
        } else if !holder.last.gated {
            let void = holder.last.record().is_some_and(|record| {
                record.lease_on(&change.place).is_none() && entry.attempt < record.attempt
            });
            let told = format!(
                "the lease of {} went while it lives: phase {:?}, object {}, its end {:?}",
                entry.holder(),
                holder.last.phase,
                if holder.gone { "gone" } else { "there" },
                holder.end
            );
            (!void).then_some(told)
        } else {
            let stands = holder
                .last
                .attempt
                .is_none_or(|attempt| attempt <= entry.attempt);
            stands.then(|| {
                let attempt = entry.attempt;
                format!(
                    "the lease of {} for {attempt} went, and that attempt may still be revealed",
                    entry.holder()
                )
            })
        }
    }
}

impl Rule for Release {
    fn judge(&mut self, world: &World, change: &Change, report: &mut Report<'_>) {
        let Change::Pool(change) = change else { return };
        let (Some(old), Some(new)) = (&change.old, &change.new) else {
            return;
        };
        let mut add = |message: String| report.add(Invariant::Release, &change.place, message);
        let counts = new.mode != Mode::Disabled && old.status.fenced;
        for entry in old.status.entries().filter(|_| counts) {
            let message = match new.status.entry(&entry.uid) {
                None => self.loss(world, change, new, entry),
                Some(after) if after != entry => distortion(world, change, entry, after),
                Some(_) => None,
            };
            message.map(&mut add);
        }
        if new.status.fenced && !old.status.fenced {
            forgotten(world, change, new).into_iter().for_each(add);
        }
    }
}

/// What is wrong with an entry's having changed. One that now agrees with the holder's record was put right.
fn distortion(world: &World, change: &PoolChange, before: &Entry, after: &Entry) -> Option<String> {
    let holder = world.who(&before.uid).filter(|it| it.is_told())?;
    let lease = holder.record()?.lease_on(&change.place)?;
    let agrees = lease.amount == after.amount
        && Some(after.attempt) == holder.attempt()
        && (after.token == lease.token || after.token == 0);
    let now = format!("{}, token {}, {}", after.amount, after.token, after.attempt);
    (!agrees).then(|| {
        format!(
            "the lease of {} became {now}, which its record does not say",
            before.holder()
        )
    })
}

/// The holders whom an incarnation does not count although its fence is over.
fn forgotten(world: &World, change: &PoolChange, pool: &Pool) -> Vec<String> {
    let settled = world.places.get(&change.place).map(|it| &it.settled);
    let lives = |uid: &String, holder: Who<'_>| {
        let terminal = matches!(holder, Who::Pod(pod) if pod.last.is_terminal());
        let recorded = holder.record().and_then(|it| it.lease_on(&change.place));
        holder.may_work(pool)
            && !terminal
            && recorded.is_some_and(|lease| !lease.rate)
            && !settled.is_some_and(|it| it.contains(uid))
            && !was_released(world, &change.place, pool, uid)
    };
    world
        .everybody()
        .filter(|(uid, holder)| lives(uid, *holder) && pool.status.entry(uid).is_none())
        .map(|(uid, holder)| {
            let (word, name) = (holder.word(), holder.name());
            format!("the fence ended without {word} {name} ({uid}), which runs with a record of a lease here")
        })
        .collect()
}
