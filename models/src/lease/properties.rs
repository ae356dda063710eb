//! What must hold in every state of the model `lease`, and what its configurations must reach.

use stateright::Property;

use super::{Also, Answer, Content, Controller, Patch, Phase, Renewal, Stage, State, Ticks};
use crate::properties::BELIEVES;

pub(super) const NO_EFFECT: &str =
    "lock delay: what a former holder sent has arrived before the next one begins";
pub(super) const ONE_GUARD: &str = "adoption: one guard of a claim believes at a time";

const PASSED_ON: &str = "the slot is passed on after an expiry";
const OUTLIVES: &str = "a controller that would revoke finds a renewal that it had not seen";
const TOLD_LATE: &str = "a guard is refused after its claim was revoked";
const OVERTAKEN: &str = "a try is overtaken by a later one";
const RELEASED: &str = "the slot is passed on after a release";
const RELEASED_REVOKED: &str = "a release frees a claim that was revoked before its time";
const FORCED: &str = "the slot is passed on after a revoke before its time";
const VANISHED: &str = "the slot is passed on after the claim vanished";
const LINGERS: &str = "a claim is revoked while something sent by its holder is on its way";
const ADOPTED: &str = "a guard that adopted the claim believes";
const WAITS: &str = "a guard that adopted the claim waits while the former one believes";
const RENEWED_BY_BOTH: &str = "a swap is refused, for the former guard has renewed";

impl State {
    fn passed_on_after(&self, phase: Phase) -> bool {
        self.passed_on && self.claim.phase == phase && !self.claim.released
    }

    /// Some controller would revoke, but for a renewal that it has not seen, of a guard that believes.
    fn outlives(&self, expiry: Ticks) -> bool {
        let late = |it: &Controller| {
            let old = matches!(it.seen, Some((Phase::Granted, seq)) if seq < self.claim.seq);
            old && it.elapsed >= expiry
        };
        let granted = self.claim.phase == Phase::Granted;
        granted && self.believers() > 0 && self.controllers.iter().any(late)
    }

    pub(super) fn has_patch(&self, is: impl Fn(&Patch) -> bool) -> bool {
        self.wire.iter().any(is)
    }
}

impl Renewal {
    pub(super) fn always_properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(BELIEVES, |_, state: &State| {
                !state.passed_on || state.believers() == 0
            }),
            Property::always(NO_EFFECT, |_, state: &State| {
                !state.passed_on || state.effect == 0
            }),
            Property::always(ONE_GUARD, |_, state: &State| state.believers() < 2),
        ]
    }

    pub(super) fn sometimes_properties(&self, properties: &mut Vec<Property<Self>>) {
        properties.extend([
            Property::sometimes(PASSED_ON, |_, state: &State| {
                state.passed_on_after(Phase::Revoked)
            }),
            Property::sometimes(OUTLIVES, |it: &Self, state: &State| {
                state.outlives(it.expiry())
            }),
            Property::sometimes(TOLD_LATE, |_, state: &State| {
                state.has_patch(|it| it.answer == Answer::Refused)
            }),
            Property::sometimes(OVERTAKEN, |_, state: &State| {
                let seq = state.claim.seq;
                state.has_patch(|it| {
                    it.content == Content::Renew && it.answer == Answer::None && it.seq < seq
                })
            }),
        ]);
        self.end_properties(properties);
        self.adoption_properties(properties);
    }

    /// What ends other than expiry must lead to.
    fn end_properties(&self, properties: &mut Vec<Property<Self>>) {
        if self.has(Also::Release) {
            properties.push(Property::sometimes(RELEASED, |_, state: &State| {
                state.passed_on && state.claim.released && state.claim.phase == Phase::Granted
            }));
        }
        if self.has(Also::Force) {
            properties.push(Property::sometimes(FORCED, |_, state: &State| {
                state.passed_on_after(Phase::RevokedByForce)
            }));
        }
        if self.has(Also::Release) && self.has(Also::Force) {
            properties.push(Property::sometimes(RELEASED_REVOKED, |_, state: &State| {
                let forced = state.claim.phase == Phase::RevokedByForce;
                state.passed_on && state.claim.released && forced
            }));
        }
        if self.has(Also::Vanish) {
            properties.push(Property::sometimes(VANISHED, |_, state: &State| {
                state.passed_on_after(Phase::Gone)
            }));
        }
        if self.has(Also::Linger) {
            properties.push(Property::sometimes(LINGERS, |_, state: &State| {
                state.claim.phase == Phase::Revoked && state.effect > 0
            }));
        }
    }

    fn adoption_properties(&self, properties: &mut Vec<Property<Self>>) {
        if self.has(Also::Adopt) {
            properties.push(Property::sometimes(ADOPTED, |_, state: &State| {
                state.guards[1].believes()
            }));
        }
        if self.has(Also::Adopt) && !self.has(Also::Dies) {
            properties.push(Property::sometimes(WAITS, |_, state: &State| {
                let waits = matches!(state.guards[1].stage, Stage::Waiting(_));
                waits && state.guards[0].believes()
            }));
            properties.push(Property::sometimes(RENEWED_BY_BOTH, |_, state: &State| {
                let swap = |it: &Patch| matches!(it.content, Content::Swap(_));
                let refused = |it: &Patch| swap(it) && it.answer == Answer::Refused;
                state.claim.session == 0 && state.guards[0].believes() && state.has_patch(refused)
            }));
        }
    }
}
