//! A control plane with a node and Helm, and what tests of releases ask of it.

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::json;
use sluice_testenv::{ControlPlane, FakeNodes, NodeOptions, Options};

use super::helm::{Helm, NAMESPACE, eventually};

/// Kinds that a release consists of.
const KINDS: [(&str, &str, &str); 16] = [
    ("", "v1", "ServiceAccount"),
    ("", "v1", "Service"),
    ("apps", "v1", "Deployment"),
    ("batch", "v1", "Job"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io", "v1", "Role"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
    ("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    (
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicy",
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicyBinding",
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
    ),
    ("discovery.k8s.io", "v1", "EndpointSlice"),
];

/// A control plane with nodes, and Helm.
pub(crate) struct Stage {
    pub(crate) plane: ControlPlane,
    _nodes: FakeNodes,
    pub(crate) helm: Helm,
    /// Namespace of people's pods.
    pub(crate) team: String,
}

impl Stage {
    /// Starts it all; the namespace of the release enforces restricted pods.
    pub(crate) async fn set() -> Self {
        let plane = ControlPlane::start(Options::default()).await.unwrap();
        let nodes = FakeNodes::start(&plane, &["node-1"], NodeOptions::default())
            .await
            .unwrap();
        let helm = Helm::on(&plane).await;
        let team = plane.namespace("team").await.unwrap();
        let stage = Self {
            plane,
            _nodes: nodes,
            helm,
            team,
        };
        // Pods of the release are held to the strictest standard that there is.
        stage
            .kubectl(&["create", "namespace", NAMESPACE])
            .await
            .unwrap();
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        stage
            .kubectl(&["label", "namespace", NAMESPACE, restricted])
            .await
            .unwrap();
        stage
    }

    /// Waits until the controller's pods run: they met the namespace's standard.
    pub(crate) async fn its_pods_are_admitted(&self) {
        let pods: Api<Pod> = Api::namespaced(self.plane.client(), NAMESPACE);
        let of_controller = ListParams::default().labels("app.kubernetes.io/component=controller");
        eventually("the controller's pods to run", async || {
            let pods = pods
                .list(&of_controller)
                .await
                .map_err(|error| error.to_string())?;
            let phases: Vec<_> = pods
                .items
                .into_iter()
                .map(|pod| pod.status.and_then(|s| s.phase))
                .collect();
            if phases == [Some("Running".to_owned()), Some("Running".to_owned())] {
                Ok(())
            } else {
                Err(format!("{phases:?}"))
            }
        })
        .await;
    }

    /// The pods of the team.
    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.plane.client(), &self.team)
    }

    /// Runs kubectl as the admin; gives what it printed, or what it complained of.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = tokio::process::Command::from(self.plane.kubectl(arguments).unwrap());
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    }

    /// Waits until a pod runs.
    pub(crate) async fn running(&self, name: &str) {
        eventually("the pod to run", async || {
            let pod = self
                .pods()
                .get(name)
                .await
                .map_err(|error| error.to_string())?;
            match pod.status.and_then(|status| status.phase).as_deref() {
                Some("Running") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// Creates pod `first` once the policies work: it waits.
    pub(crate) async fn a_first_pod_waits(&self) {
        let object = asking("first", "gpu");
        eventually("a pod to be gated", async || {
            let dry = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            let pod = self
                .pods()
                .create(&dry, &object)
                .await
                .map_err(|error| error.to_string())?;
            if gated(&pod) {
                Ok(())
            } else {
                Err("not gated".to_owned())
            }
        })
        .await;
        let pod = self
            .pods()
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        assert!(gated(&pod));
    }

    /// The objects of the release, one line each with its version. Where somebody else writes too (a status, a
    /// subject that was bound), it is the generation of the spec.
    pub(crate) async fn release(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for kind in KINDS {
            let of_release = ListParams::default().labels("app.kubernetes.io/managed-by=Helm");
            let objects = api(self.plane.client(), kind, None)
                .list(&of_release)
                .await
                .unwrap();
            for object in objects {
                let metadata = object.metadata;
                let version = metadata.generation.map(|generation| generation.to_string());
                let version = version.or(metadata.resource_version).unwrap();
                lines.push(format!("{} {} {version}", kind.2, metadata.name.unwrap()));
            }
        }
        lines
    }
}

pub(crate) fn api(
    client: Client,
    (group, version, kind): (&str, &str, &str),
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    }
}

/// A pod that asks for slots as its user writes it.
pub(super) fn asking(name: &str, slots: &str) -> Pod {
    let pod = json!({"metadata": {"name": name, "annotations": {"sluice.dev/slots": slots}},
        "spec": {"containers": [{"name": "main", "image": "none"}]}});
    serde_json::from_value(pod).unwrap()
}

pub(crate) fn gated(pod: &Pod) -> bool {
    let gates = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.scheduling_gates.as_ref());
    gates.is_some_and(|gates| gates.iter().any(|gate| gate.name == "sluice.dev/slots"))
}
