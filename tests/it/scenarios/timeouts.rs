//! Pods that do not want to wait for ever.

use crate::support::{PodFacts as _, World};

#[tokio::test]
async fn a_pod_fails_when_its_time_is_over() {
    let world = World::new("timeout-fail").await;
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.granted("a").await;
    let impatient = world
        .pod("b")
        .slots("gpu")
        .annotation("sluice.dev/timeout", "1s");
    impatient
        .annotation("sluice.dev/on-timeout", "Fail")
        .create()
        .await;
    let pod = world
        .pod_is("b", "Failed", |it| it.phase() == "Failed")
        .await;
    let status = pod.status.as_ref().unwrap();
    assert_eq!(status.reason.as_deref(), Some("SlotTimeout"));
    assert!(
        status
            .message
            .as_deref()
            .unwrap()
            .contains("sluice.dev/timeout"),
        "{status:?}"
    );
    assert_eq!(pod.annotation("sluice.dev/attempt"), Some("timed-out"));
    world.waiting("gpu", 0).await;
    // Nothing is granted to it any more, though there is room.
    world.end("a").await;
    world.pod("c").slots("gpu").create().await;
    world.granted("c").await;
    world.is_gated("b").await;
    world.finish().await;
}

#[tokio::test]
async fn a_pod_goes_on_waiting_when_its_time_is_over() {
    let world = World::new("timeout-wait").await;
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.granted("a").await;
    world
        .pod("b")
        .slots("gpu")
        .annotation("sluice.dev/timeout", "1s")
        .create()
        .await;
    let message = world.event("b", "SlotTimeout").await;
    assert!(message.contains("goes on waiting"), "{message}");
    world.end("a").await;
    world.granted("b").await;
    world.finish().await;
}

#[tokio::test]
async fn a_timeout_counts_whatever_it_waits_for() {
    let world = World::new("timeout-missing").await;
    let pod = world
        .pod("a")
        .slots("nowhere")
        .annotation("sluice.dev/timeout", "1s");
    pod.annotation("sluice.dev/on-timeout", "Fail")
        .create()
        .await;
    world
        .pod_is("a", "Failed", |it| it.phase() == "Failed")
        .await;
    // The limit that comes now finds nobody who waits.
    world.limit("nowhere", 1).await;
    world.pod("b").slots("nowhere").create().await;
    world.granted("b").await;
    world.is_gated("a").await;
    world.finish().await;
}
