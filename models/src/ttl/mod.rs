//! Model `ttl`: when the first deadline of a claim starts that may have waited for its slot.
//!
//! A tick is a tenth of the lease duration. The holder sends the create and waits; nobody renews while
//! waiting. A controller sees the claim wait and sends the reveal; or another one's reveal arrives. The
//! holder sees Granted whenever it does. A claim that waited longer than 0.4 of its duration, counted by
//! the holder from when it sent the create, renews first and is handed over when that is acknowledged.
//! A controller that saw it wait for more than 0.5, counted up to when it sent the reveal, lets the
//! grant lapse soon if no renewal comes, so that a waiter that died costs little.
//!
//! Who adopts a waiting claim by its id always renews first, for it does not know how long the
//! controller saw it wait.
//!
//! Creates, reveals, renewals and their answers arrive at any later time or never; a leader may take
//! over at any time and knows nothing then; the controller's clock gains a tick on the holder's once.
//! What renewals, releases and revokes do to each other is the subject of `lease`: here one renewal is
//! in flight at a time, and a `seq` is kept as whether the controller has seen the last one.
//!
//! `may` says what can happen next, `act` what that does, `configurations` which rules are searched.

mod act;
mod configurations;
mod may;

pub(crate) use configurations::configurations;

use stateright::{Model, Property};

use crate::properties::BELIEVES;

const AT_ONCE: &str = "a claim that waited shortly is handed over without a renewal";
const RENEWED_FIRST: &str = "a claim that waited is handed over after a renewal";
const LAPSED: &str = "a grant to a waiter that died lapses";
const ADOPTED: &str = "a claim that was adopted while it waited is handed over";
const EXPIRED: &str = "a grant expires after its full duration";
const STALE: &str = "a watch still shows a claim waiting that is held";

/// 0.9 of the duration: what a holder believes after it sent what was acknowledged.
const HOLD: Ticks = 9;
/// 1.05 of the duration, and up to a whole tick.
const EXPIRY: Ticks = 11;
/// 0.4 of the duration: who waited longer renews first.
const RENEW_FIRST: Ticks = 4;
/// 0.5 of the duration: a grant to a claim that was seen waiting longer may lapse.
const SEEN_WAITING: Ticks = 5;
/// As little as may be: 15 s of a long duration.
const LAPSE: Ticks = 1;
/// Ticks by which a creationTimestamp is too old for the clock of the one who reads it.
const SKEW: Ticks = 2;

type Ticks = u8;

/// Known-wrong rules, one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrong {
    /// The first deadline counts from the sight of Granted.
    DeadlineFromSight,
    /// The first deadline counts from the answer to the create.
    DeadlineFromAnswer,
    /// The first deadline counts from a create that was sent again, for the first was not answered.
    DeadlineFromSecondCreate,
    /// Nobody renews first.
    NoRenewFirst,
    /// A claim that waited is handed over when its first renewal is sent.
    HandedOverUnanswered,
    /// The holder's limit is the controller's.
    NoGap,
    /// The holder counts its waiting from the answer to the create.
    WaitedFromAnswer,
    /// The controller counts the waiting up to the answer to its reveal.
    WaitingUntilRevealed,
    /// The controller lets a grant lapse that it knows from its watch alone.
    LapsesByWatch,
    /// The controller counts the waiting from the claim's creationTimestamp.
    WaitingByStamp,
    /// Who adopts a claim that waits counts the waiting from when it sent the swap.
    WaitedFromSwap,
}

/// The model and its rules.
#[derive(Clone, Debug)]
struct Ttl {
    wrong: Option<Wrong>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Claim {
    /// The create has not arrived.
    Unborn,
    Pending,
    Granted {
        /// Some renewal was applied.
        renewed: bool,
    },
    Revoked {
        lapsed: bool,
    },
}

impl Claim {
    fn is_granted(self) -> bool {
        matches!(self, Claim::Granted { .. })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Stage {
    /// Waits for the sight of Granted.
    Waiting,
    /// Has seen it, and must renew first.
    Confirming,
    /// Believes until its deadline.
    Holding {
        renewed: bool,
    },
    Over,
}

/// The holder's side.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Guard {
    stage: Stage,
    /// What has passed since it sent the create or the swap, as long as it waits.
    waited: Ticks,
    /// It adopted the claim while that waited.
    adopted: bool,
    /// What has passed since the create was answered. Kept only where somebody counts from it.
    answered: Option<Ticks>,
    /// Ticks to its deadline.
    left: Ticks,
}

/// The write of a reveal, conditional on Pending.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Reveal {
    None,
    /// On its way; when it was sent, the claim had waited for long.
    Sent {
        long: bool,
    },
    /// Applied; the controller has not read the answer.
    Applied {
        long: bool,
    },
}

/// The lease of a grant, as a controller counts it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Timer {
    elapsed: Ticks,
    /// No renewal was applied after this sight.
    current: bool,
    /// It lapses.
    lapses: bool,
}

