//! The level: exact, however time is cut, and as a status shows it.

use proptest::prelude::*;

use super::super::super::pool::Pool;
use super::*;

#[test]
fn no_fraction_is_lost_over_a_million_tiny_steps() {
    // 3 slots in 7 s: no step of a millisecond is a whole number of anything but parts.
    let rate = decay(3, 7);
    let full = Level::EMPTY.rescaled(rate).with(1_000);
    let start = Gauge {
        level: full,
        at: Tick(0),
    };
    let mut stepped = start;
    for tick in 1..=1_000_000 {
        let at = Tick(tick);
        stepped = Gauge {
            level: stepped.now(Some(rate), at),
            at,
        };
    }
    assert_eq!(stepped.level, start.now(Some(rate), Tick(1_000_000)));
    // 1000 s give 428 4/7 slots back: 571 3/7 are left.
    assert_eq!(stepped.level.parts, 1_000 * 7_000 - 3 * 1_000_000);
    assert_eq!(stepped.level.slots(), 572);
}

#[test]
fn the_largest_limit_counts_exactly() {
    let rate = decay(1_000_000, 86_400);
    let full = Level::EMPTY.rescaled(rate).with(1_000_000);
    assert_eq!(full.parts, 86_400_000 * 1_000_000);
    assert!(full.parts < bounds::LEVEL_PARTS_MAX / 50);
    let day = Span::seconds(86_400);
    assert_eq!(full.drained(rate, Span(day.0 - 1)).parts, 1_000_000);
    assert_eq!(full.drained(rate, day).parts, 0);
}

proptest! {
    #[test]
    fn however_it_is_cut_time_gives_back_the_same(
        slots in 1_u32..2_000, seconds in 1_u64..100, taken in 0_u64..5_000,
        steps in proptest::collection::vec(0_u64..5_000, 1..50),
    ) {
        let rate = decay(slots, seconds);
        let full = Level::EMPTY.rescaled(rate).with(taken);
        let whole = full.drained(rate, Span(steps.iter().sum()));
        let cut = steps.iter().fold(full, |level, step| level.drained(rate, Span(*step)));
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn another_scale_gives_nothing_away(parts in 0_u64..10_000_000_000, from in 1_u64..90_000, to in 1_u64..90_000) {
        let level = Level { parts, parts_per_slot: from };
        let there = level.rescaled(Decay { slots: 1, period: Span(to) });
        let (was, is) = (u128::from(parts) * u128::from(to), u128::from(there.parts) * u128::from(from));
        prop_assert!(is >= was && is < was + u128::from(from));
        prop_assert!(there.slots() >= level.slots());
    }

    #[test]
    fn it_is_free_at_the_very_tick_that_is_said(
        capacity in 1_u64..20, rate in 1_u32..5_000, seconds in 1_u64..20, taken in 0_u64..20, wanted in 1_u64..20,
    ) {
        let (taken, wanted) = (taken.min(capacity), wanted.min(capacity));
        let mut pool = Pool::default();
        let rate = decay(rate, seconds);
        pool.gauge = Gauge { level: Level::EMPTY.rescaled(rate).with(taken), at: Tick(100) };
        pool.seen = Some(object(rated(capacity, rate), None));
        let at = pool.free_at(wanted).unwrap();
        prop_assert!(pool.free(at) >= wanted);
        prop_assert!(at == Tick(100) || pool.free(Tick(at.0 - 1)) < wanted);
    }
}

fn object(spec: PoolSpec, level: Option<Level>) -> PoolObject {
    PoolObject {
        key: limit("api"),
        uid: "pool".into(),
        version: Version(1),
        generation: 1,
        deleting: false,
        spec: Part::Read(spec),
        status: Part::Read(
            PoolStatus {
                level,
                ..Default::default()
            }
            .into(),
        ),
        owner: None,
        released: Default::default(),
        set_aside: None,
    }
}

/// Found by the simulation: what was shown again after the edit came back by the new decay from the beginning.
#[test]
fn time_before_a_change_of_the_decay_counts_by_the_old_one_however_often_it_is_shown() {
    let level = Level {
        parts: 12_000,
        parts_per_slot: 6_000,
    };
    let shown = |of: Decay, batch: &str| {
        let mut object = object(rated(2, of), Some(level));
        if let Part::Read(status) = &mut object.status {
            Arc::make_mut(status).batch = Some(batch.into());
        }
        object
    };
    let mut pool = Pool {
        seen: Some(shown(decay(1, 6), "before")),
        composed: Some(("ours".into(), Tick(1_000))),
        ..Pool::default()
    };
    for (of, at, left) in [
        (decay(1, 6), 1_100, 12_000),
        // Two seconds of one slot in six: a third of a slot.
        (decay(3, 10), 3_000, 16_667),
        (decay(3, 10), 3_000, 16_667),
    ] {
        let object = shown(of, "ours");
        pool.gauge = pool.gauge_of(&object, Tick(at));
        pool.seen = Some(object);
        assert_eq!(pool.gauge.level.parts, left, "at {at}");
    }
}
