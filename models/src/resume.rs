//! Model `resume`: a leader completes what another one began.
//!
//! The recovery table of docs/design.md 5.1: some leases of the current attempt are durable and the rest
//! fits: write the rest, then reveal; the rest does not fit: abort. Any number of leaders may be at
//! it at once, and the first one may wake up at any time. All else is as in `grant`.

use crate::check::{Configuration, Size};
use crate::grant::{Grant, scope, three_requests, two_requests};
use crate::properties::{FITS, RUN};
use crate::world::{Rules, Wrong};

/// All configurations of this model.
pub(crate) fn configurations() -> Vec<Configuration> {
    let model = |wants, last_attempt, in_flight, wrong| Grant {
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
