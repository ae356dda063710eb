//! *Dead before credit*: a holder's lease leaves a status only on stable evidence (DESIGN 5.2, 5.3).
//!
//! Proven ends free at once. Presumed ends free after the pool's settling time, or wait for proof
//! where the pool asks for it: the node out of service, or an operator's word. Nothing here is decided
//! by a watch's DELETED alone; a live read has said that the pod is gone.

use std::sync::Arc;

use super::book::Ledger;
use super::bounds::{NODE_CHECK_EVERY, RECHECK_EVERY};
use super::effect::{About, Effect, RequestAction};
use super::end::End;
use super::ids::{Amount, HolderKind, PoolKey, Uid};
use super::mutant::{self, Mutant};
use super::object::{Mode, ReleasePolicy};
use super::pool::Fence;
use super::request::Request;
use super::timers::Timer;

/// On what ground a lease is released.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ground {
    Confirmed,
    Presumed,
    Forced,
}

impl Ledger {
    /// Releases what an ended request has, as far as each pool's policy allows now.
    pub(super) fn release_ended(&mut self, uid: &Uid, end: End) {
        let now = self.now.tick;
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        if end == End::Presumed {
            request.presumed_since.get_or_insert(now);
        }
        let held: Vec<PoolKey> = request.held.iter().cloned().collect();
        self.settle_takes(uid);
        let mut left = false;
        for key in held {
            match self.ground(uid, &key, end) {
                Some(ground) => self.release(uid, &key, ground),
                None => left = true,
            }
        }
        if left {
            self.come_back_for(uid);
        }
        if mutant::is(Mutant::DeletedBeforeFreed) {
            self.finish_claim(uid);
        }
        self.finish_ended(uid);
    }

    fn ground(&self, uid: &Uid, key: &PoolKey, end: End) -> Option<Ground> {
        let request = self.requests.get(uid)?;
        let pool = self.pools.get(key)?;
        if pool.is_released(uid) {
            return Some(Ground::Forced);
        }
        match end {
            End::Live => None,
            End::Confirmed => Some(Ground::Confirmed),
            // It is no holder whose end would have to be proven.
            End::Presumed if self.is_take(uid, key) => Some(Ground::Confirmed),
            End::Presumed if request.node_out => Some(Ground::Confirmed),
            End::Presumed => self.has_settled(request, key).then_some(Ground::Presumed),
        }
    }

    /// The presumed end of a request has lasted as long as the pool asks for.
    pub(super) fn has_settled(&self, request: &Request, key: &PoolKey) -> bool {
        let Some(since) = request.presumed_since else {
            return false;
        };
        let lasted = self.now.tick.since(since);
        if let Some(claim) = &request.view.claim {
            return lasted >= self.claim_settle(request, claim, key);
        }
        match self
            .pools
            .get(key)
            .and_then(|pool| pool.spec())
            .map(|spec| spec.release)
        {
            Some(ReleasePolicy::Presumed { .. }) if mutant::is(Mutant::PresumedAtOnce) => true,
            Some(ReleasePolicy::Presumed { settle }) => lasted >= settle,
            Some(ReleasePolicy::Confirmed) if mutant::is(Mutant::ConfirmedByTime) => {
                lasted >= NODE_CHECK_EVERY
            }
            Some(ReleasePolicy::Confirmed) | None => false,
        }
    }

    fn release(&mut self, uid: &Uid, key: &PoolKey, ground: Ground) {
        let drains = self.drains(uid, key);
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        pool.withdraw(uid);
        if !pool.remove(uid, drains) {
            return;
        }
        self.touch(key);
        let counter = match ground {
            Ground::Confirmed => &mut self.stats.releases_confirmed,
            Ground::Presumed => &mut self.stats.releases_presumed,
            Ground::Forced => &mut self.stats.releases_forced,
        };
        *counter = counter.saturating_add(1);
        self.note_hold(uid);
        let is_claim = self
            .requests
            .get(uid)
            .is_some_and(|it| it.view.claim.is_some());
        let (reason, how) = match ground {
            Ground::Confirmed => return,
            Ground::Presumed if is_claim => (
                "ClaimEnded",
                "without its holder's word: its lease ran out, it was revoked, or its object is gone",
            ),
            Ground::Presumed => (
                "PresumedRelease",
                "without proof that it has ended: its object is gone, or was ended without its kubelet",
            ),
            Ground::Forced => ("ForcedRelease", "by annotation sluice.dev/release"),
        };
        let Some(about) = self.pool_about(key) else {
            return;
        };
        let who = self.requests.get(uid).map_or_else(
            || uid.to_string(),
            |request| {
                let view = &request.view;
                format!("{} {}/{}", view.kind().word(), view.namespace, view.name)
            },
        );
        self.tell(about, true, reason, || {
            format!("slots of {who} ({uid}) were freed {how}")
        });
    }

