//! Pods and claims that take: fences, families, refusals, and what is left of them.

use super::*;

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
