//! What may happen next in the model `lease`: what guards and controllers decide from what they know,
//! which patches are under way, what people may do.

use super::{
    Action, Also, Answer, CONTROLLERS, Content, Patch, Phase, Renewal, SKEW, Stage, State, Wrong,
};

impl Renewal {
    pub(super) fn time_actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Tick(None));
        if self.has(Also::Drift) {
            let steady = (0..CONTROLLERS).filter(|at| !state.controllers[*at].gained);
            actions.extend(steady.map(|at| Action::Tick(Some(at))));
        }
    }

    pub(super) fn guard_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let room = state.wire.len() < self.in_flight;
        for (at, guard) in state.guards.iter().enumerate() {
            let keeps = matches!(guard.stage, Stage::Holding | Stage::Waiting(_)) && guard.left > 0;
            // The answer to its swap was lost; it reads that the session is its own.
            let found = at > 0 && guard.left == 0 && self.is_adopted_unknown(state);
            if room && (keeps || found) {
                actions.push(Action::Renew(at));
            }
            let unanswered = |it: &Patch| it.guard == at && it.content == Content::Renew;
            if self.is(Wrong::SameSeqAgain) && room && keeps && state.has_patch(unanswered) {
                actions.push(Action::RenewAgain(at));
            }
            if guard.believes() && self.has(Also::Linger) {
                actions.push(Action::Effect(at));
            }
            // Whoever lost it says so too, once its work has stopped.
            let knew = match guard.stage {
                Stage::Holding | Stage::Over { alone: true } => true,
                Stage::Waiting(_) => self.is(Wrong::ReleasedWhileWaiting),
                Stage::Idle | Stage::Read(_) | Stage::Over { alone: false } => false,
            };
            let due = knew && state.effect == 0 && !state.claim.released;
            if self.has(Also::Release) && room && due {
                actions.push(Action::Release(at));
            }
        }
        if self.has(Also::Adopt) {
            let dies = self.has(Also::Dies);
            let dead = matches!(state.guards[0].stage, Stage::Over { .. });
            let free =
                state.claim.phase == Phase::Granted && !state.claim.released && (dead || !dies);
            if dies && !dead {
                actions.push(Action::Die);
            }
            match state.guards[1].stage {
                Stage::Idle if free && state.claim.session == 0 => actions.push(Action::Read),
                Stage::Read(_) if room => actions.push(Action::Swap),
                _ => {}
            }
        }
    }

    /// The second guard's swap was applied, and it has not read the answer.
    fn is_adopted_unknown(&self, state: &State) -> bool {
        state.claim.session == 1
            && state.claim.phase == Phase::Granted
            && state.guards[1].stage == Stage::Idle
    }

    pub(super) fn wire_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for patch in &state.wire {
            actions.push(Action::Arrive(*patch));
            actions.push(Action::Lose(*patch));
            if matches!(patch.answer, Answer::Applied | Answer::Refused) {
                actions.push(Action::Answer(*patch));
            }
        }
    }

    pub(super) fn people_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.has(Also::Force) && state.claim.phase == Phase::Granted {
            actions.push(Action::Force);
        }
        if self.has(Also::Vanish) && state.claim.phase != Phase::Gone {
            actions.push(Action::Delete);
        }
    }

    pub(super) fn controller_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for at in 0..CONTROLLERS {
            // Controllers are alike: only one of those that know the same acts.
            if at > 0 && state.controllers[at] == state.controllers[at - 1] {
                continue;
            }
            if state.controllers[at].seen != Some(state.sight()) {
                actions.push(Action::See(at));
            }
            if state.claim.phase == Phase::Granted && self.may_revoke(state, at) {
                actions.push(Action::Revoke(at));
            }
            if self.may_pass_on(state, at) {
                actions.push(Action::PassOn(at));
            }
        }
    }

    /// The `seq` seen is still there, for the write tests it, and has expired.
    fn may_revoke(&self, state: &State, at: usize) -> bool {
        let controller = state.controllers[at];
        let Some((Phase::Granted, seq)) = controller.seen else {
            return false;
        };
        let expired = match self.is(Wrong::WallClock) {
            true => state.claim.age + SKEW >= self.expiry(),
            false => controller.elapsed >= self.expiry(),
        };
        expired && (seq == state.claim.seq || self.is(Wrong::RevokeWithoutSeqTest))
    }

    fn may_pass_on(&self, state: &State, at: usize) -> bool {
        let controller = state.controllers[at];
        if state.claim.released && state.claim.phase != Phase::Gone {
            return true;
        }
        let after = match controller.seen {
            None => return false,
            Some((Phase::Granted, _)) if self.is(Wrong::FreedDirectly) => self.expiry(),
            Some((Phase::Granted, _)) => return false,
            Some((Phase::Revoked, _)) => self.lock_delay(),
            Some((Phase::RevokedByForce, _)) if self.is(Wrong::ForcedFreesAtOnce) => 0,
            Some((Phase::Gone, _)) if self.is(Wrong::VanishedFreesAtOnce) => 0,
            Some((Phase::Gone, _)) if self.is(Wrong::VanishedWithoutLockDelay) => self.expiry(),
            Some((Phase::RevokedByForce | Phase::Gone, _)) => self.expiry() + self.lock_delay(),
        };
        controller.elapsed >= after
    }
}
