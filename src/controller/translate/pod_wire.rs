//! The parts of a pod that are read, off the wire.
//!
//! Pods are most of what a controller reads: twice for each grant, once as the answer and once from the watch. So the text
//! becomes the few fields that are used at once, with no tree of everything else in between (the managed fields of a pod
//! are half of it). Decides nothing. Tested below and by what the API server really sends (`tests/it`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::ApiResource;
use kube::core::{DynamicResourceScope, Resource};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The parts of a pod that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodWire {
    pub(super) metadata: MetaWire,
    pub(super) spec: PodSpecWire,
    pub(super) status: PodStatusWire,
}

/// The parts of a pod's metadata that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MetaWire {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) creation_timestamp: Option<Time>,
    pub(super) deletion_timestamp: Option<IgnoredAny>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) finalizers: Vec<String>,
}

/// The parts of a pod's spec that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodSpecWire {
    pub(super) node_name: Option<String>,
    pub(super) priority: Option<i32>,
    pub(super) scheduling_gates: Vec<GateWire>,
    pub(super) containers: Vec<IgnoredAny>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct GateWire {
    pub(super) name: String,
}

/// The parts of a pod's status that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatusWire {
    pub(super) phase: Option<String>,
    pub(super) conditions: Vec<ConditionWire>,
    pub(super) container_statuses: Vec<ContainerStatusWire>,
    pub(super) init_container_statuses: Vec<ContainerStatusWire>,
    pub(super) ephemeral_container_statuses: Vec<ContainerStatusWire>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ConditionWire {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) reason: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ContainerStatusWire {
    #[serde(default)]
    pub(super) state: StateWire,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StateWire {
    pub(super) terminated: Option<IgnoredAny>,
}

/// A pod of a list or a watch, or why it could not be understood: one such pod must not blind the watch to all others.
#[derive(Clone, Debug)]
pub(in crate::controller) struct GuardedPod {
    /// As much as a watcher needs to go on: name, namespace and version.
    meta: ObjectMeta,
    /// The pod.
    pub(in crate::controller) read: Result<PodWire, String>,
}

impl GuardedPod {
    /// Names a pod that cannot be understood, and says why.
    pub(in crate::controller) fn broken(&self, why: &str) -> String {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let (namespace, name) = (text(&self.meta.namespace), text(&self.meta.name));
        format!("pod {namespace}/{name} cannot be understood and is left out: {why}")
    }
}

impl<'de> Deserialize<'de> for GuardedPod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct MetaOnly {
            metadata: MetaWire,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let (meta, read) = match serde_json::from_str::<PodWire>(text.get()) {
            Ok(pod) => (short(&pod.metadata), Ok(pod)),
            Err(error) => {
                let MetaOnly { metadata } =
                    serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
                (short(&metadata), Err(error.to_string()))
            }
        };
        Ok(Self { meta, read })
    }
}

fn short(meta: &MetaWire) -> ObjectMeta {
    let text = |part: &String| (!part.is_empty()).then(|| part.clone());
    ObjectMeta {
        name: text(&meta.name),
        namespace: text(&meta.namespace),
        resource_version: text(&meta.resource_version),
        ..ObjectMeta::default()
    }
}

impl Resource for GuardedPod {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    use kube::api::{ObjectList, WatchEvent};
    use serde_json::{Value, json};

    use super::*;

    fn manifest(name: &str, spec: &Value) -> Value {
        let meta = json!({
            "name": name, "namespace": "ns", "uid": "u", "resourceVersion": "7",
            "managedFields": [{"manager": "m", "fieldsV1": {"f:metadata": {}}}],
        });
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    }

    #[test]
    fn a_pod_that_cannot_be_parsed_is_named_and_left_out() {
        let list = json!({
            "apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "9"},
            "items": [manifest("good", &json!({})), manifest("bad", &json!(7))],
        });
        let list: ObjectList<GuardedPod> = serde_json::from_str(&list.to_string()).unwrap();
        assert!(list.items[0].read.is_ok());
        let bad = &list.items[1];
        let told = bad.broken(bad.read.as_ref().unwrap_err());
        assert!(told.contains("pod ns/bad cannot be understood"), "{told}");
    }

    #[test]
    fn an_event_of_a_watch_is_read_with_its_version() {
        let event = json!({"type": "MODIFIED", "object": manifest("p", &json!({"nodeName": "n"}))});
        // As the API server writes it: the type comes first.
        let text = format!(r#"{{"type":"MODIFIED","object":{}}}"#, event["object"]);
        let WatchEvent::Modified(pod) =
            serde_json::from_str::<WatchEvent<GuardedPod>>(&text).unwrap()
        else {
            panic!("another event")
        };
        assert_eq!(pod.meta().resource_version.as_deref(), Some("7"));
        let read = pod.read.unwrap();
        assert_eq!(read.spec.node_name.as_deref(), Some("n"));
        assert_eq!(read.metadata.uid, "u");
    }
}
