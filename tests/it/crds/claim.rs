//! Claims as the server has them: their status from creation on, what `kubectl get` shows, and the largest one, whose
//! renewal and end stay within the server's budget for rules.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use sluice::api::claim::{SlotClaimSpec, SlotClaimStatus};

use super::table::Kind;
use super::{api, create, kubectl, prepared, words};

#[tokio::test]
async fn a_claim_is_pending_from_its_creation_on() {
    let (_, client, namespace) = prepared("pending").await;
    let claims = api(&client, &namespace, Kind::Claim);
    let spec = json!({"slots": [{"limit": "gpu"}], "locks": [{"lock": "deploy"}]});
    let made = create(&claims, Kind::Claim, "c", &spec).await.unwrap();
    let pending = json!({"phase": "Pending", "attempt": 0, "grants": []});
    assert_eq!(made.data["status"], pending, "the answer to the creation");
    let read = claims.get("c").await.unwrap();
    assert_eq!(read.data["status"], pending);
    let listed = claims.list(&Default::default()).await.unwrap();
    assert_eq!(listed.items[0].data["status"], pending);
    let filled = json!({
        "holder": "", "slots": [{"limit": "gpu", "slots": 1}], "locks": [{"lock": "deploy", "mode": "Exclusive"}],
        "kind": "Concurrency", "ifMissing": "Deny", "user": "", "session": "", "renew": {"seq": 0}, "release": false,
    });
    assert_eq!(read.data["spec"], filled);
    let typed: SlotClaimSpec = serde_json::from_value(filled.clone()).unwrap();
    assert_eq!(serde_json::to_value(typed).unwrap(), filled);
    let status: SlotClaimStatus = serde_json::from_value(pending).unwrap();
    assert_eq!(status, SlotClaimStatus::default());
}

/// The controller's first write tests what the server made up: nobody has written a status before.
#[tokio::test]
async fn a_fresh_claim_has_a_phase_to_test() {
    let (_, client, namespace) = prepared("tested").await;
    let claims = api(&client, &namespace, Kind::Claim);
    let spec = json!({"slots": [{"limit": "gpu"}]});
    let made = create(&claims, Kind::Claim, "c", &spec).await.unwrap();
    let uid = made.metadata.uid.unwrap();
    let grant = |uid: &str, phase: &str, attempt: i64| {
        json!([
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": "/status/phase", "value": phase},
            {"op": "test", "path": "/status/attempt", "value": attempt},
            {"op": "add", "path": "/status", "value": {"phase": "Granted", "attempt": attempt}},
        ])
    };
    for wrong in [
        grant("another", "Pending", 0),
        grant(&uid, "Granted", 0),
        grant(&uid, "Pending", 1),
    ] {
        let refused = json_patch(&claims, "c", true, wrong).await.unwrap_err();
        let kube::Error::Api(answer) = refused else {
            panic!("{refused}")
        };
        assert_eq!(answer.code, 422, "{answer:?}");
    }
    let granted = json_patch(&claims, "c", true, grant(&uid, "Pending", 0))
        .await
        .unwrap();
    assert_eq!(granted.data["status"]["phase"], "Granted");
    // The same once more: it is not Pending any more.
    json_patch(&claims, "c", true, grant(&uid, "Pending", 0))
        .await
        .unwrap_err();
}

/// A creation that brings a status along is created without it.
#[tokio::test]
async fn nobody_creates_a_grant() {
    let (_, client, namespace) = prepared("forged").await;
    let claims = api(&client, &namespace, Kind::Claim);
    let forged = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "SlotClaim", "metadata": {"name": "c"},
        "spec": {"slots": [{"limit": "gpu"}]}, "status": {"phase": "Granted", "attempt": 7}});
    let forged: DynamicObject = serde_json::from_value(forged).unwrap();
    let made = claims.create(&Default::default(), &forged).await.unwrap();
    assert_eq!(
        made.data["status"],
        json!({"phase": "Pending", "attempt": 0, "grants": []})
    );
}

