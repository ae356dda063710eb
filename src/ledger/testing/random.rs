//! Random histories: users, kubelets, faults and crashes around two ledgers, judged at every step.
//!
//! A failing seed prints itself; `SLUICE_SEED=n cargo test --lib ledger::testing::random` replays it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::*;
use super::check::Checker;
use super::server::{limit, set_attempt};
use super::world::World;
use super::{limit_spec, lock, pod};

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
    let mut pods = 0;
    for step in 0..STEPS {
        if step < STEPS * 3 / 4 && world.dice.one_in(14) {
            user_acts(&mut world, &mut pods);
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
        let held = pool.status.read().map_or(0, PoolStatus::units);
        let of = |it: &super::world::Controller| {
            let uids: Vec<Uid> = pool
                .status
                .read()
                .into_iter()
                .flat_map(PoolStatus::entries)
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
        if world
            .server
            .pods
            .values()
            .all(|pod| pod.progress.phase == PodPhase::Terminal)
        {
            break;
        }
    }
}

/// Where proof is asked for and a pod went while nobody looked, an operator has to say that it ended.
fn operator_acts(world: &mut World) {
    let Some(mut object) = world.server.pools.get(&limit("proof")).cloned() else {
        return;
    };
    let entries: Vec<Uid> = object
        .status
        .read()
        .into_iter()
        .flat_map(PoolStatus::entries)
        .map(|it| it.uid.clone())
        .collect();
    object.released.extend(
        entries
            .into_iter()
            .filter(|uid| !world.server.pods.contains_key(uid)),
    );
    world.server.put_pool(object);
}

fn end_pod(world: &mut World, mut view: RequestView) {
    if view.progress.phase == PodPhase::Terminal {
        return;
    }
    view.node.get_or_insert("node-1".into());
    view.progress = Progress {
        phase: PodPhase::Terminal,
        containers: Containers::AllTerminated,
        by_pod_gc: false,
    };
    world.server.put_pod(view);
}

fn kubelet_acts(world: &mut World) {
    let running: Vec<RequestView> = world
        .server
        .pods
        .values()
        .filter(|pod| pod.is_revealed() && pod.progress.phase == PodPhase::Live)
        .cloned()
        .collect();
    if running.is_empty() {
        return;
    }
    let at = world.dice.roll(running.len() as u64) as usize;
    let Some(mut view) = running.into_iter().nth(at) else {
        return;
    };
    if view.node.is_none() {
        view.node = Some("node-1".into());
        view.progress.containers = Containers::SomeNotTerminated;
        world.server.put_pod(view);
    } else if world.dice.one_in(3) {
        end_pod(world, view);
    }
}

fn user_acts(world: &mut World, pods: &mut u64) {
    let gated: Vec<RequestView> = world
        .server
        .pods
        .values()
        .filter(|pod| !pod.is_revealed())
        .cloned()
        .collect();
    let pick = world.dice.roll(gated.len().max(1) as u64) as usize;
    let chosen = gated.into_iter().nth(pick);
    let names = ["gpu", "db", "net"];
    let pool = limit(names[world.dice.roll(3) as usize]);
    match (world.dice.roll(22), chosen) {
        (0..=9, _) => create_pod(world, pods),
        (10, Some(view)) => {
            world.server.delete_pod(&view.uid);
        }
        (11 | 12, Some(view)) => edit(world, view),
        (13, _) => {
            let slots = 1 + world.dice.roll(4);
            world.server.edit_spec(&pool, |spec| spec.capacity = slots);
        }
        (14, _) => {
            let mode = [Mode::Active, Mode::Active, Mode::Paused, Mode::Disabled];
            let mode = mode[world.dice.roll(4) as usize];
            world.server.edit_spec(&pool, |spec| spec.mode = mode);
        }
        (15, _) => {
            world.server.delete_pool(&pool);
        }
        (16 | 17, _) => {
            for name in names {
                if !world.server.pools.contains_key(&limit(name)) {
                    world.server.create_pool(limit(name), limit_spec(2));
                }
            }
        }
        (18, _) if world.dice.one_in(2) => sweep(world),
        (18, _) => unlabel(world),
        (19, Some(mut view)) => {
            // The admission policy raises the attempt at an edit.
            edit(world, view.clone());
            if let Some(now) = world.server.pods.get(&view.uid).cloned() {
                view = now;
            }
            if let Some(next) = view.attempt.and_then(Attempt::next) {
                set_attempt(&mut view, next);
                world.server.put_pod(view);
            }
        }
        (20, _) => force_delete(world),
        _ => touch_pool(world, &pool),
    }
}

fn create_pod(world: &mut World, pods: &mut u64) {
    *pods += 1;
    let asks = [
        "gpu=1",
        "gpu=2",
        "db=1",
        "gpu=1,db=1",
        "net=3",
        "db=1,net=1",
        "net=1",
        "fam=1",
        "fam=1,gpu=1",
        "proof=1",
        "proof=1,db=1",
        "strict=1",
        "strict=2,gpu=1",
    ];
    let slots = asks[world.dice.roll(asks.len() as u64) as usize];
    let mut view = pod(&format!("pod-{pods}"), slots);
    view.arrival = world.server.clock;
    view.priority = world.dice.roll(3) as i32;
    let worker = ["w1", "w2", "w3"][world.dice.roll(3) as usize];
    view.labels = Arc::new([("worker".into(), worker.into())].into());
    if let Ask::Wants(wants) = &mut view.ask {
        if world.dice.one_in(10) {
            wants.timeout = Some(Span::seconds(5 + world.dice.roll(60)));
            wants.fail_on_timeout = true;
        }
        wants.ignore_missing = world.dice.one_in(6);
        let amount = if world.dice.one_in(2) {
            Amount::Shared
        } else {
            Amount::Exclusive
        };
        if world.dice.one_in(4) {
            let mut mentions = wants.mentions.to_vec();
            mentions.push(Mention {
                pool: lock("deploy"),
                amount,
            });
            wants.mentions = mentions.into();
        }
    }
    if world.dice.one_in(12) {
        // It came past admission: no gate, no label.
        view.gates.ours = None;
        view.managed = false;
    }
    world.server.put_pod(view);
}

/// Pods that came past admission are labelled, as the sweep does.
fn sweep(world: &mut World) {
    let past: Vec<RequestView> = world
        .server
        .pods
        .values()
        .filter(|pod| pod.is_revealed() && !pod.managed)
        .cloned()
        .collect();
    for mut view in past {
        view.managed = true;
        world.server.put_pod(view);
    }
}

/// Whoever runs, with a record of its reveal or without, is counted by every limit that counts.
fn everybody_is_counted(seed: u64, world: &World) {
    for pod in world.server.pods.values() {
        let Ask::Wants(wants) = &pod.ask else {
            continue;
        };
        if !pod.is_revealed() || pod.progress.phase != PodPhase::Live || pod.granted.is_some() {
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

/// The annotations are edited; the parsed request follows the text.
fn edit(world: &mut World, mut view: RequestView) {
    let asks = ["gpu=1", "db=1", "net=2", "gpu=1,net=1"];
    let slots = asks[world.dice.roll(asks.len() as u64) as usize];
    let fresh = pod("x", slots);
    view.ask = fresh.ask;
    view.text = Arc::new(RequestText {
        slots: Some(slots.into()),
        attempt: view.text.attempt.clone(),
        ..Default::default()
    });
    world.server.put_pod(view);
}

fn unlabel(world: &mut World) {
    let running = world
        .server
        .pods
        .values()
        .find(|pod| pod.is_revealed() && pod.managed)
        .cloned();
    if let Some(mut view) = running {
        view.managed = false;
        world.server.put_pod(view);
    }
}

/// A running pod is deleted by force; one with our finalizer stays until its kubelet has ended it.
fn force_delete(world: &mut World) {
    let running = world
        .server
        .pods
        .values()
        .find(|pod| pod.is_revealed())
        .cloned();
    let Some(mut view) = running else { return };
    if view.finalizer {
        view.deleting = true;
        let view = world.server.put_pod(view);
        end_pod(world, view);
    } else {
        world.server.delete_pod(&view.uid);
    }
}

/// Somebody keeps touching a limit's labels.
fn touch_pool(world: &mut World, key: &PoolKey) {
    if let Some(object) = world.server.pools.get(key).cloned() {
        world.server.put_pool(object);
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
