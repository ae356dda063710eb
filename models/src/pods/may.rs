//! What may happen next in the model `pods`: what leaders decide from what they see, which patches are
//! under way, what people may still do.

use super::{Action, Leader, Phase, Pod, Pods, REQUESTS, SLOTS, State, Status, Wrong};
use crate::leases::{Attempt, Lease};

impl Pods {
    fn is_void(&self, pod: Pod, lease: Lease) -> bool {
        let without_gate =
            self.is(Wrong::AbortWithoutGateTest) || self.is(Wrong::FenceWithoutGateTest);
        let may_be_void = match pod.phase {
            Phase::Gated => true,
            Phase::Running(..) => without_gate,
            Phase::Absent | Phase::Ended => false,
        };
        may_be_void && lease.attempt < pod.attempt
    }

    fn grant_actions(&self, state: &State, at: usize, actions: &mut Vec<Action>) {
        let Leader::Granting {
            request,
            attempt,
            asks,
            ready,
        } = state.leaders[at]
        else {
            return;
        };
        for pool in asks.iter().filter(|pool| !ready.has(*pool)) {
            let status = state.pools[pool];
            let mine = status.leases.has(Lease { request, attempt });
            let room = status.leases.len() < SLOTS && !status.leases.has_any_of(request);
            if status.disabled {
                actions.push(Action::PassDisabled(at, pool));
            } else if status.fenced && (mine || room) {
                actions.push(Action::Take(at, pool));
            }
            if self.is(Wrong::OpenFromCache) && status.was_open && !status.disabled {
                actions.push(Action::PassByCache(at, pool));
            }
        }
        if ready == asks {
            actions.push(Action::Reveal(at));
        }
    }

    fn idle_actions(&self, state: &State, at: usize, actions: &mut Vec<Action>) {
        for request in (0..REQUESTS).filter(|it| state.pods[*it].phase == Phase::Gated) {
            actions.push(Action::Plan(at, request));
            let attempt = state.pods[request].attempt;
            let held = |status: &Status| status.leases.has(Lease { request, attempt });
            if attempt < self.last_attempt && state.pools.iter().any(held) {
                actions.push(Action::DecideAbort(at, request));
            }
        }
        for (pool, status) in state.pools.iter().enumerate() {
            if !status.fenced && !status.disabled {
                actions.push(Action::List(at, pool));
            }
            let void = |lease: &Lease| self.is_void(state.pods[lease.request], *lease);
            let leases = status.leases.iter().filter(void);
            actions.extend(leases.map(|lease| Action::DecideRemove(at, pool, lease)));
        }
    }

    pub(super) fn leader_actions(&self, state: &State, at: usize, actions: &mut Vec<Action>) {
        match state.leaders[at] {
            // Leaders are alike: only one of those that idle acts.
            Leader::Idle if at > 0 && state.leaders[at - 1] == Leader::Idle => return,
            Leader::Idle => return self.idle_actions(state, at, actions),
            Leader::Granting { .. } => self.grant_actions(state, at, actions),
            Leader::Aborting { .. } => actions.push(Action::Abort(at)),
            Leader::Removing { .. } => actions.push(Action::Remove(at)),
            Leader::Fencing { listed, .. } => self.fence_actions(state, at, listed, actions),
        }
        actions.push(Action::Forget(at));
    }

    fn fence_actions(
        &self,
        state: &State,
        at: usize,
        listed: [Option<Attempt>; REQUESTS],
        actions: &mut Vec<Action>,
    ) {
        let mut left = false;
        for (request, pod) in state.pods.iter().enumerate() {
            if listed[request] != Some(pod.attempt) {
                continue;
            }
            let gated = pod.phase == Phase::Gated;
            let runs = matches!(pod.phase, Phase::Running(..));
            left |= gated;
            if (gated || runs && self.is(Wrong::FenceWithoutGateTest))
                && pod.attempt < self.last_attempt
            {
                actions.push(Action::FenceBump(at, request));
            }
        }
        if !left {
            actions.push(Action::Adopt(at));
        }
    }

    pub(super) fn people_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (request, pod) in state.pods.iter().enumerate() {
            match pod.phase {
                Phase::Absent => actions.push(Action::Create(request)),
                Phase::Running(..) => actions.push(Action::End(request)),
                Phase::Gated => {
                    let raised = !self.edits_raise || pod.attempt < self.last_attempt;
                    let empty = pod.asks.toggled(1).is_empty();
                    if state.left.edits > 0 && raised && !empty {
                        actions.push(Action::Edit(request));
                    }
                    if state.left.forgeries > 0 && pod.attempt > 0 {
                        actions.push(Action::Forge(request));
                    }
                }
                Phase::Ended => {}
            }
        }
        if state.left.flips > 0 {
            actions.push(Action::Flip);
        }
        if state.left.recreations > 0 {
            actions.push(Action::Recreate);
        }
    }
}
