//! What the checker reads of one version of a pod or a node.

use std::collections::BTreeMap;

use serde_json::Value;

use super::request::{Attempt, Record};

const GATE: &str = "sluice.dev/slots";
const SLOTS: &str = "sluice.dev/slots";
const LOCKS: &str = "sluice.dev/locks";
const RATES: &str = "sluice.dev/rate-limits";
const IF_MISSING: &str = "sluice.dev/if-missing";
const PRIORITY: &str = "sluice.dev/priority";
const ATTEMPT: &str = "sluice.dev/attempt";
const GRANTED: &str = "sluice.dev/granted";

/// Lists of container statuses.
const STATUSES: [&str; 3] = [
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
];

/// One version of a pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pod {
    pub(super) uid: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    /// What it asks for, as written.
    pub(super) slots: Option<String>,
    pub(super) locks: Option<String>,
    /// What it takes for a rate, as written.
    pub(super) rates: Option<String>,
    pub(super) ignores_missing: bool,
    /// `None`: cannot be read.
    pub(super) attempt: Option<Attempt>,
    /// The record as written.
    pub(super) granted: Option<String>,
    /// The record as read, or what is wrong with it.
    pub(super) record: Option<Result<Record, String>>,
    /// Our gate is on it.
    pub(super) gated: bool,
    pub(super) other_gates: bool,
    pub(super) deleting: bool,
    pub(super) node: Option<String>,
    pub(super) phase: String,
    /// Every container is reported, and reported terminated, by a kubelet.
    pub(super) stopped: bool,
    /// Greater goes first.
    pub(super) priority: i64,
    pub(super) created: String,
}

impl Pod {
    pub(super) fn read(namespace: &str, name: &str, object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let annotations = object.pointer("/metadata/annotations");
        let annotation = |key: &str| {
            annotations
                .and_then(|it| it.get(key))
                .and_then(Value::as_str)
        };
        let gates: Vec<_> = list(object, "/spec/schedulingGates")
            .iter()
            .filter_map(|gate| gate.get("name").and_then(Value::as_str))
            .collect();
        let granted = annotation(GRANTED).map(ToOwned::to_owned);
        Self {
            uid: text("/metadata/uid").unwrap_or_default().to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            labels: object
                .pointer("/metadata/labels")
                .map(strings)
                .unwrap_or_default(),
            slots: annotation(SLOTS).map(ToOwned::to_owned),
            locks: annotation(LOCKS).map(ToOwned::to_owned),
            rates: annotation(RATES).map(ToOwned::to_owned),
            ignores_missing: annotation(IF_MISSING) == Some("Ignore"),
            attempt: Attempt::from_annotation(annotation(ATTEMPT)),
            record: granted.as_deref().map(|text| Record::read(text, namespace)),
            granted,
            gated: gates.contains(&GATE),
            other_gates: gates.iter().any(|gate| *gate != GATE),
            deleting: text("/metadata/deletionTimestamp").is_some(),
            node: text("/spec/nodeName")
                .filter(|node| !node.is_empty())
                .map(ToOwned::to_owned),
            phase: text("/status/phase").unwrap_or_default().to_owned(),
            stopped: all_terminated(object) && !by_pod_gc(object),
            priority: priority(object, annotation(PRIORITY)),
            created: text("/metadata/creationTimestamp")
                .unwrap_or_default()
                .to_owned(),
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// The record, when there is one that can be read.
    pub(super) fn record(&self) -> Option<&Record> {
        self.record.as_ref()?.as_ref().ok()
    }

    /// Asks for anything.
    pub(super) fn asks(&self) -> bool {
        self.slots.is_some() || self.locks.is_some() || self.rates.is_some()
    }
}

/// The value of the class, which the annotation may lower.
fn priority(object: &Value, annotation: Option<&str>) -> i64 {
    let class = object
        .pointer("/spec/priority")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    annotation
        .and_then(|text| text.parse().ok())
        .map_or(class, |own: i64| own.min(class))
}

fn all_terminated(object: &Value) -> bool {
    let declared = list(object, "/spec/containers").len();
    let reported = list(object, "/status/containerStatuses").len();
    reported > 0
        && reported >= declared
        && STATUSES.iter().all(|statuses| {
            list(object, &format!("/status/{statuses}"))
                .iter()
                .all(|status| status.pointer("/state/terminated").is_some())
        })
}

/// The phase was written by the garbage collector, which asks no kubelet.
fn by_pod_gc(object: &Value) -> bool {
    list(object, "/status/conditions").iter().any(|condition| {
        let is =
            |field: &str, value: &str| condition.get(field).and_then(Value::as_str) == Some(value);
        is("type", "DisruptionTarget") && is("reason", "DeletionByPodGC")
    })
}

/// Whether nothing can run on this node: its machine was declared to be off.
pub(super) fn is_out_of_service(node: &Value) -> bool {
    list(node, "/spec/taints").iter().any(|taint| {
        taint.get("key").and_then(Value::as_str) == Some("node.kubernetes.io/out-of-service")
    })
}

fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn strings(object: &Value) -> BTreeMap<String, String> {
    let pairs = object.as_object().into_iter().flatten();
    pairs
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ended(status: Value) -> bool {
        let pod = json!({"spec": {"containers": [{}, {}]}, "status": status});
        Pod::read("ns", "p", &pod).stopped
    }

    #[test]
    fn only_a_report_on_every_container_proves_that_they_stopped() {
        let terminated = json!({"state": {"terminated": {}}});
        let running = json!({"state": {"running": {}}});
        assert!(ended(
            json!({"containerStatuses": [terminated, terminated]})
        ));
        assert!(!ended(json!({"containerStatuses": [terminated]})));
        assert!(!ended(json!({"containerStatuses": [terminated, running]})));
        assert!(!ended(
            json!({"containerStatuses": [terminated, terminated], "initContainerStatuses": [running]})
        ));
        assert!(!ended(json!({})));
        let by_gc = [json!({"type": "DisruptionTarget", "reason": "DeletionByPodGC"})];
        assert!(!ended(
            json!({"containerStatuses": [terminated, terminated], "conditions": by_gc})
        ));
    }

    #[test]
    fn priority_is_only_lowered() {
        let pod = json!({"spec": {"priority": 10}});
        assert_eq!(priority(&pod, Some("20")), 10);
        assert_eq!(priority(&pod, Some("-1")), -1);
        assert_eq!(priority(&pod, Some("high")), 10);
    }
}
