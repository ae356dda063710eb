//! A claim from its arrival until it is told: denial, patience, and what its reveal shows (docs/design.md 5.5).
//!
//! How leases are taken and told is the same as for pods (`grant`, `abort`). What follows is in `claim_hold` (renewals,
//! expiry, revoke) and `claim_end` (what its end frees, deletion). Every duration is counted by this process's own clock,
//! from its own sight: a leader that starts anew counts anew, so it may be late and is never early.
//!
//! Tested in `testing/claims.rs`, by stories in `tests/scenarios`, and by the simulation.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::book::Ledger;
use super::bounds::{CLAIM_LEASE_DEFAULT, CLAIM_TIMEOUT_GRACE, CLAIM_TIMEOUT_LOOK_EVERY};
use super::cause::Cause;
use super::claim_view::{ClaimPhase, ClaimView, Terms};
use super::end::End;
use super::ids::{PoolKey, Uid};
use super::mutant::{self, Mutant};
use super::pool::Pool;
use super::queue::Shape;
use super::request::{Place, Request, Why};
use super::time::{Span, Tick};
use super::timers::Timer;
use super::view::Ask;

/// What this process has seen of a claim, by its own clock.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct ClaimWatch {
    /// It was not denied as it arrived: it waits from now on, whatever becomes of its limits.
    pub(super) admitted: bool,
    /// Pools of which a live read has said what a denial would rely on.
    pub(super) witnessed: BTreeSet<PoolKey>,
    /// A walk over the queues has looked at it.
    pub(super) tried: bool,
    /// It had waited for more than half its lease when its reveal was first sent.
    pub(super) waited_long: Option<bool>,
    /// It lapses soon, unless a renewal after this one comes.
    pub(super) lapses: Option<u64>,
    /// The last renewal, and when it was first seen.
    pub(super) renewed: Option<(u64, Tick)>,
    /// When its end was first seen.
    pub(super) ended_at: Option<Tick>,
    /// Its deletion is under way.
    pub(super) deleting: bool,
    /// The pod that it lives as long as has ended, with or without proof.
    pub(super) pod_end: Option<End>,
    /// A read of that pod is under way.
    pub(super) pod_reading: bool,
    /// No such read before then.
    pub(super) pod_read_after: Tick,
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
}
