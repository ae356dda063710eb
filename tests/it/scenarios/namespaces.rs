//! Limits that serve pods of other namespaces.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice_testenv::{ControlPlane, Options};

use crate::support::World;

#[tokio::test]
async fn a_limit_serves_whom_it_allows() {
    let world = World::plan("licences").namespaces(2).begin().await;
    let guest = world.space(1);
    world.limit("matlab", 1).await;
    let qualified = format!("{}/matlab", world.namespace());
    guest.pod("guest").slots(&qualified).create().await;
    world.pod("host").slots("matlab").create().await;
    world.granted("host").await;
    let message = guest.event("guest", "NamespaceNotAllowed").await;
    assert!(message.contains("allowedNamespaces"), "{message}");
    world.end("host").await;
    world.holders("matlab", []).await;
    guest.is_gated("guest").await;
    world
        .edit_limit("matlab", json!({"allowedNamespaces": {"from": "All"}}))
        .await;
    guest.granted("guest").await;
    let lease = world
        .limit_now("matlab")
        .await
        .lease("guest")
        .unwrap()
        .clone();
    assert_eq!(lease["namespace"], guest.namespace());
    // Who it lets in no longer is not thrown out.
    world
        .edit_limit("matlab", json!({"allowedNamespaces": {"from": "Same"}}))
        .await;
    world.pod("next").slots("matlab").create().await;
    world.waiting("matlab", 1).await;
    world.holders("matlab", ["guest"]).await;
    guest.end("guest").await;
    world.granted("next").await;
    world.finish().await;
}

#[tokio::test]
async fn nobody_is_told_the_names_of_another_namespace() {
    let world = World::plan("discreet").namespaces(2).begin().await;
    let guest = world.space(1);
    let all = json!({"slots": 1, "allowedNamespaces": {"from": "All"}});
    world.limit_with("shared", all).await;
    world.fenced("shared").await;
    world.pod("secret-name").slots("shared").create().await;
    world.granted("secret-name").await;
    guest
        .pod("guest")
        .slots(&format!("{}/shared", world.namespace()))
        .create()
        .await;
    world.pod("own").slots("shared").create().await;
    let told = guest.event("guest", "WaitingForSlots").await;
    assert!(
        told.contains("1 of 1") && !told.contains("secret-name"),
        "{told}"
    );
    let told = world.event("own", "WaitingForSlots").await;
    assert!(told.contains("secret-name"), "{told}");
    world.finish().await;
}

#[tokio::test]
async fn a_lock_is_shared_across_namespaces() {
    let world = World::plan("lock-across").namespaces(2).begin().await;
    let guest = world.space(1);
    world
        .lock_with("door", json!({"allowedNamespaces": {"from": "All"}}))
        .await;
    let qualified = format!("{}/door", world.namespace());
    for index in 0..3 {
        let name = format!("p{index}");
        world
            .pod(&name)
            .locks("door")
            .run_for("20ms")
            .create()
            .await;
        guest
            .pod(&name)
            .locks(&qualified)
            .run_for("20ms")
            .create()
            .await;
    }
    for index in 0..3 {
        world.succeeded(&format!("p{index}")).await;
        guest.succeeded(&format!("p{index}")).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn a_controller_of_the_whole_cluster_reads_labels_of_namespaces() {
    let options = Options::default()
        .without_scheduler()
        .without_controller_manager();
    let plane = ControlPlane::start(options).await.unwrap();
    let world = World::plan("selector")
        .namespaces(2)
        .everywhere()
        .on(plane, None)
        .begin()
        .await;
    let guest = world.space(1);
    let selector = json!({"matchLabels": {"team": "research"}});
    let spec = json!({"slots": 1, "allowedNamespaces": {"from": "Selector", "selector": selector}});
    world.limit_with("gpu", spec).await;
    world.fenced("gpu").await;
    let qualified = format!("{}/gpu", world.namespace());
    guest.pod("guest").slots(&qualified).create().await;
    guest.event("guest", "NamespaceNotAllowed").await;
    let namespaces: Api<Namespace> = Api::all(world.client());
    let label = async |value: Option<&str>| {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"team": value}}}));
        namespaces
            .patch(guest.namespace(), &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    label(Some("research")).await;
    guest.granted("guest").await;
    label(None).await;
    guest.pod("late").slots(&qualified).create().await;
    guest.event("late", "NamespaceNotAllowed").await;
    world.holders("gpu", ["guest"]).await;
    world.finish().await;
}
