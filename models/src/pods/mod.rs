//! Model `pods`: everything that people do to pods and pools while leaders grant: edits, `Disabled` and
//! back, re-creation, forged attempts, pods that are created late.
//!
//! Coarser than the other models where those have looked already: a take is one compare-and-swap. A
//! patch is in flight for as long as a leader remembers what it decided, and may arrive at any time; so
//! abort, fence, reveal and the removal of void leases are decided in one step and arrive in another.
//! The rules are those of docs/design.md 5.1 and 5.4, with the policies *attempt* (an edit raises the
//! attempt in the same write) and *guard* (nobody else touches it).
//!
//! `may` says what can happen next, `act` what that does, `configurations` which worlds are searched.

mod act;
mod configurations;
mod may;

pub(crate) use configurations::configurations;

use stateright::{Model, Property};

use crate::leases::{Attempt, Lease, Leases, Pool, Request, Set};
use crate::properties::{ALL_END, FITS, ONE_EACH, RUN, RUNS_AFTER_ABORT, STAYS};

const POOLS: usize = 2;
const REQUESTS: usize = 3;
const SLOTS: usize = 1;

const ADOPTS: &str = "a new incarnation counts a running holder";
const EDITED_RUNS: &str = "a request runs with what it was edited to";
const PASSES_DISABLED: &str = "more run than there are slots, for the pool was Disabled";
const COUNTED_AFTER: &str = "who passed a Disabled pool is counted when it is Active again";
const LATE_RUNS: &str = "a pod that was created late runs";

/// Known-wrong rules, one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrong {
    /// An abort's bump tests the attempt only, and a raised attempt proves that the gate is there.
    AbortWithoutGateTest,
    /// The same of a fence's bump.
    FenceWithoutGateTest,
    /// Whoever has an entry of whatever attempt is adopted already.
    ZombieEntrySatisfies,
    /// The reveal does not test the annotations that it was decided from.
    RevealWithoutTextTest,
    /// The reveal does not test the attempt.
    RevealWithoutAttemptTest,
    /// The attempt can be dropped by whoever may edit the pod.
    AttemptUnguarded,
    /// Nothing is marked before a reveal relies on `Disabled`.
    DisabledUnmarked,
    /// A cache may say that a pool is Disabled and open.
    OpenFromCache,
    /// A fence goes on with the list that it made before the pool was Disabled for a while.
    FenceOutlivesDisabled,
    /// A fence bumps nobody, it waits.
    FenceByWaiting,
    /// A new incarnation grants at once.
    NoFence,
    /// A fence adopts nobody.
    NoAdoption,
}

/// How often people do something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Budget {
    /// Pool 1 is added to, or taken from, what a gated pod asks for.
    pub(crate) edits: u8,
    /// Pool 0 becomes Disabled, or Active again.
    pub(crate) flips: u8,
    /// The pool of `Pods::recreated` is deleted and created again.
    pub(crate) recreations: u8,
    /// An attempt is set to 0 by hand; only if the attempt is unguarded.
    pub(crate) forgeries: u8,
}

/// The model with its bounds and rules.
#[derive(Clone, Debug)]
pub(crate) struct Pods {
    /// What each pod asks for at first.
    pub(crate) asks: [Set; REQUESTS],
    /// Pods that are created later.
    pub(crate) late: Set,
    /// Leaders, none of which knows of the others.
    pub(crate) leaders: usize,
    /// No attempt is raised above this one.
    pub(crate) last_attempt: Attempt,
    /// What people do.
    pub(crate) budget: Budget,
    /// Which pool is re-created.
    pub(crate) recreated: Pool,
    /// The policy *attempt* is there (a cluster with MutatingAdmissionPolicy).
    pub(crate) edits_raise: bool,
    /// One rule that is wrong.
    pub(crate) wrong: Option<Wrong>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Status {
    disabled: bool,
    open: bool,
    fenced: bool,
    leases: Leases,
    /// What some cache may still show: Disabled and open. Kept only where a cache is believed.
    was_open: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Phase {
    Absent,
    Gated,
    /// With the record of its reveal: attempt and pools.
    Running(Attempt, Set),
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Pod {
    attempt: Attempt,
    asks: Set,
    phase: Phase,
}

/// What one leader has decided, and not done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Leader {
    Idle,
    /// Takes for a request; reveals when every pool is ready.
    Granting {
        request: Request,
        attempt: Attempt,
        asks: Set,
        ready: Set,
    },
    /// The bump of an abort is on its way.
    Aborting {
        request: Request,
        from: Attempt,
    },
    /// The bumps of a fence are on their way: the attempts that were listed.
    Fencing {
        pool: Pool,
        listed: [Option<Attempt>; REQUESTS],
    },
    /// The removal of a void lease is on its way.
    Removing {
        pool: Pool,
        lease: Lease,
    },
}

/// Everything there is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    pools: [Status; POOLS],
    pods: [Pod; REQUESTS],
    leaders: Vec<Leader>,
    left: Budget,
    /// A reveal let one more run on a pool that counts than it has slots.
    overrun: bool,
}

/// One step; the first number is the leader's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Decides to grant.
    Plan(usize, Request),
    /// Writes its lease into an Active pool, or sees that it is there.
    Take(usize, Pool),
    /// Marks a Disabled pool `open`, and sees the mark.
    PassDisabled(usize, Pool),
    /// Wrong on purpose: believes a cache that the pool is Disabled and open.
    PassByCache(usize, Pool),
    /// The reveal arrives.
    Reveal(usize),
    /// Decides to abort.
    DecideAbort(usize, Request),
    /// The bump arrives.
    Abort(usize),
    /// Lists the requests that a pool's fence has to bump.
    List(usize, Pool),
    /// One of the bumps arrives.
    FenceBump(usize, Request),
    /// All listed attempts are void: adopts and marks the pool fenced.
    Adopt(usize),
    /// Decides that a lease is void.
    DecideRemove(usize, Pool, Lease),
    /// The removal arrives.
    Remove(usize),
    /// Crashes.
    Forget(usize),
    /// The lease of an ended pod is removed, by whomever.
    Release(Pool, Lease),
    /// A pod ends.
    End(Request),
    /// A pod is created.
    Create(Request),
    /// A user edits what a gated pod asks for.
    Edit(Request),
    /// A user sets an attempt to 0.
    Forge(Request),
    /// Pool 0 is made Disabled, or Active.
    Flip,
    /// The pool is deleted and created again.
    Recreate,
}

