//! An edit of a waiting pod's request raises its attempt in the same write, whoever makes it and whatever else is in it.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::plane::{annotation, refusal, world};

const ATTEMPT: &str = "sluice.dev/attempt";

fn attempt(pod: &DynamicObject) -> Option<&str> {
    annotation(pod, ATTEMPT)
}

fn annotations(value: Value) -> Value {
    json!({"metadata": {"annotations": value}})
}

#[tokio::test]
async fn every_edit_of_the_request_raises_it() {
    let world = world("raise").await;
    let made = world.waiting("pod").await;
    assert_eq!(attempt(&made), None);
    let dev = world.dev();
    let edits = [
        annotations(json!({"sluice.dev/slots": "gpu=2"})),
        // Back to what it was: that is an edit as well, and the one that matters.
        annotations(json!({"sluice.dev/slots": "gpu"})),
        annotations(json!({"sluice.dev/locks": "deploy"})),
        annotations(json!({"sluice.dev/locks": null})),
        annotations(json!({"sluice.dev/if-missing": "Ignore"})),
        json!({"metadata": {"labels": {"sluice.dev/worker": "w1"}}}),
        json!({"metadata": {"labels": {"sluice.dev/worker": null}}}),
        // A family may take its worker from any label.
        json!({"metadata": {"labels": {"example.com/pool": "a"}}}),
        annotations(json!({"sluice.dev/slots": null})),
        annotations(json!({"sluice.dev/slots": "gpu"})),
    ];
    for (number, edit) in edits.iter().enumerate() {
        let edited = world.edit(&dev, "pod", edit).await.unwrap();
        assert_eq!(
            attempt(&edited),
            Some((number + 1).to_string().as_str()),
            "{edit}"
        );
    }
    // Those who may do everything are no exception.
    let edited = world
        .edit(
            &world.plane.client(),
            "pod",
            &annotations(json!({"sluice.dev/slots": "db"})),
        )
        .await;
    assert_eq!(attempt(&edited.unwrap()), Some("11"));
}

#[tokio::test]
async fn other_edits_leave_it() {
    let world = world("leave").await;
    world.waiting("pod").await;
    let dev = world.dev();
    for edit in [
        annotations(json!({"sluice.dev/timeout": "5m", "sluice.dev/on-timeout": "Fail"})),
        annotations(json!({"sluice.dev/priority": "-1"})),
        annotations(json!({"example.com/note": "x"})),
        annotations(json!({"sluice.dev/slots": "gpu"})),
        json!({"spec": {"tolerations": [{"key": "x", "operator": "Exists"}]}}),
        json!({"metadata": {"finalizers": ["example.com/mine"]}}),
    ] {
        let edited = world.edit(&dev, "pod", &edit).await.unwrap();
        assert_eq!(attempt(&edited), None, "{edit}");
    }
}

#[tokio::test]
async fn what_the_editor_writes_there_counts_for_nothing() {
    let world = world("forge").await;
    world.waiting("pod").await;
    let dev = world.dev();
    for forged in ["7", "0", "timed-out", "x"] {
        let edit =
            annotations(json!({"sluice.dev/slots": format!("db-{forged}"), ATTEMPT: forged}));
        let before = world.edit(&dev, "pod", &json!({})).await.unwrap();
        let expected = attempt(&before)
            .map_or(1, |text| text.parse::<u32>().unwrap() + 1)
            .to_string();
        let edited = world.edit(&dev, "pod", &edit).await.unwrap();
        assert_eq!(attempt(&edited), Some(expected.as_str()), "{forged}");
    }
    // Without an edit of the request it is not theirs to change, not even by one.
    for forged in [json!("5"), json!("99"), json!(null), json!("timed-out")] {
        let sentence = refusal(
            "guard",
            world
                .edit(&dev, "pod", &annotations(json!({ATTEMPT: forged})))
                .await,
        )
        .unwrap();
        assert!(
            sentence.contains("annotation sluice.dev/attempt: is changed by the controller"),
            "{sentence}"
        );
    }
}

#[tokio::test]
async fn timed_out_is_final() {
    let world = world("final").await;
    world.waiting("pod").await;
    world
        .edit(
            &world.controller().await,
            "pod",
            &annotations(json!({ATTEMPT: "timed-out"})),
        )
        .await
        .unwrap();
    let edited = world
        .edit(
            &world.dev(),
            "pod",
            &annotations(json!({"sluice.dev/slots": "db"})),
        )
        .await
        .unwrap();
    assert_eq!(attempt(&edited), Some("timed-out"));
}

#[tokio::test]
async fn the_controller_raises_it_itself() {
    let world = world("itself").await;
    world.waiting("pod").await;
    let controller = world.controller().await;
    let raised = world
        .edit(&controller, "pod", &annotations(json!({ATTEMPT: "4"})))
        .await
        .unwrap();
    assert_eq!(attempt(&raised), Some("4"));
    let labels = json!({"metadata": {"labels": {"sluice.dev/managed": "yes"}}});
    let labelled = world.edit(&controller, "pod", &labels).await.unwrap();
    assert_eq!(
        attempt(&labelled),
        Some("4"),
        "a write of the controller is no edit"
    );
}
