//! Rates: exact arithmetic, the pace of grants under everything that can go wrong, and what becomes of a take.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::testing::server::limit;
use super::super::testing::world::{Dice, World};
use super::super::testing::{limit_spec, pod};
use super::super::*;
use super::Gauge;

/// So many slots in so many seconds.
fn decay(slots: u32, seconds: u64) -> Decay {
    Decay {
        slots,
        period: Span::seconds(seconds),
    }
}

fn rated(capacity: u64, decay: Decay) -> PoolSpec {
    PoolSpec {
        decay: Some(decay),
        ..limit_spec(capacity)
    }
}

/// A gated pod that takes from `rates`, and holds `slots` (`"gpu=1, db=2"`).
fn rate_pod(name: &str, rates: &str, slots: &str) -> RequestView {
    let mut view = pod(name, slots);
    let Ask::Wants(wants) = pod(name, rates).ask else {
        unreachable!()
    };
    let takes = wants.mentions.iter().map(|it| Mention {
        amount: Amount::Rate(u32::try_from(it.amount.units()).unwrap()),
        ..it.clone()
    });
    if let Ask::Wants(own) = &mut view.ask {
        own.mentions = own.mentions.iter().cloned().chain(takes).collect();
    }
    view.text = Arc::new(RequestText {
        slots: (!slots.is_empty()).then(|| slots.into()),
        rates: Some(rates.into()),
        ..Default::default()
    });
    view
}

/// A claim of kind `RateLimit`.
fn rate_claim(name: &str, rates: &str) -> RequestView {
    let mut view = rate_pod(name, rates, "");
    view.text = Arc::new(RequestText::default());
    if let Ask::Wants(wants) = &mut view.ask {
        wants.deny_missing = true;
        wants.fail_on_timeout = true;
    }
    view.claim = Some(ClaimView {
        phase: ClaimPhase::Pending,
        seq: 0,
        release: false,
        expired: false,
        lease: Some(Span::seconds(15)),
        hold_max: None,
        pod: None,
        terms: None,
    });
    view
}

fn world(capacity: u64, rate: Decay) -> World {
    let mut world = World::new(1, 0, 1);
    world
        .server
        .create_pool(limit("api"), rated(capacity, rate));
    world.drain();
    world
}

fn ask(world: &mut World, view: RequestView) {
    let mut view = view;
    view.arrival = world.server.clock;
    world.server.put_pod(view);
    world.drain();
}

/// Time passes in small steps, everything that comes up is done at once.
fn pass(world: &mut World, milliseconds: u64) {
    for _ in 0..milliseconds / 10 {
        world.advance(10);
        world.drain();
    }
}

fn uid(name: &str) -> Uid {
    format!("uid-{name}").into()
}

fn revealed(world: &World) -> usize {
    let pods = world.server.pods.values();
    pods.filter(|it| it.is_revealed()).count()
}

fn status(world: &World) -> PoolStatus {
    world.server.pools[&limit("api")]
        .status
        .read()
        .cloned()
        .unwrap()
}

fn end(world: &mut World, name: &str) {
    let mut view = world.server.pods[&uid(name)].clone();
    view.node.get_or_insert("node-1".into());
    view.progress.phase = PodPhase::Terminal;
    view.progress.containers = Containers::AllTerminated;
    world.server.put_pod(view);
    world.drain();
}

/// What is used now, in parts, by the status and the time since it was written.
fn parts(world: &World) -> u64 {
    let pool = &world.controllers[0].ledger.pools[&limit("api")];
    pool.gauge
        .now(pool.decay(), world.controllers[0].ledger.now.tick)
        .parts
}

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
        let mut pool = super::super::pool::Pool::default();
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
        status: Part::Read(PoolStatus {
            level,
            ..Default::default()
        }),
        owner: None,
        released: Default::default(),
        set_aside: None,
    }
}

#[test]
fn a_burst_and_then_exactly_the_rate() {
    let mut world = world(10, decay(2, 1));
    for number in 0..120 {
        ask(&mut world, rate_pod(&format!("p{number:03}"), "api=1", ""));
    }
    assert_eq!(revealed(&world), 10);
    for half in 1..=80 {
        pass(&mut world, 490);
        assert_eq!(
            revealed(&world),
            9 + half,
            "a moment before {half} halves of a second"
        );
        pass(&mut world, 10);
        assert_eq!(
            revealed(&world),
            10 + half,
            "after {half} halves of a second"
        );
    }
}

