//! What other limits get wrong, tried on claims: the faults that docs/prefect.md lists, as far as they are decided here.

use super::super::*;
use super::claims::{claim, create, phase, release, renew};
use super::server::limit;
use super::world::World;
use super::{limit_spec, pod};

/// A cluster without faults, with these limits.
fn world(limits: &[(&str, u64)]) -> World {
    let mut world = World::new(1, 0, 1);
    for (name, slots) in limits {
        world.server.create_pool(limit(name), limit_spec(*slots));
    }
    world.settle(1);
    world
}

fn holders(world: &World, name: &str) -> Vec<String> {
    let status = world.server.pools[&limit(name)].status.read().unwrap();
    status.entries().map(|it| it.name.to_string()).collect()
}

fn set_mode(world: &mut World, name: &str, mode: Mode) {
    world
        .server
        .edit_spec(&limit(name), |spec| spec.mode = mode);
    world.settle(1);
}

#[test]
fn a_claim_takes_all_its_limits_or_none() {
    let mut world = world(&[("gpu", 1), ("db", 1)]);
    let first = create(&mut world, claim("first", "db=1", 600));
    world.settle(1);
    let both = create(&mut world, claim("both", "gpu=1, db=1", 600));
    world.settle(2);
    assert_eq!(phase(&world, &both), Some(ClaimPhase::Pending));
    assert_eq!(holders(&world, "gpu"), [""; 0], "nothing is held meanwhile");
    release(&mut world, &first);
    world.settle(1);
    assert_eq!(phase(&world, &both), Some(ClaimPhase::Granted));
    assert_eq!(holders(&world, "gpu"), ["both"]);
    assert_eq!(holders(&world, "db"), ["both"]);
}

#[test]
fn one_limit_that_is_missing_among_others_denies_all_and_takes_nothing() {
    let mut world = world(&[("gpu", 1)]);
    let one = create(&mut world, claim("one", "gpu=1, nothing=1", 60));
    world.settle(2);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Denied));
    assert_eq!(holders(&world, "gpu"), [""; 0]);
    // Who says so goes without it, and holds the other.
    let mut view = claim("two", "gpu=1, nothing=1", 60);
    if let Ask::Wants(wants) = &mut view.ask {
        wants.deny_missing = false;
        wants.ignore_missing = true;
    }
    let two = create(&mut world, view);
    world.settle(2);
    assert_eq!(phase(&world, &two), Some(ClaimPhase::Granted));
    assert_eq!(holders(&world, "gpu"), ["two"]);
    let granted = world.server.pods[&two].granted.clone().unwrap();
    assert_eq!(granted.leases.len(), 1, "and is told what it holds");
}

#[test]
fn a_large_request_that_waits_holds_up_no_small_one() {
    let mut world = world(&[("gpu", 3)]);
    create(&mut world, claim("one", "gpu=1", 600));
    world.settle(1);
    let large = create(&mut world, claim("large", "gpu=3", 600));
    let small = create(&mut world, claim("small", "gpu=1", 600));
    world.settle(1);
    assert_eq!(phase(&world, &large), Some(ClaimPhase::Pending));
    assert_eq!(phase(&world, &small), Some(ClaimPhase::Granted));
}

#[test]
fn patience_counts_from_the_creation_and_not_from_the_head_of_the_queue() {
    let mut world = world(&[("gpu", 1)]);
    create(&mut world, claim("one", "gpu=1", 600));
    world.settle(1);
    create(&mut world, claim("patient", "gpu=1", 600));
    let mut view = claim("hasty", "gpu=1", 600);
    if let Ask::Wants(wants) = &mut view.ask {
        wants.timeout = Some(Span::seconds(1));
    }
    let hasty = create(&mut world, view);
    world.settle(3);
    assert_eq!(phase(&world, &hasty), Some(ClaimPhase::TimedOut));
}

#[test]
fn however_often_one_claim_is_released_it_frees_its_own_slot_only() {
    let mut world = world(&[("gpu", 2)]);
    let one = create(&mut world, claim("one", "gpu=1", 600));
    let two = create(&mut world, claim("two", "gpu=1", 600));
    world.settle(1);
    // By its holder, by an operator, by deletion, again, and by a write whose answer is lost.
    release(&mut world, &one);
    let mut object = world.server.pools[&limit("gpu")].clone();
    object.released.insert(one.clone());
    world.server.put_pool(object);
    world.lose_next = true;
    release(&mut world, &one);
    world.step();
    world.server.delete_pod(&one);
    world.settle(5);
    world.lose_next = false;
    assert_eq!(holders(&world, "gpu"), ["two"]);
    assert_eq!(phase(&world, &two), Some(ClaimPhase::Granted));
    let waits = create(&mut world, claim("three", "gpu=2", 600));
    world.settle(2);
    assert_eq!(
        phase(&world, &waits),
        Some(ClaimPhase::Pending),
        "there is one slot"
    );
}

#[test]
fn a_claim_that_is_released_while_its_limit_is_disabled_is_counted_nowhere_afterwards() {
    let mut world = world(&[("gpu", 1)]);
    let one = create(&mut world, claim("one", "gpu=1", 600));
    world.settle(1);
    set_mode(&mut world, "gpu", Mode::Disabled);
    release(&mut world, &one);
    world.settle(2);
    set_mode(&mut world, "gpu", Mode::Active);
    world.settle(2);
    assert_eq!(holders(&world, "gpu"), [""; 0]);
    let two = create(&mut world, claim("two", "gpu=1", 600));
    world.settle(1);
    assert_eq!(phase(&world, &two), Some(ClaimPhase::Granted));
}

