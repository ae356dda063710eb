//! The main job: so many pods run as there are slots, whatever a request takes.

use crate::support::{PodFacts as _, World};

#[tokio::test]
async fn three_of_five_run_and_the_others_follow() {
    let world = World::new("three-of-five").await;
    world.limit("gpu", 3).await;
    for name in ["a", "b", "c", "d", "e"] {
        world.pod(name).slots("gpu").create().await;
    }
    world
        .eventually("three pods that run", async || {
            world.in_progress().await.len() == 3
        })
        .await;
    world.waiting("gpu", 2).await;
    let first = world.in_progress().await;
    for name in &first {
        world.end(name).await;
    }
    world
        .eventually("the other two", async || {
            let now = world.in_progress().await;
            now.len() == 2 && now.is_disjoint(&first)
        })
        .await;
    world
        .limit_is("gpu", "two in use", |it| it.number("inUse") == 2)
        .await;
    world.finish().await;
}

#[tokio::test]
async fn a_pod_takes_as_many_slots_as_it_says() {
    let world = World::new("weights").await;
    world.limit("gpu", 5).await;
    world.pod("three").slots("gpu=3").create().await;
    world.granted("three").await;
    world.pod("four").slots("gpu=4").create().await;
    // Two are left, and a later pod that fits passes one that does not.
    world.pod("two").slots("gpu=2").create().await;
    world.granted("two").await;
    world.holders("gpu", ["three", "two"]).await;
    world.is_gated("four").await;
    world.end("three").await;
    world.holders("gpu", ["two"]).await;
    world.is_gated("four").await;
    world.end("two").await;
    world.granted("four").await;
    world.finish().await;
}

#[tokio::test]
async fn mentions_of_one_limit_add_up() {
    let world = World::new("mentions").await;
    world.limit("gpu", 3).await;
    let qualified = format!("gpu, {}/gpu=2", world.namespace());
    world.pod("a").slots(&qualified).create().await;
    let pod = world.granted("a").await;
    let limit = world.limit_now("gpu").await;
    assert_eq!(limit.lease("a").unwrap()["slots"], 3);
    assert_eq!(limit.number("inUse"), 3);
    let leases = pod.granted().unwrap()["leases"].as_array().unwrap().len();
    assert_eq!(leases, 1, "{pod:?}");
    world.finish().await;
}

#[tokio::test]
async fn opposite_orders_do_not_deadlock() {
    let world = World::new("opposite").await;
    world.limit("left", 1).await;
    world.limit("right", 1).await;
    world.lock("door").await;
    for index in 0..4 {
        let (one, other) = (format!("one-{index}"), format!("other-{index}"));
        world
            .pod(&one)
            .slots("left, right")
            .locks("door")
            .run_for("10ms")
            .create()
            .await;
        world
            .pod(&other)
            .slots("right, left")
            .locks("door")
            .run_for("10ms")
            .create()
            .await;
    }
    world
        .eventually("all eight have had their turn", async || {
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
async fn a_pod_is_told_its_tokens() {
    let world = World::new("tokens").await;
    world.limit("gpu", 1).await;
    world.lock("door").await;
    world
        .pod("a")
        .slots("gpu")
        .locks("door")
        .run_for("10ms")
        .create()
        .await;
    let first = world.granted("a").await;
    let lock = world.lock_now("door").await;
    let expected = format!("door={}", lock.number("lastToken"));
    assert_eq!(
        first.annotation("sluice.dev/lock-tokens"),
        Some(expected.as_str())
    );
    world.succeeded("a").await;
    world.pod("b").slots("gpu").create().await;
    let second = world.granted("b").await;
    assert!(second.token("gpu").unwrap() > first.token("gpu").unwrap());
    assert_eq!(second.annotation("sluice.dev/lock-tokens"), None);
    world.finish().await;
}

#[tokio::test]
async fn a_job_with_more_pods_than_slots_completes() {
    let world = World::new("job").await;
    world.limit("gpu", 2).await;
    world
        .job(
            "render",
            8,
            world.pod("unused").slots("gpu").run_for("20ms"),
        )
        .await;
    world
        .eventually("the job to be complete", async || {
            world.kubectl(&["get", "job/render", "-o", "jsonpath={.status.succeeded}"]) == "8"
        })
        .await;
    world.finish().await;
}
