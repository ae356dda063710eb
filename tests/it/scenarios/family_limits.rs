//! Families: workers that are too many, unknown, or whose names are taken.

use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn there_are_no_more_workers_than_the_family_allows() {
    let world = World::new("max-workers").await;
    let few = json!({"slots": 1, "perWorker": {"maxWorkers": 2, "idleSeconds": 1}});
    world.limit_with("build", few).await;
    for worker in ["w1", "w2"] {
        world
            .pod(worker)
            .slots("build")
            .worker(worker)
            .create()
            .await;
        world.granted(worker).await;
    }
    world.pod("w3").slots("build").worker("w3").create().await;
    let message = world.event("w3", "TooManyWorkers").await;
    assert!(message.contains("maxWorkers"), "{message}");
    assert!(world.limit_if_any("build--w3").await.is_none());
    world.end("w1").await;
    world.granted("w3").await;
    world.finish().await;
}

#[tokio::test]
async fn a_pod_without_a_worker_waits_and_is_told_why() {
    let world = World::new("no-worker").await;
    world
        .limit_with("build", json!({"slots": 9, "perWorker": {}}))
        .await;
    world.pod("none").slots("build").create().await;
    world
        .pod("upper")
        .slots("build")
        .worker("Worker_1")
        .create()
        .await;
    world.pod("fine").slots("build").worker("w").create().await;
    world.granted("fine").await;
    let message = world.event("none", "WorkerUnknown").await;
    assert!(
        message.contains("sluice.dev/worker") && message.contains("missing"),
        "{message}"
    );
    let message = world.event("upper", "WorkerUnknown").await;
    assert!(
        message.contains("Worker_1") && message.contains("lower case"),
        "{message}"
    );
    world.is_gated("none").await;
    world
        .edit(
            "none",
            json!({"metadata": {"labels": {"sluice.dev/worker": "w"}}}),
        )
        .await;
    world.granted("none").await;
    world.finish().await;
}

#[tokio::test]
async fn an_object_of_somebody_else_is_never_taken_over() {
    let world = World::new("name-taken").await;
    world.limit("build--w", 7).await;
    let theirs = world.limit_now("build--w").await;
    world
        .limit_with("build", json!({"slots": 1, "perWorker": {}}))
        .await;
    world.pod("a").slots("build").worker("w").create().await;
    world
        .pod("elsewhere")
        .slots("build")
        .worker("other")
        .create()
        .await;
    world.granted("elsewhere").await;
    let message = world.event("a", "NameTaken").await;
    assert!(message.contains("build--w"), "{message}");
    let now = world.limit_now("build--w").await;
    assert_eq!((now.id(), now.spec()), (theirs.id(), theirs.spec()));
    world.is_gated("a").await;
    world.delete_limit("build--w").await;
    world.granted("a").await;
    world.finish().await;
}

#[tokio::test]
async fn many_workers_at_once() {
    let world = World::new("many-workers").await;
    world
        .limit_with(
            "build",
            json!({"slots": 1, "perWorker": {"idleSeconds": 1}}),
        )
        .await;
    world.lock("tools").await;
    for index in 0..24 {
        let pod = world
            .pod(&format!("p{index}"))
            .slots("build")
            .worker(&format!("w{}", index % 8));
        pod.locks("tools:shared").run_for("50ms").create().await;
    }
    for index in 0..24 {
        world.succeeded(&format!("p{index}")).await;
    }
    world
        .limit_is("build", "no workers are left", |it| {
            it.status().get("workers").is_none()
        })
        .await;
    world.finish().await;
}
