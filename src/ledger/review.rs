//! Looking at one request as it is now: the recovery table of DESIGN 5.1, level-triggered.
//!
//! Whatever happened, the answer follows from four facts: what the request says, what is durable about
//! it in the statuses, what is queued or flying, and whether it has ended. So a fresh leader, a lost
//! answer and an ordinary day take the same path.

use super::book::Ledger;
use super::cause::Cause;
use super::end::{End, judge};
use super::ids::{Attempt, Uid};
use super::mutant::{self, Mutant};
use super::queue::ShapeId;
use super::request::{Item, Phase, Place, Request, Why};

impl Ledger {
    /// Looks at a request and does what its state asks for.
    pub(super) fn review(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get(uid) else {
            self.review_stranger(uid);
            return;
        };
        let end = judge(&request.view, request.gone);
        if request.gone.is_some() || end == End::Confirmed {
            self.review_ended(uid, end);
        } else if request.view.is_revealed() {
            self.review_revealed(uid, end);
        } else {
            self.review_gated(uid);
        }
        self.look_for_unwatched(uid);
    }

    /// Gone, or ended: nothing of it is granted any more, and what it has is released.
    fn review_ended(&mut self, uid: &Uid, end: End) {
        self.withdraw(uid);
        self.unplace(uid);
        self.fence_bumps.remove(uid);
        if let Some(request) = self.requests.get_mut(uid) {
            request.phase = Phase::Held;
        }
        self.release_ended(uid, end);
    }

    /// Its gate is gone: it holds, whatever became of our part in it.
    fn review_revealed(&mut self, uid: &Uid, end: End) {
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        let revealed_now = matches!(request.phase, Phase::Revealing(..));
        let was_waiting = !matches!(request.phase, Phase::Held);
        request.phase = Phase::Held;
        if end == End::Live {
            request.held_since.get_or_insert(self.now.tick);
        }
        self.fence_bumps.remove(uid);
        if was_waiting {
            self.withdraw(uid);
            self.unplace(uid);
        }
        if revealed_now {
            self.note_grant(uid);
        }
        self.note_late_edit(uid);
        self.settle_takes(uid);
        let is_claim = self
            .requests
            .get(uid)
            .is_some_and(|it| it.view.claim.is_some());
        if mutant::is(Mutant::OperatorFreesUntold) {
            self.release_forced(uid);
        }
        if end == End::Live && is_claim {
            // Whatever an operator says, its holder is told first.
            self.tend_granted(uid);
        } else {
            self.release_forced(uid);
        }
        if end == End::Live {
            self.adopt_if_uncounted(uid);
        } else {
            self.release_ended(uid, end);
        }
    }

    fn review_gated(&mut self, uid: &Uid) {
        self.place(uid);
        self.collect_void_entries(uid);
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        match &request.phase {
            Phase::Held => {
                // A gate cannot come back; only a restored backup shows one on a revealed pod.
                self.set_waiting(uid);
                self.dirty_requests.insert(uid.clone());
            }
            Phase::Aborting(abort) => {
                if request.view.attempt != Some(abort.from) {
                    self.abort_done(uid);
                } else {
                    self.send_abort(uid);
                }
            }
            Phase::Taking(_) | Phase::Revealing(..) => self.review_plan(uid),
            Phase::Waiting => self.review_waiting(uid),
        }
    }

    /// A grant is under way: does what it was decided from still hold?
    fn review_plan(&mut self, uid: &Uid) {
        self.note_durable_items(uid);
        if mutant::is(Mutant::TakeGoesBeforeReveal) {
            self.settle_takes(uid);
        }
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let Some(plan) = request.plan() else { return };
        if request.view.attempt != Some(plan.attempt) {
            // Raised by somebody else (a rival, or the admission policy at an edit): all of it is void.
            self.withdraw(uid);
            self.set_waiting(uid);
            self.dirty_requests.insert(uid.clone());
            return;
        }
        let why = if request.view.deleting {
            Some(Why::Deleting)
        } else if request.view.text != plan.text || !self.plan_matches_place(request) {
            Some(Why::Edited)
        } else if !self.plan_is_backed(uid, request) {
            Some(Why::LostFit)
        } else if self.timed_out(request) {
            Some(Why::TimedOut)
        } else {
            None
        };
        match why {
            Some(why) => self.stop_grant(uid, why),
            None => self.advance_grant(uid),
        }
    }

    /// Leases that the acknowledged statuses show are durable, whichever answer told us.
    fn note_durable_items(&mut self, uid: &Uid) {
        let believes = mutant::is(Mutant::OpenWithoutLook);
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        let Some(plan) = request.plan_mut() else {
            return;
        };
        let attempt = plan.attempt;
        for (key, item) in &mut plan.items {
            let Some(pool) = self.pools.get_mut(key) else {
                continue;
            };
            match item {
                Item::Lease { amount, durable } if durable.is_none() => {
                    let entry = pool.entries.get(uid).filter(|entry| {
                        entry.attempt == attempt
                            && entry.amount == *amount
                            && !pool.removes.contains_key(uid)
                    });
                    *durable = pool
                        .seen
                        .as_ref()
                        .map(|seen| seen.uid.clone())
                        .zip(entry.map(|it| it.token));
                }
                Item::Open { confirmed, .. } if believes && pool.is_open() => *confirmed = true,
                Item::Absent { confirmed: false } if mutant::is(Mutant::WitnessForgotten) => {}
                Item::Open {
                    confirmed: false, ..
                }
                | Item::Absent { confirmed: false }
                    if pool.is_open() || pool.seen.is_none() =>
                {
                    if pool.want_witness(uid) {
                        self.write_pools.insert(key.clone());
                    }
                }
                Item::Lease { .. } | Item::Open { .. } | Item::Absent { .. } => {}
            }
        }
    }

