//! Taking a grant back, and giving up: *abort first* (DESIGN 5.1).
//!
//! The attempt is raised by a patch that tests uid, old attempt and the gate's presence; only when that
//! is durable are leases of older attempts garbage. Before it is sent, live reads of the request and of its
//! pools show that nobody of a higher epoch is at work: a deposed leader's caches may be old. A request that
//! waited as long as it was willing to is aborted to its last attempt and then failed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::book::Ledger;
use super::bounds::REVEAL_REFUSED_PARK;
use super::cause::Cause;
use super::claim_view::ClaimPhase;
use super::effect::{ClaimAction, RequestAction};
use super::ids::{Attempt, PoolKey, Uid};
use super::mutant::{self, Mutant};
use super::request::{Abort, Phase, Place, Request, Sending, Sent, Why};
use super::time::Span;
use super::timers::Timer;
use super::view::{Ask, Wants};

impl Ledger {
    /// Raises the attempt: from then on every older lease and reveal is void.
    pub(super) fn begin_abort(&mut self, uid: &Uid, why: Why) {
        let now = self.now.tick;
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let Some(from) = request.view.attempt else {
            return;
        };
        let held = request.held.iter().filter_map(|key| {
            let entry = self.pools.get(key)?.entries.get(uid)?;
            Some(entry.attempt)
        });
        let above = held.fold(from, Attempt::max);
        let to = match why {
            Why::TimedOut | Why::Denied(_) => Attempt::TimedOut,
            // Nothing is above the last attempt. A lease of it is that of a pod whose gate went by hand after it had
            // given up; gated again in a restored past, it gives up again, for any lower attempt would leave the lease
            // where it is, above, to be aborted for ever.
            Why::Edited | Why::Deleting | Why::LostFit | Why::Fence | Why::RevealRefused => {
                above.next().unwrap_or(Attempt::TimedOut)
            }
        };
        if to <= from {
            return;
        }
        // A fence begins with a write of our own epoch and a consistent list: that is proof enough.
        let unwitnessed: BTreeSet<PoolKey> = match why {
            Why::Fence => BTreeSet::new(),
            Why::Edited
            | Why::Deleting
            | Why::LostFit
            | Why::TimedOut
            | Why::RevealRefused
            | Why::Denied(_) => self.witnesses(request),
        };
        // As things stand now: while its attempt is raised it stands aside for no cause of its own. Only who gives up for
        // good is told it.
        let message: Arc<str> = if let Why::Denied(cause) = &why {
            cause.sentence().into()
        } else if request.view.claim.is_some() && to == Attempt::TimedOut {
            self.explain_timeout(uid).into()
        } else {
            "".into()
        };
        let place = request
            .place
            .shape()
            .map(|id| Place::Aside(id, Cause::Unsettled));
        if let Some(request) = self.requests.get_mut(uid) {
            let refusal = match &request.phase {
                Phase::Revealing(_, sending) => sending.message.clone(),
                Phase::Waiting | Phase::Taking(_) | Phase::Aborting(_) | Phase::Held => None,
            };
            let sending = Sending {
                message: refusal,
                ..Sending::new(now)
            };
            let unread = why != Why::Fence;
            request.phase = Phase::Aborting(Abort {
                from,
                to,
                why,
                message,
                sending,
                unread,
                unwitnessed,
            });
            request.read_after = now;
        }
        if let Some(place) = place {
            self.move_to(uid, place);
        }
        self.send_abort(uid);
    }

    /// Pools that a successor of ours would have written if it had granted to this request.
    fn witnesses(&self, request: &Request) -> BTreeSet<PoolKey> {
        let known = |key: &&PoolKey| {
            let seen = self.pools.get(*key).map(|pool| pool.seen.is_some());
            seen == Some(true)
        };
        let keys = request.named.iter().chain(&request.held);
        keys.filter(known).cloned().collect()
    }

    /// Whether live reads have shown that this abort is ours to decide; asks for those that are missing.
    fn abort_is_proven(&mut self, uid: &Uid) -> bool {
        let Some(Phase::Aborting(abort)) = self.requests.get(uid).map(|it| &it.phase) else {
            return false;
        };
        let unread = abort.unread;
        let mut unwitnessed = abort.unwitnessed.clone();
        unwitnessed.retain(|key| self.pools.get(key).is_some_and(|pool| pool.seen.is_some()));
        for key in &unwitnessed {
            if let Some(pool) = self.pools.get_mut(key)
                && pool.want_witness(uid)
            {
                self.write_pools.insert(key.clone());
            }
        }
        if unread {
            self.want_read(uid);
        }
        let proven = !unread && unwitnessed.is_empty();
        if let Some(Phase::Aborting(abort)) = self.requests.get_mut(uid).map(|it| &mut it.phase) {
            abort.unwitnessed = unwitnessed;
        }
        proven
    }

    pub(super) fn send_abort(&mut self, uid: &Uid) {
        let now = self.now.tick;
        if !self.abort_is_proven(uid) {
            return;
        }
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        let Some(gate) = request.view.gates.ours else {
            return;
        };
        let raw = request.view.text.attempt.clone();
        let Phase::Aborting(abort) = &mut request.phase else {
            return;
        };
        match abort.sending.state {
            Sent::Flying => {}
            Sent::Doubtful => self.want_read(uid),
            Sent::Due(at) if at > now => self.timers.set(at, Timer::Request(uid.clone())),
            Sent::Due(_) => {
                abort.sending.state = Sent::Flying;
                let to = abort.to;
                let action = if request.view.claim.is_some() {
                    RequestAction::Claim(claim_bump(abort))
                } else {
                    RequestAction::Bump {
                        from: raw,
                        gate,
                        to,
                    }
                };
                self.patch(uid, action);
            }
        }
    }

