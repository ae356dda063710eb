//! The control plane a world is on: the one of this process, or one of its own.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use sluice::api::{ConcurrencyLimit, Lock, SlotClaim};
use sluice_testenv::{ControlPlane, FakeNodes};
use tokio::sync::OnceCell;

use super::{PATIENCE_SECONDS, POLL_MILLIS};

/// Whether the shared control plane serves our kinds.
static SHARED_CRDS: OnceCell<()> = OnceCell::const_new();

/// Our kinds.
fn ours() -> [ApiResource; 3] {
    [
        ApiResource::erase::<ConcurrencyLimit>(&()),
        ApiResource::erase::<Lock>(&()),
        ApiResource::erase::<SlotClaim>(&()),
    ]
}

/// A control plane with our CRDs.
pub(crate) enum Stage {
    /// That of this process, with nodes.
    Shared(&'static ControlPlane, &'static FakeNodes),
    /// One that ends with the world; nodes where pods are to run.
    Own(Box<(ControlPlane, Option<FakeNodes>)>),
}

impl Stage {
    pub(super) async fn shared() -> Self {
        let (plane, nodes) = ControlPlane::shared_with_nodes().await;
        SHARED_CRDS
            .get_or_init(async || install_crds(&plane.client()).await)
            .await;
        Self::Shared(plane, nodes)
    }

    pub(super) async fn own(plane: ControlPlane, nodes: Option<FakeNodes>) -> Self {
        install_crds(&plane.client()).await;
        Self::Own(Box::new((plane, nodes)))
    }

    pub(crate) fn plane(&self) -> &ControlPlane {
        match self {
            Self::Shared(plane, _) => plane,
            Self::Own(own) => &own.0,
        }
    }

    pub(crate) fn nodes(&self) -> &FakeNodes {
        match self {
            Self::Shared(_, nodes) => nodes,
            Self::Own(own) => own.1.as_ref().unwrap(),
        }
    }
}

/// Installs the checked-in CRDs, and waits until the server serves them.
pub(crate) async fn install_crds(client: &Client) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let manager = PatchParams::apply("sluice-tests").force();
    for resource in ours() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("crds")
            .join(format!("{}.yaml", resource.plural));
        let crd: CustomResourceDefinition =
            serde_yaml::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let name = crd.metadata.name.clone().unwrap();
        crds.patch(&name, &manager, &Patch::Apply(&crd))
            .await
            .unwrap();
    }
    ours_are_served(client).await;
}

/// Waits until the server serves our kinds: what is new to it, or to its new process, it does not for a moment.
pub(crate) async fn ours_are_served(client: &Client) {
    for resource in ours() {
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let served = async {
            while objects.list(&ListParams::default().limit(1)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(POLL_MILLIS)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(PATIENCE_SECONDS), served)
            .await
            .unwrap();
    }
}
