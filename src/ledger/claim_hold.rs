//! A claim while it is held: renewals, expiry, the longest hold, its pod, and the revoke (docs/design.md 5.5; models
//! `lease` and `ttl`).
//!
//! Renewals and the revoke meet on the claim: it is taken away by a write that tests the last renewal that was seen,
//! and its slots are freed after that, never before (`claim_end`, `release`). Tested as `claim` is.

use super::book::Ledger;
use super::bounds::{CLAIM_LAPSE_AFTER, CLAIM_LEASE_DEFAULT, CLAIM_POD_CHECK_EVERY};
use super::claim_view::{RevokeReason, Terms};
use super::command::Found;
use super::effect::{ClaimAction, Effect, RequestAction};
use super::end::End;
use super::ids::{PoolKey, Uid};
use super::mutant::{self, Mutant};
use super::request::Request;
use super::time::{Span, Tick};
use super::timers::Timer;

/// Why a claim is taken away from its holder.
struct Revoke {
    reason: RevokeReason,
    message: String,
}

impl Ledger {
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
    pub(super) fn claim_terms(&self, request: &Request) -> Terms {
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
}
