//! Who is next: priority, then arrival; who may pass, and who may not.

use serde_json::json;

use crate::support::{PodFacts as _, World};

/// Ends the holder of `gpu` again and again, and gives the pods in the order in which they got it.
async fn turns(world: &World, names: &[&str]) -> Vec<String> {
    world
        .eventually("every pod has had its turn", async || {
            for holder in world.limit_now("gpu").await.holders() {
                world.end(&holder).await;
            }
            world
                .all_pods()
                .await
                .iter()
                .all(|pod| pod.phase() == "Succeeded")
        })
        .await;
    let mut turns = Vec::new();
    for name in names {
        turns.push((
            world.get(name).await.token("gpu").unwrap(),
            (*name).to_owned(),
        ));
    }
    turns.sort_unstable();
    turns.into_iter().map(|(_, name)| name).collect()
}

#[tokio::test]
async fn priority_goes_first_then_arrival() {
    let world = World::new("priority").await;
    let (high, low) = (
        world.priority_class("high", 1000).await,
        world.priority_class("low", -10).await,
    );
    world.limit("gpu", 1).await;
    let first = world.pod("first").slots("gpu").create().await;
    world.granted("first").await;
    world
        .pod("low")
        .slots("gpu")
        .priority_class(&low)
        .create()
        .await;
    let second = world.pod("second").slots("gpu").create().await;
    assert!(first.metadata.creation_timestamp <= second.metadata.creation_timestamp);
    world.a_second_after(&second).await;
    world.pod("third").slots("gpu").create().await;
    world
        .pod("high")
        .slots("gpu")
        .priority_class(&high)
        .create()
        .await;
    world.waiting("gpu", 4).await;
    let turns = turns(&world, &["first", "second", "third", "high", "low"]).await;
    assert_eq!(turns, ["first", "high", "second", "third", "low"]);
    world.finish().await;
}

#[tokio::test]
async fn an_annotation_lowers_the_priority_and_raises_it_no_further_than_allowed() {
    let world = World::plan("priority-text")
        .flag("--max-priority=50")
        .begin()
        .await;
    let class = world.priority_class("some", 20).await;
    world.limit("gpu", 1).await;
    world.pod("holder").slots("gpu").create().await;
    world.granted("holder").await;
    let pod = |name, priority| {
        world
            .pod(name)
            .slots("gpu")
            .annotation("sluice.dev/priority", priority)
    };
    let last = pod("capped-at-50", "2000000").create().await;
    world.a_second_after(&last).await;
    pod("lowered-to-10", "10")
        .priority_class(&class)
        .create()
        .await;
    pod("raised-to-49", "49")
        .priority_class(&class)
        .create()
        .await;
    world
        .pod("has-20")
        .slots("gpu")
        .priority_class(&class)
        .create()
        .await;
    world.waiting("gpu", 4).await;
    let turns = turns(
        &world,
        &[
            "holder",
            "capped-at-50",
            "raised-to-49",
            "has-20",
            "lowered-to-10",
        ],
    )
    .await;
    assert_eq!(
        turns,
        [
            "holder",
            "capped-at-50",
            "raised-to-49",
            "has-20",
            "lowered-to-10"
        ]
    );
    world.finish().await;
}

#[tokio::test]
async fn whoever_fits_passes_until_the_blocked_one_reserves() {
    let world = World::new("reserve").await;
    world
        .limit_with("gpu", json!({"slots": 3, "reserveAfterSeconds": 1}))
        .await;
    world.fenced("gpu").await;
    world.pod("holder").slots("gpu=2").create().await;
    world.granted("holder").await;
    let big = world.pod("big").slots("gpu=3").create().await;
    world.a_second_after(&big).await;
    // From its arrival on the server counts whole seconds: one more, and it reserves.
    let marker = world.pod("marker").slots("other").create().await;
    world.a_second_after(&marker).await;
    world.pod("small").slots("gpu").create().await;
    world.waiting("gpu", 2).await;
    world.is_gated("small").await;
    world.event("small", "SlotsReserved").await;
    world.end("holder").await;
    world.granted("big").await;
    world.is_gated("small").await;
    world.end("big").await;
    world.granted("small").await;
    world.finish().await;
}

#[tokio::test]
async fn a_reservation_holds_back_nobody_of_higher_priority() {
    let world = World::new("reserve-priority").await;
    let high = world.priority_class("high", 1000).await;
    world
        .limit_with("gpu", json!({"slots": 2, "reserveAfterSeconds": 0}))
        .await;
    world.fenced("gpu").await;
    world.pod("holder").slots("gpu").create().await;
    world.granted("holder").await;
    let big = world.pod("big").slots("gpu=2").create().await;
    world.a_second_after(&big).await;
    world.pod("small").slots("gpu").create().await;
    world.waiting("gpu", 2).await;
    world
        .pod("urgent")
        .slots("gpu")
        .priority_class(&high)
        .create()
        .await;
    world.granted("urgent").await;
    world.is_gated("small").await;
    world.finish().await;
}

#[tokio::test]
async fn strictly_nobody_passes() {
    let world = World::new("strict").await;
    world
        .limit_with("gpu", json!({"slots": 2, "order": "Strict"}))
        .await;
    world.fenced("gpu").await;
    world.limit("other", 1).await;
    world.pod("holder").slots("gpu").create().await;
    world.granted("holder").await;
    let big = world.pod("big").slots("gpu=2").create().await;
    world.a_second_after(&big).await;
    world.pod("small").slots("gpu").create().await;
    world.waiting("gpu", 2).await;
    // Elsewhere everything goes on, and one that was created later is through.
    world.pod("elsewhere").slots("other").create().await;
    world.granted("elsewhere").await;
    world.is_gated("small").await;
    world.end("holder").await;
    world.granted("big").await;
    world.is_gated("small").await;
    world.end("big").await;
    world.granted("small").await;
    world.finish().await;
}

#[tokio::test]
async fn whoever_waits_for_something_else_than_room_blocks_nobody() {
    let world = World::new("aside").await;
    world
        .limit_with("gpu", json!({"slots": 1, "order": "Strict"}))
        .await;
    world.fenced("gpu").await;
    let missing = world.pod("missing").slots("gpu, nowhere").create().await;
    world.pod("too-big").slots("gpu=2").create().await;
    world
        .pod("gated")
        .slots("gpu")
        .foreign_gate("example.com/quota")
        .create()
        .await;
    world.a_second_after(&missing).await;
    world.waiting("gpu", 3).await;
    world.pod("later").slots("gpu").create().await;
    world.granted("later").await;
    for name in ["missing", "too-big", "gated"] {
        world.is_gated(name).await;
    }
    // They keep their arrival: what changes for one of them now puts it ahead of a newcomer.
    world.pod("newcomer").slots("gpu").create().await;
    world.waiting("gpu", 4).await;
    world.limit("nowhere", 1).await;
    world.end("later").await;
    world.granted("missing").await;
    world.is_gated("newcomer").await;
    world.keep_gates("gated", &["sluice.dev/slots"]).await;
    world.finish().await;
}
