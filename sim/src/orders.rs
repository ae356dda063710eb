//! Directed runs about order: who goes first is no question of safety, so that no judge of single versions sees it.
//!
//! Each is a small cluster without faults, and one sentence that must come true.

use std::collections::BTreeMap;

use sluice::api::names;
use sluice::ledger::{Name, Uid};

use crate::check::Violation;
use crate::server::{Container, Phase, Pod};
use crate::world::plan::Plan;
use crate::world::{SECOND, World};

/// One of them.
type Run = fn(&mut World) -> Result<(), Violation>;

/// All of them, by name.
pub const ALL: [(&str, Run); 4] = [
    (
        "a large request is granted although small ones keep coming",
        large_among_small,
    ),
    ("nobody passes the head of a Strict limit", strict),
    ("the highest priority goes first", priority),
    (
        "a family has no more derived limits than maxWorkers",
        workers,
    ),
];

/// Runs one.
pub fn run(which: Run) -> Result<(), Violation> {
    let mut world = World::new(Plan::quiet());
    which(&mut world)
}

fn pod(name: &str, slots: &str, priority: i32) -> Pod {
    Pod {
        uid: "".into(),
        namespace: "ns".into(),
        name: Name::from(name),
        version: 0,
        created: sluice::ledger::Micros(0),
        priority,
        labels: BTreeMap::new(),
        annotations: BTreeMap::from([(names::SLOTS.to_owned(), slots.to_owned())]),
        gates: Vec::new(),
        node: None,
        phase: Phase::Pending,
        container: Container::Unreported,
        collected: false,
        deleting: false,
        finalizers: Vec::new(),
    }
}

fn create(world: &mut World, name: &str, slots: &str, priority: i32) -> Uid {
    match world.server.create_pod(pod(name, slots, priority), false) {
        Some(uid) => uid,
        None => crate::bug("a pod of that name is there"),
    }
}

fn wait(world: &mut World, seconds: u64) -> Result<(), Violation> {
    let end = world.now().saturating_add(seconds * SECOND);
    while world.now() < end {
        world.step()?;
    }
    Ok(())
}

fn wrong(what: String) -> Result<(), Violation> {
    let about = Vec::new();
    Err(Violation {
        rule: "order",
        what,
        about,
    })
}

/// `net` has three slots, and reserves for whoever has waited for twenty seconds.
fn large_among_small(world: &mut World) -> Result<(), Violation> {
    wait(world, 5)?;
    for number in 0..3 {
        create(world, &format!("early-{number}"), "net", 0);
    }
    wait(world, 2)?;
    let large = create(world, "large", "net=3", 0);
    for number in 0..240 {
        create(world, &format!("small-{number}"), "net", 0);
        wait(world, 1)?;
        if !world.server.is_gated(&large) {
            return Ok(());
        }
    }
    wrong("large waited for four minutes while small ones passed".to_owned())
}

/// `strict` has two slots.
fn strict(world: &mut World) -> Result<(), Violation> {
    wait(world, 5)?;
    create(world, "one", "strict", 0);
    wait(world, 1)?;
    let large = create(world, "large", "strict=2", 0);
    wait(world, 1)?;
    let small = create(world, "small", "strict", 0);
    for _ in 0..120 {
        wait(world, 1)?;
        if !world.server.is_gated(&small) && world.server.is_gated(&large) {
            return wrong("small passed large".to_owned());
        }
        if !world.server.is_gated(&small) {
            return Ok(());
        }
    }
    wrong("small never went".to_owned())
}

/// `fam` has two workers at most. (Rivals whose watches lag may be over it for a moment: the place is kept in the family's
/// status by compare-and-swap, the derived limit is another object.)
fn workers(world: &mut World) -> Result<(), Violation> {
    wait(world, 5)?;
    for worker in ["w1", "w2", "w3"] {
        let mut pod = pod(worker, "fam", 0);
        pod.labels
            .insert(names::WORKER.to_owned(), worker.to_owned());
        world.server.create_pod(pod, false);
    }
    for _ in 0..20 {
        wait(world, 1)?;
        let derived = world
            .server
            .pools()
            .filter(|pool| pool.owner.is_some())
            .count();
        if derived > 2 {
            return wrong(format!("{derived} derived limits, of 2 at most"));
        }
    }
    Ok(())
}

/// `db` has one slot.
fn priority(world: &mut World) -> Result<(), Violation> {
    wait(world, 5)?;
    create(world, "holder", "db", 0);
    wait(world, 2)?;
    let low = create(world, "low", "db", 0);
    wait(world, 1)?;
    let high = create(world, "high", "db", 9);
    for _ in 0..120 {
        wait(world, 1)?;
        match (world.server.is_gated(&low), world.server.is_gated(&high)) {
            (false, true) => return wrong("low went before high".to_owned()),
            (_, false) => return Ok(()),
            (true, true) => {}
        }
    }
    wrong("nobody went".to_owned())
}
