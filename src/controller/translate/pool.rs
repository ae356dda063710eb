//! From a limit or lock to the ledger's view of it, and from a derived spec to a manifest.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::pod::version;
use super::status;
use crate::api::spec::{self as api, AllowedNamespaces, FromNamespaces};
use crate::api::{ConcurrencyLimitSpec, LockSpec, names};
use crate::ledger::{
    Admits, FamilyRef, FamilySpec, LOCK_UNITS, Mode, Name, Operator, Order, Owner, Part, PoolKey,
    PoolKind, PoolObject, PoolSpec, ReleasePolicy, Requirement, Span, Uid, Units,
};

/// Most uids that are read from the release annotation.
const RELEASES_MAX: usize = 1_000;

/// Reads a limit or lock. Spec and status are read apart: one that is broken says so in its place.
pub fn pool(kind: PoolKind, object: DynamicObject) -> PoolObject {
    let meta = object.metadata;
    let mut data = object.data;
    let spec = data.get_mut("spec").map(Value::take).unwrap_or(Value::Null);
    let status = data
        .get_mut("status")
        .map(Value::take)
        .unwrap_or(Value::Null);
    let namespace: Name = meta.namespace.clone().unwrap_or_default().into();
    PoolObject {
        key: PoolKey {
            kind,
            namespace: namespace.clone(),
            name: meta.name.clone().unwrap_or_default().into(),
        },
        uid: meta.uid.clone().unwrap_or_default().into(),
        version: version(&meta),
        generation: meta.generation.unwrap_or(0),
        deleting: meta.deletion_timestamp.is_some(),
        spec: match kind {
            PoolKind::Limit => part(
                serde_json::from_value(spec)
                    .map_err(text)
                    .and_then(limit_spec),
            ),
            PoolKind::Lock => part(
                serde_json::from_value(spec)
                    .map_err(text)
                    .and_then(lock_spec),
            ),
        },
        status: part(status::read(kind, status, &namespace)),
        owner: owner(&meta),
        released: released(&meta),
    }
}

fn part<T>(read: Result<T, String>) -> Part<T> {
    match read {
        Ok(part) => Part::Read(part),
        Err(why) => Part::Broken(why.into()),
    }
}

fn text(error: serde_json::Error) -> String {
    error.to_string()
}

fn limit_spec(spec: ConcurrencyLimitSpec) -> Result<PoolSpec, String> {
    let capacity = Units::try_from(spec.slots).map_err(|_| negative("spec.slots", spec.slots))?;
    let family = spec.per_worker.map(|per_worker| {
        let overrides = per_worker.overrides.into_iter().map(|(worker, slots)| {
            let slots =
                u32::try_from(slots).map_err(|_| negative("spec.perWorker.overrides", slots))?;
            Ok((Name::from(worker), slots))
        });
        Ok::<_, String>(FamilySpec {
            label: per_worker.pod_label.into(),
            overrides: overrides.collect::<Result<_, String>>()?,
            workers_max: usize::try_from(per_worker.max_workers)
                .map_err(|_| negative("spec.perWorker.maxWorkers", per_worker.max_workers))?,
            idle: seconds("spec.perWorker.idleSeconds", per_worker.idle_seconds)?,
        })
    });
    Ok(PoolSpec {
        capacity,
        mode: mode(spec.mode),
        order: order(
            spec.order,
            seconds("spec.reserveAfterSeconds", spec.reserve_after_seconds)?,
        ),
        admits: admits(spec.allowed_namespaces)?,
        release: release(spec.release_policy, spec.settle_seconds)?,
        family: family.transpose()?,
    })
}

fn lock_spec(spec: LockSpec) -> Result<PoolSpec, String> {
    Ok(PoolSpec {
        capacity: LOCK_UNITS,
        mode: mode(spec.mode),
        order: order(spec.order, crate::ledger::bounds::LOCK_RESERVE_AFTER),
        admits: admits(spec.allowed_namespaces)?,
        release: release(spec.release_policy, spec.settle_seconds)?,
        family: None,
    })
}

fn negative(field: &str, value: i32) -> String {
    format!("{field} is {value}; it must not be negative")
}

fn seconds(field: &str, value: i32) -> Result<Span, String> {
    u64::try_from(value)
        .map(Span::seconds)
        .map_err(|_| negative(field, value))
}

fn mode(mode: api::Mode) -> Mode {
    match mode {
        api::Mode::Active => Mode::Active,
        api::Mode::Paused => Mode::Paused,
        api::Mode::Disabled => Mode::Disabled,
    }
}

fn order(order: api::Order, reserve_after: Span) -> Order {
    match order {
        api::Order::Strict => Order::Strict,
        api::Order::Backfill => Order::Backfill { reserve_after },
    }
}

fn release(policy: api::ReleasePolicy, settle_seconds: i32) -> Result<ReleasePolicy, String> {
    Ok(match policy {
        api::ReleasePolicy::Confirmed => ReleasePolicy::Confirmed,
        api::ReleasePolicy::Presumed => ReleasePolicy::Presumed {
            settle: seconds("spec.settleSeconds", settle_seconds)?,
        },
    })
}

