//! Answers that are lost, and conflicts without end.

use futures::FutureExt as _;
use serde_json::json;

use crate::support::{Fault, PodFacts as _, World};

const PODS: usize = 16;

/// Runs a crowd of pods through two limits and a family, one of which is new to them.
async fn crowd(world: &World) {
    world.limit_with("left", json!({"slots": 2})).await;
    world
        .limit_with(
            "build",
            json!({"slots": 1, "releasePolicy": "Confirmed", "perWorker": {"idleSeconds": 1}}),
        )
        .await;
    for index in 0..PODS {
        let slots = ["left, right", "right=2", "left, build", "build"][index % 4];
        let pod = world
            .pod(&format!("p{index}"))
            .slots(slots)
            .worker(&format!("w{}", index % 3));
        pod.run_for("20ms").create().await;
    }
    world.limit_with("right", json!({"slots": 3})).await;
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
async fn every_third_answer_is_lost() {
    let world = World::plan("lost-third")
        .fault(Fault::LoseAnswers(3))
        .begin()
        .await;
    crowd(&world).await;
    world.finish().await;
}

#[tokio::test]
async fn every_answer_is_lost() {
    let world = World::plan("lost-all")
        .fault(Fault::LoseAnswers(1))
        .begin()
        .await;
    crowd(&world).await;
    world.finish().await;
}

#[tokio::test]
async fn every_second_status_write_is_a_conflict() {
    let world = World::plan("conflicts")
        .fault(Fault::Conflicts(2))
        .begin()
        .await;
    crowd(&world).await;
    world.finish().await;
}

#[tokio::test]
async fn conflicts_and_lost_answers_together() {
    let world = World::plan("both")
        .fault(Fault::Conflicts(3))
        .fault(Fault::LoseAnswers(4))
        .begin()
        .await;
    crowd(&world).await;
    world.finish().await;
}

#[tokio::test]
async fn somebody_keeps_labelling_the_limit() {
    let world = World::new("labeller").await;
    world.limit("gpu", 2).await;
    let label = async || {
        for count in 0_u64.. {
            let label = json!({"metadata": {"labels": {"count": count.to_string()}}});
            world.patch_limit("gpu", label).await;
        }
    };
    let run = async {
        world
            .job("work", 10, world.pod("unused").slots("gpu").run_for("10ms"))
            .await;
        world
            .eventually("the job to be complete", async || {
                world.kubectl(&["get", "job/work", "-o", "jsonpath={.status.succeeded}"]) == "10"
            })
            .await;
    };
    futures::select_biased! {
        () = run.fuse() => {}
        () = label().fuse() => unreachable!("it labels for ever"),
    }
    world.finish().await;
}
