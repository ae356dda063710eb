//! Families: one derived limit for each worker (DESIGN section 6).
//!
//! A worker is reserved in the family's status first, by compare-and-swap, so that `maxWorkers` holds
//! whoever creates; then its limit is created, its spec kept as derived, and it is deleted when it has
//! been idle. A derived limit is otherwise a limit like any other: it fences, grants and is counted
//! by the same code.

use super::book::Ledger;
use super::cause::Cause;
use super::effect::{ChildWrite, Effect, FamilyRef};
use super::ids::{Name, PoolKey, Units};
use super::mutant::{self, Mutant};
use super::object::{FamilySpec, PoolSpec, PoolStatus};
use super::time::Span;
use super::timers::Timer;

/// How long a derived limit stays that has lost its family.
const ORPHAN_IDLE: Span = Span::seconds(600);

impl Ledger {
    /// The family spec at a key, if a family serves it.
    pub(super) fn family_of(&self, key: &PoolKey) -> Option<&FamilySpec> {
        self.pools.get(key)?.spec()?.family.as_ref()
    }

    /// Somebody needs the limit of this worker.
    pub(super) fn want_worker(&mut self, family: &PoolKey, worker: &Name) {
        let Some(pool) = self.pools.get_mut(family) else {
            return;
        };
        if pool.workers_wanted.insert(worker.clone()) {
            self.write_pools.insert(family.clone());
        }
    }

    /// Why a derived limit that somebody needs is not there.
    pub(super) fn child_cause(&self, family: &PoolKey, worker: &Name, child: &PoolKey) -> Cause {
        let full = self.pools.get(family).is_some_and(|pool| {
            let workers = pool.status().map(|status| &status.workers);
            let reserved = workers.is_some_and(|workers| workers.contains(worker));
            let most = self.family_of(family).map_or(0, |spec| spec.workers_max);
            !reserved && workers.is_some_and(|workers| workers.len() >= most)
        });
        if full {
            Cause::TooManyWorkers(family.clone())
        } else {
            Cause::ChildPending(child.clone())
        }
    }

    /// A change in a derived limit concerns its family's status, and the other way round.
    pub(super) fn touch_family(&mut self, key: &PoolKey) {
        if let Some((family, _)) = key.parent()
            && self.family_of(&family).is_some()
        {
            self.write_pools.insert(family);
        }
    }

    /// The workers a family's status should name: those reserved and still needed, then new ones.
    pub(super) fn apply_workers(&self, key: &PoolKey, next: &mut PoolStatus) {
        let Some(pool) = self.pools.get(key) else {
            return;
        };
        let Some(family) = pool.spec().and_then(|spec| spec.family.as_ref()) else {
            return;
        };
        // A place is given up when a live read has shown that nobody has it: a cache may lag.
        next.workers.retain(|worker| {
            let child = key.child(worker);
            let absent = self.pools.get(&child).is_some_and(|pool| pool.absent);
            !absent || self.child_is_needed(&child)
        });
        if pool.seen.as_ref().is_none_or(|seen| seen.deleting) {
            return;
        }
        for worker in &pool.workers_wanted {
            let needed = self.child_is_needed(&key.child(worker));
            let bounded = !mutant::is(Mutant::TooManyWorkers);
            let room = next.workers.len() < family.workers_max || !bounded;
            if needed && (next.workers.contains(worker) || room) {
                next.workers.insert(worker.clone());
            }
        }
    }

    /// A derived limit exists, may be about to, or is waited for.
    fn child_is_needed(&self, child: &PoolKey) -> bool {
        let present = self
            .pools
            .get(child)
            .is_some_and(|pool| pool.seen.is_some() || pool.child_write || pool.reading);
        present || self.queues.is_wanted(child)
    }

    /// Creates what is reserved and missing, and puts right what is not as derived.
    pub(super) fn tend_children(&mut self, key: &PoolKey) {
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        let named: Vec<Name> = pool.workers_wanted.iter().cloned().collect();
        for worker in named {
            // A request that is being aborted stands in no queue for a moment, and comes back.
            let child = key.child(&worker);
            let named = self
                .pools
                .get(&child)
                .is_some_and(|it| !it.named_by.is_empty());
            if !named
                && !self.child_is_needed(&child)
                && let Some(pool) = self.pools.get_mut(key)
            {
                pool.workers_wanted.remove(&worker);
                self.forget_pool_if_idle(&child);
            }
        }
        let Some(pool) = self.pools.get(key) else {
            return;
        };
        let (Some(seen), Some(spec)) = (&pool.seen, pool.spec()) else {
            return;
        };
        if spec.family.is_none() || seen.deleting {
            return;
        }
        let family = FamilyRef {
            name: key.name.clone(),
            uid: seen.uid.clone(),
            generation: seen.generation,
        };
        let spec = spec.clone();
        let workers: Vec<Name> = pool
            .status()
            .map(|status| status.workers.iter().cloned().collect())
            .unwrap_or_default();
        for worker in workers {
            self.tend_child(&key.child(&worker), &worker, &family, &spec);
        }
    }

