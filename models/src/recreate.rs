//! Model `recreate`: a pool is deleted and created again while it is granted from and held.
//!
//! The new incarnation knows nobody. Before it grants it fences (docs/design.md 5.4): list the
//! requests, bump every unrevealed one that names the pool, adopt everybody who runs. The list, each
//! bump and the adopting write are steps of their own; two leaders may fence at once, and crash; the
//! former incarnation's reveals may arrive at any time. Pool 0 is re-created; all else is as in
//! `resume`.

use std::borrow::Cow;

use stateright::{Model, Property};

use crate::check::{Configuration, Size};
use crate::grant::{scope, three_requests, two_requests};
use crate::leases::{Attempt, Leases, Request, Set};
use crate::properties::{ALL_END, FITS, ONE_EACH, RUN, RUNS_AFTER_ABORT, STAYS};
use crate::world::{Phase, REQUESTS, Rules, Scope, Status, Step, World, Write, Wrong};

const ADOPTS: &str = "a running holder is adopted";
const GRANTS_AGAIN: &str = "the new incarnation grants";
const BUMP_TOO_LATE: &str = "a listed request is revealed before its bump";

/// The pool that is re-created.
const POOL: usize = 0;
/// Leaders that fence at the same time.
const FENCES: usize = 2;

/// Known-wrong fences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WrongFence {
    /// A new incarnation grants at once.
    NoFence,
    /// It adopts who runs, and bumps nobody: whoever slept, it thinks, has timed out.
    Waiting,
    /// It adopts when the bumps are sent.
    BumpsOnlySent,
    /// It adopts whom the list showed running, not who was revealed since.
    HoldersAsListed,
    /// Grants do not look at the mark.
    GrantsEarly,
    /// Only those are bumped whom the former incarnation's last state shows, although that one had
    /// not finished its own fence.
    NarrowAfterUnfinished,
}

/// Re-creates a pool, so many times.
#[derive(Clone, Debug)]
struct Recreate {
    scope: Scope,
    rules: Rules,
    wrong_fence: Option<WrongFence>,
    recreations: u8,
    /// Where the former incarnation's last state was seen, only its leases ask for a bump.
    narrow: bool,
}

/// One leader's fence, in its memory: the attempts that it listed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Fence {
    listed: [Option<Attempt>; REQUESTS],
    holders: Leases,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    world: World,
    recreated: u8,
    /// Last state of the former incarnation, if it was seen and fenced.
    former: Option<Leases>,
    fences: [Option<Fence>; FENCES],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    /// A step of the world without re-creation.
    Step(Step),
    /// Somebody deletes the pool and creates it again.
    Recreate,
    /// A leader lists all requests, consistently.
    List(usize),
    /// It sends the bump of one that it listed.
    SendBump(usize, Request),
    /// It sees that nobody whom it listed can be revealed with that attempt, and sends the adoption.
    Adopt(usize),
    /// It crashes.
    ForgetFence(usize),
}

impl Recreate {
    fn is(&self, wrong: WrongFence) -> bool {
        self.wrong_fence == Some(wrong)
    }

