//! Taking in what is shown of pools: their versions, from watches, reads and answers alike. Requests are in
//! [`super::observe_requests`].
//!
//! Decides nothing. A version that is not newer than the last one is ignored; whatever is new marks
//! what has to be looked at. Only a live read that began after the version known takes an object back to
//! an older one (a restored backup): a pool is then fenced again, a request looked at as if it were new.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{Ledger, Stranger};
use super::ids::{HolderKind, Name, PoolKey, PoolKind, Uid};
use super::mutant::{self, Mutant};
use super::object::PoolObject;
use super::pool::{Entry, Fence, Former};

impl Ledger {
    /// A version was shown; whether it is a newer one.
    pub(super) fn pool_seen(&mut self, object: PoolObject) -> bool {
        let key = object.key.clone();
        let is_newer = self.take_newer(object);
        if is_newer {
            self.touch(&key);
            self.touch_family(&key);
        }
        is_newer
    }

    /// Takes in a version if it is newer than the one that is known; whether it is.
    pub(super) fn take_newer(&mut self, object: PoolObject) -> bool {
        let known = self
            .pools
            .get(&object.key)
            .and_then(|pool| pool.seen.as_ref());
        if known.is_some_and(|seen| object.version <= seen.version) {
            return false;
        }
        self.take_pool(object);
        true
    }

    /// Makes this version of a pool the one that is known. Whoever it is news for is looked at again; whether the pool
    /// itself is, the caller says.
    pub(super) fn take_pool(&mut self, object: PoolObject) {
        let key = object.key.clone();
        let pool = self.pools.entry(key.clone()).or_default();
        let same = pool
            .seen
            .as_ref()
            .is_some_and(|seen| seen.uid == object.uid);
        let owner = |object: &PoolObject| object.owner.as_ref().map(|owner| owner.uid.clone());
        let shape_changed = !same
            || pool.spec().map(|spec| &spec.family) != object.spec.read().map(|spec| &spec.family)
            || pool.seen.as_ref().and_then(owner) != owner(&object);
        if !same {
            self.begin_incarnation(&key);
        }
        self.index_entries(&key, &object);
        let family_set_aside = self.family_set_aside(&object);
        let now = self.now.tick;
        let Some(pool) = self.pools.get_mut(&key) else {
            return;
        };
        let was_set_aside = pool.seen.as_ref().and_then(|seen| seen.set_aside.clone());
        let passes_on = was_set_aside != object.set_aside;
        pool.family_set_aside = family_set_aside;
        let news = pool.seen.as_ref().is_none_or(|seen| {
            seen.generation != object.generation
                || seen.deleting != object.deleting
                || seen.released != object.released
                || seen.spec != object.spec
                || seen.set_aside != object.set_aside
        });
        let was_quarantined = pool.quarantine().is_some();
        let was_fenced = pool.status().is_some_and(|status| status.fenced);
        let is_fenced = object.status.read().is_some_and(|status| status.fenced);
        // What the former incarnation could have told whom matters to the first fence alone: one after
        // `open` concerns everybody.
        let is_open = object.status.read().is_some_and(|status| status.open);
        if is_fenced || is_open {
            pool.former = None;
        }
        // A fence that began before the pool was Disabled (perhaps for a moment that was not shown)
        // listed too early: somebody may have been let through since.
        let generation = pool.seen.as_ref().map(|seen| seen.generation);
        let opened = is_open && !pool.status().is_some_and(|status| status.open);
        let begins_anew = !is_fenced
            && (was_fenced
                || pool.fence == Fence::Done
                || opened
                || generation != Some(object.generation));
        // Whoever was found running while the last write of the fence was under way is not in it.
        let fence_ended =
            is_fenced && pool.fence != Fence::Done && !mutant::is(Mutant::FenceEndReviewsNobody);
        pool.gauge = pool.gauge_of(&object, now);
        pool.seen = Some(object);
        pool.absent = false;
        self.note_epoch(&key);
        let Some(pool) = self.pools.get_mut(&key) else {
            return;
        };
        if is_fenced {
            pool.fence = Fence::Done;
        } else if begins_anew {
            pool.fence = Fence::Needed;
        }
        pool.recount();
        let is_quarantined = pool.quarantine().is_some();
        if is_quarantined != was_quarantined && self.leads() {
            self.tell_quarantine(&key);
        }
        if passes_on {
            self.pass_on_quarantine(&key);
        }
        if shape_changed {
            self.unresolve_namers(&key);
        }
        let stands_otherwise = begins_anew || fence_ended || is_quarantined != was_quarantined;
        if news || shape_changed || stands_otherwise {
            self.touch_namers(&key);
            self.touch_holders(&key);
            self.touch(&key);
            self.touch_family(&key);
        }
    }

