//! Users, kubelets and operators of the random histories.

use std::sync::Arc;

use super::super::*;
use super::server::{limit, set_attempt};
use super::world::World;
use super::{claim, limit_spec, lock, pod};

/// Where proof is asked for and a pod went while nobody looked, an operator has to say that it ended.
pub(super) fn operator_acts(world: &mut World) {
    let Some(mut object) = world.server.pools.get(&limit("proof")).cloned() else {
        return;
    };
    let entries: Vec<Uid> = object
        .status
        .read()
        .into_iter()
        .flat_map(|status| status.entries())
        .map(|it| it.uid.clone())
        .collect();
    object.released.extend(
        entries
            .into_iter()
            .filter(|uid| !world.server.pods.contains_key(uid)),
    );
    world.server.put_pool(object);
}

pub(super) fn end_pod(world: &mut World, mut view: RequestView) {
    if let Some(claim) = &view.claim {
        if !claim.release {
            world.server.release_claim(&view.uid);
        }
        return;
    }
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

pub(super) fn kubelet_acts(world: &mut World) {
    let running: Vec<RequestView> = world
        .server
        .pods
        .values()
        .filter(|pod| pod.is_revealed() && pod.progress.phase == PodPhase::Live)
        .filter(|pod| pod.claim.is_none())
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

pub(super) fn user_acts(world: &mut World, pods: &mut u64) {
    let gated: Vec<RequestView> = world
        .server
        .pods
        .values()
        .filter(|pod| !pod.is_revealed() && pod.claim.is_none())
        .cloned()
        .collect();
    let pick = world.dice.roll(gated.len().max(1) as u64) as usize;
    let chosen = gated.into_iter().nth(pick);
    let names = ["gpu", "db", "net"];
    let pool = limit(names[world.dice.roll(3) as usize]);
    match (world.dice.roll(23), chosen) {
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
        (21, _) => {
            let aside = world
                .server
                .pools
                .get(&pool)
                .map(|it| it.set_aside.is_some());
            world.server.set_aside(&pool, aside == Some(false));
        }
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

/// Holders of claims come, renew, give back, and go without a word.
pub(super) fn holders_act(world: &mut World, claims: &mut u64) {
    let all: Vec<RequestView> = world
        .server
        .pods
        .values()
        .filter(|pod| pod.claim.is_some())
        .cloned()
        .collect();
    let pick = world.dice.roll(all.len().max(1) as u64) as usize;
    let chosen = all.into_iter().nth(pick);
    match (world.dice.roll(10), chosen) {
        (0..=2, _) | (_, None) => create_claim(world, claims),
        (3..=6, Some(view)) => world.server.renew_claim(&view.uid),
        (7 | 8, Some(view)) => world.server.release_claim(&view.uid),
        (_, Some(view)) => {
            world.server.delete_pod(&view.uid);
        }
    }
}

fn create_claim(world: &mut World, claims: &mut u64) {
    *claims += 1;
    let asks = [
        "gpu=1",
        "gpu=2",
        "db=1",
        "gpu=1,db=1",
        "net=1",
        "fam:w1=1",
        "proof=1",
        "strict=1",
    ];
    let slots = asks[world.dice.roll(asks.len() as u64) as usize];
    let mut view = claim(&format!("claim-{claims}"), slots);
    view.arrival = world.server.clock;
    if let Ask::Wants(wants) = &mut view.ask {
        wants.deny_missing = world.dice.one_in(2);
        wants.timeout = world
            .dice
            .one_in(4)
            .then(|| Span::seconds(world.dice.roll(30)));
        wants.fail_on_timeout = true;
    }
    if let Some(claim) = &mut view.claim {
        claim.lease = Some(Span::seconds(15 + world.dice.roll(20)));
        claim.hold_max = world
            .dice
            .one_in(6)
            .then(|| Span::seconds(5 + world.dice.roll(30)));
    }
    world.server.put_pod(view);
}

/// Pods that came past admission are labelled, as the sweep does.
pub(super) fn sweep(world: &mut World) {
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
        .find(|pod| pod.is_revealed() && pod.managed && pod.claim.is_none())
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
        .find(|pod| pod.is_revealed() && pod.claim.is_none())
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