    fn tend_child(&mut self, child: &PoolKey, worker: &Name, family: &FamilyRef, spec: &PoolSpec) {
        let now = self.now.tick;
        let waited_for = self.queues.is_wanted(child);
        let pool = self.pools.entry(child.clone()).or_default();
        if pool.child_write || pool.reading || pool.must_read {
            return;
        }
        if pool.hold_until > now {
            self.timers.set(pool.hold_until, Timer::Pool(child.clone()));
            self.timers.set(
                pool.hold_until,
                Timer::Pool(child.parent().map_or(child.clone(), |it| it.0)),
            );
            return;
        }
        let derived = derived_spec(spec, worker);
        let write = match &pool.seen {
            None if !waited_for => {
                if !pool.absent {
                    pool.must_read = true;
                    self.write_pools.insert(child.clone());
                }
                return;
            }
            None => ChildWrite::Create {
                pool: child.clone(),
                family: family.clone(),
                spec: derived,
            },
            Some(seen) => {
                let Some(owner) = seen.owner.as_ref().filter(|owner| owner.uid == family.uid)
                else {
                    return;
                };
                let older = owner.generation > family.generation;
                if older && pool.doubted != Some(seen.version) {
                    // A family whose change we have not seen, or one whose past was restored: a live read tells.
                    pool.doubted = Some(seen.version);
                    if let Some((parent, _)) = child.parent()
                        && let Some(parent_pool) = self.pools.get_mut(&parent)
                    {
                        parent_pool.must_read = true;
                        self.write_pools.insert(parent);
                    }
                    return;
                }
                let same =
                    owner.generation == family.generation && seen.spec.read() == Some(&derived);
                if same || seen.deleting {
                    return;
                }
                ChildWrite::Update {
                    pool: child.clone(),
                    uid: seen.uid.clone(),
                    version: seen.version,
                    family: family.clone(),
                    spec: derived,
                }
            }
        };
        pool.child_write = true;
        pool.absent = false;
        self.effects.push_back(Effect::WriteChild(Box::new(write)));
    }

    /// A derived limit without holders and waiters is deleted after its family's idle time, on
    /// condition that it is still exactly as it was seen.
    pub(super) fn tend_as_child(&mut self, key: &PoolKey) {
        let now = self.now.tick;
        let waited_for = self.queues.is_wanted(key);
        let idle_after = key
            .parent()
            .and_then(|(family, _)| Some(self.family_of(&family)?.idle));
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        let Some(seen) = &pool.seen else { return };
        let empty = pool
            .status()
            .is_some_and(|status| status.entries().next().is_none());
        let busy = waited_for
            || !(empty || mutant::is(Mutant::DeletesBusyWorker))
            || !pool.adds.is_empty()
            || pool.child_write
            // Created again it would know nothing of what was taken.
            || pool.used_up(now) > 0
            || seen.deleting;
        if seen.owner.is_none() || busy {
            pool.idle_since = None;
            if let Some(at) = pool.empty_at().filter(|at| *at > now) {
                self.timers.set(at, Timer::Pool(key.clone()));
            }
            return;
        }
        let since = *pool.idle_since.get_or_insert(now);
        let at = since.after(idle_after.unwrap_or(ORPHAN_IDLE));
        if at > now {
            self.timers.set(at, Timer::Pool(key.clone()));
            return;
        }
        pool.child_write = true;
        pool.deleting_uid = Some(seen.uid.clone());
        let write = ChildWrite::Delete {
            pool: key.clone(),
            uid: seen.uid.clone(),
            version: seen.version,
        };
        self.effects.push_back(Effect::WriteChild(Box::new(write)));
    }
}

/// The spec of a derived limit: the family's, with the worker's slots and no family part.
fn derived_spec(family: &PoolSpec, worker: &Name) -> PoolSpec {
    let slots = family
        .family
        .as_ref()
        .and_then(|spec| spec.overrides.get(worker));
    PoolSpec {
        capacity: slots.map_or(family.capacity, |slots| Units::from(*slots)),
        family: None,
        ..family.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::limit_spec;
    use super::*;

    #[test]
    fn a_worker_has_its_override_or_the_familys_slots() {
        let mut family = limit_spec(4);
        family.family = Some(FamilySpec {
            label: "sluice.dev/worker".into(),
            overrides: [("big".into(), 9)].into(),
            workers_max: 10,
            idle: Span::seconds(1),
        });
        assert_eq!(derived_spec(&family, &"big".into()).capacity, 9);
        assert_eq!(derived_spec(&family, &"small".into()).capacity, 4);
        assert!(derived_spec(&family, &"small".into()).family.is_none());
    }
}
