//! From a derived spec to what is written of a worker's limit: its manifest when it is created, a patch when it is put right.

use serde_json::{Value, json};

use super::super::transport::PatchOperation;
use super::patch::{add, annotation_path, test};
use crate::api::names;
use crate::ledger::{
    Admits, FamilyRef, Mode, Name, Operator, Order, PoolKey, PoolSpec, ReleasePolicy, Requirement,
    Uid, Version,
};

/// The manifest of a derived limit that is to be created.
pub fn child_manifest(pool: &PoolKey, family: &FamilyRef, spec: &PoolSpec) -> Value {
    let metadata = json!({
        "name": pool.name.as_str(),
        "namespace": pool.namespace.as_str(),
        "annotations": {names::PARENT_GENERATION: family.generation.to_string()},
        "ownerReferences": [{
            "apiVersion": names::API_VERSION,
            "kind": "ConcurrencyLimit",
            "name": family.name.as_str(),
            "uid": family.uid.as_str(),
            "controller": true,
        }],
    });
    json!({
        "apiVersion": names::API_VERSION,
        "kind": "ConcurrencyLimit",
        "metadata": metadata,
        "spec": spec_json(spec),
    })
}

/// Puts right the spec of exactly this version of a derived limit; what operators wrote on it stays.
pub fn child_patch(
    uid: &Uid,
    version: Version,
    family: &FamilyRef,
    spec: &PoolSpec,
) -> Vec<PatchOperation> {
    vec![
        test("/metadata/uid", json!(uid.as_str())),
        test("/metadata/resourceVersion", json!(version.0.to_string())),
        add(
            &annotation_path(names::PARENT_GENERATION),
            json!(family.generation.to_string()),
        ),
        add("/spec", spec_json(spec)),
    ]
}

fn spec_json(spec: &PoolSpec) -> Value {
    let (order, reserve_after) = match spec.order {
        Order::Strict => ("Strict", None),
        Order::Backfill { reserve_after } => ("Backfill", Some(reserve_after.0 / 1000)),
    };
    let mode = match spec.mode {
        Mode::Active => "Active",
        Mode::Paused => "Paused",
        Mode::Disabled => "Disabled",
    };
    let mut json = json!({
        "slots": spec.capacity,
        "mode": mode,
        "order": order,
        "allowedNamespaces": admits_json(&spec.admits),
    });
    if let Some(fields) = json.as_object_mut() {
        if let Some(seconds) = reserve_after {
            fields.insert("reserveAfterSeconds".to_owned(), seconds.into());
        }
        let policy = match spec.release {
            ReleasePolicy::Confirmed => "Confirmed",
            ReleasePolicy::Presumed { settle } => {
                fields.insert("settleSeconds".to_owned(), (settle.0 / 1000).into());
                "Presumed"
            }
        };
        fields.insert("releasePolicy".to_owned(), policy.into());
        fields.insert(
            "lockDelaySeconds".to_owned(),
            (spec.lock_delay.0 / 1000).into(),
        );
        if let Some(lease) = spec.lease {
            fields.insert("leaseDurationSeconds".to_owned(), (lease.0 / 1000).into());
        }
        if let Some(decay) = spec.decay {
            let decay = json!({"slots": decay.slots, "perSeconds": decay.period.0 / 1000});
            fields.insert("decay".to_owned(), decay);
        }
    }
    json
}

fn admits_json(admits: &Admits) -> Value {
    let expression = |requirement: &Requirement| {
        let (operator, values) = match &requirement.operator {
            Operator::In(values) => ("In", Some(values)),
            Operator::NotIn(values) => ("NotIn", Some(values)),
            Operator::Exists => ("Exists", None),
            Operator::DoesNotExist => ("DoesNotExist", None),
        };
        let mut json = json!({"key": requirement.label.as_str(), "operator": operator});
        if let (Some(values), Some(fields)) = (values, json.as_object_mut()) {
            let values: Vec<&str> = values.iter().map(Name::as_str).collect();
            fields.insert("values".to_owned(), json!(values));
        }
        json
    };
    match admits {
        Admits::Same => json!({"from": "Same"}),
        Admits::All => json!({"from": "All"}),
        Admits::Selector(requirements) => {
            let expressions: Vec<Value> = requirements.iter().map(expression).collect();
            json!({"from": "Selector", "selector": {"matchExpressions": expressions}})
        }
    }
}
