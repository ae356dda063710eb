//! What people do to pods by hand, and pods that are not what their names say.

use serde_json::json;

use crate::support::{PodFacts as _, World};

#[tokio::test]
async fn our_label_is_removed_from_a_running_pod() {
    let world = World::new("label").await;
    world
        .limit_with("gpu", json!({"slots": 1, "settleSeconds": 0}))
        .await;
    world.fenced("gpu").await;
    world.pod("a").slots("gpu").create().await;
    world.running("a").await;
    world.pod("b").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    // The watch says DELETED now, and the pod lives.
    world
        .edit(
            "a",
            json!({"metadata": {"labels": {"sluice.dev/managed": null}}}),
        )
        .await;
    world
        .pod_is("a", "labelled again", |it| {
            it.metadata
                .labels
                .iter()
                .flatten()
                .any(|(name, value)| name == "sluice.dev/managed" && value == "true")
        })
        .await;
    world.holders("gpu", ["a"]).await;
    world.is_gated("b").await;
    world.end("a").await;
    world.granted("b").await;
    world.finish().await;
}

#[tokio::test]
async fn a_request_is_edited_while_it_waits() {
    let world = World::new("edited-waiting").await;
    world.limit("gpu", 1).await;
    world.limit("db", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.granted("a").await;
    world.pod("b").slots("gpu, db").create().await;
    world.waiting("gpu", 1).await;
    world.annotate("b", "sluice.dev/slots", Some("db")).await;
    world.granted("b").await;
    world.holders("db", ["b"]).await;
    world.holders("gpu", ["a"]).await;
    world.waiting("gpu", 0).await;
    world.finish().await;
}

#[tokio::test]
async fn requests_are_edited_while_they_are_granted() {
    let world = World::new("edited-granting").await;
    world.limit("gpu", 4).await;
    world.limit("db", 4).await;
    let names: Vec<String> = (0..12).map(|index| format!("p{index}")).collect();
    for name in &names {
        world
            .pod(name)
            .slots("gpu=2")
            .run_for("20ms")
            .create()
            .await;
        // Too late for some, in the middle for others: refused only where the pod is gone.
        world
            .annotate(name, "sluice.dev/slots", Some("gpu, db"))
            .await;
    }
    world
        .eventually("every pod has had its turn", async || {
            world
                .all_pods()
                .await
                .iter()
                .all(|pod| pod.phase() == "Succeeded")
        })
        .await;
    world.finish().await;
}

#[tokio::test]
async fn a_request_is_edited_after_its_grant() {
    let world = World::new("edited-late").await;
    world.limit("gpu", 2).await;
    world.limit("db", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.running("a").await;
    let before = world.limit_now("gpu").await.lease("a").unwrap().clone();
    world
        .annotate("a", "sluice.dev/slots", Some("gpu=2, db"))
        .await;
    world.event("a", "RequestSettled").await;
    world.pod("b").slots("gpu, db").create().await;
    world.granted("b").await;
    assert_eq!(world.limit_now("gpu").await.lease("a"), Some(&before));
    world.holders("db", ["b"]).await;
    world.end("a").await;
    world.holders("gpu", ["b"]).await;
    world.finish().await;
}

#[tokio::test]
async fn a_name_is_used_again_by_another_pod() {
    let world = World::new("name-again").await;
    world.limit("gpu", 1).await;
    let old = world.pod("a").slots("gpu").create().await;
    world.running("a").await;
    world.delete("a").await;
    world.gone("a").await;
    let new = world.pod("a").slots("gpu").create().await;
    let held = world.granted("a").await;
    assert_eq!((held.id(), held.id() == old.id()), (new.id(), false));
    assert_eq!(
        world.limit_now("gpu").await.lease("a").unwrap()["uid"],
        new.id()
    );
    world.finish().await;
}

#[tokio::test]
async fn a_name_is_used_again_while_the_former_pod_may_still_run() {
    let world = World::new("name-forced").await;
    world
        .limit_with("gpu", json!({"slots": 1, "settleSeconds": 2}))
        .await;
    world.fenced("gpu").await;
    let old = world.pod("a").slots("gpu").create().await;
    world.running("a").await;
    world
        .nodes()
        .force_delete(world.namespace(), "a")
        .await
        .unwrap();
    let new = world.pod("a").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    // The lease is still of the one that may run.
    assert_eq!(
        world.limit_now("gpu").await.lease("a").unwrap()["uid"],
        old.id()
    );
    world.is_gated("a").await;
    world.granted("a").await;
    assert_eq!(
        world.limit_now("gpu").await.lease("a").unwrap()["uid"],
        new.id()
    );
    world.finish().await;
}

#[tokio::test]
async fn a_pod_with_another_gate_is_granted_when_ours_is_the_last() {
    let world = World::new("foreign-gate").await;
    world.limit("gpu", 2).await;
    world
        .pod("a")
        .slots("gpu=2")
        .foreign_gate("example.com/quota")
        .create()
        .await;
    world.waiting("gpu", 1).await;
    world.pod("b").slots("gpu").create().await;
    world.granted("b").await;
    world.holders("gpu", ["b"]).await;
    world.keep_gates("a", &["sluice.dev/slots"]).await;
    world.end("b").await;
    world.granted("a").await;
    world.finish().await;
}

#[tokio::test]
async fn a_namespace_is_deleted_with_all_that_waits_and_runs_in_it() {
    let world = World::new("doomed").await;
    world
        .limit_with("gpu", json!({"slots": 2, "releasePolicy": "Confirmed"}))
        .await;
    world.fenced("gpu").await;
    world.job("work", 6, world.pod("unused").slots("gpu")).await;
    world
        .limit_is("gpu", "two hold and four wait", |it| {
            it.number("inUse") == 2 && it.number("waiting") == 4
        })
        .await;
    let namespace = world.namespace().to_owned();
    world.kubectl(&["delete", "namespace", &namespace, "--wait=false"]);
    // The namespace controller deletes kind by kind, and looks again when it likes to.
    world
        .within(120, "all pods and limits to be gone", async || {
            world.all_pods().await.is_empty() && world.all_pools().await.is_empty()
        })
        .await;
    world
        .within(120, "the namespace to be gone", async || {
            world
                .kubectl(&["get", "namespace", &namespace, "--ignore-not-found"])
                .is_empty()
        })
        .await;
    world.finish().await;
}