#[tokio::test]
async fn the_largest_claim_is_within_the_budget_of_the_rules() {
    let (_, client, namespace) = prepared("largest").await;
    let claims = api(&client, &namespace, Kind::Claim);
    let key = |index: usize| format!("{}/{}-{index:03}", "n".repeat(63), "k".repeat(249));
    let spec = json!({
        "slots": (0..64).map(|index| json!({"limit": key(index), "slots": 1_000_000, "worker": "w".repeat(253)}))
            .collect::<Vec<_>>(),
        "locks": (0..64).map(|index| json!({"lock": key(index), "mode": "Shared"})).collect::<Vec<_>>(),
        "holder": "h".repeat(256), "user": "u".repeat(512), "session": "s".repeat(63),
        "podRef": {"name": "p".repeat(253), "uid": "u".repeat(64)},
    });
    create(&claims, Kind::Claim, "c", &spec).await.unwrap();
    let grants: Vec<Value> = (0..128)
        .map(|index| {
            json!({"kind": "ConcurrencyLimit", "namespace": "n".repeat(63), "key": format!("{}{index:03}", "k".repeat(250)),
                "uid": "u".repeat(64), "slots": 64_000_000, "token": 1_i64 << 52})
        })
        .collect();
    let status = json!({"phase": "Granted", "attempt": 0, "grants": grants, "leaseDurationSeconds": 60,
        "lockDelaySeconds": 0});
    let granted = json!([{"op": "add", "path": "/status", "value": status}]);
    json_patch(&claims, "c", true, granted).await.unwrap();
    let renewed = json!([{"op": "replace", "path": "/spec/renew", "value": {"seq": 1}}]);
    json_patch(&claims, "c", false, renewed).await.unwrap();
    let revoked = json!([{"op": "replace", "path": "/status/phase", "value": "Revoked"}]);
    json_patch(&claims, "c", true, revoked).await.unwrap();
    let released = json!([{"op": "replace", "path": "/spec/release", "value": true}]);
    json_patch(&claims, "c", false, released).await.unwrap();
}

#[tokio::test]
async fn kubectl_get_shows_phase_reason_and_holder() {
    let (plane, client, namespace) = prepared("sclaim").await;
    let claims = api(&client, &namespace, Kind::Claim);
    let spec = json!({"slots": [{"limit": "gpu"}], "holder": "nightly", "user": "dev"});
    create(&claims, Kind::Claim, "a", &spec).await.unwrap();
    create(&claims, Kind::Claim, "b", &spec).await.unwrap();
    let denied =
        json!({"phase": "Denied", "attempt": 0, "reason": "NotFound", "message": "gpu-is-missing"});
    let denied = json!([{"op": "add", "path": "/status", "value": denied}]);
    json_patch(&claims, "b", true, denied).await.unwrap();
    let text = kubectl(plane, &namespace, &["get", "sclaim"]);
    let rows = words(&text);
    assert_eq!(
        rows[0],
        ["NAME", "PHASE", "REASON", "HOLDER", "AGE"],
        "{text}"
    );
    assert_eq!(rows[1][..3], ["a", "Pending", "nightly"], "{text}");
    assert_eq!(
        rows[2][..4],
        ["b", "Denied", "NotFound", "nightly"],
        "{text}"
    );
    let wide = kubectl(plane, &namespace, &["get", "sclaim", "-o", "wide"]);
    let rows = words(&wide);
    let head = [
        "NAME", "PHASE", "REASON", "HOLDER", "USER", "MESSAGE", "AGE",
    ];
    assert_eq!(rows[0], head, "{wide}");
    let row = [
        "b",
        "Denied",
        "NotFound",
        "nightly",
        "dev",
        "gpu-is-missing",
    ];
    assert_eq!(rows[2][..6], row, "{wide}");
}

/// Patches a claim, or its status.
async fn json_patch(
    claims: &Api<DynamicObject>,
    name: &str,
    status: bool,
    operations: Value,
) -> kube::Result<DynamicObject> {
    let patch: json_patch::Patch = serde_json::from_value(operations).unwrap();
    let (params, patch) = (PatchParams::default(), Patch::<()>::Json(patch));
    if status {
        claims.patch_status(name, &params, &patch).await
    } else {
        claims.patch(name, &params, &patch).await
    }
}