    /// Comes back when settling is over, and asks about the node where proof is needed.
    fn come_back_for(&mut self, uid: &Uid) {
        let now = self.now.tick;
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let Some(since) = request.presumed_since else {
            return;
        };
        let mut needs_proof = false;
        let mut soonest = None;
        for key in &request.held {
            if let Some(claim) = &request.view.claim {
                let at = since.after(self.claim_settle(request, claim, key));
                soonest = Some(soonest.map_or(at, |other: super::time::Tick| other.min(at)));
                continue;
            }
            match self
                .pools
                .get(key)
                .and_then(|pool| pool.spec())
                .map(|spec| spec.release)
            {
                Some(ReleasePolicy::Presumed { settle }) => {
                    let at = since.after(settle);
                    soonest = Some(soonest.map_or(at, |other: super::time::Tick| other.min(at)));
                }
                Some(ReleasePolicy::Confirmed) => needs_proof = true,
                None => {}
            }
        }
        let node = request
            .view
            .node
            .clone()
            .filter(|_| needs_proof && !request.node_out);
        if let Some(at) = soonest
            && at > now
        {
            self.timers.set(at, Timer::Request(uid.clone()));
        }
        if let Some(node) = node {
            self.timers
                .set(now.after(NODE_CHECK_EVERY), Timer::Request(uid.clone()));
            let asked = self.nodes_asked.get(&node).copied();
            if asked.is_none_or(|asked| now.since(asked) >= NODE_CHECK_EVERY) {
                self.nodes_asked.insert(node.clone(), now);
                self.effects.push_back(Effect::ReadNode(node));
            }
        }
    }

    /// Nothing is held any more: take our finalizer off, and forget the request.
    fn finish_ended(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let may_return = request
            .named
            .iter()
            .chain(&request.held)
            .any(|key| self.pools.get(key).is_some_and(|pool| pool.may_write(uid)));
        if !request.held.is_empty() || may_return {
            return;
        }
        if request.gone.is_none() && request.view.claim.is_some() {
            self.finish_claim(uid);
            return;
        }
        if let Some(at) = self.believed_until(request) {
            self.timers.set(at, Timer::Request(uid.clone()));
            return;
        }
        if request.gone.is_none() {
            // Whatever it had was released, on proof or on somebody's word: nothing waits for more.
            let end = super::end::judge(&request.view, None);
            let ended = end != End::Live;
            if request.view.finalizer {
                let finalizers = Arc::clone(&request.view.finalizers);
                let wanted = end == End::Presumed && self.may_ask_for_proof(request);
                if ended && !wanted && !self.lags_behind_record(uid) {
                    self.side_patch(uid, RequestAction::StripFinalizer { finalizers });
                }
                return;
            }
            if !ended || request.unwatched {
                return;
            }
        }
        self.forget_request(uid);
    }

    /// Whether some pool of the record has yet to count whoever holds it: it has just come and is being fenced, or was
    /// deleted and may come back. Whoever wants the pod itself gone does not wait for the latter.
    fn may_ask_for_proof(&self, request: &Request) -> bool {
        let granted = request.view.granted.iter();
        let held = granted
            .flat_map(|it| it.leases.iter())
            .filter(|it| !matches!(it.amount, Amount::Rate(_)));
        held.into_iter().any(|lease| {
            match self
                .pools
                .get(&lease.pool)
                .filter(|pool| pool.seen.is_some())
            {
                Some(pool) => {
                    let counts = pool.mode() != Some(Mode::Disabled);
                    counts && pool.fence != Fence::Done && !pool.is_released(&request.view.uid)
                }
                None => !request.view.deleting,
            }
        })
    }

