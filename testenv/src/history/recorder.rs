//! Records a history from etcd.
//!
//! Reads only; stops at the revision the store had when it was called (or a little later). Needs an API server that
//! stores JSON, and revisions that are still there, and says so when it does not have them. Where a test compacts the
//! store, a [`Recording`] reads on from time to time, always before the compaction; where a test restores a backup, the
//! recording branches at the backup's revision.

use std::collections::BTreeSet;

use serde_json::{Value, json};

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
    /// Reads every version of the limits, locks, pods and claims of these namespaces, and of all nodes, from etcd.
    ///
    /// Fails when etcd cannot be read, when it has forgotten old revisions, or when an object is not stored as JSON.
    pub async fn record(etcd_url: &str, scope: Scope) -> Result<Self, Error> {
        let mut recording = Recording::new(etcd_url, scope);
        recording.catch_up().await?;
        Ok(recording.into_history())
    }
}

/// A history that is still being read, piece by piece.
#[derive(Clone, Debug)]
pub struct Recording {
    etcd_url: String,
    scope: Scope,
    writes: Vec<(i64, ObjectRef, Option<Value>)>,
    revision: i64,
    read_seconds: Option<i64>,
}

impl Recording {
    /// Begins before the first revision; reads nothing yet.
    #[must_use]
    pub fn new(etcd_url: &str, scope: Scope) -> Self {
        Self {
            etcd_url: etcd_url.to_owned(),
            scope,
            writes: Vec::new(),
            revision: 0,
            read_seconds: None,
        }
    }

    /// Reads on up to the store's present revision, and gives it: everything up to there may be compacted.
    ///
    /// Fails as [`History::record`] does; what was read before stays.
    pub async fn catch_up(&mut self) -> Result<i64, Error> {
        let from = self.revision.saturating_add(1);
        let begun = jiff::Timestamp::now().as_second();
        let read = etcd::read(&self.etcd_url, &self.scope.ranges(), from).await?;
        let mut writes = Vec::with_capacity(read.writes.len());
        for write in read.writes {
            if let Some(place) = ObjectRef::from_etcd_key(&write.key) {
                writes.push((write.revision, place, decode(&write)?));
            }
        }
        self.writes.append(&mut writes);
        self.revision = self.revision.max(read.revision);
        self.read_seconds = Some(begun);
        Ok(self.revision)
    }

    /// The revision up to which it is complete.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The history of a store that was restored to this revision: what was written since then never was.
    #[must_use]
    pub fn branch(&self, revision: i64) -> Self {
        let mut branch = self.clone();
        branch.writes.retain(|(at, _, _)| *at <= revision);
        branch.revision = branch.revision.min(revision);
        branch
    }

    /// What was read so far, as a history that can be judged.
    #[must_use]
    pub fn into_history(self) -> History {
        let history = History::from_writes(self.scope, self.revision, self.writes);
        match self.read_seconds {
            Some(seconds) => history.read_at(seconds),
            None => history,
        }
    }
}

/// Decodes the value of a write; of `managedFields`, which are most of it, only the youngest time is kept.
fn decode(write: &Write) -> Result<Option<Value>, Error> {
    let Some(bytes) = &write.value else {
        return Ok(None);
    };
    let mut object: Value = serde_json::from_slice(bytes).map_err(|_| Error::NotJson {
        key: write.key.clone(),
        revision: write.revision,
    })?;
    if let Some(Value::Object(metadata)) = object.get_mut("metadata")
        && let Some(Value::Array(managers)) = metadata.remove("managedFields")
    {
        let times = managers.iter().filter_map(|it| it.get("time")?.as_str());
        // All are of one form, in UTC and whole seconds, whose order is that of the text.
        if let Some(youngest) = times.max() {
            metadata.insert("managedFields".into(), json!([{"time": youngest}]));
        }
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
                "/registry/sluice.dev/slotclaims/team-a/",
                "/registry/minions/",
            ]
        );
        assert_eq!(Scope::Everything.ranges().len(), Kind::ALL.len());
    }

    #[test]
    fn a_branch_knows_nothing_of_what_was_written_later() {
        let mut recording = Recording::new("http://127.0.0.1:1", Scope::Everything);
        let pod = ObjectRef::new(Kind::Pod, "ns", "p");
        recording.writes = [3, 5, 8].map(|at| (at, pod.clone(), None)).to_vec();
        recording.revision = 9;
        let branch = recording.branch(5);
        assert_eq!((branch.revision(), recording.revision()), (5, 9));
        assert_eq!(branch.into_history().versions().len(), 2);
        assert_eq!(recording.into_history().versions().len(), 3);
    }

    #[test]
    fn of_managed_fields_the_time_stays_and_protobuf_is_named() {
        let write = |value: &[u8]| Write {
            revision: 4,
            key: "/registry/pods/ns/p".into(),
            value: Some(value.to_vec()),
        };
        let object = decode(&write(
            br#"{"metadata": {"name": "p", "managedFields": [1, {"time": "b", "f": 1}, {"time": "a"}]}}"#,
        ))
        .unwrap();
        assert_eq!(
            object.unwrap(),
            json!({"metadata": {"name": "p", "managedFields": [{"time": "b"}]}})
        );
        let error = decode(&write(b"k8s\0\x0a")).unwrap_err();
        assert!(
            error.to_string().contains("--storage-media-type"),
            "{error}"
        );
    }
}
