//! What is beyond a bound, and what is refused for good: a clear word, and everybody else goes on.

use std::sync::Arc;

use super::super::bounds::{LEASES_MAX, REQUESTS_MAX};
use super::super::*;
use super::people::end_pod;
use super::server::{limit, set_attempt};
use super::world::World;
use super::{limit_spec, pod};

/// A cluster without faults, with one limit.
fn world(slots: u64) -> World {
    let mut world = World::new(1, 0, 1);
    world.server.create_pool(limit("gpu"), limit_spec(slots));
    world.settle(1);
    world
}

fn create(world: &mut World, name: &str) -> Uid {
    world.server.clock.0 += 1_000_000;
    let mut view = pod(name, "gpu=1");
    view.arrival = world.server.clock;
    world.server.put_pod(view).uid
}

fn status(world: &World) -> Arc<PoolStatus> {
    let object = &world.server.pools[&limit("gpu")];
    object.status.read().unwrap().clone()
}

fn told(world: &World, reason: &str) -> bool {
    let says = format!("{reason} ");
    world.told.iter().any(|event| event.starts_with(&says))
}

fn is_revealed(world: &World, uid: &Uid) -> bool {
    world.server.pods[uid].is_revealed()
}

fn end(world: &mut World, uid: &Uid) {
    let view = world.server.pods[uid].clone();
    end_pod(world, view);
}

#[test]
fn one_more_than_a_status_can_list_waits_and_is_told_so() {
    let mut world = world(LEASES_MAX as u64 + 1);
    let uids: Vec<Uid> = (0..=LEASES_MAX)
        .map(|number| create(&mut world, &format!("p{number}")))
        .collect();
    world.settle(4);
    assert_eq!(status(&world).leases.len(), LEASES_MAX);
    let last = &uids[LEASES_MAX];
    assert!(!is_revealed(&world, last));
    let state = world.controllers[0].ledger.request_state(last);
    let full = RequestState::Waiting(Some(Cause::LeasesFull(limit("gpu"))));
    assert_eq!(state, Some(full));
    assert!(told(&world, "LeasesFull"), "{:?}", world.told);
    end(&mut world, &uids[0]);
    world.settle(2);
    assert!(is_revealed(&world, last));
}

#[test]
fn more_running_holders_than_a_status_can_list_keep_a_limit_from_granting() {
    let mut world = World::new(1, 0, 1);
    let uids: Vec<Uid> = (0..=LEASES_MAX)
        .map(|number| {
            let mut view = pod(&format!("p{number}"), "gpu=1");
            view.gates.ours = None;
            world.server.put_pod(view).uid
        })
        .collect();
    world.settle(1);
    world.server.create_pool(limit("gpu"), limit_spec(5_000));
    world.settle(2);
    let uid = create(&mut world, "late");
    world.settle(2);
    let ready = status(&world).conditions["Ready"].clone();
    assert_eq!((ready.holds, &*ready.reason), (false, "TooManyHolders"));
    assert!(!is_revealed(&world, &uid));
    // They fit again.
    end(&mut world, &uids[0]);
    end(&mut world, &uids[1]);
    world.settle(3);
    assert!(status(&world).fenced);
    assert!(is_revealed(&world, &uid));
    assert_eq!(status(&world).entries().count(), LEASES_MAX);
}

#[test]
fn a_status_that_is_refused_for_one_request_serves_the_others() {
    let mut world = world(8);
    world.unwelcome.push("uid-bad".into());
    let uids: Vec<Uid> = ["a", "b", "bad", "c", "d"]
        .map(|name| create(&mut world, name))
        .into();
    world.settle(60);
    for uid in &uids {
        assert_eq!(is_revealed(&world, uid), uid.as_str() != "uid-bad", "{uid}");
    }
    assert!(told(&world, "RevealRefused"), "{:?}", world.told);
    world.unwelcome.clear();
    world.settle(150);
    assert!(is_revealed(&world, &uids[2]));
}

