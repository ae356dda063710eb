//! What the demo happens on: a control plane with three nodes, the chart, and the manifests, driven by helm and kubectl as
//! a person would.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use serde::Deserialize as _;
use serde_json::{Value, json};
use sluice::api::names;
use sluice_testenv::{ControlPlane, FakeNodes, NodeOptions, Options, assets, kubelet};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::Result;

/// Where the chart goes; its ServiceAccount has the release's name.
const SYSTEM: &str = "sluice-system";
const RELEASE: &str = "sluice";
/// Workers of the family: each is a node.
const NODES: [&str; 3] = ["worker-1", "worker-2", "worker-3"];
/// How long the server may take to take up a policy; it takes less than a second.
const POLICY_PATIENCE: Duration = Duration::from_secs(60);

/// A control plane, and the namespace of the pods.
pub(super) struct Stage {
    pub(super) plane: ControlPlane,
    pub(super) client: Client,
    pub(super) namespace: String,
    _nodes: FakeNodes,
}

impl Stage {
    /// Starts a control plane with three nodes.
    pub(super) async fn set() -> Result<Self> {
        let plane = ControlPlane::start(Options::default()).await?;
        let nodes = FakeNodes::start(&plane, &NODES, NodeOptions::default()).await?;
        let namespace = plane.namespace("demo").await?;
        let stage = Self {
            client: plane.client(),
            plane,
            namespace,
            _nodes: nodes,
        };
        let log = std::fs::File::create(stage.log_path())?;
        tracing_subscriber::fmt()
            .with_writer(log)
            .with_ansi(false)
            .init();
        Ok(stage)
    }

    /// Where the controller's log goes.
    pub(super) fn log_path(&self) -> PathBuf {
        self.plane.directory().join("sluice.log")
    }

    /// Installs the chart. Its Deployment is set to zero: nothing would run on these nodes, and the same controller runs
    /// in this process.
    pub(super) async fn install_chart(&self) -> Result<()> {
        let chart = repository().join("charts/sluice");
        let mut helm = Command::new(assets::helm().await?);
        helm.args(["install", RELEASE])
            .arg(chart)
            .args(["--namespace", SYSTEM, "--create-namespace"])
            .env("KUBECONFIG", self.plane.kubeconfig());
        finish(helm, None).await?;
        let deployment = format!("deployment/{RELEASE}");
        self.kubectl(&["scale", "-n", SYSTEM, &deployment, "--replicas=0"])
            .await?;
        self.policies_work().await
    }

    /// The kubeconfig of the chart's own ServiceAccount.
    pub(super) async fn controller_kubeconfig(&self) -> Result<PathBuf> {
        let plane = &self.plane;
        Ok(plane
            .kubeconfig_for_service_account(SYSTEM, RELEASE)
            .await?)
    }

    /// Applies the limits and waits until they give out slots.
    pub(super) async fn apply_limits(&self) -> Result<()> {
        let limits = repository().join("examples/limits.yaml");
        let path = limits.display().to_string();
        self.kubectl(&["apply", "-n", &self.namespace, "-f", &path])
            .await?;
        let ready = ["wait", "--for=condition=Ready", "--timeout=60s"];
        let which = [
            "-n",
            &self.namespace,
            "climit/gpu",
            "climit/build",
            "lock/deploy",
        ];
        self.kubectl(&[&ready[..], &which[..]].concat()).await
    }

    /// Applies the Jobs. Their pods run for `run_for`, which stands in for the command that no fake node starts. Returns
    /// how many pods there will be.
    pub(super) async fn apply_jobs(&self, run_for: &str) -> Result<usize> {
        let mut jobs = read_manifests("examples/job.yaml")?;
        jobs.extend(read_manifests("examples/demo/jobs.yaml")?);
        let mut pods = 0;
        for job in &mut jobs {
            pods += job["spec"]["completions"].as_u64().unwrap_or(1);
            job["spec"]["template"]["metadata"]["annotations"][kubelet::RUN_FOR] = run_for.into();
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": jobs}).to_string();
        let apply = ["apply", "-n", &self.namespace, "-f", "-"];
        finish(self.plane.kubectl(&apply)?.into(), Some(list)).await?;
        Ok(usize::try_from(pods)?)
    }

    /// Waits until the API server has taken up the policy that gates pods: it does so a moment after the install.
    async fn policies_work(&self) -> Result<()> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"generateName": "probe-", "annotations": {names::SLOTS: "gpu"}},
            "spec": {"containers": [{"name": "probe", "image": "none"}]},
        }))?;
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let gated = async {
            loop {
                let spec = pods.create(&dry_run, &pod).await?.spec;
                if spec.is_some_and(|spec| spec.scheduling_gates.is_some()) {
                    return Result::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(POLICY_PATIENCE, gated)
            .await
            .map_err(|_| "no pod was gated by the chart's policy within a minute")?
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<()> {
        finish(self.plane.kubectl(arguments)?.into(), None).await
    }
}

/// Runs a command to its end, quietly; fails with what it complained of.
async fn finish(mut command: Command, input: Option<String>) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let (Some(mut stdin), Some(text)) = (child.stdin.take(), input) {
        stdin.write_all(text.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{:?} failed: {complaint}", command.as_std()).into())
}

fn read_manifests(path: &str) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(repository().join(path))?;
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| Ok(Value::deserialize(document)?))
        .collect()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
