//! Somebody's own admission policy denies what the controller writes.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::support::World;

/// Denies every change of a pod of the namespace, from now until [`allow`].
async fn deny(world: &World) {
    let name = world.namespace();
    let match_ours = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        "resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["UPDATE"],
        }],
    });
    world
        .apply_json(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": match_ours,
                "validations": [{"expression": "false", "message": "hands off, says another team"}],
            },
        }))
        .await;
    world
        .apply_json(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]},
        }))
        .await;
    changes_are(world, false).await;
}

/// Takes the policy away.
async fn allow(world: &World) {
    let (client, name, now) = (world.client(), world.namespace(), DeleteParams::default());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    bindings.delete(name, &now).await.unwrap();
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client);
    policies.delete(name, &now).await.unwrap();
    changes_are(world, true).await;
}

/// Waits until pods can be changed, or cannot.
async fn changes_are(world: &World, allowed: bool) {
    let dry_run = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let label = Patch::Merge(json!({"metadata": {"labels": {"try": "it"}}}));
    world
        .eventually("the policy to be in force, or out of it", async || {
            let pod = world.all_pods().await.remove(0).name_any();
            world.pods().patch(&pod, &dry_run, &label).await.is_ok() == allowed
        })
        .await;
}

#[tokio::test]
async fn a_reveal_that_is_denied_is_tried_again_and_its_lease_stays() {
    let world = World::new("denied").await;
    world.limit("gpu", 0).await;
    world.limit("db", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.pod("b").slots("gpu").create().await;
    deny(&world).await;
    world.edit_limit("gpu", json!({"slots": 1})).await;
    world
        .limit_is("gpu", "one lease, and its pod is still gated", |it| {
            it.number("inUse") == 1
        })
        .await;
    world
        .eventually("a reveal that was refused", async || {
            let metrics = world.controllers()[0].metrics();
            let mut lines = metrics.lines();
            lines.any(|line| {
                line.starts_with("sluice_patches_refused_total") && !line.ends_with(" 0")
            })
        })
        .await;
    for name in ["a", "b"] {
        world.is_gated(name).await;
    }
    allow(&world).await;
    world
        .eventually("one of them to run", async || {
            world.in_progress().await.len() == 1
        })
        .await;
    world.finish().await;
}