/// What the controller remembers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Controller {
    /// What has passed since it first saw the claim wait.
    waiting: Option<Ticks>,
    reveal: Reveal,
    timer: Option<Timer>,
}

/// The renewal in flight.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Answer {
    None,
    Applied,
    Refused,
}

/// Everything there is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    claim: Claim,
    /// What has passed since the create arrived. Kept only where somebody reads the creationTimestamp.
    stamp: Ticks,
    guard: Guard,
    controller: Controller,
    /// Since when, and what became of it.
    renewal: Option<(Ticks, Answer)>,
    /// The controller's clock has gained its tick.
    gained: bool,
    passed_on: bool,
}

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    /// Time passes.
    Tick,
    /// It passes for the controller alone.
    Gain,
    /// The create arrives.
    Create,
    /// Its answer is read.
    CreateAnswered,
    /// Wrong on purpose: it is sent again, finds its own claim, and what went before is forgotten.
    CreateAgain,
    /// A second guard has read the waiting claim of its id, and sends the swap, which is applied: the
    /// former one sees another session with Granted, and never believes.
    Adopt,
    /// The holder sees Granted.
    SeeGranted,
    /// The holder sends a renewal.
    Renew,
    /// It arrives.
    RenewalArrives,
    /// The holder reads the answer.
    RenewalAnswered,
    /// The renewal or its answer is lost.
    RenewalLost,
    /// The controller sees the claim wait.
    LookWaiting,
    /// It sends the reveal; the leases are durable.
    SendReveal,
    /// The reveal arrives.
    RevealArrives,
    /// The controller reads the answer.
    RevealAnswered,
    /// Somebody else's reveal arrives.
    RevealOfAnother,
    /// The controller sees Granted, or a renewal, by its watch.
    Watch,
    /// Another one leads, and knows nothing.
    TakeOver,
    /// The controller revokes the claim.
    Revoke,
    /// The slot is freed, and the next holder has it.
    PassOn,
}

const KNOWS_NOTHING: Controller = Controller {
    waiting: None,
    reveal: Reveal::None,
    timer: None,
};

impl Ttl {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }
}

impl State {
    /// The holder believes, after a renewal or without one.
    fn handed_over(&self, after_renewal: bool) -> bool {
        let stage = self.guard.stage;
        matches!(stage, Stage::Holding { renewed } if renewed == after_renewal)
    }

    /// The slot is passed on, after a lapse or after an expiry.
    fn passed_on_after(&self, lapse: bool) -> bool {
        let revoked = matches!(self.claim, Claim::Revoked { lapsed } if lapsed == lapse);
        self.passed_on && revoked
    }
}

impl Model for Ttl {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            claim: Claim::Unborn,
            stamp: 0,
            guard: Guard {
                stage: Stage::Waiting,
                waited: 0,
                adopted: false,
                answered: None,
                left: 0,
            },
            controller: KNOWS_NOTHING,
            renewal: None,
            gained: false,
            passed_on: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        if !state.gained {
            actions.push(Action::Gain);
        }
        if state.claim == Claim::Unborn {
            actions.push(Action::Create);
        }
        self.guard_actions(state, actions);
        if !state.passed_on {
            self.controller_actions(state, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.act(&mut next, action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(BELIEVES, |_, state: &State| {
                let believes = matches!(state.guard.stage, Stage::Holding { .. });
                !state.passed_on || !believes || state.guard.left == 0
            }),
            Property::sometimes(AT_ONCE, |_, state: &State| state.handed_over(false)),
            Property::sometimes(RENEWED_FIRST, |_, state: &State| state.handed_over(true)),
            Property::sometimes(LAPSED, |_, state: &State| state.passed_on_after(true)),
            Property::sometimes(EXPIRED, |_, state: &State| state.passed_on_after(false)),
            Property::sometimes(ADOPTED, |_, state: &State| {
                state.guard.adopted && state.handed_over(true)
            }),
            Property::sometimes(STALE, |it: &Self, state: &State| {
                let waits = state.controller.waiting.is_some() && it.long(state);
                waits && state.handed_over(false)
            }),
        ]
    }
}
