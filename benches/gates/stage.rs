//! A control plane without scheduler and controller manager, and what all parts do on it.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use sluice::api::{ConcurrencyLimit, ConcurrencyLimitSpec, all_crds, names};
use sluice_testenv::{Component, ControlPlane, Options};

use super::Result;

/// The limit of all parts.
pub(super) const LIMIT: &str = "gpu";
/// Requests under way at once where only the outcome matters.
const HURRY: usize = 16;
/// How long nothing must have been written: longer than the count of who waits may stay unwritten.
const QUIET: Duration = Duration::from_secs(6);
/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(180);

pub(super) struct Stage {
    pub(super) plane: ControlPlane,
    pub(super) client: Client,
}

/// A pod of the benchmark.
#[derive(Clone)]
pub(super) struct BenchPod {
    pub(super) name: String,
    pub(super) uid: String,
}

impl Stage {
    pub(super) async fn set() -> Result<Self> {
        let options = Options::default()
            .without_scheduler()
            .without_controller_manager();
        let plane = ControlPlane::start(options).await?;
        let client = plane.client();
        let stage = Self { plane, client };
        let crds = Api::<CustomResourceDefinition>::all(stage.client.clone());
        for crd in all_crds() {
            crds.create(&PostParams::default(), &crd).await?;
        }
        // A CRD is served a moment after it was created.
        let limits = stage.limits("default");
        eventually("the CRDs to be served", async || {
            Ok(limits.list(&Default::default()).await.is_ok())
        })
        .await?;
        Ok(stage)
    }

    pub(super) fn directory(&self) -> &Path {
        self.plane.directory()
    }

    /// Processor time that the API server has taken so far.
    pub(super) fn server_cpu_seconds(&self) -> Result<f64> {
        let id = self.plane.process_id(Component::ApiServer);
        cpu_seconds(id.ok_or("the API server has ended")?)
    }

    /// Writes to these kinds so far, by the server's own count.
    pub(super) async fn writes(&self, resources: &[&str]) -> Result<u64> {
        let requests = self.plane.api_requests().await?;
        let counts = requests
            .iter()
            .filter(|(kind, _)| kind.is_write() && resources.contains(&kind.resource.as_str()));
        Ok(counts.map(|(_, count)| count).sum())
    }

    /// Waits until nothing more is written to these kinds, and gives the count.
    pub(super) async fn quiet(&self, resources: &[&str]) -> Result<u64> {
        let mut last = self.writes(resources).await?;
        let mut since = Instant::now();
        eventually("the writes to end", async || {
            let now = self.writes(resources).await?;
            if now != last {
                (last, since) = (now, Instant::now());
            }
            Ok(since.elapsed() >= QUIET)
        })
        .await?;
        Ok(last)
    }

    pub(super) fn limits(&self, namespace: &str) -> Api<ConcurrencyLimit> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(super) fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Creates the limit and waits until it gives out slots.
    pub(super) async fn create_limit(&self, namespace: &str, slots: i32) -> Result<()> {
        let limit = ConcurrencyLimit::new(LIMIT, ConcurrencyLimitSpec::with_slots(slots));
        let limits = self.limits(namespace);
        limits.create(&PostParams::default(), &limit).await?;
        self.limit_has(namespace, "to be fenced", |status| status["fenced"] == true)
            .await
    }

    /// Sets the limit's number of slots.
    pub(super) async fn resize(&self, namespace: &str, slots: i32) -> Result<()> {
        let spec = json!({"spec": {"slots": slots}});
        self.limits(namespace)
            .patch(LIMIT, &PatchParams::default(), &Patch::Merge(spec))
            .await?;
        Ok(())
    }

    /// Waits until the limit's status is as wanted.
    pub(super) async fn limit_has(
        &self,
        namespace: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        let limits = self.limits(namespace);
        eventually(&format!("the limit {what}"), async || {
            let limit = limits.get(LIMIT).await?;
            Ok(wanted(&serde_json::to_value(limit.status)?))
        })
        .await
    }

    /// Creates pods that wait for the limit.
    pub(super) async fn create_pods(&self, namespace: &str, count: usize) -> Result<Vec<BenchPod>> {
        self.create_all(namespace, &gated_pod(), count, HURRY).await
    }

    /// Creates copies of a pod, so many at once.
    pub(super) async fn create_all(
        &self,
        namespace: &str,
        pod: &Value,
        count: usize,
        at_once: usize,
    ) -> Result<Vec<BenchPod>> {
        let pods = self.pods(namespace);
        let pod: Pod = serde_json::from_value(pod.clone())?;
        stream::iter(0..count)
            .map(async |_| {
                let created = pods.create(&PostParams::default(), &pod).await?;
                Ok(BenchPod {
                    name: created.name_any(),
                    uid: created.uid().unwrap_or_default(),
                })
            })
            .buffer_unordered(at_once)
            .try_collect()
            .await
    }

    /// Deletes pods; unbound as they are, they are gone at once.
    pub(super) async fn delete_pods(
        &self,
        namespace: &str,
        pods: impl IntoIterator<Item = String>,
    ) -> Result<()> {
        let api = self.pods(namespace);
        stream::iter(pods)
            .map(async |name| {
                api.delete(&name, &DeleteParams::default())
                    .await
                    .map(|_| ())
            })
            .buffer_unordered(HURRY)
            .try_collect::<()>()
            .await?;
        Ok(())
    }
}

/// A pod that waits for the limit, as admission would have left it.
pub(super) fn gated_pod() -> Value {
    let mut pod = plain_pod();
    pod["metadata"]["labels"][names::MANAGED] = names::MANAGED_VALUE.into();
    pod["metadata"]["annotations"][names::SLOTS] = LIMIT.into();
    pod["spec"]["schedulingGates"] = json!([{"name": names::GATE}]);
    pod
}

/// A pod that has nothing to do with Sluice.
pub(super) fn plain_pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "pod-", "labels": {"app": "bench"}},
        "spec": {"containers": [{
            "name": "main", "image": "none", "command": ["sleep", "5"],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        }]},
    })
}

/// Processor time that a process has taken so far, its own and the kernel's for it.
pub(super) fn cpu_seconds(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in brackets may hold anything; utime and stime are fields 14 and 15, in hundredths of a second.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

/// Waits until a condition holds, looking every 20 ms.
pub(super) async fn eventually(
    what: &str,
    mut condition: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await? {
        if Instant::now() > deadline {
            return Err(format!("waited {PATIENCE:?} in vain for {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
