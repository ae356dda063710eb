//! What may happen next in the model `ttl`: what the holder and the controller decide from what they
//! know, and what is on its way.

use super::{
    Action, Answer, Claim, Controller, EXPIRY, LAPSE, Reveal, SEEN_WAITING, SKEW, Stage, State,
    Timer, Ttl, Wrong,
};

impl Ttl {
    /// The controller has seen the claim wait for so long that its grant may lapse.
    pub(super) fn long(&self, state: &State) -> bool {
        let waiting = match self.is(Wrong::WaitingByStamp) {
            true => state.stamp + SKEW,
            false => state.controller.waiting.unwrap_or_default(),
        };
        waiting > SEEN_WAITING
    }

    pub(super) fn guard_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let guard = state.guard;
        let answers = self.is(Wrong::WaitedFromAnswer) || self.is(Wrong::DeadlineFromAnswer);
        if answers && guard.answered.is_none() && state.claim != Claim::Unborn {
            actions.push(Action::CreateAnswered);
        }
        if guard.stage == Stage::Waiting && state.claim == Claim::Pending && !guard.adopted {
            actions.push(Action::Adopt);
        }
        let again = self.is(Wrong::DeadlineFromSecondCreate) && !guard.adopted;
        if again && guard.stage == Stage::Waiting && state.claim != Claim::Unborn {
            actions.push(Action::CreateAgain);
        }
        let may_count = !answers || guard.answered.is_some();
        if guard.stage == Stage::Waiting && state.claim.is_granted() && may_count {
            actions.push(Action::SeeGranted);
        }
        let renews = match guard.stage {
            Stage::Confirming => true,
            Stage::Holding { .. } => guard.left > 0,
            Stage::Waiting | Stage::Over => false,
        };
        match state.renewal {
            None if renews => actions.push(Action::Renew),
            None => {}
            Some((_, Answer::None)) => {
                actions.extend([Action::RenewalArrives, Action::RenewalLost]);
            }
            Some(_) => actions.extend([Action::RenewalAnswered, Action::RenewalLost]),
        }
    }

    pub(super) fn controller_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let Controller {
            waiting,
            reveal,
            timer,
        } = state.controller;
        actions.push(Action::TakeOver);
        if state.claim == Claim::Pending {
            actions.push(Action::RevealOfAnother);
            if waiting.is_none() {
                actions.push(Action::LookWaiting);
            }
        }
        match reveal {
            // Its watch may be late: what it takes for Pending may be granted.
            Reveal::None if waiting.is_some() && timer.is_none() => {
                actions.push(Action::SendReveal);
            }
            Reveal::None => {}
            Reveal::Sent { .. } => actions.push(Action::RevealArrives),
            Reveal::Applied { .. } => actions.push(Action::RevealAnswered),
        }
        if state.claim.is_granted() {
            if timer.is_none_or(|timer| !timer.current) {
                actions.push(Action::Watch);
            }
            let due = |timer: Timer| {
                let after = if timer.lapses { LAPSE } else { EXPIRY };
                timer.current && timer.elapsed >= after
            };
            if timer.is_some_and(due) {
                actions.push(Action::Revoke);
            }
        }
        if matches!(state.claim, Claim::Revoked { .. }) {
            actions.push(Action::PassOn);
        }
    }
}
