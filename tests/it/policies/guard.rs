//! After the creation: what everybody but the controller and a holder of `bypass` is kept from, and what stays free.

use serde_json::{Value, json};

use super::plane::{World, bind, create, create_dry, is_gated, limit_status, pod, refusal, world};
use crate::chart::helm::eventually;

/// What nobody may do to a pod that runs, and the word that its refusal must contain.
fn forbidden_when_revealed() -> Vec<(Value, &'static str)> {
    let annotation = |name: &str, value: Value| json!({"metadata": {"annotations": {name: value}}});
    let label = |name: &str, value: Value| json!({"metadata": {"labels": {name: value}}});
    vec![
        (
            annotation("sluice.dev/slots", json!("db")),
            "annotation sluice.dev/slots: a request may change only while",
        ),
        (
            annotation("sluice.dev/slots", json!(null)),
            "annotation sluice.dev/slots: a request may change only while",
        ),
        (
            annotation("sluice.dev/locks", json!("deploy")),
            "annotation sluice.dev/locks",
        ),
        (
            annotation("sluice.dev/priority", json!("1")),
            "annotation sluice.dev/priority",
        ),
        (
            annotation("sluice.dev/granted", json!("[]")),
            "annotation sluice.dev/granted: is changed by the controller",
        ),
        (
            annotation("sluice.dev/granted", json!(null)),
            "annotation sluice.dev/granted: is changed by the controller",
        ),
        (
            annotation("sluice.dev/tokens", json!("gpu=9")),
            "annotation sluice.dev/tokens",
        ),
        (
            annotation("sluice.dev/attempt", json!("1")),
            "annotation sluice.dev/attempt",
        ),
        (
            annotation("sluice.dev/anything", json!("1")),
            "annotation sluice.dev/anything",
        ),
        (
            label("sluice.dev/managed", json!(null)),
            "label sluice.dev/managed",
        ),
        (
            label("sluice.dev/managed", json!("false")),
            "label sluice.dev/managed",
        ),
        (
            label("sluice.dev/worker", json!("w2")),
            "label sluice.dev/worker: a request may change only while",
        ),
        (
            json!({"metadata": {"finalizers": null}}),
            "the finalizer sluice.dev/confirm-end",
        ),
        // Which of them is named is up to the server.
        (
            json!({"metadata": {"annotations": null, "labels": null}}),
            "annotation sluice.dev/",
        ),
    ]
}

#[tokio::test]
async fn a_revealed_pod_is_the_controllers() {
    let world = world("revealed").await;
    world.revealed("pod").await;
    let dev = world.dev();
    for (edit, says) in forbidden_when_revealed() {
        let sentence = refusal("guard", world.edit(&dev, "pod", &edit).await);
        let sentence = sentence.unwrap_or_else(|error| panic!("{edit}: {error}"));
        assert!(sentence.contains(says), "{edit}: {sentence}");
    }
    for free in [
        json!({"metadata": {"annotations": {"example.com/note": "x"}, "labels": {"app": "x"}}}),
        json!({"metadata": {"finalizers": ["sluice.dev/confirm-end", "example.com/mine"]}}),
        json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "newer"}]),
    ] {
        world
            .edit(&dev, "pod", &free)
            .await
            .unwrap_or_else(|error| panic!("{free}: {error}"));
    }
}

#[tokio::test]
async fn bypass_opens_every_guard_of_pods() {
    let world = world("bypass").await;
    world.revealed("pod").await;
    for (edit, _) in forbidden_when_revealed() {
        world
            .edit(&world.operator(), "pod", &edit)
            .await
            .unwrap_or_else(|error| panic!("{edit}: {error}"));
    }
    world.waiting("waiting").await;
    let open = json!({"spec": {"schedulingGates": null}});
    let opened = world
        .edit(&world.operator(), "waiting", &open)
        .await
        .unwrap();
    assert!(!is_gated(&opened));
}