    /// The plan takes what the request, resolved as things are now, asks for.
    fn plan_matches_place(&self, request: &Request) -> bool {
        let (Some(plan), Some(id)) = (request.plan(), request.place.shape()) else {
            return false;
        };
        let Some(line) = self.queues.line(id) else {
            return false;
        };
        line.shape.demand.len() == plan.items.len()
            && line
                .shape
                .demand
                .iter()
                .all(|(pool, amount)| match plan.items.get(pool) {
                    Some(Item::Lease {
                        amount: planned, ..
                    }) => planned == amount,
                    Some(Item::Open { .. } | Item::Absent { .. }) => true,
                    None => false,
                })
    }

    /// Every part of the plan is durable, or still on its way to be.
    fn plan_is_backed(&self, uid: &Uid, request: &Request) -> bool {
        let Some(plan) = request.plan() else {
            return false;
        };
        plan.items.iter().all(|(key, item)| {
            let Some(pool) = self.pools.get(key) else {
                return matches!(item, Item::Absent { .. });
            };
            match item {
                Item::Lease {
                    durable: Some((pool_uid, token)),
                    ..
                } => {
                    pool.seen.as_ref().is_some_and(|seen| seen.uid == *pool_uid)
                        && pool.entries.get(uid).is_some_and(|entry| {
                            entry.token == *token && entry.attempt == plan.attempt
                        })
                }
                Item::Lease { durable: None, .. } => {
                    pool.entries.contains_key(uid)
                        || pool.may_write(uid)
                        || (pool.adds.contains_key(uid) && pool.still_grants())
                }
                Item::Open { .. } => self.serves_open(pool),
                Item::Absent { .. } => pool.seen.is_none(),
            }
        })
    }

    fn review_waiting(&mut self, uid: &Uid) {
        if self.abort_entries_of_unknown_attempt(uid) || self.deny_on_arrival(uid) {
            return;
        }
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let cause = self.own_cause(request);
        let shape = request.place.shape();
        let partial = !request.held.is_empty();
        if self.timed_out(request) && !matches!(cause, Some(Cause::TimedOut)) {
            self.stop_grant(uid, Why::TimedOut);
            return;
        }
        match (cause, shape) {
            (cause, Some(shape)) if partial => self.resume_or_abort(uid, shape, cause),
            (Some(cause), Some(shape)) => self.move_to(uid, Place::Aside(shape, cause)),
            (None, Some(shape)) => {
                let rank = request.rank();
                self.move_to(uid, Place::Queued(shape, rank));
            }
            // Entries of void attempts are on their way out by themselves.
            (_, None) if self.has_current_entries(uid) => self.stop_grant(uid, Why::Edited),
            (_, None) => {}
        }
        self.set_timeout_timer(uid);
        self.finish_claim(uid);
    }

    /// Durable leases of the current attempt, and nothing under way: an earlier leader's unfinished
    /// grant, or one whose answer was lost. Finish it if it fits, else abort.
    fn resume_or_abort(&mut self, uid: &Uid, shape: ShapeId, cause: Option<Cause>) {
        if cause.is_none() && self.resume(uid, shape) {
            return;
        }
        // Entries of void attempts are being removed; until they are gone, it stands aside.
        if self.has_current_entries(uid) {
            self.stop_grant(uid, Why::LostFit);
        } else {
            self.move_to(uid, Place::Aside(shape, cause.unwrap_or(Cause::Unsettled)));
        }
    }

    /// A reason of the request's own to stand aside.
    fn own_cause(&self, request: &Request) -> Option<Cause> {
        if request.view.deleting {
            return Some(Cause::RequestDeleting);
        }
        if request.view.attempt == Some(Attempt::TimedOut) {
            return Some(Cause::TimedOut);
        }
        if let Some((until, cause)) = &request.aside_until
            && *until > self.now.tick
        {
            return Some(cause.clone());
        }
        let held_back = request.view.gates.others && !mutant::is(Mutant::IgnoresForeignGates);
        held_back.then_some(Cause::ForeignGate)
    }

    pub(super) fn set_waiting(&mut self, uid: &Uid) {
        if let Some(request) = self.requests.get_mut(uid) {
            request.phase = Phase::Waiting;
        }
    }

    /// A request the watch does not show is labelled again, and read from time to time.
    fn look_for_unwatched(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        if request.unwatched && request.gone.is_none() && !self.is_deleting_claim(uid) {
            self.want_read(uid);
            self.relabel(uid);
        }
    }
}
