//! Model `lease`: a claim that is held by renewals. Renewals, releases and revokes meet on it, and its
//! slot is passed on after that.
//!
//! One slot, one claim that was granted the moment it was created, its guard (the holder's side), and
//! two controllers that both believe they lead and share no memory. Whoever gets the slot next uses it
//! at once. A guard's patch is sent in one step and arrives in another, at any later time, as often as
//! you like (late duplicates) or never; its answer is read at any time after that or never. People may
//! revoke the claim before its time, or delete it. A second guard may adopt it by its id.
//!
//! Time is discrete, and kept as what is left until a deadline and what has passed since a sight, so
//! nothing bounds how long all of this goes on. Clocks run alike, and then the controllers' expiry
//! follows the guard's deadline without a gap, which is the strictest case; or each controller's clock
//! gains a tick in a duration, and then the gap is that tick. A `seq` is kept as its rank among those
//! that somebody still knows or that are in flight, so nothing bounds the number of renewals.
//!
//! A revoke is sent in the step in which it arrives: it tests the `seq` of a sight, and so is as old as
//! that sight. A leader that starts anew knows nothing, as both do at first. That the write which
//! removes a lease from a status is compare-and-swap is the subject of `grant`.
//!
//! `may` says what can happen next, `act` what that does, `properties` what must hold and be reached,
//! `configurations` which worlds are searched.

mod act;
mod configurations;
mod may;
mod properties;

pub(crate) use configurations::configurations;

use stateright::{Model, Property};

/// Ticks by which some clock of day is wrong, where one is believed.
const SKEW: Ticks = 1;
/// Guards: the one that created the claim, and the one that may adopt it.
const GUARDS: usize = 2;
/// Controllers.
const CONTROLLERS: usize = 2;

type Ticks = u8;
/// A rank among the numbers that still matter.
type Seq = u8;

/// Known-wrong rules, one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrong {
    /// The slot is freed when the lease expires, without a word to the claim.
    FreedDirectly,
    /// Expiry is judged by the time of day that the renewal carries.
    WallClock,
    /// The deadline counts from the answer to a renewal.
    DeadlineFromAnswer,
    /// A renewal is taken for one whatever the phase of the claim that comes back.
    RenewsRevoked,
    /// The API server lets `seq` fall.
    SeqFalls,
    /// A try that was not answered is sent again with the same `seq`.
    SameSeqAgain,
    /// The revoke does not test the `seq` seen.
    RevokeWithoutSeqTest,
    /// The guard's deadline is as late as the controllers' expiry.
    NoGap,
    /// The guard believes until its release is answered.
    BelievesUntilReleased,
    /// A revoke before its time frees at once.
    ForcedFreesAtOnce,
    /// A claim that vanished frees at once.
    VanishedFreesAtOnce,
    /// A claim that vanished frees when the last renewal seen has expired.
    VanishedFreesByLastSight,
    /// Who adopted the claim releases it before the former guard's belief has ended.
    ReleasedWhileWaiting,
    /// No lock delay after an expiry.
    NoLockDelay,
    /// No lock delay after a claim vanished.
    VanishedWithoutLockDelay,
    /// Who adopts believes as soon as the swap is acknowledged.
    AdoptedAtOnce,
    /// The swap leaves `seq` as it is.
    SwapWithoutNewSeq,
    /// The swap does not test the `seq` that it was computed from.
    SwapWithoutSeqTest,
    /// The swap does not test that no release was asked for.
    SwapWithoutReleaseTest,
    /// A release does not test the session.
    ReleaseWithoutSessionTest,
    /// A renewal does not test the session.
    RenewWithoutSessionTest,
}

/// What happens beside renewals and expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Also {
    /// The guard releases.
    Release,
    /// Somebody revokes before the time.
    Force,
    /// Somebody deletes the claim.
    Vanish,
    /// What a holder has sent arrives later than its belief ends.
    Linger,
    /// Each controller's clock gains a tick in a duration.
    Drift,
    /// A second guard adopts the claim.
    Adopt,
    /// It does so only when it knows that the first one's process has ended.
    Dies,
}

/// The model with its bounds and rules.
#[derive(Clone, Debug)]
struct Renewal {
    also: &'static [Also],
    /// Ticks that a guard believes, counted from when it sent what was acknowledged.
    hold: Ticks,
    /// A guard's patches in flight at once, late duplicates among them.
    in_flight: usize,
    wrong: Option<Wrong>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Phase {
    Granted,
    /// After an expiry.
    Revoked,
    /// Before its time, by force; the status says so.
    RevokedByForce,
    /// Deleted.
    Gone,
}

/// The object that renew and revoke meet on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Claim {
    phase: Phase,
    seq: Seq,
    /// Whose session it carries.
    session: usize,
    /// `spec.release`; the phase Released follows from it, and nothing else does.
    released: bool,
    /// What has passed since the time that its last renewal carries. Kept only where it is believed.
    age: Ticks,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Stage {
    /// Has nothing to do with the claim yet.
    Idle,
    /// Has read the claim, to adopt it.
    Read(Seq),
    /// Has adopted it, so long ago; the former guard may believe.
    Waiting(Ticks),
    /// Believes until its deadline.
    Holding,
    /// Lost it or gave it back. Somebody else may believe still, or nobody can.
    Over { alone: bool },
}

/// The holder's side, in a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Guard {
    stage: Stage,
    /// Ticks to its deadline.
    left: Ticks,
}

