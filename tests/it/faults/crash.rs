//! The controller dies after each of its writes, once for each write there is, and is started again.
//!
//! The fault switch aborts the process right after its k-th write was applied, before anything else can happen; so for
//! every k of a scenario the world is seen as that write left it. Ends when a run has fewer writes than k.

use futures::StreamExt as _;
use futures::stream;
use serde_json::json;

use crate::support::{Fault, PodFacts as _, World};

/// Crash points that are tried at once.
const AT_ONCE: usize = 4;
/// More writes than any of these scenarios takes.
const WRITES_MAX: u32 = 80;

/// Tries every crash point of a scenario: `begin` sets it up and starts it, `done` says whether it has come to its end.
async fn every_crash_point(
    name: &str,
    begin: impl AsyncFn(&World),
    done: impl AsyncFn(&World) -> bool,
) {
    let point = async |count: u32| {
        let world = World::plan(&format!("{name}-{count}"))
            .controllers(0)
            .begin()
            .await;
        world.hurt(Fault::CrashAfterWrites(count));
        world.start_controller();
        begin(&world).await;
        world
            .eventually("a crash or the end", async || {
                world.crashed() || done(&world).await
            })
            .await;
        let crashed = world.crashed();
        // It may still have writes to come: from here on nothing goes wrong.
        world.heal();
        world.restart_controller().await;
        world
            .eventually(&format!("the end after crash {count}"), async || {
                done(&world).await
            })
            .await;
        world.finish().await;
        crashed
    };
    let mut outcomes = stream::iter(1..=WRITES_MAX).map(point).buffered(AT_ONCE);
    let mut crashes = 0;
    while let Some(true) = outcomes.next().await {
        crashes += 1;
    }
    // At the very least: fence, lease, reveal and release.
    assert!(
        (4..WRITES_MAX).contains(&crashes),
        "{name}: {crashes} crash points"
    );
    eprintln!("{name}: {crashes} crash points");
}

async fn all_succeeded(world: &World) -> bool {
    world
        .all_pods()
        .await
        .iter()
        .all(|pod| pod.phase() == "Succeeded")
}

#[tokio::test]
async fn while_it_grants_and_releases() {
    let begin = async |world: &World| {
        world.limit_with("left", json!({"slots": 1})).await;
        world.limit_with("right", json!({"slots": 2})).await;
        for (name, slots) in [
            ("a", "left, right"),
            ("b", "right, left"),
            ("c", "left"),
            ("d", "right=2"),
        ] {
            world.pod(name).slots(slots).run_for("10ms").create().await;
        }
    };
    every_crash_point("crash-grant", begin, all_succeeded).await;
}

#[tokio::test]
async fn while_it_fences_and_adopts() {
    let begin = async |world: &World| {
        for (name, slots) in [("a", "left, right"), ("b", "right, left"), ("c", "right=2")] {
            world.pod(name).slots(slots).run_for("10ms").create().await;
        }
        let ungated = world
            .pod("ungated")
            .slots("left")
            .ungated()
            .run_for("300ms");
        ungated.label("sluice.dev/managed", "true").create().await;
        for (name, slots) in [("left", 1), ("right", 2)] {
            world.limit_with(name, json!({"slots": slots})).await;
        }
    };
    every_crash_point("crash-fence", begin, all_succeeded).await;
}

#[tokio::test]
async fn while_it_keeps_a_family_and_its_proof() {
    let begin = async |world: &World| {
        let spec =
            json!({"slots": 1, "releasePolicy": "Confirmed", "perWorker": {"idleSeconds": 0}});
        world.limit_with("build", spec).await;
        for (name, worker) in [("a", "w1"), ("b", "w1"), ("c", "w2")] {
            world
                .pod(name)
                .slots("build")
                .worker(worker)
                .run_for("10ms")
                .create()
                .await;
        }
    };
    let done = async |world: &World| {
        let pods = world.all_pods().await;
        let free = pods.iter().all(|pod| pod.metadata.finalizers.is_none());
        let children = world.all_pools().await.len() - 1;
        free && children == 0 && all_succeeded(world).await
    };
    every_crash_point("crash-family", begin, done).await;
}
