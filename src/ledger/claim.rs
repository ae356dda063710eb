//! The life of a claim beside that of its grant: denial on arrival, renewals, expiry, revoke, release, deletion
//! (docs/design.md 5.5; models `lease` and `ttl`).
//!
//! Renewals and the revoke meet on the claim: it is taken away by a write that tests the last renewal that was seen,
//! and its slots are freed after that, never before. Every duration is counted by this process's own clock, from its
//! own sight: a leader that starts anew counts anew, so it may be late and is never early. How leases are taken and
//! told is the same as for pods (`grant`, `abort`); when they go is in `end` and `release`.
//!
//! Tested in `testing/claims.rs`, by stories in `tests/scenarios`, and by the simulation.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::book::Ledger;
use super::bounds::{
    CLAIM_LAPSE_AFTER, CLAIM_LEASE_DEFAULT, CLAIM_POD_CHECK_EVERY, CLAIM_TIMEOUT_GRACE,
    CLAIM_TIMEOUT_LOOK_EVERY,
};
use super::cause::Cause;
use super::claim_view::{ClaimPhase, ClaimView, RevokeReason, Terms};
use super::command::{Found, PatchOutcome};
use super::effect::{ClaimAction, ClaimDeletion, Effect, RequestAction};
use super::end::{End, Gone};
use super::ids::{Attempt, PoolKey, Uid};
use super::mutant::{self, Mutant};
use super::object::Mode;
use super::pool::{Fence, Pool};
use super::queue::Shape;
use super::request::{Phase, Place, Request, Why};
use super::time::{Span, Tick};
use super::timers::Timer;
use super::view::Ask;

/// What this process has seen of a claim, by its own clock.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct ClaimWatch {
    /// It was not denied as it arrived: it waits from now on, whatever becomes of its limits.
    admitted: bool,
    /// Pools of which a live read has said what a denial would rely on.
    pub(super) witnessed: BTreeSet<PoolKey>,
    /// A walk over the queues has looked at it.
    tried: bool,
    /// It had waited for more than half its lease when its reveal was first sent.
    waited_long: Option<bool>,
    /// It lapses soon, unless a renewal after this one comes.
    lapses: Option<u64>,
    /// The last renewal, and when it was first seen.
    renewed: Option<(u64, Tick)>,
    /// When its end was first seen.
    ended_at: Option<Tick>,
    /// Its deletion is under way.
    deleting: bool,
    /// The pod that it lives as long as has ended, with or without proof.
    pod_end: Option<End>,
    /// A read of that pod is under way.
    pod_reading: bool,
    /// No such read before then.
    pod_read_after: Tick,
}

/// Why a claim is taken away from its holder.
struct Revoke {
    reason: RevokeReason,
    message: String,
}

impl Ledger {
    /// What a grant of this shape to a claim would fix: its own lease, else the shortest of its pools'.
    pub(super) fn terms_for(&self, request: &Request, shape: &Shape) -> Option<Terms> {
        let claim = request.view.claim.as_ref()?;
        let specs = || {
            let keys = shape.demand.keys();
            keys.filter_map(|key| self.pools.get(key)?.spec())
        };
        let of_pools = specs().filter_map(|spec| spec.lease).min();
        let lock_delay = specs().map(|spec| spec.lock_delay).max();
        Some(Terms {
            lease: claim.lease.or(of_pools).unwrap_or(CLAIM_LEASE_DEFAULT),
            lock_delay: lock_delay.unwrap_or_default(),
        })
    }

    /// A claim that arrives and names what is missing or too small is denied, once a live read has said so; whether
    /// it is left waiting for that, or denied.
    pub(super) fn deny_on_arrival(&mut self, uid: &Uid) -> bool {
        let Some(request) = self.requests.get(uid) else {
            return false;
        };
        let admitted = request.claim.admitted && !mutant::is(Mutant::DeniesWhoWaits);
        if request.view.claim.is_none() || admitted {
            return false;
        }
        let denial = self.denial(request);
        let key = match &denial {
            Some(Cause::NotFound(key) | Cause::ExceedsLimit(key) | Cause::NoDecay(key)) => {
                Some(key.clone())
            }
            _ => None,
        };
        let unwitnessed = key.filter(|key| {
            !request.claim.witnessed.contains(key) && !mutant::is(Mutant::DeniesFromCache)
        });
        match (denial, unwitnessed) {
            (Some(_), Some(key)) => {
                if let Some(pool) = self.pools.get_mut(&key)
                    && pool.want_witness(uid)
                {
                    self.write_pools.insert(key);
                }
                true
            }
            (Some(cause), None) => {
                self.stop_grant(uid, Why::Denied(cause));
                true
            }
            (None, _) => {
                if let Some(request) = self.requests.get_mut(uid) {
                    request.claim.admitted = true;
                    request.claim.witnessed.clear();
                }
                false
            }
        }
    }

