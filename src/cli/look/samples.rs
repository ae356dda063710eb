//! Objects for unit tests, as an API server would show them.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::pods;
use super::request::RequestRead;
use super::snapshot::Snapshot;
use super::{Kind, pools};
use crate::ledger::Micros;

/// When the samples are looked at: 2026-11-21T10:10:00Z.
pub(in crate::cli) const NOW: Micros = Micros(1_795_255_800_000_000);

/// A fenced limit of namespace `team` with these holders: name and slots.
pub(in crate::cli) fn limit(name: &str, spec: Value, holders: &[(&str, u32)]) -> DynamicObject {
    let leases: Vec<Value> = holders
        .iter()
        .enumerate()
        .map(|(at, (holder, slots))| {
            json!({
                "uid": format!("uid-{holder}"), "kind": "Pod", "name": holder, "slots": slots, "token": at + 1,
                "attempt": 0, "grantedAt": "2026-11-21T10:00:00Z",
            })
        })
        .collect();
    object("ConcurrencyLimit", name, spec, json!(leases))
}

/// A fenced lock of namespace `team` with these holders: name and mode.
pub(in crate::cli) fn lock(name: &str, spec: Value, holders: &[(&str, &str)]) -> DynamicObject {
    let leases: Vec<Value> = holders
        .iter()
        .map(|(holder, mode)| {
            json!({
                "uid": format!("uid-{holder}"), "kind": "Pod", "name": holder, "mode": mode, "token": 1, "attempt": 0,
                "grantedAt": "2026-11-21T10:00:00Z",
            })
        })
        .collect();
    object("Lock", name, spec, json!(leases))
}

fn object(kind: &str, name: &str, spec: Value, leases: Value) -> DynamicObject {
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Granting", "message": "requests are granted as they fit",
        "lastTransitionTime": "2026-11-21T09:00:00Z",
    });
    let manifest = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "team", "uid": format!("uid-{kind}-{name}"), "resourceVersion": "5", "generation": 1},
        "spec": spec,
        "status": {
            "schema": 1, "observedGeneration": 1, "lastToken": 50, "epoch": 1, "leader": "x", "batch": "x-1", "previousBatch": "",
            "inUse": 0, "waiting": 0, "fenced": true, "open": false, "leases": leases, "adopted": [], "conditions": [ready],
        },
    });
    serde_json::from_value(manifest).unwrap()
}

/// A pod of namespace `team` that waits since so many minutes past ten, with these annotations.
pub(in crate::cli) fn waiting(name: &str, minute: u32, annotations: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "team", "uid": format!("uid-{name}"), "resourceVersion": "9",
            "creationTimestamp": format!("2026-11-21T10:{minute:02}:00Z"),
            "labels": {"sluice.dev/managed": "true"}, "annotations": annotations,
        },
        "spec": {"schedulingGates": [{"name": "sluice.dev/slots"}], "containers": [{"name": "c"}], "priority": 0},
        "status": {"phase": "Pending"},
    }))
    .unwrap()
}

/// A claim of namespace `team` from so many minutes past ten.
pub(in crate::cli) fn claim(name: &str, minute: u32, spec: Value, status: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "SlotClaim",
        "metadata": {
            "name": name, "namespace": "team", "uid": format!("uid-{name}"), "resourceVersion": "9",
            "creationTimestamp": format!("2026-11-21T10:{minute:02}:00Z"),
        },
        "spec": spec, "status": status,
    }))
    .unwrap()
}

pub(in crate::cli) fn pod(object: &DynamicObject) -> RequestRead {
    pods::read(object, None).unwrap()
}

/// What a look at these shows.
pub(in crate::cli) fn snapshot(objects: &[DynamicObject], waiting: &[DynamicObject]) -> Snapshot {
    let found = objects.iter().map(|object| {
        let kind = Kind::spelled(&object.types.as_ref().unwrap().kind).unwrap();
        pools::read(kind, object.clone())
    });
    let views = waiting.iter().map(|it| pod(it).view);
    Snapshot::of(found.collect(), views.collect(), Vec::new(), NOW)
}
