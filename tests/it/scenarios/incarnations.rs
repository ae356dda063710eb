//! Limits that come after their pods, go while they are held, and come back.

use serde_json::json;

use crate::support::{PodFacts as _, World};

#[tokio::test]
async fn pods_wait_for_a_limit_that_is_not_there_yet() {
    let world = World::new("limit-last").await;
    world.limit("other", 1).await;
    for name in ["a", "b"] {
        world.pod(name).slots("gpu").create().await;
    }
    world.pod("elsewhere").slots("other").create().await;
    world.granted("elsewhere").await;
    let message = world.event("a", "LimitNotFound").await;
    assert!(
        message.contains("gpu") && message.contains("if-missing"),
        "{message}"
    );
    world.limit("gpu", 1).await;
    world
        .limit_is("gpu", "one holds and one waits", |it| {
            it.number("inUse") == 1 && it.number("waiting") == 1
        })
        .await;
    world.finish().await;
}

#[tokio::test]
async fn a_missing_limit_is_ignored_on_request() {
    let world = World::new("if-missing").await;
    world.limit("gpu", 1).await;
    let pod = |name| {
        world
            .pod(name)
            .slots("gpu, nowhere")
            .annotation("sluice.dev/if-missing", "Ignore")
    };
    pod("a").create().await;
    world.granted("a").await;
    world.holders("gpu", ["a"]).await;
    pod("b").create().await;
    world.waiting("gpu", 1).await;
    // As soon as it exists, it counts.
    world.limit("nowhere", 1).await;
    world.end("a").await;
    world.granted("b").await;
    world.holders("nowhere", ["b"]).await;
    world.finish().await;
}

#[tokio::test]
async fn a_limit_that_comes_back_adopts_whom_it_finds() {
    let world = World::new("re-created").await;
    world.limit("gpu", 2).await;
    let mut tokens = Vec::new();
    for name in ["a", "b"] {
        world.pod(name).slots("gpu").create().await;
        tokens.push(world.granted(name).await.token("gpu").unwrap());
    }
    world.pod("c").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    world.delete_limit("gpu").await;
    world.event("c", "LimitNotFound").await;
    world.limit("gpu", 2).await;
    let limit = world.limit_now("gpu").await;
    assert_eq!(
        limit.names("leases"),
        ["a".to_owned(), "b".to_owned()].into()
    );
    assert_eq!(limit.lease("a").unwrap()["token"], tokens[0]);
    assert_eq!(limit.lease("b").unwrap()["token"], tokens[1]);
    world.is_gated("c").await;
    world.end("a").await;
    let token = world.granted("c").await.token("gpu").unwrap();
    assert!(token > tokens[1], "{token} after {tokens:?}");
    world.finish().await;
}

#[tokio::test]
async fn a_limit_that_comes_back_smaller_keeps_them_all_and_grants_nothing() {
    let world = World::new("re-created-smaller").await;
    world.limit("gpu", 3).await;
    for name in ["a", "b", "c"] {
        world.pod(name).slots("gpu").create().await;
        world.granted(name).await;
    }
    world.delete_limit("gpu").await;
    world.limit("gpu", 2).await;
    let limit = world.limit_now("gpu").await;
    assert_eq!(limit.names("leases").len(), 0);
    assert_eq!(limit.names("adopted").len(), 3);
    assert_eq!(limit.holds("OverCommitted"), Some("HoldersKept"));
    world.pod("d").slots("gpu").create().await;
    world.end("a").await;
    world.holders("gpu", ["b", "c"]).await;
    world.waiting("gpu", 1).await;
    world.is_gated("d").await;
    world.end("b").await;
    world.granted("d").await;
    world.finish().await;
}

#[tokio::test]
async fn a_limit_is_deleted_and_created_again_and_again_under_load() {
    let world = World::new("churn").await;
    world.limit("gpu", 2).await;
    world
        .job("work", 16, world.pod("unused").slots("gpu").run_for("50ms"))
        .await;
    for round in 1..=4 {
        let turns = || async {
            let pods = world.all_pods().await;
            pods.iter().filter(|pod| pod.is_terminal()).count()
        };
        world
            .eventually("a few more have had their turn", async || {
                turns().await >= 3 * round
            })
            .await;
        world.delete_limit("gpu").await;
        world.limit_with("gpu", json!({"slots": 2})).await;
    }
    world
        .eventually("all have had their turn", async || {
            world
                .all_pods()
                .await
                .iter()
                .all(|pod| pod.phase() == "Succeeded")
        })
        .await;
    world.finish().await;
}
