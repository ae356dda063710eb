//! Answers about pools: how status writes and live reads ended (applied, refused, unknown).
//!
//! Unknown is an outcome of its own. An unanswered status write is sent once more with the same
//! bytes, then the object is read. Whatever an answer brings is taken in like any other news, and the
//! review decides.

use std::sync::Arc;

use super::backoff::back_off;
use super::book::Ledger;
use super::bounds::{REVEAL_REFUSED_PARK, UNKNOWN_RESENDS_MAX};
use super::cause::Cause;
use super::command::{ChildOutcome, Found, WriteOutcome};
use super::effect::{Effect, Guard, StatusWrite};
use super::ids::{Batch, PoolKey, Uid};
use super::mutant::{self, Mutant};
use super::object::{Mode, PoolObject};
use super::pool::{Former, Purpose};
use super::request::{Item, Phase};
use super::timers::Timer;

impl Ledger {
    pub(super) fn status_written(&mut self, key: &PoolKey, batch: &Batch, outcome: WriteOutcome) {
        let now = self.now.tick;
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        if pool
            .flight
            .as_ref()
            .is_none_or(|flight| flight.batch != *batch)
        {
            return;
        }
        match outcome {
            WriteOutcome::Applied(object) => self.status_applied(key, *object),
            WriteOutcome::Unknown if mutant::is(Mutant::UnknownIsApplied) => {
                let status = pool.flight.as_ref().map(|it| Arc::clone(&it.status));
                if let (Some(seen), Some(status)) = (pool.seen.clone(), status) {
                    let status = super::object::Part::Read(status);
                    let object = PoolObject { status, ..seen };
                    self.status_applied(key, object.clone());
                    self.take_pool(object);
                }
            }
            WriteOutcome::Unknown => self.status_unknown(key),
            WriteOutcome::Conflict => {
                self.stats.conflicts = self.stats.conflicts.saturating_add(1);
                let Some(flight) = &pool.flight else { return };
                if mutant::is(Mutant::RetryOnFreshVersion)
                    && let Some(seen) = &pool.seen
                    && seen.version != flight.base
                {
                    let write = StatusWrite {
                        pool: key.clone(),
                        uid: seen.uid.clone(),
                        guard: Guard::Version(seen.version),
                        batch: flight.batch.clone(),
                        status: Arc::clone(&flight.status),
                    };
                    self.effects.push_back(Effect::WriteStatus(Box::new(write)));
                    return;
                }
                if flight.resends > 0 {
                    self.doubt_flight(key);
                    return;
                }
                let shown = pool
                    .seen
                    .as_ref()
                    .is_some_and(|seen| seen.version != flight.base);
                pool.must_read |= !shown;
                // Whether nothing of ours had changed shows when the next write is composed.
                let base = (
                    flight.status.observed_generation,
                    flight.status.previous_batch.clone(),
                );
                pool.conflict_base = Some(base);
                self.requeue(key);
            }
            WriteOutcome::Invalid(message) => self.status_invalid(key, &message),
            WriteOutcome::NotFound => {
                pool.must_read = true;
                self.requeue(key);
            }
            WriteOutcome::Refused(message) => {
                pool.refusals = pool.refusals.saturating_add(1);
                pool.refusal = Some(message.as_str().into());
                pool.hold_until = now.after(back_off(pool.refusals, key.name.as_str()));
                self.requeue(key);
            }
        }
    }

    fn status_applied(&mut self, key: &PoolKey, object: PoolObject) {
        let now = self.now.tick;
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        let Some(flight) = pool.flight.take() else {
            return;
        };
        let settled = pool.is_settled_by(&flight, &object);
        pool.refusals = 0;
        pool.refusal = None;
        pool.idle_conflicts = 0;
        pool.batch_max = super::bounds::BATCH_CHANGES_MAX;
        pool.written_at = now;
        pool.open_wanted &= !flight.status.open;
        self.dirty_requests
            .extend(flight.adds.keys().chain(flight.removes.keys()).cloned());
        if flight.status.open {
            self.touch_namers(key);
        }
        if !self.take_newer(object)
            && let Some(pool) = self.pools.get_mut(key)
        {
            pool.recount();
        }
        match flight.purpose {
            Purpose::Plain => {}
            Purpose::Floor => self.fence_floor_done(key),
            Purpose::Adopt => self.stats.fences = self.stats.fences.saturating_add(1),
        }
        if !settled {
            self.touch(key);
            self.touch_family(key);
        }
    }

