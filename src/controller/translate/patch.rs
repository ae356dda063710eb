//! From what a patch is for to the JSON patch that does it. Every patch tests the uid; whatever a
//! decision was made from is tested too (docs/design.md 5.1).

use serde_json::{Value, json};

use super::claim::claim_operations;
use crate::api::granted::{Granted, GrantedKind, GrantedLease};
use crate::api::names;
use crate::api::status::LockMode;
use crate::controller::transport::{Part, PatchOperation};
use crate::ledger::mutant::{self, Mutant};
use crate::ledger::{Amount, Attempt, Name, PoolKind, RequestAction, RequestPatch, Reveal};

/// The JSON patch for an action, and the part of the pod it is for.
pub fn request_patch(patch: &RequestPatch) -> (Part, Vec<PatchOperation>) {
    let mut operations = vec![test("/metadata/uid", json!(patch.uid.as_str()))];
    let part = match &patch.action {
        RequestAction::Reveal(reveal) => {
            operations.extend(reveal_operations(reveal, &patch.namespace));
            Part::Main
        }
        RequestAction::Bump { from, gate, to } => {
            let attempt = annotation_path(names::ATTEMPT);
            if !mutant::is(Mutant::AbortUntestedAttempt) {
                operations.push(test(&attempt, optional(from.as_ref())));
            }
            if !mutant::is(Mutant::AbortUntestedGate) {
                operations.push(test(
                    &format!("/spec/schedulingGates/{gate}/name"),
                    json!(names::GATE),
                ));
            }
            operations.push(add(&attempt, json!(to.to_string())));
            Part::Main
        }
        RequestAction::StripFinalizer { finalizers } => {
            operations.push(test("/metadata/finalizers", strings(finalizers)));
            let left: Vec<&Name> = finalizers
                .iter()
                .filter(|name| name.as_str() != names::FINALIZER)
                .collect();
            let left: Vec<&str> = left.into_iter().map(Name::as_str).collect();
            operations.push(add("/metadata/finalizers", json!(left)));
            Part::Main
        }
        RequestAction::Label { labelled } => {
            if *labelled {
                operations.push(add(
                    &label_path(names::MANAGED),
                    json!(names::MANAGED_VALUE),
                ));
            } else {
                operations.push(test("/metadata/labels", Value::Null));
                operations.push(add(
                    "/metadata/labels",
                    json!({names::MANAGED: names::MANAGED_VALUE}),
                ));
            }
            Part::Main
        }
        RequestAction::Fail { message } => {
            // Given up for good, and still so: its past may have been restored meanwhile.
            if !mutant::is(Mutant::TimeoutWithoutAbort) {
                let attempt = annotation_path(names::ATTEMPT);
                operations.push(test(&attempt, json!(names::TIMED_OUT)));
            }
            operations.push(add("/status/phase", json!("Failed")));
            operations.push(add("/status/reason", json!("SlotTimeout")));
            operations.push(add("/status/message", json!(message.as_ref())));
            Part::Status
        }
        RequestAction::Claim(action) => {
            operations.extend(claim_operations(action));
            Part::Status
        }
    };
    (part, operations)
}

fn reveal_operations(reveal: &Reveal, namespace: &Name) -> Vec<PatchOperation> {
    let mut operations = vec![
        test(
            &annotation_path(names::ATTEMPT),
            optional(reveal.text.attempt.as_ref()),
        ),
        test(
            &annotation_path(names::SLOTS),
            optional(reveal.text.slots.as_ref()),
        ),
        test(
            &annotation_path(names::LOCKS),
            optional(reveal.text.locks.as_ref()),
        ),
        test(
            &annotation_path(names::RATE_LIMITS),
            optional(reveal.text.rates.as_ref()),
        ),
        test(
            &annotation_path(names::IF_MISSING),
            optional(reveal.text.if_missing.as_ref()),
        ),
        // Ours is the only gate: it is granted last.
        test("/spec/schedulingGates", json!([{"name": names::GATE}])),
    ];
    if mutant::is(Mutant::RevealUntestedAttempt) {
        operations.remove(0);
    }
    if mutant::is(Mutant::RevealUntestedRequest) {
        operations.drain(1..5);
    }
    let untested = mutant::is(Mutant::RevealUntestedWorker);
    for (label, value) in reveal.labels.iter().filter(|_| !untested) {
        operations.push(test(&label_path(label.as_str()), optional(value.as_ref())));
    }
    operations.push(PatchOperation::Remove {
        path: "/spec/schedulingGates".to_owned(),
    });
    let record = record(reveal);
    let text = record.render().unwrap_or_default();
    operations.push(add(&annotation_path(names::GRANTED), json!(text)));
    if let Some(tokens) = record.tokens(GrantedKind::ConcurrencyLimit, namespace.as_str()) {
        operations.push(add(&annotation_path(names::TOKENS), json!(tokens)));
    }
    if let Some(tokens) = record.tokens(GrantedKind::Lock, namespace.as_str()) {
        operations.push(add(&annotation_path(names::LOCK_TOKENS), json!(tokens)));
    }
    match &reveal.finalizers {
        None => {}
        Some(others) if others.is_empty() => {
            operations.push(test("/metadata/finalizers", Value::Null));
            operations.push(add("/metadata/finalizers", json!([names::FINALIZER])));
        }
        Some(_) => operations.push(add("/metadata/finalizers/-", json!(names::FINALIZER))),
    }
    operations
}

fn record(reveal: &Reveal) -> Granted {
    let attempt = match reveal.attempt {
        Attempt::Number(number) => number,
        Attempt::TimedOut => u32::MAX,
    };
    Granted {
        attempt,
        leases: reveal.leases.iter().map(granted_lease).collect(),
    }
}

/// A lease as the records of pods and claims have it.
pub(super) fn granted_lease(lease: &crate::ledger::GrantedLease) -> GrantedLease {
    let (slots, mode) = match lease.amount {
        Amount::Slots(slots) | Amount::Rate(slots) => (Some(slots), None),
        Amount::Shared => (None, Some(LockMode::Shared)),
        Amount::Exclusive => (None, Some(LockMode::Exclusive)),
    };
    GrantedLease {
        kind: match lease.pool.kind {
            PoolKind::Limit => GrantedKind::ConcurrencyLimit,
            PoolKind::Lock => GrantedKind::Lock,
        },
        namespace: lease.pool.namespace.to_string(),
        key: lease.pool.text(),
        uid: lease.pool_uid.to_string(),
        slots,
        mode,
        token: i64::try_from(lease.token.0).unwrap_or(i64::MAX),
    }
}

pub(super) fn test(path: &str, value: Value) -> PatchOperation {
    PatchOperation::Test {
        path: path.to_owned(),
        value,
    }
}

pub(super) fn add(path: &str, value: Value) -> PatchOperation {
    PatchOperation::Add {
        path: path.to_owned(),
        value,
    }
}

/// `null` passes where the key is absent, and only there.
fn optional(text: Option<&Name>) -> Value {
    text.map_or(Value::Null, |text| json!(text.as_str()))
}

fn strings(names: &[Name]) -> Value {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    json!(names)
}

pub(super) fn annotation_path(key: &str) -> String {
    format!("/metadata/annotations/{}", escape(key))
}

fn label_path(key: &str) -> String {
    format!("/metadata/labels/{}", escape(key))
}

/// JSON pointer escapes (RFC 6901).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