#[test]
fn a_claim_that_held_before_and_while_its_limit_was_disabled_counts_afterwards() {
    let mut world = world(&[("gpu", 1)]);
    let before = create(&mut world, claim("before", "gpu=1", 600));
    world.settle(1);
    set_mode(&mut world, "gpu", Mode::Disabled);
    let meanwhile = create(&mut world, claim("meanwhile", "gpu=1", 600));
    world.settle(2);
    assert_eq!(phase(&world, &meanwhile), Some(ClaimPhase::Granted));
    set_mode(&mut world, "gpu", Mode::Active);
    let after = create(&mut world, claim("after", "gpu=1", 600));
    world.settle(2);
    assert_eq!(phase(&world, &after), Some(ClaimPhase::Pending));
    release(&mut world, &before);
    world.settle(2);
    assert_eq!(
        phase(&world, &after),
        Some(ClaimPhase::Pending),
        "the one that was let through is counted too"
    );
    release(&mut world, &meanwhile);
    world.settle(2);
    assert_eq!(phase(&world, &after), Some(ClaimPhase::Granted));
}

#[test]
fn a_limit_that_is_deleted_and_created_again_counts_the_claim_that_holds() {
    let mut world = world(&[("gpu", 1)]);
    let one = create(&mut world, claim("one", "gpu=1", 600));
    world.settle(1);
    world.server.delete_pool(&limit("gpu"));
    world.settle(1);
    world.server.create_pool(limit("gpu"), limit_spec(1));
    let two = create(&mut world, claim("two", "gpu=1", 600));
    world.settle(3);
    assert_eq!(holders(&world, "gpu"), ["one"]);
    assert_eq!(phase(&world, &two), Some(ClaimPhase::Pending));
    renew(&mut world, &one);
    world.settle(1);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Granted));
    release(&mut world, &one);
    world.settle(1);
    assert_eq!(phase(&world, &two), Some(ClaimPhase::Granted));
}

#[test]
fn a_limit_that_shrinks_takes_nothing_from_a_claim_and_grants_when_it_fits() {
    let mut world = world(&[("gpu", 3)]);
    let three: Vec<Uid> = ["one", "two", "three"]
        .map(|name| create(&mut world, claim(name, "gpu=1", 600)))
        .into();
    world.settle(1);
    world
        .server
        .edit_spec(&limit("gpu"), |spec| spec.capacity = 1);
    let next = create(&mut world, claim("next", "gpu=1", 600));
    world.settle(1);
    for (uid, left) in three.iter().zip([2, 1, 0]) {
        assert_eq!(phase(&world, &next), Some(ClaimPhase::Pending));
        release(&mut world, uid);
        world.settle(1);
        let mut held = holders(&world, "gpu");
        held.retain(|name| name != "next");
        assert_eq!(held.len(), left, "nobody lost anything");
    }
    assert_eq!(phase(&world, &next), Some(ClaimPhase::Granted));
}

#[test]
fn leases_that_run_out_together_are_all_ended_at_once() {
    let mut world = world(&[("gpu", 150)]);
    let names: Vec<String> = (0..150).map(|number| format!("c{number}")).collect();
    for name in &names {
        create(&mut world, claim(name, "gpu=1", 60));
    }
    world.settle(3);
    assert_eq!(holders(&world, "gpu").len(), 150);
    world.settle(64);
    assert_eq!(holders(&world, "gpu"), [""; 0]);
    // Nobody had to ask twice for what has come back.
    let all = create(&mut world, claim("all", "gpu=150", 60));
    world.settle(1);
    assert_eq!(phase(&world, &all), Some(ClaimPhase::Granted));
}

#[test]
fn a_renewal_that_arrives_after_the_end_brings_nothing_back() {
    let mut world = world(&[("gpu", 1)]);
    let one = create(&mut world, claim("one", "gpu=1", 20));
    let two = create(&mut world, claim("two", "gpu=1", 600));
    world.settle(23);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Revoked));
    renew(&mut world, &one);
    world.settle(2);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Revoked));
    assert_eq!(holders(&world, "gpu"), ["two"]);
    assert_eq!(phase(&world, &two), Some(ClaimPhase::Granted));
}

#[test]
fn a_renewal_in_the_last_moment_keeps_the_lease() {
    // The controller looks again before it ends a lease; Prefect's does not (issue 22983 there).
    let mut world = world(&[("gpu", 1)]);
    let one = create(&mut world, claim("one", "gpu=1", 20));
    world.settle(20);
    renew(&mut world, &one);
    world.settle(10);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Granted));
    assert_eq!(holders(&world, "gpu"), ["one"]);
}

#[test]
fn twelve_who_would_not_wait_make_the_next_wait_no_longer() {
    // Prefect's waiters poll, after pauses that come from averages and from how many were denied.
    let mut world = world(&[("gpu", 1)]);
    let one = create(&mut world, claim("one", "gpu=1", 600));
    world.settle(1);
    for number in 0..12 {
        let mut view = claim(&format!("hasty{number}"), "gpu=1", 600);
        if let Ask::Wants(wants) = &mut view.ask {
            wants.timeout = Some(Span(0));
        }
        create(&mut world, view);
    }
    world.settle(2);
    let next = create(&mut world, pod("next", "gpu=1"));
    world.settle(1);
    release(&mut world, &one);
    world.drain();
    assert!(world.server.pods[&next].is_revealed(), "at the same moment");
}