    fn status_unknown(&mut self, key: &PoolKey) {
        self.stats.unknown = self.stats.unknown.saturating_add(1);
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        let (Some(seen), Some(flight)) = (&pool.seen, &mut pool.flight) else {
            return;
        };
        if flight.resends >= UNKNOWN_RESENDS_MAX {
            self.doubt_flight(key);
            return;
        }
        flight.resends = flight.resends.saturating_add(1);
        let guard = if flight.tested {
            Guard::Tested {
                generation: seen.generation,
                batch: flight.status.previous_batch.clone(),
            }
        } else {
            Guard::Version(flight.base)
        };
        let write = StatusWrite {
            pool: key.clone(),
            uid: seen.uid.clone(),
            guard,
            batch: flight.batch.clone(),
            status: Arc::clone(&flight.status),
        };
        self.effects.push_back(Effect::WriteStatus(Box::new(write)));
    }

    fn doubt_flight(&mut self, key: &PoolKey) {
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        if let Some(flight) = &mut pool.flight {
            flight.doubtful = true;
        }
        pool.must_read = true;
        self.write_pools.insert(key.clone());
    }

    /// A rule of the API server refused the write. Once may be a race with a change of the spec;
    /// again, and the batch is halved until the change that is refused stands alone.
    fn status_invalid(&mut self, key: &PoolKey, message: &str) {
        self.stats.invalid = self.stats.invalid.saturating_add(1);
        let now = self.now.tick;
        let until = now.after(REVEAL_REFUSED_PARK);
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        pool.refusals = pool.refusals.saturating_add(1);
        pool.refusal = Some(message.into());
        pool.must_read = true;
        let Some(flight) = &pool.flight else { return };
        let changes = flight.adds.len().max(flight.removes.len());
        if pool.refusals >= 2 {
            pool.hold_until = now.after(back_off(pool.refusals, key.name.as_str()));
            pool.batch_max = (changes / 2).max(1);
            if changes == 1
                && let Some(uid) = flight.adds.keys().next().cloned()
                && let Some(request) = self.requests.get_mut(&uid)
            {
                let cause = Cause::RevealRefused(format!("its lease on {key}: {message}").into());
                request.aside_until = Some((until, cause));
                self.timers.set(until, Timer::Request(uid.clone()));
                pool.refusals = 0;
                pool.batch_max = super::bounds::BATCH_CHANGES_MAX;
                if let Some(flight) = &mut pool.flight {
                    flight.adds.remove(&uid);
                }
                self.dirty_requests.insert(uid);
            }
        }
        self.requeue(key);
    }

    /// The write is known not to have been applied: its changes are queued again.
    fn requeue(&mut self, key: &PoolKey) {
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        if let Some(flight) = pool.flight.take() {
            for (uid, add) in flight.adds {
                pool.adds.entry(uid).or_insert(add);
            }
            for (uid, leaving) in flight.removes {
                // Another controller may have replaced the entry by one that is not void.
                if pool.entries.get(&uid) == Some(&leaving.entry) {
                    pool.removes.insert(uid, leaving);
                }
            }
        }
        pool.recount();
        self.touch(key);
    }

