//! Directed runs about order: who goes first is no question of safety, so that no judge of single versions sees it.
//!
//! Each is a small cluster without faults, and one sentence that must come true.

use std::collections::BTreeMap;

use sluice::api::names;
use sluice::ledger::{Name, Uid};

use crate::check::Violation;
use crate::claim_orders;
use crate::server::Pod;
use crate::world::plan::Plan;
use crate::world::{SECOND, World};

/// One of them.
type Run = fn(&mut World) -> Result<(), Violation>;

/// All of them, by name.
pub const ALL: [(&str, Run); 15] = [
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
    (
        "who came past admission while a limit was fenced is counted",
        past_admission,
    ),
    (
        "whose worker changes at the last moment is not revealed with the other's slot",
        late_worker,
    ),
    (
        "who has lost our label while the watch began anew holds its slot",
        unlabelled,
    ),
    (
        "everybody who waits to hear that a limit is absent hears it",
        absent,
    ),
    (
        "a released claim gives its slot back at once, and goes after it",
        claim_orders::released,
    ),
    (
        "a claim that would not wait gets what is free",
        claim_orders::untried,
    ),
    (
        "a claim that waits is not refused when its limit goes",
        claim_orders::limit_goes,
    ),
    (
        "a claim that is held for longer than it may is revoked",
        claim_orders::held_too_long,
    ),
    (
        "a claim of what does not exist is refused, unless it would wait for it",
        claim_orders::missing,
    ),
    (
        "a claim is not refused for a limit that the watch does not show yet",
        claim_orders::made_unseen,
    ),
    (
        "a grant that somebody hears of late is not taken from its holder",
        claim_orders::heard_late,
    ),
];

/// How often each is run, with other latencies each time.
const TIMES: u64 = 12;

/// Runs one.
pub fn run(which: Run) -> Result<(), Violation> {
    for time in 0..TIMES {
        let mut world = World::new(Plan::quiet(time));
        which(&mut world)?;
    }
    Ok(())
}

fn pod(name: &str, slots: &str, priority: i32) -> Pod {
    Pod {
        priority,
        annotations: BTreeMap::from([(names::SLOTS.to_owned(), slots.to_owned())]),
        ..Pod::new("ns".into(), Name::from(name))
    }
}

fn create(world: &mut World, name: &str, slots: &str, priority: i32) -> Uid {
    match world.server.create_pod(pod(name, slots, priority), false) {
        Some(uid) => uid,
        None => crate::bug("a pod of that name is there"),
    }
}

pub(crate) fn wait(world: &mut World, seconds: u64) -> Result<(), Violation> {
    let end = world.now().saturating_add(seconds * SECOND);
    while world.now() < end {
        world.step()?;
    }
    Ok(())
}

pub(crate) fn wrong(what: String) -> Result<(), Violation> {
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

/// The controller finds and labels them while the limits of a new cluster are being fenced.
fn past_admission(world: &mut World) -> Result<(), Violation> {
    let mut uids = Vec::new();
    for (number, slots) in ["db", "net", "strict", "gpu"].into_iter().enumerate() {
        uids.extend(
            world
                .server
                .create_pod(pod(&format!("past-{number}"), slots, 0), true),
        );
    }
    wait(world, 8)?;
    for uid in uids {
        let runs = world
            .server
            .pod(&uid)
            .is_some_and(|seen| !seen.pod.phase.is_terminal());
        let entries = |pool: &sluice::ledger::PoolObject| {
            let status = pool.status.read();
            status.is_some_and(|status| status.entries().any(|lease| lease.uid == uid))
        };
        if runs && !world.server.pools().any(|pool| entries(pool)) {
            return wrong(format!("{uid} runs, and nobody counts it"));
        }
    }
    Ok(())
}

/// Nobody made `nothing`.
fn absent(world: &mut World) -> Result<(), Violation> {
    wait(world, 5)?;
    let mut uids = Vec::new();
    for number in 0..6 {
        let mut pod = pod(&format!("careless-{number}"), "nothing", 0);
        pod.annotations
            .insert(names::IF_MISSING.to_owned(), "Ignore".to_owned());
        uids.extend(world.server.create_pod(pod, false));
        let end = world.now().saturating_add(SECOND / 80);
        while world.now() < end {
            world.step()?;
        }
    }
    wait(world, 20)?;
    match uids.iter().find(|uid| world.server.is_gated(uid)) {
        Some(uid) => wrong(format!("{uid} waits for ever")),
        None => Ok(()),
    }
}

/// Without the policy that raises the attempt at an edit, the reveal itself has to notice.
fn late_worker(world: &mut World) -> Result<(), Violation> {
    world.server.setup.raises = false;
    wait(world, 5)?;
    for number in 0..40 {
        let mut pod = pod(&format!("late-{number}"), "fam", 0);
        pod.labels.insert(names::WORKER.to_owned(), "w1".to_owned());
        let Some(uid) = world.server.create_pod(pod, false) else {
            continue;
        };
        let end = world.now().saturating_add(SECOND / 80 * number);
        while world.now() < end {
            world.step()?;
        }
        world.server.person_writes(&uid, |pod| {
            pod.labels
                .insert(names::WORKER.to_owned(), format!("late{number}"));
        });
        wait(world, 2)?;
        world.server.force_delete_pod(&uid);
        wait(world, 15)?;
    }
    Ok(())
}

/// Whoever is missing in the list of a watch may well run.
fn unlabelled(world: &mut World) -> Result<(), Violation> {
    world.server.setup.guards = false;
    wait(world, 5)?;
    for number in 0..6 {
        let uid = create(world, &format!("unlabelled-{number}"), "net", 0);
        wait(world, 2)?;
        world.server.person_writes(&uid, |pod| {
            pod.labels.remove(names::MANAGED);
        });
        world.strike_watches(0);
        wait(world, 14)?;
        world.server.force_delete_pod(&uid);
        wait(world, 14)?;
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