impl Guard {
    fn believes(self) -> bool {
        self.stage == Stage::Holding && self.left > 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Content {
    /// Tests uid and session; a new `seq`.
    Renew,
    /// Tests uid, the former guard's session, this `seq` and that there is no `release`; the own
    /// session and a new `seq`.
    Swap(Seq),
    /// Tests uid and session; `release`.
    Release,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Answer {
    /// It has not arrived.
    None,
    /// It was applied to a granted claim.
    Applied,
    /// The claim is another's, or not granted any more.
    Refused,
    /// Whatever it was, nobody waits for it.
    Read,
}

/// A guard's patch on its way; it stays there after it was answered, and may arrive again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Patch {
    guard: usize,
    content: Content,
    seq: Seq,
    /// What has passed since it was sent, as long as its answer can be of use.
    age: Ticks,
    answer: Answer,
}

/// What a controller knows of the claim.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
struct Controller {
    seen: Option<(Phase, Seq)>,
    /// What has passed since then, by its own clock.
    elapsed: Ticks,
    /// Its clock has gained a tick since then.
    gained: bool,
}

/// Everything there is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    claim: Claim,
    guards: [Guard; GUARDS],
    /// Sorted.
    wire: Vec<Patch>,
    /// Sorted: controllers are alike.
    controllers: [Controller; CONTROLLERS],
    /// Ticks until what a holder has sent has certainly arrived.
    effect: Ticks,
    /// The next holder has the slot, and works.
    passed_on: bool,
}

/// One step. A number before a patch is a guard's, else a controller's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    /// Time passes; one controller's clock may gain a tick.
    Tick(Option<usize>),
    /// A guard sends a renewal.
    Renew(usize),
    /// Wrong on purpose: it sends the last one again.
    RenewAgain(usize),
    /// A guard stops to believe, and sends the release.
    Release(usize),
    /// It sends something to what it works on.
    Effect(usize),
    /// The first guard's process ends.
    Die,
    /// The second guard reads the claim of its id.
    Read,
    /// It sends the swap.
    Swap,
    /// A patch arrives, or does so again.
    Arrive(Patch),
    /// The guard reads the answer.
    Answer(Patch),
    /// A patch never arrives (again), and its answer is lost.
    Lose(Patch),
    /// A controller sees the claim, or that it is gone.
    See(usize),
    /// It revokes the claim.
    Revoke(usize),
    /// Somebody revokes it by force.
    Force,
    /// Somebody deletes it.
    Delete,
    /// A controller frees the slot, and the next holder has it.
    PassOn(usize),
}

impl Renewal {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    fn has(&self, also: Also) -> bool {
        self.also.contains(&also)
    }

    /// Ticks after which a `seq` that stays the same has expired.
    fn expiry(&self) -> Ticks {
        self.hold + Ticks::from(self.has(Also::Drift) && !self.is(Wrong::NoGap))
    }

    /// Ticks that a slot stays empty after an expiry.
    fn lock_delay(&self) -> Ticks {
        match self.has(Also::Linger) && !self.is(Wrong::NoLockDelay) {
            true => self.linger(),
            false => 0,
        }
    }

    /// Ticks that something takes at most from a holder to what it works on.
    fn linger(&self) -> Ticks {
        self.hold + 1
    }
}

impl State {
    /// What a controller that looks now sees; the `seq` of a claim that is not granted does not matter.
    fn sight(&self) -> (Phase, Seq) {
        match self.claim.phase {
            Phase::Granted => (Phase::Granted, self.claim.seq),
            phase => (phase, 0),
        }
    }

    fn believers(&self) -> usize {
        self.guards.iter().filter(|guard| guard.believes()).count()
    }
}

impl Model for Renewal {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let holding = Guard {
            stage: Stage::Holding,
            left: self.hold,
        };
        let idle = Guard {
            stage: Stage::Idle,
            left: 0,
        };
        vec![State {
            claim: Claim {
                phase: Phase::Granted,
                seq: 0,
                session: 0,
                released: false,
                age: 0,
            },
            guards: [holding, idle],
            wire: Vec::new(),
            controllers: [Controller::default(); CONTROLLERS],
            effect: 0,
            passed_on: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.time_actions(state, actions);
        self.guard_actions(state, actions);
        self.wire_actions(state, actions);
        if !state.passed_on {
            self.people_actions(state, actions);
            self.controller_actions(state, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.act(&mut next, action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = self.always_properties();
        self.sometimes_properties(&mut properties);
        properties
    }
}