fn admits(allowed: AllowedNamespaces) -> Result<Admits, String> {
    Ok(match allowed.from {
        FromNamespaces::Same => Admits::Same,
        FromNamespaces::All => Admits::All,
        FromNamespaces::Selector => {
            Admits::Selector(requirements(allowed.selector.unwrap_or_default())?)
        }
    })
}

fn requirements(selector: LabelSelector) -> Result<Vec<Requirement>, String> {
    let mut requirements = Vec::new();
    for (label, value) in selector.match_labels.into_iter().flatten() {
        let operator = Operator::In([Name::from(value)].into());
        requirements.push(Requirement {
            label: label.into(),
            operator,
        });
    }
    for expression in selector.match_expressions.into_iter().flatten() {
        let values: BTreeSet<Name> = expression
            .values
            .into_iter()
            .flatten()
            .map(Name::from)
            .collect();
        let operator = match expression.operator.as_str() {
            "In" => Operator::In(values),
            "NotIn" => Operator::NotIn(values),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => {
                return Err(format!(
                    "spec.allowedNamespaces.selector has operator {other:?}"
                ));
            }
        };
        requirements.push(Requirement {
            label: expression.key.into(),
            operator,
        });
    }
    Ok(requirements)
}

fn owner(meta: &ObjectMeta) -> Option<Owner> {
    let reference = meta.owner_references.iter().flatten().find(|reference| {
        reference.kind == "ConcurrencyLimit" && reference.controller == Some(true)
    })?;
    let generation = meta
        .annotations
        .as_ref()?
        .get(names::PARENT_GENERATION)?
        .parse()
        .ok()?;
    Some(Owner {
        uid: reference.uid.as_str().into(),
        generation,
    })
}

fn released(meta: &ObjectMeta) -> BTreeSet<Uid> {
    let annotation = meta
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(names::RELEASE));
    let uids = annotation
        .map(String::as_str)
        .unwrap_or_default()
        .split(',')
        .map(str::trim);
    uids.filter(|uid| !uid.is_empty())
        .take(RELEASES_MAX)
        .map(Uid::from)
        .collect()
}

/// The manifest of a derived limit; with uid and version when it replaces one that exists.
pub fn child_manifest(
    pool: &PoolKey,
    family: &FamilyRef,
    spec: &PoolSpec,
    existing: Option<(&Uid, String)>,
) -> Value {
    let mut metadata = json!({
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
    if let (Some((uid, version)), Some(metadata)) = (existing, metadata.as_object_mut()) {
        metadata.insert("uid".to_owned(), uid.as_str().into());
        metadata.insert("resourceVersion".to_owned(), version.into());
    }
    json!({
        "apiVersion": names::API_VERSION,
        "kind": "ConcurrencyLimit",
        "metadata": metadata,
        "spec": spec_json(spec),
    })
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

/// Labels as the ledger has them.
pub(crate) fn label_map(labels: Option<BTreeMap<String, String>>) -> BTreeMap<Name, Name> {
    labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (Name::from(key), Name::from(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: Value) -> PoolObject {
        let object = serde_json::from_value(json!({
            "apiVersion": names::API_VERSION, "kind": "ConcurrencyLimit",
            "metadata": {"name": "gpu", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 3,
                         "annotations": {"sluice.dev/release": "a, b"}},
            "spec": spec,
        }))
        .unwrap();
        pool(PoolKind::Limit, object)
    }

    #[test]
    fn a_broken_spec_is_a_sentence_and_the_rest_is_read() {
        let object = read(json!({"slots": "many"}));
        let Part::Broken(why) = &object.spec else {
            panic!("{object:?}")
        };
        assert!(why.contains("many"), "{why}");
        assert_eq!(object.status, Part::Read(Default::default()));
        assert_eq!(object.released, ["a".into(), "b".into()].into());
    }

    #[test]
    fn a_derived_spec_reads_back_as_it_was_written() {
        let spec = json!({
            "slots": 3, "mode": "Paused", "order": "Strict", "releasePolicy": "Confirmed",
            "allowedNamespaces": {"from": "Selector", "selector": {
                "matchLabels": {"team": "a"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}},
        });
        let Part::Read(spec) = read(spec).spec else {
            panic!()
        };
        let family = FamilyRef {
            name: "gpu".into(),
            uid: "u".into(),
            generation: 3,
        };
        let key = PoolKey {
            kind: PoolKind::Limit,
            namespace: "ns".into(),
            name: "gpu--w".into(),
        };
        let manifest = child_manifest(&key, &family, &spec, None);
        let child = pool(PoolKind::Limit, serde_json::from_value(manifest).unwrap());
        assert_eq!(child.spec, Part::Read(spec));
        assert_eq!(
            child.owner,
            Some(Owner {
                uid: "u".into(),
                generation: 3
            })
        );
    }
}