/// Prefect, fact 13 of reference/prefect.md: of 89 tries, one each 0.45 s, on 10 slots at 2/s it grants 50.
#[test]
fn tries_that_come_slower_than_the_rate_are_all_granted() {
    let mut world = world(10, decay(2, 1));
    for number in 0..89 {
        ask(&mut world, rate_pod(&format!("p{number}"), "api=1", ""));
        let view = &world.server.pods[&uid(&format!("p{number}"))];
        assert!(view.is_revealed(), "try {number}");
        pass(&mut world, 450);
    }
}

/// Prefect, fact 14: there the release of 4 slots wiped what two others held.
#[test]
fn a_release_gives_back_its_own_slots_once_and_in_time() {
    let mut world = world(10, decay(1, 10));
    ask(&mut world, pod("four", "api=4"));
    ask(&mut world, pod("three", "api=3"));
    ask(&mut world, pod("two", "api=2"));
    // Held slots do not drain, however long.
    pass(&mut world, 60_000);
    assert_eq!((status(&world).in_use, status(&world).level), (9, None));
    end(&mut world, "four");
    let after = status(&world);
    assert_eq!(after.in_use, 5, "the others hold what they held");
    assert_eq!(after.level.map(Level::slots), Some(4));
    ask(&mut world, rate_pod("next", "api=2", ""));
    pass(&mut world, 9_980);
    assert_eq!(
        revealed(&world),
        3,
        "one slot was free, the second is not back"
    );
    pass(&mut world, 20);
    assert_eq!(revealed(&world), 4);
    // 4 + 2 taken, 1 back; then one each ten seconds and nothing else.
    pass(&mut world, 50_000);
    assert_eq!(parts(&world), 0);
    assert_eq!(status(&world).in_use, 5);
}

#[test]
fn what_was_never_told_is_given_back_at_once() {
    let mut world = world(5, decay(1, 60));
    world.denied = vec![PatchKind::Reveal];
    ask(&mut world, rate_pod("refused", "api=5", ""));
    assert_eq!(
        status(&world).units(),
        5,
        "it is taken while the reveal is tried"
    );
    ask(&mut world, rate_pod("next", "api=5", ""));
    pass(&mut world, 61_000);
    world.denied.clear();
    pass(&mut world, 2_000);
    assert!(!world.server.pods[&uid("refused")].is_revealed());
    assert!(world.server.pods[&uid("next")].is_revealed());
    assert_eq!(
        status(&world).level.map(Level::slots),
        Some(5),
        "of the second alone"
    );
}

#[test]
fn who_is_deleted_while_waiting_has_used_nothing() {
    let mut world = world(5, decay(1, 60));
    world.denied = vec![PatchKind::Reveal];
    ask(&mut world, rate_pod("gone", "api=5", ""));
    world.server.delete_pod(&uid("gone"));
    world.denied.clear();
    world.drain();
    pass(&mut world, 1_000);
    assert_eq!((status(&world).units(), status(&world).level), (0, None));
}

#[test]
fn a_new_leader_gives_no_burst_again() {
    let mut world = world(10, decay(2, 1));
    for number in 0..40 {
        ask(&mut world, rate_pod(&format!("p{number:02}"), "api=1", ""));
    }
    assert_eq!(revealed(&world), 10);
    // Nobody leads for a minute; what came back meanwhile is lost.
    world.tick += 60_000;
    world.crash(0);
    world.drain();
    assert_eq!(revealed(&world), 10);
    pass(&mut world, 5_000);
    assert_eq!(revealed(&world), 20);
    // One that has watched goes on where it was seen.
    world.crash(0);
    world.drain();
    pass(&mut world, 5_000);
    assert!(
        (29..=30).contains(&revealed(&world)),
        "{}",
        revealed(&world)
    );
}

#[test]
fn a_level_that_has_come_back_is_written_so() {
    let mut world = world(10, decay(10, 1));
    ask(&mut world, rate_pod("a", "api=10", ""));
    assert!(status(&world).level.is_some());
    let written = |world: &World| world.server.pools[&limit("api")].version;
    let version = written(&world);
    pass(&mut world, 4_000);
    assert_eq!(
        written(&world),
        version,
        "that it falls is no reason to write"
    );
    pass(&mut world, 3_000);
    assert_eq!(status(&world).level, None);
    let version = written(&world);
    pass(&mut world, 60_000);
    assert_eq!(written(&world), version, "once");
}

