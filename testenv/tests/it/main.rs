//! The test environment tested against itself: what other tests rely on without looking.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test code, and clippy sees only the test functions as such"
)]

mod faults;
mod pods;
mod serves;
mod up;

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};

/// Far more than anything here takes, for machines that are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` gives something.
async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let looks = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looks)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen within {PATIENCE:?}"))
}

/// Creates a pod with these annotations.
async fn create_pod(client: &Client, namespace: &str, name: &str, annotations: Value) -> Api<Pod> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let pod = json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]},
    });
    let pod = serde_json::from_value(pod).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    pods
}

/// Waits until a pod has a phase.
async fn phase(pods: &Api<Pod>, name: &str, wanted: &str) -> Pod {
    eventually(&format!("phase {wanted} of {name}"), async || {
        let pod = pods.get_opt(name).await.unwrap()?;
        (pod.status.as_ref()?.phase.as_deref()? == wanted).then_some(pod)
    })
    .await
}

/// Gives the state of a pod's only container: `waiting`, `running` or `terminated`.
fn container_state(pod: &Pod) -> Option<&'static str> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let state = statuses.first()?.state.as_ref()?;
    match (&state.running, &state.terminated) {
        (Some(_), _) => Some("running"),
        (_, Some(_)) => Some("terminated"),
        _ => Some("waiting"),
    }
}
