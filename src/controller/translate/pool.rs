//! From a limit or lock to the ledger's view of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;
use serde_json::Value;

use super::pod::version;
use super::status;
use crate::api::names;
use crate::convert::{limit_spec, lock_spec};
use crate::ledger::{Name, Owner, Part, PoolKey, PoolKind, PoolObject, Uid};

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
        key: PoolKey::new(
            kind,
            namespace.clone(),
            meta.name.clone().unwrap_or_default().into(),
        ),
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
        status: part(status::read(kind, status, &namespace).map(Arc::new)),
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
        let key = PoolKey::new(PoolKind::Limit, "ns".into(), "gpu--w".into());
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
