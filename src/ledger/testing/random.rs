//! Random histories: users, kubelets, faults and crashes around two ledgers, judged at every step.
//!
//! A failing seed prints itself; `SLUICE_SEED=n cargo test --lib ledger::testing::random` replays it.

use std::collections::BTreeMap;

use super::super::*;
use super::check::Checker;
use super::people::{end_pod, holders_act, kubelet_acts, operator_acts, sweep, user_acts};
use super::server::limit;
use super::world::World;
use super::{limit_spec, lock};

const STEPS: u64 = 1_500;

/// What a run reached, so that a fault that is never met does not count as survived.
#[derive(Default, Debug)]
struct Reached {
    reveals: u64,
    aborts: u64,
    adoptions: u64,
    conflicts: u64,
    unknown: u64,
    releases: u64,
    claims_granted: u64,
    revokes: u64,
}

fn run(seed: u64) -> Reached {
    let controllers = 1 + (seed % 2) as usize;
    let mut world = World::new(seed, 12, controllers);
    world.server.rules = !seed.is_multiple_of(3);
    let mut checker = Checker::default();
    for (name, slots) in [("gpu", 2), ("db", 1), ("net", 3)] {
        world.server.create_pool(limit(name), limit_spec(slots));
    }
    world.server.create_pool(
        lock("deploy"),
        PoolSpec {
            capacity: LOCK_UNITS,
            ..limit_spec(1)
        },
    );
    create_special_pools(&mut world);
    let (mut pods, mut claims) = (0, 0);
    for step in 0..STEPS {
        if step < STEPS * 3 / 4 && world.dice.one_in(14) {
            user_acts(&mut world, &mut pods);
        }
        if step < STEPS * 3 / 4 && world.dice.one_in(25) {
            holders_act(&mut world, &mut claims);
        }
        if world.dice.one_in(10) {
            kubelet_acts(&mut world);
        }
        if world.dice.one_in(180) && step < STEPS * 3 / 4 {
            let index = world.dice.roll(controllers as u64) as usize;
            world.crash(index);
        }
        if world.dice.one_in(6) || !world.step() {
            let pause = 1 + world.dice.roll(700);
            world.advance(pause);
        }
        checker.check(&world.server).unwrap_or_else(|wrong| {
            panic!(
                "seed {seed} step {step}: {wrong}\n{}",
                world.server.story(40)
            )
        });
    }
    heal(seed, &mut world, &mut checker);
    let mut reached = Reached {
        reveals: checker.reveals,
        aborts: checker.aborts,
        adoptions: checker.adoptions,
        claims_granted: checker.claims_granted,
        revokes: checker.revokes,
        ..Reached::default()
    };
    for controller in &mut world.controllers {
        let stats = controller.ledger.take_stats();
        reached.conflicts += stats.conflicts;
        reached.unknown += stats.unknown;
        reached.releases += stats.releases_confirmed + stats.releases_presumed;
    }
    reached
}

/// A family, and a limit that asks for proof; they stay for the whole run.
fn create_special_pools(world: &mut World) {
    let family = FamilySpec {
        label: "worker".into(),
        overrides: [("w2".into(), 2)].into(),
        workers_max: 2,
        idle: Span::seconds(20),
    };
    world.server.create_pool(
        limit("fam"),
        PoolSpec {
            family: Some(family),
            ..limit_spec(1)
        },
    );
    let proof = PoolSpec {
        release: ReleasePolicy::Confirmed,
        ..limit_spec(2)
    };
    world.server.create_pool(limit("proof"), proof);
    let strict = PoolSpec {
        order: Order::Strict,
        ..limit_spec(2)
    };
    world.server.create_pool(limit("strict"), strict);
}

