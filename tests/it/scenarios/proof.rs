//! `releasePolicy: Confirmed`: slots come back on proof, or on an operator's word, and on nothing else.

use serde_json::json;
use sluice_testenv::{ControlPlane, FakeNodes, NodeOptions, Options};

use crate::support::{PodFacts as _, World};

const FINALIZER: &str = "sluice.dev/confirm-end";

/// Creates limit `strict`, which wants proof, and limit `loose`, which does not.
async fn limits(world: &World) {
    let strict = json!({"slots": 1, "releasePolicy": "Confirmed"});
    world.limit_with("strict", strict).await;
    world
        .limit_with("loose", json!({"slots": 1, "settleSeconds": 1}))
        .await;
    world.fenced("strict").await;
    world.fenced("loose").await;
}

#[tokio::test]
async fn a_pod_that_is_deleted_before_it_has_a_node_needs_no_more_proof() {
    let world = World::new("confirmed-unscheduled").await;
    limits(&world).await;
    let pod = world.pod("a").slots("strict").fits_no_node();
    pod.create().await;
    world.granted("a").await;
    world.delete("a").await;
    // It carries our finalizer, and nothing else keeps it.
    world.gone("a").await;
    world.pod("b").slots("strict").create().await;
    world.granted("b").await;
    world.finish().await;
}

#[tokio::test]
async fn a_pod_carries_our_finalizer_only_as_long_as_it_must() {
    let world = World::new("confirmed").await;
    limits(&world).await;
    world
        .pod("a")
        .slots("strict")
        .finalizer("example.com/own")
        .create()
        .await;
    world.pod("b").slots("loose").create().await;
    let finalizers = world.granted("a").await.metadata.finalizers;
    assert_eq!(
        finalizers,
        Some(vec!["example.com/own".to_owned(), FINALIZER.to_owned()])
    );
    assert_eq!(world.granted("b").await.metadata.finalizers, None);
    world.running("a").await;
    world.delete("a").await;
    world.holders("strict", []).await;
    world
        .pod_is("a", "without our finalizer", |it| {
            it.metadata.finalizers == Some(vec!["example.com/own".to_owned()])
        })
        .await;
    world
        .edit("a", json!({"metadata": {"finalizers": null}}))
        .await;
    world.gone("a").await;
    world.finish().await;
}

#[tokio::test]
async fn a_pod_that_ended_without_its_kubelet_holds_until_an_operator_says_otherwise() {
    let world = World::new("operator").await;
    limits(&world).await;
    let a = world.pod("a").slots("strict, loose").create().await;
    world.running("a").await;
    world.pod("b").slots("strict").create().await;
    world
        .nodes()
        .fail_like_pod_gc(world.namespace(), "a")
        .await
        .unwrap();
    // Where no proof is asked for, it is free by now.
    world.holders("loose", []).await;
    world.holders("strict", ["a"]).await;
    world.is_gated("b").await;
    let release = json!({"metadata": {"annotations": {"sluice.dev/release": a.id()}}});
    world.patch_limit("strict", release).await;
    let message = world.event("strict", "ForcedRelease").await;
    assert!(message.contains(a.id()), "{message}");
    world.granted("b").await;
    // Nor does it keep the pod any longer.
    world.delete("a").await;
    world.gone("a").await;
    world.finish().await;
}

#[tokio::test]
async fn an_operator_takes_slots_from_a_pod_that_runs() {
    let world = World::new("released").await;
    world.limit("gpu", 1).await;
    let a = world.pod("a").slots("gpu").create().await;
    world.running("a").await;
    world.pod("b").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    let release = json!({"metadata": {"annotations": {"sluice.dev/release": a.id()}}});
    world.patch_limit("gpu", release).await;
    world.event("gpu", "ForcedRelease").await;
    world.granted("b").await;
    world.holders("gpu", ["b"]).await;
    // It is not counted again when the controller looks at everything anew.
    world.restart_controller().await;
    world.pod("c").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    world.holders("gpu", ["b"]).await;
    world.end("b").await;
    world.granted("c").await;
    world.finish().await;
}

#[tokio::test]
async fn a_node_out_of_service_is_proof() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let names = ["node-1", "node-2"];
    let nodes = FakeNodes::start(&plane, &names, NodeOptions::default())
        .await
        .unwrap();
    let world = World::plan("out-of-service")
        .on(plane, Some(nodes))
        .begin()
        .await;
    limits(&world).await;
    world
        .pod("a")
        .slots("strict")
        .on_node("node-1")
        .create()
        .await;
    world.running("a").await;
    world
        .pod("b")
        .slots("strict")
        .on_node("node-2")
        .create()
        .await;
    world.nodes().stop_answering("node-1").await.unwrap();
    world.delete("a").await;
    world.pod("other").slots("loose").create().await;
    world.granted("other").await;
    world.is_gated("b").await;
    world.nodes().mark_out_of_service("node-1").await.unwrap();
    // The controller asks about such nodes every 15 s, and the garbage collector takes its time too.
    world
        .within(90, "the slot of the dead node", async || {
            !world.get("b").await.is_gated()
        })
        .await;
    world
        .within(90, "the pod of the dead node to go", async || {
            world.pods().get_opt("a").await.unwrap().is_none()
        })
        .await;
    world.finish().await;
}
