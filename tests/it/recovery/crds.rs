//! The CRDs are deleted, and all limits with them, while pods hold and wait; then everything is applied again.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use sluice_testenv::{ControlPlane, FakeNodes, NodeOptions, Options};

use super::counted;
use crate::support::{World, install_crds};

/// A watch that finds its kind gone asks again ever more seldom, half a minute apart at most.
const WATCHES_BACK_SECONDS: u64 = 90;

#[tokio::test]
async fn the_crds_are_deleted_and_applied_again() {
    let plane = ControlPlane::start(Options::default().without_controller_manager());
    let plane = plane.await.unwrap();
    let nodes = FakeNodes::start(&plane, &["node-1"], NodeOptions::default());
    let nodes = nodes.await.unwrap();
    let world = World::plan("lost-crds")
        .on(plane, Some(nodes))
        .begin()
        .await;
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.running("a").await;
    world.pod("b").slots("gpu").create().await;
    world.waiting("gpu", 1).await;

    world.kubectl(&[
        "delete",
        "crd",
        "concurrencylimits.sluice.dev",
        "locks.sluice.dev",
    ]);
    let crds: Api<CustomResourceDefinition> = Api::all(world.client());
    world
        .eventually("the CRD to be gone", async || {
            crds.get_opt("concurrencylimits.sluice.dev")
                .await
                .unwrap()
                .is_none()
        })
        .await;
    world.event("gpu", "GoneWhileHeld").await;
    world.event("b", "LimitNotFound").await;
    counted(&world, "sluice_watch_errors_total{kind=\"limit\"}").await;
    world.pod("c").slots("gpu").create().await;

    install_crds(&world.client()).await;
    world
        .limit_with("gpu", serde_json::json!({"slots": 1}))
        .await;
    world
        .within(WATCHES_BACK_SECONDS, "the limit to be fenced", async || {
            world.limit_now("gpu").await.is_fenced()
        })
        .await;
    assert!(!world.crashed(), "the controller goes on");
    world.holders("gpu", ["a"]).await;
    world.is_gated("b").await;
    world.is_gated("c").await;
    world.end("a").await;
    world.granted("b").await;
    world.is_gated("c").await;
    world.finish().await;
}