#[test]
fn a_reveal_that_is_denied_for_a_minute_gives_its_slots_back() {
    let mut world = world(1);
    world.denied.push(PatchKind::Reveal);
    let uid = create(&mut world, "a");
    world.settle(58);
    assert_eq!(status(&world).leases.len(), 1);
    world.settle(4);
    assert_eq!(status(&world).leases.len(), 0);
    world.settle(10);
    assert!(told(&world, "RevealRefused"), "{:?}", world.told);
    // It is tried again after two minutes.
    world.denied.clear();
    world.settle(180);
    assert!(is_revealed(&world, &uid));
}

#[test]
fn what_not_even_its_attempt_can_be_raised_of_keeps_its_slots() {
    let mut world = world(1);
    world.denied.extend([PatchKind::Reveal, PatchKind::Bump]);
    let uid = create(&mut world, "a");
    world.settle(200);
    assert_eq!(status(&world).leases.len(), 1);
    assert!(told(&world, "AbortRefused"), "{:?}", world.told);
    world.denied.clear();
    world.settle(200);
    assert!(is_revealed(&world, &uid));
}

#[test]
fn a_lease_of_the_last_attempt_goes_with_a_pod_whose_gate_a_restored_past_brings_back() {
    let mut world = world(1);
    let mut runs = pod("a", "gpu=1");
    runs.gates.ours = None;
    set_attempt(&mut runs, Attempt::TimedOut);
    let a = world.server.put_pod(runs).uid;
    world.settle(1);
    let attempts = |world: &World| -> Vec<Attempt> {
        let status = status(world);
        status.leases.iter().map(|lease| lease.attempt).collect()
    };
    assert_eq!(attempts(&world), [Attempt::TimedOut]);
    // Nothing is above the last attempt: the request goes there itself, instead of from one number to the next.
    world.server.put_pod(pod("a", "gpu=1"));
    let b = create(&mut world, "b");
    world.settle(5);
    let restored = &world.server.pods[&a];
    assert_eq!(restored.attempt, Some(Attempt::TimedOut));
    assert_eq!(restored.progress.phase, PodPhase::Terminal);
    assert!(is_revealed(&world, &b));
    assert_eq!(attempts(&world), [Attempt::Number(0)]);
}

#[test]
fn after_the_highest_number_comes_the_last_attempt() {
    let mut world = world(1);
    world.denied.push(PatchKind::Reveal);
    let mut view = pod("a", "gpu=1");
    set_attempt(&mut view, Attempt::Number(u32::MAX));
    let a = world.server.put_pod(view).uid;
    world.settle(70);
    assert_eq!(world.server.pods[&a].attempt, Some(Attempt::TimedOut));
    assert!(status(&world).leases.is_empty());
}

#[test]
fn more_waiting_pods_than_events_are_told_of_by_one() {
    let mut world = world(0);
    for number in 0..300 {
        create(&mut world, &format!("p{number}"));
    }
    world.settle(60);
    let many = world.told.iter().find(|it| it.starts_with("ManyWaiting "));
    let many = many.unwrap_or_else(|| {
        panic!(
            "{} told: {:?}",
            world.told.len(),
            &world.told[world.told.len() - 3..]
        )
    });
    assert!(many.contains("300 requests wait"), "{many}");
}

#[test]
fn what_is_beyond_the_bound_of_requests_waits_unseen_and_is_counted() {
    let mut ledger = Ledger::new(Options {
        process: "p".into(),
        events: false,
        claims: ClaimTimes::default(),
    });
    let now = Now {
        tick: Tick(1),
        server: Micros(1),
    };
    for number in 0..REQUESTS_MAX as u64 + 7 {
        let mut view = pod(&format!("p{number}"), "gpu=1");
        view.version = Version(u128::from(number) + 1);
        ledger.handle(now, Command::RequestSeen(Box::new(view)));
    }
    assert_eq!(ledger.requests_len(), REQUESTS_MAX);
    assert_eq!(ledger.take_stats().requests_beyond_bound, 7);
}
