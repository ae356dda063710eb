//! How pods end, and when their slots come back.

use serde_json::json;
use sluice_testenv::STOP_AFTER;

use crate::support::World;

#[tokio::test]
async fn a_pod_that_fails_gives_its_slot_back() {
    let world = World::new("fails").await;
    world.limit("gpu", 1).await;
    world
        .pod("a")
        .slots("gpu")
        .run_for("10ms")
        .fails()
        .create()
        .await;
    world.pod("b").slots("gpu").run_for("10ms").create().await;
    world.succeeded("b").await;
    world
        .pod_is("a", "Failed", |it| {
            crate::support::PodFacts::phase(it) == "Failed"
        })
        .await;
    world.finish().await;
}

#[tokio::test]
async fn a_pod_is_deleted_while_it_waits() {
    let world = World::new("deleted-waiting").await;
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.granted("a").await;
    world.pod("b").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    world.delete("b").await;
    world.waiting("gpu", 0).await;
    world.holders("gpu", ["a"]).await;
    world.finish().await;
}

#[tokio::test]
async fn a_waiting_pod_that_is_being_deleted_gets_nothing() {
    let world = World::new("deleting-waiting").await;
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.granted("a").await;
    let finalizer = "example.com/keep";
    let b = world
        .pod("b")
        .slots("gpu")
        .finalizer(finalizer)
        .create()
        .await;
    world.a_second_after(&b).await;
    world.pod("c").slots("gpu").create().await;
    world.waiting("gpu", 2).await;
    world.delete("b").await;
    world.end("a").await;
    world.granted("c").await;
    world.is_gated("b").await;
    world
        .edit("b", json!({"metadata": {"finalizers": null}}))
        .await;
    world.gone("b").await;
    world.finish().await;
}

#[tokio::test]
async fn a_pod_is_deleted_that_was_granted_and_fits_no_node() {
    let world = World::new("deleted-unscheduled").await;
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").fits_no_node().create().await;
    world.granted("a").await;
    world.pod("b").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    world.is_gated("b").await;
    world.delete("a").await;
    // It never had a node, so nothing of it can run: no settling time.
    world.granted("b").await;
    assert_eq!(world.events("gpu", "PresumedRelease").await, [""; 0]);
    world.finish().await;
}

#[tokio::test]
async fn a_running_pod_that_is_deleted_holds_its_slot_until_it_has_stopped() {
    let world = World::new("deleted-running").await;
    world.limit("gpu", 1).await;
    world
        .pod("a")
        .slots("gpu")
        .annotation(STOP_AFTER, "500ms")
        .create()
        .await;
    world.running("a").await;
    world.pod("b").slots("gpu").create().await;
    world.delete("a").await;
    world.granted("b").await;
    assert!(
        world
            .pods()
            .get_opt("a")
            .await
            .unwrap()
            .is_none_or(|pod| { crate::support::PodFacts::is_terminal(&pod) })
    );
    world.finish().await;
}

#[tokio::test]
async fn a_pod_that_is_deleted_by_force_settles_first() {
    let world = World::new("forced").await;
    world
        .limit_with("gpu", json!({"slots": 1, "settleSeconds": 1}))
        .await;
    world.fenced("gpu").await;
    world.pod("a").slots("gpu").create().await;
    world.running("a").await;
    world.pod("b").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    world
        .nodes()
        .force_delete(world.namespace(), "a")
        .await
        .unwrap();
    let message = world.event("gpu", "PresumedRelease").await;
    assert!(message.contains("/a "), "{message}");
    world.granted("b").await;
    world.finish().await;
}

#[tokio::test]
async fn a_pod_that_ended_without_its_kubelet_settles_first() {
    let world = World::new("pod-gc").await;
    world
        .limit_with("gpu", json!({"slots": 1, "settleSeconds": 1}))
        .await;
    world.fenced("gpu").await;
    world.pod("a").slots("gpu").create().await;
    world.running("a").await;
    world.pod("b").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    world
        .nodes()
        .fail_like_pod_gc(world.namespace(), "a")
        .await
        .unwrap();
    world.event("gpu", "PresumedRelease").await;
    world.granted("b").await;
    world.finish().await;
}

#[tokio::test]
async fn a_deployment_is_scaled_down_and_up() {
    let world = World::new("deployment").await;
    world.limit("gpu", 2).await;
    let mut template = world
        .pod("unused")
        .slots("gpu")
        .label("app", "x")
        .template();
    template["spec"]["restartPolicy"] = "Always".into();
    world.apply_json(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "x"}}, "template": template},
    }))
    .await;
    let are = async |running: usize, pods: usize| {
        world
            .eventually(&format!("{running} of {pods} to run"), async || {
                let all = world.all_pods().await;
                let on = all
                    .iter()
                    .filter(|pod| crate::support::PodFacts::phase(*pod) == "Running")
                    .count();
                (on, all.len()) == (running, pods)
            })
            .await;
    };
    are(2, 4).await;
    world.kubectl(&["scale", "deployment/web", "--replicas=1"]);
    are(1, 1).await;
    world.kubectl(&["scale", "deployment/web", "--replicas=3"]);
    are(2, 3).await;
    world.finish().await;
}
