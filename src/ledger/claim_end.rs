//! The end of a claim: how long its slots stay, until when it is kept in mind, and when its object goes (docs/design.md
//! 5.5). On what ground leases go is in `end` and `release`. Tested as `claim` is.

use super::book::Ledger;
use super::claim_view::{ClaimPhase, ClaimView, Terms};
use super::command::PatchOutcome;
use super::effect::{ClaimAction, ClaimDeletion, Effect, RequestAction};
use super::end::Gone;
use super::ids::{Attempt, PoolKey, Uid};
use super::mutant::{self, Mutant};
use super::object::Mode;
use super::pool::Fence;
use super::request::{Phase, Request};
use super::time::{Span, Tick};
use super::timers::Timer;

impl Ledger {
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
