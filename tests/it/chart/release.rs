//! A release on a real control plane, from its install to its end: what was there before goes on, an upgrade to the
//! same thing changes nothing, people get their roles, and no pod is left behind a gate that nobody opens.

use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, api::ApiResource, api::DynamicObject};
use serde_json::json;
use sluice_testenv::{ControlPlane, FakeNodes, NodeOptions, Options, RUN_FOR};

use super::helm::{Helm, NAMESPACE, RELEASE, eventually};

/// Kinds that a release consists of.
const KINDS: [(&str, &str, &str); 15] = [
    ("", "v1", "ServiceAccount"),
    ("", "v1", "Service"),
    ("apps", "v1", "Deployment"),
    ("batch", "v1", "Job"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io", "v1", "Role"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
    ("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    ("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding"),
    ("discovery.k8s.io", "v1", "EndpointSlice"),
];

/// A control plane with nodes, and Helm.
struct Stage {
    plane: ControlPlane,
    _nodes: FakeNodes,
    helm: Helm,
    /// Namespace of people's pods.
    team: String,
}

#[tokio::test]
async fn from_install_to_uninstall_and_back() {
    let stage = Stage::set().await;
    stage.create_what_was_there_before().await;
    let notes = stage.helm.install(&[]).await.unwrap();
    assert!(notes.contains("serves all namespaces") && !notes.contains("MISSING"), "{notes}");
    stage.a_first_pod_waits().await;
    stage.what_was_there_before_goes_on().await;
    stage.an_upgrade_to_the_same_changes_nothing().await;
    stage.people_have_their_roles().await;
    stage.uninstall_opens_every_gate().await;
    stage.nothing_is_left_but_limits().await;
    stage.it_comes_back_for_one_namespace().await;
}

#[tokio::test]
async fn asked_not_to_clean_it_leaves_pods_waiting() {
    let stage = Stage::set().await;
    stage.helm.install(&["cleanup.ungateOnUninstall=false"]).await.unwrap();
    stage.a_first_pod_waits().await;
    stage.helm.run(&["uninstall", RELEASE, "-n", NAMESPACE]).await.unwrap();
    let pod = stage.pods().get("first").await.unwrap();
    assert!(gated(&pod), "{:?}", pod.spec);
    // Without the guards anybody can open it.
    eventually("the guard to be gone", async || {
        let open = Patch::Merge(json!({"spec": {"schedulingGates": null}}));
        let client = stage.plane.client_as("dev", &["system:masters"]).unwrap();
        let pods: Api<Pod> = Api::namespaced(client, &stage.team);
        pods.patch("first", &PatchParams::default(), &open).await.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
}

impl Stage {
    async fn set() -> Self {
        let plane = ControlPlane::start(Options::default()).await.unwrap();
        let nodes = FakeNodes::start(&plane, &["node-1"], NodeOptions::default()).await.unwrap();
        let helm = Helm::on(&plane).await;
        let team = plane.namespace("team").await.unwrap();
        Self { plane, _nodes: nodes, helm, team }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.plane.client(), &self.team)
    }

    /// Runs kubectl as the admin; gives what it printed, or what it complained of.
    async fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = tokio::process::Command::from(self.plane.kubectl(arguments).unwrap());
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// A workload that no policy would let in today, and a pod that runs without a gate.
    async fn create_what_was_there_before(&self) {
        let labels = json!({"app": "old"});
        let spec = json!({"containers": [{"name": "main", "image": "none"}]});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "old"},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels, "annotations": {"sluice.dev/slots": "GPU"}}, "spec": spec}}});
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "old", "annotations": {"sluice.dev/slots": "GPU"}, "finalizers": ["example.com/a"]},
            "spec": spec});
        for (kind, object) in [(("apps", "v1", "Deployment"), deployment), (("", "v1", "Pod"), pod)] {
            let object: DynamicObject = serde_json::from_value(object).unwrap();
            let api = api(self.plane.client(), kind, Some(&self.team));
            api.create(&Default::default(), &object).await.unwrap();
        }
        eventually("the old pod to run", async || {
            let pod = self.pods().get("old").await.map_err(|error| error.to_string())?;
            match pod.status.and_then(|status| status.phase).as_deref() {
                Some("Running") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    async fn what_was_there_before_goes_on(&self) {
        let team = ["-n", &self.team];
        self.kubectl(&[&["scale", "deployment/old", "--replicas=1"][..], &team].concat()).await.unwrap();
        self.kubectl(&[&["scale", "deployment/old", "--replicas=0"][..], &team].concat()).await.unwrap();
        self.kubectl(&[&["label", "deployment/old", "a=b"][..], &team].concat()).await.unwrap();
        self.kubectl(&[&["label", "pod/old", "a=b"][..], &team].concat()).await.unwrap();
        // The controller finds such pods and labels them.
        let controller = self.plane.client_for_service_account(NAMESPACE, RELEASE).await.unwrap();
        let pods: Api<Pod> = Api::namespaced(controller, &self.team);
        let label = Patch::Merge(json!({"metadata": {"labels": {"sluice.dev/managed": "true"}}}));
        pods.patch("old", &PatchParams::default(), &label).await.unwrap();
        let finalizers = r#"{"metadata": {"finalizers": null}}"#;
        self.kubectl(&[&["patch", "pod/old", "--type=merge", "-p", finalizers][..], &team].concat()).await.unwrap();
        self.kubectl(&[&["delete", "pod/old", "deployment/old", "--timeout=60s"][..], &team].concat()).await.unwrap();
    }

    /// Creates pod `first` once the policies work: it waits.
    async fn a_first_pod_waits(&self) {
        let object = json!({"metadata": {"name": "first", "annotations": {"sluice.dev/slots": "gpu"}},
            "spec": {"containers": [{"name": "main", "image": "none"}]}});
        let object: Pod = serde_json::from_value(object).unwrap();
        eventually("a pod to be gated", async || {
            let dry = kube::api::PostParams { dry_run: true, ..Default::default() };
            let pod = self.pods().create(&dry, &object).await.map_err(|error| error.to_string())?;
            if gated(&pod) { Ok(()) } else { Err("not gated".to_owned()) }
        })
        .await;
        let pod = self.pods().create(&Default::default(), &object).await.unwrap();
        assert!(gated(&pod));
    }

    async fn an_upgrade_to_the_same_changes_nothing(&self) {
        let before = self.release().await;
        assert!(before.len() > 25, "{before:?}");
        self.helm.upgrade(&[]).await.unwrap();
        assert_eq!(before, self.release().await);
        // And one to something else is only that.
        self.helm.upgrade(&["controller.maxPriority=5"]).await.unwrap();
        let after = self.release().await;
        let changed: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
        assert_eq!(changed, ["Deployment sluice 2"]);
    }

    /// The objects of the release, one line each with its version. Where somebody else writes too (a status, a
    /// subject that was bound), it is the generation of the spec.
    async fn release(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for kind in KINDS {
            let of_release = ListParams::default().labels("app.kubernetes.io/managed-by=Helm");
            let objects = api(self.plane.client(), kind, None).list(&of_release).await.unwrap();
            for object in objects {
                let metadata = object.metadata;
                let version = metadata.generation.map(|generation| generation.to_string());
                let version = version.or(metadata.resource_version).unwrap();
                lines.push(format!("{} {} {version}", kind.2, metadata.name.unwrap()));
            }
        }
        lines
    }

    async fn people_have_their_roles(&self) {
        let can = async |user: &str, verb: &str, what: &str| {
            let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
                "spec": {"user": user, "resourceAttributes": {"group": "sluice.dev", "namespace": self.team,
                    "verb": verb, "resource": what.split('/').next(), "subresource": what.split('/').nth(1)}}});
            let kind = ("authorization.k8s.io", "v1", "SubjectAccessReview");
            let review: DynamicObject = serde_json::from_value(review).unwrap();
            let answer = api(self.plane.client(), kind, None).create(&Default::default(), &review).await.unwrap();
            answer.data["status"]["allowed"] == true
        };
        for role in ["view", "edit", "admin"] {
            let binding = format!("--clusterrole={role}");
            let user = format!("--user={role}");
            self.kubectl(&["create", "rolebinding", role, &binding, &user, "-n", &self.team]).await.unwrap();
            eventually("the role to reach", async || {
                if can(role, "get", "locks").await { Ok(()) } else { Err(format!("{role} reads nothing")) }
            })
            .await;
        }
        eventually("the admin's role to be put together", async || {
            if can("admin", "create", "locks").await { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        for what in ["concurrencylimits", "locks"] {
            for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
                let reads = ["get", "list", "watch"].contains(&verb);
                assert_eq!(can("view", verb, what).await, reads, "view {verb} {what}");
                assert_eq!(can("edit", verb, what).await, reads, "edit {verb} {what}");
                assert!(can("admin", verb, what).await, "admin {verb} {what}");
            }
            let status = format!("{what}/status");
            for role in ["view", "edit", "admin"] {
                assert!(!can(role, "update", &status).await && !can(role, "patch", &status).await, "{role} {status}");
                assert!(!can(role, "bypass", what).await, "{role} bypass {what}");
            }
        }
        assert!(can("admin", "update", "concurrencylimits/scale").await);
    }

    /// `helm uninstall` waits for the hook's Job. Its pod runs on a fake node, so the test does the Job's work, with the
    /// Job's own account, and then lets its pod succeed.
    async fn uninstall_opens_every_gate(&self) {
        let limit = r#"{"apiVersion": "sluice.dev/v1alpha1", "kind": "ConcurrencyLimit", "metadata": {"name": "gpu"},
            "spec": {"slots": 3}}"#;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), limit).unwrap();
        self.kubectl(&["create", "-n", &self.team, "-f", file.path().to_str().unwrap()]).await.unwrap();
        let confirmed = Patch::Merge(json!({"metadata": {"finalizers": ["sluice.dev/confirm-end"]}}));
        self.pods().patch("first", &PatchParams::default(), &confirmed).await.unwrap();

        let mut uninstall = self.helm.start(&["uninstall", RELEASE, "-n", NAMESPACE, "--timeout", "120s"]);
        let accounts: Api<ServiceAccount> = Api::namespaced(self.plane.client(), NAMESPACE);
        let cleanup = format!("{RELEASE}-cleanup");
        let hook: Api<Pod> = Api::namespaced(self.plane.client(), NAMESPACE);
        let of_hook = ListParams::default().labels("app.kubernetes.io/component=cleanup");
        let pod = eventually("the hook's pod", async || {
            let pods = hook.list(&of_hook).await.map_err(|error| error.to_string())?;
            pods.items.into_iter().next().ok_or_else(|| "no pod".to_owned())
        })
        .await;
        accounts.get(&cleanup).await.unwrap();
        let account = self.plane.client_for_service_account(NAMESPACE, &cleanup).await.unwrap();
        ungate_all(&account, &self.team).await;
        let done = Patch::Merge(json!({"metadata": {"annotations": {RUN_FOR: "0s"}}}));
        hook.patch(&pod.metadata.name.unwrap(), &PatchParams::default(), &done).await.unwrap();
        let ended = uninstall.wait().await.unwrap();
        assert!(ended.success(), "helm uninstall: {ended}");
    }

    async fn nothing_is_left_but_limits(&self) {
        let left = self.release().await;
        let crds = ["CustomResourceDefinition concurrencylimits.sluice.dev", "CustomResourceDefinition locks.sluice.dev"];
        assert!(left.len() == 2 && left.iter().zip(crds).all(|(line, crd)| line.starts_with(crd)), "{left:?}");
        self.kubectl(&["get", "climit/gpu", "-n", &self.team]).await.unwrap();
        eventually("the first pod to run", async || {
            let pod = self.pods().get("first").await.map_err(|error| error.to_string())?;
            match pod.status.and_then(|status| status.phase).as_deref() {
                Some("Running") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        self.pods().delete("first", &DeleteParams::default()).await.unwrap();
        eventually("nothing to hold the first pod", async || match self.pods().get_opt("first").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    /// For one namespace: the policies hold there and nowhere else, and so do the controller's rights.
    async fn it_comes_back_for_one_namespace(&self) {
        let elsewhere = self.plane.namespace("elsewhere").await.unwrap();
        let notes = self.helm.install(&[&format!(r#"controller.namespaces=["{}"]"#, self.team)]).await.unwrap();
        assert!(notes.contains(&format!("serves the namespaces {}", self.team)), "{notes}");
        self.a_first_pod_waits().await;
        let object = json!({"metadata": {"name": "free", "annotations": {"sluice.dev/slots": "GPU"}},
            "spec": {"containers": [{"name": "main", "image": "none"}]}});
        let free: Pod = serde_json::from_value(object).unwrap();
        let free = Api::<Pod>::namespaced(self.plane.client(), &elsewhere).create(&Default::default(), &free).await;
        assert!(!gated(&free.unwrap()));
        let controller = self.plane.client_for_service_account(NAMESPACE, RELEASE).await.unwrap();
        let all = ListParams::default();
        Api::<Pod>::namespaced(controller.clone(), &self.team).list(&all).await.unwrap();
        for refused in [Api::<Pod>::namespaced(controller.clone(), &elsewhere), Api::all(controller)] {
            let error = refused.list(&all).await.unwrap_err().to_string();
            assert!(error.contains("forbidden"), "{error}");
        }
    }
}

/// What `sluice ungate-all --remove-admission-binding sluice-gate` does, with nothing but this account's rights.
async fn ungate_all(account: &Client, namespace: &str) {
    let binding = ("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicyBinding");
    let gate = format!("{RELEASE}-gate");
    api(account.clone(), binding, None).delete(&gate, &DeleteParams::default()).await.unwrap();
    let everywhere: Api<Pod> = Api::all(account.clone());
    let managed = ListParams::default().labels("sluice.dev/managed=true");
    let found = everywhere.list(&managed).await.unwrap();
    assert!(!found.items.is_empty());
    let pods: Api<Pod> = Api::namespaced(account.clone(), namespace);
    for pod in found {
        let clean = json!({"metadata": {"finalizers": null, "labels": {"sluice.dev/managed": null}},
            "spec": {"schedulingGates": null}});
        pods.patch(&pod.metadata.name.unwrap(), &PatchParams::default(), &Patch::Merge(clean)).await.unwrap();
    }
    assert!(everywhere.list(&managed).await.unwrap().items.is_empty());
    // Caged like the controller.
    let relabel = Patch::Merge(json!({"metadata": {"labels": {"app": "x"}}}));
    let error = pods.patch("first", &PatchParams::default(), &relabel).await.unwrap_err().to_string();
    assert!(error.contains("sluice-cage"), "{error}");
}

fn api(client: Client, (group, version, kind): (&str, &str, &str), namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    }
}

fn gated(pod: &Pod) -> bool {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
    gates.is_some_and(|gates| gates.iter().any(|gate| gate.name == "sluice.dev/slots"))
}
