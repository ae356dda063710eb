//! The API server dies and comes back, while pods wait, are granted, run and end.

use serde_json::json;
use sluice_testenv::{Component, ControlPlane, FakeNodes, NodeOptions, Options};

use crate::support::{PodFacts as _, World, ours_are_served};

const PODS: usize = 40;

#[tokio::test]
async fn the_api_server_is_killed_and_restarted_twice() {
    let plane = ControlPlane::start(Options::default().without_controller_manager())
        .await
        .unwrap();
    let nodes = FakeNodes::start(&plane, &["node-1"], NodeOptions::default())
        .await
        .unwrap();
    let world = World::plan("server").on(plane, Some(nodes)).begin().await;
    world.limit("gpu", 3).await;
    world
        .limit_with("db", json!({"slots": 2, "settleSeconds": 1}))
        .await;
    world.lock("door").await;
    for index in 0..PODS {
        let slots = ["gpu", "gpu, db", "db", "gpu=2"][index % 4];
        let pod = world.pod(&format!("p{index}")).slots(slots).run_for("50ms");
        let pod = if index % 5 == 0 {
            pod.locks("door")
        } else {
            pod
        };
        pod.create().await;
    }
    for share in [PODS / 4, PODS / 2] {
        world
            .eventually(&format!("{share} pods to have ended"), async || {
                world
                    .all_pods()
                    .await
                    .iter()
                    .filter(|pod| pod.is_terminal())
                    .count()
                    >= share
            })
            .await;
        world.plane().kill(Component::ApiServer).unwrap();
        world
            .plane()
            .start_component(Component::ApiServer)
            .await
            .unwrap();
        ours_are_served(&world.client()).await;
    }
    world
        .eventually("all pods to have had their turn", async || {
            world
                .all_pods()
                .await
                .iter()
                .all(|pod| pod.phase() == "Succeeded")
        })
        .await;
    assert!(
        !world.crashed(),
        "the controller does not end with the API server"
    );
    world.finish().await;
}
