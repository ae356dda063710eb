//! The configurations of the model `pods`: features in pairs, and every wrong variant.

use super::{Budget, Pods, Wrong};
use crate::check::{Configuration, Size};
use crate::leases::Set;
use crate::properties::RUN;

/// Two leaders, attempts up to 2, the policies in force.
fn pods(asks: [&[usize]; 3], budget: Budget) -> Pods {
    Pods {
        asks: asks.map(Set::of),
        late: Set::default(),
        leaders: 2,
        last_attempt: 2,
        budget,
        recreated: 0,
        edits_raise: true,
        wrong: None,
    }
}

const NOTHING: Budget = Budget {
    edits: 0,
    flips: 0,
    recreations: 0,
    forgeries: 0,
};
const EDITS: Budget = Budget {
    edits: 2,
    ..NOTHING
};
const FLIPS: Budget = Budget {
    flips: 2,
    ..NOTHING
};
const RECREATION: Budget = Budget {
    recreations: 1,
    ..NOTHING
};

/// All configurations of this model.
pub(crate) fn configurations() -> Vec<Configuration> {
    let mut all = protocol();
    all.extend(wrong());
    all
}

fn protocol() -> Vec<Configuration> {
    let edits_and_recreation = Budget {
        recreations: 1,
        ..EDITS
    };
    let flips_and_recreation = Budget {
        recreations: 1,
        ..FLIPS
    };
    let edits_and_flips = Budget { flips: 2, ..EDITS };
    let small = |name, model| Configuration::holds(name, Size::Small, model);
    let large = |name, model| Configuration::holds(name, Size::Large, model);
    vec![
        small("pods/aborts", pods([&[0, 1], &[1], &[]], NOTHING)),
        small("pods/edits", pods([&[0], &[0, 1], &[]], EDITS)),
        small(
            "pods/edits without the policy",
            Pods {
                edits_raise: false,
                ..pods([&[0], &[0, 1], &[]], EDITS)
            },
        ),
        small("pods/modes", pods([&[0], &[0], &[]], FLIPS)),
        small("pods/re-creation", pods([&[0, 1], &[0], &[]], RECREATION)),
        large("pods/three aborts", pods([&[0, 1], &[1], &[1]], NOTHING)),
        large("pods/three edits", pods([&[0, 1], &[1], &[0]], EDITS)),
        large("pods/three modes", pods([&[0], &[0], &[0, 1]], FLIPS)),
        large(
            "pods/three re-creations",
            pods(
                [&[0, 1], &[0], &[0]],
                Budget {
                    recreations: 2,
                    ..NOTHING
                },
            ),
        ),
        large(
            "pods/edits and re-creation",
            Pods {
                recreated: 1,
                ..pods([&[0, 1], &[1], &[]], edits_and_recreation)
            },
        ),
        large(
            "pods/modes and re-creation",
            pods([&[0, 1], &[0], &[]], flips_and_recreation),
        ),
        large(
            "pods/edits and modes",
            pods([&[0, 1], &[0], &[]], edits_and_flips),
        ),
        large(
            "pods/edits, modes and re-creation",
            pods(
                [&[0, 1], &[0], &[]],
                Budget {
                    recreations: 1,
                    ..edits_and_flips
                },
            ),
        ),
        large(
            "pods/created late",
            Pods {
                late: Set::of(&[1, 2]),
                ..pods([&[0], &[0], &[0]], FLIPS)
            },
        ),
        large(
            "pods/three leaders",
            Pods {
                leaders: 3,
                ..pods([&[0, 1], &[0], &[]], RECREATION)
            },
        ),
    ]
}

fn wrong() -> Vec<Configuration> {
    let variant = |wrong, model| Pods {
        wrong: Some(wrong),
        ..model
    };
    let one_pool = |budget| pods([&[0], &[0], &[]], budget);
    let without_policy = Pods {
        edits_raise: false,
        ..pods([&[0], &[1], &[]], EDITS)
    };
    vec![
        Configuration::breaks(
            "pods/abort without a test of the gate",
            RUN,
            11,
            variant(
                Wrong::AbortWithoutGateTest,
                pods([&[0, 1], &[1], &[]], NOTHING),
            ),
        ),
        Configuration::breaks(
            "pods/fence without a test of the gate",
            RUN,
            13,
            variant(Wrong::FenceWithoutGateTest, one_pool(RECREATION)),
        ),
        Configuration::breaks(
            "pods/a zombie's lease satisfies adoption",
            RUN,
            18,
            variant(Wrong::ZombieEntrySatisfies, one_pool(FLIPS)),
        ),
        Configuration::breaks(
            "pods/reveal without a test of the annotations",
            RUN,
            7,
            variant(Wrong::RevealWithoutTextTest, without_policy.clone()),
        ),
        Configuration::breaks(
            "pods/reveal without a test of the attempt",
            RUN,
            10,
            variant(Wrong::RevealWithoutAttemptTest, one_pool(NOTHING)),
        ),
        Configuration::breaks(
            "pods/attempt can be dropped by hand",
            RUN,
            11,
            variant(
                Wrong::AttemptUnguarded,
                one_pool(Budget {
                    forgeries: 1,
                    ..RECREATION
                }),
            ),
        ),
        Configuration::breaks(
            "pods/edited away, fenced, edited back",
            RUN,
            13,
            Pods {
                edits_raise: false,
                recreated: 1,
                ..pods(
                    [&[0, 1], &[1], &[]],
                    Budget {
                        recreations: 1,
                        ..EDITS
                    },
                )
            },
        ),
        Configuration::breaks(
            "pods/Disabled leaves no mark",
            RUN,
            8,
            variant(Wrong::DisabledUnmarked, one_pool(FLIPS)),
        ),
        Configuration::breaks(
            "pods/a fence outlives Disabled",
            RUN,
            12,
            variant(
                Wrong::FenceOutlivesDisabled,
                Pods {
                    last_attempt: 3,
                    ..one_pool(Budget {
                        recreations: 1,
                        ..FLIPS
                    })
                },
            ),
        ),
        Configuration::breaks(
            "pods/open, says a cache",
            RUN,
            11,
            variant(
                Wrong::OpenFromCache,
                Pods {
                    late: Set::of(&[1]),
                    ..one_pool(FLIPS)
                },
            ),
        ),
        Configuration::breaks(
            "pods/waiting as a fence",
            RUN,
            9,
            variant(Wrong::FenceByWaiting, one_pool(RECREATION)),
        ),
        Configuration::breaks(
            "pods/no fence",
            RUN,
            7,
            variant(Wrong::NoFence, one_pool(RECREATION)),
        ),
        Configuration::breaks(
            "pods/no adoption",
            RUN,
            10,
            variant(Wrong::NoAdoption, one_pool(RECREATION)),
        ),
    ]
}
