//! From a `SlotClaim` to the request it carries, and from what is to be written on one to the JSON patch that does it.
//!
//! A claim of which the server would not have taken the parts (an older schema, a hand in the store) becomes a request
//! that cannot be read, with the sentence that says why; it is denied, and nothing else stops for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::patch::{add, granted_lease, test};
use super::pod::{effective_priority, pool_kind, version};
use super::status::{attempt_number, attempt_of, time};
use crate::api::claim::{ClaimGrant, ClaimPhase as ApiPhase, SlotClaimSpec, SlotClaimStatus};
use crate::controller::transport::PatchOperation;
use crate::convert::{claim_view, claim_wants};
use crate::ledger::mutant::{self, Mutant};
use crate::ledger::{
    Amount, Ask, Attempt, ClaimAction, Gates, Granted, GrantedLease, Micros, Name, PoolKey,
    Progress, RequestText, RequestView, Span, Token,
};

/// Most characters of a status message; the API refuses longer ones.
const MESSAGE_CHARS_MAX: usize = crate::api::claim::MAX_MESSAGE_LENGTH;

/// Reads a claim. `priority_max` is the highest priority a claim may ask for above 0.
pub fn claim(object: DynamicObject, priority_max: Option<i32>) -> RequestView {
    let meta = object.metadata;
    let mut data = object.data;
    let namespace: Name = meta.namespace.clone().unwrap_or_default().into();
    let spec = data.get_mut("spec").map(Value::take).unwrap_or_default();
    let status = data.get_mut("status").map(Value::take).unwrap_or_default();
    let spec: Result<SlotClaimSpec, String> =
        serde_json::from_value(spec).map_err(|error| format!("spec: {error}"));
    let read = if status.is_null() {
        Ok(SlotClaimStatus::default())
    } else {
        serde_json::from_value(status).map_err(|error| format!("status: {error}"))
    };
    let (status, status_broken) = match read {
        Ok(status) => (status, None),
        // Nothing is known of it: it counts as holding whatever the limits say it holds.
        Err(why) => (
            SlotClaimStatus {
                phase: ApiPhase::Granted,
                ..SlotClaimStatus::default()
            },
            Some(why),
        ),
    };
    let ask = match (&spec, status_broken) {
        (_, Some(why)) => Ask::Bad(why.into()),
        (Err(why), None) => Ask::Bad(why.as_str().into()),
        (Ok(spec), None) => match claim_wants(spec, &namespace) {
            Ok(wants) => Ask::Wants(wants),
            Err(why) => Ask::Bad(why.into()),
        },
    };
    let spec = spec.unwrap_or_default();
    let pending = status.phase == ApiPhase::Pending;
    let micros = meta
        .creation_timestamp
        .as_ref()
        .map_or(0, |time| time.0.as_microsecond());
    RequestView {
        uid: meta.uid.clone().unwrap_or_default().into(),
        namespace,
        name: meta.name.clone().unwrap_or_default().into(),
        version: version(meta.resource_version.as_deref().unwrap_or_default()),
        arrival: Micros(u64::try_from(micros).unwrap_or(0)),
        priority: effective_priority(0, spec.priority, priority_max),
        ask,
        text: Arc::new(RequestText::default()),
        labels: Arc::new(BTreeMap::new()),
        managed: true,
        attempt: attempt_of(status.attempt).ok(),
        gates: Gates {
            ours: pending.then_some(0),
            others: false,
        },
        granted: granted(&status),
        // Who gives up while waiting is on the way out like an object that is being deleted: abort first.
        deleting: meta.deletion_timestamp.is_some() || (pending && spec.release),
        finalizers: Arc::new([]),
        finalizer: false,
        node: None,
        progress: Progress::default(),
        claim: Some(claim_view(&spec, &status)),
    }
}

fn whole_seconds(span: Span) -> u64 {
    span.0.div_ceil(1000)
}

