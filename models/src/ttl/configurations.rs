//! The configurations of the model `ttl`: the rules, and every wrong variant.

use super::{Ttl, Wrong};
use crate::check::{Configuration, Size};
use crate::properties::BELIEVES;

/// All configurations of this model.
pub(crate) fn configurations() -> Vec<Configuration> {
    let breaks = |name, steps, wrong| {
        let model = Ttl { wrong: Some(wrong) };
        Configuration::breaks(name, BELIEVES, steps, model)
    };
    vec![
        Configuration::holds("ttl/first deadline", Size::Small, Ttl { wrong: None }),
        breaks(
            "ttl/deadline from the sight of Granted",
            17,
            Wrong::DeadlineFromSight,
        ),
        breaks(
            "ttl/deadline from the answer to the create",
            18,
            Wrong::DeadlineFromAnswer,
        ),
        breaks(
            "ttl/deadline from a create that was sent again",
            16,
            Wrong::DeadlineFromSecondCreate,
        ),
        breaks("ttl/nobody renews first", 15, Wrong::NoRenewFirst),
        breaks(
            "ttl/handed over when the first renewal is sent",
            16,
            Wrong::HandedOverUnanswered,
        ),
        breaks("ttl/no gap between 0.4 and 0.5", 15, Wrong::NoGap),
        breaks(
            "ttl/waiting counted from the answer to the create",
            16,
            Wrong::WaitedFromAnswer,
        ),
        breaks(
            "ttl/waiting counted until the reveal is answered",
            15,
            Wrong::WaitingUntilRevealed,
        ),
        breaks("ttl/lapse by the watch alone", 14, Wrong::LapsesByWatch),
        breaks(
            "ttl/waiting by the creationTimestamp",
            13,
            Wrong::WaitingByStamp,
        ),
        breaks(
            "ttl/waiting counted from the swap of who adopts",
            16,
            Wrong::WaitedFromSwap,
        ),
    ]
}
