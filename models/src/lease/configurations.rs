//! The configurations of the model `lease`: renewals alone, each thing that may also happen, and every
//! wrong variant.

use super::Also::{Adopt, Dies, Drift, Force, Linger, Release, Vanish};
use super::properties::{NO_EFFECT, ONE_GUARD};
use super::{Also, Renewal, Wrong};
use crate::check::{Configuration, Size};
use crate::properties::BELIEVES;

/// All configurations of this model.
pub(crate) fn configurations() -> Vec<Configuration> {
    let mut all = protocol();
    all.extend(wrong_renewals());
    all.extend(wrong_ends());
    all.extend(wrong_adoptions());
    all
}

fn protocol() -> Vec<Configuration> {
    let model = |also, hold, in_flight| Renewal {
        also,
        hold,
        in_flight,
        wrong: None,
    };
    let small = |name, also| Configuration::holds(name, Size::Small, model(also, 2, 2));
    let large = |name, also| Configuration::holds(name, Size::Large, model(also, 2, 2));
    let longer = |name, also| Configuration::holds(name, Size::Large, model(also, 3, 3));
    vec![
        small("lease/renewals", &[]),
        small("lease/releases", &[Release]),
        small("lease/revoked by force", &[Release, Force]),
        small("lease/vanishes", &[Vanish]),
        small("lease/lock delay", &[Linger, Vanish]),
        small("lease/clocks of other rates", &[Drift]),
        small("lease/adopted", &[Adopt]),
        small("lease/adopted from the dead", &[Adopt, Dies]),
        longer("lease/renewals, three in flight", &[]),
        longer("lease/ends, three in flight", &[Release, Force, Vanish]),
        longer("lease/clocks of other rates, three in flight", &[Drift]),
        large("lease/adopted and released", &[Adopt, Release]),
        large(
            "lease/adopted from the dead and released",
            &[Adopt, Dies, Release],
        ),
        large(
            "lease/adopted, released, revoked and vanished",
            &[Release, Force, Vanish, Adopt],
        ),
    ]
}

fn breaks(
    name: &'static str,
    property: &'static str,
    steps: usize,
    also: &'static [Also],
    wrong: Wrong,
) -> Configuration {
    let model = Renewal {
        also,
        hold: 2,
        in_flight: 2,
        wrong: Some(wrong),
    };
    Configuration::breaks(name, property, steps, model)
}

/// Rules of renewals and of the revoke that they meet.
fn wrong_renewals() -> Vec<Configuration> {
    vec![
        breaks(
            "lease/freed directly",
            BELIEVES,
            7,
            &[],
            Wrong::FreedDirectly,
        ),
        breaks("lease/time of day", BELIEVES, 5, &[], Wrong::WallClock),
        breaks(
            "lease/deadline from the answer",
            BELIEVES,
            9,
            &[],
            Wrong::DeadlineFromAnswer,
        ),
        breaks(
            "lease/a revoked claim is renewed",
            BELIEVES,
            8,
            &[Force],
            Wrong::RenewsRevoked,
        ),
        breaks("lease/seq may fall", BELIEVES, 12, &[], Wrong::SeqFalls),
        breaks(
            "lease/the same seq again",
            BELIEVES,
            11,
            &[],
            Wrong::SameSeqAgain,
        ),
        breaks(
            "lease/revoke without a test of the seq",
            BELIEVES,
            9,
            &[],
            Wrong::RevokeWithoutSeqTest,
        ),
        breaks("lease/no guard", BELIEVES, 5, &[Drift], Wrong::NoGap),
    ]
}

/// Rules of ends other than expiry, and of the lock delay.
fn wrong_ends() -> Vec<Configuration> {
    vec![
        breaks(
            "lease/believes until the release is answered",
            BELIEVES,
            3,
            &[Release],
            Wrong::BelievesUntilReleased,
        ),
        breaks(
            "lease/a revoke by force frees at once",
            BELIEVES,
            3,
            &[Release, Force],
            Wrong::ForcedFreesAtOnce,
        ),
        breaks(
            "lease/a vanished claim frees at once",
            BELIEVES,
            3,
            &[Vanish],
            Wrong::VanishedFreesAtOnce,
        ),
        breaks(
            "lease/a vanished claim frees when the last renewal seen has expired",
            BELIEVES,
            9,
            &[Vanish],
            Wrong::VanishedFreesByLastSight,
        ),
        breaks(
            "lease/no lock delay",
            NO_EFFECT,
            7,
            &[Linger],
            Wrong::NoLockDelay,
        ),
        breaks(
            "lease/no lock delay after a claim vanished",
            NO_EFFECT,
            6,
            &[Linger, Vanish],
            Wrong::VanishedWithoutLockDelay,
        ),
    ]
}

/// Rules of the swap of a session.
fn wrong_adoptions() -> Vec<Configuration> {
    vec![
        breaks(
            "lease/who adopts believes at once",
            ONE_GUARD,
            4,
            &[Adopt],
            Wrong::AdoptedAtOnce,
        ),
        breaks(
            "lease/swap without a new seq",
            BELIEVES,
            10,
            &[Adopt, Dies],
            Wrong::SwapWithoutNewSeq,
        ),
        breaks(
            "lease/swap without a test of the seq",
            BELIEVES,
            13,
            &[Adopt, Dies],
            Wrong::SwapWithoutSeqTest,
        ),
        breaks(
            "lease/swap without a test of the release",
            BELIEVES,
            7,
            &[Adopt, Dies, Release],
            Wrong::SwapWithoutReleaseTest,
        ),
        breaks(
            "lease/who adopts releases before the former guard is over",
            BELIEVES,
            7,
            &[Adopt, Release],
            Wrong::ReleasedWhileWaiting,
        ),
        breaks(
            "lease/release without a test of the session",
            BELIEVES,
            12,
            &[Adopt, Release],
            Wrong::ReleaseWithoutSessionTest,
        ),
        breaks(
            "lease/renewal without a test of the session",
            ONE_GUARD,
            13,
            &[Adopt],
            Wrong::RenewWithoutSessionTest,
        ),
    ]
}
