//! Limits that change while pods hold and wait.

use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn a_paused_limit_takes_back_and_gives_nothing() {
    let world = World::new("paused").await;
    world.limit("gpu", 2).await;
    world.limit("other", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.granted("a").await;
    world.edit_limit("gpu", json!({"mode": "Paused"})).await;
    world
        .limit_is("gpu", "paused", |it| it.holds("Ready") == Some("Paused"))
        .await;
    world.pod("b").slots("gpu").create().await;
    world.pod("elsewhere").slots("other").create().await;
    world.granted("elsewhere").await;
    world.waiting("gpu", 1).await;
    world.holders("gpu", ["a"]).await;
    world.end("a").await;
    world.holders("gpu", []).await;
    world.is_gated("b").await;
    world.edit_limit("gpu", json!({"mode": "Active"})).await;
    world.granted("b").await;
    world.finish().await;
}

#[tokio::test]
async fn a_limit_grows_by_kubectl_scale() {
    let world = World::new("grow").await;
    world.limit("gpu", 1).await;
    for name in ["a", "b", "c", "d"] {
        world.pod(name).slots("gpu").create().await;
    }
    world
        .limit_is("gpu", "one holds and three wait", |it| {
            it.number("inUse") == 1 && it.number("waiting") == 3
        })
        .await;
    world.kubectl(&["scale", "climit/gpu", "--replicas=3"]);
    world
        .limit_is("gpu", "three hold and one waits", |it| {
            it.number("inUse") == 3 && it.number("waiting") == 1
        })
        .await;
    world.finish().await;
}

#[tokio::test]
async fn a_limit_shrinks_and_evicts_nobody() {
    let world = World::new("shrink").await;
    world.limit("gpu", 3).await;
    for name in ["a", "b", "c"] {
        world.pod(name).slots("gpu").create().await;
        world.running(name).await;
    }
    world.pod("d").slots("gpu").create().await;
    world.edit_limit("gpu", json!({"slots": 1})).await;
    world
        .limit_is("gpu", "over-committed", |it| {
            it.holds("OverCommitted") == Some("HoldersKept") && it.number("waiting") == 1
        })
        .await;
    world.end("a").await;
    world.holders("gpu", ["b", "c"]).await;
    world.end("b").await;
    world.holders("gpu", ["c"]).await;
    world.is_gated("d").await;
    world
        .limit_is("gpu", "within its capacity", |it| {
            it.holds("OverCommitted").is_none()
        })
        .await;
    world.end("c").await;
    world.granted("d").await;
    world.finish().await;
}

#[tokio::test]
async fn a_limit_of_nothing_lets_nobody_through() {
    let world = World::new("zero").await;
    world.limit("gpu", 0).await;
    world.limit("other", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.pod("b").slots("other").create().await;
    world.granted("b").await;
    let message = world.event("a", "ExceedsLimit").await;
    assert!(message.contains("gpu"), "{message}");
    world.is_gated("a").await;
    world.edit_limit("gpu", json!({"slots": 1})).await;
    world.granted("a").await;
    world.finish().await;
}

#[tokio::test]
async fn a_spec_that_changes_all_the_time_stops_nobody() {
    let world = World::new("flapping").await;
    world.limit("gpu", 2).await;
    world
        .job("work", 12, world.pod("unused").slots("gpu").run_for("10ms"))
        .await;
    let mut slots = 0;
    loop {
        slots = slots % 4 + 1;
        let mode = if slots == 3 { "Paused" } else { "Active" };
        world
            .edit_limit("gpu", json!({"slots": slots, "mode": mode}))
            .await;
        let done = world.kubectl(&["get", "job/work", "-o", "jsonpath={.status.succeeded}"]);
        if done == "12" {
            break;
        }
        world
            .limit_is("gpu", "the edit is seen", |it| {
                it.status()["observedGeneration"] == it.object().metadata.generation.unwrap()
            })
            .await;
    }
    world.edit_limit("gpu", json!({"mode": "Active"})).await;
    world.finish().await;
}