/// The faults stop, everything that runs ends: then everything that waits must run, and nothing stay.
fn heal(seed: u64, world: &mut World, checker: &mut Checker) {
    world.faults = 0;
    for (name, slots) in [("gpu", 2), ("db", 1), ("net", 3)] {
        if world.server.pools.contains_key(&limit(name)) {
            world.server.edit_spec(&limit(name), |spec| {
                spec.mode = Mode::Active;
                spec.capacity = slots;
            });
            world.server.set_aside(&limit(name), false);
        } else {
            world.server.create_pool(limit(name), limit_spec(slots));
        }
    }
    if !world.server.pools.contains_key(&lock("deploy")) {
        world.server.create_pool(
            lock("deploy"),
            PoolSpec {
                capacity: LOCK_UNITS,
                ..limit_spec(1)
            },
        );
    }
    sweep(world);
    world.settle(30);
    everybody_is_counted(seed, world);
    run_out(seed, world, checker);
    // Presumed ends settle, idle workers go, and the third worker's turn comes.
    world.settle(200);
    operator_acts(world);
    run_out(seed, world, checker);
    world.settle(60);
    let stuck: Vec<String> = world
        .server
        .pods
        .values()
        .filter(|pod| !pod.is_revealed() && pod.progress.phase == PodPhase::Live)
        .map(|pod| {
            let states: Vec<_> = world
                .controllers
                .iter()
                .map(|it| it.ledger.request_state(&pod.uid))
                .collect();
            format!("{} {:?} {:?} {states:?}", pod.name, pod.ask, pod.text)
        })
        .collect();
    let unfenced: Vec<_> = world.controllers[0]
        .ledger
        .pools
        .iter()
        .filter(|(_, pool)| pool.fence != super::super::pool::Fence::Done)
        .collect();
    assert!(
        stuck.is_empty(),
        "seed {seed}: never granted: {stuck:#?}\n{}\n{unfenced:?}",
        world.server.story(30)
    );
    for pool in world.server.pools.values() {
        let held = pool.status.read().map_or(0, |status| status.units());
        let of = |it: &super::world::Controller| {
            let uids: Vec<Uid> = pool
                .status
                .read()
                .into_iter()
                .flat_map(|status| status.entries())
                .map(|it| it.uid.clone())
                .collect();
            let requests: Vec<_> = uids
                .iter()
                .map(|uid| (it.ledger.requests.get(uid), it.ledger.strangers.get(uid)))
                .collect();
            format!("{requests:?} {:?}", it.ledger.pools.get(&pool.key))
        };
        let known: Vec<String> = world.controllers.iter().map(of).collect();
        assert_eq!(
            held,
            0,
            "seed {seed}: leases stay:\n{}\n{known:#?}",
            world.server.story(30)
        );
    }
}

/// Whoever runs ends, until everybody has.
fn run_out(seed: u64, world: &mut World, checker: &mut Checker) {
    for _ in 0..120 {
        world.settle(20);
        checker.check(&world.server).unwrap_or_else(|wrong| {
            panic!("seed {seed} healing: {wrong}\n{}", world.server.story(60))
        });
        let uids: Vec<Uid> = world.server.pods.keys().cloned().collect();
        for uid in uids {
            let Some(view) = world.server.pods.get(&uid).cloned() else {
                continue;
            };
            if view.is_revealed() {
                end_pod(world, view);
            }
        }
        if world.server.pods.values().all(|pod| match &pod.claim {
            Some(claim) => claim.phase.is_final(),
            None => pod.progress.phase == PodPhase::Terminal,
        }) {
            break;
        }
    }
}

/// Whoever runs, with a record of its reveal or without, is counted by every limit that counts.
fn everybody_is_counted(seed: u64, world: &World) {
    for pod in world.server.pods.values() {
        let Ask::Wants(wants) = &pod.ask else {
            continue;
        };
        let by_hand = pod.granted.is_none() && pod.claim.is_none();
        if !pod.is_revealed() || pod.progress.phase != PodPhase::Live || !by_hand {
            continue;
        }
        for mention in wants.mentions.iter() {
            let Some(pool) = world.server.pools.get(&mention.pool) else {
                continue;
            };
            let (Some(spec), Some(status)) = (pool.spec.read(), pool.status.read()) else {
                continue;
            };
            let counts = spec.mode != Mode::Disabled && spec.family.is_none() && status.fenced;
            let counted = status.entries().any(|it| it.uid == pod.uid);
            assert!(
                !counts || counted || pool.released.contains(&pod.uid),
                "seed {seed}: {} runs and {} does not count it\n{}",
                pod.name,
                mention.pool,
                world.server.story(40)
            );
        }
    }
}

#[test]
fn random_histories_break_no_invariant_and_heal() {
    if let Ok(seed) = std::env::var("SLUICE_SEED") {
        run(seed.parse().unwrap());
        return;
    }
    let seeds: u64 = std::env::var("SLUICE_SEEDS")
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or(150);
    let mut total = BTreeMap::new();
    for seed in 0..seeds {
        let reached = run(seed);
        for (what, count) in [
            ("reveals", reached.reveals),
            ("aborts", reached.aborts),
            ("adoptions", reached.adoptions),
            ("conflicts", reached.conflicts),
            ("unknown", reached.unknown),
            ("releases", reached.releases),
            ("claims granted", reached.claims_granted),
            ("claims revoked", reached.revokes),
        ] {
            *total.entry(what).or_insert(0_u64) += count;
        }
    }
    println!("{seeds} seeds: {total:?}");
    for (what, count) in &total {
        assert!(
            *count > 20,
            "{what} happened {count} times in {seeds} seeds: the world is too tame"
        );
    }
}
