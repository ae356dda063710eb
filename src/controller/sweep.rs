//! Finds pods that ask for slots and do not carry our label, and labels them: those that came past
//! admission, and hand-written ones. Only then does the watch show them. Decides nothing about them.

use serde_json::json;
use tracing::{info, warn};

use super::config::SWEEP_EVERY;
use super::kube_transport::Shared;
use super::transport::{Address, Kind, Part, PatchOperation, PodMetadata};
use crate::api::names;
use crate::election::MandateSeen;
use crate::ledger::Name;

/// Most pages of one sweep: a million pods. What lies beyond is found by the next.
const PAGES_MAX: usize = 2_000;

/// Sweeps as soon as this process leads and then from time to time, for ever.
pub(super) async fn sweep(
    transport: Shared,
    scopes: Vec<Option<Name>>,
    mut mandate: Option<MandateSeen>,
) {
    if let Some(mandate) = &mut mandate {
        while mandate.epoch().is_none() {
            mandate.changed().await;
        }
    }
    loop {
        for scope in &scopes {
            sweep_once(&transport, scope.as_ref()).await;
        }
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

async fn sweep_once(transport: &Shared, scope: Option<&Name>) {
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let (pods, next) = match transport.page_pods(scope, after).await {
            Ok(page) => page,
            Err(failure) => {
                warn!(%failure, "pods without our label could not be looked for; the next sweep will");
                return;
            }
        };
        for pod in pods
            .iter()
            .filter(|pod| pod.asks && !pod.managed && !pod.mirror)
        {
            label(transport, pod).await;
        }
        match next {
            Some(token) => after = Some(token),
            None => return,
        }
    }
}

async fn label(transport: &Shared, pod: &PodMetadata) {
    let at = Address {
        kind: Kind::Pod,
        namespace: Some(pod.namespace.clone()),
        name: pod.name.clone(),
    };
    let uid = PatchOperation::Test {
        path: "/metadata/uid".to_owned(),
        value: json!(pod.uid.as_str()),
    };
    let add = if pod.labelled {
        let path = format!("/metadata/labels/{}", names::MANAGED.replace('/', "~1"));
        PatchOperation::Add {
            path,
            value: json!(names::MANAGED_VALUE),
        }
    } else {
        let labels = json!({names::MANAGED: names::MANAGED_VALUE});
        PatchOperation::Add {
            path: "/metadata/labels".to_owned(),
            value: labels,
        }
    };
    match transport.patch(&at, Part::Main, &[uid, add]).await {
        Ok(_) => {
            info!(namespace = %pod.namespace, pod = %pod.name, "labelled a pod that admission had missed")
        }
        Err(failure) => {
            warn!(namespace = %pod.namespace, pod = %pod.name, %failure, "a pod that admission had missed could not be labelled")
        }
    }
}
