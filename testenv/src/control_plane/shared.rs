//! One control plane for all tests of a process: it costs seconds to start and 700 MB to have.

use tokio::sync::OnceCell;

use crate::component::Component;
use crate::control_plane::{ControlPlane, Options};
use crate::error::Result;
use crate::kubelet::{FakeNodes, NodeOptions};

static PLANE: OnceCell<Result<ControlPlane, String>> = OnceCell::const_new();
static NODES: OnceCell<Result<FakeNodes, String>> = OnceCell::const_new();

impl ControlPlane {
    /// Gives the control plane of this process, starting it for the first that asks.
    ///
    /// It is never dropped: its processes end with this one. Tests that hurt components start one of their own.
    ///
    /// # Panics
    /// When it cannot be started, with the one sentence that says why; every later caller hears the same at once.
    pub async fn shared() -> &'static Self {
        let started = PLANE
            .get_or_init(|| async {
                Self::start(Options::default())
                    .await
                    .map_err(|error| error.to_string())
            })
            .await;
        or_fail(started)
    }

    /// Gives the control plane of this process with nodes `node-1`, `node-2` and `node-3`, so that pods run.
    ///
    /// # Panics
    /// When they cannot be started, with the one sentence that says why.
    pub async fn shared_with_nodes() -> (&'static Self, &'static FakeNodes) {
        let plane = Self::shared().await;
        let started = NODES
            .get_or_init(|| async { nodes(plane).await.map_err(|error| error.to_string()) })
            .await;
        (plane, or_fail(started))
    }
}

async fn nodes(plane: &ControlPlane) -> Result<FakeNodes> {
    // Without these nothing would ever be bound, and each test would wait in vain.
    for component in [Component::ControllerManager, Component::Scheduler] {
        plane.process(component)?;
    }
    let names = ["node-1", "node-2", "node-3"];
    FakeNodes::start(plane, &names, NodeOptions::default()).await
}

#[expect(
    clippy::panic,
    reason = "a test that cannot have its control plane fails; each of them would have to unwrap"
)]
fn or_fail<T>(started: &'static Result<T, String>) -> &'static T {
    match started {
        Ok(value) => value,
        Err(sentence) => panic!("{sentence}"),
    }
}