    pub(super) fn pool_read(&mut self, key: &PoolKey, found: Found<Box<PoolObject>>) {
        let now = self.now.tick;
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        pool.reading = false;
        let base = pool.read_base.take();
        let asked = std::mem::take(&mut pool.witness_asked);
        let older = |object: &PoolObject| {
            base.as_ref()
                .is_some_and(|(_, version)| object.version < *version)
        };
        let restored = match &found {
            Found::Present(object) => older(object) || pool.is_contradicted_by(object),
            Found::Absent | Found::Unknown => false,
        };
        match found {
            Found::Present(object) if restored => {
                pool.witness_wanted.extend(asked);
                self.pool_restored(*object);
            }
            Found::Present(object) => {
                let disabled = object
                    .spec
                    .read()
                    .is_some_and(|spec| spec.mode == Mode::Disabled);
                let open = object
                    .status
                    .read()
                    .is_some_and(|status| status.open && !status.fenced);
                self.settle_doubt(key, *object);
                for uid in asked {
                    self.witness(&uid, key, |item| match item {
                        Item::Open { confirmed, .. } => *confirmed = disabled && open,
                        Item::Absent { .. } | Item::Lease { .. } => {}
                    });
                }
            }
            Found::Absent
                if pool
                    .seen
                    .as_ref()
                    .map(|seen| (seen.uid.clone(), seen.version))
                    != base =>
            {
                // Something was shown since the read began: the answer may be about a former incarnation.
                pool.must_read = true;
                pool.witness_wanted.extend(asked);
            }
            Found::Absent => {
                self.drop_pool(key, None);
                if let Some(pool) = self.pools.get_mut(key) {
                    // One that is being created may come a moment after the look.
                    pool.absent = !pool.child_write;
                }
                for uid in asked {
                    self.witness(&uid, key, |item| match item {
                        Item::Absent { confirmed } => *confirmed = true,
                        Item::Open { .. } | Item::Lease { .. } => {}
                    });
                }
            }
            Found::Unknown => {
                pool.refusals = pool.refusals.saturating_add(1);
                pool.must_read |= pool.seen.is_some() || pool.flight.is_some();
                pool.witness_wanted.extend(asked);
                pool.hold_until = now.after(back_off(pool.refusals, key.name.as_str()));
            }
        }
        self.touch(key);
        self.touch_family(key);
    }

    /// A live read ends the doubt about a write: if the status carries its batch, it was applied.
    fn settle_doubt(&mut self, key: &PoolKey, object: PoolObject) {
        let flight = self.pools.get(key).and_then(|pool| pool.flight.as_ref());
        let batch = object
            .status
            .read()
            .and_then(|status| status.batch.as_ref());
        let doubtful = flight.is_some_and(|flight| flight.doubtful);
        let applied = doubtful && flight.map(|flight| &flight.batch) == batch;
        if applied {
            self.status_applied(key, object);
            return;
        }
        self.pool_seen(object);
        if doubtful {
            self.requeue(key);
        }
    }

    /// Lets a plan hear what a live read found of a pool it takes no lease from.
    fn witness(&mut self, uid: &Uid, key: &PoolKey, hear: impl FnOnce(&mut Item)) {
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        if let Phase::Aborting(abort) = &mut request.phase {
            abort.unwitnessed.remove(key);
        }
        if request.view.claim.is_some() && !request.view.is_revealed() {
            request.claim.witnessed.insert(key.clone());
        }
        if let Some(item) = request.plan_mut().and_then(|plan| plan.items.get_mut(key)) {
            hear(item);
        }
        self.dirty_requests.insert(uid.clone());
    }

    pub(super) fn child_written(&mut self, key: &PoolKey, outcome: ChildOutcome) {
        let now = self.now.tick;
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        pool.child_write = false;
        match outcome {
            ChildOutcome::Written(object) => {
                self.pool_seen(*object);
            }
            ChildOutcome::Deleted => {
                let deleted = pool.deleting_uid.take();
                // Else the watch has shown the deletion already, and perhaps a new incarnation.
                if pool.seen.as_ref().map(|seen| &seen.uid) == deleted.as_ref() {
                    let former = pool.status().map(|status| Former {
                        narrow: status.fenced && !status.open,
                        entries: Default::default(),
                    });
                    self.drop_pool(key, former);
                }
            }
            ChildOutcome::Doubtful(message) => {
                pool.refusals = pool.refusals.saturating_add(1);
                pool.refusal = Some(message.as_str().into());
                pool.must_read = true;
                pool.hold_until = now.after(back_off(pool.refusals, key.name.as_str()));
            }
        }
        self.touch(key);
        self.touch_family(key);
    }
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
