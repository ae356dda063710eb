//! The floor: gates opened by a bare loop, with the very patch that the controller sends, and no logic.

use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use sluice::controller::translate::request_patch;
use sluice::ledger::{
    Amount, Attempt, GrantedLease, HolderKind, PoolKey, PoolKind, RequestAction, RequestPatch,
    RequestText, Reveal, Token,
};

use super::Result;
use super::observer::{Observer, SilentWatch};
use super::report::rate;
use super::stage::{BenchPod, LIMIT, Stage};

/// Opens the gates of new pods over so many connections; how many a second, until the last was seen open.
pub(super) async fn run(stage: &Stage, pods: usize, connections: usize) -> Result<f64> {
    let namespace = stage.plane.namespace("floor").await?;
    let pods = stage.create_pods(&namespace, pods).await?;
    let mut observer = Observer::start(stage, &namespace).await?;
    let _in_place_of_the_controllers = SilentWatch::start(stage, &namespace).await?;
    let bare = BareLoop::warm(stage, &namespace, connections).await?;
    let start = Instant::now();
    let patches = stream::iter(&pods).map(|pod| bare.open(pod));
    let (done, opened) = tokio::join!(
        patches.buffer_unordered(connections).try_collect::<()>(),
        observer.next_many(pods.len()),
    );
    done?;
    let last = opened?.last().map_or(start, |it| it.at);
    let rate = rate(pods.len(), last - start);
    stage
        .delete_pods(&namespace, pods.into_iter().map(|pod| pod.name))
        .await?;
    Ok(rate)
}

/// Opens gates, one request each.
pub(super) struct BareLoop {
    client: kube::Client,
    namespace: String,
}

impl BareLoop {
    /// A client whose connections are open, as a running controller's are.
    pub(super) async fn warm(stage: &Stage, namespace: &str, connections: usize) -> Result<Self> {
        let client = stage.plane.client();
        stream::iter(0..connections)
            .map(async |_| {
                let request = http::Request::get("/version").body(Vec::new())?;
                client.request_text(request).await?;
                Ok::<(), super::Error>(())
            })
            .buffer_unordered(connections)
            .try_collect::<()>()
            .await?;
        Ok(Self {
            client,
            namespace: namespace.to_owned(),
        })
    }

    /// Opens one gate.
    pub(super) async fn open(&self, pod: &BenchPod) -> Result<()> {
        let namespace = &self.namespace;
        let (_, operations) = request_patch(&reveal(namespace, pod));
        let path = format!("/api/v1/namespaces/{namespace}/pods/{}", pod.name);
        let request = http::Request::patch(path)
            .header("content-type", "application/json-patch+json")
            .header("accept", "application/json")
            .body(serde_json::to_vec(&operations)?)?;
        self.client.request_text(request).await?;
        Ok(())
    }
}

/// What the ledger would ask for.
fn reveal(namespace: &str, pod: &BenchPod) -> RequestPatch {
    let lease = GrantedLease {
        pool: PoolKey::new(PoolKind::Limit, namespace.into(), LIMIT.into()),
        pool_uid: "b2b7b1b6-8a50-4d6c-9f0e-3f2f6a2d9c11".into(),
        amount: Amount::Slots(1),
        token: Token(1_795_219_200_000_000),
    };
    RequestPatch {
        uid: pod.uid.as_str().into(),
        namespace: namespace.into(),
        name: pod.name.as_str().into(),
        kind: HolderKind::Pod,
        action: RequestAction::Reveal(Box::new(Reveal {
            text: Arc::new(RequestText {
                slots: Some(LIMIT.into()),
                ..RequestText::default()
            }),
            labels: Vec::new(),
            attempt: Attempt::Number(0),
            leases: vec![lease],
            finalizers: None,
        })),
    }
}
