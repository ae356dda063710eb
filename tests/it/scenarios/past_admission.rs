//! Pods that came past admission: without gate, or whose gate somebody removed by hand. They run, so they count.

use crate::support::World;

#[tokio::test]
async fn a_gate_is_removed_by_hand() {
    let world = World::new("gate").await;
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.granted("a").await;
    world.pod("bold").slots("gpu").create().await;
    world.pod("c").slots("gpu").create().await;
    world.waiting("gpu", 2).await;
    let revision = world.keep_gates("bold", &[]).await;
    world.assume(|it| it.written_by_hand(revision));
    world.holders("gpu", ["a", "bold"]).await;
    world.end("a").await;
    world.holders("gpu", ["bold"]).await;
    world.is_gated("c").await;
    world.end("bold").await;
    world.granted("c").await;
    world.finish().await;
}

#[tokio::test]
async fn pods_without_gate_and_label_are_found_at_the_start() {
    let world = World::plan("ungated").controllers(0).begin().await;
    world.pod("ungated").slots("gpu").ungated().create().await;
    world.running("ungated").await;
    world
        .limit_with("gpu", serde_json::json!({"slots": 2}))
        .await;
    world.start_controller();
    world.ready().await;
    world
        .pod_is("ungated", "labelled", |it| {
            it.metadata
                .labels
                .iter()
                .flatten()
                .any(|(name, _)| name == "sluice.dev/managed")
        })
        .await;
    world.holders("gpu", ["ungated"]).await;
    world.pod("b").slots("gpu").create().await;
    world.pod("c").slots("gpu").create().await;
    world
        .limit_is("gpu", "full", |it| {
            it.number("inUse") == 2 && it.number("waiting") == 1
        })
        .await;
    world.end("ungated").await;
    world
        .limit_is("gpu", "full of the others", |it| {
            it.number("inUse") == 2 && it.number("waiting") == 0
        })
        .await;
    world.finish().await;
}