    /// What the world looks like to leaders that grant.
    fn seen<'a>(&self, state: &'a State) -> Cow<'a, World> {
        let mut world = Cow::Borrowed(&state.world);
        if self.is(WrongFence::GrantsEarly) && !world.pools[POOL].fenced {
            world.to_mut().pools[POOL].fenced = true;
        }
        world
    }

    fn list(&self, state: &State) -> Fence {
        let mut listed = [None; REQUESTS];
        for request in state.world.gated() {
            let attempt = state.world.pods[request].attempt;
            let told = state.former.is_none_or(|former| {
                former
                    .iter()
                    .any(|lease| lease.request == request && lease.attempt >= attempt)
            });
            if told && self.scope.wants[request].has(POOL) && !self.is(WrongFence::Waiting) {
                listed[request] = Some(attempt);
            }
        }
        let holders = match self.is(WrongFence::HoldersAsListed) {
            true => state.world.running(&self.scope, POOL).fold_leases(),
            false => Leases::default(),
        };
        Fence { listed, holders }
    }

    /// The attempt that was listed can still be revealed.
    fn is_unfenced(&self, state: &State, request: Request, listed: Attempt) -> bool {
        let pod = state.world.pods[request];
        let (from, bump) = (listed, |from| Write::Bump { request, from });
        let sent = self.is(WrongFence::BumpsOnlySent) && state.world.wire.contains(&bump(from));
        pod.phase == Phase::Gated && pod.attempt == listed && !sent
    }

    fn left(&self, state: &State, fence: Fence) -> Set {
        let unfenced = |request: &Request| {
            fence.listed[*request].is_some_and(|listed| self.is_unfenced(state, *request, listed))
        };
        (0..REQUESTS).filter(unfenced).collect()
    }

    fn fence_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let may_send = state.world.wire.len() < self.scope.in_flight;
        for (at, fence) in state.fences.iter().enumerate() {
            let Some(fence) = fence else {
                let first = at == 0 || state.fences[at - 1].is_some();
                if first && !state.world.pools[POOL].fenced {
                    actions.push(Action::List(at));
                }
                continue;
            };
            let left = self.left(state, *fence);
            if may_send {
                for request in left.iter() {
                    if state.world.pods[request].attempt < self.scope.last_attempt {
                        actions.push(Action::SendBump(at, request));
                    }
                }
                if left.is_empty() {
                    actions.push(Action::Adopt(at));
                }
            }
            actions.push(Action::ForgetFence(at));
        }
    }

    fn recreate(&self, state: &mut State) {
        let status = &mut state.world.pools[POOL];
        let seen = self.narrow && (status.fenced || self.is(WrongFence::NarrowAfterUnfinished));
        state.former = seen.then_some(status.leases);
        *status = Status {
            leases: Leases::default(),
            fenced: self.is(WrongFence::NoFence),
        };
        state.recreated += 1;
        state.fences = [None; FENCES];
        state.world.version_moved(POOL);
    }

    fn act(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Step(step) => {
                let unfenced = !state.world.pools[POOL].fenced;
                if let Cow::Owned(world) = self.seen(state) {
                    state.world = world;
                }
                state.world.step(&self.scope, self.rules, step)?;
                if unfenced && !matches!(step, Step::Arrive(Write::Status { pool: POOL, .. })) {
                    state.world.pools[POOL].fenced = false;
                }
                if state.world.pools[POOL].fenced {
                    state.fences = [None; FENCES];
                    state.former = None;
                }
            }
            Action::Recreate => self.recreate(state),
            Action::List(at) => state.fences[at] = Some(self.list(state)),
            Action::SendBump(at, request) => {
                let from = state.fences[at]?.listed[request]?;
                state.world.send(Write::Bump { request, from })?;
            }
            Action::Adopt(at) => {
                let fence = state.fences[at]?;
                let leases = match self.is(WrongFence::HoldersAsListed) {
                    true => fence.holders,
                    false => state.world.running(&self.scope, POOL).fold_leases(),
                };
                state.world.send(Write::Status {
                    pool: POOL,
                    leases,
                    fenced: true,
                })?;
            }
            Action::ForgetFence(at) => state.fences[at] = None,
        }
        state.fences.sort();
        Some(())
    }
}

/// Collects leases.
trait FoldLeases {
    fn fold_leases(self) -> Leases;
}

impl<I: Iterator<Item = crate::leases::Lease>> FoldLeases for I {
    fn fold_leases(self) -> Leases {
        self.fold(Leases::default(), |mut leases, lease| {
            leases.insert(lease);
            leases
        })
    }
}

