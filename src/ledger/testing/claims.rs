//! The life of claims: one modelled server, one controller, holders that renew, release, die and vanish.

use super::super::*;
use super::server::limit;
use super::world::World;
use super::{limit_spec, pod};

/// A waiting claim with a lease of so many seconds, that would rather be denied than wait for what is missing.
pub(super) fn claim(name: &str, slots: &str, lease: u64) -> RequestView {
    let mut view = super::claim(name, slots);
    if let Ask::Wants(wants) = &mut view.ask {
        wants.deny_missing = true;
        wants.fail_on_timeout = true;
    }
    view.claim.as_mut().unwrap().lease = Some(Span::seconds(lease));
    view
}

/// A cluster without faults, with one limit.
fn world(slots: u64) -> World {
    with(limit_spec(slots))
}

fn with(spec: PoolSpec) -> World {
    let mut world = World::new(1, 0, 1);
    world.server.create_pool(limit("gpu"), spec);
    world.settle(1);
    world
}

pub(super) fn create(world: &mut World, mut view: RequestView) -> Uid {
    world.server.clock.0 += 1_000_000;
    view.arrival = world.server.clock;
    world.server.put_pod(view).uid
}

fn edit(world: &mut World, uid: &Uid, edit: impl FnOnce(&mut ClaimView)) {
    let mut view = world.server.pods[uid].clone();
    edit(view.claim.as_mut().unwrap());
    world.server.put_pod(view);
}

pub(super) fn renew(world: &mut World, uid: &Uid) {
    edit(world, uid, |claim| claim.seq += 1);
}

pub(super) fn release(world: &mut World, uid: &Uid) {
    let mut view = world.server.pods[uid].clone();
    let claim = view.claim.as_mut().unwrap();
    claim.release = true;
    view.deleting = claim.phase == ClaimPhase::Pending;
    world.server.put_pod(view);
}

pub(super) fn phase(world: &World, uid: &Uid) -> Option<ClaimPhase> {
    let view = world.server.pods.get(uid)?;
    Some(view.claim.as_ref()?.phase)
}

fn holders(world: &World) -> Vec<String> {
    let object = &world.server.pools[&limit("gpu")];
    let status = object.status.read().unwrap();
    status.entries().map(|it| it.name.to_string()).collect()
}

#[test]
fn a_claim_is_granted_released_and_deleted_when_nothing_is_held_any_more() {
    let mut world = world(1);
    let one = create(&mut world, claim("one", "gpu=1", 60));
    let two = create(&mut world, pod("two", "gpu=1"));
    world.settle(1);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Granted));
    let granted = world.server.pods[&one].granted.clone().unwrap();
    assert!(granted.leases[0].token > Token(0));
    let lease = world.server.pools[&limit("gpu")]
        .status
        .read()
        .unwrap()
        .leases[0]
        .clone();
    assert_eq!(
        (lease.kind, lease.linger),
        (HolderKind::Claim, Some(Span::seconds(63)))
    );
    release(&mut world, &one);
    world.settle(1);
    assert_eq!(phase(&world, &one), None, "it is deleted");
    assert_eq!(holders(&world), ["two"]);
    assert!(world.server.pods[&two].is_revealed());
    let ledger = &world.controllers[0].ledger;
    assert_eq!(ledger.requests_len(), 1, "and forgotten");
}

#[test]
fn renewals_keep_a_claim_and_their_absence_ends_it() {
    let mut world = world(1);
    let one = create(&mut world, claim("one", "gpu=1", 20));
    world.settle(1);
    for _ in 0..5 {
        world.settle(15);
        renew(&mut world, &one);
    }
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Granted));
    world.settle(20);
    assert_eq!(
        phase(&world, &one),
        Some(ClaimPhase::Granted),
        "not before 1.05 of its lease"
    );
    world.settle(2);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Revoked));
    assert_eq!(holders(&world), [""; 0]);
    world.settle(301);
    assert_eq!(phase(&world, &one), None, "and is deleted in its time");
}

#[test]
fn slots_stay_for_the_lock_delay_after_a_lease_ran_out() {
    let mut world = with(PoolSpec {
        lock_delay: Span::seconds(10),
        ..limit_spec(1)
    });
    let one = create(&mut world, claim("one", "gpu=1", 20));
    let two = create(&mut world, claim("two", "gpu=1", 600));
    world.settle(23);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Revoked));
    world.settle(7);
    assert_eq!(holders(&world), ["one"]);
    world.settle(3);
    assert_eq!(holders(&world), ["two"]);
    assert_eq!(phase(&world, &two), Some(ClaimPhase::Granted));
}

#[test]
fn a_grant_to_a_claim_that_waited_long_lapses_unless_it_is_confirmed() {
    for confirms in [false, true] {
        let mut world = world(1);
        let one = create(&mut world, claim("one", "gpu=1", 600));
        world.settle(1);
        let two = create(&mut world, claim("two", "gpu=1", 60));
        world.settle(31);
        release(&mut world, &one);
        world.settle(1);
        assert_eq!(phase(&world, &two), Some(ClaimPhase::Granted));
        if confirms {
            renew(&mut world, &two);
        }
        world.settle(16);
        let expected = if confirms {
            ClaimPhase::Granted
        } else {
            ClaimPhase::Revoked
        };
        assert_eq!(phase(&world, &two), Some(expected));
    }
}

