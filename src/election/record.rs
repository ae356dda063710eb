//! The Lease object and the record of the election in it, both ways.
//!
//! Fields and meanings are client-go's (`holderIdentity`, `leaseDurationSeconds`, `acquireTime`, `renewTime`,
//! `leaseTransitions`); our epoch is an annotation beside them. Whatever else somebody put on the object
//! stays as it was. Never decides; tested below and against a real server.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Annotation of the Lease that keeps the epoch.
pub const EPOCH_ANNOTATION: &str = "sluice.dev/epoch";

/// What the Lease says about the election.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// Who leads; empty: nobody, the last one left in good order.
    pub holder: String,
    /// How long others leave the record alone after they saw it change, in seconds.
    pub duration_seconds: u32,
    /// When the holder began, in microseconds since 1970 on its clock; for people.
    pub acquired_micros: i64,
    /// When it last renewed, likewise; for people.
    pub renewed_micros: i64,
    /// How often the holder changed.
    pub transitions: u32,
    /// Number of the term; 0 when the Lease shows none.
    pub epoch: u64,
}

/// A version of the Lease.
#[derive(Clone, PartialEq, Debug)]
pub struct LeaseObject {
    /// Its resourceVersion.
    pub version: u128,
    /// What it says.
    pub record: Record,
    /// The whole object as it was read, so that a write keeps what is not ours; null in a model.
    pub rest: Value,
}

/// Why an object is no Lease that can be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the Lease cannot be read: metadata.resourceVersion {0:?} is no number; delete the Lease, it is made anew"
)]
pub struct Unreadable(String);

/// Reads a Lease. What is missing or makes no sense reads as empty: such a record belongs to nobody.
pub fn read(rest: Value) -> Result<LeaseObject, Unreadable> {
    let text = |pointer: &str| {
        rest.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let number = |pointer: &str| {
        let number = rest.pointer(pointer).and_then(Value::as_u64);
        u32::try_from(number.unwrap_or(0)).unwrap_or(u32::MAX)
    };
    let micros = |pointer: &str| {
        let time = text(pointer).parse::<Timestamp>();
        time.map_or(0, Timestamp::as_microsecond)
    };
    let version = text("/metadata/resourceVersion");
    let version = version
        .parse()
        .map_err(|_| Unreadable(version.to_owned()))?;
    let epoch = rest
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(EPOCH_ANNOTATION))
        .and_then(Value::as_str)
        .and_then(|epoch| epoch.parse().ok())
        .unwrap_or(0);
    let record = Record {
        holder: text("/spec/holderIdentity").to_owned(),
        duration_seconds: number("/spec/leaseDurationSeconds"),
        acquired_micros: micros("/spec/acquireTime"),
        renewed_micros: micros("/spec/renewTime"),
        transitions: number("/spec/leaseTransitions"),
        epoch,
    };
    Ok(LeaseObject {
        version,
        record,
        rest,
    })
}

/// The Lease as it is to be written: this record on top of the version it was computed from, or a new object.
pub fn manifest(namespace: &str, name: &str, base: Option<&LeaseObject>, record: &Record) -> Value {
    let mut metadata = match base {
        Some(base) => object(base.rest.get("metadata")),
        None => Map::new(),
    };
    metadata.insert("namespace".to_owned(), json!(namespace));
    metadata.insert("name".to_owned(), json!(name));
    if let Some(base) = base {
        metadata.insert(
            "resourceVersion".to_owned(),
            json!(base.version.to_string()),
        );
    }
    let mut annotations = object(metadata.get("annotations"));
    annotations.insert(EPOCH_ANNOTATION.to_owned(), json!(record.epoch.to_string()));
    metadata.insert("annotations".to_owned(), Value::Object(annotations));
    let mut spec = object(base.and_then(|base| base.rest.get("spec")));
    spec.insert("holderIdentity".to_owned(), json!(record.holder));
    // The API takes no duration of zero.
    let duration_seconds = record.duration_seconds.max(1);
    spec.insert("leaseDurationSeconds".to_owned(), json!(duration_seconds));
    spec.insert("acquireTime".to_owned(), time(record.acquired_micros));
    spec.insert("renewTime".to_owned(), time(record.renewed_micros));
    spec.insert("leaseTransitions".to_owned(), json!(record.transitions));
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": spec,
    })
}

fn object(value: Option<&Value>) -> Map<String, Value> {
    value
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

fn time(micros: i64) -> Value {
    let time = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    json!(format!("{time:.6}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_client_go_wrote_is_understood() {
        let lease = json!({
            "metadata": {"name": "l", "resourceVersion": "42"},
            "spec": {"holderIdentity": "pod-1_5f0c", "leaseDurationSeconds": 15, "leaseTransitions": 3,
                     "acquireTime": "2026-11-21T10:00:00.000000Z", "renewTime": "2026-11-21T10:00:07.500000Z"},
        });
        let read = read(lease).unwrap();
        assert_eq!(read.version, 42);
        assert_eq!(
            read.record,
            Record {
                holder: "pod-1_5f0c".to_owned(),
                duration_seconds: 15,
                acquired_micros: 1_795_255_200_000_000,
                renewed_micros: 1_795_255_207_500_000,
                transitions: 3,
                epoch: 0,
            }
        );
    }

    #[test]
    fn a_write_keeps_what_is_not_ours_and_is_conditional() {
        let lease = json!({
            "metadata": {"name": "l", "namespace": "ns", "resourceVersion": "42", "labels": {"a": "b"},
                         "annotations": {"x": "y"}, "uid": "u"},
            "spec": {"holderIdentity": "old", "strategy": "OldestEmulationVersion"},
        });
        let base = read(lease).unwrap();
        let record = Record {
            holder: "new".to_owned(),
            duration_seconds: 15,
            acquired_micros: 1_795_255_200_000_000,
            renewed_micros: 1_795_255_200_000_001,
            transitions: 4,
            epoch: 7,
        };
        let written = manifest("ns", "l", Some(&base), &record);
        assert_eq!(
            written,
            json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": "l", "namespace": "ns", "resourceVersion": "42", "labels": {"a": "b"},
                             "annotations": {"x": "y", "sluice.dev/epoch": "7"}, "uid": "u"},
                "spec": {"holderIdentity": "new", "leaseDurationSeconds": 15, "leaseTransitions": 4,
                         "acquireTime": "2026-11-21T10:00:00.000000Z", "renewTime": "2026-11-21T10:00:00.000001Z",
                         "strategy": "OldestEmulationVersion"},
            })
        );
        assert_eq!(read(written).unwrap().record, record);
        let created = manifest("ns", "l", None, &record);
        assert_eq!(created.pointer("/metadata/resourceVersion"), None);
    }

    #[test]
    fn nonsense_belongs_to_nobody() {
        let lease = json!({"metadata": {"resourceVersion": "1", "annotations": {"sluice.dev/epoch": "many"}},
                           "spec": {"leaseDurationSeconds": -3, "renewTime": "soon"}});
        assert_eq!(read(lease).unwrap().record, Record::default());
        assert!(read(json!({})).is_err());
    }
}