impl Model for Recreate {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            world: World::new(&self.scope),
            recreated: 0,
            former: None,
            fences: [None; FENCES],
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut steps = Vec::new();
        self.seen(state).steps(&self.scope, self.rules, &mut steps);
        actions.extend(steps.into_iter().map(Action::Step));
        if state.recreated < self.recreations {
            actions.push(Action::Recreate);
        }
        self.fence_actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.act(&mut next, action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(FITS, |it: &Self, state: &State| state.world.fits(&it.scope)),
            Property::always(ONE_EACH, |_, state: &State| state.world.one_lease_each()),
            Property::always(STAYS, |it: &Self, state: &State| {
                state.world.leases_stay(&it.scope)
            }),
            Property::always(RUN, |it: &Self, state: &State| {
                state.world.never_more_run(&it.scope)
            }),
            Property::sometimes(ALL_END, |_, state: &State| {
                state.recreated > 0 && state.world.all_ended()
            }),
            Property::sometimes(RUNS_AFTER_ABORT, |_, state: &State| {
                state.world.ran_after_abort()
            }),
            Property::sometimes(ADOPTS, |_, state: &State| {
                let adoption = |write: &Write| matches!(write, Write::Status { pool: POOL, leases, .. } if leases.len() > 0);
                !state.world.pools[POOL].fenced && state.world.wire.iter().any(adoption)
            }),
            Property::sometimes(GRANTS_AGAIN, |_, state: &State| {
                let mut gated = state.world.gated();
                let status = state.world.pools[POOL];
                state.recreated > 0
                    && status.fenced
                    && gated.any(|request| status.leases.has_any_of(request))
            }),
            Property::sometimes(BUMP_TOO_LATE, |_, state: &State| {
                let mut fences = state.fences.iter().flatten();
                fences.any(|fence| {
                    (0..REQUESTS).any(|request| {
                        let runs = Phase::Running(fence.listed[request].unwrap_or(Attempt::MAX));
                        state.world.pods[request].phase == runs
                    })
                })
            }),
        ]
    }
}

/// All configurations of this model.
pub(crate) fn configurations() -> Vec<Configuration> {
    let model = |wants, last_attempt, recreations| Recreate {
        scope: scope(wants, last_attempt, 2),
        rules: Rules {
            completes: true,
            wrong: None,
        },
        wrong_fence: None,
        recreations,
        narrow: false,
    };
    let wrong = |wrong_fence, recreations| Recreate {
        wrong_fence: Some(wrong_fence),
        narrow: wrong_fence == WrongFence::NarrowAfterUnfinished,
        ..model(two_requests(), 2, recreations)
    };
    let without_gate_test = Recreate {
        rules: Rules {
            completes: true,
            wrong: Some(Wrong::BumpWithoutGateTest),
        },
        ..model(two_requests(), 2, 1)
    };
    let narrow = |wants, last_attempt, recreations| Recreate {
        narrow: true,
        ..model(wants, last_attempt, recreations)
    };
    let two = two_requests;
    let three = three_requests;
    vec![
        Configuration::holds("recreate/once", Size::Small, model(two(), 1, 1)),
        Configuration::holds("recreate/twice", Size::Large, model(two(), 2, 2)),
        Configuration::holds(
            "recreate/twice, narrow fence",
            Size::Large,
            narrow(two(), 2, 2),
        ),
        Configuration::holds("recreate/three requests", Size::Large, model(three(), 1, 1)),
        Configuration::breaks("recreate/no fence", RUN, 15, wrong(WrongFence::NoFence, 1)),
        Configuration::breaks(
            "recreate/waiting as a fence",
            RUN,
            18,
            wrong(WrongFence::Waiting, 1),
        ),
        Configuration::breaks(
            "recreate/adoption when the bumps are sent",
            RUN,
            21,
            wrong(WrongFence::BumpsOnlySent, 1),
        ),
        Configuration::breaks(
            "recreate/holders as they were listed",
            RUN,
            20,
            wrong(WrongFence::HoldersAsListed, 1),
        ),
        Configuration::breaks(
            "recreate/grants before the fence is done",
            RUN,
            15,
            wrong(WrongFence::GrantsEarly, 1),
        ),
        Configuration::breaks(
            "recreate/narrow fence after an unfinished one",
            RUN,
            19,
            wrong(WrongFence::NarrowAfterUnfinished, 2),
        ),
        Configuration::breaks(
            "recreate/bump without a test of the gate",
            RUN,
            16,
            without_gate_test,
        ),
    ]
}
