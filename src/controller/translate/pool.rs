//! From a limit or lock to the ledger's view of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::api::DynamicObject;
use serde_json::Value;

use super::pod::version;
use super::status;
use crate::api::spec::{self as api, AllowedNamespaces, FromNamespaces};
use crate::api::{ConcurrencyLimitSpec, Decay as ApiDecay, LockSpec, names};
use crate::ledger::{
    Admits, Decay, FamilySpec, LOCK_UNITS, Mode, Name, Operator, Order, Owner, Part, PoolKey,
    PoolKind, PoolObject, PoolSpec, ReleasePolicy, Requirement, Span, Uid, Units,
};

/// Most uids that are read from the release annotation.
pub(crate) const RELEASES_MAX: usize = 1_000;
/// Most of an operator's reason for a quarantine that people are shown, in characters.
const QUARANTINE_CHARS_MAX: usize = 200;

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
        version: version(meta.resource_version.as_deref().unwrap_or_default()),
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
        set_aside: set_aside(&meta),
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
        decay: spec.decay.map(decay).transpose()?,
        lease: lease(spec.lease_duration_seconds)?,
        lock_delay: seconds("spec.lockDelaySeconds", spec.lock_delay_seconds)?,
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
        decay: None,
        lease: lease(spec.lease_duration_seconds)?,
        lock_delay: seconds("spec.lockDelaySeconds", spec.lock_delay_seconds)?,
    })
}

fn lease(given: Option<i32>) -> Result<Option<Span>, String> {
    given
        .map(|it| seconds("spec.leaseDurationSeconds", it))
        .transpose()
}

fn decay(decay: ApiDecay) -> Result<Decay, String> {
    let slots =
        u32::try_from(decay.slots).map_err(|_| negative("spec.decay.slots", decay.slots))?;
    let period = seconds("spec.decay.perSeconds", decay.per_seconds)?;
    let slots_max = u32::try_from(api::MAX_SLOTS).unwrap_or(u32::MAX);
    let period_max = seconds("spec.decay.perSeconds", api::MAX_SECONDS)?;
    if slots == 0 || period == Span(0) || slots > slots_max || period > period_max {
        return Err(format!(
            "spec.decay: slots must be 1 to {slots_max}, perSeconds 1 to {}",
            api::MAX_SECONDS
        ));
    }
    Ok(Decay { slots, period })
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

/// What an operator wrote who set the object aside, as far as people are shown it.
fn set_aside(meta: &ObjectMeta) -> Option<Arc<str>> {
    let said = meta.annotations.as_ref()?.get(names::QUARANTINE)?;
    let shown: String = said.chars().take(QUARANTINE_CHARS_MAX).collect();
    Some(if shown.is_empty() {
        "no reason given".into()
    } else {
        shown.into()
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
    use serde_json::json;

    use super::super::child_manifest;
    use super::*;
    use crate::ledger::FamilyRef;

    fn read(spec: Value) -> PoolObject {
        let object = serde_json::from_value(json!({
            "apiVersion": names::API_VERSION, "kind": "ConcurrencyLimit",
            "metadata": {"name": "gpu", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 3,
                         "annotations": {"sluice.dev/release": "a, b", "sluice.dev/quarantine": "é".repeat(300)}},
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
        let said = object.set_aside.unwrap();
        assert_eq!(said.chars().count(), QUARANTINE_CHARS_MAX);
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
        let manifest = child_manifest(&key, &family, &spec);
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
