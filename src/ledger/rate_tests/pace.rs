//! How fast takes are granted, and what releases, leaders, lost answers and edits make of it.

use super::*;

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
