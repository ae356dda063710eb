//! What people see: events, columns, metrics.

use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn a_pod_that_waits_is_told_once_why_and_how_many_are_ahead() {
    let world = World::new("told").await;
    world.limit("gpu", 2).await;
    for name in ["a", "b"] {
        world.pod(name).slots("gpu").create().await;
        world.granted(name).await;
    }
    let c = world.pod("c").slots("gpu").create().await;
    world.a_second_after(&c).await;
    let d = world.pod("d").slots("gpu").create().await;
    let message = world.event("d", "WaitingForSlots").await;
    for part in [
        "gpu",
        "2 of 2 slots are held",
        "1 ahead",
        "held here by a, b",
    ] {
        assert!(message.contains(part), "{part:?} is missing: {message}");
    }
    let events: Api<Event> = Api::namespaced(world.client(), world.namespace());
    let of_d = ListParams::default().fields("involvedObject.name=d,reason=WaitingForSlots");
    let told = events.list(&of_d).await.unwrap().items.remove(0);
    // Whole seconds, both rounded down by the same clock.
    let (told, created) = (
        told.creation_timestamp().unwrap().0,
        d.creation_timestamp().unwrap().0,
    );
    let waited = told.duration_since(created).as_secs();
    assert!(waited >= 2, "it was told after {waited} s");
    // Queue movement is no news.
    world.end("a").await;
    world.granted("c").await;
    // A change of the cause is.
    world.edit_limit("gpu", json!({"mode": "Paused"})).await;
    world.event("d", "LimitPaused").await;
    assert_eq!(world.events("d", "WaitingForSlots").await.len(), 1);
    // Those who never waited long hear nothing.
    let all = events
        .list(&ListParams::default().fields("involvedObject.name=a"))
        .await
        .unwrap();
    let ours = all
        .items
        .iter()
        .filter(|it| it.reporting_component.as_deref() == Some("sluice.dev/controller"));
    assert_eq!(ours.count(), 0, "{all:?}");
    world.edit_limit("gpu", json!({"mode": "Active"})).await;
    world.finish().await;
}

#[tokio::test]
async fn an_unchanged_cause_is_told_once() {
    let world = World::new("told-once").await;
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.granted("a").await;
    let b = world.pod("b").slots("gpu").create().await;
    world.a_second_after(&b).await;
    // Longer than the controller's own interval for looking again: its event is the clock of this test.
    world
        .pod("clock")
        .slots("gpu")
        .annotation("sluice.dev/timeout", "15s")
        .create()
        .await;
    world.event("clock", "SlotTimeout").await;
    assert_eq!(world.events("b", "WaitingForSlots").await.len(), 1);
    world.end("a").await;
    world.granted("b").await;
    let message = world.event("b", "SlotsGranted").await;
    assert!(message.contains("leased"), "{message}");
    world.finish().await;
}

#[tokio::test]
async fn kubectl_get_shows_the_numbers() {
    let world = World::new("columns").await;
    world
        .apply(
            "apiVersion: sluice.dev/v1alpha1\nkind: ConcurrencyLimit\nmetadata: {name: gpu}\nspec: {slots: 3}\n---\n\
             apiVersion: sluice.dev/v1alpha1\nkind: Lock\nmetadata: {name: door}\nspec: {}\n",
        )
        .await;
    for index in 0..4 {
        world
            .pod(&format!("p{index}"))
            .slots("gpu=1")
            .locks("door:shared")
            .create()
            .await;
    }
    world
        .limit_is("gpu", "full", |it| it.number("inUse") == 3)
        .await;
    world.pod("alone").locks("door").create().await;
    let shows = |kind: &str, expected: &[&str]| {
        let text = world.kubectl(&["get", kind]);
        let row: Vec<&str> = text
            .lines()
            .nth(1)
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        row.get(..expected.len()) == Some(expected)
    };
    world
        .eventually("the limit's columns", async || {
            shows("climit", &["gpu", "3", "3", "1", "Active", "True"])
        })
        .await;
    world
        .eventually("the lock's columns", async || {
            shows("lock", &["door", "3", "2", "Active", "True"])
        })
        .await;
    let held = world.limit_now("gpu").await;
    assert_eq!(held.holds("Saturated"), Some("Full"));
    world.finish().await;
}

#[tokio::test]
async fn metrics_say_how_many_wait_and_what_was_written() {
    let world = World::new("metrics").await;
    world.limit("gpu", 1).await;
    for name in ["a", "b", "c"] {
        world.pod(name).slots("gpu").create().await;
    }
    world.waiting("gpu", 2).await;
    let value = |metric: &str, label: &str| {
        let text = world.controllers()[0].metrics();
        let line = text
            .lines()
            .find(|line| line.starts_with(metric) && line.contains(label));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    let name = format!("name=\"{}\"", "gpu");
    world
        .eventually("metrics of the limit", async || {
            value("sluice_waiting", &name) == Some(2.0)
                && value("sluice_slots_in_use", &name) == Some(1.0)
        })
        .await;
    world.finish().await;
}
