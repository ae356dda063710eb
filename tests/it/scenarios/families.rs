//! Families: one limit for each worker.

use serde_json::json;

use crate::support::{PodFacts as _, World};

#[tokio::test]
async fn each_worker_has_a_limit_of_its_own() {
    let world = World::new("family").await;
    world
        .limit_with(
            "build",
            json!({"slots": 2, "perWorker": {"overrides": {"big": 3}}}),
        )
        .await;
    for index in 0..4 {
        for worker in ["small", "big"] {
            world
                .pod(&format!("{worker}-{index}"))
                .slots("build")
                .worker(worker)
                .create()
                .await;
        }
    }
    for (child, slots, waiting) in [("build--small", 2, 2), ("build--big", 3, 1)] {
        world
            .limit_is(child, "full", |it| {
                (it.number("inUse"), it.number("waiting")) == (slots, waiting)
            })
            .await;
        let limit = world.limit_now(child).await;
        let owner = &limit.object().metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.name.as_str(), owner.block_owner_deletion),
            ("build", None)
        );
        assert_eq!(limit.spec()["slots"], slots);
    }
    let family = world.limit_now("build").await;
    assert_eq!(family.holds("Ready"), Some("Family"));
    assert_eq!(family.status()["workers"].as_array().unwrap().len(), 2);
    world.finish().await;
}

#[tokio::test]
async fn a_worker_is_named_by_label_or_by_key() {
    let world = World::new("family-key").await;
    world
        .limit_with(
            "build",
            json!({"slots": 1, "perWorker": {"podLabel": "example.com/machine"}}),
        )
        .await;
    world
        .pod("by-label")
        .slots("build")
        .label("example.com/machine", "m1")
        .create()
        .await;
    world.granted("by-label").await;
    world.pod("by-key").slots("build:m1").create().await;
    world.pod("by-key-alone").slots("build:m2").create().await;
    let pod = world.granted("by-key-alone").await;
    assert_eq!(pod.granted().unwrap()["leases"][0]["key"], "build:m2");
    world.waiting("build--m1", 1).await;
    world.is_gated("by-key").await;
    world.finish().await;
}

#[tokio::test]
async fn what_is_done_to_a_child_by_hand_is_put_right() {
    let world = World::new("family-edit").await;
    world
        .limit_with("build", json!({"slots": 1, "perWorker": {}}))
        .await;
    world.pod("a").slots("build").worker("w").create().await;
    world.granted("a").await;
    world.pod("b").slots("build").worker("w").create().await;
    world.waiting("build--w", 1).await;
    let before = world
        .limit_now("build--w")
        .await
        .object()
        .metadata
        .generation;
    world
        .edit_limit("build--w", json!({"slots": 1, "order": "Strict"}))
        .await;
    world
        .limit_is("build--w", "as derived", |it| {
            it.spec()["order"] == "Backfill" && it.object().metadata.generation > before
        })
        .await;
    // The family's own changes reach it.
    world.edit_limit("build", json!({"slots": 2})).await;
    world.granted("b").await;
    world
        .edit_limit("build", json!({"perWorker": {"overrides": {"w": 5}}}))
        .await;
    world
        .limit_is("build--w", "overridden", |it| it.spec()["slots"] == 5)
        .await;
    world.finish().await;
}

#[tokio::test]
async fn a_child_that_nobody_needs_goes_and_comes_back_with_higher_tokens() {
    let world = World::new("family-idle").await;
    world
        .limit_with(
            "build",
            json!({"slots": 1, "perWorker": {"idleSeconds": 1}}),
        )
        .await;
    world.pod("a").slots("build").worker("w").create().await;
    let first = world.granted("a").await.token("build:w").unwrap();
    world.end("a").await;
    world
        .eventually("the idle child to go", async || {
            world.limit_if_any("build--w").await.is_none()
        })
        .await;
    world
        .limit_is("build", "no workers", |it| {
            it.status().get("workers").is_none()
        })
        .await;
    world.pod("b").slots("build").worker("w").create().await;
    assert!(world.granted("b").await.token("build:w").unwrap() > first);
    world.finish().await;
}

#[tokio::test]
async fn a_child_that_is_deleted_while_held_comes_back_and_counts() {
    let world = World::new("family-deleted").await;
    world
        .limit_with("build", json!({"slots": 1, "perWorker": {}}))
        .await;
    world.pod("a").slots("build").worker("w").create().await;
    world.granted("a").await;
    world.pod("b").slots("build").worker("w").create().await;
    world.waiting("build--w", 1).await;
    let former = world.limit_now("build--w").await.id();
    world.delete_limit("build--w").await;
    world
        .limit_is("build--w", "there again, with its holder", |it| {
            it.id() != former && it.holders().contains("a")
        })
        .await;
    world.end("a").await;
    world.granted("b").await;
    world.finish().await;
}

#[tokio::test]
async fn a_family_is_deleted_with_its_children() {
    let world = World::new("family-gone").await;
    world
        .limit_with("build", json!({"slots": 1, "perWorker": {}}))
        .await;
    world.pod("a").slots("build").worker("w").create().await;
    world.granted("a").await;
    world.pod("b").slots("build").worker("w").create().await;
    world.waiting("build--w", 1).await;
    world.delete_limit("build").await;
    world
        .eventually("the child to be collected", async || {
            world.limit_if_any("build--w").await.is_none()
        })
        .await;
    world.is_gated("b").await;
    world
        .limit_with("build", json!({"slots": 1, "perWorker": {}}))
        .await;
    world.holders("build--w", ["a"]).await;
    world.end("a").await;
    world.granted("b").await;
    world.finish().await;
}
