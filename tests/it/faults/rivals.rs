//! Two controllers at once, before there is an election: they race by compare-and-swap and the attempt alone.

use serde_json::json;

use crate::support::{PodFacts as _, World};

const PODS: usize = 24;

/// Pods that want something of everything, and end by themselves.
async fn crowd(world: &World) {
    for index in 0..PODS {
        let slots = ["left, right", "right=2", "left", "right, left"][index % 4];
        let pod = world.pod(&format!("p{index}")).slots(slots).run_for("30ms");
        let pod = if index % 3 == 0 {
            pod.locks("door")
        } else {
            pod
        };
        pod.create().await;
    }
}

async fn all_succeeded(world: &World) {
    world
        .eventually("all pods to have had their turn", async || {
            world
                .all_pods()
                .await
                .iter()
                .all(|pod| pod.phase() == "Succeeded")
        })
        .await;
}

#[tokio::test]
async fn two_controllers_serve_one_namespace() {
    let world = World::plan("rivals").controllers(2).begin().await;
    world.limit_with("left", json!({"slots": 2})).await;
    world.limit_with("right", json!({"slots": 3})).await;
    world.lock_with("door", json!({})).await;
    crowd(&world).await;
    all_succeeded(&world).await;
    world.finish().await;
}

#[tokio::test]
async fn two_controllers_meet_a_new_limit_and_a_family() {
    let world = World::plan("rivals-fence").controllers(2).begin().await;
    crowd(&world).await;
    for index in 0..6 {
        let pod = world
            .pod(&format!("f{index}"))
            .slots("build")
            .run_for("30ms");
        pod.worker(&format!("w{}", index % 2)).create().await;
    }
    world.limit_with("left", json!({"slots": 2})).await;
    world
        .limit_with(
            "build",
            json!({"slots": 1, "perWorker": {"idleSeconds": 0}}),
        )
        .await;
    world.lock_with("door", json!({})).await;
    world.limit_with("right", json!({"slots": 3})).await;
    all_succeeded(&world).await;
    world.finish().await;
}

#[tokio::test]
async fn one_of_two_is_killed_and_another_comes() {
    let world = World::plan("rivals-killed").controllers(2).begin().await;
    world.limit_with("left", json!({"slots": 2})).await;
    world.limit_with("right", json!({"slots": 3})).await;
    world.lock_with("door", json!({})).await;
    for _ in 0..3 {
        world.start_controller();
        world.kill_first();
        world.ready().await;
        let some = world.all_pods().await.len();
        if some == 0 {
            crowd(&world).await;
        }
    }
    all_succeeded(&world).await;
    world.finish().await;
}