#[test]
fn a_lost_answer_neither_loses_nor_doubles_a_take() {
    for lost in 0..4 {
        let mut world = world(10, decay(1, 3600));
        world.server.put_pod(rate_pod("a", "api=3", ""));
        let mut writes = 0;
        // The take, the reveal, and what makes it level: each of them once without an answer.
        for _ in 0..400 {
            let before = world.server.log.len();
            world.lose_next = writes == lost;
            if !world.step() {
                world.advance(200);
            }
            writes += world.server.log.len() - before;
        }
        world.lose_next = false;
        world.settle(2);
        let after = status(&world);
        assert_eq!(
            (after.units(), after.level.map(Level::slots)),
            (0, Some(3)),
            "lost {lost}"
        );
        assert!(world.server.pods[&uid("a")].is_revealed());
    }
}

#[test]
fn a_change_of_the_decay_keeps_what_is_used() {
    let mut world = world(10, decay(1, 10));
    ask(&mut world, rate_pod("a", "api=10", ""));
    pass(&mut world, 5_000);
    assert_eq!(parts(&world), 95_000, "nine and a half of 10,000");
    let edit = |world: &mut World, to: Option<Decay>| {
        world
            .server
            .edit_spec(&limit("api"), |spec| spec.decay = to);
        world.drain();
    };
    edit(&mut world, Some(decay(1, 7)));
    assert_eq!(parts(&world), 66_500, "the same of 7,000");
    edit(&mut world, Some(decay(1, 3)));
    assert_eq!(parts(&world), 28_500);
    // Without one nothing comes back, and nothing of it counts.
    edit(&mut world, None);
    ask(&mut world, pod("b", "api=10"));
    assert!(world.server.pods[&uid("b")].is_revealed());
    pass(&mut world, 20_000);
    end(&mut world, "b");
    assert_eq!(
        parts(&world),
        28_500,
        "slots held without a decay are free when they are given back"
    );
    edit(&mut world, Some(decay(2, 3)));
    pass(&mut world, 1_000);
    assert_eq!(parts(&world), 26_500);
}

#[test]
fn who_runs_is_not_counted_for_a_rate_by_a_new_fence() {
    let mut world = world(10, decay(1, 60));
    world.server.create_pool(limit("gpu"), limit_spec(2));
    ask(&mut world, rate_pod("a", "api=4", "gpu=1"));
    assert!(world.server.pods[&uid("a")].is_revealed());
    let granted = world.server.pods[&uid("a")].granted.clone().unwrap();
    let pools: Vec<String> = granted.leases.iter().map(|it| it.pool.text()).collect();
    assert_eq!(pools, ["gpu"], "the record is of what it holds");
    for aside in [true, false] {
        for name in ["api", "gpu"] {
            world.server.set_aside(&limit(name), aside);
        }
        world.settle(2);
    }
    let after = status(&world);
    assert!(after.fenced && after.entries().next().is_none());
    assert_eq!(
        after.level.map(Level::slots),
        Some(4),
        "a fence keeps the level"
    );
    let gpu = world.server.pools[&limit("gpu")]
        .status
        .read()
        .cloned()
        .unwrap();
    assert_eq!(gpu.units(), 1);
}

#[test]
fn one_limit_cannot_be_held_and_taken_from_by_one_pod() {
    let mut world = world(10, decay(1, 1));
    ask(&mut world, rate_pod("both", "api=1", "api=1"));
    let state = world.controllers[0].ledger.request_state(&uid("both"));
    let Some(RequestState::Waiting(Some(Cause::BadAnnotation(why)))) = state else {
        panic!("{state:?}")
    };
    assert!(why.contains("both for slots and for a rate"), "{why}");
}

#[test]
fn without_a_decay_a_claim_is_denied_and_a_pod_waits() {
    let mut world = World::new(1, 0, 1);
    world.server.create_pool(limit("api"), limit_spec(10));
    for wait in [false, true] {
        let mut claim = rate_claim(if wait { "waits" } else { "denies" }, "api=1");
        if let Ask::Wants(wants) = &mut claim.ask {
            wants.deny_missing = !wait;
        }
        ask(&mut world, claim.clone());
        let now = world.server.pods[&claim.uid].clone();
        assert_eq!(now.claim.unwrap().phase, ClaimPhase::Denied, "wait {wait}");
    }
    ask(&mut world, rate_pod("a", "api=1", ""));
    let state = world.controllers[0].ledger.request_state(&uid("a"));
    assert_eq!(
        state,
        Some(RequestState::Waiting(Some(Cause::NoDecay(limit("api")))))
    );
    assert_eq!(
        (status(&world).units(), status(&world).last_token > Token(0)),
        (0, true)
    );
    world
        .server
        .edit_spec(&limit("api"), |spec| spec.decay = Some(decay(1, 1)));
    world.drain();
    assert!(world.server.pods[&uid("a")].is_revealed());
}

