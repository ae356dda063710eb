//! Model `grant`: one request takes from several pools while any number of leaders do the same.
//!
//! *Debit before reveal*, *abort first*. A leader writes a lease into every pool, each by
//! compare-and-swap, and reveals when it has seen all of them. Whatever is left half done is aborted: the
//! bump is one patch, decided at one time and arriving at another, and only a raised attempt makes
//! leases garbage. Completing what another leader began is the subject of `resume`.
//!
//! Not here: edits, modes, re-creation of pools, ends without proof, tokens, the order of the queue.

use stateright::{Model, Property};

use crate::check::{Configuration, Size};
use crate::leases::{Attempt, Set};
use crate::properties::{ALL_END, FITS, ONE_EACH, RUN, RUNS_AFTER_ABORT, STAYS};
use crate::world::{PLANS, Plan, Rules, Scope, Step, World, Wrong};

/// Two leaders carry out the same plan.
const SAME_PLAN: &str = "two leaders complete the same set";

/// Takes and reveals in a world of this scope, under these rules; where leaders complete what others began, some must.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) scope: Scope,
    pub(crate) rules: Rules,
}

impl Grant {
    /// All plans are of one request, and have seen different halves of its set.
    fn two_complete_one(world: &World) -> bool {
        let plans: Vec<&Plan> = world.plans.iter().flatten().collect();
        let halves = |two: &[&Plan]| match two {
            [one, other] => one.request == other.request && one.durable != other.durable,
            _ => false,
        };
        plans.len() == PLANS && plans.windows(2).all(halves)
    }
}

impl Model for Grant {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.scope)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        world.steps(&self.scope, self.rules, steps);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        next.step(&self.scope, self.rules, step)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(FITS, |it: &Self, world: &World| world.fits(&it.scope)),
            Property::always(ONE_EACH, |_, world: &World| world.one_lease_each()),
            Property::always(STAYS, |it: &Self, world: &World| {
                world.leases_stay(&it.scope)
            }),
            Property::always(RUN, |it: &Self, world: &World| {
                world.never_more_run(&it.scope)
            }),
            Property::sometimes(ALL_END, |_, world: &World| world.all_ended()),
            Property::sometimes(RUNS_AFTER_ABORT, |_, world: &World| world.ran_after_abort()),
        ];
        if self.rules.completes {
            let same = |_: &Self, world: &World| Self::two_complete_one(world);
            properties.push(Property::sometimes(SAME_PLAN, same));
        }
        properties
    }
}

/// Two requests, one of them for both pools.
pub(crate) fn two_requests() -> [Set; 3] {
    [Set::of(&[0, 1]), Set::of(&[0]), Set::of(&[])]
}

/// Three requests, two of them for both pools.
pub(crate) fn three_requests() -> [Set; 3] {
    [Set::of(&[0, 1]), Set::of(&[0, 1]), Set::of(&[0])]
}

/// A world of one-slot pools, with so many attempts and writes in flight.
pub(crate) fn scope(wants: [Set; 3], last_attempt: Attempt, in_flight: usize) -> Scope {
    Scope {
        wants,
        slots: 1,
        last_attempt,
        in_flight,
    }
}

/// All configurations of this model.
pub(crate) fn configurations() -> Vec<Configuration> {
    let protocol = |scope| Grant {
        scope,
        rules: Rules::default(),
    };
    let wrong = |wants, wrong| Grant {
        scope: scope(wants, 2, 3),
        rules: Rules {
            completes: false,
            wrong: Some(wrong),
        },
    };
    let two = two_requests;
    let three = three_requests;
    vec![
        Configuration::holds(
            "grant/two requests",
            Size::Small,
            protocol(scope(two(), 1, 2)),
        ),
        Configuration::holds(
            "grant/two requests, three writes in flight",
            Size::Large,
            protocol(scope(two(), 2, 3)),
        ),
        Configuration::holds(
            "grant/three requests",
            Size::Large,
            protocol(scope(three(), 1, 2)),
        ),
        Configuration::breaks(
            "grant/rollback without a bump",
            RUN,
            15,
            wrong(two(), Wrong::RollbackWithoutBump),
        ),
        Configuration::breaks(
            "grant/leases are garbage before the bump is durable",
            RUN,
            15,
            wrong(two(), Wrong::GarbageBeforeBumpDurable),
        ),
        Configuration::breaks(
            "grant/reveal without a test of the attempt",
            RUN,
            16,
            wrong(two(), Wrong::RevealWithoutAttemptTest),
        ),
        Configuration::breaks(
            "grant/reveal before the last lease is durable",
            STAYS,
            3,
            wrong(two(), Wrong::RevealBeforeLastLease),
        ),
        Configuration::breaks(
            "grant/bump without a test of the gate",
            RUN,
            16,
            wrong(two(), Wrong::BumpWithoutGateTest),
        ),
        Configuration::breaks(
            "grant/status written without its version",
            RUN,
            14,
            wrong(two(), Wrong::StatusWithoutVersion),
        ),
        Configuration::breaks(
            "grant/room not looked for again",
            FITS,
            6,
            wrong(two(), Wrong::RoomNotRecomputed),
        ),
        Configuration::breaks(
            "grant/absence in a cache taken for an end",
            RUN,
            14,
            wrong(two(), Wrong::AbsenceIsEvidence),
        ),
    ]
}
