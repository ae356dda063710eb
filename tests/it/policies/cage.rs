//! The cage of our own accounts: what a stolen token of the controller could do to pods, and what it needs to do.

use serde_json::{Value, json};

use super::plane::{World, pod, refusal, world};

/// Everything that the controller writes to a pod over its life.
fn needed() -> Vec<Value> {
    vec![
        json!({"metadata": {"annotations": {"sluice.dev/attempt": "1"}}}),
        json!({"metadata": {"annotations": {"sluice.dev/granted": "{}", "sluice.dev/tokens": "gpu=1",
            "sluice.dev/lock-tokens": "deploy=1"}, "finalizers": ["sluice.dev/confirm-end", "example.com/mine"]},
            "spec": {"schedulingGates": [{"name": "example.com/other"}]}}),
        json!({"metadata": {"labels": {"sluice.dev/managed": "yes"}}}),
        json!({"metadata": {"labels": {"sluice.dev/managed": "true"}}}),
        json!({"metadata": {"finalizers": ["example.com/mine"]}}),
    ]
}

/// What it must never be able to do.
fn forbidden() -> Vec<(Value, &'static str)> {
    vec![
        (
            json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "evil"}]),
            "nothing in a pod's spec but",
        ),
        (
            json!([{"op": "add", "path": "/spec/tolerations/-", "value": {"operator": "Exists"}}]),
            "nothing in a pod's spec but",
        ),
        (
            json!({"spec": {"activeDeadlineSeconds": 1}}),
            "nothing in a pod's spec but",
        ),
        (
            json!({"spec": {"nodeSelector": {"a": "b"}}}),
            "nothing in a pod's spec but",
        ),
        (
            json!({"spec": {"schedulingGates": [{"name": "sluice.dev/slots"}]}}),
            "nothing in a pod's spec but",
        ),
        (
            json!({"metadata": {"annotations": {"example.com/a": "b"}}}),
            "annotations of sluice.dev",
        ),
        (
            json!({"metadata": {"annotations": {"example.com/note": null}}}),
            "annotations of sluice.dev",
        ),
        (
            json!({"metadata": {"labels": {"app": "x"}}}),
            "the label sluice.dev/managed",
        ),
        (
            json!({"metadata": {"labels": {"sluice.dev/worker": "w1"}}}),
            "the label sluice.dev/managed",
        ),
        (
            json!({"metadata": {"finalizers": []}}),
            "the finalizer sluice.dev/confirm-end",
        ),
        (
            json!({"metadata": {"finalizers": ["example.com/mine", "example.com/more"]}}),
            "the finalizer sluice.dev",
        ),
        (
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}]}}),
            "this part of a pod's metadata",
        ),
    ]
}

impl World {
    async fn caged(&self) {
        // As large as pods come: the comparison has a budget.
        let large = "x".repeat(200 * 1024);
        let annotations =
            json!({"sluice.dev/slots": "gpu", "example.com/note": "x", "example.com/large": large});
        let mut object = pod(
            "pod",
            json!({"annotations": annotations, "finalizers": ["example.com/mine"]}),
        );
        object["spec"]["schedulingGates"] = json!([{"name": "example.com/other"}]);
        object["spec"]["containers"][0]["resources"] =
            json!({"requests": {"cpu": "1500m", "memory": "1Gi"}});
        object["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]);
        self.create(&self.dev(), &object).await.unwrap();
    }
}

#[tokio::test]
async fn the_controller_does_its_work() {
    let world = world("work").await;
    world.caged().await;
    let controller = world.controller().await;
    for patch in needed() {
        world
            .edit(&controller, "pod", &patch)
            .await
            .unwrap_or_else(|error| panic!("{patch}: {error}"));
    }
    let failed = json!({"status": {"phase": "Failed", "reason": "SlotTimeout", "message": "waited for 10m",
        "conditions": [{"type": "sluice.dev/Granted", "status": "False"}]}});
    world
        .edit_status(&controller, "pod", &failed)
        .await
        .unwrap();
}

#[tokio::test]
async fn and_nothing_else() {
    let world = world("cage").await;
    world.caged().await;
    let controller = world.controller().await;
    for (patch, says) in forbidden() {
        let sentence = refusal("cage", world.edit(&controller, "pod", &patch).await);
        let sentence = sentence.unwrap_or_else(|error| panic!("{patch}: {error}"));
        assert!(sentence.contains(says), "{patch}: {sentence}");
    }
    for patch in [
        json!({"status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}}),
        json!({"status": {"nominatedNodeName": "node-1"}}),
        json!({"status": {"containerStatuses": [{"name": "main", "image": "x", "imageID": "x", "ready": true,
            "restartCount": 0}]}}),
    ] {
        let sentence =
            refusal("cage", world.edit_status(&controller, "pod", &patch).await).unwrap();
        assert!(
            sentence.contains("phase, reason, message and conditions"),
            "{patch}: {sentence}"
        );
    }
}

#[tokio::test]
async fn whatever_rights_it_is_given() {
    let world = world("rights").await;
    world.caged().await;
    // The controller's user, with the rights of an administrator.
    let mighty = world
        .plane
        .client_as(crate::chart::helm::CONTROLLER, &["system:masters"])
        .unwrap();
    let image = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "evil"}]);
    refusal("cage", world.edit(&mighty, "pod", &image).await).unwrap();
}