/// What a status says was granted; one that no controller can have written is nothing.
fn granted(status: &SlotClaimStatus) -> Option<Granted> {
    if !matches!(status.phase, ApiPhase::Granted | ApiPhase::Revoked) {
        return None;
    }
    let lease = |grant: &ClaimGrant| {
        let lease = grant.lease()?;
        let mention = lease.mention().ok()?;
        let amount = match mention.amount {
            crate::api::Amount::Slots(slots) if grant.rate => Amount::Rate(slots),
            crate::api::Amount::Slots(slots) => Amount::Slots(slots),
            crate::api::Amount::Rate(slots) => Amount::Rate(slots),
            crate::api::Amount::Shared => Amount::Shared,
            crate::api::Amount::Exclusive => Amount::Exclusive,
        };
        Some(GrantedLease {
            pool: PoolKey::new(
                pool_kind(mention.kind()),
                lease.namespace.as_str().into(),
                mention.key.object_name().into(),
            ),
            pool_uid: lease.uid.as_str().into(),
            amount,
            token: Token(u64::try_from(lease.token).ok()?),
        })
    };
    let leases: Option<Vec<GrantedLease>> = status.grants.iter().map(lease).collect();
    Some(Granted {
        attempt: attempt_of(status.attempt).ok()?,
        leases: leases?.into(),
    })
}

/// The operations on a claim's status, without the test of its uid.
pub(super) fn claim_operations(action: &ClaimAction) -> Vec<PatchOperation> {
    match action {
        ClaimAction::Grant {
            attempt,
            leases,
            terms,
            at,
        } => {
            let mut operations = still_pending(*attempt);
            if mutant::is(Mutant::ClaimGrantUntestedAttempt) {
                operations.truncate(1);
            }
            let mut status = json!({
                "phase": "Granted",
                "attempt": attempt_number(*attempt),
                "grants": leases.iter().map(grant).collect::<Vec<_>>(),
                "grantedAt": time(*at),
            });
            let takes = |lease: &GrantedLease| matches!(lease.amount, Amount::Rate(_));
            let is_rate = !leases.is_empty() && leases.iter().all(takes);
            // What was taken for a rate is never lost: nothing is renewed, nothing expires.
            if let Some(fields) = status.as_object_mut().filter(|_| !is_rate) {
                let lease = whole_seconds(terms.lease);
                fields.insert("leaseDurationSeconds".to_owned(), json!(lease));
                let lock_delay = whole_seconds(terms.lock_delay);
                fields.insert("lockDelaySeconds".to_owned(), json!(lock_delay));
                let ends = time(at.after(terms.lease));
                fields.insert("expiresAt".to_owned(), json!(ends));
            }
            operations.push(add("/status", status));
            operations
        }
        ClaimAction::Bump { from, to } => {
            let mut operations = still_pending(*from);
            operations.push(add(
                "/status",
                json!({"phase": "Pending", "attempt": attempt_number(*to)}),
            ));
            operations
        }
        ClaimAction::Refuse {
            from,
            phase,
            reason,
            message,
        } => {
            let mut operations = still_pending(*from);
            operations.push(add(
                "/status",
                json!({
                    "phase": phase.word(),
                    "attempt": attempt_number(Attempt::TimedOut),
                    "reason": reason,
                    "message": short(message),
                }),
            ));
            operations
        }
        ClaimAction::Revoke {
            seq,
            reason,
            message,
        } => vec![
            if mutant::is(Mutant::RevokeUntestedSeq) {
                test("/status/phase", json!("Granted"))
            } else {
                test("/spec/renew/seq", json!(seq))
            },
            test("/status/phase", json!("Granted")),
            add("/status/phase", json!("Revoked")),
            add("/status/reason", json!(reason.word())),
            add("/status/message", json!(short(message))),
        ],
        ClaimAction::Finish { from, attempt } => vec![
            test("/spec/release", json!(true)),
            test("/status/phase", json!(from.word())),
            test("/status/attempt", json!(attempt_number(*attempt))),
            add("/status/phase", json!("Released")),
        ],
    }
}

/// It waits, and its attempt is this one. The schema gives every claim a status, so there is always one to test.
fn still_pending(attempt: Attempt) -> Vec<PatchOperation> {
    vec![
        test("/status/phase", json!("Pending")),
        test("/status/attempt", json!(attempt_number(attempt))),
    ]
}

