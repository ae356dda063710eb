//! What each step of the model `pods` does to the objects and to the leaders' memory.

use super::{Action, Leader, Phase, Pod, Pods, REQUESTS, SLOTS, State, Status, Wrong};
use crate::leases::{Attempt, Lease, Leases, Pool, Set};

impl Pods {
    pub(super) fn act(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Plan(at, request) => {
                let Pod { attempt, asks, .. } = state.pods[request];
                state.leaders[at] = Leader::Granting {
                    request,
                    attempt,
                    asks,
                    ready: Set::default(),
                };
            }
            Action::Take(at, pool)
            | Action::PassDisabled(at, pool)
            | Action::PassByCache(at, pool) => {
                self.make_ready(state, at, pool, action);
            }
            Action::Reveal(at) => self.reveal(state, at),
            Action::DecideAbort(at, request) => {
                let from = state.pods[request].attempt;
                state.leaders[at] = Leader::Aborting { request, from };
            }
            Action::Abort(at) => {
                let Leader::Aborting { request, from } = state.leaders[at] else {
                    return None;
                };
                self.bump(&mut state.pods[request], from, Wrong::AbortWithoutGateTest);
                state.leaders[at] = Leader::Idle;
            }
            Action::List(at, pool) => state.leaders[at] = self.list(state, pool),
            Action::FenceBump(at, request) => {
                let Leader::Fencing { listed, .. } = state.leaders[at] else {
                    return None;
                };
                let from = listed[request]?;
                self.bump(&mut state.pods[request], from, Wrong::FenceWithoutGateTest);
            }
            Action::Adopt(at) => self.adopt(state, at),
            Action::DecideRemove(at, pool, lease) => {
                state.leaders[at] = Leader::Removing { pool, lease };
            }
            Action::Remove(at) => {
                let Leader::Removing { pool, lease } = state.leaders[at] else {
                    return None;
                };
                state.pools[pool].leases.remove(lease);
                state.leaders[at] = Leader::Idle;
            }
            Action::Forget(at) => state.leaders[at] = Leader::Idle,
            Action::Release(pool, lease) => state.pools[pool].leases.remove(lease),
            Action::End(_) | Action::Create(_) | Action::Edit(_) | Action::Forge(_) => {
                self.change_pod(state, action);
            }
            Action::Flip => {
                state.left.flips -= 1;
                state.pools[0].disabled ^= true;
                if !self.is(Wrong::FenceOutlivesDisabled) {
                    // The adopting write is of a version whose generation its leader has seen.
                    state.begin_fences_anew(0);
                }
            }
            Action::Recreate => self.recreate(state),
        }
        state.leaders.sort();
        Some(())
    }

    fn make_ready(&self, state: &mut State, at: usize, pool: Pool, action: Action) {
        if let Leader::Granting {
            request,
            attempt,
            ready,
            ..
        } = &mut state.leaders[at]
        {
            *ready = ready.with(pool);
            let status = &mut state.pools[pool];
            match action {
                Action::PassDisabled(..) if !self.is(Wrong::DisabledUnmarked) => {
                    status.open = true;
                    status.fenced = false;
                    status.was_open = self.is(Wrong::OpenFromCache);
                }
                Action::Take(..) => status.leases.insert(Lease {
                    request: *request,
                    attempt: *attempt,
                }),
                _ => {}
            }
        }
    }

    fn reveal(&self, state: &mut State, at: usize) {
        let Leader::Granting {
            request,
            attempt,
            asks,
            ..
        } = state.leaders[at]
        else {
            return;
        };
        state.leaders[at] = Leader::Idle;
        let pod = &mut state.pods[request];
        let same_attempt = pod.attempt == attempt || self.is(Wrong::RevealWithoutAttemptTest);
        let same_text = pod.asks == asks || self.is(Wrong::RevealWithoutTextTest);
        if pod.phase == Phase::Gated && same_attempt && same_text {
            pod.phase = Phase::Running(attempt, pod.asks);
            for pool in pod.asks.iter() {
                let counts = state.pools[pool].fenced && !state.pools[pool].disabled;
                state.overrun |= counts && state.running(pool).count() > SLOTS;
            }
        }
    }

    fn list(&self, state: &State, pool: Pool) -> Leader {
        let mut listed = [None; REQUESTS];
        for (request, pod) in state.pods.iter().enumerate() {
            let named = pod.phase == Phase::Gated && pod.asks.has(pool);
            if named && !self.is(Wrong::FenceByWaiting) {
                listed[request] = Some(pod.attempt);
            }
        }
        Leader::Fencing { pool, listed }
    }

    fn adopt(&self, state: &mut State, at: usize) {
        let Leader::Fencing { pool, .. } = state.leaders[at] else {
            return;
        };
        state.leaders[at] = Leader::Idle;
        if state.pools[pool].fenced || state.pools[pool].disabled {
            return;
        }
        let holders: Vec<Lease> = state.running(pool).collect();
        let status = &mut state.pools[pool];
        for lease in holders {
            let there = status.leases.has_any_of(lease.request);
            if self.is(Wrong::NoAdoption) || there && self.is(Wrong::ZombieEntrySatisfies) {
                continue;
            }
            status.leases.remove_all_of(lease.request);
            status.leases.insert(lease);
        }
        status.fenced = true;
        status.open = false;
    }

    fn change_pod(&self, state: &mut State, action: Action) {
        match action {
            Action::End(request) => state.pods[request].phase = Phase::Ended,
            Action::Create(request) => state.pods[request].phase = Phase::Gated,
            Action::Edit(request) => {
                state.left.edits -= 1;
                let pod = &mut state.pods[request];
                pod.asks = pod.asks.toggled(1);
                pod.attempt += u8::from(self.edits_raise);
            }
            Action::Forge(request) => {
                state.left.forgeries -= 1;
                state.pods[request].attempt = 0;
            }
            _ => {}
        }
    }

    fn recreate(&self, state: &mut State) {
        state.left.recreations -= 1;
        let pool = self.recreated;
        state.begin_fences_anew(pool);
        let lost =
            |leader: &Leader| matches!(leader, Leader::Removing { pool: of, .. } if *of == pool);
        for leader in state.leaders.iter_mut().filter(|it| lost(it)) {
            *leader = Leader::Idle;
        }
        state.pools[pool] = Status {
            disabled: false,
            open: false,
            fenced: self.is(Wrong::NoFence),
            leases: Leases::default(),
            was_open: state.pools[pool].was_open,
        };
    }

    fn bump(&self, pod: &mut Pod, from: Attempt, untested: Wrong) {
        let gated = pod.phase == Phase::Gated;
        let runs = matches!(pod.phase, Phase::Running(..));
        if pod.attempt == from && (gated || runs && self.is(untested)) {
            pod.attempt = from + 1;
        }
    }
}