impl Pods {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    /// More can only have been let through uncounted.
    fn never_more_run(&self, state: &State) -> bool {
        let fit = |pool: Pool| state.running(pool).count() <= SLOTS;
        !state.overrun && (self.budget.flips > 0 || (0..POOLS).all(fit))
    }
}

impl State {
    /// What was listed before does not count any more.
    fn begin_fences_anew(&mut self, pool: Pool) {
        let fences =
            |leader: &Leader| matches!(leader, Leader::Fencing { pool: of, .. } if *of == pool);
        for leader in self.leaders.iter_mut().filter(|it| fences(it)) {
            *leader = Leader::Idle;
        }
    }

    /// The leases that the running holders of a pool have by the record of their reveals.
    fn running(&self, pool: Pool) -> impl Iterator<Item = Lease> {
        let pods = self.pods.iter().enumerate();
        pods.filter_map(move |(request, pod)| match pod.phase {
            Phase::Running(attempt, asks) if asks.has(pool) => Some(Lease { request, attempt }),
            _ => None,
        })
    }

    /// Who runs is counted by every pool that grants.
    fn leases_stay(&self) -> bool {
        (0..POOLS).all(|pool| {
            let status = self.pools[pool];
            let counts = status.fenced && !status.disabled;
            !counts || self.running(pool).all(|lease| status.leases.has(lease))
        })
    }
}

impl Model for Pods {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let status = Status {
            disabled: false,
            open: false,
            fenced: true,
            leases: Leases::default(),
            was_open: false,
        };
        let pod = |request: Request| Pod {
            attempt: 0,
            asks: self.asks[request],
            phase: match (self.asks[request].is_empty(), self.late.has(request)) {
                (true, _) => Phase::Ended,
                (_, true) => Phase::Absent,
                (_, false) => Phase::Gated,
            },
        };
        vec![State {
            pools: [status; POOLS],
            pods: [pod(0), pod(1), pod(2)],
            leaders: vec![Leader::Idle; self.leaders],
            left: self.budget,
            overrun: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for at in 0..state.leaders.len() {
            self.leader_actions(state, at, actions);
        }
        for (pool, status) in state.pools.iter().enumerate() {
            let ended = |lease: &Lease| state.pods[lease.request].phase == Phase::Ended;
            let leases = status.leases.iter().filter(ended);
            actions.extend(leases.map(|lease| Action::Release(pool, lease)));
        }
        self.people_actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.act(&mut next, action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(FITS, |it: &Self, state: &State| {
                let fits = |status: &Status| status.leases.len() <= SLOTS;
                it.budget.flips > 0 || state.pools.iter().all(fits)
            }),
            Property::always(ONE_EACH, |_, state: &State| {
                let one = |status: &Status| status.leases.one_for_each();
                state.pools.iter().all(one)
            }),
            Property::always(STAYS, |_, state: &State| state.leases_stay()),
            Property::always(RUN, |it: &Self, state: &State| it.never_more_run(state)),
            Property::sometimes(ALL_END, |_, state: &State| {
                state.pods.iter().all(|pod| pod.phase == Phase::Ended)
            }),
            Property::sometimes(RUNS_AFTER_ABORT, |_, state: &State| {
                let after =
                    |pod: &Pod| matches!(pod.phase, Phase::Running(attempt, _) if attempt > 0);
                state.pods.iter().any(after)
            }),
        ];
        self.reached_properties(&mut properties);
        properties
    }
}

impl Pods {
    /// What the things that people do in this configuration must lead to.
    fn reached_properties(&self, properties: &mut Vec<Property<Self>>) {
        if self.budget.recreations > 0 {
            properties.push(Property::sometimes(ADOPTS, |it: &Self, state: &State| {
                let status = state.pools[it.recreated];
                state.left.recreations == 0
                    && status.fenced
                    && state
                        .running(it.recreated)
                        .any(|lease| status.leases.has(lease))
            }));
        }
        if self.budget.edits > 0 {
            properties.push(Property::sometimes(EDITED_RUNS, |it: &Self, state: &State| {
                let edited = |(pod, first): (&Pod, &Set)| {
                    matches!(pod.phase, Phase::Running(_, asks) if asks != *first)
                };
                state.pods.iter().zip(&it.asks).any(edited)
            }));
        }
        if self.budget.flips > 0 {
            properties.push(Property::sometimes(PASSES_DISABLED, |_, state: &State| {
                state.running(0).count() > SLOTS
            }));
        }
        if self.budget.flips > 1 {
            properties.push(Property::sometimes(COUNTED_AFTER, |_, state: &State| {
                let status = state.pools[0];
                status.fenced && !status.disabled && status.leases.len() > SLOTS
            }));
        }
        if !self.late.is_empty() {
            properties.push(Property::sometimes(
                LATE_RUNS,
                |it: &Self, state: &State| {
                    let runs =
                        |request: Request| matches!(state.pods[request].phase, Phase::Running(..));
                    it.late.iter().any(runs)
                },
            ));
        }
    }
}
