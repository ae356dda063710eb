//! From a pod to the request it carries.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pod_wire::{GateWire, MetaWire, PodStatusWire, PodWire};
use crate::api::granted::{AttemptText, Granted as GrantedRecord};
use crate::api::request::{Amount as ApiAmount, IfMissing, MentionKind, OnTimeout, RequestSpec};
use crate::api::{names, request};
use crate::ledger::{
    Amount, Ask, Attempt, Containers, Gates, Granted, GrantedLease, Mention, Micros, Name,
    PodPhase, PoolKey, PoolKind, Progress, RequestText, RequestView, Span, Token, Version, Wants,
};

/// Reads a pod. `priority_max` is the highest priority an annotation may ask for beyond the pod's own.
pub fn pod(wire: PodWire, priority_max: Option<i32>) -> RequestView {
    let meta = wire.metadata;
    let annotations = &meta.annotations;
    let namespace: Name = meta.namespace.as_str().into();
    let raw = |key: &str| annotations.get(key).map(|text| kept(text));
    let text = RequestText {
        slots: raw(names::SLOTS),
        locks: raw(names::LOCKS),
        rates: raw(names::RATE_LIMITS),
        if_missing: raw(names::IF_MISSING),
        attempt: raw(names::ATTEMPT),
    };
    let spec = request::parse(annotations);
    let own_priority = wire.spec.priority.unwrap_or(0);
    let asked = spec.as_ref().ok().and_then(|spec| spec.as_ref()?.priority);
    let ask = match spec {
        Ok(Some(spec)) => Ask::Wants(wants(&spec, &namespace)),
        Ok(None) => Ask::Bad(
            "it has our gate or label, but none of sluice.dev/slots, sluice.dev/locks and sluice.dev/rate-limits".into(),
        ),
        Err(bad) => Ask::Bad(bad.to_string().into()),
    };
    RequestView {
        uid: meta.uid.as_str().into(),
        name: meta.name.as_str().into(),
        version: version(&meta.resource_version),
        arrival: arrival(&meta),
        priority: effective_priority(own_priority, asked, priority_max),
        ask,
        labels: Arc::new(labels(&meta)),
        managed: has_label(&meta),
        attempt: attempt(text.attempt.as_ref()),
        text: Arc::new(text),
        gates: gates(&wire.spec.scheduling_gates),
        granted: annotations
            .get(names::GRANTED)
            .and_then(|text| granted(text)),
        deleting: meta.deletion_timestamp.is_some(),
        finalizers: meta
            .finalizers
            .iter()
            .map(|it| Name::from(it.as_str()))
            .collect(),
        finalizer: meta
            .finalizers
            .iter()
            .any(|finalizer| finalizer == names::FINALIZER),
        node: wire
            .spec
            .node_name
            .filter(|node| !node.is_empty())
            .map(Name::from),
        progress: progress(&wire.status, wire.spec.containers.len()),
        namespace,
        claim: None,
    }
}

/// An annotation may lower the priority the pod has from its class, and raise it as far as the operator allows.
pub(super) fn effective_priority(own: i32, asked: Option<i32>, most: Option<i32>) -> i32 {
    match asked {
        Some(asked) => asked.min(own.max(most.unwrap_or(own))),
        None => own,
    }
}

/// An annotation as it is kept. What is longer than is read is never granted from, so its beginning
/// and its length are enough to tell that it changed; a tenant's 256 KiB must not stay in memory.
fn kept(text: &str) -> Name {
    if text.len() <= request::MAX_ANNOTATION_BYTES {
        return text.into();
    }
    let start: String = text.chars().take(32).collect();
    format!("{start}… ({} bytes)", text.len()).into()
}

pub(super) fn version(text: &str) -> Version {
    Version(text.parse().unwrap_or(0))
}

fn arrival(meta: &MetaWire) -> Micros {
    let micros = meta
        .creation_timestamp
        .as_ref()
        .map_or(0, |time| time.0.as_microsecond());
    Micros(u64::try_from(micros).unwrap_or(0))
}

fn labels(meta: &MetaWire) -> BTreeMap<Name, Name> {
    let pair =
        |(key, value): (&String, &String)| (Name::from(key.as_str()), Name::from(value.as_str()));
    meta.labels.iter().map(pair).collect()
}

fn has_label(meta: &MetaWire) -> bool {
    meta.labels
        .get(names::MANAGED)
        .is_some_and(|value| value == names::MANAGED_VALUE)
}

fn attempt(text: Option<&Name>) -> Option<Attempt> {
    match text.map(|text| text.as_str().parse()) {
        None => Some(Attempt::Number(0)),
        Some(Ok(AttemptText::Number(number))) => Some(Attempt::Number(number)),
        Some(Ok(AttemptText::TimedOut)) => Some(Attempt::TimedOut),
        Some(Err(_)) => None,
    }
}

fn gates(gates: &[GateWire]) -> Gates {
    let ours = gates.iter().position(|gate| gate.name == names::GATE);
    Gates {
        ours: ours.and_then(|place| u32::try_from(place).ok()),
        others: gates.len() > usize::from(ours.is_some()),
    }
}

fn wants(spec: &RequestSpec, namespace: &Name) -> Wants {
    let mentions = spec.mentions.iter().map(|mention| Mention {
        pool: PoolKey::new(
            pool_kind(mention.kind()),
            mention
                .namespace
                .as_deref()
                .map_or_else(|| namespace.clone(), Name::from),
            mention.key.object_name().into(),
        ),
        amount: amount(mention.amount),
    });
    Wants {
        mentions: mentions.collect(),
        ignore_missing: spec.if_missing == IfMissing::Ignore,
        timeout: spec
            .timeout
            .map(|timeout| Span(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))),
        fail_on_timeout: spec.on_timeout == OnTimeout::Fail,
        deny_missing: false,
    }
}

