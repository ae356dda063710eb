//! The parts of a pod a kubelet stand-in reads; decoding no more keeps it cheap beside what is tested.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::{EXIT_CODE, RUN_FOR, STOP_AFTER, duration};

/// A pod as it comes from the watch.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = Pod)]
pub(super) struct PodView {
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: Spec,
    #[serde(default)]
    pub(super) status: Status,
}

/// The read part of a pod's spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    pub(super) node_name: Option<String>,
    #[serde(default)]
    pub(super) containers: Vec<Container>,
    #[serde(default)]
    pub(super) init_containers: Vec<Container>,
}

/// The read part of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: String,
    #[serde(default)]
    pub(super) image: String,
    pub(super) restart_policy: Option<String>,
}

/// The read part of a pod's status.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Status {
    pub(super) phase: Option<String>,
}

/// What never changes about a bound pod.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) node: String,
    pub(super) containers: Vec<Container>,
    pub(super) init_containers: Vec<Container>,
}

/// What may change about a bound pod and matters to its kubelet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    pub(super) deleting: bool,
    /// The phase is Succeeded or Failed already, by whose hand ever.
    pub(super) terminal: bool,
    pub(super) run_for: Option<Duration>,
    pub(super) exit_code: i32,
    pub(super) stop_after: Duration,
}

impl PodView {
    /// Splits a bound pod; none when it is not bound.
    pub(super) fn split(self) -> Option<(Identity, Observed)> {
        let observed = self.observed();
        let identity = Identity {
            namespace: self.metadata.namespace?,
            name: self.metadata.name?,
            uid: self.metadata.uid?,
            node: self.spec.node_name?,
            containers: self.spec.containers,
            init_containers: self.spec.init_containers,
        };
        Some((identity, observed))
    }

    fn observed(&self) -> Observed {
        let none = BTreeMap::new();
        let annotations = self.metadata.annotations.as_ref().unwrap_or(&none);
        let time = |name: &str| annotations.get(name).and_then(|text| duration::parse(text));
        Observed {
            deleting: self.metadata.deletion_timestamp.is_some(),
            terminal: matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed")),
            run_for: time(RUN_FOR),
            exit_code: annotations
                .get(EXIT_CODE)
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
            stop_after: time(STOP_AFTER).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_read_as_far_as_it_matters() {
        let pod: PodView = serde_json::from_value(serde_json::json!({
            "metadata": {
                "namespace": "n", "name": "a", "uid": "u",
                "annotations": {(RUN_FOR): "2s", (EXIT_CODE): "3", (STOP_AFTER): "nonsense"},
            },
            "spec": {"nodeName": "node-1", "containers": [{"name": "c", "image": "i", "resources": {}}]},
            "status": {"phase": "Running"},
        }))
        .unwrap();
        let (identity, observed) = pod.split().unwrap();
        assert_eq!(
            (identity.node.as_str(), identity.containers.len()),
            ("node-1", 1)
        );
        assert_eq!(observed.run_for, Some(Duration::from_secs(2)));
        assert_eq!(
            (observed.exit_code, observed.stop_after),
            (3, Duration::ZERO)
        );
        assert!(!observed.deleting && !observed.terminal);
    }
}
