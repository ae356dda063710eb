//! Pods: as users write them, and what can be read off them.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use sluice::api::names;
use sluice_testenv::{EXIT_CODE, RUN_FOR};

use super::world::Space;

/// A manifest of a pod that waits with our gate, as it stands in a file or in a workload's template.
pub(crate) struct PodBuilder<'a> {
    space: &'a Space,
    manifest: Value,
}

impl<'a> PodBuilder<'a> {
    pub(super) fn new(space: &'a Space, name: &str) -> Self {
        let manifest = json!({
            "metadata": {
                "name": name,
                "labels": {(names::MANAGED): names::MANAGED_VALUE},
                "annotations": {},
            },
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "schedulingGates": [{"name": names::GATE}],
                "containers": [{"name": "main", "image": "none"}],
            },
        });
        Self { space, manifest }
    }

    /// Asks for slots.
    pub(crate) fn slots(self, value: &str) -> Self {
        self.annotation(names::SLOTS, value)
    }

    /// Asks for locks.
    pub(crate) fn locks(self, value: &str) -> Self {
        self.annotation(names::LOCKS, value)
    }

    /// Ends by itself so long after it began to run; without this it runs until it is ended.
    pub(crate) fn run_for(self, time: &str) -> Self {
        self.annotation(RUN_FOR, time)
    }

    /// Ends Failed.
    pub(crate) fn fails(self) -> Self {
        self.annotation(EXIT_CODE, "1")
    }

    /// With any annotation.
    pub(crate) fn annotation(mut self, name: &str, value: &str) -> Self {
        self.manifest["metadata"]["annotations"][name] = value.into();
        self
    }

    /// With any label.
    pub(crate) fn label(mut self, name: &str, value: &str) -> Self {
        self.manifest["metadata"]["labels"][name] = value.into();
        self
    }

    /// Belongs to a worker of a family.
    pub(crate) fn worker(self, name: &str) -> Self {
        self.label(names::WORKER, name)
    }

    /// With a priority class.
    pub(crate) fn priority_class(mut self, name: &str) -> Self {
        self.manifest["spec"]["priorityClassName"] = name.into();
        self
    }

    /// With one more gate beside ours.
    pub(crate) fn foreign_gate(mut self, name: &str) -> Self {
        let gates = self.manifest["spec"]["schedulingGates"].as_array_mut();
        gates.unwrap().push(json!({"name": name}));
        self
    }

    /// Without our gate and label: it came past admission.
    pub(crate) fn ungated(mut self) -> Self {
        self.manifest["spec"]["schedulingGates"] = json!([]);
        self.manifest["metadata"]["labels"] = json!({});
        self
    }

    /// Fits no node.
    pub(crate) fn fits_no_node(self) -> Self {
        self.on_node("nowhere")
    }

    /// Fits this node only.
    pub(crate) fn on_node(mut self, name: &str) -> Self {
        self.manifest["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": name});
        self
    }

    /// With a finalizer of somebody else.
    pub(crate) fn finalizer(mut self, name: &str) -> Self {
        self.manifest["metadata"]["finalizers"] = json!([name]);
        self
    }

    /// The pod template with the same content, for a workload.
    pub(crate) fn template(mut self) -> Value {
        let metadata = self.manifest["metadata"].as_object_mut();
        metadata.unwrap().remove("name");
        self.manifest
    }

    /// Creates it.
    pub(crate) async fn create(self) -> Pod {
        let pod: Pod = serde_json::from_value(self.manifest).unwrap();
        let pods: Api<Pod> = Api::namespaced(self.space.client(), self.space.namespace());
        match pods.create(&PostParams::default(), &pod).await {
            Ok(pod) => pod,
            Err(error) => self.space.fail(&format!("a pod was refused: {error}")),
        }
    }
}

/// What a test asks of a pod.
pub(crate) trait PodFacts {
    /// It has our gate.
    fn is_gated(&self) -> bool;
    /// It has ended, by its phase.
    fn is_terminal(&self) -> bool;
    /// It is bound to a node.
    fn is_bound(&self) -> bool;
    /// Its phase.
    fn phase(&self) -> &str;
    /// Value of an annotation.
    fn annotation(&self, name: &str) -> Option<&str>;
    /// Its fencing token of a limit, as the downward API shows it.
    fn token(&self, key: &str) -> Option<i64>;
    /// The record of what it was granted.
    fn granted(&self) -> Option<Value>;
    /// Its uid.
    fn id(&self) -> &str;
}

impl PodFacts for Pod {
    fn is_gated(&self) -> bool {
        let gates = self
            .spec
            .iter()
            .flat_map(|spec| spec.scheduling_gates.iter().flatten());
        gates.into_iter().any(|gate| gate.name == names::GATE)
    }

    fn is_terminal(&self) -> bool {
        matches!(self.phase(), "Succeeded" | "Failed")
    }

    fn is_bound(&self) -> bool {
        self.spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_some())
    }

    fn phase(&self) -> &str {
        let status = self.status.as_ref();
        status
            .and_then(|status| status.phase.as_deref())
            .unwrap_or_default()
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        Some(self.metadata.annotations.as_ref()?.get(name)?.as_str())
    }

    fn token(&self, key: &str) -> Option<i64> {
        let tokens = self.annotation(names::TOKENS)?;
        let found = tokens
            .split(',')
            .find_map(|token| token.strip_prefix(key)?.strip_prefix('='));
        found?.parse().ok()
    }

    fn granted(&self) -> Option<Value> {
        serde_json::from_str(self.annotation(names::GRANTED)?).ok()
    }

    fn id(&self) -> &str {
        self.metadata.uid.as_deref().unwrap()
    }
}
