//! What each step of the model `ttl` does to the claim, its holder and the controller.

use super::{
    Action, Answer, Claim, Controller, EXPIRY, HOLD, KNOWS_NOTHING, RENEW_FIRST, Reveal,
    SEEN_WAITING, Stage, State, Ticks, Timer, Ttl, Wrong,
};

impl Ttl {
    fn tick(&self, state: &mut State) {
        let guard = &mut state.guard;
        if guard.stage == Stage::Waiting {
            guard.waited = HOLD.min(guard.waited + 1);
            guard.answered = guard.answered.map(|it| HOLD.min(it + 1));
        }
        guard.left = guard.left.saturating_sub(1);
        if guard.left == 0 && matches!(guard.stage, Stage::Holding { .. }) {
            guard.stage = Stage::Over;
        }
        if let Some((age, Answer::None | Answer::Applied)) = &mut state.renewal {
            *age = HOLD.min(*age + 1);
        }
        if self.is(Wrong::WaitingByStamp) && state.claim == Claim::Pending {
            state.stamp = SEEN_WAITING.min(state.stamp + 1);
        }
        Self::tick_controller(&mut state.controller);
    }

    fn tick_controller(controller: &mut Controller) {
        let longer = |it: Ticks| (SEEN_WAITING + 1).min(it + 1);
        controller.waiting = controller.waiting.map(longer);
        if let Some(timer) = &mut controller.timer {
            timer.elapsed = EXPIRY.min(timer.elapsed + 1);
        }
    }

    /// The holder sees Granted: hand the claim over, or renew first?
    fn see_granted(&self, state: &mut State) {
        let guard = &mut state.guard;
        let waited = match self.is(Wrong::WaitedFromAnswer) {
            true => guard.answered.unwrap_or_default(),
            false => guard.waited,
        };
        let limit = match self.is(Wrong::NoGap) {
            true => SEEN_WAITING,
            false => RENEW_FIRST,
        };
        let passed = match self.wrong {
            Some(Wrong::DeadlineFromSight) => 0,
            Some(Wrong::DeadlineFromAnswer) => guard.answered.unwrap_or_default(),
            _ => guard.waited,
        };
        let unknown = guard.adopted && !self.is(Wrong::WaitedFromSwap);
        let first = (waited > limit || unknown) && !self.is(Wrong::NoRenewFirst);
        guard.left = if first { 0 } else { HOLD - passed };
        guard.stage = match (first, guard.left) {
            (true, _) => Stage::Confirming,
            (false, 0) => Stage::Over,
            (false, _) => Stage::Holding { renewed: false },
        };
        guard.waited = 0;
        guard.answered = None;
    }

    fn renewal_answered(&self, state: &mut State) -> Option<()> {
        let (age, answer) = state.renewal.take()?;
        let guard = &mut state.guard;
        let left = HOLD - age;
        let waits = matches!(guard.stage, Stage::Confirming | Stage::Holding { .. });
        match answer {
            Answer::Applied if waits && left > 0 => {
                guard.left = guard.left.max(left);
                guard.stage = Stage::Holding { renewed: true };
            }
            Answer::Refused if waits => {
                guard.left = 0;
                guard.stage = Stage::Over;
            }
            _ => {}
        }
        Some(())
    }

    fn renewal_arrives(state: &mut State) -> Option<()> {
        let (age, _) = state.renewal?;
        state.renewal = match state.claim {
            Claim::Granted { .. } => {
                state.claim = Claim::Granted { renewed: true };
                if let Some(timer) = &mut state.controller.timer {
                    timer.current = false;
                }
                Some((age, Answer::Applied))
            }
            _ => Some((0, Answer::Refused)),
        };
        Some(())
    }

    /// The answer to the own reveal: it shows the claim as it was then.
    fn reveal_answered(&self, state: &mut State) -> Option<()> {
        let Reveal::Applied { long } = state.controller.reveal else {
            return None;
        };
        let later = self.is(Wrong::WaitingUntilRevealed) && self.long(state);
        state.controller = Controller {
            timer: Some(Timer {
                elapsed: 0,
                current: state.claim == Claim::Granted { renewed: false },
                lapses: long || later,
            }),
            ..KNOWS_NOTHING
        };
        Some(())
    }

    /// The watch shows Granted, or a new `seq`.
    fn watch(&self, state: &mut State) {
        let first = state.controller.timer.is_none();
        let lapses = self.is(Wrong::LapsesByWatch) && first && self.long(state);
        let controller = &mut state.controller;
        controller.timer = Some(Timer {
            elapsed: 0,
            current: true,
            lapses,
        });
        if controller.reveal == Reveal::None {
            controller.waiting = None;
        }
    }

    fn send_reveal(&self, state: &mut State) {
        let long = self.long(state);
        state.controller.reveal = Reveal::Sent { long };
        if !self.is(Wrong::WaitingUntilRevealed) {
            state.controller.waiting = None;
        }
    }

    pub(super) fn act(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Tick => self.tick(state),
            Action::Gain => {
                state.gained = true;
                Self::tick_controller(&mut state.controller);
            }
            Action::Create => state.claim = Claim::Pending,
            Action::Adopt => {
                state.guard.adopted = true;
                state.guard.waited = 0;
            }
            Action::CreateAgain => state.guard.waited = 0,
            Action::CreateAnswered => state.guard.answered = Some(0),
            Action::SeeGranted => self.see_granted(state),
            Action::Renew => {
                state.renewal = Some((0, Answer::None));
                if self.is(Wrong::HandedOverUnanswered) {
                    state.guard.stage = Stage::Holding { renewed: true };
                    state.guard.left = HOLD;
                }
            }
            Action::RenewalArrives => Self::renewal_arrives(state)?,
            Action::RenewalAnswered => self.renewal_answered(state)?,
            Action::RenewalLost => state.renewal = None,
            Action::LookWaiting => state.controller.waiting = Some(0),
            Action::SendReveal => self.send_reveal(state),
            Action::RevealArrives => self.reveal_arrives(state)?,
            Action::RevealAnswered => self.reveal_answered(state)?,
            Action::RevealOfAnother => state.claim = Claim::Granted { renewed: false },
            Action::Watch => self.watch(state),
            Action::TakeOver => state.controller = KNOWS_NOTHING,
            Action::Revoke => {
                let lapsed = state.controller.timer?.lapses;
                state.claim = Claim::Revoked { lapsed };
                state.controller = KNOWS_NOTHING;
            }
            Action::PassOn => state.passed_on = true,
        }
        Some(())
    }

    fn reveal_arrives(&self, state: &mut State) -> Option<()> {
        let Reveal::Sent { long } = state.controller.reveal else {
            return None;
        };
        state.controller.reveal = match state.claim {
            Claim::Pending => {
                state.claim = Claim::Granted { renewed: false };
                Reveal::Applied { long }
            }
            _ => Reveal::None,
        };
        Some(())
    }
}