#[test]
fn a_claim_that_vanishes_keeps_its_slots_until_its_holder_cannot_believe_any_more() {
    let mut world = world(1);
    let one = create(&mut world, claim("one", "gpu=1", 20));
    world.settle(1);
    renew(&mut world, &one);
    world.server.delete_pod(&one);
    world.settle(20);
    assert_eq!(holders(&world), ["one"]);
    world.settle(3);
    assert_eq!(holders(&world), [""; 0]);
}

#[test]
fn a_claim_that_vanished_while_its_limit_counted_nobody_counts_when_it_does_again() {
    let mut world = with(PoolSpec {
        mode: Mode::Disabled,
        ..limit_spec(1)
    });
    let one = create(&mut world, claim("one", "gpu=1", 20));
    world.settle(1);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Granted));
    assert_eq!(holders(&world), [""; 0], "nobody is counted");
    world.server.delete_pod(&one);
    world.settle(2);
    let edit = |spec: &mut PoolSpec| spec.mode = Mode::Active;
    world.server.edit_spec(&limit("gpu"), edit);
    let two = create(&mut world, claim("two", "gpu=1", 600));
    world.settle(10);
    assert_eq!(holders(&world), ["one"], "its holder may believe");
    assert_eq!(phase(&world, &two), Some(ClaimPhase::Pending));
    world.settle(12);
    assert_eq!(holders(&world), ["two"]);
}

#[test]
fn who_starts_anew_lets_the_lease_of_an_unknown_claim_linger() {
    let mut world = world(1);
    let one = create(&mut world, claim("one", "gpu=1", 20));
    world.settle(1);
    world.server.delete_pod(&one);
    world.crash(0);
    world.settle(20);
    assert_eq!(holders(&world), ["one"]);
    world.settle(3);
    assert_eq!(holders(&world), [""; 0]);
}

#[test]
fn a_claim_that_was_released_before_it_vanished_frees_at_once() {
    let mut world = world(1);
    let one = create(&mut world, claim("one", "gpu=1", 600));
    world.settle(1);
    release(&mut world, &one);
    world.server.delete_pod(&one);
    world.settle(2);
    assert_eq!(holders(&world), [""; 0]);
}

#[test]
fn what_is_missing_or_too_small_denies_as_it_arrives_and_never_later() {
    let mut world = world(1);
    let missing = create(&mut world, claim("missing", "nothing=1", 60));
    let large = create(&mut world, claim("large", "gpu=2", 60));
    let mut patient = claim("patient", "nothing=1", 60);
    if let Ask::Wants(wants) = &mut patient.ask {
        wants.deny_missing = false;
    }
    let patient = create(&mut world, patient);
    world.settle(2);
    assert_eq!(phase(&world, &missing), Some(ClaimPhase::Denied));
    assert_eq!(phase(&world, &large), Some(ClaimPhase::Denied));
    assert_eq!(phase(&world, &patient), Some(ClaimPhase::Pending));
    world
        .server
        .edit_spec(&limit("gpu"), |spec| spec.capacity = 0);
    world.settle(1);
    let waits = create(&mut world, claim("waits", "gpu=1", 60));
    world.settle(2);
    assert_eq!(
        phase(&world, &waits),
        Some(ClaimPhase::Pending),
        "scaled to nothing"
    );
    world.server.delete_pool(&limit("gpu"));
    world.settle(2);
    assert_eq!(
        phase(&world, &waits),
        Some(ClaimPhase::Pending),
        "it was there"
    );
}

#[test]
fn who_would_not_wait_is_tried_once() {
    let mut world = world(1);
    let no_patience = |name: &str| {
        let mut view = claim(name, "gpu=1", 60);
        if let Ask::Wants(wants) = &mut view.ask {
            wants.timeout = Some(Span(0));
        }
        view
    };
    let one = create(&mut world, no_patience("one"));
    world.settle(1);
    let two = create(&mut world, no_patience("two"));
    world.settle(2);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Granted));
    assert_eq!(phase(&world, &two), Some(ClaimPhase::TimedOut));
}

#[test]
fn who_would_not_wait_is_told_so_behind_others_of_its_kind_and_on_a_new_limit() {
    let mut world = World::new(1, 0, 1);
    world.server.create_pool(limit("gpu"), limit_spec(2));
    let no_patience = |name: &str| {
        let mut view = claim(name, "gpu=1", 60);
        if let Ask::Wants(wants) = &mut view.ask {
            wants.timeout = Some(Span(0));
        }
        view
    };
    // The limit is yet to be fenced: whoever fits is granted all the same.
    let one = create(&mut world, no_patience("one"));
    let two = create(&mut world, no_patience("two"));
    world.settle(1);
    for uid in [&one, &two] {
        assert_eq!(phase(&world, uid), Some(ClaimPhase::Granted));
    }
    let patient = create(&mut world, claim("patient", "gpu=1", 60));
    let three = create(&mut world, no_patience("three"));
    world.settle(1);
    assert_eq!(phase(&world, &patient), Some(ClaimPhase::Pending));
    assert_eq!(phase(&world, &three), Some(ClaimPhase::TimedOut));
}

