//! The configurations of the model `election`: with and without deletion of the Lease, and every wrong
//! variant. One of those is the rule of docs/design.md 3 itself, where it promises less.

use super::{DEPOSED, Election, NOT_STUCK, ONE_WRITER, RAISES_OWN, Wrong};
use crate::check::{Configuration, Size};

/// All configurations of this model.
pub(crate) fn configurations() -> Vec<Configuration> {
    let model = |candidates, terms_max, deletions| Election {
        candidates,
        terms_max,
        epochs_max: terms_max + 2,
        deletions,
        clock_floor: false,
        promises_deposed: deletions == 0,
        wrong: None,
    };
    let with_clock = |candidates, terms_max, deletions| Election {
        clock_floor: true,
        promises_deposed: true,
        ..model(candidates, terms_max, deletions)
    };
    let wrong = |wrong, deletions| Election {
        wrong: Some(wrong),
        promises_deposed: true,
        ..model(2, 3, deletions)
    };
    let hole = Election {
        promises_deposed: true,
        ..model(2, 3, 1)
    };
    let small = |name, model| Configuration::holds(name, Size::Small, model);
    let large = |name, model| Configuration::holds(name, Size::Large, model);
    let breaks = Configuration::breaks;
    vec![
        small("election/two candidates", model(2, 3, 0)),
        small("election/two candidates, Lease deleted", model(2, 3, 1)),
        small(
            "election/two candidates, Lease deleted, epochs above the clock",
            with_clock(2, 3, 1),
        ),
        large("election/three candidates", model(3, 5, 0)),
        large("election/three candidates, Lease deleted", model(3, 4, 2)),
        large(
            "election/three candidates, Lease deleted, epochs above the clock",
            with_clock(3, 4, 2),
        ),
        breaks(
            "election/an epoch that no status has is lost with the Lease",
            DEPOSED,
            15,
            hole,
        ),
        breaks(
            "election/no rule for epochs",
            DEPOSED,
            10,
            wrong(Wrong::NoEpochRule, 0),
        ),
        breaks(
            "election/an equal epoch of another leader passes",
            ONE_WRITER,
            11,
            wrong(Wrong::EqualEpochPasses, 1),
        ),
        breaks(
            "election/epoch not written",
            DEPOSED,
            10,
            wrong(Wrong::EpochNotWritten, 0),
        ),
        breaks(
            "election/raised without compare-and-swap",
            RAISES_OWN,
            18,
            wrong(Wrong::RaiseWithoutCas, 1),
        ),
        breaks(
            "election/raised though deposed",
            RAISES_OWN,
            13,
            wrong(Wrong::RaiseThoughDeposed, 0),
        ),
        breaks(
            "election/epoch of the Lease alone, never raised",
            NOT_STUCK,
            12,
            wrong(Wrong::EpochOfLeaseAlone, 1),
        ),
    ]
}
