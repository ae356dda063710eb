//! A history as plain data: versions of objects in the order in which etcd wrote them.
//!
//! Knows where Kubernetes keeps the five kinds in etcd, and nothing else about them. Tested here and by everything
//! that reads a history.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::recorder::Scope;

/// A kind of object that a history holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `ConcurrencyLimit`.
    Limit,
    /// `Lock`.
    Lock,
    /// `Pod`.
    Pod,
    /// `SlotClaim`.
    Claim,
    /// `Node`.
    Node,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Limit, Self::Lock, Self::Pod, Self::Claim, Self::Node];

    /// Where the API server keeps objects of this kind in etcd.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Limit => "/registry/sluice.dev/concurrencylimits/",
            Self::Lock => "/registry/sluice.dev/locks/",
            Self::Pod => "/registry/pods/",
            Self::Claim => "/registry/sluice.dev/slotclaims/",
            Self::Node => "/registry/minions/",
        }
    }

    pub(super) fn is_namespaced(self) -> bool {
        self != Self::Node
    }

    /// Whether it is a limit or a lock.
    pub(super) fn is_pool(self) -> bool {
        matches!(self, Self::Limit | Self::Lock)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Lock => "lock",
            Self::Pod => "pod",
            Self::Claim => "claim",
            Self::Node => "node",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// An object by its place; which incarnation is there, only a uid tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for a node.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// Names an object; the namespace of a node is empty.
    #[must_use]
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Reads a key of etcd; `None` when it belongs to none of the five kinds.
    pub(super) fn from_etcd_key(key: &str) -> Option<Self> {
        Kind::ALL.into_iter().find_map(|kind| {
            let rest = key.strip_prefix(kind.prefix())?;
            let (namespace, name) = if kind.is_namespaced() {
                rest.split_once('/')?
            } else {
                ("", rest)
            };
            Some(Self::new(kind, namespace, name))
        })
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(formatter, "{} {}", self.kind, self.name)
        } else {
            write!(formatter, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// One write of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// etcd's revision of the write, which is also the object's `resourceVersion`.
    pub revision: i64,
    /// Kind of the object.
    pub kind: Kind,
    /// Namespace of the object; empty for a node.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Which incarnation was written or deleted.
    pub uid: String,
    /// The object as written, without `managedFields`; `None` when this write deleted it.
    pub object: Option<Arc<Value>>,
    /// The object before this write; `None` when this write created it.
    pub previous: Option<Arc<Value>>,
    /// When the server made it, in whole seconds since 1970; `None` for a deletion, of which nothing says when.
    pub written_seconds: Option<i64>,
}

impl Version {
    /// Names the object.
    #[must_use]
    pub fn object_ref(&self) -> ObjectRef {
        ObjectRef::new(self.kind, self.namespace.clone(), self.name.clone())
    }
}

/// Every version of the recorded objects, in etcd's order.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    versions: Vec<Version>,
    revision: i64,
    scope: Scope,
    read_seconds: Option<i64>,
}

impl History {
    /// Makes a history of writes: revision, place, and the object as written (`None` for a deletion).
    ///
    /// Puts them in order of their revisions; writes of one revision keep their order.
    #[must_use]
    pub fn from_writes(
        scope: Scope,
        revision: i64,
        writes: impl IntoIterator<Item = (i64, ObjectRef, Option<Value>)>,
    ) -> Self {
        let mut writes: Vec<_> = writes.into_iter().collect();
        writes.sort_by_key(|(revision, _, _)| *revision);
        let mut last: BTreeMap<ObjectRef, Arc<Value>> = BTreeMap::new();
        let versions = writes
            .into_iter()
            .map(|(revision, place, mut object)| {
                let written_seconds = object.as_mut().and_then(take_stamp);
                let object = object.map(Arc::new);
                let previous = match &object {
                    Some(object) => last.insert(place.clone(), Arc::clone(object)),
                    None => last.remove(&place),
                };
                let uid = object.as_ref().or(previous.as_ref()).and_then(|it| uid(it));
                Version {
                    revision,
                    kind: place.kind,
                    namespace: place.namespace,
                    name: place.name,
                    uid: uid.unwrap_or_default().to_owned(),
                    object,
                    previous,
                    written_seconds,
                }
            })
            .collect();
        Self {
            versions,
            revision,
            scope,
            read_seconds: None,
        }
    }

    /// The same, read from the store at this time, in seconds since 1970.
    #[must_use]
    pub fn read_at(mut self, seconds: i64) -> Self {
        self.read_seconds = Some(seconds);
        self
    }

    /// When it was read, as far as that is known.
    pub(super) fn read_seconds(&self) -> Option<i64> {
        self.read_seconds
    }

    /// All versions, in etcd's order.
    #[must_use]
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The versions of one object, all incarnations of it.
    pub fn of<'a>(&'a self, object: &'a ObjectRef) -> impl Iterator<Item = &'a Version> {
        self.versions.iter().filter(move |version| {
            version.kind == object.kind
                && version.namespace == object.namespace
                && version.name == object.name
        })
    }

    /// The revision up to which this history is complete.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The namespaces it covers.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// When an object was written, by the youngest of its `managedFields`, which are taken off: they are most of it and
/// prove nothing else. The server stamps them as it handles a write, so a write is never durable before its stamp.
pub(super) fn take_stamp(object: &mut Value) -> Option<i64> {
    let managed = object
        .get_mut("metadata")?
        .as_object_mut()?
        .remove("managedFields")?;
    let times = managed.as_array().into_iter().flatten();
    let seconds = times.filter_map(|it| seconds_of(it.get("time")?.as_str()?));
    seconds.max()
}

/// Reads a time as the API writes it.
pub(super) fn seconds_of(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

fn uid(object: &Value) -> Option<&str> {
    object.pointer("/metadata/uid")?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_of_etcd_name_objects() {
        let read = ObjectRef::from_etcd_key;
        assert_eq!(
            read("/registry/sluice.dev/concurrencylimits/team-a/gpu--w1"),
            Some(ObjectRef::new(Kind::Limit, "team-a", "gpu--w1"))
        );
        assert_eq!(
            read("/registry/minions/node-1"),
            Some(ObjectRef::new(Kind::Node, "", "node-1"))
        );
        assert_eq!(
            read("/registry/sluice.dev/slotclaims/team-a/c"),
            Some(ObjectRef::new(Kind::Claim, "team-a", "c"))
        );
        assert_eq!(read("/registry/pods/no-slash"), None);
        assert_eq!(read("/registry/secrets/team-a/x"), None);
    }

    #[test]
    fn the_youngest_manager_says_when_it_was_written() {
        let time = |at: &str| json!({"manager": "m", "time": at});
        let times = [time("2026-11-21T10:00:05Z"), time("2026-11-21T10:00:03Z")];
        let mut object = json!({"metadata": {"managedFields": times}});
        let second = seconds_of("2026-11-21T10:00:05Z");
        assert_eq!((take_stamp(&mut object), second.is_some()), (second, true));
        assert_eq!(object, json!({"metadata": {}}));
        assert_eq!(take_stamp(&mut object), None);
    }

    #[test]
    fn versions_know_what_was_there_before() {
        let pod = ObjectRef::new(Kind::Pod, "ns", "p");
        let object = |uid: &str| json!({"metadata": {"uid": uid}});
        let history = History::from_writes(
            Scope::Everything,
            9,
            [
                (7, pod.clone(), None),
                (3, pod.clone(), Some(object("a"))),
                (9, pod.clone(), Some(object("b"))),
            ],
        );
        let told: Vec<_> = history
            .versions()
            .iter()
            .map(|it| {
                (
                    it.revision,
                    it.uid.as_str(),
                    it.object.is_some(),
                    it.previous.is_some(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (3, "a", true, false),
                (7, "a", false, true),
                (9, "b", true, false)
            ]
        );
        assert_eq!(history.of(&pod).count(), 3);
    }
}
