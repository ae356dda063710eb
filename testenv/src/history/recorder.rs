//! Records a history from etcd.
//!
//! Reads only; stops at the revision the store had when it was called (or a little later). Needs an API server that
//! stores JSON and never compacts, and says so when it does not.

use std::collections::BTreeSet;

use serde_json::Value;

use super::error::Error;
use super::etcd::{self, Range, Write};
use super::version::{History, Kind, ObjectRef};

/// Which namespaces a history covers; nodes are always in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All namespaces.
    Everything,
    /// These namespaces, so that tests on one control plane do not see each other.
    Namespaces(BTreeSet<String>),
}

impl Scope {
    /// Covers one namespace.
    #[must_use]
    pub fn namespace(name: impl Into<String>) -> Self {
        Self::namespaces([name])
    }

    /// Covers several namespaces: all that limits, locks and their pods are in.
    #[must_use]
    pub fn namespaces(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Namespaces(names.into_iter().map(Into::into).collect())
    }

    /// Whether objects of this namespace are in the history.
    #[must_use]
    pub fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Namespaces(names) => names.contains(namespace),
        }
    }

    fn ranges(&self) -> Vec<Range> {
        let ranges = Kind::ALL.into_iter().flat_map(|kind| match self {
            Self::Namespaces(names) if kind.is_namespaced() => names
                .iter()
                .map(|name| format!("{}{name}/", kind.prefix()))
                .collect(),
            _ => vec![kind.prefix().to_owned()],
        });
        ranges.map(|prefix| Range { prefix }).collect()
    }
}

impl History {
    /// Reads every version of the limits, locks and pods of these namespaces, and of all nodes, from etcd.
    ///
    /// Fails when etcd cannot be read, when it has forgotten old revisions, or when an object is not stored as JSON.
    pub async fn record(etcd_url: &str, scope: Scope) -> Result<Self, Error> {
        let read = etcd::read(etcd_url, &scope.ranges()).await?;
        let mut writes = Vec::with_capacity(read.writes.len());
        for write in read.writes {
            if let Some(place) = ObjectRef::from_etcd_key(&write.key) {
                writes.push((write.revision, place, decode(&write)?));
            }
        }
        Ok(Self::from_writes(scope, read.revision, writes))
    }
}

/// Decodes the value of a write; drops `managedFields`, which are most of it and prove nothing.
fn decode(write: &Write) -> Result<Option<Value>, Error> {
    let Some(bytes) = &write.value else {
        return Ok(None);
    };
    let mut object: Value = serde_json::from_slice(bytes).map_err(|_| Error::NotJson {
        key: write.key.clone(),
        revision: write.revision,
    })?;
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    Ok(Some(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_reads_only_its_namespaces_and_the_nodes() {
        let prefixes: Vec<_> = Scope::namespace("team-a")
            .ranges()
            .into_iter()
            .map(|range| range.prefix)
            .collect();
        assert_eq!(
            prefixes,
            [
                "/registry/sluice.dev/concurrencylimits/team-a/",
                "/registry/sluice.dev/locks/team-a/",
                "/registry/pods/team-a/",
                "/registry/minions/",
            ]
        );
        assert_eq!(Scope::Everything.ranges().len(), Kind::ALL.len());
    }

    #[test]
    fn managed_fields_are_dropped_and_protobuf_is_named() {
        let write = |value: &[u8]| Write {
            revision: 4,
            key: "/registry/pods/ns/p".into(),
            value: Some(value.to_vec()),
        };
        let object = decode(&write(
            br#"{"metadata": {"name": "p", "managedFields": [1]}}"#,
        ))
        .unwrap();
        assert_eq!(object.unwrap().to_string(), r#"{"metadata":{"name":"p"}}"#);
        let error = decode(&write(b"k8s\0\x0a")).unwrap_err();
        assert!(
            error.to_string().contains("--storage-media-type"),
            "{error}"
        );
    }
}