#[test]
fn a_family_passes_its_decay_on_and_its_want_of_one() {
    let family = |decay| PoolSpec {
        family: Some(FamilySpec {
            label: "worker".into(),
            overrides: Default::default(),
            workers_max: 5,
            idle: Span::seconds(1),
        }),
        decay,
        ..limit_spec(2)
    };
    let mut world = World::new(1, 0, 1);
    world
        .server
        .create_pool(limit("api"), family(Some(decay(1, 30))));
    world.server.create_pool(limit("plain"), family(None));
    world.drain();
    let claim = rate_claim("plain", "plain:w1=1");
    ask(&mut world, claim.clone());
    let phase = world.server.pods[&claim.uid].claim.clone().unwrap().phase;
    assert_eq!(phase, ClaimPhase::Denied);
    for name in ["a", "b", "c"] {
        let mut view = rate_pod(name, "api=1", "");
        view.labels = Arc::new([("worker".into(), "w1".into())].into());
        ask(&mut world, view);
    }
    world.settle(1);
    assert_eq!(
        world
            .server
            .pods
            .values()
            .filter(|it| it.granted.is_some())
            .count(),
        2
    );
    // Idle for long, and not deleted while something of it is used: made anew it would give a burst again.
    world.server.delete_pod(&uid("c"));
    world.settle(50);
    assert!(world.server.pools.contains_key(&limit("api--w1")));
    world.settle(15);
    assert!(!world.server.pools.contains_key(&limit("api--w1")));
}

#[test]
fn a_claim_takes_and_has_nothing_more() {
    let mut world = world(3, decay(1, 3600));
    ask(&mut world, rate_claim("c", "api=2"));
    let claim = world.server.pods[&uid("c")].clone();
    assert_eq!(claim.claim.clone().unwrap().phase, ClaimPhase::Granted);
    assert_eq!(claim.granted.unwrap().leases[0].amount, Amount::Rate(2));
    assert_eq!(
        (
            status(&world).units(),
            status(&world).level.map(Level::slots)
        ),
        (0, Some(2))
    );
    // Neither its lease nor anything else takes it away before its holder can have read it.
    world.settle(295);
    let phase = world.server.pods[&uid("c")].claim.clone().unwrap().phase;
    assert_eq!(phase, ClaimPhase::Granted);
    world.settle(10);
    assert!(!world.server.pods.contains_key(&uid("c")));
    assert_eq!(status(&world).level.map(Level::slots), Some(2));
}

#[test]
fn a_claim_that_is_released_or_vanishes_leaves_nothing() {
    let mut world = world(9, decay(1, 3600));
    ask(&mut world, rate_claim("released", "api=2"));
    let mut view = world.server.pods[&uid("released")].clone();
    view.claim.as_mut().unwrap().release = true;
    world.server.put_pod(view);
    world.drain();
    assert!(!world.server.pods.contains_key(&uid("released")));
    // Deleted by hand before its controller has seen that it was granted.
    world.server.put_pod(rate_claim("vanishes", "api=3"));
    while !world.server.pods[&uid("vanishes")].is_revealed() {
        assert!(world.step());
    }
    assert_eq!(status(&world).units(), 3);
    world.server.delete_pod(&uid("vanishes"));
    world.settle(1);
    assert_eq!(
        (
            status(&world).units(),
            status(&world).level.map(Level::slots)
        ),
        (0, Some(5))
    );
}

#[test]
fn people_are_told_how_fast_slots_come_back() {
    let mut world = world(10, decay(2, 1));
    ask(&mut world, pod("holds", "api=10"));
    ask(&mut world, rate_pod("waits", "api=3", ""));
    world.settle(3);
    let told = world.told.join("\n");
    let says = "limit ns/api has no room for 3 more: 10 of 10 used, 2 come back each second";
    assert!(told.contains(says), "{told}");
}