    /// Whether a pool as it is known here may be older than the lease that the reveal names: then its showing no such
    /// lease proves nothing, and the finalizer, which keeps the proof of the end, stays until the pool was read. A
    /// status whose `last_token` has reached that of the lease is the one that took it, or a later one.
    fn lags_behind_record(&mut self, uid: &Uid) -> bool {
        let granted = self
            .requests
            .get(uid)
            .and_then(|it| it.view.granted.clone());
        let mut lags = false;
        for lease in granted.iter().flat_map(|granted| granted.leases.iter()) {
            let token = self.believed(lease.token);
            let Some(pool) = self.pools.get_mut(&lease.pool) else {
                continue;
            };
            let same = pool
                .seen
                .as_ref()
                .is_some_and(|seen| seen.uid == lease.pool_uid);
            if same && pool.status().is_none_or(|it| it.last_token < token) {
                pool.must_read |= !pool.reading;
                lags = true;
                self.touch(&lease.pool);
            }
        }
        if lags {
            let again = self.now.tick.after(RECHECK_EVERY);
            self.timers.set(again, Timer::Request(uid.clone()));
        }
        lags
    }

    /// Drops a request from memory: it has nothing, and can get nothing.
    pub(super) fn forget_request(&mut self, uid: &Uid) {
        self.unplace(uid);
        self.rename(uid, Default::default());
        self.fence_bumps.remove(uid);
        self.reads_wanted.remove(uid);
        self.requests.remove(uid);
        if !self.strangers.contains_key(uid) {
            self.timers.forget(uid);
        }
        self.touch_fences();
    }

    /// A holder named by a status of which no pod is known: proven gone, it settles like any other.
    pub(super) fn review_stranger(&mut self, uid: &Uid) {
        let now = self.now.tick;
        let Some(stranger) = self.strangers.get(uid) else {
            return;
        };
        let Some(since) = stranger.gone_since else {
            // The holder of a claim is told before its slots are freed: a read says whether there is a claim to say so on.
            if stranger.kind != HolderKind::Claim {
                self.release_forced(uid);
            }
            self.want_read(uid);
            return;
        };
        self.settle_takes(uid);
        let Some(stranger) = self.strangers.get(uid) else {
            return;
        };
        for key in stranger.pools.clone() {
            let Some(pool) = self.pools.get_mut(&key) else {
                continue;
            };
            let forced = pool.is_released(uid);
            let linger = pool.entries.get(uid).and_then(|entry| entry.linger);
            let settle = match pool.spec().map(|spec| spec.release) {
                Some(_) if linger.is_some() => linger,
                Some(ReleasePolicy::Presumed { settle }) => Some(settle),
                Some(ReleasePolicy::Confirmed) | None => None,
            };
            let settled = settle.is_some_and(|settle| now.since(since) >= settle);
            if settled || forced {
                self.release(
                    uid,
                    &key,
                    if forced {
                        Ground::Forced
                    } else {
                        Ground::Presumed
                    },
                );
            } else if let Some(settle) = settle {
                self.timers
                    .set(since.after(settle), Timer::Request(uid.clone()));
            }
        }
    }

    /// An operator's word frees a holder's slots, whatever its pod says, and if none is known.
    pub(super) fn release_forced(&mut self, uid: &Uid) {
        let request = self.requests.get(uid).map(|it| &it.held);
        let held = request.or_else(|| Some(&self.strangers.get(uid)?.pools));
        for key in held.cloned().unwrap_or_default() {
            if self
                .pools
                .get(&key)
                .is_some_and(|pool| pool.is_released(uid))
            {
                self.release(uid, &key, Ground::Forced);
            }
        }
    }

    pub(super) fn pool_about(&self, key: &PoolKey) -> Option<About> {
        let seen = self.pools.get(key)?.seen.as_ref()?;
        Some(About::Pool {
            key: key.clone(),
            uid: seen.uid.clone(),
        })
    }
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
