//! The recorder against a real control plane: every version is there, also those that only etcd remembers.
//!
//! Plays the controller by hand, so that the versions it must find are known one by one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test code, and clippy sees only the test functions as such"
)]

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use sluice_testenv::history::{
    Assumptions, History, Invariant, Kind, ObjectRef, Scope, check, check_quiescent,
};
use sluice_testenv::{Component, ControlPlane, Options};

/// Far more than anything here takes, for machines that are busy.
const PATIENCE: Duration = Duration::from_secs(60);
const CRDS: [&str; 2] = [
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../crds/concurrencylimits.yaml"
    ),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/locks.yaml"),
];

/// One namespace of a control plane, with the revisions of the writes made through it.
struct Stage {
    namespace: String,
    limits: Api<DynamicObject>,
    pods: Api<Pod>,
    limit_writes: Vec<i64>,
    pod_writes: Vec<i64>,
}

impl Stage {
    async fn new(plane: &ControlPlane) -> Self {
        let namespace = plane.namespace("history").await.unwrap();
        let client: Client = plane.client();
        let kind = GroupVersionKind::gvk("sluice.dev", "v1alpha1", "ConcurrencyLimit");
        Self {
            limits: Api::namespaced_with(client.clone(), &namespace, &ApiResource::from_gvk(&kind)),
            pods: Api::namespaced(client, &namespace),
            namespace,
            limit_writes: Vec::new(),
            pod_writes: Vec::new(),
        }
    }

    fn limit(&self) -> ObjectRef {
        ObjectRef::new(Kind::Limit, &self.namespace, "gpu")
    }

    fn pod(&self) -> ObjectRef {
        ObjectRef::new(Kind::Pod, &self.namespace, "p")
    }

    async fn create_limit(&mut self) {
        let limit = json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "ConcurrencyLimit",
            "metadata": {"name": "gpu"}, "spec": {"slots": 1},
        });
        let limit = serde_json::from_value(limit).unwrap();
        let created = self
            .limits
            .create(&PostParams::default(), &limit)
            .await
            .unwrap();
        self.limit_writes.push(revision(created.resource_version()));
    }

    /// Changes the status under the next batch.
    async fn write_status(&mut self, changes: Value) {
        let mut limit = self.limits.get("gpu").await.unwrap();
        let status = limit
            .data
            .as_object_mut()
            .unwrap()
            .entry("status")
            .or_insert(json!({}));
        let before = status.get("batch").cloned().unwrap_or(json!(""));
        status["previousBatch"] = before;
        status["batch"] = json!(format!("b{}", self.limit_writes.len()));
        for (field, value) in changes.as_object().unwrap() {
            status[field] = value.clone();
        }
        let written = self
            .limits
            .replace_status("gpu", &PostParams::default(), &limit)
            .await
            .unwrap();
        self.limit_writes.push(revision(written.resource_version()));
    }

    async fn create_pod(&mut self) -> String {
        let pod = json!({
            "metadata": {"name": "p", "annotations": {"sluice.dev/slots": "gpu"}},
            "spec": {
                "schedulingGates": [{"name": "sluice.dev/slots"}],
                "containers": [{"name": "main", "image": "none"}],
            },
        });
        let pod = serde_json::from_value(pod).unwrap();
        let created = self
            .pods
            .create(&PostParams::default(), &pod)
            .await
            .unwrap();
        self.pod_writes.push(revision(created.resource_version()));
        created.uid().unwrap()
    }

    /// Gives the pod its lease, then reveals it.
    async fn grant(&mut self, uid: &str, token: i64) {
        let lease = json!({
            "uid": uid, "kind": "Pod", "name": "p", "slots": 1, "token": token, "attempt": 0,
            "grantedAt": "2026-11-21T10:00:00Z",
        });
        self.write_status(json!({"lastToken": token, "leases": [lease]}))
            .await;
        let limit = self.limits.get("gpu").await.unwrap().uid().unwrap();
        let record = json!({"attempt": 0, "leases": [{
            "kind": "ConcurrencyLimit", "namespace": self.namespace, "key": "gpu", "uid": limit,
            "slots": 1, "token": token,
        }]});
        let patch = json!({
            "metadata": {"annotations": {"sluice.dev/granted": record.to_string()}},
            "spec": {"schedulingGates": null},
        });
        let patched = self
            .pods
            .patch("p", &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
        self.pod_writes.push(revision(patched.resource_version()));
    }

    async fn delete_pod(&mut self) {
        self.pods
            .delete("p", &DeleteParams::default())
            .await
            .unwrap();
        let gone = async || self.pods.get_opt("p").await.unwrap().is_none();
        eventually("the deletion of the pod", gone).await;
    }

    /// Revisions of an object, and whether each has a value.
    fn found(history: &History, object: &ObjectRef) -> Vec<(i64, bool)> {
        history
            .of(object)
            .map(|version| (version.revision, version.object.is_some()))
            .collect()
    }
}