    /// A new object serves the key: nothing that was queued or flying concerns it.
    fn begin_incarnation(&mut self, key: &PoolKey) {
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        let adds = std::mem::take(&mut pool.adds);
        let flown = pool
            .flight
            .take()
            .map(|flight| flight.adds)
            .unwrap_or_default();
        pool.removes.clear();
        pool.witness_wanted.clear();
        pool.witness_asked.clear();
        pool.conflict_base = None;
        pool.fence = Fence::Needed;
        pool.open_wanted = false;
        pool.refusals = 0;
        pool.refusal = None;
        pool.idle_since = None;
        self.dirty_requests
            .extend(adds.into_keys().chain(flown.into_keys()));
        self.touch_namers(key);
    }

    /// Brings the index of holders in step with the status shown.
    fn index_entries(&mut self, key: &PoolKey, object: &PoolObject) {
        let Some(status) = object.status.read() else {
            return;
        };
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        let mut entries = BTreeMap::new();
        let mut placed = Vec::new();
        for lease in status.entries() {
            let entry = Entry {
                amount: lease.amount,
                token: lease.token,
                attempt: lease.attempt,
                linger: lease.linger,
            };
            entries.entry(lease.uid.clone()).or_insert(entry);
            if !pool.entries.contains_key(&lease.uid) {
                placed.push(lease);
            }
        }
        let old = std::mem::replace(&mut pool.entries, entries);
        pool.removes
            .retain(|uid, leaving| pool.entries.get(uid) == Some(&leaving.entry));
        let changed = old
            .iter()
            .filter(|(uid, was)| pool.entries.get(*uid) != Some(*was));
        self.dirty_requests.extend(changed.map(|it| it.0.clone()));
        let left: Vec<&Uid> = old
            .keys()
            .filter(|uid| !pool.entries.contains_key(*uid))
            .collect();
        for uid in left {
            self.forget_entry(key, uid);
        }
        for lease in placed {
            self.note_entry(
                key,
                &lease.uid,
                lease.kind,
                lease.namespace.clone(),
                lease.name.clone(),
            );
            self.dirty_requests.insert(lease.uid.clone());
        }
    }

    fn note_entry(
        &mut self,
        key: &PoolKey,
        uid: &Uid,
        kind: HolderKind,
        namespace: Name,
        name: Name,
    ) {
        if let Some(request) = self.requests.get_mut(uid) {
            request.held.insert(key.clone());
            return;
        }
        let stranger = self
            .strangers
            .entry(uid.clone())
            .or_insert_with(|| Stranger {
                kind,
                namespace,
                name,
                pools: BTreeSet::new(),
                reading: false,
                read_after: super::time::Tick(0),
                read_failures: 0,
                gone_since: None,
            });
        stranger.pools.insert(key.clone());
        self.dirty_requests.insert(uid.clone());
    }

    fn forget_entry(&mut self, key: &PoolKey, uid: &Uid) {
        if let Some(request) = self.requests.get_mut(uid) {
            request.held.remove(key);
            request.seen_alive = false;
            request.read_after = self.now.tick;
        }
        if let Some(stranger) = self.strangers.get_mut(uid) {
            stranger.pools.remove(key);
            if stranger.pools.is_empty() {
                self.strangers.remove(uid);
            }
        }
    }