#[test]
fn patience_ends_when_it_ends() {
    let mut world = world(1);
    create(&mut world, claim("one", "gpu=1", 600));
    world.settle(1);
    let mut view = claim("two", "gpu=1", 600);
    if let Ask::Wants(wants) = &mut view.ask {
        wants.timeout = Some(Span::seconds(10));
    }
    let two = create(&mut world, view);
    world.settle(8);
    assert_eq!(phase(&world, &two), Some(ClaimPhase::Pending));
    world.settle(4);
    assert_eq!(phase(&world, &two), Some(ClaimPhase::TimedOut));
}

#[test]
fn who_gives_up_while_waiting_is_gone_and_held_nothing() {
    let mut world = world(1);
    create(&mut world, claim("one", "gpu=1", 600));
    world.settle(1);
    let two = create(&mut world, claim("two", "gpu=1", 600));
    world.settle(1);
    release(&mut world, &two);
    world.settle(2);
    assert_eq!(phase(&world, &two), None);
    assert_eq!(holders(&world), ["one"]);
}

#[test]
fn who_gives_up_while_it_is_being_granted_leaves_nothing_behind() {
    let mut world = world(1);
    let one = create(&mut world, claim("one", "gpu=1", 600));
    // The lease is written, and the reveal on its way.
    for _ in 0..4 {
        world.step();
    }
    release(&mut world, &one);
    world.settle(3);
    assert_eq!(phase(&world, &one), None);
    assert_eq!(holders(&world), [""; 0]);
}

#[test]
fn an_operator_revokes_first_and_frees_then() {
    let mut world = world(1);
    let one = create(&mut world, claim("one", "gpu=1", 600));
    world.settle(1);
    let mut object = world.server.pools[&limit("gpu")].clone();
    object.released.insert(one.clone());
    world.server.put_pool(object);
    world.settle(2);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Revoked));
    assert_eq!(holders(&world), [""; 0]);
}

#[test]
fn the_longest_hold_ends_a_claim_that_is_renewed_and_its_slots_linger() {
    let mut world = world(1);
    let mut view = claim("one", "gpu=1", 20);
    view.claim.as_mut().unwrap().hold_max = Some(Span::seconds(30));
    let one = create(&mut world, view);
    world.settle(15);
    renew(&mut world, &one);
    world.settle(14);
    renew(&mut world, &one);
    world.settle(2);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Revoked));
    assert_eq!(holders(&world), ["one"], "its holder may not have heard");
    release(&mut world, &one);
    world.settle(1);
    assert_eq!(holders(&world), [""; 0], "now it has");
}

#[test]
fn a_claim_that_lives_as_long_as_a_pod_needs_no_renewals() {
    let mut world = world(1);
    let pod = create(&mut world, {
        let mut view = pod("worker", "");
        view.gates.ours = None;
        view.node = Some("node-1".into());
        view.managed = false;
        view
    });
    let mut view = claim("one", "gpu=1", 20);
    view.claim.as_mut().unwrap().pod = Some((pod.clone(), "worker".into()));
    let one = create(&mut world, view);
    world.settle(100);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Granted));
    let mut ended = world.server.pods[&pod].clone();
    ended.progress = Progress {
        phase: PodPhase::Terminal,
        containers: Containers::AllTerminated,
        by_pod_gc: false,
    };
    world.server.put_pod(ended);
    world.settle(17);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Revoked));
    assert_eq!(holders(&world), [""; 0]);
}

#[test]
fn a_new_controller_counts_a_lease_anew_and_revokes_nobody_early() {
    let mut world = world(1);
    let one = create(&mut world, claim("one", "gpu=1", 20));
    world.settle(18);
    world.crash(0);
    world.settle(20);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Granted));
    world.settle(3);
    assert_eq!(phase(&world, &one), Some(ClaimPhase::Revoked));
}

#[test]
fn claims_and_pods_stand_in_one_queue() {
    let mut world = world(1);
    let first = create(&mut world, claim("first", "gpu=1", 600));
    world.settle(1);
    let second = create(&mut world, pod("second", "gpu=1"));
    let third = create(&mut world, claim("third", "gpu=1", 600));
    world.settle(1);
    release(&mut world, &first);
    world.settle(1);
    assert!(world.server.pods[&second].is_revealed());
    assert_eq!(phase(&world, &third), Some(ClaimPhase::Pending));
}

#[test]
fn renewals_write_no_status() {
    let mut world = world(4);
    let uids: Vec<Uid> = (0..4)
        .map(|number| create(&mut world, claim(&format!("c{number}"), "gpu=1", 30)))
        .collect();
    world.settle(8);
    let before = world.server.pools[&limit("gpu")].version;
    for _ in 0..10 {
        for uid in &uids {
            renew(&mut world, uid);
        }
        world.settle(10);
    }
    assert_eq!(world.server.pools[&limit("gpu")].version, before);
}
