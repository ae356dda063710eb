//! The story of claims beside those of pods: processes that write a claim and nothing else, in one queue with a pod.

use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sluice::api::{ClaimPhase, SlotClaim, names};

use super::stories::Space;

/// Claims take turns with a pod, one is renewed, all are given back; one is denied, and its user deletes it.
pub(super) async fn claims_come_and_go(space: &Space) {
    space.limit("cpu", 1).await;
    space.lock("disk").await;
    let claims = Claims(Api::namespaced(space.client(), space.namespace()));
    let both = json!({"slots": [{"limit": "cpu"}], "locks": [{"lock": "disk"}]});
    claims.create("first", both).await;
    claims.reach(space, "first", ClaimPhase::Granted).await;
    space.holders("cpu", ["first"]).await;
    claims
        .create("second", json!({"slots": [{"limit": "cpu"}]}))
        .await;
    space.waiting("cpu", 1).await;
    // Who came in the same second is not told apart by time.
    let third = space.pod("third").ungated().slots("cpu");
    third.annotation(names::PRIORITY, "-1").create().await;
    space.waiting("cpu", 2).await;
    claims
        .patch("first", "/spec/renew", json!({"seq": 1}))
        .await;
    claims.patch("first", "/spec/release", json!(true)).await;
    claims.reach(space, "second", ClaimPhase::Granted).await;
    claims.gone(space, "first").await;
    space.is_gated("third").await;
    claims.patch("second", "/spec/release", json!(true)).await;
    space.granted("third").await;
    claims.gone(space, "second").await;
    space.end("third").await;
    space.holders("cpu", []).await;

    claims
        .create("denied", json!({"slots": [{"limit": "missing"}]}))
        .await;
    let denied = claims.reach(space, "denied", ClaimPhase::Denied).await;
    let message = denied.status.unwrap().message;
    assert!(message.contains("missing"), "{message}");
    claims
        .0
        .delete("denied", &Default::default())
        .await
        .unwrap();
}

/// A claim of a session of its own, as a process writes it.
pub(super) fn claim(name: &str, mut spec: Value) -> SlotClaim {
    spec["session"] = name.into();
    let object = json!({"apiVersion": names::API_VERSION, "kind": "SlotClaim",
        "metadata": {"name": name, "labels": {(names::SESSION): name}}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

/// The claims of a namespace.
struct Claims(Api<SlotClaim>);

impl Claims {
    /// Creates one; the release's admission writes down who does.
    async fn create(&self, name: &str, spec: Value) {
        let claim = claim(name, spec);
        let made = self.0.create(&PostParams::default(), &claim).await.unwrap();
        assert_ne!(made.spec.user, "");
    }

    /// Writes as its holder does, who tests its session.
    async fn patch(&self, name: &str, path: &str, value: Value) {
        let operations = json!([
            {"op": "test", "path": "/spec/session", "value": name},
            {"op": "replace", "path": path, "value": value},
        ]);
        let patch = Patch::<()>::Json(serde_json::from_value(operations).unwrap());
        self.0
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Waits until it is in this phase.
    async fn reach(&self, space: &Space, name: &str, phase: ClaimPhase) -> SlotClaim {
        space
            .eventually(&format!("claim {name} to be {phase:?}"), async || {
                let status = self.0.get(name).await.unwrap().status.unwrap();
                status.phase == phase
            })
            .await;
        self.0.get(name).await.unwrap()
    }

    /// Waits until there is no such claim.
    async fn gone(&self, space: &Space, name: &str) {
        space
            .eventually(&format!("claim {name} to be gone"), async || {
                self.0.get_opt(name).await.unwrap().is_none()
            })
            .await;
    }
}
