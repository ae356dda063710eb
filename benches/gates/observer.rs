//! Watches the pods of a namespace, as the controller does, and notes when it sees each gate open.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use kube::Client;
use kube::api::{ListParams, WatchEvent};
use serde::Deserialize;
use sluice::api::names;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::Result;
use super::stage::Stage;

/// How long gates may take to open, one after the other.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gate that was seen open.
pub(super) struct Opened {
    pub(super) pod: String,
    pub(super) at: Instant,
}

pub(super) struct Observer {
    opened: UnboundedReceiver<Opened>,
    task: JoinHandle<()>,
}

/// The parts of a pod that are looked at.
#[derive(Clone, Deserialize)]
struct Seen {
    metadata: SeenMetadata,
    #[serde(default)]
    spec: SeenSpec,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenMetadata {
    name: String,
    deletion_timestamp: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenSpec {
    scheduling_gates: Vec<serde::de::IgnoredAny>,
}

impl Observer {
    /// Watches from now on.
    pub(super) async fn start(stage: &Stage, namespace: &str) -> Result<Self> {
        let request = watch_request(stage, namespace).await?;
        let (sender, opened) = unbounded_channel();
        let client = stage.client.clone();
        let task = tokio::spawn(async move {
            let Ok(events) = client.request_events::<Seen>(request).await else {
                return;
            };
            let mut events = std::pin::pin!(events);
            let mut known = BTreeSet::new();
            while let Ok(Some(event)) = events.try_next().await {
                let at = Instant::now();
                let WatchEvent::Modified(pod) = event else {
                    continue;
                };
                let open = pod.spec.scheduling_gates.is_empty();
                let alive = pod.metadata.deletion_timestamp.is_none();
                if open && alive && known.insert(pod.metadata.name.clone()) {
                    let pod = pod.metadata.name;
                    let _ = sender.send(Opened { pod, at });
                }
            }
        });
        Ok(Self { opened, task })
    }

    /// The next gate that opens.
    pub(super) async fn next(&mut self) -> Result<Opened> {
        tokio::time::timeout(PATIENCE, self.opened.recv())
            .await
            .map_err(|_| format!("no gate opened for {PATIENCE:?}"))?
            .ok_or_else(|| "the benchmark's own watch has ended".into())
    }

    /// So many gates, in the order in which they open.
    pub(super) async fn next_many(&mut self, count: usize) -> Result<Vec<Opened>> {
        let mut opened = Vec::with_capacity(count);
        while opened.len() < count {
            opened.push(self.next().await?);
        }
        Ok(opened)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The same watch, read and thrown away: it stands for the controller's where there is no controller.
pub(super) struct SilentWatch(JoinHandle<()>);

impl SilentWatch {
    pub(super) async fn start(stage: &Stage, namespace: &str) -> Result<Self> {
        let request = watch_request(stage, namespace).await?;
        // A client of its own, as the controller has.
        let client: Client = stage.plane.client();
        Ok(Self(tokio::spawn(async move {
            if let Ok(body) = client.request_stream(request).await {
                let _ = futures::io::copy(body, &mut futures::io::sink()).await;
            }
        })))
    }
}

impl Drop for SilentWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The watch of pods with our label, from the present version on.
async fn watch_request(stage: &Stage, namespace: &str) -> Result<http::Request<Vec<u8>>> {
    let now = stage
        .pods(namespace)
        .list(&ListParams::default().limit(1))
        .await?;
    let version = now.metadata.resource_version.unwrap_or_default();
    let label = names::MANAGED.replace('/', "%2F");
    let path = format!(
        "/api/v1/namespaces/{namespace}/pods?watch=true&timeoutSeconds=3600&allowWatchBookmarks=true\
         &resourceVersion={version}&labelSelector={label}%3D{}",
        names::MANAGED_VALUE
    );
    Ok(http::Request::get(path).body(Vec::new())?)
}
