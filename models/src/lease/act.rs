//! What each step of the model `lease` does to the claim, to guards and to controllers.

use super::{
    Action, Also, Answer, Content, Controller, Guard, Patch, Phase, Renewal, Seq, Stage, State,
    Wrong,
};

impl Renewal {
    pub(super) fn act(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Tick(gains) => self.tick(state, gains),
            Action::Renew(at) => {
                let seq = next_seq(state, at);
                send(state, at, Content::Renew, seq)?;
            }
            Action::RenewAgain(at) => {
                let seq = next_seq(state, at).saturating_sub(1);
                send(state, at, Content::Renew, seq)?;
            }
            Action::Release(at) => {
                if !self.is(Wrong::BelievesUntilReleased) {
                    state.guards[at].end();
                }
                send(state, at, Content::Release, 0)?;
            }
            Action::Effect(_) => state.effect = self.linger(),
            Action::Die => state.guards[0].end(),
            Action::Read => state.guards[1].stage = Stage::Read(state.claim.seq),
            Action::Swap => {
                let Stage::Read(seq) = state.guards[1].stage else {
                    return None;
                };
                let new = seq + u8::from(!self.is(Wrong::SwapWithoutNewSeq));
                state.guards[1].stage = Stage::Idle;
                send(state, 1, Content::Swap(seq), new)?;
            }
            Action::Arrive(patch) => self.arrive(state, patch)?,
            Action::Answer(patch) => self.answer(state, patch)?,
            Action::Lose(patch) => {
                take(state, patch)?;
            }
            Action::See(at) => self.see(state, at),
            Action::Revoke(_) => state.claim.phase = Phase::Revoked,
            Action::Force => state.claim.phase = Phase::RevokedByForce,
            Action::Delete => state.claim.phase = Phase::Gone,
            Action::PassOn(_) => {
                state.passed_on = true;
                state.controllers = [Controller::default(); super::CONTROLLERS];
            }
        }
        rank(state);
        state.controllers.sort();
        // The same patch twice does no more than once and its duplicates.
        state.wire.sort();
        state.wire.dedup();
        Some(())
    }

    fn tick(&self, state: &mut State, gains: Option<usize>) {
        let longest = self.expiry() + self.lock_delay();
        for (at, controller) in state.controllers.iter_mut().enumerate() {
            if controller.seen.is_none() {
                continue;
            }
            let gained = gains == Some(at);
            controller.gained |= gained;
            controller.elapsed = longest.min(controller.elapsed + 1 + u8::from(gained));
        }
        for guard in &mut state.guards {
            guard.stage = match (guard.stage, guard.left.saturating_sub(1)) {
                (Stage::Waiting(_) | Stage::Holding, 0) => guard.ended(),
                (Stage::Waiting(ticks), _) if ticks + 1 >= self.hold => Stage::Holding,
                (Stage::Waiting(ticks), _) => Stage::Waiting(ticks + 1),
                (stage, _) => stage,
            };
            guard.left = guard.left.saturating_sub(1);
        }
        for patch in &mut state.wire {
            let matters = matches!(patch.answer, Answer::None | Answer::Applied);
            if matters && patch.content != Content::Release {
                patch.age = self.hold.min(patch.age + 1);
            }
        }
        state.effect = state.effect.saturating_sub(1);
        if self.is(Wrong::WallClock) {
            state.claim.age = longest.min(state.claim.age + 1);
        }
    }

    /// What the API server does with a guard's patch.
    fn arrive(&self, state: &mut State, patch: Patch) -> Option<()> {
        take(state, patch)?;
        let claim = &mut state.claim;
        let granted = claim.phase == Phase::Granted
            || self.is(Wrong::RenewsRevoked) && claim.phase != Phase::Gone;
        let own = claim.session == patch.guard;
        let answer = match patch.content {
            Content::Release => {
                let own = own || self.is(Wrong::ReleaseWithoutSessionTest);
                claim.released |= own && claim.phase != Phase::Gone;
                match self.is(Wrong::BelievesUntilReleased) {
                    true => Answer::Applied,
                    false => return Some(()),
                }
            }
            Content::Renew => {
                let own = own || self.is(Wrong::RenewWithoutSessionTest);
                if !granted || !own {
                    Answer::Refused
                } else if patch.seq < claim.seq && !self.is(Wrong::SeqFalls) {
                    // A later try was applied: nothing is lost by that.
                    Answer::Read
                } else {
                    claim.seq = patch.seq;
                    if self.is(Wrong::WallClock) {
                        claim.age = patch.age;
                    }
                    Answer::Applied
                }
            }
            Content::Swap(seen) => {
                let falls = patch.seq < claim.seq;
                let same = seen == claim.seq || self.is(Wrong::SwapWithoutSeqTest) && !falls;
                let kept = !claim.released || self.is(Wrong::SwapWithoutReleaseTest);
                match granted && kept && claim.session == 0 && same {
                    true => {
                        claim.session = 1;
                        claim.seq = patch.seq;
                        Answer::Applied
                    }
                    false => Answer::Refused,
                }
            }
        };
        let first = patch.answer == Answer::None;
        let answer = if first { answer } else { patch.answer };
        let age = match answer {
            Answer::None | Answer::Applied => patch.age,
            Answer::Refused | Answer::Read => 0,
        };
        state.wire.push(Patch {
            age,
            answer,
            ..patch
        });
        Some(())
    }

    /// A guard reads an answer; the patch may still arrive again.
    fn answer(&self, state: &mut State, patch: Patch) -> Option<()> {
        take(state, patch)?;
        let guard = &mut state.guards[patch.guard];
        let age = match self.is(Wrong::DeadlineFromAnswer) {
            true => 0,
            false => patch.age,
        };
        let left = self.hold - age;
        match (patch.answer, patch.content, guard.stage) {
            (_, Content::Release, _) => guard.end(),
            (Answer::Applied, _, Stage::Holding | Stage::Waiting(_)) => {
                guard.left = guard.left.max(left);
            }
            (Answer::Applied, _, Stage::Idle) if left > 0 => {
                guard.left = left;
                guard.stage = match self.is(Wrong::AdoptedAtOnce) || self.has(Also::Dies) {
                    true => Stage::Holding,
                    false => Stage::Waiting(0),
                };
            }
            // Who did not get it may try again; who had it has lost it. A swap that was sent again is
            // refused when the first one was applied.
            (Answer::Refused, Content::Renew, Stage::Holding | Stage::Waiting(_)) => guard.end(),
            _ => {}
        }
        if patch.content != Content::Release {
            state.wire.push(Patch {
                age: 0,
                answer: Answer::Read,
                ..patch
            });
        }
        Some(())
    }

    fn see(&self, state: &mut State, at: usize) {
        let sight = state.sight();
        let controller = &mut state.controllers[at];
        let counts_on = self.is(Wrong::VanishedFreesByLastSight)
            && sight.0 == Phase::Gone
            && controller.seen.is_some();
        *controller = match counts_on {
            true => Controller {
                seen: Some(sight),
                ..*controller
            },
            false => Controller {
                seen: Some(sight),
                ..Controller::default()
            },
        };
    }
}