#[tokio::test]
async fn only_in_the_namespace_where_it_is_held() {
    let world = world("elsewhere").await;
    world.waiting("pod").await;
    let other = world.plane.namespace("mine").await.unwrap();
    let admin = world.plane.client();
    for (namespace, user) in [(&other, "elsewhere"), (&world.namespace, "here")] {
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": user},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sluice-bypass"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
        create(&admin, namespace, &binding).await.unwrap();
        let everything = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": format!("{}-{user}", world.namespace)},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "everything-but-bypass"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
        create(&admin, "", &everything).await.unwrap();
    }
    let open = json!({"spec": {"schedulingGates": null}});
    let elsewhere = world.plane.client_as("elsewhere", &[]).unwrap();
    eventually("rights to be known", async || {
        refusal("guard", world.edit(&elsewhere, "pod", &open).await).map(|_| ())
    })
    .await;
    let here = world.plane.client_as("here", &[]).unwrap();
    eventually("rights to be known", async || {
        world.edit(&here, "pod", &open).await.map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn a_waiting_pods_request_is_its_users_and_no_more() {
    let world = world("waiting").await;
    world.waiting("pod").await;
    let dev = world.dev();
    for (edit, says) in [
        (
            json!({"spec": {"schedulingGates": null}}),
            "the scheduling gate sluice.dev/slots is opened by the controller",
        ),
        (
            json!({"metadata": {"labels": {"sluice.dev/managed": null}}}),
            "label sluice.dev/managed",
        ),
        (
            json!({"metadata": {"annotations": {"sluice.dev/granted": "{}"}}}),
            "annotation sluice.dev/granted",
        ),
        (
            json!({"metadata": {"annotations": {"sluice.dev/slots": "db", "sluice.dev/tokens": "db=1"}}}),
            "sluice.dev/tokens",
        ),
        // The edit of the request does not ride along with the opening of the gate.
        (
            json!({"metadata": {"annotations": {"sluice.dev/slots": "db"}}, "spec": {"schedulingGates": null}}),
            "sluice.dev/slots",
        ),
        (
            json!({"metadata": {"finalizers": ["sluice.dev/confirm-end"]}}),
            "the finalizer sluice.dev/confirm-end",
        ),
    ] {
        let sentence = refusal("guard", world.edit(&dev, "pod", &edit).await);
        let sentence = sentence.unwrap_or_else(|error| panic!("{edit}: {error}"));
        assert!(sentence.contains(says), "{edit}: {sentence}");
    }
    world
        .edit(
            &dev,
            "pod",
            &json!({"metadata": {"annotations": {"sluice.dev/slots": "db"}}}),
        )
        .await
        .unwrap();
    world
        .edit(
            &dev,
            "pod",
            &json!({"metadata": {"labels": {"sluice.dev/worker": "w1"}}}),
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn pods_that_never_asked_cannot_begin_to() {
    let world = world("begin").await;
    world
        .create(&world.dev(), &pod("pod", json!({})))
        .await
        .unwrap();
    for edit in [
        json!({"metadata": {"annotations": {"sluice.dev/slots": "gpu"}}}),
        json!({"metadata": {"annotations": {"sluice.dev/granted": "{}"}}}),
        json!({"metadata": {"labels": {"sluice.dev/managed": "true"}}}),
    ] {
        refusal("guard", world.edit(&world.dev(), "pod", &edit).await).unwrap();
    }
}

#[tokio::test]
async fn the_status_and_the_binding_are_no_side_doors() {
    let world = world("doors").await;
    world.revealed("pod").await;
    world.waiting("waiting").await;
    let dev = world.dev();
    for name in ["pod", "waiting"] {
        let edit = json!({"metadata": {"annotations": {"sluice.dev/slots": "db"}}});
        refusal("guard", world.edit_status(&dev, name, &edit).await).unwrap();
        let edit = json!({"metadata": {"labels": {"sluice.dev/managed": null}}});
        refusal("guard", world.edit_status(&dev, name, &edit).await).unwrap();
    }
    // A label that a family may take its worker from: nothing raises the attempt on this way.
    let edit = json!({"metadata": {"labels": {"example.com/pool": "b"}}});
    let sentence = refusal("guard", world.edit_status(&dev, "waiting", &edit).await).unwrap();
    assert!(
        sentence.contains("must raise its annotation sluice.dev/attempt"),
        "{sentence}"
    );
    world.edit_status(&dev, "pod", &edit).await.unwrap();
    let target = json!({"kind": "Node", "name": "nowhere"});
    for metadata in [
        json!({"name": "pod", "annotations": {"sluice.dev/granted": "{}"}}),
        json!({"name": "pod", "labels": {"sluice.dev/managed": "false"}}),
    ] {
        let binding =
            json!({"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target});
        refusal(
            "binding",
            bind(&world.plane.client(), &world.namespace, "pod", &binding).await,
        )
        .unwrap();
    }
    // What the scheduler and the kubelet write passes.
    let binding = json!({"apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": "pod", "annotations": {"example.com/a": "b"}}, "target": target});
    let scheduler = world.plane.client_as("system:kube-scheduler", &[]).unwrap();
    bind_ok(&world, &scheduler, &binding).await;
    let status = json!({"status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}});
    let kubelet = world
        .plane
        .client_as("system:node:nowhere", &["system:nodes"])
        .unwrap();
    world.edit_status(&kubelet, "pod", &status).await.unwrap();
}

/// Binds `pod`; the server answers a binding with a Status, so only a refusal is told apart.
async fn bind_ok(world: &World, client: &kube::Client, binding: &Value) {
    if let Err(error) = bind(client, &world.namespace, "pod", binding).await {
        assert!(
            !error.contains("denied") && !error.contains("forbidden"),
            "{error}"
        );
    }
    let bound = world.edit(&world.dev(), "pod", &json!({})).await.unwrap();
    assert_eq!(bound.data["spec"]["nodeName"], "nowhere");
}

#[tokio::test]
async fn the_status_of_limits_and_locks_is_the_controllers_alone() {
    let world = world("ledger").await;
    let dev = world.dev();
    let limit = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "ConcurrencyLimit",
        "metadata": {"name": "gpu"}, "spec": {"slots": 1}});
    world.create(&dev, &limit).await.unwrap();
    let status = json!({"status": {"waiting": 3}});
    for client in [dev, world.operator(), world.plane.client()] {
        let sentence = refusal(
            "status",
            limit_status(&client, &world.namespace, "gpu", &status).await,
        )
        .unwrap();
        assert!(sentence.contains("sluice.dev/release"), "{sentence}");
    }
    let written = limit_status(&world.controller().await, &world.namespace, "gpu", &status)
        .await
        .unwrap();
    assert_eq!(written.data["status"]["waiting"], 3);
    // Its spec is its users', through scale too.
    let scaled = world
        .plane
        .kubectl(&[
            "scale",
            "climit/gpu",
            "--replicas=8",
            "-n",
            &world.namespace,
        ])
        .unwrap();
    assert!(
        tokio::process::Command::from(scaled)
            .status()
            .await
            .unwrap()
            .success()
    );
    create_dry(&world.dev(), &world.namespace, &pod("unrelated", json!({})))
        .await
        .unwrap();
}
