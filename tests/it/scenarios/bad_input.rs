//! Requests that cannot be understood or met: that pod waits and is told, all others go on.

use serde_json::json;
use sluice_testenv::{ControlPlane, Options};

use crate::support::{PodFacts as _, World};

/// Most that a server takes for all annotations of an object together, in bytes, less room for our others.
const HUGE: usize = 255 * 1024;

#[tokio::test]
async fn an_annotation_that_is_no_request_is_named() {
    let world = World::new("bad-text").await;
    world.limit("gpu", 2).await;
    world.pod("weight").slots("gpu, gpu=0").create().await;
    world.pod("nothing").create().await;
    world
        .pod("attempt")
        .slots("gpu")
        .annotation("sluice.dev/attempt", "many")
        .create()
        .await;
    world.pod("fine").slots("gpu").create().await;
    world.granted("fine").await;
    let message = world.event("weight", "BadAnnotation").await;
    assert!(
        message.contains("sluice.dev/slots") && message.contains("\"gpu=0\""),
        "{message}"
    );
    world.event("nothing", "BadAnnotation").await;
    let message = world.event("attempt", "BadAnnotation").await;
    assert!(message.contains("sluice.dev/attempt"), "{message}");
    for name in ["weight", "nothing", "attempt"] {
        world.is_gated(name).await;
    }
    world
        .annotate("weight", "sluice.dev/slots", Some("gpu"))
        .await;
    world.granted("weight").await;
    world.finish().await;
}

#[tokio::test]
async fn an_annotation_as_long_as_the_server_takes() {
    let world = World::new("huge").await;
    world.limit("gpu", 1).await;
    let entries = "gpu,".repeat(HUGE / 4);
    world.pod("huge").slots(&entries).create().await;
    world.pod("fine").slots("gpu").create().await;
    world.granted("fine").await;
    let message = world.event("huge", "BadAnnotation").await;
    assert!(message.contains("at most 4096 are read"), "{message}");
    assert!(message.len() < 1024, "{message}");
    world.is_gated("huge").await;
    world.finish().await;
}

#[tokio::test]
async fn the_longest_request_there_is() {
    let world = World::new("longest").await;
    let keys: Vec<String> = (0..64).map(|index| format!("limit-{index}")).collect();
    for key in &keys {
        world.limit_with(key, json!({"slots": 1})).await;
    }
    let all = keys.join(",");
    for name in ["a", "b"] {
        world.pod(name).slots(&all).run_for("10ms").create().await;
    }
    world.succeeded("a").await;
    world.succeeded("b").await;
    let leases = world.get("a").await.granted().unwrap()["leases"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(leases, 64);
    world.finish().await;
}

#[tokio::test]
async fn a_request_that_is_larger_than_its_limit_waits_until_that_grows() {
    let world = World::new("exceeds").await;
    world.limit("gpu", 2).await;
    world.pod("big").slots("gpu=3").create().await;
    world.pod("fine").slots("gpu=2").create().await;
    world.granted("fine").await;
    let message = world.event("big", "ExceedsLimit").await;
    assert!(message.contains("gpu"), "{message}");
    world.edit_limit("gpu", json!({"slots": 5})).await;
    world.granted("big").await;
    world.finish().await;
}

#[tokio::test]
async fn a_spec_that_an_older_crd_let_through_stops_that_limit_alone() {
    let options = Options::default()
        .without_scheduler()
        .without_controller_manager();
    let plane = ControlPlane::start(options).await.unwrap();
    let world = World::plan("older-crd").on(plane, None).begin().await;
    world.limit("sane", 1).await;
    world.limit("odd", 1).await;
    world.pod("holder").slots("odd").create().await;
    world.granted("holder").await;
    let lax = json!([{"op": "remove",
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/settleSeconds/minimum"}]);
    let crd = [
        "patch",
        "crd",
        "concurrencylimits.sluice.dev",
        "--type=json",
        "-p",
    ];
    world.kubectl(&[&crd[..], &[&lax.to_string()]].concat());
    let nonsense = json!({"metadata": {"labels": {"try": "1"}}, "spec": {"settleSeconds": -5}});
    world
        .eventually("the server to let nonsense through", async || {
            world.try_patch_limit("odd", nonsense.clone()).await
        })
        .await;
    world
        .limit_is("odd", "quarantined", |it| {
            it.holds("Quarantined") == Some("NotUnderstood")
        })
        .await;
    world.pod("waits").slots("odd").create().await;
    world.pod("fine").slots("sane").create().await;
    world.granted("fine").await;
    world.event("waits", "LimitQuarantined").await;
    world.holders("odd", ["holder"]).await;
    let sane = json!({"slots": 2, "settleSeconds": 5});
    world.edit_limit("odd", sane).await;
    world.granted("waits").await;
    world.finish().await;
}
