//! Locks: one alone, or several that share.

use crate::support::{PodFacts as _, World};

#[tokio::test]
async fn one_at_a_time() {
    let world = World::new("mutex").await;
    world.lock("door").await;
    world
        .job("work", 6, world.pod("unused").locks("door").run_for("20ms"))
        .await;
    world
        .eventually("all have had their turn", async || {
            let pods = world.all_pods().await;
            pods.len() == 6 && pods.iter().all(|pod| pod.phase() == "Succeeded")
        })
        .await;
    let history = world.history().await.summary();
    assert_eq!(history.grants, 6);
    assert_eq!(history.pools.values().next().unwrap().highest_running, 1);
    world.finish().await;
}

#[tokio::test]
async fn sharers_share_and_whoever_wants_it_alone_is_not_starved() {
    let world = World::new("shared").await;
    world.lock("schema").await;
    for name in ["s1", "s2"] {
        world.pod(name).locks("schema:shared").create().await;
        world.granted(name).await;
    }
    world.lock_holders("schema", ["s1", "s2"]).await;
    let alone = world.pod("alone").locks("schema").create().await;
    world.a_second_after(&alone).await;
    world.pod("s3").locks("schema:shared").create().await;
    world
        .lock_is("schema", "two wait", |it| it.number("waiting") == 2)
        .await;
    world.end("s1").await;
    world.lock_holders("schema", ["s2"]).await;
    world.is_gated("s3").await;
    world.end("s2").await;
    world.granted("alone").await;
    world.is_gated("s3").await;
    world.end("alone").await;
    world.granted("s3").await;
    world.finish().await;
}

#[tokio::test]
async fn the_stronger_of_two_mentions_counts() {
    let world = World::new("stronger").await;
    world.lock("tag--etl").await;
    world
        .pod("a")
        .locks("tag:etl:shared, tag:etl:exclusive")
        .create()
        .await;
    let pod = world.granted("a").await;
    assert_eq!(
        world.lock_now("tag--etl").await.lease("a").unwrap()["mode"],
        "Exclusive"
    );
    assert_eq!(pod.granted().unwrap()["leases"][0]["key"], "tag:etl");
    world.pod("b").locks("tag:etl:shared").create().await;
    world
        .lock_is("tag--etl", "one waits", |it| it.number("waiting") == 1)
        .await;
    world.is_gated("b").await;
    world.finish().await;
}
