//! What users do: manifests, edits, deletions, kubectl.

use std::process::{Command, Output};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use sluice::api::{ConcurrencyLimit, Lock};
use sluice_testenv::RUN_FOR;
use sluice_testenv::history::{Kind, ObjectRef};

use super::pod::PodBuilder;
use super::world::Space;

/// Kinds of manifests in tests that belong to no namespace.
const CLUSTER_KINDS: [&str; 3] = [
    "PriorityClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

impl Space {
    /// Begins a pod that waits with our gate.
    pub(crate) fn pod(&self, name: &str) -> PodBuilder<'_> {
        PodBuilder::new(self, name)
    }

    /// A pod that asks for nothing and runs, as a program in its container `main` knows it.
    pub(crate) async fn pod_of_program(&self, name: &str) -> sluice::client::Pod {
        self.pod(name).ungated().create().await;
        let uid = self.running(name).await.uid().unwrap();
        sluice::client::Pod::new(name, uid, "main")
    }

    /// Creates a limit with this many slots, and waits until it grants.
    pub(crate) async fn limit(&self, name: &str, slots: i32) {
        self.limit_with(name, json!({"slots": slots})).await;
        self.fenced(name).await;
    }

    /// Creates a limit.
    pub(crate) async fn limit_with(&self, name: &str, spec: Value) {
        self.create_pool(&ApiResource::erase::<ConcurrencyLimit>(&()), name, spec)
            .await;
    }

    /// Creates a lock, and waits until it grants.
    pub(crate) async fn lock(&self, name: &str) {
        self.lock_with(name, json!({})).await;
        self.lock_is(name, "fenced", super::pool::Pool::is_fenced)
            .await;
    }

    /// Creates a lock.
    pub(crate) async fn lock_with(&self, name: &str, spec: Value) {
        self.create_pool(&ApiResource::erase::<Lock>(&()), name, spec)
            .await;
    }

    async fn create_pool(&self, resource: &ApiResource, name: &str, spec: Value) {
        let object = DynamicObject::new(name, resource).data(json!({"spec": spec}));
        self.pools(resource)
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    /// Changes the spec of a limit.
    pub(crate) async fn edit_limit(&self, name: &str, spec: Value) {
        self.patch_limit(name, json!({"spec": spec})).await;
    }

    /// Changes a limit by a merge patch; gives the new resourceVersion.
    pub(crate) async fn patch_limit(&self, name: &str, patch: Value) -> i64 {
        let limits = self.pools(&ApiResource::erase::<ConcurrencyLimit>(&()));
        let patched = limits
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        revision(&patched.unwrap())
    }

    /// Tries to change a limit by a merge patch; whether the server took it.
    pub(crate) async fn try_patch_limit(&self, name: &str, patch: Value) -> bool {
        let limits = self.pools(&ApiResource::erase::<ConcurrencyLimit>(&()));
        limits
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .is_ok()
    }

    /// Changes the status of a limit by a merge patch, as nobody but the controller should; gives the resourceVersion.
    pub(crate) async fn patch_limit_status(&self, name: &str, status: Value) -> i64 {
        let limits = self.pools(&ApiResource::erase::<ConcurrencyLimit>(&()));
        let patch = Patch::Merge(json!({"status": status}));
        revision(
            &limits
                .patch_status(name, &PatchParams::default(), &patch)
                .await
                .unwrap(),
        )
    }

    /// Changes the spec of a lock.
    pub(crate) async fn edit_lock(&self, name: &str, spec: Value) {
        let locks = self.pools(&ApiResource::erase::<Lock>(&()));
        let patch = Patch::Merge(json!({"spec": spec}));
        locks
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Deletes a limit.
    pub(crate) async fn delete_limit(&self, name: &str) {
        let limits = self.pools(&ApiResource::erase::<ConcurrencyLimit>(&()));
        limits.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Applies a manifest of one or more documents.
    pub(crate) async fn apply(&self, yaml: &str) {
        for document in yaml.split("\n---\n") {
            let object: DynamicObject = serde_yaml::from_str(document).unwrap();
            self.apply_object(object).await;
        }
    }

    /// Applies an object.
    pub(crate) async fn apply_json(&self, object: Value) {
        self.apply_object(serde_json::from_value(object).unwrap())
            .await;
    }

    async fn apply_object(&self, object: DynamicObject) {
        let types = object.types.clone().unwrap();
        let kind = GroupVersionKind::try_from(&types).unwrap();
        let resource = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> = match types.kind.as_str() {
            kind if CLUSTER_KINDS.contains(&kind) => Api::all_with(self.client(), &resource),
            _ => self.pools(&resource),
        };
        let manager = PatchParams::apply("sluice-tests").force();
        let name = object.name_any();
        if let Err(error) = api.patch(&name, &manager, &Patch::Apply(&object)).await {
            self.fail(&format!("{} {name} was refused: {error}", types.kind));
        }
    }

    /// Creates a Job of so many pods, all at once.
    pub(crate) async fn job(&self, name: &str, pods: u32, pod: PodBuilder<'_>) {
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"completions": pods, "parallelism": pods, "template": pod.template()},
        });
        self.apply_json(job).await;
    }

    /// Creates a priority class, and gives its name; such classes belong to no namespace.
    pub(crate) async fn priority_class(&self, name: &str, value: i32) -> String {
        let name = format!("{}-{name}", self.namespace());
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "preemptionPolicy": "Never",
        });
        self.apply_json(class).await;
        name
    }

    /// Changes a pod by a merge patch; gives the new resourceVersion.
    pub(crate) async fn edit(&self, pod: &str, patch: Value) -> i64 {
        let patched = self
            .pods()
            .patch(pod, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        revision(&patched.unwrap())
    }

    /// Sets an annotation of a pod, or removes it.
    pub(crate) async fn annotate(&self, pod: &str, name: &str, value: Option<&str>) -> i64 {
        self.edit(pod, json!({"metadata": {"annotations": {(name): value}}}))
            .await
    }

    /// Removes all gates of a pod but these.
    pub(crate) async fn keep_gates(&self, pod: &str, gates: &[&str]) -> i64 {
        let gates: Vec<Value> = gates.iter().map(|gate| json!({"name": gate})).collect();
        self.edit(pod, json!({"spec": {"schedulingGates": gates}}))
            .await
    }

    /// Lets a pod end by itself: Succeeded, or Failed if it was made so.
    pub(crate) async fn end(&self, pod: &str) {
        self.annotate(pod, RUN_FOR, Some("0s")).await;
    }

    /// Deletes a pod.
    pub(crate) async fn delete(&self, pod: &str) {
        self.pods()
            .delete(pod, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Waits until pods that are created now are younger than this one by their timestamps, which are whole seconds.
    pub(crate) async fn a_second_after(&self, pod: &Pod) {
        let created = pod.creation_timestamp().unwrap().0;
        self.eventually(
            &format!("the second after {}", pod.name_any()),
            async || Timestamp::now().as_second() > created.as_second(),
        )
        .await;
    }

    /// Runs kubectl in this namespace, and gives what it prints.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        // Discovery that was cached before our kinds were there does not know them.
        let cache = format!(
            "--cache-dir={}",
            self.plane().directory().join("kubectl").display()
        );
        let all = [&["-n", self.namespace(), &cache], arguments].concat();
        let output = self.plane().kubectl(&all).unwrap().output().unwrap();
        if !output.status.success() {
            self.fail(&format!(
                "kubectl {arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `sluice` as an admin who has only a kubeconfig, and gives what it prints.
    pub(crate) fn sluice(&self, arguments: &[&str]) -> String {
        let output = self.run_sluice(arguments);
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            self.fail(&format!("sluice {arguments:?}: {complaint}"));
        }
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `sluice`, which has to fail, and gives what it complains of.
    pub(crate) fn sluice_fails(&self, arguments: &[&str]) -> String {
        let output = self.run_sluice(arguments);
        if output.status.success() {
            self.fail(&format!("sluice {arguments:?} did not fail"));
        }
        String::from_utf8(output.stderr).unwrap()
    }

    fn run_sluice(&self, arguments: &[&str]) -> Output {
        let named = !arguments.contains(&"--all");
        let namespace = ["--namespace", self.namespace()];
        self.sluice_command(arguments)
            .args(namespace.iter().filter(|_| named))
            .output()
            .unwrap()
    }

    /// `sluice` with these arguments and nothing else than the admin's kubeconfig.
    pub(crate) fn sluice_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command
            .args(arguments)
            .env("KUBECONFIG", self.plane().kubeconfig());
        command
    }

    /// Names a pod of this namespace to the checker.
    pub(crate) fn pod_ref(&self, name: &str) -> ObjectRef {
        ObjectRef::new(Kind::Pod, self.namespace(), name)
    }
}

/// The revision in etcd of the write that gave this object.
pub(crate) fn revision(object: &impl kube::ResourceExt) -> i64 {
    object.resource_version().unwrap().parse().unwrap()
}