/// The pod's versions are those that were written by hand, and on its way out those of the server itself.
fn pods_are_complete(history: &History, stage: &Stage, first: &str, second: &str) {
    let place = stage.pod();
    let pods: Vec<_> = history.of(&place).collect();
    let leaving = |object: &Value| object.pointer("/metadata/deletionTimestamp").is_some();
    let written = pods
        .iter()
        .filter(|it| it.object.as_ref().is_some_and(|object| !leaving(object)));
    let written: Vec<_> = written.map(|it| it.revision).collect();
    assert_eq!(written, stage.pod_writes, "{}", history.story("p"));
    let mut uids: Vec<_> = pods.iter().map(|it| it.uid.as_str()).collect();
    uids.dedup();
    assert_eq!(uids, [first, second]);
    let deletions: Vec<_> = pods.iter().filter(|it| it.object.is_none()).collect();
    assert_eq!(deletions.len(), 1, "{}", history.story("p"));
    assert_eq!(deletions[0].uid, first);
    let last = deletions[0].previous.as_ref().unwrap();
    assert!(
        last.pointer("/metadata/annotations/sluice.dev~1granted")
            .is_some()
    );
}

fn revision(version: Option<String>) -> i64 {
    version.unwrap().parse().unwrap()
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let looks = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looks)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen within {PATIENCE:?}"));
}

async fn install_crds(plane: &ControlPlane) {
    for path in CRDS {
        let output = plane
            .kubectl(&["apply", "-f", path])
            .unwrap()
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "-f"];
    for path in CRDS {
        let output = plane
            .kubectl(&[&wait[..], &[path]].concat())
            .unwrap()
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[tokio::test]
async fn every_version_is_recorded_and_judged() {
    let plane = ControlPlane::start(Options::default().without_scheduler())
        .await
        .unwrap();
    install_crds(&plane).await;
    let mut stage = Stage::new(&plane).await;
    let mut neighbour = Stage::new(&plane).await;
    neighbour.create_limit().await;
    neighbour.create_pod().await;

    stage.create_limit().await;
    stage
        .write_status(json!({"lastToken": 10, "fenced": false}))
        .await;
    stage.write_status(json!({"fenced": true})).await;
    let first = stage.create_pod().await;
    stage.grant(&first, 11).await;
    stage.delete_pod().await;
    stage.write_status(json!({"leases": []})).await;
    plane.kill(Component::ApiServer).unwrap();
    plane.start_component(Component::ApiServer).await.unwrap();
    // The same name again, by another uid.
    let second = stage.create_pod().await;
    assert_ne!(first, second);
    stage.grant(&second, 12).await;

    let scope = Scope::namespace(&stage.namespace);
    let history = History::record(&plane.etcd_url(), scope.clone())
        .await
        .unwrap();
    let limit_writes: Vec<_> = stage.limit_writes.iter().map(|it| (*it, true)).collect();
    assert_eq!(Stage::found(&history, &stage.limit()), limit_writes);
    pods_are_complete(&history, &stage, &first, &second);
    assert!(
        history
            .versions()
            .iter()
            .all(|version| version.namespace == stage.namespace)
    );
    assert!(
        history
            .versions()
            .windows(2)
            .all(|pair| pair[0].revision < pair[1].revision)
    );

    let none = Assumptions::none();
    assert_eq!(check(&history, &none), [], "{}", history.story("gpu"));
    assert_eq!(
        check_quiescent(&history, &none),
        [],
        "{}",
        history.story("gpu")
    );
    let summary = history.summary();
    assert_eq!(summary.grants, 2);
    assert_eq!(summary.pools[&stage.limit()].highest_running, 1);

    let everything = History::record(&plane.etcd_url(), Scope::Everything)
        .await
        .unwrap();
    assert_eq!(
        Stage::found(&everything, &neighbour.limit()).len(),
        neighbour.limit_writes.len()
    );
    assert!(everything.versions().len() > history.versions().len());

    // A lease taken from a holder that lives: no rule of the server refuses it, and the record tells.
    stage.write_status(json!({"leases": []})).await;
    let history = History::record(&plane.etcd_url(), scope).await.unwrap();
    let found = check(&history, &none);
    let told: Vec<_> = found.iter().map(|it| (it.invariant, it.revision)).collect();
    let last = *stage.limit_writes.last().unwrap();
    assert_eq!(
        told,
        [(Invariant::Release, last)],
        "{}",
        history.story("gpu")
    );
    assert_eq!(check(&history, &none.written_by_hand(last)), []);
}
