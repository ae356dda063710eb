//! Claims: what may be created ([`creation`]), and who may do what to one that is there ([`owner`]).

mod creation;
mod owner;

use kube::Client;
use serde_json::{Value, json};
use sluice_testenv::ControlPlane;

use super::plane::{Answer, World, create, create_dry, delete_at, patch_at, refused};
use crate::chart::helm::eventually;

/// A claim as its user writes it.
pub(super) fn claim(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "SlotClaim", "metadata": {"name": name}, "spec": spec})
}

/// What most claims here ask for.
fn a_slot() -> Value {
    json!({"slots": [{"limit": "gpu"}], "session": "s"})
}

/// A renewal, as its holder writes it.
fn renewal(seq: i64) -> Value {
    json!([
        {"op": "test", "path": "/spec/session", "value": "s"},
        {"op": "replace", "path": "/spec/renew", "value": {"seq": seq}},
    ])
}

/// A release, as its holder writes it.
fn release() -> Value {
    json!([
        {"op": "test", "path": "/spec/session", "value": "s"},
        {"op": "replace", "path": "/spec/release", "value": true},
    ])
}

/// A status that the controller writes.
fn phase(phase: &str) -> Value {
    json!([{"op": "replace", "path": "/status/phase", "value": phase}])
}

fn path(namespace: &str, name: &str) -> String {
    format!("/apis/sluice.dev/v1alpha1/namespaces/{namespace}/slotclaims/{name}")
}

impl World {
    async fn edit_claim(&self, client: &Client, name: &str, edit: &Value) -> Answer {
        patch_at(client, &path(&self.namespace, name), edit, false).await
    }

    async fn edit_claim_status(&self, client: &Client, name: &str, edit: &Value) -> Answer {
        let path = format!("{}/status", path(&self.namespace, name));
        patch_at(client, &path, edit, false).await
    }

    async fn delete_claim(&self, client: &Client, name: &str) -> Answer {
        delete_at(client, &path(&self.namespace, name), false).await
    }

    /// Creates, as `dev`, a claim that waits for a slot of `gpu`.
    async fn claims(&self, name: &str) {
        let made = self.create(&self.dev(), &claim(name, a_slot())).await;
        assert_eq!(made.unwrap().data["spec"]["user"], "dev");
    }
}

/// Waits until the policies about claims work, as the server takes them up a moment after they are written.
pub(super) async fn claims_are_guarded(plane: &ControlPlane, namespace: &str, controller: &Client) {
    let dev = plane.client_as("dev", &[]).unwrap();
    let eve = plane.client_as("eve", &[]).unwrap();
    let probe = claim("probe", a_slot());
    eventually("users to be filled in", async || {
        let made = create_dry(&dev, namespace, &probe).await?;
        match &made.data["spec"]["user"] {
            Value::String(user) if user == "dev" => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    create(&dev, namespace, &probe).await.unwrap();
    let mut forged = claim("forged", a_slot());
    forged["spec"]["user"] = "eve".into();
    let path = path(namespace, "probe");
    let status = format!("{path}/status");
    eventually("refusals of claims", async || {
        refused("claim", create_dry(&dev, namespace, &forged).await)?;
        refused("claim-guard", delete_at(&eve, &path, true).await)?;
        refused("claim-cage", delete_at(controller, &path, true).await)?;
        refused(
            "status",
            patch_at(&dev, &status, &phase("Granted"), true).await,
        )
    })
    .await;
}