impl Guard {
    /// What it is when its belief ends: who waited for a former guard's cannot know that that has ended.
    fn ended(self) -> Stage {
        let alone = !matches!(self.stage, Stage::Waiting(_) | Stage::Over { alone: false });
        Stage::Over { alone }
    }

    /// It does not believe any more, and never will again.
    fn end(&mut self) {
        self.stage = self.ended();
        self.left = 0;
    }
}

/// Keeps the order of the numbers that still matter, and forgets how large they are.
fn rank(state: &mut State) {
    let mut seqs = vec![&mut state.claim.seq];
    for patch in &mut state.wire {
        match &mut patch.content {
            Content::Release => continue,
            Content::Renew => {}
            Content::Swap(seen) => seqs.push(seen),
        }
        seqs.push(&mut patch.seq);
    }
    for controller in &mut state.controllers {
        if let Some((Phase::Granted, seq)) = &mut controller.seen {
            seqs.push(seq);
        }
    }
    for guard in &mut state.guards {
        if let Stage::Read(seq) = &mut guard.stage {
            seqs.push(seq);
        }
    }
    seqs.sort_unstable();
    let mut rank = 0;
    let mut before = None;
    for seq in seqs {
        rank += Seq::from(before.is_some_and(|before| before < *seq));
        before = Some(*seq);
        *seq = rank;
    }
}

/// One more than any that the guard knows to be in use.
fn next_seq(state: &State, guard: usize) -> Seq {
    let own = state.wire.iter().filter(|patch| patch.guard == guard);
    let highest = own.map(|patch| patch.seq).max().unwrap_or_default();
    highest.max(state.claim.seq) + 1
}

fn send(state: &mut State, guard: usize, content: Content, seq: Seq) -> Option<()> {
    let patch = Patch {
        guard,
        content,
        seq,
        age: 0,
        answer: Answer::None,
    };
    (!state.wire.contains(&patch)).then(|| state.wire.push(patch))
}

fn take(state: &mut State, patch: Patch) -> Option<Patch> {
    let at = state.wire.iter().position(|it| *it == patch)?;
    Some(state.wire.remove(at))
}