fn grant(lease: &GrantedLease) -> Value {
    let rate = matches!(lease.amount, Amount::Rate(_));
    let lease = granted_lease(lease);
    let grant = ClaimGrant {
        kind: lease.kind,
        namespace: lease.namespace,
        key: lease.key,
        uid: lease.uid,
        slots: lease
            .slots
            .map(|slots| i32::try_from(slots).unwrap_or(i32::MAX)),
        rate,
        mode: lease.mode,
        token: lease.token,
    };
    serde_json::to_value(grant).unwrap_or_default()
}

fn short(message: &str) -> String {
    message.chars().take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{PoolKind, Terms};

    fn read(value: Value) -> RequestView {
        claim(serde_json::from_value(value).unwrap(), None)
    }

    fn manifest(spec: Value, status: Value) -> Value {
        json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "SlotClaim",
            "metadata": {"name": "c", "namespace": "ns", "uid": "u", "resourceVersion": "7",
                         "creationTimestamp": "2026-11-21T10:00:00Z"},
            "spec": spec, "status": status,
        })
    }

    #[test]
    fn reads_a_claim_that_waits() {
        let view = read(manifest(
            json!({"slots": [{"limit": "gpu", "slots": 2, "worker": "w1"}, {"limit": "other/db"}],
                   "locks": [{"lock": "schema", "mode": "Shared"}], "timeoutSeconds": 0,
                   "leaseDurationSeconds": 30, "renew": {"seq": 4}}),
            json!({"phase": "Pending", "attempt": 1}),
        ));
        assert!(!view.is_revealed());
        assert_eq!(view.attempt, Some(Attempt::Number(1)));
        let Ask::Wants(wants) = &view.ask else {
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
                "limit ns/gpu:w1 Slots(2)",
                "limit other/db Slots(1)",
                "lock ns/schema Shared"
            ]
        );
        assert!(wants.deny_missing && wants.timeout == Some(Span(0)));
        let claim = view.claim.unwrap();
        assert_eq!((claim.seq, claim.lease), (4, Some(Span::seconds(30))));
    }

    #[test]
    fn a_grant_survives_a_round_trip() {
        let lease = GrantedLease {
            pool: PoolKey::new(PoolKind::Limit, "ns".into(), "gpu--w1".into()),
            pool_uid: "limit".into(),
            amount: Amount::Slots(2),
            token: Token(9),
        };
        let operations = claim_operations(&ClaimAction::Grant {
            attempt: Attempt::Number(0),
            leases: vec![lease.clone()],
            terms: Terms {
                lease: Span::seconds(60),
                lock_delay: Span::seconds(5),
            },
            at: Micros(1_700_000_000_000_000),
        });
        let Some(PatchOperation::Add { value, .. }) = operations.last() else {
            panic!("{operations:?}")
        };
        let view = read(manifest(
            json!({"slots": [{"limit": "gpu"}]}),
            value.clone(),
        ));
        assert!(view.is_revealed());
        assert_eq!(view.granted.unwrap().leases.as_ref(), [lease]);
        let terms = view.claim.unwrap().terms.unwrap();
        assert_eq!(
            (terms.expiry(), terms.linger()),
            (Span(63_000), Span(68_000))
        );
    }

    #[test]
    fn what_cannot_be_read_is_a_request_that_says_why() {
        let bad = read(manifest(json!({"slots": [{"limit": "GPU"}]}), Value::Null));
        assert!(
            matches!(&bad.ask, Ask::Bad(why) if why.contains("\"GPU\"")),
            "{:?}",
            bad.ask
        );
        let broken = read(manifest(json!({"slots": 7}), json!({"phase": "Lost"})));
        assert!(matches!(broken.ask, Ask::Bad(_)) && broken.is_revealed());
    }

    #[test]
    fn who_releases_while_waiting_is_on_the_way_out() {
        let spec = json!({"slots": [{"limit": "gpu"}], "release": true});
        assert!(read(manifest(spec.clone(), json!({"phase": "Pending"}))).deleting);
        assert!(!read(manifest(spec, json!({"phase": "Granted"}))).deleting);
    }
}
