//! Model `resume`: a leader completes what another one began.
//!
//! The recovery table of docs/design.md 5.1: some leases of the current attempt are durable and the rest
//! fits: write the rest, then reveal; the rest does not fit: abort. Any number of leaders may be at
//! it at once, and the first one may wake up at any time. All else is as in `grant`.

use stateright::{Model, Property};

use crate::check::{Configuration, Size};
use crate::grant::{scope, three_requests, two_requests};
use crate::properties::{ALL_END, FITS, ONE_EACH, RUN, RUNS_AFTER_ABORT, STAYS};
use crate::world::{PLANS, Rules, Scope, Step, World, Wrong};

/// Two leaders carry out the same plan.
const SAME_PLAN: &str = "two leaders complete the same set";

/// Completes partial sets in a world of this scope, under these rules.
#[derive(Clone, Debug)]
struct Resume {
    scope: Scope,
    rules: Rules,
}

impl Model for Resume {
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
        vec![
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
            Property::sometimes(SAME_PLAN, |it: &Self, world: &World| {
                it.two_complete_one(world)
            }),
        ]
    }
}

impl Resume {
    /// All plans are of one request, and have seen different halves of its set.
    fn two_complete_one(&self, world: &World) -> bool {
        let plans: Vec<_> = world.plans.iter().flatten().collect();
        plans.len() == PLANS
            && plans
                .windows(2)
                .all(|two| two[0].request == two[1].request && two[0].durable != two[1].durable)
    }
}

/// All configurations of this model.
pub(crate) fn configurations() -> Vec<Configuration> {
    let model = |wants, last_attempt, in_flight, wrong| Resume {
        scope: scope(wants, last_attempt, in_flight),
        rules: Rules {
            completes: true,
            wrong,
        },
    };
    let two = two_requests;
    let three = three_requests;
    vec![
        Configuration::holds("resume/two requests", Size::Small, model(two(), 1, 2, None)),
        Configuration::holds(
            "resume/two requests, three writes in flight",
            Size::Large,
            model(two(), 2, 3, None),
        ),
        Configuration::holds(
            "resume/three requests",
            Size::Large,
            model(three(), 1, 2, None),
        ),
        Configuration::breaks(
            "resume/a void lease counts as the plan's own",
            RUN,
            18,
            model(two(), 2, 3, Some(Wrong::VoidLeaseCounts)),
        ),
        Configuration::breaks(
            "resume/what was seen durable outlives the bump",
            RUN,
            17,
            model(two(), 2, 3, Some(Wrong::SightOutlivesBump)),
        ),
        Configuration::breaks(
            "resume/completed without room",
            FITS,
            6,
            model(two(), 2, 3, Some(Wrong::RoomNotRecomputed)),
        ),
        Configuration::breaks(
            "resume/reveal without a test of the attempt",
            RUN,
            16,
            model(two(), 2, 3, Some(Wrong::RevealWithoutAttemptTest)),
        ),
        Configuration::breaks(
            "resume/rollback without a bump",
            RUN,
            15,
            model(two(), 2, 3, Some(Wrong::RollbackWithoutBump)),
        ),
    ]
}
