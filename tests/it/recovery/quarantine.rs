//! `sluice quarantine`, as its users drive it, and the annotation that it writes.

use serde_json::json;
use sluice::api::names;

use super::value;
use crate::support::{PodFacts as _, World};

#[tokio::test]
async fn a_limit_is_set_aside_and_comes_back() {
    let world = World::new("aside").await;
    world.limit("gpu", 2).await;
    world.lock("door").await;
    world.pod("a").slots("gpu").create().await;
    world.running("a").await;

    let printed = world.sluice(&["quarantine", "climit/gpu", "lock/door", "--reason", "drill"]);
    assert!(printed.contains("2 are in quarantine now"), "{printed}");
    world
        .limit_is("gpu", "set aside", |it| {
            it.holds("Quarantined") == Some("SetAside") && !it.is_fenced()
        })
        .await;
    let limit = world.limit_now("gpu").await;
    let [_, _, message] = limit.condition("Quarantined").unwrap();
    assert!(
        message.contains("(drill)") && message.contains("sluice quarantine --end"),
        "{message}"
    );
    let [ready, reason, _] = limit.condition("Ready").unwrap();
    assert_eq!([ready, reason], ["False", "Quarantined"]);
    let told = world.event("gpu", "Quarantined").await;
    assert!(told.contains("drill"), "{told}");
    world
        .eventually("the metric", async || {
            let metrics = world.controllers()[0].metrics();
            let line = format!(
                "sluice_quarantined{{kind=\"limit\",namespace=\"{}\",name=\"gpu\"}}",
                world.namespace()
            );
            value(&metrics, &line) == 1
        })
        .await;
    // There is room, and nobody gets it.
    world.pod("b").slots("gpu").create().await;
    world.event("b", "LimitQuarantined").await;
    world.is_gated("b").await;
    // Whoever holds may end, and is no longer counted then.
    world.end("a").await;
    world.holders("gpu", []).await;
    world.is_gated("b").await;
    let printed = world.sluice(&["quarantine", "climit/gpu"]);
    assert!(
        printed.contains("0 are in quarantine now, 1 were already"),
        "{printed}"
    );

    let printed = world.sluice(&[
        "quarantine",
        "--all",
        "--namespace",
        world.namespace(),
        "--end",
    ]);
    assert!(
        printed.contains("2 left quarantine; 0 were in none"),
        "{printed}"
    );
    world.event("gpu", "QuarantineEnded").await;
    world.granted("b").await;
    world
        .limit_is("gpu", "granting", |it| {
            it.holds("Ready") == Some("Granting")
        })
        .await;
    world.finish().await;
}

#[tokio::test]
async fn a_familys_quarantine_covers_its_workers() {
    let world = World::new("aside-family").await;
    let family = json!({"slots": 1, "perWorker": {"podLabel": "worker"}});
    world.limit_with("gpu", family).await;
    let on = |name: &str, worker: &str| world.pod(name).slots("gpu").label("worker", worker);
    on("a", "one").create().await;
    world.running("a").await;
    let annotate = async |said: Option<&str>| {
        let patch = json!({"metadata": {"annotations": {(names::QUARANTINE): said}}});
        world.patch_limit("gpu", patch).await;
    };
    annotate(Some("")).await;
    world
        .limit_is("gpu--one", "set aside", |it| {
            it.holds("Quarantined") == Some("SetAside") && !it.is_fenced()
        })
        .await;
    // Neither of a worker that is there, nor of a new one.
    on("b", "one").create().await;
    on("c", "two").create().await;
    world.end("a").await;
    world.holders("gpu--one", []).await;
    world
        .limit_is("gpu--two", "set aside", |it| {
            it.holds("Quarantined").is_some()
        })
        .await;
    world.is_gated("b").await;
    world.is_gated("c").await;
    annotate(None).await;
    world.granted("b").await;
    world.granted("c").await;
    world.finish().await;
}

#[tokio::test]
async fn what_an_operator_wrote_on_a_workers_limit_stays() {
    let world = World::new("aside-kept").await;
    let family = json!({"slots": 1, "perWorker": {"podLabel": "worker"}});
    world.limit_with("gpu", family).await;
    let pod = world.pod("a").slots("gpu").label("worker", "one");
    pod.create().await;
    world.running("a").await;
    let patch = json!({"metadata": {"annotations": {(names::QUARANTINE): "mine"}}});
    world.patch_limit("gpu--one", patch).await;
    world.edit_limit("gpu", json!({"slots": 3})).await;
    world
        .limit_is("gpu--one", "resized with its family", |it| {
            it.spec()["slots"] == 3
        })
        .await;
    let limit = world.limit_now("gpu--one").await;
    let annotations = limit.object().metadata.annotations.clone().unwrap();
    assert_eq!(annotations[names::QUARANTINE], "mine");
    world
        .pod("b")
        .slots("gpu")
        .label("worker", "one")
        .create()
        .await;
    world.event("b", "LimitQuarantined").await;
    assert!(world.get("b").await.is_gated());
    world.sluice(&["quarantine", "climit/gpu--one", "--end"]);
    world.granted("b").await;
    world.finish().await;
}

#[tokio::test]
async fn without_a_controller_it_cannot_end() {
    let world = World::plan("aside-alone").controllers(0).begin().await;
    world.limit_with("gpu", json!({"slots": 1})).await;
    world.sluice(&["quarantine", "climit/gpu"]);
    let complaint =
        world.sluice_fails(&["quarantine", "climit/gpu", "--end", "--wait-seconds", "1"]);
    assert!(
        complaint.contains("no controller has seen this quarantine")
            && complaint.contains("climit/gpu"),
        "{complaint}"
    );
    let complaint = world.sluice_fails(&["quarantine", "climit/none"]);
    assert!(
        complaint.contains("climit/none in namespace"),
        "{complaint}"
    );
    let complaint = world.sluice_fails(&["quarantine", "gpu"]);
    assert!(
        complaint.contains("write climit/NAME or lock/NAME"),
        "{complaint}"
    );
    world.start_controller();
    world.ready().await;
    world.sluice(&["quarantine", "climit/gpu", "--end"]);
    world.pod("a").slots("gpu").create().await;
    world.granted("a").await;
    world.finish().await;
}
