//! Answers: how writes, patches and live reads ended (DESIGN 5.1: applied, refused, unknown).
//!
//! Unknown is an outcome of its own. An unanswered status write is sent once more with the same
//! bytes, then the object is read; an unanswered patch is settled by reading the pod. Whatever an
//! answer brings is taken in like any other news, and the review decides.

use super::backoff::back_off;
use super::book::Ledger;
use super::bounds::{READS_IN_FLIGHT, RECHECK_EVERY, REVEAL_REFUSED_PARK, UNKNOWN_RESENDS_MAX};
use super::cause::Cause;
use super::command::{ChildOutcome, Found, PatchKind, PatchOutcome, WriteOutcome};
use super::effect::{Effect, Guard, StatusWrite};
use super::ids::{Batch, Name, PoolKey, Uid};
use super::object::{Mode, PoolObject};
use super::pool::{Former, Purpose};
use super::request::{Item, Phase, Sending, Sent};
use super::timers::Timer;
use super::view::RequestView;

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
            WriteOutcome::Unknown => self.status_unknown(key),
            WriteOutcome::Conflict => {
                self.stats.conflicts = self.stats.conflicts.saturating_add(1);
                let Some(flight) = &pool.flight else { return };
                if flight.resends > 0 {
                    self.doubt_flight(key);
                    return;
                }
                let shown = pool
                    .seen
                    .as_ref()
                    .is_some_and(|seen| seen.version != flight.base);
                pool.must_read |= !shown;
                pool.conflict_base = pool.seen.as_ref().filter(|_| !shown).map(|seen| {
                    (
                        seen.generation,
                        pool.status().and_then(|it| it.batch.clone()),
                    )
                });
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
        self.pool_seen(object);
        if let Some(pool) = self.pools.get_mut(key) {
            pool.recount();
        }
        if flight.purpose == Purpose::Floor {
            self.fence_floor_done(key);
        }
        self.touch(key);
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
            status: flight.status.clone(),
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
            for (uid, entry) in flight.removes {
                // Another controller may have replaced the entry by one that is not void.
                if pool.entries.get(&uid) == Some(&entry) {
                    pool.removes.insert(uid, entry);
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
        pool.child_write = false;
        let asked = std::mem::take(&mut pool.witness_asked);
        match found {
            Found::Present(object) => {
                let doubtful = pool.flight.as_ref().is_some_and(|flight| flight.doubtful);
                let disabled = object
                    .spec
                    .read()
                    .is_some_and(|spec| spec.mode == Mode::Disabled);
                let open = object
                    .status
                    .read()
                    .is_some_and(|status| status.open && !status.fenced);
                self.pool_seen(*object);
                if doubtful {
                    self.requeue(key);
                }
                for uid in asked {
                    self.witness(&uid, key, |item| match item {
                        Item::Open { confirmed, .. } => *confirmed = disabled && open,
                        Item::Absent { .. } | Item::Lease { .. } => {}
                    });
                }
            }
            Found::Absent => {
                self.drop_pool(key, None);
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

    /// Lets a plan hear what a live read found of a pool it takes no lease from.
    fn witness(&mut self, uid: &Uid, key: &PoolKey, hear: impl FnOnce(&mut Item)) {
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        if let Some(item) = request.plan_mut().and_then(|plan| plan.items.get_mut(key)) {
            hear(item);
        }
        self.dirty_requests.insert(uid.clone());
    }

    pub(super) fn request_patched(&mut self, uid: &Uid, patch: PatchKind, outcome: PatchOutcome) {
        match patch {
            PatchKind::Reveal | PatchKind::Bump => self.grant_patched(uid, outcome),
            PatchKind::StripFinalizer | PatchKind::Label | PatchKind::Fail => {
                self.side_patched(uid, outcome);
            }
        }
        self.dirty_requests.insert(uid.clone());
    }

    fn grant_patched(&mut self, uid: &Uid, outcome: PatchOutcome) {
        let now = self.now.tick;
        let message = match outcome {
            PatchOutcome::Applied(view) => {
                self.request_answered(*view);
                return;
            }
            PatchOutcome::Refused(message) => message,
            PatchOutcome::Gone => String::new(),
            PatchOutcome::Unknown => {
                self.stats.unknown = self.stats.unknown.saturating_add(1);
                String::new()
            }
        };
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        let sending = match &mut request.phase {
            Phase::Revealing(_, sending) => sending,
            Phase::Aborting(abort) => &mut abort.sending,
            Phase::Waiting | Phase::Taking(_) | Phase::Held => return,
        };
        if !message.is_empty() {
            self.stats.reveals_refused = self.stats.reveals_refused.saturating_add(1);
            sending.refused_since.get_or_insert(now);
            sending.message = message.into();
        }
        sending.state = Sent::Doubtful;
        request.read_after = now;
    }

    /// The answer to a patch is a version like any other, but the watch's view of it stays.
    fn request_answered(&mut self, view: RequestView) {
        let uid = view.uid.clone();
        if let Some(request) = self.requests.get_mut(&uid) {
            if view.version > request.view.version {
                request.view = view;
            }
            self.dirty_requests.insert(uid);
        }
    }

    fn side_patched(&mut self, uid: &Uid, outcome: PatchOutcome) {
        let now = self.now.tick;
        let applied = matches!(outcome, PatchOutcome::Applied(_));
        if let Some(request) = self.requests.get_mut(uid) {
            request.side_patch = false;
            let pause = if applied {
                super::time::Span(0)
            } else {
                RECHECK_EVERY
            };
            request.side_patch_after = now.after(pause);
        }
        match outcome {
            PatchOutcome::Applied(view) => self.request_answered(*view),
            PatchOutcome::Gone => self.want_read(uid),
            PatchOutcome::Refused(_) | PatchOutcome::Unknown => {}
        }
    }

    /// Asks for a live read of a request or a stranger, not before its pause is over.
    pub(super) fn want_read(&mut self, uid: &Uid) {
        let (reading, after) = match (self.requests.get(uid), self.strangers.get(uid)) {
            (Some(request), _) => (request.reading, request.read_after),
            (None, Some(stranger)) => (stranger.reading, stranger.read_after),
            (None, None) => return,
        };
        if reading {
        } else if after > self.now.tick {
            self.timers.set(after, Timer::Request(uid.clone()));
        } else {
            self.reads_wanted.insert(uid.clone());
        }
    }

    /// Starts live reads, as many at once as the bound allows; whether any was started.
    pub(super) fn start_reads(&mut self) -> bool {
        let mut started = false;
        while self.reads_in_flight < READS_IN_FLIGHT {
            let Some(uid) = self.reads_wanted.pop_first() else {
                break;
            };
            let place = match (self.requests.get_mut(&uid), self.strangers.get_mut(&uid)) {
                (Some(request), _) if !request.reading => {
                    request.reading = true;
                    (request.view.namespace.clone(), request.view.name.clone())
                }
                (None, Some(stranger)) if !stranger.reading => {
                    stranger.reading = true;
                    (stranger.namespace.clone(), stranger.name.clone())
                }
                _ => continue,
            };
            self.reads_in_flight = self.reads_in_flight.saturating_add(1);
            let (namespace, name) = place;
            self.effects.push_back(Effect::ReadRequest {
                uid,
                namespace,
                name,
            });
            started = true;
        }
        started
    }

    pub(super) fn request_read(&mut self, uid: &Uid, found: Found<Box<RequestView>>) {
        let now = self.now.tick;
        self.reads_in_flight = self.reads_in_flight.saturating_sub(1);
        let (reading, failures, after) =
            match (self.requests.get_mut(uid), self.strangers.get_mut(uid)) {
                (Some(it), _) => (&mut it.reading, &mut it.read_failures, &mut it.read_after),
                (None, Some(it)) => (&mut it.reading, &mut it.read_failures, &mut it.read_after),
                (None, None) => return,
            };
        *reading = false;
        match found {
            Found::Present(view) if view.uid == *uid => {
                *failures = 0;
                *after = now.after(RECHECK_EVERY);
                self.found_alive(*view);
            }
            Found::Present(_) | Found::Absent => self.request_is_gone(uid),
            Found::Unknown => {
                *failures = failures.saturating_add(1);
                *after = now.after(back_off(*failures, uid.as_str()));
            }
        }
        self.dirty_requests.insert(uid.clone());
    }

    /// It is there. If the watch does not show it, that stays so until the watch does.
    fn found_alive(&mut self, view: RequestView) {
        let uid = view.uid.clone();
        let unwatched = self
            .requests
            .get(&uid)
            .is_none_or(|request| request.unwatched);
        self.request_seen(view);
        let now = self.now.tick;
        let Some(request) = self.requests.get_mut(&uid) else {
            return;
        };
        request.unwatched = unwatched;
        request.final_state_seen = false;
        request.seen_alive = true;
        // A doubtful patch is settled: if it had been applied, the version read would show it.
        let sending = match &mut request.phase {
            Phase::Revealing(_, sending) => sending,
            Phase::Aborting(abort) => &mut abort.sending,
            Phase::Waiting | Phase::Taking(_) | Phase::Held => return,
        };
        if sending.state == Sent::Doubtful {
            let pause = sending.back_off(&uid);
            let tries = sending.tries.saturating_add(1);
            *sending = Sending {
                state: Sent::Due(now.after(pause)),
                tries,
                ..sending.clone()
            };
        }
    }

    pub(super) fn node_read(&mut self, node: &Name, out_of_service: Option<bool>) {
        if out_of_service != Some(true) {
            return;
        }
        for (uid, request) in &mut self.requests {
            if request.view.node.as_ref() == Some(node) {
                request.node_out = true;
                self.dirty_requests.insert(uid.clone());
            }
        }
    }

    pub(super) fn child_written(&mut self, key: &PoolKey, outcome: ChildOutcome) {
        let now = self.now.tick;
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        pool.child_write = false;
        match outcome {
            ChildOutcome::Written(object) => self.pool_seen(*object),
            ChildOutcome::Deleted => {
                let former = pool.status().map(|status| Former {
                    narrow: status.fenced && !status.open,
                    entries: Default::default(),
                });
                self.drop_pool(key, former);
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