    /// The attempt was raised, by us or by somebody else.
    pub(super) fn abort_done(&mut self, uid: &Uid) {
        self.stats.aborts = self.stats.aborts.saturating_add(1);
        if self.fence_bumps.remove(uid) {
            self.touch_fences();
        }
        let until = self.now.tick.after(REVEAL_REFUSED_PARK);
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        if let Phase::Aborting(abort) = &request.phase
            && abort.why == Why::RevealRefused
        {
            request.aside_until = Some((
                until,
                Cause::RevealRefused(abort.sending.message.clone().unwrap_or_default()),
            ));
            self.timers.set(until, Timer::Request(uid.clone()));
        }
        request.phase = Phase::Waiting;
        self.dirty_requests.insert(uid.clone());
    }

    /// Leases of attempts that can never be revealed any more are removed.
    pub(super) fn collect_void_entries(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let Some(attempt) = request.view.attempt else {
            return;
        };
        let void: Vec<PoolKey> = request
            .held
            .iter()
            .filter(|key| {
                let entry = self.pools.get(key).and_then(|pool| pool.entries.get(uid));
                entry.is_some_and(|entry| entry.attempt < attempt)
            })
            .cloned()
            .collect();
        for key in void {
            if self
                .pools
                .get_mut(&key)
                .is_some_and(|pool| pool.remove(uid, false))
            {
                self.stats.releases_void = self.stats.releases_void.saturating_add(1);
                self.touch(&key);
            }
        }
    }

    /// A lease of an attempt above the request's: the annotation was lowered by hand, or the pod's
    /// past was restored. The attempt is raised above it, or to the last one.
    pub(super) fn abort_entries_of_unknown_attempt(&mut self, uid: &Uid) -> bool {
        let Some(request) = self.requests.get(uid) else {
            return false;
        };
        let Some(attempt) = request.view.attempt else {
            return false;
        };
        let above = request.held.iter().any(|key| {
            let entry = self.pools.get(key).and_then(|pool| pool.entries.get(uid));
            entry.is_some_and(|entry| entry.attempt > attempt)
        });
        if above {
            self.begin_abort(uid, Why::LostFit);
        }
        above
    }

    /// Some durable lease of it belongs to its current attempt.
    pub(super) fn has_current_entries(&self, uid: &Uid) -> bool {
        let Some(request) = self.requests.get(uid) else {
            return false;
        };
        request.held.iter().any(|key| {
            let entry = self.pools.get(key).and_then(|pool| pool.entries.get(uid));
            entry.is_some_and(|entry| Some(entry.attempt) >= request.view.attempt)
        })
    }

    fn wants(request: &Request) -> Option<&Wants> {
        match &request.view.ask {
            Ask::Wants(wants) => Some(wants),
            Ask::Bad(_) => None,
        }
    }

    /// It waited as long as it was willing to, and is to give up then.
    pub(super) fn timed_out(&self, request: &Request) -> bool {
        let Some(wants) = Self::wants(request) else {
            return false;
        };
        if request.view.claim.is_some() {
            return wants
                .timeout
                .is_some_and(|timeout| self.claim_timed_out(request, timeout));
        }
        let waited = self.now.server.since(request.view.arrival);
        !mutant::is(Mutant::TimeoutWithoutAbort)
            && wants.fail_on_timeout
            && wants.timeout.is_some_and(|timeout| waited >= timeout)
    }

    /// Comes back when the request's patience ends; says so, or fails the pod.
    pub(super) fn set_timeout_timer(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let is_claim = request.view.claim.is_some();
        if request.view.attempt == Some(Attempt::TimedOut) && !is_claim {
            self.fail_timed_out(uid);
            return;
        }
        let Some(timeout) = Self::wants(request).and_then(|wants| wants.timeout) else {
            return;
        };
        if is_claim {
            self.set_claim_timeout(uid, timeout);
            return;
        }
        let waited = self.now.server.since(request.view.arrival);
        let fails = Self::wants(request).is_some_and(|wants| wants.fail_on_timeout);
        if waited >= timeout && fails && mutant::is(Mutant::TimeoutWithoutAbort) {
            self.fail_timed_out(uid);
            return;
        }
        if waited < timeout {
            let left = Span(timeout.0.saturating_sub(waited.0).saturating_add(1));
            self.timers
                .set(self.now.tick.after(left), Timer::Request(uid.clone()));
        } else if !request.timeout_told {
            self.tell_timeout(uid);
        }
    }

    fn fail_timed_out(&mut self, uid: &Uid) {
        let message: Arc<str> = self.explain_timeout(uid).into();
        self.side_patch(uid, RequestAction::Fail { message });
    }
}

/// Raises the attempt of a claim; to the last one, and it is told that it gets nothing.
fn claim_bump(abort: &Abort) -> ClaimAction {
    let from = abort.from;
    if abort.to != Attempt::TimedOut {
        return ClaimAction::Bump { from, to: abort.to };
    }
    let (phase, reason) = match &abort.why {
        Why::Denied(cause) => (ClaimPhase::Denied, cause.reason()),
        Why::Edited
        | Why::Deleting
        | Why::LostFit
        | Why::Fence
        | Why::TimedOut
        | Why::RevealRefused => (ClaimPhase::TimedOut, Cause::TimedOut.reason()),
    };
    ClaimAction::Refuse {
        from,
        phase,
        reason,
        message: Arc::clone(&abort.message),
    }
}
