//! Pods at their creation: who is gated, who is left alone, who is refused.

use serde_json::{Value, json};

use super::plane::{Answer, GATE, World, annotation, create_dry, is_gated, pod, refusal, world};

/// A pod that asks for a slot, with this spec merged into its own.
fn asking(spec: Value) -> Value {
    let mut object = pod("pod", json!({"annotations": {"sluice.dev/slots": "gpu"}}));
    object["spec"]
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    object
}

impl World {
    async fn would_create(&self, object: &Value) -> Answer {
        create_dry(&self.dev(), &self.namespace, object).await
    }
}

#[tokio::test]
async fn requests_are_gated_and_labelled() {
    let world = world("gated").await;
    for annotations in [
        json!({"sluice.dev/slots": "gpu=1, db=2, licences/matlab"}),
        json!({"sluice.dev/locks": "deploy"}),
        json!({"sluice.dev/slots": "gpu", "sluice.dev/locks": "deploy:shared", "sluice.dev/timeout": "10m",
            "sluice.dev/on-timeout": "Fail", "sluice.dev/priority": "-5", "sluice.dev/if-missing": "Ignore"}),
    ] {
        let made = world
            .would_create(&pod("pod", json!({"annotations": annotations})))
            .await
            .unwrap();
        assert!(is_gated(&made), "{annotations}: {made:?}");
    }
}

#[tokio::test]
async fn what_the_user_wrote_stays() {
    let world = world("stays").await;
    let mut object =
        asking(json!({"schedulingGates": [{"name": "example.com/other"}, {"name": GATE}]}));
    object["metadata"]["labels"] =
        json!({"app": "x", "sluice.dev/worker": "w1", "sluice.dev/managed": "false"});
    // Lists that are keyed in the schema but may hold a key twice.
    object["spec"]["containers"][0]["env"] =
        json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
    object["spec"]["containers"][0]["ports"] =
        json!([{"containerPort": 80}, {"containerPort": 80}]);
    let made = world.would_create(&object).await.unwrap();
    assert!(is_gated(&made));
    let gates = &made.data["spec"]["schedulingGates"];
    assert_eq!(
        *gates,
        json!([{"name": "example.com/other"}, {"name": GATE}])
    );
    let labels = made.metadata.labels.unwrap();
    assert_eq!(
        (labels["app"].as_str(), labels["sluice.dev/worker"].as_str()),
        ("x", "w1")
    );
    let container = &made.data["spec"]["containers"][0];
    assert_eq!(container["env"].as_array().unwrap().len(), 2);
    assert_eq!(container["ports"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn other_pods_are_left_alone() {
    let world = world("others").await;
    for metadata in [
        json!({}),
        json!({"annotations": {"example.com/slots": "gpu"}, "labels": {"app": "x"}}),
    ] {
        let made = world
            .would_create(&pod("pod", metadata.clone()))
            .await
            .unwrap();
        assert_eq!(
            made.data["spec"]["schedulingGates"],
            Value::Null,
            "{metadata}"
        );
        let labels = made.metadata.labels.unwrap_or_default();
        assert!(
            !labels.keys().any(|label| label.starts_with("sluice.dev/")),
            "{metadata}"
        );
    }
}

#[tokio::test]
async fn a_pod_that_skips_the_scheduler_is_refused() {
    let world = world("placed").await;
    let sentence = refusal(
        "request",
        world
            .would_create(&asking(json!({"nodeName": "node-1"})))
            .await,
    )
    .unwrap();
    assert!(
        sentence.starts_with("a pod with spec.nodeName set cannot wait for slots or locks"),
        "{sentence}"
    );
    let mut plain = asking(json!({"nodeName": "node-1"}));
    plain["metadata"]["annotations"] = json!({});
    world.would_create(&plain).await.unwrap();
}

#[tokio::test]
async fn mirror_pods_are_left_alone_and_others_cannot_pass_for_one() {
    let world = world("mirror").await;
    let mut mirror = asking(json!({"nodeName": "node-1", "automountServiceAccountToken": false}));
    mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "abc".into();
    let kubelet = world
        .plane
        .client_as("system:node:node-1", &["system:nodes"])
        .unwrap();
    let made = create_dry(&kubelet, &world.namespace, &mirror)
        .await
        .unwrap();
    assert_eq!(made.data["spec"]["schedulingGates"], Value::Null);
    assert!(made.metadata.labels.is_none());
    let sentence = refusal("request", world.would_create(&mirror).await).unwrap();
    assert!(sentence.contains("spec.nodeName"), "{sentence}");
}

#[tokio::test]
async fn what_the_controller_writes_cannot_be_brought_along() {
    let world = world("brought").await;
    for (name, says) in [
        ("sluice.dev/granted", "is written by the controller"),
        ("sluice.dev/attempt", "is written by the controller"),
        ("sluice.dev/tokens", "is written by the controller"),
        ("sluice.dev/lock-tokens", "is written by the controller"),
        ("sluice.dev/group", "is unknown"),
        ("sluice.dev/slot", "is unknown"),
    ] {
        let forged = pod("pod", json!({"annotations": {name: "1"}}));
        let sentence = refusal("request", world.would_create(&forged).await).unwrap();
        assert!(
            sentence.contains(name) && sentence.contains(says),
            "{sentence}"
        );
        create_dry(&world.operator(), &world.namespace, &forged)
            .await
            .unwrap();
    }
    let pinned = pod("pod", json!({"finalizers": ["sluice.dev/confirm-end"]}));
    let sentence = refusal("request", world.would_create(&pinned).await).unwrap();
    assert!(sentence.contains("finalizers of sluice.dev"), "{sentence}");
    create_dry(&world.operator(), &world.namespace, &pinned)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_gate_without_label_is_refused() {
    let world = world("unlabelled").await;
    let mut object = pod("pod", json!({}));
    object["spec"]["schedulingGates"] = json!([{"name": GATE}]);
    let sentence = refusal("request", world.would_create(&object).await).unwrap();
    assert!(sentence.contains("sluice.dev/managed"), "{sentence}");
    object["metadata"]["labels"] = json!({"sluice.dev/managed": "yes"});
    refusal("request", world.would_create(&object).await).unwrap();
    // With the label its request may come later.
    object["metadata"]["labels"] = json!({"sluice.dev/managed": "true"});
    world.create(&world.dev(), &object).await.unwrap();
    let request = json!({"metadata": {"annotations": {"sluice.dev/slots": "gpu"}}});
    let edited = world.edit(&world.dev(), "pod", &request).await.unwrap();
    assert_eq!(annotation(&edited, "sluice.dev/attempt"), Some("1"));
}
