//! One look at the limits, the lock and their pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use sluice::api::{ConcurrencyLimit, Key, Lock, names};

use super::Result;
use super::stage::Stage;

/// Limits and locks by key, in order.
#[derive(Default)]
pub(super) struct Snapshot {
    pub(super) rows: BTreeMap<String, Row>,
}

/// A limit or lock and the pods that ask for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Slots of a limit; one of a lock, which nobody shares here.
    pub(super) slots: i32,
    /// Slots taken, by the status of the limit or lock.
    pub(super) held: i32,
    /// Pods that still have the gate.
    pub(super) waiting: usize,
    /// Pods without the gate that have not ended.
    pub(super) running: usize,
    pub(super) succeeded: usize,
    pub(super) failed: usize,
}

impl Snapshot {
    /// Reads everything once.
    pub(super) async fn take(stage: &Stage) -> Result<Self> {
        let mut snapshot = Self::default();
        for limit in list::<ConcurrencyLimit>(stage).await? {
            // A family has no slots of its own: those of its workers are limits too.
            if limit.spec.per_worker.is_none() {
                let row = snapshot.row(key_of(&limit.name_any()));
                row.slots = limit.spec.slots;
                row.held = limit.status.map_or(0, |status| status.ledger.in_use);
            }
        }
        for lock in list::<Lock>(stage).await? {
            let row = snapshot.row(key_of(&lock.name_any()));
            row.slots = 1;
            row.held = lock.status.map_or(0, |status| status.in_use);
        }
        for pod in list::<Pod>(stage).await? {
            if let Some(key) = asked_for(&pod) {
                snapshot.row(key).count(&pod);
            }
        }
        Ok(snapshot)
    }

    pub(super) fn succeeded(&self) -> usize {
        self.rows.values().map(|row| row.succeeded).sum()
    }

    pub(super) fn failed(&self) -> usize {
        self.rows.values().map(|row| row.failed).sum()
    }

    fn row(&mut self, key: String) -> &mut Row {
        self.rows.entry(key).or_default()
    }
}

impl Row {
    fn count(&mut self, pod: &Pod) {
        let gates = pod.spec.iter().flat_map(|spec| &spec.scheduling_gates);
        let gated = gates.flatten().any(|gate| gate.name == names::GATE);
        let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
        let counter = match phase {
            Some("Succeeded") => &mut self.succeeded,
            Some("Failed") => &mut self.failed,
            _ if gated => &mut self.waiting,
            _ => &mut self.running,
        };
        *counter += 1;
    }
}

async fn list<K>(stage: &Stage) -> Result<Vec<K>>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(stage.client.clone(), &stage.namespace);
    Ok(api.list(&ListParams::default()).await?.items)
}

/// The key that an object serves, as people write it.
fn key_of(object_name: &str) -> String {
    Key::from_object_name(object_name).map_or(object_name.to_owned(), |key| key.to_string())
}

/// The one limit or lock that a pod of the demo asks for.
fn asked_for(pod: &Pod) -> Option<String> {
    let annotations = pod.annotations();
    let key = annotations
        .get(names::SLOTS)
        .or_else(|| annotations.get(names::LOCKS))?;
    Some(match pod.labels().get(names::WORKER) {
        Some(worker) => format!("{key}:{worker}"),
        None => key.clone(),
    })
}
