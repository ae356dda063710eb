//! The life of one grant: take on every pool, reveal, or abort (DESIGN 5.1).
//!
//! *Debit before reveal*: a reveal is asked for only when every part of the plan is durable, and it
//! tests everything the plan was decided from. *Abort first*: leases that may be durable become
//! garbage only after the attempt was raised; what was merely queued is simply taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::book::Ledger;
use super::bounds::REVEAL_REFUSED_FOR;
use super::claim_view::Terms;
use super::effect::{ClaimAction, Effect, RequestAction, RequestPatch, Reveal};
use super::ids::{Amount, PoolKey, Token, Uid};
use super::mutant::{self, Mutant};
use super::object::{Mode, ReleasePolicy};
use super::pool::{Add, Pool};
use super::queue::{Shape, ShapeId};
use super::request::{Item, Phase, Place, Plan, Request, Sending, Sent, Why};
use super::time::Span;
use super::timers::Timer;
use super::view::GrantedLease;

impl Ledger {
    /// Begins a grant: queues a lease on every pool of the shape. The caller has found room, and looks at whoever can go
    /// into what is left.
    pub(super) fn start_grant(&mut self, uid: &Uid, id: ShapeId, shape: &Shape) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let Some(attempt) = request.view.attempt else {
            return;
        };
        let labels = request.worker_labels.clone();
        let text = Arc::clone(&request.view.text);
        let terms = self.terms_for(request, shape);
        let linger = |amount| lingers(terms, amount);
        let mut items = BTreeMap::new();
        for (key, amount) in &shape.demand {
            let pool = self.pools.entry(key.clone()).or_default();
            let item = match (pool.seen.is_some(), pool.mode()) {
                (false, _) => {
                    pool.witness_wanted.insert(uid.clone());
                    Item::Absent {
                        confirmed: mutant::is(Mutant::AbsentWithoutLook),
                    }
                }
                (true, Some(Mode::Disabled)) => {
                    let unmarked = mutant::is(Mutant::OpenWithoutMark);
                    pool.open_wanted |= !pool.is_open() && !unmarked;
                    Item::Open {
                        amount: *amount,
                        confirmed: unmarked,
                    }
                }
                (true, _) => {
                    let seen = pool.seen.as_ref().map(|seen| seen.uid.clone());
                    let durable = seen.zip(
                        pool.entries
                            .get(uid)
                            .filter(|entry| entry.attempt == attempt)
                            .map(|entry| entry.token),
                    );
                    if durable.is_some() || pool.may_write(uid) {
                        // It was counted already: who waits has more room than its caller thinks.
                        self.dirty_pools.insert(key.clone());
                    } else {
                        pool.add(
                            uid.clone(),
                            Add {
                                amount: *amount,
                                attempt,
                                adopt: None,
                                linger: linger(*amount),
                            },
                        );
                    }
                    Item::Lease {
                        amount: *amount,
                        durable,
                    }
                }
            };
            items.insert(key.clone(), item);
            self.write_pools.insert(key.clone());
        }
        // What is merely queued is looked at again when it is durable, or falls out.
        let is_queued = |item: &Item| matches!(item, Item::Lease { durable: None, .. });
        let waits = items.values().any(is_queued) && items.values().all(is_queued);
        if let Some(request) = self.requests.get_mut(uid) {
            request.phase = Phase::Taking(Plan {
                attempt,
                text,
                labels,
                items,
                terms,
            });
            request.aside_until = None;
        }
        self.relocate(uid, Place::Granting(id));
        if !waits {
            self.dirty_requests.insert(uid.clone());
        }
    }

    /// Finishes what an earlier leader began, if it still fits everywhere; whether it does.
    pub(super) fn resume(&mut self, uid: &Uid, id: ShapeId) -> bool {
        let Some(shape) = self.queues.line(id).map(|line| Arc::clone(&line.shape)) else {
            return false;
        };
        let Some(request) = self.requests.get(uid) else {
            return false;
        };
        let attempt = request.view.attempt;
        let terms = self.terms_for(request, &shape);
        let held_is_part = request.held.iter().all(|key| {
            let entry = self.pools.get(key).and_then(|pool| pool.entries.get(uid));
            entry.is_some_and(|entry| {
                Some(entry.attempt) == attempt
                    && shape.demand.get(key) == Some(&entry.amount)
                    && entry.linger == lingers(terms, entry.amount)
            })
        });
        let fits = |key: &PoolKey, units| {
            request.held.contains(key)
                || self.pools.get(key).is_none_or(|pool| {
                    pool.seen.is_none()
                        || pool.mode() == Some(Mode::Disabled)
                        || pool.free(self.now.tick) >= units
                })
        };
        let resumes = held_is_part
            && self.obstacle(&shape, Some(uid)).is_none()
            && shape
                .demand
                .iter()
                .all(|(key, amount)| fits(key, amount.units()));
        if resumes {
            self.start_grant(uid, id, &shape);
            // It may have reserved what others wait for.
            for key in shape.demand.keys() {
                self.touch(key);
            }
        }
        resumes
    }

    /// The plan holds: reveal when all of it is durable.
    pub(super) fn advance_grant(&mut self, uid: &Uid) {
        let now = self.now.tick;
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        if let Phase::Taking(plan) = &request.phase {
            if !plan.is_durable() {
                return;
            }
            if let Phase::Taking(plan) = std::mem::replace(&mut request.phase, Phase::Waiting) {
                request.phase = Phase::Revealing(plan, Sending::new(now));
            }
        }
        let Phase::Revealing(_, sending) = &mut request.phase else {
            return;
        };
        let given_up_at = sending.refused_since.map(|it| it.after(REVEAL_REFUSED_FOR));
        if given_up_at.is_some_and(|at| at <= now) && sending.state != Sent::Flying {
            self.stop_grant(uid, Why::RevealRefused);
            return;
        }
        match sending.state {
            Sent::Flying => {}
            Sent::Doubtful => self.want_read(uid),
            Sent::Due(at) if at > now => {
                let at = given_up_at.map_or(at, |end| end.min(at));
                self.timers.set(at, Timer::Request(uid.clone()));
            }
            Sent::Due(_) => {
                sending.state = Sent::Flying;
                self.send_reveal(uid);
            }
        }
    }

    fn send_reveal(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let Phase::Revealing(plan, _) = &request.phase else {
            return;
        };
        let mut leases = Vec::with_capacity(plan.items.len());
        let mut finalizer = false;
        for (key, item) in &plan.items {
            let seen = self.pools.get(key).and_then(|pool| pool.seen.as_ref());
            let (amount, pool_uid, token) = match (item, seen) {
                (
                    Item::Lease {
                        amount,
                        durable: Some((pool_uid, token)),
                    },
                    _,
                ) => (*amount, pool_uid.clone(), *token),
                // Let through uncounted: the record names the pool, so that the pod counts once the
                // pool is no longer Disabled.
                (Item::Open { amount, .. }, Some(seen)) => (*amount, seen.uid.clone(), Token(0)),
                (Item::Lease { .. } | Item::Open { .. } | Item::Absent { .. }, _) => continue,
            };
            let is_take = matches!(amount, Amount::Rate(_));
            if is_take && plan.terms.is_none() {
                // A pod holds nothing of it: its record is of what it holds.
                continue;
            }
            leases.push(GrantedLease {
                pool: key.clone(),
                pool_uid,
                amount,
                token,
            });
            let policy = self
                .pools
                .get(key)
                .and_then(Pool::spec)
                .map(|spec| spec.release);
            finalizer |= policy == Some(ReleasePolicy::Confirmed) && !is_take;
        }
        if let Some(terms) = plan.terms {
            let grant = ClaimAction::Grant {
                attempt: plan.attempt,
                leases,
                terms,
                at: self.now.server,
            };
            self.note_reveal_sent(uid, terms);
            self.patch(uid, RequestAction::Claim(grant));
            return;
        }
        let reveal = Reveal {
            text: Arc::clone(&plan.text),
            labels: plan.labels.clone(),
            attempt: plan.attempt,
            leases,
            finalizers: (finalizer && !request.view.finalizer)
                .then(|| Arc::clone(&request.view.finalizers)),
        };
        let action = RequestAction::Reveal(Box::new(reveal));
        self.patch(uid, action);
    }

    pub(super) fn patch(&mut self, uid: &Uid, action: RequestAction) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        self.effects.push_back(Effect::Patch(Box::new(RequestPatch {
            uid: uid.clone(),
            namespace: request.view.namespace.clone(),
            name: request.view.name.clone(),
            kind: request.view.kind(),
            action,
        })));
    }

    /// Takes back what was queued for a request and never sent.
    pub(super) fn withdraw(&mut self, uid: &Uid) {
        let Some(plan) = self.requests.get(uid).and_then(|it| it.plan()) else {
            return;
        };
        let keys: Vec<PoolKey> = plan.items.keys().cloned().collect();
        for key in keys {
            if let Some(pool) = self.pools.get_mut(&key) {
                pool.withdraw(uid);
            }
            self.touch(&key);
        }
    }

    /// Ends a grant, or a wait, that is not to go on.
    pub(super) fn stop_grant(&mut self, uid: &Uid, why: Why) {
        self.withdraw(uid);
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let may_be_durable = self.has_current_entries(uid)
            || self.pools_of(request).any(|pool| pool.may_write(uid))
            || matches!(request.phase, Phase::Revealing(..));
        if mutant::is(Mutant::RollbackWithoutAbort) && why != Why::Fence {
            let held = request.held.clone();
            for key in held {
                if self
                    .pools
                    .get_mut(&key)
                    .is_some_and(|pool| pool.remove(uid, false))
                {
                    self.touch(&key);
                }
            }
            self.set_waiting(uid);
            return;
        }
        if may_be_durable || matches!(why, Why::TimedOut | Why::Fence | Why::Denied(_)) {
            self.begin_abort(uid, why);
        } else {
            self.set_waiting(uid);
            self.dirty_requests.insert(uid.clone());
        }
    }

    fn pools_of<'a>(&'a self, request: &'a Request) -> impl Iterator<Item = &'a Pool> {
        let planned = request
            .plan()
            .into_iter()
            .flat_map(|plan| plan.items.keys());
        planned
            .chain(&request.held)
            .filter_map(|key| self.pools.get(key))
    }

    /// Puts the label back by which the watch selects.
    pub(super) fn relabel(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        if !request.view.managed {
            let labelled = !request.view.labels.is_empty();
            self.side_patch(uid, RequestAction::Label { labelled });
        }
    }

    /// A patch beside the grant, one at a time for each request.
    pub(super) fn side_patch(&mut self, uid: &Uid, action: RequestAction) {
        let now = self.now.tick;
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        if request.side_patch {
            return;
        }
        if request.side_patch_after > now {
            self.timers
                .set(request.side_patch_after, Timer::Request(uid.clone()));
            return;
        }
        request.side_patch = true;
        self.patch(uid, action);
    }
}

/// How long a lease stays when its claim vanishes without a release: what is taken for a rate goes at once.
fn lingers(terms: Option<Terms>, amount: Amount) -> Option<Span> {
    if mutant::is(Mutant::LingerNotWritten) {
        return None;
    }
    match amount {
        Amount::Rate(_) => None,
        Amount::Slots(_) | Amount::Shared | Amount::Exclusive => terms.map(Terms::linger),
    }
}