    /// Why a claim is not even queued: asked as it arrives, and never again.
    fn denial(&self, request: &Request) -> Option<Cause> {
        let wants = match &request.view.ask {
            Ask::Bad(why) => return Some(Cause::BadAnnotation(Arc::clone(why))),
            Ask::Wants(wants) => wants,
        };
        let shape = request.place.shape().and_then(|id| self.queues.line(id));
        let shape = shape.map(|line| Arc::clone(&line.shape));
        // Whatever it says of limits that are missing: no time would help.
        if let Some(cause) = shape.as_ref().and_then(|shape| self.without_decay(shape)) {
            return Some(cause);
        }
        if !wants.deny_missing {
            return None;
        }
        let Some(shape) = shape else {
            // A family without a worker, or one whose worker no key can contain.
            return match &request.place {
                Place::Stuck(cause) if matches!(cause, Cause::WorkerUnknown(..)) => {
                    Some(cause.clone())
                }
                Place::Stuck(_)
                | Place::Nowhere
                | Place::Queued(..)
                | Place::Aside(..)
                | Place::Granting(_) => None,
            };
        };
        let cause = self.obstacle(&shape, Some(&request.view.uid))?;
        let denies = if let Cause::ExceedsLimit(key) = &cause {
            // One that is scaled to nothing for a while is waited for.
            self.capacity_of(key) > 0
        } else {
            matches!(cause, Cause::NotFound(_))
        };
        denies.then_some(cause)
    }

    fn capacity_of(&self, key: &PoolKey) -> u64 {
        let spec = self.pools.get(key).and_then(Pool::spec);
        spec.map_or(0, |spec| spec.capacity)
    }

    /// Whether a claim has waited as long as it was willing to. One whose grant is under way, or that waits for
    /// something that settles by itself, is given a moment more; one that is willing to wait for nothing is tried once.
    pub(super) fn claim_timed_out(&self, request: &Request, timeout: Span) -> bool {
        let waited = self.claim_waited(request);
        let settling = request.plan().is_some()
            || match self.cause_of(&request.view.uid) {
                None | Some(Cause::Unsettled | Cause::NotFenced(_) | Cause::ChildPending(_)) => {
                    true
                }
                // There is room: whether it is kept for others only a walk over the queues can say.
                Some(Cause::Reserved(_)) => !request.claim.tried,
                Some(_) => false,
            };
        let grace = if settling && !mutant::is(Mutant::RefusesUntried) {
            CLAIM_TIMEOUT_GRACE
        } else {
            Span(0)
        };
        waited >= Span(timeout.0.saturating_add(grace.0))
    }

    /// How long a claim has waited: by this process's clock, or by the server's, whose stamp has whole seconds.
    pub(super) fn claim_waited(&self, request: &Request) -> Span {
        let own = self.now.tick.since(request.first_seen);
        let stamped = self.now.server.since(request.view.arrival);
        own.max(Span(stamped.0.saturating_sub(1000)))
    }

    /// A walk over the queues has found that a claim cannot go.
    pub(super) fn note_tried(&mut self, uid: &Uid) {
        let now = self.now.tick;
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        if request.view.claim.is_some() && !request.claim.tried {
            request.claim.tried = true;
            self.timers
                .set(now.after(Span(1)), Timer::Request(uid.clone()));
        }
    }

