//! The stand-in's writes: bounded in number at a time, and tried again while the API server is away.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::view::Identity;

/// How many writes are on their way at most, for all nodes together.
const IN_FLIGHT: usize = 32;
/// How often one write is tried, which with these pauses is about five minutes without an API server.
const ATTEMPTS: u32 = 320;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a kubelet writes about a pod.
#[derive(Clone, Copy, Debug)]
enum Write<'a> {
    Report(&'a Value),
    Delete,
}

/// Writes what kubelets write.
#[derive(Clone)]
pub(super) struct Writer {
    client: Client,
    permits: Arc<Semaphore>,
}

impl Writer {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            permits: Arc::new(Semaphore::new(IN_FLIGHT)),
        }
    }

    /// Patches a pod's status. The patch names the pod's uid, so it never reaches a successor of the same name.
    pub(super) async fn report(&self, pod: &Identity, status: &Value) {
        self.insist(pod, Write::Report(status)).await;
    }

    /// Deletes a pod that has stopped, as a kubelet does: grace period 0, this uid only.
    pub(super) async fn delete(&self, pod: &Identity) {
        self.insist(pod, Write::Delete).await;
    }

    async fn attempt(&self, pod: &Identity, write: Write<'_>) -> kube::Result<()> {
        let api = Api::<Pod>::namespaced(self.client.clone(), &pod.namespace);
        match write {
            Write::Report(status) => api
                .patch_status(
                    &pod.name,
                    &PatchParams::default(),
                    &Patch::Strategic(status),
                )
                .await
                .map(drop),
            Write::Delete => {
                let params = DeleteParams {
                    grace_period_seconds: Some(0),
                    preconditions: Some(Preconditions {
                        uid: Some(pod.uid.clone()),
                        ..Preconditions::default()
                    }),
                    ..DeleteParams::default()
                };
                api.delete(&pod.name, &params).await.map(drop)
            }
        }
    }

    /// Tries until it is done, the pod is gone, or the server will never take it. A conflict (another uid has the name,
    /// or the server gave up under contention) is tried again: the caller stops when the watch says the pod is gone.
    async fn insist(&self, pod: &Identity, write: Write<'_>) {
        let mut pause = FIRST_PAUSE;
        for _ in 0..ATTEMPTS {
            let permit = self.permits.acquire().await;
            let result = self.attempt(pod, write).await;
            drop(permit);
            match result {
                Ok(()) => return,
                Err(kube::Error::Api(status)) if status.code == 404 => return,
                Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
                    tracing::warn!(namespace = pod.namespace, name = pod.name, ?write, %status, "a kubelet's write was refused");
                    return;
                }
                Err(error) => {
                    tracing::debug!(namespace = pod.namespace, name = pod.name, ?write, %error, "a kubelet's write is tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        tracing::warn!(
            namespace = pod.namespace,
            name = pod.name,
            ?write,
            "a kubelet's write was given up"
        );
    }
}
