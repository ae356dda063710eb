//! A pod as the modelled server keeps it, and what the controller's own translation makes of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice::api::names;
use sluice::controller::translate::{self, PodWire};
use sluice::ledger::{Micros, Name, RequestView, Uid};

/// Phase of a pod.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// Not started.
    Pending,
    /// Started.
    Running,
    /// All containers ended well.
    Succeeded,
    /// Some did not, or somebody said so.
    Failed,
}

impl Phase {
    /// Succeeded or Failed.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    fn text(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// What the status says of the one container.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Container {
    /// Nothing.
    Unreported,
    /// `running`.
    Running,
    /// `terminated`.
    Terminated,
}

/// One version of a pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pod {
    /// Who.
    pub uid: Uid,
    /// Where.
    pub namespace: Name,
    /// Under which name.
    pub name: Name,
    /// Which version.
    pub version: u128,
    /// When it was created.
    pub created: Micros,
    /// Value of its PriorityClass.
    pub priority: i32,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Scheduling gates.
    pub gates: Vec<String>,
    /// Where it is bound.
    pub node: Option<Name>,
    /// Its phase.
    pub phase: Phase,
    /// What is said of its container.
    pub container: Container,
    /// PodGC ended it.
    pub collected: bool,
    /// Its deletion was asked for.
    pub deleting: bool,
    /// Finalizers.
    pub finalizers: Vec<String>,
}

/// A version of a pod with the request it carries, translated once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The pod.
    pub pod: Pod,
    /// The request, as the controller's translation reads it.
    pub view: RequestView,
}

impl Pod {
    /// One that nobody has looked at yet: pending, without a gate, asking for nothing.
    pub fn new(namespace: Name, name: Name) -> Self {
        Self {
            uid: "".into(),
            namespace,
            name,
            version: 0,
            created: Micros(0),
            priority: 0,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            gates: Vec::new(),
            node: None,
            phase: Phase::Pending,
            container: Container::Unreported,
            collected: false,
            deleting: false,
            finalizers: Vec::new(),
        }
    }

    /// It has our gate.
    pub fn is_gated(&self) -> bool {
        self.gates.iter().any(|gate| gate == names::GATE)
    }

    /// It carries the label by which the controller watches.
    pub fn is_managed(&self) -> bool {
        self.labels.get(names::MANAGED).map(String::as_str) == Some(names::MANAGED_VALUE)
    }

    /// It asks for slots or locks.
    pub fn asks(&self) -> bool {
        names::ASKING_ANNOTATIONS
            .iter()
            .any(|name| self.annotations.contains_key(*name))
    }

    /// With the request it carries.
    pub fn seen(self) -> Seen {
        let view = match serde_json::from_value::<PodWire>(self.manifest()) {
            Ok(wire) => translate::pod(wire, None),
            Err(error) => crate::bug(&format!(
                "the modelled server made a pod that cannot be read: {error}"
            )),
        };
        Seen { pod: self, view }
    }

    fn manifest(&self) -> Value {
        let gates: Vec<Value> = self
            .gates
            .iter()
            .map(|gate| json!({"name": gate}))
            .collect();
        let state = match self.container {
            Container::Unreported => None,
            Container::Running => Some(json!({"running": {}})),
            Container::Terminated => Some(json!({"terminated": {"exitCode": 0}})),
        };
        let statuses: Vec<Value> = state
            .into_iter()
            .map(|state| json!({"name": "c", "state": state}))
            .collect();
        let conditions = if self.collected {
            json!([{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}])
        } else {
            json!([])
        };
        // Whole seconds, as the server keeps creation times.
        let created = time_text(self.created);
        let deleted = self.deleting.then(|| created.clone());
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "uid": self.uid.as_str(),
                "namespace": self.namespace.as_str(),
                "name": self.name.as_str(),
                "resourceVersion": self.version.to_string(),
                "creationTimestamp": created,
                "deletionTimestamp": deleted,
                "labels": self.labels,
                "annotations": self.annotations,
                "finalizers": self.finalizers,
            },
            "spec": {
                "nodeName": self.node.as_ref().map(Name::as_str),
                "priority": self.priority,
                "schedulingGates": gates,
                "containers": [{"name": "c"}],
            },
            "status": {
                "phase": self.phase.text(),
                "conditions": conditions,
                "containerStatuses": statuses,
            },
        })
    }
}

/// RFC 3339 in whole seconds; the simulation begins in the year 2026 and does not last days.
pub(super) fn time_text(at: Micros) -> String {
    let seconds = at.0 / 1_000_000 - EPOCH_SECONDS;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let day = 1 + hours / 24;
    format!(
        "2026-01-{day:02}T{:02}:{minutes:02}:{:02}Z",
        hours % 24,
        seconds % 60
    )
}

/// 2026-01-01T00:00:00Z in seconds since 1970: when every simulation begins.
pub const EPOCH_SECONDS: u64 = 1_767_225_600;