    /// When to look at a waiting claim again for the end of its patience.
    pub(super) fn set_claim_timeout(&mut self, uid: &Uid, timeout: Span) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let waited = self.claim_waited(request);
        // Within the moment more that it is given, what settles by itself is looked for again and again.
        let left = if waited < timeout {
            Span(timeout.0.saturating_sub(waited.0))
        } else {
            CLAIM_TIMEOUT_LOOK_EVERY
        };
        self.timers
            .set(self.now.tick.after(left), Timer::Request(uid.clone()));
    }

    /// The reveal of a claim is sent: remembers how long it had waited when that was first done.
    pub(super) fn note_reveal_sent(&mut self, uid: &Uid, terms: Terms) {
        let now = self.now.tick;
        if let Some(request) = self.requests.get_mut(uid) {
            let long = now.since(request.first_seen) > Span(terms.lease.0 / 2);
            request.claim.waited_long.get_or_insert(long);
        }
    }

    /// Our own reveal was acknowledged: a claim that had waited for long has to show that its holder lives.
    pub(super) fn note_reveal_answered(&mut self, uid: &Uid, answered: &ClaimView) {
        if let Some(request) = self.requests.get_mut(uid)
            && request.claim.waited_long == Some(true)
            && answered.phase == ClaimPhase::Granted
        {
            request.claim.lapses = Some(answered.seq);
        }
    }

    /// Looks after a claim that is Granted and not given back: until when it is believed, and whether that is over.
    pub(super) fn tend_granted(&mut self, uid: &Uid) {
        let now = self.now.tick;
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        let Some(claim) = &request.view.claim else {
            return;
        };
        if Self::is_rate_claim(request) {
            self.finish_claim(uid);
            return;
        }
        let renewed = request.claim.renewed;
        if mutant::is(Mutant::LapseBySight) && renewed.is_none() {
            let half = claim.terms.map_or(Span(0), |terms| Span(terms.lease.0 / 2));
            let long = now.since(request.first_seen) > half;
            request.claim.lapses = request.claim.lapses.or(long.then_some(claim.seq));
        }
        let unseen = mutant::is(Mutant::RenewalUnseen) && renewed.is_some();
        if renewed.is_none_or(|(seq, _)| seq < claim.seq) && !unseen {
            request.claim.renewed = Some((claim.seq, now));
        }
        let seq = claim.seq;
        match self.revoke_of(uid) {
            Some(revoke) => {
                if mutant::is(Mutant::FreedBeforeRevoke) {
                    self.free_untold(uid);
                }
                self.stats.claims_revoked = self.stats.claims_revoked.saturating_add(1);
                let action = RequestAction::Claim(ClaimAction::Revoke {
                    seq,
                    reason: revoke.reason,
                    message: revoke.message.into(),
                });
                self.side_patch(uid, action);
            }
            None => self.come_back_for_claim(uid),
        }
    }

    /// What a wrong variant does: frees the slots of a claim whose holder was told nothing.
    fn free_untold(&mut self, uid: &Uid) {
        let held = self.requests.get(uid).map(|request| request.held.clone());
        for key in held.into_iter().flatten() {
            let pool = self.pools.get_mut(&key);
            if pool.is_some_and(|pool| pool.remove(uid, true)) {
                self.touch(&key);
            }
        }
    }

    /// Why a claim is to be taken away now.
    fn revoke_of(&self, uid: &Uid) -> Option<Revoke> {
        let request = self.requests.get(uid)?;
        let claim = request.view.claim.as_ref()?;
        let word = |key: &&PoolKey| self.pools.get(*key).is_some_and(|it| it.is_released(uid));
        if let Some(key) = request.held.iter().find(word) {
            return Some(Revoke {
                reason: RevokeReason::ReleasedByOperator,
                message: format!("an operator freed its slots of {key}"),
            });
        }
        if let Some(end) = request.claim.pod_end {
            let name = claim.pod.as_ref().map_or("", |(_, name)| name.as_str());
            return Some(Revoke {
                reason: match end {
                    End::Confirmed => RevokeReason::PodEnded,
                    End::Presumed | End::Live => RevokeReason::PodGone,
                },
                message: format!("pod {name}, which it lives as long as, has ended"),
            });
        }
        let held = self.now.tick.since(request.held_since?);
        if let Some(most) = claim.hold_max
            && held >= most
            && !mutant::is(Mutant::HoldsForEver)
        {
            return Some(Revoke {
                reason: RevokeReason::MaxHold,
                message: format!("it was held for maxHoldSeconds, {} s", most.0 / 1000),
            });
        }
        let (at, lapses) = self.claim_deadline(request)?;
        (at <= self.now.tick).then(|| {
            let how = if lapses {
                "its holder has not confirmed the grant"
            } else {
                "its holder has not renewed it for the whole of its lease"
            };
            Revoke {
                reason: RevokeReason::Expired,
                message: how.to_owned(),
            }
        })
    }

    /// Until when a granted claim is believed, and whether that is the short time of one that has to be confirmed.
    fn claim_deadline(&self, request: &Request) -> Option<(Tick, bool)> {
        let claim = request.view.claim.as_ref()?;
        let (seq, seen) = request.claim.renewed?;
        if claim.pod.is_some() {
            return None;
        }
        let expiry = self.claim_terms(request).expiry();
        let lapses = request.claim.lapses == Some(seq) && CLAIM_LAPSE_AFTER < expiry;
        let patience = if lapses { CLAIM_LAPSE_AFTER } else { expiry };
        let patience = if mutant::is(Mutant::ExpiryWithoutGuard) {
            Span(self.claim_terms(request).lease.0 / 2)
        } else {
            patience
        };
        Some((seen.after(patience), lapses))
    }

    /// What was fixed when a claim was granted; one that shows nothing of it is given the usual.
    fn claim_terms(&self, request: &Request) -> Terms {
        let fixed = request.view.claim.as_ref().and_then(|claim| claim.terms);
        fixed.unwrap_or(Terms {
            lease: CLAIM_LEASE_DEFAULT,
            lock_delay: Span(0),
        })
    }

    fn come_back_for_claim(&mut self, uid: &Uid) {
        self.look_after_its_pod(uid);
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let claim = request.view.claim.as_ref();
        let most = claim
            .and_then(|claim| claim.hold_max)
            .filter(|_| !mutant::is(Mutant::HoldsForEver))
            .zip(request.held_since)
            .map(|(most, since)| since.after(most));
        let deadline = self.claim_deadline(request).map(|(at, _)| at);
        if let Some(at) = [most, deadline].into_iter().flatten().min() {
            self.timers.set(at, Timer::Request(uid.clone()));
        }
    }

    /// Reads the pod that a claim lives as long as, from time to time.
    fn look_after_its_pod(&mut self, uid: &Uid) {
        let now = self.now.tick;
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        let pod = request.view.claim.as_ref().and_then(|it| it.pod.clone());
        let Some((pod, name)) = pod else { return };
        if request.claim.pod_reading {
            return;
        }
        if request.claim.pod_read_after > now {
            let at = request.claim.pod_read_after;
            self.timers.set(at, Timer::Request(uid.clone()));
            return;
        }
        request.claim.pod_reading = true;
        let namespace = request.view.namespace.clone();
        self.effects.push_back(Effect::ReadHolderPod {
            uid: uid.clone(),
            namespace,
            name,
            pod,
        });
    }

    /// What a live read found of the pod that a claim lives as long as.
    pub(super) fn holder_pod_read(&mut self, uid: &Uid, found: Found<End>) {
        let now = self.now.tick;
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        request.claim.pod_reading = false;
        request.claim.pod_read_after = now.after(CLAIM_POD_CHECK_EVERY);
        request.claim.pod_end = match found {
            Found::Present(End::Live) | Found::Unknown => request.claim.pod_end,
            Found::Present(end) => Some(end),
            Found::Absent => Some(End::Presumed),
        };
        self.dirty_requests.insert(uid.clone());
    }

    /// How long the slots of a claim stay that has ended without its holder's word: its holder may believe until
    /// then, or what it has sent may be under way.
    pub(super) fn claim_settle(&self, request: &Request, claim: &ClaimView, key: &PoolKey) -> Span {
        if mutant::is(Mutant::VanishedClaimFreesAtOnce) {
            return Span(0);
        }
        let expired = claim.expired || mutant::is(Mutant::EveryRevokeIsExpiry);
        if claim.phase == ClaimPhase::Revoked && expired {
            if mutant::is(Mutant::LockDelayIgnored) {
                return Span(0);
            }
            return self.claim_terms(request).lock_delay;
        }
        let entry = self
            .pools
            .get(key)
            .and_then(|pool| pool.entries.get(&request.view.uid));
        let written = entry.and_then(|entry| entry.linger);
        let fixed = claim.terms.map(Terms::linger);
        let longest = written.into_iter().chain(fixed).max();
        longest.unwrap_or_else(|| self.claim_terms(request).linger())
    }

    /// Until when a claim that vanished is kept in mind though no pool holds anything of it: a pool that was deleted may
    /// be created again, one that is Disabled or set aside may count again, and each has to count this one while its
    /// holder may believe.
    pub(super) fn believed_until(&self, request: &Request) -> Option<Tick> {
        let claim = request.view.claim.as_ref()?;
        let granted = request.view.granted.as_ref()?;
        let told = matches!(claim.phase, ClaimPhase::Granted | ClaimPhase::Revoked);
        let since = request.presumed_since?;
        if !told || claim.release || granted.leases.is_empty() {
            return None;
        }
        let left = granted.leases.iter().any(|lease| {
            let pool = self.pools.get(&lease.pool);
            pool.is_none_or(|pool| {
                let other = pool.seen.as_ref().is_none_or(|it| it.uid != lease.pool_uid);
                let counts = pool.fence == Fence::Done && pool.mode() != Some(Mode::Disabled);
                other || !counts
            })
        });
        let at = since.after(claim.terms.map_or(Span(0), Terms::linger));
        (left && at > self.now.tick).then_some(at)
    }

    /// Nothing is held by a claim that has ended, or was given up: it is written so, or deleted, in its time.
    pub(super) fn finish_claim(&mut self, uid: &Uid) {
        let now = self.now.tick;
        let times = self.options.claims;
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        let (Some(claim), None) = (&request.view.claim, request.gone) else {
            return;
        };
        let idle = matches!(request.phase, Phase::Waiting | Phase::Held);
        let named = request.named.iter();
        // A status write under way may still bring a lease of it.
        let may_return = named
            .filter_map(|key| self.pools.get(key))
            .any(|pool| pool.may_write(uid));
        let holds = !request.held.is_empty() && !mutant::is(Mutant::DeletedBeforeFreed);
        if holds || !idle || may_return {
            return;
        }
        let rate = Self::is_rate_claim(request);
        let kept = match claim.phase {
            // There is nothing to give back: it stays to be read.
            ClaimPhase::Granted if !claim.release && rate => times.ended,
            ClaimPhase::Pending | ClaimPhase::Granted if !claim.release => return,
            ClaimPhase::Pending | ClaimPhase::Granted if times.released == Span(0) => Span(0),
            ClaimPhase::Pending | ClaimPhase::Granted => {
                let action = ClaimAction::Finish {
                    from: claim.phase,
                    attempt: request.view.attempt.unwrap_or(Attempt::TimedOut),
                };
                self.side_patch(uid, RequestAction::Claim(action));
                return;
            }
            ClaimPhase::Released => times.released,
            ClaimPhase::Denied | ClaimPhase::TimedOut | ClaimPhase::Revoked => times.ended,
        };
        if mutant::is(Mutant::EndedClaimStays) && !claim.release {
            return;
        }
        let ended_at = *request.claim.ended_at.get_or_insert(now);
        let due = ended_at.after(kept).max(request.side_patch_after);
        if due > now {
            self.timers.set(due, Timer::Request(uid.clone()));
        } else if !request.claim.deleting && !request.side_patch {
            request.claim.deleting = true;
            let deletion = ClaimDeletion {
                uid: uid.clone(),
                namespace: request.view.namespace.clone(),
                name: request.view.name.clone(),
                version: request.view.version,
            };
            self.effects
                .push_back(Effect::DeleteClaim(Box::new(deletion)));
        }
    }

    /// Our own deletion of a claim was answered. It named the version that was known: that is its final state.
    pub(super) fn claim_deleted(&mut self, uid: &Uid, outcome: PatchOutcome) {
        let again = self.now.tick.after(super::bounds::RECHECK_EVERY);
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        request.claim.deleting = false;
        match outcome {
            PatchOutcome::Applied(_) | PatchOutcome::Gone => {
                request.gone.get_or_insert(Gone::Watched);
            }
            PatchOutcome::Refused(_) | PatchOutcome::Unknown => {
                request.side_patch_after = again;
                self.want_read(uid);
            }
        }
        self.dirty_requests.insert(uid.clone());
    }

    /// Its deletion is under way: its absence from a watch is no surprise.
    pub(super) fn is_deleting_claim(&self, uid: &Uid) -> bool {
        let request = self.requests.get(uid);
        request.is_some_and(|request| request.claim.deleting)
    }

    /// How long a holder held that is released now, by our own sight of it, for people.
    pub(super) fn note_hold(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        let Some(since) = request.held_since.take() else {
            return;
        };
        let held = self.now.tick.since(since);
        if self.stats.holds.len() < super::bounds::BATCH_CHANGES_MAX {
            self.stats.holds.push(held);
        }
    }
}