/// Every take that was told, with the tick at which the server was.
struct Told {
    read: usize,
    takes: Vec<(u64, u64)>,
}

impl Told {
    fn read(&mut self, world: &World) {
        use super::super::testing::server::Change;
        for change in &world.server.log[self.read..] {
            let Change::Pod {
                now: Some(now),
                before: Some(before),
            } = change
            else {
                continue;
            };
            let Ask::Wants(wants) = &now.ask else {
                continue;
            };
            if now.granted.is_some() && before.granted.is_none() {
                let rates = wants
                    .mentions
                    .iter()
                    .filter(|it| matches!(it.amount, Amount::Rate(_)));
                self.takes
                    .push((world.tick, rates.map(|it| it.amount.units()).sum()));
            }
        }
        self.read = world.server.log.len();
    }

    /// In no stretch of time is more told than fits, and what comes back in it.
    fn judge(&self, capacity: u64, rate: Decay) -> Result<(), String> {
        for (first, (from, _)) in self.takes.iter().enumerate() {
            let mut sum = 0;
            for (to, slots) in &self.takes[first..] {
                sum += slots;
                let back = u64::from(rate.slots) * (to - from);
                if sum * rate.period.0 > capacity * rate.period.0 + back {
                    return Err(format!(
                        "{sum} slots were told from {from} to {to}, {capacity} and {back} parts fit"
                    ));
                }
            }
        }
        Ok(())
    }
}

#[test]
fn whatever_goes_wrong_no_stretch_of_time_has_more_than_it_may() {
    let mut told_in_all = 0;
    for seed in 1..=60 {
        let mut dice = Dice(seed);
        let capacity = 2 + dice.roll(8);
        let rate = decay(1 + u32::try_from(dice.roll(7)).unwrap(), 1 + dice.roll(5));
        let controllers = 1 + (seed % 2) as usize;
        let mut world = World::new(seed, 10, controllers);
        world
            .server
            .create_pool(limit("api"), rated(capacity, rate));
        world.server.create_pool(limit("gpu"), limit_spec(2));
        let mut told = Told {
            read: 0,
            takes: Vec::new(),
        };
        let mut pods = 0;
        for step in 0..1_200 {
            if step < 800 && dice.one_in(12) {
                pods += 1;
                let slots = 1 + dice.roll(capacity.min(3));
                let holds = if dice.one_in(3) { "gpu=1" } else { "" };
                let name = format!("p{pods}");
                let mut view = rate_pod(&name, &format!("api={slots}"), holds);
                view.arrival = world.server.clock;
                world.server.put_pod(view);
            }
            if dice.one_in(40) {
                let running = world
                    .server
                    .pods
                    .values()
                    .find(|it| it.is_revealed() && it.node.is_none());
                if let Some(mut view) = running.cloned() {
                    view.node = Some("node-1".into());
                    view.progress.phase = PodPhase::Terminal;
                    view.progress.containers = Containers::AllTerminated;
                    world.server.put_pod(view);
                }
            }
            if dice.one_in(60)
                && let Some(view) = world.server.pods.values().find(|it| !it.is_revealed())
            {
                let uid = view.uid.clone();
                world.server.delete_pod(&uid);
            }
            if dice.one_in(200) {
                world.crash(dice.roll(controllers as u64) as usize);
            }
            if dice.one_in(5) || !world.step() {
                world.advance(1 + dice.roll(300));
            }
            told.read(&world);
        }
        told.judge(capacity, rate)
            .unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        told_in_all += told.takes.len();
        // In the end nobody is left waiting for a rate, and no take is left a holder.
        world.faults = 0;
        for _ in 0..60 {
            for view in world
                .server
                .pods
                .values()
                .filter(|it| it.is_revealed())
                .cloned()
                .collect::<Vec<_>>()
            {
                if view.progress.phase == PodPhase::Live {
                    let name = view.name.to_string();
                    end(&mut world, &name);
                }
            }
            world.settle(10);
        }
        let waits: Vec<_> = world
            .server
            .pods
            .values()
            .filter(|it| !it.is_revealed())
            .map(|it| it.name.clone())
            .collect();
        assert!(
            waits.is_empty(),
            "seed {seed}: {waits:?} wait\n{}",
            world.server.story(20)
        );
        assert_eq!(status(&world).units(), 0, "seed {seed}");
    }
    assert!(told_in_all > 500, "only {told_in_all} takes were told");
}
