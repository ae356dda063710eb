//! Three hundred pods over twenty limits and locks, at random, with random endings.
//!
//! Prints its seed; `SLUICE_TEST_SEED` plays the same dice again (the cluster has its own).

use fastrand::Rng;
use kube::api::DeleteParams;
use serde_json::json;
use sluice_testenv::EXIT_CODE;

use crate::support::{PodFacts as _, World};

const PODS: usize = 300;
const LIMITS: usize = 16;
const LOCKS: usize = 4;
/// How long all of it may take, in seconds.
const PATIENCE_SECONDS: u64 = 180;

#[tokio::test]
async fn three_hundred_pods_over_twenty_limits() {
    let seed = std::env::var("SLUICE_TEST_SEED")
        .map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    eprintln!("SLUICE_TEST_SEED={seed}");
    let mut dice = Rng::with_seed(seed);
    let world = World::new("random").await;
    for index in 0..LIMITS {
        let order = dice.choice(["Strict", "Backfill"]).unwrap();
        let spec = json!({"slots": dice.i32(1..8), "order": order, "settleSeconds": 1});
        world.limit_with(&format!("limit-{index}"), spec).await;
    }
    for index in 0..LOCKS {
        world
            .lock_with(&format!("lock-{index}"), json!({"settleSeconds": 1}))
            .await;
    }
    for index in 0..PODS {
        pod(&world, &mut dice, index).await;
        if dice.u8(..) < 64 {
            meddle(&world, &mut dice, index).await;
        }
    }
    for index in 0..LIMITS {
        // Whatever was paused or shrunk on the way is no more in anybody's way.
        world
            .edit_limit(
                &format!("limit-{index}"),
                json!({"slots": 8, "mode": "Active"}),
            )
            .await;
    }
    world
        .within(PATIENCE_SECONDS, "all pods to have ended", async || {
            world
                .all_pods()
                .await
                .iter()
                .all(crate::support::PodFacts::is_terminal)
        })
        .await;
    eprintln!("{}", world.history().await.summary());
    world.finish().await;
}

/// Creates a pod that wants anything, and ends somehow.
async fn pod(world: &World, dice: &mut Rng, index: usize) {
    let limits: Vec<String> = (0..dice.usize(1..4))
        .map(|_| format!("limit-{}={}", dice.usize(..LIMITS), dice.usize(1..3)))
        .collect();
    let mut pod = world
        .pod(&format!("p{index}"))
        .slots(&limits.join(","))
        .run_for(&format!("{}ms", dice.u32(1..400)))
        .annotation(EXIT_CODE, dice.choice(["0", "1"]).unwrap());
    if dice.u8(..) < 96 {
        let mode = dice.choice(["shared", "exclusive"]).unwrap();
        pod = pod.locks(&format!("lock-{}:{mode}", dice.usize(..LOCKS)));
    }
    pod.create().await;
}

/// Does something to a pod or a limit that is there already.
async fn meddle(world: &World, dice: &mut Rng, created: usize) {
    let name = format!("p{}", dice.usize(..=created));
    let limit = format!("limit-{}", dice.usize(..LIMITS));
    // A pod may be gone, or may have ended: whatever is refused did not happen.
    match dice.u8(..6) {
        0 => drop(world.pods().delete(&name, &DeleteParams::default()).await),
        1 => drop(world.nodes().force_delete(world.namespace(), &name).await),
        2 => {
            world
                .edit_limit(&limit, json!({"slots": dice.i32(1..9)}))
                .await
        }
        3 => world.edit_limit(&limit, json!({"mode": "Paused"})).await,
        4 => world.edit_limit(&limit, json!({"mode": "Active"})).await,
        _ => {
            if world
                .pods()
                .get_opt(&name)
                .await
                .unwrap()
                .is_some_and(|pod| pod.is_gated())
            {
                let wish = format!("{limit}, limit-{}", dice.usize(..LIMITS));
                let patch = kube::api::Patch::Merge(
                    json!({"metadata": {"annotations": {"sluice.dev/slots": wish}}}),
                );
                drop(world.pods().patch(&name, &Default::default(), &patch).await);
            }
        }
    }
}
