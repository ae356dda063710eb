//! Which fault meets which request: drawn from the seed, by weights. Pure.

use std::time::Duration;

use fastrand::Rng;

/// One in so many requests is hurt.
const ONE_IN: u32 = 5;
/// How long a watch is left alone on average, in milliseconds.
const WATCH_PEACE_MILLIS: u64 = 5_000;

/// What happens to a request that is no watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    DelayBefore(Duration),
    DelayAfter(Duration),
    DropBefore,
    DropAfter,
    /// It is given up now, and carried out this much later.
    Late(Duration),
    /// The client is given the second answer, or the first.
    Duplicate {
        second: bool,
    },
    DuplicateLate(Duration),
    Answer(u16),
    Truncate,
}

/// What happens to a watch next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WatchFault {
    End,
    Break,
    Pause(Duration),
    DropEvent,
    Gone,
}

/// Draws what happens to a request; `None`: nothing.
pub(super) fn of_request(dice: &mut Rng, is_write: bool) -> Option<Fault> {
    if dice.u32(..ONE_IN) > 0 {
        return None;
    }
    // Reads have no effect that could be late or double.
    let most = if is_write { 100 } else { 66 };
    Some(match dice.u32(..most) {
        0..12 => Fault::DelayBefore(millis(dice, 10, 1_500)),
        12..18 => Fault::DelayAfter(millis(dice, 10, 1_500)),
        18..21 => Fault::DelayBefore(millis(dice, 3_000, 9_000)),
        21..31 => Fault::DropBefore,
        31..44 => Fault::DropAfter,
        44..58 => Fault::Answer(code(dice)),
        58..66 => Fault::Truncate,
        66..78 => Fault::Late(millis(dice, 100, 8_000)),
        78..90 => Fault::Duplicate {
            second: dice.bool(),
        },
        _ => Fault::DuplicateLate(millis(dice, 100, 8_000)),
    })
}

fn code(dice: &mut Rng) -> u16 {
    // 422 is rarer: a server that refuses a write twice means it.
    match dice.u32(..19) {
        0..4 => 409,
        4..7 => 410,
        7 => 422,
        8..11 => 429,
        11..14 => 500,
        14..17 => 503,
        _ => 504,
    }
}

/// Draws what happens to a watch next, and when.
pub(super) fn of_watch(dice: &mut Rng) -> (Duration, WatchFault) {
    let peace = millis(dice, 50, 2 * WATCH_PEACE_MILLIS);
    let fault = match dice.u32(..100) {
        0..25 => WatchFault::End,
        25..40 => WatchFault::Break,
        40..65 => WatchFault::Pause(millis(dice, 300, 6_000)),
        65..85 => WatchFault::DropEvent,
        _ => WatchFault::Gone,
    };
    (peace, fault)
}

fn millis(dice: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(dice.u64(least..=most))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_comes_and_the_same_seed_gives_the_same() {
        let draw = |seed| {
            let mut dice = Rng::with_seed(seed);
            (0..5_000)
                .map(|_| of_request(&mut dice, true))
                .collect::<Vec<_>>()
        };
        let drawn = draw(7);
        assert_eq!(drawn, draw(7));
        assert_ne!(drawn, draw(8));
        let kinds: BTreeSet<String> = drawn
            .iter()
            .flatten()
            .map(|fault| match fault {
                Fault::Answer(code) => format!("answer {code}"),
                other => format!("{other:?}")
                    .split(['(', ' '])
                    .next()
                    .unwrap()
                    .to_owned(),
            })
            .collect();
        assert_eq!(kinds.len(), 8 + 7, "{kinds:?}");
        let hurt = drawn.iter().flatten().count();
        assert!((800..1_200).contains(&hurt), "{hurt}");
    }

    #[test]
    fn a_read_is_never_done_twice_or_late() {
        let mut dice = Rng::with_seed(1);
        for _ in 0..5_000 {
            let fault = of_request(&mut dice, false);
            assert!(!matches!(
                fault,
                Some(Fault::Late(_) | Fault::Duplicate { .. } | Fault::DuplicateLate(_))
            ));
        }
    }
}