pub(super) fn pool_kind(kind: MentionKind) -> PoolKind {
    match kind {
        MentionKind::Limit => PoolKind::Limit,
        MentionKind::Lock => PoolKind::Lock,
    }
}

fn amount(amount: ApiAmount) -> Amount {
    match amount {
        ApiAmount::Slots(slots) => Amount::Slots(slots),
        ApiAmount::Rate(slots) => Amount::Rate(slots),
        ApiAmount::Shared => Amount::Shared,
        ApiAmount::Exclusive => Amount::Exclusive,
    }
}

/// The record of a reveal; one that no controller can have written is no record.
fn granted(text: &str) -> Option<Granted> {
    let record = GrantedRecord::parse(text).ok()?;
    let lease = |lease: &crate::api::granted::GrantedLease| {
        let mention = lease.mention().ok()?;
        Some(GrantedLease {
            pool: PoolKey::new(
                pool_kind(mention.kind()),
                lease.namespace.as_str().into(),
                mention.key.object_name().into(),
            ),
            pool_uid: lease.uid.as_str().into(),
            amount: amount(mention.amount),
            token: Token(u64::try_from(lease.token).ok()?),
        })
    };
    let leases: Option<Vec<GrantedLease>> = record.leases.iter().map(lease).collect();
    Some(Granted {
        attempt: Attempt::Number(record.attempt),
        leases: leases?.into(),
    })
}

fn progress(status: &PodStatusWire, containers: usize) -> Progress {
    let phase = match status.phase.as_deref() {
        Some("Succeeded" | "Failed") => PodPhase::Terminal,
        _ => PodPhase::Live,
    };
    let reported = status.container_statuses.len();
    let mut all = status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses)
        .chain(&status.ephemeral_container_statuses);
    let containers = if reported == 0 {
        Containers::Unreported
    } else if reported >= containers && all.all(|status| status.state.terminated.is_some()) {
        Containers::AllTerminated
    } else {
        Containers::SomeNotTerminated
    };
    let by_pod_gc = status.conditions.iter().any(|condition| {
        condition.kind == "DisruptionTarget"
            && condition.status == "True"
            && condition.reason.as_deref() == Some("DeletionByPodGC")
    });
    Progress {
        phase,
        containers,
        by_pod_gc,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> RequestView {
        pod(serde_json::from_value(value).unwrap(), None)
    }

    #[test]
    fn reads_a_gated_pod() {
        let view = read(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "12",
                "creationTimestamp": "2026-11-21T10:00:00Z",
                "labels": {"sluice.dev/managed": "true", "sluice.dev/worker": "w1"},
                "annotations": {"sluice.dev/slots": "gpu:a=2, other/db", "sluice.dev/locks": "schema:shared"},
            },
            "spec": {"schedulingGates": [{"name": "x"}, {"name": "sluice.dev/slots"}], "containers": [{"name": "c"}]},
            "status": {"phase": "Pending"},
        }));
        assert_eq!(
            view.gates,
            Gates {
                ours: Some(1),
                others: true
            }
        );
        assert!(view.managed && !view.is_revealed());
        assert_eq!(view.version, Version(12));
        let Ask::Wants(wants) = view.ask else {
            panic!("{:?}", view.ask)
        };
        let names: Vec<String> = wants
            .mentions
            .iter()
            .map(|it| format!("{} {:?}", it.pool, it.amount))
            .collect();
        assert_eq!(
            names,
            [
                "limit ns/gpu:a Slots(2)",
                "limit other/db Slots(1)",
                "lock ns/schema Shared"
            ]
        );
    }

    #[test]
    fn reads_an_end() {
        let status = |statuses: serde_json::Value, conditions: serde_json::Value| {
            read(json!({
                "metadata": {"name": "p", "namespace": "ns"},
                "spec": {"nodeName": "n", "containers": [{"name": "c"}]},
                "status": {"phase": "Failed", "containerStatuses": statuses, "conditions": conditions},
            }))
            .progress
        };
        let terminated = json!([{"name": "c", "state": {"terminated": {"exitCode": 0}}}]);
        let running = json!([{"name": "c", "state": {"running": {}}}]);
        assert_eq!(
            status(terminated.clone(), json!([])).containers,
            Containers::AllTerminated
        );
        assert_eq!(
            status(running, json!([])).containers,
            Containers::SomeNotTerminated
        );
        assert_eq!(
            status(json!([]), json!([])).containers,
            Containers::Unreported
        );
        let collected =
            json!([{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}]);
        assert!(status(terminated, collected).by_pod_gc);
    }

    #[test]
    fn an_annotation_lowers_a_priority_and_raises_it_only_as_allowed() {
        assert_eq!(effective_priority(5, None, None), 5);
        assert_eq!(effective_priority(5, Some(3), None), 3);
        assert_eq!(effective_priority(5, Some(9), None), 5);
        assert_eq!(effective_priority(5, Some(9), Some(7)), 7);
        assert_eq!(effective_priority(5, Some(9), Some(2)), 5);
    }

    #[test]
    fn a_forged_attempt_or_record_is_none() {
        let view = read(json!({
            "metadata": {"name": "p", "namespace": "ns", "annotations": {
                "sluice.dev/attempt": "07", "sluice.dev/granted": "{\"attempt\": 1}"}},
            "spec": {"containers": []},
        }));
        assert_eq!((view.attempt, view.granted), (None, None));
        assert!(matches!(view.ask, Ask::Bad(_)));
    }
}
