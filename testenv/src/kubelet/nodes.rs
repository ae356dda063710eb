//! The nodes: created, cut off, brought back, deleted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::report::time;
use super::runner::Runner;
use crate::control_plane::ControlPlane;
use crate::error::{Error, Result};

const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// The taint on every node of [`NodeOptions::dedicated`]; a pod tolerates it to be scheduled there.
pub const DEDICATED: &str = "sluice-testenv.dev/dedicated";

/// What fake nodes have to offer. The default is room for any test.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Processors of a node, as a Kubernetes quantity.
    pub cpu: String,
    /// Memory of a node, as a Kubernetes quantity.
    pub memory: String,
    /// How many pods a node takes.
    pub pods: u32,
    /// Labels beside `kubernetes.io/hostname`.
    pub labels: BTreeMap<String, String>,
    /// Keeps pods away that do not tolerate the taint [`DEDICATED`]: nodes that a test breaks on a shared control plane
    /// must not be given the pods of other tests.
    pub dedicated: bool,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            cpu: "10k".into(),
            memory: "64Ti".into(),
            pods: 100_000,
            labels: BTreeMap::new(),
            dedicated: false,
        }
    }
}

/// Whether each node reaches the API server.
#[derive(Clone, Default)]
pub(super) struct Answers(Arc<Mutex<BTreeMap<String, watch::Sender<bool>>>>);

impl Answers {
    pub(super) fn of(&self, node: &str) -> Option<watch::Receiver<bool>> {
        self.lock().get(node).map(watch::Sender::subscribe)
    }

    fn set(&self, node: &str, answers: bool) {
        self.lock()
            .entry(node.to_owned())
            .or_insert_with(|| watch::channel(answers).0)
            .send_replace(answers);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, watch::Sender<bool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nodes whose kubelets are a stand-in. Dropping it ends the stand-in and leaves the Node objects.
pub struct FakeNodes {
    config: Config,
    options: NodeOptions,
    answers: Answers,
    _runner: Runner,
}

impl FakeNodes {
    /// Creates nodes that are ready for pods, and starts their stand-in.
    ///
    /// # Errors
    /// When the nodes cannot be created.
    pub async fn start(plane: &ControlPlane, names: &[&str], options: NodeOptions) -> Result<Self> {
        let nodes = Self::with_answers(plane, options, Answers::default())?;
        for name in names {
            nodes.add(name).await?;
        }
        Ok(nodes)
    }

    /// Starts the stand-in of nodes that are there already, whose former stand-in was ended: the store was restored, and
    /// the former one saw what never was.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn take_over(plane: &ControlPlane, names: &[&str], options: NodeOptions) -> Result<Self> {
        // Before it looks: pods of nodes it does not know are left alone.
        let answers = Answers::default();
        for name in names {
            answers.set(name, true);
        }
        Self::with_answers(plane, options, answers)
    }

    fn with_answers(plane: &ControlPlane, options: NodeOptions, answers: Answers) -> Result<Self> {
        Ok(Self {
            config: plane.config(),
            options,
            answers: answers.clone(),
            _runner: Runner::start(plane.config(), answers)?,
        })
    }

    /// Creates one more node, or brings back one that was deleted, with the pods that are bound to it.
    ///
    /// # Errors
    /// When there is a node of that name.
    pub async fn add(&self, name: &str) -> Result<()> {
        self.answers.set(name, true);
        let mut labels = self.options.labels.clone();
        labels.insert("kubernetes.io/hostname".into(), name.into());
        // Admission adds the taint not-ready to these, whence no pod comes here until the last line.
        let taints = self.taints(&[]);
        let node =
            json!({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}});
        let node: Node = serde_json::from_value(node).map_err(|error| {
            Error::io(format!("describe node {name}"))(std::io::Error::other(error))
        })?;
        self.api()?
            .create(&PostParams::default(), &node)
            .await
            .map_err(Error::request(format!("create node {name}")))?;
        let room = json!({
            "cpu": self.options.cpu,
            "memory": self.options.memory,
            "pods": self.options.pods.to_string(),
        });
        let status = json!({"status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [ready("True", "KubeletReady")],
        }});
        self.patch_status(name, &status).await?;
        // The controller that takes off admission's taint is not running.
        self.taint(name, &[]).await
    }

    /// Cuts a node off: its pods run on, nothing they do is reported, and deleting them does not end. The node is marked
    /// as its controller would: Ready=Unknown and a taint that keeps new pods away.
    ///
    /// # Errors
    /// When the node does not exist.
    pub async fn stop_answering(&self, name: &str) -> Result<()> {
        self.answers.set(name, false);
        let status = json!({"status": {"conditions": [ready("Unknown", "NodeStatusUnknown")]}});
        self.patch_status(name, &status).await?;
        self.taint(name, &[(UNREACHABLE, "NoSchedule")]).await
    }

    /// Brings back a node that was cut off, with all that happened on it meanwhile.
    ///
    /// # Errors
    /// When the node does not exist.
    pub async fn resume(&self, name: &str) -> Result<()> {
        let status = json!({"status": {"conditions": [ready("True", "KubeletReady")]}});
        self.patch_status(name, &status).await?;
        self.taint(name, &[]).await?;
        self.answers.set(name, true);
        Ok(())
    }

    /// Cuts a node off and puts on it the taint by which an admin promises that the machine is off
    /// (`node.kubernetes.io/out-of-service`). The pod garbage collector then removes its terminating pods, within 20 s.
    ///
    /// # Errors
    /// When the node does not exist.
    pub async fn mark_out_of_service(&self, name: &str) -> Result<()> {
        self.stop_answering(name).await?;
        self.taint(
            name,
            &[(UNREACHABLE, "NoSchedule"), (OUT_OF_SERVICE, "NoExecute")],
        )
        .await
    }

    /// Cuts a node off and deletes its object. The pod garbage collector then removes its pods, after 40 to 60 s.
    ///
    /// # Errors
    /// When the node does not exist.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.answers.set(name, false);
        self.api()?
            .delete(name, &DeleteParams::default())
            .await
            .map(drop)
            .map_err(Error::request(format!("delete node {name}")))
    }

    /// Gives a node these taints and the one of its kind, in place of all it has.
    async fn taint(&self, name: &str, taints: &[(&str, &str)]) -> Result<()> {
        let taints = self.taints(taints);
        self.patch(name, &json!({"spec": {"taints": taints}})).await
    }

    fn taints(&self, taints: &[(&str, &str)]) -> Value {
        let dedicated = self.options.dedicated.then_some((DEDICATED, "NoSchedule"));
        let all = dedicated.iter().chain(taints);
        all.map(|(key, effect)| json!({"key": key, "effect": effect}))
            .collect()
    }

    async fn patch(&self, name: &str, patch: &Value) -> Result<()> {
        self.api()?
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map(drop)
            .map_err(Error::request(format!("change node {name}")))
    }

    async fn patch_status(&self, name: &str, patch: &Value) -> Result<()> {
        self.api()?
            .patch_status(name, &PatchParams::default(), &Patch::Strategic(patch))
            .await
            .map(drop)
            .map_err(Error::request(format!("change the status of node {name}")))
    }

    fn api(&self) -> Result<Api<Node>> {
        self.client().map(Api::all)
    }

    /// Gives a client of the calling runtime.
    pub(super) fn client(&self) -> Result<Client> {
        Client::try_from(self.config.clone()).map_err(Error::request("make a client"))
    }
}

fn ready(status: &str, reason: &str) -> Value {
    let now = time(Timestamp::now());
    json!({
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": "set by the kubelet stand-in",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    })
}