    pub(super) fn pool_deleted(&mut self, last: PoolObject) {
        let Some(pool) = self.pools.get_mut(&last.key) else {
            return;
        };
        if pool.seen.as_ref().is_some_and(|seen| seen.uid != last.uid) {
            return;
        }
        let former = last.status.read().map(|status| Former {
            narrow: status.fenced && !status.open,
            entries: status
                .entries()
                .map(|lease| (lease.uid.clone(), lease.attempt))
                .collect(),
        });
        self.drop_pool(&last.key.clone(), former);
    }

    /// No object serves the key any more.
    pub(super) fn drop_pool(&mut self, key: &PoolKey, former: Option<Former>) {
        self.tell_gone_while_held(key);
        self.forget_incarnation(key, former);
    }

    fn forget_incarnation(&mut self, key: &PoolKey, former: Option<Former>) {
        // Nothing served it before: whoever waits to hear that still does.
        let forgets = mutant::is(Mutant::WitnessForgotten);
        let absent = |pool: &super::pool::Pool| pool.seen.is_none();
        if self.pools.get(key).is_none_or(absent) && !forgets {
            return;
        }
        self.begin_incarnation(key);
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        let passes_on = pool
            .seen
            .take()
            .is_some_and(|seen| seen.set_aside.is_some());
        // A final state in which nobody holds, of a key that nobody names, is worth no memory.
        let matters = |former: &Former| !former.entries.is_empty() || !pool.named_by.is_empty();
        pool.former = former.filter(matters);
        let entries = std::mem::take(&mut pool.entries);
        pool.recount();
        for uid in entries.into_keys() {
            self.forget_entry(key, &uid);
            self.dirty_requests.insert(uid);
        }
        if passes_on {
            self.pass_on_quarantine(key);
        }
        self.unresolve_namers(key);
        self.touch_namers(key);
        self.touch(key);
        self.touch_family(key);
        self.forget_pool_if_idle(key);
    }

    pub(super) fn pools_listed(
        &mut self,
        kind: PoolKind,
        scope: Option<&Name>,
        objects: Vec<PoolObject>,
    ) {
        let present: BTreeSet<PoolKey> = objects.iter().map(|object| object.key.clone()).collect();
        let gone: Vec<PoolKey> = self
            .pools
            .iter()
            .filter(|(key, pool)| key.kind == kind && pool.seen.is_some() && !present.contains(key))
            .filter(|(key, _)| scope.is_none_or(|scope| key.namespace == *scope))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.drop_pool(&key, None);
        }
        for object in objects {
            let known = self.pools.get_mut(&object.key);
            if let Some(pool) = known
                && (pool.is_contradicted_by(&object)
                    || pool
                        .seen
                        .as_ref()
                        .is_some_and(|seen| object.version < seen.version))
            {
                // The server's past was restored, or an answer to a write has overtaken the list: a live read tells.
                pool.must_read = true;
                self.write_pools.insert(object.key.clone());
            }
            self.pool_seen(object);
        }
    }

    /// A live read shows an older version than the one known when it began: the server's past was restored. Whatever it
    /// says now is all there is, and whoever runs is counted anew.
    pub(super) fn pool_restored(&mut self, object: PoolObject) {
        let key = object.key.clone();
        self.note_restore();
        self.forget_incarnation(&key, None);
        self.pool_seen(object);
        if let Some(pool) = self.pools.get_mut(&key) {
            pool.fence = Fence::Needed;
        }
        self.touch(&key);
        self.touch_family(&key);
        self.tell_restored(&key);
    }

    pub(super) fn namespace_seen(&mut self, name: Name, labels: Option<BTreeMap<Name, Name>>) {
        match labels {
            Some(labels) => self.namespaces.insert(name, labels),
            None => self.namespaces.remove(&name),
        };
        self.dirty_pools.extend(self.pools.keys().cloned());
    }

    pub(super) fn guards_seen(&mut self, installed: bool) {
        if self.guarded.replace(installed) != Some(installed) {
            self.write_pools.extend(self.pools.keys().cloned());
        }
    }

    /// Everybody who holds this pool is looked at again.
    fn touch_holders(&mut self, key: &PoolKey) {
        if let Some(pool) = self.pools.get(key) {
            self.dirty_requests.extend(pool.entries.keys().cloned());
        }
    }
}
